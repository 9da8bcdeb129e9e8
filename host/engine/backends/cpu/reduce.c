/* backends/cpu/reduce.c - SUM, MEAN, SOFTMAX, LOG_SOFTMAX. Plain f32 over all, trailing or leading dimensions (softmax: the last) goes to kernels of its
 * own; other float dtypes, dimensions and strides by folding tiles. Refuses whole numbers and what is empty. */
#include "engine/backends/cpu/walk.h"
#include <math.h>

/* x as (outer, inner); over the rows' elements (last) or over the rows (first). */
typedef struct shape2 { int64_t outer, inner; bool last; } shape2;
static bool split(const lth_array *x, const lth_attrs *attrs, shape2 *s) {
    const int n = (int)attrs->i[0];
    unsigned mask = 0;
    for (int k = 0; k < n; k++) {
        mask |= 1u << attrs->i[1 + k];
    }
    const unsigned all = (1u << x->ndim) - 1;
    mask = n == 0 ? all : mask;
    *s = (shape2){1, 1, true};
    int first = 0;
    while (first < x->ndim && !(mask >> first & 1)) {
        first++;
    }
    if (mask == (all & ~((1u << first) - 1))) { /* trailing (or all) */
        for (int k = 0; k < x->ndim; k++) {
            *(k < first ? &s->outer : &s->inner) *= x->shape[k];
        }
        return true;
    }
    int end = 0;
    while (end < x->ndim && mask >> end & 1) {
        end++;
    }
    s->last = false;
    for (int k = 0; k < x->ndim; k++) {
        *(k < end ? &s->outer : &s->inner) *= x->shape[k];
    }
    return end > 0 && mask == (1u << end) - 1;
}
static bool plain_reduce(const lth_call *call) {
    shape2 s;
    return lth_plain_f32(call->in[0]) && split(call->in[0], call->attrs, &s);
}
static bool reduce_plan(lth_device *d, lth_call *call) {
    (void)d;
    return lth_folds_take(call);
}
static lt_status fold_sum(lth_device *d, const lth_call *call, lth_error *err) {
    const lth_array *x = call->in[0];
    const unsigned mask = lth_reduced_mask(call);
    const double n = (double)(lth_count(x) / lth_count(call->out[0]));
    const lth_fold f = {.scale = call->op == LTH_OP_MEAN ? 1 / n : 1, .dtype = call->out[0]->dtype, .to = call->out[0]->data};
    lth_work w = lth_fold_work(d, x, mask, LTH_DO_MAP, LTH_M_SAME);
    return lth_fold_into(&w, mask, x, call->out[0], &f, err);
}
/* The gradient, spread again over what was summed. */
static lt_status spread_sum(lth_device *d, const lth_call *call) {
    const lth_array *x = call->in[0], *g = call->grad_out[0];
    const lth_array wide = lth_reduced_as(x, lth_reduced_mask(call), g);
    const double n = (double)(lth_count(x) / lth_count(call->out[0]));
    lth_work w = {.d = d, .by = lth_class_of(x->dtype), .deed = LTH_DO_MAP, .op = LTH_M_MUL_SCALAR, .p = {call->op == LTH_OP_MEAN ? 1 / n : 1},
                  .b = -1, .g = -1, .add = call->accumulate[0]};
    lth_nest_init(&w.nest, x->ndim, x->shape);
    w.a = lth_nest_add(&w.nest, &wide);
    w.out = lth_nest_add(&w.nest, call->grad_in[0]);
    lth_nest_join(&w.nest);
    lth_work_run(&w, 3e-4);
    return LT_OK;
}
static lt_status reduce_forward(lth_device *d, const lth_call *call, lth_error *err) {
    shape2 s;
    const float *x = call->in[0]->data;
    float *y = call->out[0]->data;
    if (!plain_reduce(call)) {
        return fold_sum(d, call, err);
    }
    split(call->in[0], call->attrs, &s);
    const double by = call->op == LTH_OP_MEAN ? 1.0 / (double)(s.last ? s.inner : s.outer) : 1.0;
    if (!s.last) {
        memset(y, 0, (size_t)s.inner * sizeof *y);
        d->isa.act_back(LT_ACT_NONE, s.outer, s.inner, x, NULL, NULL, NULL, y); /* columns' sums, in order of rows */
        d->isa.scaled(s.inner, y, y, (float)by, false);
        return LT_OK;
    }
    if (s.outer == 1) {
        double total;
        const lt_status status = lth_cpu_sum(d, s.inner, x, &total, err);
        y[0] = (float)(total * by);
        return status;
    }
    for (int64_t r = 0; r < s.outer; r++) {
        y[r] = (float)(d->isa.sum(s.inner, x + r * s.inner) * by);
    }
    return LT_OK;
}
static lt_status reduce_backward(lth_device *d, const lth_call *call, lth_error *err) {
    shape2 s;
    (void)err;
    if (lth_cpu_no_gradient(d, call) || !call->need[0]) {
        return LT_OK;
    }
    if (!plain_reduce(call)) {
        return spread_sum(d, call);
    }
    split(call->in[0], call->attrs, &s);
    const float by = call->op == LTH_OP_MEAN ? (float)(1.0 / (double)(s.last ? s.inner : s.outer)) : 1.f;
    const float *g = call->grad_out[0]->data;
    float *dx = call->grad_in[0]->data;
    for (int64_t r = 0; r < s.outer; r++) {
        float *row = dx + r * s.inner;
        if (!s.last) {
            d->isa.scaled(s.inner, row, g, by, call->accumulate[0]);
        } else if (call->accumulate[0]) {
            d->isa.unary(LTH_U_ADD_SCALAR, s.inner, row, row, g[r] * by);
        } else {
            d->isa.fill(s.inner, row, g[r] * by);
        }
    }
    return LT_OK;
}
const lth_kernel lth_cpu_reduce = {reduce_plan, reduce_forward, reduce_backward};

/* ---- last dimension ---- */
static bool last_dim(const lth_array *x, int64_t dim) {
    return lth_plain_f32(x) && x->ndim > 0 && dim == x->ndim - 1 && lth_count(x) > 0;
}
static int64_t last_of(const lth_array *x) { return x->shape[x->ndim - 1]; }
typedef struct soft { lth_device *d; bool log, add; int64_t rows, cols, step; const float *x, *g; float *to; } soft;
static bool softmax_plan(lth_device *d, lth_call *call) {
    (void)d;
    const lth_array *x = call->in[0];
    return last_dim(x, call->attrs->i[0]) || (x->layout == LTH_STRIDED && lth_count(x) > 0 && lth_class_of(x->dtype) != LTH_BY_I64 && lth_dense(x));
}
static soft soft_of(lth_device *d, const lth_call *call) {
    const int64_t cols = last_of(call->in[0]);
    return (soft){.d = d, .log = call->op == LTH_OP_LOG_SOFTMAX, .rows = lth_count(call->in[0]) / cols, .cols = cols, .step = lth_div_up(8192, cols)};
}
static void soft_chunk(void *arg, int64_t i, int thread) {
    const soft *s = arg;
    const int64_t at = i * s->step, rows = lth_min64(s->step, s->rows - at);
    (void)thread;
    s->d->isa.softmax(s->log, rows, s->cols, s->x + at * s->cols, s->to + at * s->cols);
}
static void soft_back_chunk(void *arg, int64_t i, int thread) {
    const soft *s = arg;
    const int64_t at = i * s->step, rows = lth_min64(s->step, s->rows - at);
    (void)thread;
    s->d->isa.softmax_back(s->log, rows, s->cols, s->x + at * s->cols, s->g + at * s->cols, s->to + at * s->cols, s->add);
}
/* ---- any dimension, any float dtype: the largest, the sum of what is left, then every element ---- */
static lt_status fold_softmax(lth_device *d, const lth_call *call, lth_error *err) {
    const lth_array *x = call->in[0];
    const unsigned mask = x->ndim ? 1u << call->attrs->i[0] : 0;
    lth_array top, sum;
    if (!lth_two_small(d, x, mask, &top, &sum, err)) {
        return LT_ENOMEM;
    }
    lth_work w = lth_fold_work(d, x, mask, LTH_DO_MAP, LTH_M_SAME);
    const lth_fold largest = {.how = LTH_FOLD_MAX, .scale = 1, .dtype = top.dtype, .to = top.data};
    lt_status status = lth_fold_into(&w, mask, x, &top, &largest, err);
    if (status != LT_OK) {
        return status;
    }
    const bool logs = call->op == LTH_OP_LOG_SOFTMAX;
    w = lth_fold_work(d, x, mask, LTH_DO_PAIR, LTH_P_EXP_OFF);
    w.b = lth_nest_add(&w.nest, &top);
    const lth_fold total = {.end = logs ? LTH_END_LOG : LTH_END_INVERSE, .scale = 1, .dtype = sum.dtype, .to = sum.data};
    status = lth_fold_into(&w, mask, x, &sum, &total, err);
    if (status != LT_OK) {
        return status;
    }
    w = lth_fold_work(d, x, mask, LTH_DO_BLEND, logs ? LTH_B_OFF_LESS : LTH_B_TIMES_EXP_OFF);
    w.b = lth_nest_add(&w.nest, &top);
    w.g = lth_nest_add(&w.nest, &sum);
    w.out = lth_nest_add(&w.nest, call->out[0]);
    lth_nest_join(&w.nest);
    lth_work_run(&w, 1e-3);
    return LT_OK;
}
/* softmax: y (g - sum(g y)); log-softmax: g - exp(y) sum(g) */
static lt_status fold_softmax_back(lth_device *d, const lth_call *call, lth_error *err) {
    const lth_array *y = call->out[0], *g = call->grad_out[0];
    const unsigned mask = y->ndim ? 1u << call->attrs->i[0] : 0;
    const bool logs = call->op == LTH_OP_LOG_SOFTMAX;
    lth_array sum, spare;
    if (!lth_two_small(d, y, mask, &sum, &spare, err)) {
        return LT_ENOMEM;
    }
    lth_work w = lth_fold_work(d, g, mask, logs ? LTH_DO_MAP : LTH_DO_PAIR, logs ? (int)LTH_M_SAME : (int)LTH_P_MUL);
    w.b = logs ? -1 : lth_nest_add(&w.nest, y);
    const lth_fold total = {.scale = 1, .dtype = sum.dtype, .to = sum.data};
    const lt_status status = lth_fold_into(&w, mask, y, &sum, &total, err);
    if (status != LT_OK) {
        return status;
    }
    w = lth_fold_work(d, y, mask, LTH_DO_BLEND, logs ? LTH_B_LOG_SOFTMAX : LTH_B_SOFTMAX);
    w.b = lth_nest_add(&w.nest, &sum);
    w.g = lth_nest_add(&w.nest, g);
    w.out = lth_nest_add(&w.nest, call->grad_in[0]);
    w.add = call->accumulate[0];
    lth_nest_join(&w.nest);
    lth_work_run(&w, 1e-3);
    return LT_OK;
}

static lt_status softmax_forward(lth_device *d, const lth_call *call, lth_error *err) {
    if (!last_dim(call->in[0], call->attrs->i[0])) {
        return fold_softmax(d, call, err);
    }
    soft s = soft_of(d, call);
    s.x = call->in[0]->data, s.to = call->out[0]->data;
    lth_cpu_run(d, lth_div_up(s.rows, s.step), (double)(s.rows * s.cols) * 1e-3, soft_chunk, &s);
    return LT_OK;
}
static lt_status softmax_backward(lth_device *d, const lth_call *call, lth_error *err) {
    if (lth_cpu_no_gradient(d, call) || !call->need[0]) {
        return LT_OK;
    }
    if (!last_dim(call->in[0], call->attrs->i[0])) {
        return fold_softmax_back(d, call, err);
    }
    soft s = soft_of(d, call);
    s.x = call->out[0]->data, s.g = call->grad_out[0]->data, s.to = call->grad_in[0]->data, s.add = call->accumulate[0];
    lth_cpu_run(d, lth_div_up(s.rows, s.step), (double)(s.rows * s.cols) * 1e-3, soft_back_chunk, &s);
    return LT_OK;
}
const lth_kernel lth_cpu_softmax = {softmax_plan, softmax_forward, softmax_backward};
