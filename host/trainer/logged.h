/* trainer/logged.h - what lt_log keeps: one slot per name and phase, means weighted by batch size, and the three tables that
 * callbacks, the progress bar and loggers read. Values of a step are read at the flush, or when somebody asks.
 * Names are interned; after the first steps nothing allocates. Sends nothing itself: it hands rows to lth_records. */
#ifndef LTH_LOGGED_H
#define LTH_LOGGED_H
#include "base/snapshot.h"
#include "engine/tensor/tensor.h"
#include "trainer/records.h"
#include <lt/trainer.h>

typedef struct lth_logged lth_logged;

lth_logged *lth_logged_new(void);
void lth_logged_free(lth_logged *l);

/* The scope in which lt_log is called now: decides the default of step and epoch, and the weight of a mean. */
typedef struct lth_log_scope {
    int32_t phase;   /* LT_PHASE_* */
    bool batch_hook; /* inside a batch (step values exist) */
    bool allowed;    /* lt_log may be called in this hook */
    double weight;   /* batch size */
    int32_t dataloader_idx, n_dataloaders;
} lth_log_scope;
void lth_logged_scope(lth_logged *l, const lth_log_scope *scope);

/* A value that somebody else keeps: of the last batch, or of the epoch so far, in the phase that is logged. */
typedef struct lth_log_source { lt_status (*read)(void *arg, int32_t phase, bool of_batch, double *out, lth_error *err); void *arg; } lth_log_source;

lt_status lth_logged_add(lth_logged *l, const char *name, lt_tensor *value, double number, uint32_t flags, lth_error *err);
/* The same for a source, which stays: the value is asked for at the flush, and at the epoch's end. */
lt_status lth_logged_add_source(lth_logged *l, const char *name, lth_log_source source, uint32_t flags, lth_error *err);
/* End of a batch: reads the values; sends the row of step metrics when to_loggers. */
lt_status lth_logged_batch_end(lth_logged *l, lth_records *records, bool to_loggers, int64_t step, int64_t epoch, lth_error *err);
/* End of an epoch of a phase: first compute (values become visible), then, after the hooks, send and start afresh. */
lt_status lth_logged_epoch_compute(lth_logged *l, int32_t phase, lth_error *err);
lt_status lth_logged_epoch_end(lth_logged *l, int32_t phase, lth_records *records, int64_t step, int64_t epoch, lth_error *err);
/* Forgets the values of a phase (sanity check). */
void lth_logged_drop(lth_logged *l, int32_t phase);

bool lth_logged_has(const lth_logged *l, const char *name);
double lth_logged_value(lth_logged *l, const char *name); /* NAN if absent */
int32_t lth_logged_count(const lth_logged *l, int32_t table);
const char *lth_logged_at(lth_logged *l, int32_t table, int32_t index, double *value);

lt_status lth_logged_save(const lth_logged *l, lth_snapshot *out, const char *prefix, lth_error *err);
lt_status lth_logged_load(lth_logged *l, const lth_snapshot *in, const char *prefix, lth_error *err);
#endif
