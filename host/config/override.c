/* config/override.c - `--trainer.max_epochs=3` onto the tree. Finds the place that a dotted key means, then merges the value there as
 * if a file had said it. Knows the short forms for components: init_args may be left out, a list of components without an index means
 * its last one, a bare name is a class_path. Says nothing about whether keys and values make sense: binding does. */
#include "config/internal.h"
#include <string.h>

typedef enum { PLAIN, ROOT, TRAINER, COMPONENT, OPTIMIZER, SCHEDULER, COMPONENT_LIST } place;
typedef struct cursor {
    lth_arena *arena;
    lth_diags *diags;
    const lth_config_override *override;
    lth_node *node;   /* map or list that the next word is looked up in */
    lth_node *parent; /* NULL at the root; node stands in it */
    place place;
} cursor;

#define OVERRIDE_ERROR(c, hint, ...) lth_diag_add((c)->diags, LT_ECONFIG, NULL, 0, hint, __VA_ARGS__)

static void mark(lth_node *node) {
    node->origin = LTH_FROM_COMMAND_LINE;
    node->file = "command line";
}

/* ---- values ---- */

/* Length of well-formed UTF-8 text; bytes that are no text could not be written to the run's config.yaml. */
static bool is_utf8(const char *text) {
    const unsigned char *c = (const unsigned char *)text;
    while (*c) {
        int more = c[0] < 0x80 ? 0 : c[0] >= 0xc2 && c[0] < 0xe0 ? 1 : (c[0] & 0xf0) == 0xe0 ? 2 : c[0] >= 0xf0 && c[0] < 0xf5 ? 3 : -1;
        bool good = more >= 0 && !(c[0] == 0xe0 && c[1] < 0xa0) && !(c[0] == 0xed && c[1] > 0x9f) && !(c[0] == 0xf0 && c[1] < 0x90) &&
                    !(c[0] == 0xf4 && c[1] > 0x8f);
        for (int i = 1; good && i <= more; i++) {
            good = (c[i] & 0xc0) == 0x80;
        }
        if (!good) {
            return false;
        }
        c += more + 1;
    }
    return true;
}

/* Lists, maps and quoted texts are YAML; anything else is one scalar as the shell handed it over, so that `--x=a: b` and `--x=*.so`
 * need no second layer of quotes. */
static lth_node *parse_value(cursor *c) {
    const char *text = c->override->value;
    const char *begin = text + strspn(text, " ");
    if (!is_utf8(text) || !is_utf8(c->override->key)) {
        OVERRIDE_ERROR(c, NULL, "--%s: not UTF-8 text", c->override->key);
        return NULL;
    }
    if (*begin && strchr("[{\"'", *begin)) {
        const char *name = lth_arena_printf(c->arena, "--%s", c->override->key);
        lth_node *node = name ? lth_yaml_read(text, strlen(text), name, LTH_FROM_COMMAND_LINE, c->arena, c->diags) : NULL;
        return node;
    }
    bool null = lth_text_is_null(text);
    lth_node *node = null ? lth_node_new(c->arena, LTH_NODE_NULL) : lth_node_text(c->arena, text);
    if (node) {
        node->quoted = !null && !lth_yaml_is_plain(text);
    }
    return node;
}

static void mark_tree(lth_node *node) {
    mark(node);
    for (lth_node *child = node->first; child; child = child->next) {
        mark_tree(child);
    }
}

/* ---- places ---- */

static place place_below(place here, const char *word) {
    static const struct { const char *word; place place; } roots[] = {
        {"model", COMPONENT}, {"data", COMPONENT}, {"optimizer", OPTIMIZER}, {"lr_scheduler", SCHEDULER}, {"trainer", TRAINER}};
    for (size_t i = 0; here == ROOT && i < sizeof roots / sizeof *roots; i++) {
        if (!strcmp(word, roots[i].word)) {
            return roots[i].place;
        }
    }
    return here == TRAINER && (!strcmp(word, "callbacks") || !strcmp(word, "logger")) ? COMPONENT_LIST : PLAIN;
}

static bool is_component(place here) { return here == COMPONENT || here == OPTIMIZER || here == SCHEDULER; }

/* Keys that stand beside init_args; all others are arguments of the component. */
static bool is_own_key(place here, const char *word) {
    static const char *const keys[] = {"class_path", "init_args", "interval", "frequency", "monitor", "strict", "name"};
    for (size_t i = 0; i < (here == SCHEDULER ? 7 : 2); i++) {
        if (!strcmp(word, keys[i])) {
            return true;
        }
    }
    return here == OPTIMIZER && !strcmp(word, "param_groups");
}

/* Puts `now` where c->node stood. */
static void replace(cursor *c, lth_node *now) {
    lth_node **slot = c->parent ? &c->parent->first : NULL;
    while (slot && *slot && *slot != c->node) {
        slot = &(*slot)->next;
    }
    if (slot && *slot) {
        now->next = c->node->next;
        *slot = now;
    }
    c->node = now;
}

/* The map that c->node has to be for a word to be looked up in it. */
static bool enter_map(cursor *c, const char *word) {
    if (is_component(c->place)) {
        lth_node *component = lth_config_as_component(c->arena, c->node);
        if (component != c->node) {
            replace(c, component);
        }
    }
    if (lth_node_is_null(c->node)) {
        lth_node *map = lth_config_map_like(c->arena, c->node);
        if (!map) {
            return false;
        }
        mark(map);
        replace(c, map);
    }
    if (c->node->kind == LTH_NODE_MAP) {
        return true;
    }
    OVERRIDE_ERROR(c, NULL, "--%s: \"%s\" cannot be set in %s", c->override->key, word,
                   c->node->kind == LTH_NODE_LIST ? "a list; name an element by its number" : "what is a single value so far");
    return false;
}

/* Steps to the child `word` of the map c->node, made if it is not there. */
static bool step_into(cursor *c, const char *word) {
    lth_node *child = lth_node_get(c->node, word);
    if (!child) {
        child = lth_node_new(c->arena, LTH_NODE_NULL);
        if (!child) {
            return false;
        }
        mark(child);
        child->key = lth_arena_strdup(c->arena, word);
        if (!child->key) {
            return false;
        }
        lth_config_put(c->node, child);
    }
    c->place = place_below(c->place, word);
    c->parent = c->node;
    c->node = child;
    return true;
}

static bool parse_index(const char *word, size_t *index) {
    size_t digits = strspn(word, "0123456789");
    *index = 0;
    for (size_t i = 0; i < digits && i < 9; i++) {
        *index = *index * 10 + (size_t)(word[i] - '0');
    }
    return digits > 0 && digits < 9 && !word[digits];
}

/* From a list to one of its elements; *used: the word was an index. */
static bool step_to_element(cursor *c, const char *word, bool *used) {
    size_t index, count = lth_node_count(c->node);
    bool components = c->place == COMPONENT_LIST, truth;
    *used = parse_index(word, &index);
    if (components && c->node->kind != LTH_NODE_LIST && !lth_node_is_null(c->node) && !lth_config_is_bool(c->node, &truth) && !*used) {
        c->place = COMPONENT; /* `logger: Name`: a single one needs no list */
        return true;
    }
    if (c->node->kind != LTH_NODE_LIST || count == 0) {
        OVERRIDE_ERROR(c, "append one before it with `+=NAME`", "--%s: there is no element yet that \"%s\" could be set in",
                       c->override->key, word);
        return false;
    }
    if (!*used && !components) {
        OVERRIDE_ERROR(c, NULL, "--%s: \"%s\" is no index of a list of %zu", c->override->key, word, count);
        return false;
    }
    index = *used ? index : count - 1;
    if (index >= count) {
        OVERRIDE_ERROR(c, NULL, "--%s: index %zu is out of range; the list has %zu element%s", c->override->key, index, count,
                       count == 1 ? "" : "s");
        return false;
    }
    c->parent = c->node;
    for (c->node = c->node->first; index; index--) {
        c->node = c->node->next;
    }
    c->place = components ? COMPONENT : PLAIN;
    return true;
}

/* ---- the walk ---- */

/* Merges {word: value} or {word+: value} into the map c->node. */
static void set_key(cursor *c, const char *word, lth_node *value) {
    lth_node *over = lth_node_new(c->arena, LTH_NODE_MAP);
    value->key = c->override->append ? lth_arena_printf(c->arena, "%s+", word) : lth_arena_strdup(c->arena, word);
    if (!over || !value->key) {
        return;
    }
    if (is_component(place_below(c->place, word)) && !c->override->append) {
        value = lth_config_as_component(c->arena, value); /* --model Net */
    }
    over->first = value;
    lth_config_merge(c->arena, c->node, over);
}

/* Replaces the list element c->node. */
static void set_element(cursor *c, lth_node *value) {
    if (c->override->append) {
        OVERRIDE_ERROR(c, NULL, "--%s+: an element of a list cannot be appended to", c->override->key);
        return;
    }
    replace(c, value);
}

/* True when `word` is used up; false: it is to be looked up again one level below, or an error was added (c->node NULL). */
static bool walk(cursor *c, const char *word, bool last, lth_node *value) {
    bool used = false;
    if (c->node->kind == LTH_NODE_LIST || c->place == COMPONENT_LIST) {
        if (!step_to_element(c, word, &used)) {
            c->node = NULL;
        } else if (used && last) {
            set_element(c, value);
        }
        return used;
    }
    const bool component = is_component(c->place);
    if (!enter_map(c, word)) {
        c->node = NULL;
        return false;
    }
    if (component && !is_own_key(c->place, word)) {
        c->node = step_into(c, "init_args") ? c->node : NULL;
        return false;
    }
    if (last) {
        set_key(c, word, value);
    } else if (!step_into(c, word)) {
        c->node = NULL;
    }
    return true;
}

void lth_config_override_apply(lth_arena *arena, lth_node *root, const lth_config_override *one, lth_diags *diags) {
    cursor c = {.arena = arena, .diags = diags, .override = one, .node = root, .place = ROOT};
    lth_node *value = parse_value(&c);
    char *words = lth_arena_strdup(arena, one->key);
    if (!value || !words) {
        return;
    }
    mark_tree(value);
    int depth = 0;
    for (char *word = words, *next; word && c.node; word = next) {
        next = strchr(word, '.');
        if (next) {
            *next++ = 0;
        }
        if (!*word || ++depth > LTH_YAML_MAX_DEPTH || strlen(word) > LTH_YAML_MAX_KEY) {
            OVERRIDE_ERROR(&c, NULL, "--%s: not a dotted key such as trainer.max_epochs", one->key);
            return;
        }
        while (c.node && !walk(&c, word, !next, value)) {
            /* the same word again, below: in the last element, in its init_args */
        }
    }
}
