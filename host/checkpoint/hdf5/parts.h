/* checkpoint/hdf5/parts.h - what the files of the module share: one call's state, its file driver and the types of a file. */
#ifndef LTH_HDF5_PARTS_H
#define LTH_HDF5_PARTS_H
#include "checkpoint/hdf5/api.h"
#include <hdf5.h>
#if defined(__has_include)
#if __has_include(<H5FDdevelop.h>) /* 1.13.2 moved file drivers there */
#include <H5FDdevelop.h>
#endif
#endif

enum { TYPE_COUNT = 9 }; /* by lt_dtype; 0 unused: the type of a text depends on its length */

typedef struct lth_h5_call {
    const lth_hdf5_host *host;
    lth_hdf5_stream *stream;
    lth_error *err;
    uint64_t eof;       /* of the file as libhdf5 sees it */
    bool failed;        /* a write failed: libhdf5 is told of none, so that it closes the file as always, and the file is thrown away */
    bool writing;
    hid_t types[TYPE_COUNT];
} lth_h5_call;

lt_status lth_h5_fail(lth_h5_call *call, lt_status code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The failure that libhdf5 reports for this thread, said of `doing`. */
lt_status lth_h5_fail_library(lth_h5_call *call, const char *doing, const char *path);

/* A file access list whose files are the call's stream. Negative: failed. */
hid_t lth_h5_access(lth_h5_call *call);

lt_status lth_h5_types_open(lth_h5_call *call);
void lth_h5_types_close(lth_h5_call *call);
size_t lth_h5_type_size(lt_dtype dtype);

lt_status lth_h5_put(lth_h5_call *call, uint64_t user_block, const lth_hdf5_source *source);
lt_status lth_h5_get(lth_h5_call *call, uint64_t user_block, const lth_hdf5_sink *sink);
#endif
