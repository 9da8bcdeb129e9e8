/* lt/logger.h - the component kind lt.logger/1 and its files (table lt.logger/1).
 * One optional hook per kind of record; a NULL hook declines that kind. All hooks but `location`: [logger].
 * Records are host-owned and valid during the call. A failing logger is reported, then left out; it does not end the run. */
#ifndef LT_LOGGER_H
#define LT_LOGGER_H
#include <lt/component.h>
#include <lt/plugin.h>

LT_BEGIN
typedef struct lt_scalars { /* the values of one step */
    uint32_t struct_size;
    uint32_t count;
    int64_t step;    /* batches that stepped; for evaluation the fit step at which it ran */
    int64_t epoch;
    double wall_time; /* seconds since 1970 */
    const char *const *names;
    const double *values;
} lt_scalars;
typedef struct lt_text_record {
    uint32_t struct_size, reserved;
    int64_t step;
    double wall_time;
    const char *name, *text;
} lt_text_record;
typedef struct lt_image_record {
    uint32_t struct_size, channels;
    int64_t step;
    double wall_time;
    const char *name;
    int32_t height, width;
    const uint8_t *pixels; /* (H, W, C) u8 */
} lt_image_record;
typedef struct lt_histogram_record {
    uint32_t struct_size, count;
    int64_t step;
    double wall_time;
    const char *name;
    double min, max, num, sum, sum_squares;
    const double *limits, *buckets;
} lt_histogram_record;
typedef struct lt_artifact_record {
    uint32_t struct_size, reserved;
    int64_t step;
    double wall_time;
    const char *name, *path;
} lt_artifact_record;
typedef struct lt_hparams { /* flattened: "model.hidden" -> "128"; secrets left out */
    uint32_t struct_size, count;
    const char *const *names;
    const char *const *values; /* as YAML scalars */
} lt_hparams;
typedef struct lt_log_location { /* where a logger wants its files; NULL or -1: the default */
    uint32_t struct_size, reserved;
    const char *save_dir, *name;
    int64_t version;
} lt_log_location;

typedef struct lt_file lt_file; /* below the run folder; the host flushes and closes it, and cuts it back when a run resumes */
typedef struct lt_logger_api {
    uint32_t struct_size;
    uint32_t reserved;
    lt_file *(*file_append)(lt_ctx *ctx, const char *path); /* relative to the run folder; made with its folders */
    void (*file_write)(lt_ctx *ctx, lt_file *file, const void *data, size_t size);
    void (*file_vprint)(lt_ctx *ctx, lt_file *file, const char *format, va_list args);
    int64_t (*file_size)(lt_ctx *ctx, lt_file *file); /* with what is still buffered */
    lt_status (*file_rewrite)(lt_ctx *ctx, lt_file *file, const void *data, size_t size); /* replaces the content at once (temporary file, rename) */
    const void *(*file_content)(lt_ctx *ctx, lt_file *file, size_t *size); /* all so far; host, until the next call on the file */
    const char *(*run_dir)(lt_ctx *ctx);
    int64_t (*resume_step)(lt_ctx *ctx); /* -1: the run is new; else records after this step are void */
} lt_logger_api;
extern LT_HIDDEN const struct lt_logger_api *lt__logger LT__NEEDS_PLUGIN("lt__logger");

/* Opens a file for appending, relative to the run folder, made with its folders; the host's, which flushes and closes it. The same path
 * again gives the same file. LT_EIO, LT_EINVAL for a path that leaves the run folder. [logger] */
LT_INLINE lt_file *lt_file_append(lt_ctx *ctx, const char *path) { return lt__logger->file_append(ctx, path); }
/* Appends bytes; buffered. LT_EIO, LT_ENOSPC. [logger] */
LT_INLINE void lt_file_write(lt_ctx *ctx, lt_file *file, const void *data, size_t size) { lt__logger->file_write(ctx, file, data, size); }
/* Appends text as printf would, in the C locale. [logger] */
static inline LT_PRINTF(3, 4) void lt_file_print(lt_ctx *ctx, lt_file *file, const char *format, ...) {
    va_list args;
    va_start(args, format);
    lt__logger->file_vprint(ctx, file, format, args);
    va_end(args);
}
/* The same with a va_list. [logger] */
static inline LT_PRINTF(3, 0) void lt_file_vprint(lt_ctx *ctx, lt_file *file, const char *format, va_list args) {
    lt__logger->file_vprint(ctx, file, format, args);
}
/* Bytes, with those still buffered. [logger] */
LT_INLINE int64_t lt_file_size(lt_ctx *ctx, lt_file *file) { return lt__logger->file_size(ctx, file); }
/* Replaces the whole content at once: temporary file, rename. [logger] */
LT_INLINE lt_status lt_file_rewrite(lt_ctx *ctx, lt_file *file, const void *data, size_t size) {
    return lt__logger->file_rewrite(ctx, file, data, size);
}
/* All bytes so far; the host's, until the next call on the file. [logger] */
LT_INLINE const void *lt_file_content(lt_ctx *ctx, lt_file *file, size_t *size) { return lt__logger->file_content(ctx, file, size); }
/* The run folder, absolute; the host's. [logger] */
LT_INLINE const char *lt_run_dir(lt_ctx *ctx) { return lt__logger->run_dir(ctx); }
/* -1: the run is new; else it continues after this step, and files have been cut back to it. [logger] */
LT_INLINE int64_t lt_resume_step(lt_ctx *ctx) { return lt__logger->resume_step(ctx); }

typedef struct lt_logger {
    lt_component base;
    /* Fills out; called before open, on the trainer thread. NULL: defaults. */
    lt_status (*location)(lt_ctx *ctx, void *self, lt_log_location *out);
    lt_status (*open)(lt_ctx *ctx, void *self);
    lt_status (*scalars)(lt_ctx *ctx, void *self, const lt_scalars *const *rows, uint32_t count);
    lt_status (*text)(lt_ctx *ctx, void *self, const lt_text_record *record);
    lt_status (*image)(lt_ctx *ctx, void *self, const lt_image_record *record);
    lt_status (*histogram)(lt_ctx *ctx, void *self, const lt_histogram_record *record);
    lt_status (*artifact)(lt_ctx *ctx, void *self, const lt_artifact_record *record);
    lt_status (*hparams)(lt_ctx *ctx, void *self, const lt_hparams *hparams);
    lt_status (*flush)(lt_ctx *ctx, void *self); /* before a checkpoint, and every few seconds */
    lt_status (*close)(lt_ctx *ctx, void *self, const char *status); /* "success", "failed", "interrupted" */
    lt_status (*save)(lt_ctx *ctx, void *self, lt_state_writer *out); /* [trainer], the logger thread being idle */
    lt_status (*load)(lt_ctx *ctx, void *self, const lt_state_reader *in);
} lt_logger;
LT_END
#ifndef __cplusplus
#define LT_LOGGER(id_, type_, doc_, ...) LT__COMPONENT(lt_logger, "lt.logger/1", id_, type_, doc_, __VA_ARGS__)
#else
namespace lt {
/* As lt::model. */
struct logger {
    enum { state_version = 0 };
    virtual const void *get_interface(const char *) { return nullptr; }
    virtual lt_status location(lt_ctx *, lt_log_location *) { return LT_OK; }
    virtual lt_status open(lt_ctx *) { return LT_OK; }
    virtual lt_status scalars(lt_ctx *, const lt_scalars *const *, uint32_t) { return LT_OK; }
    virtual lt_status text(lt_ctx *, const lt_text_record *) { return LT_OK; }
    virtual lt_status image(lt_ctx *, const lt_image_record *) { return LT_OK; }
    virtual lt_status histogram(lt_ctx *, const lt_histogram_record *) { return LT_OK; }
    virtual lt_status artifact(lt_ctx *, const lt_artifact_record *) { return LT_OK; }
    virtual lt_status hparams(lt_ctx *, const lt_hparams *) { return LT_OK; }
    virtual lt_status flush(lt_ctx *) { return LT_OK; }
    virtual lt_status close(lt_ctx *, const char *) { return LT_OK; }
    virtual lt_status save(lt_ctx *, lt_state_writer *) { return LT_OK; }
    virtual lt_status load(lt_ctx *, const lt_state_reader *) { return LT_OK; }
protected:
    ~logger() = default;
};
template <> struct is_kind<logger> { enum { value = 1 }; };
template <class T>
constexpr lt_logger make_logger(const char *id, const lt_params *(*params)(void), const char *doc, uint32_t flags = 0) {
    return lt_logger{base<T>(sizeof(lt_logger), "lt.logger/1", id, params, doc, flags), LT__HOOK(location), LT__HOOK(open),
        LT__HOOK(scalars), LT__HOOK(text), LT__HOOK(image), LT__HOOK(histogram), LT__HOOK(artifact), LT__HOOK(hparams), LT__HOOK(flush),
        LT__HOOK(close), LT__HOOK(save), LT__HOOK(load)};
}
} // namespace lt
/* LT_LOGGER(Id, type, "doc") or LT_LOGGER(Id, type, "doc", flags) */
#define LT_LOGGER(id_, type_, ...) LT__COMPONENT(lt_logger, id_, (::lt::make_logger<type_>(#id_, type_##_params, __VA_ARGS__)))
#endif
#endif
