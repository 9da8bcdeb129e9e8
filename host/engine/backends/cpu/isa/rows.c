/* backends/cpu/isa/rows.c - kernels over rows: activation backward with the bias gradient, softmax, cross-entropy, layer norm.
 * Column sums go from the first row to the last: their bits do not depend on threads. */
#include "engine/backends/cpu/isa.h"
#include "simd.h"
#include <lt/tensor.h>

static lth_cpu_isa elements; /* for activations that need the input */

static void bias_act(lth_unary op, int64_t rows, int64_t cols, const float *z, float *y) { elements.unary(op, rows * cols, z, y, 0); }

INLINE vec slope(int act, vec g, vec y) {
    switch (act) {
    case LT_ACT_RELU: return v_keep(v_gt(y, (vec){0}), g);
    case LT_ACT_TANH: return g * (1.f - y * y);
    case LT_ACT_SIGMOID: return g * ((1.f - y) * y);
    default: return g;
    }
}
/* dz = dy act'(.), db += the columns' sums; a strip of columns at a time, so that the sums stay in registers. dz or db may be NULL. */
INLINE void strip(int act, int64_t rows, int64_t cols, int64_t at, int width, const float *dy, const float *y, float *dz, float *db) {
    vec s[4] = {{0}, {0}, {0}, {0}};
    for (int64_t r = 0; r < rows; r++) {
        UNROLL for (int k = 0; k < width; k++) {
            const int64_t i = r * cols + at + k * VL, left = cols - at - k * VL;
            vec g = v_at(dy + i, left);
            if (act != LT_ACT_NONE) {
                g = slope(act, g, v_at(y + i, left));
            }
            s[k] += g;
            if (dz) {
                v_put(dz + i, g, left);
            }
        }
    }
    if (db) {
        UNROLL for (int k = 0; k < width; k++) {
            const int64_t c = at + k * VL, left = cols - c;
            v_put(db + c, v_at(db + c, left) + s[k], left);
        }
    }
}
INLINE void strips(int act, int64_t rows, int64_t cols, const float *dy, const float *y, float *dz, float *db) {
    int64_t at = 0;
    for (; at + 4 * VL <= cols; at += 4 * VL) {
        strip(act, rows, cols, at, 4, dy, y, dz, db);
    }
    for (; at < cols; at += VL) {
        strip(act, rows, cols, at, 1, dy, y, dz, db);
    }
}
static void act_back(int act, int64_t rows, int64_t cols, const float *dy, const float *y, const float *z, float *dz, float *db) {
    switch (act) {
    case LT_ACT_RELU: strips(LT_ACT_RELU, rows, cols, dy, y, dz, db); return;
    case LT_ACT_TANH: strips(LT_ACT_TANH, rows, cols, dy, y, dz, db); return;
    case LT_ACT_SIGMOID: strips(LT_ACT_SIGMOID, rows, cols, dy, y, dz, db); return;
    case LT_ACT_GELU:
    case LT_ACT_GELU_TANH:
        elements.unary_back(act == LT_ACT_GELU ? LTH_U_GELU : LTH_U_GELU_TANH, rows * cols, z, y, dy, dz, false, 0);
        strips(LT_ACT_NONE, rows, cols, dz, y, NULL, db);
        return;
    default: strips(LT_ACT_NONE, rows, cols, dy, y, dz, db);
    }
}

INLINE float row_top(int64_t n, const float *x) {
    vec m = v_set(-INFINITY);
    int64_t i = 0;
    for (; i + VL <= n; i += VL) {
        m = v_max(m, v_load(x + i));
    }
    if (i < n) {
        m = v_max(m, v_sel(v_first((int)(n - i)), v_load_n(x + i, (int)(n - i)), v_set(-INFINITY)));
    }
    return v_top(m);
}
/* y = e^(x - top), returns the sum. */
INLINE float row_exp(int64_t n, const float *x, float top, float *y) {
    vec s = {0};
    int64_t i = 0;
    for (; i + VL <= n; i += VL) {
        vec e = v_exp(v_load(x + i) - top);
        v_store(y + i, e);
        s += e;
    }
    if (i < n) {
        const int left = (int)(n - i);
        vec e = v_keep(v_first(left), v_exp(v_load_n(x + i, left) - top));
        v_store_n(y + i, e, left);
        s += e;
    }
    return v_sum(s);
}
static void softmax(bool log, int64_t rows, int64_t cols, const float *x, float *y) {
    for (int64_t r = 0; r < rows; r++, x += cols, y += cols) {
        const float top = row_top(cols, x);
        if (log) {
            vec s = {0};
            for (int64_t i = 0; i < cols; i += VL) {
                const int64_t left = cols - i;
                vec e = v_exp(v_at(x + i, left) - top);
                s += left < VL ? v_keep(v_first((int)left), e) : e;
            }
            const float shift = top + logf(v_sum(s));
            elements.unary(LTH_U_ADD_SCALAR, cols, x, y, -shift);
        } else {
            elements.unary(LTH_U_MUL_SCALAR, cols, y, y, 1.f / row_exp(cols, x, top, y));
        }
    }
}
static void softmax_back(bool log, int64_t rows, int64_t cols, const float *y, const float *dy, float *dx, bool add) {
    for (int64_t r = 0; r < rows; r++, y += cols, dy += cols, dx += cols) {
        vec s = {0};
        for (int64_t i = 0; i < cols; i += VL) {
            vec g = v_at(dy + i, cols - i);
            s += log ? g : g * v_at(y + i, cols - i);
        }
        const float total = v_sum(s);
        for (int64_t i = 0; i < cols; i += VL) {
            const int64_t left = cols - i;
            vec g = v_at(dy + i, left), v = v_at(y + i, left);
            vec d = log ? g - v_exp(v) * total : v * (g - total);
            v_put(dx + i, add ? v_at(dx + i, left) + d : d, left);
        }
    }
}

/* loss[r] = -(1-s) log p[target] - s/C sum log p; grad = scale (p - (1-s) onehot - s/C). Targets are in range (the caller looked). */
static void cross_entropy(int64_t rows, int64_t cols, const float *x, const int64_t *target, const int64_t *ignore, float smoothing, float scale,
                          float *loss, float *grad) {
    float spare[1024];
    for (int64_t r = 0; r < rows; r++, x += cols) {
        float *g = grad ? grad + r * cols : NULL;
        if (ignore && target[r] == *ignore) {
            loss[r] = 0;
            if (g) {
                memset(g, 0, (size_t)cols * sizeof *g);
            }
            continue;
        }
        const float top = row_top(cols, x);
        float s = 0;
        if (g) {
            s = row_exp(cols, x, top, g);
        } else {
            for (int64_t i = 0; i < cols; i += 1024) {
                s += row_exp(cols - i < 1024 ? cols - i : 1024, x + i, top, spare);
            }
        }
        const float log_sum = logf(s), picked = x[target[r]] - top;
        if (smoothing == 0) {
            loss[r] = log_sum - picked;
        } else {
            const float all = (float)(elements.sum(cols, x) - (double)cols * ((double)top + (double)log_sum));
            loss[r] = (1.f - smoothing) * (log_sum - picked) - smoothing / (float)cols * all;
        }
        if (g) {
            const float f = scale / s, even = scale * smoothing / (float)cols;
            for (int64_t i = 0; i < cols; i += VL) {
                v_put(g + i, v_at(g + i, cols - i) * f - even, cols - i);
            }
            g[target[r]] -= scale * (1.f - smoothing);
        }
    }
}
static int64_t first_top(int64_t n, const float *x) {
    int64_t best = 0;
    for (int64_t i = 1; i < n; i++) {
        if (x[i] > x[best] || (isnan(x[i]) && !isnan(x[best]))) {
            best = i;
        }
    }
    return best;
}

static void layer_norm(int64_t rows, int64_t cols, const float *x, const float *w, const float *b, float eps, float *y, float *mean, float *rstd) {
    for (int64_t r = 0; r < rows; r++, x += cols, y += cols) {
        const float m = (float)(elements.sum(cols, x) / (double)cols);
        vec s = {0};
        for (int64_t i = 0; i < cols; i += VL) {
            const int64_t left = cols - i;
            vec d = v_at(x + i, left) - m;
            s = v_fma(d, left < VL ? v_keep(v_first((int)left), d) : d, s);
        }
        const float k = 1.f / sqrtf(v_sum(s) / (float)cols + eps);
        for (int64_t i = 0; i < cols; i += VL) {
            const int64_t left = cols - i;
            vec v = (v_at(x + i, left) - m) * k;
            v = w ? v * v_at(w + i, left) : v;
            v_put(y + i, b ? v + v_at(b + i, left) : v, left);
        }
        mean[r] = m;
        rstd[r] = k;
    }
}
/* dw, db: added to; NULL where not wanted, as dx. */
static void layer_norm_back(int64_t rows, int64_t cols, const float *x, const float *w, const float *dy, const float *mean, const float *rstd, float *dx,
                            bool add, float *dw, float *db) {
    for (int64_t r = 0; r < rows; r++, x += cols, dy += cols) {
        vec s1 = {0}, s2 = {0};
        const float m = mean[r], k = rstd[r];
        for (int64_t i = 0; i < cols; i += VL) {
            const int64_t left = cols - i;
            vec g = v_at(dy + i, left), h = (v_at(x + i, left) - m) * k;
            if (db) {
                v_put(db + i, v_at(db + i, left) + g, left);
            }
            if (dw) {
                v_put(dw + i, v_fma(g, h, v_at(dw + i, left)), left);
            }
            g = w ? g * v_at(w + i, left) : g;
            s1 += g;
            s2 = v_fma(g, h, s2);
        }
        if (!dx) {
            continue;
        }
        const float a = v_sum(s1) / (float)cols, b = v_sum(s2) / (float)cols;
        for (int64_t i = 0; i < cols; i += VL) {
            const int64_t left = cols - i;
            vec g = v_at(dy + i, left), h = (v_at(x + i, left) - m) * k;
            g = ((w ? g * v_at(w + i, left) : g) - a - h * b) * k;
            v_put(dx + r * cols + i, add ? v_at(dx + r * cols + i, left) + g : g, left);
        }
    }
}

void LTH_NAME(lth_fill_rows)(lth_cpu_isa *t) {
    LTH_NAME(lth_fill_elements)(&elements);
    t->bias_act = bias_act;
    t->act_back = act_back;
    t->softmax = softmax;
    t->softmax_back = softmax_back;
    t->cross_entropy = cross_entropy;
    t->first_top = first_top;
    t->layer_norm = layer_norm;
    t->layer_norm_back = layer_norm_back;
}
