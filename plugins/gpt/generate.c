/* gpt/generate.c - text from the model, token by token. Keys and values of earlier tokens are kept, so that a token costs one row. When the
 * context is full, its older half is dropped and the rest runs anew. Draws from the run's generator: a seed gives the same text again. */
#include "gpt.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One token, none with a logit below `least`: the first whose share of the distribution covers u, which lies in [0, 1). */
static int64_t draw(const gpt *m, const float *logits, double least, double u) {
    int64_t best = 0;
    for (int64_t i = 1; i < m->vocab_size; i++) {
        best = logits[i] > logits[best] ? i : best;
    }
    if (m->temperature == 0) {
        return best;
    }
    double total = 0;
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

/* Keys and values of one block: (B, block_size, heads, D) each. */
typedef struct cache { lt_tensor *k, *v; } cache;

/* Rows of qkv (B, n, 3 C) -> places at..at+n-1 of the cache, which is made at the first call. */
static lt_status remember(lt_ctx *ctx, const gpt *m, cache *c, lt_tensor *qkv, int64_t at) {
    int64_t B = lt_size(ctx, qkv, 0), n = lt_size(ctx, qkv, 1), C = m->n_embd, shape[4] = {B, m->block_size, m->n_head, C / m->n_head};
    if (!c->k) {
        c->k = lt_zeros(ctx, lt_dtype_of(ctx, qkv), 4, shape);
        c->v = lt_zeros(ctx, lt_dtype_of(ctx, qkv), 4, shape);
    }
    lt_view from = {.struct_size = sizeof from}, to[2] = {{.struct_size = sizeof *to}, {.struct_size = sizeof *to}};
    if (lt_ctx_status(ctx) || lt_raw(ctx, qkv, LT_READ, &from) || lt_raw(ctx, c->k, LT_WRITE, &to[0]) || lt_raw(ctx, c->v, LT_WRITE, &to[1])) {
        return lt_ctx_status(ctx);
    }
    size_t row = (size_t)C * (from.dtype.bits / 8);
    for (int64_t i = 0; i < B * n; i++) {
        size_t place = (size_t)(i / n * m->block_size + at + i % n) * row;
        for (int part = 0; part < 2; part++) {
            memcpy((char *)to[part].data + place, (const char *)from.data + (size_t)(3 * i + 1 + part) * row, row);
        }
    }
    return LT_OK;
}

/* The tokens at..at+n-1 of each row -> hidden states (B, n, C); n is 1, or at is 0. */
static lt_tensor *advance(lt_ctx *ctx, gpt *m, cache *caches, lt_tensor *tokens, int64_t at) {
    static const int32_t heads_first[] = {0, 2, 1, 3};
    int64_t B = lt_size(ctx, tokens, 0), n = lt_size(ctx, tokens, 1), C = m->n_embd, split[4] = {B, n, m->n_head, C / m->n_head};
    lt_tensor *places = lt_forward(ctx, m->wpe, lt_arange(ctx, LT_I64, (double)at, (double)(at + n), 1)); /* (n, C) */
    lt_tensor *x = lt_add(ctx, lt_forward(ctx, m->wte, tokens), places);                                  /* (B, n, C) */
    for (int64_t k = 0; k < m->n_layer; k++) {
        gpt_block *b = &m->blocks[k];
        lt_tensor *qkv = lt_forward(ctx, b->c_attn, lt_forward(ctx, b->ln_1, x)); /* (B, n, 3 C) */
        if (!qkv || remember(ctx, m, &caches[k], qkv, at)) {
            return NULL;
        }
        lt_tensor *q = lt_permute(ctx, lt_reshape(ctx, lt_slice(ctx, qkv, 2, 0, C), 4, split), heads_first); /* (B, heads, n, D) */
        lt_tensor *keys = lt_permute(ctx, lt_slice(ctx, caches[k].k, 1, 0, at + n), heads_first);           /* (B, heads, at + n, D) */
        lt_tensor *values = lt_permute(ctx, lt_slice(ctx, caches[k].v, 1, 0, at + n), heads_first);
        lt_tensor *y = lt_attention(ctx, q, keys, values, .causal = n > 1);
        y = lt_reshape(ctx, lt_transpose(ctx, y, 1, 2), 3, (int64_t[]){B, n, C});
        x = lt_add(ctx, x, lt_forward(ctx, b->c_proj, y));
        x = lt_add(ctx, x, lt_forward(ctx, b->mlp, lt_forward(ctx, b->ln_2, x)));
    }
    return lt_forward(ctx, m->ln_f, lt_slice(ctx, x, 1, n - 1, n)); /* (B, 1, C) */
}

/* tokens: (rows, width), of which `have` stand; the next one of each row is written. cached: tokens whose keys are kept. */
static lt_status next_tokens(lt_ctx *ctx, gpt *m, cache *caches, int64_t *cached, int64_t *tokens, int64_t rows, int64_t width, int64_t have,
                             int64_t *context) {
    bool anew = *cached == 0 || *cached == m->block_size;
    int64_t half = m->block_size / 2 > 0 ? m->block_size / 2 : 1;
    int64_t n = !anew ? 1 : have < m->block_size && *cached == 0 ? have : half;
    for (int64_t r = 0; r < rows; r++) {
        memcpy(context + r * n, tokens + r * width + have - n, (size_t)n * sizeof *context);
    }
    *cached = anew ? 0 : *cached;
    lt_tensor *hidden = advance(ctx, m, caches, lt_from_data(ctx, LT_I64, 2, (int64_t[]){rows, n}, context), *cached);
    *cached += n;
    bool some = m->temperature > 0 && m->top_k > 0 && m->top_k < m->vocab_size;
    lt_tensor *logits = lt_cast(ctx, gpt_logits(ctx, m, hidden), LT_F32), *chance = lt_cast(ctx, lt_rand(ctx, 1, &rows), LT_F32);
    lt_tensor *top = some ? lt_topk(ctx, logits, m->top_k, 2, true, NULL) : logits; /* (rows, 1, k), falling */
    lt_view values = {.struct_size = sizeof values}, u = {.struct_size = sizeof u}, best = {.struct_size = sizeof best};
    if (lt_ctx_status(ctx) || lt_raw(ctx, logits, LT_READ, &values) || lt_raw(ctx, chance, LT_READ, &u) || lt_raw(ctx, top, LT_READ, &best)) {
        return lt_ctx_status(ctx);
    }
    for (int64_t r = 0; r < rows; r++) {
        double least = some ? ((const float *)best.data)[(r + 1) * m->top_k - 1] : -INFINITY;
        tokens[r * width + have] = draw(m, (const float *)values.data + r * m->vocab_size, least, ((const float *)u.data)[r]);
    }
    return LT_OK;
}

/* (B, T) i64 with a token in every row; the embedding checks that they are in the vocabulary. */
static lt_status check_prompt(lt_ctx *ctx, lt_tensor *prompt) {
    if (lt_dtype_of(ctx, prompt) != LT_I64) {
        return lt_fail(ctx, LT_EDTYPE, "a prompt must be tokens, (B, T) i64, and the batch holds another dtype; look at its data's input_dtype");
    }
    if (lt_ndim(ctx, prompt) != 2 || lt_size(ctx, prompt, 1) < 1) {
        return lt_fail(ctx, LT_ESHAPE, "a prompt must be (B, T) with at least one token; it has %d dimensions", lt_ndim(ctx, prompt));
    }
    return LT_OK;
}

/* Room for the text and, behind it, for a context: (rows, width + block_size) tokens. The caller frees it. */
static int64_t *make_room(lt_ctx *ctx, const gpt *m, int64_t rows, int64_t width) {
    int64_t columns, tokens;
    size_t bytes;
    bool fits = !__builtin_add_overflow(width, m->block_size, &columns) && !__builtin_mul_overflow(rows, columns, &tokens) &&
                !__builtin_mul_overflow((size_t)tokens, sizeof tokens, &bytes);
    int64_t *room = fits ? malloc(bytes + 1) : NULL;
    if (!room) {
        lt_fail(ctx, LT_ENOMEM, "no memory for %lld rows of %lld tokens: lower max_new_tokens", (long long)rows, (long long)width);
    }
    return room;
}

lt_tensor *gpt_generate(lt_ctx *ctx, gpt *m, lt_tensor *prompt) {
    lt_view view = {.struct_size = sizeof view};
    cache caches[GPT_MOST_LAYERS] = {{0}};
    if (!prompt || check_prompt(ctx, prompt) || lt_raw(ctx, prompt, LT_READ, &view)) {
        return NULL;
    }
    int64_t rows = lt_size(ctx, prompt, 0), given = lt_size(ctx, prompt, 1), width = given + m->max_new_tokens, cached = 0;
    int64_t *tokens = make_room(ctx, m, rows, width);
    if (!tokens) {
        return NULL;
    }
    for (int64_t r = 0; r < rows; r++) {
        memcpy(tokens + r * width, (const int64_t *)view.data + r * given, (size_t)given * sizeof *tokens);
    }
    lt_status status = LT_OK;
    for (int64_t have = given; !status && have < width; have++) {
        status = next_tokens(ctx, m, caches, &cached, tokens, rows, width, have, tokens + rows * width);
    }
    lt_tensor *all = status ? NULL : lt_from_data(ctx, LT_I64, 2, (int64_t[]){rows, width}, tokens);
    free(tokens);
    return all;
}
