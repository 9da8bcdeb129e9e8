/* shared/pixels.h - bytes to normalized floats with torchvision's bits: x.float().div(255), then sub(mean).div(std) in f32. The fast form
 * multiplies and corrects instead of dividing; it is used only where all 256 results are those of divisions (as lt_gather_u8_f32 does). */
#ifndef SHARED_PIXELS_H
#define SHARED_PIXELS_H
#include <lt/base.h>

typedef struct pixel_scale {
    float mean, std, inverse, table[256];
    void (*run)(float *out, const uint8_t *in, int64_t n, const struct pixel_scale *scale);
} pixel_scale;

void pixel_scale_init(pixel_scale *scale, double mean, double std); /* std above 0 */
static inline void pixel_scale_run(const pixel_scale *scale, float *out, const uint8_t *in, int64_t n) { scale->run(out, in, n, scale); }
#endif
