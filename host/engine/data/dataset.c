/* engine/data/dataset.c - datasets and their parts: a whole one, a window of one, the shares of a random split.
 * A part maps its indices to samples of the whole, so get_batch always sees the whole's. Holds no samples itself. */
#include "base/mem.h"
#include "engine/data/parts.h"

static bool in_stage(lt_ctx *ctx, const char *op) {
    if (ctx->loaders) {
        return true;
    }
    lth_fail_op(&ctx->error, LT_ESTATE, op, LTH_CALLER, "datasets and loaders are made in setup and in the *_dataloader hooks");
    return false;
}

/* Takes `name`; frees it on failure. */
static lt_dataset *add_dataset(lt_ctx *ctx, char *name, const char *op, void *caller) {
    lt_dataset *dataset = name ? lth_alloc(sizeof *dataset) : NULL;
    if (!dataset) {
        lth_free(name);
        lth_fail_op(&ctx->error, LT_ENOMEM, op, caller, "no memory for a dataset");
        return NULL;
    }
    dataset->name = name;
    dataset->all = ctx->loaders;
    dataset->where = ctx->where;
    dataset->where.hook = "get_batch";
    dataset->next = dataset->all->datasets;
    dataset->all->datasets = dataset;
    return dataset;
}

lt_dataset *lth_dataset_new(lt_ctx *ctx, const lt_dataset_desc *desc) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_data_dataset", NULL);
    if (!in_stage(ctx, "lt_data_dataset")) {
        return NULL;
    }
    if (!desc || desc->struct_size < sizeof *desc || !desc->get_batch) {
        lth_fail_op(&ctx->error, LT_EINVAL, "lt_data_dataset", LTH_CALLER, "the description needs struct_size and get_batch");
        return NULL;
    }
    const char *name = desc->name && *desc->name ? desc->name : "dataset";
    if (desc->length < 0) {
        lth_fail_op(&ctx->error, LT_EINVAL, "lt_data_dataset", LTH_CALLER, "dataset '%s': length is %lld", name, (long long)desc->length);
        return NULL;
    }
    lt_dataset *dataset = add_dataset(ctx, lth_strdup(name), "lt_data_dataset", LTH_CALLER);
    if (!dataset) {
        return NULL;
    }
    dataset->length = desc->length;
    dataset->get_batch = desc->get_batch;
    dataset->data = desc->data;
    return dataset;
}

lt_dataset *lth_stream_new(lt_ctx *ctx, const lt_stream_desc *desc) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_data_stream", NULL);
    if (!in_stage(ctx, "lt_data_stream")) {
        return NULL;
    }
    if (!desc || desc->struct_size < sizeof *desc || !desc->start || !desc->next || desc->length < -1) {
        lth_fail_op(&ctx->error, LT_EINVAL, "lt_data_stream", LTH_CALLER, "the description needs struct_size, start, next, and a length of -1 (not "
                    "known) or more");
        return NULL;
    }
    const char *name = desc->name && *desc->name ? desc->name : "stream";
    lt_dataset *dataset = add_dataset(ctx, lth_strdup(name), "lt_data_stream", LTH_CALLER);
    if (!dataset) {
        return NULL;
    }
    dataset->where.hook = "next";
    dataset->length = desc->length;
    dataset->data = desc->data;
    dataset->own_stream = *desc;
    dataset->stream = &dataset->own_stream;
    return dataset;
}

/* Parts of streams would have to be read past. */
static bool has_numbers(lt_ctx *ctx, const lt_dataset *all, const char *op, void *caller) {
    if (!all || !all->stream) {
        return true;
    }
    lth_fail_op(&ctx->error, LT_EINVAL, op, caller, "'%s' is a stream: its samples have no numbers, so it cannot be divided; make a stream of each part",
                all->name);
    return false;
}

/* A window of `all`: the same samples, without a copy of the map. */
static lt_dataset *window(lt_ctx *ctx, const lt_dataset *all, char *name, int64_t start, int64_t end, const char *op, void *caller) {
    lt_dataset *part = add_dataset(ctx, name, op, caller);
    if (!part) {
        return NULL;
    }
    part->length = end - start;
    part->map = all->map ? all->map + start : NULL;
    part->start = all->map ? 0 : all->start + start;
    part->get_batch = all->get_batch;
    part->data = all->data;
    part->where = all->where;
    return part;
}

static char *part_name(const char *name, const char *format, long long a, long long b) __attribute__((format(printf, 2, 0)));
static char *part_name(const char *name, const char *format, long long a, long long b) {
    lth_buf text = {0};
    lth_buf_add(&text, name);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    lth_buf_printf(&text, format, a, b);
#pragma GCC diagnostic pop
    char *result = text.failed ? NULL : lth_strdup(lth_buf_text(&text));
    lth_buf_release(&text);
    return result;
}

lt_dataset *lth_dataset_subset(lt_ctx *ctx, lt_dataset *all, int64_t start, int64_t end) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_data_subset", NULL);
    if (!in_stage(ctx, "lt_data_subset") || !has_numbers(ctx, all, "lt_data_subset", LTH_CALLER)) {
        return NULL;
    }
    if (!all) {
        lth_fail_op(&ctx->error, LT_EINVAL, "lt_data_subset", LTH_CALLER, "the dataset is NULL, and no earlier call failed");
        return NULL;
    }
    if (start < 0 || end < start || end > all->length) {
        lth_fail_op(&ctx->error, LT_EINDEX, "lt_data_subset", LTH_CALLER, "samples %lld to %lld of dataset '%s', which has %lld",
                    (long long)start, (long long)end, all->name, (long long)all->length);
        return NULL;
    }
    return window(ctx, all, part_name(all->name, "[%lld:%lld]", start, end), start, end, "lt_data_subset", LTH_CALLER);
}

/* torch.utils.data.random_split with torch.Generator().manual_seed(seed): slices of one permutation. */
static int64_t *draw_split(const lt_dataset *all, int64_t seed) {
    int64_t *map = lth_alloc((size_t)(all->length ? all->length : 1) * sizeof *map);
    if (!map) {
        return NULL;
    }
    lth_generator generator;
    lth_generator_seed(&generator, (uint64_t)seed);
    lth_randperm(&generator, map, all->length);
    for (int64_t i = 0; i < all->length; i++) {
        map[i] = all->map ? all->map[map[i]] : all->start + map[i];
    }
    return map;
}

static lt_status check_split(lt_ctx *ctx, const lt_dataset *all, const int64_t *lengths, int32_t count, lt_dataset **out, void *caller) {
    if (!all || !lengths || !out || count < 1) {
        return lth_fail_op(&ctx->error, LT_EINVAL, "lt_data_random_split", caller, "needs a dataset, lengths and a place for the parts");
    }
    int64_t sum = 0;
    for (int32_t i = 0; i < count; i++) {
        if (lengths[i] < 0 || lengths[i] > all->length - sum) {
            sum = -1;
            break;
        }
        sum += lengths[i];
    }
    if (sum != all->length) {
        lth_buf text = {0};
        for (int32_t i = 0; i < count; i++) {
            lth_buf_printf(&text, "%s%lld", i ? " + " : "", (long long)lengths[i]);
        }
        lth_fail_op(&ctx->error, LT_EINVAL, "lt_data_random_split", caller,
                    "the lengths %s do not add up to the %lld samples of dataset '%s'", lth_buf_text(&text), (long long)all->length,
                    all->name);
        lth_buf_release(&text);
    }
    return ctx->error.code;
}

lt_status lth_random_split(lt_ctx *ctx, lt_dataset *all, const int64_t *lengths, int32_t count, int64_t seed, lt_dataset **out) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_data_random_split", ctx->error.code);
    if (!in_stage(ctx, "lt_data_random_split") || !has_numbers(ctx, all, "lt_data_random_split", LTH_CALLER) ||
        check_split(ctx, all, lengths, count, out, LTH_CALLER)) {
        return ctx->error.code;
    }
    int64_t *map = draw_split(all, seed);
    if (!map) {
        return lth_fail_op(&ctx->error, LT_ENOMEM, "lt_data_random_split", LTH_CALLER, "no memory for %lld indices",
                           (long long)all->length);
    }
    for (int32_t i = 0; i < count; i++) {
        out[i] = NULL;
    }
    int64_t start = 0;
    for (int32_t i = 0; i < count; i++) {
        char *name = part_name(all->name, " (part %lld of %lld)", i + 1, count);
        out[i] = window(ctx, all, name, 0, lengths[i], "lt_data_random_split", LTH_CALLER);
        if (!out[i]) {
            if (i == 0) {
                lth_free(map);
            }
            return ctx->error.code;
        }
        out[i]->own_map = i == 0 ? map : NULL;
        out[i]->map = map + start;
        out[i]->start = 0;
        start += lengths[i];
    }
    return LT_OK;
}

int64_t lth_dataset_length(lt_ctx *ctx, const lt_dataset *dataset) {
    LTH_ENTER(ctx, LTH_ANY_THREAD, "lt_data_dataset_length", 0);
    return dataset ? dataset->length : 0;
}

void lth_datasets_free(lt_dataset *first) {
    while (first) {
        lt_dataset *next = first->next;
        lth_free(first->own_map);
        lth_free(first->name);
        lth_free(first);
        first = next;
    }
}
