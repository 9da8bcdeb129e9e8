/* engine/ops/apart.c - an operation with an activation that no kernel of the backend fuses, done as several operations that it has fast kernels
 * for; the fallback would fuse it, in naive loops. Each part is recorded for backward like any operation. It chooses no kernel. */
#include "engine/ops/apart.h"

static bool takes_activation(lth_op op) { return op == LTH_OP_LINEAR || op == LTH_OP_CONV2D || op == LTH_OP_BATCH_NORM; }

/* Where the attributes of one that takes an activation hold its number. */
static int place_of(lth_op op) { return op == LTH_OP_LINEAR ? 0 : op == LTH_OP_CONV2D ? 7 : 1; }

bool lth_has_activation(const lth_call *call) { return takes_activation(call->op) && call->attrs->i[place_of(call->op)] != LT_ACT_NONE; }

void lth_activation_defaults(lt_activation act, double *first, double *second) {
    *first = act == LT_ACT_LEAKY_RELU ? 0.01 : 1;
    *second = 20;
}

lt_tensor *lth_activate(lt_ctx *ctx, lt_tensor *x, lt_activation act, double first, double second, void *caller) {
    static const lth_op ops[] = {0, LTH_OP_RELU, LTH_OP_TANH, LTH_OP_SIGMOID, LTH_OP_GELU, LTH_OP_GELU, LTH_OP_LEAKY_RELU, LTH_OP_ELU, LTH_OP_SILU,
                                 LTH_OP_SOFTPLUS, LTH_OP_HARDSWISH};
    const lth_attrs attrs = {.i = {act == LT_ACT_GELU_TANH}, .f = {first, second}};
    return act == LT_ACT_NONE ? x : lth_apply(ctx, ops[act], &x, 1, &attrs, caller);
}

lt_tensor *lth_apply_apart(lt_ctx *ctx, const lth_call *call, lt_tensor *const *in) {
    lth_attrs attrs = *call->attrs;
    const int place = place_of(call->op);
    const lt_activation act = (lt_activation)attrs.i[place];
    const bool pools = call->op == LTH_OP_CONV2D && attrs.i[8];
    const lth_attrs pool = {.i = {attrs.i[8], attrs.i[9], attrs.i[10], attrs.i[11]}};
    attrs.i[place] = LT_ACT_NONE;
    for (int k = 8; pools && k < 12; k++) {
        attrs.i[k] = 0;
    }
    double first, second;
    lth_activation_defaults(act, &first, &second);
    lt_tensor *y = lth_apply(ctx, call->op, in, call->n_in, &attrs, NULL);
    y = y ? lth_activate(ctx, y, act, first, second, NULL) : NULL;
    return y && pools ? lth_apply(ctx, LTH_OP_MAX_POOL2D, &y, 1, &pool, NULL) : y;
}
