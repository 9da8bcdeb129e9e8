/* backends/cpu/wide/norm.c - BATCH_NORM and LAYER_NORM in f64 on plain arrays: a channel, or a few rows, a chunk. Statistics in two passes.
 * Refuses strided and empty arrays, and fused activations other than ReLU. */
#include "engine/backends/cpu/wide/wide.h"
#include "engine/backends/cpu/cpu.h"
#include <math.h>

static const lth_array *optional(const lth_call *call, int k) { return k < call->n_in ? call->in[k] : NULL; }
static bool plain_or_absent(const lth_array *a) { return !a || (a->dtype == LT_F64 && lth_plain(a)); }
static double value_at(const lth_array *a, int64_t i, double fallback) { return a ? ((const double *)a->data)[i] : fallback; }

/* Eight sums side by side, met in one order. */
static double sum8(const double *s) { return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7])); }
static double sum_of(const double *x, int64_t n) {
    double s[8] = {0};
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        for (int k = 0; k < 8; k++) {
            s[k] += x[i + k];
        }
    }
    for (int k = 0; i < n; i++, k++) {
        s[k] += x[i];
    }
    return sum8(s);
}
/* sum (x - a) (y - b) */
static double product_of(const double *x, double a, const double *y, double b, int64_t n) {
    double s[8] = {0};
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        for (int k = 0; k < 8; k++) {
            s[k] += (x[i + k] - a) * (y[i + k] - b);
        }
    }
    for (int k = 0; i < n; i++, k++) {
        s[k] += (x[i] - a) * (y[i] - b);
    }
    return sum8(s);
}

/* ---- batch norm; the workspace holds mean and 1/std of each channel ---- */
typedef struct norm {
    const lth_call *call;
    const lth_array *weight, *bias, *mean, *var, *residual;
    int64_t N, C, rest;
    bool batch_stats, relu;
    double *saved, *spare;
} norm;
static norm norm_of(const lth_call *call) {
    const lth_array *x = call->in[0];
    norm b = {.call = call, .weight = optional(call, 1), .bias = optional(call, 2), .mean = optional(call, 3), .var = optional(call, 4),
              .residual = optional(call, 5), .N = x->shape[0], .C = x->shape[1], .rest = 1, .relu = call->attrs->i[1] == LT_ACT_RELU,
              .saved = call->workspace};
    for (int k = 2; k < x->ndim; k++) {
        b.rest *= x->shape[k];
    }
    b.batch_stats = call->attrs->i[0] || !b.mean || !b.var;
    return b;
}
static bool norm_plan(lth_device *d, lth_call *call) {
    const lth_array *x = call->in[0];
    bool good = x->dtype == LT_F64 && x->ndim >= 2 && lth_count(x) > 0 && (call->attrs->i[1] == LT_ACT_NONE || call->attrs->i[1] == LT_ACT_RELU);
    (void)d;
    for (int k = 0; k < 6; k++) {
        good = good && plain_or_absent(optional(call, k));
    }
    call->workspace_bytes = good ? lth_floats((size_t)(4 * x->shape[1])) : 0;
    return good;
}
static void statistics(const norm *b, int64_t c, const double *x, double *mean, double *var) {
    const double count = (double)(b->N * b->rest);
    double sum = 0, squares = 0;
    for (int64_t n = 0; n < b->N; n++) {
        sum += sum_of(x + (n * b->C + c) * b->rest, b->rest);
    }
    *mean = sum / count;
    for (int64_t n = 0; n < b->N; n++) {
        const double *row = x + (n * b->C + c) * b->rest;
        squares += product_of(row, *mean, row, *mean, b->rest);
    }
    *var = squares / count;
    if (b->call->attrs->i[0]) {
        const double momentum = b->call->attrs->f[1];
        double *m = b->mean ? b->mean->data : NULL, *v = b->var ? b->var->data : NULL;
        if (m) {
            m[c] = (1 - momentum) * m[c] + momentum * *mean;
        }
        if (v) {
            v[c] = (1 - momentum) * v[c] + momentum * (squares / (count - 1));
        }
    }
}
static void norm_channel(void *arg, int64_t c, int thread) {
    const norm *b = arg;
    const double *x = b->call->in[0]->data, *residual = b->residual ? b->residual->data : NULL;
    double *y = b->call->out[0]->data, mean = value_at(b->mean, c, 0), var = value_at(b->var, c, 1);
    (void)thread;
    if (b->batch_stats) {
        statistics(b, c, x, &mean, &var);
    }
    const double rstd = 1 / sqrt(var + b->call->attrs->f[0]), scale = rstd * value_at(b->weight, c, 1), shift = value_at(b->bias, c, 0);
    b->saved[2 * c] = mean, b->saved[2 * c + 1] = rstd;
    for (int64_t n = 0; n < b->N; n++) {
        const int64_t at = (n * b->C + c) * b->rest;
        for (int64_t i = at; i < at + b->rest; i++) {
            y[i] = (x[i] - mean) * scale + shift;
        }
        for (int64_t i = at; residual && i < at + b->rest; i++) {
            y[i] += residual[i];
        }
        for (int64_t i = at; b->relu && i < at + b->rest; i++) {
            y[i] = y[i] < 0 ? 0 : y[i];
        }
    }
}
static lt_status norm_forward(lth_device *d, const lth_call *call, lth_error *err) {
    (void)err;
    norm b = norm_of(call);
    lth_cpu_run(d, b.C, (double)lth_count(call->in[0]) * 2e-3, norm_channel, &b);
    return LT_OK;
}
/* dx = w / std (g - mean(g) - xhat mean(g xhat)); with running statistics, which are constants: w / std g. g: after the activation. */
static void norm_back_channel(void *arg, int64_t c, int thread) {
    const norm *b = arg;
    const lth_call *call = b->call;
    const double *x = call->in[0]->data, *dy = call->grad_out[0]->data, *y = call->out[0]->data;
    const double mean = b->saved[2 * c], rstd = b->saved[2 * c + 1], count = (double)(b->N * b->rest);
    double *spare = b->spare ? b->spare + thread * b->N * b->rest : NULL, sum = 0, hat = 0;
    for (int64_t n = 0; n < b->N; n++) {
        const int64_t at = (n * b->C + c) * b->rest;
        const double *g = dy + at;
        for (int64_t i = 0; spare && i < b->rest; i++) {
            spare[n * b->rest + i] = y[at + i] > 0 ? g[i] : 0;
        }
        g = spare ? spare + n * b->rest : g;
        sum += sum_of(g, b->rest);
        hat += product_of(g, 0, x + at, mean, b->rest);
    }
    hat *= rstd;
    if (b->weight && call->need[1]) {
        double *dw = (double *)call->grad_in[1]->data + c;
        *dw = hat + (call->accumulate[1] ? *dw : 0);
    }
    if (b->bias && call->need[2]) {
        double *db = (double *)call->grad_in[2]->data + c;
        *db = sum + (call->accumulate[2] ? *db : 0);
    }
    const double k = rstd * value_at(b->weight, c, 1), slope = b->batch_stats ? rstd * hat / count : 0, shift = b->batch_stats ? sum / count : 0;
    for (int64_t n = 0; n < b->N; n++) {
        const int64_t at = (n * b->C + c) * b->rest;
        const double *g = spare ? spare + n * b->rest : dy + at, *row = x + at;
        double *dx = call->need[0] ? (double *)call->grad_in[0]->data + at : NULL;
        double *dr = b->residual && call->need[5] ? (double *)call->grad_in[5]->data + at : NULL;
        for (int64_t i = 0; dx && i < b->rest; i++) {
            const double value = k * (g[i] - shift - (row[i] - mean) * slope);
            dx[i] = call->accumulate[0] ? dx[i] + value : value;
        }
        for (int64_t i = 0; dr && i < b->rest; i++) {
            dr[i] = call->accumulate[5] ? dr[i] + g[i] : g[i];
        }
    }
}
static lt_status norm_backward(lth_device *d, const lth_call *call, lth_error *err) {
    if (lth_cpu_no_gradient(d, call)) {
        return LT_OK;
    }
    norm b = norm_of(call);
    const double cost = (double)lth_count(call->in[0]) * 4e-3;
    if (b.relu) {
        b.spare = lth_cpu_scratch(d, (size_t)(lth_cpu_team(d, b.C, cost) * b.N * b.rest) * sizeof(double), err);
        if (!b.spare) {
            return LT_ENOMEM;
        }
    }
    lth_cpu_run(d, b.C, cost, norm_back_channel, &b);
    return LT_OK;
}
const lth_kernel lth_wide_batch_norm = {norm_plan, norm_forward, norm_backward};

/* ---- layer norm; the workspace holds mean and 1/std of each row ---- */
typedef struct layer { const lth_call *call; int64_t rows, cols, step; double *saved, *parts; } layer;
static layer layer_of(const lth_call *call) {
    const lth_array *x = call->in[0];
    layer l = {.call = call, .cols = x->shape[x->ndim - 1], .saved = call->workspace};
    l.rows = lth_count(x) / l.cols;
    l.step = lth_div_up(l.rows, 8);
    l.step = l.step * l.cols < 4096 ? lth_div_up(4096, l.cols) : l.step;
    return l;
}
static bool layer_plan(lth_device *d, lth_call *call) {
    const lth_array *x = call->in[0];
    (void)d;
    if (!plain_or_absent(x) || x->ndim < 1 || lth_count(x) == 0 || !plain_or_absent(optional(call, 1)) || !plain_or_absent(optional(call, 2))) {
        return false;
    }
    call->workspace_bytes = (size_t)(2 * (lth_count(x) / x->shape[x->ndim - 1])) * sizeof(double);
    return true;
}
static void layer_chunk(void *arg, int64_t chunk, int thread) {
    const layer *l = arg;
    const lth_array *w = optional(l->call, 1), *b = optional(l->call, 2);
    const int64_t from = chunk * l->step, to = lth_min64(from + l->step, l->rows);
    (void)thread;
    for (int64_t row = from; row < to; row++) {
        const double *x = (const double *)l->call->in[0]->data + row * l->cols;
        double *y = (double *)l->call->out[0]->data + row * l->cols;
        const double mean = sum_of(x, l->cols) / (double)l->cols, var = product_of(x, mean, x, mean, l->cols) / (double)l->cols;
        const double rstd = 1 / sqrt(var + l->call->attrs->f[0]);
        l->saved[2 * row] = mean, l->saved[2 * row + 1] = rstd;
        for (int64_t i = 0; i < l->cols; i++) {
            y[i] = (x[i] - mean) * rstd * value_at(w, i, 1) + value_at(b, i, 0);
        }
    }
}
static lt_status layer_forward(lth_device *d, const lth_call *call, lth_error *err) {
    (void)err;
    layer l = layer_of(call);
    lth_cpu_run(d, lth_div_up(l.rows, l.step), (double)lth_count(call->in[0]) * 1e-3, layer_chunk, &l);
    return LT_OK;
}
static void layer_back_chunk(void *arg, int64_t chunk, int thread) {
    const layer *l = arg;
    const lth_call *call = l->call;
    const lth_array *w = optional(call, 1);
    const int64_t from = chunk * l->step, to = lth_min64(from + l->step, l->rows), cols = l->cols;
    double *dw = l->parts + 2 * chunk * cols, *db = dw + cols;
    (void)thread;
    memset(dw, 0, (size_t)(2 * cols) * sizeof *dw);
    for (int64_t row = from; row < to; row++) {
        const double *x = (const double *)call->in[0]->data + row * cols, *g = (const double *)call->grad_out[0]->data + row * cols;
        const double mean = l->saved[2 * row], rstd = l->saved[2 * row + 1];
        double sum = 0, hat = 0;
        for (int64_t i = 0; i < cols; i++) {
            const double xhat = (x[i] - mean) * rstd, up = g[i] * value_at(w, i, 1);
            sum += up, hat += up * xhat;
            dw[i] += g[i] * xhat, db[i] += g[i];
        }
        sum /= (double)cols, hat /= (double)cols;
        double *dx = call->need[0] ? (double *)call->grad_in[0]->data + row * cols : NULL;
        for (int64_t i = 0; dx && i < cols; i++) {
            const double value = rstd * (g[i] * value_at(w, i, 1) - sum - (x[i] - mean) * rstd * hat);
            dx[i] = call->accumulate[0] ? dx[i] + value : value;
        }
    }
}
static lt_status layer_backward(lth_device *d, const lth_call *call, lth_error *err) {
    if (lth_cpu_no_gradient(d, call)) {
        return LT_OK;
    }
    layer l = layer_of(call);
    const int64_t chunks = lth_div_up(l.rows, l.step);
    l.parts = lth_cpu_scratch(d, (size_t)(2 * chunks * l.cols) * sizeof(double), err);
    if (!l.parts) {
        return LT_ENOMEM;
    }
    lth_cpu_run(d, chunks, (double)lth_count(call->in[0]) * 2e-3, layer_back_chunk, &l);
    for (int k = 1; k < 3; k++) {
        double *to = optional(call, k) && call->need[k] ? call->grad_in[k]->data : NULL;
        for (int64_t i = 0; to && i < l.cols; i++) {
            double total = call->accumulate[k] ? to[i] : 0;
            for (int64_t chunk = 0; chunk < chunks; chunk++) {
                total += l.parts[(2 * chunk + k - 1) * l.cols + i];
            }
            to[i] = total;
        }
    }
    return LT_OK;
}
const lth_kernel lth_wide_layer_norm = {layer_plan, layer_forward, layer_backward};
