/* backends/cpu/conv.h - the three ways of CONV2D and what they share. Which one is a question of shape alone (lth_conv_way). */
#ifndef LTH_CPU_CONV_H
#define LTH_CPU_CONV_H
#include "engine/backends/cpu/cpu.h"

typedef enum { LTH_CONV_DECLINE, LTH_CONV_OWN, LTH_CONV_SMALL, LTH_CONV_ONEDNN } lth_conv_way;

typedef struct lth_conv {
    int64_t N, C, H, W, O, KH, KW, OH, OW, PH, PW;     /* OH, OW before pooling, PH, PW after */
    int64_t stride[2], padding[2], dilation[2], groups, pool[2], pool_stride[2];
    int act;
    const lth_array *x, *w, *b;
} lth_conv;

bool lth_conv_of(const lth_call *call, lth_conv *c);    /* false: not a convolution this backend can say anything about */
lth_conv_way lth_conv_choose(const lth_device *d, const lth_conv *c);

/* Own kernels, conv_own.c */
bool lth_conv_own_plan(lth_device *d, const lth_conv *c, lth_call *call);
lt_status lth_conv_own_forward(lth_device *d, const lth_conv *c, const lth_call *call, lth_error *err);
lt_status lth_conv_own_backward(lth_device *d, const lth_conv *c, const lth_call *call, lth_error *err);
/* Small maps, conv_small.c */
bool lth_conv_small_fits(const lth_conv *c);
bool lth_conv_small_plan(lth_device *d, const lth_conv *c, lth_call *call);
lt_status lth_conv_small_forward(lth_device *d, const lth_conv *c, const lth_call *call, lth_error *err);
lt_status lth_conv_small_backward(lth_device *d, const lth_conv *c, const lth_call *call, lth_error *err);
/* oneDNN, conv_onednn.c */
bool lth_conv_onednn_plan(lth_device *d, const lth_conv *c, lth_call *call);
lt_status lth_conv_onednn_forward(lth_device *d, const lth_conv *c, const lth_call *call, lth_error *err);
lt_status lth_conv_onednn_backward(lth_device *d, const lth_conv *c, const lth_call *call, lth_error *err);
#endif
