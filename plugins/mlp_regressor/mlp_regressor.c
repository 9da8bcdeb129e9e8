/* MLPRegressor: a multilayer perceptron with ReLU for rows of numbers; mean squared error, with MAE and R2 on held-out data. */
#include <lt/metric.h>
#include <lt/model.h>
#include <stdio.h>

enum { MAX_LAYERS = 32 };

typedef struct {
    int64_t in_features, outputs;
    lt_ints hidden;
    double dropout, lr;
    lt_module *net;
    lt_metric_handle *mae, *r2;
} regressor;

LT_PARAMS(regressor,
    LT_PARAM(in_features, "0", "Columns of the input; 0: as many as the data has.", LT_RANGE("0..")),
    LT_PARAM(outputs, "1", "Columns of the target.", LT_RANGE("1..")),
    LT_PARAM(hidden, "[64, 64]", "Widths of the hidden layers.", LT_RANGE("1..")),
    LT_PARAM(dropout, "0", "Dropout after each hidden layer.", LT_RANGE("0..1")),
    LT_PARAM(lr, "0.001", "Learning rate of Adam.", LT_RANGE(">0")));

static lt_status configure(lt_ctx *ctx, void *self) {
    regressor *m = self;
    lt_module *items[3 * MAX_LAYERS + 1];
    size_t n = 0;
    int64_t width = m->in_features;
    char outputs[48];

    if (m->hidden.count > MAX_LAYERS) {
        return lt_fail(ctx, LT_ECONFIG, "hidden has %lld layers, but at most %d are possible", (long long)m->hidden.count, MAX_LAYERS);
    }
    for (int64_t k = 0; k < m->hidden.count; k++) {
        items[n++] = lt_nn_linear(ctx, width, m->hidden.items[k]);
        items[n++] = lt_nn_relu(ctx);
        if (m->dropout > 0) {
            items[n++] = lt_nn_dropout(ctx, m->dropout);
        }
        width = m->hidden.items[k];
    }
    items[n++] = lt_nn_linear(ctx, width, m->outputs);
    m->net = lt_nn_sequential_of(ctx, "net", items, n);
    snprintf(outputs, sizeof outputs, "num_outputs: %lld", (long long)m->outputs);
    m->mae = lt_metric_make(ctx, "MeanAbsoluteError", NULL);
    m->r2 = lt_metric_make(ctx, "R2Score", outputs);
    return lt_ctx_status(ctx);
}

static lt_status configure_optimizers(lt_ctx *ctx, void *self, lt_optim_setup *setup) {
    return lt_use_optimizer(ctx, setup, "Adam", "lr: %.17g", ((regressor *)self)->lr);
}

static lt_tensor *forward(lt_ctx *ctx, void *self, lt_tensor *x) { return lt_forward(ctx, ((regressor *)self)->net, lt_flatten(ctx, x, 1)); }

/* Predictions in the target's shape: (B, 1) against a target of (B) too. */
static lt_tensor *predict(lt_ctx *ctx, void *self, const lt_batch *batch, lt_tensor *target) {
    lt_tensor *y = forward(ctx, self, lt_batch_get(ctx, batch, 0));
    const int64_t flat[1] = {-1};

    return lt_ndim(ctx, target) == 1 && ((regressor *)self)->outputs == 1 ? lt_reshape(ctx, y, 1, flat) : y;
}

static lt_status training_step(lt_ctx *ctx, void *self, const lt_batch *batch, lt_step_out *out) {
    lt_tensor *target = lt_batch_get(ctx, batch, 1), *loss = lt_mse_loss(ctx, predict(ctx, self, batch, target), target);

    lt_log(ctx, "train_loss", loss, LT_LOG_PROG_BAR);
    return lt_step_loss(ctx, out, loss);
}

static lt_status measure(lt_ctx *ctx, void *self, const lt_batch *batch, const char *loss, const char *mae, const char *r2) {
    regressor *m = self;
    lt_tensor *target = lt_batch_get(ctx, batch, 1), *y = predict(ctx, self, batch, target);

    lt_log(ctx, loss, lt_mse_loss(ctx, y, target), LT_LOG_PROG_BAR);
    lt_metric_update(ctx, m->mae, y, target);
    lt_metric_log(ctx, mae, m->mae, LT_LOG_PROG_BAR);
    lt_metric_update(ctx, m->r2, y, target);
    lt_metric_log(ctx, r2, m->r2, LT_LOG_PROG_BAR);
    return lt_ctx_status(ctx);
}

static lt_status validation_step(lt_ctx *ctx, void *self, const lt_batch *batch, lt_step_out *out) {
    (void)out;
    return measure(ctx, self, batch, "val_loss", "val_mae", "val_r2");
}

static lt_status test_step(lt_ctx *ctx, void *self, const lt_batch *batch, lt_step_out *out) {
    (void)out;
    return measure(ctx, self, batch, "test_loss", "test_mae", "test_r2");
}

LT_MODEL(MLPRegressor, regressor, "Multilayer perceptron that predicts numbers from rows of numbers.",
    .configure = configure,
    .configure_optimizers = configure_optimizers,
    .forward = forward,
    .training_step = training_step,
    .validation_step = validation_step,
    .test_step = test_step,
    .base.flags = LT_MODEL_CAPTURABLE);
LT_PLUGIN("org.lthost.mlp-regressor", "0.1.0", model(MLPRegressor));
