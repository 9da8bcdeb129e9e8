/* plugins/optim/linear_warmup_lr.c - LinearWarmupLR: the rate rises in a straight line, then another scheduler takes over, or none. What
 * SequentialLR of LinearLR and that scheduler does, with one number to set; the rate may begin at 0. */
#include "sequences.h"

typedef struct warmup {
    int64_t warmup_steps;
    double start_factor;
    children of;
} warmup;

LT_PARAMS(warmup,
    LT_PARAM(warmup_steps, LT_REQUIRED, "Epochs until the full rate; optimizer steps with interval: step.", LT_RANGE("1..")),
    LT_PARAM(start_factor, "0", "Share of the learning rate at the start.", LT_RANGE("0..1")));

static lt_status take(lt_ctx *ctx, void *self, const lt_lr_child *const *items, uint32_t count) {
    warmup *s = self;
    s->of = (children){items, count};
    return count <= 1 ? LT_OK : lt_fail(ctx, LT_ECONFIG, "schedulers: only one can follow the warm-up, %u are listed; use SequentialLR", count);
}

static const void *interface(void *self, const char *id) {
    static const lt_lr_children list = {.struct_size = sizeof list, .take = take};
    (void)self;
    return strcmp(id, LT_LR_CHILDREN) ? NULL : &list;
}

static lt_status step(lt_ctx *ctx, void *self, lt_lr_state *state) {
    const warmup *s = self;
    int64_t at = state->last_epoch < s->warmup_steps ? state->last_epoch : s->warmup_steps;
    if (s->of.count && state->last_epoch > s->warmup_steps) {
        return child_step(ctx, s->of.items[0], state, state->last_epoch - s->warmup_steps);
    }
    for (uint32_t g = 0; g < state->n_groups; g++) {
        state->lr[g] = state->base_lr[g] * (s->start_factor + (1 - s->start_factor) * (double)at / (double)s->warmup_steps);
    }
    return s->of.count && state->last_epoch == s->warmup_steps ? child_step(ctx, s->of.items[0], state, 0) : LT_OK;
}

LT_LR_SCHEDULER(LinearWarmupLR, warmup, "Raises the learning rate in a straight line, then runs the scheduler of the list `schedulers`.",
    .base.get_interface = interface,
    .step = step);
