/* plugins/optim/chained_scheduler.c - ChainedScheduler, as torch.optim.lr_scheduler.ChainedScheduler: several schedulers, each of which
 * changes what the one before it left. */
#include "sequences.h"

typedef struct chained { children of; } chained;

LT_NO_PARAMS(chained);

static lt_status take(lt_ctx *ctx, void *self, const lt_lr_child *const *items, uint32_t count) {
    chained *s = self;
    s->of = (children){items, count};
    return count ? LT_OK : lt_fail(ctx, LT_ECONFIG, "schedulers: at least one must be listed");
}

static const void *interface(void *self, const char *id) {
    static const lt_lr_children list = {.struct_size = sizeof list, .take = take};
    (void)self;
    return strcmp(id, LT_LR_CHILDREN) ? NULL : &list;
}

static lt_status step(lt_ctx *ctx, void *self, lt_lr_state *state) {
    const chained *s = self;
    lt_status status = LT_OK;
    for (uint32_t k = 0; status >= 0 && k < s->of.count; k++) {
        status = child_step(ctx, s->of.items[k], state, state->last_epoch);
    }
    return status;
}

LT_LR_SCHEDULER(ChainedScheduler, chained, "Steps all schedulers of the list `schedulers` one after the other.",
    .base.get_interface = interface,
    .step = step);
