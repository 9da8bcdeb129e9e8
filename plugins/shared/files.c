/* shared/files.c - see files.h. */
#include "files.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

lt_status file_fail(lt_status code, char why[FILE_WHY_MAX], const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(why, FILE_WHY_MAX, format, args);
    va_end(args);
    return code;
}

static lt_status map_open_file(mapped_file *file, int fd, const char *path, char why[FILE_WHY_MAX]) {
    struct stat facts;
    if (fstat(fd, &facts)) {
        return file_fail(LT_EIO, why, "cannot look at %s: %s", path, strerror(errno));
    }
    if (!S_ISREG(facts.st_mode)) {
        return file_fail(LT_EFORMAT, why, "%s is no file%s", path, S_ISDIR(facts.st_mode) ? " but a folder" : "");
    }
    file->bytes = (const uint8_t *)"";
    file->size = facts.st_size;
    if (!file->size) {
        return LT_OK;
    }
    void *memory = mmap(NULL, (size_t)file->size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (memory == MAP_FAILED) {
        *file = (mapped_file){0};
        return file_fail(LT_EIO, why, "cannot map %s: %s", path, strerror(errno));
    }
    file->bytes = file->mapping = memory;
    return LT_OK;
}

lt_status file_map(mapped_file *file, const char *path, char why[FILE_WHY_MAX]) {
    *file = (mapped_file){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not hang the run */
    if (fd < 0) {
        return file_fail(errno == ENOENT || errno == ENOTDIR ? LT_EABSENT : LT_EIO, why, "cannot open %s: %s", path, strerror(errno));
    }
    lt_status status = map_open_file(file, fd, path, why);
    close(fd);
    return status;
}

void file_unmap(mapped_file *file) {
    if (file->mapping) {
        munmap(file->mapping, (size_t)file->size);
    }
    *file = (mapped_file){0};
}

bool file_find(const char *folder, const char *name, char out[FILE_PATH_MAX]) {
    const char *shared = getenv("LTHOST_DATA");
    if (shared && *shared) {
        int length = snprintf(out, FILE_PATH_MAX, "%s/%s/%s", shared, folder, name);
        bool in_shared = length > 0 && length < FILE_PATH_MAX && !access(out, F_OK);
        char shared_path[FILE_PATH_MAX];
        memcpy(shared_path, out, FILE_PATH_MAX);
        snprintf(out, FILE_PATH_MAX, "data/%s/%s", folder, name);
        if (access(out, F_OK) && in_shared) {
            memcpy(out, shared_path, FILE_PATH_MAX);
        }
    } else {
        snprintf(out, FILE_PATH_MAX, "data/%s/%s", folder, name);
    }
    return !access(out, F_OK);
}

void file_places(const char *folder, char out[FILE_PATH_MAX]) {
    const char *shared = getenv("LTHOST_DATA");
    if (shared && *shared) {
        snprintf(out, FILE_PATH_MAX, "data/%s of the working directory, %s/%s", folder, shared, folder);
    } else {
        snprintf(out, FILE_PATH_MAX, "data/%s of the working directory, $LTHOST_DATA/%s (LTHOST_DATA is not set)", folder, folder);
    }
}
