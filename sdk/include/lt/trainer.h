/* lt/trainer.h - what hooks may ask of the run (table lt.trainer/1): where it is, its batch, metrics, checkpoints, a stop.
 * It does not hand out the trainer: each handle here is valid during the hook only. All: [trainer]. */
#ifndef LT_TRAINER_H
#define LT_TRAINER_H
#include <lt/nn.h>

LT_BEGIN
typedef struct lt_batch lt_batch;
typedef struct lt_step_out lt_step_out;

typedef int32_t lt_stage;
enum { LT_STAGE_FIT = 1, LT_STAGE_VALIDATE = 2, LT_STAGE_TEST = 3, LT_STAGE_PREDICT = 4 };
enum { LT_PHASE_NONE = 0, LT_PHASE_SANITY = 1, LT_PHASE_TRAIN = 2, LT_PHASE_VALIDATE = 3, LT_PHASE_TEST = 4, LT_PHASE_PREDICT = 5 };

/* Where the run is; host, valid during the hook; grows at the end. */
typedef struct lt_moment {
    uint32_t struct_size;
    lt_stage stage;           /* the command: fit, validate, test, predict */
    int32_t phase;            /* what runs now */
    int32_t dataloader_idx, n_dataloaders;
    uint8_t is_last_batch;    /* of this epoch and loader */
    uint8_t fast_dev_run;
    uint8_t accumulating;     /* no optimizer step at this batch */
    uint8_t resumed;          /* fit continues a checkpoint */
    int64_t epoch;            /* completed epochs, as Lightning's current_epoch */
    int64_t global_step;      /* optimizer steps done */
    int64_t batch_idx;        /* within the epoch of this phase */
    int64_t num_batches;      /* of this epoch and phase; -1 unknown */
    int64_t max_epochs, max_steps; /* -1 none */
    int64_t num_training_batches, num_val_batches; /* per epoch; -1 unknown, 0 none */
    double val_check_interval; /* as configured: > 1 or integer = batches */
    int64_t check_val_every_n_epoch;
    const lt_batch *batch;    /* NULL outside batch hooks */
    const lt_step_out *out;   /* at batch end: what the step reported */
    const char *reason;       /* on_exception: why; else NULL */
    const char *run_dir;      /* folder of this run */
    double seconds;           /* since the stage began */
    int64_t samples;          /* seen in this phase since the stage began */
} lt_moment;

/* lt_log flags; none of STEP and EPOCH: Lightning's default of the hook (train batch: step; else: epoch). */
enum {
    LT_LOG_STEP = 1, LT_LOG_EPOCH = 2, LT_LOG_PROG_BAR = 4, LT_LOG_NO_LOGGER = 8,
    LT_LOG_MEAN = 0, LT_LOG_MIN = 1 << 8, LT_LOG_MAX = 2 << 8, LT_LOG_SUM = 3 << 8 /* how an epoch's values meet; mean is weighted by batch size */
};
enum { LT_SAVE_FULL = 0, LT_SAVE_WEIGHTS_ONLY = 1 };
/* Which of the host's metric tables to read. */
enum { LT_METRICS_CALLBACK = 0, LT_METRICS_PROG_BAR = 1, LT_METRICS_LOGGED = 2 };

typedef struct lt_trainer_api {
    uint32_t struct_size;
    uint32_t reserved;
    const lt_moment *(*now)(lt_ctx *ctx);
    /* -- batch -- */
    lt_tensor *(*batch_get)(lt_ctx *ctx, const lt_batch *batch, int32_t index);      /* item of a list or tuple; 0 of a single tensor */
    lt_tensor *(*batch_key)(lt_ctx *ctx, const lt_batch *batch, const char *key);    /* item of a dict */
    const void *(*batch_bytes)(lt_ctx *ctx, const lt_batch *batch, int32_t index, size_t *size);
    int64_t (*batch_size)(lt_ctx *ctx, const lt_batch *batch);
    int32_t (*batch_count)(lt_ctx *ctx, const lt_batch *batch);
    /* -- results of a step -- */
    lt_status (*step_loss)(lt_ctx *ctx, lt_step_out *out, lt_tensor *loss);          /* one element; none: the batch is skipped */
    lt_status (*step_output)(lt_ctx *ctx, lt_step_out *out, const char *name, lt_tensor *value);
    lt_tensor *(*output)(lt_ctx *ctx, const lt_step_out *out, const char *name);     /* "loss" is the loss; NULL if absent, no error */
    /* -- metrics -- */
    void (*log)(lt_ctx *ctx, const char *name, lt_tensor *value, uint32_t flags);    /* one element; read at the flush */
    void (*log_value)(lt_ctx *ctx, const char *name, double value, uint32_t flags);
    double (*metric)(lt_ctx *ctx, const char *name);                                 /* NAN, no error, if not logged yet */
    bool (*has_metric)(lt_ctx *ctx, const char *name);
    int32_t (*metric_count)(lt_ctx *ctx, int32_t table);
    const char *(*metric_at)(lt_ctx *ctx, int32_t table, int32_t index, double *value);
    void (*log_text)(lt_ctx *ctx, const char *name, const char *text);
    /* -- control -- */
    void (*vrequest_stop)(lt_ctx *ctx, const char *format, va_list args);            /* after this batch, once min_epochs and min_steps are met */
    /* -- checkpoints -- */
    lt_status (*save_checkpoint)(lt_ctx *ctx, const char *path, uint32_t flags);     /* relative: below run_dir/checkpoints; snapshot now, written behind */
    lt_status (*remove_checkpoint)(lt_ctx *ctx, const char *path);                   /* after the saves before it are safe; only files this run made */
    const char *(*checkpoint_dir)(lt_ctx *ctx);                                      /* absolute */
    /* -- optimizers -- */
    int32_t (*optimizer_count)(lt_ctx *ctx);
    const char *(*optimizer_name)(lt_ctx *ctx, int32_t optimizer);                   /* component id */
    int32_t (*group_count)(lt_ctx *ctx, int32_t optimizer);
    double (*group_value)(lt_ctx *ctx, int32_t optimizer, int32_t group, const char *key); /* "lr", "momentum", "weight_decay"; NAN if absent */
    /* -- terminal -- */
    int32_t (*terminal_width)(lt_ctx *ctx);                                          /* 0: not a terminal */
    void (*terminal_status)(lt_ctx *ctx, const char *line);                          /* the line below all printed ones; NULL clears; no-op on no terminal */
} lt_trainer_api;
extern LT_HIDDEN const struct lt_trainer_api *lt__trainer LT__NEEDS_PLUGIN("lt__trainer");
/* WRAPPERS */
LT_END
#endif
