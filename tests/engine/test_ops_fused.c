/* tests/engine/test_ops_fused.c - every activation behind linear, conv2d and batch_norm: PyTorch's values and gradients (tests/golden/ops_fused.bin)
 * from a cpu backend that has nothing to fall back to, so that no call can end in naive loops; finite differences; refusals of lt_linear. Both
 * backends with their state after the call: the golden tests. */
#include "test_golden_run.h"

static bool open_alone(const char *isa) {
    static lth_backend cpu, nothing;
    nothing = lth_backend_reference;
    memset(nothing.kernels, 0, sizeof nothing.kernels);
    cpu = lth_backend_cpu;
    cpu.fallback = &nothing;
    lth_ctx_init(&ctx, LTH_TRAINER_THREAD);
    set = isa;
    if (lth_engine_open(&ctx.engine, &cpu, &(lth_engine_opts){.threads = 2, .isa = isa}, &ctx.error) == LT_OK) {
        return true;
    }
    print_message("%s\n", ctx.error.text);
    return false;
}

static void no_naive_loops(void **state) {
    (void)state;
    static const char *const isas[] = {TEST_SETS};
    gold_file g;
    int ran = 0;
    assert_int_equal(gold_open(&g, TEST_DATA_DIR "/golden/ops_fused.bin"), 0);
    for (int k = 0; k < TEST_N_SETS; k++) {
        if (open_alone(isas[k])) {
            assert_true(run_golden_file(&g) >= 100);
            lth_engine_free(ctx.engine);
            ran++;
        }
    }
    assert_true(ran > 0);
    gold_close(&g);
    assert_int_equal(lth_alloc_live(), 0);
}

/* The test above could not fail were the fallback never asked: what the cpu has no kernel for shows. */
static void without_a_fallback_it_shows(void **state) {
    (void)state;
    assert_true(open_alone(NULL));
    lt_tensor *none = lth_tensor_new(ctx.engine, LT_F32, 2, (int64_t[]){0, 3}, &ctx.error);
    lt_tensor *w = lth_tensor_new(ctx.engine, LT_F32, 2, (int64_t[]){2, 3}, &ctx.error);
    assert_null(lth_linear(&ctx, none, w, NULL, LT_ACT_NONE)); /* no rows: no kernel of the cpu's */
    assert_int_equal(ctx.error.code, LT_EUNSUPPORTED);
    lth_engine_free(ctx.engine);
}

static void open_chosen(const lth_backend *chosen) {
    lth_ctx_init(&ctx, LTH_TRAINER_THREAD);
    assert_int_equal(lth_engine_open(&ctx.engine, chosen, &(lth_engine_opts){.threads = 2}, &ctx.error), LT_OK);
}

static lt_tensor *wave(lt_dtype dtype, int ndim, const int64_t *shape, double phase) {
    lt_tensor *t = lth_tensor_new(ctx.engine, dtype, ndim, shape, &ctx.error);
    assert_non_null(t);
    for (int64_t i = 0; i < lth_numel(t); i++) {
        lth_element_set(dtype, t->a.data, i, 2 * sin(1.7 * (double)i * (1 + 0.01 * (double)i) + phase));
    }
    return t;
}

typedef struct probe { lth_op op; lth_attrs attrs; } probe;
static lt_tensor *curved(lt_ctx *c, lt_tensor *const *in, int n, void *arg) {
    const probe *p = arg;
    lt_tensor *y = lth_apply(c, p->op, in, n, &p->attrs, NULL), *square = y ? lth_tensor_table.mul(c, y, y) : NULL;
    return square ? lth_tensor_table.sum(c, square, NULL, 0, false) : NULL;
}

static void gradients_by_differences(void **state) {
    (void)state;
    for (int k = 0; k < 2 * LT_ACT_HARDSWISH; k++) {
        const lt_activation act = k / 2 + 1;
        const probe p = {LTH_OP_LINEAR, {.i = {act}}}, q = {LTH_OP_BATCH_NORM, {.i = {1, act}, .f = {1e-5, 0.1}}};
        open_chosen(k & 1 ? &lth_backend_cpu : &lth_backend_reference);
        lt_tensor *in[3] = {wave(LT_F64, 3, (int64_t[]){2, 3, 5}, 0.1), wave(LT_F64, 2, (int64_t[]){4, 5}, 1), wave(LT_F64, 1, (int64_t[]){4}, 2)};
        lt_tensor *norm[3] = {wave(LT_F64, 3, (int64_t[]){3, 4, 5}, 0.3), wave(LT_F64, 1, (int64_t[]){4}, 1), wave(LT_F64, 1, (int64_t[]){4}, 2)};
        for (int i = 0; i < 3; i++) {
            in[i]->requires_grad = norm[i]->requires_grad = 1;
        }
        const double worst = lth_gradcheck(&ctx, curved, in, 3, (void *)(uintptr_t)&p, 1e-5);
        const double worst_norm = lth_gradcheck(&ctx, curved, norm, 3, (void *)(uintptr_t)&q, 1e-5);
        if (!(worst < 1e-5) || !(worst_norm < 1e-5)) {
            fail_msg("activation %d on %s: %g, %g: %s", act, ctx.engine->backend->name, worst, worst_norm, ctx.error.text);
        }
        lth_engine_free(ctx.engine);
    }
}

/* The table's slot: every activation in every float dtype, under autocast too; a number that none has is refused. */
static void linear_of_the_table(void **state) {
    (void)state;
    static const lt_dtype dtypes[] = {LT_F32, LT_F64, LT_BF16};
    for (int k = 0; k < 3 * LT_ACT_HARDSWISH; k++) {
        const lt_activation act = k / 3 + 1;
        double values[2][6];
        for (int fused = 0; fused < 2; fused++) { /* the reference fuses all of them */
            open_chosen(fused ? &lth_backend_reference : &lth_backend_cpu);
            lt_tensor *x = wave(dtypes[k % 3], 2, (int64_t[]){2, 5}, 0.1), *w = wave(dtypes[k % 3], 2, (int64_t[]){3, 5}, 1);
            lt_tensor *y = lth_tensor_table.linear(&ctx, x, w, NULL, act);
            if (!y) {
                fail_msg("activation %d of %s: %s", act, lth_dtype_name(dtypes[k % 3]), ctx.error.text);
            }
            assert_int_equal(y->a.dtype, dtypes[k % 3]);
            assert_int_equal(lth_tensor_read(y, 0, 6, values[fused], &ctx.error), LT_OK);
            lth_engine_free(ctx.engine);
        }
        for (int i = 0; i < 6; i++) {
            const double v = values[1][i], allowed = dtypes[k % 3] == LT_BF16 ? 0.016 * fabs(v) + 1e-5 : 1.3e-6 * fabs(v) + 1e-5;
            if (!(fabs(values[0][i] - v) <= allowed)) {
                fail_msg("activation %d of %s: %.9g, the reference has %.9g", act, lth_dtype_name(dtypes[k % 3]), values[0][i], v);
            }
        }
    }
    open_chosen(&lth_backend_cpu);
    lt_tensor *x = wave(LT_F32, 2, (int64_t[]){2, 3}, 0);
    assert_null(lth_tensor_table.linear(&ctx, x, x, NULL, LT_ACT_HARDSWISH + 1));
    assert_non_null(strstr(ctx.error.text, "no activation has the number 11"));
    lth_engine_free(ctx.engine);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_naive_loops), cmocka_unit_test(without_a_fallback_it_shows), cmocka_unit_test(gradients_by_differences),
        cmocka_unit_test(linear_of_the_table),
    };
    return cmocka_run_group_tests_name("engine.ops_fused", tests, NULL, NULL);
}
