/* backends/cpu/isa/channels.c - batch norm's passes over lanes: rows of 16 or 32 floats that lie `at` apart, a lane being a channel (or, in
 * LTH_N16C, an image of one channel); dropout's masks. Sums of blocks of rows are kept in float, sums of blocks in double. */
#include "engine/backends/cpu/isa.h"
#include "simd.h"

enum { BLOCK = 128, MOST = 32 / VL };

/* sum and squares (+)= of x - pivot: near the mean, so that nothing cancels. */
INLINE void sums_of(const int nv, const lth_lanes *l, const float *pivot, double *sum, double *squares) {
    vec p[MOST];
    UNROLL for (int v = 0; v < nv; v++) { p[v] = v_load(pivot + v * VL); }
    for (int64_t r = 0; r < l->rows; r += BLOCK) {
        const int64_t end = l->rows - r < BLOCK ? l->rows : r + BLOCK;
        vec s[MOST], q[MOST];
        UNROLL for (int v = 0; v < nv; v++) { s[v] = q[v] = (vec){0}; }
        const float *x = l->x + r * l->at;
        for (int64_t k = r; k < end; k++, x += l->at) {
            UNROLL for (int v = 0; v < nv; v++) {
                const vec d = v_load(x + v * VL) - p[v];
                s[v] += d;
                q[v] = v_fma(d, d, q[v]);
            }
        }
        UNROLL for (int v = 0; v < nv; v++) {
            UNROLL for (int i = 0; i < VL; i++) {
                sum[v * VL + i] += (double)s[v][i];
                squares[v * VL + i] += (double)q[v][i];
            }
        }
    }
}
static void lane_sums(const lth_lanes *l, const float *pivot, double *sum, double *squares) {
    if (l->width == 32) {
        sums_of(32 / VL, l, pivot, sum, squares);
    } else {
        sums_of(16 / VL, l, pivot, sum, squares);
    }
}
/* y = act(scale x + shift + residual) */
INLINE void apply_of(const int nv, const int with, const lth_lanes *l, const float *scale, const float *shift, const float *residual, bool relu, float *y) {
    vec a[MOST], b[MOST];
    UNROLL for (int v = 0; v < nv; v++) { a[v] = v_load(scale + v * VL), b[v] = v_load(shift + v * VL); }
    const vec low = v_set(relu ? 0.f : -INFINITY);
    for (int64_t r = 0; r < l->rows; r++) {
        const int64_t at = r * l->at;
        UNROLL for (int v = 0; v < nv; v++) {
            vec z = v_fma(v_load(l->x + at + v * VL), a[v], b[v]);
            z = with ? z + v_load(residual + at + v * VL) : z;
            v_store(y + at + v * VL, v_max(low, z)); /* z where it is NaN */
        }
    }
}
static void lane_apply(const lth_lanes *l, const float *scale, const float *shift, const float *residual, bool relu, float *y) {
    if (l->width == 32) {
        residual ? apply_of(32 / VL, 1, l, scale, shift, residual, relu, y) : apply_of(32 / VL, 0, l, scale, shift, NULL, relu, y);
    } else {
        residual ? apply_of(16 / VL, 1, l, scale, shift, residual, relu, y) : apply_of(16 / VL, 0, l, scale, shift, NULL, relu, y);
    }
}
/* What ReLU let through: by the output, or by what lane_apply made of x (to the same bits). */
enum { ALL, BY_OUTPUT, BY_INPUT };
INLINE vec passed(const int mask, vec g, vec x, const float *y, vec scale, vec shift) {
    return mask == ALL ? g : v_keep(v_gt(mask == BY_OUTPUT ? v_load(y) : v_fma(x, scale, shift), (vec){0}), g);
}
/* g is what passed of dy. sum += g, dot += g (x - mean) */
INLINE void back_sums_of(const int nv, const int mask, const lth_lanes *l, const lth_lane_slopes *k, double *sum, double *dot) {
    vec m[MOST], scale[MOST], shift[MOST];
    UNROLL for (int v = 0; v < nv; v++) {
        m[v] = v_load(k->mean + v * VL);
        scale[v] = mask == BY_INPUT ? v_load(k->scale + v * VL) : m[v], shift[v] = mask == BY_INPUT ? v_load(k->shift + v * VL) : m[v];
    }
    for (int64_t r = 0; r < l->rows; r += BLOCK) {
        const int64_t end = l->rows - r < BLOCK ? l->rows : r + BLOCK;
        vec s[MOST], q[MOST];
        UNROLL for (int v = 0; v < nv; v++) { s[v] = q[v] = (vec){0}; }
        for (int64_t i = r; i < end; i++) {
            const int64_t at = i * l->at;
            UNROLL for (int v = 0; v < nv; v++) {
                const float *y = mask == BY_OUTPUT ? k->y + at + v * VL : NULL;
                const vec x = v_load(l->x + at + v * VL), g = passed(mask, v_load(k->dy + at + v * VL), x, y, scale[v], shift[v]);
                s[v] += g;
                q[v] = v_fma(g, x - m[v], q[v]);
            }
        }
        UNROLL for (int v = 0; v < nv; v++) {
            UNROLL for (int i = 0; i < VL; i++) {
                sum[v * VL + i] += (double)s[v][i];
                dot[v * VL + i] += (double)q[v][i];
            }
        }
    }
}
#define BY_MASK(body, nv, ...)                                                                                                             \
    do {                                                                                                                                   \
        if (k->scale) {                                                                                                                    \
            body(nv, BY_INPUT, __VA_ARGS__);                                                                                               \
        } else if (k->y) {                                                                                                                 \
            body(nv, BY_OUTPUT, __VA_ARGS__);                                                                                              \
        } else {                                                                                                                           \
            body(nv, ALL, __VA_ARGS__);                                                                                                    \
        }                                                                                                                                  \
    } while (0)
static void lane_back_sums(const lth_lanes *l, const lth_lane_slopes *k, double *sum, double *dot) {
    if (l->width == 32) {
        BY_MASK(back_sums_of, 32 / VL, l, k, sum, dot);
    } else {
        BY_MASK(back_sums_of, 16 / VL, l, k, sum, dot);
    }
}
/* dx (+)= a g + b (x - mean) + c; dres (+)= g. Either may be NULL. */
INLINE void back_of(const int nv, const int mask, const lth_lanes *l, const lth_lane_slopes *k) {
    vec m[MOST], a[MOST], b[MOST], c[MOST], scale[MOST], shift[MOST];
    UNROLL for (int v = 0; v < nv; v++) {
        scale[v] = mask == BY_INPUT ? v_load(k->scale + v * VL) : (vec){0}, shift[v] = mask == BY_INPUT ? v_load(k->shift + v * VL) : (vec){0};
        m[v] = v_load(k->mean + v * VL), a[v] = v_load(k->a + v * VL), b[v] = v_load(k->b + v * VL), c[v] = v_load(k->c + v * VL);
    }
    for (int64_t r = 0; r < l->rows; r++) {
        const int64_t at = r * l->at;
        UNROLL for (int v = 0; v < nv; v++) {
            const int64_t to = at + v * VL;
            const float *y = mask == BY_OUTPUT ? k->y + to : NULL;
            const vec x = v_load(l->x + to), g = passed(mask, v_load(k->dy + to), x, y, scale[v], shift[v]);
            if (k->dx) {
                const vec d = v_fma(b[v], x - m[v], v_fma(a[v], g, c[v]));
                v_store(k->dx + to, k->add_dx ? d + v_load(k->dx + to) : d);
            }
            if (k->dres) {
                v_store(k->dres + to, k->add_dres ? g + v_load(k->dres + to) : g);
            }
        }
    }
}
static void lane_back(const lth_lanes *l, const lth_lane_slopes *k) {
    if (l->width == 32) {
        BY_MASK(back_of, 32 / VL, l, k);
    } else {
        BY_MASK(back_of, 16 / VL, l, k);
    }
}

/* Dropout's factors. */
static void keep_mask(int64_t n, const uint64_t *bits, uint64_t below, float factor, float *mask) {
    for (int64_t i = 0; i < n; i++) {
        mask[i] = (int64_t)(bits[i] & 0x1fffffffffffffu) < (int64_t)below ? factor : 0.f;
    }
}

void LTH_NAME(lth_fill_channels)(lth_cpu_isa *t) {
    t->keep_mask = keep_mask;
    t->lane_sums = lane_sums;
    t->lane_apply = lane_apply;
    t->lane_back_sums = lane_back_sums;
    t->lane_back = lane_back;
}
