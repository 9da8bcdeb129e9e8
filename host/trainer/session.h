/* trainer/session.h - all that one verb works with, opened in order and closed in reverse. Private to trainer/: the loops (fit.c,
 * evaluate.c, predict.c) and the state (state.c) take it; components never see it, they see lth_hookview through lt/trainer.h. */
#ifndef LTH_SESSION_H
#define LTH_SESSION_H
#include "checkpoint/checkpoint.h"
#include "trainer/folder.h"
#include "trainer/hooks.h"
#include "trainer/hookview.h"
#include "trainer/limits.h"
#include "trainer/trainer.h"

/* What has happened in the epoch's loop at the instant of a save; resume goes on from there. */
typedef enum {
    LTH_AT_BATCH = 0,     /* before batch `batch_idx` */
    LTH_AT_BATCH_END = 1, /* on_train_batch_end is over, validation (if due) is not */
    LTH_AT_VALIDATED = 2, /* the validation after that batch is over */
    LTH_AT_EPOCH_END = 3, /* on_train_epoch_end is over; epoch counts it already */
} lth_position;

typedef struct lth_progress { /* the only source of step numbers */
    int64_t epoch;            /* completed */
    int64_t batch_idx;        /* batches of this epoch that are done */
    int64_t global_step;      /* optimizer steps */
    int64_t stepped;          /* batches that stepped: the loggers' axis */
    int64_t batches, samples; /* trained since the first start */
    int64_t window;           /* batches in the open accumulation window */
    lth_position position;
} lth_progress;

typedef struct lth_schedule {
    bool per_step, strict;
    int64_t frequency;
    const char *monitor, *name;
} lth_schedule;

typedef struct lth_owned_instance { lth_instance *instance; struct lth_owned_instance *next; } lth_owned_instance;

typedef struct lth_session {
    const lth_job *job;
    const lth_trainer_opts *opts;
    lt_ctx ctx;
    lth_engine *engine;
    lth_modules *modules;
    lth_loaders *loaders;
    lt_loader *train, *val, *test, *predict;
    lth_hooks hooks;
    lth_hookview run;
    lth_limits limits;
    lth_progress progress;
    lth_optim *optim;
    lth_sched *sched;
    lth_schedule schedule;
    lth_instance *own_optimizer, *own_scheduler; /* made from the model's configure_optimizers */
    lth_owned_instance *metric_instances; /* one per metric and phase */
    lth_instance **own_groups;
    size_t n_own_groups;
    lth_lambda lambda; /* the model's function behind its scheduler */
    lth_arena arena;
    lth_diags diags;
    lth_folder folder;
    lth_ckpt_writer *writer;
    bool resumed, stopped_by_signal, saved_on_signal;
    bool new_goal; /* resumed with other callbacks, epochs or steps: a stop asked for before is asked for again, or not */
    double began, train_seconds;
    int64_t began_batches, began_samples;
    char *checkpoint; /* the file that weights came from; NULL: none */
    uint8_t *modes;
    int64_t n_modes; /* room to keep train/eval modes during evaluation */
} lth_session;

/* setup.c: in this order; each reports into s->ctx.error. */
lt_status lth_session_open(lth_session *s, const lth_job *job); /* engine, modules, initial weights, hook table */
/* x through the model: its forward, or its one root module. */
lt_tensor *lth_session_forward(lt_ctx *ctx, void *job, lt_tensor *x);
lt_status lth_session_setup(lth_session *s);                    /* prepare_data, setup, loaders, limits */
lt_status lth_session_optimizers(lth_session *s);               /* optimizers.c: configure_optimizers or the config's */
void lth_session_close(lth_session *s);
/* A component of the model's choice, by id and YAML parameters; hook: who asks, for messages. */
lt_status lth_session_instance(lth_session *s, lth_kind kind, const char *hook, const char *id, const char *params, lth_instance **out);
lt_status lth_session_call(lth_session *s, const lth_instance *instance, const char *hook); /* names who is called next */
void lth_session_now(lth_session *s, int32_t phase, int64_t num_batches, const lt_batch *batch,
                     bool in_batch); /* refreshes lt_now and lt_log's scope; saves: only where they are done after the round */

/* batches.c: fn for every batch of a pass that nothing is resumed from; *done: how many there were, of all loaders */
typedef lt_status lth_batch_fn(lth_session *s, void *arg, int64_t index, int64_t count, const lt_batch *batch);
lt_status lth_session_batches(lth_session *s, int32_t phase, lt_loader *loader, int64_t count, lth_batch_fn *fn, void *arg, int64_t *done);
bool lth_session_told_to_stop(lth_session *s, int32_t phase);

/* metrics.c: before configure; when a phase's epoch is over and its values are sent; at the end */
lt_status lth_session_metrics(lth_session *s);
void lth_session_metrics_end(lth_session *s, int32_t phase);
void lth_session_metrics_close(lth_session *s);

/* output.c: run folder, loggers, checkpoints */
lt_status lth_session_location(lth_session *s, lt_log_location *out); /* where runs are made, and so where they are looked for */
lt_status lth_session_folder(lth_session *s, const lth_snapshot *resume);
lt_status lth_session_saves(lth_session *s); /* does the saves and removals asked for in the last hook round */
lt_status lth_session_finish_saves(lth_session *s); /* after a resume: what a kill left undone of the save it resumes from */
lt_status lth_session_save(lth_session *s, const char *path, uint32_t flags);
lt_status lth_session_hparams(lth_session *s);
lt_status lth_session_summary(lth_session *s, const char *status); /* summary.json */

/* state.c */
lth_snapshot *lth_state_collect(lth_session *s, uint32_t flags);        /* NULL: failure in s->ctx.error */
lt_status lth_state_weights(lth_session *s, const lth_snapshot *in);    /* state_dict only, strict */
lt_status lth_state_components(lth_session *s, const lth_snapshot *in); /* model, data, callbacks */
lt_status lth_state_training(lth_session *s, const lth_snapshot *in);   /* loops, optimizer, scheduler, metrics, loader, generator */
void lth_state_facts(lth_session *s, uint32_t flags, lth_ckpt_facts *out);

/* the loops */
lt_status lth_fit(lth_session *s);
typedef enum { LTH_EVAL_SANITY, LTH_EVAL_VALIDATE, LTH_EVAL_TEST } lth_eval_kind;
lt_status lth_evaluate(lth_session *s, lth_eval_kind kind);
lt_status lth_predict(lth_session *s);

/* signals.c: handlers only set a flag; it is read at step boundaries */
void lth_signals_install(const lt_ctx *ctx); /* ctx: whose hook is running, should the program crash */
void lth_signals_restore(void);
int lth_signals_pending(void); /* 0, or the signal that asks for a stop; plain load, no system call */
#endif
