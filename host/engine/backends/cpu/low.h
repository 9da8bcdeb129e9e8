/* backends/cpu/low.h - bf16, the upper half of an f32: single values and rows. Rounds to nearest even; a NaN stays one.
 * Plain loops, which the compiler turns into vectors of whatever set it compiles for. It knows neither arrays nor other half floats. */
#ifndef LTH_CPU_LOW_H
#define LTH_CPU_LOW_H
#include <stdint.h>
#include <string.h>

static inline float lth_f32_from_low(uint16_t x) {
    const uint32_t bits = (uint32_t)x << 16;
    float y;
    memcpy(&y, &bits, sizeof y);
    return y;
}
static inline uint16_t lth_low_from_f32(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    const uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16, nan = bits >> 16 | 0x40;
    return (uint16_t)((bits & 0x7fffffff) > 0x7f800000 ? nan : rounded);
}
static inline void lth_low_to_f32(int64_t n, const uint16_t *from, float *to) {
    for (int64_t i = 0; i < n; i++) {
        to[i] = lth_f32_from_low(from[i]);
    }
}
static inline void lth_f32_to_low(int64_t n, const float *from, uint16_t *to) {
    for (int64_t i = 0; i < n; i++) {
        to[i] = lth_low_from_f32(from[i]);
    }
}
#endif
