/* trainer/logged.c - see logged.h. A slot is one logged name of one phase and kind of hook; a var is a visible name with its value. */
#include "base/mem.h"
#include "base/str.h"
#include "trainer/logged_slots.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

lth_logged *lth_logged_new(void) { return lth_alloc(sizeof(lth_logged)); }

void lth_logged_free(lth_logged *l) {
    if (!l) {
        return;
    }
    lth_arena_release(&l->arena);
    lth_free(l->slots);
    lth_free(l->vars);
    lth_free(l->row_names);
    lth_free(l->row_values);
    lth_free(l->index);
    lth_free(l);
}

void lth_logged_scope(lth_logged *l, const lth_log_scope *scope) { l->scope = *scope; }

/* ---- names ---- */

static uint32_t hash_name(const char *name, int32_t phase, bool batch_hook) {
    uint32_t h = 2166136261u ^ (uint32_t)(2 * phase + batch_hook);

    for (; *name; name++) {
        h = (h ^ (uint8_t)*name) * 16777619u;
    }
    return h;
}

static int find_slot(const lth_logged *l, const char *name, int32_t phase, bool batch_hook) {
    if (!l->index_size) {
        return -1;
    }
    for (uint32_t at = hash_name(name, phase, batch_hook);; at++) {
        int i = l->index[at & (uint32_t)(l->index_size - 1)] - 1;

        if (i < 0) {
            return -1;
        }
        if (l->slots[i].phase == phase && l->slots[i].batch_hook == batch_hook && !strcmp(l->slots[i].name, name)) {
            return i;
        }
    }
}

static bool rebuild_index(lth_logged *l) {
    int size = 64;
    int *index;

    while (size < 4 * l->capacity) {
        size *= 2;
    }
    index = lth_alloc((size_t)size * sizeof *index);
    if (!index) {
        return false;
    }
    lth_free(l->index);
    l->index = index;
    l->index_size = size;
    for (int i = 0; i < l->n_slots; i++) {
        uint32_t at = hash_name(l->slots[i].name, l->slots[i].phase, l->slots[i].batch_hook);

        while (index[at & (uint32_t)(size - 1)]) {
            at++;
        }
        index[at & (uint32_t)(size - 1)] = i + 1;
    }
    return true;
}

static int find_var(const lth_logged *l, const char *name) {
    for (int i = 0; i < l->n_vars; i++) {
        if (!strcmp(l->vars[i].name, name)) {
            return i;
        }
    }
    return -1;
}

int lth_logged_var(lth_logged *l, const char *name) {
    int found = find_var(l, name);

    if (found >= 0) {
        return found;
    }
    if (l->n_vars == l->vars_capacity) {
        int capacity = l->vars_capacity ? 2 * l->vars_capacity : 32;
        lth_log_var *vars = lth_realloc(l->vars, (size_t)l->vars_capacity * sizeof *vars, (size_t)capacity * sizeof *vars);

        if (!vars) {
            return -1;
        }
        l->vars = vars;
        l->vars_capacity = capacity;
    }
    l->vars[l->n_vars] = (lth_log_var){.name = lth_arena_strdup(&l->arena, name), .value = NAN};
    return l->vars[l->n_vars].name ? l->n_vars++ : -1;
}

lt_status lth_logged_no_memory(lth_error *err, const char *name) {
    return lth_fail_op(err, LT_ENOMEM, "lt_log", NULL, "out of memory for the metric %s", name);
}

static bool grow_slots(lth_logged *l) {
    int capacity = l->capacity ? 2 * l->capacity : 16;
    lth_log_slot *slots;
    const char **names;
    double *values;

    if (l->n_slots < l->capacity) {
        return true;
    }
    names = lth_realloc(l->row_names, (size_t)l->capacity * sizeof *names, (size_t)capacity * sizeof *names);
    l->row_names = names ? names : l->row_names;
    values = names ? lth_realloc(l->row_values, (size_t)l->capacity * sizeof *values, (size_t)capacity * sizeof *values) : NULL;
    if (!values) {
        return false;
    }
    l->row_values = values;
    slots = lth_realloc(l->slots, (size_t)l->capacity * sizeof *slots, (size_t)capacity * sizeof *slots);
    if (!slots) {
        return false;
    }
    l->slots = slots;
    l->capacity = capacity;
    return rebuild_index(l);
}

/* step/epoch as asked for, or Lightning's default of the hook: train batches step, everything else epoch. */
static void decide(lth_log_slot *s) {
    bool step = s->flags & LT_LOG_STEP, epoch = s->flags & LT_LOG_EPOCH;

    if (!step && !epoch) {
        step = s->phase == LT_PHASE_TRAIN && s->batch_hook;
        epoch = !step;
    }
    s->on_step = step;
    s->on_epoch = epoch;
    s->forked = step && epoch;
    s->prog_bar = s->flags & LT_LOG_PROG_BAR;
    s->to_logger = !(s->flags & LT_LOG_NO_LOGGER);
}

lth_log_slot *lth_logged_slot(lth_logged *l, const char *name, int32_t phase, uint32_t flags, bool batch_hook) {
    lth_log_slot *s;

    if (!grow_slots(l)) {
        return NULL;
    }
    s = &l->slots[l->n_slots];
    *s = (lth_log_slot){.name = lth_arena_strdup(&l->arena, name),
                .phase = phase,
                .flags = flags,
                .batch_hook = batch_hook,
                .var = -1,
                .var_step = -1,
                .var_epoch = -1};
    if (!s->name) {
        return NULL;
    }
    decide(s);
    s->var = lth_logged_var(l, s->name);
    if (s->forked) {
        const char *step = lth_arena_printf(&l->arena, "%s_step", s->name), *epoch = lth_arena_printf(&l->arena, "%s_epoch", s->name);

        s->var_step = step ? lth_logged_var(l, step) : -1;
        s->var_epoch = epoch ? lth_logged_var(l, epoch) : -1;
    }
    if (s->var < 0 || (s->forked && (s->var_step < 0 || s->var_epoch < 0))) {
        return NULL;
    }
    l->n_slots++;
    return rebuild_index(l) ? s : NULL;
}

/* ---- values ---- */

static void set_var(lth_logged *l, const lth_log_slot *s, int at, double value) {
    if (at >= 0) {
        l->vars[at].value = value;
        l->vars[at].in[LT_METRICS_CALLBACK] = true;
        l->vars[at].in[LT_METRICS_PROG_BAR] |= s->prog_bar;
    }
}

static uint32_t reduction(const lth_log_slot *s) { return s->flags & LT_LOG_SUM; }

double lth_logged_epoch_value(const lth_log_slot *s) {
    if (reduction(s) == LT_LOG_MEAN) {
        return s->weights > 0 ? s->sum / s->weights : NAN;
    }
    return s->sum;
}

static void reduce(lth_log_slot *s, double value) {
    double weight = s->weight;

    if (!s->touched) {
        s->sum = reduction(s) == LT_LOG_MEAN ? value * weight : value;
        s->weights = weight;
    } else if (reduction(s) == LT_LOG_MEAN) {
        s->sum += value * weight;
        s->weights += weight;
    } else if (reduction(s) == LT_LOG_SUM) {
        s->sum += value;
    } else {
        s->sum = reduction(s) == LT_LOG_MIN ? fmin(s->sum, value) : fmax(s->sum, value);
    }
    s->touched = true;
}

static void publish_epoch(lth_logged *l, lth_log_slot *s) {
    set_var(l, s, s->var, lth_logged_epoch_value(s));
    set_var(l, s, s->var_epoch, lth_logged_epoch_value(s));
}

/* A source knows its epoch's value itself. A slot that was restored has none until it is logged again; it holds the value of the save. */
static lt_status read_epoch(lth_logged *l, lth_log_slot *s, lth_error *err) {
    if (s->source.read) {
        double value;

        if (s->source.read(s->source.arg, s->phase, false, &value, err)) {
            return err->code;
        }
        s->sum = value;
        s->weights = 1;
    }
    publish_epoch(l, s);
    return LT_OK;
}

/* Reads a pending value: this is where a device is waited for. */
static lt_status resolve(lth_logged *l, lth_log_slot *s, lth_error *err) {
    double value = s->number;

    if (!s->pending) {
        return LT_OK;
    }
    s->pending = false;
    if (s->source.read && s->on_step) {
        if (s->source.read(s->source.arg, s->phase, true, &value, err)) {
            return err->code;
        }
    }
    if (s->tensor) {
        lt_status status = lth_tensor_read(s->tensor, 0, 1, &value, err);

        s->tensor = NULL;
        if (status) {
            return status;
        }
    }
    s->last = value;
    s->stepped = true;
    if (s->on_step) {
        set_var(l, s, s->forked ? s->var_step : s->var, value);
        set_var(l, s, s->var, value);
    }
    if (s->on_epoch && s->source.read) {
        s->touched = true;
        return l->epoch_level ? read_epoch(l, s, err) : LT_OK;
    }
    if (s->on_epoch) {
        reduce(s, value);
        if (l->epoch_level) {
            publish_epoch(l, s);
        }
    }
    return LT_OK;
}

static lt_status add(lth_logged *l, const char *name, lt_tensor *value, double number, lth_log_source source, uint32_t flags, lth_error *err) {
    char suffixed[256];
    int found;
    lth_log_slot *s;

    if (!l->scope.allowed) {
        return lth_fail_op(err, LT_ESTATE, "lt_log", NULL,
                           "cannot log \"%s\" here: this hook belongs to no step and no epoch; log from a step, batch or epoch hook", name);
    }
    if (value && lth_numel(value) != 1) {
        char shape[128];

        lth_format_shape(shape, sizeof shape, value->a.shape, value->a.ndim);
        return lth_fail_op(err, LT_ESHAPE, "lt_log", NULL, "\"%s\" has shape %s; log one number, for instance its mean", name, shape);
    }
    if (l->scope.n_dataloaders > 1) {
        snprintf(suffixed, sizeof suffixed, "%s/dataloader_idx_%d", name, l->scope.dataloader_idx);
        name = suffixed;
    }
    found = find_slot(l, name, l->scope.phase, l->scope.batch_hook);
    s = found >= 0 ? &l->slots[found] : lth_logged_slot(l, name, l->scope.phase, flags, l->scope.batch_hook);
    if (!s) {
        return lth_logged_no_memory(err, name);
    }
    if (s->flags != flags) {
        return lth_fail_op(err, LT_EINVAL, "lt_log", NULL,
                           "\"%s\" was logged with flags 0x%x before and now with 0x%x; use the same ones, or another name", name, s->flags,
                           flags);
    }
    if ((s->flags & LT_LOG_STEP) && !l->scope.batch_hook) {
        return lth_fail_op(err, LT_ESTATE, "lt_log", NULL, "\"%s\" is logged per step, but this hook belongs to an epoch; drop LT_LOG_STEP",
                           name);
    }
    if (s->pending && resolve(l, s, err)) {
        return err->code;
    }
    s->tensor = value;
    s->number = number;
    s->source = source;
    s->weight = l->scope.weight > 0 ? l->scope.weight : 1;
    s->pending = true;
    l->epoch_level = !l->scope.batch_hook;
    return l->epoch_level ? resolve(l, s, err) : LT_OK;
}

lt_status lth_logged_add(lth_logged *l, const char *name, lt_tensor *value, double number, uint32_t flags, lth_error *err) {
    return add(l, name, value, number, (lth_log_source){0}, flags, err);
}

lt_status lth_logged_add_source(lth_logged *l, const char *name, lth_log_source source, uint32_t flags, lth_error *err) {
    return add(l, name, NULL, NAN, source, flags, err);
}

static lt_status resolve_all(lth_logged *l, lth_error *err) {
    for (int i = 0; i < l->n_slots; i++) {
        if (l->slots[i].pending && resolve(l, &l->slots[i], err)) {
            return err->code;
        }
    }
    return LT_OK;
}

/* Sends the values of one kind as one row. */
static void send_row(lth_logged *l, lth_records *records, int32_t phase, bool epoch_rows, int64_t step, int64_t epoch) {
    uint32_t count = 0;

    for (int i = 0; i < l->n_slots; i++) {
        lth_log_slot *s = &l->slots[i];
        bool wanted = epoch_rows ? s->phase == phase && s->on_epoch && s->touched : s->on_step && s->stepped;
        int at = !s->forked ? s->var : epoch_rows ? s->var_epoch : s->var_step;

        if (!wanted || !s->to_logger) {
            continue;
        }
        l->row_names[count] = l->vars[at].name;
        l->row_values[count++] = epoch_rows ? lth_logged_epoch_value(s) : s->last;
        l->vars[at].in[LT_METRICS_LOGGED] = true;
    }
    lth_records_scalars(records, step, epoch, count, l->row_names, l->row_values);
}

lt_status lth_logged_batch_end(lth_logged *l, lth_records *records, bool to_loggers, int64_t step, int64_t epoch, lth_error *err) {
    lt_status status = resolve_all(l, err);

    if (to_loggers && records && !status) {
        send_row(l, records, 0, false, step, epoch);
    }
    for (int i = 0; i < l->n_slots; i++) {
        l->slots[i].stepped = false;
        l->slots[i].pending = false;
        l->slots[i].tensor = NULL;
    }
    return status;
}

lt_status lth_logged_epoch_compute(lth_logged *l, int32_t phase, lth_error *err) {
    lt_status status = resolve_all(l, err);

    for (int i = 0; i < l->n_slots && !status; i++) {
        lth_log_slot *s = &l->slots[i];

        if (s->phase == phase && s->on_epoch && s->touched) {
            status = read_epoch(l, s, err);
        }
    }
    return status;
}

lt_status lth_logged_epoch_end(lth_logged *l, int32_t phase, lth_records *records, int64_t step, int64_t epoch, lth_error *err) {
    lt_status status = lth_logged_epoch_compute(l, phase, err);

    if (!status && records) {
        send_row(l, records, phase, true, step, epoch);
    }
    for (int i = 0; i < l->n_slots; i++) {
        if (l->slots[i].phase == phase) {
            l->slots[i].touched = l->slots[i].stepped = false;
            l->slots[i].sum = l->slots[i].weights = 0;
        }
    }
    return status;
}

void lth_logged_drop(lth_logged *l, int32_t phase) {
    for (int i = 0; i < l->n_slots; i++) {
        lth_log_slot *s = &l->slots[i];

        if (s->phase == phase) {
            s->pending = s->stepped = s->touched = false;
            s->tensor = NULL;
            s->sum = s->weights = 0;
            for (int table = 0; table < LTH_LOG_TABLES; table++) {
                l->vars[s->var].in[table] = false;
                if (s->forked) {
                    l->vars[s->var_step].in[table] = l->vars[s->var_epoch].in[table] = false;
                }
            }
        }
    }
}

/* ---- reading ---- */

static void resolve_name(lth_logged *l, const char *name) {
    lth_error ignored = {0}; /* a value that cannot be read fails the flush, which reports it */
    size_t length = strlen(name);

    for (int i = 0; i < l->n_slots; i++) {
        if (l->slots[i].pending &&
            !strncmp(l->slots[i].name, name, length < strlen(l->slots[i].name) ? length : strlen(l->slots[i].name))) {
            resolve(l, &l->slots[i], &ignored);
        }
    }
}

bool lth_logged_has(const lth_logged *l, const char *name) {
    int at = find_var(l, name);

    if (at < 0) {
        return false;
    }
    for (int i = 0; i < l->n_slots; i++) {
        if (l->slots[i].pending && (l->slots[i].var == at || l->slots[i].var_step == at)) {
            return true;
        }
    }
    return l->vars[at].in[LT_METRICS_CALLBACK];
}

double lth_logged_value(lth_logged *l, const char *name) {
    int at;

    resolve_name(l, name);
    at = find_var(l, name);
    return at >= 0 && l->vars[at].in[LT_METRICS_CALLBACK] ? l->vars[at].value : NAN;
}

int32_t lth_logged_count(const lth_logged *l, int32_t table) {
    int32_t count = 0;

    for (int i = 0; i < l->n_vars && table >= 0 && table < LTH_LOG_TABLES; i++) {
        count += l->vars[i].in[table];
    }
    return count;
}

const char *lth_logged_at(lth_logged *l, int32_t table, int32_t index, double *value) {
    for (int i = 0; i < l->n_vars && table >= 0 && table < LTH_LOG_TABLES; i++) {
        if (l->vars[i].in[table] && index-- == 0) {
            resolve_name(l, l->vars[i].name);
            *value = l->vars[i].value;
            return l->vars[i].name;
        }
    }
    return NULL;
}
