/* backends/cpu/whole.c - whole.h: plain loops over i64. Division and functions of real numbers are not here: shape rules refuse them. */
#include "engine/backends/cpu/whole.h"
#include <string.h>

#define EACH(type, ...) \
    for (int64_t i = 0; i < n; i++) { \
        const int64_t A = a[a_one ? 0 : i], B = b[b_one ? 0 : i]; \
        ((type *)to)[i] = (type)(__VA_ARGS__); \
    } \
    break

void lth_whole_map(lth_map op, int64_t n, const void *from, void *to) {
    const int64_t *x = from;
    int64_t *y = to;
    for (int64_t i = 0; i < n; i++) {
        const uint64_t v = (uint64_t)x[i]; /* unsigned: wrapping is defined */
        switch (op) {
        case LTH_M_NEG: y[i] = (int64_t)(0 - v); break;
        case LTH_M_ABS: y[i] = (int64_t)(x[i] < 0 ? 0 - v : v); break;
        case LTH_M_RELU: y[i] = x[i] > 0 ? x[i] : 0; break;
        case LTH_M_SQUARE: y[i] = (int64_t)(v * v); break;
        case LTH_M_SIGN: y[i] = (x[i] > 0) - (x[i] < 0); break;
        default: y[i] = x[i];
        }
    }
}
void lth_whole_pair(lth_pair op, int64_t n, const void *first, const void *second, bool a_one, bool b_one, void *to) {
    const int64_t *a = first, *b = second;
    switch (op) {
    case LTH_P_ADD: EACH(int64_t, (uint64_t)A + (uint64_t)B);
    case LTH_P_SUB: EACH(int64_t, (uint64_t)A - (uint64_t)B);
    case LTH_P_MUL: EACH(int64_t, (uint64_t)A * (uint64_t)B);
    case LTH_P_MAX: EACH(int64_t, A > B ? A : B);
    default: EACH(int64_t, A < B ? A : B);
    }
}
void lth_whole_compare(lth_compare op, int64_t n, const void *first, const void *second, bool a_one, bool b_one, uint8_t *to) {
    const int64_t *a = first, *b = second;
    switch (op) {
    case LTH_C_EQ: EACH(uint8_t, A == B);
    case LTH_C_NE: EACH(uint8_t, A != B);
    case LTH_C_LT: EACH(uint8_t, A < B);
    case LTH_C_LE: EACH(uint8_t, A <= B);
    case LTH_C_GT: EACH(uint8_t, A > B);
    case LTH_C_GE: EACH(uint8_t, A >= B);
    case LTH_C_AND: EACH(uint8_t, A != 0 && B != 0);
    case LTH_C_OR: EACH(uint8_t, A != 0 || B != 0);
    }
}
void lth_whole_choose(int64_t n, const uint8_t *c, const void *first, const void *second, bool c_one, bool a_one, bool b_one, void *to) {
    const int64_t *a = first, *b = second;
    for (int64_t i = 0; i < n; i++) {
        ((int64_t *)to)[i] = c[c_one ? 0 : i] ? a[a_one ? 0 : i] : b[b_one ? 0 : i];
    }
}
