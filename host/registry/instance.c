/* registry/instance.c - components brought to life: self allocated, constructed, parameters bound, state saved and restored, destroyed. */
#include "base/mem.h"
#include "base/schema.h"
#include "registry/parts.h"
#include <stdio.h>
#include <string.h>

#define VERSION_KEY "@version" /* '@' stands in no key of lt_state_put_*, nor in a field's name */

typedef lt_status save_hook(lt_ctx *ctx, void *self, lt_state_writer *out);
typedef lt_status load_hook(lt_ctx *ctx, void *self, const lt_state_reader *in);

static save_hook *save_of(const lth_instance *instance) {
    switch (instance->kind) {
#define LTH_X(name, type)                                                                                                                  \
    case LTH_KIND_##name:                                                                                                                  \
        return instance->name->save;
        LTH_SAVED_KINDS(LTH_X)
#undef LTH_X
    default: /* the states of metrics are the host's */
        return NULL;
    }
}

static load_hook *load_of(const lth_instance *instance) {
    switch (instance->kind) {
#define LTH_X(name, type)                                                                                                                  \
    case LTH_KIND_##name:                                                                                                                  \
        return instance->name->load;
        LTH_SAVED_KINDS(LTH_X)
#undef LTH_X
    default: /* the states of metrics are the host's */
        return NULL;
    }
}

/* ---- making ---- */

static size_t field_size(int32_t type) {
    switch (type) {
    case LT_PARAM_INT:
        return sizeof(int64_t);
    case LT_PARAM_FLOAT:
        return sizeof(double);
    case LT_PARAM_BOOL:
        return sizeof(bool);
    case LT_PARAM_TEXT:
        return sizeof(const char *);
    case LT_PARAM_CHOICE:
        return sizeof(int32_t);
    case LT_PARAM_OPT_INT:
        return sizeof(lt_opt_int);
    case LT_PARAM_OPT_FLOAT:
        return sizeof(lt_opt_float);
    default:
        return sizeof(lt_ints); /* all lists are a pointer and a count */
    }
}

/* Binding fills a zeroed struct. A constructed self is not zero, so its fields are bound aside and moved in one by one. */
static size_t bind_constructed(lth_instance *instance, const lth_node *init_args, lth_diags *diags) {
    const lt_params *schema = instance->schema;
    char *bound = lth_alloc(schema->self_size);
    size_t errors;

    if (!bound) {
        lth_diag_add(diags, LT_ENOMEM, NULL, 0, NULL, "out of memory for %s", instance->where.component);
        return 1;
    }
    errors = lth_schema_bind(schema, instance->where.component, init_args, bound, &instance->arena, diags);
    for (uint32_t i = 0; !errors && i < schema->count; i++) {
        const lt_param *param = lth_schema_param(schema, i);
        memcpy((char *)instance->self + param->offset, bound + param->offset, field_size(param->type));
    }
    lth_free(bound);
    return errors;
}

static size_t bind(lth_instance *instance, const lth_node *init_args, lth_diags *diags) {
    if (instance->base->construct) {
        instance->base->construct(instance->self);
        return bind_constructed(instance, init_args, diags);
    }
    return lth_schema_bind(instance->schema, instance->where.component, init_args, instance->self, &instance->arena, diags);
}

/* ---- schedulers made of schedulers ---- */

#define CHILDREN_KEY "schedulers"

static const lth_node *children_of(const lth_instance *instance, const lth_node *init_args) {
    bool takes = instance->kind == LTH_KIND_lr_scheduler && init_args && lth_instance_interface(instance, LT_LR_CHILDREN);
    const lth_node *list = takes ? lth_node_get(init_args, CHILDREN_KEY) : NULL;

    return lth_node_is_null(list) ? NULL : list;
}

/* init_args without the list, which no schema knows. NULL: out of memory. */
static const lth_node *without_children(lth_instance *instance, const lth_node *init_args) {
    lth_node *rest = lth_node_copy(&instance->arena, init_args);

    for (lth_node **child = rest ? &rest->first : NULL; child && *child; child = &(*child)->next) {
        if (!strcmp((*child)->key, CHILDREN_KEY)) {
            *child = (*child)->next;
            break;
        }
    }
    return rest;
}

static void bad_child(lth_diags *diags, const lth_node *node, const char *what) {
    lth_diag_add(diags, LT_ECONFIG, node->file, node->line, "schedulers: [{class_path: NAME, init_args: {...}}, ...]", "schedulers: %s", what);
}

static void make_child(lth_registry *registry, lth_instance *parent, const lth_node *item, lth_diags *diags) {
    bool map = item->kind == LTH_NODE_MAP;
    const lth_node *path = map ? lth_node_get(item, "class_path") : item, *args = map ? lth_node_get(item, "init_args") : NULL;

    for (const lth_node *key = map ? item->first : NULL; key; key = key->next) {
        if (strcmp(key->key, "class_path") != 0 && strcmp(key->key, "init_args") != 0) {
            lth_diag_add(diags, LT_ECONFIG, key->file, key->key_line ? key->key_line : key->line,
                         "arguments of the class stand under init_args; interval, frequency and monitor beside the outer class_path",
                         "unknown key \"%s\" of an item of schedulers", key->key);
            return;
        }
    }
    if (lth_node_is_null(path) || path->kind != LTH_NODE_SCALAR || !*path->text) {
        bad_child(diags, item, "an item has no class_path");
    } else if (!lth_node_is_null(args) && args->kind != LTH_NODE_MAP) {
        bad_child(diags, args, "init_args must be a map");
    } else if (!lth_instance_new(registry, parent->kind, path->text, lth_node_is_null(args) ? NULL : args, path, diags,
                                 &parent->children[parent->n_children])) {
        parent->n_children++;
    }
}

static size_t make_children(lth_registry *registry, lth_instance *parent, const lth_node *list, lth_diags *diags) {
    size_t before = diags->count;

    if (list->kind != LTH_NODE_LIST) {
        bad_child(diags, list, "must be a list");
        return 1;
    }
    parent->children_node = list;
    parent->children = lth_arena_alloc(&parent->arena, (lth_node_count(list) + 1) * sizeof *parent->children);
    if (!parent->children) {
        lth_diag_add(diags, LT_ENOMEM, NULL, 0, NULL, "out of memory for %s", parent->where.component);
        return 1;
    }
    for (const lth_node *item = list->first; item; item = item->next) {
        make_child(registry, parent, item, diags);
    }
    return diags->count - before;
}

static lth_instance *allocate(const lth_component_entry *entry) {
    lth_instance *instance = lth_alloc(sizeof *instance);
    void *self = lth_alloc(entry->schema->self_size);

    if (!instance || !self) {
        lth_free(instance);
        lth_free(self);
        return NULL;
    }
    instance->kind = entry->kind;
    instance->iface = entry->iface;
    instance->self = self;
    instance->where = entry->where;
    instance->schema = entry->schema;
    instance->entry = entry;
    instance->pins = &((lth_plugin_file *)entry->plugin)->pins; /* entry->plugin is the first member of its file's record */
    ++*instance->pins;
    return instance;
}

/* Schemas come from plugins that speak of components; a component that is missing is reported where the configuration names it. */
static void report(lth_diags *diags, const lth_node *at, const lth_error *err) {
    lth_diag_add(diags, err->code, at ? at->file : NULL, at ? at->line : 0, NULL, "%s", err->text);
}

lt_status lth_instance_new(lth_registry *registry, lth_kind kind, const char *class_path, const lth_node *init_args, const lth_node *at,
                           lth_diags *diags, lth_instance **out) {
    const lth_component_entry *entry;
    lth_instance *instance;
    lth_error err = {0};
    size_t before = diags->count;

    *out = NULL;
    if (lth_registry_find(registry, kind, class_path, &entry, &err)) {
        report(diags, at, &err);
        return err.code;
    }
    instance = allocate(entry);
    if (!instance) {
        lth_fail(&err, LT_ENOMEM, "out of memory for %s", class_path);
        report(diags, at, &err);
        return err.code;
    }
    const lth_node *children = children_of(instance, init_args);
    const lth_node *own = children ? without_children(instance, init_args) : init_args;
    size_t errors = children && !own ? 1 : bind(instance, own, diags);
    errors += children ? make_children(registry, instance, children, diags) : 0;
    if (errors) {
        lth_instance_free(instance);
        return diags->count > before ? diags->items[before].code : LT_ENOMEM;
    }
    *out = instance;
    return LT_OK;
}

lt_status lth_instance_new_over(lth_registry *registry, lth_kind kind, const char *class_path, const lth_node *init_args, const lth_node *over,
                                const char *skip, const lth_node *at, lth_arena *arena, lth_diags *diags, lth_instance **out) {
    lth_node *merged = init_args ? lth_node_copy(arena, init_args) : lth_node_new(arena, LTH_NODE_MAP);

    *out = NULL;
    for (const lth_node *value = over ? over->first : NULL; value && merged; value = value->next) {
        if (strcmp(value->key, skip) != 0) {
            lth_node_set(arena, merged, value->key, lth_node_copy(arena, value));
        }
    }
    if (!merged || arena->failed) {
        lth_diag_add(diags, LT_ENOMEM, NULL, 0, NULL, "out of memory for %s", class_path);
        return LT_ENOMEM;
    }
    return lth_instance_new(registry, kind, class_path, merged, at, diags, out);
}

void lth_instance_free(lth_instance *instance) {
    if (!instance) {
        return;
    }
    for (size_t i = 0; i < instance->n_children; i++) {
        lth_instance_free(instance->children[i]);
    }
    if (instance->base->destroy) {
        instance->base->destroy(instance->self);
    }
    --*instance->pins;
    lth_arena_release(&instance->arena);
    lth_free(instance->self);
    lth_free(instance);
}

const void *lth_instance_interface(const lth_instance *instance, const char *id) {
    return instance->base->get_interface ? instance->base->get_interface(instance->self, id) : NULL;
}

/* ---- state ---- */

bool lth_instance_has_state(const lth_instance *instance) {
    bool saved = save_of(instance) != NULL;

    for (uint32_t i = 0; !saved && i < instance->schema->count; i++) {
        saved = lth_schema_param(instance->schema, i)->state != 0;
    }
    return saved;
}

/* A hook's end: its failure also goes to the caller's err, which may be ctx's own. */
static lt_status leave(lt_ctx *ctx, const lth_where *before, lt_status returned, lth_error *err) {
    lt_status status = lth_hook_done(ctx, returned);

    if (status < 0) {
        if (err && err != &ctx->error && !err->code) {
            *err = ctx->error;
        }
        return status; /* ctx->where stays: it names the culprit */
    }
    ctx->where = *before;
    return LT_OK;
}

static lth_where enter(lt_ctx *ctx, const lth_instance *instance, const char *hook) {
    lth_where before = ctx->where;
    ctx->where = instance->where;
    ctx->where.hook = hook;
    return before;
}

static lt_status version_path(const char *prefix, char *path, size_t size, lth_error *err) {
    int length = snprintf(path, size, "%s/" VERSION_KEY, prefix);
    return length > 0 && (size_t)length < size ? LT_OK : lth_fail(err, LT_EINVAL, "state prefix is too long: %.100s...", prefix);
}

lt_status lth_instance_save(const lth_instance *instance, lt_ctx *ctx, lth_snapshot *out, const char *prefix, lth_error *err) {
    save_hook *save = save_of(instance);
    lt_state_writer writer = {out, prefix};
    char path[512];
    lt_status status;

    if (!lth_instance_has_state(instance)) {
        return LT_OK;
    }
    status = version_path(prefix, path, sizeof path, err);
    status = status ? status : lth_snapshot_add_i64(out, path, instance->base->state_version, err);
    status = status ? status : lth_schema_save(instance->schema, instance->self, out, prefix, err);
    if (!status && save) {
        lth_where before = enter(ctx, instance, "save");
        status = leave(ctx, &before, save(ctx, instance->self, &writer), err);
    }
    return status;
}

static lt_status check_version(const lth_instance *instance, int64_t version, lth_error *err) {
    if (version == instance->base->state_version || load_of(instance)) {
        return LT_OK;
    }
    return lth_fail(err, LT_EFORMAT,
                    "the saved state of %s has version %lld, and plugin %s %s writes version %u and cannot convert; use the plugin that "
                    "wrote the checkpoint, or start without it",
                    instance->where.component, (long long)version, instance->where.plugin, instance->where.version,
                    instance->base->state_version);
}

lt_status lth_instance_load(lth_instance *instance, lt_ctx *ctx, const lth_snapshot *in, const char *prefix, lth_error *err) {
    load_hook *load = load_of(instance);
    lt_state_reader reader = {in, prefix, 0};
    char path[512];
    lt_status status = version_path(prefix, path, sizeof path, err);
    int64_t version = status ? -1 : lth_snapshot_i64(in, path, -1);

    if (status || version < 0) {
        return status;
    }
    reader.version = (uint32_t)version;
    status = check_version(instance, version, err);
    status = status ? status : lth_schema_load(instance->schema, instance->self, in, prefix, &instance->arena, err);
    if (!status && load) {
        lth_where before = enter(ctx, instance, "load");
        status = leave(ctx, &before, load(ctx, instance->self, &reader), err);
    }
    return status;
}
