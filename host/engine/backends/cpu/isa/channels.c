/* backends/cpu/isa/channels.c - batch norm's passes over lanes: rows of 16 or 32 floats that lie `at` apart, a lane being a channel (or, in
 * LTH_N16C, an image of one channel). Sums of blocks of rows are kept in float, sums of blocks in double. */
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
/* g is dy where y > 0 (y NULL: everywhere). sum += g, dot += g (x - mean) */
INLINE void back_sums_of(const int nv, const int masked, const lth_lanes *l, const float *dy, const float *y, const float *mean, double *sum, double *dot) {
    vec m[MOST];
    UNROLL for (int v = 0; v < nv; v++) { m[v] = v_load(mean + v * VL); }
    for (int64_t r = 0; r < l->rows; r += BLOCK) {
        const int64_t end = l->rows - r < BLOCK ? l->rows : r + BLOCK;
        vec s[MOST], q[MOST];
        UNROLL for (int v = 0; v < nv; v++) { s[v] = q[v] = (vec){0}; }
        for (int64_t k = r; k < end; k++) {
            const int64_t at = k * l->at;
            UNROLL for (int v = 0; v < nv; v++) {
                vec g = v_load(dy + at + v * VL);
                g = masked ? v_keep(v_gt(v_load(y + at + v * VL), (vec){0}), g) : g;
                s[v] += g;
                q[v] = v_fma(g, v_load(l->x + at + v * VL) - m[v], q[v]);
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
static void lane_back_sums(const lth_lanes *l, const float *dy, const float *y, const float *mean, double *sum, double *dot) {
    if (l->width == 32) {
        y ? back_sums_of(32 / VL, 1, l, dy, y, mean, sum, dot) : back_sums_of(32 / VL, 0, l, dy, NULL, mean, sum, dot);
    } else {
        y ? back_sums_of(16 / VL, 1, l, dy, y, mean, sum, dot) : back_sums_of(16 / VL, 0, l, dy, NULL, mean, sum, dot);
    }
}
/* dx (+)= a g + b (x - mean) + c; dres (+)= g. Either may be NULL. */
INLINE void back_of(const int nv, const int masked, const lth_lanes *l, const lth_lane_slopes *k) {
    vec m[MOST], a[MOST], b[MOST], c[MOST];
    UNROLL for (int v = 0; v < nv; v++) {
        m[v] = v_load(k->mean + v * VL), a[v] = v_load(k->a + v * VL), b[v] = v_load(k->b + v * VL), c[v] = v_load(k->c + v * VL);
    }
    for (int64_t r = 0; r < l->rows; r++) {
        const int64_t at = r * l->at;
        UNROLL for (int v = 0; v < nv; v++) {
            const int64_t to = at + v * VL;
            vec g = v_load(k->dy + to);
            g = masked ? v_keep(v_gt(v_load(k->y + to), (vec){0}), g) : g;
            if (k->dx) {
                vec d = v_fma(b[v], v_load(l->x + to) - m[v], v_fma(a[v], g, c[v]));
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
        k->y ? back_of(32 / VL, 1, l, k) : back_of(32 / VL, 0, l, k);
    } else {
        k->y ? back_of(16 / VL, 1, l, k) : back_of(16 / VL, 0, l, k);
    }
}

void LTH_NAME(lth_fill_channels)(lth_cpu_isa *t) {
    t->lane_sums = lane_sums;
    t->lane_apply = lane_apply;
    t->lane_back_sums = lane_back_sums;
    t->lane_back = lane_back;
}
