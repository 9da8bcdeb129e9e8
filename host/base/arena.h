/* base/arena.h - a bump allocator for things that die together (configuration text, names, schemas). Not for tensors. */
#ifndef LTH_ARENA_H
#define LTH_ARENA_H
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct lth_arena_block lth_arena_block;
typedef struct lth_arena {
    lth_arena_block *blocks;
    bool failed; /* some allocation found no memory; whoever filled the arena by calls that return nothing looks here once, at the end */
} lth_arena;     /* zeroes: empty and ready */

void *lth_arena_alloc(lth_arena *arena, size_t bytes);  /* zeroed, aligned to 16; NULL when out of memory */
char *lth_arena_strdup(lth_arena *arena, const char *text);
char *lth_arena_strndup(lth_arena *arena, const char *text, size_t length);
char *lth_arena_vprintf(lth_arena *arena, const char *format, va_list args) __attribute__((format(printf, 2, 0)));
char *lth_arena_printf(lth_arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
void lth_arena_release(lth_arena *arena);               /* frees everything; the arena is empty and ready again */
#endif
