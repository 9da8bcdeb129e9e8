/* plugins/shared/whole.h - floats as whole numbers, where they are such. Rounds and cuts nothing. */
#ifndef PLUGINS_WHOLE_H
#define PLUGINS_WHOLE_H
#include <stdbool.h>
#include <stdint.h>

/* False: a fraction, no number, or beyond what an int64_t holds. */
static inline bool whole_number(double value, int64_t *out) {
    const bool fits = value >= -0x1p63 && value < 0x1p63;
    *out = fits ? (int64_t)value : 0;
    return fits && (double)*out == value;
}
#endif
