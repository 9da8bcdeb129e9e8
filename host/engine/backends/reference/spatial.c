/* engine/backends/reference/spatial.c - transposed convolution, adaptive pools, interpolation. Each backward gathers or scatters one
 * element after another. Positions are computed in the precision PyTorch computes them in: f32, or f64 for arrays of f64. */
#include "engine/backends/reference/reference.h"

/* ---- transposed convolution: every input spreads over the outputs its kernel reaches ---- */
typedef struct trans { ref_image x, y; const lth_array *w, *b; int64_t sh, sw, ph, pw, dh, dw, groups, kh, kw, ins, outs; } trans;

static trans trans_of(const lth_call *call) {
    const int64_t *i = call->attrs->i;
    const lth_array *w = call->in[1];
    trans t = {.x = ref_image_of(call->in[0]), .y = ref_image_of(call->out[0]), .w = w, .b = call->n_in > 2 ? call->in[2] : NULL, .sh = i[0],
               .sw = i[1], .ph = i[2], .pw = i[3], .dh = i[4], .dw = i[5], .groups = i[6], .kh = w->shape[2], .kw = w->shape[3]};
    t.ins = w->shape[0] / i[6];
    t.outs = w->shape[1];
    return t;
}
static int64_t weight_at(const lth_array *w, int64_t c, int64_t o, int64_t ky, int64_t kx) {
    return c * w->strides[0] + o * w->strides[1] + ky * w->strides[2] + kx * w->strides[3];
}

static double trans_value(const trans *t, int64_t n, int64_t o, int64_t y, int64_t x) {
    int64_t group = o / t->outs;
    double sum = t->b ? ref_get(t->b, o * t->b->strides[0]) : 0;
    for (int64_t ky = 0; ky < t->kh; ky++) {
        int64_t iy = y + t->ph - ky * t->dh;
        for (int64_t kx = 0; kx < t->kw; kx++) {
            int64_t ix = x + t->pw - kx * t->dw;
            if (iy < 0 || ix < 0 || iy % t->sh || ix % t->sw || iy / t->sh >= t->x.h || ix / t->sw >= t->x.w) {
                continue;
            }
            for (int64_t c = group * t->ins; c < (group + 1) * t->ins; c++) {
                sum += ref_get(t->x.a, ref_image_at(&t->x, n, c, iy / t->sh, ix / t->sw)) * ref_get(t->w, weight_at(t->w, c, o % t->outs, ky, kx));
            }
        }
    }
    return sum;
}

static lt_status trans_forward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    trans t = trans_of(call);
    for (int64_t n = 0; n < t.y.n; n++) {
        for (int64_t o = 0; o < t.y.c; o++) {
            for (int64_t at = 0; at < t.y.h * t.y.w; at++) {
                ref_set(t.y.a, ref_image_at(&t.y, n, o, at / t.y.w, at % t.y.w), trans_value(&t, n, o, at / t.y.w, at % t.y.w));
            }
        }
    }
    return LT_OK;
}

/* What output (y, x) of tap (ky, kx) lies at input (iy, ix); 0 outside. */
static double reached(const trans *t, const ref_image *g, int64_t n, int64_t o, int64_t iy, int64_t ix, int64_t ky, int64_t kx) {
    int64_t y = iy * t->sh - t->ph + ky * t->dh, x = ix * t->sw - t->pw + kx * t->dw;
    return y >= 0 && y < g->h && x >= 0 && x < g->w ? ref_get(g->a, ref_image_at(g, n, o, y, x)) : 0;
}
static double trans_grad_x(const trans *t, const ref_image *g, int64_t n, int64_t c, int64_t iy, int64_t ix) {
    int64_t first = c / t->ins * t->outs;
    double sum = 0;
    for (int64_t o = 0; o < t->outs; o++) {
        for (int64_t k = 0; k < t->kh * t->kw; k++) {
            sum += reached(t, g, n, first + o, iy, ix, k / t->kw, k % t->kw) * ref_get(t->w, weight_at(t->w, c, o, k / t->kw, k % t->kw));
        }
    }
    return sum;
}
static double trans_grad_w(const trans *t, const ref_image *g, int64_t c, int64_t o, int64_t ky, int64_t kx) {
    double sum = 0;
    for (int64_t n = 0; n < t->x.n; n++) {
        for (int64_t at = 0; at < t->x.h * t->x.w; at++) {
            sum += reached(t, g, n, c / t->ins * t->outs + o, at / t->x.w, at % t->x.w, ky, kx) *
                   ref_get(t->x.a, ref_image_at(&t->x, n, c, at / t->x.w, at % t->x.w));
        }
    }
    return sum;
}
static double trans_grad_b(const ref_image *g, int64_t o) {
    double sum = 0;
    for (int64_t n = 0; n < g->n; n++) {
        for (int64_t at = 0; at < g->h * g->w; at++) {
            sum += ref_get(g->a, ref_image_at(g, n, o, at / g->w, at % g->w));
        }
    }
    return sum;
}
static lt_status trans_backward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    trans t = trans_of(call);
    ref_image g = {0};
    if (call->grad_out[0]) {
        g = ref_image_of(call->grad_out[0]);
    }
    for (int k = 0; k < call->n_in; k++) {
        if (!call->need[k]) {
            continue;
        }
        const lth_array *d = call->grad_in[k];
        ref_walk w;
        ref_walk_init(&w, d->ndim, d->shape);
        int id = ref_walk_add(&w, d);
        int64_t *i = w.index;
        REF_EACH(&w) {
            double value = !call->grad_out[0] ? 0
                           : k == 0           ? trans_grad_x(&t, &g, i[0], i[1], i[2], i[3])
                           : k == 1           ? trans_grad_w(&t, &g, i[0], i[1], i[2], i[3])
                                              : trans_grad_b(&g, i[0]);
            ref_give(d, w.at[id], value, call->accumulate[k]);
        }
    }
    return LT_OK;
}
const lth_kernel ref_conv_transpose2d = {ref_plan, trans_forward, trans_backward};

/* ---- maps in which every output reads a few places of its plane: place and share of each ---- */
typedef struct reads { int count; int64_t at[4]; double share[4]; } reads;

static void clear_gradient(const lth_array *d) {
    ref_walk w;
    ref_walk_init(&w, d->ndim, d->shape);
    int id = ref_walk_add(&w, d);
    REF_EACH(&w) {
        ref_set(d, w.at[id], 0);
    }
}

/* ---- adaptive pools: window i of n outputs over `in` places is floor(i in / n) .. ceil((i + 1) in / n) ---- */
static int64_t first_of(int64_t i, int64_t in, int64_t n) { return i * in / n; }
static int64_t end_of(int64_t i, int64_t in, int64_t n) { return ((i + 1) * in + n - 1) / n; }

/* Place of the maximum, the first of equals or the last NaN. */
static int64_t top_of(const ref_image *x, int64_t n, int64_t c, const int64_t *bounds) {
    int64_t best = -1;
    double top = 0;
    for (int64_t h = bounds[0]; h < bounds[1]; h++) {
        for (int64_t w = bounds[2]; w < bounds[3]; w++) {
            double value = ref_get(x->a, ref_image_at(x, n, c, h, w));
            if (best < 0 || value > top || isnan(value)) {
                best = h * x->w + w, top = value;
            }
        }
    }
    return best;
}
static lt_status adaptive(const lth_call *call, bool backward) {
    bool max = call->op == LTH_OP_ADAPTIVE_MAX_POOL2D;
    ref_image x = ref_image_of(call->in[0]), y = ref_image_of(backward ? call->grad_out[0] : call->out[0]), d = {0};
    if (backward) {
        d = ref_image_of(call->grad_in[0]);
    }
    for (int64_t plane = 0; plane < x.n * x.c; plane++) {
        int64_t n = plane / x.c, c = plane % x.c;
        for (int64_t o = 0; o < y.h * y.w; o++) {
            int64_t oh = o / y.w, ow = o % y.w, to = ref_image_at(&y, n, c, oh, ow);
            int64_t bounds[4] = {first_of(oh, x.h, y.h), end_of(oh, x.h, y.h), first_of(ow, x.w, y.w), end_of(ow, x.w, y.w)};
            double share = 1 / (double)((bounds[1] - bounds[0]) * (bounds[3] - bounds[2])), sum = 0;
            int64_t top = max ? top_of(&x, n, c, bounds) : -1;
            for (int64_t h = bounds[0]; h < bounds[1]; h++) {
                for (int64_t w = bounds[2]; w < bounds[3]; w++) {
                    double part = max ? h * x.w + w == top : share;
                    if (!backward && part != 0) {
                        sum += ref_get(x.a, ref_image_at(&x, n, c, h, w)) * part;
                    } else if (part != 0) {
                        ref_give(d.a, ref_image_at(&d, n, c, h, w), ref_get(y.a, to) * part, true);
                    }
                }
            }
            if (!backward) {
                ref_set(y.a, to, sum);
            }
        }
    }
    return LT_OK;
}
static lt_status adaptive_forward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    return adaptive(call, false);
}
static lt_status adaptive_backward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    if (!call->need[0]) {
        return LT_OK;
    }
    if (!call->accumulate[0]) {
        clear_gradient(call->grad_in[0]);
    }
    return call->grad_out[0] ? adaptive(call, true) : LT_OK;
}
const lth_kernel ref_adaptive_pool2d = {ref_plan, adaptive_forward, adaptive_backward};

/* ---- interpolation ---- */
/* Source position of output o, as ATen/native/UpSample.h: from the scale given, or from the sizes. */
static double source_of(const lth_call *call, int axis, int64_t o, int64_t in, int64_t out) {
    const lth_attrs *a = call->attrs;
    bool wide = call->in[0]->dtype == LT_F64;
    double scale;
    if (out == in || (a->i[0] == 0 && out == 2 * in)) { /* whatever the scale */
        return (double)(out == in ? o : o / 2);
    }
    if (a->i[1]) {
        scale = out > 1 ? (wide ? (double)(in - 1) / (double)(out - 1) : (double)((float)(in - 1) / (float)(out - 1))) : 0;
    } else if (a->f[axis] > 0) {
        scale = wide ? 1 / a->f[axis] : (double)(float)(1 / a->f[axis]);
    } else {
        scale = wide ? (double)in / (double)out : (double)((float)in / (float)out);
    }
    double place = (double)o;
    if (a->i[0] == 1 && !a->i[1]) {
        place = wide ? scale * ((double)o + 0.5) - 0.5 : (double)((float)scale * ((float)o + 0.5f) - 0.5f);
        return place < 0 ? 0 : place;
    }
    return wide ? scale * place : (double)((float)scale * (float)place);
}
static void sample(const lth_call *call, const ref_image *x, const ref_image *y, int64_t oy, int64_t ox, reads *out) {
    double sy = source_of(call, 0, oy, x->h, y->h), sx = source_of(call, 1, ox, x->w, y->w);
    int64_t h = (int64_t)floor(sy), w = (int64_t)floor(sx);
    h = h > x->h - 1 ? x->h - 1 : h, w = w > x->w - 1 ? x->w - 1 : w;
    *out = (reads){.count = 1, .at = {h * x->w + w}, .share = {1}};
    if (call->attrs->i[0] == 1) {
        double down = fmin(fmax(sy - (double)h, 0), 1), right = fmin(fmax(sx - (double)w, 0), 1);
        int64_t h1 = h + (h < x->h - 1), w1 = w + (w < x->w - 1);
        *out = (reads){.count = 4, .at = {h * x->w + w, h * x->w + w1, h1 * x->w + w, h1 * x->w + w1},
                       .share = {(1 - down) * (1 - right), (1 - down) * right, down * (1 - right), down * right}};
    }
}
static lt_status interpolate_forward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    ref_image x = ref_image_of(call->in[0]), y = ref_image_of(call->out[0]);
    for (int64_t at = 0; at < y.n * y.c * y.h * y.w; at++) {
        int64_t ox = at % y.w, oy = at / y.w % y.h, c = at / (y.w * y.h) % y.c, n = at / (y.w * y.h * y.c);
        reads r;
        double sum = 0;
        sample(call, &x, &y, oy, ox, &r);
        for (int k = 0; k < r.count; k++) {
            sum += ref_get(x.a, ref_image_at(&x, n, c, r.at[k] / x.w, r.at[k] % x.w)) * r.share[k];
        }
        ref_set(y.a, ref_image_at(&y, n, c, oy, ox), sum);
    }
    return LT_OK;
}
static lt_status interpolate_backward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    if (!call->need[0]) {
        return LT_OK;
    }
    if (!call->accumulate[0]) {
        clear_gradient(call->grad_in[0]);
    }
    if (!call->grad_out[0]) {
        return LT_OK;
    }
    ref_image d = ref_image_of(call->grad_in[0]), g = ref_image_of(call->grad_out[0]);
    for (int64_t at = 0; at < g.n * g.c * g.h * g.w; at++) {
        int64_t ox = at % g.w, oy = at / g.w % g.h, c = at / (g.w * g.h) % g.c, n = at / (g.w * g.h * g.c);
        reads r;
        sample(call, &d, &g, oy, ox, &r);
        for (int k = 0; k < r.count; k++) {
            ref_give(d.a, ref_image_at(&d, n, c, r.at[k] / d.w, r.at[k] % d.w), ref_get(g.a, ref_image_at(&g, n, c, oy, ox)) * r.share[k], true);
        }
    }
    return LT_OK;
}
const lth_kernel ref_interpolate = {ref_plan, interpolate_forward, interpolate_backward};

/* ---- group norm: x as (N, groups, C / groups, rest); RMS norm: rows of the last dimension ---- */
static const lth_array *optional(const lth_call *call, int k) { return k < call->n_in ? call->in[k] : NULL; }
static double value_or(const lth_array *a, int64_t i, double other) { return a ? ref_get(a, i * a->strides[0]) : other; }
/* Place of element `i` of channel c of image n. */
static int64_t element_at(const lth_array *a, int64_t n, int64_t c, int64_t i) {
    int64_t at = n * a->strides[0] + c * a->strides[1];
    for (int d = a->ndim - 1; d >= 2; d--) {
        at += i % a->shape[d] * a->strides[d];
        i /= a->shape[d];
    }
    return at;
}
typedef struct group { int64_t N, C, rest, per; double eps; } group;
static group group_of(const lth_call *call) {
    const lth_array *x = call->in[0];
    group g = {.N = x->shape[0], .C = x->shape[1], .rest = 1, .per = x->shape[1] / call->attrs->i[0], .eps = call->attrs->f[0]};
    for (int d = 2; d < x->ndim; d++) {
        g.rest *= x->shape[d];
    }
    return g;
}
static void group_moments(const group *g, const lth_array *x, int64_t n, int64_t first, double *mean, double *rstd) {
    double sum = 0, squares = 0, count = (double)(g->per * g->rest);
    for (int64_t k = 0; k < g->per * g->rest; k++) {
        sum += ref_get(x, element_at(x, n, first + k / g->rest, k % g->rest));
    }
    *mean = sum / count;
    for (int64_t k = 0; k < g->per * g->rest; k++) {
        double off = ref_get(x, element_at(x, n, first + k / g->rest, k % g->rest)) - *mean;
        squares += off * off;
    }
    *rstd = 1 / sqrt(squares / count + g->eps);
}
static lt_status group_forward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    const lth_array *x = call->in[0], *w = optional(call, 1), *b = optional(call, 2), *y = call->out[0];
    group g = group_of(call);
    for (int64_t at = 0; g.rest && at < g.N * call->attrs->i[0]; at++) {
        int64_t n = at / call->attrs->i[0], first = at % call->attrs->i[0] * g.per;
        double mean, rstd;
        group_moments(&g, x, n, first, &mean, &rstd);
        for (int64_t k = 0; k < g.per * g.rest; k++) {
            int64_t c = first + k / g.rest;
            double xhat = (ref_get(x, element_at(x, n, c, k % g.rest)) - mean) * rstd;
            ref_set(y, element_at(y, n, c, k % g.rest), xhat * value_or(w, c, 1) + value_or(b, c, 0));
        }
    }
    return LT_OK;
}
/* Workspace: per channel the sums of g xhat and of g. */
static bool group_plan(lth_device *device, lth_call *call) {
    (void)device;
    return ref_plan_with(call, 2 * call->in[0]->shape[1] * (int64_t)sizeof(double));
}
static lt_status group_backward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    const lth_array *x = call->in[0], *w = optional(call, 1), *up = call->grad_out[0];
    group g = group_of(call);
    double *sums = call->workspace, count = (double)(g.per * g.rest);
    for (int64_t c = 0; c < 2 * g.C; c++) {
        sums[c] = 0;
    }
    for (int64_t at = 0; g.rest && at < g.N * call->attrs->i[0]; at++) {
        int64_t n = at / call->attrs->i[0], first = at % call->attrs->i[0] * g.per;
        double mean, rstd, sum = 0, hat = 0;
        group_moments(&g, x, n, first, &mean, &rstd);
        for (int64_t k = 0; k < g.per * g.rest; k++) {
            int64_t c = first + k / g.rest;
            double xhat = (ref_get(x, element_at(x, n, c, k % g.rest)) - mean) * rstd, value = up ? ref_get(up, element_at(up, n, c, k % g.rest)) : 0;
            sums[2 * c] += value * xhat, sums[2 * c + 1] += value;
            sum += value * value_or(w, c, 1), hat += value * value_or(w, c, 1) * xhat;
        }
        for (int64_t k = 0; call->need[0] && k < g.per * g.rest; k++) {
            int64_t c = first + k / g.rest;
            double xhat = (ref_get(x, element_at(x, n, c, k % g.rest)) - mean) * rstd, value = up ? ref_get(up, element_at(up, n, c, k % g.rest)) : 0;
            ref_give(call->grad_in[0], element_at(call->grad_in[0], n, c, k % g.rest),
                     rstd * (value * value_or(w, c, 1) - sum / count - xhat * hat / count), call->accumulate[0]);
        }
    }
    for (int k = 1; k < 3; k++) {
        for (int64_t c = 0; call->need[k] && c < g.C; c++) {
            ref_give(call->grad_in[k], c * call->grad_in[k]->strides[0], sums[2 * c + k - 1], call->accumulate[k]);
        }
    }
    return LT_OK;
}
const lth_kernel ref_group_norm = {group_plan, group_forward, group_backward};

static double row_rms(const lth_array *x, int64_t at, double eps) {
    int64_t D = x->shape[x->ndim - 1], step = x->strides[x->ndim - 1];
    double squares = 0;
    for (int64_t i = 0; i < D; i++) {
        double value = ref_get(x, at + i * step);
        squares += value * value;
    }
    return 1 / sqrt(squares / (double)D + eps);
}
static lt_status rms_forward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    const lth_array *x = call->in[0], *w = optional(call, 1), *y = call->out[0];
    int64_t D = x->shape[x->ndim - 1], rows = D ? ref_numel(x) / D : 0;
    for (int64_t row = 0; row < rows; row++) {
        int64_t at = ref_row_at(x, row), to = ref_row_at(y, row);
        double r = row_rms(x, at, call->attrs->f[0]);
        for (int64_t i = 0; i < D; i++) {
            ref_set(y, to + i * y->strides[y->ndim - 1], ref_get(x, at + i * x->strides[x->ndim - 1]) * r * value_or(w, i, 1));
        }
    }
    return LT_OK;
}
static bool rms_plan(lth_device *device, lth_call *call) {
    (void)device;
    return ref_plan_with(call, call->in[0]->shape[call->in[0]->ndim - 1] * (int64_t)sizeof(double));
}
static lt_status rms_backward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    const lth_array *x = call->in[0], *w = optional(call, 1), *g = call->grad_out[0], *d = call->grad_in[0];
    int64_t D = x->shape[x->ndim - 1], rows = D ? ref_numel(x) / D : 0, last = x->ndim - 1;
    double *sums = call->workspace;
    for (int64_t k = 0; k < D; k++) {
        sums[k] = 0;
    }
    for (int64_t row = 0; row < rows; row++) {
        int64_t at = ref_row_at(x, row), up = g ? ref_row_at(g, row) : 0, to = call->need[0] ? ref_row_at(d, row) : 0;
        double r = row_rms(x, at, call->attrs->f[0]), dot = 0;
        for (int64_t i = 0; g && i < D; i++) {
            double value = ref_get(g, up + i * g->strides[last]), xi = ref_get(x, at + i * x->strides[last]);
            sums[i] += value * xi * r;
            dot += value * value_or(w, i, 1) * xi;
        }
        for (int64_t i = 0; call->need[0] && i < D; i++) {
            double value = g ? ref_get(g, up + i * g->strides[last]) * value_or(w, i, 1) : 0, xi = ref_get(x, at + i * x->strides[last]);
            ref_give(d, to + i * d->strides[last], r * (value - xi * r * r * dot / (double)D), call->accumulate[0]);
        }
    }
    for (int64_t i = 0; call->need[1] && i < D; i++) {
        ref_give(call->grad_in[1], i * call->grad_in[1]->strides[0], sums[i], call->accumulate[1]);
    }
    return LT_OK;
}
const lth_kernel ref_rms_norm = {rms_plan, rms_forward, rms_backward};
