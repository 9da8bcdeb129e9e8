/* plugins/optim/cosine_annealing_warm_restarts.c - CosineAnnealingWarmRestarts, as torch.optim.lr_scheduler's: a cosine down, again and
 * again, each T_mult times as long as the one before. Loshchilov and Hutter 2016, arXiv:1608.03983. */
#include <lt/optim.h>
#include <math.h>

typedef struct restarts {
    int64_t T_0, T_mult;
    double eta_min;
} restarts;

LT_PARAMS(restarts,
    LT_PARAM(T_0, LT_REQUIRED, "Epochs of the first cosine; optimizer steps with interval: step.", LT_RANGE("1..")),
    LT_PARAM(T_mult, "1", "How much longer each next one is.", LT_RANGE("1..")),
    LT_PARAM(eta_min, "0", "Lowest learning rate."));

static const double pi = 3.14159265358979323846;

static lt_status step(lt_ctx *ctx, void *self, lt_lr_state *state) {
    const restarts *s = self;
    int64_t at = state->last_epoch, period = s->T_0;
    (void)ctx;
    if (s->T_mult == 1) {
        at %= period;
    }
    while (at >= period) { /* periods grow: few rounds */
        at -= period;
        period *= s->T_mult;
    }
    for (uint32_t g = 0; g < state->n_groups; g++) {
        state->lr[g] = s->eta_min + (state->base_lr[g] - s->eta_min) * (1 + cos(pi * (double)at / (double)period)) / 2;
    }
    return LT_OK;
}

LT_LR_SCHEDULER(CosineAnnealingWarmRestarts, restarts, "Lowers the learning rate along a cosine, again and again.", .step = step);
