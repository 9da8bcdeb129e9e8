/* lt/mock/base.h - the mock host's memory, failures, printing and saved state (lt.base/1). A part of lt/testing.h, which says what is
 * promised; not to be included by itself. */
#ifndef LT_MOCK_BASE_H
#define LT_MOCK_BASE_H

/* ---- helpers ---- */
LT_MOCK void *lt_mock__get(lt_mock *mock, size_t size) {
    void *memory = calloc(1, size ? size : 1);
    void **list = (void **)realloc(mock->memory, (mock->n_memory + 1) * sizeof *list);
    if (!memory || !list) {
        abort();
    } /* a test without memory has nothing to say */
    mock->memory = list;
    list[mock->n_memory++] = memory;
    return memory;
}
LT_MOCK lt_status lt_mock__vfail(lt_ctx *ctx, lt_status code, const char *format, va_list args) {
    if (!ctx->mock->code) {
        ctx->mock->code = code ? code : LT_EINVAL;
        vsnprintf(ctx->mock->error, sizeof ctx->mock->error, format, args);
    }
    return code;
}
LT_MOCK LT_PRINTF(3, 4) void *lt_mock__fail(lt_ctx *ctx, lt_status code, const char *format, ...) {
    va_list args;
    va_start(args, format);
    lt_mock__vfail(ctx, code, format, args);
    va_end(args);
    return NULL;
}
LT_MOCK void lt_mock__copy(char *to, size_t size, const char *from) { snprintf(to, size, "%s", from ? from : ""); }
LT_MOCK size_t lt_mock__bytes(lt_dtype dtype) {
    return dtype == LT_F64 || dtype == LT_I64 ? 8u : dtype == LT_F32 || dtype == LT_I32 ? 4u : dtype == LT_U8 || dtype == LT_BOOL ? 1u : 0u;
}
LT_MOCK double lt_mock_get(const lt_tensor *x, int64_t i) { /* element i, row-major */
    switch (x->dtype) {
    case LT_F64:
        return ((const double *)x->data)[i];
    case LT_F32:
        return (double)((const float *)x->data)[i];
    case LT_I64:
        return (double)((const int64_t *)x->data)[i];
    case LT_I32:
        return (double)((const int32_t *)x->data)[i];
    default:
        return (double)((const uint8_t *)x->data)[i];
    }
}
LT_MOCK void lt_mock_put(lt_tensor *x, int64_t i, double value) {
    switch (x->dtype) {
    case LT_F64:
        ((double *)x->data)[i] = value;
        break;
    case LT_F32:
        ((float *)x->data)[i] = (float)value;
        break;
    case LT_I64:
        ((int64_t *)x->data)[i] = (int64_t)value;
        break;
    case LT_I32:
        ((int32_t *)x->data)[i] = (int32_t)value;
        break;
    default:
        ((uint8_t *)x->data)[i] = (uint8_t)value;
        break;
    }
}
LT_MOCK lt_tensor *lt_mock__make(lt_ctx *ctx, lt_dtype dtype, int32_t ndim, const int64_t *shape) {
    lt_tensor *x = (lt_tensor *)lt_mock__get(ctx->mock, sizeof *x);
    if (!lt_mock__bytes(dtype) || ndim < 0 || ndim > LT_MAX_DIMS) {
        return (lt_tensor *)lt_mock__fail(ctx, LT_EDTYPE, "the mock host has no dtype %d with %d dimensions", (int)dtype, (int)ndim);
    }
    x->dtype = dtype;
    x->ndim = ndim;
    x->n = 1;
    for (int32_t d = ndim - 1; d >= 0; d--) {
        x->shape[d] = shape[d];
        x->strides[d] = x->n;
        x->n *= shape[d] > 0 ? shape[d] : 0;
    }
    x->data = lt_mock__get(ctx->mock, (size_t)x->n * lt_mock__bytes(dtype));
    return x;
}
/* A tensor of these values, row-major; NULL: zeroes. */
LT_MOCK lt_tensor *lt_mock_tensor(lt_mock *mock, lt_dtype dtype, int32_t ndim, const int64_t *shape, const double *values) {
    lt_tensor *x = lt_mock__make(&mock->ctx, dtype, ndim, shape);
    for (int64_t i = 0; x && values && i < x->n; i++) {
        lt_mock_put(x, i, values[i]);
    }
    return x;
}

/* ---- lt.base/1 ---- */
LT_MOCK lt_status lt_mock__status(lt_ctx *ctx) { return ctx->mock->code; }
LT_MOCK void lt_mock__vprint(lt_ctx *ctx, int32_t level, const char *format, va_list args) {
    char *end = ctx->mock->printed + strlen(ctx->mock->printed);
    size_t room = sizeof ctx->mock->printed - (size_t)(end - ctx->mock->printed);
    (void)level;
    vsnprintf(end, room, format, args);
    strncat(ctx->mock->printed, "\n", sizeof ctx->mock->printed - strlen(ctx->mock->printed) - 1);
}
LT_MOCK double lt_mock__seconds(lt_ctx *ctx) { return ctx->mock->moment.seconds; }
LT_MOCK void *lt_mock__alloc(lt_ctx *ctx, size_t bytes) { return lt_mock__get(ctx->mock, bytes); }
LT_MOCK void lt_mock__free(lt_ctx *ctx, void *memory) {
    (void)ctx;
    (void)memory;
}
LT_MOCK lt_mock_value *lt_mock__find(lt_mock_value *values, int32_t count, const char *key) {
    for (int32_t i = 0; i < count; i++) {
        if (!strcmp(values[i].key, key)) {
            return &values[i];
        }
    }
    return NULL;
}
LT_MOCK lt_mock_value *lt_mock__new_value(lt_ctx *ctx, lt_state_writer *out, const char *key, char type, const void *data, size_t size) {
    lt_mock_value *v = out->state.count < LT_MOCK_ITEMS ? &out->state.values[out->state.count++] : NULL;
    if (!v) {
        return (lt_mock_value *)lt_mock__fail(ctx, LT_ENOMEM, "the mock host keeps %d values of state", LT_MOCK_ITEMS);
    }
    lt_mock__copy(v->key, sizeof v->key, key);
    v->type = type;
    v->size = size;
    v->data = lt_mock__get(ctx->mock, size + 1);
    if (size) {
        memcpy(v->data, data, size);
    }
    return v;
}
LT_MOCK void lt_mock__put_i64(lt_ctx *ctx, lt_state_writer *out, const char *key, int64_t value) {
    lt_mock_value *v = lt_mock__new_value(ctx, out, key, 'i', NULL, 0);
    if (v) {
        v->integer = value;
    }
}
LT_MOCK void lt_mock__put_f64(lt_ctx *ctx, lt_state_writer *out, const char *key, double value) {
    lt_mock_value *v = lt_mock__new_value(ctx, out, key, 'f', NULL, 0);
    if (v) {
        v->number = value;
    }
}
LT_MOCK void lt_mock__put_text(lt_ctx *ctx, lt_state_writer *out, const char *key, const char *value) {
    lt_mock__new_value(ctx, out, key, 't', value, strlen(value));
}
LT_MOCK void lt_mock__put_bytes(lt_ctx *ctx, lt_state_writer *out, const char *key, const void *data, size_t size) {
    lt_mock__new_value(ctx, out, key, 'b', data, size);
}
LT_MOCK const lt_mock_value *lt_mock__read(lt_ctx *ctx, const lt_state_reader *in, const char *key, char type) {
    for (int32_t i = 0; i < in->state.count; i++) {
        const lt_mock_value *v = &in->state.values[i];
        if (strcmp(v->key, key)) {
            continue;
        }
        if (v->type != type) {
            return (const lt_mock_value *)lt_mock__fail(ctx, LT_EFORMAT, "state \"%s\" has another type", key);
        }
        return v;
    }
    return NULL;
}
LT_MOCK int64_t lt_mock__get_i64(lt_ctx *ctx, const lt_state_reader *in, const char *key, int64_t fallback) {
    const lt_mock_value *v = lt_mock__read(ctx, in, key, 'i');
    return v ? v->integer : fallback;
}
LT_MOCK double lt_mock__get_f64(lt_ctx *ctx, const lt_state_reader *in, const char *key, double fallback) {
    const lt_mock_value *v = lt_mock__read(ctx, in, key, 'f');
    return v ? v->number : fallback;
}
LT_MOCK const char *lt_mock__get_text(lt_ctx *ctx, const lt_state_reader *in, const char *key, const char *fallback) {
    const lt_mock_value *v = lt_mock__read(ctx, in, key, 't');
    return v ? (const char *)v->data : fallback;
}
LT_MOCK const void *lt_mock__get_bytes(lt_ctx *ctx, const lt_state_reader *in, const char *key, size_t *size) {
    const lt_mock_value *v = lt_mock__read(ctx, in, key, 'b');
    *size = v ? v->size : 0;
    return v ? v->data : NULL;
}
LT_MOCK uint32_t lt_mock__state_version(lt_ctx *ctx, const lt_state_reader *in) {
    (void)ctx;
    return in->state.version;
}
#endif
