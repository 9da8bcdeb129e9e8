/* base/node.c - value trees. Nodes are never freed alone; a node belongs to one parent. Out of memory shows as NULL and in the arena. */
#include "base/node.h"
#include "base/str.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

lth_node *lth_node_new(lth_arena *arena, lth_node_kind kind) {
    lth_node *node = lth_arena_alloc(arena, sizeof *node);
    if (node) {
        node->kind = kind;
    }
    return node;
}

lth_node *lth_node_text(lth_arena *arena, const char *text) {
    lth_node *node = lth_node_new(arena, LTH_NODE_SCALAR);
    if (node) {
        node->text = lth_arena_strdup(arena, text ? text : "");
    }
    return node && node->text ? node : NULL;
}

lth_node *lth_node_get(const lth_node *map, const char *key) {
    if (!map || map->kind != LTH_NODE_MAP) {
        return NULL;
    }
    for (lth_node *child = map->first; child; child = child->next) {
        if (child->key && !strcmp(child->key, key)) {
            return child;
        }
    }
    return NULL;
}

/* The list item that the digits before '.' or the end name; *rest is moved behind them. */
static lth_node *item_at(const lth_node *list, const char **rest) {
    size_t index = 0, digits = strspn(*rest, "0123456789");
    if (digits == 0 || digits > 9 || ((*rest)[digits] != 0 && (*rest)[digits] != '.')) {
        return NULL;
    }
    for (size_t i = 0; i < digits; i++) {
        index = index * 10 + (size_t)((*rest)[i] - '0');
    }
    lth_node *item = list->first;
    while (item && index--) {
        item = item->next;
    }
    *rest += digits;
    return item;
}

/* The child whose key begins rest; the longest, so that keys with dots in them can be reached. */
static lth_node *child_at(const lth_node *map, const char **rest) {
    lth_node *found = NULL;
    size_t longest = 0;
    for (lth_node *child = map->first; child; child = child->next) {
        size_t length = child->key ? strlen(child->key) : 0;
        bool fits = length > longest && !strncmp(*rest, child->key, length) && ((*rest)[length] == 0 || (*rest)[length] == '.');
        if (fits) {
            found = child;
            longest = length;
        }
    }
    *rest += longest;
    return found;
}

lth_node *lth_node_at(const lth_node *root, const char *dotted) {
    const lth_node *node = root;
    while (node && *dotted) {
        node = node->kind == LTH_NODE_MAP ? child_at(node, &dotted) : node->kind == LTH_NODE_LIST ? item_at(node, &dotted) : NULL;
        if (node && *dotted == '.') {
            dotted++;
            if (!*dotted) {
                return NULL; /* "trainer." names nothing */
            }
        }
    }
    return (lth_node *)node;
}

void lth_node_set(lth_arena *arena, lth_node *map, const char *key, lth_node *value) {
    if (!map || map->kind != LTH_NODE_MAP || !value) {
        return;
    }
    lth_node **slot = &map->first;
    while (*slot && !((*slot)->key && !strcmp((*slot)->key, key))) {
        slot = &(*slot)->next;
    }
    if (*slot == value) {
        return;
    }
    const char *kept = *slot ? (*slot)->key : value->key && !strcmp(value->key, key) ? value->key : lth_arena_strdup(arena, key);
    if (!kept) {
        return; /* arena->failed says so */
    }
    value->key = kept;
    value->next = *slot ? (*slot)->next : NULL;
    *slot = value;
}

void lth_node_append(lth_node *list, lth_node *item) {
    if (!list || !item) {
        return;
    }
    lth_node **slot = &list->first;
    while (*slot) {
        slot = &(*slot)->next;
    }
    item->next = NULL;
    *slot = item;
}

size_t lth_node_count(const lth_node *node) {
    size_t count = 0;
    for (const lth_node *child = node ? node->first : NULL; child; child = child->next) {
        count++;
    }
    return count;
}

bool lth_node_is_null(const lth_node *node) {
    return !node || node->kind == LTH_NODE_NULL || (node->kind == LTH_NODE_SCALAR && !node->quoted && lth_text_is_null(node->text));
}

const char *lth_node_describe(const lth_node *node, char *out, size_t size) {
    if (node && node->kind == LTH_NODE_SCALAR && (node->quoted || !lth_text_is_null(node->text))) {
        int length = snprintf(out, size, "\"%s\"", node->text);
        if (length >= (int)size && size > 5) {
            size_t at = size - 5;
            while (at > 1 && ((unsigned char)out[at] & 0xC0) == 0x80) {
                at--;
            }
            memcpy(out + at, "...\"", 5);
        }
        return out;
    }
    bool list = node && node->kind == LTH_NODE_LIST, map = node && node->kind == LTH_NODE_MAP;
    snprintf(out, size, "%s", list ? "a list" : map ? "a map" : "null");
    return out;
}

/* Copies a node with its texts, without children and siblings. A file's name is shared by all nodes of the file; the last copy made
 * is passed along, so that it is kept once a run of nodes. */
static lth_node *copy_alone(lth_arena *arena, const lth_node *node, const char **file_from, const char **file_to) {
    lth_node *copy = lth_node_new(arena, node->kind);
    if (!copy) {
        return NULL;
    }
    *copy = *node;
    copy->first = copy->next = NULL;
    copy->text = lth_arena_strdup(arena, node->text);
    copy->key = lth_arena_strdup(arena, node->key);
    if (node->file != *file_from) {
        *file_from = node->file;
        *file_to = lth_arena_strdup(arena, node->file);
    }
    copy->file = *file_to;
    bool whole = !copy->text == !node->text && !copy->key == !node->key && !copy->file == !node->file;
    return whole ? copy : NULL;
}

static lth_node *copy_tree(lth_arena *arena, const lth_node *node, const char **file_from, const char **file_to) {
    lth_node *copy = copy_alone(arena, node, file_from, file_to);
    if (!copy) {
        return NULL;
    }
    lth_node **slot = &copy->first;
    for (const lth_node *child = node->first; child; child = child->next) {
        *slot = copy_tree(arena, child, file_from, file_to);
        if (!*slot) {
            return NULL;
        }
        slot = &(*slot)->next;
    }
    return copy;
}

lth_node *lth_node_copy(lth_arena *arena, const lth_node *node) {
    const char *file_from = NULL, *file_to = NULL;
    return node ? copy_tree(arena, node, &file_from, &file_to) : NULL;
}

/* 1_000 and 1e3 are the same integer, 0.1 and 1e-1 the same float, yes and true the same truth; 1 and 1.0 differ (limits). */
static bool plain_scalars_equal(const char *a, const char *b) {
    int64_t i, j;
    double x, y;
    bool p, q, a_int = lth_parse_i64(a, &i), b_int = lth_parse_i64(b, &j);
    if (a_int || b_int) {
        return a_int && b_int && i == j;
    }
    if (lth_parse_f64(a, &x) && lth_parse_f64(b, &y)) {
        return x == y || (x != x && y != y);
    }
    return lth_parse_bool(a, &p) && lth_parse_bool(b, &q) && p == q;
}

/* Whether an unquoted text would be read as something else than text. */
static bool is_typed(const char *text) {
    int64_t i;
    double x;
    bool p;
    return lth_parse_i64(text, &i) || lth_parse_f64(text, &x) || lth_parse_bool(text, &p) || lth_text_is_null(text);
}

static bool scalars_equal(const lth_node *a, const lth_node *b) {
    if (!strcmp(a->text, b->text)) {
        return a->quoted == b->quoted || !is_typed(a->text);
    }
    return !a->quoted && !b->quoted && plain_scalars_equal(a->text, b->text);
}

bool lth_node_equal(const lth_node *a, const lth_node *b) {
    if (lth_node_is_null(a) || lth_node_is_null(b)) {
        return lth_node_is_null(a) && lth_node_is_null(b);
    }
    if (a->kind != b->kind) {
        return false;
    }
    if (a->kind == LTH_NODE_SCALAR) {
        return scalars_equal(a, b);
    }
    if (lth_node_count(a) != lth_node_count(b)) {
        return false;
    }
    const lth_node *other = b->first;
    for (const lth_node *child = a->first; child; child = child->next, other = other->next) {
        const lth_node *match = a->kind == LTH_NODE_LIST ? other : child->key ? lth_node_get(b, child->key) : NULL;
        if (!match || !lth_node_equal(child, match)) {
            return false;
        }
    }
    return true;
}
