/* host/main.c - the flow of lthost as code: command line -> configuration -> registry -> trainer. The only place that ends the process. */
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "checkpoint/checkpoint.h"
#include "cli/request.h"
#include "config/config.h"
#include "engine/data/loader.h"
#include "engine/optim/optim.h"
#include "registry/registry.h"
#include "trainer/hookview.h"
#include "trainer/log_files.h"
#include "trainer/trainer.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DONE = 0, FAILED = 1, BAD_CONFIG = 2, BAD_PLUGIN = 3, BAD_DATA = 4 };
#ifndef LTHOST_VERSION
#define LTHOST_VERSION "0.1.0"
#endif

/* The SDK's tables, each from the part that it opens to plugins. */
static const void *get_table(const char *id) {
    static const struct {
        const char *id;
        const void *table;
    } tables[] = {{"lt.base/1", &lth_base_table},       {"lt.tensor/1", &lth_tensor_table}, {"lt.autograd/1", &lth_autograd_table},
                  {"lt.nn/1", &lth_nn_table},           {"lt.optim/1", &lth_optim_table},   {"lt.data/1", &lth_data_table},
                  {"lt.trainer/1", &lth_trainer_table}, {"lt.metric/1", &lth_metric_table}, {"lt.logger/1", &lth_logger_table}};

    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        if (!strcmp(tables[i].id, id)) {
            return tables[i].table;
        }
    }
    return NULL;
}

/* What one command works with; released in reverse at the end. */
typedef struct app {
    lth_request request;
    lth_diags diags;
    lth_config *config;
    lth_registry *registry;
    lth_snapshot *saved; /* the checkpoint whose config is used, when no -c was given */
    lth_instance *model, *data, *optimizer, *lr_scheduler, **optimizer_groups, **callbacks, **loggers;
    size_t n_optimizer_groups, n_callbacks, n_loggers;
} app;

static int fail(const lth_error *err, int status) {
    lth_log_status(NULL);
    lth_log(LTH_ERROR, "%s", err->text);
    return status;
}

static int report(app *a) {
    int status = BAD_CONFIG;

    for (size_t i = 0; i < a->diags.count; i++) {
        int32_t code = a->diags.items[i].code;

        if (code == LT_EABI || code == LT_EPLUGIN || code == LT_EFORMAT) { /* EFORMAT: a .so that is no plugin, or a damaged one */
            status = BAD_PLUGIN;
        }
    }
    lth_diags_print(&a->diags, stderr);
    return status;
}

/* ---- configuration ---- */

/* validate, test and predict with a checkpoint file need no -c: its configuration is in it. */
static lt_status config_of_checkpoint(app *a, lth_config_source *source, lth_error *err) {
    const char *path = a->request.ckpt_path;
    lth_ckpt_facts facts;

    if (a->request.n_configs || !path || !strcmp(path, "best") || !strcmp(path, "last") || !strcmp(path, "none")) {
        return LT_OK;
    }
    if (lth_ckpt_read(path, &a->saved, &facts, err)) {
        return err->code;
    }
    source->text = lth_snapshot_text(a->saved, "config", "");
    source->text_name = path;
    return LT_OK;
}

static int load_config(app *a, bool need_model) {
    const lth_request *r = &a->request;
    lth_config_source source = {.files = r->configs,
                                .n_files = r->n_configs,
                                .n_overrides = r->n_overrides,
                                .plugins = r->plugins,
                                .n_plugins = r->n_plugins,
                                .need_model = need_model,
                                .keep_errors = true};
    lth_config_override *overrides = lth_arena_alloc(&a->request.arena, (r->n_overrides + 1) * sizeof *overrides);
    lth_error err = {0};

    if (!overrides) {
        lth_fail(&err, LT_ENOMEM, "out of memory");
        return fail(&err, FAILED);
    }
    for (size_t i = 0; i < r->n_overrides; i++) {
        overrides[i] = (lth_config_override){r->overrides[i].key, r->overrides[i].value, r->overrides[i].append};
    }
    source.overrides = overrides;
    if (config_of_checkpoint(a, &source, &err)) {
        return fail(&err, BAD_DATA);
    }
    lth_config_load(&source, &a->diags, &a->config);
    if (a->config && a->config->seed_random) {
        lth_log(LTH_INFO, "seed_everything is false: this run's seed is %lld", (long long)a->config->seed);
    }
    return DONE; /* problems stay in diags: the registry adds its own before they are shown */
}

static int open_registry(app *a) {
    lth_registry_opts opts = {.paths = a->config ? a->config->plugins : a->request.plugins,
                              .n_paths = a->config ? a->config->n_plugins : a->request.n_plugins,
                              .get_table = get_table};

    lth_registry_open(&opts, &a->diags, &a->registry);
    return a->registry ? DONE : report(a);
}

/* ---- instances ---- */

static lth_instance *make(app *a, lth_kind kind, const lth_component_ref *ref) {
    const lth_node *named = lth_node_get(ref->node, "class_path"); /* where the name was given; the rest may come from another file */
    lth_instance *instance = NULL;

    if (ref->class_path) {
        lth_instance_new(a->registry, kind, ref->class_path, ref->init_args, named ? named : ref->node, &a->diags, &instance);
    }
    return instance;
}

static lth_instance **make_list(app *a, lth_kind kind, const lth_component_ref *refs, size_t count, size_t *made) {
    lth_instance **list = lth_alloc((count + 1) * sizeof(lth_instance *));

    for (size_t i = 0; i < count && list; i++) {
        list[*made] = make(a, kind, &refs[i]);
        *made += list[*made] != NULL;
    }
    return list;
}

/* An optimizer for each of its parameter groups: the same class, other values. */
static lth_instance **make_groups(app *a, const lth_component_ref *ref) {
    const lth_node *groups = lth_node_get(ref->node, "param_groups");
    lth_instance **list = lth_alloc((lth_node_count(groups) + 1) * sizeof(lth_instance *));

    for (const lth_node *group = groups && a->optimizer && list ? groups->first : NULL; group; group = group->next) {
        lth_instance_new_over(a->registry, LTH_KIND_optimizer, ref->class_path, ref->init_args, group, "params", group, &a->config->arena,
                              &a->diags, &list[a->n_optimizer_groups]);
        a->n_optimizer_groups += list[a->n_optimizer_groups] != NULL;
    }
    return list;
}

/* From here on the configuration shows every parameter, with its bound value: so it is saved, and so a checkpoint can be used anywhere. */
static void complete(app *a, const lth_component_ref *ref, const lth_instance *instance) {
    lth_node *args = instance ? lth_schema_values(instance->schema, instance->self, &a->config->arena, false) : NULL;

    if (args && instance->children_node) {
        lth_node_set(&a->config->arena, args, "schedulers", lth_node_copy(&a->config->arena, instance->children_node));
    }
    if (args && ref->node) {
        lth_node *node = (lth_node *)ref->node; /* config owns it and hands it out as finished; this is the finishing */

        if (node->kind == LTH_NODE_MAP) {
            lth_node_set(&a->config->arena, node, "init_args", args);
        }
    }
}

static void complete_config(app *a) {
    const lth_config *c = a->config;

    complete(a, &c->model, a->model);
    complete(a, &c->data, a->data);
    complete(a, &c->optimizer, a->optimizer);
    complete(a, &c->lr_scheduler, a->lr_scheduler);
    for (size_t i = 0; i < a->n_callbacks; i++) {
        complete(a, &c->callbacks[i], a->callbacks[i]);
    }
    for (size_t i = 0; i < a->n_loggers; i++) {
        complete(a, &c->loggers[i], a->loggers[i]);
    }
}

static int make_instances(app *a) {
    const lth_config *c = a->config;

    a->model = make(a, LTH_KIND_model, &c->model);
    a->data = make(a, LTH_KIND_datamodule, &c->data);
    a->optimizer = make(a, LTH_KIND_optimizer, &c->optimizer);
    a->optimizer_groups = make_groups(a, &c->optimizer);
    a->lr_scheduler = make(a, LTH_KIND_lr_scheduler, &c->lr_scheduler);
    a->callbacks = make_list(a, LTH_KIND_callback, c->callbacks, c->n_callbacks, &a->n_callbacks);
    a->loggers = make_list(a, LTH_KIND_logger, c->loggers, c->n_loggers, &a->n_loggers);
    if (a->diags.count || !a->callbacks || !a->loggers || !a->optimizer_groups) {
        return report(a);
    }
    complete_config(a);
    return DONE;
}

/* Everything wrong with command line, files and parameters is reported together, before anything runs. */
static int prepare(app *a) {
    int status = load_config(a, true);

    if (status || (a->diags.count && !a->config)) {
        return status ? status : report(a);
    }
    status = open_registry(a);
    return status ? status : make_instances(a);
}

/* ---- verbs ---- */

static void resume_command(const app *a, lth_buf *out) {
    lth_buf_printf(out, "lthost fit");
    for (size_t i = 0; i < a->request.n_configs; i++) {
        lth_buf_add(out, " -c ");
        lth_buf_add_shell(out, a->request.configs[i]);
    }
    for (size_t i = 0; i < a->request.n_plugins; i++) {
        lth_buf_add(out, " --plugins ");
        lth_buf_add_shell(out, a->request.plugins[i]);
    }
    for (size_t i = 0; i < a->request.n_overrides; i++) {
        lth_buf_printf(out, " --%s%s=", a->request.overrides[i].key, a->request.overrides[i].append ? "+" : "");
        lth_buf_add_shell(out, a->request.overrides[i].value);
    }
}

static lt_stage stage_of(lth_verb verb) {
    return verb == LTH_VERB_FIT        ? LT_STAGE_FIT
           : verb == LTH_VERB_VALIDATE ? LT_STAGE_VALIDATE
           : verb == LTH_VERB_TEST     ? LT_STAGE_TEST
                                       : LT_STAGE_PREDICT;
}

static int run(app *a) {
    lth_buf command = {0};
    lth_result result;
    lth_error err = {0};
    int status = prepare(a);

    if (status) {
        return status;
    }
    resume_command(a, &command);
    lth_trainer_run(&(lth_job){.stage = stage_of(a->request.verb),
                               .config = a->config,
                               .registry = a->registry,
                               .model = a->model,
                               .data = a->data,
                               .optimizer = a->optimizer,
                               .optimizer_groups = a->optimizer_groups,
                               .n_optimizer_groups = a->n_optimizer_groups,
                               .lr_scheduler = a->lr_scheduler,
                               .callbacks = a->callbacks,
                               .n_callbacks = a->n_callbacks,
                               .loggers = a->loggers,
                               .n_loggers = a->n_loggers,
                               .ckpt_path = a->request.ckpt_path ? a->request.ckpt_path : a->config->ckpt_path,
                               .input = a->request.input,
                               .module = a->request.module,
                               .resume_command = lth_buf_text(&command),
                               .version = LTHOST_VERSION},
                    &result, &err);
    lth_buf_release(&command);
    if (err.code) {
        return fail(&err, result.exit_status);
    }
    if (*result.run_dir) {
        lth_log(LTH_INFO, "run folder: %s", result.run_dir);
    }
    return result.exit_status;
}

static int config_verb(app *a) {
    lth_buf out = {0};
    int status = DONE;

    if (a->request.verb == LTH_VERB_CONFIG_SCHEMA) {
        lth_config_schema(&out);
    } else if (a->request.verb == LTH_VERB_CONFIG_CHECK) {
        status = prepare(a);
        lth_buf_add(&out, status ? "" : "the configuration is valid\n");
    } else {
        status = load_config(a, false);
        if (a->diags.count) {
            status = report(a);
        } else if (!status) {
            lth_yaml_print(a->config->root, false, &out);
        }
    }
    fputs(lth_buf_text(&out), stdout);
    lth_buf_release(&out);
    return status;
}

static int plugin_verb(app *a) {
    lth_buf out = {0};
    lth_error err = {0};
    int status;

    if (a->request.n_configs && load_config(a, false)) {
        return FAILED;
    }
    status = a->diags.count ? report(a) : open_registry(a);
    if (status || a->diags.count) {
        return status ? status : report(a);
    }
    if (a->request.verb == LTH_VERB_PLUGIN_LIST) {
        lth_registry_list(a->registry, &out);
    } else {
        for (size_t i = 0; i < a->request.n_args && !err.code; i++) {
            lth_registry_info(a->registry, a->request.args[i], &out, &err);
        }
    }
    fputs(lth_buf_text(&out), stdout);
    lth_buf_release(&out);
    return err.code ? fail(&err, err.code == LT_ECONFIG || err.code == LT_EABSENT ? BAD_CONFIG : BAD_PLUGIN) : DONE;
}

static void print_item(const lth_item *item) {
    char shape[128];

    if (!item->dtype) {
        const char *text = item->data;
        size_t line = strcspn(text, "\n");

        printf("  %-40s text  %.*s%s\n", item->path, line > 60 ? 60 : (int)line, text, line < strlen(text) || line > 60 ? " ..." : "");
        return;
    }
    lth_format_shape(shape, sizeof shape, item->shape, item->ndim);
    if (!item->ndim && item->dtype == LT_I64) {
        snprintf(shape, sizeof shape, "%lld", (long long)*(const int64_t *)item->data);
    } else if (!item->ndim && item->dtype == LT_F64) {
        snprintf(shape, sizeof shape, "%.6g", *(const double *)item->data);
    }
    printf("  %-40s %-5s %s\n", item->path, lth_dtype_name(item->dtype), shape);
}

static int ckpt_verb(app *a) {
    lth_error err = {0};

    for (size_t i = 0; i < a->request.n_args; i++) {
        const char *path = a->request.args[i];
        lth_snapshot *in = NULL;
        lth_ckpt_facts facts;

        if (lth_ckpt_read(path, &in, &facts, &err)) {
            return fail(&err, BAD_DATA);
        }
        printf("%s: epoch %lld, step %lld, %lld batches%s%s", path, (long long)facts.epoch, (long long)facts.global_step,
               (long long)facts.batches, facts.has_score ? ", " : "", facts.has_score ? facts.monitor : "");
        printf(facts.has_score ? " %.6g\n" : "\n", facts.score);
        if (a->request.verb == LTH_VERB_CKPT_VERIFY) {
            printf("%s: complete, checksum and %zu entries are good\n", path, lth_snapshot_count(in));
        }
        for (size_t k = 0; k < lth_snapshot_count(in) && a->request.verb == LTH_VERB_CKPT_INFO; k++) {
            print_item(lth_snapshot_at(in, k));
        }
        lth_snapshot_free(in);
    }
    return DONE;
}

/* Help of a verb, with the parameters of the trainer, and of the components that the configuration names. */
static int help(app *a) {
    lth_buf out = {0};

    lth_buf_add(&out, lth_request_help(a->request.verb));
    if (stage_of(a->request.verb) != LT_STAGE_PREDICT || a->request.verb == LTH_VERB_PREDICT) {
        lth_buf_add(&out, "\nTrainer:\n");
        lth_schema_help(lth_trainer_opts_params(), "--trainer.", &out);
        if (a->request.n_configs && !prepare(a)) {
            lth_buf_printf(&out, "\nModel %s:\n", a->model->where.component);
            lth_schema_help(a->model->schema, "--model.", &out);
            lth_buf_printf(&out, "\nData %s:\n", a->data ? a->data->where.component : "(none)");
            lth_schema_help(a->data ? a->data->schema : NULL, "--data.", &out);
        }
    }
    fputs(lth_buf_text(&out), stdout);
    lth_buf_release(&out);
    return DONE;
}

static int dispatch(app *a) {
    if (a->diags.count) {
        return report(a);
    }
    if (a->request.help || a->request.verb == LTH_VERB_NONE) {
        return help(a) || a->request.help ? DONE : BAD_CONFIG;
    }
    switch (a->request.verb) {
    case LTH_VERB_VERSION:
        puts("lthost " LTHOST_VERSION);
        return DONE;
    case LTH_VERB_CONFIG_PRINT:
    case LTH_VERB_CONFIG_CHECK:
    case LTH_VERB_CONFIG_SCHEMA:
        return config_verb(a);
    case LTH_VERB_PLUGIN_LIST:
    case LTH_VERB_PLUGIN_INFO:
        return plugin_verb(a);
    case LTH_VERB_CKPT_INFO:
    case LTH_VERB_CKPT_VERIFY:
        return ckpt_verb(a);
    default:
        return run(a);
    }
}

static void release(app *a) {
    for (size_t i = 0; i < a->n_callbacks; i++) {
        lth_instance_free(a->callbacks[i]);
    }
    for (size_t i = 0; i < a->n_loggers; i++) {
        lth_instance_free(a->loggers[i]);
    }
    lth_free(a->callbacks);
    lth_free(a->loggers);
    lth_instance_free(a->lr_scheduler);
    for (size_t i = 0; i < a->n_optimizer_groups; i++) {
        lth_instance_free(a->optimizer_groups[i]);
    }
    lth_free(a->optimizer_groups);
    lth_instance_free(a->optimizer);
    lth_instance_free(a->data);
    lth_instance_free(a->model);
    lth_registry_close(a->registry);
    lth_config_free(a->config);
    lth_snapshot_free(a->saved);
    lth_diags_release(&a->diags);
    lth_request_release(&a->request);
}

int main(int argc, char **argv) {
    app a = {0};
    int status;

    lth_request_parse(&a.request, argc, argv, &a.diags);
    status = dispatch(&a);
    release(&a);
    return status;
}
