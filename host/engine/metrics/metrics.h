/* engine/metrics/metrics.h - metric components as a model holds them: one state per phase, computed at the epoch's end. */
#ifndef LTH_METRICS_H
#define LTH_METRICS_H
#include "engine/tensor/tensor.h"
#include <lt/metric.h>
extern const lt_metric_api lth_metric_table; /* lt.metric/1 */
#endif
