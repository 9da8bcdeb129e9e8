/* shared/split.h - 0..count-1 in random order, the same for the same seed everywhere: Fisher and Yates with SplitMix64. */
#ifndef SHARED_SPLIT_H
#define SHARED_SPLIT_H
#include <lt/data.h>
#include <stdlib.h>

/* NULL without memory; the caller frees it. */
static inline int64_t *split_shuffle(int64_t count, int64_t seed) {
    int64_t *order = malloc((size_t)(count > 0 ? count : 1) * sizeof *order);
    lt_sample_rng rng = {(uint64_t)seed};
    for (int64_t i = 0; order && i < count; i++) {
        order[i] = i;
    }
    for (int64_t i = count - 1; order && i > 0; i--) {
        int64_t j = lt_draw_below(&rng, i + 1), held = order[i];
        order[i] = order[j];
        order[j] = held;
    }
    return order;
}
#endif
