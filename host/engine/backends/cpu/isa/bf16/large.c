/* backends/cpu/isa/bf16/large.c - products of large matrices in bf16 instructions (AVX512_BF16: vdpbf16ps). A unit of large_body.h is a pair of
 * numbers of the sum, 2 u and 2 u + 1, side by side as they lie in memory where k is dense; a sum of odd length ends in a pair with zero.
 * Products are exact, sums are f32, denormals count as zero, as in the f32 tiles. Where a or b is f32 it leaves the work to those. */
#include "../simd.h"

enum { MR = 8, NV = 3, NR = NV * VL, KC = 192 };
typedef uint32_t __attribute__((may_alias)) unit;
static int64_t units_of(int64_t K) { return (K + 1) / 2; }

INLINE void micro(int64_t units, const unit *a, int64_t row, int64_t col, const unit *b, vec s[MR][NV]) {
    for (int64_t u = 0; u < units; u++, b += NR, a += col) {
        __m512i v[NV];
        UNROLL for (int j = 0; j < NV; j++) {
            v[j] = _mm512_loadu_si512(b + j * VL);
        }
        UNROLL for (int i = 0; i < MR; i++) {
            const __m512i x = _mm512_set1_epi32((int)a[i * row]);
            UNROLL for (int j = 0; j < NV; j++) {
                s[i][j] = _mm512_dpbf16_ps(s[i][j], (__m512bh)x, (__m512bh)v[j]);
            }
        }
    }
}
#include "../large_body.h"

/* ---- packing ---- */

static __mmask16 first_16(int64_t n) { return n >= 16 ? 0xffff : n <= 0 ? 0 : (__mmask16)((1u << n) - 1); }
static __mmask32 first_32(int64_t n) { return n >= 32 ? 0xffffffff : n <= 0 ? 0 : ((__mmask32)1 << n) - 1; }

/* n values of each of two lines (odd NULL: zeros) -> n pairs, and zeros up to `whole`, a multiple of 16. */
static void pair_lines(const uint16_t *even, const uint16_t *odd, int64_t n, int64_t whole, unit *to) {
    for (int64_t i = 0; i < whole; i += 16) {
        const __mmask16 keep = first_16(n - i);
        __m512i pairs = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(keep, even + i));
        if (odd) {
            pairs = _mm512_or_si512(pairs, _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(keep, odd + i)), 16));
        }
        _mm512_storeu_si512(to + i, pairs);
    }
}
static void pack_dense(const lth_large *g, int64_t column, int64_t n, unit *to) { /* b's rows are dense */
    const uint16_t *b = (const uint16_t *)g->b + column;
    for (int64_t k = 0; k < g->K; k += 2, to += NR) {
        pair_lines(b + k * g->b_row, k + 1 < g->K ? b + (k + 1) * g->b_row : NULL, n, NR, to);
    }
}
static void pack_turned(const lth_large *g, int64_t column, int64_t n, unit *to) { /* b's columns are dense: 16 of them, 16 pairs at a time */
    for (int64_t k = 0; k < g->K; k += 32) {
        const __mmask32 keep = first_32(g->K - k);
        const int64_t units = least(16, units_of(g->K - k));
        for (int64_t i = 0; i < NR; i += 16) {
            const uint16_t *from = (const uint16_t *)g->b + (column + least(i, n - 1)) * g->b_col + k;
            __m512 r[16];
            UNROLL for (int c = 0; c < 16; c++) {
                r[c] = i + c < n ? (__m512)_mm512_maskz_loadu_epi16(keep, from + c * g->b_col) : _mm512_setzero_ps();
            }
            transpose_16(r);
            UNROLL for (int u = 0; u < 16; u++) {
                if (u < units) {
                    _mm512_storeu_ps(to + (k / 2 + u) * NR + i, r[u]);
                }
            }
        }
    }
}
static void pack_panel(const lth_large *g, int64_t column, int64_t n, unit *to) { (g->b_col == 1 ? pack_dense : pack_turned)(g, column, n, to); }
static void pack_lines(const lth_large *g, int64_t row, int64_t rows, int64_t u, int64_t depth, unit *to) { /* a's columns are dense */
    unit line[LTH_LARGE_ROWS + 16];
    const uint16_t *a = (const uint16_t *)g->a + row;
    for (int64_t k = 2 * u; k < 2 * (u + depth); k += 2, to += MR) {
        pair_lines(a + k * g->a_col, k + 1 < g->K ? a + (k + 1) * g->a_col : NULL, rows, (rows + 15) / 16 * 16, line);
        for (int64_t i = 0; i < rows; i += MR) {
            memcpy(to + i * KC, line + i, MR * sizeof *line);
        }
    }
}
static void pack_a(const lth_large *g, int64_t row, int64_t rows, int64_t u, int64_t depth, unit *to) {
    if (g->a_col != 1) {
        pack_lines(g, row, rows, u, depth, to);
        return;
    }
    const int64_t n = least(2 * depth, g->K - 2 * u);
    for (int64_t i = 0; i < rows; i++, to += KC) {
        memcpy(to, (const uint16_t *)g->a + (row + i) * g->a_row + 2 * u, (size_t)n * sizeof(uint16_t));
        if (n % 2) {
            to[depth - 1] &= 0xffff; /* the number above is not there */
        }
    }
    memset(to, 0, (size_t)((rows + MR - 1) / MR * MR - rows) * KC * sizeof *to);
}

static lth_cpu_isa f32_tiles;
static bool in_pairs(const lth_large *g) { return g->a_low && g->b_low; }
static void pack(const lth_large *g, int64_t first, int64_t count, float *packed) {
    (in_pairs(g) ? large_pack : f32_tiles.large_pack)(g, first, count, packed);
}
static void rows_of_c(const lth_large *g, int64_t row, int64_t rows, const float *packed, float *scratch) {
    (in_pairs(g) ? large_rows : f32_tiles.large_rows)(g, row, rows, packed, scratch);
}
static size_t scratch_of(const lth_large *g) { return in_pairs(g) ? large_scratch(g) : f32_tiles.large_scratch(g); }

_Static_assert(NR == 48, "isa/large.c cuts b into the same panels");
void lth_fill_large_avx512_bf16(lth_cpu_isa *t) {
    lth_fill_elements_avx512(&elements);
    lth_fill_large_avx512(&f32_tiles);
    t->large_columns = NR;
    t->pairs = true;
    t->large_pack = pack;
    t->large_rows = rows_of_c;
    t->large_scratch = scratch_of;
}
