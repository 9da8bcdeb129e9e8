/* plugins/optim/nadam.c - NAdam, as torch.optim.NAdam: Adam with Nesterov momentum whose strength grows. The arithmetic is the host's
 * (lt_optim_nadam); here is the product of all momenta so far, one for each number of steps that parameters have. */
#include "betas.h"
#include <math.h>
#include <string.h>

enum { KEPT = 16 };
typedef struct product { int64_t step; float value; } product; /* f32, as PyTorch's */
typedef struct nadam {
    double lr, eps, weight_decay, momentum_decay;
    lt_floats betas;
    bool decoupled_weight_decay, maximize;
    moving_beta beta1;
    product kept[KEPT];
    int32_t next;
} nadam;

LT_PARAMS(nadam,
    LT_PARAM(lr, "2e-3", "Learning rate.", LT_RANGE("0..")),
    LT_PARAM(betas, "[0.9, 0.999]", "Decay of the running averages of the gradient and of its square."),
    LT_PARAM(eps, "1e-8", "Added to the denominator, against division by zero.", LT_RANGE("0..")),
    LT_PARAM(weight_decay, "0", "Weight decay; 0: none.", LT_RANGE("0.."), LT_LIVE),
    LT_PARAM(momentum_decay, "4e-3", "How fast the momentum comes to its full strength.", LT_RANGE("0..")),
    LT_PARAM(decoupled_weight_decay, "false", "Let weights decay by themselves, apart from the gradient (NAdamW)."),
    LT_PARAM(maximize, "false", "Follow the gradient instead of its opposite."));

static const lt_slot exp_avg = {"exp_avg", 0}, exp_avg_sq = {"exp_avg_sq", 0};
static const lt_slot *const slots[] = {&exp_avg, &exp_avg_sq, NULL};

static double initial_lr(lt_ctx *ctx, void *self) {
    const nadam *s = self;
    check_betas(ctx, &s->betas);
    return s->lr;
}

static double value(lt_ctx *ctx, void *self, const char *key) {
    const nadam *s = self;
    (void)ctx;
    return !strcmp(key, "weight_decay") ? s->weight_decay : !strcmp(key, "momentum") ? first_beta(&s->betas, &s->beta1) : NAN;
}

static lt_status set_value(lt_ctx *ctx, void *self, const char *key, double now) {
    (void)ctx;
    if (strcmp(key, "momentum")) {
        return LT_SKIP;
    }
    ((nadam *)self)->beta1 = (moving_beta){true, now};
    return LT_OK;
}

static double mu_at(const nadam *s, int64_t step) {
    return first_beta(&s->betas, &s->beta1) * (1.0 - 0.5 * pow(0.96, (double)step * s->momentum_decay));
}

static product *find(nadam *s, int64_t step) {
    for (int k = 0; k < KEPT; k++) {
        if (s->kept[k].step == step) {
            return &s->kept[k];
        }
    }
    return NULL;
}

/* The product up to `step`: of the step before, times this one's. One that is not kept any more is computed with today's beta. */
static float product_at(nadam *s, int64_t step) {
    product *now = find(s, step), *before = step > 1 ? find(s, step - 1) : NULL;
    if (now) {
        return now->value;
    }
    float value = before ? before->value : 1;
    for (int64_t t = before ? step : 1; t <= step; t++) {
        value = (float)(value * (float)mu_at(s, t));
    }
    s->kept[s->next] = (product){step, value};
    s->next = (s->next + 1) % KEPT;
    return value;
}

static lt_status step(lt_ctx *ctx, void *self, const lt_group *const *groups, uint32_t n_groups) {
    nadam *s = self;
    lt_nadam_args args = {.struct_size = sizeof args, .decoupled = s->decoupled_weight_decay, .maximize = s->maximize,
                          .beta1 = first_beta(&s->betas, &s->beta1), .beta2 = s->betas.items[1], .eps = s->eps, .weight_decay = s->weight_decay};
    for (uint32_t g = 0; g < n_groups; g++) {
        args.lr = groups[g]->lr;
        for (uint32_t k = 0; k < groups[g]->n_spans; k++) {
            int64_t t = groups[g]->spans[k]->step;
            args.mu = mu_at(s, t);
            args.mu_next = mu_at(s, t + 1);
            args.mu_product = (double)product_at(s, t);
            lt_optim_nadam(ctx, groups[g]->spans[k], &args);
        }
    }
    return lt_ctx_status(ctx);
}

static lt_status save(lt_ctx *ctx, void *self, lt_state_writer *out) {
    const nadam *s = self;
    lt_state_put_bytes(ctx, out, "mu_products", s->kept, sizeof s->kept);
    lt_state_put_i64(ctx, out, "next", s->next);
    return lt_ctx_status(ctx);
}

static lt_status load(lt_ctx *ctx, void *self, const lt_state_reader *in) {
    nadam *s = self;
    size_t size = 0;
    const void *kept = lt_state_get_bytes(ctx, in, "mu_products", &size);
    int64_t next = lt_state_get_i64(ctx, in, "next", 0);
    if (!kept || size != sizeof s->kept || next < 0 || next >= KEPT) {
        return lt_fail(ctx, LT_EFORMAT, "the saved products of momenta are %zu bytes; %zu were expected", size, sizeof s->kept);
    }
    memcpy(s->kept, kept, size);
    s->next = (int32_t)next;
    return LT_OK;
}

LT_OPTIMIZER(NAdam, nadam, "Adam with Nesterov momentum, as torch.optim.NAdam.",
    .base.flags = LT_OPTIM_ELEMENTWISE | LT_OPTIM_ANY_DTYPE,
    .slots = slots,
    .lr = initial_lr,
    .value = value,
    .set_value = set_value,
    .step = step,
    .save = save,
    .load = load);
