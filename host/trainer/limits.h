/* trainer/limits.h - the trainer's arguments turned into numbers of batches, once the loaders are known. Refuses what cannot be, by name.
 */
#ifndef LTH_LIMITS_H
#define LTH_LIMITS_H
#include "base/error.h"
#include "base/trainer_opts.h"
#include <stdbool.h>

typedef struct lth_limits {
    int64_t max_epochs, min_epochs, max_steps, min_steps;                              /* -1 none */
    int64_t train_batches, val_batches, test_batches, predict_batches, sanity_batches; /* per epoch; 0: the stage is off */
    int64_t val_every; /* batches between validations; 0 never; LTH_UNKNOWN_BATCHES: at the epoch's end, wherever it is */
    bool val_across_epochs; /* val_every counts over epochs (check_val_every_n_epoch null) */
    int64_t val_every_epochs;
    double val_check_interval; /* as given, for callbacks */
    int64_t accumulate, log_every;
    int64_t fast_dev_run; /* batches; 0 off */
    bool overfit; /* the same batches every epoch: the loader must not shuffle */
} lth_limits;

/* Loader lengths in batches; 0 where there is no loader, LTH_UNKNOWN_BATCHES where only reading on will tell. */
#define LTH_UNKNOWN_BATCHES INT64_MAX
typedef struct lth_loader_lengths {
    int64_t train, val, test, predict;
} lth_loader_lengths;
/* Batches of one of several loaders that follow each other, in a pass of LT_PHASE_VALIDATE, _SANITY, _TEST or _PREDICT. LT_ECONFIG: the limit is
 * a share that is less than one batch of this loader. */
lt_status lth_limits_of_part(const lth_trainer_opts *opts, int32_t phase, int64_t length, int64_t *out, lth_error *err);
lt_status lth_limits_resolve(const lth_trainer_opts *opts, const lth_loader_lengths *lengths, lth_limits *out, lth_error *err);
#endif
