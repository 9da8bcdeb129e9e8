/* plugins/metrics/labels.c - see labels.h. */
#include "labels.h"
#include <stdio.h>

static void shape_text(lt_ctx *ctx, const lt_tensor *x, char *out, size_t size) {
    size_t used = 0;
    out[0] = 0;
    for (int32_t d = 0; d < lt_ndim(ctx, x) && used < size; d++) {
        used += (size_t)snprintf(out + used, size - used, "%s%lld", d ? ", " : "", (long long)lt_size(ctx, x, d));
    }
}

bool misfit(lt_ctx *ctx, const lt_tensor *preds, const lt_tensor *target, const char *wanted) {
    char p[128], t[128];
    shape_text(ctx, preds, p, sizeof p);
    shape_text(ctx, target, t, sizeof t);
    lt_fail(ctx, LT_ESHAPE, "preds (%s) and target (%s) do not fit: %s", p, t, wanted);
    return false;
}

bool same_sizes(lt_ctx *ctx, const lt_tensor *preds, const lt_tensor *target, int32_t skip) {
    int32_t nd = lt_ndim(ctx, target);
    bool same = lt_ndim(ctx, preds) == nd + (skip >= 0);
    for (int32_t d = 0; same && d < nd; d++) {
        same = lt_size(ctx, target, d) == lt_size(ctx, preds, skip >= 0 && d >= skip ? d + 1 : d);
    }
    return same;
}

static bool is_float(lt_ctx *ctx, const lt_tensor *x) {
    lt_dtype dtype = lt_dtype_of(ctx, x);
    return dtype == LT_F32 || dtype == LT_F64 || dtype == LT_F16 || dtype == LT_BF16;
}

static bool outside_unit(const double *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        if (!(x[i] >= 0 && x[i] <= 1)) {
            return true;
        }
    }
    return false;
}

/* Do scores lie outside [0, 1], those of dropped samples aside? */
static bool has_logits(const samples *s, const lt_opt_int *dropped) {
    if (!dropped || !dropped->given) {
        return outside_unit(s->preds, s->n * s->classes);
    }
    for (int64_t i = 0; i < s->n; i++) {
        for (int64_t c = 0; c < s->classes && s->target[i] != (double)dropped->value; c++) {
            double score = score_of(s, i, c);
            if (outside_unit(&score, 1)) {
                return true;
            }
        }
    }
    return false;
}

static bool check_shapes(lt_ctx *ctx, lt_tensor *preds, lt_tensor *target, enum task task, int64_t num_classes, bool scores) {
    if (task == MULTICLASS && scores) {
        bool fits = lt_ndim(ctx, preds) >= 2 && lt_size(ctx, preds, 1) == num_classes && same_sizes(ctx, preds, target, 1);
        return fits || misfit(ctx, preds, target, "scores (N, num_classes, ...) go with labels (N, ...)");
    }
    return same_sizes(ctx, preds, target, -1) || misfit(ctx, preds, target, "both must be (N, ...)");
}

bool read_samples(lt_ctx *ctx, lt_tensor *preds, lt_tensor *target, enum task task, int64_t num_classes, const lt_opt_int *dropped,
                  samples *out) {
    if (!target) {
        lt_fail(ctx, LT_EINVAL, "target is NULL, and no earlier call failed");
        return false;
    }
    bool scores = is_float(ctx, preds);
    if (lt_ctx_status(ctx) || !check_shapes(ctx, preds, target, task, num_classes, scores)) {
        return false;
    }
    *out = (samples){.preds = lt_doubles(ctx, preds), .target = lt_doubles(ctx, target), .n = lt_numel(ctx, target), .inner = 1};
    if (!out->preds || !out->target) {
        return false;
    }
    out->classes = !scores ? 0 : task == BINARY ? 1 : num_classes;
    for (int32_t d = 1; task == MULTICLASS && scores && d < lt_ndim(ctx, target); d++) {
        out->inner *= lt_size(ctx, target, d);
    }
    out->inner = out->inner > 0 ? out->inner : 1;
    out->normalize = scores && has_logits(out, dropped);
    return lt_ctx_status(ctx) == LT_OK;
}

static bool is_class(lt_ctx *ctx, double value, int64_t i, int64_t num_classes, const char *what) {
    if (value >= 0 && value < (double)num_classes && value == floor(value)) {
        return true;
    }
    lt_fail(ctx, LT_EINDEX, "%s of sample %lld is %g; labels are 0 to %lld", what, (long long)i, value, (long long)num_classes - 1);
    return false;
}

bool target_of(lt_ctx *ctx, const samples *s, int64_t i, int64_t num_classes, const lt_opt_int *ignore_index, int64_t *label, bool *ignored) {
    double value = s->target[i];
    *ignored = ignore_index->given && value == (double)ignore_index->value;
    if (*ignored) {
        return true;
    }
    if (!is_class(ctx, value, i, num_classes, "target")) {
        return false;
    }
    *label = (int64_t)value;
    return true;
}

double probability(const samples *s, double score) { return s->normalize ? (double)(float)(1 / (1 + exp(-score))) : score; }

void probabilities(const samples *s, int64_t i, int64_t num_classes, double *out) {
    double top = -INFINITY, sum = 0;
    for (int64_t c = 0; c < num_classes; c++) {
        out[c] = score_of(s, i, c);
        top = fmax(top, out[c]);
    }
    for (int64_t c = 0; s->normalize && c < num_classes; c++) {
        sum += out[c] = exp(out[c] - top);
    }
    for (int64_t c = 0; s->normalize && c < num_classes; c++) {
        out[c] = (double)(float)(out[c] / sum);
    }
}

bool label_of(lt_ctx *ctx, const samples *s, int64_t i, int64_t num_classes, double threshold, int64_t *label) {
    if (!s->classes) {
        *label = (int64_t)s->preds[i];
        return is_class(ctx, s->preds[i], i, num_classes, "preds");
    }
    if (s->classes == 1) {
        *label = probability(s, s->preds[i]) > threshold;
        return true;
    }
    *label = 0;
    for (int64_t c = 1; c < num_classes; c++) {
        if (score_of(s, i, c) > score_of(s, i, *label)) {
            *label = c;
        }
    }
    return true;
}
