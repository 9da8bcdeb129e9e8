/* trainer/evaluate.c - one pass over the validation or test batches: sanity check, validation inside fit, validate, test.
 * Without gradients, in eval mode, modes restored after. */
#include "base/log.h"
#include "base/mem.h"
#include "trainer/session.h"
#include <string.h>

/* The hooks of a pass, in order. */
typedef struct pass {
    const char *step_name;
    int32_t phase;
    lth_hook_id eval, start, epoch_start, batch_start, batch_end, epoch_end, end, train;
} pass;
static const pass validate_pass = {"validation_step",
                                   LT_PHASE_VALIDATE,
                                   LTH_HOOK_on_validation_model_eval,
                                   LTH_HOOK_on_validation_start,
                                   LTH_HOOK_on_validation_epoch_start,
                                   LTH_HOOK_on_validation_batch_start,
                                   LTH_HOOK_on_validation_batch_end,
                                   LTH_HOOK_on_validation_epoch_end,
                                   LTH_HOOK_on_validation_end,
                                   LTH_HOOK_on_validation_model_train};
static const pass test_pass = {"test_step",
                               LT_PHASE_TEST,
                               LTH_HOOK_on_test_model_eval,
                               LTH_HOOK_on_test_start,
                               LTH_HOOK_on_test_epoch_start,
                               LTH_HOOK_on_test_batch_start,
                               LTH_HOOK_on_test_batch_end,
                               LTH_HOOK_on_test_epoch_end,
                               LTH_HOOK_on_test_end,
                               LTH_HOOK_on_test_model_train};

static lt_status hook(lth_session *s, lth_hook_id id) { return lth_hooks_call(&s->hooks, &s->ctx, id); }

static lt_status call_step(lth_session *s, const pass *p, const lt_batch *batch) {
    const lt_model *model = s->job->model->iface;
    lt_status (*step)(lt_ctx *, void *, const lt_batch *, lt_step_out *) = p == &test_pass ? model->test_step : model->validation_step;

    s->run.out.loss = NULL;
    s->run.out.count = 0;
    lth_session_call(s, s->job->model, p->step_name);
    lth_hook_done(&s->ctx, step(&s->ctx, s->job->model->self, batch, &s->run.out));
    return s->ctx.error.code;
}

typedef struct task { const pass *p; int32_t phase; } task;

static lt_status evaluate_batch(lth_session *s, void *arg, int64_t index, int64_t count, const lt_batch *batch) {
    const pass *p = ((const task *)arg)->p;
    int32_t phase = ((const task *)arg)->phase;

    s->ctx.where = (lth_where){0};
    lth_session_now(s, phase, count, batch, true);
    s->run.moment.batch_idx = index;
    if (hook(s, LTH_HOOK_on_before_batch_transfer) < 0 || hook(s, LTH_HOOK_on_after_batch_transfer) < 0 || hook(s, p->batch_start) < 0 ||
        call_step(s, p, batch) < 0) {
        return s->ctx.error.code;
    }
    s->run.moment.out = &s->run.out;
    hook(s, p->batch_end);
    s->run.moment.out = NULL;
    if (!s->ctx.error.code) {
        lth_logged_batch_end(s->run.logged, s->run.records, phase != LT_PHASE_SANITY, index, s->progress.epoch, &s->ctx.error);
    }
    lth_step_end(s->engine);
    return s->ctx.error.code;
}

static lt_status run_pass(lth_session *s, const pass *p, int32_t phase, lt_loader *loader, int64_t count) {
    int64_t step = s->progress.stepped, done = 0;
    task what = {p, phase};

    lth_session_now(s, phase, count, NULL, false);
    lth_session_metrics_end(s, phase); /* of a pass that was broken off */
    if (hook(s, p->start) < 0 || hook(s, p->epoch_start) < 0 || lth_session_batches(s, phase, loader, count, evaluate_batch, &what, &done) < 0) {
        return s->ctx.error.code;
    }
    if (s->stopped_by_signal) {
        return LT_OK; /* means of a part of the data are no results */
    }
    lth_session_now(s, phase, count, NULL, false);
    s->run.moment.batch_idx = done; /* of all loaders; a stream, or several, have another number than the limit */
    if (hook(s, p->epoch_end) < 0) {
        return s->ctx.error.code;
    }
    if (lth_logged_epoch_end(s->run.logged, phase, phase == LT_PHASE_SANITY ? NULL : s->run.records, step, s->progress.epoch,
                             &s->ctx.error)) {
        return s->ctx.error.code;
    }
    lth_session_metrics_end(s, phase);
    lth_logged_scope(s->run.logged, &(lth_log_scope){.phase = phase}); /* what is logged from here on would count in the next pass */
    return hook(s, p->end);
}

static lt_status check_step(lth_session *s, const pass *p) {
    const lt_model *model = s->job->model->iface;

    if (p == &test_pass ? model->test_step != NULL : model->validation_step != NULL) {
        return LT_OK;
    }
    return lth_fail(&s->ctx.error, LT_EABSENT, "model %s has no %s; add one to its LT_MODEL, or set trainer.%s to 0",
                    s->job->model->where.component, p->step_name, p == &test_pass ? "limit_test_batches" : "limit_val_batches");
}

/* Modes and gradients as they must be during a pass, and as they were after it; whatever the pass did. */
static lt_status guarded_pass(lth_session *s, const pass *p, int32_t phase, lt_loader *loader, int64_t count) {
    bool grad = s->engine->grad_enabled;
    lt_status status;

    if (check_step(s, p)) {
        return s->ctx.error.code;
    }
    if (phase == LT_PHASE_VALIDATE && s->job->stage == LT_STAGE_FIT) { /* not for the sanity check */
        hook(s, LTH_HOOK_on_validation_model_zero_grad);
    }
    lth_modules_modes_save(s->modules, s->modes, s->n_modes);
    status = s->ctx.error.code ? s->ctx.error.code : hook(s, p->eval);
    lth_modules_train(s->modules, false);
    s->engine->grad_enabled = false;
    status = status < 0 ? status : run_pass(s, p, phase, loader, count);
    s->engine->grad_enabled = grad;
    if (status >= 0) {
        status = hook(s, p->train);
    }
    lth_modules_modes_restore(s->modules, s->modes, s->n_modes);
    return status < 0 ? status : LT_OK;
}

/* A few validation batches ahead of training: their metrics are dropped and they draw from no generator of the run. */
static lt_status sanity(lth_session *s) {
    lth_generator generator = s->engine->generator;
    lt_status status;

    lth_session_now(s, LT_PHASE_SANITY, s->limits.sanity_batches, NULL, false);
    status = hook(s, LTH_HOOK_on_sanity_check_start);
    status = status < 0 ? status : guarded_pass(s, &validate_pass, LT_PHASE_SANITY, s->val, s->limits.sanity_batches);
    lth_logged_drop(s->run.logged, LT_PHASE_SANITY);
    status = status < 0 ? status : hook(s, LTH_HOOK_on_sanity_check_end);
    s->engine->generator = generator;
    return status < 0 ? status : LT_OK;
}

lt_status lth_evaluate(lth_session *s, lth_eval_kind kind) {
    switch (kind) {
    case LTH_EVAL_SANITY:
        return sanity(s);
    case LTH_EVAL_VALIDATE:
        return guarded_pass(s, &validate_pass, LT_PHASE_VALIDATE, s->val, s->limits.val_batches);
    case LTH_EVAL_TEST:
        return guarded_pass(s, &test_pass, LT_PHASE_TEST, s->test, s->limits.test_batches);
    }
    return LT_EINVAL;
}
