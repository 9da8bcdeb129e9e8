/* Every macro and every form with options that the SDK has for C, once. It is compiled, not run. */
#include <lt/callback.h>
#include <lt/data.h>
#include <lt/logger.h>
#include <lt/metric.h>
#include <lt/model.h>

enum direction { MIN, MAX };
typedef struct { int64_t kernel; bool relu; } layer;
typedef struct {
    int64_t n, waited;
    double x, best;
    bool flag;
    const char *text, *file;
    enum direction mode;
    lt_opt_int maybe;
    lt_opt_float perhaps;
    lt_ints sizes;
    lt_floats rates;
    lt_texts names;
    LT_LIST(layer) layers;
} everything;

LT_PARAMS(layer, LT_PARAM(kernel, "3", "Side.", LT_RANGE("1..")), LT_PARAM(relu, "true", "Whether."));
LT_PARAMS(everything,
    LT_PARAM(n, "1", "An integer.", LT_RANGE("0.."), LT_UNIT("batches"), LT_LIVE),
    LT_PARAM(x, "0.5", "A number.", LT_RANGE(">0..1"), LT_ALIAS("y")),
    LT_PARAM(flag, "false", "A truth."),
    LT_PARAM(text, LT_REQUIRED, "A text.", LT_SECRET),
    LT_PARAM(file, "null", "A path.", LT_PATH),
    LT_CHOICE(mode, "min|max", "min", "A word.", LT_LIVE),
    LT_PARAM(maybe, "null", "An integer or nothing."),
    LT_PARAM(perhaps, "null", "A number or nothing."),
    LT_PARAM(sizes, "[1, 2]", "Integers."),
    LT_PARAM(rates, "[0.5]", "Numbers."),
    LT_PARAM(names, "[]", "Texts."),
    LT_RECORD_LIST(layers, layer, "[]", "Records."),
    LT_SAVED(best, "nan"),
    LT_SAVED(waited, "0"));

static lt_status configure(lt_ctx *ctx, void *self) {
    const int64_t shape[1] = {3};
    lt_module *net = lt_nn_sequential(ctx, "net",
        lt_child(ctx, "conv", lt_nn_conv2d(ctx, 1, 6, 5)), lt_nn_conv2d(ctx, 6, 6, 5, .padding = 2, .no_bias = 1), lt_nn_batch_norm2d(ctx, 6),
        lt_nn_batch_norm2d(ctx, 6, .eps = 1e-3), lt_nn_batch_norm1d(ctx, 6, .momentum = 0.2), lt_nn_max_pool2d(ctx, 2),
        lt_nn_max_pool2d(ctx, 3, .stride = {1, 1}), lt_nn_avg_pool2d(ctx, 2, .exclude_pad = 1), lt_nn_flatten(ctx), lt_nn_flatten_from(ctx, 2),
        lt_nn_relu(ctx), lt_nn_tanh(ctx), lt_nn_sigmoid(ctx), lt_nn_gelu(ctx), lt_nn_gelu_tanh(ctx), lt_nn_dropout(ctx, 0.5),
        lt_nn_sequential(ctx, NULL, lt_nn_linear(ctx, 3, 2)), lt_nn_linear_no_bias(ctx, 2, 1),
        lt_nn_lstm(ctx, 3, 4), lt_nn_gru(ctx, 3, 4, .num_layers = 2, .bidirectional = 1), lt_nn_multihead_attention(ctx, 8, 2, .batch_first = 1),
        lt_nn_transformer_encoder_layer(ctx, 8, 2, .norm_first = 1), lt_nn_identity(ctx), lt_nn_module_list(ctx, "list", lt_nn_relu(ctx)),
        lt_nn_layer_norm(ctx, 8), lt_nn_layer_norm(ctx, 8, .no_bias = 1), lt_nn_embedding(ctx, 10, 8),
        lt_nn_embedding(ctx, 10, 8, .has_padding_idx = 1, .padding_idx = -1), lt_nn_conv1d(ctx, 1, 6, 5), lt_nn_conv1d(ctx, 1, 6, 5, .no_bias = 1),
        lt_nn_conv_transpose1d(ctx, 6, 6, 2), lt_nn_conv_transpose1d(ctx, 6, 6, 2, .stride = 2), lt_nn_conv_transpose2d(ctx, 6, 6, 2),
        lt_nn_conv_transpose2d(ctx, 6, 6, 2, .stride = 2, .kernel_w = 3), lt_nn_max_pool1d(ctx, 2), lt_nn_max_pool1d(ctx, 3, .stride = 1),
        lt_nn_avg_pool1d(ctx, 2), lt_nn_avg_pool1d(ctx, 2, .exclude_pad = 1), lt_nn_adaptive_avg_pool1d(ctx, 3), lt_nn_adaptive_avg_pool2d(ctx, 1, 1),
        lt_nn_adaptive_max_pool2d(ctx, 2, 2), lt_nn_upsample(ctx, 2), lt_nn_upsample(ctx, 0, .size = {8, 8}, .mode = LT_BILINEAR),
        lt_nn_group_norm(ctx, 2, 6), lt_nn_group_norm(ctx, 2, 6, .eps = 1e-3), lt_nn_instance_norm2d(ctx, 6), lt_nn_instance_norm2d(ctx, 6, .affine = 1),
        lt_nn_rms_norm(ctx, 8), lt_nn_rms_norm(ctx, 8, .no_affine = 1), lt_nn_layer_norm_over(ctx, 1, shape, NULL), lt_nn_softmax(ctx, -1),
        lt_nn_log_softmax(ctx, 1), lt_nn_unflatten(ctx, 1, 1, shape));
    (void)self;
    (void)lt_parameter(ctx, "scale", LT_F32, 1, shape, 1);
    (void)lt_module_parameter(ctx, net, "conv.weight");
    lt_freeze(ctx, net, true);
    return lt_ctx_status(ctx);
}
static double factor(void *self, int64_t epoch, uint32_t group) { return self && epoch ? 1.0 : (double)group; }
static lt_status configure_optimizers(lt_ctx *ctx, void *self, lt_optim_setup *setup) {
    (void)self;
    (void)lt_use_optimizer(ctx, setup, "Adam", "lr: %g", 0.001);
    (void)lt_use_optimizer(ctx, setup, "Adam", "");
    (void)lt_param_group(ctx, setup, "*.bias", "weight_decay: %g", 0.0);
    (void)lt_param_group_module(ctx, setup, NULL, "lr: 0.1");
    (void)lt_use_lambda_lr(ctx, setup, factor, self, NULL);
    (void)lt_use_multiplicative_lr(ctx, setup, factor, self, NULL);
    (void)lt_use_lr_scheduler(ctx, setup, "StepLR", "step_size: 3");
    return lt_use_lr_scheduler(ctx, setup, "StepLR", "step_size: 3", .per_step = 1, .monitor = "val_loss");
}
static lt_status training_step(lt_ctx *ctx, void *self, const lt_batch *batch, lt_step_out *out) {
    lt_tensor *x = lt_batch_get(ctx, batch, 0);
    (void)self;
    x = lt_conv2d(ctx, x, x, NULL);
    x = lt_conv2d(ctx, x, x, NULL, .padding = {1, 1});
    x = lt_conv1d(ctx, x, x, NULL);
    x = lt_conv1d(ctx, x, x, x, .padding = 1, .groups = 2);
    x = lt_conv_transpose1d(ctx, x, x, NULL, .stride = 2);
    x = lt_conv_transpose2d(ctx, x, x, NULL, .stride = {2, 2}, .output_padding = {1, 1});
    x = lt_max_pool1d(ctx, x, .kernel = 2);
    x = lt_avg_pool1d(ctx, x, .kernel = 3, .exclude_pad = 1);
    x = lt_interpolate(ctx, x, .scale = {2}, .mode = LT_BILINEAR);
    x = lt_adaptive_avg_pool2d(ctx, lt_adaptive_max_pool2d(ctx, lt_adaptive_avg_pool1d(ctx, x, 3), 2, 2), 1, 1);
    x = lt_rms_norm(ctx, lt_layer_norm_over(ctx, x, 2, NULL, NULL, 1e-5), NULL, 1e-6);
    x = lt_group_norm(ctx, lt_instance_norm(ctx, x, NULL, NULL, 1e-5), 2, x, x, 1e-5);
    x = lt_max_pool2d(ctx, x, .kernel = {2, 2});
    x = lt_avg_pool2d(ctx, x, .kernel = {2, 2}, .ceil_mode = 1);
    x = lt_attention(ctx, x, x, x);
    x = lt_attention(ctx, x, x, x, .causal = 1, .mask = x);
    x = lt_self_attention(ctx, x, 4, .causal = 1, .scale = 0.5);
    x = lt_layer_norm(ctx, lt_embedding(ctx, x, x), x, NULL, 1e-5);
    x = lt_cross_entropy(ctx, lt_nll_loss(ctx, x, x, .weight = x), x, .label_smoothing = 0.1);
    x = lt_l1_loss(ctx, lt_smooth_l1_loss(ctx, x, x, .beta = 2), lt_huber_loss(ctx, x, x, .delta = 2, .reduction = LT_SUM));
    x = lt_bce_loss(ctx, lt_bce_with_logits(ctx, x, x, .pos_weight = x), x, .weight = x);
    x = lt_cosine_embedding_loss(ctx, lt_kl_div(ctx, x, x, .reduction = LT_BATCHMEAN, .log_target = 1), x, x, .margin = 0.5);
    x = lt_embedding(ctx, x, x, .has_padding_idx = 1, .padding_idx = -1);
    x = lt_argsort(ctx, lt_narrow(ctx, x, 0, -1, 1), lt_chunk(ctx, x, 1, 0, &x), LT_HAS(lt_embedding) && LT_HAS(lt_topk));
    if (LT_HAS(lt_gelu) && LT_HAS(lt_nn_conv2d) && LT_HAS(lt_request_stop)) { x = lt_gelu(ctx, x, false); }
    lt_log(ctx, "loss", x, LT_LOG_PROG_BAR | LT_LOG_EPOCH);
    lt_request_stop(ctx, "at %d", 3);
    return lt_step_loss(ctx, out, lt_mse_loss(ctx, x, lt_cross_entropy_with(ctx, x, x, NULL)));
}
static const void *offers(void *self, const char *id) {
    (void)self;
    (void)id;
    return NULL;
}
static lt_status hook(lt_ctx *ctx, void *self) {
    (void)self;
    lt_print(ctx, "%d", 1);
    return lt_fail(ctx, LT_EINVAL, "%s", "no");
}
static lt_loader *loader(lt_ctx *ctx, void *self) {
    lt_dataset_desc desc = {.struct_size = sizeof desc, .length = 1};
    lt_dataset *d = lt_data_dataset(ctx, &desc);
    (void)self;
    (void)lt_data_loader(ctx, d);
    return lt_data_loader(ctx, d, .batch_size = 4, .shuffle = 1);
}
static lt_status scalars(lt_ctx *ctx, void *self, const lt_scalars *const *rows, uint32_t count) {
    lt_file *file = lt_file_append(ctx, "a.txt");
    (void)self;
    (void)rows;
    lt_file_print(ctx, file, "%u\n", (unsigned)count);
    return lt_ctx_status(ctx);
}
static lt_status step(lt_ctx *ctx, void *self, const lt_group *const *groups, uint32_t n) {
    const lt_sgd_args args = {.struct_size = sizeof args, .lr = groups[0]->lr};
    (void)self;
    return n ? lt_optim_sgd(ctx, groups[0]->spans[0], &args) : LT_OK;
}
static lt_status schedule(lt_ctx *ctx, void *self, lt_lr_state *state) {
    (void)self;
    state->lr[0] = state->base_lr[0];
    return lt_ctx_status(ctx);
}

LT_MODEL(Net, everything, "A model.", .configure = configure, .configure_optimizers = configure_optimizers, .training_step = training_step,
    .on_fit_end = hook, .base.flags = LT_MODEL_CAPTURABLE);
LT_CALLBACK(Watch, everything, "A callback.", .setup = hook, .base.flags = LT_CALLBACK_LAST, .base.state_version = 2, .base.get_interface = offers);
LT_LOGGER(Lines, lt_nothing, "A logger.", .scalars = scalars);
LT_DATAMODULE(Data, lt_nothing, "A datamodule.", .train_dataloader = loader);
LT_OPTIMIZER(Opt, lt_nothing, "An optimizer.", .step = step);
LT_LR_SCHEDULER(Sched, lt_nothing, "A scheduler.", .step = schedule);
LT_METRIC(Mean, lt_nothing, "A metric.", .setup = hook);
LT_PLUGIN("org.lthost.every-form", "1.0.0", model(Net), callback(Watch), logger(Lines), datamodule(Data), optimizer(Opt), lr_scheduler(Sched), metric(Mean));
