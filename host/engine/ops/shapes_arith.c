/* engine/ops/shapes_arith.c - shape rules of choices and of reductions that look for an element: where, logical_not, max, min, cumsum.
 * What adds, compares or averages is in shapes.c. Rules look at no data and allocate nothing. */
#include "base/str.h"
#include "engine/ops/shapes.h"

lt_status lth_shape_to_bool(lth_call *call, lth_error *err) {
    (void)err;
    lth_out_set(call, 0, LT_BOOL, call->in[0]->ndim, call->in[0]->shape);
    return LT_OK;
}

lt_status lth_shape_where(lth_call *call, lth_error *err) {
    const lth_array *condition = call->in[0], *a = call->in[1], *b = call->in[2];
    lth_array both = {0};
    int ndim;
    int64_t shape[LT_MAX_DIMS];
    LTH_GOOD(lth_need_dtype(call, 0, "condition", LT_BOOL, err));
    LTH_GOOD(lth_need_same_dtype(call, 1, "a", 2, "b", err));
    bool fits = lth_broadcast(a, b, 0, &ndim, both.shape);
    both.ndim = (uint8_t)ndim;
    if (!fits || !lth_broadcast(condition, &both, 0, &ndim, shape)) {
        return lth_fail(err, LT_ESHAPE, "where: condition %s, a %s and b %s do not broadcast: counted from the end, sizes must be equal or 1",
                        lth_shown(condition).text, lth_shown(a).text, lth_shown(b).text);
    }
    lth_out_set(call, 0, a->dtype, ndim, shape);
    return LT_OK;
}

/* Nothing is the largest of nothing. */
static lt_status check_filled(const lth_call *call, lth_error *err) {
    const lth_array *x = call->in[0];
    const int64_t *i = call->attrs->i;
    for (int k = 0; k < (i[0] ? i[0] : x->ndim); k++) {
        int64_t dim = i[0] ? i[1 + k] : k;
        if (x->ndim && x->shape[dim] == 0) {
            return lth_fail(err, LT_ESHAPE, "%s: x %s is empty along dimension %lld", lth_op_name(call->op), lth_shown(x).text, (long long)dim);
        }
    }
    return LT_OK;
}

lt_status lth_shape_extreme(lth_call *call, lth_error *err) {
    LTH_GOOD(lth_reduce_to(call, call->in[0]->dtype, err));
    return check_filled(call, err);
}

lt_status lth_shape_extreme_along(lth_call *call, lth_error *err) {
    if (call->attrs->i[0] != 1) {
        return lth_fail(err, LT_EINVAL, "%s: one dimension must be given, not %lld", lth_op_name(call->op), (long long)call->attrs->i[0]);
    }
    LTH_GOOD(lth_shape_extreme(call, err));
    lth_out_set(call, 1, LT_I64, call->out[0]->ndim, call->out[0]->shape);
    return LT_OK;
}

lt_status lth_shape_cumsum(lth_call *call, lth_error *err) {
    const lth_array *x = call->in[0];
    int64_t dim = call->attrs->i[0];
    if (dim < 0 || dim >= (x->ndim ? x->ndim : 1)) {
        return lth_fail(err, LT_EINDEX, "cumsum: x %s has no dimension %lld", lth_shown(x).text, (long long)dim);
    }
    lth_out_set(call, 0, lth_is_float(x->dtype) ? x->dtype : LT_I64, x->ndim, x->shape);
    return LT_OK;
}
