/* plugins/metrics/stat_scores.h - what Accuracy, Precision, Recall and F1Score share: counts of true and false positives and negatives per
 * class, and the averages over classes, as torchmetrics' stat_scores. A metric adds how a score comes from the counts. */
#ifndef METRICS_STAT_SCORES_H
#define METRICS_STAT_SCORES_H
#include "labels.h"

typedef struct stat_scores {
    int32_t task, average;
    int64_t num_classes, top_k;
    double threshold;
    lt_opt_int ignore_index;
    double *tp, *fp, *fn, *tn; /* per class; one place where binary */
} stat_scores;

#define STAT_SCORES_PARAMS \
    LT_CHOICE(task, "binary|multiclass", "multiclass", "Kind of labels."), \
    LT_PARAM(num_classes, "0", "Number of classes; must be given for multiclass.", LT_RANGE("0..")), \
    LT_CHOICE(average, "micro|macro|weighted|none", "micro", "Over classes: counts summed first; mean of scores; mean by samples; one value per class."), \
    LT_PARAM(top_k, "1", "A sample counts as right if its class is among that many largest scores.", LT_RANGE("1..")), \
    LT_PARAM(threshold, "0.5", "Binary: scores above it are 1.", LT_RANGE("0..1")), \
    LT_PARAM(ignore_index, "null", "A label whose samples do not count.")

typedef double score_fn(double tp, double fp, double tn, double fn, bool binary);
lt_status stat_scores_setup(lt_ctx *ctx, void *self);
lt_status stat_scores_update(lt_ctx *ctx, void *self, lt_tensor *preds, lt_tensor *target);
int64_t stat_scores_count(lt_ctx *ctx, void *self);
/* top_k_weights: a class that was only predicted counts in the mean unless top_k is 1, as in torchmetrics' accuracy, precision and recall. */
lt_status stat_scores_compute(const stat_scores *s, score_fn *score, bool top_k_weights, double *out);
#endif
