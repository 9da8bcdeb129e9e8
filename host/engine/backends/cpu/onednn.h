/* backends/cpu/onednn.h - the only door to oneDNN: matmuls and convolutions as cached single-threaded primitives.
 * Primitives are made for one thread and run inside our own chunks, so that bits do not depend on the team. The engine exists from
 * the first primitive on, not before. Refuses implementations named ref:*: they are a hundred times slower and look like a hang. */
#ifndef LTH_CPU_ONEDNN_H
#define LTH_CPU_ONEDNN_H
#include "base/error.h"
#include <stdbool.h>

enum { LTH_ONEDNN_MAX_THREADS = 64, LTH_PRIM_MAX_ARGS = 5 };

/* What a primitive is for; all zeros but what is set, since keys are compared as bytes. */
typedef enum { LTH_PRIM_MATMUL = 1, LTH_PRIM_CONV, LTH_PRIM_CONV_DATA, LTH_PRIM_CONV_WEIGHTS } lth_prim_kind;
typedef struct lth_prim_key {
    int64_t kind;
    int64_t bias, act, accumulate;  /* act: lt_activation; accumulate: adds to what is there */
    union {
        struct { int64_t batch, m, n, k, a_batch, a_m, a_k, b_batch, b_k, b_n, c_batch, c_m; } mm; /* strides in elements; batch 0: none */
        struct { int64_t N, C, H, W, O, KH, KW, OH, OW, stride[2], padding[2], dilation[2], groups, src_c16, dst_c16; } conv;
    };
} lth_prim_key;

typedef struct lth_prim lth_prim;
typedef struct lth_onednn {
    const char *isa;                /* a lower instruction set than the machine's: oneDNN follows. NULL: the best */
    int threads;
    void *engine, *stream;
    lth_prim **table;               /* open addressing, a power of two */
    size_t capacity, count;
    void *scratch;                  /* per thread, of the largest primitive's size */
    size_t scratch_bytes;
} lth_onednn;

/* The primitive for the key, made at the first request. NULL with err filled; NULL with err untouched: oneDNN has only ref:*. */
const lth_prim *lth_onednn_get(lth_onednn *o, const lth_prim_key *key, lth_error *err);
/* Arguments in the order a, b, bias (if any), c; convolution forward src, weights, bias, dst; data: diff_dst, weights, diff_src;
 * weights: src, diff_dst, diff_weights. Convolution weights lie in the primitive's own format: see below. */
lt_status lth_onednn_run(lth_onednn *o, const lth_prim *prim, int thread, void *const *args, lth_error *err);
/* Convolution weights: bytes in the primitive's format, and the way there (or back, for LTH_PRIM_CONV_WEIGHTS) from row-major. */
size_t lth_onednn_weight_bytes(const lth_prim *prim);
lt_status lth_onednn_weights(lth_onednn *o, const lth_prim *prim, void *from, void *to, lth_error *err);
const char *lth_onednn_impl(const lth_prim *prim);
const char *lth_onednn_version(void);
void lth_onednn_close(lth_onednn *o);
#endif
