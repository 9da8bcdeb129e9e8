/* engine/nn/make_layers.c - layers of feed-forward and convolutional nets: option checks, parameters and buffers with their shapes and
 * initial distributions. Only in `configure`; draws nothing: the seal does. */
#include "engine/nn/layer.h"
#include "engine/ops/table.h"
#include <math.h>
#include <string.h>

/* ---- layers with parameters ---- */
/* PyTorch's default for linear and conv: kaiming_uniform_(a=sqrt(5)) for the weight, U(+-1/sqrt(fan_in)) for the bias. The bounds are
 * equal but for rounding, so each is computed as torch/nn/init.py does. */
void lth_init_default(lt_module *module, int64_t fan_in) {
    double slope = sqrt(5.0), gain = sqrt(2.0 / (1 + slope * slope)), root = sqrt((double)fan_in);
    module->weight->init = LTH_INIT_UNIFORM;
    module->weight->bound = fan_in > 0 ? sqrt(3.0) * (gain / root) : 0;
    if (module->bias) {
        module->bias->init = LTH_INIT_UNIFORM;
        module->bias->bound = fan_in > 0 ? 1 / root : 0;
    }
}

static bool add_weight_and_bias(lt_ctx *ctx, lt_module *module, int ndim, const int64_t *shape, bool bias) {
    module->weight = lth_layer_param(ctx, module, "weight", ndim, shape);
    if (module->weight && bias) {
        module->bias = lth_layer_param(ctx, module, "bias", 1, shape);
    }
    return module->weight && (module->bias || !bias);
}

lt_module *lth_make_linear(lt_ctx *ctx, int64_t in_features, int64_t out_features, bool bias) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_nn_linear", NULL);
    lth_modules *m = lth_open_tree(ctx, "lt_nn_linear", LTH_CALLER);
    if (!m || !lth_in_range(ctx, "lt_nn_linear", "in_features", in_features, 0) || !lth_in_range(ctx, "lt_nn_linear", "out_features", out_features, 1)) {
        return NULL;
    }
    lt_module *module = lth_module_new(ctx, m, LTH_LINEAR, "Linear", "lt_nn_linear");
    int64_t shape[2] = {out_features, in_features};
    if (!module || !add_weight_and_bias(ctx, module, 2, shape, bias)) {
        return NULL;
    }
    module->in = in_features;
    module->open = !in_features;
    module->out = out_features;
    lth_init_default(module, in_features);
    return module;
}


int32_t lth_padding_w(int32_t given, int32_t height) { return given == -1 ? 0 : given ? given : height; }

static bool conv_attrs(lt_ctx *ctx, lth_attrs *attrs, const lt_nn_conv2d_opts *o) {
    int64_t *i = attrs->i;
    i[0] = lth_otherwise(o->stride, 1), i[1] = lth_otherwise(o->stride_w, i[0]);
    i[2] = o->padding, i[3] = lth_padding_w(o->padding_w, o->padding);
    i[4] = lth_otherwise(o->dilation, 1), i[5] = lth_otherwise(o->dilation_w, i[4]);
    i[6] = lth_otherwise(o->groups, 1);
    return lth_in_range(ctx, "lt_nn_conv2d", "stride", i[0] < i[1] ? i[0] : i[1], 1) &&
           lth_in_range(ctx, "lt_nn_conv2d", "padding", i[2], 0) && lth_in_range(ctx, "lt_nn_conv2d", "padding_w", o->padding_w, -1) &&
           lth_in_range(ctx, "lt_nn_conv2d", "dilation", i[4] < i[5] ? i[4] : i[5], 1) && lth_in_range(ctx, "lt_nn_conv2d", "groups", i[6], 1);
}

lt_module *lth_make_conv2d(lt_ctx *ctx, int64_t in_channels, int64_t out_channels, int32_t kernel, const lt_nn_conv2d_opts *opts) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_nn_conv2d", NULL);
    lth_modules *m = lth_open_tree(ctx, "lt_nn_conv2d", LTH_CALLER);
    lt_nn_conv2d_opts o;
    lth_attrs attrs = {0};
    if (!lth_read_opts(ctx, &o, sizeof o, opts, "lt_nn_conv2d", LTH_CALLER)) {
        return NULL;
    }
    int64_t kernel_w = lth_otherwise(o.kernel_w, kernel);
    if (!m || !lth_in_range(ctx, "lt_nn_conv2d", "in_channels", in_channels, 0) || !lth_in_range(ctx, "lt_nn_conv2d", "out_channels", out_channels, 1) ||
        !lth_in_range(ctx, "lt_nn_conv2d", "kernel", kernel < kernel_w ? kernel : kernel_w, 1) || !conv_attrs(ctx, &attrs, &o)) {
        return NULL;
    }
    if (in_channels % attrs.i[6] || out_channels % attrs.i[6]) {
        lth_fail_op(&ctx->error, LT_EINVAL, "lt_nn_conv2d", LTH_CALLER, "lt_nn_conv2d: groups %lld must divide the channels, %lld in and %lld out",
                    (long long)attrs.i[6], (long long)in_channels, (long long)out_channels);
        return NULL;
    }
    lt_module *module = lth_module_new(ctx, m, LTH_CONV2D_LAYER, "Conv2d", "lt_nn_conv2d");
    int64_t shape[4] = {out_channels, in_channels / attrs.i[6], kernel, kernel_w};
    if (!module || !add_weight_and_bias(ctx, module, 4, shape, !o.no_bias)) {
        return NULL;
    }
    module->in = in_channels;
    module->open = !in_channels;
    module->out = out_channels;
    module->attrs = attrs;
    lth_init_default(module, shape[1] * shape[2] * shape[3]);
    return module;
}

static bool add_running_stats(lt_ctx *ctx, lt_module *module, int64_t channels) {
    module->mean = lth_buffer_new(ctx, module, "running_mean", module->owner->dtype, 1, &channels);
    module->var = module->mean ? lth_buffer_new(ctx, module, "running_var", module->owner->dtype, 1, &channels) : NULL;
    module->batches = module->var ? lth_buffer_new(ctx, module, "num_batches_tracked", LT_I64, 0, NULL) : NULL;
    return module->batches && lth_buffer_fill(ctx, module->var, 1) == LT_OK;
}

lt_module *lth_make_batch_norm(lt_ctx *ctx, int32_t spatial_dims, int64_t channels, const lt_nn_batch_norm_opts *opts) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_nn_batch_norm", NULL);
    lth_modules *m = lth_open_tree(ctx, "lt_nn_batch_norm", LTH_CALLER);
    lt_nn_batch_norm_opts o;
    if (!lth_read_opts(ctx, &o, sizeof o, opts, "lt_nn_batch_norm", LTH_CALLER)) {
        return NULL;
    }
    if (!m || !lth_in_range(ctx, "lt_nn_batch_norm", "channels", channels, 1) || !lth_good_eps(ctx, "lt_nn_batch_norm", "eps", o.eps, LTH_CALLER)) {
        return NULL;
    }
    if (!(o.momentum >= 0 && o.momentum <= 1)) {
        lth_fail_op(&ctx->error, LT_EINVAL, "lt_nn_batch_norm", LTH_CALLER, "lt_nn_batch_norm: momentum must lie between 0 and 1, got %g", o.momentum);
        return NULL;
    }
    if (spatial_dims != 1 && spatial_dims != 2) {
        lth_fail_op(&ctx->error, LT_EINVAL, "lt_nn_batch_norm", LTH_CALLER, "lt_nn_batch_norm: spatial_dims must be 1 or 2, got %d", spatial_dims);
        return NULL;
    }
    lt_module *module = lth_module_new(ctx, m, LTH_BATCH_NORM_LAYER, spatial_dims == 1 ? "BatchNorm1d" : "BatchNorm2d", "lt_nn_batch_norm");
    module = lth_with_affine(ctx, module, !o.no_affine, true, 1, &channels);
    if (!module || (!o.no_running_stats && !add_running_stats(ctx, module, channels))) {
        return NULL;
    }
    module->in = module->out = channels;
    module->spatial = spatial_dims;
    module->attrs.f[0] = o.eps != 0 ? o.eps : 1e-5;
    module->attrs.f[1] = o.momentum != 0 ? o.momentum : 0.1;
    return module;
}

/* ---- layers without ---- */
static lt_module *make_pool(lt_ctx *ctx, const lt_pool2d_opts *opts, lth_layer_kind kind, const char *type, const char *op) {
    lth_modules *m = lth_open_tree(ctx, op, NULL);
    lt_pool2d_opts o;
    if (!lth_read_opts(ctx, &o, sizeof o, opts, op, NULL)) {
        return NULL;
    }
    int64_t kernel[2] = {o.kernel[0], lth_otherwise(o.kernel[1], o.kernel[0])};
    int64_t stride[2] = {lth_otherwise(o.stride[0], kernel[0]), lth_otherwise(o.stride[1], lth_otherwise(o.stride[0], kernel[1]))};
    for (int d = 0; d < 2; d++) {
        if (!m || !lth_in_range(ctx, op, "kernel", kernel[d], 1) || !lth_in_range(ctx, op, "stride", stride[d], 1) ||
            !lth_in_range(ctx, op, "padding", o.padding[d], 0)) {
            return NULL;
        }
        if (o.padding[d] > kernel[d] / 2) {
            lth_fail_op(&ctx->error, LT_EINVAL, op, NULL, "%s: padding %d is more than half of kernel %lld", op, o.padding[d], (long long)kernel[d]);
            return NULL;
        }
    }
    lt_module *module = lth_module_new(ctx, m, kind, type, op);
    if (module) {
        int64_t *i = module->attrs.i;
        i[0] = kernel[0], i[1] = kernel[1], i[2] = stride[0], i[3] = stride[1], i[4] = o.padding[0], i[5] = o.padding[1];
        i[6] = o.ceil_mode;
        i[7] = kind == LTH_AVG_POOL_LAYER && !o.exclude_pad;
    }
    return module;
}

lt_module *lth_make_max_pool2d(lt_ctx *ctx, const lt_pool2d_opts *opts) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_nn_max_pool2d", NULL);
    return make_pool(ctx, opts, LTH_MAX_POOL_LAYER, "MaxPool2d", "lt_nn_max_pool2d");
}

lt_module *lth_make_avg_pool2d(lt_ctx *ctx, const lt_pool2d_opts *opts) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_nn_avg_pool2d", NULL);
    return make_pool(ctx, opts, LTH_AVG_POOL_LAYER, "AvgPool2d", "lt_nn_avg_pool2d");
}

lt_module *lth_make_flatten(lt_ctx *ctx, int32_t start_dim) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_nn_flatten", NULL);
    lth_modules *m = lth_open_tree(ctx, "lt_nn_flatten", LTH_CALLER);
    lt_module *module = m ? lth_module_new(ctx, m, LTH_FLATTEN, "Flatten", "lt_nn_flatten") : NULL;
    if (module) {
        module->attrs.i[0] = start_dim;
    }
    return module;
}

static lt_module *make_activation(lt_ctx *ctx, lt_activation act, double first, double second, const char *op, void *caller) {
    static const char *const types[] = {"Identity", "ReLU", "Tanh", "Sigmoid", "GELU", "GELU", "LeakyReLU", "ELU", "SiLU", "Softplus", "Hardswish"};
    lth_modules *m = lth_open_tree(ctx, op, caller);
    if (!m) {
        return NULL;
    }
    if (act < LT_ACT_NONE || act > LT_ACT_HARDSWISH) {
        lth_fail_op(&ctx->error, LT_EINVAL, op, caller, "%s: no activation has the number %d", op, act);
        return NULL;
    }
    if (act == LT_ACT_SOFTPLUS && !(first > 0)) {
        lth_fail_op(&ctx->error, LT_EINVAL, op, caller, "%s: beta of softplus must be more than 0, got %g", op, first);
        return NULL;
    }
    lt_module *module = lth_module_new(ctx, m, LTH_ACTIVATION, types[act], op);
    if (module) {
        module->attrs.i[0] = act;
        module->attrs.f[0] = first;
        module->attrs.f[1] = second;
    }
    return module;
}

lt_module *lth_make_activation(lt_ctx *ctx, lt_activation act) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_nn_activation", NULL);
    double first, second;
    lth_activation_defaults(act, &first, &second);
    return make_activation(ctx, act, first, second, "lt_nn_activation", LTH_CALLER);
}

lt_module *lth_make_activation_with(lt_ctx *ctx, lt_activation act, double first, double second) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_nn_activation_with", NULL);
    return make_activation(ctx, act, first, second, "lt_nn_activation_with", LTH_CALLER);
}

lt_module *lth_make_dropout(lt_ctx *ctx, double p) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_nn_dropout", NULL);
    lth_modules *m = lth_open_tree(ctx, "lt_nn_dropout", LTH_CALLER);
    if (!m) {
        return NULL;
    }
    if (!(p >= 0 && p <= 1)) {
        lth_fail_op(&ctx->error, LT_EINVAL, "lt_nn_dropout", LTH_CALLER, "lt_nn_dropout: p must lie between 0 and 1, got %g", p);
        return NULL;
    }
    lt_module *module = lth_module_new(ctx, m, LTH_DROPOUT_LAYER, "Dropout", "lt_nn_dropout");
    if (module) {
        module->p = p;
    }
    return module;
}
