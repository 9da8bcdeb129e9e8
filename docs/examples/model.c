/* Perceptron: features -> hidden -> classes, trained with cross-entropy. Takes samples of any shape; they are flattened. */
#include <lt/model.h>

typedef struct {
    int64_t features, hidden, classes;
    lt_module *net;
} perceptron;

LT_PARAMS(perceptron,
    LT_PARAM(features, "2", "Numbers in one sample.", LT_RANGE("1..")),
    LT_PARAM(hidden, "16", "Width of the hidden layer.", LT_RANGE("1..")),
    LT_PARAM(classes, "2", "Number of classes.", LT_RANGE("2..")));

static lt_status configure(lt_ctx *ctx, void *self) {
    perceptron *m = self;
    m->net = lt_nn_sequential(ctx, "net", lt_nn_linear(ctx, m->features, m->hidden), lt_nn_relu(ctx), lt_nn_linear(ctx, m->hidden, m->classes));
    return lt_ctx_status(ctx);
}

/* Used unless the configuration names an optimizer. */
static lt_status configure_optimizers(lt_ctx *ctx, void *self, lt_optim_setup *setup) {
    (void)self;
    return lt_use_optimizer(ctx, setup, "Adam", "lr: 0.01");
}

static lt_tensor *forward(lt_ctx *ctx, void *self, lt_tensor *x) {
    perceptron *m = self;
    return lt_forward(ctx, m->net, lt_flatten(ctx, x, 1)); /* (B, features) f32 -> (B, classes) f32 */
}

static lt_status training_step(lt_ctx *ctx, void *self, const lt_batch *batch, lt_step_out *out) {
    lt_tensor *logits = forward(ctx, self, lt_batch_get(ctx, batch, 0));
    lt_tensor *loss = lt_cross_entropy(ctx, logits, lt_batch_get(ctx, batch, 1)); /* target (B) i64 -> () f32 */
    lt_log(ctx, "train_loss", loss, LT_LOG_PROG_BAR);
    return lt_step_loss(ctx, out, loss);
}

static lt_status validation_step(lt_ctx *ctx, void *self, const lt_batch *batch, lt_step_out *out) {
    lt_tensor *logits = forward(ctx, self, lt_batch_get(ctx, batch, 0)), *target = lt_batch_get(ctx, batch, 1);
    (void)out;
    lt_log(ctx, "val_loss", lt_cross_entropy(ctx, logits, target), LT_LOG_PROG_BAR);
    lt_log(ctx, "val_acc", lt_accuracy(ctx, logits, target), LT_LOG_PROG_BAR);
    return lt_ctx_status(ctx);
}

LT_MODEL(Perceptron, perceptron, "A classifier with one hidden layer.",
    .configure = configure,
    .configure_optimizers = configure_optimizers,
    .forward = forward,
    .training_step = training_step,
    .validation_step = validation_step);
LT_PLUGIN("org.example.perceptron", "1.0.0", model(Perceptron));
