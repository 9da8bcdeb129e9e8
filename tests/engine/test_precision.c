/* tests/engine/test_precision.c - precision 64-true: parameters, buffers, gradients and optimizer state in f64, f32 tensors promoted, the
 * same training on the cpu backend as on the reference one, clipping, and optimizers that know f32 only refused. */
#include "base/mem.h"
#include "engine/data/loader.h"
#include "engine/ops/ops.h"
#include "engine/optim/optim.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { STEPS = 6, BATCH = 5 };
static const lt_nn_api *const nn = &lth_nn_table;
typedef struct model { lth_engine *e; lth_modules *m; lt_ctx ctx; lt_module *net; } model;

#define SEQ(ctx, name, ...) nn->sequential(ctx, name, (lt_module *const[]){__VA_ARGS__}, sizeof((lt_module *const[]){__VA_ARGS__}) / sizeof(lt_module *))

static void open_model(model *t, const lth_backend *backend, lt_dtype dtype) {
    lth_error err = {0};
    *t = (model){0};
    lth_ctx_init(&t->ctx, LTH_TRAINER_THREAD);
    assert_int_equal(lth_engine_open(&t->e, backend, &(lth_engine_opts){.seed = 3, .threads = 2, .dtype = dtype}, &err), LT_OK);
    t->m = lth_modules_new(t->e, &err);
    t->ctx.engine = t->e;
    t->ctx.modules = t->m;
    t->ctx.in_configure = true;
    lt_ctx *c = &t->ctx;
    lt_nn_conv2d_opts pad = {.struct_size = sizeof pad, .padding = 1};
    lt_pool2d_opts two = {.struct_size = sizeof two, .kernel = {2, 2}};
    lt_module *conv = nn->conv2d(c, 2, 6, 3, &pad), *norm = nn->batch_norm(c, 2, 6, NULL);
    lt_module *relu = nn->activation(c, LT_ACT_RELU), *pool = nn->max_pool2d(c, &two), *flat = nn->flatten(c, 1);
    t->net = SEQ(c, "net", conv, norm, relu, pool, flat, nn->linear(c, 6 * 16, 7, true), nn->activation(c, LT_ACT_TANH), nn->linear(c, 7, 4, true));
    t->ctx.in_configure = false;
    assert_int_equal(lth_modules_seal(t->m, &t->ctx.error), LT_OK);
}

static void close_model(model *t) {
    lth_modules_free(t->m);
    lth_engine_free(t->e);
}

/* ---- an optimizer of the test's own: the fused Adam, and the norm of what it saw ---- */
static const lt_slot first = {"exp_avg", 0}, second = {"exp_avg_sq", 0};
static const lt_slot *const slots[] = {&first, &second, NULL};
static double rate(lt_ctx *ctx, void *self) {
    (void)ctx, (void)self;
    return 0.05;
}
static lt_status adam(lt_ctx *ctx, void *self, const lt_group *const *groups, uint32_t n_groups) {
    lt_adam_args args = {.struct_size = sizeof args, .lr = groups[0]->lr, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8, .weight_decay = 0.01};
    (void)n_groups;
    for (uint32_t k = 0; k < groups[0]->n_spans; k++) {
        *(lt_dtype *)self = groups[0]->spans[k]->dtype;
        lth_optim_table.adam(ctx, groups[0]->spans[k], &args);
    }
    return ctx->error.code;
}
static lt_optimizer optimizer = {.base = {.struct_size = sizeof(lt_optimizer), .kind = "lt.optimizer/1", .id = "Own", .flags = LT_OPTIM_ANY_DTYPE},
                                 .slots = slots, .lr = rate, .step = adam};

static void train(const lth_backend *backend, lt_dtype dtype, double *losses, double *norms) {
    model t;
    lth_optim *o;
    lt_dtype seen = 0;
    open_model(&t, backend, dtype);
    assert_int_equal(lth_optim_new(&o, t.m, &optimizer, &seen, &t.ctx), LT_OK);
    for (int step = 0; step < STEPS; step++) {
        lt_tensor *x = lth_tensor_new(t.e, LT_F32, 4, (int64_t[]){BATCH, 2, 8, 8}, &t.ctx.error);
        lt_tensor *labels = lth_tensor_new(t.e, LT_I64, 1, (int64_t[]){BATCH}, &t.ctx.error);
        for (int64_t i = 0; i < BATCH * 128; i++) {
            ((float *)x->a.data)[i] = sinf(0.37f * (float)i + (float)step);
        }
        for (int64_t i = 0; i < BATCH; i++) {
            ((int64_t *)labels->a.data)[i] = (i + step) % 4;
        }
        lth_batch_item item = {.tensor = x};
        lt_batch batch = {.count = 1, .size = BATCH, .items = {item}};
        assert_int_equal(lth_batch_convert(&batch, &t.ctx), LT_OK);
        x = batch.items[0].tensor;
        assert_int_equal(x->a.dtype, dtype);
        lt_tensor *in[2] = {lth_module_forward(&t.ctx, t.net, x, NULL), labels};
        lth_attrs attrs = {.f = {0.1}};
        lt_tensor *loss = lth_apply(&t.ctx, LTH_OP_CROSS_ENTROPY, in, 2, &attrs, NULL);
        if (!loss) {
            fail_msg("%s", t.ctx.error.text);
        }
        assert_int_equal(loss->a.dtype, dtype);
        losses[step] = lth_element_get(dtype, loss->a.data, 0);
        lth_modules_zero_grad(t.m);
        assert_int_equal(lth_backward(&t.ctx, loss, NULL, 1), LT_OK);
        assert_int_equal(lth_clip_norm(t.m, 0.5, &norms[step], &t.ctx.error), LT_OK);
        assert_int_equal(lth_optim_step(o, &t.ctx), LT_OK);
        assert_int_equal(seen, dtype);
        lth_step_end(t.e);
    }
    for (int64_t k = 0; k < lth_state_count(t.m); k++) {
        lt_tensor *value = lth_state_at(t.m, k).value;
        assert_true(value->a.dtype == dtype || value->a.dtype == LT_I64);
        assert_true(!value->grad || value->grad->a.dtype == dtype);
    }
    lth_optim_free(o);
    close_model(&t);
}

static void double_on_both(void **state) {
    (void)state;
    double reference[STEPS], cpu[STEPS], single[STEPS], norms[STEPS], cpu_norms[STEPS], single_norms[STEPS];
    train(&lth_backend_reference, LT_F64, reference, norms);
    train(&lth_backend_cpu, LT_F64, cpu, cpu_norms);
    train(&lth_backend_cpu, LT_F32, single, single_norms);
    bool differ = false;
    for (int k = 0; k < STEPS; k++) {
        assert_true(fabs(reference[k] - cpu[k]) <= 1e-12 * fabs(reference[k]));
        assert_true(fabs(norms[k] - cpu_norms[k]) <= 1e-10 * norms[k]);
        assert_true(fabs(single[k] - cpu[k]) <= 2e-4 * fabs(cpu[k]));
        differ |= single[k] != cpu[k];
    }
    assert_true(differ); /* it was not f32 in disguise */
    assert_true(reference[STEPS - 1] != reference[0]);
}

/* The f32 draws of the seed, made wider: a model of 64-true begins where the same model of 32-true does. */
static void same_beginning(void **state) {
    (void)state;
    model a, b;
    open_model(&a, &lth_backend_cpu, LT_F32);
    open_model(&b, &lth_backend_cpu, LT_F64);
    for (int64_t k = 0; k < a.m->n_params; k++) {
        const lth_param *p = a.m->params[k], *q = b.m->params[k];
        assert_int_equal(((uintptr_t)q->value->a.data) % 64, 0);
        for (int64_t i = 0; i < p->n; i++) {
            assert_true((double)((const float *)p->value->a.data)[i] == ((const double *)q->value->a.data)[i]);
        }
    }
    lt_ctx *c = &b.ctx; /* and what a model makes by hand */
    lt_tensor *wide = lth_tensor_table.rand(c, 1, (int64_t[]){3}), *narrow = lth_tensor_table.full(c, LT_F32, 1, (int64_t[]){3}, 0.5);
    assert_int_equal(wide->a.dtype, LT_F64);
    lt_tensor *sum = lth_tensor_table.add(c, wide, narrow);
    assert_non_null(sum);
    assert_int_equal(sum->a.dtype, LT_F64);
    assert_int_equal(lth_tensor_table.add(c, narrow, narrow)->a.dtype, LT_F32);
    assert_null(lth_tensor_table.add(&a.ctx, lth_tensor_table.full(&a.ctx, LT_F64, 0, NULL, 1), lth_tensor_table.full(&a.ctx, LT_F32, 0, NULL, 1)));
    close_model(&a);
    close_model(&b);
}

static void only_f32_optimizers(void **state) {
    (void)state;
    model t;
    lth_optim *o;
    lt_dtype seen = 0;
    lt_optimizer narrow = optimizer;
    narrow.base.flags = 0;
    open_model(&t, &lth_backend_cpu, LT_F64);
    assert_int_equal(lth_optim_new(&o, t.m, &narrow, &seen, &t.ctx), LT_EUNSUPPORTED);
    assert_non_null(strstr(t.ctx.error.text, "optimizer Own updates f32 parameters only, and trainer.precision makes them f64"));
    close_model(&t);
}

/* A checkpoint of another precision is converted: weights of f32 continue in f64. */
static void states(void **state) {
    (void)state;
    model t;
    lth_optim *o;
    lt_dtype seen = 0;
    lth_snapshot *in = lth_snapshot_new();
    lth_error err = {0};
    open_model(&t, &lth_backend_cpu, LT_F64);
    assert_int_equal(lth_optim_new(&o, t.m, &optimizer, &seen, &t.ctx), LT_OK);
    const lth_param *p = t.m->params[1]; /* the convolution's bias, 6 */
    char path[96];
    const float values[6] = {1.5f, 2, 3, 4, 5, 6}, one = 1;
    const double lr = 0.25;
    for (int slot = 0; slot < 2; slot++) {
        snprintf(path, sizeof path, "optimizer/0/%s/%s", slots[slot]->name, p->name);
        assert_int_equal(lth_snapshot_add(in, path, LT_F32, 1, p->value->a.shape, values, &err), LT_OK);
    }
    snprintf(path, sizeof path, "optimizer/0/step/%s", p->name);
    assert_int_equal(lth_snapshot_add(in, path, LT_F32, 0, NULL, &one, &err), LT_OK);
    assert_int_equal(lth_snapshot_add(in, "optimizer/0/lr", LT_F64, 1, (int64_t[]){1}, &lr, &err), LT_OK);
    assert_int_equal(lth_optim_load(o, &t.ctx, in, "optimizer/0", &err), LT_OK);
    lth_snapshot *out = lth_snapshot_new();
    assert_int_equal(lth_optim_save(o, &t.ctx, out, "optimizer/0", &err), LT_OK);
    snprintf(path, sizeof path, "optimizer/0/exp_avg/%s", p->name);
    const lth_item *item = lth_snapshot_get(out, path);
    assert_non_null(item);
    assert_int_equal(item->dtype, LT_F64);
    assert_true(((const double *)item->data)[0] == 1.5 && ((const double *)item->data)[5] == 6);
    lth_snapshot_free(in);
    lth_snapshot_free(out);
    lth_optim_free(o);
    close_model(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(double_on_both), cmocka_unit_test(same_beginning), cmocka_unit_test(only_f32_optimizers),
                                       cmocka_unit_test(states)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
