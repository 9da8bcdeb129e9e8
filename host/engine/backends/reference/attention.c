/* engine/backends/reference/attention.c - embedding and scaled dot-product attention.
 * Embedding refuses indices outside 0..V-1. Attention: a boolean mask says who may be looked at, a float mask is added; a row
 * that may look at nothing gives zeros. Workspace of attention: probabilities (B, heads, T, S), then as many for their gradient. */
#include "engine/backends/indices.h"
#include "engine/backends/reference/reference.h"

/* ---- embedding ---- */
static lt_status embedding_forward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device;
    const lth_array *index = call->in[0], *w = call->in[1], *y = call->out[0];
    int64_t number = 0;
    ref_walk walk;
    ref_walk_init(&walk, index->ndim, index->shape);
    int ii = ref_walk_add(&walk, index);
    lth_array rows = *y; /* y without its last dimension */
    rows.ndim = index->ndim;
    int iy = ref_walk_add(&walk, &rows);
    REF_EACH(&walk) {
        int64_t row = ref_load_int(index->data, index->dtype, walk.at[ii]);
        if (row < 0 || row >= w->shape[0]) {
            return lth_index_outside("embedding", row, number, w->shape[0], err);
        }
        for (int64_t i = 0; i < w->shape[1]; i++) {
            ref_set(y, walk.at[iy] + i * y->strides[y->ndim - 1], ref_get(w, row * w->strides[0] + i * w->strides[1]));
        }
        number++;
    }
    return LT_OK;
}

/* Each row of the gradient gathers from the places that looked it up. */
static lt_status embedding_backward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    if (!call->need[1]) {
        return LT_OK;
    }
    const lth_array *index = call->in[0], *d = call->grad_in[1], *g = call->grad_out[0];
    ref_walk walk;
    ref_walk_init(&walk, index->ndim, index->shape);
    int ii = ref_walk_add(&walk, index), ig = 0;
    if (g) {
        lth_array rows = *g;
        rows.ndim = index->ndim;
        ig = ref_walk_add(&walk, &rows);
    }
    for (int64_t row = 0; row < d->shape[0]; row++) {
        for (int64_t i = 0; i < d->shape[1]; i++) {
            double sum = 0;
            if (g && !(call->attrs->i[0] && row == call->attrs->i[1])) { /* padding gets none */
                REF_EACH(&walk) {
                    bool here = ref_load_int(index->data, index->dtype, walk.at[ii]) == row;
                    sum += here ? ref_get(g, walk.at[ig] + i * g->strides[g->ndim - 1]) : 0;
                }
            }
            ref_give(d, row * d->strides[0] + i * d->strides[1], sum, call->accumulate[1]);
        }
    }
    return LT_OK;
}

const lth_kernel ref_embedding = {ref_plan, embedding_forward, embedding_backward};

/* ---- attention ---- */
typedef struct attention {
    lth_array q, k, v, y; /* (B, heads, T, D) */
    const lth_array *mask;
    int mask_at;
    int64_t batch, heads, t, s, d, dv;
    bool causal;
    double scale;
    double *p, *dp;
} attention;

/* Part `which` of an array (B, T, parts heads D), as (B, heads, T, D). */
static lth_array part_of(const lth_array *x, int which, int parts, int64_t heads) {
    const int64_t d = x->shape[2] / parts / heads;
    lth_array a = {.dtype = x->dtype, .ndim = 4, .shape = {x->shape[0], heads, x->shape[1], d},
                   .strides = {x->strides[0], d * x->strides[2], x->strides[1], x->strides[2]}};
    size_t size = x->dtype == LT_F64 ? 8 : x->dtype == LT_F32 ? 4 : 2;
    a.data = x->data ? (char *)x->data + (size_t)(which * heads * d * x->strides[2]) * size : NULL;
    return a;
}

static lth_array operand(const lth_call *call, const lth_array *const *in, int which) {
    return call->op == LTH_OP_ATTENTION ? *in[which] : part_of(in[0], which, 3, call->attrs->i[1]);
}

static attention attention_of(const lth_call *call) {
    const bool self = call->op == LTH_OP_SELF_ATTENTION;
    attention a = {.q = operand(call, call->in, 0), .k = operand(call, call->in, 1), .v = operand(call, call->in, 2), .mask_at = self ? 1 : 3};
    a.y = self ? part_of(call->out[0], 0, 1, call->attrs->i[1]) : *call->out[0];
    a.mask = call->n_in > a.mask_at ? call->in[a.mask_at] : NULL;
    a.batch = a.q.shape[0], a.heads = a.q.shape[1], a.t = a.q.shape[2], a.s = a.k.shape[2], a.d = a.q.shape[3], a.dv = a.v.shape[3];
    a.causal = call->attrs->i[0] != 0;
    a.scale = call->attrs->f[0] != 0 ? call->attrs->f[0] : 1 / sqrt((double)a.d);
    a.p = call->workspace;
    a.dp = a.p ? a.p + a.batch * a.heads * a.t * a.s : NULL;
    return a;
}

static bool attention_plan(lth_device *device, lth_call *call) {
    (void)device;
    attention a = attention_of(call);
    return ref_plan_with(call, a.batch * a.heads * a.t * a.s * (int64_t)sizeof(double) * (call->save ? 2 : 1));
}

static int64_t at4(const lth_array *x, int64_t b, int64_t h, int64_t i, int64_t j) {
    return b * x->strides[0] + h * x->strides[1] + i * x->strides[2] + j * x->strides[3];
}

static int64_t pair_at(const attention *a, int64_t b, int64_t h, int64_t i, int64_t j) { return ((b * a->heads + h) * a->t + i) * a->s + j; }

/* Place of (b, h, i, j) in the mask, which broadcasts. */
static int64_t mask_at(const attention *a, int64_t b, int64_t h, int64_t i, int64_t j) {
    int64_t index[4] = {b, h, i, j}, at = 0;
    for (int d = 0; d < a->mask->ndim; d++) {
        at += a->mask->shape[d] == 1 ? 0 : index[4 - a->mask->ndim + d] * a->mask->strides[d];
    }
    return at;
}

/* -inf where i may not look at j */
static double score(const attention *a, int64_t b, int64_t h, int64_t i, int64_t j) {
    if (a->causal && j > i) {
        return -INFINITY;
    }
    double sum = 0, extra = 0;
    if (a->mask) {
        extra = ref_get(a->mask, mask_at(a, b, h, i, j));
        extra = ref_is_float(a->mask->dtype) ? extra : extra != 0 ? 0 : -INFINITY;
    }
    for (int64_t k = 0; k < a->d; k++) {
        sum += ref_get(&a->q, at4(&a->q, b, h, i, k)) * ref_get(&a->k, at4(&a->k, b, h, j, k));
    }
    return sum * a->scale + extra;
}

static void attend_row(const attention *a, int64_t b, int64_t h, int64_t i) {
    double *p = a->p + pair_at(a, b, h, i, 0), top = -INFINITY, total = 0;
    for (int64_t j = 0; j < a->s; j++) {
        p[j] = score(a, b, h, i, j);
        top = p[j] > top || isnan(p[j]) ? p[j] : top;
    }
    for (int64_t j = 0; j < a->s; j++) {
        p[j] = p[j] == -INFINITY ? 0 : exp(p[j] - top);
        total += p[j];
    }
    for (int64_t j = 0; j < a->s; j++) {
        p[j] = total == 0 ? 0 : p[j] / total;
    }
    for (int64_t k = 0; k < a->dv; k++) {
        double sum = 0;
        for (int64_t j = 0; j < a->s; j++) {
            sum += p[j] == 0 ? 0 : p[j] * ref_get(&a->v, at4(&a->v, b, h, j, k));
        }
        ref_set(&a->y, at4(&a->y, b, h, i, k), sum);
    }
}

static lt_status attention_forward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    attention a = attention_of(call);
    for (int64_t b = 0; b < a.batch; b++) {
        for (int64_t h = 0; h < a.heads; h++) {
            for (int64_t i = 0; i < a.t; i++) {
                attend_row(&a, b, h, i);
            }
        }
    }
    return LT_OK;
}

/* d(score) = p (g v^T - sum_j p g v^T) */
static void score_gradient(const attention *a, const lth_array *g, int64_t b, int64_t h, int64_t i) {
    const double *p = a->p + pair_at(a, b, h, i, 0);
    double *dp = a->dp + pair_at(a, b, h, i, 0), dot = 0;
    for (int64_t j = 0; j < a->s; j++) {
        dp[j] = 0;
        for (int64_t k = 0; g && k < a->dv; k++) {
            dp[j] += ref_get(g, at4(g, b, h, i, k)) * ref_get(&a->v, at4(&a->v, b, h, j, k));
        }
        dot += p[j] * dp[j];
    }
    for (int64_t j = 0; j < a->s; j++) {
        dp[j] = p[j] == 0 ? 0 : p[j] * (dp[j] - dot);
    }
}

/* One element of the gradient of q, k or v (input 0, 1, 2). */
static double attention_element(const attention *a, const lth_array *g, int input, int64_t b, int64_t h, int64_t i, int64_t k) {
    double sum = 0;
    if (input == 0) {
        for (int64_t j = 0; j < a->s; j++) {
            sum += a->dp[pair_at(a, b, h, i, j)] * ref_get(&a->k, at4(&a->k, b, h, j, k)) * a->scale;
        }
        return sum;
    }
    for (int64_t r = 0; r < a->t; r++) {
        sum += input == 1 ? a->dp[pair_at(a, b, h, r, i)] * ref_get(&a->q, at4(&a->q, b, h, r, k)) * a->scale
               : g        ? a->p[pair_at(a, b, h, r, i)] * ref_get(g, at4(g, b, h, r, k))
                          : 0;
    }
    return sum;
}

/* A float mask is added to the scores: its gradient is theirs, summed over what it was spread to. */
static void mask_gradient(const attention *a, const lth_array *d, bool accumulate) {
    ref_walk own, w;
    int64_t shape[4] = {a->batch, a->heads, a->t, a->s};
    ref_walk_init(&own, d->ndim, d->shape);
    int id = ref_walk_add(&own, d);
    REF_EACH(&own) {
        double sum = 0;
        ref_walk_init(&w, 4, shape);
        REF_EACH(&w) {
            bool same = true;
            for (int k = 0; k < d->ndim; k++) {
                same = same && (d->shape[k] == 1 || own.index[k] == w.index[4 - d->ndim + k]);
            }
            sum += same ? a->dp[pair_at(a, w.index[0], w.index[1], w.index[2], w.index[3])] : 0;
        }
        ref_give(d, own.at[id], sum, accumulate);
    }
}

static lt_status attention_backward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    attention a = attention_of(call);
    const bool self = call->op == LTH_OP_SELF_ATTENTION;
    lth_array g4, *g = NULL;
    if (call->grad_out[0]) {
        g4 = self ? part_of(call->grad_out[0], 0, 1, call->attrs->i[1]) : *call->grad_out[0];
        g = &g4;
    }
    for (int64_t n = 0; n < a.batch * a.heads * a.t; n++) {
        score_gradient(&a, g, n / (a.heads * a.t), n / a.t % a.heads, n % a.t);
    }
    for (int input = 0; input < 3; input++) {
        const int owner = self ? 0 : input;
        if (!call->need[owner]) {
            continue;
        }
        const lth_array d = operand(call, (const lth_array *const *)call->grad_in, input);
        ref_walk w;
        ref_walk_init(&w, 4, d.shape);
        int id = ref_walk_add(&w, &d);
        REF_EACH(&w) {
            double value = attention_element(&a, g, input, w.index[0], w.index[1], w.index[2], w.index[3]);
            ref_give(&d, w.at[id], value, call->accumulate[owner]);
        }
    }
    if (a.mask && call->need[a.mask_at]) {
        mask_gradient(&a, call->grad_in[a.mask_at], call->accumulate[a.mask_at]);
    }
    return LT_OK;
}

const lth_kernel ref_attention = {attention_plan, attention_forward, attention_backward};
