/* tests/engine/test_ops_sharing.c - who shares memory with whom, and who must find out when it changes: tensors in a kernel's blocked layout that
 * are written to or viewed, views that outlive an in-place change, retained views, expanded tensors, operands of other dtypes. */
#include "base/mem.h"
#include "engine/autograd/tape.h"
#include "engine/ops/shapes.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const lt_tensor_api *const T = &lth_tensor_table;
static const lt_autograd_api *const A = &lth_autograd_table;
static lt_ctx ctx;

static void open_with(lth_engine_opts opts) {
    lth_ctx_init(&ctx, LTH_TRAINER_THREAD);
    assert_int_equal(lth_engine_open(&ctx.engine, &lth_backend_cpu, &opts, &ctx.error), LT_OK);
    ctx.engine->grad_enabled = true;
}
static void close_it(void) {
    assert_string_equal(ctx.error.text, "");
    lth_step_end(ctx.engine);
    lth_engine_free(ctx.engine);
    assert_int_equal(lth_alloc_live(), 0);
}
static double at(lt_tensor *x, int64_t i) {
    double v = NAN;
    if (!x || lth_tensor_read(x, i, 1, &v, &ctx.error) != LT_OK) {
        fail_msg("no value %d: %s", (int)i, ctx.error.text);
    }
    return v;
}
static void expect_failure(lt_status code, const char *words) {
    assert_int_equal(ctx.error.code, code);
    if (!strstr(ctx.error.text, words)) {
        fail_msg("no \"%s\" in: %s", words, ctx.error.text);
    }
    lth_error_clear(&ctx.error);
}
static lt_tensor *full(lt_dtype dtype, double value, int32_t ndim, const int64_t *shape) { return T->full(&ctx, dtype, ndim, shape, value); }
#define SHAPE(...) (int32_t)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[]){__VA_ARGS__}
static lt_tensor *counting(double scale, int32_t ndim, const int64_t *shape) {
    lt_tensor *x = full(LT_F32, 0, ndim, shape);
    for (int64_t i = 0; i < lth_numel(x); i++) {
        ((float *)x->a.data)[i] = (float)(scale * sin(1.3 * (double)i));
    }
    return x;
}
static lt_tensor *sum_of(lt_tensor *x) { return T->sum(&ctx, x, NULL, 0, false); }
static void backward(lt_tensor *loss) {
    if (A->backward(&ctx, loss, NULL) != LT_OK) {
        fail_msg("%s", ctx.error.text);
    }
}

/* ---- blocked layouts ---- */
enum { N = 16, OUT = 8, SIDE = 28 };
typedef struct images { lt_tensor *x, *w, *y; } images;

/* A convolution whose result lies in blocks. */
static images convolved(int n, bool grad, lt_activation act) {
    images s = {.x = counting(1, SHAPE(n, 1, SIDE, SIDE)), .w = counting(0.5, SHAPE(OUT, 1, 3, 3))};
    A->set_requires_grad(&ctx, s.w, grad);
    const lth_attrs attrs = {.i = {1, 1, 1, 1, 1, 1, 1, act}};
    s.y = lth_apply(&ctx, LTH_OP_CONV2D, (lt_tensor *[]){s.x, s.w}, 2, &attrs, NULL);
    assert_non_null(s.y);
    return s;
}
static void needs_blocks(const images *s) {
    if (s->y->a.layout == LTH_STRIDED) {
        skip();
    }
}

static double weight_gradient(images s, lt_tensor *used, int64_t i) {
    lt_tensor *slope = counting(1, SHAPE(used->a.shape[0], OUT, SIDE, SIDE));
    backward(sum_of(T->mul(&ctx, used, slope)));
    return at(A->grad(&ctx, s.w), i);
}

/* What a raw write finds is row-major; the convolution's gradient is as if nothing had been written, as with any raw write. */
static void raw_writes_keep_gradients(void **state) {
    (void)state;
    static const int batches[] = {8, 16, 20};
    for (int k = 0; k < 6; k++) {
        open_with((lth_engine_opts){.threads = 1});
        const lt_activation act = k < 3 ? LT_ACT_NONE : LT_ACT_RELU;
        images s = convolved(batches[k % 3], true, act);
        needs_blocks(&s);
        const double expected = weight_gradient(s, s.y, 4);
        lth_step_end(ctx.engine);
        s = convolved(batches[k % 3], true, act);
        const double first = at(s.y, 5), last = at(s.y, lth_numel(s.y) - 1);
        lt_view view = {.struct_size = sizeof view};
        assert_int_equal(T->raw(&ctx, s.y, LT_READ | LT_WRITE, &view), LT_OK);
        assert_true(((float *)view.data)[5] == (float)first && ((float *)view.data)[lth_numel(s.y) - 1] == (float)last);
        ((float *)view.data)[5] = 77;
        assert_true(at(s.y, 5) == 77 && s.y->requires_grad && !s.y->is_leaf);
        const double found = weight_gradient(s, s.y, 4);
        assert_true(fabs(found - expected) <= 1e-5 * fabs(expected));
        close_it();
    }
}

/* A frozen result that other nodes read. */
static void raw_writes_to_inputs(void **state) {
    (void)state;
    open_with((lth_engine_opts){.threads = 1});
    images s = convolved(N, false, LT_ACT_NONE);
    needs_blocks(&s);
    lt_tensor *z = A->set_requires_grad(&ctx, full(LT_F32, 2, SHAPE(N, OUT, SIDE, SIDE)), true), *sum = T->mul(&ctx, s.y, z);
    const double before = at(s.y, 100);
    lt_view view = {.struct_size = sizeof view};
    assert_int_equal(T->raw(&ctx, s.y, LT_WRITE, &view), LT_OK);
    ((float *)view.data)[100] = 1;
    backward(sum_of(sum));
    assert_true(fabs(at(A->grad(&ctx, z), 100) - before) < 1e-6); /* the slope is what y was */
    close_it();
}

/* Views are views, whatever a kernel chose: what is written to them reaches what they are part of. */
static void views_of_blocks(void **state) {
    (void)state;
    open_with((lth_engine_opts){.threads = 1});
    ctx.engine->grad_enabled = false;
    images s = convolved(N, false, LT_ACT_NONE);
    needs_blocks(&s);
    const double other = at(s.y, OUT * SIDE * SIDE + 3);
    T->fill_(&ctx, T->slice(&ctx, s.y, 0, 0, 1), 0);
    assert_true(at(s.y, 3) == 0 && other != 0 && at(s.y, OUT * SIDE * SIDE + 3) == other);
    T->fill_(&ctx, T->permute(&ctx, convolved(N, false, LT_ACT_NONE).y, (int32_t[]){1, 0, 2, 3}), 4);

    s = convolved(N, false, LT_ACT_NONE); /* through a detached name as well */
    lt_tensor *d = A->detach(&ctx, s.y);
    T->fill_(&ctx, T->slice(&ctx, d, 0, 0, 1), 0);
    assert_true(at(s.y, 3) == 0 && at(d, 3) == 0 && at(s.y, OUT * SIDE * SIDE + 3) == other);

    lt_tensor *kept = T->retain(&ctx, convolved(N, false, LT_ACT_NONE).y); /* cannot move */
    lt_tensor *part = T->slice(&ctx, kept, 0, 1, 2);
    assert_true(at(part, 3) == other);
    assert_null(T->fill_(&ctx, part, 0));
    expect_failure(LT_ESTATE, "is a copy, not a view");
    lt_view view = {.struct_size = sizeof view};
    assert_true(T->raw(&ctx, T->slice(&ctx, part, 3, 0, 2), LT_WRITE, &view) < 0);
    expect_failure(LT_ESTATE, "is a copy, not a view");
    assert_true(T->raw(&ctx, kept, LT_WRITE, &view) < 0);
    expect_failure(LT_ESTATE, "cannot become so");
    T->release(&ctx, kept);
    close_it();
}

/* With gradients: half of the loss through a view, half past it, before and after. */
static void gradients_through_views_of_blocks(void **state) {
    (void)state;
    double expected = 0;
    for (int way = 0; way < 2; way++) {
        open_with((lth_engine_opts){.threads = 1});
        images s = convolved(N, true, LT_ACT_RELU);
        needs_blocks(&s);
        lt_tensor *early = sum_of(T->mul(&ctx, s.y, s.y));
        lt_tensor *part = way ? T->slice(&ctx, s.y, 0, 0, N) : s.y;
        if (way) {
            assert_ptr_equal(part->base, s.y);
        }
        lt_tensor *loss = T->add(&ctx, early, T->add(&ctx, sum_of(T->mul(&ctx, part, part)), sum_of(T->exp(&ctx, s.y))));
        backward(loss);
        const double g = at(A->grad(&ctx, s.w), 2);
        expected = way ? expected : g;
        assert_true(fabs(g - expected) <= 1e-4 * fabs(expected) && g != 0);
        close_it();
    }
}

/* The result of an in-place operation may lie otherwise than its first argument did: so must its gradient. */
static void changed_blocks_keep_gradients(void **state) {
    (void)state;
    for (int n = 8; n <= 20; n += 4) {
        open_with((lth_engine_opts){.threads = 1});
        images s = convolved(n, true, LT_ACT_NONE);
        needs_blocks(&s);
        lt_tensor *noise = counting(2, SHAPE(n, OUT, SIDE, SIDE));
        const double expected = weight_gradient(s, T->mul(&ctx, s.y, noise), 4);
        lth_step_end(ctx.engine);
        s = convolved(n, true, LT_ACT_NONE);
        noise = counting(2, SHAPE(n, OUT, SIDE, SIDE));
        T->add_(&ctx, T->mul_(&ctx, s.y, noise), full(LT_F32, 1, SHAPE(n, OUT, SIDE, SIDE)));
        const double found = weight_gradient(s, s.y, 4);
        assert_true(fabs(found - expected) <= 1e-5 * fabs(expected));
        close_it();
    }
}

/* ---- views whose base changes ---- */

static void stale_views(void **state) {
    (void)state;
    open_with((lth_engine_opts){.threads = 1});
    lt_tensor *w = A->set_requires_grad(&ctx, full(LT_F32, 2, SHAPE(4, 3)), true), *x = full(LT_F32, 0, SHAPE(4, 3));
    lt_tensor *view = T->slice(&ctx, x, 0, 0, 2), *detached = A->detach(&ctx, x), *inner = T->slice(&ctx, detached, 0, 0, 1);
    T->add_(&ctx, x, w);
    assert_null(sum_of(view));
    expect_failure(LT_ESTATE, "make the view again");
    assert_null(T->slice(&ctx, view, 0, 0, 1));
    expect_failure(LT_ESTATE, "make the view again");
    assert_true(at(sum_of(detached), 0) == 24 && at(sum_of(inner), 0) == 6); /* the new values, and no history */
    assert_false(sum_of(inner)->requires_grad);
    ctx.engine->grad_enabled = false;
    assert_true(at(sum_of(view), 0) == 12);
    ctx.engine->grad_enabled = true;
    backward(sum_of(T->slice(&ctx, x, 0, 0, 2)));
    assert_true(at(A->grad(&ctx, w), 5) == 1 && at(A->grad(&ctx, w), 6) == 0);
    close_it();
}

static void expanded_tensors(void **state) {
    (void)state;
    open_with((lth_engine_opts){.threads = 1});
    lt_tensor *a = full(LT_F32, 1, SHAPE(1, 3)), *x = T->expand(&ctx, a, SHAPE(4, 3)), *other = full(LT_F32, 1, SHAPE(4, 3));
    assert_null(T->add_(&ctx, x, other));
    expect_failure(LT_ESTATE, "expanded");
    assert_null(T->copy_(&ctx, x, other));
    expect_failure(LT_ESTATE, "expanded");
    assert_true(at(a, 0) == 1);
    T->fill_(&ctx, x, 5); /* one value, however often it is written */
    assert_true(at(a, 2) == 5);
    T->add_(&ctx, T->expand(&ctx, a, SHAPE(1, 3)), a);
    assert_true(at(a, 1) == 10);
    close_it();
}

/* A view and its base, both kept: the next step still knows that they are one. */
static void retained_views(void **state) {
    (void)state;
    for (int order = 0; order < 4; order++) { /* who is kept first, who is given up first */
        open_with((lth_engine_opts){.threads = 1});
        lt_tensor *x = full(LT_F32, 0, SHAPE(3, 4)), *v = T->slice(&ctx, x, 0, 0, 1);
        for (int i = 0; i < 12; i++) {
            ((float *)x->a.data)[i] = (float)(i + 1);
        }
        T->retain(&ctx, order & 1 ? x : v);
        T->retain(&ctx, order & 1 ? v : x);
        lth_step_end(ctx.engine);
        T->add_(&ctx, x, v); /* each row gets the first as it was */
        assert_true(at(x, 0) == 2 && at(x, 4) == 6 && at(x, 11) == 16 && at(v, 3) == 8);
        lt_tensor *w = A->set_requires_grad(&ctx, full(LT_F32, 1, SHAPE(1, 4)), true), *y = T->mul(&ctx, w, v);
        T->fill_(&ctx, x, 0); /* v is w's slope */
        assert_true(A->backward(&ctx, sum_of(y), NULL) < 0);
        expect_failure(LT_ESTATE, "backward of mul: its input 1");
        T->release(&ctx, order & 2 ? x : v);
        lth_step_end(ctx.engine);
        for (int i = 0; i < 1000; i++) { /* what was given up may be used again, what was kept may not */
            full(LT_F32, 9, SHAPE(3, 4));
        }
        lt_tensor *left = order & 2 ? v : x;
        assert_true(at(T->add_scalar_(&ctx, left, 1), 0) == 1);
        T->release(&ctx, left);
        lth_step_end(ctx.engine);
        lth_step_end(ctx.engine);
        for (const lth_step_block *b = ctx.engine->step[LTH_STEP_DATA].used.first; b; b = NULL) {
            fail_msg("a block is still in use");
        }
        close_it();
    }
}

/* ---- what backward needs of the old values ---- */

static void old_values(void **state) {
    (void)state;
    open_with((lth_engine_opts){.threads = 1});
    lt_tensor *w = A->set_requires_grad(&ctx, counting(3, SHAPE(5)), true), *two = full(LT_F32, 2, SHAPE(5));
    lt_tensor *h = T->div_(&ctx, T->mul_scalar(&ctx, w, 2), two);
    backward(sum_of(h));
    assert_true(at(A->grad(&ctx, w), 1) == 1);
    lth_step_end(ctx.engine);

    w = A->set_requires_grad(&ctx, counting(3, SHAPE(5)), true);
    h = T->clamp_(&ctx, T->mul_scalar(&ctx, w, 1), -1, 1);
    backward(sum_of(T->mul(&ctx, h, h)));
    for (int i = 0; i < 5; i++) {
        const double v = at(w, i);
        assert_true(fabs(at(A->grad(&ctx, w), i) - (fabs(v) > 1 ? 0 : 2 * v)) < 1e-6);
    }
    lth_step_end(ctx.engine);

    w = A->set_requires_grad(&ctx, counting(3, SHAPE(5)), true); /* w/3 * w, then that by (w + 9) */
    h = T->mul_(&ctx, T->mul_scalar(&ctx, w, 1.0 / 3), w);
    T->div_(&ctx, h, T->add_scalar(&ctx, w, 9));
    T->mul_(&ctx, h, h);
    backward(sum_of(h));
    for (int i = 0; i < 5; i++) {
        const double v = at(w, i), f = v * v / 3 / (v + 9), slope = (2 * v / 3 * (v + 9) - v * v / 3) / ((v + 9) * (v + 9));
        assert_true(fabs(at(A->grad(&ctx, w), i) - 2 * f * slope) < 1e-5);
    }
    close_it();
}

/* A layer's bias is never needed, its input only for its weight's gradient, and the weight for its input's. */
static void layers_read_what_they_need(void **state) {
    (void)state;
    for (int k = 0; k < 6; k++) { /* linear or conv; bias, input, weight is changed */
        open_with((lth_engine_opts){.threads = 1});
        const bool conv = k >= 3;
        const int changed = k % 3;
        lt_tensor *x = conv ? counting(1, SHAPE(4, 2, 6, 6)) : counting(1, SHAPE(4, 7)), *w = conv ? counting(1, SHAPE(3, 2, 3, 3)) : counting(1, SHAPE(3, 7));
        lt_tensor *b = counting(1, SHAPE(3)), *in[3] = {x, w, b};
        A->set_requires_grad(&ctx, x, changed != 2);
        A->set_requires_grad(&ctx, w, changed != 1);
        A->set_requires_grad(&ctx, b, true);
        const lth_attrs attrs = {.i = {conv, 1, 1, 1, 1, 1, 1}};
        for (int needed = 0; needed < 2; needed++) {
            lt_tensor *y = lth_apply(&ctx, conv ? LTH_OP_CONV2D : LTH_OP_LINEAR, in, 3, &attrs, NULL);
            ctx.engine->grad_enabled = false;
            T->add_scalar_(&ctx, changed == 0 ? b : changed == 1 ? x : w, 1);
            ctx.engine->grad_enabled = true;
            if (needed && changed) {
                A->set_requires_grad(&ctx, changed == 1 ? w : x, true);
            }
            if (needed && changed) {
                assert_true(A->backward(&ctx, sum_of(y), NULL) < 0);
                expect_failure(LT_ESTATE, changed == 1 ? "its input 0" : "its input 1");
            } else {
                backward(sum_of(y));
            }
            if (!needed) {
                assert_true(at(A->grad(&ctx, b), 0) == (conv ? 144 : 4));
            }
        }
        close_it();
    }
}

/* ---- dtypes ---- */

static void many_halves(void **state) {
    (void)state;
    enum { ITEMS = 9 };
    for (lt_dtype dtype = LT_F16; dtype <= LT_BF16; dtype++) {
        open_with((lth_engine_opts){.threads = 1});
        lt_tensor *items[ITEMS];
        for (int i = 0; i < ITEMS; i++) {
            items[i] = A->set_requires_grad(&ctx, full(dtype, i, SHAPE(2, 3)), true);
        }
        lt_tensor *y = T->cat(&ctx, items, ITEMS, 0), *z = T->stack(&ctx, items, ITEMS, 1);
        assert_true(at(y, 50) == 8 && at(z, 26) == 8 && at(z, 27) == 0);
        backward(T->add(&ctx, sum_of(T->mul(&ctx, y, y)), sum_of(z)));
        assert_true(at(A->grad(&ctx, items[8]), 2) == 17 && at(A->grad(&ctx, items[0]), 0) == 1);
        close_it();
    }
}

static void mixed_operands(void **state) {
    (void)state;
    static const lth_engine_opts engines[] = {{.threads = 1, .autocast = LT_BF16}, {.threads = 1, .dtype = LT_BF16}, {.threads = 1, .dtype = LT_F64}};
    static const lt_dtype narrow[] = {LT_BF16, LT_F32, LT_F32}, joined[] = {LT_F32, LT_BF16, LT_F64};
    for (int k = 0; k < 3; k++) {
        open_with(engines[k]);
        enum { ITEMS = 10 };
        lt_tensor *items[ITEMS];
        for (int i = 0; i < ITEMS; i++) { /* one of the wider kind, in the second call */
            items[i] = A->set_requires_grad(&ctx, full(i == 9 ? joined[k] : narrow[k], i, SHAPE(2, 3)), true);
        }
        lt_tensor *y = T->cat(&ctx, items, ITEMS, 1), *z = T->stack(&ctx, items, ITEMS, 0);
        if (!y || !z) {
            fail_msg("%d: %s", k, ctx.error.text);
        }
        assert_true(y->a.dtype == joined[k] && z->a.dtype == joined[k] && at(y, 29) == 9 && at(z, 3) == 0 && at(z, 59) == 9);
        backward(T->add(&ctx, sum_of(T->mul(&ctx, y, y)), sum_of(z)));
        assert_true(at(A->grad(&ctx, items[3]), 0) == 7 && A->grad(&ctx, items[3])->a.dtype == narrow[k]);
        lth_step_end(ctx.engine);

        for (int record = 0; record < 2; record++) {
            for (int turned = 0; turned < 2; turned++) { /* x is the wider one, or the other */
                lt_tensor *w = A->set_requires_grad(&ctx, full(turned ? joined[k] : narrow[k], 3, SHAPE(3)), true);
                lt_tensor *x = T->mul_scalar(&ctx, full(turned ? narrow[k] : joined[k], 2, SHAPE(2, 3)), 1);
                const lt_dtype own = x->a.dtype;
                const void *memory = x->a.data;
                ctx.engine->grad_enabled = record;
                T->mul_(&ctx, T->add_(&ctx, x, w), w);
                ctx.engine->grad_enabled = true;
                if (ctx.error.code) {
                    fail_msg("%d: %s", k, ctx.error.text);
                }
                assert_true(x->a.dtype == own && x->a.data == memory && at(x, 4) == 15);
                if (record) {
                    backward(sum_of(x));
                    assert_true(at(A->grad(&ctx, w), 0) == 2 * (2 + 2 * 3)); /* of (2 + w) w, twice */
                }
            }
        }
        lth_step_end(ctx.engine);
        close_it();
    }
    open_with((lth_engine_opts){.threads = 1}); /* nothing is promoted where nothing asked for it */
    lt_tensor *items[] = {full(LT_F32, 1, SHAPE(2)), full(LT_BF16, 1, SHAPE(2))};
    assert_null(T->cat(&ctx, items, 2, 0));
    expect_failure(LT_EDTYPE, "item 1 is bf16");
    assert_null(T->add_(&ctx, items[0], items[1]));
    expect_failure(LT_EDTYPE, "add");
    close_it();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(raw_writes_keep_gradients), cmocka_unit_test(raw_writes_to_inputs), cmocka_unit_test(views_of_blocks),
        cmocka_unit_test(gradients_through_views_of_blocks), cmocka_unit_test(changed_blocks_keep_gradients), cmocka_unit_test(stale_views),
        cmocka_unit_test(expanded_tensors), cmocka_unit_test(retained_views), cmocka_unit_test(old_values),
        cmocka_unit_test(layers_read_what_they_need), cmocka_unit_test(many_halves), cmocka_unit_test(mixed_operands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
