/* tests/plugins/test_cifar10.c - CIFAR10 on files made here: pixels, parts, random crops, the archive, damaged files. */
#include "../../plugins/cifar10/files.h"
#include "../../plugins/shared/pixels.h"
#include "data_test.h"
#include <sys/stat.h>
#include <zlib.h>

enum { PER_FILE = 12 };
static uint8_t records[6][PER_FILE * CIFAR_RECORD];

/* Image i has label i % 10 and pixels that tell file, image, channel, row and column. */
static void make_records(void) {
    for (int f = 0; f < 6; f++) {
        for (int i = 0; i < PER_FILE; i++) {
            uint8_t *at = records[f] + i * CIFAR_RECORD;
            at[0] = (uint8_t)((f * PER_FILE + i) % 10);
            for (int k = 0; k < CIFAR_PIXELS; k++) {
                at[1 + k] = (uint8_t)(1 + (k % 32 * 7 + k / 32 * 3 + f * 40 + i * 3) % 255);
            }
        }
    }
}

static const char *name_of(int f) {
    static char name[64];
    if (f == 5) {
        return "cifar/test_batch.bin";
    }
    snprintf(name, sizeof name, "cifar/data_batch_%d.bin", f + 1);
    return name;
}

static void put_files(void) {
    mkdir(in_dir("cifar"), 0777);
    make_records();
    for (int f = 0; f < 6; f++) {
        put_file(name_of(f), records[f], sizeof records[f]);
    }
}

static void test_pixels_and_labels(void **state) {
    (void)state;
    put_files();
    fixture f = open_data("CIFAR10");
    NEW_DATA(&f, "data_dir", in_dir("cifar"), "val_size", "0", "mean", "[0.4914, 0.4822, 0.4465]", "std", "[0.2470, 0.2435, 0.2616]");
    must_set_up(&f, LT_STAGE_FIT);
    const lt_loader *train = f.data->train_dataloader(f.ctx, f.self);
    assert_int_equal(train->dataset->length, 5 * PER_FILE);
    const lt_batch *batch = load(&f, train, 0, 5 * PER_FILE);
    static const float mean[] = {0.4914f, 0.4822f, 0.4465f}, std[] = {0.2470f, 0.2435f, 0.2616f};
    for (int i = 0; i < 5 * PER_FILE; i++) {
        const uint8_t *record = records[i / PER_FILE] + i % PER_FILE * CIFAR_RECORD;
        assert_int_equal(item_i64(batch, 1)[i], record[0]);
        for (int k = 0; k < CIFAR_PIXELS; k++) {
            float x = ((float)record[1 + k] / 255.0f - mean[k / 1024]) / std[k / 1024];
            assert_true(item_f32(batch, 0)[i * CIFAR_PIXELS + k] == x);
        }
    }
    close_data(&f);
    f = open_data("CIFAR10");
    NEW_DATA(&f, "data_dir", in_dir("cifar"));
    must_set_up(&f, LT_STAGE_TEST);
    batch = load(&f, f.data->test_dataloader(f.ctx, f.self), 0, PER_FILE);
    assert_true(item_f32(batch, 0)[0] == (float)records[5][1] / 255.0f);
    close_data(&f);
}

/* Every window that padding and flip can give, and no other; each of them comes. */
static void test_random_windows(void **state) {
    (void)state;
    put_files();
    fixture f = open_data("CIFAR10");
    NEW_DATA(&f, "data_dir", in_dir("cifar"), "val_size", "20", "padding", "1", "flip", "0.5");
    must_set_up(&f, LT_STAGE_FIT);
    lt_loader *train = f.data->train_dataloader(f.ctx, f.self), *val = f.data->val_dataloader(f.ctx, f.self);
    assert_true(train->dataset->length == 40 && val->dataset->length == 20);
    int64_t seen[18] = {0}, indices[400] = {0};
    lt_batch_out *out = lt_mock__get(f.mock, sizeof *out);
    assert_int_equal(train->dataset->desc.get_batch(f.ctx, train->dataset->desc.data, indices, 400, out), LT_OK);
    const float *x = item_f32(&out->batch, 0);
    for (int i = 0; i < 400; i++) {
        int matches = 0;
        for (int w = 0; w < 18; w++) {
            int top = w / 6 - 1, left = w / 2 % 3 - 1, flip = w % 2;
            bool same = true;
            for (int k = 0; k < CIFAR_PIXELS && same; k++) {
                int y = k / 32 % 32 + top, at = flip ? 31 - k % 32 : k % 32, column = at + left;
                uint8_t byte = y >= 0 && y < 32 && column >= 0 && column < 32 ? records[0][1 + k / 1024 * 1024 + y * 32 + column] : 0;
                same = x[i * CIFAR_PIXELS + k] == (float)byte / 255.0f;
            }
            matches += same;
            seen[w] += same;
        }
        assert_int_equal(matches, 1);
    }
    for (int w = 0; w < 18; w++) {
        assert_true(seen[w] > 5); /* 22 expected */
    }
    const float *v = item_f32(load(&f, val, 0, 1), 0); /* not touched */
    assert_true(v[0] == (float)records[val->dataset->start / PER_FILE][val->dataset->start % PER_FILE * CIFAR_RECORD + 1] / 255.0f);
    close_data(&f);
}

static void test_scales(void **state) {
    (void)state;
    uint8_t bytes[256 + 7];
    float out[256 + 7];
    for (int b = 0; b < 263; b++) {
        bytes[b] = (uint8_t)b;
    }
    for (int round = 0; round < 2000; round++) {
        pixel_scale scale;
        double mean = round % 40 * 0.025, std = 0.01 + round / 40 * 0.037;
        pixel_scale_init(&scale, mean, std);
        pixel_scale_run(&scale, out, bytes, 263);
        for (int b = 0; b < 263; b++) {
            assert_true(out[b] == ((float)(b % 256) / 255.0f - (float)mean) / (float)std);
        }
    }
}

static void test_refusals(void **state) {
    (void)state;
    put_files();
    static const struct {
        int file;
        size_t size;
        int label;
        const char *text;
    } cases[] = {
        {2, CIFAR_RECORD * 3 - 1, -1, "data_batch_3.bin has 9218 bytes, no multiple of 3073"},
        {4, 0, -1, "data_batch_5.bin has 0 bytes"},
        {1, CIFAR_RECORD * 2, 10, "data_batch_2.bin: image 1 has label 10, labels are 0 to 9"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put_files();
        records[cases[i].file][CIFAR_RECORD] = cases[i].label < 0 ? 0 : (uint8_t)cases[i].label;
        put_file(name_of(cases[i].file), records[cases[i].file], cases[i].size);
        fixture f = open_data("CIFAR10");
        NEW_DATA(&f, "data_dir", in_dir("cifar"));
        must_refuse(&f, LT_STAGE_FIT, LT_EFORMAT, cases[i].text);
        close_data(&f);
    }
    put_files();
    fixture f = open_data("CIFAR10");
    NEW_DATA(&f, "data_dir", in_dir("cifar"), "val_size", "60");
    must_refuse(&f, LT_STAGE_FIT, LT_ECONFIG, "val_size is 60: there are only 60");
    close_data(&f);
    f = open_data("CIFAR10");
    NEW_DATA(&f, "data_dir", in_dir("cifar"), "mean", "[0.5]");
    must_refuse(&f, LT_STAGE_FIT, LT_ECONFIG, "three numbers");
    close_data(&f);
    f = open_data("CIFAR10");
    NEW_DATA(&f, "data_dir", in_dir("."));
    must_refuse(&f, LT_STAGE_FIT, LT_EABSENT, "no test_batch.bin");
    close_data(&f);
}

/* ---- the archive, made by tar ---- */

static void make_archive(void) {
    char command[512];
    put_files();
    snprintf(command, sizeof command, "cd '%s' && rm -rf b && mkdir -p b/cifar-10-batches-bin && cp cifar/*.bin b/cifar-10-batches-bin && "
             "echo x > b/cifar-10-batches-bin/readme.html && tar -C b --format=ustar -czf a.tar.gz cifar-10-batches-bin && rm -rf u && mkdir u",
             test_dir);
    assert_int_equal(system(command), 0);
}

static void test_archive(void **state) {
    (void)state;
    char why[FILE_WHY_MAX], folder[FILE_PATH_MAX];
    make_archive();
    assert_int_equal(cifar_unpack(in_dir("a.tar.gz"), in_dir("u"), why), LT_OK);
    assert_true(cifar_find(in_dir("u"), true, folder));
    assert_true(cifar_find(in_dir("b"), true, folder)); /* the folder that tar makes is found, too */
    assert_int_not_equal(access(in_dir("u/readme.html"), F_OK), 0);
    cifar_part part = {0};
    assert_int_equal(cifar_open(&part, in_dir("u"), false, why), LT_OK);
    for (int i = 0; i < 60; i++) {
        assert_memory_equal(cifar_record(&part, i), records[i / PER_FILE] + i % PER_FILE * CIFAR_RECORD, CIFAR_RECORD);
    }
    cifar_close(&part);
}

/* A kill while unpacking: whichever file is missing, the archive is unpacked again. */
static void test_unpacking_goes_on(void **state) {
    (void)state;
    char why[FILE_WHY_MAX], folder[FILE_PATH_MAX], name[64];
    make_archive();
    for (int i = 0; i < 6; i++) {
        snprintf(name, sizeof name, "u/%s", name_of(i) + strlen("cifar/"));
        assert_int_equal(cifar_unpack(in_dir("a.tar.gz"), in_dir("u"), why), LT_OK);
        assert_true(cifar_find(in_dir("u"), true, folder));
        assert_int_equal(unlink(in_dir(name)), 0);
        assert_false(cifar_find(in_dir("u"), true, folder));
    }
    assert_int_equal(rename(in_dir("a.tar.gz"), in_dir("u/cifar-10-binary.tar.gz")), 0);
    fixture f = open_data("CIFAR10");
    NEW_DATA(&f, "data_dir", in_dir("u"), "download", "false", "val_size", "0");
    assert_int_equal(f.data->prepare_data(f.ctx, f.self), LT_OK);
    must_set_up(&f, LT_STAGE_FIT);
    close_data(&f);
}

/* Cut off between two of its files, it is not taken for whole. */
static void test_archive_cut_at_a_header(void **state) {
    (void)state;
    char why[FILE_WHY_MAX], command[512];
    make_archive();
    snprintf(command, sizeof command, "cd '%s' && gunzip -c a.tar.gz | head -c 512 | gzip > cut.tar.gz", test_dir);
    assert_int_equal(system(command), 0);
    assert_int_equal(cifar_unpack(in_dir("cut.tar.gz"), in_dir("u"), why), LT_EFORMAT);
    assert_non_null(strstr(why, "cut.tar.gz is damaged or cut off"));
}

/* Whatever is done to the archive: a status and a message, and a file that is there is complete. */
static void test_damaged_archives(void **state) {
    (void)state;
    static uint8_t bytes[1 << 20], copy[1 << 20];
    char why[FILE_WHY_MAX];
    make_archive();
    FILE *in = fopen(in_dir("a.tar.gz"), "rb");
    size_t size = fread(bytes, 1, sizeof bytes, in);
    fclose(in);
    uint32_t seed = 1, refused = 0;
    for (int round = 0; round < 400; round++) {
        size_t now = size;
        memcpy(copy, bytes, size);
        for (int n = 0; n <= round % 3; n++) {
            seed = seed * 1664525u + 1013904223u;
            size_t at = (seed >> 4) % size;
            if (seed >> 30) {
                copy[at] ^= (uint8_t)(1 << (seed >> 29));
            } else {
                now = at + 1;
            }
        }
        put_file("d.tar.gz", copy, now);
        why[0] = 0;
        lt_status status = cifar_unpack(in_dir("d.tar.gz"), in_dir("u"), why);
        assert_true(!status || strstr(why, "d.tar.gz"));
        refused += status != LT_OK;
    }
    assert_true(refused > 100);
    put_text("d.tar.gz", "no archive, but longer than a header of five hundred and twelve bytes is not needed");
    assert_int_equal(cifar_unpack(in_dir("absent.tar.gz"), in_dir("u"), why), LT_EABSENT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pixels_and_labels), cmocka_unit_test(test_random_windows), cmocka_unit_test(test_scales),
        cmocka_unit_test(test_refusals),          cmocka_unit_test(test_archive),        cmocka_unit_test(test_damaged_archives),
        cmocka_unit_test(test_unpacking_goes_on), cmocka_unit_test(test_archive_cut_at_a_header),
    };
    return cmocka_run_group_tests_name("cifar10", tests, make_dir, remove_dir);
}
