/* plugins/metrics/confusion_matrix.c - ConfusionMatrix, as torchmetrics.ConfusionMatrix: value row * num_classes + column counts samples of
 * class row that were predicted as column. */
#include "labels.h"

enum normalize { COUNTS, BY_TRUE, BY_PRED, BY_ALL };

typedef struct confusion_matrix {
    int32_t task, normalize;
    int64_t num_classes;
    double threshold;
    lt_opt_int ignore_index;
    double *cells;
} confusion_matrix;

LT_PARAMS(confusion_matrix,
    LT_CHOICE(task, "binary|multiclass", "multiclass", "Kind of labels."),
    LT_PARAM(num_classes, "0", "Number of classes, 2 to 64; must be given for multiclass.", LT_RANGE("0..64")),
    LT_CHOICE(normalize, "none|true|pred|all", "none", "Counts, or shares of a row, of a column, of all samples."),
    LT_PARAM(threshold, "0.5", "Binary: scores above it are 1.", LT_RANGE("0..1")),
    LT_PARAM(ignore_index, "null", "A label whose samples do not count."));

static lt_status setup(lt_ctx *ctx, void *self) {
    confusion_matrix *m = self;
    if (m->task == BINARY) {
        m->num_classes = 2;
    }
    if (m->num_classes < 2) {
        return lt_fail(ctx, LT_ECONFIG, "num_classes must be 2 or more for task multiclass; got %lld", (long long)m->num_classes);
    }
    m->cells = lt_metric_state(ctx, "cells", m->num_classes * m->num_classes, LT_MERGE_SUM);
    return lt_ctx_status(ctx);
}

static lt_status update(lt_ctx *ctx, void *self, lt_tensor *preds, lt_tensor *target) {
    confusion_matrix *m = self;
    samples batch;
    if (!read_samples(ctx, preds, target, m->task, m->num_classes, &m->ignore_index, &batch)) {
        return lt_ctx_status(ctx);
    }
    for (int64_t i = 0; i < batch.n; i++) {
        int64_t label, pred;
        bool ignored;
        if (!target_of(ctx, &batch, i, m->num_classes, &m->ignore_index, &label, &ignored)) {
            return lt_ctx_status(ctx);
        }
        if (ignored) {
            continue;
        }
        if (!label_of(ctx, &batch, i, m->num_classes, m->threshold, &pred)) {
            return lt_ctx_status(ctx);
        }
        m->cells[label * m->num_classes + pred] += 1;
    }
    return LT_OK;
}

static double total(const confusion_matrix *m, int64_t row, int64_t column) {
    double sum = 0;
    for (int64_t i = 0; i < m->num_classes; i++) {
        for (int64_t k = 0; k < m->num_classes; k++) {
            bool counts = m->normalize == BY_ALL || (m->normalize == BY_TRUE ? i == row : k == column);
            sum += counts ? m->cells[i * m->num_classes + k] : 0;
        }
    }
    return sum;
}

static lt_status compute(lt_ctx *ctx, void *self, double *out) {
    const confusion_matrix *m = self;
    (void)ctx;
    for (int64_t i = 0; i < m->num_classes * m->num_classes; i++) {
        out[i] = m->normalize == COUNTS ? m->cells[i] : safe_divide(m->cells[i], total(m, i / m->num_classes, i % m->num_classes));
    }
    return LT_OK;
}

static int64_t count(lt_ctx *ctx, void *self) {
    const confusion_matrix *m = self;
    (void)ctx;
    return m->num_classes * m->num_classes;
}

LT_METRIC(ConfusionMatrix, confusion_matrix, "Counts of samples by class and prediction, as torchmetrics.ConfusionMatrix.", .setup = setup,
    .update = update, .compute = compute, .count = count);
