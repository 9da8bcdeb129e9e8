/* plugins/metrics/labels.h - predictions and targets as the classification metrics read them: one class or one probability per sample.
 * Shapes: preds (N, ...) labels, or (N, C, ...) scores of classes; target (N, ...) labels. Binary: preds (N, ...) labels or scores. Scores outside
 * [0, 1] anywhere in a batch make all of them logits, as in torchmetrics. Refuses labels that are no class, with their place. */
#ifndef METRICS_LABELS_H
#define METRICS_LABELS_H
#include <lt/metric.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum task { BINARY = 0, MULTICLASS = 1 };
enum average { MICRO = 0, MACRO = 1, WEIGHTED = 2, NO_AVERAGE = 3 };

typedef struct samples {
    const double *preds, *target;
    int64_t n, inner, classes; /* samples in all; of one image (1 for (N, C)); scores per sample, 0: preds are labels */
    bool normalize;            /* scores are logits */
} samples;

/* Are the sizes of preds without dimension `skip` (-1: all of them) those of target? */
bool same_sizes(lt_ctx *ctx, const lt_tensor *preds, const lt_tensor *target, int32_t skip);
/* The failure that they do not fit, with both shapes; false. */
bool misfit(lt_ctx *ctx, const lt_tensor *preds, const lt_tensor *target, const char *wanted);
/* The batch as samples. binary: classes is 0 for labels and 1 for scores. dropped: samples of this label do not say whether scores are logits, as in
 * those metrics of torchmetrics that drop them first; NULL: all samples do. */
bool read_samples(lt_ctx *ctx, lt_tensor *preds, lt_tensor *target, enum task task, int64_t num_classes, const lt_opt_int *dropped, samples *out);
/* Target of sample i; false and a failure if it is no class. *ignored: it is ignore_index. */
bool target_of(lt_ctx *ctx, const samples *s, int64_t i, int64_t num_classes, const lt_opt_int *ignore_index, int64_t *label, bool *ignored);
/* Label that is predicted: the first of the largest scores, or 1 where a binary score is above the threshold. */
bool label_of(lt_ctx *ctx, const samples *s, int64_t i, int64_t num_classes, double threshold, int64_t *label);
/* Score of class c of sample i as stored. */
static inline double score_of(const samples *s, int64_t i, int64_t c) {
    return s->preds[((i / s->inner) * (s->classes ? s->classes : 1) + c) * s->inner + i % s->inner];
}
/* Probability of a binary score, or the softmax over all classes (num_classes doubles), rounded to f32 as torchmetrics's. */
double probability(const samples *s, double score);
void probabilities(const samples *s, int64_t i, int64_t num_classes, double *out);
/* numerator / denominator, or 0 where the latter is 0. */
static inline double safe_divide(double numerator, double denominator) { return denominator != 0 ? numerator / denominator : 0; }
#endif
