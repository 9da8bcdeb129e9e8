/* engine/nn/layer.h - what a module is inside nn/: its kind, options, place in the tree and the fused steps of a sequential.
 * Private to nn/. All of it lives in lth_modules.arena. */
#ifndef LTH_LAYER_H
#define LTH_LAYER_H
#include "engine/nn/module.h"

typedef enum {
    LTH_LINEAR, LTH_CONV2D_LAYER, LTH_BATCH_NORM_LAYER, LTH_MAX_POOL_LAYER, LTH_AVG_POOL_LAYER, LTH_FLATTEN, LTH_ACTIVATION,
    LTH_DROPOUT_LAYER, LTH_SEQUENTIAL
} lth_layer_kind;

typedef struct lth_shapes { int32_t in_ndim, out_ndim; int64_t in[LT_MAX_DIMS], out[LT_MAX_DIMS]; } lth_shapes; /* ndim -1: not known */

/* One call of a sequential: `module`, with what was fused into it. */
typedef struct lth_fused { lt_module *module; const lt_module *act, *pool; } lth_fused;

struct lt_module {
    lth_layer_kind kind;
    const char *type;               /* "Linear" */
    const char *given;              /* name from lt_child or lt_nn_sequential; NULL: its index in the parent */
    const char *name;               /* "encoder.0", after the seal; "" for a nameless sequential at the top */
    lth_modules *owner;
    lt_module *parent, *first, *last, *next; /* tree */
    lt_module *next_made;
    int64_t number;                 /* in lth_modules.order; -1: not there */
    int32_t index;                  /* among its siblings in a sequential */
    int32_t depth;
    bool is_root, training, frozen;
    lth_param *weight, *bias;
    lth_buffer *mean, *var, *batches;
    int64_t in, out;                /* features, channels */
    lth_attrs attrs;                /* of the op it becomes */
    int32_t spatial;                /* batch norm: 1 or 2 */
    double p;                       /* dropout */
    lth_fused *steps; int64_t n_steps; /* sequential */
};

/* ---- tree.c ---- */
void lth_root_add(lth_modules *m, lt_module *module);
void lth_root_remove(lth_modules *m, lt_module *module);
bool lth_name_valid(const char *name);
void lth_param_freeze(lth_param *p, bool frozen);
/* ---- forward.c ---- */
lt_status lth_sequential_plan(lt_module *sequential, lth_error *err);
/* "linear fc1 (784 -> 128)" */
void lth_module_describe(const lt_module *module, char *out, size_t size);
/* ---- make.c ---- */
lt_module *lth_make_linear(lt_ctx *ctx, int64_t in_features, int64_t out_features, bool bias);
lt_module *lth_make_conv2d(lt_ctx *ctx, int64_t in_channels, int64_t out_channels, int32_t kernel, const lt_nn_conv2d_opts *opts);
lt_module *lth_make_batch_norm(lt_ctx *ctx, int32_t spatial_dims, int64_t channels, const lt_nn_batch_norm_opts *opts);
lt_module *lth_make_max_pool2d(lt_ctx *ctx, const lt_pool2d_opts *opts);
lt_module *lth_make_avg_pool2d(lt_ctx *ctx, const lt_pool2d_opts *opts);
lt_module *lth_make_flatten(lt_ctx *ctx, int32_t start_dim);
lt_module *lth_make_activation(lt_ctx *ctx, lt_activation act);
lt_module *lth_make_dropout(lt_ctx *ctx, double p);
lt_module *lth_make_sequential(lt_ctx *ctx, const char *name, lt_module *const *items, size_t count);
lt_module *lth_make_child(lt_ctx *ctx, const char *name, lt_module *module);
lt_tensor *lth_make_parameter(lt_ctx *ctx, const char *name, lt_dtype dtype, int32_t ndim, const int64_t *shape, double fill);
#endif
