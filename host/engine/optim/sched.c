/* engine/optim/sched.c - a learning-rate scheduler component on an optimizer's groups: step 0 when made, then one per call, as
 * PyTorch's. When to call is the trainer's business. */
#include "base/mem.h"
#include "engine/optim/component.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_GROUPS = 16, PATH_SIZE = 512 };

struct lth_sched {
    lth_optim *optim;
    const lt_lr_scheduler *iface;
    void *self;
    int32_t n_groups;
    int64_t last_epoch;
    double base_lr[MAX_GROUPS];
};

static lt_status call_step(lth_sched *s, lt_ctx *ctx, double metric) {
    double lr[MAX_GROUPS];
    for (int32_t g = 0; g < s->n_groups; g++) {
        lr[g] = lth_optim_lr(s->optim, g);
    }
    lt_lr_state state = {.struct_size = sizeof state, .n_groups = (uint32_t)s->n_groups, .last_epoch = s->last_epoch, .base_lr = s->base_lr,
                         .lr = lr, .metric = metric};
    lth_where before = lth_component_enter(ctx, &s->iface->base, "step");
    lt_status status = lth_component_leave(ctx, before, s->iface->step(ctx, s->self, &state));
    for (int32_t g = 0; g < s->n_groups && status == LT_OK; g++) {
        lth_optim_set_lr(s->optim, g, lr[g]);
    }
    return status;
}

lt_status lth_sched_new(lth_sched **out, lth_optim *optim, const lt_lr_scheduler *iface, void *self, lt_ctx *ctx) {
    *out = NULL;
    int32_t groups = lth_optim_groups(optim);
    if (!iface->step || groups > MAX_GROUPS) {
        return lth_fail(&ctx->error, LT_EPLUGIN, "scheduler %s %s", iface->base.id, iface->step ? "cannot serve so many groups" : "has no step");
    }
    lth_sched *s = lth_alloc(sizeof *s);
    if (!s) {
        return lth_fail(&ctx->error, LT_ENOMEM, "out of memory: the scheduler");
    }
    *s = (lth_sched){.optim = optim, .iface = iface, .self = self, .n_groups = groups};
    for (int32_t g = 0; g < groups; g++) {
        s->base_lr[g] = lth_optim_lr(optim, g);
    }
    lt_status status = call_step(s, ctx, NAN);
    if (status != LT_OK) {
        lth_free(s);
        return status;
    }
    *out = s;
    return LT_OK;
}

void lth_sched_free(lth_sched *s) { lth_free(s); }

lt_status lth_sched_step(lth_sched *s, lt_ctx *ctx, double metric) {
    s->last_epoch++;
    return call_step(s, ctx, metric);
}

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
    return lth_component_save(&s->iface->base, s->self, s->iface->save, ctx, out, prefix, err);
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

lt_status lth_sched_load(lth_sched *s, lt_ctx *ctx, const lth_snapshot *in, const char *prefix, lth_error *err) {
    char path[PATH_SIZE];
    snprintf(path, sizeof path, "%s/base_lr", prefix);
    const lth_item *base = lth_snapshot_get(in, path);
    if (!base || base->dtype != LT_F64 || base->size != (size_t)s->n_groups * sizeof(double)) {
        return lth_fail(err, LT_EFORMAT, "the checkpoint has no '%s' with %d learning rates", path, (int)s->n_groups);
    }
    snprintf(path, sizeof path, "%s/last_epoch", prefix);
    int64_t last = lth_snapshot_i64(in, path, -1);
    if (last < 0) {
        return lth_fail(err, LT_EFORMAT, "the checkpoint has no '%s'", path);
    }
    take_base(s, base->data);
    s->last_epoch = last;
    return lth_component_load(&s->iface->base, s->self, s->iface->load, ctx, in, prefix, err);
}
