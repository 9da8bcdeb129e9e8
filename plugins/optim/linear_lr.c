/* plugins/optim/linear_lr.c - LinearLR, as torch.optim.lr_scheduler.LinearLR in its chainable form: from one share of the rate to another
 * in a straight line. The usual warm-up. */
#include <lt/optim.h>

typedef struct linear_lr {
    double start_factor, end_factor;
    int64_t total_iters;
} linear_lr;

LT_PARAMS(linear_lr,
    LT_PARAM(start_factor, "0.3333333333333333", "Share of the learning rate at the start.", LT_RANGE(">0..1")),
    LT_PARAM(end_factor, "1.0", "Share of the learning rate at the end.", LT_RANGE("0..1")),
    LT_PARAM(total_iters, "5", "Epochs from the one to the other; optimizer steps with interval: step.", LT_RANGE("1..")));

static lt_status step(lt_ctx *ctx, void *self, lt_lr_state *state) {
    const linear_lr *s = self;
    double rise = s->end_factor - s->start_factor, total = (double)s->total_iters, factor = s->start_factor;
    (void)ctx;
    if (state->last_epoch > s->total_iters) {
        return LT_OK;
    }
    if (state->last_epoch > 0) {
        factor = 1.0 + rise / (total * s->start_factor + (double)(state->last_epoch - 1) * rise);
    }
    for (uint32_t g = 0; g < state->n_groups; g++) {
        state->lr[g] *= factor;
    }
    return LT_OK;
}

LT_LR_SCHEDULER(LinearLR, linear_lr, "Changes the learning rate in a straight line from one share of it to another.", .step = step);
