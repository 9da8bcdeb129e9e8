/* backends/cpu/sort.c - TOPK and SORT along any dimension, plain arrays of every dtype but f16 (the fallback's). A line becomes whole
 * numbers that order as its elements do, each with its place: equals keep their order, and a NaN is the largest, whatever its bits.
 * A line is sorted by one thread, byte by byte of the key (radix), short ones by insertion; a small k needs one pass and no sort. */
#include "engine/backends/cpu/dtypes.h"

/* Inlined for each dtype: what depends on it is decided once for a line, not for an element. */
#define ALWAYS static inline __attribute__((always_inline))
enum { FEW = 48, SHORT_LINE = 64 }; /* k kept in order while passing over a line; lines sorted by insertion */

typedef struct entry { uint64_t key; int64_t place; } entry;
typedef struct sorting {
    const lth_call *call;
    int64_t outer, n, k, inner;
    bool descending;
    char *scratch;
    size_t per_thread;
} sorting;

/* ---- keys ---- */
ALWAYS uint64_t key_of(lt_dtype dtype, const void *x, int64_t at) {
    switch (dtype) {
    case LT_F64: {
        double value = ((const double *)x)[at] + 0.0; /* -0 and 0 are equal */
        uint64_t bits;
        memcpy(&bits, &value, sizeof bits);
        return value != value ? UINT64_MAX : bits >> 63 ? ~bits : bits | (uint64_t)1 << 63;
    }
    case LT_F32:
    case LT_BF16: {
        float value = (dtype == LT_F32 ? ((const float *)x)[at] : lth_f32_of_bf16(((const uint16_t *)x)[at])) + 0.f;
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        return value != value ? UINT32_MAX : bits >> 31 ? ~bits : bits | (uint32_t)1 << 31;
    }
    case LT_I64: return (uint64_t)((const int64_t *)x)[at] ^ (uint64_t)1 << 63;
    case LT_I32: return (uint32_t)((const int32_t *)x)[at] ^ (uint32_t)1 << 31;
    case LT_BOOL: return ((const uint8_t *)x)[at] != 0;
    default: return ((const uint8_t *)x)[at];
    }
}
static int key_bytes(lt_dtype dtype) { return dtype == LT_F64 || dtype == LT_I64 ? 8 : dtype == LT_U8 || dtype == LT_BOOL ? 1 : 4; }

/* ---- orders: ascending keys, equals by place ---- */
static void insertion(entry *e, int64_t n) {
    for (int64_t i = 1; i < n; i++) {
        const entry taken = e[i];
        int64_t k = i;
        for (; k > 0 && e[k - 1].key > taken.key; k--) {
            e[k] = e[k - 1];
        }
        e[k] = taken;
    }
}
/* Least significant byte first; a byte that all keys share costs only its count. Returns where the result lies. */
static entry *radix(entry *e, entry *spare, int64_t n, int bytes) {
    int64_t counts[8][256];
    memset(counts, 0, sizeof counts);
    for (int64_t i = 0; i < n; i++) {
        for (int b = 0; b < bytes; b++) {
            counts[b][e[i].key >> (8 * b) & 255]++;
        }
    }
    for (int b = 0; b < bytes; b++) {
        int64_t *count = counts[b], total = 0;
        if (count[e[0].key >> (8 * b) & 255] == n) {
            continue;
        }
        for (int v = 0; v < 256; v++) {
            const int64_t here = count[v];
            count[v] = total;
            total += here;
        }
        for (int64_t i = 0; i < n; i++) {
            spare[count[e[i].key >> (8 * b) & 255]++] = e[i];
        }
        entry *swap = e;
        e = spare;
        spare = swap;
    }
    return e;
}
/* The k smallest keys of the line, in order, into best; the first of equals. */
ALWAYS void keep_few(const sorting *s, lt_dtype dtype, const void *x, int64_t at, uint64_t flip, entry *best) {
    int64_t have = 0;
    uint64_t worst = 0; /* of the kept ones, once there are k */
    for (int64_t i = 0; i < s->n; i++) {
        const uint64_t key = key_of(dtype, x, at + i * s->inner) ^ flip;
        if (have == s->k && key >= worst) {
            continue;
        }
        int64_t p = have < s->k ? have++ : have - 1;
        for (; p > 0 && best[p - 1].key > key; p--) {
            best[p] = best[p - 1];
        }
        best[p] = (entry){key, i};
        if (have == s->k) {
            worst = best[have - 1].key;
        }
    }
}

/* ---- a line ---- */
ALWAYS void sort_line(const sorting *s, lt_dtype dtype, int64_t line, entry *e) {
    const lth_call *call = s->call;
    const char *x = call->in[0]->data;
    char *y = call->out[0]->data;
    int64_t *index = call->out[1]->data;
    const int64_t o = line / s->inner, i = line % s->inner, from = o * s->n * s->inner + i, to = o * s->k * s->inner + i;
    const size_t size = lth_cpu_element(dtype);
    const uint64_t all = key_bytes(dtype) == 8 ? UINT64_MAX : ((uint64_t)1 << (8 * key_bytes(dtype))) - 1, flip = s->descending ? all : 0;
    if (s->k <= FEW && s->k < s->n) {
        keep_few(s, dtype, x, from, flip, e);
    } else {
        for (int64_t k = 0; k < s->n; k++) {
            e[k] = (entry){key_of(dtype, x, from + k * s->inner) ^ flip, k};
        }
        if (s->n <= SHORT_LINE) {
            insertion(e, s->n);
        } else {
            e = radix(e, e + s->n, s->n, key_bytes(dtype));
        }
    }
    for (int64_t k = 0; k < s->k; k++) {
        memcpy(y + (to + k * s->inner) * (int64_t)size, x + (from + e[k].place * s->inner) * (int64_t)size, size);
        index[to + k * s->inner] = e[k].place;
    }
}
static void sort_chunk(void *arg, int64_t line, int thread) {
    const sorting *s = arg;
    entry *e = (entry *)(void *)(s->scratch + (size_t)thread * s->per_thread);
    switch (s->call->in[0]->dtype) { /* constants, so that key_of is one expression in each */
    case LT_F32: sort_line(s, LT_F32, line, e); break;
    case LT_F64: sort_line(s, LT_F64, line, e); break;
    case LT_I64: sort_line(s, LT_I64, line, e); break;
    default: sort_line(s, s->call->in[0]->dtype, line, e); break;
    }
}
static bool topk_plan(lth_device *d, lth_call *call) {
    (void)d;
    return lth_plain(call->in[0]) && call->in[0]->dtype != LT_F16;
}
static sorting sorting_of(const lth_call *call) {
    const lth_array *x = call->in[0];
    const int dim = (int)call->attrs->i[0];
    sorting s = {.call = call, .outer = 1, .inner = 1, .n = x->shape[dim], .k = call->out[0]->shape[dim]};
    s.descending = call->op == LTH_OP_TOPK ? !call->attrs->i[1] : call->attrs->i[1] != 0;
    for (int k = 0; k < x->ndim; k++) {
        if (k != dim) {
            *(k < dim ? &s.outer : &s.inner) *= x->shape[k];
        }
    }
    return s;
}
static lt_status topk_forward(lth_device *d, const lth_call *call, lth_error *err) {
    sorting s = sorting_of(call);
    const int64_t lines = s.outer * s.inner;
    if (lines * s.k == 0) {
        return LT_OK;
    }
    const bool few = s.k <= FEW && s.k < s.n;
    const double cost = (double)lines * (double)s.n * (few ? 1.5e-3 : 1.5e-2);
    s.per_thread = (size_t)(few ? FEW : 2 * s.n) * sizeof(entry);
    s.scratch = lth_cpu_scratch(d, (size_t)lth_cpu_team(d, lines, cost) * s.per_thread, err);
    if (!s.scratch) {
        return LT_ENOMEM;
    }
    lth_cpu_run(d, lines, cost, sort_chunk, &s);
    return LT_OK;
}
/* A place is named at most once, so every addition is to an element of its own. */
static lt_status topk_backward(lth_device *d, const lth_call *call, lth_error *err) {
    (void)err;
    const sorting s = sorting_of(call);
    char *dx = lth_cpu_begin_gradient(d, call, 0);
    const int64_t size = (int64_t)lth_cpu_element(call->in[0]->dtype), *index = call->out[1]->data;
    for (int64_t o = 0; dx && o < s.outer; o++) {
        for (int64_t k = 0; k < s.k * s.inner; k++) {
            const int64_t at = o * s.k * s.inner + k;
            lth_cpu_add(d, call->in[0]->dtype, 1, dx + (o * s.n * s.inner + index[at] * s.inner + k % s.inner) * size,
                        (const char *)call->grad_out[0]->data + at * size);
        }
    }
    return LT_OK;
}
const lth_kernel lth_cpu_topk = {topk_plan, topk_forward, topk_backward};
