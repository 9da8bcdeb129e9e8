/* engine/random/generator.h - PyTorch's CPU generator, bit for bit: mt19937, its uniforms, normals, permutations.
 * Formulas: ATen/core/MT19937RNGEngine.h, DistributionsHelper.h, TransformationHelper.h, native/cpu/DistributionTemplates.h. Not for cryptography. */
#ifndef LTH_GENERATOR_H
#define LTH_GENERATOR_H
#include <stdbool.h>
#include <stdint.h>

typedef struct lth_generator { /* plain data: copy it to save it, copy it back to restore */
    uint64_t seed;
    uint32_t state[624];
    int32_t index;          /* next word of state; 624: twist first */
    uint8_t has_normal, reserved[3];
    double next_normal;     /* the other half of a Box-Muller pair */
} lth_generator;

void lth_generator_seed(lth_generator *g, uint64_t seed);
uint32_t lth_random32(lth_generator *g);
uint64_t lth_random64(lth_generator *g);            /* (first << 32) | second */
void lth_random64_many(lth_generator *g, uint64_t *out, int64_t n); /* the next n of lth_random64 */
int64_t lth_random_int63(lth_generator *g);         /* torch.empty((), dtype=int64).random_() */
void lth_uniform_f32(lth_generator *g, float *out, int64_t n, double low, double high);
void lth_uniform_f64(lth_generator *g, double *out, int64_t n, double low, double high);
void lth_normal_f64(lth_generator *g, double *out, int64_t n, double mean, double std); /* to libm's last bits: PyTorch's use another log */
void lth_normal_f32(lth_generator *g, float *out, int64_t n, double mean, double std);
void lth_randperm(lth_generator *g, int64_t *out, int64_t n);
#endif
