/* lt/base.h - what every plugin uses: status codes, dtypes, errors, printing, saved state.
 *
 * How to read the comments of all SDK headers:
 *   Threads:    [trainer]  the thread that runs the loop; one at a time
 *               [loader]   a data worker; several at once, each with a ctx of its own
 *               [logger]   the thread that feeds the loggers
 *               [any]      any of these, with the ctx that thread was given
 *               [setup]    [trainer], and only in the hook named beside it
 *   Ownership:  borrowed    valid during the call only
 *               host        the host frees it; valid as long as stated
 *               static      lives as long as the plugin is loaded
 *   Errors:     a function that fails keeps the first failure in ctx (code, op, shapes, text, caller) and returns
 *               NULL, NAN, 0 or a negative status. Given a NULL that an earlier failure made, it does nothing.
 *               So a hook may chain calls without tests and end with `return lt_ctx_status(ctx);`.
 *   Shapes:     B batch, C channels or classes, H height, W width, O out channels, N rows, T time.
 *   Since:      marks begin when 1.0 is frozen; until then a plugin and its host have the same 0.N, so all of it is there.
 * It holds no state and needs no library: no function of the host is linked, all come through tables. */
#ifndef LT_BASE_H
#define LT_BASE_H
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Until 1.0 is frozen a plugin must be built with exactly the host's 0.N. */
#define LT_ABI_MAJOR 0
#define LT_ABI_MINOR 2
#ifndef LT_TARGET_MINOR /* oldest host minor this plugin must run on */
#define LT_TARGET_MINOR LT_ABI_MINOR
#endif

#ifdef __cplusplus
#define LT_EXTERN extern "C"
#define LT_BEGIN extern "C" {
#define LT_END }
#else
#define LT_EXTERN extern
#define LT_BEGIN
#define LT_END
#endif
#define LT_HIDDEN __attribute__((visibility("hidden")))
#define LT_EXPORT __attribute__((visibility("default")))
#define LT_INLINE static inline __attribute__((always_inline, unused))
#define LT_PRINTF(format_at, args_at) __attribute__((format(printf, format_at, args_at), unused))
/* The name the linker prints when no file of the plugin says LT_PLUGIN(...). */
#define LT__NEEDS_PLUGIN(name) __asm__(name "__one_file_must_say_LT_PLUGIN")

#ifndef __cplusplus /* a hook or handle of the wrong type is an error, whatever the author's flags */
#pragma GCC diagnostic error "-Wincompatible-pointer-types"
#ifdef __clang__
#pragma GCC diagnostic error "-Wincompatible-function-pointer-types"
#endif
#pragma GCC diagnostic error "-Wimplicit-function-declaration"
#pragma GCC diagnostic error "-Wint-conversion"
#endif

LT_BEGIN

/* ---- status ---- */
typedef int32_t lt_status;
#define LT_STATUS_LIST(X) /* name, value, text */ \
    X(EINVAL, -1, "invalid argument") \
    X(ENOMEM, -2, "out of memory") \
    X(ESHAPE, -3, "shapes do not fit") \
    X(EDTYPE, -4, "dtype not accepted") \
    X(EDEVICE, -5, "tensors on different devices") \
    X(EINDEX, -6, "index out of range") \
    X(EIO, -7, "input or output failed") \
    X(EFORMAT, -8, "malformed or damaged data") \
    X(EABSENT, -9, "not found") \
    X(EABI, -10, "built for another plugin ABI") \
    X(EPLUGIN, -11, "plugin failed") \
    X(ENONFINITE, -12, "value is not finite") \
    X(ESTATE, -13, "call not allowed here") \
    X(EUNSUPPORTED, -14, "not supported by this host") \
    X(ENOSPC, -15, "no space left") \
    X(ECONFIG, -16, "configuration is not valid")
enum {
    LT_OK = 0,
    LT_SKIP = 1, /* from on_train_batch_start: end this epoch here */
#define LT__X(name, value, text) LT_##name = (value),
    LT_STATUS_LIST(LT__X)
#undef LT__X
};

/* ---- dtypes (values are frozen) ---- */
typedef int32_t lt_dtype;
enum { LT_F64 = 1, LT_F32 = 2, LT_F16 = 3, LT_BF16 = 4, LT_I64 = 5, LT_I32 = 6, LT_U8 = 7, LT_BOOL = 8 };
enum { LT_MAX_DIMS = 8 };

typedef struct lt_ctx lt_ctx;       /* one per thread; made by the host, passed to every hook */
typedef struct lt_tensor lt_tensor; /* lt/tensor.h */
typedef struct lt_module lt_module; /* lt/nn.h */

/* ---- saved state: typed key/value pairs that go into the checkpoint ----
 * Keys: [A-Za-z0-9_.-]+. Reading a key that is absent returns the fallback and is no error; of another type: LT_EFORMAT. */
typedef struct lt_state_writer lt_state_writer;
typedef struct lt_state_reader lt_state_reader;

/* ---- lt.base/1 ---- */
enum { LT_PRINT_INFO = 0, LT_PRINT_WARN = 1 };
typedef struct lt_base_api {
    uint32_t struct_size;
    uint32_t abi_minor; /* of the host */
    lt_status (*vfail)(lt_ctx *ctx, lt_status code, const char *format, va_list args);
    lt_status (*status)(lt_ctx *ctx);
    void (*vprint)(lt_ctx *ctx, int32_t level, const char *format, va_list args);
    double (*seconds)(lt_ctx *ctx);
    void *(*alloc)(lt_ctx *ctx, size_t bytes);
    void (*free)(lt_ctx *ctx, void *memory);
    void (*state_put_i64)(lt_ctx *ctx, lt_state_writer *out, const char *key, int64_t value);
    void (*state_put_f64)(lt_ctx *ctx, lt_state_writer *out, const char *key, double value);
    void (*state_put_text)(lt_ctx *ctx, lt_state_writer *out, const char *key, const char *value);
    void (*state_put_bytes)(lt_ctx *ctx, lt_state_writer *out, const char *key, const void *data, size_t size);
    int64_t (*state_get_i64)(lt_ctx *ctx, const lt_state_reader *in, const char *key, int64_t fallback);
    double (*state_get_f64)(lt_ctx *ctx, const lt_state_reader *in, const char *key, double fallback);
    const char *(*state_get_text)(lt_ctx *ctx, const lt_state_reader *in, const char *key, const char *fallback);
    const void *(*state_get_bytes)(lt_ctx *ctx, const lt_state_reader *in, const char *key, size_t *size);
    uint32_t (*state_version)(lt_ctx *ctx, const lt_state_reader *in);
} lt_base_api;
extern LT_HIDDEN const struct lt_base_api *lt__base LT__NEEDS_PLUGIN("lt__base");

/* Reports a failure of the plugin's own; the first one in a hook is kept. Returns `code`. [any] */
static inline LT_PRINTF(3, 4) lt_status lt_fail(lt_ctx *ctx, lt_status code, const char *format, ...) {
    va_list args;
    va_start(args, format);
    code = lt__base->vfail(ctx, code, format, args);
    va_end(args);
    return code;
}
/* Prints a line on the terminal above the progress bar, as given. [any] */
static inline LT_PRINTF(2, 3) void lt_print(lt_ctx *ctx, const char *format, ...) {
    va_list args;
    va_start(args, format);
    lt__base->vprint(ctx, LT_PRINT_INFO, format, args);
    va_end(args);
}
/* The same, marked as a warning of this component. [any] */
static inline LT_PRINTF(2, 3) void lt_warn(lt_ctx *ctx, const char *format, ...) {
    va_list args;
    va_start(args, format);
    lt__base->vprint(ctx, LT_PRINT_WARN, format, args);
    va_end(args);
}
/* Status of the first failure since the hook began, or LT_OK. [any] */
LT_INLINE lt_status lt_ctx_status(lt_ctx *ctx) { return lt__base->status(ctx); }
/* Seconds of a clock that never goes back (CLOCK_MONOTONIC). [any] */
LT_INLINE double lt_seconds(lt_ctx *ctx) { return lt__base->seconds(ctx); }
/* Zeroed memory aligned to 64 bytes; NULL and LT_ENOMEM when there is none. The caller frees it with lt_free. [any] */
LT_INLINE void *lt_alloc(lt_ctx *ctx, size_t bytes) { return lt__base->alloc(ctx, bytes); }
/* Accepts NULL. [any] */
LT_INLINE void lt_free(lt_ctx *ctx, void *memory) { lt__base->free(ctx, memory); }

/* ---- one value of a component's state: in save and load hooks only, with what the hook was given [trainer] ----
 * Putting copies the value. LT_EINVAL: no key, a key put twice, a value that is NULL; LT_ENOMEM. Getting: LT_EINVAL for no key, LT_EFORMAT for a
 * value of another type. Texts and bytes that are read are the host's, valid during the hook. */
/* An integer under key. */
LT_INLINE void lt_state_put_i64(lt_ctx *ctx, lt_state_writer *out, const char *key, int64_t value) {
    lt__base->state_put_i64(ctx, out, key, value);
}
/* A double under key; every bit is kept, NaN and infinities too. */
LT_INLINE void lt_state_put_f64(lt_ctx *ctx, lt_state_writer *out, const char *key, double value) {
    lt__base->state_put_f64(ctx, out, key, value);
}
/* A text under key, NUL-terminated. */
LT_INLINE void lt_state_put_text(lt_ctx *ctx, lt_state_writer *out, const char *key, const char *value) {
    lt__base->state_put_text(ctx, out, key, value);
}
/* size bytes under key; data may be NULL where size is 0. */
LT_INLINE void lt_state_put_bytes(lt_ctx *ctx, lt_state_writer *out, const char *key, const void *data, size_t size) {
    lt__base->state_put_bytes(ctx, out, key, data, size);
}
/* The integer under key, or fallback where it is absent. */
LT_INLINE int64_t lt_state_get_i64(lt_ctx *ctx, const lt_state_reader *in, const char *key, int64_t fallback) {
    return lt__base->state_get_i64(ctx, in, key, fallback);
}
/* The double under key, or fallback. */
LT_INLINE double lt_state_get_f64(lt_ctx *ctx, const lt_state_reader *in, const char *key, double fallback) {
    return lt__base->state_get_f64(ctx, in, key, fallback);
}
/* The text under key, NUL-terminated, or fallback (may be NULL). */
LT_INLINE const char *lt_state_get_text(lt_ctx *ctx, const lt_state_reader *in, const char *key, const char *fallback) {
    return lt__base->state_get_text(ctx, in, key, fallback);
}
/* The bytes under key, *size of them; NULL and 0, no error, where the key is absent. */
LT_INLINE const void *lt_state_get_bytes(lt_ctx *ctx, const lt_state_reader *in, const char *key, size_t *size) {
    return lt__base->state_get_bytes(ctx, in, key, size);
}
/* state_version of the component that wrote this state. */
LT_INLINE uint32_t lt_state_version(lt_ctx *ctx, const lt_state_reader *in) { return lt__base->state_version(ctx, in); }

LT_END

/* ---- functions newer than the oldest host that a plugin must run on ----
 * if (LT_HAS(lt_gelu)) { ... }: whether this host has it. Of what LT_TARGET_MINOR already had, no test is needed. */
#define LT_HAS(function) (LT__HAS_##function)
#define LT__IN(table, slot) \
    (lt__##table && lt__##table->struct_size >= offsetof(struct lt_##table##_api, slot) + sizeof(lt__##table->slot) && lt__##table->slot)

/* ---- options by name: lt_f(ctx, last, .option = value, ...) with none, one or several ---- */
#define LT__FIRST(first, ...) first
#define LT__REST(first, ...) __VA_ARGS__
#define LT__REST_AS(type, ...) ((type){LT__REST(__VA_ARGS__, .struct_size = sizeof(type))})
#ifdef __cplusplus
#define LT__SET(self, base, type, field) \
    self &field(type value) { base::field = value; return *this; }
#define LT__SET_PAIR(self, base, field) \
    self &field(int32_t height, int32_t width) { base::field[0] = height; base::field[1] = width; return *this; } \
    self &field(int32_t both) { return field(both, both); }
#endif
#include <lt/has.h>
#include <lt/params.h>
#endif
