/* backends/cpu/norm.c - BATCH_NORM on plain (N, C, ...), a channel a chunk; LAYER_NORM over the last dimension; EMBEDDING.
 * Statistics in double. Refuses blocked layouts (the engine makes them plain) and activations other than ReLU. */
#include "engine/backends/cpu/cpu.h"
#include <math.h>

static const lth_array *optional(const lth_call *call, int k) { return k < call->n_in ? call->in[k] : NULL; }
static bool plain_or_absent(const lth_array *a) { return !a || lth_plain_f32(a); }
static float value_at(const lth_array *a, int64_t i, float fallback) { return a ? lth_f32(a)[i] : fallback; }

/* ---- batch norm; the workspace holds mean and 1/std of each channel ---- */
typedef struct norm {
    lth_device *d;
    const lth_call *call;
    const lth_array *weight, *bias, *mean, *var;
    int64_t N, C, rest;
    bool batch_stats, relu;
    float *saved, *spare;
} norm;
static norm norm_of(lth_device *d, const lth_call *call) {
    const lth_array *x = call->in[0];
    norm b = {.d = d,
              .call = call,
              .weight = optional(call, 1),
              .bias = optional(call, 2),
              .mean = optional(call, 3),
              .var = optional(call, 4),
              .N = x->shape[0],
              .C = x->shape[1],
              .rest = 1,
              .relu = call->attrs->i[1] == LT_ACT_RELU};
    for (int k = 2; k < x->ndim; k++) {
        b.rest *= x->shape[k];
    }
    b.batch_stats = call->attrs->i[0] || !b.mean || !b.var;
    return b;
}
static bool norm_plan(lth_device *d, lth_call *call) {
    const lth_array *x = call->in[0];
    (void)d;
    if (optional(call, 5) || !lth_plain_f32(x) || x->ndim < 2 || lth_count(x) == 0 || (call->attrs->i[1] != LT_ACT_NONE && call->attrs->i[1] != LT_ACT_RELU)) {
        return false;
    }
    for (int k = 1; k < 5; k++) {
        if (!plain_or_absent(optional(call, k))) {
            return false;
        }
    }
    call->workspace_bytes = lth_floats((size_t)(2 * x->shape[1]));
    return true;
}
static void statistics(const norm *b, int64_t c, const float *x, double *mean, double *var) {
    const double count = (double)(b->N * b->rest);
    double sum = 0, squares = 0;
    for (int64_t n = 0; n < b->N; n++) {
        sum += b->d->isa.sum(b->rest, x + (n * b->C + c) * b->rest);
    }
    *mean = sum / count;
    for (int64_t n = 0; n < b->N; n++) {
        squares += b->d->isa.sum_squares(b->rest, x + (n * b->C + c) * b->rest);
    }
    *var = squares / count - *mean * *mean;
    *var = *var < 0 ? 0 : *var;
}
static void running(const norm *b, int64_t c, double mean, double var) {
    const double momentum = b->call->attrs->f[1], count = (double)(b->N * b->rest);
    if (b->mean) {
        lth_f32(b->mean)[c] = (float)((1 - momentum) * (double)lth_f32(b->mean)[c] + momentum * mean);
    }
    if (b->var) {
        lth_f32(b->var)[c] = (float)((1 - momentum) * (double)lth_f32(b->var)[c] + momentum * var * count / (count - 1));
    }
}
static void norm_channel(void *arg, int64_t c, int thread) {
    const norm *b = arg;
    const float *x = b->call->in[0]->data;
    float *y = b->call->out[0]->data;
    double mean, var;
    (void)thread;
    if (b->batch_stats) {
        statistics(b, c, x, &mean, &var);
        if (b->call->attrs->i[0]) {
            running(b, c, mean, var);
        }
    } else {
        mean = (double)lth_f32(b->mean)[c], var = (double)lth_f32(b->var)[c];
    }
    const double rstd = 1 / sqrt(var + b->call->attrs->f[0]), scale = rstd * (double)value_at(b->weight, c, 1);
    b->saved[2 * c] = (float)mean, b->saved[2 * c + 1] = (float)rstd;
    for (int64_t n = 0; n < b->N; n++) {
        const int64_t at = (n * b->C + c) * b->rest;
        b->d->isa.affine(b->rest, x + at, y + at, (float)scale, (float)((double)value_at(b->bias, c, 0) - mean * scale), b->relu);
    }
}
static lt_status norm_forward(lth_device *d, const lth_call *call, lth_error *err) {
    norm b = norm_of(d, call);
    b.saved = call->workspace_bytes ? call->workspace : lth_cpu_scratch(d, lth_floats((size_t)(2 * b.C)), err);
    if (!b.saved) {
        return LT_ENOMEM;
    }
    lth_cpu_run(d, b.C, (double)lth_count(call->in[0]) * 8e-4, norm_channel, &b);
    return LT_OK;
}
static void norm_back_channel(void *arg, int64_t c, int thread) {
    const norm *b = arg;
    const lth_call *call = b->call;
    const lth_cpu_isa *t = &b->d->isa;
    const float *x = call->in[0]->data, *dy = call->grad_out[0]->data, *y = call->out[0]->data;
    float *spare = b->spare ? b->spare + thread * b->N * b->rest : NULL;
    double sum = 0, product = 0;
    for (int64_t n = 0; n < b->N; n++) {
        const int64_t at = (n * b->C + c) * b->rest;
        const float *g = dy + at;
        if (spare) {
            t->unary_back(LTH_U_RELU, b->rest, NULL, y + at, g, spare + n * b->rest, false, 0);
            g = spare + n * b->rest;
        }
        sum += t->sum(b->rest, g);
        product += t->sum_product(b->rest, g, x + at);
    }
    const double mean = (double)b->saved[2 * c], rstd = (double)b->saved[2 * c + 1], count = (double)(b->N * b->rest),
                 hat = (product - mean * sum) * rstd;
    if (b->weight && call->need[1]) {
        float *dw = lth_f32(call->grad_in[1]) + c;
        *dw = (float)hat + (call->accumulate[1] ? *dw : 0.f);
    }
    if (b->bias && call->need[2]) {
        float *db = lth_f32(call->grad_in[2]) + c;
        *db = (float)sum + (call->accumulate[2] ? *db : 0.f);
    }
    if (!call->need[0]) {
        return;
    }
    const double k = rstd * (double)value_at(b->weight, c, 1), slope = b->batch_stats ? -k * rstd * hat / count : 0;
    const double shift = b->batch_stats ? -k * sum / count - slope * mean : 0;
    for (int64_t n = 0; n < b->N; n++) {
        const int64_t at = (n * b->C + c) * b->rest;
        t->affine2(b->rest, spare ? spare + n * b->rest : dy + at, x + at, lth_f32(call->grad_in[0]) + at, (float)k, (float)slope,
                   (float)shift, call->accumulate[0]);
    }
}
static lt_status norm_backward(lth_device *d, const lth_call *call, lth_error *err) {
    if (lth_cpu_no_gradient(d, call)) {
        return LT_OK;
    }
    norm b = norm_of(d, call);
    const double cost = (double)lth_count(call->in[0]) * 1.5e-3;
    b.saved = call->workspace;
    if (b.relu) {
        b.spare = lth_cpu_scratch(d, (size_t)(lth_cpu_team(d, b.C, cost) * b.N * b.rest) * sizeof(float), err);
        if (!b.spare) {
            return LT_ENOMEM;
        }
    }
    lth_cpu_run(d, b.C, cost, norm_back_channel, &b);
    return LT_OK;
}
const lth_kernel lth_cpu_batch_norm = {norm_plan, norm_forward, norm_backward};

/* ---- layer norm; the workspace holds means, then 1/std ---- */
typedef struct layer {
    lth_device *d;
    const lth_call *call;
    int64_t rows, cols, step;
    float *mean, *rstd, *parts;
} layer;
static layer layer_of(lth_device *d, const lth_call *call) {
    const lth_array *x = call->in[0];
    layer l = {.d = d, .call = call, .cols = x->shape[x->ndim - 1]};
    l.rows = lth_count(x) / l.cols;
    l.step = lth_div_up(l.rows, 8);
    l.step = l.step * l.cols < 4096 ? lth_div_up(4096, l.cols) : l.step;
    l.mean = call->workspace;
    l.rstd = l.mean ? l.mean + l.rows : NULL;
    return l;
}
static bool layer_plan(lth_device *d, lth_call *call) {
    const lth_array *x = call->in[0];
    (void)d;
    if (!lth_plain_f32(x) || x->ndim < 1 || lth_count(x) == 0 || !plain_or_absent(optional(call, 1)) ||
        !plain_or_absent(optional(call, 2))) {
        return false;
    }
    call->workspace_bytes = lth_floats((size_t)(2 * (lth_count(x) / x->shape[x->ndim - 1])));
    return true;
}
static const float *data_of(const lth_array *a) { return a ? a->data : NULL; }
static void layer_chunk(void *arg, int64_t i, int thread) {
    const layer *l = arg;
    const int64_t at = i * l->step, rows = lth_min64(l->step, l->rows - at);
    (void)thread;
    l->d->isa.layer_norm(rows, l->cols, lth_f32(l->call->in[0]) + at * l->cols, data_of(optional(l->call, 1)),
                         data_of(optional(l->call, 2)), (float)l->call->attrs->f[0], lth_f32(l->call->out[0]) + at * l->cols, l->mean + at,
                         l->rstd + at);
}
static lt_status layer_forward(lth_device *d, const lth_call *call, lth_error *err) {
    (void)err;
    layer l = layer_of(d, call);
    lth_cpu_run(d, lth_div_up(l.rows, l.step), (double)lth_count(call->in[0]) * 5e-4, layer_chunk, &l);
    return LT_OK;
}
static void layer_back_chunk(void *arg, int64_t i, int thread) {
    const layer *l = arg;
    const lth_call *call = l->call;
    const int64_t at = i * l->step, rows = lth_min64(l->step, l->rows - at);
    float *dw = l->parts + 2 * i * l->cols;
    (void)thread;
    memset(dw, 0, (size_t)(2 * l->cols) * sizeof *dw);
    l->d->isa.layer_norm_back(rows, l->cols, lth_f32(call->in[0]) + at * l->cols, data_of(optional(call, 1)),
                              lth_f32(call->grad_out[0]) + at * l->cols, l->mean + at, l->rstd + at,
                              call->need[0] ? lth_f32(call->grad_in[0]) + at * l->cols : NULL, call->accumulate[0], dw, dw + l->cols);
}
static lt_status layer_backward(lth_device *d, const lth_call *call, lth_error *err) {
    if (lth_cpu_no_gradient(d, call)) {
        return LT_OK;
    }
    layer l = layer_of(d, call);
    const int64_t chunks = lth_div_up(l.rows, l.step);
    l.parts = lth_cpu_scratch(d, (size_t)(2 * chunks * l.cols) * sizeof(float), err);
    if (!l.parts) {
        return LT_ENOMEM;
    }
    lth_cpu_run(d, chunks, (double)lth_count(call->in[0]) * 1e-3, layer_back_chunk, &l);
    for (int k = 1; k < 3; k++) {
        for (int64_t i = 0; optional(call, k) && call->need[k] && i < chunks; i++) {
            d->isa.scaled(l.cols, call->grad_in[k]->data, l.parts + (2 * i + k - 1) * l.cols, 1.f, call->accumulate[k] || i > 0);
        }
    }
    return LT_OK;
}
const lth_kernel lth_cpu_layer_norm = {layer_plan, layer_forward, layer_backward};

/* ---- embedding ---- */
static bool embedding_plan(lth_device *d, lth_call *call) {
    (void)d;
    return call->in[0]->dtype == LT_I64 && lth_plain(call->in[0]) && lth_plain_f32(call->in[1]) && call->in[1]->ndim == 2;
}
static lt_status embedding_forward(lth_device *d, const lth_call *call, lth_error *err) {
    const int64_t n = lth_count(call->in[0]), V = call->in[1]->shape[0], D = call->in[1]->shape[1], *index = call->in[0]->data;
    (void)d;
    for (int64_t i = 0; i < n; i++) {
        if (index[i] < 0 || index[i] >= V) {
            return lth_fail(err, LT_EINDEX, "embedding: index %lld at position %lld is outside 0..%lld", (long long)index[i], (long long)i,
                            (long long)(V - 1));
        }
        memcpy(lth_f32(call->out[0]) + i * D, lth_f32(call->in[1]) + index[i] * D, (size_t)D * sizeof(float));
    }
    return LT_OK;
}
static lt_status embedding_backward(lth_device *d, const lth_call *call, lth_error *err) {
    if (lth_cpu_no_gradient(d, call) || !call->need[1]) {
        return LT_OK;
    }
    const int64_t n = lth_count(call->in[0]), D = call->in[1]->shape[1], *index = call->in[0]->data;
    float *dw = call->grad_in[1]->data;
    if (!call->accumulate[1]) {
        lth_cpu_zero(d, dw, lth_cpu_array_bytes(call->grad_in[1]), err);
    }
    for (int64_t i = 0; i < n; i++) { /* in order of positions: the sums' bits are fixed */
        d->isa.scaled(D, dw + index[i] * D, lth_f32(call->grad_out[0]) + i * D, 1.f, true);
    }
    return LT_OK;
}
const lth_kernel lth_cpu_embedding = {embedding_plan, embedding_forward, embedding_backward};
