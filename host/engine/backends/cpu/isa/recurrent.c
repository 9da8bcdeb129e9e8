/* backends/cpu/isa/recurrent.c - one step of LSTM and GRU for some rows of a batch, its way back, and the products around them on packed
 * weights. A tile of rows x vectors stays in registers over the whole sum; the gates are activated before they leave them.
 * Every element is one sum from the first term to the last: its bits depend on the sizes only. */
#include "engine/backends/cpu/isa.h"
#include "simd.h"

#if LTH_ISA == 2 /* rows in a tile of four gates; rows and vectors in a tile of a product */
enum { CELL = 6, TALL = 6, WIDE = 4 };
#else
enum { CELL = 3, TALL = 6, WIDE = 2 };
#endif

/* ---- packed weights ---- */
/* Blocks of VL units; in each for k = 0.. the gates' vectors: [block][k][gates][VL], zeros beyond H. */
static size_t cell_floats(int gates, int64_t H, int64_t K) { return (size_t)((H + VL - 1) / VL * VL * gates * K); }

/* Rows g H + j of w (ld K), as gate g of `gates`, at k_at. */
static void cell_pack(int gates, int64_t H, int64_t K_all, int64_t k_at, int64_t K, const float *w, float *to) {
    for (int64_t j = 0; j < H; j += VL) {
        const int n = (int)(H - j < VL ? H - j : VL);
        float *block = to + (j / VL) * K_all * gates * VL + k_at * gates * VL;
        for (int g = 0; g < gates; g++) {
            const float *rows = w + (g * H + j) * K;
            for (int64_t k = 0; k < K; k += 16) {
                const int columns = (int)(K - k < 16 ? K - k : 16);
                float turned[16 * 16];
                transpose_to(turned, 16, rows + k, K, n, columns);
                for (int c = 0; c < columns; c++) {
                    v_store(block + ((k + c) * gates + g) * VL, v_load(turned + c * 16));
                }
            }
        }
    }
}

/* Columns of b (K, N) in panels of WIDE vectors, the last one narrower: [panel][k][vectors][VL], zeros beyond N. */
static size_t panel_floats(int64_t K, int64_t N) { return (size_t)((N + VL - 1) / VL * VL * K); }

static void panel_pack(int64_t K, int64_t N, const float *b, float *to) {
    for (int64_t n = 0; n < N; n += WIDE * VL) {
        for (int64_t k = 0; k < K; k++) {
            for (int64_t v = n; v < N && v < n + WIDE * VL; v += VL) {
                v_store(to, v_at(b + k * N + v, N - v));
                to += VL;
            }
        }
    }
}

/* ---- tiles ---- */
/* acc[r][v] (+)= sum over k of a[r a_row + k a_k] b[k b_k + v VL] */
INLINE void sum_tile(int rows, int vectors, int64_t K, const float *a, int64_t a_row, int64_t a_k, const float *b, int64_t b_k, vec acc[TALL][4]) {
    for (int64_t k = 0; k < K; k++, b += b_k, a += a_k) {
        vec w[4];
        UNROLL for (int v = 0; v < vectors; v++) {
            w[v] = v_load(b + v * VL);
        }
        UNROLL for (int r = 0; r < rows; r++) {
            const vec x = v_set(a[r * a_row]);
            UNROLL for (int v = 0; v < vectors; v++) {
                acc[r][v] = v_fma(x, w[v], acc[r][v]);
            }
        }
    }
}

typedef struct tile { int64_t K; const float *a; int64_t a_row, a_k; const float *b; int64_t b_k; float *c; int64_t c_row, left; bool add; } tile;

INLINE void product_tile(int rows, int vectors, const tile *t) {
    vec acc[TALL][4] = {{{0}}};
    if (t->add) {
        UNROLL for (int r = 0; r < rows; r++) {
            UNROLL for (int v = 0; v < vectors; v++) {
                acc[r][v] = v_at(t->c + r * t->c_row + v * VL, t->left - v * VL);
            }
        }
    }
    sum_tile(rows, vectors, t->K, t->a, t->a_row, t->a_k, t->b, t->b_k, acc);
    UNROLL for (int r = 0; r < rows; r++) {
        UNROLL for (int v = 0; v < vectors; v++) {
            v_put(t->c + r * t->c_row + v * VL, acc[r][v], t->left - v * VL);
        }
    }
}

INLINE void product_rows(int vectors, int rows, const tile *t) {
    switch (rows) {
    case 1: product_tile(1, vectors, t); break;
    case 2: product_tile(2, vectors, t); break;
    case 3: product_tile(3, vectors, t); break;
    case 4: product_tile(4, vectors, t); break;
    case 5: product_tile(5, vectors, t); break;
    default: product_tile(6, vectors, t); break;
    }
}

static void any_tile(int vectors, int rows, const tile *t) {
    switch (vectors) {
    case 1: product_rows(1, rows, t); break;
#if LTH_ISA == 2
    case 2: product_rows(2, rows, t); break;
    case 3: product_rows(3, rows, t); break;
    default: product_rows(4, rows, t); break;
#else
    default: product_rows(2, rows, t); break;
#endif
    }
}

/* The next tile's height: as even as can be, so that no tile is too low to hide the latency of its sums. */
static int height(int64_t left, int most) {
    const int64_t tiles = (left + most - 1) / most;
    return (int)((left + tiles - 1) / tiles);
}

/* c (M, N) = a (M, K) b, b packed by panel_pack; add: to what is there. */
static void panel_product(int64_t M, int64_t N, int64_t K, const float *a, int64_t a_row, const float *packed, float *c, int64_t c_row, bool add) {
    for (int64_t n = 0; n < N; n += WIDE * VL) {
        const int vectors = (int)((N - n + VL - 1) / VL < WIDE ? (N - n + VL - 1) / VL : WIDE);
        for (int64_t m = 0; m < M;) {
            const int rows = height(M - m, TALL);
            const tile t = {K, a + m * a_row, a_row, 1, packed + n * K, vectors * VL, c + m * c_row + n, c_row, N - n, add};
            any_tile(vectors, rows, &t);
            m += rows;
        }
    }
}

/* c (M, N) = a^T b over R rows of a (R, M of a_row) and b (R, N of b_row), N a multiple of 16; in blocks of rows that stay in cache.
 * add: plus what is there. */
static void outer_product(int64_t R, int64_t M, int64_t N, const float *a, int64_t a_row, const float *b, int64_t b_row, float *c, int64_t c_row,
                          bool add) {
    enum { BLOCK = 128 };
    for (int64_t r = 0; r < R; r += BLOCK) {
        const int64_t K = R - r < BLOCK ? R - r : BLOCK;
        for (int64_t n = 0; n < N; n += WIDE * VL) {
            const int vectors = (int)((N - n) / VL < WIDE ? (N - n) / VL : WIDE);
            for (int64_t m = 0; m < M;) {
                const int rows = height(M - m, TALL);
                const tile t = {K, a + r * a_row + m, 1, a_row, b + r * b_row + n, b_row, c + m * c_row + n, c_row, N - n, add || r > 0};
                any_tile(vectors, rows, &t);
                m += rows;
            }
        }
    }
}

/* ---- a step ---- */
/* e^x = 2^n (1 + q), for |x| <= 87: n and q, to about 1 ulp of 1 + q. The sum with `magic` rounds, and leaves 2^n's exponent in its low bits. */
INLINE vec exp_parts(vec x, vec *scale) {
    const vec magic = v_set(12583039.f); /* 1.5 2^23 + 127 */
    const vec t = v_fma(x, v_set(1.44269504f), magic), n = t - magic;
    const vec r = v_fnma(n, v_set(-2.12194440e-4f), v_fnma(n, v_set(0.693359375f), x));
    vec p = v_set(1.9875691500e-4f);
    p = v_fma(p, r, v_set(1.3981999507e-3f));
    p = v_fma(p, r, v_set(8.3334519073e-3f));
    p = v_fma(p, r, v_set(4.1665795894e-2f));
    p = v_fma(p, r, v_set(1.6666665459e-1f));
    p = v_fma(p, r, v_set(5.0000001201e-1f));
    *scale = (vec)((ivec)t << 23);
    return v_fma(p, r * r, r);
}
INLINE vec within(vec x, float limit) { return v_min(v_set(limit), v_max(v_set(-limit), x)); } /* NaN stays */
/* 1 / (1 + e^-x); beyond 87 as at 87. */
INLINE vec gate_sigmoid(vec x) {
    vec s, q = exp_parts(within(-x, 87.f), &s);
    return 1.f / (1.f + v_fma(s, q, s));
}
/* m / (m + 2) with m = e^2x - 1, which is exact near 0: (s - 1) + s q. */
INLINE vec gate_tanh(vec x) {
    vec s, q = exp_parts(within(x + x, 40.f), &s);
    const vec m = v_fma(s, q, s - 1.f);
    return m / (m + 2.f);
}
INLINE void lstm_unit(const lth_rnn_step *s, int64_t row, int64_t j, const vec z[4]) {
    const int64_t left = s->H - j, at = row * s->H + j;
    const vec i = gate_sigmoid(z[0]), f = gate_sigmoid(z[1]), g = gate_tanh(z[2]), o = gate_sigmoid(z[3]);
    const vec c = v_fma(f, v_at(s->cell + at, left), i * g), tc = gate_tanh(c), h = o * tc;
    if (s->gates) {
        float *to = s->gates + row * 4 * s->H + j;
        v_put(to, i, left);
        v_put(to + s->H, f, left);
        v_put(to + 2 * s->H, g, left);
        v_put(to + 3 * s->H, o, left);
        v_put(s->cell_tanh + at, tc, left);
    }
    v_put(s->cell_next + at, c, left);
    v_put(s->y + at, h, left);
    if (s->next) {
        v_put(s->next + row * s->a_row + j, h, left);
    }
}

/* z: r, z, the parts of n from x and from h */
INLINE void gru_unit(const lth_rnn_step *s, int64_t row, int64_t j, const vec z[4]) {
    const int64_t left = s->H - j;
    const vec r = gate_sigmoid(z[0]), u = gate_sigmoid(z[1]), n = gate_tanh(v_fma(r, z[3], z[2]));
    const vec h = v_fma(u, v_at(s->a + row * s->a_row + s->I + j, left) - n, n);
    if (s->gates) {
        float *to = s->gates + row * 4 * s->H + j;
        v_put(to, n, left);
        v_put(to + s->H, r, left);
        v_put(to + 2 * s->H, u, left);
        v_put(to + 3 * s->H, z[3], left);
    }
    v_put(s->y + row * s->H + j, h, left);
    if (s->next) {
        v_put(s->next + row * s->a_row + j, h, left);
    }
}

/* Apart from the sums, and not unrolled: inlined into every tile, the gates take twice the time. */
static __attribute__((noinline)) void lstm_rows(int rows, const lth_rnn_step *s, int64_t row, int64_t j, const float *z) {
    for (int r = 0; r < rows; r++, z += 4 * VL) {
        lstm_unit(s, row + r, j, (const vec[4]){v_load(z), v_load(z + VL), v_load(z + 2 * VL), v_load(z + 3 * VL)});
    }
}
static __attribute__((noinline)) void gru_rows(int rows, const lth_rnn_step *s, int64_t row, int64_t j, const float *z) {
    for (int r = 0; r < rows; r++, z += 4 * VL) {
        gru_unit(s, row + r, j, (const vec[4]){v_load(z), v_load(z + VL), v_load(z + 2 * VL), v_load(z + 3 * VL)});
    }
}

INLINE void cell_tile(bool gru, int rows, const lth_rnn_step *s, int64_t row, int64_t j) {
    const int gates = gru ? 3 : 4;
    const float *a = s->a + row * s->a_row, *w = s->weights + j * gates * (s->I + s->H), *b = s->bias + j * 4;
    vec acc[TALL][4];
    UNROLL for (int r = 0; r < rows; r++) {
        UNROLL for (int g = 0; g < 4; g++) {
            acc[r][g] = v_load(b + g * VL);
        }
    }
    if (!gru) {
        sum_tile(rows, 4, s->K, a, s->a_row, 1, w, 4 * VL, acc);
    } else {
        vec aside[TALL];
        sum_tile(rows, 3, s->I, a, s->a_row, 1, w, 3 * VL, acc);
        UNROLL for (int r = 0; r < rows; r++) {
            aside[r] = acc[r][2];
            acc[r][2] = acc[r][3];
        }
        sum_tile(rows, 3, s->K - s->I, a + s->I, s->a_row, 1, w + s->I * 3 * VL, 3 * VL, acc);
        UNROLL for (int r = 0; r < rows; r++) {
            acc[r][3] = acc[r][2];
            acc[r][2] = aside[r];
        }
    }
    float z[TALL][4 * VL] __attribute__((aligned(64)));
    UNROLL for (int r = 0; r < rows; r++) {
        UNROLL for (int g = 0; g < 4; g++) {
            v_store(&z[r][g * VL], acc[r][g]);
        }
    }
    (gru ? gru_rows : lstm_rows)(rows, s, row, j, &z[0][0]);
}

INLINE void step(bool gru, const lth_rnn_step *s) {
    for (int64_t j = 0; j < s->H; j += VL) {
        for (int64_t row = 0; row < s->rows;) {
            const int rows = height(s->rows - row, CELL);
            switch (rows) {
            case 1: cell_tile(gru, 1, s, row, j); break;
            case 2: cell_tile(gru, 2, s, row, j); break;
            case 3: cell_tile(gru, 3, s, row, j); break;
#if LTH_ISA == 2
            case 4: cell_tile(gru, 4, s, row, j); break;
            case 5: cell_tile(gru, 5, s, row, j); break;
            default: cell_tile(gru, 6, s, row, j); break;
#else
            default: break;
#endif
            }
            row += rows;
        }
    }
}

static void lstm_step(const lth_rnn_step *s) { step(false, s); }
static void gru_step(const lth_rnn_step *s) { step(true, s); }

/* Bias vectors as cell tiles begin with them: [block][4][VL]. */
static void cell_bias(bool gru, int64_t H, const float *b_ih, const float *b_hh, float *to) {
    for (int64_t j = 0; j < H; j += VL) {
        for (int g = 0; g < 4; g++, to += VL) {
            const int64_t from = (gru && g == 3 ? 2 : g) * H + j;
            const bool x = !gru || g != 3, h = !gru || g != 2;
            v_store(to, (b_ih && x ? v_at(b_ih + from, H - j) : (vec){0}) + (b_hh && h ? v_at(b_hh + from, H - j) : (vec){0}));
        }
    }
}

/* ---- a step back ---- */
/* dgates i, f, g, o before their activations from dh + dy; dc becomes the previous cell's. */
static void lstm_back(const lth_rnn_back *s) {
    for (int64_t row = 0; row < s->rows; row++) {
        const float *gates = s->gates + row * 4 * s->H;
        float *to = s->dgates + row * s->d_row;
        for (int64_t j = 0; j < s->H; j += VL) {
            const int64_t left = s->H - j, at = row * s->H + j;
            const vec i = v_at(gates + j, left), f = v_at(gates + s->H + j, left), g = v_at(gates + 2 * s->H + j, left);
            const vec o = v_at(gates + 3 * s->H + j, left), tc = v_at(s->cell_tanh + at, left);
            const vec dh = s->dy ? v_at(s->dh + at, left) + v_at(s->dy + at, left) : v_at(s->dh + at, left);
            const vec dc = v_fma(dh * o, v_fnma(tc, tc, v_set(1.f)), v_at(s->dc + at, left));
            v_put(to + j, dc * g * (i * (1.f - i)), left);
            v_put(to + s->H + j, dc * v_at(s->cell + at, left) * (f * (1.f - f)), left);
            v_put(to + 2 * s->H + j, dc * i * v_fnma(g, g, v_set(1.f)), left);
            v_put(to + 3 * s->H + j, dh * tc * (o * (1.f - o)), left);
            v_put(s->dc + at, dc * f, left);
        }
    }
}

/* dgates n, r, z and the hidden part of n; dh becomes what does not go through the weights. */
static void gru_back(const lth_rnn_back *s) {
    for (int64_t row = 0; row < s->rows; row++) {
        const float *gates = s->gates + row * 4 * s->H;
        float *to = s->dgates + row * s->d_row;
        for (int64_t j = 0; j < s->H; j += VL) {
            const int64_t left = s->H - j, at = row * s->H + j;
            const vec n = v_at(gates + j, left), r = v_at(gates + s->H + j, left), u = v_at(gates + 2 * s->H + j, left);
            const vec hn = v_at(gates + 3 * s->H + j, left), before = v_at(s->a + row * s->a_row + s->I + j, left);
            const vec dh = s->dy ? v_at(s->dh + at, left) + v_at(s->dy + at, left) : v_at(s->dh + at, left);
            const vec dn = dh * (1.f - u) * v_fnma(n, n, v_set(1.f));
            v_put(to + j, dn, left);
            v_put(to + s->H + j, dn * hn * (r * (1.f - r)), left);
            v_put(to + 2 * s->H + j, dh * (before - n) * (u * (1.f - u)), left);
            v_put(to + 3 * s->H + j, dn * r, left);
            v_put(s->dh + at, dh * u, left);
        }
    }
}

void LTH_NAME(lth_fill_recurrent)(lth_cpu_isa *t) {
    t->cell_floats = cell_floats;
    t->cell_pack = cell_pack;
    t->cell_bias = cell_bias;
    t->lstm_step = lstm_step;
    t->gru_step = gru_step;
    t->lstm_back = lstm_back;
    t->gru_back = gru_back;
    t->panel_floats = panel_floats;
    t->panel_pack = panel_pack;
    t->panel_product = panel_product;
    t->outer_product = outer_product;
}
