/* checkpoint/stream.c - an open file as the bytes that the HDF5 module reads and writes. Keeps the first errno; retries what signals
 * interrupt; takes regular files only. Creates nothing: save.c does. */
#include "base/mem.h"
#include "checkpoint/internal.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST = 1 << 30, CHUNK = 1 << 20 }; /* Linux moves at most 2 GiB per call */

lt_status lth_ckpt_file_open(lth_ckpt_file *file, const char *path, lth_error *err) {
    struct stat info;
    *file = (lth_ckpt_file){.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), .path = path, .doing = "open"}; /* a FIFO must not wait */
    if (file->fd < 0 || fstat(file->fd, &info) != 0) {
        file->number = errno;
        lth_ckpt_file_close(file);
        return lth_ckpt_file_fail(file, err);
    }
    if (!S_ISREG(info.st_mode)) {
        lth_ckpt_file_close(file);
        return lth_fail(err, LT_EFORMAT, "%s is %s; a file is needed", path, S_ISDIR(info.st_mode) ? "a folder" : "a pipe or device");
    }
    file->size = (uint64_t)info.st_size;
    return LT_OK;
}

void lth_ckpt_file_close(lth_ckpt_file *file) {
    if (file->fd >= 0) {
        close(file->fd);
        file->fd = -1;
    }
}

lt_status lth_ckpt_file_fail(const lth_ckpt_file *file, lth_error *err) {
    lt_status code = file->number == ENOENT ? LT_EABSENT : file->number == ENOMEM ? LT_ENOMEM : LT_EIO;
    return lth_fail(err, code, "cannot %s %s: %s", file->doing, file->path, strerror(file->number));
}

static bool failed(lth_ckpt_file *file, const char *doing, int number) {
    if (!file->number) {
        file->number = number;
        file->doing = doing;
    }
    return false;
}

bool lth_ckpt_file_read(void *self, uint64_t at, void *to, size_t size) {
    lth_ckpt_file *file = self;
    for (size_t done = 0; done < size;) {
        size_t part = size - done < MOST ? size - done : MOST;
        ssize_t got = pread(file->fd, (char *)to + done, part, (off_t)(at + done));
        if (got == 0 || (got < 0 && errno != EINTR)) {
            return failed(file, "read", got == 0 ? ENODATA : errno); /* the end: cut short under our hands */
        }
        done += got > 0 ? (size_t)got : 0;
    }
    return true;
}

bool lth_ckpt_file_write(void *self, uint64_t at, const void *from, size_t size) {
    lth_ckpt_file *file = self;
    for (size_t done = 0; done < size;) {
        size_t part = size - done < MOST ? size - done : MOST;
        ssize_t put = pwrite(file->fd, (const char *)from + done, part, (off_t)(at + done));
        if (put < 0 && errno != EINTR) {
            return failed(file, "write", errno);
        }
        done += put > 0 ? (size_t)put : 0;
    }
    return true;
}

lt_status lth_ckpt_file_hash(lth_ckpt_file *file, uint64_t from, lth_hash128 *out, lth_error *err) {
    lth_hasher *hasher = lth_hasher_new();
    void *chunk = lth_alloc(CHUNK);
    lt_status status = hasher && chunk ? LT_OK : lth_fail(err, LT_ENOMEM, "out of memory checking %s", file->path);
    while (status == LT_OK && from < file->size) {
        size_t size = file->size - from < CHUNK ? (size_t)(file->size - from) : CHUNK;
        if (lth_ckpt_file_read(file, from, chunk, size)) {
            lth_hasher_add(hasher, chunk, size);
            from += size;
        } else {
            status = lth_ckpt_file_fail(file, err);
        }
    }
    lth_free(chunk);
    if (hasher) {
        *out = lth_hasher_end(hasher);
    }
    return status;
}
