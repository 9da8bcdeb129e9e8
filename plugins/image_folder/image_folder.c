/* ImageFolder: images in folders, one folder per class, as torchvision's ImageFolder and its usual transforms. Batches are (B, C, H, W) f32
 * and (B) i64 labels. Images are read, decoded and transformed when they are asked for, in the loader's workers; nothing is cached. Random
 * transforms draw from the sample's own generator. Does not write and downloads nothing. */
#include "../shared/loaders.h"
#include "../shared/split.h"
#include "scan.h"
#include "transform.h"
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { TRAIN, VAL, TEST, PARTS };
enum on_error { ON_ERROR_FAIL, ON_ERROR_SKIP };

/* Images of one dataset: a list of places in one image_list. Workers are taken by whoever fills a batch. */
typedef struct part {
    const image_list *images;
    int64_t *items, count;
    image_options options;
    enum on_error on_error;
    float table[3][256];
    atomic_uchar *bad; /* known to be unreadable */
    atomic_llong n_bad;
    image_worker *workers;
    atomic_flag *busy;
    int64_t n_workers;
} part;

typedef struct {
    const char *data_dir, *train_dir, *val_dir, *test_dir;
    double val_fraction, flip;
    int64_t split_seed, padding;
    lt_ints resize, crop;
    enum image_crop train_crop;
    enum { RGB, GREY } color;
    enum { EXACT, FAST } jpeg;
    enum on_error on_error;
    lt_floats scale, ratio, mean, std;
    LOADER_FIELDS;
    image_list lists[PARTS];
    part parts[PARTS];
    lt_dataset *datasets[PARTS];
} image_folder;

LT_PARAMS(image_folder,
    LT_PARAM(data_dir, LT_REQUIRED, "Folder of train_dir, val_dir and test_dir; or, without a train_dir in it, of the class folders.", LT_PATH),
    LT_PARAM(train_dir, "train", "Folder of the training images in data_dir."),
    LT_PARAM(val_dir, "val", "Folder of the validation images; without it, or with val_fraction, they are split off the training images."),
    LT_PARAM(test_dir, "test", "Folder of the test images; without it, the validation images."),
    LT_PARAM(val_fraction, "0", "Share of the training images that is set aside for validation, drawn at random.", LT_RANGE("0..1")),
    LT_PARAM(split_seed, "42", "Seed of that draw."),
    LT_PARAM(resize, "[]", "[shorter side] or [height, width] to resize to, antialiased as Pillow's; []: not."),
    LT_PARAM(crop, "[]", "[side] or [height, width] to crop to; []: not."),
    LT_CHOICE(train_crop, "center|random|random_resized", "center",
              "How training images are cropped; random_resized takes a random part (scale, ratio) to the crop's size. Others: the center."),
    LT_PARAM(padding, "0", "Black pixels around a training image before a random crop.", LT_RANGE("0..10000")),
    LT_PARAM(scale, "[0.08, 1.0]", "Range of the share of the area, for random_resized."),
    LT_PARAM(ratio, "[0.75, 1.3333333333333333]", "Range of width / height, for random_resized."),
    LT_PARAM(flip, "0", "Probability that a training image is mirrored.", LT_RANGE("0..1")),
    LT_CHOICE(color, "rgb|grey", "rgb", "Three channels, or one."),
    LT_PARAM(mean, "[]", "Subtracted from each channel (values are 0..1); []: nothing."),
    LT_PARAM(std, "[]", "Each channel is divided by it; []: by nothing."),
    LT_CHOICE(jpeg, "exact|fast", "exact",
              "fast: a JPEG is decoded at 1/2, 1/4 or 1/8 of its size where that still is as large as what it is resized to."),
    LT_CHOICE(on_error, "error|skip", "error", "An unreadable image ends the run, or the next one of the list takes its place, with a warning."),
    LOADER_PARAMS("Images"));

/* ---- batches ---- */

/* A worker nobody uses; there is one more than threads. */
static image_worker *take_worker(const part *p, int64_t *which) {
    for (int64_t i = 0;; i = (i + 1) % p->n_workers) {
        if (!atomic_flag_test_and_set(&p->busy[i])) {
            *which = i;
            return &p->workers[i];
        }
    }
}

typedef struct sample {
    int64_t item; /* in the image list */
    image_plan plan;
} sample;

static lt_status open_sample(part *p, image_worker *w, int64_t item, lt_sample_rng *rng, image_plan *plan, char why[DECODE_WHY]) {
    lt_status status = image_open(w, p->images->paths[item], why);
    if (!status && !image_plan_make(plan, &p->options, decoder_width(w->decoder), decoder_height(w->decoder), rng, why)) {
        status = LT_EFORMAT;
    }
    return status;
}

/* Counts and names an image that cannot be read; one that is known is not named again. */
static void note_bad(lt_ctx *ctx, part *p, int64_t item, const char *why) {
    if (!atomic_exchange(&p->bad[item], 1)) {
        long long count = atomic_fetch_add(&p->n_bad, 1) + 1;
        lt_warn(ctx, "image %s %s: the next one takes its place (%lld such so far)", p->images->paths[item], why, count);
    }
}

typedef struct batch_target {
    float *x;
    int64_t *y, height, width, count;
} batch_target;

/* The batch's memory, once the size of its first image is known. */
static lt_status make_target(lt_ctx *ctx, lt_batch_out *out, const part *p, const image_plan *plan, batch_target *to) {
    int64_t shape[4] = {to->count, p->options.channels, plan->height, plan->width};
    to->x = lt_batch_tensor(ctx, out, NULL, LT_F32, 4, shape);
    to->y = lt_batch_tensor(ctx, out, NULL, LT_I64, 1, shape);
    to->height = plan->height;
    to->width = plan->width;
    return lt_ctx_status(ctx);
}

/* Image `item` as sample i. Failures that are the image's leave `why`, others are in ctx. */
static lt_status fill_sample(lt_ctx *ctx, part *p, image_worker *w, int64_t item, int64_t i, lt_batch_out *out, batch_target *to,
                             char why[DECODE_WHY]) {
    image_plan plan;
    lt_sample_rng rng = lt_sample_random(ctx, out, i);
    lt_status status = open_sample(p, w, item, &rng, &plan, why);
    if (status) {
        return status;
    }
    if (!to->x && make_target(ctx, out, p, &plan, to)) {
        return lt_ctx_status(ctx);
    }
    if (plan.height != to->height || plan.width != to->width) {
        return lt_fail(ctx, LT_ESHAPE, "image %s gives %lld x %lld (height x width), others of the batch %lld x %lld: set crop, or resize to both sides",
                       p->images->paths[item], (long long)plan.height, (long long)plan.width, (long long)to->height, (long long)to->width);
    }
    to->y[i] = p->images->labels[item];
    return image_make(w, &p->options, &plan, p->table, to->x + i * p->options.channels * to->height * to->width, why);
}

/* Sample i, or with on_error skip the first readable one after it in the list. */
static lt_status fill_some(lt_ctx *ctx, part *p, image_worker *w, int64_t index, int64_t i, lt_batch_out *out, batch_target *to) {
    char why[DECODE_WHY] = "";
    for (int64_t tried = 0; tried < p->count; tried++) {
        int64_t item = p->items[(index + tried) % p->count];
        if (atomic_load(&p->bad[item])) {
            continue;
        }
        lt_status status = fill_sample(ctx, p, w, item, i, out, to, why);
        if (!status || lt_ctx_status(ctx)) {
            return lt_ctx_status(ctx);
        }
        if (p->on_error == ON_ERROR_FAIL || (status != LT_EFORMAT && status != LT_EABSENT && status != LT_EIO)) {
            return lt_fail(ctx, status, "image %s %s; repair or remove it, or set on_error: skip", p->images->paths[item], why);
        }
        note_bad(ctx, p, item, why);
    }
    return lt_fail(ctx, LT_EFORMAT, "none of the %lld images below %s can be read", (long long)p->count, p->images->root);
}

static lt_status get_batch(lt_ctx *ctx, const void *data, const int64_t *indices, int64_t count, lt_batch_out *out) {
    part *p = (part *)data; /* what changes in it is behind atomics */
    batch_target to = {.count = count};
    int64_t which;
    image_worker *w = take_worker(p, &which);
    for (int64_t i = 0; i < count && !fill_some(ctx, p, w, indices[i], i, out, &to); i++) {
    }
    atomic_flag_clear(&p->busy[which]);
    return lt_ctx_status(ctx);
}

/* ---- opening ---- */

static void close_part(part *p) {
    for (int64_t i = 0; i < p->n_workers; i++) {
        image_worker_free(&p->workers[i]);
    }
    free(p->items);
    free(p->bad);
    free(p->workers);
    free(p->busy);
    *p = (part){0};
}

/* [n] or [height, width]; nothing is 0. */
static lt_status sides(lt_ctx *ctx, const char *name, lt_ints list, bool both, int64_t out[2]) {
    out[0] = list.count ? list.items[0] : 0;
    out[1] = list.count == 2 ? list.items[1] : both ? out[0] : 0;
    if (list.count > 2 || (list.count && (out[0] < 1 || out[0] > 65500 || out[1] < 0 || out[1] > 65500 || (list.count == 2 && !out[1])))) {
        return lt_fail(ctx, LT_ECONFIG, "%s must be [], [n] or [height, width], each 1 to 65500", name);
    }
    return LT_OK;
}

static lt_status range(lt_ctx *ctx, const char *name, lt_floats list, double out[2]) {
    if (list.count != 2 || !(list.items[0] > 0) || !(list.items[1] >= list.items[0])) {
        return lt_fail(ctx, LT_ECONFIG, "%s must be [low, high] with 0 < low <= high", name);
    }
    out[0] = list.items[0];
    out[1] = list.items[1];
    return LT_OK;
}

/* table[c][byte]: x.div(255), then sub(mean).div(std), in f32 as torchvision. */
static lt_status make_table(lt_ctx *ctx, const image_folder *m, float table[3][256]) {
    int64_t channels = m->color == GREY ? 1 : 3;
    for (int64_t i = 0; i < m->std.count; i++) {
        if (!(m->std.items[i] > 0)) {
            return lt_fail(ctx, LT_ECONFIG, "std must be above 0");
        }
    }
    if ((m->mean.count && m->mean.count != channels) || (m->std.count && m->std.count != channels)) {
        return lt_fail(ctx, LT_ECONFIG, "mean and std must have a number for each of the %lld channels, or be []", (long long)channels);
    }
    for (int64_t c = 0; c < channels; c++) {
        float mean = m->mean.count ? (float)m->mean.items[c] : 0, std = m->std.count ? (float)m->std.items[c] : 1;
        for (int b = 0; b < 256; b++) {
            table[c][b] = ((float)b / 255.0f - mean) / std;
        }
    }
    return LT_OK;
}

static lt_status make_options(lt_ctx *ctx, const image_folder *m, bool train, image_options *o) {
    *o = (image_options){.channels = m->color == GREY ? 1 : 3, .fast = m->jpeg == FAST};
    if (sides(ctx, "resize", m->resize, false, o->resize) || sides(ctx, "crop", m->crop, true, o->crop) ||
        range(ctx, "scale", m->scale, o->scale) || range(ctx, "ratio", m->ratio, o->ratio)) {
        return lt_ctx_status(ctx);
    }
    if (m->train_crop != CROP_CENTER && !m->crop.count) {
        return lt_fail(ctx, LT_ECONFIG, "train_crop needs crop: [side]");
    }
    if (train) {
        o->how = m->train_crop;
        o->padding = m->train_crop == CROP_RANDOM ? m->padding : 0;
        o->flip = m->flip;
    }
    return LT_OK;
}

/* A dataset of `count` places of the list, which become the part's. */
static lt_status open_part(lt_ctx *ctx, image_folder *m, int id, const image_list *images, int64_t *items, int64_t count) {
    static const char *const names[] = {"images train", "images val", "images test"};
    part *p = &m->parts[id];
    close_part(p);
    p->images = images;
    p->items = items;
    p->count = count;
    p->on_error = m->on_error;
    p->n_workers = m->num_workers + 2;
    p->bad = calloc((size_t)images->count, sizeof *p->bad);
    p->workers = calloc((size_t)p->n_workers, sizeof *p->workers);
    p->busy = calloc((size_t)p->n_workers, sizeof *p->busy);
    if (!items || !p->bad || !p->workers || !p->busy) {
        p->n_workers = p->workers ? p->n_workers : 0;
        return lt_fail(ctx, LT_ENOMEM, "no memory for %lld images", (long long)count);
    }
    for (int64_t i = 0; i < p->n_workers; i++) {
        atomic_flag_clear(&p->busy[i]);
    }
    if (make_table(ctx, m, p->table) || make_options(ctx, m, id == TRAIN, &p->options)) {
        return lt_ctx_status(ctx);
    }
    lt_dataset_desc desc = {.struct_size = sizeof desc, .length = count, .name = names[id], .get_batch = get_batch, .data = p};
    m->datasets[id] = lt_data_dataset(ctx, &desc);
    return lt_ctx_status(ctx);
}

static int64_t *count_up(int64_t count) {
    int64_t *items = malloc((size_t)(count ? count : 1) * sizeof *items);
    for (int64_t i = 0; items && i < count; i++) {
        items[i] = i;
    }
    return items;
}

static int by_number(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Two parts of the training images, drawn at random; each in the order of the list. */
static lt_status open_split(lt_ctx *ctx, image_folder *m) {
    const image_list *images = &m->lists[TRAIN];
    int64_t n_val = (int64_t)((double)images->count * m->val_fraction), n_train = images->count - n_val;
    int64_t *all = split_shuffle(images->count, m->split_seed), *val = count_up(n_val);
    if (!all || !val || (m->val_fraction > 0 && !n_val) || !n_train) {
        free(all);
        free(val);
        return all && val ? lt_fail(ctx, LT_ECONFIG, "val_fraction %g of %lld images leaves one part without any", m->val_fraction,
                                    (long long)images->count)
                          : lt_fail(ctx, LT_ENOMEM, "no memory for %lld images", (long long)images->count);
    }
    memcpy(val, all + n_train, (size_t)n_val * sizeof *val);
    qsort(all, (size_t)n_train, sizeof *all, by_number);
    qsort(val, (size_t)n_val, sizeof *val, by_number);
    lt_status status = open_part(ctx, m, TRAIN, images, all, n_train);
    if (status || !n_val) {
        free(val);
        return status;
    }
    return open_part(ctx, m, VAL, images, val, n_val);
}

/* data_dir/<name> if it is a folder there. */
static bool has_folder(const image_folder *m, const char *name, char out[FILE_PATH_MAX]) {
    struct stat facts;
    return name && *name && snprintf(out, FILE_PATH_MAX, "%s/%s", m->data_dir, name) < FILE_PATH_MAX && !stat(out, &facts) && S_ISDIR(facts.st_mode);
}

static lt_status scan(lt_ctx *ctx, image_folder *m, int id, const char *path) {
    char why[FILE_WHY_MAX];
    lt_status status = image_scan(&m->lists[id], path, why);
    if (!status && id != TRAIN && m->lists[TRAIN].count) {
        status = image_relabel(&m->lists[id], &m->lists[TRAIN], why);
    }
    return status ? lt_fail(ctx, status, "%s", why) : LT_OK;
}

static lt_status open_whole(lt_ctx *ctx, image_folder *m, int id) {
    return open_part(ctx, m, id, &m->lists[id], count_up(m->lists[id].count), m->lists[id].count);
}

static lt_status open_evaluation(lt_ctx *ctx, image_folder *m, int id, const char *path) {
    lt_status status = scan(ctx, m, id, path);
    return status ? status : open_whole(ctx, m, id);
}

static lt_status setup(lt_ctx *ctx, void *self) {
    image_folder *m = self;
    char train[FILE_PATH_MAX], path[FILE_PATH_MAX];
    lt_stage stage = lt_now(ctx)->stage;
    resize_use_isa(resize_best_isa());
    if (!has_folder(m, m->train_dir, train)) {
        snprintf(train, sizeof train, "%s", m->data_dir);
    }
    if (scan(ctx, m, TRAIN, train)) { /* for the classes' numbers, in every stage */
        return lt_ctx_status(ctx);
    }
    bool testing = stage == LT_STAGE_TEST || stage == LT_STAGE_PREDICT;
    if (testing && has_folder(m, m->test_dir, path)) {
        return open_evaluation(ctx, m, TEST, path);
    }
    bool own_val = m->val_fraction == 0 && has_folder(m, m->val_dir, path);
    lt_status status = own_val ? open_whole(ctx, m, TRAIN) : open_split(ctx, m);
    if (!status && own_val) {
        status = open_evaluation(ctx, m, VAL, path);
    }
    m->datasets[TEST] = m->datasets[VAL];
    return status;
}

static lt_loader *train_dataloader(lt_ctx *ctx, void *self) {
    image_folder *m = self;
    return TRAIN_LOADER(ctx, m, m->datasets[TRAIN]);
}

static lt_loader *val_dataloader(lt_ctx *ctx, void *self) {
    image_folder *m = self;
    return PLAIN_LOADER(ctx, m, m->datasets[VAL]);
}

static lt_loader *test_dataloader(lt_ctx *ctx, void *self) {
    image_folder *m = self;
    return PLAIN_LOADER(ctx, m, m->datasets[TEST]);
}

static void release(lt_ctx *ctx, void *self) {
    image_folder *m = self;
    for (int i = 0; i < PARTS; i++) {
        long long bad = atomic_load(&m->parts[i].n_bad);
        if (bad) {
            lt_warn(ctx, "%lld images below %s could not be read and were skipped", bad, m->parts[i].images->root);
        }
        close_part(&m->parts[i]);
        m->datasets[i] = NULL;
    }
    for (int i = 0; i < PARTS; i++) {
        image_list_free(&m->lists[i]);
    }
}

/* ---- the checkpoint: a model knows classes by number ---- */

static lt_status save(lt_ctx *ctx, void *self, lt_state_writer *out) {
    const image_list *images = &((const image_folder *)self)->lists[TRAIN];
    size_t size = 0;
    for (int64_t i = 0; i < images->n_classes; i++) {
        size += strlen(images->classes[i]) + 1;
    }
    char *text = malloc(size + 1);
    if (!text) {
        return lt_fail(ctx, LT_ENOMEM, "no memory for the names of the classes");
    }
    size = 0;
    for (int64_t i = 0; i < images->n_classes; i++) {
        size_t length = strlen(images->classes[i]);
        memcpy(text + size, images->classes[i], length);
        size += length;
        text[size++] = '\n';
    }
    text[size] = 0;
    lt_state_put_text(ctx, out, "classes", text);
    free(text);
    return lt_ctx_status(ctx);
}

static lt_status load(lt_ctx *ctx, void *self, const lt_state_reader *in) {
    const image_list *images = &((const image_folder *)self)->lists[TRAIN];
    const char *at = lt_state_get_text(ctx, in, "classes", NULL);
    for (int64_t i = 0; at && i < images->n_classes; i++) {
        const char *end = strchr(at, '\n');
        size_t length = strlen(images->classes[i]);
        if (!end || (size_t)(end - at) != length || memcmp(at, images->classes[i], length)) {
            return lt_fail(ctx, LT_ECONFIG, "class %lld is '%s', in the checkpoint '%.*s': the model would take one for the other", (long long)i,
                           images->classes[i], (int)(end ? end - at : 0), at);
        }
        at = end + 1;
    }
    return at && *at ? lt_fail(ctx, LT_ECONFIG, "%s has %lld classes, the checkpoint more", images->root, (long long)images->n_classes)
                     : lt_ctx_status(ctx);
}

LT_DATAMODULE(ImageFolder, image_folder, "JPEG and PNG images in folders, one folder per class.",
    .setup = setup,
    .train_dataloader = train_dataloader,
    .val_dataloader = val_dataloader,
    .test_dataloader = test_dataloader,
    .predict_dataloader = test_dataloader,
    .save = save,
    .load = load,
    .release = release);
LT_PLUGIN("org.lthost.image-folder", "0.1.0", datamodule(ImageFolder));
