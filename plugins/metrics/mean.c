/* plugins/metrics/mean.c - MeanMetric: the mean of values, weighted by target where that is given, as torchmetrics.MeanMetric. */
#include <lt/metric.h>
#include <math.h>

enum nan_strategy { IGNORE_NAN, FAIL_AT_NAN };
typedef struct mean_metric { int32_t nan_strategy; double *sum, *weights; } mean_metric;
LT_PARAMS(mean_metric, LT_CHOICE(nan_strategy, "ignore|error", "ignore", "What a value that is not a number does."));

static lt_status setup(lt_ctx *ctx, void *self) {
    mean_metric *m = self;
    m->sum = lt_metric_state(ctx, "mean_value", 1, LT_MERGE_SUM);
    m->weights = lt_metric_state(ctx, "weight", 1, LT_MERGE_SUM);
    return lt_ctx_status(ctx);
}

/* preds: values of any shape; target: weights of that shape, one weight, or NULL for 1. */
static lt_status update(lt_ctx *ctx, void *self, lt_tensor *preds, lt_tensor *target) {
    mean_metric *m = self;
    int64_t n = lt_numel(ctx, preds), n_weights = target ? lt_numel(ctx, target) : 0;
    if (target && n_weights != n && n_weights != 1) {
        return lt_fail(ctx, LT_ESHAPE, "%lld weights for %lld values; give one each, or one for all", (long long)n_weights, (long long)n);
    }
    const double *values = lt_doubles(ctx, preds), *weights = target ? lt_doubles(ctx, target) : NULL;
    for (int64_t i = 0; values && i < n; i++) {
        double weight = weights ? weights[n_weights == 1 ? 0 : i] : 1;
        if (isnan(values[i]) || isnan(weight)) {
            if (m->nan_strategy == FAIL_AT_NAN) {
                return lt_fail(ctx, LT_EINVAL, "value %lld is not a number; nan_strategy: ignore leaves such values out", (long long)i);
            }
            continue;
        }
        *m->sum += weight * values[i];
        *m->weights += weight;
    }
    return lt_ctx_status(ctx);
}

static lt_status compute(lt_ctx *ctx, void *self, double *out) {
    const mean_metric *m = self;
    (void)ctx;
    out[0] = *m->sum / *m->weights;
    return LT_OK;
}

LT_METRIC(MeanMetric, mean_metric, "Mean of values, weighted by target where given, as torchmetrics.MeanMetric.", .setup = setup, .update = update,
    .compute = compute);
