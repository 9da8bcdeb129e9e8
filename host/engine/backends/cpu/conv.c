/* backends/cpu/conv.c - CONV2D: reading the call, choosing the way. Few channels and outputs: own kernels, 16 images a vector. Small maps:
 * matrix products over the taps inside the map. The rest: oneDNN's direct convolution. Refuses (the fallback computes): GELU as fused
 * activation, overlapping or padded fused pooling, empty arrays. */
#include "engine/backends/cpu/conv.h"

static int64_t out_size(int64_t in, int64_t kernel, int64_t stride, int64_t padding, int64_t dilation) {
    return (in + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1;
}
bool lth_conv_of(const lth_call *call, lth_conv *c) {
    const int64_t *i = call->attrs->i;
    const lth_array *x = call->in[0], *w = call->in[1], *b = call->n_in > 2 ? call->in[2] : NULL;
    if (x->dtype != LT_F32 || x->ndim != 4 || !lth_plain_f32(w) || w->ndim != 4 || (b && !lth_plain_f32(b)) || lth_count(x) == 0 || lth_count(w) == 0) {
        return false;
    }
    *c = (lth_conv){.N = x->shape[0], .C = x->shape[1], .H = x->shape[2], .W = x->shape[3], .O = w->shape[0], .KH = w->shape[2], .KW = w->shape[3],
                    .stride = {i[0], i[1]}, .padding = {i[2], i[3]}, .dilation = {i[4], i[5]}, .groups = i[6], .act = (int)i[7],
                    .pool = {i[8], i[9]}, .pool_stride = {i[10], i[11]}, .x = x, .w = w, .b = b};
    c->OH = out_size(c->H, c->KH, c->stride[0], c->padding[0], c->dilation[0]);
    c->OW = out_size(c->W, c->KW, c->stride[1], c->padding[1], c->dilation[1]);
    c->PH = c->OH, c->PW = c->OW;
    if (c->pool[0]) {
        c->PH = c->OH / c->pool[0], c->PW = c->OW / c->pool[1];
        const bool apart = (!c->pool_stride[0] || c->pool_stride[0] == c->pool[0]) && (!c->pool_stride[1] || c->pool_stride[1] == c->pool[1]);
        if (!apart || c->pool[0] * c->pool[1] > 255 || c->PH < 1 || c->PW < 1) {
            return false;
        }
    }
    return c->OH > 0 && c->OW > 0 && c->act >= LT_ACT_NONE && c->act <= LT_ACT_SIGMOID;
}
lth_conv_way lth_conv_choose(const lth_device *d, const lth_conv *c) {
    (void)d;
    const bool simple = c->groups == 1 && c->dilation[0] == 1 && c->dilation[1] == 1 && c->stride[0] == c->stride[1] && c->stride[0] <= 2;
    const bool small = c->C <= 8 && c->O <= 24 && c->KH <= 11 && c->KW <= 11 && c->H * c->W <= 128 * 128;
    const bool fits = c->N >= 8 || c->x->layout == LTH_N16C; /* lanes half empty cost more than oneDNN's padding */
    if (simple && small && fits && (c->x->layout == LTH_N16C || lth_plain(c->x))) {
        return LTH_CONV_OWN;
    }
    if (lth_conv_small_fits(c)) {
        return LTH_CONV_SMALL;
    }
    return c->x->layout == LTH_C16 || lth_plain(c->x) ? LTH_CONV_ONEDNN : LTH_CONV_DECLINE;
}
static bool conv_plan(lth_device *d, lth_call *call) {
    lth_conv c;
    if (!lth_conv_of(call, &c)) {
        return false;
    }
    switch (lth_conv_choose(d, &c)) {
    case LTH_CONV_OWN: return lth_conv_own_plan(d, &c, call);
    case LTH_CONV_SMALL: return lth_conv_small_plan(d, &c, call);
    case LTH_CONV_ONEDNN: return lth_conv_onednn_plan(d, &c, call);
    default: return false;
    }
}
static lt_status conv_forward(lth_device *d, const lth_call *call, lth_error *err) {
    lth_conv c;
    if (!lth_conv_of(call, &c)) {
        return lth_fail(err, LT_EINVAL, "conv2d: not planned for this call");
    }
    switch (lth_conv_choose(d, &c)) {
    case LTH_CONV_OWN: return lth_conv_own_forward(d, &c, call, err);
    case LTH_CONV_SMALL: return lth_conv_small_forward(d, &c, call, err);
    default: return lth_conv_onednn_forward(d, &c, call, err);
    }
}
static lt_status conv_backward(lth_device *d, const lth_call *call, lth_error *err) {
    lth_conv c;
    if (lth_cpu_no_gradient(d, call)) {
        return LT_OK;
    }
    if (!lth_conv_of(call, &c)) {
        return lth_fail(err, LT_EINVAL, "conv2d: not planned for this call");
    }
    switch (lth_conv_choose(d, &c)) {
    case LTH_CONV_OWN: return lth_conv_own_backward(d, &c, call, err);
    case LTH_CONV_SMALL: return lth_conv_small_backward(d, &c, call, err);
    default: return lth_conv_onednn_backward(d, &c, call, err);
    }
}
const lth_kernel lth_cpu_conv2d = {conv_plan, conv_forward, conv_backward};
