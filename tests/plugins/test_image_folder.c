/* tests/plugins/test_image_folder.c - ImageFolder: bytes and floats of Pillow and torchvision (tests/golden/images.bin), on every instruction
 * set; folders; random transforms; damaged files by the thousand, where the address sanitizer is the judge. */
#include "../../plugins/image_folder/scan.h"
#include "../../plugins/image_folder/transform.h"
#include "../golden/golden.h"
#include "data_test.h"
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <sys/stat.h>

static gold_file gold;
static int entries_left = -1; /* that readdir gives before it fails; -1: all */

/* In place of the C library's. */
struct dirent *readdir(DIR *dir) {
    static struct dirent *(*real)(DIR *);
    if (!real) {
        *(void **)&real = dlsym(RTLD_NEXT, "readdir");
    }
    if (entries_left == 0) {
        errno = EIO;
        return NULL;
    }
    entries_left -= entries_left > 0;
    return real(dir);
}
static int n_isa; /* that this machine has */

static int open_all(void **state) {
    if (gold_open(&gold, TEST_DATA_DIR "/golden/images.bin")) {
        fprintf(stderr, "%s\n", gold.error);
        return -1;
    }
    n_isa = (int)resize_best_isa() + 1;
    return make_dir(state);
}

static int close_all(void **state) {
    gold_close(&gold);
    return remove_dir(state);
}

typedef struct canvas {
    uint8_t *pixels;
    int64_t stride, first, rows;
} canvas;

static void keep_row(void *arg, int64_t y, const uint8_t *pixels) {
    canvas *c = arg;
    memcpy(c->pixels + (y - c->first) * c->stride, pixels, (size_t)c->stride);
    c->rows++;
}

static lt_status decode(decoder *d, const void *bytes, size_t size, int channels, decode_region *r, uint8_t *out, char why[DECODE_WHY]) {
    lt_status status = decoder_open(d, bytes, size, 1 << 20, why);
    if (status) {
        return status;
    }
    if (!r->x1) {
        *r = (decode_region){0, 0, decoder_width(d), decoder_height(d)};
    }
    canvas c = {out, (r->x1 - r->x0) * channels, r->y0, 0};
    status = decoder_rows(d, channels, r, keep_row, &c, why);
    assert_true(status || c.rows == r->y1 - r->y0);
    return status;
}

static void test_decoded_bytes_are_pillows(void **state) {
    (void)state;
    static uint8_t out[3 << 20];
    char why[DECODE_WHY];
    decoder *d = decoder_new();
    int files = 0;
    for (size_t i = 0; i < gold.count; i++) {
        const gold_record *file = &gold.records[i];
        if (strncmp(file->name, "file/", 5)) {
            continue;
        }
        for (int channels = 1; channels <= 3; channels += 2) {
            const gold_record *expected = gold_find(&gold, "decoded/%s.%s", file->name + 5, channels == 1 ? "grey" : "rgb");
            decode_region whole = {0};
            assert_int_equal(decode(d, file->data, (size_t)file->numel, channels, &whole, out, why), LT_OK);
            assert_true(whole.x1 == expected->shape[1] && whole.y1 == expected->shape[0]);
            for (int64_t k = 0; k < expected->numel; k++) {
                if (out[k] != ((const uint8_t *)expected->data)[k]) {
                    fail_msg("%s, %d channels, byte %lld: %d, expected %d", file->name, channels, (long long)k, out[k],
                             ((const uint8_t *)expected->data)[k]);
                }
            }
        }
        files++;
    }
    assert_true(files == 15);
    decoder_free(d);
}

static uint32_t next(uint32_t *seed) { return (*seed = *seed * 1664525u + 1013904223u) >> 8; }

/* Parts of images, cut out by the decoder, are the bytes of the whole image. */
static void test_regions(void **state) {
    (void)state;
    static uint8_t out[3 << 20];
    char why[DECODE_WHY];
    uint32_t seed = 5;
    decoder *d = decoder_new();
    for (size_t i = 0; i < gold.count; i++) {
        const gold_record *file = &gold.records[i];
        if (strncmp(file->name, "file/", 5)) {
            continue;
        }
        const gold_record *expected = gold_find(&gold, "decoded/%s.rgb", file->name + 5);
        int64_t w = expected->shape[1], h = expected->shape[0];
        for (int round = 0; round < 200; round++) {
            decode_region r = {next(&seed) % w, next(&seed) % h, 0, 0};
            r.x1 = r.x0 + 1 + next(&seed) % (w - r.x0);
            r.y1 = r.y0 + 1 + next(&seed) % (h - r.y0);
            assert_int_equal(decode(d, file->data, (size_t)file->numel, 3, &r, out, why), LT_OK);
            for (int64_t y = r.y0; y < r.y1; y++) {
                int64_t n = (r.x1 - r.x0) * 3;
                if (memcmp(out + (y - r.y0) * n, (const uint8_t *)expected->data + (y * w + r.x0) * 3, (size_t)n)) {
                    fail_msg("%s: row %lld of %lld,%lld..%lld,%lld differs", file->name, (long long)y, (long long)r.x0, (long long)r.y0,
                             (long long)r.x1, (long long)r.y1);
                }
            }
        }
    }
    decoder_free(d);
}

static void make_table(float table[3][256]) {
    static const float mean[3] = {0.485f, 0.456f, 0.406f}, std[3] = {0.229f, 0.224f, 0.225f};
    for (int c = 0; c < 3; c++) {
        for (int b = 0; b < 256; b++) {
            table[c][b] = ((float)b / 255.0f - mean[c]) / std[c];
        }
    }
}

static void check_normalized(size_t i, const float *out, int64_t n) {
    const float *x = gold_data(gold_find(&gold, "case/%zu/x", i), GOLD_F32);
    for (int64_t k = 0; x && k < n; k++) {
        if (out[k] != x[k]) {
            fail_msg("case %zu, element %lld: %.9g, expected %.9g", i, (long long)k, out[k], x[k]);
        }
    }
}

/* The worst and the mean difference in bytes. Exact ones have none; some are compared after normalization, too. */
static double check_case(image_worker *w, size_t i, bool fast, double *mean) {
    static float out[3 << 16], table[3][256], normal[3][256];
    char why[DECODE_WHY];
    const gold_record *name = gold_find(&gold, "case/%zu/file", i), *expected = gold_find(&gold, "case/%zu/out", i);
    const int64_t *s = gold_data(gold_find(&gold, "case/%zu/spec", i), GOLD_I64);
    const gold_record *file = gold_find(&gold, "file/%.*s", (int)name->numel, (const char *)name->data);
    image_plan plan = {s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7], s[8], s[9], s[10] != 0};
    image_options o = {.channels = (int)s[11], .fast = fast};
    const uint8_t *bytes = expected->data;
    double worst = 0, sum = 0;
    make_table(normal);
    for (int b = 0; b < 256; b++) {
        table[0][b] = table[1][b] = table[2][b] = (float)b;
    }
    const char *path = put_file("image", file->data, (size_t)file->numel);
    if (image_open(w, path, why) || image_make(w, &o, &plan, table, out, why)) {
        fail_msg("case %zu: %s", i, why);
    }
    assert_int_equal(expected->numel, s[8] * s[9] * s[11]);
    for (int64_t k = 0; k < expected->numel; k++) {
        double difference = fabs((double)out[k] - bytes[k]);
        worst = difference > worst ? difference : worst;
        sum += difference;
        if (!fast && difference > 0) {
            fail_msg("case %zu (%.*s), element %lld: %g, expected %d", i, (int)name->numel, (const char *)name->data, (long long)k, out[k],
                     bytes[k]);
        }
    }
    if (!fast && gold_find(&gold, "case/%zu/x", i)) {
        assert_int_equal(image_open(w, path, why) || image_make(w, &o, &plan, normal, out, why), LT_OK);
        check_normalized(i, out, expected->numel);
    }
    *mean = expected->numel ? sum / (double)expected->numel : 0;
    return worst;
}

static void test_transforms_are_torchvisions(void **state) {
    (void)state;
    double mean;
    image_worker w = {0};
    for (int isa = 0; isa < n_isa; isa++) {
        size_t i = 0;
        resize_use_isa((enum resize_isa)isa);
        for (; gold_find(&gold, "case/%zu/spec", i); i++) {
            check_case(&w, i, false, &mean);
        }
        assert_true(i == 91);
    }
    image_worker_free(&w);
}

/* The bound that the documentation gives for jpeg: fast: 3 levels of 255 in the mean, 32 at an edge. */
static void test_fast_jpeg_is_close(void **state) {
    (void)state;
    image_worker w = {0};
    int smaller = 0;
    for (size_t i = 0; gold_find(&gold, "case/%zu/spec", i); i++) {
        double mean, worst = check_case(&w, i, true, &mean);
        smaller += worst > 0;
        if (mean > 3 || worst > 32) {
            fail_msg("case %zu: %g in the mean, %g at worst", i, mean, worst);
        }
    }
    assert_true(smaller > 0);
    image_worker_free(&w);
}

/* ---- damaged files ---- */

static void test_damaged_images(void **state) {
    (void)state;
    static uint8_t out[3 << 20], bytes[1 << 16];
    char why[DECODE_WHY];
    uint32_t seed = 1, refused = 0, accepted = 0;
    decoder *d = decoder_new();
    for (int round = 0; round < 300; round++) {
        for (size_t i = 0; i < gold.count; i++) {
            const gold_record *file = &gold.records[i];
            if (strncmp(file->name, "file/", 5)) {
                continue;
            }
            size_t size = (size_t)file->numel;
            assert_true(size <= sizeof bytes);
            memcpy(bytes, file->data, size);
            for (uint32_t n = next(&seed) % 4 + 1; n; n--) {
                size_t at = next(&seed) % size;
                switch (next(&seed) % 4) {
                case 0:
                    size = at + 1;
                    break;
                case 1:
                    bytes[at] = 255;
                    break;
                case 2:
                    bytes[at % (size < 200 ? size : 200)] = (uint8_t)next(&seed);
                    break;
                default:
                    bytes[at] ^= (uint8_t)(1 << next(&seed) % 8);
                }
            }
            /* size exactly: a read beyond is seen */
            uint8_t *exact = malloc(size);
            memcpy(exact, bytes, size);
            decode_region r = {0};
            why[0] = 0;
            if (!decoder_open(d, exact, size, 300000, why)) {
                r = (decode_region){0, 0, decoder_width(d), decoder_height(d)};
                canvas c = {out, r.x1 * 3, 0, 0};
                lt_status status = decoder_rows(d, 3, &r, keep_row, &c, why);
                assert_true(status == LT_OK || status == LT_EFORMAT);
                status ? refused++ : accepted++;
                assert_true(!status || why[0]);
            } else {
                assert_true(why[0]);
                refused++;
            }
            free(exact);
        }
    }
    assert_true(refused > 300 && accepted > 300); /* both ways were taken */
    decoder_free(d);
}

/* ---- the datamodule ---- */

static const gold_record *file_of(const char *name) { return gold_find(&gold, "file/%s", name); }

static void put_image(const char *path, const char *name) {
    const gold_record *file = file_of(name);
    put_file(path, file->data, (size_t)file->numel);
}

static void put_folders(void) {
    static const char *const folders[] = {"tree", "tree/train", "tree/train/b", "tree/train/a", "tree/train/a/deep", "tree/val", "tree/val/b"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        mkdir(in_dir(folders[i]), 0777);
    }
    put_image("tree/train/a/1.JPG", "420.jpg");
    put_image("tree/train/a/deep/0.png", "bits.png");
    put_image("tree/train/b/x.jpeg", "small.jpg");
    put_image("tree/train/b/y.png", "palette.png");
    put_text("tree/train/b/notes.txt", "no image");
    put_image("tree/val/b/only.jpg", "444.jpg");
}

static void test_folders(void **state) {
    (void)state;
    put_folders();
    fixture f = open_data("ImageFolder");
    NEW_DATA(&f, "data_dir", in_dir("tree"), "resize", "[20]", "crop", "[16]", "batch_size", "4");
    must_set_up(&f, LT_STAGE_FIT);
    const lt_loader *train = f.data->train_dataloader(f.ctx, f.self), *val = f.data->val_dataloader(f.ctx, f.self);
    assert_int_equal(train->dataset->length, 4);
    assert_int_equal(val->dataset->length, 1);
    const lt_batch *batch = load(&f, train, 0, 4);
    static const int64_t labels[] = {0, 0, 1, 1};
    assert_memory_equal(item_i64(batch, 1), labels, sizeof labels);
    const lt_tensor *x = batch->items[0].tensor;
    assert_true(x->ndim == 4 && x->shape[0] == 4 && x->shape[1] == 3 && x->shape[2] == 16 && x->shape[3] == 16);
    assert_int_equal(item_i64(load(&f, val, 0, 1), 1)[0], 1); /* the class's number in train */
    close_data(&f);
}

/* The order of torchvision.datasets.ImageFolder, which sorts the paths of folders as texts: '-' comes before '/'. */
static void test_order_of_folders(void **state) {
    (void)state;
    static const char *const folders[] = {"walk", "walk/c", "walk/c/a", "walk/c/a/x", "walk/c/a-b"};
    static const char *const files[] = {"walk/c/z.png", "walk/c/a/2.png", "walk/c/a/10.png", "walk/c/a-b/3.png", "walk/c/a/x/1.png"};
    static const int order[] = {0, 2, 1, 3, 4};
    image_list list = {0};
    char why[FILE_WHY_MAX];
    for (int i = 0; i < 5; i++) {
        mkdir(in_dir(folders[i]), 0777);
    }
    for (int i = 4; i >= 0; i--) {
        put_text(files[i], "");
    }
    assert_int_equal(image_scan(&list, in_dir("walk"), why), LT_OK);
    assert_int_equal(list.count, 5);
    for (int i = 0; i < 5; i++) {
        assert_string_equal(list.paths[i], in_dir(files[order[i]]));
    }
    image_list_free(&list);
    for (entries_left = 0; entries_left < 3; entries_left++) { /* a folder that cannot be read to its end is no shorter folder */
        int n = entries_left;
        assert_int_equal(image_scan(&list, in_dir("walk"), why), LT_EIO);
        assert_non_null(strstr(why, "cannot read folder"));
        entries_left = n;
    }
    entries_left = -1;
}

/* data_dir/train is used if it is a folder, else data_dir itself; null asks for the latter. */
static void test_folders_by_name(void **state) {
    (void)state;
    static const char *const names[] = {"null", "file", "absent"};
    put_folders();
    put_text("tree/train/file", "#!/bin/sh");
    chmod(in_dir("tree/train/file"), 0777);
    for (int i = 0; i < 3; i++) {
        fixture f = open_data("ImageFolder");
        NEW_DATA(&f, "data_dir", in_dir("tree/train"), "train_dir", names[i], "resize", "[20]", "crop", "[16]");
        must_set_up(&f, LT_STAGE_FIT);
        assert_int_equal(f.data->train_dataloader(f.ctx, f.self)->dataset->length, 4);
        close_data(&f);
    }
}

/* One image at a time against another order: what a sample is depends on its draws alone. */
static void test_random_transforms(void **state) {
    (void)state;
    put_folders();
    static const char *const crops[] = {"random", "random_resized"};
    for (int i = 0; i < 2; i++) {
        fixture f = open_data("ImageFolder");
        NEW_DATA(&f, "data_dir", in_dir("tree"), "resize", "[20, 20]", "crop", "[16, 12]", "train_crop", crops[i], "padding", "4", "flip", "0.5");
        must_set_up(&f, LT_STAGE_FIT);
        const lt_loader *train = f.data->train_dataloader(f.ctx, f.self);
        const lt_batch *first = load(&f, train, 0, 4), *again = load(&f, train, 0, 4);
        assert_memory_equal(item_f32(first, 0), item_f32(again, 0), 4 * 3 * 16 * 12 * sizeof(float));
        close_data(&f);
    }
}

/* Many draws: within the image, of the shares and shapes asked for, both mirrored and not. */
static void test_plans(void **state) {
    (void)state;
    char why[DECODE_WHY];
    image_options o = {.channels = 3, .crop = {224, 200}, .how = CROP_RANDOM_RESIZED, .scale = {0.08, 1}, .ratio = {0.75, 4.0 / 3}, .flip = 0.3};
    lt_sample_rng rng = {9};
    image_plan p;
    int flips = 0, n = 20000;
    double share = 0;
    for (int i = 0; i < n; i++) {
        assert_true(image_plan_make(&p, &o, 500, 375, &rng, why));
        double area = (double)(p.w * p.h) / (500.0 * 375), ratio = (double)p.w / (double)p.h;
        assert_true(p.x >= 0 && p.y >= 0 && p.w > 0 && p.h > 0 && p.x + p.w <= 500 && p.y + p.h <= 375);
        assert_true(area > 0.078 && area <= 1 && ratio > 0.73 && ratio < 1.37);
        assert_true(p.size_w == 200 && p.size_h == 224 && p.width == 200 && p.height == 224 && !p.left && !p.top);
        flips += p.flip;
        share += area / n;
    }
    assert_in_range(flips, 5600, 6400);
    assert_in_range((int)(1000 * share + 0.5), 425, 440); /* torchvision's RandomResizedCrop: 0.432 */
    /* no part of that shape fits: the middle, in the nearest shape */
    assert_true(image_plan_make(&p, &o, 1000, 10, &rng, why));
    assert_true(p.h == 10 && p.w == 13 && p.x == 493 && p.y == 0);
    o = (image_options){.channels = 3, .resize = {256}, .crop = {224, 224}, .how = CROP_CENTER};
    assert_true(image_plan_make(&p, &o, 500, 375, &rng, why)); /* torchvision: 256 x 341, then top 16, left 58 (58.5 to even) */
    assert_true(p.size_h == 256 && p.size_w == 341 && p.top == 16 && p.left == 58);
    assert_true(image_plan_make(&p, &(image_options){.channels = 3, .crop = {10, 11}, .how = CROP_CENTER}, 6, 7, &rng, why));
    assert_true(p.top == -1 && p.left == -2);
    o = (image_options){.channels = 3, .crop = {32, 32}, .how = CROP_RANDOM, .padding = 4};
    assert_false(image_plan_make(&p, &o, 20, 40, &rng, why));
    assert_non_null(strstr(why, "smaller than the crop of 32 x 32"));
}

static void test_refusals(void **state) {
    (void)state;
    put_folders();
    static const char *const settings[][3] = {
        {"crop", "[1, 2, 3]", "crop must be"},      {"resize", "[0]", "resize must be"},           {"mean", "[0.5]", "for each of the 3 channels"},
        {"std", "[1, 0, 1]", "std must be above"},  {"train_crop", "random", "train_crop needs crop"}, {"scale", "[0, 1]", "scale must be"},
        {"val_fraction", "1", "leaves one part"},
    };
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        fixture f = open_data("ImageFolder");
        NEW_DATA(&f, "data_dir", in_dir("tree"), settings[i][0], settings[i][1]);
        must_refuse(&f, LT_STAGE_FIT, LT_ECONFIG, settings[i][2]);
        close_data(&f);
    }
    fixture f = open_data("ImageFolder");
    NEW_DATA(&f, "data_dir", in_dir("nowhere"));
    must_refuse(&f, LT_STAGE_FIT, LT_EABSENT, "nowhere");
    close_data(&f);
    mkdir(in_dir("tree/val/c"), 0777);
    put_image("tree/val/c/1.jpg", "small.jpg");
    f = open_data("ImageFolder");
    NEW_DATA(&f, "data_dir", in_dir("tree"));
    must_refuse(&f, LT_STAGE_FIT, LT_EFORMAT, "class 'c' of");
    close_data(&f);
    unlink(in_dir("tree/val/c/1.jpg"));
    f = open_data("ImageFolder");
    NEW_DATA(&f, "data_dir", in_dir("tree"));
    must_refuse(&f, LT_STAGE_FIT, LT_EFORMAT, "tree/val/c holds no .jpg");
    close_data(&f);
    rmdir(in_dir("tree/val/c"));
    f = open_data("ImageFolder");
    NEW_DATA(&f, "data_dir", in_dir("tree"));
    must_set_up(&f, LT_STAGE_FIT);
    assert_null(lt_mock_load(f.mock, f.data->train_dataloader(f.ctx, f.self), 0, 4));
    assert_non_null(strstr(f.mock->error, "set crop, or resize to both sides"));
    close_data(&f);
}

static void test_corrupt_images(void **state) {
    (void)state;
    put_folders();
    const gold_record *file = file_of("small.jpg");
    put_file("tree/train/b/x.jpeg", file->data, (size_t)file->numel / 2);
    fixture f = open_data("ImageFolder");
    NEW_DATA(&f, "data_dir", in_dir("tree"), "resize", "[8, 8]");
    must_set_up(&f, LT_STAGE_FIT);
    assert_null(lt_mock_load(f.mock, f.data->train_dataloader(f.ctx, f.self), 0, 4));
    assert_int_equal(f.mock->code, LT_EFORMAT);
    assert_non_null(strstr(f.mock->error, "tree/train/b/x.jpeg"));
    close_data(&f);
    f = open_data("ImageFolder");
    NEW_DATA(&f, "data_dir", in_dir("tree"), "resize", "[8, 8]", "on_error", "skip");
    must_set_up(&f, LT_STAGE_FIT);
    const lt_loader *train = f.data->train_dataloader(f.ctx, f.self);
    const float *x = item_f32(load(&f, train, 0, 4), 0);
    assert_memory_equal(x + 2 * 192, x + 3 * 192, 192 * sizeof *x); /* the next one in its place */
    assert_non_null(strstr(f.mock->printed, "x.jpeg"));
    assert_non_null(strstr(f.mock->printed, "(1 such so far)"));
    load(&f, train, 0, 4);
    assert_null(strstr(f.mock->printed, "(2 such so far)"));
    put_text("tree/train/b/y.png", "");
    put_text("tree/train/a/1.JPG", "x");
    put_text("tree/train/a/deep/0.png", "\x89PNG\r\n\x1a\n");
    assert_null(lt_mock_load(f.mock, train, 0, 4));
    assert_non_null(strstr(f.mock->error, "none of the 4 images"));
    close_data(&f);
}

static void test_split_and_checkpoint(void **state) {
    (void)state;
    put_folders();
    fixture f = open_data("ImageFolder");
    NEW_DATA(&f, "data_dir", in_dir("tree"), "resize", "[4, 4]", "color", "grey", "val_fraction", "0.5");
    must_set_up(&f, LT_STAGE_FIT);
    const lt_loader *train = f.data->train_dataloader(f.ctx, f.self), *val = f.data->val_dataloader(f.ctx, f.self);
    assert_true(train->dataset->length == 2 && val->dataset->length == 2);
    const lt_batch *both[2] = {load(&f, train, 0, 2), load(&f, val, 0, 2)};
    assert_int_equal(both[0]->items[0].tensor->shape[1], 1);
    for (int a = 0; a < 4; a++) {
        for (int b = 0; b < a; b++) { /* four different images */
            assert_memory_not_equal(item_f32(both[a / 2], 0) + a % 2 * 16, item_f32(both[b / 2], 0) + b % 2 * 16, 16 * sizeof(float));
        }
    }
    lt_state_writer *out = lt_mock_writer(f.mock);
    assert_int_equal(f.data->save(f.ctx, f.self, out), LT_OK);
    assert_int_equal(f.data->load(f.ctx, f.self, lt_mock_reader(f.mock, out, 0)), LT_OK);
    void *first = f.self;
    mkdir(in_dir("tree/train/aa"), 0777);
    put_image("tree/train/aa/1.jpg", "small.jpg");
    NEW_DATA(&f, "data_dir", in_dir("tree"));
    must_set_up(&f, LT_STAGE_TEST);
    assert_int_equal(f.data->load(f.ctx, f.self, lt_mock_reader(f.mock, out, 0)), LT_ECONFIG);
    assert_non_null(strstr(f.mock->error, "class 1 is 'aa', in the checkpoint 'b'"));
    unlink(in_dir("tree/train/aa/1.jpg"));
    rmdir(in_dir("tree/train/aa"));
    f.data->release(f.ctx, first);
    close_data(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decoded_bytes_are_pillows), cmocka_unit_test(test_regions),
        cmocka_unit_test(test_transforms_are_torchvisions), cmocka_unit_test(test_fast_jpeg_is_close),
        cmocka_unit_test(test_damaged_images),            cmocka_unit_test(test_plans),
        cmocka_unit_test(test_order_of_folders),          cmocka_unit_test(test_folders_by_name),
        cmocka_unit_test(test_folders),                   cmocka_unit_test(test_random_transforms),
        cmocka_unit_test(test_refusals),                  cmocka_unit_test(test_corrupt_images),
        cmocka_unit_test(test_split_and_checkpoint),
    };
    return cmocka_run_group_tests_name("image_folder", tests, open_all, close_all);
}
