/* config/merge.c - laying one tree over another. The later one wins key by key; a list replaces a list; `key+` appends to the list so
 * far; null stays as null, which everyone reads as absent; another class_path drops the init_args of the class before it.
 * Knows what a component looks like, not where one may stand. Nodes are moved, never copied: `over` is used up. */
#include "config/internal.h"
#include <string.h>

/* ---- maps ---- */

void lth_config_put(lth_node *map, lth_node *child) {
    lth_node **slot = &map->first;
    while (*slot && strcmp((*slot)->key, child->key) != 0) {
        slot = &(*slot)->next;
    }
    child->next = *slot ? (*slot)->next : NULL;
    *slot = child;
}

void lth_config_take(lth_node *map, const lth_node *child) {
    for (lth_node **slot = &map->first; *slot; slot = &(*slot)->next) {
        if (*slot == child) {
            *slot = child->next;
            return;
        }
    }
}

lth_node *lth_config_map_like(lth_arena *arena, const lth_node *origin) {
    lth_node *map = lth_node_new(arena, LTH_NODE_MAP);
    if (map && origin) {
        map->origin = origin->origin;
        map->file = origin->file;
        map->line = origin->line;
        map->column = origin->column;
        map->key = origin->key;
        map->key_line = origin->key_line;
    }
    return map;
}

/* ---- components ---- */

bool lth_config_is_bool(const lth_node *node, bool *value) {
    return node && node->kind == LTH_NODE_SCALAR && !node->quoted && lth_parse_bool(node->text, value);
}

const char *lth_class_id(const char *class_path) {
    const char *colon = strrchr(class_path, ':');
    const char *dot = strrchr(colon ? colon : class_path, '.');
    return dot ? dot + 1 : colon ? colon + 1 : class_path;
}

lth_node *lth_config_as_component(lth_arena *arena, lth_node *node) {
    bool truth;
    if (!node || node->kind != LTH_NODE_SCALAR || lth_config_is_bool(node, &truth)) {
        return node;
    }
    lth_node *map = lth_config_map_like(arena, node), *class_path = lth_node_copy(arena, node);
    if (!map || !class_path) {
        return node; /* arena->failed says so */
    }
    map->next = node->next;
    class_path->key = "class_path";
    class_path->next = NULL;
    map->first = class_path;
    return map;
}

static bool is_component(const lth_node *node) { return lth_node_get(node, "class_path") || lth_node_get(node, "init_args"); }

/* The arguments of one class mean nothing to another. */
static void drop_old_arguments(lth_node *base, const lth_node *over) {
    const lth_node *before = lth_node_get(base, "class_path"), *after = lth_node_get(over, "class_path");
    bool named = before && after && before->kind == LTH_NODE_SCALAR && after->kind == LTH_NODE_SCALAR;
    if (named && strcmp(lth_class_id(before->text), lth_class_id(after->text)) != 0) {
        const lth_node *old = lth_node_get(base, "init_args");
        if (old) {
            lth_config_take(base, old);
        }
    }
}

/* ---- key+ ---- */

static bool is_append(const char *key) {
    size_t length = strlen(key);
    return length > 1 && key[length - 1] == '+';
}

/* What is there so far, as a list: nothing, null and `false` are an empty one, a single value is a list of one. */
static lth_node *as_list(lth_arena *arena, lth_node *node, const char *key) {
    bool truth;
    if (node && node->kind == LTH_NODE_LIST) {
        return node;
    }
    lth_node *list = lth_config_map_like(arena, node);
    if (!list) {
        return NULL;
    }
    list->kind = LTH_NODE_LIST;
    list->key = key;
    if (!lth_node_is_null(node) && !lth_config_is_bool(node, &truth)) {
        lth_node *only = lth_node_copy(arena, node);
        lth_node_append(list, only);
    }
    return list;
}

static lth_node *settle(lth_arena *arena, lth_node *node);

static void append(lth_arena *arena, lth_node *base, lth_node *child) {
    const char *key = lth_arena_strndup(arena, child->key, strlen(child->key) - 1);
    lth_node *list = key ? as_list(arena, lth_node_get(base, key), key) : NULL;
    if (!list) {
        return;
    }
    lth_node *old = lth_node_get(base, key);
    if (!old || old->origin != child->origin) { /* messages and `config print` name the last place that touched it */
        list->origin = child->origin;
        list->file = child->file;
        list->line = child->line;
        list->key_line = child->key_line;
    }
    if (old != list) {
        lth_config_put(base, list);
    }
    lth_node **slot = &list->first;
    while (*slot) {
        slot = &(*slot)->next;
    }
    bool many = child->kind == LTH_NODE_LIST;
    for (lth_node *item = many ? child->first : child, *next; item; item = next) {
        next = many ? item->next : NULL;
        if (!lth_node_is_null(item)) {
            item->key = NULL;
            *slot = settle(arena, item);
            (*slot)->next = NULL;
            slot = &(*slot)->next;
        }
    }
}

/* A tree that stands alone still may hold `key+`: there it appends to nothing. */
static lth_node *settle(lth_arena *arena, lth_node *node) {
    if (node->kind == LTH_NODE_MAP) {
        lth_node *map = lth_config_map_like(arena, node);
        if (map) {
            lth_config_merge(arena, map, node);
            map->next = node->next;
        }
        return map ? map : node;
    }
    for (lth_node **slot = node->kind == LTH_NODE_LIST ? &node->first : NULL; slot && *slot; slot = &(*slot)->next) {
        *slot = settle(arena, *slot);
    }
    return node;
}

/* ---- one over another ---- */

static void merge_child(lth_arena *arena, lth_node *base, lth_node *child) {
    lth_node *old = lth_node_get(base, child->key);
    if (!old) {
        lth_config_put(base, settle(arena, child));
        return;
    }
    /* "Net" and {class_path: Net} are the same thing said shortly and at length. */
    if (is_component(old) && child->kind == LTH_NODE_SCALAR) {
        child = lth_config_as_component(arena, child);
    } else if (is_component(child) && old->kind == LTH_NODE_SCALAR) {
        lth_node *longer = lth_config_as_component(arena, old);
        if (longer != old) {
            lth_config_put(base, longer);
            old = longer;
        }
    }
    if (old->kind == LTH_NODE_MAP && child->kind == LTH_NODE_MAP) {
        lth_config_merge(arena, old, child);
    } else {
        lth_config_put(base, settle(arena, child));
    }
}

void lth_config_merge(lth_arena *arena, lth_node *base, lth_node *over) {
    drop_old_arguments(base, over);
    for (lth_node *child = over->first, *next; child; child = next) {
        next = child->next;
        child->next = NULL;
        if (is_append(child->key)) {
            append(arena, base, child);
        } else {
            merge_child(arena, base, child);
        }
    }
    over->first = NULL;
}
