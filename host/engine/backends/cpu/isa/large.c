/* backends/cpu/isa/large.c - products of large matrices, f32 or bf16 on any side: c = act(a b + bias), c += a b. Sums are f32.
 * b is packed once into panels of NR columns; then blocks of rows of a are done one by one: KC of the sum at a time, so that a panel of b
 * stays in L1 and the block of a in L2. bf16 is converted while packing. Sums run over k in fixed steps: bits know nothing of blocks.
 * It cuts no work among threads and refuses c without dense rows. */
#include "engine/backends/cpu/isa.h"
#include "engine/backends/cpu/low.h"
#include "simd.h"
#include <lt/tensor.h>

#if LTH_ISA == 2
enum { MR = 8, NV = 3 };
#elif LTH_ISA == 1
enum { MR = 6, NV = 2 };
#else
enum { MR = 4, NV = 2 };
#endif
enum { NR = NV * VL, KC = 192 };

static lth_cpu_isa elements; /* for activations */
static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* ---- packing ---- */

/* n values, at apart, f32 or bf16. */
INLINE void take(bool low, const void *from, int64_t first, int64_t at, int64_t n, float *to) {
    if (low) {
        const uint16_t *x = (const uint16_t *)from + first;
        if (at == 1) {
            lth_low_to_f32(n, x, to);
        } else {
            for (int64_t i = 0; i < n; i++) {
                to[i] = lth_f32_from_low(x[i * at]);
            }
        }
    } else {
        const float *x = (const float *)from + first;
        if (at == 1) {
            memcpy(to, x, (size_t)n * sizeof *to);
        } else {
            for (int64_t i = 0; i < n; i++) {
                to[i] = x[i * at];
            }
        }
    }
}
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
static void large_pack(const lth_large *g, int64_t first, int64_t count, float *packed) {
    for (int64_t p = first; p < first + count; p++) {
        const int64_t column = p * NR, n = least(NR, g->N - column);
        (g->b_col == 1 ? pack_dense : pack_turned)(g, column, n, packed + p * NR * g->K);
    }
}
/* Rows row..row+rows-1 of a, K from k on -> groups of MR: rows of KC where a's rows are dense; else columns of MR, one line of a after the
 * other, so that a page is visited once. */
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

/* ---- the register tile ---- */
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
/* c (MR, NR) = seed + a b; seed: rows seed_at apart (0: one row for all), NULL: zeros. c and seed may be the same. */
INLINE void tile(int64_t K, const float *a, int64_t row, int64_t col, const float *b, float *c, int64_t c_at, const float *seed, int64_t seed_at) {
    vec s[MR][NV];
    UNROLL for (int i = 0; i < MR; i++) {
        UNROLL for (int j = 0; j < NV; j++) {
            s[i][j] = seed ? v_load(seed + i * seed_at + j * VL) : (vec){0};
        }
    }
    micro(K, a, row, col, b, s);
    UNROLL for (int i = 0; i < MR; i++) {
        UNROLL for (int j = 0; j < NV; j++) {
            v_store(c + i * c_at + j * VL, s[i][j]);
        }
    }
}
static __attribute__((noinline)) void tile_rows(int64_t K, const float *a, const float *b, float *c, int64_t c_at, const float *seed, int64_t seed_at) {
    if (seed) {
        tile(K, a, KC, 1, b, c, c_at, seed, seed_at);
    } else {
        tile(K, a, KC, 1, b, c, c_at, NULL, 0);
    }
}
static __attribute__((noinline)) void tile_columns(int64_t K, const float *a, const float *b, float *c, int64_t c_at, const float *seed, int64_t seed_at) {
    if (seed) {
        tile(K, a, 1, MR, b, c, c_at, seed, seed_at);
    } else {
        tile(K, a, 1, MR, b, c, c_at, NULL, 0);
    }
}

/* ---- what happens to a finished tile ---- */
static lth_unary unary_of(int act) {
    switch (act) {
    case LT_ACT_RELU: return LTH_U_RELU;
    case LT_ACT_TANH: return LTH_U_TANH;
    case LT_ACT_SIGMOID: return LTH_U_SIGMOID;
    case LT_ACT_GELU: return LTH_U_GELU;
    default: return LTH_U_GELU_TANH;
    }
}
static void give(bool low, void *to, int64_t at, const float *from, int64_t n) {
    if (low) {
        lth_f32_to_low(n, from, (uint16_t *)to + at);
    } else {
        memcpy((float *)to + at, from, (size_t)n * sizeof *from);
    }
}
INLINE void round_low(int64_t n, float *x) {
    for (int64_t i = 0; i < n; i++) {
        x[i] = lth_f32_from_low(lth_low_from_f32(x[i]));
    }
}
/* n values of one row at (row, column): what was there, z, activation, rounding. */
static void finish_row(const lth_large *g, float *x, int64_t row, int64_t column, int64_t n) {
    const int64_t at = row * g->c_row + column;
    for (int64_t i = 0; g->add && g->c_low && i < n; i++) {
        x[i] += lth_f32_from_low(((const uint16_t *)g->c)[at + i]);
    }
    if (g->act != LT_ACT_NONE) {
        if (g->c_low) { /* as if the activation were an operation of its own */
            round_low(n, x);
        }
        if (g->z) {
            give(g->c_low, g->z, at, x, n);
        }
        elements.unary(unary_of(g->act), n, x, x, 0);
    }
    give(g->c_low, g->c, at, x, n);
}
/* Whole rows of bf16 without more to do: a loop of known length. */
static void finish_rounded(const lth_large *g, const float *x, int64_t row, int64_t column, int64_t rows) {
    for (int64_t r = 0; r < rows; r++) {
        lth_f32_to_low(NR, x + r * NR, (uint16_t *)g->c + (row + r) * g->c_row + column);
    }
}

/* ---- blocks of rows ---- */
typedef struct block { const lth_large *g; int64_t row, rows, k, depth; const float *a; float *sums; bool first, last; } block;

/* One panel of columns against the block. Sums of a bf16 c wait in `sums` (rows, whole panels), those of f32 in c itself. */
static void panel(const block *k, const float *b, int64_t column, int64_t sums_at) {
    const lth_large *g = k->g;
    const int64_t n = least(NR, g->N - column), c_at = g->c_low ? sums_at : g->c_row;
    const bool finish = k->last && (g->act != LT_ACT_NONE || g->c_low), earlier = !k->first || (g->add && !g->c_low);
    float own[MR * NR], bias[NR];
    if (k->first && g->bias) {
        take(g->bias_low, g->bias, column, 1, n, bias);
        memset(bias + n, 0, (size_t)(NR - n) * sizeof *bias);
    }
    for (int64_t i = 0; i < k->rows; i += MR) {
        const int64_t rows = least(MR, k->rows - i), row = k->row + i;
        float *c = g->c_low ? k->sums + i * sums_at + column : (float *)g->c + row * g->c_row + column;
        const bool whole = g->c_low || (rows == MR && n == NR); /* c has room for a whole tile */
        const float *seed = earlier ? c : k->first && g->bias ? bias : NULL;
        if (earlier && !whole) {
            for (int64_t r = 0; r < rows; r++) {
                memcpy(own + r * NR, c + r * c_at, (size_t)n * sizeof *own);
            }
            seed = own;
        }
        float *to = whole && !finish ? c : own;
        (g->a_col == 1 ? tile_rows : tile_columns)(k->depth, k->a + i * KC, b, to, to == own ? NR : c_at, seed,
                                                   seed == bias ? 0 : seed == own ? NR : c_at);
        if (finish && g->c_low && n == NR && g->act == LT_ACT_NONE && !g->add) {
            finish_rounded(g, own, row, column, rows);
        } else if (to == own) {
            for (int64_t r = 0; r < rows; r++) {
                if (finish) {
                    finish_row(g, own + r * NR, row + r, column, n);
                } else {
                    memcpy(c + r * c_at, own + r * NR, (size_t)n * sizeof *own);
                }
            }
        }
    }
}
static void large_rows(const lth_large *g, int64_t row, int64_t rows, const float *packed, float *scratch) {
    const int64_t panels = (g->N + NR - 1) / NR, sums_at = panels * NR;
    block k = {.g = g, .row = row, .rows = rows, .a = scratch, .sums = scratch + (LTH_LARGE_ROWS + MR) * KC};
    for (k.k = 0; k.k < g->K; k.k += KC) {
        k.depth = least(KC, g->K - k.k);
        k.first = k.k == 0;
        k.last = k.k + k.depth == g->K;
        pack_a(g, row, rows, k.k, k.depth, scratch);
        for (int64_t p = 0; p < panels; p++) {
            panel(&k, packed + p * NR * g->K + k.k * NR, p * NR, sums_at);
        }
    }
}
static size_t large_scratch(const lth_large *g) { /* of one thread */
    const int64_t sums = g->c_low ? (LTH_LARGE_ROWS + MR) * ((g->N + NR - 1) / NR * NR) : 0;
    return (size_t)((LTH_LARGE_ROWS + MR) * KC + sums);
}

void LTH_NAME(lth_fill_large)(lth_cpu_isa *t) {
    LTH_NAME(lth_fill_elements)(&elements);
    t->large_columns = NR;
    t->large_pack = large_pack;
    t->large_rows = large_rows;
    t->large_scratch = large_scratch;
}
