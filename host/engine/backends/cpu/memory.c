/* backends/cpu/memory.c - the device's memory: small blocks from base/mem.h, large ones (4 MB and more) mapped in huge pages, zeroed by
 * the system, and kept for the next request of their size: a fresh 4 KiB page costs ten times a huge one.
 * mmap is called here although base/mem.h is the allocator: huge pages must be asked for before the first touch. */
#include "engine/backends/cpu/cpu.h"
#include <sys/mman.h>

enum { HUGE_PAGE = 2 << 20, LARGE = 4 << 20 };

static void *map_block(lth_cpu_block *block, size_t bytes) {
    block->map_bytes = ((bytes + HUGE_PAGE - 1) & ~(size_t)(HUGE_PAGE - 1)) + HUGE_PAGE;
    block->map = mmap(NULL, block->map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block->map == MAP_FAILED) {
        return NULL;
    }
    const uintptr_t at = ((uintptr_t)block->map + HUGE_PAGE - 1) & ~(uintptr_t)(HUGE_PAGE - 1);
    madvise((void *)at, block->map_bytes - HUGE_PAGE, MADV_HUGEPAGE); /* a wish: failure is no failure */
    return (void *)at;
}
void *lth_cpu_alloc(lth_device *d, size_t bytes) {
    if (bytes < LARGE) {
        return lth_alloc(bytes ? bytes : 1);
    }
    for (lth_cpu_block *b = d->blocks; b; b = b->next) {
        if (!b->used && b->bytes >= bytes && b->bytes / 2 <= bytes) {
            b->used = true;
            return memset(b->memory, 0, bytes);
        }
    }
    lth_cpu_block *block = lth_alloc(sizeof *block);
    if (!block) {
        return NULL;
    }
    block->memory = map_block(block, bytes);
    if (!block->memory) {
        lth_free(block);
        return NULL;
    }
    block->bytes = bytes;
    block->used = true;
    block->next = d->blocks;
    d->blocks = block;
    return block->memory;
}
void lth_cpu_free(lth_device *d, void *memory, size_t bytes) {
    if (bytes < LARGE) {
        lth_free(memory);
        return;
    }
    for (lth_cpu_block *b = d->blocks; b; b = b->next) {
        if (b->memory == memory) {
            b->used = false;
            return;
        }
    }
}
void lth_cpu_release_blocks(lth_device *d) {
    while (d->blocks) {
        lth_cpu_block *next = d->blocks->next;
        munmap(d->blocks->map, d->blocks->map_bytes);
        lth_free(d->blocks);
        d->blocks = next;
    }
}
