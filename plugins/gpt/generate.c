/* gpt/generate.c - text from the model, token by token. The whole context runs for each token: there is no cache of keys and values.
 * Draws from the run's generator, so a seed gives the same text again. */
#include "gpt.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The k-th largest of n values; 0 for all: -infinity. O(n k), and both are small. */
static double least_of_top(const float *logits, int64_t n, int64_t k) {
    double bound = INFINITY;
    if (k <= 0 || k >= n) {
        return -INFINITY;
    }
    for (int64_t seen = 0; seen < k;) {
        double next = -INFINITY;
        int64_t equal = 0;
        for (int64_t i = 0; i < n; i++) {
            if (logits[i] < bound && logits[i] > next) {
                next = logits[i];
                equal = 0;
            }
            equal += logits[i] == next;
        }
        bound = next;
        seen += equal ? equal : k;
    }
    return bound;
}

/* One token: the first whose share of the distribution covers u, which lies in [0, 1). */
static int64_t draw(const gpt *m, const float *logits, double u) {
    int64_t best = 0;
    for (int64_t i = 1; i < m->vocab_size; i++) {
        best = logits[i] > logits[best] ? i : best;
    }
    if (m->temperature == 0) {
        return best;
    }
    double least = least_of_top(logits, m->vocab_size, m->top_k), total = 0;
    for (int64_t i = 0; i < m->vocab_size; i++) {
        total += logits[i] >= least ? exp((logits[i] - logits[best]) / m->temperature) : 0;
    }
    for (int64_t i = 0; i < m->vocab_size; i++) {
        u -= logits[i] >= least ? exp((logits[i] - logits[best]) / m->temperature) / total : 0;
        if (u < 0) {
            return i;
        }
    }
    return best; /* rounding left a rest */
}

/* The last `length` tokens of each row so far -> the next token of each. */
static lt_status next_tokens(lt_ctx *ctx, gpt *m, int64_t *tokens, int64_t rows, int64_t width, int64_t have, int64_t *context) {
    int64_t length = have < m->block_size ? have : m->block_size;
    for (int64_t r = 0; r < rows; r++) {
        memcpy(context + r * length, tokens + r * width + have - length, (size_t)length * sizeof *context);
    }
    lt_tensor *hidden = gpt_hidden(ctx, m, lt_from_data(ctx, LT_I64, 2, (int64_t[]){rows, length}, context));
    lt_tensor *logits = lt_cast(ctx, gpt_logits(ctx, m, lt_slice(ctx, hidden, 1, length - 1, length)), LT_F32); /* (B, 1, V) */
    lt_tensor *chance = lt_rand(ctx, 1, &rows);
    lt_view values = {.struct_size = sizeof values}, u = {.struct_size = sizeof u};
    lt_status status = lt_raw(ctx, logits, LT_READ, &values);
    status = status ? status : lt_raw(ctx, lt_cast(ctx, chance, LT_F32), LT_READ, &u);
    for (int64_t r = 0; !status && r < rows; r++) {
        tokens[r * width + have] = draw(m, (const float *)values.data + r * m->vocab_size, ((const float *)u.data)[r]);
    }
    return status;
}

lt_tensor *gpt_generate(lt_ctx *ctx, gpt *m, lt_tensor *prompt) {
    int64_t rows = lt_size(ctx, prompt, 0), given = lt_size(ctx, prompt, 1), width = given + m->max_new_tokens;
    lt_view view = {.struct_size = sizeof view};
    if (lt_ctx_status(ctx) || lt_raw(ctx, prompt, LT_READ, &view)) {
        return NULL;
    }
    int64_t *tokens = malloc((size_t)(rows * (width + m->block_size) + 1) * sizeof *tokens);
    if (!tokens) {
        lt_fail(ctx, LT_ENOMEM, "no memory for %lld tokens", (long long)(rows * width));
        return NULL;
    }
    for (int64_t r = 0; r < rows; r++) {
        memcpy(tokens + r * width, (const int64_t *)view.data + r * given, (size_t)given * sizeof *tokens);
    }
    lt_status status = LT_OK;
    for (int64_t have = given; !status && have < width; have++) {
        status = next_tokens(ctx, m, tokens, rows, width, have, tokens + rows * width);
    }
    lt_tensor *all = status ? NULL : lt_from_data(ctx, LT_I64, 2, (int64_t[]){rows, width}, tokens);
    free(tokens);
    return all;
}
