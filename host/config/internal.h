/* config/internal.h - what the files of this folder share: reading, merging, overriding, resolving. Nothing outside config/ includes it. */
#ifndef LTH_CONFIG_INTERNAL_H
#define LTH_CONFIG_INTERNAL_H
#include "config/config.h"

enum {
    LTH_YAML_MAX_DEPTH = 64,            /* lists and maps inside each other */
    LTH_YAML_MAX_NODES = 200 * 1000,    /* of a document, aliases expanded */
    LTH_YAML_MAX_KEYS = 1024,           /* of one map: looking for duplicates compares all with all */
    LTH_YAML_MAX_KEY = 200,             /* bytes: YAML's own limit is 1024 as written, escapes included */
    LTH_YAML_MAX_ANCHORS = 1000,
    LTH_YAML_MAX_BYTES = 16 << 20       /* of a file, and of the texts that aliases add */
};

/* ---- yaml_read.c, yaml_print.c ---- */
lth_node *lth_yaml_read(const char *text, size_t size, const char *file, lth_origin origin, lth_arena *arena, lth_diags *diags);
bool lth_yaml_is_plain(const char *text); /* the same text is read back from YAML without quotes */

/* ---- merge.c: keys that end in '+' append; null stays as null, which means absent ---- */
void lth_config_merge(lth_arena *arena, lth_node *base, lth_node *over); /* both maps; over is used up */
void lth_config_put(lth_node *map, lth_node *child);                     /* replaces the child of that key or adds it at the end */
void lth_config_take(lth_node *map, const lth_node *child);              /* out of the map */
lth_node *lth_config_map_like(lth_arena *arena, const lth_node *origin); /* an empty map that says it came from the same place */
/* {class_path: text} in place of a scalar that names a component; anything else stays as it is. */
lth_node *lth_config_as_component(lth_arena *arena, lth_node *node);
bool lth_config_is_bool(const lth_node *node, bool *value);              /* an unquoted true or false */

/* ---- override.c ---- */
void lth_config_override_apply(lth_arena *arena, lth_node *root, const lth_config_override *one, lth_diags *diags);

/* ---- component.c ---- */
/* A component as it stands in the tree -> *out and its map form (NULL after an error). `where` is "model", "trainer.callbacks[2]". */
lth_node *lth_config_component(lth_arena *arena, const lth_node *node, const char *where, lth_component_ref *out, lth_diags *diags);
void lth_config_scheduler(lth_arena *arena, const lth_node *node, lth_node *resolved, lth_scheduler_opts *out, lth_diags *diags);
const char *lth_config_path(lth_arena *arena, const lth_node *node, const char *text); /* absolute; relative to where the node stands */

/* ---- defaults.c ---- */
typedef struct lth_default_callback { const char *enabled_by; const lth_node *component; } lth_default_callback;
typedef struct lth_defaults {
    lth_node *tree;                     /* what every config is merged onto */
    int64_t seed;                       /* of seed_everything: true */
    const lth_node *loggers;
    lth_default_callback *callbacks; size_t n_callbacks;
} lth_defaults;
lt_status lth_config_defaults(lth_arena *arena, lth_defaults *out, lth_diags *diags);

/* ---- trainer.c, lists.c ---- */
void lth_config_trainer(lth_config *config, lth_diags *diags);           /* binds config->trainer, then the checks across fields */
void lth_config_trainer_checks(const lth_config *config, lth_diags *diags);
void lth_config_callbacks(lth_config *config, const lth_defaults *defaults, lth_node *resolved, lth_diags *diags);
void lth_config_loggers(lth_config *config, const lth_defaults *defaults, lth_node *resolved, lth_diags *diags);

/* ---- messages ---- */
#define LTH_CONFIG_ERROR(diags, node, hint, ...) \
    lth_diag_add(diags, LT_ECONFIG, (node) ? (node)->file : NULL, (node) ? (node)->line : 0, hint, __VA_ARGS__)
/* unknown key "x" of trainer, at the line of the key, with the nearest of names. */
void lth_config_unknown_key(const lth_node *child, const char *where, const char *const *names, size_t count, lth_diags *diags);
#endif
