/* plugins/optim/vectors.h - flat vectors of f32 or f64 in host memory, for optimizers that think in vectors. Sums are taken in double, in
 * one order. Nothing here checks sizes. */
#ifndef OPTIM_VECTORS_H
#define OPTIM_VECTORS_H
#include <lt/optim.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static inline size_t vec_bytes(lt_dtype dtype, int64_t n) { return (size_t)n * (dtype == LT_F64 ? sizeof(double) : sizeof(float)); }

static inline double vec_dot(lt_dtype dtype, int64_t n, const void *a, const void *b) {
    double sum = 0;
    if (dtype == LT_F64) {
        for (int64_t i = 0; i < n; i++) {
            sum += ((const double *)a)[i] * ((const double *)b)[i];
        }
    } else {
        for (int64_t i = 0; i < n; i++) {
            sum += (double)((const float *)a)[i] * (double)((const float *)b)[i];
        }
    }
    return sum;
}

/* y += alpha x */
static inline void vec_add(lt_dtype dtype, int64_t n, void *y, double alpha, const void *x) {
    if (dtype == LT_F64) {
        for (int64_t i = 0; i < n; i++) {
            ((double *)y)[i] += alpha * ((const double *)x)[i];
        }
    } else {
        for (int64_t i = 0; i < n; i++) {
            ((float *)y)[i] += (float)alpha * ((const float *)x)[i];
        }
    }
}

/* y = alpha x */
static inline void vec_scale(lt_dtype dtype, int64_t n, void *y, double alpha, const void *x) {
    if (dtype == LT_F64) {
        for (int64_t i = 0; i < n; i++) {
            ((double *)y)[i] = alpha * ((const double *)x)[i];
        }
    } else {
        for (int64_t i = 0; i < n; i++) {
            ((float *)y)[i] = (float)alpha * ((const float *)x)[i];
        }
    }
}

/* The largest of the absolute values, and their sum; NaN where there is one. */
static inline double vec_abs(lt_dtype dtype, int64_t n, const void *x, double *sum) {
    double top = 0, total = 0;
    for (int64_t i = 0; i < n; i++) {
        double a = fabs(dtype == LT_F64 ? ((const double *)x)[i] : (double)((const float *)x)[i]);
        top = a > top || isnan(a) ? a : top;
        total += a;
    }
    if (sum) {
        *sum = total;
    }
    return isnan(total) ? total : top;
}
#endif
