/* config/yaml_print.c - tree -> YAML text in block style. What it prints is read back as an equal tree: texts that YAML would take for
 * something else are quoted. It keeps no comments and no anchors of the files the tree came from. */
#include "config/internal.h"
#include <string.h>

typedef struct printer {
    lth_buf *out;
    bool with_origins;
} printer;

/* ---- scalars ---- */

/* Indicators may not begin a plain text; '-', '?' and ':' may when something follows them. */
static bool may_begin(const char *text) {
    if (strchr(",[]{}#&*!|>'\"%@`", text[0])) {
        return false;
    }
    if (strchr("-?:", text[0])) {
        return text[1] && text[1] != ' ' && strncmp(text, "---", 3) != 0;
    }
    return strncmp(text, "...", 3) != 0;
}

/* Only ASCII stays plain: that leaves out invisible spaces, other line breaks and byte order marks without a table of them. */
bool lth_yaml_is_plain(const char *text) {
    size_t length = strlen(text);
    if (length == 0 || length > 200 || text[0] == ' ' || text[length - 1] == ' ' || text[length - 1] == ':' || !may_begin(text)) {
        return false;
    }
    for (const char *c = text; *c; c++) {
        if (*c < 0x20 || *c > 0x7e) { /* and, where char is signed, all bytes beyond ASCII */
            return false;
        }
        if ((c[0] == ':' && c[1] == ' ') || (c[0] == ' ' && c[1] == '#')) {
            return false;
        }
    }
    return true;
}

/* Bytes of the UTF-8 character at c; 0 if it is none. */
static int character(const unsigned char *c, unsigned *code) {
    int size = c[0] < 0x80 ? 1 : (c[0] & 0xe0) == 0xc0 ? 2 : (c[0] & 0xf0) == 0xe0 ? 3 : (c[0] & 0xf8) == 0xf0 ? 4 : 0;
    *code = size == 1 ? c[0] : size ? c[0] & (0x7fu >> size) : 0;
    for (int i = 1; i < size; i++) {
        if ((c[i] & 0xc0) != 0x80) {
            return 0;
        }
        *code = *code << 6 | (c[i] & 0x3fu);
    }
    return size;
}

static void print_escaped(lth_buf *out, unsigned code) {
    switch (code) {
    case '\n':
        lth_buf_add(out, "\\n");
        break;
    case '\t':
        lth_buf_add(out, "\\t");
        break;
    case '\r':
        lth_buf_add(out, "\\r");
        break;
    case '"':
        lth_buf_add(out, "\\\"");
        break;
    case '\\':
        lth_buf_add(out, "\\\\");
        break;
    default:
        lth_buf_printf(out, code < 0x100 ? "\\x%02X" : "\\u%04X", code);
    }
}

static void print_quoted(lth_buf *out, const char *text) {
    lth_buf_add(out, "\"");
    for (const unsigned char *c = (const unsigned char *)text; *c;) {
        unsigned code;
        int size = character(c, &code);
        if (size == 0) { /* no text; cannot come from a file or the command line, which are checked */
            lth_buf_add(out, "?");
            c++;
            continue;
        }
        bool escape = code < 0x20 || code == '"' || code == '\\' || (code >= 0x7f && code < 0xa0) || code == 0x2028 || code == 0x2029 ||
                      code == 0xfeff || code == 0xfffe || code == 0xffff;
        if (escape) {
            print_escaped(out, code);
        } else {
            lth_buf_add_bytes(out, c, (size_t)size);
        }
        c += size;
    }
    lth_buf_add(out, "\"");
}

/* Whether the text would be taken for a number, a truth value or null when it stands without quotes. Other readers see dates and times
 * too (2026-01-31, 12:30), so that whatever begins like a number counts. */
static bool looks_typed(const char *text) {
    int64_t integer;
    double number;
    bool truth;
    bool number_like = strchr("0123456789+-.=", text[0]) || lth_parse_i64(text, &integer) || lth_parse_f64(text, &number);
    return number_like || lth_parse_bool(text, &truth) || lth_text_is_null(text);
}

static void print_text(lth_buf *out, const char *text, bool is_text) {
    if (lth_yaml_is_plain(text) && !(is_text && looks_typed(text))) {
        lth_buf_add(out, text);
    } else {
        print_quoted(out, text);
    }
}

/* A key is text whatever it looks like, but a plain `<<` has a meaning of its own. */
static void print_key(lth_buf *out, const char *key) {
    if (lth_yaml_is_plain(key) && strcmp(key, "<<") != 0) {
        lth_buf_add(out, key);
    } else {
        print_quoted(out, key);
    }
    lth_buf_add(out, ":");
}

/* ---- trees ---- */

static void print_children(printer *p, const lth_node *node, int indent);

static void indent_line(printer *p, int indent) { lth_buf_printf(p->out, "%*s", indent, ""); }

static void print_origin(printer *p, const lth_node *node) {
    static const char *const names[] = {"default", "file", "command line", "environment", "checkpoint"};
    if (p->with_origins) {
        const char *where = node->file && node->origin != LTH_FROM_DEFAULT ? node->file : names[node->origin];
        lth_buf_add(p->out, "  # ");
        for (const char *c = where; *c; c++) {
            bool plain = *c >= 0x20 && *c < 0x7f; /* a comment ends at a line break, and must be text */
            lth_buf_add_bytes(p->out, plain ? c : "?", 1);
        }
        if (node->line > 0 && node->origin != LTH_FROM_DEFAULT) {
            lth_buf_printf(p->out, ":%d", node->line);
        }
    }
    lth_buf_add(p->out, "\n");
}

/* What stands behind "key:" or "-": a value on the same line, or lines below. */
static void print_value(printer *p, const lth_node *node, int indent) {
    if ((node->kind == LTH_NODE_LIST || node->kind == LTH_NODE_MAP) && node->first) {
        lth_buf_add(p->out, "\n");
        print_children(p, node, indent);
        return;
    }
    lth_buf_add(p->out, " ");
    switch (node->kind) {
    case LTH_NODE_SCALAR:
        print_text(p->out, node->text, node->quoted);
        break;
    case LTH_NODE_LIST:
        lth_buf_add(p->out, "[]");
        break;
    case LTH_NODE_MAP:
        lth_buf_add(p->out, "{}");
        break;
    case LTH_NODE_NULL:
        lth_buf_add(p->out, "null");
        break;
    }
    print_origin(p, node);
}

static void print_pair(printer *p, const lth_node *child, int indent) {
    print_key(p->out, child->key);
    print_value(p, child, indent + 2);
}

static void print_children(printer *p, const lth_node *node, int indent) {
    for (const lth_node *child = node->first; child; child = child->next) {
        indent_line(p, indent);
        if (node->kind == LTH_NODE_MAP) {
            print_pair(p, child, indent);
        } else if (child->kind == LTH_NODE_MAP && child->first) { /* "- key: value": the first pair stands behind the dash */
            lth_buf_add(p->out, "- ");
            print_pair(p, child->first, indent + 2);
            lth_node rest = {.kind = LTH_NODE_MAP, .first = child->first->next};
            print_children(p, &rest, indent + 2);
        } else {
            lth_buf_add(p->out, "-");
            print_value(p, child, indent + 2);
        }
    }
}

void lth_yaml_print(const lth_node *node, bool with_origins, lth_buf *out) {
    printer p = {out, with_origins};
    if (!node || node->kind == LTH_NODE_NULL) {
        lth_buf_add(out, "null\n");
    } else if ((node->kind == LTH_NODE_MAP || node->kind == LTH_NODE_LIST) && node->first) {
        print_children(&p, node, 0);
    } else if (node->kind == LTH_NODE_SCALAR) {
        print_text(out, node->text, node->quoted);
        lth_buf_add(out, "\n");
    } else {
        lth_buf_add(out, node->kind == LTH_NODE_MAP ? "{}\n" : "[]\n");
    }
}
