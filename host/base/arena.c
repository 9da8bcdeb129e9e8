/* base/arena.c - blocks that double in size, each allocation cut from the newest. Nothing is freed before the arena is. */
#include "base/arena.h"
#include "base/mem.h"
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { ALIGNMENT = 16, FIRST_BLOCK = 4096, LARGEST_BLOCK = 256 * 1024 };

struct lth_arena_block {
    lth_arena_block *next;
    size_t used, size; /* of data */
    _Alignas(ALIGNMENT) char data[];
};

static lth_arena_block *add_block(lth_arena *arena, size_t bytes) {
    lth_arena_block *newest = arena->blocks;
    size_t size = !newest ? FIRST_BLOCK : newest->size < LARGEST_BLOCK ? newest->size * 2 : LARGEST_BLOCK;
    if (size < bytes) {
        size = bytes;
    }
    lth_arena_block *block = lth_alloc(sizeof *block + size);
    if (!block) {
        return NULL;
    }
    block->size = size;
    /* A block made for one large thing goes behind the newest, whose free part stays in use. */
    if (newest && newest->size - newest->used > size - bytes) {
        block->next = newest->next;
        newest->next = block;
    } else {
        block->next = newest;
        arena->blocks = block;
    }
    return block;
}

void *lth_arena_alloc(lth_arena *arena, size_t bytes) {
    if (bytes > SIZE_MAX / 4) {
        arena->failed = true;
        return NULL;
    }
    bytes = ((bytes ? bytes : 1) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    lth_arena_block *block = arena->blocks;
    if (!block || block->size - block->used < bytes) {
        block = add_block(arena, bytes);
        if (!block) {
            arena->failed = true;
            return NULL;
        }
    }
    void *memory = block->data + block->used;
    block->used += bytes;
    return memory;
}

char *lth_arena_strdup(lth_arena *arena, const char *text) { return text ? lth_arena_strndup(arena, text, strlen(text)) : NULL; }

char *lth_arena_strndup(lth_arena *arena, const char *text, size_t length) {
    if (!text) {
        return NULL;
    }
    length = strnlen(text, length);
    char *copy = lth_arena_alloc(arena, length + 1);
    return copy ? memcpy(copy, text, length) : NULL;
}

char *lth_arena_vprintf(lth_arena *arena, const char *format, va_list args) {
    va_list again;
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, again);
    va_end(again);
    char *text = length < 0 ? NULL : lth_arena_alloc(arena, (size_t)length + 1);
    if (text) {
        vsnprintf(text, (size_t)length + 1, format, args);
    }
    return text;
}

char *lth_arena_printf(lth_arena *arena, const char *format, ...) {
    va_list args;
    va_start(args, format);
    char *text = lth_arena_vprintf(arena, format, args);
    va_end(args);
    return text;
}

void lth_arena_release(lth_arena *arena) {
    for (lth_arena_block *block = arena->blocks, *next; block; block = next) {
        next = block->next;
        lth_free(block);
    }
    *arena = (lth_arena){0};
}
