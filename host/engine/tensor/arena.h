/* engine/tensor/arena.h - inside of the step arena, for tensor/ only. */
#ifndef LTH_STEP_ARENA_H
#define LTH_STEP_ARENA_H
#include "engine/tensor/tensor.h"

struct lth_step_block {
    lth_step_block *next, *previous; /* in its pool's list */
    lth_step_block *all_next; /* in the engine's list of all */
    char *memory;
    size_t size, used;
    uint32_t pins;            /* retained tensors that lie here */
    uint32_t users;           /* of a large block in use: lth_step_share, lth_step_give_back */
    uint8_t kind;
    bool aside;               /* in no list until its last pin is gone */
};

/* Zeroed struct memory and uninitialized device memory, and the block each came from. NULL: out of memory. */
void *lth_step_take_struct(lth_engine *e, size_t bytes, lth_step_block **from);
void *lth_step_take_data(lth_engine *e, size_t bytes, lth_step_block **from);
/* A pinned block outlives the step as a whole. NULL is fine. */
void lth_step_pin(lth_engine *e, lth_step_block *block);
void lth_step_unpin(lth_engine *e, lth_step_block *block);
void lth_step_free_all(lth_engine *e);
/* tensor.c's part of the end of a step: cuts retained tensors loose, drops released ones. */
void lth_step_settle_retained(lth_engine *e);
#endif
