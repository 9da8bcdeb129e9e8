/* plugins/metrics/metrics.c - the bundle of metrics that ships with lthost: names, options and values of torchmetrics. */
#include <lt/metric.h>

LT_PLUGIN("org.lthost.metrics", "0.1.0",
    metric(Accuracy), metric(Precision), metric(Recall), metric(F1Score), metric(ConfusionMatrix), metric(AUROC), metric(AveragePrecision),
    metric(MeanSquaredError), metric(MeanAbsoluteError), metric(R2Score), metric(Perplexity), metric(MeanMetric));
