/* engine/optim/optim.c - an optimizer component over a model's flat memory: its state slots, and the spans it is shown each step.
 * A parameter without a gradient in this window is left out, as PyTorch's set_to_none does; neighbours with equal step counts meet in
 * one span. The spans of the last step are kept and reused as long as the same parameters take part, so a steady step only counts. */
#include "base/mem.h"
#include "engine/optim/component.h"
#include "engine/optim/internal.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- making ---- */
static const lt_slot *const *slots_of(const lt_optimizer *iface, void *self) {
    const void *own = iface->base.get_interface ? iface->base.get_interface(self, LT_OPTIMIZER_SLOTS) : NULL;
    return own ? own : iface->slots;
}

static lt_status fill_slot(lth_optim *o, int k, double initial, lth_error *err) {
    lth_engine *e = o->modules->engine;
    size_t bytes = (size_t)o->modules->n_flat * lth_dtype_size(o->modules->dtype);
    o->slots[k] = e->backend->alloc(e->device, bytes);
    if (!o->slots[k]) {
        return lth_fail(err, LT_ENOMEM, "out of memory: %s of %lld parameters", o->slot_names[k], (long long)o->modules->n_flat);
    }
    if (initial == 0) {
        return LT_OK;
    }
    void *host = lth_alloc(bytes);
    if (!host) {
        return lth_fail(err, LT_ENOMEM, "out of memory: %s of %lld parameters", o->slot_names[k], (long long)o->modules->n_flat);
    }
    for (int64_t i = 0; i < o->modules->n_flat; i++) {
        lth_element_set(o->modules->dtype, host, i, initial);
    }
    lt_status status = e->backend->copy(e->device, o->slots[k], host, bytes, 1, err);
    lth_free(host);
    return status;
}

static lt_status make_slots(lth_optim *o, lth_error *err) {
    const lt_slot *const *slots = slots_of(o->iface, o->self);
    for (int k = 0; slots && slots[k]; k++) {
        if (k == LT_MAX_SLOTS) {
            return lth_fail(err, LT_EPLUGIN, "optimizer %s wants more than %d slots", o->iface->base.id, LT_MAX_SLOTS);
        }
        o->n_slots = k + 1;
        o->slot_names[k] = slots[k]->name;
        if (fill_slot(o, k, slots[k]->initial, err) != LT_OK) {
            return err->code;
        }
    }
    return LT_OK;
}

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
    o->group = (lt_group){.struct_size = sizeof(lt_group), .spans = o->span_list};
    o->group_list[0] = &o->group;
    return LT_OK;
}

static lt_status take_lr(lth_optim *o, lt_ctx *ctx) {
    if (!o->iface->lr || !o->iface->step) {
        return lth_fail(&ctx->error, LT_EPLUGIN, "optimizer %s has no %s", o->iface->base.id, o->iface->step ? "lr" : "step");
    }
    lth_where before = lth_component_enter(ctx, &o->iface->base, "lr");
    o->group.lr = o->iface->lr(ctx, o->self);
    return lth_component_leave(ctx, before, LT_OK);
}

lt_status lth_optim_new(lth_optim **out, lth_modules *modules, const lt_optimizer *iface, void *self, lt_ctx *ctx) {
    *out = NULL;
    if (!modules->sealed) {
        return lth_fail(&ctx->error, LT_ESTATE, "an optimizer needs the model's parameters, which exist after configure");
    }
    if (modules->dtype != LT_F32 && !(iface->base.flags & LT_OPTIM_ANY_DTYPE)) {
        return lth_fail(&ctx->error, LT_EUNSUPPORTED, "optimizer %s updates f32 parameters only, and trainer.precision makes them %s; use "
                        "precision 32-true, or an optimizer whose flags have LT_OPTIM_ANY_DTYPE", iface->base.id, lth_dtype_name(modules->dtype));
    }
    lth_optim *o = lth_alloc(sizeof *o);
    if (!o) {
        return lth_fail(&ctx->error, LT_ENOMEM, "out of memory: the optimizer");
    }
    o->modules = modules;
    o->iface = iface;
    o->self = self;
    lt_status status = make_spans(o, &ctx->error);
    status = status == LT_OK ? make_slots(o, &ctx->error) : status;
    status = status == LT_OK ? take_lr(o, ctx) : status;
    if (status != LT_OK) {
        lth_optim_free(o);
        return status;
    }
    *out = o;
    return LT_OK;
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
static void add_span(lth_optim *o, int64_t k, int64_t end) {
    lth_modules *m = o->modules;
    lth_param *first = m->params[k], *last = m->params[end - 1];
    lt_span *span = &o->spans[o->group.n_spans++];
    *span = (lt_span){.struct_size = sizeof *span, .n_slots = o->n_slots, .n = last->offset + last->n - first->offset,
                      .param = lth_flat_at(m, m->values, first->offset), .grad = lth_flat_at(m, m->grads, first->offset), .step = o->steps[k],
                      .dtype = m->dtype};
    for (int slot = 0; slot < o->n_slots; slot++) {
        span->slot[slot] = lth_flat_at(m, o->slots[slot], first->offset);
    }
    name_span(o, span, first->name, last->name);
}

static void build_spans(lth_optim *o) {
    lth_modules *m = o->modules;
    o->group.n_spans = 0;
    for (int64_t k = 0; k < m->n_params; k++) {
        o->taken[k] = takes_part(m->params[k]);
    }
    for (int64_t k = 0, end; k < m->n_params; k = end) {
        end = k + 1;
        if (!o->taken[k]) {
            continue;
        }
        while (end < m->n_params && o->taken[end] && o->steps[end] == o->steps[k]) {
            end++;
        }
        add_span(o, k, end);
    }
    o->spans_valid = true;
}

lt_status lth_optim_step(lth_optim *o, lt_ctx *ctx) {
    lth_modules *m = o->modules;
    if (!same_as_before(o)) {
        build_spans(o);
    }
    if (!o->group.n_spans) {
        return LT_OK;
    }
    for (uint32_t k = 0; k < o->group.n_spans; k++) {
        o->spans[k].step++;
    }
    for (int64_t k = 0; k < m->n_params; k++) {
        o->steps[k] += o->taken[k];
        m->params[k]->value->version += o->taken[k];
    }
    lth_where before = lth_component_enter(ctx, &o->iface->base, "step");
    return lth_component_leave(ctx, before, o->iface->step(ctx, o->self, o->group_list, 1));
}

/* ---- groups: one yet ---- */
int32_t lth_optim_groups(const lth_optim *o) {
    (void)o;
    return 1;
}

double lth_optim_lr(const lth_optim *o, int32_t group) { return group == 0 ? o->group.lr : NAN; }

void lth_optim_set_lr(lth_optim *o, int32_t group, double lr) {
    if (group == 0) {
        o->group.lr = lr;
    }
}

double lth_optim_value(lth_optim *o, lt_ctx *ctx, int32_t group, const char *key) {
    if (group != 0) {
        return NAN;
    }
    if (!strcmp(key, "lr")) {
        return o->group.lr;
    }
    if (!o->iface->value) {
        return NAN;
    }
    lth_where before = lth_component_enter(ctx, &o->iface->base, "value");
    double value = o->iface->value(ctx, o->self, key);
    return lth_component_leave(ctx, before, LT_OK) == LT_OK ? value : NAN;
}
