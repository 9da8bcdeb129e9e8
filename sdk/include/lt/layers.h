/* lt/layers.h - layers beyond the first ones: convolution and pooling of sequences, transposed convolution, adaptive pools, interpolation,
 * norms of groups, of rows and of instances (table lt.tensor/1; a part of lt/tensor.h, which includes it and says how long tensors live).
 * All [trainer]; tensors given are borrowed. Float dtypes; every tensor of a call has one dtype. Differentiable. LT_ESHAPE, LT_EDTYPE, LT_EINVAL. */
#ifndef LT_LAYERS_H
#define LT_LAYERS_H
#include <lt/tensor.h>

LT_BEGIN
typedef struct lt_conv1d_opts { /* 0 means the default in brackets */
    uint32_t struct_size;
    int32_t stride, padding, dilation, groups; /* [1], [0], [1], [1] */
} lt_conv1d_opts;
typedef struct lt_conv_transpose1d_opts {
    uint32_t struct_size;
    int32_t stride, padding, output_padding, dilation, groups; /* [1], [0], [0], [1], [1] */
} lt_conv_transpose1d_opts;
typedef struct lt_conv_transpose2d_opts {
    uint32_t struct_size;
    int32_t stride[2], padding[2], output_padding[2], dilation[2], groups; /* the same */
} lt_conv_transpose2d_opts;
typedef struct lt_pool1d_opts {
    uint32_t struct_size;
    int32_t kernel, stride, padding; /* stride [kernel], padding [0] */
    uint8_t ceil_mode, exclude_pad, reserved[2];
} lt_pool1d_opts;
typedef int32_t lt_interpolation;
enum { LT_NEAREST = 0, LT_BILINEAR = 1 };
typedef struct lt_interpolate_opts {
    uint32_t struct_size;
    lt_interpolation mode;  /* [LT_NEAREST] */
    int64_t size[2];        /* of the output, (H', W'); or 0, and ... */
    double scale[2];        /* ... H' = floor(H scale), W' = floor(W scale); a second number of 0 is as the first */
    uint8_t align_corners;  /* [no] LT_BILINEAR: the corners of input and output are the same places */
    uint8_t reserved[7];
} lt_interpolate_opts;

/* ---- sequences: (B, C, T) ---- */
/* x (B, C, T), weight (O, C/groups, K), bias (O) or NULL -> (B, O, T'), T' = (T + 2 padding - dilation (K - 1) - 1) / stride + 1. opts NULL:
 * defaults. */
LT_INLINE lt_tensor *lt_conv1d_with(lt_ctx *ctx, lt_tensor *x, lt_tensor *weight, lt_tensor *bias, const lt_conv1d_opts *opts) {
    return lt__tensor->conv1d(ctx, x, weight, bias, opts);
}
/* x (B, C, T), weight (C, O/groups, K), bias (O) or NULL -> (B, O, T'), T' = (T - 1) stride - 2 padding + dilation (K - 1) + output_padding + 1:
 * the gradient of lt_conv1d run forward (Dumoulin and Visin 2016, arXiv:1603.07285). opts NULL: defaults. */
LT_INLINE lt_tensor *lt_conv_transpose1d_with(lt_ctx *ctx, lt_tensor *x, lt_tensor *weight, lt_tensor *bias, const lt_conv_transpose1d_opts *opts) {
    return lt__tensor->conv_transpose1d(ctx, x, weight, bias, opts);
}
/* x (B, C, T) -> (B, C, T'): the largest of each window (the first of equals gets the gradient); its mean. */
LT_INLINE lt_tensor *lt_max_pool1d_with(lt_ctx *ctx, lt_tensor *x, const lt_pool1d_opts *opts) { return lt__tensor->max_pool1d(ctx, x, opts); }
LT_INLINE lt_tensor *lt_avg_pool1d_with(lt_ctx *ctx, lt_tensor *x, const lt_pool1d_opts *opts) { return lt__tensor->avg_pool1d(ctx, x, opts); }
/* x (B, C, T) -> (B, C, size): means over windows floor(i T / size) .. ceil((i + 1) T / size) - 1. */
LT_INLINE lt_tensor *lt_adaptive_avg_pool1d(lt_ctx *ctx, lt_tensor *x, int64_t size) { return lt__tensor->adaptive_avg_pool1d(ctx, x, size); }

/* ---- images: (B, C, H, W) ---- */
/* x (B, C, H, W), weight (C, O/groups, kH, kW), bias (O) or NULL -> (B, O, H', W'), sizes as lt_conv_transpose1d's. opts NULL: defaults. */
LT_INLINE lt_tensor *lt_conv_transpose2d_with(lt_ctx *ctx, lt_tensor *x, lt_tensor *weight, lt_tensor *bias, const lt_conv_transpose2d_opts *opts) {
    return lt__tensor->conv_transpose2d(ctx, x, weight, bias, opts);
}
/* x (B, C, H, W) -> (B, C, height, width): mean, largest of windows that cover the map, as lt_adaptive_avg_pool1d cuts them. */
LT_INLINE lt_tensor *lt_adaptive_avg_pool2d(lt_ctx *ctx, lt_tensor *x, int64_t height, int64_t width) {
    return lt__tensor->adaptive_avg_pool2d(ctx, x, height, width);
}
LT_INLINE lt_tensor *lt_adaptive_max_pool2d(lt_ctx *ctx, lt_tensor *x, int64_t height, int64_t width) {
    return lt__tensor->adaptive_max_pool2d(ctx, x, height, width);
}
/* x (B, C, H, W) -> (B, C, H', W') by the nearest place or bilinearly, as torch.nn.functional.interpolate. */
LT_INLINE lt_tensor *lt_interpolate_with(lt_ctx *ctx, lt_tensor *x, const lt_interpolate_opts *opts) { return lt__tensor->interpolate(ctx, x, opts); }

/* ---- norms ---- */
/* x (B, C, ...) -> (x - mean) / sqrt(var + eps) * weight + bias, mean and var of each image's C/groups channels together; weight, bias (C)
 * or NULL (Wu and He 2018, arXiv:1803.08494). */
LT_INLINE lt_tensor *lt_group_norm(lt_ctx *ctx, lt_tensor *x, int64_t groups, lt_tensor *weight, lt_tensor *bias, double eps) {
    return lt__tensor->group_norm(ctx, x, groups, weight, bias, eps);
}
/* The same with mean and var of each channel of each image (Ulyanov et al. 2016, arXiv:1607.08022); no running statistics. */
LT_INLINE lt_tensor *lt_instance_norm(lt_ctx *ctx, lt_tensor *x, lt_tensor *weight, lt_tensor *bias, double eps) {
    return lt__tensor->instance_norm(ctx, x, weight, bias, eps);
}
/* x (..., D), weight (D) or NULL -> x / sqrt(mean(x^2) + eps) * weight (Zhang and Sennrich 2019, arXiv:1910.07467). */
LT_INLINE lt_tensor *lt_rms_norm(lt_ctx *ctx, lt_tensor *x, lt_tensor *weight, double eps) { return lt__tensor->rms_norm(ctx, x, weight, eps); }
/* lt_layer_norm over the last ndims dimensions together; weight, bias of their shape, or NULL. */
LT_INLINE lt_tensor *lt_layer_norm_over(lt_ctx *ctx, lt_tensor *x, int32_t ndims, lt_tensor *weight, lt_tensor *bias, double eps) {
    return lt__tensor->layer_norm_over(ctx, x, ndims, weight, bias, eps);
}
LT_END

/* Options by name: lt_conv1d(ctx, x, weight, bias, .padding = 1), lt_max_pool1d(ctx, x, .kernel = 2), lt_interpolate(ctx, x, .scale = {2}).
 * C++: lt_conv1d(ctx, x, weight, bias, lt::conv1d().padding(1)), lt_interpolate(ctx, x, lt::interpolate().scale(2)). */
#ifndef __cplusplus
#define lt_conv1d(ctx, x, weight, ...) lt_conv1d_with(ctx, x, weight, LT__FIRST(__VA_ARGS__, 0), &LT__REST_AS(lt_conv1d_opts, __VA_ARGS__))
#define lt_conv_transpose1d(ctx, x, weight, ...) \
    lt_conv_transpose1d_with(ctx, x, weight, LT__FIRST(__VA_ARGS__, 0), &LT__REST_AS(lt_conv_transpose1d_opts, __VA_ARGS__))
#define lt_conv_transpose2d(ctx, x, weight, ...) \
    lt_conv_transpose2d_with(ctx, x, weight, LT__FIRST(__VA_ARGS__, 0), &LT__REST_AS(lt_conv_transpose2d_opts, __VA_ARGS__))
#define lt_max_pool1d(ctx, ...) lt_max_pool1d_with(ctx, LT__FIRST(__VA_ARGS__, 0), &LT__REST_AS(lt_pool1d_opts, __VA_ARGS__))
#define lt_avg_pool1d(ctx, ...) lt_avg_pool1d_with(ctx, LT__FIRST(__VA_ARGS__, 0), &LT__REST_AS(lt_pool1d_opts, __VA_ARGS__))
#define lt_interpolate(ctx, ...) lt_interpolate_with(ctx, LT__FIRST(__VA_ARGS__, 0), &LT__REST_AS(lt_interpolate_opts, __VA_ARGS__))
#else
namespace lt {
struct conv1d : lt_conv1d_opts {
    conv1d() : lt_conv1d_opts() { struct_size = sizeof(lt_conv1d_opts); }
    LT__SET(conv1d, lt_conv1d_opts, int32_t, stride)
    LT__SET(conv1d, lt_conv1d_opts, int32_t, padding)
    LT__SET(conv1d, lt_conv1d_opts, int32_t, dilation)
    LT__SET(conv1d, lt_conv1d_opts, int32_t, groups)
};
struct conv_transpose1d : lt_conv_transpose1d_opts {
    conv_transpose1d() : lt_conv_transpose1d_opts() { struct_size = sizeof(lt_conv_transpose1d_opts); }
    LT__SET(conv_transpose1d, lt_conv_transpose1d_opts, int32_t, stride)
    LT__SET(conv_transpose1d, lt_conv_transpose1d_opts, int32_t, padding)
    LT__SET(conv_transpose1d, lt_conv_transpose1d_opts, int32_t, output_padding)
    LT__SET(conv_transpose1d, lt_conv_transpose1d_opts, int32_t, dilation)
    LT__SET(conv_transpose1d, lt_conv_transpose1d_opts, int32_t, groups)
};
struct conv_transpose2d : lt_conv_transpose2d_opts {
    conv_transpose2d() : lt_conv_transpose2d_opts() { struct_size = sizeof(lt_conv_transpose2d_opts); }
    LT__SET_PAIR(conv_transpose2d, lt_conv_transpose2d_opts, stride)
    LT__SET_PAIR(conv_transpose2d, lt_conv_transpose2d_opts, padding)
    LT__SET_PAIR(conv_transpose2d, lt_conv_transpose2d_opts, output_padding)
    LT__SET_PAIR(conv_transpose2d, lt_conv_transpose2d_opts, dilation)
    LT__SET(conv_transpose2d, lt_conv_transpose2d_opts, int32_t, groups)
};
struct pool1d : lt_pool1d_opts {
    explicit pool1d(int32_t kernel_ = 0) : lt_pool1d_opts() { struct_size = sizeof(lt_pool1d_opts); lt_pool1d_opts::kernel = kernel_; }
    LT__SET(pool1d, lt_pool1d_opts, int32_t, stride)
    LT__SET(pool1d, lt_pool1d_opts, int32_t, padding)
    LT__SET(pool1d, lt_pool1d_opts, bool, ceil_mode)
    LT__SET(pool1d, lt_pool1d_opts, bool, exclude_pad)
};
struct interpolate : lt_interpolate_opts {
    interpolate() : lt_interpolate_opts() { struct_size = sizeof(lt_interpolate_opts); }
    LT__SET(interpolate, lt_interpolate_opts, lt_interpolation, mode)
    LT__SET(interpolate, lt_interpolate_opts, bool, align_corners)
    interpolate &size(int64_t height, int64_t width) { lt_interpolate_opts::size[0] = height; lt_interpolate_opts::size[1] = width; return *this; }
    interpolate &scale(double height, double width) { lt_interpolate_opts::scale[0] = height; lt_interpolate_opts::scale[1] = width; return *this; }
    interpolate &scale(double both) { return scale(both, both); }
};
} // namespace lt
inline lt_tensor *lt_conv1d(lt_ctx *ctx, lt_tensor *x, lt_tensor *weight, lt_tensor *bias, const lt_conv1d_opts &opts = lt::conv1d()) {
    return lt_conv1d_with(ctx, x, weight, bias, &opts);
}
inline lt_tensor *lt_conv_transpose1d(lt_ctx *ctx, lt_tensor *x, lt_tensor *weight, lt_tensor *bias,
                                      const lt_conv_transpose1d_opts &opts = lt::conv_transpose1d()) {
    return lt_conv_transpose1d_with(ctx, x, weight, bias, &opts);
}
inline lt_tensor *lt_conv_transpose2d(lt_ctx *ctx, lt_tensor *x, lt_tensor *weight, lt_tensor *bias,
                                      const lt_conv_transpose2d_opts &opts = lt::conv_transpose2d()) {
    return lt_conv_transpose2d_with(ctx, x, weight, bias, &opts);
}
inline lt_tensor *lt_max_pool1d(lt_ctx *ctx, lt_tensor *x, const lt_pool1d_opts &opts) { return lt_max_pool1d_with(ctx, x, &opts); }
inline lt_tensor *lt_avg_pool1d(lt_ctx *ctx, lt_tensor *x, const lt_pool1d_opts &opts) { return lt_avg_pool1d_with(ctx, x, &opts); }
inline lt_tensor *lt_interpolate(lt_ctx *ctx, lt_tensor *x, const lt_interpolate_opts &opts) { return lt_interpolate_with(ctx, x, &opts); }
#endif
#endif
