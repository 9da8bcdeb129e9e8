/* config/config.h - YAML files and overrides -> one merged tree with the origin of every node -> trainer options, component references.
 * It binds the trainer's arguments; components' init_args stay nodes, bound by the registry to the schemas that plugins bring.
 * Knows the top-level keys, no component. After lth_config_load nothing changes. */
#ifndef LTH_CONFIG_H
#define LTH_CONFIG_H
#include "base/diag.h"
#include "base/node.h"
#include "base/schema.h"
#include "base/trainer_opts.h"

typedef struct lth_component_ref {
    const char *class_path;         /* "Net", "file.so:Id" (path resolved), "some.models.Net" */
    const lth_node *init_args;      /* map or NULL */
    const lth_node *node;           /* as it stands in root, for messages; origin LTH_FROM_DEFAULT: from defaults.yaml; NULL: absent */
} lth_component_ref;

/* When the scheduler steps: Lightning's lr_scheduler config, written beside class_path and init_args. */
typedef struct lth_scheduler_opts {
    bool each_step;                 /* interval: step; else epoch */
    int64_t frequency;              /* >= 1 */
    const char *monitor;            /* NULL: none */
    bool strict;                    /* the monitored metric must be there */
    const char *name;               /* for logging; NULL: none */
} lth_scheduler_opts;

typedef struct lth_config {
    lth_arena arena;
    lth_node *root;                 /* merged, resolved: what `config print` shows and checkpoints keep */
    lth_trainer_opts trainer;
    const lth_node *trainer_node;
    int64_t seed;                   /* the number to seed with, always set; root holds it too */
    bool seed_given;                /* seed_everything is a number, or true, in a file or on the command line */
    bool seed_random;               /* seed_everything: false: drawn from the OS; main prints it */
    lth_component_ref model, data, optimizer, lr_scheduler; /* class_path NULL: absent */
    lth_scheduler_opts lr_scheduler_opts;
    /* Given ones first, then those of defaults.yaml that are neither given nor switched off. *_given: the key was there. */
    lth_component_ref *callbacks; size_t n_callbacks; bool callbacks_given;
    lth_component_ref *loggers; size_t n_loggers; bool loggers_given;
    const char **plugins; size_t n_plugins; /* files and folders, absolute */
    const char *ckpt_path;          /* from a file; the command line's beats it */
} lth_config;

/* What the command line adds, handed over by main (config does not include cli). */
typedef struct lth_config_override { const char *key, *value; bool append; } lth_config_override;
typedef struct lth_config_source {
    const char *const *files; size_t n_files;                   /* -c, in order; later ones win */
    const char *text, *text_name;                               /* instead of files: a config out of a checkpoint; NULL: none */
    const lth_config_override *overrides; size_t n_overrides;
    const char *const *plugins; size_t n_plugins;               /* --plugins */
    bool need_model;                                            /* fit and the like: model and data must be there */
    bool keep_errors;                                           /* *out is set despite errors, unless a file could not be read: so that
                                                                 * the registry can add what is wrong in the components that are known */
} lth_config_source;

/* Adds everything wrong to diags; *out is set only when nothing was (see keep_errors). LT_OK, LT_ECONFIG or LT_ENOMEM. */
lt_status lth_config_load(const lth_config_source *source, lth_diags *diags, lth_config **out);
void lth_config_free(lth_config *config);

/* YAML text of a tree; comments with origins on request. Reading it back gives an equal tree. */
void lth_yaml_print(const lth_node *node, bool with_origins, lth_buf *out);
/* Parses one YAML document; errors with line into diags. NULL on error. file is for messages and LT_PATH resolution. */
lth_node *lth_yaml_parse(const char *text, size_t size, const char *file, lth_arena *arena, lth_diags *diags);
/* "lr: 0.001, betas: [0.9, 0.99]" as a map (lt_use_optimizer's parameters). */
lth_node *lth_yaml_parse_flow(const char *text, const char *what, lth_arena *arena, lth_diags *diags);
extern const char lth_defaults_yaml[];  /* config/defaults.yaml, compiled in */

/* The keys a file may have at its top; NULL at the end. */
extern const char *const lth_config_keys[];
/* Text for `config schema` and `fit --help`: the top-level keys and every argument of the trainer. */
void lth_config_schema(lth_buf *out);
/* The id in a class path: "Net" of "Net", "models.so:Net" and "some.models.Net". */
const char *lth_class_id(const char *class_path);
#endif
