/* engine/optim/groups.c - parameter groups: which parameter belongs to which, and their rates and other values. A parameter belongs to the
 * first group whose names match it; what is left over makes up the first group. */
#include "base/str.h"
#include "engine/nn/layer.h"
#include "engine/optim/component.h"
#include "engine/optim/internal.h"
#include <fnmatch.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { PATTERN_SIZE = 400 };

/* One word of names, into out; returns where the next one begins, NULL at the end. */
static const char *next_pattern(const char *names, char *out, size_t size) {
    names += strspn(names, " ,\t\n");
    size_t length = strcspn(names, " ,\t\n");
    if (!length) {
        return NULL;
    }
    snprintf(out, size, "%.*s", (int)(length < size ? length : size - 1), names);
    return names + length;
}

/* "encoder" holds "encoder.0.weight". A nameless sequential at the top holds all. */
static bool in_module(const char *param, const char *module) {
    size_t length = strlen(module);
    return !length || (!strncmp(param, module, length) && param[length] == '.');
}

static bool name_matches(const lth_group_spec *spec, const char *param) {
    char pattern[PATTERN_SIZE];
    if (spec->module) {
        return spec->module->name && in_module(param, spec->module->name);
    }
    for (const char *at = spec->names; at && (at = next_pattern(at, pattern, sizeof pattern));) {
        if (!fnmatch(pattern, param, 0)) {
            return true;
        }
    }
    return false;
}

/* By any of its names: a tied parameter, or one of a shared module, has several. */
static bool matches(const lth_modules *m, const lth_group_spec *spec, const lth_param *p) {
    for (int64_t k = 0; k < m->n_states; k++) {
        if (m->states[k].value == p->value && name_matches(spec, m->states[k].name)) {
            return true;
        }
    }
    return false;
}

/* Why nobody belongs to the group: nobody is called so, or others took them. */
static lt_status nobody(const lth_optim *o, const lth_group_spec *spec, int32_t index, lth_error *err) {
    const lth_modules *m = o->modules;
    lth_buf known = {0};
    bool taken = false;
    for (int64_t k = 0; k < m->n_params; k++) {
        taken = taken || matches(m, spec, m->params[k]);
        if (k < 12) {
            lth_buf_printf(&known, "%s%s", k ? ", " : "", m->params[k]->name);
        }
    }
    const char *what = spec->module ? (spec->module->name ? spec->module->name : "a module without a place") : spec->names;
    lt_status status = taken ? lth_fail(err, LT_ECONFIG, "parameter group %d (%s): all its parameters belong to groups before it", (int)index + 1, what)
                             : lth_fail(err, LT_ECONFIG, "parameter group %d: no parameter matches %s; the model has %s%s", (int)index + 1, what,
                                        lth_buf_text(&known), m->n_params > 12 ? ", ..." : "");
    lth_buf_release(&known);
    return status;
}

/* Without the first group, the others move up. */
static void drop_first(lth_optim *o) {
    memmove(o->groups, o->groups + 1, (size_t)--o->n_groups * sizeof *o->groups);
    for (int64_t k = 0; k < o->modules->n_params; k++) {
        o->group_of[k]--;
    }
}

lt_status lth_optim_assign(lth_optim *o, const lth_group_spec *specs, int32_t n_specs, lth_error *err) {
    const lth_modules *m = o->modules;
    int64_t rest = m->n_params;
    for (int32_t g = 0; g < n_specs; g++) {
        int64_t count = 0;
        for (int64_t k = 0; k < m->n_params; k++) {
            if (o->group_of[k] == 0 && matches(m, &specs[g], m->params[k])) {
                o->group_of[k] = g + 1;
                count++;
            }
        }
        if (!count) {
            return nobody(o, &specs[g], g, err);
        }
        rest -= count;
        o->groups[o->n_groups++] = (lth_group){.self = specs[g].self};
    }
    if (!rest) {
        drop_first(o);
    }
    return LT_OK;
}

/* ---- values ---- */

static bool is_group(const lth_optim *o, int32_t group) { return group >= 0 && group < o->n_groups; }

int32_t lth_optim_groups(const lth_optim *o) { return o->n_groups; }

double lth_optim_lr(const lth_optim *o, int32_t group) { return is_group(o, group) ? o->groups[group].view.lr : NAN; }

void lth_optim_set_lr(lth_optim *o, int32_t group, double lr) {
    if (is_group(o, group)) {
        o->groups[group].view.lr = lr;
    }
}

double lth_optim_value(lth_optim *o, lt_ctx *ctx, int32_t group, const char *key) {
    if (!is_group(o, group) || !strcmp(key, "lr") || !o->iface->value) {
        return is_group(o, group) && !strcmp(key, "lr") ? o->groups[group].view.lr : NAN;
    }
    lth_where before = lth_component_enter(ctx, &o->iface->base, "value");
    double value = o->iface->value(ctx, o->groups[group].self, key);
    return lth_component_leave(ctx, before, LT_OK) == LT_OK ? value : NAN;
}

lt_status lth_optim_set_value(lth_optim *o, lt_ctx *ctx, int32_t group, const char *key, double value) {
    lth_where before = lth_component_enter(ctx, &o->iface->base, "set_value");
    lt_status status = is_group(o, group) && o->iface->set_value ? o->iface->set_value(ctx, o->groups[group].self, key, value) : LT_SKIP;
    if (status == LT_SKIP) {
        return lth_fail(&ctx->error, LT_ECONFIG, "the %s of optimizer %s cannot be changed by a scheduler", key, o->iface->base.id);
    }
    return lth_component_leave(ctx, before, status);
}
