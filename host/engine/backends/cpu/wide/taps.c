/* backends/cpu/wide/taps.c - a convolution's three passes on gemm.c. Forward: filters x patches; data: filters x reach; weights: dy x
 * patches. Nothing is refused: whoever plans has checked shapes. */
#include "engine/backends/cpu/wide/taps.h"
#include <math.h>

enum { ROW = 192 + 64 }; /* a packed row: gemm.c's widest chunk or depth, and a panel of zeros */
typedef struct sums { const void *planes; void *out; int64_t images, channels, size; bool add, wide; } sums;

#define tanh_of_f32 tanhf
#define tanh_of_f64 tanh
#define exp_of_f32 expf
#define exp_of_f64 exp
#define T float
#define F(name) name##_f32
#include "engine/backends/cpu/wide/taps_body.h"
#define T double
#define F(name) name##_f64
#include "engine/backends/cpu/wide/taps_body.h"

lt_status lth_taps_forward(lth_device *d, const lth_taps_call *c, lth_error *err) {
    const lth_taps *t = c->t;
    const bool wide = c->dtype == LT_F64;
    lth_gemm g = {.dtype = c->dtype, .batch = t->groups, .M = t->O / t->groups, .N = t->N * t->OH * t->OW, .K = t->C / t->groups * t->KH * t->KW,
                  .arg = (void *)(uintptr_t)c, .pack_a = wide ? forward_a_f64 : forward_a_f32, .pack_b = wide ? forward_b_f64 : forward_b_f32,
                  .store = wide ? store_planes_f64 : store_planes_f32};
    return lth_cpu_gemm(d, &g, err);
}

lt_status lth_taps_data(lth_device *d, const lth_taps_call *c, lth_error *err) {
    const lth_taps *t = c->t;
    const bool wide = c->dtype == LT_F64;
    lth_gemm g = {.dtype = c->dtype, .batch = t->groups, .M = t->C / t->groups, .N = t->N * t->H * t->W, .K = t->O / t->groups * t->KH * t->KW,
                  .arg = (void *)(uintptr_t)c, .pack_a = wide ? data_a_f64 : data_a_f32, .pack_b = wide ? data_b_f64 : data_b_f32,
                  .store = wide ? store_planes_f64 : store_planes_f32};
    return lth_cpu_gemm(d, &g, err);
}

lt_status lth_taps_weights(lth_device *d, const lth_taps_call *c, lth_error *err) {
    const lth_taps *t = c->t;
    const bool wide = c->dtype == LT_F64;
    lth_gemm g = {.dtype = c->dtype, .batch = t->groups, .M = t->O / t->groups, .N = t->C / t->groups * t->KH * t->KW, .K = t->N * t->OH * t->OW,
                  .arg = (void *)(uintptr_t)c, .pack_a = wide ? weights_a_f64 : weights_a_f32, .pack_b = wide ? weights_b_f64 : weights_b_f32,
                  .store = wide ? store_rows_f64 : store_rows_f32};
    return lth_cpu_gemm(d, &g, err);
}

static void sum_channel(void *arg, int64_t channel, int thread) {
    const sums *s = arg;
    (void)thread;
    (s->wide ? sum_planes_f64 : sum_planes_f32)(s, channel);
}
void lth_taps_bias(lth_device *d, lt_dtype dtype, const void *planes, int64_t images, int64_t channels, int64_t size, void *out, bool add) {
    sums s = {planes, out, images, channels, size, add, dtype == LT_F64};
    lth_cpu_run(d, channels, (double)(images * channels * size) * 6e-4, sum_channel, &s);
}
