/* backends/cpu/wide/gemm.h - own matrix products of f32 and f64 with packing by the caller: what oneDNN cannot do (f64) or what it would
 * need copies for (gathered operands). Bits do not depend on the number of threads: a result is summed by one chunk, in one order. */
#ifndef LTH_CPU_GEMM_H
#define LTH_CPU_GEMM_H
#include "engine/backends/cpu/cpu.h"

typedef struct lth_gemm {
    lt_dtype dtype;             /* LT_F32 or LT_F64 */
    int64_t batch, M, N, K;     /* batch products C (M, N) = A (M, K) B (K, N) */
    void *arg;
    /* Items first..first+count-1 of A's rows (B's columns) at depths at..at+depth-1 into panels of `width` items: panel p holds
     * to[(p * depth + k) * width + item]; items beyond count are zeros. */
    void (*pack_a)(const struct lth_gemm *g, int64_t batch, int64_t first, int64_t count, int64_t at, int64_t depth, void *to, int width);
    void (*pack_b)(const struct lth_gemm *g, int64_t batch, int64_t first, int64_t count, int64_t at, int64_t depth, void *to, int width);
    /* Takes rows x cols of the result: element (i, j) at tile[i * tile_at + j]. */
    void (*store)(const struct lth_gemm *g, int64_t batch, int64_t row, int64_t rows, int64_t col, int64_t cols, const void *tile, int64_t tile_at);
} lth_gemm;

/* K 0 stores zeros. Fails only for want of memory. */
lt_status lth_cpu_gemm(lth_device *d, const lth_gemm *g, lth_error *err);
/* c (M, N) (+)= a b + bias in f64: item i of a (a row) at depth k is a[i a_item + k a_depth], item j of b (a column) so; c's rows are dense. */
typedef struct lth_matrices {
    int64_t M, N, K, a_item, a_depth, b_item, b_depth, c_row;
    const double *a, *b, *bias; /* bias (N) or NULL */
    double *c;
    bool add;
} lth_matrices;
lt_status lth_multiply_f64(lth_device *d, const lth_matrices *m, lth_error *err);
/* For pack functions: from an array whose item i at depth k is from[i * item_at + k * depth_at]. */
void lth_pack_f32(const float *from, int64_t item_at, int64_t depth_at, int64_t count, int64_t depth, float *to, int width);
void lth_pack_f64(const double *from, int64_t item_at, int64_t depth_at, int64_t count, int64_t depth, double *to, int width);
/* Row `item` of a panel set, from `depth` values that lie together. */
static inline void lth_pack_row_f32(const float *row, int64_t item, int64_t depth, float *to, int width) {
    float *at = to + (item / width) * depth * width + item % width;
    for (int64_t k = 0; k < depth; k++) {
        at[k * width] = row[k];
    }
}
static inline void lth_pack_row_f64(const double *row, int64_t item, int64_t depth, double *to, int width) {
    double *at = to + (item / width) * depth * width + item % width;
    for (int64_t k = 0; k < depth; k++) {
        at[k * width] = row[k];
    }
}
#endif
