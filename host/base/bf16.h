/* base/bf16.h - bf16, the upper half of an f32: one value to f32 and back. Rounds to the nearest, ties to even; a NaN stays one, quiet, its
 * payload kept. Plain C that compilers turn into vectors of whatever set they compile for. No rows, no other half floats. */
#ifndef LTH_BASE_BF16_H
#define LTH_BASE_BF16_H
#include <stdint.h>
#include <string.h>

static inline float lth_f32_of_bf16(uint16_t x) {
    const uint32_t bits = (uint32_t)x << 16;
    float y;
    memcpy(&y, &bits, sizeof y);
    return y;
}
static inline uint16_t lth_bf16_of_f32(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    const uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16, nan = bits >> 16 | 0x40;
    return (uint16_t)((bits & 0x7fffffff) > 0x7f800000 ? nan : rounded);
}
#endif
