/* tests/engine/test_autograd.c - gradients: against finite differences, through views and shared inputs, into parameters' memory; what is
 * refused; custom operations. Gradients of single kernels are tested with the kernels. */
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

static const lt_tensor_api *const T = &lth_tensor_table;
static const lt_autograd_api *const A = &lth_autograd_table;
static lt_ctx ctx;

static int setup(void **state) {
    (void)state;
    lth_ctx_init(&ctx, LTH_TRAINER_THREAD);
    return lth_engine_open(&ctx.engine, &lth_backend_reference, NULL, &ctx.error);
}

static int teardown(void **state) {
    (void)state;
    lth_engine_free(ctx.engine);
    return 0;
}

#define SHAPE(...) (int32_t)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[]){__VA_ARGS__}

/* A leaf with uneven values, some negative. */
static lt_tensor *leaf(lt_dtype dtype, int32_t ndim, const int64_t *shape) {
    static int seed;
    lt_tensor *t = T->full(&ctx, dtype, ndim, shape, 0);
    assert_non_null(t);
    for (int64_t i = 0; i < lth_numel(t); i++) {
        lth_element_set(dtype, t->a.data, i, sin(1.7 * (double)(++seed)));
    }
    return A->set_requires_grad(&ctx, t, true);
}

static lt_tensor *total(lt_tensor *x) { return T->sum(&ctx, x, NULL, 0, false); }

static double at(lt_tensor *t, int64_t i) {
    double value = NAN;
    assert_non_null(t);
    assert_int_equal(lth_tensor_read(t, i, 1, &value, &ctx.error), LT_OK);
    return value;
}

static void backward(lt_tensor *loss) {
    lt_status status = lth_backward(&ctx, loss, NULL, 1);
    if (status != LT_OK) {
        fail_msg("%s", ctx.error.text);
    }
}

static void check(lth_scalar_fn *f, lt_tensor *const *inputs, int n) {
    double worst = lth_gradcheck(&ctx, f, inputs, n, NULL, 1e-5);
    if (!(worst < 1e-7)) {
        fail_msg("gradients differ by %g: %s", worst, ctx.error.text);
    }
}

/* ---- against finite differences ---- */

static lt_tensor *mix(lt_ctx *c, lt_tensor *const *in, int n, void *arg) { /* x (3, 4), w (5, 4), b (5) */
    (void)n, (void)arg;
    lt_tensor *h = T->linear(c, in[0], in[1], in[2], LT_ACT_TANH);
    lt_tensor *s = T->mul(c, T->sigmoid(c, h), T->mean(c, h, (int32_t[]){1}, 1, true)); /* broadcasts, h used twice */
    return T->mse_loss(c, s, T->exp(c, T->mul_scalar(c, h, 0.5)), LT_MEAN);
}

static lt_tensor *views(lt_ctx *c, lt_tensor *const *in, int n, void *arg) { /* x (2, 3, 4), y (3, 1) */
    (void)n, (void)arg;
    lt_tensor *p = T->permute(c, in[0], (int32_t[]){2, 0, 1});
    lt_tensor *s = T->slice(c, p, 0, 1, 3), *all = T->slice(c, T->mul(c, p, p), 0, 0, 2); /* p used twice, once by a slice */
    lt_tensor *f = T->flatten(c, s, 1), *r = T->reshape(c, in[0], SHAPE(6, 4));
    lth_attrs wide = {.i = {0, 3, 2, 3, 2}};
    lt_tensor *e = lth_apply(c, LTH_OP_EXPAND, &in[1], 1, &wide, NULL);
    lt_tensor *sum = T->add(c, total(T->exp(c, f)), total(T->mul(c, r, r)));
    sum = T->add(c, sum, total(T->mul(c, T->reshape(c, all, SHAPE(2, 3, 2)), e)));
    lt_tensor *joined = T->cat(c, (lt_tensor *[]){T->reshape(c, in[1], SHAPE(1, 3)), T->reshape(c, in[0], SHAPE(8, 3))}, 2, 0);
    return T->add(c, sum, T->mean(c, T->mul(c, joined, T->tanh(c, joined)), NULL, 0, false));
}

static lt_tensor *square(lt_ctx *c, lt_tensor *const *in, int n, void *arg) {
    (void)n, (void)arg;
    lt_tensor *m = T->matmul(c, in[0], in[0]); /* one tensor, both operands */
    return total(T->mul(c, m, T->add(c, m, m)));
}

static lt_tensor *image(lt_ctx *c, lt_tensor *const *in, int n, void *arg) {
    (void)n, (void)arg;
    lt_conv2d_opts o = {.struct_size = sizeof o, .padding = {1, 1}};
    lt_pool2d_opts p = {.struct_size = sizeof p, .kernel = {2, 2}};
    lt_tensor *h = T->max_pool2d(c, T->conv2d(c, in[0], in[1], in[2], &o), &p);
    lt_tensor *logits = T->flatten(c, h, 1);
    return T->cross_entropy(c, logits, T->full(c, LT_I64, SHAPE(2), 3), NULL);
}

static void test_finite_differences(void **state) {
    (void)state;
    check(mix, (lt_tensor *[]){leaf(LT_F64, SHAPE(3, 4)), leaf(LT_F64, SHAPE(5, 4)), leaf(LT_F64, SHAPE(5))}, 3);
    check(views, (lt_tensor *[]){leaf(LT_F64, SHAPE(2, 3, 4)), leaf(LT_F64, SHAPE(3, 1))}, 2);
    check(square, (lt_tensor *[]){leaf(LT_F64, SHAPE(3, 3))}, 1);
    check(image, (lt_tensor *[]){leaf(LT_F64, SHAPE(2, 2, 4, 4)), leaf(LT_F64, SHAPE(3, 2, 3, 3)), leaf(LT_F64, SHAPE(3))}, 3);
}

static lt_tensor *wrong(lt_ctx *c, lt_tensor *const *in, int n, void *arg) {
    (void)n, (void)arg;
    return total(T->mul(c, in[0], A->detach(c, in[0]))); /* half of the gradient is missing */
}

static void test_gradcheck_can_fail(void **state) {
    (void)state;
    lt_tensor *x = leaf(LT_F64, SHAPE(3));
    assert_true(lth_gradcheck(&ctx, wrong, &x, 1, NULL, 1e-5) > 0.01);
    x = leaf(LT_F32, SHAPE(3));
    assert_true(isnan(lth_gradcheck(&ctx, square, &x, 1, NULL, 1e-5)));
    assert_int_equal(ctx.error.code, LT_EDTYPE);
}

/* ---- who gets a gradient ---- */

static void test_unused_and_detached(void **state) {
    (void)state;
    lt_tensor *x = leaf(LT_F32, SHAPE(4)), *unused = leaf(LT_F32, SHAPE(4)), *plain = T->full(&ctx, LT_F32, SHAPE(4), 2);
    lt_tensor *y = T->mul(&ctx, x, plain);
    T->exp(&ctx, y); /* a branch that the loss does not see */
    T->exp(&ctx, unused);
    backward(total(T->mul(&ctx, y, A->detach(&ctx, y))));
    assert_true(fabs(at(x->grad, 1) - 2 * at(y, 1)) < 1e-6);
    assert_null(A->grad(&ctx, unused));
    assert_null(A->grad(&ctx, plain));
    assert_null(A->grad(&ctx, y));
    assert_ptr_equal(A->grad(&ctx, x), x->grad);
    assert_true(y->requires_grad && !A->detach(&ctx, y)->requires_grad);
    assert_int_equal(ctx.error.code, LT_OK);
}

static void test_no_grad(void **state) {
    (void)state;
    lt_tensor *x = leaf(LT_F32, SHAPE(4));
    bool before = false, inner = true;
    A->set_grad_enabled(&ctx, false, &before);
    lt_tensor *y = total(T->mul(&ctx, T->reshape(&ctx, x, SHAPE(2, 2)), T->reshape(&ctx, x, SHAPE(2, 2))));
    lth_fail(&ctx.error, LT_EINVAL, "something failed in the scope");
    A->set_grad_enabled(&ctx, before, &inner);
    lth_error_clear(&ctx.error);
    assert_true(before && !inner && ctx.engine->grad_enabled);
    assert_false(y->requires_grad);
    assert_null(y->node);
    assert_int_equal(A->backward(&ctx, y, NULL), LT_ESTATE);
    assert_non_null(strstr(ctx.error.text, "does not depend"));
    lth_error_clear(&ctx.error);
    ctx.engine->inference = true;
    assert_null(T->exp(&ctx, x)->node);
}

static void test_requires_grad_is_refused(void **state) {
    (void)state;
    lt_tensor *x = leaf(LT_F32, SHAPE(2));
    assert_null(A->set_requires_grad(&ctx, T->exp(&ctx, x), false));
    assert_int_equal(ctx.error.code, LT_ESTATE);
    lth_error_clear(&ctx.error);
    assert_null(A->set_requires_grad(&ctx, T->full(&ctx, LT_I64, 0, NULL, 1), true));
    assert_int_equal(ctx.error.code, LT_EDTYPE);
    lth_error_clear(&ctx.error);
    assert_false(T->cast(&ctx, x, LT_I64)->requires_grad);
    assert_false(T->argmax(&ctx, x, 0, false)->requires_grad);
    assert_true(T->cast(&ctx, x, LT_F64)->requires_grad);
}

static void test_loss_is_checked(void **state) {
    (void)state;
    lt_tensor *x = leaf(LT_F32, SHAPE(2, 3)), *y = T->exp(&ctx, x);
    assert_int_equal(A->backward(&ctx, y, NULL), LT_ESHAPE);
    assert_string_equal(ctx.error.text, "backward: loss (2, 3) must have one element, or a gradient must be given; use lt_mean or lt_sum");
    lth_error_clear(&ctx.error);
    assert_int_equal(A->backward(&ctx, y, T->full(&ctx, LT_F32, SHAPE(3), 1)), LT_ESHAPE);
    lth_error_clear(&ctx.error);
    lt_tensor *g = T->full(&ctx, LT_F32, SHAPE(2, 3), 3);
    assert_int_equal(A->backward(&ctx, T->reshape(&ctx, x, SHAPE(3, 2)), T->reshape(&ctx, g, SHAPE(3, 2))), LT_OK);
    assert_true(at(x->grad, 5) == 3);
    backward(T->reshape(&ctx, total(x), SHAPE(1, 1)));
    assert_true(at(x->grad, 5) == 4 && at(g, 5) == 3); /* leaves add up; the given gradient is left alone */
    lt_tensor *scalar = leaf(LT_F32, 0, NULL);
    backward(scalar); /* a leaf is its own loss */
    assert_true(at(scalar->grad, 0) == 1);
}

static void test_scale_and_second_backward(void **state) {
    (void)state;
    lt_tensor *x = leaf(LT_F32, SHAPE(3)), *h = T->mul_scalar(&ctx, x, 4), *loss = total(h);
    assert_int_equal(lth_backward(&ctx, loss, NULL, 0.25), LT_OK);
    assert_true(at(x->grad, 0) == 1);
    backward(total(T->mul_scalar(&ctx, h, 2))); /* another loss over the same graph */
    assert_true(at(x->grad, 0) == 9);
    assert_null(h->grad);
    lt_tensor *square = T->mul(&ctx, x, x);
    backward(total(square));
    assert_int_equal(lth_backward(&ctx, total(square), NULL, 1), LT_ESTATE);
    assert_non_null(strstr(ctx.error.text, "backward of mul: an earlier backward of this step used this part of the graph up"));
    ctx.error = (lth_error){0};
}

/* What nobody can look at again is used again within the step: many large operations in a row need no more gradients than a few. */
static void test_backward_reuses_memory(void **state) {
    (void)state;
    enum { DEPTH = 24, N = 300000 };
    lt_tensor *x = leaf(LT_F32, SHAPE(N)), *h = x;
    for (int k = 0; k < DEPTH; k++) {
        h = T->add(&ctx, T->mul_scalar(&ctx, h, 0.5), x);
        h = T->exp(&ctx, T->neg(&ctx, h));
    }
    lt_tensor *loss = total(h);
    size_t forward = ctx.engine->step_bytes;
    backward(loss);
    assert_true(ctx.engine->peak_bytes <= forward + 5 * N * sizeof(float));
    double slope = 0, y = at(x, 0); /* dh/dx and h of element 0 */
    for (int k = 0; k < DEPTH; k++) {
        y = exp(-(y * 0.5 + at(x, 0)));
        slope = -y * (k ? slope * 0.5 + 1 : 1.5);
    }
    assert_true(fabs(at(x->grad, 0) - slope) < 1e-6 * (1 + fabs(slope)));
}

static void test_parameters_memory(void **state) {
    (void)state;
    float values[4] = {1, 2, 3, 4}, grads[4] = {NAN, NAN, NAN, NAN};
    lt_tensor *w = lth_tensor_lasting(ctx.engine, LT_F32, SHAPE(2, 2), values, &ctx.error);
    w->grad = lth_tensor_lasting(ctx.engine, LT_F32, SHAPE(2, 2), grads, &ctx.error);
    w->requires_grad = 1;
    for (int step = 0; step < 3; step++) {
        w->grad->grad_fresh = w->grad_fresh = 1; /* as lth_modules_zero_grad */
        assert_null(A->grad(&ctx, w));
        backward(total(T->mul(&ctx, T->slice(&ctx, w, 0, 1, 2), T->slice(&ctx, w, 0, 1, 2))));
        assert_true(grads[0] == 0 && grads[1] == 0 && grads[2] == 6 && grads[3] == 8);
        backward(total(T->add(&ctx, w, T->transpose(&ctx, w, 0, 1)))); /* accumulation over two losses */
        assert_true(grads[0] == 2 && grads[3] == 10);
        lth_step_end(ctx.engine);
        grads[2] = NAN; /* the first write replaces */
    }
    lt_tensor *own = lth_tensor_lasting(ctx.engine, LT_F32, SHAPE(2), NULL, &ctx.error);
    own->requires_grad = 1;
    backward(total(own));
    lth_step_end(ctx.engine);
    assert_true(at(A->grad(&ctx, own), 1) == 1); /* its gradient outlives the step as it does */
}

static void test_retained_are_cut_loose(void **state) {
    (void)state;
    lt_tensor *x = leaf(LT_F32, SHAPE(3)), *y = T->exp(&ctx, x);
    T->retain(&ctx, x);
    T->retain(&ctx, y);
    backward(total(y));
    lth_step_end(ctx.engine);
    assert_int_equal(ctx.engine->tape->count, 0);
    assert_true(!y->requires_grad && y->is_leaf && !y->node);
    assert_null(A->grad(&ctx, x));
    backward(total(T->mul(&ctx, x, y)));
    assert_true(at(x->grad, 2) == at(y, 2));
    T->release(&ctx, x);
    T->release(&ctx, y);
}

static void test_changed_values_are_found(void **state) {
    (void)state;
    lt_view view = {.struct_size = sizeof view};
    lt_tensor *x = leaf(LT_F32, SHAPE(3)), *h = T->mul_scalar(&ctx, x, 2), *y = T->exp(&ctx, h), *loss = total(T->mul(&ctx, h, h));
    assert_int_equal(T->raw(&ctx, T->reshape(&ctx, h, SHAPE(1, 3)), LT_WRITE, &view), LT_OK); /* through a view */
    assert_int_equal(A->backward(&ctx, loss, NULL), LT_ESTATE);
    assert_non_null(strstr(ctx.error.text, "backward of mul: its input 0 was changed in place"));
    lth_error_clear(&ctx.error);
    assert_null(h->grad); /* half-made gradients are gone */
    backward(total(T->mul_scalar(&ctx, h, 1))); /* needs no value */
    y = T->exp(&ctx, h);
    loss = total(y);
    assert_int_equal(T->raw(&ctx, y, LT_WRITE, &view), LT_OK);
    assert_int_equal(A->backward(&ctx, loss, NULL), LT_ESTATE);
    assert_non_null(strstr(ctx.error.text, "its output 0"));
}

/* ---- custom operations: y = context * x^2 + saved ---- */

static int destroyed, forwards;
static lt_status square_shape(lt_ctx *c, const lt_custom_call *call, lt_dtype *dtypes, int32_t *ndims, int64_t (*shapes)[LT_MAX_DIMS]) {
    dtypes[0] = T->dtype(c, call->inputs[0]);
    ndims[0] = T->ndim(c, call->inputs[0]);
    for (int d = 0; d < ndims[0]; d++) {
        shapes[0][d] = T->size(c, call->inputs[0], d);
    }
    return c->error.code;
}

static lt_status square_forward(lt_ctx *c, const lt_custom_call *call) {
    forwards++;
    lt_view x = {.struct_size = sizeof x}, y = {.struct_size = sizeof y};
    assert_false(c->engine->grad_enabled);
    assert_int_equal(call->context_size, sizeof(double));
    if (T->raw(c, call->inputs[0], LT_READ, &x) || T->raw(c, call->outputs[0], LT_WRITE, &y)) {
        return c->error.code;
    }
    for (int64_t i = 0; i < T->numel(c, call->inputs[0]); i++) {
        double v = ((double *)x.data)[i];
        ((double *)y.data)[i] = *(const double *)call->context * v * v;
    }
    A->save_for_backward(c, call, T->mul_scalar(c, call->inputs[0], 2));
    return c->error.code;
}

static lt_status square_backward(lt_ctx *c, const lt_custom_call *call) {
    assert_int_equal(call->n_saved, 1);
    lt_tensor *g = T->mul(c, call->grad_outputs[0], call->saved[0]);
    call->grad_inputs[0] = T->mul_scalar(c, g, *(const double *)call->context);
    return c->error.code;
}

static void count_destroyed(void *context, size_t size) {
    assert_int_equal(size, sizeof(double));
    assert_true(*(double *)context == 3);
    destroyed++;
}

static const lt_custom_op square_op = {.struct_size = sizeof(lt_custom_op), .name = "square", .shape = square_shape, .forward = square_forward,
                                       .backward = square_backward, .destroy_context = count_destroyed};

static lt_tensor *scaled_square(lt_tensor *x) { return A->custom_apply(&ctx, &square_op, &x, 1, &(double){3}, sizeof(double)); }

static lt_tensor *with_custom(lt_ctx *c, lt_tensor *const *in, int n, void *arg) {
    (void)n, (void)arg;
    lt_tensor *y = scaled_square(T->transpose(c, in[0], 0, 1));
    return total(T->mul(c, scaled_square(y), y));
}

static void test_custom_op(void **state) {
    (void)state;
    destroyed = forwards = 0;
    lt_tensor *x = leaf(LT_F64, SHAPE(2, 3));
    check(with_custom, &x, 1);
    lth_step_end(ctx.engine);
    assert_int_equal(destroyed, forwards); /* once each, recorded or not */
    x = T->full(&ctx, LT_F64, SHAPE(2), 5);
    assert_true(at(scaled_square(x), 1) == 75);
    assert_int_equal(destroyed, forwards);
}

/* y = x; its backward hands the arriving gradient on as it is, and keeps a copy. */
static lt_tensor *copy_kept;
static lt_status pass_forward(lt_ctx *c, const lt_custom_call *call) {
    assert_int_equal((uintptr_t)call->context % 16, 0);
    return T->copy_(c, call->outputs[0], call->inputs[0]) ? LT_OK : c->error.code;
}
static lt_status pass_backward(lt_ctx *c, const lt_custom_call *call) {
    assert_null(call->grad_inputs[0]);
    assert_true(at(call->inputs[0], 1) == at(call->outputs[0], 1));
    call->grad_inputs[0] = call->grad_outputs[0];
    copy_kept = T->clone(c, call->grad_outputs[0]);
    return c->error.code;
}
static const lt_custom_op pass_op = {.struct_size = sizeof(lt_custom_op), .name = "pass", .shape = square_shape, .forward = pass_forward,
                                     .backward = pass_backward};

/* What lt/autograd.h says of grad_outputs: valid in the call, may become grad_inputs; a clone stays, whatever their memory is used for then. */
static void test_custom_op_hands_gradients_on(void **state) {
    (void)state;
    lt_tensor *x = leaf(LT_F32, SHAPE(300, 400)), *h = T->mul_scalar(&ctx, x, 2); /* large: memory that the step uses again */
    lt_tensor *y = A->custom_apply(&ctx, &pass_op, &h, 1, &(char){1}, 1);
    lt_tensor *z = T->mul(&ctx, T->add(&ctx, y, h), T->exp(&ctx, T->mul_scalar(&ctx, h, 0)));
    backward(total(T->mul(&ctx, T->mul_scalar(&ctx, z, 3), T->exp(&ctx, T->mul_scalar(&ctx, x, 0)))));
    for (int64_t i = 0; i < lth_numel(x); i += 777) {
        assert_true(at(copy_kept, i) == 3);
        assert_true(at(x->grad, i) == 12); /* 3 * 2 by y, 3 * 2 by h */
    }
}

static lt_status lazy(lt_ctx *c, const lt_custom_call *call) {
    (void)c, (void)call;
    return LT_EINVAL;
}

static lt_status wrong_gradient(lt_ctx *c, const lt_custom_call *call) {
    call->grad_inputs[0] = T->full(c, LT_F64, SHAPE(1), 0);
    return LT_OK;
}

static void test_custom_ops_that_fail(void **state) {
    (void)state;
    destroyed = 0;
    lt_tensor *x = leaf(LT_F64, SHAPE(2));
    lt_custom_op op = square_op;
    op.forward = lazy;
    assert_null(A->custom_apply(&ctx, &op, &x, 1, &(double){3}, sizeof(double)));
    assert_string_equal(ctx.error.text, "square: its forward returned LT_EINVAL without a reason; give one with lt_fail");
    assert_int_equal(destroyed, 1);
    assert_true(ctx.engine->grad_enabled);
    lth_error_clear(&ctx.error);
    op = square_op;
    op.backward = wrong_gradient;
    lt_tensor *y = A->custom_apply(&ctx, &op, &x, 1, &(double){3}, sizeof(double));
    assert_int_equal(lth_backward(&ctx, total(y), NULL, 1), LT_ESHAPE);
    assert_string_equal(ctx.error.text, "square: its backward set grad_inputs[0] to a tensor (1) of f64; the input is (2) of f64");
    lth_error_clear(&ctx.error);
    op.struct_size = 4;
    assert_null(A->custom_apply(&ctx, &op, &x, 1, NULL, 0));
    assert_int_equal(ctx.error.code, LT_EINVAL);
    lth_error_clear(&ctx.error);
    A->save_for_backward(&ctx, &(lt_custom_call){.n_inputs = 1}, x);
    assert_int_equal(ctx.error.code, LT_ESTATE);
    lth_error_clear(&ctx.error);
    lth_step_end(ctx.engine);
    assert_int_equal(destroyed, 2);
}

/* ---- allocation ---- */

static bool whole_step(void) {
    lt_tensor *x = T->full(&ctx, LT_F64, SHAPE(2, 3), 0.5);
    A->set_requires_grad(&ctx, x, true);
    lt_tensor *loss = with_custom(&ctx, &x, 1, NULL);
    return lth_backward(&ctx, loss ? loss : x, NULL, 1) == LT_OK;
}

static void test_no_allocation_after_warm_up(void **state) {
    (void)state;
    uint64_t before = 0;
    for (int k = 0; k < 10; k++) {
        before = k == 2 ? lth_alloc_count() : before;
        assert_true(whole_step());
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
        destroyed = forwards = 0;
        lth_alloc_budget(budget);
        if (lth_engine_open(&ctx.engine, &lth_backend_reference, NULL, &ctx.error) == LT_OK) {
            finished = whole_step();
        }
        lth_alloc_budget(-1);
        assert_true(finished || ctx.error.code == LT_ENOMEM);
        lth_engine_free(ctx.engine);
        assert_true(destroyed >= forwards);
        assert_int_equal(lth_alloc_live(), live);
    }
    assert_true(finished);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_finite_differences), TEST(test_gradcheck_can_fail), TEST(test_unused_and_detached), TEST(test_no_grad),
        TEST(test_requires_grad_is_refused), TEST(test_loss_is_checked), TEST(test_scale_and_second_backward), TEST(test_backward_reuses_memory),
        TEST(test_parameters_memory),
        TEST(test_retained_are_cut_loose), TEST(test_changed_values_are_found), TEST(test_custom_op),
        TEST(test_custom_op_hands_gradients_on), TEST(test_custom_ops_that_fail),
        TEST(test_no_allocation_after_warm_up), cmocka_unit_test(test_every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
