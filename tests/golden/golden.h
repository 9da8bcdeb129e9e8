/* tests/golden/golden.h - reads the golden files that generate.py writes (format: goldfile.py; contents: generate.py).
 * Header only, plain C11, no test framework, no lthost header. It checks sizes, so a cut file is an error and never a
 * wild read; it does not write files and does not convert: a record has the dtype it was stored with.
 *
 *     gold_file g;
 *     if (gold_open(&g, path)) { fail(g.error); }
 *     const gold_record *r = gold_find(&g, "seed%d/rand_f32", 42);   NULL if there is none
 *     const float *x = gold_data(r, GOLD_F32);                       NULL if of another dtype
 *     for (size_t i = 0; (c = gold_next_case(&g, "conv2d.", &i)); ) { ... }   every "<c>/op" with that prefix
 *     gold_close(&g); */
#ifndef LTH_TESTS_GOLDEN_H
#define LTH_TESTS_GOLDEN_H
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GOLD_F64 = 1, GOLD_F32 = 2, GOLD_F16 = 3, GOLD_BF16 = 4, GOLD_I64 = 5, GOLD_I32 = 6, GOLD_U8 = 7, GOLD_BOOL = 8 };
enum { GOLD_MAX_DIMS = 8, GOLD_MAX_NAME = 160 };

typedef struct gold_record {
    char name[GOLD_MAX_NAME];
    int32_t dtype, ndim;
    int64_t shape[GOLD_MAX_DIMS], numel;
    const void *data; /* row-major, aligned to 64 bytes */
} gold_record;

typedef struct gold_file {
    gold_record *records;
    size_t count, buckets;
    uint32_t *index; /* by name: 1 + number of a record, 0: none; `buckets` places, a power of 2 */
    unsigned char *data;
    char error[256];
} gold_file;

#define GOLD_UNUSED __attribute__((unused))

static inline GOLD_UNUSED size_t gold_dtype_size(int32_t dtype) {
    switch (dtype) {
    case GOLD_F64: case GOLD_I64: return 8;
    case GOLD_F32: case GOLD_I32: return 4;
    case GOLD_F16: case GOLD_BF16: return 2;
    case GOLD_U8: case GOLD_BOOL: return 1;
    default: return 0;
    }
}

/* Takes one record off `bytes` at *at; fills r except data. Returns the offset of its data, 0 if malformed. */
static inline GOLD_UNUSED size_t gold__parse(const unsigned char *bytes, size_t size, size_t *at, gold_record *r) {
    uint32_t length, head[2];
    if (size - *at < 4) { return 0; }
    memcpy(&length, bytes + *at, 4);
    *at += 4;
    if (length >= GOLD_MAX_NAME || size - *at < (size_t)length + 8) { return 0; }
    memset(r, 0, sizeof *r);
    memcpy(r->name, bytes + *at, length);
    memcpy(head, bytes + *at + length, 8);
    *at += (size_t)length + 8;
    r->dtype = (int32_t)head[0];
    r->ndim = (int32_t)head[1];
    if (!gold_dtype_size(r->dtype) || head[1] > GOLD_MAX_DIMS || size - *at < 8 * (size_t)head[1]) { return 0; }
    memcpy(r->shape, bytes + *at, 8 * (size_t)head[1]);
    *at += 8 * (size_t)head[1];
    r->numel = 1;
    for (int32_t d = 0; d < r->ndim; d++) {
        if (r->shape[d] < 0 || (r->shape[d] && r->numel > INT32_MAX / r->shape[d])) { return 0; }
        r->numel *= r->shape[d];
    }
    size_t bytes_here = (size_t)r->numel * gold_dtype_size(r->dtype), data = *at;
    if (size - *at < bytes_here) { return 0; }
    *at += bytes_here;
    return data;
}

static inline GOLD_UNUSED size_t gold__hash(const char *name) {
    uint64_t h = 0xCBF29CE484222325u;
    for (; *name; name++) { h = (h ^ (unsigned char)*name) * 0x100000001B3u; }
    return (size_t)(h ^ h >> 32);
}

static inline GOLD_UNUSED int gold__index(gold_file *g) {
    for (g->buckets = 16; g->buckets < 2 * g->count; g->buckets *= 2) {}
    g->index = calloc(g->buckets, sizeof *g->index);
    for (size_t i = 0; g->index && i < g->count; i++) {
        size_t at = gold__hash(g->records[i].name) & (g->buckets - 1);
        while (g->index[at]) { at = (at + 1) & (g->buckets - 1); }
        g->index[at] = (uint32_t)i + 1;
    }
    return g->index ? 0 : -1;
}

static inline GOLD_UNUSED void gold_close(gold_file *g) {
    free(g->records);
    free(g->data);
    free(g->index);
    g->index = NULL;
    g->records = NULL;
    g->data = NULL;
    g->count = 0;
}

static inline GOLD_UNUSED int gold__fail(gold_file *g, void *bytes, const char *path, const char *what) {
    free(bytes);
    gold_close(g);
    snprintf(g->error, sizeof g->error, "%.200s: %.50s", path, what);
    return -1;
}

/* 0, or -1 with the reason in g->error (then nothing needs closing). */
static inline GOLD_UNUSED int gold_open(gold_file *g, const char *path) {
    memset(g, 0, sizeof *g);
    FILE *in = fopen(path, "rb");
    if (!in) { return gold__fail(g, NULL, path, "cannot open"); }
    fseek(in, 0, SEEK_END);
    long end = ftell(in);
    rewind(in);
    size_t size = end > 0 ? (size_t)end : 0;
    unsigned char *bytes = malloc(size + 1);
    size_t got = bytes ? fread(bytes, 1, size, in) : 0;
    fclose(in);
    if (!bytes || got != size) { return gold__fail(g, bytes, path, "cannot read"); }
    if (size < 8 || memcmp(bytes, "LTGOLD1\n", 8)) { return gold__fail(g, bytes, path, "not a golden file"); }

    gold_record r;
    size_t total = 0;
    for (size_t at = 8; at < size; g->count++) { /* first pass: count and measure */
        if (!gold__parse(bytes, size, &at, &r)) { return gold__fail(g, bytes, path, "cut or malformed"); }
        total += ((size_t)r.numel * gold_dtype_size(r.dtype) + 63) / 64 * 64;
    }
    g->records = calloc(g->count + 1, sizeof *g->records);
    g->data = aligned_alloc(64, total + 64);
    if (!g->records || !g->data) { return gold__fail(g, bytes, path, "out of memory"); }
    size_t at = 8, used = 0;
    for (size_t i = 0; i < g->count; i++) { /* second pass: copy to aligned places */
        size_t data = gold__parse(bytes, size, &at, &g->records[i]), n = at - data;
        memcpy(g->data + used, bytes + data, n);
        g->records[i].data = g->data + used;
        used += (n + 63) / 64 * 64;
    }
    if (gold__index(g)) { return gold__fail(g, bytes, path, "out of memory"); }
    free(bytes);
    return 0;
}

/* The record of that name (a printf format), or NULL. */
static inline GOLD_UNUSED __attribute__((format(printf, 2, 3))) const gold_record *gold_find(const gold_file *g, const char *format, ...) {
    char name[GOLD_MAX_NAME];
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    for (size_t at = gold__hash(name); g->index[at & (g->buckets - 1)]; at++) {
        const gold_record *r = &g->records[g->index[at & (g->buckets - 1)] - 1];
        if (!strcmp(r->name, name)) { return r; }
    }
    return NULL;
}

/* The data of r if r is there and of that dtype, else NULL. */
static inline GOLD_UNUSED const void *gold_data(const gold_record *r, int32_t dtype) {
    return r && r->dtype == dtype ? r->data : NULL;
}

/* Walks the cases "<name>/op" whose name begins with `prefix` ("" for all), in file order. *at starts at 0. Returns the
 * name without "/op" (in one static buffer, valid until the next call), or NULL at the end. */
static inline GOLD_UNUSED const char *gold_next_case(const gold_file *g, const char *prefix, size_t *at) {
    static char name[GOLD_MAX_NAME];
    for (; *at < g->count; ++*at) {
        const char *full = g->records[*at].name;
        size_t length = strlen(full);
        if (length > 3 && !strcmp(full + length - 3, "/op") && !strncmp(full, prefix, strlen(prefix))) {
            memcpy(name, full, length - 3);
            name[length - 3] = 0;
            ++*at;
            return name;
        }
    }
    return NULL;
}

/* The checksum of records named "<tensor>.fnv": FNV-1a 64 over raw bytes, stored as i64. */
static inline GOLD_UNUSED int64_t gold_fnv1a(const void *data, size_t size) {
    const unsigned char *bytes = data;
    uint64_t digest = 0xCBF29CE484222325u;
    for (size_t i = 0; i < size; i++) { digest = (digest ^ bytes[i]) * 0x100000001B3u; }
    return (int64_t)digest;
}
#endif
