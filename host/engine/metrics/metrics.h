/* engine/metrics/metrics.h - metrics of a model: one instance per phase, whose states the host owns, clears, merges and saves.
 *
 * update: the states are cleared, the component adds the batch, the host merges them into the epoch's. compute: the states are those of the
 * last batch as they stand, or the epoch's, copied in. So a component knows nothing of epochs, and per-step values cost no second update.
 * This part finds no components (the maker does) and logs nothing (trainer/metrics.c does). */
#ifndef LTH_METRICS_H
#define LTH_METRICS_H
#include "base/snapshot.h"
#include "engine/tensor/tensor.h"
#include <lt/metric.h>

typedef struct lth_metrics lth_metrics;
/* Makes one instance of a metric component; it stays the maker's. */
typedef struct lth_metric_maker {
    lt_status (*make)(void *arg, const char *id, const char *params, const lt_metric_component **iface, void **self, lth_where *where, lth_error *err);
    void *arg;
} lth_metric_maker;
enum { LTH_METRIC_TRAIN, LTH_METRIC_VALIDATE, LTH_METRIC_TEST, LTH_METRIC_PHASES };

lth_metrics *lth_metrics_new(const lth_metric_maker *maker); /* NULL: out of memory */
void lth_metrics_free(lth_metrics *m);                        /* before the maker's instances */
/* All below report into ctx->error, which names the component and hook that failed. */
lt_metric_handle *lth_metric_make(lt_ctx *ctx, lth_metrics *m, const char *id, const char *params);
lt_status lth_metric_update(lt_ctx *ctx, lt_metric_handle *metric, int phase, lt_tensor *preds, lt_tensor *target);
int64_t lth_metric_count(const lt_metric_handle *metric);
/* Of the last batch, or of the epoch so far: NAN for all before the first update. *out is valid until the next call here. */
lt_status lth_metric_compute(lt_ctx *ctx, lt_metric_handle *metric, int phase, bool of_batch, const double **out);
void lth_metrics_reset(lth_metrics *m, int phase); /* NULL is fine */
/* The epoch's states, under prefix/<number>-<id>/<phase>/<state>. */
lt_status lth_metrics_save(const lth_metrics *m, lth_snapshot *out, const char *prefix, lth_error *err);
/* What is not there, or has another size, stays as it is. */
lt_status lth_metrics_load(lth_metrics *m, const lth_snapshot *in, const char *prefix, lth_error *err);

/* The slots of lt.metric/1 that components call. */
double *lth_api_metric_state(lt_ctx *ctx, const char *name, int64_t n, lt_merge merge);
lt_metric_list *lth_api_metric_list(lt_ctx *ctx, const char *name);
void lth_api_metric_append(lt_ctx *ctx, lt_metric_list *list, const double *values, int64_t n);
const double *lth_api_metric_items(lt_ctx *ctx, const lt_metric_list *list, int64_t *n);
#endif
