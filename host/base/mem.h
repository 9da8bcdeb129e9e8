/* base/mem.h - the host's allocator: counts every call, and can be told to fail the n-th (tests).
 * All of host/ allocates through these; malloc itself is called nowhere else. NULL means out of memory: report LT_ENOMEM. */
#ifndef LTH_MEM_H
#define LTH_MEM_H
#include <stddef.h>
#include <stdint.h>

void *lth_alloc(size_t bytes);                     /* zeroed, aligned to 64 */
void *lth_realloc(void *memory, size_t old_bytes, size_t bytes); /* new part zeroed; on failure the old block stays */
void lth_free(void *memory);
char *lth_strdup(const char *text);                /* NULL stays NULL */
char *lth_strndup(const char *text, size_t length);

uint64_t lth_alloc_count(void);                    /* calls that allocated, since start, all threads */
int64_t lth_alloc_live(void);                      /* blocks not freed */
void lth_alloc_budget(int64_t calls);              /* tests: the calls after this many fail; -1 none */
#endif
