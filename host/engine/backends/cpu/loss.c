/* backends/cpu/loss.c - MSE_LOSS, CROSS_ENTROPY, ACCURACY: one pass makes the loss and its gradient (kept in the workspace).
 * Refuses class weights and what is not plain f32 / i64: entropy.c does them. Labels out of range are an error with row and label. */
#include "engine/backends/cpu/cpu.h"
#include <math.h>

/* ---- MSE ---- */
enum { CHUNK = 16384 };
typedef struct mse {
    lth_device *d;
    int64_t n;
    const float *x, *t;
    float *grad, scale;
    double *parts;
} mse;
static bool mse_plan(lth_device *d, lth_call *call) {
    (void)d;
    if (!lth_plain_f32(call->in[0]) || !lth_plain_f32(call->in[1]) || call->out[0]->dtype != LT_F32 ||
        !lth_same_shape(call->in[0], call->in[1]) || lth_count(call->in[0]) == 0) {
        return false;
    }
    call->workspace_bytes = call->save ? lth_floats((size_t)lth_count(call->in[0])) : 0;
    return true;
}
static void mse_chunk(void *arg, int64_t i, int thread) {
    mse *m = arg;
    const int64_t at = i * CHUNK;
    (void)thread;
    m->parts[i] = m->d->isa.squared_error(lth_min64(CHUNK, m->n - at), m->x + at, m->t + at, m->grad ? m->grad + at : NULL, m->scale);
}
static lt_status mse_forward(lth_device *d, const lth_call *call, lth_error *err) {
    const int64_t reduction = call->attrs->i[0], n = lth_count(call->in[0]), chunks = lth_div_up(n, CHUNK);
    float *out = call->out[0]->data;
    mse m = {.d = d,
             .n = n,
             .x = call->in[0]->data,
             .t = call->in[1]->data,
             .grad = call->save ? call->workspace : NULL,
             .scale = reduction == LT_MEAN ? (float)(2.0 / (double)n) : 2.f};
    m.parts = lth_cpu_scratch(d, (size_t)chunks * sizeof(double), err);
    if (!m.parts) {
        return LT_ENOMEM;
    }
    lth_cpu_run(d, chunks, (double)n * 3e-4, mse_chunk, &m);
    if (reduction == LT_NONE) {
        d->isa.binary(LTH_B_SUB, n, m.x, m.t, false, false, out);
        d->isa.product(n, out, out, out, 1.f, false);
        return LT_OK;
    }
    double total = 0;
    for (int64_t i = 0; i < chunks; i++) {
        total += m.parts[i];
    }
    *out = (float)(reduction == LT_MEAN ? total / (double)n : total);
    return LT_OK;
}
static lt_status mse_backward(lth_device *d, const lth_call *call, lth_error *err) {
    (void)err;
    const int64_t n = lth_count(call->in[0]);
    const float *g = NULL;
    if (lth_cpu_no_gradient(d, call)) {
        return LT_OK;
    }
    g = call->grad_out[0]->data;
    for (int k = 0; k < 2; k++) {
        const float sign = k == 0 ? 1.f : -1.f;
        if (!call->need[k]) {
            continue;
        }
        if (call->attrs->i[0] == LT_NONE) {
            d->isa.product(n, call->grad_in[k]->data, call->workspace, g, sign, call->accumulate[k]);
        } else {
            lth_cpu_scaled(d, n, call->grad_in[k]->data, call->workspace, sign * *g, call->accumulate[k]);
        }
    }
    return LT_OK;
}
const lth_kernel lth_cpu_mse_loss = {mse_plan, mse_forward, mse_backward};

/* ---- cross-entropy ---- */
typedef struct entropy {
    lth_device *d;
    int64_t rows, cols, step;
    const float *x;
    const int64_t *target, *ignore;
    float smoothing, scale, *loss, *grad;
} entropy;
static bool labels_plain(const lth_array *t, int64_t rows) {
    return t && t->dtype == LT_I64 && t->ndim == 1 && t->shape[0] == rows && lth_plain(t);
}
static bool entropy_plan(lth_device *d, lth_call *call) {
    (void)d;
    const lth_array *x = call->in[0];
    if (!lth_plain_f32(x) || x->ndim != 2 || !labels_plain(call->in[1], x->shape[0]) || (call->n_in > 2 && call->in[2]) ||
        lth_count(x) == 0) {
        return false;
    }
    call->workspace_bytes = lth_floats((size_t)x->shape[0]) + (call->save ? lth_floats((size_t)lth_count(x)) : 0);
    return true;
}
static void entropy_chunk(void *arg, int64_t i, int thread) {
    entropy *e = arg;
    const int64_t at = i * e->step;
    (void)thread;
    e->d->isa.cross_entropy(lth_min64(e->step, e->rows - at), e->cols, e->x + at * e->cols, e->target + at, e->ignore, e->smoothing,
                            e->scale, e->loss + at, e->grad ? e->grad + at * e->cols : NULL);
}
/* Rows that count; a label outside 0..C-1 is an error. */
static lt_status count_labels(const entropy *e, int64_t *counted, lth_error *err) {
    *counted = 0;
    for (int64_t r = 0; r < e->rows; r++) {
        const int64_t t = e->target[r];
        if (e->ignore && t == *e->ignore) {
            continue;
        }
        if (t < 0 || t >= e->cols) {
            return lth_fail(err, LT_EINDEX, "cross_entropy: target has label %lld in row %lld, outside 0..%lld (C = %lld)", (long long)t,
                            (long long)r, (long long)(e->cols - 1), (long long)e->cols);
        }
        ++*counted;
    }
    return LT_OK;
}
static lt_status entropy_forward(lth_device *d, const lth_call *call, lth_error *err) {
    const lth_array *x = call->in[0];
    const int64_t reduction = call->attrs->i[0];
    float *out = call->out[0]->data;
    entropy e = {.d = d,
                 .rows = x->shape[0],
                 .cols = x->shape[1],
                 .x = x->data,
                 .target = call->in[1]->data,
                 .ignore = call->attrs->i[1] ? &call->attrs->i[2] : NULL,
                 .smoothing = (float)call->attrs->f[0]};
    int64_t counted = 0;
    const lt_status s = count_labels(&e, &counted, err);
    if (s < 0) {
        return s;
    }
    e.loss = reduction == LT_NONE ? out : call->workspace;
    e.grad = call->save ? (float *)(void *)((char *)call->workspace + lth_floats((size_t)e.rows)) : NULL;
    e.scale = reduction == LT_MEAN && counted ? (float)(1.0 / (double)counted) : 1.f;
    e.step = lth_div_up(4096, e.cols);
    lth_cpu_run(d, lth_div_up(e.rows, e.step), (double)lth_count(x) * 2e-3, entropy_chunk, &e);
    if (reduction != LT_NONE) {
        const double total = d->isa.sum(e.rows, e.loss);
        *out = (float)(reduction == LT_SUM ? total : counted ? total / (double)counted : NAN);
    }
    return LT_OK;
}
static lt_status entropy_backward(lth_device *d, const lth_call *call, lth_error *err) {
    (void)err;
    if (lth_cpu_no_gradient(d, call) || !call->need[0]) {
        return LT_OK;
    }
    const int64_t rows = call->in[0]->shape[0], cols = call->in[0]->shape[1];
    const float *grad = (const float *)(const void *)((const char *)call->workspace + lth_floats((size_t)rows)),
                *g = call->grad_out[0]->data;
    float *dx = call->grad_in[0]->data;
    if (call->attrs->i[0] != LT_NONE) {
        lth_cpu_scaled(d, rows * cols, dx, grad, *g, call->accumulate[0]);
        return LT_OK;
    }
    for (int64_t r = 0; r < rows; r++) {
        d->isa.scaled(cols, dx + r * cols, grad + r * cols, g[r], call->accumulate[0]);
    }
    return LT_OK;
}
bool lth_cpu_entropy_is_fused(const lth_call *call) {
    const lth_array *x = call->in[0];
    return call->op == LTH_OP_CROSS_ENTROPY && lth_plain_f32(x) && x->ndim == 2 && labels_plain(call->in[1], x->shape[0]) &&
           !(call->n_in > 2 && call->in[2]) && lth_count(x) > 0;
}
const lth_kernel lth_cpu_fused_entropy = {entropy_plan, entropy_forward, entropy_backward};

/* ---- accuracy ---- */
static bool accuracy_plan(lth_device *d, lth_call *call) {
    (void)d;
    const lth_array *x = call->in[0];
    return lth_plain_f32(x) && x->ndim == 2 && labels_plain(call->in[1], x->shape[0]) && lth_count(x) > 0 && call->out[0]->dtype == LT_F32;
}
static lt_status accuracy_forward(lth_device *d, const lth_call *call, lth_error *err) {
    const lth_array *x = call->in[0];
    const int64_t *target = call->in[1]->data;
    int64_t hits = 0;
    for (int64_t r = 0; r < x->shape[0]; r++) {
        const int64_t label = target[r];
        if (label < 0 || label >= x->shape[1]) {
            return lth_fail(err, LT_EINDEX, "accuracy: target has label %lld in row %lld, outside 0..%lld (C = %lld)", (long long)label, (long long)r,
                            (long long)(x->shape[1] - 1), (long long)x->shape[1]);
        }
        hits += d->isa.first_top(x->shape[1], lth_f32(x) + r * x->shape[1]) == label;
    }
    *lth_f32(call->out[0]) = (float)((double)hits / (double)x->shape[0]);
    return LT_OK;
}
const lth_kernel lth_cpu_accuracy = {accuracy_plan, accuracy_forward, NULL};
