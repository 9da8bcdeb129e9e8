/* config/load.c - the flow of this stage: defaults, files, command line -> one tree -> options, component references, resolved tree.
 * Everything wrong is reported; only a file that cannot be read as YAML ends it early, since what it would have said is not known. */
#include "base/fs.h"
#include "base/mem.h"
#include "config/internal.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

const char *const lth_config_keys[] = {"seed_everything", "trainer", "model",     "data", "optimizer",
                                       "lr_scheduler",    "plugins", "ckpt_path", NULL};
enum { N_KEYS = sizeof lth_config_keys / sizeof *lth_config_keys - 1 };

typedef struct loading {
    lth_config *config;
    const lth_config_source *source;
    lth_diags *diags;
    lth_defaults defaults;
    lth_node *tree; /* merged; config->root is made from it */
} loading;

/* ---- reading ---- */

static void merge_text(loading *l, const char *text, size_t size, const char *name, lth_origin origin) {
    char seen[64];
    lth_node *map = lth_yaml_read(text, size, name, origin, &l->config->arena, l->diags);
    if (!map || lth_node_is_null(map)) {
        return;
    }
    if (map->kind != LTH_NODE_MAP) {
        LTH_CONFIG_ERROR(l->diags, map, "a configuration begins with keys such as `model:`", "%s is no configuration",
                         lth_node_describe(map, seen, sizeof seen));
        return;
    }
    lth_config_merge(&l->config->arena, l->tree, map);
}

static void merge_file(loading *l, const char *path) {
    char *text;
    size_t size;
    lth_error err = {0};
    if (lth_read_file(path, LTH_YAML_MAX_BYTES, &text, &size, &err) != LT_OK) {
        lth_diag_add(l->diags, err.code == LT_ENOMEM ? err.code : LT_ECONFIG, NULL, 0, NULL, "%s", err.text);
        return;
    }
    merge_text(l, text, size, path, LTH_FROM_FILE);
    lth_free(text);
}

static bool read_sources(loading *l) {
    size_t errors = l->diags->count;
    if (lth_config_defaults(&l->config->arena, &l->defaults, l->diags) != LT_OK) {
        return false;
    }
    l->tree = l->defaults.tree;
    if (l->source->text) {
        merge_text(l, l->source->text, strlen(l->source->text), l->source->text_name ? l->source->text_name : "checkpoint",
                   LTH_FROM_CHECKPOINT);
    }
    for (size_t i = 0; i < l->source->n_files; i++) {
        merge_file(l, l->source->files[i]);
    }
    if (l->diags->count != errors) {
        return false;
    }
    for (size_t i = 0; i < l->source->n_overrides; i++) {
        lth_config_override_apply(&l->config->arena, l->tree, &l->source->overrides[i], l->diags);
    }
    return true;
}

/* ---- top-level keys ---- */

static void check_keys(const loading *l) {
    for (const lth_node *child = l->tree->first; child; child = child->next) {
        bool known = false;
        for (size_t i = 0; i < N_KEYS && !known; i++) {
            known = !strcmp(child->key, lth_config_keys[i]);
        }
        if (known) {
            continue;
        }
        if (lth_schema_find(lth_trainer_opts_params(), child->key)) {
            char hint[300];
            snprintf(hint, sizeof hint, "it belongs to the trainer: trainer.%s", child->key);
            lth_diag_add(l->diags, LT_ECONFIG, child->file, child->key_line, hint, "unknown key \"%s\"", child->key);
        } else {
            lth_config_unknown_key(child, "", lth_config_keys, N_KEYS, l->diags);
        }
    }
}

/* Adds a value to the resolved tree, with the place it came from. */
static void set_root(loading *l, const char *key, lth_node *value, const lth_node *from) {
    if (value && from) {
        value->origin = from->origin;
        value->file = from->file;
        value->line = from->line;
        value->column = from->column;
    }
    lth_node_set(&l->config->arena, l->config->root, key, value);
}

/* 32 bits, as all seeds that Lightning accepts. */
static int64_t random_seed(void) {
    uint32_t seed = 0;
    while (getrandom(&seed, sizeof seed, 0) < 0 && errno == EINTR) {}
    return seed;
}

static void resolve_seed(loading *l) {
    const lth_node *node = lth_node_get(l->tree, "seed_everything");
    lth_config *config = l->config;
    bool on = true, is_bool = lth_config_is_bool(node, &on), null = lth_node_is_null(node);
    config->seed = l->defaults.seed;
    config->seed_given = !null && on && node->origin != LTH_FROM_DEFAULT;
    config->seed_random = !on;
    if (config->seed_random) {
        config->seed = random_seed();
    } else if (!null && !is_bool) {
        char seen[64];
        bool good =
            node->kind == LTH_NODE_SCALAR && lth_parse_i64(node->text, &config->seed) && config->seed >= 0 && config->seed <= UINT32_MAX;
        if (!good) {
            LTH_CONFIG_ERROR(l->diags, node, NULL, "seed_everything must be true, false or a number from 0 to 4294967295, not %s",
                             lth_node_describe(node, seen, sizeof seen));
        }
    }
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)config->seed);
    set_root(l, "seed_everything", lth_node_text(&config->arena, text), node);
}

static void resolve_component(loading *l, const char *key, lth_component_ref *out, const char *missing) {
    const lth_node *node = lth_node_get(l->tree, key);
    *out = (lth_component_ref){0};
    if (!lth_node_is_null(node)) {
        lth_node *resolved = lth_config_component(&l->config->arena, node, key, out, l->diags);
        if (out == &l->config->lr_scheduler) {
            lth_config_scheduler(&l->config->arena, node, resolved, &l->config->lr_scheduler_opts, l->diags);
        }
        set_root(l, key, resolved, node);
    } else if (missing && l->source->need_model) {
        bool any = l->source->n_files || l->source->text;
        const char *file = l->source->n_files ? l->source->files[l->source->n_files - 1] : NULL;
        lth_diag_add(l->diags, LT_ECONFIG, file, 0, any ? missing : "give a configuration: -c FILE", "no %s is given", key);
    }
}

static void resolve_components(loading *l) {
    lth_config *config = l->config;
    resolve_component(l, "model", &config->model, "add `model: {class_path: NAME}` or --model NAME");
    resolve_component(l, "data", &config->data, "add `data: {class_path: NAME}` or --data NAME");
    resolve_component(l, "optimizer", &config->optimizer, NULL);
    resolve_component(l, "lr_scheduler", &config->lr_scheduler, NULL);
    const lth_node *scheduler = lth_node_get(l->tree, "lr_scheduler");
    if (!lth_node_is_null(scheduler) && lth_node_is_null(lth_node_get(l->tree, "optimizer"))) {
        LTH_CONFIG_ERROR(l->diags, scheduler, "add `optimizer:`; the model's own optimizer brings its own scheduler",
                         "lr_scheduler needs an optimizer beside it");
    }
}

/* ---- trainer ---- */

/* The bound options as a tree, each with the place of what was given. */
static lth_node *resolved_trainer(loading *l, const lth_node *given) {
    lth_node *map = lth_schema_values(lth_trainer_opts_params(), &l->config->trainer, &l->config->arena, false);
    for (lth_node *child = map ? map->first : NULL; child; child = child->next) {
        const lth_node *from = lth_node_get(given, child->key);
        child->origin = from ? from->origin : LTH_FROM_DEFAULT;
        child->file = from ? from->file : NULL;
        child->line = from ? from->line : 0;
    }
    return map;
}

static void resolve_trainer(loading *l) {
    lth_config *config = l->config;
    lth_node *given = lth_node_get(l->tree, "trainer");
    char seen[64];
    if (!lth_node_is_null(given) && given->kind != LTH_NODE_MAP) {
        LTH_CONFIG_ERROR(l->diags, given, NULL, "trainer must be a map, not %s", lth_node_describe(given, seen, sizeof seen));
        given = NULL;
    }
    config->trainer_node = lth_node_is_null(given) ? lth_node_new(&config->arena, LTH_NODE_MAP) : given;
    if (!config->trainer_node) {
        return;
    }
    lth_config_trainer(config, l->diags);
    lth_node *resolved = resolved_trainer(l, config->trainer_node);
    if (resolved) {
        lth_config_callbacks(config, &l->defaults, resolved, l->diags);
        lth_config_loggers(config, &l->defaults, resolved, l->diags);
        set_root(l, "trainer", resolved, config->trainer_node);
        config->trainer_node = resolved;
    }
}

/* ---- paths ---- */

static void add_plugin(loading *l, lth_node *list, const char *path, const lth_node *from) {
    lth_node *item = path ? lth_node_text(&l->config->arena, path) : NULL;
    if (item) {
        item->quoted = !lth_yaml_is_plain(path);
        item->origin = from ? from->origin : LTH_FROM_COMMAND_LINE;
        item->file = from ? from->file : "command line";
        item->line = from ? from->line : 0;
        lth_node_append(list, item);
        l->config->plugins[l->config->n_plugins++] = path;
    }
}

/* Those of the command line first: where two files offer the same component, the one searched first is used. */
static void resolve_plugins(loading *l) {
    lth_arena *arena = &l->config->arena;
    const lth_node *node = lth_node_get(l->tree, "plugins");
    const lth_node *first = lth_node_is_null(node) ? NULL : node->kind == LTH_NODE_LIST ? node->first : node;
    size_t room = l->source->n_plugins + (node && node->kind == LTH_NODE_LIST ? lth_node_count(node) : 1);
    lth_node *list = lth_node_new(arena, LTH_NODE_LIST);
    l->config->plugins = lth_arena_alloc(arena, (room + 1) * sizeof *l->config->plugins);
    if (!l->config->plugins || !list) {
        return;
    }
    for (size_t i = 0; i < l->source->n_plugins; i++) {
        add_plugin(l, list, lth_config_path(arena, NULL, l->source->plugins[i]), NULL);
    }
    for (const lth_node *item = first; item; item = node->kind == LTH_NODE_LIST ? item->next : NULL) {
        char seen[64];
        if (item->kind == LTH_NODE_SCALAR && *item->text) {
            add_plugin(l, list, lth_config_path(arena, item, item->text), item);
        } else {
            LTH_CONFIG_ERROR(l->diags, item, "a list of .so files or folders", "plugins: %s is no path",
                             lth_node_describe(item, seen, sizeof seen));
        }
    }
    if (l->config->n_plugins) {
        set_root(l, "plugins", list, node);
    }
}

static void resolve_ckpt_path(loading *l) {
    static const char *const words[] = {"best", "last", "none"};
    const lth_node *node = lth_node_get(l->tree, "ckpt_path");
    if (lth_node_is_null(node)) {
        return;
    }
    if (node->kind != LTH_NODE_SCALAR || !*node->text) {
        LTH_CONFIG_ERROR(l->diags, node, NULL, "ckpt_path must be a file, best, last or none");
        return;
    }
    bool word = false;
    for (size_t i = 0; i < sizeof words / sizeof *words && !word; i++) {
        word = !strcmp(node->text, words[i]);
    }
    l->config->ckpt_path = word ? node->text : lth_config_path(&l->config->arena, node, node->text);
    lth_node *text = l->config->ckpt_path ? lth_node_text(&l->config->arena, l->config->ckpt_path) : NULL;
    if (text) {
        text->quoted = !lth_yaml_is_plain(text->text);
        set_root(l, "ckpt_path", text, node);
    }
}

/* ---- all of it ---- */

static void resolve(loading *l) {
    l->config->root = lth_node_new(&l->config->arena, LTH_NODE_MAP);
    if (!l->config->root) {
        return;
    }
    check_keys(l);
    resolve_seed(l);
    resolve_trainer(l);
    resolve_components(l);
    resolve_plugins(l);
    resolve_ckpt_path(l);
}

lt_status lth_config_load(const lth_config_source *source, lth_diags *diags, lth_config **out) {
    size_t errors = diags->count;
    loading l = {.config = lth_alloc(sizeof(lth_config)), .source = source, .diags = diags};
    *out = NULL;
    bool read = l.config && read_sources(&l);
    if (read) {
        resolve(&l);
    }
    bool memory = l.config && !l.config->arena.failed;
    if (!memory) {
        lth_diag_add(diags, LT_ENOMEM, NULL, 0, NULL, "out of memory while reading the configuration");
    }
    bool good = memory && diags->count == errors;
    if (good || (memory && read && source->keep_errors)) {
        *out = l.config;
    } else {
        lth_config_free(l.config);
    }
    return good ? LT_OK : memory ? LT_ECONFIG : LT_ENOMEM;
}

void lth_config_free(lth_config *config) {
    if (config) {
        lth_arena_release(&config->arena);
        lth_free(config);
    }
}
