/* Hashes against published vectors; streaming gives what one call gives. */
#include "base_test.h"
#include "base/fs.h"
#include "base/hash.h"
#include <stdio.h>
#include <unistd.h>

static void assert_sha(const char *data, size_t size, size_t part, const char *expected) {
    lth_sha256 sha;
    char hex[65];
    lth_sha256_init(&sha);
    for (size_t at = 0; at < size; at += part) {
        lth_sha256_add(&sha, data + at, size - at < part ? size - at : part);
    }
    lth_sha256_end(&sha, hex);
    assert_string_equal(hex, expected);
}

static void sha256_vectors(void **state) {
    (void)state;
    const char *two_blocks = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    assert_sha("", 0, 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_sha("abc", 3, 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_sha(two_blocks, 56, 56, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    char *million = lth_alloc(1000000);
    memset(million, 'a', 1000000);
    static const size_t parts[] = {1000000, 64, 63, 65, 997};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        assert_sha(million, 1000000, parts[i], "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    }
    lth_free(million);
}

/* Lengths around the padding's edge, against a second way of feeding. */
static void sha256_lengths(void **state) {
    (void)state;
    char data[200], whole[65];
    memset(data, 'q', sizeof data);
    for (size_t size = 0; size < sizeof data; size++) {
        lth_sha256 sha;
        lth_sha256_init(&sha);
        lth_sha256_add(&sha, data, size);
        lth_sha256_end(&sha, whole);
        assert_sha(data, size, 1, whole);
    }
}

static void xxh3_vectors(void **state) {
    (void)state;
    char hex[33];
    lth_hash_hex(lth_hash("", 0), hex);
    assert_string_equal(hex, "99aa06d3014798d86001c324468d497f");
    lth_hash_hex(lth_hash("abc", 3), hex);
    assert_string_equal(hex, "06b05ab6733a618578af5f94892f3950");
}

static void streaming_equals_one_call(void **state) {
    (void)state;
    enum { SIZE = 100000 };
    char *data = lth_alloc(SIZE);
    for (size_t i = 0; i < SIZE; i++) {
        data[i] = (char)(i * i >> 3);
    }
    static const size_t parts[] = {1, 7, 256, 4096, SIZE};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        lth_hasher *hasher = lth_hasher_new();
        for (size_t at = 0; at < SIZE; at += parts[i]) {
            lth_hasher_add(hasher, data + at, SIZE - at < parts[i] ? SIZE - at : parts[i]);
        }
        lth_hash128 streamed = lth_hasher_end(hasher), whole = lth_hash(data, SIZE);
        assert_true(streamed.high == whole.high && streamed.low == whole.low);
    }
    lth_free(data);
}

static void files(void **state) {
    (void)state;
    char path[] = "/tmp/lthost-hash-XXXXXX", *data = lth_alloc(3 << 20);
    lth_error err = {0};
    lth_hash128 hash, whole;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    data[12345] = 1;
    assert_int_equal(lth_write_file(path, data, 3 << 20, &err), LT_OK);
    assert_int_equal(lth_hash_file(path, &hash, &err), LT_OK);
    whole = lth_hash(data, 3 << 20);
    assert_true(hash.high == whole.high && hash.low == whole.low);
    unlink(path);
    assert_int_equal(lth_hash_file(path, &hash, &err), LT_EABSENT);
    assert_contains(err.text, path);
    lth_error_clear(&err);
    lth_alloc_budget(1);
    assert_int_equal(lth_hash_file("/proc/self/exe", &hash, &err), LT_ENOMEM);
    lth_alloc_budget(-1);
    lth_free(data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(sha256_vectors), TEST(sha256_lengths), TEST(xxh3_vectors), TEST(streaming_equals_one_call), TEST(files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
