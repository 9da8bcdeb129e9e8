/* tests/engine/test_nn_recurrent.c - LSTM and GRU modules against PyTorch (tests/golden/modules.bin): names, initial bits, outputs, states,
 * gradients, dropout's bits; and what they refuse. On both backends. */
#include "test_module.h"

typedef struct variant { const char *name; lt_nn_recurrent_opts opts; } variant;
static const variant variants[] = {
    {"plain", {.struct_size = sizeof(lt_nn_recurrent_opts)}},
    {"deep", {.struct_size = sizeof(lt_nn_recurrent_opts), .num_layers = 3, .batch_first = 1}},
    {"both", {.struct_size = sizeof(lt_nn_recurrent_opts), .num_layers = 2, .bidirectional = 1}},
    {"nobias", {.struct_size = sizeof(lt_nn_recurrent_opts), .no_bias = 1, .bidirectional = 1, .batch_first = 1}},
    {"dropout", {.struct_size = sizeof(lt_nn_recurrent_opts), .num_layers = 3, .dropout = 0.4}},
};

static void run_variant(const gold_file *g, const lth_backend *backend, const variant *v, bool lstm) {
    model t;
    char name[64];
    snprintf(name, sizeof name, "%s.%s", lstm ? "lstm" : "gru", v->name);
    open_model(&t, backend, 3);
    lt_module *l = nn->child(&t.ctx, "rnn", lstm ? nn->lstm(&t.ctx, 5, 6, &v->opts) : nn->gru(&t.ctx, 5, 6, &v->opts));
    seal(&t);
    check_init(&t, g, name);
    lth_generator_seed(&t.e->generator, 5);
    lt_tensor *x = wrap(&t, gold_find(g, "%s/x", name));
    x->requires_grad = x->is_leaf = 1;
    lt_recurrent_state s = {.struct_size = sizeof s, .h = wrap(&t, gold_find(g, "%s/h0", name)), .c = wrap(&t, gold_find(g, "%s/c0", name))};
    lt_tensor *y = nn->recurrent_forward(&t.ctx, l, x, &s);
    if (!y) {
        fail_msg("%s: %s", name, t.ctx.error.text);
    }
    same(name, "y", y, gold_find(g, "%s/y", name));
    same(name, "h", s.h, gold_find(g, "%s/h", name));
    lt_tensor *loss = op->add(&t.ctx, weighted(&t, y), op->sum(&t.ctx, s.h, NULL, 0, false));
    if (lstm) {
        same(name, "c", s.c, gold_find(g, "%s/c", name));
        loss = op->add(&t.ctx, loss, op->sum(&t.ctx, s.c, NULL, 0, false));
    } else {
        assert_null(s.c);
    }
    assert_int_equal(lth_backward(&t.ctx, loss, NULL, 1), LT_OK);
    same(name, "gx", x->grad, gold_find(g, "%s/gx", name));
    check_gradients(&t, g, name);
    close_model(&t);
}

static void golden(void **state) {
    gold_file g;
    (void)state;
    if (gold_open(&g, TEST_DATA_DIR "/golden/modules.bin")) {
        fail_msg("%s", g.error);
    }
    for (int backend = 0; backend < 2; backend++) {
        for (size_t k = 0; k < sizeof variants / sizeof *variants; k++) {
            run_variant(&g, backend ? &lth_backend_cpu : &lth_backend_reference, &variants[k], true);
            run_variant(&g, backend ? &lth_backend_cpu : &lth_backend_reference, &variants[k], false);
        }
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
    lt_nn_recurrent_opts o = {.struct_size = sizeof o, .dropout = 0.5};
    assert_null(nn->lstm(c, 3, 4, &o));
    refused(&t, LT_EINVAL, "dropout 0.5 acts between layers");
    assert_null(nn->gru(c, 0, 4, NULL));
    refused(&t, LT_EINVAL, "lt_nn_gru: input_size");
    o.num_layers = -1;
    assert_null(nn->lstm(c, 3, 4, &o));
    refused(&t, LT_EINVAL, "num_layers must be at least 1");
    o = (lt_nn_recurrent_opts){.struct_size = sizeof o, .num_layers = 33, .bidirectional = 1};
    assert_null(nn->gru(c, 3, 4, &o));
    refused(&t, LT_EUNSUPPORTED, "lt_nn_gru: 33 layers in 2 directions are 66; at most 64 can be run");
    o = (lt_nn_recurrent_opts){.struct_size = sizeof o, .num_layers = 65};
    assert_null(nn->lstm(c, 3, 4, &o));
    refused(&t, LT_EUNSUPPORTED, "lt_nn_lstm: 65 layers in 1 direction are 65; at most 64 can be run");
    lt_module *l = nn->child(c, "memory", nn->lstm(c, 3, 4, NULL)), *flat = nn->child(c, "fc", nn->linear(c, 3, 4, true));
    seal(&t);
    assert_null(nn->forward(c, l, zeros(&t, 3, 2, 2, 5)));
    refused(&t, LT_ESHAPE, "lstm memory (3 -> 4) got (2, 2, 5); it takes (T, B, 3)");
    assert_null(nn->forward(c, l, zeros(&t, 2, 2, 3, 0)));
    refused(&t, LT_ESHAPE, "lstm memory (3 -> 4) got (2, 3)");
    lt_recurrent_state s = {.struct_size = sizeof s, .h = zeros(&t, 3, 1, 9, 4)};
    assert_null(nn->recurrent_forward(c, l, zeros(&t, 3, 2, 2, 3), &s));
    refused(&t, LT_ESHAPE, "state h (1, 9, 4); it must be (1, 2, 4)");
    assert_null(nn->recurrent_forward(c, flat, zeros(&t, 3, 2, 2, 3), NULL));
    refused(&t, LT_EINVAL, "'fc' is a Linear, but must be an LSTM or a GRU");
    assert_null(nn->recurrent_forward(c, NULL, zeros(&t, 3, 2, 2, 3), NULL));
    refused(&t, LT_EINVAL, "the module is NULL");
    close_model(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(golden), cmocka_unit_test(refusals)};
    return cmocka_run_group_tests_name("engine.nn_recurrent", tests, NULL, NULL);
}
