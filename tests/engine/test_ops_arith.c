/* tests/engine/test_ops_arith.c - arithmetic and reductions in every dtype the cpu backend computes in, through the engine, against the reference
 * backend: broadcasts, views, gradients; the cpu backend must take the calls itself; bits must not depend on threads. In-place
 * operations by PyTorch's rules, and finite differences in f64. */
#include "base/mem.h"
#include "engine/autograd/tape.h"
#include "engine/ops/shapes.h"
#include "instruction_sets.h"
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
static const char *const sets[] = {TEST_SETS};
static lt_ctx ctx;
static char where[200];

static bool open_on(const lth_backend *backend, const char *isa, int threads) {
    lth_ctx_init(&ctx, LTH_TRAINER_THREAD);
    if (lth_engine_open(&ctx.engine, backend, &(lth_engine_opts){.threads = threads, .isa = isa}, &ctx.error) < 0) {
        static const char *told;
        if (told != isa) {
            print_message("%s\n", ctx.error.text);
        }
        told = isa;
        return false;
    }
    ctx.engine->grad_enabled = true;
    return true;
}
static void close_it(void) {
    lth_engine_free(ctx.engine);
    assert_int_equal(lth_alloc_live(), 0);
}

#pragma GCC diagnostic ignored "-Wmissing-field-initializers" /* rows of the table leave out what is 0 */
/* ---- cases: op, inputs' shapes, how they lie ---- */
typedef struct input { int ndim; int64_t shape[4]; bool turned, positive, boolean; } input;
typedef struct arith { lth_op op; int n; input in[3]; lth_attrs attrs; bool no_grad; } arith;
#define TWO(OP, ...) {LTH_OP_##OP, 2, {__VA_ARGS__}, {.f = {0}}, false}
#define ONE(OP, ...) {LTH_OP_##OP, 1, {{3, {4, 5, 70}, false, false, false}}, {__VA_ARGS__}, false}
#define POS(OP, ...) {LTH_OP_##OP, 1, {{3, {4, 5, 70}, false, true, false}}, {__VA_ARGS__}, false}
#define OVER(OP, ...) {LTH_OP_##OP, 1, {{3, {6, 7, 65}, false, false, false}}, {__VA_ARGS__}, false}
#define TURN(OP, ...) {LTH_OP_##OP, 1, {{3, {6, 7, 65}, true, false, false}}, {__VA_ARGS__}, false}
static const arith cases[] = {
    TWO(ADD, {3, {4, 5, 70}}, {1, {70}}), TWO(ADD, {3, {4, 5, 70}}, {3, {4, 1, 70}}), TWO(MUL, {3, {4, 5, 70}}, {2, {5, 1}}),
    TWO(SUB, {2, {50, 3}}, {1, {3}}), TWO(MUL, {2, {50, 1}}, {2, {1, 3}}), TWO(DIV, {2, {9, 80}}, {2, {9, 1}, false, true}),
    TWO(ADD, {2, {33, 40}, true}, {2, {40, 33}}), TWO(MUL, {1, {1}}, {2, {64, 700}}), TWO(MAXIMUM, {3, {4, 5, 70}}, {2, {5, 70}}),
    TWO(MINIMUM, {2, {8, 3}}, {2, {8, 1}}), TWO(POW, {2, {9, 40}, false, true}, {1, {40}}),
    {LTH_OP_WHERE, 3, {{2, {9, 70}, false, false, true}, {2, {9, 70}}, {1, {70}}}, {.f = {0}}, false},
    {LTH_OP_LT, 2, {{2, {9, 70}}, {2, {9, 1}}}, {.f = {0}}, true}, {LTH_OP_EQ, 2, {{2, {9, 3}}, {1, {3}}}, {.f = {0}}, true},
    ONE(NEG), ONE(EXP), ONE(TANH), ONE(SIGMOID), ONE(RELU), ONE(ABS), ONE(GELU), ONE(GELU, .i = {1}), ONE(ADD_SCALAR, .f = {0.7}), ONE(MUL_SCALAR, .f = {-1.3}),
    ONE(CLAMP, .f = {-0.4, 0.6}), ONE(SIN), ONE(COS), ONE(ERF), ONE(SQUARE), ONE(LEAKY_RELU, .f = {0.1}), ONE(ELU, .f = {1.2}), ONE(SILU),
    ONE(SOFTPLUS, .f = {1, 20}), ONE(HARDSWISH), ONE(COPY), ONE(DROPOUT, .f = {0.3}), POS(LOG), POS(SQRT), POS(RSQRT), POS(RECIPROCAL),
    POS(POW_SCALAR, .f = {1.7}), TURN(EXP), TURN(COPY), TURN(RELU),
    TWO(MATMUL, {3, {4, 9, 20}}, {3, {1, 20, 17}}), TWO(MATMUL, {2, {9, 20}}, {3, {4, 20, 17}}), TWO(MATMUL, {4, {3, 1, 7, 20}}, {3, {2, 20, 5}}),
    TWO(MATMUL, {4, {3, 2, 7, 20}, true}, {4, {1, 2, 7, 5}}), TWO(MATMUL, {3, {1, 33, 64}}, {4, {2, 5, 64, 1}}),
    OVER(SUM, .i = {1, 2}), OVER(SUM, .i = {1, 0}), OVER(SUM, .i = {1, 1}), OVER(MEAN, .i = {2, 0, 2}), OVER(SUM), TURN(SUM, .i = {1, 1}),
    OVER(MAX, .i = {1, 1}), OVER(MIN, .i = {1, 2}), OVER(VAR, .i = {1, 2}, .f = {1}), OVER(STD, .i = {2, 0, 2}, .f = {0}), OVER(LOGSUMEXP, .i = {1, 1}),
    OVER(SOFTMAX, .i = {2}), OVER(SOFTMAX, .i = {1}), OVER(LOG_SOFTMAX, .i = {0}), OVER(LOG_SOFTMAX, .i = {2}), OVER(CUMSUM, .i = {1}),
    OVER(CUMSUM, .i = {2}), OVER(MAX_ALONG, .i = {1, 1}), OVER(MIN_ALONG, .i = {1, 2}),
};
enum { CASES = sizeof cases / sizeof *cases };

static uint64_t seed;
static bool odd_values; /* NaN and infinities among the inputs, too */
static double draw(void) { /* (-2, 2), exact in bf16, rarely equal */
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return ((double)(seed >> 33 & 255) - 127.5) / 64;
}
static lt_tensor *make(const input *in, lt_dtype dtype) {
    int64_t n = 1;
    for (int d = 0; d < in->ndim; d++) {
        n *= in->shape[d];
    }
    lt_tensor *x = lth_tensor_new(ctx.engine, in->boolean ? LT_BOOL : dtype, in->ndim, in->shape, &ctx.error);
    assert_non_null(x);
    for (int64_t i = 0; i < n; i++) {
        static const double odd[] = {NAN, INFINITY, -INFINITY, 0, -0.0, 1, -1};
        const double drawn = draw();
        const uint64_t pick = seed >> 20 & 15;
        const double v = odd_values && pick < sizeof odd / sizeof *odd ? odd[pick] : drawn;
        lth_element_set(x->a.dtype, x->a.data, i, in->boolean ? v > 0 : in->positive ? fabs(v) + 0.25 : v);
    }
    if (!in->boolean) {
        x->requires_grad = 1;
    }
    return x;
}
typedef struct outcome { int64_t n[4]; double *v[4]; } outcome;
static void keep(outcome *o, int k, lt_tensor *x) {
    if (!x) {
        fail_msg("%s: nothing at %d: %s", where, k, ctx.error.text);
    }
    o->n[k] = lth_numel(x);
    o->v[k] = calloc((size_t)o->n[k] + 1, sizeof(double));
    assert_int_equal(lth_tensor_read(x, 0, o->n[k], o->v[k], &ctx.error), LT_OK);
}
static void drop(outcome *o) {
    for (int k = 0; k < 4; k++) {
        free(o->v[k]);
    }
}
/* Output and gradients, the arriving one being made of small numbers. */
static outcome run(const arith *c, lt_dtype dtype) {
    outcome o = {0};
    lt_tensor *leaf[3], *in[3], *out[LTH_MAX_OUT];
    seed = 7;
    lth_generator_seed(&ctx.engine->generator, 3);
    for (int k = 0; k < c->n; k++) {
        leaf[k] = in[k] = make(&c->in[k], dtype);
        if (c->in[k].turned) {
            in[k] = T->transpose(&ctx, leaf[k], -1, -2);
        }
    }
    if (!lth_apply_all(&ctx, c->op, in, c->n, &c->attrs, NULL, out)) {
        fail_msg("%s: %s", where, ctx.error.text);
    }
    keep(&o, 0, out[0]);
    if (!c->no_grad) {
        input g = {.ndim = out[0]->a.ndim};
        memcpy(g.shape, out[0]->a.shape, sizeof g.shape);
        const bool odd = odd_values;
        odd_values = false;
        lt_tensor *up = make(&g, dtype);
        odd_values = odd;
        up->requires_grad = 0;
        if (lth_backward(&ctx, out[0], up, 1) != LT_OK) {
            fail_msg("%s: %s", where, ctx.error.text);
        }
        for (int k = 0; k < c->n; k++) {
            if (leaf[k]->requires_grad) {
                keep(&o, 1 + k, leaf[k]->grad);
            }
        }
    }
    lth_step_end(ctx.engine);
    return o;
}
static double bound_of(lt_dtype dtype) { return dtype == LT_F64 ? 1e-12 : dtype == LT_F32 ? 4e-6 : dtype == LT_F16 ? 2.5e-3 : 2e-2; }
static void compare(const outcome *got, const outcome *want, double bound) {
    for (int k = 0; k < 4; k++) {
        double top = 0;
        assert_int_equal(got->n[k], want->n[k]);
        for (int64_t i = 0; i < want->n[k]; i++) {
            top = isfinite(want->v[k][i]) ? fmax(top, fabs(want->v[k][i])) : top;
        }
        for (int64_t i = 0; i < want->n[k]; i++) {
            const bool same = got->v[k][i] == want->v[k][i] || (isnan(got->v[k][i]) && isnan(want->v[k][i]));
            if (!same && !(fabs(got->v[k][i] - want->v[k][i]) <= bound * (fabs(want->v[k][i]) + 0.1 * top + 0.1))) {
                fail_msg("%s, result %d: element %lld is %.17g, the reference has %.17g", where, k, (long long)i, got->v[k][i], want->v[k][i]);
            }
        }
    }
}

static void dtypes_agree(void **state) {
    const lt_dtype dtype = (lt_dtype)(intptr_t)*state;
    for (int k = 0; k < CASES; k++) {
        assert_true(open_on(&lth_backend_reference, NULL, 1));
        snprintf(where, sizeof where, "case %d, %s of %s on the reference", k, lth_op_name(cases[k].op), lth_dtype_name(dtype));
        outcome want = run(&cases[k], dtype);
        close_it();
        for (int s = 0; s < TEST_N_SETS; s++) {
            outcome first = {0};
            for (int threads = 1; threads <= 3; threads += 2) {
                if (!open_on(&lth_backend_cpu, sets[s], threads)) {
                    continue;
                }
                snprintf(where, sizeof where, "case %d, %s of %s on %s, %d threads", k, lth_op_name(cases[k].op), lth_dtype_name(dtype), sets[s], threads);
                outcome got = run(&cases[k], dtype);
                compare(&got, &want, bound_of(dtype));
                for (int r = 0; threads > 1 && r < 4; r++) {
                    assert_true(!got.n[r] || !memcmp(got.v[r], first.v[r], (size_t)got.n[r] * sizeof(double)));
                }
                close_it();
                if (threads == 1) {
                    first = got;
                } else {
                    drop(&got);
                }
            }
            drop(&first);
        }
        drop(&want);
    }
}

/* What is no number goes the same way through every kernel. */
static void odd_values_agree(void **state) {
    odd_values = true;
    dtypes_agree(state);
    odd_values = false;
}

/* Nothing of this may fall back to the naive loops. (What is turned is copied first, by the engine.) */
static void cpu_takes_them(void **state) {
    (void)state;
    assert_true(open_on(&lth_backend_cpu, NULL, 1));
    for (int k = 0; k < CASES; k++) {
        for (lt_dtype dtype = LT_F64; dtype <= LT_BF16 && !cases[k].in[0].turned; dtype++) {
            if (cases[k].op == LTH_OP_MATMUL && dtype != LT_F32) { /* other kernels, other tables */
                continue;
            }
            lt_tensor *in[3];
            lth_array out[2] = {0};
            lth_call call = {.op = cases[k].op, .n_in = (uint8_t)cases[k].n, .n_out = lth_ops[cases[k].op].n_out, .save = !cases[k].no_grad,
                             .attrs = &cases[k].attrs,
                             .out = {&out[0], &out[1]}};
            for (int i = 0; i < cases[k].n; i++) {
                in[i] = make(&cases[k].in[i], dtype);
                call.in[i] = &in[i]->a;
            }
            assert_int_equal(lth_ops[cases[k].op].shape(&call, &ctx.error), LT_OK);
            lth_array_set_contiguous(&out[0]);
            lth_array_set_contiguous(&out[1]);
            const lth_kernel *kernel = lth_backend_cpu.kernels[cases[k].op];
            if (!kernel || !kernel->plan(ctx.engine->device, &call) || (call.save && !kernel->backward)) {
                fail_msg("case %d, %s of %s: the cpu backend declines it", k, lth_op_name(cases[k].op), lth_dtype_name(dtype));
            }
        }
        lth_step_end(ctx.engine);
    }
    close_it();
}

/* ---- casts ---- */
static void casts_agree(void **state) {
    (void)state;
    const double values[] = {0, -0.0, 1, -1, 0.5, -2.5, 3.999, 255, 65504, 70000, -1e-6, 6e-8, 1e30, INFINITY, NAN, 1.00390625, 1e-40};
    for (lt_dtype from = LT_F64; from <= LT_BOOL; from++) {
        for (lt_dtype to = LT_F64; to <= LT_BOOL; to++) {
            outcome o[TEST_N_SETS + 1] = {0};
            for (int s = 0; s <= TEST_N_SETS; s++) {
                if (!open_on(s ? &lth_backend_cpu : &lth_backend_reference, s ? sets[s - 1] : NULL, 1)) {
                    continue;
                }
                lt_tensor *x = lth_tensor_new(ctx.engine, from, 1, (int64_t[]){sizeof values / sizeof *values}, &ctx.error);
                for (int64_t i = 0; i < lth_numel(x); i++) {
                    const bool tiny = fabs(values[i]) < 1e-37 && values[i] != 0; /* flushed to zero where it is computed in f32 */
                    lth_element_set(from, x->a.data, i, tiny && from != LT_F64 ? 0 : tiny ? 0 : values[i]);
                }
                const lth_attrs attrs = {.i = {to}};
                keep(&o[s], 0, lth_apply(&ctx, LTH_OP_CAST, &x, 1, &attrs, NULL));
                for (int64_t i = 0; s && i < o[s].n[0]; i++) {
                    const double a = o[s].v[0][i], b = o[0].v[0][i];
                    if (!(a == b || (isnan(a) && isnan(b)))) {
                        fail_msg("%s to %s on %s: %g becomes %.17g, the reference has %.17g",
                                 lth_dtype_name(from), lth_dtype_name(to), sets[s - 1], values[i], a, b);
                    }
                }
                lth_step_end(ctx.engine);
                close_it();
            }
            for (int s = 0; s <= TEST_N_SETS; s++) {
                drop(&o[s]);
            }
        }
    }
}

/* ---- in place ---- */
static lt_tensor *vector(double a, double b, double c) { return T->from_data(&ctx, LT_F64, 1, (int64_t[]){3}, (double[]){a, b, c}); }
static double at(lt_tensor *x, int64_t i) {
    double v = NAN;
    assert_int_equal(lth_tensor_read(x, i, 1, &v, &ctx.error), LT_OK);
    return v;
}
static void expect_failure(lt_status code, const char *words) {
    assert_int_equal(ctx.error.code, code);
    if (!strstr(ctx.error.text, words)) {
        fail_msg("no \"%s\" in: %s", words, ctx.error.text);
    }
    memset(&ctx.error, 0, sizeof ctx.error);
}

static void inplace_values(void **state) {
    (void)state;
    assert_true(open_on(&lth_backend_cpu, NULL, 1));
    lt_tensor *x = vector(1, -2, 3), *y = vector(4, 5, 6);
    const void *memory = x->a.data;
    assert_ptr_equal(T->add_(&ctx, x, y), x);
    assert_true(at(x, 0) == 5 && at(x, 1) == 3 && at(x, 2) == 9);
    T->mul_scalar_(&ctx, T->sub_(&ctx, x, y), 2);
    assert_true(at(x, 0) == 2 && at(x, 1) == -4 && at(x, 2) == 6);
    T->relu_(&ctx, x);
    T->clamp_(&ctx, x, -INFINITY, 3);
    T->add_scalar_(&ctx, x, 1);
    assert_true(at(x, 0) == 3 && at(x, 1) == 1 && at(x, 2) == 4);
    T->div_(&ctx, T->mul_(&ctx, x, y), y);
    assert_true(at(x, 0) == 3 && at(x, 1) == 1 && at(x, 2) == 4);
    T->copy_(&ctx, x, T->full(&ctx, LT_F32, 0, NULL, 7));
    assert_true(at(x, 0) == 7 && at(x, 2) == 7);
    T->fill_(&ctx, x, -1);
    assert_true(at(x, 1) == -1 && x->a.data == memory && ctx.error.code == LT_OK);
    assert_true(lth_root(x)->version > 0);
    lt_tensor *part = T->slice(&ctx, y, 0, 1, 3); /* a view: its base changes */
    T->fill_(&ctx, part, 0);
    assert_true(at(y, 0) == 4 && at(y, 1) == 0 && at(y, 2) == 0);
    assert_null(T->add_(&ctx, x, T->full(&ctx, LT_F64, 2, (int64_t[]){2, 3}, 1)));
    expect_failure(LT_ESHAPE, "does not fit x");
    assert_null(T->add_(&ctx, x, T->full(&ctx, LT_F32, 0, NULL, 1)));
    expect_failure(LT_EDTYPE, "add");
    lth_step_end(ctx.engine);
    close_it();
}

static void inplace_gradients(void **state) {
    (void)state;
    assert_true(open_on(&lth_backend_cpu, NULL, 1));
    lt_tensor *w = A->set_requires_grad(&ctx, vector(1, -2, 3), true), *y = T->mul_scalar(&ctx, w, 2);
    lt_tensor *before = T->mul_scalar(&ctx, y, 10);                     /* of y as it was */
    T->add_(&ctx, y, w);                                                /* y = 3 w */
    T->mul_scalar_(&ctx, y, 5);                                         /* 15 w */
    T->relu_(&ctx, y);
    lt_tensor *loss = T->sum(&ctx, T->add(&ctx, y, before), NULL, 0, false);
    assert_int_equal(A->backward(&ctx, loss, NULL), LT_OK);
    assert_true(at(A->grad(&ctx, w), 0) == 35 && at(A->grad(&ctx, w), 1) == 20 && at(A->grad(&ctx, w), 2) == 35);
    lth_step_end(ctx.engine);

    lt_tensor *v = A->set_requires_grad(&ctx, vector(1, 2, 3), true), *s = T->mul_scalar(&ctx, vector(0, 0, 0), 1);
    T->copy_(&ctx, s, T->mul(&ctx, v, v)); /* a tensor without gradient takes part from here on */
    assert_int_equal(A->backward(&ctx, T->sum(&ctx, s, NULL, 0, false), NULL), LT_OK);
    assert_true(at(A->grad(&ctx, v), 2) == 6);
    lth_step_end(ctx.engine);
    close_it();
}

/* lt_cat of many items is several nodes that fill parts of one output: an in-place change must reach all of them. And results in a blocked
 * layout (a convolution's) may be the other operand, with a graph and without. */
static void inplace_on_parts_and_blocks(void **state) {
    (void)state;
    assert_true(open_on(&lth_backend_cpu, NULL, 1));
    enum { ITEMS = 19 };
    lt_tensor *w = A->set_requires_grad(&ctx, vector(1, -2, 3), true), *items[ITEMS];
    for (int i = 0; i < ITEMS; i++) {
        items[i] = T->mul_scalar(&ctx, w, i + 1);
    }
    lt_tensor *all = T->cat(&ctx, items, ITEMS, 0);
    T->relu_(&ctx, T->mul_scalar_(&ctx, all, 2));
    assert_int_equal(A->backward(&ctx, T->sum(&ctx, all, NULL, 0, false), NULL), LT_OK);
    lt_tensor *g = A->grad(&ctx, w);
    assert_true(at(g, 0) == ITEMS * (ITEMS + 1) && at(g, 1) == 0 && at(g, 2) == ITEMS * (ITEMS + 1));
    lth_step_end(ctx.engine);

    for (int record = 0; record < 2; record++) {
        ctx.engine->grad_enabled = record;
        lt_tensor *x = T->full(&ctx, LT_F32, 4, (int64_t[]){8, 32, 6, 6}, 1), *k = T->full(&ctx, LT_F32, 4, (int64_t[]){32, 32, 3, 3}, 0.5);
        A->set_requires_grad(&ctx, k, record);
        lt_tensor *in[2] = {x, k};
        const lth_attrs attrs = {.i = {1, 1, 1, 1, 1, 1, 1}};
        lt_tensor *y = lth_apply(&ctx, LTH_OP_CONV2D, in, 2, &attrs, NULL), *sum = T->full(&ctx, LT_F32, 4, (int64_t[]){8, 32, 6, 6}, 3);
        assert_true(y->a.layout != LTH_STRIDED);
        T->add_(&ctx, sum, y);
        T->add_(&ctx, y, sum);
        T->relu_(&ctx, y);
        T->copy_(&ctx, sum, T->add_(&ctx, y, sum));
        lt_tensor *corner = T->reshape(&ctx, sum, 1, (int64_t[]){8 * 32 * 36});
        if (ctx.error.code) {
            fail_msg("%s", ctx.error.text);
        }
        assert_true(at(corner, 0) == 2 * (3 + 64) + 64); /* y: 4 taps of 32 halves; sum: 3 + y; y: 2 y + 3; y + sum */
        lth_step_end(ctx.engine);
    }
    close_it();
}

static void inplace_refusals(void **state) {
    (void)state;
    assert_true(open_on(&lth_backend_cpu, NULL, 1));
    lt_tensor *w = A->set_requires_grad(&ctx, vector(1, 2, 3), true), *one = vector(1, 1, 1);
    assert_null(T->add_(&ctx, w, one));
    expect_failure(LT_ESTATE, "leaf");
    bool before;
    A->set_grad_enabled(&ctx, false, &before);
    assert_ptr_equal(T->add_(&ctx, w, one), w);
    A->set_grad_enabled(&ctx, before, NULL);
    assert_true(at(w, 0) == 2);
    A->set_inference(&ctx, true, &before);
    assert_false(before);
    assert_false(T->mul(&ctx, w, w)->requires_grad);
    A->set_inference(&ctx, before, NULL);

    lt_tensor *e = T->exp(&ctx, w); /* backward needs the result */
    T->add_scalar_(&ctx, e, 1);
    assert_true(A->backward(&ctx, T->sum(&ctx, e, NULL, 0, false), NULL) < 0);
    expect_failure(LT_ESTATE, "backward of exp: its output 0");
    lt_tensor *a = T->mul_scalar(&ctx, w, 1), *p = T->mul(&ctx, a, w); /* a is w's slope */
    T->add_scalar_(&ctx, a, 1);
    assert_true(A->backward(&ctx, T->sum(&ctx, p, NULL, 0, false), NULL) < 0);
    expect_failure(LT_ESTATE, "backward of mul: its input 0");

    lt_tensor *h = T->mul_scalar(&ctx, w, 1), *view = T->slice(&ctx, h, 0, 0, 2);
    assert_null(T->relu_(&ctx, view));
    expect_failure(LT_ESTATE, "view");
    T->mul_scalar_(&ctx, h, 3);
    assert_null(T->exp(&ctx, view));
    expect_failure(LT_ESTATE, "changed in place after the view was made");
    assert_non_null(T->exp(&ctx, T->slice(&ctx, h, 0, 0, 2)));
    lth_step_end(ctx.engine);
    close_it();
}

/* One matrix for all of a batch, by lt_expand, on either side. */
static void expanded_products(void **state) {
    (void)state;
    assert_true(open_on(&lth_backend_cpu, NULL, 1));
    for (lt_dtype dtype = LT_F64; dtype <= LT_BF16; dtype++) {
        for (int side = 0; side < 4; side++) { /* which of the two is one */
            enum { B = 3, M = 7, K = 16, N = 5 };
            lt_tensor *x = T->full(&ctx, dtype, 3, (int64_t[]){side & 1 ? 1 : B, M, K}, 1);
            lt_tensor *y = T->full(&ctx, dtype, 3, (int64_t[]){side & 2 ? 1 : B, K, N}, 2);
            A->set_requires_grad(&ctx, x, true);
            A->set_requires_grad(&ctx, y, true);
            lt_tensor *z = T->matmul(&ctx, T->expand(&ctx, x, 3, (int64_t[]){B, M, K}), T->expand(&ctx, y, 3, (int64_t[]){B, K, N}));
            if (!z || A->backward(&ctx, T->sum(&ctx, z, NULL, 0, false), NULL) != LT_OK) {
                fail_msg("%s, side %d: %s", lth_dtype_name(dtype), side, ctx.error.text);
            }
            assert_true(at(z, 0) == 2 * K && at(z, B * M * N - 1) == 2 * K);
            assert_true(at(A->grad(&ctx, x), 0) == 2 * N * (side & 1 ? B : 1) && at(A->grad(&ctx, y), 0) == M * (side & 2 ? B : 1));
            lth_step_end(ctx.engine);
        }
    }
    close_it();
}

/* An operand of one column, seen through a step: its gradient lies otherwise than itself. */
static void thin_products(void **state) {
    (void)state;
    assert_true(open_on(&lth_backend_cpu, NULL, 1));
    for (lt_dtype dtype = LT_F64; dtype <= LT_F32; dtype++) {
        lt_tensor *x = A->set_requires_grad(&ctx, T->full(&ctx, dtype, 3, (int64_t[]){2, 16, 2}, 3), true);
        lt_tensor *y = T->full(&ctx, dtype, 2, (int64_t[]){1, 16}, 2), *z = T->matmul(&ctx, T->slice_step(&ctx, x, 2, 0, INT64_MAX, 2), y);
        if (!z || A->backward(&ctx, T->sum(&ctx, z, NULL, 0, false), NULL) != LT_OK) {
            fail_msg("%s: %s", lth_dtype_name(dtype), ctx.error.text);
        }
        assert_true(at(z, 511) == 6 && at(A->grad(&ctx, x), 0) == 32 && at(A->grad(&ctx, x), 1) == 0);
        lth_step_end(ctx.engine);
    }
    close_it();
}

/* ---- finite differences ---- */
static lt_tensor *weighted_sum(lt_ctx *c, lt_tensor *const *in, int n, void *arg) {
    const arith *k = arg;
    lt_tensor *given[3] = {in[0], n > 1 ? in[1] : NULL, n > 2 ? in[2] : NULL};
    if (k->in[0].turned) {
        given[0] = T->transpose(c, given[0], -1, -2);
    }
    lt_tensor *y = lth_apply(c, k->op, given, k->n, &k->attrs, NULL);
    lt_tensor *wave = y ? T->sin(c, T->mul_scalar(c, y, 0.7)) : NULL; /* so that each element's gradient differs */
    return T->sum(c, wave, NULL, 0, false);
}
static void finite_differences(void **state) {
    (void)state;
    for (int k = 0; k < CASES; k++) {
        arith c = cases[k];
        const bool kinks = c.op == LTH_OP_MAX || c.op == LTH_OP_MIN || c.op == LTH_OP_MAX_ALONG || c.op == LTH_OP_MIN_ALONG || c.op == LTH_OP_DROPOUT ||
                           c.op == LTH_OP_MAXIMUM || c.op == LTH_OP_MINIMUM; /* values here often are equal; dropout draws anew */
        if (c.no_grad || kinks) {
            continue;
        }
        for (int i = 0; i < c.n; i++) { /* small */
            for (int d = 0; d < c.in[i].ndim; d++) {
                c.in[i].shape[d] = c.in[i].shape[d] > 40 ? 6 : c.in[i].shape[d] > 30 ? 5 : c.in[i].shape[d];
            }
        }
        assert_true(open_on(&lth_backend_cpu, NULL, 1));
        lt_tensor *in[3] = {0};
        seed = (uint64_t)k;
        for (int i = 0; i < c.n; i++) {
            in[i] = make(&c.in[i], LT_F64);
        }
        const double off = lth_gradcheck(&ctx, weighted_sum, in, c.n, &c, 1e-6);
        if (!(off < 1e-6)) {
            fail_msg("case %d, %s: gradients differ from finite differences by %g %s", k, lth_op_name(c.op), off, ctx.error.text);
        }
        lth_step_end(ctx.engine);
        close_it();
    }
}

/* ---- bad input: every row of ops.def with the wrong count, NULL, wrong dtypes and shapes ---- */
static void every_row_refuses(void **state) {
    (void)state;
    assert_true(open_on(&lth_backend_cpu, NULL, 1));
    int refused = 0;
    for (int op = 0; op < LTH_OP_COUNT; op++) {
        const lth_op_info *info = &lth_ops[op];
        const int64_t odd[4] = {2, 3, 5, 7};
        lt_tensor *in[LTH_MAX_IN + 1], *out[LTH_MAX_OUT];
        const lth_attrs attrs = {.i = {99, 77, 55, 33}, .f = {NAN, NAN}};
        for (int how = 0; how < 4; how++) {
            const lt_dtype dtype = how == 2 ? LT_BOOL : LT_F32;
            for (int k = 0; k <= LTH_MAX_IN; k++) {
                in[k] = how == 1 ? NULL : T->full(&ctx, k % 2 && how == 2 ? LT_I64 : dtype, how == 3 ? k % 4 + 1 : 4, odd, 1);
            }
            const int n = how == 0 ? info->max_in + 1 : info->min_in;
            if (n == 0 || (how == 0 && info->gradient == LTH_GRAD_VIEW)) { /* views take what they take: one */
                continue;
            }
            const bool good = lth_apply_all(&ctx, (lth_op)op, in, n, &attrs, NULL, out);
            if (!good) {
                if (!strstr(ctx.error.text, info->name)) {
                    fail_msg("%s, way %d: no name in: %s", info->name, how, ctx.error.text);
                }
                refused++;
            }
            if (good && how < 2) {
                fail_msg("%s took %s", info->name, how ? "NULL" : "too many inputs");
            }
            memset(&ctx.error, 0, sizeof ctx.error);
        }
        lth_step_end(ctx.engine);
    }
    assert_true(refused > 2 * LTH_OP_COUNT);
    close_it();
}

#define DTYPE(name, dtype) {"dtypes agree: " name, dtypes_agree, NULL, NULL, (void *)(intptr_t)dtype}, \
    {"odd values agree: " name, odd_values_agree, NULL, NULL, (void *)(intptr_t)dtype}
int main(void) {
    const struct CMUnitTest tests[] = {
        DTYPE("f64", LT_F64), DTYPE("f32", LT_F32), DTYPE("f16", LT_F16), DTYPE("bf16", LT_BF16), cmocka_unit_test(cpu_takes_them),
        cmocka_unit_test(casts_agree), cmocka_unit_test(inplace_values), cmocka_unit_test(inplace_gradients), cmocka_unit_test(inplace_refusals),
        cmocka_unit_test(inplace_on_parts_and_blocks),
        cmocka_unit_test(expanded_products), cmocka_unit_test(thin_products), cmocka_unit_test(finite_differences), cmocka_unit_test(every_row_refuses),
    };
    return cmocka_run_group_tests_name("engine.ops_arith", tests, NULL, NULL);
}
