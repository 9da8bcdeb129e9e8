/* lt/mock/run.h - the mock host's trainer, data, loggers and optimizers: it notes down what a plugin asks for. A part of lt/testing.h,
 * which says what is promised; not to be included by itself. */
#ifndef LT_MOCK_RUN_H
#define LT_MOCK_RUN_H

/* ---- lt.trainer/1 ---- */
LT_MOCK const lt_moment *lt_mock__now(lt_ctx *ctx) { return &ctx->mock->moment; }
LT_MOCK lt_tensor *lt_mock__batch_get(lt_ctx *ctx, const lt_batch *batch, int32_t index) {
    if (!batch || index < 0 || index >= batch->count) {
        return (lt_tensor *)lt_mock__fail(ctx, LT_EINDEX, "the batch has no item %d", (int)index);
    }
    return batch->items[index].tensor;
}
LT_MOCK lt_tensor *lt_mock__batch_key(lt_ctx *ctx, const lt_batch *batch, const char *key) {
    for (int32_t i = 0; batch && i < batch->count; i++) {
        if (batch->items[i].key && !strcmp(batch->items[i].key, key)) {
            return batch->items[i].tensor;
        }
    }
    return (lt_tensor *)lt_mock__fail(ctx, LT_EABSENT, "the batch has no item '%s'", key);
}
LT_MOCK const void *lt_mock__batch_bytes(lt_ctx *ctx, const lt_batch *batch, int32_t index, size_t *size) {
    if (!batch || index < 0 || index >= batch->count || !batch->items[index].bytes) {
        return lt_mock__fail(ctx, LT_EINDEX, "the batch has no bytes at %d", (int)index);
    }
    *size = batch->items[index].size;
    return batch->items[index].bytes;
}
LT_MOCK int64_t lt_mock__batch_size(lt_ctx *ctx, const lt_batch *batch) {
    (void)ctx;
    return batch && batch->count && batch->items[0].tensor && batch->items[0].tensor->ndim ? batch->items[0].tensor->shape[0] : 1;
}
LT_MOCK int32_t lt_mock__batch_count(lt_ctx *ctx, const lt_batch *batch) {
    (void)ctx;
    return batch ? batch->count : 0;
}
LT_MOCK lt_status lt_mock__step_output(lt_ctx *ctx, lt_step_out *out, const char *name, lt_tensor *value) {
    LT_MOCK__NEED(value, LT_EINVAL);
    if (out->count < LT_MOCK_ITEMS) {
        char *copy = (char *)lt_mock__get(ctx->mock, strlen(name) + 1);
        memcpy(copy, name, strlen(name));
        out->items[out->count].key = copy;
        out->items[out->count++].tensor = value;
    }
    return LT_OK;
}
LT_MOCK lt_status lt_mock__step_loss(lt_ctx *ctx, lt_step_out *out, lt_tensor *loss) {
    ctx->mock->loss = lt_mock__item(ctx, loss);
    return ctx->mock->code ? ctx->mock->code : lt_mock__step_output(ctx, out, "loss", loss);
}
LT_MOCK lt_tensor *lt_mock__output(lt_ctx *ctx, const lt_step_out *out, const char *name) {
    (void)ctx;
    for (int32_t i = 0; out && i < out->count; i++) {
        if (!strcmp(out->items[i].key, name)) {
            return out->items[i].tensor;
        }
    }
    return NULL;
}
LT_MOCK void lt_mock_set_metric(lt_mock *mock, const char *name, double value) {
    lt_mock_value *v = lt_mock__find(mock->metrics, mock->n_metrics, name);
    if (!v && mock->n_metrics < LT_MOCK_ITEMS) {
        v = &mock->metrics[mock->n_metrics++];
    }
    if (v) {
        lt_mock__copy(v->key, sizeof v->key, name);
        v->number = value;
    }
}
LT_MOCK void lt_mock__log_value(lt_ctx *ctx, const char *name, double value, uint32_t flags) {
    (void)flags;
    if (!ctx->mock->code) {
        lt_mock_set_metric(ctx->mock, name, value);
    }
}
LT_MOCK void lt_mock__log_tensor(lt_ctx *ctx, const char *name, lt_tensor *value, uint32_t flags) {
    lt_mock__log_value(ctx, name, lt_mock__item(ctx, value), flags);
}
LT_MOCK double lt_mock__metric(lt_ctx *ctx, const char *name) {
    lt_mock_value *v = lt_mock__find(ctx->mock->metrics, ctx->mock->n_metrics, name);
    return v ? v->number : (double)NAN;
}
LT_MOCK bool lt_mock__has_metric(lt_ctx *ctx, const char *name) {
    return lt_mock__find(ctx->mock->metrics, ctx->mock->n_metrics, name) != NULL;
}
LT_MOCK int32_t lt_mock__metric_count(lt_ctx *ctx, int32_t table) {
    (void)table;
    return ctx->mock->n_metrics;
}
LT_MOCK const char *lt_mock__metric_at(lt_ctx *ctx, int32_t table, int32_t index, double *value) {
    (void)table;
    if (index < 0 || index >= ctx->mock->n_metrics) {
        return (const char *)lt_mock__fail(ctx, LT_EINDEX, "there is no metric %d", (int)index);
    }
    *value = ctx->mock->metrics[index].number;
    return ctx->mock->metrics[index].key;
}
LT_MOCK void lt_mock__log_text(lt_ctx *ctx, const char *name, const char *text) {
    (void)ctx;
    (void)name;
    (void)text;
}
LT_MOCK void lt_mock__vrequest_stop(lt_ctx *ctx, const char *format, va_list args) {
    ctx->mock->stop = true;
    vsnprintf(ctx->mock->reason, sizeof ctx->mock->reason, format, args);
}
LT_MOCK lt_status lt_mock__save_checkpoint(lt_ctx *ctx, const char *path, uint32_t flags) {
    (void)flags;
    if (ctx->mock->n_saved < 8) {
        lt_mock__copy(ctx->mock->saved[ctx->mock->n_saved++], 256, path);
    }
    return LT_OK;
}
LT_MOCK lt_status lt_mock__remove_checkpoint(lt_ctx *ctx, const char *path) {
    if (ctx->mock->n_removed < 8) {
        lt_mock__copy(ctx->mock->removed[ctx->mock->n_removed++], 256, path);
    }
    return LT_OK;
}
LT_MOCK const char *lt_mock__checkpoint_dir(lt_ctx *ctx) {
    (void)ctx;
    return "/mock/checkpoints";
}
LT_MOCK int32_t lt_mock__optimizer_count(lt_ctx *ctx) {
    (void)ctx;
    return 1;
}
LT_MOCK const char *lt_mock__optimizer_name(lt_ctx *ctx, int32_t optimizer) {
    (void)optimizer;
    return ctx->mock->optim.optimizer;
}
LT_MOCK int32_t lt_mock__group_count(lt_ctx *ctx, int32_t optimizer) {
    (void)ctx;
    (void)optimizer;
    return 1;
}
LT_MOCK double lt_mock__group_value(lt_ctx *ctx, int32_t optimizer, int32_t group, const char *key) {
    (void)ctx;
    (void)optimizer;
    (void)group;
    return strcmp(key, "lr") ? (double)NAN : 0.1;
}
LT_MOCK int32_t lt_mock__terminal_width(lt_ctx *ctx) {
    (void)ctx;
    return 0;
}
LT_MOCK void lt_mock__terminal_status(lt_ctx *ctx, const char *line) {
    (void)ctx;
    (void)line;
}

/* ---- lt.data/1 ---- */
LT_MOCK lt_dataset *lt_mock__dataset(lt_ctx *ctx, const lt_dataset_desc *desc) {
    lt_dataset *d = (lt_dataset *)lt_mock__get(ctx->mock, sizeof *d);
    d->desc = *desc;
    d->length = desc->length;
    return d;
}
LT_MOCK lt_dataset *lt_mock__subset(lt_ctx *ctx, lt_dataset *all, int64_t start, int64_t end) {
    lt_dataset *d = (lt_dataset *)lt_mock__get(ctx->mock, sizeof *d);
    if (!all || start < 0 || start > end || end > all->length) {
        return (lt_dataset *)lt_mock__fail(ctx, LT_EINDEX, "there are no samples %lld..%lld", (long long)start, (long long)end);
    }
    *d = *all;
    d->start += start;
    d->length = end - start;
    return d;
}
/* In order, not at random. */
LT_MOCK lt_status lt_mock__random_split(lt_ctx *ctx, lt_dataset *all, const int64_t *lengths, int32_t count, int64_t seed,
                                        lt_dataset **out) {
    int64_t at = 0;
    (void)seed;
    for (int32_t i = 0; i < count; at += lengths[i++]) {
        out[i] = lt_mock__subset(ctx, all, at, at + lengths[i]);
    }
    if (all && at != all->length) {
        lt_mock__fail(ctx, LT_EINVAL, "parts of %lld samples of %lld", (long long)at, (long long)all->length);
    }
    return ctx->mock->code;
}
LT_MOCK lt_loader *lt_mock__loader(lt_ctx *ctx, lt_dataset *dataset, const lt_loader_opts *opts) {
    lt_loader *l = (lt_loader *)lt_mock__get(ctx->mock, sizeof *l);
    if (!dataset) {
        return (lt_loader *)lt_mock__fail(ctx, LT_EINVAL, "lt_data_loader: the dataset is NULL, and no earlier call failed");
    }
    l->dataset = dataset;
    if (opts) {
        l->opts = *opts;
    }
    return l;
}
LT_MOCK lt_dataset *lt_mock__stream(lt_ctx *ctx, const lt_stream_desc *desc) {
    (void)desc;
    return (lt_dataset *)lt_mock__fail(ctx, LT_EUNSUPPORTED, "the mock host reads no streams; call start and next of your description yourself");
}
LT_MOCK void lt_mock__stream_position(lt_ctx *ctx, lt_batch_out *out, const void *position, size_t size) {
    (void)out;
    if (!position || size < 1 || size > 255) {
        lt_mock__fail(ctx, LT_EINVAL, "lt_stream_position: a position has 1 to 255 bytes");
    }
}
LT_MOCK lt_loader *lt_mock__combine(lt_ctx *ctx, lt_loader *const *loaders, const char *const *keys, int32_t count, lt_combine mode) {
    (void)loaders, (void)keys, (void)count, (void)mode;
    return (lt_loader *)lt_mock__fail(ctx, LT_EUNSUPPORTED, "the mock host combines no loaders; load from each by itself");
}
LT_MOCK const lt_batch *lt_mock__batch_part(lt_ctx *ctx, const lt_batch *batch, int32_t index, const char *key) {
    (void)batch, (void)index, (void)key;
    return (const lt_batch *)lt_mock__fail(ctx, LT_EUNSUPPORTED, "the mock host has no combined batches");
}
LT_MOCK int64_t lt_mock__dataset_length(lt_ctx *ctx, const lt_dataset *dataset) {
    (void)ctx;
    return dataset->length;
}
LT_MOCK void *lt_mock__batch_tensor(lt_ctx *ctx, lt_batch_out *out, const char *key, lt_dtype dtype, int32_t ndim, const int64_t *shape) {
    lt_mock_item *item = &out->batch.items[out->batch.count++];
    item->key = key;
    item->tensor = lt_mock__make(ctx, dtype, ndim, shape);
    return item->tensor ? item->tensor->data : NULL;
}
LT_MOCK void *lt_mock__batch_bytes_out(lt_ctx *ctx, lt_batch_out *out, const char *key, size_t size) {
    lt_mock_item *item = &out->batch.items[out->batch.count++];
    void *bytes = lt_mock__get(ctx->mock, size);
    item->key = key;
    item->bytes = bytes;
    item->size = size;
    return bytes;
}
LT_MOCK lt_status lt_mock__npy_header(lt_ctx *ctx, const char *path, const void *bytes, size_t size, int64_t file_size, lt_npy_header *out) {
    (void)bytes, (void)size, (void)file_size, (void)out;
    lt_mock__fail(ctx, LT_EUNSUPPORTED, "lt_npy_parse: the mock host reads no .npy files (%s)", path);
    return LT_EUNSUPPORTED;
}
/* Depends on the place in the batch alone: a batch drawn twice is the same. */
LT_MOCK uint64_t lt_mock__sample_seed(lt_ctx *ctx, const lt_batch_out *out, int64_t sample) {
    (void)ctx;
    (void)out;
    return (uint64_t)sample * 0xd1b54a32d192ed03u;
}
LT_MOCK void lt_mock__gather(lt_ctx *ctx, float *dst, const uint8_t *src, const int64_t *indices, int64_t count, int64_t row, double mean,
                             double std) {
    (void)ctx;
    for (int64_t i = 0; i < count * row; i++) {
        dst[i] = (float)(((double)src[indices[i / row] * row + i % row] / 255 - mean) / std);
    }
}
LT_MOCK lt_status lt_mock__fetch(lt_ctx *ctx, const char *path, const char *sha256, const char *const *urls, int32_t count) {
    FILE *file = fopen(path, "rb");
    (void)sha256;
    (void)urls;
    (void)count;
    if (!file) {
        lt_mock__fail(ctx, LT_EABSENT, "%s is absent, and the mock host downloads nothing", path);
        return LT_EABSENT;
    }
    fclose(file);
    return LT_OK;
}
LT_MOCK const char *lt_mock__format_path(lt_ctx *ctx, const char *dir, const char *name) {
    size_t size = strlen(dir) + strlen(name) + 2;
    char *path = (char *)lt_mock__get(ctx->mock, size);
    snprintf(path, size, "%s/%s", dir, name);
    return path;
}

/* ---- lt.logger/1, lt.optim/1 ---- */
LT_MOCK lt_file *lt_mock_file(lt_mock *mock, const char *path) { /* what a logger wrote; NULL: nothing of that name */
    for (int32_t i = 0; i < mock->n_files; i++) {
        if (!strcmp(mock->files[i]->path, path)) {
            return mock->files[i];
        }
    }
    return NULL;
}
LT_MOCK lt_file *lt_mock__file_append(lt_ctx *ctx, const char *path) {
    lt_file *file = lt_mock_file(ctx->mock, path);
    if (!file && ctx->mock->n_files < 16) {
        file = ctx->mock->files[ctx->mock->n_files++] = (lt_file *)lt_mock__get(ctx->mock, sizeof *file);
        lt_mock__copy(file->path, sizeof file->path, path);
        file->data = (char *)lt_mock__get(ctx->mock, 1);
    }
    return file;
}
LT_MOCK void lt_mock__file_write(lt_ctx *ctx, lt_file *file, const void *data, size_t size) {
    char *grown = (char *)lt_mock__get(ctx->mock, file->size + size + 1);
    memcpy(grown, file->data, file->size);
    memcpy(grown + file->size, data, size);
    file->data = grown;
    file->size += size;
}
LT_MOCK void lt_mock__file_vprint(lt_ctx *ctx, lt_file *file, const char *format, va_list args) {
    char text[4096];
    vsnprintf(text, sizeof text, format, args);
    lt_mock__file_write(ctx, file, text, strlen(text));
}
LT_MOCK int64_t lt_mock__file_size(lt_ctx *ctx, lt_file *file) {
    (void)ctx;
    return (int64_t)file->size;
}
LT_MOCK lt_status lt_mock__file_rewrite(lt_ctx *ctx, lt_file *file, const void *data, size_t size) {
    file->size = 0;
    lt_mock__file_write(ctx, file, data, size);
    return LT_OK;
}
LT_MOCK const void *lt_mock__file_content(lt_ctx *ctx, lt_file *file, size_t *size) {
    (void)ctx;
    *size = file->size;
    return file->data;
}
LT_MOCK const char *lt_mock__run_dir(lt_ctx *ctx) {
    (void)ctx;
    return "/mock";
}
LT_MOCK int64_t lt_mock__resume_step(lt_ctx *ctx) {
    (void)ctx;
    return -1;
}
LT_MOCK LT_PRINTF(4, 0) lt_status lt_mock__vuse_optimizer(lt_ctx *ctx, lt_optim_setup *setup, const char *id, const char *format, va_list args) {
    (void)ctx;
    lt_mock__copy(setup->optimizer, sizeof setup->optimizer, id);
    vsnprintf(setup->params, sizeof setup->params, format, args);
    return LT_OK;
}
LT_MOCK lt_status lt_mock__use_lr_scheduler(lt_ctx *ctx, lt_optim_setup *setup, const char *id, const char *params,
                                            const lt_lr_scheduler_opts *opts) {
    (void)ctx;
    lt_mock__copy(setup->scheduler, sizeof setup->scheduler, id);
    lt_mock__copy(setup->scheduler_params, sizeof setup->scheduler_params, params);
    if (opts) {
        setup->opts = *opts;
    }
    return LT_OK;
}
LT_MOCK LT_PRINTF(5, 0) lt_status lt_mock__vparam_group(lt_ctx *ctx, lt_optim_setup *setup, const lt_module *module, const char *names,
                                                        const char *format, va_list args) {
    int32_t k = setup->n_groups;
    if (k == LT_MOCK_ITEMS) {
        lt_mock__fail(ctx, LT_EUNSUPPORTED, "the mock host keeps %d parameter groups", (int)LT_MOCK_ITEMS);
        return LT_EUNSUPPORTED;
    }
    setup->groups[k].module = module;
    lt_mock__copy(setup->groups[k].names, sizeof setup->groups[k].names, names);
    vsnprintf(setup->groups[k].params, sizeof setup->groups[k].params, format, args);
    setup->n_groups++;
    return LT_OK;
}
LT_MOCK lt_status lt_mock__use_lr_lambda(lt_ctx *ctx, lt_optim_setup *setup, lt_lr_lambda *f, void *self, int32_t multiplicative,
                                         const lt_lr_scheduler_opts *opts) {
    (void)ctx;
    lt_mock__copy(setup->scheduler, sizeof setup->scheduler, multiplicative ? "MultiplicativeLR" : "LambdaLR");
    setup->lambda = f;
    setup->lambda_self = self;
    if (opts) {
        setup->opts = *opts;
    }
    return LT_OK;
}
LT_MOCK lt_status lt_mock__rule(lt_ctx *ctx, const lt_span *span, int32_t rule, const void *args) {
    (void)span;
    (void)args;
    lt_mock__fail(ctx, LT_EUNSUPPORTED, "the mock host has lt_optim_sgd and lt_optim_adam, not rule %d", (int)rule);
    return LT_EUNSUPPORTED;
}
LT_MOCK lt_status lt_mock__closure_loss(lt_ctx *ctx, lt_closure *closure, double *loss) {
    closure->calls++;
    return closure->loss(ctx, closure->arg, loss);
}
LT_MOCK lt_status lt_mock__sgd(lt_ctx *ctx, const lt_span *s, const lt_sgd_args *a) {
    float *param = (float *)s->param, *grad = (float *)s->grad, *momentum = (float *)s->slot[0];
    (void)ctx;
    for (int64_t i = 0; i < s->n; i++) {
        double g = (a->maximize ? -1 : 1) * (double)grad[i] + a->weight_decay * (double)param[i], v = g;
        if (s->n_slots > 0) {
            v = s->step == 1 ? g : a->momentum * (double)momentum[i] + (1 - a->dampening) * g;
            momentum[i] = (float)v;
        }
        param[i] = (float)((double)param[i] - a->lr * (a->nesterov ? g + a->momentum * v : v));
    }
    return LT_OK;
}
LT_MOCK lt_status lt_mock__adam(lt_ctx *ctx, const lt_span *s, const lt_adam_args *a) {
    double c1 = 1 - pow(a->beta1, (double)s->step), c2 = 1 - pow(a->beta2, (double)s->step);
    if (s->n_slots < 2 || a->amsgrad) {
        lt_mock__fail(ctx, LT_EUNSUPPORTED, "the mock host's adam needs 2 slots and has no amsgrad");
        return LT_EUNSUPPORTED;
    }
    float *param = (float *)s->param, *grad = (float *)s->grad, *first = (float *)s->slot[0], *second = (float *)s->slot[1];
    for (int64_t i = 0; i < s->n; i++) {
        double p = (double)param[i] * (a->decoupled ? 1 - a->lr * a->weight_decay : 1);
        double g = (a->maximize ? -1 : 1) * (double)grad[i] + (a->decoupled ? 0 : a->weight_decay * p);
        double m = a->beta1 * (double)first[i] + (1 - a->beta1) * g, v = a->beta2 * (double)second[i] + (1 - a->beta2) * g * g;
        first[i] = (float)m;
        second[i] = (float)v;
        param[i] = (float)(p - a->lr / c1 * m / (sqrt(v) / sqrt(c2) + a->eps));
    }
    return LT_OK;
}
#endif
