/* engine/nn/residual.c - residual blocks: act(items(x) + shortcut(x)). The items run as a sequential's; the sum and a ReLU go into the last
 * of them where that is a batch norm. Refuses sides of different shapes when it runs. */
#include "engine/nn/layer.h"

lt_module *lth_make_residual(lt_ctx *ctx, lt_module *shortcut, lt_activation act, lt_module *const *items, size_t count) {
    static const char op[] = "lt_nn_residual";
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, op, NULL);
    lth_modules *m = lth_open_tree(ctx, op, LTH_CALLER);
    if (!m) {
        return NULL;
    }
    if (count && !items) {
        lth_fail_op(&ctx->error, LT_EINVAL, op, LTH_CALLER, "%s: %zu items given, but items is NULL", op, count);
        return NULL;
    }
    if (act < LT_ACT_NONE || act > LT_ACT_HARDSWISH) {
        lth_fail_op(&ctx->error, LT_EINVAL, op, LTH_CALLER, "%s: no activation has the number %d", op, act);
        return NULL;
    }
    lt_module *module = lth_module_new(ctx, m, LTH_RESIDUAL, "Residual", op);
    for (size_t i = 0; module && i < count; i++) {
        if (!lth_take_item(ctx, op, module, items[i], i, count)) {
            return NULL;
        }
    }
    if (module && shortcut && !lth_take_item(ctx, op, module, shortcut, count, count + 1)) {
        return NULL;
    }
    if (module) {
        module->shortcut = shortcut;
        module->attrs.i[0] = act;
        lth_activation_defaults(act, &module->attrs.f[0], &module->attrs.f[1]);
        lth_root_add(m, module);
    }
    return module;
}

/* The sum of the operation alone would broadcast. */
static bool fit(lt_ctx *ctx, const lt_module *l, const lt_tensor *x, const lt_tensor *beside, void *caller) {
    const lth_array *a = &x->a, *b = &beside->a;
    const bool same = lth_same_shape(a, b);
    if (!same) {
        char mine[128], other[128];
        lth_format_shape(mine, sizeof mine, a->shape, a->ndim);
        lth_format_shape(other, sizeof other, b->shape, b->ndim);
        lth_fail_op(&ctx->error, LT_ESHAPE, "lt_forward", caller, "residual %s: its items give %s, and what is beside them is %s", l->name, mine, other);
    }
    return same;
}

static lt_tensor *add_and_act(lt_ctx *ctx, const lt_module *l, lt_tensor *x, lt_tensor *beside, void *caller) {
    lt_tensor *in[2] = {x, beside};
    lt_tensor *sum = x && beside && fit(ctx, l, x, beside, caller) ? lth_apply(ctx, LTH_OP_ADD, in, 2, NULL, caller) : NULL;
    return sum ? lth_run_activation(ctx, l, sum, caller) : NULL;
}

/* One by one: a summary shows every module's shapes. */
static lt_tensor *run_apart(lt_ctx *ctx, const lt_module *l, lt_tensor *x, void *caller) {
    lt_tensor *y = x;
    for (lt_module *child = l->first; child && y; child = child->next) {
        y = child == l->shortcut ? y : lth_module_forward(ctx, child, y, caller);
    }
    lt_tensor *beside = l->shortcut ? lth_module_forward(ctx, l->shortcut, x, caller) : x;
    return add_and_act(ctx, l, y, beside, caller);
}

/* In PyTorch's order: the items, then the shortcut. Only the last item waits for both. */
lt_tensor *lth_run_residual(lt_ctx *ctx, const lt_module *l, lt_tensor *x, void *caller) {
    if (l->owner->recording) {
        return run_apart(ctx, l, x, caller);
    }
    const lth_fused *last = l->n_steps ? &l->steps[l->n_steps - 1] : NULL;
    const int64_t act = l->attrs.i[0];
    const bool fuses = last && last->module->kind == LTH_BATCH_NORM_LAYER && !last->act && (act == LT_ACT_NONE || act == LT_ACT_RELU);
    lt_tensor *y = x;
    for (int64_t k = 0; k < l->n_steps - fuses && y; k++) {
        y = lth_run_step(ctx, &l->steps[k], y, caller);
    }
    lt_tensor *beside = l->shortcut && y ? lth_module_forward(ctx, l->shortcut, x, caller) : x;
    if (!fuses) {
        return add_and_act(ctx, l, y, beside, caller);
    }
    return y && beside && fit(ctx, l, y, beside, caller) ? lth_run_batch_norm(ctx, last->module, y, beside, act, caller) : NULL;
}
