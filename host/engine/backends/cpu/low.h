/* backends/cpu/low.h - rows of bf16 to f32 and back, rounded as base/bf16.h says.
 * Plain loops, which the compiler turns into vectors of whatever set it compiles for. It knows neither arrays nor other half floats. */
#ifndef LTH_CPU_LOW_H
#define LTH_CPU_LOW_H
#include "base/bf16.h"

static inline void lth_low_to_f32(int64_t n, const uint16_t *from, float *to) {
    for (int64_t i = 0; i < n; i++) {
        to[i] = lth_f32_of_bf16(from[i]);
    }
}
static inline void lth_f32_to_low(int64_t n, const float *from, uint16_t *to) {
    for (int64_t i = 0; i < n; i++) {
        to[i] = lth_bf16_of_f32(from[i]);
    }
}
#endif
