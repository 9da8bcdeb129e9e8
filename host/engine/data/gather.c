/* engine/data/gather.c - bytes to normalized floats, row by row, with PyTorch's bits: x.float().div(255), then sub(mean).div(std) in f32.
 * There are only 256 inputs. Divisions are replaced by a multiplication with a corrected remainder, which is as exact as a division for
 * nearly every divisor; all 256 results are compared with true divisions first, and where one differs they are looked up in a table. */
#include "engine/data/parts.h"
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

typedef struct recipe {
    float mean, std, inverse_std;
    bool normalize;
} recipe;
typedef void row_fn(float *dst, const uint8_t *src, int64_t n, const recipe *r, const float *table);

static void look_up(float *dst, const uint8_t *src, int64_t n, const recipe *r, const float *table) {
    (void)r;
    for (int64_t i = 0; i < n; i++) {
        dst[i] = table[src[i]];
    }
}

#if defined(__x86_64__)
/* q = x * (1/d), then one step of correction with the exact remainder: the nearest float to x / d (Markstein). */
#define DEFINE_ROW(NAME, TARGET, V, WIDTH, SET, LOAD, SUB, MUL, FMA, FNMA, STORE)                                                          \
    __attribute__((target(TARGET))) static void NAME(float *dst, const uint8_t *src, int64_t n, const recipe *r, const float *table) {     \
        const V d = SET(255.0f), inverse = SET(1.0f / 255.0f), mean = SET(r->mean), std = SET(r->std), inverse_std = SET(r->inverse_std);  \
        int64_t i = 0;                                                                                                                     \
        for (; i + WIDTH <= n; i += WIDTH) {                                                                                               \
            V x = LOAD(src + i), q = MUL(x, inverse);                                                                                      \
            q = FMA(FNMA(q, d, x), inverse, q);                                                                                            \
            if (r->normalize) {                                                                                                            \
                x = SUB(q, mean);                                                                                                          \
                q = MUL(x, inverse_std);                                                                                                   \
                q = FMA(FNMA(q, std, x), inverse_std, q);                                                                                  \
            }                                                                                                                              \
            STORE(dst + i, q);                                                                                                             \
        }                                                                                                                                  \
        look_up(dst + i, src + i, n - i, r, table);                                                                                        \
    }
#define LOAD8(p)  _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)(p))))
#define LOAD16(p) _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)(p))))
DEFINE_ROW(row_avx2, "avx2,fma", __m256, 8, _mm256_set1_ps, LOAD8, _mm256_sub_ps, _mm256_mul_ps, _mm256_fmadd_ps, _mm256_fnmadd_ps,
           _mm256_storeu_ps)
DEFINE_ROW(row_avx512, "avx512f", __m512, 16, _mm512_set1_ps, LOAD16, _mm512_sub_ps, _mm512_mul_ps, _mm512_fmadd_ps, _mm512_fnmadd_ps,
           _mm512_storeu_ps)

static row_fn *best_row(void) {
    if (__builtin_cpu_supports("avx512f")) {
        return row_avx512;
    }
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? row_avx2 : look_up;
}
#else
static row_fn *best_row(void) { return look_up; }
#endif

/* Fast where it gives every one of the 256 results that divisions give. */
static row_fn *choose(const recipe *r, float table[256]) {
    uint8_t bytes[256];
    float fast[256];
    for (int i = 0; i < 256; i++) {
        bytes[i] = (uint8_t)i;
        table[i] = (float)i / 255.0f;
        if (r->normalize) {
            table[i] = (table[i] - r->mean) / r->std;
        }
    }
    row_fn *row = best_row();
    row(fast, bytes, 256, r, table);
    return memcmp(fast, table, sizeof fast) ? look_up : row;
}

static inline void prefetch_row(const uint8_t *src, int64_t row) {
    for (int64_t at = 0; at < row && at < 4096; at += 64) {
        __builtin_prefetch(src + at);
    }
}

void lth_gather_u8_f32(float *dst, const uint8_t *src, const int64_t *indices, int64_t count, int64_t row, double mean, double std) {
    enum { AHEAD = 2 }; /* shuffled rows come from memory: ask for them before they are needed */
    recipe r = {.mean = (float)mean, .std = (float)std, .inverse_std = 1.0f / (float)std, .normalize = mean != 0 || std != 1};
    float table[256];
    row_fn *convert = choose(&r, table);
    for (int64_t i = 0; i < AHEAD && i < count; i++) {
        prefetch_row(src + indices[i] * row, row);
    }
    for (int64_t i = 0; i < count; i++) {
        if (i + AHEAD < count) {
            prefetch_row(src + indices[i + AHEAD] * row, row);
        }
        convert(dst + i * row, src + indices[i] * row, row, &r, table);
    }
}
