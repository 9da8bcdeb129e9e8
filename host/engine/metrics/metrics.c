/* engine/metrics/metrics.c - the table lt.metric/1, all of whose functions refuse: metric components come with ABI 0.2.
 * Until then a model measures with operations (lt_accuracy) and logs what they give. */
#include "engine/metrics/metrics.h"

static void refuse(lt_ctx *ctx, const char *op, void *caller) {
    lth_fail_op(&ctx->error, LT_EUNSUPPORTED, op, caller, "metric components come with ABI 0.2; until then use lt_accuracy or your own "
                "operations and lt_log");
}

static lt_metric_handle *make(lt_ctx *ctx, const char *id, const char *params) {
    (void)id, (void)params;
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_metric", NULL);
    refuse(ctx, "lt_metric", LTH_CALLER);
    return NULL;
}

static void update(lt_ctx *ctx, lt_metric_handle *metric, lt_tensor *preds, lt_tensor *target) {
    (void)metric, (void)preds, (void)target;
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_metric_update", );
    refuse(ctx, "lt_metric_update", LTH_CALLER);
}

static void log_metric(lt_ctx *ctx, const char *name, lt_metric_handle *metric, uint32_t flags) {
    (void)name, (void)metric, (void)flags;
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_log_metric", );
    refuse(ctx, "lt_log_metric", LTH_CALLER);
}

const lt_metric_api lth_metric_table = {.struct_size = sizeof(lt_metric_api), .make = make, .update = update, .log = log_metric};
