/* HDF5 files with a right header that lthost did not write, made with libhdf5 itself: every feature that is not ours must be refused,
 * by name. Argument "write PATH": writes one checkpoint for check_h5py.py instead. */
#include "checkpoint/internal.h"
#include "ckpt_test.h"
#include <hdf5.h>

static hid_t file;

static void make(void) {
    hid_t creation = H5Pcreate(H5P_FILE_CREATE), access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_userblock(creation, 512);
    H5Pset_link_creation_order(creation, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED);
    H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110);
    H5Pset_fclose_degree(access, H5F_CLOSE_STRONG); /* named types stay open in their file otherwise */
    file = H5Fcreate(in_folder("f.h5"), H5F_ACC_TRUNC, creation, access);
    assert_true(file >= 0);
    H5Pclose(creation);
    H5Pclose(access);
}

/* Closes it, puts our header in front, reads it. */
static void read_made(lt_status expected, const char *why) {
    size_t size;
    lth_snapshot *out = NULL;
    lth_error err = {0};
    assert_true(H5Fclose(file) >= 0);
    char *data = slurp(in_folder("f.h5"), &size);
    lth_ckpt_header header = {.length = size, .hash = lth_hash(data + 512, size - 512)};
    lth_ckpt_encode(&header, (unsigned char *)data);
    dump(in_folder("f.h5"), data, size);
    lth_free(data);
    lt_status status = lth_ckpt_read(in_folder("f.h5"), &out, NULL, &err);
    assert_contains(err.text, why);
    assert_int_equal(status, expected);
    lth_snapshot_free(out);
}

static hid_t dataset(const char *name, hid_t type, int ndim, const hsize_t *dims, const hsize_t *most, hid_t list) {
    hid_t space = ndim < 0 ? H5Screate(H5S_NULL) : ndim ? H5Screate_simple(ndim, dims, most) : H5Screate(H5S_SCALAR);
    hid_t id = H5Dcreate2(file, name, type, space, H5P_DEFAULT, list, H5P_DEFAULT);
    char data[4096] = {0};
    assert_true(id >= 0);
    if (ndim >= 0 && H5Tis_variable_str(type) <= 0 && H5Tget_class(type) != H5T_VLEN) {
        H5Dwrite(id, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data);
    }
    H5Sclose(space);
    return id;
}

static void add(const char *name, hid_t type, int ndim, const hsize_t *dims) {
    H5Dclose(dataset(name, type, ndim, dims, NULL, H5P_DEFAULT));
}

static void what_is_ours_loads(void **state) {
    (void)state;
    make();
    add("x", H5T_IEEE_F32LE, 1, (hsize_t[]){4});
    add("y", H5T_STD_I64LE, 0, NULL);
    read_made(LT_OK, "");
}

static void links(void **state) {
    (void)state;
    make();
    H5Lcreate_soft("/x", file, "soft", H5P_DEFAULT, H5P_DEFAULT);
    read_made(LT_EFORMAT, "soft is a link to somewhere else");
    make();
    H5Lcreate_external("/etc/passwd", "/", file, "outer", H5P_DEFAULT, H5P_DEFAULT);
    read_made(LT_EFORMAT, "outer is a link to somewhere else");
    make();
    add("x", H5T_IEEE_F32LE, 1, (hsize_t[]){4});
    H5Lcreate_hard(file, "x", file, "again", H5P_DEFAULT, H5P_DEFAULT);
    read_made(LT_EFORMAT, "x has 2 names");
    make();
    hid_t group = H5Gcreate2(file, "loop", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_hard(file, "loop", group, "loop", H5P_DEFAULT, H5P_DEFAULT);
    H5Gclose(group);
    read_made(LT_EFORMAT, "loop has 2 names");
}

static void types(void **state) {
    (void)state;
    hid_t text = H5Tcopy(H5T_C_S1), sequence = H5Tvlen_create(H5T_STD_I32LE), record = H5Tcreate(H5T_COMPOUND, 8), named = H5Tcopy(H5T_IEEE_F32LE);
    const hid_t refused[] = {H5T_IEEE_F32BE, H5T_STD_U64LE, H5T_STD_I8LE, H5T_STD_REF_OBJ, H5T_STD_B8LE, sequence, record};
    H5Tset_size(text, H5T_VARIABLE);
    H5Tinsert(record, "a", 0, H5T_IEEE_F64LE);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        make();
        add("x", refused[i], 1, (hsize_t[]){4});
        read_made(LT_EFORMAT, "x has a type that lthost does not write");
    }
    make();
    add("t", text, 0, NULL);
    read_made(LT_EFORMAT, "t is a text of variable length");
    make();
    H5Tcommit2(file, "named", named, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    read_made(LT_EFORMAT, "named is neither a group nor a dataset");
    make();
    hid_t shared = H5Tcopy(H5T_IEEE_F32LE);
    H5Tcommit_anon(file, shared, H5P_DEFAULT, H5P_DEFAULT);
    add("x", shared, 1, (hsize_t[]){4});
    read_made(LT_EFORMAT, "x has a named type");
    H5Tclose(text);
    H5Tclose(sequence);
    H5Tclose(record);
}

static void shapes(void **state) {
    (void)state;
    make();
    add("x", H5T_STD_U8LE, 9, (hsize_t[]){1, 1, 1, 1, 1, 1, 1, 1, 2});
    read_made(LT_EFORMAT, "9 dimensions");
    make();
    add("x", H5T_STD_U8LE, -1, NULL);
    read_made(LT_EFORMAT, "-1 dimensions");
    make(); /* never written: no room was allotted, though the shape claims terabytes */
    hid_t space = H5Screate_simple(2, (hsize_t[]){1 << 20, 1 << 20}, NULL);
    H5Dclose(H5Dcreate2(file, "x", H5T_IEEE_F32LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    H5Sclose(space);
    read_made(LT_EFORMAT, "does not lie inside the file");
}

static void storage(void **state) {
    (void)state;
    const hsize_t dims[] = {16}, chunk[] = {4}, most[] = {H5S_UNLIMITED};
    hid_t list = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(list, 1, chunk);
    make();
    H5Dclose(dataset("x", H5T_STD_U8LE, 1, dims, NULL, list));
    read_made(LT_EFORMAT, "x is not stored in one piece");
    make();
    H5Dclose(dataset("x", H5T_STD_U8LE, 1, dims, most, list));
    read_made(LT_EFORMAT, "x can grow");
    H5Pset_deflate(list, 1);
    make();
    H5Dclose(dataset("x", H5T_STD_U8LE, 1, dims, NULL, list));
    read_made(LT_EFORMAT, "x is not stored in one piece");
    H5Pclose(list);
    list = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_layout(list, H5D_COMPACT);
    make();
    H5Dclose(dataset("x", H5T_STD_U8LE, 1, dims, NULL, list));
    read_made(LT_EFORMAT, "x is not stored in one piece");
    H5Pclose(list);
    list = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_external(list, in_folder("data.bin"), 0, 16);
    make();
    H5Dclose(dataset("x", H5T_STD_U8LE, 1, dims, NULL, list));
    read_made(LT_EFORMAT, "x is not stored in one piece");
    H5Pclose(list);
    list = H5Pcreate(H5P_DATASET_CREATE);
    hid_t space = H5Screate_simple(1, dims, NULL);
    H5Pset_virtual(list, space, "/etc/passwd", "x", space);
    make();
    H5Dclose(H5Dcreate2(file, "x", H5T_STD_U8LE, space, H5P_DEFAULT, list, H5P_DEFAULT));
    H5Sclose(space);
    H5Pclose(list);
    read_made(LT_EFORMAT, "x is not stored in one piece");
}

static void attributes_depth_and_front(void **state) {
    (void)state;
    make();
    hid_t space = H5Screate(H5S_SCALAR), group = H5Gcreate2(file, "g", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    H5Aclose(H5Acreate2(group, "a", H5T_STD_I32LE, space, H5P_DEFAULT, H5P_DEFAULT));
    H5Gclose(group);
    H5Sclose(space);
    read_made(LT_EFORMAT, "1 attributes");
    make();
    char path[200] = "";
    hid_t list = H5Pcreate(H5P_GROUP_CREATE);
    H5Pset_link_creation_order(list, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED);
    for (int i = 0; i < 40; i++) {
        snprintf(path + strlen(path), 8, "/d");
        H5Gclose(H5Gcreate2(file, path, H5P_DEFAULT, list, H5P_DEFAULT));
    }
    H5Pclose(list);
    read_made(LT_EFORMAT, "deeper than 32 groups");
    hid_t creation = H5Pcreate(H5P_FILE_CREATE);
    H5Pset_userblock(creation, 1024); /* libhdf5 would find it there */
    file = H5Fcreate(in_folder("f.h5"), H5F_ACC_TRUNC, creation, H5P_DEFAULT);
    assert_true(file >= 0);
    H5Pclose(creation);
    read_made(LT_EFORMAT, "begins at byte 1024 instead of 512");
}

/* What another user of libhdf5 in this process set stays set. */
static void error_printing_stays(void **state) {
    (void)state;
    H5E_auto2_t before, after;
    void *data;
    lth_snapshot *s = small_snapshot(1);
    H5Eget_auto2(H5E_DEFAULT, &before, &data);
    assert_good(lth_h5_write(in_folder("a.h5"), s, e));
    H5Eget_auto2(H5E_DEFAULT, &after, &data);
    assert_non_null(before);
    assert_true(before == after);
    assert_int_equal(H5Fget_obj_count((hid_t)H5F_OBJ_ALL, H5F_OBJ_ALL), 0);
    lth_snapshot_free(s);
}

/* Values that check_h5py.py expects. */
static int write_for_python(const char *path) {
    const float weights[6] = {1, 2, 3, 4, 5, 6};
    const double doubles[2] = {0.1, -1e300};
    const uint16_t bf16[3] = {0x3f80, 0x4000, 0xc040}, f16[2] = {0x3c00, 0xc000};
    const uint8_t mask[3] = {1, 0, 1};
    const int64_t big = INT64_MIN;
    lth_ckpt_facts facts = some_facts();
    lth_error err = {0};
    lth_snapshot *s = lth_snapshot_new();
    lth_snapshot_add(s, "state_dict/z.weight", LT_F32, 2, (int64_t[]){2, 3}, weights, &err);
    lth_snapshot_add(s, "state_dict/a.weight", LT_BF16, 1, (int64_t[]){3}, bf16, &err);
    lth_snapshot_add(s, "state_dict/a.half", LT_F16, 1, (int64_t[]){2}, f16, &err);
    lth_snapshot_add(s, "state_dict/0.mask", LT_BOOL, 1, (int64_t[]){3}, mask, &err);
    lth_snapshot_add(s, "state_dict/0.double", LT_F64, 1, (int64_t[]){2}, doubles, &err);
    lth_snapshot_add(s, "state_dict/0.num_batches_tracked", LT_I64, 0, NULL, &big, &err);
    lth_snapshot_add(s, "state_dict/0.flag", LT_BOOL, 0, NULL, mask, &err);
    lth_snapshot_add(s, "state_dict/0.bytes", LT_U8, 1, (int64_t[]){3}, mask, &err);
    lth_snapshot_add(s, "state_dict/0.none", LT_I32, 2, (int64_t[]){0, 3}, mask, &err);
    lth_snapshot_add_text(s, "config", "name: Z\xc3\xbcrich\n", &err);
    lth_snapshot_add_text(s, "callbacks/My%2FCallback/reason", "", &err);
    lth_ckpt_write(path, s, &facts, &err);
    lth_snapshot_free(s);
    fputs(err.text, stderr);
    return err.code != LT_OK;
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {TEST(what_is_ours_loads), TEST(links),   TEST(types),
                                       TEST(shapes),             TEST(storage), TEST(attributes_depth_and_front),
                                       TEST(error_printing_stays)};
    if (argc == 3 && !strcmp(argv[1], "write")) {
        setenv("LTHOST_LIBRARY_PATH", BUILD_DIR, 1);
        return write_for_python(argv[2]);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
