/* lt/metric.h - the component kind lt.metric/1: epoch-exact metrics whose state is saved (table lt.metric/1).
 * Declared so that nothing moves later: hosts of ABI 0.1 answer every call with LT_EUNSUPPORTED. */
#ifndef LT_METRIC_H
#define LT_METRIC_H
#include <lt/component.h>
#include <lt/plugin.h>
#include <lt/tensor.h>

LT_BEGIN
typedef struct lt_metric lt_metric_handle;
typedef struct lt_metric_component {
    lt_component base;
    lt_status (*reset)(lt_ctx *ctx, void *self);
    lt_status (*update)(lt_ctx *ctx, void *self, lt_tensor *preds, lt_tensor *target);
    double (*compute)(lt_ctx *ctx, void *self);
    lt_status (*save)(lt_ctx *ctx, void *self, lt_state_writer *out);
    lt_status (*load)(lt_ctx *ctx, void *self, const lt_state_reader *in);
} lt_metric_component;
typedef struct lt_metric_api {
    uint32_t struct_size;
    uint32_t reserved;
    /* In configure: an instance of a metric component, by id and YAML parameters. One per phase is kept. */
    lt_metric_handle *(*make)(lt_ctx *ctx, const char *id, const char *params);
    void (*update)(lt_ctx *ctx, lt_metric_handle *metric, lt_tensor *preds, lt_tensor *target);
    void (*log)(lt_ctx *ctx, const char *name, lt_metric_handle *metric, uint32_t flags); /* computed and reset at the epoch's end */
} lt_metric_api;
extern LT_HIDDEN const struct lt_metric_api *lt__metric LT__NEEDS_PLUGIN("lt__metric");

/* In configure: an instance of a metric component, by id and parameters as YAML (""), both copied; the host's, as long as the model. One
 * state per phase is kept. LT_EABSENT names the nearest id. [setup] */
LT_INLINE lt_metric_handle *lt_metric_make(lt_ctx *ctx, const char *id, const char *params) { return lt__metric->make(ctx, id, params); }
/* Adds a batch to the state of the present phase; shapes as the metric says, borrowed. [trainer] */
LT_INLINE void lt_metric_update(lt_ctx *ctx, lt_metric_handle *metric, lt_tensor *preds, lt_tensor *target) {
    lt__metric->update(ctx, metric, preds, target);
}
/* Logs the metric under a name: computed and reset at the epoch's end, and of the batch with LT_LOG_STEP. [trainer] */
LT_INLINE void lt_metric_log(lt_ctx *ctx, const char *name, lt_metric_handle *metric, uint32_t flags) {
    lt__metric->log(ctx, name, metric, flags);
}
LT_END
#ifndef __cplusplus
#define LT_METRIC(id_, type_, doc_, ...) LT__COMPONENT(lt_metric_component, "lt.metric/1", id_, type_, doc_, __VA_ARGS__)
#endif
#endif
