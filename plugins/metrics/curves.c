/* plugins/metrics/curves.c - AUROC and AveragePrecision, exact: every score of the epoch is kept and sorted, as torchmetrics with thresholds=None.
 * Memory grows with the samples of an epoch: one number per class and sample. */
#include "labels.h"

typedef struct curve {
    int32_t task, average;
    int64_t num_classes;
    lt_opt_int ignore_index;
    lt_metric_list *scores, *targets; /* scores: num_classes (binary: 1) per sample */
} curve;

#define CURVE_PARAMS \
    LT_CHOICE(task, "binary|multiclass", "multiclass", "Kind of labels."), \
    LT_PARAM(num_classes, "0", "Number of classes; must be given for multiclass.", LT_RANGE("0..4096")), \
    LT_CHOICE(average, "micro|macro|weighted|none", "macro", "Over classes, one against the rest: mean, mean by samples, one value per class. Not micro."), \
    LT_PARAM(ignore_index, "null", "A label whose samples do not count.")

static lt_status setup(lt_ctx *ctx, void *self) {
    curve *c = self;
    if (c->task == MULTICLASS && (c->num_classes < 2 || c->average == MICRO)) {
        return lt_fail(ctx, LT_ECONFIG, "task multiclass needs num_classes of 2 or more (got %lld) and average macro, weighted or none",
                       (long long)c->num_classes);
    }
    c->num_classes = c->task == BINARY ? 2 : c->num_classes;
    c->scores = lt_metric_list_of(ctx, "scores");
    c->targets = lt_metric_list_of(ctx, "targets");
    return lt_ctx_status(ctx);
}

static lt_status update(lt_ctx *ctx, void *self, lt_tensor *preds, lt_tensor *target) {
    curve *c = self;
    samples batch;
    if (!read_samples(ctx, preds, target, c->task, c->num_classes, &c->ignore_index, &batch)) {
        return lt_ctx_status(ctx);
    }
    if (!batch.classes) {
        return lt_fail(ctx, LT_EDTYPE, "preds must be scores (a float dtype), not labels");
    }
    double row[4096];
    for (int64_t i = 0; i < batch.n; i++) {
        int64_t label;
        bool ignored;
        if (!target_of(ctx, &batch, i, c->num_classes, &c->ignore_index, &label, &ignored)) {
            return lt_ctx_status(ctx);
        }
        if (ignored) {
            continue;
        }
        if (c->task == BINARY) {
            row[0] = probability(&batch, batch.preds[i]);
        } else {
            probabilities(&batch, i, c->num_classes, row);
        }
        for (int64_t k = 0; k < (c->task == BINARY ? 1 : c->num_classes); k++) {
            if (isnan(row[k])) { /* it has no rank */
                return lt_fail(ctx, LT_ENONFINITE, "the score of sample %lld for class %lld is not a number: the model's outputs have diverged",
                               (long long)i, (long long)(c->task == BINARY ? 1 : k));
            }
        }
        double kept = (double)label;
        lt_metric_append(ctx, c->scores, row, c->task == BINARY ? 1 : c->num_classes);
        lt_metric_append(ctx, c->targets, &kept, 1);
    }
    return lt_ctx_status(ctx);
}

typedef struct ranked { double score; bool positive; } ranked;

static int by_score_down(const void *a, const void *b) {
    double x = ((const ranked *)a)->score, y = ((const ranked *)b)->score;
    return (x < y) - (x > y);
}

/* Area under (false positive rate, true positive rate) by trapezoids, one step per distinct score; 0 where one kind of sample is missing. */
static double area(const ranked *r, int64_t n) {
    double positives = 0, negatives = 0, sum = 0, tp = 0, fp = 0;
    for (int64_t i = 0; i < n; i++) {
        positives += r[i].positive;
        negatives += !r[i].positive;
    }
    for (int64_t i = 0; i < n && positives && negatives;) {
        double tp_before = tp, fp_before = fp, score = r[i].score;
        for (; i < n && r[i].score == score; i++) {
            tp += r[i].positive;
            fp += !r[i].positive;
        }
        sum += (fp - fp_before) * (tp + tp_before) / 2;
    }
    return safe_divide(sum, positives * negatives);
}

/* Sum of precision times the gain in recall, one step per distinct score; NAN without a positive sample. */
static double average_precision(const ranked *r, int64_t n) {
    double positives = 0, sum = 0, tp = 0;
    for (int64_t i = 0; i < n; i++) {
        positives += r[i].positive;
    }
    for (int64_t i = 0; i < n && positives;) {
        double tp_before = tp, score = r[i].score;
        for (; i < n && r[i].score == score; i++) {
            tp += r[i].positive;
        }
        sum += tp / (double)i * (tp - tp_before);
    }
    return positives ? sum / positives : NAN;
}

typedef double curve_fn(const ranked *r, int64_t n);

static lt_status reduce(const curve *c, const double *per_class, const double *counts, double *out) {
    double sum = 0, weights = 0;
    for (int64_t k = 0; k < c->num_classes; k++) {
        double weight = isnan(per_class[k]) ? 0 : c->average == WEIGHTED ? counts[k] : 1; /* a class without samples is in no mean */
        sum += weight ? weight * per_class[k] : 0;
        weights += weight;
        if (c->average == NO_AVERAGE) {
            out[k] = per_class[k];
        }
    }
    if (c->average != NO_AVERAGE) {
        out[0] = sum / weights;
    }
    return LT_OK;
}

/* torchmetrics calls the recall of data of class 0 alone 1 rather than undefined, so that its precision, 0, counts. */
static double defined(double value, const double *counts, int64_t n) { return isnan(value) && counts[0] == (double)n ? 0 : value; }

static lt_status compute_with(lt_ctx *ctx, const curve *c, curve_fn *value, double *out) {
    int64_t n_scores, n;
    const double *scores = lt_metric_items(ctx, c->scores, &n_scores), *targets = lt_metric_items(ctx, c->targets, &n);
    if (!scores || !targets) {
        return lt_ctx_status(ctx);
    }
    ranked *r = malloc((size_t)(n + 1) * sizeof *r);
    double *per_class = calloc(2 * (size_t)c->num_classes, sizeof *per_class);
    if (!r || !per_class) {
        free(r);
        free(per_class);
        return lt_fail(ctx, LT_ENOMEM, "out of memory: %lld samples to sort", (long long)n);
    }
    double *counts = per_class + c->num_classes;
    int64_t width = c->task == BINARY ? 1 : c->num_classes;
    for (int64_t k = 0; k < width; k++) {
        int64_t positive = c->task == BINARY ? 1 : k;
        for (int64_t i = 0; i < n; i++) {
            r[i] = (ranked){scores[i * width + k], targets[i] == (double)positive};
            counts[k] += r[i].positive;
        }
        qsort(r, (size_t)n, sizeof *r, by_score_down);
        per_class[k] = value(r, n);
    }
    for (int64_t k = 0; c->task == MULTICLASS && k < width; k++) {
        per_class[k] = defined(per_class[k], counts, n);
    }
    if (c->task == BINARY) {
        out[0] = isnan(per_class[0]) ? 0 : per_class[0]; /* no positives: all are of class 0 */
    } else {
        reduce(c, per_class, counts, out);
    }
    free(r);
    free(per_class);
    return LT_OK;
}

static int64_t count(lt_ctx *ctx, void *self) {
    const curve *c = self;
    (void)ctx;
    return c->task == MULTICLASS && c->average == NO_AVERAGE ? c->num_classes : 1;
}

typedef curve auroc;
typedef curve mean_precision;
LT_PARAMS(auroc, CURVE_PARAMS);
LT_PARAMS(mean_precision, CURVE_PARAMS);

static lt_status auroc_compute(lt_ctx *ctx, void *self, double *out) { return compute_with(ctx, self, area, out); }
static lt_status precision_compute(lt_ctx *ctx, void *self, double *out) { return compute_with(ctx, self, average_precision, out); }

LT_METRIC(AUROC, auroc, "Area under the receiver operating characteristic, as torchmetrics.AUROC.", .setup = setup, .update = update,
    .compute = auroc_compute, .count = count);
LT_METRIC(AveragePrecision, mean_precision, "Area under the precision-recall curve, as torchmetrics.AveragePrecision.", .setup = setup,
    .update = update, .compute = precision_compute, .count = count);
