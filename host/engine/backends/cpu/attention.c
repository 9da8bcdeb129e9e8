/* backends/cpu/attention.c - ATTENTION and SELF_ATTENTION, f32 and bf16: a chunk is one head of one sample, done by one thread in tiles
 * (isa/attention.c). Any sizes, heads and strides as long as the last dimension is dense: permuted views need no copy. The output lies as
 * (B, T, heads, D) whatever its shape says, so that joining the heads is a view.
 * Refuses mixed dtypes and empty arrays. The gradient of a mask is made on one thread: masks are shared by heads. */
#include "engine/backends/cpu/cpu.h"
#include "engine/backends/cpu/low.h"
#include <math.h>

/* The parts as (B, heads, T, D) arrays, whichever of the two operations it is. */
typedef struct parts { lth_array q, k, v, o; const lth_array *mask; bool causal; float scale; } parts;

static bool dense_rows(const lth_array *a) {
    return a && a->layout == LTH_STRIDED && a->ndim >= 1 && (a->strides[a->ndim - 1] == 1 || a->shape[a->ndim - 1] == 1);
}
static lth_array view4(const void *data, lt_dtype dtype, const int64_t *shape, const int64_t *strides) {
    lth_array a = {.data = (void *)(uintptr_t)data, .dtype = dtype, .ndim = 4};
    memcpy(a.shape, shape, 4 * sizeof *shape);
    memcpy(a.strides, strides, 4 * sizeof *strides);
    return a;
}
static void *at_element(const lth_array *a, int64_t element) {
    return a->data ? (char *)a->data + (size_t)element * (a->dtype == LT_BF16 ? sizeof(uint16_t) : sizeof(float)) : NULL;
}
/* x (B, T, 3 heads D): q, k and v of all heads lie side by side in each row. */
static lth_array third(const lth_array *x, int which, int64_t heads) {
    const int64_t D = x->shape[2] / 3 / heads;
    return view4(at_element(x, which * heads * D), x->dtype, (int64_t[]){x->shape[0], heads, x->shape[1], D},
                 (int64_t[]){x->strides[0], D, x->strides[1], 1});
}
static lth_array joined(const lth_array *y, int64_t heads) {
    const int64_t D = y->shape[2] / heads;
    return view4(y->data, y->dtype, (int64_t[]){y->shape[0], heads, y->shape[1], D}, (int64_t[]){y->strides[0], D, y->strides[1], 1});
}
static parts parts_of(const lth_call *call) {
    const bool self = call->op == LTH_OP_SELF_ATTENTION;
    const int64_t heads = call->attrs->i[1];
    const int mask_at = self ? 1 : 3;
    parts p = {.mask = call->n_in > mask_at ? call->in[mask_at] : NULL, .causal = call->attrs->i[0] != 0};
    p.q = self ? third(call->in[0], 0, heads) : *call->in[0];
    p.k = self ? third(call->in[0], 1, heads) : *call->in[1];
    p.v = self ? third(call->in[0], 2, heads) : *call->in[2];
    p.o = self ? joined(call->out[0], heads) : *call->out[0];
    const double scale = call->attrs->f[0];
    p.scale = (float)(scale != 0 ? scale : 1 / sqrt((double)p.q.shape[3]));
    return p;
}

static bool mask_fits(const parts *p) {
    return !p->mask || (p->mask->layout == LTH_STRIDED && (p->mask->dtype == LT_BOOL || p->mask->dtype == p->q.dtype));
}
static bool attention_plan(lth_device *d, lth_call *call) {
    (void)d;
    const bool self = call->op == LTH_OP_SELF_ATTENTION;
    for (int k = 0; k < (self ? 1 : 3); k++) {
        const lth_array *x = call->in[k];
        if (!dense_rows(x) || (x->dtype != LT_F32 && x->dtype != LT_BF16) || x->dtype != call->in[0]->dtype || lth_count(x) == 0) {
            return false;
        }
    }
    const parts p = parts_of(call);
    if (!mask_fits(&p) || lth_count(call->out[0]) == 0) {
        return false;
    }
    lth_array *y = call->out[0];
    if (!self) {
        const int64_t H = y->shape[1], T = y->shape[2], D = y->shape[3], strides[4] = {T * H * D, D, H * D, 1};
        memcpy(y->strides, strides, sizeof strides);
    }
    call->workspace_bytes = lth_floats((size_t)(p.q.shape[0] * p.q.shape[1] * p.q.shape[2]));
    return true;
}

typedef struct work { lth_device *d; parts p; lth_array go, dq, dk, dv; bool add_q, add_k, add_v; float *lse, *dmask, *scratch; size_t floats; } work;

static int64_t mask_stride(const lth_array *mask, int dim) { /* dim of (B, heads, T, S) */
    const int own = dim - (4 - mask->ndim);
    return own < 0 || mask->shape[own] == 1 ? 0 : mask->strides[own];
}
static lth_array row_major(const lth_array *a) {
    lth_array own = *a;
    int64_t stride = 1;
    for (int i = a->ndim - 1; i >= 0; i--) {
        own.strides[i] = stride;
        stride *= a->shape[i];
    }
    return own;
}
static lth_attend attend_of(const work *w, int64_t chunk, int thread) {
    const parts *p = &w->p;
    const int64_t b = chunk / p->q.shape[1], h = chunk % p->q.shape[1];
    lth_attend a = {.T = p->q.shape[2], .S = p->k.shape[2], .D = p->q.shape[3], .DV = p->v.shape[3], .scale = p->scale, .causal = p->causal,
                    .low = p->q.dtype == LT_BF16, .q_at = p->q.strides[2], .k_at = p->k.strides[2], .v_at = p->v.strides[2],
                    .o_at = p->o.strides[2]};
    a.q = at_element(&p->q, b * p->q.strides[0] + h * p->q.strides[1]);
    a.k = at_element(&p->k, b * p->k.strides[0] + h * p->k.strides[1]);
    a.v = at_element(&p->v, b * p->v.strides[0] + h * p->v.strides[1]);
    a.o = at_element(&p->o, b * p->o.strides[0] + h * p->o.strides[1]);
    a.lse = w->lse + chunk * a.T;
    a.scratch = w->scratch + (size_t)thread * w->floats;
    if (p->mask) {
        const size_t size = p->mask->dtype == LT_BOOL ? 1 : p->mask->dtype == LT_BF16 ? 2 : 4;
        const int64_t at = b * mask_stride(p->mask, 0) + h * mask_stride(p->mask, 1);
        a.mask_kind = p->mask->dtype == LT_BOOL ? LTH_MASK_BOOL : p->mask->dtype == LT_BF16 ? LTH_MASK_LOW : LTH_MASK_F32;
        a.mask = (const char *)p->mask->data + (size_t)at * size;
        a.mask_i = mask_stride(p->mask, 2);
        a.mask_j = mask_stride(p->mask, 3);
        if (w->dmask) {
            const lth_array own = row_major(p->mask);
            a.dmask = w->dmask + b * mask_stride(&own, 0) + h * mask_stride(&own, 1);
            a.dmask_i = mask_stride(&own, 2), a.dmask_j = mask_stride(&own, 3);
        }
    }
    return a;
}
static void forward_chunk(void *arg, int64_t i, int thread) {
    const work *w = arg;
    const lth_attend a = attend_of(w, i, thread);
    w->d->isa.attention(&a);
}
static double cost_us(const parts *p, double passes) {
    const double pairs = (double)lth_count(&p->q) / (double)p->q.shape[3] * (double)p->k.shape[2];
    return pairs * (double)(p->q.shape[3] + p->v.shape[3]) * passes * (p->causal ? 0.5e-5 : 1e-5);
}
static lt_status prepare(work *w, lth_device *d, const lth_call *call, bool back, double us, size_t extra, lth_error *err) {
    *w = (work){.d = d, .p = parts_of(call), .lse = call->workspace};
    const int64_t chunks = w->p.q.shape[0] * w->p.q.shape[1];
    const lth_attend sizes = {.T = w->p.q.shape[2], .S = w->p.k.shape[2], .D = w->p.q.shape[3], .DV = w->p.v.shape[3]};
    w->floats = (d->isa.attention_scratch(&sizes, back) + 15) & ~(size_t)15;
    w->scratch = lth_cpu_scratch(d, ((size_t)lth_cpu_team(d, chunks, us) * w->floats + extra) * sizeof(float), err);
    return w->scratch ? LT_OK : LT_ENOMEM;
}
static lt_status attention_forward(lth_device *d, const lth_call *call, lth_error *err) {
    const parts p = parts_of(call);
    const double us = cost_us(&p, 1);
    work w;
    const lt_status s = prepare(&w, d, call, false, us, 0, err);
    if (s == LT_OK) {
        lth_cpu_run(d, p.q.shape[0] * p.q.shape[1], us, forward_chunk, &w);
    }
    return s;
}

/* ---- backward ---- */
static void backward_chunk(void *arg, int64_t i, int thread) {
    const work *w = arg;
    const int64_t heads = w->p.q.shape[1], b = i / heads, h = i % heads;
    lth_attend a = attend_of(w, i, thread);
    a.go = at_element(&w->go, b * w->go.strides[0] + h * w->go.strides[1]), a.go_at = w->go.strides[2];
    a.dq = at_element(&w->dq, b * w->dq.strides[0] + h * w->dq.strides[1]), a.dq_at = w->dq.strides[2], a.add_q = w->add_q;
    a.dk = at_element(&w->dk, b * w->dk.strides[0] + h * w->dk.strides[1]), a.dk_at = w->dk.strides[2], a.add_k = w->add_k;
    a.dv = at_element(&w->dv, b * w->dv.strides[0] + h * w->dv.strides[1]), a.dv_at = w->dv.strides[2], a.add_v = w->add_v;
    w->d->isa.attention_back(&a);
}
static void gradients_of(work *w, const lth_call *call) {
    const int64_t heads = call->attrs->i[1];
    if (call->op == LTH_OP_SELF_ATTENTION) {
        w->go = joined(call->grad_out[0], heads);
        if (call->need[0]) {
            w->dq = third(call->grad_in[0], 0, heads), w->dk = third(call->grad_in[0], 1, heads), w->dv = third(call->grad_in[0], 2, heads);
        }
        w->add_q = w->add_k = w->add_v = call->accumulate[0];
        return;
    }
    w->go = *call->grad_out[0];
    lth_array *const to[3] = {&w->dq, &w->dk, &w->dv};
    bool *const add[3] = {&w->add_q, &w->add_k, &w->add_v};
    for (int k = 0; k < 3; k++) {
        if (call->need[k]) {
            *to[k] = *call->grad_in[k];
        }
        *add[k] = call->accumulate[k];
    }
}
/* f32 sums of a mask's gradient -> the gradient, in its dtype. */
static void give_mask(const lth_array *to, const float *from, bool add) {
    const int64_t n = lth_count(to);
    for (int64_t i = 0; i < n; i++) {
        if (to->dtype == LT_F32) {
            float *y = lth_f32(to) + i;
            *y = from[i] + (add ? *y : 0.f);
        } else {
            uint16_t *y = (uint16_t *)to->data + i;
            *y = lth_bf16_of_f32(from[i] + (add ? lth_f32_of_bf16(*y) : 0.f));
        }
    }
}
static lt_status attention_backward(lth_device *d, const lth_call *call, lth_error *err) {
    if (lth_cpu_no_gradient(d, call)) {
        return LT_OK;
    }
    const int mask_at = call->op == LTH_OP_SELF_ATTENTION ? 1 : 3;
    const bool to_mask = call->n_in > mask_at && call->in[mask_at] && call->need[mask_at];
    const parts p = parts_of(call);
    const double us = to_mask ? 0 : cost_us(&p, 2.5); /* 0: one thread */
    const int64_t chunks = p.q.shape[0] * p.q.shape[1], masked = to_mask ? lth_count(p.mask) : 0;
    if (!dense_rows(call->grad_out[0])) {
        return lth_fail(err, LT_EINVAL, "attention: a gradient whose last dimension is not dense");
    }
    work w;
    const lt_status s = prepare(&w, d, call, true, us, (size_t)masked, err);
    if (s != LT_OK) {
        return s;
    }
    gradients_of(&w, call);
    if (to_mask) {
        w.dmask = w.scratch + w.floats;
        memset(w.dmask, 0, (size_t)masked * sizeof *w.dmask);
    }
    lth_cpu_run(d, chunks, us, backward_chunk, &w);
    if (to_mask) {
        give_mask(call->grad_in[mask_at], w.dmask, call->accumulate[mask_at]);
    }
    return LT_OK;
}
const lth_kernel lth_cpu_attention = {attention_plan, attention_forward, attention_backward};
