/* base/node.h - a tree of values with the place each came from: what YAML files, overrides, checkpoints' configs and component
 * parameters are made of. Parsing and printing YAML is config's; binding to a schema is base/schema.h. Lives in an arena. */
#ifndef LTH_NODE_H
#define LTH_NODE_H
#include "base/arena.h"
#include <stdbool.h>

typedef enum { LTH_NODE_NULL, LTH_NODE_SCALAR, LTH_NODE_LIST, LTH_NODE_MAP } lth_node_kind;
typedef enum { LTH_FROM_DEFAULT, LTH_FROM_FILE, LTH_FROM_COMMAND_LINE, LTH_FROM_ENVIRONMENT, LTH_FROM_CHECKPOINT } lth_origin;
typedef struct lth_node {
    lth_node_kind kind;
    lth_origin origin;
    const char *file;           /* "command line" for overrides */
    int line, column;           /* of the value; 0 for none */
    bool quoted;                /* a quoted scalar is text whatever it looks like */
    const char *text;           /* scalar */
    const char *key;            /* when inside a map */
    int key_line;
    struct lth_node *first, *next; /* children, siblings */
} lth_node;

lth_node *lth_node_new(lth_arena *arena, lth_node_kind kind);
lth_node *lth_node_text(lth_arena *arena, const char *text);
lth_node *lth_node_get(const lth_node *map, const char *key);       /* NULL: absent (or not a map) */
lth_node *lth_node_at(const lth_node *root, const char *dotted);    /* "trainer.max_epochs", "trainer.callbacks.0.class_path" */
void lth_node_set(lth_arena *arena, lth_node *map, const char *key, lth_node *value); /* replaces or appends */
void lth_node_append(lth_node *list, lth_node *item);
size_t lth_node_count(const lth_node *node);
/* Null as a value: no node, kind null, or an unquoted "null" or "~". */
bool lth_node_is_null(const lth_node *node);
/* "null", "a list", "a map" or the text of a scalar in quotes, for messages; into out, cut if too long. Returns out. */
const char *lth_node_describe(const lth_node *node, char *out, size_t size);
lth_node *lth_node_copy(lth_arena *arena, const lth_node *node);
bool lth_node_equal(const lth_node *a, const lth_node *b);          /* values; origins are ignored */
#endif
