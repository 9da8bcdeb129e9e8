/* CIFAR10: 60000 colour images of 32x32 in ten classes, in their binary format. Batches are (B, 3, 32, 32) f32 in 0..1, normalized if asked
 * for, and (B) i64 labels. Training images may be padded, cropped at random and mirrored, as RandomCrop(32, padding) and
 * RandomHorizontalFlip. Does not read the Python version of the files. */
#include "../shared/loaders.h"
#include "../shared/pixels.h"
#include "files.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct part {
    cifar_part images;
    const pixel_scale *scales; /* per channel */
    int64_t padding;
    double flip;
} part;

typedef struct {
    const char *data_dir;
    int64_t val_size, split_seed, padding;
    double flip;
    lt_floats mean, std;
    bool download;
    LOADER_FIELDS;
    pixel_scale scales[3];
    part train_part, plain_part, test_part; /* plain: the training files, for validation */
    lt_dataset *train, *val, *test;
} cifar10;

LT_PARAMS(cifar10,
    LT_PARAM(data_dir, "null",
             "Folder of the .bin files, of cifar-10-batches-bin or of cifar-10-binary.tar.gz; default: data/cifar10, else $LTHOST_DATA/cifar10.", LT_PATH),
    LT_PARAM(val_size, "5000", "Training images set aside for validation, drawn at random.", LT_RANGE("0..")),
    LT_PARAM(split_seed, "42", "Seed of that draw: torch.utils.data.random_split with this generator seed."),
    LT_PARAM(padding, "0", "Black pixels around a training image, of which a random 32x32 are cut; usually 4.", LT_RANGE("0..32")),
    LT_PARAM(flip, "0", "Probability that a training image is mirrored; usually 0.5.", LT_RANGE("0..1")),
    LT_PARAM(mean, "[]", "Subtracted from each channel (values are 0..1); usually [0.4914, 0.4822, 0.4465]."),
    LT_PARAM(std, "[]", "Each channel is divided by it; usually [0.2470, 0.2435, 0.2616]."),
    LT_PARAM(download, "true", "Download the files (170 MB) if they are missing."),
    LOADER_PARAMS("Images"));

/* Where the files were looked for, for messages. */
static void places(const cifar10 *m, char out[FILE_PATH_MAX]) {
    if (m->data_dir) {
        snprintf(out, FILE_PATH_MAX, "%s", m->data_dir);
    } else {
        file_places("cifar10", out);
    }
}

/* An archive that is there is unpacked; its hash is checked only where it could be downloaded again. */
static lt_status prepare_data(lt_ctx *ctx, void *self) {
    static const char *const urls[] = {"https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"};
    const cifar10 *m = self;
    char found[FILE_PATH_MAX], why[FILE_WHY_MAX];
    if (cifar_find(m->data_dir, true, found)) {
        return LT_OK;
    }
    const char *dir = m->data_dir ? m->data_dir : "data/cifar10", *archive = lt_format_path(ctx, dir, "cifar-10-binary.tar.gz");
    bool there = archive && !access(archive, F_OK);
    if (!archive || (!there && !m->download)) {
        return lt_ctx_status(ctx);
    }
    if (!there) {
        places(m, found);
        lt_print(ctx, "not all files of CIFAR-10 in %s: downloading CIFAR-10, 170 MB", found);
    }
    if (m->download && lt_fetch(ctx, archive, "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd", urls, 1)) {
        return lt_ctx_status(ctx);
    }
    lt_status status = cifar_unpack(archive, dir, why);
    return status ? lt_fail(ctx, status, "%s", why) : LT_OK;
}

/* ---- batches ---- */

/* The window at (top, left) of the padded image, mirrored or not; what is outside stays black. */
static void cut(uint8_t *restrict out, const uint8_t *restrict in, int64_t top, int64_t left, bool flip) {
    memset(out, 0, CIFAR_PIXELS);
    int64_t from = left < 0 ? -left : 0, to = left > 0 ? CIFAR_SIDE - left : CIFAR_SIDE;
    for (int64_t row = 0; row < 3 * CIFAR_SIDE; row++) {
        int64_t y = row % CIFAR_SIDE + top;
        if (y < 0 || y >= CIFAR_SIDE) {
            continue;
        }
        const uint8_t *line = in + (row - row % CIFAR_SIDE + y) * CIFAR_SIDE + left;
        uint8_t *to_line = out + row * CIFAR_SIDE;
        for (int64_t x = from; x < to; x++) {
            to_line[flip ? CIFAR_SIDE - 1 - x : x] = line[x];
        }
    }
}

static lt_status get_batch(lt_ctx *ctx, const void *data, const int64_t *indices, int64_t count, lt_batch_out *out) {
    const part *p = data;
    int64_t shape[4] = {count, 3, CIFAR_SIDE, CIFAR_SIDE};
    float *x = lt_batch_tensor(ctx, out, NULL, LT_F32, 4, shape);
    int64_t *y = lt_batch_tensor(ctx, out, NULL, LT_I64, 1, shape);
    uint8_t changed[CIFAR_PIXELS];
    for (int64_t i = 0; x && y && i < count; i++) {
        const uint8_t *record = cifar_record(&p->images, indices[i]), *pixels = record + 1;
        if (p->padding || p->flip > 0) {
            lt_sample_rng rng = lt_sample_random(ctx, out, i);
            int64_t top = lt_draw_below(&rng, 2 * p->padding + 1) - p->padding, left = lt_draw_below(&rng, 2 * p->padding + 1) - p->padding;
            cut(changed, pixels, top, left, lt_draw_uniform(&rng, 0, 1) < p->flip);
            pixels = changed;
        }
        y[i] = record[0];
        for (int64_t c = 0; c < 3; c++) {
            pixel_scale_run(&p->scales[c], x + i * CIFAR_PIXELS + c * CIFAR_PLANE, pixels + c * CIFAR_PLANE, CIFAR_PLANE);
        }
    }
    return lt_ctx_status(ctx);
}

/* ---- opening ---- */

static lt_status make_scales(lt_ctx *ctx, cifar10 *m) {
    if ((m->mean.count && m->mean.count != 3) || (m->std.count && m->std.count != 3)) {
        return lt_fail(ctx, LT_ECONFIG, "mean and std must have three numbers each, or be []");
    }
    for (int c = 0; c < 3; c++) {
        if (m->std.count && !(m->std.items[c] > 0)) {
            return lt_fail(ctx, LT_ECONFIG, "std must be above 0");
        }
        pixel_scale_init(&m->scales[c], m->mean.count ? m->mean.items[c] : 0, m->std.count ? m->std.items[c] : 1);
    }
    return LT_OK;
}

static lt_dataset *open_part(lt_ctx *ctx, cifar10 *m, part *p, const char *folder, bool test, bool augment) {
    char why[FILE_WHY_MAX];
    lt_status status = cifar_open(&p->images, folder, test, why);
    if (status) {
        lt_fail(ctx, status, "%s", why);
        return NULL;
    }
    p->scales = m->scales;
    p->padding = augment ? m->padding : 0;
    p->flip = augment ? m->flip : 0;
    lt_dataset_desc desc = {.struct_size = sizeof desc, .length = cifar_count(&p->images), .name = test ? "CIFAR-10 test" : "CIFAR-10 train",
                            .get_batch = get_batch, .data = p};
    return lt_data_dataset(ctx, &desc);
}

/* The same split twice: the training part augmented, the validation part plain. */
static lt_status open_train_and_val(lt_ctx *ctx, cifar10 *m, const char *folder) {
    lt_dataset *augmented = open_part(ctx, m, &m->train_part, folder, false, true);
    lt_dataset *plain = augmented ? open_part(ctx, m, &m->plain_part, folder, false, false) : NULL;
    if (!plain) {
        return lt_ctx_status(ctx);
    }
    int64_t all = cifar_count(&m->train_part.images);
    if (m->val_size >= all) {
        return lt_fail(ctx, LT_ECONFIG, "val_size is %lld: there are only %lld training images", (long long)m->val_size, (long long)all);
    }
    lt_dataset *parts[2] = {augmented, NULL}, *plain_parts[2] = {NULL};
    if (m->val_size) {
        int64_t lengths[2] = {all - m->val_size, m->val_size};
        lt_data_random_split(ctx, augmented, lengths, 2, m->split_seed, parts);
        lt_data_random_split(ctx, plain, lengths, 2, m->split_seed, plain_parts);
    }
    m->train = parts[0];
    m->val = plain_parts[1];
    return lt_ctx_status(ctx);
}

static lt_status setup(lt_ctx *ctx, void *self) {
    cifar10 *m = self;
    char folder[FILE_PATH_MAX];
    lt_stage stage = lt_now(ctx)->stage;
    if (make_scales(ctx, m)) {
        return lt_ctx_status(ctx);
    }
    if (!cifar_find(m->data_dir, true, folder) && !cifar_find(m->data_dir, false, folder)) { /* opening it names what is missing */
        places(m, folder);
        return lt_fail(ctx, LT_EABSENT, "no test_batch.bin or cifar-10-batches-bin of CIFAR-10 in %s; set data_dir to its folder%s", folder,
                       m->download ? "" : ", or download: true");
    }
    if (stage == LT_STAGE_FIT || stage == LT_STAGE_VALIDATE) {
        return open_train_and_val(ctx, m, folder);
    }
    m->test = open_part(ctx, m, &m->test_part, folder, true, false);
    return lt_ctx_status(ctx);
}

static lt_loader *train_dataloader(lt_ctx *ctx, void *self) {
    cifar10 *m = self;
    return TRAIN_LOADER(ctx, m, m->train);
}

static lt_loader *val_dataloader(lt_ctx *ctx, void *self) {
    cifar10 *m = self;
    return PLAIN_LOADER(ctx, m, m->val);
}

static lt_loader *test_dataloader(lt_ctx *ctx, void *self) {
    cifar10 *m = self;
    return PLAIN_LOADER(ctx, m, m->test);
}

static void release(lt_ctx *ctx, void *self) {
    (void)ctx;
    cifar10 *m = self;
    cifar_close(&m->train_part.images);
    cifar_close(&m->plain_part.images);
    cifar_close(&m->test_part.images);
    m->train = m->val = m->test = NULL;
}

LT_DATAMODULE(CIFAR10, cifar10, "CIFAR-10 in its binary format; padded, cropped and mirrored at random if asked for.",
    .prepare_data = prepare_data,
    .setup = setup,
    .train_dataloader = train_dataloader,
    .val_dataloader = val_dataloader,
    .test_dataloader = test_dataloader,
    .predict_dataloader = test_dataloader,
    .release = release);
LT_PLUGIN("org.lthost.cifar10", "0.1.0", datamodule(CIFAR10));
