/* base/trainer_opts.h - the arguments of the trainer, with Lightning's names and defaults. Shared by config (which binds them) and
 * trainer (which obeys them). The schema is the only place that names them: `fit --help` and `config schema` come from it. */
#ifndef LTH_TRAINER_OPTS_H
#define LTH_TRAINER_OPTS_H
#include "base/error.h"
#include <lt/params.h>

typedef struct lth_limit { double value; bool is_fraction; } lth_limit; /* 1 and 1.0 differ: one batch, all batches */
typedef enum { LTH_PRECISION_32_TRUE, LTH_PRECISION_64_TRUE, LTH_PRECISION_BF16_TRUE, LTH_PRECISION_BF16_MIXED } lth_precision;
typedef struct lth_trainer_opts {
    const char *accelerator;            /* auto cpu cuda gpu */
    const char *devices, *strategy, *precision;
    const char *fast_dev_run;           /* "false", "true" or a number of batches */
    lt_opt_int max_epochs, min_epochs, min_steps;
    int64_t max_steps;
    /* number as written, so that 1 and 1.0 stay apart */
    const char *limit_train_batches, *limit_val_batches, *limit_test_batches, *limit_predict_batches, *overfit_batches;
    const char *val_check_interval;
    lt_opt_int check_val_every_n_epoch;
    int64_t num_sanity_val_steps, log_every_n_steps, accumulate_grad_batches;
    lt_opt_float gradient_clip_val;
    int32_t gradient_clip_algorithm;    /* 0 norm, 1 value */
    bool enable_checkpointing, enable_progress_bar, enable_model_summary, deterministic, benchmark, barebones;
    const char *default_root_dir;
    int64_t num_threads;                /* compute threads, 64 at most; 0: OMP_NUM_THREADS, else as many as cores */
} lth_trainer_opts;
const lt_params *lth_trainer_opts_params(void);
/* Reads a limit_* text as Lightning does: an integer is a number of batches, a float from 0 to 1 a share of them, a whole float above 1
 * a number. name ("limit_train_batches") is for the message. */
lt_status lth_limit_parse(const char *name, const char *text, lth_limit *out, lth_error *err);
/* Reads trainer.precision: 32-true, 64-true, bf16-true, bf16-mixed, and Lightning's short forms of them (32, 64, bf16). False: none of these. */
bool lth_precision_parse(const char *text, lth_precision *out);
#endif
