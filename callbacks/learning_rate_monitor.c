/* LearningRateMonitor: logs the learning rate of every parameter group, as lr-<Optimizer>, lr-<Optimizer>/pg1, ... */
#include <lt/callback.h>
#include <math.h>
#include <stdio.h>

enum interval { STEP, EPOCH };
typedef struct {
    enum interval logging_interval;
    bool log_momentum, log_weight_decay;
    const char *log_key_prefix;
} monitor;

LT_PARAMS(monitor,
    LT_CHOICE(logging_interval, "step|epoch", "step", "Log at every logged step, or once an epoch."),
    LT_PARAM(log_momentum, "false", "Also log momentum (Adam's first beta)."),
    LT_PARAM(log_weight_decay, "false", "Also log weight decay."),
    LT_PARAM(log_key_prefix, "", "Put before each name."));

static void log_one(lt_ctx *ctx, const monitor *m, int32_t optimizer, int32_t group, const char *key, const char *suffix, uint32_t flags) {
    double value = lt_group_value(ctx, optimizer, group, key);
    char name[160], of_group[32] = "";

    if (isnan(value)) {
        return; /* this optimizer has no such value */
    }
    if (lt_group_count(ctx, optimizer) > 1) {
        snprintf(of_group, sizeof of_group, "/pg%d", group + 1);
    }
    snprintf(name, sizeof name, "%slr-%s%s%s", m->log_key_prefix, lt_optimizer_name(ctx, optimizer), of_group, suffix);
    lt_log_value(ctx, name, value, flags);
}

static lt_status log_all(lt_ctx *ctx, const monitor *m, uint32_t flags) {
    for (int32_t o = 0; o < lt_optimizer_count(ctx); o++) {
        for (int32_t g = 0; g < lt_group_count(ctx, o); g++) {
            log_one(ctx, m, o, g, "lr", "", flags);
            if (m->log_momentum) {
                log_one(ctx, m, o, g, "momentum", "-momentum", flags);
            }
            if (m->log_weight_decay) {
                log_one(ctx, m, o, g, "weight_decay", "-weight_decay", flags);
            }
        }
    }
    return lt_ctx_status(ctx);
}

static lt_status on_train_batch_start(lt_ctx *ctx, void *self) {
    monitor *m = self;

    return m->logging_interval == STEP ? log_all(ctx, m, LT_LOG_STEP) : LT_OK;
}

static lt_status on_train_epoch_start(lt_ctx *ctx, void *self) {
    monitor *m = self;

    return m->logging_interval == EPOCH ? log_all(ctx, m, LT_LOG_EPOCH) : LT_OK;
}

LT_CALLBACK(LearningRateMonitor, monitor, "Logs the learning rates.",
    .on_train_batch_start = on_train_batch_start,
    .on_train_epoch_start = on_train_epoch_start);
LT_PLUGIN("org.lthost.learning-rate-monitor", "0.1.0", callback(LearningRateMonitor));
