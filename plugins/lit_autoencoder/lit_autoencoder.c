/* LitAutoEncoder: Lightning's first example. 784 -> hidden -> latent -> hidden -> 784, trained to reconstruct its input. */
#include <lt/model.h>

typedef struct {
    int64_t hidden, latent;
    double lr;
    lt_module *encoder, *decoder;
} autoencoder;

LT_PARAMS(autoencoder,
    LT_PARAM(hidden, "64", "Width of the hidden layers.", LT_RANGE("1..")),
    LT_PARAM(latent, "3", "Numbers that an image is squeezed into.", LT_RANGE("1..")),
    LT_PARAM(lr, "0.001", "Learning rate of Adam.", LT_RANGE(">0")));

static lt_status configure(lt_ctx *ctx, void *self) {
    autoencoder *m = self;

    m->encoder = lt_nn_sequential(ctx, "encoder", lt_nn_linear(ctx, 784, m->hidden), lt_nn_relu(ctx), lt_nn_linear(ctx, m->hidden, m->latent));
    m->decoder = lt_nn_sequential(ctx, "decoder", lt_nn_linear(ctx, m->latent, m->hidden), lt_nn_relu(ctx), lt_nn_linear(ctx, m->hidden, 784));
    return lt_ctx_status(ctx);
}

static lt_status configure_optimizers(lt_ctx *ctx, void *self, lt_optim_setup *setup) {
    autoencoder *m = self;

    return lt_use_optimizer(ctx, setup, "Adam", "lr: %.17g", m->lr);
}

static lt_tensor *forward(lt_ctx *ctx, void *self, lt_tensor *x) {
    autoencoder *m = self;

    return lt_forward(ctx, m->decoder, lt_forward(ctx, m->encoder, lt_flatten(ctx, x, 1)));
}

/* Mean squared error between an image and its reconstruction, under the given name. */
static lt_status reconstruct(lt_ctx *ctx, void *self, const lt_batch *batch, lt_step_out *out, const char *name) {
    lt_tensor *x = lt_flatten(ctx, lt_batch_get(ctx, batch, 0), 1);          /* (B, 784) f32 */
    lt_tensor *loss = lt_mse_loss(ctx, forward(ctx, self, x), x);            /* () */

    lt_log(ctx, name, loss, LT_LOG_PROG_BAR);
    return lt_step_loss(ctx, out, loss);
}

static lt_status training_step(lt_ctx *ctx, void *self, const lt_batch *batch, lt_step_out *out) { return reconstruct(ctx, self, batch, out, "train_loss"); }
static lt_status validation_step(lt_ctx *ctx, void *self, const lt_batch *batch, lt_step_out *out) { return reconstruct(ctx, self, batch, out, "val_loss"); }
static lt_status test_step(lt_ctx *ctx, void *self, const lt_batch *batch, lt_step_out *out) { return reconstruct(ctx, self, batch, out, "test_loss"); }

static lt_tensor *example_input(lt_ctx *ctx, void *self) {
    static const int64_t shape[] = {1, 784};

    (void)self;
    return lt_zeros(ctx, LT_F32, 2, shape);
}

LT_MODEL(LitAutoEncoder, autoencoder, "Fully connected autoencoder for 28x28 images (784-64-3-64-784).",
    .configure = configure,
    .configure_optimizers = configure_optimizers,
    .forward = forward,
    .training_step = training_step,
    .validation_step = validation_step,
    .test_step = test_step,
    .example_input = example_input,
    .base.flags = LT_MODEL_CAPTURABLE);
LT_PLUGIN("org.lthost.lit-autoencoder", "0.1.0", model(LitAutoEncoder));
