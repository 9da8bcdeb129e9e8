/* tests/plugins/test_npy_dataset.c - NpyDataset under the mock host, with the host's own reader of headers in its table: dtypes, shapes,
 * rows in any order, splits, files that are refused, damaged headers. */
#include "data_test.h"

#include "base/error.h"
#include "base/npy.h"

static lt_status parse(lt_ctx *ctx, const char *path, const void *bytes, size_t size, int64_t file_size, lt_npy_header *out) {
    lth_error err = {0};
    lt_status status = lth_npy_parse(path, bytes, size, (uint64_t)file_size, out, &err);
    return status ? lt_fail(ctx, status, "%s", err.text) : LT_OK;
}

/* The mock's table with that one function of the host. */
static fixture open_npy(void) {
    static lt_data_api table;
    fixture f = open_data("NpyDataset");
    table = *lt__data;
    table.npy_header = parse;
    lt__data = &table;
    return f;
}

static const char *put_npy(const char *name, const char *descr, const char *shape, const void *data, size_t size) {
    static uint8_t bytes[1 << 16];
    char dict[200];
    int length = snprintf(dict, sizeof dict, "{'descr': '%s', 'fortran_order': False, 'shape': %s, }\n", descr, shape);
    memcpy(bytes, "\x93NUMPY\x01\x00", 8);
    bytes[8] = (uint8_t)length;
    bytes[9] = 0;
    memcpy(bytes + 10, dict, (size_t)length);
    memcpy(bytes + 10 + length, data, size);
    return put_file(name, bytes, 10 + (size_t)length + size);
}

enum { ROWS = 20, WIDTH = 6 };

static void test_dtypes(void **state) {
    (void)state;
    double f8[ROWS * WIDTH];
    float f4[ROWS * WIDTH];
    uint16_t f2[ROWS * WIDTH];
    int64_t i8[ROWS * WIDTH];
    int32_t i4[ROWS * WIDTH];
    uint8_t u1[ROWS * WIDTH];
    for (int i = 0; i < ROWS * WIDTH; i++) {
        f8[i] = f4[i] = (float)(i8[i] = i4[i] = u1[i] = (uint8_t)(i % 100));
        f2[i] = (uint16_t)(i % 100 ? (15 + 6) << 10 : 0); /* 64, or 0 */
    }
    const struct {
        const char *descr;
        const void *data;
        size_t size;
        lt_dtype dtype;
    } cases[] = {{"<f8", f8, 8, LT_F64}, {"<f4", f4, 4, LT_F32}, {"<i8", i8, 8, LT_I64}, {"<i4", i4, 4, LT_I32}, {"|u1", u1, 1, LT_U8}, {"<f2", f2, 2, LT_F16}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        const char *x = put_npy("x.npy", cases[c].descr, "(20, 2, 3)", cases[c].data, cases[c].size * ROWS * WIDTH);
        const char *y = put_npy("y.npy", cases[c].descr, "(20,)", cases[c].data, cases[c].size * ROWS);
        for (int keep = 0; keep < (cases[c].dtype == LT_F16 ? 1 : 2); keep++) { /* the mock host has no f16 */
            fixture f = open_npy();
            NEW_DATA(&f, "input", x, "target", y, "scale", "0.5", "input_dtype", keep ? "keep" : "f32");
            must_set_up(&f, LT_STAGE_FIT);
            lt_loader *train = f.data->train_dataloader(f.ctx, f.self);
            int64_t order[] = {19, 3, 4, 5, 0, 3};
            lt_batch_out *out = lt_mock__get(f.mock, sizeof *out);
            assert_int_equal(train->dataset->desc.get_batch(f.ctx, train->dataset->desc.data, order, 6, out), LT_OK);
            const lt_tensor *input = out->batch.items[0].tensor, *target = out->batch.items[1].tensor;
            assert_true(input->ndim == 3 && input->shape[0] == 6 && input->shape[1] == 2 && input->shape[2] == 3);
            assert_int_equal(input->dtype, keep ? cases[c].dtype : LT_F32);
            for (int i = 0; i < 6; i++) {
                bool half = cases[c].dtype == LT_F16;
                if (keep && input->dtype != LT_F32) {
                    assert_memory_equal((char *)input->data + (size_t)i * WIDTH * cases[c].size,
                                        (const char *)cases[c].data + (size_t)order[i] * WIDTH * cases[c].size, WIDTH * cases[c].size);
                }
                for (int k = 0; !keep && k < WIDTH; k++) {
                    int64_t at = order[i] * WIDTH + k;
                    assert_true(((float *)input->data)[i * WIDTH + k] == 0.5f * (half ? (at % 100 ? 64 : 0) : f4[at]));
                }
                if (target->dtype == LT_I64) {
                    assert_int_equal(((int64_t *)target->data)[i], order[i]);
                } else {
                    assert_true(((float *)target->data)[i] == (half ? (order[i] ? 64 : 0) : (float)order[i]));
                }
            }
            close_data(&f);
        }
    }
    static const uint16_t halves[] = {0x0001, 0x03ff, 0x8400, 0x7bff, 0xfc00}; /* subnormals, smallest, largest, infinity */
    static const float expected[] = {5.9604644775390625e-8f, 6.0975551605224609375e-5f, -6.103515625e-5f, 65504.0f, -INFINITY};
    fixture f = open_npy();
    NEW_DATA(&f, "input", put_npy("x.npy", "<f2", "(5,)", halves, sizeof halves));
    must_set_up(&f, LT_STAGE_FIT);
    assert_memory_equal(item_f32(load(&f, f.data->train_dataloader(f.ctx, f.self), 0, 5), 0), expected, sizeof expected);
    close_data(&f);
}

static void test_parts_and_refusals(void **state) {
    (void)state;
    float x[12] = {0};
    int64_t y[12] = {0};
    const char *input = put_npy("x.npy", "<f4", "(12, 1)", x, sizeof x), *target = put_npy("y.npy", "<i8", "(12,)", y, sizeof y);
    fixture f = open_npy();
    NEW_DATA(&f, "input", input, "target", target, "val_size", "5");
    must_set_up(&f, LT_STAGE_FIT);
    assert_int_equal(f.data->train_dataloader(f.ctx, f.self)->dataset->length, 7);
    assert_int_equal(f.data->val_dataloader(f.ctx, f.self)->dataset->length, 5);
    close_data(&f);
    const struct {
        const char *input, *target, *val_size;
        lt_status code;
        const char *says;
    } cases[] = {
        {input, put_npy("z.npy", "<i8", "(11,)", y, 88), "0", LT_EFORMAT, "x.npy has 12 rows"},
        {input, target, "12", LT_ECONFIG, "val_size is 12"},
        {in_dir("absent.npy"), target, "0", LT_EABSENT, "absent.npy"},
        {put_npy("cut.npy", "<f4", "(13,)", x, sizeof x), target, "0", LT_EFORMAT, "cut.npy is truncated"},
        {put_npy("none.npy", "<f4", "(0, 3)", x, 0), target, "0", LT_EFORMAT, "none.npy holds nothing"},
        {put_npy("big.npy", ">f4", "(12,)", x, sizeof x), target, "0", LT_EDTYPE, "big-endian"},
        {put_text("text.npy", "1,2,3"), target, "0", LT_EFORMAT, "text.npy is not a valid .npy file"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        f = open_npy();
        NEW_DATA(&f, "input", cases[i].input, "target", cases[i].target, "val_size", cases[i].val_size);
        must_refuse(&f, LT_STAGE_FIT, cases[i].code, cases[i].says);
        close_data(&f);
    }
}

/* Whole floats become integers and integers floats where asked for; fractions, NaN and what is too large are refused, never cut. */
static void test_targets_are_converted_or_refused(void **state) {
    (void)state;
    float x[4] = {0};
    const double whole[4] = {3, -2, 0, 4294967296.0};
    const int64_t integers[4] = {3, -2, 0, 7};
    const char *input = put_npy("x.npy", "<f4", "(4, 1)", x, sizeof x);
    fixture f = open_npy();
    NEW_DATA(&f, "input", input, "target", put_npy("w.npy", "<f8", "(4,)", whole, sizeof whole), "target_dtype", "i64");
    must_set_up(&f, LT_STAGE_FIT);
    const lt_batch *batch = load(&f, f.data->train_dataloader(f.ctx, f.self), 0, 4);
    assert_true(item_i64(batch, 1)[1] == -2 && item_i64(batch, 1)[3] == 4294967296);
    close_data(&f);
    f = open_npy();
    NEW_DATA(&f, "input", input, "target", put_npy("i.npy", "<i8", "(4,)", integers, sizeof integers), "target_dtype", "f32");
    must_set_up(&f, LT_STAGE_FIT);
    batch = load(&f, f.data->train_dataloader(f.ctx, f.self), 0, 4);
    assert_true(item_f32(batch, 1)[1] == -2 && item_f32(batch, 1)[3] == 7);
    close_data(&f);
    const double bad[3] = {2.5, NAN, 1e19};
    static const char *const says[3] = {"row 2 holds 2.5, which is no whole number; set target_dtype: f32", "holds nan", "holds 1e+19"};
    for (int i = 0; i < 3; i++) {
        const double y[4] = {1, 2, bad[i], 4};
        f = open_npy();
        NEW_DATA(&f, "input", input, "target", put_npy("b.npy", "<f8", "(4,)", y, sizeof y), "target_dtype", "i64");
        must_set_up(&f, LT_STAGE_FIT);
        assert_null(lt_mock_load(f.mock, f.data->train_dataloader(f.ctx, f.self), 0, 4));
        assert_non_null(strstr(f.mock->error, "b.npy: row 2 holds"));
        assert_non_null(strstr(f.mock->error, says[i]));
        close_data(&f);
    }
    f = open_npy(); /* the model cannot be meant to have both */
    NEW_DATA(&f, "input", input, "target", in_dir("i.npy"), "val_input", input, "val_target", in_dir("w.npy"));
    must_refuse(&f, LT_STAGE_FIT, LT_EFORMAT, "w.npy holds floats, the training targets integers: set target_dtype");
    close_data(&f);
}

/* Whatever the header claims: refused, or every row can be read. */
static void test_damaged_files(void **state) {
    (void)state;
    float x[12] = {0};
    uint8_t bytes[300];
    FILE *in = fopen(put_npy("x.npy", "<f4", "(12, 1)", x, sizeof x), "rb");
    size_t size = fread(bytes, 1, sizeof bytes, in);
    fclose(in);
    uint32_t seed = 1, good = 0;
    for (int round = 0; round < 3000; round++) {
        uint8_t copy[300];
        memcpy(copy, bytes, size);
        for (int n = 0; n <= round % 2; n++) {
            seed = seed * 1664525u + 1013904223u;
            copy[(seed >> 8) % (size - 40)] = seed >> 31 ? (uint8_t)"0123456789(),'<f4 {}:i8u1"[(seed >> 3) % 25] : (uint8_t)(seed >> 20);
        }
        fixture f = open_npy();
        NEW_DATA(&f, "input", put_file("damaged.npy", copy, size - (round % 5 ? 0 : round % 50)));
        if (!set_up(&f, LT_STAGE_FIT)) {
            const lt_loader *l = f.data->train_dataloader(f.ctx, f.self);
            load(&f, l, 0, l->dataset->length);
            good++;
        } else {
            assert_non_null(strstr(f.mock->error, "damaged.npy"));
        }
        close_data(&f);
    }
    assert_in_range(good, 20, 2900);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dtypes),
        cmocka_unit_test(test_parts_and_refusals),
        cmocka_unit_test(test_targets_are_converted_or_refused),
        cmocka_unit_test(test_damaged_files),
    };
    return cmocka_run_group_tests_name("npy_dataset", tests, make_dir, remove_dir);
}
