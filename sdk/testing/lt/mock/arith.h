/* lt/mock/arith.h - the mock host's comparisons, functions of elements and reductions beyond those of lt/mock/tensor.h. A part of
 * lt/testing.h, which says what is promised; not to be included by itself. */
#ifndef LT_MOCK_ARITH_H
#define LT_MOCK_ARITH_H

/* ---- two operands ---- */
typedef double lt_mock__pair(double a, double b);
LT_MOCK lt_tensor *lt_mock__pairs(lt_ctx *ctx, lt_tensor *a, lt_tensor *b, lt_mock__pair *f, bool to_bool) {
    lt_tensor *y = lt_mock__binary(ctx, a, b, to_bool ? '=' : '+'); /* of the shape and dtype wanted */
    for (int64_t i = 0; y && i < y->n; i++) {
        lt_mock_put(y, i, f(lt_mock__at(a, y, i), lt_mock__at(b, y, i)));
    }
    return y;
}
#define LT_MOCK__PAIR(name, to_bool, expression)                                                                                           \
    LT_MOCK double lt_mock__##name##_of(double a, double b) { return expression; }                                                        \
    LT_MOCK lt_tensor *lt_mock__##name(lt_ctx *ctx, lt_tensor *a, lt_tensor *b) { return lt_mock__pairs(ctx, a, b, lt_mock__##name##_of, to_bool); }
LT_MOCK__PAIR(ne, true, a < b || a > b || isnan(a) || isnan(b))
LT_MOCK__PAIR(lt, true, a < b)
LT_MOCK__PAIR(le, true, a <= b)
LT_MOCK__PAIR(gt, true, a > b)
LT_MOCK__PAIR(ge, true, a >= b)
LT_MOCK__PAIR(logical_and, true, (a < 0 || a > 0) && (b < 0 || b > 0))
LT_MOCK__PAIR(logical_or, true, a < 0 || a > 0 || b < 0 || b > 0)
LT_MOCK__PAIR(maximum, false, a > b || isnan(a) ? a : b)
LT_MOCK__PAIR(minimum, false, a < b || isnan(a) ? a : b)
LT_MOCK__PAIR(pow, false, pow(a, b))
LT_MOCK lt_tensor *lt_mock__logical_not(lt_ctx *ctx, lt_tensor *x) {
    lt_tensor *y;
    LT_MOCK__NEED(x, NULL);
    y = lt_mock__make(ctx, LT_BOOL, x->ndim, x->shape);
    for (int64_t i = 0; y && i < y->n; i++) {
        lt_mock_put(y, i, !(lt_mock_get(x, i) < 0 || lt_mock_get(x, i) > 0));
    }
    return y;
}
LT_MOCK lt_tensor *lt_mock__where(lt_ctx *ctx, lt_tensor *condition, lt_tensor *a, lt_tensor *b) {
    lt_tensor *both, *y, *wide;
    LT_MOCK__NEED(condition && a && b, NULL);
    both = lt_mock__binary(ctx, a, b, '+');
    wide = both ? lt_mock__binary(ctx, condition, both, '=') : NULL;
    y = wide ? lt_mock__make(ctx, a->dtype, wide->ndim, wide->shape) : NULL;
    for (int64_t i = 0; y && i < y->n; i++) {
        lt_mock_put(y, i, lt_mock__at(condition, y, i) > 0 ? lt_mock__at(a, y, i) : lt_mock__at(b, y, i));
    }
    return y;
}

/* ---- one operand and up to two numbers ---- */
typedef double lt_mock__fn(double v, double p, double q);
LT_MOCK lt_tensor *lt_mock__apply(lt_ctx *ctx, lt_tensor *x, lt_mock__fn *f, double p, double q) {
    lt_tensor *y = lt_mock__clone(ctx, x);
    for (int64_t i = 0; y && i < y->n; i++) {
        lt_mock_put(y, i, f(lt_mock_get(x, i), p, q));
    }
    return y;
}
#define LT_MOCK__FN(name, expression)                                                                                                      \
    LT_MOCK double lt_mock__##name##_of(double v, double p, double q) {                                                                    \
        (void)p;                                                                                                                           \
        (void)q;                                                                                                                           \
        return expression;                                                                                                                 \
    }
#define LT_MOCK__MAP(name, expression)                                                                                                     \
    LT_MOCK__FN(name, expression)                                                                                                          \
    LT_MOCK lt_tensor *lt_mock__##name(lt_ctx *ctx, lt_tensor *x) { return lt_mock__apply(ctx, x, lt_mock__##name##_of, 0, 0); }
#define LT_MOCK__MAP1(name, expression)                                                                                                    \
    LT_MOCK__FN(name, expression)                                                                                                          \
    LT_MOCK lt_tensor *lt_mock__##name(lt_ctx *ctx, lt_tensor *x, double p) { return lt_mock__apply(ctx, x, lt_mock__##name##_of, p, 0); }
#define LT_MOCK__MAP2(name, expression)                                                                                                    \
    LT_MOCK__FN(name, expression)                                                                                                          \
    LT_MOCK lt_tensor *lt_mock__##name(lt_ctx *ctx, lt_tensor *x, double p, double q) { return lt_mock__apply(ctx, x, lt_mock__##name##_of, p, q); }
LT_MOCK double lt_mock__between(double v, double low, double high) { return v < low ? low : v > high ? high : v; }
LT_MOCK__MAP(rsqrt, 1 / sqrt(v))
LT_MOCK__MAP(sin, sin(v))
LT_MOCK__MAP(cos, cos(v))
LT_MOCK__MAP(erf, erf(v))
LT_MOCK__MAP(square, v * v)
LT_MOCK__MAP(reciprocal, 1 / v)
LT_MOCK__MAP(sign, (double)((v > 0) - (v < 0)))
LT_MOCK__MAP(floor, floor(v))
LT_MOCK__MAP(ceil, ceil(v))
LT_MOCK__MAP(round, nearbyint(v))
LT_MOCK__MAP(silu, v / (1 + exp(-v)))
LT_MOCK__MAP(hardswish, v * lt_mock__between(v + 3, 0, 6) / 6)
LT_MOCK__MAP1(pow_scalar, pow(v, p))
LT_MOCK__MAP1(leaky_relu, v > 0 ? v : v * p)
LT_MOCK__MAP1(elu, v > 0 ? v : expm1(v) * p)
LT_MOCK__MAP2(clamp, lt_mock__between(v, p, q))
LT_MOCK__MAP2(softplus, v * p > q ? v : log1p(exp(v * p)) / p)

LT_MOCK lt_tensor *lt_mock__activate_with(lt_ctx *ctx, lt_tensor *x, lt_activation act, double p, double q) {
    switch (act) {
    case LT_ACT_LEAKY_RELU:
        return lt_mock__leaky_relu(ctx, x, p);
    case LT_ACT_ELU:
        return lt_mock__elu(ctx, x, p);
    case LT_ACT_SILU:
        return lt_mock__silu(ctx, x);
    case LT_ACT_SOFTPLUS:
        return lt_mock__softplus(ctx, x, p, q);
    case LT_ACT_HARDSWISH:
        return lt_mock__hardswish(ctx, x);
    default:
        return lt_mock__activate(ctx, x, act);
    }
}

/* ---- reductions ---- */
/* The sum over dims, without them, tells shape and place; `how` says what is made of the elements that meet: 'M' max, 'm' min, 'p' product,
 * 'l' log-sum-exp, 'v' variance, 's' standard deviation. */
LT_MOCK bool lt_mock__meets(const lt_tensor *x, const int32_t *dims, int32_t ndims, int64_t i, int64_t k) {
    for (int32_t d = 0; d < x->ndim; d++) {
        bool over = !ndims;
        for (int32_t j = 0; j < ndims; j++) {
            over = over || (dims[j] < 0 ? dims[j] + x->ndim : dims[j]) == d;
        }
        if (!over && i / x->strides[d] % x->shape[d] != k / x->strides[d] % x->shape[d]) {
            return false;
        }
    }
    return true;
}
LT_MOCK double lt_mock__meet(const lt_tensor *x, const int32_t *dims, int32_t ndims, int64_t i, char how, double correction) {
    double first = lt_mock_get(x, i), best = first, product = 1, sum = 0, other = 0, n = 0;
    for (int64_t k = 0; k < x->n; k++) {
        if (lt_mock__meets(x, dims, ndims, i, k)) {
            const double v = lt_mock_get(x, k);
            best = isnan(best) ? best : isnan(v) || (how == 'm' ? v < best : v > best) ? v : best;
            product *= v;
            sum += v;
            n += 1;
        }
    }
    for (int64_t k = 0; k < x->n; k++) {
        if (lt_mock__meets(x, dims, ndims, i, k)) {
            const double v = lt_mock_get(x, k), off = v - sum / n;
            other += how == 'l' ? exp(v - best) : off * off;
        }
    }
    switch (how) {
    case 'p':
        return product;
    case 'l':
        return log(other) + best;
    case 'v':
        return other / (n - correction);
    case 's':
        return sqrt(other / (n - correction));
    default:
        return best;
    }
}
LT_MOCK lt_tensor *lt_mock__over(lt_ctx *ctx, lt_tensor *x, const int32_t *dims, int32_t ndims, bool keepdim, char how, double correction) {
    lt_tensor *sum, *wide, *y;
    LT_MOCK__NEED(x, NULL);
    if (x->n == 0) {
        return (lt_tensor *)lt_mock__fail(ctx, LT_EUNSUPPORTED, "the mock host does not reduce empty tensors");
    }
    sum = lt_mock__reduce(ctx, x, dims, ndims, keepdim, false);
    wide = sum ? lt_mock__reduce(ctx, x, dims, ndims, true, false) : NULL;
    y = wide ? lt_mock__make(ctx, how == 'M' || how == 'm' ? x->dtype : sum->dtype, sum->ndim, sum->shape) : NULL;
    for (int64_t i = 0; y && i < x->n; i++) {
        int64_t place = 0;
        for (int32_t d = 0; d < x->ndim; d++) {
            place += wide->shape[d] == 1 ? 0 : i / x->strides[d] % x->shape[d] * wide->strides[d];
        }
        lt_mock_put(y, place, lt_mock__meet(x, dims, ndims, i, how, correction));
    }
    return y;
}
#define LT_MOCK__OVER(name, how)                                                                                                           \
    LT_MOCK lt_tensor *lt_mock__##name(lt_ctx *ctx, lt_tensor *x, const int32_t *dims, int32_t ndims, bool keepdim) {                      \
        return lt_mock__over(ctx, x, dims, ndims, keepdim, how, 0);                                                                        \
    }
LT_MOCK__OVER(max, 'M')
LT_MOCK__OVER(min, 'm')
LT_MOCK__OVER(prod, 'p')
LT_MOCK__OVER(logsumexp, 'l')
LT_MOCK lt_tensor *lt_mock__var(lt_ctx *ctx, lt_tensor *x, const int32_t *dims, int32_t ndims, bool keepdim, double correction) {
    return lt_mock__over(ctx, x, dims, ndims, keepdim, 'v', correction);
}
LT_MOCK lt_tensor *lt_mock__std(lt_ctx *ctx, lt_tensor *x, const int32_t *dims, int32_t ndims, bool keepdim, double correction) {
    return lt_mock__over(ctx, x, dims, ndims, keepdim, 's', correction);
}
LT_MOCK lt_tensor *lt_mock__argmin(lt_ctx *ctx, lt_tensor *x, int32_t dim, bool keepdim) {
    return lt_mock__argmax(ctx, lt_mock__neg(ctx, x), dim, keepdim);
}
LT_MOCK lt_tensor *lt_mock__max_along(lt_ctx *ctx, lt_tensor *x, int32_t dim, bool keepdim, lt_tensor **indices) {
    if (indices) {
        *indices = lt_mock__argmax(ctx, x, dim, keepdim);
    }
    return lt_mock__max(ctx, x, &dim, 1, keepdim);
}
LT_MOCK lt_tensor *lt_mock__min_along(lt_ctx *ctx, lt_tensor *x, int32_t dim, bool keepdim, lt_tensor **indices) {
    if (indices) {
        *indices = lt_mock__argmin(ctx, x, dim, keepdim);
    }
    return lt_mock__min(ctx, x, &dim, 1, keepdim);
}
LT_MOCK lt_tensor *lt_mock__cumsum(lt_ctx *ctx, lt_tensor *x, int32_t dim) {
    lt_tensor *y;
    LT_MOCK__NEED(x, NULL);
    dim = dim < 0 ? dim + x->ndim : dim;
    if (dim < 0 || dim >= x->ndim) {
        return (lt_tensor *)lt_mock__fail(ctx, LT_EINDEX, "lt_cumsum: no dimension %d among %d", (int)dim, (int)x->ndim);
    }
    y = lt_mock__cast(ctx, x, x->dtype == LT_F32 || x->dtype == LT_F64 ? x->dtype : LT_I64);
    for (int64_t line = 0; y && y->n && line < y->n / y->shape[dim]; line++) {
        for (int64_t k = 1; k < y->shape[dim]; k++) {
            lt_mock_put(y, lt_mock__line(y, dim, line, k),
                        lt_mock_get(y, lt_mock__line(y, dim, line, k)) + lt_mock_get(y, lt_mock__line(y, dim, line, k - 1)));
        }
    }
    return y;
}

/* ---- in place: without gradients there is nothing to keep ---- */
LT_MOCK lt_tensor *lt_mock__becomes(lt_ctx *ctx, lt_tensor *x, lt_tensor *y) {
    if (x && y && (x->n != y->n || x->dtype != y->dtype)) {
        return (lt_tensor *)lt_mock__fail(ctx, LT_ESHAPE, "the result does not fit what it is to replace");
    }
    for (int64_t i = 0; x && y && i < x->n; i++) {
        lt_mock_put(x, i, lt_mock_get(y, i));
    }
    return x && y ? x : NULL;
}
LT_MOCK lt_tensor *lt_mock__add_(lt_ctx *ctx, lt_tensor *x, lt_tensor *y) { return lt_mock__becomes(ctx, x, lt_mock__add(ctx, x, y)); }
LT_MOCK lt_tensor *lt_mock__sub_(lt_ctx *ctx, lt_tensor *x, lt_tensor *y) { return lt_mock__becomes(ctx, x, lt_mock__sub(ctx, x, y)); }
LT_MOCK lt_tensor *lt_mock__mul_(lt_ctx *ctx, lt_tensor *x, lt_tensor *y) { return lt_mock__becomes(ctx, x, lt_mock__mul(ctx, x, y)); }
LT_MOCK lt_tensor *lt_mock__div_(lt_ctx *ctx, lt_tensor *x, lt_tensor *y) { return lt_mock__becomes(ctx, x, lt_mock__div(ctx, x, y)); }
LT_MOCK lt_tensor *lt_mock__add_scalar_(lt_ctx *ctx, lt_tensor *x, double v) { return lt_mock__becomes(ctx, x, lt_mock__add_scalar(ctx, x, v)); }
LT_MOCK lt_tensor *lt_mock__mul_scalar_(lt_ctx *ctx, lt_tensor *x, double v) { return lt_mock__becomes(ctx, x, lt_mock__mul_scalar(ctx, x, v)); }
LT_MOCK lt_tensor *lt_mock__relu_(lt_ctx *ctx, lt_tensor *x) { return lt_mock__becomes(ctx, x, lt_mock__relu(ctx, x)); }
LT_MOCK lt_tensor *lt_mock__clamp_(lt_ctx *ctx, lt_tensor *x, double low, double high) {
    return lt_mock__becomes(ctx, x, lt_mock__clamp(ctx, x, low, high));
}
LT_MOCK lt_tensor *lt_mock__fill_(lt_ctx *ctx, lt_tensor *x, double v) {
    LT_MOCK__NEED(x, NULL);
    return lt_mock__becomes(ctx, x, lt_mock__full(ctx, x->dtype, x->ndim, x->shape, v));
}
LT_MOCK lt_tensor *lt_mock__copy_(lt_ctx *ctx, lt_tensor *x, lt_tensor *source) {
    lt_tensor *zero;
    LT_MOCK__NEED(x && source, NULL);
    zero = lt_mock__full(ctx, x->dtype, x->ndim, x->shape, 0);
    return zero ? lt_mock__becomes(ctx, x, lt_mock__add(ctx, zero, source)) : NULL;
}
#endif
