/* tests/engine/test_nn_lazy.c - shapes left open in configure and settled by one forward: the same values as with shapes written out, modes
 * and generator untouched, and who is named where the forward says nothing. */
#include "base/mem.h"
#include "engine/nn/module.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

typedef struct model { lth_engine *e; lth_modules *m; lt_ctx ctx; lt_module *net; } model;
static const lt_nn_api *const nn = &lth_nn_table;
static const lt_tensor_api *const op = &lth_tensor_table;

/* conv -> relu -> pool -> flatten -> dropout -> linear; sizes written out, or open. */
static void open_model(model *t, bool open) {
    lth_error err = {0};
    const lt_pool2d_opts pool = {.struct_size = sizeof pool, .kernel = {2}};
    *t = (model){0};
    lth_ctx_init(&t->ctx, LTH_TRAINER_THREAD);
    assert_int_equal(lth_engine_open(&t->e, &lth_backend_cpu, &(lth_engine_opts){.seed = 9, .threads = 1}, &err), LT_OK);
    t->m = lth_modules_new(t->e, &err);
    t->ctx.engine = t->e;
    t->ctx.modules = t->m;
    t->ctx.in_configure = true;
    lt_ctx *c = &t->ctx;
    lt_module *items[] = {nn->conv2d(c, open ? 0 : 4, 6, 3, &(lt_nn_conv2d_opts){.struct_size = sizeof(lt_nn_conv2d_opts), .groups = 2}),
                          nn->activation(c, LT_ACT_RELU), nn->max_pool2d(c, &pool), nn->flatten(c, 1), nn->dropout(c, 0.5),
                          nn->linear(c, open ? 0 : 54, 5, true)};
    t->net = nn->sequential(c, "net", items, 6);
}

static void close_model(model *t) {
    lth_modules_free(t->m);
    lth_engine_free(t->e);
}

static lt_tensor *run(lt_ctx *ctx, void *net, lt_tensor *x) { return nn->forward(ctx, net, x); }
static lt_tensor *run_nothing(lt_ctx *ctx, void *net, lt_tensor *x) { return (void)ctx, (void)net, x; }
static lt_tensor *example(model *t) { return op->full(&t->ctx, LT_F32, 4, (int64_t[]){1, 4, 8, 8}, 0.5); }

static void settled_as_written_out(void **state) {
    model a, b;
    (void)state;
    open_model(&a, false);
    open_model(&b, true);
    a.ctx.in_configure = b.ctx.in_configure = false;
    assert_false(lth_modules_open(a.m));
    assert_true(lth_modules_open(b.m));
    assert_int_equal(lth_modules_settle(&b.ctx, b.m, run, b.net, example(&b)), LT_OK);
    assert_false(lth_modules_open(b.m));
    assert_true(nn->training(&b.ctx));
    assert_int_equal(lth_modules_seal(a.m, &a.ctx.error), LT_OK);
    assert_int_equal(lth_modules_seal(b.m, &b.ctx.error), LT_OK);
    assert_int_equal(lth_state_count(a.m), lth_state_count(b.m));
    for (int64_t k = 0; k < lth_state_count(a.m); k++) {
        const lt_tensor *x = lth_state_at(a.m, k).value, *y = lth_state_at(b.m, k).value;
        assert_int_equal(lth_numel(x), lth_numel(y));
        assert_memory_equal(x->a.data, y->a.data, (size_t)lth_numel(x) * sizeof(float));
    }
    nn->train(&b.ctx, NULL, false);
    nn->train(&a.ctx, NULL, false);
    lt_tensor *y = nn->forward(&b.ctx, b.net, example(&b)), *z = nn->forward(&a.ctx, a.net, example(&a));
    assert_memory_equal(y->a.data, z->a.data, 5 * sizeof(float));
    close_model(&a);
    close_model(&b);
    assert_int_equal(lth_alloc_live(), 0);
}

static void says(model *t, lt_status status, lt_status code, const char *text) {
    assert_int_equal(status, code);
    if (!strstr(t->ctx.error.text, text)) {
        fail_msg("'%s' is not in '%s'", text, t->ctx.error.text);
    }
    close_model(t);
    assert_int_equal(lth_alloc_live(), 0);
}

static void not_settled(void **state) {
    model t;
    (void)state;
    open_model(&t, true);
    t.ctx.in_configure = false;
    says(&t, lth_modules_seal(t.m, &t.ctx.error), LT_ESTATE, "conv2d net.0 (0 -> 6, kernel 3x3) left its input open");
    open_model(&t, true);
    t.ctx.in_configure = false;
    says(&t, lth_modules_settle(&t.ctx, t.m, run_nothing, t.net, example(&t)), LT_ESTATE, "did not run in the forward that settles shapes");
    open_model(&t, true);
    t.ctx.in_configure = false;
    lt_tensor *odd = op->full(&t.ctx, LT_F32, 4, (int64_t[]){1, 3, 8, 8}, 0);
    says(&t, lth_modules_settle(&t.ctx, t.m, run, t.net, odd), LT_ESHAPE, "got (1, 3, 8, 8); its input size was left open");
    open_model(&t, true);
    t.ctx.in_configure = false;
    odd = op->full(&t.ctx, LT_F32, 2, (int64_t[]){1, 4}, 0);
    says(&t, lth_modules_settle(&t.ctx, t.m, run, t.net, odd), LT_ESHAPE, "left open");
}

/* ---- two open layers of one weight ---- */
typedef struct tied { model t; lt_module *a, *b; int64_t of_b; } tied;

static void open_tied(tied *p, int64_t in) {
    open_model(&p->t, false);
    lt_ctx *c = &p->t.ctx;
    p->a = nn->child(c, "a", nn->linear(c, in, 64, true));
    p->b = nn->child(c, "b", nn->linear(c, in, 64, true));
    assert_int_equal(nn->tie(c, p->b, "weight", p->a, "weight"), LT_OK);
    c->in_configure = false;
}

static lt_tensor *run_tied(lt_ctx *ctx, void *self, lt_tensor *x) {
    const tied *p = self;
    lt_tensor *y = nn->forward(ctx, p->a, x);
    return y ? nn->forward(ctx, p->b, op->full(ctx, LT_F32, 2, (int64_t[]){3, p->of_b}, 0.5)) : NULL;
}

/* Values and the generator afterwards as with sizes written out: what a tied layer's own weight would have drawn is drawn. */
static void tied_as_written_out(void **state) {
    tied open = {.of_b = 10}, said = {.of_b = 10};
    (void)state;
    open_tied(&open, 0);
    open_tied(&said, 10);
    lt_tensor *x = op->full(&open.t.ctx, LT_F32, 2, (int64_t[]){3, 10}, 0.5);
    assert_int_equal(lth_modules_settle(&open.t.ctx, open.t.m, run_tied, &open, x), LT_OK);
    assert_int_equal(lth_modules_seal(open.t.m, &open.t.ctx.error), LT_OK);
    assert_int_equal(lth_modules_seal(said.t.m, &said.t.ctx.error), LT_OK);
    for (int64_t k = 0; k < lth_state_count(said.t.m); k++) {
        const lt_tensor *v = lth_state_at(open.t.m, k).value, *w = lth_state_at(said.t.m, k).value;
        assert_int_equal(lth_numel(v), lth_numel(w));
        assert_memory_equal(v->a.data, w->a.data, (size_t)lth_numel(w) * sizeof(float));
    }
    assert_memory_equal(&open.t.e->generator, &said.t.e->generator, sizeof(lth_generator));
    close_model(&open.t);
    close_model(&said.t);
}

static void tied_that_disagree(void **state) {
    tied p = {.of_b = 64};
    (void)state;
    open_tied(&p, 0);
    lt_tensor *x = op->full(&p.t.ctx, LT_F32, 2, (int64_t[]){3, 10}, 0.5);
    says(&p.t, lth_modules_settle(&p.t.ctx, p.t.m, run_tied, &p, x), LT_ESHAPE,
         "linear b (0 -> 64) got (3, 64), but its weight is that of linear a (10 -> 64), which has (64, 10)");
}

/* A weight of the model's own, held by the plugin, grows with the layer that uses it. */
static void tied_to_a_parameter(void **state) {
    model t;
    (void)state;
    open_model(&t, false);
    lt_module *group = nn->module(&t.ctx, "own", NULL), *fc = nn->child(&t.ctx, "fc", nn->linear(&t.ctx, 0, 64, true));
    nn->parameter_of(&t.ctx, group, "weight", LT_F32, 2, (int64_t[]){64, 0}, 0.5);
    assert_int_equal(nn->tie(&t.ctx, fc, "weight", group, "weight"), LT_OK);
    t.ctx.in_configure = false;
    lt_tensor *x = op->full(&t.ctx, LT_F32, 2, (int64_t[]){3, 1000}, 0.5);
    assert_int_equal(lth_modules_settle(&t.ctx, t.m, run, fc, x), LT_OK);
    assert_int_equal(lth_modules_seal(t.m, &t.ctx.error), LT_OK);
    assert_int_equal(lth_numel(nn->module_parameter(&t.ctx, fc, "weight")), 64000);
    close_model(&t);
    assert_int_equal(lth_alloc_live(), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(settled_as_written_out), cmocka_unit_test(not_settled), cmocka_unit_test(tied_as_written_out),
                                       cmocka_unit_test(tied_that_disagree), cmocka_unit_test(tied_to_a_parameter)};
    return cmocka_run_group_tests_name("engine.nn_lazy", tests, NULL, NULL);
}
