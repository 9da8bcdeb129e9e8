/* MyData: toy data, so that the template runs as it is. Points in the plane, scattered around one centre for each class. A sample is
 * computed from its index alone, so nothing is stored and any number of workers gives the same batches. */
#include <lt/data.h>

enum { CLASSES = 3, FEATURES = 2 };
typedef struct {
    int64_t samples, batch_size, num_workers;
    double spread;
    lt_dataset *parts[2]; /* train, val */
} my_data;

LT_PARAMS(my_data,
    LT_PARAM(samples, "1000", "Number of points.", LT_RANGE("10..")),
    LT_PARAM(batch_size, "32", "Points in a batch.", LT_RANGE("1..")),
    LT_PARAM(num_workers, "0", "Threads that make batches; 0: the trainer itself.", LT_RANGE("0..")),
    LT_PARAM(spread, "0.5", "Half the width of a cloud; centres are 1 away from the origin.", LT_RANGE("0..")));

/* Uniform in [-1, 1), from a number: splitmix64 (Steele, Lea and Flood 2014). */
static double noise(uint64_t n) {
    n += 0x9e3779b97f4a7c15u;
    n = (n ^ (n >> 30)) * 0xbf58476d1ce4e5b9u;
    n = (n ^ (n >> 27)) * 0x94d049bb133111ebu;
    n ^= n >> 31;
    return (double)(n >> 11) / 4503599627370496.0 - 1.0; /* 2^52 */
}

static lt_status get_batch(lt_ctx *ctx, const void *data, const int64_t *indices, int64_t count, lt_batch_out *out) {
    static const double centres[CLASSES][FEATURES] = {{1.0, 0.0}, {-0.5, 0.866}, {-0.5, -0.866}};
    const my_data *d = data;
    const int64_t x_shape[2] = {count, FEATURES};
    float *x = lt_batch_tensor(ctx, out, NULL, LT_F32, 2, x_shape);  /* (B, 2) */
    int64_t *y = lt_batch_tensor(ctx, out, NULL, LT_I64, 1, x_shape); /* (B) */

    for (int64_t i = 0; x && y && i < count; i++) {
        y[i] = indices[i] % CLASSES;
        for (int64_t f = 0; f < FEATURES; f++) {
            x[i * FEATURES + f] = (float)(centres[y[i]][f] + d->spread * noise((uint64_t)(indices[i] * FEATURES + f)));
        }
    }
    return lt_ctx_status(ctx);
}

static lt_status setup(lt_ctx *ctx, void *self) {
    my_data *d = self;
    const int64_t lengths[2] = {d->samples - d->samples / 5, d->samples / 5};
    lt_dataset_desc desc = {.struct_size = sizeof(lt_dataset_desc), .length = d->samples, .name = "points", .get_batch = get_batch, .data = d};
    return lt_data_random_split(ctx, lt_data_dataset(ctx, &desc), lengths, 2, 42, d->parts);
}

static lt_loader *train_dataloader(lt_ctx *ctx, void *self) {
    my_data *d = self;
    return lt_data_loader(ctx, d->parts[0], .batch_size = d->batch_size, .shuffle = 1, .num_workers = d->num_workers);
}

static lt_loader *val_dataloader(lt_ctx *ctx, void *self) {
    my_data *d = self;
    return lt_data_loader(ctx, d->parts[1], .batch_size = d->batch_size, .num_workers = d->num_workers);
}

LT_DATAMODULE(MyData, my_data, "Points around one centre for each of three classes.",
    .setup = setup,
    .train_dataloader = train_dataloader,
    .val_dataloader = val_dataloader);
