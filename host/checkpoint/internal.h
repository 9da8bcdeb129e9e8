/* checkpoint/internal.h - what the files of checkpoint/ share: the user block, an open file as a stream, the module. */
#ifndef LTH_CHECKPOINT_INTERNAL_H
#define LTH_CHECKPOINT_INTERNAL_H
#include "base/hash.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/hdf5/api.h"

enum { LTH_CKPT_BLOCK = 512, LTH_CKPT_FORMAT = 1 };

/* ---- header.c ---- */
typedef struct lth_ckpt_header {
    uint64_t length;  /* of the whole file */
    lth_hash128 hash; /* of bytes 512..length */
    lth_ckpt_facts facts;
} lth_ckpt_header;
void lth_ckpt_encode(const lth_ckpt_header *header, unsigned char block[LTH_CKPT_BLOCK]);
/* block: the first `got` bytes of a file of file_size bytes. LT_EFORMAT says what is wrong with it. */
lt_status lth_ckpt_decode(const unsigned char *block, size_t got, uint64_t file_size, const char *path, lth_ckpt_header *out,
                          lth_error *err);

/* ---- stream.c ---- */
typedef struct lth_ckpt_file {
    int fd;
    const char *path;
    uint64_t size;
    int number;          /* errno of the first failed write or read; 0 */
    const char *doing;   /* what failed: "read", "sync" */
} lth_ckpt_file;
/* A regular file for reading. */
lt_status lth_ckpt_file_open(lth_ckpt_file *file, const char *path, lth_error *err);
void lth_ckpt_file_close(lth_ckpt_file *file);
bool lth_ckpt_file_read(void *file, uint64_t at, void *to, size_t size);    /* an lth_hdf5_stream's read: fails at the end of the file */
bool lth_ckpt_file_write(void *file, uint64_t at, const void *from, size_t size);
/* Of bytes from..size. */
lt_status lth_ckpt_file_hash(lth_ckpt_file *file, uint64_t from, lth_hash128 *out, lth_error *err);
lt_status lth_ckpt_file_fail(const lth_ckpt_file *file, lth_error *err);    /* number and doing as a failure of reading */

/* ---- hdf5_module.c ---- */
const lth_hdf5_api *lth_hdf5_open(lth_error *err); /* loads it at the first call; NULL: missing or unfit */
extern const lth_hdf5_host lth_hdf5_services;

/* ---- file.c ---- */
/* Header of an open file. */
lt_status lth_ckpt_file_header(lth_ckpt_file *file, lth_ckpt_header *out, lth_error *err);
/* The HDF5 part into a sink; failures get the path in front. inner: where the sink keeps its own. */
lt_status lth_ckpt_file_items(lth_ckpt_file *file, uint64_t user_block, const lth_hdf5_sink *sink, lth_error *inner, lth_error *err);
#endif
