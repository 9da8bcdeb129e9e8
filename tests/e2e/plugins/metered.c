/* Boring with metrics: the sign of the first target is the class. Logs MeanSquaredError and F1Score beside what lt_log makes of the same
 * batches, per step and per epoch, so that a test can compare them; MeanSquaredError is that of the loss exactly, batch by batch. */
#include <lt/metric.h>
#include <lt/model.h>
#include <time.h>

typedef struct { double lr, sleep; bool wrong; lt_module *net; lt_metric_handle *mse, *f1; } metered;
LT_PARAMS(metered,
    LT_PARAM(lr, "0.1", "Learning rate of SGD."),
    LT_PARAM(sleep, "0", "Seconds to wait in each training step, so that a test can interrupt it."),
    LT_PARAM(wrong, "false", "Give F1Score targets that are no classes."));

static lt_status configure(lt_ctx *ctx, void *self) {
    metered *m = self;

    m->net = lt_child(ctx, "layer", lt_nn_linear(ctx, 32, 2));
    m->mse = lt_metric_make(ctx, "MeanSquaredError", NULL);
    m->f1 = lt_metric_make(ctx, "F1Score", "task: binary");
    return lt_ctx_status(ctx);
}

static lt_status configure_optimizers(lt_ctx *ctx, void *self, lt_optim_setup *setup) {
    return lt_use_optimizer(ctx, setup, "SGD", "lr: %.17g", ((metered *)self)->lr);
}

static lt_tensor *classes(lt_ctx *ctx, lt_tensor *y, double factor) { /* (B) i64: 1 where the first column is above 0 */
    int64_t n = lt_size(ctx, y, 0), labels[256];
    const double *values = lt_doubles(ctx, y);

    for (int64_t i = 0; values && i < n && i < 256; i++) {
        labels[i] = (int64_t)((values[2 * i] > 0) * factor);
    }
    return lt_from_data(ctx, LT_I64, 1, &n, labels);
}

static lt_tensor *step(lt_ctx *ctx, metered *m, const lt_batch *batch, const char *mse, const char *f1, uint32_t flags) {
    lt_tensor *y = lt_batch_get(ctx, batch, 1), *y_hat = lt_forward(ctx, m->net, lt_batch_get(ctx, batch, 0));

    lt_metric_update(ctx, m->mse, y_hat, y);
    lt_metric_update(ctx, m->f1, classes(ctx, y_hat, 1), classes(ctx, y, m->wrong ? 5 : 1));
    lt_metric_log(ctx, mse, m->mse, flags);
    lt_metric_log(ctx, f1, m->f1, flags);
    return lt_mse_loss(ctx, y_hat, y);
}

static lt_status training_step(lt_ctx *ctx, void *self, const lt_batch *batch, lt_step_out *out) {
    lt_tensor *loss = step(ctx, self, batch, "train_mse", "train_f1", LT_LOG_STEP | LT_LOG_EPOCH);
    struct timespec t = {0, (long)(((metered *)self)->sleep * 1e9)};

    nanosleep(&t, NULL);
    lt_log(ctx, "train_loss", loss, LT_LOG_STEP | LT_LOG_EPOCH);
    return lt_step_loss(ctx, out, loss);
}

static lt_status validation_step(lt_ctx *ctx, void *self, const lt_batch *batch, lt_step_out *out) {
    (void)out;
    lt_log(ctx, "val_loss", step(ctx, self, batch, "val_mse", "val_f1", LT_LOG_PROG_BAR), 0);
    return lt_ctx_status(ctx);
}

static lt_status test_step(lt_ctx *ctx, void *self, const lt_batch *batch, lt_step_out *out) {
    (void)out;
    lt_log(ctx, "test_loss", step(ctx, self, batch, "test_mse", "test_f1", 0), 0);
    return lt_ctx_status(ctx);
}

LT_MODEL(Metered, metered, "Linear(32, 2) on noise, measured.",
    .configure = configure,
    .configure_optimizers = configure_optimizers,
    .training_step = training_step,
    .validation_step = validation_step,
    .test_step = test_step);
LT_PLUGIN("org.lthost.test.metered", "0.1.0", model(Metered));
