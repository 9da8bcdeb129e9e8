/* Lion: the sign of a running average of the gradient (Chen et al. 2023, arXiv:2302.06675). */
#include <lt/optim.h>
#include <lt/plugin.h>

typedef struct {
    double lr, beta1, beta2, weight_decay;
} lion;

LT_PARAMS(lion,
    LT_PARAM(lr, "1e-4", "Learning rate.", LT_RANGE("0..")),
    LT_PARAM(beta1, "0.9", "Share of the average in the direction of a step.", LT_RANGE("0..1")),
    LT_PARAM(beta2, "0.99", "Share of the average that is kept.", LT_RANGE("0..1")),
    LT_PARAM(weight_decay, "0", "Decoupled weight decay.", LT_RANGE("0.."), LT_LIVE));

static const lt_slot momentum = {"momentum", 0}; /* saved as optimizer/0/momentum */
static const lt_slot *const slots[] = {&momentum, NULL};

static double initial_lr(lt_ctx *ctx, void *self) {
    (void)ctx;
    return ((lion *)self)->lr;
}

static void update(const lion *s, double lr, const lt_span *span) {
    float *p = span->param, *m = span->slot[0];
    const float *grad = span->grad; /* f32: the flags do not say LT_OPTIM_ANY_DTYPE */
    for (int64_t i = 0; i < span->n; i++) {
        double g = grad[i], direction = s->beta1 * m[i] + (1 - s->beta1) * g;
        p[i] -= (float)(lr * ((direction > 0) - (direction < 0) + s->weight_decay * p[i]));
        m[i] = (float)(s->beta2 * m[i] + (1 - s->beta2) * g);
    }
}

static lt_status step(lt_ctx *ctx, void *self, const lt_group *const *groups, uint32_t n_groups) {
    for (uint32_t g = 0; g < n_groups; g++) {
        for (uint32_t k = 0; k < groups[g]->n_spans; k++) {
            update(self, groups[g]->lr, groups[g]->spans[k]);
        }
    }
    return lt_ctx_status(ctx);
}

LT_OPTIMIZER(Lion, lion, "Steps along the sign of a running average of the gradient.",
    .base.flags = LT_OPTIM_ELEMENTWISE,
    .slots = slots,
    .lr = initial_lr,
    .step = step);
LT_PLUGIN("org.example.lion", "1.0.0", optimizer(Lion));
