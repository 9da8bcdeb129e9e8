/* plugins/optim/exponential_lr.c - ExponentialLR, as torch.optim.lr_scheduler.ExponentialLR: the rate that stands is multiplied each time. */
#include <lt/optim.h>

typedef struct exponential_lr { double gamma; } exponential_lr;

LT_PARAMS(exponential_lr,
    LT_PARAM(gamma, LT_REQUIRED, "What the learning rate is multiplied by every time."));

static lt_status step(lt_ctx *ctx, void *self, lt_lr_state *state) {
    const exponential_lr *s = self;
    (void)ctx;
    for (uint32_t g = 0; state->last_epoch > 0 && g < state->n_groups; g++) {
        state->lr[g] *= s->gamma;
    }
    return LT_OK;
}

LT_LR_SCHEDULER(ExponentialLR, exponential_lr, "Multiplies the learning rate by gamma every time.", .step = step);
