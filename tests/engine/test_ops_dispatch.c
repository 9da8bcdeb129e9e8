/* tests/engine/test_ops_dispatch.c - what lt.tensor/1 refuses and how it says so, how a kernel is chosen and its inputs prepared, views, raw
 * memory, allocation. Values of kernels are tested elsewhere; here the reference backend stands in, alone or behind a picky one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "engine/autograd/tape.h"
#include <math.h>
#include <pthread.h>
#include <stdio.h>

static const lt_tensor_api *const T = &lth_tensor_table;
static lt_ctx ctx;

static void open_on(const lth_backend *backend) {
    lth_ctx_init(&ctx, LTH_TRAINER_THREAD);
    assert_int_equal(lth_engine_open(&ctx.engine, backend, &(lth_engine_opts){.seed = 42}, &ctx.error), LT_OK);
}

static int setup(void **state) {
    (void)state;
    open_on(&lth_backend_reference);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    lth_engine_free(ctx.engine);
    return 0;
}

#define SHAPE(...) (int32_t)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[]){__VA_ARGS__}
static lt_tensor *zeros(int32_t ndim, const int64_t *shape) { return T->full(&ctx, LT_F32, ndim, shape, 0); }
static lt_tensor *labels(int32_t ndim, const int64_t *shape) { return T->full(&ctx, LT_I64, ndim, shape, 0); }

static lt_tensor *counting(int32_t ndim, const int64_t *shape) {
    lt_tensor *t = zeros(ndim, shape);
    for (int64_t i = 0; i < lth_numel(t); i++) {
        ((float *)t->a.data)[i] = (float)i;
    }
    return t;
}

static double at(lt_tensor *t, int64_t i) {
    double value = NAN;
    assert_non_null(t);
    assert_int_equal(lth_tensor_read(t, i, 1, &value, &ctx.error), LT_OK);
    return value;
}

static void expect_shape(const lt_tensor *t, int32_t ndim, const int64_t *shape) {
    assert_non_null(t);
    assert_int_equal(t->a.ndim, ndim);
    assert_memory_equal(t->a.shape, shape, (size_t)ndim * sizeof *shape);
}

/* The call fails with this status and exactly this text. */
#define REFUSES(call, status, message) do { \
        lth_error_clear(&ctx.error); \
        assert_null(call); \
        assert_string_equal(ctx.error.text, message); \
        assert_int_equal(ctx.error.code, status); \
        lth_error_clear(&ctx.error); \
    } while (0)

/* Layers of sequences run as images of one row; refusals speak of what the caller gave. */
static void test_refusals_of_sequences(void **state) {
    (void)state;
    lt_tensor *x = zeros(SHAPE(2, 3, 8)), *w = zeros(SHAPE(4, 5, 3));
    const lt_conv1d_opts pads = {.struct_size = sizeof pads, .padding = -1}, groups = {.struct_size = sizeof groups, .groups = 2};
    const lt_conv_transpose1d_opts more = {.struct_size = sizeof more, .output_padding = 4}, wide = {.struct_size = sizeof wide, .padding = 9};
    const lt_pool1d_opts nine = {.struct_size = sizeof nine, .kernel = 9}, none = {.struct_size = sizeof none};
    REFUSES(T->conv1d(&ctx, x, w, NULL, NULL), LT_ESHAPE, "conv1d: x (2, 3, 8) does not fit weight (4, 5, 3): x must have 5 channels");
    REFUSES(T->conv1d(&ctx, x, zeros(SHAPE(4, 3, 9)), NULL, NULL), LT_ESHAPE,
            "conv1d: x (2, 3, 8) is smaller than the kernel: its padded length is less than 9");
    REFUSES(T->conv1d(&ctx, x, zeros(SHAPE(4, 3, 3)), zeros(SHAPE(5)), NULL), LT_ESHAPE,
            "conv1d: bias (5) does not fit x (2, 3, 8): weight has that many filters, so it must be (4)");
    REFUSES(T->conv1d(&ctx, x, w, NULL, &pads), LT_EINVAL,
            "conv1d: stride 1, padding -1, dilation 1: stride and dilation must be 1 or more, padding 0 or more");
    REFUSES(T->conv1d(&ctx, x, w, NULL, &groups), LT_EINVAL, "conv1d: 2 groups do not divide the channels of x (2, 3, 8) and weight (4, 5, 3)");
    REFUSES(T->conv1d(&ctx, labels(SHAPE(2, 3, 8)), w, NULL, NULL), LT_EDTYPE, "conv1d: x is i64, but must be a float; use lt_cast");
    REFUSES(T->conv_transpose1d(&ctx, x, w, NULL, NULL), LT_ESHAPE,
            "conv_transpose1d: x (2, 3, 8) does not fit weight (4, 5, 3): weight must be (C, O/groups, k) with the channels of x");
    REFUSES(T->conv_transpose1d(&ctx, x, w, NULL, &more), LT_EINVAL, "conv_transpose1d: output_padding 4 must be less than stride 1 or dilation 1");
    REFUSES(T->conv_transpose1d(&ctx, x, zeros(SHAPE(3, 5, 3)), NULL, &wide), LT_ESHAPE,
            "conv_transpose1d: x (2, 3, 8) gives no output: its length would be -8");
    REFUSES(T->max_pool1d(&ctx, x, &nine), LT_ESHAPE, "max_pool1d: x (2, 3, 8) is smaller than the kernel: its padded length is less than 9");
    REFUSES(T->avg_pool1d(&ctx, x, &none), LT_EINVAL,
            "avg_pool1d: kernel 0, stride 0, padding 0: kernel and stride must be 1 or more, padding at most half the kernel");
    REFUSES(T->adaptive_avg_pool1d(&ctx, x, 0), LT_EINVAL, "adaptive_avg_pool1d: output size 0: it must be 1 or more");
    REFUSES(T->adaptive_avg_pool1d(&ctx, zeros(SHAPE(2, 3, 0)), 2), LT_ESHAPE, "adaptive_avg_pool1d: x (2, 3, 0) has an empty map");
}

static void test_refusals_name_shapes(void **state) {
    (void)state;
    REFUSES(T->linear(&ctx, zeros(SHAPE(64, 785)), zeros(SHAPE(128, 784)), NULL, 0), LT_ESHAPE,
            "linear: x (64, 785) does not fit weight (128, 784): the last dimension of x must be 784");
    REFUSES(T->linear(&ctx, zeros(SHAPE(2, 3)), zeros(SHAPE(4, 3)), zeros(SHAPE(5)), 0), LT_ESHAPE,
            "linear: bias (5) does not fit x (2, 3): weight has that many rows, so it must be (4)");
    REFUSES(T->add(&ctx, zeros(SHAPE(2, 3)), zeros(SHAPE(4, 1, 2))), LT_ESHAPE,
            "add: a (2, 3) and b (4, 1, 2) do not broadcast: counted from the end, sizes must be equal or 1");
    REFUSES(T->mul(&ctx, zeros(SHAPE(2)), labels(SHAPE(2))), LT_EDTYPE, "mul: a is f32 and b is i64, but they must be the same; use lt_cast");
    REFUSES(T->exp(&ctx, labels(SHAPE(2))), LT_EDTYPE, "exp: x is i64, but must be a float; use lt_cast");
    REFUSES(T->matmul(&ctx, zeros(SHAPE(2, 3)), zeros(SHAPE(4, 5))), LT_ESHAPE,
            "matmul: a (2, 3) does not fit b (4, 5): the last dimension but one of b must be 3");
    REFUSES(T->softmax(&ctx, zeros(SHAPE(2, 3)), 2), LT_EINDEX, "softmax: x (2, 3) has no dimension 2");
    REFUSES(T->sum(&ctx, zeros(SHAPE(2, 3)), (int32_t[]){1, -1}, 2, false), LT_EINVAL, "sum: dimension 1 is given twice");
    REFUSES(T->reshape(&ctx, zeros(SHAPE(2, 3)), SHAPE(4, -1)), LT_ESHAPE,
            "reshape: x (2, 3) has 6 elements, which the known sizes of (4, -1) do not divide");
    REFUSES(T->slice(&ctx, zeros(SHAPE(2, 3)), 1, 1, 4), LT_EINDEX, "slice: 1 to 4 does not lie in dimension 1 of x (2, 3)");
    REFUSES(T->cross_entropy(&ctx, zeros(SHAPE(8, 10)), labels(SHAPE(7)), NULL), LT_ESHAPE,
            "cross_entropy: target (7) does not fit logits (8, 10): target must be (8)");
    REFUSES(T->mse_loss(&ctx, zeros(SHAPE(8, 1)), zeros(SHAPE(8)), LT_MEAN), LT_ESHAPE,
            "mse_loss: x (8, 1) and target (8) must have the same shape; use lt_reshape");
    REFUSES(T->conv2d(&ctx, zeros(SHAPE(2, 3, 8, 8)), zeros(SHAPE(4, 1, 3, 3)), NULL, NULL), LT_ESHAPE,
            "conv2d: x (2, 3, 8, 8) does not fit weight (4, 1, 3, 3): x must have 1 channels");
    REFUSES(T->conv2d(&ctx, zeros(SHAPE(2, 1, 2, 8)), zeros(SHAPE(4, 1, 3, 3)), NULL, NULL), LT_ESHAPE,
            "conv2d: x (2, 1, 2, 8) is smaller than the kernel: its padded height is less than 3");
    REFUSES(T->permute(&ctx, zeros(SHAPE(2, 3)), (int32_t[]){0, 0}), LT_EINVAL,
            "permute: dims must name each of the 2 dimensions of x (2, 3) once; number 1 is 0");
    lt_tensor *items[] = {zeros(SHAPE(2, 3)), zeros(SHAPE(2, 4))};
    REFUSES(T->cat(&ctx, items, 2, 0), LT_ESHAPE, "cat: item 1 (2, 4) does not fit item 0 (2, 3): all sizes but that of dimension 0 must be equal");
}

static void test_null_arguments(void **state) {
    (void)state;
    lt_tensor *x = zeros(SHAPE(3));
    REFUSES(T->relu(&ctx, NULL), LT_EINVAL, "argument 2 is NULL, and no earlier call failed");
    REFUSES(T->add(&ctx, x, NULL), LT_EINVAL, "argument 3 is NULL, and no earlier call failed");
    REFUSES(T->full(&ctx, LT_F32, 2, NULL, 0), LT_EINVAL, "argument 4 is NULL, and no earlier call failed");
    /* after a failure nothing happens, and the first one is kept */
    assert_null(T->exp(&ctx, labels(SHAPE(2))));
    char text[1100];
    snprintf(text, sizeof text, "%s", ctx.error.text);
    assert_null(T->relu(&ctx, T->add(&ctx, NULL, x)));
    assert_null(lth_apply(&ctx, LTH_OP_RELU, &x, 1, NULL, NULL));
    assert_int_equal(T->ndim(&ctx, x), 0);
    assert_true(isnan(T->item(&ctx, x)));
    assert_int_equal(T->raw(&ctx, x, LT_READ, NULL), LT_EDTYPE);
    assert_string_equal(ctx.error.text, text);
    lth_error_clear(&ctx.error);
}

static void *call_from_elsewhere(void *arg) {
    (void)arg;
    return T->full(&ctx, LT_F32, 0, NULL, 1);
}

static void test_wrong_thread(void **state) {
    (void)state;
    pthread_t thread;
    void *result;
    assert_int_equal(pthread_create(&thread, NULL, call_from_elsewhere, NULL), 0);
    pthread_join(thread, &result);
    assert_null(result);
    assert_int_equal(ctx.error.code, LT_ESTATE);
    assert_string_equal(ctx.error.op, "lt_full");
}

static void test_facts_and_making(void **state) {
    (void)state;
    lt_tensor *x = T->from_data(&ctx, LT_F32, SHAPE(2, 3), (float[]){1, 2, 3, 4, 5, 6});
    assert_int_equal(T->ndim(&ctx, x), 2);
    assert_int_equal(T->size(&ctx, x, -1), 3);
    assert_int_equal(T->numel(&ctx, x), 6);
    assert_int_equal(T->dtype(&ctx, x), LT_F32);
    assert_true(T->item(&ctx, T->sum(&ctx, x, NULL, 0, false)) == 21);
    assert_int_equal(T->size(&ctx, x, 2), 0);
    assert_int_equal(ctx.error.code, LT_EINDEX);
    lth_error_clear(&ctx.error);
    assert_true(isnan(T->item(&ctx, x)));
    lth_error_clear(&ctx.error);
    lt_tensor *r = T->arange(&ctx, LT_I64, 1, 8, 3);
    expect_shape(r, SHAPE(3));
    assert_true(at(r, 2) == 7);
    expect_shape(T->arange(&ctx, LT_F32, 3, 3, 1), SHAPE(0));
    REFUSES(T->arange(&ctx, LT_F32, 0, 1, 0), LT_EINVAL, "no end from 0 to 1 in steps of 0");
    lt_tensor *u = T->rand(&ctx, SHAPE(1000));
    assert_true(at(u, 0) >= 0 && at(u, 0) < 1 && at(u, 0) != at(u, 1));
    assert_true(fabs((double)((float *)u->a.data)[0] - 0.8822692632675171) < 1e-7); /* torch.manual_seed(42); torch.rand(1) */
    assert_ptr_equal(T->cast(&ctx, x, LT_F32), x);
    assert_int_equal(T->cast(&ctx, x, LT_I32)->a.dtype, LT_I32);
    assert_true(T->clone(&ctx, x)->a.data != x->a.data);
    assert_ptr_equal(T->dropout(&ctx, x, 0.5, false), x);
    REFUSES(T->dropout(&ctx, x, 1.5, true), LT_EINVAL, "dropout: p is 1.5, but must lie between 0 and 1");
    REFUSES(T->dropout(&ctx, x, 7, false), LT_EINVAL, "dropout: p is 7, but must lie between 0 and 1");
    REFUSES(T->dropout(&ctx, x, NAN, false), LT_EINVAL, "dropout: p is nan, but must lie between 0 and 1");
}

static void test_broadcasting(void **state) {
    (void)state;
    lt_tensor *y = T->add(&ctx, counting(SHAPE(4, 1)), counting(SHAPE(2, 1, 3)));
    expect_shape(y, SHAPE(2, 4, 3));
    assert_true(at(y, 0) == 0 && at(y, 23) == 3 + 5 && at(y, 3) == 1);
    expect_shape(T->eq(&ctx, zeros(SHAPE(3)), zeros(0, NULL)), SHAPE(3));
    expect_shape(T->add(&ctx, zeros(SHAPE(0, 3)), zeros(SHAPE(1, 3))), SHAPE(0, 3));
}

static void test_shapes_of_layers(void **state) {
    (void)state;
    lt_tensor *x = zeros(SHAPE(2, 3, 9, 8));
    lt_conv2d_opts c = {.struct_size = sizeof c, .stride = {2, 1}, .padding = {1, 0}, .dilation = {1, 2}, .groups = 3};
    expect_shape(T->conv2d(&ctx, x, zeros(SHAPE(6, 1, 3, 3)), zeros(SHAPE(6)), &c), SHAPE(2, 6, 5, 4));
    lt_pool2d_opts p = {.struct_size = sizeof p, .kernel = {2, 3}};
    expect_shape(T->max_pool2d(&ctx, x, &p), SHAPE(2, 3, 4, 2));
    p.ceil_mode = 1;
    expect_shape(T->avg_pool2d(&ctx, x, &p), SHAPE(2, 3, 5, 3));
    p.struct_size = 0;
    REFUSES(T->avg_pool2d(&ctx, x, &p), LT_EABI, "opts->struct_size is 0; set it to sizeof *opts");
    expect_shape(T->matmul(&ctx, zeros(SHAPE(5, 1, 2, 3)), zeros(SHAPE(4, 3, 7))), SHAPE(5, 4, 2, 7));
    expect_shape(T->sum(&ctx, x, (int32_t[]){-1, 0}, 2, true), SHAPE(1, 3, 9, 1));
    expect_shape(T->mean(&ctx, x, (int32_t[]){1}, 1, false), SHAPE(2, 9, 8));
    expect_shape(T->argmax(&ctx, x, 1, false), SHAPE(2, 9, 8));
    expect_shape(T->linear(&ctx, zeros(SHAPE(5)), zeros(SHAPE(2, 5)), NULL, LT_ACT_RELU), SHAPE(2));
}

static void test_views_share_memory(void **state) {
    (void)state;
    lt_tensor *x = counting(SHAPE(2, 3, 4));
    lt_tensor *r = T->reshape(&ctx, x, SHAPE(-1, 4));
    expect_shape(r, SHAPE(6, 4));
    assert_ptr_equal(r->a.data, x->a.data);
    lt_tensor *p = T->permute(&ctx, x, (int32_t[]){-1, 0, 1});
    expect_shape(p, SHAPE(4, 2, 3));
    assert_ptr_equal(p->a.data, x->a.data);
    assert_true(at(p, 1) == 4 && at(p, 6) == 1);
    lt_tensor *s = T->slice(&ctx, p, 0, -2, 4);
    expect_shape(s, SHAPE(2, 2, 3));
    assert_true(at(s, 0) == 2 && at(s, 7) == 7);
    assert_ptr_equal(s->base, x);
    lt_tensor *f = T->flatten(&ctx, s, 1); /* its last two dimensions lie behind one another: a view still */
    expect_shape(f, SHAPE(2, 6));
    assert_true(at(f, 0) == 2 && at(f, 6) == 3 && f->base == x);
    lt_tensor *t = T->transpose(&ctx, x, 0, -1);
    expect_shape(t, SHAPE(4, 3, 2));
    assert_ptr_equal(T->reshape(&ctx, x, SHAPE(2, 3, 4)), x);
    expect_shape(T->flatten(&ctx, zeros(0, NULL), 0), SHAPE(1));
    lth_attrs attrs = {.i = {0, 3, 5, 2, 3}};
    lt_tensor *narrow = counting(SHAPE(2, 1)), *wide = lth_apply(&ctx, LTH_OP_EXPAND, &narrow, 1, &attrs, NULL);
    expect_shape(wide, SHAPE(5, 2, 3));
    assert_true(at(wide, 29) == 1 && at(wide, 24) == 0);
    assert_true(at(T->add_scalar(&ctx, wide, 1), 29) == 2);
}

static void test_cat_of_many(void **state) {
    (void)state;
    lt_tensor *items[20];
    for (int k = 0; k < 20; k++) {
        items[k] = T->full(&ctx, LT_F32, SHAPE(2, 1), k);
    }
    lt_tensor *y = T->cat(&ctx, items, 20, -1);
    expect_shape(y, SHAPE(2, 20));
    for (int k = 0; k < 40; k++) {
        assert_true(at(y, k) == k % 20);
    }
}

static void test_raw(void **state) {
    (void)state;
    lt_view view = {.struct_size = sizeof view};
    lt_tensor *x = counting(SHAPE(2, 3)), *t = T->transpose(&ctx, x, 0, 1);
    assert_int_equal(T->raw(&ctx, x, LT_READ | LT_WRITE, &view), LT_OK);
    assert_ptr_equal(view.data, x->a.data);
    assert_true(view.dtype.code == 2 && view.dtype.bits == 32 && view.device.device_type == 1 && view.ndim == 2 && view.shape[1] == 3);
    assert_int_equal(x->version, 1);
    assert_int_equal(T->raw(&ctx, t, LT_READ, &view), LT_OK); /* row-major first */
    assert_true(view.strides[0] == 2 && ((float *)view.data)[1] == 3);
    assert_int_equal(T->raw(&ctx, t, LT_WRITE, &view), LT_OK); /* in place, strides and all */
    assert_true(view.data == x->a.data && view.strides[0] == 1);
    assert_int_equal(x->version, 2);
    assert_int_equal(T->raw(&ctx, x, 0, &view), LT_EINVAL);
    lth_error_clear(&ctx.error);
    view.struct_size = 8;
    assert_int_equal(T->raw(&ctx, x, LT_READ, &view), LT_EABI);
}

static void test_retain_by_table(void **state) {
    (void)state;
    lt_tensor *x = counting(SHAPE(3));
    assert_ptr_equal(T->retain(&ctx, x), x);
    lth_step_end(ctx.engine);
    counting(SHAPE(3));
    assert_true(at(x, 2) == 2);
    lth_fail(&ctx.error, LT_EINVAL, "something failed");
    T->release(&ctx, x); /* works after a failure */
    assert_int_equal(x->retained, 0);
    T->release(&ctx, NULL);
}

/* ---- a picky backend in front of the reference ---- */

static int picky_calls, picky_seen_irregular;
static bool contiguous_only(lth_device *device, lth_call *call) {
    (void)device;
    for (int k = 0; k < call->n_in; k++) {
        if (!lth_array_contiguous(call->in[k])) {
            return false;
        }
    }
    return true;
}

static lt_status picky_forward(lth_device *device, const lth_call *call, lth_error *err) {
    picky_calls++;
    for (int k = 0; k < call->n_in; k++) {
        picky_seen_irregular += !lth_array_contiguous(call->in[k]) || !call->in[k]->data;
    }
    return lth_backend_reference.kernels[call->op]->forward(device, call, err);
}

static lt_status picky_backward(lth_device *device, const lth_call *call, lth_error *err) {
    return lth_backend_reference.kernels[call->op]->backward(device, call, err);
}

/* Writes a blocked layout, and asks for workspace; takes back only its own gradients, which is what the contract promises. */
static bool blocks_plan(lth_device *device, lth_call *call) {
    (void)device;
    if (call->in[0]->ndim != 4 || !lth_array_contiguous(call->in[0])) {
        call->out[0]->layout = LTH_C16; /* what it sets before it declines must not stand */
        call->workspace_bytes = 12345;
        return false;
    }
    call->out[0]->layout = LTH_N16C;
    call->workspace_bytes = 64;
    return true;
}

static lt_status blocks_forward(lth_device *device, const lth_call *call, lth_error *err) {
    assert_non_null(call->workspace);
    /* y = x, blocked: the backward of COPY writes any layout */
    lth_array from = *call->in[0];
    lth_call copy = {.op = LTH_OP_COPY, .n_in = 1, .n_out = 1, .in = {call->out[0]}, .grad_out = {&from}, .grad_in = {call->out[0]}};
    copy.need[0] = true;
    return lth_backend_reference.kernels[LTH_OP_COPY]->backward(device, &copy, err);
}

static lt_status blocks_backward(lth_device *device, const lth_call *call, lth_error *err) {
    assert_int_equal(call->grad_out[0]->layout, LTH_N16C);
    lth_call copy = {.op = LTH_OP_COPY, .n_in = 1, .n_out = 1, .in = {call->grad_out[0]}, .out = {call->grad_in[0]}};
    assert_false(call->accumulate[0]);
    return lth_backend_reference.kernels[LTH_OP_COPY]->forward(device, &copy, err);
}

static const lth_kernel picky_matmul = {contiguous_only, picky_forward, picky_backward}, picky_exp = {NULL, picky_forward, NULL},
                        blocks = {blocks_plan, blocks_forward, blocks_backward};

static const lth_backend *picky_backend(void) {
    static lth_backend picky;
    picky = lth_backend_reference;
    picky.name = "picky";
    picky.fallback = &lth_backend_reference;
    memset(picky.kernels, 0, sizeof picky.kernels);
    picky.kernels[LTH_OP_MATMUL] = &picky_matmul;
    picky.kernels[LTH_OP_EXP] = &picky_exp;
    picky.kernels[LTH_OP_ABS] = &blocks;
    picky_calls = picky_seen_irregular = 0;
    return &picky;
}

static int setup_picky(void **state) {
    (void)state;
    open_on(picky_backend());
    return 0;
}

static void test_inputs_are_made_to_fit(void **state) {
    (void)state;
    lt_tensor *a = T->transpose(&ctx, counting(SHAPE(3, 2)), 0, 1), *b = counting(SHAPE(3, 2));
    lt_tensor *y = T->matmul(&ctx, a, b);
    assert_int_equal(picky_calls, 1);
    assert_int_equal(picky_seen_irregular, 0);
    assert_true(at(y, 0) == 0 * 0 + 2 * 2 + 4 * 4 && at(y, 3) == 1 * 1 + 3 * 3 + 5 * 5);
    /* with gradients, through the copy */
    lth_autograd_table.set_requires_grad(&ctx, b, true);
    lt_tensor *x = T->add_scalar(&ctx, b, 0);
    y = T->sum(&ctx, T->matmul(&ctx, T->transpose(&ctx, x, 0, 1), b), NULL, 0, false);
    assert_int_equal(lth_backward(&ctx, y, NULL, 1), LT_OK);
    assert_true(at(b->grad, 0) == 2 * (0 + 1) && at(b->grad, 5) == 2 * (4 + 5));
}

static void test_fallbacks(void **state) {
    (void)state;
    lt_tensor *x = counting(SHAPE(4));
    assert_true(at(T->relu(&ctx, x), 3) == 3); /* no kernel there */
    assert_non_null(T->exp(&ctx, x));
    assert_int_equal(picky_calls, 1);
    lt_tensor *d = T->cast(&ctx, x, LT_F64);
    assert_non_null(T->exp(&ctx, d)); /* not f32: declined without a plan */
    assert_int_equal(picky_calls, 1);
    lth_autograd_table.set_requires_grad(&ctx, x, true);
    assert_non_null(T->exp(&ctx, x)); /* it has no backward */
    assert_int_equal(picky_calls, 1);
    assert_non_null(T->abs(&ctx, zeros(SHAPE(3)))); /* declined after it set a layout */
}

static void test_blocked_layouts_pass_through(void **state) {
    (void)state;
    lt_tensor *x = counting(SHAPE(18, 3, 2, 2));
    lth_autograd_table.set_requires_grad(&ctx, x, true);
    lt_tensor *y = T->abs(&ctx, T->mul_scalar(&ctx, x, 1));
    assert_int_equal(y->a.layout, LTH_N16C);
    assert_true(at(y, 215) == 215);
    lt_view view = {.struct_size = sizeof view};
    assert_int_equal(T->raw(&ctx, y, LT_READ, &view), LT_OK);
    assert_true(((float *)view.data)[100] == 100);
    lt_tensor *twice = T->add(&ctx, y, y); /* makes a strided copy on the way */
    assert_int_equal(y->a.layout, LTH_N16C);
    lt_tensor *flat = T->flatten(&ctx, y, 1); /* a view: y moves */
    assert_true(flat->a.layout == LTH_STRIDED && y->a.layout == LTH_STRIDED && flat->a.data == y->a.data);
    assert_true(at(twice, 215) == 430 && at(flat, 200) == 200);
    lt_tensor *loss = T->add(&ctx, T->sum(&ctx, twice, NULL, 0, false), T->sum(&ctx, flat, NULL, 0, false));
    assert_int_equal(lth_backward(&ctx, loss, NULL, 1), LT_OK);
    assert_true(at(x->grad, 0) == 3 && at(x->grad, 215) == 3);
    y = T->abs(&ctx, counting(SHAPE(18, 3, 2, 2)));
    assert_int_equal(y->a.layout, LTH_N16C);
    assert_int_equal(T->raw(&ctx, y, LT_WRITE, &view), LT_OK);
    ((float *)view.data)[100] = -1;
    assert_true(at(y, 100) == -1 && y->a.layout == LTH_STRIDED);
}

static void test_autocast(void **state) {
    (void)state;
    lt_tensor *a = counting(SHAPE(2, 2)), *b = counting(SHAPE(2, 2));
    ctx.engine->autocast = LT_BF16;
    lt_tensor *y = T->matmul(&ctx, a, b);
    assert_int_equal(y->a.dtype, LT_BF16);
    assert_int_equal(T->exp(&ctx, y)->a.dtype, LT_BF16); /* not in the list that PyTorch has for CPUs */
    assert_int_equal(T->relu(&ctx, y)->a.dtype, LT_BF16);
    assert_int_equal(T->mse_loss(&ctx, y, b, LT_MEAN)->a.dtype, LT_F32);
    assert_int_equal(T->matmul(&ctx, T->cast(&ctx, a, LT_F64), T->cast(&ctx, b, LT_F64))->a.dtype, LT_F64);
}

/* As PyTorch's on the CPU: bf16 beside weights of f32 gives bf16, its gradient is bf16, and the weights' are f32. Of values near those in f32. */
static void norms_under_autocast(void) {
    for (int k = 0; k < 4; k++) {
        lt_tensor *x = T->cast(&ctx, counting(SHAPE(3, 4, 4)), LT_BF16), *w = T->full(&ctx, LT_F32, 1, (int64_t[]){4}, 1.5);
        lt_tensor *b = T->full(&ctx, LT_F32, 1, (int64_t[]){4}, 0.25), *leaf[3] = {x, w, b}, *y[2];
        for (int low = 1; low >= 0; low--) {
            ctx.engine->autocast = low ? LT_BF16 : 0;
            x = low ? x : T->cast(&ctx, x, LT_F32);
            lt_tensor *in[5] = {x, w, b};
            for (int i = 0; low && i < 3; i++) {
                lth_autograd_table.set_requires_grad(&ctx, leaf[i], true);
            }
            const lth_attrs group = {.i = {2}, .f = {1e-5}}, layer = {.f = {1e-5}}, batch = {.i = {1}, .f = {1e-5, 0.1}};
            static const lth_op ops[] = {LTH_OP_LAYER_NORM, LTH_OP_GROUP_NORM, LTH_OP_RMS_NORM, LTH_OP_BATCH_NORM};
            y[low] = lth_apply(&ctx, ops[k], in, k == 2 ? 2 : 3, k == 1 ? &group : k == 3 ? &batch : &layer, NULL);
            if (!y[low]) {
                fail_msg("%s", ctx.error.text);
            }
            assert_int_equal(y[low]->a.dtype, low ? LT_BF16 : LT_F32);
        }
        for (int64_t i = 0; i < 48; i++) {
            const double wide = lth_element_get(LT_F32, y[0]->a.data, i);
            assert_true(fabs(lth_element_get(LT_BF16, y[1]->a.data, i) - wide) <= fabs(wide) / 128 + 1e-3);
        }
        ctx.engine->autocast = LT_BF16;
        assert_int_equal(lth_autograd_table.backward(&ctx, T->sum(&ctx, y[1], NULL, 0, false), NULL), LT_OK);
        for (int i = 0; i < (k == 2 ? 2 : 3); i++) {
            assert_int_equal(leaf[i]->grad->a.dtype, i ? LT_F32 : LT_BF16);
        }
    }
    const lth_attrs batch = {.i = {1}, .f = {1e-5, 0.1}};
    for (int wide = 0; wide < 2; wide++) { /* what is added decides as in a sum */
        lt_tensor *x = T->cast(&ctx, counting(SHAPE(3, 4, 4)), LT_BF16), *w = T->full(&ctx, LT_F32, 1, (int64_t[]){4}, 1.5);
        lt_tensor *in[6] = {x, w, w, zeros(SHAPE(4)), zeros(SHAPE(4)), wide ? counting(SHAPE(3, 4, 4)) : x};
        lt_tensor *y = lth_apply(&ctx, LTH_OP_BATCH_NORM, in, 6, &batch, NULL);
        assert_non_null(y);
        assert_int_equal(y->a.dtype, wide ? LT_F32 : LT_BF16);
        assert_true(at(in[3], 0) > 0); /* the running statistics are those given, not copies */
    }
    ctx.engine->autocast = 0;
}

static void test_norms_under_autocast(void **state) {
    (void)state;
    norms_under_autocast();
    lth_engine_free(ctx.engine);
    open_on(&lth_backend_cpu);
    norms_under_autocast();
}

/* ---- allocation ---- */

static lt_tensor *small_step(void) {
    lt_tensor *x = zeros(SHAPE(8, 12)), *w = zeros(SHAPE(5, 12)), *target = labels(SHAPE(8));
    lth_autograd_table.set_requires_grad(&ctx, w, true);
    lt_tensor *h = T->linear(&ctx, x, w, NULL, LT_ACT_RELU);
    lt_tensor *y = T->cat(&ctx, (lt_tensor *[]){h, T->transpose(&ctx, T->transpose(&ctx, h, 0, 1), 0, 1)}, 2, 1);
    lt_tensor *loss = T->cross_entropy(&ctx, T->reshape(&ctx, y, SHAPE(8, 10)), target, NULL);
    lth_autograd_table.backward(&ctx, loss, NULL);
    return loss;
}

static void test_no_allocation_after_warm_up(void **state) {
    (void)state;
    uint64_t before = 0;
    for (int k = 0; k < 10; k++) {
        if (k == 2) {
            before = lth_alloc_count();
        }
        assert_non_null(small_step());
        lth_step_end(ctx.engine);
    }
    assert_int_equal(lth_alloc_count(), before);
}

static void test_every_allocation_may_fail(void **state) {
    (void)state;
    int64_t live = lth_alloc_live();
    bool finished = false;
    for (int budget = 0; budget < 100 && !finished; budget++) {
        lth_ctx_init(&ctx, LTH_TRAINER_THREAD);
        lth_alloc_budget(budget);
        if (lth_engine_open(&ctx.engine, &lth_backend_reference, NULL, &ctx.error) == LT_OK) {
            finished = small_step() && ctx.error.code == LT_OK;
        }
        lth_alloc_budget(-1);
        assert_true(finished || ctx.error.code == LT_ENOMEM);
        lth_engine_free(ctx.engine);
        assert_int_equal(lth_alloc_live(), live);
    }
    assert_true(finished);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define PICKY(name) cmocka_unit_test_setup_teardown(name, setup_picky, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_refusals_name_shapes), TEST(test_refusals_of_sequences), TEST(test_null_arguments), TEST(test_wrong_thread),
        TEST(test_facts_and_making),
        TEST(test_broadcasting), TEST(test_shapes_of_layers), TEST(test_views_share_memory), TEST(test_cat_of_many), TEST(test_raw),
        TEST(test_retain_by_table), PICKY(test_inputs_are_made_to_fit), PICKY(test_fallbacks), PICKY(test_blocked_layouts_pass_through),
        TEST(test_autocast), TEST(test_norms_under_autocast), TEST(test_no_allocation_after_warm_up), cmocka_unit_test(test_every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
