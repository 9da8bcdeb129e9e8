/* tests/engine/test_ops_layers.c - the layers of lt/layers.h through their slots: shapes, sequences against images, refusals with op and
 * shapes, gradients by finite differences in f64 on the cpu and the reference backend, and of the older layers in f64 on the cpu; results
 * with the same bits for 1 to 4 threads. Values against PyTorch: ops_layers.bin in the golden tests. */
#include "base/mem.h"
#include "engine/autograd/tape.h"
#include "engine/ops/ops.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const lt_tensor_api *const T = &lth_tensor_table;
static lt_ctx ctx;

static void open_on(const lth_backend *backend, int threads) {
    lth_ctx_init(&ctx, LTH_TRAINER_THREAD);
    assert_int_equal(lth_engine_open(&ctx.engine, backend, &(lth_engine_opts){.threads = threads}, &ctx.error), LT_OK);
}
static void close_it(void) { lth_engine_free(ctx.engine); }

#define SHAPE(...) (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[]){__VA_ARGS__}
static lt_tensor *wave(lt_dtype dtype, int ndim, const int64_t *shape, double phase) {
    lt_tensor *t = T->full(&ctx, dtype, ndim, shape, 0);
    assert_non_null(t);
    for (int64_t i = 0; i < lth_numel(t); i++) {
        lth_element_set(dtype, t->a.data, i, sin(1.7 * (double)i * (1 + 0.01 * (double)i) + phase));
    }
    return t;
}
static bool has_shape(lt_tensor *t, int ndim, const int64_t *shape) {
    if (!t) {
        fail_msg("%s", ctx.error.text);
    }
    return t->a.ndim == ndim && !memcmp(t->a.shape, shape, (size_t)ndim * sizeof *shape);
}

static void shapes(void **state) {
    (void)state;
    open_on(&lth_backend_cpu, 1);
    lt_tensor *row = wave(LT_F32, SHAPE(2, 4, 9), 0), *w = wave(LT_F32, SHAPE(6, 2, 3), 1), *image = wave(LT_F32, SHAPE(2, 4, 6, 5), 2);
    lt_conv1d_opts conv = {.struct_size = sizeof conv, .stride = 2, .padding = 1, .groups = 2};
    assert_true(has_shape(T->conv1d(&ctx, row, w, NULL, &conv), SHAPE(2, 6, 5)));
    lt_conv_transpose1d_opts back = {.struct_size = sizeof back, .stride = 3, .output_padding = 1};
    assert_true(has_shape(T->conv_transpose1d(&ctx, row, wave(LT_F32, SHAPE(4, 5, 2), 0), NULL, &back), SHAPE(2, 5, 27)));
    lt_conv_transpose2d_opts two = {.struct_size = sizeof two, .stride = {2, 2}, .padding = {1, 1}, .output_padding = {1, 0}};
    assert_true(has_shape(T->conv_transpose2d(&ctx, image, wave(LT_F32, SHAPE(4, 3, 3, 3), 0), NULL, &two), SHAPE(2, 3, 12, 9)));
    lt_pool1d_opts pool = {.struct_size = sizeof pool, .kernel = 2};
    assert_true(has_shape(T->max_pool1d(&ctx, row, &pool), SHAPE(2, 4, 4)));
    pool.ceil_mode = 1;
    assert_true(has_shape(T->avg_pool1d(&ctx, row, &pool), SHAPE(2, 4, 5)));
    assert_true(has_shape(T->adaptive_avg_pool1d(&ctx, row, 4), SHAPE(2, 4, 4)));
    assert_true(has_shape(T->adaptive_avg_pool2d(&ctx, image, 1, 1), SHAPE(2, 4, 1, 1)));
    assert_true(has_shape(T->adaptive_max_pool2d(&ctx, image, 3, 7), SHAPE(2, 4, 3, 7)));
    lt_interpolate_opts up = {.struct_size = sizeof up, .scale = {1.5, 0}, .mode = LT_BILINEAR};
    assert_true(has_shape(T->interpolate(&ctx, image, &up), SHAPE(2, 4, 9, 7)));
    assert_true(has_shape(T->layer_norm_over(&ctx, image, 3, NULL, NULL, 1e-5), SHAPE(2, 4, 6, 5)));
    assert_true(has_shape(T->instance_norm(&ctx, image, NULL, NULL, 1e-5), SHAPE(2, 4, 6, 5)));
    assert_true(has_shape(T->group_norm(&ctx, wave(LT_F32, SHAPE(0, 4, 3), 0), 2, NULL, NULL, 1e-5), SHAPE(0, 4, 3)));
    assert_true(has_shape(T->conv1d(&ctx, wave(LT_F32, SHAPE(0, 4, 9), 0), w, NULL, &conv), SHAPE(0, 6, 5)));
    assert_true(has_shape(T->adaptive_avg_pool2d(&ctx, wave(LT_F32, SHAPE(0, 4, 3, 3), 0), 2, 2), SHAPE(0, 4, 2, 2)));
    close_it();
    assert_int_equal(lth_alloc_live(), 0);
}

#define REFUSED(call, want)                                     \
    do {                                                        \
        lth_error_clear(&ctx.error);                            \
        assert_null(call);                                      \
        if (!strstr(ctx.error.text, want)) {                    \
            fail_msg("\"%s\" lacks \"%s\"", ctx.error.text, want); \
        }                                                       \
        lth_error_clear(&ctx.error);                            \
    } while (0)
static void refusals(void **state) {
    (void)state;
    open_on(&lth_backend_cpu, 1);
    lt_tensor *row = wave(LT_F32, SHAPE(2, 4, 9), 0), *image = wave(LT_F32, SHAPE(2, 4, 6, 5), 2), *whole = T->full(&ctx, LT_I64, SHAPE(2, 4, 6, 5), 1);
    REFUSED(T->conv1d(&ctx, image, row, NULL, NULL), "lt_conv1d: x has 4 dimensions; it must have three");
    REFUSED(T->conv1d(&ctx, row, image, NULL, NULL), "lt_conv1d: weight has 4 dimensions");
    REFUSED(T->conv1d(&ctx, row, wave(LT_F32, SHAPE(6, 3, 3), 1), NULL, NULL), "conv1d: x (2, 4, 9) does not fit weight (6, 3, 3)");
    REFUSED(T->conv_transpose2d(&ctx, image, wave(LT_F32, SHAPE(3, 4, 3, 3), 0), NULL, NULL),
            "conv_transpose2d: x (2, 4, 6, 5) does not fit weight (3, 4, 3, 3)");
    lt_conv_transpose2d_opts two = {.struct_size = sizeof two, .output_padding = {1, 0}};
    REFUSED(T->conv_transpose2d(&ctx, image, wave(LT_F32, SHAPE(4, 3, 3, 3), 0), NULL, &two), "output_padding 1 must be less than stride 1 or dilation 1");
    REFUSED(T->conv_transpose2d(&ctx, image, wave(LT_F32, SHAPE(4, 3, 3, 3), 0), row, NULL), "conv_transpose2d: bias (2, 4, 9) does not fit");
    REFUSED(T->conv_transpose2d(&ctx, image, wave(LT_F64, SHAPE(4, 3, 3, 3), 0), NULL, NULL), "conv_transpose2d");
    REFUSED(T->adaptive_avg_pool2d(&ctx, image, 0, 1), "adaptive_avg_pool2d: output size (0, 1)");
    REFUSED(T->adaptive_max_pool2d(&ctx, row, 1, 1), "adaptive_max_pool2d: x (2, 4, 9) must have four dimensions");
    REFUSED(T->adaptive_max_pool2d(&ctx, whole, 1, 1), "adaptive_max_pool2d");
    lt_interpolate_opts none = {.struct_size = sizeof none};
    REFUSED(T->interpolate(&ctx, image, &none), "lt_interpolate: give size or scale");
    none.scale[0] = -2;
    REFUSED(T->interpolate(&ctx, image, &none), "lt_interpolate: give size or scale");
    lt_interpolate_opts aligned = {.struct_size = sizeof aligned, .scale = {2, 2}, .align_corners = 1};
    REFUSED(T->interpolate(&ctx, image, &aligned), "align_corners is for LT_BILINEAR");
    REFUSED(T->group_norm(&ctx, image, 3, NULL, NULL, 1e-5), "group_norm: 3 groups do not divide the channels of x (2, 4, 6, 5)");
    REFUSED(T->group_norm(&ctx, image, 2, wave(LT_F32, SHAPE(5), 0), NULL, 1e-5),
            "group_norm: weight (5) does not fit x (2, 4, 6, 5): x has that many channels, so it must be (4)");
    REFUSED(T->rms_norm(&ctx, image, wave(LT_F32, SHAPE(4), 0), 1e-5), "rms_norm: weight (4) does not fit");
    REFUSED(T->layer_norm_over(&ctx, image, 5, NULL, NULL, 1e-5), "lt_layer_norm_over");
    REFUSED(T->conv1d(&ctx, NULL, row, NULL, NULL), "argument 2 is NULL");
    close_it();
}

/* ---- gradients ---- */
typedef struct probe { lth_op op; lth_attrs attrs; } probe;
static lt_tensor *curved(lt_ctx *c, lt_tensor *const *in, int n, void *arg) { /* sum of y^2 / 2 + y: not the same at every output */
    const probe *p = arg;
    lt_tensor *y = lth_apply(c, p->op, in, n, &p->attrs, NULL), *square = y ? T->mul(c, y, y) : NULL;
    return square ? T->sum(c, T->add(c, T->mul_scalar(c, square, 0.5), y), NULL, 0, false) : NULL;
}
static void check(const char *name, probe p, int n, const int (*ndims), int64_t shapes_[][4]) {
    lt_tensor *in[5];
    for (int k = 0; k < n; k++) {
        in[k] = wave(LT_F64, ndims[k], shapes_[k], 0.3 * k);
        in[k]->requires_grad = 1;
    }
    const double worst = lth_gradcheck(&ctx, curved, in, n, &p, 1e-5);
    if (!(worst < 1e-6)) {
        fail_msg("%s on %s: gradients are off by %g (%s)", name, ctx.engine->backend->name, worst, ctx.error.text);
    }
    lth_step_end(ctx.engine);
}
#define CHECK(op_, n, ndims_, shapes_, ...) check(#op_, (probe){LTH_OP_##op_, __VA_ARGS__}, n, (const int[])ndims_, (int64_t[][4])shapes_)
#define LIST(...) {__VA_ARGS__}
static void gradients(void **state) {
    (void)state;
    for (int k = 0; k < 2; k++) {
        open_on(k ? &lth_backend_cpu : &lth_backend_reference, 2);
        CHECK(CONV_TRANSPOSE2D, 3, LIST(4, 4, 1), LIST({2, 4, 3, 4}, {4, 3, 3, 2}, {6}), {.i = {2, 3, 1, 0, 1, 2, 2, 1, 2}});
        CHECK(ADAPTIVE_AVG_POOL2D, 1, LIST(4), LIST({2, 2, 5, 4}), {.i = {3, 2}});
        CHECK(ADAPTIVE_MAX_POOL2D, 1, LIST(4), LIST({2, 2, 5, 4}), {.i = {3, 2}});
        CHECK(INTERPOLATE, 1, LIST(4), LIST({1, 2, 3, 4}), {.i = {1, 0, 5, 7}});
        CHECK(INTERPOLATE, 1, LIST(4), LIST({1, 2, 3, 4}), {.i = {1, 1, 5, 7}});
        CHECK(INTERPOLATE, 1, LIST(4), LIST({1, 2, 3, 4}), {.i = {0, 0, 7, 5}});
        CHECK(GROUP_NORM, 3, LIST(3, 1, 1), LIST({2, 6, 5}, {6}, {6}), {.i = {2}, .f = {1e-5}});
        CHECK(RMS_NORM, 2, LIST(3, 1), LIST({2, 3, 7}, {7}), {.f = {1e-5}});
        CHECK(CONV2D, 3, LIST(4, 4, 1), LIST({2, 4, 6, 5}, {6, 2, 3, 2}, {6}), {.i = {2, 1, 1, 2, 1, 2, 2}});
        CHECK(CONV2D, 3, LIST(4, 4, 1), LIST({2, 2, 6, 6}, {3, 2, 3, 3}, {3}), {.i = {1, 1, 1, 1, 1, 1, 1, LT_ACT_TANH, 2, 2, 2, 2}});
        CHECK(LINEAR, 3, LIST(3, 2, 1), LIST({2, 3, 5}, {4, 5}, {4}), {.i = {LT_ACT_GELU}});
        CHECK(LINEAR, 3, LIST(3, 2, 1), LIST({2, 3, 5}, {4, 5}, {4}), {.i = {LT_ACT_GELU_TANH}});
        CHECK(MATMUL, 2, LIST(4, 3), LIST({2, 3, 2, 4}, {3, 4, 3}), {.i = {0}});
        CHECK(BATCH_NORM, 3, LIST(3, 1, 1), LIST({3, 4, 5}, {4}, {4}), {.i = {1, 0}, .f = {1e-5, 0.1}});
        CHECK(LAYER_NORM, 3, LIST(2, 1, 1), LIST({4, 9}, {9}, {9}), {.f = {1e-5}});
        CHECK(AVG_POOL2D, 1, LIST(4), LIST({2, 2, 5, 5}), {.i = {3, 3, 2, 2, 1, 1, 1, 1}});
        CHECK(MAX_POOL2D, 1, LIST(4), LIST({2, 2, 5, 5}), {.i = {3, 3, 2, 2, 1, 1, 1}});
        CHECK(SOFTMAX, 1, LIST(3), LIST({2, 5, 3}), {.i = {1}});
        CHECK(LOG_SOFTMAX, 1, LIST(3), LIST({2, 5, 3}), {.i = {1}});
        close_it();
    }
}

/* ---- bits ---- */
static void same_bits(void **state) {
    (void)state;
    double first[4];
    for (int threads = 1; threads <= 4; threads++) {
        double sums[4] = {0};
        open_on(&lth_backend_cpu, threads);
        for (int wide = 0; wide < 2; wide++) {
            lt_dtype dtype = wide ? LT_F64 : LT_F32;
            lt_tensor *x = wave(dtype, SHAPE(6, 24, 15, 14), 0), *w = wave(dtype, SHAPE(24, 20, 3, 3), 1);
            x->requires_grad = w->requires_grad = 1;
            lt_conv_transpose2d_opts two = {.struct_size = sizeof two, .stride = {2, 2}, .padding = {1, 1}};
            lt_tensor *y = T->conv_transpose2d(&ctx, x, w, NULL, &two);
            y = T->group_norm(&ctx, y, 5, NULL, NULL, 1e-5);
            y = T->rms_norm(&ctx, T->adaptive_avg_pool2d(&ctx, y, 9, 11), NULL, 1e-6);
            lt_tensor *loss = T->sum(&ctx, T->mul(&ctx, y, y), NULL, 0, false);
            if (!loss || lth_backward(&ctx, loss, NULL, 1) != LT_OK) {
                fail_msg("%s", ctx.error.text);
            }
            const lt_tensor *grads[2] = {x->grad, w->grad};
            for (int g = 0; g < 2; g++) {
                for (int64_t i = 0; i < lth_numel(grads[g]); i++) { /* any changed bit shows */
                    sums[2 * wide + g] = sums[2 * wide + g] * 1.000001 + lth_element_get(dtype, grads[g]->a.data, i);
                }
            }
        }
        close_it();
        if (threads == 1) {
            memcpy(first, sums, sizeof first);
        }
        assert_memory_equal(first, sums, sizeof first);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(shapes), cmocka_unit_test(refusals), cmocka_unit_test(gradients), cmocka_unit_test(same_bits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
