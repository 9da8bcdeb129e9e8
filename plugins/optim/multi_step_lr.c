/* plugins/optim/multi_step_lr.c - MultiStepLR, as torch.optim.lr_scheduler.MultiStepLR: the rate that stands is multiplied at milestones. */
#include <lt/optim.h>
#include <math.h>

typedef struct multi_step_lr {
    lt_ints milestones;
    double gamma;
} multi_step_lr;

LT_PARAMS(multi_step_lr,
    LT_PARAM(milestones, LT_REQUIRED, "Epochs of the decays; optimizer steps with interval: step. One that stands twice counts twice."),
    LT_PARAM(gamma, "0.1", "What the learning rate is multiplied by."));

static lt_status step(lt_ctx *ctx, void *self, lt_lr_state *state) {
    const multi_step_lr *s = self;
    double times = 0;
    (void)ctx;
    for (int64_t k = 0; k < s->milestones.count; k++) {
        times += s->milestones.items[k] == state->last_epoch;
    }
    for (uint32_t g = 0; times > 0 && g < state->n_groups; g++) {
        state->lr[g] *= pow(s->gamma, times);
    }
    return LT_OK;
}

LT_LR_SCHEDULER(MultiStepLR, multi_step_lr, "Multiplies the learning rate by gamma at each milestone.", .step = step);
