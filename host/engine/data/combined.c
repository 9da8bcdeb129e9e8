/* engine/data/combined.c - several loaders as one, in the four modes of Lightning's CombinedLoader. Each part keeps its own order, workers, memory
 * and saved position; this file only says whose turn it is. It fills no batch and copies none: a part's batch is valid until that part's next. */
#include "base/mem.h"
#include "engine/data/parts.h"
#include <stdio.h>
#include <string.h>

typedef struct lth_combined {
    lt_combine mode;
    int32_t count, now;              /* now: the part whose turn it is (sequential) */
    lt_loader *parts[LTH_COMBINE_MOST];
    char *keys[LTH_COMBINE_MOST];    /* or NULL */
    bool begun[LTH_COMBINE_MOST];    /* in this epoch (sequential parts begin when their turn comes, as in Lightning) */
    bool through[LTH_COMBINE_MOST];  /* has given its last batch once */
    int64_t given, limit;            /* batches of this epoch */
    int64_t loaded_given;            /* of a checkpoint; -1: none */
    lt_batch batch;
} lth_combined;

int32_t lth_combined_count(const lt_loader *l) { return l->combined->count; }
lt_loader *lth_combined_part(const lt_loader *l, int32_t index) { return l->combined->parts[index]; }
bool lth_combined_sequential(const lt_loader *l) { return l->combined->mode == LT_COMBINE_SEQUENTIAL; }

/* ---- making ---- */

static bool already_used(const lth_loaders *all, const lt_loader *part) {
    for (const lt_loader *l = all->loaders; l; l = l->next) {
        for (int32_t i = 0; l->combined && i < l->combined->count; i++) {
            if (l->combined->parts[i] == part) {
                return true;
            }
        }
    }
    return false;
}

/* Keys are all given or all absent, told apart by their names, and as long as a batch item's at most. */
static lt_status check_keys(lt_ctx *ctx, const char *const *keys, int32_t count, void *caller) {
    const char *op = "lt_data_combine";
    for (int32_t i = 0; keys && i < count; i++) {
        if (!keys[i] != !keys[0]) {
            return lth_fail_op(&ctx->error, LT_EINVAL, op, caller, "key %d of %d is NULL: loaders are a list (no keys) or a dict (each with a key)",
                               (int)(keys[i] ? 0 : i), (int)count);
        }
        if (keys[i] && (!*keys[i] || strlen(keys[i]) >= LTH_KEY_MAX)) {
            return lth_fail_op(&ctx->error, LT_EINVAL, op, caller, "key %d of %d, '%s', must have 1 to %d characters", (int)i, (int)count, keys[i],
                               LTH_KEY_MAX - 1);
        }
        for (int32_t k = 0; keys[i] && k < i; k++) {
            if (!strcmp(keys[k], keys[i])) {
                return lth_fail_op(&ctx->error, LT_EINVAL, op, caller, "loaders %d and %d of %d have the same key '%s'", (int)k, (int)i, (int)count,
                                   keys[i]);
            }
        }
    }
    return LT_OK;
}

static lt_status check(lt_ctx *ctx, lt_loader *const *loaders, int32_t count, lt_combine mode, void *caller) {
    const char *op = "lt_data_combine";
    if (!ctx->loaders) {
        return lth_fail_op(&ctx->error, LT_ESTATE, op, caller, "loaders are made in the *_dataloader hooks");
    }
    if (!loaders || count < 1 || count > LTH_COMBINE_MOST) {
        return lth_fail_op(&ctx->error, LT_EINVAL, op, caller, "%d loaders; 1 to %d can be combined", (int)count, LTH_COMBINE_MOST);
    }
    if (mode < LT_COMBINE_SEQUENTIAL || mode > LT_COMBINE_MAX_SIZE) {
        return lth_fail_op(&ctx->error, LT_EINVAL, op, caller, "mode %d; use LT_COMBINE_SEQUENTIAL, _MAX_SIZE_CYCLE, _MIN_SIZE or _MAX_SIZE", (int)mode);
    }
    for (int32_t i = 0; i < count; i++) {
        if (!loaders[i]) {
            return lth_fail_op(&ctx->error, LT_EINVAL, op, caller, "loader %d of %d is NULL, and no earlier call failed", (int)i, (int)count);
        }
        bool twice = already_used(ctx->loaders, loaders[i]) || loaders[i]->combined;
        for (int32_t k = 0; k < i; k++) {
            twice |= loaders[k] == loaders[i];
        }
        if (twice) {
            return lth_fail_op(&ctx->error, LT_EINVAL, op, caller, "loader %d (dataset '%s') is part of a combined one already, or is one; make another",
                               (int)i, lth_loader_dataset_name(loaders[i]));
        }
    }
    return LT_OK;
}

lt_loader *lth_combine(lt_ctx *ctx, lt_loader *const *loaders, const char *const *keys, int32_t count, lt_combine mode) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_data_combine", NULL);
    if (check(ctx, loaders, count, mode, LTH_CALLER) || check_keys(ctx, keys, count, LTH_CALLER)) {
        return NULL;
    }
    lt_loader *l = lth_alloc(sizeof *l);
    lth_combined *c = l ? lth_alloc(sizeof *c) : NULL;
    bool good = c != NULL;
    for (int32_t i = 0; good && i < count; i++) {
        c->parts[i] = loaders[i];
        c->keys[i] = keys && keys[i] ? lth_strdup(keys[i]) : NULL;
        good = !keys || !keys[i] || c->keys[i];
        c->count = i + 1;
        loaders[i]->place = mode == LT_COMBINE_SEQUENTIAL ? i : 0;
        loaders[i]->siblings = mode == LT_COMBINE_SEQUENTIAL ? count : 1;
    }
    if (!good) {
        lth_combined_free(c);
        lth_free(l);
        lth_fail_op(&ctx->error, LT_ENOMEM, "lt_data_combine", LTH_CALLER, "no memory for a loader");
        return NULL;
    }
    c->mode = mode;
    c->loaded_given = -1;
    l->combined = c;
    l->all = ctx->loaders;
    l->next = l->all->loaders;
    l->all->loaders = l;
    return l;
}

void lth_combined_free(struct lth_combined *c) {
    for (int32_t i = 0; c && i < c->count; i++) {
        lth_free(c->keys[i]);
    }
    lth_free(c);
}

int64_t lth_combined_length(const lt_loader *l) {
    const lth_combined *c = l->combined;
    int64_t least = LTH_UNKNOWN_LENGTH, most = 0, sum = 0;
    bool unknown = false;
    for (int32_t i = 0; i < c->count; i++) {
        int64_t length = lth_loader_length(c->parts[i]);
        unknown |= length == LTH_UNKNOWN_LENGTH;
        least = length < least ? length : least;
        most = length > most ? length : most;
        sum += unknown ? 0 : length;
    }
    if (unknown) { /* also of the shortest: a stream may end before the parts whose lengths are known */
        return LTH_UNKNOWN_LENGTH;
    }
    return c->mode == LT_COMBINE_SEQUENTIAL ? sum : c->mode == LT_COMBINE_MIN_SIZE ? least : most;
}

/* ---- an epoch ---- */

static lt_status begin_part(lth_combined *c, int32_t i, lth_error *err) {
    c->begun[i] = true;
    return lth_loader_begin(c->parts[i], 0, -1, err);
}

/* The next part that has a batch; all of them may be through. A part of known length need not begin for that: it draws its seeds when its first
 * batch is wanted, as in Lightning. */
static lt_status find_turn(lth_combined *c, lth_error *err) {
    for (; c->now < c->count; c->now++) {
        int64_t length = lth_loader_length(c->parts[c->now]);
        if (!c->begun[c->now] && length == LTH_UNKNOWN_LENGTH && begin_part(c, c->now, err)) {
            return err->code;
        }
        if (c->begun[c->now] ? !lth_loader_at_end(c->parts[c->now]) : length > 0) {
            break;
        }
    }
    return LT_OK;
}

lt_status lth_combined_begin(lt_loader *l, int64_t skip, int64_t limit, lth_error *err) {
    lth_combined *c = l->combined;
    bool resumed = c->loaded_given >= 0;
    c->limit = limit >= 0 ? limit : LTH_UNKNOWN_LENGTH;
    c->given = resumed ? c->loaded_given : 0;
    c->loaded_given = -1;
    if (!resumed) {
        c->now = 0;
        memset(c->begun, 0, sizeof c->begun);
        memset(c->through, 0, sizeof c->through);
    }
    l->running = true;
    for (int32_t i = 0; i < c->count; i++) {
        bool due = c->mode == LT_COMBINE_SEQUENTIAL ? resumed && i == c->now && c->begun[i] : !(resumed && c->mode == LT_COMBINE_MAX_SIZE && c->through[i]);
        if (due && begin_part(c, i, err)) {
            return err->code;
        }
        if (resumed && !due) {
            lth_loader_forget(c->parts[i]);
        }
    }
    if (skip > 0 && !resumed) {
        return lth_fail(err, LT_EFORMAT, "the checkpoint holds no positions of these %d loaders; resume with the loaders it was saved with", (int)c->count);
    }
    return c->mode == LT_COMBINE_SEQUENTIAL ? find_turn(c, err) : LT_OK;
}

static bool all_through(const lth_combined *c) {
    bool all = true;
    for (int32_t i = 0; i < c->count; i++) {
        all &= c->through[i] || lth_loader_at_end(c->parts[i]);
    }
    return all;
}

static bool any_through(const lth_combined *c) {
    bool any = false;
    for (int32_t i = 0; i < c->count; i++) {
        any |= lth_loader_at_end(c->parts[i]);
    }
    return any;
}

bool lth_combined_at_end(const lt_loader *l) {
    const lth_combined *c = l->combined;
    if (!l->running || c->given >= c->limit) {
        return true;
    }
    switch (c->mode) {
    case LT_COMBINE_SEQUENTIAL:
        return c->now >= c->count;
    case LT_COMBINE_MIN_SIZE:
        return any_through(c);
    default:
        return all_through(c);
    }
}

static lt_batch *next_in_turn(lt_loader *l, lt_ctx *ctx) {
    lth_combined *c = l->combined;
    int32_t whose = c->now;
    if (!c->begun[whose] && begin_part(c, whose, &ctx->error)) {
        return NULL;
    }
    lt_batch *batch = lth_loader_take(c->parts[whose], ctx);
    if (!batch || find_turn(c, &ctx->error)) {
        return NULL;
    }
    c->given++;
    batch->last = lth_combined_at_end(l);
    return batch;
}

/* One part's share of a combined batch; false: it is through (MAX_SIZE), or failed. */
static bool take_part(lth_combined *c, int32_t i, lt_ctx *ctx) {
    lt_loader *part = c->parts[i];
    if (lth_loader_at_end(part)) {
        c->through[i] = true;
        if (c->mode != LT_COMBINE_MAX_SIZE_CYCLE || begin_part(c, i, &ctx->error)) {
            return false;
        }
    }
    const lt_batch *batch = lth_loader_next(part, ctx);
    if (!batch) {
        return false;
    }
    c->batch.items[i].part = batch;
    c->batch.size = c->batch.size ? c->batch.size : batch->size;
    c->through[i] |= lth_loader_at_end(part);
    return true;
}

lt_batch *lth_combined_next(lt_loader *l, lt_ctx *ctx) {
    lth_combined *c = l->combined;
    if (ctx->error.code || lth_combined_at_end(l)) {
        if (!ctx->error.code) {
            lth_combined_end(l);
        }
        return NULL;
    }
    if (c->mode == LT_COMBINE_SEQUENTIAL) {
        return next_in_turn(l, ctx);
    }
    c->batch = (lt_batch){.count = c->count, .index = c->given, .n_loaders = 1};
    for (int32_t i = 0; i < c->count; i++) {
        c->batch.items[i] = (lth_batch_item){.key = c->keys[i], .is_part = true};
        bool absent = c->mode == LT_COMBINE_MAX_SIZE && (c->through[i] || lth_loader_at_end(c->parts[i]));
        if (!absent && !take_part(c, i, ctx)) {
            if (!ctx->error.code) {
                lth_fail(&ctx->error, LT_EFORMAT, "dataset '%s' of a combined loader gives no batches", lth_loader_dataset_name(c->parts[i]));
            }
            return NULL;
        }
    }
    c->given++;
    c->batch.last = lth_combined_at_end(l);
    return &c->batch;
}

void lth_combined_end(lt_loader *l) {
    l->running = false;
    for (int32_t i = 0; i < l->combined->count; i++) {
        lth_loader_end(l->combined->parts[i]);
    }
}

/* ---- saved position ---- */

lt_status lth_combined_save(const lt_loader *l, lth_snapshot *out, const char *prefix, lth_error *err) {
    const lth_combined *c = l->combined;
    char path[256];
    int64_t flags[LTH_COMBINE_MOST], count = c->count, head[4] = {l->running, c->given, c->now, c->mode};
    const int64_t four = 4;
    for (int32_t i = 0; i < c->count; i++) {
        flags[i] = (c->begun[i] ? 1 : 0) + (c->through[i] ? 2 : 0);
        snprintf(path, sizeof path, "%s/part%d", prefix, (int)i);
        if (lth_loader_save(c->parts[i], out, path, err)) {
            return err->code;
        }
    }
    snprintf(path, sizeof path, "%s/combined", prefix);
    if (lth_snapshot_add(out, path, LT_I64, 1, &four, head, err)) {
        return err->code;
    }
    snprintf(path, sizeof path, "%s/parts", prefix);
    return lth_snapshot_add(out, path, LT_I64, 1, &count, flags, err);
}

lt_status lth_combined_load(lt_loader *l, const lth_snapshot *in, const char *prefix, lth_error *err) {
    lth_combined *c = l->combined;
    char path[256];
    int64_t head[4], flags[LTH_COMBINE_MOST];
    snprintf(path, sizeof path, "%s/combined", prefix);
    const lth_item *first = lth_snapshot_get(in, path);
    snprintf(path, sizeof path, "%s/parts", prefix);
    const lth_item *second = lth_snapshot_get(in, path);
    if (!first || !second || first->size != sizeof head || second->size != (size_t)c->count * sizeof *flags) {
        return lth_fail(err, LT_EFORMAT, "the checkpoint's positions of several loaders (%s) are absent, or of another number of loaders than %d", prefix,
                        (int)c->count);
    }
    memcpy(head, first->data, sizeof head);
    memcpy(flags, second->data, second->size);
    if (head[1] < 0 || head[2] < 0 || head[2] > c->count || head[3] != c->mode) {
        return lth_fail(err, LT_EFORMAT, "the checkpoint's positions of several loaders (%s) are damaged, or of another mode", prefix);
    }
    lth_combined_end(l);
    for (int32_t i = 0; i < c->count; i++) {
        snprintf(path, sizeof path, "%s/part%d", prefix, (int)i);
        if (lth_loader_load(c->parts[i], in, path, err)) {
            return err->code;
        }
        c->begun[i] = head[0] && (flags[i] & 1);
        c->through[i] = head[0] && (flags[i] & 2);
    }
    c->loaded_given = head[0] ? head[1] : -1;
    c->now = head[0] ? (int32_t)head[2] : 0;
    return LT_OK;
}
