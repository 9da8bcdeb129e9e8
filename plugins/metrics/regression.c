/* plugins/metrics/regression.c - MeanSquaredError, MeanAbsoluteError and R2Score, as torchmetrics'. preds and target have one shape; for R2Score it
 * is (N) or (N, num_outputs). */
#include <lt/metric.h>
#include <math.h>

/* Elements of preds and target, which must have one shape; -1 and a failure otherwise. */
static int64_t read_pair(lt_ctx *ctx, lt_tensor *preds, lt_tensor *target, const double **p, const double **t) {
    if (!target) {
        lt_fail(ctx, LT_EINVAL, "target is NULL, and no earlier call failed");
        return -1;
    }
    bool same = lt_ndim(ctx, preds) == lt_ndim(ctx, target);
    for (int32_t d = 0; same && d < lt_ndim(ctx, preds); d++) {
        same = lt_size(ctx, preds, d) == lt_size(ctx, target, d);
    }
    if (!same) {
        lt_fail(ctx, LT_ESHAPE, "preds (%lld elements, %d dimensions) and target (%lld, %d) must have one shape", (long long)lt_numel(ctx, preds),
                (int)lt_ndim(ctx, preds), (long long)lt_numel(ctx, target), (int)lt_ndim(ctx, target));
        return -1;
    }
    *p = lt_doubles(ctx, preds);
    *t = lt_doubles(ctx, target);
    return *p && *t ? lt_numel(ctx, preds) : -1;
}

/* ---- mean errors ---- */

typedef struct mean_error { double *sum, *count; } mean_error;
typedef struct mean_squared_error { mean_error e; bool squared; } mean_squared_error;
typedef mean_error mean_absolute_error;
LT_PARAMS(mean_squared_error, LT_PARAM(squared, "true", "false: the root of the mean."));
LT_NO_PARAMS(mean_absolute_error);

static lt_status error_setup(lt_ctx *ctx, mean_error *e, const char *name) {
    e->sum = lt_metric_state(ctx, name, 1, LT_MERGE_SUM);
    e->count = lt_metric_state(ctx, "total", 1, LT_MERGE_SUM);
    return lt_ctx_status(ctx);
}

static lt_status error_update(lt_ctx *ctx, mean_error *e, lt_tensor *preds, lt_tensor *target, bool squared) {
    const double *p, *t;
    int64_t n = read_pair(ctx, preds, target, &p, &t);
    for (int64_t i = 0; i < n; i++) {
        double off = fabs(p[i] - t[i]);
        *e->sum += squared ? off * off : off;
    }
    *e->count += n > 0 ? (double)n : 0;
    return lt_ctx_status(ctx);
}

static lt_status mse_setup(lt_ctx *ctx, void *self) { return error_setup(ctx, &((mean_squared_error *)self)->e, "sum_squared_error"); }

static lt_status mse_update(lt_ctx *ctx, void *self, lt_tensor *preds, lt_tensor *target) {
    return error_update(ctx, &((mean_squared_error *)self)->e, preds, target, true);
}

static lt_status mse_compute(lt_ctx *ctx, void *self, double *out) {
    const mean_squared_error *m = self;
    double mean = *m->e.sum / *m->e.count;
    (void)ctx;
    out[0] = m->squared ? mean : sqrt(mean);
    return LT_OK;
}

static lt_status mae_setup(lt_ctx *ctx, void *self) { return error_setup(ctx, self, "sum_abs_error"); }

static lt_status mae_update(lt_ctx *ctx, void *self, lt_tensor *preds, lt_tensor *target) {
    return error_update(ctx, self, preds, target, false);
}

static lt_status mae_compute(lt_ctx *ctx, void *self, double *out) {
    const mean_error *e = self;
    (void)ctx;
    out[0] = *e->sum / *e->count;
    return LT_OK;
}

LT_METRIC(MeanSquaredError, mean_squared_error, "Mean of squared differences, as torchmetrics.MeanSquaredError.", .setup = mse_setup,
    .update = mse_update, .compute = mse_compute);
LT_METRIC(MeanAbsoluteError, mean_absolute_error, "Mean of absolute differences, as torchmetrics.MeanAbsoluteError.", .setup = mae_setup,
    .update = mae_update, .compute = mae_compute);

/* ---- R2 ---- */

enum multioutput { UNIFORM, RAW, BY_VARIANCE };
typedef struct r2_score {
    int64_t num_outputs, adjusted;
    int32_t multioutput;
    double *squares, *sums, *residuals, *count;
} r2_score;
LT_PARAMS(r2_score,
    LT_PARAM(num_outputs, "1", "Columns of preds and target.", LT_RANGE("1..4096")),
    LT_PARAM(adjusted, "0", "Independent regressors, for the adjusted score; 0: not adjusted.", LT_RANGE("0..")),
    LT_CHOICE(multioutput, "uniform_average|raw_values|variance_weighted", "uniform_average", "Over columns."));

static lt_status r2_setup(lt_ctx *ctx, void *self) {
    r2_score *r = self;
    r->squares = lt_metric_state(ctx, "sum_squared_target", r->num_outputs, LT_MERGE_SUM);
    r->sums = lt_metric_state(ctx, "sum_target", r->num_outputs, LT_MERGE_SUM);
    r->residuals = lt_metric_state(ctx, "residual", r->num_outputs, LT_MERGE_SUM);
    r->count = lt_metric_state(ctx, "total", 1, LT_MERGE_SUM);
    return lt_ctx_status(ctx);
}

static lt_status r2_update(lt_ctx *ctx, void *self, lt_tensor *preds, lt_tensor *target) {
    r2_score *r = self;
    const double *p, *t;
    int64_t n = read_pair(ctx, preds, target, &p, &t), columns = n >= 0 && lt_ndim(ctx, preds) == 2 ? lt_size(ctx, preds, 1) : 1;
    if (n >= 0 && (lt_ndim(ctx, preds) > 2 || columns != r->num_outputs)) {
        return lt_fail(ctx, LT_ESHAPE, "preds and target must be (N) or (N, num_outputs) with num_outputs %lld; they have %lld columns and %d dimensions",
                       (long long)r->num_outputs, (long long)columns, (int)lt_ndim(ctx, preds));
    }
    for (int64_t i = 0; i < n; i++) {
        int64_t k = i % columns;
        r->squares[k] += t[i] * t[i];
        r->sums[k] += t[i];
        r->residuals[k] += (t[i] - p[i]) * (t[i] - p[i]);
    }
    *r->count += n > 0 ? (double)(n / columns) : 0;
    return lt_ctx_status(ctx);
}

static bool near_zero(double x) { return fabs(x) <= 1e-4; }

/* 1 - residuals / variance; 1 where nothing is left over, 0 where a constant target is missed. */
static double r2_column(const r2_score *r, int64_t k, double *variance) {
    *variance = r->squares[k] - r->sums[k] * (r->sums[k] / *r->count);
    if (near_zero(r->residuals[k])) {
        return 1;
    }
    return near_zero(*variance) ? 0 : 1 - r->residuals[k] / *variance;
}

static double r2_adjust(const r2_score *r, double score) {
    double free_ones = *r->count - (double)r->adjusted - 1;
    return r->adjusted && free_ones > 0 ? 1 - (1 - score) * (*r->count - 1) / free_ones : score;
}

static lt_status r2_compute(lt_ctx *ctx, void *self, double *out) {
    const r2_score *r = self;
    double sum = 0, variances = 0, weighted = 0;
    (void)ctx;
    for (int64_t k = 0; k < r->num_outputs; k++) {
        double variance, score = *r->count < 2 ? NAN : r2_column(r, k, &variance);
        sum += score;
        if (*r->count >= 2) {
            variances += variance;
            weighted += variance * score;
        }
        if (r->multioutput == RAW) {
            out[k] = r2_adjust(r, score);
        }
    }
    if (r->multioutput != RAW) {
        out[0] = r2_adjust(r, r->multioutput == UNIFORM ? sum / (double)r->num_outputs : weighted / variances);
    }
    return LT_OK;
}

static int64_t r2_count(lt_ctx *ctx, void *self) {
    const r2_score *r = self;
    (void)ctx;
    return r->multioutput == RAW ? r->num_outputs : 1;
}

LT_METRIC(R2Score, r2_score, "Coefficient of determination, as torchmetrics.R2Score; NAN for fewer than two samples.", .setup = r2_setup,
    .update = r2_update, .compute = r2_compute, .count = r2_count);
