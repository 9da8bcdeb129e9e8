/* backends/cpu/dropout.c - DROPOUT of any float dtype: PyTorch's draws, one of 64 bits for each element in row-major order. The workspace keeps
 * the factor of every element, f64 for f64, else f32. The draws come from one thread, in bulk where the caller can; for f32 the product is made
 * while they are warm. Refuses blocked layouts and strides: the order of the draws is that of rows. */
#include "engine/backends/cpu/walk.h"
#include <math.h>

enum { BULK = 1024 };
static bool dropout_plan(lth_device *d, lth_call *call) {
    const lth_array *x = call->in[0];
    (void)d;
    if (!lth_plain(x) || lth_count(x) == 0) {
        return false;
    }
    call->workspace_bytes = lth_floats((size_t)lth_count(x) * (x->dtype == LT_F64 ? 2 : 1));
    return true;
}
/* 1 / (1 - p) in the tensor's own precision, as PyTorch's noise.div_(1 - p). */
static double dropout_factor(const lth_device *d, const lth_array *x, double p) {
    uint16_t half;
    float factor = 1.f / (float)(1 - p);
    if (p >= 1 || x->dtype == LT_F64) {
        return p >= 1 ? 0 : 1 / (1 - p);
    }
    if (x->dtype != LT_F32) {
        d->isa.narrow(x->dtype, 1, &factor, &half);
        d->isa.widen(x->dtype, 1, &half, &factor);
    }
    return (double)factor;
}
/* y (+)= x mask */
static void masked(lth_device *d, const lth_call *call, const lth_array *x, const lth_array *y, bool add) {
    if (x->dtype == LT_F32) {
        d->isa.product(lth_count(x), y->data, x->data, call->workspace, 1.f, add);
        return;
    }
    lth_array mask = *x;
    mask.data = call->workspace;
    mask.dtype = x->dtype == LT_F64 ? LT_F64 : LT_F32;
    lth_work w = {.d = d, .by = lth_class_of(x->dtype), .deed = LTH_DO_PAIR, .op = LTH_P_MUL, .g = -1, .add = add};
    lth_nest_init(&w.nest, x->ndim, x->shape);
    w.a = lth_nest_add(&w.nest, x);
    w.b = lth_nest_add(&w.nest, &mask);
    w.out = lth_nest_add(&w.nest, y);
    lth_nest_join(&w.nest);
    lth_work_run(&w, 3e-4);
}
static void draw(const lth_call *call, int64_t n, uint64_t *bits) {
    if (call->random_many) {
        call->random_many(call->random_state, bits, n);
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        bits[i] = call->random(call->random_state);
    }
}
static lt_status dropout_forward(lth_device *d, const lth_call *call, lth_error *err) {
    const lth_array *x = call->in[0];
    const int64_t n = lth_count(x);
    const double p = call->attrs->f[0], keep = 1 - p, factor = dropout_factor(d, x, p);
    const bool drawn = p > 0 && p < 1; /* else nothing is drawn, as in PyTorch: the generator stays where it is */
    const uint64_t below = (uint64_t)ceil(keep * 0x1p53); /* bits 2^-53 < keep, in whole numbers */
    float *mask = call->workspace;
    double *wide = x->dtype == LT_F64 ? call->workspace : NULL;
    uint64_t bits[BULK] = {0};
    if (drawn && !call->random) {
        return lth_fail(err, LT_EINVAL, "dropout: the call brings no random generator");
    }
    for (int64_t at = 0; at < n; at += BULK) {
        const int64_t some = lth_min64(BULK, n - at);
        if (drawn) {
            draw(call, some, bits);
        }
        for (int64_t i = 0; wide && i < some; i++) {
            wide[at + i] = !drawn || (bits[i] & 0x1fffffffffffffu) < below ? factor : 0;
        }
        if (!wide && drawn) {
            d->isa.keep_mask(some, bits, below, (float)factor, mask + at);
        } else if (!wide) {
            d->isa.fill(some, mask + at, (float)factor);
        }
        if (x->dtype == LT_F32) {
            d->isa.product(some, lth_f32(call->out[0]) + at, lth_f32(x) + at, mask + at, 1.f, false);
        }
    }
    if (x->dtype != LT_F32) {
        masked(d, call, x, call->out[0], false);
    }
    return LT_OK;
}
static lt_status dropout_backward(lth_device *d, const lth_call *call, lth_error *err) {
    (void)err;
    if (!lth_cpu_no_gradient(d, call) && call->need[0]) {
        masked(d, call, call->grad_out[0], call->grad_in[0], call->accumulate[0]);
    }
    return LT_OK;
}
const lth_kernel lth_cpu_dropout = {dropout_plan, dropout_forward, dropout_backward};
