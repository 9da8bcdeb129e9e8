/* tests/engine/test_nn_attention.c - MultiheadAttention and TransformerEncoderLayer against PyTorch (tests/golden/modules.bin): names, initial
 * bits, outputs under every kind of mask, weights, gradients, dropout's bits; and what they refuse. On both backends. */
#include "test_module.h"

typedef struct variant { const char *name; lt_nn_multihead_opts opts; bool need_weights; } variant;
static const variant variants[] = {
    {"self", {.struct_size = sizeof(lt_nn_multihead_opts), .batch_first = 1}, false},
    {"time", {.struct_size = sizeof(lt_nn_multihead_opts)}, false},
    {"nobias", {.struct_size = sizeof(lt_nn_multihead_opts), .no_bias = 1, .batch_first = 1}, false},
    {"cross", {.struct_size = sizeof(lt_nn_multihead_opts), .batch_first = 1}, false},
    {"padding", {.struct_size = sizeof(lt_nn_multihead_opts), .batch_first = 1}, false},
    {"mask", {.struct_size = sizeof(lt_nn_multihead_opts)}, false},
    {"both", {.struct_size = sizeof(lt_nn_multihead_opts), .batch_first = 1}, false},
    {"heads", {.struct_size = sizeof(lt_nn_multihead_opts), .batch_first = 1}, false},
    {"mixed", {.struct_size = sizeof(lt_nn_multihead_opts), .batch_first = 1}, false},
    {"weights", {.struct_size = sizeof(lt_nn_multihead_opts), .batch_first = 1}, true},
    {"dropout", {.struct_size = sizeof(lt_nn_multihead_opts), .batch_first = 1, .dropout = 0.3}, false},
};

static lt_tensor *any(model *t, const gold_record *r) {
    return r ? lth_tensor_wrap(t->e, r->dtype, r->ndim, r->shape, (void *)(uintptr_t)r->data, &t->ctx.error) : NULL;
}

static lt_tensor *leaf(model *t, const gold_record *r) {
    lt_tensor *x = any(t, r);
    if (x) {
        x->requires_grad = x->is_leaf = 1;
    }
    return x;
}

/* causal: instead of the mask that says the same; whole: with the weights asked for although nobody compares them. */
static void run_variant(const gold_file *g, const lth_backend *backend, const variant *v, bool causal, bool whole) {
    model t;
    char name[64];
    snprintf(name, sizeof name, "mha.%s", v->name);
    open_model(&t, backend, 3);
    lt_module *l = nn->child(&t.ctx, "attn", nn->multihead(&t.ctx, 8, 2, &v->opts));
    seal(&t);
    check_init(&t, g, name);
    const gold_record *weight = gold_find(g, "%s/in_proj", name);
    assert_int_equal(lth_tensor_from_host(nn->module_parameter(&t.ctx, l, "in_proj_weight"), weight->data, (size_t)weight->numel * 4, &t.ctx.error), LT_OK);
    lth_generator_seed(&t.e->generator, 5);
    lt_tensor *q = leaf(&t, gold_find(g, "%s/q", name)), *other = leaf(&t, gold_find(g, "%s/k", name)), *k = other ? other : q;
    lt_multihead_opts o = {.struct_size = sizeof o, .causal = causal, .need_weights = v->need_weights || whole};
    o.key_padding_mask = any(&t, gold_find(g, "%s/key_padding_mask", name));
    o.attn_mask = causal ? NULL : any(&t, gold_find(g, "%s/attn_mask", name));
    lt_tensor *y = nn->multihead_forward(&t.ctx, l, q, k, k, &o);
    if (!y) {
        fail_msg("%s: %s", name, t.ctx.error.text);
    }
    same(name, "y", y, gold_find(g, "%s/y", name));
    if (v->need_weights) {
        same(name, "weights", o.weights, gold_find(g, "%s/weights", name));
    }
    if (lth_backward(&t.ctx, weighted(&t, y), NULL, 1) != LT_OK) {
        fail_msg("%s: %s", name, t.ctx.error.text);
    }
    same(name, "gq", q->grad, gold_find(g, "%s/gq", name));
    if (other) {
        same(name, "gk", other->grad, gold_find(g, "%s/gk", name));
    }
    check_gradients(&t, g, name);
    close_model(&t);
}

static void run_encoder(const gold_file *g, const lth_backend *backend, const char *variant_name, const lt_nn_encoder_layer_opts *opts) {
    model t;
    char name[64];
    snprintf(name, sizeof name, "encoder.%s", variant_name);
    open_model(&t, backend, 3);
    lt_module *l = nn->child(&t.ctx, "layer", nn->encoder_layer(&t.ctx, 8, 2, opts));
    seal(&t);
    check_init(&t, g, name);
    lth_generator_seed(&t.e->generator, 5);
    lt_tensor *x = leaf(&t, gold_find(g, "%s/q", name)), *y = nn->forward(&t.ctx, l, x);
    if (!y) {
        fail_msg("%s: %s", name, t.ctx.error.text);
    }
    same(name, "y", y, gold_find(g, "%s/y", name));
    assert_int_equal(lth_backward(&t.ctx, weighted(&t, y), NULL, 1), LT_OK);
    same(name, "gx", x->grad, gold_find(g, "%s/gq", name));
    check_gradients(&t, g, name);
    close_model(&t);
}

static void golden(void **state) {
    static const lt_nn_encoder_layer_opts post = {.struct_size = sizeof post, .batch_first = 1, .no_dropout = 1, .dim_feedforward = 12};
    static const lt_nn_encoder_layer_opts pre = {.struct_size = sizeof pre, .norm_first = 1, .no_dropout = 1, .dim_feedforward = 12, .activation = LT_ACT_GELU};
    static const lt_nn_encoder_layer_opts dropped = {.struct_size = sizeof dropped, .batch_first = 1, .norm_first = 1, .dropout = 0.25, .dim_feedforward = 12};
    gold_file g;
    (void)state;
    if (gold_open(&g, TEST_DATA_DIR "/golden/modules.bin")) {
        fail_msg("%s", g.error);
    }
    for (int k = 0; k < 2; k++) {
        const lth_backend *backend = k ? &lth_backend_cpu : &lth_backend_reference;
        for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
            run_variant(&g, backend, &variants[i], false, false);
            run_variant(&g, backend, &variants[i], false, true);
        }
        run_variant(&g, backend, &variants[6], true, false); /* "both": its attn_mask is the causal one */
        run_variant(&g, backend, &variants[6], true, true);
        run_encoder(&g, backend, "post", &post);
        run_encoder(&g, backend, "pre", &pre);
        run_encoder(&g, backend, "dropped", &dropped);
    }
    gold_close(&g);
}

static void refused(model *t, lt_status code, const char *text) {
    assert_int_equal(t->ctx.error.code, code);
    if (!strstr(t->ctx.error.text, text)) {
        fail_msg("'%s' is not in '%s'", text, t->ctx.error.text);
    }
    t->ctx.error = (lth_error){0};
}

static lt_tensor *zeros(model *t, int ndim, int64_t a, int64_t b, int64_t c) { return op->full(&t->ctx, LT_F32, ndim, (int64_t[]){a, b, c}, 0); }

static void refusals(void **state) {
    model t;
    (void)state;
    open_model(&t, &lth_backend_reference, 1);
    lt_ctx *c = &t.ctx;
    assert_null(nn->multihead(c, 8, 3, NULL));
    refused(&t, LT_EINVAL, "num_heads 3 must divide embed_dim 8");
    assert_null(nn->multihead(c, 8, 2, &(lt_nn_multihead_opts){.struct_size = sizeof(lt_nn_multihead_opts), .dropout = 1.5}));
    refused(&t, LT_EINVAL, "lt_nn_multihead_attention: dropout must lie between 0 and 1, got 1.5");
    lt_nn_encoder_layer_opts e = {.struct_size = sizeof e, .dim_feedforward = -3};
    assert_null(nn->encoder_layer(c, 8, 2, &e));
    refused(&t, LT_EINVAL, "lt_nn_transformer_encoder_layer: dim_feedforward must be at least 1, got -3");
    e = (lt_nn_encoder_layer_opts){.struct_size = sizeof e, .dropout = -0.5};
    assert_null(nn->encoder_layer(c, 8, 2, &e));
    refused(&t, LT_EINVAL, "lt_nn_transformer_encoder_layer: dropout must lie between 0 and 1, got -0.5");
    e = (lt_nn_encoder_layer_opts){.struct_size = sizeof e, .layer_norm_eps = -1e-5};
    assert_null(nn->encoder_layer(c, 8, 2, &e));
    refused(&t, LT_EINVAL, "lt_nn_transformer_encoder_layer: layer_norm_eps must be a positive number, got -1e-05");
    assert_null(nn->encoder_layer(c, 8, 0, NULL));
    refused(&t, LT_EINVAL, "num_heads must be at least 1");
    close_model(&t);
    open_model(&t, &lth_backend_reference, 1);
    lt_module *l = nn->child(c, "attn", nn->multihead(c, 8, 2, NULL)), *fc = nn->child(c, "fc", nn->linear(c, 8, 8, true));
    seal(&t);
    lt_tensor *x = zeros(&t, 3, 4, 3, 8);
    assert_null(nn->forward(c, l, zeros(&t, 3, 4, 3, 9)));
    refused(&t, LT_ESHAPE, "multihead attention attn got q (4, 3, 9)");
    lt_multihead_opts o = {.struct_size = sizeof o, .attn_mask = zeros(&t, 2, 3, 3, 0)};
    assert_null(nn->multihead_forward(c, l, x, x, x, &o));
    refused(&t, LT_ESHAPE, "attn_mask (3, 3) must be (T, S)");
    static const int64_t odd[][3] = {{2, 8, 0}, {4, 5, 0}, {2, 4, 4}, {1, 8, 4}, {6, 8, 2}}; /* of the right count, or nearly */
    for (size_t k = 0; k < sizeof odd / sizeof *odd; k++) {
        o = (lt_multihead_opts){.struct_size = sizeof o, .attn_mask = zeros(&t, odd[k][2] ? 3 : 2, odd[k][0], odd[k][1], odd[k][2])};
        assert_null(nn->multihead_forward(c, l, x, x, x, &o));
        refused(&t, LT_ESHAPE, "must be (T, S) or (B heads, T, S), which is (4, 4) or (6, 4, 4)");
    }
    o = (lt_multihead_opts){.struct_size = sizeof o, .key_padding_mask = zeros(&t, 2, 4, 3, 0)};
    assert_null(nn->multihead_forward(c, l, x, x, x, &o));
    refused(&t, LT_ESHAPE, "key_padding_mask (4, 3) must be (B, S)");
    assert_null(nn->multihead_forward(c, fc, x, x, x, NULL));
    refused(&t, LT_EINVAL, "'fc' is a Linear");
    assert_null(nn->multihead_forward(c, l, x, NULL, x, NULL));
    refused(&t, LT_EINVAL, "the input is NULL");
    close_model(&t);
}

/* A row that may look at nothing gives out_proj of 0, its weights are 0 and its gradients finite: fused, with weights, and with dropout. */
static void rows_that_see_nothing(void **state) {
    (void)state;
    for (int how = 0; how < 6; how++) { /* fused, weights, dropout; bool and added masks */
        const int64_t T = 4;
        model t;
        open_model(&t, how % 2 ? &lth_backend_cpu : &lth_backend_reference, 3);
        lt_ctx *c = &t.ctx;
        const lt_nn_multihead_opts opts = {.struct_size = sizeof opts, .batch_first = 1, .dropout = how / 2 == 2 ? 0.25 : 0};
        lt_module *l = nn->child(c, "attn", nn->multihead(c, 8, 2, &opts));
        seal(&t);
        lt_tensor *x = op->full(c, LT_F32, 3, (int64_t[]){2, T, 8}, 0.25), *bias = nn->module_parameter(c, l, "out_proj.bias");
        lt_tensor *mask = op->full(c, how % 2 ? LT_F32 : LT_BOOL, 2, (int64_t[]){T, T}, 0);
        for (int64_t i = 0; i < 8; i++) {
            ((float *)bias->a.data)[i] = (float)i;
        }
        for (int64_t i = 0; i < T; i++) { /* row 2 */
            if (how % 2) {
                ((float *)mask->a.data)[2 * T + i] = -INFINITY;
            } else {
                ((uint8_t *)mask->a.data)[2 * T + i] = 1;
            }
        }
        x->requires_grad = x->is_leaf = 1;
        lt_multihead_opts o = {.struct_size = sizeof o, .attn_mask = mask, .need_weights = how / 2 == 1};
        lt_tensor *y = nn->multihead_forward(c, l, x, x, x, &o);
        if (!y || lth_backward(c, weighted(&t, y), NULL, 1) != LT_OK) {
            fail_msg("%s", c->error.text);
        }
        for (int64_t i = 0; i < 2 * T * 8; i++) {
            assert_true(isfinite(((float *)x->grad->a.data)[i]));
            const float v = ((float *)y->a.data)[i];
            if (i / 8 % T == 2 ? v != (float)(i % 8) : !isfinite(v)) {
                fail_msg("case %d: element %lld is %g", how, (long long)i, (double)v);
            }
        }
        for (int64_t i = 0; o.weights && i < 2 * T * T; i++) {
            const float w = ((float *)o.weights->a.data)[i], want = i / T % T == 2 ? 0.0F : 0.25F;
            assert_float_equal(w, want, 1e-6F);
        }
        close_model(&t);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(golden), cmocka_unit_test(refusals), cmocka_unit_test(rows_that_see_nothing)};
    return cmocka_run_group_tests_name("engine.nn_attention", tests, NULL, NULL);
}
