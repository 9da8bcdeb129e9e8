/* backends/cpu/updates64.c - the fused passes over flat memory of doubles, for precision 64-true. Chunks of 8192 elements, the same for
 * any number of threads; spans were checked by updates.c. */
#include "engine/backends/cpu/cpu.h"
#include <lt/optim.h>
#include <math.h>

enum { CHUNK = 8192 };
typedef struct flat {
    lth_device *d;
    int64_t n;
    double *p, *m, *v, *top;
    const double *g;
    lth_sgd64_values sgd;
    lth_adam64_values adam;
    double a, b;
    double *parts;
} flat;
static int64_t width(const flat *f, int64_t chunk) { return lth_min64(CHUNK, f->n - chunk * CHUNK); }
static double *at(double *p, int64_t chunk) { return p ? p + chunk * CHUNK : NULL; }

static void sgd_chunk(void *arg, int64_t c, int thread) {
    flat *f = arg;
    (void)thread;
    f->d->isa.sgd64(width(f, c), at(f->p, c), f->g + c * CHUNK, at(f->m, c), &f->sgd);
}
lt_status lth_cpu_sgd64(lth_device *d, const lt_span *span, const lt_sgd_args *args) {
    flat f = {.d = d, .n = span->n, .p = span->param, .g = span->grad, .m = args->momentum != 0 ? span->slot[0] : NULL};
    f.sgd = (lth_sgd64_values){.lr = args->lr,
                               .momentum = args->momentum,
                               .one_less_dampening = 1 - args->dampening,
                               .weight_decay = args->weight_decay,
                               .nesterov = args->nesterov,
                               .maximize = args->maximize,
                               .first = span->step <= 1};
    lth_cpu_run(d, lth_div_up(f.n, CHUNK), (double)f.n * 8e-4, sgd_chunk, &f);
    return LT_OK;
}
static void adam_chunk(void *arg, int64_t c, int thread) {
    flat *f = arg;
    (void)thread;
    f->d->isa.adam64(width(f, c), at(f->p, c), f->g + c * CHUNK, at(f->m, c), at(f->v, c), at(f->top, c), &f->adam);
}
lt_status lth_cpu_adam64(lth_device *d, const lt_span *span, const lt_adam_args *args) {
    const double step = (double)(span->step < 1 ? 1 : span->step);
    flat f = {.d = d,
              .n = span->n,
              .p = span->param,
              .g = span->grad,
              .m = span->slot[0],
              .v = span->slot[1],
              .top = args->amsgrad ? span->slot[2] : NULL};
    f.adam = (lth_adam64_values){.lerp1 = 1 - args->beta1,
                                 .beta2 = args->beta2,
                                 .one_less_beta2 = 1 - args->beta2,
                                 .root_correction2 = sqrt(1 - pow(args->beta2, step)),
                                 .eps = args->eps,
                                 .minus_step = -(args->lr / (1 - pow(args->beta1, step))),
                                 .decay = args->decoupled ? 1 - args->lr * args->weight_decay : 1,
                                 .weight_decay = args->decoupled ? 0 : args->weight_decay,
                                 .maximize = args->maximize};
    lth_cpu_run(d, lth_div_up(f.n, CHUNK), (double)f.n * 2e-3, adam_chunk, &f);
    return LT_OK;
}
static void squares_chunk(void *arg, int64_t c, int thread) {
    flat *f = arg;
    (void)thread;
    f->parts[c] = f->d->isa.sum_squares64(width(f, c), f->g + c * CHUNK);
}
lt_status lth_cpu_sum_squares64(lth_device *d, const double *x, int64_t n, double *out, lth_error *err) {
    flat f = {.d = d, .n = n, .g = x};
    const int64_t chunks = lth_div_up(n, CHUNK);
    *out = 0;
    f.parts = lth_cpu_scratch(d, (size_t)(chunks + 1) * sizeof(double), err);
    if (!f.parts) {
        return LT_ENOMEM;
    }
    lth_cpu_run(d, chunks, (double)n * 4e-4, squares_chunk, &f);
    for (int64_t c = 0; c < chunks; c++) {
        *out += f.parts[c];
    }
    return LT_OK;
}
static void scale_chunk(void *arg, int64_t c, int thread) {
    flat *f = arg;
    (void)thread;
    f->d->isa.scale64(width(f, c), at(f->p, c), f->a);
}
void lth_cpu_scale64(lth_device *d, double *x, int64_t n, double factor) {
    flat f = {.d = d, .n = n, .p = x, .a = factor};
    lth_cpu_run(d, lth_div_up(n, CHUNK), (double)n * 6e-4, scale_chunk, &f);
}
static void clamp_chunk(void *arg, int64_t c, int thread) {
    flat *f = arg;
    (void)thread;
    f->d->isa.clamp64(width(f, c), at(f->p, c), f->a, f->b);
}
void lth_cpu_clamp64(lth_device *d, double *x, int64_t n, double low, double high) {
    flat f = {.d = d, .n = n, .p = x, .a = low, .b = high};
    lth_cpu_run(d, lth_div_up(n, CHUNK), (double)n * 6e-4, clamp_chunk, &f);
}
