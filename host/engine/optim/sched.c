/* engine/optim/sched.c - a learning-rate scheduler component on an optimizer's groups: step 0 when made, then one per call, as
 * PyTorch's. A scheduler made of others gets them here, and their state is kept here. When to call is the trainer's business. */
#include "base/arena.h"
#include "base/mem.h"
#include "engine/optim/component.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { PATH_SIZE = 512, DEEPEST = 8 };

struct lth_sched {
    lth_optim *optim;
    lth_sched_part part;
    int32_t n_groups;
    int64_t last_epoch;
    double *base_lr, *lr, *momentum, *before; /* n_groups each; the last three of the step that runs */
    lth_arena arena;
};

/* ---- parts ---- */

static const lt_lr_children *takes_children(const lth_sched_part *part) {
    const lt_component *base = &part->iface->base;
    return base->get_interface ? base->get_interface(part->self, LT_LR_CHILDREN) : NULL;
}

bool lth_sched_needs_monitor(const lth_sched_part *part) {
    bool needs = part->iface->base.flags & LT_LR_NEEDS_MONITOR;
    for (uint32_t k = 0; k < part->n_children && !needs; k++) {
        needs = lth_sched_needs_monitor(&part->children[k]);
    }
    return needs;
}

static lt_status check_part(const lth_sched_part *part, int depth, lth_error *err) {
    const char *id = part->iface->base.id;
    if (!part->iface->step) {
        return lth_fail(err, LT_EPLUGIN, "scheduler %s has no step", id);
    }
    if (part->n_children && !takes_children(part)) {
        return lth_fail(err, LT_ECONFIG, "scheduler %s takes no other schedulers", id);
    }
    return depth < DEEPEST ? LT_OK : lth_fail(err, LT_ECONFIG, "schedulers inside schedulers: more than %d deep, at %s", DEEPEST, id);
}

/* Copies the tree and hands every composite its children, the innermost first. */
static lt_status take_part(lth_sched *s, const lth_sched_part *from, lth_sched_part *to, int depth, lt_ctx *ctx) {
    lth_error *err = &ctx->error;
    *to = *from;
    if (check_part(from, depth, err) != LT_OK) {
        return err->code;
    }
    size_t n = from->n_children;
    lth_sched_part *copies = lth_arena_alloc(&s->arena, (n + 1) * sizeof *copies);
    lt_lr_child *children = lth_arena_alloc(&s->arena, (n + 1) * sizeof *children);
    const lt_lr_child **list = lth_arena_alloc(&s->arena, (n + 1) * sizeof *list);
    if (!copies || !children || !list) {
        return lth_fail(err, LT_ENOMEM, "out of memory: the scheduler");
    }
    to->children = copies;
    for (size_t k = 0; k < n; k++) {
        if (take_part(s, &from->children[k], &copies[k], depth + 1, ctx) != LT_OK) {
            return err->code;
        }
        children[k] = (lt_lr_child){.struct_size = sizeof(lt_lr_child), .iface = copies[k].iface, .self = copies[k].self};
        list[k] = &children[k];
    }
    const lt_lr_children *takes = takes_children(to);
    if (!takes) {
        return LT_OK;
    }
    lth_where before = lth_component_enter(ctx, &to->iface->base, "take");
    return lth_component_leave(ctx, before, takes->take(ctx, to->self, list, (uint32_t)n));
}

/* ---- steps ---- */

static lt_status give_back(lth_sched *s, lt_ctx *ctx) {
    for (int32_t g = 0; g < s->n_groups; g++) {
        lth_optim_set_lr(s->optim, g, s->lr[g]);
        if (s->momentum[g] != s->before[g] && !isnan(s->momentum[g]) &&
            lth_optim_set_value(s->optim, ctx, g, "momentum", s->momentum[g]) < 0) {
            return ctx->error.code;
        }
    }
    return LT_OK;
}

static lt_status call_step(lth_sched *s, lt_ctx *ctx, double metric) {
    for (int32_t g = 0; g < s->n_groups; g++) {
        s->lr[g] = lth_optim_lr(s->optim, g);
        s->momentum[g] = s->before[g] = lth_optim_value(s->optim, ctx, g, "momentum");
    }
    lt_lr_state state = {.struct_size = sizeof state, .n_groups = (uint32_t)s->n_groups, .last_epoch = s->last_epoch, .base_lr = s->base_lr,
                         .lr = s->lr, .metric = metric, .momentum = s->momentum};
    lth_where before = lth_component_enter(ctx, &s->part.iface->base, "step");
    lt_status status = lth_component_leave(ctx, before, s->part.iface->step(ctx, s->part.self, &state));
    return status == LT_OK ? give_back(s, ctx) : status;
}

static bool make_arrays(lth_sched *s) {
    size_t bytes = (size_t)(s->n_groups + 1) * sizeof(double);
    s->base_lr = lth_arena_alloc(&s->arena, bytes);
    s->lr = lth_arena_alloc(&s->arena, bytes);
    s->momentum = lth_arena_alloc(&s->arena, bytes);
    s->before = lth_arena_alloc(&s->arena, bytes);
    return s->base_lr && s->lr && s->momentum && s->before;
}

lt_status lth_sched_new(lth_sched **out, lth_optim *optim, const lth_sched_part *part, lt_ctx *ctx) {
    *out = NULL;
    lth_sched *s = lth_alloc(sizeof *s);
    if (!s) {
        return lth_fail(&ctx->error, LT_ENOMEM, "out of memory: the scheduler");
    }
    *s = (lth_sched){.optim = optim, .n_groups = lth_optim_groups(optim)};
    lt_status status = make_arrays(s) ? take_part(s, part, &s->part, 0, ctx) : lth_fail(&ctx->error, LT_ENOMEM, "out of memory: the scheduler");
    for (int32_t g = 0; status == LT_OK && g < s->n_groups; g++) {
        s->base_lr[g] = lth_optim_lr(optim, g);
    }
    status = status == LT_OK ? call_step(s, ctx, NAN) : status;
    if (status != LT_OK) {
        lth_sched_free(s);
        return status;
    }
    *out = s;
    return LT_OK;
}

void lth_sched_free(lth_sched *s) {
    if (s) {
        lth_arena_release(&s->arena);
        lth_free(s);
    }
}

lt_status lth_sched_step(lth_sched *s, lt_ctx *ctx, double metric) {
    s->last_epoch++;
    return call_step(s, ctx, metric);
}

/* ---- state ---- */

static lt_status save_part(const lth_sched_part *part, lt_ctx *ctx, lth_snapshot *out, const char *prefix, lth_error *err) {
    char path[PATH_SIZE];
    lt_status status = lth_component_save(&part->iface->base, part->self, part->iface->save, ctx, out, prefix, err);
    for (uint32_t k = 0; k < part->n_children && status == LT_OK; k++) {
        snprintf(path, sizeof path, "%s/schedulers/%u", prefix, k);
        status = save_part(&part->children[k], ctx, out, path, err);
    }
    return status;
}

static lt_status load_part(const lth_sched_part *part, lt_ctx *ctx, const lth_snapshot *in, const char *prefix, lth_error *err) {
    char path[PATH_SIZE];
    lt_status status = lth_component_load(&part->iface->base, part->self, part->iface->load, ctx, in, prefix, err);
    for (uint32_t k = 0; k < part->n_children && status == LT_OK; k++) {
        snprintf(path, sizeof path, "%s/schedulers/%u", prefix, k);
        status = load_part(&part->children[k], ctx, in, path, err);
    }
    return status;
}

/* Rates are the optimizer's to save; momenta that a scheduler moves are kept here. */
lt_status lth_sched_save(const lth_sched *s, lt_ctx *ctx, lth_snapshot *out, const char *prefix, lth_error *err) {
    char path[PATH_SIZE];
    int64_t groups = s->n_groups;
    snprintf(path, sizeof path, "%s/last_epoch", prefix);
    if (lth_snapshot_add_i64(out, path, s->last_epoch, err) != LT_OK) {
        return err->code;
    }
    snprintf(path, sizeof path, "%s/base_lr", prefix);
    if (lth_snapshot_add(out, path, LT_F64, 1, &groups, s->base_lr, err) != LT_OK) {
        return err->code;
    }
    for (int32_t g = 0; g < s->n_groups; g++) {
        s->momentum[g] = lth_optim_value(s->optim, ctx, g, "momentum");
    }
    snprintf(path, sizeof path, "%s/momentum", prefix);
    if (lth_snapshot_add(out, path, LT_F64, 1, &groups, s->momentum, err) != LT_OK) {
        return err->code;
    }
    return save_part(&s->part, ctx, out, prefix, err);
}

/* Base rates of the checkpoint, and the rates of now that came with the optimizer's state. A base rate that is configured otherwise since
 * stays: the rate of now follows it. */
static void take_base(lth_sched *s, const double *saved) {
    for (int32_t g = 0; g < s->n_groups; g++) {
        if (saved[g] != s->base_lr[g]) {
            lth_optim_set_lr(s->optim, g, saved[g] != 0 ? lth_optim_lr(s->optim, g) * (s->base_lr[g] / saved[g]) : s->base_lr[g]);
        }
    }
}

static const double *load_numbers(const lth_sched *s, const lth_snapshot *in, const char *path) {
    const lth_item *item = lth_snapshot_get(in, path);
    return item && item->dtype == LT_F64 && item->size == (size_t)s->n_groups * sizeof(double) ? item->data : NULL;
}

lt_status lth_sched_load(lth_sched *s, lt_ctx *ctx, const lth_snapshot *in, const char *prefix, lth_error *err) {
    char path[PATH_SIZE];
    snprintf(path, sizeof path, "%s/base_lr", prefix);
    const double *base = load_numbers(s, in, path);
    if (!base) {
        return lth_fail(err, LT_EFORMAT, "the checkpoint has no '%s' with %d learning rates", path, (int)s->n_groups);
    }
    snprintf(path, sizeof path, "%s/last_epoch", prefix);
    int64_t last = lth_snapshot_i64(in, path, -1);
    if (last < 0) {
        return lth_fail(err, LT_EFORMAT, "the checkpoint has no '%s'", path);
    }
    take_base(s, base);
    s->last_epoch = last;
    snprintf(path, sizeof path, "%s/momentum", prefix);
    const double *momentum = load_numbers(s, in, path);
    for (int32_t g = 0; momentum && g < s->n_groups; g++) {
        double now = lth_optim_value(s->optim, ctx, g, "momentum");
        if (!isnan(momentum[g]) && momentum[g] != now && lth_optim_set_value(s->optim, ctx, g, "momentum", momentum[g]) < 0) {
            return err == &ctx->error ? err->code : lth_fail(err, ctx->error.code, "%s", ctx->error.text);
        }
    }
    return load_part(&s->part, ctx, in, prefix, err);
}
