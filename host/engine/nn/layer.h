/* engine/nn/layer.h - what a module is inside nn/: its kind, options, place in the tree and the fused steps of a sequential.
 * Private to nn/. All of it lives in lth_modules.arena. */
#ifndef LTH_LAYER_H
#define LTH_LAYER_H
#include "engine/nn/module.h"
#include "engine/ops/apart.h"

typedef enum {
    LTH_LINEAR, LTH_CONV2D_LAYER, LTH_BATCH_NORM_LAYER, LTH_MAX_POOL_LAYER, LTH_AVG_POOL_LAYER, LTH_FLATTEN, LTH_ACTIVATION,
    LTH_DROPOUT_LAYER, LTH_SEQUENTIAL, LTH_RESIDUAL,
    LTH_LSTM_LAYER, LTH_GRU_LAYER, LTH_MULTIHEAD, LTH_ENCODER_LAYER,
    LTH_LAYER_NORM_LAYER, LTH_EMBEDDING_LAYER,
    LTH_CALL,   /* one call of `call` */
    LTH_GROUP,  /* lt_nn_module, lt_nn_module_list: only holds children */
    LTH_SHARED, /* a second place of `target` */
} lth_layer_kind;

typedef struct lth_shapes { int32_t in_ndim, out_ndim; int64_t in[LT_MAX_DIMS], out[LT_MAX_DIMS]; } lth_shapes; /* ndim -1: not known */

/* One call of a sequential: `module`, with what was fused into it. */
typedef struct lth_fused { lt_module *module; const lt_module *act, *pool; } lth_fused;

/* A layer that is one call of an SDK operation, and what its input must be; in make_spatial.c and make_norm.c. */
typedef struct lth_layer_call {
    const char *op;                 /* "conv1d": in messages */
    const char *takes;              /* "(N, C, T)" */
    int8_t least, most;             /* numbers of dimensions */
    int8_t sized;                   /* the dimension that must be `in`: 1, -1 (the last); 0: none */
    lt_tensor *(*run)(lt_ctx *ctx, const lt_module *l, lt_tensor *x);
} lth_layer_call;

struct lt_module {
    lth_layer_kind kind;
    const char *type;               /* "Linear" */
    const char *given;              /* name from lt_child or lt_nn_sequential; NULL: its index in the parent */
    const char *name;               /* "encoder.0", after the seal; "" for a nameless sequential at the top */
    lth_modules *owner;
    lt_module *parent, *first, *last, *next; /* tree */
    lt_module *next_made;
    int64_t number;                 /* in lth_modules.order; -1: not there */
    int32_t index, n_children;      /* index: among its siblings */
    int32_t depth;
    lt_module *target;              /* LTH_SHARED */
    lth_places places;              /* its parameters, under their own names, in state_dict order */
    lth_draws draws;                /* what is drawn when this module's turn comes, in PyTorch's order */
    lth_buffer *buffers;
    bool is_root, training, frozen;
    bool open;                      /* in is not known yet */
    lth_param *weight, *bias;       /* of `places`, where the layer has such */
    lth_buffer *mean, *var, *batches; /* of `buffers` */
    int64_t in, out;                /* features, channels */
    lth_attrs attrs;                /* of the op it becomes */
    int32_t spatial;                /* batch norm: 1 or 2 */
    double p;                       /* dropout */
    struct { int32_t layers, directions; bool bias, batch_first; } rnn; /* LSTM, GRU; in: input_size, out: hidden_size */
    int64_t heads;                  /* attention */
    const lth_layer_call *call; const void *opts; const char *about; /* LTH_CALL: its options for `run`; "kernel 3", in messages */
    lth_fused *steps; int64_t n_steps; /* sequential, residual */
    lt_module *shortcut;            /* residual: the child beside the others; NULL: the input itself */
};

/* An initial distribution chosen by the model; in the order of the calls. */
typedef struct lth_redraw { lth_param *param; lt_init how; double a, b; struct lth_redraw *next; } lth_redraw;

/* ---- tree.c ---- */
void lth_root_add(lth_modules *m, lt_module *module);
void lth_root_remove(lth_modules *m, lt_module *module);
bool lth_name_valid(const char *name);
void lth_param_freeze(lth_param *p, bool frozen);
/* Names and lists of all; the first half of the seal. */
lt_status lth_modules_name(lth_modules *m, lth_error *err);
/* ---- lazy.c ---- */
bool lth_layer_settle(lt_ctx *ctx, lt_module *l, const lt_tensor *x);
lt_status lth_check_settled(const lth_modules *m, lth_error *err);
/* ---- forward.c ---- */
lt_status lth_sequential_plan(lt_module *sequential, lth_error *err);
/* "linear fc1 (784 -> 128)" */
void lth_module_describe(const lt_module *module, char *out, size_t size);
lt_tensor *lth_run_step(lt_ctx *ctx, const lth_fused *step, lt_tensor *x, void *caller);
/* residual: added before the activation; NULL: nothing. */
lt_tensor *lth_run_batch_norm(lt_ctx *ctx, lt_module *l, lt_tensor *x, lt_tensor *residual, int64_t act, void *caller);
lt_tensor *lth_run_activation(lt_ctx *ctx, const lt_module *l, lt_tensor *x, void *caller); /* attrs.i[0] */
/* Module and input are there and the model is sealed; else the failure is in ctx. */
bool lth_can_run(lt_ctx *ctx, const lt_module *module, const lt_tensor *x, const char *op, void *caller);
void lth_record_run(lt_module *l, const lt_tensor *x, lt_tensor *y); /* for summaries and whoever watches; y may be NULL */
/* ---- recurrent.c ---- */
lt_module *lth_make_lstm(lt_ctx *ctx, int64_t in, int64_t hidden, const lt_nn_recurrent_opts *opts);
lt_module *lth_make_gru(lt_ctx *ctx, int64_t in, int64_t hidden, const lt_nn_recurrent_opts *opts);
lt_tensor *lth_run_recurrent(lt_ctx *ctx, lt_module *l, lt_tensor *x, lt_recurrent_state *state, void *caller);
lt_tensor *lth_recurrent_forward(lt_ctx *ctx, lt_module *module, lt_tensor *x, lt_recurrent_state *state);
/* ---- attention.c ---- */
lt_module *lth_make_multihead(lt_ctx *ctx, int64_t embed_dim, int64_t heads, const lt_nn_multihead_opts *opts);
lt_module *lth_make_encoder_layer(lt_ctx *ctx, int64_t d_model, int64_t heads, const lt_nn_encoder_layer_opts *opts);
lt_tensor *lth_run_multihead(lt_ctx *ctx, lt_module *l, lt_tensor *const x[3], lt_multihead_opts *o, void *caller);
lt_tensor *lth_run_encoder_layer(lt_ctx *ctx, lt_module *l, lt_tensor *x, lt_multihead_opts *o, void *caller);
lt_tensor *lth_multihead_forward(lt_ctx *ctx, lt_module *module, lt_tensor *q, lt_tensor *k, lt_tensor *v, lt_multihead_opts *opts);
/* ---- init.c ---- */
lt_status lth_make_init(lt_ctx *ctx, lt_module *module, const char *name, lt_init how, double a, double b);
void lth_redraw_values(lth_generator *g, const lth_redraw *r, float *out);
/* ---- residual.c ---- */
lt_module *lth_make_residual(lt_ctx *ctx, lt_module *shortcut, lt_activation act, lt_module *const *items, size_t count);
lt_tensor *lth_run_residual(lt_ctx *ctx, const lt_module *l, lt_tensor *x, void *caller);
/* ---- make_tree.c ---- */
/* "weight", "0.bias": the place and the module that holds it; NULL if there is none. */
lth_place *lth_find_place(lt_module *module, const char *path, lt_module **holder);
bool lth_take_item(lt_ctx *ctx, const char *op, lt_module *parent, lt_module *item, size_t index, size_t count);
/* The module itself, or what it shares. */
static inline lt_module *lth_target(lt_module *module) { return module->kind == LTH_SHARED ? module->target : module; }

/* ---- make.c: for makers of modules ---- */
/* The tree being made, or NULL with the failure in ctx. */
lth_modules *lth_open_tree(lt_ctx *ctx, const char *op, void *caller);
void *lth_make_no_memory(lt_ctx *ctx, const char *op); /* fails; NULL */
lt_module *lth_module_new(lt_ctx *ctx, lth_modules *m, lth_layer_kind kind, const char *type, const char *op);
/* module NULL: the model's own. visible: the plugin gets the tensor, so it has memory already. */
lth_param *lth_param_new(lt_ctx *ctx, lt_module *module, const char *name, int ndim, const int64_t *shape, bool visible);
lth_param *lth_layer_param(lt_ctx *ctx, lt_module *module, const char *name, int ndim, const int64_t *shape);
lth_buffer *lth_buffer_new(lt_ctx *ctx, lt_module *module, const char *name, lt_dtype dtype, int ndim, const int64_t *shape);
lt_status lth_buffer_fill(lt_ctx *ctx, lth_buffer *b, double value);
bool lth_in_range(lt_ctx *ctx, const char *op, const char *what, int64_t value, int64_t low);
bool lth_good_eps(lt_ctx *ctx, const char *op, const char *what, double eps, void *caller); /* 0: the default */
bool lth_check_name(lt_ctx *ctx, const char *op, const char *name);
/* ---- make_layers.c ---- */
void lth_init_default(lt_module *module, int64_t fan_in); /* PyTorch's for weight and bias of a linear or convolution */
static inline lt_tensor *lth_param_value(const lth_param *p) { return p ? p->value : NULL; }
int32_t lth_padding_w(int32_t given, int32_t height); /* of padding_w and output_padding_w: 0 means the height's, -1 none */
lt_module *lth_make_linear(lt_ctx *ctx, int64_t in_features, int64_t out_features, bool bias);
lt_module *lth_make_conv2d(lt_ctx *ctx, int64_t in_channels, int64_t out_channels, int32_t kernel, const lt_nn_conv2d_opts *opts);
lt_module *lth_make_batch_norm(lt_ctx *ctx, int32_t spatial_dims, int64_t channels, const lt_nn_batch_norm_opts *opts);
lt_module *lth_make_max_pool2d(lt_ctx *ctx, const lt_pool2d_opts *opts);
lt_module *lth_make_avg_pool2d(lt_ctx *ctx, const lt_pool2d_opts *opts);
lt_module *lth_make_flatten(lt_ctx *ctx, int32_t start_dim);
lt_module *lth_make_activation(lt_ctx *ctx, lt_activation act);
lt_module *lth_make_activation_with(lt_ctx *ctx, lt_activation act, double first, double second);
lt_module *lth_make_dropout(lt_ctx *ctx, double p);
/* ---- make_transformer.c ---- */
lt_module *lth_make_layer_norm(lt_ctx *ctx, int64_t width, const lt_nn_layer_norm_opts *opts);
lt_module *lth_make_embedding(lt_ctx *ctx, int64_t count, int64_t width, const lt_embedding_opts *opts);
lt_tensor *lth_run_layer_norm(lt_ctx *ctx, const lt_module *l, lt_tensor *x, void *caller);
lt_tensor *lth_run_embedding(lt_ctx *ctx, const lt_module *l, lt_tensor *x, void *caller);
/* ---- make_spatial.c ---- */
/* A new LTH_CALL with a copy of `size` bytes of options; about is printf's. */
lt_module *lth_call_new(lt_ctx *ctx, lth_modules *m, const lth_layer_call *call, const char *type, const void *opts, size_t size, const char *about, ...)
    __attribute__((format(printf, 7, 8)));
lt_module *lth_make_conv1d(lt_ctx *ctx, int64_t in_channels, int64_t out_channels, int32_t kernel, const lt_nn_conv1d_opts *opts);
lt_module *lth_make_conv_transpose(lt_ctx *ctx, int32_t spatial_dims, int64_t in_channels, int64_t out_channels, int32_t kernel,
                                   const lt_nn_conv_transpose_opts *opts);
lt_module *lth_make_pool1d(lt_ctx *ctx, bool max, const lt_pool1d_opts *opts);
lt_module *lth_make_adaptive_pool(lt_ctx *ctx, int32_t spatial_dims, bool max, int64_t height, int64_t width);
lt_module *lth_make_upsample(lt_ctx *ctx, const lt_interpolate_opts *opts);
/* ---- make_norm.c ---- */
/* module with a weight of ones and a bias of zeros where wanted; NULL if that fails, or module is. */
lt_module *lth_with_affine(lt_ctx *ctx, lt_module *module, bool weight, bool bias, int ndim, const int64_t *shape);
lt_module *lth_make_group_norm(lt_ctx *ctx, int64_t groups, int64_t channels, const lt_nn_layer_norm_opts *opts);
lt_module *lth_make_instance_norm(lt_ctx *ctx, int64_t channels, const lt_nn_instance_norm_opts *opts);
lt_module *lth_make_rms_norm(lt_ctx *ctx, int64_t width, const lt_nn_layer_norm_opts *opts);
lt_module *lth_make_layer_norm_over(lt_ctx *ctx, int32_t ndims, const int64_t *shape, const lt_nn_layer_norm_opts *opts);
lt_module *lth_make_softmax(lt_ctx *ctx, int32_t dim, bool log);
lt_module *lth_make_unflatten(lt_ctx *ctx, int32_t dim, int32_t ndims, const int64_t *sizes);
/* ---- make_tree.c ---- */
lt_module *lth_make_sequential(lt_ctx *ctx, const char *name, lt_module *const *items, size_t count);
lt_module *lth_make_child(lt_ctx *ctx, const char *name, lt_module *module);
lt_module *lth_make_child_of(lt_ctx *ctx, lt_module *parent, const char *name, lt_module *module);
lt_module *lth_make_list(lt_ctx *ctx, const char *name, lt_module *const *items, size_t count);
lt_module *lth_make_group(lt_ctx *ctx, const char *name, const char *type);
lt_module *lth_make_share(lt_ctx *ctx, lt_module *module);
lt_status lth_make_tie(lt_ctx *ctx, lt_module *module, const char *name, lt_module *source, const char *source_name);
lt_tensor *lth_make_parameter(lt_ctx *ctx, const char *name, lt_dtype dtype, int32_t ndim, const int64_t *shape, double fill);
lt_tensor *lth_make_parameter_of(lt_ctx *ctx, lt_module *module, const char *name, lt_dtype dtype, int32_t ndim, const int64_t *shape, double fill);
lt_tensor *lth_make_buffer(lt_ctx *ctx, lt_module *module, const char *name, lt_dtype dtype, int32_t ndim, const int64_t *shape, double fill);
#endif
