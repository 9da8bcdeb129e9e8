/* engine/nn/make.c - making modules: option checks, parameters and buffers with their shapes and initial distributions, and their
 * places in the tree. Only in `configure`. Draws nothing and lays out nothing: the seal does. */
#include "engine/nn/layer.h"
#include <math.h>
#include <string.h>

/* ---- beginnings ---- */
/* The tree being made, or NULL with the failure in ctx. */
static lth_modules *open_tree(lt_ctx *ctx, const char *op, void *caller) {
    lth_modules *m = ctx->modules;
    if (!m || !ctx->in_configure || m->sealed) {
        lth_fail_op(&ctx->error, LT_ESTATE, op, caller, "%s: modules and parameters are made only in the model's configure", op);
        return NULL;
    }
    return m;
}

static void *out_of_memory(lt_ctx *ctx, const char *op) {
    lth_fail_op(&ctx->error, LT_ENOMEM, op, NULL, "%s: out of memory", op);
    return NULL;
}

static lt_module *module_new(lt_ctx *ctx, lth_modules *m, lth_layer_kind kind, const char *type, const char *op) {
    lt_module *module = lth_arena_alloc(&m->arena, sizeof *module);
    if (!module) {
        return out_of_memory(ctx, op);
    }
    module->kind = kind;
    module->type = type;
    module->owner = m;
    module->training = m->training;
    module->number = -1;
    *(m->made ? &m->last_made->next_made : &m->made) = module;
    m->last_made = module;
    return module;
}

/* The seal gives it a window in the flat block. Until then a layer's parameter has no values, and one that the plugin holds in its
 * hands (`visible`) has memory of its own. */
static lth_param *param_new(lt_ctx *ctx, lth_modules *m, const char *name, int ndim, const int64_t *shape, bool visible) {
    static float nothing[16];
    lth_param *p = lth_arena_alloc(&m->arena, sizeof *p);
    if (!p) {
        return out_of_memory(ctx, "lt_parameter");
    }
    p->name = lth_arena_strdup(&m->arena, name);
    p->value = lth_tensor_lasting(m->engine, LT_F32, ndim, shape, visible ? NULL : nothing, &ctx->error);
    if (!p->name || !p->value) {
        lth_tensor_free(p->value);
        return ctx->error.code ? NULL : out_of_memory(ctx, "lt_parameter");
    }
    p->n = lth_numel(p->value);
    p->value->requires_grad = p->value->is_leaf = 1;
    m->n_params++;
    return p;
}

static lth_param *layer_param(lt_ctx *ctx, lt_module *module, const char *name, int ndim, const int64_t *shape) {
    lth_param *p = param_new(ctx, module->owner, name, ndim, shape, false);
    if (p) {
        p->module = module;
    }
    return p;
}

static lth_buffer *layer_buffer(lt_ctx *ctx, lt_module *module, const char *name, lt_dtype dtype, int ndim, const int64_t *shape) {
    lth_modules *m = module->owner;
    lth_buffer *b = lth_arena_alloc(&m->arena, sizeof *b);
    if (!b) {
        return out_of_memory(ctx, "lt_nn_batch_norm");
    }
    *b = (lth_buffer){.name = name, .module = module, .value = lth_tensor_lasting(m->engine, dtype, ndim, shape, NULL, &ctx->error)};
    if (!b->value) {
        return NULL;
    }
    m->n_buffers++;
    return b;
}

static bool in_range(lt_ctx *ctx, const char *op, const char *what, int64_t value, int64_t low) {
    if (value < low || value > INT32_MAX) {
        lth_fail_op(&ctx->error, LT_EINVAL, op, NULL, "%s: %s must be at least %lld, got %lld", op, what, (long long)low, (long long)value);
        return false;
    }
    return true;
}

/* ---- layers with parameters ---- */
/* PyTorch's default for linear and conv: kaiming_uniform_(a=sqrt(5)) for the weight, U(+-1/sqrt(fan_in)) for the bias. The bounds are
 * equal but for rounding, so each is computed as torch/nn/init.py does. */
static void init_default(lt_module *module, int64_t fan_in) {
    double slope = sqrt(5.0), gain = sqrt(2.0 / (1 + slope * slope)), root = sqrt((double)fan_in);
    module->weight->init = LTH_INIT_UNIFORM;
    module->weight->bound = fan_in > 0 ? sqrt(3.0) * (gain / root) : 0;
    if (module->bias) {
        module->bias->init = LTH_INIT_UNIFORM;
        module->bias->bound = fan_in > 0 ? 1 / root : 0;
    }
}

static bool add_weight_and_bias(lt_ctx *ctx, lt_module *module, int ndim, const int64_t *shape, bool bias) {
    module->weight = layer_param(ctx, module, "weight", ndim, shape);
    if (module->weight && bias) {
        module->bias = layer_param(ctx, module, "bias", 1, shape);
    }
    return module->weight && (module->bias || !bias);
}

lt_module *lth_make_linear(lt_ctx *ctx, int64_t in_features, int64_t out_features, bool bias) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_nn_linear", NULL);
    lth_modules *m = open_tree(ctx, "lt_nn_linear", LTH_CALLER);
    if (!m || !in_range(ctx, "lt_nn_linear", "in_features", in_features, 1) || !in_range(ctx, "lt_nn_linear", "out_features", out_features, 1)) {
        return NULL;
    }
    lt_module *module = module_new(ctx, m, LTH_LINEAR, "Linear", "lt_nn_linear");
    int64_t shape[2] = {out_features, in_features};
    if (!module || !add_weight_and_bias(ctx, module, 2, shape, bias)) {
        return NULL;
    }
    module->in = in_features;
    module->out = out_features;
    init_default(module, in_features);
    return module;
}

/* Fills `o` from what the plugin gave, as much of it as the plugin knew. */
static void take_opts(void *o, size_t size, const void *given, uint32_t given_size) {
    memset(o, 0, size);
    if (given) {
        memcpy(o, given, given_size && given_size < size ? given_size : size);
    }
}

static int64_t or_else(int32_t value, int64_t fallback) { return value ? value : fallback; }

static bool conv_attrs(lt_ctx *ctx, lth_attrs *attrs, const lt_nn_conv2d_opts *o) {
    int64_t *i = attrs->i;
    i[0] = or_else(o->stride, 1), i[1] = or_else(o->stride_w, i[0]);
    i[2] = o->padding, i[3] = or_else(o->padding_w, i[2]);
    i[4] = or_else(o->dilation, 1), i[5] = or_else(o->dilation_w, i[4]);
    i[6] = or_else(o->groups, 1);
    return in_range(ctx, "lt_nn_conv2d", "stride", i[0] < i[1] ? i[0] : i[1], 1) &&
           in_range(ctx, "lt_nn_conv2d", "padding", i[2] < i[3] ? i[2] : i[3], 0) &&
           in_range(ctx, "lt_nn_conv2d", "dilation", i[4] < i[5] ? i[4] : i[5], 1) && in_range(ctx, "lt_nn_conv2d", "groups", i[6], 1);
}

lt_module *lth_make_conv2d(lt_ctx *ctx, int64_t in_channels, int64_t out_channels, int32_t kernel, const lt_nn_conv2d_opts *opts) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_nn_conv2d", NULL);
    lth_modules *m = open_tree(ctx, "lt_nn_conv2d", LTH_CALLER);
    lt_nn_conv2d_opts o;
    lth_attrs attrs = {0};
    take_opts(&o, sizeof o, opts, opts ? opts->struct_size : 0);
    int64_t kernel_w = or_else(o.kernel_w, kernel);
    if (!m || !in_range(ctx, "lt_nn_conv2d", "in_channels", in_channels, 1) || !in_range(ctx, "lt_nn_conv2d", "out_channels", out_channels, 1) ||
        !in_range(ctx, "lt_nn_conv2d", "kernel", kernel < kernel_w ? kernel : kernel_w, 1) || !conv_attrs(ctx, &attrs, &o)) {
        return NULL;
    }
    if (in_channels % attrs.i[6] || out_channels % attrs.i[6]) {
        lth_fail_op(&ctx->error, LT_EINVAL, "lt_nn_conv2d", LTH_CALLER, "lt_nn_conv2d: groups %lld must divide the channels, %lld in and %lld out",
                    (long long)attrs.i[6], (long long)in_channels, (long long)out_channels);
        return NULL;
    }
    lt_module *module = module_new(ctx, m, LTH_CONV2D_LAYER, "Conv2d", "lt_nn_conv2d");
    int64_t shape[4] = {out_channels, in_channels / attrs.i[6], kernel, kernel_w};
    if (!module || !add_weight_and_bias(ctx, module, 4, shape, !o.no_bias)) {
        return NULL;
    }
    module->in = in_channels;
    module->out = out_channels;
    module->attrs = attrs;
    init_default(module, shape[1] * shape[2] * shape[3]);
    return module;
}

static bool add_running_stats(lt_ctx *ctx, lt_module *module, int64_t channels) {
    module->mean = layer_buffer(ctx, module, "running_mean", LT_F32, 1, &channels);
    module->var = module->mean ? layer_buffer(ctx, module, "running_var", LT_F32, 1, &channels) : NULL;
    module->batches = module->var ? layer_buffer(ctx, module, "num_batches_tracked", LT_I64, 0, NULL) : NULL;
    return module->batches != NULL;
}

lt_module *lth_make_batch_norm(lt_ctx *ctx, int32_t spatial_dims, int64_t channels, const lt_nn_batch_norm_opts *opts) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_nn_batch_norm", NULL);
    lth_modules *m = open_tree(ctx, "lt_nn_batch_norm", LTH_CALLER);
    lt_nn_batch_norm_opts o;
    take_opts(&o, sizeof o, opts, opts ? opts->struct_size : 0);
    if (!m || !in_range(ctx, "lt_nn_batch_norm", "channels", channels, 1)) {
        return NULL;
    }
    if (spatial_dims != 1 && spatial_dims != 2) {
        lth_fail_op(&ctx->error, LT_EINVAL, "lt_nn_batch_norm", LTH_CALLER, "lt_nn_batch_norm: spatial_dims must be 1 or 2, got %d", spatial_dims);
        return NULL;
    }
    lt_module *module = module_new(ctx, m, LTH_BATCH_NORM_LAYER, spatial_dims == 1 ? "BatchNorm1d" : "BatchNorm2d", "lt_nn_batch_norm");
    if (!module || (!o.no_affine && !add_weight_and_bias(ctx, module, 1, &channels, true)) ||
        (!o.no_running_stats && !add_running_stats(ctx, module, channels))) {
        return NULL;
    }
    if (module->weight) {
        module->weight->fill = 1;
    }
    module->in = module->out = channels;
    module->spatial = spatial_dims;
    module->attrs.f[0] = o.eps != 0 ? o.eps : 1e-5;
    module->attrs.f[1] = o.momentum != 0 ? o.momentum : 0.1;
    return module;
}

/* ---- layers without ---- */
static lt_module *make_pool(lt_ctx *ctx, const lt_pool2d_opts *opts, lth_layer_kind kind, const char *type, const char *op) {
    lth_modules *m = open_tree(ctx, op, NULL);
    lt_pool2d_opts o;
    take_opts(&o, sizeof o, opts, opts ? opts->struct_size : 0);
    int64_t kernel[2] = {o.kernel[0], or_else(o.kernel[1], o.kernel[0])};
    int64_t stride[2] = {or_else(o.stride[0], kernel[0]), or_else(o.stride[1], or_else(o.stride[0], kernel[1]))};
    for (int d = 0; d < 2; d++) {
        if (!m || !in_range(ctx, op, "kernel", kernel[d], 1) || !in_range(ctx, op, "stride", stride[d], 1) ||
            !in_range(ctx, op, "padding", o.padding[d], 0)) {
            return NULL;
        }
        if (2 * o.padding[d] > kernel[d]) {
            lth_fail_op(&ctx->error, LT_EINVAL, op, NULL, "%s: padding %d is more than half of kernel %lld", op, o.padding[d], (long long)kernel[d]);
            return NULL;
        }
    }
    lt_module *module = module_new(ctx, m, kind, type, op);
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
    lth_modules *m = open_tree(ctx, "lt_nn_flatten", LTH_CALLER);
    lt_module *module = m ? module_new(ctx, m, LTH_FLATTEN, "Flatten", "lt_nn_flatten") : NULL;
    if (module) {
        module->attrs.i[0] = start_dim;
    }
    return module;
}

lt_module *lth_make_activation(lt_ctx *ctx, lt_activation act) {
    static const char *const types[] = {"Identity", "ReLU", "Tanh", "Sigmoid", "GELU", "GELU"};
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_nn_activation", NULL);
    lth_modules *m = open_tree(ctx, "lt_nn_activation", LTH_CALLER);
    if (!m) {
        return NULL;
    }
    if (act < LT_ACT_NONE || act > LT_ACT_GELU_TANH) {
        lth_fail_op(&ctx->error, LT_EINVAL, "lt_nn_activation", LTH_CALLER, "lt_nn_activation: no activation has the number %d", act);
        return NULL;
    }
    lt_module *module = module_new(ctx, m, LTH_ACTIVATION, types[act], "lt_nn_activation");
    if (module) {
        module->attrs.i[0] = act;
    }
    return module;
}

lt_module *lth_make_dropout(lt_ctx *ctx, double p) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_nn_dropout", NULL);
    lth_modules *m = open_tree(ctx, "lt_nn_dropout", LTH_CALLER);
    if (!m) {
        return NULL;
    }
    if (!(p >= 0 && p <= 1)) {
        lth_fail_op(&ctx->error, LT_EINVAL, "lt_nn_dropout", LTH_CALLER, "lt_nn_dropout: p must lie between 0 and 1, got %g", p);
        return NULL;
    }
    lt_module *module = module_new(ctx, m, LTH_DROPOUT_LAYER, "Dropout", "lt_nn_dropout");
    if (module) {
        module->p = p;
    }
    return module;
}

/* ---- trees ---- */
static bool take_item(lt_ctx *ctx, lt_module *sequential, lt_module *item, size_t index, size_t count) {
    const char *shown = sequential->given ? sequential->given : "";
    if (!item) {
        lth_fail_op(&ctx->error, LT_EINVAL, "lt_nn_sequential", NULL, "item %zu of %zu of '%s' is NULL, and no earlier call failed", index,
                    count, shown);
        return false;
    }
    if (item->parent) {
        lth_fail_op(&ctx->error, LT_EINVAL, "lt_nn_sequential", NULL, "item %zu of %zu of '%s' already is part of another sequential", index,
                    count, shown);
        return false;
    }
    lth_root_remove(item->owner, item);
    item->parent = sequential;
    item->index = (int32_t)index;
    *(sequential->first ? &sequential->last->next : &sequential->first) = item;
    sequential->last = item;
    return true;
}

static bool check_name(lt_ctx *ctx, const char *op, const char *name) {
    if (lth_name_valid(name)) {
        return true;
    }
    lth_fail_op(&ctx->error, LT_EINVAL, op, NULL, "%s: '%s' is no name; it must be without '.', '/', '%%', spaces and control characters", op,
                name ? name : "(null)");
    return false;
}

lt_module *lth_make_sequential(lt_ctx *ctx, const char *name, lt_module *const *items, size_t count) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_nn_sequential", NULL);
    lth_modules *m = open_tree(ctx, "lt_nn_sequential", LTH_CALLER);
    bool named = name && *name;
    if (m && count && !items) {
        lth_fail_op(&ctx->error, LT_EINVAL, "lt_nn_sequential", LTH_CALLER, "lt_nn_sequential: %zu items given, but items is NULL", count);
        return NULL;
    }
    if (!m || (named && !check_name(ctx, "lt_nn_sequential", name))) {
        return NULL;
    }
    lt_module *module = module_new(ctx, m, LTH_SEQUENTIAL, "Sequential", "lt_nn_sequential");
    if (!module) {
        return NULL;
    }
    module->given = named ? lth_arena_strdup(&m->arena, name) : NULL;
    if (named && !module->given) {
        return out_of_memory(ctx, "lt_nn_sequential");
    }
    for (size_t i = 0; i < count; i++) {
        if (!take_item(ctx, module, items[i], i, count)) {
            return NULL;
        }
    }
    lth_root_add(m, module);
    return module;
}

lt_module *lth_make_child(lt_ctx *ctx, const char *name, lt_module *module) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_child", NULL);
    lth_modules *m = open_tree(ctx, "lt_child", LTH_CALLER);
    if (!m || !check_name(ctx, "lt_child", name)) {
        return NULL;
    }
    if (!module) {
        lth_fail_op(&ctx->error, LT_EINVAL, "lt_child", LTH_CALLER, "lt_child: the module to be named '%s' is NULL, and no earlier call failed", name);
        return NULL;
    }
    if (module->given || module->parent) {
        lth_fail_op(&ctx->error, LT_EINVAL, "lt_child", LTH_CALLER, "lt_child: the %s to be named '%s' %s", module->type, name,
                    module->parent ? "already is part of a sequential; name it before" : "already has a name");
        return NULL;
    }
    module->given = lth_arena_strdup(&m->arena, name);
    if (!module->given) {
        return out_of_memory(ctx, "lt_child");
    }
    lth_root_remove(m, module);
    lth_root_add(m, module);
    return module;
}

lt_tensor *lth_make_parameter(lt_ctx *ctx, const char *name, lt_dtype dtype, int32_t ndim, const int64_t *shape, double fill) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_parameter", NULL);
    lth_modules *m = open_tree(ctx, "lt_parameter", LTH_CALLER);
    if (!m || !check_name(ctx, "lt_parameter", name)) {
        return NULL;
    }
    if (dtype != LT_F32) {
        lth_fail_op(&ctx->error, LT_EUNSUPPORTED, "lt_parameter", LTH_CALLER, "lt_parameter: '%s' must be f32 like all parameters, got %s", name,
                    lth_dtype_name(dtype));
        return NULL;
    }
    if (ndim < 0 || ndim > LT_MAX_DIMS) {
        lth_fail_op(&ctx->error, LT_EINVAL, "lt_parameter", LTH_CALLER, "lt_parameter: '%s' cannot have %d dimensions; 0..%d can be", name, ndim,
                    LT_MAX_DIMS);
        return NULL;
    }
    if (ndim && !shape) {
        lth_fail_op(&ctx->error, LT_EINVAL, "lt_parameter", LTH_CALLER, "lt_parameter: '%s' has %d dimensions, but shape is NULL", name, ndim);
        return NULL;
    }
    lth_param *p = param_new(ctx, m, name, ndim, shape, true);
    if (!p) {
        return NULL;
    }
    p->fill = fill;
    *(m->free_params ? &m->last_free->next : &m->free_params) = p;
    m->last_free = p;
    return p->value;
}
