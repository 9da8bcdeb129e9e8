/* engine/optim/component.c - calling an optimizer's or scheduler's hooks with its name in ctx, and keeping its state. */
#include "engine/optim/component.h"
#include "base/schema.h"
#include <stdio.h>

enum { PATH_SIZE = 512 };

lth_where lth_component_enter(lt_ctx *ctx, const lt_component *base, const char *hook) {
    lth_where before = ctx->where;
    ctx->where = (lth_where){.kind = base->kind, .component = base->id, .hook = hook};
    return before;
}

lt_status lth_component_leave(lt_ctx *ctx, lth_where before, lt_status returned) {
    lt_status status = lth_hook_done(ctx, returned);
    if (status >= 0) {
        ctx->where = before;
        return LT_OK;
    }
    return status;
}

lt_status lth_component_save(const lt_component *base, void *self, lth_save_hook *hook, lt_ctx *ctx, lth_snapshot *out, const char *prefix,
                             lth_error *err) {
    char path[PATH_SIZE];
    snprintf(path, sizeof path, "%s/component", prefix);
    if (base->params && lth_schema_save(base->params(), self, out, path, err) < 0) {
        return err->code;
    }
    if (!hook) {
        return LT_OK;
    }
    lt_state_writer writer = {.snapshot = out, .prefix = path};
    lth_where before = lth_component_enter(ctx, base, "save");
    if (lth_component_leave(ctx, before, hook(ctx, self, &writer)) < 0) {
        return lth_fail(err, ctx->error.code, "%s", ctx->error.text);
    }
    snprintf(path, sizeof path, "%s/state_version", prefix);
    return lth_snapshot_add_i64(out, path, base->state_version, err);
}

lt_status lth_component_load(const lt_component *base, void *self, lth_load_hook *hook, lt_ctx *ctx, const lth_snapshot *in, const char *prefix,
                             lth_error *err) {
    char path[PATH_SIZE], version[PATH_SIZE];
    lth_arena arena = {0}; /* saved fields are numbers; texts among them would have to outlive this */
    snprintf(path, sizeof path, "%s/component", prefix);
    snprintf(version, sizeof version, "%s/state_version", prefix);
    lt_status status = base->params ? lth_schema_load(base->params(), self, in, path, &arena, err) : LT_OK;
    lth_arena_release(&arena);
    if (status < 0 || !hook) {
        return status;
    }
    lt_state_reader reader = {.snapshot = in, .prefix = path, .version = (uint32_t)lth_snapshot_i64(in, version, 0)};
    lth_where before = lth_component_enter(ctx, base, "load");
    if (lth_component_leave(ctx, before, hook(ctx, self, &reader)) < 0) {
        return lth_fail(err, ctx->error.code, "%s", ctx->error.text);
    }
    return LT_OK;
}
