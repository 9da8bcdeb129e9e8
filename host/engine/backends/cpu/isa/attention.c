/* backends/cpu/isa/attention.c - scaled dot-product attention of one head, forward and backward, in tiles: QB rows of q against KB of k.
 * No (T, S) matrix exists: forward keeps a running maximum and sum per row and leaves log-sum-exp, backward makes the tiles again from it.
 * Everything is packed into dense f32 first (padded with zeros to whole register tiles), so that strides, tails and bf16 cost nothing
 * inside. One thread, keys from first to last: bits depend on the shape alone. */
#include "engine/backends/cpu/isa.h"
#include "engine/backends/cpu/low.h"
#include "simd.h"

/* KB is a multiple of MR and of NR: a register tile never reaches into the next tile's keys. */
#if LTH_ISA == 2
enum { MR = 8, KB = 256 };
#elif LTH_ISA == 1
enum { MR = 6, KB = 240 };
#else
enum { MR = 4, KB = 256 };
#endif
enum { NR = 2 * VL, QB = 4 * MR };
static int64_t padded(int64_t n) { return (n + NR - 1) / NR * NR; }
static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* ---- products of packed tiles ---- */

/* c (MR, NR) (+)= a b: a's element (i, k) at a[i row + k col], b's rows b_at apart. */
INLINE void tile(int64_t K, const float *a, int64_t row, int64_t col, const float *b, int64_t b_at, float *c, int64_t c_at, bool add) {
    vec s[MR][2];
    UNROLL for (int i = 0; i < MR; i++) {
        s[i][0] = add ? v_load(c + i * c_at) : (vec){0};
        s[i][1] = add ? v_load(c + i * c_at + VL) : (vec){0};
    }
    for (int64_t k = 0; k < K; k++, b += b_at) {
        const vec b0 = v_load(b), b1 = v_load(b + VL);
        UNROLL for (int i = 0; i < MR; i++) {
            const vec x = v_set(a[i * row + k * col]);
            s[i][0] = v_fma(x, b0, s[i][0]);
            s[i][1] = v_fma(x, b1, s[i][1]);
        }
    }
    UNROLL for (int i = 0; i < MR; i++) {
        v_store(c + i * c_at, s[i][0]);
        v_store(c + i * c_at + VL, s[i][1]);
    }
}
/* c (rows, cols) (+)= a b, rows a multiple of MR, cols of NR; b's columns j..j+NR-1 begin at b + j / NR * panel. */
static void by_rows(int64_t rows, int64_t cols, int64_t K, const float *a, int64_t a_at, const float *b, int64_t panel, int64_t b_at, float *c,
                    int64_t c_at, bool add) {
    for (int64_t j = 0; j < cols; j += NR, b += panel) {
        for (int64_t i = 0; i < rows; i += MR) {
            tile(K, a + i * a_at, a_at, 1, b, b_at, c + i * c_at + j, c_at, add);
        }
    }
}
/* c (rows, cols) += a^T b: a is (K, rows). */
static void by_columns(int64_t rows, int64_t cols, int64_t K, const float *a, int64_t a_at, const float *b, int64_t b_at, float *c, int64_t c_at) {
    for (int64_t j = 0; j < cols; j += NR) {
        for (int64_t i = 0; i < rows; i += MR) {
            tile(K, a + i, 1, a_at, b + j, b_at, c + i * c_at + j, c_at, true);
        }
    }
}

/* ---- packing ---- */

/* n rows of `width` -> dense rows of `wide`, times factor; padding is zero, up to `rows` rows. */
static void take_rows(bool low, const void *from, int64_t from_at, int64_t n, int64_t width, float factor, float *to, int64_t wide, int64_t rows) {
    for (int64_t r = 0; r < n; r++, to += wide) {
        if (low) {
            lth_low_to_f32(width, (const uint16_t *)from + r * from_at, to);
        } else {
            memcpy(to, (const float *)from + r * from_at, (size_t)width * sizeof *to);
        }
        for (int64_t i = 0; factor != 1.f && i < width; i++) {
            to[i] *= factor;
        }
        memset(to + width, 0, (size_t)(wide - width) * sizeof *to);
    }
    if (rows > n) {
        memset(to, 0, (size_t)((rows - n) * wide) * sizeof *to);
    }
}
/* n rows of `width`, `wide` apart -> the destination, times factor; added to what is there if asked. */
static void give_rows(bool low, bool add, int64_t n, int64_t width, const float *from, int64_t wide, float factor, void *to, int64_t to_at) {
    for (int64_t r = 0; r < n; r++, from += wide) {
        if (low) {
            uint16_t *y = (uint16_t *)to + r * to_at;
            for (int64_t i = 0; i < width; i++) {
                y[i] = lth_bf16_of_f32(from[i] * factor + (add ? lth_f32_of_bf16(y[i]) : 0.f));
            }
        } else {
            float *y = (float *)to + r * to_at;
            for (int64_t i = 0; i < width; i += VL) {
                const vec v = v_at(from + i, width - i) * factor;
                v_put(y + i, add ? v + v_at(y + i, width - i) : v, width - i);
            }
        }
    }
}
/* Dense rows (a multiple of NR of them) -> panels [rows / NR][width][NR]. */
static void turn(const float *from, int64_t wide, int64_t rows, int64_t width, float *to) {
    for (int64_t j = 0; j < rows; j += NR, to += width * NR) {
#if LTH_ISA > 0
        for (int64_t h = 0; h < NR; h += 16) {
            for (int64_t d = 0; d < width; d += 16) {
                transpose_to(to + d * NR + h, NR, from + (j + h) * wide + d, wide, 16, (int)least(16, width - d));
            }
        }
#else
        for (int64_t d = 0; d < width; d++) {
            for (int64_t i = 0; i < NR; i++) {
                to[d * NR + i] = from[(j + i) * wide + d];
            }
        }
#endif
    }
}

/* ---- scratch ---- */
typedef struct places { int64_t Sp, Dp, Vp; float *k, *kt, *v, *vt, *q, *go, *p, *ds, *o, *dk, *dv, *row; } places;
static size_t lay_out(const lth_attend *a, bool back, places *p) {
    *p = (places){.Sp = (a->S + KB - 1) / KB * KB, .Dp = padded(a->D), .Vp = padded(a->DV)};
    const int64_t sizes[] = {p->Sp * p->Dp, p->Sp * a->D, p->Sp * p->Vp, back ? p->Sp * a->DV : 0, QB * p->Dp, back ? QB * p->Vp : 0, QB * KB,
                             back ? QB * KB : 0, QB * (p->Vp > p->Dp ? p->Vp : p->Dp), back ? (p->Sp + MR) * p->Dp : 0,
                             back ? (p->Sp + MR) * p->Vp : 0, 2 * QB};
    float **const to[] = {&p->k, &p->kt, &p->v, &p->vt, &p->q, &p->go, &p->p, &p->ds, &p->o, &p->dk, &p->dv, &p->row};
    int64_t at = 0;
    for (int i = 0; i < (int)(sizeof sizes / sizeof *sizes); i++) {
        *to[i] = a->scratch ? a->scratch + at : NULL;
        at += (sizes[i] + 15) & ~(int64_t)15;
    }
    return (size_t)at + 16;
}
static size_t attention_scratch(const lth_attend *a, bool back) {
    places p;
    return lay_out(a, back, &p);
}

/* ---- one tile of scores ---- */

/* s += mask, for row i of q and n keys from j on. */
static void add_mask(const lth_attend *a, int64_t i, int64_t j, int64_t n, float *s) {
    const int64_t at = i * a->mask_i + j * a->mask_j;
    const uint8_t *flags = (const uint8_t *)a->mask + at;
    const float *f = (const float *)a->mask + at;
    const uint16_t *h = (const uint16_t *)a->mask + at;
    switch (a->mask_kind) {
    case LTH_MASK_BOOL:
        for (int64_t c = 0; c < n; c++) {
            s[c] = flags[c * a->mask_j] ? s[c] : -INFINITY;
        }
        break;
    case LTH_MASK_F32:
        for (int64_t c = 0; c < n; c++) {
            s[c] += f[c * a->mask_j];
        }
        break;
    case LTH_MASK_LOW:
        for (int64_t c = 0; c < n; c++) {
            s[c] += lth_f32_of_bf16(h[c * a->mask_j]);
        }
        break;
    default: break;
    }
}
/* Keys of this tile (n of them, from j on) that row i may look at. */
static int64_t visible(const lth_attend *a, int64_t i, int64_t j, int64_t n) {
    const int64_t before = i + 1 - j;
    return !a->causal || before > n ? n : before < 0 ? 0 : before;
}
static float row_top(int64_t n, const float *x) {
    vec m = v_set(-INFINITY);
    for (int64_t i = 0; i < n; i += VL) {
        const vec v = v_at(x + i, n - i);
        m = v_max(m, n - i >= VL ? v : v_sel(v_first((int)(n - i)), v, v_set(-INFINITY)));
    }
    return v_top(m);
}
/* x = e^(x - top) for n values, 0 from there to `wide`; the sum. */
static float row_exp(int64_t n, int64_t wide, float *x, float top) {
    vec sum = {0};
    for (int64_t i = 0; i < wide; i += VL) {
        vec e = {0};
        if (i < n) {
            e = v_exp(v_load(x + i) - top);
            e = n - i >= VL ? e : v_keep(v_first((int)(n - i)), e);
        }
        v_store(x + i, e);
        sum += e;
    }
    return v_sum(sum);
}
/* Scores of one row -> exponentials against the running maximum; what was summed before is scaled down where a new maximum appears. */
static void soften_row(const lth_attend *a, const places *p, int64_t i, int64_t r, int64_t j, int64_t n, int64_t wide) {
    float *s = p->p + r * KB, *top = p->row + r, *sum = p->row + QB + r;
    const int64_t seen = visible(a, i + r, j, n);
    if (a->mask) {
        add_mask(a, i + r, j, seen, s);
    }
    const float new = row_top(seen, s), now = new > *top ? new : *top;
    const float add = row_exp(seen, wide, s, now == -INFINITY ? 0 : now);
    if (j == 0) {
        *sum = add;
    } else {
        const float keep = *top == now ? 1.f : expf(*top - now);
        *sum = *sum * keep + add;
        for (int64_t d = 0; keep != 1.f && d < p->Vp; d += VL) {
            v_store(p->o + r * p->Vp + d, v_load(p->o + r * p->Vp + d) * keep);
        }
    }
    *top = now;
}

/* ---- forward ---- */
static void attention(const lth_attend *a) {
    places p;
    lay_out(a, false, &p);
    take_rows(a->low, a->k, a->k_at, a->S, a->D, 1.f, p.k, p.Dp, padded(a->S));
    turn(p.k, p.Dp, padded(a->S), a->D, p.kt);
    take_rows(a->low, a->v, a->v_at, a->S, a->DV, 1.f, p.v, p.Vp, padded(a->S));
    const size_t size = a->low ? sizeof(uint16_t) : sizeof(float);
    for (int64_t i = 0; i < a->T; i += QB) {
        const int64_t rows = least(QB, a->T - i), end = a->causal ? least(a->S, i + rows) : a->S;
        take_rows(a->low, (const char *)a->q + (size_t)(i * a->q_at) * size, a->q_at, rows, a->D, a->scale, p.q, p.Dp, QB);
        for (int64_t r = 0; r < QB; r++) {
            p.row[r] = -INFINITY;
            p.row[QB + r] = 0;
        }
        for (int64_t j = 0; j < end; j += KB) {
            const int64_t n = least(KB, end - j), wide = padded(n);
            by_rows(QB, wide, a->D, p.q, p.Dp, p.kt + j * a->D, a->D * NR, NR, p.p, KB, false);
            for (int64_t r = 0; r < rows; r++) {
                soften_row(a, &p, i, r, j, n, wide);
            }
            by_rows(QB, p.Vp, n, p.p, KB, p.v + j * p.Vp, NR, p.Vp, p.o, p.Vp, j > 0);
        }
        for (int64_t r = 0; r < rows; r++) {
            const float sum = p.row[QB + r];
            a->lse[i + r] = sum == 0 ? INFINITY : p.row[r] + logf(sum);
            give_rows(a->low, false, 1, a->DV, p.o + r * p.Vp, p.Vp, sum == 0 ? 0.f : 1.f / sum, (char *)a->o + (size_t)((i + r) * a->o_at) * size,
                      a->o_at);
        }
    }
}

/* ---- backward ---- */

/* The row's share in the gradient of its own sum: sum over d of go o. */
static float row_share(const lth_attend *a, const places *p, int64_t i, int64_t r) {
    vec s = {0};
    float o[VL];
    for (int64_t d = 0; d < a->DV; d += VL) {
        const int64_t left = a->DV - d;
        vec v;
        if (a->low) {
            memset(o, 0, sizeof o);
            lth_low_to_f32(least(VL, left), (const uint16_t *)a->o + (i + r) * a->o_at + d, o);
            v = v_load(o);
        } else {
            v = v_at((const float *)a->o + (i + r) * a->o_at + d, left);
        }
        s = v_fma(v, v_load(p->go + r * p->Vp + d), s);
    }
    return v_sum(s);
}
/* Scores and their gradients' first half -> probabilities in p, gradients of the scores in ds. */
static void score_row(const lth_attend *a, const places *p, int64_t i, int64_t r, int64_t j, int64_t n, int64_t wide, float share) {
    float *s = p->p + r * KB, *ds = p->ds + r * KB;
    const int64_t seen = visible(a, i + r, j, n);
    if (a->mask) {
        add_mask(a, i + r, j, seen, s);
    }
    const float lse = a->lse[i + r];
    for (int64_t c = 0; c < wide; c += VL) {
        vec e = {0}, g = {0};
        if (c < seen) {
            e = v_exp(v_load(s + c) - lse);
            g = e * (v_load(ds + c) - share);
            if (seen - c < VL) {
                e = v_keep(v_first((int)(seen - c)), e);
                g = v_keep(v_first((int)(seen - c)), g);
            }
        }
        v_store(s + c, e);
        v_store(ds + c, g);
    }
    for (int64_t c = 0; a->dmask && c < seen; c++) {
        a->dmask[(i + r) * a->dmask_i + (j + c) * a->dmask_j] += ds[c];
    }
}
static void back_tile(const lth_attend *a, const places *p, int64_t i, int64_t rows, int64_t j, int64_t n, const float *share) {
    const int64_t tall = (n + MR - 1) / MR * MR, wide = padded(tall);
    by_rows(QB, wide, a->D, p->q, p->Dp, p->kt + j * a->D, a->D * NR, NR, p->p, KB, false);
    by_rows(QB, wide, a->DV, p->go, p->Vp, p->vt + j * a->DV, a->DV * NR, NR, p->ds, KB, false);
    for (int64_t r = 0; r < rows; r++) {
        score_row(a, p, i, r, j, n, wide, share[r]);
    }
    if (a->dq) {
        by_rows(QB, p->Dp, n, p->ds, KB, p->k + j * p->Dp, NR, p->Dp, p->o, p->Dp, j > 0);
    }
    if (a->dv) {
        by_columns(tall, p->Vp, rows, p->p, KB, p->go, p->Vp, p->dv + j * p->Vp, p->Vp);
    }
    if (a->dk) {
        by_columns(tall, p->Dp, rows, p->ds, KB, p->q, p->Dp, p->dk + j * p->Dp, p->Dp);
    }
}
static void attention_back(const lth_attend *a) {
    places p;
    lay_out(a, true, &p);
    const int64_t keys = padded(a->S);
    const size_t size = a->low ? sizeof(uint16_t) : sizeof(float);
    take_rows(a->low, a->k, a->k_at, a->S, a->D, 1.f, p.k, p.Dp, keys);
    turn(p.k, p.Dp, keys, a->D, p.kt);
    take_rows(a->low, a->v, a->v_at, a->S, a->DV, 1.f, p.v, p.Vp, keys);
    turn(p.v, p.Vp, keys, a->DV, p.vt);
    memset(p.dk, 0, (size_t)((p.Sp + MR) * p.Dp) * sizeof *p.dk);
    memset(p.dv, 0, (size_t)((p.Sp + MR) * p.Vp) * sizeof *p.dv);
    for (int64_t i = 0; i < a->T; i += QB) {
        const int64_t rows = least(QB, a->T - i), end = a->causal ? least(a->S, i + rows) : a->S;
        take_rows(a->low, (const char *)a->q + (size_t)(i * a->q_at) * size, a->q_at, rows, a->D, a->scale, p.q, p.Dp, QB);
        take_rows(a->low, (const char *)a->go + (size_t)(i * a->go_at) * size, a->go_at, rows, a->DV, 1.f, p.go, p.Vp, QB);
        for (int64_t r = 0; r < rows; r++) {
            p.row[r] = row_share(a, &p, i, r);
        }
        for (int64_t j = 0; j < end; j += KB) {
            back_tile(a, &p, i, rows, j, least(KB, end - j), p.row);
        }
        if (a->dq) {
            give_rows(a->low, a->add_q, rows, a->D, p.o, p.Dp, a->scale, (char *)a->dq + (size_t)(i * a->dq_at) * size, a->dq_at);
        }
    }
    if (a->dk) {
        give_rows(a->low, a->add_k, a->S, a->D, p.dk, p.Dp, 1.f, a->dk, a->dk_at);
    }
    if (a->dv) {
        give_rows(a->low, a->add_v, a->S, a->DV, p.dv, p.Vp, 1.f, a->dv, a->dv_at);
    }
}

void LTH_NAME(lth_fill_attention)(lth_cpu_isa *t) {
    t->attention_scratch = attention_scratch;
    t->attention = attention;
    t->attention_back = attention_back;
}
