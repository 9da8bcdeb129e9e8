/* engine/ops/shapes_index.c - shape rules of indexing, padding, rolling, sorting. The rest: shapes.c, shapes_layers.c.
 * A refusal names the op, the argument and the shapes. Rules look at no data: whether an index lies inside is the kernels' to see. */
#include "base/str.h"
#include "engine/ops/shapes.h"

static const char *name_of(const lth_call *call) { return lth_op_name(call->op); }

/* attrs->i[0] is a dimension of x. */
static lt_status check_dim(const lth_call *call, lth_error *err) {
    int64_t dim = call->attrs->i[0];
    if (dim >= 0 && dim < call->in[0]->ndim) {
        return LT_OK;
    }
    return lth_fail(err, LT_EINDEX, "%s: x %s has no dimension %lld", name_of(call), lth_shown(call->in[0]).text, (long long)dim);
}

/* index must be smaller than or as large as `other` in every dimension, or in every one but `dim`. */
static lt_status check_inside(const lth_call *call, int k, const char *name, int64_t spared, lth_error *err) {
    const lth_array *index = call->in[1], *other = call->in[k];
    bool fits = index->ndim == other->ndim;
    for (int d = 0; fits && d < index->ndim; d++) {
        fits = d == spared || index->shape[d] <= other->shape[d];
    }
    if (fits) {
        return LT_OK;
    }
    return lth_fail(err, LT_ESHAPE, "%s: index %s does not fit %s %s: it must have as many dimensions, and none larger%s", name_of(call),
                    lth_shown(index).text, name, lth_shown(other).text, spared < 0 ? "" : " but that of dim");
}

lt_status lth_shape_gather(lth_call *call, lth_error *err) {
    LTH_GOOD(check_dim(call, err));
    LTH_GOOD(lth_need_dtype(call, 1, "index", LT_I64, err));
    LTH_GOOD(check_inside(call, 0, "x", call->attrs->i[0], err));
    lth_out_set(call, 0, call->in[0]->dtype, call->in[1]->ndim, call->in[1]->shape);
    return LT_OK;
}

lt_status lth_shape_scatter_add(lth_call *call, lth_error *err) {
    LTH_GOOD(check_dim(call, err));
    LTH_GOOD(lth_need_dtype(call, 1, "index", LT_I64, err));
    LTH_GOOD(lth_need_same_dtype(call, 0, "x", 2, "src", err));
    if (call->in[0]->dtype == LT_BOOL) {
        return lth_fail(err, LT_EDTYPE, "scatter_add: x is bool, but must be a number; use lt_cast");
    }
    LTH_GOOD(check_inside(call, 0, "x", call->attrs->i[0], err));
    LTH_GOOD(check_inside(call, 2, "src", -1, err));
    lth_out_set(call, 0, call->in[0]->dtype, call->in[0]->ndim, call->in[0]->shape);
    return LT_OK;
}

lt_status lth_shape_index_select(lth_call *call, lth_error *err) {
    const lth_array *x = call->in[0], *index = call->in[1];
    LTH_GOOD(check_dim(call, err));
    LTH_GOOD(lth_need_dtype(call, 1, "index", LT_I64, err));
    if (index->ndim != 1) {
        return lth_fail(err, LT_ESHAPE, "index_select: index %s must have one dimension", lth_shown(index).text);
    }
    lth_out_set(call, 0, x->dtype, x->ndim, x->shape);
    call->out[0]->shape[call->attrs->i[0]] = index->shape[0];
    return LT_OK;
}

lt_status lth_shape_masked_fill(lth_call *call, lth_error *err) {
    const lth_array *x = call->in[0], *mask = call->in[1];
    LTH_GOOD(lth_need_dtype(call, 1, "mask", LT_BOOL, err));
    bool fits = mask->ndim <= x->ndim;
    for (int d = 0; fits && d < mask->ndim; d++) {
        fits = mask->shape[d] == 1 || mask->shape[d] == x->shape[d + x->ndim - mask->ndim];
    }
    if (!fits) {
        return lth_fail(err, LT_ESHAPE, "masked_fill: mask %s does not broadcast to x %s: counted from the end, its sizes must be equal or 1",
                        lth_shown(mask).text, lth_shown(x).text);
    }
    lth_out_set(call, 0, x->dtype, x->ndim, x->shape);
    return LT_OK;
}

/* How far a mode reaches beyond x along a dimension of size n. */
static int64_t reach(int mode, int64_t n) {
    return mode == LT_PAD_REFLECT ? n - 1 : mode == LT_PAD_CIRCULAR ? n : mode == LT_PAD_REPLICATE && n == 0 ? 0 : INT64_MAX / 4;
}

lt_status lth_shape_pad(lth_call *call, lth_error *err) {
    const lth_array *x = call->in[0];
    const int64_t *i = call->attrs->i;
    int mode = (int)call->attrs->f[1];
    if (mode < LT_PAD_CONSTANT || mode > LT_PAD_CIRCULAR) {
        return lth_fail(err, LT_EINVAL, "pad: mode %d; use LT_PAD_CONSTANT, LT_PAD_REFLECT, LT_PAD_REPLICATE or LT_PAD_CIRCULAR", mode);
    }
    lth_out_set(call, 0, x->dtype, x->ndim, x->shape);
    for (int d = 0; d < x->ndim; d++) {
        int64_t before = i[2 * d], after = i[2 * d + 1], n = x->shape[d], most = reach(mode, n), size;
        if ((before > 0 && before > most) || (after > 0 && after > most)) {
            return lth_fail(err, LT_ESHAPE, "pad: %lld before and %lld after dimension %d of x %s: this mode reaches at most %lld there",
                            (long long)before, (long long)after, d, lth_shown(x).text, (long long)most);
        }
        if (__builtin_add_overflow(n, before, &size) || __builtin_add_overflow(size, after, &size) || size < 0 || before < -n || after < -n) {
            return lth_fail(err, LT_ESHAPE, "pad: %lld before and %lld after leave nothing of dimension %d of x %s", (long long)before,
                            (long long)after, d, lth_shown(x).text);
        }
        call->out[0]->shape[d] = size;
    }
    return LT_OK;
}

lt_status lth_shape_remap(lth_call *call, lth_error *err) {
    const lth_array *x = call->in[0];
    if ((call->op == LTH_OP_TRIL || call->op == LTH_OP_TRIU) && x->ndim < 2) {
        return lth_fail(err, LT_ESHAPE, "%s: x %s must have two dimensions or more", name_of(call), lth_shown(x).text);
    }
    lth_out_set(call, 0, x->dtype, x->ndim, x->shape);
    return LT_OK;
}

lt_status lth_shape_one_hot(lth_call *call, lth_error *err) {
    const lth_array *index = call->in[0];
    LTH_GOOD(lth_need_dtype(call, 0, "index", LT_I64, err));
    if (call->attrs->i[0] < 1) {
        return lth_fail(err, LT_EINVAL, "one_hot: %lld classes; give the number of classes, 1 or more", (long long)call->attrs->i[0]);
    }
    if (index->ndim == LT_MAX_DIMS) {
        return lth_fail(err, LT_ESHAPE, "one_hot: index %s must have fewer than %d dimensions", lth_shown(index).text, LT_MAX_DIMS);
    }
    lth_out_set(call, 0, LT_I64, index->ndim, index->shape);
    call->out[0]->shape[call->out[0]->ndim++] = call->attrs->i[0];
    return LT_OK;
}

lt_status lth_shape_topk(lth_call *call, lth_error *err) {
    const lth_array *x = call->in[0];
    LTH_GOOD(check_dim(call, err));
    int64_t dim = call->attrs->i[0], n = x->shape[dim], k = call->op == LTH_OP_TOPK ? call->attrs->i[2] : n;
    if (k < 0 || k > n) {
        return lth_fail(err, LT_EINDEX, "topk: k is %lld, but dimension %lld of x %s has %lld elements", (long long)k, (long long)dim,
                        lth_shown(x).text, (long long)n);
    }
    lth_out_set(call, 0, x->dtype, x->ndim, x->shape);
    lth_out_set(call, 1, LT_I64, x->ndim, x->shape);
    call->out[0]->shape[dim] = call->out[1]->shape[dim] = k;
    return LT_OK;
}
