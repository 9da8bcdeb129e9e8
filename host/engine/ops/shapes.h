/* engine/ops/shapes.h - the shape rules that ops.def names, and how they word a refusal. */
#ifndef LTH_SHAPES_H
#define LTH_SHAPES_H
#include "engine/ops/ops.h"

/* Each sets dtype, ndim and shape of call->out[] from inputs and attributes, or fails naming op, argument and shapes. */
#define LTH_SHAPE_RULES(X) \
    X(same) X(cast) X(given) X(given_view) X(broadcast) X(compare) X(reduce) X(argreduce) X(permute) X(slice) X(cat) \
    X(lstm) X(gru) X(to_bool) X(where) X(extreme) X(extreme_along) X(cumsum) \
    X(matmul) X(linear) X(conv2d) X(pool2d) X(batch_norm) X(loss) X(cross_entropy) X(accuracy) X(layer_norm) X(embedding) X(attention) X(self_attention) \
    X(gather) X(scatter_add) X(index_select) X(masked_fill) X(pad) X(remap) X(one_hot) X(topk) X(pair_loss) X(cosine) \
    X(conv_transpose2d) X(adaptive_pool2d) X(interpolate) X(group_norm) X(rms_norm)
#define LTH__RULE(name) lt_status lth_shape_##name(lth_call *call, lth_error *err);
LTH_SHAPE_RULES(LTH__RULE)
#undef LTH__RULE

/* A shape as text, inside one expression: lth_fail(..., lth_shown(a).text). */
typedef struct lth_shape_text { char text[200]; } lth_shape_text;
lth_shape_text lth_shown(const lth_array *a);
const char *lth_op_name(lth_op op);
/* For refusals: the op's name and its argument's shape, as the caller knows them where a layer of images serves one of sequences (attrs i12). */
enum { LTH_OF_SEQUENCES = 12 };
bool lth_of_sequences(const lth_call *call);
const char *lth_call_name(const lth_call *call);
lth_shape_text lth_call_shape(const lth_call *call, const lth_array *a);
void lth_out_set(lth_call *call, int k, lt_dtype dtype, int ndim, const int64_t *shape);
/* Failures unless the argument is a float, has one of these dtypes, or the same as another. */
lt_status lth_need_float(const lth_call *call, int k, const char *name, lth_error *err);
lt_status lth_need_dtype(const lth_call *call, int k, const char *name, lt_dtype dtype, lth_error *err);
lt_status lth_need_same_dtype(const lth_call *call, int a, const char *name_a, int b, const char *name_b, lth_error *err);
/* Failures unless an argument that is given is a vector of `size` elements of x's dtype; unless attrs->i[0] is a reduction. */
lt_status lth_need_vector(const lth_call *call, int k, const char *name, int64_t size, const char *why, lth_error *err);
lt_status lth_need_norm_vector(const lth_call *call, int k, const char *name, int64_t size, const char *why, lth_error *err); /* or f32 beside half */
lt_status lth_need_reduction(const lth_call *call, lth_error *err);
/* Failure for a view that would send its gradient past an in-place change of its base. */
lt_status lth_need_fresh_view(const lt_ctx *ctx, const lt_tensor *x, const char *op, lth_error *err);
/* The shape of a and b broadcast over their first dims (all but the last `keep`); false if they do not. Writes ndim dims to shape. */
bool lth_broadcast(const lth_array *a, const lth_array *b, int keep, int *ndim, int64_t *shape);
/* Output 0 of a reduction: dims [i0 number, i1.., i9 keepdim] gone or 1. Refuses dimensions that x has not, or that are given twice. */
lt_status lth_reduce_to(lth_call *call, lt_dtype dtype, lth_error *err);
#define LTH_GOOD(expression) do { lt_status status_ = (expression); if (status_ != LT_OK) { return status_; } } while (0)
#endif
