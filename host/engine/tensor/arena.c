/* engine/tensor/arena.c - step memory: blocks that stay for the whole run, each handed out from front to back, all reset at once.
 * Kinds: host memory for structs and for copies that hooks read, device memory for arrays, and blocks of their own for large arrays. Most
 * blocks of a kind are all alike, and a large one is taken by exact size class, so a step like an earlier one finds all its memory here.
 * Large blocks alone may be given back within a step, by those who know that nobody looks at them again: backward's gradients and
 * workspaces. They are what a step's peak is made of.
 * It refuses to free small things, to move anything, and to give blocks back before the engine closes: pages given back to the
 * system cost more to fetch again than most kernels take. */
#include "engine/tensor/arena.h"
#include "base/mem.h"
#include <string.h>

enum { STRUCT_BYTES = 128 * 1024, DATA_BYTES = 4 * 1024 * 1024, LARGE_FROM = 256 * 1024, HOST_BYTES = 128 * 1024, STRUCT_ALIGNMENT = 16, DATA_ALIGNMENT = 64 };

static size_t round_up(size_t bytes, size_t to) { return (bytes + to - 1) / to * to; }

/* Eight classes between powers of two: batches of slightly different sizes share blocks, and an eighth is the most that is lost. */
static size_t large_class(size_t bytes) {
    size_t step = LARGE_FROM / 8;
    while (step * 16 <= bytes) {
        step *= 2;
    }
    return round_up(bytes, step);
}

static void append(lth_step_list *list, lth_step_block *block) {
    block->next = NULL;
    block->previous = list->last;
    *(list->last ? &list->last->next : &list->first) = block;
    list->last = block;
}

static void prepend(lth_step_list *list, lth_step_block *block) {
    block->previous = NULL;
    block->next = list->first;
    *(list->first ? &list->first->previous : &list->last) = block;
    list->first = block;
}

static void unlink_block(lth_step_list *list, lth_step_block *block) {
    *(block->previous ? &block->previous->next : &list->first) = block->next;
    *(block->next ? &block->next->previous : &list->last) = block->previous;
}

static bool on_host(int kind) { return kind == LTH_STEP_STRUCT || kind == LTH_STEP_HOST; }

static lth_step_block *new_block(lth_engine *e, int kind, size_t size) {
    lth_step_block *block = lth_alloc(sizeof *block);
    if (!block) {
        return NULL;
    }
    block->memory = on_host(kind) ? lth_alloc(size) : e->backend->alloc(e->device, size);
    if (!block->memory) {
        lth_free(block);
        return NULL;
    }
    block->size = size;
    block->kind = (uint8_t)kind;
    block->all_next = e->blocks;
    e->blocks = block;
    return block;
}

/* The smallest free block that is large enough; an exact fit, which a repeated step finds first in the list, ends the search. */
static lth_step_block *find_free(lth_step_list *list, size_t size) {
    lth_step_block *best = NULL;
    for (lth_step_block *b = list->first; b; b = b->next) {
        if (b->size >= size && (!best || b->size < best->size)) {
            best = b;
            if (b->size == size) {
                break;
            }
        }
    }
    /* a block of more than twice the size is better kept for an array that fills it */
    if (!best || best->size / 2 > size) {
        return NULL;
    }
    unlink_block(list, best);
    return best;
}

static lth_step_block *next_block(lth_engine *e, int kind, size_t bytes) {
    size_t size = kind == LTH_STEP_STRUCT ? STRUCT_BYTES : kind == LTH_STEP_DATA ? DATA_BYTES : large_class(bytes);
    if (kind == LTH_STEP_HOST && size < HOST_BYTES) {
        size = HOST_BYTES;
    }
    lth_step_pool *pool = &e->step[kind];
    lth_step_block *block = find_free(&pool->free, size);
    if (!block) {
        block = new_block(e, kind, size);
    }
    if (block) {
        block->used = 0;
        block->users = 1;
        append(&pool->used, block);
    }
    return block;
}

static inline void *take(lth_engine *e, int kind, size_t bytes, lth_step_block **from) {
    lth_step_block *block = e->step[kind].used.last;
    if (!block || kind == LTH_STEP_LARGE || block->size - block->used < bytes) {
        block = next_block(e, kind, bytes);
        if (!block) {
            return NULL;
        }
    }
    void *memory = block->memory + block->used;
    block->used += bytes;
    *from = block;
    return memory;
}

void *lth_step_take_struct(lth_engine *e, size_t bytes, lth_step_block **from) {
    if (bytes > STRUCT_BYTES) {
        return NULL;
    }
    bytes = round_up(bytes ? bytes : 1, STRUCT_ALIGNMENT);
    void *memory = take(e, LTH_STEP_STRUCT, bytes, from);
    return memory ? memset(memory, 0, bytes) : NULL;
}

void *lth_step_take_data(lth_engine *e, size_t bytes, lth_step_block **from) {
    if (bytes > SIZE_MAX / 4) {
        return NULL;
    }
    bytes = round_up(bytes ? bytes : 1, DATA_ALIGNMENT);
    void *memory = take(e, bytes > LARGE_FROM ? LTH_STEP_LARGE : LTH_STEP_DATA, bytes, from);
    if (memory) {
        e->step_bytes += bytes;
        if (e->step_bytes > e->peak_bytes) {
            e->peak_bytes = e->step_bytes;
        }
    }
    return memory;
}

void *lth_step_struct(lth_engine *e, size_t bytes) {
    lth_step_block *from;
    return lth_step_take_struct(e, bytes, &from);
}

void *lth_step_data(lth_engine *e, size_t bytes) {
    lth_step_block *from;
    return lth_step_take_data(e, bytes, &from);
}

void *lth_step_host(lth_engine *e, size_t bytes) {
    lth_step_block *from;
    return bytes <= SIZE_MAX / 4 ? take(e, LTH_STEP_HOST, round_up(bytes, DATA_ALIGNMENT), &from) : NULL;
}

void *lth_step_workspace(lth_engine *e, size_t bytes, lth_step_block **home) { return lth_step_take_data(e, bytes, home); }

void lth_step_share(lth_step_block *block) {
    if (block) {
        block->users++;
    }
}

void lth_step_give_back(lth_engine *e, lth_step_block *block) {
    if (!block || block->kind != LTH_STEP_LARGE || --block->users > 0 || block->pins || block->aside) {
        return;
    }
    lth_step_pool *pool = &e->step[LTH_STEP_LARGE];
    unlink_block(&pool->used, block);
    prepend(&pool->free, block); /* the next of this size gets what is still in the caches */
    e->step_bytes -= block->used;
}

void lth_step_pin(lth_engine *e, lth_step_block *block) {
    if (block && block->pins++ == 0 && !block->aside) {
        e->step[block->kind].pinned++;
    }
}

void lth_step_unpin(lth_engine *e, lth_step_block *block) {
    if (!block || --block->pins > 0) {
        return;
    }
    if (block->aside) {
        block->aside = false;
        append(&e->step[block->kind].free, block);
    } else {
        e->step[block->kind].pinned--;
    }
}

/* Pinned blocks leave the lists; lth_step_unpin brings them back. */
static void set_aside(lth_step_pool *pool) {
    for (lth_step_block *b = pool->used.first, *next; b; b = next) {
        next = b->next;
        if (b->pins) {
            unlink_block(&pool->used, b);
            b->aside = true;
        }
    }
    pool->pinned = 0;
}

/* The used ones go before the free ones, in their order: the next step meets them as this one did. */
static void recycle(lth_step_pool *pool) {
    if (pool->pinned) {
        set_aside(pool);
    }
    if (!pool->used.first) {
        return;
    }
    pool->used.last->next = pool->free.first;
    *(pool->free.first ? &pool->free.first->previous : &pool->free.last) = pool->used.last;
    pool->free.first = pool->used.first;
    pool->used = (lth_step_list){0};
}

void lth_step_end(lth_engine *e) {
    if (e->tape_end) {
        e->tape_end(e, false);
    }
    lth_step_settle_retained(e);
    for (int kind = 0; kind < LTH_STEP_KINDS; kind++) {
        recycle(&e->step[kind]);
    }
    e->step_bytes = 0;
}

void lth_step_free_all(lth_engine *e) {
    for (lth_step_block *b = e->blocks, *next; b; b = next) {
        next = b->all_next;
        if (on_host(b->kind)) {
            lth_free(b->memory);
        } else {
            e->backend->free(e->device, b->memory, b->size);
        }
        lth_free(b);
    }
    e->blocks = NULL;
    memset(e->step, 0, sizeof e->step);
}
