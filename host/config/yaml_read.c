/* config/yaml_read.c - YAML text -> tree, every node with its line and column. libyaml finds the tokens, this file makes the nodes.
 * Refuses what a configuration has no use for: several documents, tags of other types, keys that are not text, the same key twice,
 * and whatever would grow beyond the limits of internal.h (aliases are copied, so a small file could become a large tree). */
#include "config/internal.h"
#include <string.h>
#include <yaml.h>

typedef struct measure {
    size_t nodes, bytes;
    int height;
} measure;
typedef struct anchor {
    struct anchor *next;
    const char *name;
    const lth_node *node;
    measure size;
} anchor;
typedef struct reader {
    yaml_parser_t parser;
    const char *text, *file;
    size_t size;
    lth_origin origin;
    lth_arena *arena;
    lth_diags *diags;
    anchor *anchors;
    size_t n_anchors, nodes, alias_bytes;
} reader;

static lth_node *read_value(reader *r, const yaml_event_t *event, int depth);

#define READ_ERROR(r, mark, hint, ...)                                                                                                     \
    lth_diag_add((r)->diags, LT_ECONFIG, (r)->file, (r)->origin == LTH_FROM_COMMAND_LINE ? 0 : (int)(mark).line + 1, hint, __VA_ARGS__)

/* ---- syntax errors ---- */

/* Tabs as indentation are the commonest mistake and libyaml's words do not name them. */
static bool line_begins_with_tab(const reader *r, size_t line) {
    const char *at = r->text, *end = r->text + r->size;
    while (at && line--) {
        at = memchr(at, '\n', (size_t)(end - at));
        at = at ? at + 1 : NULL;
    }
    while (at && at < end && *at == ' ') {
        at++;
    }
    return at && at < end && *at == '\t';
}

static size_t line_of_offset(const reader *r, size_t offset) {
    size_t line = 0;
    for (size_t i = 0; i < offset && i < r->size; i++) {
        line += r->text[i] == '\n';
    }
    return line;
}

static void report_syntax(reader *r) {
    const yaml_parser_t *p = &r->parser;
    if (p->error == YAML_MEMORY_ERROR) {
        lth_diag_add(r->diags, LT_ENOMEM, r->file, 0, NULL, "out of memory while reading YAML");
        return;
    }
    yaml_mark_t mark = p->problem_mark;
    if (p->error == YAML_READER_ERROR) { /* bytes that are no text: only the offset is known */
        mark.line = line_of_offset(r, p->problem_offset);
        READ_ERROR(r, mark, "files must be UTF-8 text", "not valid YAML: %s", p->problem);
        return;
    }
    bool tab = line_begins_with_tab(r, mark.line) || (p->context && line_begins_with_tab(r, p->context_mark.line));
    const char *hint = tab ? "YAML indents with spaces; this line begins with a tab" : NULL;
    if (p->context && p->context_mark.line != mark.line) {
        READ_ERROR(r, mark, hint, "not valid YAML at column %zu: %s, %s that began on line %zu", mark.column + 1, p->problem, p->context,
                   p->context_mark.line + 1);
    } else {
        READ_ERROR(r, mark, hint, "not valid YAML at column %zu: %s", mark.column + 1, p->problem ? p->problem : "syntax error");
    }
}

static bool next_event(reader *r, yaml_event_t *event) {
    if (yaml_parser_parse(&r->parser, event)) {
        return true;
    }
    report_syntax(r);
    return false;
}

/* ---- nodes ---- */

static lth_node *new_node(reader *r, lth_node_kind kind, yaml_mark_t mark) {
    if (++r->nodes > LTH_YAML_MAX_NODES) {
        READ_ERROR(r, mark, NULL, "more than %d values in one file", LTH_YAML_MAX_NODES);
        return NULL;
    }
    lth_node *node = lth_node_new(r->arena, kind);
    if (node) {
        node->file = r->file;
        node->origin = r->origin;
        node->line = r->origin == LTH_FROM_COMMAND_LINE ? 0 : (int)mark.line + 1;
        node->column = (int)mark.column + 1;
    }
    return node;
}

/* Text types are told by quotes, so `!!str 5` is one; other tags of YAML itself say what is seen anyway. */
static bool accept_tag(reader *r, const yaml_char_t *tag, yaml_mark_t mark, bool *text) {
    static const char standard[] = "tag:yaml.org,2002:";
    static const char *const known[] = {"str", "int", "float", "bool", "null", "seq", "map"};
    const char *name = (const char *)tag;
    *text = false;
    if (!name || !strcmp(name, "!")) {
        *text = name != NULL;
        return true;
    }
    for (size_t i = 0; !strncmp(name, standard, sizeof standard - 1) && i < sizeof known / sizeof *known; i++) {
        if (!strcmp(name + sizeof standard - 1, known[i])) {
            *text = i == 0;
            return true;
        }
    }
    READ_ERROR(r, mark, "remove it", "the tag \"%s\" has no meaning here", name);
    return false;
}

static char *copy_text(reader *r, const yaml_event_t *event) {
    const char *value = (const char *)event->data.scalar.value;
    size_t length = event->data.scalar.length;
    if (memchr(value, 0, length)) {
        READ_ERROR(r, event->start_mark, NULL, "a text may not hold the character \\0");
        return NULL;
    }
    return lth_arena_strndup(r->arena, value, length);
}

static lth_node *read_scalar(reader *r, const yaml_event_t *event) {
    bool text_tag;
    if (!accept_tag(r, event->data.scalar.tag, event->start_mark, &text_tag)) {
        return NULL;
    }
    char *text = copy_text(r, event);
    lth_node *node = text ? new_node(r, LTH_NODE_SCALAR, event->start_mark) : NULL;
    if (!node) {
        return NULL;
    }
    bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && !text_tag;
    if (plain && (!*text || lth_text_is_null(text))) {
        node->kind = LTH_NODE_NULL;
        return node;
    }
    node->text = text;
    node->quoted = !plain || !lth_yaml_is_plain(text); /* a plain text over several lines has to be quoted when printed */
    return node;
}

static lth_node *read_list(reader *r, const yaml_event_t *start, int depth) {
    lth_node *list = new_node(r, LTH_NODE_LIST, start->start_mark), **slot = list ? &list->first : NULL;
    while (list) {
        yaml_event_t event;
        if (!next_event(r, &event)) {
            return NULL;
        }
        bool end = event.type == YAML_SEQUENCE_END_EVENT;
        lth_node *item = end ? NULL : read_value(r, &event, depth + 1);
        yaml_event_delete(&event);
        if (end) {
            return list;
        }
        if (!item) {
            return NULL;
        }
        *slot = item;
        slot = &item->next;
    }
    return NULL;
}

/* ---- maps ---- */

typedef struct map_reader {
    lth_node *map, **slot;
    lth_node *merged, **merged_slot; /* values of `<<`: maps whose keys are added where the map has none */
    size_t count;
} map_reader;

static lth_node *find_key(lth_node *children, const char *key) {
    while (children && strcmp(children->key, key) != 0) {
        children = children->next;
    }
    return children;
}

static bool one_more_key(reader *r, map_reader *m, yaml_mark_t mark) {
    if (++m->count > LTH_YAML_MAX_KEYS) {
        READ_ERROR(r, mark, NULL, "more than %d keys in one map", LTH_YAML_MAX_KEYS);
        return false;
    }
    return true;
}

/* Keys of the maps that `<<` names; what is there already wins. */
static bool add_merged(reader *r, map_reader *m, lth_node *from, yaml_mark_t mark) {
    if (from->kind != LTH_NODE_MAP) {
        READ_ERROR(r, mark, "write `<<: *name` or `<<: [*one, *two]`", "`<<` takes maps");
        return false;
    }
    for (lth_node *child = from->first, *next; child; child = next) {
        next = child->next;
        if (find_key(m->map->first, child->key)) {
            continue;
        }
        if (!one_more_key(r, m, mark)) {
            return false;
        }
        child->next = NULL;
        *m->slot = child;
        m->slot = &child->next;
    }
    return true;
}

static bool finish_merged(reader *r, map_reader *m, yaml_mark_t mark) {
    for (lth_node *value = m->merged, *next; value; value = next) {
        next = value->next;
        lth_node *one = value->kind == LTH_NODE_LIST ? value->first : value;
        bool list = value->kind == LTH_NODE_LIST;
        for (lth_node *after; one; one = list ? after : NULL) {
            after = one->next;
            if (!add_merged(r, m, one, mark)) {
                return false;
            }
        }
    }
    return true;
}

static void add_child(reader *r, map_reader *m, lth_node *child, yaml_mark_t mark) {
    const lth_node *before = find_key(m->map->first, child->key);
    if (before) {
        READ_ERROR(r, mark, "remove one of them", "the key \"%s\" stands twice in this map; first on line %d", child->key,
                   before->key_line);
        return; /* the rest is read too, so that everything wrong is reported */
    }
    *m->slot = child;
    m->slot = &child->next;
}

/* One `key: value`. key_event holds the key. */
static bool read_pair(reader *r, map_reader *m, const yaml_event_t *key_event, int depth) {
    if (key_event->type != YAML_SCALAR_EVENT) {
        READ_ERROR(r, key_event->start_mark, "quote it if it is text", "a key must be text, not a list, map or alias");
        return false;
    }
    if (key_event->data.scalar.length > LTH_YAML_MAX_KEY) {
        READ_ERROR(r, key_event->start_mark, NULL, "a key longer than %d bytes", LTH_YAML_MAX_KEY);
        return false;
    }
    yaml_event_t event;
    char *key = one_more_key(r, m, key_event->start_mark) ? copy_text(r, key_event) : NULL;
    if (!key || !next_event(r, &event)) {
        return false;
    }
    lth_node *value = read_value(r, &event, depth + 1);
    yaml_event_delete(&event);
    if (!value) {
        return false;
    }
    value->key = key;
    value->key_line = r->origin == LTH_FROM_COMMAND_LINE ? 0 : (int)key_event->start_mark.line + 1;
    if (!strcmp(key, "<<") && key_event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE) {
        *m->merged_slot = value;
        m->merged_slot = &value->next;
    } else {
        add_child(r, m, value, key_event->start_mark);
    }
    return true;
}

static lth_node *read_map(reader *r, const yaml_event_t *start, int depth) {
    map_reader m = {.map = new_node(r, LTH_NODE_MAP, start->start_mark)};
    m.slot = m.map ? &m.map->first : NULL;
    m.merged_slot = &m.merged;
    while (m.map) {
        yaml_event_t event;
        if (!next_event(r, &event)) {
            return NULL;
        }
        bool end = event.type == YAML_MAPPING_END_EVENT;
        bool good = end ? finish_merged(r, &m, start->start_mark) : read_pair(r, &m, &event, depth);
        yaml_event_delete(&event);
        if (!good || end) {
            return good ? m.map : NULL;
        }
    }
    return NULL;
}

/* ---- anchors and aliases ---- */

static measure measure_node(const lth_node *node) {
    measure all = {1, (node->text ? strlen(node->text) : 0) + (node->key ? strlen(node->key) : 0), 0};
    for (const lth_node *child = node->first; child; child = child->next) {
        measure one = measure_node(child);
        all.nodes += one.nodes;
        all.bytes += one.bytes;
        all.height = one.height > all.height ? one.height : all.height;
    }
    all.height += node->kind == LTH_NODE_LIST || node->kind == LTH_NODE_MAP;
    return all;
}

static bool keep_anchor(reader *r, const yaml_char_t *name, const lth_node *node, yaml_mark_t mark) {
    if (++r->n_anchors > LTH_YAML_MAX_ANCHORS) {
        READ_ERROR(r, mark, NULL, "more than %d anchors", LTH_YAML_MAX_ANCHORS);
        return false;
    }
    anchor *a = lth_arena_alloc(r->arena, sizeof *a);
    if (!a) {
        return false;
    }
    /* node->key is not set yet; measured when it is complete otherwise. Only complete nodes are kept: an alias inside its own
     * anchor finds nothing. */
    *a = (anchor){r->anchors, lth_arena_strdup(r->arena, (const char *)name), node, measure_node(node)};
    r->anchors = a;
    return a->name != NULL;
}

static lth_node *read_alias(reader *r, const yaml_event_t *event, int depth) {
    const char *name = (const char *)event->data.alias.anchor;
    const anchor *a = r->anchors;
    while (a && strcmp(a->name, name) != 0) {
        a = a->next;
    }
    if (!a) {
        READ_ERROR(r, event->start_mark, "quote it if a text begins with '*'", "no anchor \"&%s\" stands before this alias", name);
        return NULL;
    }
    r->nodes += a->size.nodes;
    r->alias_bytes += a->size.bytes;
    if (r->nodes > LTH_YAML_MAX_NODES || r->alias_bytes > LTH_YAML_MAX_BYTES || depth + a->size.height - 1 > LTH_YAML_MAX_DEPTH) {
        READ_ERROR(r, event->start_mark, NULL, "the alias \"*%s\" makes the file too large: at most %d values, %d MB, %d levels", name,
                   LTH_YAML_MAX_NODES, LTH_YAML_MAX_BYTES >> 20, LTH_YAML_MAX_DEPTH);
        return NULL;
    }
    lth_node *copy = lth_node_copy(r->arena, a->node);
    if (copy) {
        copy->next = NULL;
        copy->key = NULL;
    }
    return copy;
}

static lth_node *read_container(reader *r, const yaml_event_t *event, int depth) {
    bool list = event->type == YAML_SEQUENCE_START_EVENT, text_tag;
    const yaml_char_t *tag = list ? event->data.sequence_start.tag : event->data.mapping_start.tag;
    if (depth > LTH_YAML_MAX_DEPTH) {
        READ_ERROR(r, event->start_mark, NULL, "lists and maps are nested deeper than %d levels", LTH_YAML_MAX_DEPTH);
        return NULL;
    }
    if (!accept_tag(r, tag, event->start_mark, &text_tag)) {
        return NULL;
    }
    return list ? read_list(r, event, depth) : read_map(r, event, depth);
}

static lth_node *read_value(reader *r, const yaml_event_t *event, int depth) {
    if (event->type == YAML_ALIAS_EVENT) {
        return read_alias(r, event, depth);
    }
    bool scalar = event->type == YAML_SCALAR_EVENT, list = event->type == YAML_SEQUENCE_START_EVENT;
    lth_node *node = scalar ? read_scalar(r, event) : read_container(r, event, depth);
    const yaml_char_t *name = scalar ? event->data.scalar.anchor
                              : list ? event->data.sequence_start.anchor
                                     : event->data.mapping_start.anchor;
    return node && name && !keep_anchor(r, name, node, event->start_mark) ? NULL : node;
}

/* ---- the document ---- */

/* Reads up to the first event of the kind; false: an error, or the end of the stream (*end). */
static bool skip_to(reader *r, yaml_event_type_t wanted, bool *end) {
    for (*end = false; !*end;) {
        yaml_event_t event;
        if (!next_event(r, &event)) {
            return false;
        }
        yaml_event_type_t type = event.type;
        yaml_mark_t mark = event.start_mark;
        yaml_event_delete(&event);
        if (type == wanted) {
            if (wanted == YAML_DOCUMENT_START_EVENT && r->nodes) {
                READ_ERROR(r, mark, "remove the line '---' or make it two files", "the file holds more than one document");
            }
            return true;
        }
        *end = type == YAML_STREAM_END_EVENT;
    }
    return false;
}

static lth_node *read_document(reader *r) {
    bool end;
    yaml_event_t event;
    if (!skip_to(r, YAML_DOCUMENT_START_EVENT, &end)) {
        yaml_mark_t start = {0};
        return end ? new_node(r, LTH_NODE_MAP, start) : NULL; /* an empty file: nothing is said, nothing is wrong */
    }
    if (!next_event(r, &event)) {
        return NULL;
    }
    lth_node *root = read_value(r, &event, 1);
    yaml_event_delete(&event);
    if (root) {
        skip_to(r, YAML_DOCUMENT_START_EVENT, &end); /* there should be none; errors behind the document are found too */
    }
    return root;
}

lth_node *lth_yaml_read(const char *text, size_t size, const char *file, lth_origin origin, lth_arena *arena, lth_diags *diags) {
    size_t errors = diags->count;
    reader r = {.text = text, .size = size, .origin = origin, .arena = arena, .diags = diags};
    r.file = lth_arena_strdup(arena, file);
    if (size > LTH_YAML_MAX_BYTES) {
        lth_diag_add(diags, LT_ECONFIG, file, 0, NULL, "more than %d MB of configuration", LTH_YAML_MAX_BYTES >> 20);
        return NULL;
    }
    lth_node *root = NULL;
    if (yaml_parser_initialize(&r.parser)) {
        yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, size);
        root = read_document(&r);
        yaml_parser_delete(&r.parser);
    }
    if (!root && diags->count == errors) {
        lth_diag_add(diags, LT_ENOMEM, file, 0, NULL, "out of memory while reading YAML");
    }
    return diags->count == errors && !arena->failed ? root : NULL;
}

lth_node *lth_yaml_parse(const char *text, size_t size, const char *file, lth_arena *arena, lth_diags *diags) {
    return lth_yaml_read(text, size, file, LTH_FROM_FILE, arena, diags);
}

lth_node *lth_yaml_parse_flow(const char *text, const char *what, lth_arena *arena, lth_diags *diags) {
    char *whole = lth_arena_printf(arena, "{%s\n}", text); /* the line break keeps a comment at the end from hiding the brace */
    if (!whole) {
        lth_diag_add(diags, LT_ENOMEM, what, 0, NULL, "out of memory");
        return NULL;
    }
    lth_node *map = lth_yaml_read(whole, strlen(whole), what, LTH_FROM_FILE, arena, diags);
    if (map && map->kind != LTH_NODE_MAP) {
        LTH_CONFIG_ERROR(diags, map, "write `key: value, key: value`", "not a map");
        return NULL;
    }
    return map;
}
