/* trainer/log_files.c - see log_files.h. A file that was rewritten since its length was saved is not cut: its logger must know its rows. */
#include "trainer/log_files.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/str.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUFFER = 64 * 1024, BEGINNING = 4096 };

struct lt_file {
    struct lt_file *next;
    char *name, *path; /* relative to the run folder; absolute */
    int fd;
    int64_t length; /* on disk */
    lth_buf buffer; /* behind it */
    char *content;  /* what file_content handed out last */
};
struct lth_log_files {
    char *run_dir;
    int64_t resume_step;
    lt_file *first;
};

lth_log_files *lth_log_files_new(const char *run_dir, int64_t resume_step) {
    lth_log_files *files = lth_alloc(sizeof *files);

    if (files) {
        files->run_dir = lth_strdup(run_dir);
        files->resume_step = resume_step;
        if (!files->run_dir) {
            lth_free(files);
            return NULL;
        }
    }
    return files;
}

static lt_status flush(lt_file *file, lth_error *err) {
    size_t done = 0;

    while (done < file->buffer.size) {
        ssize_t n = write(file->fd, file->buffer.data + done, file->buffer.size - done);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            int reason = n < 0 ? errno : EIO;

            lth_fail(err, reason == ENOSPC || reason == EDQUOT ? LT_ENOSPC : LT_EIO, "cannot write to %s: %s", file->path,
                     strerror(reason));
            memmove(file->buffer.data, file->buffer.data + done, file->buffer.size - done);
            file->buffer.size -= done;
            return err ? err->code : LT_EIO;
        }
        done += (size_t)n;
        file->length += n;
    }
    lth_buf_clear(&file->buffer);
    return LT_OK;
}

void lth_log_files_free(lth_log_files *files) {
    lt_file *next;

    if (!files) {
        return;
    }
    for (lt_file *file = files->first; file; file = next) {
        next = file->next;
        flush(file, NULL);
        if (file->fd >= 0) {
            close(file->fd);
        }
        lth_buf_release(&file->buffer);
        lth_free(file->content);
        lth_free(file->name);
        lth_free(file->path);
        lth_free(file);
    }
    lth_free(files->run_dir);
    lth_free(files);
}

lt_status lth_log_files_flush(lth_log_files *files, lth_error *err) {
    lt_status status = LT_OK;

    for (lt_file *file = files->first; file; file = file->next) {
        lt_status one = flush(file, err);

        status = status ? status : one;
    }
    return status;
}

/* What an appended file never changes: its beginning. A logger that has rewritten its file since (a wider CSV header) has changed it. */
static int64_t beginning(int fd, int64_t length) {
    char bytes[BEGINNING];
    ssize_t size = pread(fd, bytes, length < BEGINNING ? (size_t)length : BEGINNING, 0);

    return size < 0 ? 0 : (int64_t)lth_hash(bytes, (size_t)size).low;
}

/* Of each file: its length, and a hash of its beginning. */
lt_status lth_log_files_save(lth_log_files *files, lth_snapshot *out, const char *prefix, lth_error *err) {
    const int64_t two = 2;
    char path[600], name[400];

    for (lt_file *file = files->first; file; file = file->next) {
        int64_t facts[2];

        if (flush(file, err)) {
            return err->code;
        }
        facts[0] = file->length;
        facts[1] = beginning(file->fd, file->length);
        lth_snapshot_escape(file->name, name, sizeof name);
        snprintf(path, sizeof path, "%s/%s", prefix, name);
        if (lth_snapshot_add(out, path, LT_I64, 1, &two, facts, err)) {
            return err->code;
        }
    }
    return LT_OK;
}

/* Only names without a way out of the run folder are cut: a checkpoint is not trusted to name others. */
static bool safe_name(const char *name) { return name[0] && name[0] != '/' && !strstr(name, ".."); }

static lt_status cut_file(const char *path, const int64_t *saved, lth_error *err) {
    int fd = open(path, O_RDWR | O_CLOEXEC);
    struct stat facts;
    lt_status status = LT_OK;

    if (fd < 0) {
        return LT_OK; /* gone: the logger begins a new one */
    }
    if (fstat(fd, &facts) == 0 && facts.st_size > saved[0] && beginning(fd, saved[0]) == saved[1] && ftruncate(fd, saved[0])) {
        status =
            lth_fail(err, LT_EIO, "cannot cut %s back to %lld bytes for the resumed run: %s", path, (long long)saved[0], strerror(errno));
    }
    close(fd);
    return status;
}

static lt_status cut_one(const char *run_dir, const char *escaped, const int64_t *saved, lth_error *err) {
    char name[400], *path;
    lt_status status;

    snprintf(name, sizeof name, "%s", escaped);
    lth_snapshot_unescape(name);
    if (!safe_name(name)) {
        return LT_OK;
    }
    path = lth_path_join(run_dir, name);
    if (!path) {
        return lth_fail(err, LT_ENOMEM, "out of memory");
    }
    status = cut_file(path, saved, err);
    lth_free(path);
    return status;
}

lt_status lth_log_files_cut(const char *run_dir, const lth_snapshot *in, const char *prefix, lth_error *err) {
    size_t length = strlen(prefix);

    for (size_t i = 0; i < lth_snapshot_count(in); i++) {
        const lth_item *item = lth_snapshot_at(in, i);

        if (!strncmp(item->path, prefix, length) && item->path[length] == '/' && item->dtype == LT_I64 &&
            item->size == 2 * sizeof(int64_t)) {
            int64_t saved[2];

            memcpy(saved, item->data, sizeof saved);
            if (saved[0] >= 0 && cut_one(run_dir, item->path + length + 1, saved, err)) {
                return err->code;
            }
        }
    }
    return LT_OK;
}

/* ---- lt.logger/1 ---- */

static lt_file *open_file(lth_log_files *files, const char *name, lth_error *err) {
    lt_file *file = lth_alloc(sizeof *file);
    struct stat facts;
    char *dir;

    if (!file || !(file->name = lth_strdup(name)) || !(file->path = lth_path_join(files->run_dir, name)) ||
        !(dir = lth_path_dir(file->path))) {
        lth_fail(err, LT_ENOMEM, "out of memory for the file %s", name);
        goto fail;
    }
    if (lth_make_dirs(dir, err)) {
        lth_free(dir);
        goto fail;
    }
    lth_free(dir);
    file->fd = open(file->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (file->fd < 0 || fstat(file->fd, &facts)) {
        lth_fail(err, LT_EIO, "cannot open %s: %s", file->path, strerror(errno));
        goto fail;
    }
    file->length = facts.st_size;
    file->next = files->first;
    files->first = file;
    return file;
fail:
    if (file) {
        lth_free(file->name);
        lth_free(file->path);
        lth_free(file);
    }
    return NULL;
}

static lt_file *table_append(lt_ctx *ctx, const char *path) {
    LTH_ENTER(ctx, LTH_LOGGER_THREAD, "lt_file_append", NULL);
    if (!path || !safe_name(path)) {
        lth_fail_op(&ctx->error, LT_EINVAL, "lt_file_append", LTH_CALLER, "\"%s\" must be a relative path below the run folder",
                    path ? path : "(null)");
        return NULL;
    }
    for (lt_file *file = ctx->files->first; file; file = file->next) {
        if (!strcmp(file->name, path)) {
            lth_fail_op(&ctx->error, LT_EINVAL, "lt_file_append", LTH_CALLER,
                        "%s is written by another logger already; give one of them another name", path);
            return NULL;
        }
    }
    return open_file(ctx->files, path, &ctx->error);
}

static bool needs_file(lt_ctx *ctx, lt_file *file, const char *op, void *caller) {
    if (!lth_enter(ctx, LTH_LOGGER_THREAD, op, caller)) {
        return false;
    }
    if (!file) {
        lth_fail_op(&ctx->error, LT_EINVAL, op, caller, "argument 2 (file) is NULL, and no earlier call failed");
        return false;
    }
    return true;
}

static void after_write(lt_ctx *ctx, lt_file *file) {
    if (file->buffer.failed) {
        lth_fail(&ctx->error, LT_ENOMEM, "out of memory buffering %s", file->path);
    } else if (file->buffer.size > BUFFER) {
        flush(file, &ctx->error);
    }
}

static void table_write(lt_ctx *ctx, lt_file *file, const void *data, size_t size) {
    if (needs_file(ctx, file, "lt_file_write", LTH_CALLER)) {
        lth_buf_add_bytes(&file->buffer, data, size);
        after_write(ctx, file);
    }
}

static void table_vprint(lt_ctx *ctx, lt_file *file, const char *format, va_list args) {
    if (needs_file(ctx, file, "lt_file_print", LTH_CALLER)) {
        lth_buf_vprintf(&file->buffer, format, args);
        after_write(ctx, file);
    }
}

static int64_t table_size(lt_ctx *ctx, lt_file *file) {
    return needs_file(ctx, file, "lt_file_size", LTH_CALLER) ? file->length + (int64_t)file->buffer.size : 0;
}

static lt_status table_rewrite(lt_ctx *ctx, lt_file *file, const void *data, size_t size) {
    int fd;

    if (!needs_file(ctx, file, "lt_file_rewrite", LTH_CALLER)) {
        return ctx->error.code;
    }
    if (lth_write_file(file->path, data, size, &ctx->error)) {
        return ctx->error.code;
    }
    fd = open(file->path, O_RDWR | O_APPEND | O_CLOEXEC);
    if (fd < 0) {
        return lth_fail(&ctx->error, LT_EIO, "cannot open %s again: %s", file->path, strerror(errno));
    }
    close(file->fd);
    file->fd = fd;
    file->length = (int64_t)size;
    lth_buf_clear(&file->buffer);
    return LT_OK;
}

static const void *table_content(lt_ctx *ctx, lt_file *file, size_t *size) {
    size_t length;

    *size = 0;
    if (!needs_file(ctx, file, "lt_file_content", LTH_CALLER) || flush(file, &ctx->error)) {
        return NULL;
    }
    lth_free(file->content);
    file->content = NULL;
    if (lth_read_file(file->path, (size_t)1 << 32, &file->content, &length, &ctx->error)) {
        return NULL;
    }
    *size = length;
    return file->content;
}

static const char *table_run_dir(lt_ctx *ctx) {
    LTH_ENTER(ctx, LTH_LOGGER_THREAD, "lt_run_dir", NULL);
    return ctx->files->run_dir;
}

static int64_t table_resume_step(lt_ctx *ctx) {
    LTH_ENTER(ctx, LTH_LOGGER_THREAD, "lt_resume_step", -1);
    return ctx->files->resume_step;
}

const lt_logger_api lth_logger_table = {
    .struct_size = sizeof(lt_logger_api),
    .file_append = table_append,
    .file_write = table_write,
    .file_vprint = table_vprint,
    .file_size = table_size,
    .file_rewrite = table_rewrite,
    .file_content = table_content,
    .run_dir = table_run_dir,
    .resume_step = table_resume_step,
};
