/* plugins/optim/rmsprop.c - RMSprop, as torch.optim.RMSprop: centered or not, with momentum or without. The arithmetic is the host's. */
#include <lt/optim.h>
#include <math.h>
#include <string.h>

typedef struct rmsprop {
    double lr, alpha, eps, weight_decay, momentum;
    bool centered, maximize;
    bool keeps; /* has a momentum buffer */
} rmsprop;

LT_PARAMS(rmsprop,
    LT_PARAM(lr, "1e-2", "Learning rate.", LT_RANGE("0..")),
    LT_PARAM(alpha, "0.99", "Share of the running average of the squared gradient that is kept.", LT_RANGE("0..")),
    LT_PARAM(eps, "1e-8", "Added to the denominator, against division by zero.", LT_RANGE("0..")),
    LT_PARAM(weight_decay, "0", "Weight decay, added to the gradient; 0: none.", LT_RANGE("0.."), LT_LIVE),
    LT_PARAM(momentum, "0", "Share of the last update that is kept; 0: none.", LT_RANGE("0..")),
    LT_PARAM(centered, "false", "Divide by an estimate of the variance instead of the second moment."),
    LT_PARAM(maximize, "false", "Follow the gradient instead of its opposite."));

static const lt_slot square_avg = {"square_avg", 0}, momentum_buffer = {"momentum_buffer", 0}, grad_avg = {"grad_avg", 0};
static const lt_slot *const all[] = {&square_avg, &momentum_buffer, &grad_avg, NULL};
static const lt_slot *const plain[] = {&square_avg, NULL}, *const with_momentum[] = {&square_avg, &momentum_buffer, NULL},
                            *const with_mean[] = {&square_avg, &grad_avg, NULL};

static const void *interface(void *self, const char *id) {
    rmsprop *s = self;
    if (strcmp(id, LT_OPTIMIZER_SLOTS)) {
        return NULL;
    }
    s->keeps = s->momentum > 0;
    return s->keeps ? (s->centered ? all : with_momentum) : s->centered ? with_mean : plain;
}

static double initial_lr(lt_ctx *ctx, void *self) {
    (void)ctx;
    return ((const rmsprop *)self)->lr;
}

static double value(lt_ctx *ctx, void *self, const char *key) {
    const rmsprop *s = self;
    (void)ctx;
    return !strcmp(key, "momentum") ? s->momentum : !strcmp(key, "weight_decay") ? s->weight_decay : NAN;
}

/* Without a buffer, or down to 0 with one, the slots would change their places. */
static lt_status set_value(lt_ctx *ctx, void *self, const char *key, double now) {
    rmsprop *s = self;
    if (strcmp(key, "momentum")) {
        return LT_SKIP;
    }
    if ((now > 0) != s->keeps) {
        return lt_fail(ctx, LT_ECONFIG, "a scheduler cannot change momentum from %g to %g; both must be above 0, or set cycle_momentum: false",
                       s->momentum, now);
    }
    s->momentum = now;
    return LT_OK;
}

static lt_status step(lt_ctx *ctx, void *self, const lt_group *const *groups, uint32_t n_groups) {
    const rmsprop *s = self;
    lt_rmsprop_args args = {.struct_size = sizeof args, .centered = s->centered, .maximize = s->maximize, .alpha = s->alpha, .eps = s->eps,
                            .weight_decay = s->weight_decay, .momentum = s->momentum};
    for (uint32_t g = 0; g < n_groups; g++) {
        args.lr = groups[g]->lr;
        for (uint32_t k = 0; k < groups[g]->n_spans; k++) {
            lt_optim_rmsprop(ctx, groups[g]->spans[k], &args);
        }
    }
    return lt_ctx_status(ctx);
}

LT_OPTIMIZER(RMSprop, rmsprop, "RMSprop, as torch.optim.RMSprop.",
    .base.flags = LT_OPTIM_ELEMENTWISE | LT_OPTIM_ANY_DTYPE,
    .base.get_interface = interface,
    .slots = all,
    .lr = initial_lr,
    .value = value,
    .set_value = set_value,
    .step = step);
