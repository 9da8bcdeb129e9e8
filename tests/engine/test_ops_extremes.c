/* tests/engine/test_ops_extremes.c - operations at the ends of what they take: means far from 0, divisors whose square is out of range, more
 * inputs than one call has, mixed dtypes, numbers that no integer holds, no memory. On the reference backend and on the cpu backend of each
 * instruction set; what is expected is computed here, in double. */
#include "base/mem.h"
#include "engine/autograd/tape.h"
#include "instruction_sets.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static lt_ctx ctx;
static const char *set; /* the backend and instruction set under test */
static const lt_tensor_api *const T = &lth_tensor_table;
#define SHAPE(...) (int32_t)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[]){__VA_ARGS__}

static uint64_t seed;
static double uniform(void) { /* -1..1 */
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (double)(seed >> 40) / (double)(1 << 23) - 1;
}
static double at(lt_tensor *t, int64_t i) {
    double value = NAN;
    if (!t) {
        fail_msg("%s: %s", set, ctx.error.text);
    }
    assert_int_equal(lth_tensor_read(t, i, 1, &value, &ctx.error), LT_OK);
    return value;
}
static void put(lt_tensor *t, int64_t i, double value) { lth_element_set(t->a.dtype, t->a.data, i, value); }
static void near(const char *what, int64_t i, double got, double want, double allowed) {
    if (!(fabs(got - want) <= allowed)) {
        fail_msg("%s, %s: element %lld is %.9g, expected %.9g", set, what, (long long)i, got, want);
    }
}
static lt_tensor *apply(lth_op op, lt_tensor *const *in, int n, const lth_attrs *attrs) {
    lt_tensor *y = lth_apply(&ctx, op, in, n, attrs, NULL);
    if (!y) {
        fail_msg("%s: %s", set, ctx.error.text);
    }
    return y;
}
static void back(lt_tensor *y, lt_tensor *g) {
    if (lth_backward(&ctx, y, g, 1) != LT_OK) {
        fail_msg("%s: %s", set, ctx.error.text);
    }
}
/* Backend number `which`: 0 the reference, 1.. the cpu's instruction sets. False: this machine has it not. */
static bool open_with(int which, const lth_engine_opts *wanted) {
    static const char *const sets[] = {"reference", TEST_SETS};
    lth_engine_opts opts = *wanted;
    opts.threads = 2;
    opts.isa = which ? sets[which] : NULL;
    set = sets[which];
    lth_ctx_init(&ctx, LTH_TRAINER_THREAD);
    return lth_engine_open(&ctx.engine, which ? &lth_backend_cpu : &lth_backend_reference, &opts, &ctx.error) == LT_OK;
}
static bool open_on(int which) { return open_with(which, &(lth_engine_opts){0}); }
/* f on every backend and instruction set that this machine has. */
static void everywhere(void (*f)(void)) {
    int ran = 0;
    for (int which = 0; which <= TEST_N_SETS; which++) {
        if (open_on(which)) {
            seed = 7;
            f();
            lth_engine_free(ctx.engine);
            assert_int_equal(lth_alloc_live(), 0);
            ran++;
        }
    }
    assert_true(ran >= 2);
}

/* ---- batch norm of values of mean 1000 and deviation 1 ---- */
static void far_from_zero(const int64_t *shape, int ndim, bool relu) {
    enum { MOST = 4096 };
    static double x[MOST], g[MOST];
    const int64_t N = shape[0], C = shape[1], rest = ndim == 4 ? shape[2] * shape[3] : 1, n = N * C * rest;
    assert_true(n <= MOST);
    lt_tensor *in[5] = {T->full(&ctx, LT_F32, ndim, shape, 0)}, *arriving = T->full(&ctx, LT_F32, ndim, shape, 0);
    for (int k = 1; k < 5; k++) {
        in[k] = T->full(&ctx, LT_F32, SHAPE(C), k == 2 ? 0.5 : k == 1 ? 2 : 0);
    }
    for (int64_t i = 0; i < n; i++) {
        put(in[0], i, 1000 + 1.7 * uniform());
        put(arriving, i, uniform());
        x[i] = at(in[0], i), g[i] = at(arriving, i);
    }
    for (int k = 0; k < 3; k++) {
        in[k]->requires_grad = true;
    }
    const lth_attrs attrs = {.i = {1, relu ? LT_ACT_RELU : LT_ACT_NONE}, .f = {1e-5, 1}};
    lt_tensor *y = apply(LTH_OP_BATCH_NORM, in, 5, &attrs);
    back(y, arriving);
    const double count = (double)(N * rest);
    for (int64_t c = 0; c < C; c++) {
        double mean = 0, var = 0, sum = 0, dot = 0;
#define EACH_OF_CHANNEL(i) for (int64_t image = 0; image < N; image++) for (int64_t i = (image * C + c) * rest; i < (image * C + c + 1) * rest; i++)
        EACH_OF_CHANNEL(i) { mean += x[i] / count; }
        EACH_OF_CHANNEL(i) { var += (x[i] - mean) * (x[i] - mean) / count; }
        const double rstd = 1 / sqrt(var + 1e-5);
        EACH_OF_CHANNEL(i) {
            const double want = 2 * rstd * (x[i] - mean) + 0.5;
            near("y", i, at(y, i), relu && want < 0 ? 0 : want, 2e-3); /* scale x + shift in f32, as PyTorch's */
            g[i] = relu && at(y, i) <= 0 ? 0 : g[i];
            sum += g[i], dot += g[i] * (x[i] - mean) * rstd;
        }
        near("running mean", c, at(in[3], c), mean, 1e-4);
        near("running variance", c, at(in[4], c), var * count / (count - 1), 2e-5 * var);
        near("weight's gradient", c, at(in[1]->grad, c), dot, 2e-4 * (1 + fabs(dot)));
        near("bias's gradient", c, at(in[2]->grad, c), sum, 1e-4 * (1 + fabs(sum)));
        EACH_OF_CHANNEL(i) {
            const double want = 2 * rstd * (g[i] - sum / count - (x[i] - mean) * rstd * dot / count);
            near("gradient", i, at(in[0]->grad, i), want, 1e-4); /* the mean is kept in f32 */
        }
    }
    lth_step_end(ctx.engine);
}
static void norms_far_from_zero(void) {
    far_from_zero((int64_t[]){8, 3, 5, 9}, 4, false); /* rows of 16 and a tail */
    far_from_zero((int64_t[]){4, 3, 8, 8}, 4, true);
    far_from_zero((int64_t[]){40, 7}, 2, true);
}
static void test_norms_far_from_zero(void **state) { (void)state, everywhere(norms_far_from_zero); }

/* ---- a / b where b * b over- or underflows ---- */
static void slope_of_ratio(lt_dtype dtype, double a, double b, int kind) { /* 0 equal shapes, 1 b one value, 2 b a row, 3 turned */
    lt_tensor *x = T->full(&ctx, dtype, SHAPE(20, 3), a), *y = T->full(&ctx, dtype, kind == 1 ? 0 : kind == 2 ? 1 : 2, (int64_t[]){kind == 2 ? 3 : 20, 3}, b);
    x->requires_grad = y->requires_grad = true;
    lt_tensor *over = kind == 3 ? T->div(&ctx, T->transpose(&ctx, x, 0, 1), T->transpose(&ctx, y, 0, 1)) : T->div(&ctx, x, y);
    assert_non_null(over);
    back(over, T->full(&ctx, dtype, over->a.ndim, over->a.shape, 1e-3));
    a = at(x, 0), b = at(y, 0);
    const double terms = kind == 1 ? 60 : kind == 2 ? 20 : 1, want = -1e-3 * (a / b / b) * terms;
    near("d/da", 0, at(x->grad, 0) / (1e-3 / b), 1, 1e-2);
    for (int64_t i = 0; i < lth_numel(y); i++) {
        near("d/db", i, at(y->grad, i) / want, 1, dtype == LT_BF16 ? 2e-2 : 1e-5);
    }
    lth_step_end(ctx.engine);
}
static void ratios(void) {
    for (int kind = 0; kind < 4; kind++) {
        slope_of_ratio(LT_F32, 3e-24, 2e-24, kind); /* b * b is 0 in f32 */
        slope_of_ratio(LT_F32, 3e23, 2e23, kind);   /* and here infinite */
        slope_of_ratio(LT_BF16, 3e-24, 2e-24, kind);
        slope_of_ratio(LT_F64, 3e-200, 2e-200, kind);
        slope_of_ratio(LT_F64, 3e200, 2e200, kind);
    }
}
static void test_ratios(void **state) { (void)state, everywhere(ratios); }

/* ---- numbers that no integer holds ---- */
static void numbers_too_large(void) {
    static const double numbers[] = {1e30, -1e30, INFINITY, -INFINITY, 0x1p63};
    for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++) {
        lt_tensor *x = T->full(&ctx, LT_I64, SHAPE(3), 5);
        assert_true(at(T->add_scalar(&ctx, x, numbers[k]), 2) == -0x1p63); /* the lowest, as of every number that does not fit */
        assert_true(at(T->mul_scalar(&ctx, x, numbers[k]), 2) == -0x1p63);
    }
    assert_true(at(T->add_scalar(&ctx, T->full(&ctx, LT_I64, SHAPE(3), 5), NAN), 0) == -0x1p63);
    lt_tensor *zero = T->full(&ctx, LT_I64, SHAPE(3), 0), *least = T->add_scalar(&ctx, zero, -0x1p63);
    assert_true(*(int64_t *)least->a.data == INT64_MIN);
    lth_step_end(ctx.engine);
}
static void test_numbers_too_large(void **state) { (void)state, everywhere(numbers_too_large); }

/* ---- joining more items than a call takes, and of several dtypes ---- */
static lt_tensor *joined(bool stacked, lt_tensor *const *items, int n) {
    lt_tensor *y = stacked ? T->stack(&ctx, items, n, 1) : T->cat(&ctx, items, n, 1);
    if (!y) {
        fail_msg("%s: %s", set, ctx.error.text);
    }
    return y;
}
/* Item k is (2, 3) of k + 1; the gradient that arrives at (r, k, c) is r + k: exact in every dtype. */
static void join_many(bool stacked, int n, lt_dtype dtype, int other_at, lt_dtype other, lt_dtype result) {
    lt_tensor *items[32];
    for (int k = 0; k < n; k++) {
        items[k] = T->full(&ctx, k == other_at ? other : dtype, SHAPE(2, 3), k + 1);
        items[k]->requires_grad = true;
    }
    lt_tensor *y = joined(stacked, items, n), *g = T->full(&ctx, result, y->a.ndim, y->a.shape, 0);
    assert_int_equal(y->a.dtype, result);
    for (int64_t i = 0; i < lth_numel(y); i++) {
        assert_true(at(y, i) == (double)(i % (3 * n) / 3 + 1));
        put(g, i, (double)(i / (3 * n) + i % (3 * n) / 3));
    }
    back(y, g);
    back(y, g);
    for (int k = 0; k < n; k++) {
        assert_int_equal(items[k]->grad->a.dtype, items[k]->a.dtype);
        assert_true(at(items[k]->grad, 0) == 2 * k && at(items[k]->grad, 5) == 2 * (k + 1));
    }
    lth_step_end(ctx.engine);
}
static void many_of_half_precision(void) {
    for (int n = 8; n <= 20; n += 4) {
        for (int stacked = 0; stacked < 2; stacked++) {
            join_many(stacked, n, LT_F16, -1, 0, LT_F16);
            join_many(stacked, n, LT_BF16, -1, 0, LT_BF16);
        }
    }
}
static void test_many_of_half_precision(void **state) { (void)state, everywhere(many_of_half_precision); }

static void test_joined_dtypes(void **state) {
    (void)state;
    static const struct { lt_dtype dtype, autocast, most, other, result; } cases[] = {
        {LT_F32, LT_BF16, LT_BF16, LT_F32, LT_F32}, {LT_F32, LT_BF16, LT_F32, LT_BF16, LT_F32}, /* trainer.precision bf16-mixed */
        {LT_BF16, 0, LT_F32, LT_BF16, LT_BF16},     {LT_BF16, 0, LT_BF16, LT_F32, LT_BF16},     /* bf16-true */
        {LT_F64, 0, LT_F32, LT_F64, LT_F64},        {LT_F64, 0, LT_F64, LT_F32, LT_F64},        /* 64-true */
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        assert_true(open_with(TEST_BASELINE + 1, &(lth_engine_opts){.dtype = cases[k].dtype, .autocast = cases[k].autocast}));
        for (int n = 2; n <= 20; n += 9) {
            join_many(false, n, cases[k].most, n - 1, cases[k].other, cases[k].result);
            join_many(true, n, cases[k].most, 0, cases[k].other, cases[k].result);
        }
        lt_tensor *const whole[] = {T->full(&ctx, cases[k].most, SHAPE(2), 1), T->full(&ctx, LT_I64, SHAPE(2), 1)};
        assert_null(T->cat(&ctx, whole, 2, 0));
        assert_int_equal(ctx.error.code, LT_EDTYPE);
        lth_engine_free(ctx.engine);
    }
    assert_true(open_on(TEST_BASELINE + 1)); /* 32-true: nothing is promoted */
    lt_tensor *const mixed[] = {T->full(&ctx, LT_F32, SHAPE(2), 1), T->full(&ctx, LT_BF16, SHAPE(2), 1)};
    assert_null(T->cat(&ctx, mixed, 2, 0));
    assert_string_equal(ctx.error.text, "cat: item 1 is bf16 and item 0 is f32, but they must be the same; use lt_cast");
    lth_engine_free(ctx.engine);
    assert_int_equal(lth_alloc_live(), 0);
}

/* ---- a sum that gets no memory for its parts ---- */
static void test_sum_without_memory(void **state) {
    (void)state;
    assert_true(open_on(TEST_BASELINE + 1));
    lt_tensor *x = T->full(&ctx, LT_F32, SHAPE(1 << 20), 1), *y = NULL;
    int64_t calls = 0;
    for (; !y; calls++) { /* fails wherever it may, then does not */
        assert_true(calls < 100);
        lth_alloc_budget(calls);
        y = T->sum(&ctx, x, NULL, 0, false);
        lth_alloc_budget(-1);
        if (!y) {
            assert_int_equal(ctx.error.code, LT_ENOMEM);
            lth_error_clear(&ctx.error);
        }
    }
    assert_true(calls > 1);
    assert_true(at(y, 0) == 1 << 20);
    lth_engine_free(ctx.engine);
    assert_int_equal(lth_alloc_live(), 0);
}

/* ---- more threads than the backend takes ---- */
static void test_too_many_threads(void **state) {
    (void)state;
    lth_error err = {0};
    lth_device *d = NULL;
    assert_int_equal(lth_backend_cpu.open(&d, &(lth_device_opts){.threads = 65}, &err), LT_ECONFIG);
    assert_null(d);
    assert_string_equal(err.text, "the cpu backend computes on 64 threads at most, and 65 are wanted: lower trainer.num_threads, or OMP_NUM_THREADS "
                                  "where it decides");
    err = (lth_error){0};
    assert_int_equal(lth_backend_cpu.open(&d, &(lth_device_opts){.threads = 64}, &err), LT_OK);
    lth_backend_cpu.close(d);
    assert_int_equal(lth_alloc_live(), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_norms_far_from_zero),
        cmocka_unit_test(test_ratios),
        cmocka_unit_test(test_numbers_too_large),
        cmocka_unit_test(test_many_of_half_precision),
        cmocka_unit_test(test_joined_dtypes),
        cmocka_unit_test(test_sum_without_memory),
        cmocka_unit_test(test_too_many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
