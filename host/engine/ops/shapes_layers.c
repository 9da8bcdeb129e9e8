/* engine/ops/shapes_layers.c - shape rules of matrix products, layers, losses and measures. The rest: shapes.c.
 * A refusal names the op, the argument and the shapes, and says what would fit. Rules look at no data and allocate nothing. */
#include "base/str.h"
#include "engine/ops/shapes.h"

static const lth_array *optional(const lth_call *call, int k) { return k < call->n_in ? call->in[k] : NULL; }
static const char *name_of(const lth_call *call) { return lth_call_name(call); }

static lt_status need_length(const lth_call *call, int k, const char *name, int64_t size, const char *why, lth_error *err) {
    const lth_array *v = optional(call, k);
    if (v && (v->ndim != 1 || v->shape[0] != size)) {
        return lth_fail(err, LT_ESHAPE, "%s: %s %s does not fit x %s: %s, so it must be (%lld)", name_of(call), name, lth_call_shape(call, v).text,
                        lth_call_shape(call, call->in[0]).text, why, (long long)size);
    }
    return LT_OK;
}

/* An argument of one dimension, of `size` elements and x's dtype. */
lt_status lth_need_vector(const lth_call *call, int k, const char *name, int64_t size, const char *why, lth_error *err) {
    LTH_GOOD(need_length(call, k, name, size, why, err));
    return optional(call, k) ? lth_need_same_dtype(call, 0, "x", k, name, err) : LT_OK;
}

/* The same of a norm, which takes f32 beside an x of half precision, too: what autocast leaves it with. */
lt_status lth_need_norm_vector(const lth_call *call, int k, const char *name, int64_t size, const char *why, lth_error *err) {
    const lt_dtype x = call->in[0]->dtype;
    LTH_GOOD(need_length(call, k, name, size, why, err));
    const bool either = (x == LT_BF16 || x == LT_F16) && optional(call, k) && optional(call, k)->dtype == LT_F32;
    return optional(call, k) && !either ? lth_need_same_dtype(call, 0, "x", k, name, err) : LT_OK;
}

lt_status lth_shape_matmul(lth_call *call, lth_error *err) {
    const lth_array *a = call->in[0], *b = call->in[1];
    LTH_GOOD(lth_need_float(call, 0, "a", err));
    LTH_GOOD(lth_need_same_dtype(call, 0, "a", 1, "b", err));
    if (a->ndim < 2 || b->ndim < 2) {
        return lth_fail(err, LT_ESHAPE, "matmul: a %s and b %s: both need two dimensions or more", lth_shown(a).text, lth_shown(b).text);
    }
    int64_t N = a->shape[a->ndim - 2], K = a->shape[a->ndim - 1], M = b->shape[b->ndim - 1];
    if (b->shape[b->ndim - 2] != K) {
        return lth_fail(err, LT_ESHAPE, "matmul: a %s does not fit b %s: the last dimension but one of b must be %lld", lth_shown(a).text,
                        lth_shown(b).text, (long long)K);
    }
    int ndim;
    int64_t shape[LT_MAX_DIMS];
    if (!lth_broadcast(a, b, 2, &ndim, shape)) {
        return lth_fail(err, LT_ESHAPE, "matmul: a %s and b %s: their dimensions before the last two do not broadcast", lth_shown(a).text,
                        lth_shown(b).text);
    }
    shape[ndim] = N;
    shape[ndim + 1] = M;
    lth_out_set(call, 0, a->dtype, ndim + 2, shape);
    return LT_OK;
}

lt_status lth_shape_linear(lth_call *call, lth_error *err) {
    const lth_array *x = call->in[0], *w = call->in[1];
    LTH_GOOD(lth_need_float(call, 0, "x", err));
    LTH_GOOD(lth_need_same_dtype(call, 0, "x", 1, "weight", err));
    if (w->ndim != 2) {
        return lth_fail(err, LT_ESHAPE, "linear: weight %s must have two dimensions (out, in)", lth_shown(w).text);
    }
    if (x->ndim < 1 || x->shape[x->ndim - 1] != w->shape[1]) {
        return lth_fail(err, LT_ESHAPE, "linear: x %s does not fit weight %s: the last dimension of x must be %lld", lth_shown(x).text,
                        lth_shown(w).text, (long long)w->shape[1]);
    }
    LTH_GOOD(lth_need_vector(call, 2, "bias", w->shape[0], "weight has that many rows", err));
    lth_out_set(call, 0, x->dtype, x->ndim, x->shape);
    call->out[0]->shape[x->ndim - 1] = w->shape[0];
    return LT_OK;
}

/* ---- images ---- */

static lt_status check_image(const lth_call *call, lth_error *err) {
    LTH_GOOD(lth_need_float(call, 0, "x", err));
    if (call->in[0]->ndim != 4) {
        return lth_fail(err, LT_ESHAPE, "%s: x %s must have four dimensions (N, C, H, W)", name_of(call), lth_call_shape(call, call->in[0]).text);
    }
    return LT_OK;
}

static lt_status no_output(const lth_call *call, int axis, int64_t kernel, lth_error *err) {
    return lth_fail(err, LT_ESHAPE, "%s: x %s is smaller than the kernel: its padded %s is less than %lld", name_of(call),
                    lth_call_shape(call, call->in[0]).text, lth_of_sequences(call) ? "length" : axis ? "width" : "height", (long long)kernel);
}

static lt_status check_conv2d_attrs(const lth_call *call, lth_error *err) {
    const int64_t *i = call->attrs->i;
    for (int axis = 0; axis < 2; axis++) {
        if (i[axis] < 1 || i[2 + axis] < 0 || i[4 + axis] < 1) {
            return lth_fail(err, LT_EINVAL, "%s: stride %lld, padding %lld, dilation %lld: stride and dilation must be 1 or more, padding 0 or more",
                            name_of(call), (long long)i[axis], (long long)i[2 + axis], (long long)i[4 + axis]);
        }
        if (i[8] && (i[8 + axis] < 1 || i[10 + axis] < 1)) {
            return lth_fail(err, LT_EINVAL, "%s: pool kernel %lld, stride %lld: both must be 1 or more", name_of(call), (long long)i[8 + axis],
                            (long long)i[10 + axis]);
        }
    }
    return LT_OK;
}

static lt_status check_conv2d_weight(const lth_call *call, lth_error *err) {
    const lth_array *x = call->in[0], *w = call->in[1];
    int64_t groups = call->attrs->i[6];
    LTH_GOOD(lth_need_same_dtype(call, 0, "x", 1, "weight", err));
    if (w->ndim != 4) {
        return lth_fail(err, LT_ESHAPE, "%s: weight %s must have four dimensions (O, C/groups, kH, kW)", name_of(call), lth_call_shape(call, w).text);
    }
    if (groups < 1 || x->shape[1] % groups || w->shape[0] % groups) {
        return lth_fail(err, LT_EINVAL, "%s: %lld groups do not divide the channels of x %s and weight %s", name_of(call), (long long)groups,
                        lth_call_shape(call, x).text, lth_call_shape(call, w).text);
    }
    if (w->shape[1] * groups != x->shape[1]) {
        return lth_fail(err, LT_ESHAPE, "%s: x %s does not fit weight %s: x must have %lld channels", name_of(call), lth_call_shape(call, x).text,
                        lth_call_shape(call, w).text, (long long)(w->shape[1] * groups));
    }
    if (w->shape[2] < 1 || w->shape[3] < 1) {
        return lth_fail(err, LT_ESHAPE, "%s: weight %s has an empty kernel", name_of(call), lth_call_shape(call, w).text);
    }
    return lth_need_vector(call, 2, "bias", w->shape[0], "weight has that many filters", err);
}

lt_status lth_shape_conv2d(lth_call *call, lth_error *err) {
    const lth_array *x = call->in[0], *w = call->in[1];
    const int64_t *i = call->attrs->i;
    LTH_GOOD(check_image(call, err));
    LTH_GOOD(check_conv2d_attrs(call, err));
    LTH_GOOD(check_conv2d_weight(call, err));
    int64_t shape[4] = {x->shape[0], w->shape[0], 0, 0};
    for (int axis = 0; axis < 2; axis++) {
        int64_t kernel = (w->shape[2 + axis] - 1) * i[4 + axis] + 1, room = x->shape[2 + axis] + 2 * i[2 + axis] - kernel;
        if (room < 0) {
            return no_output(call, axis, kernel, err);
        }
        shape[2 + axis] = room / i[axis] + 1;
        if (i[8]) { /* the fused max-pool */
            int64_t left = shape[2 + axis] - i[8 + axis];
            if (left < 0) {
                return lth_fail(err, LT_ESHAPE, "%s: its output for x %s is smaller than the pool that follows it (%lld)", name_of(call),
                                lth_call_shape(call, x).text, (long long)i[8 + axis]);
            }
            shape[2 + axis] = left / i[10 + axis] + 1;
        }
    }
    lth_out_set(call, 0, x->dtype, 4, shape);
    return LT_OK;
}

lt_status lth_shape_pool2d(lth_call *call, lth_error *err) {
    const lth_array *x = call->in[0];
    const int64_t *i = call->attrs->i;
    LTH_GOOD(check_image(call, err));
    int64_t shape[4] = {x->shape[0], x->shape[1], 0, 0};
    for (int axis = 0; axis < 2; axis++) {
        int64_t kernel = i[axis], stride = i[2 + axis], padding = i[4 + axis];
        if (kernel < 1 || stride < 1 || padding < 0 || padding > kernel / 2) {
            return lth_fail(err, LT_EINVAL, "%s: kernel %lld, stride %lld, padding %lld: kernel and stride must be 1 or more, padding at most half the kernel",
                            name_of(call), (long long)kernel, (long long)stride, (long long)padding);
        }
        /* with ceil_mode the last window may reach over the edge, the only one too */
        int64_t room = x->shape[2 + axis] + 2 * padding - kernel + (i[6] ? stride - 1 : 0), size = room < 0 ? 0 : room / stride + 1;
        if (i[6] && size > 0 && (size - 1) * stride >= x->shape[2 + axis] + padding) {
            size--; /* the last window would begin in the padding on the right */
        }
        if (size < 1) {
            return no_output(call, axis, kernel, err);
        }
        shape[2 + axis] = size;
    }
    lth_out_set(call, 0, x->dtype, 4, shape);
    return LT_OK;
}

/* ---- normalization ---- */

lt_status lth_shape_batch_norm(lth_call *call, lth_error *err) {
    static const char *const names[] = {"x", "weight", "bias", "running_mean", "running_var"};
    const lth_array *x = call->in[0];
    LTH_GOOD(lth_need_float(call, 0, "x", err));
    if (x->ndim < 2) {
        return lth_fail(err, LT_ESHAPE, "batch_norm: x %s must have two dimensions or more (N, C, ...)", lth_shown(x).text);
    }
    for (int k = 1; k < 5; k++) {
        LTH_GOOD(lth_need_norm_vector(call, k, names[k], x->shape[1], "x has that many channels", err));
    }
    const lth_array *residual = optional(call, 5);
    if (residual) {
        LTH_GOOD(lth_need_same_dtype(call, 0, "x", 5, "residual", err));
        if (!lth_same_shape(residual, x)) {
            return lth_fail(err, LT_ESHAPE, "batch_norm: residual %s must have the shape of x %s", lth_shown(residual).text, lth_shown(x).text);
        }
    }
    bool running = optional(call, 3) && optional(call, 4);
    if (!call->attrs->i[0] && !running) {
        return lth_fail(err, LT_EINVAL, "batch_norm: outside of training it needs running_mean and running_var");
    }
    if (call->attrs->i[0] && lth_array_numel(x) == x->shape[1]) {
        return lth_fail(err, LT_ESHAPE, "batch_norm: x %s has one value per channel; training needs more than one", lth_shown(x).text);
    }
    lth_out_set(call, 0, x->dtype, x->ndim, x->shape);
    return LT_OK;
}

lt_status lth_shape_layer_norm(lth_call *call, lth_error *err) {
    const lth_array *x = call->in[0];
    LTH_GOOD(lth_need_float(call, 0, "x", err));
    if (x->ndim < 1) {
        return lth_fail(err, LT_ESHAPE, "layer_norm: x () must have one dimension or more");
    }
    LTH_GOOD(lth_need_norm_vector(call, 1, "weight", x->shape[x->ndim - 1], "the last dimension of x has that size", err));
    LTH_GOOD(lth_need_norm_vector(call, 2, "bias", x->shape[x->ndim - 1], "the last dimension of x has that size", err));
    lth_out_set(call, 0, x->dtype, x->ndim, x->shape);
    return LT_OK;
}

/* ---- losses and measures ---- */

lt_status lth_need_reduction(const lth_call *call, lth_error *err) {
    int64_t reduction = call->attrs->i[0];
    if (reduction != LT_MEAN && reduction != LT_SUM && reduction != LT_NONE) {
        return lth_fail(err, LT_EINVAL, "%s: reduction %lld; use LT_MEAN, LT_SUM or LT_NONE", name_of(call), (long long)reduction);
    }
    return LT_OK;
}

lt_status lth_shape_loss(lth_call *call, lth_error *err) {
    const lth_array *x = call->in[0], *target = call->in[1];
    LTH_GOOD(lth_need_float(call, 0, "x", err));
    LTH_GOOD(lth_need_same_dtype(call, 0, "x", 1, "target", err));
    LTH_GOOD(lth_need_reduction(call, err));
    if (!lth_same_shape(x, target)) { /* PyTorch broadcasts here, with a warning: it is nearly always a mistake */
        return lth_fail(err, LT_ESHAPE, "%s: x %s and target %s must have the same shape; use lt_reshape", name_of(call), lth_shown(x).text,
                        lth_shown(target).text);
    }
    lth_out_set(call, 0, x->dtype, call->attrs->i[0] == LT_NONE ? x->ndim : 0, x->shape);
    return LT_OK;
}

static lt_status check_classes(const lth_call *call, lth_error *err) {
    const lth_array *logits = call->in[0], *target = call->in[1];
    LTH_GOOD(lth_need_float(call, 0, "logits", err));
    LTH_GOOD(lth_need_dtype(call, 1, "target", LT_I64, err));
    if (logits->ndim != 2) {
        return lth_fail(err, LT_ESHAPE, "%s: logits %s must have two dimensions (N, C)", name_of(call), lth_shown(logits).text);
    }
    if (target->ndim != 1 || target->shape[0] != logits->shape[0]) {
        return lth_fail(err, LT_ESHAPE, "%s: target %s does not fit logits %s: target must be (%lld)", name_of(call), lth_shown(target).text,
                        lth_shown(logits).text, (long long)logits->shape[0]);
    }
    return LT_OK;
}

lt_status lth_shape_accuracy(lth_call *call, lth_error *err) {
    LTH_GOOD(check_classes(call, err));
    lth_out_set(call, 0, LT_F32, 0, NULL);
    return LT_OK;
}

/* ---- transformers ---- */

lt_status lth_shape_embedding(lth_call *call, lth_error *err) {
    const lth_array *indices = call->in[0], *w = call->in[1];
    LTH_GOOD(lth_need_dtype(call, 0, "indices", LT_I64, err));
    LTH_GOOD(lth_need_float(call, 1, "weight", err));
    if (w->ndim != 2 || indices->ndim == LT_MAX_DIMS) {
        return lth_fail(err, LT_ESHAPE, "embedding: weight %s must have two dimensions (V, D), indices %s fewer than %d", lth_shown(w).text,
                        lth_shown(indices).text, LT_MAX_DIMS);
    }
    lth_out_set(call, 0, w->dtype, indices->ndim, indices->shape);
    call->out[0]->ndim++;
    call->out[0]->shape[indices->ndim] = w->shape[1];
    return LT_OK;
}

static lt_status check_mask(const lth_call *call, const lth_array *mask, const int64_t *scores, lth_error *err) {
    if (!mask) {
        return LT_OK;
    }
    if (mask->dtype != LT_BOOL && mask->dtype != call->in[0]->dtype) {
        return lth_fail(err, LT_EDTYPE, "%s: mask is %s, but must be bool or %s; use lt_cast", name_of(call), lth_dtype_name(mask->dtype),
                        lth_dtype_name(call->in[0]->dtype));
    }
    bool fits = mask->ndim <= 4;
    for (int d = 0; fits && d < mask->ndim; d++) {
        fits = mask->shape[d] == 1 || mask->shape[d] == scores[4 - mask->ndim + d];
    }
    if (!fits) {
        return lth_fail(err, LT_ESHAPE, "%s: mask %s does not fit: it must broadcast to (%lld, %lld, %lld, %lld)",
                        name_of(call), lth_shown(mask).text, (long long)scores[0], (long long)scores[1], (long long)scores[2],
                        (long long)scores[3]);
    }
    return LT_OK;
}

lt_status lth_shape_attention(lth_call *call, lth_error *err) {
    const lth_array *q = call->in[0], *k = call->in[1], *v = call->in[2];
    LTH_GOOD(lth_need_float(call, 0, "q", err));
    LTH_GOOD(lth_need_same_dtype(call, 0, "q", 1, "k", err));
    LTH_GOOD(lth_need_same_dtype(call, 0, "q", 2, "v", err));
    bool fits = q->ndim == 4 && k->ndim == 4 && v->ndim == 4;
    for (int d = 0; fits && d < 2; d++) {
        fits = q->shape[d] == k->shape[d] && k->shape[d] == v->shape[d];
    }
    if (!fits || q->shape[3] != k->shape[3] || k->shape[2] != v->shape[2]) {
        return lth_fail(err, LT_ESHAPE, "attention: q %s, k %s and v %s do not fit: they must be (B, heads, T, D), with equal B and heads, "
                        "D of q and k, T of k and v", lth_shown(q).text, lth_shown(k).text, lth_shown(v).text);
    }
    const int64_t scores[4] = {q->shape[0], q->shape[1], q->shape[2], k->shape[2]};
    LTH_GOOD(check_mask(call, optional(call, 3), scores, err));
    lth_out_set(call, 0, q->dtype, 4, q->shape);
    call->out[0]->shape[3] = v->shape[3];
    return LT_OK;
}

lt_status lth_shape_self_attention(lth_call *call, lth_error *err) {
    const lth_array *x = call->in[0];
    const int64_t heads = call->attrs->i[1];
    LTH_GOOD(lth_need_float(call, 0, "x", err));
    if (heads < 1) {
        return lth_fail(err, LT_EINVAL, "self_attention: %lld heads; it takes 1 or more", (long long)heads);
    }
    if (x->ndim != 3 || x->shape[2] % (3 * heads)) {
        return lth_fail(err, LT_ESHAPE, "self_attention: x %s must be (B, T, 3 E), E a multiple of the %lld heads: q, k and v side by side",
                        lth_shown(x).text, (long long)heads);
    }
    const int64_t scores[4] = {x->shape[0], heads, x->shape[1], x->shape[1]};
    LTH_GOOD(check_mask(call, optional(call, 1), scores, err));
    lth_out_set(call, 0, x->dtype, 3, x->shape);
    call->out[0]->shape[2] = x->shape[2] / 3;
    return LT_OK;
}
