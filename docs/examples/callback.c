/* GoodEnough: remembers the best value of a metric, and asks for a stop when it has stayed at a target for some validations. */
#include <lt/callback.h>
#include <math.h>

enum direction { MIN, MAX };
typedef struct {
    const char *monitor;
    enum direction mode;
    double target, best;
    int64_t times, reached;
} good_enough;

LT_PARAMS(good_enough,
    LT_PARAM(monitor, "val_acc", "Metric to watch."),
    LT_CHOICE(mode, "min|max", "max", "Whether lower or higher is better."),
    LT_PARAM(target, LT_REQUIRED, "Value that is good enough.", LT_LIVE),
    LT_PARAM(times, "1", "Validations in a row that must reach it.", LT_RANGE("1.."), LT_UNIT("validations")),
    LT_SAVED(best, "nan"),
    LT_SAVED(reached, "0"));

static bool at_least(const good_enough *s, double value, double other) { return s->mode == MIN ? value <= other : value >= other; }

static lt_status on_validation_end(lt_ctx *ctx, void *self) {
    good_enough *s = self;
    double value = lt_metric(ctx, s->monitor);

    if (lt_now(ctx)->phase != LT_PHASE_VALIDATE) {
        return LT_OK; /* the sanity check */
    }
    if (!lt_has_metric(ctx, s->monitor)) {
        return lt_fail(ctx, LT_ECONFIG, "monitor \"%s\" has not been logged", s->monitor);
    }
    s->best = isnan(s->best) || at_least(s, value, s->best) ? value : s->best;
    s->reached = at_least(s, value, s->target) ? s->reached + 1 : 0;
    if (s->reached >= s->times) {
        lt_request_stop(ctx, "%s = %g is good enough", s->monitor, value);
    }
    return LT_OK;
}

static lt_status on_fit_end(lt_ctx *ctx, void *self) {
    good_enough *s = self;
    lt_print(ctx, "best %s: %g", s->monitor, s->best);
    return LT_OK;
}

LT_CALLBACK(GoodEnough, good_enough, "Stops the run when a metric is good enough.",
    .base.flags = LT_CALLBACK_LAST,
    .on_validation_end = on_validation_end,
    .on_fit_end = on_fit_end);
LT_PLUGIN("org.example.good-enough", "1.0.0", callback(GoodEnough));
