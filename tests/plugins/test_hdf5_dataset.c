/* tests/plugins/test_hdf5_dataset.c - HDF5Dataset on files made here: plain, chunked and compressed, several dtypes, any order of rows, several
 * threads at once; wrong and damaged files. libhdf5 parses them, so damage is put into the data and the length, not into its structures. */
#include "../../plugins/hdf5_dataset/array.h"
#include "data_test.h"
#include <pthread.h>

enum { ROWS = 500, WIDTH = 12 };
static double value_of(int64_t row, int64_t k) { return (double)((row * 7 + k * 3) % 200); }

static void put_array(hid_t file, const char *name, hid_t type, int ndim, const hsize_t *dims, bool chunked) {
    hid_t space = H5Screate_simple(ndim, dims, NULL), how = H5Pcreate(H5P_DATASET_CREATE);
    static double values[ROWS * WIDTH];
    for (int i = 0; i < ROWS * WIDTH; i++) {
        values[i] = value_of(ndim > 1 ? i / WIDTH : i, ndim > 1 ? i % WIDTH : 0);
    }
    if (chunked) {
        hsize_t chunk[3] = {37, ndim > 1 ? dims[1] : 1, ndim > 2 ? dims[2] : 1};
        H5Pset_chunk(how, ndim, chunk);
        H5Pset_shuffle(how);
        H5Pset_deflate(how, 6);
        H5Pset_fletcher32(how);
    }
    hid_t id = H5Dcreate2(file, name, type, space, H5P_DEFAULT, how, H5P_DEFAULT);
    assert_true(id >= 0 && H5Dwrite(id, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
    H5Dclose(id);
    H5Pclose(how);
    H5Sclose(space);
}

/* One row holds a fraction. */
static void put_fractions(hid_t file) {
    double values[ROWS] = {0};
    const hsize_t rows = ROWS;
    hid_t space = H5Screate_simple(1, &rows, NULL);
    hid_t id = H5Dcreate2(file, "fractions", H5T_IEEE_F32LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    values[77] = 0.25;
    assert_true(id >= 0 && H5Dwrite(id, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
    H5Dclose(id);
    H5Sclose(space);
}

static const char *put_hdf5(const char *name) {
    const char *path = in_dir(name);
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    hsize_t image[3] = {ROWS, 3, 4}, table[2] = {ROWS, WIDTH}, labels[1] = {ROWS}, fewer[1] = {ROWS - 1}, nothing[2] = {0, 3};
    hid_t group = H5Gcreate2(file, "group", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    put_array(file, "x", H5T_IEEE_F64LE, 2, table, true);
    put_array(file, "group/images", H5T_STD_U8LE, 3, image, true);
    put_array(file, "plain", H5T_IEEE_F32BE, 2, table, false);
    put_array(file, "y", H5T_STD_I16BE, 1, labels, true);
    put_array(file, "fewer", H5T_STD_I32LE, 1, fewer, false);
    put_array(file, "floats", H5T_IEEE_F32LE, 1, labels, true);
    put_fractions(file);
    hid_t space = H5Screate_simple(2, nothing, NULL), text = H5Tcopy(H5T_C_S1);
    H5Dclose(H5Dcreate2(file, "nothing", H5T_IEEE_F32LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    H5Dclose(H5Dcreate2(file, "texts", text, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    H5Tclose(text);
    H5Sclose(space);
    H5Gclose(group);
    H5Fclose(file);
    return path;
}

static void test_rows(void **state) {
    (void)state;
    const char *path = put_hdf5("a.h5");
    static const char *const inputs[] = {"x", "plain", "group/images"};
    for (int i = 0; i < 3; i++) {
        fixture f = open_data("HDF5Dataset");
        NEW_DATA(&f, "path", path, "input", inputs[i], "scale", i == 2 ? "0.5" : "1");
        must_set_up(&f, LT_STAGE_FIT);
        lt_loader *train = f.data->train_dataloader(f.ctx, f.self);
        assert_int_equal(train->dataset->length, ROWS);
        assert_null(f.data->val_dataloader(f.ctx, f.self));
        int64_t order[60];
        for (int k = 0; k < 60; k++) {
            order[k] = k < 20 ? 100 + k : (k * 131) % ROWS; /* a run, then anywhere */
        }
        lt_batch_out *out = lt_mock__get(f.mock, sizeof *out);
        assert_int_equal(train->dataset->desc.get_batch(f.ctx, train->dataset->desc.data, order, 60, out), LT_OK);
        const lt_tensor *x = out->batch.items[0].tensor;
        assert_true(x->ndim == (i == 2 ? 3 : 2) && x->shape[0] == 60 && x->shape[1] == (i == 2 ? 3 : WIDTH));
        for (int k = 0; k < 60; k++) {
            assert_int_equal(item_i64(&out->batch, 1)[k], value_of(order[k], 0));
            for (int c = 0; c < WIDTH; c++) {
                assert_true(item_f32(&out->batch, 0)[k * WIDTH + c] == (float)value_of(order[k], c) * (i == 2 ? 0.5f : 1));
            }
        }
        close_data(&f);
    }
    fixture f = open_data("HDF5Dataset");
    NEW_DATA(&f, "path", path, "input", "group/images", "input_dtype", "u8", "target", "plain", "val_size", "100");
    must_set_up(&f, LT_STAGE_VALIDATE);
    const lt_batch *batch = load(&f, f.data->val_dataloader(f.ctx, f.self), 0, 100);
    assert_true(batch->items[0].tensor->dtype == LT_U8 && batch->items[1].tensor->dtype == LT_F32);
    assert_int_equal(((const uint8_t *)batch->items[0].tensor->data)[5], value_of(400, 5));
    close_data(&f);
}

/* Floats as integers: whole ones, or a refusal that names the row. */
static void test_whole_targets(void **state) {
    (void)state;
    const char *path = put_hdf5("a.h5");
    for (int k = 0; k < 2; k++) {
        fixture f = open_data("HDF5Dataset");
        NEW_DATA(&f, "path", path, "input", "x", "target", k ? "fractions" : "floats", "target_dtype", "i64");
        must_set_up(&f, LT_STAGE_FIT);
        const lt_batch *batch = lt_mock_load(f.mock, f.data->train_dataloader(f.ctx, f.self), 0, 100);
        if (k) {
            assert_null(batch);
            assert_non_null(strstr(f.mock->error, "row 77 of 'fractions' holds 0.25, which is no whole number: its dtype must be f32"));
        } else {
            for (int i = 0; i < 100; i++) {
                assert_int_equal(item_i64(batch, 1)[i], value_of(i, 0));
            }
        }
        close_data(&f);
    }
}

/* Integers that an integer dtype cannot hold: refused, not the nearest one that there is. */
static void test_integers_out_of_range(void **state) {
    (void)state;
    static const struct {
        int64_t value; /* in row 3 */
        bool is_unsigned;
        const char *dtype, *says;
    } cases[] = {
        {255, false, "u8", NULL},
        {300, false, "u8", "a number in rows 2 to 4 of 'x' is outside 0 to 255, what u8 holds; convert it to f32"},
        {-1, false, "u8", "is outside 0 to 255"},
        {-1, true, "i64", "is outside what i64 holds"}, /* 2^64 - 1 */
        {INT64_MAX, true, "i64", NULL},
        {-1, false, "i64", NULL},
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        int64_t values[6] = {1, 2, 3, cases[k].value, 5, 6}, rows[] = {0, 2, 3, 4};
        const hsize_t count = 6;
        hid_t file = H5Fcreate(in_dir("range.h5"), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), space = H5Screate_simple(1, &count, NULL);
        hid_t id = H5Dcreate2(file, "x", cases[k].is_unsigned ? H5T_STD_U64LE : H5T_STD_I64LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
        hid_t type = cases[k].is_unsigned ? H5T_NATIVE_UINT64 : H5T_NATIVE_INT64;
        assert_true(id >= 0 && H5Dwrite(id, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
        H5Dclose(id);
        H5Sclose(space);
        H5Fclose(file);
        fixture f = open_data("HDF5Dataset");
        NEW_DATA(&f, "path", in_dir("range.h5"), "target", "", "input_dtype", cases[k].dtype);
        must_set_up(&f, LT_STAGE_FIT);
        lt_loader *train = f.data->train_dataloader(f.ctx, f.self);
        lt_batch_out *out = lt_mock__get(f.mock, sizeof *out);
        lt_status status = train->dataset->desc.get_batch(f.ctx, train->dataset->desc.data, rows, 4, out);
        assert_int_equal(status, cases[k].says ? LT_EFORMAT : LT_OK);
        if (cases[k].says && !strstr(f.mock->error, cases[k].says)) {
            fail_msg("%s", f.mock->error);
        }
        if (!status) {
            const void *got = out->batch.items[0].tensor->data;
            assert_true(*cases[k].dtype == 'u' ? ((const uint8_t *)got)[2] == 255 : ((const int64_t *)got)[2] == cases[k].value);
        }
        close_data(&f);
    }
}

static void test_refusals(void **state) {
    (void)state;
    const char *path = put_hdf5("a.h5"), *text = put_text("no.h5", "this is no HDF5 file");
    const struct {
        const char *path, *input, *target;
        lt_status code;
        const char *says;
    } cases[] = {
        {path, "z", "y", LT_EABSENT, "a.h5: there is no dataset 'z'"},
        {path, "group", "y", LT_EABSENT, "there is no dataset 'group'"},
        {path, "x", "fewer", LT_EFORMAT, "'x' has 500 rows, 'fewer' 499"},
        {path, "nothing", "y", LT_EFORMAT, "dataset 'nothing' is empty"},
        {path, "texts", "y", LT_EDTYPE, "'texts' holds neither integers nor floats"},
        {text, "x", "y", LT_EFORMAT, "no.h5: no HDF5 file"},
        {in_dir("absent.h5"), "x", "y", LT_EABSENT, "absent.h5"},
        {in_dir("."), "x", "y", LT_EFORMAT, "is no file but a folder"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fixture f = open_data("HDF5Dataset");
        NEW_DATA(&f, "path", cases[i].path, "input", cases[i].input, "target", cases[i].target);
        must_refuse(&f, LT_STAGE_FIT, cases[i].code, cases[i].says);
        close_data(&f);
    }
    fixture f = open_data("HDF5Dataset");
    NEW_DATA(&f, "path", path, "input", "x", "input_dtype", "u8");
    must_refuse(&f, LT_STAGE_FIT, LT_EDTYPE, "'x' holds floats, of which input_dtype u8 would leave whole numbers");
    close_data(&f);
    const hsize_t rows = 4, table[2] = {4, WIDTH};
    hid_t other = H5Fcreate(in_dir("other.h5"), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    put_array(other, "x", H5T_IEEE_F32LE, 2, table, false);
    put_array(other, "y", H5T_IEEE_F32LE, 1, &rows, false);
    H5Fclose(other);
    f = open_data("HDF5Dataset");
    NEW_DATA(&f, "path", path, "val_path", in_dir("other.h5"));
    must_refuse(&f, LT_STAGE_FIT, LT_EFORMAT, "other.h5: 'y' holds floats, that of the training file integers: set target_dtype");
    close_data(&f);
    f = open_data("HDF5Dataset");
    NEW_DATA(&f, "path", path, "val_size", "500");
    must_refuse(&f, LT_STAGE_FIT, LT_ECONFIG, "val_size is 500");
    close_data(&f);
}

/* Checksummed chunks: what was changed is not delivered; cut files are refused when they are opened. */
static void test_damaged_data(void **state) {
    (void)state;
    static uint8_t bytes[1 << 18], copy[1 << 18];
    FILE *in = fopen(put_hdf5("a.h5"), "rb");
    size_t size = fread(bytes, 1, sizeof bytes, in);
    fclose(in);
    fixture f = open_data("HDF5Dataset");
    NEW_DATA(&f, "path", put_file("cut.h5", bytes, size - 100));
    must_refuse(&f, LT_STAGE_FIT, LT_EFORMAT, "cut.h5");
    close_data(&f);
    int refused = 0;
    for (int round = 0; round < 60; round++) {
        hid_t file = H5Fopen(in_dir("a.h5"), H5F_ACC_RDONLY, H5P_DEFAULT), id = H5Dopen2(file, "x", H5P_DEFAULT), space = H5Dget_space(id);
        hsize_t chunk_size = 0, offset[2];
        haddr_t address = 0;
        unsigned filters;
        assert_true(H5Dget_chunk_info(id, space, (hsize_t)round % 13, offset, &filters, &address, &chunk_size) >= 0);
        H5Sclose(space);
        H5Dclose(id);
        H5Fclose(file);
        memcpy(copy, bytes, size);
        copy[address + (hsize_t)round * 17 % chunk_size] ^= (uint8_t)(1 << round % 8);
        f = open_data("HDF5Dataset");
        NEW_DATA(&f, "path", put_file("damaged.h5", copy, size));
        must_set_up(&f, LT_STAGE_FIT);
        if (!lt_mock_load(f.mock, f.data->train_dataloader(f.ctx, f.self), 0, ROWS)) {
            refused++;
            assert_int_equal(f.mock->code, LT_EFORMAT);
            assert_non_null(strstr(f.mock->error, "damaged.h5: cannot read row 0 of 'x'"));
        }
        close_data(&f);
    }
    assert_int_equal(refused, 60);
}

static void *read_all(void *arg) {
    const h5_array *array = arg;
    static __thread float out[20 * WIDTH];
    char why[FILE_WHY_MAX];
    for (int64_t first = 0; first < ROWS; first += 20) {
        int64_t rows[20];
        for (int64_t i = 0; i < 20; i++) {
            rows[i] = (first * 13 + i * 29) % ROWS;
        }
        if (h5_array_read(array, rows, 20, LT_F32, out, why)) {
            return "read";
        }
        for (int64_t i = 0; i < 20 * WIDTH; i++) {
            if (out[i] != (float)value_of(rows[i / WIDTH], i % WIDTH)) {
                return "value";
            }
        }
    }
    return NULL;
}

static void test_threads(void **state) {
    (void)state;
    h5_array array = {0};
    char why[FILE_WHY_MAX];
    pthread_t threads[4];
    assert_int_equal(h5_array_open(&array, put_hdf5("a.h5"), "x", 1 << 20, why), LT_OK);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, read_all, &array), 0);
    }
    for (int i = 0; i < 4; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    h5_array_close(&array);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_whole_targets),
        cmocka_unit_test(test_integers_out_of_range),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_damaged_data),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests_name("hdf5_dataset", tests, make_dir, remove_dir);
}
