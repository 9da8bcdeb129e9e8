/* engine/optim/internal.h - what lth_optim is. Private to optim/. */
#ifndef LTH_OPTIM_INTERNAL_H
#define LTH_OPTIM_INTERNAL_H
#include "engine/optim/optim.h"

enum { SPAN_NAME = 160 };

/* A parameter group: the optimizer's self with its values, and what it is shown. */
typedef struct lth_group {
    void *self;
    lt_group view;
    int32_t n_slots;
    uint8_t slot[LT_MAX_SLOTS];         /* its slot k is lth_optim.slots[slot[k]] */
} lth_group;

struct lth_optim {
    lth_modules *modules;
    const lt_optimizer *iface;
    int32_t n_slots;                    /* of all groups together, by name */
    const char *slot_names[LT_MAX_SLOTS];
    void *slots[LT_MAX_SLOTS];          /* n_flat each, dtype and layout of modules->values */
    int64_t *steps;                     /* updates of each parameter so far */
    bool *taken;                        /* took part in the last step */
    bool spans_valid;                   /* spans fit `taken` and `steps` */
    lt_span *spans;
    const lt_span **span_list;
    uint32_t n_spans;                   /* of all groups */
    char (*names)[SPAN_NAME];
    lth_group *groups;
    int32_t n_groups;
    int32_t *group_of;                  /* of each parameter */
};

/* groups.c: which parameter belongs to which group; drops the first group where the others leave it none. */
lt_status lth_optim_assign(lth_optim *o, const lth_group_spec *specs, int32_t n_specs, lth_error *err);
#endif
