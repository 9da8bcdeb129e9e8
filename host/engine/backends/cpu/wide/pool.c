/* backends/cpu/wide/pool.c - MAX_POOL2D and AVG_POOL2D in f64 on plain images, a plane a chunk. The place of a maximum is found again in
 * backward. Refuses strided and empty arrays. */
#include "engine/backends/cpu/wide/wide.h"
#include "engine/backends/cpu/cpu.h"
#include <math.h>

typedef struct pools {
    int64_t H, W, OH, OW, kh, kw, sh, sw, ph, pw;
    bool max, count_pad, add;
    const double *x, *dy;
    double *y, *dx;
} pools;

static pools pools_of(const lth_call *call) {
    const int64_t *i = call->attrs->i, *x = call->in[0]->shape, *y = call->out[0]->shape;
    return (pools){.H = x[2], .W = x[3], .OH = y[2], .OW = y[3], .kh = i[0], .kw = i[1], .sh = i[2] ? i[2] : i[0], .sw = i[3] ? i[3] : i[1],
                   .ph = i[4], .pw = i[5], .max = call->op == LTH_OP_MAX_POOL2D, .count_pad = i[7] != 0, .x = call->in[0]->data,
                   .y = call->out[0]->data};
}
static bool pool_plan(lth_device *d, lth_call *call) {
    (void)d;
    return call->in[0]->dtype == LT_F64 && call->in[0]->ndim == 4 && lth_plain(call->in[0]) && lth_count(call->in[0]) && lth_count(call->out[0]);
}
typedef struct window { int64_t h0, h1, w0, w1; double share; } window;
/* What of window (oh, ow) lies in the image; share: what one element counts in an average. */
static window window_of(const pools *p, int64_t oh, int64_t ow) {
    const int64_t h = oh * p->sh - p->ph, w = ow * p->sw - p->pw;
    const int64_t h_end = lth_min64(h + p->kh, p->H + p->ph), w_end = lth_min64(w + p->kw, p->W + p->pw); /* a last window may be cut (ceil) */
    window v = {h < 0 ? 0 : h, lth_min64(h_end, p->H), w < 0 ? 0 : w, lth_min64(w_end, p->W), 0};
    v.share = 1 / (double)(p->count_pad ? (h_end - h) * (w_end - w) : (v.h1 - v.h0) * (v.w1 - v.w0));
    return v;
}
static int64_t top_of(const pools *p, const double *x, const window *v) { /* the first of equals, or the last NaN */
    int64_t best = v->h0 * p->W + v->w0;
    for (int64_t h = v->h0; h < v->h1; h++) {
        for (int64_t at = h * p->W + v->w0; at < h * p->W + v->w1; at++) {
            best = x[at] > x[best] || isnan(x[at]) ? at : best;
        }
    }
    return best;
}
static void forward_plane(void *arg, int64_t plane, int thread) {
    const pools *p = arg;
    const double *x = p->x + plane * p->H * p->W;
    double *y = p->y + plane * p->OH * p->OW;
    (void)thread;
    for (int64_t o = 0; o < p->OH * p->OW; o++) {
        const window v = window_of(p, o / p->OW, o % p->OW);
        if (p->max) {
            y[o] = x[top_of(p, x, &v)];
            continue;
        }
        double sum = 0;
        for (int64_t h = v.h0; h < v.h1; h++) {
            for (int64_t w = v.w0; w < v.w1; w++) {
                sum += x[h * p->W + w];
            }
        }
        y[o] = sum * v.share;
    }
}
static lt_status pool_forward(lth_device *d, const lth_call *call, lth_error *err) {
    (void)err;
    pools p = pools_of(call);
    lth_cpu_run(d, call->in[0]->shape[0] * call->in[0]->shape[1], (double)(lth_count(call->out[0]) * p.kh * p.kw) * 1e-3, forward_plane, &p);
    return LT_OK;
}
static void backward_plane(void *arg, int64_t plane, int thread) {
    const pools *p = arg;
    const double *x = p->x + plane * p->H * p->W, *dy = p->dy + plane * p->OH * p->OW;
    double *dx = p->dx + plane * p->H * p->W;
    (void)thread;
    if (!p->add) {
        memset(dx, 0, (size_t)(p->H * p->W) * sizeof *dx);
    }
    for (int64_t o = 0; o < p->OH * p->OW; o++) {
        const window v = window_of(p, o / p->OW, o % p->OW);
        if (p->max) {
            dx[top_of(p, x, &v)] += dy[o];
            continue;
        }
        for (int64_t h = v.h0; h < v.h1; h++) {
            for (int64_t w = v.w0; w < v.w1; w++) {
                dx[h * p->W + w] += dy[o] * v.share;
            }
        }
    }
}
static lt_status pool_backward(lth_device *d, const lth_call *call, lth_error *err) {
    (void)err;
    if (lth_cpu_no_gradient(d, call) || !call->need[0]) {
        return LT_OK;
    }
    pools p = pools_of(call);
    p.dy = call->grad_out[0]->data, p.dx = call->grad_in[0]->data, p.add = call->accumulate[0];
    lth_cpu_run(d, call->in[0]->shape[0] * call->in[0]->shape[1], (double)(lth_count(call->out[0]) * p.kh * p.kw) * 2e-3, backward_plane, &p);
    return LT_OK;
}
const lth_kernel lth_wide_pool2d = {pool_plan, pool_forward, pool_backward};
