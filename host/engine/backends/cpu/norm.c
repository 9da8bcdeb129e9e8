/* backends/cpu/norm.c - LAYER_NORM over the last dimension. Refuses blocked layouts: the engine makes them plain. */
#include "engine/backends/cpu/cpu.h"

static const lth_array *optional(const lth_call *call, int k) { return k < call->n_in ? call->in[k] : NULL; }
static bool plain_or_absent(const lth_array *a) { return !a || lth_plain_f32(a); }

/* ---- layer norm; the workspace holds means, then 1/std ---- */
typedef struct layer {
    lth_device *d;
    const lth_call *call;
    int64_t rows, cols, step;
    float *mean, *rstd, *parts;
} layer;
static layer layer_of(lth_device *d, const lth_call *call) {
    const lth_array *x = call->in[0];
    layer l = {.d = d, .call = call, .cols = x->shape[x->ndim - 1]};
    l.rows = lth_count(x) / l.cols;
    l.step = lth_div_up(l.rows, 8);
    l.step = l.step * l.cols < 4096 ? lth_div_up(4096, l.cols) : l.step;
    l.mean = call->workspace;
    l.rstd = l.mean ? l.mean + l.rows : NULL;
    return l;
}
static bool layer_plan(lth_device *d, lth_call *call) {
    const lth_array *x = call->in[0];
    (void)d;
    if (!lth_plain_f32(x) || x->ndim < 1 || lth_count(x) == 0 || !plain_or_absent(optional(call, 1)) ||
        !plain_or_absent(optional(call, 2))) {
        return false;
    }
    call->workspace_bytes = lth_floats((size_t)(2 * (lth_count(x) / x->shape[x->ndim - 1])));
    return true;
}
static const float *data_of(const lth_array *a) { return a ? a->data : NULL; }
static void layer_chunk(void *arg, int64_t i, int thread) {
    const layer *l = arg;
    const int64_t at = i * l->step, rows = lth_min64(l->step, l->rows - at);
    (void)thread;
    l->d->isa.layer_norm(rows, l->cols, lth_f32(l->call->in[0]) + at * l->cols, data_of(optional(l->call, 1)),
                         data_of(optional(l->call, 2)), (float)l->call->attrs->f[0], lth_f32(l->call->out[0]) + at * l->cols, l->mean + at,
                         l->rstd + at);
}
static lt_status layer_forward(lth_device *d, const lth_call *call, lth_error *err) {
    (void)err;
    layer l = layer_of(d, call);
    lth_cpu_run(d, lth_div_up(l.rows, l.step), (double)lth_count(call->in[0]) * 5e-4, layer_chunk, &l);
    return LT_OK;
}
static void layer_back_chunk(void *arg, int64_t i, int thread) {
    const layer *l = arg;
    const lth_call *call = l->call;
    const int64_t at = i * l->step, rows = lth_min64(l->step, l->rows - at);
    float *dw = l->parts + 2 * i * l->cols;
    (void)thread;
    memset(dw, 0, (size_t)(2 * l->cols) * sizeof *dw);
    l->d->isa.layer_norm_back(rows, l->cols, lth_f32(call->in[0]) + at * l->cols, data_of(optional(call, 1)),
                              lth_f32(call->grad_out[0]) + at * l->cols, l->mean + at, l->rstd + at,
                              call->need[0] ? lth_f32(call->grad_in[0]) + at * l->cols : NULL, call->accumulate[0], dw, dw + l->cols);
}
static lt_status layer_backward(lth_device *d, const lth_call *call, lth_error *err) {
    if (lth_cpu_no_gradient(d, call)) {
        return LT_OK;
    }
    layer l = layer_of(d, call);
    const int64_t chunks = lth_div_up(l.rows, l.step);
    l.parts = lth_cpu_scratch(d, (size_t)(2 * chunks * l.cols) * sizeof(float), err);
    if (!l.parts) {
        return LT_ENOMEM;
    }
    lth_cpu_run(d, chunks, (double)lth_count(call->in[0]) * 1e-3, layer_back_chunk, &l);
    for (int k = 1; k < 3; k++) {
        for (int64_t i = 0; optional(call, k) && call->need[k] && i < chunks; i++) {
            d->isa.scaled(l.cols, call->grad_in[k]->data, l.parts + (2 * i + k - 1) * l.cols, 1.f, call->accumulate[k] || i > 0);
        }
    }
    return LT_OK;
}
const lth_kernel lth_cpu_layer_norm = {layer_plan, layer_forward, layer_backward};
