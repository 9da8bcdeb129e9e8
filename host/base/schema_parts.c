/* base/schema_parts.c - ranges, choices, field layouts and default texts of parameters. Reads the little YAML that defaults need
 * (flow lists and maps of scalars), since the real parser is config's. */
#include "base/schema_parts.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- fields ---- */

size_t lth_field_size(int32_t type) {
    switch (type) {
    case LT_PARAM_INT: return sizeof(int64_t);
    case LT_PARAM_FLOAT: return sizeof(double);
    case LT_PARAM_BOOL: return sizeof(bool);
    case LT_PARAM_TEXT: return sizeof(const char *);
    case LT_PARAM_CHOICE: return sizeof(int32_t);
    case LT_PARAM_OPT_INT: return sizeof(lt_opt_int);
    case LT_PARAM_OPT_FLOAT: return sizeof(lt_opt_float);
    case LT_PARAM_INTS:
    case LT_PARAM_FLOATS:
    case LT_PARAM_TEXTS:
    case LT_PARAM_RECORDS: return sizeof(lt_ints);
    default: return 0;
    }
}

lth_value lth_field_get(const lt_param *param, const void *self) {
    lth_value value;
    memset(&value, 0, sizeof value);
    memcpy(&value, (const char *)self + param->offset, lth_field_size(param->type));
    return value;
}

/* ---- ranges ---- */

/* One bound with an optional '<' or '>' (open) before it; text may be empty (no bound). */
static bool parse_bound(const char *text, size_t length, char allowed, double *value, bool *has, bool *open) {
    char number[64];
    *has = length > 0;
    *open = length > 0 && text[0] == allowed;
    text += *open;
    length -= *open;
    if (!*has) {
        return true;
    }
    if (length == 0 || length >= sizeof number) {
        return false;
    }
    memcpy(number, text, length);
    number[length] = 0;
    return lth_parse_f64(number, value) && !isnan(*value);
}

bool lth_range_parse(const char *text, lth_range *out) {
    *out = (lth_range){0};
    const char *dots = strstr(text, "..");
    size_t length = strlen(text);
    if (!dots) { /* ">0" and "<1" alone; a bare number would be a constant, not a range */
        bool low = text[0] == '>', high = text[0] == '<';
        if (low) {
            return parse_bound(text, length, '>', &out->low, &out->has_low, &out->low_open);
        }
        return high && parse_bound(text, length, '<', &out->high, &out->has_high, &out->high_open);
    }
    size_t head = (size_t)(dots - text);
    return parse_bound(text, head, '>', &out->low, &out->has_low, &out->low_open) &&
           parse_bound(dots + 2, length - head - 2, '<', &out->high, &out->has_high, &out->high_open) && (out->has_low || out->has_high) &&
           !(out->has_low && out->has_high && out->low > out->high);
}

bool lth_range_holds(const lth_range *range, long double value) {
    bool above = !range->has_low || value > (long double)range->low || (!range->low_open && value == (long double)range->low);
    bool below = !range->has_high || value < (long double)range->high || (!range->high_open && value == (long double)range->high);
    return value == value && above && below;
}

void lth_range_text(const lth_range *range, char *out, size_t size) {
    char low[40], high[40];
    lth_format_f64(low, sizeof low, range->low);
    lth_format_f64(high, sizeof high, range->high);
    if (range->has_low && range->has_high && !range->low_open && !range->high_open) {
        snprintf(out, size, "from %s to %s", low, high);
        return;
    }
    snprintf(out, size, "%s%s%s%s%s", !range->has_low ? "" : range->low_open ? "above " : "at least ", range->has_low ? low : "",
             range->has_low && range->has_high ? " and " : "", !range->has_high ? "" : range->high_open ? "below " : "at most ",
             range->has_high ? high : "");
}

/* ---- choices ---- */

const char *lth_choice_word(const char *choices, int32_t index, size_t *length) {
    for (const char *word = choices; word && index >= 0; index--) {
        *length = strcspn(word, "|");
        if (index == 0) {
            return word;
        }
        word = word[*length] ? word + *length + 1 : NULL;
    }
    return NULL;
}

int32_t lth_choice_index(const char *choices, const char *word) {
    size_t length;
    const char *candidate;
    for (int32_t i = 0; (candidate = lth_choice_word(choices, i, &length)); i++) {
        if (strlen(word) == length && !memcmp(word, candidate, length)) {
            return i;
        }
    }
    return -1;
}

/* ---- defaults ---- */

enum { DEEPEST = 32 };
typedef struct flow { const char *at; lth_arena *arena; int depth; } flow;

static lth_node *flow_value(flow *f);

static void skip_space(flow *f) { f->at += strspn(f->at, " \t\n"); }

static bool take(flow *f, char c) {
    skip_space(f);
    bool there = *f->at == c;
    f->at += there;
    return there;
}

/* A quoted text (no escapes), or a plain one up to whatever ends it in a flow collection. */
static char *flow_text(flow *f, const char *ends, bool *quoted) {
    skip_space(f);
    char quote = *f->at == '"' || *f->at == '\'' ? *f->at : 0;
    *quoted = quote != 0;
    if (quote) {
        const char *start = f->at + 1, *end = strchr(start, quote);
        if (!end) {
            return NULL;
        }
        f->at = end + 1;
        return lth_arena_strndup(f->arena, start, (size_t)(end - start));
    }
    size_t length = strcspn(f->at, ends), trimmed = length;
    while (trimmed && strchr(" \t\n", f->at[trimmed - 1])) {
        trimmed--;
    }
    const char *start = f->at;
    f->at += length;
    return trimmed ? lth_arena_strndup(f->arena, start, trimmed) : NULL;
}

/* Behind '['. */
static lth_node *flow_list(flow *f) {
    lth_node *list = lth_node_new(f->arena, LTH_NODE_LIST);
    while (list && !take(f, ']')) {
        lth_node *item = flow_value(f);
        if (!item) {
            return NULL;
        }
        lth_node_append(list, item);
        skip_space(f);
        if (*f->at != ']' && !take(f, ',')) {
            return NULL;
        }
    }
    return list;
}

/* Behind '{'. */
static lth_node *flow_map(flow *f) {
    lth_node *map = lth_node_new(f->arena, LTH_NODE_MAP);
    while (map && !take(f, '}')) {
        bool quoted;
        char *key = flow_text(f, ":,]}", &quoted);
        lth_node *value = key && take(f, ':') ? flow_value(f) : NULL;
        if (!value) {
            return NULL;
        }
        lth_node_set(f->arena, map, key, value);
        skip_space(f);
        if (*f->at != '}' && !take(f, ',')) {
            return NULL;
        }
    }
    return map;
}

static lth_node *flow_value(flow *f) {
    if (f->depth >= DEEPEST) {
        return NULL;
    }
    lth_node *value = NULL;
    f->depth++;
    if (take(f, '[')) {
        value = flow_list(f);
    } else if (take(f, '{')) {
        value = flow_map(f);
    } else {
        bool quoted;
        const char *text = flow_text(f, ",]}", &quoted);
        value = text ? lth_node_text(f->arena, text) : NULL;
        if (value) {
            value->quoted = quoted;
        }
    }
    f->depth--;
    return value;
}

static lth_node *scalar_initial(lth_arena *arena, const char *text) {
    size_t length = strlen(text);
    bool quoted = length >= 2 && (text[0] == '"' || text[0] == '\'') && text[length - 1] == text[0];
    lth_node *node = lth_node_new(arena, LTH_NODE_SCALAR);
    if (node) {
        node->text = lth_arena_strndup(arena, text + quoted, length - 2 * (size_t)quoted);
        node->quoted = quoted;
    }
    return node && node->text ? node : NULL;
}

lth_node *lth_initial_node(lth_arena *arena, const lt_param *param) {
    if (param->type < LT_PARAM_INTS) {
        return scalar_initial(arena, param->initial);
    }
    const char *text = param->initial + strspn(param->initial, " ");
    if (*text != '[') { /* "1, 2" is "[1, 2]" */
        text = lth_arena_printf(arena, "[%s]", text);
    }
    if (!text) {
        return NULL;
    }
    flow f = {.at = text, .arena = arena};
    lth_node *list = take(&f, '[') ? flow_list(&f) : NULL;
    skip_space(&f);
    return list && *f.at == 0 ? list : NULL;
}
