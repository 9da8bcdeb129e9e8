/* backends/cpu/isa/elements.c - element-by-element kernels and flat sums, once per instruction set.
 * Sums run in 32 fixed lanes per block of 4096 elements, blocks meet in doubles: the result depends on n alone. */
#include "engine/backends/cpu/isa.h"
#include "simd.h"

#define EACH(n, ...) \
    do { \
        for (int64_t i = 0; i < (n); i += VL) { \
            const int64_t left = (n)-i; \
            __VA_ARGS__ \
        } \
    } while (0)

static vec gelu_tanh_inner(vec x) { return v_fma(x * x * x, v_set(0.044715f), x) * 0.79788456080286536f; }
static vec gelu(vec x) { return 0.5f * x * (1.f + v_erf(x * 0.70710678118654752f)); }
static vec gelu_tanh(vec x) { return 0.5f * x * (1.f + v_tanh(gelu_tanh_inner(x))); }
static vec gelu_slope(vec x) {
    vec cdf = 0.5f * (1.f + v_erf(x * 0.70710678118654752f));
    return v_fma(x * 0.39894228040143268f, v_exp(-0.5f * x * x), cdf);
}
static vec gelu_tanh_slope(vec x) {
    vec t = v_tanh(gelu_tanh_inner(x));
    vec du = 0.79788456080286536f * v_fma(x * x, v_set(3.f * 0.044715f), v_set(1.f));
    return v_fma(0.5f * x * (1.f - t * t), du, 0.5f * (1.f + t));
}
/* A NaN is no more than 0, yet must stay: so "0 where 0 > x". */
INLINE vec relu(vec x) { return v_max((vec){0}, x); }

static void log_each(int64_t n, const float *x, float *y) {
    for (int64_t i = 0; i < n; i++) {
        y[i] = logf(x[i]);
    }
}
static void unary(lth_unary op, int64_t n, const float *x, float *y, float f) {
    switch (op) {
    case LTH_U_NEG: EACH(n, v_put(y + i, -v_at(x + i, left), left);); break;
    case LTH_U_EXP: EACH(n, v_put(y + i, v_exp(v_at(x + i, left)), left);); break;
    case LTH_U_LOG: log_each(n, x, y); break;
    case LTH_U_SQRT: EACH(n, v_put(y + i, v_sqrt(v_at(x + i, left)), left);); break;
    case LTH_U_ABS: EACH(n, v_put(y + i, v_abs(v_at(x + i, left)), left);); break;
    case LTH_U_RELU: EACH(n, v_put(y + i, relu(v_at(x + i, left)), left);); break;
    case LTH_U_TANH: EACH(n, v_put(y + i, v_tanh(v_at(x + i, left)), left);); break;
    case LTH_U_SIGMOID: EACH(n, v_put(y + i, v_sigmoid(v_at(x + i, left)), left);); break;
    case LTH_U_GELU: EACH(n, v_put(y + i, gelu(v_at(x + i, left)), left);); break;
    case LTH_U_GELU_TANH: EACH(n, v_put(y + i, gelu_tanh(v_at(x + i, left)), left);); break;
    case LTH_U_ADD_SCALAR: EACH(n, v_put(y + i, v_at(x + i, left) + f, left);); break;
    case LTH_U_MUL_SCALAR: EACH(n, v_put(y + i, v_at(x + i, left) * f, left);); break;
    }
}

/* dx (+)= dy * slope, slope an expression of X, Y (the op's input and output). */
#define BACK(slope) \
    EACH(n, vec X = x ? v_at(x + i, left) : (vec){0}; vec Y = y ? v_at(y + i, left) : (vec){0}; (void)X; (void)Y; \
         vec g = v_at(dy + i, left) * (slope); v_put(dx + i, add ? v_at(dx + i, left) + g : g, left);)
static void unary_back(lth_unary op, int64_t n, const float *x, const float *y, const float *dy, float *dx, bool add, float f) {
    switch (op) {
    case LTH_U_NEG: BACK(-1.f); break;
    case LTH_U_EXP: BACK(Y); break;
    case LTH_U_LOG: BACK(1.f / X); break;
    case LTH_U_SQRT: BACK(0.5f / Y); break;
    case LTH_U_ABS: BACK(v_keep(v_gt(v_abs(X), (vec){0}), v_copysign(v_set(1.f), X))); break;
    case LTH_U_RELU:
        EACH(n, vec g = v_keep(v_gt(v_at(y + i, left), (vec){0}), v_at(dy + i, left));
             v_put(dx + i, add ? v_at(dx + i, left) + g : g, left););
        break;
    case LTH_U_TANH: BACK(1.f - Y * Y); break;
    case LTH_U_SIGMOID: BACK((1.f - Y) * Y); break;
    case LTH_U_GELU: BACK(gelu_slope(X)); break;
    case LTH_U_GELU_TANH: BACK(gelu_tanh_slope(X)); break;
    case LTH_U_ADD_SCALAR: BACK(1.f); break;
    case LTH_U_MUL_SCALAR: BACK(f); break;
    }
}

#define PAIR(expression) \
    EACH(n, vec A = a_one ? v_set(*a) : v_at(a + i, left); vec B = b_one ? v_set(*b) : v_at(b + i, left); v_put(y + i, (expression), left);)
static void binary(lth_binary op, int64_t n, const float *a, const float *b, bool a_one, bool b_one, float *y) {
    switch (op) {
    case LTH_B_ADD: PAIR(A + B); break;
    case LTH_B_SUB: PAIR(A - B); break;
    case LTH_B_MUL: PAIR(A * B); break;
    case LTH_B_DIV: PAIR(A / B); break;
    }
}
static void scaled(int64_t n, float *y, const float *x, float alpha, bool add) {
    if (add) {
        EACH(n, v_put(y + i, v_fma(v_at(x + i, left), v_set(alpha), v_at(y + i, left)), left););
    } else {
        EACH(n, v_put(y + i, v_at(x + i, left) * alpha, left););
    }
}
static void product(int64_t n, float *y, const float *a, const float *b, float alpha, bool add) {
    EACH(n, vec p = v_at(a + i, left) * v_at(b + i, left) * alpha; v_put(y + i, add ? v_at(y + i, left) + p : p, left););
}
static void affine(int64_t n, const float *x, float *y, float a, float b, bool rectify) {
    EACH(n, vec v = v_fma(v_at(x + i, left), v_set(a), v_set(b)); v_put(y + i, rectify ? relu(v) : v, left););
}
static void affine2(int64_t n, const float *g, const float *x, float *y, float a, float b, float c, bool add) {
    EACH(n, vec v = v_fma(v_at(g + i, left), v_set(a), v_fma(v_at(x + i, left), v_set(b), v_set(c)));
         v_put(y + i, add ? v_at(y + i, left) + v : v, left););
}
static void fill(int64_t n, float *y, float value) { EACH(n, v_put(y + i, v_set(value), left);); }
static void clamp(int64_t n, float *y, float low, float high) {
    EACH(n, v_put(y + i, v_min(v_set(high), v_max(v_set(low), v_at(y + i, left))), left););
}

enum { BLOCK = 4096, LANES = 32, K = LANES / VL };
INLINE double lanes_sum(const vec *s) {
    float t[LANES];
    memcpy(t, s, sizeof t);
    for (int step = LANES / 2; step > 0; step /= 2) {
        for (int i = 0; i < step; i++) {
            t[i] += t[i + step];
        }
    }
    return (double)t[0];
}
/* Adds `term`, an expression of A and B, in LANES lanes; a block's lanes meet in a tree, the blocks in a double. */
#define SUM_OF(term, other) \
    double total = 0; \
    for (int64_t start = 0; start < n; start += BLOCK) { \
        const int64_t end = n - start < BLOCK ? n : start + BLOCK; \
        vec s[K]; \
        UNROLL for (int k = 0; k < K; k++) { s[k] = (vec){0}; } \
        int64_t i = start; \
        for (; i + LANES <= end; i += LANES) { \
            UNROLL for (int k = 0; k < K; k++) { \
                vec A = v_load(a + i + k * VL), B = (other); \
                (void)B; \
                s[k] += (term); \
            } \
        } \
        UNROLL for (int k = 0; k < K; k++) { \
            const int64_t left = end - i - k * VL; \
            if (left > 0) { \
                vec A = v_at(a + i + k * VL, left), B = (other); \
                (void)B; \
                s[k] += (term); \
            } \
        } \
        total += lanes_sum(s); \
    } \
    return total;
static double sum(int64_t n, const float *a) { SUM_OF(A, (vec){0}) }
INLINE vec b_at(const float *b, int64_t i, int64_t n) { return v_at(b + i, n - i); }
static double sum_product(int64_t n, const float *a, const float *b) { SUM_OF(A * B, b_at(b, i + k * VL, end)) }

typedef double dvec __attribute__((vector_size(VL * 8)));
/* In doubles: the norm of a gradient may be larger than a float's square can say. 16 lanes, whatever the vector. */
static double sum_squares(int64_t n, const float *x) {
    dvec s[VPP];
    for (int k = 0; k < VPP; k++) {
        s[k] = (dvec){0};
    }
    for (int64_t i = 0; i < n; i += 16) {
        for (int k = 0; k < VPP && n - i - k * VL > 0; k++) {
            dvec v = __builtin_convertvector(v_at(x + i + k * VL, n - i - k * VL), dvec);
            s[k] += v * v;
        }
    }
    double t[16];
    memcpy(t, s, sizeof t);
    for (int step = 8; step > 0; step /= 2) {
        for (int i = 0; i < step; i++) {
            t[i] += t[i + step];
        }
    }
    return t[0];
}
static double squared_error(int64_t n, const float *a, const float *t, float *grad, float scale) {
    double total = 0;
    for (int64_t start = 0; start < n; start += BLOCK) {
        const int64_t end = n - start < BLOCK ? n : start + BLOCK;
        vec s[2] = {{0}, {0}};
        for (int64_t i = start; i < end; i += 2 * VL) {
            for (int k = 0; k < 2 && end - i - k * VL > 0; k++) {
                const int64_t at = i + k * VL, left = end - at;
                vec d = v_at(a + at, left) - v_at(t + at, left);
                s[k] = v_fma(d, d, s[k]);
                if (grad) {
                    v_put(grad + at, d * scale, left);
                }
            }
        }
        total += (double)v_sum(s[0] + s[1]);
    }
    return total;
}

void LTH_NAME(lth_fill_elements)(lth_cpu_isa *t) {
    t->unary = unary;
    t->unary_back = unary_back;
    t->binary = binary;
    t->scaled = scaled;
    t->product = product;
    t->affine = affine;
    t->affine2 = affine2;
    t->fill = fill;
    t->clamp = clamp;
    t->sum = sum;
    t->sum_product = sum_product;
    t->sum_squares = sum_squares;
    t->squared_error = squared_error;
}
