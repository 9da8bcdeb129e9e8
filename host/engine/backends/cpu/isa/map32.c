/* backends/cpu/isa/map32.c - map.inc in f32, and the way of half precision into and out of it. Half precision is computed in f32. */
#include "engine/backends/cpu/isa.h"
#include "engine/backends/cpu/low.h"
#include "simd.h"
#include <lt/base.h>

#define NUM float
#define VEC vec
#define LEN VL
#define M(name) v_##name
#define NUM_POW powf
#define NUM_LOG logf

#if LTH_ISA == 2
INLINE vec v_floor(vec a) { return _mm512_roundscale_ps(a, 9); }
INLINE vec v_nearest(vec a) { return _mm512_roundscale_ps(a, 8); }
#else
#if LTH_ISA == 1
INLINE vec v_floor(vec a) { return _mm256_round_ps(a, 9); }
INLINE vec v_nearest(vec a) { return _mm256_round_ps(a, 8); }
#else
/* Numbers of 2^23 and more are whole; -0 stays. */
INLINE vec v_nearest(vec a) {
    const vec magic = v_copysign(v_set(8388608.f), a), r = v_copysign((a + magic) - magic, a);
    return v_sel(v_gt(v_set(8388608.f), v_abs(a)), r, a);
}
INLINE vec v_floor(vec a) {
    const vec r = v_nearest(a);
    return v_sel(v_gt(r, a), r - 1.f, r);
}
#endif
#endif

/* log(1 + e): what is lost in 1 + e comes back as its share. */
INLINE vec v_log1p(vec e) {
    const vec u = e + 1.f, lost = e - (u - 1.f);
    return v_sel(v_gt(v_set(1e30f), u), v_log(u) + lost / u, v_log(u));
}
INLINE vec v_expm1(vec x) {
    const vec t = v_tanh(x * 0.5f), small = (t + t) / (1.f - t);
    return v_sel(v_gt(v_set(1.f), v_abs(x)), small, v_exp(x) - 1.f);
}

/* Sine (shift 0) or cosine (shift 1): to the nearest quarter turn in three parts, then Cephes' polynomials. Far from 0 the C library. */
INLINE vec turned(vec x, int shift) {
    const vec q = v_nearest(x * 0.63661977236758134f);
    vec r = v_fnma(q, v_set(1.5703125f), x);
    r = v_fnma(q, v_set(4.837512969970703125e-4f), r);
    r = v_fnma(q, v_set(7.54978995489188216e-8f), r);
    const ivec k = __builtin_convertvector(v_sel(v_gt(v_set(10000.f), v_abs(q)), q, (vec){0}), ivec) + shift;
    const vec z = r * r;
    vec c = v_set(2.443315711809948e-5f), s = v_set(-1.9515295891e-4f);
    c = v_fma(c, z, v_set(-1.388731625493765e-3f));
    c = v_fma(c, z, v_set(4.166664568298827e-2f));
    c = v_fma(c * z, z, v_fma(z, v_set(-0.5f), v_set(1.f)));
    s = v_fma(s, z, v_set(8.3321608736e-3f));
    s = v_fma(s, z, v_set(-1.6666654611e-1f));
    s = v_fma(s * z, r, r);
    const vec v = (vec)v_isel(v_ieq(k & 1, v_iset(0)), (ivec)s, (ivec)c);
    return (vec)((ivec)v ^ ((k & 2) << 30));
}
INLINE vec far_or(vec x, vec near, float (*exact)(float)) {
    if (v_top(v_abs(v_sel(v_same(x, x), x, v_set(INFINITY)))) > 8000.f) {
        for (int i = 0; i < VL; i++) {
            near[i] = exact(x[i]);
        }
    }
    return near;
}
INLINE vec v_sin(vec x) { return far_or(x, turned(x, 0), sinf); }
INLINE vec v_cos(vec x) { return far_or(x, turned(x, 1), cosf); }

#include "map.inc"

/* ---- half precision; rounding to nearest even, as PyTorch ---- */
INLINE float from_bits(uint32_t u) {
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}
INLINE uint32_t bits_of(float f) {
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}
INLINE float half_value(uint32_t h) {
    const uint32_t sign = (h & 0x8000) << 16, rest = h & 0x7fff;
    const uint32_t normal = (rest << 13) + (112u << 23), special = (rest << 13) | (255u << 23), tiny = bits_of((float)rest * 0x1p-24f);
    return from_bits((rest >= 0x7c00 ? special : rest >= 0x400 ? normal : tiny) | sign);
}
INLINE uint16_t half_bits(float f) {
    const uint32_t u = bits_of(f), sign = (u >> 16) & 0x8000, a = u & 0x7fffffff;
    const uint32_t normal = (a + 0xc8000fffu + ((a >> 13) & 1)) >> 13, tiny = bits_of(from_bits(a) + 0.5f) - 0x3f000000u;
    const uint32_t special = a > 0x7f800000 ? 0x7e00 : 0x7c00;
    return (uint16_t)(sign | (a >= 0x477ff000 ? special : a >= 0x38800000 ? normal : tiny));
}
static void widen(int dtype, int64_t n, const uint16_t *from, float *restrict to) {
    if (dtype == LT_BF16) {
        lth_low_to_f32(n, from, to);
    } else {
        for (int64_t i = 0; i < n; i++) {
            to[i] = half_value(from[i]);
        }
    }
}
static void narrow(int dtype, int64_t n, const float *from, uint16_t *restrict to) {
    if (dtype == LT_BF16) {
        lth_f32_to_low(n, from, to);
    } else {
        for (int64_t i = 0; i < n; i++) {
            to[i] = half_bits(from[i]);
        }
    }
}

void LTH_NAME(lth_fill_map32)(lth_cpu_isa *t) {
    t->f32 = v_maps;
    t->widen = widen;
    t->narrow = narrow;
}
