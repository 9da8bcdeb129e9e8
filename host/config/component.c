/* config/component.c - what a configuration says of one component: its class path, its arguments, when a scheduler steps.
 * Whether the class exists and takes those arguments is for the registry, which has the plugins. */
#include "base/fs.h"
#include "base/mem.h"
#include "config/internal.h"
#include <stdio.h>
#include <string.h>

/* ---- paths ---- */

const char *lth_config_path(lth_arena *arena, const lth_node *node, const char *text) {
    bool from_file = node && node->file && node->origin == LTH_FROM_FILE;
    char *dir = from_file ? lth_path_dir(node->file) : NULL;
    char *joined = !from_file || dir ? lth_path_join(dir, text) : NULL;
    char *absolute = joined ? lth_path_absolute(joined) : NULL;
    const char *kept = lth_arena_strdup(arena, absolute);
    arena->failed = arena->failed || !absolute;
    lth_free(dir);
    lth_free(joined);
    lth_free(absolute);
    return kept;
}

/* "plugins/models.so:Net": the file made absolute. A bare "models.so:Net" too: relative paths mean the place where they are written. */
static const char *resolve_class_path(lth_arena *arena, const lth_node *node) {
    const char *colon = strrchr(node->text, ':');
    if (!colon) {
        return node->text;
    }
    char *file = lth_arena_strndup(arena, node->text, (size_t)(colon - node->text));
    const char *absolute = file ? lth_config_path(arena, node, file) : NULL;
    return absolute ? lth_arena_printf(arena, "%s%s", absolute, colon) : NULL;
}

static bool check_class_path(const lth_node *node, const char *where, lth_diags *diags) {
    char seen[64];
    bool truth;
    const char *example = "a name such as Net, file.so:Net or some.models.Net";
    if (node->kind != LTH_NODE_SCALAR || lth_config_is_bool(node, &truth) || !*node->text) {
        LTH_CONFIG_ERROR(diags, node, example, "%s: %s is no class path", where, lth_node_describe(node, seen, sizeof seen));
        return false;
    }
    size_t length = strlen(node->text);
    bool file = length > 3 && !strcmp(node->text + length - 3, ".so");
    if (file || !*lth_class_id(node->text) || node->text[0] == ':') {
        LTH_CONFIG_ERROR(diags, node, file ? "write FILE.so:NAME; `lthost plugin info FILE.so` lists the names" : example,
                         "%s: \"%s\" names no class", where, node->text);
        return false;
    }
    return true;
}

/* ---- components ---- */

void lth_config_unknown_key(const lth_node *child, const char *where, const char *const *names, size_t count, lth_diags *diags) {
    const char *nearest = lth_nearest(child->key, names, count);
    int line = child->key_line ? child->key_line : child->line;
    lth_diag_add(diags, LT_ECONFIG, child->file, line, NULL, "unknown key \"%s\"%s%s%s%s%s", child->key, *where ? " of " : "", where,
                 nearest ? "; did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "");
}

/* Keys of a component's map. lr_scheduler and optimizer have more than others, which have the first two. */
static const char *const scheduler_keys[] = {"class_path", "init_args", "interval", "frequency", "monitor", "strict", "name"};
static const char *const optimizer_keys[] = {"class_path", "init_args", "param_groups"};
enum { COMPONENT_KEYS = 2, SCHEDULER_KEYS = 7, OPTIMIZER_KEYS = 3 };

static void check_keys(const lth_node *map, const char *where, const char *const *keys, size_t count, lth_diags *diags) {
    for (const lth_node *child = map->first; child; child = child->next) {
        bool known = false;
        for (size_t i = 0; i < count && !known; i++) {
            known = !strcmp(child->key, keys[i]);
        }
        if (known) {
            continue;
        }
        if (lth_nearest(child->key, keys, count)) {
            lth_config_unknown_key(child, where, keys, count, diags);
        } else {
            lth_diag_add(diags, LT_ECONFIG, child->file, child->key_line, "arguments of the class stand under init_args",
                         "unknown key \"%s\" of %s", child->key, where);
        }
    }
}

static lth_node *resolved_map(lth_arena *arena, const lth_node *node, const lth_node *class_path, const lth_component_ref *ref) {
    lth_node *map = lth_config_map_like(arena, node);
    lth_node *path = lth_node_copy(arena, class_path), *args = lth_node_copy(arena, ref->init_args);
    if (!map || !path) {
        return NULL;
    }
    map->key = NULL;
    path->text = ref->class_path;
    lth_node_set(arena, map, "class_path", path);
    lth_node_set(arena, map, "init_args", args);
    return map;
}

static void check_params(const lth_node *params, const lth_node *group, size_t index, lth_diags *diags) {
    bool list = params && params->kind == LTH_NODE_LIST, good = list ? params->first != NULL : params && params->kind == LTH_NODE_SCALAR && *params->text;
    for (const lth_node *item = list ? params->first : NULL; item; item = item->next) {
        good = good && item->kind == LTH_NODE_SCALAR && *item->text;
    }
    if (!good) {
        LTH_CONFIG_ERROR(diags, params ? params : group, "params: \"*.bias\", or a list of names and patterns",
                         "optimizer.param_groups[%zu]: params must say which parameters belong to the group", index);
    }
}

/* The groups are maps of `params` and of what differs from init_args; their values are bound by the registry. */
static void take_groups(lth_arena *arena, const lth_node *node, lth_node *resolved, lth_diags *diags) {
    const lth_node *groups = lth_node_get(node, "param_groups");
    size_t index = 0;
    if (lth_node_is_null(groups)) {
        return;
    }
    if (groups->kind != LTH_NODE_LIST) {
        LTH_CONFIG_ERROR(diags, groups, "param_groups: [{params: \"*.bias\", weight_decay: 0}]", "optimizer.param_groups must be a list of maps");
        return;
    }
    for (const lth_node *group = groups->first; group; group = group->next, index++) {
        if (group->kind != LTH_NODE_MAP) {
            LTH_CONFIG_ERROR(diags, group, "write {params: \"*.bias\", weight_decay: 0}", "optimizer.param_groups[%zu] must be a map", index);
            continue;
        }
        check_params(lth_node_get(group, "params"), group, index, diags);
    }
    if (resolved) {
        lth_node_set(arena, resolved, "param_groups", lth_node_copy(arena, groups));
    }
}

lth_node *lth_config_component(lth_arena *arena, const lth_node *node, const char *where, lth_component_ref *out, lth_diags *diags) {
    bool map = node->kind == LTH_NODE_MAP, scheduler = !strcmp(where, "lr_scheduler"), optimizer = !strcmp(where, "optimizer");
    const lth_node *class_path = map ? lth_node_get(node, "class_path") : node;
    const lth_node *init_args = map ? lth_node_get(node, "init_args") : NULL;
    char seen[64];
    size_t errors = diags->count;
    *out = (lth_component_ref){.node = node};
    if (map) {
        check_keys(node, where, optimizer ? optimizer_keys : scheduler_keys,
                   scheduler ? SCHEDULER_KEYS : optimizer ? OPTIMIZER_KEYS : COMPONENT_KEYS, diags);
    }
    if (lth_node_is_null(class_path)) {
        LTH_CONFIG_ERROR(diags, node, "add class_path: NAME", "%s: class_path is missing", where);
        return NULL;
    }
    check_class_path(class_path, where, diags);
    if (!lth_node_is_null(init_args) && init_args->kind != LTH_NODE_MAP) {
        LTH_CONFIG_ERROR(diags, init_args, "write one `name: value` a line below it", "%s.init_args must be a map, not %s", where,
                         lth_node_describe(init_args, seen, sizeof seen));
    }
    if (diags->count != errors) {
        return NULL;
    }
    out->class_path = resolve_class_path(arena, class_path);
    out->init_args = lth_node_is_null(init_args) ? NULL : init_args;
    lth_node *resolved = out->class_path ? resolved_map(arena, node, class_path, out) : NULL;
    if (resolved) { /* what main and the registry see is what is printed and saved */
        out->init_args = lth_node_get(resolved, "init_args");
        out->node = resolved;
    }
    if (optimizer && map) {
        take_groups(arena, node, resolved, diags);
    }
    return resolved;
}

/* ---- lr_scheduler ---- */

/* Text of an optional key; NULL when it is absent, null or (with a message) no scalar. */
static const char *scheduler_text(const lth_node *node, const char *key, lth_diags *diags) {
    const lth_node *value = lth_node_get(node, key);
    if (lth_node_is_null(value)) {
        return NULL;
    }
    if (value->kind != LTH_NODE_SCALAR) {
        char seen[64];
        LTH_CONFIG_ERROR(diags, value, NULL, "lr_scheduler.%s must be text, not %s", key, lth_node_describe(value, seen, sizeof seen));
        return NULL;
    }
    return value->text;
}

void lth_config_scheduler(lth_arena *arena, const lth_node *node, lth_node *resolved, lth_scheduler_opts *out, lth_diags *diags) {
    const char *interval = scheduler_text(node, "interval", diags), *frequency = scheduler_text(node, "frequency", diags);
    const char *strict = scheduler_text(node, "strict", diags);
    *out = (lth_scheduler_opts){.frequency = 1, .strict = true};
    out->monitor = scheduler_text(node, "monitor", diags);
    out->name = scheduler_text(node, "name", diags);
    out->each_step = interval && !strcmp(interval, "step");
    if (interval && !out->each_step && strcmp(interval, "epoch") != 0) {
        LTH_CONFIG_ERROR(diags, lth_node_get(node, "interval"), NULL, "lr_scheduler.interval must be epoch or step, not \"%s\"", interval);
    }
    if (frequency && (!lth_parse_i64(frequency, &out->frequency) || out->frequency < 1)) {
        LTH_CONFIG_ERROR(diags, lth_node_get(node, "frequency"), NULL, "lr_scheduler.frequency must be an integer >= 1, not \"%s\"",
                         frequency);
    }
    if (strict && !lth_parse_bool(strict, &out->strict)) {
        LTH_CONFIG_ERROR(diags, lth_node_get(node, "strict"), NULL, "lr_scheduler.strict must be true or false, not \"%s\"", strict);
    }
    for (size_t i = COMPONENT_KEYS; resolved && i < SCHEDULER_KEYS; i++) {
        lth_node_set(arena, resolved, scheduler_keys[i], lth_node_copy(arena, lth_node_get(node, scheduler_keys[i])));
    }
}
