/* Noise that comes as a stream of unknown length, validated on two sets that follow each other, or on a stream; Pairs, a model on batches of two
 * loaders; and Lasts, a callback that says which batches of predict are the last of their loader. */
#include <lt/callback.h>
#include <lt/data.h>
#include <lt/model.h>
#include <time.h>

/* ---- a stream: (x, y) with y = (x[0], 2 x[0]) ---- */

typedef struct {
    int64_t samples, at; /* of an epoch; the next one */
    uint64_t seed;
    double sleep;
    bool silent;
} reader;
typedef struct {
    int64_t samples, val_samples, batch_size, num_workers, mode;
    bool pairs, silent;
    double sleep;
    reader train, val;
    lt_dataset *numbered;
} streams;

LT_PARAMS(streams,
    LT_PARAM(samples, "50", "Samples of an epoch.", LT_RANGE("0..")),
    LT_PARAM(val_samples, "-1", "Evaluate and predict on a stream of so many samples; -1: on two loaders that follow each other.", LT_RANGE("-1..")),
    LT_PARAM(batch_size, "4", "Samples in a batch.", LT_RANGE("1..")),
    LT_PARAM(num_workers, "0", "Threads that read ahead.", LT_RANGE("0..")),
    LT_PARAM(mode, "1", "LT_COMBINE_* of the pairs."),
    LT_PARAM(pairs, "false", "Train on batches of two loaders."),
    LT_PARAM(silent, "false", "Give no positions: a resumed run reads from the front."),
    LT_PARAM(sleep, "0", "Seconds that a batch takes."));

static float number(uint64_t n) {
    n = (n + 0x9e3779b97f4a7c15u) * 0xbf58476d1ce4e5b9u;
    n = (n ^ (n >> 27)) * 0x94d049bb133111ebu;
    return (float)((double)((n ^ (n >> 31)) >> 11) / 4503599627370496.0 - 1.0);
}

static lt_status put(lt_ctx *ctx, lt_batch_out *out, uint64_t first, int64_t count) {
    const int64_t x_shape[] = {count, 32}, y_shape[] = {count, 2};
    float *x = lt_batch_tensor(ctx, out, NULL, LT_F32, 2, x_shape), *y = lt_batch_tensor(ctx, out, NULL, LT_F32, 2, y_shape);

    for (int64_t i = 0; x && y && i < count; i++) {
        for (int64_t k = 0; k < 32; k++) {
            x[i * 32 + k] = number((first + (uint64_t)i) * 32 + (uint64_t)k);
        }
        y[2 * i] = x[i * 32];
        y[2 * i + 1] = 2 * x[i * 32];
    }
    return lt_ctx_status(ctx);
}

static lt_status start(lt_ctx *ctx, void *data, const lt_stream_start *at) {
    reader *s = data;

    s->seed = at->seed;
    s->at = at->position_size == sizeof s->at ? *(const int64_t *)at->position : 0;
    return lt_ctx_status(ctx);
}

static lt_status next(lt_ctx *ctx, void *data, int64_t count, lt_batch_out *out) {
    reader *s = data;
    int64_t size = s->samples - s->at < count ? s->samples - s->at : count;
    struct timespec t = {0, (long)(s->sleep * 1e9)};

    nanosleep(&t, NULL);
    if (size <= 0 || put(ctx, out, s->seed % 1000000 + (uint64_t)s->at, size)) {
        return lt_ctx_status(ctx);
    }
    s->at += size;
    if (!s->silent) {
        lt_stream_position(ctx, out, &s->at, sizeof s->at);
    }
    return LT_OK;
}

static lt_status get_batch(lt_ctx *ctx, const void *data, const int64_t *indices, int64_t count, lt_batch_out *out) {
    (void)data;
    return put(ctx, out, (uint64_t)indices[0], count);
}

static lt_status setup(lt_ctx *ctx, void *self) {
    streams *s = self;
    lt_dataset_desc desc = {.struct_size = sizeof desc, .length = 40, .name = "numbered", .get_batch = get_batch, .data = s};

    s->numbered = lt_data_dataset(ctx, &desc);
    return lt_ctx_status(ctx);
}

static lt_loader *part(lt_ctx *ctx, streams *s, int64_t from, int64_t to) {
    return lt_data_loader(ctx, lt_data_subset(ctx, s->numbered, from, to), .batch_size = s->batch_size);
}

static lt_loader *stream_of(lt_ctx *ctx, const streams *s, reader *r, int64_t samples) {
    lt_stream_desc desc = {.struct_size = sizeof desc, .length = -1, .name = "noise", .start = start, .next = next, .data = r};

    *r = (reader){.samples = samples, .sleep = s->sleep, .silent = s->silent};
    return lt_data_loader(ctx, lt_data_stream(ctx, &desc), .batch_size = s->batch_size, .num_workers = s->num_workers);
}

static lt_loader *train_dataloader(lt_ctx *ctx, void *self) {
    streams *s = self;
    const char *const keys[] = {"left", "right"};
    lt_loader *both[] = {part(ctx, s, 0, 24), part(ctx, s, 24, 36)};

    return s->pairs ? lt_data_combine(ctx, both, keys, 2, (lt_combine)s->mode) : stream_of(ctx, s, &s->train, s->samples);
}

static lt_loader *val_dataloader(lt_ctx *ctx, void *self) {
    streams *s = self;
    lt_loader *both[] = {part(ctx, s, 0, 16), part(ctx, s, 16, 40)};

    return s->val_samples >= 0 ? stream_of(ctx, s, &s->val, s->val_samples) : lt_data_combine(ctx, both, NULL, 2, LT_COMBINE_SEQUENTIAL);
}

LT_DATAMODULE(Streams, streams, "Noise as a stream.",
    .setup = setup,
    .train_dataloader = train_dataloader,
    .val_dataloader = val_dataloader,
    .test_dataloader = val_dataloader,
    .predict_dataloader = val_dataloader);

/* ---- a model on two loaders ---- */

typedef struct { lt_module *net; } pairs;

static lt_status configure(lt_ctx *ctx, void *self) {
    ((pairs *)self)->net = lt_child(ctx, "layer", lt_nn_linear(ctx, 32, 2));
    return lt_ctx_status(ctx);
}

static lt_status configure_optimizers(lt_ctx *ctx, void *self, lt_optim_setup *setup_) {
    (void)self;
    return lt_use_optimizer(ctx, setup_, "SGD", "lr: 0.1");
}

static lt_tensor *loss_of(lt_ctx *ctx, pairs *m, const lt_batch *batch) {
    return lt_mse_loss(ctx, lt_forward(ctx, m->net, lt_batch_get(ctx, batch, 0)), lt_batch_get(ctx, batch, 1));
}

static lt_status training_step(lt_ctx *ctx, void *self, const lt_batch *batch, lt_step_out *out) {
    const lt_batch *left = lt_batch_part_key(ctx, batch, "left"), *right = lt_batch_part(ctx, batch, 1);
    lt_tensor *loss = loss_of(ctx, self, left);

    if (right) { /* absent once that loader is through */
        loss = lt_add(ctx, loss, loss_of(ctx, self, right));
    }
    lt_log_value(ctx, "with_right", right ? 1 : 0, LT_LOG_STEP);
    lt_log(ctx, "train_loss", loss, LT_LOG_STEP | LT_LOG_EPOCH);
    return lt_step_loss(ctx, out, loss);
}

static lt_status validation_step(lt_ctx *ctx, void *self, const lt_batch *batch, lt_step_out *out) {
    (void)out;
    lt_log(ctx, "val_loss", loss_of(ctx, self, batch), 0);
    return lt_ctx_status(ctx);
}

LT_NO_PARAMS(pairs);

LT_MODEL(Pairs, pairs, "Learns from two loaders at once.",
    .configure = configure,
    .configure_optimizers = configure_optimizers,
    .training_step = training_step,
    .validation_step = validation_step);

/* ---- what a callback sees of the end ---- */

typedef struct { int32_t unused; } lasts;
LT_NO_PARAMS(lasts);

static lt_status on_predict_batch_end(lt_ctx *ctx, void *self) {
    const lt_moment *now = lt_now(ctx);

    (void)self;
    if (now->is_last_batch) {
        lt_print(ctx, "batch %d of loader %d is its last", (int)now->batch_idx, (int)now->dataloader_idx);
    }
    return LT_OK;
}

LT_CALLBACK(Lasts, lasts, "Says which batches of predict are the last.", .on_predict_batch_end = on_predict_batch_end);
LT_PLUGIN("org.lthost.test.streams", "0.2.0", datamodule(Streams), model(Pairs), callback(Lasts));
