/* Components that do something wrong, or something that only a test wants: shapes that do not fit, a loss that is no number, no training
 * step, steps without a loss; DumpBatches writes each training batch to files; NullLogger takes no record. */
#include <fcntl.h>
#include <lt/callback.h>
#include <lt/logger.h>
#include <lt/model.h>
#include <stdio.h>
#include <unistd.h>

/* ---- BadShapes: a linear layer for 784 numbers, fed with something else; the line of the call is what a message must name ---- */

typedef struct { int64_t units; lt_module *layer; } bad;
LT_PARAMS(bad,
    LT_PARAM(units, "64", "Numbers out.", LT_RANGE("1..")));

static lt_status configure(lt_ctx *ctx, void *self) {
    ((bad *)self)->layer = lt_child(ctx, "layer", lt_nn_linear(ctx, 784, ((bad *)self)->units));
    return lt_ctx_status(ctx);
}

static lt_status bad_step(lt_ctx *ctx, void *self, const lt_batch *batch, lt_step_out *out) {
    lt_tensor *h = lt_forward(ctx, ((bad *)self)->layer, lt_batch_get(ctx, batch, 0)); /* BAD-SHAPES-LINE */

    return lt_step_loss(ctx, out, lt_mse_loss(ctx, h, h));
}

LT_MODEL(BadShapes, bad, "Wants (B, 784).", .configure = configure, .training_step = bad_step);

/* ---- models without something ---- */

static lt_status no_loss_step(lt_ctx *ctx, void *self, const lt_batch *batch, lt_step_out *out) {
    (void)self, (void)out;
    return lt_batch_get(ctx, batch, 0) ? LT_OK : lt_ctx_status(ctx);
}

static lt_status no_loss_optimizers(lt_ctx *ctx, void *self, lt_optim_setup *setup) {
    (void)self;
    return lt_use_optimizer(ctx, setup, "SGD", "lr: 0.1");
}

LT_MODEL(NoLoss, bad, "Skips every batch.", .configure = configure, .configure_optimizers = no_loss_optimizers, .training_step = no_loss_step);
static lt_status crash_step(lt_ctx *ctx, void *self, const lt_batch *batch, lt_step_out *out) {
    (void)ctx, (void)batch, (void)out;
    *(volatile int64_t *)((volatile bad *)self)->layer = 0; /* layer: NULL, it is not configured */
    return LT_OK;
}

static lt_status crash_configure(lt_ctx *ctx, void *self) {
    (void)self;
    lt_child(ctx, "layer", lt_nn_linear(ctx, 2, 2));
    return lt_ctx_status(ctx);
}

LT_MODEL(Crash, bad, "Writes where nothing is.", .configure = crash_configure, .configure_optimizers = no_loss_optimizers, .training_step = crash_step);
LT_MODEL(NoStep, bad, "Has no training_step.", .configure = configure);

/* ---- DumpBatches ---- */

typedef struct { const char *x, *y; } dump;
LT_PARAMS(dump,
    LT_PARAM(x, "", "File for the first item of every batch, raw.", LT_PATH),
    LT_PARAM(y, "", "File for the second.", LT_PATH));

static lt_status append(lt_ctx *ctx, const char *path, lt_tensor *t, size_t element) {
    lt_view view = {.struct_size = sizeof view};
    int file = *path ? open(path, O_WRONLY | O_CREAT | O_APPEND, 0644) : -1;

    if (file < 0 || !t || lt_raw(ctx, t, LT_READ, &view)) {
        return *path ? lt_fail(ctx, LT_EIO, "cannot dump to %s", path) : LT_OK;
    }
    size_t size = (size_t)lt_numel(ctx, t) * element;
    if (write(file, (const char *)view.data + view.byte_offset, size) != (ssize_t)size) {
        lt_fail(ctx, LT_EIO, "cannot write %s", path);
    }
    close(file);
    return lt_ctx_status(ctx);
}

static lt_status on_train_batch_start(lt_ctx *ctx, void *self) {
    const lt_batch *batch = lt_now(ctx)->batch;

    return append(ctx, ((dump *)self)->x, lt_batch_get(ctx, batch, 0), 4) ? lt_ctx_status(ctx) : append(ctx, ((dump *)self)->y, lt_batch_get(ctx, batch, 1), 8);
}

LT_CALLBACK(DumpBatches, dump, "Writes training batches, as they are, to files.", .on_train_batch_start = on_train_batch_start);

/* ---- NullLogger, BadLogger ---- */

static lt_status bad_scalars(lt_ctx *ctx, void *self, const lt_scalars *const *rows, uint32_t count) {
    (void)self, (void)rows, (void)count;
    return lt_fail(ctx, LT_EIO, "the server does not answer");
}

LT_LOGGER(NullLogger, lt_nothing, "Takes no record.", .open = NULL);
LT_LOGGER(BadLogger, lt_nothing, "Fails at the first row.", .scalars = bad_scalars);

LT_PLUGIN("org.lthost.test.broken", "0.1.0", model(BadShapes), model(NoLoss), model(NoStep), model(Crash), callback(DumpBatches),
          logger(NullLogger), logger(BadLogger));
