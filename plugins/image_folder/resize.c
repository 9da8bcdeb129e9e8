/* image_folder/resize.c - see resize.h. The sums are of integers, so that every instruction set gives the same bytes. */
#include "resize.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* GROUP: taps that the vector kernel takes at once. A weight is split in two of 11 bits, which fit the 16-bit multiplication exactly. */
enum { PRECISION = 22, HALF = 1 << (PRECISION - 1), GROUP = 4, SPLIT = 11 };

/* ---- weights ---- */

void resize_axis_free(resize_axis *axis) {
    free(axis->first);
    free(axis->count);
    free(axis->weights);
    free(axis->packed);
    *axis = (resize_axis){0};
}

static bool make_room(resize_axis *axis, int64_t outputs, int64_t taps) {
    int64_t need = outputs * (taps + GROUP - 1) / GROUP * GROUP + GROUP * outputs;
    if (need <= axis->room) {
        return true;
    }
    resize_axis_free(axis);
    axis->first = malloc((size_t)need * sizeof *axis->first);
    axis->count = malloc((size_t)need * sizeof *axis->count);
    axis->weights = malloc((size_t)need * sizeof *axis->weights);
    axis->packed = malloc((size_t)need * 8 * sizeof *axis->packed);
    axis->room = need;
    if (!axis->first || !axis->count || !axis->weights || !axis->packed) {
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

/* Weights of an output as the vector kernel reads them: per group of four taps 16 words of the upper and 16 of the lower halves, which stand
 * beside the bytes R0 R1 G0 G1 B0 B1 - - R2 R3 G2 G3 B2 B3 - - of the pixels. */
static void pack(resize_axis *axis, int64_t i) {
    int16_t *out = axis->packed + i * axis->groups * 32;
    memset(out, 0, (size_t)axis->groups * 32 * sizeof *out);
    for (int32_t k = 0; k < axis->count[i]; k++) {
        int32_t weight = axis->weights[i * axis->taps + k];
        int16_t *at = out + k / GROUP * 32 + k / 2 % 2 * 8 + k % 2;
        for (int c = 0; c < 3; c++) {
            at[2 * c] = (int16_t)(weight >> SPLIT);
            at[2 * c + 16] = (int16_t)(weight & ((1 << SPLIT) - 1));
        }
    }
}

bool resize_axis_make(resize_axis *axis, int64_t inputs, double box0, double box1, int64_t size, int64_t from, int64_t to) {
    double scale = (box1 - box0) / (double)size, filter = scale < 1 ? 1 : scale, support = filter;
    int64_t taps = (int64_t)ceil(support) * 2 + 1;
    if (!make_room(axis, to - from, taps)) {
        return false;
    }
    axis->outputs = to - from;
    axis->taps = (int32_t)taps;
    axis->groups = 1;
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
        int32_t groups = (axis->count[i] + GROUP - 1) / GROUP;
        axis->groups = groups > axis->groups ? groups : axis->groups;
    }
    for (int64_t i = 0; i < axis->outputs; i++) {
        pack(axis, i);
    }
    return true;
}

/* ---- kernels ---- */

static uint8_t clip(int32_t sum) {
    sum >>= PRECISION;
    return (uint8_t)(sum > 255 ? 255 : sum); /* weights are not negative */
}

static void row_any(uint8_t *restrict out, const uint8_t *restrict in, const resize_axis *axis, int channels) {
    for (int64_t i = 0; i < axis->outputs; i++) {
        const int32_t *weights = axis->weights + i * axis->taps;
        const uint8_t *at = in + (axis->first[i] - axis->low) * channels;
        for (int c = 0; c < channels; c++) {
            int32_t sum = HALF;
            for (int32_t k = 0; k < axis->count[i]; k++) {
                sum += at[k * channels + c] * weights[k];
            }
            out[i * channels + c] = clip(sum);
        }
    }
}

static void column_any(uint8_t *restrict out, const uint8_t *restrict rows, int64_t bytes, int64_t stride, const int32_t *weights, int32_t count) {
    for (int64_t at = 0; at < bytes; at++) {
        int32_t sum = HALF;
        for (int32_t k = 0; k < count; k++) {
            sum += rows[k * stride + at] * weights[k];
        }
        out[at] = clip(sum);
    }
}

static enum resize_isa use;

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void row_rgb_avx2(uint8_t *out, const uint8_t *in, const resize_axis *axis) {
    const __m256i order = _mm256_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1, /* the same of the upper half */
                                           0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1);
    for (int64_t i = 0; i < axis->outputs; i++) {
        const int16_t *weights = axis->packed + i * axis->groups * 32;
        const uint8_t *at = in + (axis->first[i] - axis->low) * 3;
        __m256i high = _mm256_setzero_si256(), low = high;
        for (int32_t left = axis->count[i]; left > 0; left -= GROUP, at += 3 * GROUP, weights += 32) {
            __m256i pixels = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadl_epi64((const __m128i *)(const void *)at)),
                                                     _mm_loadl_epi64((const __m128i *)(const void *)(at + 6)), 1);
            pixels = _mm256_shuffle_epi8(pixels, order);
            high = _mm256_add_epi32(high, _mm256_madd_epi16(pixels, _mm256_loadu_si256((const __m256i *)(const void *)weights)));
            low = _mm256_add_epi32(low, _mm256_madd_epi16(pixels, _mm256_loadu_si256((const __m256i *)(const void *)(weights + 16))));
        }
        __m256i both = _mm256_add_epi32(_mm256_slli_epi32(high, SPLIT), low);
        __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1));
        sum = _mm_srai_epi32(_mm_add_epi32(sum, _mm_set1_epi32(HALF)), PRECISION);
        sum = _mm_packus_epi32(sum, sum);
        int32_t pixel = _mm_cvtsi128_si32(_mm_packus_epi16(sum, sum));
        memcpy(out + 3 * i, &pixel, 4); /* the fourth byte is the next pixel's first */
    }
}

__attribute__((target("avx2"))) static void column_avx2(uint8_t *out, const uint8_t *rows, int64_t bytes, int64_t stride,
                                                        const int32_t *weights, int32_t count) {
    for (int64_t at = 0; at < bytes; at += 16) {
        __m256i left = _mm256_set1_epi32(HALF), right = left;
        for (int32_t k = 0; k < count; k++) {
            const uint8_t *row = rows + k * stride + at;
            __m256i weight = _mm256_set1_epi32(weights[k]);
            __m256i first = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)row));
            __m256i second = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)(row + 8)));
            left = _mm256_add_epi32(left, _mm256_mullo_epi32(first, weight));
            right = _mm256_add_epi32(right, _mm256_mullo_epi32(second, weight));
        }
        __m256i words = _mm256_packus_epi32(_mm256_srai_epi32(left, PRECISION), _mm256_srai_epi32(right, PRECISION));
        words = _mm256_permute4x64_epi64(words, 0xd8);
        __m128i done = _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
        _mm_storeu_si128((__m128i *)(void *)(out + at), done);
    }
}
#endif

void resize_use_isa(enum resize_isa isa) { use = isa; }

enum resize_isa resize_best_isa(void) {
#if defined(__x86_64__)
    const char *forced = getenv("LTHOST_ISA");
    return __builtin_cpu_supports("avx2") && !(forced && !strcmp(forced, "baseline")) ? RESIZE_AVX2 : RESIZE_BASELINE;
#else
    return RESIZE_BASELINE;
#endif
}

void resize_row(uint8_t *out, const uint8_t *in, const resize_axis *axis, int channels) {
    if (axis->copy) {
        memcpy(out, in, (size_t)(axis->outputs * channels));
        return;
    }
#if defined(__x86_64__)
    if (channels == 3 && use == RESIZE_AVX2) {
        row_rgb_avx2(out, in, axis);
        return;
    }
#endif
    row_any(out, in, axis, channels);
}

void resize_column(uint8_t *out, const uint8_t *rows, int64_t bytes, int64_t stride, const resize_axis *axis, int64_t i) {
    if (axis->copy) {
        memcpy(out, rows + i * stride, (size_t)bytes);
        return;
    }
    rows += (axis->first[i] - axis->low) * stride;
    const int32_t *weights = axis->weights + i * axis->taps;
#if defined(__x86_64__)
    if (use == RESIZE_AVX2) {
        column_avx2(out, rows, bytes, stride, weights, axis->count[i]);
        return;
    }
#endif
    column_any(out, rows, bytes, stride, weights, axis->count[i]);
}
