/* engine/ops/table_layers.c - the slots of lt.tensor/1 that lt/layers.h wraps: options as attributes, sequences as images of one row. */
#include "engine/ops/shapes.h"
#include "engine/ops/table.h"
#include <math.h>

#define ENTER(op) LTH_ENTER(ctx, LTH_TRAINER_THREAD, op, NULL)
#define GIVEN(argument, position, op)                                                                                                      \
    do {                                                                                                                                   \
        if (!lth_given(ctx, argument, position, op, LTH_CALLER)) {                                                                         \
            return NULL;                                                                                                                   \
        }                                                                                                                                  \
    } while (0)
#define OPTS(o, opts, op)                                                                                                                  \
    do {                                                                                                                                   \
        if (!lth_read_opts(ctx, &(o), sizeof(o), opts, op, LTH_CALLER)) {                                                                  \
            return NULL;                                                                                                                   \
        }                                                                                                                                  \
    } while (0)


/* (B, C, T) as (B, C, 1, T), and back. NULL and the failure for other numbers of dimensions. */
static lt_tensor *as_image(lt_ctx *ctx, lt_tensor *x, const char *name, const char *op, void *caller) {
    if (x->a.ndim != 3) {
        lth_fail_op(&ctx->error, LT_ESHAPE, op, caller, "%s: %s has %d dimensions; it must have three", op, name, x->a.ndim);
        return NULL;
    }
    return lth_reshape(ctx, lth_contiguous(ctx, x), 4, (int64_t[]){x->a.shape[0], x->a.shape[1], 1, x->a.shape[2]});
}
static lt_tensor *as_sequence(lt_ctx *ctx, lt_tensor *y) {
    y = lth_contiguous(ctx, y);
    return y ? lth_reshape(ctx, y, 3, (int64_t[]){y->a.shape[0], y->a.shape[1], y->a.shape[3]}) : NULL;
}

static lth_attrs of_sequences(const lth_attrs *attrs) {
    lth_attrs marked = *attrs;
    marked.i[LTH_OF_SEQUENCES] = 1;
    return marked;
}
static lt_tensor *conv_of_rows(lt_ctx *ctx, lth_op op, lt_tensor *x, lt_tensor *weight, lt_tensor *bias, const lth_attrs *attrs, const char *name,
                               void *caller) {
    lt_tensor *in[3] = {as_image(ctx, x, "x", name, caller), NULL, bias};
    in[1] = in[0] ? as_image(ctx, weight, "weight", name, caller) : NULL;
    const lth_attrs marked = of_sequences(attrs);
    return in[1] ? as_sequence(ctx, lth_apply(ctx, op, in, bias ? 3 : 2, &marked, caller)) : NULL;
}
lt_tensor *lth_api_conv1d(lt_ctx *ctx, lt_tensor *x, lt_tensor *weight, lt_tensor *bias, const lt_conv1d_opts *opts) {
    ENTER("lt_conv1d");
    GIVEN(x, 2, "lt_conv1d");
    GIVEN(weight, 3, "lt_conv1d");
    lt_conv1d_opts o;
    OPTS(o, opts, "lt_conv1d");
    lth_attrs attrs = {.i = {1, lth_otherwise(o.stride, 1), 0, o.padding, 1, lth_otherwise(o.dilation, 1), lth_otherwise(o.groups, 1)}};
    return conv_of_rows(ctx, LTH_OP_CONV2D, x, weight, bias, &attrs, "lt_conv1d", LTH_CALLER);
}
lt_tensor *lth_api_conv_transpose1d(lt_ctx *ctx, lt_tensor *x, lt_tensor *weight, lt_tensor *bias, const lt_conv_transpose1d_opts *opts) {
    ENTER("lt_conv_transpose1d");
    GIVEN(x, 2, "lt_conv_transpose1d");
    GIVEN(weight, 3, "lt_conv_transpose1d");
    lt_conv_transpose1d_opts o;
    OPTS(o, opts, "lt_conv_transpose1d");
    lth_attrs attrs = {.i = {1, lth_otherwise(o.stride, 1), 0, o.padding, 1, lth_otherwise(o.dilation, 1), lth_otherwise(o.groups, 1), 0, o.output_padding}};
    return conv_of_rows(ctx, LTH_OP_CONV_TRANSPOSE2D, x, weight, bias, &attrs, "lt_conv_transpose1d", LTH_CALLER);
}
lt_tensor *lth_api_conv_transpose2d(lt_ctx *ctx, lt_tensor *x, lt_tensor *weight, lt_tensor *bias, const lt_conv_transpose2d_opts *opts) {
    ENTER("lt_conv_transpose2d");
    GIVEN(x, 2, "lt_conv_transpose2d");
    GIVEN(weight, 3, "lt_conv_transpose2d");
    lt_conv_transpose2d_opts o;
    OPTS(o, opts, "lt_conv_transpose2d");
    lt_tensor *in[3] = {x, weight, bias};
    lth_attrs attrs = {.i = {lth_otherwise(o.stride[0], 1), lth_otherwise(o.stride[1], 1), o.padding[0], o.padding[1], lth_otherwise(o.dilation[0], 1),
                             lth_otherwise(o.dilation[1], 1), lth_otherwise(o.groups, 1), o.output_padding[0], o.output_padding[1]}};
    return lth_apply(ctx, LTH_OP_CONV_TRANSPOSE2D, in, bias ? 3 : 2, &attrs, LTH_CALLER);
}

static lt_tensor *pool_of_rows(lt_ctx *ctx, lth_op op, lt_tensor *x, const lth_attrs *attrs, const char *name, void *caller) {
    const lth_attrs marked = of_sequences(attrs);
    x = as_image(ctx, x, "x", name, caller);
    return x ? as_sequence(ctx, lth_apply(ctx, op, &x, 1, &marked, caller)) : NULL;
}
lt_tensor *lth_api_max_pool1d(lt_ctx *ctx, lt_tensor *x, const lt_pool1d_opts *opts) {
    ENTER("lt_max_pool1d");
    GIVEN(x, 2, "lt_max_pool1d");
    GIVEN(opts, 3, "lt_max_pool1d");
    lt_pool1d_opts o;
    OPTS(o, opts, "lt_max_pool1d");
    lth_attrs attrs = {.i = {1, o.kernel, 1, lth_otherwise(o.stride, o.kernel), 0, o.padding, o.ceil_mode}};
    return pool_of_rows(ctx, LTH_OP_MAX_POOL2D, x, &attrs, "lt_max_pool1d", LTH_CALLER);
}
lt_tensor *lth_api_avg_pool1d(lt_ctx *ctx, lt_tensor *x, const lt_pool1d_opts *opts) {
    ENTER("lt_avg_pool1d");
    GIVEN(x, 2, "lt_avg_pool1d");
    GIVEN(opts, 3, "lt_avg_pool1d");
    lt_pool1d_opts o;
    OPTS(o, opts, "lt_avg_pool1d");
    lth_attrs attrs = {.i = {1, o.kernel, 1, lth_otherwise(o.stride, o.kernel), 0, o.padding, o.ceil_mode, !o.exclude_pad}};
    return pool_of_rows(ctx, LTH_OP_AVG_POOL2D, x, &attrs, "lt_avg_pool1d", LTH_CALLER);
}
lt_tensor *lth_api_adaptive_avg_pool1d(lt_ctx *ctx, lt_tensor *x, int64_t size) {
    ENTER("lt_adaptive_avg_pool1d");
    GIVEN(x, 2, "lt_adaptive_avg_pool1d");
    lth_attrs attrs = {.i = {1, size}};
    return pool_of_rows(ctx, LTH_OP_ADAPTIVE_AVG_POOL2D, x, &attrs, "lt_adaptive_avg_pool1d", LTH_CALLER);
}
lt_tensor *lth_api_adaptive_avg_pool2d(lt_ctx *ctx, lt_tensor *x, int64_t height, int64_t width) {
    ENTER("lt_adaptive_avg_pool2d");
    GIVEN(x, 2, "lt_adaptive_avg_pool2d");
    lth_attrs attrs = {.i = {height, width}};
    return lth_apply(ctx, LTH_OP_ADAPTIVE_AVG_POOL2D, &x, 1, &attrs, LTH_CALLER);
}
lt_tensor *lth_api_adaptive_max_pool2d(lt_ctx *ctx, lt_tensor *x, int64_t height, int64_t width) {
    ENTER("lt_adaptive_max_pool2d");
    GIVEN(x, 2, "lt_adaptive_max_pool2d");
    lth_attrs attrs = {.i = {height, width}};
    return lth_apply(ctx, LTH_OP_ADAPTIVE_MAX_POOL2D, &x, 1, &attrs, LTH_CALLER);
}

/* Output sizes: as given, or floor(size * scale). False: neither, or not finite. */
bool lth_interpolate_attrs(const lt_interpolate_opts *o, const lth_array *x, lth_attrs *attrs) {
    *attrs = (lth_attrs){.i = {o->mode, o->align_corners}};
    for (int axis = 0; axis < 2; axis++) {
        double scale = o->scale[axis] != 0 ? o->scale[axis] : o->scale[0];
        if (o->size[axis]) {
            attrs->i[2 + axis] = o->size[axis];
        } else if (x->ndim == 4 && scale > 0 && scale * (double)x->shape[2 + axis] < 0x1p53) {
            attrs->i[2 + axis] = (int64_t)floor((double)x->shape[2 + axis] * scale);
            attrs->f[axis] = scale;
        } else if (x->ndim == 4) {
            return false;
        }
    }
    return true;
}
lt_tensor *lth_api_interpolate(lt_ctx *ctx, lt_tensor *x, const lt_interpolate_opts *opts) {
    ENTER("lt_interpolate");
    GIVEN(x, 2, "lt_interpolate");
    GIVEN(opts, 3, "lt_interpolate");
    lt_interpolate_opts o;
    OPTS(o, opts, "lt_interpolate");
    lth_attrs attrs;
    if (!lth_interpolate_attrs(&o, &x->a, &attrs)) {
        lth_fail_op(&ctx->error, LT_EINVAL, "lt_interpolate", LTH_CALLER, "lt_interpolate: give size or scale, both numbers positive; got size "
                    "(%lld, %lld), scale (%g, %g)", (long long)o.size[0], (long long)o.size[1], o.scale[0], o.scale[1]);
        return NULL;
    }
    return lth_apply(ctx, LTH_OP_INTERPOLATE, &x, 1, &attrs, LTH_CALLER);
}

lt_tensor *lth_api_group_norm(lt_ctx *ctx, lt_tensor *x, int64_t groups, lt_tensor *weight, lt_tensor *bias, double eps) {
    ENTER("lt_group_norm");
    GIVEN(x, 2, "lt_group_norm");
    lt_tensor *in[3] = {x, weight, bias};
    lth_attrs attrs = {.i = {groups}, .f = {eps}};
    return lth_apply(ctx, LTH_OP_GROUP_NORM, in, bias ? 3 : weight ? 2 : 1, &attrs, LTH_CALLER);
}
lt_tensor *lth_api_instance_norm(lt_ctx *ctx, lt_tensor *x, lt_tensor *weight, lt_tensor *bias, double eps) {
    ENTER("lt_instance_norm");
    GIVEN(x, 2, "lt_instance_norm");
    return lth_api_group_norm(ctx, x, x->a.ndim > 1 ? x->a.shape[1] : 0, weight, bias, eps);
}
lt_tensor *lth_api_rms_norm(lt_ctx *ctx, lt_tensor *x, lt_tensor *weight, double eps) {
    ENTER("lt_rms_norm");
    GIVEN(x, 2, "lt_rms_norm");
    lt_tensor *in[2] = {x, weight};
    lth_attrs attrs = {.f = {eps}};
    return lth_apply(ctx, LTH_OP_RMS_NORM, in, weight ? 2 : 1, &attrs, LTH_CALLER);
}

/* The last ndims dimensions as one; NULL in gives NULL. */
static lt_tensor *last_as_one(lt_ctx *ctx, lt_tensor *x, int32_t ndims) {
    return x ? lth_flatten(ctx, lth_contiguous(ctx, x), x->a.ndim - ndims) : NULL;
}
lt_tensor *lth_api_layer_norm_over(lt_ctx *ctx, lt_tensor *x, int32_t ndims, lt_tensor *weight, lt_tensor *bias, double eps) {
    ENTER("lt_layer_norm_over");
    GIVEN(x, 2, "lt_layer_norm_over");
    lt_tensor *params[2] = {weight, bias};
    bool fits = ndims >= 1 && ndims <= x->a.ndim;
    for (int k = 0; fits && k < 2; k++) {
        fits = !params[k] || params[k]->a.ndim == ndims;
        for (int d = 0; fits && params[k] && d < ndims; d++) {
            fits = params[k]->a.shape[d] == x->a.shape[x->a.ndim - ndims + d];
        }
    }
    if (!fits) {
        lth_fail_op(&ctx->error, LT_ESHAPE, "lt_layer_norm_over", LTH_CALLER, "lt_layer_norm_over: weight and bias must have the shape of the last "
                    "%d of x's %d dimensions", ndims, x->a.ndim);
        return NULL;
    }
    lt_tensor *in[3] = {last_as_one(ctx, x, ndims), last_as_one(ctx, weight, ndims), last_as_one(ctx, bias, ndims)};
    lth_attrs attrs = {.f = {eps}};
    lt_tensor *y = in[0] ? lth_apply(ctx, LTH_OP_LAYER_NORM, in, bias ? 3 : weight ? 2 : 1, &attrs, LTH_CALLER) : NULL;
    return y ? lth_reshape(ctx, y, x->a.ndim, x->a.shape) : NULL;
}
