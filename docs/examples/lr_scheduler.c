/* WarmupLR: the learning rate rises in a straight line to its full value. */
#include <lt/optim.h>
#include <lt/plugin.h>

typedef struct {
    int64_t warmup;
    double start_factor;
} warmup_lr;

LT_PARAMS(warmup_lr,
    LT_PARAM(warmup, "100", "Steps of the schedule until the full rate.", LT_RANGE("1.."), LT_UNIT("steps")),
    LT_PARAM(start_factor, "0.01", "Share of the full rate at the start.", LT_RANGE("0..1")));

static lt_status step(lt_ctx *ctx, void *self, lt_lr_state *state) {
    const warmup_lr *s = self;
    int64_t at = state->last_epoch < s->warmup ? state->last_epoch : s->warmup; /* 0 at the first call */
    double factor = s->start_factor + (1 - s->start_factor) * (double)at / (double)s->warmup;
    (void)ctx;
    for (uint32_t g = 0; g < state->n_groups; g++) {
        state->lr[g] = state->base_lr[g] * factor;
    }
    return LT_OK;
}

LT_LR_SCHEDULER(WarmupLR, warmup_lr, "Raises the learning rate in a straight line.", .step = step);
LT_PLUGIN("org.example.warmup-lr", "1.0.0", lr_scheduler(WarmupLR));
