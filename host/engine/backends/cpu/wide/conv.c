/* backends/cpu/wide/conv.c - CONV2D in f64, with its fused activation and max pool, on the passes of taps.c; and CONV_TRANSPOSE2D in f32
 * and f64, which is a convolution's backward data run forward. Refuses strided arrays, empty ones, and fused activations other than
 * ReLU, tanh and sigmoid. */
#include "engine/backends/cpu/wide/taps.h"
#include "engine/backends/cpu/wide/wide.h"
#include <math.h>

static const lth_array *bias_of(const lth_call *call) { return call->n_in > 2 ? call->in[2] : NULL; }

static lth_taps taps_of(const lth_call *call) {
    const int64_t *i = call->attrs->i;
    const lth_array *x = call->in[0], *w = call->in[1];
    lth_taps t = {.N = x->shape[0], .C = x->shape[1], .H = x->shape[2], .W = x->shape[3], .O = w->shape[0], .KH = w->shape[2], .KW = w->shape[3],
                  .sh = i[0], .sw = i[1], .ph = i[2], .pw = i[3], .dh = i[4], .dw = i[5], .groups = i[6]};
    t.OH = (t.H + 2 * t.ph - t.dh * (t.KH - 1) - 1) / t.sh + 1;
    t.OW = (t.W + 2 * t.pw - t.dw * (t.KW - 1) - 1) / t.sw + 1;
    return t;
}
static int64_t map_count(const lth_taps *t) { return t->N * t->O * t->OH * t->OW; }
static bool all_plain(const lth_call *call, lt_dtype dtype) {
    for (int k = 0; k < call->n_in; k++) {
        if (call->in[k] && (call->in[k]->dtype != dtype || !lth_plain(call->in[k]) || !lth_count(call->in[k]))) {
            return false;
        }
    }
    return lth_count(call->out[0]) > 0;
}

/* ---- the pool that follows, and the way back through pool and activation ---- */
typedef struct after {
    const lth_taps *t;
    const int64_t *i; /* the call's attributes */
    int64_t PH, PW;   /* pooled */
    const double *map, *dy;
    double *y, *dz;
    int act;
} after;
/* The first of equals, or the last NaN, as the reference. */
static int64_t top_of(const after *a, const double *map, int64_t py, int64_t px) {
    int64_t best = -1;
    for (int64_t ky = 0; ky < a->i[8]; ky++) {
        for (int64_t kx = 0; kx < a->i[9]; kx++) {
            const int64_t at = (py * a->i[10] + ky) * a->t->OW + px * a->i[11] + kx;
            best = best < 0 || map[at] > map[best] || isnan(map[at]) ? at : best;
        }
    }
    return best;
}
static void pool_plane(void *arg, int64_t plane, int thread) {
    const after *a = arg;
    const double *map = a->map + plane * a->t->OH * a->t->OW;
    double *y = a->y + plane * a->PH * a->PW;
    (void)thread;
    for (int64_t p = 0; p < a->PH * a->PW; p++) {
        y[p] = map[top_of(a, map, p / a->PW, p % a->PW)];
    }
}
static double slope(int act, double y) {
    return act == LT_ACT_RELU ? y > 0 : act == LT_ACT_TANH ? 1 - y * y : act == LT_ACT_SIGMOID ? y * (1 - y) : 1;
}
static void unpool_plane(void *arg, int64_t plane, int thread) {
    const after *a = arg;
    const int64_t P = a->t->OH * a->t->OW;
    const double *map = a->map + plane * P, *dy = a->dy + plane * a->PH * a->PW;
    double *dz = a->dz + plane * P;
    (void)thread;
    if (!a->i[8]) {
        for (int64_t p = 0; p < P; p++) {
            const double s = slope(a->act, map[p]);
            dz[p] = s == 0 ? 0 : dy[p] * s;
        }
        return;
    }
    memset(dz, 0, (size_t)P * sizeof *dz);
    for (int64_t p = 0; p < a->PH * a->PW; p++) {
        const int64_t at = top_of(a, map, p / a->PW, p % a->PW);
        const double s = slope(a->act, map[at]);
        dz[at] += s == 0 ? 0 : dy[p] * s;
    }
}

/* ---- conv2d ---- */
static bool conv_plan(lth_device *d, lth_call *call) {
    const int64_t *i = call->attrs->i;
    (void)d;
    if (!all_plain(call, LT_F64) || i[7] < LT_ACT_NONE || i[7] > LT_ACT_SIGMOID) {
        return false;
    }
    const lth_taps t = taps_of(call);
    call->workspace_bytes = i[8] ? (size_t)map_count(&t) * sizeof(double) : 0; /* the map before the pool */
    return true;
}
static after after_of(const lth_call *call, const lth_taps *t) {
    const lth_array *y = call->out[0];
    return (after){.t = t, .i = call->attrs->i, .PH = y->shape[2], .PW = y->shape[3], .act = (int)call->attrs->i[7], .y = y->data,
                   .map = call->attrs->i[8] ? call->workspace : y->data};
}
static lt_status conv_forward(lth_device *d, const lth_call *call, lth_error *err) {
    const lth_taps t = taps_of(call);
    after a = after_of(call, &t);
    const lth_array *b = bias_of(call);
    lth_taps_call c = {.t = &t, .dtype = LT_F64, .x = call->in[0]->data, .w = call->in[1]->data, .bias = b ? b->data : NULL, .act = a.act,
                       .out = call->attrs->i[8] ? call->workspace : call->out[0]->data};
    const lt_status status = lth_taps_forward(d, &c, err);
    if (status == LT_OK && call->attrs->i[8]) {
        lth_cpu_run(d, t.N * t.O, (double)map_count(&t) * 1e-3, pool_plane, &a);
    }
    return status;
}
static lt_status conv_backward(lth_device *d, const lth_call *call, lth_error *err) {
    if (lth_cpu_no_gradient(d, call)) {
        return LT_OK;
    }
    const lth_taps t = taps_of(call);
    after a = after_of(call, &t);
    a.dy = call->grad_out[0]->data;
    const double *dz = a.dy;
    if (a.act || a.i[8]) {
        dz = a.dz = lth_cpu_scratch(d, (size_t)map_count(&t) * sizeof(double), err);
        if (!dz) {
            return LT_ENOMEM;
        }
        lth_cpu_run(d, t.N * t.O, (double)map_count(&t) * 1.5e-3, unpool_plane, &a);
    }
    lth_taps_call c = {.t = &t, .dtype = LT_F64, .x = call->in[0]->data, .w = call->in[1]->data, .dy = dz};
    lt_status status = LT_OK;
    if (bias_of(call) && call->need[2]) {
        lth_taps_bias(d, LT_F64, dz, t.N, t.O, t.OH * t.OW, call->grad_in[2]->data, call->accumulate[2]);
    }
    if (call->need[1]) {
        c.out = call->grad_in[1]->data, c.add = call->accumulate[1];
        status = lth_taps_weights(d, &c, err);
    }
    if (call->need[0] && status == LT_OK) {
        c.out = call->grad_in[0]->data, c.add = call->accumulate[0];
        status = lth_taps_data(d, &c, err);
    }
    return status;
}
const lth_kernel lth_wide_conv2d = {conv_plan, conv_forward, conv_backward};
