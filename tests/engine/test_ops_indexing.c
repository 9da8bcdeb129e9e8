/* tests/engine/test_ops_indexing.c - indexing, joining, padding, sorting: PyTorch's values and gradients on every backend; finite differences;
 * what is refused, and how it is worded; views that share memory; the same bits for any number of threads. */
#include "test_golden_run.h"

static const lt_tensor_api *const T = &lth_tensor_table;
#define SHAPE(...) (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[]){__VA_ARGS__}

static int open_engine(void **state) {
    (void)state;
    return !open_on(1) && !open_on(3);
}

static int close_engine(void **state) {
    (void)state;
    lth_engine_free(ctx.engine);
    return lth_alloc_live() != 0;
}

static lt_tensor *counted(lt_dtype dtype, int ndim, const int64_t *shape) {
    int64_t n = 1;
    for (int d = 0; d < ndim; d++) {
        n *= shape[d];
    }
    lt_tensor *x = T->reshape(&ctx, T->arange(&ctx, dtype, 0, (double)n, 1), ndim, shape);
    assert_non_null(x);
    return x;
}

static lt_tensor *indices(int ndim, const int64_t *shape, const int64_t *values) { return T->from_data(&ctx, LT_I64, ndim, shape, values); }

static double at(lt_tensor *x, int64_t i) {
    double v = NAN;
    assert_int_equal(lth_tensor_read(x, i, 1, &v, &ctx.error), LT_OK);
    return v;
}

/* ---- refusals ---- */
#define REFUSES(call, status, words) \
    do { \
        assert_true(!(call)); \
        assert_int_equal(ctx.error.code, status); \
        if (!strstr(ctx.error.text, words)) { \
            fail_msg("says \"%s\", not \"%s\"", ctx.error.text, words); \
        } \
        lth_error_clear(&ctx.error); \
    } while (0)

static void test_indices_outside(void **state) {
    (void)state;
    lt_tensor *x = counted(LT_F32, SHAPE(3, 4)), *w = counted(LT_F32, SHAPE(5, 2));
    lt_tensor *high = indices(SHAPE(2, 2), (int64_t[]){0, 1, 2, 3}), *low = indices(SHAPE(3), (int64_t[]){0, -1, 2});
    REFUSES(T->gather(&ctx, x, 0, high), LT_EINDEX, "gather: index 3 at position 3 is outside 0..2");
    REFUSES(T->scatter_add(&ctx, x, 0, high, counted(LT_F32, SHAPE(2, 2))), LT_EINDEX, "scatter_add: index 3 at position 3 is outside 0..2");
    REFUSES(T->index_select(&ctx, x, 1, low), LT_EINDEX, "index_select: index -1 at position 1 is outside 0..3");
    REFUSES(T->embedding(&ctx, low, w, NULL), LT_EINDEX, "embedding: index -1 at position 1 is outside 0..4");
    REFUSES(T->one_hot(&ctx, high, 3), LT_EINDEX, "one_hot: index 3 at position 3 is outside 0..2");
    REFUSES(T->gather(&ctx, T->full(&ctx, LT_F32, SHAPE(0, 4), 0), 0, high), LT_EINDEX, "points into an empty dimension");
    lt_embedding_opts far = {.struct_size = sizeof far, .has_padding_idx = 1, .padding_idx = 5};
    REFUSES(T->embedding(&ctx, high, w, &far), LT_EINDEX, "padding_idx 5 is no row of weight (5, 2)");
}

static void test_shapes_that_do_not_fit(void **state) {
    (void)state;
    lt_tensor *x = counted(LT_F32, SHAPE(3, 4)), *i = indices(SHAPE(2, 5), (int64_t[10]){0}), *parts[2];
    REFUSES(T->gather(&ctx, x, 0, i), LT_ESHAPE, "gather: index (2, 5) does not fit x (3, 4)");
    REFUSES(T->gather(&ctx, x, 2, i), LT_EINDEX, "x (3, 4) has no dimension 2");
    REFUSES(T->gather(&ctx, x, 0, x), LT_EDTYPE, "gather: index is f32, but must be i64");
    REFUSES(T->scatter_add(&ctx, x, 1, i, x), LT_ESHAPE, "scatter_add: index (2, 5) does not fit src (3, 4)");
    REFUSES(T->index_select(&ctx, x, 0, i), LT_ESHAPE, "index_select: index (2, 5) must have one dimension");
    REFUSES(T->masked_fill(&ctx, x, x, 0), LT_EDTYPE, "masked_fill: mask is f32, but must be bool");
    REFUSES(T->masked_fill(&ctx, x, T->full(&ctx, LT_BOOL, SHAPE(3), 1), 0), LT_ESHAPE, "masked_fill: mask (3) does not broadcast to x (3, 4)");
    REFUSES(T->pad(&ctx, x, (int64_t[]){4, 0}, 2, LT_PAD_REFLECT, 0), LT_ESHAPE, "pad: 4 before and 0 after dimension 1 of x (3, 4)");
    REFUSES(T->pad(&ctx, x, (int64_t[]){1, 0, 2}, 3, LT_PAD_CONSTANT, 0), LT_EINVAL, "pad: 3 numbers given");
    REFUSES(T->pad(&ctx, x, (int64_t[]){-3, -2}, 2, LT_PAD_CONSTANT, 0), LT_ESHAPE, "leave nothing of dimension 1 of x (3, 4)");
    REFUSES(T->pad(&ctx, x, (int64_t[]){1, 1}, 2, 9, 0), LT_EINVAL, "pad: mode 9");
    REFUSES(T->tril(&ctx, T->arange(&ctx, LT_F32, 0, 3, 1), 0), LT_ESHAPE, "tril: x (3) must have two dimensions or more");
    REFUSES(T->topk(&ctx, x, 5, 1, true, NULL), LT_EINDEX, "topk: k is 5, but dimension 1 of x (3, 4) has 4 elements");
    REFUSES(T->sort(&ctx, x, 2, true, NULL), LT_EINDEX, "sort: x (3, 4) has no dimension 2");
    REFUSES(T->one_hot(&ctx, i, 0), LT_EINVAL, "one_hot: 0 classes");
    REFUSES(T->stack(&ctx, (lt_tensor *[]){x, i}, 2, 0), LT_ESHAPE, "stack: item 1 (2, 5) does not fit item 0 (3, 4): all sizes must be equal");
    REFUSES(T->split(&ctx, x, 1, 0, parts, 2), LT_EINVAL, "split: x (3, 4) into parts of 1 along dimension 0");
    REFUSES(T->flip(&ctx, x, (int32_t[]){1, -1}, 2), LT_EINVAL, "flip: dimension 1 is given twice");
    REFUSES(T->expand(&ctx, x, SHAPE(2, 4)), LT_ESHAPE, "expand: x (3, 4) does not broadcast to (2, 4)");
    REFUSES(T->unsqueeze(&ctx, x, 3), LT_EINDEX, "unsqueeze: there is no place 3");
    REFUSES(T->slice_step(&ctx, x, 0, 0, 3, 0), LT_EINVAL, "slice: step 0, but must be 1 or more");
}

/* ---- views ---- */
static void test_views(void **state) {
    (void)state;
    lt_tensor *x = counted(LT_F32, SHAPE(6, 4)), *t = T->transpose(&ctx, x, 0, 1), *parts[4];
    lt_tensor *u = T->unsqueeze(&ctx, t, 1), *s = T->squeeze(&ctx, u, 1), *step = T->slice_step(&ctx, x, 0, 1, INT64_MAX, 2);
    assert_true(u->a.data == x->a.data && u->a.ndim == 3 && u->a.shape[1] == 1 && at(u, 1) == 4);
    assert_true(s->a.data == x->a.data && s->a.ndim == 2 && at(s, 6) == 1);
    assert_true(step->a.shape[0] == 3 && at(step, 4) == 12);
    assert_int_equal(T->split(&ctx, x, 4, 0, parts, 4), 2);
    assert_true(parts[1]->a.shape[0] == 2 && at(parts[1], 0) == 16 && lth_root(parts[1]) == lth_root(x));
    lt_tensor *e = T->expand(&ctx, T->unsqueeze(&ctx, T->slice(&ctx, x, 0, 1, 2), 0), SHAPE(2, 3, -1));
    assert_true(e->a.ndim == 3 && e->a.shape[2] == 4 && at(e, 23) == 7 && lth_root(e) == lth_root(x));
    /* reshape cuts and joins what lies behind one another, and copies where it must */
    lt_tensor *cut = T->reshape(&ctx, T->slice(&ctx, x, 1, 0, 2), SHAPE(3, 2, 2)), *joined = T->reshape(&ctx, t, SHAPE(24));
    assert_true(lth_root(cut) == lth_root(x) && at(cut, 11) == 21);
    assert_true(lth_root(joined) != lth_root(x) && at(joined, 1) == 4);
    assert_true(T->squeeze(&ctx, x, 0) == x);
}

/* ---- finite differences ---- */
static lt_tensor *total(lt_ctx *c, lt_tensor *x) { /* weighted, so that every element matters by itself */
    lt_tensor *weights = T->reshape(c, T->arange(c, LT_F64, 1, (double)lth_numel(x) + 1, 1), x->a.ndim, x->a.shape);
    return T->sum(c, T->mul(c, x, T->mul(c, x, weights)), NULL, 0, false);
}

static lt_tensor *many_ways(lt_ctx *c, lt_tensor *const *in, int n, void *arg) {
    (void)n, (void)arg;
    lt_tensor *x = in[0], *y = in[1], *i = in[2], *mask = in[3], *items[20], *parts[2];
    for (int k = 0; k < 20; k++) {
        items[k] = k % 3 ? x : y;
    }
    lt_tensor *sum = total(c, T->cat(c, items, 20, 1));
    sum = T->add(c, sum, total(c, T->stack(c, items, 11, -1)));
    sum = T->add(c, sum, total(c, T->gather(c, x, 0, i)));
    sum = T->add(c, sum, total(c, T->scatter_add(c, x, 1, i, y)));
    sum = T->add(c, sum, total(c, T->masked_fill(c, T->transpose(c, x, 0, 1), mask, 2)));
    sum = T->add(c, sum, total(c, T->pad(c, x, (int64_t[]){2, 1, 0, 2}, 4, LT_PAD_REFLECT, 0)));
    sum = T->add(c, sum, total(c, T->roll(c, x, (int64_t[]){1}, (int32_t[]){1}, 1)));
    sum = T->add(c, sum, total(c, T->tril(c, x, 0)));
    sum = T->add(c, sum, total(c, T->topk(c, x, 2, 1, true, NULL)));
    sum = T->add(c, sum, total(c, T->sort(c, y, 0, false, NULL)));
    sum = T->add(c, sum, total(c, T->slice_step(c, x, 1, 0, 3, 2)));
    sum = T->add(c, sum, T->split(c, y, 2, 0, parts, 2) == 2 ? total(c, T->unsqueeze(c, T->transpose(c, parts[1], 0, 1), 1)) : NULL);
    return sum;
}

static void test_finite_differences(void **state) {
    (void)state;
    const double a[9] = {0.3, -1.2, 2.1, 0.7, 1.9, -0.4, -2.2, 1.1, 0.05}, b[9] = {1.3, -0.2, 0.1, 2.7, -1.9, 0.6, -0.8, 0.9, 0.45};
    const int64_t which[9] = {0, 2, 1, 1, 1, 0, 2, 0, 2};
    const uint8_t bits[9] = {1, 0, 0, 1, 1, 0, 0, 0, 1};
    lt_tensor *in[4] = {T->from_data(&ctx, LT_F64, SHAPE(3, 3), a), T->from_data(&ctx, LT_F64, SHAPE(3, 3), b), indices(SHAPE(3, 3), which),
                        T->from_data(&ctx, LT_BOOL, SHAPE(3, 3), bits)};
    in[0]->requires_grad = in[1]->requires_grad = 1;
    const double worst = lth_gradcheck(&ctx, many_ways, in, 4, NULL, 1e-5);
    if (!(worst < 1e-6)) {
        fail_msg("off by %g: %s", worst, ctx.error.text);
    }
}

/* ---- cat of more items than a call takes: one output, each item written once; only those that want a gradient get one ---- */
static void test_cat_of_many(void **state) {
    (void)state;
    lt_tensor *items[30];
    for (int k = 0; k < 30; k++) {
        items[k] = counted(LT_F32, SHAPE(2, k % 4, 3));
        items[k]->requires_grad = k > 9 && k % 2;
    }
    lt_tensor *y = T->cat(&ctx, items, 30, 1);
    assert_true(y && y->a.shape[1] == 43 && y->requires_grad);
    lt_tensor *weights = counted(LT_F32, SHAPE(2, 43, 3));
    assert_int_equal(lth_backward(&ctx, T->sum(&ctx, T->mul(&ctx, y, weights), NULL, 0, false), NULL, 1), LT_OK);
    for (int k = 0, start = 0; k < 30; start += k % 4, k++) {
        assert_true((items[k]->grad != NULL) == (k > 9 && k % 2));
        for (int64_t i = 0; i < 2 * (k % 4) * 3; i++) {
            const int64_t place = i / (k % 4 * 3) * 129 + start * 3 + i % (k % 4 * 3);
            assert_true(at(y, place) == (double)i && (!items[k]->grad || at(items[k]->grad, i) == (double)place));
        }
    }
    assert_true(!lth_root(y)->grad);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_engine, close_engine)
int main(void) {
    const struct CMUnitTest tests[] = {{"golden index", golden_everywhere, NULL, NULL, (void *)(uintptr_t)"index"},
                                       TEST(test_indices_outside), TEST(test_shapes_that_do_not_fit), TEST(test_views), TEST(test_finite_differences),
                                       TEST(test_cat_of_many)};
    return cmocka_run_group_tests_name("engine.ops_indexing", tests, NULL, NULL);
}
