/* LeNet: LeCun's convolutional network in its ReLU form. conv 6@5x5 pad 2, pool, conv 16@5x5, pool, 400-120-84-10. */
#include "../shared/classifier.h"

typedef struct {
    int64_t in_channels, num_classes;
    double lr;
    lt_module *net;
} lenet;

LT_PARAMS(lenet,
    LT_PARAM(in_channels, "1", "Channels of the images.", LT_RANGE("1..")),
    LT_PARAM(num_classes, "10", "Number of classes.", LT_RANGE("2..")),
    LT_PARAM(lr, "0.001", "Learning rate of Adam.", LT_RANGE(">0")));

/* A nameless sequential stands at the top: its parameters are conv1.weight, ... as in PyTorch's LeNet, and neighbours can be fused. */
static lt_status configure(lt_ctx *ctx, void *self) {
    lenet *m = self;

    m->net = lt_nn_sequential(ctx, "",
        lt_child(ctx, "conv1", lt_nn_conv2d(ctx, m->in_channels, 6, 5, .padding = 2)), lt_nn_relu(ctx), lt_nn_max_pool2d(ctx, 2),
        lt_child(ctx, "conv2", lt_nn_conv2d(ctx, 6, 16, 5)), lt_nn_relu(ctx), lt_nn_max_pool2d(ctx, 2),
        lt_nn_flatten(ctx),
        lt_child(ctx, "fc1", lt_nn_linear(ctx, 400, 120)), lt_nn_relu(ctx),
        lt_child(ctx, "fc2", lt_nn_linear(ctx, 120, 84)), lt_nn_relu(ctx),
        lt_child(ctx, "fc3", lt_nn_linear(ctx, 84, m->num_classes)));
    return lt_ctx_status(ctx);
}

static lt_status configure_optimizers(lt_ctx *ctx, void *self, lt_optim_setup *setup) {
    lenet *m = self;

    return lt_use_optimizer(ctx, setup, "Adam", "lr: %.17g", m->lr);
}

static lt_tensor *forward(lt_ctx *ctx, void *self, lt_tensor *x) {
    lenet *m = self;

    return lt_forward(ctx, m->net, x);
}

CLASSIFIER_STEPS(forward)

static lt_tensor *example_input(lt_ctx *ctx, void *self) {
    const int64_t shape[] = {1, ((lenet *)self)->in_channels, 28, 28};

    return lt_zeros(ctx, LT_F32, 4, shape);
}

LT_MODEL(LeNet, lenet, "LeNet-5 with ReLU and max pooling for 28x28 images.",
    .configure = configure,
    .configure_optimizers = configure_optimizers,
    .forward = forward,
    .training_step = training_step,
    .validation_step = validation_step,
    .test_step = test_step,
    .example_input = example_input,
    .base.flags = LT_MODEL_CAPTURABLE);
LT_PLUGIN("org.lthost.lenet", "0.1.0", model(LeNet));
