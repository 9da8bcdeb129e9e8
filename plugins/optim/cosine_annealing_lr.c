/* plugins/optim/cosine_annealing_lr.c - CosineAnnealingLR, as torch.optim.lr_scheduler.CosineAnnealingLR in its chainable form: the
 * next rate comes from the present one, so that other changes of the rate survive. Goes up again after T_max, as PyTorch's. */
#include <lt/optim.h>
#include <math.h>

typedef struct cosine_annealing_lr {
    int64_t T_max;
    double eta_min;
} cosine_annealing_lr;

LT_PARAMS(cosine_annealing_lr,
    LT_PARAM(T_max, LT_REQUIRED, "Epochs from the initial rate to the lowest; optimizer steps with interval: step.", LT_RANGE("1..")),
    LT_PARAM(eta_min, "0", "Lowest learning rate."));

static const double pi = 3.14159265358979323846;

static double next_rate(const cosine_annealing_lr *c, int64_t epoch, double lr, double base) {
    double period = (double)c->T_max;
    if ((epoch - 1 - c->T_max) % (2 * c->T_max) == 0) { /* the rate stands at its lowest, where the quotient below is 0/0 */
        return lr + (base - c->eta_min) * (1 - cos(pi / period)) / 2;
    }
    return (1 + cos(pi * (double)epoch / period)) / (1 + cos(pi * (double)(epoch - 1) / period)) * (lr - c->eta_min) + c->eta_min;
}

static lt_status step(lt_ctx *ctx, void *self, lt_lr_state *state) {
    (void)ctx;
    for (uint32_t g = 0; state->last_epoch > 0 && g < state->n_groups; g++) {
        state->lr[g] = next_rate(self, state->last_epoch, state->lr[g], state->base_lr[g]);
    }
    return LT_OK;
}

LT_LR_SCHEDULER(CosineAnnealingLR, cosine_annealing_lr, "Lowers the learning rate along a cosine.", .step = step);
