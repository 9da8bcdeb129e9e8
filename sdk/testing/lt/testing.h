/* lt/testing.h - a host in a header, for unit tests of plugins: no lthost is needed, nothing is linked but libm. C only.
 *
 *     #include <lt/testing.h>
 *     int main(void) {
 *         lt_mock *mock = lt_mock_open(lt_plugin_entry_v1);       // the plugin's sources are compiled into the test
 *         const lt_model *model = lt_mock_component(mock, "lt.model/1", "MyModel");
 *         void *self = lt_mock_new(mock, &model->base, "hidden", "8", NULL);
 *         ...call hooks with lt_mock_ctx(mock) and self, then look at mock->loss, lt_mock_metric(mock, "loss"), mock->error...
 *         return lt_mock_close(mock);                             // 1 if an lt_mock_check failed
 *     }
 *
 * Tensors hold real numbers (f64, f32, i64, i32, u8, bool) and operations compute, plainly and slowly; initial weights are fixed ones.
 * What it does not do: gradients, training, threads, downloads, ranges of parameters, PyTorch's random numbers. Such calls fail with
 * LT_EUNSUPPORTED or are named below. Everything it makes lives until lt_mock_close. */
#ifndef LT_TESTING_H
#define LT_TESTING_H
#ifdef __cplusplus
#error "lt/testing.h is C: write the test in C and link the plugin's C++ files to it"
#endif
#include <lt/callback.h>
#include <lt/data.h>
#include <lt/logger.h>
#include <lt/metric.h>
#include <lt/model.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LT_MOCK static __attribute__((unused))
enum { LT_MOCK_ITEMS = 64, LT_MOCK_NAME = 96 };

typedef struct lt_mock lt_mock;
struct lt_ctx { lt_mock *mock; };
struct lt_tensor { lt_dtype dtype; int32_t ndim; int64_t shape[LT_MAX_DIMS], strides[LT_MAX_DIMS], n; void *data; };
typedef struct lt_mock_item { const char *key; lt_tensor *tensor; const void *bytes; size_t size; } lt_mock_item;
struct lt_batch { int32_t count; lt_mock_item items[LT_MOCK_ITEMS]; };
struct lt_batch_out { struct lt_batch batch; };
struct lt_step_out { int32_t count; lt_mock_item items[LT_MOCK_ITEMS]; };
struct lt_dataset { lt_dataset_desc desc; int64_t start, length; };
struct lt_loader { lt_dataset *dataset; lt_loader_opts opts; };
struct lt_optim_setup { char optimizer[LT_MOCK_NAME], params[256], scheduler[LT_MOCK_NAME], scheduler_params[256]; lt_lr_scheduler_opts opts; };
struct lt_file { char path[256]; char *data; size_t size; };
typedef struct lt_mock_value { char key[LT_MOCK_NAME]; char type; int64_t integer; double number; void *data; size_t size; } lt_mock_value;
typedef struct lt_mock_state { int32_t count; uint32_t version; lt_mock_value values[LT_MOCK_ITEMS]; } lt_mock_state;
struct lt_state_writer { lt_mock_state state; };
struct lt_state_reader { lt_mock_state state; };
enum lt_mock_layer { LT_MOCK_LINEAR, LT_MOCK_CONV, LT_MOCK_NORM, LT_MOCK_MAX, LT_MOCK_AVG, LT_MOCK_FLATTEN, LT_MOCK_ACT, LT_MOCK_DROPOUT, LT_MOCK_SEQUENTIAL };
struct lt_module {
    enum lt_mock_layer layer;
    char name[LT_MOCK_NAME];
    lt_tensor *weight, *bias;
    lt_conv2d_opts conv;
    lt_pool2d_opts pool;
    int32_t number; /* start_dim or activation */
    double eps;
    bool frozen;
    size_t count;
    lt_module *items[LT_MOCK_ITEMS];
};

struct lt_mock {
    const lt_plugin *plugin;
    lt_ctx ctx;
    lt_status code;         /* first failure since the last lt_mock_clear */
    char error[512];
    char printed[4096];     /* what lt_print and lt_warn said, a line each */
    lt_moment moment;       /* what lt_now returns: set it at will */
    lt_step_out out;        /* what the last step reported; lt_mock_clear empties it */
    double loss;            /* of it; NAN: none */
    bool training, stop;
    char reason[256];       /* of lt_request_stop */
    lt_mock_value metrics[LT_MOCK_ITEMS]; /* logged, or set by lt_mock_set_metric */
    int32_t n_metrics;
    char saved[8][256], removed[8][256];  /* checkpoints asked for */
    int32_t n_saved, n_removed;
    lt_optim_setup optim;   /* what configure_optimizers named */
    lt_file *files[16];
    int32_t n_files;
    lt_module *modules[LT_MOCK_ITEMS];
    int32_t n_modules;
    void **memory;          /* everything made */
    size_t n_memory;
    int failures;
};

/* ---- helpers ---- */
LT_MOCK void *lt_mock__get(lt_mock *mock, size_t size) {
    void *memory = calloc(1, size ? size : 1);
    void **list = (void **)realloc(mock->memory, (mock->n_memory + 1) * sizeof *list);
    if (!memory || !list) { abort(); } /* a test without memory has nothing to say */
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
    case LT_F64: return ((const double *)x->data)[i];
    case LT_F32: return (double)((const float *)x->data)[i];
    case LT_I64: return (double)((const int64_t *)x->data)[i];
    case LT_I32: return (double)((const int32_t *)x->data)[i];
    default: return (double)((const uint8_t *)x->data)[i];
    }
}
LT_MOCK void lt_mock_put(lt_tensor *x, int64_t i, double value) {
    switch (x->dtype) {
    case LT_F64: ((double *)x->data)[i] = value; break;
    case LT_F32: ((float *)x->data)[i] = (float)value; break;
    case LT_I64: ((int64_t *)x->data)[i] = (int64_t)value; break;
    case LT_I32: ((int32_t *)x->data)[i] = (int32_t)value; break;
    default: ((uint8_t *)x->data)[i] = (uint8_t)value; break;
    }
}
LT_MOCK lt_tensor *lt_mock__make(lt_ctx *ctx, lt_dtype dtype, int32_t ndim, const int64_t *shape) {
    lt_tensor *x = (lt_tensor *)lt_mock__get(ctx->mock, sizeof *x);
    if (!lt_mock__bytes(dtype) || ndim < 0 || ndim > LT_MAX_DIMS) { return (lt_tensor *)lt_mock__fail(ctx, LT_EDTYPE, "the mock host has no dtype %d with %d dimensions", (int)dtype, (int)ndim); }
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
    for (int64_t i = 0; x && values && i < x->n; i++) { lt_mock_put(x, i, values[i]); }
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
LT_MOCK void lt_mock__free(lt_ctx *ctx, void *memory) { (void)ctx; (void)memory; }
LT_MOCK lt_mock_value *lt_mock__find(lt_mock_value *values, int32_t count, const char *key) {
    for (int32_t i = 0; i < count; i++) {
        if (!strcmp(values[i].key, key)) { return &values[i]; }
    }
    return NULL;
}
LT_MOCK lt_mock_value *lt_mock__new_value(lt_ctx *ctx, lt_state_writer *out, const char *key, char type, const void *data, size_t size) {
    lt_mock_value *v = out->state.count < LT_MOCK_ITEMS ? &out->state.values[out->state.count++] : NULL;
    if (!v) { return (lt_mock_value *)lt_mock__fail(ctx, LT_ENOMEM, "the mock host keeps %d values of state", LT_MOCK_ITEMS); }
    lt_mock__copy(v->key, sizeof v->key, key);
    v->type = type;
    v->size = size;
    v->data = lt_mock__get(ctx->mock, size + 1);
    if (size) { memcpy(v->data, data, size); }
    return v;
}
LT_MOCK void lt_mock__put_i64(lt_ctx *ctx, lt_state_writer *out, const char *key, int64_t value) { lt_mock_value *v = lt_mock__new_value(ctx, out, key, 'i', NULL, 0); if (v) { v->integer = value; } }
LT_MOCK void lt_mock__put_f64(lt_ctx *ctx, lt_state_writer *out, const char *key, double value) { lt_mock_value *v = lt_mock__new_value(ctx, out, key, 'f', NULL, 0); if (v) { v->number = value; } }
LT_MOCK void lt_mock__put_text(lt_ctx *ctx, lt_state_writer *out, const char *key, const char *value) { lt_mock__new_value(ctx, out, key, 't', value, strlen(value)); }
LT_MOCK void lt_mock__put_bytes(lt_ctx *ctx, lt_state_writer *out, const char *key, const void *data, size_t size) { lt_mock__new_value(ctx, out, key, 'b', data, size); }
LT_MOCK const lt_mock_value *lt_mock__read(lt_ctx *ctx, const lt_state_reader *in, const char *key, char type) {
    for (int32_t i = 0; i < in->state.count; i++) {
        const lt_mock_value *v = &in->state.values[i];
        if (strcmp(v->key, key)) { continue; }
        if (v->type != type) { return (const lt_mock_value *)lt_mock__fail(ctx, LT_EFORMAT, "state \"%s\" has another type", key); }
        return v;
    }
    return NULL;
}
LT_MOCK int64_t lt_mock__get_i64(lt_ctx *ctx, const lt_state_reader *in, const char *key, int64_t fallback) { const lt_mock_value *v = lt_mock__read(ctx, in, key, 'i'); return v ? v->integer : fallback; }
LT_MOCK double lt_mock__get_f64(lt_ctx *ctx, const lt_state_reader *in, const char *key, double fallback) { const lt_mock_value *v = lt_mock__read(ctx, in, key, 'f'); return v ? v->number : fallback; }
LT_MOCK const char *lt_mock__get_text(lt_ctx *ctx, const lt_state_reader *in, const char *key, const char *fallback) { const lt_mock_value *v = lt_mock__read(ctx, in, key, 't'); return v ? (const char *)v->data : fallback; }
LT_MOCK const void *lt_mock__get_bytes(lt_ctx *ctx, const lt_state_reader *in, const char *key, size_t *size) {
    const lt_mock_value *v = lt_mock__read(ctx, in, key, 'b');
    *size = v ? v->size : 0;
    return v ? v->data : NULL;
}
LT_MOCK uint32_t lt_mock__state_version(lt_ctx *ctx, const lt_state_reader *in) { (void)ctx; return in->state.version; }

/* ---- lt.tensor/1 ---- */
#define LT_MOCK__NEED(x, result) do { if (!(x)) { lt_mock__fail(ctx, LT_EINVAL, "%s: a tensor is NULL, and no earlier call failed", __func__); return result; } } while (0)
LT_MOCK int32_t lt_mock__ndim(lt_ctx *ctx, const lt_tensor *x) { LT_MOCK__NEED(x, 0); return x->ndim; }
LT_MOCK int64_t lt_mock__size(lt_ctx *ctx, const lt_tensor *x, int32_t dim) {
    LT_MOCK__NEED(x, 0);
    dim = dim < 0 ? dim + x->ndim : dim;
    if (dim < 0 || dim >= x->ndim) { lt_mock__fail(ctx, LT_EINDEX, "lt_size: no such dimension"); return 0; }
    return x->shape[dim];
}
LT_MOCK int64_t lt_mock__numel(lt_ctx *ctx, const lt_tensor *x) { LT_MOCK__NEED(x, 0); return x->n; }
LT_MOCK lt_dtype lt_mock__dtype(lt_ctx *ctx, const lt_tensor *x) { LT_MOCK__NEED(x, 0); return x->dtype; }
LT_MOCK double lt_mock__item(lt_ctx *ctx, lt_tensor *x) {
    LT_MOCK__NEED(x, (double)NAN);
    if (x->n != 1) { lt_mock__fail(ctx, LT_ESHAPE, "lt_item: %lld elements, not one", (long long)x->n); return (double)NAN; }
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
LT_MOCK lt_tensor *lt_mock__retain(lt_ctx *ctx, lt_tensor *x) { (void)ctx; return x; }
LT_MOCK void lt_mock__release(lt_ctx *ctx, lt_tensor *x) { (void)ctx; (void)x; }
LT_MOCK lt_tensor *lt_mock__full(lt_ctx *ctx, lt_dtype dtype, int32_t ndim, const int64_t *shape, double value) {
    lt_tensor *x = lt_mock__make(ctx, dtype, ndim, shape);
    for (int64_t i = 0; x && i < x->n; i++) { lt_mock_put(x, i, value); }
    return x;
}
LT_MOCK lt_tensor *lt_mock__from_data(lt_ctx *ctx, lt_dtype dtype, int32_t ndim, const int64_t *shape, const void *data) {
    lt_tensor *x = lt_mock__make(ctx, dtype, ndim, shape);
    if (x && x->n) { memcpy(x->data, data, (size_t)x->n * lt_mock__bytes(dtype)); }
    return x;
}
LT_MOCK lt_tensor *lt_mock__arange(lt_ctx *ctx, lt_dtype dtype, double start, double end, double step) {
    const int64_t n = (int64_t)ceil((end - start) / step);
    lt_tensor *x = lt_mock__make(ctx, dtype, 1, &n);
    for (int64_t i = 0; x && i < n; i++) { lt_mock_put(x, i, start + step * (double)i); }
    return x;
}
/* Always the same numbers in [0, 1). */
LT_MOCK lt_tensor *lt_mock__rand(lt_ctx *ctx, int32_t ndim, const int64_t *shape) {
    lt_tensor *x = lt_mock__make(ctx, LT_F32, ndim, shape);
    for (int64_t i = 0; x && i < x->n; i++) { lt_mock_put(x, i, (double)((uint64_t)(i + 1) * 2654435761u % 1000003u) / 1000003.0); }
    return x;
}
LT_MOCK lt_tensor *lt_mock__cast(lt_ctx *ctx, lt_tensor *x, lt_dtype dtype) {
    lt_tensor *y;
    LT_MOCK__NEED(x, NULL);
    y = lt_mock__make(ctx, dtype, x->ndim, x->shape);
    for (int64_t i = 0; y && i < y->n; i++) { lt_mock_put(y, i, lt_mock_get(x, i)); }
    return y;
}
LT_MOCK lt_tensor *lt_mock__clone(lt_ctx *ctx, lt_tensor *x) { LT_MOCK__NEED(x, NULL); return lt_mock__cast(ctx, x, x->dtype); }
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
        if (m != n && m != 1 && n != 1) { return (lt_tensor *)lt_mock__fail(ctx, LT_ESHAPE, "shapes do not broadcast: %lld and %lld at dimension -%d", (long long)m, (long long)n, (int)d); }
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
    for (int64_t i = 0; y && i < y->n; i++) { lt_mock_put(y, i, scale * (f ? f(lt_mock_get(x, i)) : lt_mock_get(x, i)) + shift); }
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
LT_MOCK lt_tensor *lt_mock__gelu(lt_ctx *ctx, lt_tensor *x, bool tanh_approx) { return lt_mock__map(ctx, x, tanh_approx ? lt_mock__gelu2 : lt_mock__gelu1, 1, 0); }
/* Drops nothing, so that results are the same in every run. */
LT_MOCK lt_tensor *lt_mock__dropout(lt_ctx *ctx, lt_tensor *x, double p, bool training) { (void)p; (void)training; return lt_mock__clone(ctx, x); }
LT_MOCK lt_tensor *lt_mock__activate(lt_ctx *ctx, lt_tensor *x, lt_activation act) {
    switch (act) {
    case LT_ACT_RELU: return lt_mock__relu(ctx, x);
    case LT_ACT_TANH: return lt_mock__tanh(ctx, x);
    case LT_ACT_SIGMOID: return lt_mock__sigmoid(ctx, x);
    case LT_ACT_GELU: return lt_mock__gelu(ctx, x, false);
    case LT_ACT_GELU_TANH: return lt_mock__gelu(ctx, x, true);
    default: return x;
    }
}
/* Sum of x over dims, divided by their size with `mean`. */
LT_MOCK lt_tensor *lt_mock__reduce(lt_ctx *ctx, lt_tensor *x, const int32_t *dims, int32_t ndims, bool keepdim, bool mean) {
    int64_t kept[LT_MAX_DIMS], shape[LT_MAX_DIMS], place;
    int32_t ndim = 0;
    lt_tensor *wide, *y;
    LT_MOCK__NEED(x, NULL);
    for (int32_t d = 0; d < x->ndim; d++) { kept[d] = ndims ? x->shape[d] : 1; }
    for (int32_t k = 0; k < ndims; k++) { kept[dims[k] < 0 ? dims[k] + x->ndim : dims[k]] = 1; }
    wide = lt_mock__make(ctx, x->dtype == LT_F64 || x->dtype == LT_F32 || mean ? (x->dtype == LT_F64 ? LT_F64 : LT_F32) : LT_I64, x->ndim, kept);
    for (int64_t i = 0; wide && i < x->n; i++) {
        place = 0;
        for (int32_t d = 0; d < x->ndim; d++) { place += kept[d] == 1 ? 0 : i / x->strides[d] % x->shape[d] * wide->strides[d]; }
        lt_mock_put(wide, place, lt_mock_get(wide, place) + lt_mock_get(x, i) / (mean ? (double)x->n / (double)wide->n : 1));
    }
    for (int32_t d = 0; d < x->ndim; d++) {
        bool gone = !keepdim && (!ndims || (kept[d] == 1 && x->shape[d] != 1));
        for (int32_t k = 0; k < ndims && !keepdim; k++) { gone = gone || d == (dims[k] < 0 ? dims[k] + x->ndim : dims[k]); }
        if (!gone) { shape[ndim++] = kept[d]; }
    }
    y = wide ? lt_mock__make(ctx, wide->dtype, ndim, shape) : NULL;
    if (y) { y->data = wide->data; }
    return y;
}
LT_MOCK lt_tensor *lt_mock__sum(lt_ctx *ctx, lt_tensor *x, const int32_t *dims, int32_t ndims, bool keepdim) { return lt_mock__reduce(ctx, x, dims, ndims, keepdim, false); }
LT_MOCK lt_tensor *lt_mock__mean(lt_ctx *ctx, lt_tensor *x, const int32_t *dims, int32_t ndims, bool keepdim) { return lt_mock__reduce(ctx, x, dims, ndims, keepdim, true); }
/* The place of element k of line i along dim: lines are counted over all other dimensions. */
LT_MOCK int64_t lt_mock__line(const lt_tensor *x, int32_t dim, int64_t i, int64_t k) {
    return i / x->strides[dim] * x->strides[dim] * x->shape[dim] + i % x->strides[dim] + k * x->strides[dim];
}
LT_MOCK int64_t lt_mock__largest(const lt_tensor *x, int32_t dim, int64_t line) {
    int64_t best = 0;
    for (int64_t k = 1; k < x->shape[dim]; k++) {
        if (lt_mock_get(x, lt_mock__line(x, dim, line, k)) > lt_mock_get(x, lt_mock__line(x, dim, line, best))) { best = k; }
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
        if (d != dim || keepdim) { shape[ndim++] = d == dim ? 1 : x->shape[d]; }
    }
    y = lt_mock__make(ctx, LT_I64, ndim, shape);
    for (int64_t i = 0; y && i < y->n; i++) { lt_mock_put(y, i, (double)lt_mock__largest(x, dim, i)); }
    return y;
}
LT_MOCK lt_tensor *lt_mock__log_softmax(lt_ctx *ctx, lt_tensor *x, int32_t dim) {
    lt_tensor *y = lt_mock__clone(ctx, x);
    if (!y) { return NULL; }
    dim = dim < 0 ? dim + x->ndim : dim;
    for (int64_t line = 0; line < x->n / x->shape[dim]; line++) {
        double max = lt_mock_get(x, lt_mock__line(x, dim, line, lt_mock__largest(x, dim, line))), sum = 0;
        for (int64_t k = 0; k < x->shape[dim]; k++) { sum += exp(lt_mock_get(x, lt_mock__line(x, dim, line, k)) - max); }
        for (int64_t k = 0; k < x->shape[dim]; k++) { lt_mock_put(y, lt_mock__line(x, dim, line, k), lt_mock_get(x, lt_mock__line(x, dim, line, k)) - max - log(sum)); }
    }
    return y;
}
LT_MOCK lt_tensor *lt_mock__softmax(lt_ctx *ctx, lt_tensor *x, int32_t dim) { return lt_mock__exp(ctx, lt_mock__log_softmax(ctx, x, dim)); }
LT_MOCK lt_tensor *lt_mock__reshape(lt_ctx *ctx, lt_tensor *x, int32_t ndim, const int64_t *shape) {
    int64_t known = 1, whole[LT_MAX_DIMS];
    lt_tensor *y;
    LT_MOCK__NEED(x, NULL);
    for (int32_t d = 0; d < ndim; d++) { known *= shape[d] < 0 ? 1 : shape[d]; }
    for (int32_t d = 0; d < ndim; d++) { whole[d] = shape[d] < 0 ? x->n / (known ? known : 1) : shape[d]; }
    y = lt_mock__make(ctx, x->dtype, ndim, whole);
    if (y && y->n != x->n) { return (lt_tensor *)lt_mock__fail(ctx, LT_ESHAPE, "lt_reshape: %lld elements do not fit %lld", (long long)x->n, (long long)y->n); }
    if (y) { y->data = x->data; }
    return y;
}
LT_MOCK lt_tensor *lt_mock__flatten(lt_ctx *ctx, lt_tensor *x, int32_t start_dim) {
    int64_t shape[LT_MAX_DIMS];
    LT_MOCK__NEED(x, NULL);
    for (int32_t d = 0; d < start_dim; d++) { shape[d] = x->shape[d]; }
    shape[start_dim] = -1;
    return lt_mock__reshape(ctx, x, start_dim + 1, shape);
}
LT_MOCK lt_tensor *lt_mock__permute(lt_ctx *ctx, lt_tensor *x, const int32_t *dims) {
    int64_t shape[LT_MAX_DIMS];
    lt_tensor *y;
    LT_MOCK__NEED(x, NULL);
    for (int32_t d = 0; d < x->ndim; d++) { shape[d] = x->shape[dims[d]]; }
    y = lt_mock__make(ctx, x->dtype, x->ndim, shape);
    for (int64_t i = 0; y && i < y->n; i++) {
        int64_t from = 0;
        for (int32_t d = 0; d < y->ndim; d++) { from += i / y->strides[d] % y->shape[d] * x->strides[dims[d]]; }
        lt_mock_put(y, i, lt_mock_get(x, from));
    }
    return y;
}
LT_MOCK lt_tensor *lt_mock__transpose(lt_ctx *ctx, lt_tensor *x, int32_t dim0, int32_t dim1) {
    int32_t dims[LT_MAX_DIMS];
    LT_MOCK__NEED(x, NULL);
    for (int32_t d = 0; d < x->ndim; d++) { dims[d] = d; }
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
    if (start < 0 || end > x->shape[dim] || start > end) { return (lt_tensor *)lt_mock__fail(ctx, LT_EINDEX, "lt_slice: %lld..%lld of %lld", (long long)start, (long long)end, (long long)x->shape[dim]); }
    memcpy(shape, x->shape, sizeof shape);
    shape[dim] = end - start;
    y = lt_mock__make(ctx, x->dtype, x->ndim, shape);
    for (int64_t line = 0; y && y->n && line < x->n / x->shape[dim]; line++) {
        for (int64_t k = start; k < end; k++) { lt_mock_put(y, lt_mock__line(y, dim, line, k - start), lt_mock_get(x, lt_mock__line(x, dim, line, k))); }
    }
    return y;
}
LT_MOCK lt_tensor *lt_mock__cat(lt_ctx *ctx, lt_tensor *const *items, int32_t count, int32_t dim) {
    int64_t shape[LT_MAX_DIMS], at = 0;
    lt_tensor *y;
    LT_MOCK__NEED(count > 0 && items[0], NULL);
    memcpy(shape, items[0]->shape, sizeof shape);
    dim = dim < 0 ? dim + items[0]->ndim : dim;
    for (int32_t i = 1; i < count; i++) { shape[dim] += items[i] ? items[i]->shape[dim] : 0; }
    y = lt_mock__make(ctx, items[0]->dtype, items[0]->ndim, shape);
    for (int32_t i = 0; y && i < count; i++) {
        LT_MOCK__NEED(items[i], NULL);
        for (int64_t line = 0; line < items[i]->n / items[i]->shape[dim]; line++) {
            for (int64_t k = 0; k < items[i]->shape[dim]; k++) { lt_mock_put(y, lt_mock__line(y, dim, line, at + k), lt_mock_get(items[i], lt_mock__line(items[i], dim, line, k))); }
        }
        at += items[i]->shape[dim];
    }
    return y;
}
/* (..., N, K) x (K, M), or with equal leading dimensions. */
LT_MOCK lt_tensor *lt_mock__matmul(lt_ctx *ctx, lt_tensor *a, lt_tensor *b) {
    int64_t shape[LT_MAX_DIMS], k_size, rows, columns;
    lt_tensor *y;
    LT_MOCK__NEED(a && b, NULL);
    if (a->ndim < 2 || b->ndim < 2 || a->shape[a->ndim - 1] != b->shape[b->ndim - 2]) { return (lt_tensor *)lt_mock__fail(ctx, LT_ESHAPE, "lt_matmul: shapes do not fit"); }
    memcpy(shape, a->shape, sizeof shape);
    k_size = a->shape[a->ndim - 1];
    rows = a->shape[a->ndim - 2];
    columns = shape[a->ndim - 1] = b->shape[b->ndim - 1];
    y = lt_mock__make(ctx, a->dtype, a->ndim, shape);
    for (int64_t i = 0; y && i < y->n; i++) {
        int64_t row = i / columns, part = b->ndim > 2 ? row / rows : 0;
        double sum = 0;
        for (int64_t k = 0; k < k_size; k++) { sum += lt_mock_get(a, row * k_size + k) * lt_mock_get(b, (part * k_size + k) * columns + i % columns); }
        lt_mock_put(y, i, sum);
    }
    return y;
}
LT_MOCK lt_tensor *lt_mock__linear(lt_ctx *ctx, lt_tensor *x, lt_tensor *weight, lt_tensor *bias, lt_activation act) {
    lt_tensor *y;
    LT_MOCK__NEED(x && weight, NULL);
    if (x->ndim < 1 || x->shape[x->ndim - 1] != weight->shape[1]) {
        return (lt_tensor *)lt_mock__fail(ctx, LT_ESHAPE, "linear(%lld -> %lld) got %lld features", (long long)weight->shape[1], (long long)weight->shape[0], (long long)(x->ndim ? x->shape[x->ndim - 1] : 0));
    }
    y = x->ndim == 1 ? lt_mock__reshape(ctx, x, 2, (const int64_t[]){1, -1}) : x;
    y = lt_mock__matmul(ctx, y, lt_mock__transpose(ctx, weight, 0, 1));
    y = y && bias ? lt_mock__add(ctx, y, bias) : y;
    return y ? lt_mock__activate(ctx, y, act) : NULL;
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
    if (x->ndim != 4 || w->ndim != 4 || x->shape[1] != w->shape[1] * o.groups) { return (lt_tensor *)lt_mock__fail(ctx, LT_ESHAPE, "lt_conv2d: x must be (B, %lld, H, W)", (long long)(w->shape[1] * o.groups)); }
    shape[0] = x->shape[0];
    shape[1] = w->shape[0];
    for (int32_t d = 0; d < 2; d++) { shape[2 + d] = lt_mock__out(x->shape[2 + d], (int32_t)w->shape[2 + d], o.stride[d], o.padding[d], o.dilation[d], false); }
    y = lt_mock__make(ctx, x->dtype, 4, shape);
    for (int64_t i = 0; y && i < y->n; i++) {
        int64_t b = i / y->strides[0], out = i / y->strides[1] % shape[1], row = i / shape[3] % shape[2], column = i % shape[3];
        int64_t first = out / (shape[1] / o.groups) * w->shape[1];
        double sum = bias ? lt_mock_get(bias, out) : 0;
        for (int64_t k = 0; k < w->strides[0]; k++) {
            int64_t c = k / w->strides[1], h = row * o.stride[0] - o.padding[0] + k / w->shape[3] % w->shape[2] * o.dilation[0];
            int64_t v = column * o.stride[1] - o.padding[1] + k % w->shape[3] * o.dilation[1];
            if (h >= 0 && h < x->shape[2] && v >= 0 && v < x->shape[3]) { sum += lt_mock_get(w, out * w->strides[0] + k) * lt_mock_get(x, b * x->strides[0] + (first + c) * x->strides[1] + h * x->shape[3] + v); }
        }
        lt_mock_put(y, i, sum);
    }
    return y;
}
LT_MOCK lt_tensor *lt_mock__pool(lt_ctx *ctx, lt_tensor *x, const lt_pool2d_opts *o, bool max) {
    int64_t shape[4];
    lt_tensor *y;
    LT_MOCK__NEED(x && o, NULL);
    if (x->ndim != 4 || o->kernel[0] < 1 || o->kernel[1] < 1) { return (lt_tensor *)lt_mock__fail(ctx, LT_ESHAPE, "pooling needs (B, C, H, W) and a kernel"); }
    memcpy(shape, x->shape, sizeof shape);
    for (int32_t d = 0; d < 2; d++) { shape[2 + d] = lt_mock__out(x->shape[2 + d], o->kernel[d], o->stride[d] ? o->stride[d] : o->kernel[d], o->padding[d], 1, o->ceil_mode); }
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
LT_MOCK lt_tensor *lt_mock__reduced(lt_ctx *ctx, lt_tensor *x, lt_reduction reduction) { return reduction == LT_NONE ? x : lt_mock__reduce(ctx, x, NULL, 0, false, reduction == LT_MEAN); }
LT_MOCK lt_tensor *lt_mock__mse_loss(lt_ctx *ctx, lt_tensor *x, lt_tensor *target, lt_reduction reduction) {
    lt_tensor *d = lt_mock__sub(ctx, x, target);
    return d ? lt_mock__reduced(ctx, lt_mock__mul(ctx, d, d), reduction) : NULL;
}
LT_MOCK lt_tensor *lt_mock__cross_entropy(lt_ctx *ctx, lt_tensor *logits, lt_tensor *target, const lt_cross_entropy_opts *opts) {
    lt_tensor *p, *y;
    LT_MOCK__NEED(logits && target, NULL);
    if (opts && (opts->label_smoothing > 0 || opts->has_ignore_index || opts->weight)) { return (lt_tensor *)lt_mock__fail(ctx, LT_EUNSUPPORTED, "the mock host's cross entropy has no weights, smoothing and ignore_index"); }
    if (logits->ndim != 2 || target->ndim != 1 || target->n != logits->shape[0] || target->dtype != LT_I64) { return (lt_tensor *)lt_mock__fail(ctx, LT_ESHAPE, "lt_cross_entropy: logits must be (B, C), target (B) i64"); }
    p = lt_mock__log_softmax(ctx, logits, 1);
    y = lt_mock__make(ctx, logits->dtype, 1, target->shape);
    for (int64_t i = 0; p && y && i < y->n; i++) {
        int64_t t = (int64_t)lt_mock_get(target, i);
        if (t < 0 || t >= logits->shape[1]) { return (lt_tensor *)lt_mock__fail(ctx, LT_EINDEX, "lt_cross_entropy: target %lld of %lld classes", (long long)t, (long long)logits->shape[1]); }
        lt_mock_put(y, i, -lt_mock_get(p, i * logits->shape[1] + t));
    }
    return lt_mock__reduced(ctx, y, opts ? opts->reduction : LT_MEAN);
}
LT_MOCK lt_tensor *lt_mock__accuracy(lt_ctx *ctx, lt_tensor *logits, lt_tensor *target) { return lt_mock__reduce(ctx, lt_mock__cast(ctx, lt_mock__eq(ctx, lt_mock__argmax(ctx, logits, 1, false), target), LT_F32), NULL, 0, false, true); }

/* ---- lt.autograd/1: no gradients ---- */
LT_MOCK void lt_mock__set_grad_enabled(lt_ctx *ctx, bool enabled, bool *before) { (void)ctx; if (before) { *before = !enabled; } }
LT_MOCK lt_tensor *lt_mock__detach(lt_ctx *ctx, lt_tensor *x) { (void)ctx; return x; }
LT_MOCK lt_tensor *lt_mock__set_requires_grad(lt_ctx *ctx, lt_tensor *x, bool requires_grad) { (void)ctx; (void)requires_grad; return x; }
LT_MOCK lt_status lt_mock__backward(lt_ctx *ctx, lt_tensor *loss, lt_tensor *grad) { (void)loss; (void)grad; lt_mock__fail(ctx, LT_EUNSUPPORTED, "the mock host has no gradients"); return LT_EUNSUPPORTED; }
LT_MOCK lt_tensor *lt_mock__grad(lt_ctx *ctx, const lt_tensor *x) { (void)ctx; (void)x; return NULL; }
LT_MOCK lt_tensor *lt_mock__custom_apply(lt_ctx *ctx, const lt_custom_op *op, lt_tensor *const *inputs, int32_t n_inputs, const void *context, size_t context_size) {
    lt_dtype dtype = LT_F32;
    int32_t ndim = 0;
    int64_t shape[1][LT_MAX_DIMS] = {{0}};
    lt_tensor *output = NULL;
    lt_custom_call call = {sizeof call, n_inputs, 1, 0, inputs, &output, NULL, NULL, NULL, context, context_size};
    if (op->shape(ctx, &call, &dtype, &ndim, shape) != LT_OK) { return NULL; }
    output = lt_mock__make(ctx, dtype, ndim, shape[0]);
    return output && op->forward(ctx, &call) == LT_OK ? output : NULL;
}
LT_MOCK void lt_mock__save_for_backward(lt_ctx *ctx, const lt_custom_call *call, lt_tensor *x) { (void)ctx; (void)call; (void)x; }

/* ---- lt.nn/1 ---- */
LT_MOCK lt_module *lt_mock__module(lt_ctx *ctx, enum lt_mock_layer layer) {
    lt_module *m = (lt_module *)lt_mock__get(ctx->mock, sizeof *m);
    m->layer = layer;
    if (ctx->mock->n_modules < LT_MOCK_ITEMS) { ctx->mock->modules[ctx->mock->n_modules++] = m; }
    return m;
}
/* Between -1/sqrt(fan in) and 1/sqrt(fan in), always the same. */
LT_MOCK lt_tensor *lt_mock__weight(lt_ctx *ctx, int32_t ndim, const int64_t *shape, int64_t fan_in) {
    lt_tensor *x = lt_mock__rand(ctx, ndim, shape);
    return x ? lt_mock__map(ctx, x, NULL, 2 / sqrt((double)fan_in), -1 / sqrt((double)fan_in)) : NULL;
}
LT_MOCK lt_module *lt_mock__nn_linear(lt_ctx *ctx, int64_t in_features, int64_t out_features, bool bias) {
    const int64_t shape[2] = {out_features, in_features};
    lt_module *m = lt_mock__module(ctx, LT_MOCK_LINEAR);
    m->weight = lt_mock__weight(ctx, 2, shape, in_features);
    m->bias = bias ? lt_mock__weight(ctx, 1, shape, in_features) : NULL;
    return m;
}
LT_MOCK lt_module *lt_mock__nn_conv2d(lt_ctx *ctx, int64_t in_channels, int64_t out_channels, int32_t kernel, const lt_nn_conv2d_opts *opts) {
    lt_nn_conv2d_opts none = {0}, o = opts ? *opts : none;
    lt_module *m = lt_mock__module(ctx, LT_MOCK_CONV);
    const int64_t shape[4] = {out_channels, in_channels / (o.groups ? o.groups : 1), kernel, o.kernel_w ? o.kernel_w : kernel};
    m->weight = lt_mock__weight(ctx, 4, shape, shape[1] * shape[2] * shape[3]);
    m->bias = o.no_bias ? NULL : lt_mock__weight(ctx, 1, shape, shape[1] * shape[2] * shape[3]);
    m->conv.groups = o.groups;
    m->conv.stride[0] = o.stride;
    m->conv.stride[1] = o.stride_w ? o.stride_w : o.stride;
    m->conv.padding[0] = o.padding;
    m->conv.padding[1] = o.padding_w ? o.padding_w : o.padding;
    m->conv.dilation[0] = o.dilation;
    m->conv.dilation[1] = o.dilation_w ? o.dilation_w : o.dilation;
    return m;
}
LT_MOCK lt_module *lt_mock__nn_batch_norm(lt_ctx *ctx, int32_t spatial_dims, int64_t channels, const lt_nn_batch_norm_opts *opts) {
    lt_module *m = lt_mock__module(ctx, LT_MOCK_NORM);
    (void)spatial_dims;
    m->weight = lt_mock__full(ctx, LT_F32, 1, &channels, 1);
    m->bias = lt_mock__full(ctx, LT_F32, 1, &channels, 0);
    m->eps = opts && opts->eps > 0 ? opts->eps : 1e-5;
    return m;
}
LT_MOCK lt_module *lt_mock__nn_max_pool2d(lt_ctx *ctx, const lt_pool2d_opts *opts) { lt_module *m = lt_mock__module(ctx, LT_MOCK_MAX); m->pool = *opts; return m; }
LT_MOCK lt_module *lt_mock__nn_avg_pool2d(lt_ctx *ctx, const lt_pool2d_opts *opts) { lt_module *m = lt_mock__module(ctx, LT_MOCK_AVG); m->pool = *opts; return m; }
LT_MOCK lt_module *lt_mock__nn_flatten(lt_ctx *ctx, int32_t start_dim) { lt_module *m = lt_mock__module(ctx, LT_MOCK_FLATTEN); m->number = start_dim; return m; }
LT_MOCK lt_module *lt_mock__nn_activation(lt_ctx *ctx, lt_activation act) { lt_module *m = lt_mock__module(ctx, LT_MOCK_ACT); m->number = act; return m; }
LT_MOCK lt_module *lt_mock__nn_dropout(lt_ctx *ctx, double p) { (void)p; return lt_mock__module(ctx, LT_MOCK_DROPOUT); }
LT_MOCK lt_module *lt_mock__nn_sequential(lt_ctx *ctx, const char *name, lt_module *const *items, size_t count) {
    lt_module *m = lt_mock__module(ctx, LT_MOCK_SEQUENTIAL);
    lt_mock__copy(m->name, sizeof m->name, name);
    for (size_t i = 0; i < count && i < LT_MOCK_ITEMS; i++) {
        if (!items[i]) { return (lt_module *)lt_mock__fail(ctx, LT_EINVAL, "item %zu of %zu of '%s' is NULL, and no earlier call failed", i + 1, count, m->name); }
        m->items[m->count++] = items[i];
    }
    return m;
}
LT_MOCK lt_module *lt_mock__nn_child(lt_ctx *ctx, const char *name, lt_module *module) {
    if (!module) { return (lt_module *)lt_mock__fail(ctx, LT_EINVAL, "lt_child: module '%s' is NULL, and no earlier call failed", name); }
    lt_mock__copy(module->name, sizeof module->name, name);
    return module;
}
/* With the statistics of the batch, in training and out of it. */
LT_MOCK lt_tensor *lt_mock__norm(lt_ctx *ctx, const lt_module *m, lt_tensor *x) {
    lt_tensor *y = lt_mock__clone(ctx, x);
    if (!y || x->ndim < 2 || x->shape[1] != m->weight->n) { return (lt_tensor *)lt_mock__fail(ctx, LT_ESHAPE, "batch norm of %lld channels got another shape", (long long)m->weight->n); }
    for (int64_t c = 0; c < x->shape[1]; c++) {
        double sum = 0, squares = 0, n = (double)x->n / (double)x->shape[1];
        for (int64_t i = 0; i < x->n; i++) {
            double v = i / x->strides[1] % x->shape[1] == c ? lt_mock_get(x, i) : 0;
            sum += v;
            squares += v * v;
        }
        for (int64_t i = 0; i < x->n; i++) {
            if (i / x->strides[1] % x->shape[1] == c) { lt_mock_put(y, i, (lt_mock_get(x, i) - sum / n) / sqrt(squares / n - sum / n * sum / n + m->eps) * lt_mock_get(m->weight, c) + lt_mock_get(m->bias, c)); }
        }
    }
    return y;
}
LT_MOCK lt_tensor *lt_mock__nn_forward(lt_ctx *ctx, lt_module *m, lt_tensor *x) {
    if (!m || !x) { return (lt_tensor *)lt_mock__fail(ctx, LT_EINVAL, "lt_forward: the %s is NULL, and no earlier call failed", m ? "tensor" : "module"); }
    switch (m->layer) {
    case LT_MOCK_LINEAR: return lt_mock__linear(ctx, x, m->weight, m->bias, LT_ACT_NONE);
    case LT_MOCK_CONV: return lt_mock__conv2d(ctx, x, m->weight, m->bias, &m->conv);
    case LT_MOCK_NORM: return lt_mock__norm(ctx, m, x);
    case LT_MOCK_MAX: return lt_mock__pool(ctx, x, &m->pool, true);
    case LT_MOCK_AVG: return lt_mock__pool(ctx, x, &m->pool, false);
    case LT_MOCK_FLATTEN: return lt_mock__flatten(ctx, x, m->number);
    case LT_MOCK_ACT: return lt_mock__activate(ctx, x, m->number);
    case LT_MOCK_DROPOUT: return x;
    case LT_MOCK_SEQUENTIAL: break;
    }
    for (size_t i = 0; x && i < m->count; i++) { x = lt_mock__nn_forward(ctx, m->items[i], x); }
    return x;
}
LT_MOCK lt_tensor *lt_mock__nn_parameter(lt_ctx *ctx, const char *name, lt_dtype dtype, int32_t ndim, const int64_t *shape, double fill) { (void)name; return lt_mock__full(ctx, dtype, ndim, shape, fill); }
LT_MOCK lt_tensor *lt_mock__nn_module_parameter(lt_ctx *ctx, lt_module *m, const char *name) {
    lt_tensor *x = !m ? NULL : !strcmp(name, "weight") ? m->weight : !strcmp(name, "bias") ? m->bias : NULL;
    char *dot = NULL;
    size_t index = m && m->layer == LT_MOCK_SEQUENTIAL ? (size_t)strtoul(name, &dot, 10) : 0;
    if (dot && *dot == '.' && index < m->count) { return lt_mock__nn_module_parameter(ctx, m->items[index], dot + 1); }
    return x ? x : (lt_tensor *)lt_mock__fail(ctx, LT_EABSENT, "there is no parameter '%s'", name);
}
LT_MOCK void lt_mock__nn_freeze(lt_ctx *ctx, lt_module *m, bool frozen) { (void)ctx; m->frozen = frozen; for (size_t i = 0; i < m->count; i++) { m->items[i]->frozen = frozen; } }
LT_MOCK bool lt_mock__nn_training(lt_ctx *ctx) { return ctx->mock->training; }
LT_MOCK int64_t lt_mock__nn_module_count(lt_ctx *ctx) { return ctx->mock->n_modules; }
LT_MOCK lt_status lt_mock__nn_module_info(lt_ctx *ctx, int64_t index, lt_module_info *out) {
    const lt_module *m = index >= 0 && index < ctx->mock->n_modules ? ctx->mock->modules[index] : NULL;
    if (!m) { lt_mock__fail(ctx, LT_EINDEX, "there is no module %lld", (long long)index); return LT_EINDEX; }
    out->depth = 0;
    out->name = m->name;
    out->type = "Mock";
    out->parameters = out->trainable = (m->weight ? m->weight->n : 0) + (m->bias ? m->bias->n : 0);
    out->buffers = 0;
    out->in_ndim = out->out_ndim = -1;
    out->training = ctx->mock->training;
    return LT_OK;
}

/* ---- lt.trainer/1 ---- */
LT_MOCK const lt_moment *lt_mock__now(lt_ctx *ctx) { return &ctx->mock->moment; }
LT_MOCK lt_tensor *lt_mock__batch_get(lt_ctx *ctx, const lt_batch *batch, int32_t index) {
    if (!batch || index < 0 || index >= batch->count) { return (lt_tensor *)lt_mock__fail(ctx, LT_EINDEX, "the batch has no item %d", (int)index); }
    return batch->items[index].tensor;
}
LT_MOCK lt_tensor *lt_mock__batch_key(lt_ctx *ctx, const lt_batch *batch, const char *key) {
    for (int32_t i = 0; batch && i < batch->count; i++) {
        if (batch->items[i].key && !strcmp(batch->items[i].key, key)) { return batch->items[i].tensor; }
    }
    return (lt_tensor *)lt_mock__fail(ctx, LT_EABSENT, "the batch has no item '%s'", key);
}
LT_MOCK const void *lt_mock__batch_bytes(lt_ctx *ctx, const lt_batch *batch, int32_t index, size_t *size) {
    if (!batch || index < 0 || index >= batch->count || !batch->items[index].bytes) { return lt_mock__fail(ctx, LT_EINDEX, "the batch has no bytes at %d", (int)index); }
    *size = batch->items[index].size;
    return batch->items[index].bytes;
}
LT_MOCK int64_t lt_mock__batch_size(lt_ctx *ctx, const lt_batch *batch) { (void)ctx; return batch && batch->count && batch->items[0].tensor && batch->items[0].tensor->ndim ? batch->items[0].tensor->shape[0] : 1; }
LT_MOCK int32_t lt_mock__batch_count(lt_ctx *ctx, const lt_batch *batch) { (void)ctx; return batch ? batch->count : 0; }
LT_MOCK lt_status lt_mock__step_output(lt_ctx *ctx, lt_step_out *out, const char *name, lt_tensor *value) {
    LT_MOCK__NEED(value, LT_EINVAL);
    if (out->count < LT_MOCK_ITEMS) {
        char *copy = (char *)lt_mock__get(ctx->mock, strlen(name) + 1);
        strcpy(copy, name);
        out->items[out->count].key = copy;
        out->items[out->count++].tensor = value;
    }
    return LT_OK;
}
LT_MOCK lt_status lt_mock__step_loss(lt_ctx *ctx, lt_step_out *out, lt_tensor *loss) {
    ctx->mock->loss = lt_mock__item(ctx, loss);
    return ctx->mock->code ? ctx->mock->code : lt_mock__step_output(ctx, out, "loss", loss);
}
LT_MOCK lt_tensor *lt_mock__output(lt_ctx *ctx, const lt_step_out *out, const char *name) {
    (void)ctx;
    for (int32_t i = 0; out && i < out->count; i++) {
        if (!strcmp(out->items[i].key, name)) { return out->items[i].tensor; }
    }
    return NULL;
}
LT_MOCK void lt_mock_set_metric(lt_mock *mock, const char *name, double value) {
    lt_mock_value *v = lt_mock__find(mock->metrics, mock->n_metrics, name);
    if (!v && mock->n_metrics < LT_MOCK_ITEMS) { v = &mock->metrics[mock->n_metrics++]; }
    if (v) {
        lt_mock__copy(v->key, sizeof v->key, name);
        v->number = value;
    }
}
LT_MOCK void lt_mock__log_value(lt_ctx *ctx, const char *name, double value, uint32_t flags) { (void)flags; if (!ctx->mock->code) { lt_mock_set_metric(ctx->mock, name, value); } }
LT_MOCK void lt_mock__log_tensor(lt_ctx *ctx, const char *name, lt_tensor *value, uint32_t flags) { lt_mock__log_value(ctx, name, lt_mock__item(ctx, value), flags); }
LT_MOCK double lt_mock__metric(lt_ctx *ctx, const char *name) { lt_mock_value *v = lt_mock__find(ctx->mock->metrics, ctx->mock->n_metrics, name); return v ? v->number : (double)NAN; }
LT_MOCK bool lt_mock__has_metric(lt_ctx *ctx, const char *name) { return lt_mock__find(ctx->mock->metrics, ctx->mock->n_metrics, name) != NULL; }
LT_MOCK int32_t lt_mock__metric_count(lt_ctx *ctx, int32_t table) { (void)table; return ctx->mock->n_metrics; }
LT_MOCK const char *lt_mock__metric_at(lt_ctx *ctx, int32_t table, int32_t index, double *value) {
    (void)table;
    if (index < 0 || index >= ctx->mock->n_metrics) { return (const char *)lt_mock__fail(ctx, LT_EINDEX, "there is no metric %d", (int)index); }
    *value = ctx->mock->metrics[index].number;
    return ctx->mock->metrics[index].key;
}
LT_MOCK void lt_mock__log_text(lt_ctx *ctx, const char *name, const char *text) { (void)ctx; (void)name; (void)text; }
LT_MOCK void lt_mock__vrequest_stop(lt_ctx *ctx, const char *format, va_list args) { ctx->mock->stop = true; vsnprintf(ctx->mock->reason, sizeof ctx->mock->reason, format, args); }
LT_MOCK lt_status lt_mock__save_checkpoint(lt_ctx *ctx, const char *path, uint32_t flags) { (void)flags; if (ctx->mock->n_saved < 8) { lt_mock__copy(ctx->mock->saved[ctx->mock->n_saved++], 256, path); } return LT_OK; }
LT_MOCK lt_status lt_mock__remove_checkpoint(lt_ctx *ctx, const char *path) { if (ctx->mock->n_removed < 8) { lt_mock__copy(ctx->mock->removed[ctx->mock->n_removed++], 256, path); } return LT_OK; }
LT_MOCK const char *lt_mock__checkpoint_dir(lt_ctx *ctx) { (void)ctx; return "/mock/checkpoints"; }
LT_MOCK int32_t lt_mock__optimizer_count(lt_ctx *ctx) { (void)ctx; return 1; }
LT_MOCK const char *lt_mock__optimizer_name(lt_ctx *ctx, int32_t optimizer) { (void)optimizer; return ctx->mock->optim.optimizer; }
LT_MOCK int32_t lt_mock__group_count(lt_ctx *ctx, int32_t optimizer) { (void)ctx; (void)optimizer; return 1; }
LT_MOCK double lt_mock__group_value(lt_ctx *ctx, int32_t optimizer, int32_t group, const char *key) { (void)ctx; (void)optimizer; (void)group; return strcmp(key, "lr") ? (double)NAN : 0.1; }
LT_MOCK int32_t lt_mock__terminal_width(lt_ctx *ctx) { (void)ctx; return 0; }
LT_MOCK void lt_mock__terminal_status(lt_ctx *ctx, const char *line) { (void)ctx; (void)line; }

/* ---- lt.data/1 ---- */
LT_MOCK lt_dataset *lt_mock__dataset(lt_ctx *ctx, const lt_dataset_desc *desc) {
    lt_dataset *d = (lt_dataset *)lt_mock__get(ctx->mock, sizeof *d);
    d->desc = *desc;
    d->length = desc->length;
    return d;
}
LT_MOCK lt_dataset *lt_mock__subset(lt_ctx *ctx, lt_dataset *all, int64_t start, int64_t end) {
    lt_dataset *d = (lt_dataset *)lt_mock__get(ctx->mock, sizeof *d);
    if (!all || start < 0 || start > end || end > all->length) { return (lt_dataset *)lt_mock__fail(ctx, LT_EINDEX, "there are no samples %lld..%lld", (long long)start, (long long)end); }
    *d = *all;
    d->start += start;
    d->length = end - start;
    return d;
}
/* In order, not at random. */
LT_MOCK lt_status lt_mock__random_split(lt_ctx *ctx, lt_dataset *all, const int64_t *lengths, int32_t count, int64_t seed, lt_dataset **out) {
    int64_t at = 0;
    (void)seed;
    for (int32_t i = 0; i < count; at += lengths[i++]) { out[i] = lt_mock__subset(ctx, all, at, at + lengths[i]); }
    if (all && at != all->length) { lt_mock__fail(ctx, LT_EINVAL, "parts of %lld samples of %lld", (long long)at, (long long)all->length); }
    return ctx->mock->code;
}
LT_MOCK lt_loader *lt_mock__loader(lt_ctx *ctx, lt_dataset *dataset, const lt_loader_opts *opts) {
    lt_loader *l = (lt_loader *)lt_mock__get(ctx->mock, sizeof *l);
    if (!dataset) { return (lt_loader *)lt_mock__fail(ctx, LT_EINVAL, "lt_data_loader: the dataset is NULL, and no earlier call failed"); }
    l->dataset = dataset;
    if (opts) { l->opts = *opts; }
    return l;
}
LT_MOCK int64_t lt_mock__dataset_length(lt_ctx *ctx, const lt_dataset *dataset) { (void)ctx; return dataset->length; }
LT_MOCK void *lt_mock__batch_tensor(lt_ctx *ctx, lt_batch_out *out, const char *key, lt_dtype dtype, int32_t ndim, const int64_t *shape) {
    lt_mock_item *item = &out->batch.items[out->batch.count++];
    item->key = key;
    item->tensor = lt_mock__make(ctx, dtype, ndim, shape);
    return item->tensor ? item->tensor->data : NULL;
}
LT_MOCK void *lt_mock__batch_bytes_out(lt_ctx *ctx, lt_batch_out *out, const char *key, size_t size) {
    lt_mock_item *item = &out->batch.items[out->batch.count++];
    void *bytes = lt_mock__get(ctx->mock, size);
    item->key = key;
    item->bytes = bytes;
    item->size = size;
    return bytes;
}
LT_MOCK void lt_mock__gather(lt_ctx *ctx, float *dst, const uint8_t *src, const int64_t *indices, int64_t count, int64_t row, double mean, double std) {
    (void)ctx;
    for (int64_t i = 0; i < count * row; i++) { dst[i] = (float)(((double)src[indices[i / row] * row + i % row] / 255 - mean) / std); }
}
LT_MOCK lt_status lt_mock__fetch(lt_ctx *ctx, const char *path, const char *sha256, const char *const *urls, int32_t count) {
    FILE *file = fopen(path, "rb");
    (void)sha256;
    (void)urls;
    (void)count;
    if (!file) { lt_mock__fail(ctx, LT_EABSENT, "%s is absent, and the mock host downloads nothing", path); return LT_EABSENT; }
    fclose(file);
    return LT_OK;
}
LT_MOCK const char *lt_mock__format_path(lt_ctx *ctx, const char *dir, const char *name) {
    size_t size = strlen(dir) + strlen(name) + 2;
    char *path = (char *)lt_mock__get(ctx->mock, size);
    snprintf(path, size, "%s/%s", dir, name);
    return path;
}

/* ---- lt.logger/1, lt.optim/1, lt.metric/1 ---- */
LT_MOCK lt_file *lt_mock_file(lt_mock *mock, const char *path) { /* what a logger wrote; NULL: nothing of that name */
    for (int32_t i = 0; i < mock->n_files; i++) {
        if (!strcmp(mock->files[i]->path, path)) { return mock->files[i]; }
    }
    return NULL;
}
LT_MOCK lt_file *lt_mock__file_append(lt_ctx *ctx, const char *path) {
    lt_file *file = lt_mock_file(ctx->mock, path);
    if (!file && ctx->mock->n_files < 16) {
        file = ctx->mock->files[ctx->mock->n_files++] = (lt_file *)lt_mock__get(ctx->mock, sizeof *file);
        lt_mock__copy(file->path, sizeof file->path, path);
        file->data = (char *)lt_mock__get(ctx->mock, 1);
    }
    return file;
}
LT_MOCK void lt_mock__file_write(lt_ctx *ctx, lt_file *file, const void *data, size_t size) {
    char *grown = (char *)lt_mock__get(ctx->mock, file->size + size + 1);
    memcpy(grown, file->data, file->size);
    memcpy(grown + file->size, data, size);
    file->data = grown;
    file->size += size;
}
LT_MOCK void lt_mock__file_vprint(lt_ctx *ctx, lt_file *file, const char *format, va_list args) {
    char text[4096];
    vsnprintf(text, sizeof text, format, args);
    lt_mock__file_write(ctx, file, text, strlen(text));
}
LT_MOCK int64_t lt_mock__file_size(lt_ctx *ctx, lt_file *file) { (void)ctx; return (int64_t)file->size; }
LT_MOCK lt_status lt_mock__file_rewrite(lt_ctx *ctx, lt_file *file, const void *data, size_t size) { file->size = 0; lt_mock__file_write(ctx, file, data, size); return LT_OK; }
LT_MOCK const void *lt_mock__file_content(lt_ctx *ctx, lt_file *file, size_t *size) { (void)ctx; *size = file->size; return file->data; }
LT_MOCK const char *lt_mock__run_dir(lt_ctx *ctx) { (void)ctx; return "/mock"; }
LT_MOCK int64_t lt_mock__resume_step(lt_ctx *ctx) { (void)ctx; return -1; }
LT_MOCK lt_status lt_mock__use_optimizer(lt_ctx *ctx, lt_optim_setup *setup, const char *id, const char *params) {
    (void)ctx;
    lt_mock__copy(setup->optimizer, sizeof setup->optimizer, id);
    lt_mock__copy(setup->params, sizeof setup->params, params);
    return LT_OK;
}
LT_MOCK lt_status lt_mock__use_lr_scheduler(lt_ctx *ctx, lt_optim_setup *setup, const char *id, const char *params, const lt_lr_scheduler_opts *opts) {
    (void)ctx;
    lt_mock__copy(setup->scheduler, sizeof setup->scheduler, id);
    lt_mock__copy(setup->scheduler_params, sizeof setup->scheduler_params, params);
    if (opts) { setup->opts = *opts; }
    return LT_OK;
}
LT_MOCK lt_status lt_mock__sgd(lt_ctx *ctx, const lt_span *s, const lt_sgd_args *a) {
    (void)ctx;
    for (int64_t i = 0; i < s->n; i++) {
        double g = (a->maximize ? -1 : 1) * (double)s->grad[i] + a->weight_decay * (double)s->param[i], v = g;
        if (s->n_slots > 0) {
            v = s->step == 1 ? g : a->momentum * (double)s->slot[0][i] + (1 - a->dampening) * g;
            s->slot[0][i] = (float)v;
        }
        s->param[i] = (float)((double)s->param[i] - a->lr * (a->nesterov ? g + a->momentum * v : v));
    }
    return LT_OK;
}
LT_MOCK lt_status lt_mock__adam(lt_ctx *ctx, const lt_span *s, const lt_adam_args *a) {
    double c1 = 1 - pow(a->beta1, (double)s->step), c2 = 1 - pow(a->beta2, (double)s->step);
    if (s->n_slots < 2 || a->amsgrad) { lt_mock__fail(ctx, LT_EUNSUPPORTED, "the mock host's adam needs 2 slots and has no amsgrad"); return LT_EUNSUPPORTED; }
    for (int64_t i = 0; i < s->n; i++) {
        double p = (double)s->param[i] * (a->decoupled ? 1 - a->lr * a->weight_decay : 1);
        double g = (a->maximize ? -1 : 1) * (double)s->grad[i] + (a->decoupled ? 0 : a->weight_decay * p);
        double m = a->beta1 * (double)s->slot[0][i] + (1 - a->beta1) * g, v = a->beta2 * (double)s->slot[1][i] + (1 - a->beta2) * g * g;
        s->slot[0][i] = (float)m;
        s->slot[1][i] = (float)v;
        s->param[i] = (float)(p - a->lr / c1 * m / (sqrt(v) / sqrt(c2) + a->eps));
    }
    return LT_OK;
}
LT_MOCK lt_metric_handle *lt_mock__metric_make(lt_ctx *ctx, const char *id, const char *params) { (void)params; return (lt_metric_handle *)lt_mock__fail(ctx, LT_EUNSUPPORTED, "the mock host has no metric components (%s)", id); }
LT_MOCK void lt_mock__metric_update(lt_ctx *ctx, lt_metric_handle *metric, lt_tensor *preds, lt_tensor *target) { (void)ctx; (void)metric; (void)preds; (void)target; }
LT_MOCK void lt_mock__metric_log(lt_ctx *ctx, const char *name, lt_metric_handle *metric, uint32_t flags) { (void)ctx; (void)name; (void)metric; (void)flags; }

/* ---- the host ---- */
LT_MOCK const void *lt_mock__table(const lt_host *host, const char *id) {
    static const lt_base_api base = {sizeof base, LT_ABI_MINOR, lt_mock__vfail, lt_mock__status, lt_mock__vprint, lt_mock__seconds, lt_mock__alloc, lt_mock__free, lt_mock__put_i64, lt_mock__put_f64,
        lt_mock__put_text, lt_mock__put_bytes, lt_mock__get_i64, lt_mock__get_f64, lt_mock__get_text, lt_mock__get_bytes, lt_mock__state_version};
    static const lt_tensor_api tensor = {.struct_size = sizeof tensor, .ndim = lt_mock__ndim, .size = lt_mock__size, .numel = lt_mock__numel, .dtype = lt_mock__dtype, .item = lt_mock__item,
        .raw = lt_mock__raw, .retain = lt_mock__retain, .release = lt_mock__release, .full = lt_mock__full, .from_data = lt_mock__from_data, .arange = lt_mock__arange, .rand = lt_mock__rand,
        .randn = lt_mock__rand, .cast = lt_mock__cast, .clone = lt_mock__clone, .add = lt_mock__add, .sub = lt_mock__sub, .mul = lt_mock__mul, .div = lt_mock__div, .add_scalar = lt_mock__add_scalar,
        .mul_scalar = lt_mock__mul_scalar, .eq = lt_mock__eq, .neg = lt_mock__neg, .exp = lt_mock__exp, .log = lt_mock__log, .sqrt = lt_mock__sqrt, .abs = lt_mock__abs, .relu = lt_mock__relu,
        .tanh = lt_mock__tanh, .sigmoid = lt_mock__sigmoid, .gelu = lt_mock__gelu, .dropout = lt_mock__dropout, .sum = lt_mock__sum, .mean = lt_mock__mean, .argmax = lt_mock__argmax,
        .softmax = lt_mock__softmax, .log_softmax = lt_mock__log_softmax, .reshape = lt_mock__reshape, .flatten = lt_mock__flatten, .transpose = lt_mock__transpose, .permute = lt_mock__permute,
        .slice = lt_mock__slice, .cat = lt_mock__cat, .matmul = lt_mock__matmul, .linear = lt_mock__linear, .conv2d = lt_mock__conv2d, .max_pool2d = lt_mock__max_pool2d, .avg_pool2d = lt_mock__avg_pool2d,
        .mse_loss = lt_mock__mse_loss, .cross_entropy = lt_mock__cross_entropy, .accuracy = lt_mock__accuracy};
    static const lt_autograd_api autograd = {sizeof autograd, 0, lt_mock__set_grad_enabled, lt_mock__detach, lt_mock__set_requires_grad, lt_mock__backward, lt_mock__grad, lt_mock__custom_apply, lt_mock__save_for_backward};
    static const lt_nn_api nn = {sizeof nn, 0, lt_mock__nn_linear, lt_mock__nn_conv2d, lt_mock__nn_batch_norm, lt_mock__nn_max_pool2d, lt_mock__nn_avg_pool2d, lt_mock__nn_flatten, lt_mock__nn_activation,
        lt_mock__nn_dropout, lt_mock__nn_sequential, lt_mock__nn_child, lt_mock__nn_forward, lt_mock__nn_parameter, lt_mock__nn_module_parameter, lt_mock__nn_freeze, lt_mock__nn_training,
        lt_mock__nn_module_count, lt_mock__nn_module_info};
    static const lt_trainer_api trainer = {sizeof trainer, 0, lt_mock__now, lt_mock__batch_get, lt_mock__batch_key, lt_mock__batch_bytes, lt_mock__batch_size, lt_mock__batch_count, lt_mock__step_loss,
        lt_mock__step_output, lt_mock__output, lt_mock__log_tensor, lt_mock__log_value, lt_mock__metric, lt_mock__has_metric, lt_mock__metric_count, lt_mock__metric_at, lt_mock__log_text, lt_mock__vrequest_stop,
        lt_mock__save_checkpoint, lt_mock__remove_checkpoint, lt_mock__checkpoint_dir, lt_mock__optimizer_count, lt_mock__optimizer_name, lt_mock__group_count, lt_mock__group_value, lt_mock__terminal_width,
        lt_mock__terminal_status};
    static const lt_data_api data = {sizeof data, 0, lt_mock__dataset, lt_mock__random_split, lt_mock__subset, lt_mock__loader, lt_mock__dataset_length, lt_mock__batch_tensor, lt_mock__batch_bytes_out,
        lt_mock__gather, lt_mock__fetch, lt_mock__format_path};
    static const lt_logger_api logger = {sizeof logger, 0, lt_mock__file_append, lt_mock__file_write, lt_mock__file_vprint, lt_mock__file_size, lt_mock__file_rewrite, lt_mock__file_content, lt_mock__run_dir, lt_mock__resume_step};
    static const lt_optim_api optim = {sizeof optim, 0, lt_mock__use_optimizer, lt_mock__use_lr_scheduler, lt_mock__sgd, lt_mock__adam};
    static const lt_metric_api metric = {sizeof metric, 0, lt_mock__metric_make, lt_mock__metric_update, lt_mock__metric_log};
    static const struct { const char *id; const void *table; } tables[] = {{"lt.base/1", &base}, {"lt.tensor/1", &tensor}, {"lt.autograd/1", &autograd}, {"lt.nn/1", &nn}, {"lt.trainer/1", &trainer},
        {"lt.data/1", &data}, {"lt.logger/1", &logger}, {"lt.optim/1", &optim}, {"lt.metric/1", &metric}};
    (void)host;
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        if (!strcmp(tables[i].id, id)) { return tables[i].table; }
    }
    return NULL;
}
/* Forgets the failure, the step's results and what was printed. */
LT_MOCK void lt_mock_clear(lt_mock *mock) {
    mock->code = LT_OK;
    mock->error[0] = mock->printed[0] = 0;
    memset(&mock->out, 0, sizeof mock->out);
    mock->loss = (double)NAN;
}
LT_MOCK lt_mock *lt_mock_open(const lt_plugin *(*entry)(const lt_host *host)) {
    static const lt_host host = {sizeof host, LT_ABI_MAJOR, LT_ABI_MINOR, 0, "mock", lt_mock__table};
    lt_mock *mock = (lt_mock *)calloc(1, sizeof *mock);
    if (!mock) { abort(); }
    mock->ctx.mock = mock;
    mock->training = true;
    mock->moment.struct_size = sizeof mock->moment;
    mock->moment.stage = LT_STAGE_FIT;
    mock->optim.opts.struct_size = sizeof mock->optim.opts;
    lt_mock_clear(mock);
    mock->plugin = entry(&host);
    if (!mock->plugin) { abort(); } /* the plugin was compiled with other headers than this test */
    return mock;
}
/* Frees everything; 1 if an lt_mock_check failed, else 0. */
LT_MOCK int lt_mock_close(lt_mock *mock) {
    int failed = mock->failures > 0;
    for (size_t i = 0; i < mock->n_memory; i++) { free(mock->memory[i]); }
    free(mock->memory);
    free(mock);
    return failed;
}
LT_MOCK lt_ctx *lt_mock_ctx(lt_mock *mock) { return &mock->ctx; }
/* The struct of a component, to be given to a pointer of its kind; ends the test if the plugin has none such. */
LT_MOCK const void *lt_mock_component(lt_mock *mock, const char *kind, const char *id) {
    for (const lt_component *const *c = mock->plugin->components; *c; c++) {
        if (!strcmp((*c)->kind, kind) && !strcmp((*c)->id, id)) { return *c; }
    }
    fprintf(stderr, "plugin %s has no %s %s\n", mock->plugin->id, kind, id);
    abort();
}
LT_MOCK const void *lt_mock__numbers(lt_mock *mock, const char *text, bool floats, int64_t *count) {
    void *items = lt_mock__get(mock, strlen(text) * 8 + 8);
    char *end;
    for (*count = 0; *(text += strspn(text, "[], ")); text = end) {
        double value = strtod(text, &end);
        if (end == text) { break; }
        if (floats) { ((double *)items)[(*count)++] = value; } else { ((int64_t *)items)[(*count)++] = (int64_t)value; }
    }
    return items;
}
LT_MOCK int32_t lt_mock__choice(const char *choices, const char *word) {
    size_t length = strlen(word);
    for (int32_t index = 0; choices; index++) {
        if (!strncmp(choices, word, length) && (choices[length] == '|' || !choices[length])) { return index; }
        choices = strchr(choices, '|');
        choices += choices ? 1 : 0;
    }
    return -1;
}
LT_MOCK void lt_mock__bind(lt_mock *mock, const lt_param *p, void *self, const char *text) {
    void *field = (char *)self + p->offset;
    bool given = text && strcmp(text, "null") != 0;
    switch (p->type) {
    case LT_PARAM_INT: *(int64_t *)field = given ? strtoll(text, NULL, 10) : 0; break;
    case LT_PARAM_FLOAT: *(double *)field = given ? strtod(text, NULL) : 0; break;
    case LT_PARAM_BOOL: *(bool *)field = given && !strcmp(text, "true"); break;
    case LT_PARAM_TEXT: *(const char **)field = given ? text : NULL; break;
    case LT_PARAM_CHOICE: *(int32_t *)field = lt_mock__choice(p->choices, text ? text : ""); break;
    case LT_PARAM_OPT_INT: ((lt_opt_int *)field)->given = given; ((lt_opt_int *)field)->value = given ? strtoll(text, NULL, 10) : 0; break;
    case LT_PARAM_OPT_FLOAT: ((lt_opt_float *)field)->given = given; ((lt_opt_float *)field)->value = given ? strtod(text, NULL) : 0; break;
    case LT_PARAM_INTS: ((lt_ints *)field)->items = (const int64_t *)lt_mock__numbers(mock, given ? text : "", false, &((lt_ints *)field)->count); break;
    case LT_PARAM_FLOATS: ((lt_floats *)field)->items = (const double *)lt_mock__numbers(mock, given ? text : "", true, &((lt_floats *)field)->count); break;
    default: break; /* lists of texts and records stay empty: set them by hand */
    }
}
/* A new self: constructed, defaults bound, then the pairs of key and value (texts, static) up to NULL. */
LT_MOCK __attribute__((sentinel)) void *lt_mock_new(lt_mock *mock, const lt_component *component, ...) {
    const lt_params *schema = component->params();
    void *self = lt_mock__get(mock, schema->self_size);
    const char *key;
    va_list args;
    if (component->construct) { component->construct(self); }
    for (uint32_t i = 0; i < schema->count; i++) { lt_mock__bind(mock, &schema->items[i], self, schema->items[i].initial); }
    va_start(args, component);
    while ((key = va_arg(args, const char *)) != NULL) {
        const char *value = va_arg(args, const char *);
        bool known = false;
        for (uint32_t i = 0; i < schema->count; i++) {
            if (!strcmp(schema->items[i].key, key)) {
                lt_mock__bind(mock, &schema->items[i], self, value);
                known = true;
            }
        }
        if (!known) { lt_mock__fail(&mock->ctx, LT_ECONFIG, "%s has no parameter '%s'", component->id, key); }
    }
    va_end(args);
    return self;
}
/* A batch of tensors, as a list. */
LT_MOCK const lt_batch *lt_mock_batch(lt_mock *mock, lt_tensor *const *items, int32_t count) {
    lt_batch *batch = (lt_batch *)lt_mock__get(mock, sizeof *batch);
    for (int32_t i = 0; i < count && i < LT_MOCK_ITEMS; i++) { batch->items[batch->count++].tensor = items[i]; }
    return batch;
}
/* Samples first..first+count-1 of a loader's dataset, as the plugin's get_batch fills them. NULL if it failed. */
LT_MOCK const lt_batch *lt_mock_load(lt_mock *mock, const lt_loader *loader, int64_t first, int64_t count) {
    lt_batch_out *out = (lt_batch_out *)lt_mock__get(mock, sizeof *out);
    int64_t *indices = (int64_t *)lt_mock__get(mock, (size_t)count * sizeof *indices);
    for (int64_t i = 0; i < count; i++) { indices[i] = loader->dataset->start + first + i; }
    return loader->dataset->desc.get_batch(&mock->ctx, loader->dataset->desc.data, indices, count, out) == LT_OK && !mock->code ? &out->batch : NULL;
}
LT_MOCK double lt_mock_metric(lt_mock *mock, const char *name) { return lt_mock__metric(&mock->ctx, name); }
/* The same state, for load, as if `version` had written it. */
LT_MOCK const lt_state_reader *lt_mock_reader(lt_mock *mock, const lt_state_writer *written, uint32_t version) {
    lt_state_reader *in = (lt_state_reader *)lt_mock__get(mock, sizeof *in);
    in->state = written->state;
    in->state.version = version;
    return in;
}
LT_MOCK lt_state_writer *lt_mock_writer(lt_mock *mock) { return (lt_state_writer *)lt_mock__get(mock, sizeof(lt_state_writer)); }
#define lt_mock_check(mock, condition) \
    ((condition) ? (void)0 : (void)((mock)->failures++, fprintf(stderr, "%s:%d: not so: %s%s%s\n", __FILE__, __LINE__, #condition, (mock)->code ? "; " : "", (mock)->error)))
#endif
