/* lt/mock/spatial.h - what the mock host has of lt/layers.h: convolution and pooling of sequences, by its own of images, and RMS norm. The
 * rest it refuses. A part of lt/testing.h, which says what is promised; not to be included by itself. */
#ifndef LT_MOCK_SPATIAL_H
#define LT_MOCK_SPATIAL_H

LT_MOCK lt_tensor *lt_mock__absent_layer(lt_ctx *ctx, const char *op) {
    return (lt_tensor *)lt_mock__fail(ctx, LT_EUNSUPPORTED, "the mock host has no %s", op);
}
LT_MOCK lt_tensor *lt_mock__as_image(lt_ctx *ctx, lt_tensor *x) {
    const int64_t shape[4] = {x->shape[0], x->shape[1], 1, x->shape[2]};
    return x->ndim == 3 ? lt_mock__reshape(ctx, x, 4, shape) : (lt_tensor *)lt_mock__fail(ctx, LT_ESHAPE, "a sequence has three dimensions");
}
LT_MOCK lt_tensor *lt_mock__as_sequence(lt_ctx *ctx, lt_tensor *y) {
    const int64_t shape[3] = {y ? y->shape[0] : 0, y ? y->shape[1] : 0, y ? y->shape[3] : 0};
    return y ? lt_mock__reshape(ctx, y, 3, shape) : NULL;
}
LT_MOCK lt_tensor *lt_mock__conv1d(lt_ctx *ctx, lt_tensor *x, lt_tensor *w, lt_tensor *bias, const lt_conv1d_opts *opts) {
    lt_conv2d_opts o = {sizeof(lt_conv2d_opts), {1, opts ? opts->stride : 0}, {0, opts ? opts->padding : 0}, {1, opts ? opts->dilation : 0},
                        opts ? opts->groups : 0};
    lt_tensor *image, *weight;
    LT_MOCK__NEED(x && w, NULL);
    image = lt_mock__as_image(ctx, x);
    weight = lt_mock__as_image(ctx, w);
    return image && weight ? lt_mock__as_sequence(ctx, lt_mock__conv2d(ctx, image, weight, bias, &o)) : NULL;
}
LT_MOCK lt_pool2d_opts lt_mock__pool_opts(const lt_pool1d_opts *opts) {
    lt_pool2d_opts o = {sizeof(lt_pool2d_opts), {1, 0}, {1, 0}, {0, 0}, 0, 0, {0, 0}};
    o.kernel[1] = opts->kernel;
    o.stride[1] = opts->stride ? opts->stride : opts->kernel;
    o.padding[1] = opts->padding;
    o.ceil_mode = opts->ceil_mode;
    o.exclude_pad = opts->exclude_pad;
    return o;
}
LT_MOCK lt_tensor *lt_mock__max_pool1d(lt_ctx *ctx, lt_tensor *x, const lt_pool1d_opts *opts) {
    lt_pool2d_opts o;
    LT_MOCK__NEED(x && opts, NULL);
    o = lt_mock__pool_opts(opts);
    x = lt_mock__as_image(ctx, x);
    return x ? lt_mock__as_sequence(ctx, lt_mock__max_pool2d(ctx, x, &o)) : NULL;
}
LT_MOCK lt_tensor *lt_mock__avg_pool1d(lt_ctx *ctx, lt_tensor *x, const lt_pool1d_opts *opts) {
    lt_pool2d_opts o;
    LT_MOCK__NEED(x && opts, NULL);
    o = lt_mock__pool_opts(opts);
    x = lt_mock__as_image(ctx, x);
    return x ? lt_mock__as_sequence(ctx, lt_mock__avg_pool2d(ctx, x, &o)) : NULL;
}
LT_MOCK lt_tensor *lt_mock__conv_transpose1d(lt_ctx *ctx, lt_tensor *x, lt_tensor *w, lt_tensor *bias, const lt_conv_transpose1d_opts *opts) {
    (void)x, (void)w, (void)bias, (void)opts;
    return lt_mock__absent_layer(ctx, "lt_conv_transpose1d");
}
LT_MOCK lt_tensor *lt_mock__conv_transpose2d(lt_ctx *ctx, lt_tensor *x, lt_tensor *w, lt_tensor *bias, const lt_conv_transpose2d_opts *opts) {
    (void)x, (void)w, (void)bias, (void)opts;
    return lt_mock__absent_layer(ctx, "lt_conv_transpose2d");
}
LT_MOCK lt_tensor *lt_mock__adaptive_avg_pool1d(lt_ctx *ctx, lt_tensor *x, int64_t size) {
    (void)x, (void)size;
    return lt_mock__absent_layer(ctx, "lt_adaptive_avg_pool1d");
}
LT_MOCK lt_tensor *lt_mock__adaptive_pool2d(lt_ctx *ctx, lt_tensor *x, int64_t height, int64_t width) {
    (void)x, (void)height, (void)width;
    return lt_mock__absent_layer(ctx, "lt_adaptive_avg_pool2d and lt_adaptive_max_pool2d");
}
LT_MOCK lt_tensor *lt_mock__interpolate(lt_ctx *ctx, lt_tensor *x, const lt_interpolate_opts *opts) {
    (void)x, (void)opts;
    return lt_mock__absent_layer(ctx, "lt_interpolate");
}
LT_MOCK lt_tensor *lt_mock__group_norm(lt_ctx *ctx, lt_tensor *x, int64_t groups, lt_tensor *weight, lt_tensor *bias, double eps) {
    (void)x, (void)groups, (void)weight, (void)bias, (void)eps;
    return lt_mock__absent_layer(ctx, "lt_group_norm");
}
LT_MOCK lt_tensor *lt_mock__instance_norm(lt_ctx *ctx, lt_tensor *x, lt_tensor *weight, lt_tensor *bias, double eps) {
    (void)x, (void)weight, (void)bias, (void)eps;
    return lt_mock__absent_layer(ctx, "lt_instance_norm");
}
LT_MOCK lt_tensor *lt_mock__layer_norm_over(lt_ctx *ctx, lt_tensor *x, int32_t ndims, lt_tensor *weight, lt_tensor *bias, double eps) {
    (void)x, (void)ndims, (void)weight, (void)bias, (void)eps;
    return lt_mock__absent_layer(ctx, "lt_layer_norm_over");
}
LT_MOCK lt_tensor *lt_mock__rms_norm(lt_ctx *ctx, lt_tensor *x, lt_tensor *weight, double eps) {
    lt_tensor *y;
    int64_t size;
    LT_MOCK__NEED(x, NULL);
    size = x->ndim ? x->shape[x->ndim - 1] : 0;
    if (x->ndim < 1 || (weight && weight->n != size)) {
        return (lt_tensor *)lt_mock__fail(ctx, LT_ESHAPE, "lt_rms_norm: weight must have the %lld values of x's last dimension", (long long)size);
    }
    y = lt_mock__make(ctx, x->dtype, x->ndim, x->shape);
    for (int64_t row = 0; y && size && row < x->n / size; row++) {
        double squares = 0;
        for (int64_t i = 0; i < size; i++) {
            squares += lt_mock_get(x, row * size + i) * lt_mock_get(x, row * size + i);
        }
        for (int64_t i = 0; i < size; i++) {
            lt_mock_put(y, row * size + i, lt_mock_get(x, row * size + i) / sqrt(squares / (double)size + eps) * (weight ? lt_mock_get(weight, i) : 1));
        }
    }
    return y;
}
#endif
