/* lt/nn_layers.h - modules of the layers of lt/layers.h: convolution and pooling of sequences, transposed convolution, adaptive pools, upsampling,
 * norms, softmax (table lt.nn/1; a part of lt/nn.h, which includes it and says how long modules live).
 * All are made in `configure` only [setup]. LT_EINVAL for sizes and options out of range; lt_forward names the layer when shapes do not fit.
 * Parameters, their initial values and the order of draws are those of torch.nn's modules of the same name. */
#ifndef LT_NN_LAYERS_H
#define LT_NN_LAYERS_H
#include <lt/nn.h>

LT_BEGIN
/* (B, C, T) -> (B, O, T') as lt_conv1d; parameters weight (O, C/groups, K), bias (O), from U(-b, b), b = 1/sqrt(C/groups K). in_channels 0: left
 * open. opts NULL: defaults. */
LT_INLINE lt_module *lt_nn_conv1d_with(lt_ctx *ctx, int64_t in_channels, int64_t out_channels, int32_t kernel, const lt_nn_conv1d_opts *opts) {
    return lt__nn->conv1d(ctx, in_channels, out_channels, kernel, opts);
}
/* (B, C, T) -> (B, O, T') with spatial_dims 1 as lt_conv_transpose1d; (B, C, H, W) -> (B, O, H', W') with 2 as lt_conv_transpose2d. Parameters
 * weight (C, O/groups, K) or (C, O/groups, kH, kW), bias (O), from U(-b, b), b = 1/sqrt(O/groups K). LT_EINVAL unless output_padding is smaller
 * than stride or dilation. opts NULL: defaults. */
LT_INLINE lt_module *lt_nn_conv_transpose_with(lt_ctx *ctx, int32_t spatial_dims, int64_t in_channels, int64_t out_channels, int32_t kernel,
                                               const lt_nn_conv_transpose_opts *opts) {
    return lt__nn->conv_transpose(ctx, spatial_dims, in_channels, out_channels, kernel, opts);
}
/* (B, C, T) -> (B, C, T'), as lt_max_pool1d and lt_avg_pool1d. */
LT_INLINE lt_module *lt_nn_max_pool1d_with(lt_ctx *ctx, const lt_pool1d_opts *opts) { return lt__nn->pool1d(ctx, true, opts); }
LT_INLINE lt_module *lt_nn_avg_pool1d_with(lt_ctx *ctx, const lt_pool1d_opts *opts) { return lt__nn->pool1d(ctx, false, opts); }
/* (B, C, T) -> (B, C, size), as the function lt_adaptive_avg_pool1d. */
LT_INLINE lt_module *lt_nn_adaptive_avg_pool1d(lt_ctx *ctx, int64_t size) { return lt__nn->adaptive_pool(ctx, 1, false, 1, size); }
/* (B, C, H, W) -> (B, C, height, width), as the functions lt_adaptive_avg_pool2d and lt_adaptive_max_pool2d. */
LT_INLINE lt_module *lt_nn_adaptive_avg_pool2d(lt_ctx *ctx, int64_t height, int64_t width) {
    return lt__nn->adaptive_pool(ctx, 2, false, height, width);
}
LT_INLINE lt_module *lt_nn_adaptive_max_pool2d(lt_ctx *ctx, int64_t height, int64_t width) {
    return lt__nn->adaptive_pool(ctx, 2, true, height, width);
}
/* (B, C, H, W) -> (B, C, H', W') as lt_interpolate, torch.nn.Upsample. LT_EINVAL: neither size nor scale; align_corners with LT_NEAREST. */
LT_INLINE lt_module *lt_nn_upsample_with(lt_ctx *ctx, const lt_interpolate_opts *opts) { return lt__nn->upsample(ctx, opts); }
/* (B, C, ...) -> the same shape as lt_group_norm; parameters weight (C) of ones, bias (C) of zeros. LT_EINVAL unless groups divides channels.
 * opts NULL: defaults. */
LT_INLINE lt_module *lt_nn_group_norm_with(lt_ctx *ctx, int64_t groups, int64_t channels, const lt_nn_layer_norm_opts *opts) {
    return lt__nn->group_norm(ctx, groups, channels, opts);
}
/* (B, C, H, W) -> the same shape as lt_instance_norm, in training and out of it; with affine, parameters weight (C) of ones, bias (C) of zeros.
 * opts NULL: defaults. */
LT_INLINE lt_module *lt_nn_instance_norm2d_with(lt_ctx *ctx, int64_t channels, const lt_nn_instance_norm_opts *opts) {
    return lt__nn->instance_norm(ctx, channels, opts);
}
/* (..., width) -> the same shape as lt_rms_norm; parameter weight (width) of ones. It has no bias. opts NULL: defaults. */
LT_INLINE lt_module *lt_nn_rms_norm_with(lt_ctx *ctx, int64_t width, const lt_nn_layer_norm_opts *opts) { return lt__nn->rms_norm(ctx, width, opts); }
/* lt_layer_norm_over the last ndims dimensions, which must be `shape` (borrowed, ndims sizes); parameters weight, bias of that shape, ones and
 * zeros. opts NULL: defaults. */
LT_INLINE lt_module *lt_nn_layer_norm_over(lt_ctx *ctx, int32_t ndims, const int64_t *shape, const lt_nn_layer_norm_opts *opts) {
    return lt__nn->layer_norm_over(ctx, ndims, shape, opts);
}
/* Any shape -> the same, as the functions lt_softmax and lt_log_softmax; dim < 0 counts from the end. */
LT_INLINE lt_module *lt_nn_softmax(lt_ctx *ctx, int32_t dim) { return lt__nn->softmax(ctx, dim, false); }
LT_INLINE lt_module *lt_nn_log_softmax(lt_ctx *ctx, int32_t dim) { return lt__nn->softmax(ctx, dim, true); }
/* (..., n, ...) -> (..., sizes, ...): dimension dim becomes ndims ones, of which one may be -1 (torch.nn.Unflatten). sizes is borrowed. */
LT_INLINE lt_module *lt_nn_unflatten(lt_ctx *ctx, int32_t dim, int32_t ndims, const int64_t *sizes) {
    return lt__nn->unflatten(ctx, dim, ndims, sizes);
}

/* Bodies of the forms below: the number given first, unless the options say otherwise. */
LT_INLINE lt_module *lt__nn_max_pool1d(lt_ctx *ctx, int32_t kernel, lt_pool1d_opts opts) {
    opts.kernel = opts.kernel ? opts.kernel : kernel;
    return lt__nn->pool1d(ctx, true, &opts);
}
LT_INLINE lt_module *lt__nn_avg_pool1d(lt_ctx *ctx, int32_t kernel, lt_pool1d_opts opts) {
    opts.kernel = opts.kernel ? opts.kernel : kernel;
    return lt__nn->pool1d(ctx, false, &opts);
}
LT_INLINE lt_module *lt__nn_upsample(lt_ctx *ctx, double scale, lt_interpolate_opts opts) {
    opts.scale[0] = opts.scale[0] > 0 || opts.scale[0] < 0 ? opts.scale[0] : scale;
    return lt__nn->upsample(ctx, &opts);
}
LT_END

/* Forms with options by name, all optional:
 *     lt_nn_conv1d(ctx, 8, 16, 3, .padding = 1)    lt_nn_upsample(ctx, 2, .mode = LT_BILINEAR)    lt_nn_upsample(ctx, 0, .size = {28, 28})
 * C++: lt_nn_conv1d(ctx, 8, 16, 3, lt::nn_conv1d().padding(1)), lt_nn_upsample(ctx, 2, lt::interpolate().mode(LT_BILINEAR)). */
#ifndef __cplusplus
#define lt_nn_conv1d(ctx, in_channels, out_channels, ...) \
    lt_nn_conv1d_with(ctx, in_channels, out_channels, LT__FIRST(__VA_ARGS__, 0), &LT__REST_AS(lt_nn_conv1d_opts, __VA_ARGS__))
#define lt_nn_conv_transpose1d(ctx, in_channels, out_channels, ...) \
    lt_nn_conv_transpose_with(ctx, 1, in_channels, out_channels, LT__FIRST(__VA_ARGS__, 0), &LT__REST_AS(lt_nn_conv_transpose_opts, __VA_ARGS__))
#define lt_nn_conv_transpose2d(ctx, in_channels, out_channels, ...) \
    lt_nn_conv_transpose_with(ctx, 2, in_channels, out_channels, LT__FIRST(__VA_ARGS__, 0), &LT__REST_AS(lt_nn_conv_transpose_opts, __VA_ARGS__))
#define lt_nn_max_pool1d(ctx, ...) lt__nn_max_pool1d(ctx, LT__FIRST(__VA_ARGS__, 0), LT__REST_AS(lt_pool1d_opts, __VA_ARGS__))
#define lt_nn_avg_pool1d(ctx, ...) lt__nn_avg_pool1d(ctx, LT__FIRST(__VA_ARGS__, 0), LT__REST_AS(lt_pool1d_opts, __VA_ARGS__))
#define lt_nn_upsample(ctx, ...) lt__nn_upsample(ctx, LT__FIRST(__VA_ARGS__, 0), LT__REST_AS(lt_interpolate_opts, __VA_ARGS__))
#define lt_nn_group_norm(ctx, groups, ...) \
    lt_nn_group_norm_with(ctx, groups, LT__FIRST(__VA_ARGS__, 0), &LT__REST_AS(lt_nn_layer_norm_opts, __VA_ARGS__))
#define lt_nn_instance_norm2d(ctx, ...) \
    lt_nn_instance_norm2d_with(ctx, LT__FIRST(__VA_ARGS__, 0), &LT__REST_AS(lt_nn_instance_norm_opts, __VA_ARGS__))
#define lt_nn_rms_norm(ctx, ...) lt_nn_rms_norm_with(ctx, LT__FIRST(__VA_ARGS__, 0), &LT__REST_AS(lt_nn_layer_norm_opts, __VA_ARGS__))
#define lt_nn_embedding(ctx, count, ...) \
    lt_nn_embedding_with(ctx, count, LT__FIRST(__VA_ARGS__, 0), &LT__REST_AS(lt_embedding_opts, __VA_ARGS__))
#else
namespace lt {
struct nn_conv1d : lt_nn_conv1d_opts {
    nn_conv1d() : lt_nn_conv1d_opts() { struct_size = sizeof(lt_nn_conv1d_opts); }
    LT__SET(nn_conv1d, lt_nn_conv1d_opts, int32_t, stride)
    LT__SET(nn_conv1d, lt_nn_conv1d_opts, int32_t, padding)
    LT__SET(nn_conv1d, lt_nn_conv1d_opts, int32_t, dilation)
    LT__SET(nn_conv1d, lt_nn_conv1d_opts, int32_t, groups)
    LT__SET(nn_conv1d, lt_nn_conv1d_opts, bool, no_bias)
};
struct nn_conv_transpose : lt_nn_conv_transpose_opts {
    nn_conv_transpose() : lt_nn_conv_transpose_opts() { struct_size = sizeof(lt_nn_conv_transpose_opts); }
    LT__SET(nn_conv_transpose, lt_nn_conv_transpose_opts, int32_t, stride)
    LT__SET(nn_conv_transpose, lt_nn_conv_transpose_opts, int32_t, padding)
    LT__SET(nn_conv_transpose, lt_nn_conv_transpose_opts, int32_t, output_padding)
    LT__SET(nn_conv_transpose, lt_nn_conv_transpose_opts, int32_t, dilation)
    LT__SET(nn_conv_transpose, lt_nn_conv_transpose_opts, int32_t, groups)
    LT__SET(nn_conv_transpose, lt_nn_conv_transpose_opts, int32_t, stride_w)
    LT__SET(nn_conv_transpose, lt_nn_conv_transpose_opts, int32_t, padding_w)
    LT__SET(nn_conv_transpose, lt_nn_conv_transpose_opts, int32_t, output_padding_w)
    LT__SET(nn_conv_transpose, lt_nn_conv_transpose_opts, int32_t, dilation_w)
    LT__SET(nn_conv_transpose, lt_nn_conv_transpose_opts, int32_t, kernel_w)
    LT__SET(nn_conv_transpose, lt_nn_conv_transpose_opts, bool, no_bias)
};
struct nn_instance_norm : lt_nn_instance_norm_opts {
    nn_instance_norm() : lt_nn_instance_norm_opts() { struct_size = sizeof(lt_nn_instance_norm_opts); }
    LT__SET(nn_instance_norm, lt_nn_instance_norm_opts, bool, affine)
    LT__SET(nn_instance_norm, lt_nn_instance_norm_opts, double, eps)
};
} // namespace lt
inline lt_module *lt_nn_conv1d(lt_ctx *ctx, int64_t in_channels, int64_t out_channels, int32_t kernel,
                               const lt_nn_conv1d_opts &opts = lt::nn_conv1d()) {
    return lt_nn_conv1d_with(ctx, in_channels, out_channels, kernel, &opts);
}
inline lt_module *lt_nn_conv_transpose1d(lt_ctx *ctx, int64_t in_channels, int64_t out_channels, int32_t kernel,
                                         const lt_nn_conv_transpose_opts &opts = lt::nn_conv_transpose()) {
    return lt_nn_conv_transpose_with(ctx, 1, in_channels, out_channels, kernel, &opts);
}
inline lt_module *lt_nn_conv_transpose2d(lt_ctx *ctx, int64_t in_channels, int64_t out_channels, int32_t kernel,
                                         const lt_nn_conv_transpose_opts &opts = lt::nn_conv_transpose()) {
    return lt_nn_conv_transpose_with(ctx, 2, in_channels, out_channels, kernel, &opts);
}
inline lt_module *lt_nn_max_pool1d(lt_ctx *ctx, int32_t kernel, const lt_pool1d_opts &opts = lt::pool1d()) {
    return lt__nn_max_pool1d(ctx, kernel, opts);
}
inline lt_module *lt_nn_avg_pool1d(lt_ctx *ctx, int32_t kernel, const lt_pool1d_opts &opts = lt::pool1d()) {
    return lt__nn_avg_pool1d(ctx, kernel, opts);
}
inline lt_module *lt_nn_upsample(lt_ctx *ctx, double scale, const lt_interpolate_opts &opts = lt::interpolate()) {
    return lt__nn_upsample(ctx, scale, opts);
}
inline lt_module *lt_nn_group_norm(lt_ctx *ctx, int64_t groups, int64_t channels, const lt_nn_layer_norm_opts &opts = lt::nn_layer_norm()) {
    return lt_nn_group_norm_with(ctx, groups, channels, &opts);
}
inline lt_module *lt_nn_instance_norm2d(lt_ctx *ctx, int64_t channels, const lt_nn_instance_norm_opts &opts = lt::nn_instance_norm()) {
    return lt_nn_instance_norm2d_with(ctx, channels, &opts);
}
inline lt_module *lt_nn_rms_norm(lt_ctx *ctx, int64_t width, const lt_nn_layer_norm_opts &opts = lt::nn_layer_norm()) {
    return lt_nn_rms_norm_with(ctx, width, &opts);
}
inline lt_module *lt_nn_embedding(lt_ctx *ctx, int64_t count, int64_t width, const lt_embedding_opts &opts = lt::embedding()) {
    return lt_nn_embedding_with(ctx, count, width, &opts);
}
#endif
#endif
