/* plugins/metrics/stat_scores.c - see stat_scores.h; and the four metrics. */
#include "stat_scores.h"

lt_status stat_scores_setup(lt_ctx *ctx, void *self) {
    stat_scores *s = self;
    if (s->task == MULTICLASS && s->num_classes < 2) {
        return lt_fail(ctx, LT_ECONFIG, "num_classes must be 2 or more for task multiclass; got %lld", (long long)s->num_classes);
    }
    if (s->task == MULTICLASS && s->top_k > s->num_classes) {
        return lt_fail(ctx, LT_ECONFIG, "top_k must not be above num_classes (%lld); got %lld", (long long)s->num_classes, (long long)s->top_k);
    }
    s->num_classes = s->task == BINARY ? 2 : s->num_classes;
    int64_t n = s->task == BINARY ? 1 : s->num_classes;
    s->tp = lt_metric_state(ctx, "tp", n, LT_MERGE_SUM);
    s->fp = lt_metric_state(ctx, "fp", n, LT_MERGE_SUM);
    s->fn = lt_metric_state(ctx, "fn", n, LT_MERGE_SUM);
    s->tn = lt_metric_state(ctx, "tn", n, LT_MERGE_SUM);
    return lt_ctx_status(ctx);
}

/* Whether fewer than k classes have a larger score; of equals the earlier ones come first. */
static bool among_largest(const samples *b, int64_t i, int64_t label, int64_t classes, int64_t k) {
    double own = score_of(b, i, label);
    int64_t before = 0;
    for (int64_t c = 0; c < classes; c++) {
        double other = score_of(b, i, c);
        before += other > own || (other == own && c < label);
    }
    return before < k;
}

static void count_one(stat_scores *s, int64_t pred, int64_t label) {
    if (s->task == BINARY) {
        double *cell = pred ? (label ? s->tp : s->fp) : (label ? s->fn : s->tn);
        cell[0] += 1;
    } else if (pred == label) {
        s->tp[label] += 1;
    } else {
        s->fp[pred] += 1;
        s->fn[label] += 1;
    }
}

lt_status stat_scores_update(lt_ctx *ctx, void *self, lt_tensor *preds, lt_tensor *target) {
    stat_scores *s = self;
    samples batch;
    if (!read_samples(ctx, preds, target, s->task, s->num_classes, NULL, &batch)) {
        return lt_ctx_status(ctx);
    }
    if (s->top_k > 1 && batch.classes < 2) {
        return lt_fail(ctx, LT_EINVAL, "top_k %lld needs scores of all classes as preds, not labels", (long long)s->top_k);
    }
    for (int64_t i = 0; i < batch.n; i++) {
        int64_t label, pred;
        bool ignored;
        if (!target_of(ctx, &batch, i, s->num_classes, &s->ignore_index, &label, &ignored)) {
            return lt_ctx_status(ctx);
        }
        if (ignored) {
            continue;
        }
        if (!label_of(ctx, &batch, i, s->num_classes, s->threshold, &pred)) {
            return lt_ctx_status(ctx);
        }
        if (s->top_k > 1 && among_largest(&batch, i, label, s->num_classes, s->top_k)) {
            pred = label;
        }
        count_one(s, pred, label);
    }
    return LT_OK;
}

int64_t stat_scores_count(lt_ctx *ctx, void *self) {
    const stat_scores *s = self;
    (void)ctx;
    return s->task == MULTICLASS && s->average == NO_AVERAGE ? s->num_classes : 1;
}

static double class_weight(const stat_scores *s, int64_t c, bool top_k_weights) {
    if (s->average == WEIGHTED) {
        return s->tp[c] + s->fn[c];
    }
    double seen = s->tp[c] + s->fn[c] + (top_k_weights && s->top_k > 1 ? 0 : s->fp[c]);
    return seen != 0;
}

lt_status stat_scores_compute(const stat_scores *s, score_fn *score, bool top_k_weights, double *out) {
    if (s->task == BINARY) {
        out[0] = score(s->tp[0], s->fp[0], s->tn[0], s->fn[0], true);
        return LT_OK;
    }
    double tp = 0, fp = 0, fn = 0, sum = 0, weights = 0;
    for (int64_t c = 0; c < s->num_classes; c++) {
        double of_class = score(s->tp[c], s->fp[c], 0, s->fn[c], false), weight = class_weight(s, c, top_k_weights);
        tp += s->tp[c], fp += s->fp[c], fn += s->fn[c];
        sum += weight * of_class;
        weights += weight;
        if (s->average == NO_AVERAGE) {
            out[c] = of_class;
        }
    }
    if (s->average == MICRO) {
        out[0] = score(tp, fp, 0, fn, false);
    } else if (s->average != NO_AVERAGE) {
        out[0] = safe_divide(sum, weights);
    }
    return LT_OK;
}

/* ---- the metrics; formulas of torchmetrics, with 0 for 0/0 ---- */

static double accuracy_score(double tp, double fp, double tn, double fn, bool binary) {
    return binary ? safe_divide(tp + tn, tp + tn + fp + fn) : safe_divide(tp, tp + fn);
}
static double precision_score(double tp, double fp, double tn, double fn, bool binary) {
    (void)tn, (void)fn, (void)binary;
    return safe_divide(tp, tp + fp);
}
static double recall_score(double tp, double fp, double tn, double fn, bool binary) {
    (void)tn, (void)fp, (void)binary;
    return safe_divide(tp, tp + fn);
}
static double f1_score(double tp, double fp, double tn, double fn, bool binary) {
    (void)tn, (void)binary;
    return safe_divide(2 * tp, 2 * tp + fn + fp);
}

typedef stat_scores accuracy;
typedef stat_scores precision;
typedef stat_scores recall;
typedef stat_scores f1;
LT_PARAMS(accuracy, STAT_SCORES_PARAMS);
LT_PARAMS(precision, STAT_SCORES_PARAMS);
LT_PARAMS(recall, STAT_SCORES_PARAMS);
LT_PARAMS(f1, STAT_SCORES_PARAMS);

#define COMPUTE(name, top_k_weights) \
    static lt_status name##_compute(lt_ctx *ctx, void *self, double *out) { \
        (void)ctx; \
        return stat_scores_compute(self, name##_score, top_k_weights, out); \
    }
COMPUTE(accuracy, true)
COMPUTE(precision, true)
COMPUTE(recall, true)
COMPUTE(f1, false)

LT_METRIC(Accuracy, accuracy, "Share of samples whose class is predicted, as torchmetrics.Accuracy.", .setup = stat_scores_setup,
    .update = stat_scores_update, .compute = accuracy_compute, .count = stat_scores_count);
LT_METRIC(Precision, precision, "tp / (tp + fp), as torchmetrics.Precision.", .setup = stat_scores_setup, .update = stat_scores_update,
    .compute = precision_compute, .count = stat_scores_count);
LT_METRIC(Recall, recall, "tp / (tp + fn), as torchmetrics.Recall.", .setup = stat_scores_setup, .update = stat_scores_update,
    .compute = recall_compute, .count = stat_scores_count);
LT_METRIC(F1Score, f1, "Harmonic mean of precision and recall, as torchmetrics.F1Score.", .setup = stat_scores_setup, .update = stat_scores_update,
    .compute = f1_compute, .count = stat_scores_count);
