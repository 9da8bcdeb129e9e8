/* engine/ops/shapes.c - shape rules of elementwise operations, reductions, views and joins; layers have theirs in shapes_layers.c.
 * A refusal names the op, the argument and the shapes, and says what would fit. Rules look at no data and allocate nothing. */
#include "engine/ops/shapes.h"
#include "base/str.h"
#include <math.h>
#include <string.h>

lth_shape_text lth_shown(const lth_array *a) {
    lth_shape_text shown;
    lth_format_shape(shown.text, sizeof shown.text, a->shape, a->ndim);
    return shown;
}

static const char *name_of_sequences(lth_op op) {
    switch (op) {
    case LTH_OP_CONV2D: return "conv1d";
    case LTH_OP_CONV_TRANSPOSE2D: return "conv_transpose1d";
    case LTH_OP_MAX_POOL2D: return "max_pool1d";
    case LTH_OP_AVG_POOL2D: return "avg_pool1d";
    case LTH_OP_ADAPTIVE_AVG_POOL2D: return "adaptive_avg_pool1d";
    default: return NULL;
    }
}
bool lth_of_sequences(const lth_call *call) { return name_of_sequences(call->op) && call->attrs->i[LTH_OF_SEQUENCES]; }
const char *lth_call_name(const lth_call *call) { return lth_of_sequences(call) ? name_of_sequences(call->op) : lth_op_name(call->op); }
lth_shape_text lth_call_shape(const lth_call *call, const lth_array *a) {
    lth_array sequence = *a;
    if (lth_of_sequences(call) && a->ndim == 4) {
        sequence.ndim = 3;
        sequence.shape[2] = a->shape[3];
    }
    return lth_shown(&sequence);
}

static inline void copy_dims(int64_t *to, const int64_t *from, int n) {
    for (int d = 0; d < n; d++) {
        to[d] = from[d];
    }
}

void lth_out_set(lth_call *call, int k, lt_dtype dtype, int ndim, const int64_t *shape) {
    lth_array *out = call->out[k];
    out->dtype = dtype;
    out->ndim = (uint8_t)ndim;
    copy_dims(out->shape, shape, ndim);
}

/* ---- dtypes ---- */

lt_status lth_need_float(const lth_call *call, int k, const char *name, lth_error *err) {
    if (lth_is_float(call->in[k]->dtype)) {
        return LT_OK;
    }
    return lth_fail(err, LT_EDTYPE, "%s: %s is %s, but must be a float; use lt_cast", lth_call_name(call), name,
                    lth_dtype_name(call->in[k]->dtype));
}

lt_status lth_need_dtype(const lth_call *call, int k, const char *name, lt_dtype dtype, lth_error *err) {
    if (call->in[k]->dtype == dtype) {
        return LT_OK;
    }
    return lth_fail(err, LT_EDTYPE, "%s: %s is %s, but must be %s; use lt_cast", lth_call_name(call), name,
                    lth_dtype_name(call->in[k]->dtype), lth_dtype_name(dtype));
}

lt_status lth_need_same_dtype(const lth_call *call, int a, const char *name_a, int b, const char *name_b, lth_error *err) {
    if (call->in[a]->dtype == call->in[b]->dtype) {
        return LT_OK;
    }
    return lth_fail(err, LT_EDTYPE, "%s: %s is %s and %s is %s, but they must be the same; use lt_cast", lth_call_name(call), name_a,
                    lth_dtype_name(call->in[a]->dtype), name_b, lth_dtype_name(call->in[b]->dtype));
}

/* ---- one input ---- */

static lt_status check_same(const lth_call *call, lth_error *err) {
    switch (call->op) {
    case LTH_OP_COPY: return LT_OK;
    case LTH_OP_NEG:
    case LTH_OP_ABS:
    case LTH_OP_RELU:
    case LTH_OP_ADD_SCALAR:
    case LTH_OP_MUL_SCALAR:
    case LTH_OP_SQUARE:
    case LTH_OP_SIGN:
    case LTH_OP_CLAMP:
        if (call->in[0]->dtype == LT_BOOL) {
            return lth_fail(err, LT_EDTYPE, "%s: x is bool, but must be a number; use lt_cast", lth_op_name(call->op));
        }
        return LT_OK;
    default: return lth_need_float(call, 0, "x", err);
    }
}

lt_status lth_shape_same(lth_call *call, lth_error *err) {
    const lth_array *x = call->in[0];
    LTH_GOOD(check_same(call, err));
    if (call->op == LTH_OP_SOFTMAX || call->op == LTH_OP_LOG_SOFTMAX) {
        int64_t dim = call->attrs->i[0];
        if (dim < 0 || dim >= (x->ndim ? x->ndim : 1)) {
            return lth_fail(err, LT_EINDEX, "%s: x %s has no dimension %lld", lth_op_name(call->op), lth_shown(x).text, (long long)dim);
        }
    }
    if (call->op == LTH_OP_DROPOUT && !(call->attrs->f[0] >= 0 && call->attrs->f[0] <= 1)) {
        return lth_fail(err, LT_EINVAL, "dropout: p is %g, but must lie between 0 and 1", call->attrs->f[0]);
    }
    if (call->op == LTH_OP_CLAMP && (isnan(call->attrs->f[0]) || isnan(call->attrs->f[1]))) {
        return lth_fail(err, LT_EINVAL, "clamp: a bound is NaN; give an infinite one for no bound");
    }
    if (call->op == LTH_OP_SOFTPLUS && !(call->attrs->f[0] > 0)) {
        return lth_fail(err, LT_EINVAL, "softplus: beta is %g, but must be more than 0", call->attrs->f[0]);
    }
    lth_out_set(call, 0, x->dtype, x->ndim, x->shape);
    return LT_OK;
}

lt_status lth_shape_cast(lth_call *call, lth_error *err) {
    lt_dtype dtype = (lt_dtype)call->attrs->i[0];
    if (!lth_dtype_size(dtype)) {
        return lth_fail(err, LT_EDTYPE, "cast: %d is no dtype; use LT_F32, LT_I64, ...", (int)dtype);
    }
    lth_out_set(call, 0, dtype, call->in[0]->ndim, call->in[0]->shape);
    return LT_OK;
}

lt_status lth_shape_given(lth_call *call, lth_error *err) {
    const int64_t *i = call->attrs->i;
    if (!lth_dtype_size((lt_dtype)i[0])) {
        return lth_fail(err, LT_EDTYPE, "%s: %d is no dtype; use LT_F32, LT_I64, ...", lth_op_name(call->op), (int)i[0]);
    }
    if (i[1] < 0 || i[1] > LT_MAX_DIMS) {
        return lth_fail(err, LT_ESHAPE, "%s: %lld dimensions; a tensor has 0 to %d", lth_op_name(call->op), (long long)i[1], LT_MAX_DIMS);
    }
    lth_out_set(call, 0, (lt_dtype)i[0], (int)i[1], i + 2);
    return LT_OK;
}

/* ---- broadcasting ---- */

bool lth_broadcast(const lth_array *a, const lth_array *b, int keep, int *ndim, int64_t *shape) {
    int na = a->ndim - keep, nb = b->ndim - keep, n = na > nb ? na : nb;
    *ndim = n;
    for (int d = 0; d < n; d++) {
        int64_t sa = d < n - na ? 1 : a->shape[d - (n - na)], sb = d < n - nb ? 1 : b->shape[d - (n - nb)];
        if (sa != sb && sa != 1 && sb != 1) {
            return false;
        }
        shape[d] = sa == 1 ? sb : sa;
    }
    return true;
}

static lt_status broadcast_as(lth_call *call, lt_dtype dtype, lth_error *err) {
    const lth_array *a = call->in[0], *b = call->in[1];
    int ndim;
    int64_t shape[LT_MAX_DIMS];
    LTH_GOOD(lth_need_same_dtype(call, 0, "a", 1, "b", err));
    if (!lth_broadcast(a, b, 0, &ndim, shape)) {
        return lth_fail(err, LT_ESHAPE, "%s: a %s and b %s do not broadcast: counted from the end, sizes must be equal or 1",
                        lth_op_name(call->op), lth_shown(a).text, lth_shown(b).text);
    }
    lth_out_set(call, 0, dtype, ndim, shape);
    return LT_OK;
}

lt_status lth_shape_broadcast(lth_call *call, lth_error *err) {
    if (call->in[0]->dtype == LT_BOOL) {
        return lth_fail(err, LT_EDTYPE, "%s: a is bool, but must be a number; use lt_cast", lth_op_name(call->op));
    }
    if (call->op == LTH_OP_DIV || call->op == LTH_OP_POW) {
        LTH_GOOD(lth_need_float(call, 0, "a", err));
    }
    return broadcast_as(call, call->in[0]->dtype, err);
}

lt_status lth_shape_compare(lth_call *call, lth_error *err) { return broadcast_as(call, LT_BOOL, err); }

/* ---- reductions ---- */

lt_status lth_reduce_to(lth_call *call, lt_dtype dtype, lth_error *err) {
    const lth_array *x = call->in[0];
    const int64_t *i = call->attrs->i;
    unsigned reduced = 0;
    if (i[0] < 0 || i[0] > LT_MAX_DIMS) {
        return lth_fail(err, LT_EINVAL, "%s: %lld dimensions given", lth_op_name(call->op), (long long)i[0]);
    }
    for (int k = 0; k < i[0]; k++) {
        int64_t dim = i[1 + k];
        bool scalar = x->ndim == 0 && dim == 0; /* PyTorch lets a scalar be reduced over dimension 0 */
        if (!scalar && (dim < 0 || dim >= x->ndim)) {
            return lth_fail(err, LT_EINDEX, "%s: x %s has no dimension %lld", lth_op_name(call->op), lth_shown(x).text, (long long)dim);
        }
        if (reduced >> dim & 1) {
            return lth_fail(err, LT_EINVAL, "%s: dimension %lld is given twice", lth_op_name(call->op), (long long)dim);
        }
        reduced |= 1u << dim;
    }
    if (i[0] == 0) {
        reduced = ~0u;
    }
    int64_t shape[LT_MAX_DIMS];
    int ndim = 0;
    for (int d = 0; d < x->ndim; d++) {
        bool gone = reduced >> d & 1;
        if (!gone || i[9]) {
            shape[ndim++] = gone ? 1 : x->shape[d];
        }
    }
    lth_out_set(call, 0, dtype, ndim, shape);
    return LT_OK;
}

lt_status lth_shape_reduce(lth_call *call, lth_error *err) {
    lt_dtype dtype = call->in[0]->dtype;
    if (call->op != LTH_OP_SUM && call->op != LTH_OP_PROD) {
        LTH_GOOD(lth_need_float(call, 0, "x", err));
    }
    return lth_reduce_to(call, lth_is_float(dtype) ? dtype : LT_I64, err); /* whole numbers add up in i64, as in PyTorch */
}

lt_status lth_shape_argreduce(lth_call *call, lth_error *err) {
    const lth_array *x = call->in[0];
    LTH_GOOD(lth_reduce_to(call, LT_I64, err));
    if (call->attrs->i[0] == 1 && x->ndim > 0 && x->shape[call->attrs->i[1]] == 0) {
        return lth_fail(err, LT_ESHAPE, "%s: x %s is empty along dimension %lld", lth_op_name(call->op), lth_shown(x).text,
                        (long long)call->attrs->i[1]);
    }
    return LT_OK;
}

/* ---- views ---- */

static lt_status check_reshape(const lth_call *call, const lth_array *to, lth_error *err) {
    const lth_array *x = call->in[0];
    if (lth_array_numel(x) != lth_array_numel(to)) {
        return lth_fail(err, LT_ESHAPE, "reshape: x %s has %lld elements, shape %s would have %lld", lth_shown(x).text,
                        (long long)lth_array_numel(x), lth_shown(to).text, (long long)lth_array_numel(to));
    }
    return LT_OK;
}

static lt_status check_expand(const lth_call *call, const lth_array *to, lth_error *err) {
    const lth_array *x = call->in[0];
    int added = to->ndim - x->ndim;
    for (int d = 0; added >= 0 && d < x->ndim; d++) {
        if (x->shape[d] != to->shape[d + added] && x->shape[d] != 1) {
            added = -1;
        }
    }
    if (added < 0) {
        return lth_fail(err, LT_ESHAPE, "expand: x %s does not broadcast to %s: counted from the end, sizes must be equal or 1 in x",
                        lth_shown(x).text, lth_shown(to).text);
    }
    return LT_OK;
}

lt_status lth_shape_given_view(lth_call *call, lth_error *err) {
    const int64_t *i = call->attrs->i;
    if (i[1] < 0 || i[1] > LT_MAX_DIMS) {
        return lth_fail(err, LT_ESHAPE, "%s: %lld dimensions; a tensor has 0 to %d", lth_op_name(call->op), (long long)i[1], LT_MAX_DIMS);
    }
    lth_array to = {.ndim = (uint8_t)i[1]};
    for (int d = 0; d < to.ndim; d++) {
        to.shape[d] = i[2 + d];
        if (to.shape[d] < 0) {
            return lth_fail(err, LT_ESHAPE, "%s: size %lld of dimension %d is negative", lth_op_name(call->op), (long long)to.shape[d], d);
        }
    }
    LTH_GOOD(call->op == LTH_OP_RESHAPE ? check_reshape(call, &to, err) : check_expand(call, &to, err));
    lth_out_set(call, 0, call->in[0]->dtype, to.ndim, to.shape);
    return LT_OK;
}

lt_status lth_shape_permute(lth_call *call, lth_error *err) {
    const lth_array *x = call->in[0];
    int64_t shape[LT_MAX_DIMS];
    unsigned seen = 0;
    for (int d = 0; d < x->ndim; d++) {
        int64_t from = call->attrs->i[d];
        if (from < 0 || from >= x->ndim || seen >> from & 1) {
            return lth_fail(err, LT_EINVAL, "permute: dims must name each of the %d dimensions of x %s once; number %d is %lld", x->ndim,
                            lth_shown(x).text, d, (long long)from);
        }
        seen |= 1u << from;
        shape[d] = x->shape[from];
    }
    lth_out_set(call, 0, x->dtype, x->ndim, shape);
    return LT_OK;
}

lt_status lth_shape_slice(lth_call *call, lth_error *err) {
    const lth_array *x = call->in[0];
    int64_t dim = call->attrs->i[0], start = call->attrs->i[1], end = call->attrs->i[2];
    if (dim < 0 || dim >= x->ndim) {
        return lth_fail(err, LT_EINDEX, "slice: x %s has no dimension %lld", lth_shown(x).text, (long long)dim);
    }
    if (start < 0 || end < start || end > x->shape[dim]) {
        return lth_fail(err, LT_EINDEX, "slice: %lld to %lld does not lie in dimension %lld of x %s", (long long)start, (long long)end,
                        (long long)dim, lth_shown(x).text);
    }
    lth_out_set(call, 0, x->dtype, x->ndim, x->shape);
    int64_t step = call->attrs->i[3] ? call->attrs->i[3] : 1;
    if (step < 1) {
        return lth_fail(err, LT_EINVAL, "slice: step %lld, but must be 1 or more", (long long)step);
    }
    call->out[0]->shape[dim] = (end - start) / step + ((end - start) % step != 0);
    return LT_OK;
}

lt_status lth_shape_cat(lth_call *call, lth_error *err) {
    const lth_array *first = call->in[0];
    int64_t dim = call->attrs->i[0], total = 0;
    if (dim < 0 || dim >= first->ndim) {
        return lth_fail(err, LT_EINDEX, "cat: items %s have no dimension %lld", lth_shown(first).text, (long long)dim);
    }
    for (int k = 0; k < call->n_in; k++) {
        const lth_array *x = call->in[k];
        bool fits = x->ndim == first->ndim;
        for (int d = 0; fits && d < x->ndim; d++) {
            fits = d == dim || x->shape[d] == first->shape[d];
        }
        if (!fits) {
            return lth_fail(err, LT_ESHAPE, "cat: item %d %s does not fit item 0 %s: all sizes but that of dimension %lld must be equal", k,
                            lth_shown(x).text, lth_shown(first).text, (long long)dim);
        }
        if (x->dtype != first->dtype) {
            return lth_fail(err, LT_EDTYPE, "cat: item %d is %s and item 0 is %s, but they must be the same; use lt_cast", k,
                            lth_dtype_name(x->dtype), lth_dtype_name(first->dtype));
        }
        total += x->shape[dim];
    }
    lth_out_set(call, 0, first->dtype, first->ndim, first->shape);
    call->out[0]->shape[dim] = call->attrs->i[2] ? call->attrs->i[2] : total;
    return LT_OK;
}
