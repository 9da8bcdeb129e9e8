/* engine/optim/optim.c - an optimizer component over a model's flat memory: its state slots, and the spans it is shown each step.
 * A parameter without a gradient in this window is left out, as PyTorch's set_to_none does; neighbours with equal step counts meet in
 * one span. The spans of the last step are kept and reused as long as the same parameters take part, so a steady step only counts. */
#include "base/mem.h"
#include "engine/nn/layer.h"
#include "engine/optim/component.h"
#include "engine/optim/internal.h"
#include <stdio.h>
#include <string.h>

/* ---- slots: each group asks for its own; those of one name share their memory ---- */
static const lt_slot *const *slots_of(const lt_optimizer *iface, void *self) {
    const void *own = iface->base.get_interface ? iface->base.get_interface(self, LT_OPTIMIZER_SLOTS) : NULL;
    return own ? own : iface->slots;
}

static lt_status no_memory(const lth_optim *o, int k, lth_error *err) {
    return lth_fail(err, LT_ENOMEM, "out of memory: %s of %lld parameters", o->slot_names[k], (long long)o->modules->n_flat);
}

/* Initial values of the group's slot `k`, whose place among all is `at`. The memory is zero already. */
static lt_status fill_slot(lth_optim *o, int32_t group, int at, double initial, lth_error *err) {
    lth_modules *m = o->modules;
    lth_engine *e = m->engine;
    lt_status status = LT_OK;
    for (int64_t k = 0; k < m->n_params && initial != 0 && status == LT_OK; k++) {
        const lth_param *p = m->params[k];
        size_t bytes = (size_t)p->n * lth_dtype_size(m->dtype);
        void *host = o->group_of[k] == group ? lth_alloc(bytes + 1) : NULL;
        if (o->group_of[k] != group) {
            continue;
        }
        if (!host) {
            return no_memory(o, at, err);
        }
        for (int64_t i = 0; i < p->n; i++) {
            lth_element_set(m->dtype, host, i, initial);
        }
        status = e->backend->copy(e->device, lth_flat_at(m, o->slots[at], p->offset), host, bytes, 1, err);
        lth_free(host);
    }
    return status;
}

/* The place of the slot of that name, made if there is none yet; -1: no room, -2: no memory. */
static int place_slot(lth_optim *o, const char *name) {
    lth_engine *e = o->modules->engine;
    for (int at = 0; at < o->n_slots; at++) {
        if (!strcmp(o->slot_names[at], name)) {
            return at;
        }
    }
    if (o->n_slots == LT_MAX_SLOTS) {
        return -1;
    }
    int at = o->n_slots;
    o->slot_names[at] = name;
    o->slots[at] = e->backend->alloc(e->device, (size_t)o->modules->n_flat * lth_dtype_size(o->modules->dtype));
    o->n_slots += o->slots[at] != NULL;
    return o->slots[at] ? at : -2;
}

static lt_status make_slots(lth_optim *o, int32_t group, lth_error *err) {
    lth_group *g = &o->groups[group];
    const char *id = o->iface->base.id;
    const lt_slot *const *slots = slots_of(o->iface, g->self);
    for (int k = 0; slots && slots[k]; k++) {
        if (!slots[k]->name || !lth_name_valid(slots[k]->name) || !strcmp(slots[k]->name, "step") || !strcmp(slots[k]->name, "lr")) {
            return lth_fail(err, LT_EPLUGIN, "optimizer %s: slot %d has the name '%s', which cannot stand in a checkpoint", id, k,
                            slots[k]->name ? slots[k]->name : "(null)");
        }
        int at = k < LT_MAX_SLOTS ? place_slot(o, slots[k]->name) : -1;
        if (at < 0) {
            return at == -2 ? no_memory(o, o->n_slots, err) : lth_fail(err, LT_EPLUGIN, "optimizer %s wants more than %d slots", id, LT_MAX_SLOTS);
        }
        for (int j = 0; j < k; j++) {
            if (g->slot[j] == at) {
                return lth_fail(err, LT_EPLUGIN, "optimizer %s: slots %d and %d both have the name '%s'; each needs one of its own", id, j, k,
                                slots[k]->name);
            }
        }
        g->slot[k] = (uint8_t)at;
        g->n_slots = k + 1;
        if (fill_slot(o, group, at, slots[k]->initial, err) != LT_OK) {
            return err->code;
        }
    }
    return LT_OK;
}

/* ---- making ---- */
static lt_status make_spans(lth_optim *o, lth_error *err) {
    size_t n = (size_t)o->modules->n_params + 1;
    o->steps = lth_alloc(n * sizeof *o->steps);
    o->taken = lth_alloc(n * sizeof *o->taken);
    o->spans = lth_alloc(n * sizeof *o->spans);
    o->span_list = lth_alloc(n * sizeof *o->span_list);
    o->names = lth_alloc(n * sizeof *o->names);
    if (!o->steps || !o->taken || !o->spans || !o->span_list || !o->names) {
        return lth_fail(err, LT_ENOMEM, "out of memory: the optimizer's spans");
    }
    for (size_t k = 0; k < n; k++) {
        o->span_list[k] = &o->spans[k];
    }
    return LT_OK;
}

static lt_status take_lr(lth_optim *o, lth_group *g, lt_ctx *ctx) {
    lth_where before = lth_component_enter(ctx, &o->iface->base, "lr");
    g->view = (lt_group){.struct_size = sizeof(lt_group), .spans = o->span_list};
    g->view.lr = o->iface->lr(ctx, g->self);
    return lth_component_leave(ctx, before, LT_OK);
}

static lt_status check_component(const lth_modules *m, const lt_optimizer *iface, lth_error *err) {
    const char *id = iface->base.id;
    if (!m->sealed) {
        return lth_fail(err, LT_ESTATE, "an optimizer needs the model's parameters, which exist after configure");
    }
    if (!iface->lr || (!iface->step && !iface->step_closure)) {
        return lth_fail(err, LT_EPLUGIN, "optimizer %s has no %s", id, iface->lr ? "step" : "lr");
    }
    if (m->dtype != LT_F32 && !(iface->base.flags & LT_OPTIM_ANY_DTYPE)) {
        return lth_fail(err, LT_EUNSUPPORTED, "optimizer %s updates f32 parameters only, and trainer.precision makes them %s; use "
                        "precision 32-true, or an optimizer whose flags have LT_OPTIM_ANY_DTYPE", id, lth_dtype_name(m->dtype));
    }
    return LT_OK;
}

static lt_status make_groups(lth_optim *o, void *self, const lth_group_spec *specs, int32_t n_specs, lt_ctx *ctx) {
    lth_error *err = &ctx->error;
    o->groups = lth_alloc((size_t)(n_specs + 1) * sizeof *o->groups);
    o->group_of = lth_alloc((size_t)(o->modules->n_params + 1) * sizeof *o->group_of);
    if (!o->groups || !o->group_of) {
        return lth_fail(err, LT_ENOMEM, "out of memory: the optimizer's groups");
    }
    o->groups[0].self = self;
    o->n_groups = 1;
    lt_status status = n_specs ? lth_optim_assign(o, specs, n_specs, err) : LT_OK;
    if (status == LT_OK && o->n_groups > 1 && o->iface->step_closure) {
        return lth_fail(err, LT_ECONFIG, "optimizer %s takes one group of parameters, %d are given", o->iface->base.id, (int)o->n_groups);
    }
    for (int32_t g = 0; g < o->n_groups && status == LT_OK; g++) {
        status = make_slots(o, g, err);
        status = status == LT_OK ? take_lr(o, &o->groups[g], ctx) : status;
    }
    return status;
}

lt_status lth_optim_new_groups(lth_optim **out, lth_modules *modules, const lt_optimizer *iface, void *self, const lth_group_spec *specs,
                               int32_t n_specs, lt_ctx *ctx) {
    *out = NULL;
    if (check_component(modules, iface, &ctx->error) != LT_OK) {
        return ctx->error.code;
    }
    lth_optim *o = lth_alloc(sizeof *o);
    if (!o) {
        return lth_fail(&ctx->error, LT_ENOMEM, "out of memory: the optimizer");
    }
    o->modules = modules;
    o->iface = iface;
    lt_status status = make_spans(o, &ctx->error);
    status = status == LT_OK ? make_groups(o, self, specs, n_specs, ctx) : status;
    if (status != LT_OK) {
        lth_optim_free(o);
        return status;
    }
    *out = o;
    return LT_OK;
}

lt_status lth_optim_new(lth_optim **out, lth_modules *modules, const lt_optimizer *iface, void *self, lt_ctx *ctx) {
    return lth_optim_new_groups(out, modules, iface, self, NULL, 0, ctx);
}

void lth_optim_free(lth_optim *o) {
    if (!o) {
        return;
    }
    lth_engine *e = o->modules->engine;
    for (int k = 0; k < o->n_slots; k++) {
        if (o->slots[k]) {
            e->backend->free(e->device, o->slots[k], (size_t)o->modules->n_flat * lth_dtype_size(o->modules->dtype));
        }
    }
    lth_free(o->groups);
    lth_free(o->group_of);
    lth_free(o->steps);
    lth_free(o->taken);
    lth_free(o->spans);
    lth_free(o->span_list);
    lth_free(o->names);
    lth_free(o);
}

/* ---- spans ---- */
static bool takes_part(const lth_param *p) { return !p->frozen && !lth_param_fresh(p); }

/* Do the same parameters take part as in the last step? */
static bool same_as_before(const lth_optim *o) {
    for (int64_t k = 0; k < o->modules->n_params; k++) {
        if (o->taken[k] != takes_part(o->modules->params[k])) {
            return false;
        }
    }
    return o->spans_valid;
}

static void name_span(lth_optim *o, lt_span *span, const char *first, const char *last) {
    char *name = o->names[span - o->spans];
    bool one = first == last;
    snprintf(name, sizeof o->names[0], "%.*s%s%.*s", SPAN_NAME / 2 - 3, first, one ? "" : "..", one ? 0 : SPAN_NAME / 2 - 3, last);
    span->name = name;
}

/* From parameter k up to, not including, `end`: they lie together, with at most the padding to 64 bytes between them, where value,
 * gradient and so every update are zero. */
static void add_span(lth_optim *o, lth_group *g, int64_t k, int64_t end) {
    lth_modules *m = o->modules;
    lth_param *first = m->params[k], *last = m->params[end - 1];
    lt_span *span = &o->spans[o->n_spans++];
    g->view.n_spans++;
    *span = (lt_span){.struct_size = sizeof *span, .n_slots = g->n_slots, .n = last->offset + last->n - first->offset,
                      .param = lth_flat_at(m, m->values, first->offset), .grad = lth_flat_at(m, m->grads, first->offset), .step = o->steps[k],
                      .dtype = m->dtype};
    for (int slot = 0; slot < g->n_slots; slot++) {
        span->slot[slot] = lth_flat_at(m, o->slots[g->slot[slot]], first->offset);
    }
    name_span(o, span, first->name, last->name);
}

/* Of one group. An optimizer that is not element-wise sees its parameters one by one. */
static void build_group(lth_optim *o, int32_t index) {
    lth_modules *m = o->modules;
    lth_group *g = &o->groups[index];
    bool together = o->iface->base.flags & LT_OPTIM_ELEMENTWISE;
    g->view.spans = o->span_list + o->n_spans;
    g->view.n_spans = 0;
    for (int64_t k = 0, end; k < m->n_params; k = end) {
        end = k + 1;
        if (!o->taken[k] || o->group_of[k] != index) {
            continue;
        }
        while (together && end < m->n_params && o->taken[end] && o->group_of[end] == index && o->steps[end] == o->steps[k]) {
            end++;
        }
        add_span(o, g, k, end);
    }
}

static void build_spans(lth_optim *o) {
    o->n_spans = 0;
    for (int64_t k = 0; k < o->modules->n_params; k++) {
        o->taken[k] = takes_part(o->modules->params[k]);
    }
    for (int32_t g = 0; g < o->n_groups; g++) {
        build_group(o, g);
    }
    o->spans_valid = true;
}

/* ---- the step ---- */
static void new_values(lth_optim *o) {
    for (int64_t k = 0; k < o->modules->n_params; k++) {
        o->modules->params[k]->value->version += o->taken[k];
    }
}

/* False: nobody has a gradient. */
static bool begin_step(lth_optim *o) {
    if (!same_as_before(o)) {
        build_spans(o);
    }
    for (uint32_t k = 0; k < o->n_spans; k++) {
        o->spans[k].step++;
    }
    for (int64_t k = 0; k < o->modules->n_params; k++) {
        o->steps[k] += o->taken[k];
    }
    new_values(o);
    return o->n_spans > 0;
}

lt_status lth_optim_step(lth_optim *o, lt_ctx *ctx) {
    lt_status status = LT_OK;
    if (!o->iface->step) {
        return lth_fail(&ctx->error, LT_EUNSUPPORTED, "optimizer %s has only step_closure, and nobody here can evaluate the loss again",
                        o->iface->base.id);
    }
    if (!begin_step(o)) {
        return LT_OK;
    }
    lth_where before = lth_component_enter(ctx, &o->iface->base, "step");
    for (int32_t g = 0; g < o->n_groups && status >= 0 && !ctx->error.code; g++) {
        const lt_group *list[1] = {&o->groups[g].view};
        status = list[0]->n_spans ? o->iface->step(ctx, o->groups[g].self, list, 1) : LT_OK;
    }
    return lth_component_leave(ctx, before, status);
}

struct lt_closure {
    lth_optim *optim;
    lth_loss *loss;
    void *arg;
    int64_t evaluations;
};

bool lth_optim_wants_loss(const lth_optim *o) { return o->iface->step_closure != NULL; }

/* A parameter that takes part in this step and got no gradient this time has a gradient of zero. */
static lt_status complete_gradients(lth_optim *o, lth_error *err) {
    lth_modules *m = o->modules;
    for (int64_t k = 0; k < m->n_params; k++) {
        lth_param *p = m->params[k];
        if (o->taken[k] && lth_param_fresh(p)) {
            size_t bytes = (size_t)p->n * lth_dtype_size(m->dtype);
            if (m->engine->backend->zero(m->engine->device, lth_flat_at(m, m->grads, p->offset), bytes, err) != LT_OK) {
                return err->code;
            }
            lth_param_set_fresh(p, false);
        }
    }
    return LT_OK;
}

lt_status lth_closure_loss(lt_ctx *ctx, lt_closure *closure, double *loss) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_closure_loss", ctx->error.code ? ctx->error.code : LT_ESTATE);
    if (!closure || !loss) {
        return lth_fail_op(&ctx->error, LT_EINVAL, "lt_closure_loss", LTH_CALLER, "lt_closure_loss: %s is NULL", closure ? "loss" : "closure");
    }
    lth_where before = ctx->where;
    new_values(closure->optim);
    lt_status status = closure->loss(ctx, closure->arg, closure->evaluations++ == 0, loss);
    if (status < 0 || ctx->error.code) {
        return ctx->error.code ? ctx->error.code : status; /* ctx->where names who failed */
    }
    ctx->where = before;
    return complete_gradients(closure->optim, &ctx->error);
}

lt_status lth_optim_step_loss(lth_optim *o, lt_ctx *ctx, lth_loss *loss, void *arg) {
    lt_closure closure = {.optim = o, .loss = loss, .arg = arg};
    if (!begin_step(o)) {
        return LT_OK;
    }
    lth_where before = lth_component_enter(ctx, &o->iface->base, "step_closure");
    const lt_group *list[1] = {&o->groups[0].view};
    lt_status status = o->iface->step_closure(ctx, o->groups[0].self, list, 1, &closure);
    new_values(o);
    return lth_component_leave(ctx, before, status);
}
