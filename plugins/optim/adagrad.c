/* plugins/optim/adagrad.c - Adagrad, as torch.optim.Adagrad. The arithmetic is the host's (lt_optim_adagrad). */
#include <lt/optim.h>
#include <math.h>
#include <string.h>

typedef struct adagrad {
    double lr, lr_decay, weight_decay, initial_accumulator_value, eps;
    bool maximize;
    lt_slot sum;
    const lt_slot *slots[2];
} adagrad;

LT_PARAMS(adagrad,
    LT_PARAM(lr, "1e-2", "Learning rate.", LT_RANGE("0..")),
    LT_PARAM(lr_decay, "0", "The rate is divided by 1 + lr_decay times the steps so far.", LT_RANGE("0..")),
    LT_PARAM(weight_decay, "0", "Weight decay, added to the gradient; 0: none.", LT_RANGE("0.."), LT_LIVE),
    LT_PARAM(initial_accumulator_value, "0", "Where the sum of squared gradients begins.", LT_RANGE("0..")),
    LT_PARAM(eps, "1e-10", "Added to the denominator, against division by zero.", LT_RANGE("0..")),
    LT_PARAM(maximize, "false", "Follow the gradient instead of its opposite."));

static const lt_slot sum = {"sum", 0};
static const lt_slot *const slots[] = {&sum, NULL};

static const void *interface(void *self, const char *id) {
    adagrad *s = self;
    if (strcmp(id, LT_OPTIMIZER_SLOTS)) {
        return NULL;
    }
    s->sum = (lt_slot){"sum", s->initial_accumulator_value};
    s->slots[0] = &s->sum;
    s->slots[1] = NULL;
    return s->slots;
}

static double initial_lr(lt_ctx *ctx, void *self) {
    (void)ctx;
    return ((const adagrad *)self)->lr;
}

static double value(lt_ctx *ctx, void *self, const char *key) {
    (void)ctx;
    return !strcmp(key, "weight_decay") ? ((const adagrad *)self)->weight_decay : NAN;
}

static lt_status step(lt_ctx *ctx, void *self, const lt_group *const *groups, uint32_t n_groups) {
    const adagrad *s = self;
    lt_adagrad_args args = {.struct_size = sizeof args, .maximize = s->maximize, .lr_decay = s->lr_decay, .eps = s->eps, .weight_decay = s->weight_decay};
    for (uint32_t g = 0; g < n_groups; g++) {
        args.lr = groups[g]->lr;
        for (uint32_t k = 0; k < groups[g]->n_spans; k++) {
            lt_optim_adagrad(ctx, groups[g]->spans[k], &args);
        }
    }
    return lt_ctx_status(ctx);
}

LT_OPTIMIZER(Adagrad, adagrad, "Adagrad, as torch.optim.Adagrad.",
    .base.flags = LT_OPTIM_ELEMENTWISE | LT_OPTIM_ANY_DTYPE,
    .base.get_interface = interface,
    .slots = slots,
    .lr = initial_lr,
    .value = value,
    .step = step);
