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
enum { LT_ACT_NONE = 0, LT_ACT_RELU = 1, LT_ACT_TANH = 2, LT_ACT_SIGMOID = 3, LT_ACT_GELU = 4, LT_ACT_GELU_TANH = 5 };
typedef int32_t lt_reduction;
enum { LT_MEAN = 0, LT_SUM = 1, LT_NONE = 2 };

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

typedef struct lt_tensor_api {
    uint32_t struct_size;
    uint32_t reserved;
    /* -- facts -- */
    int32_t (*ndim)(lt_ctx *ctx, const lt_tensor *x);
    int64_t (*size)(lt_ctx *ctx, const lt_tensor *x, int32_t dim); /* dim < 0 counts from the end */
    int64_t (*numel)(lt_ctx *ctx, const lt_tensor *x);
    lt_dtype (*dtype)(lt_ctx *ctx, const lt_tensor *x);
    double (*item)(lt_ctx *ctx, lt_tensor *x); /* the value of a one-element tensor; reads the device */
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
} lt_tensor_api;
extern LT_HIDDEN const struct lt_tensor_api *lt__tensor LT__NEEDS_PLUGIN("lt__tensor");
/* WRAPPERS */
LT_END
#endif
