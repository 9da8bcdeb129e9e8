/* Digits: 28x28 grey images of handwritten digits that the program draws itself - no file, no network. Batches are (B, 1, 28, 28) f32
 * and (B) i64 labels, as MNIST's. Each sample is drawn when it is first asked for and kept as bytes, so a run starts at once and later
 * epochs cost what MNIST's do. Draws no fresh samples in later epochs: it stands in for a data set, not for augmentation. */
#include "draw.h"
#include <lt/data.h>
#include <sched.h>
#include <stdlib.h>

enum split_id { TRAIN, VAL, TEST, SPLITS };
enum { ABSENT, IN_WORK, READY }; /* of a sample */

typedef struct split {
    uint64_t seed;
    int id;
    double mean, std;
    uint8_t *pixels, *state; /* kept samples, and how far each is; NULL: not set up */
} split;

typedef struct {
    int64_t train_size, val_size, test_size, seed, batch_size, num_workers;
    lt_floats normalize;
    bool shuffle, drop_last, pin_memory;
    split splits[SPLITS];
    lt_dataset *datasets[SPLITS];
} digits;

LT_PARAMS(digits,
    LT_PARAM(train_size, "20000", "Training images.", LT_RANGE("1..")),
    LT_PARAM(val_size, "2000", "Validation images; 0: none.", LT_RANGE("0..")),
    LT_PARAM(test_size, "4000", "Test images.", LT_RANGE("1..")),
    LT_PARAM(seed, "1", "Seed of the drawing: another seed, other images."),
    LT_PARAM(normalize, "[]", "[mean, std] to subtract and divide by. Default: none, pixels are 0..1."),
    LT_PARAM(batch_size, "1", "Images in a batch.", LT_RANGE("1..")),
    LT_PARAM(num_workers, "0", "Threads that prepare batches; 0: the training thread itself.", LT_RANGE("0..1024")),
    LT_PARAM(shuffle, "true", "Shuffle the training images, anew each epoch."),
    LT_PARAM(drop_last, "false", "Leave out a last, smaller training batch."),
    LT_PARAM(pin_memory, "false", "Keep batches in memory that an accelerator copies from faster."));

/* Whoever asks first draws; another that comes meanwhile waits those microseconds. */
static void make_sure(split *s, int64_t index) {
    uint8_t expected = ABSENT;
    if (__atomic_load_n(&s->state[index], __ATOMIC_ACQUIRE) == READY) {
        return;
    }
    if (__atomic_compare_exchange_n(&s->state[index], &expected, IN_WORK, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        digits_draw(s->seed, s->id, index, s->pixels + index * DIGITS_PIXELS);
        __atomic_store_n(&s->state[index], READY, __ATOMIC_RELEASE);
        return;
    }
    while (__atomic_load_n(&s->state[index], __ATOMIC_ACQUIRE) != READY) {
        sched_yield();
    }
}

static lt_status get_batch(lt_ctx *ctx, const void *data, const int64_t *indices, int64_t count, lt_batch_out *out) {
    split *s = (split *)data; /* a cache behind atomics: samples are the same whoever fills it */
    float *x = lt_batch_tensor(ctx, out, NULL, LT_F32, 4, (int64_t[]){count, 1, DIGITS_SIDE, DIGITS_SIDE});
    int64_t *y = lt_batch_tensor(ctx, out, NULL, LT_I64, 1, &count);
    if (!x || !y) {
        return lt_ctx_status(ctx);
    }
    for (int64_t i = 0; i < count; i++) {
        make_sure(s, indices[i]);
        y[i] = digits_label(s->seed, s->id, indices[i]);
    }
    lt_gather_u8_f32(ctx, x, s->pixels, indices, count, DIGITS_PIXELS, s->mean, s->std);
    return lt_ctx_status(ctx);
}

static void close_split(split *s) {
    free(s->pixels);
    free(s->state);
    *s = (split){0};
}

/* Memory from calloc: its pages cost nothing before a sample is drawn into them. */
static lt_status open_split(lt_ctx *ctx, digits *d, int id, int64_t size, const char *name) {
    split *s = &d->splits[id];
    close_split(s);
    d->datasets[id] = NULL;
    if (!size) {
        return LT_OK;
    }
    bool normalize = d->normalize.count == 2;
    *s = (split){
        .seed = (uint64_t)d->seed, .id = id, .mean = normalize ? d->normalize.items[0] : 0, .std = normalize ? d->normalize.items[1] : 1};
    s->pixels = calloc((size_t)size, DIGITS_PIXELS);
    s->state = calloc((size_t)size, 1);
    if (!s->pixels || !s->state) {
        return lt_fail(ctx, LT_ENOMEM, "no memory for %lld images of %d bytes", (long long)size, DIGITS_PIXELS);
    }
    lt_dataset_desc desc = {.struct_size = sizeof desc, .length = size, .name = name, .get_batch = get_batch, .data = s};
    d->datasets[id] = lt_data_dataset(ctx, &desc);
    return lt_ctx_status(ctx);
}

static lt_status setup(lt_ctx *ctx, void *self) {
    digits *d = self;
    if (d->normalize.count != 0 && (d->normalize.count != 2 || !(d->normalize.items[1] > 0))) {
        return lt_fail(ctx, LT_ECONFIG, "normalize must be [mean, std] with std above 0, or []");
    }
    lt_stage stage = lt_now(ctx)->stage;
    lt_status status = LT_OK;
    if (stage == LT_STAGE_FIT) {
        status = open_split(ctx, d, TRAIN, d->train_size, "Digits train");
    }
    if (!status && (stage == LT_STAGE_FIT || stage == LT_STAGE_VALIDATE)) {
        status = open_split(ctx, d, VAL, d->val_size, "Digits val");
    }
    if (!status && (stage == LT_STAGE_TEST || stage == LT_STAGE_PREDICT)) {
        status = open_split(ctx, d, TEST, d->test_size, "Digits test");
    }
    return status;
}

static lt_loader *train_dataloader(lt_ctx *ctx, void *self) {
    digits *d = self;
    return lt_data_loader(ctx, d->datasets[TRAIN], .batch_size = d->batch_size, .num_workers = d->num_workers, .shuffle = d->shuffle,
                          .drop_last = d->drop_last, .pin_memory = d->pin_memory);
}

static lt_loader *plain_loader(lt_ctx *ctx, const digits *d, lt_dataset *dataset) {
    return lt_data_loader(ctx, dataset, .batch_size = d->batch_size, .num_workers = d->num_workers, .pin_memory = d->pin_memory);
}

/* None with val_size 0. */
static lt_loader *val_dataloader(lt_ctx *ctx, void *self) {
    digits *d = self;
    return d->datasets[VAL] ? plain_loader(ctx, d, d->datasets[VAL]) : NULL;
}

static lt_loader *test_dataloader(lt_ctx *ctx, void *self) {
    digits *d = self;
    return plain_loader(ctx, d, d->datasets[TEST]);
}

static void release(lt_ctx *ctx, void *self) {
    (void)ctx;
    digits *d = self;
    for (int i = 0; i < SPLITS; i++) {
        close_split(&d->splits[i]);
        d->datasets[i] = NULL;
    }
}

LT_DATAMODULE(Digits, digits, "Handwritten digits drawn by the program itself: no file, no network.",
    .setup = setup,
    .train_dataloader = train_dataloader,
    .val_dataloader = val_dataloader,
    .test_dataloader = test_dataloader,
    .predict_dataloader = test_dataloader,
    .release = release);
LT_PLUGIN("org.lthost.digits", "0.1.0", datamodule(Digits));
