/* engine/optim/table.c - the lt.optim/1 table: a model's choice of optimizer and scheduler, and the fused updates for components. */
#include "engine/optim/optim.h"
#include <string.h>

static lt_status setup_closed(lt_ctx *ctx, const char *op, void *caller) {
    return lth_fail_op(&ctx->error, LT_ESTATE, op, caller, "%s: only in configure_optimizers, with the setup given there", op);
}

static LT_PRINTF(4, 0) lt_status use_optimizer(lt_ctx *ctx, lt_optim_setup *setup, const char *id, const char *format, va_list args) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_use_optimizer", ctx->error.code ? ctx->error.code : LT_ESTATE);
    if (!setup || !id) {
        return setup_closed(ctx, "lt_use_optimizer", LTH_CALLER);
    }
    if (setup->optimizer) {
        return lth_fail_op(&ctx->error, LT_EUNSUPPORTED, "lt_use_optimizer", LTH_CALLER, "lt_use_optimizer: %s is chosen already; only one "
                           "optimizer yet", setup->optimizer);
    }
    setup->optimizer = lth_arena_strdup(setup->arena, id);
    setup->optimizer_params = format ? lth_arena_vprintf(setup->arena, format, args) : "";
    return setup->optimizer && setup->optimizer_params ? LT_OK : lth_fail(&ctx->error, LT_ENOMEM, "lt_use_optimizer: out of memory");
}

static lt_status use_lr_scheduler(lt_ctx *ctx, lt_optim_setup *setup, const char *id, const char *params, const lt_lr_scheduler_opts *opts) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_use_lr_scheduler", ctx->error.code ? ctx->error.code : LT_ESTATE);
    if (!setup || !id) {
        return setup_closed(ctx, "lt_use_lr_scheduler", LTH_CALLER);
    }
    if (setup->scheduler) {
        return lth_fail_op(&ctx->error, LT_EUNSUPPORTED, "lt_use_lr_scheduler", LTH_CALLER, "lt_use_lr_scheduler: %s is chosen already; only "
                           "one scheduler yet", setup->scheduler);
    }
    lt_lr_scheduler_opts o = {0};
    if (opts) {
        memcpy(&o, opts, opts->struct_size && opts->struct_size < sizeof o ? opts->struct_size : sizeof o);
    }
    setup->scheduler = lth_arena_strdup(setup->arena, id);
    setup->scheduler_params = lth_arena_strdup(setup->arena, params ? params : "");
    setup->monitor = o.monitor ? lth_arena_strdup(setup->arena, o.monitor) : NULL;
    setup->name = lth_arena_strdup(setup->arena, o.name ? o.name : id);
    setup->per_step = o.per_step;
    setup->strict = !o.not_strict;
    setup->frequency = o.frequency ? o.frequency : 1;
    bool good = setup->scheduler && setup->scheduler_params && setup->name && (setup->monitor || !o.monitor);
    if (setup->frequency < 1) {
        return lth_fail_op(&ctx->error, LT_EINVAL, "lt_use_lr_scheduler", LTH_CALLER, "lt_use_lr_scheduler: frequency must be at least 1, got %lld",
                           (long long)o.frequency);
    }
    return good ? LT_OK : lth_fail(&ctx->error, LT_ENOMEM, "lt_use_lr_scheduler: out of memory");
}

/* What a pass over the span would read and write must be there. */
static bool span_good(lt_ctx *ctx, const lt_span *span, const void *args, int slots, const char *op, void *caller) {
    if (!span || !args || (span->n > 0 && (!span->param || !span->grad))) {
        lth_fail_op(&ctx->error, LT_EINVAL, op, caller, "%s: %s is NULL", op, !span ? "span" : !args ? "args" : span->param ? "span->grad" : "span->param");
        return false;
    }
    if (span->n < 0 || span->step < 1) {
        lth_fail_op(&ctx->error, LT_EINVAL, op, caller, "%s: %lld elements at step %lld; steps count from 1", op, (long long)span->n, (long long)span->step);
        return false;
    }
    for (int k = 0; k < slots; k++) {
        if (span->n_slots <= k || !span->slot[k]) {
            lth_fail_op(&ctx->error, LT_EINVAL, op, caller, "%s: these args need %d slot%s; the component declares %d", op, slots, slots > 1 ? "s" : "",
                        (int)span->n_slots);
            return false;
        }
    }
    return true;
}

static lt_status sgd(lt_ctx *ctx, const lt_span *span, const lt_sgd_args *args) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_optim_sgd", ctx->error.code ? ctx->error.code : LT_ESTATE);
    if (!span_good(ctx, span, args, args && args->momentum != 0, "lt_optim_sgd", LTH_CALLER)) {
        return ctx->error.code;
    }
    return ctx->engine->backend->sgd(ctx->engine->device, span, args, &ctx->error);
}

static lt_status adam(lt_ctx *ctx, const lt_span *span, const lt_adam_args *args) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_optim_adam", ctx->error.code ? ctx->error.code : LT_ESTATE);
    if (!span_good(ctx, span, args, args && args->amsgrad ? 3 : 2, "lt_optim_adam", LTH_CALLER)) {
        return ctx->error.code;
    }
    return ctx->engine->backend->adam(ctx->engine->device, span, args, &ctx->error);
}

const lt_optim_api lth_optim_table = {
    .struct_size = sizeof(lt_optim_api),
    .vuse_optimizer = use_optimizer,
    .use_lr_scheduler = use_lr_scheduler,
    .sgd = sgd,
    .adam = adam,
};
