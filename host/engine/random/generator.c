/* engine/random/generator.c - PyTorch's CPU generator, bit for bit. Verified against torch 2.15 by tests/engine/test_random.c.
 * The engine is mt19937 (Matsumoto, Nishimura 1998). Normals of at least 16 elements follow PyTorch's vector path, whose logarithm,
 * sine and cosine are the single-precision polynomials of the Cephes library with fused multiply-adds: libm would differ in the
 * last bit. No device generators here, and nothing that depends on the number of threads. */
#include "engine/random/generator.h"
#include <math.h>
#include <string.h>

/* ---- words ---- */
enum { WORDS = 624, SHIFT = 397 };

void lth_generator_seed(lth_generator *g, uint64_t seed) {
    memset(g, 0, sizeof *g);
    g->seed = seed;
    g->state[0] = (uint32_t)seed;
    for (uint32_t i = 1; i < WORDS; i++) {
        g->state[i] = 1812433253u * (g->state[i - 1] ^ (g->state[i - 1] >> 30)) + i;
    }
    g->index = WORDS;
}

typedef uint32_t four __attribute__((vector_size(16), aligned(4), may_alias)); /* whatever the machine: every one has such vectors */

/* Word i from itself, its successor and the word SHIFT further on (before its own turn: from the last round). */
static void twist_some(uint32_t *s, int from, int to, int shift) {
    int i = from;
    for (; i + 4 <= to; i += 4) {
        const four mixed = (*(const four *)(s + i) & 0x80000000u) | (*(const four *)(s + i + 1) & 0x7fffffffu);
        *(four *)(s + i) = *(const four *)(s + i + shift) ^ (mixed >> 1) ^ (-(mixed & 1) & 0x9908b0dfu);
    }
    for (; i < to; i++) {
        const uint32_t mixed = (s[i] & 0x80000000u) | (s[(i + 1) % WORDS] & 0x7fffffffu);
        s[i] = s[i + shift] ^ (mixed >> 1) ^ (-(mixed & 1) & 0x9908b0dfu);
    }
}
static void twist(lth_generator *g) {
    twist_some(g->state, 0, WORDS - SHIFT, SHIFT);
    twist_some(g->state, WORDS - SHIFT, WORDS - 1, SHIFT - WORDS);
    twist_some(g->state, WORDS - 1, WORDS, SHIFT - WORDS);
    g->index = 0;
}

uint32_t lth_random32(lth_generator *g) {
    if (g->index >= WORDS) {
        twist(g);
    }
    uint32_t y = g->state[g->index++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ (y >> 18);
}

uint64_t lth_random64(lth_generator *g) {
    uint64_t high = lth_random32(g);
    return high << 32 | lth_random32(g);
}

/* `n` words of the state from `at` on, tempered. */
static void temper(const uint32_t *at, int n, uint32_t *out) {
    int i = 0;
    for (; i + 4 <= n; i += 4) {
        four y = *(const four *)(at + i);
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c5680u;
        y ^= (y << 15) & 0xefc60000u;
        *(four *)(out + i) = y ^ (y >> 18);
    }
    for (; i < n; i++) {
        uint32_t y = at[i];
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c5680u;
        y ^= (y << 15) & 0xefc60000u;
        out[i] = y ^ (y >> 18);
    }
}

void lth_random64_many(lth_generator *g, uint64_t *out, int64_t n) {
    uint32_t words[WORDS];
    while (n > 0) {
        const int pairs = (WORDS - g->index) / 2;
        const int some = pairs < n ? pairs : (int)n;
        if (some == 0) { /* the round is over, or one word is left of it */
            *out++ = lth_random64(g);
            n--;
            continue;
        }
        temper(g->state + g->index, 2 * some, words);
        g->index += 2 * some;
        for (int i = 0; i < some; i++) {
            out[i] = (uint64_t)words[2 * i] << 32 | words[2 * i + 1];
        }
        out += some;
        n -= some;
    }
}

int64_t lth_random_int63(lth_generator *g) { return (int64_t)(lth_random64(g) & INT64_MAX); }

/* ---- uniforms ---- */
static double unit24(lth_generator *g) { return (double)(lth_random32(g) & 0xffffffu) * 0x1p-24; }
static double unit53(lth_generator *g) { return (double)(lth_random64(g) & ((1ull << 53) - 1)) * 0x1p-53; }

/* The width is a float, product and sum are doubles. */
void lth_uniform_f32(lth_generator *g, float *out, int64_t n, double low, double high) {
    float from = (float)low, width = (float)high - from;
    for (int64_t i = 0; i < n; i++) {
        out[i] = (float)(unit24(g) * width + from);
    }
}

void lth_uniform_f64(lth_generator *g, double *out, int64_t n, double low, double high) {
    for (int64_t i = 0; i < n; i++) {
        out[i] = unit53(g) * (high - low) + low;
    }
}

/* ---- normals, few: Box-Muller in double, the second of a pair kept for the next call ---- */
static double normal_one(lth_generator *g) {
    if (g->has_normal) {
        g->has_normal = 0;
        return g->next_normal;
    }
    double angle = unit53(g), other = unit53(g), radius = sqrt(-2.0 * log1p(-other));
    angle *= 2.0 * M_PI;
    g->next_normal = radius * sin(angle);
    g->has_normal = 1;
    return radius * cos(angle);
}

/* ---- normals, many: blocks of 16 ---- */
#define INLINE static inline __attribute__((always_inline))

INLINE uint32_t bits_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

INLINE float float_of(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* c[0] x^(n-1) + ... + c[n-1] */
INLINE float horner(const float *c, int n, float x) {
    float y = c[0];
    for (int i = 1; i < n; i++) {
        y = fmaf(y, x, c[i]);
    }
    return y;
}

/* ln x for normal x in (0, 1]: x = m 2^e with m in [sqrt(1/2), sqrt(2)), then a polynomial in m - 1. */
INLINE float cephes_log(float x) {
    static const float c[] = {7.0376836292e-2f, -1.1514610310e-1f, 1.1676998740e-1f, -1.2420140846e-1f, 1.4249322787e-1f,
                              -1.6668057665e-1f, 2.0000714765e-1f, -2.4999993993e-1f, 3.3333331174e-1f};
    uint32_t bits = bits_of(x);
    float e = (float)((int32_t)(bits >> 23) - 126), m = float_of((bits & 0x007fffffu) | 0x3f000000u); /* m in [1/2, 1) */
    if (m < 0.707106781186547524f) {
        e -= 1;
        m = (m - 1) + m;
    } else {
        m = m - 1;
    }
    float square = m * m, y = horner(c, 9, m) * m;
    y = fmaf(y, square, e * -2.12194440e-4f); /* ln 2 in two parts: 0.693359375 and this */
    y = y - square * 0.5f;
    return fmaf(e, 0.693359375f, m + y);
}

/* sin x and cos x for x in [0, 2 pi): octant, distance to its multiple of pi/4 in three parts, then both polynomials. */
INLINE void cephes_sincos(float x, float *sine, float *cosine) {
    static const float cos_c[] = {2.443315711809948e-5f, -1.388731625493765e-3f, 4.166664568298827e-2f};
    static const float sin_c[] = {-1.9515295891e-4f, 8.3321608736e-3f, -1.6666654611e-1f};
    int32_t octant = ((int32_t)(x * 1.27323954473516f) + 1) & ~1;
    float y = (float)octant;
    x = fmaf(y, -0.78515625f, x);
    x = fmaf(y, -2.4187564849853515625e-4f, x);
    x = fmaf(y, -3.77489497744594108e-8f, x);
    float square = x * x;
    float c = fmaf(horner(cos_c, 3, square) * square, square, -(square * 0.5f)) + 1;
    float s = fmaf(horner(sin_c, 3, square) * square, x, x);
    bool swapped = octant & 2;
    *sine = (swapped ? c : s) * (octant & 4 ? -1.0f : 1.0f);
    *cosine = (swapped ? s : c) * ((octant - 2) & 4 ? 1.0f : -1.0f);
}

/* 16 uniforms into 16 normals: the first 8 give radii, the others angles. */
INLINE void normal_block(float *x, float mean, float std) {
    for (int j = 0; j < 8; j++) {
        float radius = sqrtf(-2.0f * cephes_log(1.0f - x[j])), sine, cosine;
        cephes_sincos(6.283185307179586f * x[j + 8], &sine, &cosine);
        x[j] = fmaf(radius * cosine, std, mean);
        x[j + 8] = fmaf(radius * sine, std, mean);
    }
}

INLINE void normal_blocks(float *x, int64_t n, float mean, float std) {
    for (int64_t i = 0; i + 16 <= n; i += 16) {
        normal_block(x + i, mean, std);
    }
}
/* The same bits twice: without the instruction, every fmaf is a call into the C library. */
static void blocks_plain(float *x, int64_t n, float mean, float std) { normal_blocks(x, n, mean, std); }
#if defined(__x86_64__)
static __attribute__((target("avx2,fma"))) void blocks_fma(float *x, int64_t n, float mean, float std) { normal_blocks(x, n, mean, std); }
static bool has_fma(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
#else
#define blocks_fma blocks_plain
static bool has_fma(void) { return false; }
#endif

static void uniform_block(lth_generator *g, float *out, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        out[i] = (float)unit24(g);
    }
}

void lth_normal_f32(lth_generator *g, float *out, int64_t n, double mean, double std) {
    if (n < 16) {
        for (int64_t i = 0; i < n; i++) {
            out[i] = (float)(normal_one(g) * std + mean);
        }
        return;
    }
    void (*const blocks)(float *, int64_t, float, float) = has_fma() ? blocks_fma : blocks_plain;
    uniform_block(g, out, n);
    blocks(out, n, (float)mean, (float)std);
    if (n % 16) { /* the last 16 are drawn again */
        uniform_block(g, out + n - 16, 16);
        blocks(out + n - 16, 16, (float)mean, (float)std);
    }
}

/* The same in double: torch's plain loop, with the C library's functions. */
static void normal_block_f64(double *x, double mean, double std) {
    for (int j = 0; j < 8; j++) {
        double radius = sqrt(-2.0 * log(1.0 - x[j])), angle = 2.0 * M_PI * x[j + 8];
        x[j] = radius * cos(angle) * std + mean;
        x[j + 8] = radius * sin(angle) * std + mean;
    }
}

void lth_normal_f64(lth_generator *g, double *out, int64_t n, double mean, double std) {
    if (n < 16) {
        for (int64_t i = 0; i < n; i++) {
            out[i] = normal_one(g) * std + mean;
        }
        return;
    }
    lth_uniform_f64(g, out, n, 0, 1);
    for (int64_t i = 0; i + 16 <= n; i += 16) {
        normal_block_f64(out + i, mean, std);
    }
    if (n % 16) { /* the last 16 are drawn again */
        lth_uniform_f64(g, out + n - 16, 16, 0, 1);
        normal_block_f64(out + n - 16, mean, std);
    }
}

/* ---- permutations ---- */
/* Below this one word per step is fair enough; PyTorch draws two from here on, and shuffles the other way round. */
static const int64_t RANDPERM_WIDE = UINT32_MAX / 20;

static void randperm_wide(lth_generator *g, int64_t *out, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        int64_t z = (int64_t)(lth_random64(g) % (uint64_t)(i + 1));
        out[i] = i;
        out[i] = out[z];
        out[z] = i;
    }
}

void lth_randperm(lth_generator *g, int64_t *out, int64_t n) {
    if (n >= RANDPERM_WIDE) {
        randperm_wide(g, out, n);
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        out[i] = i;
    }
    for (int64_t i = 0; i < n - 1; i++) {
        int64_t z = (int64_t)(lth_random32(g) % (uint64_t)(n - i)), swapped = out[i];
        out[i] = out[i + z];
        out[i + z] = swapped;
    }
}
