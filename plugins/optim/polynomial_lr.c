/* plugins/optim/polynomial_lr.c - PolynomialLR, as torch.optim.lr_scheduler.PolynomialLR in its chainable form: down to zero along a
 * polynomial. */
#include <lt/optim.h>
#include <math.h>

typedef struct polynomial_lr {
    int64_t total_iters;
    double power;
} polynomial_lr;

LT_PARAMS(polynomial_lr,
    LT_PARAM(total_iters, "5", "Epochs until zero; optimizer steps with interval: step.", LT_RANGE("1..")),
    LT_PARAM(power, "1.0", "Power of the polynomial."));

static lt_status step(lt_ctx *ctx, void *self, lt_lr_state *state) {
    const polynomial_lr *s = self;
    double at = (double)state->last_epoch, total = (double)s->total_iters;
    (void)ctx;
    if (state->last_epoch == 0 || state->last_epoch > s->total_iters) {
        return LT_OK;
    }
    double factor = pow((1.0 - at / total) / (1.0 - (at - 1) / total), s->power);
    for (uint32_t g = 0; g < state->n_groups; g++) {
        state->lr[g] *= factor;
    }
    return LT_OK;
}

LT_LR_SCHEDULER(PolynomialLR, polynomial_lr, "Lowers the learning rate to zero along a polynomial.", .step = step);
