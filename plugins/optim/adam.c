/* plugins/optim/adam.c - Adam, as torch.optim.Adam: weight decay is added to the gradient. The arithmetic is the host's (lt_optim_adam). */
#include "adam.h"
#include <math.h>
#include <string.h>

static const lt_slot exp_avg = {"exp_avg", 0}, exp_avg_sq = {"exp_avg_sq", 0}, max_exp_avg_sq = {"max_exp_avg_sq", 0};
const lt_slot *const adam_slots[] = {&exp_avg, &exp_avg_sq, &max_exp_avg_sq, NULL};
static const lt_slot *const slots_without_amsgrad[] = {&exp_avg, &exp_avg_sq, NULL};

const void *adam_interface(void *self, const char *id) {
    const adam *a = self;
    return strcmp(id, LT_OPTIMIZER_SLOTS) ? NULL : a->amsgrad ? adam_slots : slots_without_amsgrad;
}

/* Called once, before the first step: the place to refuse parameters that do not go together. */
double adam_lr(lt_ctx *ctx, void *self) {
    const adam *a = self;
    check_betas(ctx, &a->betas);
    return a->lr;
}

double adam_value(lt_ctx *ctx, void *self, const char *key) {
    const adam *a = self;
    (void)ctx;
    return !strcmp(key, "weight_decay") ? a->weight_decay : !strcmp(key, "momentum") ? first_beta(&a->betas, &a->beta1) : NAN;
}

lt_status adam_set_value(lt_ctx *ctx, void *self, const char *key, double now) {
    (void)ctx;
    if (strcmp(key, "momentum")) {
        return LT_SKIP;
    }
    ((adam *)self)->beta1 = (moving_beta){true, now};
    return LT_OK;
}

lt_status adam_step(lt_ctx *ctx, const adam *self, const lt_group *const *groups, uint32_t n_groups, bool decoupled) {
    lt_adam_args args = {.struct_size = sizeof args, .decoupled = decoupled, .amsgrad = self->amsgrad, .maximize = self->maximize,
                         .beta1 = first_beta(&self->betas, &self->beta1), .beta2 = self->betas.items[1], .eps = self->eps, .weight_decay = self->weight_decay};
    for (uint32_t g = 0; g < n_groups; g++) {
        args.lr = groups[g]->lr;
        for (uint32_t s = 0; s < groups[g]->n_spans; s++) {
            lt_optim_adam(ctx, groups[g]->spans[s], &args);
        }
    }
    return lt_ctx_status(ctx);
}

LT_PARAMS(adam, ADAM_PARAMS("0"));

static lt_status step(lt_ctx *ctx, void *self, const lt_group *const *groups, uint32_t n_groups) {
    return adam_step(ctx, self, groups, n_groups, false);
}

LT_OPTIMIZER(Adam, adam, "Adam, as torch.optim.Adam.",
    .base.flags = LT_OPTIM_ELEMENTWISE | LT_OPTIM_ANY_DTYPE,
    .base.get_interface = adam_interface,
    .slots = adam_slots,
    .lr = adam_lr,
    .value = adam_value,
    .set_value = adam_set_value,
    .step = step);
