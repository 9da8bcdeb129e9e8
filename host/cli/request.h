/* cli/request.h - the command line as data. Parses argv, knows which words and options exist, and nothing of their meaning:
 * values stay text, dotted overrides stay pairs. Prints nothing; help text is made by main from this and from the schemas. */
#ifndef LTH_REQUEST_H
#define LTH_REQUEST_H
#include "base/diag.h"
#include <stdbool.h>

typedef enum {
    LTH_VERB_NONE, LTH_VERB_FIT, LTH_VERB_VALIDATE, LTH_VERB_TEST, LTH_VERB_PREDICT,
    LTH_VERB_CONFIG_PRINT, LTH_VERB_CONFIG_CHECK, LTH_VERB_CONFIG_SCHEMA,
    LTH_VERB_PLUGIN_LIST, LTH_VERB_PLUGIN_INFO, LTH_VERB_CKPT_INFO, LTH_VERB_CKPT_VERIFY, LTH_VERB_VERSION
} lth_verb;

typedef struct lth_override { const char *key, *value; bool append; } lth_override; /* --trainer.max_epochs=3, --trainer.callbacks+=X */
typedef struct lth_request {
    lth_arena arena;
    lth_verb verb;
    bool help;                      /* --help anywhere: help of the verb */
    const char **configs; size_t n_configs;
    lth_override *overrides; size_t n_overrides; /* in order; dotted keys or top-level config keys (seed_everything, model, data, ...) */
    const char *ckpt_path;          /* --ckpt_path; NULL: not given */
    const char *input, *module;     /* predict --input x.npy --module encoder */
    const char **args; size_t n_args; /* plugin info X, ckpt info FILE */
    const char **plugins; size_t n_plugins; /* --plugins PATH, repeatable */
} lth_request;

/* Everything wrong is added to diags (LT_ECONFIG), with the nearest word or option. Texts point into argv or the request's arena.
 * Without any word the verb is LTH_VERB_NONE and nothing is wrong: main shows the general help. */
void lth_request_parse(lth_request *request, int argc, char *const *argv, lth_diags *diags);
void lth_request_release(lth_request *request);
const char *lth_verb_name(lth_verb verb);   /* "fit", "plugin info" */
/* General help, or that of a verb: usage, options; the caller appends schema help. */
const char *lth_request_help(lth_verb verb);
#endif
