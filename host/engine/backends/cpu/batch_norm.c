/* backends/cpu/batch_norm.c - BATCH_NORM with what is fused into it: a residual added to its output, ReLU. Blocked layouts as they are, in
 * lanes of 16 or 32 (batch_norm's "runs"); plain (N, C, ...) a channel a chunk. A channel's sums lie within one chunk, sums of blocks are
 * kept in double. Refuses activations other than ReLU. */
#include "engine/backends/cpu/cpu.h"
#include <math.h>

static const lth_array *optional(const lth_call *call, int k) { return k < call->n_in ? call->in[k] : NULL; }
static double value_at(const lth_array *a, int64_t i, double fallback) { return a ? (double)lth_f32(a)[i] : fallback; }

/* saved: mean, 1/std, scale and shift of each channel, in the workspace */
typedef struct norm {
    lth_device *d;
    const lth_call *call;
    const lth_array *weight, *bias, *mean, *var, *residual;
    int64_t N, C, rest;
    bool batch_stats, relu;
    int layout, width;
    float *saved, *spare;
} norm;
static norm norm_of(lth_device *d, const lth_call *call) {
    const lth_array *x = call->in[0];
    norm b = {.d = d, .call = call, .weight = optional(call, 1), .bias = optional(call, 2), .mean = optional(call, 3), .var = optional(call, 4),
              .residual = optional(call, 5), .N = x->shape[0], .C = x->shape[1], .rest = 1, .relu = call->attrs->i[1] == LT_ACT_RELU, .layout = x->layout};
    for (int k = 2; k < x->ndim; k++) {
        b.rest *= x->shape[k];
    }
    b.batch_stats = call->attrs->i[0] || !b.mean || !b.var;
    b.width = b.layout == LTH_HWNC && lth_div_up(b.C, 16) % 2 == 0 ? 32 : 16;
    return b;
}
static bool norm_plan(lth_device *d, lth_call *call) {
    const lth_array *x = call->in[0], *residual = optional(call, 5);
    (void)d;
    const bool plain = lth_plain_f32(x), blocked = x->dtype == LT_F32 && x->layout != LTH_STRIDED && x->ndim == 4;
    if ((!plain && !blocked) || x->ndim < 2 || lth_count(x) == 0 || (call->attrs->i[1] != LT_ACT_NONE && call->attrs->i[1] != LT_ACT_RELU)) {
        return false;
    }
    if (residual && (residual->dtype != LT_F32 || residual->layout != x->layout || (plain && !lth_plain(residual)))) {
        return false;
    }
    for (int k = 1; k < 5; k++) {
        if (optional(call, k) && !lth_plain_f32(optional(call, k))) {
            return false;
        }
    }
    call->out[0]->layout = x->layout;
    call->workspace_bytes = lth_floats((size_t)(4 * x->shape[1]));
    return true;
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
/* From the batch's statistics or the running ones: what is saved, and y = scale x + shift. */
static void settle(const norm *b, int64_t c, double mean, double var, float *scale, float *shift) {
    if (!b->batch_stats) {
        mean = (double)lth_f32(b->mean)[c], var = (double)lth_f32(b->var)[c];
    } else if (b->call->attrs->i[0]) {
        running(b, c, mean, var);
    }
    const double rstd = 1 / sqrt(var + b->call->attrs->f[0]), k = rstd * value_at(b->weight, c, 1);
    *scale = (float)k;
    *shift = (float)(value_at(b->bias, c, 0) - mean * k);
    float *saved = b->saved + 4 * c;
    saved[0] = (float)mean, saved[1] = (float)rstd, saved[2] = *scale, saved[3] = *shift;
}
/* The gradients of weight and bias, and dx = a g + b (x - mean) + c, from sum(g) and sum(g (x - mean)). */
static void slopes(const norm *b, int64_t channel, double sum, double dot, float *a, float *by_x, float *constant) {
    const lth_call *call = b->call;
    const double rstd = (double)b->saved[4 * channel + 1], count = (double)(b->N * b->rest), hat = dot * rstd;
    if (b->weight && call->need[1]) {
        float *dw = lth_f32(call->grad_in[1]) + channel;
        *dw = (float)hat + (call->accumulate[1] ? *dw : 0.f);
    }
    if (b->bias && call->need[2]) {
        float *db = lth_f32(call->grad_in[2]) + channel;
        *db = (float)sum + (call->accumulate[2] ? *db : 0.f);
    }
    const double k = rstd * value_at(b->weight, channel, 1);
    *a = (float)k;
    *by_x = b->batch_stats ? (float)(-k * rstd * hat / count) : 0.f;
    *constant = b->batch_stats ? (float)(-k * sum / count) : 0.f;
}

/* ---- blocked: a chunk is `width` channels, or one channel of LTH_N16C, as runs of rows ---- */
typedef struct run { int64_t offset; lth_lanes lanes; int valid; } run; /* valid: lanes that count */
static int64_t run_count(const norm *b) { return b->layout == LTH_HWNC ? 1 : b->layout == LTH_C16 ? b->N : lth_div_up(b->N, 16); }
static int64_t chunk_count(const norm *b) { return b->layout == LTH_N16C ? b->C : lth_div_up(lth_div_up(b->C, 16) * 16, b->width); }
static run run_at(const norm *b, int64_t chunk, int64_t i) {
    const int64_t groups = lth_div_up(b->C, 16), left = b->layout == LTH_N16C ? b->N - i * 16 : b->C - chunk * b->width;
    run r = {.lanes = {.rows = b->rest, .at = 16, .width = b->width}, .valid = left < b->width ? (int)left : b->width};
    if (b->layout == LTH_HWNC) {
        r.offset = chunk * b->width;
        r.lanes.rows = b->rest * b->N, r.lanes.at = groups * 16;
    } else {
        r.offset = (b->layout == LTH_C16 ? i * groups + chunk : i * b->C + chunk) * b->rest * 16;
    }
    r.lanes.x = lth_f32(b->call->in[0]) + r.offset;
    return r;
}
static int64_t channel_of(const norm *b, int64_t chunk, int lane) { return b->layout == LTH_N16C ? chunk : chunk * b->width + lane; }
/* In LTH_N16C all lanes are one channel: what each lane found is added up, in order, in the first. */
static void join(const norm *b, double *a, double *c, int valid) {
    for (int i = 1; b->layout == LTH_N16C && i < valid; i++) {
        a[0] += a[i], c[0] += c[i];
    }
}
static void lane_statistics(const norm *b, int64_t chunk, double *mean, double *var) {
    const int64_t runs = run_count(b);
    const double count = (double)(b->N * b->rest);
    float pivot[32];
    double sum[32] = {0}, squares[32] = {0};
    const run first = run_at(b, chunk, 0);
    for (int i = 0; i < b->width; i++) {
        pivot[i] = first.lanes.x[b->layout == LTH_N16C ? 0 : i];
    }
    double last_sum[32] = {0}, last_squares[32] = {0};
    int valid = first.valid;
    for (int64_t i = 0; i < runs; i++) {
        const run r = run_at(b, chunk, i);
        const bool partial = b->layout == LTH_N16C && r.valid < 16; /* the lanes of no image stay out */
        b->d->isa.lane_sums(&r.lanes, pivot, partial ? last_sum : sum, partial ? last_squares : squares);
        for (int k = 0; partial && k < r.valid; k++) {
            sum[k] += last_sum[k], squares[k] += last_squares[k];
        }
        valid = b->layout == LTH_N16C && runs > 1 ? 16 : r.valid;
    }
    join(b, sum, squares, valid);
    for (int i = 0; i < b->width; i++) {
        const int k = b->layout == LTH_N16C ? 0 : i;
        const double off = sum[k] / count;
        mean[i] = (double)pivot[k] + off;
        var[i] = squares[k] / count - off * off;
        var[i] = var[i] < 0 ? 0 : var[i];
    }
}
static void lanes_forward(void *arg, int64_t chunk, int thread) {
    const norm *b = arg;
    double mean[32], var[32];
    float scale[32] = {0}, shift[32] = {0};
    (void)thread;
    if (b->batch_stats) {
        lane_statistics(b, chunk, mean, var);
    }
    const int channels = b->layout == LTH_N16C ? 1 : run_at(b, chunk, 0).valid;
    for (int i = 0; i < channels; i++) {
        settle(b, channel_of(b, chunk, i), b->batch_stats ? mean[i] : 0, b->batch_stats ? var[i] : 0, &scale[i], &shift[i]);
    }
    for (int64_t i = 0; i < run_count(b); i++) {
        const run r = run_at(b, chunk, i);
        float a[32] = {0}, c[32] = {0}; /* zero where nothing counts: padding stays zero */
        for (int k = 0; k < r.valid; k++) {
            a[k] = scale[b->layout == LTH_N16C ? 0 : k], c[k] = shift[b->layout == LTH_N16C ? 0 : k];
        }
        b->d->isa.lane_apply(&r.lanes, a, c, b->residual ? lth_f32(b->residual) + r.offset : NULL, b->relu, lth_f32(b->call->out[0]) + r.offset);
    }
}
static void lanes_backward(void *arg, int64_t chunk, int thread) {
    const norm *b = arg;
    const lth_call *call = b->call;
    float mean[32] = {0}, scale[32] = {0}, shift[32] = {0}, a[32] = {0}, by_x[32] = {0}, constant[32] = {0};
    double sum[32] = {0}, dot[32] = {0};
    const float *dy = call->grad_out[0]->data, *y = b->relu ? call->out[0]->data : NULL;
    const bool n16 = b->layout == LTH_N16C;
    const int channels = n16 ? 1 : run_at(b, chunk, 0).valid;
    (void)thread;
    for (int i = 0; i < (n16 ? 16 : channels); i++) {
        const float *saved = b->saved + 4 * channel_of(b, chunk, i);
        mean[i] = saved[0], scale[i] = saved[2], shift[i] = saved[3];
    }
    const bool by_input = b->relu && !b->residual; /* spares a pass over y */
    for (int64_t i = 0; i < run_count(b); i++) { /* no lane without an image has a gradient */
        const run r = run_at(b, chunk, i);
        const lth_lane_slopes s = {.dy = dy + r.offset, .y = y ? y + r.offset : NULL, .mean = mean, .scale = by_input ? scale : NULL, .shift = shift};
        b->d->isa.lane_back_sums(&r.lanes, &s, sum, dot);
    }
    join(b, sum, dot, 16);
    for (int i = 0; i < channels; i++) {
        slopes(b, channel_of(b, chunk, i), sum[i], dot[i], &a[i], &by_x[i], &constant[i]);
    }
    float *dx = call->need[0] ? call->grad_in[0]->data : NULL, *dres = b->residual && call->need[5] ? call->grad_in[5]->data : NULL;
    for (int64_t i = 0; (dx || dres) && i < run_count(b); i++) {
        const run r = run_at(b, chunk, i);
        float k[3][32] = {{0}};
        for (int l = 0; l < r.valid; l++) {
            k[0][l] = a[n16 ? 0 : l], k[1][l] = by_x[n16 ? 0 : l], k[2][l] = constant[n16 ? 0 : l];
        }
        const lth_lane_slopes s = {.dy = dy + r.offset, .y = y ? y + r.offset : NULL, .mean = mean, .scale = by_input ? scale : NULL,
                                   .shift = shift, .a = k[0], .b = k[1], .c = k[2],
                                   .dx = dx ? dx + r.offset : NULL, .dres = dres ? dres + r.offset : NULL, .add_dx = call->accumulate[0],
                                   .add_dres = call->accumulate[5]};
        b->d->isa.lane_back(&r.lanes, &s);
    }
}

/* ---- plain: (n, c) lies as `rest` values together. The passes over lanes take it in rows of 16; what is left of it is summed here ---- */
static lth_lanes rows_of(const norm *b, const float *x) { return (lth_lanes){.rows = b->rest / 16, .at = 16, .width = 16, .x = x}; }
static double joined(const double *lanes) {
    double total = 0;
    for (int i = 0; i < 16; i++) {
        total += lanes[i];
    }
    return total;
}
/* The second pass is about the first one's mean, so that nothing cancels, and corrects it by what it missed. */
static void plain_statistics(const norm *b, int64_t c, const float *x, double *mean, double *var) {
    const double count = (double)(b->N * b->rest);
    double sum = 0, off[16] = {0}, squares[16] = {0};
    float pivot[16];
    for (int64_t n = 0; n < b->N; n++) {
        sum += b->d->isa.sum(b->rest, x + (n * b->C + c) * b->rest);
    }
    for (int i = 0; i < 16; i++) {
        pivot[i] = (float)(sum / count);
    }
    for (int64_t n = 0; n < b->N; n++) {
        const lth_lanes rows = rows_of(b, x + (n * b->C + c) * b->rest);
        b->d->isa.lane_sums(&rows, pivot, off, squares);
        for (int64_t i = rows.rows * 16; i < b->rest; i++) {
            const double d = (double)rows.x[i] - (double)pivot[0];
            off[0] += d;
            squares[0] += d * d;
        }
    }
    const double missed = joined(off) / count;
    *mean = (double)pivot[0] + missed;
    *var = joined(squares) / count - missed * missed;
    *var = *var < 0 ? 0 : *var;
}
static void plain_forward(void *arg, int64_t c, int thread) {
    const norm *b = arg;
    const lth_cpu_isa *t = &b->d->isa;
    const float *x = b->call->in[0]->data;
    float *y = b->call->out[0]->data, scale, shift;
    double mean = 0, var = 0;
    (void)thread;
    if (b->batch_stats) {
        plain_statistics(b, c, x, &mean, &var);
    }
    settle(b, c, mean, var, &scale, &shift);
    for (int64_t n = 0; n < b->N; n++) {
        const int64_t at = (n * b->C + c) * b->rest;
        t->affine(b->rest, x + at, y + at, scale, shift, b->relu && !b->residual);
        if (b->residual) {
            t->binary(LTH_B_ADD, b->rest, y + at, lth_f32(b->residual) + at, false, false, y + at);
            if (b->relu) {
                t->unary(LTH_U_RELU, b->rest, y + at, y + at, 0);
            }
        }
    }
}
/* sum(g) and sum(g (x - mean)) over one image's part of a channel, added to lanes. */
static void plain_back_sums(const norm *b, const float *x, const float *g, const float *mean, double *sum, double *dot) {
    const lth_lanes rows = rows_of(b, x);
    b->d->isa.lane_back_sums(&rows, &(lth_lane_slopes){.dy = g, .mean = mean}, sum, dot);
    for (int64_t i = rows.rows * 16; i < b->rest; i++) {
        sum[0] += (double)g[i];
        dot[0] += (double)g[i] * ((double)x[i] - (double)mean[0]);
    }
}
/* dx (+)= a g + by_x (x - mean) + constant: k has 16 of each. */
static void plain_slopes(const norm *b, const float *x, const float *g, const float *mean, const float k[3][16], float *dx) {
    const lth_lanes rows = rows_of(b, x);
    const bool add = b->call->accumulate[0];
    b->d->isa.lane_back(&rows, &(lth_lane_slopes){.dy = g, .mean = mean, .a = k[0], .b = k[1], .c = k[2], .dx = dx, .add_dx = add});
    for (int64_t i = rows.rows * 16; i < b->rest; i++) {
        const float d = k[1][0] * (x[i] - mean[0]) + (k[0][0] * g[i] + k[2][0]);
        dx[i] = add ? dx[i] + d : d;
    }
}
static void plain_backward(void *arg, int64_t c, int thread) {
    const norm *b = arg;
    const lth_call *call = b->call;
    const lth_cpu_isa *t = &b->d->isa;
    const float *x = call->in[0]->data, *dy = call->grad_out[0]->data, *y = call->out[0]->data;
    float *spare = b->spare ? b->spare + thread * b->N * b->rest : NULL, mean[16], a, by_x, constant, k[3][16];
    double sum[16] = {0}, dot[16] = {0};
    for (int i = 0; i < 16; i++) {
        mean[i] = b->saved[4 * c];
    }
    for (int64_t n = 0; n < b->N; n++) {
        const int64_t at = (n * b->C + c) * b->rest;
        const float *g = dy + at;
        if (spare) {
            t->unary_back(LTH_U_RELU, b->rest, NULL, y + at, g, spare + n * b->rest, false, 0);
            g = spare + n * b->rest;
        }
        plain_back_sums(b, x + at, g, mean, sum, dot);
    }
    slopes(b, c, joined(sum), joined(dot), &a, &by_x, &constant);
    for (int i = 0; i < 16; i++) {
        k[0][i] = a, k[1][i] = by_x, k[2][i] = constant;
    }
    for (int64_t n = 0; n < b->N; n++) {
        const int64_t at = (n * b->C + c) * b->rest;
        const float *g = spare ? spare + n * b->rest : dy + at;
        if (call->need[0]) {
            plain_slopes(b, x + at, g, mean, k, lth_f32(call->grad_in[0]) + at);
        }
        if (b->residual && call->need[5]) {
            t->scaled(b->rest, lth_f32(call->grad_in[5]) + at, g, 1.f, call->accumulate[5]);
        }
    }
}

static lt_status norm_forward(lth_device *d, const lth_call *call, lth_error *err) {
    norm b = norm_of(d, call);
    b.saved = call->workspace_bytes ? call->workspace : lth_cpu_scratch(d, lth_floats((size_t)(4 * b.C)), err);
    if (!b.saved) {
        return LT_ENOMEM;
    }
    const double cost = (double)lth_count(call->in[0]) * 6e-4;
    if (b.layout != LTH_STRIDED) {
        lth_cpu_run(d, chunk_count(&b), cost, lanes_forward, &b);
    } else {
        lth_cpu_run(d, b.C, cost, plain_forward, &b);
    }
    return LT_OK;
}
static lt_status norm_backward(lth_device *d, const lth_call *call, lth_error *err) {
    if (lth_cpu_no_gradient(d, call)) {
        return LT_OK;
    }
    norm b = norm_of(d, call);
    const double cost = (double)lth_count(call->in[0]) * 1e-3;
    b.saved = call->workspace;
    if (b.layout != LTH_STRIDED) {
        lth_cpu_run(d, chunk_count(&b), cost, lanes_backward, &b);
        return LT_OK;
    }
    if (b.relu) {
        b.spare = lth_cpu_scratch(d, (size_t)(lth_cpu_team(d, b.C, cost) * b.N * b.rest) * sizeof(float), err);
        if (!b.spare) {
            return LT_ENOMEM;
        }
    }
    lth_cpu_run(d, b.C, cost, plain_backward, &b);
    return LT_OK;
}
const lth_kernel lth_cpu_batch_norm = {norm_plan, norm_forward, norm_backward};
