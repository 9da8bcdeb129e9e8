/* engine/nn/make_tree.c - places in the tree: sequentials, lists, groups, names, shared modules and tied parameters; parameters and buffers
 * of the plugin's own. Only in `configure`. It makes no layer. */
#include "base/str.h"
#include "engine/nn/layer.h"
#include <stdio.h>
#include <string.h>

static void adopt(lt_module *parent, lt_module *child) {
    lth_root_remove(child->owner, child);
    child->parent = parent;
    child->index = parent->n_children++;
    *(parent->first ? &parent->last->next : &parent->first) = child;
    parent->last = child;
}

bool lth_take_item(lt_ctx *ctx, const char *op, lt_module *parent, lt_module *item, size_t index, size_t count) {
    const char *shown = parent->given ? parent->given : "";
    if (!item) {
        lth_fail_op(&ctx->error, LT_EINVAL, op, NULL, "item %zu of %zu of '%s' is NULL, and no earlier call failed", index, count, shown);
        return false;
    }
    if (item->parent) {
        lth_fail_op(&ctx->error, LT_EINVAL, op, NULL, "item %zu of %zu of '%s' already is part of another module; lt_nn_share gives it a second "
                    "place", index, count, shown);
        return false;
    }
    adopt(parent, item);
    return true;
}

/* A module that holds `count` items, named or to be named by whoever takes it. */
static lt_module *make_holder(lt_ctx *ctx, lth_layer_kind kind, const char *type, const char *op, const char *name, lt_module *const *items,
                              size_t count, void *caller) {
    lth_modules *m = lth_open_tree(ctx, op, caller);
    bool named = name && *name;
    if (m && count && !items) {
        lth_fail_op(&ctx->error, LT_EINVAL, op, caller, "%s: %zu items given, but items is NULL", op, count);
        return NULL;
    }
    if (!m || (named && !lth_check_name(ctx, op, name))) {
        return NULL;
    }
    lt_module *module = lth_module_new(ctx, m, kind, type, op);
    if (!module) {
        return NULL;
    }
    module->given = named ? lth_arena_strdup(&m->arena, name) : NULL;
    if (named && !module->given) {
        return lth_make_no_memory(ctx, op);
    }
    for (size_t i = 0; i < count; i++) {
        if (!lth_take_item(ctx, op, module, items[i], i, count)) {
            return NULL;
        }
    }
    lth_root_add(m, module);
    return module;
}

lt_module *lth_make_sequential(lt_ctx *ctx, const char *name, lt_module *const *items, size_t count) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_nn_sequential", NULL);
    return make_holder(ctx, LTH_SEQUENTIAL, "Sequential", "lt_nn_sequential", name, items, count, LTH_CALLER);
}

lt_module *lth_make_list(lt_ctx *ctx, const char *name, lt_module *const *items, size_t count) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_nn_module_list", NULL);
    return make_holder(ctx, LTH_GROUP, "ModuleList", "lt_nn_module_list", name, items, count, LTH_CALLER);
}

lt_module *lth_make_group(lt_ctx *ctx, const char *name, const char *type) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_nn_module", NULL);
    lt_module *module = make_holder(ctx, LTH_GROUP, "Module", "lt_nn_module", name, NULL, 0, LTH_CALLER);
    if (module && type && *type) {
        module->type = lth_arena_strdup(&module->owner->arena, type);
        if (!module->type) {
            return lth_make_no_memory(ctx, "lt_nn_module");
        }
    }
    return module;
}

/* A second place for a module: its parameters appear under both names, and are one. */
lt_module *lth_make_share(lt_ctx *ctx, lt_module *module) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_nn_share", NULL);
    lth_modules *m = lth_open_tree(ctx, "lt_nn_share", LTH_CALLER);
    if (m && !module) {
        lth_fail_op(&ctx->error, LT_EINVAL, "lt_nn_share", LTH_CALLER, "lt_nn_share: the module is NULL, and no earlier call failed");
    }
    lt_module *place = m && module ? lth_module_new(ctx, m, LTH_SHARED, module->type, "lt_nn_share") : NULL;
    if (place) {
        place->target = lth_target(module);
    }
    return place;
}

lt_module *lth_make_child(lt_ctx *ctx, const char *name, lt_module *module) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_child", NULL);
    lth_modules *m = lth_open_tree(ctx, "lt_child", LTH_CALLER);
    if (!m || !lth_check_name(ctx, "lt_child", name)) {
        return NULL;
    }
    if (!module) {
        lth_fail_op(&ctx->error, LT_EINVAL, "lt_child", LTH_CALLER, "lt_child: the module to be named '%s' is NULL, and no earlier call failed", name);
        return NULL;
    }
    if (module->given || module->parent) {
        lth_fail_op(&ctx->error, LT_EINVAL, "lt_child", LTH_CALLER, "lt_child: the %s to be named '%s' %s", module->type, name,
                    module->parent ? "already is part of another module; name it before" : "already has a name");
        return NULL;
    }
    module->given = lth_arena_strdup(&m->arena, name);
    if (!module->given) {
        return lth_make_no_memory(ctx, "lt_child");
    }
    lth_root_remove(m, module);
    lth_root_add(m, module);
    return module;
}

/* name NULL: the name that lt_child gave it, or its number among the children. */
lt_module *lth_make_child_of(lt_ctx *ctx, lt_module *parent, const char *name, lt_module *module) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_child_of", NULL);
    lth_modules *m = lth_open_tree(ctx, "lt_child_of", LTH_CALLER);
    if (!m || (name && !lth_check_name(ctx, "lt_child_of", name))) {
        return NULL;
    }
    const char *shown = name ? name : "(its number)";
    if (!module || !parent) {
        lth_fail_op(&ctx->error, LT_EINVAL, "lt_child_of", LTH_CALLER, "lt_child_of: the %s of '%s' is NULL, and no earlier call failed",
                    parent ? "module" : "parent", shown);
        return NULL;
    }
    if (parent->kind != LTH_GROUP) {
        lth_fail_op(&ctx->error, LT_EINVAL, "lt_child_of", LTH_CALLER, "lt_child_of: '%s' cannot go into a %s; only lt_nn_module and "
                    "lt_nn_module_list take children", shown, parent->type);
        return NULL;
    }
    if (module->parent || module == parent || (name && module->given)) {
        lth_fail_op(&ctx->error, LT_EINVAL, "lt_child_of", LTH_CALLER, "lt_child_of: the %s to be named '%s' %s", module->type, shown,
                    module->given ? "already has a name" : "already is part of another module; lt_nn_share gives it a second place");
        return NULL;
    }
    if (name) {
        module->given = lth_arena_strdup(&m->arena, name);
        if (!module->given) {
            return lth_make_no_memory(ctx, "lt_child_of");
        }
    }
    adopt(parent, module);
    return module;
}

/* ---- parameters and buffers by name ---- */
static bool check_shape(lt_ctx *ctx, const char *op, const char *name, int32_t ndim, const int64_t *shape, void *caller) {
    if (ndim < 0 || ndim > LT_MAX_DIMS) {
        lth_fail_op(&ctx->error, LT_EINVAL, op, caller, "%s: '%s' cannot have %d dimensions; 0..%d can be", op, name, ndim, LT_MAX_DIMS);
        return false;
    }
    if (ndim && !shape) {
        lth_fail_op(&ctx->error, LT_EINVAL, op, caller, "%s: '%s' has %d dimensions, but shape is NULL", op, name, ndim);
        return false;
    }
    return true;
}

static lt_tensor *make_parameter(lt_ctx *ctx, lt_module *module, const char *name, lt_dtype dtype, int32_t ndim, const int64_t *shape, double fill,
                                 void *caller) {
    lth_modules *m = lth_open_tree(ctx, "lt_parameter", caller);
    if (!m || !lth_check_name(ctx, "lt_parameter", name)) {
        return NULL;
    }
    if (dtype != LT_F32 && dtype != m->dtype) { /* f32 is "a float": it becomes what trainer.precision says */
        lth_fail_op(&ctx->error, LT_EUNSUPPORTED, "lt_parameter", caller, "lt_parameter: '%s' must be f32 like all parameters, got %s; "
                    "trainer.precision may then make it another", name, lth_dtype_name(dtype));
        return NULL;
    }
    lth_param *p = check_shape(ctx, "lt_parameter", name, ndim, shape, caller) ? lth_param_new(ctx, module, name, ndim, shape, true) : NULL;
    if (!p) {
        return NULL;
    }
    p->fill = fill;
    return p->value;
}

lt_tensor *lth_make_parameter(lt_ctx *ctx, const char *name, lt_dtype dtype, int32_t ndim, const int64_t *shape, double fill) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_parameter", NULL);
    return make_parameter(ctx, NULL, name, dtype, ndim, shape, fill, LTH_CALLER);
}

lt_tensor *lth_make_parameter_of(lt_ctx *ctx, lt_module *module, const char *name, lt_dtype dtype, int32_t ndim, const int64_t *shape, double fill) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_parameter_of", NULL);
    return make_parameter(ctx, module, name, dtype, ndim, shape, fill, LTH_CALLER);
}

lt_tensor *lth_make_buffer(lt_ctx *ctx, lt_module *module, const char *name, lt_dtype dtype, int32_t ndim, const int64_t *shape, double fill) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_buffer", NULL);
    lth_modules *m = lth_open_tree(ctx, "lt_buffer", LTH_CALLER);
    if (!m || !lth_check_name(ctx, "lt_buffer", name) || !check_shape(ctx, "lt_buffer", name, ndim, shape, LTH_CALLER)) {
        return NULL;
    }
    if (!lth_dtype_size(dtype)) {
        lth_fail_op(&ctx->error, LT_EDTYPE, "lt_buffer", LTH_CALLER, "lt_buffer: '%s' has no dtype with the number %d", name, (int)dtype);
        return NULL;
    }
    lth_buffer *b = lth_buffer_new(ctx, module, name, dtype, ndim, shape);
    if (!b || (fill != 0 && lth_buffer_fill(ctx, b, fill) != LT_OK)) {
        return NULL;
    }
    return b->value;
}

/* The place of parameter "weight" or "0.attn.weight", in the tree as it is so far. */
lth_place *lth_find_place(lt_module *module, const char *path, lt_module **holder) {
    module = lth_target(module);
    *holder = module;
    const char *dot = strchr(path, '.');
    if (!dot) {
        for (int32_t k = 0; k < module->places.count; k++) {
            if (!strcmp(module->places.at[k].own, path)) {
                return &module->places.at[k];
            }
        }
        return NULL;
    }
    size_t length = (size_t)(dot - path);
    for (lt_module *child = module->first; child; child = child->next) {
        char number[16];
        snprintf(number, sizeof number, "%d", child->index);
        const char *name = child->given ? child->given : number;
        if (strlen(name) == length && !strncmp(name, path, length)) {
            return lth_find_place(child, dot + 1, holder);
        }
    }
    return NULL;
}

static lth_place *need_place(lt_ctx *ctx, lt_module *module, const char *name, lt_module **holder, void *caller) {
    lth_place *place = module && name ? lth_find_place(module, name, holder) : NULL;
    if (!place) {
        lth_fail_op(&ctx->error, module && name ? LT_EABSENT : LT_EINVAL, "lt_nn_tie", caller, "lt_nn_tie: %s has no parameter '%s'",
                    module ? module->type : "the module, which is NULL,", name ? name : "(null)");
    }
    return place;
}

/* The layer's own parameter goes; what it would have drawn is drawn all the same, as in PyTorch, where it existed before. */
lt_status lth_make_tie(lt_ctx *ctx, lt_module *module, const char *name, lt_module *source, const char *source_name) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_nn_tie", ctx->error.code ? ctx->error.code : LT_ESTATE);
    if (!lth_open_tree(ctx, "lt_nn_tie", LTH_CALLER)) {
        return ctx->error.code;
    }
    lt_module *holder = NULL, *giver = NULL;
    lth_place *to = need_place(ctx, module, name, &holder, LTH_CALLER);
    lth_place *from = to ? need_place(ctx, source, source_name, &giver, LTH_CALLER) : NULL;
    if (!from) {
        return ctx->error.code;
    }
    const lth_array *a = &to->param->value->a, *b = &from->param->value->a;
    if (a->dtype != b->dtype || !lth_same_shape(a, b)) {
        char mine[128], other[128];
        lth_format_shape(mine, sizeof mine, a->shape, a->ndim);
        lth_format_shape(other, sizeof other, b->shape, b->ndim);
        return lth_fail_op(&ctx->error, LT_ESHAPE, "lt_nn_tie", LTH_CALLER, "lt_nn_tie: '%s' %s and '%s' %s must have the same shape", name, mine,
                           source_name, other);
    }
    holder->weight = holder->weight == to->param ? from->param : holder->weight; /* what the layer runs with */
    holder->bias = holder->bias == to->param ? from->param : holder->bias;
    to->param = from->param;
    return LT_OK;
}
