/* plugins/optim/sequences.h - calling a scheduler that is part of another one. */
#ifndef OPTIM_SEQUENCES_H
#define OPTIM_SEQUENCES_H
#include <lt/optim.h>
#include <string.h>

typedef struct children {
    const lt_lr_child *const *items;
    uint32_t count;
} children;

static inline lt_status child_step(lt_ctx *ctx, const lt_lr_child *child, const lt_lr_state *state, int64_t epoch) {
    lt_lr_state own = *state; /* rates and momenta are shared, the count is its own */
    own.last_epoch = epoch;
    lt_status status = child->iface->step(ctx, child->self, &own);
    return status < 0 ? status : lt_ctx_status(ctx);
}
#endif
