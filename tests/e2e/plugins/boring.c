/* The smallest thing that trains: Boring, Linear(32, 2) on Noise, whose samples are computed from their index. Also what end-to-end tests
 * need around it: a second model with dropout, batches of a chosen length, validation, test and predict. Nothing here is read from files. */
#include <lt/data.h>
#include <lt/model.h>
#include <math.h>
#include <time.h>

/* ---- model ---- */

typedef struct {
    int64_t in, out;
    double lr, dropout, nan_at, sleep;
    bool classes;
    int64_t steps; /* kept in checkpoints: counts training steps over resumes */
    lt_module *net;
} boring;

LT_PARAMS(boring,
    LT_PARAM(in, "32", "Numbers in a sample.", LT_RANGE("1..")),
    LT_PARAM(out, "2", "Numbers out.", LT_RANGE("1..")),
    LT_PARAM(classes, "false", "The target is a class, not numbers; samples may have any shape."),
    LT_PARAM(lr, "0.1", "Learning rate of SGD.", LT_RANGE("0..")),
    LT_PARAM(dropout, "0", "Share of inputs to drop.", LT_RANGE("0..1")),
    LT_PARAM(nan_at, "-1", "Training step whose loss is made NaN; -1 none."),
    LT_PARAM(sleep, "0", "Seconds to wait in each training step, so that a test can interrupt it.", LT_RANGE("0..")),
    LT_SAVED(steps, "0"));

static lt_status configure(lt_ctx *ctx, void *self) {
    boring *m = self;

    m->net = m->dropout > 0 ? lt_nn_sequential(ctx, "", lt_nn_dropout(ctx, m->dropout), lt_child(ctx, "layer", lt_nn_linear(ctx, m->in, m->out)))
                            : lt_nn_sequential(ctx, "", lt_child(ctx, "layer", lt_nn_linear(ctx, m->in, m->out)));
    return lt_ctx_status(ctx);
}

static lt_status configure_optimizers(lt_ctx *ctx, void *self, lt_optim_setup *setup) {
    return lt_use_optimizer(ctx, setup, "SGD", "lr: %.17g", ((boring *)self)->lr);
}

static lt_tensor *forward(lt_ctx *ctx, void *self, lt_tensor *x) { return lt_forward(ctx, ((boring *)self)->net, x); }

static lt_tensor *loss_of(lt_ctx *ctx, void *self, const lt_batch *batch) {
    bool classes = ((boring *)self)->classes;
    lt_tensor *x = lt_batch_get(ctx, batch, 0), *y = forward(ctx, self, classes ? lt_flatten(ctx, x, 1) : x);

    return classes ? lt_cross_entropy(ctx, y, lt_batch_get(ctx, batch, 1)) : lt_mse_loss(ctx, y, lt_batch_get(ctx, batch, 1));
}

static lt_status training_step(lt_ctx *ctx, void *self, const lt_batch *batch, lt_step_out *out) {
    boring *m = self;
    lt_tensor *loss = loss_of(ctx, self, batch);

    if (m->nan_at >= 0 && (double)m->steps == m->nan_at) {
        loss = lt_mul_scalar(ctx, loss, (double)NAN);
    }
    if (m->sleep > 0) {
        struct timespec t = {(time_t)m->sleep, (long)((m->sleep - floor(m->sleep)) * 1e9)};

        while (nanosleep(&t, &t)) { /* a signal does not shorten it */
        }
    }
    m->steps++;
    lt_log(ctx, "train_loss", loss, LT_LOG_PROG_BAR | LT_LOG_STEP | LT_LOG_EPOCH);
    return lt_step_loss(ctx, out, loss);
}

static lt_status validation_step(lt_ctx *ctx, void *self, const lt_batch *batch, lt_step_out *out) {
    (void)out;
    lt_log(ctx, "val_loss", loss_of(ctx, self, batch), LT_LOG_PROG_BAR);
    return lt_ctx_status(ctx);
}

static lt_status test_step(lt_ctx *ctx, void *self, const lt_batch *batch, lt_step_out *out) {
    (void)out;
    lt_log(ctx, "test_loss", loss_of(ctx, self, batch), LT_LOG_PROG_BAR);
    return lt_ctx_status(ctx);
}

static lt_tensor *example_input(lt_ctx *ctx, void *self) {
    const int64_t shape[] = {1, ((boring *)self)->in};

    return lt_zeros(ctx, LT_F32, 2, shape);
}

LT_MODEL(Boring, boring, "Linear(32, 2) on noise.",
    .configure = configure,
    .configure_optimizers = configure_optimizers,
    .forward = forward,
    .training_step = training_step,
    .validation_step = validation_step,
    .test_step = test_step,
    .example_input = example_input);

/* ---- data ---- */

typedef struct {
    int64_t in, out, samples, val_samples, batch_size, num_workers, lie;
    bool shuffle;
    lt_dataset *train, *val;
} noise;

LT_PARAMS(noise,
    LT_PARAM(in, "32", "Numbers in a sample.", LT_RANGE("1..")),
    LT_PARAM(out, "2", "Numbers in a target.", LT_RANGE("1..")),
    LT_PARAM(samples, "64", "Training samples.", LT_RANGE("1..")),
    LT_PARAM(val_samples, "16", "Validation samples; 0: no loader.", LT_RANGE("0..")),
    LT_PARAM(batch_size, "4", "Samples in a batch.", LT_RANGE("1..")),
    LT_PARAM(num_workers, "0", "Threads that prepare batches.", LT_RANGE("0..")),
    LT_PARAM(lie, "-1", "Sample from which on reading fails; -1: none."),
    LT_PARAM(shuffle, "true", "Shuffle the training samples."));

static double uniform(uint64_t n) {
    n += 0x9e3779b97f4a7c15u;
    n = (n ^ (n >> 30)) * 0xbf58476d1ce4e5b9u;
    n = (n ^ (n >> 27)) * 0x94d049bb133111ebu;
    return (double)((n ^ (n >> 31)) >> 11) / 4503599627370496.0 - 1.0;
}

static lt_status get_batch(lt_ctx *ctx, const void *data, const int64_t *indices, int64_t count, lt_batch_out *out) {
    const noise *d = data;
    const int64_t x_shape[] = {count, d->in}, y_shape[] = {count, d->out};
    float *x = lt_batch_tensor(ctx, out, NULL, LT_F32, 2, x_shape), *y = lt_batch_tensor(ctx, out, NULL, LT_F32, 2, y_shape);

    for (int64_t i = 0; x && y && i < count; i++) {
        if (d->lie >= 0 && indices[i] >= d->lie) {
            return lt_fail(ctx, LT_EIO, "sample %lld cannot be read", (long long)indices[i]);
        }
        for (int64_t k = 0; k < d->in; k++) {
            x[i * d->in + k] = (float)uniform((uint64_t)(indices[i] * d->in + k));
        }
        for (int64_t k = 0; k < d->out; k++) {
            y[i * d->out + k] = x[i * d->in] * (float)(k + 1) + 0.1f * (float)uniform((uint64_t)(1000000 + indices[i] * d->out + k));
        }
    }
    return lt_ctx_status(ctx);
}

static lt_status setup(lt_ctx *ctx, void *self) {
    noise *d = self;
    lt_dataset_desc desc = {.struct_size = sizeof desc, .length = d->samples + d->val_samples, .name = "noise", .get_batch = get_batch, .data = d};
    lt_dataset *all = lt_data_dataset(ctx, &desc);

    d->train = lt_data_subset(ctx, all, 0, d->samples);
    d->val = d->val_samples ? lt_data_subset(ctx, all, d->samples, d->samples + d->val_samples) : NULL;
    return lt_ctx_status(ctx);
}

static lt_loader *train_dataloader(lt_ctx *ctx, void *self) {
    noise *d = self;

    return lt_data_loader(ctx, d->train, .batch_size = d->batch_size, .num_workers = d->num_workers, .shuffle = d->shuffle);
}

static lt_loader *val_dataloader(lt_ctx *ctx, void *self) {
    noise *d = self;

    return d->val ? lt_data_loader(ctx, d->val, .batch_size = d->batch_size, .num_workers = d->num_workers) : NULL;
}

LT_DATAMODULE(Noise, noise, "Noise with a linear target.",
    .setup = setup,
    .train_dataloader = train_dataloader,
    .val_dataloader = val_dataloader,
    .test_dataloader = val_dataloader,
    .predict_dataloader = val_dataloader);
LT_PLUGIN("org.lthost.test.boring", "0.1.0", model(Boring), datamodule(Noise));
