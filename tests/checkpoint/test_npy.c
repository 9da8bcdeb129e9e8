/* .npy files: what numpy writes is read, everything else is refused with a word on how to convert; mutants never crash. */
#include "ckpt_test.h"

static size_t make(char *out, int version, const char *header, const void *data, size_t size) {
    size_t length = strlen(header), front = version == 1 ? 10 : 12;
    memcpy(out, "\x93NUMPY", 6);
    out[6] = (char)version;
    out[7] = 0;
    for (size_t i = 0; i < front - 8; i++) {
        out[8 + i] = (char)(length >> (8 * i));
    }
    memcpy(out + front, header, length);
    memcpy(out + front + length, data, size);
    return front + length + size;
}

static lt_status read_made(int version, const char *header, const void *data, size_t size, lth_snapshot **out, lth_error *err) {
    static char file[1 << 18];
    dump(in_folder("x.npy"), file, make(file, version, header, data, size));
    return lth_npy_read(in_folder("x.npy"), out, err);
}

static void what_numpy_writes(void **state) {
    (void)state;
    const struct { const char *header; lt_dtype dtype; int32_t ndim; size_t size; int version; } files[] = {
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }          \n", LT_F32, 2, 24, 1},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (3,), }\n", LT_F64, 1, 24, 1},
        {"{'descr': '<f2', 'fortran_order': False, 'shape': (), }\n", LT_F16, 0, 2, 1},
        {"{'descr': '<i8', 'fortran_order': False, 'shape': (1, 1, 1, 1, 1, 1, 1, 2), }\n", LT_I64, 8, 16, 2},
        {"{'descr': '<i4', 'fortran_order': False, 'shape': (0, 7), }\n", LT_I32, 2, 0, 3},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (2L, 2L), }\n", LT_U8, 2, 4, 1},
        {"{'descr': '|b1', 'fortran_order': False, 'shape': (4,), }\n", LT_BOOL, 1, 4, 1},
        {"{\"shape\":(2,3),\"fortran_order\":False,\"descr\":\"<f4\"}", LT_F32, 2, 24, 1},
        {"{'descr': '<f4', 'fortran_order': True, 'shape': (6,), }\n", LT_F32, 1, 24, 1}};
    unsigned char data[32] = {1, 0, 1, 1};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        lth_snapshot *s = NULL;
        assert_good(read_made(files[i].version, files[i].header, data, files[i].size, &s, e));
        const lth_item *item = lth_snapshot_get(s, "data");
        assert_int_equal(item->dtype, files[i].dtype);
        assert_int_equal(item->ndim, files[i].ndim);
        assert_int_equal(item->size, files[i].size);
        assert_memory_equal(item->data, data, item->size);
        lth_snapshot_free(s);
    }
}

static void what_is_refused(void **state) {
    (void)state;
    static char long_text[200];
    const struct { const char *header; lt_status code; const char *why; } files[] = {
        {"{'descr': '>f4', 'fortran_order': False, 'shape': (2, 3), }", LT_EDTYPE, "big-endian numbers (dtype \">f4\"); convert with x.astype(\"<f4\")"},
        {"{'descr': '=f4', 'fortran_order': False, 'shape': (2, 3), }", LT_EDTYPE, "not little-endian"},
        {"{'descr': '<c8', 'fortran_order': False, 'shape': (3,), }", LT_EDTYPE, "x.astype(\"float32\")"},
        {"{'descr': '<V2', 'fortran_order': False, 'shape': (3,), }", LT_EDTYPE, "\"<V2\""},
        {"{'descr': '|O', 'fortran_order': False, 'shape': (3,), }", LT_EDTYPE, "Python objects"},
        {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,), }", LT_EDTYPE, "holds records"},
        {"{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }", LT_EFORMAT, "numpy.ascontiguousarray"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 4), }", LT_EFORMAT, "truncated: 24 of 32 bytes of data for shape (2, 4)"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (5,), }", LT_EFORMAT, "holds 24 bytes of data, shape (5) needs 20"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296, 4294967296), }", LT_EFORMAT, "larger than any file"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775808,), }", LT_EFORMAT, "too large"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", LT_EFORMAT, "no number"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,6), }", LT_EFORMAT, "more than 8 dimensions"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': 6, }", LT_EFORMAT, "no tuple"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2 3), }", LT_EFORMAT, "no tuple"},
        {"{'descr': '<f4', 'fortran_order': None, 'shape': (2, 3), }", LT_EFORMAT, "neither True nor False"},
        {"{'descr': '<f4', 'fortran_order': False, }", LT_EFORMAT, "lacks"},
        {"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", LT_EFORMAT, "stands twice"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), 'x': 1}", LT_EFORMAT, "unknown entry"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), } + exit()", LT_EFORMAT, "something follows"},
        {"{'descr': '<f4", LT_EFORMAT, "not closed"},
        {"{'descr'", LT_EFORMAT, "unknown entry"},
        {long_text, LT_EFORMAT, "too long"},
        {"[]", LT_EFORMAT, "no dict"},
        {"", LT_EFORMAT, "no dict"}};
    unsigned char data[24] = {0};
    snprintf(long_text, sizeof long_text, "{'descr': '%0150d'", 0);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        lth_snapshot *s = NULL;
        lth_error err = {0};
        lt_status code = read_made(1, files[i].header, data, sizeof data, &s, &err);
        assert_contains(err.text, files[i].why);
        assert_int_equal(code, files[i].code);
        assert_contains(err.text, "x.npy");
        assert_null(s);
    }
}

static void what_is_no_npy(void **state) {
    (void)state;
    lth_snapshot *s = NULL;
    lth_error err = {0};
    dump(in_folder("a"), "PK\3\4 an .npz of course", 22);
    assert_int_equal(lth_npy_read(in_folder("a"), &s, &err), LT_EFORMAT);
    assert_contains(err.text, "make it with numpy.save");
    err = (lth_error){0};
    assert_int_equal(lth_npy_read(in_folder("none"), &s, &err), LT_EABSENT);
    dump(in_folder("a"), "\x93NUMPY\1\0\xff\xff{", 11);
    err = (lth_error){0};
    assert_int_equal(lth_npy_read(in_folder("a"), &s, &err), LT_EFORMAT);
    dump(in_folder("a"), "\x93NUMPY\1\0\x0f\0{", 11);
    err = (lth_error){0};
    assert_int_equal(lth_npy_read(in_folder("a"), &s, &err), LT_EFORMAT);
    assert_contains(err.text, "ends inside its header");
    err = (lth_error){0};
    assert_int_equal(read_made(4, "{'descr': '|u1', 'fortran_order': False, 'shape': (1,), }", "", 1, &s, &err), LT_EFORMAT);
    assert_contains(err.text, "version");
    err = (lth_error){0};
    assert_int_equal(read_made(1, "{'descr': '|b1', 'fortran_order': False, 'shape': (3,), }", "\0\1\2", 3, &s, &err), LT_EFORMAT);
    assert_contains(err.text, "the bool 2 at index 2");
}

static void every_truncation(void **state) {
    (void)state;
    char file[256];
    unsigned char data[24] = {0};
    size_t size = make(file, 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n", data, sizeof data);
    for (size_t length = 0; length < size; length++) {
        lth_snapshot *s = NULL;
        dump(in_folder("x.npy"), file, length);
        assert_int_equal(lth_npy_read(in_folder("x.npy"), &s, NULL), LT_EFORMAT);
        assert_null(s);
    }
}

static void mutants(void **state) {
    (void)state;
    char good[256], file[256];
    unsigned char data[24] = {0};
    uint64_t seed = 7;
    static const char spice[] = "0123456789',():<>|fibu{}[]TFL \n\\\"";
    size_t size = make(good, 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n", data, sizeof data);
    for (int i = 0; i < 20000; i++) {
        lth_snapshot *s = NULL;
        lth_error err = {0};
        memcpy(file, good, size);
        for (uint64_t k = next_random(&seed) % 4 + 1; k; k--) {
            size_t at = next_random(&seed) % size;
            file[at] = next_random(&seed) & 1 ? spice[next_random(&seed) % (sizeof spice - 1)] : (char)next_random(&seed);
        }
        dump(in_folder("x.npy"), file, size - (next_random(&seed) % 8 == 0 ? next_random(&seed) % size : 0));
        lt_status status = lth_npy_read(in_folder("x.npy"), &s, &err);
        assert_int_equal(status, err.code);
        assert_true((status == LT_OK) == (s != NULL));
        lth_snapshot_free(s);
    }
}

static void out_of_memory(void **state) {
    (void)state;
    char file[256];
    unsigned char data[24] = {0};
    dump(in_folder("x.npy"), file, make(file, 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n", data, sizeof data));
    lt_status status = LT_ENOMEM;
    for (int64_t n = 0; status != LT_OK; n++) {
        lth_snapshot *s = NULL;
        lth_alloc_budget(n);
        status = lth_npy_read(in_folder("x.npy"), &s, NULL);
        lth_alloc_budget(-1);
        assert_true(status == LT_OK || status == LT_ENOMEM);
        lth_snapshot_free(s);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {TEST(what_numpy_writes), TEST(what_is_refused), TEST(what_is_no_npy),
                                       TEST(every_truncation),  TEST(mutants),         TEST(out_of_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
