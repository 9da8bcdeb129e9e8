/* bench/drain.c - a model that takes batches and does nothing with them, so that a run costs what its loader costs. Trains nothing. */
#include <lt/model.h>

static lt_status configure(lt_ctx *ctx, void *self) {
    (void)self;
    lt_nn_sequential(ctx, "net", lt_nn_linear(ctx, 1, 1));
    return lt_ctx_status(ctx);
}

static lt_status configure_optimizers(lt_ctx *ctx, void *self, lt_optim_setup *setup) {
    (void)self;
    return lt_use_optimizer(ctx, setup, "SGD", "lr: 0.1");
}

/* Success without a loss: the batch is skipped. */
static lt_status training_step(lt_ctx *ctx, void *self, const lt_batch *batch, lt_step_out *out) {
    (void)ctx, (void)self, (void)batch, (void)out;
    return LT_OK;
}

LT_MODEL(Drain, lt_nothing, "Takes batches and does nothing.",
    .configure = configure,
    .configure_optimizers = configure_optimizers,
    .training_step = training_step);
LT_PLUGIN("org.lthost.bench-drain", "0.1.0", model(Drain));
