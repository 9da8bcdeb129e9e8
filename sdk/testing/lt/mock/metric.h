/* lt/mock/metric.h - lt.metric/1 of the mock host. A model under test gets handles that count their updates and have the values a test gave
 * them (lt_mock_metric_is); a metric component under test gets real states, which the test clears with lt_mock_metric_begin before each batch:
 * they are those of one batch, as a host shows them. It finds no components and merges nothing. A part of lt/testing.h; not to be included by itself. */
#ifndef LT_MOCK_METRIC_H
#define LT_MOCK_METRIC_H

struct lt_metric { char id[LT_MOCK_NAME]; double value; int64_t updates; };
struct lt_metric_list { double *items; int64_t count, capacity; };
typedef struct lt_mock_metric_state { double *values; int64_t n; lt_merge merge; } lt_mock_metric_state;
typedef struct lt_mock_metrics {
    struct lt_metric handles[LT_MOCK_ITEMS];
    lt_mock_metric_state states[LT_MOCK_ITEMS];
    struct lt_metric_list lists[LT_MOCK_ITEMS];
    int32_t n_handles, n_states, n_lists;
} lt_mock_metrics;

LT_MOCK lt_mock_metrics *lt_mock__metrics(lt_ctx *ctx) {
    if (!ctx->mock->metric_parts) {
        ctx->mock->metric_parts = lt_mock__get(ctx->mock, sizeof(lt_mock_metrics));
    }
    return (lt_mock_metrics *)ctx->mock->metric_parts;
}

/* What the metrics of that id are worth from now on. */
LT_MOCK void lt_mock_metric_is(lt_ctx *ctx, const char *id, double value) {
    lt_mock_metrics *m = lt_mock__metrics(ctx);
    for (int32_t i = 0; i < m->n_handles; i++) {
        if (!strcmp(m->handles[i].id, id)) {
            m->handles[i].value = value;
        }
    }
}
/* Updates that the metrics of that id have had. */
LT_MOCK int64_t lt_mock_metric_updates(lt_ctx *ctx, const char *id) {
    lt_mock_metrics *m = lt_mock__metrics(ctx);
    int64_t updates = 0;
    for (int32_t i = 0; i < m->n_handles; i++) {
        updates += strcmp(m->handles[i].id, id) ? 0 : m->handles[i].updates;
    }
    return updates;
}
/* Clears the states of the component under test. */
LT_MOCK void lt_mock_metric_begin(lt_ctx *ctx) {
    lt_mock_metrics *m = lt_mock__metrics(ctx);
    for (int32_t s = 0; s < m->n_states; s++) {
        for (int64_t i = 0; i < m->states[s].n; i++) {
            m->states[s].values[i] = m->states[s].merge == LT_MERGE_SUM ? 0 : m->states[s].merge == LT_MERGE_MIN ? HUGE_VAL : -HUGE_VAL;
        }
    }
    for (int32_t l = 0; l < m->n_lists; l++) {
        m->lists[l].count = 0;
    }
}
LT_MOCK lt_metric_handle *lt_mock__metric_make(lt_ctx *ctx, const char *id, const char *params) {
    lt_mock_metrics *m = lt_mock__metrics(ctx);
    struct lt_metric *handle = &m->handles[m->n_handles];
    (void)params;
    if (m->n_handles == LT_MOCK_ITEMS) {
        return (lt_metric_handle *)lt_mock__fail(ctx, LT_EINVAL, "more metrics than the mock host has room for");
    }
    m->n_handles++;
    memset(handle, 0, sizeof *handle);
    strncpy(handle->id, id, sizeof handle->id - 1);
    handle->value = NAN;
    return handle;
}
LT_MOCK void lt_mock__metric_update(lt_ctx *ctx, lt_metric_handle *metric, lt_tensor *preds, lt_tensor *target) {
    (void)target;
    if (!metric || !preds) {
        lt_mock__fail(ctx, LT_EINVAL, "lt_metric_update: metric or preds is NULL");
    } else {
        metric->updates++;
    }
}
LT_MOCK void lt_mock__metric_log(lt_ctx *ctx, const char *name, lt_metric_handle *metric, uint32_t flags) {
    (void)flags;
    if (metric) {
        lt_mock_set_metric(ctx->mock, name, metric->value);
    }
}
LT_MOCK int64_t lt_mock__metric_values(lt_ctx *ctx, lt_metric_handle *metric) {
    (void)ctx;
    return metric ? 1 : 0;
}
LT_MOCK double lt_mock__metric_value(lt_ctx *ctx, lt_metric_handle *metric, int64_t index) {
    if (!metric || index) {
        lt_mock__fail(ctx, LT_EINDEX, "there is no value %d", (int)index);
        return NAN;
    }
    return metric->value;
}
LT_MOCK double *lt_mock__metric_state(lt_ctx *ctx, const char *name, int64_t n, lt_merge merge) {
    lt_mock_metrics *m = lt_mock__metrics(ctx);
    lt_mock_metric_state *s = &m->states[m->n_states];
    if (m->n_states == LT_MOCK_ITEMS || n < 1) {
        return (double *)lt_mock__fail(ctx, LT_EINVAL, "state '%s': no room, or fewer than 1 number", name);
    }
    m->n_states++;
    s->n = n;
    s->merge = merge;
    s->values = (double *)lt_mock__get(ctx->mock, (size_t)n * sizeof(double));
    lt_mock_metric_begin(ctx);
    return s->values;
}
LT_MOCK lt_metric_list *lt_mock__metric_list(lt_ctx *ctx, const char *name) {
    lt_mock_metrics *m = lt_mock__metrics(ctx);
    if (m->n_lists == LT_MOCK_ITEMS) {
        return (lt_metric_list *)lt_mock__fail(ctx, LT_EINVAL, "list '%s': no room", name);
    }
    return &m->lists[m->n_lists++];
}
LT_MOCK void lt_mock__metric_append(lt_ctx *ctx, lt_metric_list *list, const double *values, int64_t n) {
    if (list->count + n > list->capacity) {
        int64_t capacity = 2 * (list->count + n);
        double *items = (double *)lt_mock__get(ctx->mock, (size_t)capacity * sizeof *items);
        if (list->count) {
            memcpy(items, list->items, (size_t)list->count * sizeof *items);
        }
        list->items = items;
        list->capacity = capacity;
    }
    memcpy(list->items + list->count, values, (size_t)n * sizeof *values);
    list->count += n;
}
LT_MOCK const double *lt_mock__metric_items(lt_ctx *ctx, const lt_metric_list *list, int64_t *n) {
    static const double none = 0;
    (void)ctx;
    *n = list->count;
    return list->items ? list->items : &none;
}
#endif
