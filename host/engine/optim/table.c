/* engine/optim/table.c - the lt.optim/1 table: a model's choice of optimizer and scheduler, and the fused updates for components. */
#include "engine/backends/rules/rules.h"
#include "engine/optim/component.h"
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

static LT_PRINTF(5, 0) lt_status param_group(lt_ctx *ctx, lt_optim_setup *setup, const lt_module *module, const char *names, const char *format,
                                            va_list args) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_param_group", ctx->error.code ? ctx->error.code : LT_ESTATE);
    if (!setup) {
        return setup_closed(ctx, "lt_param_group", LTH_CALLER);
    }
    if (!module && (!names || !*names)) {
        return lth_fail_op(&ctx->error, LT_EINVAL, "lt_param_group", LTH_CALLER, "lt_param_group: names is empty and module is NULL; say which "
                           "parameters belong to the group");
    }
    lth_group_choice *g = lth_arena_alloc(setup->arena, sizeof *g);
    if (!g) {
        return lth_fail(&ctx->error, LT_ENOMEM, "lt_param_group: out of memory");
    }
    *g = (lth_group_choice){.module = module, .names = names && *names ? lth_arena_strdup(setup->arena, names) : NULL,
                            .params = format ? lth_arena_vprintf(setup->arena, format, args) : ""};
    if ((names && *names && !g->names) || !g->params) {
        return lth_fail(&ctx->error, LT_ENOMEM, "lt_param_group: out of memory");
    }
    *(setup->last_group ? &setup->last_group->next : &setup->groups) = g;
    setup->last_group = g;
    return LT_OK;
}

/* What all ways to name a scheduler share. id and params are kept as they are. */
static lt_status take_scheduler(lt_ctx *ctx, lt_optim_setup *setup, const char *id, const lt_lr_scheduler_opts *opts, const char *op, void *caller) {
    if (setup->scheduler) {
        return lth_fail_op(&ctx->error, LT_EUNSUPPORTED, op, caller, "%s: %s is chosen already; only one scheduler yet", op, setup->scheduler);
    }
    lt_lr_scheduler_opts o = {0};
    if (opts) {
        memcpy(&o, opts, opts->struct_size && opts->struct_size < sizeof o ? opts->struct_size : sizeof o);
    }
    if (o.frequency < 0) {
        return lth_fail_op(&ctx->error, LT_EINVAL, op, caller, "%s: frequency must be at least 1, got %lld", op, (long long)o.frequency);
    }
    setup->scheduler = lth_arena_strdup(setup->arena, id);
    setup->monitor = o.monitor ? lth_arena_strdup(setup->arena, o.monitor) : NULL;
    setup->name = lth_arena_strdup(setup->arena, o.name ? o.name : id);
    setup->per_step = o.per_step;
    setup->strict = !o.not_strict;
    setup->frequency = o.frequency ? o.frequency : 1;
    bool good = setup->scheduler && setup->name && (setup->monitor || !o.monitor);
    return good ? LT_OK : lth_fail(&ctx->error, LT_ENOMEM, "%s: out of memory", op);
}

static lt_status use_lr_scheduler(lt_ctx *ctx, lt_optim_setup *setup, const char *id, const char *params, const lt_lr_scheduler_opts *opts) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_use_lr_scheduler", ctx->error.code ? ctx->error.code : LT_ESTATE);
    if (!setup || !id) {
        return setup_closed(ctx, "lt_use_lr_scheduler", LTH_CALLER);
    }
    if (take_scheduler(ctx, setup, id, opts, "lt_use_lr_scheduler", LTH_CALLER) != LT_OK) {
        return ctx->error.code;
    }
    setup->scheduler_params = lth_arena_strdup(setup->arena, params ? params : "");
    return setup->scheduler_params ? LT_OK : lth_fail(&ctx->error, LT_ENOMEM, "lt_use_lr_scheduler: out of memory");
}

static lt_status use_lr_lambda(lt_ctx *ctx, lt_optim_setup *setup, lt_lr_lambda *f, void *self, int32_t multiplicative, const lt_lr_scheduler_opts *opts) {
    const char *op = multiplicative ? "lt_use_multiplicative_lr" : "lt_use_lambda_lr";
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_use_lambda_lr", ctx->error.code ? ctx->error.code : LT_ESTATE);
    if (!setup || !f) {
        return setup_closed(ctx, op, LTH_CALLER);
    }
    setup->lambda = (lth_lambda){.f = f, .self = self, .multiplicative = multiplicative != 0};
    return take_scheduler(ctx, setup, multiplicative ? "MultiplicativeLR" : "LambdaLR", opts, op, LTH_CALLER);
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

static lt_status rule(lt_ctx *ctx, const lt_span *span, int32_t kind, const void *args) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_optim_rule", ctx->error.code ? ctx->error.code : LT_ESTATE);
    static const char *const names[] = {"", "lt_optim_rmsprop", "lt_optim_adagrad", "lt_optim_adadelta", "lt_optim_lion", "lt_optim_nadam"};
    const char *op = kind > 0 && kind < (int)(sizeof names / sizeof *names) ? names[kind] : "lt_optim_rule";
    lth_rule r = {0};
    if (span && args && lth_rule_from(&r, kind, args, span->step) != LT_OK) {
        return lth_fail_op(&ctx->error, LT_EINVAL, op, LTH_CALLER, "%s: there is no rule %d", op, (int)kind);
    }
    if (!span_good(ctx, span, args, r.n_slots, op, LTH_CALLER)) {
        return ctx->error.code;
    }
    const lth_backend *backend = ctx->engine->backend;
    if (!backend->rule) {
        return lth_fail_op(&ctx->error, LT_EUNSUPPORTED, op, LTH_CALLER, "%s: the %s backend has no such update", op, backend->name);
    }
    return backend->rule(ctx->engine->device, span, &r, &ctx->error);
}

const lt_optim_api lth_optim_table = {
    .struct_size = sizeof(lt_optim_api),
    .vuse_optimizer = use_optimizer,
    .use_lr_scheduler = use_lr_scheduler,
    .vparam_group = param_group,
    .use_lr_lambda = use_lr_lambda,
    .closure_loss = lth_closure_loss,
    .rule = rule,
    .sgd = sgd,
    .adam = adam,
};
