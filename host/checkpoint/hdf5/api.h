/* checkpoint/hdf5/api.h - what the host and its HDF5 module (lthost_hdf5.so) know of each other. The module turns items into the bytes
 * of an HDF5 file and back; it opens no file, keeps no state and links nothing of the host: bytes, memory and messages are the host's. */
#ifndef LTH_HDF5_API_H
#define LTH_HDF5_API_H
#include "base/snapshot.h"

enum { LTH_HDF5_API_VERSION = 1, LTH_HDF5_MAX_DEPTH = 32, LTH_HDF5_MAX_OBJECTS = 1 << 20 };

/* The host's side of a call. */
typedef struct lth_hdf5_host {
    void *(*alloc)(size_t bytes);
    void (*free)(void *memory);
    lt_status (*vfail)(lth_error *err, lt_status code, const char *format, va_list args);
} lth_hdf5_host;

/* The bytes of a file. read fills `to` completely or fails; write extends the file. Both keep their own failure in the lth_error of
 * the call and return false. */
typedef struct lth_hdf5_stream {
    void *self;
    bool (*read)(void *self, uint64_t at, void *to, size_t size);
    bool (*write)(void *self, uint64_t at, const void *from, size_t size);
    uint64_t size; /* of the file to read; after a write: of the file written */
} lth_hdf5_stream;

typedef struct lth_hdf5_source {
    void *self;
    size_t count;
    const lth_item *(*at)(void *self, size_t index);
} lth_hdf5_source;

/* What reads: begin for every dataset (its size was checked against the file), then per slab: where it is to be put, and that it is there.
 * false or NULL ends the reading; the sink keeps the failure. Nothing may call back into the module. */
typedef struct lth_hdf5_sink {
    void *self;
    bool (*begin)(void *self, const char *path, lt_dtype dtype, int32_t ndim, const int64_t *shape, size_t size);
    void *(*slab)(void *self, size_t offset, size_t size);
    bool (*filled)(void *self, size_t offset, size_t size);
} lth_hdf5_sink;

typedef struct lth_hdf5_api {
    uint32_t struct_size, version;
    /* user_block: 0 or 512 bytes at the front that are left alone. source paths: as of a snapshot. */
    lt_status (*write)(const lth_hdf5_host *host, lth_hdf5_stream *stream, uint64_t user_block, const lth_hdf5_source *source,
                       lth_error *err);
    lt_status (*read)(const lth_hdf5_host *host, lth_hdf5_stream *stream, uint64_t user_block, const lth_hdf5_sink *sink, lth_error *err);
} lth_hdf5_api;

/* The module's one symbol. */
#define LTH_HDF5_SYMBOL "lth_hdf5_module"
#endif
