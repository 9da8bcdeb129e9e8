/* backends/cpu/cpu.h - what the files of this backend share: the device, its thread team, scratch memory, questions about arrays.
 * Bits never depend on the number of threads: work is cut into chunks by shape alone, partial sums meet in a fixed order. */
#ifndef LTH_CPU_H
#define LTH_CPU_H
#include "base/mem.h"
#include "engine/backends/backend.h"
#include "engine/backends/cpu/isa.h"
#include "engine/backends/cpu/onednn.h"
#include "engine/backends/cpu/team.h"
#include <lt/tensor.h>
#include <string.h>

typedef struct lth_cpu_block { struct lth_cpu_block *next; void *map; size_t map_bytes, bytes; void *memory; bool used; } lth_cpu_block;

struct lth_device {
    int threads;
    lth_team *team;
    lth_cpu_isa isa;
    lth_onednn onednn;
    lth_cpu_block *blocks;      /* large blocks; kept, never given back while open */
    struct { void *memory; size_t bytes; } scratch, panel; /* of one call; of one product within it */
    char description[96];
};

/* Runs body(arg, chunk, thread) for every chunk, on as many threads as serial_us (what one thread would take) is worth. */
void lth_cpu_run(lth_device *d, int64_t chunks, double serial_us, lth_cpu_body body, void *arg);
int lth_cpu_team(const lth_device *d, int64_t chunks, double serial_us);
/* At least this much, not zeroed, valid until the next request; grows in the first steps only. NULL: none left, said in err. */
void *lth_cpu_scratch(lth_device *d, size_t bytes, lth_error *err);
void *lth_cpu_panel(lth_device *d, size_t bytes, lth_error *err); /* another such, for products: their callers hold the scratch */

static inline int64_t lth_div_up(int64_t a, int64_t b) { return (a + b - 1) / b; }
static inline int64_t lth_min64(int64_t a, int64_t b) { return a < b ? a : b; }
static inline size_t lth_floats(size_t n) { return (n * sizeof(float) + 63) & ~(size_t)63; } /* bytes, whole cache lines */

static inline int64_t lth_count(const lth_array *a) {
    int64_t n = 1;
    for (int i = 0; i < a->ndim; i++) {
        n *= a->shape[i];
    }
    return n;
}
static inline bool lth_plain(const lth_array *a) { /* row-major without gaps */
    if (!a || a->layout != LTH_STRIDED) {
        return false;
    }
    int64_t expect = 1;
    for (int i = a->ndim - 1; i >= 0; i--) {
        if (a->shape[i] != 1 && a->strides[i] != expect) {
            return lth_count(a) == 0;
        }
        expect *= a->shape[i];
    }
    return true;
}
static inline bool lth_plain_f32(const lth_array *a) { return a && a->dtype == LT_F32 && lth_plain(a); }
static inline float *lth_f32(const lth_array *a) { return a->data; }
/* Floats in memory, padding counted; plain and blocked arrays only. */
int64_t lth_stored(const lth_array *a);
size_t lth_cpu_array_bytes(const lth_array *a);

/* backward: where nothing arrives, the gradients wanted are zeros. True: done. */
bool lth_cpu_no_gradient(lth_device *d, const lth_call *call);
/* y (+)= alpha x over n floats, in chunks. */
void lth_cpu_scaled(lth_device *d, int64_t n, float *y, const float *x, float alpha, bool add);
lt_status lth_cpu_sum(lth_device *d, int64_t n, const float *x, double *out, lth_error *err);

/* Arithmetic: elements.c, choose.c, copy.c, reduce.c, reduce_more.c. */
#define LTH_CPU_ARITH(X) \
    X(COPY, copy) X(CAST, cast) X(FULL, full) X(ARANGE, arange) X(ADD, binary) X(SUB, binary) X(MUL, binary) X(DIV, binary) \
    X(MAXIMUM, binary) X(MINIMUM, binary) X(POW, binary) X(EQ, compare) X(NE, compare) X(LT, compare) X(LE, compare) X(GT, compare) X(GE, compare) \
    X(LOGICAL_AND, compare) X(LOGICAL_OR, compare) X(LOGICAL_NOT, compare) X(WHERE, where) X(ADD_SCALAR, unary) X(MUL_SCALAR, unary) \
    X(NEG, unary) X(EXP, unary) X(LOG, unary) X(SQRT, unary) X(ABS, unary) X(RELU, unary) X(TANH, unary) X(SIGMOID, unary) X(GELU, unary) \
    X(POW_SCALAR, unary) X(CLAMP, unary) X(RSQRT, unary) X(SIN, unary) X(COS, unary) X(ERF, unary) X(SQUARE, unary) X(RECIPROCAL, unary) \
    X(SIGN, unary) X(FLOOR, unary) X(CEIL, unary) X(ROUND, unary) X(LEAKY_RELU, unary) X(ELU, unary) X(SILU, unary) X(SOFTPLUS, unary) \
    X(HARDSWISH, unary) X(DROPOUT, dropout) X(SUM, reduce) X(MEAN, reduce) X(ARGMAX, along) X(ARGMIN, along) X(SOFTMAX, softmax) X(LOG_SOFTMAX, softmax) \
    X(MAX, extreme) X(MIN, extreme) X(MAX_ALONG, along) X(MIN_ALONG, along) X(VAR, moments) X(STD, moments) X(PROD, prod) \
    X(LOGSUMEXP, logsumexp) X(CUMSUM, cumsum)

#define LTH_CPU_KERNELS(X) \
    LTH_CPU_ARITH(X) \
    X(LSTM, lstm) X(GRU, gru) X(MATMUL, matmul) \
    X(LINEAR, linear) X(CONV2D, conv2d) X(MAX_POOL2D, pool2d) X(AVG_POOL2D, pool2d) X(BATCH_NORM, batch_norm) X(MSE_LOSS, mse_loss) \
    X(CROSS_ENTROPY, cross_entropy) X(NLL_LOSS, nll_loss) X(L1_LOSS, pair_loss) X(SMOOTH_L1_LOSS, pair_loss) X(HUBER_LOSS, pair_loss) \
    X(BCE_LOSS, pair_loss) X(BCE_WITH_LOGITS, pair_loss) X(KL_DIV, pair_loss) X(COSINE_SIMILARITY, cosine) X(COSINE_EMBEDDING, cosine) \
    X(ACCURACY, accuracy) X(LAYER_NORM, layer_norm) X(EMBEDDING, embedding) \
    X(ATTENTION, attention) X(SELF_ATTENTION, attention) \
    X(GATHER, gather) X(SCATTER_ADD, scatter_add) X(INDEX_SELECT, index_select) X(ONE_HOT, one_hot) X(MASKED_FILL, masked_fill) \
    X(CAT, cat) X(PAD, remap) X(ROLL, remap) X(FLIP, remap) X(TRIL, triangle) X(TRIU, triangle) X(TOPK, topk) X(SORT, topk)
#define LTH_X(op, name) extern const lth_kernel lth_cpu_##name;
LTH_CPU_KERNELS(LTH_X)
#undef LTH_X
/* Rows of labels in f32, loss and gradient in one pass: loss.c; what entropy.c leaves to it. */
extern const lth_kernel lth_cpu_fused_entropy;
bool lth_cpu_entropy_is_fused(const lth_call *call);
extern const lth_kernel lth_low_linear, lth_low_matmul; /* bf16 */

/* updates.c */
lt_status lth_cpu_sgd(lth_device *d, const struct lt_span *span, const struct lt_sgd_args *args, lth_error *err);
lt_status lth_cpu_adam(lth_device *d, const struct lt_span *span, const struct lt_adam_args *args, lth_error *err);
lt_status lth_cpu_sum_squares(lth_device *d, lt_dtype dtype, const void *x, int64_t n, double *out, lth_error *err);
lt_status lth_cpu_scale(lth_device *d, lt_dtype dtype, void *x, int64_t n, double factor, lth_error *err);
lt_status lth_cpu_clamp(lth_device *d, lt_dtype dtype, void *x, int64_t n, double low, double high, lth_error *err);
lt_status lth_cpu_zero(lth_device *d, void *memory, size_t bytes, lth_error *err);
/* rules.c */
lt_status lth_cpu_rule(lth_device *d, const struct lt_span *span, const struct lth_rule *rule, lth_error *err);
/* updates_low.c: bf16. Scaling and clamping take a span with param and n alone */
struct lth_low;
void lth_cpu_update_low(lth_device *d, const struct lt_span *span, const struct lth_low *update);
lt_status lth_cpu_sum_squares_low(lth_device *d, const uint16_t *x, int64_t n, double *out, lth_error *err);
/* updates64.c */
lt_status lth_cpu_sgd64(lth_device *d, const struct lt_span *span, const struct lt_sgd_args *args);
lt_status lth_cpu_adam64(lth_device *d, const struct lt_span *span, const struct lt_adam_args *args);
lt_status lth_cpu_sum_squares64(lth_device *d, const double *x, int64_t n, double *out, lth_error *err);
void lth_cpu_scale64(lth_device *d, double *x, int64_t n, double factor);
void lth_cpu_clamp64(lth_device *d, double *x, int64_t n, double low, double high);
/* memory.c */
void *lth_cpu_alloc(lth_device *d, size_t bytes);
void lth_cpu_free(lth_device *d, void *memory, size_t bytes);
void lth_cpu_release_blocks(lth_device *d);
#endif
