/* shared/pixels.c - see pixels.h. */
#include "pixels.h"
#include <string.h>

static void look_up(float *restrict out, const uint8_t *restrict in, int64_t n, const pixel_scale *scale) {
    for (int64_t i = 0; i < n; i++) {
        out[i] = scale->table[in[i]];
    }
}

#if defined(__x86_64__)
/* q = x * (1/d), then one step of correction with the exact remainder: the nearest float to x / d (Markstein), for nearly every d. */
static inline __attribute__((always_inline)) void multiply(float *restrict out, const uint8_t *restrict in, int64_t n, const pixel_scale *scale) {
    const float mean = scale->mean, std = scale->std, inverse = scale->inverse, by_255 = 1.0f / 255.0f;
    for (int64_t i = 0; i < n; i++) {
        float x = (float)in[i], q = x * by_255;
        q = __builtin_fmaf(__builtin_fmaf(-q, 255.0f, x), by_255, q);
        x = q - mean;
        q = x * inverse;
        out[i] = __builtin_fmaf(__builtin_fmaf(-q, std, x), inverse, q);
    }
}
__attribute__((target("avx2,fma"))) static void avx2(float *out, const uint8_t *in, int64_t n, const pixel_scale *scale) {
    multiply(out, in, n, scale);
}
__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,fma"))) static void avx512(float *out, const uint8_t *in, int64_t n,
                                                                                     const pixel_scale *scale) {
    multiply(out, in, n, scale);
}
#endif

void pixel_scale_init(pixel_scale *scale, double mean, double std) {
    uint8_t bytes[256];
    float fast[256];
    *scale = (pixel_scale){.mean = (float)mean, .std = (float)std, .inverse = 1.0f / (float)std, .run = look_up};
    for (int b = 0; b < 256; b++) {
        bytes[b] = (uint8_t)b;
        scale->table[b] = ((float)b / 255.0f - scale->mean) / scale->std;
    }
#if defined(__x86_64__)
    bool has_512 = __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        scale->run = has_512 ? avx512 : avx2;
        scale->run(fast, bytes, 256, scale);
    } else {
        return;
    }
    if (memcmp(fast, scale->table, sizeof fast)) {
        scale->run = look_up;
    }
#endif
}
