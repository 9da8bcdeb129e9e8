/* registry/registry.h - plugin files -> components -> instances. Finds .so files, reads their ELF notes without running them, loads
 * the ones that are needed through a ladder of checks, resolves class paths, binds parameters, keeps and restores saved fields.
 * It calls no hook but construct, destroy, save, load and get_interface; it knows no component by name.
 * All functions: the trainer thread. Loaded plugins are never unloaded, so code, descriptors and texts of plugins stay valid. */
#ifndef LTH_REGISTRY_H
#define LTH_REGISTRY_H
#include "base/arena.h"
#include "base/ctx.h"
#include "base/diag.h"
#include "base/hash.h"
#include "base/node.h"
#include "base/snapshot.h"
#include "base/str.h"
#include <lt/callback.h>
#include <lt/data.h>
#include <lt/logger.h>
#include <lt/metric.h>
#include <lt/model.h>
#include <lt/optim.h>

/* ---- kinds of component ---- */
#define LTH_SAVED_KINDS(X) /* name, C struct; the id in the ABI is "lt.<name>/1" */ \
    X(model, lt_model) \
    X(datamodule, lt_datamodule) \
    X(callback, lt_callback) \
    X(logger, lt_logger) \
    X(optimizer, lt_optimizer) \
    X(lr_scheduler, lt_lr_scheduler)
#define LTH_KINDS(X) \
    LTH_SAVED_KINDS(X) \
    X(metric, lt_metric_component)
typedef enum {
#define LTH_X(name, type) LTH_KIND_##name,
    LTH_KINDS(LTH_X)
#undef LTH_X
    LTH_KIND_COUNT
} lth_kind;
const char *lth_kind_name(lth_kind kind);       /* "model" */
const char *lth_kind_id(lth_kind kind);         /* "lt.model/1" */
bool lth_kind_parse(const char *name_or_id, lth_kind *out);

/* ---- the registry ---- */
typedef const void *lth_table_getter(const char *id); /* "lt.tensor/1" -> the host's table, NULL if there is none */
typedef struct lth_registry_opts {
    const char *const *paths; size_t n_paths;   /* files and folders out of config and command line, absolute; must exist */
    const char *env;                            /* files and folders, ':' between; NULL: $LTHOST_PLUGIN_PATH; "": none */
    bool no_builtin;                            /* do not look in <exe>/plugins and <exe>/../lib/lthost/plugins (tests) */
    lth_table_getter *get_table;                /* what loaded plugins will see */
} lth_registry_opts;
typedef struct lth_registry lth_registry;

/* Looks at every file; runs nothing. Only a path of `paths` that cannot be read, or that names no plugin, is an error (all are added
 * to diags, LT_ECONFIG or LT_EABI); what folders hold besides plugins is left alone. *out is set if at all possible. */
lt_status lth_registry_open(const lth_registry_opts *opts, lth_diags *diags, lth_registry **out);
void lth_registry_close(lth_registry *registry); /* after all instances are freed; NULL is fine */

/* ---- what was found ---- */
typedef struct lth_found_component { lth_kind kind; bool known_kind; const char *kind_id, *id; } lth_found_component;
typedef struct lth_found_plugin {
    const char *path, *id, *version;
    uint32_t abi_major, abi_minor, min_host_minor;
    size_t n_components;
    const lth_found_component *components;
    const char *refusal;        /* why it cannot be loaded, with the fix; NULL: nothing known against it */
    bool loaded;
    uint32_t generation;        /* 1 for the first load of this plugin id; 0: not loaded */
    lth_hash128 hash;           /* of the file, once loaded */
} lth_found_plugin;
size_t lth_registry_count(const lth_registry *registry);
const lth_found_plugin *lth_registry_at(const lth_registry *registry, size_t index); /* valid until the registry is closed */

/* `plugin list`: one line per plugin with its components, refused ones with the reason; the folders it looked in at the end. */
void lth_registry_list(const lth_registry *registry, lth_buf *out);
/* `plugin info NAME`: NAME is a path, a plugin id or a component id. Loads it for docs and parameters. */
lt_status lth_registry_info(lth_registry *registry, const char *name, lth_buf *out, lth_error *err);

/* ---- components ---- */
typedef struct lth_component_entry { /* of a loaded plugin; as long as the registry */
    lth_kind kind;
    const lt_component *component;      /* the plugin's own */
    const void *iface;                  /* host-sized copy of its kind's struct: what the plugin does not know is zero */
    const lt_params *schema;
    lth_where where;                    /* hook is NULL */
    const lth_found_plugin *plugin;
} lth_component_entry;
/* Resolves a class path and loads its plugin. class_path: "Id", "file.so:Id" (absolute), or a dotted name whose last part is the id.
 * Unknown: the nearest name, what there is of that kind, and where it was looked for. Several plugins with that id: names them all. */
lt_status lth_registry_find(lth_registry *registry, lth_kind kind, const char *class_path, const lth_component_entry **out, lth_error *err);

/* ---- instances ---- */
typedef struct lth_instance {
    lth_kind kind;
    union { /* host-sized copy of the component's struct; the one of its kind */
        const void *iface;
        const lt_component *base;
#define LTH_X(name, type) const struct type *name;
        LTH_KINDS(LTH_X)
#undef LTH_X
    };
    void *self;
    lth_where where;            /* put into ctx->where before a hook, with the hook's name */
    const lt_params *schema;
    const lth_component_entry *entry;
    lth_arena arena;            /* texts and lists of bound parameters; whatever else lives as long as the instance */
    uint32_t *pins;             /* of its generation: this instance is one */
    struct lth_instance **children; /* schedulers that a scheduler is made of (LT_LR_CHILDREN) */
    size_t n_children;
    const lth_node *children_node;  /* `schedulers` of its init_args; NULL: none */
} lth_instance;

/* Finds the component, makes self, binds init_args (a map, or NULL). A scheduler that answers LT_LR_CHILDREN gets an instance for every
 * item of `schedulers` in its init_args. `at` (or NULL) is where class_path stands, for messages. Every
 * problem is added to diags; returns LT_OK only if there is none. The code of a refused or missing component: LT_EABI, LT_EPLUGIN,
 * LT_ECONFIG. */
lt_status lth_instance_new(lth_registry *registry, lth_kind kind, const char *class_path, const lth_node *init_args, const lth_node *at,
                           lth_diags *diags, lth_instance **out);
/* The same with the values of `over` laid over init_args, its key `skip` left out. The merged map lives in arena. */
lt_status lth_instance_new_over(lth_registry *registry, lth_kind kind, const char *class_path, const lth_node *init_args, const lth_node *over,
                                const char *skip, const lth_node *at, lth_arena *arena, lth_diags *diags, lth_instance **out);
void lth_instance_free(lth_instance *instance); /* destroy, then memory; NULL is fine */

/* LT_SAVED fields and what the component's save hook writes, below prefix ("callbacks/<state key>"); nothing for a component
 * without state. The hook is called on ctx; its failure is left in ctx and copied to err. */
lt_status lth_instance_save(const lth_instance *instance, lt_ctx *ctx, lth_snapshot *out, const char *prefix, lth_error *err);
/* Back again. Nothing below prefix: the instance stays as it is, LT_OK. */
lt_status lth_instance_load(lth_instance *instance, lt_ctx *ctx, const lth_snapshot *in, const char *prefix, lth_error *err);
bool lth_instance_has_state(const lth_instance *instance);
/* The component's interface of that id (LT_CHECKPOINTING), or NULL. */
const void *lth_instance_interface(const lth_instance *instance, const char *id);
#endif
