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
    int32_t stride_w, padding_w, dilation_w;   /* [as the height's]; padding_w -1: none */
    int32_t kernel_w;                          /* [as the height's] */
    uint8_t no_bias, reserved[7];
} lt_nn_conv2d_opts;
typedef struct lt_nn_conv1d_opts { /* 0 means the default in brackets */
    uint32_t struct_size;
    int32_t stride, padding, dilation, groups; /* [1], [0], [1], [1] */
    uint8_t no_bias, reserved[3];
} lt_nn_conv1d_opts;
typedef struct lt_nn_conv_transpose_opts { /* of lt_nn_conv_transpose1d and 2d; 0 means the default in brackets */
    uint32_t struct_size;
    int32_t stride, padding, output_padding, dilation, groups;             /* [1], [0], [0], [1], [1] */
    int32_t stride_w, padding_w, output_padding_w, dilation_w, kernel_w;   /* [as the height's]; padding_w, output_padding_w -1: none; of images only */
    uint8_t no_bias, reserved[3];
} lt_nn_conv_transpose_opts;
typedef struct lt_nn_instance_norm_opts {
    uint32_t struct_size;
    uint8_t affine, reserved[3]; /* [no] weight and bias */
    double eps;                  /* [1e-5] */
} lt_nn_instance_norm_opts;
typedef struct lt_nn_batch_norm_opts {
    uint32_t struct_size;
    uint8_t no_affine, no_running_stats, reserved[2];
    double eps, momentum; /* [1e-5], [0.1] */
} lt_nn_batch_norm_opts;
typedef struct lt_nn_layer_norm_opts { /* of layer, group and RMS norm */
    uint32_t struct_size;
    uint8_t no_affine, no_bias, reserved[2];
    double eps; /* [1e-5]; RMS norm: [the dtype's smallest step from 1], as PyTorch's */
} lt_nn_layer_norm_opts;

/* How lt_nn_init draws; a, b as each says. */
typedef int32_t lt_init;
enum {
    LT_INIT_CONSTANT = 1,           /* a */
    LT_INIT_UNIFORM = 2,            /* between a and b */
    LT_INIT_NORMAL = 3,             /* mean a, standard deviation b */
    LT_INIT_KAIMING_UNIFORM = 4,    /* +- gain a (0: sqrt 2) times sqrt(3 / fan_in); with b != 0 by fan_out. He et al. 2015 */
    LT_INIT_KAIMING_NORMAL = 5,     /* standard deviation gain a (0: sqrt 2) / sqrt(fan_in); with b != 0 by fan_out. He et al. 2015 */
    LT_INIT_XAVIER_UNIFORM = 6,     /* +- gain a (0: 1) times sqrt(6 / (fan_in + fan_out)). Glorot and Bengio 2010 */
    LT_INIT_XAVIER_NORMAL = 7       /* standard deviation gain a (0: 1) times sqrt(2 / (fan_in + fan_out)). Glorot and Bengio 2010 */
};

typedef struct lt_nn_recurrent_opts { /* of lt_nn_lstm and lt_nn_gru; 0 means the default in brackets */
    uint32_t struct_size;
    int32_t num_layers;                                      /* [1] */
    uint8_t no_bias, batch_first, bidirectional, reserved[5]; /* batch_first: x and y are (B, T, ...) [(T, B, ...)] */
    double dropout;                                          /* [0] of each layer's output but the last one's, while training */
} lt_nn_recurrent_opts;
/* Where a sequence begins and ends: (layers x directions, B, H) each, in PyTorch's order. NULL means zeros. */
typedef struct lt_recurrent_state {
    uint32_t struct_size, reserved;
    lt_tensor *h, *c; /* c: LSTM only */
} lt_recurrent_state;

typedef struct lt_nn_multihead_opts { /* of lt_nn_multihead_attention; 0 means the default in brackets */
    uint32_t struct_size;
    uint8_t no_bias, batch_first, reserved[2]; /* batch_first: (B, T, E) [(T, B, E)] */
    double dropout;                            /* [0] of the weights, while training */
} lt_nn_multihead_opts;
typedef struct lt_nn_encoder_layer_opts { /* of lt_nn_transformer_encoder_layer; 0 means the default in brackets */
    uint32_t struct_size;
    uint8_t no_bias, batch_first, norm_first, no_dropout; /* norm_first: norms before attention and feed-forward [after the sums] */
    int64_t dim_feedforward;                              /* [2048] */
    double dropout;                                       /* [0.1]; no_dropout: 0 */
    double layer_norm_eps;                                /* [1e-5] */
    lt_activation activation;                             /* [LT_ACT_RELU] */
    int32_t reserved;
} lt_nn_encoder_layer_opts;
/* One call of a multihead attention: what it may look at, and what is to be told. */
typedef struct lt_multihead_opts {
    uint32_t struct_size;
    uint8_t causal, need_weights, per_head, reserved; /* causal: row i looks at keys 0..i. per_head: weights of each head [their mean] */
    lt_tensor *key_padding_mask; /* (B, S): bool, true where a key is hidden, as PyTorch's; or a float that is added */
    lt_tensor *attn_mask;        /* (T, S) or (B heads, T, S): the same */
    lt_tensor *weights;          /* out, with need_weights: (B, T, S), or (B, heads, T, S) per_head */
} lt_multihead_opts;

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
    int64_t parameter_bytes;    /* of the same parameters, in the dtype they have */
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
    lt_module *(*module)(lt_ctx *ctx, const char *name, const char *type);
    lt_module *(*module_list)(lt_ctx *ctx, const char *name, lt_module *const *items, size_t count);
    lt_module *(*child_of)(lt_ctx *ctx, lt_module *parent, const char *name, lt_module *module);
    lt_module *(*share)(lt_ctx *ctx, lt_module *module);
    lt_status (*tie)(lt_ctx *ctx, lt_module *module, const char *name, lt_module *source, const char *source_name);
    lt_tensor *(*parameter_of)(lt_ctx *ctx, lt_module *module, const char *name, lt_dtype dtype, int32_t ndim, const int64_t *shape, double fill);
    lt_tensor *(*buffer)(lt_ctx *ctx, lt_module *module, const char *name, lt_dtype dtype, int32_t ndim, const int64_t *shape, double fill);
    void (*freeze_parameter)(lt_ctx *ctx, lt_module *module, const char *name, bool frozen);
    bool (*requires_grad)(lt_ctx *ctx, lt_module *module, const char *name);
    void (*train)(lt_ctx *ctx, lt_module *module, bool training);
    bool (*module_training)(lt_ctx *ctx, lt_module *module);
    lt_module *(*residual)(lt_ctx *ctx, lt_module *shortcut, lt_activation act, lt_module *const *items, size_t count);
    lt_status (*init)(lt_ctx *ctx, lt_module *module, const char *name, lt_init how, double a, double b);
    lt_module *(*lstm)(lt_ctx *ctx, int64_t input_size, int64_t hidden_size, const lt_nn_recurrent_opts *opts);
    lt_module *(*gru)(lt_ctx *ctx, int64_t input_size, int64_t hidden_size, const lt_nn_recurrent_opts *opts);
    lt_tensor *(*recurrent_forward)(lt_ctx *ctx, lt_module *module, lt_tensor *x, lt_recurrent_state *state);
    lt_module *(*layer_norm)(lt_ctx *ctx, int64_t width, const lt_nn_layer_norm_opts *opts);
    lt_module *(*embedding)(lt_ctx *ctx, int64_t count, int64_t width, const lt_embedding_opts *opts);
    lt_module *(*activation_with)(lt_ctx *ctx, lt_activation act, double first, double second);
    lt_module *(*multihead)(lt_ctx *ctx, int64_t embed_dim, int64_t num_heads, const lt_nn_multihead_opts *opts);
    lt_module *(*encoder_layer)(lt_ctx *ctx, int64_t d_model, int64_t num_heads, const lt_nn_encoder_layer_opts *opts);
    lt_tensor *(*multihead_forward)(lt_ctx *ctx, lt_module *module, lt_tensor *q, lt_tensor *k, lt_tensor *v, lt_multihead_opts *opts);
    /* -- more layers (lt/nn_layers.h) -- */
    lt_module *(*conv1d)(lt_ctx *ctx, int64_t in_channels, int64_t out_channels, int32_t kernel, const lt_nn_conv1d_opts *opts);
    lt_module *(*conv_transpose)(lt_ctx *ctx, int32_t spatial_dims, int64_t in_channels, int64_t out_channels, int32_t kernel,
                                 const lt_nn_conv_transpose_opts *opts);
    lt_module *(*pool1d)(lt_ctx *ctx, bool max, const lt_pool1d_opts *opts);
    lt_module *(*adaptive_pool)(lt_ctx *ctx, int32_t spatial_dims, bool max, int64_t height, int64_t width);
    lt_module *(*upsample)(lt_ctx *ctx, const lt_interpolate_opts *opts);
    lt_module *(*group_norm)(lt_ctx *ctx, int64_t groups, int64_t channels, const lt_nn_layer_norm_opts *opts);
    lt_module *(*instance_norm)(lt_ctx *ctx, int64_t channels, const lt_nn_instance_norm_opts *opts);
    lt_module *(*rms_norm)(lt_ctx *ctx, int64_t width, const lt_nn_layer_norm_opts *opts);
    lt_module *(*layer_norm_over)(lt_ctx *ctx, int32_t ndims, const int64_t *shape, const lt_nn_layer_norm_opts *opts);
    lt_module *(*softmax)(lt_ctx *ctx, int32_t dim, bool log);
    lt_module *(*unflatten)(lt_ctx *ctx, int32_t dim, int32_t ndims, const int64_t *sizes);
} lt_nn_api;
extern LT_HIDDEN const struct lt_nn_api *lt__nn LT__NEEDS_PLUGIN("lt__nn");

/* ---- making modules: in `configure` only [setup] ----
 * Results are the host's and live as long as the model. Elsewhere: LT_ESTATE. LT_EINVAL for sizes below 1 and options out of range, LT_EABI
 * for options whose struct_size was not set.
 * in_features, and in_channels of lt_nn_conv1d and lt_nn_conv2d, may be 0, left open: one forward of the model's example_input, or where it has
 * none of the data's first sample, settles them before anything is drawn. The weights are those of the same model with its sizes written out
 * (with the data's sample: if the datamodule draws nothing from the run's generator before). LT_ESTATE names a layer that this forward did not
 * run. */
/* (..., in) -> (..., out): y = x W^T + b; parameters weight (out, in), bias (out). Both drawn from U(-1/sqrt(in), 1/sqrt(in)), as PyTorch
 * (He et al. 2015, arXiv:1502.01852, with a = sqrt 5). */
LT_INLINE lt_module *lt_nn_linear(lt_ctx *ctx, int64_t in_features, int64_t out_features) {
    return lt__nn->linear(ctx, in_features, out_features, true);
}
/* The same without bias. */
LT_INLINE lt_module *lt_nn_linear_no_bias(lt_ctx *ctx, int64_t in_features, int64_t out_features) {
    return lt__nn->linear(ctx, in_features, out_features, false);
}
/* (B, C, H, W) -> (B, O, H', W') as lt_conv2d; parameters weight (O, C/groups, kH, kW), bias (O), from U(-b, b), b = 1/sqrt(C/groups kH kW).
 * opts NULL: defaults. */
LT_INLINE lt_module *lt_nn_conv2d_with(lt_ctx *ctx, int64_t in_channels, int64_t out_channels, int32_t kernel,
                                       const lt_nn_conv2d_opts *opts) {
    return lt__nn->conv2d(ctx, in_channels, out_channels, kernel, opts);
}
/* (B, C) or (B, C, T) with spatial_dims 1, (B, C, H, W) with 2: y = (x - mean) / sqrt(var + eps) * weight + bias per channel (Ioffe and
 * Szegedy 2015, arXiv:1502.03167); buffers running_mean, running_var (C), num_batches_tracked. opts NULL: defaults. */
LT_INLINE lt_module *lt_nn_batch_norm_with(lt_ctx *ctx, int32_t spatial_dims, int64_t channels, const lt_nn_batch_norm_opts *opts) {
    return lt__nn->batch_norm(ctx, spatial_dims, channels, opts);
}
/* (..., width) -> the same shape, as lt_layer_norm; parameters weight (width) of ones, bias (width) of zeros. opts NULL: defaults. */
LT_INLINE lt_module *lt_nn_layer_norm_with(lt_ctx *ctx, int64_t width, const lt_nn_layer_norm_opts *opts) {
    return lt__nn->layer_norm(ctx, width, opts);
}
/* indices (...) i64 below count -> (..., width), as lt_embedding; parameter weight (count, width), drawn from N(0, 1), the row padding_idx 0.
 * opts NULL: no padding. */
LT_INLINE lt_module *lt_nn_embedding_with(lt_ctx *ctx, int64_t count, int64_t width, const lt_embedding_opts *opts) {
    return lt__nn->embedding(ctx, count, width, opts);
}
/* (B, C, H, W) -> (B, C, H', W'), as the functions lt_max_pool2d and lt_avg_pool2d. */
LT_INLINE lt_module *lt_nn_max_pool2d_with(lt_ctx *ctx, const lt_pool2d_opts *opts) { return lt__nn->max_pool2d(ctx, opts); }
LT_INLINE lt_module *lt_nn_avg_pool2d_with(lt_ctx *ctx, const lt_pool2d_opts *opts) { return lt__nn->avg_pool2d(ctx, opts); }
/* (B, ...) -> (B, n). */
LT_INLINE lt_module *lt_nn_flatten(lt_ctx *ctx) { return lt__nn->flatten(ctx, 1); }
/* Dimensions from start_dim on become one. */
LT_INLINE lt_module *lt_nn_flatten_from(lt_ctx *ctx, int32_t start_dim) { return lt__nn->flatten(ctx, start_dim); }
/* Element by element; shapes stay. LT_ACT_*; below it, one function for each of them. */
LT_INLINE lt_module *lt_nn_activation(lt_ctx *ctx, lt_activation act) { return lt__nn->activation(ctx, act); }
LT_INLINE lt_module *lt_nn_relu(lt_ctx *ctx) { return lt__nn->activation(ctx, LT_ACT_RELU); }
LT_INLINE lt_module *lt_nn_tanh(lt_ctx *ctx) { return lt__nn->activation(ctx, LT_ACT_TANH); }
LT_INLINE lt_module *lt_nn_sigmoid(lt_ctx *ctx) { return lt__nn->activation(ctx, LT_ACT_SIGMOID); }
LT_INLINE lt_module *lt_nn_gelu(lt_ctx *ctx) { return lt__nn->activation(ctx, LT_ACT_GELU); }
LT_INLINE lt_module *lt_nn_gelu_tanh(lt_ctx *ctx) { return lt__nn->activation(ctx, LT_ACT_GELU_TANH); }
LT_INLINE lt_module *lt_nn_silu(lt_ctx *ctx) { return lt__nn->activation(ctx, LT_ACT_SILU); }
LT_INLINE lt_module *lt_nn_hardswish(lt_ctx *ctx) { return lt__nn->activation(ctx, LT_ACT_HARDSWISH); }
/* With the numbers of lt_leaky_relu, lt_elu, lt_softplus; PyTorch's are 0.01; 1; 1 and 20, which lt_nn_activation takes. LT_EINVAL. */
LT_INLINE lt_module *lt_nn_leaky_relu(lt_ctx *ctx, double slope) { return lt__nn->activation_with(ctx, LT_ACT_LEAKY_RELU, slope, 0); }
LT_INLINE lt_module *lt_nn_elu(lt_ctx *ctx, double alpha) { return lt__nn->activation_with(ctx, LT_ACT_ELU, alpha, 0); }
LT_INLINE lt_module *lt_nn_softplus(lt_ctx *ctx, double beta, double threshold) {
    return lt__nn->activation_with(ctx, LT_ACT_SOFTPLUS, beta, threshold);
}
/* Long short-term memory (Hochreiter and Schmidhuber 1997; gates i, f, g, o as torch.nn.LSTM): (T, B, I) -> (T, B, D H), or (B, T, ...) with
 * batch_first; D is 2 where bidirectional, the two directions side by side. Parameters weight_ih_l0 (4H, I or D H), weight_hh_l0 (4H, H),
 * bias_ih_l0, bias_hh_l0 (4H), then _l0_reverse, _l1, ...; all from U(-1/sqrt H, 1/sqrt H). lt_forward begins with a state of zeros and gives y
 * alone; lt_recurrent_forward takes and gives states. LT_EINVAL for dropout with one layer; LT_EUNSUPPORTED for
 * more than 64 layers x directions. opts NULL: defaults. */
LT_INLINE lt_module *lt_nn_lstm_with(lt_ctx *ctx, int64_t input_size, int64_t hidden_size, const lt_nn_recurrent_opts *opts) {
    return lt__nn->lstm(ctx, input_size, hidden_size, opts);
}
/* Gated recurrent unit (Cho et al. 2014, arXiv:1406.1078; gates r, z, n as torch.nn.GRU, the reset gate after the product): the same with
 * parameters of 3H rows. */
LT_INLINE lt_module *lt_nn_gru_with(lt_ctx *ctx, int64_t input_size, int64_t hidden_size, const lt_nn_recurrent_opts *opts) {
    return lt__nn->gru(ctx, input_size, hidden_size, opts);
}
/* Attention of several heads (Vaswani et al. 2017, arXiv:1706.03762; torch.nn.MultiheadAttention) on vectors of embed_dim E: parameters
 * in_proj_weight (3E, E) from U(-b, b), b = sqrt(6 / 4E); in_proj_bias (3E) 0; child out_proj, a linear E -> E with bias 0. lt_forward(x) is
 * attention of x to itself; lt_multihead_attention has all else. LT_EINVAL unless num_heads divides E. opts NULL: defaults. */
LT_INLINE lt_module *lt_nn_multihead_attention_with(lt_ctx *ctx, int64_t embed_dim, int64_t num_heads, const lt_nn_multihead_opts *opts) {
    return lt__nn->multihead(ctx, embed_dim, num_heads, opts);
}
/* torch.nn.TransformerEncoderLayer: x + attention(x), then x + linear2(act(linear1(x))), each with dropout and a layer norm after the sum, or
 * before the branch with norm_first. Children self_attn, linear1, dropout, linear2, norm1, norm2, dropout1, dropout2. (T, B, E) -> the same, or
 * (B, T, E) with batch_first. lt_forward runs it without masks; lt_multihead_attention(ctx, layer, x, x, x, &opts) with them. */
LT_INLINE lt_module *lt_nn_transformer_encoder_layer_with(lt_ctx *ctx, int64_t d_model, int64_t num_heads, const lt_nn_encoder_layer_opts *opts) {
    return lt__nn->encoder_layer(ctx, d_model, num_heads, opts);
}
/* lt_dropout while the model trains, nothing otherwise. p in [0, 1]. */
LT_INLINE lt_module *lt_nn_dropout(lt_ctx *ctx, double p) { return lt__nn->dropout(ctx, p); }
/* count modules one after the other, named "name.0", "name.1", ... as PyTorch's; name NULL where lt_child or an enclosing sequential names
 * it. items is borrowed. An item that is NULL without an earlier failure is LT_EINVAL. */
LT_INLINE lt_module *lt_nn_sequential_of(lt_ctx *ctx, const char *name, lt_module *const *items, size_t count) {
    return lt__nn->sequential(ctx, name, items, count);
}
/* Names a module: its parameters become "name.weight" and so on; returns it. LT_EINVAL where the name is taken. */
LT_INLINE lt_module *lt_child(lt_ctx *ctx, const char *name, lt_module *module) { return lt__nn->child(ctx, name, module); }
/* act(items(x) + shortcut(x)): count modules one after the other, and beside them the shortcut, NULL for x itself (He et al. 2016,
 * arXiv:1512.03385). Its children are named as a sequential's, the shortcut too: lt_child gives "conv1", "downsample". act: any that
 * lt_nn_activation takes, with its default numbers. items is borrowed. The sum and the activation are fused into the last item where that is
 * a batch norm and the device can. LT_EINVAL for a NULL item. LT_ESHAPE where both sides differ, when it runs. */
LT_INLINE lt_module *lt_nn_residual_of(lt_ctx *ctx, lt_module *shortcut, lt_activation act, lt_module *const *items, size_t count) {
    return lt__nn->residual(ctx, shortcut, act, items, count);
}
/* Draws the parameter `name` of a module ("weight", "0.weight") anew, as `how` says, after all default values were drawn and in the order of these
 * calls: what torch.nn.init.* does in a model's __init__, with its bits (fan_in, fan_out: the product of all sizes but the first, but the
 * second). LT_EABSENT: no such parameter. LT_EINVAL: an unknown `how`, one that needs two dimensions, or numbers that
 * make no distribution (a > b, a negative deviation or gain, what is not finite). */
LT_INLINE lt_status lt_nn_init(lt_ctx *ctx, lt_module *module, const char *name, lt_init how, double a, double b) {
    return lt__nn->init(ctx, module, name, how, a, b);
}
/* A parameter of the model's own, every element = fill at first; the model's for its life. dtype is LT_F32, LT_EUNSUPPORTED for others: like all
 * parameters it then has the dtype of trainer.precision. LT_EINVAL for its name and shape. */
LT_INLINE lt_tensor *lt_parameter(lt_ctx *ctx, const char *name, lt_dtype dtype, int32_t ndim, const int64_t *shape, double fill) {
    return lt__nn->parameter(ctx, name, dtype, ndim, shape, fill);
}

/* The same as a parameter of `module`, named "<module>.<name>": for what lt_nn_module groups. */
LT_INLINE lt_tensor *lt_parameter_of(lt_ctx *ctx, lt_module *module, const char *name, lt_dtype dtype, int32_t ndim, const int64_t *shape,
                                     double fill) {
    return lt__nn->parameter_of(ctx, module, name, dtype, ndim, shape, fill);
}
/* A buffer: saved with the model and moved with it, but no optimizer touches it. Of any dtype, every element = fill at first; written by
 * the plugin (lt_raw with LT_WRITE). module NULL: the model's own. The model's for its life. */
LT_INLINE lt_tensor *lt_buffer_of(lt_ctx *ctx, lt_module *module, const char *name, lt_dtype dtype, int32_t ndim, const int64_t *shape,
                                  double fill) {
    return lt__nn->buffer(ctx, module, name, dtype, ndim, shape, fill);
}
/* The same of the model's own. */
LT_INLINE lt_tensor *lt_buffer(lt_ctx *ctx, const char *name, lt_dtype dtype, int32_t ndim, const int64_t *shape, double fill) {
    return lt__nn->buffer(ctx, NULL, name, dtype, ndim, shape, fill);
}
/* A module that only groups others, as a class in PyTorch does: children come with lt_child_of, the plugin runs them. name NULL or "" where
 * lt_child or lt_child_of names it later. lt_forward on it is LT_EUNSUPPORTED. */
LT_INLINE lt_module *lt_nn_module(lt_ctx *ctx, const char *name) { return lt__nn->module(ctx, name, NULL); }
/* The same with a type for summaries ("Block"), copied. */
LT_INLINE lt_module *lt_nn_module_as(lt_ctx *ctx, const char *name, const char *type) { return lt__nn->module(ctx, name, type); }
/* count modules as children "name.0", "name.1", ... that the plugin runs one by one (torch.nn.ModuleList); more may follow with lt_child_of. */
LT_INLINE lt_module *lt_nn_module_list_of(lt_ctx *ctx, const char *name, lt_module *const *items, size_t count) {
    return lt__nn->module_list(ctx, name, items, count);
}
/* Puts module into parent (of lt_nn_module or lt_nn_module_list) as "parent.name" and returns it; name NULL: its own from lt_child, or its
 * number among the children. LT_EINVAL where parent takes no children or module has a place. */
LT_INLINE lt_module *lt_child_of(lt_ctx *ctx, lt_module *parent, const char *name, lt_module *module) {
    return lt__nn->child_of(ctx, parent, name, module);
}
/* A second place for a module, to be named or made an item like a new one; running either is the same. state_dict shows the parameters under
 * both names, optimizers see them once, as in PyTorch. */
LT_INLINE lt_module *lt_nn_share(lt_ctx *ctx, lt_module *module) { return lt__nn->share(ctx, module); }
/* module's parameter `name` ("weight", "0.weight") becomes source's `source_name`: one parameter under two names (weight tying), as PyTorch's
 * `module.weight = source.weight`. LT_ESHAPE unless the shapes are equal, LT_EABSENT. */
LT_INLINE lt_status lt_nn_tie(lt_ctx *ctx, lt_module *module, const char *name, lt_module *source, const char *source_name) {
    return lt__nn->tie(ctx, module, name, source, source_name);
}
/* Gives back what it gets (torch.nn.Identity). */
LT_INLINE lt_module *lt_nn_identity(lt_ctx *ctx) { return lt__nn->activation(ctx, LT_ACT_NONE); }

/* ---- using them [trainer] ---- */
/* Runs a module on x, recording gradients where they are on. LT_ESHAPE names the layer. */
LT_INLINE lt_tensor *lt_forward(lt_ctx *ctx, lt_module *module, lt_tensor *x) { return lt__nn->forward(ctx, module, x); }
/* Runs an LSTM or GRU from *state and leaves there what it ends with; state NULL: from zeros. h or c NULL: zeros. What it leaves lives as long
 * as the step; lt_retain keeps it. LT_ESHAPE. */
LT_INLINE lt_tensor *lt_recurrent_forward(lt_ctx *ctx, lt_module *module, lt_tensor *x, lt_recurrent_state *state) {
    return lt__nn->recurrent_forward(ctx, module, x, state);
}
/* Runs a multihead attention: q (T, B, E), k and v (S, B, E), or batch first -> as q. opts NULL: no masks. Without need_weights, and without dropout
 * in training, no (T, S) matrix is made. A row that may look at nothing gives out_proj of 0, where PyTorch gives NaN. LT_ESHAPE. */
LT_INLINE lt_tensor *lt_multihead_attention(lt_ctx *ctx, lt_module *module, lt_tensor *q, lt_tensor *k, lt_tensor *v, lt_multihead_opts *opts) {
    return lt__nn->multihead_forward(ctx, module, q, k, v, opts);
}
/* A parameter of a module by its name within it ("weight", "0.bias"); the model's. LT_EABSENT. After `configure` its values are there. */
LT_INLINE lt_tensor *lt_module_parameter(lt_ctx *ctx, lt_module *module, const char *name) {
    return lt__nn->module_parameter(ctx, module, name);
}
/* Parameters of the module and all below get no gradients and no updates (frozen), or do again. Anywhere between steps. */
LT_INLINE void lt_freeze(lt_ctx *ctx, lt_module *module, bool frozen) { lt__nn->freeze(ctx, module, frozen); }
/* The same for one parameter, by its name within module as in lt_module_parameter; module NULL: within the model. LT_EABSENT. */
LT_INLINE void lt_freeze_parameter(lt_ctx *ctx, lt_module *module, const char *name, bool frozen) {
    lt__nn->freeze_parameter(ctx, module, name, frozen);
}
/* Whether that parameter trains (false for buffers and frozen ones). */
LT_INLINE bool lt_requires_grad(lt_ctx *ctx, lt_module *module, const char *name) { return lt__nn->requires_grad(ctx, module, name); }
/* Sets module and all below to training or evaluation mode (NULL: the model). The trainer sets the whole model to training when fit begins, and
 * gives every module its mode back after an evaluation. */
LT_INLINE void lt_train(lt_ctx *ctx, lt_module *module, bool training) { lt__nn->train(ctx, module, training); }
/* The mode of one module. */
LT_INLINE bool lt_module_training(lt_ctx *ctx, lt_module *module) { return lt__nn->module_training(ctx, module); }
/* Whether the model is in training mode (dropout drops, batch norm uses the batch). */
LT_INLINE bool lt_is_training(lt_ctx *ctx) { return lt__nn->training(ctx); }
/* The module tree for summaries, depth first: number of modules, and the facts of one; out->struct_size is set by the caller. Index -1: the
 * whole model, whose depth is -1 and whose name is "": its own parameters too, and those that several modules share once. LT_EINDEX. */
LT_INLINE int64_t lt_module_count(lt_ctx *ctx) { return lt__nn->module_count(ctx); }
LT_INLINE lt_status lt_module_info_at(lt_ctx *ctx, int64_t index, lt_module_info *out) { return lt__nn->module_info(ctx, index, out); }

/* Bodies of the forms below: a kernel of n is n x n unless the options say otherwise. */
LT_INLINE lt_pool2d_opts lt__square(int32_t kernel, lt_pool2d_opts opts) {
    opts.kernel[0] = opts.kernel[0] ? opts.kernel[0] : kernel;
    opts.kernel[1] = opts.kernel[1] ? opts.kernel[1] : kernel;
    return opts;
}
LT_INLINE lt_module *lt__nn_max_pool2d(lt_ctx *ctx, int32_t kernel, lt_pool2d_opts opts) {
    opts = lt__square(kernel, opts);
    return lt__nn->max_pool2d(ctx, &opts);
}
LT_INLINE lt_module *lt__nn_avg_pool2d(lt_ctx *ctx, int32_t kernel, lt_pool2d_opts opts) {
    opts = lt__square(kernel, opts);
    return lt__nn->avg_pool2d(ctx, &opts);
}
LT_END

/* Forms with options by name, all optional:
 *     lt_nn_conv2d(ctx, 1, 6, 5, .padding = 2)    lt_nn_max_pool2d(ctx, 2, .stride = {1, 1})    lt_nn_batch_norm2d(ctx, 64, .eps = 1e-3)
 * and lists: lt_nn_sequential(ctx, "encoder", lt_nn_linear(ctx, 784, 64), lt_nn_relu(ctx), lt_nn_linear(ctx, 64, 3)).
 * C++: lt_nn_conv2d(ctx, 1, 6, 5, lt::nn_conv2d().padding(2)), lt_nn_max_pool2d(ctx, 2, lt::pool2d().stride(1)). */
#ifndef __cplusplus
#define lt_nn_conv2d(ctx, in_channels, out_channels, ...) \
    lt_nn_conv2d_with(ctx, in_channels, out_channels, LT__FIRST(__VA_ARGS__, 0), &LT__REST_AS(lt_nn_conv2d_opts, __VA_ARGS__))
#define lt_nn_max_pool2d(ctx, ...) lt__nn_max_pool2d(ctx, LT__FIRST(__VA_ARGS__, 0), LT__REST_AS(lt_pool2d_opts, __VA_ARGS__))
#define lt_nn_avg_pool2d(ctx, ...) lt__nn_avg_pool2d(ctx, LT__FIRST(__VA_ARGS__, 0), LT__REST_AS(lt_pool2d_opts, __VA_ARGS__))
#define lt_nn_batch_norm1d(ctx, ...) lt_nn_batch_norm_with(ctx, 1, LT__FIRST(__VA_ARGS__, 0), &LT__REST_AS(lt_nn_batch_norm_opts, __VA_ARGS__))
#define lt_nn_layer_norm(ctx, ...) lt_nn_layer_norm_with(ctx, LT__FIRST(__VA_ARGS__, 0), &LT__REST_AS(lt_nn_layer_norm_opts, __VA_ARGS__))
#define lt_nn_batch_norm2d(ctx, ...) lt_nn_batch_norm_with(ctx, 2, LT__FIRST(__VA_ARGS__, 0), &LT__REST_AS(lt_nn_batch_norm_opts, __VA_ARGS__))
#define lt_nn_lstm(ctx, input_size, ...) \
    lt_nn_lstm_with(ctx, input_size, LT__FIRST(__VA_ARGS__, 0), &LT__REST_AS(lt_nn_recurrent_opts, __VA_ARGS__))
#define lt_nn_multihead_attention(ctx, embed_dim, ...) \
    lt_nn_multihead_attention_with(ctx, embed_dim, LT__FIRST(__VA_ARGS__, 0), &LT__REST_AS(lt_nn_multihead_opts, __VA_ARGS__))
#define lt_nn_transformer_encoder_layer(ctx, d_model, ...) \
    lt_nn_transformer_encoder_layer_with(ctx, d_model, LT__FIRST(__VA_ARGS__, 0), &LT__REST_AS(lt_nn_encoder_layer_opts, __VA_ARGS__))
#define lt_nn_gru(ctx, input_size, ...) lt_nn_gru_with(ctx, input_size, LT__FIRST(__VA_ARGS__, 0), &LT__REST_AS(lt_nn_recurrent_opts, __VA_ARGS__))

/* The list ends with a mark that is neither a module nor NULL: a module that failed (NULL) in the middle stays visible. */
#define LT__LAST ((lt_module *)(intptr_t)-1)
LT_INLINE lt_module *lt__sequential(lt_ctx *ctx, const char *name, lt_module *const *items) {
    size_t count = 0;
    while (items[count] != LT__LAST) { count++; }
    return lt_nn_sequential_of(ctx, name, items, count);
}
#define lt_nn_sequential(ctx, name, ...) lt__sequential(ctx, name, (lt_module *const[]){__VA_ARGS__, LT__LAST})
LT_INLINE lt_module *lt__module_list(lt_ctx *ctx, const char *name, lt_module *const *items) {
    size_t count = 0;
    while (items[count] != LT__LAST) { count++; }
    return lt_nn_module_list_of(ctx, name, items, count);
}
#define lt_nn_module_list(ctx, name, ...) lt__module_list(ctx, name, (lt_module *const[]){__VA_ARGS__, LT__LAST})
LT_INLINE lt_module *lt__residual(lt_ctx *ctx, lt_module *shortcut, lt_activation act, lt_module *const *items) {
    size_t count = 0;
    while (items[count] != LT__LAST) { count++; }
    return lt_nn_residual_of(ctx, shortcut, act, items, count);
}
#define lt_nn_residual(ctx, shortcut, act, ...) lt__residual(ctx, shortcut, act, (lt_module *const[]){__VA_ARGS__, LT__LAST})
#else
namespace lt {
struct nn_conv2d : lt_nn_conv2d_opts {
    nn_conv2d() : lt_nn_conv2d_opts() { struct_size = sizeof(lt_nn_conv2d_opts); }
    LT__SET(nn_conv2d, lt_nn_conv2d_opts, int32_t, stride)
    LT__SET(nn_conv2d, lt_nn_conv2d_opts, int32_t, padding)
    LT__SET(nn_conv2d, lt_nn_conv2d_opts, int32_t, dilation)
    LT__SET(nn_conv2d, lt_nn_conv2d_opts, int32_t, groups)
    LT__SET(nn_conv2d, lt_nn_conv2d_opts, int32_t, stride_w)
    LT__SET(nn_conv2d, lt_nn_conv2d_opts, int32_t, padding_w)
    LT__SET(nn_conv2d, lt_nn_conv2d_opts, int32_t, dilation_w)
    LT__SET(nn_conv2d, lt_nn_conv2d_opts, int32_t, kernel_w)
    LT__SET(nn_conv2d, lt_nn_conv2d_opts, bool, no_bias)
};
struct nn_batch_norm : lt_nn_batch_norm_opts {
    nn_batch_norm() : lt_nn_batch_norm_opts() { struct_size = sizeof(lt_nn_batch_norm_opts); }
    LT__SET(nn_batch_norm, lt_nn_batch_norm_opts, bool, no_affine)
    LT__SET(nn_batch_norm, lt_nn_batch_norm_opts, bool, no_running_stats)
    LT__SET(nn_batch_norm, lt_nn_batch_norm_opts, double, eps)
    LT__SET(nn_batch_norm, lt_nn_batch_norm_opts, double, momentum)
};
struct nn_recurrent : lt_nn_recurrent_opts {
    nn_recurrent() : lt_nn_recurrent_opts() { struct_size = sizeof(lt_nn_recurrent_opts); }
    LT__SET(nn_recurrent, lt_nn_recurrent_opts, int32_t, num_layers)
    LT__SET(nn_recurrent, lt_nn_recurrent_opts, bool, no_bias)
    LT__SET(nn_recurrent, lt_nn_recurrent_opts, bool, batch_first)
    LT__SET(nn_recurrent, lt_nn_recurrent_opts, bool, bidirectional)
    LT__SET(nn_recurrent, lt_nn_recurrent_opts, double, dropout)
};
struct nn_layer_norm : lt_nn_layer_norm_opts {
    nn_layer_norm() : lt_nn_layer_norm_opts() { struct_size = sizeof(lt_nn_layer_norm_opts); }
    LT__SET(nn_layer_norm, lt_nn_layer_norm_opts, bool, no_affine)
    LT__SET(nn_layer_norm, lt_nn_layer_norm_opts, bool, no_bias)
    LT__SET(nn_layer_norm, lt_nn_layer_norm_opts, double, eps)
};
} // namespace lt
namespace lt {
struct nn_multihead : lt_nn_multihead_opts {
    nn_multihead() : lt_nn_multihead_opts() { struct_size = sizeof(lt_nn_multihead_opts); }
    LT__SET(nn_multihead, lt_nn_multihead_opts, bool, no_bias)
    LT__SET(nn_multihead, lt_nn_multihead_opts, bool, batch_first)
    LT__SET(nn_multihead, lt_nn_multihead_opts, double, dropout)
};
struct nn_encoder_layer : lt_nn_encoder_layer_opts {
    nn_encoder_layer() : lt_nn_encoder_layer_opts() { struct_size = sizeof(lt_nn_encoder_layer_opts); }
    LT__SET(nn_encoder_layer, lt_nn_encoder_layer_opts, bool, no_bias)
    LT__SET(nn_encoder_layer, lt_nn_encoder_layer_opts, bool, batch_first)
    LT__SET(nn_encoder_layer, lt_nn_encoder_layer_opts, bool, norm_first)
    LT__SET(nn_encoder_layer, lt_nn_encoder_layer_opts, bool, no_dropout)
    LT__SET(nn_encoder_layer, lt_nn_encoder_layer_opts, int64_t, dim_feedforward)
    LT__SET(nn_encoder_layer, lt_nn_encoder_layer_opts, double, dropout)
    LT__SET(nn_encoder_layer, lt_nn_encoder_layer_opts, double, layer_norm_eps)
    LT__SET(nn_encoder_layer, lt_nn_encoder_layer_opts, lt_activation, activation)
};
} // namespace lt
inline lt_module *lt_nn_multihead_attention(lt_ctx *ctx, int64_t embed_dim, int64_t num_heads, const lt_nn_multihead_opts &opts = lt::nn_multihead()) {
    return lt_nn_multihead_attention_with(ctx, embed_dim, num_heads, &opts);
}
inline lt_module *lt_nn_transformer_encoder_layer(lt_ctx *ctx, int64_t d_model, int64_t num_heads,
                                                  const lt_nn_encoder_layer_opts &opts = lt::nn_encoder_layer()) {
    return lt_nn_transformer_encoder_layer_with(ctx, d_model, num_heads, &opts);
}
inline lt_module *lt_nn_lstm(lt_ctx *ctx, int64_t input_size, int64_t hidden_size, const lt_nn_recurrent_opts &opts = lt::nn_recurrent()) {
    return lt_nn_lstm_with(ctx, input_size, hidden_size, &opts);
}
inline lt_module *lt_nn_gru(lt_ctx *ctx, int64_t input_size, int64_t hidden_size, const lt_nn_recurrent_opts &opts = lt::nn_recurrent()) {
    return lt_nn_gru_with(ctx, input_size, hidden_size, &opts);
}
inline lt_module *lt_nn_layer_norm(lt_ctx *ctx, int64_t width, const lt_nn_layer_norm_opts &opts = lt::nn_layer_norm()) {
    return lt_nn_layer_norm_with(ctx, width, &opts);
}
inline lt_module *lt_nn_conv2d(lt_ctx *ctx, int64_t in_channels, int64_t out_channels, int32_t kernel,
                               const lt_nn_conv2d_opts &opts = lt::nn_conv2d()) {
    return lt_nn_conv2d_with(ctx, in_channels, out_channels, kernel, &opts);
}
inline lt_module *lt_nn_max_pool2d(lt_ctx *ctx, int32_t kernel, const lt_pool2d_opts &opts = lt::pool2d()) {
    return lt__nn_max_pool2d(ctx, kernel, opts);
}
inline lt_module *lt_nn_avg_pool2d(lt_ctx *ctx, int32_t kernel, const lt_pool2d_opts &opts = lt::pool2d()) {
    return lt__nn_avg_pool2d(ctx, kernel, opts);
}
inline lt_module *lt_nn_batch_norm1d(lt_ctx *ctx, int64_t channels, const lt_nn_batch_norm_opts &opts = lt::nn_batch_norm()) {
    return lt_nn_batch_norm_with(ctx, 1, channels, &opts);
}
inline lt_module *lt_nn_batch_norm2d(lt_ctx *ctx, int64_t channels, const lt_nn_batch_norm_opts &opts = lt::nn_batch_norm()) {
    return lt_nn_batch_norm_with(ctx, 2, channels, &opts);
}
template <size_t N> inline lt_module *lt__sequential(lt_ctx *ctx, const char *name, lt_module *const (&items)[N]) {
    return lt_nn_sequential_of(ctx, name, items, N);
}
#define lt_nn_sequential(ctx, name, ...) lt__sequential(ctx, name, {__VA_ARGS__}) /* braces: evaluated left to right */
template <size_t N> inline lt_module *lt__module_list(lt_ctx *ctx, const char *name, lt_module *const (&items)[N]) {
    return lt_nn_module_list_of(ctx, name, items, N);
}
#define lt_nn_module_list(ctx, name, ...) lt__module_list(ctx, name, {__VA_ARGS__})
template <size_t N> inline lt_module *lt__residual(lt_ctx *ctx, lt_module *shortcut, lt_activation act, lt_module *const (&items)[N]) {
    return lt_nn_residual_of(ctx, shortcut, act, items, N);
}
#define lt_nn_residual(ctx, shortcut, act, ...) lt__residual(ctx, shortcut, act, {__VA_ARGS__})
#endif
#include <lt/nn_layers.h>
#endif
