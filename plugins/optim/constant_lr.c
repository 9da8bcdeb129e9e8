/* plugins/optim/constant_lr.c - ConstantLR, as torch.optim.lr_scheduler.ConstantLR: a share of the rate at first, then all of it. */
#include <lt/optim.h>

typedef struct constant_lr {
    double factor;
    int64_t total_iters;
} constant_lr;

LT_PARAMS(constant_lr,
    LT_PARAM(factor, "0.3333333333333333", "Share of the learning rate that is used at first.", LT_RANGE("0..1")),
    LT_PARAM(total_iters, "5", "Epochs until the full rate; optimizer steps with interval: step.", LT_RANGE("0..")));

static lt_status step(lt_ctx *ctx, void *self, lt_lr_state *state) {
    const constant_lr *s = self;
    (void)ctx;
    for (uint32_t g = 0; g < state->n_groups; g++) {
        if (state->last_epoch == 0) {
            state->lr[g] *= s->factor;
        } else if (state->last_epoch == s->total_iters) {
            state->lr[g] = s->factor > 0 ? state->lr[g] * (1.0 / s->factor) : state->base_lr[g];
        }
    }
    return LT_OK;
}

LT_LR_SCHEDULER(ConstantLR, constant_lr, "A share of the learning rate for a number of steps, then all of it.", .step = step);
