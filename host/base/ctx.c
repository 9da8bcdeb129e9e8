/* base/ctx.c - contexts of hooks: who may call, what failed, the report for a person, and the table lt.base/1.
 * It calls no hook itself and prints nothing but what a plugin asked for. */
#include "base/ctx.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/snapshot.h"
#include "base/source_line.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* ---- threads ---- */

uintptr_t lth_thread_self(void) {
    static _Thread_local char mark __attribute__((tls_model("initial-exec")));
    return (uintptr_t)&mark;
}

void lth_ctx_init(lt_ctx *ctx, lth_thread_class thread) {
    *ctx = (lt_ctx){.thread = thread, .owner = lth_thread_self()};
}

static const char *thread_name(unsigned classes) {
    switch (classes) {
    case LTH_TRAINER_THREAD: return "the trainer thread";
    case LTH_LOADER_THREAD: return "a loader thread";
    case LTH_LOGGER_THREAD: return "the logger thread";
    default: return "another thread";
    }
}

bool lth_enter_slow(lt_ctx *ctx, unsigned needs, const char *op, void *caller) {
    if (ctx->error.code != LT_OK) {
        return false;
    }
    if (ctx->owner != lth_thread_self()) {
        lth_fail_op(&ctx->error, LT_ESTATE, op, caller, "called with the ctx of %s from a thread it does not belong to; "
                    "use the ctx that this thread's hook was given", thread_name(ctx->thread));
        return false;
    }
    if (!(ctx->thread & needs)) {
        lth_fail_op(&ctx->error, LT_ESTATE, op, caller, "may not be called on %s; its header says where it may", thread_name(ctx->thread));
        return false;
    }
    return true;
}

/* ---- failures ---- */

lt_status lth_hook_done(lt_ctx *ctx, lt_status returned) {
    if (ctx->error.code != LT_OK) {
        return ctx->error.code;
    }
    if (returned == LT_OK || returned == LT_SKIP) {
        return returned;
    }
    if (returned > 0) {
        return lth_fail(&ctx->error, LT_EPLUGIN, "returned %d, which is no status; a hook returns LT_OK, LT_SKIP or a negative code",
                        (int)returned);
    }
    return lth_fail(&ctx->error, returned, "returned %s (%s) without a reason; give one with lt_fail(ctx, code, \"...\")",
                    lth_status_name(returned), lth_status_text(returned));
}

/* "Net.training_step (lt.model/1) of plugin org.x.net 1.0.0 [net.so]" and a newline; nothing for the host itself. */
static void report_where(const lth_where *where, lth_buf *out) {
    if (!where->component && !where->plugin) {
        if (where->hook) {
            lth_buf_printf(out, "%s\n", where->hook);
        }
        return;
    }
    lth_buf_add(out, where->component ? where->component : "(the plugin itself)");
    if (where->hook) {
        lth_buf_printf(out, ".%s", where->hook);
    }
    if (where->kind) {
        lth_buf_printf(out, " (%s)", where->kind);
    }
    if (where->plugin) {
        lth_buf_printf(out, " of plugin %s%s%s", where->plugin, where->version ? " " : "", where->version ? where->version : "");
    }
    if (where->path) {
        lth_buf_printf(out, " [%s]", where->path);
    }
    lth_buf_add(out, "\n");
}

void lth_ctx_report(const lt_ctx *ctx, lth_buf *out) {
    const lth_error *error = &ctx->error;
    if (error->code == LT_OK) {
        return;
    }
    size_t start = out->size;
    report_where(&ctx->where, out);
    const char *indent = out->size > start ? "  " : "";
    lth_buf_add(out, indent);
    if (error->op[0]) {
        lth_buf_printf(out, "in %s: ", error->op);
    }
    const char *text = error->text[0] ? error->text : lth_status_text(error->code);
    for (size_t length; text[length = strcspn(text, "\n")]; text += length + 1) {
        lth_buf_add_bytes(out, text, length + 1);
        lth_buf_add(out, indent);
    }
    lth_buf_add(out, text);
    if (error->caller) {
        lth_buf_printf(out, "\n%sat ", indent);
        lth_source_line(error->caller, out);
    }
}

/* ---- lt.base/1: errors, printing, time, memory ----
 * What must work after a failure (asking for it, telling of it, freeing) does not begin with LTH_ENTER. */

static lt_status base_vfail(lt_ctx *ctx, lt_status code, const char *format, va_list args) {
    if (ctx->owner != lth_thread_self()) {
        lth_enter_slow(ctx, LTH_ANY_THREAD, "lt_fail", NULL);
    }
    return lth_vfail(&ctx->error, code < 0 ? code : LT_EPLUGIN, format, args);
}

static lt_status base_status(lt_ctx *ctx) { return ctx->error.code; }

static void base_vprint(lt_ctx *ctx, int32_t level, const char *format, va_list args) {
    bool warning = level == LT_PRINT_WARN; /* a warning must say whose it is; what a component shows a person need not */
    lth_vlog(warning ? LTH_WARNING : LTH_INFO, warning ? ctx->where.component : NULL, format, args);
}

static double base_seconds(lt_ctx *ctx) {
    (void)ctx;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void *base_alloc(lt_ctx *ctx, size_t bytes) {
    LTH_ENTER(ctx, LTH_ANY_THREAD, "lt_alloc", NULL);
    void *memory = lth_alloc(bytes);
    if (!memory) {
        lth_fail_op(&ctx->error, LT_ENOMEM, "lt_alloc", LTH_CALLER, "out of memory for %zu bytes", bytes);
    }
    return memory;
}

static void base_free(lt_ctx *ctx, void *memory) {
    (void)ctx;
    lth_free(memory);
}

/* ---- lt.base/1: state ---- */

enum { KEY_SIZE = 512 };

/* prefix/key into path; false with the failure in ctx. */
static bool state_path(lt_ctx *ctx, const char *op, void *caller, const void *handle, const char *prefix, const char *key,
                       char path[KEY_SIZE]) {
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
    if (!handle || !key) {
        lth_fail_op(&ctx->error, LT_EINVAL, op, caller, "%s is NULL, and no earlier call failed", handle ? "key" : "the state to use");
        return false;
    }
    if (!*key || key[strspn(key, allowed)] || !strcmp(key, ".") || !strcmp(key, "..")) {
        lth_fail_op(&ctx->error, LT_EINVAL, op, caller, "\"%s\" is no key: use letters, digits and _ . - only", key);
        return false;
    }
    bool has_prefix = prefix && *prefix;
    int length = snprintf(path, KEY_SIZE, "%s%s%s", has_prefix ? prefix : "", has_prefix ? "/" : "", key);
    if (length >= KEY_SIZE) {
        lth_fail_op(&ctx->error, LT_EINVAL, op, caller, "the key \"%.64s...\" is too long: with what goes before it %d characters, of %d",
                    key, length, KEY_SIZE - 1);
        return false;
    }
    return true;
}

static void state_put(lt_ctx *ctx, const char *op, void *caller, lt_state_writer *out, const char *key, lt_dtype dtype, int64_t count,
                      const void *data) {
    char path[KEY_SIZE];
    if (!state_path(ctx, op, caller, out, out ? out->prefix : NULL, key, path)) {
        return;
    }
    if (!data && count != 0) {
        lth_fail_op(&ctx->error, LT_EINVAL, op, caller, "the value of \"%s\" is NULL", key);
        return;
    }
    lth_error err = {0};
    if (lth_snapshot_get(out->snapshot, path)) {
        lth_fail_op(&ctx->error, LT_EINVAL, op, caller, "\"%s\" is written twice", key);
    } else if (lth_snapshot_add(out->snapshot, path, dtype, count < 0 ? 0 : 1, &count, data, &err) != LT_OK) {
        lth_fail_op(&ctx->error, err.code, op, caller, "%s", err.text);
    }
}

static void base_put_i64(lt_ctx *ctx, lt_state_writer *out, const char *key, int64_t value) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_state_put_i64", );
    state_put(ctx, "lt_state_put_i64", LTH_CALLER, out, key, LT_I64, -1, &value);
}

static void base_put_f64(lt_ctx *ctx, lt_state_writer *out, const char *key, double value) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_state_put_f64", );
    state_put(ctx, "lt_state_put_f64", LTH_CALLER, out, key, LT_F64, -1, &value);
}

static void base_put_text(lt_ctx *ctx, lt_state_writer *out, const char *key, const char *value) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_state_put_text", );
    state_put(ctx, "lt_state_put_text", LTH_CALLER, out, key, 0, value ? (int64_t)strlen(value) : 1, value);
}

static void base_put_bytes(lt_ctx *ctx, lt_state_writer *out, const char *key, const void *data, size_t size) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_state_put_bytes", );
    state_put(ctx, "lt_state_put_bytes", LTH_CALLER, out, key, LT_U8, (int64_t)(size & INT64_MAX), data);
}

/* The item of key if it has the dtype and ndim; NULL when absent (no failure) or of another type (LT_EFORMAT). */
static const lth_item *state_get(lt_ctx *ctx, const char *op, void *caller, const lt_state_reader *in, const char *key, lt_dtype dtype,
                                 int32_t ndim) {
    char path[KEY_SIZE];
    if (!state_path(ctx, op, caller, in, in ? in->prefix : NULL, key, path)) {
        return NULL;
    }
    const lth_item *item = lth_snapshot_get(in->snapshot, path);
    if (item && (item->dtype != dtype || item->ndim != ndim)) {
        const char *found = item->dtype ? lth_dtype_name(item->dtype) : "text", *wanted = dtype ? lth_dtype_name(dtype) : "text";
        lth_fail_op(&ctx->error, LT_EFORMAT, op, caller,
                    "\"%s\" was saved as %s with %d dimensions, not as %s with %d; raise state_version when a type changes", key, found,
                    (int)item->ndim, wanted, (int)ndim);
        return NULL;
    }
    return item;
}

static int64_t base_get_i64(lt_ctx *ctx, const lt_state_reader *in, const char *key, int64_t fallback) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_state_get_i64", 0);
    const lth_item *item = state_get(ctx, "lt_state_get_i64", LTH_CALLER, in, key, LT_I64, 0);
    return item ? *(const int64_t *)item->data : ctx->error.code ? 0 : fallback;
}

static double base_get_f64(lt_ctx *ctx, const lt_state_reader *in, const char *key, double fallback) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_state_get_f64", (double)NAN);
    const lth_item *item = state_get(ctx, "lt_state_get_f64", LTH_CALLER, in, key, LT_F64, 0);
    return item ? *(const double *)item->data : ctx->error.code ? (double)NAN : fallback;
}

static const char *base_get_text(lt_ctx *ctx, const lt_state_reader *in, const char *key, const char *fallback) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_state_get_text", NULL);
    const lth_item *item = state_get(ctx, "lt_state_get_text", LTH_CALLER, in, key, 0, 0);
    return item ? item->data : ctx->error.code ? NULL : fallback;
}

static const void *base_get_bytes(lt_ctx *ctx, const lt_state_reader *in, const char *key, size_t *size) {
    if (size) {
        *size = 0;
    }
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_state_get_bytes", NULL);
    const lth_item *item = state_get(ctx, "lt_state_get_bytes", LTH_CALLER, in, key, LT_U8, 1);
    if (item && size) {
        *size = item->size;
    }
    return item ? item->data : NULL;
}

static uint32_t base_state_version(lt_ctx *ctx, const lt_state_reader *in) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_state_version", 0);
    if (!in) {
        lth_fail_op(&ctx->error, LT_EINVAL, "lt_state_version", LTH_CALLER, "the state to use is NULL, and no earlier call failed");
        return 0;
    }
    return in->version;
}

const lt_base_api lth_base_table = {
    .struct_size = sizeof(lt_base_api),
    .abi_minor = LT_ABI_MINOR,
    .vfail = base_vfail,
    .status = base_status,
    .vprint = base_vprint,
    .seconds = base_seconds,
    .alloc = base_alloc,
    .free = base_free,
    .state_put_i64 = base_put_i64,
    .state_put_f64 = base_put_f64,
    .state_put_text = base_put_text,
    .state_put_bytes = base_put_bytes,
    .state_get_i64 = base_get_i64,
    .state_get_f64 = base_get_f64,
    .state_get_text = base_get_text,
    .state_get_bytes = base_get_bytes,
    .state_version = base_state_version,
};
