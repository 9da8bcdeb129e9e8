/* lt/mock/tensor.h - the mock host's tensors: facts, arithmetic, reductions, shapes. A part of lt/testing.h, which says what is promised;
 * not to be included by itself. */
#ifndef LT_MOCK_TENSOR_H
#define LT_MOCK_TENSOR_H

/* ---- lt.tensor/1 ---- */
#define LT_MOCK__NEED(x, result)                                                                                                           \
    do {                                                                                                                                   \
        if (!(x)) {                                                                                                                        \
            lt_mock__fail(ctx, LT_EINVAL, "%s: a tensor is NULL, and no earlier call failed", __func__);                                   \
            return result;                                                                                                                 \
        }                                                                                                                                  \
    } while (0)
LT_MOCK int32_t lt_mock__ndim(lt_ctx *ctx, const lt_tensor *x) {
    LT_MOCK__NEED(x, 0);
    return x->ndim;
}
LT_MOCK int64_t lt_mock__size(lt_ctx *ctx, const lt_tensor *x, int32_t dim) {
    LT_MOCK__NEED(x, 0);
    dim = dim < 0 ? dim + x->ndim : dim;
    if (dim < 0 || dim >= x->ndim) {
        lt_mock__fail(ctx, LT_EINDEX, "lt_size: no such dimension");
        return 0;
    }
    return x->shape[dim];
}
LT_MOCK int64_t lt_mock__numel(lt_ctx *ctx, const lt_tensor *x) {
    LT_MOCK__NEED(x, 0);
    return x->n;
}
LT_MOCK lt_dtype lt_mock__dtype(lt_ctx *ctx, const lt_tensor *x) {
    LT_MOCK__NEED(x, 0);
    return x->dtype;
}
LT_MOCK const double *lt_mock__doubles(lt_ctx *ctx, lt_tensor *x) {
    double *out;
    if (!x) {
        return (const double *)lt_mock__fail(ctx, LT_EINVAL, "lt_doubles: argument 2 is NULL, and no earlier call failed");
    }
    out = (double *)lt_mock__get(ctx->mock, (size_t)(x->n + 1) * sizeof *out);
    for (int64_t i = 0; i < x->n; i++) {
        out[i] = lt_mock_get(x, i);
    }
    return out;
}
LT_MOCK double lt_mock__item(lt_ctx *ctx, lt_tensor *x) {
    LT_MOCK__NEED(x, (double)NAN);
    if (x->n != 1) {
        lt_mock__fail(ctx, LT_ESHAPE, "lt_item: %lld elements, not one", (long long)x->n);
        return (double)NAN;
    }
    return lt_mock_get(x, 0);
}
LT_MOCK lt_status lt_mock__raw(lt_ctx *ctx, lt_tensor *x, int32_t access, lt_view *out) {
    LT_MOCK__NEED(x, LT_EINVAL);
    out->access = access;
    out->data = x->data;
    out->device.device_type = 1;
    out->device.device_id = 0;
    out->ndim = x->ndim;
    out->dtype.code = x->dtype == LT_F32 || x->dtype == LT_F64 ? 2 : x->dtype == LT_U8 ? 1 : x->dtype == LT_BOOL ? 6 : 0;
    out->dtype.bits = (uint8_t)(lt_mock__bytes(x->dtype) * 8);
    out->dtype.lanes = 1;
    out->shape = x->shape;
    out->strides = x->strides;
    out->byte_offset = 0;
    out->stream = NULL;
    return LT_OK;
}
LT_MOCK lt_tensor *lt_mock__retain(lt_ctx *ctx, lt_tensor *x) {
    (void)ctx;
    return x;
}
LT_MOCK void lt_mock__release(lt_ctx *ctx, lt_tensor *x) {
    (void)ctx;
    (void)x;
}
LT_MOCK lt_tensor *lt_mock__full(lt_ctx *ctx, lt_dtype dtype, int32_t ndim, const int64_t *shape, double value) {
    lt_tensor *x = lt_mock__make(ctx, dtype, ndim, shape);
    for (int64_t i = 0; x && i < x->n; i++) {
        lt_mock_put(x, i, value);
    }
    return x;
}
LT_MOCK lt_tensor *lt_mock__from_data(lt_ctx *ctx, lt_dtype dtype, int32_t ndim, const int64_t *shape, const void *data) {
    lt_tensor *x = lt_mock__make(ctx, dtype, ndim, shape);
    if (x && x->n) {
        memcpy(x->data, data, (size_t)x->n * lt_mock__bytes(dtype));
    }
    return x;
}
LT_MOCK lt_tensor *lt_mock__arange(lt_ctx *ctx, lt_dtype dtype, double start, double end, double step) {
    const int64_t n = (int64_t)ceil((end - start) / step);
    lt_tensor *x = lt_mock__make(ctx, dtype, 1, &n);
    for (int64_t i = 0; x && i < n; i++) {
        lt_mock_put(x, i, start + step * (double)i);
    }
    return x;
}
/* Always the same numbers in [0, 1). */
LT_MOCK lt_tensor *lt_mock__rand(lt_ctx *ctx, int32_t ndim, const int64_t *shape) {
    lt_tensor *x = lt_mock__make(ctx, LT_F32, ndim, shape);
    for (int64_t i = 0; x && i < x->n; i++) {
        lt_mock_put(x, i, (double)((uint64_t)(i + 1) * 2654435761u % 1000003u) / 1000003.0);
    }
    return x;
}
LT_MOCK lt_tensor *lt_mock__cast(lt_ctx *ctx, lt_tensor *x, lt_dtype dtype) {
    lt_tensor *y;
    LT_MOCK__NEED(x, NULL);
    y = lt_mock__make(ctx, dtype, x->ndim, x->shape);
    for (int64_t i = 0; y && i < y->n; i++) {
        lt_mock_put(y, i, lt_mock_get(x, i));
    }
    return y;
}
LT_MOCK lt_tensor *lt_mock__clone(lt_ctx *ctx, lt_tensor *x) {
    LT_MOCK__NEED(x, NULL);
    return lt_mock__cast(ctx, x, x->dtype);
}
/* The element of x that broadcasting puts at place i of a tensor shaped as y. */
LT_MOCK double lt_mock__at(const lt_tensor *x, const lt_tensor *y, int64_t i) {
    int64_t place = 0;
    for (int32_t d = 0; d < x->ndim; d++) {
        int32_t of = d + y->ndim - x->ndim;
        int64_t index = i / y->strides[of] % y->shape[of];
        place += x->shape[d] == 1 ? 0 : index * x->strides[d];
    }
    return lt_mock_get(x, place);
}
LT_MOCK lt_tensor *lt_mock__binary(lt_ctx *ctx, lt_tensor *a, lt_tensor *b, char op) {
    int64_t shape[LT_MAX_DIMS];
    lt_tensor *y;
    int32_t ndim;
    LT_MOCK__NEED(a && b, NULL);
    ndim = a->ndim > b->ndim ? a->ndim : b->ndim;
    for (int32_t d = 1; d <= ndim; d++) {
        int64_t m = d <= a->ndim ? a->shape[a->ndim - d] : 1, n = d <= b->ndim ? b->shape[b->ndim - d] : 1;
        if (m != n && m != 1 && n != 1) {
            return (lt_tensor *)lt_mock__fail(ctx, LT_ESHAPE, "shapes do not broadcast: %lld and %lld at dimension -%d", (long long)m,
                                              (long long)n, (int)d);
        }
        shape[ndim - d] = m == 1 ? n : m;
    }
    y = lt_mock__make(ctx, op == '=' ? LT_BOOL : a->dtype, ndim, shape);
    for (int64_t i = 0; y && i < y->n; i++) {
        double p = lt_mock__at(a, y, i), q = lt_mock__at(b, y, i);
        lt_mock_put(y, i, op == '+' ? p + q : op == '-' ? p - q : op == '*' ? p * q : op == '/' ? p / q : p >= q && p <= q);
    }
    return y;
}
LT_MOCK lt_tensor *lt_mock__add(lt_ctx *ctx, lt_tensor *a, lt_tensor *b) { return lt_mock__binary(ctx, a, b, '+'); }
LT_MOCK lt_tensor *lt_mock__sub(lt_ctx *ctx, lt_tensor *a, lt_tensor *b) { return lt_mock__binary(ctx, a, b, '-'); }
LT_MOCK lt_tensor *lt_mock__mul(lt_ctx *ctx, lt_tensor *a, lt_tensor *b) { return lt_mock__binary(ctx, a, b, '*'); }
LT_MOCK lt_tensor *lt_mock__div(lt_ctx *ctx, lt_tensor *a, lt_tensor *b) { return lt_mock__binary(ctx, a, b, '/'); }
LT_MOCK lt_tensor *lt_mock__eq(lt_ctx *ctx, lt_tensor *a, lt_tensor *b) { return lt_mock__binary(ctx, a, b, '='); }
/* scale * f(x) + shift */
LT_MOCK lt_tensor *lt_mock__map(lt_ctx *ctx, lt_tensor *x, double (*f)(double), double scale, double shift) {
    lt_tensor *y = lt_mock__clone(ctx, x);
    for (int64_t i = 0; y && i < y->n; i++) {
        lt_mock_put(y, i, scale * (f ? f(lt_mock_get(x, i)) : lt_mock_get(x, i)) + shift);
    }
    return y;
}
LT_MOCK double lt_mock__relu1(double v) { return v > 0 ? v : 0; }
LT_MOCK double lt_mock__sigmoid1(double v) { return 1 / (1 + exp(-v)); }
LT_MOCK double lt_mock__gelu1(double v) { return v / 2 * (1 + erf(v * 0.70710678118654752440)); }
LT_MOCK double lt_mock__gelu2(double v) { return v / 2 * (1 + tanh(0.79788456080286535588 * (v + 0.044715 * v * v * v))); }
LT_MOCK lt_tensor *lt_mock__add_scalar(lt_ctx *ctx, lt_tensor *x, double value) { return lt_mock__map(ctx, x, NULL, 1, value); }
LT_MOCK lt_tensor *lt_mock__mul_scalar(lt_ctx *ctx, lt_tensor *x, double value) { return lt_mock__map(ctx, x, NULL, value, 0); }
LT_MOCK lt_tensor *lt_mock__neg(lt_ctx *ctx, lt_tensor *x) { return lt_mock__map(ctx, x, NULL, -1, 0); }
LT_MOCK lt_tensor *lt_mock__exp(lt_ctx *ctx, lt_tensor *x) { return lt_mock__map(ctx, x, exp, 1, 0); }
LT_MOCK lt_tensor *lt_mock__log(lt_ctx *ctx, lt_tensor *x) { return lt_mock__map(ctx, x, log, 1, 0); }
LT_MOCK lt_tensor *lt_mock__sqrt(lt_ctx *ctx, lt_tensor *x) { return lt_mock__map(ctx, x, sqrt, 1, 0); }
LT_MOCK lt_tensor *lt_mock__abs(lt_ctx *ctx, lt_tensor *x) { return lt_mock__map(ctx, x, fabs, 1, 0); }
LT_MOCK lt_tensor *lt_mock__relu(lt_ctx *ctx, lt_tensor *x) { return lt_mock__map(ctx, x, lt_mock__relu1, 1, 0); }
LT_MOCK lt_tensor *lt_mock__tanh(lt_ctx *ctx, lt_tensor *x) { return lt_mock__map(ctx, x, tanh, 1, 0); }
LT_MOCK lt_tensor *lt_mock__sigmoid(lt_ctx *ctx, lt_tensor *x) { return lt_mock__map(ctx, x, lt_mock__sigmoid1, 1, 0); }
LT_MOCK lt_tensor *lt_mock__gelu(lt_ctx *ctx, lt_tensor *x, bool tanh_approx) {
    return lt_mock__map(ctx, x, tanh_approx ? lt_mock__gelu2 : lt_mock__gelu1, 1, 0);
}
/* Drops nothing, so that results are the same in every run. */
LT_MOCK lt_tensor *lt_mock__dropout(lt_ctx *ctx, lt_tensor *x, double p, bool training) {
    (void)p;
    (void)training;
    return lt_mock__clone(ctx, x);
}
LT_MOCK lt_tensor *lt_mock__activate(lt_ctx *ctx, lt_tensor *x, lt_activation act) {
    switch (act) {
    case LT_ACT_RELU:
        return lt_mock__relu(ctx, x);
    case LT_ACT_TANH:
        return lt_mock__tanh(ctx, x);
    case LT_ACT_SIGMOID:
        return lt_mock__sigmoid(ctx, x);
    case LT_ACT_GELU:
        return lt_mock__gelu(ctx, x, false);
    case LT_ACT_GELU_TANH:
        return lt_mock__gelu(ctx, x, true);
    default:
        return x;
    }
}
/* Sum of x over dims, divided by their size with `mean`. */
LT_MOCK lt_tensor *lt_mock__reduce(lt_ctx *ctx, lt_tensor *x, const int32_t *dims, int32_t ndims, bool keepdim, bool mean) {
    int64_t kept[LT_MAX_DIMS], shape[LT_MAX_DIMS], place;
    int32_t ndim = 0;
    lt_tensor *wide, *y;
    LT_MOCK__NEED(x, NULL);
    for (int32_t d = 0; d < x->ndim; d++) {
        kept[d] = ndims ? x->shape[d] : 1;
    }
    for (int32_t k = 0; k < ndims; k++) {
        kept[dims[k] < 0 ? dims[k] + x->ndim : dims[k]] = 1;
    }
    wide = lt_mock__make(ctx, x->dtype == LT_F64 || x->dtype == LT_F32 || mean ? (x->dtype == LT_F64 ? LT_F64 : LT_F32) : LT_I64, x->ndim,
                         kept);
    for (int64_t i = 0; wide && i < x->n; i++) {
        place = 0;
        for (int32_t d = 0; d < x->ndim; d++) {
            place += kept[d] == 1 ? 0 : i / x->strides[d] % x->shape[d] * wide->strides[d];
        }
        lt_mock_put(wide, place, lt_mock_get(wide, place) + lt_mock_get(x, i) / (mean ? (double)x->n / (double)wide->n : 1));
    }
    for (int32_t d = 0; d < x->ndim; d++) {
        bool gone = !keepdim && (!ndims || (kept[d] == 1 && x->shape[d] != 1));
        for (int32_t k = 0; k < ndims && !keepdim; k++) {
            gone = gone || d == (dims[k] < 0 ? dims[k] + x->ndim : dims[k]);
        }
        if (!gone) {
            shape[ndim++] = kept[d];
        }
    }
    y = wide ? lt_mock__make(ctx, wide->dtype, ndim, shape) : NULL;
    if (y) {
        y->data = wide->data;
    }
    return y;
}
LT_MOCK lt_tensor *lt_mock__sum(lt_ctx *ctx, lt_tensor *x, const int32_t *dims, int32_t ndims, bool keepdim) {
    return lt_mock__reduce(ctx, x, dims, ndims, keepdim, false);
}
LT_MOCK lt_tensor *lt_mock__mean(lt_ctx *ctx, lt_tensor *x, const int32_t *dims, int32_t ndims, bool keepdim) {
    return lt_mock__reduce(ctx, x, dims, ndims, keepdim, true);
}
/* The place of element k of line i along dim: lines are counted over all other dimensions. */
LT_MOCK int64_t lt_mock__line(const lt_tensor *x, int32_t dim, int64_t i, int64_t k) {
    return i / x->strides[dim] * x->strides[dim] * x->shape[dim] + i % x->strides[dim] + k * x->strides[dim];
}
LT_MOCK int64_t lt_mock__largest(const lt_tensor *x, int32_t dim, int64_t line) {
    int64_t best = 0;
    for (int64_t k = 1; k < x->shape[dim]; k++) {
        if (lt_mock_get(x, lt_mock__line(x, dim, line, k)) > lt_mock_get(x, lt_mock__line(x, dim, line, best))) {
            best = k;
        }
    }
    return best;
}
LT_MOCK lt_tensor *lt_mock__argmax(lt_ctx *ctx, lt_tensor *x, int32_t dim, bool keepdim) {
    int64_t shape[LT_MAX_DIMS];
    int32_t ndim = 0;
    lt_tensor *y;
    LT_MOCK__NEED(x, NULL);
    dim = dim < 0 ? dim + x->ndim : dim;
    for (int32_t d = 0; d < x->ndim; d++) {
        if (d != dim || keepdim) {
            shape[ndim++] = d == dim ? 1 : x->shape[d];
        }
    }
    y = lt_mock__make(ctx, LT_I64, ndim, shape);
    for (int64_t i = 0; y && i < y->n; i++) {
        lt_mock_put(y, i, (double)lt_mock__largest(x, dim, i));
    }
    return y;
}
LT_MOCK lt_tensor *lt_mock__log_softmax(lt_ctx *ctx, lt_tensor *x, int32_t dim) {
    lt_tensor *y = lt_mock__clone(ctx, x);
    if (!y) {
        return NULL;
    }
    dim = dim < 0 ? dim + x->ndim : dim;
    for (int64_t line = 0; line < x->n / x->shape[dim]; line++) {
        double max = lt_mock_get(x, lt_mock__line(x, dim, line, lt_mock__largest(x, dim, line))), sum = 0;
        for (int64_t k = 0; k < x->shape[dim]; k++) {
            sum += exp(lt_mock_get(x, lt_mock__line(x, dim, line, k)) - max);
        }
        for (int64_t k = 0; k < x->shape[dim]; k++) {
            lt_mock_put(y, lt_mock__line(x, dim, line, k), lt_mock_get(x, lt_mock__line(x, dim, line, k)) - max - log(sum));
        }
    }
    return y;
}
LT_MOCK lt_tensor *lt_mock__softmax(lt_ctx *ctx, lt_tensor *x, int32_t dim) { return lt_mock__exp(ctx, lt_mock__log_softmax(ctx, x, dim)); }
LT_MOCK lt_tensor *lt_mock__reshape(lt_ctx *ctx, lt_tensor *x, int32_t ndim, const int64_t *shape) {
    int64_t known = 1, whole[LT_MAX_DIMS];
    lt_tensor *y;
    LT_MOCK__NEED(x, NULL);
    for (int32_t d = 0; d < ndim; d++) {
        known *= shape[d] < 0 ? 1 : shape[d];
    }
    for (int32_t d = 0; d < ndim; d++) {
        whole[d] = shape[d] < 0 ? x->n / (known ? known : 1) : shape[d];
    }
    y = lt_mock__make(ctx, x->dtype, ndim, whole);
    if (y && y->n != x->n) {
        return (lt_tensor *)lt_mock__fail(ctx, LT_ESHAPE, "lt_reshape: %lld elements do not fit %lld", (long long)x->n, (long long)y->n);
    }
    if (y) {
        y->data = x->data;
    }
    return y;
}
LT_MOCK lt_tensor *lt_mock__flatten(lt_ctx *ctx, lt_tensor *x, int32_t start_dim) {
    int64_t shape[LT_MAX_DIMS];
    LT_MOCK__NEED(x, NULL);
    for (int32_t d = 0; d < start_dim; d++) {
        shape[d] = x->shape[d];
    }
    shape[start_dim] = -1;
    return lt_mock__reshape(ctx, x, start_dim + 1, shape);
}
LT_MOCK lt_tensor *lt_mock__permute(lt_ctx *ctx, lt_tensor *x, const int32_t *dims) {
    int64_t shape[LT_MAX_DIMS];
    lt_tensor *y;
    LT_MOCK__NEED(x, NULL);
    for (int32_t d = 0; d < x->ndim; d++) {
        shape[d] = x->shape[dims[d]];
    }
    y = lt_mock__make(ctx, x->dtype, x->ndim, shape);
    for (int64_t i = 0; y && i < y->n; i++) {
        int64_t from = 0;
        for (int32_t d = 0; d < y->ndim; d++) {
            from += i / y->strides[d] % y->shape[d] * x->strides[dims[d]];
        }
        lt_mock_put(y, i, lt_mock_get(x, from));
    }
    return y;
}
LT_MOCK lt_tensor *lt_mock__transpose(lt_ctx *ctx, lt_tensor *x, int32_t dim0, int32_t dim1) {
    int32_t dims[LT_MAX_DIMS];
    LT_MOCK__NEED(x, NULL);
    for (int32_t d = 0; d < x->ndim; d++) {
        dims[d] = d;
    }
    dim0 = dim0 < 0 ? dim0 + x->ndim : dim0;
    dim1 = dim1 < 0 ? dim1 + x->ndim : dim1;
    dims[dim0] = dim1;
    dims[dim1] = dim0;
    return lt_mock__permute(ctx, x, dims);
}
LT_MOCK lt_tensor *lt_mock__slice(lt_ctx *ctx, lt_tensor *x, int32_t dim, int64_t start, int64_t end) {
    int64_t shape[LT_MAX_DIMS];
    lt_tensor *y;
    LT_MOCK__NEED(x, NULL);
    dim = dim < 0 ? dim + x->ndim : dim;
    start = start < 0 ? start + x->shape[dim] : start;
    end = end < 0 ? end + x->shape[dim] : end;
    if (start < 0 || end > x->shape[dim] || start > end) {
        return (lt_tensor *)lt_mock__fail(ctx, LT_EINDEX, "lt_slice: %lld..%lld of %lld", (long long)start, (long long)end,
                                          (long long)x->shape[dim]);
    }
    memcpy(shape, x->shape, sizeof shape);
    shape[dim] = end - start;
    y = lt_mock__make(ctx, x->dtype, x->ndim, shape);
    for (int64_t line = 0; y && y->n && line < x->n / x->shape[dim]; line++) {
        for (int64_t k = start; k < end; k++) {
            lt_mock_put(y, lt_mock__line(y, dim, line, k - start), lt_mock_get(x, lt_mock__line(x, dim, line, k)));
        }
    }
    return y;
}
LT_MOCK lt_tensor *lt_mock__cat(lt_ctx *ctx, lt_tensor *const *items, int32_t count, int32_t dim) {
    int64_t shape[LT_MAX_DIMS], at = 0;
    lt_tensor *y;
    LT_MOCK__NEED(count > 0 && items[0], NULL);
    memcpy(shape, items[0]->shape, sizeof shape);
    dim = dim < 0 ? dim + items[0]->ndim : dim;
    for (int32_t i = 1; i < count; i++) {
        shape[dim] += items[i] ? items[i]->shape[dim] : 0;
    }
    y = lt_mock__make(ctx, items[0]->dtype, items[0]->ndim, shape);
    for (int32_t i = 0; y && i < count; i++) {
        LT_MOCK__NEED(items[i], NULL);
        for (int64_t line = 0; line < items[i]->n / items[i]->shape[dim]; line++) {
            for (int64_t k = 0; k < items[i]->shape[dim]; k++) {
                lt_mock_put(y, lt_mock__line(y, dim, line, at + k), lt_mock_get(items[i], lt_mock__line(items[i], dim, line, k)));
            }
        }
        at += items[i]->shape[dim];
    }
    return y;
}
#endif
