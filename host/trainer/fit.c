/* trainer/fit.c - the training loop. A step is spelled in one body: fetch, forward, zero, backward, clip, update, report.
 * Order of hooks: lt/hooks.h. Saves asked for by hooks are done between hook rounds, so that every part is at the same instant. */
#include "base/log.h"
#include "trainer/session.h"
#include <math.h>
#include <string.h>

static lt_status hook(lth_session *s, lth_hook_id id) { return lth_hooks_call(&s->hooks, &s->ctx, id); }

/* ---- one batch ---- */

static lt_status loss_is_finite(lth_session *s, lt_tensor *loss) {
    double value;

    if (lth_tensor_read(loss, 0, 1, &value, &s->ctx.error)) {
        return s->ctx.error.code;
    }
    if (isfinite(value)) {
        return LT_OK;
    }
    return lth_fail(&s->ctx.error, LT_ENONFINITE,
                    "the loss is %f in epoch %lld at batch %lld (global step %lld); weights before this step are untouched. Lower the "
                    "learning rate, set "
                    "trainer.gradient_clip_val, or look at the data of this batch",
                    value, (long long)s->progress.epoch, (long long)s->progress.batch_idx, (long long)s->progress.global_step);
}

/* Batches that share one update; the last window of an epoch may be shorter and is divided by its own length, but for a stream that ends before
 * its limit: when its first batch is divided, nobody knows that it is the last window (docs/decisions.md). */
static int64_t window_length(const lth_session *s) {
    int64_t begin = s->progress.batch_idx - s->progress.window, left = s->limits.train_batches - begin;

    return left < s->limits.accumulate ? left : s->limits.accumulate;
}

static lt_status forward(lth_session *s, const lt_batch *batch) {
    const lt_model *model = s->job->model->iface;
    lth_hookview *run = &s->run;

    run->out.loss = NULL;
    run->out.count = 0;
    lth_session_call(s, s->job->model, "training_step");
    lth_hook_done(&s->ctx, model->training_step(&s->ctx, s->job->model->self, batch, &run->out));
    return s->ctx.error.code;
}

static lt_status backward(lth_session *s) {
    lt_status status;

    if (s->progress.window == 0) {
        if (hook(s, LTH_HOOK_on_before_zero_grad) < 0) {
            return s->ctx.error.code;
        }
        lth_modules_zero_grad(s->modules);
    }
    if (!s->run.out.loss) {
        return LT_OK; /* the model skipped this batch */
    }
    status = loss_is_finite(s, s->run.out.loss);
    status = status ? status : hook(s, LTH_HOOK_on_before_backward);
    if (status >= 0 && lth_backward(&s->ctx, s->run.out.loss, NULL, 1.0 / (double)window_length(s)) < 0) {
        return s->ctx.error.code;
    }
    return status < 0 ? status : hook(s, LTH_HOOK_on_after_backward);
}

static lt_status clip(lth_session *s) {
    double limit = s->opts->gradient_clip_val.value;

    if (s->hooks.lists[LTH_HOOK_configure_gradient_clipping].count) {
        return hook(s, LTH_HOOK_configure_gradient_clipping);
    }
    if (!s->opts->gradient_clip_val.given || limit <= 0) {
        return LT_OK;
    }
    return s->opts->gradient_clip_algorithm == 1 ? lth_clip_value(s->modules, limit, &s->ctx.error)
                                                 : lth_clip_norm(s->modules, limit, NULL, &s->ctx.error);
}

static lt_status step_scheduler(lth_session *s, bool epoch_over) {
    bool due;

    if (!s->sched || s->schedule.monitor) {
        return LT_OK; /* a scheduler with a monitor waits for the epoch's metrics */
    }
    due = s->schedule.per_step ? s->progress.global_step % s->schedule.frequency == 0
                               : epoch_over && (s->progress.epoch + 1) % s->schedule.frequency == 0;
    return due ? lth_sched_step(s->sched, &s->ctx, NAN) : LT_OK;
}

static lt_status before_step(lth_session *s) {
    lt_status status = hook(s, LTH_HOOK_on_before_optimizer_step);

    return status < 0 ? status : clip(s);
}

/* The loss for an optimizer that asks for it several times a step: first the one there is, then the batch once more, as Lightning's
 * closure. */
static lt_status loss_again(lt_ctx *ctx, void *arg, bool first, double *loss) {
    lth_session *s = arg;

    s->progress.window = 0; /* as before this batch: gradients begin anew */
    if (!first && (forward(s, s->run.moment.batch) < 0 || backward(s) < 0)) {
        return ctx->error.code;
    }
    s->progress.window = 1;
    if (!s->run.out.loss) {
        return lth_fail(&ctx->error, LT_ESTATE, "training_step gave no loss on this batch, but optimizer %s evaluates it several times",
                        s->run.optimizer_id);
    }
    if (!first && before_step(s) < 0) {
        return ctx->error.code;
    }
    return lth_tensor_read(s->run.out.loss, 0, 1, loss, &ctx->error);
}

static lt_status update(lth_session *s) {
    lt_status status = before_step(s);

    if (status >= 0 && s->optim) {
        bool several = lth_optim_wants_loss(s->optim) && s->run.out.loss;
        status = several ? lth_optim_step_loss(s->optim, &s->ctx, loss_again, s) : lth_optim_wants_loss(s->optim) ? LT_OK : lth_optim_step(s->optim, &s->ctx);
    }
    if (status >= 0) {
        s->progress.global_step++;
        s->progress.window = 0;
    }
    return status;
}

static bool logs_now(const lth_session *s) { return s->limits.log_every > 0 && (s->progress.stepped + 1) % s->limits.log_every == 0; }

/* fetch -> forward -> zero -> backward -> clip -> update -> report. LT_SKIP: on_train_batch_start ended the epoch. */
static lt_status train_batch(lth_session *s, const lt_batch *batch) {
    bool last = batch->last, stepping;
    lt_status status;

    s->ctx.where = (lth_where){0};
    lth_session_now(s, LT_PHASE_TRAIN, s->limits.train_batches, batch, true);
    stepping = s->progress.window + 1 >= window_length(s) || last;
    s->run.moment.accumulating = !stepping;
    if (hook(s, LTH_HOOK_on_before_batch_transfer) < 0 || hook(s, LTH_HOOK_on_after_batch_transfer) < 0) {
        return s->ctx.error.code;
    }
    status = hook(s, LTH_HOOK_on_train_batch_start);
    if (status) {
        return status;
    }
    if (forward(s, batch) < 0 || backward(s) < 0) {
        return s->ctx.error.code;
    }
    s->progress.window++;
    if (stepping && (update(s) < 0 || step_scheduler(s, last) < 0)) {
        return s->ctx.error.code;
    }
    s->progress.batch_idx++;
    s->progress.batches++;
    s->progress.samples += batch->size;
    s->run.moment.global_step = s->progress.global_step;
    s->run.moment.samples = s->progress.samples;
    s->run.moment.out = &s->run.out;
    s->run.may_save = !s->limits.fast_dev_run;
    status = hook(s, LTH_HOOK_on_train_batch_end);
    s->run.moment.out = NULL;
    if (status < 0) {
        return status;
    }
    return lth_logged_batch_end(s->run.logged, s->run.records, stepping && logs_now(s), s->progress.stepped, s->progress.epoch,
                                &s->ctx.error);
}

/* ---- between batches ---- */

static bool validation_due(const lth_session *s) {
    const lth_limits *l = &s->limits;

    if (!l->val_batches || !l->val_every) {
        return false;
    }
    if (l->val_across_epochs) {
        return s->progress.batches % l->val_every == 0;
    }
    if (l->val_every_epochs <= 0 || (s->progress.epoch + 1) % l->val_every_epochs) {
        return false;
    }
    return l->val_every == LTH_UNKNOWN_BATCHES ? lth_loader_at_end(s->train) : s->progress.batch_idx % l->val_every == 0;
}

/* A scheduler with a monitor steps when the metric is there: after the epoch, or after each step's validation. */
static lt_status scheduler_with_monitor(lth_session *s, bool epoch_over) {
    const char *monitor = s->schedule.monitor;
    int64_t count = epoch_over ? s->progress.epoch + 1 : s->progress.global_step;

    if (!s->sched || !monitor || s->schedule.per_step == epoch_over || count % s->schedule.frequency) {
        return LT_OK;
    }
    if (!lth_logged_has(s->run.logged, monitor)) {
        if (!s->schedule.strict) {
            return LT_OK;
        }
        return lth_fail(
            &s->ctx.error, LT_ECONFIG,
            "the learning-rate scheduler monitors \"%s\", which nothing has logged; log it, or set lr_scheduler.strict to false", monitor);
    }
    return lth_sched_step(s->sched, &s->ctx, lth_logged_value(s->run.logged, monitor));
}

/* From on_train_batch_end to the next fetch. A resumed run enters at the position its checkpoint was written at. */
static lt_status after_batch(lth_session *s) {
    bool stepped = s->progress.window == 0;
    lt_status status = LT_OK;

    if (s->progress.position < LTH_AT_BATCH_END) {
        s->progress.position = LTH_AT_BATCH_END;
        status = lth_session_saves(s);
        lth_step_end(s->engine);
    }
    if (!status && s->progress.position < LTH_AT_VALIDATED && validation_due(s)) {
        status = lth_evaluate(s, LTH_EVAL_VALIDATE);
        s->progress.position = LTH_AT_VALIDATED;
        status = status ? status : lth_session_saves(s);
    }
    if (status >= 0 && stepped && scheduler_with_monitor(s, false) < 0) {
        status = s->ctx.error.code;
    }
    s->progress.position = LTH_AT_BATCH;
    s->progress.stepped += stepped;
    return status;
}

static bool minimum_met(const lth_session *s, int64_t epochs) {
    return epochs >= s->limits.min_epochs && (s->limits.min_steps < 0 || s->progress.global_step >= s->limits.min_steps);
}

static bool steps_done(const lth_session *s) { return s->limits.max_steps >= 0 && s->progress.global_step >= s->limits.max_steps; }

/* A stop asked for before min_epochs and min_steps are met is dropped, not latched: who asked will ask again if it still holds. */
static bool stop_granted(lth_session *s) {
    if (s->run.stop_requested && !minimum_met(s, s->progress.epoch)) {
        s->run.stop_requested = false;
    }
    return s->run.stop_requested;
}

static bool epoch_stops(lth_session *s) { return s->stopped_by_signal || steps_done(s) || stop_granted(s); }

/* A signal is obeyed here, where everything is at a step boundary. */
static lt_status obey_signal(lth_session *s) {
    if (!lth_signals_pending() || s->stopped_by_signal) {
        return LT_OK;
    }
    s->stopped_by_signal = true;
    lth_log_status(NULL);
    lth_log(LTH_WARNING, "stopping: signal %d (%s); a second one ends the program at once", lth_signals_pending(),
            strsignal(lth_signals_pending()));
    s->saved_on_signal = s->writer && s->opts->enable_checkpointing && !lth_session_save(s, "last.h5", LT_SAVE_FULL);
    return s->ctx.error.code;
}

/* ---- epochs ---- */

static lt_status train_batches(lth_session *s) {
    bool may_end = lth_loader_length(s->train) == LTH_UNKNOWN_LENGTH; /* a stream: also before a limit */
    lt_status status = LT_OK;

    if (may_end && !s->progress.batch_idx && lth_loader_at_end(s->train)) {
        return lth_fail(&s->ctx.error, LT_EFORMAT, "stream '%s' gave no batch in epoch %lld", lth_loader_dataset_name(s->train),
                        (long long)s->progress.epoch);
    }
    while (status >= 0 && s->progress.batch_idx < s->limits.train_batches && !epoch_stops(s)) {
        if (may_end && lth_loader_at_end(s->train)) {
            break;
        }
        const lt_batch *batch = lth_loader_next(s->train, &s->ctx);

        if (!batch) {
            return s->ctx.error.code ? s->ctx.error.code
                                     : lth_fail(&s->ctx.error, LT_EFORMAT,
                                                "the training loader ended after %lld of %lld batches: its dataset's length is not honest",
                                                (long long)s->progress.batch_idx, (long long)s->limits.train_batches);
        }
        status = train_batch(s, batch);
        if (status == LT_SKIP) { /* what was logged in its hooks so far is read now, before its tensors go */
            lth_logged_batch_end(s->run.logged, NULL, false, 0, 0, &s->ctx.error);
            lth_step_end(s->engine);
            return s->ctx.error.code ? s->ctx.error.code : LT_SKIP;
        }
        status = status < 0 ? status : after_batch(s);
        status = status < 0 ? status : obey_signal(s);
    }
    return status;
}

static lt_status end_epoch(lth_session *s) {
    int64_t epoch = s->progress.epoch, step = s->progress.stepped > 0 ? s->progress.stepped - 1 : 0;

    lth_session_now(s, LT_PHASE_TRAIN, s->limits.train_batches, NULL, false);
    s->run.may_save = !s->limits.fast_dev_run;
    if (lth_logged_epoch_compute(s->run.logged, LT_PHASE_TRAIN, &s->ctx.error) || hook(s, LTH_HOOK_on_train_epoch_end) < 0 ||
        lth_logged_epoch_end(s->run.logged, LT_PHASE_TRAIN, s->run.records, step, epoch, &s->ctx.error) || scheduler_with_monitor(s, true) < 0) {
        return s->ctx.error.code;
    }
    lth_session_metrics_end(s, LT_PHASE_TRAIN);
    s->progress.epoch++;
    s->progress.batch_idx = 0;
    s->progress.window = 0;
    s->progress.position = LTH_AT_EPOCH_END;
    lth_step_end(s->engine);
    return lth_session_saves(s);
}

/* Resumed in the middle, an epoch goes on at its batch, with what was left to do after the last one. */
static lt_status train_epoch(lth_session *s) {
    bool middle = s->progress.batch_idx > 0;
    lt_status status;

    if (lth_loader_begin(s->train, s->progress.batch_idx, s->limits.train_batches, &s->ctx.error)) {
        return s->ctx.error.code;
    }
    lth_session_now(s, LT_PHASE_TRAIN, s->limits.train_batches, NULL, false);
    if (!middle) {
        s->progress.position = LTH_AT_BATCH;
        status = hook(s, LTH_HOOK_on_train_epoch_start);
    } else {
        status = s->progress.position == LTH_AT_BATCH ? LT_OK : after_batch(s);
    }
    status = status < 0 ? status : train_batches(s);
    lth_loader_end(s->train);
    if (status < 0 || s->stopped_by_signal) {
        return status < 0 ? status : LT_OK;
    }
    return end_epoch(s);
}

static bool run_is_over(lth_session *s) {
    if (s->stopped_by_signal || steps_done(s) || (s->limits.max_epochs >= 0 && s->progress.epoch >= s->limits.max_epochs)) {
        return true;
    }
    return stop_granted(s);
}

static void say_why_it_ends(const lth_session *s) {
    lth_log_status(NULL);
    if (s->run.stop_requested && !s->stopped_by_signal) {
        lth_log(LTH_INFO, "stopped early: %s", s->run.stop_reason);
    }
}

lt_status lth_fit(lth_session *s) {
    lt_status status = LT_OK;

    if (!s->resumed && s->limits.sanity_batches > 0) {
        status = lth_evaluate(s, LTH_EVAL_SANITY);
    }
    lth_session_now(s, LT_PHASE_TRAIN, s->limits.train_batches, NULL, false);
    lth_modules_train(s->modules, true);
    status = status ? status : hook(s, LTH_HOOK_on_train_start);
    while (status >= 0 && s->limits.train_batches > 0 && !run_is_over(s)) {
        if (!s->train) {
            break;
        }
        status = train_epoch(s);
    }
    if (status < 0) {
        return status;
    }
    say_why_it_ends(s);
    if (s->stopped_by_signal) {
        return LT_OK;
    }
    lth_session_now(s, LT_PHASE_TRAIN, s->limits.train_batches, NULL, false);
    lth_logged_scope(s->run.logged, &(lth_log_scope){.phase = LT_PHASE_TRAIN}); /* the last rows are sent: nothing is logged any more */
    s->run.may_save = !s->limits.fast_dev_run;
    status = hook(s, LTH_HOOK_on_train_end);
    status = status < 0 ? status : lth_session_saves(s);
    s->run.may_save = false;
    return status < 0 ? status : hook(s, LTH_HOOK_on_fit_end);
}
