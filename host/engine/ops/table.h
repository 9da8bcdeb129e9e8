/* engine/ops/table.h - the slots of lt.tensor/1 that stand in other files (facts.c, table_arith.c), for the table in table.c. */
#ifndef LTH_TENSOR_TABLE_H
#define LTH_TENSOR_TABLE_H
#include "engine/ops/ops.h"

/* x; where there is none, the failure is this caller's, unless somebody was named already. */
static inline lt_tensor *lth_blamed(lt_ctx *ctx, lt_tensor *x, void *caller) {
    if (!x && !ctx->error.caller) {
        ctx->error.caller = caller;
    }
    return x;
}
/* 0 in an option means the default. */
static inline int64_t lth_otherwise(int64_t value, int64_t fallback) { return value ? value : fallback; }

int32_t lth_api_ndim(lt_ctx *ctx, const lt_tensor *x);
int64_t lth_api_size(lt_ctx *ctx, const lt_tensor *x, int32_t dim);
int64_t lth_api_numel(lt_ctx *ctx, const lt_tensor *x);
lt_dtype lth_api_dtype(lt_ctx *ctx, const lt_tensor *x);
const double *lth_api_doubles(lt_ctx *ctx, lt_tensor *x);
double lth_api_item(lt_ctx *ctx, lt_tensor *x);
lt_status lth_api_raw(lt_ctx *ctx, lt_tensor *x, int32_t access, lt_view *out);
lt_tensor *lth_api_retain(lt_ctx *ctx, lt_tensor *x);
void lth_api_release(lt_ctx *ctx, lt_tensor *x);
lt_tensor *lth_api_full(lt_ctx *ctx, lt_dtype dtype, int32_t ndim, const int64_t *shape, double value);
lt_tensor *lth_api_from_data(lt_ctx *ctx, lt_dtype dtype, int32_t ndim, const int64_t *shape, const void *data);
lt_tensor *lth_api_arange(lt_ctx *ctx, lt_dtype dtype, double start, double end, double step);
lt_tensor *lth_api_rand(lt_ctx *ctx, int32_t ndim, const int64_t *shape);
lt_tensor *lth_api_randn(lt_ctx *ctx, int32_t ndim, const int64_t *shape);

/* ---- table_arith.c: arithmetic and reductions beyond the first ones. Shown in X(): slots by the arguments they take ---- */
#define LTH_ARITH_BINARY(X) \
    X(ne, NE) X(lt, LT) X(le, LE) X(gt, GT) X(ge, GE) X(logical_and, LOGICAL_AND) X(logical_or, LOGICAL_OR) \
    X(maximum, MAXIMUM) X(minimum, MINIMUM) X(pow, POW)
#define LTH_ARITH_UNARY(X) \
    X(logical_not, LOGICAL_NOT) X(rsqrt, RSQRT) X(sin, SIN) X(cos, COS) X(erf, ERF) X(square, SQUARE) X(reciprocal, RECIPROCAL) \
    X(sign, SIGN) X(floor, FLOOR) X(ceil, CEIL) X(round, ROUND) X(silu, SILU) X(hardswish, HARDSWISH)
#define LTH_ARITH_NUMBER(X) X(pow_scalar, POW_SCALAR) X(leaky_relu, LEAKY_RELU) X(elu, ELU)
#define LTH_ARITH_NUMBERS(X) X(clamp, CLAMP) X(softplus, SOFTPLUS)
#define LTH_ARITH_REDUCE(X) X(max, MAX) X(min, MIN) X(prod, PROD) X(logsumexp, LOGSUMEXP)
#define LTH_ARITH_SPREAD(X) X(var, VAR) X(std, STD)
#define LTH_ARITH_ALONG(X) X(max_along, MAX_ALONG) X(min_along, MIN_ALONG)
#define LTH__BINARY(name, OP) lt_tensor *lth_api_##name(lt_ctx *ctx, lt_tensor *a, lt_tensor *b);
#define LTH__UNARY(name, OP) lt_tensor *lth_api_##name(lt_ctx *ctx, lt_tensor *x);
#define LTH__NUMBER(name, OP) lt_tensor *lth_api_##name(lt_ctx *ctx, lt_tensor *x, double first);
#define LTH__NUMBERS(name, OP) lt_tensor *lth_api_##name(lt_ctx *ctx, lt_tensor *x, double first, double second);
#define LTH__REDUCE(name, OP) lt_tensor *lth_api_##name(lt_ctx *ctx, lt_tensor *x, const int32_t *dims, int32_t ndims, bool keepdim);
#define LTH__SPREAD(name, OP) lt_tensor *lth_api_##name(lt_ctx *ctx, lt_tensor *x, const int32_t *dims, int32_t ndims, bool keepdim, double correction);
#define LTH__ALONG(name, OP) lt_tensor *lth_api_##name(lt_ctx *ctx, lt_tensor *x, int32_t dim, bool keepdim, lt_tensor **indices);
LTH_ARITH_BINARY(LTH__BINARY)
LTH_ARITH_UNARY(LTH__UNARY)
LTH_ARITH_NUMBER(LTH__NUMBER)
LTH_ARITH_NUMBERS(LTH__NUMBERS)
LTH_ARITH_REDUCE(LTH__REDUCE)
LTH_ARITH_SPREAD(LTH__SPREAD)
LTH_ARITH_ALONG(LTH__ALONG)
/* inplace.c */
#define LTH_INPLACE(X) X(add_, ) X(sub_, ) X(mul_, ) X(div_, ) X(add_scalar_, ) X(mul_scalar_, ) X(relu_, ) X(clamp_, ) X(copy_, ) X(fill_, )
lt_tensor *lth_api_add_(lt_ctx *ctx, lt_tensor *x, lt_tensor *other);
lt_tensor *lth_api_sub_(lt_ctx *ctx, lt_tensor *x, lt_tensor *other);
lt_tensor *lth_api_mul_(lt_ctx *ctx, lt_tensor *x, lt_tensor *other);
lt_tensor *lth_api_div_(lt_ctx *ctx, lt_tensor *x, lt_tensor *other);
lt_tensor *lth_api_add_scalar_(lt_ctx *ctx, lt_tensor *x, double value);
lt_tensor *lth_api_mul_scalar_(lt_ctx *ctx, lt_tensor *x, double value);
lt_tensor *lth_api_relu_(lt_ctx *ctx, lt_tensor *x);
lt_tensor *lth_api_clamp_(lt_ctx *ctx, lt_tensor *x, double low, double high);
lt_tensor *lth_api_copy_(lt_ctx *ctx, lt_tensor *x, lt_tensor *source);
lt_tensor *lth_api_fill_(lt_ctx *ctx, lt_tensor *x, double value);
lt_tensor *lth_api_where(lt_ctx *ctx, lt_tensor *condition, lt_tensor *a, lt_tensor *b);
lt_tensor *lth_api_argmin(lt_ctx *ctx, lt_tensor *x, int32_t dim, bool keepdim);
lt_tensor *lth_api_cumsum(lt_ctx *ctx, lt_tensor *x, int32_t dim);

/* table.c: dim counted from the front; -1 and the failure if x has none such. Dimensions of a reduction as its attributes; false likewise. */
int lth_real_dim(lt_ctx *ctx, const lt_tensor *x, int32_t dim, const char *op, void *caller);
bool lth_reduced_dims(lt_ctx *ctx, lth_op op, const lt_tensor *x, const int32_t *dims, int32_t ndims, bool keepdim, lth_attrs *attrs, void *caller);
bool lth_read_opts(lt_ctx *ctx, void *to, size_t size, const void *opts, const char *op, void *caller);

/* table_index.c */
lt_tensor *lth_api_cat(lt_ctx *ctx, lt_tensor *const *items, int32_t count, int32_t dim);
lt_tensor *lth_api_stack(lt_ctx *ctx, lt_tensor *const *items, int32_t count, int32_t dim);
lt_tensor *lth_api_expand(lt_ctx *ctx, lt_tensor *x, int32_t ndim, const int64_t *shape);
lt_tensor *lth_api_unsqueeze(lt_ctx *ctx, lt_tensor *x, int32_t dim);
lt_tensor *lth_api_squeeze(lt_ctx *ctx, lt_tensor *x, int32_t dim);
lt_tensor *lth_api_slice_step(lt_ctx *ctx, lt_tensor *x, int32_t dim, int64_t start, int64_t end, int64_t step);
int32_t lth_api_split(lt_ctx *ctx, lt_tensor *x, int64_t size, int32_t dim, lt_tensor **parts, int32_t room);
lt_tensor *lth_api_gather(lt_ctx *ctx, lt_tensor *x, int32_t dim, lt_tensor *index);
lt_tensor *lth_api_scatter_add(lt_ctx *ctx, lt_tensor *x, int32_t dim, lt_tensor *index, lt_tensor *src);
lt_tensor *lth_api_index_select(lt_ctx *ctx, lt_tensor *x, int32_t dim, lt_tensor *index);
lt_tensor *lth_api_masked_fill(lt_ctx *ctx, lt_tensor *x, lt_tensor *mask, double value);
lt_tensor *lth_api_pad(lt_ctx *ctx, lt_tensor *x, const int64_t *pads, int32_t count, lt_pad_mode mode, double value);
lt_tensor *lth_api_roll(lt_ctx *ctx, lt_tensor *x, const int64_t *shifts, const int32_t *dims, int32_t ndims);
lt_tensor *lth_api_flip(lt_ctx *ctx, lt_tensor *x, const int32_t *dims, int32_t ndims);
lt_tensor *lth_api_tril(lt_ctx *ctx, lt_tensor *x, int64_t diagonal);
lt_tensor *lth_api_triu(lt_ctx *ctx, lt_tensor *x, int64_t diagonal);
lt_tensor *lth_api_one_hot(lt_ctx *ctx, lt_tensor *index, int64_t classes);
lt_tensor *lth_api_topk(lt_ctx *ctx, lt_tensor *x, int64_t k, int32_t dim, bool largest, lt_tensor **indices);
lt_tensor *lth_api_sort(lt_ctx *ctx, lt_tensor *x, int32_t dim, bool descending, lt_tensor **indices);
lt_tensor *lth_api_embedding(lt_ctx *ctx, lt_tensor *indices, lt_tensor *weight, const lt_embedding_opts *opts);

/* table_loss.c */
lt_tensor *lth_api_cross_entropy(lt_ctx *ctx, lt_tensor *x, lt_tensor *target, const lt_cross_entropy_opts *opts);
lt_tensor *lth_api_nll_loss(lt_ctx *ctx, lt_tensor *x, lt_tensor *target, const lt_cross_entropy_opts *opts);
lt_tensor *lth_api_l1_loss(lt_ctx *ctx, lt_tensor *x, lt_tensor *target, const lt_loss_opts *opts);
lt_tensor *lth_api_smooth_l1_loss(lt_ctx *ctx, lt_tensor *x, lt_tensor *target, const lt_loss_opts *opts);
lt_tensor *lth_api_huber_loss(lt_ctx *ctx, lt_tensor *x, lt_tensor *target, const lt_loss_opts *opts);
lt_tensor *lth_api_bce_loss(lt_ctx *ctx, lt_tensor *x, lt_tensor *target, const lt_loss_opts *opts);
lt_tensor *lth_api_bce_with_logits(lt_ctx *ctx, lt_tensor *x, lt_tensor *target, const lt_loss_opts *opts);
lt_tensor *lth_api_kl_div(lt_ctx *ctx, lt_tensor *x, lt_tensor *target, const lt_loss_opts *opts);
lt_tensor *lth_api_cosine_similarity(lt_ctx *ctx, lt_tensor *a, lt_tensor *b, int32_t dim, double eps);
lt_tensor *lth_api_cosine_embedding_loss(lt_ctx *ctx, lt_tensor *a, lt_tensor *b, lt_tensor *target, const lt_loss_opts *opts);

/* table_layers.c */
lt_tensor *lth_api_conv1d(lt_ctx *ctx, lt_tensor *x, lt_tensor *weight, lt_tensor *bias, const struct lt_conv1d_opts *opts);
lt_tensor *lth_api_conv_transpose1d(lt_ctx *ctx, lt_tensor *x, lt_tensor *weight, lt_tensor *bias, const struct lt_conv_transpose1d_opts *opts);
lt_tensor *lth_api_conv_transpose2d(lt_ctx *ctx, lt_tensor *x, lt_tensor *weight, lt_tensor *bias, const struct lt_conv_transpose2d_opts *opts);
lt_tensor *lth_api_max_pool1d(lt_ctx *ctx, lt_tensor *x, const struct lt_pool1d_opts *opts);
lt_tensor *lth_api_avg_pool1d(lt_ctx *ctx, lt_tensor *x, const struct lt_pool1d_opts *opts);
lt_tensor *lth_api_adaptive_avg_pool1d(lt_ctx *ctx, lt_tensor *x, int64_t size);
lt_tensor *lth_api_adaptive_avg_pool2d(lt_ctx *ctx, lt_tensor *x, int64_t height, int64_t width);
lt_tensor *lth_api_adaptive_max_pool2d(lt_ctx *ctx, lt_tensor *x, int64_t height, int64_t width);
lt_tensor *lth_api_interpolate(lt_ctx *ctx, lt_tensor *x, const struct lt_interpolate_opts *opts);
lt_tensor *lth_api_group_norm(lt_ctx *ctx, lt_tensor *x, int64_t groups, lt_tensor *weight, lt_tensor *bias, double eps);
lt_tensor *lth_api_instance_norm(lt_ctx *ctx, lt_tensor *x, lt_tensor *weight, lt_tensor *bias, double eps);
lt_tensor *lth_api_rms_norm(lt_ctx *ctx, lt_tensor *x, lt_tensor *weight, double eps);
lt_tensor *lth_api_layer_norm_over(lt_ctx *ctx, lt_tensor *x, int32_t ndims, lt_tensor *weight, lt_tensor *bias, double eps);
bool lth_interpolate_attrs(const lt_interpolate_opts *o, const lth_array *x, lth_attrs *attrs);
#endif
