/* plugins/metrics/language.c - Perplexity, exp of the mean negative log-likelihood, as torchmetrics.text.Perplexity. */
#include "labels.h"

typedef struct perplexity { lt_opt_int ignore_index; double *total, *count; } perplexity;
LT_PARAMS(perplexity, LT_PARAM(ignore_index, "null", "A target that does not count."));

static lt_status setup(lt_ctx *ctx, void *self) {
    perplexity *p = self;
    p->total = lt_metric_state(ctx, "total_log_probs", 1, LT_MERGE_SUM);
    p->count = lt_metric_state(ctx, "count", 1, LT_MERGE_SUM);
    return lt_ctx_status(ctx);
}

static double negative_log_likelihood(const double *row, int64_t vocabulary, int64_t target) {
    double top = -INFINITY, sum = 0;
    for (int64_t v = 0; v < vocabulary; v++) {
        top = fmax(top, row[v]);
    }
    for (int64_t v = 0; v < vocabulary; v++) {
        sum += exp(row[v] - top);
    }
    return log(sum) + top - row[target];
}

/* preds (..., V) logits, target (...) token numbers. */
static lt_status update(lt_ctx *ctx, void *self, lt_tensor *preds, lt_tensor *target) {
    perplexity *p = self;
    int32_t last = lt_ndim(ctx, preds) - 1;
    int64_t n = target ? lt_numel(ctx, target) : 0, vocabulary = last >= 0 ? lt_size(ctx, preds, last) : 0;
    if (!target) {
        return lt_fail(ctx, LT_EINVAL, "target is NULL, and no earlier call failed");
    }
    if (vocabulary < 1 || !same_sizes(ctx, preds, target, last)) {
        misfit(ctx, preds, target, "logits (..., V) go with tokens (...)");
        return lt_ctx_status(ctx);
    }
    const double *rows = lt_doubles(ctx, preds), *tokens = lt_doubles(ctx, target);
    for (int64_t i = 0; rows && tokens && i < n; i++) {
        if (p->ignore_index.given && tokens[i] == (double)p->ignore_index.value) {
            continue;
        }
        if (!(tokens[i] >= 0 && tokens[i] < (double)vocabulary && tokens[i] == floor(tokens[i]))) {
            return lt_fail(ctx, LT_EINDEX, "target %lld is %g; tokens are 0 to %lld", (long long)i, tokens[i], (long long)vocabulary - 1);
        }
        *p->total += negative_log_likelihood(rows + i * vocabulary, vocabulary, (int64_t)tokens[i]);
        *p->count += 1;
    }
    return lt_ctx_status(ctx);
}

static lt_status compute(lt_ctx *ctx, void *self, double *out) {
    const perplexity *p = self;
    (void)ctx;
    out[0] = exp(*p->total / *p->count);
    return LT_OK;
}

LT_METRIC(Perplexity, perplexity, "exp of the mean negative log-likelihood of the targets, as torchmetrics.text.Perplexity.", .setup = setup,
    .update = update, .compute = compute);
