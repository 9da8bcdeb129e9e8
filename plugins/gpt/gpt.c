/* GPT: a decoder-only transformer of nanoGPT's architecture (Radford et al. 2019): learned positions, pre-norm blocks, GELU, tied head.
 * Names, layouts and initial weights are nanoGPT's, drawn in PyTorch's order. Tokens come as (B, T) i64 pairs of input and target. */
#include "gpt.h"
#include <math.h>
#include <stdio.h>

LT_PARAMS(gpt,
    LT_PARAM(vocab_size, "65", "Number of tokens; tiny Shakespeare has 65 characters.", LT_RANGE("1..")),
    LT_PARAM(block_size, "256", "Longest context.", LT_RANGE("1..")),
    LT_PARAM(n_layer, "6", "Blocks.", LT_RANGE("1..96")),
    LT_PARAM(n_head, "6", "Heads of attention; they divide n_embd.", LT_RANGE("1..")),
    LT_PARAM(n_embd, "384", "Width.", LT_RANGE("1..")),
    LT_PARAM(dropout, "0.0", "Of embeddings, attention and both projections.", LT_RANGE("0..1")),
    LT_PARAM(bias, "true", "Biases in linear layers and norms, as GPT-2."),
    LT_PARAM(lr, "0.001", "Learning rate of AdamW.", LT_RANGE(">0")),
    LT_PARAM(weight_decay, "0.1", "Decay of the weights of AdamW; biases and norms are spared.", LT_RANGE("0..")),
    LT_PARAM(beta1, "0.9", "AdamW's first beta.", LT_RANGE("0..<1")),
    LT_PARAM(beta2, "0.99", "AdamW's second beta.", LT_RANGE("0..<1")),
    LT_PARAM(max_new_tokens, "200", "Tokens that predict adds to each prompt.", LT_RANGE("0..1000000000")),
    LT_PARAM(temperature, "0.8", "Of the distribution that predict draws from; 0 takes the likeliest token.", LT_RANGE("0..")),
    LT_PARAM(top_k, "0", "Predict draws from the k likeliest tokens; 0: from all.", LT_RANGE("0..")));

/* ---- making ---- */
static lt_module *linear(lt_ctx *ctx, const gpt *m, int64_t in, int64_t out) {
    return m->bias ? lt_nn_linear(ctx, in, out) : lt_nn_linear_no_bias(ctx, in, out);
}

static lt_module *norm(lt_ctx *ctx, const gpt *m) { return lt_nn_layer_norm(ctx, m->n_embd, .no_bias = !m->bias); }

static lt_module *block(lt_ctx *ctx, const gpt *m, gpt_block *b) {
    lt_module *all = lt_nn_module_as(ctx, NULL, "Block"), *attn = lt_nn_module_as(ctx, NULL, "CausalSelfAttention");
    int64_t C = m->n_embd;

    b->ln_1 = lt_child_of(ctx, all, "ln_1", norm(ctx, m));
    lt_child_of(ctx, all, "attn", attn);
    b->c_attn = lt_child_of(ctx, attn, "c_attn", linear(ctx, m, C, 3 * C));
    b->c_proj = lt_child_of(ctx, attn, "c_proj", linear(ctx, m, C, C));
    b->ln_2 = lt_child_of(ctx, all, "ln_2", norm(ctx, m));
    b->mlp = lt_child_of(ctx, all, "mlp", lt_nn_sequential(ctx, NULL,
        lt_child(ctx, "c_fc", linear(ctx, m, C, 4 * C)), lt_child(ctx, "gelu", lt_nn_gelu(ctx)),
        lt_child(ctx, "c_proj", linear(ctx, m, 4 * C, C)), lt_child(ctx, "dropout", lt_nn_dropout(ctx, m->dropout))));
    return all;
}

/* nanoGPT's _init_weights: normal with deviation 0.02, biases zero. */
static void draw(lt_ctx *ctx, const gpt *m, lt_module *module, const char *weight, const char *bias) {
    lt_nn_init(ctx, module, weight, LT_INIT_NORMAL, 0, 0.02);
    if (bias && m->bias) {
        lt_nn_init(ctx, module, bias, LT_INIT_CONSTANT, 0, 0);
    }
}

/* The order of nanoGPT: every module from the first to the last, then the projections into the residual stream again, narrower. */
static void draw_all(lt_ctx *ctx, const gpt *m) {
    draw(ctx, m, m->wte, "weight", NULL);
    draw(ctx, m, m->wpe, "weight", NULL);
    for (int64_t k = 0; k < m->n_layer; k++) {
        const gpt_block *b = &m->blocks[k];
        draw(ctx, m, b->c_attn, "weight", "bias");
        draw(ctx, m, b->c_proj, "weight", "bias");
        draw(ctx, m, b->mlp, "c_fc.weight", "c_fc.bias");
        draw(ctx, m, b->mlp, "c_proj.weight", "c_proj.bias");
    }
    draw(ctx, m, m->lm_head, "weight", NULL);
    for (int64_t k = 0; k < m->n_layer; k++) {
        double deviation = 0.02 / sqrt(2.0 * (double)m->n_layer);
        lt_nn_init(ctx, m->blocks[k].c_proj, "weight", LT_INIT_NORMAL, 0, deviation);
        lt_nn_init(ctx, m->blocks[k].mlp, "c_proj.weight", LT_INIT_NORMAL, 0, deviation);
    }
}

static lt_status configure(lt_ctx *ctx, void *self) {
    gpt *m = self;

    if (m->n_embd % m->n_head) {
        return lt_fail(ctx, LT_ECONFIG, "n_embd %lld is no multiple of n_head %lld", (long long)m->n_embd, (long long)m->n_head);
    }
    lt_module *body = lt_nn_module(ctx, "transformer");
    m->wte = lt_child_of(ctx, body, "wte", lt_nn_embedding(ctx, m->vocab_size, m->n_embd));
    m->wpe = lt_child_of(ctx, body, "wpe", lt_nn_embedding(ctx, m->block_size, m->n_embd));
    lt_module *blocks = lt_child_of(ctx, body, "h", lt_nn_module_list_of(ctx, NULL, NULL, 0));
    for (int64_t k = 0; k < m->n_layer; k++) {
        lt_child_of(ctx, blocks, NULL, block(ctx, m, &m->blocks[k]));
    }
    m->ln_f = lt_child_of(ctx, body, "ln_f", norm(ctx, m));
    m->lm_head = lt_child(ctx, "lm_head", lt_nn_linear_no_bias(ctx, m->n_embd, m->vocab_size));
    lt_nn_tie(ctx, m->wte, "weight", m->lm_head, "weight");
    draw_all(ctx, m);
    return lt_ctx_status(ctx);
}

static lt_status configure_optimizers(lt_ctx *ctx, void *self, lt_optim_setup *setup) {
    gpt *m = self;

    lt_use_optimizer(ctx, setup, "AdamW", "lr: %.17g, weight_decay: %.17g, betas: [%.17g, %.17g]", m->lr, m->weight_decay, m->beta1, m->beta2);
    return lt_param_group(ctx, setup, "*ln_* *.bias", "weight_decay: 0"); /* decay is for matrices and embeddings */
}

/* ---- running ---- */

/* What attention is when its weights are dropped out: with the (T, T) matrix, as PyTorch does then; half precision takes its softmax in f32. */
static lt_tensor *dropped_attention(lt_ctx *ctx, const gpt *m, lt_tensor *qkv) {
    static const int32_t heads_first[] = {2, 0, 3, 1, 4};
    int64_t B = lt_size(ctx, qkv, 0), T = lt_size(ctx, qkv, 1), C = m->n_embd, D = C / m->n_head;
    lt_tensor *parts = lt_permute(ctx, lt_reshape(ctx, qkv, 5, (int64_t[]){B, T, 3, m->n_head, D}), heads_first); /* (3, B, heads, T, D) */
    lt_tensor *part[3];
    for (int k = 0; k < 3; k++) {
        part[k] = lt_reshape(ctx, lt_slice(ctx, parts, 0, k, k + 1), 4, (int64_t[]){B, m->n_head, T, D});
    }
    lt_tensor *scores = lt_mul_scalar(ctx, lt_matmul(ctx, part[0], lt_transpose(ctx, part[1], 2, 3)), 1 / sqrt((double)D));
    lt_dtype wide = lt_dtype_of(ctx, scores) == LT_F64 ? LT_F64 : LT_F32;
    lt_tensor *rows = lt_arange(ctx, wide, 0, (double)T, 1);
    lt_tensor *later = lt_sub(ctx, lt_reshape(ctx, rows, 2, (int64_t[]){1, T}), lt_reshape(ctx, rows, 2, (int64_t[]){T, 1})); /* j - i */
    lt_tensor *hidden = lt_mul_scalar(ctx, lt_relu(ctx, later), -1e30); /* far below any score where j > i, else 0 */
    lt_tensor *weights = lt_dropout(ctx, lt_softmax(ctx, lt_add(ctx, lt_cast(ctx, scores, wide), hidden), 3), m->dropout, true);
    lt_tensor *y = lt_matmul(ctx, lt_cast(ctx, weights, lt_dtype_of(ctx, part[2])), part[2]); /* (B, heads, T, D) */

    return lt_reshape(ctx, lt_transpose(ctx, y, 1, 2), 3, (int64_t[]){B, T, C});
}

static lt_tensor *attend(lt_ctx *ctx, const gpt *m, const gpt_block *b, lt_tensor *x) {
    bool drops = m->dropout > 0 && lt_is_training(ctx);
    lt_tensor *qkv = lt_forward(ctx, b->c_attn, x); /* (B, T, 3 C) */
    lt_tensor *y = drops ? dropped_attention(ctx, m, qkv) : lt_self_attention(ctx, qkv, m->n_head, .causal = 1);

    return lt_dropout(ctx, lt_forward(ctx, b->c_proj, y), m->dropout, drops);
}

/* x + y, in the memory of y, or of its copy in the dtype of x: nobody's backward looks at it. */
static lt_tensor *residual(lt_ctx *ctx, lt_tensor *x, lt_tensor *y) {
    return lt_add_(ctx, lt_cast(ctx, y, lt_dtype_of(ctx, x)), x);
}

lt_tensor *gpt_hidden(lt_ctx *ctx, gpt *m, lt_tensor *tokens) {
    int64_t T = lt_size(ctx, tokens, 1);
    if (lt_ndim(ctx, tokens) != 2 || T > m->block_size) {
        lt_fail(ctx, LT_ESHAPE, "tokens must be (B, T) with T at most block_size %lld, but T is %lld", (long long)m->block_size, (long long)T);
        return NULL;
    }
    lt_tensor *places = lt_forward(ctx, m->wpe, lt_arange(ctx, LT_I64, 0, (double)T, 1)); /* (T, C) */
    lt_tensor *x = lt_add(ctx, lt_forward(ctx, m->wte, tokens), places);                  /* (B, T, C) */

    x = lt_dropout(ctx, x, m->dropout, lt_is_training(ctx));
    for (int64_t k = 0; k < m->n_layer; k++) {
        gpt_block *b = &m->blocks[k];
        x = residual(ctx, x, attend(ctx, m, b, lt_forward(ctx, b->ln_1, x)));
        x = residual(ctx, x, lt_forward(ctx, b->mlp, lt_forward(ctx, b->ln_2, x)));
    }
    return lt_forward(ctx, m->ln_f, x);
}

lt_tensor *gpt_logits(lt_ctx *ctx, gpt *m, lt_tensor *hidden) { return lt_forward(ctx, m->lm_head, hidden); }

static lt_tensor *forward(lt_ctx *ctx, void *self, lt_tensor *tokens) { return gpt_logits(ctx, self, gpt_hidden(ctx, self, tokens)); }

/* ---- steps ---- */

/* Mean cross-entropy per token; a target of -1 does not count. */
static lt_tensor *loss_of(lt_ctx *ctx, gpt *m, const lt_batch *batch) {
    lt_cross_entropy_opts opts = {.struct_size = sizeof opts, .ignore_index = -1, .has_ignore_index = 1};
    lt_tensor *logits = forward(ctx, m, lt_batch_get(ctx, batch, 0)); /* (B, T, V) */

    return lt_cross_entropy_with(ctx, lt_reshape(ctx, logits, 2, (int64_t[]){-1, m->vocab_size}),
                                 lt_reshape(ctx, lt_batch_get(ctx, batch, 1), 1, (int64_t[]){-1}), &opts);
}

static lt_status training_step(lt_ctx *ctx, void *self, const lt_batch *batch, lt_step_out *out) {
    lt_tensor *loss = loss_of(ctx, self, batch);

    lt_log(ctx, "train_loss", loss, LT_LOG_PROG_BAR);
    return lt_step_loss(ctx, out, loss);
}

static lt_status validation_step(lt_ctx *ctx, void *self, const lt_batch *batch, lt_step_out *out) {
    (void)out;
    lt_log(ctx, "val_loss", loss_of(ctx, self, batch), LT_LOG_PROG_BAR);
    return lt_ctx_status(ctx);
}

static lt_status test_step(lt_ctx *ctx, void *self, const lt_batch *batch, lt_step_out *out) {
    (void)out;
    lt_log(ctx, "test_loss", loss_of(ctx, self, batch), LT_LOG_PROG_BAR);
    return lt_ctx_status(ctx);
}

static lt_status predict_step(lt_ctx *ctx, void *self, const lt_batch *batch, lt_step_out *out) {
    return lt_step_output(ctx, out, "tokens", gpt_generate(ctx, self, lt_batch_get(ctx, batch, 0)));
}

static lt_tensor *example_input(lt_ctx *ctx, void *self) {
    return lt_zeros(ctx, LT_I64, 2, (int64_t[]){1, ((gpt *)self)->block_size});
}

LT_MODEL(GPT, gpt, "nanoGPT's transformer: text, one token after the other.",
    .configure = configure,
    .configure_optimizers = configure_optimizers,
    .forward = forward,
    .training_step = training_step,
    .validation_step = validation_step,
    .test_step = test_step,
    .predict_step = predict_step,
    .example_input = example_input);
LT_PLUGIN("org.lthost.gpt", "0.1.0", model(GPT));
