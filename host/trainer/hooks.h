/* trainer/hooks.h - calling hooks: which component has which, in what order, and how a failure is named.
 * The lists are made once (and again at a swap), so a hook nobody has costs one compare. Decides nothing about the run. */
#ifndef LTH_HOOKS_H
#define LTH_HOOKS_H
#include "registry/registry.h"
#include <lt/hooks.h>

typedef enum {
#define X(name, kinds, text) LTH_HOOK_##name,
    LT_HOOKS(X)
#undef X
        LTH_HOOK_COUNT
} lth_hook_id;

typedef struct lth_hook_info {
    const char *name, *kinds, *text;
} lth_hook_info;
extern const lth_hook_info lth_hook_infos[LTH_HOOK_COUNT];

typedef struct lth_hook_call {
    lt_hook *call;
    const lth_instance *instance;
} lth_hook_call;
typedef struct lth_hook_list {
    lth_hook_call *calls;
    int count;
} lth_hook_list;
typedef struct lth_hooks {
    lth_hook_list lists[LTH_HOOK_COUNT];
    lth_hook_call *storage;
} lth_hooks;

/* data may be NULL. Order within a hook: datamodule, callbacks as given with LT_CALLBACK_LAST ones at the end, model; at
 * on_train_epoch_end the last ones come after the model. */
lt_status lth_hooks_init(lth_hooks *hooks, const lth_instance *data, lth_instance *const *callbacks, size_t n_callbacks,
                         const lth_instance *model, lth_error *err);
void lth_hooks_release(lth_hooks *hooks);

/* Calls them in order until one fails; the failure is in ctx->error. Returns LT_SKIP if one of them did. */
lt_status lth_hooks_run(const lth_hooks *hooks, lt_ctx *ctx, lth_hook_id id);
static inline lt_status lth_hooks_call(const lth_hooks *hooks, lt_ctx *ctx, lth_hook_id id) {
    return hooks->lists[id].count ? lth_hooks_run(hooks, ctx, id) : LT_OK;
}
/* on_exception and teardown: every component is called, whatever the ones before it did; failures are logged. */
void lth_hooks_call_all(const lth_hooks *hooks, lt_ctx *ctx, lth_hook_id id);
#endif
