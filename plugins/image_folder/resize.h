/* image_folder/resize.h - Pillow's antialiased bilinear resize, bit for bit: integer weights of 22 bits, bytes between the two passes. Only
 * the window of the result that is wanted is computed, from the rows and columns it needs. Rows may come one by one, from top to bottom.
 * Formulas: Pillow, src/libImaging/Resample.c. Does not decode; other filters are not here. */
#ifndef IMAGE_RESIZE_H
#define IMAGE_RESIZE_H
#include <lt/base.h>

/* One direction: output i (of the window) is the sum of count[i] inputs from first[i] on, weighted. */
typedef struct resize_axis {
    int64_t outputs;
    int64_t low, high; /* inputs that are looked at: low..high-1 */
    int32_t taps;      /* weights kept per output */
    int32_t *first, *count, *weights;
    int32_t groups;  /* of four taps, of the output that has most */
    int16_t *packed; /* the weights once more, for vectors */
    bool copy; /* same size: outputs are inputs */
    int64_t room;
} resize_axis;

/* The window [from, to) of resizing inputs box0..box1 (fractions after a DCT scaling) of 0..inputs-1 to `size` outputs. False: no memory. */
bool resize_axis_make(resize_axis *axis, int64_t inputs, double box0, double box1, int64_t size, int64_t from, int64_t to);
void resize_axis_free(resize_axis *axis);

/* One row of pixels, `in` being column axis->low, to axis->outputs pixels. channels: 1 or 3. Reads up to 16 bytes beyond the
 * row, writes one. */
void resize_row(uint8_t *out, const uint8_t *in, const resize_axis *axis, int channels);
/* Output row i from rows of `bytes` bytes, rows[0] being row axis->low. May read and write up to 63 bytes beyond. */
void resize_column(uint8_t *out, const uint8_t *rows, int64_t bytes, int64_t stride, const resize_axis *axis, int64_t i);
enum { RESIZE_SLACK = 64 };

enum resize_isa { RESIZE_BASELINE, RESIZE_AVX2 };
enum resize_isa resize_best_isa(void); /* of this machine, or lower if LTHOST_ISA says so */
void resize_use_isa(enum resize_isa isa);
#endif
