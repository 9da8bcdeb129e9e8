/* lt/nn.h - modules: trees of layers with parameters (table lt.nn/1).
 * Modules are made only in a model's `configure` and belong to the host. Initial weights are drawn after `configure`, in tree
 * order, with PyTorch's default initialization. Names and layouts of parameters are those of PyTorch's state_dict.
 * Shapes: linear weight (out, in); conv2d weight (O, C/groups, kH, kW). */
#ifndef LT_NN_H
#define LT_NN_H
#include <lt/tensor.h>

LT_BEGIN
typedef struct lt_nn_conv2d_opts { /* 0 means the default in brackets; one number given for a pair means both */
    uint32_t struct_size;
    int32_t stride, padding, dilation, groups; /* [1], [0], [1], [1] */
    int32_t stride_w, padding_w, dilation_w;   /* [as the height's] */
    int32_t kernel_w;                          /* [as the height's] */
    uint8_t no_bias, reserved[7];
} lt_nn_conv2d_opts;
typedef struct lt_nn_batch_norm_opts {
    uint32_t struct_size;
    uint8_t no_affine, no_running_stats, reserved[2];
    double eps, momentum; /* [1e-5], [0.1] */
} lt_nn_batch_norm_opts;

typedef struct lt_module_info { /* one line of a summary */
    uint32_t struct_size;
    int32_t depth;              /* 0 is a child of the model */
    const char *name, *type;    /* "encoder.0", "Linear"; host, valid while the model lives */
    int64_t parameters;         /* of the module and all below */
    int64_t trainable;
    int64_t buffers;
    int32_t in_ndim, out_ndim;  /* -1: not known (no example input) */
    int64_t in_shape[LT_MAX_DIMS], out_shape[LT_MAX_DIMS];
    uint8_t training, reserved[7];
} lt_module_info;

typedef struct lt_nn_api {
    uint32_t struct_size;
    uint32_t reserved;
    lt_module *(*linear)(lt_ctx *ctx, int64_t in_features, int64_t out_features, bool bias);
    lt_module *(*conv2d)(lt_ctx *ctx, int64_t in_channels, int64_t out_channels, int32_t kernel, const lt_nn_conv2d_opts *opts);
    lt_module *(*batch_norm)(lt_ctx *ctx, int32_t spatial_dims, int64_t channels, const lt_nn_batch_norm_opts *opts); /* 1 or 2 */
    lt_module *(*max_pool2d)(lt_ctx *ctx, const lt_pool2d_opts *opts);
    lt_module *(*avg_pool2d)(lt_ctx *ctx, const lt_pool2d_opts *opts);
    lt_module *(*flatten)(lt_ctx *ctx, int32_t start_dim);
    lt_module *(*activation)(lt_ctx *ctx, lt_activation act);
    lt_module *(*dropout)(lt_ctx *ctx, double p);
    lt_module *(*sequential)(lt_ctx *ctx, const char *name, lt_module *const *items, size_t count);
    lt_module *(*child)(lt_ctx *ctx, const char *name, lt_module *module);
    lt_tensor *(*forward)(lt_ctx *ctx, lt_module *module, lt_tensor *x);
    lt_tensor *(*parameter)(lt_ctx *ctx, const char *name, lt_dtype dtype, int32_t ndim, const int64_t *shape, double fill);
    lt_tensor *(*module_parameter)(lt_ctx *ctx, lt_module *module, const char *name);
    void (*freeze)(lt_ctx *ctx, lt_module *module, bool frozen);
    bool (*training)(lt_ctx *ctx);
    int64_t (*module_count)(lt_ctx *ctx);
    lt_status (*module_info)(lt_ctx *ctx, int64_t index, lt_module_info *out);
} lt_nn_api;
extern LT_HIDDEN const struct lt_nn_api *lt__nn LT__NEEDS_PLUGIN("lt__nn");
/* WRAPPERS */
LT_END
#endif
