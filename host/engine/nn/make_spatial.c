/* engine/nn/make_spatial.c - layers that are one call of an operation of lt/layers.h: convolutions of sequences, transposed ones, pools of
 * sequences, adaptive pools, upsampling. Option checks, parameters, initial distributions; how they run. Only makes in `configure`. */
#include "engine/nn/layer.h"
#include "engine/ops/table.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

lt_module *lth_call_new(lt_ctx *ctx, lth_modules *m, const lth_layer_call *call, const char *type, const void *opts, size_t size, const char *about, ...) {
    char text[80], op[64];
    va_list args;
    va_start(args, about);
    vsnprintf(text, sizeof text, about, args);
    va_end(args);
    snprintf(op, sizeof op, "lt_nn_%s", call->op);
    lt_module *module = lth_module_new(ctx, m, LTH_CALL, type, op);
    void *copy = module && size ? lth_arena_alloc(&m->arena, size) : NULL;
    if (!module || (size && !copy)) {
        return module ? lth_make_no_memory(ctx, op) : NULL;
    }
    if (size) {
        memcpy(copy, opts, size);
    }
    module->call = call;
    module->opts = copy;
    module->about = lth_arena_strdup(&m->arena, text);
    return module->about ? module : lth_make_no_memory(ctx, op);
}


static int32_t or_else(int32_t given, int32_t fallback) { return given ? given : fallback; }

static bool groups_divide(lt_ctx *ctx, const char *op, int64_t groups, int64_t in, int64_t out, void *caller) {
    if (in % groups || out % groups) {
        lth_fail_op(&ctx->error, LT_EINVAL, op, caller, "%s: groups %lld must divide the channels, %lld in and %lld out", op, (long long)groups,
                    (long long)in, (long long)out);
        return false;
    }
    return true;
}

/* weight, then bias (out), with PyTorch's distribution for its count of inputs. */
static lt_module *with_weights(lt_ctx *ctx, lt_module *module, int ndim, const int64_t *shape, bool bias, int64_t in, int64_t out) {
    int64_t fan_in = 1;
    module->weight = lth_layer_param(ctx, module, "weight", ndim, shape);
    module->bias = module->weight && bias ? lth_layer_param(ctx, module, "bias", 1, &out) : NULL;
    if (!module->weight || (bias && !module->bias)) {
        return NULL;
    }
    for (int d = 1; d < ndim; d++) {
        fan_in *= shape[d];
    }
    module->in = in;
    module->out = out;
    lth_init_default(module, fan_in);
    return module;
}

/* ---- convolutions ---- */
static lt_tensor *run_conv1d(lt_ctx *ctx, const lt_module *l, lt_tensor *x) {
    return lth_api_conv1d(ctx, x, l->weight->value, lth_param_value(l->bias), l->opts);
}
static const lth_layer_call conv1d = {"conv1d", "(N, C, T)", 3, 3, 1, run_conv1d};

lt_module *lth_make_conv1d(lt_ctx *ctx, int64_t in_channels, int64_t out_channels, int32_t kernel, const lt_nn_conv1d_opts *opts) {
    static const char op[] = "lt_nn_conv1d";
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, op, NULL);
    lth_modules *m = lth_open_tree(ctx, op, LTH_CALLER);
    lt_nn_conv1d_opts o;
    if (!lth_read_opts(ctx, &o, sizeof o, opts, op, LTH_CALLER)) {
        return NULL;
    }
    const lt_conv1d_opts run = {sizeof run, or_else(o.stride, 1), o.padding, or_else(o.dilation, 1), or_else(o.groups, 1)};
    if (!m || !lth_in_range(ctx, op, "in_channels", in_channels, 0) || !lth_in_range(ctx, op, "out_channels", out_channels, 1) ||
        !lth_in_range(ctx, op, "kernel", kernel, 1) || !lth_in_range(ctx, op, "stride", run.stride, 1) ||
        !lth_in_range(ctx, op, "padding", run.padding, 0) || !lth_in_range(ctx, op, "dilation", run.dilation, 1) ||
        !lth_in_range(ctx, op, "groups", run.groups, 1) || !groups_divide(ctx, op, run.groups, in_channels, out_channels, LTH_CALLER)) {
        return NULL;
    }
    lt_module *module = lth_call_new(ctx, m, &conv1d, "Conv1d", &run, sizeof run, "kernel %d", kernel);
    const int64_t shape[3] = {out_channels, in_channels / run.groups, kernel};
    module = module ? with_weights(ctx, module, 3, shape, !o.no_bias, in_channels, out_channels) : NULL;
    if (module) {
        module->attrs.i[6] = run.groups; /* where lazy.c looks for them */
        module->open = !in_channels;
    }
    return module;
}

static lt_tensor *run_conv_transpose1d(lt_ctx *ctx, const lt_module *l, lt_tensor *x) {
    return lth_api_conv_transpose1d(ctx, x, l->weight->value, lth_param_value(l->bias), l->opts);
}
static lt_tensor *run_conv_transpose2d(lt_ctx *ctx, const lt_module *l, lt_tensor *x) {
    return lth_api_conv_transpose2d(ctx, x, l->weight->value, lth_param_value(l->bias), l->opts);
}
static const lth_layer_call conv_transpose1d = {"conv_transpose1d", "(N, C, T)", 3, 3, 1, run_conv_transpose1d};
static const lth_layer_call conv_transpose2d = {"conv_transpose2d", "(N, C, H, W)", 4, 4, 1, run_conv_transpose2d};

static bool check_transpose(lt_ctx *ctx, const char *op, const lt_conv_transpose2d_opts *o, const int64_t *kernel, void *caller) {
    for (int d = 0; d < 2; d++) {
        if (!lth_in_range(ctx, op, "kernel", kernel[d], 1) || !lth_in_range(ctx, op, "stride", o->stride[d], 1) ||
            !lth_in_range(ctx, op, "padding", o->padding[d], 0) || !lth_in_range(ctx, op, "dilation", o->dilation[d], 1) ||
            !lth_in_range(ctx, op, "output_padding", o->output_padding[d], 0)) {
            return false;
        }
        if (o->output_padding[d] >= o->stride[d] && o->output_padding[d] >= o->dilation[d]) {
            lth_fail_op(&ctx->error, LT_EINVAL, op, caller, "%s: output_padding %d must be smaller than stride %d or dilation %d", op,
                        o->output_padding[d], o->stride[d], o->dilation[d]);
            return false;
        }
    }
    return true;
}

/* Options of the image's operation; a sequence takes the first of each pair. */
static void transpose_opts(lt_conv_transpose2d_opts *out, const lt_nn_conv_transpose_opts *o) {
    *out = (lt_conv_transpose2d_opts){.struct_size = sizeof *out, .groups = or_else(o->groups, 1)};
    out->stride[0] = or_else(o->stride, 1), out->stride[1] = or_else(o->stride_w, out->stride[0]);
    out->padding[0] = o->padding, out->padding[1] = lth_padding_w(o->padding_w, o->padding);
    out->output_padding[0] = o->output_padding, out->output_padding[1] = lth_padding_w(o->output_padding_w, o->output_padding);
    out->dilation[0] = or_else(o->dilation, 1), out->dilation[1] = or_else(o->dilation_w, out->dilation[0]);
}

lt_module *lth_make_conv_transpose(lt_ctx *ctx, int32_t spatial_dims, int64_t in_channels, int64_t out_channels, int32_t kernel,
                                   const lt_nn_conv_transpose_opts *opts) {
    const bool image = spatial_dims == 2;
    const char *op = image ? "lt_nn_conv_transpose2d" : "lt_nn_conv_transpose1d";
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, op, NULL);
    lth_modules *m = lth_open_tree(ctx, op, LTH_CALLER);
    lt_nn_conv_transpose_opts o;
    lt_conv_transpose2d_opts run;
    if (!lth_read_opts(ctx, &o, sizeof o, opts, op, LTH_CALLER)) {
        return NULL;
    }
    transpose_opts(&run, &o);
    const int64_t sides[2] = {kernel, or_else(o.kernel_w, kernel)};
    if (!m || !lth_in_range(ctx, op, "in_channels", in_channels, 1) || !lth_in_range(ctx, op, "out_channels", out_channels, 1) ||
        !lth_in_range(ctx, op, "groups", run.groups, 1) || !lth_in_range(ctx, op, "padding_w", o.padding_w, -1) ||
        !lth_in_range(ctx, op, "output_padding_w", o.output_padding_w, -1) || !check_transpose(ctx, op, &run, sides, LTH_CALLER) ||
        !groups_divide(ctx, op, run.groups, in_channels, out_channels, LTH_CALLER)) {
        return NULL;
    }
    if (spatial_dims != 1 && !image) {
        lth_fail_op(&ctx->error, LT_EINVAL, op, LTH_CALLER, "lt_nn_conv_transpose: spatial_dims must be 1 or 2, got %d", spatial_dims);
        return NULL;
    }
    const lt_conv_transpose1d_opts row = {sizeof row, run.stride[0], run.padding[0], run.output_padding[0], run.dilation[0], run.groups};
    lt_module *module = image ? lth_call_new(ctx, m, &conv_transpose2d, "ConvTranspose2d", &run, sizeof run, "kernel %lldx%lld", (long long)sides[0],
                                             (long long)sides[1])
                              : lth_call_new(ctx, m, &conv_transpose1d, "ConvTranspose1d", &row, sizeof row, "kernel %d", kernel);
    const int64_t shape[4] = {in_channels, out_channels / run.groups, sides[0], sides[1]};
    return module ? with_weights(ctx, module, image ? 4 : 3, shape, !o.no_bias, in_channels, out_channels) : NULL;
}

/* ---- pools ---- */
static lt_tensor *run_max_pool1d(lt_ctx *ctx, const lt_module *l, lt_tensor *x) { return lth_api_max_pool1d(ctx, x, l->opts); }
static lt_tensor *run_avg_pool1d(lt_ctx *ctx, const lt_module *l, lt_tensor *x) { return lth_api_avg_pool1d(ctx, x, l->opts); }
static const lth_layer_call max_pool1d = {"max_pool1d", "(N, C, T)", 3, 3, 0, run_max_pool1d};
static const lth_layer_call avg_pool1d = {"avg_pool1d", "(N, C, T)", 3, 3, 0, run_avg_pool1d};

lt_module *lth_make_pool1d(lt_ctx *ctx, bool max, const lt_pool1d_opts *opts) {
    const char *op = max ? "lt_nn_max_pool1d" : "lt_nn_avg_pool1d";
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, op, NULL);
    lth_modules *m = lth_open_tree(ctx, op, LTH_CALLER);
    lt_pool1d_opts o;
    if (!lth_read_opts(ctx, &o, sizeof o, opts, op, LTH_CALLER)) {
        return NULL;
    }
    o.struct_size = sizeof o;
    o.stride = or_else(o.stride, o.kernel);
    if (!m || !lth_in_range(ctx, op, "kernel", o.kernel, 1) || !lth_in_range(ctx, op, "stride", o.stride, 1) ||
        !lth_in_range(ctx, op, "padding", o.padding, 0)) {
        return NULL;
    }
    if (o.padding > o.kernel / 2) {
        lth_fail_op(&ctx->error, LT_EINVAL, op, LTH_CALLER, "%s: padding %d is more than half of kernel %d", op, o.padding, o.kernel);
        return NULL;
    }
    return lth_call_new(ctx, m, max ? &max_pool1d : &avg_pool1d, max ? "MaxPool1d" : "AvgPool1d", &o, sizeof o, "kernel %d", o.kernel);
}

static lt_tensor *run_adaptive_avg1d(lt_ctx *ctx, const lt_module *l, lt_tensor *x) { return lth_api_adaptive_avg_pool1d(ctx, x, l->attrs.i[1]); }
static lt_tensor *run_adaptive_avg2d(lt_ctx *ctx, const lt_module *l, lt_tensor *x) {
    return lth_api_adaptive_avg_pool2d(ctx, x, l->attrs.i[0], l->attrs.i[1]);
}
static lt_tensor *run_adaptive_max2d(lt_ctx *ctx, const lt_module *l, lt_tensor *x) {
    return lth_api_adaptive_max_pool2d(ctx, x, l->attrs.i[0], l->attrs.i[1]);
}
static const lth_layer_call adaptive_avg1d = {"adaptive_avg_pool1d", "(N, C, T)", 3, 3, 0, run_adaptive_avg1d};
static const lth_layer_call adaptive_avg2d = {"adaptive_avg_pool2d", "(N, C, H, W)", 4, 4, 0, run_adaptive_avg2d};
static const lth_layer_call adaptive_max2d = {"adaptive_max_pool2d", "(N, C, H, W)", 4, 4, 0, run_adaptive_max2d};

lt_module *lth_make_adaptive_pool(lt_ctx *ctx, int32_t spatial_dims, bool max, int64_t height, int64_t width) {
    const bool image = spatial_dims == 2;
    const lth_layer_call *call = !image ? &adaptive_avg1d : max ? &adaptive_max2d : &adaptive_avg2d;
    const char *op = !image ? "lt_nn_adaptive_avg_pool1d" : max ? "lt_nn_adaptive_max_pool2d" : "lt_nn_adaptive_avg_pool2d";
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, op, NULL);
    lth_modules *m = lth_open_tree(ctx, op, LTH_CALLER);
    if (!m || (image && !lth_in_range(ctx, op, "height", height, 1)) || !lth_in_range(ctx, op, image ? "width" : "size", width, 1)) {
        return NULL;
    }
    if (!image && (spatial_dims != 1 || max)) {
        lth_fail_op(&ctx->error, LT_EUNSUPPORTED, op, LTH_CALLER, "lt_nn_adaptive_pool: there are means of 1 and 2 and maxima of 2 spatial dimensions, "
                    "not of %d", spatial_dims);
        return NULL;
    }
    const char *type = !image ? "AdaptiveAvgPool1d" : max ? "AdaptiveMaxPool2d" : "AdaptiveAvgPool2d";
    lt_module *module = image ? lth_call_new(ctx, m, call, type, NULL, 0, "to %lldx%lld", (long long)height, (long long)width)
                              : lth_call_new(ctx, m, call, type, NULL, 0, "to %lld", (long long)width);
    if (module) {
        module->attrs.i[0] = height;
        module->attrs.i[1] = width;
    }
    return module;
}

/* ---- upsampling ---- */
static lt_tensor *run_upsample(lt_ctx *ctx, const lt_module *l, lt_tensor *x) { return lth_api_interpolate(ctx, x, l->opts); }
static const lth_layer_call upsample = {"upsample", "(N, C, H, W)", 4, 4, 0, run_upsample};

lt_module *lth_make_upsample(lt_ctx *ctx, const lt_interpolate_opts *opts) {
    static const char op[] = "lt_nn_upsample";
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, op, NULL);
    lth_modules *m = lth_open_tree(ctx, op, LTH_CALLER);
    lt_interpolate_opts o;
    if (!lth_read_opts(ctx, &o, sizeof o, opts, op, LTH_CALLER)) {
        return NULL;
    }
    o.struct_size = sizeof o;
    if (!m) {
        return NULL;
    }
    if (o.mode != LT_NEAREST && o.mode != LT_BILINEAR) {
        lth_fail_op(&ctx->error, LT_EINVAL, op, LTH_CALLER, "%s: mode must be LT_NEAREST or LT_BILINEAR, got %d", op, o.mode);
        return NULL;
    }
    if (o.align_corners && o.mode != LT_BILINEAR) {
        lth_fail_op(&ctx->error, LT_EINVAL, op, LTH_CALLER, "%s: align_corners needs mode LT_BILINEAR", op);
        return NULL;
    }
    const bool sized = o.size[0] > 0 && o.size[1] > 0, plain = !o.size[0] && !o.size[1];
    const double high = o.scale[0], wide = o.scale[1] != 0 ? o.scale[1] : high;
    if (!sized && !(plain && high > 0 && wide > 0 && isfinite(high) && isfinite(wide))) {
        lth_fail_op(&ctx->error, LT_EINVAL, op, LTH_CALLER, "%s: give size or scale, both numbers positive; got size (%lld, %lld), scale (%g, %g)", op,
                    (long long)o.size[0], (long long)o.size[1], o.scale[0], o.scale[1]);
        return NULL;
    }
    const char *mode = o.mode == LT_NEAREST ? "nearest" : "bilinear";
    return sized ? lth_call_new(ctx, m, &upsample, "Upsample", &o, sizeof o, "%s, to %lldx%lld", mode, (long long)o.size[0], (long long)o.size[1])
                 : lth_call_new(ctx, m, &upsample, "Upsample", &o, sizeof o, "%s, by %gx%g", mode, high, wide);
}
