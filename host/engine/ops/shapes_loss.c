/* engine/ops/shapes_loss.c - shape rules of the losses; mse_loss and accuracy have theirs in shapes_layers.c.
 * A refusal names the op, the argument and the shapes. Target and input must have one shape: where PyTorch broadcasts, it warns. */
#include "base/str.h"
#include "engine/ops/shapes.h"

static const lth_array *optional(const lth_call *call, int k) { return k < call->n_in ? call->in[k] : NULL; }
static const char *name_of(const lth_call *call) { return lth_op_name(call->op); }

/* An input of x's dtype that broadcasts to x, if it is given. */
static lt_status check_weight(const lth_call *call, int k, const char *name, lth_error *err) {
    const lth_array *x = call->in[0], *w = optional(call, k);
    if (!w) {
        return LT_OK;
    }
    LTH_GOOD(lth_need_same_dtype(call, 0, "x", k, name, err));
    bool fits = w->ndim <= x->ndim;
    for (int d = 0; fits && d < w->ndim; d++) {
        fits = w->shape[d] == 1 || w->shape[d] == x->shape[d + x->ndim - w->ndim];
    }
    if (!fits) {
        return lth_fail(err, LT_ESHAPE, "%s: %s %s does not broadcast to x %s: counted from the end, its sizes must be equal or 1", name_of(call),
                        name, lth_shown(w).text, lth_shown(x).text);
    }
    return LT_OK;
}

static lt_status check_parameter(const lth_call *call, lth_error *err) {
    double f = call->attrs->f[0];
    if (call->op == LTH_OP_SMOOTH_L1_LOSS && !(f >= 0)) {
        return lth_fail(err, LT_EINVAL, "smooth_l1_loss: beta is %g, but must be 0 or more", f);
    }
    if (call->op == LTH_OP_HUBER_LOSS && !(f > 0)) {
        return lth_fail(err, LT_EINVAL, "huber_loss: delta is %g, but must be more than 0", f);
    }
    return LT_OK;
}

lt_status lth_shape_pair_loss(lth_call *call, lth_error *err) {
    const lth_array *x = call->in[0], *target = call->in[1];
    LTH_GOOD(lth_need_float(call, 0, "x", err));
    LTH_GOOD(lth_need_same_dtype(call, 0, "x", 1, "target", err));
    if (call->op != LTH_OP_KL_DIV || call->attrs->i[0] != LT_BATCHMEAN) {
        LTH_GOOD(lth_need_reduction(call, err));
    }
    LTH_GOOD(check_parameter(call, err));
    if (!lth_same_shape(x, target)) {
        return lth_fail(err, LT_ESHAPE, "%s: x %s and target %s must have the same shape; use lt_reshape", name_of(call), lth_shown(x).text,
                        lth_shown(target).text);
    }
    LTH_GOOD(check_weight(call, 2, "weight", err));
    LTH_GOOD(check_weight(call, 3, "pos_weight", err));
    lth_out_set(call, 0, x->dtype, call->attrs->i[0] == LT_NONE ? x->ndim : 0, x->shape);
    return LT_OK;
}

/* x without its classes: (N, C, H, W) -> (N, H, W), (C) -> () */
static lth_array without_classes(const lth_array *x) {
    lth_array rows = *x;
    int dim = x->ndim > 1;
    rows.ndim--;
    for (int d = dim; d < rows.ndim; d++) {
        rows.shape[d] = x->shape[d + 1];
    }
    return rows;
}

static lt_status check_target(const lth_call *call, const lth_array *rows, lth_error *err) {
    const lth_array *x = call->in[0], *target = call->in[1];
    bool soft = call->op == LTH_OP_CROSS_ENTROPY && target->dtype == x->dtype;
    const char *x_name = call->op == LTH_OP_CROSS_ENTROPY ? "logits" : "x";
    if (!soft) {
        LTH_GOOD(lth_need_dtype(call, 1, "target", LT_I64, err));
    }
    if (!lth_same_shape(target, soft ? x : rows)) {
        return lth_fail(err, LT_ESHAPE, "%s: target %s does not fit %s %s: target must be %s", name_of(call), lth_shown(target).text, x_name,
                        lth_shown(x).text, lth_shown(soft ? x : rows).text);
    }
    if (soft && call->attrs->i[1]) {
        return lth_fail(err, LT_EINVAL, "cross_entropy: ignore_index is for labels; target holds probabilities");
    }
    return LT_OK;
}

lt_status lth_shape_cross_entropy(lth_call *call, lth_error *err) {
    const lth_array *x = call->in[0];
    const char *x_name = call->op == LTH_OP_CROSS_ENTROPY ? "logits" : "x";
    LTH_GOOD(lth_need_float(call, 0, x_name, err));
    if (x->ndim < 1) {
        return lth_fail(err, LT_ESHAPE, "%s: %s %s must be (C), (N, C) or (N, C, ...)", name_of(call), x_name, lth_shown(x).text);
    }
    lth_array rows = without_classes(x);
    LTH_GOOD(check_target(call, &rows, err));
    LTH_GOOD(lth_need_reduction(call, err));
    LTH_GOOD(lth_need_vector(call, 2, "weight", x->shape[x->ndim > 1], "that many classes are there", err));
    double smoothing = call->attrs->f[0];
    if (!(smoothing >= 0 && smoothing <= 1)) {
        return lth_fail(err, LT_EINVAL, "cross_entropy: label_smoothing is %g, but must lie between 0 and 1", smoothing);
    }
    lth_out_set(call, 0, x->dtype, call->attrs->i[0] == LT_NONE ? rows.ndim : 0, rows.shape);
    return LT_OK;
}

lt_status lth_shape_cosine(lth_call *call, lth_error *err) {
    const lth_array *a = call->in[0];
    bool loss = call->op == LTH_OP_COSINE_EMBEDDING;
    LTH_GOOD(lth_need_float(call, 0, "a", err));
    LTH_GOOD(lth_need_same_dtype(call, 0, "a", 1, "b", err));
    if (a->ndim < 1 || !lth_same_shape(a, call->in[1]) || (loss && a->ndim > 2)) {
        return lth_fail(err, LT_ESHAPE, "%s: a %s and b %s must have the same shape, %s", name_of(call), lth_shown(a).text,
                        lth_shown(call->in[1]).text, loss ? "(N, D) or (D)" : "of one dimension or more");
    }
    lth_array rows = *a;
    rows.ndim--;
    if (loss) {
        LTH_GOOD(lth_need_same_dtype(call, 0, "a", 2, "target", err));
        LTH_GOOD(lth_need_reduction(call, err));
        if (!lth_same_shape(&rows, call->in[2])) {
            return lth_fail(err, LT_ESHAPE, "%s: target %s does not fit a %s: it must be %s", name_of(call), lth_shown(call->in[2]).text,
                            lth_shown(a).text, lth_shown(&rows).text);
        }
    }
    lth_out_set(call, 0, a->dtype, loss && call->attrs->i[0] != LT_NONE ? 0 : rows.ndim, rows.shape);
    return LT_OK;
}
