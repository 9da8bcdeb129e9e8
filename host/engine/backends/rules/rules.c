/* engine/backends/rules/rules.c - arguments of the update rules as the numbers that the loops need, computed once in double. */
#include "engine/backends/rules/rules.h"
#include <math.h>

static void nadam(lth_rule *r, const lt_nadam_args *a, int64_t step) {
    *r = (lth_rule){.n_slots = 2, .sign = a->maximize ? -1 : 1, .lr = a->lr, .eps = a->eps, .decay = a->decoupled ? 1 - a->lr * a->weight_decay : 1,
                    .weight_decay = a->decoupled ? 0 : a->weight_decay, .a = a->beta1, .b = a->beta2};
    r->lr = 1 - pow(a->beta2, (double)step); /* the second moment's correction */
    r->c = -a->lr * (1 - a->mu) / (1 - a->mu_product);
    r->d = -a->lr * a->mu_next / (1 - a->mu_product * a->mu_next);
}

lt_status lth_rule_from(lth_rule *r, int32_t kind, const void *args, int64_t step) {
    switch (kind) {
    case LT_RULE_RMSPROP: {
        const lt_rmsprop_args *a = args;
        *r = (lth_rule){.n_slots = 1 + (a->momentum > 0) + (a->centered != 0), .centered = a->centered, .momentum = a->momentum > 0,
                        .sign = a->maximize ? -1 : 1, .lr = a->lr, .decay = 1, .weight_decay = a->weight_decay, .eps = a->eps, .a = a->alpha,
                        .b = a->momentum};
        break;
    }
    case LT_RULE_ADAGRAD: {
        const lt_adagrad_args *a = args;
        *r = (lth_rule){.n_slots = 1, .sign = a->maximize ? -1 : 1, .decay = 1, .weight_decay = a->weight_decay, .eps = a->eps,
                        .lr = a->lr / (1 + (double)(step - 1) * a->lr_decay)};
        break;
    }
    case LT_RULE_ADADELTA: {
        const lt_adadelta_args *a = args;
        *r = (lth_rule){.n_slots = 2, .sign = a->maximize ? -1 : 1, .lr = a->lr, .decay = 1, .weight_decay = a->weight_decay, .eps = a->eps, .a = a->rho};
        break;
    }
    case LT_RULE_LION: {
        const lt_lion_args *a = args;
        *r = (lth_rule){.n_slots = 1, .sign = a->maximize ? -1 : 1, .lr = a->lr, .decay = 1 - a->lr * a->weight_decay, .a = a->beta1, .b = a->beta2};
        break;
    }
    case LT_RULE_NADAM: nadam(r, args, step); break;
    default: return LT_EINVAL;
    }
    r->kind = kind;
    return LT_OK;
}
