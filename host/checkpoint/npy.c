/* checkpoint/npy.c - arrays saved by numpy.save, as snapshots. What their headers say is base/npy.c's. */
#include "base/npy.h"
#include "base/mem.h"
#include "checkpoint/internal.h"

static void check_bools(const char *path, const unsigned char *data, size_t size, lth_error *err) {
    for (size_t i = 0; i < size; i++) {
        if (data[i] > 1) {
            lth_fail(err, LT_EFORMAT, "%s holds the bool %d at index %zu; 0 and 1 are possible", path, data[i], i);
            return;
        }
    }
}

static void read_array(const char *path, lth_ckpt_file *file, lth_snapshot *out, lth_error *err) {
    lt_npy_header head = {.struct_size = sizeof head};
    size_t have = file->size < LTH_NPY_FRONT ? (size_t)file->size : LTH_NPY_FRONT;
    unsigned char *front = lth_alloc(have ? have : 1);
    if (!front) {
        lth_fail(err, LT_ENOMEM, "out of memory reading %s", path);
        return;
    }
    if (!lth_ckpt_file_read(file, 0, front, have)) {
        lth_ckpt_file_fail(file, err);
    } else {
        lth_npy_parse(path, front, have, file->size, &head, err);
    }
    lth_free(front);
    void *data = err->code ? NULL : lth_snapshot_reserve(out, "data", head.dtype, head.ndim, head.shape, err);
    if (data && !lth_ckpt_file_read(file, (uint64_t)head.offset, data, (size_t)head.size)) {
        lth_ckpt_file_fail(file, err);
    } else if (data && head.dtype == LT_BOOL) {
        check_bools(path, data, (size_t)head.size, err);
    }
}

lt_status lth_npy_read(const char *path, lth_snapshot **out, lth_error *err) {
    lth_ckpt_file file;
    lth_error own = {0};
    lth_snapshot *snapshot = *out = NULL;
    if (lth_ckpt_file_open(&file, path, &own) == LT_OK) {
        snapshot = lth_snapshot_new();
        if (snapshot) {
            read_array(path, &file, snapshot, &own);
        } else {
            lth_fail(&own, LT_ENOMEM, "out of memory reading %s", path);
        }
    }
    lth_ckpt_file_close(&file);
    if (own.code) {
        lth_snapshot_free(snapshot);
        return lth_fail(err, own.code, "%s", own.text);
    }
    *out = snapshot;
    return LT_OK;
}
