/* tests/plugins/data_test.h - a datamodule under the mock host: its sources are linked into the test (tests.cmake). For the tests of data
 * plugins; files they need are made in a folder of their own. */
#ifndef DATA_TEST_H
#define DATA_TEST_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <lt/testing.h>
#include <unistd.h>

typedef struct fixture {
    lt_mock *mock;
    lt_ctx *ctx;
    const lt_datamodule *data;
    void *self;
} fixture;

static char test_dir[64];

static inline int make_dir(void **state) {
    (void)state;
    snprintf(test_dir, sizeof test_dir, "/tmp/lt-data-XXXXXX");
    return mkdtemp(test_dir) ? 0 : -1;
}

static inline int remove_dir(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r '%s'", test_dir);
    return system(command);
}

/* The folder's file of that name; valid until the eighth call after. */
static inline const char *in_dir(const char *name) {
    static char paths[8][256];
    static int next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", test_dir, name);
    return path;
}

static inline const char *put_file(const char *name, const void *bytes, size_t size) {
    const char *path = in_dir(name);
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, size, out), size);
    assert_int_equal(fclose(out), 0);
    return path;
}
static inline const char *put_text(const char *name, const char *text) { return put_file(name, text, strlen(text)); }

static inline fixture open_data(const char *id) {
    fixture f = {.mock = lt_mock_open(lt_plugin_entry_v1)};
    assert_non_null(f.mock);
    f.ctx = lt_mock_ctx(f.mock);
    f.data = lt_mock_component(f.mock, "lt.datamodule/1", id);
    assert_non_null(f.data);
    return f;
}

static inline lt_status set_up(fixture *f, lt_stage stage) {
    f->mock->moment.stage = stage;
    lt_status status = f->data->setup(f->ctx, f->self);
    return status;
}

static inline void must_set_up(fixture *f, lt_stage stage) {
    if (set_up(f, stage)) {
        fail_msg("%s", f->mock->error);
    }
}

/* setup fails with that code and says that text. */
static inline void must_refuse(fixture *f, lt_stage stage, lt_status code, const char *text) {
    lt_status status = set_up(f, stage);
    if (status != code || !strstr(f->mock->error, text)) {
        fail_msg("expected %d '%s', got %d '%s'", code, text, status, f->mock->error);
    }
}

static inline void close_data(fixture *f) {
    if (f->data->release) {
        f->data->release(f->ctx, f->self);
        f->data->release(f->ctx, f->self); /* twice is fine */
    }
    lt_mock_close(f->mock);
}

static inline const lt_batch *load(fixture *f, const lt_loader *loader, int64_t first, int64_t count) {
    assert_non_null(loader);
    const lt_batch *batch = lt_mock_load(f->mock, loader, first, count);
    if (!batch) {
        fail_msg("%s", f->mock->error);
    }
    return batch;
}

static inline const int64_t *item_i64(const lt_batch *batch, int32_t i) {
    assert_true(i < batch->count && batch->items[i].tensor->dtype == LT_I64);
    return batch->items[i].tensor->data;
}
static inline const float *item_f32(const lt_batch *batch, int32_t i) {
    assert_true(i < batch->count && batch->items[i].tensor->dtype == LT_F32);
    return batch->items[i].tensor->data;
}
#define NEW_DATA(f, ...) ((f)->self = lt_mock_new((f)->mock, &(f)->data->base, __VA_ARGS__, NULL))
#endif
