/* ResNet: residual networks of 18, 34 and 50 layers (He et al. 2016, arXiv:1512.03385) for images of any size. Layers, names and initial
 * weights are torchvision's (stride in the 3x3 convolution of a bottleneck); the cifar stem is one 3x3 convolution without pooling. */
#include "../shared/classifier.h"
#include <math.h>

enum depth { DEPTH_18, DEPTH_34, DEPTH_50 };
enum stem { STEM_IMAGENET, STEM_CIFAR };

typedef struct {
    enum depth depth;
    enum stem stem;
    int64_t in_channels, num_classes;
    double lr;
    lt_module *trunk, *fc;
} resnet;

LT_PARAMS(resnet,
    LT_CHOICE(depth, "18|34|50", "18", "Layers with weights."),
    LT_CHOICE(stem, "imagenet|cifar", "imagenet", "7x7 convolution of stride 2 and max pooling, or one 3x3 convolution for small images."),
    LT_PARAM(in_channels, "3", "Channels of the images.", LT_RANGE("1..")),
    LT_PARAM(num_classes, "10", "Number of classes.", LT_RANGE("2..")),
    LT_PARAM(lr, "0.001", "Learning rate of Adam.", LT_RANGE(">0")));

enum { STAGES = 4, MOST_BLOCKS = 6, BASIC_EXPANSION = 1, BOTTLENECK_EXPANSION = 4 };

/* ---- parts ---- */
static lt_module *conv(lt_ctx *ctx, const char *name, int64_t in, int64_t out, int32_t kernel, int32_t stride) {
    return lt_child(ctx, name, lt_nn_conv2d(ctx, in, out, kernel, .stride = stride, .padding = kernel / 2, .no_bias = true));
}

/* torchvision draws every convolution anew, fan_out, gain of a ReLU, module by module. */
static void draw(lt_ctx *ctx, lt_module *module) { lt_nn_init(ctx, module, "weight", LT_INIT_KAIMING_NORMAL, sqrt(2.0), 1); }

typedef struct { lt_module *convs[4]; int count; } drawn; /* in the order of the modules: the shortcut's last */

static lt_module *shortcut(lt_ctx *ctx, int64_t in, int64_t out, int32_t stride, drawn *d) {
    if (stride == 1 && in == out) {
        return NULL;
    }
    lt_module *project = lt_nn_conv2d(ctx, in, out, 1, .stride = stride, .no_bias = true);
    d->convs[d->count++] = project;
    return lt_child(ctx, "downsample", lt_nn_sequential(ctx, NULL, project, lt_nn_batch_norm2d(ctx, out)));
}

static lt_module *basic(lt_ctx *ctx, int64_t in, int64_t width, int32_t stride) {
    drawn d = {.convs = {conv(ctx, "conv1", in, width, 3, stride), conv(ctx, "conv2", width, width, 3, 1)}, .count = 2};
    lt_module *beside = shortcut(ctx, in, width, stride, &d);
    lt_module *block = lt_nn_residual(ctx, beside, LT_ACT_RELU,
        d.convs[0], lt_child(ctx, "bn1", lt_nn_batch_norm2d(ctx, width)), lt_nn_relu(ctx),
        d.convs[1], lt_child(ctx, "bn2", lt_nn_batch_norm2d(ctx, width)));

    for (int k = 0; k < d.count; k++) {
        draw(ctx, d.convs[k]);
    }
    return block;
}

static lt_module *bottleneck(lt_ctx *ctx, int64_t in, int64_t width, int32_t stride) {
    int64_t out = width * BOTTLENECK_EXPANSION;
    drawn d = {.convs = {conv(ctx, "conv1", in, width, 1, 1), conv(ctx, "conv2", width, width, 3, stride), conv(ctx, "conv3", width, out, 1, 1)},
               .count = 3};
    lt_module *beside = shortcut(ctx, in, out, stride, &d);
    lt_module *block = lt_nn_residual(ctx, beside, LT_ACT_RELU,
        d.convs[0], lt_child(ctx, "bn1", lt_nn_batch_norm2d(ctx, width)), lt_nn_relu(ctx),
        d.convs[1], lt_child(ctx, "bn2", lt_nn_batch_norm2d(ctx, width)), lt_nn_relu(ctx),
        d.convs[2], lt_child(ctx, "bn3", lt_nn_batch_norm2d(ctx, out)));

    for (int k = 0; k < d.count; k++) {
        draw(ctx, d.convs[k]);
    }
    return block;
}

/* ---- the network ---- */
static lt_status configure(lt_ctx *ctx, void *self) {
    static const int counts[][STAGES] = {[DEPTH_18] = {2, 2, 2, 2}, [DEPTH_34] = {3, 4, 6, 3}, [DEPTH_50] = {3, 4, 6, 3}};
    static const char *const names[STAGES] = {"layer1", "layer2", "layer3", "layer4"};
    resnet *m = self;
    bool deep = m->depth == DEPTH_50, small = m->stem == STEM_CIFAR;
    int64_t in = 64, expansion = deep ? BOTTLENECK_EXPANSION : BASIC_EXPANSION;
    lt_module *items[4 + STAGES];
    size_t count = 0;

    items[count++] = conv(ctx, "conv1", m->in_channels, 64, small ? 3 : 7, small ? 1 : 2);
    draw(ctx, items[0]);
    items[count++] = lt_child(ctx, "bn1", lt_nn_batch_norm2d(ctx, 64));
    items[count++] = lt_nn_relu(ctx);
    if (!small) {
        items[count++] = lt_nn_max_pool2d(ctx, 3, .stride = {2, 2}, .padding = {1, 1});
    }
    for (int s = 0; s < STAGES; s++) {
        lt_module *blocks[MOST_BLOCKS];
        int64_t width = (int64_t)64 << s;
        for (int b = 0; b < counts[m->depth][s]; b++) {
            int32_t stride = b == 0 && s > 0 ? 2 : 1;
            blocks[b] = deep ? bottleneck(ctx, in, width, stride) : basic(ctx, in, width, stride);
            in = width * expansion;
        }
        items[count++] = lt_nn_sequential_of(ctx, names[s], blocks, (size_t)counts[m->depth][s]);
    }
    m->trunk = lt_nn_sequential_of(ctx, "", items, count);
    m->fc = lt_child(ctx, "fc", lt_nn_linear(ctx, in, m->num_classes));
    return lt_ctx_status(ctx);
}

static lt_status configure_optimizers(lt_ctx *ctx, void *self, lt_optim_setup *setup) {
    resnet *m = self;

    return lt_use_optimizer(ctx, setup, "Adam", "lr: %.17g", m->lr);
}

static lt_tensor *forward(lt_ctx *ctx, void *self, lt_tensor *x) {
    static const int32_t plane[] = {2, 3};
    resnet *m = self;
    lt_tensor *maps = lt_forward(ctx, m->trunk, x); /* (B, C, H, W) */

    return lt_forward(ctx, m->fc, lt_mean(ctx, maps, plane, 2, false)); /* (B, num_classes) */
}

CLASSIFIER_STEPS(forward)

/* Any size would do; this one says what the summary shows. */
static lt_tensor *example_input(lt_ctx *ctx, void *self) {
    resnet *m = self;
    int64_t side = m->in_channels == 1 ? 28 : m->stem == STEM_CIFAR ? 32 : 224;
    const int64_t shape[] = {1, m->in_channels, side, side};

    return lt_zeros(ctx, LT_F32, 4, shape);
}

LT_MODEL(ResNet, resnet, "ResNet-18, -34 or -50 as torchvision's, with a stem for large or for small images.",
    .configure = configure,
    .configure_optimizers = configure_optimizers,
    .forward = forward,
    .training_step = training_step,
    .validation_step = validation_step,
    .test_step = test_step,
    .example_input = example_input,
    .base.flags = LT_MODEL_CAPTURABLE);
LT_PLUGIN("org.lthost.resnet", "0.1.0", model(ResNet));
