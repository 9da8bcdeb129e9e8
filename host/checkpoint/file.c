/* checkpoint/file.c - reading: header, length and hash first, HDF5 only then, all on one open file, so that what is parsed is what was
 * verified. Refuses whatever fails one of these; never repairs. save.c writes. */
#include "base/mem.h"
#include "checkpoint/internal.h"
#include <string.h>

lt_status lth_ckpt_file_header(lth_ckpt_file *file, lth_ckpt_header *out, lth_error *err) {
    unsigned char block[LTH_CKPT_BLOCK];
    size_t got = file->size < sizeof block ? (size_t)file->size : sizeof block;
    if (!lth_ckpt_file_read(file, 0, block, got)) {
        return lth_ckpt_file_fail(file, err);
    }
    return lth_ckpt_decode(block, got, file->size, file->path, out, err);
}

static lt_status open_and_check(lth_ckpt_file *file, const char *path, bool hash, lth_ckpt_facts *facts, lth_error *err) {
    lth_ckpt_header header;
    lth_hash128 found;
    lt_status status = lth_ckpt_file_open(file, path, err);
    if (status == LT_OK) {
        status = lth_ckpt_file_header(file, &header, err);
    }
    if (status == LT_OK && hash) {
        status = lth_ckpt_file_hash(file, LTH_CKPT_BLOCK, &found, err);
        if (status == LT_OK && (found.low != header.hash.low || found.high != header.hash.high)) {
            status = lth_fail(err, LT_EFORMAT, "%s is damaged: the checksum of its content does not match", path);
        }
    }
    if (status == LT_OK && facts) {
        *facts = header.facts;
    }
    return status;
}

lt_status lth_ckpt_probe(const char *path, lth_ckpt_facts *facts, lth_error *err) {
    lth_ckpt_file file;
    lt_status status = open_and_check(&file, path, false, facts, err);
    lth_ckpt_file_close(&file);
    return status;
}

lt_status lth_ckpt_verify(const char *path, lth_ckpt_facts *facts, lth_error *err) {
    lth_ckpt_file file;
    lt_status status = open_and_check(&file, path, true, facts, err);
    lth_ckpt_file_close(&file);
    return status;
}

/* ---- into a snapshot ---- */

typedef struct filling {
    lth_snapshot *snapshot;
    lth_error *err;
    char *data; /* of the item at hand */
} filling;

static bool begin(void *self, const char *path, lt_dtype dtype, int32_t ndim, const int64_t *shape, size_t size) {
    filling *f = self;
    (void)size;
    f->data = lth_snapshot_reserve(f->snapshot, path, dtype, ndim, shape, f->err);
    return f->data != NULL;
}

static void *slab(void *self, size_t offset, size_t size) {
    (void)size;
    return ((filling *)self)->data + offset;
}

static bool filled(void *self, size_t offset, size_t size) {
    (void)self, (void)offset, (void)size;
    return true;
}

lt_status lth_ckpt_file_items(lth_ckpt_file *file, uint64_t user_block, const lth_hdf5_sink *sink, lth_error *inner, lth_error *err) {
    const lth_hdf5_api *api = lth_hdf5_open(err);
    lth_hdf5_stream stream = {.self = file, .read = lth_ckpt_file_read, .size = file->size};
    if (!api) {
        return err && err->code ? err->code : LT_EABSENT;
    }
    lt_status status = api->read(&lth_hdf5_services, &stream, user_block, sink, inner);
    if (status != LT_OK && file->number) {
        return lth_ckpt_file_fail(file, err);
    }
    return status == LT_OK ? LT_OK : lth_fail(err, inner->code ? inner->code : status, "%s: %s", file->path, inner->text);
}

lt_status lth_ckpt_read(const char *path, lth_snapshot **out, lth_ckpt_facts *facts, lth_error *err) {
    lth_ckpt_file file;
    lth_error inner = {0};
    filling f = {.err = &inner};
    const lth_hdf5_sink sink = {.self = &f, .begin = begin, .slab = slab, .filled = filled};
    *out = NULL;
    lt_status status = open_and_check(&file, path, true, facts, err);
    if (status == LT_OK && !(f.snapshot = lth_snapshot_new())) {
        status = lth_fail(err, LT_ENOMEM, "out of memory reading %s", path);
    }
    if (status == LT_OK) {
        status = lth_ckpt_file_items(&file, LTH_CKPT_BLOCK, &sink, &inner, err);
    }
    lth_ckpt_file_close(&file);
    if (status != LT_OK) {
        lth_snapshot_free(f.snapshot);
        return status;
    }
    *out = f.snapshot;
    return LT_OK;
}
