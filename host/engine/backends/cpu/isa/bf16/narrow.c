/* backends/cpu/isa/bf16/narrow.c - f32 to bf16 in bf16 instructions (AVX512_BF16: vcvtneps2bf16), bit for bit as low.h rounds. The instruction
 * takes a denormal for zero; blocks of 16 in which there is one are rounded as low.h does. Leaves f16 to the AVX-512 kernel. */
#include "engine/backends/cpu/isa.h"
#include "engine/backends/cpu/low.h"
#include "../simd.h"
#include <lt/tensor.h>

static lth_cpu_isa others;

/* Lanes with a denormal: 1 to 0x7fffff without the sign, whatever MXCSR makes of denormals. */
INLINE __mmask16 denormals(__m512i bits) {
    const __m512i size = _mm512_and_si512(bits, _mm512_set1_epi32(0x7fffffff));
    return _mm512_cmplt_epu32_mask(_mm512_sub_epi32(size, _mm512_set1_epi32(1)), _mm512_set1_epi32(0x7fffff));
}
static void narrow(int dtype, int64_t n, const float *from, uint16_t *to) {
    int64_t i = 0;
    if (dtype != LT_BF16) {
        others.narrow(dtype, n, from, to);
        return;
    }
    for (; i + 16 <= n; i += 16) {
        const __m512i bits = _mm512_loadu_si512(from + i);
        if (__builtin_expect(denormals(bits) != 0, 0)) {
            lth_f32_to_low(16, from + i, to + i);
        } else {
            _mm256_storeu_si256((__m256i *)(void *)(to + i), (__m256i)_mm512_cvtneps_pbh((__m512)bits));
        }
    }
    lth_f32_to_low(n - i, from + i, to + i);
}

void lth_fill_narrow_avx512_bf16(lth_cpu_isa *t) {
    lth_fill_map32_avx512(&others);
    t->narrow = narrow;
}
