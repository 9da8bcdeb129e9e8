/* digits/draw.h - one digit as 28x28 bytes, drawn from strokes by chance. A sample is a function of (seed, split, index) alone, computed
 * with + - * / and square roots only, so it is the same on every thread, run and machine. Uses no file and knows nothing of the host. */
#ifndef DIGITS_DRAW_H
#define DIGITS_DRAW_H
#include <stdbool.h>
#include <stdint.h>

enum { DIGITS_SIDE = 28, DIGITS_PIXELS = DIGITS_SIDE * DIGITS_SIDE, DIGITS_CLASSES = 10 };

/* How a person may write a digit. Coordinates 0..100 in a box, y downwards. */
enum { DIGITS_POINTS_MAX = 14, DIGITS_STROKES_MAX = 3 };
typedef enum { DIGITS_LINES = 1, DIGITS_CURVE, DIGITS_LOOP } digits_shape; /* corners; smooth through the points; the same, closed */
typedef struct digits_stroke {
    digits_shape shape;
    int count;
    int8_t points[DIGITS_POINTS_MAX][2];
} digits_stroke;
typedef struct digits_style {
    digits_stroke strokes[DIGITS_STROKES_MAX];
} digits_style; /* unused strokes: count 0 */
extern const digits_style *const digits_styles[DIGITS_CLASSES];
extern const int digits_style_counts[DIGITS_CLASSES];

int digits_label(uint64_t seed, int split, int64_t index);
void digits_draw(uint64_t seed, int split, int64_t index, uint8_t out[DIGITS_PIXELS]);
#endif
