/* backends/cpu/reduce_more.c - max, min, variance, product and log-sum-exp over any dimensions, by folding tiles; and what reductions share.
 * Refuses whole numbers and what is empty; the gradient of a product is the fallback's. */
#include "engine/backends/cpu/walk.h"
#include <math.h>

unsigned lth_reduced_mask(const lth_call *call) {
    unsigned mask = 0;
    for (int k = 0; k < call->attrs->i[0]; k++) {
        mask |= 1u << call->attrs->i[1 + k];
    }
    return call->attrs->i[0] ? mask : (1u << call->in[0]->ndim) - 1;
}
bool lth_dense(const lth_array *x) {
    lth_nest nest;
    lth_nest_init(&nest, x->ndim, x->shape);
    lth_nest_add(&nest, x);
    lth_nest_join(&nest);
    return lth_nest_dense(&nest, 0);
}
bool lth_folds_take(const lth_call *call) {
    const lth_array *x = call->in[0];
    return x->layout == LTH_STRIDED && lth_class_of(x->dtype) != LTH_BY_I64 && lth_count(x) > 0 && lth_dense(x);
}
lth_array lth_reduced_as(const lth_array *x, unsigned mask, const lth_array *small) {
    lth_array wide = {.data = small->data, .dtype = small->dtype, .ndim = x->ndim};
    int64_t stride = 1;
    for (int d = x->ndim - 1; d >= 0; d--) {
        wide.shape[d] = mask >> d & 1 ? 1 : x->shape[d];
        wide.strides[d] = stride;
        stride *= wide.shape[d];
    }
    return wide;
}
lth_work lth_fold_work(lth_device *d, const lth_array *x, unsigned mask, lth_deed deed, int op) {
    (void)mask;
    lth_work w = {.d = d, .by = lth_class_of(x->dtype), .deed = deed, .op = op, .b = -1, .g = -1};
    lth_nest_init(&w.nest, x->ndim, x->shape);
    w.a = lth_nest_add(&w.nest, x);
    return w;
}
lt_status lth_fold_into(lth_work *w, unsigned mask, const lth_array *x, const lth_array *small, const lth_fold *f, lth_error *err) {
    const lth_array wide = lth_reduced_as(x, mask, small);
    w->out = lth_nest_add(&w->nest, &wide);
    lth_nest_join(&w->nest);
    return lth_fold_run(w, f, 4e-4, err);
}
bool lth_two_small(lth_device *d, const lth_array *x, unsigned mask, lth_array *first, lth_array *second, lth_error *err) {
    *first = (lth_array){.dtype = lth_class_of(x->dtype) == LTH_BY_F64 ? LT_F64 : LT_F32};
    *first = lth_reduced_as(x, mask, first);
    const size_t bytes = (size_t)lth_count(first) * sizeof(double);
    first->data = lth_cpu_scratch(d, 2 * bytes, err);
    *second = *first;
    second->data = first->data ? (char *)first->data + bytes : NULL;
    return first->data != NULL;
}

static bool plan(lth_device *d, lth_call *call) {
    (void)d;
    return lth_folds_take(call);
}

/* ---- the largest and the smallest ---- */
static lt_status extreme_forward(lth_device *d, const lth_call *call, lth_error *err) {
    const lth_array *x = call->in[0], *y = call->out[0];
    const unsigned mask = lth_reduced_mask(call);
    lth_work w = lth_fold_work(d, x, mask, LTH_DO_MAP, LTH_M_SAME);
    const lth_fold f = {.how = call->op == LTH_OP_MAX ? LTH_FOLD_MAX : LTH_FOLD_MIN, .scale = 1, .dtype = y->dtype, .to = y->data};
    return lth_fold_into(&w, mask, x, y, &f, err);
}
/* Adds what x, the result and the spread gradient make to the gradient of x. */
static lt_status spread_back(lth_device *d, const lth_call *call, const lth_array *b, const lth_array *g, lth_blend op) {
    const lth_array *x = call->in[0];
    lth_work w = lth_fold_work(d, x, 0, LTH_DO_BLEND, op);
    w.b = lth_nest_add(&w.nest, b);
    w.g = lth_nest_add(&w.nest, g);
    w.out = lth_nest_add(&w.nest, call->grad_in[0]);
    w.add = call->accumulate[0];
    lth_nest_join(&w.nest);
    lth_work_run(&w, 5e-4);
    return LT_OK;
}
/* Of equals each gets its share. */
static lt_status extreme_backward(lth_device *d, const lth_call *call, lth_error *err) {
    if (lth_cpu_no_gradient(d, call) || !call->need[0]) {
        return LT_OK;
    }
    const lth_array *x = call->in[0];
    const unsigned mask = lth_reduced_mask(call);
    const lth_array y = lth_reduced_as(x, mask, call->out[0]), g = lth_reduced_as(x, mask, call->grad_out[0]);
    lth_array equals, share;
    if (!lth_two_small(d, x, mask, &equals, &share, err)) {
        return LT_ENOMEM;
    }
    lth_work w = lth_fold_work(d, x, mask, LTH_DO_PAIR, LTH_P_IS);
    w.b = lth_nest_add(&w.nest, &y);
    const lth_fold f = {.scale = 1, .dtype = equals.dtype, .to = equals.data};
    const lt_status status = lth_fold_into(&w, mask, x, &equals, &f, err);
    if (status != LT_OK) {
        return status;
    }
    w = lth_fold_work(d, &g, 0, LTH_DO_PAIR, LTH_P_DIV);
    w.b = lth_nest_add(&w.nest, &equals);
    w.out = lth_nest_add(&w.nest, &share);
    lth_nest_join(&w.nest);
    lth_work_run(&w, 4e-4);
    return spread_back(d, call, &y, &share, LTH_B_TIMES_IS);
}
const lth_kernel lth_cpu_extreme = {plan, extreme_forward, extreme_backward};

/* ---- variance and standard deviation: first the mean, then the squares of what is off it ---- */
static lt_status mean_into(lth_device *d, const lth_array *x, unsigned mask, const lth_array *mean, lth_error *err) {
    lth_work w = lth_fold_work(d, x, mask, LTH_DO_MAP, LTH_M_SAME);
    const lth_fold f = {.scale = (double)lth_count(mean) / (double)lth_count(x), .dtype = mean->dtype, .to = mean->data};
    return lth_fold_into(&w, mask, x, mean, &f, err);
}
static double freedom(const lth_call *call) { return fmax(0, (double)(lth_count(call->in[0]) / lth_count(call->out[0])) - call->attrs->f[0]); }
static lt_status moments_forward(lth_device *d, const lth_call *call, lth_error *err) {
    const lth_array *x = call->in[0], *y = call->out[0];
    const unsigned mask = lth_reduced_mask(call);
    lth_array mean, spare;
    if (!lth_two_small(d, x, mask, &mean, &spare, err)) {
        return LT_ENOMEM;
    }
    const lt_status status = mean_into(d, x, mask, &mean, err);
    if (status != LT_OK) {
        return status;
    }
    lth_work w = lth_fold_work(d, x, mask, LTH_DO_PAIR, LTH_P_SQUARED_OFF);
    w.b = lth_nest_add(&w.nest, &mean);
    const lth_fold f = {.scale = 1 / freedom(call), .end = call->op == LTH_OP_STD ? LTH_END_ROOT : LTH_END_SCALE, .dtype = y->dtype, .to = y->data};
    return lth_fold_into(&w, mask, x, y, &f, err);
}
static double value_of(const lth_cpu_isa *isa, const lth_array *a, int64_t byte) {
    float single;
    double wide;
    if (a->dtype == LT_F64) {
        lth_gather(isa, a->dtype, (const char *)a->data + byte, 1, 1, LTH_BY_F64, &wide);
        return wide;
    }
    lth_gather(isa, a->dtype, (const char *)a->data + byte, 1, 1, LTH_BY_F32, &single);
    return (double)single;
}
/* var: g 2 (x - mean) / n'; std: g (x - mean) / (n' y), 0 where y is 0, as PyTorch. */
static lt_status moments_backward(lth_device *d, const lth_call *call, lth_error *err) {
    if (lth_cpu_no_gradient(d, call) || !call->need[0]) {
        return LT_OK;
    }
    const lth_array *x = call->in[0], *y = call->out[0], *g = call->grad_out[0];
    const unsigned mask = lth_reduced_mask(call);
    const lth_class by = lth_class_of(x->dtype);
    lth_array mean, factor;
    if (!lth_two_small(d, x, mask, &mean, &factor, err)) {
        return LT_ENOMEM;
    }
    const lt_status status = mean_into(d, x, mask, &mean, err);
    if (status != LT_OK) {
        return status;
    }
    const int64_t size = (int64_t)lth_dtype_size(y->dtype);
    for (int64_t i = 0; i < lth_count(y); i++) {
        const double up = value_of(&d->isa, g, i * size), root = value_of(&d->isa, y, i * size);
        const double f = call->op == LTH_OP_VAR ? 2 * up / freedom(call) : root == 0 ? 0 : up / (freedom(call) * root);
        if (by == LTH_BY_F32) {
            ((float *)factor.data)[i] = (float)f;
        } else {
            ((double *)factor.data)[i] = f;
        }
    }
    return spread_back(d, call, &mean, &factor, LTH_B_TIMES_OFF);
}
const lth_kernel lth_cpu_moments = {plan, moments_forward, moments_backward};

/* ---- product ---- */
static lt_status prod_forward(lth_device *d, const lth_call *call, lth_error *err) {
    const lth_array *x = call->in[0], *y = call->out[0];
    const unsigned mask = lth_reduced_mask(call);
    lth_work w = lth_fold_work(d, x, mask, LTH_DO_MAP, LTH_M_SAME);
    const lth_fold f = {.how = LTH_FOLD_PROD, .scale = 1, .dtype = y->dtype, .to = y->data};
    return lth_fold_into(&w, mask, x, y, &f, err);
}
const lth_kernel lth_cpu_prod = {plan, prod_forward, NULL};

/* ---- log sum exp ---- */
static lt_status logsumexp_forward(lth_device *d, const lth_call *call, lth_error *err) {
    const lth_array *x = call->in[0], *y = call->out[0];
    const unsigned mask = lth_reduced_mask(call);
    lth_array top, base;
    if (!lth_two_small(d, x, mask, &top, &base, err)) {
        return LT_ENOMEM;
    }
    lth_work w = lth_fold_work(d, x, mask, LTH_DO_MAP, LTH_M_SAME);
    const lth_fold largest = {.how = LTH_FOLD_MAX, .scale = 1, .dtype = LT_F64, .to = base.data};
    const lt_status status = lth_fold_into(&w, mask, x, &top, &largest, err);
    if (status != LT_OK) {
        return status;
    }
    double *shift = base.data;
    for (int64_t i = 0; i < lth_count(&top); i++) { /* an infinite one would make NaN of infinite others */
        shift[i] = isinf(shift[i]) ? 0 : shift[i];
        if (top.dtype == LT_F32) {
            ((float *)top.data)[i] = (float)shift[i];
        } else {
            ((double *)top.data)[i] = shift[i];
        }
    }
    w = lth_fold_work(d, x, mask, LTH_DO_PAIR, LTH_P_EXP_OFF);
    w.b = lth_nest_add(&w.nest, &top);
    const lth_fold f = {.scale = 1, .end = LTH_END_LOG, .base = shift, .dtype = y->dtype, .to = y->data};
    return lth_fold_into(&w, mask, x, y, &f, err);
}
static lt_status logsumexp_backward(lth_device *d, const lth_call *call, lth_error *err) {
    (void)err;
    if (lth_cpu_no_gradient(d, call) || !call->need[0]) {
        return LT_OK;
    }
    const unsigned mask = lth_reduced_mask(call);
    const lth_array y = lth_reduced_as(call->in[0], mask, call->out[0]), g = lth_reduced_as(call->in[0], mask, call->grad_out[0]);
    return spread_back(d, call, &y, &g, LTH_B_TIMES_EXP_OFF);
}
const lth_kernel lth_cpu_logsumexp = {plan, logsumexp_forward, logsumexp_backward};
