/* trainer/logged_state.c - what was logged, into a snapshot and back: accumulators of a broken-off epoch, and the latest values. */
#include "base/mem.h"
#include "base/str.h"
#include "trainer/logged_slots.h"
#include <stdio.h>
#include <string.h>

/* prefix/group/name, the name escaped, however long it is; NULL: out of memory. */
static const char *state_path(lth_arena *arena, const char *prefix, const char *group, const char *name) {
    size_t size = 3 * strlen(name) + 1;
    char *escaped = lth_arena_alloc(arena, size);

    if (!escaped) {
        return NULL;
    }
    lth_snapshot_escape(name, escaped, size);
    return lth_arena_printf(arena, "%s/%s%s", prefix, group, escaped);
}

static lt_status save_slot(const lth_log_slot *s, lth_arena *arena, lth_snapshot *out, const char *prefix, lth_error *err) {
    double values[4] = {s->flags, s->touched ? 1 : 0, s->sum, s->weights};
    const int64_t four = 4;
    char group[32];
    const char *path;

    if (s->source.read && s->touched && s->on_epoch) { /* until it is logged again after a resume, this stands for the source */
        if (s->source.read(s->source.arg, s->phase, false, &values[2], err)) {
            return err->code;
        }
        values[3] = 1;
    }
    snprintf(group, sizeof group, s->batch_hook ? "epoch/%d-" : "epoch_hooks/%d-", (int)s->phase);
    path = state_path(arena, prefix, group, s->name);
    return path ? lth_snapshot_add(out, path, LT_F64, 1, &four, values, err) : lth_logged_no_memory(err, s->name);
}

static lt_status save_var(const lth_log_var *v, lth_arena *arena, lth_snapshot *out, const char *prefix, lth_error *err) {
    const double values[2] = {v->value, (v->in[0] ? 1 : 0) + (v->in[1] ? 2 : 0) + (v->in[2] ? 4 : 0)};
    const char *path = state_path(arena, prefix, "latest/", v->name);
    const int64_t two = 2;

    return path ? lth_snapshot_add(out, path, LT_F64, 1, &two, values, err) : lth_logged_no_memory(err, v->name);
}

lt_status lth_logged_save(const lth_logged *l, lth_snapshot *out, const char *prefix, lth_error *err) {
    lth_arena arena = {0};
    lt_status status = LT_OK;

    for (int i = 0; i < l->n_slots && !status; i++) {
        status = save_slot(&l->slots[i], &arena, out, prefix, err);
    }
    for (int i = 0; i < l->n_vars && !status; i++) {
        status = save_var(&l->vars[i], &arena, out, prefix, err);
    }
    lth_arena_release(&arena);
    return status;
}

static lt_status load_slot(lth_logged *l, const char *name, int32_t phase, bool batch_hook, const double *values, lth_error *err) {
    lth_log_slot *s = lth_logged_slot(l, name, phase, (uint32_t)values[0], batch_hook);

    if (!s) {
        return lth_logged_no_memory(err, name);
    }
    s->touched = values[1] != 0;
    s->sum = values[2];
    s->weights = values[3];
    return LT_OK;
}

static lt_status load_var(lth_logged *l, const char *name, const double *values, lth_error *err) {
    int tables = (int)values[1], v = lth_logged_var(l, name);

    if (v < 0) {
        return lth_logged_no_memory(err, name);
    }
    l->vars[v].value = values[0];
    for (int table = 0; table < LTH_LOG_TABLES; table++) {
        l->vars[v].in[table] = tables >> table & 1;
    }
    return LT_OK;
}

static lt_status load_one(lth_logged *l, const char *rest, const lth_item *item, lth_error *err) {
    size_t doubles = item->dtype == LT_F64 ? item->size / sizeof(double) : 0;
    char *name = lth_strdup(rest);
    lt_status status = LT_OK;
    int phase, at = 0;

    if (!name) {
        return lth_logged_no_memory(err, rest);
    }
    lth_snapshot_unescape(name);
    if (doubles == 4 && sscanf(name, "epoch/%d-%n", &phase, &at) == 1 && at > 0) {
        status = load_slot(l, name + at, phase, true, item->data, err);
    } else if (doubles == 4 && sscanf(name, "epoch_hooks/%d-%n", &phase, &at) == 1 && at > 0) {
        status = load_slot(l, name + at, phase, false, item->data, err);
    } else if (doubles == 2 && !strncmp(name, "latest/", 7)) {
        status = load_var(l, name + 7, item->data, err);
    }
    lth_free(name);
    return status;
}

lt_status lth_logged_load(lth_logged *l, const lth_snapshot *in, const char *prefix, lth_error *err) {
    size_t length = strlen(prefix);

    for (size_t i = 0; i < lth_snapshot_count(in); i++) {
        const lth_item *item = lth_snapshot_at(in, i);

        if (!strncmp(item->path, prefix, length) && item->path[length] == '/' && load_one(l, item->path + length + 1, item, err)) {
            return err->code;
        }
    }
    return LT_OK;
}
