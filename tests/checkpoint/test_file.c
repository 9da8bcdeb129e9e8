/* Checkpoints: what is written comes back, in every dtype and shape; facts; plain HDF5; names; what is refused for writing. */
#include "ckpt_test.h"

static const lt_dtype dtypes[] = {LT_F64, LT_F32, LT_F16, LT_BF16, LT_I64, LT_I32, LT_U8, LT_BOOL};

static lth_snapshot *everything(void) {
    lth_snapshot *s = lth_snapshot_new();
    char path[400];
    const int64_t shapes[][LT_MAX_DIMS] = {{0}, {7}, {0}, {3, 5}, {2, 0, 3}, {1, 2, 1, 2, 1, 2, 1, 3}};
    const int32_t ndims[] = {0, 1, 1, 2, 3, 8};
    for (size_t d = 0; d < sizeof dtypes / sizeof *dtypes; d++) {
        for (size_t i = 0; i < sizeof ndims / sizeof *ndims; i++) {
            snprintf(path, sizeof path, "state_dict/%s/shape.%zu.weight", lth_dtype_name(dtypes[d]), i);
            add_noise(s, path, dtypes[d], ndims[i], shapes[i]);
        }
    }
    lth_snapshot_add_text(s, "texts/empty", "", NULL);
    lth_snapshot_add_text(s, "texts/one", "x", NULL);
    lth_snapshot_add_text(s, "texts/utf8", "Zürich \xe2\x82\xac \xf0\x9f\x8e\x89\n\ttabs ", NULL);
    lth_snapshot_add_text(s, "texts/na.me.with..dots", "...", NULL);
    lth_snapshot_add_text(s, "texts/Größe %2F", "name in UTF-8", NULL);
    lth_snapshot_add_i64(s, "deep/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p", -1, NULL);
    lth_snapshot_add_f64(s, "deep/a/b/value", 0.1, NULL);
    return s;
}

static void all_comes_back(void **state) {
    (void)state;
    lth_snapshot *s = everything(), *back = NULL;
    lth_ckpt_facts facts = some_facts(), found = {0};
    assert_good(lth_ckpt_write(in_folder("a.h5"), s, &facts, e));
    assert_good(lth_ckpt_verify(in_folder("a.h5"), NULL, e));
    assert_good(lth_ckpt_read(in_folder("a.h5"), &back, &found, e));
    assert_int_equal(lth_snapshot_count(s), lth_snapshot_count(back));
    for (size_t i = 0; i < lth_snapshot_count(s); i++) {
        assert_same_item(lth_snapshot_at(s, i), lth_snapshot_get(back, lth_snapshot_at(s, i)->path));
        if (strncmp(lth_snapshot_at(s, i)->path, "deep", 4) != 0) { /* there a dataset stands between groups */
            assert_string_equal(lth_snapshot_at(s, i)->path, lth_snapshot_at(back, i)->path);
        }
    }
    assert_int_equal(found.epoch, 3);
    assert_int_equal(found.global_step, 1234);
    assert_int_equal(found.batches, 5678);
    assert_true(found.score == 0.125 && found.has_score && !found.higher_is_better && !found.weights_only);
    assert_string_equal(found.monitor, "val_loss");
    lth_snapshot_free(s);
    lth_snapshot_free(back);
}

static void equal_snapshots_make_equal_files(void **state) {
    (void)state;
    size_t a, b;
    lth_snapshot *s = everything();
    lth_ckpt_facts facts = some_facts();
    assert_good(lth_ckpt_write(in_folder("a.h5"), s, &facts, e));
    sleep(1); /* a second later: no time may be in it */
    assert_good(lth_ckpt_write(in_folder("b.h5"), s, &facts, e));
    char *first = slurp(in_folder("a.h5"), &a), *second = slurp(in_folder("b.h5"), &b);
    assert_int_equal(a, b);
    assert_memory_equal(first, second, a);
    lth_free(first);
    lth_free(second);
    lth_snapshot_free(s);
}

static void facts_at_their_limits(void **state) {
    (void)state;
    lth_snapshot *s = lth_snapshot_new(), *back = NULL;
    lth_ckpt_facts facts = {.epoch = INT64_MIN, .global_step = INT64_MAX, .batches = -1, .higher_is_better = true, .weights_only = true}, found;
    memset(facts.monitor, 'm', sizeof facts.monitor); /* not closed: cut to 63 */
    assert_good(lth_ckpt_write(in_folder("a.h5"), s, &facts, e)); /* no items at all */
    assert_good(lth_ckpt_probe(in_folder("a.h5"), &found, e));
    assert_true(found.epoch == INT64_MIN && found.global_step == INT64_MAX && found.batches == -1);
    assert_true(!found.has_score && found.higher_is_better && found.weights_only);
    assert_int_equal(strlen(found.monitor), 63);
    assert_good(lth_ckpt_read(in_folder("a.h5"), &back, NULL, e));
    assert_int_equal(lth_snapshot_count(back), 0);
    lth_snapshot_free(back);
    assert_good(lth_ckpt_write(in_folder("a.h5"), s, NULL, e));
    lth_snapshot_free(s);
}

static void order_of_many_members(void **state) {
    (void)state;
    lth_snapshot *s = lth_snapshot_new(), *back = NULL;
    char path[100];
    for (int i = 0; i < 3000; i++) { /* beyond what HDF5 keeps inside a group's header */
        snprintf(path, sizeof path, "state_dict/layers.%d.weight", (i * 7919) % 3000);
        add_noise(s, path, LT_F32, 1, (int64_t[]){i % 5});
    }
    assert_good(lth_ckpt_write(in_folder("a.h5"), s, NULL, e));
    assert_good(lth_ckpt_read(in_folder("a.h5"), &back, NULL, e));
    assert_int_equal(lth_snapshot_count(back), 3000);
    for (size_t i = 0; i < 3000; i++) {
        assert_same_item(lth_snapshot_at(s, i), lth_snapshot_at(back, i));
    }
    lth_snapshot_free(s);
    lth_snapshot_free(back);
}

static void large_items_go_in_slabs(void **state) {
    (void)state;
    lth_snapshot *s = lth_snapshot_new(), *back = NULL;
    add_noise(s, "state_dict/big", LT_F32, 2, (int64_t[]){1024, 5001}); /* 20 MB: two slabs and a rest */
    add_noise(s, "state_dict/exact", LT_U8, 1, (int64_t[]){8 << 20});
    add_noise(s, "state_dict/more", LT_U8, 1, (int64_t[]){(8 << 20) + 1});
    assert_good(lth_ckpt_write(in_folder("a.h5"), s, NULL, e));
    assert_good(lth_ckpt_read(in_folder("a.h5"), &back, NULL, e));
    for (size_t i = 0; i < 3; i++) {
        assert_same_item(lth_snapshot_at(s, i), lth_snapshot_at(back, i));
    }
    lth_snapshot_free(s);
    lth_snapshot_free(back);
}

static void replaces_a_file_whole(void **state) {
    (void)state;
    lth_snapshot *s = small_snapshot(1), *t = small_snapshot(2), *back = NULL;
    assert_good(lth_ckpt_write(in_folder("last.h5"), s, NULL, e));
    assert_good(lth_ckpt_write(in_folder("last.h5"), t, NULL, e));
    assert_good(lth_ckpt_read(in_folder("last.h5"), &back, NULL, e));
    assert_int_equal(lth_snapshot_i64(back, "loops/fit/global_step", 0), 2);
    assert_int_equal(count_files(folder, false), 1);
    lth_snapshot_free(s);
    lth_snapshot_free(t);
    lth_snapshot_free(back);
}

static void plain_hdf5_has_no_header(void **state) {
    (void)state;
    size_t size;
    lth_snapshot *s = small_snapshot(1), *back = NULL;
    lth_error err = {0};
    assert_good(lth_h5_write(in_folder("p.h5"), s, e));
    char *data = slurp(in_folder("p.h5"), &size);
    assert_memory_equal(data, "\x89HDF\r\n\x1a\n", 8);
    assert_int_equal(lth_ckpt_read(in_folder("p.h5"), &back, NULL, &err), LT_EFORMAT);
    assert_contains(err.text, "it is an HDF5 file made elsewhere");
    assert_null(back);
    lth_free(data);
    lth_snapshot_free(s);
}

static void unfit_items_are_refused(void **state) {
    (void)state;
    char path[200] = "d";
    lth_error err = {0};
    lth_snapshot *s = lth_snapshot_new();
    lth_snapshot_add(s, "text", 0, 1, (int64_t[]){3}, "a\0b", NULL);
    assert_int_equal(lth_ckpt_write(in_folder("a.h5"), s, NULL, &err), LT_EINVAL);
    assert_contains(err.text, "zero byte");
    lth_snapshot_free(s);
    s = lth_snapshot_new();
    for (int i = 0; i < 33; i++) {
        snprintf(path + strlen(path), 8, "/d");
    }
    lth_snapshot_add_i64(s, path, 1, NULL);
    err = (lth_error){0};
    assert_int_equal(lth_ckpt_write(in_folder("a.h5"), s, NULL, &err), LT_EINVAL);
    assert_contains(err.text, "more than 32 parts");
    lth_snapshot_free(s);
    assert_int_equal(count_files(folder, false), 0);
}

static void deepest_path_that_is_taken_comes_back(void **state) {
    (void)state;
    char path[200] = "d";
    lth_snapshot *s = lth_snapshot_new(), *back = NULL;
    for (int i = 0; i < 31; i++) {
        snprintf(path + strlen(path), 8, "/d");
    }
    lth_snapshot_add_i64(s, path, 5, NULL);
    assert_good(lth_ckpt_write(in_folder("a.h5"), s, NULL, e));
    assert_good(lth_ckpt_read(in_folder("a.h5"), &back, NULL, e));
    assert_int_equal(lth_snapshot_i64(back, path, 0), 5);
    lth_snapshot_free(s);
    lth_snapshot_free(back);
}

/* Left by a killed process: swept a minute later, but not while locked or young. */
static void leftovers_are_swept(void **state) {
    (void)state;
    lth_snapshot *s = small_snapshot(1);
    const struct timespec old[2] = {{.tv_sec = 1000000}, {.tv_sec = 1000000}};
    dump(in_folder(".x.h5.1-1.ckpt-tmp"), "x", 1);
    dump(in_folder(".y.h5.1-1.ckpt-tmp"), "x", 1);
    assert_int_equal(utimensat(AT_FDCWD, in_folder(".x.h5.1-1.ckpt-tmp"), old, 0), 0);
    assert_good(lth_ckpt_write(in_folder("a.h5"), s, NULL, e));
    assert_false(lth_path_exists(in_folder(".x.h5.1-1.ckpt-tmp")));
    assert_true(lth_path_exists(in_folder(".y.h5.1-1.ckpt-tmp")));
    unlink(in_folder(".y.h5.1-1.ckpt-tmp"));
    lth_snapshot_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(all_comes_back), TEST(equal_snapshots_make_equal_files), TEST(facts_at_their_limits), TEST(order_of_many_members),
        TEST(large_items_go_in_slabs), TEST(replaces_a_file_whole), TEST(plain_hdf5_has_no_header), TEST(unfit_items_are_refused),
        TEST(deepest_path_that_is_taken_comes_back), TEST(leftovers_are_swept)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
