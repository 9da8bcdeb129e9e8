/* backends/cpu/updates.c - the fused passes over flat memory of f32: optimizer updates, the norm of a gradient, scaling, zeroing; it hands f64
 * to updates64.c and bf16 to updates_low.c.
 * Chunks of 16384 elements, the same for any number of threads. */
#include "engine/backends/cpu/cpu.h"
#include "engine/backends/rules/rules.h"
#include <math.h>

enum { CHUNK = 16384 };
typedef struct flat {
    lth_device *d;
    int64_t n;
    float *p, *m, *v, *top;
    const float *g;
    lth_sgd_values sgd;
    lth_adam_values adam;
    float a, b;
    double *parts;
} flat;
static int64_t width(const flat *f, int64_t chunk) { return lth_min64(CHUNK, f->n - chunk * CHUNK); }
static float *at(float *p, int64_t chunk) { return p ? p + chunk * CHUNK : NULL; }

static lt_status check(const lt_span *span, int slots, const char *what, lth_error *err) {
    if (!span->param || !span->grad || span->n < 0) {
        return lth_fail(err, LT_EINVAL, "%s: the span \"%s\" has no parameter or gradient memory", what, span->name ? span->name : "");
    }
    if (span->dtype != LT_F32 && span->dtype != LT_F64 && span->dtype != LT_BF16) {
        return lth_fail(err, LT_EUNSUPPORTED, "%s: the cpu backend updates f32, f64 and bf16 parameters; those of \"%s\" are none of these", what,
                        span->name ? span->name : "");
    }
    for (int i = 0; i < slots; i++) {
        if (i >= span->n_slots || !span->slot[i]) {
            return lth_fail(err, LT_EINVAL, "%s: the span \"%s\" has %d state slots, %d are needed", what, span->name ? span->name : "",
                            (int)span->n_slots, slots);
        }
    }
    return LT_OK;
}
static void sgd_chunk(void *arg, int64_t c, int thread) {
    flat *f = arg;
    (void)thread;
    f->d->isa.sgd(width(f, c), at(f->p, c), f->g + c * CHUNK, at(f->m, c), &f->sgd);
}
lt_status lth_cpu_sgd(lth_device *d, const lt_span *span, const lt_sgd_args *args, lth_error *err) {
    const lt_status status = check(span, args->momentum != 0, "sgd", err);
    if (status < 0 || span->dtype == LT_F64) {
        return status < 0 ? status : lth_cpu_sgd64(d, span, args);
    }
    if (span->dtype == LT_BF16) {
        lth_cpu_update_low(d, span, &(lth_low){.kind = LTH_LOW_SGD, .sgd = args, .step = span->step});
        return LT_OK;
    }
    flat f = {.d = d, .n = span->n, .p = span->param, .g = span->grad, .m = args->momentum != 0 ? span->slot[0] : NULL};
    f.sgd = (lth_sgd_values){.lr = (float)args->lr,
                             .momentum = (float)args->momentum,
                             .one_less_dampening = (float)(1 - args->dampening),
                             .weight_decay = (float)args->weight_decay,
                             .nesterov = args->nesterov,
                             .maximize = args->maximize,
                             .first = span->step <= 1};
    lth_cpu_run(d, lth_div_up(f.n, CHUNK), (double)f.n * 4e-4, sgd_chunk, &f);
    return LT_OK;
}
static void adam_chunk(void *arg, int64_t c, int thread) {
    flat *f = arg;
    (void)thread;
    f->d->isa.adam(width(f, c), at(f->p, c), f->g + c * CHUNK, at(f->m, c), at(f->v, c), at(f->top, c), &f->adam);
}
lt_status lth_cpu_adam(lth_device *d, const lt_span *span, const lt_adam_args *args, lth_error *err) {
    const lt_status status = check(span, args->amsgrad ? 3 : 2, "adam", err);
    if (status < 0 || span->dtype == LT_F64) {
        return status < 0 ? status : lth_cpu_adam64(d, span, args);
    }
    if (span->dtype == LT_BF16) {
        lth_cpu_update_low(d, span, &(lth_low){.kind = LTH_LOW_ADAM, .adam = args, .step = span->step});
        return LT_OK;
    }
    const double step = (double)(span->step < 1 ? 1 : span->step);
    const double c1 = 1 - pow(args->beta1, step), c2 = sqrt(1 - pow(args->beta2, step));
    flat f = {.d = d,
              .n = span->n,
              .p = span->param,
              .g = span->grad,
              .m = span->slot[0],
              .v = span->slot[1],
              .top = args->amsgrad ? span->slot[2] : NULL};
    f.adam = (lth_adam_values){.lerp1 = (float)(1 - args->beta1),
                               .beta2 = (float)args->beta2,
                               .one_less_beta2 = (float)(1 - args->beta2),
                               .inv_root_correction2 = (float)(1 / c2),
                               .eps = (float)args->eps,
                               .step = (float)(args->lr / c1),
                               .decay = args->decoupled ? (float)(1 - args->lr * args->weight_decay) : 1.f,
                               .weight_decay = args->decoupled ? 0.f : (float)args->weight_decay,
                               .maximize = args->maximize};
    lth_cpu_run(d, lth_div_up(f.n, CHUNK), (double)f.n * 7e-4, adam_chunk, &f);
    return LT_OK;
}

static void squares_chunk(void *arg, int64_t c, int thread) {
    flat *f = arg;
    (void)thread;
    f->parts[c] = f->d->isa.sum_squares(width(f, c), f->g + c * CHUNK);
}
static lt_status unfit(const char *what, lth_error *err) {
    return lth_fail(err, LT_EUNSUPPORTED, "%s: the cpu backend does it for f32, f64 and bf16", what);
}
lt_status lth_cpu_sum_squares(lth_device *d, lt_dtype dtype, const void *x, int64_t n, double *out, lth_error *err) {
    if (dtype == LT_BF16) {
        return lth_cpu_sum_squares_low(d, x, n, out, err);
    }
    if (dtype != LT_F32) {
        return dtype == LT_F64 ? lth_cpu_sum_squares64(d, x, n, out, err) : unfit("sum_squares", err);
    }
    flat f = {.d = d, .n = n, .g = x};
    const int64_t chunks = lth_div_up(n, CHUNK);
    *out = 0;
    f.parts = lth_cpu_scratch(d, (size_t)(chunks + 1) * sizeof(double), err);
    if (!f.parts) {
        return LT_ENOMEM;
    }
    lth_cpu_run(d, chunks, (double)n * 2e-4, squares_chunk, &f);
    for (int64_t c = 0; c < chunks; c++) {
        *out += f.parts[c];
    }
    return LT_OK;
}
static void sum_chunk(void *arg, int64_t c, int thread) {
    flat *f = arg;
    (void)thread;
    f->parts[c] = f->d->isa.sum(width(f, c), f->g + c * CHUNK);
}
lt_status lth_cpu_sum(lth_device *d, int64_t n, const float *x, double *out, lth_error *err) {
    flat f = {.d = d, .n = n, .g = x};
    const int64_t chunks = lth_div_up(n, CHUNK);
    double few[16];
    *out = 0;
    f.parts = chunks <= 16 ? few : lth_cpu_scratch(d, (size_t)chunks * sizeof(double), err);
    if (!f.parts) {
        return LT_ENOMEM;
    }
    lth_cpu_run(d, chunks, (double)n * 2e-4, sum_chunk, &f);
    for (int64_t c = 0; c < chunks; c++) {
        *out += f.parts[c];
    }
    return LT_OK;
}
static void scale_chunk(void *arg, int64_t c, int thread) {
    flat *f = arg;
    (void)thread;
    f->d->isa.scaled(width(f, c), at(f->p, c), f->g + c * CHUNK, f->a, f->b != 0);
}
void lth_cpu_scaled(lth_device *d, int64_t n, float *y, const float *x, float alpha, bool add) {
    flat f = {.d = d, .n = n, .p = y, .g = x, .a = alpha, .b = add};
    lth_cpu_run(d, lth_div_up(n, CHUNK), (double)n * 4e-4, scale_chunk, &f);
}
lt_status lth_cpu_scale(lth_device *d, lt_dtype dtype, void *x, int64_t n, double factor, lth_error *err) {
    if (dtype == LT_F64) {
        lth_cpu_scale64(d, x, n, factor);
        return LT_OK;
    }
    if (dtype == LT_BF16) {
        lth_cpu_update_low(d, &(lt_span){.n = n, .param = x}, &(lth_low){.kind = LTH_LOW_SCALE, .low = factor});
        return LT_OK;
    }
    if (dtype != LT_F32) {
        return unfit("scale", err);
    }
    lth_cpu_scaled(d, n, x, x, (float)factor, false);
    return LT_OK;
}
static void clamp_chunk(void *arg, int64_t c, int thread) {
    flat *f = arg;
    (void)thread;
    f->d->isa.clamp(width(f, c), at(f->p, c), f->a, f->b);
}
lt_status lth_cpu_clamp(lth_device *d, lt_dtype dtype, void *x, int64_t n, double low, double high, lth_error *err) {
    if (dtype == LT_F64) {
        lth_cpu_clamp64(d, x, n, low, high);
        return LT_OK;
    }
    if (dtype == LT_BF16) {
        lth_cpu_update_low(d, &(lt_span){.n = n, .param = x}, &(lth_low){.kind = LTH_LOW_CLAMP, .low = low, .high = high});
        return LT_OK;
    }
    if (dtype != LT_F32) {
        return unfit("clamp", err);
    }
    flat f = {.d = d, .n = n, .p = x, .a = (float)low, .b = (float)high};
    lth_cpu_run(d, lth_div_up(n, CHUNK), (double)n * 3e-4, clamp_chunk, &f);
    return LT_OK;
}
static void zero_chunk(void *arg, int64_t c, int thread) {
    flat *f = arg;
    (void)thread;
    memset(at(f->p, c), 0, (size_t)width(f, c) * sizeof(float));
}
lt_status lth_cpu_zero(lth_device *d, void *memory, size_t bytes, lth_error *err) {
    (void)err;
    flat f = {.d = d, .n = (int64_t)(bytes / sizeof(float)), .p = memory};
    lth_cpu_run(d, lth_div_up(f.n, CHUNK), (double)f.n * 1e-4, zero_chunk, &f);
    memset((char *)memory + (size_t)f.n * sizeof(float), 0, bytes % sizeof(float));
    return LT_OK;
}
bool lth_cpu_no_gradient(lth_device *d, const lth_call *call) {
    if (call->grad_out[0] && lth_count(call->grad_out[0]) > 0) { /* of an empty output nothing arrives: products over it run over no batch at all */
        return false;
    }
    for (int i = 0; i < call->n_in; i++) {
        if (call->need[i] && call->grad_in[i] && !call->accumulate[i]) {
            lth_cpu_zero(d, call->grad_in[i]->data, lth_cpu_array_bytes(call->grad_in[i]), NULL);
        }
    }
    return true;
}
