/* engine/backends/reference/loss.c - mean squared error, cross entropy with class labels, accuracy.
 * Labels are checked: one outside 0..C-1 (and not ignore_index) is LT_EINDEX, named with its row. No class probabilities as targets. */
#include "engine/backends/reference/reference.h"

/* ---- mean squared error ---- */
static lt_status mse_forward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    const lth_array *x = call->in[0], *t = call->in[1], *y = call->out[0];
    bool each = call->attrs->i[0] == LT_NONE;
    double sum = 0, count = 0;
    ref_walk w;
    ref_walk_init(&w, x->ndim, x->shape);
    int ix = ref_walk_add(&w, x), it = ref_walk_add(&w, t), iy = each ? ref_walk_add(&w, y) : 0;
    REF_EACH(&w) {
        double off = ref_get(x, w.at[ix]) - ref_get(t, w.at[it]);
        if (each) {
            ref_set(y, w.at[iy], off * off);
        }
        sum += off * off;
        count++;
    }
    if (!each) {
        ref_set(y, 0, call->attrs->i[0] == LT_MEAN ? sum / count : sum);
    }
    return LT_OK;
}

static lt_status mse_backward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    const lth_array *x = call->in[0], *t = call->in[1], *g = call->grad_out[0];
    bool each = call->attrs->i[0] == LT_NONE;
    double scale = call->attrs->i[0] == LT_MEAN ? 2 / (double)ref_numel(x) : 2;
    for (int k = 0; k < 2; k++) {
        if (!call->need[k]) {
            continue;
        }
        const lth_array *d = call->grad_in[k];
        ref_walk w;
        ref_walk_init(&w, x->ndim, x->shape);
        int ix = ref_walk_add(&w, x), it = ref_walk_add(&w, t), id = ref_walk_add(&w, d), ig = g && each ? ref_walk_add(&w, g) : 0;
        REF_EACH(&w) {
            double up = !g ? 0 : ref_get(g, each ? w.at[ig] : 0);
            double value = scale * (ref_get(x, w.at[ix]) - ref_get(t, w.at[it])) * up;
            ref_give(d, w.at[id], k ? -value : value, call->accumulate[k]);
        }
    }
    return LT_OK;
}

const lth_kernel ref_mse_loss = {ref_plan, mse_forward, mse_backward};

/* ---- cross entropy ---- */
typedef struct cross_entropy {
    const lth_array *x, *t, *weight;
    int64_t n, classes, reduction, ignore_index;
    bool has_ignore;
    double smoothing;
} cross_entropy;

static cross_entropy cross_entropy_of(const lth_call *call) {
    const int64_t *i = call->attrs->i;
    cross_entropy c = {.x = call->in[0], .t = call->in[1], .weight = call->n_in > 2 ? call->in[2] : NULL, .n = call->in[0]->shape[0],
                       .classes = call->in[0]->shape[1], .reduction = i[0], .has_ignore = i[1] != 0, .ignore_index = i[2],
                       .smoothing = call->attrs->f[0]};
    return c;
}

static int64_t label_of(const cross_entropy *c, int64_t row) { return ref_load_int(c->t->data, c->t->dtype, row * c->t->strides[0]); }
static bool ignored(const cross_entropy *c, int64_t label) { return c->has_ignore && label == c->ignore_index; }
static double logit(const cross_entropy *c, int64_t row, int64_t k) { return ref_get(c->x, row * c->x->strides[0] + k * c->x->strides[1]); }
static double class_weight(const cross_entropy *c, int64_t k) { return c->weight ? ref_get(c->weight, k * c->weight->strides[0]) : 1; }

static lt_status check_labels(const cross_entropy *c, lth_error *err) {
    for (int64_t row = 0; row < c->n; row++) {
        int64_t label = label_of(c, row);
        if (!ignored(c, label) && (label < 0 || label >= c->classes)) {
            return lth_fail(err, LT_EINDEX, "cross_entropy: label %lld in row %lld is outside 0..%lld (C = %lld)", (long long)label,
                            (long long)row, (long long)c->classes - 1, (long long)c->classes);
        }
    }
    return LT_OK;
}

/* log(sum(exp(logits))) of a row */
static double log_normalizer(const cross_entropy *c, int64_t row) {
    double top = -INFINITY, sum = 0;
    for (int64_t k = 0; k < c->classes; k++) {
        double value = logit(c, row, k);
        top = value > top || isnan(value) ? value : top;
    }
    for (int64_t k = 0; k < c->classes; k++) {
        sum += exp(logit(c, row, k) - top);
    }
    return top + log(sum);
}

/* (1 - s) w[t] (-logp[t]) + s/C sum_k w[k] (-logp[k]) */
static double row_loss(const cross_entropy *c, int64_t row, int64_t label) {
    double normalizer = log_normalizer(c, row), smooth = 0;
    double loss = class_weight(c, label) * (normalizer - logit(c, row, label));
    for (int64_t k = 0; c->smoothing != 0 && k < c->classes; k++) {
        smooth += class_weight(c, k) * (normalizer - logit(c, row, k));
    }
    return (1 - c->smoothing) * loss + c->smoothing / (double)c->classes * smooth;
}

/* What the mean divides by: the weights of the labels that count. */
static double total_weight(const cross_entropy *c) {
    double total = 0;
    for (int64_t row = 0; row < c->n; row++) {
        int64_t label = label_of(c, row);
        total += ignored(c, label) ? 0 : class_weight(c, label);
    }
    return total;
}

static lt_status cross_entropy_forward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device;
    cross_entropy c = cross_entropy_of(call);
    const lth_array *y = call->out[0];
    double sum = 0;
    lt_status status = check_labels(&c, err);
    if (status < 0) {
        return status;
    }
    for (int64_t row = 0; row < c.n; row++) {
        int64_t label = label_of(&c, row);
        double loss = ignored(&c, label) ? 0 : row_loss(&c, row, label);
        if (c.reduction == LT_NONE) {
            ref_set(y, row * y->strides[0], loss);
        }
        sum += loss;
    }
    if (c.reduction != LT_NONE) {
        ref_set(y, 0, c.reduction == LT_MEAN ? sum / total_weight(&c) : sum);
    }
    return LT_OK;
}

static void cross_entropy_row_gradient(const cross_entropy *c, const lth_call *call, int64_t row, double up, double weights) {
    const lth_array *d = call->grad_in[0];
    int64_t label = label_of(c, row);
    bool skip = ignored(c, label);
    double normalizer = skip ? 0 : log_normalizer(c, row), share = c->smoothing / (double)c->classes;
    for (int64_t k = 0; k < c->classes; k++) {
        double value = 0;
        if (!skip) {
            double p = exp(logit(c, row, k) - normalizer);
            value = (1 - c->smoothing) * class_weight(c, label) * (p - (k == label)) + share * (p * weights - class_weight(c, k));
        }
        ref_give(d, row * d->strides[0] + k * d->strides[1], skip ? 0 : value * up, call->accumulate[0]);
    }
}

static lt_status cross_entropy_backward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device;
    cross_entropy c = cross_entropy_of(call);
    const lth_array *g = call->grad_out[0];
    if (call->n_in > 2 && call->need[2]) {
        return lth_fail(err, LT_EUNSUPPORTED, "cross_entropy: no gradient for the class weights");
    }
    if (!call->need[0]) {
        return LT_OK;
    }
    double weights = 0, divisor = c.reduction == LT_MEAN ? total_weight(&c) : 1;
    for (int64_t k = 0; k < c.classes; k++) {
        weights += class_weight(&c, k);
    }
    for (int64_t row = 0; row < c.n; row++) {
        double up = !g ? 0 : ref_get(g, c.reduction == LT_NONE ? row * g->strides[0] : 0) / divisor;
        cross_entropy_row_gradient(&c, call, row, up, weights);
    }
    return LT_OK;
}

const lth_kernel ref_cross_entropy = {ref_plan, cross_entropy_forward, cross_entropy_backward};

/* ---- accuracy: the first maximum of a row; a NaN is the maximum, as in argmax ---- */
static lt_status accuracy_forward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    const lth_array *x = call->in[0], *t = call->in[1];
    int64_t hits = 0, n = x->shape[0];
    for (int64_t row = 0; row < n; row++) {
        int64_t best = 0;
        double top = 0;
        for (int64_t k = 0; k < x->shape[1]; k++) {
            double value = ref_get(x, row * x->strides[0] + k * x->strides[1]);
            if (k == 0 || value > top || (isnan(value) && !isnan(top))) {
                best = k, top = value;
            }
        }
        hits += best == ref_load_int(t->data, t->dtype, row * t->strides[0]);
    }
    ref_set(call->out[0], 0, (double)hits / (double)n);
    return LT_OK;
}

const lth_kernel ref_accuracy = {ref_plan, accuracy_forward, NULL};
