/* registry/note.h - the ELF note of a plugin file: who it is and what it holds, read with plain file reads. Runs nothing, trusts
 * nothing: every offset and size is checked against the file. The note's layout is in lt/plugin.h. */
#ifndef LTH_NOTE_H
#define LTH_NOTE_H
#include "base/arena.h"
#include "base/error.h"
#include <stdint.h>

typedef struct lth_note {
    uint32_t abi_major, abi_minor, min_host_minor, flags;
    const char *id, *version;
    const char **components;    /* "lt.model/1:Net", as written */
    size_t n_components;
} lth_note;                     /* texts live in the arena */

typedef enum {
    LTH_NOTE_FOUND,
    LTH_NOTE_ABSENT,            /* readable, but no plugin; err says what it is instead */
    LTH_NOTE_BROKEN             /* damaged, unreadable or built for another machine; err says how */
} lth_note_result;

/* err texts go without the path. */
lth_note_result lth_note_read(const char *path, lth_arena *arena, lth_note *out, lth_error *err);
/* The same for an open file. */
lth_note_result lth_note_read_fd(int fd, lth_arena *arena, lth_note *out, lth_error *err);
#endif
