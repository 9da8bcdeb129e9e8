/* trainer/trainer.c - one verb from beginning to end: open, resume, run, and whatever happened: hooks of the end, loggers, summary. */
#include "trainer/trainer.h"
#include "base/log.h"
#include "base/mem.h"
#include "trainer/session.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- which checkpoint ---- */

static lt_status pick(lth_session *s, lth_pick which) {
    lt_log_location place;

    if (lth_session_location(s, &place)) {
        return s->ctx.error.code;
    }
    return lth_folder_pick(place.save_dir, place.name, which, &s->checkpoint, &s->ctx.error);
}

/* --ckpt_path: PATH, best, last, none; fit starts fresh without it, the others take best. */
static lt_status choose_checkpoint(lth_session *s) {
    const char *given = s->job->ckpt_path;
    bool fit = s->job->stage == LT_STAGE_FIT;

    if ((!given && fit) || (given && !strcmp(given, "none"))) {
        return LT_OK;
    }
    if (s->limits.fast_dev_run && (!given || !strcmp(given, "best"))) {
        return given ? lth_fail(&s->ctx.error, LT_ECONFIG, "--ckpt_path best has no meaning with fast_dev_run, which writes no checkpoint")
                     : LT_OK;
    }
    if (given && strcmp(given, "best") && strcmp(given, "last")) {
        s->checkpoint = lth_path_absolute(given);
        return s->checkpoint ? LT_OK : lth_fail(&s->ctx.error, LT_ENOMEM, "out of memory");
    }
    if (pick(s, !given || strcmp(given, "last") ? LTH_PICK_BEST : fit ? LTH_PICK_RESUME : LTH_PICK_LAST)) {
        return s->ctx.error.code;
    }
    if (s->checkpoint) {
        lth_log(LTH_INFO, "%s %s: %s", given ? "checkpoint" : "no --ckpt_path given: using", given ? given : "best", s->checkpoint);
        return LT_OK;
    }
    if (fit) {
        lth_log(LTH_INFO, "--ckpt_path %s: there is no complete checkpoint yet, starting fresh", given);
        return LT_OK;
    }
    return lth_fail(&s->ctx.error, LT_EFORMAT,
                    "there is no checkpoint to %s: train first with `lthost fit`, name a file with --ckpt_path FILE, or use fresh weights "
                    "with --ckpt_path none",
                    s->job->stage == LT_STAGE_VALIDATE ? "validate"
                    : s->job->stage == LT_STAGE_TEST   ? "test"
                                                       : "predict with");
}

/* ---- what changed since the checkpoint was written ---- */

/* What a line can hold; NULL: it is a list or a map. */
static const char *simple(const lth_node *node) {
    return node->kind == LTH_NODE_SCALAR ? node->text : node->kind == LTH_NODE_NULL ? "null" : NULL;
}

static void list_changes(const lth_node *before, const lth_node *now, const char *at) {
    char path[400];

    if (!now || !before || before->kind != LTH_NODE_MAP || now->kind != LTH_NODE_MAP) {
        return;
    }
    for (const lth_node *child = now->first; child; child = child->next) {
        const lth_node *old = lth_node_get(before, child->key);

        snprintf(path, sizeof path, "%s%s%s", at, *at ? "." : "", child->key);
        if (old && old->kind == LTH_NODE_MAP && child->kind == LTH_NODE_MAP) {
            list_changes(old, child, path);
        } else if (!old || !lth_node_equal(old, child)) {
            if (old && simple(old) && simple(child)) {
                lth_log(LTH_INFO, "changed since the checkpoint: %s %s -> %s", path, simple(old), simple(child));
            } else {
                lth_log(LTH_INFO, "changed since the checkpoint: %s", path);
            }
        }
    }
}

/* What decides when a run stops. */
static bool other_goal(const lth_node *before, const lth_node *now) {
    static const char *const keys[] = {"callbacks", "max_epochs", "min_epochs", "max_steps", "min_steps"};
    const lth_node *was = lth_node_get(before, "trainer"), *is = lth_node_get(now, "trainer");
    bool other = !was != !is;

    for (size_t i = 0; was && is && i < sizeof keys / sizeof *keys && !other; i++) {
        const lth_node *a = lth_node_get(was, keys[i]), *b = lth_node_get(is, keys[i]);

        other = a && b ? !lth_node_equal(a, b) : a != b;
    }
    return other;
}

static void say_changes(lth_session *s, const lth_snapshot *in) {
    const char *text = lth_snapshot_text(in, "config", "");
    lth_diags diags = {0};
    lth_arena arena = {0};
    const lth_node *before = lth_yaml_parse(text, strlen(text), "checkpoint", &arena, &diags);

    if (before && !lth_node_equal(before, s->job->config->root)) {
        list_changes(before, s->job->config->root, "");
        s->new_goal = other_goal(before, s->job->config->root);
    }
    lth_diags_release(&diags);
    lth_arena_release(&arena);
}

/* ---- the run ---- */

static lt_status load(lth_session *s, lth_snapshot **in) {
    lth_ckpt_facts facts;

    if (!s->checkpoint) {
        return LT_OK;
    }
    if (lth_ckpt_read(s->checkpoint, in, &facts, &s->ctx.error)) {
        if (s->ctx.error.code == LT_EIO || s->ctx.error.code == LT_EABSENT) {
            s->ctx.error.code = LT_EFORMAT; /* a checkpoint that cannot be opened is as unusable as a damaged one */
        }
        return s->ctx.error.code;
    }
    s->resumed = s->job->stage == LT_STAGE_FIT;
    s->run.moment.resumed = s->resumed;
    if (s->resumed && facts.weights_only) {
        return lth_fail(&s->ctx.error, LT_EFORMAT, "%s holds weights only; training cannot be resumed from it", s->checkpoint);
    }
    if (lth_state_weights(s, *in) || lth_state_components(s, *in)) {
        return s->ctx.error.code;
    }
    if (s->resumed) {
        say_changes(s, *in);
    }
    return LT_OK;
}

static lt_status run_fit(lth_session *s, const lth_snapshot *in) {
    double began;
    lt_status status;

    if (lth_session_optimizers(s) || (in && lth_state_training(s, in))) {
        return s->ctx.error.code;
    }
    if (s->resumed) {
        lth_log(LTH_INFO, "resuming at epoch %lld, batch %lld, step %lld: %s", (long long)s->progress.epoch,
                (long long)s->progress.batch_idx, (long long)s->progress.global_step, s->checkpoint);
    }
    s->began_samples = s->progress.samples;
    lth_session_now(s, LT_PHASE_NONE, -1, NULL, false);
    if (lth_hooks_call(&s->hooks, &s->ctx, LTH_HOOK_on_fit_start) < 0 || lth_session_hparams(s)) {
        return s->ctx.error.code;
    }
    began = lth_base_table.seconds(&s->ctx);
    status = lth_fit(s);
    s->train_seconds = lth_base_table.seconds(&s->ctx) - began;
    return status;
}

static lt_status run_verb(lth_session *s, const lth_snapshot *in) {
    switch (s->job->stage) {
    case LT_STAGE_FIT:
        return run_fit(s, in);
    case LT_STAGE_VALIDATE:
        return lth_evaluate(s, LTH_EVAL_VALIDATE);
    case LT_STAGE_TEST:
        return lth_evaluate(s, LTH_EVAL_TEST);
    default:
        return lth_predict(s);
    }
}

/* Shapes of every module for the summary: one forward of the model's example, drawing from no generator of the run. */
static lt_status record_shapes(lth_session *s) {
    const lth_instance *model = s->job->model;
    lth_generator generator = s->engine->generator;
    lt_tensor *x;

    if (!model->model->example_input || s->job->stage != LT_STAGE_FIT || !s->opts->enable_model_summary) {
        return LT_OK;
    }
    lth_session_call(s, model, "example_input");
    x = model->model->example_input(&s->ctx, model->self);
    if (lth_hook_done(&s->ctx, LT_OK) >= 0 && x) {
        s->ctx.where.hook = "forward";
        lth_modules_record_shapes(&s->ctx, s->modules, lth_session_forward, (void *)s->job, x);
        lth_hook_done(&s->ctx, LT_OK);
    }
    s->engine->generator = generator;
    lth_step_end(s->engine);
    return s->ctx.error.code;
}

static lt_status run(lth_session *s, const lth_job *job, lth_snapshot **in) {
    if (lth_session_open(s, job) || lth_session_setup(s) || choose_checkpoint(s) || load(s, in)) {
        return s->ctx.error.code;
    }
    if (lth_session_folder(s, s->resumed ? *in : NULL) || lth_session_finish_saves(s) || record_shapes(s)) {
        return s->ctx.error.code;
    }
    s->ctx.where = (lth_where){0};
    return run_verb(s, *in);
}

/* ---- how it ended ---- */

static int exit_status(const lth_session *s) {
    switch (s->ctx.error.code) {
    case LT_OK:
        return s->stopped_by_signal ? 75 : 0;
    case LT_ECONFIG:
        return 2;
    case LT_ENONFINITE:
    case LT_ENOSPC:
    case LT_EIO:
        return 1;
    case LT_EFORMAT:
        return 4;
    default:
        return s->ctx.where.component ? 3 : 1;
    }
}

/* A failure inside a datamodule or about data is a data failure, whoever met it. */
static int failure_status(const lth_session *s) {
    const lth_error *e = &s->ctx.error;
    bool from_data = s->ctx.where.kind && !strncmp(s->ctx.where.kind, "lt.datamodule", 13);

    if (from_data && (e->code == LT_EIO || e->code == LT_EFORMAT || e->code == LT_EABSENT || e->code == LT_EINDEX || e->code == LT_EDTYPE ||
                      e->code == LT_ESHAPE)) { /* a file of numbers, or of a shape, that cannot be read is as unusable as a damaged one */
        return 4;
    }
    return e->code == LT_EINDEX && !s->ctx.where.component ? 4 : exit_status(s);
}

static void report(lth_session *s, lth_error *err) {
    lth_buf text = {0};

    s->run.moment.reason = s->ctx.error.text;
    lth_ctx_report(&s->ctx, &text);
    lth_fail(err, s->ctx.error.code, "%s", lth_buf_text(&text));
    lth_buf_release(&text);
}

static void say_how_to_resume(const lth_session *s) {
    lth_buf folder = {0};

    if (s->stopped_by_signal && s->job->stage != LT_STAGE_FIT) {
        lth_log(LTH_WARNING, "stopped by signal %d (%s): no results", lth_signals_pending(), strsignal(lth_signals_pending()));
    }
    if (s->saved_on_signal) {
        lth_buf_add_shell(&folder, s->run.checkpoint_dir);
        lth_log(LTH_INFO, "saved; resume with\n  %s --ckpt_path %s/last.h5", s->job->resume_command, lth_buf_text(&folder));
        lth_buf_release(&folder);
    }
}

static void print_results(lth_session *s) {
    int32_t count = lth_logged_count(s->run.logged, LT_METRICS_CALLBACK);

    for (int32_t i = 0; i < count && !s->stopped_by_signal && (s->job->stage == LT_STAGE_VALIDATE || s->job->stage == LT_STAGE_TEST); i++) {
        double value = NAN;
        const char *name = lth_logged_at(s->run.logged, LT_METRICS_CALLBACK, i, &value);

        lth_log(LTH_RESULT, "%-24s %.6g", name, value);
    }
}

/* The end of every run: the writer is emptied first, so that a disk failure is reported as this run's. */
static void finish(lth_session *s, lth_result *result, lth_error *err) {
    lth_error late = {0};
    const char *status;

    lth_log_status(NULL);
    s->run.may_save = false;
    if (s->run.logged) {
        lth_logged_scope(s->run.logged, &(lth_log_scope){.phase = LT_PHASE_NONE});
    }
    if (s->ctx.error.code) {
        report(s, err);
        result->exit_status = failure_status(s);
        lth_hooks_call_all(&s->hooks, &s->ctx, LTH_HOOK_on_exception);
    }
    if (lth_ckpt_writer_free(s->writer, &late) && !s->ctx.error.code) {
        *err = late;
        s->ctx.error = late;
        result->exit_status = 1;
    }
    s->writer = NULL;
    if (!s->ctx.error.code) {
        result->exit_status = exit_status(s);
    }
    status = s->ctx.error.code ? "failed" : s->stopped_by_signal ? "interrupted" : "success";
    lth_hooks_call_all(&s->hooks, &s->ctx, LTH_HOOK_teardown);
    lth_records_close(s->run.records, status);
    s->run.records = NULL;
    if (s->folder.dir) {
        lth_error before = s->ctx.error;

        lth_error_clear(&s->ctx.error);
        if (lth_session_summary(s, status) && !before.code) {
            lth_log(LTH_WARNING, "%s", s->ctx.error.text);
        }
        s->ctx.error = before;
        snprintf(result->run_dir, sizeof result->run_dir, "%s", s->folder.dir);
    }
}

lt_status lth_trainer_run(const lth_job *job, lth_result *result, lth_error *err) {
    lth_session *s = lth_alloc(sizeof *s);
    lth_snapshot *in = NULL;

    *result = (lth_result){.exit_status = 1};
    if (!s) {
        return lth_fail(err, LT_ENOMEM, "out of memory");
    }
    lth_signals_install(&s->ctx);
    if (!run(s, job, &in)) {
        print_results(s);
    }
    finish(s, result, err);
    if (!err->code) {
        say_how_to_resume(s);
    }
    lth_signals_restore();
    lth_snapshot_free(in);
    lth_session_close(s);
    lth_free(s);
    return err->code;
}
