/* backends/cpu/isa/small.c - matrix products of convolutions on small maps (LTH_HWNC): rows are the images of one pixel, the sum runs over
 * the taps that lie inside the map. Weights come in panels of SMALL_PANEL output channels, made and taken apart here. */
#include "engine/backends/cpu/isa.h"
#include "simd.h"

#if LTH_ISA == 2
enum { NV = 2, MR = 12 }; /* vectors of a panel; rows of a tile: as many sums as there are registers */
#elif LTH_ISA == 1
enum { NV = 2, MR = 6 };
#else
enum { NV = 4, MR = 3 };
#endif
enum { PANEL = NV * VL };
#define POINTERS ((MR + 2) / 3)

/* Part i of n in `parts` even pieces: its beginning. */
INLINE int64_t part(int64_t n, int64_t parts, int64_t i) { return n * i / parts; }

/* ---- C = sum of A_s B_s, + bias, ReLU; or C += ---- */
INLINE void rows_tile(const int nr, const int nv, const lth_product *p, int64_t row) {
    vec acc[MR][NV];
    const int64_t at = p->a_at;
    UNROLL for (int i = 0; i < nr; i++) {
        UNROLL for (int v = 0; v < nv; v++) {
            acc[i][v] = p->add ? v_load(p->c + (row + i) * p->c_at + v * VL) : p->bias ? v_load(p->bias + v * VL) : (vec){0};
        }
    }
    for (int s = 0; s < p->n; s++) {
        const float *b = p->terms[s].b, *end = b + p->k * nv * VL, *a[POINTERS];
        UNROLL for (int j = 0; j < POINTERS; j++) { a[j] = p->terms[s].a + (row + (3 * j < nr ? 3 * j : 0)) * at; }
        for (; b < end; b += nv * VL) {
            vec w[NV];
            UNROLL for (int v = 0; v < nv; v++) { w[v] = v_load(b + v * VL); }
            UNROLL for (int i = 0; i < nr; i++) {
                const vec x = v_set(a[i / 3][i % 3 * at]);
                UNROLL for (int v = 0; v < nv; v++) { acc[i][v] = v_fma(x, w[v], acc[i][v]); }
            }
            UNROLL for (int j = 0; j < POINTERS; j++) { a[j]++; }
        }
    }
    UNROLL for (int i = 0; i < nr; i++) {
        UNROLL for (int v = 0; v < nv; v++) {
            v_store(p->c + (row + i) * p->c_at + v * VL, p->relu ? v_max(acc[i][v], (vec){0}) : acc[i][v]);
        }
    }
}
/* ---- C += A^T B: k rows, of which `rows` columns of A and a panel of B ---- */
INLINE void taps_tile(const int nr, const int nv, const lth_product *p, int64_t row) {
    vec acc[MR][NV];
    const float *a = p->terms[0].a + row, *b = p->terms[0].b;
    UNROLL for (int i = 0; i < nr; i++) {
        UNROLL for (int v = 0; v < nv; v++) { acc[i][v] = v_load(p->c + (row + i) * p->c_at + v * VL); }
    }
    for (int64_t k = 0; k < p->k; k++, a += p->a_at, b += p->b_at) {
        vec w[NV];
        UNROLL for (int v = 0; v < nv; v++) { w[v] = v_load(b + v * VL); }
        UNROLL for (int i = 0; i < nr; i++) {
            const vec x = v_set(a[i]);
            UNROLL for (int v = 0; v < nv; v++) { acc[i][v] = v_fma(x, w[v], acc[i][v]); }
        }
    }
    UNROLL for (int i = 0; i < nr; i++) {
        UNROLL for (int v = 0; v < nv; v++) { v_store(p->c + (row + i) * p->c_at + v * VL, acc[i][v]); }
    }
}
typedef void tile_fn(const lth_product *, int64_t);
#define TILE(kind, nr, nv)                                                                                                                 \
    static void kind##_##nr##_##nv(const lth_product *p, int64_t row) { kind##_tile(nr, nv, p, row); }
#if LTH_ISA == 2
#define EACH(X, kind, nv)                                                                                                                  \
    X(kind, 1, nv) X(kind, 2, nv) X(kind, 3, nv) X(kind, 4, nv) X(kind, 5, nv) X(kind, 6, nv) X(kind, 7, nv) X(kind, 8, nv) X(kind, 9, nv) \
        X(kind, 10, nv) X(kind, 11, nv) X(kind, 12, nv)
EACH(TILE, rows, 1)
EACH(TILE, rows, 2)
EACH(TILE, taps, 1)
EACH(TILE, taps, 2)
#elif LTH_ISA == 1
#define EACH(X, kind, nv) X(kind, 1, nv) X(kind, 2, nv) X(kind, 3, nv) X(kind, 4, nv) X(kind, 5, nv) X(kind, 6, nv)
EACH(TILE, rows, 2)
EACH(TILE, taps, 2)
#else
#define EACH(X, kind, nv) X(kind, 1, nv) X(kind, 2, nv) X(kind, 3, nv)
EACH(TILE, rows, 4)
EACH(TILE, taps, 4)
#endif
#define NAME_OF(kind, nr, nv) kind##_##nr##_##nv,
#if LTH_ISA == 2
static tile_fn *const rows_tiles[2][MR] = {{EACH(NAME_OF, rows, 1)}, {EACH(NAME_OF, rows, 2)}};
static tile_fn *const taps_tiles[2][MR] = {{EACH(NAME_OF, taps, 1)}, {EACH(NAME_OF, taps, 2)}};
#elif LTH_ISA == 1
static tile_fn *const rows_tiles[1][MR] = {{EACH(NAME_OF, rows, 2)}};
static tile_fn *const taps_tiles[1][MR] = {{EACH(NAME_OF, taps, 2)}};
#else
static tile_fn *const rows_tiles[1][MR] = {{EACH(NAME_OF, rows, 4)}};
static tile_fn *const taps_tiles[1][MR] = {{EACH(NAME_OF, taps, 4)}};
#endif
INLINE void run(tile_fn *const tiles[MR], const lth_product *p) {
    const int64_t parts = (p->rows + MR - 1) / MR;
    for (int64_t i = 0; i < parts; i++) {
        const int64_t from = part(p->rows, parts, i), n = part(p->rows, parts, i + 1) - from;
        tiles[n - 1](p, from);
    }
}
static void product_rows(const lth_product *p) { run(rows_tiles[LTH_ISA == 2 && p->width == PANEL], p); }
static void product_taps(const lth_product *p) { run(taps_tiles[LTH_ISA == 2 && p->width == PANEL], p); }

/* ---- weights (O, I, T) row-major <-> panels [live tap][I][width]; live[t] < 0: a tap that is never inside the map ---- */
static void panel_from(const lth_panel *p, const float *w, float *panel) {
    float some[16 * 16];
    const int64_t columns = p->I * p->T;
    for (int64_t v = 0; v < p->width; v += 16) {
        const int64_t left = p->O - p->o - v, n = left < 0 ? 0 : left < 16 ? left : 16;
        const float *from = w + (p->o + v) * columns;
        int64_t i = 0, t = 0;
        for (int64_t c = 0; c < columns; c += 16) {
            const int wide = columns - c < 16 ? (int)(columns - c) : 16;
            transpose_to(some, 16, from + c, columns, (int)n, wide);
            for (int k = 0; k < wide; k++) {
                if (p->live[t] >= 0) {
                    memcpy(panel + (p->live[t] * p->I + i) * p->width + v, some + k * 16, 64);
                }
                i += ++t == p->T;
                t = t == p->T ? 0 : t;
            }
        }
    }
}
/* Inputs [i0, i1) of a panel [live tap][i1 - i0][width] -> weights. */
static void panel_to(const lth_panel *p, const float *panel, int64_t i0, int64_t i1, float *w, bool add) {
    float some[16 * 16];
    const int64_t columns = (i1 - i0) * p->T, all = p->I * p->T;
    for (int64_t v = 0; v < p->width && p->o + v < p->O; v += 16) {
        const int64_t left = p->O - p->o - v;
        float *to = w + (p->o + v) * all + i0 * p->T;
        int64_t i = 0, t = 0;
        for (int64_t c = 0; c < columns; c += 16) {
            const int wide = columns - c < 16 ? (int)(columns - c) : 16;
            for (int k = 0; k < wide; k++) {
                if (p->live[t] >= 0) {
                    memcpy(some + k * 16, panel + (p->live[t] * (i1 - i0) + i) * p->width + v, 64);
                } else {
                    memset(some + k * 16, 0, 64);
                }
                i += ++t == p->T;
                t = t == p->T ? 0 : t;
            }
            transpose_from(to + c, all, left < 16 ? (int)left : 16, wide, some, 16, add);
        }
    }
}
/* Panels of output channels -> panel [live tap][O][width] of the input channels from p->o on; p->O counts inputs, p->I outputs here. */
static void panel_turn(const lth_panel *p, int64_t taps, const float *panels, float *panel) {
    const int64_t inputs = p->O, outputs = p->I;
    for (int64_t o = 0; o < outputs; o += 16) {
        const int64_t base = o / PANEL * PANEL, width = outputs - base > 16 ? PANEL : 16;
        const float *from = panels + base * inputs * taps + o - base;
        const int n = outputs - o < 16 ? (int)(outputs - o) : 16;
        for (int64_t t = 0; t < taps; t++) {
            for (int64_t v = 0; v < p->width; v += 16) {
                const int64_t left = inputs - p->o - v;
                transpose_to(panel + (t * outputs + o) * p->width + v, p->width, from + (t * inputs + p->o + v) * width, width,
                             left < 0 ? 0 : left < 16 ? (int)left : 16, n);
            }
        }
    }
}

/* ---- the input of a first layer ---- */
static void patches(const lth_patch *p, const float *image, float *rows) {
    for (int64_t oy = 0; oy < p->OH; oy++) {
        for (int64_t ox = 0; ox < p->OW; ox++, rows += p->at) {
            float *to = rows;
            for (int64_t c = 0; c < p->C; c++) {
                for (int64_t ky = 0; ky < p->KH; ky++, to += p->KW) {
                    const float *from = image + (c * p->HP + oy * p->SH + ky * p->DH) * p->WP + ox * p->SW;
                    for (int64_t k = 0; p->DW == 1 && k < p->KW; k += VL) {
                        v_put(to + k, v_at(from + k, p->KW - k), p->KW - k);
                    }
                    for (int64_t k = 0; p->DW != 1 && k < p->KW; k++) {
                        to[k] = from[k * p->DW];
                    }
                }
            }
        }
    }
}

/* ---- pixels of rows that lie further apart than a vector ---- */
static void rows_to_pixels(int64_t count, int64_t n_rows, const float *rows, int64_t rows_at, float *pixels, int64_t pixels_at) {
    for (int64_t i = 0; i < count; i += 16) {
        transpose_to(pixels + i * pixels_at, pixels_at, rows + i, rows_at, (int)n_rows, count - i < 16 ? (int)(count - i) : 16);
    }
}
static void pixels_to_rows(int64_t count, int64_t n_rows, const float *pixels, int64_t pixels_at, float *rows, int64_t rows_at, bool add) {
    for (int64_t i = 0; i < count; i += 16) {
        transpose_from(rows + i, rows_at, (int)n_rows, count - i < 16 ? (int)(count - i) : 16, pixels + i * pixels_at, pixels_at, add);
    }
}

void LTH_NAME(lth_fill_small)(lth_cpu_isa *t) {
    t->panel = PANEL;
    t->product_rows = product_rows;
    t->product_taps = product_taps;
    t->panel_from = panel_from;
    t->panel_to = panel_to;
    t->panel_turn = panel_turn;
    t->patches = patches;
    t->rows_to_pixels = rows_to_pixels;
    t->pixels_to_rows = pixels_to_rows;
}
