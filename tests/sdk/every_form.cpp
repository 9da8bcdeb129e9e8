// Every macro and every form with options that the SDK has for C++, once. It is compiled, not run.
#include <lt/callback.h>
#include <lt/data.h>
#include <lt/logger.h>
#include <lt/metric.h>
#include <lt/model.h>

struct layer { int64_t kernel; };
LT_PARAMS(layer, LT_PARAM(kernel, "3", "Side.", LT_RANGE("1..")));
struct base_net : lt::model {
    lt_status configure(lt_ctx *ctx) override {
        lt_nn_sequential(ctx, "net", lt_nn_conv2d(ctx, 1, 6, 5), lt_nn_conv2d(ctx, 6, 6, 5, lt::nn_conv2d().padding(2).no_bias(true)), lt_nn_batch_norm2d(ctx, 6),
                         lt_nn_batch_norm1d(ctx, 6, lt::nn_batch_norm().eps(1e-3)), lt_nn_lstm(ctx, 3, 4), lt_nn_gru(ctx, 3, 4, lt::nn_recurrent().num_layers(2)),
                         lt_nn_multihead_attention(ctx, 8, 2, lt::nn_multihead().batch_first(true)), lt_nn_module_list(ctx, "list", lt_nn_relu(ctx)),
                         lt_nn_transformer_encoder_layer(ctx, 8, 2, lt::nn_encoder_layer().norm_first(true)),
                         lt_nn_max_pool2d(ctx, 2), lt_nn_avg_pool2d(ctx, 2, lt::pool2d().stride(1)),
                         lt_nn_conv1d(ctx, 1, 6, 5), lt_nn_conv1d(ctx, 1, 6, 5, lt::nn_conv1d().padding(2)), lt_nn_conv_transpose1d(ctx, 6, 6, 2),
                         lt_nn_conv_transpose2d(ctx, 6, 6, 2, lt::nn_conv_transpose().stride(2).kernel_w(3)), lt_nn_max_pool1d(ctx, 2),
                         lt_nn_avg_pool1d(ctx, 2, lt::pool1d().stride(1)), lt_nn_upsample(ctx, 2),
                         lt_nn_upsample(ctx, 0, lt::interpolate().size(8, 8).mode(LT_BILINEAR)), lt_nn_group_norm(ctx, 2, 6),
                         lt_nn_instance_norm2d(ctx, 6, lt::nn_instance_norm().affine(true)), lt_nn_rms_norm(ctx, 8, lt::nn_layer_norm().eps(1e-3)),
                         lt_nn_embedding(ctx, 10, 8), lt_nn_embedding(ctx, 10, 8, lt::embedding().padding_idx(-1)), lt_nn_softmax(ctx, -1),
                         lt_nn_sequential(ctx, nullptr, lt_nn_linear(ctx, 3, 2)));
        return lt_ctx_status(ctx);
    }
};
struct net : base_net { // hooks are found through a class between, too
    enum { state_version = 2 };
    enum direction { low, high };
    int64_t n;
    double x, best;
    bool flag;
    const char *text;
    direction mode;
    lt_opt_int maybe;
    lt_texts names;
    LT_LIST(layer) layers;
    lt_status configure_optimizers(lt_ctx *ctx, lt_optim_setup *setup) override {
        return lt_use_lr_scheduler(ctx, setup, "StepLR", "step_size: 3", lt::lr_scheduler_opts().per_step(true).monitor("val_loss"));
    }
    lt_status training_step(lt_ctx *ctx, const lt_batch *batch, lt_step_out *out) override {
        lt_tensor *y = lt_conv2d(ctx, lt_batch_get(ctx, batch, 0), nullptr, nullptr, lt::conv2d().padding(1, 2));
        y = lt_conv1d(ctx, y, y, nullptr, lt::conv1d().padding(1).groups(2));
        y = lt_conv_transpose1d(ctx, y, y, nullptr, lt::conv_transpose1d().stride(2));
        y = lt_conv_transpose2d(ctx, y, y, nullptr, lt::conv_transpose2d().stride(2).output_padding(1));
        y = lt_avg_pool1d(ctx, lt_max_pool1d(ctx, y, lt::pool1d(2)), lt::pool1d(3).stride(2).exclude_pad(true));
        y = lt_interpolate(ctx, lt_conv1d(ctx, y, y, nullptr), lt::interpolate().scale(2).mode(LT_BILINEAR).align_corners(true));
        if (LT_HAS(lt_gelu)) { y = lt_max_pool2d(ctx, y, lt::pool2d(2).ceil_mode(true)); }
        y = lt_attention(ctx, y, y, lt_self_attention(ctx, y, 2), lt::attention().causal(true).scale(0.5));
        y = lt_cross_entropy(ctx, lt_cross_entropy(ctx, y, y), lt_nll_loss(ctx, y, y), lt::cross_entropy().ignore_index(-100).label_smoothing(0.1));
        y = lt_bce_with_logits(ctx, lt_l1_loss(ctx, y, y), y, lt::loss().pos_weight(y).reduction(LT_SUM));
        y = lt_cosine_embedding_loss(ctx, y, y, y, lt::loss().margin(0.5));
        y = lt_embedding(ctx, y, lt_embedding(ctx, y, y), lt::embedding().padding_idx(0));
        return lt_step_loss(ctx, out, lt_conv2d(ctx, y, y, y));
    }
};
LT_PARAMS(net,
    LT_PARAM(n, "1", "An integer.", LT_RANGE("0.."), LT_UNIT("batches"), LT_LIVE),
    LT_PARAM(x, "0.5", "A number.", LT_ALIAS("y")),
    LT_PARAM(flag, "false", "A truth."),
    LT_PARAM(text, LT_REQUIRED, "A text.", LT_SECRET, LT_PATH),
    LT_CHOICE(mode, "low|high", "low", "A word."),
    LT_PARAM(maybe, "null", "An integer or nothing."),
    LT_PARAM(names, "[]", "Texts."),
    LT_RECORD_LIST(layers, layer, "[]", "Records."),
    LT_SAVED(best, "nan"));
LT_MODEL(Net, net, "A model.", LT_MODEL_CAPTURABLE);

struct watch : lt::callback {
    lt_status on_fit_end(lt_ctx *ctx) override { return lt_fail(ctx, LT_EINVAL, "%s", "no"); }
    const char *state_key(lt_ctx *) override { return "watch"; }
};
LT_NO_PARAMS(watch);
LT_CALLBACK(Watch, watch, "A callback.");

struct data : lt::datamodule {
    lt_loader *train_dataloader(lt_ctx *ctx) override { return lt_data_loader(ctx, nullptr, lt::loader_opts().batch_size(4).shuffle(true)); }
    lt_loader *val_dataloader(lt_ctx *ctx) override { return lt_data_loader(ctx, nullptr); }
    void release(lt_ctx *) override {}
};
LT_NO_PARAMS(data);
LT_DATAMODULE(Data, data, "A datamodule.");

struct lines : lt::logger {
    lt_status scalars(lt_ctx *ctx, const lt_scalars *const *, uint32_t count) override {
        lt_file_print(ctx, lt_file_append(ctx, "a.txt"), "%u\n", static_cast<unsigned>(count));
        return lt_ctx_status(ctx);
    }
};
LT_NO_PARAMS(lines);
LT_LOGGER(Lines, lines, "A logger.");
LT_PLUGIN("org.lthost.every-form", "1.0.0", model(Net), callback(Watch), datamodule(Data), logger(Lines));
