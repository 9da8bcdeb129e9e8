/* lt/mock/nn.h - the mock host's modules (lt.nn/1), and lt.autograd/1 without gradients. A part of lt/testing.h, which says what is
 * promised; not to be included by itself. */
#ifndef LT_MOCK_NN_H
#define LT_MOCK_NN_H

/* ---- lt.autograd/1: no gradients ---- */
LT_MOCK void lt_mock__set_grad_enabled(lt_ctx *ctx, bool enabled, bool *before) {
    (void)ctx;
    if (before) {
        *before = !enabled;
    }
}
LT_MOCK void lt_mock__set_inference(lt_ctx *ctx, bool inference, bool *before) {
    (void)ctx;
    if (before) {
        *before = !inference;
    }
}
LT_MOCK lt_tensor *lt_mock__detach(lt_ctx *ctx, lt_tensor *x) {
    (void)ctx;
    return x;
}
LT_MOCK lt_tensor *lt_mock__set_requires_grad(lt_ctx *ctx, lt_tensor *x, bool requires_grad) {
    (void)ctx;
    (void)requires_grad;
    return x;
}
LT_MOCK lt_status lt_mock__backward(lt_ctx *ctx, lt_tensor *loss, lt_tensor *grad) {
    (void)loss;
    (void)grad;
    lt_mock__fail(ctx, LT_EUNSUPPORTED, "the mock host has no gradients");
    return LT_EUNSUPPORTED;
}
LT_MOCK lt_tensor *lt_mock__grad(lt_ctx *ctx, const lt_tensor *x) {
    (void)ctx;
    (void)x;
    return NULL;
}
LT_MOCK lt_tensor *lt_mock__custom_apply(lt_ctx *ctx, const lt_custom_op *op, lt_tensor *const *inputs, int32_t n_inputs,
                                         const void *context, size_t context_size) {
    lt_dtype dtype = LT_F32;
    int32_t ndim = 0;
    int64_t shape[1][LT_MAX_DIMS] = {{0}};
    lt_tensor *output = NULL;
    lt_custom_call call = {sizeof call, n_inputs, 1, 0, inputs, &output, NULL, NULL, NULL, context, context_size};
    if (op->shape(ctx, &call, &dtype, &ndim, shape) != LT_OK) {
        return NULL;
    }
    output = lt_mock__make(ctx, dtype, ndim, shape[0]);
    return output && op->forward(ctx, &call) == LT_OK ? output : NULL;
}
LT_MOCK void lt_mock__save_for_backward(lt_ctx *ctx, const lt_custom_call *call, lt_tensor *x) {
    (void)ctx;
    (void)call;
    (void)x;
}

/* ---- lt.nn/1 ---- */
LT_MOCK lt_module *lt_mock__module(lt_ctx *ctx, enum lt_mock_layer layer) {
    lt_module *m = (lt_module *)lt_mock__get(ctx->mock, sizeof *m);
    m->layer = layer;
    if (ctx->mock->n_modules < LT_MOCK_ITEMS) {
        ctx->mock->modules[ctx->mock->n_modules++] = m;
    }
    return m;
}
/* Between -1/sqrt(fan in) and 1/sqrt(fan in), always the same. */
LT_MOCK lt_tensor *lt_mock__weight(lt_ctx *ctx, int32_t ndim, const int64_t *shape, int64_t fan_in) {
    lt_tensor *x = lt_mock__rand(ctx, ndim, shape);
    return x ? lt_mock__map(ctx, x, NULL, 2 / sqrt((double)fan_in), -1 / sqrt((double)fan_in)) : NULL;
}
LT_MOCK lt_module *lt_mock__nn_linear(lt_ctx *ctx, int64_t in_features, int64_t out_features, bool bias) {
    const int64_t shape[2] = {out_features, in_features};
    lt_module *m = lt_mock__module(ctx, LT_MOCK_LINEAR);
    m->weight = lt_mock__weight(ctx, 2, shape, in_features);
    m->bias = bias ? lt_mock__weight(ctx, 1, shape, in_features) : NULL;
    return m;
}
LT_MOCK lt_module *lt_mock__nn_conv2d(lt_ctx *ctx, int64_t in_channels, int64_t out_channels, int32_t kernel,
                                      const lt_nn_conv2d_opts *opts) {
    lt_nn_conv2d_opts none = {0}, o = opts ? *opts : none;
    lt_module *m = lt_mock__module(ctx, LT_MOCK_CONV);
    const int64_t shape[4] = {out_channels, in_channels / (o.groups ? o.groups : 1), kernel, o.kernel_w ? o.kernel_w : kernel};
    m->weight = lt_mock__weight(ctx, 4, shape, shape[1] * shape[2] * shape[3]);
    m->bias = o.no_bias ? NULL : lt_mock__weight(ctx, 1, shape, shape[1] * shape[2] * shape[3]);
    m->conv.groups = o.groups;
    m->conv.stride[0] = o.stride;
    m->conv.stride[1] = o.stride_w ? o.stride_w : o.stride;
    m->conv.padding[0] = o.padding;
    m->conv.padding[1] = o.padding_w == -1 ? 0 : o.padding_w ? o.padding_w : o.padding;
    m->conv.dilation[0] = o.dilation;
    m->conv.dilation[1] = o.dilation_w ? o.dilation_w : o.dilation;
    return m;
}
LT_MOCK lt_module *lt_mock__nn_batch_norm(lt_ctx *ctx, int32_t spatial_dims, int64_t channels, const lt_nn_batch_norm_opts *opts) {
    lt_module *m = lt_mock__module(ctx, LT_MOCK_NORM);
    (void)spatial_dims;
    m->weight = lt_mock__full(ctx, LT_F32, 1, &channels, 1);
    m->bias = lt_mock__full(ctx, LT_F32, 1, &channels, 0);
    m->eps = opts && opts->eps > 0 ? opts->eps : 1e-5;
    return m;
}
LT_MOCK lt_module *lt_mock__nn_layer_norm(lt_ctx *ctx, int64_t width, const lt_nn_layer_norm_opts *opts) {
    lt_module *m = lt_mock__module(ctx, LT_MOCK_LAYER_NORM);
    m->weight = opts && opts->no_affine ? NULL : lt_mock__full(ctx, LT_F32, 1, &width, 1);
    m->bias = opts && (opts->no_affine || opts->no_bias) ? NULL : lt_mock__full(ctx, LT_F32, 1, &width, 0);
    m->eps = opts && opts->eps > 0 ? opts->eps : 1e-5;
    return m;
}
LT_MOCK lt_module *lt_mock__nn_embedding(lt_ctx *ctx, int64_t count, int64_t width, const lt_embedding_opts *opts) {
    lt_module *m = lt_mock__module(ctx, LT_MOCK_EMBEDDING);
    const int64_t shape[2] = {count, width};
    int64_t padding = opts ? (opts->padding_idx < 0 ? opts->padding_idx + count : opts->padding_idx) : 0;
    m->weight = lt_mock__weight(ctx, 2, shape, 1);
    if (opts && opts->has_padding_idx && (padding < 0 || padding >= count)) {
        return (lt_module *)lt_mock__fail(ctx, LT_EINVAL, "lt_nn_embedding: padding_idx %lld is none of the %lld rows", (long long)opts->padding_idx,
                                          (long long)count);
    }
    for (int64_t i = 0; opts && opts->has_padding_idx && m->weight && i < width; i++) {
        lt_mock_put(m->weight, padding * width + i, 0);
    }
    return m;
}
LT_MOCK lt_module *lt_mock__nn_max_pool2d(lt_ctx *ctx, const lt_pool2d_opts *opts) {
    lt_module *m = lt_mock__module(ctx, LT_MOCK_MAX);
    m->pool = *opts;
    return m;
}
LT_MOCK lt_module *lt_mock__nn_avg_pool2d(lt_ctx *ctx, const lt_pool2d_opts *opts) {
    lt_module *m = lt_mock__module(ctx, LT_MOCK_AVG);
    m->pool = *opts;
    return m;
}
LT_MOCK lt_module *lt_mock__nn_flatten(lt_ctx *ctx, int32_t start_dim) {
    lt_module *m = lt_mock__module(ctx, LT_MOCK_FLATTEN);
    m->number = start_dim;
    return m;
}
LT_MOCK lt_module *lt_mock__nn_activation(lt_ctx *ctx, lt_activation act) {
    lt_module *m = lt_mock__module(ctx, LT_MOCK_ACT);
    m->number = act;
    m->p = act == LT_ACT_LEAKY_RELU ? 0.01 : 1;
    m->q = 20;
    return m;
}
LT_MOCK lt_module *lt_mock__nn_activation_with(lt_ctx *ctx, lt_activation act, double first, double second) {
    lt_module *m = lt_mock__nn_activation(ctx, act);
    m->p = first;
    m->q = second;
    return m;
}
LT_MOCK lt_module *lt_mock__nn_dropout(lt_ctx *ctx, double p) {
    (void)p;
    return lt_mock__module(ctx, LT_MOCK_DROPOUT);
}
LT_MOCK lt_module *lt_mock__nn_sequential(lt_ctx *ctx, const char *name, lt_module *const *items, size_t count) {
    lt_module *m = lt_mock__module(ctx, LT_MOCK_SEQUENTIAL);
    lt_mock__copy(m->name, sizeof m->name, name);
    for (size_t i = 0; i < count && i < LT_MOCK_ITEMS; i++) {
        if (!items[i]) {
            return (lt_module *)lt_mock__fail(ctx, LT_EINVAL, "item %zu of %zu of '%s' is NULL, and no earlier call failed", i + 1, count,
                                              m->name);
        }
        m->items[m->count++] = items[i];
    }
    return m;
}
LT_MOCK lt_module *lt_mock__nn_residual(lt_ctx *ctx, lt_module *shortcut, lt_activation act, lt_module *const *items, size_t count) {
    lt_module *m = lt_mock__nn_sequential(ctx, NULL, items, count);
    if (m) {
        m->layer = LT_MOCK_RESIDUAL;
        m->number = act;
        m->shortcut = shortcut;
    }
    return m;
}
/* The mock draws nothing: weights are what they are, but constants. */
LT_MOCK lt_status lt_mock__nn_init(lt_ctx *ctx, lt_module *module, const char *name, lt_init how, double a, double b) {
    lt_tensor *x = module && name ? (!strcmp(name, "weight") ? module->weight : !strcmp(name, "bias") ? module->bias : NULL) : NULL;
    (void)b;
    if (!x) {
        lt_mock__fail(ctx, LT_EABSENT, "lt_nn_init: there is no parameter '%s'", name ? name : "");
        return LT_EABSENT;
    }
    for (int64_t i = 0; how == LT_INIT_CONSTANT && i < x->n; i++) {
        lt_mock_put(x, i, a);
    }
    return LT_OK;
}
LT_MOCK lt_module *lt_mock__nn_child(lt_ctx *ctx, const char *name, lt_module *module) {
    if (!module) {
        return (lt_module *)lt_mock__fail(ctx, LT_EINVAL, "lt_child: module '%s' is NULL, and no earlier call failed", name);
    }
    lt_mock__copy(module->name, sizeof module->name, name);
    return module;
}
/* With the statistics of the batch, in training and out of it. */
LT_MOCK lt_tensor *lt_mock__norm(lt_ctx *ctx, const lt_module *m, lt_tensor *x) {
    lt_tensor *y = lt_mock__clone(ctx, x);
    if (!y || x->ndim < 2 || x->shape[1] != m->weight->n) {
        return (lt_tensor *)lt_mock__fail(ctx, LT_ESHAPE, "batch norm of %lld channels got another shape", (long long)m->weight->n);
    }
    for (int64_t c = 0; c < x->shape[1]; c++) {
        double sum = 0, squares = 0, n = (double)x->n / (double)x->shape[1];
        for (int64_t i = 0; i < x->n; i++) {
            double v = i / x->strides[1] % x->shape[1] == c ? lt_mock_get(x, i) : 0;
            sum += v;
            squares += v * v;
        }
        for (int64_t i = 0; i < x->n; i++) {
            if (i / x->strides[1] % x->shape[1] == c) {
                lt_mock_put(y, i,
                            (lt_mock_get(x, i) - sum / n) / sqrt(squares / n - sum / n * sum / n + m->eps) * lt_mock_get(m->weight, c) +
                                lt_mock_get(m->bias, c));
            }
        }
    }
    return y;
}
LT_MOCK lt_tensor *lt_mock__nn_forward(lt_ctx *ctx, lt_module *m, lt_tensor *x) {
    if (!m || !x) {
        return (lt_tensor *)lt_mock__fail(ctx, LT_EINVAL, "lt_forward: the %s is NULL, and no earlier call failed",
                                          m ? "tensor" : "module");
    }
    switch (m->layer) {
    case LT_MOCK_LINEAR:
        return lt_mock__linear(ctx, x, m->weight, m->bias, LT_ACT_NONE);
    case LT_MOCK_CONV:
        return lt_mock__conv2d(ctx, x, m->weight, m->bias, &m->conv);
    case LT_MOCK_NORM:
        return lt_mock__norm(ctx, m, x);
    case LT_MOCK_MAX:
        return lt_mock__pool(ctx, x, &m->pool, true);
    case LT_MOCK_AVG:
        return lt_mock__pool(ctx, x, &m->pool, false);
    case LT_MOCK_FLATTEN:
        return lt_mock__flatten(ctx, x, m->number);
    case LT_MOCK_ACT:
        return lt_mock__activate_with(ctx, x, m->number, m->p, m->q);
    case LT_MOCK_LAYER_NORM: return lt_mock__layer_norm(ctx, x, m->weight, m->bias, m->eps);
    case LT_MOCK_EMBEDDING: return lt_mock__embedding(ctx, x, m->weight, NULL);
    case LT_MOCK_DROPOUT:
        return x;
    case LT_MOCK_CONV1D:
    case LT_MOCK_MAX1D:
    case LT_MOCK_AVG1D:
    case LT_MOCK_RMS:
    case LT_MOCK_SOFTMAX:
    case LT_MOCK_LOG_SOFTMAX:
    case LT_MOCK_UNFLATTEN:
        return lt_mock__nn_layer_forward(ctx, m, x);
    case LT_MOCK_RECURRENT:
        return lt_mock__nn_recurrent_forward(ctx, m, x, NULL);
    case LT_MOCK_GROUP:
        return (lt_tensor *)lt_mock__fail(ctx, LT_EUNSUPPORTED, "lt_forward: '%s' only holds modules; run the modules in it", m->name);
    case LT_MOCK_SEQUENTIAL:
    case LT_MOCK_RESIDUAL:
        break;
    }
    if (m->layer == LT_MOCK_RESIDUAL) {
        lt_tensor *beside = m->shortcut ? lt_mock__nn_forward(ctx, m->shortcut, x) : x;
        for (size_t i = 0; x && i < m->count; i++) {
            x = lt_mock__nn_forward(ctx, m->items[i], x);
        }
        x = x && beside ? lt_mock__add(ctx, x, beside) : NULL;
        return x ? lt_mock__activate(ctx, x, m->number) : NULL;
    }
    for (size_t i = 0; x && i < m->count; i++) {
        x = lt_mock__nn_forward(ctx, m->items[i], x);
    }
    return x;
}
LT_MOCK lt_tensor *lt_mock__nn_parameter(lt_ctx *ctx, const char *name, lt_dtype dtype, int32_t ndim, const int64_t *shape, double fill) {
    (void)name;
    return lt_mock__full(ctx, dtype, ndim, shape, fill);
}
LT_MOCK lt_tensor *lt_mock__nn_module_parameter(lt_ctx *ctx, lt_module *m, const char *name) {
    lt_tensor *x = !m ? NULL : !strcmp(name, "weight") ? m->weight : !strcmp(name, "bias") ? m->bias : NULL;
    const char *dot = NULL;
    size_t index = m && m->layer == LT_MOCK_SEQUENTIAL ? (size_t)strtoul(name, (char **)(uintptr_t)&dot, 10) : 0;
    if (dot && *dot == '.' && index < m->count) {
        return lt_mock__nn_module_parameter(ctx, m->items[index], dot + 1);
    }
    for (size_t i = 0; m && !x && i < m->n_own; i++) {
        x = strcmp(m->own[i].name, name) ? NULL : m->own[i].value;
    }
    dot = m && m->layer == LT_MOCK_GROUP ? strchr(name, '.') : NULL;
    for (size_t i = 0; dot && i < m->count; i++) {
        if (strlen(m->items[i]->name) == (size_t)(dot - name) && !strncmp(m->items[i]->name, name, (size_t)(dot - name))) {
            return lt_mock__nn_module_parameter(ctx, m->items[i], dot + 1);
        }
    }
    return x ? x : (lt_tensor *)lt_mock__fail(ctx, LT_EABSENT, "there is no parameter '%s'", name);
}
LT_MOCK void lt_mock__nn_freeze(lt_ctx *ctx, lt_module *m, bool frozen) {
    (void)ctx;
    m->frozen = frozen;
    for (size_t i = 0; i < m->count; i++) {
        m->items[i]->frozen = frozen;
    }
}
LT_MOCK bool lt_mock__nn_training(lt_ctx *ctx) { return ctx->mock->training; }
LT_MOCK int64_t lt_mock__nn_module_count(lt_ctx *ctx) { return ctx->mock->n_modules; }
LT_MOCK lt_status lt_mock__nn_module_info(lt_ctx *ctx, int64_t index, lt_module_info *out);
LT_MOCK lt_status lt_mock__nn_whole(lt_ctx *ctx, lt_module_info *out) {
    int64_t parameters = 0;
    for (int32_t i = 0; i < ctx->mock->n_modules; i++) {
        if (lt_mock__nn_module_info(ctx, i, out) == LT_OK) {
            parameters += out->parameters;
        }
    }
    out->depth = -1;
    out->name = out->type = "";
    out->parameters = out->trainable = parameters;
    out->parameter_bytes = 4 * parameters;
    out->buffers = 0;
    out->in_ndim = out->out_ndim = -1;
    out->training = ctx->mock->training;
    return LT_OK;
}
LT_MOCK lt_status lt_mock__nn_module_info(lt_ctx *ctx, int64_t index, lt_module_info *out) {
    const lt_module *m = index >= 0 && index < ctx->mock->n_modules ? ctx->mock->modules[index] : NULL;
    if (index == -1) { /* a module of the mock's has no children that count twice */
        return lt_mock__nn_whole(ctx, out);
    }
    if (!m) {
        lt_mock__fail(ctx, LT_EINDEX, "there is no module %lld", (long long)index);
        return LT_EINDEX;
    }
    out->depth = 0;
    out->name = m->name;
    out->type = "Mock";
    out->parameters = out->trainable = (m->weight ? m->weight->n : 0) + (m->bias ? m->bias->n : 0);
    out->parameter_bytes = 4 * out->parameters;
    out->buffers = 0;
    out->in_ndim = out->out_ndim = -1;
    out->training = ctx->mock->training;
    return LT_OK;
}
#endif
