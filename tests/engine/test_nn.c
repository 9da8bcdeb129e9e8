/* tests/engine/test_nn.c - modules on the reference backend: names and order of state_dict, PyTorch's initial weights, fused
 * sequentials against the same layers one by one, modes, summaries, refusals, and every allocation failing once. */
#include "../golden/golden.h"
#include "base/mem.h"
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

#define SEQ(ctx, name, ...) nn->sequential(ctx, name, (lt_module *const[]){__VA_ARGS__}, sizeof((lt_module *const[]){__VA_ARGS__}) / sizeof(lt_module *))

static lt_status open_model(model *t, uint64_t seed) {
    lth_error err = {0};
    *t = (model){0};
    lth_ctx_init(&t->ctx, LTH_TRAINER_THREAD);
    lth_engine_opts opts = {.seed = seed};
    if (lth_engine_open(&t->e, &lth_backend_reference, &opts, &err) != LT_OK) {
        return err.code;
    }
    t->m = lth_modules_new(t->e, &err);
    t->ctx.engine = t->e;
    t->ctx.modules = t->m;
    t->ctx.in_configure = true;
    return err.code;
}

static void close_model(model *t) {
    lth_modules_free(t->m);
    lth_engine_free(t->e);
}

static lt_status seal(model *t) {
    t->ctx.in_configure = false;
    return lth_modules_seal(t->m, &t->ctx.error);
}

static void seal_good(model *t) {
    if (t->ctx.error.code || seal(t) != LT_OK) {
        fail_msg("%s", t->ctx.error.text);
    }
}

static lt_tensor *tensor(model *t, int ndim, const int64_t *shape) {
    lt_tensor *x = lth_tensor_new(t->e, LT_F32, ndim, shape, &t->ctx.error);
    assert_non_null(x);
    for (int64_t i = 0; i < lth_numel(x); i++) {
        ((float *)x->a.data)[i] = (float)sin(12.9898 * (double)i + 1);
    }
    return x;
}

/* ---- trees ---- */
static void lenet(model *t) {
    lt_ctx *c = &t->ctx;
    lt_nn_conv2d_opts padded = {.struct_size = sizeof padded, .padding = 2};
    lt_pool2d_opts two = {.struct_size = sizeof two, .kernel = {2}};
    nn->child(c, "conv1", nn->conv2d(c, 1, 6, 5, &padded));
    nn->child(c, "conv2", nn->conv2d(c, 6, 16, 5, NULL));
    nn->child(c, "pool", nn->max_pool2d(c, &two));
    nn->child(c, "fc1", nn->linear(c, 400, 120, true));
    nn->child(c, "fc2", nn->linear(c, 120, 84, true));
    nn->child(c, "fc3", nn->linear(c, 84, 10, true));
}

static void expect_states(const lth_modules *m, const char *const *names, int64_t n) {
    assert_int_equal(lth_state_count(m), n);
    for (int64_t k = 0; k < n; k++) {
        assert_string_equal(lth_state_at(m, k).name, names[k]);
    }
}

static void names_and_order(void **state) {
    (void)state;
    model t;
    assert_int_equal(open_model(&t, 0), LT_OK);
    lt_ctx *c = &t.ctx;
    lt_module *late = nn->linear(c, 2, 2, false); /* order is that of naming, not of making */
    SEQ(c, "encoder", nn->linear(c, 4, 3, true), nn->activation(c, LT_ACT_RELU),
        SEQ(c, NULL, nn->batch_norm(c, 1, 3, NULL), nn->child(c, "own", nn->linear(c, 3, 2, true))));
    nn->child(c, "head", late);
    lt_tensor *own = nn->parameter(c, "scale", LT_F32, 0, NULL, 2.5);
    assert_non_null(own);
    seal_good(&t);
    static const char *const names[] = {"scale", "encoder.0.weight", "encoder.0.bias", "encoder.2.0.weight", "encoder.2.0.bias",
                                        "encoder.2.0.running_mean", "encoder.2.0.running_var", "encoder.2.0.num_batches_tracked",
                                        "encoder.2.own.weight", "encoder.2.own.bias", "head.weight"};
    expect_states(t.m, names, 11);
    assert_true(*(float *)own->a.data == 2.5f);
    assert_true(((float *)lth_state_at(t.m, 6).value->a.data)[2] == 1); /* running_var */
    assert_int_equal(lth_modules_count(t.m), 7);
    assert_non_null(lth_modules_find(t.m, "encoder.2.own"));
    assert_null(lth_modules_find(t.m, "encoder.3"));
    assert_null(lth_modules_single_root(t.m));
    assert_ptr_equal(nn->module_parameter(c, lth_modules_find(t.m, "encoder"), "2.own.bias"), lth_state_at(t.m, 9).value);
    assert_ptr_equal(nn->module_parameter(c, NULL, "head.weight"), lth_state_at(t.m, 10).value);
    assert_null(nn->module_parameter(c, lth_modules_find(t.m, "head"), "bias"));
    assert_int_equal(c->error.code, LT_EABSENT);
    close_model(&t);
}

static void nameless_at_the_top(void **state) {
    (void)state;
    model t;
    assert_int_equal(open_model(&t, 0), LT_OK);
    lt_ctx *c = &t.ctx;
    lt_module *net = SEQ(c, "", nn->linear(c, 7, 5, true), nn->activation(c, LT_ACT_RELU), nn->linear(c, 5, 3, false));
    seal_good(&t);
    static const char *const names[] = {"0.weight", "0.bias", "2.weight"};
    expect_states(t.m, names, 3);
    assert_ptr_equal(lth_modules_single_root(t.m), net);
    assert_int_equal(lth_modules_count(t.m), 3);
    close_model(&t);
}

/* ---- flat memory ---- */
static void flat_memory(void **state) {
    (void)state;
    model t;
    assert_int_equal(open_model(&t, 0), LT_OK);
    lenet(&t);
    seal_good(&t);
    assert_int_equal(t.m->n_params, 10);
    int64_t end = 0;
    for (int64_t k = 0; k < t.m->n_params; k++) {
        lth_param *p = t.m->params[k];
        assert_int_equal(p->offset % 16, 0);
        assert_true(p->offset >= end);
        for (; end < p->offset; end++) { /* padding */
            assert_true(((const float *)t.m->values)[end] == 0 && ((const float *)t.m->grads)[end] == 0);
        }
        end = p->offset + p->n;
        assert_ptr_equal(p->value->a.data, lth_flat_at(t.m, t.m->values, p->offset));
        assert_ptr_equal(p->value->grad->a.data, lth_flat_at(t.m, t.m->grads, p->offset));
        assert_true(lth_param_fresh(p) && p->value->requires_grad && p->value->is_leaf);
    }
    assert_true(end <= t.m->n_flat && (uintptr_t)t.m->values % 64 == 0 && (uintptr_t)t.m->grads % 64 == 0);
    close_model(&t);
}

/* ---- initial weights ---- */
static void same_bits(const gold_file *g, const char *prefix, const lth_modules *m, bool strip) {
    int64_t compared = 0;
    for (int64_t k = 0; k < lth_state_count(m); k++) {
        lth_state_entry s = lth_state_at(m, k);
        const char *key = strip ? strchr(s.name, '.') + 1 : s.name;
        const gold_record *r = gold_find(g, "%s/%s", prefix, key), *sum = gold_find(g, "%s/%s.fnv", prefix, key);
        size_t bytes = (size_t)lth_numel(s.value) * (s.value->a.dtype == LT_I64 ? 8 : 4);
        assert_true(r || sum);
        if (r) {
            assert_int_equal(r->dtype, s.value->a.dtype);
            assert_memory_equal(s.value->a.data, r->data, bytes);
        }
        if (sum) {
            assert_int_equal(gold_fnv1a(s.value->a.data, bytes), *(const int64_t *)sum->data);
        }
        compared++;
    }
    assert_true(compared > 0);
}

static lt_module *init_layer(lt_ctx *c, int which) {
    lt_nn_conv2d_opts grouped = {.struct_size = sizeof grouped, .groups = 2, .kernel_w = 1};
    switch (which) {
    case 0: return nn->linear(c, 784, 128, true);
    case 1: return nn->linear(c, 4, 2, true);
    case 2: return nn->conv2d(c, 1, 6, 5, NULL);
    case 3: return nn->conv2d(c, 6, 16, 5, NULL);
    case 4: return nn->conv2d(c, 4, 8, 3, &grouped);
    default: return nn->batch_norm(c, 2, 4, NULL);
    }
}

static void initial_weights(void **state) {
    (void)state;
    static const char *const layers[] = {"linear_784_128", "linear_4_2", "conv2d_1_6_5", "conv2d_6_16_5", "conv2d_4_8_3x1_groups2", "batch_norm2d_4"};
    gold_file g;
    assert_int_equal(gold_open(&g, TEST_DATA_DIR "/golden/init.bin"), 0);
    model t;
    for (int k = 0; k < 6; k++) {
        assert_int_equal(open_model(&t, 0), LT_OK);
        nn->child(&t.ctx, "layer", init_layer(&t.ctx, k));
        seal_good(&t);
        same_bits(&g, layers[k], t.m, true);
        close_model(&t);
    }
    assert_int_equal(open_model(&t, 0), LT_OK);
    lt_ctx *c = &t.ctx;
    SEQ(c, NULL, nn->linear(c, 7, 5, true), nn->batch_norm(c, 1, 5, NULL), nn->activation(c, LT_ACT_RELU), nn->linear(c, 5, 3, false),
        nn->linear(c, 3, 2, true));
    seal_good(&t);
    same_bits(&g, "sequential", t.m, false);
    close_model(&t);
    gold_close(&g);

    assert_int_equal(gold_open(&g, TEST_DATA_DIR "/golden/train_lenet.bin"), 0);
    assert_int_equal(open_model(&t, 42), LT_OK);
    lenet(&t);
    seal_good(&t);
    same_bits(&g, "init", t.m, false);
    close_model(&t);
    gold_close(&g);
}

/* ---- forward ---- */
static float difference(const lt_tensor *a, const lt_tensor *b) {
    float most = 0;
    assert_int_equal(lth_numel(a), lth_numel(b));
    for (int64_t i = 0; i < lth_numel(a); i++) {
        most = fmaxf(most, fabsf(((float *)a->a.data)[i] - ((float *)b->a.data)[i]));
    }
    return most;
}

static lt_module *conv_net(lt_ctx *c) {
    lt_pool2d_opts two = {.struct_size = sizeof two, .kernel = {2}}, padded = {.struct_size = sizeof padded, .kernel = {3}, .stride = {2}, .padding = {1, 1}};
    return SEQ(c, "net", nn->conv2d(c, 2, 4, 3, NULL), nn->activation(c, LT_ACT_RELU), nn->max_pool2d(c, &two), nn->conv2d(c, 4, 3, 1, NULL),
               nn->batch_norm(c, 2, 3, NULL), nn->activation(c, LT_ACT_RELU), nn->conv2d(c, 3, 3, 1, NULL), nn->max_pool2d(c, &padded),
               nn->flatten(c, 1), nn->linear(c, 12, 5, true), nn->activation(c, LT_ACT_TANH), nn->dropout(c, 0.5), nn->linear(c, 5, 2, true));
}

/* Kernels of convolution take pools along whose windows lie apart; with others they would all be left to the naive loops. */
static void only_pools_apart_fuse(void **state) {
    (void)state;
    static const struct { int64_t kernel, stride; int nodes; } pools[] = {{2, 0, 1}, {2, 2, 1}, {3, 2, 2}, {2, 3, 2}, {16, 16, 2}};
    for (size_t k = 0; k < sizeof pools / sizeof *pools; k++) {
        model t;
        assert_int_equal(open_model(&t, 1), LT_OK);
        lt_pool2d_opts pool = {.struct_size = sizeof pool, .kernel = {pools[k].kernel, pools[k].kernel}, .stride = {pools[k].stride, pools[k].stride}};
        lt_module *net = SEQ(&t.ctx, "net", nn->conv2d(&t.ctx, 1, 2, 1, NULL), nn->activation(&t.ctx, LT_ACT_RELU), nn->max_pool2d(&t.ctx, &pool));
        seal_good(&t);
        assert_non_null(nn->forward(&t.ctx, net, tensor(&t, 4, (int64_t[]){1, 1, 17, 17})));
        assert_int_equal(t.e->tape->count, pools[k].nodes);
        lth_step_end(t.e);
        close_model(&t);
    }
}

static void loss_backward(model *t, lt_tensor *y) {
    lt_tensor *zero = lth_tensor_new(t->e, LT_F32, y->a.ndim, y->a.shape, &t->ctx.error);
    memset(zero->a.data, 0, (size_t)lth_numel(y) * sizeof(float));
    lt_tensor *loss = lth_tensor_table.mse_loss(&t->ctx, y, zero, LT_MEAN);
    assert_non_null(loss);
    assert_int_equal(lth_backward(&t->ctx, loss, NULL, 1), LT_OK);
}

/* The fused sequential and the same layers one by one: equal bits forward; backward rounds less often when fused. */
static void fused_equals_unfused(void **state) {
    (void)state;
    model t;
    assert_int_equal(open_model(&t, 1), LT_OK);
    lt_module *net = conv_net(&t.ctx);
    seal_good(&t);
    int64_t shape[4] = {3, 2, 8, 8};
    float kept[6], *grads = malloc((size_t)t.m->n_flat * sizeof *grads);
    lth_generator start = t.e->generator;
    for (int fused = 0; fused < 2; fused++) {
        t.e->generator = start; /* the same dropout */
        lth_modules_zero_grad(t.m);
        t.m->recording = !fused;
        int64_t nodes = t.e->tape ? t.e->tape->count : 0;
        lt_tensor *y = nn->forward(&t.ctx, net, tensor(&t, 4, shape));
        t.m->recording = false;
        if (!y) {
            fail_msg("%s", t.ctx.error.text);
        }
        assert_int_equal(t.e->tape->count - nodes, fused ? 9 : 13);
        loss_backward(&t, y);
        if (fused) {
            assert_memory_equal(kept, y->a.data, sizeof kept);
            for (int64_t i = 0; i < t.m->n_flat; i++) {
                assert_true(fabsf(grads[i] - ((const float *)t.m->grads)[i]) <= 1e-6f * (1 + fabsf(grads[i])));
            }
        } else {
            memcpy(kept, y->a.data, sizeof kept);
            memcpy(grads, t.m->grads, (size_t)t.m->n_flat * sizeof *grads);
        }
        for (int64_t k = 0; k < t.m->n_params; k++) {
            assert_false(lth_param_fresh(t.m->params[k]));
        }
        lth_step_end(t.e);
    }
    assert_int_equal(*(int64_t *)nn->module_parameter(&t.ctx, net, "4.num_batches_tracked")->a.data, 2);
    free(grads);
    close_model(&t);
}

static lt_tensor *run_top(lt_ctx *ctx, void *net, lt_tensor *x) { return nn->forward(ctx, net, x); }

static void modes(void **state) {
    (void)state;
    model t;
    uint8_t saved[32];
    assert_int_equal(open_model(&t, 1), LT_OK);
    lt_module *net = conv_net(&t.ctx);
    seal_good(&t);
    int64_t shape[4] = {3, 2, 8, 8};
    assert_true(nn->training(&t.ctx));
    lth_modules_modes_save(t.m, saved, 32);
    lth_modules_train(t.m, false);
    assert_false(nn->training(&t.ctx));
    lth_generator before = t.e->generator;
    lt_tensor *a = nn->forward(&t.ctx, net, tensor(&t, 4, shape)), *b = nn->forward(&t.ctx, net, tensor(&t, 4, shape));
    assert_true(difference(a, b) == 0);
    assert_memory_equal(&before, &t.e->generator, sizeof before); /* no draws */
    assert_int_equal(*(int64_t *)nn->module_parameter(&t.ctx, net, "4.num_batches_tracked")->a.data, 0);
    lth_modules_modes_restore(t.m, saved, 32);
    assert_true(nn->training(&t.ctx));
    lt_tensor *d = nn->forward(&t.ctx, net, tensor(&t, 4, shape));
    assert_true(difference(a, d) > 0);
    assert_int_equal(*(int64_t *)nn->module_parameter(&t.ctx, net, "4.num_batches_tracked")->a.data, 1);
    close_model(&t);
}

/* A nameless sequential at the top is no line of a summary, but has a mode like all others. */
static void modes_of_a_nameless_top(void **state) {
    (void)state;
    model t;
    uint8_t saved[8];
    assert_int_equal(open_model(&t, 1), LT_OK);
    lt_module *net = SEQ(&t.ctx, NULL, nn->linear(&t.ctx, 4, 3, true), nn->dropout(&t.ctx, 0.5));
    seal_good(&t);
    assert_int_equal(lth_modules_made(t.m), 3);
    for (int training = 0; training < 2; training++) {
        nn->train(&t.ctx, net, training);
        lth_modules_modes_save(t.m, saved, 8);
        lth_modules_train(t.m, !training);
        lth_modules_modes_restore(t.m, saved, 8);
        assert_int_equal(nn->module_training(&t.ctx, net), training);
        assert_int_equal(nn->training(&t.ctx), training);
    }
    assert_int_equal(lth_modules_record_shapes(&t.ctx, t.m, run_top, net, tensor(&t, 2, (int64_t[]){2, 4})), LT_OK);
    assert_true(nn->module_training(&t.ctx, net));
    close_model(&t);
}

static void freezing(void **state) {
    (void)state;
    model t;
    assert_int_equal(open_model(&t, 1), LT_OK);
    lt_ctx *c = &t.ctx;
    lt_module *a = nn->child(c, "a", nn->linear(c, 4, 3, true)), *b = nn->child(c, "b", nn->linear(c, 3, 2, true));
    nn->freeze(c, a, true);
    seal_good(&t);
    int64_t shape[2] = {2, 4};
    loss_backward(&t, nn->forward(c, b, nn->forward(c, a, tensor(&t, 2, shape))));
    assert_true(lth_param_fresh(t.m->params[0]) && lth_param_fresh(t.m->params[1]));
    assert_false(lth_param_fresh(t.m->params[2]) || lth_param_fresh(t.m->params[3]));
    lt_module_info info = {.struct_size = sizeof info};
    assert_int_equal(nn->module_info(c, 0, &info), LT_OK);
    assert_int_equal(info.parameters, 15);
    assert_int_equal(info.trainable, 0);
    nn->freeze(c, NULL, false);
    nn->module_info(c, 0, &info);
    assert_int_equal(info.trainable, 15);
    close_model(&t);
}

/* ---- summaries ---- */
/* What two modules share and what is the model's own: once in the whole; bytes by the precision of the run. */
static void whole_model(void **state) {
    (void)state;
    for (int k = 0; k < 3; k++) {
        const lt_dtype dtype = k == 0 ? LT_F32 : k == 1 ? LT_F64 : LT_BF16;
        model t;
        assert_int_equal(open_model(&t, 1), LT_OK);
        t.e->dtype = t.m->dtype = dtype;
        lt_ctx *c = &t.ctx;
        lt_module *a = nn->child(c, "a", nn->linear(c, 4, 4, true)), *b = nn->child(c, "b", nn->linear(c, 4, 4, false));
        nn->tie(c, b, "weight", a, "weight");
        if (!nn->parameter(c, "scale", LT_F32, 0, NULL, 1)) {
            fail_msg("%s", c->error.text);
        }
        assert_non_null(nn->buffer(c, NULL, "seen", LT_I64, 0, NULL, 0));
        seal_good(&t);
        nn->freeze_parameter(c, a, "bias", true);
        lt_module_info info = {.struct_size = sizeof info};
        assert_int_equal(nn->module_info(c, 1, &info), LT_OK);
        assert_int_equal(info.parameters, 16);
        assert_int_equal(info.parameter_bytes, 16 * (k == 0 ? 4 : k == 1 ? 8 : 2));
        assert_int_equal(nn->module_info(c, -1, &info), LT_OK);
        assert_int_equal(info.depth, -1);
        assert_string_equal(info.name, "");
        assert_int_equal(info.parameters, 21);
        assert_int_equal(info.trainable, 17);
        assert_int_equal(info.buffers, 1);
        assert_int_equal(info.parameter_bytes, 21 * (k == 0 ? 4 : k == 1 ? 8 : 2));
        assert_int_equal(nn->module_info(c, -2, &info), LT_EINDEX);
        close_model(&t);
    }
}

static lt_tensor *forward_net(lt_ctx *ctx, void *self, lt_tensor *x) { return nn->forward(ctx, self, x); }

static void summaries(void **state) {
    (void)state;
    model t;
    assert_int_equal(open_model(&t, 1), LT_OK);
    lt_module *net = conv_net(&t.ctx);
    seal_good(&t);
    lt_module_info info = {.struct_size = sizeof info};
    assert_int_equal(nn->module_info(&t.ctx, 1, &info), LT_OK);
    assert_int_equal(info.in_ndim, -1);
    int64_t shape[4] = {1, 2, 8, 8}; /* one image: training would refuse it at the batch norm */
    assert_int_equal(lth_modules_record_shapes(&t.ctx, t.m, forward_net, net, tensor(&t, 4, shape)), LT_OK);
    assert_true(t.m->training && t.e->grad_enabled);
    assert_int_equal(nn->module_count(&t.ctx), 14);
    nn->module_info(&t.ctx, 0, &info);
    assert_string_equal(info.name, "net");
    assert_string_equal(info.type, "Sequential");
    assert_int_equal(info.depth, 0);
    assert_int_equal(info.parameters, 76 + 15 + 6 + 12 + 65 + 12);
    assert_int_equal(info.buffers, 7);
    nn->module_info(&t.ctx, 1, &info);
    assert_string_equal(info.name, "net.0");
    assert_string_equal(info.type, "Conv2d");
    assert_int_equal(info.depth, 1);
    assert_int_equal(info.out_shape[1], 4);
    assert_int_equal(info.out_shape[2], 6); /* before the pool: nothing was fused */
    nn->module_info(&t.ctx, 10, &info);
    assert_int_equal(info.in_shape[1], 12);
    assert_int_equal(nn->module_info(&t.ctx, 14, &info), LT_EINDEX);
    close_model(&t);
}

/* ---- refusals ---- */
static void expect_error(model *t, lt_status code, const char *text) {
    if (t->ctx.error.code != code || !strstr(t->ctx.error.text, text)) {
        fail_msg("expected %d '%s', got %d '%s'", (int)code, text, (int)t->ctx.error.code, t->ctx.error.text);
    }
    lth_error_clear(&t->ctx.error);
}

static void refusals_in_configure(void **state) {
    (void)state;
    model t;
    assert_int_equal(open_model(&t, 0), LT_OK);
    lt_ctx *c = &t.ctx;
    lt_module *relu = nn->activation(c, LT_ACT_RELU);
    lt_nn_conv2d_opts groups = {.struct_size = sizeof groups, .groups = 3};
    lt_pool2d_opts pool = {.struct_size = sizeof pool, .kernel = {2}, .padding = {2}};
    assert_null(nn->linear(c, -1, 4, true));
    expect_error(&t, LT_EINVAL, "lt_nn_linear: in_features must be at least 0, got -1");
    assert_null(nn->conv2d(c, 4, 6, 3, &groups));
    expect_error(&t, LT_EINVAL, "groups 3 must divide the channels, 4 in and 6 out");
    assert_null(nn->max_pool2d(c, &pool));
    expect_error(&t, LT_EINVAL, "padding 2 is more than half of kernel 2");
    pool.padding[0] = INT32_MAX / 2 + 2; /* twice it is no int32_t */
    assert_null(nn->avg_pool2d(c, &pool));
    expect_error(&t, LT_EINVAL, "padding 1073741825 is more than half of kernel 2");
    lt_module *fc = nn->child(c, "fc", nn->linear(c, 3, 4, true));
    assert_int_equal(nn->init(c, fc, "weight", LT_INIT_UNIFORM, 1, 0.5), LT_EINVAL);
    expect_error(&t, LT_EINVAL, "lt_nn_init: 'weight' between 1 and 0.5: a must be at most b, both finite");
    assert_int_equal(nn->init(c, fc, "weight", LT_INIT_UNIFORM, 0, NAN), LT_EINVAL);
    expect_error(&t, LT_EINVAL, "lt_nn_init: 'weight' between 0 and nan");
    assert_int_equal(nn->init(c, fc, "weight", LT_INIT_NORMAL, 0, -1), LT_EINVAL);
    expect_error(&t, LT_EINVAL, "lt_nn_init: 'weight' with mean 0 and deviation -1: the deviation must be at least 0, both finite");
    assert_int_equal(nn->init(c, fc, "weight", LT_INIT_NORMAL, NAN, 1), LT_EINVAL);
    expect_error(&t, LT_EINVAL, "lt_nn_init: 'weight' with mean nan");
    assert_int_equal(nn->init(c, fc, "weight", LT_INIT_XAVIER_UNIFORM, -2, 0), LT_EINVAL);
    expect_error(&t, LT_EINVAL, "lt_nn_init: 'weight' with gain -2: it must be at least 0 and finite");
    assert_int_equal(nn->init(c, fc, "weight", LT_INIT_NORMAL, 1, 0), LT_OK);
    assert_int_equal(nn->init(c, fc, "weight", LT_INIT_UNIFORM, 1, 1), LT_OK);
    assert_null(nn->dropout(c, NAN));
    expect_error(&t, LT_EINVAL, "p must lie between 0 and 1");
    assert_null(nn->linear(c, 5000000000, 4, true));
    expect_error(&t, LT_EINVAL, "lt_nn_linear: in_features must be at most 2147483647, got 5000000000");
    lt_nn_batch_norm_opts norm = {.struct_size = sizeof norm, .eps = -1};
    assert_null(nn->batch_norm(c, 2, 4, &norm));
    expect_error(&t, LT_EINVAL, "lt_nn_batch_norm: eps must be a positive number, got -1");
    norm.eps = 0, norm.momentum = NAN;
    assert_null(nn->batch_norm(c, 2, 4, &norm));
    expect_error(&t, LT_EINVAL, "lt_nn_batch_norm: momentum must lie between 0 and 1, got nan");
    lt_nn_layer_norm_opts rows = {.struct_size = sizeof rows, .eps = NAN};
    assert_null(nn->layer_norm(c, 4, &rows));
    expect_error(&t, LT_EINVAL, "lt_nn_layer_norm: eps must be a positive number, got nan");
    rows.struct_size = 0;
    assert_null(nn->layer_norm(c, 4, &rows));
    expect_error(&t, LT_EABI, "opts->struct_size is 0; set it to sizeof *opts");
    pool.struct_size = 3;
    assert_null(nn->max_pool2d(c, &pool));
    expect_error(&t, LT_EABI, "opts->struct_size is 3; set it to sizeof *opts");
    assert_null(nn->batch_norm(c, 3, 4, NULL));
    expect_error(&t, LT_EINVAL, "spatial_dims must be 1 or 2, got 3");
    assert_null(SEQ(c, "net", relu, NULL, NULL));
    expect_error(&t, LT_EINVAL, "item 1 of 3 of 'net' is NULL, and no earlier call failed");
    assert_null(SEQ(c, "other", relu));
    expect_error(&t, LT_EINVAL, "already is part of another module");
    assert_null(nn->child(c, "a.b", nn->flatten(c, 1)));
    expect_error(&t, LT_EINVAL, "'a.b' is no name");
    lt_module *named = nn->child(c, "one", nn->flatten(c, 1));
    assert_null(nn->child(c, "two", named));
    expect_error(&t, LT_EINVAL, "already has a name");
    assert_null(nn->parameter(c, "p", LT_F64, 0, NULL, 0));
    expect_error(&t, LT_EUNSUPPORTED, "'p' must be f32");
    assert_null(nn->forward(c, named, tensor(&t, 0, NULL)));
    expect_error(&t, LT_ESTATE, "only after configure");
    close_model(&t);
}

static void refusals_at_the_seal(void **state) {
    (void)state;
    model t;
    assert_int_equal(open_model(&t, 0), LT_OK);
    nn->linear(&t.ctx, 784, 128, true);
    assert_int_not_equal(seal(&t), LT_OK);
    expect_error(&t, LT_EINVAL, "linear (784 -> 128) was made in configure but has no place in the model: name it with lt_child");
    close_model(&t);

    assert_int_equal(open_model(&t, 0), LT_OK);
    nn->child(&t.ctx, "fc", nn->linear(&t.ctx, 2, 3, true));
    nn->child(&t.ctx, "fc", nn->linear(&t.ctx, 2, 3, true));
    assert_int_not_equal(seal(&t), LT_OK);
    expect_error(&t, LT_EINVAL, "two parts of the model have the name 'fc' (Linear and Linear)");
    close_model(&t);

    assert_int_equal(open_model(&t, 0), LT_OK);
    nn->child(&t.ctx, "fc", nn->linear(&t.ctx, 2, 3, true));
    nn->parameter(&t.ctx, "fc", LT_F32, 0, NULL, 0);
    assert_int_not_equal(seal(&t), LT_OK);
    expect_error(&t, LT_EINVAL, "two parts of the model have the name 'fc'");
    close_model(&t);
}

static void refusals_in_forward(void **state) {
    (void)state;
    model t;
    assert_int_equal(open_model(&t, 0), LT_OK);
    lt_ctx *c = &t.ctx;
    lt_module *fc = nn->child(c, "fc1", nn->linear(c, 784, 128, true)), *conv = nn->child(c, "conv1", nn->conv2d(c, 1, 6, 5, NULL));
    lt_module *bn = SEQ(c, "tail", nn->batch_norm(c, 1, 64, NULL));
    seal_good(&t);
    assert_null(nn->linear(c, 1, 1, true));
    expect_error(&t, LT_ESTATE, "lt_nn_linear: modules and parameters are made only in the model's configure");
    assert_null(nn->forward(c, fc, tensor(&t, 2, (int64_t[]){32, 756})));
    expect_error(&t, LT_ESHAPE, "linear fc1 (784 -> 128) got (32, 756)");
    assert_null(nn->forward(c, conv, tensor(&t, 4, (int64_t[]){2, 3, 8, 8})));
    expect_error(&t, LT_ESHAPE, "conv2d conv1 (1 -> 6, kernel 5x5) got (2, 3, 8, 8)");
    assert_null(nn->forward(c, conv, tensor(&t, 3, (int64_t[]){1, 8, 8})));
    expect_error(&t, LT_ESHAPE, "got (1, 8, 8); it takes (N, C, H, W)");
    assert_null(nn->forward(c, bn, tensor(&t, 2, (int64_t[]){2, 3})));
    expect_error(&t, LT_ESHAPE, "batch_norm1d tail.0 (64) got (2, 3)");
    assert_null(nn->forward(c, NULL, tensor(&t, 0, NULL)));
    expect_error(&t, LT_EINVAL, "the module is NULL");
    c->error.code = LT_EIO; /* after a failure nothing happens, and the first failure stays */
    assert_null(nn->forward(c, NULL, NULL));
    assert_int_equal(c->error.code, LT_EIO);
    close_model(&t);
}

/* ---- every allocation fails once: an error, no crash, nothing lost ---- */
static void out_of_memory(void **state) {
    (void)state;
    int64_t live = lth_alloc_live();
    bool good = false;
    for (int64_t calls = 0; !good; calls++) {
        model t;
        lth_alloc_budget(calls);
        good = open_model(&t, 0) == LT_OK && t.m;
        if (good) {
            conv_net(&t.ctx);
            nn->parameter(&t.ctx, "own", LT_F32, 1, (int64_t[]){5}, 1);
            good = t.ctx.error.code == LT_OK && seal(&t) == LT_OK;
            assert_true(good || t.ctx.error.code == LT_ENOMEM);
        }
        lth_alloc_budget(-1);
        lth_modules_free(t.m);
        lth_engine_free(t.e);
        assert_int_equal(lth_alloc_live(), live);
        assert_true(calls < 1000);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_order), cmocka_unit_test(nameless_at_the_top), cmocka_unit_test(flat_memory), cmocka_unit_test(initial_weights),
        cmocka_unit_test(only_pools_apart_fuse),
        cmocka_unit_test(fused_equals_unfused), cmocka_unit_test(modes), cmocka_unit_test(modes_of_a_nameless_top),
        cmocka_unit_test(freezing), cmocka_unit_test(whole_model),
        cmocka_unit_test(summaries),
        cmocka_unit_test(refusals_in_configure), cmocka_unit_test(refusals_at_the_seal), cmocka_unit_test(refusals_in_forward),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
