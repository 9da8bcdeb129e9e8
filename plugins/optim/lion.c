/* plugins/optim/lion.c - Lion: the sign of a running average of the gradient, with decoupled weight decay, as in Chen et al. 2023,
 * arXiv:2302.06675, algorithm 2. PyTorch has none. The arithmetic is the host's (lt_optim_lion). */
#include "betas.h"
#include <math.h>
#include <string.h>

typedef struct lion {
    double lr, weight_decay;
    lt_floats betas;
    bool maximize;
    moving_beta beta1;
} lion;

LT_PARAMS(lion,
    LT_PARAM(lr, "1e-4", "Learning rate; a third to a tenth of Adam's.", LT_RANGE("0..")),
    LT_PARAM(betas, "[0.9, 0.99]", "Share of the average in the direction of a step, and share of it that is kept."),
    LT_PARAM(weight_decay, "0", "Decoupled weight decay; three to ten times AdamW's.", LT_RANGE("0.."), LT_LIVE),
    LT_PARAM(maximize, "false", "Follow the gradient instead of its opposite."));

static const lt_slot exp_avg = {"exp_avg", 0};
static const lt_slot *const slots[] = {&exp_avg, NULL};

static double initial_lr(lt_ctx *ctx, void *self) {
    const lion *s = self;
    check_betas(ctx, &s->betas);
    return s->lr;
}

static double value(lt_ctx *ctx, void *self, const char *key) {
    const lion *s = self;
    (void)ctx;
    return !strcmp(key, "weight_decay") ? s->weight_decay : !strcmp(key, "momentum") ? first_beta(&s->betas, &s->beta1) : NAN;
}

static lt_status set_value(lt_ctx *ctx, void *self, const char *key, double now) {
    (void)ctx;
    if (strcmp(key, "momentum")) {
        return LT_SKIP;
    }
    ((lion *)self)->beta1 = (moving_beta){true, now};
    return LT_OK;
}

static lt_status step(lt_ctx *ctx, void *self, const lt_group *const *groups, uint32_t n_groups) {
    const lion *s = self;
    lt_lion_args args = {.struct_size = sizeof args, .maximize = s->maximize, .beta1 = first_beta(&s->betas, &s->beta1), .beta2 = s->betas.items[1],
                         .weight_decay = s->weight_decay};
    for (uint32_t g = 0; g < n_groups; g++) {
        args.lr = groups[g]->lr;
        for (uint32_t k = 0; k < groups[g]->n_spans; k++) {
            lt_optim_lion(ctx, groups[g]->spans[k], &args);
        }
    }
    return lt_ctx_status(ctx);
}

LT_OPTIMIZER(Lion, lion, "Steps along the sign of a running average of the gradient.",
    .base.flags = LT_OPTIM_ELEMENTWISE | LT_OPTIM_ANY_DTYPE,
    .slots = slots,
    .lr = initial_lr,
    .value = value,
    .set_value = set_value,
    .step = step);
