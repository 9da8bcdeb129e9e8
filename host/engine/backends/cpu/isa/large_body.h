/* backends/cpu/isa/large_body.h - what products of large matrices have in common, whatever they are packed as: blocks of rows against panels of
 * columns, and what happens to a finished tile. b is packed once into panels of NR columns; then blocks of rows of a are done one by one: KC
 * units of the sum at a time, so that a panel of b stays in L1 and the block of a in L2. Sums are f32 and run over k in fixed steps: bits know
 * nothing of blocks. Its includer has defined, for the four bytes that its tile takes at once: `unit`, units_of(K), micro; and defines
 * pack_panel and pack_a. It cuts no work among threads and refuses c without dense rows. */
#include "engine/backends/cpu/isa.h"
#include "engine/backends/cpu/low.h"
#include "simd.h"
#include <lt/tensor.h>

static lth_cpu_isa elements; /* for activations */
static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static void pack_panel(const lth_large *g, int64_t column, int64_t n, unit *to); /* n <= NR columns of b, all units; zeros beyond n */
/* Rows row..row+rows-1 of a, depth units from u on -> groups of MR: rows of KC where a's rows are dense; else columns of MR. */
static void pack_a(const lth_large *g, int64_t row, int64_t rows, int64_t u, int64_t depth, unit *to);

/* n values, at apart, f32 or bf16. */
INLINE void take(bool low, const void *from, int64_t first, int64_t at, int64_t n, float *to) {
    if (low) {
        const uint16_t *x = (const uint16_t *)from + first;
        if (at == 1) {
            lth_low_to_f32(n, x, to);
        } else {
            for (int64_t i = 0; i < n; i++) {
                to[i] = lth_f32_of_bf16(x[i * at]);
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

/* ---- the register tile: K units of a against K of b ---- */
/* c (MR, NR) = seed + a b; seed: rows seed_at apart (0: one row for all), NULL: zeros. c and seed may be the same. */
INLINE void tile(int64_t K, const unit *a, int64_t row, int64_t col, const unit *b, float *c, int64_t c_at, const float *seed, int64_t seed_at) {
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
static __attribute__((noinline)) void tile_rows(int64_t K, const unit *a, const unit *b, float *c, int64_t c_at, const float *seed, int64_t seed_at) {
    if (seed) {
        tile(K, a, KC, 1, b, c, c_at, seed, seed_at);
    } else {
        tile(K, a, KC, 1, b, c, c_at, NULL, 0);
    }
}
static __attribute__((noinline)) void tile_columns(int64_t K, const unit *a, const unit *b, float *c, int64_t c_at, const float *seed, int64_t seed_at) {
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
        x[i] = lth_f32_of_bf16(lth_bf16_of_f32(x[i]));
    }
}
/* n values of one row at (row, column): what was there, z, activation, rounding. */
static void finish_row(const lth_large *g, float *x, int64_t row, int64_t column, int64_t n) {
    const int64_t at = row * g->c_row + column;
    for (int64_t i = 0; g->add && g->c_low && i < n; i++) {
        x[i] += lth_f32_of_bf16(((const uint16_t *)g->c)[at + i]);
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
typedef struct block { const lth_large *g; int64_t row, rows, u, depth; const unit *a; float *sums; bool first, last; } block; /* u, depth: units */

/* One panel of columns against the block. Sums of a bf16 c wait in `sums` (rows, whole panels), those of f32 in c itself. */
static void panel(const block *k, const unit *b, int64_t column, int64_t sums_at) {
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
static void large_pack(const lth_large *g, int64_t first, int64_t count, float *packed) {
    unit *to = (unit *)(void *)packed;
    for (int64_t p = first; p < first + count; p++) {
        pack_panel(g, p * NR, least(NR, g->N - p * NR), to + p * NR * units_of(g->K));
    }
}
static void large_rows(const lth_large *g, int64_t row, int64_t rows, const float *packed, float *scratch) {
    const int64_t panels = (g->N + NR - 1) / NR, sums_at = panels * NR, units = units_of(g->K);
    const unit *b = (const unit *)(const void *)packed;
    unit *a = (unit *)(void *)scratch;
    block k = {.g = g, .row = row, .rows = rows, .a = a, .sums = scratch + (LTH_LARGE_ROWS + MR) * KC};
    for (k.u = 0; k.u < units; k.u += KC) {
        k.depth = least(KC, units - k.u);
        k.first = k.u == 0;
        k.last = k.u + k.depth == units;
        pack_a(g, row, rows, k.u, k.depth, a);
        for (int64_t p = 0; p < panels; p++) {
            panel(&k, b + p * NR * units + k.u * NR, p * NR, sums_at);
        }
    }
}
static size_t large_scratch(const lth_large *g) { /* of one thread */
    const int64_t sums = g->c_low ? (LTH_LARGE_ROWS + MR) * ((g->N + NR - 1) / NR * NR) : 0;
    return (size_t)((LTH_LARGE_ROWS + MR) * KC + sums);
}
