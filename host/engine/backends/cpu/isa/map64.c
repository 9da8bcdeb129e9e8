/* backends/cpu/isa/map64.c - map.inc in f64. Arithmetic, exp and what is made of it run in vectors; other functions are the C library's,
 * element by element. */
#include "engine/backends/cpu/isa.h"
#include "simd.h"

#define DL (VL / 2)
typedef double dvec __attribute__((vector_size(DL * 8)));
typedef double dvec_any __attribute__((vector_size(DL * 8), aligned(8), may_alias));
typedef int64_t lvec __attribute__((vector_size(DL * 8)));

#define NUM double
#define VEC dvec
#define LEN DL
#define M(name) d_##name
#define NUM_POW pow
#define NUM_LOG log

INLINE dvec d_set(double x) { return x - (dvec){0}; }
INLINE dvec d_at(const double *p, int64_t left) {
    if (left >= DL) {
        return *(const dvec_any *)p;
    }
    dvec v = {0};
    for (int i = 0; i < left; i++) {
        v[i] = p[i];
    }
    return v;
}
INLINE void d_put(double *p, dvec v, int64_t left) {
    if (left >= DL) {
        *(dvec_any *)p = v;
        return;
    }
    for (int i = 0; i < left; i++) {
        p[i] = v[i];
    }
}
INLINE lvec d_gt(dvec a, dvec b) { return (lvec)(a > b); }
INLINE lvec d_same(dvec a, dvec b) { return (lvec)(a == b); }
INLINE dvec d_sel(lvec m, dvec a, dvec b) { return (dvec)((m & (lvec)a) | (~m & (lvec)b)); }
INLINE dvec d_max(dvec a, dvec b) { return d_sel(d_gt(a, b), a, b); } /* b where either is NaN */
INLINE dvec d_min(dvec a, dvec b) { return d_sel(d_gt(b, a), a, b); }
INLINE dvec d_fma(dvec a, dvec b, dvec c) { return a * b + c; }
INLINE dvec d_abs(dvec a) { return (dvec)((lvec)a & INT64_MAX); }
#define EACH_LANE(name, function) \
    INLINE dvec d_##name(dvec a) { \
        for (int i = 0; i < DL; i++) { \
            a[i] = function(a[i]); \
        } \
        return a; \
    }
EACH_LANE(log, log)
EACH_LANE(log1p, log1p)
EACH_LANE(expm1, expm1)
EACH_LANE(sin, sin)
EACH_LANE(cos, cos)
EACH_LANE(erf, erf)
EACH_LANE(tanh, tanh)
EACH_LANE(floor, floor)
EACH_LANE(nearest, nearbyint)
#if LTH_ISA == 2
INLINE dvec d_sqrt(dvec a) { return (dvec)_mm512_sqrt_pd((__m512d)a); }
#elif LTH_ISA == 1
INLINE dvec d_sqrt(dvec a) { return (dvec)_mm256_sqrt_pd((__m256d)a); }
#else
EACH_LANE(sqrt, sqrt)
#endif

/* e^x to about 1 ulp: 2^n e^r, |r| <= log(2)/2, by Taylor's series of degree 13. */
INLINE dvec d_exp(dvec x) {
    const dvec low = d_set(-708.39641853226408), high = d_set(709.78271289338397), magic = d_set(6755399441055744.0);
    const dvec c = d_min(high, d_max(low, x)), shifted = c * 1.4426950408889634074 + magic, n = shifted - magic;
    const dvec r = (c - n * 6.93147180369123816490e-01) - n * 1.90821492927058770002e-10;
    static const double a[] = {1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320, 1.0 / 5040, 1.0 / 720,
                               1.0 / 120, 1.0 / 24, 1.0 / 6, 0.5};
    dvec p = d_set(a[0]);
    for (int k = 1; k < 12; k++) {
        p = p * r + a[k];
    }
    p = (p * r) * r + r + 1.0;
    const lvec k = (lvec)shifted - (lvec)magic, half = k >> 1; /* in two halves: 2^1024 is no number */
    p = p * (dvec)((half + 1023) << 52) * (dvec)((k - half + 1023) << 52);
    p = d_sel(d_gt(low, x), d_set(0), p);
    p = d_sel(d_gt(x, high), d_set(INFINITY), p);
    return d_sel(d_same(x, x), p, x);
}
INLINE dvec d_sigmoid(dvec x) { return 1.0 / (1.0 + d_exp(-x)); }

#include "map.inc"

void LTH_NAME(lth_fill_map64)(lth_cpu_isa *t) { t->f64 = d_maps; }
