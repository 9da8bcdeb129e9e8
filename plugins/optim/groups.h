/* plugins/optim/groups.h - what schedulers share that take a value per parameter group: one for all, or one each. */
#ifndef OPTIM_GROUPS_H
#define OPTIM_GROUPS_H
#include <lt/optim.h>
#include <math.h>

static inline double of_group(const lt_floats *list, uint32_t group) { return list->items[list->count == 1 ? 0 : group]; }

/* False, with the reason in ctx: neither one value nor one for each group. */
static inline bool fits_groups(lt_ctx *ctx, const char *name, const lt_floats *list, uint32_t n_groups) {
    if (list->count == 1 || list->count == (int64_t)n_groups) {
        return true;
    }
    lt_fail(ctx, LT_ECONFIG, "%s has %lld values; give one, or one for each of the %u parameter groups", name, (long long)list->count, n_groups);
    return false;
}

/* False, with the reason in ctx: some group has no momentum that could be cycled. */
static inline bool has_momentum(lt_ctx *ctx, const lt_lr_state *state) {
    for (uint32_t g = 0; g < state->n_groups; g++) {
        if (isnan(state->momentum[g])) {
            lt_fail(ctx, LT_ECONFIG, "cycle_momentum needs an optimizer with momentum or betas; set cycle_momentum: false");
            return false;
        }
    }
    return true;
}
#endif
