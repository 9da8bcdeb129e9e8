/* Snapshots: order, lookup, what is refused, and that pointers stay. */
#include "base_test.h"
#include "base/snapshot.h"
#include <math.h>
#include <stdio.h>

static void values_come_back(void **state) {
    (void)state;
    lth_snapshot *s = lth_snapshot_new();
    float weights[6] = {1, 2, 3, 4, 5, 6};
    lth_error err = {0};
    assert_int_equal(lth_snapshot_add(s, "state_dict/fc.weight", LT_F32, 2, (int64_t[]){2, 3}, weights, &err), LT_OK);
    assert_int_equal(lth_snapshot_add_i64(s, "loops/epoch", INT64_MIN, &err), LT_OK);
    assert_int_equal(lth_snapshot_add_f64(s, "best", NAN, &err), LT_OK);
    assert_int_equal(lth_snapshot_add_text(s, "config", "a: b\n", &err), LT_OK);
    assert_int_equal(lth_snapshot_add_text(s, "empty", "", &err), LT_OK);
    memset(weights, 0, sizeof weights); /* it has copies */
    const lth_item *item = lth_snapshot_get(s, "state_dict/fc.weight");
    assert_int_equal(item->dtype, LT_F32);
    assert_int_equal(item->ndim, 2);
    assert_int_equal(item->shape[1], 3);
    assert_int_equal(item->size, 24);
    assert_true(((const float *)item->data)[5] == 6.0f);
    assert_int_equal(lth_snapshot_i64(s, "loops/epoch", 0), INT64_MIN);
    assert_true(isnan(lth_snapshot_f64(s, "best", 0)));
    assert_string_equal(lth_snapshot_text(s, "config", NULL), "a: b\n");
    assert_string_equal(lth_snapshot_text(s, "empty", NULL), "");
    assert_int_equal(lth_snapshot_get(s, "empty")->size, 0);
    assert_int_equal(lth_snapshot_count(s), 5);
    assert_string_equal(lth_snapshot_at(s, 1)->path, "loops/epoch");
    assert_null(lth_snapshot_at(s, 5));
    lth_snapshot_free(s);
    lth_snapshot_free(NULL);
}

static void fallbacks(void **state) {
    (void)state;
    lth_snapshot *s = lth_snapshot_new();
    assert_null(lth_snapshot_get(s, "x"));
    assert_int_equal(lth_snapshot_i64(s, "x", 7), 7);
    lth_snapshot_add_text(s, "text", "5", NULL);
    lth_snapshot_add(s, "vector", LT_I64, 1, (int64_t[]){1}, &(int64_t){3}, NULL);
    lth_snapshot_add(s, "half", LT_F32, 0, NULL, &(float){0.5f}, NULL);
    lth_snapshot_add(s, "flag", LT_BOOL, 0, NULL, &(bool){true}, NULL);
    lth_snapshot_add(s, "group/x", LT_I32, 0, NULL, &(int32_t){-3}, NULL);
    assert_int_equal(lth_snapshot_i64(s, "text", 7), 7);
    assert_int_equal(lth_snapshot_i64(s, "vector", 7), 7);
    assert_int_equal(lth_snapshot_i64(s, "half", 7), 7);
    assert_int_equal(lth_snapshot_i64(s, "flag", 7), 1);
    assert_int_equal(lth_snapshot_i64(s, "group/x", 7), -3);
    assert_true(lth_snapshot_f64(s, "half", 7) == 0.5);
    assert_true(lth_snapshot_f64(s, "group/x", 7) == -3.0);
    assert_true(lth_snapshot_f64(s, "text", 7) == 7.0);
    assert_string_equal(lth_snapshot_text(s, "flag", "no"), "no");
    assert_null(lth_snapshot_get(s, "group"));
    lth_snapshot_free(s);
}

static void assert_refused(lth_snapshot *s, const char *path, const char *why) {
    lth_error err = {0};
    size_t count = lth_snapshot_count(s);
    assert_int_equal(lth_snapshot_add_i64(s, path, 1, &err), LT_EINVAL);
    assert_contains(err.text, why);
    assert_int_equal(lth_snapshot_count(s), count);
}

static void paths_that_are_refused(void **state) {
    (void)state;
    lth_snapshot *s = lth_snapshot_new();
    assert_int_equal(lth_snapshot_add_i64(s, "a/b/c", 1, NULL), LT_OK);
    assert_int_equal(lth_snapshot_add_i64(s, "a/b.", 1, NULL), LT_OK);
    assert_refused(s, "a/b/c", "there already");
    assert_refused(s, "a/b", "a group already");
    assert_refused(s, "a", "a group already");
    assert_refused(s, "a/b/c/d", "lies below \"a/b/c\"");
    static const char *const malformed[] = {"", "/", "/a", "x/", "x//y", ".", "x/..", "../x"};
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
        assert_refused(s, malformed[i], "empty, \".\" or \"..\"");
    }
    lth_snapshot_free(s);
}

static void shapes_that_are_refused(void **state) {
    (void)state;
    lth_snapshot *s = lth_snapshot_new();
    lth_error err = {0};
    int64_t huge[8] = {INT64_MAX, INT64_MAX, 8, 1, 1, 1, 1, 1}, negative[1] = {-1};
    assert_null(lth_snapshot_reserve(s, "x", 99, 0, NULL, &err));
    assert_int_equal(err.code, LT_EDTYPE);
    lth_error_clear(&err);
    assert_null(lth_snapshot_reserve(s, "x", LT_F32, 9, huge, &err));
    assert_int_equal(err.code, LT_EINVAL);
    lth_error_clear(&err);
    assert_null(lth_snapshot_reserve(s, "x", LT_F32, 1, negative, &err));
    assert_int_equal(err.code, LT_EINVAL);
    lth_error_clear(&err);
    assert_null(lth_snapshot_reserve(s, "x", LT_F32, 8, huge, &err));
    assert_int_equal(err.code, LT_ENOMEM);
    lth_error_clear(&err);
    assert_int_equal(lth_snapshot_add_text(s, "x", NULL, &err), LT_EINVAL);
    huge[2] = 0; /* nothing in it, whatever the others say */
    assert_non_null(lth_snapshot_reserve(s, "x", LT_F32, 8, huge, NULL));
    assert_int_equal(lth_snapshot_get(s, "x")->size, 0);
    lth_snapshot_free(s);
}

static void thousands_of_items_and_steady_pointers(void **state) {
    (void)state;
    enum { COUNT = 5000 };
    lth_snapshot *s = lth_snapshot_new();
    const lth_item *first = NULL;
    char path[64];
    for (int64_t i = 0; i < COUNT; i++) {
        snprintf(path, sizeof path, "group%d/item%d", (int)(i % 50), (int)i);
        unsigned char *memory = lth_snapshot_reserve(s, path, LT_U8, 1, &(int64_t){i % 200}, NULL);
        assert_non_null(memory);
        memset(memory, (int)i, (size_t)(i % 200));
        first = i == 0 ? lth_snapshot_at(s, 0) : first;
    }
    assert_ptr_equal(first, lth_snapshot_get(s, "group0/item0"));
    for (int64_t i = 0; i < COUNT; i++) {
        snprintf(path, sizeof path, "group%d/item%d", (int)(i % 50), (int)i);
        const lth_item *item = lth_snapshot_get(s, path);
        assert_ptr_equal(item, lth_snapshot_at(s, (size_t)i));
        assert_int_equal(item->size, i % 200);
        for (size_t j = 0; j < item->size; j++) {
            assert_int_equal(((const unsigned char *)item->data)[j], (unsigned char)i);
        }
    }
    lth_snapshot_free(s);
}

static void texts_of_a_known_length(void **state) {
    (void)state;
    lth_snapshot *s = lth_snapshot_new();
    for (int64_t length = 60; length < 70; length++) { /* around the size from which data has a block of its own */
        char path[16];
        snprintf(path, sizeof path, "t%d", (int)length);
        char *memory = lth_snapshot_reserve(s, path, 0, 1, &length, NULL);
        memset(memory, 'x', (size_t)length);
        assert_int_equal(strlen(lth_snapshot_text(s, path, "")), length);
        assert_int_equal(lth_snapshot_get(s, path)->ndim, 0);
    }
    lth_snapshot_free(s);
}

static void names_are_escaped(void **state) {
    (void)state;
    char out[64], small[6];
    lth_snapshot_escape("ModelCheckpoint{'monitor': 'a/b', 50%}\n", out, sizeof out);
    assert_string_equal(out, "ModelCheckpoint{'monitor': 'a%2Fb', 50%25}%0A");
    lth_snapshot_escape("..", out, sizeof out);
    assert_string_equal(out, "%2E%2E");
    lth_snapshot_escape("a.b", out, sizeof out);
    assert_string_equal(out, "a.b");
    lth_snapshot_escape("\xc3\xa4", out, sizeof out);
    assert_string_equal(out, "\xc3\xa4");
    lth_snapshot_escape("abc/d", small, sizeof small); /* no half escapes */
    assert_string_equal(small, "abc");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(values_come_back), TEST(fallbacks), TEST(paths_that_are_refused), TEST(shapes_that_are_refused),
        TEST(thousands_of_items_and_steady_pointers), TEST(texts_of_a_known_length), TEST(names_are_escaped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
