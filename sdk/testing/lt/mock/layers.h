/* lt/mock/layers.h - the mock host's matrix products, convolutions, pools and losses; the table lt.tensor/1 is complete with it. A part of
 * lt/testing.h, which says what is promised; not to be included by itself. */
#ifndef LT_MOCK_LAYERS_H
#define LT_MOCK_LAYERS_H

/* (..., N, K) x (K, M), or with equal leading dimensions. */
LT_MOCK lt_tensor *lt_mock__matmul(lt_ctx *ctx, lt_tensor *a, lt_tensor *b) {
    int64_t shape[LT_MAX_DIMS], k_size, rows, columns;
    lt_tensor *y;
    LT_MOCK__NEED(a && b, NULL);
    if (a->ndim < 2 || b->ndim < 2 || a->shape[a->ndim - 1] != b->shape[b->ndim - 2]) {
        return (lt_tensor *)lt_mock__fail(ctx, LT_ESHAPE, "lt_matmul: shapes do not fit");
    }
    memcpy(shape, a->shape, sizeof shape);
    k_size = a->shape[a->ndim - 1];
    rows = a->shape[a->ndim - 2];
    columns = shape[a->ndim - 1] = b->shape[b->ndim - 1];
    y = lt_mock__make(ctx, a->dtype, a->ndim, shape);
    for (int64_t i = 0; y && i < y->n; i++) {
        int64_t row = i / columns, part = b->ndim > 2 ? row / rows : 0;
        double sum = 0;
        for (int64_t k = 0; k < k_size; k++) {
            sum += lt_mock_get(a, row * k_size + k) * lt_mock_get(b, (part * k_size + k) * columns + i % columns);
        }
        lt_mock_put(y, i, sum);
    }
    return y;
}
LT_MOCK lt_tensor *lt_mock__linear(lt_ctx *ctx, lt_tensor *x, lt_tensor *weight, lt_tensor *bias, lt_activation act) {
    lt_tensor *y;
    LT_MOCK__NEED(x && weight, NULL);
    if (x->ndim < 1 || x->shape[x->ndim - 1] != weight->shape[1]) {
        return (lt_tensor *)lt_mock__fail(ctx, LT_ESHAPE, "linear(%lld -> %lld) got %lld features", (long long)weight->shape[1],
                                          (long long)weight->shape[0], (long long)(x->ndim ? x->shape[x->ndim - 1] : 0));
    }
    y = x->ndim == 1 ? lt_mock__reshape(ctx, x, 2, (const int64_t[]){1, -1}) : x;
    y = lt_mock__matmul(ctx, y, lt_mock__transpose(ctx, weight, 0, 1));
    y = y && bias ? lt_mock__add(ctx, y, bias) : y;
    return y ? lt_mock__activate_with(ctx, y, act, act == LT_ACT_LEAKY_RELU ? 0.01 : 1, 20) : NULL;
}
LT_MOCK int64_t lt_mock__out(int64_t in, int32_t kernel, int32_t stride, int32_t padding, int32_t dilation, bool up) {
    int64_t room = in + 2 * padding - dilation * (kernel - 1) - 1;
    return room < 0 ? 0 : (room + (up ? stride - 1 : 0)) / stride + 1;
}
LT_MOCK lt_tensor *lt_mock__conv2d(lt_ctx *ctx, lt_tensor *x, lt_tensor *w, lt_tensor *bias, const lt_conv2d_opts *opts) {
    lt_conv2d_opts o = {0, {1, 1}, {0, 0}, {1, 1}, 1};
    lt_tensor *y;
    int64_t shape[4];
    LT_MOCK__NEED(x && w, NULL);
    for (int32_t d = 0; opts && d < 2; d++) {
        o.stride[d] = opts->stride[d] ? opts->stride[d] : 1;
        o.padding[d] = opts->padding[d];
        o.dilation[d] = opts->dilation[d] ? opts->dilation[d] : 1;
    }
    o.groups = opts && opts->groups ? opts->groups : 1;
    if (x->ndim != 4 || w->ndim != 4 || x->shape[1] != w->shape[1] * o.groups) {
        return (lt_tensor *)lt_mock__fail(ctx, LT_ESHAPE, "lt_conv2d: x must be (B, %lld, H, W)", (long long)(w->shape[1] * o.groups));
    }
    shape[0] = x->shape[0];
    shape[1] = w->shape[0];
    for (int32_t d = 0; d < 2; d++) {
        shape[2 + d] = lt_mock__out(x->shape[2 + d], (int32_t)w->shape[2 + d], o.stride[d], o.padding[d], o.dilation[d], false);
    }
    y = lt_mock__make(ctx, x->dtype, 4, shape);
    for (int64_t i = 0; y && i < y->n; i++) {
        int64_t b = i / y->strides[0], out = i / y->strides[1] % shape[1], row = i / shape[3] % shape[2], column = i % shape[3];
        int64_t first = out / (shape[1] / o.groups) * w->shape[1];
        double sum = bias ? lt_mock_get(bias, out) : 0;
        for (int64_t k = 0; k < w->strides[0]; k++) {
            int64_t c = k / w->strides[1], h = row * o.stride[0] - o.padding[0] + k / w->shape[3] % w->shape[2] * o.dilation[0];
            int64_t v = column * o.stride[1] - o.padding[1] + k % w->shape[3] * o.dilation[1];
            if (h >= 0 && h < x->shape[2] && v >= 0 && v < x->shape[3]) {
                sum += lt_mock_get(w, out * w->strides[0] + k) *
                       lt_mock_get(x, b * x->strides[0] + (first + c) * x->strides[1] + h * x->shape[3] + v);
            }
        }
        lt_mock_put(y, i, sum);
    }
    return y;
}
LT_MOCK lt_tensor *lt_mock__pool(lt_ctx *ctx, lt_tensor *x, const lt_pool2d_opts *o, bool max) {
    int64_t shape[4];
    lt_tensor *y;
    LT_MOCK__NEED(x && o, NULL);
    if (x->ndim != 4 || o->kernel[0] < 1 || o->kernel[1] < 1) {
        return (lt_tensor *)lt_mock__fail(ctx, LT_ESHAPE, "pooling needs (B, C, H, W) and a kernel");
    }
    memcpy(shape, x->shape, sizeof shape);
    for (int32_t d = 0; d < 2; d++) {
        shape[2 + d] =
            lt_mock__out(x->shape[2 + d], o->kernel[d], o->stride[d] ? o->stride[d] : o->kernel[d], o->padding[d], 1, o->ceil_mode);
    }
    y = lt_mock__make(ctx, x->dtype, 4, shape);
    for (int64_t i = 0; y && i < y->n; i++) {
        int64_t top = i / shape[3] % shape[2] * (o->stride[0] ? o->stride[0] : o->kernel[0]) - o->padding[0];
        int64_t left = i % shape[3] * (o->stride[1] ? o->stride[1] : o->kernel[1]) - o->padding[1], inside = 0;
        double sum = 0, best = -HUGE_VAL;
        for (int64_t k = 0; k < (int64_t)o->kernel[0] * o->kernel[1]; k++) {
            int64_t h = top + k / o->kernel[1], v = left + k % o->kernel[1];
            if (h >= 0 && h < x->shape[2] && v >= 0 && v < x->shape[3]) {
                double value = lt_mock_get(x, i / y->strides[1] * x->strides[1] + h * x->shape[3] + v);
                sum += value;
                best = value > best ? value : best;
                inside++;
            }
        }
        lt_mock_put(y, i, max ? best : sum / (double)(o->exclude_pad ? inside : (int64_t)o->kernel[0] * o->kernel[1]));
    }
    return y;
}
LT_MOCK lt_tensor *lt_mock__max_pool2d(lt_ctx *ctx, lt_tensor *x, const lt_pool2d_opts *opts) { return lt_mock__pool(ctx, x, opts, true); }
LT_MOCK lt_tensor *lt_mock__avg_pool2d(lt_ctx *ctx, lt_tensor *x, const lt_pool2d_opts *opts) { return lt_mock__pool(ctx, x, opts, false); }
LT_MOCK lt_tensor *lt_mock__reduced(lt_ctx *ctx, lt_tensor *x, lt_reduction reduction) {
    return reduction == LT_NONE ? x : lt_mock__reduce(ctx, x, NULL, 0, false, reduction == LT_MEAN);
}
LT_MOCK lt_tensor *lt_mock__mse_loss(lt_ctx *ctx, lt_tensor *x, lt_tensor *target, lt_reduction reduction) {
    lt_tensor *d = lt_mock__sub(ctx, x, target);
    return d ? lt_mock__reduced(ctx, lt_mock__mul(ctx, d, d), reduction) : NULL;
}
LT_MOCK lt_tensor *lt_mock__cross_entropy(lt_ctx *ctx, lt_tensor *logits, lt_tensor *target, const lt_cross_entropy_opts *opts) {
    lt_tensor *p, *y;
    LT_MOCK__NEED(logits && target, NULL);
    if (opts && (opts->label_smoothing > 0 || opts->has_ignore_index || opts->weight)) {
        return (lt_tensor *)lt_mock__fail(ctx, LT_EUNSUPPORTED, "the mock host's cross entropy has no weights, smoothing and ignore_index");
    }
    if (logits->ndim != 2 || target->ndim != 1 || target->n != logits->shape[0] || target->dtype != LT_I64) {
        return (lt_tensor *)lt_mock__fail(ctx, LT_ESHAPE, "lt_cross_entropy: logits must be (B, C), target (B) i64");
    }
    p = lt_mock__log_softmax(ctx, logits, 1);
    y = lt_mock__make(ctx, logits->dtype, 1, target->shape);
    for (int64_t i = 0; p && y && i < y->n; i++) {
        int64_t t = (int64_t)lt_mock_get(target, i);
        if (t < 0 || t >= logits->shape[1]) {
            return (lt_tensor *)lt_mock__fail(ctx, LT_EINDEX, "lt_cross_entropy: target %lld of %lld classes", (long long)t,
                                              (long long)logits->shape[1]);
        }
        lt_mock_put(y, i, -lt_mock_get(p, i * logits->shape[1] + t));
    }
    return lt_mock__reduced(ctx, y, opts ? opts->reduction : LT_MEAN);
}
LT_MOCK lt_tensor *lt_mock__accuracy(lt_ctx *ctx, lt_tensor *logits, lt_tensor *target) {
    return lt_mock__reduce(ctx, lt_mock__cast(ctx, lt_mock__eq(ctx, lt_mock__argmax(ctx, logits, 1, false), target), LT_F32), NULL, 0,
                           false, true);
}

/* ---- transformers ---- */
LT_MOCK lt_tensor *lt_mock__layer_norm(lt_ctx *ctx, lt_tensor *x, lt_tensor *weight, lt_tensor *bias, double eps) {
    LT_MOCK__NEED(x, NULL);
    int64_t width = x->ndim ? x->shape[x->ndim - 1] : 0;
    if (width < 1 || (weight && weight->n != width) || (bias && bias->n != width)) {
        return (lt_tensor *)lt_mock__fail(ctx, LT_ESHAPE, "lt_layer_norm: weight and bias must have the %lld values of x's last dimension",
                                          (long long)width);
    }
    lt_tensor *y = lt_mock__make(ctx, x->dtype, x->ndim, x->shape);
    for (int64_t r = 0; y && r < x->n; r += width) {
        double mean = 0, var = 0;
        for (int64_t i = 0; i < width; i++) {
            mean += lt_mock_get(x, r + i) / (double)width;
        }
        for (int64_t i = 0; i < width; i++) {
            double d = lt_mock_get(x, r + i) - mean;
            var += d * d / (double)width;
        }
        for (int64_t i = 0; i < width; i++) {
            double v = (lt_mock_get(x, r + i) - mean) / sqrt(var + eps);
            v = weight ? v * lt_mock_get(weight, i) : v;
            lt_mock_put(y, r + i, bias ? v + lt_mock_get(bias, i) : v);
        }
    }
    return y;
}
LT_MOCK lt_tensor *lt_mock__embedding(lt_ctx *ctx, lt_tensor *indices, lt_tensor *weight, const lt_embedding_opts *opts) {
    int64_t shape[LT_MAX_DIMS], width;
    (void)opts; /* padding has no gradient; here nothing has */
    LT_MOCK__NEED(indices && weight, NULL);
    if (weight->ndim != 2 || indices->ndim == LT_MAX_DIMS) {
        return (lt_tensor *)lt_mock__fail(ctx, LT_ESHAPE, "lt_embedding: weight must be (V, D)");
    }
    width = weight->shape[1];
    memcpy(shape, indices->shape, sizeof shape);
    shape[indices->ndim] = width;
    lt_tensor *y = lt_mock__make(ctx, weight->dtype, indices->ndim + 1, shape);
    for (int64_t i = 0; y && i < indices->n; i++) {
        int64_t row = (int64_t)lt_mock_get(indices, i);
        if (row < 0 || row >= weight->shape[0]) {
            return (lt_tensor *)lt_mock__fail(ctx, LT_EINDEX, "lt_embedding: index %lld of %lld rows", (long long)row, (long long)weight->shape[0]);
        }
        for (int64_t k = 0; k < width; k++) {
            lt_mock_put(y, i * width + k, lt_mock_get(weight, row * width + k));
        }
    }
    return y;
}
/* Through lt_matmul and lt_softmax, as the formula says; no mask. */
LT_MOCK lt_tensor *lt_mock__attention(lt_ctx *ctx, lt_tensor *q, lt_tensor *k, lt_tensor *v, const lt_attention_opts *opts) {
    lt_tensor *scores;
    LT_MOCK__NEED(q && k && v, NULL);
    if (opts && opts->mask) {
        return (lt_tensor *)lt_mock__fail(ctx, LT_EUNSUPPORTED, "lt_attention: the mock host knows no mask but causal");
    }
    if (q->ndim != 4 || k->ndim != 4 || v->ndim != 4 || q->shape[3] != k->shape[3] || k->shape[2] != v->shape[2]) {
        return (lt_tensor *)lt_mock__fail(ctx, LT_ESHAPE, "lt_attention: q (B, heads, T, D), k (B, heads, S, D), v (B, heads, S, E) do not fit");
    }
    scores = lt_mock__matmul(ctx, q, lt_mock__transpose(ctx, k, 2, 3));
    scores = scores ? lt_mock__mul_scalar(ctx, scores, opts && opts->scale != 0 ? opts->scale : 1 / sqrt((double)q->shape[3])) : NULL;
    for (int64_t i = 0; scores && opts && opts->causal && i < scores->n; i++) {
        if (i % scores->shape[3] > i / scores->shape[3] % scores->shape[2]) {
            lt_mock_put(scores, i, -INFINITY);
        }
    }
    scores = scores ? lt_mock__softmax(ctx, scores, 3) : NULL;
    return scores ? lt_mock__matmul(ctx, scores, v) : NULL;
}
LT_MOCK lt_tensor *lt_mock__self_attention(lt_ctx *ctx, lt_tensor *qkv, int64_t heads, const lt_attention_opts *opts) {
    lt_tensor *parts[3], *y;
    LT_MOCK__NEED(qkv, NULL);
    if (qkv->ndim != 3 || heads < 1 || qkv->shape[2] % (3 * heads)) {
        return (lt_tensor *)lt_mock__fail(ctx, LT_ESHAPE, "lt_self_attention: qkv must be (B, T, 3 E), E a multiple of the %lld heads", (long long)heads);
    }
    int64_t width = qkv->shape[2] / 3, shape[4] = {qkv->shape[0], qkv->shape[1], heads, width / heads}, whole[3] = {shape[0], shape[1], width};
    for (int i = 0; i < 3; i++) {
        parts[i] = lt_mock__reshape(ctx, lt_mock__slice(ctx, qkv, 2, i * width, (i + 1) * width), 4, shape);
        parts[i] = parts[i] ? lt_mock__transpose(ctx, parts[i], 1, 2) : NULL;
    }
    y = lt_mock__attention(ctx, parts[0], parts[1], parts[2], opts);
    return y ? lt_mock__reshape(ctx, lt_mock__transpose(ctx, y, 1, 2), 3, whole) : NULL;
}
#endif
