/* trainer/setup.c - opening a session in order: engine and model, data and limits, optimizers; and closing it in reverse. */
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/threads.h"
#include "trainer/session.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

lt_status lth_session_call(lth_session *s, const lth_instance *instance, const char *hook) {
    s->ctx.where = instance->where;
    s->ctx.where.hook = hook;
    return LT_OK;
}

void lth_session_now(lth_session *s, int32_t phase, int64_t num_batches, const lt_batch *batch, bool in_batch) {
    lt_moment *m = &s->run.moment;
    lth_log_scope scope = {.phase = phase,
                           .batch_hook = in_batch,
                           .allowed = phase == LT_PHASE_SANITY || (phase >= LT_PHASE_TRAIN && phase <= LT_PHASE_TEST),
                           .weight = batch ? (double)batch->size : 1,
                           .dataloader_idx = batch ? batch->loader : 0,
                           .n_dataloaders = batch && batch->n_loaders > 1 ? batch->n_loaders : 1};

    if (phase != m->phase) {
        m->samples = phase == LT_PHASE_TRAIN ? s->progress.samples : 0;
    }
    m->phase = phase;
    m->dataloader_idx = scope.dataloader_idx;
    m->n_dataloaders = scope.n_dataloaders;
    m->epoch = s->progress.epoch;
    m->global_step = s->progress.global_step;
    m->batch_idx = s->progress.batch_idx;
    m->num_batches = num_batches == LTH_UNKNOWN_BATCHES ? -1 : num_batches;
    m->is_last_batch = batch && batch->last;
    m->batch = batch;
    m->out = NULL;
    m->seconds = lth_base_table.seconds(&s->ctx) - s->began;
    s->run.may_save = phase == LT_PHASE_VALIDATE && s->job->stage == LT_STAGE_FIT && !s->limits.fast_dev_run;
    lth_logged_scope(s->run.logged, &scope);
}

/* ---- engine and model ---- */

static lt_status new_engine(lth_session *s) {
    lth_engine_opts opts = {.accelerator = s->opts->accelerator,
                            .threads = (int32_t)(s->opts->num_threads < INT32_MAX ? s->opts->num_threads : INT32_MAX),
                            .isa = getenv("LTHOST_ISA"),
                            .deterministic = s->opts->deterministic,
                            .benchmark = s->opts->benchmark,
                            .seed = (uint64_t)s->job->config->seed};
    lth_precision precision = LTH_PRECISION_32_TRUE;
    const char *omp = getenv("OMP_NUM_THREADS");

    lth_precision_parse(s->opts->precision, &precision); /* the configuration's checks refused all others */
    opts.dtype = precision == LTH_PRECISION_64_TRUE ? LT_F64 : precision == LTH_PRECISION_BF16_TRUE ? LT_BF16 : LT_F32;
    opts.autocast = precision == LTH_PRECISION_BF16_MIXED ? LT_BF16 : 0;
    if (opts.threads <= 0 && omp && atol(omp) > 0) { /* else as many as the backend finds cores for */
        opts.threads = (int32_t)(atol(omp) < INT32_MAX ? atol(omp) : INT32_MAX);
    }
    return lth_engine_new(&s->engine, &opts, &s->ctx.error);
}

lt_tensor *lth_session_forward(lt_ctx *ctx, void *job, lt_tensor *x) {
    const lth_instance *model = ((const lth_job *)job)->model;
    lt_module *root = lth_modules_single_root(ctx->modules);

    return model->model->forward ? model->model->forward(ctx, model->self, x) : root ? lth_module_forward(ctx, root, x, NULL) : NULL;
}

static lt_status seal_model(lth_session *s) {
    if (s->ctx.error.code || lth_modules_seal(s->modules, &s->ctx.error)) {
        return s->ctx.error.code;
    }
    s->ctx.where = (lth_where){0};
    s->n_modes = lth_modules_made(s->modules);
    s->modes = lth_alloc((size_t)s->n_modes + 1);
    return s->modes ? LT_OK : lth_fail(&s->ctx.error, LT_ENOMEM, "out of memory");
}

/* One forward of x tells the layers whose input was left open what they get; x NULL: there was nothing to show them. */
static lt_status settle_model(lth_session *s, lt_tensor *x) {
    if (s->ctx.error.code == LT_OK && x) {
        lth_session_call(s, s->job->model, "forward");
        lth_modules_settle(&s->ctx, s->modules, lth_session_forward, (void *)(uintptr_t)s->job, x);
        lth_hook_done(&s->ctx, LT_OK);
    }
    lth_step_end(s->engine);
    return seal_model(s);
}

static lt_status settle_by_data(lth_session *s) {
    lt_loader *loaders[] = {s->train, s->val, s->test, s->predict}, *one = NULL;

    for (int k = 0; k < 4 && !one; k++) {
        one = loaders[k];
    }
    return settle_model(s, one ? lth_loader_example(one, &s->ctx) : NULL);
}

/* configure, then initial weights in tree order: the first draws of the seed's generator, as in PyTorch. A model that left shapes open and has
 * no example_input waits for the data: lth_session_setup. */
static lt_status configure_model(lth_session *s) {
    const lt_model *model = s->job->model->iface;

    s->modules = lth_modules_new(s->engine, &s->ctx.error);
    if (!s->modules) {
        return s->ctx.error.code;
    }
    s->ctx.modules = s->modules;
    if (model->configure) {
        s->ctx.in_configure = true;
        lth_session_call(s, s->job->model, "configure");
        lth_hook_done(&s->ctx, model->configure(&s->ctx, s->job->model->self));
        s->ctx.in_configure = false;
    }
    if (s->ctx.error.code || !lth_modules_open(s->modules)) {
        return seal_model(s);
    }
    if (!model->example_input) {
        return LT_OK;
    }
    lth_session_call(s, s->job->model, "example_input");
    lt_tensor *x = model->example_input(&s->ctx, s->job->model->self);
    lth_hook_done(&s->ctx, LT_OK);
    return settle_model(s, x);
}

lt_status lth_session_open(lth_session *s, const lth_job *job) {
    memset(s, 0, sizeof *s);
    s->job = job;
    s->opts = &job->config->trainer;
    s->folder.lock = -1;
    lth_ctx_init(&s->ctx, LTH_TRAINER_THREAD);
    lth_flush_denormals();
    s->run.moment = (lt_moment){
        .struct_size = sizeof(lt_moment), .stage = job->stage, .num_batches = -1, .num_training_batches = -1, .num_val_batches = -1};
    s->began = lth_base_table.seconds(&s->ctx);
    s->run.logged = lth_logged_new();
    if (!s->run.logged) {
        return lth_fail(&s->ctx.error, LT_ENOMEM, "out of memory");
    }
    if (new_engine(s)) {
        return s->ctx.error.code;
    }
    s->ctx.engine = s->engine;
    s->loaders = lth_loaders_new(s->engine, &s->ctx.error);
    if (!s->loaders || lth_session_metrics(s) || configure_model(s)) {
        return s->ctx.error.code;
    }
    s->ctx.loaders = s->loaders;
    s->ctx.run = &s->run;
    return lth_hooks_init(&s->hooks, job->data, job->callbacks, job->n_callbacks, job->model, &s->ctx.error);
}

/* ---- data ---- */

static lt_status make_loader(lth_session *s, const char *hook, lt_loader *(*make)(lt_ctx *, void *), lt_loader **out) {
    if (!make) {
        return LT_OK;
    }
    lth_session_call(s, s->job->data, hook);
    *out = make(&s->ctx, s->job->data->self);
    return lth_hook_done(&s->ctx, LT_OK) < 0 ? s->ctx.error.code : LT_OK;
}

static lt_status make_loaders(lth_session *s) {
    const lt_datamodule *data = s->job->data ? s->job->data->iface : NULL;
    lt_stage stage = s->job->stage;

    if (!data) {
        return LT_OK;
    }
    if (stage == LT_STAGE_FIT && make_loader(s, "train_dataloader", data->train_dataloader, &s->train)) {
        return s->ctx.error.code;
    }
    if ((stage == LT_STAGE_FIT || stage == LT_STAGE_VALIDATE) && make_loader(s, "val_dataloader", data->val_dataloader, &s->val)) {
        return s->ctx.error.code;
    }
    if (stage == LT_STAGE_TEST && make_loader(s, "test_dataloader", data->test_dataloader, &s->test)) {
        return s->ctx.error.code;
    }
    return stage == LT_STAGE_PREDICT ? make_loader(s, "predict_dataloader", data->predict_dataloader, &s->predict) : LT_OK;
}

static int64_t length(const lt_loader *loader) { return loader ? lth_loader_length(loader) : 0; }

static lt_status need_loader(lth_session *s, const lt_loader *loader, const char *hook) {
    if (loader || (s->job->stage == LT_STAGE_PREDICT && s->job->input)) {
        return LT_OK;
    }
    return lth_fail(&s->ctx.error, LT_EABSENT, "datamodule %s makes no loader for this stage: it has no %s, or that returned NULL",
                    s->job->data ? s->job->data->where.component : "(none)", hook);
}

static lt_status check_loaders(lth_session *s) {
    const lt_model *model = s->job->model->iface;

    switch (s->job->stage) {
    case LT_STAGE_FIT:
        if (!model->training_step) {
            lth_session_call(s, s->job->model, "training_step");
            return lth_fail(&s->ctx.error, LT_EABSENT, "model %s has no training_step; add one to its LT_MODEL",
                            s->job->model->where.component);
        }
        if (s->val && !model->validation_step) {
            lth_log(LTH_WARNING, "model %s has no validation_step: validation is skipped", s->job->model->where.component);
            s->val = NULL;
        }
        return need_loader(s, s->train, "train_dataloader");
    case LT_STAGE_VALIDATE:
        return need_loader(s, s->val, "val_dataloader");
    case LT_STAGE_TEST:
        return need_loader(s, s->test, "test_dataloader");
    default:
        return need_loader(s, s->predict, "predict_dataloader");
    }
}

/* Of loaders that follow each other each has its own limit: said now, not after an epoch of training. */
static lt_status check_parts(lth_session *s, lt_loader *loader, int32_t phase) {
    int32_t parts = loader ? lth_loader_parts(loader) : 0;

    for (int32_t i = 0; parts > 1 && i < parts; i++) {
        const lt_loader *part = lth_loader_part(loader, i);
        lth_error err = {0};
        int64_t ignored;

        if (lth_limits_of_part(s->opts, phase, lth_loader_length(part), &ignored, &err)) {
            return lth_fail(&s->ctx.error, err.code, "dataset '%s', loader %d of %d: %s", lth_loader_dataset_name(part), (int)i, (int)parts, err.text);
        }
    }
    return LT_OK;
}

lt_status lth_session_setup(lth_session *s) {
    lth_loader_lengths lengths;
    lt_moment *m = &s->run.moment;

    if (lth_hooks_call(&s->hooks, &s->ctx, LTH_HOOK_prepare_data) < 0 || lth_hooks_call(&s->hooks, &s->ctx, LTH_HOOK_setup) < 0 ||
        make_loaders(s) < 0) {
        return s->ctx.error.code;
    }
    s->ctx.where = (lth_where){0};
    if (check_loaders(s) || (!s->modules->sealed && settle_by_data(s))) {
        return s->ctx.error.code;
    }
    lengths = (lth_loader_lengths){length(s->train), length(s->val), length(s->test), length(s->predict)};
    if (lth_limits_resolve(s->opts, &lengths, &s->limits, &s->ctx.error) || check_parts(s, s->val, LT_PHASE_VALIDATE) ||
        check_parts(s, s->test, LT_PHASE_TEST) || check_parts(s, s->predict, LT_PHASE_PREDICT)) {
        return s->ctx.error.code;
    }
    if (s->limits.overfit && s->train) {
        lth_loader_keep_order(s->train);
    }
    if (s->job->stage == LT_STAGE_FIT && !s->opts->max_epochs.given && s->limits.max_epochs == 1000) {
        lth_log(LTH_INFO, "trainer.max_epochs is not set: training 1000 epochs");
    }
    m->max_epochs = s->limits.max_epochs;
    m->max_steps = s->limits.max_steps;
    m->num_training_batches = s->limits.train_batches == LTH_UNKNOWN_BATCHES ? -1 : s->limits.train_batches;
    m->num_val_batches = s->limits.val_batches == LTH_UNKNOWN_BATCHES ? -1 : s->limits.val_batches;
    m->val_check_interval = s->limits.val_check_interval;
    m->check_val_every_n_epoch = s->limits.val_every_epochs;
    m->fast_dev_run = s->limits.fast_dev_run > 0;
    return LT_OK;
}

/* ---- components of the model's choice ---- */

lt_status lth_session_instance(lth_session *s, lth_kind kind, const char *hook, const char *id, const char *params, lth_instance **out) {
    lth_node *args = params && *params ? lth_yaml_parse_flow(params, id, &s->arena, &s->diags) : NULL;
    lt_status status = LT_OK;

    if (!s->diags.count) {
        status = lth_instance_new(s->job->registry, kind, id, args, NULL, &s->diags, out);
    }
    if (s->diags.count) {
        return lth_fail(&s->ctx.error, s->diags.items[0].code, "%s of %s: %s%s%s", hook, s->job->model->where.component,
                        s->diags.items[0].text, s->diags.items[0].hint ? "; " : "", s->diags.items[0].hint ? s->diags.items[0].hint : "");
    }
    return status ? lth_fail(&s->ctx.error, status, "%s of %s: %s was not made", hook, s->job->model->where.component, id) : LT_OK;
}

/* ---- closing ---- */

void lth_session_close(lth_session *s) {
    lth_sched_free(s->sched);
    lth_optim_free(s->optim);
    lth_instance_free(s->own_scheduler);
    for (size_t i = 0; i < s->n_own_groups; i++) {
        lth_instance_free(s->own_groups[i]);
    }
    lth_instance_free(s->own_optimizer);
    lth_hooks_release(&s->hooks);
    lth_loaders_free(s->loaders);
    if (s->job->data && ((const lt_datamodule *)s->job->data->iface)->release) {
        s->ctx.where = s->job->data->where; /* what it warns of is said in its name */
        s->ctx.where.hook = "release";
        ((const lt_datamodule *)s->job->data->iface)->release(&s->ctx, s->job->data->self);
        s->ctx.where = (lth_where){0};
    }
    lth_session_metrics_close(s);
    lth_modules_free(s->modules);
    lth_engine_free(s->engine);
    lth_logged_free(s->run.logged);
    lth_arena_release(&s->run.names);
    lth_arena_release(&s->arena);
    lth_diags_release(&s->diags);
    lth_folder_release(&s->folder);
    lth_free(s->modes);
    lth_free(s->checkpoint);
    lth_free((char *)s->run.checkpoint_dir);
}
