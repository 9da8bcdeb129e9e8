/* engine/data/loader.c - loaders: the order of an epoch's samples (torch's DataLoader and RandomSampler), positions, saving and loading.
 * How batches get filled is ring.c's; what is in them is the plugin's. */
#include "engine/data/loader.h"
#include "engine/ops/ops.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/data/parts.h"
#include <stdio.h>

enum { MAX_WORKERS = 1024, MAX_PREFETCH = 4096 };

/* ---- making ---- */

static lt_status check_opts(lt_ctx *ctx, const lt_dataset *dataset, const lt_loader_opts *opts, void *caller) {
    const char *op = "lt_data_loader";
    if (!ctx->loaders) {
        return lth_fail_op(&ctx->error, LT_ESTATE, op, caller, "loaders are made in the *_dataloader hooks");
    }
    if (!dataset) {
        return lth_fail_op(&ctx->error, LT_EINVAL, op, caller, "the dataset is NULL, and no earlier call failed");
    }
    if (opts && opts->struct_size < sizeof *opts) {
        return lth_fail_op(&ctx->error, LT_EINVAL, op, caller, "the options need struct_size");
    }
    if (!opts) {
        return LT_OK;
    }
    if (opts->batch_size < 0) {
        return lth_fail_op(&ctx->error, LT_EINVAL, op, caller, "batch_size is %lld, must be at least 1", (long long)opts->batch_size);
    }
    if (opts->num_workers < 0 || opts->num_workers > MAX_WORKERS) {
        return lth_fail_op(&ctx->error, LT_EINVAL, op, caller, "num_workers is %lld, must be 0 to %d", (long long)opts->num_workers,
                           MAX_WORKERS);
    }
    if (opts->prefetch < 0 || opts->prefetch > MAX_PREFETCH) {
        return lth_fail_op(&ctx->error, LT_EINVAL, op, caller, "prefetch is %lld, must be 1 to %d", (long long)opts->prefetch,
                           MAX_PREFETCH);
    }
    return LT_OK;
}

static void set_opts(lt_loader *l, const lt_loader_opts *opts) {
    l->batch_size = opts && opts->batch_size ? opts->batch_size : 1;
    l->shuffle = opts && opts->shuffle;
    l->drop_last = opts && opts->drop_last;
    l->pin_memory = opts && opts->pin_memory;
    l->length = l->dataset->length / l->batch_size;
    if (!l->drop_last && l->dataset->length % l->batch_size) {
        l->length++;
    }
}

lt_loader *lth_loader_new(lt_ctx *ctx, lt_dataset *dataset, const lt_loader_opts *opts) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_data_loader", NULL);
    if (check_opts(ctx, dataset, opts, LTH_CALLER)) {
        return NULL;
    }
    lt_loader *l = lth_alloc(sizeof *l);
    if (!l) {
        lth_fail_op(&ctx->error, LT_ENOMEM, "lt_data_loader", LTH_CALLER, "no memory for a loader");
        return NULL;
    }
    l->all = ctx->loaders;
    l->dataset = dataset;
    set_opts(l, opts);
    int64_t prefetch = opts && opts->prefetch ? opts->prefetch : 2;
    if (lth_ring_init(&l->ring, l, opts ? opts->num_workers : 0, prefetch, &ctx->error)) {
        lth_loader_free(l);
        return NULL;
    }
    l->next = l->all->loaders;
    l->all->loaders = l;
    return l;
}

void lth_loader_free(lt_loader *l) {
    lth_ring_release(&l->ring);
    lth_free(l->order);
    lth_free(l);
}

lth_loaders *lth_loaders_new(lth_engine *e, lth_error *err) {
    lth_loaders *all = lth_alloc(sizeof *all);
    if (!all) {
        lth_fail(err, LT_ENOMEM, "no memory for the loaders of a stage");
        return NULL;
    }
    all->engine = e;
    return all;
}

void lth_loaders_free(lth_loaders *all) {
    if (!all) {
        return;
    }
    while (all->loaders) {
        lt_loader *next = all->loaders->next;
        lth_loader_free(all->loaders);
        all->loaders = next;
    }
    lth_datasets_free(all->datasets);
    lth_arena_release(&all->texts);
    lth_free(all);
}

/* ---- an epoch ---- */

/* The epoch's samples: RandomSampler's permutation or 0, 1, 2, ..., as indices of the whole dataset. */
static lt_status make_order(lt_loader *l, lth_error *err) {
    const lt_dataset *d = l->dataset;
    if (!l->order) {
        l->order = lth_alloc((size_t)(d->length ? d->length : 1) * sizeof *l->order);
        if (!l->order) {
            return lth_fail(err, LT_ENOMEM, "no memory for the order of %lld samples", (long long)d->length);
        }
    }
    if (l->shuffle) {
        lth_generator sampler;
        lth_generator_seed(&sampler, (uint64_t)l->sampler_seed);
        lth_randperm(&sampler, l->order, d->length);
    } else {
        for (int64_t i = 0; i < d->length; i++) {
            l->order[i] = i;
        }
    }
    if (d->map) {
        for (int64_t i = 0; i < d->length; i++) {
            l->order[i] = d->map[l->order[i]];
        }
    } else if (d->start) {
        for (int64_t i = 0; i < d->length; i++) {
            l->order[i] += d->start;
        }
    }
    return LT_OK;
}

lt_status lth_loader_begin(lt_loader *l, int64_t skip, int64_t limit, lth_error *err) {
    lth_loader_end(l);
    int64_t position = skip > 0 ? skip : 0;
    if (l->loaded) { /* the generator was saved after this epoch's draws */
        l->loaded = false;
        position = skip > 0 ? skip : l->loaded_position;
    } else {
        l->base_seed = lth_random_int63(&l->all->engine->generator);
        l->sampler_seed = l->shuffle ? lth_random_int63(&l->all->engine->generator) : 0;
    }
    lt_status status = make_order(l, err);
    if (status) {
        return status;
    }
    l->end = limit >= 0 && limit < l->length ? limit : l->length;
    l->position = position < l->end ? position : l->end;
    lth_ctx_init(&l->own, LTH_LOADER_THREAD);
    l->own.where = l->dataset->where;
    status = lth_ring_open(&l->ring, l->position, l->end, err);
    l->running = status == LT_OK;
    return status;
}

void lth_loader_fill(lt_loader *l, lt_batch_out *slot, int64_t number, lt_ctx *ctx) {
    int64_t first = number * l->batch_size, left = l->dataset->length - first;
    slot->seed = (uint64_t)l->base_seed;
    slot->first = first;
    lth_slot_fill(slot, l->dataset, l->order + first, left < l->batch_size ? left : l->batch_size, number, ctx);
}

/* Hands the slot's failure to the trainer's ctx, as the plugin's whose get_batch it was. */
static void report(lt_ctx *ctx, const lt_loader *l, const lth_error *failure) {
    if (ctx->error.code) {
        return;
    }
    ctx->error = *failure;
    ctx->where = l->dataset->where;
}

lt_status lth_batch_convert(lt_batch *batch, lt_ctx *ctx) {
    const lth_engine *e = ctx->engine;
    lth_attrs to = {.i = {e->dtype}};
    bool as_is = e->dtype == LT_F32 && !e->autocast;
    for (int32_t i = 0; !as_is && i < batch->count; i++) {
        lt_tensor **x = &batch->items[i].tensor;
        if (*x && lth_is_float((*x)->a.dtype) && (*x)->a.dtype != e->dtype) {
            *x = lth_apply(ctx, LTH_OP_CAST, x, 1, &to, NULL);
            if (!*x) {
                return ctx->error.code;
            }
        }
    }
    return LT_OK;
}

const lt_batch *lth_loader_next(lt_loader *l, lt_ctx *ctx) {
    if (!l->running || ctx->error.code) {
        return NULL;
    }
    if (l->position >= l->end) {
        lth_loader_end(l);
        return NULL;
    }
    lt_batch_out *slot = lth_ring_take(&l->ring, l->position, &l->own);
    if (slot->error.code) {
        report(ctx, l, &slot->error);
        return NULL;
    }
    if (lth_slot_deliver(slot, l->all->engine, &ctx->error) || lth_batch_convert(&slot->batch, ctx)) {
        return NULL;
    }
    l->position++;
    return &slot->batch;
}

lt_tensor *lth_loader_example(lt_loader *l, lt_ctx *ctx) {
    static const int64_t first = 0;
    lt_batch_out slot = {0};
    lt_tensor *x = NULL;
    if (l->dataset->length < 1) {
        return NULL;
    }
    lt_ctx own;
    lth_ctx_init(&own, LTH_LOADER_THREAD);
    own.where = l->dataset->where;
    lth_slot_fill(&slot, l->dataset, &first, 1, 0, &own);
    if (slot.error.code) {
        report(ctx, l, &slot.error);
    } else if (lth_slot_deliver(&slot, l->all->engine, &ctx->error) == LT_OK && lth_batch_convert(&slot.batch, ctx) == LT_OK) {
        for (int32_t i = 0; i < slot.batch.count && !x; i++) {
            x = slot.batch.items[i].tensor;
        }
        x = x ? lth_apply(ctx, LTH_OP_COPY, &x, 1, NULL, NULL) : NULL; /* the slot's memory goes */
    }
    lth_slot_release(&slot);
    return x;
}

void lth_loader_end(lt_loader *l) {
    l->running = false;
    lth_ring_close(&l->ring);
}

/* ---- facts ---- */

int64_t lth_loader_length(const lt_loader *l) { return l->length; }
int64_t lth_loader_batch_size(const lt_loader *l) { return l->batch_size; }
int64_t lth_loader_samples(const lt_loader *l) { return l->dataset->length; }
int64_t lth_loader_workers(const lt_loader *l) { return l->ring.workers; }
const char *lth_loader_dataset_name(const lt_loader *l) { return l->dataset->name; }
void lth_loader_keep_order(lt_loader *l) { l->shuffle = false; }
bool lth_loader_shuffles(const lt_loader *l) { return l->shuffle; }

/* ---- saved position ---- */

static lt_status put(lth_snapshot *out, const char *prefix, const char *key, int64_t value, lth_error *err) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s", prefix, key);
    return lth_snapshot_add_i64(out, path, value, err);
}

static int64_t get(const lth_snapshot *in, const char *prefix, const char *key, int64_t fallback) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s", prefix, key);
    return lth_snapshot_i64(in, path, fallback);
}

lt_status lth_loader_save(const lt_loader *l, lth_snapshot *out, const char *prefix, lth_error *err) {
    const struct {
        const char *key;
        int64_t value;
    } state[] = {
        {"running", l->running},           {"batches", l->running ? l->position : 0}, {"base_seed", l->base_seed},
        {"sampler_seed", l->sampler_seed}, {"samples", l->dataset->length},           {"batch_size", l->batch_size},
        {"shuffle", l->shuffle},
    };
    for (size_t i = 0; i < sizeof state / sizeof *state; i++) {
        lt_status status = put(out, prefix, state[i].key, state[i].value, err);
        if (status) {
            return status;
        }
    }
    return LT_OK;
}

/* Explicit settings beat the checkpoint's: with another batch size the epoch goes on at the batch that holds the next unseen sample. */
static int64_t position_here(const lt_loader *l, int64_t batches, int64_t batch_size) {
    if (batch_size == l->batch_size) {
        return batches;
    }
    lth_log(LTH_WARNING, "dataset '%s': batch_size is %lld, in the checkpoint %lld; the epoch continues at sample %lld", l->dataset->name,
            (long long)l->batch_size, (long long)batch_size, (long long)(batches * batch_size / l->batch_size * l->batch_size));
    return batches * batch_size / l->batch_size;
}

lt_status lth_loader_load(lt_loader *l, const lth_snapshot *in, const char *prefix, lth_error *err) {
    int64_t running = get(in, prefix, "running", -1), batches = get(in, prefix, "batches", -1),
            batch_size = get(in, prefix, "batch_size", -1);
    int64_t samples = get(in, prefix, "samples", -1), shuffle = get(in, prefix, "shuffle", -1);
    if (running < 0 || batches < 0 || batch_size < 1 || samples < 0 || shuffle < 0 || batches > samples) {
        return lth_fail(err, LT_EFORMAT, "the checkpoint's position in dataset '%s' (%s) is absent or damaged", l->dataset->name, prefix);
    }
    lth_loader_end(l);
    l->loaded = false;
    if (!running) {
        return LT_OK;
    }
    if (samples != l->dataset->length) {
        return lth_fail(
            err, LT_EFORMAT,
            "dataset '%s' has %lld samples, the checkpoint was saved in mid-epoch with %lld: give it the same data, or resume from a "
            "checkpoint of an epoch's end",
            l->dataset->name, (long long)l->dataset->length, (long long)samples);
    }
    if ((shuffle != 0) != l->shuffle) {
        lth_log(LTH_WARNING, "dataset '%s': shuffle is %s, in the checkpoint %s; the rest of this epoch may repeat samples",
                l->dataset->name, l->shuffle ? "on" : "off", shuffle ? "on" : "off");
    }
    l->base_seed = get(in, prefix, "base_seed", 0);
    l->sampler_seed = get(in, prefix, "sampler_seed", 0);
    l->loaded_position = position_here(l, batches, batch_size);
    l->loaded = true;
    return LT_OK;
}
