/* gpt/gpt.h - the network: what gpt.c trains and generate.c samples from. */
#ifndef GPT_H
#define GPT_H
#include <lt/model.h>

enum { GPT_MOST_LAYERS = 96 };
typedef struct gpt_block { lt_module *ln_1, *c_attn, *c_proj, *ln_2, *mlp; } gpt_block;
typedef struct gpt {
    int64_t vocab_size, block_size, n_layer, n_head, n_embd;
    double dropout;
    bool bias;
    double lr, weight_decay, beta1, beta2;
    int64_t max_new_tokens, top_k;
    double temperature;
    lt_module *wte, *wpe, *ln_f, *lm_head;
    gpt_block blocks[GPT_MOST_LAYERS];
} gpt;

/* tokens (B, T) i64, T <= block_size -> hidden states after the last norm (B, T, n_embd). */
lt_tensor *gpt_hidden(lt_ctx *ctx, gpt *m, lt_tensor *tokens);
/* (B, T, n_embd) -> logits (B, T, vocab_size). */
lt_tensor *gpt_logits(lt_ctx *ctx, gpt *m, lt_tensor *hidden);
/* tokens (B, T) i64 -> (B, T + max_new_tokens) i64: each new token drawn from the model's distribution after what stands before it. */
lt_tensor *gpt_generate(lt_ctx *ctx, gpt *m, lt_tensor *tokens);
#endif
