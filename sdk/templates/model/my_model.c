/* MyModel: a small classifier of feature vectors; the place to start from. in -> hidden -> hidden -> classes, ReLU between. */
#include <lt/model.h>

typedef struct {
    int64_t in_features, hidden, classes;
    double lr;
    lt_module *net;
} my_model;

LT_PARAMS(my_model,
    LT_PARAM(in_features, "2", "Numbers in one sample.", LT_RANGE("1..")),
    LT_PARAM(hidden, "32", "Width of the hidden layers.", LT_RANGE("1..")),
    LT_PARAM(classes, "3", "Number of classes.", LT_RANGE("2..")),
    LT_PARAM(lr, "0.01", "Learning rate of Adam.", LT_RANGE("0..")));

static lt_status configure(lt_ctx *ctx, void *self) {
    my_model *m = self;
    m->net = lt_nn_sequential(ctx, "net",
        lt_nn_linear(ctx, m->in_features, m->hidden), lt_nn_relu(ctx),
        lt_nn_linear(ctx, m->hidden, m->hidden), lt_nn_relu(ctx),
        lt_nn_linear(ctx, m->hidden, m->classes));
    return lt_ctx_status(ctx);
}

/* Used unless the configuration names an optimizer. */
static lt_status configure_optimizers(lt_ctx *ctx, void *self, lt_optim_setup *setup) {
    my_model *m = self;
    return lt_use_optimizer(ctx, setup, "Adam", "lr: %g", m->lr);
}

static lt_tensor *forward(lt_ctx *ctx, void *self, lt_tensor *x) {
    my_model *m = self;
    return lt_forward(ctx, m->net, x); /* (B, in_features) f32 -> (B, classes) f32 */
}

static lt_status training_step(lt_ctx *ctx, void *self, const lt_batch *batch, lt_step_out *out) {
    lt_tensor *logits = forward(ctx, self, lt_batch_get(ctx, batch, 0));          /* (B, C) f32 */
    lt_tensor *loss = lt_cross_entropy(ctx, logits, lt_batch_get(ctx, batch, 1)); /* target (B) i64 -> () */
    lt_log(ctx, "train_loss", loss, LT_LOG_PROG_BAR);
    return lt_step_loss(ctx, out, loss);
}

static lt_status validation_step(lt_ctx *ctx, void *self, const lt_batch *batch, lt_step_out *out) {
    lt_tensor *target = lt_batch_get(ctx, batch, 1);                     /* (B) i64 */
    lt_tensor *logits = forward(ctx, self, lt_batch_get(ctx, batch, 0)); /* (B, C) f32 */
    (void)out;
    lt_log(ctx, "val_loss", lt_cross_entropy(ctx, logits, target), LT_LOG_PROG_BAR);
    lt_log(ctx, "val_acc", lt_accuracy(ctx, logits, target), LT_LOG_PROG_BAR);
    return lt_ctx_status(ctx);
}

LT_MODEL(MyModel, my_model, "A small classifier of feature vectors.",
    .configure = configure,
    .configure_optimizers = configure_optimizers,
    .forward = forward,
    .training_step = training_step,
    .validation_step = validation_step);

LT_PLUGIN("org.example.my-model", "0.1.0", model(MyModel), datamodule(MyData));
