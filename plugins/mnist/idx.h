/* mnist/idx.h - files in IDX format (MNIST's), plain or .gz, of unsigned bytes in 1 to 4 dimensions.
 * Everything a file claims is checked against what it holds before it is believed. Plain files are mapped, not read: a run starts at
 * once. Knows nothing of the host: errors are texts. Does not write and does not read other element types. */
#ifndef MNIST_IDX_H
#define MNIST_IDX_H
#include <lt/base.h>

enum { IDX_MAX_DIMS = 4 };
typedef struct idx_array {
    int32_t ndim;
    int64_t shape[IDX_MAX_DIMS];
    int64_t row; /* bytes of one item of the first dimension */
    const uint8_t *data;
    void *memory;  /* what close gives back: a mapping, or memory */
    size_t mapped; /* its size; 0: memory */
} idx_array;

/* The header of a file of which `size` bytes are at hand: fills ndim, shape and row. Returns its length in bytes, or -1 with `why`. */
int64_t idx_parse(idx_array *array, const uint8_t *bytes, size_t size, char *why, size_t why_size);
/* Opens a file. On failure the array is empty and `why` names file, reason and fix. LT_EABSENT, LT_EIO, LT_EFORMAT, LT_ENOMEM. */
lt_status idx_open(idx_array *array, const char *path, char *why, size_t why_size);
void idx_close(idx_array *array); /* an empty one too */
#endif
