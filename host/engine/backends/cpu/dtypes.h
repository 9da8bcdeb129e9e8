/* backends/cpu/dtypes.h - elements of every dtype in plain C: bf16 and f16 as floats, sizes, and the additions that indexing kernels make
 * for their gradients. No vectors by hand: what is fast for f32 alone stands in isa/. */
#ifndef LTH_CPU_DTYPES_H
#define LTH_CPU_DTYPES_H
#include "base/bf16.h"
#include "engine/backends/cpu/cpu.h"

static inline size_t lth_cpu_element(lt_dtype dtype) { /* bytes */
    static const uint8_t bytes[] = {0, 8, 4, 2, 2, 8, 4, 1, 1};
    return bytes[dtype];
}
/* Dtypes whose gradients, or sums, these kernels make; f16 is the fallback's. */
static inline bool lth_cpu_adds(lt_dtype dtype) { return dtype != LT_F16 && dtype != LT_BOOL; }

/* value as an element of dtype (not f16), in the low bytes; what no integer can say is the lowest one, as x86's conversion gives. */
static inline uint64_t lth_cpu_bits(lt_dtype dtype, double value) {
    const int64_t whole = value >= -0x1p63 && value < 0x1p63 ? (int64_t)value : INT64_MIN;
    const float single = (float)value;
    uint64_t bits = 0;
    switch (dtype) {
    case LT_F64: memcpy(&bits, &value, sizeof value); return bits;
    case LT_F32: memcpy(&bits, &single, sizeof single); return bits;
    case LT_BF16: return lth_bf16_of_f32(single);
    case LT_BOOL: return value != 0;
    case LT_U8: return (uint8_t)whole;
    case LT_I32: return (uint32_t)whole;
    default: return (uint64_t)whole;
    }
}

#define LTH_ADD_LOOP(T) \
    do { \
        T *lth_to = to; \
        const T *lth_from = from; \
        for (int64_t i = 0; i < n; i++) { \
            lth_to[i] = (T)(lth_to[i] + lth_from[i]); \
        } \
    } while (0)
/* to += from, n elements of a dtype that lth_cpu_adds; integers wrap. */
static inline void lth_cpu_add(lth_device *d, lt_dtype dtype, int64_t n, void *to, const void *from) {
    switch (dtype) {
    case LT_F32:
        if (n >= 16) {
            d->isa.scaled(n, to, from, 1.f, true);
        } else {
            LTH_ADD_LOOP(float);
        }
        break;
    case LT_F64: LTH_ADD_LOOP(double); break;
    case LT_I64: LTH_ADD_LOOP(uint64_t); break;
    case LT_I32: LTH_ADD_LOOP(uint32_t); break;
    case LT_U8: LTH_ADD_LOOP(uint8_t); break;
    default:
        for (int64_t i = 0; i < n; i++) {
            ((uint16_t *)to)[i] = lth_bf16_of_f32(lth_f32_of_bf16(((uint16_t *)to)[i]) + lth_f32_of_bf16(((const uint16_t *)from)[i]));
        }
    }
}
/* The gradient of input k, set to zeros unless it is added to; NULL: none is wanted, or none arrives. */
static inline char *lth_cpu_begin_gradient(lth_device *d, const lth_call *call, int k) {
    if (!call->need[k]) {
        return NULL;
    }
    const lth_array *a = call->grad_in[k];
    if (!call->accumulate[k]) {
        lth_cpu_zero(d, a->data, (size_t)lth_count(a) * lth_cpu_element(a->dtype), NULL);
    }
    return call->grad_out[0] ? a->data : NULL;
}
static inline bool lth_cpu_all_plain(const lth_call *call) {
    for (int k = 0; k < call->n_in; k++) {
        if (call->in[k] && !lth_plain(call->in[k])) {
            return false;
        }
    }
    return !call->save || lth_cpu_adds(call->out[0]->dtype);
}
#endif
