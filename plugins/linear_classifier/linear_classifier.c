/* LinearClassifier: 784 -> hidden -> 10 with one ReLU; the smallest model that reads digits. */
#include "../shared/classifier.h"

typedef struct {
    int64_t hidden, num_classes;
    double lr;
    lt_module *net;
} classifier;

LT_PARAMS(classifier,
    LT_PARAM(hidden, "128", "Width of the hidden layer.", LT_RANGE("1..")),
    LT_PARAM(num_classes, "10", "Number of classes.", LT_RANGE("2..")),
    LT_PARAM(lr, "0.001", "Learning rate of Adam.", LT_RANGE(">0")));

/* A nameless sequential stands at the top: its parameters are fc1.weight, fc1.bias, ... */
static lt_status configure(lt_ctx *ctx, void *self) {
    classifier *m = self;

    m->net = lt_nn_sequential(ctx, "", lt_nn_flatten(ctx), lt_child(ctx, "fc1", lt_nn_linear(ctx, 784, m->hidden)), lt_nn_relu(ctx),
                              lt_child(ctx, "fc2", lt_nn_linear(ctx, m->hidden, m->num_classes)));
    return lt_ctx_status(ctx);
}

static lt_status configure_optimizers(lt_ctx *ctx, void *self, lt_optim_setup *setup) {
    classifier *m = self;

    return lt_use_optimizer(ctx, setup, "Adam", "lr: %.17g", m->lr);
}

static lt_tensor *forward(lt_ctx *ctx, void *self, lt_tensor *x) {
    classifier *m = self;

    return lt_forward(ctx, m->net, x);
}

CLASSIFIER_STEPS(forward)

static lt_tensor *example_input(lt_ctx *ctx, void *self) {
    static const int64_t shape[] = {1, 1, 28, 28};

    (void)self;
    return lt_zeros(ctx, LT_F32, 4, shape);
}

LT_MODEL(LinearClassifier, classifier, "Two-layer perceptron for 28x28 images (784-128-10).",
    .configure = configure,
    .configure_optimizers = configure_optimizers,
    .forward = forward,
    .training_step = training_step,
    .validation_step = validation_step,
    .test_step = test_step,
    .example_input = example_input,
    .base.flags = LT_MODEL_CAPTURABLE);
LT_PLUGIN("org.lthost.linear-classifier", "0.1.0", model(LinearClassifier));
