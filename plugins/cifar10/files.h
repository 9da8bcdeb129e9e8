/* cifar10/files.h - CIFAR-10's binary files: records of one label and 3 x 32 x 32 bytes, five files for training, one for the test. Found in
 * the usual places, unpacked from the archive, checked before they are believed. Images stay mapped, nothing is copied. */
#ifndef CIFAR10_FILES_H
#define CIFAR10_FILES_H
#include "../shared/files.h"

enum { CIFAR_SIDE = 32, CIFAR_PLANE = CIFAR_SIDE * CIFAR_SIDE, CIFAR_PIXELS = 3 * CIFAR_PLANE, CIFAR_RECORD = 1 + CIFAR_PIXELS };
enum { CIFAR_CLASSES = 10, CIFAR_MAX_FILES = 5 };

typedef struct cifar_part {
    mapped_file files[CIFAR_MAX_FILES];
    int64_t ends[CIFAR_MAX_FILES]; /* images up to the end of that file */
    int n_files;
} cifar_part;

/* Folder that holds all six files, or, not whole, test_batch.bin: dir or dir/cifar-10-batches-bin; dir NULL: data/cifar10 and
 * $LTHOST_DATA/cifar10. False: none. */
bool cifar_find(const char *dir, bool whole, char out[FILE_PATH_MAX]);
lt_status cifar_open(cifar_part *part, const char *folder, bool test, char why[FILE_WHY_MAX]);
void cifar_close(cifar_part *part); /* an empty one too */
static inline int64_t cifar_count(const cifar_part *part) { return part->n_files ? part->ends[part->n_files - 1] : 0; }
/* Label, then pixels, of image 0..count-1. */
static inline const uint8_t *cifar_record(const cifar_part *part, int64_t index) {
    int f = 0;
    while (index >= part->ends[f]) {
        f++;
    }
    return part->files[f].bytes + (index - (f ? part->ends[f - 1] : 0)) * CIFAR_RECORD;
}
/* Unpacks the .bin files of a .tar.gz into a folder that exists; each is complete or absent. */
lt_status cifar_unpack(const char *archive, const char *folder, char why[FILE_WHY_MAX]);
#endif
