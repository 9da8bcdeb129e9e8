/* plugins/optim/step_lr.c - StepLR, as torch.optim.lr_scheduler.StepLR in its chainable form: the rate that stands is multiplied. */
#include <lt/optim.h>

typedef struct step_lr {
    int64_t step_size;
    double gamma;
} step_lr;

LT_PARAMS(step_lr,
    LT_PARAM(step_size, LT_REQUIRED, "Epochs between two decays; optimizer steps with interval: step.", LT_RANGE("1..")),
    LT_PARAM(gamma, "0.1", "What the learning rate is multiplied by."));

static lt_status step(lt_ctx *ctx, void *self, lt_lr_state *state) {
    const step_lr *s = self;
    (void)ctx;
    if (state->last_epoch == 0 || state->last_epoch % s->step_size != 0) {
        return LT_OK;
    }
    for (uint32_t g = 0; g < state->n_groups; g++) {
        state->lr[g] *= s->gamma;
    }
    return LT_OK;
}

LT_LR_SCHEDULER(StepLR, step_lr, "Multiplies the learning rate by gamma every step_size steps.", .step = step);
