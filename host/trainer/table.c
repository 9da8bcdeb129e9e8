/* trainer/table.c - the functions of lt.trainer/1: each checks its arguments and reads or marks lth_hookview. None of them runs anything.
 */
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "trainer/hookview.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* On the trainer thread, in a hook of a run (configure and binding have none). */
static lth_hookview *enter(lt_ctx *ctx, const char *op, void *caller) {
    if (!lth_enter(ctx, LTH_TRAINER_THREAD, op, caller)) {
        return NULL;
    }
    if (!ctx->run) {
        lth_fail_op(&ctx->error, LT_ESTATE, op, caller, "this call belongs to a run; it cannot be made before the run is set up");
    }
    return ctx->run;
}

static void null_argument(lt_ctx *ctx, const char *op, void *caller, int number, const char *name) {
    lth_fail_op(&ctx->error, LT_EINVAL, op, caller, "argument %d (%s) is NULL, and no earlier call failed", number, name);
}

static const lt_moment *table_now(lt_ctx *ctx) {
    static const lt_moment nowhere = {.struct_size = sizeof nowhere};
    lth_hookview *run = ctx->run;

    if (!run) {
        return &nowhere; /* never NULL: hooks read it without a test */
    }
    return &run->moment;
}

/* ---- batches ---- */

static lt_tensor *item_tensor(lt_ctx *ctx, const lth_batch_item *item, const char *op, void *caller) {
    if (!item->tensor) {
        lth_fail_op(&ctx->error, LT_EDTYPE, op, caller, "this item of the batch holds %s",
                    item->is_part ? "the batch of one of several loaders; take it with lt_batch_part first"
                                  : "bytes, not a tensor; read it with lt_batch_bytes");
    }
    return item->tensor;
}

static bool has_batch(lt_ctx *ctx, const lt_batch *batch, const char *op, void *caller) {
    if (!enter(ctx, op, caller)) {
        return false;
    }
    if (!batch) {
        lth_fail_op(&ctx->error, LT_EINVAL, op, caller, "argument 2 (batch) is NULL: lt_now(ctx)->batch is set in batch hooks only");
    }
    return batch != NULL;
}

static lt_tensor *table_batch_get(lt_ctx *ctx, const lt_batch *batch, int32_t index) {
    if (!has_batch(ctx, batch, "lt_batch_get", LTH_CALLER)) {
        return NULL;
    }
    if (index < 0 || index >= batch->count) {
        lth_fail_op(&ctx->error, LT_EINDEX, "lt_batch_get", LTH_CALLER, "there is no item %d: the batch has %d", index, batch->count);
        return NULL;
    }
    return item_tensor(ctx, &batch->items[index], "lt_batch_get", LTH_CALLER);
}

static void no_such_key(lt_ctx *ctx, const lt_batch *batch, const char *op, const char *key, void *caller) {
    lth_buf keys = {0};

    for (int i = 0; i < batch->count; i++) {
        lth_buf_printf(&keys, "%s%s", i ? ", " : "", batch->items[i].key ? batch->items[i].key : "(no key)");
    }
    lth_fail_op(&ctx->error, LT_EABSENT, op, caller, "the batch has no item \"%s\"; it has: %s", key, lth_buf_text(&keys));
    lth_buf_release(&keys);
}

static lt_tensor *table_batch_key(lt_ctx *ctx, const lt_batch *batch, const char *key) {
    if (!has_batch(ctx, batch, "lt_batch_key", LTH_CALLER)) {
        return NULL;
    }
    if (!key) {
        null_argument(ctx, "lt_batch_key", LTH_CALLER, 3, "key");
        return NULL;
    }
    for (int i = 0; i < batch->count; i++) {
        if (batch->items[i].key && !strcmp(batch->items[i].key, key)) {
            return item_tensor(ctx, &batch->items[i], "lt_batch_key", LTH_CALLER);
        }
    }
    no_such_key(ctx, batch, "lt_batch_key", key, LTH_CALLER);
    return NULL;
}

static const void *table_batch_bytes(lt_ctx *ctx, const lt_batch *batch, int32_t index, size_t *size) {
    if (!has_batch(ctx, batch, "lt_batch_bytes", LTH_CALLER)) {
        return NULL;
    }
    if (index < 0 || index >= batch->count || !batch->items[index].bytes) {
        lth_fail_op(&ctx->error, LT_EINDEX, "lt_batch_bytes", LTH_CALLER, "item %d of the batch (of %d) holds no bytes", index,
                    batch->count);
        return NULL;
    }
    if (size) {
        *size = batch->items[index].size;
    }
    return batch->items[index].bytes;
}

static int64_t table_batch_size(lt_ctx *ctx, const lt_batch *batch) {
    return has_batch(ctx, batch, "lt_batch_size", LTH_CALLER) ? batch->size : 0;
}
static int32_t table_batch_count(lt_ctx *ctx, const lt_batch *batch) {
    return has_batch(ctx, batch, "lt_batch_count", LTH_CALLER) ? batch->count : 0;
}

static const lt_batch *part_of(lt_ctx *ctx, const lth_batch_item *item, void *caller) {
    if (!item->is_part) {
        lth_fail_op(&ctx->error, LT_EDTYPE, "lt_batch_part", caller, "this batch is of one loader, not of several: read its items with lt_batch_get");
    }
    return item->part;
}

static const lt_batch *table_batch_part(lt_ctx *ctx, const lt_batch *batch, int32_t index, const char *key) {
    if (!has_batch(ctx, batch, "lt_batch_part", LTH_CALLER)) {
        return NULL;
    }
    for (int i = 0; key && i < batch->count; i++) {
        if (batch->items[i].key && !strcmp(batch->items[i].key, key)) {
            return part_of(ctx, &batch->items[i], LTH_CALLER);
        }
    }
    if (key) {
        no_such_key(ctx, batch, "lt_batch_part_key", key, LTH_CALLER);
        return NULL;
    }
    if (index < 0 || index >= batch->count) {
        lth_fail_op(&ctx->error, LT_EINDEX, "lt_batch_part", LTH_CALLER, "there is no part %d: the batch has %d", index, batch->count);
        return NULL;
    }
    return part_of(ctx, &batch->items[index], LTH_CALLER);
}

/* ---- results of a step ---- */

static lt_status table_step_loss(lt_ctx *ctx, lt_step_out *out, lt_tensor *loss) {
    if (!enter(ctx, "lt_step_loss", LTH_CALLER)) {
        return ctx->error.code;
    }
    if (!out || !loss) {
        null_argument(ctx, "lt_step_loss", LTH_CALLER, out ? 3 : 2, out ? "loss" : "out");
        return ctx->error.code;
    }
    if (lth_numel(loss) != 1) {
        char shape[128];

        lth_format_shape(shape, sizeof shape, loss->a.shape, loss->a.ndim);
        return lth_fail_op(&ctx->error, LT_ESHAPE, "lt_step_loss", LTH_CALLER,
                           "the loss has shape %s; it must be one number, for instance the mean over the batch", shape);
    }
    out->loss = loss;
    return LT_OK;
}

static const char *intern(lth_hookview *run, const char *name) {
    for (int i = 0; i < LTH_MAX_OUTPUTS; i++) {
        if (run->out.names[i] && !strcmp(run->out.names[i], name)) {
            return run->out.names[i];
        }
    }
    return lth_arena_strdup(&run->names, name);
}

static lt_status table_step_output(lt_ctx *ctx, lt_step_out *out, const char *name, lt_tensor *value) {
    lth_hookview *run = enter(ctx, "lt_step_output", LTH_CALLER);
    const char *kept;

    if (!run) {
        return ctx->error.code;
    }
    if (!out || !name || !value) {
        null_argument(ctx, "lt_step_output", LTH_CALLER, !out ? 2 : !name ? 3 : 4, !out ? "out" : !name ? "name" : "value");
        return ctx->error.code;
    }
    if (out->count == LTH_MAX_OUTPUTS) {
        return lth_fail_op(&ctx->error, LT_EINVAL, "lt_step_output", LTH_CALLER, "\"%s\" is one output too many: a step may report %d",
                           name, LTH_MAX_OUTPUTS);
    }
    /* names are kept at their place from step to step, so that a steady step copies none */
    kept = out->names[out->count] && !strcmp(out->names[out->count], name) ? out->names[out->count] : intern(run, name);
    if (!kept) {
        return lth_fail_op(&ctx->error, LT_ENOMEM, "lt_step_output", LTH_CALLER, "out of memory");
    }
    out->names[out->count] = kept;
    out->values[out->count++] = value;
    return LT_OK;
}

static lt_tensor *table_output(lt_ctx *ctx, const lt_step_out *out, const char *name) {
    if (!enter(ctx, "lt_output", LTH_CALLER)) {
        return NULL;
    }
    if (!out || !name) {
        null_argument(ctx, "lt_output", LTH_CALLER, out ? 3 : 2, out ? "name" : "out");
        return NULL;
    }
    for (int i = 0; i < out->count; i++) {
        if (!strcmp(out->names[i], name)) {
            return out->values[i];
        }
    }
    return !strcmp(name, "loss") ? out->loss : NULL;
}

/* ---- metrics ---- */

static void log_any(lt_ctx *ctx, const char *name, lt_tensor *value, double number, uint32_t flags, void *caller) {
    lth_hookview *run = enter(ctx, "lt_log", caller);

    if (!run) {
        return;
    }
    if (!name || !*name) {
        lth_fail_op(&ctx->error, LT_EINVAL, "lt_log", caller, "a metric needs a name");
        return;
    }
    if (lth_logged_add(run->logged, name, value, number, flags, &ctx->error)) {
        ctx->error.caller = caller;
    }
}

static void table_log(lt_ctx *ctx, const char *name, lt_tensor *value, uint32_t flags) {
    if (!value && !ctx->error.code) {
        null_argument(ctx, "lt_log", LTH_CALLER, 3, "value");
    }
    if (value) {
        log_any(ctx, name, value, 0, flags, LTH_CALLER);
    }
}

static void table_log_value(lt_ctx *ctx, const char *name, double value, uint32_t flags) {
    log_any(ctx, name, NULL, value, flags, LTH_CALLER);
}

static double table_metric(lt_ctx *ctx, const char *name) {
    lth_hookview *run = enter(ctx, "lt_metric", LTH_CALLER);

    return run && name ? lth_logged_value(run->logged, name) : NAN;
}

static bool table_has_metric(lt_ctx *ctx, const char *name) {
    lth_hookview *run = enter(ctx, "lt_has_metric", LTH_CALLER);

    return run && name && lth_logged_has(run->logged, name);
}

static int32_t table_metric_count(lt_ctx *ctx, int32_t table) {
    lth_hookview *run = enter(ctx, "lt_metric_count", LTH_CALLER);

    return run ? lth_logged_count(run->logged, table) : 0;
}

static const char *table_metric_at(lt_ctx *ctx, int32_t table, int32_t index, double *value) {
    lth_hookview *run = enter(ctx, "lt_metric_at", LTH_CALLER);
    double unused;

    return run ? lth_logged_at(run->logged, table, index, value ? value : &unused) : NULL;
}

static void table_log_text(lt_ctx *ctx, const char *name, const char *text) {
    lth_hookview *run = enter(ctx, "lt_log_text", LTH_CALLER);

    if (run && name && text && run->records) {
        lth_records_text(run->records, run->moment.global_step, name, text);
    }
}

/* ---- control and checkpoints ---- */

static void table_vrequest_stop(lt_ctx *ctx, const char *format, va_list args) {
    lth_hookview *run = enter(ctx, "lt_request_stop", LTH_CALLER);

    if (run && !run->stop_requested) {
        run->stop_requested = true;
        vsnprintf(run->stop_reason, sizeof run->stop_reason, format, args);
    }
}

static lth_save_request *same_request(lth_hookview *run, const char *path, bool remove, uint32_t flags) {
    for (int i = 0; i < run->n_requests; i++) {
        lth_save_request *r = &run->requests[i];

        if (r->remove == remove && r->flags == flags && !strcmp(r->path, path)) {
            return r;
        }
    }
    return NULL;
}

static lt_status request(lt_ctx *ctx, const char *op, void *caller, const char *path, bool remove, uint32_t flags) {
    lth_hookview *run = enter(ctx, op, caller);
    lth_save_request *to;
    char *full;

    if (!run) {
        return ctx->error.code;
    }
    if (!path || !*path) {
        return lth_fail_op(&ctx->error, LT_EINVAL, op, caller, "a checkpoint needs a path");
    }
    if (!run->may_save || !run->checkpoint_dir) {
        return lth_fail_op(
            &ctx->error, LT_ESTATE, op, caller,
            "checkpoints are written during fit in on_train_batch_end, validation hooks (not of the sanity check), on_train_epoch_end and "
            "on_train_end, and not with fast_dev_run");
    }
    full = lth_path_join(run->checkpoint_dir, path);
    to = full ? same_request(run, full, remove, flags) : NULL;
    if (to) { /* two callbacks that keep one last.h5 */
        lth_free(full);
        return LT_OK;
    }
    if (run->n_requests == LTH_MAX_REQUESTS) {
        lth_free(full);
        return lth_fail_op(&ctx->error, LT_EINVAL, op, caller, "more than %d saves and removals in one hook", LTH_MAX_REQUESTS);
    }
    to = &run->requests[run->n_requests];
    if (!full || strlen(full) >= sizeof to->path) {
        lth_free(full);
        return lth_fail_op(&ctx->error, full ? LT_EINVAL : LT_ENOMEM, op, caller,
                           "the path of the checkpoint is too long (at most %zu bytes)", sizeof to->path - 1);
    }
    to->remove = remove;
    to->flags = flags;
    memcpy(to->path, full, strlen(full) + 1);
    lth_free(full);
    run->n_requests++;
    return LT_OK;
}

static lt_status table_save_checkpoint(lt_ctx *ctx, const char *path, uint32_t flags) {
    return request(ctx, "lt_save_checkpoint", LTH_CALLER, path, false, flags);
}
static lt_status table_remove_checkpoint(lt_ctx *ctx, const char *path) {
    return request(ctx, "lt_remove_checkpoint", LTH_CALLER, path, true, 0);
}

static const char *table_checkpoint_dir(lt_ctx *ctx) {
    lth_hookview *run = enter(ctx, "lt_checkpoint_dir", LTH_CALLER);

    return run ? run->checkpoint_dir : NULL;
}

/* ---- optimizers ---- */

static int32_t table_optimizer_count(lt_ctx *ctx) {
    lth_hookview *run = enter(ctx, "lt_optimizer_count", LTH_CALLER);

    return run && run->optim ? 1 : 0;
}

static bool is_optimizer(lt_ctx *ctx, lth_hookview *run, int32_t optimizer, const char *op, void *caller) {
    if (!run) {
        return false;
    }
    if (!run->optim || optimizer != 0) {
        lth_fail_op(&ctx->error, LT_EINDEX, op, caller, "there is no optimizer %d: the run has %d", optimizer, run->optim ? 1 : 0);
        return false;
    }
    return true;
}

static const char *table_optimizer_name(lt_ctx *ctx, int32_t optimizer) {
    lth_hookview *run = enter(ctx, "lt_optimizer_name", LTH_CALLER);

    return is_optimizer(ctx, run, optimizer, "lt_optimizer_name", LTH_CALLER) ? run->optimizer_id : NULL;
}

static int32_t table_group_count(lt_ctx *ctx, int32_t optimizer) {
    lth_hookview *run = enter(ctx, "lt_group_count", LTH_CALLER);

    return is_optimizer(ctx, run, optimizer, "lt_group_count", LTH_CALLER) ? lth_optim_groups(run->optim) : 0;
}

static double table_group_value(lt_ctx *ctx, int32_t optimizer, int32_t group, const char *key) {
    lth_hookview *run = enter(ctx, "lt_group_value", LTH_CALLER);

    if (!is_optimizer(ctx, run, optimizer, "lt_group_value", LTH_CALLER)) {
        return NAN;
    }
    if (group < 0 || group >= lth_optim_groups(run->optim)) {
        lth_fail_op(&ctx->error, LT_EINDEX, "lt_group_value", LTH_CALLER, "there is no group %d: optimizer %d has %d", group, optimizer,
                    lth_optim_groups(run->optim));
        return NAN;
    }
    if (!key) {
        null_argument(ctx, "lt_group_value", LTH_CALLER, 4, "key");
        return NAN;
    }
    return !strcmp(key, "lr") ? lth_optim_lr(run->optim, group) : lth_optim_value(run->optim, ctx, group, key);
}

/* ---- terminal ---- */

static int32_t table_terminal_width(lt_ctx *ctx) {
    (void)ctx;
    return lth_log_width();
}

static void table_terminal_status(lt_ctx *ctx, const char *line) {
    (void)ctx;
    lth_log_status(line);
}

const lt_trainer_api lth_trainer_table = {
    .struct_size = sizeof(lt_trainer_api),
    .now = table_now,
    .batch_get = table_batch_get,
    .batch_key = table_batch_key,
    .batch_bytes = table_batch_bytes,
    .batch_size = table_batch_size,
    .batch_count = table_batch_count,
    .step_loss = table_step_loss,
    .step_output = table_step_output,
    .output = table_output,
    .log = table_log,
    .log_value = table_log_value,
    .metric = table_metric,
    .has_metric = table_has_metric,
    .metric_count = table_metric_count,
    .metric_at = table_metric_at,
    .log_text = table_log_text,
    .vrequest_stop = table_vrequest_stop,
    .save_checkpoint = table_save_checkpoint,
    .remove_checkpoint = table_remove_checkpoint,
    .checkpoint_dir = table_checkpoint_dir,
    .optimizer_count = table_optimizer_count,
    .optimizer_name = table_optimizer_name,
    .group_count = table_group_count,
    .group_value = table_group_value,
    .terminal_width = table_terminal_width,
    .terminal_status = table_terminal_status,
    .batch_part = table_batch_part,
};
