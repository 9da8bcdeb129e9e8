/* plugins/optim/adam.h - what Adam and AdamW share: parameters, checks, the pass over the spans. They differ in how weight decay acts. */
#ifndef OPTIM_ADAM_H
#define OPTIM_ADAM_H
#include "betas.h"

typedef struct adam {
    double lr, eps, weight_decay;
    lt_floats betas;
    bool amsgrad, maximize;
    moving_beta beta1;
} adam;

#define ADAM_PARAMS(weight_decay_default) \
    LT_PARAM(lr, "1e-3", "Learning rate.", LT_RANGE("0..")), \
    LT_PARAM(betas, "[0.9, 0.999]", "Decay of the running averages of the gradient and of its square."), \
    LT_PARAM(eps, "1e-8", "Added to the denominator, against division by zero.", LT_RANGE("0..")), \
    LT_PARAM(weight_decay, weight_decay_default, "Weight decay; 0: none.", LT_RANGE("0.."), LT_LIVE), \
    LT_PARAM(amsgrad, "false", "Use the largest second moment so far (AMSGrad)."), \
    LT_PARAM(maximize, "false", "Follow the gradient instead of its opposite.")

double adam_lr(lt_ctx *ctx, void *self);
double adam_value(lt_ctx *ctx, void *self, const char *key);
lt_status adam_set_value(lt_ctx *ctx, void *self, const char *key, double now);
lt_status adam_step(lt_ctx *ctx, const adam *self, const lt_group *const *groups, uint32_t n_groups, bool decoupled);
extern const lt_slot *const adam_slots[];
/* Without amsgrad the third slot is not needed. */
const void *adam_interface(void *self, const char *id);
#endif
