/* MNISTModel: 784 -> hidden_dim -> num_classes with one ReLU; Adam on a cosine over the epochs; accuracy and macro F1. */
#include "../shared/classifier.h"
#include <lt/metric.h>
#include <stdio.h>

typedef struct {
    int64_t hidden_dim, num_classes, num_epochs;
    double lr;
    lt_module *net;
    lt_metric_handle *acc, *f1;
} mnist_model;

LT_PARAMS(mnist_model,
    LT_PARAM(hidden_dim, "128", "Width of the hidden layer.", LT_RANGE("1..")),
    LT_PARAM(num_classes, "10", "Number of classes.", LT_RANGE("2..")),
    LT_PARAM(lr, "0.001", "Learning rate of Adam at the start.", LT_RANGE(">0")),
    LT_PARAM(num_epochs, "10", "Epochs until the learning rate is down to a hundredth.", LT_RANGE("1..")));

static lt_status configure(lt_ctx *ctx, void *self) {
    mnist_model *m = self;
    char classes[48];

    m->net = lt_nn_sequential(ctx, "model", lt_nn_flatten(ctx), lt_nn_linear(ctx, 784, m->hidden_dim), lt_nn_relu(ctx),
                              lt_nn_linear(ctx, m->hidden_dim, m->num_classes));
    snprintf(classes, sizeof classes, "num_classes: %lld", (long long)m->num_classes);
    m->acc = lt_metric_make(ctx, "Accuracy", classes);
    snprintf(classes, sizeof classes, "num_classes: %lld, average: macro", (long long)m->num_classes);
    m->f1 = lt_metric_make(ctx, "F1Score", classes);
    return lt_ctx_status(ctx);
}

static lt_status configure_optimizers(lt_ctx *ctx, void *self, lt_optim_setup *setup) {
    mnist_model *m = self;
    char cosine[96];

    snprintf(cosine, sizeof cosine, "T_max: %lld, eta_min: %.17g", (long long)m->num_epochs, m->lr / 100);
    lt_use_optimizer(ctx, setup, "Adam", "lr: %.17g", m->lr);
    return lt_use_lr_scheduler_with(ctx, setup, "CosineAnnealingLR", cosine, NULL);
}

static lt_tensor *forward(lt_ctx *ctx, void *self, lt_tensor *x) { return lt_forward(ctx, ((mnist_model *)self)->net, x); }

static lt_status training_step(lt_ctx *ctx, void *self, const lt_batch *batch, lt_step_out *out) {
    return classifier_train(ctx, forward(ctx, self, lt_batch_get(ctx, batch, 0)), batch, out);
}

static lt_status measure(lt_ctx *ctx, void *self, const lt_batch *batch, const char *loss, const char *acc, const char *f1) {
    mnist_model *m = self;
    lt_tensor *logits = forward(ctx, self, lt_batch_get(ctx, batch, 0)), *target = lt_batch_get(ctx, batch, 1);

    lt_log(ctx, loss, lt_cross_entropy(ctx, logits, target), LT_LOG_PROG_BAR);
    lt_metric_update(ctx, m->acc, logits, target);
    lt_metric_log(ctx, acc, m->acc, LT_LOG_PROG_BAR);
    lt_metric_update(ctx, m->f1, logits, target);
    lt_metric_log(ctx, f1, m->f1, LT_LOG_PROG_BAR);
    return lt_ctx_status(ctx);
}

static lt_status validation_step(lt_ctx *ctx, void *self, const lt_batch *batch, lt_step_out *out) {
    (void)out;
    return measure(ctx, self, batch, "val_loss", "val_acc", "val_f1");
}

static lt_status test_step(lt_ctx *ctx, void *self, const lt_batch *batch, lt_step_out *out) {
    (void)out;
    return measure(ctx, self, batch, "test_loss", "test_acc", "test_f1");
}

static lt_tensor *example_input(lt_ctx *ctx, void *self) {
    static const int64_t shape[] = {1, 1, 28, 28};

    (void)self;
    return lt_zeros(ctx, LT_F32, 4, shape);
}

LT_MODEL(MNISTModel, mnist_model, "Two-layer perceptron for 28x28 images on a cosine schedule, with accuracy and F1.",
    .configure = configure,
    .configure_optimizers = configure_optimizers,
    .forward = forward,
    .training_step = training_step,
    .validation_step = validation_step,
    .test_step = test_step,
    .example_input = example_input,
    .base.flags = LT_MODEL_CAPTURABLE);
LT_PLUGIN("org.lthost.mnist-model", "0.1.0", model(MNISTModel));
