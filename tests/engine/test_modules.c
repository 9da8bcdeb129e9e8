/* tests/engine/test_modules.c - groups, lists, shared modules, tied parameters, buffers, modes and freezing: names, order, draws and
 * gradients as PyTorch's, and what is refused. */
#include "../golden/golden.h"
#include "engine/nn/module.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct model { lth_engine *e; lth_modules *m; lt_ctx ctx; } model;
static const lt_nn_api *const nn = &lth_nn_table;

static void open_model(model *t) {
    lth_error err = {0};
    *t = (model){0};
    lth_ctx_init(&t->ctx, LTH_TRAINER_THREAD);
    lth_engine_opts opts = {.seed = 7};
    assert_int_equal(lth_engine_open(&t->e, &lth_backend_reference, &opts, &err), LT_OK);
    t->m = lth_modules_new(t->e, &err);
    assert_non_null(t->m);
    t->ctx.engine = t->e;
    t->ctx.modules = t->m;
    t->ctx.in_configure = true;
}

static void close_model(model *t) {
    lth_modules_free(t->m);
    lth_engine_free(t->e);
}

static void seal(model *t) {
    t->ctx.in_configure = false;
    if (t->ctx.error.code || lth_modules_seal(t->m, &t->ctx.error) != LT_OK) {
        fail_msg("%s", t->ctx.error.text);
    }
}

static void seal_fails(model *t, const char *text) {
    t->ctx.in_configure = false;
    assert_int_not_equal(lth_modules_seal(t->m, &t->ctx.error), LT_OK);
    if (!strstr(t->ctx.error.text, text)) {
        fail_msg("'%s' is not in '%s'", text, t->ctx.error.text);
    }
    close_model(t);
}

static void refused(model *t, lt_status code, const char *text) {
    assert_int_equal(t->ctx.error.code, code);
    if (!strstr(t->ctx.error.text, text)) {
        fail_msg("'%s' is not in '%s'", text, t->ctx.error.text);
    }
    t->ctx.error = (lth_error){0};
}

static lt_tensor *tensor(model *t, int64_t rows, int64_t cols) {
    lt_tensor *x = lth_tensor_new(t->e, LT_F32, 2, (int64_t[]){rows, cols}, &t->ctx.error);
    for (int64_t i = 0; i < rows * cols; i++) {
        ((float *)x->a.data)[i] = (float)((double)(i * 7 % 11) / 5 - 1);
    }
    return x;
}

static void expect_names(const lth_modules *m, const char *const *names, int64_t n) {
    for (int64_t k = 0; k < n && k < lth_state_count(m); k++) {
        assert_string_equal(lth_state_at(m, k).name, names[k]);
    }
    assert_int_equal(lth_state_count(m), n);
}

/* transformer.wte, transformer.h.0.attn.c_attn, ...: names as nested classes give them in PyTorch. */
static void groups_name_their_children(void **state) {
    model t;
    (void)state;
    open_model(&t);
    lt_ctx *c = &t.ctx;
    lt_module *net = nn->module(c, "net", "Net"), *h = nn->child_of(c, net, "h", nn->module_list(c, NULL, NULL, 0));
    nn->buffer(c, NULL, "steps", LT_I64, 0, NULL, 3);
    nn->parameter(c, "scale", LT_F32, 0, NULL, 2);
    for (int k = 0; k < 2; k++) {
        lt_module *block = nn->child_of(c, h, NULL, nn->module(c, NULL, "Block")), *attn = nn->child_of(c, block, "attn", nn->module(c, NULL, NULL));
        nn->child_of(c, attn, "c_attn", nn->linear(c, 3, 3, true));
        nn->parameter_of(c, block, "gain", LT_F32, 1, (int64_t[]){3}, 1);
        nn->buffer(c, block, "mask", LT_BOOL, 1, (int64_t[]){3}, 1);
    }
    lt_module *items[] = {nn->linear(c, 2, 2, false), nn->child(c, "last", nn->linear(c, 2, 2, false))};
    nn->module_list(c, "blocks", items, 2);
    seal(&t);
    /* parameters of a module stand before its children's, as in PyTorch */
    static const char *const order[] = {"scale", "steps", "net.h.0.gain", "net.h.0.mask", "net.h.0.attn.c_attn.weight", "net.h.0.attn.c_attn.bias",
                                        "net.h.1.gain", "net.h.1.mask", "net.h.1.attn.c_attn.weight", "net.h.1.attn.c_attn.bias", "blocks.0.weight",
                                        "blocks.last.weight"};
    expect_names(t.m, order, 12);
    assert_int_equal(*(int64_t *)lth_state_at(t.m, 1).value->a.data, 3);
    assert_int_equal(((uint8_t *)nn->module_parameter(c, h, "1.mask")->a.data)[2], 1);
    assert_float_equal(((float *)nn->module_parameter(c, NULL, "net.h.1.gain")->a.data)[2], 1, 0);
    lt_module_info info = {.struct_size = sizeof info};
    assert_int_equal(nn->module_info(c, 0, &info), LT_OK);
    assert_string_equal(info.type, "Net");
    assert_int_equal(info.parameters, 2 * (12 + 3));
    assert_int_equal(info.buffers, 2 * 3);
    assert_int_equal(nn->module_info(c, 2, &info), LT_OK);
    assert_string_equal(info.name, "net.h.0");
    assert_int_equal(info.depth, 2);
    assert_null(nn->forward(c, net, tensor(&t, 1, 3)));
    refused(&t, LT_EUNSUPPORTED, "'net' only holds modules");
    close_model(&t);
}

/* wte.weight = lm_head.weight: one parameter, both names; what wte would have drawn is drawn. */
static void tied_parameters_are_one(void **state) {
    static const char *const names[] = {"wte.weight", "mid.weight", "head.weight"};
    model t, plain;
    (void)state;
    for (int tied = 0; tied < 2; tied++) {
        model *p = tied ? &t : &plain;
        open_model(p);
        lt_module *wte = nn->child(&p->ctx, "wte", nn->linear(&p->ctx, 4, 3, false));
        nn->child(&p->ctx, "mid", nn->linear(&p->ctx, 3, 4, false));
        lt_module *head = nn->child(&p->ctx, "head", nn->linear(&p->ctx, 4, 3, false));
        if (tied) {
            assert_int_equal(nn->tie(&p->ctx, wte, "weight", head, "weight"), LT_OK);
        }
        seal(p);
        expect_names(p->m, names, 3);
    }
    assert_int_equal(plain.m->n_params, 3);
    assert_int_equal(t.m->n_params, 2);
    assert_string_equal(t.m->params[0]->name, "wte.weight"); /* optimizers know it by its first name */
    assert_ptr_equal(lth_state_at(t.m, 0).value, lth_state_at(t.m, 2).value);
    for (int k = 1; k < 3; k++) {
        assert_memory_equal(lth_state_at(t.m, k).value->a.data, lth_state_at(plain.m, k).value->a.data, 12 * sizeof(float));
    }
    /* gradients of both uses meet */
    lt_ctx *c = &t.ctx;
    lt_tensor *x = tensor(&t, 2, 4), *y = nn->forward(c, lth_modules_find(t.m, "wte"), x);
    y = nn->forward(c, lth_modules_find(t.m, "head"), nn->forward(c, lth_modules_find(t.m, "mid"), y));
    assert_int_equal(lth_backward(c, lth_tensor_table.sum(c, y, NULL, 0, false), NULL, 1), LT_OK);
    lt_tensor *w = lth_state_at(t.m, 0).value;
    float *value = w->a.data, analytic = ((float *)w->grad->a.data)[5], kept = value[5];
    double sums[2];
    for (int side = 0; side < 2; side++) {
        value[5] = kept + (side ? 1e-2f : -1e-2f);
        y = nn->forward(c, lth_modules_find(t.m, "mid"), nn->forward(c, lth_modules_find(t.m, "wte"), x));
        sums[side] = lth_tensor_table.item(c, lth_tensor_table.sum(c, nn->forward(c, lth_modules_find(t.m, "head"), y), NULL, 0, false));
    }
    assert_float_equal(analytic, (sums[1] - sums[0]) / 2e-2, 1e-3);
    close_model(&t);
    close_model(&plain);
}

static void shared_modules_have_two_names(void **state) {
    static const char *const names[] = {"a.0.weight", "a.0.bias", "a.2.weight", "a.2.bias", "b.weight", "b.bias"};
    model t;
    (void)state;
    open_model(&t);
    lt_ctx *c = &t.ctx;
    lt_module *lin = nn->linear(c, 3, 3, true), *items[] = {lin, nn->activation(c, LT_ACT_TANH), nn->share(c, lin)};
    lt_module *a = nn->sequential(c, "a", items, 3), *b = nn->child(c, "b", nn->share(c, lin));
    seal(&t);
    expect_names(t.m, names, 6);
    assert_int_equal(t.m->n_params, 2);
    assert_int_equal(lth_modules_count(t.m), 3); /* a, a.0, a.1: a module counts once */
    lt_tensor *x = tensor(&t, 2, 3), *y = nn->forward(c, a, x), *z = nn->forward(c, lin, x);
    z = nn->forward(c, b, lth_tensor_table.tanh(c, z));
    assert_memory_equal(y->a.data, z->a.data, 6 * sizeof(float));
    lt_module_info info = {.struct_size = sizeof info};
    assert_int_equal(nn->module_info(c, 0, &info), LT_OK);
    assert_int_equal(info.parameters, 12);
    nn->freeze(c, b, true);
    assert_int_equal(nn->module_info(c, 0, &info), LT_OK);
    assert_int_equal(info.trainable, 0);
    nn->freeze_parameter(c, a, "2.bias", false);
    assert_true(nn->requires_grad(c, lin, "bias"));
    assert_false(nn->requires_grad(c, NULL, "b.weight"));
    nn->freeze_parameter(c, a, "9.bias", false);
    refused(&t, LT_EABSENT, "module a has no parameter or buffer '9.bias'");
    nn->train(c, b, false);
    assert_false(nn->module_training(c, lin));
    assert_true(nn->module_training(c, a));
    nn->train(c, NULL, true);
    assert_true(nn->module_training(c, b));
    close_model(&t);
}

static void bad_places_are_refused(void **state) {
    model t;
    (void)state;
    open_model(&t);
    lt_ctx *c = &t.ctx;
    lt_module *lin = nn->linear(c, 2, 2, true), *group = nn->module(c, "g", NULL), *small = nn->linear(c, 1, 2, true);
    nn->child_of(c, lin, "x", group);
    refused(&t, LT_EINVAL, "cannot go into a Linear");
    nn->child_of(c, group, "x", NULL);
    refused(&t, LT_EINVAL, "the module of 'x' is NULL");
    nn->child_of(c, group, "a.b", lin);
    refused(&t, LT_EINVAL, "'a.b' is no name");
    nn->child_of(c, group, "lin", lin);
    nn->child_of(c, group, "again", lin);
    refused(&t, LT_EINVAL, "already");
    nn->tie(c, lin, "weight", small, "weight");
    refused(&t, LT_ESHAPE, "'weight' (2, 2) and 'weight' (2, 1)");
    nn->tie(c, group, "lin.gain", small, "weight");
    refused(&t, LT_EABSENT, "no parameter 'lin.gain'");
    nn->tie(c, group, "lin.bias", small, "bias");
    assert_int_equal(c->error.code, LT_OK);
    nn->buffer(c, group, "b", 77, 0, NULL, 0);
    refused(&t, LT_EDTYPE, "no dtype with the number 77");
    nn->parameter_of(c, group, "p", LT_F64, 0, NULL, 0);
    refused(&t, LT_EUNSUPPORTED, "must be f32");
    nn->module_list(c, "l", NULL, 2);
    refused(&t, LT_EINVAL, "items is NULL");
    nn->share(c, NULL);
    refused(&t, LT_EINVAL, "the module is NULL");
    seal_fails(&t, "linear"); /* small has no place */

    open_model(&t);
    lt_module *loop = nn->module(&t.ctx, "loop", NULL);
    nn->child_of(&t.ctx, loop, "self", nn->share(&t.ctx, loop));
    seal_fails(&t, "module 'loop' contains itself");

    open_model(&t);
    group = nn->module(&t.ctx, "g", NULL);
    nn->child_of(&t.ctx, group, "w", nn->linear(&t.ctx, 1, 1, true));
    nn->parameter_of(&t.ctx, group, "w", LT_F32, 0, NULL, 0);
    seal_fails(&t, "'g.w'");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups_name_their_children),
        cmocka_unit_test(tied_parameters_are_one),
        cmocka_unit_test(shared_modules_have_two_names),
        cmocka_unit_test(bad_places_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
