/* cli/words.h - the words of the command line: verbs, options, and which verb takes which. Private to cli/. */
#ifndef LTH_CLI_WORDS_H
#define LTH_CLI_WORDS_H
#include "cli/request.h"

typedef enum {
    LTH_OPT_CONFIG = 1, LTH_OPT_CKPT_PATH = 2, LTH_OPT_INPUT = 4, LTH_OPT_MODULE = 8, LTH_OPT_PLUGINS = 16, LTH_OPT_OVERRIDE = 32
} lth_option;

typedef struct lth_verb_words {
    lth_verb verb;
    const char *first, *second; /* second NULL: a verb of one word */
    unsigned options;           /* lth_option mask */
    int args;                   /* words behind the verb; more or fewer are errors */
    const char *arg_name;       /* for messages; NULL when args is 0 */
    const char *help;
} lth_verb_words;

typedef struct lth_option_words { lth_option option; const char *name; } lth_option_words;

const lth_verb_words *lth_verbs(size_t *count);
const lth_option_words *lth_options(size_t *count);
/* First words of overrides: the top-level keys of a configuration. NULL at the end. Equal to config's own list (a test compares). */
extern const char *const lth_request_config_keys[];
#endif
