/* base/npy.h - the header of an array saved by numpy.save: format versions 1 to 3, little endian, C order, the dtypes of lt/base.h. Refuses
 * pickled objects, records, big-endian numbers and Fortran order, saying how to convert; evaluates nothing and reads no data. */
#ifndef LTH_NPY_H
#define LTH_NPY_H
#include "base/error.h"
#include <lt/data.h>

enum { LTH_NPY_FRONT = 12 + (1 << 16) };
/* front: the first `have` bytes of a file of file_size bytes, LTH_NPY_FRONT of them or all. What the header claims is checked against
 * file_size. LT_EFORMAT, LT_EDTYPE. */
lt_status lth_npy_parse(const char *path, const void *front, size_t have, uint64_t file_size, lt_npy_header *out, lth_error *err);
#endif
