/* base/snapshot.h - the state of a run in memory: named, typed arrays and texts, in order. checkpoint/ turns it into a file and back.
 * Paths are "group/sub/name"; names may hold anything but '/' and NUL (callers escape with lth_snapshot_escape). Owns its data. */
#ifndef LTH_SNAPSHOT_H
#define LTH_SNAPSHOT_H
#include "base/error.h"

typedef struct lth_item {
    const char *path;
    lt_dtype dtype;         /* 0: text (shape unused, data NUL-terminated, size without the NUL) */
    int32_t ndim;           /* 0: scalar */
    int64_t shape[LT_MAX_DIMS];
    const void *data;       /* row-major; owned by the snapshot */
    size_t size;            /* bytes */
} lth_item;
typedef struct lth_snapshot lth_snapshot;

lth_snapshot *lth_snapshot_new(void);
void lth_snapshot_free(lth_snapshot *snapshot);
/* Copies data. A path twice, or one that is both an item and a group: LT_EINVAL. dtype 0 is a text of shape[0] bytes (ndim 1).
 * Items and their data stay where they are until the snapshot is freed. */
lt_status lth_snapshot_add(lth_snapshot *s, const char *path, lt_dtype dtype, int32_t ndim, const int64_t *shape, const void *data, lth_error *err);
/* Like add, but returns the (zeroed) memory to fill; NULL on failure. */
void *lth_snapshot_reserve(lth_snapshot *s, const char *path, lt_dtype dtype, int32_t ndim, const int64_t *shape, lth_error *err);
lt_status lth_snapshot_add_i64(lth_snapshot *s, const char *path, int64_t value, lth_error *err);
lt_status lth_snapshot_add_f64(lth_snapshot *s, const char *path, double value, lth_error *err);
lt_status lth_snapshot_add_text(lth_snapshot *s, const char *path, const char *text, lth_error *err);
const lth_item *lth_snapshot_get(const lth_snapshot *s, const char *path);   /* NULL: absent; O(1) expected */
size_t lth_snapshot_count(const lth_snapshot *s);
const lth_item *lth_snapshot_at(const lth_snapshot *s, size_t index);        /* in the order added */
int64_t lth_snapshot_i64(const lth_snapshot *s, const char *path, int64_t fallback);
double lth_snapshot_f64(const lth_snapshot *s, const char *path, double fallback);
const char *lth_snapshot_text(const lth_snapshot *s, const char *path, const char *fallback);
/* name with '/', '%' and control characters as %XX; into out. */
void lth_snapshot_escape(const char *name, char *out, size_t size);
/* Back, in place. */
void lth_snapshot_unescape(char *name);

/* What lt_state_put_* and lt_state_get_* work on: keys below prefix. */
struct lt_state_writer { lth_snapshot *snapshot; const char *prefix; };
struct lt_state_reader { const lth_snapshot *snapshot; const char *prefix; uint32_t version; };
#endif
