/* checkpoint/checkpoint.h - a snapshot of a run as one HDF5 file, written so that a crash at any instant leaves the previous one loadable.
 *
 * File: 512 bytes of ours at the front (an HDF5 user block), then HDF5 (libver V110) with the snapshot's paths as groups and datasets,
 * texts as scalar strings of fixed length, creation order tracked: order is kept within a group. User block, little endian:
 *   0 magic "LTHOSTC1" | 8 u32 format version | 12 u32 header bytes (512) | 16 u64 file length | 24 u64 xxh3-128 of bytes 512..end: low,
 *   32 high | 40 i64 epoch | 48 i64 global_step | 56 i64 batches (total trained) | 64 f64 score | 72 u8 has_score, 73 u8 higher_is_better,
 *   74 u8 weights_only | 80 char[64] monitor | 144 u64 xxh3-64 of bytes 0..143 | zeros
 * It is checked before libhdf5 sees the file. HDF5 is opened lazily: its code is a module of its own (checkpoint/hdf5).
 * Reading allows only what we write: no links, virtual datasets, filters, variable-length types; every size is checked against the file. */
#ifndef LTH_CHECKPOINT_H
#define LTH_CHECKPOINT_H
#include "base/snapshot.h"
#include <stdbool.h>

#define LTH_CKPT_SCHEMA 1

typedef struct lth_ckpt_facts {
    int64_t epoch, global_step, batches;
    double score;
    bool has_score, higher_is_better, weights_only;
    char monitor[64];
} lth_ckpt_facts;

/* temporary file in the same folder -> close -> verify -> fsync -> rename -> fsync of the folder. */
lt_status lth_ckpt_write(const char *path, const lth_snapshot *snapshot, const lth_ckpt_facts *facts, lth_error *err);
/* Header only: cheap. LT_EFORMAT names what is wrong ("truncated: 1,204 of 61,440 bytes"). */
lt_status lth_ckpt_probe(const char *path, lth_ckpt_facts *facts, lth_error *err);
/* Header, length and hash of the whole file; no HDF5. */
lt_status lth_ckpt_verify(const char *path, lth_ckpt_facts *facts, lth_error *err);
/* verify, then read. */
lt_status lth_ckpt_read(const char *path, lth_snapshot **out, lth_ckpt_facts *facts, lth_error *err);
/* A plain HDF5 file of a snapshot (predictions.h5), written in the same safe way but without the user block. */
lt_status lth_h5_write(const char *path, const lth_snapshot *snapshot, lth_error *err);
/* .npy (version 1 to 3, little endian, C order, the dtypes of lt/base.h) into a snapshot item "data". */
lt_status lth_npy_read(const char *path, lth_snapshot **out, lth_error *err);

/* ---- the writer thread: saves and removals in the order given ---- */
typedef struct lth_ckpt_writer lth_ckpt_writer;
lt_status lth_ckpt_writer_new(lth_ckpt_writer **out, lth_error *err);
/* Takes the snapshot over. Waits while two are queued already. A failed save is kept and
 * returned, once, by the next submit, drain or free; a submit that returns it has dropped what it was given. */
lt_status lth_ckpt_writer_save(lth_ckpt_writer *w, const char *path, lth_snapshot *snapshot, const lth_ckpt_facts *facts, lth_error *err);
/* Removes a file once every save before it is safe on disk; if one of them failed, nothing is removed any more.
 * Absolute, or relative to the working directory, as for save. */
lt_status lth_ckpt_writer_remove(lth_ckpt_writer *w, const char *path, lth_error *err);
lt_status lth_ckpt_writer_drain(lth_ckpt_writer *w, lth_error *err);
lt_status lth_ckpt_writer_free(lth_ckpt_writer *w, lth_error *err); /* drains; NULL is fine */
#endif
