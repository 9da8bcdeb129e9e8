/* tests/plugins/test_idx.c - the IDX reader of the MNIST plugin: right files, wrong files, and 20000 damaged ones. Needs no data.
 * The reader is compiled in: plugins export nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../../plugins/mnist/idx.c"

static char dir[64], path[80], why[600];

static int make_dir(void **state) {
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/lt-idx-XXXXXX");
    if (!mkdtemp(dir)) {
        return -1;
    }
    snprintf(path, sizeof path, "%s/x", dir);
    return 0;
}

static int remove_dir(void **state) {
    (void)state;
    unlink(path);
    return rmdir(dir);
}

static void put(const void *bytes, size_t size) {
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, size, out), size);
    assert_int_equal(fclose(out), 0);
}

static void put_gz(const void *bytes, size_t size) {
    gzFile out = gzopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(gzwrite(out, bytes, (unsigned)size), (int)size);
    assert_int_equal(gzclose(out), Z_OK);
}

static size_t get(uint8_t *bytes, size_t size) {
    FILE *in = fopen(path, "rb");
    assert_non_null(in);
    size = fread(bytes, 1, size, in);
    fclose(in);
    return size;
}

/* 5 images of 3x4 whose bytes count up. */
enum { IMAGES = 16 + 5 * 12 };
static void make_images(uint8_t out[IMAGES]) {
    static const uint8_t header[16] = {0, 0, 8, 3, 0, 0, 0, 5, 0, 0, 0, 3, 0, 0, 0, 4};
    memcpy(out, header, sizeof header);
    for (int i = 16; i < IMAGES; i++) {
        out[i] = (uint8_t)(i - 16);
    }
}

static void check_images(void) {
    idx_array a;
    assert_int_equal(idx_open(&a, path, why, sizeof why), LT_OK);
    assert_int_equal(a.ndim, 3);
    assert_true(a.shape[0] == 5 && a.shape[1] == 3 && a.shape[2] == 4 && a.row == 12);
    for (int i = 0; i < 60; i++) {
        assert_int_equal(a.data[i], i);
    }
    idx_close(&a);
    idx_close(&a); /* twice is fine */
}

static void test_plain_and_gz(void **state) {
    (void)state;
    uint8_t bytes[IMAGES];
    make_images(bytes);
    put(bytes, sizeof bytes);
    check_images();
    put_gz(bytes, sizeof bytes);
    check_images();
}

static void refuse(lt_status code, const char *text) {
    idx_array a;
    assert_int_equal(idx_open(&a, path, why, sizeof why), code);
    if (!strstr(why, text) || !strstr(why, path)) {
        fail_msg("expected '%s' in '%s'", text, why);
    }
    assert_null(a.memory);
    assert_null(a.data);
}

static void test_wrong_files(void **state) {
    (void)state;
    static const struct {
        uint8_t at, value;
        const char *text;
    } changes[] = {
        {0, 1, "begins with 01 00"},
        {2, 13, "holds floats (IDX type 13)"},
        {2, 77, "elements of an unknown type"},
        {3, 0, "has 0 dimensions"},
        {3, 5, "has 5 dimensions"},
        {7, 0, "dimension 1 of 3 is 0"},
        {7, 6, "expected 88 bytes, found 76"},
        {7, 4, "too long: expected 64"},
        {4, 255, "truncated"},
    };
    uint8_t bytes[IMAGES];
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        make_images(bytes);
        bytes[changes[i].at] = changes[i].value;
        put(bytes, sizeof bytes);
        refuse(LT_EFORMAT, changes[i].text);
        if (changes[i].at != 7 || changes[i].value == 0) {
            continue;
        }
        put_gz(bytes, sizeof bytes); /* the same sizes, of decompressed data */
        refuse(LT_EFORMAT, changes[i].value == 6 ? "expected 88 bytes of decompressed data, found 76" : "does not end where it should");
    }
    memset(bytes + 4, 255, 12);
    bytes[2] = 8;
    put(bytes, sizeof bytes);
    refuse(LT_EFORMAT, "claims more than");
}

static void test_truncated_files(void **state) {
    (void)state;
    uint8_t bytes[IMAGES], packed[300];
    make_images(bytes);
    for (size_t size = 0; size < sizeof bytes; size++) {
        put(bytes, size);
        refuse(LT_EFORMAT, size == 0   ? "is empty"
                           : size < 4  ? "not even an IDX header"
                           : size < 16 ? "its header alone needs 16"
                                       : "is truncated");
    }
    put_gz(bytes, sizeof bytes);
    size_t whole = get(packed, sizeof packed);
    for (size_t size = 2; size < whole; size++) {
        put(packed, size);
        refuse(LT_EFORMAT, "; delete it");
    }
}

static void test_places_that_are_no_files(void **state) {
    (void)state;
    idx_array a;
    assert_int_equal(idx_open(&a, "/no/such/file", why, sizeof why), LT_EABSENT);
    assert_int_equal(idx_open(&a, dir, why, sizeof why), LT_EFORMAT);
    assert_non_null(strstr(why, "is no file"));
}

/* A header may promise terabytes: refused from the size of the compressed file, not tried. */
static void test_promises_do_not_allocate(void **state) {
    (void)state;
    uint8_t bytes[IMAGES];
    make_images(bytes);
    bytes[5] = 255; /* 16 million images */
    put_gz(bytes, sizeof bytes);
    refuse(LT_EFORMAT, "cannot hold them");
}

static uint32_t next(uint32_t *seed) { return *seed = *seed * 1664525u + 1013904223u; }

static void damage(uint8_t *bytes, size_t *size, uint32_t *seed) {
    for (uint32_t n = next(seed) >> 30; n != (uint32_t)-1; n--) {
        size_t at = (next(seed) >> 8) % *size;
        switch (next(seed) >> 29) {
        case 0:
            *size = at + 1;
            break;
        case 1:
            memmove(bytes + at, bytes + at / 2, *size - at);
            break;
        case 2:
            bytes[at] = 255;
            break;
        case 3:
            bytes[at % 16] = (uint8_t)(next(seed) >> 24);
            break;
        default:
            bytes[at] ^= (uint8_t)(1 << (next(seed) >> 29));
            break;
        }
    }
}

/* Whatever comes back, every byte that it claims can be read. The address sanitizer is the judge. */
static void test_damaged_files(void **state) {
    (void)state;
    uint8_t plain[IMAGES], packed[300], bytes[300];
    make_images(plain);
    put_gz(plain, sizeof plain);
    size_t packed_size = get(packed, sizeof packed);
    uint32_t seed = 1, accepted = 0;
    for (int round = 0; round < 20000; round++) {
        bool gz = round % 2;
        size_t size = gz ? packed_size : sizeof plain;
        memcpy(bytes, gz ? packed : plain, size);
        damage(bytes, &size, &seed);
        put(bytes, size);
        idx_array a;
        why[0] = 0;
        lt_status status = idx_open(&a, path, why, sizeof why);
        assert_true(status == LT_OK || (status == LT_EFORMAT && strstr(why, path)));
        if (status) {
            continue;
        }
        uint32_t sum = 0;
        for (int64_t i = 0; i < a.shape[0] * a.row; i++) {
            sum += a.data[i];
        }
        accepted += sum != 1;
        idx_close(&a);
    }
    assert_in_range(accepted, 100, 19000); /* both ways were taken */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_and_gz),
        cmocka_unit_test(test_wrong_files),
        cmocka_unit_test(test_truncated_files),
        cmocka_unit_test(test_places_that_are_no_files),
        cmocka_unit_test(test_promises_do_not_allocate),
        cmocka_unit_test(test_damaged_files),
    };
    return cmocka_run_group_tests_name("idx", tests, make_dir, remove_dir);
}
