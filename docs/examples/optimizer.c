/* Signum: the sign of a running average of the gradient (Bernstein et al. 2018, arXiv:1802.04434). */
#include <lt/optim.h>
#include <lt/plugin.h>

typedef struct {
    double lr, momentum, weight_decay;
} signum;

LT_PARAMS(signum,
    LT_PARAM(lr, "1e-4", "Learning rate.", LT_RANGE("0..")),
    LT_PARAM(momentum, "0.9", "Share of the average that is kept.", LT_RANGE("0..1")),
    LT_PARAM(weight_decay, "0", "Decoupled weight decay.", LT_RANGE("0.."), LT_LIVE));

static const lt_slot momentum = {"momentum", 0}; /* saved as optimizer/0/momentum */
static const lt_slot *const slots[] = {&momentum, NULL};

static double initial_lr(lt_ctx *ctx, void *self) {
    (void)ctx;
    return ((signum *)self)->lr;
}

static void update(const signum *s, double lr, const lt_span *span) {
    float *p = span->param, *m = span->slot[0];
    const float *grad = span->grad; /* f32: the flags do not say LT_OPTIM_ANY_DTYPE */
    for (int64_t i = 0; i < span->n; i++) {
        m[i] = (float)(s->momentum * m[i] + (1 - s->momentum) * grad[i]);
        p[i] -= (float)(lr * ((m[i] > 0) - (m[i] < 0) + s->weight_decay * p[i]));
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

LT_OPTIMIZER(Signum, signum, "Steps along the sign of a running average of the gradient.",
    .base.flags = LT_OPTIM_ELEMENTWISE,
    .slots = slots,
    .lr = initial_lr,
    .step = step);
LT_PLUGIN("org.example.signum", "1.0.0", optimizer(Signum));
