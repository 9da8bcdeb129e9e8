/* MNIST: 28x28 grey images in IDX files, plain or .gz - MNIST itself, Fashion-MNIST, or any pair of images and labels like them.
 * Batches are (B, C, H, W) f32 in 0..1, normalized if asked for, and (B) i64 labels. Nothing is copied at start: plain files are
 * mapped and converted batch by batch. Does not augment. */
#include "idx.h"
#include "sources.h"

typedef struct {
    idx_array images, labels;
    int64_t shape[4];
    double mean, std;
} part_data;

typedef struct {
    const char *data_dir;
    enum mnist_dataset dataset;
    const char *train_images, *train_labels, *test_images, *test_labels;
    int64_t num_classes, val_size, split_seed, batch_size, num_workers;
    lt_floats normalize;
    bool shuffle, drop_last, pin_memory, download;
    part_data train_data, test_data;
    lt_dataset *train, *val, *test;
} mnist;

LT_PARAMS(mnist,
    LT_PARAM(data_dir, "null", "Folder of the files; default: data/mnist, else $LTHOST_DATA/mnist (or .../fashion).", LT_PATH, LT_ALIAS("root_dir")),
    LT_CHOICE(dataset, "mnist|fashion|custom", "mnist", "Which files to download where they are missing; custom: none."),
    LT_PARAM(train_images, "train-images-idx3-ubyte", "IDX file (plain or .gz) of the training images, in data_dir."),
    LT_PARAM(train_labels, "train-labels-idx1-ubyte", "IDX file of their labels."),
    LT_PARAM(test_images, "t10k-images-idx3-ubyte", "IDX file of the test images."),
    LT_PARAM(test_labels, "t10k-labels-idx1-ubyte", "IDX file of their labels."),
    LT_PARAM(num_classes, "10", "Labels must be below this.", LT_RANGE("1..256")),
    LT_PARAM(val_size, "5000", "Training images set aside for validation, drawn at random.", LT_RANGE("0..")),
    LT_PARAM(split_seed, "42", "Seed of that draw: torch.utils.data.random_split with this generator seed."),
    LT_PARAM(normalize, "[]", "[mean, std] to subtract and divide by; for MNIST usually [0.1307, 0.3081]. Default: none, pixels are 0..1."),
    LT_PARAM(batch_size, "1", "Images in a batch.", LT_RANGE("1..")),
    LT_PARAM(num_workers, "0", "Threads that prepare batches; 0: the training thread itself.", LT_RANGE("0..1024")),
    LT_PARAM(shuffle, "true", "Shuffle the training images, anew each epoch."),
    LT_PARAM(drop_last, "false", "Leave out a last, smaller training batch."),
    LT_PARAM(pin_memory, "false", "Keep batches in memory that an accelerator copies from faster."),
    LT_PARAM(download, "true", "Download files that are missing."));

static mnist_place place_of(const mnist *m) {
    return (mnist_place){m->dataset, m->data_dir, {m->train_images, m->train_labels, m->test_images, m->test_labels}};
}

static lt_status prepare_data(lt_ctx *ctx, void *self) {
    const mnist *m = self;
    mnist_place place = place_of(m);
    return m->download ? mnist_fetch_all(ctx, &place) : LT_OK;
}

/* ---- opening ---- */

/* `path` tells afterwards which file it was. */
static lt_status open_file(lt_ctx *ctx, const mnist *m, enum mnist_part part, idx_array *array, char path[MNIST_PATH_MAX]) {
    mnist_place place = place_of(m);
    char why[MNIST_PATH_MAX + 400];
    if (!mnist_find(&place, part, path, MNIST_PATH_MAX)) {
        const char *name = place.names[part];
        return lt_fail(ctx, LT_EABSENT, "no %s or %s.gz in %s; set data_dir to its folder%s", name, name, path,
                       m->download ? "" : ", or download: true");
    }
    lt_status status = idx_open(array, path, why, sizeof why);
    return status ? lt_fail(ctx, status, "%s", why) : LT_OK;
}

static lt_status check_pair(lt_ctx *ctx, const mnist *m, const part_data *d, const char *images, const char *labels) {
    if (d->images.ndim < 3 || d->labels.ndim != 1) {
        return lt_fail(ctx, LT_EFORMAT, "%s has %d dimensions and %s %d: images need 3 (or 4 with channels), labels 1", images,
                       d->images.ndim, labels, d->labels.ndim);
    }
    if (d->images.shape[0] != d->labels.shape[0]) {
        return lt_fail(ctx, LT_EFORMAT, "%s holds %lld images, %s %lld labels: they do not belong together", images,
                       (long long)d->images.shape[0], labels, (long long)d->labels.shape[0]);
    }
    for (int64_t i = 0; i < d->labels.shape[0]; i++) {
        if (d->labels.data[i] >= m->num_classes) {
            return lt_fail(ctx, LT_EFORMAT, "%s: label %d of image %lld is out of range: num_classes is %lld, so labels are 0 to %lld",
                           labels, d->labels.data[i], (long long)i, (long long)m->num_classes, (long long)m->num_classes - 1);
        }
    }
    return LT_OK;
}

static void close_part(part_data *d) {
    idx_close(&d->images);
    idx_close(&d->labels);
}

static lt_status open_part(lt_ctx *ctx, const mnist *m, bool test, part_data *d) {
    char images[MNIST_PATH_MAX], labels[MNIST_PATH_MAX];
    close_part(d);
    lt_status status = open_file(ctx, m, test ? MNIST_TEST_IMAGES : MNIST_TRAIN_IMAGES, &d->images, images);
    if (!status) {
        status = open_file(ctx, m, test ? MNIST_TEST_LABELS : MNIST_TRAIN_LABELS, &d->labels, labels);
    }
    if (!status) {
        status = check_pair(ctx, m, d, images, labels);
    }
    if (status) {
        return status;
    }
    bool channels = d->images.ndim == 4;
    d->shape[1] = channels ? d->images.shape[1] : 1;
    d->shape[2] = d->images.shape[channels ? 2 : 1];
    d->shape[3] = d->images.shape[channels ? 3 : 2];
    d->mean = m->normalize.count ? m->normalize.items[0] : 0;
    d->std = m->normalize.count ? m->normalize.items[1] : 1;
    return LT_OK;
}

/* ---- batches ---- */

static lt_status get_batch(lt_ctx *ctx, const void *data, const int64_t *indices, int64_t count, lt_batch_out *out) {
    const part_data *d = data;
    int64_t shape[4] = {count, d->shape[1], d->shape[2], d->shape[3]};
    float *x = lt_batch_tensor(ctx, out, NULL, LT_F32, 4, shape);
    int64_t *y = lt_batch_tensor(ctx, out, NULL, LT_I64, 1, shape);
    if (!x || !y) {
        return lt_ctx_status(ctx);
    }
    lt_gather_u8_f32(ctx, x, d->images.data, indices, count, d->images.row, d->mean, d->std);
    for (int64_t i = 0; i < count; i++) {
        y[i] = d->labels.data[indices[i]];
    }
    return lt_ctx_status(ctx);
}

static lt_dataset *make_dataset(lt_ctx *ctx, const mnist *m, const part_data *d) {
    static const char *const names[][2] = {
        {"MNIST train", "MNIST test"}, {"Fashion-MNIST train", "Fashion-MNIST test"}, {"IDX train", "IDX test"}};
    const char *name = names[m->dataset][d == &m->test_data];
    lt_dataset_desc desc = {.struct_size = sizeof desc, .length = d->images.shape[0], .name = name, .get_batch = get_batch, .data = d};
    return lt_data_dataset(ctx, &desc);
}

static lt_status make_train_and_val(lt_ctx *ctx, mnist *m) {
    lt_status status = open_part(ctx, m, false, &m->train_data);
    if (status) {
        return status;
    }
    int64_t all = m->train_data.images.shape[0];
    if (m->val_size >= all) {
        return lt_fail(ctx, LT_ECONFIG, "val_size is %lld: there are only %lld training images", (long long)m->val_size, (long long)all);
    }
    m->train = make_dataset(ctx, m, &m->train_data);
    m->val = NULL;
    if (m->train && m->val_size) {
        lt_dataset *parts[2] = {NULL};
        lt_data_random_split(ctx, m->train, (int64_t[]){all - m->val_size, m->val_size}, 2, m->split_seed, parts);
        m->train = parts[0];
        m->val = parts[1];
    }
    return lt_ctx_status(ctx);
}

static lt_status setup(lt_ctx *ctx, void *self) {
    mnist *m = self;
    if (m->normalize.count != 0 && (m->normalize.count != 2 || !(m->normalize.items[1] > 0))) {
        return lt_fail(ctx, LT_ECONFIG, "normalize must be [mean, std] with std above 0, or []");
    }
    lt_stage stage = lt_now(ctx)->stage;
    if (stage == LT_STAGE_FIT || stage == LT_STAGE_VALIDATE) {
        return make_train_and_val(ctx, m);
    }
    lt_status status = open_part(ctx, m, true, &m->test_data);
    if (!status) {
        m->test = make_dataset(ctx, m, &m->test_data);
    }
    return status ? status : lt_ctx_status(ctx);
}

/* ---- loaders ---- */

static lt_loader *train_dataloader(lt_ctx *ctx, void *self) {
    mnist *m = self;
    return lt_data_loader(ctx, m->train, .batch_size = m->batch_size, .num_workers = m->num_workers, .shuffle = m->shuffle,
                          .drop_last = m->drop_last, .pin_memory = m->pin_memory);
}

static lt_loader *plain_loader(lt_ctx *ctx, const mnist *m, lt_dataset *dataset) {
    return lt_data_loader(ctx, dataset, .batch_size = m->batch_size, .num_workers = m->num_workers, .pin_memory = m->pin_memory);
}

/* None with val_size 0. */
static lt_loader *val_dataloader(lt_ctx *ctx, void *self) {
    mnist *m = self;
    return m->val ? plain_loader(ctx, m, m->val) : NULL;
}

static lt_loader *test_dataloader(lt_ctx *ctx, void *self) {
    mnist *m = self;
    return plain_loader(ctx, m, m->test);
}

static void release(lt_ctx *ctx, void *self) {
    (void)ctx;
    mnist *m = self;
    close_part(&m->train_data);
    close_part(&m->test_data);
    m->train = m->val = m->test = NULL;
}

LT_DATAMODULE(MNIST, mnist, "MNIST, Fashion-MNIST, or any images and labels in IDX files.",
    .prepare_data = prepare_data,
    .setup = setup,
    .train_dataloader = train_dataloader,
    .val_dataloader = val_dataloader,
    .test_dataloader = test_dataloader,
    .predict_dataloader = test_dataloader,
    .release = release);
LT_PLUGIN("org.lthost.mnist", "0.1.0", datamodule(MNIST));
