/* config/trainer.c - the trainer's section: which of its keys are known, what they are bound to, and what is saved of them.
 * Names of arguments and their defaults come from the schema in base/; here stand only Lightning's that have no meaning yet. */
#include "config/internal.h"
#include <stdio.h>
#include <string.h>

/* Arguments of Lightning's Trainer that this build does not have. A value that asks for nothing is accepted, so that files written by
 * LightningCLI, which name every argument, can be read. */
static const struct {
    const char *key, *harmless;
} absent[] = {
    {"num_nodes", "1"},
    {"profiler", NULL},
    {"plugins", NULL},
    {"sync_batchnorm", "false"},
    {"max_time", NULL},
    {"model_registry", NULL},
    {"use_distributed_sampler", "true"},
    {"enable_autolog_hparams", "true"},
};
enum { N_ABSENT = sizeof absent / sizeof *absent, MOST_KEYS = 128 };

static bool skip_absent(const lth_node *child, lth_diags *diags) {
    for (size_t i = 0; i < N_ABSENT; i++) {
        if (strcmp(child->key, absent[i].key) != 0) {
            continue;
        }
        const char *fine = absent[i].harmless;
        if (!lth_node_is_null(child) && !(fine && child->kind == LTH_NODE_SCALAR && !strcasecmp(child->text, fine))) {
            LTH_CONFIG_ERROR(diags, child, "remove it", "trainer.%s: not supported by this build of lthost", child->key);
        }
        return true;
    }
    return false;
}

/* All keys that trainer may have, for the nearest name. */
static size_t known_keys(const char *names[MOST_KEYS]) {
    const lt_params *schema = lth_trainer_opts_params();
    size_t count = 0;
    names[count++] = "callbacks";
    names[count++] = "logger";
    for (uint32_t i = 0; i < schema->count && count < MOST_KEYS; i++) {
        names[count++] = lth_schema_param(schema, i)->key;
    }
    return count;
}

/* Lightning's None is "the default" for most arguments; only where the schema tells null apart from it is null bound. */
static bool null_means_default(const lt_param *param, const lth_node *child) {
    return lth_node_is_null(child) && param->type != LT_PARAM_OPT_INT && param->type != LT_PARAM_OPT_FLOAT;
}

/* The children that the schema knows, as a map of their own; the others are reported, or resolved elsewhere. */
static lth_node *bindable(lth_config *config, lth_diags *diags) {
    const lt_params *schema = lth_trainer_opts_params();
    const char *names[MOST_KEYS];
    size_t count = known_keys(names);
    lth_node *map = lth_config_map_like(&config->arena, config->trainer_node), **slot = map ? &map->first : NULL;
    for (const lth_node *child = config->trainer_node->first; child && slot; child = child->next) {
        const lt_param *param = lth_schema_find(schema, child->key);
        bool elsewhere = !strcmp(child->key, "callbacks") || !strcmp(child->key, "logger");
        if (!elsewhere && !param && !skip_absent(child, diags)) {
            lth_config_unknown_key(child, "trainer", names, count, diags);
        }
        if (elsewhere || !param || null_means_default(param, child)) {
            continue;
        }
        *slot = lth_node_copy(&config->arena, child);
        slot = *slot ? &(*slot)->next : NULL;
    }
    return map;
}

/* ---- barebones ---- */

/* Lightning's barebones mode measures the loop alone: what it turns off may not be asked for in the same breath. */
static void apply_barebones(lth_config *config, lth_diags *diags) {
    static const char *const off[] = {"enable_checkpointing", "enable_progress_bar", "enable_model_summary", "fast_dev_run",
                                      "num_sanity_val_steps", "log_every_n_steps"};
    lth_trainer_opts *opts = &config->trainer;
    for (size_t i = 0; i < sizeof off / sizeof *off; i++) {
        const lth_node *given = lth_node_get(config->trainer_node, off[i]);
        bool on = true;
        bool nothing = lth_node_is_null(given) || (lth_config_is_bool(given, &on) && !on) || (given->text && !strcmp(given->text, "0"));
        if (!nothing) {
            LTH_CONFIG_ERROR(diags, given, "remove one of them", "trainer.%s cannot be set together with barebones", off[i]);
        }
    }
    opts->enable_checkpointing = opts->enable_progress_bar = opts->enable_model_summary = false;
    opts->num_sanity_val_steps = opts->log_every_n_steps = 0;
}

/* ---- all of it ---- */

void lth_config_trainer(lth_config *config, lth_diags *diags) {
    lth_node *map = bindable(config, diags);
    if (!map) {
        return;
    }
    lth_schema_bind(lth_trainer_opts_params(), "trainer", map, &config->trainer, &config->arena, diags);
    lth_config_trainer_checks(config, diags);
    if (config->trainer.barebones) {
        apply_barebones(config, diags);
    }
}

void lth_config_schema(lth_buf *out) {
    static const char *const lines[] = {
        "  seed_everything (int or bool) = true   Seed of parameters, shuffling and dropout; true: 0, false: a fresh one each time.",
        "  model                                  The model: a name, or class_path and init_args.",
        "  data                                   The datamodule, likewise.",
        "  optimizer, lr_scheduler                Instead of those that the model sets up. lr_scheduler also takes interval (epoch or "
        "step),",
        "                                         frequency, monitor, strict and name.",
        "  trainer                                See below.",
        "  plugins                                A list of .so files and of folders of them.",
        "  ckpt_path                              A file, best, last or none.",
        "",
        "trainer:",
        "  callbacks                              A list of components, added to the default ones; false: none at all.",
        "  logger                                 A component or a list of them, instead of the default ones; false: none.",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        lth_buf_printf(out, "%s\n", lines[i]);
    }
    lth_schema_help(lth_trainer_opts_params(), "", out);
}
