/* tests/engine/test_fuzz.c - every slot of lt.tensor/1, lt.autograd/1 and lt.nn/1 with random arguments, good and bad: NULL, all dtypes,
 * scalars, empty and strided tensors, shapes that no memory holds, NaN. Nothing may crash (run it under the sanitizers); whatever gives
 * no result must say why, and leave the engine fit for the next call. Values are not looked at. LTH_FUZZ_ROUNDS: how long (3000). */
#include "base/mem.h"
#include "engine/nn/module.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const lt_tensor_api *const T = &lth_tensor_table;
static const lt_autograd_api *const A = &lth_autograd_table;
static const lt_nn_api *const nn = &lth_nn_table;
static lt_ctx ctx;
static lth_backend capped; /* the cpu backend, but out of memory early: huge shapes are to fail, not to fill the machine */

static void *capped_alloc(lth_device *d, size_t bytes) { return bytes > (size_t)64 << 20 ? NULL : lth_backend_cpu.alloc(d, bytes); }

/* ---- random arguments ---- */
static uint64_t seed;
static uint32_t draw(uint32_t below) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((seed >> 33) % below);
}
#define ONE_OF(type, ...) (((const type[]){__VA_ARGS__})[draw(sizeof((const type[]){__VA_ARGS__}) / sizeof(type))])

static int32_t small(void) { return (int32_t)draw(5); }
static int32_t any_i32(void) { return draw(4) ? (int32_t)draw(6) - 1 : ONE_OF(int32_t, INT32_MIN, INT32_MAX, -100, -1, 17, 65536); }
static double any_f64(void) { return draw(4) ? draw(8) / 4.0 - 0.5 : ONE_OF(double, NAN, INFINITY, -INFINITY, 0, 1e300, -1e-300, -1); }
static lt_dtype any_dtype(void) { return draw(3) ? LT_F32 : draw(8) ? (lt_dtype)(1 + draw(8)) : ONE_OF(lt_dtype, 0, -1, 9, INT32_MAX, INT32_MIN); }
static bool coin(void) { return draw(2); }

/* Mostly small; rarely what overflows a product of sizes. */
static int32_t any_shape(int64_t *shape) {
    for (int d = 0; d < 16; d++) {
        shape[d] = draw(40) ? (int64_t)draw(draw(8) ? 4 : 9) : ONE_OF(int64_t, -1, -7, INT64_MAX, INT64_MIN, (int64_t)1 << 45, (int64_t)1 << 62);
    }
    return draw(20) ? small() : ONE_OF(int32_t, 8, 9, -1, INT32_MAX, INT32_MIN);
}

enum { POOL = 32 };
static lt_tensor *pool[POOL];
static lt_tensor *any(void) { return draw(60) ? pool[draw(POOL)] : NULL; }
static lt_tensor *of_dims(int ndim) { /* more often than not one that could fit */
    for (int k = 0; k < 12; k++) {
        lt_tensor *x = any();
        if (x && x->a.ndim == ndim) {
            return x;
        }
    }
    return any();
}

static void keep(lt_tensor *x) {
    if (x) {
        pool[draw(POOL)] = x;
    }
}

static void fill_pool(void) {
    memset(pool, 0, sizeof pool);
    for (int k = 0; k < POOL; k++) {
        const int64_t shape[4] = {1 + draw(3), 1 + draw(4), 1 + draw(6), 1 + draw(6)}, empty[3] = {2, 0, 3};
        const lt_dtype dtype = draw(3) ? LT_F32 : (lt_dtype)(1 + draw(8));
        lt_tensor *x = k % 8 == 0 ? T->full(&ctx, dtype, 3, empty, 1) : T->full(&ctx, dtype, small(), shape, any_f64());
        assert_non_null(x);
        if (x->a.ndim > 1 && coin()) {
            x = T->transpose(&ctx, x, 0, -1);
        }
        if (lth_is_float(x->a.dtype) && x->is_leaf && coin()) {
            A->set_requires_grad(&ctx, x, true);
        }
        pool[k] = x;
    }
}

/* ---- calls ---- */
static lt_tensor *one_making(int which) {
    int64_t shape[16];
    const int32_t ndim = any_shape(shape);
    static const double data[16384];
    const int64_t little[3] = {draw(4), draw(4), draw(4)};
    switch (which) {
    case 0: return T->full(&ctx, any_dtype(), ndim, draw(30) ? shape : NULL, any_f64());
    case 1: return T->from_data(&ctx, any_dtype(), small() % 4, little, draw(9) ? data : NULL);
    case 2: return T->arange(&ctx, any_dtype(), any_f64(), any_f64(), any_f64());
    case 3: return T->rand(&ctx, ndim, shape);
    case 4: return T->randn(&ctx, ndim, shape);
    case 5: return T->cast(&ctx, any(), any_dtype());
    case 6: return T->reshape(&ctx, any(), ndim, draw(30) ? shape : NULL);
    default: return T->clone(&ctx, any());
    }
}

static lt_tensor *one_elementwise(int which) {
    lt_tensor *(*const unary[])(lt_ctx *, lt_tensor *) = {T->neg, T->exp, T->log, T->sqrt, T->abs, T->relu, T->tanh, T->sigmoid, A->detach};
    lt_tensor *(*const binary[])(lt_ctx *, lt_tensor *, lt_tensor *) = {T->add, T->sub, T->mul, T->div, T->eq, T->matmul, T->accuracy};
    switch (which) {
    case 0: return unary[draw(sizeof unary / sizeof *unary)](&ctx, any());
    case 1: return binary[draw(sizeof binary / sizeof *binary)](&ctx, any(), any());
    case 2: return binary[draw(sizeof binary / sizeof *binary)](&ctx, of_dims(2), of_dims(1 + (int)draw(2)));
    case 3: return T->gelu(&ctx, any(), coin());
    case 4: return T->dropout(&ctx, any(), any_f64(), coin());
    case 5: return T->add_scalar(&ctx, any(), any_f64());
    default: return T->mul_scalar(&ctx, any(), any_f64());
    }
}

static lt_tensor *one_of_dims(int which) {
    const int32_t dims[16] = {any_i32(), any_i32(), small(), small(), any_i32(), small(), 0, 1, 2};
    const int32_t order[8] = {(int32_t)draw(3), (int32_t)draw(3), (int32_t)draw(3), (int32_t)draw(4), any_i32(), 5, 6, 7};
    lt_tensor *items[12];
    for (int k = 0; k < 12; k++) {
        items[k] = k && draw(3) ? items[0] : any();
    }
    switch (which) {
    case 0: return T->sum(&ctx, any(), draw(20) ? dims : NULL, draw(9) ? small() : any_i32(), coin());
    case 1: return T->mean(&ctx, any(), draw(20) ? dims : NULL, draw(9) ? small() : any_i32(), coin());
    case 2: return T->argmax(&ctx, any(), any_i32(), coin());
    case 3: return T->softmax(&ctx, any(), any_i32());
    case 4: return T->log_softmax(&ctx, any(), any_i32());
    case 5: return T->flatten(&ctx, any(), any_i32());
    case 6: return T->transpose(&ctx, any(), any_i32(), any_i32());
    case 7: return T->permute(&ctx, any(), draw(20) ? order : NULL);
    case 8: return T->slice(&ctx, any(), any_i32(), any_i32(), draw(9) ? any_i32() : ONE_OF(int64_t, INT64_MIN, INT64_MAX));
    default: return T->cat(&ctx, draw(20) ? items : NULL, draw(9) ? (int32_t)draw(12) : ONE_OF(int32_t, -1, INT32_MIN), any_i32());
    }
}

static lt_tensor *one_layer(int which) {
    const lt_conv2d_opts conv = {draw(20) ? sizeof conv : draw(40), {any_i32(), small()}, {small(), any_i32()}, {small(), small()}, small()};
    const lt_pool2d_opts window = {draw(20) ? sizeof window : draw(40), {any_i32(), small()}, {small(), any_i32()}, {small(), small()}, coin(), coin(),
                                    {0}};
    const lt_cross_entropy_opts entropy = {.struct_size = draw(20) ? sizeof entropy : ONE_OF(uint32_t, 0, 3, 4, 8, 16, 24, 32), .reduction = small(),
                                           .label_smoothing = any_f64(), .ignore_index = any_i32(), .has_ignore_index = coin(),
                                           .weight = draw(3) ? NULL : of_dims(1)};
    switch (which) {
    case 0: return T->linear(&ctx, of_dims(2), of_dims(2), coin() ? of_dims(1) : NULL, draw(9) ? (int32_t)draw(6) : any_i32());
    case 1: return T->conv2d(&ctx, of_dims(4), of_dims(4), coin() ? of_dims(1) : NULL, draw(9) ? &conv : NULL);
    case 2: return T->max_pool2d(&ctx, of_dims(4), draw(30) ? &window : NULL);
    case 3: return T->avg_pool2d(&ctx, of_dims(4), draw(30) ? &window : NULL);
    case 4: return T->mse_loss(&ctx, any(), any(), draw(9) ? small() : any_i32());
    case 5: return T->cross_entropy(&ctx, of_dims(2), of_dims(1), draw(9) ? &entropy : NULL);
    default: return T->mse_loss(&ctx, pool[1], pool[1], small());
    }
}

static lt_tensor *an_index(void) { /* mostly one that lies inside */
    int64_t values[12];
    const int64_t shape[3] = {1 + draw(3), 1 + draw(2), 1 + draw(2)};
    for (int k = 0; k < 12; k++) {
        values[k] = draw(12) ? (int64_t)draw(2) : ONE_OF(int64_t, -1, 3, INT64_MIN, INT64_MAX, 100);
    }
    return draw(12) ? T->from_data(&ctx, LT_I64, 1 + (int32_t)draw(3), shape, values) : any();
}

static lt_tensor *one_index(int which) {
    const int64_t amounts[16] = {any_i32(), any_i32(), draw(3), draw(3), draw(3)}; /* as many as a call may read */
    const int32_t dims[LT_MAX_DIMS] = {any_i32(), small(), small()};
    lt_tensor *x = any(), *i = an_index(), *second = NULL, *parts[4] = {0};
    lth_error_clear(&ctx.error);
    const lt_embedding_opts padding = {.struct_size = draw(20) ? sizeof padding : draw(16), .has_padding_idx = coin(), .padding_idx = any_i32()};
    switch (which) {
    case 0: return T->gather(&ctx, i ? of_dims(i->a.ndim) : x, any_i32(), i);
    case 1: return T->scatter_add(&ctx, x, any_i32(), i, draw(3) ? x : any());
    case 2: return T->index_select(&ctx, x, any_i32(), i);
    case 3: return T->masked_fill(&ctx, x, T->eq(&ctx, x, x), any_f64());
    case 4: return T->pad(&ctx, x, draw(20) ? amounts : NULL, draw(9) ? 2 * small() : any_i32(), draw(9) ? (lt_pad_mode)draw(4) : any_i32(), any_f64());
    case 5: return coin() ? T->roll(&ctx, x, amounts, dims, draw(9) ? (int32_t)draw(4) : any_i32()) : T->flip(&ctx, x, dims, draw(9) ? (int32_t)draw(3) : -1);
    case 6: return coin() ? T->tril(&ctx, x, any_i32()) : T->triu(&ctx, x, ONE_OF(int64_t, INT64_MIN, INT64_MAX, 0, -1, 2));
    case 7: return coin() ? T->one_hot(&ctx, i, any_i32()) : T->embedding(&ctx, i, of_dims(2), draw(3) ? &padding : NULL);
    case 8: return coin() ? T->topk(&ctx, x, any_i32(), any_i32(), coin(), coin() ? &second : NULL) : T->sort(&ctx, x, any_i32(), coin(), &second);
    case 9: return T->split(&ctx, x, any_i32(), any_i32(), parts, draw(9) ? 4 : any_i32() % 5) > 0 ? parts[0] : NULL;
    case 10: return coin() ? T->unsqueeze(&ctx, x, any_i32()) : T->squeeze(&ctx, x, any_i32());
    default: return coin() ? T->slice_step(&ctx, x, any_i32(), any_i32(), any_i32(), ONE_OF(int64_t, 1, 2, 0, -1, INT64_MAX))
                           : T->stack(&ctx, (lt_tensor *[]){x, x, draw(5) ? x : any()}, 3, any_i32());
    }
}

static lt_tensor *one_loss(int which) {
    lt_tensor *(*const pairs[])(lt_ctx *, lt_tensor *, lt_tensor *, const lt_loss_opts *) = {T->l1_loss, T->smooth_l1_loss, T->huber_loss, T->bce_loss,
                                                                                          T->bce_with_logits, T->kl_div};
    lt_tensor *x = any(), *weight = draw(3) ? NULL : of_dims((int)draw(3));
    const lt_loss_opts opts = {.struct_size = draw(20) ? sizeof opts : ONE_OF(uint32_t, 0, 3, 4, 8, 16, 24, 32, 40, 48),
                               .reduction = draw(9) ? (lt_reduction)draw(4) : any_i32(), .beta = any_f64(),
                               .delta = any_f64(), .margin = any_f64(), .weight = weight, .pos_weight = draw(3) ? NULL : x, .log_target = coin()};
    const lt_cross_entropy_opts entropy = {.struct_size = sizeof entropy, .reduction = small(), .label_smoothing = any_f64(), .ignore_index = any_i32(),
                                           .has_ignore_index = coin(), .weight = weight};
    switch (which % 4) {
    case 0:
    case 1: return pairs[draw(6)](&ctx, x, draw(3) ? x : any(), draw(9) ? &opts : NULL);
    case 2: return (coin() ? T->cross_entropy : T->nll_loss)(&ctx, x, coin() ? x : an_index(), draw(9) ? &entropy : NULL);
    default: return coin() ? T->cosine_similarity(&ctx, x, draw(3) ? x : any(), any_i32(), any_f64())
                           : T->cosine_embedding_loss(&ctx, x, x, of_dims(x ? x->a.ndim - 1 : 0), draw(9) ? &opts : NULL);
    }
}

/* Slots that give no tensor. True: the call may be without result and without failure. */
static bool one_fact(int which) {
    lt_view view = {.struct_size = draw(20) ? sizeof view : draw(8)};
    lt_tensor *x = any();
    bool before;
    switch (which) {
    case 0: T->ndim(&ctx, x); break;
    case 1: T->size(&ctx, x, any_i32()); break;
    case 2: T->numel(&ctx, x); break;
    case 3: T->dtype(&ctx, x); break;
    case 4: T->item(&ctx, x); break;
    case 5: T->raw(&ctx, x, any_i32(), draw(20) ? &view : NULL); break;
    case 6: T->release(&ctx, T->retain(&ctx, x)); break;
    case 7: A->set_requires_grad(&ctx, x, coin()); break;
    case 8: A->backward(&ctx, x, draw(3) ? NULL : any()); break;
    case 9: A->grad(&ctx, x); break;
    default: A->set_grad_enabled(&ctx, draw(4) > 0, coin() ? &before : NULL); break;
    }
    return true;
}

/* A failure says what failed. */
static void judge(bool result, const char *what, int which) {
    if (ctx.error.code ? strlen(ctx.error.text) < 10 : !result) {
        fail_msg("%s %d, seed %llu: no result, status %d, text '%s'", what, which, (unsigned long long)seed, (int)ctx.error.code, ctx.error.text);
    }
    lth_error_clear(&ctx.error);
}

static int rounds(void) {
    const char *text = getenv("LTH_FUZZ_ROUNDS");
    return text ? (int)strtol(text, NULL, 10) : 3000;
}

static void any_call(void) {
    const int family = (int)draw(7), which = (int)draw(12);
    lt_tensor *x = family == 0 ? one_making(which) : family == 1 ? one_elementwise(which) : family == 2 ? one_of_dims(which)
                 : family == 3 ? one_layer(which) : family == 5 ? one_index(which) : family == 6 ? one_loss(which) : NULL;
    const bool good = family == 4 ? one_fact(which) : x != NULL;
    const char *const names[] = {"making", "elementwise", "dims", "layer", "fact", "index", "loss"};
    if (x && draw(8) == 0) { /* and back, with what it was made from */
        A->backward(&ctx, T->sum(&ctx, x, NULL, 0, false), NULL);
        lth_error_clear(&ctx.error);
    }
    judge(good, names[family], which);
    keep(x);
}

static void tensors(void **state) {
    (void)state;
    capped = lth_backend_cpu;
    capped.alloc = capped_alloc;
    lth_ctx_init(&ctx, LTH_TRAINER_THREAD);
    assert_int_equal(lth_engine_open(&ctx.engine, &capped, &(lth_engine_opts){.threads = 2, .seed = 1}, &ctx.error), LT_OK);
    for (int round = 0; round < rounds(); round++) {
        seed = (uint64_t)round;
        fill_pool();
        for (int k = 0; k < 30; k++) {
            any_call();
        }
        A->set_grad_enabled(&ctx, true, NULL);
        lth_step_end(ctx.engine);
    }
    lth_engine_free(ctx.engine);
    assert_int_equal(lth_alloc_live(), 0);
}

/* ---- modules ---- */
static lt_module *modules[POOL];
static lt_module *any_module(void) { return draw(30) ? modules[draw(POOL)] : NULL; }
static const char *any_name(void) { return ONE_OF(char *, "a", "b", "weight", "0", "", "a.b", "a/b", " ", "running_mean", NULL); }
static int64_t any_size(void) { return draw(9) ? draw(6) : ONE_OF(int64_t, -1, INT64_MIN, INT64_MAX, INT32_MAX, (int64_t)1 << 40, 4096); }

static lt_module *make_one(void) {
    const lt_nn_conv2d_opts conv = {draw(20) ? sizeof conv : draw(44), any_i32(), any_i32(), small(), small(), small(), small(), small(), small(), coin(), {0}};
    const lt_nn_batch_norm_opts norm = {draw(20) ? sizeof norm : draw(24), coin(), coin(), {0}, any_f64(), any_f64()};
    const lt_pool2d_opts window = {draw(20) ? sizeof window : draw(40), {any_i32(), small()}, {small(), any_i32()}, {small(), small()}, coin(), coin(), {0}};
    lt_module *items[4] = {any_module(), any_module(), any_module(), any_module()};
    int64_t shape[16];
    const int32_t ndim = any_shape(shape);
    const int which = (int)draw(11);
    bool result = false;
    lt_module *m = NULL;
    switch (which) {
    case 0: m = nn->linear(&ctx, any_size(), any_size(), coin()); break;
    case 1: m = nn->conv2d(&ctx, any_size(), any_size(), any_i32(), draw(9) ? &conv : NULL); break;
    case 2: m = nn->batch_norm(&ctx, any_i32(), any_size(), draw(9) ? &norm : NULL); break;
    case 3: m = nn->max_pool2d(&ctx, draw(9) ? &window : NULL); break;
    case 4: m = nn->avg_pool2d(&ctx, draw(9) ? &window : NULL); break;
    case 5: m = nn->flatten(&ctx, any_i32()); break;
    case 6: m = nn->activation(&ctx, any_i32()); break;
    case 7: m = nn->dropout(&ctx, any_f64()); break;
    case 8: m = nn->sequential(&ctx, any_name(), draw(20) ? items : NULL, draw(5)); break;
    case 9: m = nn->child(&ctx, any_name(), any_module()); break;
    default: result = nn->parameter(&ctx, any_name(), any_dtype(), ndim, draw(9) ? shape : NULL, any_f64()); break;
    }
    judge(m || result, "module", which);
    return m;
}

static void use_modules(void) {
    lt_module_info info = {.struct_size = draw(9) ? sizeof info : draw(60)};
    fill_pool();
    for (int k = 0; k < 20; k++) {
        lt_tensor *y = nn->forward(&ctx, any_module(), of_dims((int)draw(5)));
        judge(y != NULL, "forward", 0);
        keep(y);
        y = nn->module_parameter(&ctx, draw(4) ? any_module() : NULL, any_name());
        judge(y != NULL, "module_parameter", 0);
        nn->freeze(&ctx, any_module(), coin());
        judge(true, "freeze", 0);
        judge(nn->module_info(&ctx, any_i32(), draw(20) ? &info : NULL) == LT_OK, "module_info", 0);
        judge(nn->training(&ctx) || nn->module_count(&ctx) >= 0, "training", 0);
    }
    lth_step_end(ctx.engine);
}

static void trees(void **state) {
    (void)state;
    for (int round = 0; round < rounds() / 10; round++) {
        seed = (uint64_t)round + 1000000;
        lth_ctx_init(&ctx, LTH_TRAINER_THREAD);
        assert_int_equal(lth_engine_open(&ctx.engine, &capped, &(lth_engine_opts){.threads = 1, .seed = 1}, &ctx.error), LT_OK);
        lth_modules *m = lth_modules_new(ctx.engine, &ctx.error);
        ctx.modules = m;
        ctx.in_configure = true;
        memset(modules, 0, sizeof modules);
        for (int k = 0; k < 40; k++) {
            lt_module *made = make_one();
            if (made) {
                modules[draw(POOL)] = made;
            }
        }
        use_modules(); /* too early */
        ctx.in_configure = false;
        const lt_status sealed = lth_modules_seal(m, &ctx.error);
        judge(sealed == LT_OK, "seal", 0);
        if (sealed == LT_OK) {
            lth_modules_train(m, coin());
            use_modules();
        }
        make_one(); /* too late */
        lth_modules_free(m);
        lth_engine_free(ctx.engine);
        assert_int_equal(lth_alloc_live(), 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(tensors), cmocka_unit_test(trees)};
    return cmocka_run_group_tests_name("engine.fuzz", tests, NULL, NULL);
}
