/* trainer/hooks.c - see hooks.h. */
#include "trainer/hooks.h"
#include "base/log.h"
#include "base/mem.h"
#include <lt/callback.h>
#include <lt/data.h>
#include <lt/model.h>
#include <string.h>

const lth_hook_info lth_hook_infos[LTH_HOOK_COUNT] = {
#define X(name, kinds, text) {#name, kinds, text},
    LT_HOOKS(X)
#undef X
};

/* Where each hook lies in the struct of each kind: the table of lt/hooks.h laid them out. */
static const size_t model_offsets[LTH_HOOK_COUNT] = {
#define X(name, kinds, text) offsetof(lt_model, name),
    LT_HOOKS(X)
#undef X
};
static const size_t callback_offsets[LTH_HOOK_COUNT] = {
#define X(name, kinds, text) offsetof(lt_callback, name),
    LT_HOOKS(X)
#undef X
};
static const size_t data_offsets[LTH_HOOK_COUNT] = {
#define X(name, kinds, text) offsetof(lt_datamodule, name),
    LT_HOOKS(X)
#undef X
};

static void add(lth_hook_list *list, const lth_instance *instance, const size_t *offsets, lth_hook_id id, char kind) {
    lt_hook *call;

    if (!instance || !strchr(lth_hook_infos[id].kinds, kind)) {
        return; /* a hook that this kind of component does not have is never called, even if the author sets it */
    }
    memcpy(&call, (const char *)instance->iface + offsets[id], sizeof call);
    if (call) {
        list->calls[list->count++] = (lth_hook_call){call, instance};
    }
}

static bool runs_last(const lth_instance *callback) { return (((const lt_component *)callback->iface)->flags & LT_CALLBACK_LAST) != 0; }

lt_status lth_hooks_init(lth_hooks *hooks, const lth_instance *data, lth_instance *const *callbacks, size_t n_callbacks,
                         const lth_instance *model, lth_error *err) {
    size_t per_hook = n_callbacks + 2;

    memset(hooks, 0, sizeof *hooks);
    hooks->storage = lth_alloc(per_hook * LTH_HOOK_COUNT * sizeof *hooks->storage);
    if (!hooks->storage) {
        return lth_fail(err, LT_ENOMEM, "out of memory for the table of hooks");
    }
    for (int id = 0; id < LTH_HOOK_COUNT; id++) {
        lth_hook_list *list = &hooks->lists[id];
        bool model_first = id == LTH_HOOK_on_train_epoch_end;

        list->calls = hooks->storage + (size_t)id * per_hook;
        add(list, data, data_offsets, id, 'D');
        for (size_t i = 0; i < n_callbacks; i++) {
            if (!runs_last(callbacks[i])) {
                add(list, callbacks[i], callback_offsets, id, 'C');
            }
        }
        if (model_first) {
            add(list, model, model_offsets, id, 'M');
        }
        for (size_t i = 0; i < n_callbacks; i++) {
            if (runs_last(callbacks[i])) {
                add(list, callbacks[i], callback_offsets, id, 'C');
            }
        }
        if (!model_first) {
            add(list, model, model_offsets, id, 'M');
        }
    }
    return LT_OK;
}

void lth_hooks_release(lth_hooks *hooks) {
    lth_free(hooks->storage);
    memset(hooks, 0, sizeof *hooks);
}

lt_status lth_hooks_run(const lth_hooks *hooks, lt_ctx *ctx, lth_hook_id id) {
    const lth_hook_list *list = &hooks->lists[id];
    lt_status result = LT_OK;

    for (int i = 0; i < list->count; i++) {
        const lth_hook_call *hook = &list->calls[i];
        lt_status status;

        ctx->where = hook->instance->where;
        ctx->where.hook = lth_hook_infos[id].name;
        status = lth_hook_done(ctx, hook->call(ctx, hook->instance->self));
        if (status < 0) {
            return status; /* where stays: it names the culprit */
        }
        result = status == LT_SKIP ? LT_SKIP : result;
    }
    ctx->where = (lth_where){0};
    return result;
}

void lth_hooks_call_all(const lth_hooks *hooks, lt_ctx *ctx, lth_hook_id id) {
    const lth_hook_list *list = &hooks->lists[id];
    lth_error before = ctx->error;
    lth_where where = ctx->where;

    for (int i = 0; i < list->count; i++) {
        const lth_hook_call *hook = &list->calls[i];

        lth_error_clear(&ctx->error);
        ctx->where = hook->instance->where;
        ctx->where.hook = lth_hook_infos[id].name;
        if (lth_hook_done(ctx, hook->call(ctx, hook->instance->self)) < 0) {
            lth_buf text = {0};

            lth_ctx_report(ctx, &text);
            lth_log(LTH_WARNING, "%s", lth_buf_text(&text));
            lth_buf_release(&text);
        }
    }
    ctx->error = before;
    ctx->where = where;
}
