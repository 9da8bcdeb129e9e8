/* engine/nn/make.c - what every maker of modules shares: the tree being made, a new module, its parameters and buffers, checks of numbers
 * and options. Only in `configure`. Draws nothing and lays out nothing: the seal does. Families: make_layers.c, make_tree.c, ... */
#include "base/mem.h"
#include "base/str.h"
#include "engine/nn/layer.h"
#include <math.h>
#include <string.h>

lth_modules *lth_open_tree(lt_ctx *ctx, const char *op, void *caller) {
    lth_modules *m = ctx->modules;
    if (!m || !ctx->in_configure || m->sealed) {
        lth_fail_op(&ctx->error, LT_ESTATE, op, caller, "%s: modules and parameters are made only in the model's configure", op);
        return NULL;
    }
    return m;
}

void *lth_make_no_memory(lt_ctx *ctx, const char *op) {
    lth_fail_op(&ctx->error, LT_ENOMEM, op, NULL, "%s: out of memory", op);
    return NULL;
}

lt_module *lth_module_new(lt_ctx *ctx, lth_modules *m, lth_layer_kind kind, const char *type, const char *op) {
    lt_module *module = lth_arena_alloc(&m->arena, sizeof *module);
    if (!module) {
        return lth_make_no_memory(ctx, op);
    }
    module->kind = kind;
    module->type = type;
    module->owner = m;
    module->training = m->training;
    module->number = -1;
    *(m->made ? &m->last_made->next_made : &m->made) = module;
    m->last_made = module;
    return module;
}

/* Room for one more; the old array stays in the arena, which is fine for lists of a few. */
static bool places_grow(lth_modules *m, lth_places *places) {
    if (places->count < places->room) {
        return true;
    }
    int32_t room = places->room ? 2 * places->room : 4;
    lth_place *grown = lth_arena_alloc(&m->arena, (size_t)room * sizeof *grown);
    if (!grown) {
        return false;
    }
    if (places->count) {
        memcpy(grown, places->at, (size_t)places->count * sizeof *grown);
    }
    places->at = grown;
    places->room = room;
    return true;
}

/* The seal gives it a window in the flat block. Until then a layer's parameter has no values, and one that the plugin holds in its
 * hands (`visible`) has memory of its own. */
lth_param *lth_param_new(lt_ctx *ctx, lt_module *module, const char *name, int ndim, const int64_t *shape, bool visible) {
    static double nothing[8];
    lth_modules *m = ctx->modules;
    lth_places *places = module ? &module->places : &m->own;
    lth_param *p = lth_arena_alloc(&m->arena, sizeof *p);
    const char *own = lth_arena_strdup(&m->arena, name);
    if (!p || !own || !places_grow(m, places)) {
        return lth_make_no_memory(ctx, "lt_parameter");
    }
    p->value = lth_tensor_lasting(m->engine, m->dtype, ndim, shape, visible ? NULL : nothing, &ctx->error);
    if (!p->value) {
        return NULL;
    }
    p->name = own;
    p->module = module;
    p->n = lth_numel(p->value);
    p->value->requires_grad = p->value->is_leaf = 1;
    p->next_made = m->made_params;
    m->made_params = p;
    lth_draws *draws = module ? &module->draws : &m->draws;
    *(draws->first ? &draws->last->next : &draws->first) = p;
    draws->last = p;
    places->at[places->count++] = (lth_place){.own = own, .param = p};
    return p;
}

lth_param *lth_layer_param(lt_ctx *ctx, lt_module *module, const char *name, int ndim, const int64_t *shape) {
    return lth_param_new(ctx, module, name, ndim, shape, false);
}

lth_buffer *lth_buffer_new(lt_ctx *ctx, lt_module *module, const char *name, lt_dtype dtype, int ndim, const int64_t *shape) {
    lth_modules *m = ctx->modules;
    lth_buffer *b = lth_arena_alloc(&m->arena, sizeof *b), **first = module ? &module->buffers : &m->own_buffers;
    const char *own = lth_arena_strdup(&m->arena, name);
    if (!b || !own) {
        return lth_make_no_memory(ctx, "lt_buffer");
    }
    *b = (lth_buffer){.own = own, .module = module, .value = lth_tensor_lasting(m->engine, dtype, ndim, shape, NULL, &ctx->error)};
    if (!b->value) {
        return NULL;
    }
    b->next_made = m->made_buffers;
    m->made_buffers = b;
    while (*first) {
        first = &(*first)->next;
    }
    *first = b;
    return b;
}

/* Every element, whatever the device. */
lt_status lth_buffer_fill(lt_ctx *ctx, lth_buffer *b, double value) {
    int64_t n = lth_numel(b->value);
    size_t size = lth_dtype_size(b->value->a.dtype);
    char *host = lth_alloc((size_t)n * size + 1);
    if (!host) {
        lth_make_no_memory(ctx, "lt_buffer");
        return ctx->error.code;
    }
    for (int64_t i = 0; i < n; i++) {
        lth_element_set(b->value->a.dtype, host, i, value);
    }
    lt_status status = n ? lth_tensor_from_host(b->value, host, (size_t)n * size, &ctx->error) : LT_OK;
    lth_free(host);
    return status;
}

bool lth_in_range(lt_ctx *ctx, const char *op, const char *what, int64_t value, int64_t low) {
    if (value > INT32_MAX) {
        lth_fail_op(&ctx->error, LT_EINVAL, op, NULL, "%s: %s must be at most %d, got %lld", op, what, INT32_MAX, (long long)value);
        return false;
    }
    if (value < low) {
        lth_fail_op(&ctx->error, LT_EINVAL, op, NULL, "%s: %s must be at least %lld, got %lld", op, what, (long long)low, (long long)value);
        return false;
    }
    return true;
}

bool lth_good_eps(lt_ctx *ctx, const char *op, const char *what, double eps, void *caller) {
    if (!(eps >= 0 && isfinite(eps))) {
        lth_fail_op(&ctx->error, LT_EINVAL, op, caller, "%s: %s must be a positive number, got %g", op, what, eps);
        return false;
    }
    return true;
}

/* What may stand between the dots of a state_dict key and be a link in a file. */
bool lth_name_valid(const char *name) {
    if (!name || !*name) {
        return false;
    }
    for (const unsigned char *c = (const unsigned char *)name; *c; c++) {
        if (*c <= ' ' || *c == '.' || *c == '/' || *c == '%' || *c == 127) {
            return false;
        }
    }
    return true;
}

bool lth_check_name(lt_ctx *ctx, const char *op, const char *name) {
    if (lth_name_valid(name)) {
        return true;
    }
    lth_fail_op(&ctx->error, LT_EINVAL, op, NULL, "%s: '%s' is no name; it must be without '.', '/', '%%', spaces and control characters", op,
                name ? name : "(null)");
    return false;
}
