/* base/snapshot.c - items in the order added, found by an open-addressing table that also knows every group, so that no path can be
 * both. A failed add changes nothing. It does not know what is in it, nor any file format. */
#include "base/snapshot.h"
#include "base/arena.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/str.h"
#include <stdio.h>
#include <string.h>

typedef struct entry {
    lth_item item; /* first: the public view */
    void *owned;   /* large data; NULL: in the arena */
} entry;

typedef struct slot {
    const char *path; /* of length bytes, inside the path of some item; NULL: free */
    size_t length;
    const lth_item *item; /* NULL: a group */
} slot;

struct lth_snapshot {
    lth_arena arena; /* items, paths and small data */
    entry **entries;
    size_t count, capacity;
    slot *slots;
    size_t used, slot_count; /* slot_count a power of two, at least twice used */
};

enum { SMALL = 64 };

lth_snapshot *lth_snapshot_new(void) { return lth_alloc(sizeof(lth_snapshot)); }

void lth_snapshot_free(lth_snapshot *s) {
    if (!s) {
        return;
    }
    for (size_t i = 0; i < s->count; i++) {
        lth_free(s->entries[i]->owned);
    }
    lth_free(s->entries);
    lth_free(s->slots);
    lth_arena_release(&s->arena);
    lth_free(s);
}

/* ---- the table ---- */

/* The slot of path, or the free one where it would go. slot_count must not be 0. */
static slot *find_slot(const slot *slots, size_t slot_count, const char *path, size_t length) {
    size_t at = (size_t)lth_hash(path, length).low & (slot_count - 1);
    while (slots[at].path && (slots[at].length != length || memcmp(slots[at].path, path, length) != 0)) {
        at = (at + 1) & (slot_count - 1);
    }
    return (slot *)&slots[at];
}

static const slot *look_up(const lth_snapshot *s, const char *path, size_t length) {
    const slot *found = s->slot_count ? find_slot(s->slots, s->slot_count, path, length) : NULL;
    return found && found->path ? found : NULL;
}

static bool make_room(lth_snapshot *s, size_t more) {
    if (s->count == s->capacity) {
        size_t capacity = s->capacity ? s->capacity * 2 : 32;
        entry **grown = lth_realloc(s->entries, s->capacity * sizeof(entry *), capacity * sizeof(entry *));
        if (!grown) {
            return false;
        }
        s->entries = grown;
        s->capacity = capacity;
    }
    size_t slot_count = s->slot_count ? s->slot_count : 64;
    while (slot_count < (s->used + more) * 2) {
        slot_count *= 2;
    }
    if (slot_count == s->slot_count) {
        return true;
    }
    slot *grown = lth_alloc(slot_count * sizeof *grown);
    if (!grown) {
        return false;
    }
    for (size_t i = 0; i < s->slot_count; i++) {
        if (s->slots[i].path) {
            *find_slot(grown, slot_count, s->slots[i].path, s->slots[i].length) = s->slots[i];
        }
    }
    lth_free(s->slots);
    s->slots = grown;
    s->slot_count = slot_count;
    return true;
}

static void insert(lth_snapshot *s, const char *path, size_t length, const lth_item *item) {
    slot *place = find_slot(s->slots, s->slot_count, path, length);
    if (!place->path) {
        *place = (slot){.path = path, .length = length, .item = item};
        s->used++;
    }
}

/* ---- adding ---- */

/* Every part must be a name that HDF5 takes for one, and no part of the path may be an item already. *parts: how many. */
static lt_status check_path(const lth_snapshot *s, const char *path, size_t *parts, lth_error *err) {
    *parts = 0;
    for (const char *part = path;; part++) {
        size_t length = strcspn(part, "/");
        if (length == 0 || (part[0] == '.' && (length == 1 || (length == 2 && part[1] == '.')))) {
            return lth_fail(err, LT_EINVAL,
                            "snapshot path \"%s\" has a part that is empty, \".\" or \"..\"; escape names with lth_snapshot_escape", path);
        }
        part += length;
        ++*parts;
        const slot *found = look_up(s, path, (size_t)(part - path));
        if (found && !*part) {
            return lth_fail(err, LT_EINVAL, "snapshot path \"%s\" is %s already", path, found->item ? "there" : "a group");
        }
        if (found && found->item) {
            return lth_fail(err, LT_EINVAL, "snapshot path \"%s\" lies below \"%s\", which is an item and no group", path,
                            found->item->path);
        }
        if (!*part) {
            return LT_OK;
        }
    }
}

static lt_status check_shape(const char *path, lt_dtype dtype, int32_t ndim, const int64_t *shape, size_t *size, lth_error *err) {
    size_t bytes = dtype ? lth_dtype_size(dtype) : 1;
    if (!bytes) {
        return lth_fail(err, LT_EDTYPE, "snapshot item \"%s\" has the unknown dtype %d", path, (int)dtype);
    }
    if (ndim < 0 || ndim > LT_MAX_DIMS || (!dtype && ndim != 1) || (ndim && !shape)) {
        return lth_fail(err, LT_EINVAL, "snapshot item \"%s\" has %d dimensions; 0 to %d are possible, a text has 1", path, (int)ndim,
                        LT_MAX_DIMS);
    }
    bool empty = false, too_large = false;
    for (int32_t i = 0; i < ndim; i++) {
        if (shape[i] < 0) {
            return lth_fail(err, LT_EINVAL, "snapshot item \"%s\" has the negative size %lld in dimension %d", path, (long long)shape[i],
                            (int)i);
        }
        empty |= shape[i] == 0;
        too_large |= !empty && __builtin_mul_overflow(bytes, (size_t)shape[i], &bytes);
    }
    if (!empty && (too_large || bytes > SIZE_MAX / 4)) {
        return lth_fail(err, LT_ENOMEM, "snapshot item \"%s\" would be larger than any memory", path);
    }
    *size = empty ? 0 : bytes;
    return LT_OK;
}

/* Takes all memory the new item needs; with it in hand nothing can fail. One byte more than size: texts end in NUL. */
static entry *prepare(lth_snapshot *s, const char *path, size_t size, size_t parts) {
    entry *e = lth_arena_alloc(&s->arena, sizeof *e);
    char *kept = lth_arena_strdup(&s->arena, path);
    if (!e || !kept || !make_room(s, parts)) {
        return NULL;
    }
    bool small = size < SMALL;
    e->item.data = small ? lth_arena_alloc(&s->arena, SMALL) : lth_alloc(size + 1);
    if (!e->item.data) {
        return NULL;
    }
    e->owned = small ? NULL : (void *)e->item.data;
    e->item.path = kept;
    e->item.size = size;
    return e;
}

void *lth_snapshot_reserve(lth_snapshot *s, const char *path, lt_dtype dtype, int32_t ndim, const int64_t *shape, lth_error *err) {
    size_t parts, size = 0;
    if (check_path(s, path, &parts, err) != LT_OK || check_shape(path, dtype, ndim, shape, &size, err) != LT_OK) {
        return NULL;
    }
    entry *e = prepare(s, path, size, parts);
    if (!e) {
        lth_fail(err, LT_ENOMEM, "out of memory for the snapshot item \"%s\" (%zu bytes)", path, size);
        return NULL;
    }
    e->item.dtype = dtype;
    e->item.ndim = dtype ? ndim : 0;
    if (e->item.ndim) {
        memcpy(e->item.shape, shape, (size_t)ndim * sizeof *shape);
    }
    s->entries[s->count++] = e;
    const char *kept = e->item.path;
    for (const char *end = strchr(kept, '/'); end; end = strchr(end + 1, '/')) {
        insert(s, kept, (size_t)(end - kept), NULL);
    }
    insert(s, kept, strlen(kept), &e->item);
    return (void *)e->item.data;
}

lt_status lth_snapshot_add(lth_snapshot *s, const char *path, lt_dtype dtype, int32_t ndim, const int64_t *shape, const void *data,
                           lth_error *err) {
    lth_error own = {0};
    void *memory = lth_snapshot_reserve(s, path, dtype, ndim, shape, &own);
    if (!memory) {
        return lth_fail(err, own.code, "%s", own.text);
    }
    size_t size = s->entries[s->count - 1]->item.size;
    if (size) {
        memcpy(memory, data, size);
    }
    return LT_OK;
}

lt_status lth_snapshot_add_i64(lth_snapshot *s, const char *path, int64_t value, lth_error *err) {
    return lth_snapshot_add(s, path, LT_I64, 0, NULL, &value, err);
}

lt_status lth_snapshot_add_f64(lth_snapshot *s, const char *path, double value, lth_error *err) {
    return lth_snapshot_add(s, path, LT_F64, 0, NULL, &value, err);
}

lt_status lth_snapshot_add_text(lth_snapshot *s, const char *path, const char *text, lth_error *err) {
    if (!text) {
        return lth_fail(err, LT_EINVAL, "snapshot item \"%s\" got no text (NULL)", path);
    }
    int64_t length = (int64_t)strlen(text);
    return lth_snapshot_add(s, path, 0, 1, &length, text, err);
}

/* ---- reading ---- */

const lth_item *lth_snapshot_get(const lth_snapshot *s, const char *path) {
    const slot *found = look_up(s, path, strlen(path));
    return found ? found->item : NULL;
}

size_t lth_snapshot_count(const lth_snapshot *s) { return s->count; }

const lth_item *lth_snapshot_at(const lth_snapshot *s, size_t index) { return index < s->count ? &s->entries[index]->item : NULL; }

static bool read_i64(const lth_item *item, int64_t *out) {
    if (!item || item->ndim != 0) {
        return false;
    }
    switch (item->dtype) {
    case LT_I64: *out = *(const int64_t *)item->data; return true;
    case LT_I32: *out = *(const int32_t *)item->data; return true;
    case LT_U8:
    case LT_BOOL: *out = *(const uint8_t *)item->data; return true;
    default: return false;
    }
}

int64_t lth_snapshot_i64(const lth_snapshot *s, const char *path, int64_t fallback) {
    int64_t value;
    return read_i64(lth_snapshot_get(s, path), &value) ? value : fallback;
}

double lth_snapshot_f64(const lth_snapshot *s, const char *path, double fallback) {
    const lth_item *item = lth_snapshot_get(s, path);
    int64_t whole;
    if (read_i64(item, &whole)) {
        return (double)whole;
    }
    if (!item || item->ndim != 0) {
        return fallback;
    }
    return item->dtype == LT_F64 ? *(const double *)item->data : item->dtype == LT_F32 ? (double)*(const float *)item->data : fallback;
}

const char *lth_snapshot_text(const lth_snapshot *s, const char *path, const char *fallback) {
    const lth_item *item = lth_snapshot_get(s, path);
    return item && item->dtype == 0 ? item->data : fallback;
}

/* ---- names ---- */

void lth_snapshot_unescape(char *name) {
    char *to = name;

    for (char *from = name; *from; from++) {
        unsigned code;

        if (*from == '%' && sscanf(from + 1, "%2x", &code) == 1) {
            *to++ = (char)code;
            from += 2;
        } else {
            *to++ = *from;
        }
    }
    *to = 0;
}

void lth_snapshot_escape(const char *name, char *out, size_t size) {
    size_t used = 0;
    bool dots = !strcmp(name, ".") || !strcmp(name, "..");
    if (size == 0) {
        return;
    }
    for (const char *c = name; *c; c++) {
        bool plain = *c != '/' && *c != '%' && (unsigned char)*c >= ' ' && *c != 0x7f && !dots;
        size_t needed = plain ? 1 : 3;
        if (used + needed >= size) {
            break;
        }
        if (plain) {
            out[used] = *c;
        } else {
            snprintf(out + used, 4, "%%%02X", (unsigned)(unsigned char)*c);
        }
        used += needed;
    }
    out[used] = 0;
}
