/* checkpoint/save.c - writing: a temporary file in the same folder, HDF5, hash, header, everything read back and compared with the
 * snapshot, fsync, rename, fsync of the folder. Whatever fails, the file of that name stays as it was and the temporary one goes. */
#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"
#include "checkpoint/internal.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

typedef struct saving {
    const char *path;
    char *dir, *temporary;
    lth_ckpt_file file; /* the temporary one */
    const lth_snapshot *snapshot;
    uint64_t user_block, need; /* bytes of data: the file will be a little larger */
    lth_error *err;
} saving;

/* ---- failures ---- */

static bool is_full(int number) { return number == ENOSPC || number == EDQUOT || number == EFBIG; }

static lt_status fail_errno(saving *s, const char *doing, int number) {
    char need[32], room[32];
    struct statvfs info;
    if (!is_full(number)) {
        return lth_fail(s->err, number == ENOMEM ? LT_ENOMEM : LT_EIO, "cannot %s %s: %s", doing, s->path, strerror(number));
    }
    uint64_t left = statvfs(s->dir, &info) == 0 ? (uint64_t)info.f_bavail * info.f_frsize : 0;
    return lth_fail(s->err, LT_ENOSPC, "cannot %s %s: %s; it needs %s bytes, %s are free in %s; free some or choose another folder", doing,
                    s->path, strerror(number), lth_with_commas(s->need, need), lth_with_commas(left, room), s->dir);
}

/* Removed before the failure is told, so that the free space told is what the next try finds. */
static void discard(saving *s) {
    if (s->file.fd >= 0) {
        unlink(s->temporary);
        lth_ckpt_file_close(&s->file);
    }
}

static lt_status give_up(saving *s, const char *doing, int number) {
    discard(s);
    return fail_errno(s, doing, number);
}

/* ---- temporary files ---- */

/* Files of killed processes: of our naming, a minute old, and not locked by a living writer (on whatever host). */
static void sweep(const char *dir) {
    DIR *list = opendir(dir);
    struct stat info;
    for (struct dirent *entry; list && (entry = readdir(list));) {
        size_t length = strlen(entry->d_name);
        if (entry->d_name[0] != '.' || length < 12 || strcmp(entry->d_name + length - 9, ".ckpt-tmp") != 0) {
            continue;
        }
        int fd = openat(dirfd(list), entry->d_name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
        if (fd >= 0 && fstat(fd, &info) == 0 && info.st_mtime < time(NULL) - 60 && flock(fd, LOCK_EX | LOCK_NB) == 0) {
            unlinkat(dirfd(list), entry->d_name, 0);
        }
        if (fd >= 0) {
            close(fd);
        }
    }
    if (list) {
        closedir(list);
    }
}

static lt_status create(saving *s) {
    static _Atomic unsigned number;
    lth_buf name = {0};
    s->dir = lth_path_dir(s->path);
    lth_buf_printf(&name, "%s/.%.200s.%ld-%u.ckpt-tmp", s->dir ? s->dir : "", lth_path_base(s->path), (long)getpid(),
                   atomic_fetch_add(&number, 1));
    s->temporary = name.data;
    if (!s->dir || name.failed) {
        return lth_fail(s->err, LT_ENOMEM, "out of memory for the path %s", s->path);
    }
    sweep(s->dir);
    s->file = (lth_ckpt_file){.fd = open(s->temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666), .path = s->path};
    if (s->file.fd < 0) {
        return fail_errno(s, "write", errno);
    }
    flock(s->file.fd, LOCK_EX | LOCK_NB); /* for sweep(); where it is not possible, nothing is swept either */
    /* Room first: a full disk is known before gigabytes are written. File systems that cannot tell are asked by writing. */
    if (s->need && fallocate(s->file.fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)s->need) != 0 && is_full(errno)) {
        return give_up(s, "write", errno);
    }
    return LT_OK;
}

/* ---- content ---- */

static const lth_item *item_at(void *self, size_t index) { return lth_snapshot_at(self, index); }

static lt_status write_items(saving *s, const lth_hdf5_api *api) {
    lth_error inner = {0};
    lth_hdf5_stream stream = {.self = &s->file, .read = lth_ckpt_file_read, .write = lth_ckpt_file_write};
    const lth_hdf5_source source = {.self = (void *)s->snapshot, .count = lth_snapshot_count(s->snapshot), .at = item_at};
    lt_status status = api->write(&lth_hdf5_services, &stream, s->user_block, &source, &inner);
    if (s->file.number) {
        return give_up(s, s->file.doing, s->file.number);
    }
    if (status != LT_OK) {
        discard(s);
        return lth_fail(s->err, inner.code ? inner.code : status, "cannot write %s: %s", s->path, inner.text);
    }
    s->file.size = stream.size;
    return LT_OK;
}

/* Length and hash as the file has them now, facts as given. */
static lt_status write_header(saving *s, const lth_ckpt_facts *facts) {
    unsigned char block[LTH_CKPT_BLOCK];
    lth_ckpt_header header = {.length = s->file.size};
    if (facts) {
        header.facts = *facts;
    }
    lt_status status = lth_ckpt_file_hash(&s->file, LTH_CKPT_BLOCK, &header.hash, s->err);
    if (status != LT_OK) {
        discard(s);
        return status;
    }
    lth_ckpt_encode(&header, block);
    return lth_ckpt_file_write(&s->file, 0, block, sizeof block) ? LT_OK : give_up(s, s->file.doing, s->file.number);
}

/* ---- reading it back ---- */

typedef struct comparing {
    const lth_snapshot *snapshot;
    const lth_item *item;
    size_t count, capacity;
    char *found; /* one slab */
    lth_error inner;
} comparing;

static bool differs(comparing *c, const char *path) {
    lth_fail(&c->inner, LT_EIO, "%s did not read back as written; the disk, its driver or the memory is faulty", path);
    return false;
}

static bool compare_begin(void *self, const char *path, lt_dtype dtype, int32_t ndim, const int64_t *shape, size_t size) {
    comparing *c = self;
    const lth_item *item = c->item = lth_snapshot_get(c->snapshot, path);
    c->count++;
    bool same = item && item->dtype == dtype && item->size == size &&
                (dtype == 0 || (item->ndim == ndim && memcmp(item->shape, shape, (size_t)ndim * sizeof *shape) == 0));
    return same || differs(c, path);
}

static void *compare_slab(void *self, size_t offset, size_t size) {
    comparing *c = self;
    (void)offset;
    if (size > c->capacity) {
        lth_free(c->found);
        c->found = lth_alloc(size);
        c->capacity = c->found ? size : 0;
    }
    if (!c->found) {
        lth_fail(&c->inner, LT_ENOMEM, "out of memory to check what was written (%zu bytes)", size);
    }
    return c->found;
}

static bool compare_filled(void *self, size_t offset, size_t size) {
    comparing *c = self;
    return memcmp(c->found, (const char *)c->item->data + offset, size) == 0 || differs(c, c->item->path);
}

static lt_status check(saving *s) {
    comparing c = {.snapshot = s->snapshot};
    lth_ckpt_header header;
    struct stat info;
    const lth_hdf5_sink sink = {.self = &c, .begin = compare_begin, .slab = compare_slab, .filled = compare_filled};
    lt_status status = LT_OK;
    if (fstat(s->file.fd, &info) != 0 || (uint64_t)info.st_size != s->file.size) {
        status = lth_fail(s->err, LT_EIO, "cannot write %s: the file has another length than what was written", s->path);
    }
    if (status == LT_OK && s->user_block) {
        status = lth_ckpt_file_header(&s->file, &header, s->err);
    }
    if (status == LT_OK) {
        status = lth_ckpt_file_items(&s->file, s->user_block, &sink, &c.inner, s->err);
    }
    if (status == LT_OK && c.count != lth_snapshot_count(s->snapshot)) {
        status = lth_fail(s->err, LT_EIO, "cannot write %s: %zu of %zu items read back", s->path, c.count, lth_snapshot_count(s->snapshot));
    }
    lth_free(c.found);
    if (status != LT_OK) {
        discard(s);
    }
    return status;
}

/* ---- the recipe ---- */

static lt_status publish(saving *s) {
    if (fsync(s->file.fd) != 0) {
        return give_up(s, "sync", errno);
    }
    if (rename(s->temporary, s->path) != 0) {
        return give_up(s, "move into place", errno);
    }
    lth_ckpt_file_close(&s->file); /* nothing left to fail: it is synced */
    return lth_sync_dir(s->dir, s->err);
}

static lt_status save(const char *path, const lth_snapshot *snapshot, uint64_t user_block, const lth_ckpt_facts *facts, lth_error *err) {
    lth_error own = {0};
    saving s = {.path = path, .file = {.fd = -1}, .snapshot = snapshot, .user_block = user_block, .need = user_block, .err = &own};
    const lth_hdf5_api *api = NULL;
    if (!*lth_path_base(path) || lth_path_is_dir(path)) {
        return lth_fail(err, LT_EINVAL, "cannot write \"%s\": it names a folder, not a file", path);
    }
    for (size_t i = 0; i < lth_snapshot_count(snapshot); i++) {
        s.need += lth_snapshot_at(snapshot, i)->size;
    }
    if ((api = lth_hdf5_open(&own)) && create(&s) == LT_OK && write_items(&s, api) == LT_OK &&
        (!user_block || write_header(&s, facts) == LT_OK) && check(&s) == LT_OK) {
        publish(&s);
    }
    lth_free(s.temporary);
    lth_free(s.dir);
    return own.code ? lth_fail(err, own.code, "%s", own.text) : LT_OK;
}

lt_status lth_ckpt_write(const char *path, const lth_snapshot *snapshot, const lth_ckpt_facts *facts, lth_error *err) {
    return save(path, snapshot, LTH_CKPT_BLOCK, facts, err);
}

lt_status lth_h5_write(const char *path, const lth_snapshot *snapshot, lth_error *err) { return save(path, snapshot, 0, NULL, err); }
