/* trainer/predict.c - predict: batches of the datamodule, or rows of a .npy file, through predict_step, forward or one submodule;
 * outputs joined along the first dimension into predictions.h5. Outputs are kept in host memory until the file is written. */
#include "base/log.h"
#include "base/mem.h"
#include "trainer/session.h"
#include <stdio.h>
#include <string.h>

enum { INPUT_BATCH = 64 };

typedef struct column {
    const char *name;
    lt_dtype dtype;
    int32_t ndim;
    int64_t shape[LT_MAX_DIMS];
    int64_t rows;
    lth_buf data;
} column;
typedef struct columns {
    column items[LTH_MAX_OUTPUTS];
    int count;
    lth_arena names;
    lth_buf indices, loaders; /* of samples: dataset index; loader, where several follow each other */
} columns;

static lt_status hook(lth_session *s, lth_hook_id id) { return lth_hooks_call(&s->hooks, &s->ctx, id); }

/* ---- collecting ---- */

static column *find_column(columns *all, const char *name, const lth_array *a, lth_error *err) {
    column *c;

    for (int i = 0; i < all->count; i++) {
        if (!strcmp(all->items[i].name, name)) {
            return &all->items[i];
        }
    }
    if (all->count == LTH_MAX_OUTPUTS) {
        lth_fail(err, LT_EINVAL, "predict: more than %d named outputs", LTH_MAX_OUTPUTS);
        return NULL;
    }
    c = &all->items[all->count++];
    *c = (column){.name = lth_arena_strdup(&all->names, name), .dtype = a->dtype, .ndim = a->ndim};
    memcpy(c->shape, a->shape, sizeof c->shape);
    return c;
}

static lt_status append(lth_session *s, columns *all, const char *name, lt_tensor *value) {
    lth_error *err = &s->ctx.error;
    column *c = find_column(all, name, &value->a, err);
    size_t bytes = (size_t)lth_numel(value) * lth_dtype_size(value->a.dtype);
    void *room;

    if (!c) {
        return err->code;
    }
    if (value->a.ndim < 1 || value->a.ndim != c->ndim || value->a.dtype != c->dtype ||
        memcmp(value->a.shape + 1, c->shape + 1, (size_t)(c->ndim - 1) * sizeof *c->shape)) {
        char first[128], now[128];

        lth_format_shape(first, sizeof first, c->shape, c->ndim);
        lth_format_shape(now, sizeof now, value->a.shape, value->a.ndim);
        return lth_fail(
            err, LT_ESHAPE,
            "predict: output \"%s\" has shape %s after %s; outputs must have the batch as first dimension and agree in the others", name,
            now, first);
    }
    room = lth_buf_extend(&c->data, bytes);
    if (!room) {
        return lth_fail(err, LT_ENOMEM, "out of memory for the predictions of \"%s\" (%zu bytes so far)", name, c->data.size);
    }
    c->rows += value->a.shape[0];
    return lth_tensor_to_host(value, room, bytes, err);
}

static lt_status collect(lth_session *s, columns *all, const lt_batch *batch) {
    for (int i = 0; i < s->run.out.count && !s->ctx.error.code; i++) {
        append(s, all, s->run.out.names[i], s->run.out.values[i]);
    }
    if (batch && batch->indices) {
        lth_buf_add_bytes(&all->indices, batch->indices, (size_t)batch->size * sizeof *batch->indices);
    }
    for (int64_t i = 0; batch && batch->n_loaders > 1 && i < batch->size; i++) {
        int64_t loader = batch->loader;

        lth_buf_add_bytes(&all->loaders, &loader, sizeof loader);
    }
    return s->ctx.error.code;
}

static lt_status write_columns(lth_session *s, const columns *all) {
    lth_snapshot *out = lth_snapshot_new();
    lth_error *err = &s->ctx.error;
    char *path = s->folder.dir ? lth_path_join(s->folder.dir, "predictions.h5") : NULL;
    int64_t n = (int64_t)(all->indices.size / sizeof(int64_t));
    char name[200];

    for (int i = 0; i < all->count && out && !err->code; i++) {
        const column *c = &all->items[i];
        int64_t shape[LT_MAX_DIMS];

        memcpy(shape, c->shape, sizeof shape);
        shape[0] = c->rows;
        lth_snapshot_escape(c->name, name, sizeof name);
        lth_snapshot_add(out, name, c->dtype, c->ndim, shape, lth_buf_text(&c->data), err);
    }
    if (n && out && !err->code && !lth_snapshot_get(out, "index")) {
        lth_snapshot_add(out, "index", LT_I64, 1, &n, lth_buf_text(&all->indices), err);
    }
    n = (int64_t)(all->loaders.size / sizeof(int64_t));
    if (n && out && !err->code && !lth_snapshot_get(out, "dataloader_idx")) {
        lth_snapshot_add(out, "dataloader_idx", LT_I64, 1, &n, lth_buf_text(&all->loaders), err);
    }
    if (!out || !path) {
        lth_fail(err, LT_ENOMEM, "out of memory for the predictions");
    } else if (!err->code && !lth_h5_write(path, out, err)) {
        lth_log(LTH_INFO, "predictions of %lld samples: %s", (long long)(all->count ? all->items[0].rows : 0), path);
    }
    lth_snapshot_free(out);
    lth_free(path);
    return err->code;
}

static void release_columns(columns *all) {
    for (int i = 0; i < all->count; i++) {
        lth_buf_release(&all->items[i].data);
    }
    lth_buf_release(&all->indices);
    lth_buf_release(&all->loaders);
    lth_arena_release(&all->names);
}

/* ---- one batch ---- */

static lt_status no_such_module(lth_session *s) {
    return lth_fail(&s->ctx.error, LT_ECONFIG, "model %s has no module \"%s\"; `lthost fit` prints the names in its summary",
                    s->job->model->where.component, s->job->module);
}

/* Forward of the model, or of the submodule that --module names, for rows of a file (they are its input) and models without a forward. */
static lt_tensor *forward(lth_session *s, lt_tensor *x) {
    const lt_model *model = s->job->model->model;
    bool direct = s->job->module && (s->job->input || (!model->forward && !lth_modules_single_root(s->modules)));
    lt_module *module = direct ? lth_modules_find(s->modules, s->job->module) : lth_modules_single_root(s->modules);

    if (direct && !module) {
        no_such_module(s);
        return NULL;
    }
    lth_session_call(s, s->job->model, "forward");
    if (model->forward && !direct) {
        return model->forward(&s->ctx, s->job->model->self, x);
    }
    if (!module) {
        lth_fail(&s->ctx.error, LT_EABSENT,
                 "model %s has several root modules and no forward: add .forward (or .predict_step) to its LT_MODEL, or choose one with "
                 "--module",
                 s->job->model->where.component);
        return NULL;
    }
    return lth_module_forward(&s->ctx, module, x, NULL);
}

static lt_status predict_tensor(lth_session *s, lt_tensor *x) {
    lt_tensor *y = x ? forward(s, x) : NULL;

    if (lth_hook_done(&s->ctx, LT_OK) < 0) {
        return s->ctx.error.code;
    }
    if (!y) {
        return lth_fail(&s->ctx.error, LT_EPLUGIN, "forward returned NULL without a failure");
    }
    return lth_trainer_table.step_output(&s->ctx, &s->run.out, "predictions", y);
}

/* predict_step, or forward of the batch's first item. */
static lt_status whole_model(lth_session *s, const lt_batch *batch) {
    const lt_model *model = s->job->model->model;

    if (!model->predict_step) {
        if (batch->count < 1 || !batch->items[0].tensor) {
            return lth_fail(&s->ctx.error, LT_EFORMAT,
                            "predict: the first item of a batch must be a tensor; give the model a predict_step for other batches");
        }
        return predict_tensor(s, batch->items[0].tensor);
    }
    lth_session_call(s, s->job->model, "predict_step");
    return lth_hook_done(&s->ctx, model->predict_step(&s->ctx, s->job->model->self, batch, &s->run.out)) < 0 ? s->ctx.error.code : LT_OK;
}

/* --module on the datamodule's batches: the model runs as ever, and what the submodule gives on the way is kept. */
static lt_status watch(lth_session *s, const lt_batch *batch) {
    lt_status status;

    s->modules->watched = lth_modules_find(s->modules, s->job->module);
    if (!s->modules->watched) {
        return no_such_module(s);
    }
    s->modules->seen = NULL;
    s->modules->recording = true;
    status = whole_model(s, batch);
    s->modules->recording = false;
    s->run.out.count = 0;
    if (!status && !s->modules->seen) {
        return lth_fail(&s->ctx.error, LT_ECONFIG, "module \"%s\" takes no part in the predictions of model %s", s->job->module,
                        s->job->model->where.component);
    }
    return status ? status : lth_trainer_table.step_output(&s->ctx, &s->run.out, "predictions", s->modules->seen);
}

static lt_status predict_batch(lth_session *s, const lt_batch *batch) {
    s->run.out.loss = NULL;
    s->run.out.count = 0;
    return s->job->module ? watch(s, batch) : whole_model(s, batch);
}

static lt_status one_batch(lth_session *s, void *all, int64_t index, int64_t count, const lt_batch *batch) {
    s->ctx.where = (lth_where){0};
    lth_session_now(s, LT_PHASE_PREDICT, count, batch, true);
    s->run.moment.batch_idx = index;
    if (hook(s, LTH_HOOK_on_before_batch_transfer) < 0 || hook(s, LTH_HOOK_on_after_batch_transfer) < 0 ||
        hook(s, LTH_HOOK_on_predict_batch_start) < 0 || predict_batch(s, batch) < 0 || collect(s, all, batch) < 0) {
        return s->ctx.error.code;
    }
    s->run.moment.out = &s->run.out;
    hook(s, LTH_HOOK_on_predict_batch_end);
    s->run.moment.out = NULL;
    lth_step_end(s->engine);
    return s->ctx.error.code;
}

static lt_status from_loader(lth_session *s, columns *all) {
    int64_t done;

    return lth_session_batches(s, LT_PHASE_PREDICT, s->predict, s->limits.predict_batches, one_batch, all, &done);
}

/* Rows of an array in a file, in batches; each passes through predict_step-less forward, as there is no datamodule to name its parts. */
static lt_status from_file(lth_session *s, columns *all) {
    lth_snapshot *in = NULL;
    const lth_item *x;

    if (lth_npy_read(s->job->input, &in, &s->ctx.error)) {
        if (s->ctx.error.code == LT_EIO || s->ctx.error.code == LT_EABSENT) {
            s->ctx.error.code = LT_EFORMAT; /* unusable data, not a failure of the run */
        }
        return s->ctx.error.code;
    }
    x = lth_snapshot_get(in, "data");
    if (!x || x->ndim < 1) {
        lth_fail(&s->ctx.error, LT_EFORMAT, "%s holds a single number; an array with samples along its first dimension is needed",
                 s->job->input);
    }
    for (int64_t row = 0; x && row < x->shape[0] && !s->ctx.error.code && !lth_session_told_to_stop(s, LT_PHASE_PREDICT); row += INPUT_BATCH) {
        int64_t shape[LT_MAX_DIMS], count = x->shape[0] - row < INPUT_BATCH ? x->shape[0] - row : INPUT_BATCH;
        size_t row_bytes = x->size / (size_t)x->shape[0];
        lt_batch batch = {.count = 1, .size = count};

        memcpy(shape, x->shape, sizeof shape);
        shape[0] = count;
        batch.items[0].tensor = lth_tensor_new(s->engine, x->dtype, x->ndim, shape, &s->ctx.error);
        if (batch.items[0].tensor && !lth_tensor_from_host(batch.items[0].tensor, (const char *)x->data + (size_t)row * row_bytes,
                                                           (size_t)count * row_bytes, &s->ctx.error) &&
            !lth_batch_convert(&batch, &s->ctx)) {
            s->run.out.count = 0;
            lth_session_now(s, LT_PHASE_PREDICT, -1, &batch, true);
            if (!predict_tensor(s, batch.items[0].tensor)) {
                collect(s, all, NULL);
            }
            lth_step_end(s->engine);
        }
    }
    lth_snapshot_free(in);
    return s->ctx.error.code;
}

lt_status lth_predict(lth_session *s) {
    columns *all = lth_alloc(sizeof *all);
    bool grad = s->engine->grad_enabled;

    if (!all) {
        return lth_fail(&s->ctx.error, LT_ENOMEM, "out of memory");
    }
    hook(s, LTH_HOOK_on_predict_model_eval);
    lth_modules_train(s->modules, false);
    s->engine->grad_enabled = false;
    lth_session_now(s, LT_PHASE_PREDICT, s->limits.predict_batches, NULL, false);
    if (!s->ctx.error.code && hook(s, LTH_HOOK_on_predict_start) >= 0 && hook(s, LTH_HOOK_on_predict_epoch_start) >= 0) {
        (s->job->input ? from_file : from_loader)(s, all);
    }
    s->engine->grad_enabled = grad;
    /* predictions of a part of the data are not written */
    if (!s->ctx.error.code && !s->stopped_by_signal && hook(s, LTH_HOOK_on_predict_epoch_end) >= 0 &&
        hook(s, LTH_HOOK_on_predict_end) >= 0 && hook(s, LTH_HOOK_on_predict_model_train) >= 0 && s->folder.dir) {
        write_columns(s, all);
    }
    release_columns(all);
    lth_free(all);
    return s->ctx.error.code;
}
