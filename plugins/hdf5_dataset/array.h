/* hdf5_dataset/array.h - one dataset of an HDF5 file, read row by row: runs of neighbouring rows in one call, so that chunks are read and
 * decompressed as few times as the order allows. Nothing is kept but HDF5's chunk cache. Any number of threads may read: libhdf5 holds one
 * lock, and one that was built without it is refused. Knows nothing of the host: errors are texts. */
#ifndef HDF5_ARRAY_H
#define HDF5_ARRAY_H
#include "../shared/files.h"

#include <hdf5.h>

typedef struct h5_array {
    char *file, *path; /* for messages */
    hid_t file_id, id, space;
    int32_t ndim;
    int64_t shape[LT_MAX_DIMS];
    int64_t row; /* numbers in one row */
    bool integer;
} h5_array;

/* Opens file:path, of integers or floats in 1 to 8 dimensions. On failure it is empty and `why` says why. */
lt_status h5_array_open(h5_array *array, const char *file, const char *path, int64_t cache_bytes, char why[FILE_WHY_MAX]);
void h5_array_close(h5_array *array); /* an empty one too */
/* Rows rows[0..count) to out, converted to dtype (LT_F32, LT_F64, LT_I64, LT_U8). LT_EFORMAT: a number that an integer dtype cannot hold, too. */
lt_status h5_array_read(const h5_array *array, const int64_t *rows, int64_t count, lt_dtype dtype, void *out, char why[FILE_WHY_MAX]);
#endif
