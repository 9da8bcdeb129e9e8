/* engine/backends/reference/entropy.c - cross entropy with class labels or class probabilities, and the negative log likelihood, over
 * (N, C, ...) or (C). Labels are checked: one outside 0..C-1 (and not ignore_index) is LT_EINDEX, named with its row.
 * A row's loss is sum_k q[k] (-log p[k]): q says how much class k counts there (weight, label or probability, smoothing). */
#include "engine/backends/reference/reference.h"

typedef struct entropy {
    const lth_array *x, *t, *weight;
    int class_dim;
    int64_t n, classes, reduction, ignore_index;
    bool has_ignore, soft, logits;   /* soft: probabilities as targets; logits false: x are log-probabilities already */
    double smoothing;
} entropy;

static entropy entropy_of(const lth_call *call) {
    const int64_t *i = call->attrs->i;
    const lth_array *x = call->in[0];
    entropy e = {.x = x, .t = call->in[1], .weight = call->n_in > 2 ? call->in[2] : NULL, .class_dim = x->ndim > 1, .n = 1,
                 .reduction = i[0], .has_ignore = i[1] != 0, .ignore_index = i[2], .soft = ref_is_float(call->in[1]->dtype),
                 .logits = call->op == LTH_OP_CROSS_ENTROPY, .smoothing = call->attrs->f[0]};
    for (int d = 0; d < x->ndim; d++) {
        e.n *= d == e.class_dim ? 1 : x->shape[d];
    }
    e.classes = x->shape[e.class_dim];
    return e;
}

/* The place of row `row` in an array shaped as x (class 0 of it), or as x without the classes. */
static int64_t row_place(const entropy *e, const lth_array *a, int64_t row) {
    bool has_classes = a->ndim == e->x->ndim;
    int64_t at = 0;
    for (int d = a->ndim - 1; d >= 0; d--) {
        if (!(has_classes && d == e->class_dim)) {
            at += row % a->shape[d] * a->strides[d];
            row /= a->shape[d];
        }
    }
    return at;
}

static int64_t label_of(const entropy *e, int64_t row) { return ref_load_int(e->t->data, e->t->dtype, row_place(e, e->t, row)); }
static bool ignored(const entropy *e, int64_t row) { return !e->soft && e->has_ignore && label_of(e, row) == e->ignore_index; }
static double class_value(const entropy *e, const lth_array *a, int64_t place, int64_t k) { return ref_get(a, place + k * a->strides[e->class_dim]); }
static double class_weight(const entropy *e, int64_t k) { return e->weight ? ref_get(e->weight, k * e->weight->strides[0]) : 1; }

static lt_status check_labels(const lth_call *call, const entropy *e, lth_error *err) {
    for (int64_t row = 0; !e->soft && row < e->n; row++) {
        int64_t label = label_of(e, row);
        if (!ignored(e, row) && (label < 0 || label >= e->classes)) {
            return lth_fail(err, LT_EINDEX, "%s: target has label %lld in row %lld, outside 0..%lld (C = %lld)",
                            call->op == LTH_OP_CROSS_ENTROPY ? "cross_entropy" : "nll_loss", (long long)label, (long long)row,
                            (long long)e->classes - 1, (long long)e->classes);
        }
    }
    return LT_OK;
}

/* log(sum(exp(logits))) of a row; 0 for log-probabilities */
static double normalizer_of(const entropy *e, int64_t place) {
    double top = -INFINITY, sum = 0;
    if (!e->logits) {
        return 0;
    }
    for (int64_t k = 0; k < e->classes; k++) {
        double value = class_value(e, e->x, place, k);
        top = value > top || isnan(value) ? value : top;
    }
    for (int64_t k = 0; k < e->classes; k++) {
        sum += exp(class_value(e, e->x, place, k) - top);
    }
    return top + log(sum);
}

/* q[k]; t: place of the row's target (soft) or its label */
static double share(const entropy *e, int64_t t, int64_t k) {
    double even = e->smoothing / (double)e->classes;
    double target = e->soft ? class_value(e, e->t, t, k) : t == k;
    return class_weight(e, k) * ((1 - e->smoothing) * target + even);
}

static double row_loss(const entropy *e, int64_t row) {
    int64_t place = row_place(e, e->x, row), t = e->soft ? row_place(e, e->t, row) : label_of(e, row);
    double normalizer = normalizer_of(e, place), loss = 0;
    for (int64_t k = 0; k < e->classes; k++) {
        double q = share(e, t, k);
        loss += q != 0 || e->soft ? q * (normalizer - class_value(e, e->x, place, k)) : 0;
    }
    return loss;
}

/* What the mean divides by: the weights of the labels that count; with probabilities the number of rows. */
static double divisor_of(const entropy *e) {
    double total = 0;
    if (e->reduction != LT_MEAN) {
        return 1;
    }
    for (int64_t row = 0; row < e->n; row++) {
        total += e->soft ? 1 : ignored(e, row) ? 0 : class_weight(e, label_of(e, row));
    }
    return total;
}

static lt_status entropy_forward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device;
    entropy e = entropy_of(call);
    const lth_array *y = call->out[0];
    double sum = 0;
    lt_status status = check_labels(call, &e, err);
    if (status < 0) {
        return status;
    }
    for (int64_t row = 0; row < e.n; row++) {
        double loss = ignored(&e, row) ? 0 : row_loss(&e, row);
        if (e.reduction == LT_NONE) {
            ref_set(y, row_place(&e, y, row), loss);
        }
        sum += loss;
    }
    if (e.reduction != LT_NONE) {
        ref_set(y, 0, sum / divisor_of(&e));
    }
    return LT_OK;
}

static void row_gradient(const entropy *e, const lth_call *call, int64_t row, double up) {
    bool skip = ignored(e, row);
    int64_t place = row_place(e, e->x, row), t = e->soft ? row_place(e, e->t, row) : label_of(e, row);
    double normalizer = skip ? 0 : normalizer_of(e, place), total = 0;
    for (int64_t k = 0; !skip && k < e->classes; k++) {
        total += share(e, t, k);
    }
    for (int64_t k = 0; k < e->classes; k++) {
        double x = class_value(e, e->x, place, k), slope = skip ? 0 : (e->logits ? exp(x - normalizer) * total : 0) - share(e, t, k);
        for (int i = 0; i < 2; i++) {
            const lth_array *d = call->grad_in[i];
            if (call->need[i]) {
                double value = i ? (1 - e->smoothing) * class_weight(e, k) * (normalizer - x) : slope;
                ref_give(d, row_place(e, d, row) + k * d->strides[e->class_dim], skip ? 0 : value * up, call->accumulate[i]);
            }
        }
    }
}

static lt_status entropy_backward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device;
    entropy e = entropy_of(call);
    const lth_array *g = call->grad_out[0];
    if (call->n_in > 2 && call->need[2]) {
        return lth_fail(err, LT_EUNSUPPORTED, "no gradient for the class weights; use lt_detach");
    }
    double divisor = divisor_of(&e);
    for (int64_t row = 0; row < e.n; row++) {
        row_gradient(&e, call, row, !g ? 0 : ref_get(g, e.reduction == LT_NONE ? row_place(&e, g, row) : 0) / divisor);
    }
    return LT_OK;
}

const lth_kernel ref_cross_entropy = {ref_plan, entropy_forward, entropy_backward}, ref_nll_loss = {ref_plan, entropy_forward, entropy_backward};
