/* backends/cpu/entropy.c - CROSS_ENTROPY and NLL_LOSS over (N, C, ...) or (C) in f32 and f64: class weights, label smoothing, ignored
 * labels, probabilities as targets. Rows of labels alone in f32 go to the fused kernel of loss.c. Refuses what does not lie plain.
 * A row's loss is sum_k q[k] (log_sum - x[k]); log_sum is kept for backward, which computes the exponentials anew. Work is cut into
 * blocks of rows that lie side by side; losses of rows meet in order. */
#include "engine/backends/cpu/cpu.h"
#include <math.h>

enum { SIDE = 64, CHUNK = 4096 };

typedef struct entropy {
    lth_device *d;
    const lth_call *call;
    const char *x, *w, *soft;       /* soft: probabilities, or NULL */
    const int64_t *labels;
    int64_t N, C, S, rows;          /* x is (N, C, S): rows are N S */
    int64_t blocks, per_chunk;      /* blocks of SIDE rows in S; blocks of a chunk */
    double smoothing, all_weights, divisor, *losses;
    char *log_sums;
    size_t size;                    /* of an element */
    bool logits;
} entropy;

static bool entropy_plan(lth_device *d, lth_call *call) {
    const lth_array *x = call->in[0], *t = call->in[1];
    if (lth_cpu_entropy_is_fused(call)) {
        return lth_cpu_fused_entropy.plan(d, call);
    }
    if ((x->dtype != LT_F32 && x->dtype != LT_F64) || !lth_plain(x) || !lth_plain(t) || (t->dtype != LT_I64 && t->dtype != x->dtype) ||
        lth_count(x) == 0 || (call->n_in > 2 && call->in[2] && (!lth_plain(call->in[2]) || call->in[2]->dtype != x->dtype))) {
        return false;
    }
    const size_t rows = (size_t)(lth_count(x) / x->shape[x->ndim > 1]);
    call->workspace_bytes = rows * 2 * sizeof(double);
    return true;
}
static double number(const entropy *e, const void *data, int64_t i) { return e->size == 4 ? (double)((const float *)data)[i] : ((const double *)data)[i]; }
static void put(const entropy *e, void *data, int64_t i, double value) {
    if (e->size == 4) {
        ((float *)data)[i] = (float)value;
    } else {
        ((double *)data)[i] = value;
    }
}
static entropy entropy_of(lth_device *d, const lth_call *call) {
    const lth_array *x = call->in[0], *w = call->n_in > 2 ? call->in[2] : NULL;
    const int dim = x->ndim > 1;
    entropy e = {.d = d, .call = call, .x = x->data, .w = w ? w->data : NULL, .N = dim ? x->shape[0] : 1, .C = x->shape[dim], .S = 1,
                 .smoothing = call->op == LTH_OP_CROSS_ENTROPY ? call->attrs->f[0] : 0, .divisor = 1, .losses = call->workspace,
                 .size = x->dtype == LT_F32 ? 4 : 8, .logits = call->op == LTH_OP_CROSS_ENTROPY};
    for (int k = dim + 1; k < x->ndim; k++) {
        e.S *= x->shape[k];
    }
    e.rows = e.N * e.S;
    e.log_sums = (char *)(e.losses + e.rows);
    e.blocks = lth_div_up(e.S, SIDE);
    e.per_chunk = lth_div_up(CHUNK, e.C * lth_min64(e.S, SIDE));
    if (call->in[1]->dtype == LT_I64) {
        e.labels = call->in[1]->data;
    } else {
        e.soft = call->in[1]->data;
    }
    for (int64_t k = 0; k < e.C; k++) {
        e.all_weights += e.w ? number(&e, e.w, k) : 1;
    }
    return e;
}
static bool ignored(const entropy *e, int64_t row) { return e->labels && e->call->attrs->i[1] && e->labels[row] == e->call->attrs->i[2]; }
static double weight_of(const entropy *e, int64_t k) { return e->w ? number(e, e->w, k) : 1; }

/* Checks the labels; sets what the mean is divided by. */
static lt_status look_at_labels(entropy *e, lth_error *err) {
    double total = 0;
    for (int64_t r = 0; e->labels && r < e->rows; r++) {
        const int64_t label = e->labels[r];
        if (ignored(e, r)) {
            continue;
        }
        if (label < 0 || label >= e->C) {
            return lth_fail(err, LT_EINDEX, "%s: target has label %lld in row %lld, outside 0..%lld (C = %lld)", e->logits ? "cross_entropy" : "nll_loss",
                            (long long)label, (long long)r, (long long)e->C - 1, (long long)e->C);
        }
        total += weight_of(e, label);
    }
    if (e->call->attrs->i[0] == LT_MEAN) {
        e->divisor = e->labels ? total : (double)e->rows;
    }
    return LT_OK;
}

/* Block b: rows `first` .. `first + classes.rows`, whose elements begin at *at. */
static lth_classes block_of(const entropy *e, int64_t b, int64_t *first, int64_t *at) {
    const int64_t n = b / e->blocks, s = b % e->blocks * SIDE;
    *first = n * e->S + s;
    *at = n * e->C * e->S + s;
    return (lth_classes){.classes = e->C, .stride = e->S, .rows = lth_min64(SIDE, e->S - s), .weight = e->w};
}
static void forward_block(const entropy *e, int64_t b) {
    int64_t first, at;
    const lth_classes c = block_of(e, b, &first, &at);
    const int wide = e->size == 8;
    const int64_t size = (int64_t)e->size;
    char *sums = e->log_sums + first * size;
    double *losses = e->losses + first;
    if (e->logits) {
        e->d->isa.log_sum[wide](&c, e->x + at * size, sums);
    } else {
        memset(sums, 0, (size_t)(c.rows * size));
    }
    memset(losses, 0, (size_t)c.rows * sizeof *losses);
    if (e->soft || e->smoothing != 0) {
        e->d->isa.shares[wide](&c, e->x + at * size, e->soft ? e->soft + at * size : NULL, sums, e->smoothing / (double)e->C, 1 - e->smoothing, losses);
    }
    for (int64_t p = 0; e->labels && p < c.rows; p++) {
        if (ignored(e, first + p)) {
            losses[p] = 0;
            continue;
        }
        const int64_t label = e->labels[first + p];
        losses[p] += (1 - e->smoothing) * weight_of(e, label) * (number(e, sums, p) - number(e, e->x + at * size, label * e->S + p));
    }
}
static void forward_chunk(void *arg, int64_t chunk, int thread) {
    const entropy *e = arg;
    (void)thread;
    for (int64_t b = chunk * e->per_chunk; b < lth_min64(e->N * e->blocks, (chunk + 1) * e->per_chunk); b++) {
        forward_block(e, b);
    }
}
static void run(entropy *e, lth_cpu_body body) {
    const double cost = (double)(e->rows * e->C) * (e->size == 4 ? 2e-3 : 1e-2);
    lth_cpu_run(e->d, lth_div_up(e->N * e->blocks, e->per_chunk), cost, body, e);
}
static lt_status entropy_forward(lth_device *d, const lth_call *call, lth_error *err) {
    if (lth_cpu_entropy_is_fused(call)) {
        return lth_cpu_fused_entropy.forward(d, call, err);
    }
    entropy e = entropy_of(d, call);
    const lt_status status = look_at_labels(&e, err);
    if (status < 0) {
        return status;
    }
    run(&e, forward_chunk);
    double total = 0;
    for (int64_t r = 0; r < e.rows; r++) {
        total += e.losses[r];
        if (call->attrs->i[0] == LT_NONE) {
            put(&e, call->out[0]->data, r, e.losses[r]);
        }
    }
    if (call->attrs->i[0] != LT_NONE) {
        put(&e, call->out[0]->data, 0, total / e.divisor);
    }
    return LT_OK;
}

/* What each row of a block gives to a class, times the gradient that arrives at it. */
typedef struct block_shares { double whole[SIDE], even[SIDE], kept[SIDE], up[SIDE]; } block_shares;
static void shares_of(const entropy *e, const lth_classes *c, int64_t first, int64_t at, block_shares *s) {
    const bool each = e->call->attrs->i[0] == LT_NONE;
    const double even = e->smoothing / (double)e->C, kept = 1 - e->smoothing;
    for (int64_t p = 0; p < c->rows; p++) {
        const double up = ignored(e, first + p) ? 0 : number(e, e->call->grad_out[0]->data, each ? first + p : 0) / e->divisor;
        double whole = even * e->all_weights;
        if (e->labels) {
            whole += up == 0 ? 0 : kept * weight_of(e, e->labels[first + p]);
        }
        for (int64_t k = 0; e->soft && k < e->C; k++) {
            whole += weight_of(e, k) * kept * number(e, e->soft + at * (int64_t)e->size, k * e->S + p);
        }
        s->up[p] = up;
        put(e, s->whole, p, whole * up);
        put(e, s->even, p, even * up);
        put(e, s->kept, p, kept * up);
    }
}
static void backward_block(const entropy *e, int64_t b) {
    int64_t first, at;
    const lth_classes c = block_of(e, b, &first, &at);
    const lth_call *call = e->call;
    const int wide = e->size == 8;
    const int64_t size = (int64_t)e->size;
    const void *x = e->x + at * size, *soft = e->soft ? e->soft + at * size : NULL, *sums = e->log_sums + first * size;
    block_shares s;
    shares_of(e, &c, first, at, &s);
    lth_class_shares given = {.whole = s.whole, .even = s.even, .kept = s.kept, .logits = e->logits};
    if (call->need[1] && e->soft) {
        given.to_target = true;
        e->d->isa.class_slopes[wide](&c, x, soft, sums, &given, (char *)call->grad_in[1]->data + at * size, call->accumulate[1]);
        given.to_target = false;
    }
    if (!call->need[0]) {
        return;
    }
    char *dx = (char *)call->grad_in[0]->data + at * size;
    e->d->isa.class_slopes[wide](&c, x, soft, sums, &given, dx, call->accumulate[0]);
    for (int64_t p = 0; e->labels && p < c.rows; p++) {
        const int64_t label = e->labels[first + p];
        if (s.up[p] != 0) {
            put(e, dx, label * e->S + p, number(e, dx, label * e->S + p) - (1 - e->smoothing) * weight_of(e, label) * s.up[p]);
        }
    }
}
static void backward_chunk(void *arg, int64_t chunk, int thread) {
    const entropy *e = arg;
    (void)thread;
    for (int64_t b = chunk * e->per_chunk; b < lth_min64(e->N * e->blocks, (chunk + 1) * e->per_chunk); b++) {
        backward_block(e, b);
    }
}
static lt_status entropy_backward(lth_device *d, const lth_call *call, lth_error *err) {
    if (lth_cpu_entropy_is_fused(call)) {
        return lth_cpu_fused_entropy.backward(d, call, err);
    }
    if (call->n_in > 2 && call->need[2]) {
        return lth_fail(err, LT_EUNSUPPORTED, "no gradient for the class weights; use lt_detach");
    }
    entropy e = entropy_of(d, call);
    if (call->grad_out[0]) {
        const lt_status status = look_at_labels(&e, err);
        if (status == LT_OK) {
            run(&e, backward_chunk);
        }
        return status;
    }
    for (int k = 0; k < 2; k++) {
        if (call->need[k] && !call->accumulate[k]) {
            lth_cpu_zero(d, call->grad_in[k]->data, lth_cpu_array_bytes(call->grad_in[k]), err);
        }
    }
    return LT_OK;
}
const lth_kernel lth_cpu_cross_entropy = {entropy_plan, entropy_forward, entropy_backward};
const lth_kernel lth_cpu_nll_loss = {entropy_plan, entropy_forward, entropy_backward};
