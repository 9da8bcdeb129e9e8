/* lt/tensor.h - tensors and the operations on them (table lt.tensor/1).
 * All functions here: [trainer]; tensors given are borrowed; tensors returned are the host's and live until the
 * on_*_batch_end hooks of the step are over (made outside a step: until the hook returns). lt_retain keeps one longer.
 * Shapes broadcast as NumPy's where two operands meet. This header does not make parameters (lt/nn.h) nor gradients (lt/autograd.h). */
#ifndef LT_TENSOR_H
#define LT_TENSOR_H
#include <lt/base.h>

LT_BEGIN
/* Raw memory of a tensor. The nested part has the layout of a DLTensor. */
enum { LT_READ = 1, LT_WRITE = 2 };
typedef struct lt_view {
    uint32_t struct_size;
    int32_t access; /* LT_READ, LT_WRITE or both */
    void *data;     /* host memory on CPU, device memory on CUDA */
    struct { int32_t device_type, device_id; } device; /* 1 CPU, 2 CUDA */
    int32_t ndim;
    struct { uint8_t code, bits; uint16_t lanes; } dtype; /* 0 int, 1 uint, 2 float, 4 bfloat, 6 bool */
    int64_t *shape, *strides; /* in elements; host, valid as long as the tensor */
    uint64_t byte_offset;
    void *stream; /* NULL on CPU; else the stream on which access is ordered */
} lt_view;

typedef int32_t lt_activation;
enum { LT_ACT_NONE = 0, LT_ACT_RELU = 1, LT_ACT_TANH = 2, LT_ACT_SIGMOID = 3, LT_ACT_GELU = 4, LT_ACT_GELU_TANH = 5,
       LT_ACT_LEAKY_RELU = 6, LT_ACT_ELU = 7, LT_ACT_SILU = 8, LT_ACT_SOFTPLUS = 9, LT_ACT_HARDSWISH = 10 };
typedef int32_t lt_reduction;
enum { LT_MEAN = 0, LT_SUM = 1, LT_NONE = 2, LT_BATCHMEAN = 3 }; /* LT_BATCHMEAN: the sum over the first size; lt_kl_div only */

typedef struct lt_conv2d_opts { /* 0 means the default in brackets */
    uint32_t struct_size;
    int32_t stride[2], padding[2], dilation[2]; /* [1], [0], [1] */
    int32_t groups;                             /* [1] */
} lt_conv2d_opts;
typedef struct lt_pool2d_opts {
    uint32_t struct_size;
    int32_t kernel[2], stride[2], padding[2]; /* stride [kernel], padding [0] */
    uint8_t ceil_mode, exclude_pad, reserved[2];
} lt_pool2d_opts;
typedef struct lt_cross_entropy_opts {
    uint32_t struct_size;
    lt_reduction reduction; /* [LT_MEAN] */
    double label_smoothing; /* [0] */
    int64_t ignore_index;   /* used only with has_ignore_index */
    uint8_t has_ignore_index, reserved[7];
    lt_tensor *weight; /* (C) f32 or NULL */
} lt_cross_entropy_opts;
typedef struct lt_loss_opts { /* 0 means the default in brackets; a loss reads those that are its own */
    uint32_t struct_size;
    lt_reduction reduction; /* [LT_MEAN] */
    double beta;            /* [1] lt_smooth_l1_loss: quadratic within */
    double delta;           /* [1] lt_huber_loss: quadratic within */
    double margin;          /* [0] lt_cosine_embedding_loss */
    lt_tensor *weight;      /* lt_bce_loss, lt_bce_with_logits: broadcasts to x, or NULL */
    lt_tensor *pos_weight;  /* lt_bce_with_logits: of the target's positive part, broadcasts to x, or NULL */
    uint8_t log_target, reserved[7]; /* lt_kl_div: the target holds logarithms */
} lt_loss_opts;
typedef int32_t lt_pad_mode;
enum { LT_PAD_CONSTANT = 0, LT_PAD_REFLECT = 1, LT_PAD_REPLICATE = 2, LT_PAD_CIRCULAR = 3 };
typedef struct lt_embedding_opts {
    uint32_t struct_size;
    uint8_t has_padding_idx, reserved[3];
    int64_t padding_idx; /* used only with has_padding_idx: this row gets no gradient; < 0 counts from the end */
} lt_embedding_opts;

typedef struct lt_attention_opts { /* 0 means the default in brackets */
    uint32_t struct_size;
    uint8_t causal, reserved[3]; /* [no] row i looks at keys 0..i only */
    double scale;                /* [1/sqrt D] */
    lt_tensor *mask;             /* [NULL] broadcasts to (B, heads, T, S): bool, true where a key may be looked at, or added to the scores */
} lt_attention_opts;

struct lt_conv1d_opts; struct lt_conv_transpose1d_opts; struct lt_conv_transpose2d_opts; struct lt_pool1d_opts; struct lt_interpolate_opts;

typedef struct lt_tensor_api {
    uint32_t struct_size;
    uint32_t reserved;
    /* -- facts -- */
    int32_t (*ndim)(lt_ctx *ctx, const lt_tensor *x);
    int64_t (*size)(lt_ctx *ctx, const lt_tensor *x, int32_t dim); /* dim < 0 counts from the end */
    int64_t (*numel)(lt_ctx *ctx, const lt_tensor *x);
    lt_dtype (*dtype)(lt_ctx *ctx, const lt_tensor *x);
    double (*item)(lt_ctx *ctx, lt_tensor *x); /* the value of a one-element tensor; reads the device */
    const double *(*doubles)(lt_ctx *ctx, lt_tensor *x);
    lt_status (*raw)(lt_ctx *ctx, lt_tensor *x, int32_t access, lt_view *out);
    lt_tensor *(*retain)(lt_ctx *ctx, lt_tensor *x);
    void (*release)(lt_ctx *ctx, lt_tensor *x);
    /* -- making -- */
    lt_tensor *(*full)(lt_ctx *ctx, lt_dtype dtype, int32_t ndim, const int64_t *shape, double value);
    lt_tensor *(*from_data)(lt_ctx *ctx, lt_dtype dtype, int32_t ndim, const int64_t *shape, const void *data); /* copies */
    lt_tensor *(*arange)(lt_ctx *ctx, lt_dtype dtype, double start, double end, double step);
    lt_tensor *(*rand)(lt_ctx *ctx, int32_t ndim, const int64_t *shape);  /* U[0,1) f32, PyTorch's bits */
    lt_tensor *(*randn)(lt_ctx *ctx, int32_t ndim, const int64_t *shape); /* N(0,1) f32 */
    lt_tensor *(*cast)(lt_ctx *ctx, lt_tensor *x, lt_dtype dtype);
    lt_tensor *(*clone)(lt_ctx *ctx, lt_tensor *x);
    /* -- arithmetic, broadcasting -- */
    lt_tensor *(*add)(lt_ctx *ctx, lt_tensor *a, lt_tensor *b);
    lt_tensor *(*sub)(lt_ctx *ctx, lt_tensor *a, lt_tensor *b);
    lt_tensor *(*mul)(lt_ctx *ctx, lt_tensor *a, lt_tensor *b);
    lt_tensor *(*div)(lt_ctx *ctx, lt_tensor *a, lt_tensor *b);
    lt_tensor *(*add_scalar)(lt_ctx *ctx, lt_tensor *x, double value);
    lt_tensor *(*mul_scalar)(lt_ctx *ctx, lt_tensor *x, double value);
    lt_tensor *(*eq)(lt_ctx *ctx, lt_tensor *a, lt_tensor *b); /* -> bool */
    /* -- element by element -- */
    lt_tensor *(*neg)(lt_ctx *ctx, lt_tensor *x);
    lt_tensor *(*exp)(lt_ctx *ctx, lt_tensor *x);
    lt_tensor *(*log)(lt_ctx *ctx, lt_tensor *x);
    lt_tensor *(*sqrt)(lt_ctx *ctx, lt_tensor *x);
    lt_tensor *(*abs)(lt_ctx *ctx, lt_tensor *x);
    lt_tensor *(*relu)(lt_ctx *ctx, lt_tensor *x);
    lt_tensor *(*tanh)(lt_ctx *ctx, lt_tensor *x);
    lt_tensor *(*sigmoid)(lt_ctx *ctx, lt_tensor *x);
    lt_tensor *(*gelu)(lt_ctx *ctx, lt_tensor *x, bool tanh_approx);
    lt_tensor *(*dropout)(lt_ctx *ctx, lt_tensor *x, double p, bool training);
    /* -- reductions; ndims 0 means all dimensions -- */
    lt_tensor *(*sum)(lt_ctx *ctx, lt_tensor *x, const int32_t *dims, int32_t ndims, bool keepdim);
    lt_tensor *(*mean)(lt_ctx *ctx, lt_tensor *x, const int32_t *dims, int32_t ndims, bool keepdim);
    lt_tensor *(*argmax)(lt_ctx *ctx, lt_tensor *x, int32_t dim, bool keepdim); /* -> i64; the first of equals */
    lt_tensor *(*softmax)(lt_ctx *ctx, lt_tensor *x, int32_t dim);
    lt_tensor *(*log_softmax)(lt_ctx *ctx, lt_tensor *x, int32_t dim);
    /* -- shape -- */
    lt_tensor *(*reshape)(lt_ctx *ctx, lt_tensor *x, int32_t ndim, const int64_t *shape); /* one -1 allowed */
    lt_tensor *(*flatten)(lt_ctx *ctx, lt_tensor *x, int32_t start_dim);
    lt_tensor *(*transpose)(lt_ctx *ctx, lt_tensor *x, int32_t dim0, int32_t dim1);
    lt_tensor *(*permute)(lt_ctx *ctx, lt_tensor *x, const int32_t *dims);
    lt_tensor *(*slice)(lt_ctx *ctx, lt_tensor *x, int32_t dim, int64_t start, int64_t end);
    lt_tensor *(*cat)(lt_ctx *ctx, lt_tensor *const *items, int32_t count, int32_t dim);
    /* -- linear algebra and layers -- */
    lt_tensor *(*matmul)(lt_ctx *ctx, lt_tensor *a, lt_tensor *b);
    lt_tensor *(*linear)(lt_ctx *ctx, lt_tensor *x, lt_tensor *weight, lt_tensor *bias, lt_activation act);
    lt_tensor *(*conv2d)(lt_ctx *ctx, lt_tensor *x, lt_tensor *weight, lt_tensor *bias, const lt_conv2d_opts *opts);
    lt_tensor *(*max_pool2d)(lt_ctx *ctx, lt_tensor *x, const lt_pool2d_opts *opts);
    lt_tensor *(*avg_pool2d)(lt_ctx *ctx, lt_tensor *x, const lt_pool2d_opts *opts);
    /* -- losses and measures -- */
    lt_tensor *(*mse_loss)(lt_ctx *ctx, lt_tensor *x, lt_tensor *target, lt_reduction reduction);
    lt_tensor *(*cross_entropy)(lt_ctx *ctx, lt_tensor *logits, lt_tensor *target, const lt_cross_entropy_opts *opts);
    lt_tensor *(*accuracy)(lt_ctx *ctx, lt_tensor *logits, lt_tensor *target);
    /* -- transformers -- */
    lt_tensor *(*layer_norm)(lt_ctx *ctx, lt_tensor *x, lt_tensor *weight, lt_tensor *bias, double eps);
    lt_tensor *(*embedding)(lt_ctx *ctx, lt_tensor *indices, lt_tensor *weight, const lt_embedding_opts *opts);
    lt_tensor *(*attention)(lt_ctx *ctx, lt_tensor *q, lt_tensor *k, lt_tensor *v, const lt_attention_opts *opts);
    lt_tensor *(*self_attention)(lt_ctx *ctx, lt_tensor *qkv, int64_t heads, const lt_attention_opts *opts);
    /* -- comparisons -> bool, and choices; broadcasting -- */
    lt_tensor *(*ne)(lt_ctx *ctx, lt_tensor *a, lt_tensor *b);
    lt_tensor *(*lt)(lt_ctx *ctx, lt_tensor *a, lt_tensor *b);
    lt_tensor *(*le)(lt_ctx *ctx, lt_tensor *a, lt_tensor *b);
    lt_tensor *(*gt)(lt_ctx *ctx, lt_tensor *a, lt_tensor *b);
    lt_tensor *(*ge)(lt_ctx *ctx, lt_tensor *a, lt_tensor *b);
    lt_tensor *(*logical_and)(lt_ctx *ctx, lt_tensor *a, lt_tensor *b);
    lt_tensor *(*logical_or)(lt_ctx *ctx, lt_tensor *a, lt_tensor *b);
    lt_tensor *(*logical_not)(lt_ctx *ctx, lt_tensor *x);
    lt_tensor *(*where)(lt_ctx *ctx, lt_tensor *condition, lt_tensor *a, lt_tensor *b);
    lt_tensor *(*maximum)(lt_ctx *ctx, lt_tensor *a, lt_tensor *b);
    lt_tensor *(*minimum)(lt_ctx *ctx, lt_tensor *a, lt_tensor *b);
    lt_tensor *(*pow)(lt_ctx *ctx, lt_tensor *a, lt_tensor *b);
    /* -- more element by element -- */
    lt_tensor *(*pow_scalar)(lt_ctx *ctx, lt_tensor *x, double exponent);
    lt_tensor *(*clamp)(lt_ctx *ctx, lt_tensor *x, double low, double high); /* an infinite bound is none */
    lt_tensor *(*rsqrt)(lt_ctx *ctx, lt_tensor *x);
    lt_tensor *(*sin)(lt_ctx *ctx, lt_tensor *x);
    lt_tensor *(*cos)(lt_ctx *ctx, lt_tensor *x);
    lt_tensor *(*erf)(lt_ctx *ctx, lt_tensor *x);
    lt_tensor *(*square)(lt_ctx *ctx, lt_tensor *x);
    lt_tensor *(*reciprocal)(lt_ctx *ctx, lt_tensor *x);
    lt_tensor *(*sign)(lt_ctx *ctx, lt_tensor *x);
    lt_tensor *(*floor)(lt_ctx *ctx, lt_tensor *x);
    lt_tensor *(*ceil)(lt_ctx *ctx, lt_tensor *x);
    lt_tensor *(*round)(lt_ctx *ctx, lt_tensor *x);
    lt_tensor *(*leaky_relu)(lt_ctx *ctx, lt_tensor *x, double slope);
    lt_tensor *(*elu)(lt_ctx *ctx, lt_tensor *x, double alpha);
    lt_tensor *(*silu)(lt_ctx *ctx, lt_tensor *x);
    lt_tensor *(*softplus)(lt_ctx *ctx, lt_tensor *x, double beta, double threshold);
    lt_tensor *(*hardswish)(lt_ctx *ctx, lt_tensor *x);
    /* -- more reductions; ndims 0 means all dimensions -- */
    lt_tensor *(*argmin)(lt_ctx *ctx, lt_tensor *x, int32_t dim, bool keepdim);
    lt_tensor *(*max)(lt_ctx *ctx, lt_tensor *x, const int32_t *dims, int32_t ndims, bool keepdim);
    lt_tensor *(*min)(lt_ctx *ctx, lt_tensor *x, const int32_t *dims, int32_t ndims, bool keepdim);
    lt_tensor *(*max_along)(lt_ctx *ctx, lt_tensor *x, int32_t dim, bool keepdim, lt_tensor **indices);
    lt_tensor *(*min_along)(lt_ctx *ctx, lt_tensor *x, int32_t dim, bool keepdim, lt_tensor **indices);
    lt_tensor *(*var)(lt_ctx *ctx, lt_tensor *x, const int32_t *dims, int32_t ndims, bool keepdim, double correction);
    lt_tensor *(*std)(lt_ctx *ctx, lt_tensor *x, const int32_t *dims, int32_t ndims, bool keepdim, double correction);
    lt_tensor *(*prod)(lt_ctx *ctx, lt_tensor *x, const int32_t *dims, int32_t ndims, bool keepdim);
    lt_tensor *(*logsumexp)(lt_ctx *ctx, lt_tensor *x, const int32_t *dims, int32_t ndims, bool keepdim);
    lt_tensor *(*cumsum)(lt_ctx *ctx, lt_tensor *x, int32_t dim);
    /* -- indexing and shape (lt/indexing.h) -- */
    lt_tensor *(*expand)(lt_ctx *ctx, lt_tensor *x, int32_t ndim, const int64_t *shape);
    lt_tensor *(*unsqueeze)(lt_ctx *ctx, lt_tensor *x, int32_t dim);
    lt_tensor *(*squeeze)(lt_ctx *ctx, lt_tensor *x, int32_t dim);
    lt_tensor *(*slice_step)(lt_ctx *ctx, lt_tensor *x, int32_t dim, int64_t start, int64_t end, int64_t step);
    int32_t (*split)(lt_ctx *ctx, lt_tensor *x, int64_t size, int32_t dim, lt_tensor **parts, int32_t room);
    lt_tensor *(*stack)(lt_ctx *ctx, lt_tensor *const *items, int32_t count, int32_t dim);
    lt_tensor *(*gather)(lt_ctx *ctx, lt_tensor *x, int32_t dim, lt_tensor *index);
    lt_tensor *(*scatter_add)(lt_ctx *ctx, lt_tensor *x, int32_t dim, lt_tensor *index, lt_tensor *src);
    lt_tensor *(*index_select)(lt_ctx *ctx, lt_tensor *x, int32_t dim, lt_tensor *index);
    lt_tensor *(*masked_fill)(lt_ctx *ctx, lt_tensor *x, lt_tensor *mask, double value);
    lt_tensor *(*pad)(lt_ctx *ctx, lt_tensor *x, const int64_t *pads, int32_t count, lt_pad_mode mode, double value);
    lt_tensor *(*roll)(lt_ctx *ctx, lt_tensor *x, const int64_t *shifts, const int32_t *dims, int32_t ndims);
    lt_tensor *(*flip)(lt_ctx *ctx, lt_tensor *x, const int32_t *dims, int32_t ndims);
    lt_tensor *(*tril)(lt_ctx *ctx, lt_tensor *x, int64_t diagonal);
    lt_tensor *(*triu)(lt_ctx *ctx, lt_tensor *x, int64_t diagonal);
    lt_tensor *(*one_hot)(lt_ctx *ctx, lt_tensor *index, int64_t classes);
    lt_tensor *(*topk)(lt_ctx *ctx, lt_tensor *x, int64_t k, int32_t dim, bool largest, lt_tensor **indices);
    lt_tensor *(*sort)(lt_ctx *ctx, lt_tensor *x, int32_t dim, bool descending, lt_tensor **indices);
    /* -- losses (lt/losses.h) -- */
    lt_tensor *(*nll_loss)(lt_ctx *ctx, lt_tensor *x, lt_tensor *target, const lt_cross_entropy_opts *opts);
    lt_tensor *(*l1_loss)(lt_ctx *ctx, lt_tensor *x, lt_tensor *target, const lt_loss_opts *opts);
    lt_tensor *(*smooth_l1_loss)(lt_ctx *ctx, lt_tensor *x, lt_tensor *target, const lt_loss_opts *opts);
    lt_tensor *(*huber_loss)(lt_ctx *ctx, lt_tensor *x, lt_tensor *target, const lt_loss_opts *opts);
    lt_tensor *(*bce_loss)(lt_ctx *ctx, lt_tensor *x, lt_tensor *target, const lt_loss_opts *opts);
    lt_tensor *(*bce_with_logits)(lt_ctx *ctx, lt_tensor *x, lt_tensor *target, const lt_loss_opts *opts);
    lt_tensor *(*kl_div)(lt_ctx *ctx, lt_tensor *x, lt_tensor *target, const lt_loss_opts *opts);
    lt_tensor *(*cosine_similarity)(lt_ctx *ctx, lt_tensor *a, lt_tensor *b, int32_t dim, double eps);
    lt_tensor *(*cosine_embedding_loss)(lt_ctx *ctx, lt_tensor *a, lt_tensor *b, lt_tensor *target, const lt_loss_opts *opts);
    /* -- in place -- */
    lt_tensor *(*add_)(lt_ctx *ctx, lt_tensor *x, lt_tensor *other);
    lt_tensor *(*sub_)(lt_ctx *ctx, lt_tensor *x, lt_tensor *other);
    lt_tensor *(*mul_)(lt_ctx *ctx, lt_tensor *x, lt_tensor *other);
    lt_tensor *(*div_)(lt_ctx *ctx, lt_tensor *x, lt_tensor *other);
    lt_tensor *(*add_scalar_)(lt_ctx *ctx, lt_tensor *x, double value);
    lt_tensor *(*mul_scalar_)(lt_ctx *ctx, lt_tensor *x, double value);
    lt_tensor *(*relu_)(lt_ctx *ctx, lt_tensor *x);
    lt_tensor *(*clamp_)(lt_ctx *ctx, lt_tensor *x, double low, double high);
    lt_tensor *(*copy_)(lt_ctx *ctx, lt_tensor *x, lt_tensor *source);
    lt_tensor *(*fill_)(lt_ctx *ctx, lt_tensor *x, double value);
    /* -- more layers (lt/layers.h) -- */
    lt_tensor *(*conv1d)(lt_ctx *ctx, lt_tensor *x, lt_tensor *weight, lt_tensor *bias, const struct lt_conv1d_opts *opts);
    lt_tensor *(*conv_transpose1d)(lt_ctx *ctx, lt_tensor *x, lt_tensor *weight, lt_tensor *bias, const struct lt_conv_transpose1d_opts *opts);
    lt_tensor *(*conv_transpose2d)(lt_ctx *ctx, lt_tensor *x, lt_tensor *weight, lt_tensor *bias, const struct lt_conv_transpose2d_opts *opts);
    lt_tensor *(*max_pool1d)(lt_ctx *ctx, lt_tensor *x, const struct lt_pool1d_opts *opts);
    lt_tensor *(*avg_pool1d)(lt_ctx *ctx, lt_tensor *x, const struct lt_pool1d_opts *opts);
    lt_tensor *(*adaptive_avg_pool1d)(lt_ctx *ctx, lt_tensor *x, int64_t size);
    lt_tensor *(*adaptive_avg_pool2d)(lt_ctx *ctx, lt_tensor *x, int64_t height, int64_t width);
    lt_tensor *(*adaptive_max_pool2d)(lt_ctx *ctx, lt_tensor *x, int64_t height, int64_t width);
    lt_tensor *(*interpolate)(lt_ctx *ctx, lt_tensor *x, const struct lt_interpolate_opts *opts);
    lt_tensor *(*group_norm)(lt_ctx *ctx, lt_tensor *x, int64_t groups, lt_tensor *weight, lt_tensor *bias, double eps);
    lt_tensor *(*instance_norm)(lt_ctx *ctx, lt_tensor *x, lt_tensor *weight, lt_tensor *bias, double eps);
    lt_tensor *(*rms_norm)(lt_ctx *ctx, lt_tensor *x, lt_tensor *weight, double eps);
    lt_tensor *(*layer_norm_over)(lt_ctx *ctx, lt_tensor *x, int32_t ndims, lt_tensor *weight, lt_tensor *bias, double eps);
} lt_tensor_api;
extern LT_HIDDEN const struct lt_tensor_api *lt__tensor LT__NEEDS_PLUGIN("lt__tensor");

/* ---- facts [trainer] ----
 * x is borrowed; NULL gives 0. */
/* Number of dimensions; 0 for a scalar. */
LT_INLINE int32_t lt_ndim(lt_ctx *ctx, const lt_tensor *x) { return lt__tensor->ndim(ctx, x); }
/* Elements along dim; dim < 0 counts from the end. LT_EINDEX. */
LT_INLINE int64_t lt_size(lt_ctx *ctx, const lt_tensor *x, int32_t dim) { return lt__tensor->size(ctx, x, dim); }
/* Elements in all. */
LT_INLINE int64_t lt_numel(lt_ctx *ctx, const lt_tensor *x) { return lt__tensor->numel(ctx, x); }
/* The dtype, LT_F32 and so on. */
LT_INLINE lt_dtype lt_dtype_of(lt_ctx *ctx, const lt_tensor *x) { return lt__tensor->dtype(ctx, x); }
/* The value of a one-element tensor as a double; waits for the device, so best not in every step. NAN and LT_ESHAPE otherwise. */
LT_INLINE double lt_item(lt_ctx *ctx, lt_tensor *x) { return lt__tensor->item(ctx, x); }
/* All elements of x as doubles in host memory, row-major, whatever its dtype and device; waits for the device. For what is counted and
 * measured rather than trained. The host's, until the step's end. NULL and LT_ENOMEM. */
LT_INLINE const double *lt_doubles(lt_ctx *ctx, lt_tensor *x) { return lt__tensor->doubles(ctx, x); }
/* Fills out (its struct_size set by the caller) with the memory of x, valid as long as x; access is LT_READ, LT_WRITE or both. x is made
 * row-major contiguous first where it is not and access is LT_READ alone. Writing what backward still needs is LT_ESTATE, at once or in backward. */
LT_INLINE lt_status lt_raw(lt_ctx *ctx, lt_tensor *x, int32_t access, lt_view *out) { return lt__tensor->raw(ctx, x, access, out); }
/* Keeps x beyond its step; returns x, now owned by the caller, who calls lt_release, once for each lt_retain. The memory is not moved; its history
 * goes with the step. LT_ENOMEM. */
LT_INLINE lt_tensor *lt_retain(lt_ctx *ctx, lt_tensor *x) { return lt__tensor->retain(ctx, x); }
/* Gives up what lt_retain kept; accepts NULL. */
LT_INLINE void lt_release(lt_ctx *ctx, lt_tensor *x) { lt__tensor->release(ctx, x); }

/* ---- making [trainer] ----
 * Results are the host's, on the run's device, without gradient. shape has ndim numbers, borrowed. LT_EINVAL, LT_EDTYPE, LT_ENOMEM. */
/* shape, every element = value. */
LT_INLINE lt_tensor *lt_full(lt_ctx *ctx, lt_dtype dtype, int32_t ndim, const int64_t *shape, double value) {
    return lt__tensor->full(ctx, dtype, ndim, shape, value);
}
/* shape, every element 0. */
LT_INLINE lt_tensor *lt_zeros(lt_ctx *ctx, lt_dtype dtype, int32_t ndim, const int64_t *shape) {
    return lt__tensor->full(ctx, dtype, ndim, shape, 0);
}
/* shape, every element 1. */
LT_INLINE lt_tensor *lt_ones(lt_ctx *ctx, lt_dtype dtype, int32_t ndim, const int64_t *shape) {
    return lt__tensor->full(ctx, dtype, ndim, shape, 1);
}
/* () of that dtype: one number as a tensor. */
LT_INLINE lt_tensor *lt_scalar(lt_ctx *ctx, lt_dtype dtype, double value) { return lt__tensor->full(ctx, dtype, 0, NULL, value); }
/* A copy of row-major elements at data (host memory, borrowed). */
LT_INLINE lt_tensor *lt_from_data(lt_ctx *ctx, lt_dtype dtype, int32_t ndim, const int64_t *shape, const void *data) {
    return lt__tensor->from_data(ctx, dtype, ndim, shape, data);
}
/* (ceil((end - start) / step)): start, start + step, ...; as torch.arange. */
LT_INLINE lt_tensor *lt_arange(lt_ctx *ctx, lt_dtype dtype, double start, double end, double step) {
    return lt__tensor->arange(ctx, dtype, start, end, step);
}
/* shape f32 (f64 with trainer.precision 64-true), uniform in [0, 1), the bits of torch.rand from the run's generator. */
LT_INLINE lt_tensor *lt_rand(lt_ctx *ctx, int32_t ndim, const int64_t *shape) { return lt__tensor->rand(ctx, ndim, shape); }
/* shape f32 (f64 with trainer.precision 64-true), normal with mean 0 and variance 1, the bits of torch.randn; in f64 to rounding. */
LT_INLINE lt_tensor *lt_randn(lt_ctx *ctx, int32_t ndim, const int64_t *shape) { return lt__tensor->randn(ctx, ndim, shape); }
/* x in another dtype (x itself if it has it); floats are truncated to integers. Differentiable between float dtypes. */
LT_INLINE lt_tensor *lt_cast(lt_ctx *ctx, lt_tensor *x, lt_dtype dtype) { return lt__tensor->cast(ctx, x, dtype); }
/* A row-major copy of its own memory; differentiable. */
LT_INLINE lt_tensor *lt_clone(lt_ctx *ctx, lt_tensor *x) { return lt__tensor->clone(ctx, x); }

/* ---- arithmetic [trainer] ----
 * a, b: shapes that broadcast, one dtype (trainer.precision 64-true: f32 beside f64 becomes f64; bf16-true: f32 beside bf16, bf16). Differentiable.
 * LT_ESHAPE, LT_EDTYPE, LT_EDEVICE. */
LT_INLINE lt_tensor *lt_add(lt_ctx *ctx, lt_tensor *a, lt_tensor *b) { return lt__tensor->add(ctx, a, b); } /* a + b */
LT_INLINE lt_tensor *lt_sub(lt_ctx *ctx, lt_tensor *a, lt_tensor *b) { return lt__tensor->sub(ctx, a, b); } /* a - b */
LT_INLINE lt_tensor *lt_mul(lt_ctx *ctx, lt_tensor *a, lt_tensor *b) { return lt__tensor->mul(ctx, a, b); } /* a * b */
LT_INLINE lt_tensor *lt_div(lt_ctx *ctx, lt_tensor *a, lt_tensor *b) { return lt__tensor->div(ctx, a, b); } /* a / b; floats only */
/* x + value, in x's dtype */
LT_INLINE lt_tensor *lt_add_scalar(lt_ctx *ctx, lt_tensor *x, double value) {
    return lt__tensor->add_scalar(ctx, x, value);
}
/* x * value, in x's dtype */
LT_INLINE lt_tensor *lt_mul_scalar(lt_ctx *ctx, lt_tensor *x, double value) {
    return lt__tensor->mul_scalar(ctx, x, value);
}
/* a == b as bool; no gradient. */
LT_INLINE lt_tensor *lt_eq(lt_ctx *ctx, lt_tensor *a, lt_tensor *b) { return lt__tensor->eq(ctx, a, b); }
/* The other comparisons, as bool; with a NaN only a != b is true; no gradient. */
LT_INLINE lt_tensor *lt_ne(lt_ctx *ctx, lt_tensor *a, lt_tensor *b) { return lt__tensor->ne(ctx, a, b); } /* a != b */
LT_INLINE lt_tensor *lt_lt(lt_ctx *ctx, lt_tensor *a, lt_tensor *b) { return lt__tensor->lt(ctx, a, b); } /* a < b */
LT_INLINE lt_tensor *lt_le(lt_ctx *ctx, lt_tensor *a, lt_tensor *b) { return lt__tensor->le(ctx, a, b); } /* a <= b */
LT_INLINE lt_tensor *lt_gt(lt_ctx *ctx, lt_tensor *a, lt_tensor *b) { return lt__tensor->gt(ctx, a, b); } /* a > b */
LT_INLINE lt_tensor *lt_ge(lt_ctx *ctx, lt_tensor *a, lt_tensor *b) { return lt__tensor->ge(ctx, a, b); } /* a >= b */
/* Of any dtype, what is not 0 being true -> bool; no gradient. */
LT_INLINE lt_tensor *lt_logical_and(lt_ctx *ctx, lt_tensor *a, lt_tensor *b) { return lt__tensor->logical_and(ctx, a, b); }
LT_INLINE lt_tensor *lt_logical_or(lt_ctx *ctx, lt_tensor *a, lt_tensor *b) { return lt__tensor->logical_or(ctx, a, b); }
LT_INLINE lt_tensor *lt_logical_not(lt_ctx *ctx, lt_tensor *x) { return lt__tensor->logical_not(ctx, x); }
/* condition ? a : b; condition bool, a and b of one dtype, all three broadcast. Differentiable in a and b. */
LT_INLINE lt_tensor *lt_where(lt_ctx *ctx, lt_tensor *condition, lt_tensor *a, lt_tensor *b) {
    return lt__tensor->where(ctx, condition, a, b);
}
/* The larger, the smaller of a and b; a NaN wins; of equals each gets half of the gradient. */
LT_INLINE lt_tensor *lt_maximum(lt_ctx *ctx, lt_tensor *a, lt_tensor *b) { return lt__tensor->maximum(ctx, a, b); }
LT_INLINE lt_tensor *lt_minimum(lt_ctx *ctx, lt_tensor *a, lt_tensor *b) { return lt__tensor->minimum(ctx, a, b); }
/* a to the power of b; floats only */
LT_INLINE lt_tensor *lt_pow(lt_ctx *ctx, lt_tensor *a, lt_tensor *b) { return lt__tensor->pow(ctx, a, b); }

/* ---- element by element [trainer] ----
 * x of any shape -> the same shape and dtype; float dtypes, neg and abs integers too. Differentiable. LT_EDTYPE. */
LT_INLINE lt_tensor *lt_neg(lt_ctx *ctx, lt_tensor *x) { return lt__tensor->neg(ctx, x); } /* -x */
LT_INLINE lt_tensor *lt_exp(lt_ctx *ctx, lt_tensor *x) { return lt__tensor->exp(ctx, x); } /* e to the power of x */
/* Natural logarithm (torch.log; lt_log is the one that reports metrics). */
LT_INLINE lt_tensor *lt_ln(lt_ctx *ctx, lt_tensor *x) { return lt__tensor->log(ctx, x); }
LT_INLINE lt_tensor *lt_sqrt(lt_ctx *ctx, lt_tensor *x) { return lt__tensor->sqrt(ctx, x); } /* square root */
LT_INLINE lt_tensor *lt_abs(lt_ctx *ctx, lt_tensor *x) { return lt__tensor->abs(ctx, x); } /* |x| */
LT_INLINE lt_tensor *lt_relu(lt_ctx *ctx, lt_tensor *x) { return lt__tensor->relu(ctx, x); } /* max(x, 0); gradient 0 at 0 */
LT_INLINE lt_tensor *lt_tanh(lt_ctx *ctx, lt_tensor *x) { return lt__tensor->tanh(ctx, x); } /* hyperbolic tangent */
LT_INLINE lt_tensor *lt_sigmoid(lt_ctx *ctx, lt_tensor *x) { return lt__tensor->sigmoid(ctx, x); } /* 1 / (1 + exp(-x)) */
/* x Phi(x), or with tanh_approx x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))); Hendrycks and Gimpel 2016, arXiv:1606.08415. */
LT_INLINE lt_tensor *lt_gelu(lt_ctx *ctx, lt_tensor *x, bool tanh_approx) { return lt__tensor->gelu(ctx, x, tanh_approx); }
/* x to the power of a number; float dtypes. */
LT_INLINE lt_tensor *lt_pow_scalar(lt_ctx *ctx, lt_tensor *x, double exponent) { return lt__tensor->pow_scalar(ctx, x, exponent); }
/* min(max(x, low), high); an infinite bound is none; integers too. The gradient passes where low < x < high. LT_EINVAL for a NaN. */
LT_INLINE lt_tensor *lt_clamp(lt_ctx *ctx, lt_tensor *x, double low, double high) { return lt__tensor->clamp(ctx, x, low, high); }
LT_INLINE lt_tensor *lt_rsqrt(lt_ctx *ctx, lt_tensor *x) { return lt__tensor->rsqrt(ctx, x); } /* 1 / sqrt(x) */
LT_INLINE lt_tensor *lt_sin(lt_ctx *ctx, lt_tensor *x) { return lt__tensor->sin(ctx, x); } /* sine, of radians */
LT_INLINE lt_tensor *lt_cos(lt_ctx *ctx, lt_tensor *x) { return lt__tensor->cos(ctx, x); } /* cosine, of radians */
LT_INLINE lt_tensor *lt_erf(lt_ctx *ctx, lt_tensor *x) { return lt__tensor->erf(ctx, x); } /* error function */
LT_INLINE lt_tensor *lt_square(lt_ctx *ctx, lt_tensor *x) { return lt__tensor->square(ctx, x); } /* x x; integers too */
LT_INLINE lt_tensor *lt_reciprocal(lt_ctx *ctx, lt_tensor *x) { return lt__tensor->reciprocal(ctx, x); } /* 1 / x */
/* -1, 0 or 1 (integers too); the whole number below, above, nearest (halves to even). Their gradient is 0. */
LT_INLINE lt_tensor *lt_sign(lt_ctx *ctx, lt_tensor *x) { return lt__tensor->sign(ctx, x); }
LT_INLINE lt_tensor *lt_floor(lt_ctx *ctx, lt_tensor *x) { return lt__tensor->floor(ctx, x); }
LT_INLINE lt_tensor *lt_ceil(lt_ctx *ctx, lt_tensor *x) { return lt__tensor->ceil(ctx, x); }
LT_INLINE lt_tensor *lt_round(lt_ctx *ctx, lt_tensor *x) { return lt__tensor->round(ctx, x); }
/* x where x > 0, else slope x; Maas et al. 2013. PyTorch's slope is 0.01. */
LT_INLINE lt_tensor *lt_leaky_relu(lt_ctx *ctx, lt_tensor *x, double slope) { return lt__tensor->leaky_relu(ctx, x, slope); }
/* x where x > 0, else alpha (exp(x) - 1); Clevert et al. 2015, arXiv:1511.07289. PyTorch's alpha is 1. */
LT_INLINE lt_tensor *lt_elu(lt_ctx *ctx, lt_tensor *x, double alpha) { return lt__tensor->elu(ctx, x, alpha); }
LT_INLINE lt_tensor *lt_silu(lt_ctx *ctx, lt_tensor *x) { return lt__tensor->silu(ctx, x); } /* x sigmoid(x); arXiv:1702.03118 */
/* log(1 + exp(beta x)) / beta, x itself where beta x > threshold. PyTorch's are 1 and 20. LT_EINVAL unless beta > 0. */
LT_INLINE lt_tensor *lt_softplus(lt_ctx *ctx, lt_tensor *x, double beta, double threshold) {
    return lt__tensor->softplus(ctx, x, beta, threshold);
}
/* x min(max(x + 3, 0), 6) / 6; Howard et al. 2019, arXiv:1905.02244. */
LT_INLINE lt_tensor *lt_hardswish(lt_ctx *ctx, lt_tensor *x) { return lt__tensor->hardswish(ctx, x); }
/* Training: each element 0 with probability p, else x / (1 - p); otherwise x. p in [0, 1]. Srivastava et al. 2014, JMLR 15. LT_EINVAL. */
LT_INLINE lt_tensor *lt_dropout(lt_ctx *ctx, lt_tensor *x, double p, bool training) { return lt__tensor->dropout(ctx, x, p, training); }

/* ---- in place [trainer] ----
 * x becomes the result, and is returned; shape and dtype stay, the other operand broadcasts to them. While gradients are recorded: a leaf that
 * requires one, a view, and what outlives the step are refused (LT_ESTATE), and backward of other operations that needed the old values fails,
 * naming the operation and its argument. Always refused, but by lt_fill_: an expanded x (LT_ESTATE). LT_ESHAPE; LT_EDTYPE for an operand of
 * another dtype, unless trainer.precision promotes (bf16-mixed and the others but 32-true): it is computed in the wider one then. */
LT_INLINE lt_tensor *lt_add_(lt_ctx *ctx, lt_tensor *x, lt_tensor *other) { return lt__tensor->add_(ctx, x, other); } /* x += other */
LT_INLINE lt_tensor *lt_sub_(lt_ctx *ctx, lt_tensor *x, lt_tensor *other) { return lt__tensor->sub_(ctx, x, other); } /* x -= other */
LT_INLINE lt_tensor *lt_mul_(lt_ctx *ctx, lt_tensor *x, lt_tensor *other) { return lt__tensor->mul_(ctx, x, other); } /* x *= other */
LT_INLINE lt_tensor *lt_div_(lt_ctx *ctx, lt_tensor *x, lt_tensor *other) { return lt__tensor->div_(ctx, x, other); } /* x /= other; floats */
LT_INLINE lt_tensor *lt_add_scalar_(lt_ctx *ctx, lt_tensor *x, double value) { return lt__tensor->add_scalar_(ctx, x, value); }
LT_INLINE lt_tensor *lt_mul_scalar_(lt_ctx *ctx, lt_tensor *x, double value) { return lt__tensor->mul_scalar_(ctx, x, value); }
LT_INLINE lt_tensor *lt_relu_(lt_ctx *ctx, lt_tensor *x) { return lt__tensor->relu_(ctx, x); }
LT_INLINE lt_tensor *lt_clamp_(lt_ctx *ctx, lt_tensor *x, double low, double high) { return lt__tensor->clamp_(ctx, x, low, high); } /* as lt_clamp */
/* x takes the values of source, which is cast and broadcast to x; their gradient goes to source. */
LT_INLINE lt_tensor *lt_copy_(lt_ctx *ctx, lt_tensor *x, lt_tensor *source) { return lt__tensor->copy_(ctx, x, source); }
/* Every element = value, 0; x has no history then. */
LT_INLINE lt_tensor *lt_fill_(lt_ctx *ctx, lt_tensor *x, double value) { return lt__tensor->fill_(ctx, x, value); }
LT_INLINE lt_tensor *lt_zero_(lt_ctx *ctx, lt_tensor *x) { return lt__tensor->fill_(ctx, x, 0); }

/* ---- reductions [trainer] ----
 * dims: ndims numbers, borrowed; ndims 0: all. keepdim leaves reduced dimensions as 1. LT_EINDEX, LT_EDTYPE. */
/* Sum over dims; of whole numbers in i64. */
LT_INLINE lt_tensor *lt_sum(lt_ctx *ctx, lt_tensor *x, const int32_t *dims, int32_t ndims, bool keepdim) {
    return lt__tensor->sum(ctx, x, dims, ndims, keepdim);
}
/* Mean over dims; float dtypes. */
LT_INLINE lt_tensor *lt_mean(lt_ctx *ctx, lt_tensor *x, const int32_t *dims, int32_t ndims, bool keepdim) {
    return lt__tensor->mean(ctx, x, dims, ndims, keepdim);
}
/* Over everything -> (): the sum, the mean. */
LT_INLINE lt_tensor *lt_sum_all(lt_ctx *ctx, lt_tensor *x) { return lt__tensor->sum(ctx, x, NULL, 0, false); }
LT_INLINE lt_tensor *lt_mean_all(lt_ctx *ctx, lt_tensor *x) { return lt__tensor->mean(ctx, x, NULL, 0, false); }
/* Index of the largest along dim -> i64; the first of equals; no gradient. */
LT_INLINE lt_tensor *lt_argmax(lt_ctx *ctx, lt_tensor *x, int32_t dim, bool keepdim) { return lt__tensor->argmax(ctx, x, dim, keepdim); }
/* Index of the smallest along dim -> i64; the first of equals; no gradient. */
LT_INLINE lt_tensor *lt_argmin(lt_ctx *ctx, lt_tensor *x, int32_t dim, bool keepdim) { return lt__tensor->argmin(ctx, x, dim, keepdim); }
/* The largest, the smallest over dims, in x's dtype; a NaN wins; of equals each gets its share of the gradient (torch.amax). LT_ESHAPE
 * where there is nothing to choose from. */
LT_INLINE lt_tensor *lt_max(lt_ctx *ctx, lt_tensor *x, const int32_t *dims, int32_t ndims, bool keepdim) {
    return lt__tensor->max(ctx, x, dims, ndims, keepdim);
}
LT_INLINE lt_tensor *lt_min(lt_ctx *ctx, lt_tensor *x, const int32_t *dims, int32_t ndims, bool keepdim) {
    return lt__tensor->min(ctx, x, dims, ndims, keepdim);
}
/* The same along one dimension, with *indices (i64; NULL: not wanted) of the first of equals, which gets all of the gradient (torch.max
 * with dim). */
LT_INLINE lt_tensor *lt_max_along(lt_ctx *ctx, lt_tensor *x, int32_t dim, bool keepdim, lt_tensor **indices) {
    return lt__tensor->max_along(ctx, x, dim, keepdim, indices);
}
LT_INLINE lt_tensor *lt_min_along(lt_ctx *ctx, lt_tensor *x, int32_t dim, bool keepdim, lt_tensor **indices) {
    return lt__tensor->min_along(ctx, x, dim, keepdim, indices);
}
/* sum (x - mean)^2 / (n - correction) over dims of n elements, and its square root; float dtypes. PyTorch's correction is 1. */
LT_INLINE lt_tensor *lt_var(lt_ctx *ctx, lt_tensor *x, const int32_t *dims, int32_t ndims, bool keepdim, double correction) {
    return lt__tensor->var(ctx, x, dims, ndims, keepdim, correction);
}
LT_INLINE lt_tensor *lt_std(lt_ctx *ctx, lt_tensor *x, const int32_t *dims, int32_t ndims, bool keepdim, double correction) {
    return lt__tensor->std(ctx, x, dims, ndims, keepdim, correction);
}
/* Product over dims; of whole numbers in i64. */
LT_INLINE lt_tensor *lt_prod(lt_ctx *ctx, lt_tensor *x, const int32_t *dims, int32_t ndims, bool keepdim) {
    return lt__tensor->prod(ctx, x, dims, ndims, keepdim);
}
/* log sum exp(x) over dims, shifted by the largest; float dtypes. */
LT_INLINE lt_tensor *lt_logsumexp(lt_ctx *ctx, lt_tensor *x, const int32_t *dims, int32_t ndims, bool keepdim) {
    return lt__tensor->logsumexp(ctx, x, dims, ndims, keepdim);
}
/* Running sum along dim, shape of x; of whole numbers in i64. */
LT_INLINE lt_tensor *lt_cumsum(lt_ctx *ctx, lt_tensor *x, int32_t dim) { return lt__tensor->cumsum(ctx, x, dim); }
/* exp(x - max) / sum exp(x - max) along dim; shape of x. */
LT_INLINE lt_tensor *lt_softmax(lt_ctx *ctx, lt_tensor *x, int32_t dim) { return lt__tensor->softmax(ctx, x, dim); }
/* x - max - log sum exp(x - max) along dim; shape of x. */
LT_INLINE lt_tensor *lt_log_softmax(lt_ctx *ctx, lt_tensor *x, int32_t dim) { return lt__tensor->log_softmax(ctx, x, dim); }

/* ---- shape [trainer] ----
 * Results share the memory of x where that is possible. Differentiable. LT_ESHAPE, LT_EINDEX. */
/* The same elements in another shape; one number may be -1. */
LT_INLINE lt_tensor *lt_reshape(lt_ctx *ctx, lt_tensor *x, int32_t ndim, const int64_t *shape) {
    return lt__tensor->reshape(ctx, x, ndim, shape);
}
/* Dimensions from start_dim on become one: (B, C, H, W), 1 -> (B, C*H*W). */
LT_INLINE lt_tensor *lt_flatten(lt_ctx *ctx, lt_tensor *x, int32_t start_dim) { return lt__tensor->flatten(ctx, x, start_dim); }
/* Two dimensions swapped. */
LT_INLINE lt_tensor *lt_transpose(lt_ctx *ctx, lt_tensor *x, int32_t dim0, int32_t dim1) {
    return lt__tensor->transpose(ctx, x, dim0, dim1);
}
/* Dimension i of the result is dims[i] of x; dims has lt_ndim(x) numbers. */
LT_INLINE lt_tensor *lt_permute(lt_ctx *ctx, lt_tensor *x, const int32_t *dims) { return lt__tensor->permute(ctx, x, dims); }
/* Elements start..end-1 along dim; negative ones count from the end. */
LT_INLINE lt_tensor *lt_slice(lt_ctx *ctx, lt_tensor *x, int32_t dim, int64_t start, int64_t end) {
    return lt__tensor->slice(ctx, x, dim, start, end);
}
/* count tensors one after the other along dim; equal in all other dimensions and in dtype (promoted as trainer.precision says). */
LT_INLINE lt_tensor *lt_cat(lt_ctx *ctx, lt_tensor *const *items, int32_t count, int32_t dim) {
    return lt__tensor->cat(ctx, items, count, dim);
}

/* ---- linear algebra and layers [trainer] ----
 * Float dtypes. Differentiable. LT_ESHAPE, LT_EDTYPE. With autocast these compute in the low precision. */
/* (..., N, K) x (..., K, M) -> (..., N, M); the leading dimensions broadcast. */
LT_INLINE lt_tensor *lt_matmul(lt_ctx *ctx, lt_tensor *a, lt_tensor *b) { return lt__tensor->matmul(ctx, a, b); }
/* x (..., K), weight (O, K), bias (O) or NULL -> act(x weight^T + bias) (..., O); any LT_ACT_*, with PyTorch's defaults where it has
 * numbers (slope 0.01, alpha 1, beta 1, threshold 20); fused where the device can. A bias that an earlier failure made NULL does no harm: the
 * failure is kept. LT_EINVAL: no such activation. */
LT_INLINE lt_tensor *lt_linear(lt_ctx *ctx, lt_tensor *x, lt_tensor *weight, lt_tensor *bias, lt_activation act) {
    return lt__tensor->linear(ctx, x, weight, bias, act);
}
/* x (B, C, H, W), weight (O, C/groups, kH, kW), bias (O) or NULL -> (B, O, H', W'), H' = (H + 2 padding - dilation (kH - 1) - 1) / stride + 1;
 * cross-correlation, as PyTorch. opts NULL: defaults. */
LT_INLINE lt_tensor *lt_conv2d_with(lt_ctx *ctx, lt_tensor *x, lt_tensor *weight, lt_tensor *bias, const lt_conv2d_opts *opts) {
    return lt__tensor->conv2d(ctx, x, weight, bias, opts);
}
/* x (B, C, H, W) -> (B, C, H', W'): the largest of each window; the first of equals gets the gradient. */
LT_INLINE lt_tensor *lt_max_pool2d_with(lt_ctx *ctx, lt_tensor *x, const lt_pool2d_opts *opts) {
    return lt__tensor->max_pool2d(ctx, x, opts);
}
/* The mean of each window; padding counts unless opts->exclude_pad. */
LT_INLINE lt_tensor *lt_avg_pool2d_with(lt_ctx *ctx, lt_tensor *x, const lt_pool2d_opts *opts) {
    return lt__tensor->avg_pool2d(ctx, x, opts);
}

/* ---- losses and measures [trainer] ----
 * () f32 unless the reduction is LT_NONE. LT_ESHAPE, LT_EDTYPE. */
/* mean((x - target)^2), x and target of one shape. */
LT_INLINE lt_tensor *lt_mse_loss(lt_ctx *ctx, lt_tensor *x, lt_tensor *target) { return lt__tensor->mse_loss(ctx, x, target, LT_MEAN); }
/* The same with another reduction; LT_NONE: the shape of x. */
LT_INLINE lt_tensor *lt_mse_loss_with(lt_ctx *ctx, lt_tensor *x, lt_tensor *target, lt_reduction reduction) {
    return lt__tensor->mse_loss(ctx, x, target, reduction);
}
/* logits (B, C), target (B) i64 -> () f32: the share of rows whose first maximum is the target; no gradient. LT_EINDEX: a label
 * outside 0..C-1. */
LT_INLINE lt_tensor *lt_accuracy(lt_ctx *ctx, lt_tensor *logits, lt_tensor *target) { return lt__tensor->accuracy(ctx, logits, target); }

/* ---- transformers [trainer] ----
 * Float dtypes unless said otherwise. Differentiable. LT_ESHAPE, LT_EDTYPE. */
/* x (..., D), weight, bias (D) or NULL -> (x - mean) / sqrt(variance + eps) * weight + bias over the last dimension (Ba et al. 2016,
 * arXiv:1607.06450). With autocast in f32. */
LT_INLINE lt_tensor *lt_layer_norm(lt_ctx *ctx, lt_tensor *x, lt_tensor *weight, lt_tensor *bias, double eps) {
    return lt__tensor->layer_norm(ctx, x, weight, bias, eps);
}
/* q (B, heads, T, D), k (B, heads, S, D), v (B, heads, S, E) -> softmax(scale q k^T + mask) v (B, heads, T, E) (Vaswani et al. 2017,
 * arXiv:1706.03762), without a (T, S) matrix in memory (Dao et al. 2022, arXiv:2205.14135). A row that may look at nothing gives 0. Permuted
 * views whose last dimension is dense are read as they are. With autocast in the low precision. opts NULL: defaults. */
LT_INLINE lt_tensor *lt_attention_with(lt_ctx *ctx, lt_tensor *q, lt_tensor *k, lt_tensor *v, const lt_attention_opts *opts) {
    return lt__tensor->attention(ctx, q, k, v, opts);
}
/* The same on one projection: qkv (B, T, 3 heads D), each row q of all heads, then k, then v -> (B, T, heads D). No copy is made. */
LT_INLINE lt_tensor *lt_self_attention_with(lt_ctx *ctx, lt_tensor *qkv, int64_t heads, const lt_attention_opts *opts) {
    return lt__tensor->self_attention(ctx, qkv, heads, opts);
}
LT_END

/* Options by name: lt_conv2d(ctx, x, weight, bias, .padding = {2, 2}), lt_max_pool2d(ctx, x, .kernel = {2, 2}).
 * C++: lt_conv2d(ctx, x, weight, bias, lt::conv2d().padding(2)). */
#ifndef __cplusplus
#define lt_conv2d(ctx, x, weight, ...) lt_conv2d_with(ctx, x, weight, LT__FIRST(__VA_ARGS__, 0), &LT__REST_AS(lt_conv2d_opts, __VA_ARGS__))
#define lt_max_pool2d(ctx, ...) lt_max_pool2d_with(ctx, LT__FIRST(__VA_ARGS__, 0), &LT__REST_AS(lt_pool2d_opts, __VA_ARGS__))
#define lt_avg_pool2d(ctx, ...) lt_avg_pool2d_with(ctx, LT__FIRST(__VA_ARGS__, 0), &LT__REST_AS(lt_pool2d_opts, __VA_ARGS__))
#define lt_attention(ctx, q, k, ...) lt_attention_with(ctx, q, k, LT__FIRST(__VA_ARGS__, 0), &LT__REST_AS(lt_attention_opts, __VA_ARGS__))
#define lt_self_attention(ctx, qkv, ...) \
    lt_self_attention_with(ctx, qkv, LT__FIRST(__VA_ARGS__, 0), &LT__REST_AS(lt_attention_opts, __VA_ARGS__))
#else
namespace lt {
struct attention : lt_attention_opts {
    attention() : lt_attention_opts() { struct_size = sizeof(lt_attention_opts); }
    LT__SET(attention, lt_attention_opts, bool, causal)
    LT__SET(attention, lt_attention_opts, double, scale)
    LT__SET(attention, lt_attention_opts, lt_tensor *, mask)
};
struct conv2d : lt_conv2d_opts {
    conv2d() : lt_conv2d_opts() { struct_size = sizeof(lt_conv2d_opts); }
    LT__SET_PAIR(conv2d, lt_conv2d_opts, stride)
    LT__SET_PAIR(conv2d, lt_conv2d_opts, padding)
    LT__SET_PAIR(conv2d, lt_conv2d_opts, dilation)
    LT__SET(conv2d, lt_conv2d_opts, int32_t, groups)
};
struct pool2d : lt_pool2d_opts {
    explicit pool2d(int32_t kernel_ = 0) : lt_pool2d_opts() { struct_size = sizeof(lt_pool2d_opts); kernel(kernel_); }
    LT__SET_PAIR(pool2d, lt_pool2d_opts, kernel)
    LT__SET_PAIR(pool2d, lt_pool2d_opts, stride)
    LT__SET_PAIR(pool2d, lt_pool2d_opts, padding)
    LT__SET(pool2d, lt_pool2d_opts, bool, ceil_mode)
    LT__SET(pool2d, lt_pool2d_opts, bool, exclude_pad)
};
} // namespace lt
inline lt_tensor *lt_conv2d(lt_ctx *ctx, lt_tensor *x, lt_tensor *weight, lt_tensor *bias, const lt_conv2d_opts &opts = lt::conv2d()) {
    return lt_conv2d_with(ctx, x, weight, bias, &opts);
}
inline lt_tensor *lt_max_pool2d(lt_ctx *ctx, lt_tensor *x, const lt_pool2d_opts &opts) { return lt_max_pool2d_with(ctx, x, &opts); }
inline lt_tensor *lt_avg_pool2d(lt_ctx *ctx, lt_tensor *x, const lt_pool2d_opts &opts) { return lt_avg_pool2d_with(ctx, x, &opts); }
inline lt_tensor *lt_attention(lt_ctx *ctx, lt_tensor *q, lt_tensor *k, lt_tensor *v, const lt_attention_opts &opts = lt::attention()) {
    return lt_attention_with(ctx, q, k, v, &opts);
}
inline lt_tensor *lt_self_attention(lt_ctx *ctx, lt_tensor *qkv, int64_t heads, const lt_attention_opts &opts = lt::attention()) {
    return lt_self_attention_with(ctx, qkv, heads, &opts);
}
#endif
#include <lt/indexing.h>
#include <lt/layers.h>
#include <lt/losses.h>
#endif
