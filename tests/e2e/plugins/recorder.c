/* Records every hook that is called, in a file: who, which, epoch, global step, batch. A model (on Noise), a callback, a callback that runs
 * last and a datamodule wrapper's hooks; all set every hook of the table, also those their kind does not have, which must never be called.
 * The callback can fail in, or skip at, a hook named by parameter. */
#include <fcntl.h>
#include <lt/callback.h>
#include <lt/data.h>
#include <lt/model.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void record(lt_ctx *ctx, const char *path, const char *who, const char *hook) {
    const lt_moment *now = lt_now(ctx);
    char line[256];
    int size = snprintf(line, sizeof line, "%s %s %lld %lld %lld%s%s\n", who, hook, (long long)now->epoch, (long long)now->global_step,
                        (long long)now->batch_idx, now->phase == LT_PHASE_SANITY ? " sanity" : "", now->reason ? " reason" : "");
    int file = path && *path ? open(path, O_WRONLY | O_CREAT | O_APPEND, 0644) : -1;

    if (file >= 0) {
        if (write(file, line, (size_t)size) != size) {
            lt_fail(ctx, LT_EIO, "cannot record");
        }
        close(file);
    }
}

/* ---- callbacks ---- */

typedef struct { const char *path, *name, *fail_in, *skip_in, *stop_in, *log_in; int64_t at_batch; } recorder;
LT_PARAMS(recorder,
    LT_PARAM(path, "", "File to append to.", LT_PATH),
    LT_PARAM(name, "callback", "Name to write."),
    LT_PARAM(fail_in, "", "Hook that fails."),
    LT_PARAM(skip_in, "", "Hook that answers LT_SKIP."),
    LT_PARAM(stop_in, "", "Hook that asks for a stop."),
    LT_PARAM(log_in, "", "Hook that logs the metric from_callback."),
    LT_PARAM(at_batch, "-1", "Only at this batch; -1: always."));

static lt_status heard(lt_ctx *ctx, void *self, const char *hook) {
    recorder *r = self;
    bool now = r->at_batch < 0 || lt_now(ctx)->batch_idx == r->at_batch;

    record(ctx, r->path, r->name, hook);
    if (now && !strcmp(r->fail_in, hook)) {
        return lt_fail(ctx, LT_EPLUGIN, "asked to fail in %s", hook);
    }
    if (now && !strcmp(r->stop_in, hook)) {
        lt_request_stop(ctx, "asked to stop in %s", hook);
    }
    if (now && !strcmp(r->log_in, hook)) {
        lt_log_value(ctx, "from_callback", 7, 0);
    }
    return now && !strcmp(r->skip_in, hook) ? LT_SKIP : lt_ctx_status(ctx);
}

#define X(name, kinds, text) static lt_status c_##name(lt_ctx *ctx, void *self) { return heard(ctx, self, #name); }
LT_HOOKS(X)
#undef X
#define X(name, kinds, text) .name = c_##name,
LT_CALLBACK(Recorder, recorder, "Records every hook.", LT_HOOKS(X));
LT_CALLBACK(RecorderLast, recorder, "Records every hook, after the others.", .base.flags = LT_CALLBACK_LAST, LT_HOOKS(X));
#undef X

/* ---- model ---- */

typedef struct { const char *path; bool clips; lt_module *net; } model;
LT_PARAMS(model,
    LT_PARAM(path, "", "File to append to.", LT_PATH));

static lt_status configure(lt_ctx *ctx, void *self) {
    model *m = self;

    record(ctx, m->path, "model", "configure");
    m->net = lt_nn_sequential(ctx, "", lt_child(ctx, "layer", lt_nn_linear(ctx, 32, 2)));
    return lt_ctx_status(ctx);
}

static lt_status configure_optimizers(lt_ctx *ctx, void *self, lt_optim_setup *setup) {
    record(ctx, ((model *)self)->path, "model", "configure_optimizers");
    return lt_use_optimizer(ctx, setup, "SGD", "lr: 0.01");
}

static lt_tensor *loss_of(lt_ctx *ctx, void *self, const lt_batch *batch) {
    return lt_mse_loss(ctx, lt_forward(ctx, ((model *)self)->net, lt_batch_get(ctx, batch, 0)), lt_batch_get(ctx, batch, 1));
}

static lt_status training_step(lt_ctx *ctx, void *self, const lt_batch *batch, lt_step_out *out) {
    record(ctx, ((model *)self)->path, "model", "training_step");
    return lt_step_loss(ctx, out, loss_of(ctx, self, batch));
}

static lt_status validation_step(lt_ctx *ctx, void *self, const lt_batch *batch, lt_step_out *out) {
    (void)out;
    record(ctx, ((model *)self)->path, "model", "validation_step");
    lt_log(ctx, "val_loss", loss_of(ctx, self, batch), 0);
    return lt_ctx_status(ctx);
}

static lt_status test_step(lt_ctx *ctx, void *self, const lt_batch *batch, lt_step_out *out) {
    (void)out;
    record(ctx, ((model *)self)->path, "model", "test_step");
    lt_log(ctx, "test_loss", loss_of(ctx, self, batch), 0);
    return lt_ctx_status(ctx);
}

static lt_status predict_step(lt_ctx *ctx, void *self, const lt_batch *batch, lt_step_out *out) {
    record(ctx, ((model *)self)->path, "model", "predict_step");
    return lt_step_output(ctx, out, "y", lt_forward(ctx, ((model *)self)->net, lt_batch_get(ctx, batch, 0)));
}

#define X(name, kinds, text) static lt_status m_##name(lt_ctx *ctx, void *self) { record(ctx, ((model *)self)->path, "model", #name); return LT_OK; }
LT_HOOKS(X)
#undef X
#define X(name, kinds, text) .name = m_##name,
LT_MODEL(RecorderModel, model, "Records every hook; Linear(32, 2).",
    .configure = configure, .configure_optimizers = configure_optimizers, .training_step = training_step, .validation_step = validation_step,
    .test_step = test_step, .predict_step = predict_step, LT_HOOKS(X));
#undef X

/* ---- datamodule ---- */

typedef struct { const char *path; int64_t samples, val_samples, batch_size; lt_dataset *train, *val; } data;
LT_PARAMS(data,
    LT_PARAM(path, "", "File to append to.", LT_PATH),
    LT_PARAM(samples, "16", "Training samples."),
    LT_PARAM(val_samples, "8", "Validation samples."),
    LT_PARAM(batch_size, "4", "Samples in a batch."));

static lt_status get_batch(lt_ctx *ctx, const void *unused, const int64_t *indices, int64_t count, lt_batch_out *out) {
    const int64_t x_shape[] = {count, 32}, y_shape[] = {count, 2};
    float *x = lt_batch_tensor(ctx, out, NULL, LT_F32, 2, x_shape), *y = lt_batch_tensor(ctx, out, NULL, LT_F32, 2, y_shape);

    (void)unused;
    for (int64_t i = 0; x && y && i < count; i++) {
        for (int k = 0; k < 32; k++) {
            x[i * 32 + k] = (float)((indices[i] * 32 + k) % 17) / 17.0f;
        }
        y[2 * i] = 1;
        y[2 * i + 1] = 0;
    }
    return lt_ctx_status(ctx);
}

static lt_loader *loader(lt_ctx *ctx, void *self, const char *hook, lt_dataset *set) {
    record(ctx, ((data *)self)->path, "data", hook);
    return lt_data_loader(ctx, set, .batch_size = ((data *)self)->batch_size);
}
static lt_loader *train_dataloader(lt_ctx *ctx, void *self) { return loader(ctx, self, "train_dataloader", ((data *)self)->train); }
static lt_loader *val_dataloader(lt_ctx *ctx, void *self) { return loader(ctx, self, "val_dataloader", ((data *)self)->val); }
static lt_loader *test_dataloader(lt_ctx *ctx, void *self) { return loader(ctx, self, "test_dataloader", ((data *)self)->val); }
static lt_loader *predict_dataloader(lt_ctx *ctx, void *self) { return loader(ctx, self, "predict_dataloader", ((data *)self)->val); }

#define X(name, kinds, text) static lt_status d_##name(lt_ctx *ctx, void *self) { record(ctx, ((data *)self)->path, "data", #name); return LT_OK; }
LT_HOOKS(X)
#undef X

static lt_status make_sets(lt_ctx *ctx, void *self) {
    data *d = self;
    lt_dataset_desc desc = {.struct_size = sizeof desc, .length = d->samples + d->val_samples, .name = "recorded", .get_batch = get_batch, .data = d};
    lt_dataset *all = lt_data_dataset(ctx, &desc);

    d_setup(ctx, self);
    d->train = lt_data_subset(ctx, all, 0, d->samples);
    d->val = lt_data_subset(ctx, all, d->samples, d->samples + d->val_samples);
    return lt_ctx_status(ctx);
}
#define d_setup make_sets
#define X(name, kinds, text) .name = d_##name,
LT_DATAMODULE(RecorderData, data, "Records every hook; a little data.",
    .train_dataloader = train_dataloader, .val_dataloader = val_dataloader, .test_dataloader = test_dataloader, .predict_dataloader = predict_dataloader,
    LT_HOOKS(X));
#undef X
LT_PLUGIN("org.lthost.test.recorder", "0.1.0", callback(Recorder), callback(RecorderLast), model(RecorderModel), datamodule(RecorderData));
