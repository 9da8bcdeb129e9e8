/* CNN: the network of PyTorch's own MNIST example. conv 32@3x3, conv 64@3x3, pool, dropout, 9216-128-10, dropout; 28x28 images. */
#include "../shared/classifier.h"

typedef struct {
    int64_t in_channels, num_classes;
    double lr;
    lt_module *net;
} cnn;

LT_PARAMS(cnn,
    LT_PARAM(in_channels, "1", "Channels of the images.", LT_RANGE("1..")),
    LT_PARAM(num_classes, "10", "Number of classes.", LT_RANGE("2..")),
    LT_PARAM(lr, "0.001", "Learning rate of Adam.", LT_RANGE(">0")));

/* A nameless sequential stands at the top: its parameters are conv1.weight, ... as in the example. */
static lt_status configure(lt_ctx *ctx, void *self) {
    cnn *m = self;

    m->net = lt_nn_sequential(ctx, "",
        lt_child(ctx, "conv1", lt_nn_conv2d(ctx, m->in_channels, 32, 3)), lt_nn_relu(ctx),
        lt_child(ctx, "conv2", lt_nn_conv2d(ctx, 32, 64, 3)), lt_nn_relu(ctx), lt_nn_max_pool2d(ctx, 2),
        lt_child(ctx, "dropout1", lt_nn_dropout(ctx, 0.25)), lt_nn_flatten(ctx),
        lt_child(ctx, "fc1", lt_nn_linear(ctx, 9216, 128)), lt_nn_relu(ctx),
        lt_child(ctx, "dropout2", lt_nn_dropout(ctx, 0.5)),
        lt_child(ctx, "fc2", lt_nn_linear(ctx, 128, m->num_classes)));
    return lt_ctx_status(ctx);
}

static lt_status configure_optimizers(lt_ctx *ctx, void *self, lt_optim_setup *setup) {
    cnn *m = self;

    return lt_use_optimizer(ctx, setup, "Adam", "lr: %.17g", m->lr);
}

static lt_tensor *forward(lt_ctx *ctx, void *self, lt_tensor *x) {
    cnn *m = self;

    return lt_forward(ctx, m->net, x);
}

/* The example's log_softmax and nll_loss are cross-entropy in two calls. */
CLASSIFIER_STEPS(forward)

static lt_tensor *example_input(lt_ctx *ctx, void *self) {
    const int64_t shape[] = {1, ((cnn *)self)->in_channels, 28, 28};

    return lt_zeros(ctx, LT_F32, 4, shape);
}

LT_MODEL(CNN, cnn, "The convolutional network of PyTorch's MNIST example, for 28x28 images.",
    .configure = configure,
    .configure_optimizers = configure_optimizers,
    .forward = forward,
    .training_step = training_step,
    .validation_step = validation_step,
    .test_step = test_step,
    .example_input = example_input,
    .base.flags = LT_MODEL_CAPTURABLE);
LT_PLUGIN("org.lthost.mnist_cnn", "0.1.0", model(CNN));
