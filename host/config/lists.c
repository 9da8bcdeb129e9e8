/* config/lists.c - which callbacks and loggers run: those that are given, and those of defaults.yaml. Loggers replace the default ones,
 * callbacks are added to them, as in Lightning. Names no component: names and switches come from defaults.yaml. */
#include "config/internal.h"
#include <stdio.h>
#include <string.h>

typedef struct list {
    lth_config *config;
    lth_diags *diags;
    const char *name; /* "callbacks" */
    lth_component_ref *refs;
    size_t count;
    lth_node *resolved;
} list;

static bool begin(list *l, lth_config *config, const char *name, size_t room, lth_diags *diags) {
    *l = (list){.config = config, .diags = diags, .name = name};
    l->refs = lth_arena_alloc(&config->arena, (room + 1) * sizeof *l->refs);
    l->resolved = lth_node_new(&config->arena, LTH_NODE_LIST);
    return l->refs && l->resolved;
}

static void add(list *l, const lth_node *node, const char *where) {
    lth_component_ref ref;
    lth_node *resolved = lth_config_component(&l->config->arena, node, where, &ref, l->diags);
    if (resolved) {
        l->refs[l->count++] = ref;
        lth_node_append(l->resolved, resolved);
    }
}

/* A list, or a single component that stands for a list of one. */
static void add_all(list *l, const lth_node *node) {
    char where[64];
    if (node->kind != LTH_NODE_LIST) {
        snprintf(where, sizeof where, "trainer.%s", l->name);
        add(l, node, where);
        return;
    }
    size_t index = 0;
    for (const lth_node *item = node->first; item; item = item->next) {
        snprintf(where, sizeof where, "trainer.%s.%zu", l->name, index++);
        add(l, item, where);
    }
}

/* What stands in the resolved trainer: the list, or `false` when there is nothing, so that reading it again adds nothing. */
static void finish(list *l, const lth_node *given, bool none, lth_node *trainer) {
    lth_node *value = none ? lth_node_text(&l->config->arena, "false") : l->resolved;
    if (value && given) {
        value->origin = given->origin;
        value->file = given->file;
        value->line = given->line;
    }
    lth_node_set(&l->config->arena, trainer, l->name, value);
}

/* ---- loggers ---- */

void lth_config_loggers(lth_config *config, const lth_defaults *defaults, lth_node *trainer, lth_diags *diags) {
    const lth_node *given = lth_node_get(config->trainer_node, "logger");
    bool on = true, is_bool = lth_config_is_bool(given, &on);
    list l;
    config->loggers_given = !lth_node_is_null(given) && given->origin != LTH_FROM_DEFAULT;
    if (config->trainer.barebones) {
        if (config->loggers_given && on) {
            LTH_CONFIG_ERROR(diags, given, "remove one of them", "trainer.logger cannot be set together with barebones");
        }
        on = false;
    }
    const lth_node *used = !on ? NULL : lth_node_is_null(given) || is_bool ? defaults->loggers : given;
    if (!begin(&l, config, "logger", lth_node_count(used), diags)) {
        return;
    }
    if (used) {
        add_all(&l, used);
    }
    finish(&l, given, !l.count, trainer);
    config->loggers = l.refs;
    config->n_loggers = l.count;
}

/* ---- callbacks ---- */

static const lth_component_ref *find_class(const list *l, size_t count, const char *class_path) {
    for (size_t i = 0; i < count; i++) {
        if (!strcmp(lth_class_id(l->refs[i].class_path), lth_class_id(class_path))) {
            return &l->refs[i];
        }
    }
    return NULL;
}

/* Whether trainer.<key> is on; read from the tree that was made of the bound options, which has every key. */
static bool switched_on(const lth_node *trainer, const char *key) {
    const lth_node *value = lth_node_get(trainer, key);
    bool on = true;
    return !value || !value->text || !lth_parse_bool(value->text, &on) || on;
}

static void add_defaults(list *l, const lth_defaults *defaults, const lth_node *trainer, bool callbacks_on) {
    size_t given = l->count;
    for (size_t i = 0; i < defaults->n_callbacks; i++) {
        const lth_default_callback *one = &defaults->callbacks[i];
        const lth_node *class_path = lth_node_get(one->component, "class_path");
        bool on = switched_on(trainer, one->enabled_by);
        const lth_component_ref *own = class_path && class_path->text ? find_class(l, given, class_path->text) : NULL;
        if (own && !on) {
            bool barebones = l->config->trainer.barebones;
            LTH_CONFIG_ERROR(l->diags, own->node, "remove one of them", "trainer.callbacks: %s is given, but %s is %s", own->class_path,
                             barebones ? "barebones" : one->enabled_by, barebones ? "true" : "false");
        } else if (!own && on && callbacks_on) {
            add(l, one->component, one->enabled_by);
        }
    }
}

void lth_config_callbacks(lth_config *config, const lth_defaults *defaults, lth_node *trainer, lth_diags *diags) {
    const lth_node *given = lth_node_get(config->trainer_node, "callbacks");
    bool on = true, is_bool = lth_config_is_bool(given, &on);
    list l;
    config->callbacks_given = !lth_node_is_null(given);
    bool listed = config->callbacks_given && !is_bool;
    if (!begin(&l, config, "callbacks", (listed ? lth_node_count(given) : 0) + defaults->n_callbacks, diags)) {
        return;
    }
    if (listed) {
        add_all(&l, given);
    }
    add_defaults(&l, defaults, trainer, on);
    finish(&l, given, !on, trainer);
    config->callbacks = l.refs;
    config->n_callbacks = l.count;
}
