/* tests/engine/test_nn_recurrent.c - LSTM and GRU modules against PyTorch (tests/golden/modules.bin): names, initial bits, outputs, states,
 * gradients, dropout's bits; and what they refuse. On both backends. */
#include "../golden/golden.h"
#include "engine/nn/module.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct model { lth_engine *e; lth_modules *m; lt_ctx ctx; } model;
static const lt_nn_api *const nn = &lth_nn_table;
static const lt_tensor_api *const op = &lth_tensor_table;

static void open_model(model *t, const lth_backend *backend, uint64_t seed) {
    lth_error err = {0};
    *t = (model){0};
    lth_ctx_init(&t->ctx, LTH_TRAINER_THREAD);
    lth_engine_opts opts = {.seed = seed, .threads = 1};
    assert_int_equal(lth_engine_open(&t->e, backend, &opts, &err), LT_OK);
    t->m = lth_modules_new(t->e, &err);
    assert_non_null(t->m);
    t->ctx.engine = t->e;
    t->ctx.modules = t->m;
    t->ctx.in_configure = true;
}

static void seal(model *t) {
    t->ctx.in_configure = false;
    if (t->ctx.error.code || lth_modules_seal(t->m, &t->ctx.error) != LT_OK) {
        fail_msg("%s", t->ctx.error.text);
    }
}

static void close_model(model *t) {
    lth_modules_free(t->m);
    lth_engine_free(t->e);
}

static void same(const char *name, const char *what, const lt_tensor *got, const gold_record *want) {
    if (!got || !want) {
        fail_msg("%s: no %s", name, what);
    }
    assert_int_equal(lth_numel(got), want->numel);
    assert_int_equal(got->a.ndim, want->ndim);
    double *values = calloc((size_t)want->numel + 1, sizeof *values);
    lth_error err = {0};
    assert_int_equal(lth_tensor_read((lt_tensor *)(uintptr_t)got, 0, want->numel, values, &err), LT_OK);
    for (int64_t i = 0; i < want->numel; i++) {
        const double v = ((const float *)want->data)[i];
        if (!(fabs(values[i] - v) <= 1.3e-6 * fabs(v) + 1e-5)) {
            fail_msg("%s, %s: element %lld is %.9g, torch has %.9g", name, what, (long long)i, values[i], v);
        }
    }
    free(values);
}

static lt_tensor *wrap(model *t, const gold_record *r) {
    return r ? lth_tensor_wrap(t->e, LT_F32, r->ndim, r->shape, (void *)(uintptr_t)r->data, &t->ctx.error) : NULL;
}

static lt_tensor *weighted(model *t, lt_tensor *y) {
    lt_tensor *w = lth_tensor_new(t->e, LT_F32, y->a.ndim, y->a.shape, &t->ctx.error);
    for (int64_t i = 0; i < lth_numel(w); i++) {
        ((float *)w->a.data)[i] = cosf((float)i);
    }
    return op->sum(&t->ctx, op->mul(&t->ctx, y, w), NULL, 0, false);
}

static void check_init(model *t, const gold_file *g, const char *name) {
    int64_t count = 0;
    for (size_t k = 0; k < g->count; k++) {
        char prefix[64];
        const int length = snprintf(prefix, sizeof prefix, "%s/init/", name);
        if (!strncmp(g->records[k].name, prefix, (size_t)length)) {
            const lth_state_entry s = lth_state_at(t->m, count++);
            assert_string_equal(s.name + 4, g->records[k].name + length); /* after "rnn." */
            assert_memory_equal(s.value->a.data, g->records[k].data, (size_t)g->records[k].numel * sizeof(float));
        }
    }
    assert_int_equal(count, lth_state_count(t->m));
}

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
    for (int64_t k = 0; k < t.m->n_params; k++) {
        same(name, t.m->params[k]->name, t.m->params[k]->value->grad, gold_find(g, "%s/grad/%s", name, t.m->params[k]->name + 4));
    }
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
