/* backends/cpu/wide/wide.h - the kernels for arrays of f64 (and of f32 where one body serves both); the backend tries them after those of f32. */
#ifndef LTH_CPU_WIDE_H
#define LTH_CPU_WIDE_H
#include "engine/backends/backend.h"

#define LTH_WIDE_KERNELS(X) \
    X(CONV2D, conv2d) X(LINEAR, linear) X(MATMUL, matmul) X(BATCH_NORM, batch_norm) X(LAYER_NORM, layer_norm) X(MAX_POOL2D, pool2d) \
    X(AVG_POOL2D, pool2d) X(SOFTMAX, softmax) X(LOG_SOFTMAX, softmax) \
    X(CONV_TRANSPOSE2D, conv_transpose2d) X(ADAPTIVE_AVG_POOL2D, adaptive_pool2d) X(ADAPTIVE_MAX_POOL2D, adaptive_pool2d) \
    X(INTERPOLATE, interpolate) X(ATTENTION, attention) X(SELF_ATTENTION, attention) X(LSTM, recurrent) X(GRU, recurrent) \
    X(GROUP_NORM, group_norm) X(RMS_NORM, rms_norm)
#define LTH_X(op, name) extern const lth_kernel lth_wide_##name;
LTH_WIDE_KERNELS(LTH_X)
#undef LTH_X
#endif
