/* engine/backends/rules/rules.h - element-wise update rules beside those with a slot of their own in the vtable: what the arguments of
 * lt/optim.h come down to, and how many state slots each rule reads and writes. Numbers only: no memory, no threads. */
#ifndef LTH_RULES_H
#define LTH_RULES_H
#include <lt/optim.h>
#include <stdbool.h>

enum { LTH_RULE_SLOTS = 3 };
typedef struct lth_rule {
    int32_t kind;                   /* LT_RULE_* */
    int32_t n_slots;
    bool centered, momentum;        /* LT_RULE_RMSPROP */
    double sign;                    /* -1: maximize */
    double lr, decay, weight_decay, eps, a, b, c, d; /* decay: 1, or 1 - lr weight_decay when it is decoupled; a..d: by kind */
} lth_rule;

/* A pass over bf16 (low.h): an optimizer's update, or what clipping does to gradients. low: the factor of a scaling, or the lower limit. */
enum { LTH_LOW_SGD, LTH_LOW_ADAM, LTH_LOW_RULE, LTH_LOW_SCALE, LTH_LOW_CLAMP };
typedef struct lth_low {
    int32_t kind;
    const lt_sgd_args *sgd;
    const lt_adam_args *adam;
    const lth_rule *rule;
    int64_t step;
    double low, high;
} lth_low;

/* From lt_rmsprop_args and its like; LT_EINVAL for a kind there is none of. */
lt_status lth_rule_from(lth_rule *out, int32_t kind, const void *args, int64_t step);
#endif
