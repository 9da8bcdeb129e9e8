/* image_folder/resize.c - see resize.h. The sums are of integers, so that every instruction set gives the same bytes. */
#include "resize.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PRECISION = 22, HALF = 1 << (PRECISION - 1) };

typedef int32_t v4i __attribute__((vector_size(16)));
typedef uint8_t v4b __attribute__((vector_size(4)));
typedef int32_t v16i __attribute__((vector_size(64)));
typedef uint8_t v16b __attribute__((vector_size(16)));
#define INLINE static inline __attribute__((always_inline))

/* ---- weights ---- */

void resize_axis_free(resize_axis *axis) {
    free(axis->first);
    free(axis->count);
    free(axis->weights);
    *axis = (resize_axis){0};
}

static bool make_room(resize_axis *axis, int64_t outputs, int64_t taps) {
    int64_t need = outputs * (taps > 2 ? taps : 2);
    if (need <= axis->room) {
        return true;
    }
    resize_axis_free(axis);
    axis->first = malloc((size_t)need * sizeof *axis->first);
    axis->count = malloc((size_t)need * sizeof *axis->count);
    axis->weights = malloc((size_t)need * sizeof *axis->weights);
    axis->room = need;
    if (!axis->first || !axis->count || !axis->weights) {
        resize_axis_free(axis);
        return false;
    }
    return true;
}

static double triangle(double x) {
    x = fabs(x);
    return x < 1 ? 1 - x : 0;
}

static void weigh(resize_axis *axis, int64_t i, int64_t inputs, double center, double support, double inverse) {
    int32_t *weights = axis->weights + i * axis->taps;
    int64_t first = (int64_t)(center - support + 0.5), end = (int64_t)(center + support + 0.5);
    double sum = 0;
    first = first < 0 ? 0 : first;
    end = end > inputs ? inputs : end;
    int64_t count = end - first;
    for (int64_t k = 0; k < count; k++) {
        sum += triangle(((double)(k + first) - center + 0.5) * inverse);
    }
    for (int64_t k = 0; k < count; k++) {
        double weight = triangle(((double)(k + first) - center + 0.5) * inverse);
        weights[k] = (int32_t)(0.5 + (sum != 0 ? weight / sum : weight) * (1 << PRECISION));
    }
    axis->first[i] = (int32_t)first;
    axis->count[i] = (int32_t)count;
}

bool resize_axis_make(resize_axis *axis, int64_t inputs, double box0, double box1, int64_t size, int64_t from, int64_t to) {
    double scale = (box1 - box0) / (double)size, filter = scale < 1 ? 1 : scale, support = filter;
    int64_t taps = (int64_t)ceil(support) * 2 + 1;
    if (!make_room(axis, to - from, taps)) {
        return false;
    }
    axis->outputs = to - from;
    axis->taps = (int32_t)taps;
    axis->copy = box0 == 0 && box1 == (double)inputs && size == inputs;
    if (axis->copy) {
        axis->low = from;
        axis->high = to;
        return true;
    }
    axis->low = inputs;
    axis->high = 0;
    for (int64_t i = 0; i < axis->outputs; i++) {
        weigh(axis, i, inputs, box0 + ((double)(from + i) + 0.5) * scale, support, 1.0 / filter);
        axis->low = axis->first[i] < axis->low ? axis->first[i] : axis->low;
        int64_t end = axis->first[i] + axis->count[i];
        axis->high = end > axis->high ? end : axis->high;
    }
    return true;
}

/* ---- kernels ---- */

INLINE uint8_t clip(int32_t sum) {
    sum >>= PRECISION;
    return (uint8_t)(sum > 255 ? 255 : sum); /* weights are not negative */
}

/* A pixel is loaded as 4 lanes, of which 3 count. */
INLINE void row_rgb(uint8_t *restrict out, const uint8_t *restrict in, const resize_axis *axis) {
    for (int64_t i = 0; i < axis->outputs; i++) {
        const int32_t *weights = axis->weights + i * axis->taps;
        const uint8_t *at = in + (axis->first[i] - axis->low) * 3;
        v4i sum = {HALF, HALF, HALF, HALF};
        for (int32_t k = 0; k < axis->count[i]; k++) {
            v4b pixel;
            memcpy(&pixel, at + 3 * k, 4);
            sum += __builtin_convertvector(pixel, v4i) * weights[k];
        }
        out[3 * i] = clip(sum[0]);
        out[3 * i + 1] = clip(sum[1]);
        out[3 * i + 2] = clip(sum[2]);
    }
}

INLINE void row_grey(uint8_t *restrict out, const uint8_t *restrict in, const resize_axis *axis) {
    for (int64_t i = 0; i < axis->outputs; i++) {
        const int32_t *weights = axis->weights + i * axis->taps;
        const uint8_t *at = in + (axis->first[i] - axis->low);
        int32_t sum = HALF;
        for (int32_t k = 0; k < axis->count[i]; k++) {
            sum += at[k] * weights[k];
        }
        out[i] = clip(sum);
    }
}

INLINE void column(uint8_t *restrict out, const uint8_t *restrict rows, int64_t bytes, int64_t stride, const int32_t *weights, int32_t count) {
    for (int64_t at = 0; at < bytes; at += 16) {
        v16i sum = (v16i){0} + HALF;
        for (int32_t k = 0; k < count; k++) {
            v16b pixels;
            memcpy(&pixels, rows + k * stride + at, 16);
            sum += __builtin_convertvector(pixels, v16i) * weights[k];
        }
        sum >>= PRECISION;
        v16i above = sum > 255; /* weights are not negative: nothing is below 0 */
        sum = (sum & ~above) | (above & 255);
        v16b done = __builtin_convertvector(sum, v16b);
        memcpy(out + at, &done, 16);
    }
}

typedef struct kernels {
    void (*rgb)(uint8_t *out, const uint8_t *in, const resize_axis *axis);
    void (*grey)(uint8_t *out, const uint8_t *in, const resize_axis *axis);
    void (*column)(uint8_t *out, const uint8_t *rows, int64_t bytes, int64_t stride, const int32_t *weights, int32_t count);
} kernels;

#define DEFINE_KERNELS(NAME, ...)                                                                                                     \
    __VA_ARGS__ static void NAME##_rgb(uint8_t *out, const uint8_t *in, const resize_axis *axis) { row_rgb(out, in, axis); }           \
    __VA_ARGS__ static void NAME##_grey(uint8_t *out, const uint8_t *in, const resize_axis *axis) { row_grey(out, in, axis); }         \
    __VA_ARGS__ static void NAME##_column(uint8_t *out, const uint8_t *rows, int64_t bytes, int64_t stride, const int32_t *weights,    \
                                          int32_t count) {                                                                            \
        column(out, rows, bytes, stride, weights, count);                                                                             \
    }                                                                                                                                 \
    static const kernels NAME = {NAME##_rgb, NAME##_grey, NAME##_column};
DEFINE_KERNELS(baseline, )
#if defined(__x86_64__)
DEFINE_KERNELS(avx2, __attribute__((target("avx2"))))
DEFINE_KERNELS(avx512, __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq"))))
#endif

static const kernels *use = &baseline;

void resize_use_isa(enum resize_isa isa) {
    use = &baseline;
#if defined(__x86_64__)
    use = isa == RESIZE_AVX512 ? &avx512 : isa == RESIZE_AVX2 ? &avx2 : use;
#else
    (void)isa;
#endif
}

enum resize_isa resize_best_isa(void) {
#if defined(__x86_64__)
    const char *forced = getenv("LTHOST_ISA");
    bool no_512 = forced && (!strcmp(forced, "avx2") || !strcmp(forced, "baseline")), none = forced && !strcmp(forced, "baseline");
    if (!no_512 && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")) {
        return RESIZE_AVX512;
    }
    return !none && __builtin_cpu_supports("avx2") ? RESIZE_AVX2 : RESIZE_BASELINE;
#else
    return RESIZE_BASELINE;
#endif
}

void resize_row(uint8_t *out, const uint8_t *in, const resize_axis *axis, int channels) {
    if (axis->copy) {
        memcpy(out, in, (size_t)(axis->outputs * channels));
    } else if (channels == 3) {
        use->rgb(out, in, axis);
    } else {
        use->grey(out, in, axis);
    }
}

void resize_column(uint8_t *out, const uint8_t *rows, int64_t bytes, int64_t stride, const resize_axis *axis, int64_t i) {
    if (axis->copy) {
        memcpy(out, rows + i * stride, (size_t)bytes);
    } else {
        use->column(out, rows + (axis->first[i] - axis->low) * stride, bytes, stride, axis->weights + i * axis->taps, axis->count[i]);
    }
}
