/* engine/backends/indices.h - what the backends' indexing kernels share: the one wording for an index that lies outside, and where a
 * padded, rolled or flipped element comes from. Pure functions; nothing here touches memory. */
#ifndef LTH_INDICES_H
#define LTH_INDICES_H
#include "engine/backends/backend.h"
#include <lt/tensor.h>

/* position: of the index among all, row-major. */
static inline __attribute__((cold, unused)) lt_status lth_index_outside(const char *op, int64_t value, int64_t position, int64_t size, lth_error *err) {
    if (size < 1) {
        return lth_fail(err, LT_EINDEX, "%s: index %lld at position %lld points into an empty dimension", op, (long long)value, (long long)position);
    }
    return lth_fail(err, LT_EINDEX, "%s: index %lld at position %lld is outside 0..%lld", op, (long long)value, (long long)position,
                    (long long)size - 1);
}

/* The op's name in ops.def. */
static inline __attribute__((unused)) const char *lth_index_op(lth_op op) {
    switch (op) {
    case LTH_OP_GATHER: return "gather";
    case LTH_OP_SCATTER_ADD: return "scatter_add";
    case LTH_OP_INDEX_SELECT: return "index_select";
    case LTH_OP_EMBEDDING: return "embedding";
    default: return "one_hot";
    }
}

/* `length` elements of an output line come from x, the first from `from`, each next one `step` further; from < 0: from nowhere. */
typedef struct lth_run { int64_t from, step, length; } lth_run;

/* The run that begins at element j of dimension d of the output of PAD, ROLL or FLIP; n: size of x there. */
static inline __attribute__((unused)) lth_run lth_run_at(const lth_call *call, int d, int64_t n, int64_t j) {
    const int64_t *i = call->attrs->i;
    int64_t before = 0, size = n;
    int mode = LT_PAD_CIRCULAR;
    if (call->op == LTH_OP_FLIP) {
        return i[d] ? (lth_run){n - 1 - j, -1, n - j} : (lth_run){j, 1, n - j};
    }
    if (call->op == LTH_OP_ROLL) {
        before = n ? (i[d] % n + n) % n : 0;
    } else {
        before = i[2 * d], size = n + before + i[2 * d + 1], mode = (int)call->attrs->f[1];
    }
    int64_t s = j - before, rest = size - j;
    if (s >= 0 && s < n) {
        return (lth_run){s, 1, n - s < rest ? n - s : rest};
    }
    int64_t length = s < 0 && -s < rest ? -s : rest;
    switch (mode) {
    case LT_PAD_CONSTANT: return (lth_run){-1, 0, length};
    case LT_PAD_REFLECT: return (lth_run){s < 0 ? -s : 2 * (n - 1) - s, -1, length};
    case LT_PAD_REPLICATE: return (lth_run){s < 0 ? 0 : n - 1, 0, length};
    default: return (lth_run){s < 0 ? s + n : s - n, 1, length};
    }
}

/* Dimension d of the output is that of x, element for element. */
static inline __attribute__((unused)) bool lth_run_whole(const lth_call *call, int d) {
    const int64_t *i = call->attrs->i;
    return call->op == LTH_OP_PAD ? !i[2 * d] && !i[2 * d + 1] : !i[d];
}
#endif
