/* base/schema_state.c - the LT_SAVED fields of a struct into a snapshot and back, as scalars and arrays of their own types:
 *   int i64 (), float f64 (), bool bool (), choice i32 (), text: text, opt_* i64 or f64 (0 or 1), lists (count),
 *   a text that is NULL: u8 (0), texts: u8 (bytes), each with its NUL.
 * A field that is absent from the snapshot keeps its value: an older checkpoint may not have it. */
#include "base/schema_parts.h"
#include "base/snapshot.h"
#include <stdio.h>
#include <string.h>

enum { PATH_SIZE = 768 };

static lt_status state_path(const char *prefix, const lt_param *param, char path[PATH_SIZE], lth_error *err) {
    bool has_prefix = prefix && *prefix;
    int length = snprintf(path, PATH_SIZE, "%s%s%s", has_prefix ? prefix : "", has_prefix ? "/" : "", param->key);
    return length < PATH_SIZE ? LT_OK
                              : lth_fail(err, LT_EINVAL, "the name of the saved field %s is too long (%d characters, %d are possible)",
                                         param->key, length, PATH_SIZE - 1);
}

/* ---- save ---- */

static lt_status save_texts(const lt_texts *texts, lth_snapshot *out, const char *path, lth_error *err) {
    int64_t size = 0;
    for (int64_t i = 0; i < texts->count; i++) {
        size += (int64_t)strlen(texts->items[i] ? texts->items[i] : "") + 1;
    }
    char *memory = lth_snapshot_reserve(out, path, LT_U8, 1, &size, err);
    if (!memory) {
        return err && err->code ? err->code : LT_ENOMEM;
    }
    for (int64_t i = 0; i < texts->count; i++) {
        const char *text = texts->items[i] ? texts->items[i] : "";
        size_t length = strlen(text) + 1;
        memcpy(memory, text, length);
        memory += length;
    }
    return LT_OK;
}

static lt_status save_field(const lt_param *param, const void *self, lth_snapshot *out, const char *path, lth_error *err) {
    lth_value v = lth_field_get(param, self);
    int64_t count = v.records.count, none = 0, one = 1;
    switch (param->type) {
    case LT_PARAM_INT: return lth_snapshot_add(out, path, LT_I64, 0, NULL, &v.integer, err);
    case LT_PARAM_FLOAT: return lth_snapshot_add(out, path, LT_F64, 0, NULL, &v.number, err);
    case LT_PARAM_BOOL: return lth_snapshot_add(out, path, LT_BOOL, 0, NULL, &v.truth, err);
    case LT_PARAM_CHOICE: return lth_snapshot_add(out, path, LT_I32, 0, NULL, &v.choice, err);
    case LT_PARAM_TEXT:
        return v.text ? lth_snapshot_add_text(out, path, v.text, err) : lth_snapshot_add(out, path, LT_U8, 1, &none, NULL, err);
    case LT_PARAM_OPT_INT: return lth_snapshot_add(out, path, LT_I64, 1, v.opt_int.given ? &one : &none, &v.opt_int.value, err);
    case LT_PARAM_OPT_FLOAT: return lth_snapshot_add(out, path, LT_F64, 1, v.opt_float.given ? &one : &none, &v.opt_float.value, err);
    case LT_PARAM_INTS: return lth_snapshot_add(out, path, LT_I64, 1, &count, v.ints.items, err);
    case LT_PARAM_FLOATS: return lth_snapshot_add(out, path, LT_F64, 1, &count, v.floats.items, err);
    case LT_PARAM_TEXTS: return save_texts(&v.texts, out, path, err);
    default:
        return lth_fail(err, LT_EUNSUPPORTED, "the saved field %s is a %s, which cannot be saved; write a save hook for it", param->key,
                        lth_schema_type_name(param));
    }
}

lt_status lth_schema_save(const lt_params *schema, const void *self, lth_snapshot *out, const char *prefix, lth_error *err) {
    lt_status status = LT_OK;
    for (uint32_t i = 0; i < schema->count && status == LT_OK; i++) {
        const lt_param *param = lth_schema_param(schema, i);
        char path[PATH_SIZE];
        if (param->state) {
            status = state_path(prefix, param, path, err);
            status = status == LT_OK ? save_field(param, self, out, path, err) : status;
        }
    }
    return status;
}

/* ---- load ---- */

/* Copies the item's data into the arena; NULL when out of memory. */
static void *keep(lth_arena *arena, const lth_item *item) {
    char *copy = lth_arena_alloc(arena, item->size + 1);
    return copy ? memcpy(copy, item->data, item->size) : NULL;
}

static bool load_texts(const lth_item *item, lth_value *v, lth_arena *arena, bool *memory) {
    const char *bytes = item->data;
    int64_t count = 0;
    if (item->size && bytes[item->size - 1] != 0) {
        return false;
    }
    for (size_t i = 0; i < item->size; i++) {
        count += bytes[i] == 0;
    }
    char *copy = keep(arena, item);
    const char **items = lth_arena_alloc(arena, (size_t)count * sizeof *items);
    *memory = copy && items;
    for (int64_t i = 0; *memory && i < count; i++) {
        items[i] = copy;
        copy += strlen(copy) + 1;
    }
    v->texts = (lt_texts){.items = items, .count = count};
    return true;
}

/* False: the item is of another type than the field. *memory false: out of memory. */
static bool load_value(const lt_param *param, const lth_item *item, lth_value *v, lth_arena *arena, bool *memory) {
    bool scalar = item->ndim == 0, list = item->ndim == 1;
    switch (param->type) {
    case LT_PARAM_INT: return scalar && item->dtype == LT_I64 && memcpy(&v->integer, item->data, 8);
    case LT_PARAM_FLOAT: return scalar && item->dtype == LT_F64 && memcpy(&v->number, item->data, 8);
    case LT_PARAM_BOOL:
        v->truth = scalar && item->dtype == LT_BOOL && *(const uint8_t *)item->data;
        return scalar && item->dtype == LT_BOOL;
    case LT_PARAM_CHOICE: {
        size_t length;
        return scalar && item->dtype == LT_I32 && memcpy(&v->choice, item->data, 4) && lth_choice_word(param->choices, v->choice, &length);
    }
    case LT_PARAM_TEXT:
        if (item->dtype == LT_U8 && item->size == 0) {
            v->text = NULL;
            return true;
        }
        v->text = item->dtype == 0 ? keep(arena, item) : NULL;
        *memory = item->dtype != 0 || v->text;
        return item->dtype == 0;
    case LT_PARAM_OPT_INT:
        v->opt_int.given = item->size == 8;
        return list && item->dtype == LT_I64 && item->size <= 8 && memcpy(&v->opt_int.value, item->data, item->size);
    case LT_PARAM_OPT_FLOAT:
        v->opt_float.given = item->size == 8;
        return list && item->dtype == LT_F64 && item->size <= 8 && memcpy(&v->opt_float.value, item->data, item->size);
    case LT_PARAM_TEXTS: return list && item->dtype == LT_U8 && load_texts(item, v, arena, memory);
    default:
        v->records.count = item->size ? item->shape[0] : 0;
        v->records.items = keep(arena, item);
        *memory = v->records.items != NULL;
        return list && item->dtype == (param->type == LT_PARAM_INTS ? LT_I64 : LT_F64);
    }
}

static lt_status load_field(const lt_param *param, void *self, const lth_item *item, lth_arena *arena, lth_error *err) {
    lth_value value;
    bool memory = true;
    memset(&value, 0, sizeof value);
    if (param->type == LT_PARAM_RECORDS || !load_value(param, item, &value, arena, &memory)) {
        return lth_fail(err, LT_EFORMAT,
                        "\"%s\" in the checkpoint is %s with %d dimensions, which does not fit the saved field %s (%s); "
                        "was the checkpoint written by another version of the plugin?",
                        item->path, item->dtype ? lth_dtype_name(item->dtype) : "text", (int)item->ndim, param->key,
                        lth_schema_type_name(param));
    }
    if (!memory) {
        return lth_fail(err, LT_ENOMEM, "out of memory loading \"%s\"", item->path);
    }
    memcpy((char *)self + param->offset, &value, lth_field_size(param->type));
    return LT_OK;
}

lt_status lth_schema_load(const lt_params *schema, void *self, const lth_snapshot *in, const char *prefix, lth_arena *arena,
                          lth_error *err) {
    lt_status status = LT_OK;
    for (uint32_t i = 0; i < schema->count && status == LT_OK; i++) {
        const lt_param *param = lth_schema_param(schema, i);
        char path[PATH_SIZE];
        if (!param->state) {
            continue;
        }
        status = state_path(prefix, param, path, err);
        const lth_item *item = status == LT_OK ? lth_snapshot_get(in, path) : NULL;
        if (item) {
            status = load_field(param, self, item, arena, err);
        }
    }
    return status;
}
