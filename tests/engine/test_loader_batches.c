/* tests/engine/test_loader_batches.c - what a get_batch may put into a batch, and what datasets and loaders refuse. */
#include "test_loader_fixture.h"

static lt_status put_nothing(lt_ctx *ctx, const int64_t *indices, int64_t count, lt_batch_out *out) {
    (void)ctx, (void)indices, (void)count, (void)out;
    return LT_OK;
}
static lt_status put_short(lt_ctx *ctx, const int64_t *indices, int64_t count, lt_batch_out *out) {
    put_pair(ctx, indices, count, out);
    lth_data_table.batch_tensor(ctx, out, NULL, LT_F32, 2, (int64_t[]){count - 1, 5});
    return LT_OK;
}
static lt_status put_mixed(lt_ctx *ctx, const int64_t *indices, int64_t count, lt_batch_out *out) {
    (void)indices;
    lth_data_table.batch_tensor(ctx, out, "x", LT_F32, 1, &count);
    lth_data_table.batch_tensor(ctx, out, NULL, LT_F32, 1, &count);
    return LT_OK;
}
static lt_status put_twice(lt_ctx *ctx, const int64_t *indices, int64_t count, lt_batch_out *out) {
    (void)indices;
    lth_data_table.batch_tensor(ctx, out, "x", LT_F32, 1, &count);
    lth_data_table.batch_tensor(ctx, out, "x", LT_F32, 1, &count);
    return LT_OK;
}
static lt_status put_huge(lt_ctx *ctx, const int64_t *indices, int64_t count, lt_batch_out *out) {
    (void)indices;
    lth_data_table.batch_tensor(ctx, out, NULL, LT_F32, 3, (int64_t[]){count, INT64_MAX / 2, 1000});
    return LT_OK;
}
static lt_status put_silent_failure(lt_ctx *ctx, const int64_t *indices, int64_t count, lt_batch_out *out) {
    put_pair(ctx, indices, count, out);
    return LT_EIO;
}
static lt_status put_skip(lt_ctx *ctx, const int64_t *indices, int64_t count, lt_batch_out *out) {
    put_pair(ctx, indices, count, out);
    return LT_SKIP;
}
static lt_status put_many(lt_ctx *ctx, const int64_t *indices, int64_t count, lt_batch_out *out) {
    (void)indices;
    for (int i = 0; i < 17; i++) {
        lth_data_table.batch_tensor(ctx, out, NULL, LT_U8, 1, &count);
    }
    return LT_OK;
}
static lt_status put_tensor_call(lt_ctx *ctx, const int64_t *indices, int64_t count, lt_batch_out *out) {
    (void)indices, (void)count, (void)out;
    return lth_data_table.dataset(ctx, NULL) ? LT_OK : LT_EPLUGIN;
}

static void test_bad_batches_are_refused(void **state) {
    fixture *f = *state;
    static const struct {
        lt_status (*put)(lt_ctx *, const int64_t *, int64_t, lt_batch_out *);
        lt_status code;
        const char *text;
    } cases[] = {
        {put_nothing, LT_EPLUGIN, "without putting a tensor"},
        {put_short, LT_ESHAPE, "item 2 has shape (3, 5) for 4 samples"},
        {put_mixed, LT_EINVAL, "a list (all keys NULL) or a dict"},
        {put_twice, LT_EINVAL, "key 'x' is put twice"},
        {put_huge, LT_ESHAPE, "no tensor has dtype f32"},
        {put_silent_failure, LT_EIO, "without a reason"},
        {put_skip, LT_EPLUGIN, "LT_SKIP"},
        {put_many, LT_EINVAL, "at most 16 items"},
        {put_tensor_call, LT_ESTATE, "may not be called"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        samples s = {.fail_at = -1, .put = cases[i].put};
        for (int workers = 0; workers < 2; workers++) {
            lt_loader *l = make_loader(f, make_dataset(f, &s, 8), 4, workers, false);
            begin(f, l, 0, -1);
            assert_null(lth_loader_next(l, &f->ctx));
            assert_int_equal(f->ctx.error.code, cases[i].code);
            assert_non_null(strstr(f->ctx.error.text, cases[i].text));
            assert_non_null(strstr(f->ctx.error.text, "dataset 'numbers', batch 0"));
            lth_error_clear(&f->ctx.error);
            lth_loader_end(l);
        }
    }
}

static lt_status put_dict(lt_ctx *ctx, const int64_t *indices, int64_t count, lt_batch_out *out) {
    (void)indices;
    char key[] = "image"; /* gone when the batch is read */
    lth_data_table.batch_tensor(ctx, out, key, LT_U8, 2, (int64_t[]){count, 2});
    memcpy(lth_data_table.batch_bytes_out(ctx, out, "note", 3), "abc", 3);
    return LT_OK;
}

static void test_dict_and_bytes(void **state) {
    fixture *f = *state;
    samples s = {.fail_at = -1, .put = put_dict};
    lt_loader *l = make_loader(f, make_dataset(f, &s, 8), 4, 1, false);
    begin(f, l, 0, -1);
    const lt_batch *batch = lth_loader_next(l, &f->ctx);
    assert_string_equal(batch->items[0].key, "image");
    assert_int_equal(batch->items[0].tensor->a.dtype, LT_U8);
    assert_null(batch->items[1].tensor);
    assert_int_equal(batch->items[1].size, 3);
    assert_memory_equal(batch->items[1].bytes, "abc", 3);
}

static void test_bad_arguments_are_refused(void **state) {
    fixture *f = *state;
    lt_dataset *parts[2], *all = make_dataset(f, &plain, 10);
    assert_int_equal(lth_data_table.random_split(&f->ctx, all, (int64_t[]){5, 4}, 2, 0, parts), LT_EINVAL);
    assert_non_null(strstr(f->ctx.error.text, "5 + 4 do not add up to the 10 samples of dataset 'numbers'"));
    assert_null(lth_data_table.subset(&f->ctx, all, 0, 5)); /* nothing works after a failure */
    lth_error_clear(&f->ctx.error);
    assert_null(lth_data_table.subset(&f->ctx, all, 5, 11));
    assert_int_equal(f->ctx.error.code, LT_EINDEX);
    lth_error_clear(&f->ctx.error);
    lt_loader_opts opts = {.struct_size = sizeof opts, .batch_size = -1};
    assert_null(lth_data_table.loader(&f->ctx, all, &opts));
    assert_non_null(strstr(f->ctx.error.text, "batch_size is -1"));
    lth_error_clear(&f->ctx.error);
    assert_null(lth_data_table.loader(&f->ctx, NULL, NULL));
    assert_int_equal(f->ctx.error.code, LT_EINVAL);
    lth_error_clear(&f->ctx.error);
    lt_dataset_desc no_function = {.struct_size = sizeof no_function, .length = 3};
    assert_null(lth_data_table.dataset(&f->ctx, &no_function));
    assert_int_equal(f->ctx.error.code, LT_EINVAL);
    lth_error_clear(&f->ctx.error);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_STAGE(test_bad_batches_are_refused),
        WITH_STAGE(test_dict_and_bytes),
        WITH_STAGE(test_bad_arguments_are_refused),
    };
    return cmocka_run_group_tests_name("loader_batches", tests, NULL, NULL);
}
