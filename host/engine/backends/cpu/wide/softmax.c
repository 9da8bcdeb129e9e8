/* backends/cpu/wide/softmax.c - SOFTMAX and LOG_SOFTMAX in f64 along any dimension of a plain array. Refuses strided and empty arrays. */
#include "engine/backends/cpu/wide/wide.h"
#include "engine/backends/cpu/cpu.h"
#include <math.h>

typedef struct lines { int64_t outer, n, inner; bool log, add; const double *x, *y, *dy; double *out; } lines;

static lines lines_of(const lth_call *call) {
    const lth_array *x = call->in[0];
    lines l = {.outer = 1, .n = 1, .inner = 1, .log = call->op == LTH_OP_LOG_SOFTMAX, .x = x->data, .y = call->out[0]->data};
    for (int d = 0; d < x->ndim; d++) {
        *(d < call->attrs->i[0] ? &l.outer : d > call->attrs->i[0] ? &l.inner : &l.n) *= x->shape[d];
    }
    return l;
}
static bool softmax_plan(lth_device *d, lth_call *call) {
    (void)d;
    return call->in[0]->dtype == LT_F64 && lth_plain(call->in[0]) && lth_count(call->in[0]) > 0;
}
static void forward_outer(void *arg, int64_t outer, int thread) {
    const lines *l = arg;
    (void)thread;
    for (int64_t i = 0; i < l->inner; i++) {
        const double *x = l->x + outer * l->n * l->inner + i;
        double *y = l->out + outer * l->n * l->inner + i, top = -INFINITY, sum = 0;
        for (int64_t k = 0; k < l->n; k++) {
            top = x[k * l->inner] > top || isnan(x[k * l->inner]) ? x[k * l->inner] : top;
        }
        for (int64_t k = 0; k < l->n; k++) {
            const double e = exp(x[k * l->inner] - top);
            y[k * l->inner] = e, sum += e;
        }
        const double shift = top + log(sum), scale = 1 / sum;
        for (int64_t k = 0; k < l->n; k++) {
            y[k * l->inner] = l->log ? x[k * l->inner] - shift : y[k * l->inner] * scale;
        }
    }
}
static lt_status softmax_forward(lth_device *d, const lth_call *call, lth_error *err) {
    (void)err;
    lines l = lines_of(call);
    l.out = call->out[0]->data;
    lth_cpu_run(d, l.outer, (double)lth_count(call->in[0]) * 1e-2, forward_outer, &l);
    return LT_OK;
}
static void backward_outer(void *arg, int64_t outer, int thread) {
    const lines *l = arg;
    (void)thread;
    for (int64_t i = 0; i < l->inner; i++) {
        const int64_t at = outer * l->n * l->inner + i;
        const double *y = l->y + at, *dy = l->dy + at;
        double *dx = l->out + at, sum = 0;
        for (int64_t k = 0; k < l->n * l->inner; k += l->inner) {
            sum += l->log ? dy[k] : dy[k] * y[k];
        }
        for (int64_t k = 0; k < l->n * l->inner; k += l->inner) {
            const double value = l->log ? dy[k] - exp(y[k]) * sum : y[k] * (dy[k] - sum);
            dx[k] = l->add ? dx[k] + value : value;
        }
    }
}
static lt_status softmax_backward(lth_device *d, const lth_call *call, lth_error *err) {
    (void)err;
    if (lth_cpu_no_gradient(d, call) || !call->need[0]) {
        return LT_OK;
    }
    lines l = lines_of(call);
    l.out = call->grad_in[0]->data, l.dy = call->grad_out[0]->data, l.add = call->accumulate[0];
    lth_cpu_run(d, l.outer, (double)lth_count(call->in[0]) * (l.log ? 1e-2 : 2e-3), backward_outer, &l);
    return LT_OK;
}
const lth_kernel lth_wide_softmax = {softmax_plan, softmax_forward, softmax_backward};
