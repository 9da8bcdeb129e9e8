/* base/schema.c - binds trees of values to structs by their schemas. Every value goes the same way, defaults too, so that a default
 * is checked like anything else. It refuses nothing silently: what does not fit is in the diagnostics, with its place. */
#include "base/fs.h"
#include "base/mem.h"
#include "base/schema_parts.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct binder { const char *what; lth_arena *arena; lth_diags *diags; size_t errors; } binder;

/* One value on its way into one field (or into one item of a list). */
typedef struct target {
    binder *b;
    const lt_param *param;
    const lth_node *node;
    int64_t item; /* -1: not in a list */
    bool is_default;
} target;

enum { SHOWN = 80 }; /* of a value in a message */

/* ---- messages ---- */

static void add(binder *b, lt_status code, const lth_node *at, int line, const char *hint, const char *format, ...)
    __attribute__((format(printf, 6, 7)));
static void add(binder *b, lt_status code, const lth_node *at, int line, const char *hint, const char *format, ...) {
    lth_error text = {0};
    va_list args;
    va_start(args, format);
    lth_vfail(&text, code, format, args);
    va_end(args);
    lth_diag_add(b->diags, code, at ? at->file : NULL, line, hint, "%s", text.text);
    b->errors++;
}

/* "hidden of Net must be an integer, not "abc"": always false, so that callers can return it. */
static bool refuse(const target *t, const char *hint, const char *format, ...) __attribute__((format(printf, 3, 4)));
static bool refuse(const target *t, const char *hint, const char *format, ...) {
    lth_error text = {0};
    char item[32] = "";
    va_list args;
    va_start(args, format);
    lth_vfail(&text, LT_ECONFIG, format, args);
    va_end(args);
    if (t->item >= 0) {
        snprintf(item, sizeof item, "[%lld]", (long long)t->item);
    }
    if (t->is_default) {
        hint = "a mistake in the plugin, not in the configuration";
    }
    add(t->b, t->is_default ? LT_EPLUGIN : LT_ECONFIG, t->node, t->node->line, hint, "%s%s%s of %s %s",
        t->is_default ? "the default of " : "", t->param->key, item, t->b->what, text.text);
    return false;
}

static bool refuse_type(const target *t, const char *wanted) {
    char shown[SHOWN];
    bool quoted = t->node->kind == LTH_NODE_SCALAR && t->node->quoted;
    return refuse(t, quoted ? "a value in quotes is a text" : NULL, "must be %s, not %s", wanted,
                  lth_node_describe(t->node, shown, sizeof shown));
}

/* ---- scalars ---- */

static bool in_range(const target *t, long double value) {
    lth_range range;
    char text[128], shown[SHOWN];
    if (!t->param->range) {
        return true;
    }
    if (!lth_range_parse(t->param->range, &range)) {
        return refuse(t, "a mistake in the plugin: ranges look like \"1..\", \"0..1\", \">0\" or \">0..1\"",
                      "has the malformed range \"%s\"", t->param->range);
    }
    if (lth_range_holds(&range, value)) {
        return true;
    }
    lth_range_text(&range, text, sizeof text);
    snprintf(shown, sizeof shown, "%s", t->node->text);
    return refuse(t, NULL, "must be %s, not %s", text, shown);
}

static bool is_plain(const lth_node *node) { return node->kind == LTH_NODE_SCALAR && !node->quoted; }

static bool read_int(const target *t, const char *wanted, int64_t *out) {
    double real;
    if (is_plain(t->node) && lth_parse_i64(t->node->text, out)) {
        return in_range(t, (long double)*out);
    }
    if (is_plain(t->node) && lth_parse_f64(t->node->text, &real) && fabs(real) >= 0x1p63 && !isinf(real)) {
        char shown[SHOWN];
        return refuse(t, NULL, "must lie within 64 bits (-9223372036854775808 to 9223372036854775807), and %s does not",
                      lth_node_describe(t->node, shown, sizeof shown));
    }
    return refuse_type(t, wanted);
}

static bool read_float(const target *t, const char *wanted, double *out) {
    if (!is_plain(t->node) || !lth_parse_f64(t->node->text, out)) {
        return refuse_type(t, wanted);
    }
    return in_range(t, (long double)*out);
}

/* ~ and working directory as everywhere; what a file names lies beside that file. URLs stay as they are. */
static const char *resolve_path(binder *b, const lth_node *node) {
    const char *text = node->text;
    if (!*text || strstr(text, "://")) {
        return lth_arena_strdup(b->arena, text);
    }
    bool beside_file = node->origin == LTH_FROM_FILE && node->file;
    char *dir = beside_file ? lth_path_dir(node->file) : NULL;
    char *joined = dir ? lth_path_join(dir, text) : NULL;
    char *whole = beside_file && !joined ? NULL : lth_path_absolute(joined ? joined : text);
    const char *kept = whole ? lth_arena_strdup(b->arena, whole) : NULL;
    lth_free(whole);
    lth_free(joined);
    lth_free(dir);
    b->arena->failed |= !kept;
    return kept;
}

/* Any scalar is a text as it is written. Out of memory is found in the arena, at the end. */
static bool read_text(const target *t, const char **out) {
    if (t->node->kind != LTH_NODE_SCALAR) {
        return refuse_type(t, t->param->path ? "a path" : "a text");
    }
    *out = t->param->path ? resolve_path(t->b, t->node) : lth_arena_strdup(t->b->arena, t->node->text);
    return true;
}

static void join_choices(const char *choices, char *out, size_t size) {
    size_t used = 0, length;
    const char *word;
    out[0] = 0;
    for (int32_t i = 0; (word = lth_choice_word(choices, i, &length)) && used < size; i++) {
        int added = snprintf(out + used, size - used, "%s%.*s", i ? ", " : "", (int)length, word);
        used += added > 0 ? (size_t)added : 0;
    }
}

static bool read_choice(const target *t, int32_t *out) {
    const lth_node *node = t->node;
    const char *text = node->kind == LTH_NODE_SCALAR ? node->text : node->kind == LTH_NODE_NULL ? "null" : "";
    *out = lth_choice_index(t->param->choices, text);
    if (*out >= 0) {
        return true;
    }
    char words[256], shown[SHOWN], near[96], copies[16][32];
    const char *candidates[16];
    size_t count = 0, length;
    const char *word;
    for (; count < 16 && (word = lth_choice_word(t->param->choices, (int32_t)count, &length)); count++) {
        snprintf(copies[count], sizeof copies[count], "%.*s", (int)length, word);
        candidates[count] = copies[count];
    }
    const char *nearest = *text ? lth_nearest(text, candidates, count) : NULL;
    snprintf(near, sizeof near, nearest ? "; did you mean \"%s\"?" : "%s", nearest ? nearest : "");
    join_choices(t->param->choices, words, sizeof words);
    return refuse(t, NULL, "must be one of %s, not %s%s", words, lth_node_describe(node, shown, sizeof shown), near);
}

/* ---- lists ---- */

static size_t bind_map(binder *b, const lt_params *schema, const lth_node *map, void *self);

static bool read_item(const target *t, void *item) {
    switch (t->param->type) {
    case LT_PARAM_INTS: return read_int(t, "an integer", item);
    case LT_PARAM_FLOATS: return read_float(t, "a number", item);
    default: return read_text(t, item);
    }
}

static bool read_record(const target *t, const lt_params *schema, void *record) {
    if (t->node->kind != LTH_NODE_MAP) {
        return refuse_type(t, "a map of its fields");
    }
    binder inner = *t->b;
    inner.what = lth_arena_printf(t->b->arena, "%s[%lld] of %s", t->param->key, (long long)t->item, t->b->what);
    if (!inner.what) {
        return true; /* the arena says why */
    }
    size_t errors = bind_map(&inner, schema, t->node, record);
    t->b->errors += errors;
    return errors == 0;
}

static const char *list_of(int32_t type) {
    return type == LT_PARAM_INTS     ? "a list of integers"
           : type == LT_PARAM_FLOATS ? "a list of numbers"
           : type == LT_PARAM_TEXTS  ? "a list of texts"
                                     : "a list of maps";
}

/* A number where a list of numbers is wanted is a list of one, as PyTorch takes `max_lr: 0.1` for all parameter groups. */
static bool is_single(const target *t) {
    double value;
    return t->param->type == LT_PARAM_FLOATS && is_plain(t->node) && lth_parse_f64(t->node->text, &value);
}

static bool read_single(const target *t, lth_value *out) {
    double *items = lth_arena_alloc(t->b->arena, sizeof *items);
    out->records.items = items;
    out->records.count = items != NULL;
    t->b->arena->failed = t->b->arena->failed || !items;
    return !items || read_float(t, "a number", items);
}

static bool read_list(const target *t, lth_value *out) {
    if (is_single(t)) {
        return read_single(t, out);
    }
    if (t->node->kind != LTH_NODE_LIST) {
        return refuse_type(t, list_of(t->param->type));
    }
    const lt_params *schema = t->param->type == LT_PARAM_RECORDS ? t->param->fields() : NULL;
    size_t count = lth_node_count(t->node), item_size = schema ? schema->self_size : 8, bytes;
    if (!count) {
        out->records.items = NULL;
        out->records.count = 0;
        return true;
    }
    char *items = __builtin_mul_overflow(count, item_size, &bytes) ? NULL : lth_arena_alloc(t->b->arena, bytes);
    if (!items) {
        t->b->arena->failed = true;
        return true;
    }
    bool good = true;
    target item = *t;
    item.item = 0;
    for (item.node = t->node->first; item.node; item.node = item.node->next, item.item++) {
        void *place = items + (size_t)item.item * item_size;
        good &= schema ? read_record(&item, schema, place) : read_item(&item, place);
    }
    out->records.items = items;
    out->records.count = (int64_t)count;
    return good;
}

/* ---- one field ---- */

static bool read_value(const target *t, lth_value *out) {
    bool null = lth_node_is_null(t->node);
    memset(out, 0, sizeof *out);
    if (t->param->secret && t->node->text && !strcmp(t->node->text, LTH_SECRET_TEXT)) {
        return refuse(t, "saved configurations hold *** in its place", "is a secret and was not saved: give it again");
    }
    switch (t->param->type) {
    case LT_PARAM_INT: return read_int(t, "an integer", &out->integer);
    case LT_PARAM_FLOAT: return read_float(t, "a number", &out->number);
    case LT_PARAM_BOOL: return (is_plain(t->node) && lth_parse_bool(t->node->text, &out->truth)) || refuse_type(t, "true or false");
    case LT_PARAM_TEXT: return null || read_text(t, &out->text);
    case LT_PARAM_CHOICE: return read_choice(t, &out->choice);
    case LT_PARAM_OPT_INT:
        out->opt_int.given = !null;
        return null || read_int(t, "an integer or null", &out->opt_int.value);
    case LT_PARAM_OPT_FLOAT:
        out->opt_float.given = !null;
        return null || read_float(t, "a number or null", &out->opt_float.value);
    default: return read_list(t, out);
    }
}

static bool read_default(binder *b, const lt_param *param, lth_value *out) {
    lth_node *node = lth_initial_node(b->arena, param);
    if (!node && b->arena->failed) {
        return true;
    }
    if (!node) {
        add(b, LT_EPLUGIN, NULL, 0, "a mistake in the plugin", "the default of %s of %s cannot be read: \"%s\"", param->key, b->what,
            param->initial);
        return false;
    }
    target t = {.b = b, .param = param, .node = node, .item = -1, .is_default = true};
    return read_value(&t, out);
}

/* Whether the plugin describes a field that can be written to; everything after this relies on it. */
static bool check_field(binder *b, const lt_params *schema, const lt_param *param) {
    size_t size = lth_field_size(param->type);
    const char *wrong = !param->key                                                             ? "has no name"
                        : !size                                                                 ? "has an unknown type"
                        : (uint64_t)param->offset + size > schema->self_size                    ? "lies outside of its struct"
                        : param->type == LT_PARAM_CHOICE && !(param->choices && *param->choices) ? "has no choices"
                        : param->type == LT_PARAM_RECORDS && (!param->fields || !param->fields() || !param->fields()->self_size)
                            ? "has no schema for its records"
                            : NULL;
    if (wrong) {
        add(b, LT_EPLUGIN, NULL, 0, "a mistake in the plugin", "parameter %s of %s %s", param->key ? param->key : "(unnamed)", b->what,
            wrong);
    }
    return !wrong;
}

/* ---- a whole struct ---- */

static bool is_key_of(const lt_param *param, const char *key) {
    return param->key && (!strcmp(param->key, key) || (param->alias && !strcmp(param->alias, key)));
}

const lt_param *lth_schema_param(const lt_params *schema, uint32_t index) {
    return index < schema->count ? (const lt_param *)((const char *)schema->items + (size_t)index * schema->stride) : NULL;
}

const lt_param *lth_schema_find(const lt_params *schema, const char *key) {
    for (uint32_t i = 0; i < schema->count; i++) {
        const lt_param *param = lth_schema_param(schema, i);
        if (is_key_of(param, key)) {
            return param;
        }
    }
    return NULL;
}

/* The node that gives the parameter; NULL: none. Key and alias both: an error. */
static const lth_node *given(binder *b, const lt_param *param, const lth_node *map) {
    const lth_node *by_key = lth_node_get(map, param->key), *by_alias = param->alias ? lth_node_get(map, param->alias) : NULL;
    if (by_key && by_alias) {
        add(b, LT_ECONFIG, by_alias, by_alias->key_line, NULL, "%s and %s of %s are the same parameter; give only %s", param->key,
            param->alias, b->what, param->key);
    }
    return by_key ? by_key : by_alias;
}

static void bind_param(binder *b, const lt_params *schema, const lt_param *param, const lth_node *map, void *self) {
    if (!check_field(b, schema, param)) {
        return;
    }
    const lth_node *node = param->state ? NULL : given(b, param, map);
    if (!node && !param->initial) {
        if (!param->state) {
            add(b, LT_ECONFIG, map, map ? map->line : 0, param->doc, "%s of %s must be given", param->key, b->what);
        }
        return;
    }
    lth_value value;
    target t = {.b = b, .param = param, .node = node, .item = -1};
    if (node ? read_value(&t, &value) : read_default(b, param, &value)) {
        memcpy((char *)self + param->offset, &value, lth_field_size(param->type));
    }
}

/* The names that could have been meant, and a hint that lists them when there are few. */
static const char *nearest_key(binder *b, const lt_params *schema, const char *key, bool live_only, char *list, size_t list_size) {
    const char **names = lth_arena_alloc(b->arena, 2 * (size_t)schema->count * sizeof *names);
    size_t count = 0, used = 0;
    for (uint32_t i = 0; names && i < schema->count; i++) {
        const lt_param *param = lth_schema_param(schema, i);
        if (param->state || !param->key || (live_only && !param->live)) {
            continue;
        }
        int added = snprintf(list + (used < list_size ? used : list_size), used < list_size ? list_size - used : 0, "%s%s",
                             count ? ", " : "", param->key);
        used += added > 0 ? (size_t)added : 0;
        names[count++] = param->key;
        if (param->alias) {
            names[count++] = param->alias;
        }
    }
    if (!count || used >= list_size) {
        list[0] = 0;
    }
    return names ? lth_nearest(key, names, count) : NULL;
}

static void refuse_unknown(binder *b, const lt_params *schema, const lth_node *node) {
    char list[200] = "", known[240] = "";
    const char *near = nearest_key(b, schema, node->key, false, list, sizeof list);
    int line = node->key_line ? node->key_line : node->line;
    if (near) {
        add(b, LT_ECONFIG, node, line, NULL, "unknown parameter \"%s\" of %s; did you mean \"%s\"?", node->key, b->what, near);
        return;
    }
    if (list[0]) {
        snprintf(known, sizeof known, "it has %s", list);
    }
    add(b, LT_ECONFIG, node, line, known, "unknown parameter \"%s\" of %s", node->key, b->what);
}

/* Keys that are unknown, saved state, or there twice. */
static void check_keys(binder *b, const lt_params *schema, const lth_node *map) {
    for (const lth_node *node = map ? map->first : NULL; node; node = node->next) {
        const char *key = node->key ? node->key : "";
        const lth_node *first = lth_node_get(map, key);
        const lt_param *param = lth_schema_find(schema, key);
        int line = node->key_line ? node->key_line : node->line;
        if (first != node && first) {
            char hint[64];
            snprintf(hint, sizeof hint, "first in line %d", first->key_line ? first->key_line : first->line);
            add(b, LT_ECONFIG, node, line, first->line || first->key_line ? hint : NULL, "%s of %s is given twice", key, b->what);
        } else if (!param) {
            refuse_unknown(b, schema, node);
        } else if (param->state) {
            add(b, LT_ECONFIG, node, line, NULL, "%s of %s is state that checkpoints keep; it cannot be set", key, b->what);
        }
    }
}

/* Returns the errors of this map alone, those of records in it included; they are added to b->errors too. */
static size_t bind_map(binder *b, const lt_params *schema, const lth_node *map, void *self) {
    size_t before = b->errors;
    if (lth_node_is_null(map)) {
        map = NULL;
    } else if (map->kind != LTH_NODE_MAP) {
        char shown[SHOWN];
        add(b, LT_ECONFIG, map, map->line, NULL, "the parameters of %s must be a map of names and values, not %s", b->what,
            lth_node_describe(map, shown, sizeof shown));
        return b->errors - before;
    }
    check_keys(b, schema, map);
    for (uint32_t i = 0; i < schema->count; i++) {
        bind_param(b, schema, lth_schema_param(schema, i), map, self);
    }
    return b->errors - before;
}

size_t lth_schema_bind(const lt_params *schema, const char *what, const lth_node *map, void *self, lth_arena *arena, lth_diags *diags) {
    binder b = {.what = what, .arena = arena, .diags = diags};
    memset(self, 0, schema->self_size);
    bind_map(&b, schema, map, self);
    if (arena->failed || diags->arena.failed) {
        add(&b, LT_ENOMEM, NULL, 0, NULL, "out of memory for the parameters of %s", what);
    }
    return b.errors;
}

size_t lth_schema_check(const lt_params *schema, const char *what, lth_diags *diags) {
    lth_arena arena = {0};
    binder b = {.what = what, .arena = &arena, .diags = diags};
    for (uint32_t i = 0; i < schema->count; i++) {
        const lt_param *param = lth_schema_param(schema, i);
        lth_value value;
        lth_range range;
        if (!check_field(&b, schema, param)) {
            continue;
        }
        bool twice = lth_schema_find(schema, param->key) != param || (param->alias && lth_schema_find(schema, param->alias) != param);
        if (twice) {
            add(&b, LT_EPLUGIN, NULL, 0, "a mistake in the plugin", "two parameters of %s are named %s", what, param->key);
        }
        if (param->range && !lth_range_parse(param->range, &range)) {
            add(&b, LT_EPLUGIN, NULL, 0, "ranges look like \"1..\", \"0..1\", \">0\" or \">0..1\"",
                "%s of %s has the malformed range \"%s\"", param->key, what, param->range);
        } else if (param->initial) {
            read_default(&b, param, &value);
        }
    }
    if (arena.failed) {
        add(&b, LT_ENOMEM, NULL, 0, NULL, "out of memory checking the parameters of %s", what);
    }
    lth_arena_release(&arena);
    return b.errors;
}

/* ---- live changes ---- */

static lt_status refuse_live(binder *b, const lt_params *schema, const lt_param *param, const char *key, lth_error *err) {
    char list[200] = "";
    if (param && !param->state) {
        return lth_fail(err, LT_ESTATE, "%s of %s cannot be changed in a run; set it in the configuration and start again", key, b->what);
    }
    const char *near = nearest_key(b, schema, key, true, list, sizeof list);
    if (near) {
        return lth_fail(err, LT_EABSENT, "unknown parameter \"%s\" of %s; did you mean \"%s\"?", key, b->what, near);
    }
    return lth_fail(err, LT_EABSENT, "unknown parameter \"%s\" of %s; what can be changed in a run: %s", key, b->what,
                    list[0] ? list : "nothing");
}

lt_status lth_schema_set(const lt_params *schema, const char *what, void *self, const char *key, const lth_node *value, lth_arena *arena,
                         lth_error *err) {
    lth_diags diags = {0};
    binder b = {.what = what, .arena = arena, .diags = &diags};
    const lt_param *param = lth_schema_find(schema, key);
    if (!param || param->state || !param->live) {
        return refuse_live(&b, schema, param, key, err);
    }
    const lth_node null = {.kind = LTH_NODE_NULL};
    target t = {.b = &b, .param = param, .node = value ? value : &null, .item = -1};
    lth_value read;
    lt_status status = LT_OK;
    if (!check_field(&b, schema, param) || !read_value(&t, &read)) {
        status = lth_fail(err, diags.items[0].code, "%s", diags.items[0].text);
    } else if (arena->failed) {
        status = lth_fail(err, LT_ENOMEM, "out of memory setting %s of %s", key, what);
    } else {
        memcpy((char *)self + param->offset, &read, lth_field_size(param->type));
    }
    lth_diags_release(&diags);
    return status;
}
