/* bench/host_cost.c - almost nothing to compute: Linear(32, 2) on single rows, so that a step costs what the host costs.
 * A model and its data in one plugin; bench/run.py builds it with one cc line against sdk/include. It is no example of a good model. */
#include <lt/data.h>
#include <lt/model.h>
#include <string.h>

enum { WIDTH = 32, ROWS = 640, SAMPLES = 100000 }; /* samples repeat the rows: epochs are long, memory stays small */

typedef struct { lt_module *layer; } host_cost;
LT_NO_PARAMS(host_cost);

static lt_status configure(lt_ctx *ctx, void *self) {
    host_cost *m = self;
    m->layer = lt_child(ctx, "layer", lt_nn_linear(ctx, WIDTH, 2));
    return lt_ctx_status(ctx);
}

static lt_status configure_optimizers(lt_ctx *ctx, void *self, lt_optim_setup *setup) {
    (void)self;
    return lt_use_optimizer(ctx, setup, "SGD", "lr: 0.1");
}

static lt_status training_step(lt_ctx *ctx, void *self, const lt_batch *batch, lt_step_out *out) {
    host_cost *m = self;
    lt_tensor *loss = lt_sum(ctx, lt_forward(ctx, m->layer, lt_batch_get(ctx, batch, 0)), NULL, 0, false); /* () */
    lt_log(ctx, "train_loss", loss, 0);
    return lt_step_loss(ctx, out, loss);
}

LT_MODEL(HostCost, host_cost, "Linear(32, 2): measures what a step costs the host.",
    .configure = configure,
    .configure_optimizers = configure_optimizers,
    .training_step = training_step);

typedef struct { float x[ROWS][WIDTH]; } rows;
LT_NO_PARAMS(rows);

static lt_status get_batch(lt_ctx *ctx, const void *data, const int64_t *indices, int64_t count, lt_batch_out *out) {
    const rows *r = data;
    const int64_t shape[] = {count, WIDTH};
    float *x = lt_batch_tensor(ctx, out, NULL, LT_F32, 2, shape);

    if (!x) {
        return lt_ctx_status(ctx);
    }
    for (int64_t i = 0; i < count; i++) {
        memcpy(x + i * WIDTH, r->x[indices[i] % ROWS], sizeof r->x[0]);
    }
    return LT_OK;
}

/* Made-up numbers in [-1, 1) from a small generator. */
static lt_loader *train_dataloader(lt_ctx *ctx, void *self) {
    rows *r = self;
    uint32_t state = 1;

    for (int i = 0; i < ROWS * WIDTH; i++) {
        state = state * 1664525u + 1013904223u;
        r->x[i / WIDTH][i % WIDTH] = (float)(state >> 8) / 8388608.0f - 1.0f;
    }
    lt_dataset_desc desc = {sizeof desc, 0, SAMPLES, "rows", get_batch, r};
    return lt_data_loader(ctx, lt_data_dataset(ctx, &desc), .batch_size = 1, .shuffle = 1);
}

LT_DATAMODULE(HostCostRows, rows, "Random rows of 32 numbers.",
    .train_dataloader = train_dataloader);
LT_PLUGIN("org.lthost.bench.host-cost", "0.1.0", model(HostCost), datamodule(HostCostRows));
