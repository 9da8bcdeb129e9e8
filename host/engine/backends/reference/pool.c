/* engine/backends/reference/pool.c - max and average pooling of images.
 * PyTorch's rules: a max pool never picks padding; the first of equals wins and the last NaN; an average counts padding up to
 * the input's padded edge, never beyond it (ceil mode). */
#include "engine/backends/reference/reference.h"

typedef struct pool { ref_image x, y; int64_t kh, kw, sh, sw, ph, pw; bool count_pad; } pool;
typedef struct window { int64_t y0, y1, x0, x1, divisor; } window; /* clipped to the image */

static pool pool_of(const lth_call *call) {
    const int64_t *i = call->attrs->i;
    pool p = {.x = ref_image_of(call->in[0]), .y = ref_image_of(call->out[0]),
              .kh = i[0], .kw = i[1], .sh = i[2], .sw = i[3], .ph = i[4], .pw = i[5], .count_pad = i[7] != 0};
    return p;
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

static window window_of(const pool *p, int64_t oy, int64_t ox) {
    int64_t y0 = oy * p->sh - p->ph, x0 = ox * p->sw - p->pw;
    int64_t y1 = least(y0 + p->kh, p->x.h + p->ph), x1 = least(x0 + p->kw, p->x.w + p->pw);
    window w = {.y0 = most(y0, 0), .y1 = least(y1, p->x.h), .x0 = most(x0, 0), .x1 = least(x1, p->x.w), .divisor = (y1 - y0) * (x1 - x0)};
    if (!p->count_pad) {
        w.divisor = (w.y1 - w.y0) * (w.x1 - w.x0);
    }
    return w;
}

/* Outputs whose window may hold row or column `at` of the input: from..to, both included. */
static void windows_over(int64_t at, int64_t kernel, int64_t stride, int64_t pad, int64_t outs, int64_t *from, int64_t *to) {
    *from = most(0, (at + pad - kernel + stride) / stride);
    *to = least(outs - 1, (at + pad) / stride);
}

/* ---- max: workspace holds, per output, the place (y * W + x) it took ---- */
static bool max_plan(lth_device *device, lth_call *call) {
    (void)device;
    return ref_plan_with(call, call->save ? ref_numel(call->out[0]) * (int64_t)sizeof(int64_t) : 0);
}

static int64_t max_place(const pool *p, int64_t n, int64_t c, window w) {
    int64_t best = -1;
    double top = -INFINITY;
    for (int64_t y = w.y0; y < w.y1; y++) {
        for (int64_t x = w.x0; x < w.x1; x++) {
            double value = ref_get(p->x.a, ref_image_at(&p->x, n, c, y, x));
            if (best < 0 || value > top || isnan(value)) {
                best = y * p->x.w + x, top = value;
            }
        }
    }
    return best;
}

static int64_t out_number(const pool *p, int64_t n, int64_t c, int64_t y, int64_t x) { return ((n * p->y.c + c) * p->y.h + y) * p->y.w + x; }

static lt_status max_forward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    pool p = pool_of(call);
    int64_t *places = call->save ? call->workspace : NULL;
    for (int64_t n = 0; n < p.y.n; n++) {
        for (int64_t c = 0; c < p.y.c; c++) {
            for (int64_t y = 0; y < p.y.h; y++) {
                for (int64_t x = 0; x < p.y.w; x++) {
                    int64_t place = max_place(&p, n, c, window_of(&p, y, x));
                    double value = place < 0 ? -INFINITY : ref_get(p.x.a, ref_image_at(&p.x, n, c, place / p.x.w, place % p.x.w));
                    ref_set(p.y.a, ref_image_at(&p.y, n, c, y, x), value);
                    if (places) {
                        places[out_number(&p, n, c, y, x)] = place;
                    }
                }
            }
        }
    }
    return LT_OK;
}

/* ---- average ---- */
static lt_status avg_forward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    pool p = pool_of(call);
    for (int64_t n = 0; n < p.y.n; n++) {
        for (int64_t c = 0; c < p.y.c; c++) {
            for (int64_t oy = 0; oy < p.y.h; oy++) {
                for (int64_t ox = 0; ox < p.y.w; ox++) {
                    window w = window_of(&p, oy, ox);
                    double sum = 0;
                    for (int64_t y = w.y0; y < w.y1; y++) {
                        for (int64_t x = w.x0; x < w.x1; x++) {
                            sum += ref_get(p.x.a, ref_image_at(&p.x, n, c, y, x));
                        }
                    }
                    ref_set(p.y.a, ref_image_at(&p.y, n, c, oy, ox), w.divisor > 0 && w.y0 < w.y1 && w.x0 < w.x1 ? sum / (double)w.divisor : 0);
                }
            }
        }
    }
    return LT_OK;
}

/* ---- backward of both: each input element gathers from the windows that hold it ---- */
static double pool_gradient(const pool *p, const lth_call *call, const ref_image *g, int64_t n, int64_t c, int64_t y, int64_t x) {
    const int64_t *places = call->workspace;
    int64_t y0, y1, x0, x1;
    double sum = 0;
    windows_over(y, p->kh, p->sh, p->ph, p->y.h, &y0, &y1);
    windows_over(x, p->kw, p->sw, p->pw, p->y.w, &x0, &x1);
    for (int64_t oy = y0; oy <= y1; oy++) {
        for (int64_t ox = x0; ox <= x1; ox++) {
            double up = ref_get(g->a, ref_image_at(g, n, c, oy, ox));
            if (call->op == LTH_OP_MAX_POOL2D) {
                sum += places[out_number(p, n, c, oy, ox)] == y * p->x.w + x ? up : 0;
            } else {
                sum += up / (double)window_of(p, oy, ox).divisor;
            }
        }
    }
    return sum;
}

static lt_status pool_backward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    if (!call->need[0]) {
        return LT_OK;
    }
    pool p = pool_of(call);
    ref_image d = ref_image_of(call->grad_in[0]), g = {0};
    if (call->grad_out[0]) {
        g = ref_image_of(call->grad_out[0]);
    }
    for (int64_t n = 0; n < d.n; n++) {
        for (int64_t c = 0; c < d.c; c++) {
            for (int64_t y = 0; y < d.h; y++) {
                for (int64_t x = 0; x < d.w; x++) {
                    double value = g.a ? pool_gradient(&p, call, &g, n, c, y, x) : 0;
                    ref_give(d.a, ref_image_at(&d, n, c, y, x), value, call->accumulate[0]);
                }
            }
        }
    }
    return LT_OK;
}

const lth_kernel ref_max_pool2d = {max_plan, max_forward, pool_backward}, ref_avg_pool2d = {ref_plan, avg_forward, pool_backward};
