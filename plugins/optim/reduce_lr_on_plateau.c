/* plugins/optim/reduce_lr_on_plateau.c - ReduceLROnPlateau, as torch.optim.lr_scheduler.ReduceLROnPlateau: lowers the rate when the
 * monitored metric stops improving. Needs `monitor:` beside class_path. */
#include "groups.h"

enum { MIN, MAX };
enum { REL, ABS };
typedef struct plateau {
    int32_t mode, threshold_mode;
    double factor, threshold, eps;
    int64_t patience, cooldown;
    lt_floats min_lr;
    double best;
    int64_t num_bad_epochs, cooldown_counter;
    bool seen;
    bool checked; /* that min_lr fits the groups; in each process, as the configuration may be another one after a resume */
} plateau;

LT_PARAMS(plateau,
    LT_CHOICE(mode, "min|max", "min", "Whether lower or higher is better."),
    LT_PARAM(factor, "0.1", "What the learning rate is multiplied by.", LT_RANGE("0..<1")),
    LT_PARAM(patience, "10", "Steps without improvement that are let pass.", LT_RANGE("0..")),
    LT_PARAM(threshold, "1e-4", "Improvements smaller than this do not count."),
    LT_CHOICE(threshold_mode, "rel|abs", "rel", "Whether the threshold is a share of the best value, or a difference."),
    LT_PARAM(cooldown, "0", "Steps after a reduction in which nothing is counted.", LT_RANGE("0..")),
    LT_PARAM(min_lr, "[0]", "Lowest learning rate; one number, or one for each parameter group."),
    LT_PARAM(eps, "1e-8", "A reduction smaller than this is left out.", LT_RANGE("0..")),
    LT_SAVED(best, "0"), LT_SAVED(num_bad_epochs, "0"), LT_SAVED(cooldown_counter, "0"), LT_SAVED(seen, "false"));

static bool better(const plateau *s, double now) {
    if (!s->seen) {
        return s->mode == MIN ? now < INFINITY : now > -INFINITY; /* NaN and the worst there is are no improvement */
    }
    if (s->mode == MIN) {
        return s->threshold_mode == REL ? now < s->best * (1.0 - s->threshold) : now < s->best - s->threshold;
    }
    return s->threshold_mode == REL ? now > s->best * (s->threshold + 1.0) : now > s->best + s->threshold;
}

static void reduce(const plateau *s, lt_lr_state *state) {
    for (uint32_t g = 0; g < state->n_groups; g++) {
        double lowest = of_group(&s->min_lr, g), next = state->lr[g] * s->factor;
        next = next > lowest ? next : lowest;
        if (state->lr[g] - next > s->eps) {
            state->lr[g] = next;
        }
    }
}

static void count(plateau *s, double now, lt_lr_state *state) {
    if (better(s, now)) {
        s->best = now;
        s->seen = true;
        s->num_bad_epochs = 0;
    } else {
        s->num_bad_epochs++;
    }
    if (s->cooldown_counter > 0) {
        s->cooldown_counter--;
        s->num_bad_epochs = 0;
    }
    if (s->num_bad_epochs > s->patience) {
        reduce(s, state);
        s->cooldown_counter = s->cooldown;
        s->num_bad_epochs = 0;
    }
}

static lt_status step(lt_ctx *ctx, void *self, lt_lr_state *state) {
    plateau *s = self;
    if (!s->checked && !fits_groups(ctx, "min_lr", &s->min_lr, state->n_groups)) {
        return lt_ctx_status(ctx);
    }
    s->checked = true;
    if (state->last_epoch > 0) {
        count(s, state->metric, state);
    }
    return LT_OK;
}

LT_LR_SCHEDULER(ReduceLROnPlateau, plateau, "Lowers the learning rate when the monitored metric stops improving.",
    .base.flags = LT_LR_NEEDS_MONITOR,
    .step = step);
