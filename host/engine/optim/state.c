/* engine/optim/state.c - an optimizer's state as named arrays: prefix/<slot>/<parameter>, prefix/step/<parameter>, prefix/lr.
 * Parameter names hold no '/', so they need no escape. Loading looks at everything before it changes anything, refuses what
 * does not fit by name; floats of another precision are converted, as PyTorch does. */
#include "base/mem.h"
#include "engine/optim/component.h"
#include "engine/optim/internal.h"
#include <stdio.h>
#include <string.h>

enum { PATH_SIZE = 512 };

/* ---- saving ---- */
static lt_status save_step(lth_snapshot *out, const char *path, int64_t step, lth_error *err) {
    float small = (float)step; /* PyTorch keeps an f32; from 2^24 on that would stand still */
    return step < 1 << 24 ? lth_snapshot_add(out, path, LT_F32, 0, NULL, &small, err) : lth_snapshot_add_i64(out, path, step, err);
}

static lt_status save_param(const lth_optim *o, int64_t k, lth_snapshot *out, const char *prefix, lth_error *err) {
    const lth_param *p = o->modules->params[k];
    const lth_array *a = &p->value->a;
    lth_engine *e = o->modules->engine;
    char path[PATH_SIZE];
    const lth_group *g = &o->groups[o->group_of[k]];
    for (int i = 0; i < g->n_slots; i++) {
        int slot = g->slot[i];
        snprintf(path, sizeof path, "%s/%s/%s", prefix, o->slot_names[slot], p->name);
        void *memory = lth_snapshot_reserve(out, path, a->dtype, a->ndim, a->shape, err);
        const void *from = lth_flat_at(o->modules, o->slots[slot], p->offset);
        if (!memory || e->backend->copy(e->device, memory, from, (size_t)p->n * lth_dtype_size(a->dtype), 2, err) != LT_OK) {
            return err->code;
        }
    }
    snprintf(path, sizeof path, "%s/step/%s", prefix, p->name);
    return save_step(out, path, o->steps[k], err);
}

/* What the component saves of its first group stands where it stood before there were groups. */
static void group_prefix(char *path, size_t size, const char *prefix, int32_t group) {
    snprintf(path, size, group ? "%s/groups/%d" : "%s", prefix, (int)group);
}

lt_status lth_optim_save(const lth_optim *o, lt_ctx *ctx, lth_snapshot *out, const char *prefix, lth_error *err) {
    char path[PATH_SIZE];
    for (int64_t k = 0; k < o->modules->n_params; k++) {
        if (o->steps[k] > 0 && save_param(o, k, out, prefix, err) != LT_OK) {
            return err->code;
        }
    }
    int64_t groups = o->n_groups;
    snprintf(path, sizeof path, "%s/lr", prefix);
    double *lr = lth_snapshot_reserve(out, path, LT_F64, 1, &groups, err);
    for (int32_t g = 0; lr && g < o->n_groups; g++) {
        lr[g] = o->groups[g].view.lr;
    }
    for (int32_t g = 0; lr && g < o->n_groups; g++) {
        group_prefix(path, sizeof path, prefix, g);
        if (lth_component_save(&o->iface->base, o->groups[g].self, o->iface->save, ctx, out, path, err) != LT_OK) {
            return err->code;
        }
    }
    return lr ? LT_OK : err->code;
}

/* ---- loading ---- */
/* Every parameter that the snapshot has a step for must be one of ours. */
static lt_status check_known(const lth_optim *o, const lth_snapshot *in, const char *prefix, lth_error *err) {
    char steps[PATH_SIZE];
    size_t length = (size_t)snprintf(steps, sizeof steps, "%s/step/", prefix);
    for (size_t i = 0; i < lth_snapshot_count(in); i++) {
        const char *path = lth_snapshot_at(in, i)->path;
        bool known = strncmp(path, steps, length) != 0;
        for (int64_t k = 0; k < o->modules->n_params && !known; k++) {
            known = !strcmp(o->modules->params[k]->name, path + length);
        }
        if (!known) {
            return lth_fail(err, LT_EFORMAT, "the checkpoint has optimizer state for parameter '%s', which the model does not have", path + length);
        }
    }
    return LT_OK;
}

static bool same_shape(const lth_item *item, const lth_array *a) {
    return lth_is_float(item->dtype) && item->ndim == a->ndim && !memcmp(item->shape, a->shape, (size_t)a->ndim * sizeof a->shape[0]);
}

static lt_status misfit(const lth_item *item, const char *path, const lth_array *a, lth_error *err) {
    char have[128], want[128];
    lth_format_shape(want, sizeof want, a->shape, a->ndim);
    if (!item) {
        return lth_fail(err, LT_EFORMAT, "the checkpoint has no '%s'; it was written with another optimizer or other parameters of it", path);
    }
    lth_format_shape(have, sizeof have, item->shape, item->ndim);
    return lth_fail(err, LT_EFORMAT, "'%s' in the checkpoint is %s %s; the model's parameter is %s %s", path, lth_dtype_name(item->dtype), have,
                    lth_dtype_name(a->dtype), want);
}

static lt_status load_slot(lth_optim *o, int slot, const lth_param *p, const lth_snapshot *in, const char *prefix, bool apply, lth_error *err) {
    lth_engine *e = o->modules->engine;
    char path[PATH_SIZE];
    snprintf(path, sizeof path, "%s/%s/%s", prefix, o->slot_names[slot], p->name);
    const lth_item *item = lth_snapshot_get(in, path);
    if (!item || !same_shape(item, &p->value->a)) {
        return misfit(item, path, &p->value->a, err);
    }
    if (!apply) {
        return LT_OK;
    }
    lt_dtype dtype = p->value->a.dtype;
    size_t bytes = (size_t)p->n * lth_dtype_size(dtype);
    void *to = lth_flat_at(o->modules, o->slots[slot], p->offset), *converted = item->dtype == dtype ? NULL : lth_alloc(bytes + 1);
    if (item->dtype == dtype) {
        return e->backend->copy(e->device, to, item->data, bytes, 1, err);
    }
    if (!converted) {
        return lth_fail(err, LT_ENOMEM, "out of memory: %s", path);
    }
    lth_elements_convert(dtype, converted, item->dtype, item->data, p->n);
    lt_status status = e->backend->copy(e->device, to, converted, bytes, 1, err);
    lth_free(converted);
    return status;
}

static int64_t read_step(const lth_item *item) {
    switch (item->dtype) {
    case LT_F32: return (int64_t)*(const float *)item->data;
    case LT_F64: return (int64_t)*(const double *)item->data;
    case LT_I64: return *(const int64_t *)item->data;
    case LT_I32: return *(const int32_t *)item->data;
    default: return -1;
    }
}

/* A parameter that was never updated has no entries. apply false: only looks whether it would fit. */
static lt_status load_param(lth_optim *o, int64_t k, const lth_snapshot *in, const char *prefix, bool apply, lth_error *err) {
    const lth_param *p = o->modules->params[k];
    char path[PATH_SIZE];
    snprintf(path, sizeof path, "%s/step/%s", prefix, p->name);
    const lth_item *item = lth_snapshot_get(in, path);
    int64_t step = item && item->size ? read_step(item) : 0;
    if (step < 0) {
        return lth_fail(err, LT_EFORMAT, "'%s' in the checkpoint is no count of steps", path);
    }
    const lth_group *g = &o->groups[o->group_of[k]];
    for (int i = 0; item && i < g->n_slots; i++) {
        if (load_slot(o, g->slot[i], p, in, prefix, apply, err) != LT_OK) {
            return err->code;
        }
    }
    o->steps[k] = apply ? step : o->steps[k];
    return LT_OK;
}

lt_status lth_optim_load(lth_optim *o, lt_ctx *ctx, const lth_snapshot *in, const char *prefix, lth_error *err) {
    char path[PATH_SIZE];
    int64_t n = o->modules->n_params;
    snprintf(path, sizeof path, "%s/lr", prefix);
    const lth_item *lr = lth_snapshot_get(in, path);
    if (!lr || lr->dtype != LT_F64 || lr->size != (size_t)o->n_groups * sizeof(double)) {
        return lth_fail(err, LT_EFORMAT, "the checkpoint has no '%s' with %d learning rate%s, one for each parameter group", path, (int)o->n_groups,
                        o->n_groups > 1 ? "s" : "");
    }
    if (check_known(o, in, prefix, err) != LT_OK) {
        return err->code;
    }
    for (int64_t k = 0; k < 2 * n; k++) { /* once looking, once changing */
        if (load_param(o, k % n, in, prefix, k >= n, err) != LT_OK) {
            return err->code;
        }
    }
    o->spans_valid = false;
    for (int32_t g = 0; g < o->n_groups; g++) {
        o->groups[g].view.lr = ((const double *)lr->data)[g];
        group_prefix(path, sizeof path, prefix, g);
        if (lth_component_load(&o->iface->base, o->groups[g].self, o->iface->load, ctx, in, path, err) != LT_OK) {
            return err->code;
        }
    }
    return LT_OK;
}
