/* backends/cpu/reduce.c - SUM and MEAN over all, trailing or leading dimensions; ARGMAX, SOFTMAX and LOG_SOFTMAX over the last one.
 * Refuses dimensions in the middle and what is not plain f32. */
#include "engine/backends/cpu/cpu.h"

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
static bool reduce_plan(lth_device *d, lth_call *call) {
    shape2 s;
    (void)d;
    return lth_plain_f32(call->in[0]) && call->out[0]->dtype == LT_F32 && lth_count(call->in[0]) > 0 && split(call->in[0], call->attrs, &s);
}
static lt_status reduce_forward(lth_device *d, const lth_call *call, lth_error *err) {
    shape2 s;
    const float *x = call->in[0]->data;
    float *y = call->out[0]->data;
    (void)err;
    split(call->in[0], call->attrs, &s);
    const double by = call->op == LTH_OP_MEAN ? 1.0 / (double)(s.last ? s.inner : s.outer) : 1.0;
    if (!s.last) {
        memset(y, 0, (size_t)s.inner * sizeof *y);
        d->isa.act_back(LT_ACT_NONE, s.outer, s.inner, x, NULL, NULL, NULL, y); /* columns' sums, in order of rows */
        d->isa.scaled(s.inner, y, y, (float)by, false);
        return LT_OK;
    }
    if (s.outer == 1) {
        y[0] = (float)(lth_cpu_sum(d, s.inner, x, NULL) * by);
        return LT_OK;
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
static bool argmax_plan(lth_device *d, lth_call *call) {
    (void)d;
    return last_dim(call->in[0], call->attrs->i[1]) && call->out[0]->dtype == LT_I64;
}
static lt_status argmax_forward(lth_device *d, const lth_call *call, lth_error *err) {
    const int64_t cols = last_of(call->in[0]), rows = lth_count(call->in[0]) / cols;
    int64_t *y = call->out[0]->data;
    (void)err;
    for (int64_t r = 0; r < rows; r++) {
        y[r] = d->isa.first_top(cols, lth_f32(call->in[0]) + r * cols);
    }
    return LT_OK;
}
const lth_kernel lth_cpu_argmax = {argmax_plan, argmax_forward, NULL};

typedef struct soft { lth_device *d; bool log, add; int64_t rows, cols, step; const float *x, *g; float *to; } soft;
static bool softmax_plan(lth_device *d, lth_call *call) {
    (void)d;
    return last_dim(call->in[0], call->attrs->i[0]);
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
static lt_status softmax_forward(lth_device *d, const lth_call *call, lth_error *err) {
    soft s = soft_of(d, call);
    (void)err;
    s.x = call->in[0]->data, s.to = call->out[0]->data;
    lth_cpu_run(d, lth_div_up(s.rows, s.step), (double)(s.rows * s.cols) * 1e-3, soft_chunk, &s);
    return LT_OK;
}
static lt_status softmax_backward(lth_device *d, const lth_call *call, lth_error *err) {
    (void)err;
    if (lth_cpu_no_gradient(d, call) || !call->need[0]) {
        return LT_OK;
    }
    soft s = soft_of(d, call);
    s.x = call->out[0]->data, s.g = call->grad_out[0]->data, s.to = call->grad_in[0]->data, s.add = call->accumulate[0];
    lth_cpu_run(d, lth_div_up(s.rows, s.step), (double)(s.rows * s.cols) * 1e-3, soft_back_chunk, &s);
    return LT_OK;
}
const lth_kernel lth_cpu_softmax = {softmax_plan, softmax_forward, softmax_backward};
