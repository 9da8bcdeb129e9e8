/* engine/tensor/element.c - single elements of any dtype as doubles, for reading results and for tests. Not for kernels: one branch per element.
 * Conversions to half precision round to nearest even, as PyTorch's. */
#include "engine/tensor/tensor.h"
#include "base/bf16.h"
#include <math.h>
#include <string.h>

bool lth_is_float(lt_dtype dtype) { return dtype >= LT_F64 && dtype <= LT_BF16; }

static double from_f16(uint16_t h) {
    int exponent = (h >> 10) & 31, fraction = h & 1023;
    double value = exponent == 31 ? (fraction ? NAN : INFINITY) : exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
    return h & 0x8000 ? -value : value;
}

static uint16_t to_f16(double value) {
    uint16_t sign = signbit(value) ? 0x8000 : 0;
    double size = fabs(value);
    if (isnan(value)) {
        return sign | 0x7e00;
    }
    if (size >= 65520.0) { /* halfway between the largest finite number and the next */
        return sign | 0x7c00;
    }
    if (size < 0x1p-14) {
        return sign | (uint16_t)rint(size * 0x1p24); /* may round up into the first normal number, whose bits follow */
    }
    int exponent;
    double fraction = frexp(size, &exponent); /* [0.5, 1) */
    return sign | (uint16_t)((uint32_t)(exponent + 13) * 1024 + (uint32_t)rint(fraction * 2048));
}

double lth_element_get(lt_dtype dtype, const void *data, int64_t i) {
    switch (dtype) {
    case LT_F64: return ((const double *)data)[i];
    case LT_F32: return ((const float *)data)[i];
    case LT_F16: return from_f16(((const uint16_t *)data)[i]);
    case LT_BF16: return lth_f32_of_bf16(((const uint16_t *)data)[i]);
    case LT_I64: return (double)((const int64_t *)data)[i];
    case LT_I32: return ((const int32_t *)data)[i];
    case LT_U8: return ((const uint8_t *)data)[i];
    case LT_BOOL: return ((const uint8_t *)data)[i] != 0;
    default: return NAN;
    }
}

/* The conversion of a value that does not fit an integer is undefined in C; here it meets the nearest end. */
static int64_t clamp_i64(double value, double low, double high) {
    return isnan(value) ? 0 : value <= low ? (int64_t)low : value >= high ? (int64_t)high : (int64_t)value;
}

void lth_element_set(lt_dtype dtype, void *data, int64_t i, double value) {
    switch (dtype) {
    case LT_F64: ((double *)data)[i] = value; break;
    case LT_F32: ((float *)data)[i] = (float)value; break;
    case LT_F16: ((uint16_t *)data)[i] = to_f16(value); break;
    case LT_BF16: ((uint16_t *)data)[i] = lth_bf16_of_f32((float)value); break;
    case LT_I64: ((int64_t *)data)[i] = clamp_i64(value, -0x1p63, 0x1.fffffffffffffp62); break;
    case LT_I32: ((int32_t *)data)[i] = (int32_t)clamp_i64(value, INT32_MIN, INT32_MAX); break;
    case LT_U8: ((uint8_t *)data)[i] = (uint8_t)clamp_i64(value, 0, 255); break;
    case LT_BOOL: ((uint8_t *)data)[i] = value != 0; break;
    default: break;
    }
}

void lth_elements_convert(lt_dtype to, void *out, lt_dtype from, const void *in, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        lth_element_set(to, out, i, lth_element_get(from, in, i));
    }
}
