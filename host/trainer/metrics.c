/* trainer/metrics.c - lt.metric/1: finds metric components for the model, says which phase it is, and brings their values to the log.
 * The states and the arithmetic are engine/metrics; nothing is computed here. */
#include "base/mem.h"
#include "trainer/session.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- instances ---- */

/* lth_metric_maker: the instance is the session's. */
static lt_status make_instance(void *arg, const char *id, const char *params, const lt_metric_component **iface, void **self, lth_where *where,
                               lth_error *err) {
    lth_session *s = arg;
    lth_owned_instance *owned = lth_arena_alloc(&s->arena, sizeof *owned);

    if (!owned) {
        return lth_fail(err, LT_ENOMEM, "out of memory: metric %s", id);
    }
    if (lth_session_instance(s, LTH_KIND_metric, "configure", id, params, &owned->instance)) {
        return s->ctx.error.code;
    }
    owned->next = s->metric_instances;
    s->metric_instances = owned;
    *iface = owned->instance->metric;
    *self = owned->instance->self;
    *where = owned->instance->where;
    return LT_OK;
}

lt_status lth_session_metrics(lth_session *s) {
    s->ctx.metrics = lth_metrics_new(&(lth_metric_maker){make_instance, s});
    return s->ctx.metrics ? LT_OK : lth_fail(&s->ctx.error, LT_ENOMEM, "out of memory");
}

void lth_session_metrics_close(lth_session *s) {
    lth_metrics_free(s->ctx.metrics);
    s->ctx.metrics = NULL;
    for (lth_owned_instance *owned = s->metric_instances; owned; owned = owned->next) {
        lth_instance_free(owned->instance);
    }
    s->metric_instances = NULL;
}

/* ---- phases ---- */

static int phase_of(int32_t phase) {
    switch (phase) {
    case LT_PHASE_TRAIN:
        return LTH_METRIC_TRAIN;
    case LT_PHASE_SANITY:
    case LT_PHASE_VALIDATE:
        return LTH_METRIC_VALIDATE;
    case LT_PHASE_TEST:
        return LTH_METRIC_TEST;
    default:
        return -1;
    }
}

void lth_session_metrics_end(lth_session *s, int32_t phase) {
    if (phase_of(phase) >= 0) {
        lth_metrics_reset(s->ctx.metrics, phase_of(phase));
    }
}

/* The metric's phase now, or -1 with the failure in ctx. */
static int phase_now(lt_ctx *ctx, const lt_metric_handle *metric, const char *op, void *caller) {
    int phase = ctx->run ? phase_of(ctx->run->moment.phase) : -1;

    if (!metric) {
        lth_fail_op(&ctx->error, LT_EINVAL, op, caller, "the metric is NULL, and no earlier call failed: is it made in configure?");
        return -1;
    }
    if (phase < 0) {
        lth_fail_op(&ctx->error, LT_ESTATE, op, caller, "metrics are for training, validation and test; this hook belongs to none of them");
    }
    return phase;
}

/* ---- the table ---- */

static lt_metric_handle *table_make(lt_ctx *ctx, const char *id, const char *params) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_metric_make", NULL);
    if (!ctx->in_configure || !ctx->metrics) {
        lth_fail_op(&ctx->error, LT_ESTATE, "lt_metric_make", LTH_CALLER, "metrics are made only in the model's configure");
        return NULL;
    }
    if (!id || !*id) {
        lth_fail_op(&ctx->error, LT_EINVAL, "lt_metric_make", LTH_CALLER, "a metric needs the id of a component");
        return NULL;
    }
    return lth_metric_make(ctx, ctx->metrics, id, params);
}

static void table_update(lt_ctx *ctx, lt_metric_handle *metric, lt_tensor *preds, lt_tensor *target) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_metric_update", );
    int phase = phase_now(ctx, metric, "lt_metric_update", LTH_CALLER);

    if (phase < 0) {
        return;
    }
    if (!preds) {
        lth_fail_op(&ctx->error, LT_EINVAL, "lt_metric_update", LTH_CALLER, "preds is NULL, and no earlier call failed");
        return;
    }
    lth_metric_update(ctx, metric, phase, preds, target);
}

typedef struct value_of {
    lt_ctx *ctx;
    lt_metric_handle *metric;
    int64_t index;
} value_of;
struct metric_values {
    lt_metric_handle *metric;
    struct metric_values *next;
    value_of values[]; /* one for each of its values */
};

/* lth_log_source: one value of a metric. */
static lt_status read_value(void *arg, int32_t phase, bool of_batch, double *out, lth_error *err) {
    value_of *v = arg;
    const double *values;

    (void)err; /* it is v->ctx's own */
    if (lth_metric_compute(v->ctx, v->metric, phase_of(phase), of_batch, &values)) {
        return v->ctx->error.code;
    }
    *out = values[v->index];
    return LT_OK;
}

/* A source for each value of the metric. Kept for the run: a log call of every step finds the same ones. */
static value_of *sources_of(lt_ctx *ctx, lt_metric_handle *metric) {
    lth_hookview *run = ctx->run;
    struct metric_values *m = run->metric_values;

    while (m && m->metric != metric) {
        m = m->next;
    }
    if (!m) {
        const int64_t n = lth_metric_count(metric);

        m = lth_arena_alloc(&run->names, sizeof *m + (size_t)n * sizeof *m->values);
        if (!m) {
            lth_fail_op(&ctx->error, LT_ENOMEM, "lt_metric_log", NULL, "out of memory");
            return NULL;
        }
        m->metric = metric;
        m->next = run->metric_values;
        for (int64_t i = 0; i < n; i++) {
            m->values[i] = (value_of){ctx, metric, i};
        }
        run->metric_values = m;
    }
    return m->values;
}

static void table_log(lt_ctx *ctx, const char *name, lt_metric_handle *metric, uint32_t flags) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_metric_log", );
    if (phase_now(ctx, metric, "lt_metric_log", LTH_CALLER) < 0) {
        return;
    }
    if (!name || !*name || strlen(name) > 200) {
        lth_fail_op(&ctx->error, LT_EINVAL, "lt_metric_log", LTH_CALLER, "a metric is logged under a name of 1 to 200 bytes");
        return;
    }
    if (flags & ~(uint32_t)(LT_LOG_STEP | LT_LOG_EPOCH | LT_LOG_PROG_BAR | LT_LOG_NO_LOGGER)) {
        lth_fail_op(&ctx->error, LT_EINVAL, "lt_metric_log", LTH_CALLER, "flags 0x%x: a metric reduces its values itself; use LT_LOG_STEP, LT_LOG_EPOCH, "
                    "LT_LOG_PROG_BAR, LT_LOG_NO_LOGGER", flags);
        return;
    }
    if (!(flags & (LT_LOG_STEP | LT_LOG_EPOCH))) {
        flags |= LT_LOG_EPOCH;
    }
    value_of *sources = sources_of(ctx, metric);

    for (int64_t i = 0; i < lth_metric_count(metric); i++) {
        char indexed[240];

        snprintf(indexed, sizeof indexed, lth_metric_count(metric) > 1 ? "%s/%lld" : "%s", name, (long long)i);
        if (!sources || lth_logged_add_source(ctx->run->logged, indexed, (lth_log_source){read_value, sources + i}, flags, &ctx->error)) {
            ctx->error.caller = LTH_CALLER;
            return;
        }
    }
}

static int64_t table_count(lt_ctx *ctx, lt_metric_handle *metric) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_metric_values", 0);
    if (!metric) {
        lth_fail_op(&ctx->error, LT_EINVAL, "lt_metric_values", LTH_CALLER, "the metric is NULL, and no earlier call failed");
        return 0;
    }
    return lth_metric_count(metric);
}

static double table_value(lt_ctx *ctx, lt_metric_handle *metric, int64_t index) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_metric_value", NAN);
    int phase = phase_now(ctx, metric, "lt_metric_value", LTH_CALLER);
    const double *values;

    if (phase < 0) {
        return NAN;
    }
    if (index < 0 || index >= lth_metric_count(metric)) {
        lth_fail_op(&ctx->error, LT_EINDEX, "lt_metric_value", LTH_CALLER, "there is no value %lld: the metric has %lld", (long long)index,
                    (long long)lth_metric_count(metric));
        return NAN;
    }
    return lth_metric_compute(ctx, metric, phase, false, &values) ? NAN : values[index];
}

const lt_metric_api lth_metric_table = {
    .struct_size = sizeof(lt_metric_api),
    .make = table_make,
    .update = table_update,
    .log = table_log,
    .count = table_count,
    .value = table_value,
    .state = lth_api_metric_state,
    .list = lth_api_metric_list,
    .append = lth_api_metric_append,
    .items = lth_api_metric_items,
};
