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
    /* -- batches of several loaders -- */
    const lt_batch *(*batch_part)(lt_ctx *ctx, const lt_batch *batch, int32_t index, const char *key);
} lt_trainer_api;
extern LT_HIDDEN const struct lt_trainer_api *lt__trainer LT__NEEDS_PLUGIN("lt__trainer");

/* ---- where the run is [trainer] ---- */
/* Never NULL; the host's, valid during the hook. */
LT_INLINE const lt_moment *lt_now(lt_ctx *ctx) { return lt__trainer->now(ctx); }

/* ---- the batch [trainer] ----
 * Tensors are the host's, on the run's device, for this batch. */
/* Item of a list or tuple; 0 of a batch that is one tensor. LT_EINDEX. */
LT_INLINE lt_tensor *lt_batch_get(lt_ctx *ctx, const lt_batch *batch, int32_t index) { return lt__trainer->batch_get(ctx, batch, index); }
/* Item of a dict. LT_EABSENT, with the keys there are. */
LT_INLINE lt_tensor *lt_batch_key(lt_ctx *ctx, const lt_batch *batch, const char *key) { return lt__trainer->batch_key(ctx, batch, key); }
/* Item that is plain bytes, and their number. LT_EINDEX, LT_EDTYPE. */
LT_INLINE const void *lt_batch_bytes(lt_ctx *ctx, const lt_batch *batch, int32_t index, size_t *size) {
    return lt__trainer->batch_bytes(ctx, batch, index, size);
}
/* The part of a combined batch that one loader gave, by number; NULL, no error, where that loader is through (LT_COMBINE_MAX_SIZE).
 * LT_EINDEX, LT_EABSENT; LT_EDTYPE where the batch is not combined. */
LT_INLINE const lt_batch *lt_batch_part(lt_ctx *ctx, const lt_batch *batch, int32_t index) {
    return lt__trainer->batch_part(ctx, batch, index, NULL);
}
/* The same by key. */
LT_INLINE const lt_batch *lt_batch_part_key(lt_ctx *ctx, const lt_batch *batch, const char *key) {
    return lt__trainer->batch_part(ctx, batch, 0, key);
}
/* Samples in the batch: the weight of its metrics. */
LT_INLINE int64_t lt_batch_size(lt_ctx *ctx, const lt_batch *batch) { return lt__trainer->batch_size(ctx, batch); }
/* Items in the batch. */
LT_INLINE int32_t lt_batch_count(lt_ctx *ctx, const lt_batch *batch) { return lt__trainer->batch_count(ctx, batch); }

/* ---- results of a step [trainer] ----
 * Tensors given are borrowed; they live until the batch's end hooks are over anyway. */
/* Reports the loss, one float element with a gradient history (in training); at most once a step. LT_ESHAPE, LT_ESTATE. */
LT_INLINE lt_status lt_step_loss(lt_ctx *ctx, lt_step_out *out, lt_tensor *loss) { return lt__trainer->step_loss(ctx, out, loss); }
/* Reports a named output for callbacks and, in predict, for the predictions file; at most 16 a step. LT_EINVAL. */
LT_INLINE lt_status lt_step_output(lt_ctx *ctx, lt_step_out *out, const char *name, lt_tensor *value) {
    return lt__trainer->step_output(ctx, out, name, value);
}
/* What the step reported under that name, "loss" for the loss. NULL, no error, if it did not. */
LT_INLINE lt_tensor *lt_output(lt_ctx *ctx, const lt_step_out *out, const char *name) { return lt__trainer->output(ctx, out, name); }

/* ---- metrics [trainer] ---- */
/* Logs one element, any dtype; it is read at the flush, so the device is not waited for. name: [A-Za-z0-9_./-]+. flags: LT_LOG_*.
 * LT_ESTATE in hooks that belong to no step and no epoch, LT_ESHAPE, LT_EINVAL for other flags than before. */
LT_INLINE void lt_log(lt_ctx *ctx, const char *name, lt_tensor *value, uint32_t flags) { lt__trainer->log(ctx, name, value, flags); }
/* The same for a number of the plugin's own. */
LT_INLINE void lt_log_value(lt_ctx *ctx, const char *name, double value, uint32_t flags) {
    lt__trainer->log_value(ctx, name, value, flags);
}
/* The latest value of a metric as callbacks see it; NAN, no error, if it was not logged yet. May wait for the device. */
LT_INLINE double lt_metric(lt_ctx *ctx, const char *name) { return lt__trainer->metric(ctx, name); }
/* Whether it was. */
LT_INLINE bool lt_has_metric(lt_ctx *ctx, const char *name) { return lt__trainer->has_metric(ctx, name); }
/* Metrics in a table (LT_METRICS_*); 0, no error, for another number. */
LT_INLINE int32_t lt_metric_count(lt_ctx *ctx, int32_t table) { return lt__trainer->metric_count(ctx, table); }
/* Name of one of them, in the order first logged, and its value into *value (or NULL); the host's, for the stage. NULL, no
 * error, beyond the last. */
LT_INLINE const char *lt_metric_at(lt_ctx *ctx, int32_t table, int32_t index, double *value) {
    return lt__trainer->metric_at(ctx, table, index, value);
}
/* Hands a text to the loggers that take texts; name and text are copied. NULL does nothing. */
LT_INLINE void lt_log_text(lt_ctx *ctx, const char *name, const char *text) { lt__trainer->log_text(ctx, name, text); }

/* ---- control [trainer] ---- */
/* Asks for the end of training after this batch, once min_epochs and min_steps are met; the text is the reason that is shown. */
static inline LT_PRINTF(2, 3) void lt_request_stop(lt_ctx *ctx, const char *format, ...) {
    va_list args;
    va_start(args, format);
    lt__trainer->vrequest_stop(ctx, format, args);
    va_end(args);
}

/* ---- checkpoints [trainer] ----
 * path: relative to lt_checkpoint_dir, or absolute. Both are done when the hooks of this moment are over, so that every component is
 * saved at the same instant; at most 8 in one hook round. LT_ESTATE where the stage does not train, LT_EINVAL. */
/* Saves the run (LT_SAVE_FULL) or the weights; snapshot then, file written behind; a write that fails ends the run. */
LT_INLINE lt_status lt_save_checkpoint(lt_ctx *ctx, const char *path, uint32_t flags) {
    return lt__trainer->save_checkpoint(ctx, path, flags);
}
/* Removes a checkpoint that this run made, once the saves asked for before are safe. */
LT_INLINE lt_status lt_remove_checkpoint(lt_ctx *ctx, const char *path) { return lt__trainer->remove_checkpoint(ctx, path); }
/* Absolute; the host's, for the stage. NULL, no error, where there is none. */
LT_INLINE const char *lt_checkpoint_dir(lt_ctx *ctx) { return lt__trainer->checkpoint_dir(ctx); }

/* ---- optimizers [trainer] ---- */
/* 0 outside fit. */
LT_INLINE int32_t lt_optimizer_count(lt_ctx *ctx) { return lt__trainer->optimizer_count(ctx); }
/* Component id ("Adam"); the host's. LT_EINDEX. */
LT_INLINE const char *lt_optimizer_name(lt_ctx *ctx, int32_t optimizer) { return lt__trainer->optimizer_name(ctx, optimizer); }
/* Parameter groups of an optimizer. LT_EINDEX. */
LT_INLINE int32_t lt_group_count(lt_ctx *ctx, int32_t optimizer) { return lt__trainer->group_count(ctx, optimizer); }
/* "lr", "momentum" or "weight_decay" of a group; NAN, no error, if it has no such value. LT_EINDEX. */
LT_INLINE double lt_group_value(lt_ctx *ctx, int32_t optimizer, int32_t group, const char *key) {
    return lt__trainer->group_value(ctx, optimizer, group, key);
}

/* ---- terminal [trainer] ---- */
/* Columns; 0: not a terminal. */
LT_INLINE int32_t lt_terminal_width(lt_ctx *ctx) { return lt__trainer->terminal_width(ctx); }
/* The line below all printed ones (a progress bar), copied; NULL removes it. Does nothing where there is no terminal. */
LT_INLINE void lt_terminal_status(lt_ctx *ctx, const char *line) { lt__trainer->terminal_status(ctx, line); }
LT_END
#endif
