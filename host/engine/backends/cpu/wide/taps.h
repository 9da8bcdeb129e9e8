/* backends/cpu/wide/taps.h - the three passes of a 2-d convolution as matrix products that gather their operands while packing: any
 * kernel, stride, padding, dilation and groups, f32 and f64, row-major images. No copy of the patches is ever made. */
#ifndef LTH_CPU_TAPS_H
#define LTH_CPU_TAPS_H
#include "engine/backends/cpu/wide/gemm.h"

/* x (N, C, H, W), w (O, C/groups, KH, KW), y (N, O, OH, OW) */
typedef struct lth_taps { int64_t N, C, H, W, O, OH, OW, KH, KW, sh, sw, ph, pw, dh, dw, groups; } lth_taps;

typedef struct lth_taps_call {
    const lth_taps *t;
    lt_dtype dtype;
    const void *x, *w, *dy, *bias; /* what the pass reads; bias may be NULL: of the pass's output channels */
    void *out;
    int act;                       /* lt_activation of the output: none, relu, tanh, sigmoid */
    bool add;                      /* to what stands in out */
} lth_taps_call;
lt_status lth_taps_forward(lth_device *d, const lth_taps_call *c, lth_error *err);  /* x, w -> y */
lt_status lth_taps_data(lth_device *d, const lth_taps_call *c, lth_error *err);     /* dy, w -> dx */
lt_status lth_taps_weights(lth_device *d, const lth_taps_call *c, lth_error *err);  /* x, dy -> dw */
/* out (channels) (+)= sums of planes (images, channels, size). */
void lth_taps_bias(lth_device *d, lt_dtype dtype, const void *planes, int64_t images, int64_t channels, int64_t size, void *out, bool add);
#endif
