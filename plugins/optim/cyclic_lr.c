/* plugins/optim/cyclic_lr.c - CyclicLR, as torch.optim.lr_scheduler.CyclicLR: up and down between two rates, the momentum the other way
 * round. Smith 2015, arXiv:1506.01186. There is no scale_fn: write a scheduler of your own for that. */
#include "groups.h"

enum { TRIANGULAR, TRIANGULAR2, EXP_RANGE };
typedef struct cyclic_lr {
    lt_floats base_lr, max_lr, base_momentum, max_momentum;
    int64_t step_size_up;
    lt_opt_int step_size_down;
    int32_t mode;
    double gamma;
    bool cycle_momentum;
    bool checked; /* that the lists fit the groups; in each process, as the configuration may be another one after a resume */
} cyclic_lr;

LT_PARAMS(cyclic_lr,
    LT_PARAM(base_lr, LT_REQUIRED, "Lower end of the rate; one number, or one for each parameter group."),
    LT_PARAM(max_lr, LT_REQUIRED, "Upper end of the rate; one number, or one for each parameter group."),
    LT_PARAM(step_size_up, "2000", "Steps of the rise.", LT_RANGE("1..")),
    LT_PARAM(step_size_down, "null", "Steps of the fall; null: as many as of the rise.", LT_RANGE("1..")),
    LT_CHOICE(mode, "triangular|triangular2|exp_range", "triangular", "Whether the height stays, halves every cycle, or shrinks by gamma^step."),
    LT_PARAM(gamma, "1.0", "Of exp_range."),
    LT_PARAM(cycle_momentum, "true", "Cycle the momentum too, against the rate."),
    LT_PARAM(base_momentum, "[0.8]", "Lower end of the momentum."),
    LT_PARAM(max_momentum, "[0.9]", "Upper end of the momentum."));

static bool fits(lt_ctx *ctx, const cyclic_lr *s, const lt_lr_state *state) {
    return fits_groups(ctx, "base_lr", &s->base_lr, state->n_groups) && fits_groups(ctx, "max_lr", &s->max_lr, state->n_groups) &&
           (!s->cycle_momentum || (fits_groups(ctx, "base_momentum", &s->base_momentum, state->n_groups) &&
                                   fits_groups(ctx, "max_momentum", &s->max_momentum, state->n_groups) && has_momentum(ctx, state)));
}

static lt_status step(lt_ctx *ctx, void *self, lt_lr_state *state) {
    cyclic_lr *s = self;
    double up = (double)s->step_size_up, down = s->step_size_down.given ? (double)s->step_size_down.value : up;
    double total = up + down, ratio = up / total, at = (double)state->last_epoch;
    if (!s->checked && !fits(ctx, s, state)) {
        return lt_ctx_status(ctx);
    }
    s->checked = true;
    double cycle = floor(1 + at / total), x = 1.0 + at / total - cycle;
    double height = x <= ratio ? x / ratio : (x - 1) / (ratio - 1);
    double scale = s->mode == TRIANGULAR ? 1.0 : s->mode == TRIANGULAR2 ? 1 / pow(2.0, cycle - 1) : pow(s->gamma, at);
    for (uint32_t g = 0; g < state->n_groups; g++) {
        double low = of_group(&s->base_lr, g);
        state->lr[g] = low + (of_group(&s->max_lr, g) - low) * height * scale;
        if (s->cycle_momentum) {
            double high = of_group(&s->max_momentum, g);
            state->momentum[g] = high - (high - of_group(&s->base_momentum, g)) * height * scale;
        }
    }
    return LT_OK;
}

LT_LR_SCHEDULER(CyclicLR, cyclic_lr, "Moves the learning rate up and down between two values.", .step = step);
