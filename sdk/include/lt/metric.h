/* lt/metric.h - the component kind lt.metric/1: a measure over a whole epoch, exact however the samples were batched (table lt.metric/1).
 * A model makes metrics in `configure`, updates them with batches and logs them; the host keeps one state per phase (training, validation,
 * test), computes at the epoch's end, starts afresh, and saves the state of a broken-off epoch in checkpoints.
 *
 *     m->f1 = lt_metric_make(ctx, "F1Score", "num_classes: 10");                     configure
 *     lt_metric_update(ctx, m->f1, logits, target);                                  validation_step
 *     lt_metric_log(ctx, "val_f1", m->f1, LT_LOG_PROG_BAR);
 *
 * A metric component declares its states in `setup`; they are the host's, which clears, merges and saves them. A component keeps nothing
 * of an epoch anywhere else. */
#ifndef LT_METRIC_H
#define LT_METRIC_H
#include <lt/component.h>
#include <lt/plugin.h>
#include <lt/tensor.h>

LT_BEGIN
typedef struct lt_metric lt_metric_handle;
typedef struct lt_metric_list lt_metric_list;
typedef int32_t lt_merge; /* how the states of two batches, or of two processes, become one */
enum { LT_MERGE_SUM = 0, LT_MERGE_MIN = 1, LT_MERGE_MAX = 2 };

typedef struct lt_metric_component {
    lt_component base;
    /* Once per instance, of which there is one for each phase: checks parameters, declares states. [setup] */
    lt_status (*setup)(lt_ctx *ctx, void *self);
    /* Adds one batch; tensors as the metric documents, borrowed; gradients are off. [trainer] */
    lt_status (*update)(lt_ctx *ctx, void *self, lt_tensor *preds, lt_tensor *target);
    /* Writes `count` values from the states; may be called several times between updates. NAN for what is undefined. [trainer] */
    lt_status (*compute)(lt_ctx *ctx, void *self, double *out);
    /* Values that compute writes, 1 to 4096, after setup; NULL: 1. [setup] */
    int64_t (*count)(lt_ctx *ctx, void *self);
} lt_metric_component;

typedef struct lt_metric_api {
    uint32_t struct_size;
    uint32_t reserved;
    /* -- for models -- */
    lt_metric_handle *(*make)(lt_ctx *ctx, const char *id, const char *params);
    void (*update)(lt_ctx *ctx, lt_metric_handle *metric, lt_tensor *preds, lt_tensor *target);
    void (*log)(lt_ctx *ctx, const char *name, lt_metric_handle *metric, uint32_t flags);
    int64_t (*count)(lt_ctx *ctx, lt_metric_handle *metric);
    double (*value)(lt_ctx *ctx, lt_metric_handle *metric, int64_t index);
    /* -- for metric components -- */
    double *(*state)(lt_ctx *ctx, const char *name, int64_t n, lt_merge merge);
    lt_metric_list *(*list)(lt_ctx *ctx, const char *name);
    void (*append)(lt_ctx *ctx, lt_metric_list *list, const double *values, int64_t n);
    const double *(*items)(lt_ctx *ctx, const lt_metric_list *list, int64_t *n);
} lt_metric_api;
extern LT_HIDDEN const struct lt_metric_api *lt__metric LT__NEEDS_PLUGIN("lt__metric");

/* ---- for models ---- */
/* In configure: a metric component by id ("F1Score") and parameters as YAML ("num_classes: 10"; NULL or "" for none), both copied; the
 * host's, as long as the model. LT_EABSENT names the nearest id, LT_ECONFIG the parameter; LT_ESTATE elsewhere. [setup] */
LT_INLINE lt_metric_handle *lt_metric_make(lt_ctx *ctx, const char *id, const char *params) { return lt__metric->make(ctx, id, params); }
/* Adds a batch to the state of the present phase; shapes and dtypes as the metric documents, borrowed. LT_ESTATE outside training,
 * validation and test; what the metric refuses. [trainer] */
LT_INLINE void lt_metric_update(lt_ctx *ctx, lt_metric_handle *metric, lt_tensor *preds, lt_tensor *target) {
    lt__metric->update(ctx, metric, preds, target);
}
/* Logs the metric under a name: over the epoch, computed at its end, by default; of the last batch with LT_LOG_STEP; both with both.
 * Several values are logged as name/0, name/1, ... flags: LT_LOG_STEP, LT_LOG_EPOCH, LT_LOG_PROG_BAR, LT_LOG_NO_LOGGER. Errors as lt_log. [trainer] */
LT_INLINE void lt_metric_log(lt_ctx *ctx, const char *name, lt_metric_handle *metric, uint32_t flags) {
    lt__metric->log(ctx, name, metric, flags);
}
/* Values that a metric has: 1, or as many as it documents (classes, cells of a confusion matrix). [trainer] */
LT_INLINE int64_t lt_metric_values(lt_ctx *ctx, lt_metric_handle *metric) { return lt__metric->count(ctx, metric); }
/* One of them, over the epoch of the present phase so far; NAN, no error, before the first update. LT_EINDEX, LT_ESTATE. [trainer] */
LT_INLINE double lt_metric_value(lt_ctx *ctx, lt_metric_handle *metric, int64_t index) { return lt__metric->value(ctx, metric, index); }

/* ---- for metric components ----
 * In update the states are those of the batch alone; in compute they are those of whatever is asked for. */
/* In setup: n numbers with a name, at a place that stays; at the start of a batch 0 (LT_MERGE_SUM) or the least or largest number there is
 * (LT_MERGE_MAX, LT_MERGE_MIN). The host's. Counts are exact to 2^53. LT_EINVAL, LT_ENOMEM; LT_ESTATE elsewhere. [setup] */
LT_INLINE double *lt_metric_state(lt_ctx *ctx, const char *name, int64_t n, lt_merge merge) { return lt__metric->state(ctx, name, n, merge); }
/* In setup: numbers that only grow in number, for measures that need every sample. The host's. LT_ENOMEM; LT_ESTATE elsewhere. [setup] */
LT_INLINE lt_metric_list *lt_metric_list_of(lt_ctx *ctx, const char *name) { return lt__metric->list(ctx, name); }
/* In update: appends n numbers, copied. LT_ENOMEM. [trainer] */
LT_INLINE void lt_metric_append(lt_ctx *ctx, lt_metric_list *list, const double *values, int64_t n) { lt__metric->append(ctx, list, values, n); }
/* In compute: the numbers in the order they came, *n of them; the host's, valid during the hook. [trainer] */
LT_INLINE const double *lt_metric_items(lt_ctx *ctx, const lt_metric_list *list, int64_t *n) { return lt__metric->items(ctx, list, n); }
LT_END
#ifndef __cplusplus
/* LT_METRIC(Id, type, "doc", .setup = ..., .update = ..., .compute = ...) */
#define LT_METRIC(id_, type_, doc_, ...) LT__COMPONENT(lt_metric_component, "lt.metric/1", id_, type_, doc_, __VA_ARGS__)
#endif
#endif
