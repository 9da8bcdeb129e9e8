/* engine/ops/views.c - reshape, permute, slice, expand: new headers on old memory, no kernel. The same function that makes the view of
 * a value makes the view of its gradient (autograd/view_grad.c).
 * A tensor in a blocked layout moves to row-major memory first, so that what is written to the view reaches it; where it cannot, the view is of a
 * copy, marked as such. It refuses, for reshape, strides that no view can have: such a tensor is copied. */
#include "base/str.h"
#include "engine/ops/shapes.h"
#include "engine/ops/views.h"

/* Left-aligned zeroes for what is repeated: new leading dimensions and sizes of 1 that grow. */
static void expand_strides(const lth_array *in, lth_array *out) {
    int added = out->ndim - in->ndim;
    for (int d = 0; d < out->ndim; d++) {
        bool repeated = d < added || (in->shape[d - added] == 1 && out->shape[d] != 1);
        out->strides[d] = repeated ? 0 : in->strides[d - added];
    }
}

/* Strides under which the memory of a strided array is seen in out's shape: runs of dimensions that lie behind one another can be cut
 * and joined anew, as PyTorch's view does. False: there are none, a copy is needed. */
static bool reshape_strides(const lth_array *in, lth_array *out) {
    int d = out->ndim - 1, last = in->ndim - 1;
    int64_t run = 1, given = 1; /* elements of the run in `in`, and of those already handed out */
    if (lth_array_contiguous(in)) {
        lth_array_set_contiguous(out);
        return true;
    }
    for (int k = last; k >= 0; k--) {
        run *= in->shape[k];
        bool ends = k == 0 || (in->shape[k - 1] != 1 && in->strides[k - 1] != run * in->strides[last]);
        while (ends && d >= 0 && (given < run || out->shape[d] == 1)) {
            out->strides[d] = given * in->strides[last];
            given *= out->shape[d--];
        }
        if (ends && given != run) {
            return false;
        }
        if (ends) {
            last = k - 1;
            run = given = 1;
        }
    }
    return d == -1;
}

void lth_view_array(lth_op op, const lth_attrs *attrs, const lth_array *in, lth_array *out) {
    out->data = in->data;
    out->layout = LTH_STRIDED;
    switch (op) {
    case LTH_OP_PERMUTE:
        for (int d = 0; d < out->ndim; d++) {
            out->strides[d] = in->strides[attrs->i[d]];
        }
        break;
    case LTH_OP_SLICE:
        for (int d = 0; d < out->ndim; d++) {
            out->strides[d] = in->strides[d] * (d == attrs->i[0] && attrs->i[3] && out->shape[d] > 1 ? attrs->i[3] : 1);
        }
        if (lth_array_numel(out) > 0) {
            out->data = (char *)in->data + attrs->i[1] * in->strides[attrs->i[0]] * (int64_t)lth_dtype_size(in->dtype);
        }
        break;
    case LTH_OP_EXPAND: expand_strides(in, out); break;
    default: reshape_strides(in, out); break;
    }
}

static bool needs_copy(lth_op op, const lth_array *in, const lth_array *out) {
    lth_array probe = *out;
    return in->layout != LTH_STRIDED || (op == LTH_OP_RESHAPE && !reshape_strides(in, &probe));
}

bool lth_make_strided(lt_ctx *ctx, lt_tensor *x) {
    lth_engine *e = ctx->engine;
    lt_tensor *base = x->base;
    if (x->lasting || x->retained || x->kept || (x->is_leaf && x->requires_grad) || e->walking || (base && base->a.data != x->a.data)) {
        return false;
    }
    if (base && !lth_make_strided(ctx, base)) {
        return false;
    }
    const bool enabled = e->grad_enabled, inference = e->inference;
    e->grad_enabled = true; /* x has its history, whatever is recorded now */
    e->inference = false;
    lt_tensor *y = base ? lth_tensor_alias(e, base, &ctx->error) : lth_apply(ctx, LTH_OP_COPY, &x, 1, NULL, NULL);
    e->grad_enabled = enabled;
    e->inference = inference;
    if (y && !lth_move_history(e, x, y)) {
        lth_fail(&ctx->error, LT_ENOMEM, "out of memory for the tape");
    }
    return ctx->error.code == LT_OK;
}

lt_tensor *lth_apply_view(lt_ctx *ctx, lth_op op, lt_tensor *x, const lth_attrs *attrs) {
    lth_engine *e = ctx->engine;
    if (!x) {
        lth_fail(&ctx->error, LT_EINVAL, "%s: input 0 is NULL, and no earlier call failed", lth_op_name(op));
        return NULL;
    }
    if (x->base && lth_need_fresh_view(ctx, x, lth_op_name(op), &ctx->error) != LT_OK) {
        return NULL;
    }
    lt_tensor *y = lth_tensor_alias(e, x, &ctx->error);
    if (!y) {
        return NULL;
    }
    lth_call call = {.op = op, .n_in = 1, .n_out = 1, .attrs = attrs, .in = {&x->a}, .out = {&y->a}};
    if (lth_ops[op].shape(&call, &ctx->error) != LT_OK || lth_tensor_described(y, &ctx->error) != LT_OK) {
        return NULL;
    }
    if (op == LTH_OP_RESHAPE && lth_same_shape(&x->a, &y->a)) {
        return x;
    }
    const bool blocked = x->a.layout != LTH_STRIDED, moved = blocked && lth_make_strided(ctx, x);
    if (needs_copy(op, &x->a, &y->a)) {
        y->copied = blocked;
        x = lth_contiguous(ctx, x);
    }
    if (!x || ctx->error.code) {
        return NULL;
    }
    if (call.in[0] != &x->a || moved) {
        call.in[0] = &x->a;
        y->base = lth_root(x);
        y->data_home = x->data_home;
    }
    lth_view_array(op, attrs, &x->a, &y->a);
    if (x->requires_grad && e->grad_enabled && !e->inference && !lth_record(e, &call, &x, &y, NULL)) {
        lth_fail(&ctx->error, LT_ENOMEM, "%s: out of memory for the tape", lth_op_name(op));
        return NULL;
    }
    return y;
}

/* ---- conveniences ---- */

/* One size may be -1: it becomes what the others leave. */
static lt_status settle_open_size(const lt_tensor *x, int ndim, const int64_t *shape, int64_t *out, lth_error *err) {
    int open = -1;
    int64_t known = 1, n = lth_numel(x);
    lth_array wanted = {.ndim = (uint8_t)ndim};
    for (int d = 0; d < ndim; d++) {
        wanted.shape[d] = out[d] = shape[d];
        if (shape[d] == -1 && open < 0) {
            open = d;
        } else if (shape[d] < 0 || __builtin_mul_overflow(known, shape[d], &known)) {
            return lth_fail(err, LT_ESHAPE, "reshape: shape %s: one size may be -1, the others must be 0 or more", lth_shown(&wanted).text);
        }
    }
    if (open < 0) {
        return LT_OK;
    }
    if (known == 0 || n % known) {
        return lth_fail(err, LT_ESHAPE, "reshape: x %s has %lld elements, which the known sizes of %s do not divide", lth_shown(&x->a).text,
                        (long long)n, lth_shown(&wanted).text);
    }
    out[open] = n / known;
    return LT_OK;
}

lt_tensor *lth_reshape(lt_ctx *ctx, lt_tensor *x, int ndim, const int64_t *shape) {
    if (!x || ctx->error.code) {
        return NULL;
    }
    if (ndim < 0 || ndim > LT_MAX_DIMS) {
        lth_fail(&ctx->error, LT_ESHAPE, "reshape: %d dimensions; a tensor has 0 to %d", ndim, LT_MAX_DIMS);
        return NULL;
    }
    lth_attrs attrs = {.i = {0, ndim}};
    if (settle_open_size(x, ndim, shape, attrs.i + 2, &ctx->error) != LT_OK) {
        return NULL;
    }
    return lth_apply(ctx, LTH_OP_RESHAPE, &x, 1, &attrs, NULL);
}

lt_tensor *lth_flatten(lt_ctx *ctx, lt_tensor *x, int start_dim) {
    if (!x || ctx->error.code) {
        return NULL;
    }
    int ndim = x->a.ndim, start = start_dim < 0 ? start_dim + ndim : start_dim;
    if (start < 0 || start >= (ndim ? ndim : 1)) {
        lth_fail(&ctx->error, LT_EINDEX, "flatten: x %s has no dimension %d", lth_shown(&x->a).text, start_dim);
        return NULL;
    }
    int64_t shape[LT_MAX_DIMS], rest = 1;
    for (int d = 0; d < ndim; d++) {
        if (d < start) {
            shape[d] = x->a.shape[d];
        } else {
            rest *= x->a.shape[d];
        }
    }
    shape[start] = rest;
    return lth_reshape(ctx, x, start + 1, shape);
}
