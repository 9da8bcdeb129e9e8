/* lt/mock/losses.h - the mock host's losses but mse_loss and cross_entropy. A part of lt/testing.h, which says what is promised; not to be
 * included by itself. Formulas as in lt/losses.h, in double. */
#ifndef LT_MOCK_LOSSES_H
#define LT_MOCK_LOSSES_H

enum { LT_MOCK__L1, LT_MOCK__SMOOTH, LT_MOCK__HUBER, LT_MOCK__BCE, LT_MOCK__LOGITS, LT_MOCK__KL };
LT_MOCK double lt_mock__loss_at(int kind, double x, double t, double w, double pos, double f, bool logs) {
    const double z = fabs(x - t), low = log1p(exp(-fabs(x))) + (x < 0 ? -x : 0); /* log(1 + exp(-x)) */
    switch (kind) {
    case LT_MOCK__L1:
        return z;
    case LT_MOCK__SMOOTH:
        return z < f ? z * z / f / 2 : z - f / 2;
    case LT_MOCK__HUBER:
        return z <= f ? z * z / 2 : f * (z - f / 2);
    case LT_MOCK__BCE:
        return -w * (t * fmax(log(x), -100) + (1 - t) * fmax(log1p(-x), -100));
    case LT_MOCK__LOGITS:
        return w * ((1 - t) * x + (1 + (pos - 1) * t) * low);
    default:
        return logs ? exp(t) * (t - x) : (t > 0 ? t * log(t) : 0) - t * x;
    }
}
LT_MOCK lt_tensor *lt_mock__pair_loss(lt_ctx *ctx, int kind, lt_tensor *x, lt_tensor *target, const lt_loss_opts *opts) {
    const lt_reduction reduction = opts ? opts->reduction : LT_MEAN;
    const double f = !opts ? 1 : kind == LT_MOCK__SMOOTH ? opts->beta : opts->delta;
    lt_tensor *y;
    LT_MOCK__NEED(x && target, NULL);
    if (x->ndim != target->ndim || memcmp(x->shape, target->shape, (size_t)x->ndim * sizeof(int64_t)) != 0) {
        return (lt_tensor *)lt_mock__fail(ctx, LT_ESHAPE, "x and target must have the same shape");
    }
    y = lt_mock__clone(ctx, x);
    for (int64_t i = 0; y && i < y->n; i++) {
        lt_mock_put(y, i, lt_mock__loss_at(kind, lt_mock_get(x, i), lt_mock_get(target, i), opts && opts->weight ? lt_mock__at(opts->weight, y, i) : 1,
                                        opts && opts->pos_weight ? lt_mock__at(opts->pos_weight, y, i) : 1, f > 0 ? f : 1,
                                        opts && opts->log_target));
    }
    if (reduction == LT_BATCHMEAN) {
        return y ? lt_mock__mul_scalar(ctx, lt_mock__reduced(ctx, y, LT_SUM), 1 / (double)(x->ndim ? x->shape[0] : 1)) : NULL;
    }
    return y ? lt_mock__reduced(ctx, y, reduction) : NULL;
}
#define LT_MOCK__LOSS(name, kind) \
    LT_MOCK lt_tensor *lt_mock__##name(lt_ctx *ctx, lt_tensor *x, lt_tensor *target, const lt_loss_opts *opts) { \
        return lt_mock__pair_loss(ctx, kind, x, target, opts); \
    }
LT_MOCK__LOSS(l1_loss, LT_MOCK__L1)
LT_MOCK__LOSS(smooth_l1_loss, LT_MOCK__SMOOTH)
LT_MOCK__LOSS(huber_loss, LT_MOCK__HUBER)
LT_MOCK__LOSS(bce_loss, LT_MOCK__BCE)
LT_MOCK__LOSS(bce_with_logits, LT_MOCK__LOGITS)
LT_MOCK__LOSS(kl_div, LT_MOCK__KL)

LT_MOCK lt_tensor *lt_mock__nll_loss(lt_ctx *ctx, lt_tensor *x, lt_tensor *target, const lt_cross_entropy_opts *opts) {
    lt_tensor *y;
    LT_MOCK__NEED(x && target, NULL);
    if (opts && (opts->has_ignore_index || opts->weight)) {
        return (lt_tensor *)lt_mock__fail(ctx, LT_EUNSUPPORTED, "the mock host's nll loss has no weights and ignore_index");
    }
    if (x->ndim != 2 || target->ndim != 1 || target->n != x->shape[0] || target->dtype != LT_I64) {
        return (lt_tensor *)lt_mock__fail(ctx, LT_ESHAPE, "lt_nll_loss: x must be (B, C), target (B) i64");
    }
    y = lt_mock__make(ctx, x->dtype, 1, target->shape);
    for (int64_t i = 0; y && i < y->n; i++) {
        const int64_t t = (int64_t)lt_mock_get(target, i);
        if (t < 0 || t >= x->shape[1]) {
            return (lt_tensor *)lt_mock__fail(ctx, LT_EINDEX, "lt_nll_loss: target %lld of %lld classes", (long long)t, (long long)x->shape[1]);
        }
        lt_mock_put(y, i, -lt_mock_get(x, i * x->shape[1] + t));
    }
    return y ? lt_mock__reduced(ctx, y, opts ? opts->reduction : LT_MEAN) : NULL;
}
/* The cosine along dim, squares enlarged by `more`, norms not below eps. */
LT_MOCK lt_tensor *lt_mock__cosine(lt_ctx *ctx, lt_tensor *a, lt_tensor *b, int32_t dim, double more, double eps) {
    int64_t shape[LT_MAX_DIMS];
    int32_t ndim = 0;
    lt_tensor *y;
    LT_MOCK__NEED(a && b, NULL);
    dim = dim < 0 ? dim + a->ndim : dim;
    if (dim < 0 || dim >= a->ndim || a->ndim != b->ndim || memcmp(a->shape, b->shape, (size_t)a->ndim * sizeof(int64_t)) != 0) {
        return (lt_tensor *)lt_mock__fail(ctx, LT_ESHAPE, "cosine: a and b must have the same shape, and dimension %d", (int)dim);
    }
    for (int32_t d = 0; d < a->ndim; d++) {
        if (d != dim) {
            shape[ndim++] = a->shape[d];
        }
    }
    y = lt_mock__make(ctx, a->dtype, ndim, shape);
    for (int64_t i = 0; y && i < y->n; i++) {
        double dot = 0, p = more, q = more;
        for (int64_t k = 0; k < a->shape[dim]; k++) {
            const int64_t at = lt_mock__line(a, dim, i, k);
            dot += lt_mock_get(a, at) * lt_mock_get(b, at);
            p += lt_mock_get(a, at) * lt_mock_get(a, at);
            q += lt_mock_get(b, at) * lt_mock_get(b, at);
        }
        lt_mock_put(y, i, dot / (fmax(sqrt(p), eps) * fmax(sqrt(q), eps)));
    }
    return y;
}
LT_MOCK lt_tensor *lt_mock__cosine_similarity(lt_ctx *ctx, lt_tensor *a, lt_tensor *b, int32_t dim, double eps) {
    return lt_mock__cosine(ctx, a, b, dim, 0, eps);
}
LT_MOCK lt_tensor *lt_mock__cosine_embedding_loss(lt_ctx *ctx, lt_tensor *a, lt_tensor *b, lt_tensor *target, const lt_loss_opts *opts) {
    lt_tensor *y = lt_mock__cosine(ctx, a, b, -1, 1e-12, 0);
    LT_MOCK__NEED(target, NULL);
    if (y && y->n != target->n) {
        return (lt_tensor *)lt_mock__fail(ctx, LT_ESHAPE, "lt_cosine_embedding_loss: target must have a value per row");
    }
    for (int64_t i = 0; y && i < y->n; i++) {
        const double v = lt_mock_get(y, i), off = v - (opts ? opts->margin : 0);
        lt_mock_put(y, i, lt_mock_get(target, i) > 0 ? 1 - v : off > 0 ? off : 0);
    }
    return y ? lt_mock__reduced(ctx, y, opts ? opts->reduction : LT_MEAN) : NULL;
}
#endif
