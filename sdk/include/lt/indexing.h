/* lt/indexing.h - taking tensors apart and putting them together: views, joining, indexing, padding, sorting (table lt.tensor/1; a part
 * of lt/tensor.h, which includes it and says how long tensors live). All [trainer]; tensors given are borrowed.
 * An index is i64; one that lies outside is LT_EINDEX and names op, position and value: nothing wraps around. */
#ifndef LT_INDEXING_H
#define LT_INDEXING_H
#include <lt/tensor.h>

LT_BEGIN
/* ---- views: the memory of x under another shape; no copy, but where a kernel's own layout cannot be viewed: then writing is refused
 * (LT_ESTATE: of a retained x, or in a backward). Differentiable. LT_ESHAPE, LT_EINDEX; LT_ESTATE: x is a view from before an in-place change ---- */
/* x repeated to shape: sizes of 1 and new leading dimensions grow, -1 keeps a size (torch.expand, broadcast_to). */
LT_INLINE lt_tensor *lt_expand(lt_ctx *ctx, lt_tensor *x, int32_t ndim, const int64_t *shape) {
    return lt__tensor->expand(ctx, x, ndim, shape);
}
/* A new dimension of size 1 before dim: (3, 4), 1 -> (3, 1, 4); dim -1: at the end. */
LT_INLINE lt_tensor *lt_unsqueeze(lt_ctx *ctx, lt_tensor *x, int32_t dim) { return lt__tensor->unsqueeze(ctx, x, dim); }
/* Without dimension dim if its size is 1, else x itself. */
LT_INLINE lt_tensor *lt_squeeze(lt_ctx *ctx, lt_tensor *x, int32_t dim) { return lt__tensor->squeeze(ctx, x, dim); }
/* Elements start, start + 1, ..., length of them, along dim; a negative start counts from the end. LT_EINDEX: they are not all there. */
LT_INLINE lt_tensor *lt_narrow(lt_ctx *ctx, lt_tensor *x, int32_t dim, int64_t start, int64_t length) {
    const int64_t size = lt__tensor->size(ctx, x, dim), from = start < 0 ? start + size : start;
    if (from < 0 || from > size || length < 0 || length > size - from) {
        lt_fail(ctx, LT_EINDEX, "lt_narrow: %lld elements from %lld on, but dimension %d has %lld", (long long)length, (long long)start, (int)dim,
                (long long)size);
        return NULL;
    }
    return lt__tensor->slice_step(ctx, x, dim, from, from + length, 1);
}
/* Every step-th element of start..end-1 along dim; negative ones count from the end, INT64_MAX is the end; step >= 1. */
LT_INLINE lt_tensor *lt_slice_step(lt_ctx *ctx, lt_tensor *x, int32_t dim, int64_t start, int64_t end, int64_t step) {
    return lt__tensor->slice_step(ctx, x, dim, start, end, step);
}
/* Parts of `size` along dim, the last one smaller if need be, into parts[0..]; returns how many, 0 on failure; more than room: LT_EINVAL. */
LT_INLINE int32_t lt_split(lt_ctx *ctx, lt_tensor *x, int64_t size, int32_t dim, lt_tensor **parts, int32_t room) {
    return lt__tensor->split(ctx, x, size, dim, parts, room);
}
/* At most `chunks` parts of equal size (the last one may be smaller); parts has room for `chunks`. Returns how many, 0 on failure. */
LT_INLINE int32_t lt_chunk(lt_ctx *ctx, lt_tensor *x, int32_t chunks, int32_t dim, lt_tensor **parts) {
    const int64_t n = chunks < 1 ? 0 : lt__tensor->size(ctx, x, dim);
    return lt__tensor->split(ctx, x, chunks < 1 ? 0 : n ? (n + chunks - 1) / chunks : 1, dim, parts, chunks);
}

/* ---- joining and moving: new memory, any dtype. Differentiable. LT_ESHAPE, LT_EINDEX, LT_EDTYPE ---- */
/* count tensors of one shape and dtype along a new dimension: two (3, 4), dim 0 -> (2, 3, 4). */
LT_INLINE lt_tensor *lt_stack(lt_ctx *ctx, lt_tensor *const *items, int32_t count, int32_t dim) {
    return lt__tensor->stack(ctx, items, count, dim);
}
/* pads as in torch's F.pad: before and after the last dimension, then of the one before it, ...; count of them, even; value for
 * LT_PAD_CONSTANT (negative pads cut off). LT_PAD_REFLECT does not repeat the edge, LT_PAD_REPLICATE does. */
LT_INLINE lt_tensor *lt_pad(lt_ctx *ctx, lt_tensor *x, const int64_t *pads, int32_t count, lt_pad_mode mode, double value) {
    return lt__tensor->pad(ctx, x, pads, count, mode, value);
}
/* Elements move by shifts[i] along dims[i]; what leaves at the end comes back at the start. */
LT_INLINE lt_tensor *lt_roll(lt_ctx *ctx, lt_tensor *x, const int64_t *shifts, const int32_t *dims, int32_t ndims) {
    return lt__tensor->roll(ctx, x, shifts, dims, ndims);
}
/* The order along each of dims reversed. */
LT_INLINE lt_tensor *lt_flip(lt_ctx *ctx, lt_tensor *x, const int32_t *dims, int32_t ndims) { return lt__tensor->flip(ctx, x, dims, ndims); }
/* (..., N, M): keeps elements with column - row <= diagonal (tril), >= diagonal (triu); the others are 0. */
LT_INLINE lt_tensor *lt_tril(lt_ctx *ctx, lt_tensor *x, int64_t diagonal) { return lt__tensor->tril(ctx, x, diagonal); }
LT_INLINE lt_tensor *lt_triu(lt_ctx *ctx, lt_tensor *x, int64_t diagonal) { return lt__tensor->triu(ctx, x, diagonal); }
/* x where mask (bool, broadcast to x) is false, value where it is true. */
LT_INLINE lt_tensor *lt_masked_fill(lt_ctx *ctx, lt_tensor *x, lt_tensor *mask, double value) {
    return lt__tensor->masked_fill(ctx, x, mask, value);
}

/* ---- indexing: sums are made in the order of positions, the same for any number of threads. LT_EINDEX, LT_ESHAPE, LT_EDTYPE ---- */
/* y[i][j] = x[index[i][j]][j] (dim 0), x[i][index[i][j]] (dim 1): index i64 has x's number of dimensions; y its shape. Differentiable. */
LT_INLINE lt_tensor *lt_gather(lt_ctx *ctx, lt_tensor *x, int32_t dim, lt_tensor *index) { return lt__tensor->gather(ctx, x, dim, index); }
/* A copy of x to which src[i][j] is added at [index[i][j]][j] (dim 0); src of x's dtype, as large as index or larger. Differentiable. */
LT_INLINE lt_tensor *lt_scatter_add(lt_ctx *ctx, lt_tensor *x, int32_t dim, lt_tensor *index, lt_tensor *src) {
    return lt__tensor->scatter_add(ctx, x, dim, index, src);
}
/* The elements of x at index (N) i64 along dim, which becomes N. Differentiable. */
LT_INLINE lt_tensor *lt_index_select(lt_ctx *ctx, lt_tensor *x, int32_t dim, lt_tensor *index) {
    return lt__tensor->index_select(ctx, x, dim, index);
}
/* index (...) i64 -> (..., classes) i64: 1 at the index, 0 elsewhere. LT_EINVAL: classes < 1. */
LT_INLINE lt_tensor *lt_one_hot(lt_ctx *ctx, lt_tensor *index, int64_t classes) { return lt__tensor->one_hot(ctx, index, classes); }
/* indices (...) i64, weight (V, D) -> (..., D): rows of weight. opts NULL: no padding. Differentiable in weight. */
LT_INLINE lt_tensor *lt_embedding_with(lt_ctx *ctx, lt_tensor *indices, lt_tensor *weight, const lt_embedding_opts *opts) {
    return lt__tensor->embedding(ctx, indices, weight, opts);
}

/* ---- sorting: a NaN is larger than everything, equals keep their order. Values are differentiable. LT_EINDEX ---- */
/* The k largest (or smallest) along dim, best first; returns values (..., k, ...) and, unless indices is NULL, their places as i64. */
LT_INLINE lt_tensor *lt_topk(lt_ctx *ctx, lt_tensor *x, int64_t k, int32_t dim, bool largest, lt_tensor **indices) {
    return lt__tensor->topk(ctx, x, k, dim, largest, indices);
}
/* x in order along dim; returns the values and, unless indices is NULL, their former places as i64. Stable. */
LT_INLINE lt_tensor *lt_sort(lt_ctx *ctx, lt_tensor *x, int32_t dim, bool descending, lt_tensor **indices) {
    return lt__tensor->sort(ctx, x, dim, descending, indices);
}
/* The indices alone. */
LT_INLINE lt_tensor *lt_argsort(lt_ctx *ctx, lt_tensor *x, int32_t dim, bool descending) {
    lt_tensor *indices = NULL;
    return lt__tensor->sort(ctx, x, dim, descending, &indices) ? indices : NULL;
}
LT_END

/* lt_embedding(ctx, indices, weight, .has_padding_idx = 1, .padding_idx = 0); C++: lt::embedding().padding_idx(0). */
#ifndef __cplusplus
#define lt_embedding(ctx, indices, ...) \
    lt_embedding_with(ctx, indices, LT__FIRST(__VA_ARGS__, 0), &LT__REST_AS(lt_embedding_opts, __VA_ARGS__))
#else
namespace lt {
struct embedding : lt_embedding_opts {
    embedding() : lt_embedding_opts() { struct_size = sizeof(lt_embedding_opts); }
    embedding &padding_idx(int64_t value) {
        has_padding_idx = 1;
        lt_embedding_opts::padding_idx = value;
        return *this;
    }
};
} // namespace lt
inline lt_tensor *lt_embedding(lt_ctx *ctx, lt_tensor *indices, lt_tensor *weight, const lt_embedding_opts &opts = lt::embedding()) {
    return lt_embedding_with(ctx, indices, weight, &opts);
}
#endif
#endif
