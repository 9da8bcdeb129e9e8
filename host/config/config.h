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
    const char *class_path;         /* "LeNet", "file.so:Id" (path resolved), "torch.optim.Adam" */
    const lth_node *init_args;      /* map or NULL */
    const lth_node *node;           /* where it stands, for messages; NULL: from defaults */
    /* lr_scheduler and its monitor settings (Lightning's lr_scheduler config) */
} lth_component_ref;

typedef struct lth_config {
    lth_arena arena;
    lth_node *root;                 /* merged, resolved: what `config print` shows and checkpoints keep */
    lth_trainer_opts trainer;
    const lth_node *trainer_node;
    int64_t seed; bool seed_given;  /* seed_everything: number, true (42? see defaults.yaml) or false */
    lth_component_ref model, data, optimizer, lr_scheduler; /* class_path NULL: absent */
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
} lth_config_source;

/* Adds everything wrong to diags; *out is set only when nothing was. */
lt_status lth_config_load(const lth_config_source *source, lth_diags *diags, lth_config **out);
void lth_config_free(lth_config *config);

/* YAML text of a tree; comments with origins on request. Reading it back gives an equal tree. */
void lth_yaml_print(const lth_node *node, bool with_origins, lth_buf *out);
/* Parses one YAML document; errors with line into diags. NULL on error. file is for messages and LT_PATH resolution. */
lth_node *lth_yaml_parse(const char *text, size_t size, const char *file, lth_arena *arena, lth_diags *diags);
/* "lr: 0.001, betas: [0.9, 0.99]" as a map (lt_use_optimizer's parameters). */
lth_node *lth_yaml_parse_flow(const char *text, const char *what, lth_arena *arena, lth_diags *diags);
extern const char lth_defaults_yaml[];  /* config/defaults.yaml, compiled in */
#endif
