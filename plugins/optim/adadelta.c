/* plugins/optim/adadelta.c - Adadelta, as torch.optim.Adadelta. The arithmetic is the host's (lt_optim_adadelta). */
#include <lt/optim.h>
#include <math.h>
#include <string.h>

typedef struct adadelta {
    double lr, rho, eps, weight_decay;
    bool maximize;
} adadelta;

LT_PARAMS(adadelta,
    LT_PARAM(lr, "1.0", "Share of the computed update that is made.", LT_RANGE("0..")),
    LT_PARAM(rho, "0.9", "Share of the running averages that is kept.", LT_RANGE("0..1")),
    LT_PARAM(eps, "1e-6", "Added below the roots.", LT_RANGE("0..")),
    LT_PARAM(weight_decay, "0", "Weight decay, added to the gradient; 0: none.", LT_RANGE("0.."), LT_LIVE),
    LT_PARAM(maximize, "false", "Follow the gradient instead of its opposite."));

static const lt_slot square_avg = {"square_avg", 0}, acc_delta = {"acc_delta", 0};
static const lt_slot *const slots[] = {&square_avg, &acc_delta, NULL};

static double initial_lr(lt_ctx *ctx, void *self) {
    (void)ctx;
    return ((const adadelta *)self)->lr;
}

static double value(lt_ctx *ctx, void *self, const char *key) {
    (void)ctx;
    return !strcmp(key, "weight_decay") ? ((const adadelta *)self)->weight_decay : NAN;
}

static lt_status step(lt_ctx *ctx, void *self, const lt_group *const *groups, uint32_t n_groups) {
    const adadelta *s = self;
    lt_adadelta_args args = {.struct_size = sizeof args, .maximize = s->maximize, .rho = s->rho, .eps = s->eps, .weight_decay = s->weight_decay};
    for (uint32_t g = 0; g < n_groups; g++) {
        args.lr = groups[g]->lr;
        for (uint32_t k = 0; k < groups[g]->n_spans; k++) {
            lt_optim_adadelta(ctx, groups[g]->spans[k], &args);
        }
    }
    return lt_ctx_status(ctx);
}

LT_OPTIMIZER(Adadelta, adadelta, "Adadelta, as torch.optim.Adadelta.",
    .base.flags = LT_OPTIM_ELEMENTWISE | LT_OPTIM_ANY_DTYPE,
    .slots = slots,
    .lr = initial_lr,
    .value = value,
    .step = step);
