/* cifar10/files.c - see files.h. */
#include "files.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

enum { TAR_BLOCK = 512 };

/* The file's path in the folder: 0 to 4 are training batches, 5 the test batch. */
static void path_of(const char *folder, int i, char out[FILE_PATH_MAX]) {
    if (i < CIFAR_MAX_FILES) {
        snprintf(out, FILE_PATH_MAX, "%.*s/data_batch_%d.bin", FILE_PATH_MAX - 32, folder, i + 1);
    } else {
        snprintf(out, FILE_PATH_MAX, "%.*s/test_batch.bin", FILE_PATH_MAX - 32, folder);
    }
}

/* The test batch and, for a whole folder, the others: what a kill while unpacking left behind is not enough. */
static bool has_files(const char *folder, bool whole) {
    char path[FILE_PATH_MAX];
    for (int i = whole ? 0 : CIFAR_MAX_FILES; i <= CIFAR_MAX_FILES; i++) {
        path_of(folder, i, path);
        if (access(path, F_OK)) {
            return false;
        }
    }
    return true;
}

bool cifar_find(const char *dir, bool whole, char out[FILE_PATH_MAX]) {
    static const char *const below[] = {"", "/cifar-10-batches-bin"};
    const char *shared = getenv("LTHOST_DATA");
    const char *roots[2] = {dir ? dir : "data/cifar10", NULL};
    char in_shared[FILE_PATH_MAX];
    if (!dir && shared && *shared) {
        snprintf(in_shared, sizeof in_shared, "%s/cifar10", shared);
        roots[1] = in_shared;
    }
    for (int i = 0; i < 4; i++) {
        const char *root = roots[i / 2];
        if (root && snprintf(out, FILE_PATH_MAX, "%s%s", root, below[i % 2]) < FILE_PATH_MAX && has_files(out, whole)) {
            return true;
        }
    }
    return false;
}

static lt_status open_one(cifar_part *part, const char *path, char why[FILE_WHY_MAX]) {
    mapped_file *file = &part->files[part->n_files];
    lt_status status = file_map(file, path, why);
    if (status) {
        return status;
    }
    int64_t count = file->size / CIFAR_RECORD;
    part->ends[part->n_files] = cifar_count(part) + count;
    part->n_files++;
    if (!count || file->size % CIFAR_RECORD) {
        return file_fail(LT_EFORMAT, why, "%s has %lld bytes, no multiple of %d (a label and %d pixels): it is damaged, delete it", path,
                         (long long)file->size, CIFAR_RECORD, CIFAR_PIXELS);
    }
    for (int64_t i = 0; i < count; i++) {
        if (file->bytes[i * CIFAR_RECORD] >= CIFAR_CLASSES) {
            return file_fail(LT_EFORMAT, why, "%s: image %lld has label %d, labels are 0 to %d", path, (long long)i,
                             file->bytes[i * CIFAR_RECORD], CIFAR_CLASSES - 1);
        }
    }
    return LT_OK;
}

lt_status cifar_open(cifar_part *part, const char *folder, bool test, char why[FILE_WHY_MAX]) {
    char path[FILE_PATH_MAX];
    lt_status status = LT_OK;
    cifar_close(part);
    for (int i = test ? CIFAR_MAX_FILES : 0; !status && i < CIFAR_MAX_FILES + test; i++) {
        path_of(folder, i, path);
        status = open_one(part, path, why);
    }
    if (status) {
        cifar_close(part);
    }
    return status;
}

void cifar_close(cifar_part *part) {
    for (int i = 0; i < CIFAR_MAX_FILES; i++) {
        file_unmap(&part->files[i]);
    }
    *part = (cifar_part){0};
}

/* ---- the archive ---- */

static lt_status damaged(const char *archive, char why[FILE_WHY_MAX]) {
    return file_fail(LT_EFORMAT, why, "%s is damaged or cut off: delete it, so that it is downloaded again", archive);
}

static bool read_all(gzFile in, void *to, unsigned size) { return gzread(in, to, size) == (int)size; }

/* A file of that size to path, by way of a temporary one. */
static lt_status unpack_file(gzFile in, int64_t size, const char *path, const char *archive, char why[FILE_WHY_MAX]) {
    char part[FILE_PATH_MAX + 160];
    uint8_t block[TAR_BLOCK];
    snprintf(part, sizeof part, "%s.part", path);
    FILE *out = fopen(part, "wb");
    if (!out) {
        return file_fail(LT_EIO, why, "cannot write %s: %s", part, strerror(errno));
    }
    bool read = true, written = true;
    for (int64_t left = size; left > 0 && read && written; left -= TAR_BLOCK) {
        size_t now = left < TAR_BLOCK ? (size_t)left : TAR_BLOCK;
        read = read_all(in, block, TAR_BLOCK);
        written = !read || fwrite(block, 1, now, out) == now;
    }
    written = !fclose(out) && written;
    if (read && written && !rename(part, path)) {
        return LT_OK;
    }
    int code = errno;
    unlink(part);
    return read ? file_fail(code == ENOSPC ? LT_ENOSPC : LT_EIO, why, "cannot write %s: %s", path, strerror(code))
                : damaged(archive, why);
}

/* The name after the last '/', if it is one of CIFAR-10's. */
static const char *wanted(const char *name) {
    const char *slash = strrchr(name, '/'), *base = slash ? slash + 1 : name;
    size_t length = strlen(base);
    bool batch = !strncmp(base, "data_batch_", 11) && length == 16 && base[11] >= '1' && base[11] <= '5' && !strcmp(base + 12, ".bin");
    return batch || !strcmp(base, "test_batch.bin") ? base : NULL;
}

static lt_status unpack(gzFile in, const char *archive, const char *folder, char why[FILE_WHY_MAX]) {
    char head[TAR_BLOCK], path[FILE_PATH_MAX + 128], name[101], size_text[13];
    bool whole;
    while ((whole = read_all(in, head, TAR_BLOCK)) && head[0]) {
        memcpy(name, head, 100);
        memcpy(size_text, head + 124, 12);
        name[100] = size_text[12] = 0;
        int64_t size = strtoll(size_text, NULL, 8);
        if (memcmp(head + 257, "ustar", 5) || size < 0) {
            return file_fail(LT_EFORMAT, why, "%s is no tar archive in gzip: delete it, so that it is downloaded again", archive);
        }
        const char *base = head[156] == '0' || !head[156] ? wanted(name) : NULL;
        if (!base) {
            for (int64_t left = size; left > 0; left -= TAR_BLOCK) {
                if (!read_all(in, head, TAR_BLOCK)) {
                    return damaged(archive, why);
                }
            }
            continue;
        }
        snprintf(path, sizeof path, "%s/%s", folder, base);
        lt_status status = unpack_file(in, size, path, archive, why);
        if (status) {
            return status;
        }
    }
    return whole ? LT_OK : damaged(archive, why); /* it ends with a block of zeros */
}

lt_status cifar_unpack(const char *archive, const char *folder, char why[FILE_WHY_MAX]) {
    gzFile in = gzopen(archive, "rb");
    if (!in) {
        return file_fail(errno == ENOENT ? LT_EABSENT : LT_EIO, why, "cannot open %s: %s", archive, strerror(errno));
    }
    lt_status status = unpack(in, archive, folder, why);
    gzclose(in);
    return status;
}
