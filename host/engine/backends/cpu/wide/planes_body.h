/* backends/cpu/wide/planes_body.h - planes.c and the rows of norms.c for one type of element, T; F(name) names its functions. Included once
 * per type, so it has no guard. */

/* ---- adaptive pools ---- */
static int64_t F(top_of)(const T *x, int64_t W, const bounds *b) { /* the first of equals, or the last NaN */
    int64_t best = b->h0 * W + b->w0;
    for (int64_t h = b->h0; h < b->h1; h++) {
        for (int64_t at = h * W + b->w0; at < h * W + b->w1; at++) {
            best = x[at] > x[best] || x[at] != x[at] ? at : best;
        }
    }
    return best;
}
static void F(adaptive_plane)(const planes *p, int64_t plane) {
    const T *x = (const T *)p->x + plane * p->H * p->W;
    T *y = (T *)p->y + plane * p->OH * p->OW;
    for (int64_t o = 0; o < p->OH * p->OW; o++) {
        const bounds b = bounds_of(p, o);
        if (p->max) {
            y[o] = x[F(top_of)(x, p->W, &b)];
            continue;
        }
        double sum[4] = {0};
        for (int64_t h = b.h0; h < b.h1; h++) {
            const T *row = x + h * p->W;
            int64_t w = b.w0;
            for (; w + 4 <= b.w1; w += 4) {
                for (int k = 0; k < 4; k++) { sum[k] += (double)row[w + k]; }
            }
            for (; w < b.w1; w++) { sum[0] += (double)row[w]; }
        }
        y[o] = (T)(((sum[0] + sum[1]) + (sum[2] + sum[3])) / (double)((b.h1 - b.h0) * (b.w1 - b.w0)));
    }
}
static void F(adaptive_back_plane)(const planes *p, int64_t plane) {
    const T *x = (const T *)p->x + plane * p->H * p->W, *dy = (const T *)p->dy + plane * p->OH * p->OW;
    T *dx = (T *)p->dx + plane * p->H * p->W;
    if (!p->add) {
        memset(dx, 0, (size_t)(p->H * p->W) * sizeof *dx);
    }
    for (int64_t o = 0; o < p->OH * p->OW; o++) {
        const bounds b = bounds_of(p, o);
        if (p->max) {
            dx[F(top_of)(x, p->W, &b)] += dy[o];
            continue;
        }
        const T part = dy[o] / (T)((b.h1 - b.h0) * (b.w1 - b.w0));
        for (int64_t h = b.h0; h < b.h1; h++) {
            for (int64_t w = b.w0; w < b.w1; w++) { dx[h * p->W + w] += part; }
        }
    }
}

/* ---- interpolation: p->places has OH rows, then OW columns ---- */
static place F(place_of)(const lth_attrs *a, int axis, int64_t o, int64_t in, int64_t out) {
    const bool linear = a->i[0] == 1;
    T scale = (T)in / (T)out;
    if (a->i[1]) {
        scale = out > 1 ? (T)(in - 1) / (T)(out - 1) : 0;
    } else if (a->f[axis] > 0) {
        scale = (T)(1 / a->f[axis]);
    }
    if (out == in || (!linear && out == 2 * in)) { /* whatever the scale, as ATen/native/UpSample.h */
        return (place){.low = out == in ? o : o / 2, .high = out == in ? o : o / 2};
    }
    T at = linear && !a->i[1] ? scale * ((T)o + (T)0.5) - (T)0.5 : scale * (T)o;
    at = at < 0 ? 0 : at;
    place p = {.low = lth_min64((int64_t)at, in - 1)};
    const T share = at - (T)p.low;
    p.high = linear ? lth_min64(p.low + 1, in - 1) : p.low;
    p.share = !linear || share < 0 ? 0 : share > 1 ? 1 : (double)share;
    return p;
}
static void F(interpolate_plane)(const planes *p, int64_t plane) {
    const T *x = (const T *)p->x + plane * p->H * p->W;
    T *y = (T *)p->y + plane * p->OH * p->OW;
    for (int64_t oh = 0; oh < p->OH; oh++, y += p->OW) {
        const place v = p->places[oh];
        const T *top = x + v.low * p->W, *bottom = x + v.high * p->W, down = (T)v.share;
        for (int64_t ow = 0; ow < p->OW; ow++) {
            const place h = p->places[p->OH + ow];
            if (!p->linear) {
                y[ow] = top[h.low];
                continue;
            }
            const T right = (T)h.share, left = 1 - right;
            y[ow] = (1 - down) * (left * top[h.low] + right * top[h.high]) + down * (left * bottom[h.low] + right * bottom[h.high]);
        }
    }
}
static void F(interpolate_back_plane)(const planes *p, int64_t plane) {
    const T *dy = (const T *)p->dy + plane * p->OH * p->OW;
    T *dx = (T *)p->dx + plane * p->H * p->W;
    if (!p->add) {
        memset(dx, 0, (size_t)(p->H * p->W) * sizeof *dx);
    }
    for (int64_t oh = 0; oh < p->OH; oh++, dy += p->OW) {
        const place v = p->places[oh];
        T *top = dx + v.low * p->W, *bottom = dx + v.high * p->W;
        const T down = (T)v.share;
        for (int64_t ow = 0; ow < p->OW; ow++) {
            const place h = p->places[p->OH + ow];
            if (!p->linear) {
                top[h.low] += dy[ow];
                continue;
            }
            const T right = (T)h.share, upper = (1 - down) * dy[ow], lower = down * dy[ow];
            top[h.low] += (1 - right) * upper, top[h.high] += right * upper;
            bottom[h.low] += (1 - right) * lower, bottom[h.high] += right * lower;
        }
    }
}

/* ---- sums in double: of a b, of a (b NULL) ---- */
static double F(dot)(const T *a, const T *b, int64_t n) {
    double s[8] = {0};
    int64_t i = 0;
    if (b) {
        for (; i + 8 <= n; i += 8) {
            for (int k = 0; k < 8; k++) { s[k] += (double)a[i + k] * (double)b[i + k]; }
        }
        for (int k = 0; i < n; i++, k++) { s[k] += (double)a[i] * (double)b[i]; }
    } else {
        for (; i + 8 <= n; i += 8) {
            for (int k = 0; k < 8; k++) { s[k] += (double)a[i + k]; }
        }
        for (int k = 0; i < n; i++, k++) { s[k] += (double)a[i]; }
    }
    return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
}
static double F(spread)(const T *a, double mean, int64_t n) { /* sum (a - mean)^2 */
    double s[8] = {0};
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        for (int k = 0; k < 8; k++) { s[k] += ((double)a[i + k] - mean) * ((double)a[i + k] - mean); }
    }
    for (int k = 0; i < n; i++, k++) { s[k] += ((double)a[i] - mean) * ((double)a[i] - mean); }
    return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
}

/* ---- group norm: one group of one image. saved: mean, 1/std; parts: per channel sum g xhat, sum g ---- */
static void F(group_forward)(const rows *r, int64_t at) {
    const int64_t n = r->per * r->rest, first = at % r->groups * r->per;
    const T *x = (const T *)r->x + at * n, *w = r->w, *b = r->b;
    T *y = (T *)r->y + at * n;
    const double mean = F(dot)(x, NULL, n) / (double)n, rstd = 1 / sqrt(F(spread)(x, mean, n) / (double)n + r->eps);
    r->saved[2 * at] = mean, r->saved[2 * at + 1] = rstd;
    for (int64_t c = 0; c < r->per; c++) {
        const double scale = rstd * (w ? (double)w[first + c] : 1);
        const T k = (T)scale, shift = (T)((b ? (double)b[first + c] : 0) - mean * scale);
        for (int64_t i = c * r->rest; i < (c + 1) * r->rest; i++) { y[i] = x[i] * k + shift; }
    }
}
static void F(group_backward)(const rows *r, int64_t at) {
    const int64_t n = r->per * r->rest, first = at % r->groups * r->per;
    const T *x = (const T *)r->x + at * n, *g = (const T *)r->dy + at * n, *w = r->w;
    T *dx = r->dx ? (T *)r->dx + at * n : NULL;
    const double mean = r->saved[2 * at], rstd = r->saved[2 * at + 1];
    double sum = 0, hat = 0;
    for (int64_t c = 0; c < r->per; c++) {
        double *part = r->parts + 2 * (at * r->per + c);
        const double weight = w ? (double)w[first + c] : 1;
        part[1] = F(dot)(g + c * r->rest, NULL, r->rest);
        part[0] = (F(dot)(g + c * r->rest, x + c * r->rest, r->rest) - mean * part[1]) * rstd;
        sum += weight * part[1], hat += weight * part[0];
    }
    const double slope = rstd * rstd * hat / (double)n, shift = slope * mean - rstd * sum / (double)n;
    for (int64_t c = 0; dx && c < r->per; c++) {
        const double k = rstd * (w ? (double)w[first + c] : 1); /* in double: the terms nearly cancel in small groups */
        if (r->add) {
            for (int64_t i = c * r->rest; i < (c + 1) * r->rest; i++) { dx[i] += (T)(k * (double)g[i] - slope * (double)x[i] + shift); }
        } else {
            for (int64_t i = c * r->rest; i < (c + 1) * r->rest; i++) { dx[i] = (T)(k * (double)g[i] - slope * (double)x[i] + shift); }
        }
    }
}

/* ---- RMS norm: rows from..to. saved: 1/rms; parts: of this chunk, dw ---- */
static void F(rms_forward)(const rows *r, int64_t from, int64_t to) {
    const T *w = r->w;
    for (int64_t row = from; row < to; row++) {
        const T *x = (const T *)r->x + row * r->rest;
        T *y = (T *)r->y + row * r->rest;
        r->saved[row] = 1 / sqrt(F(dot)(x, x, r->rest) / (double)r->rest + r->eps);
        const T k = (T)r->saved[row];
        if (w) {
            for (int64_t i = 0; i < r->rest; i++) { y[i] = x[i] * k * w[i]; }
        } else {
            for (int64_t i = 0; i < r->rest; i++) { y[i] = x[i] * k; }
        }
    }
}
static void F(rms_backward)(const rows *r, int64_t from, int64_t to, double *dw) {
    const T *w = r->w;
    memset(dw, 0, (size_t)r->rest * sizeof *dw);
    for (int64_t row = from; row < to; row++) {
        const T *x = (const T *)r->x + row * r->rest, *g = (const T *)r->dy + row * r->rest;
        T *dx = r->dx ? (T *)r->dx + row * r->rest : NULL;
        double sum = 0;
        const double k = r->saved[row];
        for (int64_t i = 0; i < r->rest; i++) {
            const double product = (double)g[i] * (double)x[i];
            dw[i] += product * k;
            sum += product * (w ? (double)w[i] : 1);
        }
        const T scale = (T)k, slope = (T)(k * k * k * sum / (double)r->rest);
        for (int64_t i = 0; dx && i < r->rest; i++) {
            const T value = scale * g[i] * (w ? w[i] : 1) - slope * x[i];
            dx[i] = r->add ? dx[i] + value : value;
        }
    }
}
static void F(put_sums)(void *to_, const double *parts, int64_t n, int64_t count, int64_t at, int64_t step, bool add) {
    T *to = to_;
    for (int64_t i = 0; i < n; i++) { /* parts in their order, whatever the threads */
        double total = 0;
        for (int64_t k = 0; k < count; k++) { total += parts[k * at + i * step]; }
        to[i] = (add ? to[i] : 0) + (T)total;
    }
}
#undef T
#undef F
