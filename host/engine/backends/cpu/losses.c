/* backends/cpu/losses.c - losses of pairs (L1, smooth L1, huber, binary cross entropy, Kullback-Leibler) and cosines of rows; plain f32 and
 * f64. Backward computes the slopes anew from the inputs: that moves as much memory as keeping them, and needs none.
 * Weights repeat along leading dimensions; other broadcasts are the fallback's. Sums of chunks meet in order. */
#include "engine/backends/cpu/cpu.h"
#include <math.h>

enum { CHUNK = 16384, PIECE = 512 };

static bool float_plain(const lth_array *a, lt_dtype dtype) { return a && a->dtype == dtype && lth_plain(a); }

/* ---- pairs ---- */
/* How many elements of a weight come before it begins anew: all of it, laid behind one another; 0: it repeats in other ways. */
static int64_t period_of(const lth_array *w, const lth_array *x) {
    int64_t n = lth_count(w), seen = 1;
    for (int k = 1; k <= w->ndim && seen < n; k++) {
        if (w->shape[w->ndim - k] != x->shape[x->ndim - k]) {
            return 0;
        }
        seen *= w->shape[w->ndim - k];
    }
    return n;
}
static bool pair_plan(lth_device *d, lth_call *call) {
    const lth_array *x = call->in[0];
    (void)d;
    if ((x->dtype != LT_F32 && x->dtype != LT_F64) || !lth_plain(x) || !float_plain(call->in[1], x->dtype) || lth_count(x) == 0) {
        return false;
    }
    for (int k = 2; k < call->n_in; k++) {
        if (call->in[k] && (!float_plain(call->in[k], x->dtype) || period_of(call->in[k], x) == 0)) {
            return false;
        }
    }
    return true;
}

typedef struct pairs {
    lth_device *d;
    const char *in[4], *g;      /* x, target, weight, pos_weight; gradients of the losses, NULL: one for all, in scale */
    int64_t n, period[4];
    lth_pair_kind kind;
    double f, scale, *parts;
    char *to;                   /* losses, or the gradient; NULL: only the sum */
    size_t size;                /* of an element */
    bool back, target, add;
} pairs;

static pairs pairs_of(lth_device *d, const lth_call *call) {
    const lth_array *x = call->in[0];
    pairs p = {.d = d, .n = lth_count(x), .f = call->attrs->f[0], .size = x->dtype == LT_F32 ? 4 : 8};
    for (int k = 0; k < call->n_in; k++) {
        p.in[k] = call->in[k] ? call->in[k]->data : NULL;
        p.period[k] = call->in[k] ? lth_count(call->in[k]) : 0;
    }
    switch (call->op) {
    case LTH_OP_L1_LOSS: p.kind = LTH_P_L1; break;
    case LTH_OP_SMOOTH_L1_LOSS: p.kind = LTH_P_SMOOTH; break;
    case LTH_OP_HUBER_LOSS: p.kind = LTH_P_HUBER; break;
    case LTH_OP_BCE_LOSS: p.kind = LTH_P_BCE; break;
    case LTH_OP_BCE_WITH_LOGITS: p.kind = LTH_P_LOGITS; break;
    default: p.kind = call->attrs->i[1] ? LTH_P_KL_LOG : LTH_P_KL;
    }
    return p;
}
/* Elements at .. at + n of a weight that repeats, laid out in `to`. */
static const void *unrolled(const pairs *p, int k, int64_t at, int64_t n, double *to) {
    const int64_t period = p->period[k];
    if (!p->in[k] || period == p->n) {
        return p->in[k] ? p->in[k] + at * (int64_t)p->size : NULL;
    }
    for (int64_t i = 0, from = at % period; i < n; i++, from = from + 1 == period ? 0 : from + 1) {
        if (p->size == 4) {
            ((float *)(void *)to)[i] = ((const float *)(const void *)p->in[k])[from];
        } else {
            to[i] = ((const double *)(const void *)p->in[k])[from];
        }
    }
    return to;
}
static void pair_chunk(void *arg, int64_t chunk, int thread) {
    const pairs *p = arg;
    const lth_cpu_isa *isa = &p->d->isa;
    const bool repeats = (p->in[2] && p->period[2] != p->n) || (p->in[3] && p->period[3] != p->n);
    const int64_t end = lth_min64(p->n, (chunk + 1) * CHUNK), step = repeats ? PIECE : CHUNK, size = (int64_t)p->size;
    const int wide = p->size == 8;
    double spare[2][PIECE], total = 0;
    (void)thread;
    for (int64_t at = chunk * CHUNK; at < end; at += step) {
        const int64_t n = lth_min64(step, end - at);
        const void *x = p->in[0] + at * size, *t = p->in[1] + at * size, *w = unrolled(p, 2, at, n, spare[0]), *pos = unrolled(p, 3, at, n, spare[1]);
        char *to = p->to ? p->to + at * size : NULL;
        if (p->back) {
            isa->pair_back[wide](p->kind, p->target, n, x, t, w, pos, p->f, p->g ? p->g + at * size : NULL, p->scale, to, p->add);
        } else {
            total += isa->pair_loss[wide](p->kind, n, x, t, w, pos, p->f, to);
        }
    }
    if (!p->back) {
        p->parts[chunk] = total;
    }
}
static void run_pairs(pairs *p) {
    const bool heavy = p->kind >= LTH_P_BCE;
    lth_cpu_run(p->d, lth_div_up(p->n, CHUNK), (double)p->n * (p->size == 8 && heavy ? 2e-2 : heavy ? 2e-3 : 4e-4), pair_chunk, p);
}
static lt_status check_chances(const pairs *p, lth_error *err) {
    int64_t bad = 0;
    const float *x = (const float *)(const void *)p->in[0];
    const double *x64 = (const double *)(const void *)p->in[0];
    for (int64_t i = 0; i < p->n; i++) {
        bad += p->size == 4 ? !(x[i] >= 0 && x[i] <= 1) : !(x64[i] >= 0 && x64[i] <= 1);
    }
    for (int64_t i = 0; bad && i < p->n; i++) {
        const double v = p->size == 4 ? (double)x[i] : x64[i];
        if (!(v >= 0 && v <= 1)) {
            return lth_fail(err, LT_EINVAL, "bce_loss: x is %g at position %lld, but must be a probability, 0 to 1; for logits use "
                            "lt_bce_with_logits", v, (long long)i);
        }
    }
    return LT_OK;
}
static double divisor_of(const lth_call *call) {
    const lth_array *x = call->in[0];
    const int64_t reduction = call->attrs->i[0];
    return reduction == LT_MEAN ? (double)lth_count(x) : reduction == LT_BATCHMEAN && x->ndim ? (double)x->shape[0] : 1;
}
static void put_number(const lth_array *y, double value) {
    if (y->dtype == LT_F32) {
        *lth_f32(y) = (float)value;
    } else {
        *(double *)y->data = value;
    }
}
static double number_at(const lth_array *a, int64_t i) { return a->dtype == LT_F32 ? (double)lth_f32(a)[i] : ((const double *)a->data)[i]; }
static lt_status pair_forward(lth_device *d, const lth_call *call, lth_error *err) {
    pairs p = pairs_of(d, call);
    const bool each = call->attrs->i[0] == LT_NONE;
    const int64_t chunks = lth_div_up(p.n, CHUNK);
    if (p.kind == LTH_P_BCE && check_chances(&p, err) < 0) {
        return err->code;
    }
    p.parts = lth_cpu_scratch(d, (size_t)chunks * sizeof *p.parts, err);
    if (!p.parts) {
        return LT_ENOMEM;
    }
    p.to = each ? call->out[0]->data : NULL;
    run_pairs(&p);
    double total = 0;
    for (int64_t i = 0; i < chunks; i++) {
        total += p.parts[i];
    }
    if (!each) {
        put_number(call->out[0], total / divisor_of(call));
    }
    return LT_OK;
}
static lt_status pair_backward(lth_device *d, const lth_call *call, lth_error *err) {
    for (int k = 2; k < call->n_in; k++) {
        if (call->need[k]) {
            return lth_fail(err, LT_EUNSUPPORTED, "no gradient for %s; use lt_detach", k == 2 ? "weight" : "pos_weight");
        }
    }
    for (int k = 0; k < 2; k++) {
        if (!call->need[k]) {
            continue;
        }
        const lth_array *g = call->grad_out[0];
        pairs p = pairs_of(d, call);
        p.back = true, p.target = k == 1, p.add = call->accumulate[k], p.to = call->grad_in[k]->data;
        if (!g) {
            if (!p.add) {
                lth_cpu_zero(d, p.to, (size_t)p.n * p.size, err);
            }
            continue;
        }
        p.g = call->attrs->i[0] == LT_NONE ? g->data : NULL;
        p.scale = p.g ? 1 : number_at(g, 0) / divisor_of(call);
        run_pairs(&p);
    }
    return LT_OK;
}
const lth_kernel lth_cpu_pair_loss = {pair_plan, pair_forward, pair_backward};

/* ---- cosines: the workspace keeps, for each row, the product and both squares ---- */
typedef struct cosines { lth_device *d; const lth_call *call; int64_t rows, width, per_chunk; double *sums, *values; bool loss, wide; } cosines;

static bool cosine_plan(lth_device *d, lth_call *call) {
    const lth_array *a = call->in[0];
    (void)d;
    if ((a->dtype != LT_F32 && a->dtype != LT_F64) || lth_count(a) == 0) {
        return false;
    }
    for (int k = 0; k < call->n_in; k++) {
        if (!float_plain(call->in[k], a->dtype)) {
            return false;
        }
    }
    call->workspace_bytes = (size_t)(lth_count(a) / a->shape[a->ndim - 1]) * 4 * sizeof(double);
    return true;
}
static cosines cosines_of(lth_device *d, const lth_call *call) {
    const lth_array *a = call->in[0];
    cosines c = {.d = d, .call = call, .width = a->shape[a->ndim - 1], .sums = call->workspace, .loss = call->op == LTH_OP_COSINE_EMBEDDING,
                 .wide = a->dtype == LT_F64};
    c.rows = lth_count(a) / c.width;
    c.values = c.sums + 3 * c.rows;
    c.per_chunk = lth_div_up(CHUNK, c.width);
    return c;
}
/* The two numbers the product is divided by. */
static void norms_of(const cosines *c, const double *sums, double *norms) {
    for (int k = 0; k < 2; k++) {
        norms[k] = c->loss ? sqrt(sums[1 + k] + 1e-12) : fmax(sqrt(sums[1 + k]), c->call->attrs->f[0]);
    }
}
static void cosine_chunk(void *arg, int64_t chunk, int thread) {
    const cosines *c = arg;
    (void)thread;
    for (int64_t r = chunk * c->per_chunk; r < lth_min64(c->rows, (chunk + 1) * c->per_chunk); r++) {
        double *sums = c->sums + 3 * r, norms[2];
        if (c->wide) {
            const double *a = (const double *)c->call->in[0]->data + r * c->width, *b = (const double *)c->call->in[1]->data + r * c->width;
            sums[0] = sums[1] = sums[2] = 0;
            for (int64_t i = 0; i < c->width; i++) {
                sums[0] += a[i] * b[i], sums[1] += a[i] * a[i], sums[2] += b[i] * b[i];
            }
        } else {
            const float *a = lth_f32(c->call->in[0]) + r * c->width, *b = lth_f32(c->call->in[1]) + r * c->width;
            sums[0] = c->d->isa.sum_product(c->width, a, b);
            sums[1] = c->d->isa.sum_squares(c->width, a), sums[2] = c->d->isa.sum_squares(c->width, b);
        }
        norms_of(c, sums, norms);
        c->values[r] = sums[0] / (norms[0] * norms[1]);
    }
}
static lt_status cosine_forward(lth_device *d, const lth_call *call, lth_error *err) {
    (void)err;
    cosines c = cosines_of(d, call);
    const bool each = !c.loss || call->attrs->i[0] == LT_NONE;
    double total = 0;
    lth_cpu_run(d, lth_div_up(c.rows, c.per_chunk), (double)(c.rows * c.width) * 1e-3, cosine_chunk, &c);
    for (int64_t r = 0; r < c.rows; r++) {
        double value = c.values[r];
        if (c.loss) {
            const double label = number_at(call->in[2], r);
            value = label == 1 ? 1 - value : label == -1 ? fmax(value - call->attrs->f[0], 0) : 0;
        }
        if (each) {
            lth_array one = *call->out[0];
            one.data = (char *)one.data + r * (c.wide ? 8 : 4);
            put_number(&one, value);
        }
        total += value;
    }
    if (!each) {
        put_number(call->out[0], call->attrs->i[0] == LT_MEAN ? total / (double)c.rows : total);
    }
    return LT_OK;
}
/* The gradient that arrives at the cosine of row r. */
static double arriving(const cosines *c, int64_t r) {
    const lth_call *call = c->call;
    if (!c->loss) {
        return number_at(call->grad_out[0], r);
    }
    const bool each = call->attrs->i[0] == LT_NONE;
    const double label = number_at(call->in[2], r), g = number_at(call->grad_out[0], each ? r : 0);
    const double slope = label == 1 ? -1 : label == -1 && c->values[r] - call->attrs->f[0] >= 0 ? 1 : 0;
    return slope * g / (!each && call->attrs->i[0] == LT_MEAN ? (double)c->rows : 1);
}
static void cosine_back_chunk(void *arg, int64_t chunk, int thread) {
    const cosines *c = arg;
    const lth_call *call = c->call;
    (void)thread;
    for (int64_t r = chunk * c->per_chunk; r < lth_min64(c->rows, (chunk + 1) * c->per_chunk); r++) {
        const double *sums = c->sums + 3 * r, up = arriving(c, r), more = c->loss ? 1e-12 : 0;
        double norms[2];
        norms_of(c, sums, norms);
        for (int k = 0; k < 2; k++) {
            if (!call->need[k]) {
                continue;
            }
            /* other / (|a| |b|) - cosine own / (norm |own|); a norm that eps replaced keeps the slope of its own, as in PyTorch */
            const double length = sqrt(sums[1 + k] + more);
            const double to_other = up / (norms[0] * norms[1]), to_own = length == 0 ? 0 : -up * c->values[r] / (norms[k] * length);
            if (!c->wide) {
                c->d->isa.affine2(c->width, lth_f32(call->in[!k]) + r * c->width, lth_f32(call->in[k]) + r * c->width,
                                  lth_f32(call->grad_in[k]) + r * c->width, (float)to_other, (float)to_own, 0.f, call->accumulate[k]);
                continue;
            }
            const double *other = (const double *)call->in[!k]->data + r * c->width, *own = (const double *)call->in[k]->data + r * c->width;
            double *to = (double *)call->grad_in[k]->data + r * c->width;
            for (int64_t i = 0; i < c->width; i++) {
                to[i] = to_other * other[i] + to_own * own[i] + (call->accumulate[k] ? to[i] : 0);
            }
        }
    }
}
static lt_status cosine_backward(lth_device *d, const lth_call *call, lth_error *err) {
    cosines c = cosines_of(d, call);
    if (call->grad_out[0]) {
        lth_cpu_run(d, lth_div_up(c.rows, c.per_chunk), (double)(c.rows * c.width) * 1e-3, cosine_back_chunk, &c);
        return LT_OK;
    }
    for (int k = 0; k < 2; k++) {
        if (call->need[k] && !call->accumulate[k]) {
            lth_cpu_zero(d, call->grad_in[k]->data, lth_cpu_array_bytes(call->grad_in[k]), err);
        }
    }
    return LT_OK;
}
const lth_kernel lth_cpu_cosine = {cosine_plan, cosine_forward, cosine_backward};
