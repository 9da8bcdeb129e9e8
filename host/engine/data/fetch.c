/* engine/data/fetch.c - makes a file exist with the right content: kept if it is there, else downloaded mirror by mirror into PATH.part,
 * which is locked (several processes may want it), resumed where broken off, checked, and renamed. Never leaves a wrong file at PATH. */
#include "base/fs.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/data/curl.h"
#include "engine/data/parts.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { ATTEMPTS_PER_MIRROR = 3, LINE_EVERY_SECONDS = 5 };

typedef struct job {
    const char *path, *name; /* name: last part of path */
    const char *sha256;      /* NULL: any content */
    char *part;
    int fd;
    int64_t size;    /* of the part, on disk */
    int write_errno; /* the disk failed: no mirror can help */
    double started, told;
    lth_buf failures; /* one line per mirror */
} job;

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* ---- content ---- */

/* SHA-256 of an open file, from its start. */
static bool hash_fd(int fd, char hex[65]) {
    static const size_t chunk = 1 << 16;
    uint8_t *buffer = lth_alloc(chunk);
    lth_sha256 sha;
    lth_sha256_init(&sha);
    ssize_t got = -1;
    for (off_t at = 0; buffer && (got = pread(fd, buffer, chunk, at)) > 0; at += got) {
        lth_sha256_add(&sha, buffer, (size_t)got);
    }
    lth_sha256_end(&sha, hex);
    lth_free(buffer);
    return got == 0;
}

static bool is_right(int fd, const char *sha256, char hex[65]) {
    hex[0] = 0;
    return !sha256 || (hash_fd(fd, hex) && !strcasecmp(hex, sha256));
}

/* Is the file there, and right? `hex`: what it has instead, "" if there is none. */
static bool have_it(const char *path, const char *sha256, char hex[65]) {
    hex[0] = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    struct stat facts;
    bool right = !fstat(fd, &facts) && S_ISREG(facts.st_mode) && is_right(fd, sha256, hex);
    close(fd);
    return right;
}

/* ---- the part file ---- */

/* Opens and locks PATH.part. Whoever held it before may have renamed it away: then the lock is on a finished file; again. */
static lt_status open_part(job *j, lth_error *err) {
    for (;;) {
        j->fd = open(j->part, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
        if (j->fd < 0) {
            return lth_fail(err, LT_EIO, "cannot write %s: %s", j->part, strerror(errno));
        }
        while (flock(j->fd, LOCK_EX) && errno == EINTR) {}
        struct stat mine, there;
        if (!fstat(j->fd, &mine) && !stat(j->part, &there) && mine.st_ino == there.st_ino && mine.st_dev == there.st_dev) {
            j->size = mine.st_size;
            return LT_OK;
        }
        close(j->fd);
    }
}

static bool append(void *to, const void *data, size_t size) {
    job *j = to;
    for (const char *at = data; size;) {
        ssize_t done = pwrite(j->fd, at, size, j->size);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done <= 0) {
            j->write_errno = done < 0 ? errno : EIO;
            return false;
        }
        at += done;
        size -= (size_t)done;
        j->size += done;
    }
    return true;
}

static void start_over(job *j) {
    if (ftruncate(j->fd, 0) && !j->write_errno) {
        j->write_errno = errno;
    }
    j->size = 0;
}

/* ---- transfers ---- */

static void tell(void *to, int64_t total, int64_t now) {
    job *j = to;
    double at = seconds();
    if (at - j->told < (lth_log_width() ? 0.1 : LINE_EVERY_SECONDS)) {
        return;
    }
    j->told = at;
    char text[200];
    int64_t whole = total ? j->size - now + total : 0;
    if (whole > 0) {
        snprintf(text, sizeof text, "%s: %.1f of %.1f MiB", j->name, (double)j->size / 1048576, (double)whole / 1048576);
    } else {
        snprintf(text, sizeof text, "%s: %.1f MiB", j->name, (double)j->size / 1048576);
    }
    if (lth_log_width()) {
        lth_log_status(text);
    } else {
        lth_log(LTH_INFO, "%s", text);
    }
}

static void note_failure(job *j, const char *url, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void note_failure(job *j, const char *url, const char *format, ...) {
    lth_buf_printf(&j->failures, "\n  %s: ", url);
    va_list args;
    va_start(args, format);
    lth_buf_vprintf(&j->failures, format, args);
    va_end(args);
}

/* What the server has cannot continue what we have. */
static bool cannot_resume(const lth_transfer *t) {
    return t->offset > 0 && (t->code == LTH_CURLE_RANGE_ERROR || t->code == LTH_CURLE_BAD_RESUME || t->response == 416);
}

/* True when the part is complete and right. */
static bool try_mirror(job *j, const char *url) {
    if (!j->sha256) {
        start_over(j);
    } /* without a hash, halves of two mirrors might not belong together */
    for (int attempt = 0; attempt < ATTEMPTS_PER_MIRROR && !j->write_errno; attempt++) {
        bool last = attempt == ATTEMPTS_PER_MIRROR - 1;
        lth_transfer t = {.url = url, .offset = j->size, .write = append, .progress = tell, .to = j};
        lth_curl_run(&t);
        if (t.code) {
            if (j->write_errno) {
                return false;
            }
            bool moved = j->size > t.offset, again = (moved || cannot_resume(&t)) && !last;
            if (cannot_resume(&t)) {
                start_over(j);
            }
            if (again) {
                continue;
            }
            note_failure(j, url, "%s", t.reason);
            return false;
        }
        char hex[65];
        if (is_right(j->fd, j->sha256, hex)) {
            return true;
        }
        start_over(j);
        if (t.offset > 0 && !last) {
            continue;
        } /* perhaps what was there before was wrong */
        note_failure(j, url, "wrong content: SHA-256 %s, expected %s", hex, j->sha256);
        return false;
    }
    return false;
}

static lt_status disk_failure(const job *j, int number, lth_error *err) {
    return lth_fail(err, number == ENOSPC || number == EDQUOT ? LT_ENOSPC : LT_EIO, "cannot write %s: %s", j->part, strerror(number));
}

static lt_status finish(job *j, lth_error *err) {
    if (fsync(j->fd)) {
        return disk_failure(j, errno, err);
    }
    if (rename(j->part, j->path)) {
        return lth_fail(err, LT_EIO, "cannot rename %s to %s: %s", j->part, j->path, strerror(errno));
    }
    char *dir = lth_path_dir(j->path);
    lt_status status = dir ? lth_sync_dir(dir, err) : lth_fail(err, LT_ENOMEM, "no memory for the folder of %s", j->path);
    lth_free(dir);
    return status;
}

static lt_status download(job *j, const char *const *urls, int32_t count, lth_error *err) {
    char hex[65];
    if (have_it(j->path, j->sha256, hex)) { /* while we waited for the lock */
        unlink(j->part);
        return LT_OK;
    }
    if (j->size && j->sha256 && is_right(j->fd, j->sha256, hex)) {
        return finish(j, err);
    }
    lt_status status = lth_curl_open(err);
    if (status) {
        return status;
    }
    for (int32_t i = 0; i < count && !j->write_errno; i++) {
        lth_log(LTH_INFO, "downloading %s from %s%s", j->name, urls[i], j->size && j->sha256 ? " (continuing)" : "");
        j->started = j->told = seconds();
        bool done = try_mirror(j, urls[i]);
        lth_log_status(NULL);
        if (done) {
            lth_log(LTH_INFO, "%s: %.1f MiB in %.1f s", j->name, (double)j->size / 1048576, seconds() - j->started);
            return finish(j, err);
        }
    }
    if (j->write_errno) {
        return disk_failure(j, j->write_errno, err);
    }
    if (!j->size) {
        unlink(j->part);
    }
    return lth_fail(err, LT_EIO, "could not download %s; put the file there yourself, or try again later. What failed:%s", j->path,
                    count ? lth_buf_text(&j->failures) : "\n  no url is known for it");
}

lt_status lth_fetch(const char *path, const char *sha256, const char *const *urls, int32_t count, lth_error *err) {
    char hex[65];
    if (have_it(path, sha256, hex)) {
        return LT_OK;
    }
    if (hex[0]) {
        lth_log(LTH_WARNING, "%s is damaged (SHA-256 %s, expected %s); downloading it again", path, hex, sha256);
    }
    job j = {.path = path, .name = lth_path_base(path), .sha256 = sha256, .fd = -1};
    lth_buf part = {0};
    lth_buf_printf(&part, "%s.part", path);
    j.part = part.data;
    char *dir = lth_path_dir(path);
    lt_status status = !dir || part.failed ? lth_fail(err, LT_ENOMEM, "no memory to download %s", path) : lth_make_dirs(dir, err);
    if (!status) {
        status = open_part(&j, err);
    }
    if (!status) {
        status = download(&j, urls, count, err);
    }
    if (j.fd >= 0) {
        close(j.fd);
    }
    lth_free(dir);
    lth_buf_release(&part);
    lth_buf_release(&j.failures);
    return status;
}
