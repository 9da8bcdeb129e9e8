/* EarlyStopping: asks for a stop when a metric no longer improves, is not finite, or has passed a threshold. */
#include <lt/callback.h>
#include <math.h>
#include <stdio.h>

enum mode { MIN, MAX };
enum when { AUTO, YES, NO };
typedef struct {
    const char *monitor;
    enum mode mode;
    enum when check_on_train_epoch_end;
    int64_t patience, wait_count, stopped_epoch;
    double min_delta, best_score;
    lt_opt_float stopping_threshold, divergence_threshold;
    bool verbose, strict, check_finite;
} early_stop;

LT_PARAMS(early_stop,
    LT_PARAM(monitor, LT_REQUIRED, "Metric to watch."),
    LT_CHOICE(mode, "min|max", "min", "Whether lower or higher is better."),
    LT_PARAM(min_delta, "0", "Smallest change that counts as improvement.", LT_RANGE("0.."), LT_LIVE),
    LT_PARAM(patience, "3", "Checks without improvement before the run stops.", LT_RANGE("0.."), LT_LIVE),
    LT_PARAM(strict, "true", "true: a metric that nobody logged is an error; false: it is waited for."),
    LT_PARAM(check_finite, "true", "Stop when the metric is NaN or infinite."),
    LT_PARAM(stopping_threshold, "null", "Stop as soon as the metric is this good.", LT_LIVE),
    LT_PARAM(divergence_threshold, "null", "Stop as soon as the metric is this bad.", LT_LIVE),
    LT_CHOICE(check_on_train_epoch_end, "auto|true|false", "auto",
        "true: when a training epoch ends; false: after validation; auto: true if that runs once an epoch."),
    LT_PARAM(verbose, "false", "Say when the metric improves."),
    LT_SAVED(wait_count, "0"),
    LT_SAVED(stopped_epoch, "0"),
    LT_SAVED(best_score, "nan"));

static bool better(const early_stop *s, double a, double b) { return s->mode == MIN ? a < b : a > b; }

static lt_status stop(lt_ctx *ctx, early_stop *s, const char *why, double value) {
    s->stopped_epoch = lt_now(ctx)->epoch;
    lt_request_stop(ctx, "%s = %g %s", s->monitor, value, why);
    return LT_OK;
}

/* "; logged so far: val_loss, val_acc", or that there is nothing. */
static const char *logged_so_far(lt_ctx *ctx, char *out, size_t size) {
    int32_t count = lt_metric_count(ctx, LT_METRICS_CALLBACK);
    size_t used = (size_t)snprintf(out, size, count ? "; logged so far:" : "; nothing has been logged");

    for (int32_t i = 0; i < count && used + 60 < size; i++) {
        double value;
        const char *name = lt_metric_at(ctx, LT_METRICS_CALLBACK, i, &value);

        used += name ? (size_t)snprintf(out + used, size - used, "%s %.50s", i ? "," : "", name) : 0;
    }
    return out;
}

static lt_status judge(lt_ctx *ctx, early_stop *s) {
    double value = lt_metric(ctx, s->monitor), margin = s->mode == MIN ? -s->min_delta : s->min_delta;
    char names[400];

    if (!lt_has_metric(ctx, s->monitor)) {
        if (!s->strict) {
            return LT_OK;
        }
        return lt_fail(ctx, LT_ECONFIG, "monitor \"%s\" has not been logged%s (strict: false waits for it)", s->monitor,
                       logged_so_far(ctx, names, sizeof names));
    }
    if (s->check_finite && !isfinite(value)) {
        return stop(ctx, s, "is not finite", value);
    }
    if (s->stopping_threshold.given && better(s, value, s->stopping_threshold.value)) {
        return stop(ctx, s, "has reached stopping_threshold", value);
    }
    if (s->divergence_threshold.given && better(s, s->divergence_threshold.value, value)) {
        return stop(ctx, s, "has passed divergence_threshold", value);
    }
    if (isnan(s->best_score) || better(s, value, s->best_score + margin)) {
        if (s->verbose && !isnan(s->best_score)) {
            lt_print(ctx, "%s improved from %g to %g", s->monitor, s->best_score, value);
        }
        s->best_score = value;
        s->wait_count = 0;
    } else if (++s->wait_count >= s->patience) {
        s->stopped_epoch = lt_now(ctx)->epoch;
        lt_request_stop(ctx, "%s did not improve on %g in the last %lld checks", s->monitor, s->best_score, (long long)s->wait_count);
    }
    return LT_OK;
}

static bool at_train_epoch_end(lt_ctx *ctx, const early_stop *s) {
    const lt_moment *now = lt_now(ctx);

    if (s->check_on_train_epoch_end != AUTO) {
        return s->check_on_train_epoch_end == YES;
    }
    return now->num_val_batches == 0 || (now->check_val_every_n_epoch == 1 && now->val_check_interval == 1.0);
}

static lt_status on_validation_end(lt_ctx *ctx, void *self) {
    const lt_moment *now = lt_now(ctx);

    return now->stage == LT_STAGE_FIT && now->phase == LT_PHASE_VALIDATE && !now->fast_dev_run && !at_train_epoch_end(ctx, self) ? judge(ctx, self) : LT_OK;
}

static lt_status on_train_epoch_end(lt_ctx *ctx, void *self) { return !lt_now(ctx)->fast_dev_run && at_train_epoch_end(ctx, self) ? judge(ctx, self) : LT_OK; }

LT_CALLBACK(EarlyStopping, early_stop, "Stops the run when a metric stops improving.",
    .base.flags = LT_CALLBACK_LAST,
    .on_validation_end = on_validation_end,
    .on_train_epoch_end = on_train_epoch_end);
LT_PLUGIN("org.lthost.early-stopping", "0.1.0", callback(EarlyStopping));
