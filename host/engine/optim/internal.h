/* engine/optim/internal.h - what lth_optim is. Private to optim/. */
#ifndef LTH_OPTIM_INTERNAL_H
#define LTH_OPTIM_INTERNAL_H
#include "engine/optim/optim.h"

enum { SPAN_NAME = 160 };

struct lth_optim {
    lth_modules *modules;
    const lt_optimizer *iface;
    void *self;
    int32_t n_slots;
    const char *slot_names[LT_MAX_SLOTS];
    void *slots[LT_MAX_SLOTS];          /* n_flat each, dtype and layout of modules->values */
    int64_t *steps;                     /* updates of each parameter so far */
    bool *taken;                        /* took part in the last step */
    bool spans_valid;                   /* spans fit `taken` and `steps` */
    lt_span *spans;
    const lt_span **span_list;
    char (*names)[SPAN_NAME];
    lt_group group;
    const lt_group *group_list[1];
};
#endif
