/* backends/cpu/wide/attention.c - ATTENTION and SELF_ATTENTION in f64: a chunk is one head of one sample, done by one thread, QB rows of q at
 * a time against all keys they may see. Scores exist for those rows only; backward makes them again from the log-sum-exp that forward leaves.
 * Operands of any strides are packed into panels for the tiles of gemm. Refuses other dtypes and empty arrays. The gradient of a mask is made
 * on one thread: masks are shared by heads. */
#include "engine/backends/cpu/wide/gemm.h"
#include "engine/backends/cpu/wide/wide.h"
#include <math.h>

enum { QB = 48 }; /* a multiple of every set's gemm_rows */

/* One of q, k, v, the output or a gradient, seen as (B, heads, T, D). */
typedef struct part { double *data; int64_t shape[4], at[4]; bool add; } part;
typedef struct work {
    lth_device *d;
    part q, k, v, o, go, dq, dk, dv;
    const lth_array *mask;
    double *dmask, *lse, *scratch, scale; /* lse: (B, heads, T) */
    bool causal;
    int64_t T, S, D, V, doubles;          /* doubles of scratch per thread */
} work;
/* Scratch of a thread. a: panels of rows of q or of probabilities; b_: panels of columns, named by what they hold. */
typedef struct places { double *a, *b_k, *b_v, *b_vt, *b_kd, *b_q, *b_go, *p, *ds, *o, *dk, *dv; } places;

static int64_t up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

static part whole(const lth_array *a) {
    part p = {.data = a->data};
    memcpy(p.shape, a->shape, sizeof p.shape);
    memcpy(p.at, a->strides, sizeof p.at);
    return p;
}
/* Part `which` of (B, T, parts heads D). */
static part slice(const lth_array *a, int which, int parts, int64_t heads) {
    const int64_t D = a->shape[2] / parts / heads;
    return (part){.data = (double *)a->data + which * heads * D * a->strides[2], .shape = {a->shape[0], heads, a->shape[1], D},
                  .at = {a->strides[0], D * a->strides[2], a->strides[1], a->strides[2]}};
}
static work work_of(lth_device *d, const lth_call *call) {
    const bool self = call->op == LTH_OP_SELF_ATTENTION;
    const int64_t heads = call->attrs->i[1];
    const int mask_at = self ? 1 : 3;
    work w = {.d = d, .mask = call->n_in > mask_at ? call->in[mask_at] : NULL, .lse = call->workspace, .causal = call->attrs->i[0] != 0};
    w.q = self ? slice(call->in[0], 0, 3, heads) : whole(call->in[0]);
    w.k = self ? slice(call->in[0], 1, 3, heads) : whole(call->in[1]);
    w.v = self ? slice(call->in[0], 2, 3, heads) : whole(call->in[2]);
    w.o = self ? slice(call->out[0], 0, 1, heads) : whole(call->out[0]);
    w.T = w.q.shape[2], w.S = w.k.shape[2], w.D = w.q.shape[3], w.V = w.v.shape[3];
    w.scale = call->attrs->f[0] != 0 ? call->attrs->f[0] : 1 / sqrt((double)w.D);
    return w;
}
static bool attention_plan(lth_device *d, lth_call *call) {
    const bool self = call->op == LTH_OP_SELF_ATTENTION;
    const int mask_at = self ? 1 : 3;
    for (int k = 0; k < (self ? 1 : 3); k++) {
        const lth_array *x = call->in[k];
        if (x->dtype != LT_F64 || x->layout != LTH_STRIDED || lth_count(x) == 0) {
            return false;
        }
    }
    const work w = work_of(d, call);
    if (w.D < 1 || lth_count(call->out[0]) == 0 || (call->n_in > mask_at && call->in[mask_at] && call->in[mask_at]->layout != LTH_STRIDED)) {
        return false;
    }
    call->workspace_bytes = lth_floats((size_t)(2 * w.q.shape[0] * w.q.shape[1] * w.T));
    return true;
}

/* ---- scratch, panels, products ---- */
static int64_t lay_out(const work *w, bool back, double *memory, places *p) {
    const int64_t nr = w->d->isa.gemm_cols64, mr = w->d->isa.gemm_rows, Sn = up(w->S, nr), Sm = up(w->S, mr), Dn = up(w->D, nr), Vn = up(w->V, nr);
    const int64_t widest = w->S > w->D ? (w->S > w->V ? w->S : w->V) : w->D > w->V ? w->D : w->V, panel = up(QB * widest, 8);
    const int64_t sizes[] = {panel > Sm * QB ? panel : Sm * QB, Sn * w->D, Vn * w->S, back ? Sn * w->V : 0, back ? Dn * w->S : 0, back ? Dn * QB : 0,
                             back ? Vn * QB : 0, QB * Sn, back ? QB * Sn : 0, QB * (Vn > Dn ? Vn : Dn), back ? Sm * Dn : 0, back ? Sm * Vn : 0};
    double **const to[] = {&p->a, &p->b_k, &p->b_v, &p->b_vt, &p->b_kd, &p->b_q, &p->b_go, &p->p, &p->ds, &p->o, &p->dk, &p->dv};
    int64_t at = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        *to[i] = memory ? memory + at : NULL;
        at += up(sizes[i], 8);
    }
    return at;
}
/* c (rows, cols) (+)= a b from panels; a panel of b is b_depth deep, of which `depth` are used. */
static void product(const work *w, int64_t rows, int64_t cols, int64_t depth, const double *a, const double *b, int64_t b_depth, double *c, int64_t c_at,
                    bool add) {
    const int64_t nr = w->d->isa.gemm_cols64, mr = w->d->isa.gemm_rows;
    for (int64_t col = 0; col < cols; col += nr) {
        for (int64_t row = 0; row < rows; row += mr) {
            w->d->isa.gemm_tile64(depth, a + row * depth, b + col * b_depth, c + row * c_at + col, c_at, add);
        }
    }
}
static const double *head_of(const part *p, int64_t b, int64_t h) { return p->data + b * p->at[0] + h * p->at[1]; }

/* ---- scores of rows first..first+rows-1 against the first n keys ---- */
static int64_t mask_step(const lth_array *mask, int dim) { /* dim of (B, heads, T, S) */
    const int own = dim - (4 - mask->ndim);
    return own < 0 || mask->shape[own] == 1 ? 0 : mask->strides[own];
}
static void add_mask(const work *w, int64_t b, int64_t h, int64_t i, int64_t n, double *s) {
    const lth_array *m = w->mask;
    const int64_t at = b * mask_step(m, 0) + h * mask_step(m, 1) + i * mask_step(m, 2), step = mask_step(m, 3);
    for (int64_t j = 0; j < n; j++) {
        if (m->dtype == LT_BOOL) {
            s[j] = ((const uint8_t *)m->data)[at + j * step] ? s[j] : -INFINITY;
        } else {
            s[j] += ((const double *)m->data)[at + j * step];
        }
    }
}
static int64_t keys_of(const work *w, int64_t row) { return w->causal ? lth_min64(w->S, row + 1) : w->S; }
static void scores(const work *w, const places *p, int64_t b, int64_t h, int64_t first, int64_t rows, int64_t n) {
    const int64_t at = up(w->S, w->d->isa.gemm_cols64);
    lth_pack_f64(head_of(&w->q, b, h) + first * w->q.at[2], w->q.at[2], w->q.at[3], rows, w->D, p->a, w->d->isa.gemm_rows);
    product(w, rows, n, w->D, p->a, p->b_k, w->D, p->p, at, false);
    for (int64_t r = 0; r < rows; r++) {
        double *s = p->p + r * at;
        for (int64_t j = 0; j < n; j++) {
            s[j] *= w->scale;
        }
        if (w->mask) {
            add_mask(w, b, h, first + r, n, s);
        }
        for (int64_t j = keys_of(w, first + r); j < n; j++) {
            s[j] = -INFINITY;
        }
    }
}
static void pack_keys(const work *w, const places *p, int64_t b, int64_t h) {
    const int nr = w->d->isa.gemm_cols64;
    lth_pack_f64(head_of(&w->k, b, h), w->k.at[2], w->k.at[3], w->S, w->D, p->b_k, nr);
}

/* ---- forward ---- */
/* Scores -> probabilities; a row that may look at nothing: zeros. */
static void normalize(const work *w, double *s, int64_t n, double *lse) {
    double top = -INFINITY, sum = 0;
    for (int64_t j = 0; j < n; j++) {
        top = s[j] > top || isnan(s[j]) ? s[j] : top;
    }
    if (top == -INFINITY) {
        memset(s, 0, (size_t)n * sizeof *s);
        *lse = INFINITY; /* so that backward finds zeros again */
        return;
    }
    w->d->isa.f64.pair(LTH_P_EXP_OFF, n, s, &top, false, true, s);
    for (int64_t j = 0; j < n; j++) {
        sum += s[j];
    }
    for (int64_t j = 0; j < n; j++) {
        s[j] /= sum;
    }
    *lse = top + log(sum);
}
static void forward_chunk(void *arg, int64_t chunk, int thread) {
    const work *w = arg;
    const int64_t b = chunk / w->q.shape[1], h = chunk % w->q.shape[1], nr = w->d->isa.gemm_cols64, at = up(w->S, nr), Vn = up(w->V, nr);
    places p;
    lay_out(w, false, w->scratch + thread * w->doubles, &p);
    pack_keys(w, &p, b, h);
    lth_pack_f64(head_of(&w->v, b, h), w->v.at[3], w->v.at[2], w->V, w->S, p.b_v, (int)nr);
    double *o = (double *)(uintptr_t)head_of(&w->o, b, h);
    for (int64_t first = 0; first < w->T; first += QB) {
        const int64_t rows = lth_min64(QB, w->T - first), n = keys_of(w, first + rows - 1);
        scores(w, &p, b, h, first, rows, n);
        for (int64_t r = 0; r < rows; r++) {
            normalize(w, p.p + r * at, n, w->lse + chunk * w->T + first + r);
        }
        lth_pack_f64(p.p, at, 1, rows, n, p.a, w->d->isa.gemm_rows);
        product(w, rows, w->V, n, p.a, p.b_v, w->S, p.o, Vn, false);
        for (int64_t r = 0; r < rows; r++) {
            for (int64_t j = 0; j < w->V; j++) {
                o[(first + r) * w->o.at[2] + j * w->o.at[3]] = p.o[r * Vn + j];
            }
        }
    }
}
static double cost_us(const work *w, double passes) {
    return (double)w->q.shape[0] * (double)w->q.shape[1] * (double)w->T * (double)w->S * (double)(w->D + w->V) * passes * (w->causal ? 2e-5 : 4e-5);
}
static lt_status prepare(work *w, bool back, double us, int64_t extra, lth_error *err) {
    places p;
    w->doubles = lay_out(w, back, NULL, &p);
    const int64_t team = lth_cpu_team(w->d, w->q.shape[0] * w->q.shape[1], us);
    w->scratch = lth_cpu_scratch(w->d, (size_t)(team * w->doubles + extra) * sizeof(double), err);
    w->dmask = w->scratch && extra ? w->scratch + team * w->doubles : NULL;
    return w->scratch ? LT_OK : LT_ENOMEM;
}
static lt_status attention_forward(lth_device *d, const lth_call *call, lth_error *err) {
    work w = work_of(d, call);
    const double us = cost_us(&w, 1);
    const lt_status status = prepare(&w, false, us, 0, err);
    if (status == LT_OK) {
        lth_cpu_run(d, w.q.shape[0] * w.q.shape[1], us, forward_chunk, &w);
    }
    return status;
}

/* ---- backward ---- */
/* p: scores -> probabilities; ds: what arrives at them -> at the scores; its sums for the mask. */
static void slopes(const work *w, const places *p, int64_t b, int64_t h, int64_t first, int64_t rows, int64_t n) {
    const int64_t at = up(w->S, w->d->isa.gemm_cols64), row = (b * w->q.shape[1] + h) * w->T + first;
    const double *go = head_of(&w->go, b, h), *o = head_of(&w->o, b, h);
    for (int64_t r = 0; r < rows; r++) {
        double *s = p->p + r * at, *g = p->ds + r * at, arriving = 0;
        w->d->isa.f64.pair(LTH_P_EXP_OFF, n, s, w->lse + row + r, false, true, s);
        for (int64_t j = 0; j < w->V; j++) {
            arriving += go[(first + r) * w->go.at[2] + j * w->go.at[3]] * o[(first + r) * w->o.at[2] + j * w->o.at[3]];
        }
        for (int64_t j = 0; j < n; j++) {
            g[j] = s[j] * (g[j] - arriving);
        }
        if (w->dmask) {
            int64_t own[4], stride = 1;
            for (int d = w->mask->ndim - 1, k = 3; k >= 0; d--, k--) { /* row-major */
                own[k] = d < 0 || w->mask->shape[d] == 1 ? 0 : stride;
                stride *= d < 0 ? 1 : w->mask->shape[d];
            }
            double *to = w->dmask + b * own[0] + h * own[1] + (first + r) * own[2];
            for (int64_t j = 0; j < n; j++) {
                to[j * own[3]] += g[j];
            }
        }
    }
}
static void give(const part *to, int64_t b, int64_t h, int64_t first, int64_t rows, int64_t cols, const double *from, int64_t from_at, double factor) {
    double *y = to->data ? (double *)(uintptr_t)head_of(to, b, h) : NULL;
    for (int64_t r = 0; y && r < rows; r++) {
        for (int64_t j = 0; j < cols; j++) {
            double *place = y + (first + r) * to->at[2] + j * to->at[3];
            *place = from[r * from_at + j] * factor + (to->add ? *place : 0);
        }
    }
}
static void backward_chunk(void *arg, int64_t chunk, int thread) {
    const work *w = arg;
    const int nr = w->d->isa.gemm_cols64, mr = w->d->isa.gemm_rows;
    const int64_t b = chunk / w->q.shape[1], h = chunk % w->q.shape[1], at = up(w->S, nr), Vn = up(w->V, nr), Dn = up(w->D, nr);
    places p;
    lay_out(w, true, w->scratch + thread * w->doubles, &p);
    pack_keys(w, &p, b, h);
    lth_pack_f64(head_of(&w->v, b, h), w->v.at[2], w->v.at[3], w->S, w->V, p.b_vt, nr);
    lth_pack_f64(head_of(&w->k, b, h), w->k.at[3], w->k.at[2], w->D, w->S, p.b_kd, nr);
    memset(p.dk, 0, (size_t)(up(w->S, mr) * Dn) * sizeof *p.dk);
    memset(p.dv, 0, (size_t)(up(w->S, mr) * Vn) * sizeof *p.dv);
    for (int64_t first = 0; first < w->T; first += QB) {
        const int64_t rows = lth_min64(QB, w->T - first), n = keys_of(w, first + rows - 1);
        const double *q = head_of(&w->q, b, h) + first * w->q.at[2], *go = head_of(&w->go, b, h) + first * w->go.at[2];
        scores(w, &p, b, h, first, rows, n);
        lth_pack_f64(go, w->go.at[2], w->go.at[3], rows, w->V, p.a, mr);
        product(w, rows, n, w->V, p.a, p.b_vt, w->V, p.ds, at, false);
        slopes(w, &p, b, h, first, rows, n);
        lth_pack_f64(p.p, 1, at, n, rows, p.a, mr); /* dv += p^T go */
        lth_pack_f64(go, w->go.at[3], w->go.at[2], w->V, rows, p.b_go, nr);
        product(w, n, w->V, rows, p.a, p.b_go, rows, p.dv, Vn, true);
        lth_pack_f64(p.ds, 1, at, n, rows, p.a, mr); /* dk += ds^T q */
        lth_pack_f64(q, w->q.at[3], w->q.at[2], w->D, rows, p.b_q, nr);
        product(w, n, w->D, rows, p.a, p.b_q, rows, p.dk, Dn, true);
        lth_pack_f64(p.ds, at, 1, rows, n, p.a, mr); /* dq = ds k */
        product(w, rows, w->D, n, p.a, p.b_kd, w->S, p.o, Dn, false);
        give(&w->dq, b, h, first, rows, w->D, p.o, Dn, w->scale);
    }
    give(&w->dk, b, h, 0, w->S, w->D, p.dk, Dn, w->scale);
    give(&w->dv, b, h, 0, w->S, w->V, p.dv, Vn, 1);
}
static void gradients_of(work *w, const lth_call *call) {
    const int64_t heads = call->attrs->i[1];
    part *const to[3] = {&w->dq, &w->dk, &w->dv};
    const bool self = call->op == LTH_OP_SELF_ATTENTION;
    w->go = self ? slice(call->grad_out[0], 0, 1, heads) : whole(call->grad_out[0]);
    for (int k = 0; k < 3; k++) {
        const int from = self ? 0 : k;
        if (call->need[from]) {
            *to[k] = self ? slice(call->grad_in[0], k, 3, heads) : whole(call->grad_in[k]);
            to[k]->add = call->accumulate[from];
        }
    }
}
static lt_status attention_backward(lth_device *d, const lth_call *call, lth_error *err) {
    if (lth_cpu_no_gradient(d, call)) {
        return LT_OK;
    }
    work w = work_of(d, call);
    const int mask_at = call->op == LTH_OP_SELF_ATTENTION ? 1 : 3;
    const bool to_mask = w.mask && call->need[mask_at];
    const int64_t masked = to_mask ? lth_count(w.mask) : 0;
    const double us = to_mask ? 0 : cost_us(&w, 2.5); /* 0: one thread */
    const lt_status status = prepare(&w, true, us, masked, err);
    if (status != LT_OK) {
        return status;
    }
    gradients_of(&w, call);
    if (to_mask) {
        memset(w.dmask, 0, (size_t)masked * sizeof *w.dmask);
    }
    lth_cpu_run(d, w.q.shape[0] * w.q.shape[1], us, backward_chunk, &w);
    if (to_mask) {
        double *to = call->grad_in[mask_at]->data;
        for (int64_t i = 0; i < masked; i++) {
            to[i] = w.dmask[i] + (call->accumulate[mask_at] ? to[i] : 0);
        }
    }
    return LT_OK;
}
const lth_kernel lth_wide_attention = {attention_plan, attention_forward, attention_backward};
