/* engine/ops/facts.c - the slots of lt.tensor/1 that ask about tensors, open their memory, keep them and make new ones.
 * A NULL that no earlier failure explains is a failure itself; after a failure every call does nothing but release what was kept. */
#include "engine/ops/table.h"
#include "base/mem.h"
#include "base/str.h"
#include "engine/ops/shapes.h"
#include <math.h>

#define ENTER(op, result) LTH_ENTER(ctx, LTH_TRAINER_THREAD, op, result)
#define GIVEN(x, position, op, result) do { if (!lth_given(ctx, x, position, op, LTH_CALLER)) { return result; } } while (0)

bool lth_given(lt_ctx *ctx, const void *argument, int position, const char *op, void *caller) {
    if (argument) {
        return true;
    }
    lth_fail_op(&ctx->error, LT_EINVAL, op, caller, "argument %d is NULL, and no earlier call failed", position);
    return false;
}

/* ---- facts ---- */

int32_t lth_api_ndim(lt_ctx *ctx, const lt_tensor *x) {
    ENTER("lt_ndim", 0);
    GIVEN(x, 2, "lt_ndim", 0);
    return x->a.ndim;
}

int64_t lth_api_size(lt_ctx *ctx, const lt_tensor *x, int32_t dim) {
    ENTER("lt_size", 0);
    GIVEN(x, 2, "lt_size", 0);
    int32_t d = dim < 0 ? dim + x->a.ndim : dim;
    if (d < 0 || d >= x->a.ndim) {
        lth_fail_op(&ctx->error, LT_EINDEX, "lt_size", LTH_CALLER, "x %s has no dimension %d", lth_shown(&x->a).text, (int)dim);
        return 0;
    }
    return x->a.shape[d];
}

int64_t lth_api_numel(lt_ctx *ctx, const lt_tensor *x) {
    ENTER("lt_numel", 0);
    GIVEN(x, 2, "lt_numel", 0);
    return lth_numel(x);
}

lt_dtype lth_api_dtype(lt_ctx *ctx, const lt_tensor *x) {
    ENTER("lt_dtype_of", 0);
    GIVEN(x, 2, "lt_dtype_of", 0);
    return x->a.dtype;
}

double lth_api_item(lt_ctx *ctx, lt_tensor *x) {
    ENTER("lt_item", NAN);
    GIVEN(x, 2, "lt_item", NAN);
    if (lth_numel(x) != 1) {
        lth_fail_op(&ctx->error, LT_ESHAPE, "lt_item", LTH_CALLER, "x %s must have one element", lth_shown(&x->a).text);
        return NAN;
    }
    double value;
    return lth_tensor_read(x, 0, 1, &value, &ctx->error) == LT_OK ? value : NAN;
}

const double *lth_api_doubles(lt_ctx *ctx, lt_tensor *x) {
    ENTER("lt_doubles", NULL);
    GIVEN(x, 2, "lt_doubles", NULL);
    int64_t n = lth_numel(x);
    double *out = lth_step_host(ctx->engine, (size_t)(n ? n : 1) * sizeof *out);
    if (!out) {
        lth_fail_op(&ctx->error, LT_ENOMEM, "lt_doubles", LTH_CALLER, "out of memory: %lld doubles", (long long)n);
        return NULL;
    }
    return n == 0 || lth_tensor_read(x, 0, n, out, &ctx->error) == LT_OK ? out : NULL;
}

/* ---- raw memory ---- */

/* What x is read through: x, or a row-major copy. Not differentiable: no tape may see it. */
static lt_tensor *row_major(lt_ctx *ctx, lt_tensor *x) {
    bool enabled = ctx->engine->grad_enabled;
    ctx->engine->grad_enabled = false;
    lt_tensor *y = lth_contiguous(ctx, x);
    ctx->engine->grad_enabled = enabled;
    return y;
}

/* A tensor in a kernel's blocked layout that is to be written moves to row-major memory. */
static bool make_writable(lt_ctx *ctx, lt_tensor *x, void *caller) {
    if (x->copied) {
        lth_fail_op(&ctx->error, LT_ESTATE, "lt_raw", caller, "x %s is a copy, not a view: what it was made of is not row-major; write to lt_clone(x)",
                    lth_shown(&x->a).text);
        return false;
    }
    if (x->a.layout != LTH_STRIDED && !lth_make_strided(ctx, x)) {
        lth_fail_op(&ctx->error, LT_ESTATE, "lt_raw", caller, "x %s is not row-major and cannot become so: it is retained, collects a gradient, or backward is "
                    "on its way; write to lt_clone(x)", lth_shown(&x->a).text);
        return false;
    }
    lth_root(x)->version++;
    return true;
}

static void describe_dtype(lt_dtype dtype, lt_view *out) {
    static const uint8_t codes[] = {[LT_F64] = 2, [LT_F32] = 2, [LT_F16] = 2, [LT_BF16] = 4, [LT_I64] = 0, [LT_I32] = 0, [LT_U8] = 1, [LT_BOOL] = 6};
    out->dtype.code = codes[dtype];
    out->dtype.bits = (uint8_t)(8 * lth_dtype_size(dtype));
    out->dtype.lanes = 1;
}

lt_status lth_api_raw(lt_ctx *ctx, lt_tensor *x, int32_t access, lt_view *out) {
    ENTER("lt_raw", ctx->error.code);
    GIVEN(x, 2, "lt_raw", ctx->error.code);
    GIVEN(out, 4, "lt_raw", ctx->error.code);
    if (access < LT_READ || access > (LT_READ | LT_WRITE)) {
        return lth_fail_op(&ctx->error, LT_EINVAL, "lt_raw", LTH_CALLER, "access is %d; use LT_READ, LT_WRITE or both", (int)access);
    }
    if (out->struct_size < sizeof *out) {
        return lth_fail_op(&ctx->error, LT_EABI, "lt_raw", LTH_CALLER, "out->struct_size is %u; set it to sizeof(lt_view)", out->struct_size);
    }
    lth_engine *e = ctx->engine;
    if (access & LT_WRITE) {
        if (!make_writable(ctx, x, LTH_CALLER)) {
            return ctx->error.code;
        }
    } else {
        x = row_major(ctx, x);
        if (!x) {
            return ctx->error.code;
        }
    }
    out->access = access;
    out->data = x->a.data;
    out->device.device_type = e->backend->device_type;
    out->device.device_id = 0;
    out->ndim = x->a.ndim;
    describe_dtype(x->a.dtype, out);
    out->shape = x->a.shape;
    out->strides = x->a.strides;
    out->byte_offset = 0;
    out->stream = e->backend->stream ? e->backend->stream(e->device) : NULL;
    return LT_OK;
}

/* ---- keeping ---- */

lt_tensor *lth_api_retain(lt_ctx *ctx, lt_tensor *x) {
    ENTER("lt_retain", NULL);
    GIVEN(x, 2, "lt_retain", NULL);
    lt_tensor *kept = lth_tensor_retain(x);
    if (!kept) {
        lth_fail_op(&ctx->error, LT_ENOMEM, "lt_retain", LTH_CALLER, "out of memory for x %s", lth_shown(&x->a).text);
    }
    return kept;
}

void lth_api_release(lt_ctx *ctx, lt_tensor *x) {
    if (!x) {
        return;
    }
    if (ctx->error.code == LT_OK) { /* after a failure what was kept must still be given up */
        ENTER("lt_release", );
    }
    lth_tensor_release(x);
}

/* ---- making ---- */

static bool check_new(lt_ctx *ctx, int32_t ndim, const int64_t *shape, int position, const char *op, void *caller) {
    if (ndim < 0 || ndim > LT_MAX_DIMS) {
        lth_fail_op(&ctx->error, LT_ESHAPE, op, caller, "%d dimensions; a tensor has 0 to %d", (int)ndim, LT_MAX_DIMS);
        return false;
    }
    return ndim == 0 || lth_given(ctx, shape, position, op, caller);
}

lt_tensor *lth_api_full(lt_ctx *ctx, lt_dtype dtype, int32_t ndim, const int64_t *shape, double value) {
    ENTER("lt_full", NULL);
    if (!check_new(ctx, ndim, shape, 4, "lt_full", LTH_CALLER)) {
        return NULL;
    }
    lth_attrs attrs = {.i = {dtype, ndim}, .f = {value}};
    for (int d = 0; d < ndim; d++) {
        attrs.i[2 + d] = shape[d];
    }
    return lth_apply(ctx, LTH_OP_FULL, NULL, 0, &attrs, LTH_CALLER);
}

lt_tensor *lth_api_from_data(lt_ctx *ctx, lt_dtype dtype, int32_t ndim, const int64_t *shape, const void *data) {
    ENTER("lt_from_data", NULL);
    if (!check_new(ctx, ndim, shape, 4, "lt_from_data", LTH_CALLER)) {
        return NULL;
    }
    lt_tensor *x = lth_blamed(ctx, lth_tensor_new(ctx->engine, dtype, ndim, shape, &ctx->error), LTH_CALLER);
    size_t bytes = x ? (size_t)lth_numel(x) * lth_dtype_size(dtype) : 0;
    if (!x || bytes == 0) {
        return x;
    }
    GIVEN(data, 5, "lt_from_data", NULL);
    return lth_tensor_from_host(x, data, bytes, &ctx->error) == LT_OK ? x : NULL;
}

lt_tensor *lth_api_arange(lt_ctx *ctx, lt_dtype dtype, double start, double end, double step) {
    ENTER("lt_arange", NULL);
    double count = ceil((end - start) / step);
    if (step == 0 || !(count >= 0) || count > 0x1p53) {
        lth_fail_op(&ctx->error, LT_EINVAL, "lt_arange", LTH_CALLER, "no end from %g to %g in steps of %g", start, end, step);
        return NULL;
    }
    lth_attrs attrs = {.i = {dtype, 1, (int64_t)count}, .f = {start, step}};
    return lth_apply(ctx, LTH_OP_ARANGE, NULL, 0, &attrs, LTH_CALLER);
}

typedef struct draw { /* of one distribution, per dtype */
    void (*f32)(lth_generator *g, float *out, int64_t n, double first, double second);
    void (*f64)(lth_generator *g, double *out, int64_t n, double first, double second);
} draw;

static void fill(lth_engine *e, const draw *d, void *out, int64_t n) {
    if (e->dtype == LT_F64) {
        d->f64(&e->generator, out, n, 0, 1);
    } else {
        d->f32(&e->generator, out, n, 0, 1);
    }
}

/* Drawn on the host, whatever the device: the bits are PyTorch's CPU generator's. */
static lt_tensor *random_tensor(lt_ctx *ctx, int32_t ndim, const int64_t *shape, const draw *d, const char *op, void *caller) {
    if (!check_new(ctx, ndim, shape, 3, op, caller)) {
        return NULL;
    }
    lth_engine *e = ctx->engine;
    lt_tensor *x = lth_blamed(ctx, lth_tensor_new(e, e->dtype == LT_F64 ? LT_F64 : LT_F32, ndim, shape, &ctx->error), caller);
    int64_t n = x ? lth_numel(x) : 0;
    if (n == 0) {
        return x;
    }
    if (e->backend->device_type == 1) {
        fill(e, d, x->a.data, n);
        return x;
    }
    size_t bytes = (size_t)n * lth_dtype_size(x->a.dtype);
    void *values = lth_alloc(bytes);
    if (!values) {
        lth_fail_op(&ctx->error, LT_ENOMEM, op, caller, "out of memory: %lld numbers", (long long)n);
        return NULL;
    }
    fill(e, d, values, n);
    lt_status status = lth_tensor_from_host(x, values, bytes, &ctx->error);
    lth_free(values);
    return status == LT_OK ? x : NULL;
}

lt_tensor *lth_api_rand(lt_ctx *ctx, int32_t ndim, const int64_t *shape) {
    ENTER("lt_rand", NULL);
    static const draw uniform = {lth_uniform_f32, lth_uniform_f64};
    return random_tensor(ctx, ndim, shape, &uniform, "lt_rand", LTH_CALLER);
}

lt_tensor *lth_api_randn(lt_ctx *ctx, int32_t ndim, const int64_t *shape) {
    ENTER("lt_randn", NULL);
    static const draw normal = {lth_normal_f32, lth_normal_f64};
    return random_tensor(ctx, ndim, shape, &normal, "lt_randn", LTH_CALLER);
}
