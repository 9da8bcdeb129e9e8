/* trainer/logged_slots.h - inside of logged.h, for logged.c and logged_state.c: a slot is one logged name of one phase and kind of hook; a var
 * is a visible name with its value. */
#ifndef LTH_LOGGED_SLOTS_H
#define LTH_LOGGED_SLOTS_H
#include "trainer/logged.h"

enum { LTH_LOG_TABLES = 3 };

typedef struct lth_log_var {
    const char *name;
    double value;
    bool in[LTH_LOG_TABLES];
} lth_log_var;

typedef struct lth_log_slot {
    const char *name; /* with its dataloader suffix; interned */
    int32_t phase;
    uint32_t flags;  /* as given, reduction included */
    bool batch_hook; /* of a batch; hooks of the epoch have slots of their own */
    bool on_step, on_epoch, prog_bar, to_logger, forked;
    int var, var_step, var_epoch; /* -1: no such name yet */
    lt_tensor *tensor;            /* pending value, when not NULL ... */
    double number;                /* ... or this one */
    lth_log_source source;        /* ... or what this says, of the batch now, of the epoch at its end */
    bool pending, stepped, touched;
    double weight, last; /* of the pending value; the latest one */
    double sum, weights; /* reduction so far in this epoch */
} lth_log_slot;

struct lth_logged {
    lth_arena arena; /* names */
    lth_log_slot *slots;
    int n_slots, capacity;
    lth_log_var *vars;
    int n_vars, vars_capacity;
    const char **row_names; /* room for one row: capacity of each */
    double *row_values;
    int *index;
    int index_size; /* open addressing over (name, phase, batch_hook); a power of two */
    lth_log_scope scope;
    bool epoch_level; /* between batches: values count for the epoch at once */
};

/* The var of a name, made when new; -1 when out of memory. */
int lth_logged_var(lth_logged *l, const char *name);
/* A new slot; NULL when out of memory. */
lth_log_slot *lth_logged_slot(lth_logged *l, const char *name, int32_t phase, uint32_t flags, bool batch_hook);
lt_status lth_logged_no_memory(lth_error *err, const char *name);
double lth_logged_epoch_value(const lth_log_slot *s);
#endif
