/* backends/cpu/isa/large.c - products of large matrices in f32 tiles; each side f32 or bf16, which is converted while packing. A unit of
 * large_body.h is one number of the sum. Refuses nothing. */
#include "simd.h"

#if LTH_ISA == 2
enum { MR = 8, NV = 3 };
#elif LTH_ISA == 1
enum { MR = 6, NV = 2 };
#else
enum { MR = 4, NV = 2 };
#endif
enum { NR = NV * VL, KC = 192 };
typedef float unit;
static int64_t units_of(int64_t K) { return K; }

INLINE void micro(int64_t K, const float *a, int64_t row, int64_t col, const float *b, vec s[MR][NV]) {
    for (int64_t k = 0; k < K; k++, b += NR, a += col) {
        vec v[NV];
        UNROLL for (int j = 0; j < NV; j++) {
            v[j] = v_load(b + j * VL);
        }
        UNROLL for (int i = 0; i < MR; i++) {
            const vec x = v_set(a[i * row]);
            UNROLL for (int j = 0; j < NV; j++) {
                s[i][j] = v_fma(x, v[j], s[i][j]);
            }
        }
    }
}
#include "large_body.h"

/* ---- packing ---- */

static void pack_dense(const lth_large *g, int64_t column, int64_t n, float *to) { /* b's rows are dense */
    for (int64_t k = 0; k < g->K; k++, to += NR) {
        take(g->b_low, g->b, k * g->b_row + column, 1, n, to);
        for (int64_t i = n; i < NR; i++) {
            to[i] = 0;
        }
    }
}
/* n rows of bf16, row_at apart, `depth` of each -> f32 rows of 16. */
static void rows_of_16(const uint16_t *from, int64_t row_at, int64_t n, int64_t depth, float *to) {
    for (int64_t i = 0; i < n; i++) {
        if (depth == 16) { /* a count that the compiler knows */
            lth_low_to_f32(16, from + i * row_at, to + i * 16);
        } else {
            lth_low_to_f32(depth, from + i * row_at, to + i * 16);
        }
    }
}
static void pack_turned(const lth_large *g, int64_t column, int64_t n, float *to) { /* b's columns are dense */
    float rows[NR * 16];
    for (int64_t k = 0; k < g->K; k += 16) {
        const int64_t depth = least(16, g->K - k), first = column * g->b_col + k;
        const float *from = (const float *)g->b + (g->b_low ? 0 : first);
        int64_t row_at = g->b_col;
        if (g->b_low) {
            rows_of_16((const uint16_t *)g->b + first, g->b_col, n, depth, rows);
            from = rows, row_at = 16;
        }
#if LTH_ISA > 0
        UNROLL for (int i = 0; i < NR; i += 16) {
            const int64_t left = n - i;
            transpose_to(to + k * NR + i, NR, left > 0 ? from + i * row_at : from, row_at, left < 0 ? 0 : (int)least(16, left), (int)depth);
        }
#else
        for (int64_t d = 0; d < depth; d++) {
            for (int64_t i = 0; i < NR; i++) {
                to[(k + d) * NR + i] = i < n ? from[i * row_at + d] : 0.f;
            }
        }
#endif
    }
}
static void pack_panel(const lth_large *g, int64_t column, int64_t n, float *to) { (g->b_col == 1 ? pack_dense : pack_turned)(g, column, n, to); }
/* One line of a after the other, so that a page is visited once. */
static void pack_lines(const lth_large *g, int64_t row, int64_t rows, int64_t k, int64_t depth, float *to) {
    float line[LTH_LARGE_ROWS + MR];
    const int64_t whole = (rows + MR - 1) / MR * MR;
    memset(line + rows, 0, (size_t)(whole - rows) * sizeof *line);
    for (int64_t d = 0; d < depth; d++, to += MR) {
        take(g->a_low, g->a, row * g->a_row + (k + d) * g->a_col, g->a_row, rows, line);
        for (int64_t i = 0; i < whole; i += MR) {
            memcpy(to + i * KC, line + i, MR * sizeof *line);
        }
    }
}
static void pack_a(const lth_large *g, int64_t row, int64_t rows, int64_t k, int64_t depth, float *to) {
    if (g->a_col != 1) {
        pack_lines(g, row, rows, k, depth, to);
        return;
    }
    for (int64_t i = 0; i < rows; i += MR, to += MR * KC) {
        const int64_t n = least(MR, rows - i);
        for (int64_t r = 0; r < n; r++) {
            take(g->a_low, g->a, (row + i + r) * g->a_row + k, 1, depth, to + r * KC);
        }
        memset(to + n * KC, 0, (size_t)((MR - n) * KC) * sizeof *to);
    }
}

void LTH_NAME(lth_fill_large)(lth_cpu_isa *t) {
    LTH_NAME(lth_fill_elements)(&elements);
    t->large_columns = NR;
    t->pairs = false;
    t->large_pack = large_pack;
    t->large_rows = large_rows;
    t->large_scratch = large_scratch;
}
