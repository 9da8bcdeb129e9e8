/* WithinTolerance: the share of predictions that lie close enough to their targets, and the largest distance of all. */
#include <lt/metric.h>
#include <math.h>

typedef struct {
    double tolerance;
    double *hits, *count, *largest; /* the host's */
} within;

LT_PARAMS(within, LT_PARAM(tolerance, "0.1", "Distance that still counts.", LT_RANGE("0..")));

static lt_status setup(lt_ctx *ctx, void *self) {
    within *m = self;
    m->hits = lt_metric_state(ctx, "hits", 1, LT_MERGE_SUM);
    m->count = lt_metric_state(ctx, "count", 1, LT_MERGE_SUM);
    m->largest = lt_metric_state(ctx, "largest", 1, LT_MERGE_MAX);
    return lt_ctx_status(ctx);
}

/* preds and target: the same number of elements. The states are those of this batch alone; the host merges them. */
static lt_status update(lt_ctx *ctx, void *self, lt_tensor *preds, lt_tensor *target) {
    within *m = self;
    int64_t n = lt_numel(ctx, preds);
    if (!target || lt_numel(ctx, target) != n) {
        return lt_fail(ctx, LT_ESHAPE, "preds has %lld elements; target must have as many", (long long)n);
    }
    const double *p = lt_doubles(ctx, preds), *t = lt_doubles(ctx, target);
    for (int64_t i = 0; p && t && i < n; i++) {
        double distance = fabs(p[i] - t[i]);
        *m->hits += distance <= m->tolerance;
        *m->count += 1;
        *m->largest = fmax(*m->largest, distance);
    }
    return lt_ctx_status(ctx);
}

static lt_status compute(lt_ctx *ctx, void *self, double *out) {
    const within *m = self;
    (void)ctx;
    out[0] = *m->hits / *m->count;
    out[1] = *m->largest;
    return LT_OK;
}

static int64_t count(lt_ctx *ctx, void *self) {
    (void)ctx, (void)self;
    return 2; /* logged as name/0 and name/1 */
}

LT_METRIC(WithinTolerance, within, "Share of predictions close to their targets, and the largest distance.",
    .setup = setup, .update = update, .compute = compute, .count = count);
LT_PLUGIN("org.example.within", "1.0.0", metric(WithinTolerance));
