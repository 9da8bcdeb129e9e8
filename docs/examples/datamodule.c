/* Rings: points of the square [-1, 1) x [-1, 1), in two classes: inside a circle or outside. A point is computed from its index alone, so
 * there is nothing to store or to lock, and any number of workers gives the same batches. */
#include <lt/data.h>

typedef struct {
    int64_t samples, batch_size, num_workers;
    lt_dataset *parts[2]; /* train, val */
} rings;

LT_PARAMS(rings,
    LT_PARAM(samples, "1000", "Number of points; a fifth is for validation.", LT_RANGE("10..")),
    LT_PARAM(batch_size, "32", "Points in a batch.", LT_RANGE("1..")),
    LT_PARAM(num_workers, "0", "Threads that make batches; 0: the trainer itself.", LT_RANGE("0..")));

/* In [-1, 1); the fraction of n times an irrational number fills it evenly. */
static float coordinate(int64_t n, double irrational) {
    double x = (double)n * irrational;
    return (float)(2 * (x - (double)(int64_t)x) - 1);
}

static lt_status get_batch(lt_ctx *ctx, const void *data, const int64_t *indices, int64_t count, lt_batch_out *out) {
    const int64_t shape[2] = {count, 2};
    float *x = lt_batch_tensor(ctx, out, NULL, LT_F32, 2, shape);   /* item 0: (B, 2) */
    int64_t *y = lt_batch_tensor(ctx, out, NULL, LT_I64, 1, shape); /* item 1: (B) */
    (void)data;
    for (int64_t i = 0; x && y && i < count; i++) {
        x[2 * i] = coordinate(indices[i], 0.7548776662466927);
        x[2 * i + 1] = coordinate(indices[i], 0.5698402909980532);
        y[i] = x[2 * i] * x[2 * i] + x[2 * i + 1] * x[2 * i + 1] < 0.6f;
    }
    return lt_ctx_status(ctx);
}

static lt_status setup(lt_ctx *ctx, void *self) {
    rings *d = self;
    const int64_t lengths[2] = {d->samples - d->samples / 5, d->samples / 5};
    lt_dataset_desc desc = {.struct_size = sizeof desc, .length = d->samples, .name = "rings", .get_batch = get_batch, .data = d};
    return lt_data_random_split(ctx, lt_data_dataset(ctx, &desc), lengths, 2, 42, d->parts);
}

static lt_loader *train_dataloader(lt_ctx *ctx, void *self) {
    rings *d = self;
    return lt_data_loader(ctx, d->parts[0], .batch_size = d->batch_size, .shuffle = 1, .num_workers = d->num_workers);
}

static lt_loader *val_dataloader(lt_ctx *ctx, void *self) {
    rings *d = self;
    return lt_data_loader(ctx, d->parts[1], .batch_size = d->batch_size, .num_workers = d->num_workers);
}

LT_DATAMODULE(Rings, rings, "Points inside and outside a circle.",
    .setup = setup,
    .train_dataloader = train_dataloader,
    .val_dataloader = val_dataloader);
LT_PLUGIN("org.example.rings", "1.0.0", datamodule(Rings));
