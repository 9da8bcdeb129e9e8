/* backends/cpu/isa/simd.h - one vector of floats, whatever the instruction set this file is compiled for.
 * Kernels are written once with GCC vector types; here stands what those cannot say: masks, tails, min/max, exp, log, 16x16 transposes.
 * LTH_ISA: 0 baseline (SSE2 or NEON through the compiler), 1 AVX2+FMA, 2 AVX-512 (f bw dq vl). Included by isa/ files only. */
#ifndef LTH_CPU_SIMD_H
#define LTH_CPU_SIMD_H
#include <math.h>
#include <stdint.h>
#include <string.h>
#if LTH_ISA > 0
#include <immintrin.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#endif

#if LTH_ISA == 2
#define LTH_NAME(x) x##_avx512
#define VL 16
#elif LTH_ISA == 1
#define LTH_NAME(x) x##_avx2
#define VL 8
#else
#define LTH_NAME(x) x##_baseline
#define VL 4
#endif
#define VPP (16 / VL) /* vectors in a pixel of 16 lanes */
#define INLINE static inline __attribute__((always_inline, unused))
#define UNROLL _Pragma("GCC unroll 16")

typedef float vec __attribute__((vector_size(VL * 4)));
typedef float vec_any __attribute__((vector_size(VL * 4), aligned(4), may_alias));
typedef int32_t ivec __attribute__((vector_size(VL * 4)));
typedef int8_t bvec __attribute__((vector_size(VL)));
typedef int8_t bvec_any __attribute__((vector_size(VL), aligned(1), may_alias));

INLINE vec v_load(const float *p) { return *(const vec_any *)p; }
INLINE void v_store(float *p, vec v) { *(vec_any *)p = v; }
INLINE vec v_set(float x) { return x - (vec){0}; }
INLINE ivec v_iset(int32_t x) { return x - (ivec){0}; }

#if LTH_ISA == 2
typedef __mmask16 vmask;
INLINE vmask v_gt(vec a, vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ); }
INLINE vmask v_same(vec a, vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
INLINE vmask v_ieq(ivec a, ivec b) { return _mm512_cmpeq_epi32_mask((__m512i)a, (__m512i)b); }
INLINE vec v_sel(vmask m, vec a, vec b) { return _mm512_mask_mov_ps(b, m, a); } /* m ? a : b */
INLINE ivec v_isel(vmask m, ivec a, ivec b) { return (ivec)_mm512_mask_mov_epi32((__m512i)b, m, (__m512i)a); }
INLINE vec v_keep(vmask m, vec a) { return _mm512_maskz_mov_ps(m, a); }
INLINE vec v_max(vec a, vec b) { return _mm512_max_ps(a, b); } /* b where either is NaN */
INLINE vec v_min(vec a, vec b) { return _mm512_min_ps(a, b); }
INLINE vec v_sqrt(vec a) { return _mm512_sqrt_ps(a); }
INLINE vmask v_first(int n) { return (vmask)((1u << n) - 1); }
INLINE vec v_load_n(const float *p, int n) { return _mm512_maskz_loadu_ps(v_first(n), p); }
INLINE void v_store_n(float *p, vec v, int n) { _mm512_mask_storeu_ps(p, v_first(n), v); }
INLINE vec v_round(vec a) { return _mm512_roundscale_ps(a, 8); }
INLINE vec v_fma(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }
INLINE vec v_fnma(vec a, vec b, vec c) { return _mm512_fnmadd_ps(a, b, c); }
INLINE ivec v_bytes_load(const uint8_t *p) { return (ivec)_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p)); }
INLINE void v_bytes_store(uint8_t *p, ivec v) { _mm_storeu_si128((__m128i *)(void *)p, _mm512_cvtepi32_epi8((__m512i)v)); }
#else
typedef ivec vmask;
INLINE vmask v_gt(vec a, vec b) { return (vmask)(a > b); }
INLINE vmask v_same(vec a, vec b) { return (vmask)(a == b); }
INLINE vmask v_ieq(ivec a, ivec b) { return (vmask)(a == b); }
INLINE vec v_keep(vmask m, vec a) { return (vec)(m & (ivec)a); }
INLINE ivec v_isel(vmask m, ivec a, ivec b) { return (m & a) | (~m & b); }
INLINE ivec v_bytes_load(const uint8_t *p) { return __builtin_convertvector(*(const bvec_any *)(const void *)p, ivec) & 255; }
INLINE void v_bytes_store(uint8_t *p, ivec v) { *(bvec_any *)(void *)p = (bvec)__builtin_convertvector(v, bvec); }
#if LTH_ISA == 1
INLINE vec v_sel(vmask m, vec a, vec b) { return _mm256_blendv_ps(b, a, (__m256)m); }
INLINE vec v_max(vec a, vec b) { return _mm256_max_ps(a, b); }
INLINE vec v_min(vec a, vec b) { return _mm256_min_ps(a, b); }
INLINE vec v_sqrt(vec a) { return _mm256_sqrt_ps(a); }
INLINE vec v_round(vec a) { return _mm256_round_ps(a, 8); }
INLINE vec v_fma(vec a, vec b, vec c) { return _mm256_fmadd_ps(a, b, c); }
INLINE vec v_fnma(vec a, vec b, vec c) { return _mm256_fnmadd_ps(a, b, c); }
INLINE vmask v_first(int n) { return (vmask)(v_iset(n) > (ivec){0, 1, 2, 3, 4, 5, 6, 7}); }
INLINE vec v_load_n(const float *p, int n) { return _mm256_maskload_ps(p, (__m256i)v_first(n)); }
INLINE void v_store_n(float *p, vec v, int n) { _mm256_maskstore_ps(p, (__m256i)v_first(n), v); }
#else
INLINE vec v_sel(vmask m, vec a, vec b) { return (vec)((m & (ivec)a) | (~m & (ivec)b)); }
INLINE vec v_max(vec a, vec b) { return v_sel(a > b, a, b); }
INLINE vec v_min(vec a, vec b) { return v_sel(a < b, a, b); }
INLINE vec v_sqrt(vec a) {
#ifdef __SSE2__
    return _mm_sqrt_ps(a);
#else
    return (vec){sqrtf(a[0]), sqrtf(a[1]), sqrtf(a[2]), sqrtf(a[3])};
#endif
}
INLINE vec v_round(vec a) { /* to nearest; |a| < 2^22: the sum drops the fraction */
    const vec magic = v_set(12582912.f);
    return (a + magic) - magic;
}
INLINE vec v_fma(vec a, vec b, vec c) { return a * b + c; }
INLINE vec v_fnma(vec a, vec b, vec c) { return c - a * b; }
INLINE vmask v_first(int n) { return (vmask)(v_iset(n) > (ivec){0, 1, 2, 3}); }
INLINE vec v_load_n(const float *p, int n) {
    vec v = {0};
    for (int i = 0; i < n; i++) {
        v[i] = p[i];
    }
    return v;
}
INLINE void v_store_n(float *p, vec v, int n) {
    for (int i = 0; i < n; i++) {
        p[i] = v[i];
    }
}
#endif
#endif

INLINE vec v_abs(vec a) { return (vec)((ivec)a & 0x7fffffff); }
INLINE vec v_copysign(vec a, vec sign) { return (vec)(((ivec)a & 0x7fffffff) | ((ivec)sign & (int32_t)0x80000000)); }
INLINE vec v_at(const float *p, int64_t left) { return left >= VL ? v_load(p) : v_load_n(p, (int)left); }
INLINE void v_put(float *p, vec v, int64_t left) {
    if (left >= VL) {
        v_store(p, v);
    } else {
        v_store_n(p, v, (int)left);
    }
}
/* A fixed tree, so that a sum depends on its operands only. */
INLINE float v_sum(vec a) {
    float t[VL];
    memcpy(t, &a, sizeof t);
    UNROLL for (int s = VL / 2; s > 0; s /= 2) {
        for (int i = 0; i < s; i++) {
            t[i] += t[i + s];
        }
    }
    return t[0];
}
INLINE float v_top(vec a) {
    float t[VL];
    memcpy(t, &a, sizeof t);
    UNROLL for (int s = VL / 2; s > 0; s /= 2) {
        for (int i = 0; i < s; i++) {
            t[i] = t[i] > t[i + s] ? t[i] : t[i + s];
        }
    }
    return t[0];
}

/* e^x to about 1 ulp; below -87.33 zero, above 88.72 infinity, NaN stays. Cephes' polynomial. */
INLINE vec v_exp(vec x) {
    const vec low = v_set(-87.33654f), high = v_set(88.72283f);
    vec c = v_min(high, v_max(low, x)); /* second operand where NaN: x */
    vec n = v_round(c * 1.44269504f);
    vec r = v_fnma(n, v_set(0.693359375f), c);
    r = v_fnma(n, v_set(-2.12194440e-4f), r);
    vec p = v_set(1.9875691500e-4f);
    p = v_fma(p, r, v_set(1.3981999507e-3f));
    p = v_fma(p, r, v_set(8.3334519073e-3f));
    p = v_fma(p, r, v_set(4.1665795894e-2f));
    p = v_fma(p, r, v_set(1.6666665459e-1f));
    p = v_fma(p, r, v_set(5.0000001201e-1f));
    p = v_fma(p, r * r, r + 1.f);
#if LTH_ISA == 2
    p = _mm512_scalef_ps(p, n);
#else
    ivec k = __builtin_convertvector(n, ivec), half = k >> 1; /* in two halves: 2^128 is no float */
    p = p * (vec)((half + 127) << 23) * (vec)((k - half + 127) << 23);
#endif
    p = v_sel(v_gt(low, x), (vec){0}, p);
    return v_sel(v_gt(x, high), v_set(INFINITY), p);
}
/* Natural logarithm to about 1 ulp (Cephes); 0 (and what is flushed to it) gives -inf, below it NaN. */
INLINE vec v_log(vec x) {
    const ivec bits = (ivec)x;
    ivec e = ((bits >> 23) & 255) - 126;
    vec m = (vec)((bits & 0x007fffff) | 0x3f000000); /* 0.5 .. 1 */
    const vmask low = v_gt(v_set(0.70710678f), m);
    vec f = __builtin_convertvector(e, vec) - v_keep(low, v_set(1.f));
    m = m + v_keep(low, m) - 1.f;
    const vec z = m * m;
    vec p = v_set(7.0376836292e-2f);
    p = v_fma(p, m, v_set(-1.1514610310e-1f));
    p = v_fma(p, m, v_set(1.1676998740e-1f));
    p = v_fma(p, m, v_set(-1.2420140846e-1f));
    p = v_fma(p, m, v_set(1.4249322787e-1f));
    p = v_fma(p, m, v_set(-1.6668057665e-1f));
    p = v_fma(p, m, v_set(2.0000714765e-1f));
    p = v_fma(p, m, v_set(-2.4999993993e-1f));
    p = v_fma(p, m, v_set(3.3333331174e-1f));
    p = p * m * z;
    p = v_fma(f, v_set(-2.12194440e-4f), p);
    p = v_fma(z, v_set(-0.5f), p);
    vec r = v_fma(f, v_set(0.693359375f), m + p);
    const vec tiny = v_set(1.17549435e-38f);
    r = v_sel(v_gt(tiny, x), v_sel(v_gt((vec){0}, x), v_set(NAN), v_set(-INFINITY)), r);
    r = v_sel(v_same(x, v_set(INFINITY)), x, r);
    return v_sel(v_same(x, x), r, x);
}
INLINE vec v_sigmoid(vec x) { return 1.f / (1.f + v_exp(-x)); }
INLINE vec v_tanh(vec x) {
    vec a = v_abs(x), s = x * x;
    vec p = v_set(-5.70498872745e-3f);
    p = v_fma(p, s, v_set(2.06390887954e-2f));
    p = v_fma(p, s, v_set(-5.37397155531e-2f));
    p = v_fma(p, s, v_set(1.33314422036e-1f));
    p = v_fma(p, s, v_set(-3.33332819422e-1f));
    vec small = v_fma(p * s, x, x);
    vec large = v_copysign(1.f - 2.f / (v_exp(a + a) + 1.f), x);
    return v_sel(v_gt(a, v_set(0.625f)), large, small);
}
/* erf to about 1 ulp: an odd polynomial below 0.93, 1 - e^poly above. */
INLINE vec v_erf(vec x) {
    vec a = v_abs(x), s = x * x;
    vec r = v_fma(v_set(-1.72853470e-5f), a, v_set(3.83197126e-4f));
    vec u = v_fma(v_set(-3.88396438e-3f), a, v_set(2.42546219e-2f));
    r = v_fma(r, s, u);
    r = v_fma(r, a, v_set(-1.06777877e-1f));
    r = v_fma(r, a, v_set(-6.34846687e-1f));
    r = v_fma(r, a, v_set(-1.28717512e-1f));
    r = v_fma(r, a, -a);
    vec large = v_copysign(1.f - v_exp(r), x);
    large = v_sel(v_gt(a, v_set(4.f)), v_copysign(v_set(1.f), x), large);
    vec p = v_set(-5.96761703e-4f);
    p = v_fma(p, s, v_set(4.99119423e-3f));
    p = v_fma(p, s, v_set(-2.67681349e-2f));
    p = v_fma(p, s, v_set(1.12819925e-1f));
    p = v_fma(p, s, v_set(-3.76125336e-1f));
    p = v_fma(p, s, v_set(1.28379166e-1f));
    vec small = v_fma(p, x, x);
    return v_sel(v_gt(a, v_set(0.927734375f)), large, small);
}

/* 16 rows of `rows_at` floats apart, `columns` (<= 16) of each -> columns as rows of 16, to_at apart; rows beyond n_rows count as zero. */
#if LTH_ISA == 2
INLINE void transpose_16(__m512 *r) {
    __m512 t[16];
    UNROLL for (int i = 0; i < 16; i += 4) {
        __m512 a = _mm512_unpacklo_ps(r[i], r[i + 1]), b = _mm512_unpackhi_ps(r[i], r[i + 1]);
        __m512 c = _mm512_unpacklo_ps(r[i + 2], r[i + 3]), d = _mm512_unpackhi_ps(r[i + 2], r[i + 3]);
        t[i] = (__m512)_mm512_unpacklo_pd((__m512d)a, (__m512d)c);
        t[i + 1] = (__m512)_mm512_unpackhi_pd((__m512d)a, (__m512d)c);
        t[i + 2] = (__m512)_mm512_unpacklo_pd((__m512d)b, (__m512d)d);
        t[i + 3] = (__m512)_mm512_unpackhi_pd((__m512d)b, (__m512d)d);
    }
    UNROLL for (int i = 0; i < 4; i++) {
        __m512 a = _mm512_shuffle_f32x4(t[i], t[i + 4], 0x88), b = _mm512_shuffle_f32x4(t[i], t[i + 4], 0xdd);
        __m512 c = _mm512_shuffle_f32x4(t[i + 8], t[i + 12], 0x88), d = _mm512_shuffle_f32x4(t[i + 8], t[i + 12], 0xdd);
        r[i] = _mm512_shuffle_f32x4(a, c, 0x88);
        r[i + 8] = _mm512_shuffle_f32x4(a, c, 0xdd);
        r[i + 4] = _mm512_shuffle_f32x4(b, d, 0x88);
        r[i + 12] = _mm512_shuffle_f32x4(b, d, 0xdd);
    }
}
#endif
INLINE void transpose_to(float *to, int64_t to_at, const float *rows, int64_t rows_at, int n_rows, int columns) {
#if LTH_ISA == 2
    __m512 r[16];
    __mmask16 keep = v_first(columns);
    UNROLL for (int i = 0; i < 16; i++) {
        r[i] = i < n_rows ? _mm512_maskz_loadu_ps(keep, rows + i * rows_at) : _mm512_setzero_ps();
    }
    transpose_16(r);
    UNROLL for (int i = 0; i < 16; i++) {
        if (i < columns) {
            _mm512_storeu_ps(to + i * to_at, r[i]);
        }
    }
#else
    for (int c = 0; c < columns; c++) {
        for (int i = 0; i < 16; i++) {
            to[c * to_at + i] = i < n_rows ? rows[i * rows_at + c] : 0.f;
        }
    }
#endif
}
/* Back: `columns` vectors of 16, from_at apart -> n_rows rows. add: to what is there. */
INLINE void transpose_from(float *rows, int64_t rows_at, int n_rows, int columns, const float *from, int64_t from_at, int add) {
#if LTH_ISA == 2
    __m512 r[16];
    __mmask16 keep = v_first(columns);
    UNROLL for (int i = 0; i < 16; i++) {
        r[i] = i < columns ? _mm512_loadu_ps(from + i * from_at) : _mm512_setzero_ps();
    }
    transpose_16(r);
    UNROLL for (int i = 0; i < 16; i++) {
        if (i < n_rows) {
            __m512 v = r[i];
            if (add) {
                v = v + _mm512_maskz_loadu_ps(keep, rows + i * rows_at);
            }
            _mm512_mask_storeu_ps(rows + i * rows_at, keep, v);
        }
    }
#else
    for (int i = 0; i < n_rows; i++) {
        for (int c = 0; c < columns; c++) {
            rows[i * rows_at + c] = from[c * from_at + i] + (add ? rows[i * rows_at + c] : 0.f);
        }
    }
#endif
}
#endif
