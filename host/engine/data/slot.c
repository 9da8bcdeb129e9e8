/* engine/data/slot.c - one batch being filled: memory that get_batch asks for, kept from batch to batch, and the checks on what it put.
 * Runs on any thread; makes no tensor until the trainer thread delivers it. */
#include "base/mem.h"
#include "engine/data/parts.h"
#include <stdio.h>
#include <string.h>

static bool key_is_valid(lt_ctx *ctx, const lt_batch_out *out, const char *key, const char *op, void *caller) {
    if (out->count && out->items[0].has_key != (key != NULL)) {
        lth_fail_op(&ctx->error, LT_EINVAL, op, caller, "a batch is a list (all keys NULL) or a dict (none NULL), not both");
        return false;
    }
    if (!key) {
        return true;
    }
    if (!*key || strlen(key) >= LTH_KEY_MAX) {
        lth_fail_op(&ctx->error, LT_EINVAL, op, caller, "key '%s' must have 1 to %d characters", key, LTH_KEY_MAX - 1);
        return false;
    }
    for (int32_t i = 0; i < out->count; i++) {
        if (!strcmp(out->items[i].key, key)) {
            lth_fail_op(&ctx->error, LT_EINVAL, op, caller, "key '%s' is put twice", key);
            return false;
        }
    }
    return true;
}

/* Room for `size` bytes, what was there is lost. */
static bool make_room(lth_slot_item *item, size_t size) {
    if (item->data && size <= item->capacity) {
        return true;
    }
    lth_free(item->data);
    item->data = lth_alloc(size ? size : 1);
    item->capacity = item->data ? size : 0;
    return item->data != NULL;
}

/* The next item with room for `size` bytes. */
static lth_slot_item *put_item(lt_ctx *ctx, lt_batch_out *out, const char *key, size_t size, const char *op, void *caller) {
    if (!out) {
        lth_fail_op(&ctx->error, LT_EINVAL, op, caller, "the batch is NULL");
        return NULL;
    }
    if (out->count == LTH_BATCH_MAX) {
        lth_fail_op(&ctx->error, LT_EINVAL, op, caller, "a batch holds at most %d items", LTH_BATCH_MAX);
        return NULL;
    }
    if (!key_is_valid(ctx, out, key, op, caller)) {
        return NULL;
    }
    lth_slot_item *item = &out->items[out->count];
    if (!make_room(item, size)) {
        lth_fail_op(&ctx->error, LT_ENOMEM, op, caller, "no memory for %zu bytes of a batch", size);
        return NULL;
    }
    item->size = size;
    item->has_key = key != NULL;
    if (key) {
        memcpy(item->key, key, strlen(key) + 1);
    }
    out->count++;
    return item;
}

/* Bytes of a tensor of that shape; false if it has none or too many. */
static bool tensor_bytes(lt_dtype dtype, int32_t ndim, const int64_t *shape, size_t *bytes) {
    *bytes = lth_dtype_size(dtype);
    if (!*bytes || ndim < 0 || ndim > LT_MAX_DIMS || (ndim && !shape)) {
        return false;
    }
    for (int32_t d = 0; d < ndim; d++) {
        if (shape[d] < 0 || __builtin_mul_overflow(*bytes, (size_t)shape[d], bytes) || *bytes > PTRDIFF_MAX) {
            return false;
        }
    }
    return true;
}

void *lth_batch_tensor(lt_ctx *ctx, lt_batch_out *out, const char *key, lt_dtype dtype, int32_t ndim, const int64_t *shape) {
    LTH_ENTER(ctx, LTH_LOADER_THREAD, "lt_batch_tensor", NULL);
    size_t bytes;
    if (!tensor_bytes(dtype, ndim, shape, &bytes)) {
        char text[160] = "(no shape)";
        if (shape && ndim >= 0 && ndim <= LT_MAX_DIMS) {
            lth_format_shape(text, sizeof text, shape, ndim);
        }
        lth_fail_op(&ctx->error, LT_ESHAPE, "lt_batch_tensor", LTH_CALLER, "no tensor has dtype %s and shape %s", lth_dtype_name(dtype),
                    text);
        return NULL;
    }
    lth_slot_item *item = put_item(ctx, out, key, bytes, "lt_batch_tensor", LTH_CALLER);
    if (!item) {
        return NULL;
    }
    item->dtype = dtype;
    item->ndim = ndim;
    if (ndim) {
        memcpy(item->shape, shape, (size_t)ndim * sizeof *shape);
    }
    return item->data;
}

void *lth_batch_bytes_out(lt_ctx *ctx, lt_batch_out *out, const char *key, size_t size) {
    LTH_ENTER(ctx, LTH_LOADER_THREAD, "lt_batch_put_bytes", NULL);
    lth_slot_item *item = put_item(ctx, out, key, size, "lt_batch_put_bytes", LTH_CALLER);
    if (!item) {
        return NULL;
    }
    item->dtype = 0;
    item->ndim = 0;
    return item->data;
}

/* Two rounds of SplitMix64's finalizer: neighbouring places and neighbouring epochs share nothing that shows. */
static uint64_t mix(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint64_t lth_sample_seed(lt_ctx *ctx, const lt_batch_out *out, int64_t sample) {
    LTH_ENTER(ctx, LTH_LOADER_THREAD, "lt_sample_random", 0);
    if (!out || sample < 0 || sample >= out->batch.size) {
        lth_fail_op(&ctx->error, LT_EINDEX, "lt_sample_random", LTH_CALLER, "there is no sample %lld: the batch has %lld",
                    (long long)sample, (long long)(out ? out->batch.size : 0));
        return 0;
    }
    return mix(mix(out->seed + 0x9e3779b97f4a7c15u) + (uint64_t)(out->first + sample) * 0x9e3779b97f4a7c15u);
}

/* A batch is usable when it has a tensor and every tensor's first dimension counts the samples. */
static void check(lt_ctx *ctx, const lt_batch_out *slot, int64_t count) {
    int32_t tensors = 0;
    for (int32_t i = 0; i < slot->count; i++) {
        const lth_slot_item *item = &slot->items[i];
        if (!item->dtype) {
            continue;
        }
        tensors++;
        if (item->ndim < 1 || item->shape[0] != count) {
            char text[160];
            lth_format_shape(text, sizeof text, item->shape, item->ndim);
            lth_fail_op(&ctx->error, LT_ESHAPE, "get_batch", NULL,
                        "item %d%s%s%s has shape %s for %lld samples: the first dimension must be %lld", i, item->has_key ? " ('" : "",
                        item->has_key ? item->key : "", item->has_key ? "')" : "", text, (long long)count, (long long)count);
            return;
        }
    }
    if (!tensors) {
        lth_fail_op(&ctx->error, LT_EPLUGIN, "get_batch", NULL, "returned success without putting a tensor (lt_batch_tensor)");
    }
}

/* Moves the failure from the thread's ctx into the slot, with the samples it happened at. */
static void keep_error(lt_batch_out *slot, const lt_dataset *dataset, const int64_t *indices, int64_t count, int64_t number, lt_ctx *ctx) {
    char first[48] = "";
    if (indices) {
        snprintf(first, sizeof first, ", first index %lld", (long long)indices[0]);
    }
    lth_error_clear(&slot->error);
    lth_fail_op(&slot->error, ctx->error.code, ctx->error.op, ctx->error.caller, "dataset '%s', batch %lld (%lld samples%s): %s", dataset->name,
                (long long)number, (long long)count, first, ctx->error.text);
    lth_error_clear(&ctx->error);
}

static void begin(lt_batch_out *slot, const int64_t *indices, int64_t count, int64_t number) {
    slot->count = 0;
    slot->at_end = false;
    slot->position_size = 0;
    slot->error.code = LT_OK;
    slot->batch.size = count;
    slot->batch.index = number;
    slot->batch.indices = indices;
}

/* A stream's batch has as many samples as its first tensor has rows, count at most. */
static int64_t samples_put(const lt_batch_out *slot) {
    for (int32_t i = 0; i < slot->count; i++) {
        if (slot->items[i].dtype && slot->items[i].ndim > 0) {
            return slot->items[i].shape[0];
        }
    }
    return 0;
}

void lth_slot_fill_stream(lt_batch_out *slot, const lt_dataset *dataset, int64_t count, int64_t number, lt_ctx *ctx) {
    begin(slot, NULL, count, number);
    lth_hook_done(ctx, dataset->stream->next(ctx, (void *)(uintptr_t)dataset->data, count, slot));
    if (!ctx->error.code && slot->count == 0) {
        slot->at_end = true;
        return;
    }
    slot->batch.size = samples_put(slot);
    if (!ctx->error.code && (slot->batch.size < 1 || slot->batch.size > count)) {
        lth_fail_op(&ctx->error, LT_ESHAPE, "next", NULL, "put a batch of %lld samples; it was asked for 1 to %lld", (long long)slot->batch.size,
                    (long long)count);
    }
    if (!ctx->error.code) {
        check(ctx, slot, slot->batch.size);
    }
    if (ctx->error.code) {
        keep_error(slot, dataset, NULL, count, number, ctx);
    }
}

void lth_stream_position(lt_ctx *ctx, lt_batch_out *out, const void *position, size_t size) {
    LTH_ENTER(ctx, LTH_LOADER_THREAD, "lt_stream_position", );
    if (!out || !position || size < 1 || size > LTH_POSITION_MAX) {
        lth_fail_op(&ctx->error, LT_EINVAL, "lt_stream_position", LTH_CALLER, "a position has 1 to %d bytes, got %zu", LTH_POSITION_MAX, size);
        return;
    }
    memcpy(out->position, position, size);
    out->position_size = (uint8_t)size;
}

void lth_slot_fill(lt_batch_out *slot, const lt_dataset *dataset, const int64_t *indices, int64_t count, int64_t number, lt_ctx *ctx) {
    begin(slot, indices, count, number);
    lt_status status = lth_hook_done(ctx, dataset->get_batch(ctx, dataset->data, indices, count, slot));
    if (status == LT_SKIP) {
        lth_fail_op(&ctx->error, LT_EPLUGIN, "get_batch", NULL,
                    "returned LT_SKIP, which means nothing here; it returns LT_OK or a negative code");
    }
    if (!ctx->error.code) {
        check(ctx, slot, count);
    }
    if (ctx->error.code) {
        keep_error(slot, dataset, indices, count, number, ctx);
    }
}

lt_status lth_slot_deliver(lt_batch_out *slot, lth_engine *engine, lth_error *err) {
    lt_batch *batch = &slot->batch;
    batch->count = slot->count;
    for (int32_t i = 0; i < slot->count; i++) {
        const lth_slot_item *item = &slot->items[i];
        lth_batch_item *to = &batch->items[i];
        *to = (lth_batch_item){.key = item->has_key ? item->key : NULL, .size = item->size};
        if (!item->dtype) {
            to->bytes = item->data;
            continue;
        }
        to->tensor = lth_tensor_wrap(engine, item->dtype, item->ndim, item->shape, item->data, err);
        if (!to->tensor) {
            return lth_fail(err, LT_ENOMEM, "no memory for the tensors of a batch");
        }
    }
    return LT_OK;
}

/* Which slots an epoch uses depends on who was faster. After this the next epochs allocate nothing, whoever is. */
void lth_slot_match(lt_batch_out *slots, int64_t count) {
    for (int32_t item = 0; item < LTH_BATCH_MAX; item++) {
        size_t most = 0;
        for (int64_t i = 0; i < count; i++) {
            most = slots[i].items[item].capacity > most ? slots[i].items[item].capacity : most;
        }
        for (int64_t i = 0; most && i < count; i++) {
            make_room(&slots[i].items[item], most);
        }
    }
}

void lth_slot_release(lt_batch_out *slot) {
    for (int32_t i = 0; i < LTH_BATCH_MAX; i++) {
        lth_free(slot->items[i].data);
        slot->items[i].data = NULL;
        slot->items[i].capacity = 0;
    }
}
