/* backends/cpu/matmul.h - one product of matrices on oneDNN, cut into chunks by shape. */
#ifndef LTH_CPU_MATMUL_H
#define LTH_CPU_MATMUL_H
#include "engine/backends/cpu/cpu.h"

typedef struct lth_mat { float *p; int64_t batch, batch_at, rows, cols, row_at, col_at; } lth_mat; /* strides in elements; batch >= 1 */
static inline lth_mat lth_rows(const void *p, int64_t rows, int64_t cols) { return (lth_mat){(float *)(uintptr_t)p, 1, rows * cols, rows, cols, cols, 1}; }
static inline lth_mat lth_turned(lth_mat a) { return (lth_mat){a.p, a.batch, a.batch_at, a.cols, a.rows, a.col_at, a.row_at}; }
static inline int64_t lth_matrices(const lth_array *x) { return lth_count(x) / x->shape[x->ndim - 1] / x->shape[x->ndim - 2]; } /* of a batch */
/* Elements from x's first to the matrix that matrix i of a batch shaped like `batch` has to do with; *first: none before i had to do with it. */
int64_t lth_matrix_at(const lth_array *x, const lth_array *batch, int64_t i, bool *first);
/* c = act(a b + bias), or c += a b. One stride of every matrix is 1; bias has c.cols values; act: none, relu, tanh, sigmoid. */
/* large.c: a large product on our own kernel. */
lt_status lth_cpu_large(lth_device *d, const lth_large *g, lth_error *err);
/* The same on one thread, with memory of lth_cpu_large_floats floats: for many products at once. */
size_t lth_cpu_large_floats(const lth_device *d, const lth_large *g);
void lth_cpu_large_alone(const lth_device *d, const lth_large *g, float *memory);
lt_status lth_cpu_product(lth_device *d, lth_mat a, lth_mat b, const float *bias, int act, lth_mat c, bool add, lth_error *err);
#endif
