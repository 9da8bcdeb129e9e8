/* base/mem.c - the one place that calls malloc. It counts, and fails on demand; it pools nothing and never aborts. */
#include "base/mem.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64 };

static _Atomic uint64_t calls;
static _Atomic int64_t live;
static _Atomic int64_t budget = -1;

/* One compare in a run; only tests set a budget. */
static bool within_budget(void) {
    int64_t left = atomic_load_explicit(&budget, memory_order_relaxed);
    while (left > 0) {
        if (atomic_compare_exchange_weak(&budget, &left, left - 1)) {
            return true;
        }
    }
    return left < 0;
}

static void *allocate(size_t bytes) {
    if (bytes > SIZE_MAX / 2 || !within_budget()) {
        return NULL;
    }
    size_t rounded = ((bytes ? bytes : 1) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    void *memory = aligned_alloc(ALIGNMENT, rounded);
    if (memory) {
        atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&live, 1, memory_order_relaxed);
    }
    return memory;
}

void *lth_alloc(size_t bytes) {
    void *memory = allocate(bytes);
    return memory ? memset(memory, 0, bytes) : NULL;
}

/* Copies always: realloc() would lose the alignment. */
void *lth_realloc(void *memory, size_t old_bytes, size_t bytes) {
    char *grown = allocate(bytes);
    if (!grown) {
        return NULL;
    }
    size_t kept = !memory ? 0 : old_bytes < bytes ? old_bytes : bytes;
    if (kept) {
        memcpy(grown, memory, kept);
    }
    memset(grown + kept, 0, bytes - kept);
    lth_free(memory);
    return grown;
}

void lth_free(void *memory) {
    if (memory) {
        atomic_fetch_sub_explicit(&live, 1, memory_order_relaxed);
        free(memory);
    }
}

char *lth_strdup(const char *text) { return text ? lth_strndup(text, strlen(text)) : NULL; }

char *lth_strndup(const char *text, size_t length) {
    if (!text) {
        return NULL;
    }
    length = strnlen(text, length);
    char *copy = allocate(length + 1);
    if (copy) {
        memcpy(copy, text, length);
        copy[length] = 0;
    }
    return copy;
}

uint64_t lth_alloc_count(void) { return atomic_load(&calls); }
int64_t lth_alloc_live(void) { return atomic_load(&live); }
void lth_alloc_budget(int64_t allowed) { atomic_store(&budget, allowed < 0 ? -1 : allowed); }
