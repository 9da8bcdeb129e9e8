/* mnist/idx.c - see idx.h. */
#include "idx.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { HEADER_MAX = 4 + 4 * IDX_MAX_DIMS, UNSIGNED_BYTE = 8 };
static const int64_t size_max = (int64_t)1 << 40;

/* The reason as text; returns code. */
static LT_PRINTF(4, 5) lt_status idx_fail(lt_status code, char *why, size_t size, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(why, size, format, args);
    va_end(args);
    return code;
}

static const char *type_name(int type) {
    switch (type) {
    case 9:
        return "signed bytes";
    case 11:
        return "16-bit integers";
    case 12:
        return "32-bit integers";
    case 13:
        return "floats";
    case 14:
        return "doubles";
    default:
        return "elements of an unknown type";
    }
}

int64_t idx_parse(idx_array *array, const uint8_t *bytes, size_t size, char *why, size_t why_size) {
    if (size < 4) {
        return idx_fail(-1, why, why_size, "has %zu bytes: not even an IDX header", size);
    }
    if (bytes[0] || bytes[1]) {
        return idx_fail(-1, why, why_size, "begins with %02x %02x, an IDX file with 00 00: it is none", bytes[0], bytes[1]);
    }
    if (bytes[2] != UNSIGNED_BYTE) {
        return idx_fail(-1, why, why_size, "holds %s (IDX type %d), only unsigned bytes (8) can be read", type_name(bytes[2]), bytes[2]);
    }
    int32_t ndim = bytes[3];
    if (ndim < 1 || ndim > IDX_MAX_DIMS) {
        return idx_fail(-1, why, why_size, "has %d dimensions, 1 to %d can be read", ndim, IDX_MAX_DIMS);
    }
    int64_t length = 4 + 4 * ndim, row = 1;
    if ((int64_t)size < length) {
        return idx_fail(-1, why, why_size, "has %zu bytes, its header alone needs %d", size, (int)length);
    }
    array->ndim = ndim;
    for (int32_t d = 0; d < ndim; d++) {
        const uint8_t *at = bytes + 4 + 4 * d;
        array->shape[d] = (int64_t)at[0] << 24 | (int64_t)at[1] << 16 | (int64_t)at[2] << 8 | at[3];
        if (!array->shape[d]) {
            return idx_fail(-1, why, why_size, "is empty: dimension %d of %d is 0", d + 1, ndim);
        }
        if (d && row > size_max / array->shape[d]) {
            return idx_fail(-1, why, why_size, "claims more than %lld bytes a sample", (long long)size_max);
        }
        row *= d ? array->shape[d] : 1;
    }
    if (row > size_max / array->shape[0]) {
        return idx_fail(-1, why, why_size, "claims more than %lld bytes", (long long)size_max);
    }
    array->row = row;
    return length;
}

static const char *const fix = "delete it, so that it is downloaded or copied again";

static lt_status open_plain(idx_array *array, int fd, int64_t size, const char *path, char *why, size_t why_size) {
    char reason[200];
    if (!size) {
        return idx_fail(LT_EFORMAT, why, why_size, "%s is empty: %s", path, fix);
    }
    void *memory = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (memory == MAP_FAILED) {
        return idx_fail(LT_EIO, why, why_size, "cannot map %s: %s", path, strerror(errno));
    }
    array->memory = memory;
    array->mapped = (size_t)size;
    int64_t header = idx_parse(array, memory, (size_t)size, reason, sizeof reason);
    if (header < 0) {
        return idx_fail(LT_EFORMAT, why, why_size, "%s %s; %s", path, reason, fix);
    }
    int64_t expected = header + array->shape[0] * array->row;
    if (size != expected) {
        return idx_fail(LT_EFORMAT, why, why_size, "%s is %s: expected %lld bytes, found %lld; %s", path,
                        size < expected ? "truncated" : "too long", (long long)expected, (long long)size, fix);
    }
    array->data = (const uint8_t *)memory + header;
    return LT_OK;
}

/* Reads up to `size` bytes; the number, or -1 where the compressed data is damaged. A file that ends too early only reads short. */
static int64_t read_gz(gzFile file, uint8_t *to, int64_t size) {
    int64_t got = 0;
    while (got < size) {
        int64_t left = size - got;
        int now = gzread(file, to + got, left < 1 << 30 ? (unsigned)left : 1u << 30);
        if (now < 0) {
            int code;
            gzerror(file, &code);
            return code == Z_BUF_ERROR ? got : -1;
        }
        if (now == 0) {
            break;
        }
        got += now;
    }
    return got;
}

/* After the last byte there is only the end, and it fits the checksum. */
static bool ends_here(gzFile file) {
    uint8_t more;
    int code;
    if (gzread(file, &more, 1) != 0) {
        return false;
    }
    gzerror(file, &code);
    return code == Z_OK || code == Z_STREAM_END;
}

static lt_status inflate_all(idx_array *array, gzFile file, int64_t packed, const char *path, char *why, size_t why_size) {
    uint8_t head[HEADER_MAX];
    char reason[200];
    int64_t got = read_gz(file, head, 4);
    if (got == 4 && head[3] >= 1 && head[3] <= IDX_MAX_DIMS) {
        got += read_gz(file, head + 4, 4 * head[3]);
    }
    if (got < 0) {
        return idx_fail(LT_EFORMAT, why, why_size, "%s is damaged: its compressed data makes no sense; %s", path, fix);
    }
    int64_t header = idx_parse(array, head, (size_t)got, reason, sizeof reason);
    if (header < 0) {
        return idx_fail(LT_EFORMAT, why, why_size, "%s, decompressed, %s; %s", path, reason, fix);
    }
    int64_t size = array->shape[0] * array->row;
    if (size / 1032 > packed) { /* what deflate can do at best: no memory for a file that cannot hold it */
        return idx_fail(LT_EFORMAT, why, why_size,
                        "%s is truncated: its header promises %lld bytes, %lld compressed ones cannot hold them; %s", path, (long long)size,
                        (long long)packed, fix);
    }
    uint8_t *data = malloc((size_t)size);
    if (!data) {
        return idx_fail(LT_ENOMEM, why, why_size, "no memory for the %lld bytes of %s", (long long)size, path);
    }
    array->memory = data;
    got = read_gz(file, data, size);
    if (got >= 0 && got < size) {
        return idx_fail(LT_EFORMAT, why, why_size, "%s is truncated: expected %lld bytes of decompressed data, found %lld; %s", path,
                        (long long)(header + size), (long long)(header + got), fix);
    }
    if (got < 0 || !ends_here(file)) {
        return idx_fail(LT_EFORMAT, why, why_size, "%s is damaged: %s; %s", path,
                        got < 0 ? "its compressed data makes no sense" : "it does not end where it should", fix);
    }
    array->data = data;
    return LT_OK;
}

static lt_status open_gz(idx_array *array, int fd, int64_t packed, const char *path, char *why, size_t why_size) {
    int own = dup(fd);
    gzFile file = own < 0 ? NULL : gzdopen(own, "rb");
    if (!file) {
        if (own >= 0) {
            close(own);
        }
        return idx_fail(LT_ENOMEM, why, why_size, "no memory to decompress %s", path);
    }
    gzbuffer(file, 1 << 17);
    lt_status status = inflate_all(array, file, packed, path, why, why_size);
    gzclose(file);
    return status;
}

/* By content, not by name: a .gz that was unpacked in place is as good. */
static bool is_gz(int fd) {
    uint8_t magic[2] = {0};
    return pread(fd, magic, 2, 0) == 2 && magic[0] == 0x1f && magic[1] == 0x8b;
}

lt_status idx_open(idx_array *array, const char *path, char *why, size_t why_size) {
    memset(array, 0, sizeof *array);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return idx_fail(errno == ENOENT ? LT_EABSENT : LT_EIO, why, why_size, "cannot open %s: %s", path, strerror(errno));
    }
    struct stat facts;
    lt_status status;
    if (fstat(fd, &facts)) {
        status = idx_fail(LT_EIO, why, why_size, "cannot open %s: %s", path, strerror(errno));
    } else if (!S_ISREG(facts.st_mode)) {
        status = idx_fail(LT_EFORMAT, why, why_size, "%s is no file", path);
    } else {
        status = (is_gz(fd) ? open_gz : open_plain)(array, fd, facts.st_size, path, why, why_size);
    }
    close(fd); /* a mapping stays */
    if (status) {
        idx_close(array);
    }
    return status;
}

void idx_close(idx_array *array) {
    if (array->mapped) {
        munmap(array->memory, array->mapped);
    } else {
        free(array->memory);
    }
    memset(array, 0, sizeof *array);
}
