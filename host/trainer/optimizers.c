/* trainer/optimizers.c - the optimizer with its parameter groups and the learning-rate scheduler of a run: what the configuration names, or
 * the model in configure_optimizers. The configuration's own beats the model's, part by part. One optimizer and one scheduler yet. */
#include "base/log.h"
#include "trainer/session.h"
#include <string.h>

/* Flow-style YAML of the model as a node; NULL for none. */
static lth_node *flow(lth_session *s, const char *params, const char *what) {
    return params && *params ? lth_yaml_parse_flow(params, what, &s->arena, &s->diags) : NULL;
}

static lt_status report(lth_session *s) {
    if (!s->diags.count) {
        return LT_OK;
    }
    const lth_diag *first = &s->diags.items[0];
    return lth_fail(&s->ctx.error, first->code, "configure_optimizers of %s: %s%s%s", s->job->model->where.component, first->text,
                    first->hint ? "; " : "", first->hint ? first->hint : "");
}

static lt_status models_choice(lth_session *s, lt_optim_setup *setup) {
    const lt_model *model = s->job->model->iface;

    if (!model->configure_optimizers) {
        return LT_OK;
    }
    lth_session_call(s, s->job->model, "configure_optimizers");
    lth_hook_done(&s->ctx, model->configure_optimizers(&s->ctx, s->job->model->self, setup));
    if (!s->ctx.error.code && setup->groups && !setup->optimizer && !s->job->optimizer) {
        return lth_fail(&s->ctx.error, LT_ESTATE, "lt_param_group without lt_use_optimizer: groups belong to an optimizer");
    }
    return s->ctx.error.code;
}

/* ---- parameter groups ---- */

static lth_group_spec *new_specs(lth_session *s, size_t n) {
    lth_group_spec *specs = lth_arena_alloc(&s->arena, (n + 1) * sizeof *specs);

    if (!specs) {
        lth_fail(&s->ctx.error, LT_ENOMEM, "out of memory: the optimizer's groups");
    }
    return specs;
}

/* The model's groups: its optimizer once more for each, with the group's values over the optimizer's. */
static lth_group_spec *models_groups(lth_session *s, const lt_optim_setup *setup, int32_t *n) {
    const lth_node *args = flow(s, setup->optimizer_params, setup->optimizer);
    lth_group_spec *specs;
    size_t count = 0;

    for (const lth_group_choice *g = setup->groups; g; g = g->next) {
        count++;
    }
    specs = new_specs(s, count);
    s->own_groups = specs ? lth_arena_alloc(&s->arena, (count + 1) * sizeof *s->own_groups) : NULL;
    if (!s->own_groups) {
        lth_fail(&s->ctx.error, LT_ENOMEM, "out of memory: the optimizer's groups");
        return NULL;
    }
    for (const lth_group_choice *g = setup->groups; g; g = g->next) {
        const lth_node *over = flow(s, g->params, setup->optimizer);

        if (!s->diags.count) {
            lth_instance_new_over(s->job->registry, LTH_KIND_optimizer, setup->optimizer, args, over, "params", NULL, &s->arena, &s->diags,
                                  &s->own_groups[s->n_own_groups]);
        }
        if (report(s)) {
            return NULL;
        }
        specs[(*n)++] = (lth_group_spec){.self = s->own_groups[s->n_own_groups++]->self, .module = g->module, .names = g->names};
    }
    return specs;
}

/* A list of names as one text. */
static const char *joined_names(lth_session *s, const lth_node *params) {
    const char *text = params->kind == LTH_NODE_LIST ? "" : params->text;

    for (const lth_node *item = params->kind == LTH_NODE_LIST ? params->first : NULL; item && text; item = item->next) {
        text = lth_arena_printf(&s->arena, "%s %s", text, item->text);
    }
    return text;
}

/* The configuration's groups: main made the instances. */
static lth_group_spec *configs_groups(lth_session *s, int32_t *n) {
    const lth_node *groups = lth_node_get(s->job->config->optimizer.node, "param_groups");
    lth_group_spec *specs = new_specs(s, s->job->n_optimizer_groups);
    const lth_node *group = groups ? groups->first : NULL;

    for (size_t i = 0; specs && i < s->job->n_optimizer_groups && group; i++, group = group->next) {
        specs[(*n)++] = (lth_group_spec){.self = s->job->optimizer_groups[i]->self, .names = joined_names(s, lth_node_get(group, "params"))};
    }
    return specs;
}

static lt_status make_optimizer(lth_session *s, const lt_optim_setup *setup) {
    const lth_instance *component = s->job->optimizer;
    lth_group_spec *specs;
    int32_t n = 0;

    if (!component && lth_session_instance(s, LTH_KIND_optimizer, "configure_optimizers", setup->optimizer, setup->optimizer_params, &s->own_optimizer)) {
        return s->ctx.error.code;
    }
    specs = component ? configs_groups(s, &n) : models_groups(s, setup, &n);
    component = component ? component : s->own_optimizer;
    if (!specs || lth_optim_new_groups(&s->optim, s->modules, component->iface, component->self, specs, n, &s->ctx)) {
        return s->ctx.error.code;
    }
    if (lth_optim_wants_loss(s->optim) && s->limits.accumulate > 1) {
        return lth_fail(&s->ctx.error, LT_ECONFIG, "optimizer %s evaluates the loss of a batch several times a step, so gradients cannot be "
                        "accumulated over %lld batches; set trainer.accumulate_grad_batches to 1", component->where.component,
                        (long long)s->limits.accumulate);
    }
    s->run.optim = s->optim;
    s->run.optimizer_id = component->where.component;
    return LT_OK;
}

/* ---- the scheduler ---- */

static lt_status part_of(lth_session *s, const lth_instance *component, lth_sched_part *out) {
    lth_sched_part *children = component->n_children ? lth_arena_alloc(&s->arena, component->n_children * sizeof *children) : NULL;

    *out = (lth_sched_part){.iface = component->lr_scheduler, .self = component->self};
    if (component->n_children && !children) {
        return lth_fail(&s->ctx.error, LT_ENOMEM, "no memory for the %zu schedulers of %s", component->n_children, component->where.component);
    }
    for (size_t i = 0; i < component->n_children; i++) {
        if (part_of(s, component->children[i], &children[i])) {
            return s->ctx.error.code;
        }
    }
    out->children = children;
    out->n_children = (uint32_t)component->n_children;
    return LT_OK;
}

static lt_status make_scheduler(lth_session *s, const lt_optim_setup *setup) {
    const lth_scheduler_opts *given = &s->job->config->lr_scheduler_opts;
    const lth_instance *component = s->job->lr_scheduler;
    lth_sched_part part = {0};

    if (component) {
        s->schedule = (lth_schedule){given->each_step, given->strict, given->frequency, given->monitor, given->name};
    } else if (setup->scheduler) {
        s->schedule = (lth_schedule){setup->per_step, setup->strict, setup->frequency, setup->monitor, setup->name};
        if (setup->lambda.f) {
            s->lambda = setup->lambda;
            part = (lth_sched_part){.iface = &lth_lambda_scheduler, .self = &s->lambda};
        } else if (lth_session_instance(s, LTH_KIND_lr_scheduler, "configure_optimizers", setup->scheduler, setup->scheduler_params, &s->own_scheduler)) {
            return s->ctx.error.code;
        }
        component = s->own_scheduler;
    }
    s->schedule.frequency = s->schedule.frequency < 1 ? 1 : s->schedule.frequency;
    if (component && part_of(s, component, &part)) {
        return s->ctx.error.code;
    }
    if (part.iface && !s->schedule.monitor && lth_sched_needs_monitor(&part)) {
        return lth_fail(&s->ctx.error, LT_ECONFIG, "scheduler %s needs a metric to watch: set lr_scheduler.monitor, such as monitor: val_loss",
                        part.iface->base.id);
    }
    return part.iface ? lth_sched_new(&s->sched, s->optim, &part, &s->ctx) : LT_OK;
}

lt_status lth_session_optimizers(lth_session *s) {
    lt_optim_setup setup = {.arena = &s->arena, .strict = true, .frequency = 1};

    if (models_choice(s, &setup)) {
        return s->ctx.error.code;
    }
    s->ctx.where = (lth_where){0};
    if (!s->job->optimizer && !setup.optimizer) {
        lth_log(LTH_WARNING, "no optimizer: neither the configuration nor configure_optimizers of %s names one; weights will not change",
                s->job->model->where.component);
        return LT_OK;
    }
    return make_optimizer(s, &setup) ? s->ctx.error.code : make_scheduler(s, &setup);
}
