/* engine/backends/reference/updates.c - optimizer updates and passes over flat memory of f32, f64 or bf16; it refuses f16.
 * Every intermediate has the parameters' dtype, in the order of PyTorch's single-tensor optimizers (torch/optim/{sgd,adam}.py of 2.x); bias
 * corrections and scalar factors are computed in double and rounded once. One element after another: no vectors, no fma. */
#include "engine/backends/reference/reference.h"
#include "base/str.h"
#include "engine/backends/rules/low.h"

#define T float
#define T_NAME(f) f##_f32
#define T_ABS fabsf
#define T_SQRT sqrtf
#include "engine/backends/reference/updates_body.h"

#define T double
#define T_NAME(f) f##_f64
#define T_ABS fabs
#define T_SQRT sqrt
#include "engine/backends/reference/updates_body.h"

static void update_low(const lth_low *u, const lt_span *span) {
    uint16_t *slot[LTH_RULE_SLOTS] = {span->slot[0], span->slot[1], span->slot[2]};
    low_update(u, span->n, span->param, span->grad, slot);
}

static lt_status refuse(const char *what, lt_dtype dtype, lth_error *err) {
    return lth_fail(err, LT_EUNSUPPORTED, "%s: the reference backend has no update of %s parameters", what, lth_dtype_name(dtype));
}

lt_status ref_sgd(lth_device *device, const lt_span *span, const lt_sgd_args *args, lth_error *err) {
    (void)device;
    if (args->momentum != 0 && (span->n_slots < 1 || !span->slot[0])) {
        return lth_fail(err, LT_EINVAL, "sgd: momentum %g needs slot 0 (momentum_buffer)", args->momentum);
    }
    switch (span->dtype) {
    case LT_F32: sgd_f32(span, args); return LT_OK;
    case LT_F64: sgd_f64(span, args); return LT_OK;
    case LT_BF16: update_low(&(lth_low){.kind = LTH_LOW_SGD, .sgd = args, .step = span->step}, span); return LT_OK;
    default: return refuse("sgd", span->dtype, err);
    }
}

lt_status ref_adam(lth_device *device, const lt_span *span, const lt_adam_args *args, lth_error *err) {
    (void)device;
    int needed = args->amsgrad ? 3 : 2;
    for (int k = 0; k < needed; k++) {
        if (span->n_slots <= k || !span->slot[k]) {
            return lth_fail(err, LT_EINVAL, "adam: needs %d slots, got %d", needed, (int)span->n_slots);
        }
    }
    switch (span->dtype) {
    case LT_F32: adam_f32(span, args); return LT_OK;
    case LT_F64: adam_f64(span, args); return LT_OK;
    case LT_BF16: update_low(&(lth_low){.kind = LTH_LOW_ADAM, .adam = args, .step = span->step}, span); return LT_OK;
    default: return refuse("adam", span->dtype, err);
    }
}

lt_status ref_rule_low(const lt_span *span, const lth_rule *rule) {
    update_low(&(lth_low){.kind = LTH_LOW_RULE, .rule = rule}, span);
    return LT_OK;
}

lt_status ref_sum_squares(lth_device *device, lt_dtype dtype, const void *x, int64_t n, double *out, lth_error *err) {
    (void)device;
    *out = 0;
    switch (dtype) {
    case LT_F32: *out = squares_f32(x, n); return LT_OK;
    case LT_F64: *out = squares_f64(x, n); return LT_OK;
    case LT_BF16: *out = low_squares(n, x); return LT_OK;
    default: return refuse("sum_squares", dtype, err);
    }
}

lt_status ref_scale(lth_device *device, lt_dtype dtype, void *x, int64_t n, double factor, lth_error *err) {
    (void)device;
    switch (dtype) {
    case LT_F32: scale_f32(x, n, (float)factor); return LT_OK;
    case LT_F64: scale_f64(x, n, factor); return LT_OK;
    case LT_BF16: low_update(&(lth_low){.kind = LTH_LOW_SCALE, .low = factor}, n, x, NULL, NULL); return LT_OK;
    default: return refuse("scale", dtype, err);
    }
}

lt_status ref_clamp(lth_device *device, lt_dtype dtype, void *x, int64_t n, double low, double high, lth_error *err) {
    (void)device;
    switch (dtype) {
    case LT_F32: clamp_f32(x, n, (float)low, (float)high); return LT_OK;
    case LT_F64: clamp_f64(x, n, low, high); return LT_OK;
    case LT_BF16: low_update(&(lth_low){.kind = LTH_LOW_CLAMP, .low = low, .high = high}, n, x, NULL, NULL); return LT_OK;
    default: return refuse("clamp", dtype, err);
    }
}

lt_status ref_zero(lth_device *device, void *memory, size_t bytes, lth_error *err) {
    (void)device, (void)err;
    memset(memory, 0, bytes);
    return LT_OK;
}
