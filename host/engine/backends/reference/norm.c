/* engine/backends/reference/norm.c - batch norm (with running statistics) and layer norm. Statistics in double. */
#include "engine/backends/reference/reference.h"

/* ---- batch norm: x as (N, C, rest); workspace holds mean and 1/std of each channel ---- */
typedef struct batch_norm {
    const lth_array *x, *y, *weight, *bias, *mean, *var, *residual;
    int64_t channels, n, rest; /* elements per channel: n * rest */
    bool batch_stats;
    int64_t act;
    double *saved;
} batch_norm;

static const lth_array *optional(const lth_call *call, int k) { return k < call->n_in ? call->in[k] : NULL; }

static batch_norm batch_norm_of(const lth_call *call) {
    const lth_array *x = call->in[0];
    batch_norm b = {.x = x, .y = call->out[0], .weight = optional(call, 1), .bias = optional(call, 2), .mean = optional(call, 3),
                    .var = optional(call, 4), .residual = optional(call, 5), .channels = x->shape[1], .n = x->shape[0], .rest = 1, .act = call->attrs->i[1],
                    .saved = call->workspace};
    for (int d = 2; d < x->ndim; d++) {
        b.rest *= x->shape[d];
    }
    b.batch_stats = call->attrs->i[0] || !b.mean || !b.var;
    return b;
}

/* Place of element `i` (0 .. n * rest) of channel c. */
static int64_t channel_at(const lth_array *a, int64_t c, int64_t i, int64_t rest) {
    int64_t at = i / rest * a->strides[0] + c * a->strides[1], inner = i % rest;
    for (int d = a->ndim - 1; d >= 2; d--) {
        at += inner % a->shape[d] * a->strides[d];
        inner /= a->shape[d];
    }
    return at;
}

static double channel_value(const lth_array *a, int64_t c, double fallback) { return a ? ref_get(a, c * a->strides[0]) : fallback; }

static bool batch_norm_plan(lth_device *device, lth_call *call) {
    (void)device;
    return ref_plan_with(call, 2 * call->in[0]->shape[1] * (int64_t)sizeof(double));
}

static void channel_statistics(const batch_norm *b, int64_t c, double *mean, double *var) {
    int64_t count = b->n * b->rest;
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < count; i++) {
        sum += ref_get(b->x, channel_at(b->x, c, i, b->rest));
    }
    *mean = sum / (double)count;
    for (int64_t i = 0; i < count; i++) {
        double off = ref_get(b->x, channel_at(b->x, c, i, b->rest)) - *mean;
        squares += off * off;
    }
    *var = squares / (double)count;
}

/* The running variance takes the unbiased one. */
static void update_running(const batch_norm *b, int64_t c, double mean, double var, double momentum) {
    double count = (double)(b->n * b->rest);
    if (b->mean) {
        ref_set(b->mean, c * b->mean->strides[0], (1 - momentum) * channel_value(b->mean, c, 0) + momentum * mean);
    }
    if (b->var) {
        ref_set(b->var, c * b->var->strides[0], (1 - momentum) * channel_value(b->var, c, 0) + momentum * var * count / (count - 1));
    }
}

static double normalized(const batch_norm *b, int64_t c, int64_t i) {
    return (ref_get(b->x, channel_at(b->x, c, i, b->rest)) - b->saved[2 * c]) * b->saved[2 * c + 1];
}

/* Before the activation. */
static double norm_output(const batch_norm *b, int64_t c, int64_t i) {
    double y = ref_round(b->y->dtype, normalized(b, c, i) * channel_value(b->weight, c, 1) + channel_value(b->bias, c, 0));
    return b->residual ? ref_round(b->y->dtype, y + ref_get(b->residual, channel_at(b->residual, c, i, b->rest))) : y;
}

static lt_status batch_norm_forward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device;
    batch_norm b = batch_norm_of(call);
    int64_t count = b.n * b.rest;
    if (b.batch_stats && count == 1) {
        return lth_fail(err, LT_ESHAPE, "batch_norm: training needs more than one value per channel, got one; use a larger batch");
    }
    for (int64_t c = 0; c < b.channels; c++) {
        double mean, var;
        if (b.batch_stats) {
            channel_statistics(&b, c, &mean, &var);
            if (call->attrs->i[0] && count > 0) {
                update_running(&b, c, mean, var, call->attrs->f[1]);
            }
        } else {
            mean = channel_value(b.mean, c, 0), var = channel_value(b.var, c, 1);
        }
        b.saved[2 * c] = mean;
        b.saved[2 * c + 1] = 1 / sqrt(var + call->attrs->f[0]);
        for (int64_t i = 0; i < count; i++) {
            ref_set(b.y, channel_at(b.y, c, i, b.rest), ref_activate(b.act, norm_output(&b, c, i)));
        }
    }
    return LT_OK;
}

/* Gradient before the activation. */
static double norm_up(const batch_norm *b, const lth_array *g, int64_t c, int64_t i) {
    double slope = g && b->act ? ref_activate_slope(b->act, norm_output(b, c, i)) : 1;
    return g && slope != 0 ? ref_get(g, channel_at(g, c, i, b->rest)) * slope : 0;
}

/* dx = w / std (g - mean(g) - xhat mean(g xhat)); with running statistics, which are constants: w / std g */
static lt_status batch_norm_backward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    batch_norm b = batch_norm_of(call);
    const lth_array *g = call->grad_out[0];
    int64_t count = b.n * b.rest;
    for (int64_t c = 0; c < b.channels; c++) {
        double sum = 0, dot = 0;
        for (int64_t i = 0; i < count; i++) {
            double up = norm_up(&b, g, c, i);
            sum += up;
            dot += up * normalized(&b, c, i);
        }
        if (call->need[1]) {
            ref_give(call->grad_in[1], c * call->grad_in[1]->strides[0], dot, call->accumulate[1]);
        }
        if (call->need[2]) {
            ref_give(call->grad_in[2], c * call->grad_in[2]->strides[0], sum, call->accumulate[2]);
        }
        for (int64_t i = 0; call->need[5] && i < count; i++) {
            ref_give(call->grad_in[5], channel_at(call->grad_in[5], c, i, b.rest), norm_up(&b, g, c, i), call->accumulate[5]);
        }
        for (int64_t i = 0; call->need[0] && i < count; i++) {
            double mean = b.batch_stats ? (sum + normalized(&b, c, i) * dot) / (double)count : 0;
            double value = channel_value(b.weight, c, 1) * b.saved[2 * c + 1] * (norm_up(&b, g, c, i) - mean);
            ref_give(call->grad_in[0], channel_at(call->grad_in[0], c, i, b.rest), value, call->accumulate[0]);
        }
    }
    return LT_OK;
}

const lth_kernel ref_batch_norm = {batch_norm_plan, batch_norm_forward, batch_norm_backward};

/* ---- layer norm over the last dimension; workspace holds mean and 1/std of each row ---- */
static int64_t row_count(const lth_array *x) {
    int64_t rows = 1;
    for (int d = 0; d < x->ndim - 1; d++) {
        rows *= x->shape[d];
    }
    return rows;
}

static bool layer_norm_plan(lth_device *device, lth_call *call) {
    (void)device;
    return ref_plan_with(call, 2 * row_count(call->in[0]) * (int64_t)sizeof(double));
}

static double layer_hat(const lth_array *x, const double *saved, int64_t row, int64_t i) {
    return (ref_get(x, ref_row_at(x, row) + i * x->strides[x->ndim - 1]) - saved[2 * row]) * saved[2 * row + 1];
}

static lt_status layer_norm_forward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    const lth_array *x = call->in[0], *weight = optional(call, 1), *bias = optional(call, 2), *y = call->out[0];
    int64_t d = x->shape[x->ndim - 1], rows = row_count(x), sx = x->strides[x->ndim - 1];
    double *saved = call->workspace;
    for (int64_t r = 0; r < rows; r++) {
        int64_t rx = ref_row_at(x, r), ry = ref_row_at(y, r);
        double sum = 0, squares = 0;
        for (int64_t i = 0; i < d; i++) {
            sum += ref_get(x, rx + i * sx);
        }
        saved[2 * r] = sum / (double)d;
        for (int64_t i = 0; i < d; i++) {
            double off = ref_get(x, rx + i * sx) - saved[2 * r];
            squares += off * off;
        }
        saved[2 * r + 1] = 1 / sqrt(squares / (double)d + call->attrs->f[0]);
        for (int64_t i = 0; i < d; i++) {
            double value = layer_hat(x, saved, r, i) * channel_value(weight, i, 1) + channel_value(bias, i, 0);
            ref_set(y, ry + i * y->strides[y->ndim - 1], value);
        }
    }
    return LT_OK;
}

static double row_up(const lth_array *g, int64_t row, int64_t i) {
    return g ? ref_get(g, ref_row_at(g, row) + i * g->strides[g->ndim - 1]) : 0;
}

static lt_status layer_norm_backward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    const lth_array *x = call->in[0], *weight = optional(call, 1), *g = call->grad_out[0];
    int64_t d = x->shape[x->ndim - 1], rows = row_count(x);
    const double *saved = call->workspace;
    for (int64_t r = 0; call->need[0] && r < rows; r++) {
        double sum = 0, dot = 0;
        for (int64_t i = 0; i < d; i++) {
            double up = row_up(g, r, i) * channel_value(weight, i, 1);
            sum += up;
            dot += up * layer_hat(x, saved, r, i);
        }
        const lth_array *dx = call->grad_in[0];
        for (int64_t i = 0; i < d; i++) {
            double up = row_up(g, r, i) * channel_value(weight, i, 1);
            double value = saved[2 * r + 1] * (up - (sum + layer_hat(x, saved, r, i) * dot) / (double)d);
            ref_give(dx, ref_row_at(dx, r) + i * dx->strides[dx->ndim - 1], value, call->accumulate[0]);
        }
    }
    for (int k = 1; k < 3; k++) {
        for (int64_t i = 0; call->need[k] && i < d; i++) {
            double sum = 0;
            for (int64_t r = 0; r < rows; r++) {
                sum += row_up(g, r, i) * (k == 1 ? layer_hat(x, saved, r, i) : 1);
            }
            ref_give(call->grad_in[k], i * call->grad_in[k]->strides[0], sum, call->accumulate[k]);
        }
    }
    return LT_OK;
}

const lth_kernel ref_layer_norm = {layer_norm_plan, layer_norm_forward, layer_norm_backward};
