/* engine/ops/table_index.c - the slots of lt.tensor/1 that lt/indexing.h wraps, and cat: arguments as attributes, dimensions counted from
 * the front, lists cut into calls. Shapes and dtypes are the shape rules' to judge (shapes_index.c), indices the kernels'. */
#include "base/str.h"
#include "engine/ops/shapes.h"
#include "engine/ops/table.h"
#include <string.h>

#define ENTER(op, result) LTH_ENTER(ctx, LTH_TRAINER_THREAD, op, result)
#define GIVEN(x, position, op) do { if (!lth_given(ctx, x, position, op, LTH_CALLER)) { return NULL; } } while (0)

/* ---- views ---- */

lt_tensor *lth_api_expand(lt_ctx *ctx, lt_tensor *x, int32_t ndim, const int64_t *shape) {
    ENTER("lt_expand", NULL);
    GIVEN(x, 2, "lt_expand");
    if (ndim > 0) {
        GIVEN(shape, 4, "lt_expand");
    }
    if (ndim < 0 || ndim > LT_MAX_DIMS) {
        lth_fail(&ctx->error, LT_ESHAPE, "expand: %d dimensions; a tensor has 0 to %d", (int)ndim, LT_MAX_DIMS);
        return lth_blamed(ctx, NULL, LTH_CALLER);
    }
    lth_attrs attrs = {.i = {0, ndim}};
    for (int d = 0; d < ndim; d++) {
        int own = d - (ndim - x->a.ndim);
        attrs.i[2 + d] = shape[d] == -1 && own >= 0 ? x->a.shape[own] : shape[d];
    }
    return lth_apply(ctx, LTH_OP_EXPAND, &x, 1, &attrs, LTH_CALLER);
}

static lt_tensor *unsqueezed(lt_ctx *ctx, lt_tensor *x, int dim) {
    int64_t shape[LT_MAX_DIMS + 1];
    for (int d = 0, own = 0; d <= x->a.ndim; d++) {
        shape[d] = d == dim ? 1 : x->a.shape[own++];
    }
    return lth_reshape(ctx, x, x->a.ndim + 1, shape);
}

/* A dimension of the result, which has one more than x; -1 and the failure if there is none such. */
static int new_dim(lt_ctx *ctx, const lt_tensor *x, int32_t dim, const char *op) {
    int ndim = x->a.ndim + 1;
    if (ndim > LT_MAX_DIMS) {
        lth_fail(&ctx->error, LT_ESHAPE, "%s: x %s has %d dimensions already, the most there are", op, lth_shown(&x->a).text, x->a.ndim);
        return -1;
    }
    if (dim < -ndim || dim >= ndim) {
        lth_fail(&ctx->error, LT_EINDEX, "%s: there is no place %d for a new dimension in x %s", op, (int)dim, lth_shown(&x->a).text);
        return -1;
    }
    return dim < 0 ? dim + ndim : dim;
}

lt_tensor *lth_api_unsqueeze(lt_ctx *ctx, lt_tensor *x, int32_t dim) {
    ENTER("lt_unsqueeze", NULL);
    GIVEN(x, 2, "lt_unsqueeze");
    int d = new_dim(ctx, x, dim, "unsqueeze");
    return lth_blamed(ctx, d < 0 ? NULL : unsqueezed(ctx, x, d), LTH_CALLER);
}

lt_tensor *lth_api_squeeze(lt_ctx *ctx, lt_tensor *x, int32_t dim) {
    ENTER("lt_squeeze", NULL);
    GIVEN(x, 2, "lt_squeeze");
    int d = lth_real_dim(ctx, x, dim, "squeeze", LTH_CALLER), ndim = 0;
    if (d < 0) {
        return NULL;
    }
    if (x->a.ndim == 0 || x->a.shape[d] != 1) {
        return x;
    }
    int64_t shape[LT_MAX_DIMS];
    for (int k = 0; k < x->a.ndim; k++) {
        if (k != d) {
            shape[ndim++] = x->a.shape[k];
        }
    }
    return lth_blamed(ctx, lth_reshape(ctx, x, ndim, shape), LTH_CALLER);
}

lt_tensor *lth_api_slice_step(lt_ctx *ctx, lt_tensor *x, int32_t dim, int64_t start, int64_t end, int64_t step) {
    ENTER("lt_slice_step", NULL);
    GIVEN(x, 2, "lt_slice_step");
    int d = lth_real_dim(ctx, x, dim, "slice", LTH_CALLER);
    if (d < 0) {
        return NULL;
    }
    if (step < 1) {
        lth_fail(&ctx->error, LT_EINVAL, "slice: step %lld, but must be 1 or more", (long long)step);
        return lth_blamed(ctx, NULL, LTH_CALLER);
    }
    int64_t size = x->a.ndim ? x->a.shape[d] : 0;
    lth_attrs attrs = {.i = {d, start < 0 ? start + size : start, end == INT64_MAX ? size : end < 0 ? end + size : end, step}};
    return lth_apply(ctx, LTH_OP_SLICE, &x, 1, &attrs, LTH_CALLER);
}

int32_t lth_api_split(lt_ctx *ctx, lt_tensor *x, int64_t size, int32_t dim, lt_tensor **parts, int32_t room) {
    ENTER("lt_split", 0);
    if (!lth_given(ctx, x, 2, "lt_split", LTH_CALLER) || !lth_given(ctx, parts, 5, "lt_split", LTH_CALLER)) {
        return 0;
    }
    int d = lth_real_dim(ctx, x, dim, "split", LTH_CALLER);
    if (d < 0) {
        return 0;
    }
    int64_t n = x->a.ndim ? x->a.shape[d] : 1, count = size < 1 ? 0 : n ? n / size + (n % size != 0) : 1;
    if (x->a.ndim == 0 || count < 1 || count > room) {
        lth_fail(&ctx->error, LT_EINVAL, "split: x %s into parts of %lld along dimension %d: there must be one or more, and room for all (%d)",
                 lth_shown(&x->a).text, (long long)size, d, (int)room);
        lth_blamed(ctx, NULL, LTH_CALLER);
        return 0;
    }
    for (int64_t k = 0; k < count; k++) {
        lth_attrs attrs = {.i = {d, k * size, k + 1 < count ? (k + 1) * size : n}};
        parts[k] = lth_apply(ctx, LTH_OP_SLICE, &x, 1, &attrs, LTH_CALLER);
        if (!parts[k]) {
            return 0;
        }
    }
    return (int32_t)count;
}

/* ---- joining ---- */

static bool all_given(lt_ctx *ctx, lt_tensor *const *items, int32_t count, const char *op, void *caller) {
    if (count < 1) {
        lth_fail(&ctx->error, LT_EINVAL, "%s: %d items given; it takes one or more", op + 3, (int)count);
        lth_blamed(ctx, NULL, caller);
        return false;
    }
    for (int32_t k = 0; k < count; k++) {
        if (!items[k]) {
            lth_fail_op(&ctx->error, LT_EINVAL, op, caller, "items[%d] is NULL, and no earlier call failed", (int)k);
            return false;
        }
    }
    return true;
}

/* An item's dtype in what is joined: all items are promoted together, however many calls it takes. */
static lt_dtype joined_dtype(const lt_ctx *ctx, lt_tensor *const *items, int32_t count, lt_dtype dtype) {
    lt_dtype from, to;
    bool meets = false;
    if (!lth_promotes(ctx->engine, LTH_OP_CAT, &from, &to) || dtype != from) {
        return dtype;
    }
    for (int32_t k = 0; !meets && k < count; k++) {
        meets = items[k]->a.dtype == to;
    }
    return meets ? to : dtype;
}

/* The shape rule compares the items of one call; here each is compared with the first of all. */
static bool fit_together(lt_ctx *ctx, lt_tensor *const *items, int32_t count, int dim, bool stacked, int64_t *total) {
    const lth_array *first = &items[0]->a;
    const lt_dtype dtype = joined_dtype(ctx, items, count, first->dtype);
    *total = 0;
    for (int32_t k = 0; k < count; k++) {
        const lth_array *x = &items[k]->a;
        bool fits = x->ndim == first->ndim;
        for (int d = 0; fits && d < x->ndim; d++) {
            fits = (d == dim && !stacked) || x->shape[d] == first->shape[d];
        }
        if (!fits && stacked) {
            lth_fail(&ctx->error, LT_ESHAPE, "stack: item %d %s does not fit item 0 %s: all sizes must be equal", (int)k, lth_shown(x).text,
                     lth_shown(first).text);
            return false;
        }
        if (!fits) {
            lth_fail(&ctx->error, LT_ESHAPE, "cat: item %d %s does not fit item 0 %s: all sizes but that of dimension %d must be equal", (int)k,
                     lth_shown(x).text, lth_shown(first).text, dim);
            return false;
        }
        if (x->dtype != dtype && joined_dtype(ctx, items, count, x->dtype) != dtype) {
            lth_fail(&ctx->error, LT_EDTYPE, "%s: item %d is %s and item 0 is %s, but they must be the same; use lt_cast",
                     stacked ? "stack" : "cat", (int)k, lth_dtype_name(x->dtype), lth_dtype_name(first->dtype));
            return false;
        }
        if (__builtin_add_overflow(*total, stacked ? 1 : x->shape[dim], total)) {
            lth_fail(&ctx->error, LT_ESHAPE, "cat: the items are larger together than a tensor can be");
            return false;
        }
    }
    return true;
}

/* One output; a call takes LTH_MAX_IN items and fills its part of it. Items that are stacked become (.., 1, ..) first, as views. */
static lt_tensor *join(lt_ctx *ctx, lt_tensor *const *items, int32_t count, int dim, bool stacked, void *caller) {
    int64_t total, start = 0;
    if (!fit_together(ctx, items, count, dim, stacked, &total)) {
        return lth_blamed(ctx, NULL, caller);
    }
    lt_tensor *joined = NULL;
    const lth_attrs to = {.i = {joined_dtype(ctx, items, count, items[0]->a.dtype)}};
    for (int32_t done = 0; done < count;) {
        lt_tensor *in[LTH_MAX_IN];
        lth_attrs attrs = {.i = {dim, start, total}};
        int n = 0;
        for (; n < LTH_MAX_IN && done < count; n++, done++) {
            lt_tensor *x = items[done];
            x = x->a.dtype == to.i[0] ? x : lth_apply(ctx, LTH_OP_CAST, &x, 1, &to, caller);
            in[n] = x && stacked ? unsqueezed(ctx, x, dim) : x;
            if (!in[n]) {
                return lth_blamed(ctx, NULL, caller);
            }
            start += in[n]->a.shape[dim];
        }
        joined = lth_apply_part(ctx, LTH_OP_CAT, in, n, &attrs, caller, joined);
        if (!joined) {
            return NULL;
        }
    }
    return joined;
}

lt_tensor *lth_api_cat(lt_ctx *ctx, lt_tensor *const *items, int32_t count, int32_t dim) {
    ENTER("lt_cat", NULL);
    GIVEN(items, 2, "lt_cat");
    if (!all_given(ctx, items, count, "lt_cat", LTH_CALLER)) {
        return NULL;
    }
    if (items[0]->a.ndim == 0) {
        lth_fail(&ctx->error, LT_EINDEX, "cat: items () have no dimension %d; use lt_stack", (int)dim);
        return lth_blamed(ctx, NULL, LTH_CALLER);
    }
    int d = lth_real_dim(ctx, items[0], dim, "cat", LTH_CALLER);
    return d < 0 ? NULL : join(ctx, items, count, d, false, LTH_CALLER);
}

lt_tensor *lth_api_stack(lt_ctx *ctx, lt_tensor *const *items, int32_t count, int32_t dim) {
    ENTER("lt_stack", NULL);
    GIVEN(items, 2, "lt_stack");
    if (!all_given(ctx, items, count, "lt_stack", LTH_CALLER)) {
        return NULL;
    }
    int d = new_dim(ctx, items[0], dim, "stack");
    return d < 0 ? lth_blamed(ctx, NULL, LTH_CALLER) : join(ctx, items, count, d, true, LTH_CALLER);
}

/* ---- indexing ---- */

static lt_tensor *with_index(lt_ctx *ctx, lth_op op, lt_tensor *x, int32_t dim, lt_tensor *index, lt_tensor *src, void *caller) {
    int d = lth_real_dim(ctx, x, dim, lth_op_name(op), caller);
    lt_tensor *in[3] = {x, index, src};
    lth_attrs attrs = {.i = {d}};
    return d < 0 ? NULL : lth_apply(ctx, op, in, src ? 3 : 2, &attrs, caller);
}

lt_tensor *lth_api_gather(lt_ctx *ctx, lt_tensor *x, int32_t dim, lt_tensor *index) {
    ENTER("lt_gather", NULL);
    GIVEN(x, 2, "lt_gather");
    GIVEN(index, 4, "lt_gather");
    return with_index(ctx, LTH_OP_GATHER, x, dim, index, NULL, LTH_CALLER);
}

lt_tensor *lth_api_scatter_add(lt_ctx *ctx, lt_tensor *x, int32_t dim, lt_tensor *index, lt_tensor *src) {
    ENTER("lt_scatter_add", NULL);
    GIVEN(x, 2, "lt_scatter_add");
    GIVEN(index, 4, "lt_scatter_add");
    GIVEN(src, 5, "lt_scatter_add");
    return with_index(ctx, LTH_OP_SCATTER_ADD, x, dim, index, src, LTH_CALLER);
}

lt_tensor *lth_api_index_select(lt_ctx *ctx, lt_tensor *x, int32_t dim, lt_tensor *index) {
    ENTER("lt_index_select", NULL);
    GIVEN(x, 2, "lt_index_select");
    GIVEN(index, 4, "lt_index_select");
    return with_index(ctx, LTH_OP_INDEX_SELECT, x, dim, index, NULL, LTH_CALLER);
}

lt_tensor *lth_api_masked_fill(lt_ctx *ctx, lt_tensor *x, lt_tensor *mask, double value) {
    ENTER("lt_masked_fill", NULL);
    GIVEN(x, 2, "lt_masked_fill");
    GIVEN(mask, 3, "lt_masked_fill");
    lt_tensor *in[2] = {x, mask};
    lth_attrs attrs = {.f = {value}};
    return lth_apply(ctx, LTH_OP_MASKED_FILL, in, 2, &attrs, LTH_CALLER);
}

lt_tensor *lth_api_one_hot(lt_ctx *ctx, lt_tensor *index, int64_t classes) {
    ENTER("lt_one_hot", NULL);
    GIVEN(index, 2, "lt_one_hot");
    lth_attrs attrs = {.i = {classes}};
    return lth_apply(ctx, LTH_OP_ONE_HOT, &index, 1, &attrs, LTH_CALLER);
}

lt_tensor *lth_api_embedding(lt_ctx *ctx, lt_tensor *indices, lt_tensor *weight, const lt_embedding_opts *opts) {
    ENTER("lt_embedding", NULL);
    GIVEN(indices, 2, "lt_embedding");
    GIVEN(weight, 3, "lt_embedding");
    lt_embedding_opts o;
    if (!lth_read_opts(ctx, &o, sizeof o, opts, "lt_embedding", LTH_CALLER)) {
        return NULL;
    }
    int64_t rows = weight->a.ndim ? weight->a.shape[0] : 0, padding = o.padding_idx < 0 ? o.padding_idx + rows : o.padding_idx;
    if (o.has_padding_idx && (padding < 0 || padding >= rows)) {
        lth_fail(&ctx->error, LT_EINDEX, "embedding: padding_idx %lld is no row of weight %s", (long long)o.padding_idx,
                 lth_shown(&weight->a).text);
        return lth_blamed(ctx, NULL, LTH_CALLER);
    }
    lt_tensor *in[2] = {indices, weight};
    lth_attrs attrs = {.i = {o.has_padding_idx != 0, padding}};
    return lth_apply(ctx, LTH_OP_EMBEDDING, in, 2, &attrs, LTH_CALLER);
}

/* ---- moving ---- */

lt_tensor *lth_api_pad(lt_ctx *ctx, lt_tensor *x, const int64_t *pads, int32_t count, lt_pad_mode mode, double value) {
    ENTER("lt_pad", NULL);
    GIVEN(x, 2, "lt_pad");
    if (count > 0) {
        GIVEN(pads, 3, "lt_pad");
    }
    if (count < 0 || count % 2 || count > 2 * x->a.ndim) {
        lth_fail(&ctx->error, LT_EINVAL, "pad: %d numbers given for x %s: two for each dimension padded, the last dimension first", (int)count,
                 lth_shown(&x->a).text);
        return lth_blamed(ctx, NULL, LTH_CALLER);
    }
    lth_attrs attrs = {.f = {value, mode}};
    for (int k = 0; k < count; k++) {
        attrs.i[2 * (x->a.ndim - 1 - k / 2) + k % 2] = pads[k];
    }
    return lth_apply(ctx, LTH_OP_PAD, &x, 1, &attrs, LTH_CALLER);
}

static lt_tensor *move_along(lt_ctx *ctx, lth_op op, lt_tensor *x, const int64_t *amounts, const int32_t *dims, int32_t ndims, void *caller) {
    lth_attrs attrs = {0};
    for (int k = 0; k < ndims; k++) {
        int d = x->a.ndim ? lth_real_dim(ctx, x, dims[k], lth_op_name(op), caller) : 0;
        if (d < 0) {
            return NULL;
        }
        int64_t size = x->a.ndim ? x->a.shape[d] : 1;
        attrs.i[d] += !amounts ? 1 : size ? amounts[k] % size : 0;
        if (!amounts && attrs.i[d] > 1) {
            lth_fail(&ctx->error, LT_EINVAL, "%s: dimension %d is given twice", lth_op_name(op), d);
            return lth_blamed(ctx, NULL, caller);
        }
    }
    return lth_apply(ctx, op, &x, 1, &attrs, caller);
}

static bool good_count(lt_ctx *ctx, int32_t ndims, const char *op, void *caller) {
    if (ndims < 0 || ndims > LT_MAX_DIMS) {
        lth_fail(&ctx->error, LT_EINVAL, "%s: %d dimensions given", op, (int)ndims);
        lth_blamed(ctx, NULL, caller);
        return false;
    }
    return true;
}

lt_tensor *lth_api_roll(lt_ctx *ctx, lt_tensor *x, const int64_t *shifts, const int32_t *dims, int32_t ndims) {
    ENTER("lt_roll", NULL);
    GIVEN(x, 2, "lt_roll");
    if (ndims) {
        GIVEN(shifts, 3, "lt_roll");
        GIVEN(dims, 4, "lt_roll");
    }
    return good_count(ctx, ndims, "roll", LTH_CALLER) ? move_along(ctx, LTH_OP_ROLL, x, shifts, dims, ndims, LTH_CALLER) : NULL;
}

lt_tensor *lth_api_flip(lt_ctx *ctx, lt_tensor *x, const int32_t *dims, int32_t ndims) {
    ENTER("lt_flip", NULL);
    GIVEN(x, 2, "lt_flip");
    if (ndims) {
        GIVEN(dims, 3, "lt_flip");
    }
    return good_count(ctx, ndims, "flip", LTH_CALLER) ? move_along(ctx, LTH_OP_FLIP, x, NULL, dims, ndims, LTH_CALLER) : NULL;
}

#define TRIANGLE(name, OP) \
    lt_tensor *lth_api_##name(lt_ctx *ctx, lt_tensor *x, int64_t diagonal) { \
        ENTER("lt_" #name, NULL); \
        GIVEN(x, 2, "lt_" #name); \
        lth_attrs attrs = {.i = {diagonal}}; \
        return lth_apply(ctx, LTH_OP_##OP, &x, 1, &attrs, LTH_CALLER); \
    }
TRIANGLE(tril, TRIL)
TRIANGLE(triu, TRIU)

/* ---- sorting ---- */

static lt_tensor *ordered(lt_ctx *ctx, lth_op op, lt_tensor *x, int32_t dim, int64_t how, int64_t k, lt_tensor **indices, void *caller) {
    lt_tensor *out[LTH_MAX_OUT];
    if (x->a.ndim == 0) { /* as (1), and back */
        int64_t one = 1;
        x = lth_reshape(ctx, x, 1, &one);
        if (!x) {
            return lth_blamed(ctx, NULL, caller);
        }
        lt_tensor *y = ordered(ctx, op, x, dim, how, k, indices, caller);
        if (!y || k == 0) {
            return y;
        }
        if (indices) {
            *indices = lth_reshape(ctx, *indices, 0, NULL);
        }
        return lth_blamed(ctx, lth_reshape(ctx, y, 0, NULL), caller);
    }
    int d = lth_real_dim(ctx, x, dim, lth_op_name(op), caller);
    lth_attrs attrs = {.i = {d, how, k}};
    if (d < 0 || !lth_apply_all(ctx, op, &x, 1, &attrs, caller, out)) {
        return NULL;
    }
    if (indices) {
        *indices = out[1];
    }
    return out[0];
}

lt_tensor *lth_api_topk(lt_ctx *ctx, lt_tensor *x, int64_t k, int32_t dim, bool largest, lt_tensor **indices) {
    ENTER("lt_topk", NULL);
    GIVEN(x, 2, "lt_topk");
    return ordered(ctx, LTH_OP_TOPK, x, dim, !largest, k, indices, LTH_CALLER);
}

lt_tensor *lth_api_sort(lt_ctx *ctx, lt_tensor *x, int32_t dim, bool descending, lt_tensor **indices) {
    ENTER("lt_sort", NULL);
    GIVEN(x, 2, "lt_sort");
    return ordered(ctx, LTH_OP_SORT, x, dim, descending, -1, indices, LTH_CALLER);
}
