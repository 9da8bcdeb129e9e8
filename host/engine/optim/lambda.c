/* engine/optim/lambda.c - the scheduler of a model that computes its rates itself: a function of its own, as PyTorch's LambdaLR and
 * MultiplicativeLR. The function is called once per group and step; this part keeps no state. */
#include "engine/optim/optim.h"
#include <math.h>

static const lt_params *lambda_params(void) {
    static const lt_params none = {sizeof(lt_params), sizeof(lt_param), sizeof(lth_lambda), 0, NULL};
    return &none;
}

static lt_status step(lt_ctx *ctx, void *self, lt_lr_state *state) {
    const lth_lambda *l = self;
    for (uint32_t g = 0; g < state->n_groups; g++) {
        if (l->multiplicative && state->last_epoch == 0) {
            continue; /* the first rate is the configured one */
        }
        double factor = l->f(l->self, state->last_epoch, g);
        if (!isfinite(factor)) {
            return lth_fail(&ctx->error, LT_ENONFINITE, "the function of the learning rate returned %g for group %u at step %lld of the schedule",
                            factor, g, (long long)state->last_epoch);
        }
        state->lr[g] = (l->multiplicative ? state->lr[g] : state->base_lr[g]) * factor;
    }
    return LT_OK;
}

const lt_lr_scheduler lth_lambda_scheduler = {
    .base = {.struct_size = sizeof(lt_lr_scheduler), .kind = "lt.lr_scheduler/1", .id = "LambdaLR", .doc = "A function of the model.",
             .params = lambda_params},
    .step = step,
};
