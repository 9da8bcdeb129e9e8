/* engine/data/loader.c - loaders: the order of an epoch's samples (torch's DataLoader and RandomSampler), positions, saving and loading.
 * How batches get filled is ring.c's; what is in them is the plugin's. */
#include "engine/data/loader.h"
#include "engine/ops/ops.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/data/parts.h"
#include <stdio.h>
#include <string.h>

enum { MAX_WORKERS = 1024, MAX_PREFETCH = 4096 };
#define MOST_BATCHES (INT64_C(1) << 40) /* of an epoch of unknown length: tickets must never run out */

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
    if (dataset->stream && opts->shuffle) {
        return lth_fail_op(&ctx->error, LT_EINVAL, op, caller, "'%s' is a stream and cannot be shuffled; let its plugin keep a buffer and draw from it",
                           dataset->name);
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
    if (l->dataset->length < 0) {
        l->length = LTH_UNKNOWN_LENGTH;
    }
    l->ring.in_order = l->dataset->stream != NULL;
    l->ring.keep = l->ring.in_order;
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
    l->siblings = 1;
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
    lth_combined_free(l->combined);
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

/* The stream's own beginning, and the batch after those that were used already: by its position, or by reading them once more. */
static lt_status start_stream(lt_loader *l, bool resumed, lth_error *err) {
    const lt_dataset *d = l->dataset;
    bool placed = resumed && l->stream_position_size > 0;
    lt_stream_start at = {.struct_size = sizeof at, .seed = (uint64_t)l->base_seed, .epoch = l->epoch, .position = placed ? l->stream_position : NULL,
                          .position_size = placed ? l->stream_position_size : 0};
    l->own.where.hook = "start";
    lt_status status = lth_hook_done(&l->own, d->stream->start(&l->own, (void *)(uintptr_t)d->data, &at));
    l->own.where.hook = "next";
    for (int64_t seen = 0, used = l->position * l->batch_size + l->offset; status >= 0 && !placed && seen < used; seen += l->batch_size) {
        lt_batch_out *slot = &l->ring.slots[l->ring.slot_count];
        slot->seed = (uint64_t)l->base_seed;
        slot->first = seen;
        lth_slot_fill_stream(slot, d, used - seen < l->batch_size ? used - seen : l->batch_size, seen / l->batch_size, &l->own);
        status = slot->error.code ? lth_fail(err, slot->error.code, "%s", slot->error.text) : LT_OK;
        if (slot->at_end) {
            return lth_fail(err, LT_EFORMAT, "stream '%s' ended after %lld samples; the checkpoint had used %lld", d->name, (long long)seen,
                            (long long)used);
        }
    }
    return status < 0 ? lth_fail(err, status, "stream '%s': %s", d->name, l->own.error.text) : LT_OK;
}

/* Streams are looked one batch ahead, so that the last one is known for it. */
static void look_ahead(lt_loader *l, int64_t number) { l->ahead = number < l->end ? lth_ring_take(&l->ring, number, &l->own) : NULL; }

/* Samples in the first `batches` batches of the epoch that the checkpoint was saved in. */
static int64_t seen(const lt_loader *l, int64_t batches) {
    const int64_t samples = batches * l->loaded_batch_size + l->loaded_offset, most = l->dataset->length;
    const bool short_one = l->loaded_batch_size != l->batch_size && most >= 0 && samples > most; /* the last batch */
    return samples < 0 ? 0 : short_one ? most : samples;
}

/* Batches numbered from the checkpoint's on: those of the old size that are done, then those of the new one. With another size than the
 * checkpoint's the rest of the epoch may hold fewer than limit_train_batches asks for. */
static lt_status find_end(lt_loader *l, int64_t limit, lth_error *err) {
    const int64_t samples = l->dataset->length - l->offset;
    int64_t there = l->length;
    if (l->offset && !l->dataset->stream) {
        there = l->drop_last ? samples / l->batch_size : (samples + l->batch_size - 1) / l->batch_size;
    }
    const int64_t wanted = limit >= 0 && limit < l->length ? limit : l->length;
    l->end = limit >= 0 && limit < there ? limit : there;
    l->end = l->end < MOST_BATCHES ? l->end : MOST_BATCHES;
    l->end = l->end > l->position ? l->end : l->position;
    if (limit < 0 || there >= wanted) {
        return LT_OK;
    }
    return lth_fail(err, LT_EFORMAT,
                    "dataset '%s': the checkpoint was saved in mid-epoch with another batch_size than %lld, and after its %lld batches the samples left "
                    "make %lld of %lld more: resume with its batch_size or a lower limit_train_batches, or from a checkpoint of an epoch's end",
                    l->dataset->name, (long long)l->batch_size, (long long)l->position, (long long)(there - l->position),
                    (long long)(wanted - l->position));
}

lt_status lth_loader_begin(lt_loader *l, int64_t skip, int64_t limit, lth_error *err) {
    if (l->combined) {
        return lth_combined_begin(l, skip, limit, err);
    }
    lth_loader_end(l);
    bool resumed = l->loaded;
    l->position = skip > 0 ? skip : 0;
    l->offset = 0;
    if (l->loaded) { /* the generator was saved after this epoch's draws */
        l->loaded = false;
        l->position = skip > 0 ? skip : l->loaded_position;
        l->offset = seen(l, l->position) - l->position * l->batch_size;
    } else {
        l->base_seed = lth_random_int63(&l->all->engine->generator);
        l->sampler_seed = l->shuffle ? lth_random_int63(&l->all->engine->generator) : 0;
    }
    lt_status status = l->dataset->stream ? LT_OK : make_order(l, err);
    if (status) {
        return status;
    }
    if (find_end(l, limit, err)) {
        return err->code;
    }
    lth_ctx_init(&l->own, LTH_LOADER_THREAD);
    l->own.where = l->dataset->where;
    l->own.engine = NULL;
    if (l->dataset->stream && start_stream(l, resumed, err)) {
        return err->code;
    }
    l->stream_position_size = resumed ? l->stream_position_size : 0;
    l->epoch++;
    status = lth_ring_open(&l->ring, l->position, l->end, err);
    l->running = status == LT_OK;
    if (l->running && l->dataset->stream) {
        look_ahead(l, l->position);
    }
    return status;
}

void lth_loader_fill(lt_loader *l, lt_batch_out *slot, int64_t number, lt_ctx *ctx) {
    int64_t first = number * l->batch_size + l->offset, left = l->dataset->length - first;
    slot->seed = (uint64_t)l->base_seed;
    slot->first = first;
    if (l->dataset->stream) {
        lth_slot_fill_stream(slot, l->dataset, l->batch_size, number, ctx);
        if (slot->at_end || slot->error.code) {
            atomic_store(&l->ring.over, true);
        }
        return;
    }
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

bool lth_loader_at_end(const lt_loader *l) {
    if (l->combined) {
        return lth_combined_at_end(l);
    }
    return !l->running || l->position >= l->end || (l->dataset->stream && (!l->ahead || l->ahead->at_end));
}

/* The batch that was looked at, and a look at the one after it. */
static lt_batch_out *next_of_stream(lt_loader *l) {
    lt_batch_out *slot = l->ahead;
    if (!slot->error.code) {
        look_ahead(l, l->position + 1);
        l->stream_position_size = slot->position_size;
        memcpy(l->stream_position, slot->position, slot->position_size);
    }
    return slot;
}

const lt_batch *lth_loader_next(lt_loader *l, lt_ctx *ctx) { return lth_loader_take(l, ctx); }

lt_batch *lth_loader_take(lt_loader *l, lt_ctx *ctx) {
    if (l->combined) {
        return lth_combined_next(l, ctx);
    }
    if (!l->running || ctx->error.code) {
        return NULL;
    }
    if (lth_loader_at_end(l)) {
        lth_loader_end(l);
        return NULL;
    }
    lt_batch_out *slot = l->dataset->stream ? next_of_stream(l) : lth_ring_take(&l->ring, l->position, &l->own);
    if (slot->error.code) {
        report(ctx, l, &slot->error);
        return NULL;
    }
    if (lth_slot_deliver(slot, l->all->engine, &ctx->error) || lth_batch_convert(&slot->batch, ctx)) {
        return NULL;
    }
    l->position++;
    slot->batch.loader = l->place;
    slot->batch.n_loaders = l->siblings;
    slot->batch.last = lth_loader_at_end(l);
    return &slot->batch;
}

static lt_tensor *example_of(lt_loader *l, lt_ctx *ctx) {
    const lt_dataset *d = l->dataset;
    const int64_t first = d->map && d->length > 0 ? d->map[0] : d->start;
    lt_batch_out slot = {0};
    lt_tensor *x = NULL;
    if (d->stream || d->length < 1) { /* a stream cannot be looked into without beginning it */
        return NULL;
    }
    lt_ctx own;
    lth_ctx_init(&own, LTH_LOADER_THREAD);
    own.where = d->where;
    lth_slot_fill(&slot, d, &first, 1, 0, &own);
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

lt_tensor *lth_loader_example(lt_loader *l, lt_ctx *ctx) {
    for (int32_t i = 0; l->combined && i < lth_combined_count(l); i++) {
        lt_loader *part = lth_combined_part(l, i);
        if (part->dataset->length || i + 1 == lth_combined_count(l)) { /* of the first that has samples; another's may have another shape */
            return example_of(part, ctx);
        }
    }
    return example_of(l, ctx);
}

void lth_loader_end(lt_loader *l) {
    if (l->combined) {
        lth_combined_end(l);
        return;
    }
    l->running = false;
    l->ahead = NULL;
    lth_ring_close(&l->ring);
}

/* ---- facts ---- */

static const lt_loader *first_of(const lt_loader *l) {
    while (l->combined) {
        l = lth_combined_part(l, 0);
    }
    return l;
}

int64_t lth_loader_length(const lt_loader *l) { return l->combined ? lth_combined_length(l) : l->length; }
int64_t lth_loader_batch_size(const lt_loader *l) { return first_of(l)->batch_size; }
int64_t lth_loader_samples(const lt_loader *l) { return first_of(l)->dataset->length; }
int64_t lth_loader_workers(const lt_loader *l) { return first_of(l)->ring.workers; }
const char *lth_loader_dataset_name(const lt_loader *l) { return first_of(l)->dataset->name; }
bool lth_loader_shuffles(const lt_loader *l) { return first_of(l)->shuffle; }
void lth_loader_keep_order(lt_loader *l) {
    l->shuffle = false;
    for (int32_t i = 0; l->combined && i < lth_combined_count(l); i++) {
        lth_loader_keep_order(lth_combined_part(l, i));
    }
}
int32_t lth_loader_parts(const lt_loader *l) { return l->combined && lth_combined_sequential(l) ? lth_combined_count(l) : 1; }
lt_loader *lth_loader_part(lt_loader *l, int32_t index) { return lth_loader_parts(l) > 1 ? lth_combined_part(l, index) : l; }

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

static lt_status save_stream(const lt_loader *l, lth_snapshot *out, const char *prefix, lth_error *err) {
    char path[256];
    const int64_t n = l->running ? l->stream_position_size : 0;
    snprintf(path, sizeof path, "%s/position", prefix);
    return n ? lth_snapshot_add(out, path, LT_U8, 1, &n, l->stream_position, err) : LT_OK;
}

static void load_stream(lt_loader *l, const lth_snapshot *in, const char *prefix) {
    char path[256];
    snprintf(path, sizeof path, "%s/position", prefix);
    const lth_item *item = lth_snapshot_get(in, path);
    l->stream_position_size = 0;
    if (item && item->size <= LTH_POSITION_MAX) {
        memcpy(l->stream_position, item->data, item->size);
        l->stream_position_size = (uint8_t)item->size;
    }
}

lt_status lth_loader_save(const lt_loader *l, lth_snapshot *out, const char *prefix, lth_error *err) {
    if (l->combined) {
        return lth_combined_save(l, out, prefix, err);
    }
    const struct {
        const char *key;
        int64_t value;
    } state[] = {
        {"running", l->running},           {"batches", l->running ? l->position : 0}, {"base_seed", l->base_seed},
        {"sampler_seed", l->sampler_seed}, {"samples", l->dataset->length},           {"batch_size", l->batch_size},
        {"shuffle", l->shuffle},           {"epoch", l->running ? l->epoch - 1 : l->epoch},
        {"offset", l->running ? l->offset : 0},
    };
    for (size_t i = 0; i < sizeof state / sizeof *state; i++) {
        lt_status status = put(out, prefix, state[i].key, state[i].value, err);
        if (status) {
            return status;
        }
    }
    return l->dataset->stream ? save_stream(l, out, prefix, err) : LT_OK;
}

/* Explicit settings beat the checkpoint's: with another batch size the epoch goes on at its first sample that was not seen. */
static void note_batch_size(const lt_loader *l) {
    if (l->loaded_batch_size != l->batch_size) {
        lth_log(LTH_WARNING, "dataset '%s': batch_size is %lld, in the checkpoint %lld; the epoch continues at sample %lld", l->dataset->name,
                (long long)l->batch_size, (long long)l->loaded_batch_size, (long long)seen(l, l->loaded_position));
    }
}

/* Numbers of a saved position that can be one of these samples, and that nothing can be computed of which overflows. */
static bool is_position(const lt_dataset *d, int64_t batches, int64_t batch_size, int64_t samples, int64_t offset) {
    if (batches < 0 || batch_size < 1 || batches > INT64_MAX / 2 / batch_size || offset < -batches * batch_size || offset > MOST_BATCHES) {
        return false;
    }
    return samples >= (d->stream ? -1 : 0) && (samples < 0 || batches <= samples);
}

void lth_loader_forget(lt_loader *l) {
    l->epoch += l->loaded; /* that epoch was begun, and is over */
    l->loaded = false;
}

lt_status lth_loader_load(lt_loader *l, const lth_snapshot *in, const char *prefix, lth_error *err) {
    if (l->combined) {
        return lth_combined_load(l, in, prefix, err);
    }
    int64_t running = get(in, prefix, "running", -1), batches = get(in, prefix, "batches", -1),
            batch_size = get(in, prefix, "batch_size", -1);
    int64_t samples = get(in, prefix, "samples", -1), shuffle = get(in, prefix, "shuffle", -1), offset = get(in, prefix, "offset", 0);
    if (running < 0 || shuffle < 0 || !is_position(l->dataset, batches, batch_size, samples, offset)) {
        return lth_fail(err, LT_EFORMAT, "the checkpoint's position in dataset '%s' (%s) is absent or damaged", l->dataset->name, prefix);
    }
    lth_loader_end(l);
    l->loaded = false;
    l->epoch = get(in, prefix, "epoch", 0);
    load_stream(l, in, prefix);
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
    l->loaded_position = batches;
    l->loaded_batch_size = batch_size;
    l->loaded_offset = offset;
    note_batch_size(l);
    l->loaded = true;
    return LT_OK;
}
