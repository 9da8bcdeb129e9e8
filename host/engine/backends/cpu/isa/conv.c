/* backends/cpu/isa/conv.c - own convolution where one vector holds a pixel of 16 images (LTH_N16C): no channel padding, no horizontal
 * sums but at the very end, pooling and activation fused. One block of 16 images a call. For few channels and outputs; large ones are
 * oneDNN's. Register tiles are sized by the number of vector registers: 32 with AVX-512, 16 without. */
#include "engine/backends/cpu/isa.h"
#include "simd.h"
#include <lt/tensor.h>

#if LTH_ISA == 2
enum { TO = 4, TX = 7, TK = 5, TC = 2, TD = 6 }; /* outputs, pixels; taps; channels, pixels of the data gradient */
#else
enum { TO = 2, TX = 4, TK = 4, TC = 1, TD = 4 };
#endif
enum { ROWS_BYTES = 24 << 10 }; /* of dz for one tile of outputs: half a first-level cache */

/* Part `i` of `parts` nearly equal parts of n. */
INLINE int part(int n, int parts, int i) { return n * i / parts; }
INLINE int parts_of(int n, int most) { return (n + most - 1) / most; }

/* ---- input ---- */
static void nconv_pad(const lth_nconv *c, const float *x, int64_t image_at, bool lanes, float *to) {
    const int ph = (c->HP - c->H) / 2, pw = (c->WP - c->W) / 2;
    for (int ch = 0; ch < c->C; ch++) {
        for (int y = 0; y < c->HP; y++, to += c->WP * 16) {
            const int iy = y - ph;
            if (iy < 0 || iy >= c->H) {
                memset(to, 0, (size_t)c->WP * 64);
                continue;
            }
            memset(to, 0, (size_t)pw * 64);
            memset(to + (pw + c->W) * 16, 0, (size_t)(c->WP - c->W - pw) * 64);
            if (lanes) {
                memcpy(to + pw * 16, x + (ch * c->H + iy) * c->W * 16, (size_t)c->W * 64);
                continue;
            }
            for (int i = 0; i < c->W; i += 16) {
                transpose_to(to + (pw + i) * 16, 16, x + (ch * c->H + iy) * c->W + i, image_at, c->lanes, c->W - i < 16 ? c->W - i : 16);
            }
        }
    }
}
static void nconv_crop(const lth_nconv *c, int pad_h, int pad_w, const float *dxp, float *dx, int64_t image_at, bool lanes, bool add) {
    for (int ch = 0; ch < c->C; ch++) {
        for (int y = 0; y < c->H; y++) {
            const float *from = dxp + ((ch * c->HP + y + pad_h) * c->WP + pad_w) * 16;
            if (lanes) {
                float *to = dx + (ch * c->H + y) * c->W * 16;
                for (int i = 0; i < c->W * 16; i += VL) {
                    v_store(to + i, add ? v_load(to + i) + v_load(from + i) : v_load(from + i));
                }
                continue;
            }
            for (int i = 0; i < c->W; i += 16) {
                transpose_from(dx + (ch * c->H + y) * c->W + i, image_at, c->lanes, c->W - i < 16 ? c->W - i : 16, from + i * 16, 16, add);
            }
        }
    }
}

/* ---- weights: forward [block of outputs][tap][output], backward [block of channels][ky][o][kx][channel] ---- */
static void nconv_pack(const lth_nconv *c, const float *w, float *forward, float *backward) {
    const int taps = c->C * c->KH * c->KW, blocks = parts_of(c->O, TO), cblocks = parts_of(c->C, TC);
    for (int b = 0; forward && b < blocks; b++) {
        const int o0 = part(c->O, blocks, b), o1 = part(c->O, blocks, b + 1);
        for (int t = 0; t < taps; t++) {
            for (int o = o0; o < o1; o++) {
                *forward++ = w[o * taps + t];
            }
        }
    }
    for (int b = 0; backward && b < cblocks; b++) {
        const int c0 = part(c->C, cblocks, b), c1 = part(c->C, cblocks, b + 1);
        for (int ky = 0; ky < c->KH; ky++) {
            for (int o = 0; o < c->O; o++) {
                for (int kx = 0; kx < c->KW; kx++) {
                    for (int ch = c0; ch < c1; ch++) {
                        *backward++ = w[o * taps + (ch * c->KH + ky) * c->KW + kx];
                    }
                }
            }
        }
    }
}

/* ---- forward: a tile of `no` outputs by `nx` pixels, all taps ---- */
INLINE void forward_tile(const int no, const int nx, const lth_nconv *c, const float *x, const float *w, const float *bias, bool relu,
                         float *to, int64_t to_at) {
    vec a[TO][TX];
    const int64_t step = c->SW * 16;
    UNROLL for (int o = 0; o < no; o++) {
        UNROLL for (int j = 0; j < nx; j++) { a[o][j] = v_set(bias ? bias[o] : 0.f); }
    }
    for (int ch = 0; ch < c->C; ch++) {
        for (int ky = 0; ky < c->KH; ky++) {
            const float *row = x + (int64_t)(ch * c->HP + ky) * c->WP * 16;
            for (int kx = 0; kx < c->KW; kx++, row += 16, w += no) {
                vec v[TX];
                UNROLL for (int j = 0; j < nx; j++) { v[j] = v_load(row + j * step); }
                UNROLL for (int o = 0; o < no; o++) {
                    const vec f = v_set(w[o]);
                    UNROLL for (int j = 0; j < nx; j++) { a[o][j] = v_fma(v[j], f, a[o][j]); }
                }
            }
        }
    }
    UNROLL for (int o = 0; o < no; o++) {
        UNROLL for (int j = 0; j < nx; j++) { v_store(to + o * to_at + j * 16, relu ? v_max((vec){0}, a[o][j]) : a[o][j]); }
    }
}
typedef void forward_fn(const lth_nconv *, const float *, const float *, const float *, bool, float *, int64_t);
#define FORWARD(no, nx)                                                                                                                    \
    static void forward_##no##_##nx(const lth_nconv *c, const float *x, const float *w, const float *bias, bool relu, float *to,           \
                                    int64_t to_at) {                                                                                       \
        forward_tile(no, nx, c, x, w, bias, relu, to, to_at);                                                                              \
    }
#define FORWARDS(no) FORWARD(no, 1) FORWARD(no, 2) FORWARD(no, 3) FORWARD(no, 4)
FORWARDS(1)
FORWARDS(2)
#if LTH_ISA == 2
    FORWARDS(3) FORWARDS(4) FORWARD(1, 5) FORWARD(2, 5) FORWARD(3, 5) FORWARD(4, 5) FORWARD(1, 6) FORWARD(2, 6) FORWARD(3, 6) FORWARD(4, 6)
        FORWARD(1, 7) FORWARD(2, 7) FORWARD(3, 7)
#define ROW_OF(no)                                                                                                                         \
    forward_##no##_1, forward_##no##_2, forward_##no##_3, forward_##no##_4, forward_##no##_5, forward_##no##_6
        static forward_fn *const forwards[TO][TX] = {{ROW_OF(1), forward_1_7}, {ROW_OF(2), forward_2_7}, {ROW_OF(3), forward_3_7}, {ROW_OF(4)}};
#else
#define ROW_OF(no)                                                                                                                         \
    { forward_##no##_1, forward_##no##_2, forward_##no##_3, forward_##no##_4 }
    static forward_fn *const forwards[TO][TX] = {ROW_OF(1), ROW_OF(2)};
#endif

INLINE vec activate(int act, vec v) {
    switch (act) {
    case LT_ACT_RELU:
        return v_max((vec){0}, v);
    case LT_ACT_TANH:
        return v_tanh(v);
    case LT_ACT_SIGMOID:
        return v_sigmoid(v);
    default:
        return v;
    }
}
/* One output row of one block of outputs: [no][OW][16] at to, to_at apart. */
static void forward_row(const lth_nconv *c, int oy, int no, const float *x, const float *w, const float *bias, bool relu, float *to,
                        int64_t to_at) {
    const int tiles = parts_of(c->OW, LTH_ISA == 2 && no == TO ? TX - 1 : TX); /* four outputs by seven pixels: more than there are registers */
    for (int t = 0; t < tiles; t++) {
        const int x0 = part(c->OW, tiles, t), nx = part(c->OW, tiles, t + 1) - x0;
        for (int v = 0; v < 16; v += VL) {
            forwards[no - 1][nx - 1](c, x + ((int64_t)oy * c->SH * c->WP + x0 * c->SW) * 16 + v, w, bias, relu, to + x0 * 16 + v, to_at);
        }
    }
}
/* Pools `no` rows groups [pool_h][no][OW][16] into one pooled row each. */
static void pool_rows(const lth_nconv *c, int py, int no, const float *rows, float *y, uint8_t *index) {
    const int64_t row_at = (int64_t)TO * c->OW * 16;
    for (int o = 0; o < no; o++) {
        for (int px = 0; px < c->PW; px++) {
            const int64_t to = (((int64_t)o * c->PH + py) * c->PW + px) * 16;
            const float *from = rows + ((int64_t)o * c->OW + px * c->pool_w) * 16;
            for (int v = 0; v < 16; v += VL) {
                vec best = v_load(from + v);
                ivec at = {0};
                for (int k = 1; k < c->pool_h * c->pool_w; k++) {
                    const vec a = v_load(from + k / c->pool_w * row_at + k % c->pool_w * 16 + v);
                    const vmask more = v_gt(a, best);
                    best = v_sel(more, a, best);
                    at = v_isel(more, v_iset(k), at);
                }
                v_store(y + to + v, activate(c->act, best));
                if (index) {
                    v_bytes_store(index + to + v, at);
                }
            }
        }
    }
}
static void pool_rows_2x2(const lth_nconv *c, int py, int no, const float *rows, float *y, uint8_t *index) {
    const int64_t row_at = (int64_t)TO * c->OW * 16;
    for (int o = 0; o < no; o++) {
        for (int px = 0; px < c->PW; px++) {
            const int64_t to = (((int64_t)o * c->PH + py) * c->PW + px) * 16;
            const float *from = rows + ((int64_t)o * c->OW + px * 2) * 16;
            for (int v = 0; v < 16; v += VL) {
                const vec a = v_load(from + v), b = v_load(from + 16 + v), e = v_load(from + row_at + v),
                          f = v_load(from + row_at + 16 + v);
                const vmask right = v_gt(b, a), right2 = v_gt(f, e);
                const vec m1 = v_max(b, a), m2 = v_max(f, e);
                const vmask lower = v_gt(m2, m1);
                v_store(y + to + v, activate(c->act, v_max(m2, m1)));
                if (index) {
                    const ivec zero = {0}, up = v_isel(right, v_iset(1), zero), down = v_isel(right2, v_iset(3), v_iset(2));
                    v_bytes_store(index + to + v, v_isel(lower, down, up));
                }
            }
        }
    }
}
/* Lanes beyond the images must be zero, whatever the bias. */
static void clear_lanes(int lanes, int64_t pixels, float *y) {
    for (int64_t p = 0; p < pixels; p++) {
        for (int i = lanes; i < 16; i++) {
            y[p * 16 + i] = 0;
        }
    }
}
static void nconv_forward(const lth_nconv *c, const float *x, const float *packed, const float *bias, float *y, uint8_t *index,
                          float *scratch) {
    const int taps = c->C * c->KH * c->KW, blocks = parts_of(c->O, TO);
    const int64_t row = (int64_t)c->OW * 16;
    for (int b = 0; b < blocks; b++) {
        const int o0 = part(c->O, blocks, b), no = part(c->O, blocks, b + 1) - o0;
        const float *w = packed + o0 * taps, *bb = bias ? bias + o0 : NULL;
        if (!c->pool_h) {
            float *to = y + o0 * c->OH * row;
            for (int oy = 0; oy < c->OH; oy++) {
                forward_row(c, oy, no, x, w, bb, c->act == LT_ACT_RELU, to + oy * row, c->OH * row);
            }
            for (int64_t i = 0; c->act > LT_ACT_RELU && i < no * c->OH * row; i += VL) {
                v_store(to + i, activate(c->act, v_load(to + i)));
            }
            continue;
        }
        for (int py = 0; py < c->PH; py++) {
            for (int r = 0; r < c->pool_h; r++) {
                forward_row(c, py * c->pool_h + r, no, x, w, bb, false, scratch + r * TO * row, row);
            }
            const int64_t at = (int64_t)o0 * c->PH * c->PW * 16;
            (c->pool_h == 2 && c->pool_w == 2 ? pool_rows_2x2 : pool_rows)(c, py, no, scratch, y + at, index ? index + at : NULL);
        }
    }
    if (c->lanes < 16) {
        clear_lanes(c->lanes, (int64_t)c->O * c->PH * c->PW, y);
    }
}

/* ---- backward: pool and activation, bias ---- */
INLINE vec slope(int act, vec g, vec y) {
    switch (act) {
    case LT_ACT_RELU:
        return v_keep(v_gt(y, (vec){0}), g);
    case LT_ACT_TANH:
        return g * (1.f - y * y);
    case LT_ACT_SIGMOID:
        return g * ((1.f - y) * y);
    default:
        return g;
    }
}
INLINE void unpool(const int act, const lth_nconv *c, const float *y, const float *dy, const uint8_t *index, float *dz, float *db) {
    const int64_t map = (int64_t)c->OH * c->OW * 16, row = (int64_t)c->OW * 16;
    const bool whole = c->pool_h && c->PH * c->pool_h == c->OH && c->PW * c->pool_w == c->OW;
    for (int o = 0; o < c->O; o++, dz += map) {
        vec s[VPP];
        UNROLL for (int v = 0; v < VPP; v++) { s[v] = (vec){0}; }
        if (c->pool_h && !whole) {
            memset(dz, 0, (size_t)map * sizeof *dz);
        }
        for (int py = 0; py < c->PH; py++) {
            for (int px = 0; px < c->PW; px++, y += 16, dy += 16, index += c->pool_h ? 16 : 0) {
                float *to = dz + (c->pool_h ? py * c->pool_h * row + px * c->pool_w * 16 : py * row + px * 16);
                UNROLL for (int v = 0; v < VPP; v++) {
                    const vec g = slope(act, v_load(dy + v * VL), act ? v_load(y + v * VL) : (vec){0});
                    s[v] += g;
                    if (!c->pool_h) {
                        v_store(to + v * VL, g);
                        continue;
                    }
                    const ivec at = v_bytes_load(index + v * VL);
                    if (c->pool_h == 2 && c->pool_w == 2) {
                        v_store(to + v * VL, v_keep(v_ieq(at, v_iset(0)), g));
                        v_store(to + 16 + v * VL, v_keep(v_ieq(at, v_iset(1)), g));
                        v_store(to + row + v * VL, v_keep(v_ieq(at, v_iset(2)), g));
                        v_store(to + row + 16 + v * VL, v_keep(v_ieq(at, v_iset(3)), g));
                        continue;
                    }
                    for (int k = 0; k < c->pool_h * c->pool_w; k++) {
                        v_store(to + k / c->pool_w * row + k % c->pool_w * 16 + v * VL, v_keep(v_ieq(at, v_iset(k)), g));
                    }
                }
            }
        }
        vec total = s[0];
        for (int v = 1; v < VPP; v++) {
            total += s[v];
        }
        db[o] = v_sum(total);
    }
}
static void nconv_unpool(const lth_nconv *c, const float *y, const float *dy, const uint8_t *index, float *dz, float *db) {
    switch (c->act) {
    case LT_ACT_RELU:
        unpool(LT_ACT_RELU, c, y, dy, index, dz, db);
        break;
    case LT_ACT_TANH:
        unpool(LT_ACT_TANH, c, y, dy, index, dz, db);
        break;
    case LT_ACT_SIGMOID:
        unpool(LT_ACT_SIGMOID, c, y, dy, index, dz, db);
        break;
    default:
        unpool(LT_ACT_NONE, c, y, dy, index, dz, db);
    }
}

/* ---- backward: weights. A tile of `no` outputs by `nt` taps over some rows; acc [no][taps][VL] ---- */
INLINE void weights_tile(const int no, const int nt, const lth_nconv *c, const float *x, const int32_t *offset, const float *dz, int rows,
                         float *acc, int64_t acc_at) {
    vec a[TO][TK];
    const float *d[TO], *p[TK];
    const int64_t step = c->SW * 16;
    UNROLL for (int o = 0; o < no; o++) {
        d[o] = dz + (int64_t)o * c->OH * c->OW * 16;
        UNROLL for (int t = 0; t < nt; t++) { a[o][t] = v_load(acc + o * acc_at + t * VL); }
    }
    UNROLL for (int t = 0; t < nt; t++) { p[t] = x + offset[t]; }
    for (int y = 0; y < rows; y++) {
        int64_t at = (int64_t)y * c->SH * c->WP * 16, to = (int64_t)y * c->OW * 16;
        for (int i = 0; i < c->OW; i++, at += step, to += 16) {
            for (int v = 0; v < 16; v += VL) {
                vec e[TO];
                UNROLL for (int o = 0; o < no; o++) { e[o] = v_load(d[o] + to + v); }
                UNROLL for (int t = 0; t < nt; t++) {
                    const vec f = v_load(p[t] + at + v);
                    UNROLL for (int o = 0; o < no; o++) { a[o][t] = v_fma(e[o], f, a[o][t]); }
                }
            }
        }
    }
    UNROLL for (int o = 0; o < no; o++) {
        UNROLL for (int t = 0; t < nt; t++) { v_store(acc + o * acc_at + t * VL, a[o][t]); }
    }
}
typedef void weights_fn(const lth_nconv *, const float *, const int32_t *, const float *, int, float *, int64_t);
#define WEIGHTS(no, nt)                                                                                                                    \
    static void weights_##no##_##nt(const lth_nconv *c, const float *x, const int32_t *offset, const float *dz, int rows, float *acc,      \
                                    int64_t acc_at) {                                                                                      \
        weights_tile(no, nt, c, x, offset, dz, rows, acc, acc_at);                                                                         \
    }
WEIGHTS(1, 1)
WEIGHTS(1, 2) WEIGHTS(1, 3) WEIGHTS(1, 4) WEIGHTS(2, 1) WEIGHTS(2, 2) WEIGHTS(2, 3) WEIGHTS(2, 4)
#if LTH_ISA == 2
    WEIGHTS(1, 5) WEIGHTS(2, 5) WEIGHTS(3, 1) WEIGHTS(3, 2) WEIGHTS(3, 3) WEIGHTS(3, 4) WEIGHTS(3, 5) WEIGHTS(4, 1) WEIGHTS(4, 2)
        WEIGHTS(4, 3) WEIGHTS(4, 4) WEIGHTS(4, 5)
#define TAPS_OF(no)                                                                                                                        \
    { weights_##no##_1, weights_##no##_2, weights_##no##_3, weights_##no##_4, weights_##no##_5 }
            static weights_fn *const weights[TO][TK] = {TAPS_OF(1), TAPS_OF(2), TAPS_OF(3), TAPS_OF(4)};
#else
#define TAPS_OF(no)                                                                                                                        \
    { weights_##no##_1, weights_##no##_2, weights_##no##_3, weights_##no##_4 }
    static weights_fn *const weights[TO][TK] = {TAPS_OF(1), TAPS_OF(2)};
#endif

/* The lanes of n vectors, summed. */
static void lane_sums(int n, const float *acc, float *to) {
    int i = 0;
#if LTH_ISA == 2
    for (; i + 16 <= n; i += 16) {
        __m512 r[16];
        UNROLL for (int k = 0; k < 16; k++) { r[k] = v_load(acc + (i + k) * 16); }
        transpose_16(r);
        UNROLL for (int s = 8; s > 0; s /= 2) {
            UNROLL for (int k = 0; k < s; k++) { r[k] = r[k] + r[k + s]; }
        }
        v_store(to + i, r[0]);
    }
#endif
    for (; i < n; i++) {
        to[i] = v_sum(v_load(acc + i * VL));
    }
}
static void nconv_weights(const lth_nconv *c, const float *x, const float *dz, float *dw, float *scratch) {
    const int taps = c->C * c->KH * c->KW, blocks = parts_of(c->O, TO), tiles = parts_of(taps, TK);
    const int64_t acc_at = (int64_t)taps * VL, map = (int64_t)c->OH * c->OW * 16;
    int32_t *offset = (int32_t *)(void *)(scratch + TO * acc_at);
    for (int t = 0; t < taps; t++) {
        offset[t] = ((t / (c->KH * c->KW) * c->HP + t / c->KW % c->KH) * c->WP + t % c->KW) * 16;
    }
    int rows = ROWS_BYTES / (TO * c->OW * 64);
    rows = rows < 1 ? 1 : rows;
    for (int b = 0; b < blocks; b++) {
        const int o0 = part(c->O, blocks, b), no = part(c->O, blocks, b + 1) - o0;
        memset(scratch, 0, (size_t)(no * acc_at) * sizeof *scratch);
        for (int y = 0; y < c->OH; y += rows) {
            const int some = c->OH - y < rows ? c->OH - y : rows;
            for (int t = 0; t < tiles; t++) {
                const int t0 = part(taps, tiles, t), nt = part(taps, tiles, t + 1) - t0;
                weights[no - 1][nt - 1](c, x + (int64_t)y * c->SH * c->WP * 16, offset + t0, dz + o0 * map + (int64_t)y * c->OW * 16, some,
                                        scratch + t0 * VL, acc_at);
            }
        }
        lane_sums(no * taps, scratch, dw + o0 * taps);
    }
}

/* ---- backward: data. `nx` pixels of dz spread over nc channels of a row of dx, `nk` taps wide ---- */
INLINE void data_tile(const int nc, const int nx, const int nk, const int stride, const lth_nconv *c, int iy, int kx, const float *dz,
                      const float *w, float *dx) {
    enum { MOST = 2 * TD + 5 };
    const int wide = (nx - 1) * stride + nk;
    const int64_t plane = (int64_t)c->HP * c->WP * 16, map = (int64_t)c->OH * c->OW * 16;
    vec a[TC][MOST];
    UNROLL for (int ch = 0; ch < nc; ch++) {
        UNROLL for (int j = 0; j < wide; j++) { a[ch][j] = v_load(dx + ch * plane + j * 16); }
    }
    for (int ky = 0; ky < c->KH; ky++) {
        const int oy = (iy - ky) / stride;
        if (iy < ky || (iy - ky) % stride || oy >= c->OH) {
            continue;
        }
        const float *row = dz + (int64_t)oy * c->OW * 16, *f = w + (ky * c->O * c->KW + kx) * nc;
        for (int o = 0; o < c->O; o++, row += map, f += c->KW * nc) {
            UNROLL for (int j = 0; j < nx; j++) {
                const vec e = v_load(row + j * 16);
                UNROLL for (int k = 0; k < nk; k++) {
                    UNROLL for (int ch = 0; ch < nc; ch++) {
                        a[ch][j * stride + k] = v_fma(e, v_set(f[k * nc + ch]), a[ch][j * stride + k]);
                    }
                }
            }
        }
    }
    UNROLL for (int ch = 0; ch < nc; ch++) {
        UNROLL for (int j = 0; j < wide; j++) { v_store(dx + ch * plane + j * 16, a[ch][j]); }
    }
}
typedef void data_fn(const lth_nconv *, int, int, const float *, const float *, float *);
#define DATA(nc, nx, nk, stride)                                                                                                           \
    static void data_##nc##_##nx##_##nk##_##stride(const lth_nconv *c, int iy, int kx, const float *dz, const float *w, float *dx) {       \
        data_tile(nc, nx, nk, stride, c, iy, kx, dz, w, dx);                                                                               \
    }
#define DATA_X(nc, nk, stride) DATA(nc, 1, nk, stride) DATA(nc, 2, nk, stride) DATA(nc, 3, nk, stride) DATA(nc, 4, nk, stride)
#define DATA_K(nc)             DATA_X(nc, 1, 1) DATA_X(nc, 3, 1) DATA_X(nc, 5, 1) DATA_X(nc, 1, 2) DATA_X(nc, 3, 2) DATA_X(nc, 5, 2)
DATA_K(1)
#define DATA_ROW(nc, nk, s)                                                                                                                \
    { data_##nc##_1_##nk##_##s, data_##nc##_2_##nk##_##s, data_##nc##_3_##nk##_##s, data_##nc##_4_##nk##_##s }
#if LTH_ISA == 2
DATA_K(2)
DATA(1, 5, 1, 1)
DATA(1, 5, 3, 1) DATA(1, 5, 5, 1) DATA(1, 6, 1, 1) DATA(1, 6, 3, 1) DATA(1, 6, 5, 1) DATA(2, 5, 1, 1) DATA(2, 5, 3, 1) DATA(2, 5, 5, 1)
    DATA(2, 6, 1, 1) DATA(2, 6, 3, 1) DATA(2, 6, 5, 1)
#define DATA_ROW6(nc, nk, s)                                                                                                               \
    {                                                                                                                                      \
        data_##nc##_1_##nk##_##s, data_##nc##_2_##nk##_##s, data_##nc##_3_##nk##_##s, data_##nc##_4_##nk##_##s, data_##nc##_5_##nk##_##s,  \
            data_##nc##_6_##nk##_##s                                                                                                       \
    }
#define DATA_SET(nc)                                                                                                                       \
    {                                                                                                                                      \
        {DATA_ROW6(nc, 1, 1), DATA_ROW6(nc, 3, 1), DATA_ROW6(nc, 5, 1)}, { DATA_ROW(nc, 1, 2), DATA_ROW(nc, 3, 2), DATA_ROW(nc, 5, 2) }    \
    }
        static data_fn *const datas[TC][2][3][TD] = {DATA_SET(1), DATA_SET(2)};
#else
#define DATA_SET(nc)                                                                                                                       \
    {                                                                                                                                      \
        {DATA_ROW(nc, 1, 1), DATA_ROW(nc, 3, 1), DATA_ROW(nc, 5, 1)}, { DATA_ROW(nc, 1, 2), DATA_ROW(nc, 3, 2), DATA_ROW(nc, 5, 2) }       \
    }
static data_fn *const datas[TC][2][3][TD] = {DATA_SET(1)};
#endif

/* dx: padded planes [C][HP][WP][16], written. SH == SW, 1 or 2. */
static void nconv_data(const lth_nconv *c, const float *dz, const float *packed, float *dx) {
    const int blocks = parts_of(c->C, TC), tiles = parts_of(c->OW, c->SW == 1 ? TD : 4);
    const int64_t plane = (int64_t)c->HP * c->WP * 16;
    memset(dx, 0, (size_t)(c->C * plane) * sizeof *dx);
    for (int b = 0; b < blocks; b++) {
        const int c0 = part(c->C, blocks, b), nc = part(c->C, blocks, b + 1) - c0;
        const float *w = packed + (int64_t)c0 * c->KH * c->O * c->KW;
        for (int iy = 0; iy < c->HP; iy++) {
            for (int t = 0; t < tiles; t++) {
                const int x0 = part(c->OW, tiles, t), nx = part(c->OW, tiles, t + 1) - x0;
                for (int kx = 0, nk; kx < c->KW; kx += nk) {
                    nk = c->KW - kx >= 5 ? 5 : c->KW - kx >= 3 ? 3 : 1;
                    for (int v = 0; v < 16; v += VL) {
                        datas[nc - 1][c->SW - 1][nk / 2][nx - 1](c, iy, kx, dz + x0 * 16 + v, w,
                                                                 dx + c0 * plane + ((int64_t)iy * c->WP + x0 * c->SW + kx) * 16 + v);
                    }
                }
            }
        }
    }
}
static size_t nconv_scratch(const lth_nconv *c) {
    const size_t rows = (size_t)(c->pool_h ? c->pool_h : 1) * TO * (size_t)c->OW * 16, taps = (size_t)(c->C * c->KH * c->KW);
    const size_t sums = TO * taps * VL + taps;
    return (rows > sums ? rows : sums) + 16;
}

void LTH_NAME(lth_fill_conv)(lth_cpu_isa *t) {
    t->nconv_pad = nconv_pad;
    t->nconv_crop = nconv_crop;
    t->nconv_pack = nconv_pack;
    t->nconv_forward = nconv_forward;
    t->nconv_unpool = nconv_unpool;
    t->nconv_weights = nconv_weights;
    t->nconv_data = nconv_data;
    t->nconv_scratch = nconv_scratch;
}
