/* tests/engine/test_ops_attention.c - ATTENTION and SELF_ATTENTION of the cpu backend against the reference: many sizes, masks and strides, f32,
 * f64 and bf16, every instruction set; the same bits for one to four threads; finite differences in f64 on the reference. */
#include "engine/autograd/tape.h"
#include "test_reference.h"

static const char *const sets[] = {TEST_SETS};
static uint64_t seed = 7;
static double uniform(void) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (double)(seed >> 40) / (double)(1 << 23) - 1;
}

/* mask: 0 none, 1 bool (T, S), 2 float (B, 1, T, S), 3 bool that hides everything from row 0, 4 float (H, 1, S) with -inf */
typedef struct shape { int64_t B, H, T, S, D, DV; int causal, mask; double scale; bool turned, self; } shape;
typedef struct result { double *out, *grad[4]; int64_t n_out, n_grad[4]; } result;

static lt_tensor *filled(lt_ctx *ctx, lt_dtype dtype, int ndim, const int64_t *dims, const double *values, const int64_t *order) {
    lt_tensor *t = lth_tensor_new(ctx->engine, dtype, ndim, dims, &ctx->error);
    assert_non_null(t);
    for (int64_t i = 0; i < lth_numel(t); i++) {
        lth_element_set(dtype, t->a.data, i, values[i]);
    }
    if (order) { /* the same values, memory as (B, T, H, D) */
        const int64_t H = dims[1], T = dims[2], D = dims[3];
        double *moved = malloc((size_t)lth_numel(t) * sizeof *moved);
        for (int64_t i = 0; i < lth_numel(t); i++) {
            const int64_t d = i % D, s = i / D % T, h = i / D / T % H, b = i / D / T / H;
            moved[((b * T + s) * H + h) * D + d] = values[i];
        }
        for (int64_t i = 0; i < lth_numel(t); i++) {
            lth_element_set(dtype, t->a.data, i, moved[i]);
        }
        memcpy(t->a.strides, order, 4 * sizeof *order);
        free(moved);
    }
    return t;
}

static double *read_all(lt_ctx *ctx, lt_tensor *t, int64_t *n) {
    *n = lth_numel(t);
    double *values = calloc((size_t)*n + 1, sizeof *values);
    assert_int_equal(lth_tensor_read(t, 0, *n, values, &ctx->error), LT_OK);
    return values;
}

static int inputs(const shape *s, int64_t dims[4][4], int ndim[4]) {
    const int64_t all[3][4] = {{s->B, s->H, s->T, s->D}, {s->B, s->H, s->S, s->D}, {s->B, s->H, s->S, s->DV}};
    int n = 0;
    if (s->self) {
        ndim[n] = 3;
        memcpy(dims[n++], (int64_t[]){s->B, s->T, 3 * s->H * s->D, 0}, 32);
    } else {
        for (; n < 3; n++) {
            ndim[n] = 4;
            memcpy(dims[n], all[n], 32);
        }
    }
    if (s->mask) {
        ndim[n] = s->mask == 1 || s->mask == 3 ? 2 : s->mask == 2 ? 4 : 3;
        memcpy(dims[n], s->mask == 2 ? (int64_t[]){s->B, 1, s->T, s->S} : s->mask == 4 ? (int64_t[]){s->H, 1, s->S, 0} : (int64_t[]){s->T, s->S, 0, 0}, 32);
        n++;
    }
    return n;
}
static int64_t numel(int ndim, const int64_t *dims) {
    int64_t n = 1;
    for (int i = 0; i < ndim; i++) {
        n *= dims[i];
    }
    return n;
}

static result execute(lt_ctx *ctx, const shape *s, lt_dtype dtype, double *const *values, const double *gout, bool twice) {
    int64_t dims[4][4];
    int ndim[4];
    const int n = inputs(s, dims, ndim);
    lt_tensor *in[4] = {0};
    for (int k = 0; k < n; k++) {
        const bool is_mask = s->mask && k == n - 1, flags = is_mask && (s->mask == 1 || s->mask == 3);
        const int64_t *d = dims[k], order[4] = {d[1] * d[2] * d[3], d[3], d[1] * d[3], 1};
        in[k] = filled(ctx, flags ? LT_BOOL : dtype, ndim[k], d, values[k], s->turned && !is_mask && ndim[k] == 4 ? order : NULL);
        in[k]->requires_grad = !flags;
        in[k]->is_leaf = true;
    }
    lth_attrs attrs = {.i = {s->causal, s->H}, .f = {s->scale}};
    result r = {0};
    for (int times = 0; times < (twice ? 2 : 1); times++) {
        lt_tensor *y = lth_apply(ctx, s->self ? LTH_OP_SELF_ATTENTION : LTH_OP_ATTENTION, in, n, &attrs, NULL);
        if (!y) {
            fail_msg("%s", ctx->error.text);
        }
        free(r.out);
        r.out = read_all(ctx, y, &r.n_out);
        lt_tensor *g = filled(ctx, dtype, y->a.ndim, y->a.shape, gout, NULL);
        assert_int_equal(lth_backward(ctx, y, g, 1), LT_OK);
    }
    for (int k = 0; k < n; k++) {
        if (in[k]->grad) {
            r.grad[k] = read_all(ctx, in[k]->grad, &r.n_grad[k]);
        }
    }
    lth_step_end(ctx->engine);
    return r;
}
static void drop(result *r) {
    free(r->out);
    for (int k = 0; k < 4; k++) {
        free(r->grad[k]);
    }
}
static void near(const char *what, const shape *s, const char *set, const double *got, const double *want, int64_t n, double tolerance) {
    double top = 0;
    for (int64_t i = 0; i < n; i++) {
        top = fmax(top, fabs(want[i]));
    }
    for (int64_t i = 0; i < n; i++) {
        if (!(fabs(got[i] - want[i]) <= tolerance * (1 + top))) {
            fail_msg("%s on %s, (%lld %lld %lld %lld %lld %lld) causal %d mask %d self %d: element %lld is %.9g, reference %.9g", what, set, (long long)s->B,
                     (long long)s->H, (long long)s->T, (long long)s->S, (long long)s->D, (long long)s->DV, s->causal, s->mask, s->self, (long long)i,
                     got[i], want[i]);
        }
    }
}
static void compare(const shape *s, const char *set, const result *got, const result *want, double tolerance) {
    char what[32];
    assert_int_equal(got->n_out, want->n_out);
    near("output", s, set, got->out, want->out, got->n_out, tolerance);
    for (int k = 0; k < 4; k++) {
        assert_int_equal(got->n_grad[k], want->n_grad[k]);
        snprintf(what, sizeof what, "gradient %d", k);
        near(what, s, set, got->grad[k], want->grad[k], got->n_grad[k], tolerance);
    }
}
static void open_engine(lt_ctx *ctx, const lth_backend *backend_, const char *set, int threads) {
    lth_ctx_init(ctx, LTH_TRAINER_THREAD);
    if (lth_engine_open(&ctx->engine, backend_, &(lth_engine_opts){.threads = threads, .isa = set}, &ctx->error) < 0) {
        print_message("%s\n", ctx->error.text);
    }
}

static void check(lt_ctx *reference, lt_ctx cpu[TEST_N_SETS][4], const shape *s, lt_dtype dtype, bool twice) {
    int64_t dims[4][4];
    int ndim[4];
    const int n = inputs(s, dims, ndim);
    double *values[4] = {0};
    for (int k = 0; k < n; k++) {
        const int64_t count = numel(ndim[k], dims[k]);
        const bool is_mask = s->mask && k == n - 1;
        values[k] = calloc((size_t)count + 1, sizeof *values[k]);
        for (int64_t i = 0; i < count; i++) {
            values[k][i] = 1.5 * uniform();
            if (is_mask && (s->mask == 1 || s->mask == 3)) {
                values[k][i] = (s->mask == 3 && i < s->S) ? 0 : uniform() > -0.5;
            } else if (is_mask && s->mask == 4 && uniform() < -0.6) {
                values[k][i] = -INFINITY;
            }
            if (dtype == LT_BF16) { /* what both can hold */
                uint16_t low;
                lth_element_set(LT_BF16, &low, 0, values[k][i]);
                values[k][i] = lth_element_get(LT_BF16, &low, 0);
            }
        }
    }
    double *gout = calloc((size_t)(s->B * s->H * s->T * s->DV) + 1, sizeof *gout);
    for (int64_t i = 0; i < s->B * s->H * s->T * s->DV; i++) {
        gout[i] = (double)(int)(uniform() * 64) / 64;
    }
    result want = execute(reference, s, dtype, values, gout, twice);
    for (int set = 0; set < TEST_N_SETS; set++) {
        result first = {0};
        for (int t = 0; t < 4 && cpu[set][t].engine; t++) {
            result got = execute(&cpu[set][t], s, dtype, values, gout, twice);
            compare(s, sets[set], &got, &want, dtype == LT_BF16 ? 1.6e-2 : dtype == LT_F64 ? 1e-12 : 1e-5);
            if (t == 0) {
                first = got;
                continue;
            }
            assert_memory_equal(got.out, first.out, (size_t)got.n_out * sizeof *got.out);
            for (int k = 0; k < 4; k++) {
                if (got.grad[k]) {
                    assert_memory_equal(got.grad[k], first.grad[k], (size_t)got.n_grad[k] * sizeof *got.grad[k]);
                }
            }
            drop(&got);
        }
        drop(&first);
    }
    drop(&want);
    free(gout);
    for (int k = 0; k < 4; k++) {
        free(values[k]);
    }
}

static const shape shapes[] = {
    {1, 1, 1, 1, 1, 1, 0, 0, 0, false, false},     {2, 3, 9, 9, 8, 8, 1, 0, 0, true, false},      {1, 2, 33, 33, 64, 64, 1, 0, 0, true, false},
    {1, 2, 31, 70, 5, 7, 0, 0, 0, false, false},   {1, 1, 300, 300, 16, 16, 1, 0, 0, false, false}, {1, 1, 20, 530, 17, 33, 0, 0, .3, true, false},
    {1, 1, 70, 12, 24, 24, 1, 0, 0, false, false}, {2, 2, 19, 23, 8, 8, 0, 1, 0, true, false},    {2, 2, 40, 40, 12, 12, 1, 2, 0, false, false},
    {1, 2, 11, 13, 6, 6, 0, 3, 0, false, false},   {1, 3, 26, 300, 8, 8, 0, 4, 0, true, false},   {1, 1, 5, 40, 64, 3, 1, 2, -.5, false, false},
    {2, 3, 50, 50, 16, 16, 1, 0, 0, false, true},  {1, 1, 65, 65, 33, 33, 0, 1, 0, false, true},  {1, 2, 7, 7, 4, 4, 1, 2, .2, false, true},
};

static void against_reference(void **state) {
    const lt_dtype dtype = *(const lt_dtype *)*state;
    lt_ctx reference, cpu[TEST_N_SETS][4] = {0};
    open_engine(&reference, &lth_backend_reference, NULL, 1);
    for (int set = 0; set < TEST_N_SETS; set++) {
        for (int t = 0; t < 4; t++) {
            open_engine(&cpu[set][t], &lth_backend_cpu, sets[set], t + 1);
        }
    }
    assert_non_null(cpu[TEST_BASELINE][3].engine);
    for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) {
        check(&reference, cpu, &shapes[k], dtype, k % 2);
    }
    for (int set = 0; set < TEST_N_SETS; set++) {
        for (int t = 0; t < 4; t++) {
            lth_engine_free(cpu[set][t].engine);
        }
    }
    lth_engine_free(reference.engine);
    assert_int_equal(lth_alloc_live(), 0);
}

/* The kernel takes permuted views as they are, and its output joins the heads without a copy. */
static void output_joins_heads(void **state) {
    (void)state;
    lt_ctx ctx;
    open_engine(&ctx, &lth_backend_cpu, NULL, 1);
    const int64_t dims[4] = {2, 3, 5, 4}, order[4] = {60, 4, 12, 1};
    double zeros[120] = {0};
    lt_tensor *in[3];
    for (int k = 0; k < 3; k++) {
        in[k] = filled(&ctx, LT_F32, 4, dims, zeros, order);
    }
    lth_attrs attrs = {.i = {1, 3}};
    lt_tensor *y = lth_apply(&ctx, LTH_OP_ATTENTION, in, 3, &attrs, NULL);
    assert_non_null(y);
    lth_attrs back = {.i = {0, 2, 1, 3}};
    lt_tensor *turned = lth_apply(&ctx, LTH_OP_PERMUTE, &y, 1, &back, NULL);
    assert_true(lth_array_contiguous(&turned->a));
    assert_ptr_equal(lth_reshape(&ctx, turned, 3, (int64_t[]){2, 5, 12})->a.data, y->a.data);
    lth_engine_free(ctx.engine);
}

static void refusals(void **state) {
    (void)state;
    lt_ctx ctx;
    open_engine(&ctx, &lth_backend_cpu, NULL, 1);
    double zeros[120] = {0};
    lt_tensor *x = filled(&ctx, LT_F32, 3, (int64_t[]){1, 4, 10}, zeros, NULL);
    lth_attrs attrs = {.i = {1, 2}};
    assert_null(lth_apply(&ctx, LTH_OP_SELF_ATTENTION, &x, 1, &attrs, NULL));
    assert_string_equal(ctx.error.text, "self_attention: x (1, 4, 10) must be (B, T, 3 E), E a multiple of the 2 heads: q, k and v side by side");
    ctx.error = (lth_error){0};
    attrs.i[1] = 0;
    assert_null(lth_apply(&ctx, LTH_OP_SELF_ATTENTION, &x, 1, &attrs, NULL));
    assert_string_equal(ctx.error.text, "self_attention: 0 heads; it takes 1 or more");
    ctx.error = (lth_error){0};
    attrs.i[1] = 1;
    lt_tensor *in[2] = {filled(&ctx, LT_F32, 3, (int64_t[]){1, 4, 12}, zeros, NULL), filled(&ctx, LT_F32, 2, (int64_t[]){4, 5}, zeros, NULL)};
    assert_null(lth_apply(&ctx, LTH_OP_SELF_ATTENTION, in, 2, &attrs, NULL));
    assert_non_null(strstr(ctx.error.text, "self_attention: mask (4, 5) does not fit"));
    lth_engine_free(ctx.engine);
}

static lt_tensor *squared_sum(lt_ctx *ctx, lt_tensor *const *in, int n, void *arg) {
    const shape *s = arg;
    lth_attrs attrs = {.i = {s->causal, s->H}, .f = {s->scale}}, all = {0};
    lt_tensor *y = lth_apply(ctx, s->self ? LTH_OP_SELF_ATTENTION : LTH_OP_ATTENTION, in, n, &attrs, NULL);
    lt_tensor *pair[2] = {y, y};
    y = lth_apply(ctx, LTH_OP_MUL, pair, 2, NULL, NULL);
    return lth_apply(ctx, LTH_OP_SUM, &y, 1, &all, NULL);
}
static void finite_differences(void **state) {
    (void)state;
    const shape all[] = {{1, 2, 4, 4, 3, 3, 1, 0, 0, false, true}, {1, 1, 3, 3, 2, 2, 0, 2, .7, false, true}, {1, 2, 3, 5, 2, 4, 0, 2, 0, false, false}};
    lt_ctx ctx;
    open_engine(&ctx, &lth_backend_reference, NULL, 1);
    for (size_t c = 0; c < sizeof all / sizeof *all; c++) {
        int64_t dims[4][4];
        int ndim[4];
        const int n = inputs(&all[c], dims, ndim);
        lt_tensor *in[4];
        double values[256];
        for (int k = 0; k < n; k++) {
            for (int i = 0; i < 256; i++) {
                values[i] = uniform();
            }
            in[k] = filled(&ctx, LT_F64, ndim[k], dims[k], values, NULL);
            in[k]->requires_grad = true;
            in[k]->is_leaf = true;
        }
        shape copy = all[c];
        const double worst = lth_gradcheck(&ctx, squared_sum, in, n, &copy, 1e-5);
        if (!(worst < 1e-7)) {
            fail_msg("case %zu: off by %g: %s", c, worst, ctx.error.text);
        }
        lth_step_end(ctx.engine);
    }
    lth_engine_free(ctx.engine);
}

int main(void) {
    static const lt_dtype f32 = LT_F32, bf16 = LT_BF16, f64 = LT_F64;
    const struct CMUnitTest tests[] = {
        {"attention f32 against the reference", against_reference, NULL, NULL, (void *)(uintptr_t)&f32},
        {"attention f64 against the reference", against_reference, NULL, NULL, (void *)(uintptr_t)&f64},
        {"attention bf16 against the reference", against_reference, NULL, NULL, (void *)(uintptr_t)&bf16},
        cmocka_unit_test(output_joins_heads), cmocka_unit_test(refusals), cmocka_unit_test(finite_differences),
    };
    return cmocka_run_group_tests_name("engine.ops_attention", tests, NULL, NULL);
}
