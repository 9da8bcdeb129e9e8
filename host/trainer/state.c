/* trainer/state.c - a session's state into a snapshot and back. Collected at step boundaries only; restored before the loops begin.
 * Group names are the file format (docs/checkpoints.md): state_dict/ optimizer/0/ lr_schedulers/0/ callbacks/ model/ datamodule/ loops/
 * rng/ data/ metrics/ loggers/ plugins/ config hyper_parameters/ lthost/. */
#include "base/log.h"
#include "base/mem.h"
#include "trainer/session.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- keys of callbacks ---- */

/* The component's own key, or its id. */
static void callback_key(lth_session *s, size_t i, char *out, size_t size) {
    const lth_instance *callback = s->job->callbacks[i];
    const char *key = callback->callback->state_key ? callback->callback->state_key(&s->ctx, callback->self) : NULL;

    lth_snapshot_escape(key && *key ? key : callback->where.component, out, size);
}

/* callbacks/<key>, and -1, -2, ... behind it for further instances of one key. */
static void callback_prefix(lth_session *s, size_t at, char *out, size_t size) {
    char key[200], other[200];
    int same = 0;

    callback_key(s, at, key, sizeof key);
    for (size_t i = 0; i < at; i++) {
        callback_key(s, i, other, sizeof other);
        same += !strcmp(key, other);
    }
    snprintf(out, size, same ? "callbacks/%s-%d" : "callbacks/%s", key, same);
}

/* ---- collecting ---- */

static lt_status put_tensor(lth_snapshot *out, const char *path, lt_tensor *t, lth_error *err) {
    void *to = lth_snapshot_reserve(out, path, t->a.dtype, t->a.ndim, t->a.shape, err);

    return to ? lth_tensor_to_host(t, to, (size_t)lth_numel(t) * lth_dtype_size(t->a.dtype), err) : err->code;
}

static lt_status collect_weights(lth_session *s, lth_snapshot *out) {
    char path[400];

    for (int64_t i = 0; i < lth_state_count(s->modules); i++) {
        lth_state_entry entry = lth_state_at(s->modules, i);

        snprintf(path, sizeof path, "state_dict/%s", entry.name);
        if (put_tensor(out, path, entry.value, &s->ctx.error)) {
            return s->ctx.error.code;
        }
    }
    return LT_OK;
}

static lt_status collect_loops(lth_session *s, lth_snapshot *out) {
    const lth_progress *p = &s->progress;
    const struct {
        const char *name;
        int64_t value;
    } values[] = {{"loops/fit/epoch", p->epoch},
                  {"loops/fit/batch_idx", p->batch_idx},
                  {"loops/fit/global_step", p->global_step},
                  {"loops/fit/stepped", p->stepped},
                  {"loops/fit/batches", p->batches},
                  {"loops/fit/samples", p->samples},
                  {"loops/fit/window", p->window},
                  {"loops/fit/position", p->position},
                  {"loops/fit/train_batches", s->limits.train_batches},
                  {"loops/fit/stop_requested", s->run.stop_requested}};

    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        if (lth_snapshot_add_i64(out, values[i].name, values[i].value, &s->ctx.error)) {
            return s->ctx.error.code;
        }
    }
    return lth_snapshot_add_text(out, "loops/fit/stop_reason", s->run.stop_reason, &s->ctx.error);
}

/* An open accumulation window: the gradients so far, by parameter. */
static lt_status collect_gradients(lth_session *s, lth_snapshot *out) {
    char path[400];

    for (int64_t i = 0; s->progress.window > 0 && i < s->modules->n_params; i++) {
        lth_param *p = s->modules->params[i];

        if (!p->value->grad || p->value->grad->grad_fresh) {
            continue;
        }
        snprintf(path, sizeof path, "loops/fit/gradients/%s", p->name);
        if (put_tensor(out, path, p->value->grad, &s->ctx.error)) {
            return s->ctx.error.code;
        }
    }
    return LT_OK;
}

static lt_status collect_generator(lth_session *s, lth_snapshot *out) {
    const lth_generator *g = &s->engine->generator;
    const int64_t words = 624, meta = 3;
    int64_t numbers[3] = {(int64_t)g->seed, g->index, g->has_normal};

    if (lth_snapshot_add(out, "rng/mt19937", LT_I32, 1, &words, g->state, &s->ctx.error) ||
        lth_snapshot_add(out, "rng/position", LT_I64, 1, &meta, numbers, &s->ctx.error)) {
        return s->ctx.error.code;
    }
    return lth_snapshot_add_f64(out, "rng/next_normal", g->next_normal, &s->ctx.error);
}

static lt_status collect_components(lth_session *s, lth_snapshot *out) {
    char prefix[512];

    if (lth_instance_save(s->job->model, &s->ctx, out, "model", &s->ctx.error) ||
        (s->job->data && lth_instance_save(s->job->data, &s->ctx, out, "datamodule", &s->ctx.error))) {
        return s->ctx.error.code;
    }
    for (size_t i = 0; i < s->job->n_callbacks; i++) {
        callback_prefix(s, i, prefix, sizeof prefix);
        if (lth_instance_save(s->job->callbacks[i], &s->ctx, out, prefix, &s->ctx.error)) {
            return s->ctx.error.code;
        }
    }
    return LT_OK;
}

static lt_status collect_plugins(lth_session *s, lth_snapshot *out) {
    char path[400], id[200], text[200], hash[33];

    for (size_t i = 0; i < lth_registry_count(s->job->registry); i++) {
        const lth_found_plugin *plugin = lth_registry_at(s->job->registry, i);

        if (plugin->loaded) {
            lth_hash_hex(plugin->hash, hash);
            lth_snapshot_escape(plugin->id, id, sizeof id);
            snprintf(path, sizeof path, "plugins/%s", id);
            snprintf(text, sizeof text, "%s xxh3-128:%s", plugin->version, hash);
            if (lth_snapshot_add_text(out, path, text, &s->ctx.error)) {
                return s->ctx.error.code;
            }
        }
    }
    return LT_OK;
}

static lt_status put_values(lth_session *s, lth_snapshot *out, const char *path, const lth_instance *instance) {
    lth_arena arena = {0};
    lth_buf text = {0};
    lth_node *values = instance ? lth_schema_values(instance->schema, instance->self, &arena, false) : NULL;

    if (values) {
        lth_yaml_print(values, false, &text);
    }
    lth_snapshot_add_text(out, path, lth_buf_text(&text), &s->ctx.error);
    lth_buf_release(&text);
    lth_arena_release(&arena);
    return s->ctx.error.code;
}

static lt_status collect_header(lth_session *s, lth_snapshot *out) {
    lth_buf config = {0};

    lth_yaml_print(s->job->config->root, false, &config);
    lth_snapshot_add_i64(out, "lthost/schema", LTH_CKPT_SCHEMA, &s->ctx.error);
    lth_snapshot_add_text(out, "lthost/version", s->job->version, &s->ctx.error);
    lth_snapshot_add_i64(out, "lthost/seed", s->job->config->seed, &s->ctx.error);
    lth_snapshot_add_text(out, "config", lth_buf_text(&config), &s->ctx.error);
    lth_buf_release(&config);
    if (s->ctx.error.code || put_values(s, out, "hyper_parameters/model", s->job->model) ||
        put_values(s, out, "hyper_parameters/data", s->job->data)) {
        return s->ctx.error.code;
    }
    return collect_plugins(s, out);
}

static lt_status collect_training(lth_session *s, lth_snapshot *out) {
    lth_error *err = &s->ctx.error;

    if ((s->optim && lth_optim_save(s->optim, &s->ctx, out, "optimizer/0", err)) ||
        (s->sched && lth_sched_save(s->sched, &s->ctx, out, "lr_schedulers/0", err)) || collect_components(s, out) ||
        collect_gradients(s, out) || collect_generator(s, out) || (s->train && lth_loader_save(s->train, out, "data/train", err)) ||
        lth_logged_save(s->run.logged, out, "metrics", err) || lth_metrics_save(s->ctx.metrics, out, "metrics/states", err)) {
        return err->code;
    }
    lth_records_drain(s->run.records); /* the files' lengths must be those of this instant */
    return lth_records_save(s->run.records, out, "loggers", err);
}

lth_snapshot *lth_state_collect(lth_session *s, uint32_t flags) {
    lth_snapshot *out = lth_snapshot_new();

    if (!out) {
        lth_fail(&s->ctx.error, LT_ENOMEM, "out of memory for the snapshot of the run");
        return NULL;
    }
    s->ctx.where = (lth_where){0};
    if (collect_header(s, out) || collect_weights(s, out) || collect_loops(s, out) ||
        (!(flags & LT_SAVE_WEIGHTS_ONLY) && collect_training(s, out))) {
        lth_snapshot_free(out);
        return NULL;
    }
    return out;
}

void lth_state_facts(lth_session *s, uint32_t flags, lth_ckpt_facts *out) {
    *out = (lth_ckpt_facts){.epoch = s->progress.epoch,
                            .global_step = s->progress.global_step,
                            .batches = s->progress.batches,
                            .weights_only = flags & LT_SAVE_WEIGHTS_ONLY};
    for (size_t i = 0; i < s->job->n_callbacks && !out->has_score; i++) {
        const lth_instance *callback = s->job->callbacks[i];
        const lt_checkpointing *checkpointing = lth_instance_interface(callback, LT_CHECKPOINTING);
        const char *monitor = checkpointing ? checkpointing->monitor(&s->ctx, callback->self) : "";

        if (monitor && *monitor && lth_logged_has(s->run.logged, monitor)) {
            out->has_score = true;
            out->score = lth_logged_value(s->run.logged, monitor);
            out->higher_is_better = checkpointing->higher_is_better(&s->ctx, callback->self);
            snprintf(out->monitor, sizeof out->monitor, "%s", monitor);
        }
    }
}

/* ---- restoring ---- */

/* A float may be of another precision, as PyTorch's load_state_dict converts it. */
static bool same_shape(const lth_item *item, const lth_array *a) {
    bool fits = item->dtype == a->dtype || (lth_is_float(item->dtype) && lth_is_float(a->dtype));
    return fits && item->ndim == a->ndim && !memcmp(item->shape, a->shape, (size_t)a->ndim * sizeof *a->shape);
}

static lt_status take_tensor(lth_session *s, const lth_item *item, const char *name, lt_tensor *t) {
    if (!same_shape(item, &t->a)) {
        char saved[128], mine[128];

        lth_format_shape(saved, sizeof saved, item->shape, item->ndim);
        lth_format_shape(mine, sizeof mine, t->a.shape, t->a.ndim);
        return lth_fail(&s->ctx.error, LT_EFORMAT,
                        "%s is %s %s in the checkpoint but %s %s in the model; use the configuration it was trained with", name,
                        lth_dtype_name(item->dtype), saved, lth_dtype_name(t->a.dtype), mine);
    }
    if (item->dtype != t->a.dtype) {
        size_t bytes = (size_t)lth_numel(t) * lth_dtype_size(t->a.dtype);
        void *converted = lth_alloc(bytes + 1);
        lt_status status = converted ? LT_OK : lth_fail(&s->ctx.error, LT_ENOMEM, "out of memory: %s", name);

        if (!status) {
            lth_elements_convert(t->a.dtype, converted, item->dtype, item->data, lth_numel(t));
            status = lth_tensor_from_host(t, converted, bytes, &s->ctx.error);
        }
        lth_free(converted);
        return status;
    }
    return lth_tensor_from_host(t, item->data, item->size, &s->ctx.error);
}

/* Strict: every entry of the model must be there, and nothing else; all differences are named at once. */
lt_status lth_state_weights(lth_session *s, const lth_snapshot *in) {
    lth_buf wrong = {0};
    char path[400];

    for (int64_t i = 0; i < lth_state_count(s->modules) && !s->ctx.error.code; i++) {
        lth_state_entry entry = lth_state_at(s->modules, i);
        const lth_item *item;

        snprintf(path, sizeof path, "state_dict/%s", entry.name);
        item = lth_snapshot_get(in, path);
        if (item) {
            take_tensor(s, item, entry.name, entry.value);
        } else {
            lth_buf_printf(&wrong, "%s missing %s", wrong.size ? "," : "", entry.name);
        }
    }
    for (size_t i = 0; i < lth_snapshot_count(in); i++) {
        const char *name = lth_snapshot_at(in, i)->path;
        bool known = strncmp(name, "state_dict/", 11) != 0;

        for (int64_t k = 0; k < lth_state_count(s->modules) && !known; k++) {
            known = !strcmp(lth_state_at(s->modules, k).name, name + 11);
        }
        if (!known) {
            lth_buf_printf(&wrong, "%s unexpected %s", wrong.size ? "," : "", name + 11);
        }
    }
    if (wrong.size && !s->ctx.error.code) {
        lth_fail(&s->ctx.error, LT_EFORMAT, "the checkpoint's weights are not those of model %s:%s", s->job->model->where.component,
                 lth_buf_text(&wrong));
    }
    lth_buf_release(&wrong);
    return s->ctx.error.code;
}

lt_status lth_state_components(lth_session *s, const lth_snapshot *in) {
    char prefix[512];

    if (lth_instance_load(s->job->model, &s->ctx, in, "model", &s->ctx.error) ||
        (s->job->data && lth_instance_load(s->job->data, &s->ctx, in, "datamodule", &s->ctx.error))) {
        return s->ctx.error.code;
    }
    for (size_t i = 0; i < s->job->n_callbacks; i++) {
        callback_prefix(s, i, prefix, sizeof prefix);
        if (lth_instance_load(s->job->callbacks[i], &s->ctx, in, prefix, &s->ctx.error)) {
            return s->ctx.error.code;
        }
    }
    return LT_OK;
}

static lt_status restore_loops(lth_session *s, const lth_snapshot *in) {
    lth_progress *p = &s->progress;
    int64_t train_batches = lth_snapshot_i64(in, "loops/fit/train_batches", s->limits.train_batches);

    p->epoch = lth_snapshot_i64(in, "loops/fit/epoch", 0);
    p->batch_idx = lth_snapshot_i64(in, "loops/fit/batch_idx", 0);
    p->global_step = lth_snapshot_i64(in, "loops/fit/global_step", 0);
    p->stepped = lth_snapshot_i64(in, "loops/fit/stepped", 0);
    p->batches = lth_snapshot_i64(in, "loops/fit/batches", 0);
    p->samples = lth_snapshot_i64(in, "loops/fit/samples", 0);
    p->window = lth_snapshot_i64(in, "loops/fit/window", 0);
    p->position = (lth_position)lth_snapshot_i64(in, "loops/fit/position", 0);
    if (p->epoch < 0 || p->batch_idx < 0 || p->global_step < 0 || p->window < 0 || p->position > LTH_AT_EPOCH_END) {
        return lth_fail(&s->ctx.error, LT_EFORMAT, "the checkpoint's loop counters make no sense (epoch %lld, batch %lld)",
                        (long long)p->epoch, (long long)p->batch_idx);
    }
    if (p->batch_idx > 0 && train_batches != s->limits.train_batches) {
        return lth_fail(&s->ctx.error, LT_EFORMAT,
                        "the checkpoint was written inside an epoch of %lld batches, an epoch now has %lld; resume with the same data, "
                        "batch size and limit_train_batches, or from a "
                        "checkpoint written at the end of an epoch",
                        (long long)train_batches, (long long)s->limits.train_batches);
    }
    return LT_OK;
}

static lt_status restore_gradients(lth_session *s, const lth_snapshot *in) {
    char path[400];

    if (!s->progress.window) {
        return LT_OK;
    }
    lth_modules_zero_grad(s->modules);
    for (int64_t i = 0; i < s->modules->n_params; i++) {
        lth_param *p = s->modules->params[i];
        const lth_item *item;

        snprintf(path, sizeof path, "loops/fit/gradients/%s", p->name);
        item = lth_snapshot_get(in, path);
        if (item && p->value->grad) {
            if (take_tensor(s, item, path, p->value->grad)) {
                return s->ctx.error.code;
            }
            p->value->grad->grad_fresh = false;
        }
    }
    return LT_OK;
}

static lt_status restore_generator(lth_session *s, const lth_snapshot *in) {
    const lth_item *words = lth_snapshot_get(in, "rng/mt19937"), *position = lth_snapshot_get(in, "rng/position");
    lth_generator *g = &s->engine->generator;
    int64_t numbers[3];

    if (!words || !position || words->size != sizeof g->state || position->size != sizeof numbers) {
        return lth_fail(&s->ctx.error, LT_EFORMAT, "the checkpoint holds no state of the random generator; it cannot be resumed exactly");
    }
    memcpy(g->state, words->data, sizeof g->state);
    memcpy(numbers, position->data, sizeof numbers);
    if (numbers[1] < 0 || numbers[1] > 624) {
        return lth_fail(&s->ctx.error, LT_EFORMAT, "the checkpoint's random generator stands at word %lld of 624", (long long)numbers[1]);
    }
    g->seed = (uint64_t)numbers[0];
    g->index = (int32_t)numbers[1];
    g->has_normal = numbers[2] != 0;
    g->next_normal = lth_snapshot_f64(in, "rng/next_normal", 0);
    return LT_OK;
}

/* Moments and counts from the checkpoint. The learning rate is the configuration's, or where a scheduler goes on, the one it left. */
static lt_status restore_optimizer(lth_session *s, const lth_snapshot *in) {
    bool goes_on = s->sched && lth_snapshot_get(in, "lr_schedulers/0/last_epoch");
    int32_t groups = s->optim ? lth_optim_groups(s->optim) : 0;
    double *fresh = lth_alloc((size_t)(groups + 1) * sizeof *fresh);
    lth_error *err = &s->ctx.error;

    if (!fresh) {
        return lth_fail(err, LT_ENOMEM, "out of memory");
    }
    for (int32_t g = 0; g < groups; g++) {
        fresh[g] = lth_optim_lr(s->optim, g);
    }
    if (s->optim && !lth_optim_load(s->optim, &s->ctx, in, "optimizer/0", err) && goes_on) {
        lth_sched_load(s->sched, &s->ctx, in, "lr_schedulers/0", err);
    }
    for (int32_t g = 0; g < groups && !goes_on && !err->code; g++) {
        lth_optim_set_lr(s->optim, g, fresh[g]);
    }
    if (s->sched && !goes_on && !err->code) {
        lth_log(LTH_WARNING, "the checkpoint knows no learning-rate scheduler: it begins now");
    }
    lth_free(fresh);
    return err->code;
}

lt_status lth_state_training(lth_session *s, const lth_snapshot *in) {
    lth_error *err = &s->ctx.error;

    if (restore_loops(s, in) || restore_gradients(s, in) || restore_optimizer(s, in) ||
        (s->train && lth_loader_load(s->train, in, "data/train", err)) || lth_logged_load(s->run.logged, in, "metrics", err) ||
        lth_metrics_load(s->ctx.metrics, in, "metrics/states", err) ||
        lth_records_load(s->run.records, in, "loggers", err)) {
        return err->code;
    }
    s->run.stop_requested = lth_snapshot_i64(in, "loops/fit/stop_requested", 0) != 0 && !s->new_goal;
    snprintf(s->run.stop_reason, sizeof s->run.stop_reason, "%s", lth_snapshot_text(in, "loops/fit/stop_reason", ""));
    return restore_generator(s, in);
}
