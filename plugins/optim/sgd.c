/* plugins/optim/sgd.c - stochastic gradient descent with momentum, as torch.optim.SGD. The arithmetic is the host's (lt_optim_sgd). */
#include <lt/optim.h>
#include <math.h>
#include <string.h>

typedef struct sgd {
    double lr, momentum, dampening, weight_decay;
    bool nesterov, maximize;
    bool keeps; /* has a momentum buffer */
} sgd;

LT_PARAMS(sgd,
    LT_PARAM(lr, "1e-3", "Learning rate.", LT_RANGE("0..")),
    LT_PARAM(momentum, "0", "Share of the last update that is kept; 0: none.", LT_RANGE("0..")),
    LT_PARAM(dampening, "0", "Share of a gradient that does not go into the momentum."),
    LT_PARAM(weight_decay, "0", "Weight decay, added to the gradient; 0: none.", LT_RANGE("0.."), LT_LIVE),
    LT_PARAM(nesterov, "false", "Nesterov momentum; needs momentum and no dampening."),
    LT_PARAM(maximize, "false", "Follow the gradient instead of its opposite."));

static const lt_slot momentum_buffer = {"momentum_buffer", 0};
static const lt_slot *const slots[] = {&momentum_buffer, NULL}, *const no_slots[] = {NULL};

static const void *interface(void *self, const char *id) {
    sgd *s = self;
    if (strcmp(id, LT_OPTIMIZER_SLOTS)) {
        return NULL;
    }
    s->keeps = s->momentum != 0;
    return s->keeps ? slots : no_slots;
}

static double initial_lr(lt_ctx *ctx, void *self) {
    const sgd *s = self;
    if (s->nesterov && (s->momentum <= 0 || s->dampening != 0)) {
        lt_fail(ctx, LT_ECONFIG, "nesterov needs momentum above 0 and dampening 0; got %g and %g", s->momentum, s->dampening);
    }
    return s->lr;
}

static double value(lt_ctx *ctx, void *self, const char *key) {
    const sgd *s = self;
    (void)ctx;
    return !strcmp(key, "momentum") ? s->momentum : !strcmp(key, "weight_decay") ? s->weight_decay : NAN;
}

/* The state for it is there from the start, or never. */
static lt_status set_value(lt_ctx *ctx, void *self, const char *key, double now) {
    sgd *s = self;
    if (strcmp(key, "momentum")) {
        return LT_SKIP;
    }
    if (!s->keeps && now != 0) {
        return lt_fail(ctx, LT_ECONFIG, "momentum: 0 keeps no state, so a scheduler cannot raise it to %g; set momentum above 0, or "
                       "cycle_momentum: false", now);
    }
    s->momentum = now;
    return LT_OK;
}

static lt_status step(lt_ctx *ctx, void *self, const lt_group *const *groups, uint32_t n_groups) {
    const sgd *s = self;
    lt_sgd_args args = {.struct_size = sizeof args, .nesterov = s->nesterov, .maximize = s->maximize, .momentum = s->momentum,
                        .dampening = s->dampening, .weight_decay = s->weight_decay};
    for (uint32_t g = 0; g < n_groups; g++) {
        args.lr = groups[g]->lr;
        for (uint32_t k = 0; k < groups[g]->n_spans; k++) {
            lt_optim_sgd(ctx, groups[g]->spans[k], &args);
        }
    }
    return lt_ctx_status(ctx);
}

LT_OPTIMIZER(SGD, sgd, "Stochastic gradient descent with momentum, as torch.optim.SGD.",
    .base.flags = LT_OPTIM_ELEMENTWISE | LT_OPTIM_ANY_DTYPE,
    .base.get_interface = interface,
    .slots = slots,
    .lr = initial_lr,
    .value = value,
    .set_value = set_value,
    .step = step);
