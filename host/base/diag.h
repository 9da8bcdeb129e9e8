/* base/diag.h - the list of everything wrong with a command line and its configuration, reported at once.
 * config adds what it finds, the registry adds what binding finds, main prints them. */
#ifndef LTH_DIAG_H
#define LTH_DIAG_H
#include "base/arena.h"
#include "base/error.h"

/* file NULL: none; hint NULL: none */
typedef struct lth_diag { const char *file; int line, column; const char *text, *hint; lt_status code; } lth_diag;
typedef struct lth_diags { lth_arena arena; lth_diag *items; size_t count, capacity; } lth_diags;

/* line 0: no line. hint NULL or "": none. All texts are copied. */
void lth_diag_add(lth_diags *diags, lt_status code, const char *file, int line, const char *hint, const char *format, ...)
    __attribute__((format(printf, 6, 7)));
/* "file:line: text (hint)" lines, each "error: ..." */
void lth_diags_print(const lth_diags *diags, void *stream /* FILE * */);
void lth_diags_release(lth_diags *diags);
#endif
