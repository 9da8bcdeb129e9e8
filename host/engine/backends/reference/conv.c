/* engine/backends/reference/conv.c - 2-d convolution with groups, dilation and padding, then an activation, then a max pool.
 * Values are rounded to the output's dtype after each of the three, so the fused call equals the three ops one after another.
 * Workspace: (N, O, CH, CW) doubles before the activation; when saving, as many again for their gradient. CH, CW: before the pool. */
#include "engine/backends/reference/reference.h"

typedef struct conv {
    ref_image x, y;
    const lth_array *w, *b;
    int64_t sh, sw, ph, pw, dh, dw, groups, act;
    int64_t kh, kw, outs, ins;  /* weight (outs, ins, kh, kw); ins: channels of one group */
    int64_t ch, cw;             /* map before the pool */
    int64_t pool_h, pool_w, pool_sh, pool_sw; /* 0: none */
} conv;

static conv conv_of(const lth_call *call) {
    const int64_t *i = call->attrs->i;
    const lth_array *w = call->in[1];
    conv c = {.x = ref_image_of(call->in[0]), .y = ref_image_of(call->out[0]), .w = w, .b = call->n_in > 2 ? call->in[2] : NULL,
              .sh = i[0], .sw = i[1], .ph = i[2], .pw = i[3], .dh = i[4], .dw = i[5], .groups = i[6], .act = i[7],
              .kh = w->shape[2], .kw = w->shape[3], .outs = w->shape[0], .ins = w->shape[1],
              .pool_h = i[8], .pool_w = i[9], .pool_sh = i[10], .pool_sw = i[11]};
    c.ch = (c.x.h + 2 * c.ph - c.dh * (c.kh - 1) - 1) / c.sh + 1;
    c.cw = (c.x.w + 2 * c.pw - c.dw * (c.kw - 1) - 1) / c.sw + 1;
    return c;
}

static int64_t map_count(const conv *c) { return c->x.n * c->outs * c->ch * c->cw; }
static int64_t map_at(const conv *c, int64_t n, int64_t o, int64_t y, int64_t x) { return ((n * c->outs + o) * c->ch + y) * c->cw + x; }
static int64_t weight_at(const lth_array *w, int64_t o, int64_t i, int64_t y, int64_t x) {
    return o * w->strides[0] + i * w->strides[1] + y * w->strides[2] + x * w->strides[3];
}

static bool conv_plan(lth_device *device, lth_call *call) {
    (void)device;
    if (!ref_plan(device, call)) {
        return false;
    }
    conv c = conv_of(call);
    return ref_plan_with(call, map_count(&c) * (int64_t)sizeof(double) * (call->save ? 2 : 1));
}

static double conv_value(const conv *c, int64_t n, int64_t o, int64_t y, int64_t x) {
    int64_t first = o / (c->outs / c->groups) * c->ins;
    double sum = c->b ? ref_get(c->b, o * c->b->strides[0]) : 0;
    for (int64_t i = 0; i < c->ins; i++) {
        for (int64_t ky = 0; ky < c->kh; ky++) {
            for (int64_t kx = 0; kx < c->kw; kx++) {
                int64_t iy = y * c->sh - c->ph + ky * c->dh, ix = x * c->sw - c->pw + kx * c->dw;
                if (iy >= 0 && iy < c->x.h && ix >= 0 && ix < c->x.w) {
                    sum += ref_get(c->x.a, ref_image_at(&c->x, n, first + i, iy, ix)) * ref_get(c->w, weight_at(c->w, o, i, ky, kx));
                }
            }
        }
    }
    return sum;
}

/* Which place of the map the pooled output (oy, ox) takes: the first of equals, or the last NaN. Without a pool, itself. */
static int64_t pooled_place(const conv *c, const double *before, int64_t n, int64_t o, int64_t oy, int64_t ox) {
    if (!c->pool_h) {
        return map_at(c, n, o, oy, ox);
    }
    int64_t best = -1;
    double top = -INFINITY;
    for (int64_t ky = 0; ky < c->pool_h; ky++) {
        for (int64_t kx = 0; kx < c->pool_w; kx++) {
            int64_t at = map_at(c, n, o, oy * c->pool_sh + ky, ox * c->pool_sw + kx);
            double value = ref_round(c->y.a->dtype, ref_activate(c->act, before[at]));
            if (best < 0 || value > top || isnan(value)) {
                best = at, top = value;
            }
        }
    }
    return best;
}

static lt_status conv_forward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    conv c = conv_of(call);
    double *before = call->workspace;
    for (int64_t at = 0; at < map_count(&c); at++) {
        int64_t x = at % c.cw, y = at / c.cw % c.ch, o = at / (c.cw * c.ch) % c.outs, n = at / (c.cw * c.ch * c.outs);
        before[at] = ref_round(c.y.a->dtype, conv_value(&c, n, o, y, x));
    }
    for (int64_t n = 0; n < c.y.n; n++) {
        for (int64_t o = 0; o < c.outs; o++) {
            for (int64_t y = 0; y < c.y.h; y++) {
                for (int64_t x = 0; x < c.y.w; x++) {
                    double value = before[pooled_place(&c, before, n, o, y, x)];
                    ref_set(c.y.a, ref_image_at(&c.y, n, o, y, x), ref_activate(c.act, value));
                }
            }
        }
    }
    return LT_OK;
}

/* Gradient before the activation, for every place of the map, into the second half of the workspace. */
static const double *conv_up(const conv *c, const lth_call *call) {
    double *before = call->workspace, *up = before + map_count(c);
    if (map_count(c)) { /* an empty map has no workspace */
        memset(up, 0, (size_t)map_count(c) * sizeof *up);
    }
    if (!call->grad_out[0]) {
        return up;
    }
    ref_image g = ref_image_of(call->grad_out[0]);
    for (int64_t n = 0; n < g.n; n++) {
        for (int64_t o = 0; o < c->outs; o++) {
            for (int64_t y = 0; y < g.h; y++) {
                for (int64_t x = 0; x < g.w; x++) {
                    int64_t at = pooled_place(c, before, n, o, y, x);
                    double slope = ref_activate_slope(c->act, before[at]);
                    up[at] += slope == 0 ? 0 : ref_get(g.a, ref_image_at(&g, n, o, y, x)) * slope;
                }
            }
        }
    }
    return up;
}

/* d(x) at one place: every output that read it. */
static double conv_grad_x(const conv *c, const double *up, int64_t n, int64_t channel, int64_t y, int64_t x) {
    int64_t per_group = c->outs / c->groups, group = channel / c->ins;
    double sum = 0;
    for (int64_t ky = 0; ky < c->kh; ky++) {
        int64_t oy = y + c->ph - ky * c->dh;
        for (int64_t kx = 0; kx < c->kw; kx++) {
            int64_t ox = x + c->pw - kx * c->dw;
            if (oy < 0 || ox < 0 || oy % c->sh || ox % c->sw || oy / c->sh >= c->ch || ox / c->sw >= c->cw) {
                continue;
            }
            for (int64_t o = group * per_group; o < (group + 1) * per_group; o++) {
                sum += up[map_at(c, n, o, oy / c->sh, ox / c->sw)] * ref_get(c->w, weight_at(c->w, o, channel % c->ins, ky, kx));
            }
        }
    }
    return sum;
}

static double conv_grad_w(const conv *c, const double *up, int64_t o, int64_t i, int64_t ky, int64_t kx) {
    int64_t channel = o / (c->outs / c->groups) * c->ins + i;
    double sum = 0;
    for (int64_t n = 0; n < c->x.n; n++) {
        for (int64_t y = 0; y < c->ch; y++) {
            for (int64_t x = 0; x < c->cw; x++) {
                int64_t iy = y * c->sh - c->ph + ky * c->dh, ix = x * c->sw - c->pw + kx * c->dw;
                if (iy >= 0 && iy < c->x.h && ix >= 0 && ix < c->x.w) {
                    sum += up[map_at(c, n, o, y, x)] * ref_get(c->x.a, ref_image_at(&c->x, n, channel, iy, ix));
                }
            }
        }
    }
    return sum;
}

static double conv_grad_b(const conv *c, const double *up, int64_t o) {
    double sum = 0;
    for (int64_t n = 0; n < c->x.n; n++) {
        for (int64_t i = 0; i < c->ch * c->cw; i++) {
            sum += up[map_at(c, n, o, 0, 0) + i];
        }
    }
    return sum;
}

static lt_status conv_backward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    conv c = conv_of(call);
    const double *up = conv_up(&c, call);
    for (int k = 0; k < call->n_in; k++) {
        if (!call->need[k]) {
            continue;
        }
        const lth_array *d = call->grad_in[k];
        ref_walk w;
        ref_walk_init(&w, d->ndim, d->shape);
        int id = ref_walk_add(&w, d);
        int64_t *i = w.index, shift = 4 - d->ndim; /* an image without its batch dimension */
        REF_EACH(&w) {
            double value = k == 0   ? conv_grad_x(&c, up, shift ? 0 : i[0], i[1 - shift], i[2 - shift], i[3 - shift])
                           : k == 1 ? conv_grad_w(&c, up, i[0], i[1], i[2], i[3])
                                    : conv_grad_b(&c, up, i[0]);
            ref_give(d, w.at[id], value, call->accumulate[k]);
        }
    }
    return LT_OK;
}

const lth_kernel ref_conv2d = {conv_plan, conv_forward, conv_backward};
