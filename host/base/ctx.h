/* base/ctx.h - lt_ctx: what a hook is called with. One per thread. Holds the sticky error, who is being called, and the handles of
 * the parts that stand behind the SDK's tables; each part knows only its own handle. */
#ifndef LTH_CTX_H
#define LTH_CTX_H
#include "base/error.h"
#include "base/str.h"

typedef enum { LTH_TRAINER_THREAD = 1, LTH_LOADER_THREAD = 2, LTH_LOGGER_THREAD = 4, LTH_ANY_THREAD = 7 } lth_thread_class;

typedef struct lth_where { const char *path, *plugin, *version, *kind, *component, *hook; } lth_where; /* NULL: the host itself */

struct lth_engine;  /* engine/tensor/engine.h: tensors, tape, generator */
struct lth_modules; /* engine/nn/module.h: the module tree being made or trained */
struct lth_loaders; /* engine/data/loader.h: datasets and loaders of the stage */
struct lth_hookview;     /* trainer/hookview.h: what the lt.trainer/1 functions may see */
struct lth_metrics; /* engine/metrics/metrics.h */
struct lth_log_files; /* trainer/log_files.h: lt.logger/1 */

struct lt_ctx {
    lth_error error;
    lth_where where;
    lth_thread_class thread;
    uintptr_t owner;            /* lth_thread_self() of the thread it belongs to */
    bool in_configure;          /* modules and parameters may be made now */
    struct lth_engine *engine;
    struct lth_modules *modules;
    struct lth_loaders *loaders;
    struct lth_metrics *metrics;
    struct lth_hookview *run;
    struct lth_log_files *files;
};

void lth_ctx_init(lt_ctx *ctx, lth_thread_class thread); /* zeroes, and belongs to the calling thread */
uintptr_t lth_thread_self(void);                         /* address of a thread-local byte: no call into libc */

/* First line of every table function: right thread, no earlier failure. False: return NULL/0/NAN; the failure is in ctx.
 * `needs` is a lth_thread_class mask; a caller on the wrong thread is a failure of the plugin, named with op. */
bool lth_enter_slow(lt_ctx *ctx, unsigned needs, const char *op, void *caller);
static inline bool lth_enter(lt_ctx *ctx, unsigned needs, const char *op, void *caller) {
    return __builtin_expect((ctx->thread & needs) && ctx->owner == lth_thread_self() && !ctx->error.code, 1) || lth_enter_slow(ctx, needs, op, caller);
}
#define LTH_CALLER __builtin_return_address(0)
#define LTH_ENTER(ctx, needs, op, result) do { if (!lth_enter(ctx, needs, op, LTH_CALLER)) { return result; } } while (0)

/* Calls of hooks go through here: names the hook for error messages, runs it, turns a returned status without a reason into one. */
lt_status lth_hook_done(lt_ctx *ctx, lt_status returned);
/* The failure in ctx as text for a person: component.hook (kind) of plugin id version [path], op, text, source line where found. */
void lth_ctx_report(const lt_ctx *ctx, lth_buf *out);

extern const lt_base_api lth_base_table; /* lt.base/1 */
#endif
