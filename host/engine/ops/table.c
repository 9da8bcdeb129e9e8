/* engine/ops/table.c - the table lt.tensor/1: checks of arguments in front of lth_apply. Shapes and dtypes are the shape rules' to judge,
 * facts and raw memory are in facts.c. Every slot begins with LTH_ENTER. */
#include "engine/ops/table.h"
#include "base/str.h"
#include "engine/ops/shapes.h"
#include <string.h>

#define ENTER(op) LTH_ENTER(ctx, LTH_TRAINER_THREAD, op, NULL)
#define GIVEN(x, position, op) do { if (!lth_given(ctx, x, position, op, LTH_CALLER)) { return NULL; } } while (0)

/* ---- slots of one and two tensors ---- */

#define UNARY(name, OP) \
    static lt_tensor *api_##name(lt_ctx *ctx, lt_tensor *x) { \
        ENTER("lt_" #name); \
        GIVEN(x, 2, "lt_" #name); \
        return lth_apply(ctx, LTH_OP_##OP, &x, 1, NULL, LTH_CALLER); \
    }
#define BINARY(name, OP) \
    static lt_tensor *api_##name(lt_ctx *ctx, lt_tensor *a, lt_tensor *b) { \
        ENTER("lt_" #name); \
        GIVEN(a, 2, "lt_" #name); \
        GIVEN(b, 3, "lt_" #name); \
        lt_tensor *in[2] = {a, b}; \
        return lth_apply(ctx, LTH_OP_##OP, in, 2, NULL, LTH_CALLER); \
    }
#define SCALAR(name, OP) \
    static lt_tensor *api_##name(lt_ctx *ctx, lt_tensor *x, double value) { \
        ENTER("lt_" #name); \
        GIVEN(x, 2, "lt_" #name); \
        lth_attrs attrs = {.f = {value}}; \
        return lth_apply(ctx, LTH_OP_##OP, &x, 1, &attrs, LTH_CALLER); \
    }
UNARY(clone, COPY)
UNARY(neg, NEG)
UNARY(exp, EXP)
UNARY(ln, LOG)
UNARY(sqrt, SQRT)
UNARY(abs, ABS)
UNARY(relu, RELU)
UNARY(tanh, TANH)
UNARY(sigmoid, SIGMOID)
BINARY(add, ADD)
BINARY(sub, SUB)
BINARY(mul, MUL)
BINARY(div, DIV)
BINARY(eq, EQ)
BINARY(matmul, MATMUL)
BINARY(accuracy, ACCURACY)
SCALAR(add_scalar, ADD_SCALAR)
SCALAR(mul_scalar, MUL_SCALAR)

static lt_tensor *api_cast(lt_ctx *ctx, lt_tensor *x, lt_dtype dtype) {
    ENTER("lt_cast");
    GIVEN(x, 2, "lt_cast");
    if (x->a.dtype == dtype) {
        return x;
    }
    lth_attrs attrs = {.i = {dtype}};
    return lth_apply(ctx, LTH_OP_CAST, &x, 1, &attrs, LTH_CALLER);
}

static lt_tensor *api_gelu(lt_ctx *ctx, lt_tensor *x, bool tanh_approx) {
    ENTER("lt_gelu");
    GIVEN(x, 2, "lt_gelu");
    lth_attrs attrs = {.i = {tanh_approx}};
    return lth_apply(ctx, LTH_OP_GELU, &x, 1, &attrs, LTH_CALLER);
}

static lt_tensor *api_dropout(lt_ctx *ctx, lt_tensor *x, double p, bool training) {
    ENTER("lt_dropout");
    GIVEN(x, 2, "lt_dropout");
    if (p == 0 || (!training && p > 0 && p <= 1)) { /* another p is refused by the shape rule, also where it would not act */
        return x;
    }
    lth_attrs attrs = {.f = {p}};
    return lth_apply(ctx, LTH_OP_DROPOUT, &x, 1, &attrs, LTH_CALLER);
}

/* ---- dimensions ---- */

/* dim counted from the front; -1 and the failure if x has none such. A scalar counts as one dimension where PyTorch lets it. */
int lth_real_dim(lt_ctx *ctx, const lt_tensor *x, int32_t dim, const char *op, void *caller) {
    int ndim = x->a.ndim ? x->a.ndim : 1, d = dim < 0 ? dim + ndim : dim;
    if (d >= 0 && d < ndim) {
        return d;
    }
    if (ctx->error.code == LT_OK) {
        lth_fail(&ctx->error, LT_EINDEX, "%s: x %s has no dimension %d", op, lth_shown(&x->a).text, (int)dim);
        ctx->error.caller = caller;
    }
    return -1;
}

bool lth_reduced_dims(lt_ctx *ctx, lth_op op, const lt_tensor *x, const int32_t *dims, int32_t ndims, bool keepdim, lth_attrs *attrs, void *caller) {
    *attrs = (lth_attrs){.i = {[0] = ndims, [9] = keepdim}};
    if (ndims < 0 || ndims > LT_MAX_DIMS) {
        lth_fail(&ctx->error, LT_EINVAL, "%s: %d dimensions given", lth_op_name(op), (int)ndims);
        return false;
    }
    for (int k = 0; k < ndims; k++) {
        int d = lth_real_dim(ctx, x, dims[k], lth_op_name(op), caller);
        if (d < 0) {
            return false;
        }
        attrs->i[1 + k] = d;
    }
    return true;
}

static lt_tensor *reduce(lt_ctx *ctx, lth_op op, lt_tensor *x, const int32_t *dims, int32_t ndims, bool keepdim, void *caller) {
    lth_attrs attrs;
    return lth_reduced_dims(ctx, op, x, dims, ndims, keepdim, &attrs, caller) ? lth_apply(ctx, op, &x, 1, &attrs, caller) : NULL;
}

static lt_tensor *api_sum(lt_ctx *ctx, lt_tensor *x, const int32_t *dims, int32_t ndims, bool keepdim) {
    ENTER("lt_sum");
    GIVEN(x, 2, "lt_sum");
    if (ndims) {
        GIVEN(dims, 3, "lt_sum");
    }
    return reduce(ctx, LTH_OP_SUM, x, dims, ndims, keepdim, LTH_CALLER);
}

static lt_tensor *api_mean(lt_ctx *ctx, lt_tensor *x, const int32_t *dims, int32_t ndims, bool keepdim) {
    ENTER("lt_mean");
    GIVEN(x, 2, "lt_mean");
    if (ndims) {
        GIVEN(dims, 3, "lt_mean");
    }
    return reduce(ctx, LTH_OP_MEAN, x, dims, ndims, keepdim, LTH_CALLER);
}

static lt_tensor *api_argmax(lt_ctx *ctx, lt_tensor *x, int32_t dim, bool keepdim) {
    ENTER("lt_argmax");
    GIVEN(x, 2, "lt_argmax");
    return reduce(ctx, LTH_OP_ARGMAX, x, &dim, 1, keepdim, LTH_CALLER);
}

static lt_tensor *along(lt_ctx *ctx, lth_op op, lt_tensor *x, int32_t dim, void *caller) {
    int d = lth_real_dim(ctx, x, dim, lth_op_name(op), caller);
    lth_attrs attrs = {.i = {d}};
    return d < 0 ? NULL : lth_apply(ctx, op, &x, 1, &attrs, caller);
}

static lt_tensor *api_softmax(lt_ctx *ctx, lt_tensor *x, int32_t dim) {
    ENTER("lt_softmax");
    GIVEN(x, 2, "lt_softmax");
    return along(ctx, LTH_OP_SOFTMAX, x, dim, LTH_CALLER);
}

static lt_tensor *api_log_softmax(lt_ctx *ctx, lt_tensor *x, int32_t dim) {
    ENTER("lt_log_softmax");
    GIVEN(x, 2, "lt_log_softmax");
    return along(ctx, LTH_OP_LOG_SOFTMAX, x, dim, LTH_CALLER);
}

/* ---- shape ---- */

static lt_tensor *api_reshape(lt_ctx *ctx, lt_tensor *x, int32_t ndim, const int64_t *shape) {
    ENTER("lt_reshape");
    GIVEN(x, 2, "lt_reshape");
    if (ndim > 0) {
        GIVEN(shape, 4, "lt_reshape");
    }
    return lth_blamed(ctx, lth_reshape(ctx, x, ndim, shape), LTH_CALLER);
}

static lt_tensor *api_flatten(lt_ctx *ctx, lt_tensor *x, int32_t start_dim) {
    ENTER("lt_flatten");
    GIVEN(x, 2, "lt_flatten");
    return lth_blamed(ctx, lth_flatten(ctx, x, start_dim), LTH_CALLER);
}

static lt_tensor *api_transpose(lt_ctx *ctx, lt_tensor *x, int32_t dim0, int32_t dim1) {
    ENTER("lt_transpose");
    GIVEN(x, 2, "lt_transpose");
    int d0 = lth_real_dim(ctx, x, dim0, "transpose", LTH_CALLER), d1 = lth_real_dim(ctx, x, dim1, "transpose", LTH_CALLER);
    if (d0 < 0 || d1 < 0) {
        return NULL;
    }
    lth_attrs attrs = {0};
    for (int d = 0; d < x->a.ndim; d++) {
        attrs.i[d] = d == d0 ? d1 : d == d1 ? d0 : d;
    }
    return lth_apply(ctx, LTH_OP_PERMUTE, &x, 1, &attrs, LTH_CALLER);
}

static lt_tensor *api_permute(lt_ctx *ctx, lt_tensor *x, const int32_t *dims) {
    ENTER("lt_permute");
    GIVEN(x, 2, "lt_permute");
    if (x->a.ndim) {
        GIVEN(dims, 3, "lt_permute");
    }
    lth_attrs attrs = {0};
    for (int d = 0; d < x->a.ndim; d++) {
        attrs.i[d] = dims[d] < 0 ? dims[d] + x->a.ndim : dims[d];
    }
    return lth_apply(ctx, LTH_OP_PERMUTE, &x, 1, &attrs, LTH_CALLER);
}

static lt_tensor *api_slice(lt_ctx *ctx, lt_tensor *x, int32_t dim, int64_t start, int64_t end) {
    ENTER("lt_slice");
    GIVEN(x, 2, "lt_slice");
    int d = lth_real_dim(ctx, x, dim, "slice", LTH_CALLER);
    if (d < 0) {
        return NULL;
    }
    int64_t size = x->a.ndim ? x->a.shape[d] : 0;
    lth_attrs attrs = {.i = {d, start < 0 ? start + size : start, end < 0 ? end + size : end}};
    return lth_apply(ctx, LTH_OP_SLICE, &x, 1, &attrs, LTH_CALLER);
}

/* ---- layers and losses ---- */

/* Options as this host knows them: what an older plugin's struct lacks is 0, what a newer one has more is not read. */
bool lth_read_opts(lt_ctx *ctx, void *to, size_t size, const void *opts, const char *op, void *caller) {
    memset(to, 0, size);
    if (!opts) {
        return true;
    }
    uint32_t given;
    memcpy(&given, opts, sizeof given);
    if (given < sizeof given) {
        lth_fail_op(&ctx->error, LT_EABI, op, caller, "opts->struct_size is %u; set it to sizeof *opts", given);
        return false;
    }
    memcpy(to, opts, given < size ? given : size);
    return true;
}


static lt_tensor *api_linear(lt_ctx *ctx, lt_tensor *x, lt_tensor *weight, lt_tensor *bias, lt_activation act) {
    ENTER("lt_linear");
    GIVEN(x, 2, "lt_linear");
    GIVEN(weight, 3, "lt_linear");
    if (act < LT_ACT_NONE || act > LT_ACT_HARDSWISH) {
        lth_fail_op(&ctx->error, LT_EINVAL, "lt_linear", LTH_CALLER, "no activation has the number %d; use LT_ACT_NONE, LT_ACT_RELU, ...", (int)act);
        return NULL;
    }
    lt_tensor *in[3] = {x, weight, bias};
    lth_attrs attrs = {.i = {act}};
    return lth_apply(ctx, LTH_OP_LINEAR, in, bias ? 3 : 2, &attrs, LTH_CALLER);
}

static lt_tensor *api_conv2d(lt_ctx *ctx, lt_tensor *x, lt_tensor *weight, lt_tensor *bias, const lt_conv2d_opts *opts) {
    ENTER("lt_conv2d");
    GIVEN(x, 2, "lt_conv2d");
    GIVEN(weight, 3, "lt_conv2d");
    lt_conv2d_opts o;
    if (!lth_read_opts(ctx, &o, sizeof o, opts, "lt_conv2d", LTH_CALLER)) {
        return NULL;
    }
    lt_tensor *in[3] = {x, weight, bias};
    lth_attrs attrs = {.i = {lth_otherwise(o.stride[0], 1), lth_otherwise(o.stride[1], 1), o.padding[0], o.padding[1], lth_otherwise(o.dilation[0], 1),
                             lth_otherwise(o.dilation[1], 1), lth_otherwise(o.groups, 1)}};
    return lth_apply(ctx, LTH_OP_CONV2D, in, bias ? 3 : 2, &attrs, LTH_CALLER);
}

static lt_tensor *pool(lt_ctx *ctx, lth_op op, lt_tensor *x, const lt_pool2d_opts *opts, const char *name, void *caller) {
    lt_pool2d_opts o;
    if (!lth_read_opts(ctx, &o, sizeof o, opts, name, caller)) {
        return NULL;
    }
    lth_attrs attrs = {.i = {o.kernel[0], o.kernel[1], lth_otherwise(o.stride[0], o.kernel[0]), lth_otherwise(o.stride[1], o.kernel[1]), o.padding[0],
                             o.padding[1], o.ceil_mode, !o.exclude_pad}};
    return lth_apply(ctx, op, &x, 1, &attrs, caller);
}

static lt_tensor *api_max_pool2d(lt_ctx *ctx, lt_tensor *x, const lt_pool2d_opts *opts) {
    ENTER("lt_max_pool2d");
    GIVEN(x, 2, "lt_max_pool2d");
    GIVEN(opts, 3, "lt_max_pool2d");
    return pool(ctx, LTH_OP_MAX_POOL2D, x, opts, "lt_max_pool2d", LTH_CALLER);
}

static lt_tensor *api_avg_pool2d(lt_ctx *ctx, lt_tensor *x, const lt_pool2d_opts *opts) {
    ENTER("lt_avg_pool2d");
    GIVEN(x, 2, "lt_avg_pool2d");
    GIVEN(opts, 3, "lt_avg_pool2d");
    return pool(ctx, LTH_OP_AVG_POOL2D, x, opts, "lt_avg_pool2d", LTH_CALLER);
}

static lt_tensor *api_mse_loss(lt_ctx *ctx, lt_tensor *x, lt_tensor *target, lt_reduction reduction) {
    ENTER("lt_mse_loss");
    GIVEN(x, 2, "lt_mse_loss");
    GIVEN(target, 3, "lt_mse_loss");
    lt_tensor *in[2] = {x, target};
    lth_attrs attrs = {.i = {reduction}};
    return lth_apply(ctx, LTH_OP_MSE_LOSS, in, 2, &attrs, LTH_CALLER);
}

/* ---- transformers ---- */

static lt_tensor *api_layer_norm(lt_ctx *ctx, lt_tensor *x, lt_tensor *weight, lt_tensor *bias, double eps) {
    ENTER("lt_layer_norm");
    GIVEN(x, 2, "lt_layer_norm");
    lt_tensor *in[3] = {x, weight, bias};
    lth_attrs attrs = {.f = {eps}};
    return lth_apply(ctx, LTH_OP_LAYER_NORM, in, bias ? 3 : weight ? 2 : 1, &attrs, LTH_CALLER);
}

static lt_tensor *api_attention(lt_ctx *ctx, lt_tensor *q, lt_tensor *k, lt_tensor *v, const lt_attention_opts *opts) {
    ENTER("lt_attention");
    GIVEN(q, 2, "lt_attention");
    GIVEN(k, 3, "lt_attention");
    GIVEN(v, 4, "lt_attention");
    lt_attention_opts o;
    if (!lth_read_opts(ctx, &o, sizeof o, opts, "lt_attention", LTH_CALLER)) {
        return NULL;
    }
    lt_tensor *in[4] = {q, k, v, o.mask};
    lth_attrs attrs = {.i = {o.causal != 0}, .f = {o.scale}};
    return lth_apply(ctx, LTH_OP_ATTENTION, in, o.mask ? 4 : 3, &attrs, LTH_CALLER);
}

static lt_tensor *api_self_attention(lt_ctx *ctx, lt_tensor *qkv, int64_t heads, const lt_attention_opts *opts) {
    ENTER("lt_self_attention");
    GIVEN(qkv, 2, "lt_self_attention");
    lt_attention_opts o;
    if (!lth_read_opts(ctx, &o, sizeof o, opts, "lt_self_attention", LTH_CALLER)) {
        return NULL;
    }
    lt_tensor *in[2] = {qkv, o.mask};
    lth_attrs attrs = {.i = {o.causal != 0, heads}, .f = {o.scale}};
    return lth_apply(ctx, LTH_OP_SELF_ATTENTION, in, o.mask ? 2 : 1, &attrs, LTH_CALLER);
}

const lt_tensor_api lth_tensor_table = {
    .struct_size = sizeof(lt_tensor_api),
    .ndim = lth_api_ndim, .size = lth_api_size, .numel = lth_api_numel, .dtype = lth_api_dtype, .item = lth_api_item, .doubles = lth_api_doubles,
    .raw = lth_api_raw,
    .retain = lth_api_retain, .release = lth_api_release,
    .full = lth_api_full, .from_data = lth_api_from_data, .arange = lth_api_arange, .rand = lth_api_rand, .randn = lth_api_randn,
    .cast = api_cast, .clone = api_clone,
    .add = api_add, .sub = api_sub, .mul = api_mul, .div = api_div, .add_scalar = api_add_scalar, .mul_scalar = api_mul_scalar, .eq = api_eq,
    .neg = api_neg, .exp = api_exp, .log = api_ln, .sqrt = api_sqrt, .abs = api_abs, .relu = api_relu, .tanh = api_tanh,
    .sigmoid = api_sigmoid, .gelu = api_gelu, .dropout = api_dropout,
    .sum = api_sum, .mean = api_mean, .argmax = api_argmax, .softmax = api_softmax, .log_softmax = api_log_softmax,
    .reshape = api_reshape, .flatten = api_flatten, .transpose = api_transpose, .permute = api_permute, .slice = api_slice, .cat = lth_api_cat,
    .matmul = api_matmul, .linear = api_linear, .conv2d = api_conv2d, .max_pool2d = api_max_pool2d, .avg_pool2d = api_avg_pool2d,
    .mse_loss = api_mse_loss, .cross_entropy = lth_api_cross_entropy, .accuracy = api_accuracy,
    .layer_norm = api_layer_norm, .embedding = lth_api_embedding, .attention = api_attention, .self_attention = api_self_attention,
#define LTH_SLOT(name, OP) .name = lth_api_##name,
    LTH_ARITH_BINARY(LTH_SLOT) LTH_ARITH_UNARY(LTH_SLOT) LTH_ARITH_NUMBER(LTH_SLOT) LTH_ARITH_NUMBERS(LTH_SLOT)
    LTH_ARITH_REDUCE(LTH_SLOT) LTH_ARITH_SPREAD(LTH_SLOT) LTH_ARITH_ALONG(LTH_SLOT) LTH_INPLACE(LTH_SLOT)
#undef LTH_SLOT
    .where = lth_api_where, .argmin = lth_api_argmin, .cumsum = lth_api_cumsum,
    .nll_loss = lth_api_nll_loss, .l1_loss = lth_api_l1_loss, .smooth_l1_loss = lth_api_smooth_l1_loss, .huber_loss = lth_api_huber_loss,
    .bce_loss = lth_api_bce_loss, .bce_with_logits = lth_api_bce_with_logits, .kl_div = lth_api_kl_div,
    .cosine_similarity = lth_api_cosine_similarity, .cosine_embedding_loss = lth_api_cosine_embedding_loss,
    .expand = lth_api_expand, .unsqueeze = lth_api_unsqueeze, .squeeze = lth_api_squeeze, .slice_step = lth_api_slice_step,
    .split = lth_api_split, .stack = lth_api_stack, .gather = lth_api_gather, .scatter_add = lth_api_scatter_add,
    .index_select = lth_api_index_select, .masked_fill = lth_api_masked_fill, .pad = lth_api_pad, .roll = lth_api_roll, .flip = lth_api_flip,
    .conv1d = lth_api_conv1d, .conv_transpose1d = lth_api_conv_transpose1d,
    .conv_transpose2d = lth_api_conv_transpose2d, .max_pool1d = lth_api_max_pool1d, .avg_pool1d = lth_api_avg_pool1d,
    .adaptive_avg_pool1d = lth_api_adaptive_avg_pool1d, .adaptive_avg_pool2d = lth_api_adaptive_avg_pool2d,
    .adaptive_max_pool2d = lth_api_adaptive_max_pool2d, .interpolate = lth_api_interpolate,
    .group_norm = lth_api_group_norm, .instance_norm = lth_api_instance_norm, .rms_norm = lth_api_rms_norm, .layer_norm_over = lth_api_layer_norm_over,
    .tril = lth_api_tril, .triu = lth_api_triu, .one_hot = lth_api_one_hot, .topk = lth_api_topk, .sort = lth_api_sort,
};
