/* backends/cpu/wide/transpose.c - CONV_TRANSPOSE2D in f32 and f64: what is a convolution's backward data is its forward, and the other way
 * round. Refuses strided and empty arrays. */
#include "engine/backends/cpu/wide/taps.h"
#include "engine/backends/cpu/wide/wide.h"

static const lth_array *bias_of(const lth_call *call) { return call->n_in > 2 ? call->in[2] : NULL; }
static bool transpose_plan(lth_device *d, lth_call *call) {
    const lt_dtype dtype = call->in[0]->dtype;
    bool good = (dtype == LT_F32 || dtype == LT_F64) && lth_count(call->out[0]) > 0;
    (void)d;
    for (int k = 0; k < call->n_in; k++) {
        good = good && (!call->in[k] || (call->in[k]->dtype == dtype && lth_plain(call->in[k]) && lth_count(call->in[k])));
    }
    return good;
}
/* The convolution whose input is our output. */
static lth_taps taps_of(const lth_call *call) {
    const int64_t *i = call->attrs->i;
    const lth_array *x = call->in[0], *w = call->in[1], *y = call->out[0];
    return (lth_taps){.N = x->shape[0], .C = y->shape[1], .H = y->shape[2], .W = y->shape[3], .O = x->shape[1], .OH = x->shape[2], .OW = x->shape[3],
                      .KH = w->shape[2], .KW = w->shape[3], .sh = i[0], .sw = i[1], .ph = i[2], .pw = i[3], .dh = i[4], .dw = i[5], .groups = i[6]};
}
static lt_status transpose_forward(lth_device *d, const lth_call *call, lth_error *err) {
    const lth_taps t = taps_of(call);
    lth_taps_call c = {.t = &t, .dtype = call->in[0]->dtype, .dy = call->in[0]->data, .w = call->in[1]->data,
                       .bias = bias_of(call) ? bias_of(call)->data : NULL, .out = call->out[0]->data};
    return lth_taps_data(d, &c, err);
}
static lt_status transpose_backward(lth_device *d, const lth_call *call, lth_error *err) {
    if (lth_cpu_no_gradient(d, call)) {
        return LT_OK;
    }
    const lth_taps t = taps_of(call);
    const lt_dtype dtype = call->in[0]->dtype;
    lth_taps_call c = {.t = &t, .dtype = dtype, .x = call->grad_out[0]->data, .w = call->in[1]->data, .dy = call->in[0]->data};
    lt_status status = LT_OK;
    if (call->need[0]) {
        c.out = call->grad_in[0]->data, c.add = call->accumulate[0];
        status = lth_taps_forward(d, &c, err);
    }
    if (call->need[1] && status == LT_OK) {
        c.out = call->grad_in[1]->data, c.add = call->accumulate[1];
        status = lth_taps_weights(d, &c, err);
    }
    if (bias_of(call) && call->need[2]) {
        lth_taps_bias(d, dtype, call->grad_out[0]->data, t.N, t.C, t.H * t.W, call->grad_in[2]->data, call->accumulate[2]);
    }
    return status;
}
const lth_kernel lth_wide_conv_transpose2d = {transpose_plan, transpose_forward, transpose_backward};
