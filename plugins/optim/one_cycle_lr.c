/* plugins/optim/one_cycle_lr.c - OneCycleLR, as torch.optim.lr_scheduler.OneCycleLR: up to a high rate and down to a very low one, the
 * momentum the other way round. Smith and Topin 2017, arXiv:1708.07120. Meant for interval: step. */
#include "groups.h"

enum { COS, LINEAR };
typedef struct one_cycle_lr {
    lt_floats max_lr, base_momentum, max_momentum;
    lt_opt_int total_steps, epochs, steps_per_epoch;
    double pct_start, div_factor, final_div_factor;
    int32_t anneal_strategy;
    bool cycle_momentum, three_phase;
    bool checked; /* that the lists fit the groups; in each process, as the configuration may be another one after a resume */
} one_cycle_lr;

LT_PARAMS(one_cycle_lr,
    LT_PARAM(max_lr, LT_REQUIRED, "Highest learning rate; one number, or one for each parameter group."),
    LT_PARAM(total_steps, "null", "Steps of the cycle; null: epochs times steps_per_epoch.", LT_RANGE("1..")),
    LT_PARAM(epochs, "null", "With steps_per_epoch, in place of total_steps.", LT_RANGE("1..")),
    LT_PARAM(steps_per_epoch, "null", "With epochs, in place of total_steps.", LT_RANGE("1..")),
    LT_PARAM(pct_start, "0.3", "Share of the cycle in which the rate rises.", LT_RANGE("0..1")),
    LT_CHOICE(anneal_strategy, "cos|linear", "cos", "Form of the rise and the fall."),
    LT_PARAM(cycle_momentum, "true", "Cycle the momentum too, against the rate."),
    LT_PARAM(base_momentum, "[0.85]", "Lowest momentum."),
    LT_PARAM(max_momentum, "[0.95]", "Highest momentum."),
    LT_PARAM(div_factor, "25.0", "The first rate is max_lr / div_factor.", LT_RANGE(">0..")),
    LT_PARAM(final_div_factor, "1e4", "The last rate is the first / final_div_factor.", LT_RANGE(">0..")),
    LT_PARAM(three_phase, "false", "Fall to the first rate as slowly as it rose, then to the last."));

static const double pi = 3.14159265358979323846;

static double anneal(const one_cycle_lr *s, double from, double to, double share) {
    return s->anneal_strategy == LINEAR ? (to - from) * share + from : to + (from - to) / 2.0 * (cos(pi * share) + 1);
}

static int64_t total_of(const one_cycle_lr *s) {
    return s->total_steps.given ? s->total_steps.value
           : s->epochs.given && s->steps_per_epoch.given ? s->epochs.value * s->steps_per_epoch.value : 0;
}

static bool fits(lt_ctx *ctx, const one_cycle_lr *s, const lt_lr_state *state) {
    if (total_of(s) < 1) {
        lt_fail(ctx, LT_ECONFIG, "give total_steps, or epochs and steps_per_epoch");
        return false;
    }
    return fits_groups(ctx, "max_lr", &s->max_lr, state->n_groups) &&
           (!s->cycle_momentum || (fits_groups(ctx, "base_momentum", &s->base_momentum, state->n_groups) &&
                                   fits_groups(ctx, "max_momentum", &s->max_momentum, state->n_groups) && has_momentum(ctx, state)));
}

/* Where in the cycle step `at` lies: the phase (0 rise, 1 fall, 2 the end of three) and the share of it that is over. */
static int phase_at(const one_cycle_lr *s, double at, double total, double *share) {
    double ends[3] = {s->pct_start * total - 1, s->three_phase ? 2 * s->pct_start * total - 2 : total - 1, total - 1}, start = 0;
    int last = s->three_phase ? 2 : 1, k = 0;
    while (k < last && at > ends[k]) {
        start = ends[k++];
    }
    *share = ends[k] != start ? (at - start) / (ends[k] - start) : 1;
    return k;
}

static lt_status step(lt_ctx *ctx, void *self, lt_lr_state *state) {
    one_cycle_lr *s = self;
    int64_t total = total_of(s);
    double share;
    if (!s->checked && !fits(ctx, s, state)) {
        return lt_ctx_status(ctx);
    }
    s->checked = true;
    if (state->last_epoch > total) {
        return lt_fail(ctx, LT_ECONFIG, "step %lld of a cycle of total_steps %lld; make the cycle as long as the training, or the training shorter",
                       (long long)state->last_epoch, (long long)total);
    }
    int phase = phase_at(s, (double)state->last_epoch, (double)total, &share);
    for (uint32_t g = 0; g < state->n_groups; g++) {
        double high = of_group(&s->max_lr, g), first = high / s->div_factor, lowest = first / s->final_div_factor;
        double from = phase == 1 ? high : first, to = phase == 0 ? high : phase == 1 && s->three_phase ? first : lowest;
        state->lr[g] = anneal(s, from, to, share);
        if (s->cycle_momentum) {
            double low = of_group(&s->base_momentum, g), top = of_group(&s->max_momentum, g);
            state->momentum[g] = anneal(s, phase == 1 ? low : top, phase == 0 ? low : top, share);
        }
    }
    return LT_OK;
}

LT_LR_SCHEDULER(OneCycleLR, one_cycle_lr, "One rise to a high learning rate and one fall to a very low one.", .step = step);
