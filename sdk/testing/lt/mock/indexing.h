/* lt/mock/indexing.h - the mock host's views, joins, indexing, padding and sorting. A part of lt/testing.h, which says what is promised;
 * not to be included by itself. Views are copies here. */
#ifndef LT_MOCK_INDEXING_H
#define LT_MOCK_INDEXING_H

/* The number of dimension dim of x; -1 and a failure if it has none such. */
LT_MOCK int32_t lt_mock__dim(lt_ctx *ctx, const lt_tensor *x, int32_t dim, int32_t ndim) {
    const int32_t d = dim < 0 ? dim + ndim : dim;
    if (d < 0 || d >= ndim) {
        lt_mock__fail(ctx, LT_EINDEX, "a tensor of %d dimensions has no dimension %d", (int)x->ndim, (int)dim);
        return -1;
    }
    return d;
}
/* index i (a multi-index of y, flat) along dimension d */
LT_MOCK int64_t lt_mock__along(const lt_tensor *y, int64_t i, int32_t d) { return i / y->strides[d] % y->shape[d]; }

LT_MOCK lt_tensor *lt_mock__expand(lt_ctx *ctx, lt_tensor *x, int32_t ndim, const int64_t *shape) {
    int64_t whole[LT_MAX_DIMS];
    lt_tensor *y;
    LT_MOCK__NEED(x, NULL);
    for (int32_t d = 0; d < ndim && d < LT_MAX_DIMS; d++) {
        const int32_t own = d - (ndim - x->ndim);
        whole[d] = shape[d] == -1 && own >= 0 ? x->shape[own] : shape[d];
        if (ndim < x->ndim || (own >= 0 && x->shape[own] != 1 && x->shape[own] != whole[d])) {
            return (lt_tensor *)lt_mock__fail(ctx, LT_ESHAPE, "lt_expand: sizes must be equal or 1");
        }
    }
    y = lt_mock__make(ctx, x->dtype, ndim, whole);
    for (int64_t i = 0; y && i < y->n; i++) {
        lt_mock_put(y, i, lt_mock__at(x, y, i));
    }
    return y;
}
LT_MOCK lt_tensor *lt_mock__unsqueeze(lt_ctx *ctx, lt_tensor *x, int32_t dim) {
    int64_t shape[LT_MAX_DIMS];
    LT_MOCK__NEED(x, NULL);
    const int32_t d = lt_mock__dim(ctx, x, dim, x->ndim + 1);
    if (d < 0 || x->ndim == LT_MAX_DIMS) {
        return NULL;
    }
    for (int32_t k = 0, own = 0; k <= x->ndim; k++) {
        shape[k] = k == d ? 1 : x->shape[own++];
    }
    return lt_mock__reshape(ctx, x, x->ndim + 1, shape);
}
LT_MOCK lt_tensor *lt_mock__squeeze(lt_ctx *ctx, lt_tensor *x, int32_t dim) {
    int64_t shape[LT_MAX_DIMS];
    int32_t ndim = 0;
    LT_MOCK__NEED(x, NULL);
    const int32_t d = x->ndim ? lt_mock__dim(ctx, x, dim, x->ndim) : -1;
    if (d < 0 || x->shape[d] != 1) {
        return x->ndim && d < 0 ? NULL : x;
    }
    for (int32_t k = 0; k < x->ndim; k++) {
        if (k != d) {
            shape[ndim++] = x->shape[k];
        }
    }
    return lt_mock__reshape(ctx, x, ndim, shape);
}
LT_MOCK lt_tensor *lt_mock__slice_step(lt_ctx *ctx, lt_tensor *x, int32_t dim, int64_t start, int64_t end, int64_t step) {
    int64_t shape[LT_MAX_DIMS], n;
    lt_tensor *y;
    LT_MOCK__NEED(x, NULL);
    const int32_t d = lt_mock__dim(ctx, x, dim, x->ndim);
    if (d < 0) {
        return NULL;
    }
    n = x->shape[d];
    start = start < 0 ? start + n : start;
    end = end == INT64_MAX ? n : end < 0 ? end + n : end;
    if (start < 0 || end > n || start > end || step < 1) {
        return (lt_tensor *)lt_mock__fail(ctx, LT_EINDEX, "lt_slice_step: %lld..%lld of %lld", (long long)start, (long long)end, (long long)n);
    }
    memcpy(shape, x->shape, sizeof shape);
    shape[d] = (end - start + step - 1) / step;
    y = lt_mock__make(ctx, x->dtype, x->ndim, shape);
    for (int64_t i = 0; y && i < y->n; i++) {
        const int64_t k = lt_mock__along(y, i, d), line = i / (y->strides[d] * y->shape[d]) * y->strides[d] + i % y->strides[d];
        lt_mock_put(y, i, lt_mock_get(x, lt_mock__line(x, d, line, start + k * step)));
    }
    return y;
}
LT_MOCK int32_t lt_mock__split(lt_ctx *ctx, lt_tensor *x, int64_t size, int32_t dim, lt_tensor **parts, int32_t room) {
    LT_MOCK__NEED(x && parts, 0);
    const int32_t d = lt_mock__dim(ctx, x, dim, x->ndim);
    const int64_t n = d < 0 ? 0 : x->shape[d], count = d < 0 || size < 1 ? 0 : n ? (n + size - 1) / size : 1;
    if (count < 1 || count > room) {
        lt_mock__fail(ctx, LT_EINVAL, "lt_split: %lld parts, room for %d", (long long)count, (int)room);
        return 0;
    }
    for (int32_t k = 0; k < count; k++) {
        parts[k] = lt_mock__slice_step(ctx, x, d, k * size, k + 1 < count ? (k + 1) * size : n, 1);
    }
    return (int32_t)count;
}
LT_MOCK lt_tensor *lt_mock__stack(lt_ctx *ctx, lt_tensor *const *items, int32_t count, int32_t dim) {
    lt_tensor *joined = NULL, *pair[2];
    LT_MOCK__NEED(count > 0 && items[0], NULL);
    const int32_t d = lt_mock__dim(ctx, items[0], dim, items[0]->ndim + 1);
    for (int32_t k = 0; d >= 0 && k < count; k++) {
        LT_MOCK__NEED(items[k], NULL);
        if (items[k]->ndim != items[0]->ndim || memcmp(items[k]->shape, items[0]->shape, (size_t)items[0]->ndim * sizeof(int64_t)) != 0) {
            return (lt_tensor *)lt_mock__fail(ctx, LT_ESHAPE, "lt_stack: item %d has another shape than item 0", (int)k);
        }
        pair[0] = joined;
        pair[1] = lt_mock__unsqueeze(ctx, items[k], d);
        joined = joined ? lt_mock__cat(ctx, pair, 2, d) : pair[1];
    }
    return joined;
}

/* ---- indexing ---- */
/* The place in x that position i of y names along dim, index[i] (or index[k], along dim, if `line`) standing there; -1: outside. */
LT_MOCK int64_t lt_mock__pick(lt_ctx *ctx, const lt_tensor *x, const lt_tensor *y, int64_t i, int32_t dim, double index) {
    int64_t at = 0;
    if (!(index >= 0 && index < (double)x->shape[dim])) {
        lt_mock__fail(ctx, LT_EINDEX, "index %g is outside 0..%lld", index, (long long)x->shape[dim] - 1);
        return -1;
    }
    for (int32_t d = 0; d < x->ndim; d++) {
        if (d != dim && y->shape[d] > x->shape[d]) {
            lt_mock__fail(ctx, LT_ESHAPE, "index has %lld along dimension %d, x %lld", (long long)y->shape[d], (int)d, (long long)x->shape[d]);
            return -1;
        }
        at += (d == dim ? (int64_t)index : lt_mock__along(y, i, d)) * x->strides[d];
    }
    return at;
}
LT_MOCK lt_tensor *lt_mock__gather_along(lt_ctx *ctx, lt_tensor *x, int32_t dim, lt_tensor *index) {
    LT_MOCK__NEED(x && index, NULL);
    const int32_t d = lt_mock__dim(ctx, x, dim, x->ndim);
    if (d < 0 || index->ndim != x->ndim || index->dtype != LT_I64) {
        return (lt_tensor *)lt_mock__fail(ctx, LT_ESHAPE, "lt_gather: index must be i64 and have x's number of dimensions");
    }
    lt_tensor *y = lt_mock__make(ctx, x->dtype, index->ndim, index->shape);
    for (int64_t i = 0; y && i < y->n; i++) {
        const int64_t at = lt_mock__pick(ctx, x, y, i, d, lt_mock_get(index, i));
        if (at < 0) {
            return NULL;
        }
        lt_mock_put(y, i, lt_mock_get(x, at));
    }
    return y;
}
LT_MOCK lt_tensor *lt_mock__scatter_add(lt_ctx *ctx, lt_tensor *x, int32_t dim, lt_tensor *index, lt_tensor *src) {
    LT_MOCK__NEED(x && index && src, NULL);
    const int32_t d = lt_mock__dim(ctx, x, dim, x->ndim);
    if (d < 0 || index->ndim != x->ndim || index->dtype != LT_I64 || src->n != index->n) {
        return (lt_tensor *)lt_mock__fail(ctx, LT_ESHAPE, "lt_scatter_add: index must be i64, of x's number of dimensions and (here) of src's shape");
    }
    lt_tensor *y = lt_mock__clone(ctx, x);
    for (int64_t i = 0; y && i < index->n; i++) {
        const int64_t at = lt_mock__pick(ctx, x, index, i, d, lt_mock_get(index, i));
        if (at < 0) {
            return NULL;
        }
        lt_mock_put(y, at, lt_mock_get(y, at) + lt_mock_get(src, i));
    }
    return y;
}
LT_MOCK lt_tensor *lt_mock__index_select(lt_ctx *ctx, lt_tensor *x, int32_t dim, lt_tensor *index) {
    int64_t shape[LT_MAX_DIMS];
    LT_MOCK__NEED(x && index, NULL);
    const int32_t d = lt_mock__dim(ctx, x, dim, x->ndim);
    if (d < 0 || index->ndim != 1 || index->dtype != LT_I64) {
        return (lt_tensor *)lt_mock__fail(ctx, LT_ESHAPE, "lt_index_select: index must be (N) i64");
    }
    memcpy(shape, x->shape, sizeof shape);
    shape[d] = index->n;
    lt_tensor *y = lt_mock__make(ctx, x->dtype, x->ndim, shape);
    for (int64_t i = 0; y && i < y->n; i++) {
        const int64_t at = lt_mock__pick(ctx, x, y, i, d, lt_mock_get(index, lt_mock__along(y, i, d)));
        if (at < 0) {
            return NULL;
        }
        lt_mock_put(y, i, lt_mock_get(x, at));
    }
    return y;
}
LT_MOCK lt_tensor *lt_mock__masked_fill(lt_ctx *ctx, lt_tensor *x, lt_tensor *mask, double value) {
    LT_MOCK__NEED(x && mask, NULL);
    lt_tensor *y = lt_mock__clone(ctx, x);
    for (int64_t i = 0; y && i < y->n; i++) {
        if (lt_mock__at(mask, y, i) > 0) {
            lt_mock_put(y, i, value);
        }
    }
    return y;
}
LT_MOCK lt_tensor *lt_mock__one_hot(lt_ctx *ctx, lt_tensor *index, int64_t classes) {
    int64_t shape[LT_MAX_DIMS];
    LT_MOCK__NEED(index, NULL);
    if (classes < 1 || index->ndim == LT_MAX_DIMS || index->dtype != LT_I64) {
        return (lt_tensor *)lt_mock__fail(ctx, LT_EINVAL, "lt_one_hot: index must be i64, classes 1 or more");
    }
    memcpy(shape, index->shape, sizeof shape);
    shape[index->ndim] = classes;
    lt_tensor *y = lt_mock__make(ctx, LT_I64, index->ndim + 1, shape);
    for (int64_t i = 0; y && i < index->n; i++) {
        const double k = lt_mock_get(index, i);
        if (!(k >= 0 && k < (double)classes)) {
            return (lt_tensor *)lt_mock__fail(ctx, LT_EINDEX, "lt_one_hot: index %g of %lld classes", k, (long long)classes);
        }
        lt_mock_put(y, i * classes + (int64_t)k, 1);
    }
    return y;
}

/* ---- moving ---- */
/* Where element j of a padded dimension of size n comes from; -1: from nowhere. */
LT_MOCK int64_t lt_mock__source(int64_t j, int64_t before, int64_t n, lt_pad_mode mode) {
    const int64_t s = j - before;
    if (s >= 0 && s < n) {
        return s;
    }
    return mode == LT_PAD_REFLECT ? (s < 0 ? -s : 2 * (n - 1) - s) : mode == LT_PAD_REPLICATE ? (s < 0 ? 0 : n - 1)
         : mode == LT_PAD_CIRCULAR ? (s < 0 ? s + n : s - n) : -1;
}
LT_MOCK lt_tensor *lt_mock__pad(lt_ctx *ctx, lt_tensor *x, const int64_t *pads, int32_t count, lt_pad_mode mode, double value) {
    int64_t shape[LT_MAX_DIMS], before[LT_MAX_DIMS] = {0};
    LT_MOCK__NEED(x, NULL);
    if (count < 0 || count % 2 || count > 2 * x->ndim) {
        return (lt_tensor *)lt_mock__fail(ctx, LT_EINVAL, "lt_pad: %d numbers for %d dimensions", (int)count, (int)x->ndim);
    }
    memcpy(shape, x->shape, sizeof shape);
    for (int32_t k = 0; k < count; k += 2) {
        const int32_t d = x->ndim - 1 - k / 2;
        const int64_t n = x->shape[d], most = mode == LT_PAD_REFLECT ? n - 1 : mode == LT_PAD_CIRCULAR ? n : INT64_MAX;
        before[d] = pads[k];
        shape[d] += pads[k] + pads[k + 1];
        if (shape[d] < 0 || pads[k] > most || pads[k + 1] > most) {
            return (lt_tensor *)lt_mock__fail(ctx, LT_ESHAPE, "lt_pad: %lld and %lld do not fit size %lld", (long long)pads[k],
                                              (long long)pads[k + 1], (long long)n);
        }
    }
    lt_tensor *y = lt_mock__make(ctx, x->dtype, x->ndim, shape);
    for (int64_t i = 0; y && i < y->n; i++) {
        int64_t at = 0;
        for (int32_t d = 0; d < x->ndim && at >= 0; d++) {
            const int64_t s = lt_mock__source(lt_mock__along(y, i, d), before[d], x->shape[d], mode);
            at = s < 0 ? -1 : at + s * x->strides[d];
        }
        lt_mock_put(y, i, at < 0 ? value : lt_mock_get(x, at));
    }
    return y;
}
LT_MOCK lt_tensor *lt_mock__roll(lt_ctx *ctx, lt_tensor *x, const int64_t *shifts, const int32_t *dims, int32_t ndims) {
    LT_MOCK__NEED(x, NULL);
    for (int32_t k = 0; x && k < ndims; k++) {
        const int32_t d = lt_mock__dim(ctx, x, dims[k], x->ndim);
        lt_tensor *y = d < 0 ? NULL : lt_mock__clone(ctx, x);
        for (int64_t i = 0; y && i < y->n; i++) {
            const int64_t j = lt_mock__along(y, i, d), n = x->shape[d];
            lt_mock_put(y, i, lt_mock_get(x, i + (((j - shifts[k]) % n + n) % n - j) * x->strides[d]));
        }
        x = y;
    }
    return x;
}
LT_MOCK lt_tensor *lt_mock__flip(lt_ctx *ctx, lt_tensor *x, const int32_t *dims, int32_t ndims) {
    LT_MOCK__NEED(x, NULL);
    for (int32_t k = 0; x && k < ndims; k++) {
        const int32_t d = lt_mock__dim(ctx, x, dims[k], x->ndim);
        lt_tensor *y = d < 0 ? NULL : lt_mock__clone(ctx, x);
        for (int64_t i = 0; y && i < y->n; i++) {
            lt_mock_put(y, i, lt_mock_get(x, i + (x->shape[d] - 1 - 2 * lt_mock__along(y, i, d)) * x->strides[d]));
        }
        x = y;
    }
    return x;
}
LT_MOCK lt_tensor *lt_mock__triangle(lt_ctx *ctx, lt_tensor *x, int64_t diagonal, bool lower) {
    LT_MOCK__NEED(x, NULL);
    if (x->ndim < 2) {
        return (lt_tensor *)lt_mock__fail(ctx, LT_ESHAPE, "lt_tril, lt_triu: x must have two dimensions or more");
    }
    lt_tensor *y = lt_mock__clone(ctx, x);
    for (int64_t i = 0; y && i < y->n; i++) {
        const int64_t off = lt_mock__along(y, i, y->ndim - 1) - lt_mock__along(y, i, y->ndim - 2);
        if (lower ? off > diagonal : off < diagonal) {
            lt_mock_put(y, i, 0);
        }
    }
    return y;
}
LT_MOCK lt_tensor *lt_mock__tril(lt_ctx *ctx, lt_tensor *x, int64_t diagonal) { return lt_mock__triangle(ctx, x, diagonal, true); }
LT_MOCK lt_tensor *lt_mock__triu(lt_ctx *ctx, lt_tensor *x, int64_t diagonal) { return lt_mock__triangle(ctx, x, diagonal, false); }

/* ---- sorting ---- */
LT_MOCK lt_tensor *lt_mock__topk(lt_ctx *ctx, lt_tensor *x, int64_t k, int32_t dim, bool largest, lt_tensor **indices) {
    int64_t shape[LT_MAX_DIMS];
    LT_MOCK__NEED(x, NULL);
    const int32_t d = lt_mock__dim(ctx, x, dim, x->ndim);
    if (d < 0 || k < 0 || k > x->shape[d]) {
        return (lt_tensor *)lt_mock__fail(ctx, LT_EINDEX, "lt_topk: there are no %lld elements", (long long)k);
    }
    memcpy(shape, x->shape, sizeof shape);
    shape[d] = k;
    lt_tensor *y = lt_mock__make(ctx, x->dtype, x->ndim, shape), *places = lt_mock__make(ctx, LT_I64, x->ndim, shape);
    for (int64_t i = 0; y && places && k && i < x->n; i++) {
        const int64_t own = lt_mock__along(x, i, d), line = i / (x->strides[d] * x->shape[d]) * x->strides[d] + i % x->strides[d];
        const double v = lt_mock_get(x, i);
        int64_t rank = 0;
        for (int64_t j = 0; j < x->shape[d]; j++) {
            const double w = lt_mock_get(x, lt_mock__line(x, d, line, j));
            rank += (largest ? w > v : w < v) || (j < own && w >= v && w <= v);
        }
        if (rank < k) {
            lt_mock_put(y, lt_mock__line(y, d, line, rank), v);
            lt_mock_put(places, lt_mock__line(places, d, line, rank), (double)own);
        }
    }
    if (indices) {
        *indices = places;
    }
    return y;
}
LT_MOCK lt_tensor *lt_mock__sort(lt_ctx *ctx, lt_tensor *x, int32_t dim, bool descending, lt_tensor **indices) {
    LT_MOCK__NEED(x, NULL);
    const int32_t d = lt_mock__dim(ctx, x, dim, x->ndim);
    return d < 0 ? NULL : lt_mock__topk(ctx, x, x->shape[d], d, descending, indices);
}
#endif
