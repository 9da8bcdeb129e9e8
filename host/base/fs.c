/* base/fs.c - paths are texts and are not resolved: ".." stays, since a symbolic link may stand before it. */
#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <pwd.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static lt_status fail_errno(lth_error *err, const char *doing, const char *path, int number) {
    lt_status code = number == ENOENT                          ? LT_EABSENT
                     : number == ENOSPC || number == EDQUOT    ? LT_ENOSPC
                     : number == ENOMEM                        ? LT_ENOMEM
                                                               : LT_EIO;
    return lth_fail(err, code, "cannot %s %s: %s", doing, path, strerror(number));
}

static lt_status fail_memory(lth_error *err, const char *path) { return lth_fail(err, LT_ENOMEM, "out of memory for the path %s", path); }

/* ---- paths ---- */

/* Home folder for "~" or "~name" (length bytes); NULL if there is none. */
static const char *home_of(const char *name, size_t length) {
    if (length == 1) {
        const char *home = getenv("HOME");
        if (home && *home) {
            return home;
        }
        const struct passwd *me = getpwuid(getuid());
        return me ? me->pw_dir : NULL;
    }
    char user[256];
    if (length > sizeof user) {
        return NULL;
    }
    memcpy(user, name + 1, length - 1);
    user[length - 1] = 0;
    const struct passwd *other = getpwnam(user);
    return other ? other->pw_dir : NULL;
}

static char *join(const char *head, const char *tail) {
    size_t a = strlen(head), b = strlen(tail);
    bool slash = a > 0 && b > 0 && head[a - 1] != '/' && tail[0] != '/';
    char *path = lth_alloc(a + slash + b + 1);
    if (path) {
        memcpy(path, head, a);
        path[a] = '/';
        memcpy(path + a + slash, tail, b + 1);
    }
    return path;
}

static char *expand_home(const char *name) {
    size_t length = strcspn(name, "/");
    const char *home = home_of(name, length);
    return home ? join(home, name + length) : lth_strdup(name);
}

char *lth_path_join(const char *dir, const char *name) {
    if (name[0] == '~') {
        return expand_home(name);
    }
    return name[0] == '/' || !dir || !*dir ? lth_strdup(name) : join(dir, name);
}

char *lth_path_dir(const char *path) {
    size_t end = strlen(path);
    while (end > 1 && path[end - 1] == '/') {
        end--;
    }
    while (end > 0 && path[end - 1] != '/') {
        end--;
    }
    while (end > 1 && path[end - 1] == '/') {
        end--;
    }
    return end == 0 ? lth_strdup(".") : lth_strndup(path, end);
}

const char *lth_path_base(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Drops "." parts and doubled slashes, in place. */
static void tidy(char *path) {
    char *out = path;
    for (const char *in = path; *in;) {
        while (in[0] == '/' && (in[1] == '/' || (in[1] == '.' && (in[2] == '/' || in[2] == 0)))) {
            in += in[1] == '/' ? 1 : 2;
        }
        if (*in) {
            *out++ = *in++;
        }
    }
    if (out - path > 1 && out[-1] == '/') {
        out--;
    }
    if (out == path) {
        *out++ = '/';
    }
    *out = 0;
}

char *lth_path_absolute(const char *path) {
    char *cwd = NULL, here[PATH_MAX];
    if (path[0] != '/' && path[0] != '~') {
        cwd = getcwd(here, sizeof here);
    }
    char *whole = lth_path_join(cwd, path);
    if (whole && whole[0] == '~') { /* of no user: a plain name after all */
        char *named = getcwd(here, sizeof here) ? join(here, whole) : NULL;
        lth_free(whole);
        whole = named;
    }
    if (whole && whole[0] == '/') {
        tidy(whole);
    }
    return whole;
}

bool lth_path_exists(const char *path) {
    struct stat info;
    return stat(path, &info) == 0;
}

bool lth_path_is_dir(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* ---- folders ---- */

static lt_status make_dir(const char *path, lth_error *err) {
    if (mkdir(path, 0777) == 0) {
        return LT_OK;
    }
    int number = errno;
    if (lth_path_is_dir(path)) { /* there already, whatever mkdir says: EEXIST, EROFS or EISDIR */
        return LT_OK;
    }
    if (number == EEXIST) {
        return lth_fail(err, LT_EIO, "cannot make the folder %s: a file of that name is in the way", path);
    }
    return fail_errno(err, "make the folder", path, number);
}

lt_status lth_make_dirs(const char *path, lth_error *err) {
    if (!*path) {
        return lth_fail(err, LT_EINVAL, "cannot make a folder without a name");
    }
    char *part = lth_strdup(path);
    if (!part) {
        return fail_memory(err, path);
    }
    lt_status status = LT_OK;
    for (char *c = part + 1; *c && status == LT_OK; c++) {
        if (*c == '/' && c[-1] != '/') {
            *c = 0;
            status = make_dir(part, err);
            *c = '/';
        }
    }
    if (status == LT_OK) {
        status = make_dir(part, err);
    }
    lth_free(part);
    return status;
}

lt_status lth_sync_dir(const char *dir, lth_error *err) {
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return fail_errno(err, "open the folder", dir, errno);
    }
    /* File systems without fsync for folders (some network ones) say EINVAL: nothing better can be done there. */
    int number = fsync(fd) == 0 || errno == EINVAL ? 0 : errno;
    close(fd);
    return number ? fail_errno(err, "sync the folder", dir, number) : LT_OK;
}

/* ---- whole files ---- */

/* Reads until the end or until more than max_bytes are there. */
static lt_status read_all(int fd, const char *path, size_t max_bytes, size_t expected, lth_buf *out, lth_error *err) {
    size_t capacity = (expected < max_bytes ? expected : max_bytes) + 1; /* one more, to see the end without growing */
    for (;;) {
        if (out->size + 1 >= out->capacity) {
            capacity = out->capacity ? out->capacity * 2 : capacity + 1;
            char *grown = lth_realloc(out->data, out->size, capacity);
            if (!grown) {
                return lth_fail(err, LT_ENOMEM, "out of memory reading %s (%zu bytes so far)", path, out->size);
            }
            out->data = grown;
            out->capacity = capacity;
        }
        ssize_t got = read(fd, out->data + out->size, out->capacity - 1 - out->size);
        if (got < 0 && errno != EINTR) {
            return fail_errno(err, "read", path, errno);
        }
        if (got == 0) {
            return LT_OK;
        }
        out->size += got > 0 ? (size_t)got : 0;
        if (out->size > max_bytes) {
            return lth_fail(err, LT_EFORMAT, "%s is larger than the %zu bytes such a file may have", path, max_bytes);
        }
    }
}

lt_status lth_read_file(const char *path, size_t max_bytes, char **data, size_t *size, lth_error *err) {
    *data = NULL;
    *size = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return fail_errno(err, "open", path, errno);
    }
    struct stat info;
    lth_buf all = {0};
    lt_status status = LT_OK;
    if (fstat(fd, &info) != 0) {
        status = fail_errno(err, "read", path, errno);
    } else if (S_ISDIR(info.st_mode)) {
        status = lth_fail(err, LT_EIO, "cannot read %s: it is a folder", path);
    } else if (S_ISREG(info.st_mode) && (uint64_t)info.st_size > max_bytes) {
        status = lth_fail(err, LT_EFORMAT, "%s is larger than the %zu bytes such a file may have", path, max_bytes);
    } else {
        status = read_all(fd, path, max_bytes < SIZE_MAX / 4 ? max_bytes : SIZE_MAX / 4,
                          S_ISREG(info.st_mode) ? (size_t)info.st_size : 4096, &all, err);
    }
    close(fd);
    if (status != LT_OK) {
        lth_buf_release(&all);
        return status;
    }
    all.data[all.size] = 0;
    *data = all.data;
    *size = all.size;
    return LT_OK;
}

static int write_all(int fd, const char *data, size_t size) {
    while (size) {
        ssize_t done = write(fd, data, size < (1u << 30) ? size : (1u << 30));
        if (done < 0 && errno != EINTR) {
            return errno;
        }
        if (done > 0) {
            data += done;
            size -= (size_t)done;
        }
    }
    return 0;
}

/* ".name.PID-N.tmp" beside path: same file system, so that rename is atomic. */
static char *temporary_name(const char *path, const char *dir) {
    static _Atomic unsigned number;
    char suffix[64];
    snprintf(suffix, sizeof suffix, ".%ld-%u.tmp", (long)getpid(), atomic_fetch_add(&number, 1));
    lth_buf name = {0};
    lth_buf_printf(&name, "%s/.%s%s", dir, lth_path_base(path), suffix);
    if (name.failed) {
        lth_buf_release(&name);
    }
    return name.data;
}

/* Writes, syncs and moves into place; what failed is removed. */
static lt_status write_and_rename(const char *path, const char *temporary, const void *data, size_t size, lth_error *err) {
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) {
        return fail_errno(err, "write", path, errno);
    }
    struct stat old;
    int number = stat(path, &old) == 0 && S_ISREG(old.st_mode) && fchmod(fd, old.st_mode & 07777) != 0 ? errno : 0;
    if (!number) {
        number = write_all(fd, data, size);
    }
    if (!number && fsync(fd) != 0) {
        number = errno;
    }
    if (close(fd) != 0 && !number) {
        number = errno;
    }
    if (!number && rename(temporary, path) != 0) {
        number = errno;
    }
    if (number) {
        unlink(temporary);
        return fail_errno(err, "write", path, number);
    }
    return LT_OK;
}

lt_status lth_write_file(const char *path, const void *data, size_t size, lth_error *err) {
    if (!*lth_path_base(path)) {
        return lth_fail(err, LT_EINVAL, "cannot write \"%s\": it names a folder, not a file", path);
    }
    char *dir = lth_path_dir(path);
    char *temporary = dir ? temporary_name(path, dir) : NULL;
    lt_status status = temporary ? write_and_rename(path, temporary, data, size, err) : fail_memory(err, path);
    if (status == LT_OK) {
        status = lth_sync_dir(dir, err);
    }
    lth_free(temporary);
    lth_free(dir);
    return status;
}

/* ---- the executable ---- */

static char exe_dir[PATH_MAX] = ".";

static void find_exe_dir(void) {
    char path[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    if (length <= 0) {
        return;
    }
    path[length] = 0;
    char *slash = strrchr(path, '/');
    if (slash) {
        slash[slash == path] = 0;
        memcpy(exe_dir, path, strlen(path) + 1);
    }
}

const char *lth_exe_dir(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, find_exe_dir);
    return exe_dir;
}
