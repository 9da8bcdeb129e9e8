/* backends/cpu/wide/taps_body.h - the packing and storing of taps.c for one type of element, T; F(name) names its functions. Included once
 * per type, so it has no guard. */

/* Row of the patch matrix: what tap (kh, kw) of channel c reads for `count` outputs from number j of (n, oh, ow) on. */
static void F(patch_row)(const lth_taps *t, const T *x, int64_t c, int64_t tap, int64_t j, int64_t count, T *row) {
    const int64_t P = t->OH * t->OW, kh = tap / t->KW, kw = tap % t->KW;
    int64_t n = j / P, oh = j % P / t->OW, ow = j % t->OW;
    for (; count > 0; ow = 0) {
        const int64_t run = lth_min64(t->OW - ow, count), ih = oh * t->sh - t->ph + kh * t->dh, iw = ow * t->sw - t->pw + kw * t->dw;
        const T *from = x + ((n * t->C + c) * t->H + ih) * t->W + iw;
        if (ih < 0 || ih >= t->H) {
            memset(row, 0, (size_t)run * sizeof *row);
        } else if (t->sw == 1) {
            const int64_t low = lth_min64(iw < 0 ? -iw : 0, run), left = t->W - iw, high = left < low ? low : lth_min64(left, run);
            for (int64_t r = 0; r < low; r++) { row[r] = 0; }
            for (int64_t r = low; r < high; r++) { row[r] = from[r]; }
            for (int64_t r = high; r < run; r++) { row[r] = 0; }
        } else {
            for (int64_t r = 0; r < run; r++) {
                const int64_t w = iw + r * t->sw;
                row[r] = w >= 0 && w < t->W ? from[r * t->sw] : 0;
            }
        }
        row += run, count -= run;
        if (++oh == t->OH) {
            oh = 0, n++;
        }
    }
}

/* The same the other way: which outputs of channel o read, by tap (kh, kw), the inputs from number j of (n, h, w) on; 0 where none. */
static void F(reach_row)(const lth_taps *t, const T *dy, int64_t o, int64_t tap, int64_t j, int64_t count, T *row) {
    const int64_t P = t->H * t->W, kh = tap / t->KW, kw = tap % t->KW;
    int64_t n = j / P, h = j % P / t->W, w = j % t->W;
    for (; count > 0; w = 0) {
        const int64_t run = lth_min64(t->W - w, count), y = h + t->ph - kh * t->dh, x = w + t->pw - kw * t->dw;
        if (y < 0 || y % t->sh || y / t->sh >= t->OH) {
            memset(row, 0, (size_t)run * sizeof *row);
        } else if (t->sw == 1) {
            const T *from = dy + ((n * t->O + o) * t->OH + y / t->sh) * t->OW + x;
            const int64_t low = lth_min64(x < 0 ? -x : 0, run), left = t->OW - x, high = left < low ? low : lth_min64(left, run);
            for (int64_t r = 0; r < low; r++) { row[r] = 0; }
            for (int64_t r = low; r < high; r++) { row[r] = from[r]; }
            for (int64_t r = high; r < run; r++) { row[r] = 0; }
        } else {
            const T *from = dy + ((n * t->O + o) * t->OH + y / t->sh) * t->OW;
            int64_t first = x < 0 ? -x : x % t->sw ? t->sw - x % t->sw : 0; /* x + first is the first multiple of the stride from 0 on */
            memset(row, 0, (size_t)run * sizeof *row);
            for (int64_t r = first; r < run && (x + r) / t->sw < t->OW; r += t->sw) {
                row[r] = from[(x + r) / t->sw];
            }
        }
        row += run, count -= run;
        if (++h == t->H) {
            h = 0, n++;
        }
    }
}

/* Depth k of `count` items that lie together into their panels. */
static void F(spread)(const T *row, int64_t count, int64_t depth, int64_t k, T *to, int width) {
    for (int64_t first = 0; first < count; first += width) {
        memcpy(to + (first * depth + k * width), row + first, (size_t)width * sizeof *to); /* row is longer than count by a panel */
    }
}

static void F(forward_a)(const lth_gemm *g, int64_t group, int64_t first, int64_t count, int64_t at, int64_t depth, void *to, int width) {
    const lth_taps_call *c = g->arg;
    F(lth_pack)((const T *)c->w + (group * g->M + first) * g->K + at, g->K, 1, count, depth, to, width);
}
static void F(forward_b)(const lth_gemm *g, int64_t group, int64_t first, int64_t count, int64_t at, int64_t depth, void *to, int width) {
    const lth_taps_call *c = g->arg;
    const int64_t taps = c->t->KH * c->t->KW, channels = c->t->C / c->t->groups;
    T row[ROW];
    memset(row + count, 0, sizeof row - (size_t)count * sizeof *row);
    for (int64_t k = 0; k < depth; k++) {
        F(patch_row)(c->t, c->x, group * channels + (at + k) / taps, (at + k) % taps, first, count, row);
        F(spread)(row, count, depth, k, to, width);
    }
}
static void F(data_a)(const lth_gemm *g, int64_t group, int64_t first, int64_t count, int64_t at, int64_t depth, void *to_, int width) {
    const lth_taps_call *c = g->arg;
    const int64_t taps = c->t->KH * c->t->KW, outs = c->t->O / c->t->groups;
    T *to = to_;
    if (count % width) {
        memset(to, 0, (size_t)((count + width - 1) / width * width * depth) * sizeof *to);
    }
    for (int64_t k = 0; k < depth; k++) {
        const T *w = (const T *)c->w + (group * outs + (at + k) / taps) * g->M * taps + (at + k) % taps;
        for (int64_t i = 0; i < count; i++) {
            to[(i / width * depth + k) * width + i % width] = w[(first + i) * taps];
        }
    }
}
static void F(data_b)(const lth_gemm *g, int64_t group, int64_t first, int64_t count, int64_t at, int64_t depth, void *to, int width) {
    const lth_taps_call *c = g->arg;
    const int64_t taps = c->t->KH * c->t->KW, outs = c->t->O / c->t->groups;
    T row[ROW];
    memset(row + count, 0, sizeof row - (size_t)count * sizeof *row);
    for (int64_t k = 0; k < depth; k++) {
        F(reach_row)(c->t, c->dy, group * outs + (at + k) / taps, (at + k) % taps, first, count, row);
        F(spread)(row, count, depth, k, to, width);
    }
}
static void F(weights_a)(const lth_gemm *g, int64_t group, int64_t first, int64_t count, int64_t at, int64_t depth, void *to, int width) {
    const lth_taps_call *c = g->arg;
    const int64_t P = c->t->OH * c->t->OW;
    T row[ROW];
    if (count % width) {
        memset(to, 0, (size_t)((count + width - 1) / width * width * depth) * sizeof(T));
    }
    for (int64_t i = 0; i < count; i++) {
        const int64_t o = group * g->M + first + i;
        for (int64_t k = 0; k < depth;) { /* image by image */
            const int64_t n = (at + k) / P, p = (at + k) % P, run = lth_min64(P - p, depth - k);
            memcpy(row + k, (const T *)c->dy + (n * c->t->O + o) * P + p, (size_t)run * sizeof *row);
            k += run;
        }
        F(lth_pack_row)(row, i, depth, to, width);
    }
}
static void F(weights_b)(const lth_gemm *g, int64_t group, int64_t first, int64_t count, int64_t at, int64_t depth, void *to, int width) {
    const lth_taps_call *c = g->arg;
    const int64_t taps = c->t->KH * c->t->KW, channels = c->t->C / c->t->groups;
    T row[ROW];
    if (count % width) {
        memset(to, 0, (size_t)((count + width - 1) / width * width * depth) * sizeof(T));
    }
    for (int64_t j = 0; j < count; j++) {
        F(patch_row)(c->t, c->x, group * channels + (first + j) / taps, (first + j) % taps, at, depth, row);
        F(lth_pack_row)(row, j, depth, to, width);
    }
}

static void F(finish)(const lth_taps_call *c, int64_t channel, const T *from, int64_t count, T *to) {
    const T bias = c->bias ? ((const T *)c->bias)[channel] : 0;
    for (int64_t k = 0; k < count; k++) {
        to[k] = (c->add ? to[k] : 0) + (from[k] + bias);
    }
    switch (c->act) {
    case LT_ACT_RELU: for (int64_t k = 0; k < count; k++) { to[k] = to[k] < 0 ? 0 : to[k]; } break;
    case LT_ACT_TANH: for (int64_t k = 0; k < count; k++) { to[k] = F(tanh_of)(to[k]); } break;
    case LT_ACT_SIGMOID: for (int64_t k = 0; k < count; k++) { to[k] = 1 / (1 + F(exp_of)(-to[k])); } break;
    default: break;
    }
}
/* Rows are channels of images of `size` elements, columns run through the images. */
static void F(store_planes)(const lth_gemm *g, int64_t group, int64_t row, int64_t rows, int64_t col, int64_t cols, const void *tile, int64_t tile_at) {
    const lth_taps_call *c = g->arg;
    const int64_t channels = g->M * g->batch, size = g->N / c->t->N;
    for (int64_t i = 0; i < rows; i++) {
        const int64_t channel = group * g->M + row + i;
        for (int64_t j = 0; j < cols;) {
            const int64_t n = (col + j) / size, p = (col + j) % size, run = lth_min64(size - p, cols - j);
            F(finish)(c, channel, (const T *)tile + i * tile_at + j, run, (T *)c->out + (n * channels + channel) * size + p);
            j += run;
        }
    }
}
static void F(store_rows)(const lth_gemm *g, int64_t group, int64_t row, int64_t rows, int64_t col, int64_t cols, const void *tile, int64_t tile_at) {
    const lth_taps_call *c = g->arg;
    for (int64_t i = 0; i < rows; i++) {
        F(finish)(c, 0, (const T *)tile + i * tile_at, cols, (T *)c->out + (group * g->M + row + i) * g->N + col);
    }
}

static void F(sum_planes)(const sums *s, int64_t channel) {
    double total = 0;
    for (int64_t n = 0; n < s->images; n++) {
        const T *x = (const T *)s->planes + (n * s->channels + channel) * s->size;
        double part[4] = {0};
        for (int64_t k = 0; k < s->size; k++) {
            part[k & 3] += (double)x[k];
        }
        total += (part[0] + part[1]) + (part[2] + part[3]);
    }
    T *out = (T *)s->out + channel;
    *out = (s->add ? *out : 0) + (T)total;
}
#undef T
#undef F
