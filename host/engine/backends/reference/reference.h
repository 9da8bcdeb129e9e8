/* engine/backends/reference/reference.h - what the reference kernels share: elements of any dtype as double or int64, and walks over
 * shapes. Everything here is slow and plain on purpose: this backend is what the fast ones are compared with.
 * Sums are kept in double; a value is rounded once, when it is stored. Nothing here allocates. */
#ifndef LTH_REFERENCE_H
#define LTH_REFERENCE_H
#include "base/str.h"
#include "engine/backends/backend.h"
#include <lt/tensor.h>
#include <math.h>
#include <string.h>

/* ---- elements ---- */
static inline bool ref_is_float(lt_dtype dtype) { return dtype >= LT_F64 && dtype <= LT_BF16; }
double ref_load(const void *data, lt_dtype dtype, int64_t at);
void ref_store(void *data, lt_dtype dtype, int64_t at, double value);
int64_t ref_load_int(const void *data, lt_dtype dtype, int64_t at);
void ref_store_int(void *data, lt_dtype dtype, int64_t at, int64_t value);
double ref_round(lt_dtype dtype, double value);      /* as stored and read back */

static inline double ref_get(const lth_array *a, int64_t at) { return ref_load(a->data, a->dtype, at); }
static inline void ref_set(const lth_array *a, int64_t at, double value) { ref_store(a->data, a->dtype, at, value); }
/* A gradient's element: written, or added to what stands there. */
static inline void ref_give(const lth_array *a, int64_t at, double value, bool accumulate) {
    ref_set(a, at, accumulate ? ref_get(a, at) + value : value);
}

static inline int64_t ref_numel(const lth_array *a) {
    int64_t n = 1;
    for (int d = 0; d < a->ndim; d++) {
        n *= a->shape[d];
    }
    return n;
}

/* ---- walks: an odometer over a shape, with the place of up to four arrays that broadcast to it ---- */
enum { REF_ARRAYS = 6 };
typedef struct ref_walk {
    int ndim, n_arrays;
    int64_t shape[LT_MAX_DIMS], index[LT_MAX_DIMS];
    int64_t stride[REF_ARRAYS][LT_MAX_DIMS]; /* 0 where the array broadcasts */
    int64_t at[REF_ARRAYS];                  /* element offsets */
} ref_walk;

void ref_walk_init(ref_walk *w, int ndim, const int64_t *shape);
int ref_walk_add(ref_walk *w, const lth_array *a);   /* aligned at the last dimension; returns its number */
bool ref_walk_start(ref_walk *w);                    /* false: nothing to visit */
bool ref_walk_next(ref_walk *w);
/* The walk over only those dimensions whose bit is set in mask, beginning at the places given by `outer`; and the walk over the others. */
void ref_walk_part(ref_walk *part, const ref_walk *whole, unsigned mask);
void ref_walk_enter(ref_walk *inner, const ref_walk *outer);
#define REF_EACH(w) REF__EACH(w, __LINE__)
#define REF__EACH(w, line) REF__LOOP(w, line)
#define REF__LOOP(w, line) for (bool more_##line = ref_walk_start(w); more_##line; more_##line = ref_walk_next(w))

/* ---- reductions: attributes [i0 number of dims, i1.. dims, i9 keepdim] ---- */
unsigned ref_reduced_dims(const lth_call *call);                             /* their bits; none given: all */
int ref_add_reduced(ref_walk *w, const lth_array *small, unsigned mask);     /* an output, with or without those dimensions, to a walk over the input */
int64_t ref_reduced_count(const lth_call *call, unsigned mask);              /* elements that meet in one */

/* ---- matrices: the last two dimensions of an array at one batch ---- */
typedef struct ref_mat { void *data; lt_dtype dtype; int64_t at, rows, cols, row_stride, col_stride; } ref_mat;
static inline int64_t ref_mat_at(const ref_mat *m, int64_t i, int64_t j) { return m->at + i * m->row_stride + j * m->col_stride; }
static inline double ref_mat_get(const ref_mat *m, int64_t i, int64_t j) { return ref_load(m->data, m->dtype, ref_mat_at(m, i, j)); }
static inline void ref_mat_give(const ref_mat *m, int64_t i, int64_t j, double value, bool accumulate) {
    ref_store(m->data, m->dtype, ref_mat_at(m, i, j), accumulate ? ref_mat_get(m, i, j) + value : value);
}
/* Place of row `row` when all dimensions but the last are taken as one (0-d and 1-d arrays have one row). */
int64_t ref_row_at(const lth_array *a, int64_t row);

/* ---- images: (N, C, H, W), or (C, H, W) as one image ---- */
typedef struct ref_image { const lth_array *a; int64_t n, c, h, w, sn, sc, sh, sw; } ref_image;
ref_image ref_image_of(const lth_array *a);
static inline int64_t ref_image_at(const ref_image *i, int64_t n, int64_t c, int64_t y, int64_t x) {
    return n * i->sn + c * i->sc + y * i->sh + x * i->sw;
}

/* ---- activations: value and derivative at the value z before it ---- */
double ref_activate(int64_t act, double z);
double ref_activate_slope(int64_t act, double z);

/* Accepts every call whose arrays are all LTH_STRIDED. */
bool ref_plan(lth_device *device, lth_call *call);
/* Asks for `bytes` of workspace besides. */
bool ref_plan_with(lth_call *call, int64_t bytes);

#define REF_KERNEL(name) extern const lth_kernel ref_##name;
#define REF_KERNELS(X) \
    X(copy) X(cast) X(full) X(arange) X(cat) \
    X(binary) X(compare) X(where) X(unary) X(logical_not) X(dropout) \
    X(sum) X(mean) X(argmax) X(softmax) X(log_softmax) X(extreme) X(extreme_along) X(moments) X(prod) X(logsumexp) X(cumsum) \
    X(matmul) X(linear) X(conv2d) X(max_pool2d) X(avg_pool2d) X(batch_norm) X(layer_norm) \
    X(mse_loss) X(cross_entropy) X(accuracy) X(embedding) X(attention) X(lstm) X(gru) \
    X(gather) X(scatter_add) X(index_select) X(masked_fill) X(pad) X(roll) X(flip) X(tril) X(triu) X(one_hot) X(topk) X(sort) \
    X(nll_loss) X(l1_loss) X(smooth_l1_loss) X(huber_loss) X(bce_loss) X(bce_with_logits) X(kl_div) X(cosine_similarity) X(cosine_embedding) \
    X(conv_transpose2d) X(adaptive_pool2d) X(interpolate) X(group_norm) X(rms_norm)
REF_KERNELS(REF_KERNEL)
#undef REF_KERNEL

struct lt_span; struct lt_sgd_args; struct lt_adam_args;
lt_status ref_sgd(lth_device *device, const struct lt_span *span, const struct lt_sgd_args *args, lth_error *err);
lt_status ref_adam(lth_device *device, const struct lt_span *span, const struct lt_adam_args *args, lth_error *err);
lt_status ref_rule_low(const struct lt_span *span, const struct lth_rule *rule); /* bf16 */
lt_status ref_rule(lth_device *device, const struct lt_span *span, const struct lth_rule *rule, lth_error *err);
lt_status ref_sum_squares(lth_device *device, lt_dtype dtype, const void *x, int64_t n, double *out, lth_error *err);
lt_status ref_scale(lth_device *device, lt_dtype dtype, void *x, int64_t n, double factor, lth_error *err);
lt_status ref_clamp(lth_device *device, lt_dtype dtype, void *x, int64_t n, double low, double high, lth_error *err);
lt_status ref_zero(lth_device *device, void *memory, size_t bytes, lth_error *err);
size_t ref_array_bytes(const lth_array *array);
#endif
