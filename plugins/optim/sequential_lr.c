/* plugins/optim/sequential_lr.c - SequentialLR, as torch.optim.lr_scheduler.SequentialLR: one scheduler after the other, each from a
 * milestone on and from its own step 0 at the initial rate. */
#include "sequences.h"

typedef struct sequential {
    lt_ints milestones;
    children of;
} sequential;

LT_PARAMS(sequential,
    LT_PARAM(milestones, LT_REQUIRED, "Epochs (interval: step: optimizer steps) at which the next scheduler takes over; one less than schedulers."));

static lt_status take(lt_ctx *ctx, void *self, const lt_lr_child *const *items, uint32_t count) {
    sequential *s = self;
    s->of = (children){items, count};
    if (count < 1 || s->milestones.count != (int64_t)count - 1) {
        return lt_fail(ctx, LT_ECONFIG, "%u schedulers and %lld milestones; there must be one milestone between each two schedulers", count,
                       (long long)s->milestones.count);
    }
    for (int64_t k = 0; k < s->milestones.count; k++) {
        int64_t before = k ? s->milestones.items[k - 1] : 0;
        if (s->milestones.items[k] <= before) {
            return lt_fail(ctx, LT_ECONFIG, "milestones must rise, from 1 on; %lld comes after %lld", (long long)s->milestones.items[k], (long long)before);
        }
    }
    return LT_OK;
}

static const void *interface(void *self, const char *id) {
    static const lt_lr_children list = {.struct_size = sizeof list, .take = take};
    (void)self;
    return strcmp(id, LT_LR_CHILDREN) ? NULL : &list;
}

static lt_status step(lt_ctx *ctx, void *self, lt_lr_state *state) {
    const sequential *s = self;
    int64_t k = 0, start = 0;
    while (k < s->milestones.count && s->milestones.items[k] <= state->last_epoch) {
        start = s->milestones.items[k++];
    }
    if (k && start == state->last_epoch) { /* it begins where it would have begun alone */
        memcpy(state->lr, state->base_lr, state->n_groups * sizeof *state->lr);
    }
    return child_step(ctx, s->of.items[k], state, state->last_epoch - start);
}

LT_LR_SCHEDULER(SequentialLR, sequential, "Runs the schedulers of the list `schedulers` one after the other, changing at milestones.",
    .base.get_interface = interface,
    .step = step);
