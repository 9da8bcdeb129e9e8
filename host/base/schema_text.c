/* base/schema_text.c - schemas as text: values back as a tree, help lines. What it prints, schema.c reads back to the same values. */
#include "base/schema_parts.h"
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

const char *lth_schema_type_name(const lt_param *param) {
    switch (param->type) {
    case LT_PARAM_INT: return "int";
    case LT_PARAM_FLOAT: return "float";
    case LT_PARAM_BOOL: return "bool";
    case LT_PARAM_TEXT: return param->path ? "path" : "text";
    case LT_PARAM_CHOICE: return "choice";
    case LT_PARAM_OPT_INT: return "int or null";
    case LT_PARAM_OPT_FLOAT: return "float or null";
    case LT_PARAM_INTS: return "list of int";
    case LT_PARAM_FLOATS: return "list of float";
    case LT_PARAM_TEXTS: return param->path ? "list of path" : "list of text";
    case LT_PARAM_RECORDS: return "list of maps";
    default: return "?";
    }
}

/* ---- values ---- */

static lth_node *int_node(lth_arena *arena, int64_t value) {
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)value);
    return lth_node_text(arena, text);
}

/* As YAML writes it, and never like an integer. */
static lth_node *float_node(lth_arena *arena, double value) {
    char text[48];
    if (!isfinite(value)) {
        return lth_node_text(arena, isnan(value) ? ".nan" : value < 0 ? "-.inf" : ".inf");
    }
    lth_format_f64(text, sizeof text - 2, value);
    if (!text[strspn(text, "-0123456789")]) {
        memcpy(text + strlen(text), ".0", 3);
    }
    return lth_node_text(arena, text);
}

/* Quoted only where the text alone would be read as null: numbers are texts here, as far as the schema is asked. */
static lth_node *text_node(lth_arena *arena, const char *text) {
    if (!text) {
        return lth_node_new(arena, LTH_NODE_NULL);
    }
    lth_node *node = lth_node_text(arena, text);
    if (node) {
        node->quoted = !*text || lth_text_is_null(text);
    }
    return node;
}

static lth_node *choice_node(lth_arena *arena, const lt_param *param, int32_t index) {
    size_t length;
    const char *word = lth_choice_word(param->choices, index, &length);
    const char *text = word ? lth_arena_strndup(arena, word, length) : NULL;
    return word ? (text ? lth_node_text(arena, text) : NULL) : lth_node_new(arena, LTH_NODE_NULL);
}

static lth_node *value_node(lth_arena *arena, const lt_param *param, const void *self, bool reveal);

static lth_node *list_node(lth_arena *arena, const lt_param *param, const lth_value *value, bool reveal) {
    lth_node *list = lth_node_new(arena, LTH_NODE_LIST), **end = list ? &list->first : NULL;
    for (int64_t i = 0; list && i < value->records.count; i++) {
        lth_node *item;
        if (param->type == LT_PARAM_INTS) {
            item = int_node(arena, value->ints.items[i]);
        } else if (param->type == LT_PARAM_FLOATS) {
            item = float_node(arena, value->floats.items[i]);
        } else if (param->type == LT_PARAM_TEXTS) {
            item = text_node(arena, value->texts.items[i]);
        } else {
            const lt_params *schema = param->fields();
            item = lth_schema_values(schema, (const char *)value->records.items + (size_t)i * schema->self_size, arena, reveal);
        }
        if (!item) {
            return NULL;
        }
        *end = item;
        end = &item->next;
    }
    return list;
}

static lth_node *value_node(lth_arena *arena, const lt_param *param, const void *self, bool reveal) {
    lth_value v = lth_field_get(param, self);
    if (param->secret && !reveal) {
        return lth_node_text(arena, LTH_SECRET_TEXT);
    }
    switch (param->type) {
    case LT_PARAM_INT: return int_node(arena, v.integer);
    case LT_PARAM_FLOAT: return float_node(arena, v.number);
    case LT_PARAM_BOOL: return lth_node_text(arena, v.truth ? "true" : "false");
    case LT_PARAM_TEXT: return text_node(arena, v.text);
    case LT_PARAM_CHOICE: return choice_node(arena, param, v.choice);
    case LT_PARAM_OPT_INT: return v.opt_int.given ? int_node(arena, v.opt_int.value) : lth_node_new(arena, LTH_NODE_NULL);
    case LT_PARAM_OPT_FLOAT: return v.opt_float.given ? float_node(arena, v.opt_float.value) : lth_node_new(arena, LTH_NODE_NULL);
    default: return list_node(arena, param, &v, reveal);
    }
}

lth_node *lth_schema_values(const lt_params *schema, const void *self, lth_arena *arena, bool reveal) {
    lth_node *map = lth_node_new(arena, LTH_NODE_MAP), **end = map ? &map->first : NULL;
    for (uint32_t i = 0; map && i < schema->count; i++) {
        const lt_param *param = lth_schema_param(schema, i);
        if (param->state) {
            continue;
        }
        lth_node *value = value_node(arena, param, self, reveal);
        if (!value || !(value->key = lth_arena_strdup(arena, param->key))) {
            return NULL;
        }
        *end = value;
        end = &value->next;
    }
    return map;
}

/* ---- help ---- */

enum { WIDEST = 44 }; /* a left side wider than this pushes only its own line */

/* "--model.hidden (int) = 64" */
static void left_side(const lt_param *param, const char *prefix, lth_buf *out) {
    const char *type = param->type == LT_PARAM_CHOICE ? param->choices : lth_schema_type_name(param);
    lth_buf_printf(out, "%s%s (%s", prefix, param->key, type);
    if (!param->initial) {
        lth_buf_add(out, ", required)");
    } else {
        lth_buf_printf(out, ") = %s", *param->initial ? param->initial : "\"\"");
    }
}

static size_t widest_left(const lt_params *schema, const char *prefix, lth_buf *scratch) {
    size_t widest = 0;
    for (uint32_t i = 0; i < schema->count; i++) {
        const lt_param *param = lth_schema_param(schema, i);
        lth_buf_clear(scratch);
        if (!param->state) {
            left_side(param, prefix, scratch);
        }
        widest = scratch->size > widest && scratch->size <= WIDEST ? scratch->size : widest;
    }
    return widest;
}

static void right_side(const lt_param *param, lth_buf *out) {
    lth_buf_add(out, param->doc ? param->doc : "");
    if (param->range || param->unit) {
        lth_buf_printf(out, " [%s%s%s]", param->range ? param->range : "", param->range && param->unit ? " " : "",
                       param->unit ? param->unit : "");
    }
    if (param->alias) {
        lth_buf_printf(out, " (also: %s)", param->alias);
    }
    if (param->live) {
        lth_buf_add(out, " (live)");
    }
    if (param->secret) {
        lth_buf_add(out, " (secret)");
    }
}

static void help(const lt_params *schema, const char *prefix, int depth, lth_buf *out) {
    lth_buf left = {0}, inner = {0};
    size_t width = widest_left(schema, prefix, &left);
    for (uint32_t i = 0; i < schema->count; i++) {
        const lt_param *param = lth_schema_param(schema, i);
        if (param->state) {
            continue;
        }
        lth_buf_clear(&left);
        left_side(param, prefix, &left);
        lth_buf_printf(out, "  %-*s  ", (int)width, lth_buf_text(&left));
        right_side(param, out);
        while (out->size && out->data[out->size - 1] == ' ') {
            out->data[--out->size] = 0;
        }
        lth_buf_add(out, "\n");
        if (param->type == LT_PARAM_RECORDS && param->fields && depth < 4) { /* a schema may hold itself */
            lth_buf_clear(&inner);
            lth_buf_printf(&inner, "%s%s[].", prefix, param->key);
            help(param->fields(), lth_buf_text(&inner), depth + 1, out);
        }
    }
    out->failed |= left.failed || inner.failed;
    lth_buf_release(&left);
    lth_buf_release(&inner);
}

void lth_schema_help(const lt_params *schema, const char *prefix, lth_buf *out) { help(schema, prefix ? prefix : "", 0, out); }
