/* engine/metrics/metrics.c - see metrics.h. Calls the components, moves their states about. It knows no metric by name and merges nothing
 * but sums, least and largest values, and lists. */
#include "engine/metrics/metrics.h"
#include "base/arena.h"
#include "base/log.h"
#include "base/mem.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

typedef enum { IDLE, IN_SETUP, IN_UPDATE, IN_COMPUTE } doing;
enum { MOST_VALUES = 4096, NAME_BYTES = 48 };

/* Sums and extremes: what the component sees, what the epoch has, and room to put the former aside. */
typedef struct state {
    struct state *next;
    char name[NAME_BYTES];
    lt_merge merge;
    int64_t n;
    double *seen, *epoch, *aside;
} state;

struct lt_metric_list {
    struct lt_metric_list *next;
    char name[NAME_BYTES];
    double *items;
    int64_t count, capacity, batch_at; /* batch_at: where the last batch begins */
    bool show_batch;                   /* compute looks at the last batch only */
};

typedef struct run { /* one phase */
    const lt_metric_component *iface;
    void *self;
    lth_where where;
    state *states, *last_state;
    lt_metric_list *lists, *last_list;
    double *values[2]; /* computed: of the epoch, of the batch */
    bool updated, computed[2];
} run;

struct lt_metric {
    lth_metrics *owner;
    struct lt_metric *next;
    const char *id;
    int number;
    int64_t count;
    run runs[LTH_METRIC_PHASES];
};

struct lth_metrics {
    lth_metric_maker maker;
    lth_arena arena;
    lt_metric_handle *first, *last;
    int count;
    doing what;
    run *current; /* whose component is being called */
};

lth_metrics *lth_metrics_new(const lth_metric_maker *maker) {
    lth_metrics *m = lth_alloc(sizeof *m);
    if (m) {
        m->maker = *maker;
    }
    return m;
}

void lth_metrics_free(lth_metrics *m) {
    if (!m) {
        return;
    }
    for (lt_metric_handle *metric = m->first; metric; metric = metric->next) {
        for (int phase = 0; phase < LTH_METRIC_PHASES; phase++) {
            for (lt_metric_list *list = metric->runs[phase].lists; list; list = list->next) {
                lth_free(list->items);
            }
        }
    }
    lth_arena_release(&m->arena);
    lth_free(m);
}

/* ---- states ---- */

static double empty(lt_merge merge) { return merge == LT_MERGE_SUM ? 0 : merge == LT_MERGE_MIN ? INFINITY : -INFINITY; }

static void clear(double *values, const state *s) {
    for (int64_t i = 0; i < s->n; i++) {
        values[i] = empty(s->merge);
    }
}

static void begin_batch(run *r) {
    for (state *s = r->states; s; s = s->next) {
        clear(s->seen, s);
    }
    for (lt_metric_list *list = r->lists; list; list = list->next) {
        list->batch_at = list->count;
    }
}

static void merge_batch(run *r) {
    for (state *s = r->states; s; s = s->next) {
        for (int64_t i = 0; i < s->n; i++) {
            double batch = s->seen[i], *epoch = &s->epoch[i];
            *epoch = s->merge == LT_MERGE_SUM ? *epoch + batch : s->merge == LT_MERGE_MIN ? fmin(*epoch, batch) : fmax(*epoch, batch);
        }
    }
}

static void show(run *r, bool of_batch) {
    for (state *s = r->states; s && !of_batch; s = s->next) {
        memcpy(s->aside, s->seen, (size_t)s->n * sizeof *s->seen);
        memcpy(s->seen, s->epoch, (size_t)s->n * sizeof *s->seen);
    }
    for (lt_metric_list *list = r->lists; list; list = list->next) {
        list->show_batch = of_batch;
    }
}

static void show_batch_again(run *r) {
    for (state *s = r->states; s; s = s->next) {
        memcpy(s->seen, s->aside, (size_t)s->n * sizeof *s->seen);
    }
}

/* ---- calling components ---- */

static lt_status enter_component(lt_ctx *ctx, lth_metrics *m, run *r, const char *hook, doing what) {
    ctx->where = r->where;
    ctx->where.hook = hook;
    m->current = r;
    m->what = what;
    return LT_OK;
}

/* After a failure ctx->where stays: the report names the metric, not its caller. */
static lt_status leave_component(lt_ctx *ctx, lth_metrics *m, lt_status returned, const lth_where *caller) {
    lt_status status = lth_hook_done(ctx, returned);
    m->current = NULL;
    m->what = IDLE;
    if (status >= 0) {
        ctx->where = *caller;
    }
    return status < 0 ? status : LT_OK;
}

static lt_status set_up(lt_ctx *ctx, lth_metrics *m, lt_metric_handle *metric, run *r, const char *params) {
    lth_where caller = ctx->where;
    if (m->maker.make(m->maker.arg, metric->id, params, &r->iface, &r->self, &r->where, &ctx->error)) {
        return ctx->error.code;
    }
    enter_component(ctx, m, r, "setup", IN_SETUP);
    if (!r->iface->update || !r->iface->compute) {
        lt_status status = lth_fail(&ctx->error, LT_EPLUGIN, "metric %s has no update or no compute; set both in its LT_METRIC", metric->id);
        return leave_component(ctx, m, status, &caller);
    }
    if (leave_component(ctx, m, r->iface->setup ? r->iface->setup(ctx, r->self) : LT_OK, &caller)) {
        return ctx->error.code;
    }
    enter_component(ctx, m, r, "count", IN_COMPUTE);
    int64_t count = r->iface->count ? r->iface->count(ctx, r->self) : 1;
    if (leave_component(ctx, m, LT_OK, &caller)) {
        return ctx->error.code;
    }
    if (count < 1 || count > MOST_VALUES) {
        return lth_fail(&ctx->error, LT_EPLUGIN, "metric %s says it has %lld values; 1 to %d can be", metric->id, (long long)count, MOST_VALUES);
    }
    metric->count = count;
    r->values[0] = lth_arena_alloc(&m->arena, 2 * (size_t)count * sizeof(double));
    r->values[1] = r->values[0] ? r->values[0] + count : NULL;
    return r->values[0] ? LT_OK : lth_fail(&ctx->error, LT_ENOMEM, "out of memory: metric %s", metric->id);
}

lt_metric_handle *lth_metric_make(lt_ctx *ctx, lth_metrics *m, const char *id, const char *params) {
    lt_metric_handle *metric = lth_arena_alloc(&m->arena, sizeof *metric);
    if (metric) {
        metric->id = lth_arena_strdup(&m->arena, id);
    }
    if (!metric || !metric->id) {
        lth_fail(&ctx->error, LT_ENOMEM, "out of memory: metric %s", id);
        return NULL;
    }
    metric->owner = m;
    metric->number = m->count++;
    *(m->first ? &m->last->next : &m->first) = metric;
    m->last = metric;
    for (int phase = 0; phase < LTH_METRIC_PHASES; phase++) {
        if (set_up(ctx, m, metric, &metric->runs[phase], params)) {
            return NULL;
        }
    }
    lth_metrics_reset(m, LTH_METRIC_TRAIN);
    lth_metrics_reset(m, LTH_METRIC_VALIDATE);
    lth_metrics_reset(m, LTH_METRIC_TEST);
    return metric;
}

lt_status lth_metric_update(lt_ctx *ctx, lt_metric_handle *metric, int phase, lt_tensor *preds, lt_tensor *target) {
    lth_metrics *m = metric->owner;
    run *r = &metric->runs[phase];
    lth_where caller = ctx->where;
    bool gradients = ctx->engine->grad_enabled;
    begin_batch(r);
    enter_component(ctx, m, r, "update", IN_UPDATE);
    ctx->engine->grad_enabled = false;
    lt_status status = r->iface->update(ctx, r->self, preds, target);
    ctx->engine->grad_enabled = gradients;
    if (leave_component(ctx, m, status, &caller)) {
        for (lt_metric_list *list = r->lists; list; list = list->next) {
            list->count = list->batch_at; /* a refused batch is in no value */
        }
        return ctx->error.code;
    }
    merge_batch(r);
    r->updated = true;
    r->computed[0] = r->computed[1] = false;
    return LT_OK;
}

int64_t lth_metric_count(const lt_metric_handle *metric) { return metric->count; }

lt_status lth_metric_compute(lt_ctx *ctx, lt_metric_handle *metric, int phase, bool of_batch, const double **out) {
    lth_metrics *m = metric->owner;
    run *r = &metric->runs[phase];
    lth_where caller = ctx->where;
    double *values = r->values[of_batch];
    *out = values;
    for (int64_t i = 0; !r->updated && i < metric->count; i++) {
        values[i] = NAN;
    }
    if (!r->updated || r->computed[of_batch]) {
        return LT_OK;
    }
    show(r, of_batch);
    enter_component(ctx, m, r, "compute", IN_COMPUTE);
    lt_status status = leave_component(ctx, m, r->iface->compute(ctx, r->self, values), &caller);
    if (!of_batch) {
        show_batch_again(r);
    }
    r->computed[of_batch] = status == LT_OK;
    return status;
}

static void reset(run *r) {
    for (state *s = r->states; s; s = s->next) {
        clear(s->epoch, s);
        clear(s->seen, s);
    }
    for (lt_metric_list *list = r->lists; list; list = list->next) {
        list->count = list->batch_at = 0; /* the memory stays for the next epoch */
    }
    r->updated = r->computed[0] = r->computed[1] = false;
}

void lth_metrics_reset(lth_metrics *m, int phase) {
    for (lt_metric_handle *metric = m ? m->first : NULL; metric; metric = metric->next) {
        reset(&metric->runs[phase]);
    }
}

/* ---- the slots that components call ---- */

/* The run whose component is being called in one of those hooks, or NULL with the failure in ctx. */
static run *current(lt_ctx *ctx, const char *op, void *caller, doing what, const char *hook) {
    lth_metrics *m = ctx->metrics;
    if (!m || !m->current || m->what != what) {
        lth_fail_op(&ctx->error, LT_ESTATE, op, caller, "may be called only in the %s of a metric component", hook);
        return NULL;
    }
    return m->current;
}

static bool good_name(lt_ctx *ctx, const char *op, void *caller, const run *r, const char *name) {
    bool good = name && *name && strlen(name) < NAME_BYTES && !strpbrk(name, "/%.");
    for (const state *s = r->states; good && s; s = s->next) {
        good = strcmp(s->name, name) != 0;
    }
    for (const lt_metric_list *list = r->lists; good && list; list = list->next) {
        good = strcmp(list->name, name) != 0;
    }
    if (!good) {
        lth_fail_op(&ctx->error, LT_EINVAL, op, caller, "'%s' is no name for a state: it must be new, of 1 to %d bytes, without '/', '%%' and '.'",
                    name ? name : "(null)", NAME_BYTES - 1);
    }
    return good;
}

double *lth_api_metric_state(lt_ctx *ctx, const char *name, int64_t n, lt_merge merge) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_metric_state", NULL);
    run *r = current(ctx, "lt_metric_state", LTH_CALLER, IN_SETUP, "setup");
    if (!r || !good_name(ctx, "lt_metric_state", LTH_CALLER, r, name)) {
        return NULL;
    }
    if (n < 1 || n > INT32_MAX || merge < LT_MERGE_SUM || merge > LT_MERGE_MAX) {
        lth_fail_op(&ctx->error, LT_EINVAL, "lt_metric_state", LTH_CALLER, "state '%s' of %lld numbers, merged by %d: the number must be 1 or more, "
                    "the merge LT_MERGE_SUM, LT_MERGE_MIN or LT_MERGE_MAX", name, (long long)n, (int)merge);
        return NULL;
    }
    lth_arena *arena = &((lth_metrics *)ctx->metrics)->arena;
    state *s = lth_arena_alloc(arena, sizeof *s);
    double *memory = s ? lth_arena_alloc(arena, 3 * (size_t)n * sizeof *memory) : NULL;
    if (!memory) {
        lth_fail_op(&ctx->error, LT_ENOMEM, "lt_metric_state", LTH_CALLER, "out of memory: state '%s' of %lld numbers", name, (long long)n);
        return NULL;
    }
    snprintf(s->name, sizeof s->name, "%s", name);
    s->merge = merge;
    s->n = n;
    s->seen = memory;
    s->epoch = memory + n;
    s->aside = memory + 2 * n;
    *(r->states ? &r->last_state->next : &r->states) = s;
    r->last_state = s;
    return s->seen;
}

lt_metric_list *lth_api_metric_list(lt_ctx *ctx, const char *name) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_metric_list_of", NULL);
    run *r = current(ctx, "lt_metric_list_of", LTH_CALLER, IN_SETUP, "setup");
    if (!r || !good_name(ctx, "lt_metric_list_of", LTH_CALLER, r, name)) {
        return NULL;
    }
    lt_metric_list *list = lth_arena_alloc(&((lth_metrics *)ctx->metrics)->arena, sizeof *list);
    if (!list) {
        lth_fail_op(&ctx->error, LT_ENOMEM, "lt_metric_list_of", LTH_CALLER, "out of memory: list '%s'", name);
        return NULL;
    }
    snprintf(list->name, sizeof list->name, "%s", name);
    *(r->lists ? &r->last_list->next : &r->lists) = list;
    r->last_list = list;
    return list;
}

static bool grow(lt_metric_list *list, int64_t n) {
    if (list->count + n <= list->capacity) {
        return true;
    }
    int64_t capacity = list->capacity ? 2 * list->capacity : 1024;
    while (capacity < list->count + n) {
        capacity *= 2;
    }
    double *items = lth_realloc(list->items, (size_t)list->capacity * sizeof *items, (size_t)capacity * sizeof *items);
    if (!items) {
        return false;
    }
    list->items = items;
    list->capacity = capacity;
    return true;
}

void lth_api_metric_append(lt_ctx *ctx, lt_metric_list *list, const double *values, int64_t n) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_metric_append", );
    if (!current(ctx, "lt_metric_append", LTH_CALLER, IN_UPDATE, "update")) {
        return;
    }
    if (!list || n < 0 || (n && !values)) {
        lth_fail_op(&ctx->error, LT_EINVAL, "lt_metric_append", LTH_CALLER, "list or values is NULL, or n (%lld) is negative", (long long)n);
    } else if (!grow(list, n)) {
        lth_fail_op(&ctx->error, LT_ENOMEM, "lt_metric_append", LTH_CALLER, "out of memory: list '%s' of %lld numbers", list->name,
                    (long long)(list->count + n));
    } else if (n) {
        memcpy(list->items + list->count, values, (size_t)n * sizeof *values);
        list->count += n;
    }
}

const double *lth_api_metric_items(lt_ctx *ctx, const lt_metric_list *list, int64_t *n) {
    static const double none;
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_metric_items", NULL);
    if (!current(ctx, "lt_metric_items", LTH_CALLER, IN_COMPUTE, "compute")) {
        return NULL;
    }
    if (!list || !n) {
        lth_fail_op(&ctx->error, LT_EINVAL, "lt_metric_items", LTH_CALLER, "list or n is NULL");
        return NULL;
    }
    int64_t from = list->show_batch ? list->batch_at : 0;
    *n = list->count - from;
    return list->items ? list->items + from : &none;
}

/* ---- checkpoints ---- */

static void path_of(char *out, size_t size, const char *prefix, const lt_metric_handle *metric, int phase, const char *name) {
    static const char *const phases[LTH_METRIC_PHASES] = {"train", "validate", "test"};
    snprintf(out, size, "%s/%d-%s/%s/%s", prefix, metric->number, metric->id, phases[phase], name);
}

static lt_status save_run(const lt_metric_handle *metric, int phase, lth_snapshot *out, const char *prefix, lth_error *err) {
    const run *r = &metric->runs[phase];
    char path[400];
    for (const state *s = r->states; s; s = s->next) {
        path_of(path, sizeof path, prefix, metric, phase, s->name);
        if (lth_snapshot_add(out, path, LT_F64, 1, &s->n, s->epoch, err)) {
            return err->code;
        }
    }
    for (const lt_metric_list *list = r->lists; list; list = list->next) {
        path_of(path, sizeof path, prefix, metric, phase, list->name);
        if (list->count && lth_snapshot_add(out, path, LT_F64, 1, &list->count, list->items, err)) {
            return err->code;
        }
    }
    return LT_OK;
}

lt_status lth_metrics_save(const lth_metrics *m, lth_snapshot *out, const char *prefix, lth_error *err) {
    for (const lt_metric_handle *metric = m ? m->first : NULL; metric; metric = metric->next) {
        for (int phase = 0; phase < LTH_METRIC_PHASES; phase++) {
            if (metric->runs[phase].updated && save_run(metric, phase, out, prefix, err)) {
                return err->code;
            }
        }
    }
    return LT_OK;
}

/* Is every state of the metric there in its own size, or none at all? A metric made of both would be neither's value. */
static bool states_fit(const lt_metric_handle *metric, int phase, const lth_snapshot *in, const char *prefix) {
    bool fits = true;
    char path[400];
    int found = 0, all = 0;
    for (const state *s = metric->runs[phase].states; s; s = s->next, all++) {
        path_of(path, sizeof path, prefix, metric, phase, s->name);
        const lth_item *item = lth_snapshot_get(in, path);
        found += item != NULL;
        fits = fits && (!item || (item->dtype == LT_F64 && item->size == (size_t)s->n * sizeof(double)));
    }
    return fits && (found == 0 || found == all);
}

static lt_status load_run(lt_metric_handle *metric, int phase, const lth_snapshot *in, const char *prefix, lth_error *err) {
    run *r = &metric->runs[phase];
    char path[400];
    if (!states_fit(metric, phase, in, prefix)) {
        lth_log(LTH_WARNING, "metric %s has other parameters than in the checkpoint: its value of this epoch begins at the resume", metric->id);
        return LT_OK;
    }
    for (state *s = r->states; s; s = s->next) {
        path_of(path, sizeof path, prefix, metric, phase, s->name);
        const lth_item *item = lth_snapshot_get(in, path);
        if (item) {
            memcpy(s->epoch, item->data, item->size);
            r->updated = true;
        }
    }
    for (lt_metric_list *list = r->lists; list; list = list->next) {
        path_of(path, sizeof path, prefix, metric, phase, list->name);
        const lth_item *item = lth_snapshot_get(in, path);
        if (item && item->dtype == LT_F64) {
            list->count = 0;
            if (!grow(list, (int64_t)(item->size / sizeof(double)))) {
                return lth_fail(err, LT_ENOMEM, "out of memory: metric %s of the checkpoint", metric->id);
            }
            list->count = list->batch_at = (int64_t)(item->size / sizeof(double));
            memcpy(list->items, item->data, (size_t)list->count * sizeof(double));
            r->updated = true;
        }
    }
    return LT_OK;
}

lt_status lth_metrics_load(lth_metrics *m, const lth_snapshot *in, const char *prefix, lth_error *err) {
    for (lt_metric_handle *metric = m ? m->first : NULL; metric; metric = metric->next) {
        for (int phase = 0; phase < LTH_METRIC_PHASES; phase++) {
            if (load_run(metric, phase, in, prefix, err)) {
                return err->code;
            }
        }
    }
    return LT_OK;
}
