/* lt/mock/nn_layers.h - what the mock host has of lt/nn_layers.h: modules of sequences, RMS norm, softmax, unflatten. The rest it refuses where
 * the module is made, as it refuses the operations. A part of lt/testing.h, which says what is promised; not to be included by itself. */
#ifndef LT_MOCK_NN_LAYERS_H
#define LT_MOCK_NN_LAYERS_H

LT_MOCK lt_module *lt_mock__absent_module(lt_ctx *ctx, const char *op) {
    return (lt_module *)lt_mock__fail(ctx, LT_EUNSUPPORTED, "the mock host has no %s", op);
}
LT_MOCK lt_module *lt_mock__nn_conv1d(lt_ctx *ctx, int64_t in_channels, int64_t out_channels, int32_t kernel, const lt_nn_conv1d_opts *opts) {
    lt_nn_conv1d_opts none = {0, 0, 0, 0, 0, 0, {0, 0, 0}}, o = opts ? *opts : none;
    lt_module *m = lt_mock__module(ctx, LT_MOCK_CONV1D);
    const int64_t shape[3] = {out_channels, in_channels / (o.groups ? o.groups : 1), kernel};
    m->weight = lt_mock__weight(ctx, 3, shape, shape[1] * kernel);
    m->bias = o.no_bias ? NULL : lt_mock__weight(ctx, 1, shape, shape[1] * kernel);
    m->conv1d.stride = o.stride;
    m->conv1d.padding = o.padding;
    m->conv1d.dilation = o.dilation;
    m->conv1d.groups = o.groups;
    return m;
}
LT_MOCK lt_module *lt_mock__nn_conv_transpose(lt_ctx *ctx, int32_t spatial_dims, int64_t in_channels, int64_t out_channels, int32_t kernel,
                                              const lt_nn_conv_transpose_opts *opts) {
    (void)spatial_dims, (void)in_channels, (void)out_channels, (void)kernel, (void)opts;
    return lt_mock__absent_module(ctx, "lt_nn_conv_transpose1d and lt_nn_conv_transpose2d");
}
LT_MOCK lt_module *lt_mock__nn_pool1d(lt_ctx *ctx, bool max, const lt_pool1d_opts *opts) {
    lt_module *m = lt_mock__module(ctx, max ? LT_MOCK_MAX1D : LT_MOCK_AVG1D);
    m->pool1d = *opts;
    return m;
}
LT_MOCK lt_module *lt_mock__nn_adaptive_pool(lt_ctx *ctx, int32_t spatial_dims, bool max, int64_t height, int64_t width) {
    (void)spatial_dims, (void)max, (void)height, (void)width;
    return lt_mock__absent_module(ctx, "adaptive pools");
}
LT_MOCK lt_module *lt_mock__nn_upsample(lt_ctx *ctx, const lt_interpolate_opts *opts) {
    (void)opts;
    return lt_mock__absent_module(ctx, "lt_nn_upsample");
}
LT_MOCK lt_module *lt_mock__nn_group_norm(lt_ctx *ctx, int64_t groups, int64_t channels, const lt_nn_layer_norm_opts *opts) {
    (void)groups, (void)channels, (void)opts;
    return lt_mock__absent_module(ctx, "lt_nn_group_norm");
}
LT_MOCK lt_module *lt_mock__nn_instance_norm(lt_ctx *ctx, int64_t channels, const lt_nn_instance_norm_opts *opts) {
    (void)channels, (void)opts;
    return lt_mock__absent_module(ctx, "lt_nn_instance_norm2d");
}
LT_MOCK lt_module *lt_mock__nn_rms_norm(lt_ctx *ctx, int64_t width, const lt_nn_layer_norm_opts *opts) {
    lt_module *m = lt_mock__module(ctx, LT_MOCK_RMS);
    m->weight = opts && opts->no_affine ? NULL : lt_mock__full(ctx, LT_F32, 1, &width, 1);
    m->eps = opts && opts->eps > 0 ? opts->eps : 1.1920928955078125e-07;
    return m;
}
LT_MOCK lt_module *lt_mock__nn_layer_norm_over(lt_ctx *ctx, int32_t ndims, const int64_t *shape, const lt_nn_layer_norm_opts *opts) {
    (void)ndims, (void)shape, (void)opts;
    return lt_mock__absent_module(ctx, "lt_nn_layer_norm_over");
}
LT_MOCK lt_module *lt_mock__nn_softmax(lt_ctx *ctx, int32_t dim, bool log) {
    lt_module *m = lt_mock__module(ctx, log ? LT_MOCK_LOG_SOFTMAX : LT_MOCK_SOFTMAX);
    m->number = dim;
    return m;
}
LT_MOCK lt_module *lt_mock__nn_unflatten(lt_ctx *ctx, int32_t dim, int32_t ndims, const int64_t *sizes) {
    lt_module *m;
    if (ndims < 1 || ndims > LT_MAX_DIMS || !sizes) {
        return (lt_module *)lt_mock__fail(ctx, LT_EINVAL, "lt_nn_unflatten: sizes must be 1..%d numbers", (int)LT_MAX_DIMS);
    }
    m = lt_mock__module(ctx, LT_MOCK_UNFLATTEN);
    m->number = dim;
    m->n_sizes = ndims;
    memcpy(m->sizes, sizes, (size_t)ndims * sizeof *sizes);
    return m;
}
LT_MOCK lt_tensor *lt_mock__unflatten(lt_ctx *ctx, const lt_module *m, lt_tensor *x) {
    int32_t dim = m->number < 0 ? m->number + x->ndim : m->number, ndim = x->ndim + m->n_sizes - 1;
    int64_t shape[LT_MAX_DIMS], known = 1, open = -1;
    if (dim < 0 || dim >= x->ndim || ndim > LT_MAX_DIMS) {
        return (lt_tensor *)lt_mock__fail(ctx, LT_ESHAPE, "unflatten: there is no dimension %d to take apart", (int)m->number);
    }
    for (int32_t d = 0; d < m->n_sizes; d++) {
        shape[dim + d] = m->sizes[d];
        open = m->sizes[d] < 0 ? dim + d : open;
        known *= m->sizes[d] < 0 ? 1 : m->sizes[d];
    }
    if (known < 1 || (open < 0 ? known != x->shape[dim] : x->shape[dim] % known != 0)) {
        return (lt_tensor *)lt_mock__fail(ctx, LT_ESHAPE, "unflatten: %lld elements do not make these sizes", (long long)x->shape[dim]);
    }
    if (open >= 0) {
        shape[open] = x->shape[dim] / known;
    }
    for (int32_t d = 0; d < x->ndim; d++) {
        if (d != dim) {
            shape[d < dim ? d : d + m->n_sizes - 1] = x->shape[d];
        }
    }
    return lt_mock__reshape(ctx, x, ndim, shape);
}
LT_MOCK lt_tensor *lt_mock__nn_layer_forward(lt_ctx *ctx, const lt_module *m, lt_tensor *x) {
    return m->layer == LT_MOCK_CONV1D        ? lt_mock__conv1d(ctx, x, m->weight, m->bias, &m->conv1d)
           : m->layer == LT_MOCK_MAX1D       ? lt_mock__max_pool1d(ctx, x, &m->pool1d)
           : m->layer == LT_MOCK_AVG1D       ? lt_mock__avg_pool1d(ctx, x, &m->pool1d)
           : m->layer == LT_MOCK_RMS         ? lt_mock__rms_norm(ctx, x, m->weight, m->eps)
           : m->layer == LT_MOCK_SOFTMAX     ? lt_mock__softmax(ctx, x, m->number)
           : m->layer == LT_MOCK_LOG_SOFTMAX ? lt_mock__log_softmax(ctx, x, m->number)
                                             : lt_mock__unflatten(ctx, m, x);
}
#endif
