/* tests/checkpoint/ckpt_test.h - what these tests share: a folder of their own, a snapshot with everything in it, comparing. */
#ifndef CKPT_TEST_H
#define CKPT_TEST_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"
#include "checkpoint/checkpoint.h"
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#define UNUSED __attribute__((unused))

static char folder[64];
static int64_t live_before;

static UNUSED const char *in_folder(const char *name) {
    static char paths[4][512];
    static unsigned at;
    char *path = paths[at++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static UNUSED void load_module(void) {
    lth_error err = {0};
    setenv("LTHOST_LIBRARY_PATH", BUILD_DIR, 1);
    lth_snapshot *s = lth_snapshot_new();
    lth_h5_write(in_folder("first.h5"), s, &err);
    if (err.code) {
        fail_msg("%s", err.text);
    }
    unlink(in_folder("first.h5"));
    lth_snapshot_free(s);
}

/* Setup of a test: a fresh folder, the module loaded, blocks counted. */
static UNUSED int start(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/lthost-ckpt-XXXXXX");
    if (!mkdtemp(folder)) {
        return -1;
    }
    load_module();
    live_before = lth_alloc_live();
    return 0;
}

static UNUSED size_t count_files(const char *dir, bool hidden) {
    DIR *list = opendir(dir);
    size_t count = 0;
    for (struct dirent *entry; list && (entry = readdir(list));) {
        count += (entry->d_name[0] == '.') == hidden && strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    }
    closedir(list);
    return count;
}

/* Teardown: nothing allocated is left, and no temporary file. */
static UNUSED int finish(void **state) {
    (void)state;
    lth_alloc_budget(-1);
    size_t left = count_files(folder, true);
    DIR *list = opendir(folder);
    for (struct dirent *entry; list && (entry = readdir(list));) {
        unlinkat(dirfd(list), entry->d_name, 0);
    }
    closedir(list);
    rmdir(folder);
    return lth_alloc_live() == live_before && left == 0 ? 0 : -1;
}
#define TEST(function) cmocka_unit_test_setup_teardown(function, start, finish)

#define assert_contains(text, part) \
    do { \
        if (!strstr((text), (part))) { \
            fail_msg("\"%s\" does not contain \"%s\"", (text), (part)); \
        } \
    } while (0)
#define assert_good(call) \
    do { \
        lth_error err_ = {0}; \
        lth_error *e = &err_; \
        if ((call) != LT_OK) { \
            fail_msg("%s: %s", #call, err_.text); \
        } \
    } while (0)

static UNUSED lth_ckpt_facts some_facts(void) {
    return (lth_ckpt_facts){.epoch = 3, .global_step = 1234, .batches = 5678, .score = 0.125, .has_score = true, .weights_only = false, .monitor = "val_loss"};
}

/* Deterministic bytes. */
static UNUSED uint64_t next_random(uint64_t *seed) {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static UNUSED void add_noise(lth_snapshot *s, const char *path, lt_dtype dtype, int32_t ndim, const int64_t *shape) {
    uint64_t seed = 88172645463325252u;
    lth_error err = {0};
    unsigned char *to = lth_snapshot_reserve(s, path, dtype, ndim, shape, &err);
    if (!to) {
        fail_msg("%s", err.text);
    }
    for (size_t i = 0; i < lth_snapshot_get(s, path)->size; i++) {
        to[i] = (unsigned char)(dtype == LT_BOOL ? next_random(&seed) & 1 : next_random(&seed));
    }
}

static UNUSED lth_snapshot *small_snapshot(int64_t step) {
    lth_snapshot *s = lth_snapshot_new();
    add_noise(s, "state_dict/layer.0.weight", LT_F32, 2, (int64_t[]){4, 3});
    add_noise(s, "state_dict/layer.0.bias", LT_F32, 1, (int64_t[]){4});
    assert_int_equal(lth_snapshot_add_i64(s, "loops/fit/global_step", step, NULL), LT_OK);
    assert_int_equal(lth_snapshot_add_text(s, "config", "a: b\n", NULL), LT_OK);
    return s;
}

static UNUSED void assert_same_item(const lth_item *a, const lth_item *b) {
    assert_non_null(a);
    assert_non_null(b);
    assert_string_equal(a->path, b->path);
    assert_int_equal(a->dtype, b->dtype);
    assert_int_equal(a->ndim, b->ndim);
    assert_int_equal(a->size, b->size);
    assert_memory_equal(a->shape, b->shape, (size_t)a->ndim * sizeof *a->shape);
    if (a->size) {
        assert_memory_equal(a->data, b->data, a->size);
    }
}

static UNUSED char *slurp(const char *path, size_t *size) {
    char *data = NULL;
    lth_error err = {0};
    if (lth_read_file(path, 1 << 30, &data, size, &err) != LT_OK) {
        fail_msg("%s", err.text);
    }
    return data;
}

/* Plain, without fsync: for the loops over thousands of damaged files. A new file each time: ext4 writes a truncated one out at close. */
static UNUSED void dump(const char *path, const void *data, size_t size) {
    unlink(path);
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(data, 1, size, out), size);
    fclose(out);
}
#endif
