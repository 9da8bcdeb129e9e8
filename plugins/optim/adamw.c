/* plugins/optim/adamw.c - AdamW, as torch.optim.AdamW: weights decay by themselves, apart from the gradient. */
#include "adam.h"

typedef adam adamw;

LT_PARAMS(adamw, ADAM_PARAMS("1e-2"));

static lt_status step(lt_ctx *ctx, void *self, const lt_group *const *groups, uint32_t n_groups) {
    return adam_step(ctx, self, groups, n_groups, true);
}

LT_OPTIMIZER(AdamW, adamw, "Adam with decoupled weight decay, as torch.optim.AdamW.",
    .base.flags = LT_OPTIM_ELEMENTWISE | LT_OPTIM_ANY_DTYPE,
    .base.get_interface = adam_interface,
    .slots = adam_slots,
    .lr = adam_lr,
    .value = adam_value,
    .set_value = adam_set_value,
    .step = step);
