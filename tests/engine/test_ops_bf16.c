/* tests/engine/test_ops_bf16.c - bf16 on every instruction set: conversions bit for bit PyTorch's, for all bf16 values and f32 about every tie
 * (tests/golden/low_cast.bin); large products of every orientation, stride, tail and dtype against sums in double, with bias, activation and
 * accumulation, the same bits for one to four threads; MATMUL with batches, broadcast and views, whose sums f32 holds exactly, rounded once; and by
 * which rule a set is chosen. */
#include "../golden/golden.h"
#include "base/threads.h"
#include "engine/autograd/tape.h"
#include "engine/backends/cpu/low.h"
#include "engine/backends/cpu/matmul.h"
#include "engine/backends/cpu/sets.h"
#include "engine/ops/ops.h"
#include "instruction_sets.h"
#include <fenv.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include <cmocka.h>

static const char *const sets[] = {TEST_SETS};
static uint64_t seed = 11;
static uint32_t draw(uint32_t below) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((seed >> 33) % below);
}
static lth_device *open_set(const char *set, int threads) { /* NULL: not on this machine */
    lth_device *d = NULL;
    lth_error err = {0};
    if (lth_backend_cpu.open(&d, &(lth_device_opts){.threads = threads, .isa = set}, &err) < 0) {
        assert_int_equal(err.code, LT_EUNSUPPORTED);
        print_message("%s\n", err.text);
    }
    return d;
}

/* ---- conversions ---- */
enum { ALL = 65536 };
static bool is_nan(uint32_t bits) { return (bits & 0x7fffffff) > 0x7f800000; }
static uint16_t rounded(uint32_t bits) { /* the nearer neighbour, of two the even one */
    const uint32_t down = bits >> 16, rest = bits & 0xffff;
    return (uint16_t)(down + (rest > 0x8000 || (rest == 0x8000 && down % 2)));
}
static void widen_and_back(const lth_cpu_isa *isa, const char *set) {
    static uint16_t low[ALL], back[ALL];
    static float wide[ALL];
    for (uint32_t i = 0; i < ALL; i++) {
        low[i] = (uint16_t)i;
    }
    isa->widen(LT_BF16, ALL, low, wide);
    isa->narrow(LT_BF16, ALL, wide, back);
    for (uint32_t i = 0; i < ALL; i++) {
        uint32_t bits;
        memcpy(&bits, &wide[i], 4);
        if (bits != i << 16 || back[i] != (is_nan(bits) ? (i | 0x40) : i)) { /* a NaN becomes a quiet one */
            fail_msg("%s: bf16 %04x becomes f32 %08x and %04x again", set, i, bits, back[i]);
        }
    }
}
static void narrow_all(const lth_cpu_isa *isa, const char *set, const gold_file *g) {
    static uint32_t bits[ALL];
    static uint16_t low[ALL];
    const gold_record *lower = gold_find(g, "lower");
    uint64_t digest = 0xcbf29ce484222325u;
    for (int64_t k = 0; k < lower->numel; k++) {
        for (uint32_t i = 0; i < ALL; i++) {
            bits[i] = i << 16 | (uint32_t)((const int64_t *)lower->data)[k];
        }
        isa->narrow(LT_BF16, ALL, (const float *)(const void *)bits, low);
        for (uint32_t i = 0; i < ALL; i++) {
            if (is_nan(bits[i]) ? !is_nan((uint32_t)low[i] << 16) : low[i] != rounded(bits[i])) {
                fail_msg("%s: f32 %08x becomes bf16 %04x, not %04x", set, bits[i], low[i], rounded(bits[i]));
            }
            const uint16_t one = is_nan(bits[i]) ? 0x7fc0 : low[i];
            digest = (digest ^ (one & 255)) * 0x100000001b3u;
            digest = (digest ^ (one >> 8)) * 0x100000001b3u;
        }
    }
    assert_true((int64_t)digest == *(const int64_t *)gold_data(gold_find(g, "bits.fnv"), GOLD_I64));
}
/* Every length up to three vectors at every offset: what is beside stays as it was; values of every kind in one block. */
static void narrow_tails(const lth_cpu_isa *isa, const char *set) {
    static const uint32_t kinds[] = {0x3f808000, 0x00000001, 0x80400000, 0x7fc12345, 0xff800001, 0x7f7fffff, 0x00008000, 0x3f818000, 0, 0x80000000, 0xff800000};
    uint32_t bits[64];
    uint16_t low[80];
    for (int n = 0; n <= 48; n++) {
        for (int at = 0; at < 8; at++) {
            for (int i = 0; i < n; i++) {
                bits[i + at] = kinds[draw(sizeof kinds / sizeof *kinds)];
            }
            memset(low, 0xab, sizeof low);
            isa->narrow(LT_BF16, n, (const float *)(const void *)(bits + at), low + at);
            for (int i = 0; i < 80; i++) {
                const bool inside = i >= at && i < at + n;
                const uint16_t want = !inside ? 0xabab : is_nan(bits[i]) ? (uint16_t)(bits[i] >> 16 | 0x40) : rounded(bits[i]);
                if (low[i] != want) {
                    fail_msg("%s: %d values from %d on: number %d is %04x, not %04x", set, n, at, i, low[i], want);
                }
            }
        }
    }
}
static void conversions(void **state) {
    gold_file g;
    int ran = 0;
    (void)state;
    if (gold_open(&g, TEST_DATA_DIR "/golden/low_cast.bin")) {
        fail_msg("%s", g.error);
    }
    for (int k = 0; k < TEST_N_SETS; k++) {
        lth_device *d = open_set(sets[k], 1);
        for (int flush = 0; d && flush < 2; flush++, ran++) { /* casts are of bits: denormals stay even where arithmetic flushes them */
            if (flush) {
                lth_flush_denormals();
            } else {
                fesetenv(FE_DFL_ENV);
            }
            widen_and_back(&d->isa, sets[k]);
            narrow_all(&d->isa, sets[k], &g);
            narrow_tails(&d->isa, sets[k]);
        }
        lth_backend_cpu.close(d);
    }
    assert_true(ran > 0);
    gold_close(&g);
}

/* ---- large products ---- */
typedef struct product {
    lth_large g;
    int64_t n_a, n_b, n_c;
    double *a, *b, *bias, *c, *want, *bound, *z, *z_bound;
    bool has_z;
} product;

static double value(void) { return draw(8) ? ((double)draw(255) - 127) / 128 : 0; } /* exact in bf16 */
static double *values(int64_t n) {
    double *v = malloc((size_t)n * sizeof *v + 8);
    assert_non_null(v);
    for (int64_t i = 0; i < n; i++) {
        v[i] = value();
    }
    return v;
}
static void *stored(bool low, const double *v, int64_t n) { /* exactly n: a sanitizer sees reads beyond */
    float *wide = malloc((size_t)n * sizeof *wide);
    assert_non_null(wide);
    for (int64_t i = 0; i < n; i++) {
        wide[i] = (float)v[i];
    }
    if (low) {
        uint16_t *half = malloc((size_t)n * sizeof *half);
        assert_non_null(half);
        lth_f32_to_low(n, wide, half);
        free(wide);
        return half;
    }
    return wide;
}
static double activated(int act, double x) {
    switch (act) {
    case LT_ACT_RELU: return x > 0 || isnan(x) ? x : 0;
    case LT_ACT_TANH: return tanh(x);
    case LT_ACT_SIGMOID: return 1 / (1 + exp(-x));
    case LT_ACT_GELU: return 0.5 * x * (1 + erf(x * 0.70710678118654752));
    case LT_ACT_GELU_TANH: return 0.5 * x * (1 + tanh(0.79788456080286536 * (x + 0.044715 * x * x * x)));
    default: return x;
    }
}
/* What is to come out, and how far off it may be: K roundings of f32, one of bf16; activations stretch an error by 1.13 at most. */
static void expect(product *p) {
    const lth_large *g = &p->g;
    for (int64_t i = 0; i < g->M; i++) {
        for (int64_t j = 0; j < g->N; j++) {
            const int64_t at = i * g->c_row + j;
            double sum = (p->bias ? p->bias[j] : 0) + (g->add ? p->c[at] : 0), size = fabs(sum);
            for (int64_t k = 0; k < g->K; k++) {
                const double one = p->a[i * g->a_row + k * g->a_col] * p->b[k * g->b_row + j * g->b_col];
                sum += one;
                size += fabs(one);
            }
            const double round = g->c_low ? 0x1p-8 : 0x1p-22, off = (double)(g->K + 4) * 0x1p-23 * size + round * fabs(sum);
            p->z[at] = sum;
            p->z_bound[at] = off;
            p->want[at] = activated(g->act, sum);
            p->bound[at] = 1.2 * off + round * fabs(p->want[at]) + 1e-6;
        }
    }
}
static product make(int64_t M, int64_t N, int64_t K) {
    const bool a_turned = draw(2), b_turned = draw(2), bias = draw(3) > 0;
    const int64_t a_pad = draw(3), b_pad = draw(3), c_pad = draw(3);
    product p = {.g = {.M = M, .N = N, .K = K, .a_low = draw(4) > 0, .b_low = draw(4) > 0, .c_low = draw(3) > 0, .bias_low = draw(2), .add = draw(3) == 0}};
    lth_large *g = &p.g;
    g->a_row = a_turned ? 1 : K + a_pad, g->a_col = a_turned ? M + a_pad : 1;
    g->b_row = b_turned ? 1 : N + b_pad, g->b_col = b_turned ? K + b_pad : 1;
    g->c_row = N + c_pad;
    g->act = g->add ? 0 : (int)draw(LT_ACT_GELU_TANH + 1);
    p.has_z = g->act != LT_ACT_NONE && draw(2);
    p.n_a = (M - 1) * g->a_row + (K - 1) * g->a_col + 1, p.n_b = (K - 1) * g->b_row + (N - 1) * g->b_col + 1, p.n_c = (M - 1) * g->c_row + N;
    p.a = values(p.n_a), p.b = values(p.n_b), p.c = values(p.n_c);
    p.bias = bias && !g->add ? values(N) : NULL;
    if (draw(6) == 0) { /* what is not finite must stay in its row */
        p.a[draw((uint32_t)M) * g->a_row + draw((uint32_t)K) * g->a_col] = draw(2) ? INFINITY : NAN;
    }
    p.want = values(p.n_c), p.bound = values(p.n_c), p.z = values(p.n_c), p.z_bound = values(p.n_c);
    expect(&p);
    return p;
}
static void drop(product *p) {
    double *all[] = {p->a, p->b, p->bias, p->c, p->want, p->bound, p->z, p->z_bound};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        free(all[i]);
    }
}
static char where[160];
static void compare(const product *p, const void *got, const double *want, const double *bound, const char *what) {
    const lth_large *g = &p->g;
    for (int64_t at = 0; at < p->n_c; at++) {
        const double x = g->c_low ? (double)lth_f32_of_bf16(((const uint16_t *)got)[at]) : (double)((const float *)got)[at];
        const int64_t column = at % g->c_row;
        const bool gap = column >= g->N, same = gap ? x == p->c[at] : isfinite(want[at]) ? fabs(x - want[at]) <= bound[at] : !isfinite(x);
        if (!same) {
            fail_msg("%s: %s (%lld, %lld) is %.9g, wanted %.9g within %.2g", where, what, (long long)(at / g->c_row), (long long)column, x,
                     gap ? p->c[at] : want[at], bound[at]);
        }
    }
}
/* One product on one set: right, and the same bits for every number of threads. */
static void check(lth_device *const *d, const char *set, const product *p) {
    lth_large g = p->g;
    lth_error err = {0};
    const size_t bytes = (size_t)p->n_c * (g.c_low ? 2 : 4);
    void *a = stored(g.a_low, p->a, p->n_a), *b = stored(g.b_low, p->b, p->n_b), *bias = p->bias ? stored(g.bias_low, p->bias, g.N) : NULL;
    void *first = NULL;
    g.a = a, g.b = b, g.bias = bias;
    for (int t = 0; t < 4; t++) {
        void *z = p->has_z ? stored(g.c_low, p->c, p->n_c) : NULL;
        g.c = stored(g.c_low, p->c, p->n_c), g.z = z;
        snprintf(where, sizeof where, "%s, %d threads: %lldx%lldx%lld, %s%s %s%s -> %s%s, act %d%s", set, t + 1, (long long)g.M, (long long)g.N, (long long)g.K,
                 g.a_low ? "bf16" : "f32", g.a_col == 1 ? "" : " turned", g.b_low ? "bf16" : "f32", g.b_col == 1 ? "" : " turned", g.c_low ? "bf16" : "f32",
                 g.add ? " added" : "", g.act, g.bias ? ", bias" : "");
        if (d[t]->panel.memory) {
            memset(d[t]->panel.memory, 0xff, d[t]->panel.bytes); /* whatever is read before it is written is a NaN */
        }
        assert_int_equal(lth_cpu_large(d[t], &g, &err), LT_OK);
        if (t == 0) {
            compare(p, g.c, p->want, p->bound, "c");
            if (z) {
                compare(p, z, p->z, p->z_bound, "z");
            }
            first = g.c;
        } else {
            assert_memory_equal(g.c, first, bytes);
            free(g.c);
        }
        free(z);
    }
    free(first);
    free(a), free(b), free(bias);
}
static void products(void **state) {
    static const int64_t sizes[] = {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 48, 49, 65, 95, 97, 130}, depths[] = {191, 192, 193, 383, 384, 385, 386, 769};
    static const int64_t big[][3] = {{300, 200, 401}, {577, 97, 385}, {2048, 96, 64}, {50, 1000, 130}, {289, 48, 777}, {65, 65, 2049}};
    enum { SIZES = sizeof sizes / sizeof *sizes, DEPTHS = sizeof depths / sizeof *depths, BIG = sizeof big / sizeof *big, CASES = 400 };
    lth_device *d[TEST_N_SETS][4] = {{0}};
    (void)state;
    for (int k = 0; k < TEST_N_SETS; k++) {
        for (int t = 0; t < 4 && (t == 0 || d[k][0]); t++) {
            d[k][t] = open_set(sets[k], t + 1);
        }
    }
    assert_non_null(d[TEST_BASELINE][3]);
    for (int i = 0; i < CASES; i++) {
        const int64_t *fixed = i < 4 * BIG ? big[i / 4] : NULL;
        const int64_t K = fixed ? fixed[2] : draw(4) ? sizes[draw(SIZES)] : depths[draw(DEPTHS)];
        product p = make(fixed ? fixed[0] : sizes[draw(SIZES)], fixed ? fixed[1] : sizes[draw(SIZES)], K);
        for (int k = 0; k < TEST_N_SETS; k++) {
            if (d[k][0]) {
                check(d[k], sets[k], &p);
            }
        }
        drop(&p);
    }
    for (int k = 0; k < TEST_N_SETS; k++) {
        for (int t = 0; t < 4; t++) {
            lth_backend_cpu.close(d[k][t]);
        }
    }
    assert_int_equal(lth_alloc_live(), 0);
}

/* ---- matmul ---- */
typedef struct operands { int ndim[2]; int64_t dims[2][4]; } operands;
typedef struct outcome { double *v[3]; int64_t n[3]; } outcome; /* output, gradients */

/* A few eighths: every sum is exact in f32, so that there is one right answer. */
static lt_tensor *eighths(lt_ctx *ctx, lt_dtype dtype, int ndim, const int64_t *dims, uint64_t from) {
    lt_tensor *t = lth_tensor_new(ctx->engine, dtype, ndim, dims, &ctx->error);
    assert_non_null(t);
    seed = from;
    for (int64_t i = 0; i < lth_numel(t); i++) {
        lth_element_set(dtype, t->a.data, i, ((double)draw(33) - 16) / 8);
    }
    return t;
}
static double *read_all(lt_ctx *ctx, lt_tensor *t, int64_t *n) {
    *n = lth_numel(t);
    double *v = malloc((size_t)*n * sizeof *v);
    assert_non_null(v);
    assert_int_equal(lth_tensor_read(t, 0, *n, v, &ctx->error), LT_OK);
    return v;
}
/* lie: bit k says that operand k has dense columns, bit 2 that the first is every second row of a tensor. The gradients of `times` passes. */
static outcome multiply(lt_ctx *ctx, lt_dtype dtype, const operands *o, unsigned lie, int times) {
    lt_tensor *in[2], *whole[2];
    outcome r = {0};
    ctx->engine->grad_enabled = true;
    for (int k = 0; k < 2; k++) {
        const int last = o->ndim[k] - 1;
        int64_t dims[4];
        memcpy(dims, o->dims[k], sizeof dims);
        dims[last - 1] *= k == 0 && lie & 4 ? 2 : 1;
        whole[k] = eighths(ctx, dtype, o->ndim[k], dims, 17 + (uint64_t)k);
        if (lie >> k & 1) {
            whole[k]->a.strides[last] = dims[last - 1];
            whole[k]->a.strides[last - 1] = 1;
        }
        whole[k]->requires_grad = whole[k]->is_leaf = true;
    }
    for (int i = 0; i < times; i++) {
        const int row = o->ndim[0] - 2;
        const lth_attrs every_second = {.i = {row, 0, whole[0]->a.shape[row], 2}};
        in[0] = lie & 4 ? lth_apply(ctx, LTH_OP_SLICE, whole, 1, &every_second, NULL) : whole[0];
        in[1] = whole[1];
        lt_tensor *y = lth_apply(ctx, LTH_OP_MATMUL, in, 2, NULL, NULL);
        if (!y) {
            fail_msg("%s: %s", where, ctx->error.text);
        }
        free(r.v[0]);
        r.v[0] = read_all(ctx, y, &r.n[0]);
        assert_int_equal(lth_backward(ctx, y, eighths(ctx, dtype, y->a.ndim, y->a.shape, 23), 1), LT_OK);
    }
    for (int k = 0; k < 2; k++) {
        r.v[k + 1] = read_all(ctx, whole[k]->grad, &r.n[k + 1]);
    }
    lth_step_end(ctx->engine);
    return r;
}
static double once_rounded(double x) { return (double)lth_f32_of_bf16(lth_bf16_of_f32((float)x)); }
static void exact(const outcome *got, const outcome *want, int times) {
    for (int r = 0; r < 3; r++) {
        assert_int_equal(got->n[r], want->n[r]);
        for (int64_t i = 0; i < got->n[r]; i++) {
            const double x = got->v[r][i], one = once_rounded(want->v[r][i]), second = r > 0 && times == 2 ? one : 0;
            if (x != once_rounded(one + second) && x != once_rounded(want->v[r][i] + second)) { /* a second pass may be rounded before it is added */
                fail_msg("%s: %s[%lld] is %.9g, wanted %.9g", where, r ? "gradient" : "output", (long long)i, x, want->v[r][i] * (r ? times : 1));
            }
        }
    }
}
static void discard(outcome *r) {
    for (int k = 0; k < 3; k++) {
        free(r->v[k]);
    }
}
static bool open_engine(lt_ctx *ctx, const lth_backend *backend, const char *set, int threads) {
    lth_ctx_init(ctx, LTH_TRAINER_THREAD);
    if (lth_engine_open(&ctx->engine, backend, &(lth_engine_opts){.threads = threads, .isa = set}, &ctx->error) < 0) {
        print_message("%s\n", ctx->error.text);
        return false;
    }
    return true;
}
static void matmuls(void **state) {
    /* small ones are left to f32 or, below 32 of anything, always; from 256 rows on no set leaves them */
    static const operands cases[] = {{{2, 2}, {{1, 1}, {1, 1}}}, {{2, 2}, {{5, 18}, {18, 6}}}, {{2, 2}, {{70, 49}, {49, 97}}}, {{2, 2}, {{1, 33}, {33, 1}}},
        {{2, 2}, {{290, 385}, {385, 97}}}, {{3, 2}, {{3, 90, 97}, {97, 145}}}, {{3, 2}, {{4, 33, 35}, {35, 37}}}, {{4, 2}, {{13, 3, 1, 38}, {38, 45}}},
        {{4, 2}, {{13, 20, 1, 99}, {99, 96}}}, {{4, 4}, {{2, 3, 33, 40}, {2, 3, 40, 35}}}, {{4, 4}, {{8, 6, 33, 64}, {8, 6, 64, 33}}},
        {{3, 3}, {{4, 37, 39}, {1, 39, 35}}}, {{4, 3}, {{3, 2, 37, 32}, {2, 32, 35}}}, {{2, 3}, {{37, 39}, {4, 39, 35}}},
        {{4, 4}, {{1, 3, 34, 35}, {2, 1, 35, 36}}}, {{3, 3}, {{2, 200, 300}, {2, 300, 250}}}, {{3, 3}, {{64, 1, 7}, {64, 7, 1}}}};
    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        for (unsigned lie = 0; lie < 5; lie++) {
            lt_ctx ctx;
            assert_true(open_engine(&ctx, &lth_backend_reference, NULL, 1));
            outcome want = multiply(&ctx, LT_F64, &cases[c], lie, 1);
            lth_engine_free(ctx.engine);
            for (int k = 0; k < TEST_N_SETS; k++) {
                outcome first = {0};
                for (int threads = 1; threads < 4 && open_engine(&ctx, &lth_backend_cpu, sets[k], threads); threads++) {
                    snprintf(where, sizeof where, "%s, %d threads, case %d lying %u", sets[k], threads, (int)c, lie);
                    outcome got = multiply(&ctx, LT_BF16, &cases[c], lie, threads == 3 ? 2 : 1);
                    exact(&got, &want, threads == 3 ? 2 : 1);
                    for (int r = 0; r < 3 && threads == 2; r++) {
                        assert_memory_equal(got.v[r], first.v[r], (size_t)got.n[r] * sizeof(double));
                    }
                    lth_engine_free(ctx.engine);
                    if (threads == 1) {
                        first = got;
                    } else {
                        discard(&got);
                    }
                }
                discard(&first);
            }
            discard(&want);
        }
    }
    assert_int_equal(lth_alloc_live(), 0);
}

/* ---- the choice ---- */
static void choice(void **state) {
    static const struct { const char *vendor, *cpu; unsigned signature; bool gains; } known[] = {
        {"AuthenticAMD", "Zen 4", 0x00a60f12, true}, {"AuthenticAMD", "Zen 5", 0x00b40f40, true}, {"AuthenticAMD", "Zen 2", 0x00870f10, false},
        {"GenuineIntel", "Cooper Lake", 0x0005065b, false}, {"GenuineIntel", "Sapphire Rapids", 0x000806f8, false},
        {"HygonGenuine", "Dhyana", 0x00900f11, false}, {"GenuineIntel", "an Intel of family 0x19", 0x00a00f00, false}};
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (lth_cpu_gains_by_bf16(known[i].vendor, known[i].signature) != known[i].gains) {
            fail_msg("%s", known[i].cpu);
        }
    }
#if defined(__x86_64__)
    unsigned top, signature = 0, b = 0, c = 0, d = 0;
    char vendor[12];
    assert_true(__get_cpuid(0, &top, &b, &c, &d));
    memcpy(vendor, &b, 4), memcpy(vendor + 4, &d, 4), memcpy(vendor + 8, &c, 4);
    assert_true(__get_cpuid(1, &signature, &b, &c, &d));
    lth_device *forced = open_set("avx512_bf16", 1), *without = open_set("avx512", 1), *usual = NULL;
    const lth_device_opts none = {.threads = 1};
    lth_error err = {0};
    if (forced) { /* nothing asked for: as the rule says */
        assert_string_equal(forced->isa.name, "AVX512_BF16");
        assert_string_equal(without->isa.name, "AVX-512");
        const char *asked = getenv("LTHOST_ISA");
        if (!asked || !*asked) {
            assert_int_equal(lth_backend_cpu.open(&usual, &none, &err), LT_OK);
            assert_string_equal(usual->isa.name, lth_cpu_gains_by_bf16(vendor, signature) ? "AVX512_BF16" : "AVX-512");
        }
    }
    lth_backend_cpu.close(forced);
    lth_backend_cpu.close(without);
    lth_backend_cpu.close(usual);
#endif
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(conversions), cmocka_unit_test(products), cmocka_unit_test(matmuls), cmocka_unit_test(choice)};
    return cmocka_run_group_tests_name("engine.ops_bf16", tests, NULL, NULL);
}
