/* backends/cpu/isa/losses.c - losses of pairs and of classes, once per instruction set, in f32 (vectors) and f64 (plain loops).
 * Sums of f32 run in one vector per 4096 elements, blocks meet in doubles: the result depends on n and the instruction set alone. */
#include "engine/backends/cpu/isa.h"
#include "simd.h"

enum { BLOCK = 4096 };

/* ---- logarithms ---- */
/* log(1 + u) for u >= -1, exact where u is small (Kahan). */
static inline vec ln1p(vec u) {
    const vec z = 1.f + u, off = z - 1.f;
    const vec y = v_log(z) * (u / off);
    return v_sel(v_gt(v_abs(off), (vec){0}), y, u);
}
static inline vec softminus(vec x) { return v_max((vec){0}, -x) + ln1p(v_exp(-v_abs(x))); } /* log(1 + exp(-x)) */
static double softminus64(double x) { return (x < 0 ? -x : 0) + log1p(exp(-fabs(x))); }

/* ---- pairs, f32 ---- */
typedef struct quad { vec x, t, w, p; } quad;
INLINE vec pair_value(int kind, quad q, vec f) {
    const vec d = q.x - q.t, z = v_abs(d), floor = v_set(-100.f);
    switch (kind) {
    case LTH_P_L1: return z;
    case LTH_P_SMOOTH: return v_sel(v_gt(f, z), 0.5f * z * z / f, z - 0.5f * f);
    case LTH_P_HUBER: return v_sel(v_gt(z, f), f * (z - 0.5f * f), 0.5f * z * z);
    case LTH_P_BCE: return q.w * ((q.t - 1.f) * v_max(floor, ln1p(-q.x)) - q.t * v_max(floor, v_log(q.x)));
    case LTH_P_LOGITS: return q.w * ((1.f - q.t) * q.x + (1.f + (q.p - 1.f) * q.t) * softminus(q.x));
    case LTH_P_KL: return v_sel(v_gt(v_abs(q.t), (vec){0}), q.t * v_log(q.t), q.t) - q.t * q.x; /* 0 log 0 is 0 */
    default: return v_exp(q.t) * (q.t - q.x);
    }
}
INLINE vec sign_of(vec d) { return v_sel(v_gt(v_abs(d), (vec){0}), v_copysign(v_set(1.f), d), d); }
INLINE vec pair_slope(int kind, quad q, vec f) {
    const vec d = q.x - q.t;
    switch (kind) {
    case LTH_P_L1: return sign_of(d);
    case LTH_P_SMOOTH: return v_sel(v_gt(f, v_abs(d)), d / f, sign_of(d));
    case LTH_P_HUBER: return v_sel(v_gt(v_abs(d), f), f * sign_of(d), d);
    case LTH_P_BCE: return q.w * d / v_max(v_set(1e-12f), (1.f - q.x) * q.x);
    case LTH_P_LOGITS: return q.w * (1.f - q.t - (1.f + (q.p - 1.f) * q.t) * v_sigmoid(-q.x));
    case LTH_P_KL: return -q.t;
    default: return -v_exp(q.t);
    }
}
INLINE vec pair_slope_t(int kind, quad q, vec f) {
    const vec floor = v_set(-100.f);
    switch (kind) {
    case LTH_P_BCE: return q.w * (v_max(floor, ln1p(-q.x)) - v_max(floor, v_log(q.x)));
    case LTH_P_LOGITS: return q.w * (-q.x + (q.p - 1.f) * softminus(q.x));
    case LTH_P_KL: return v_log(q.t) + q.t / q.t - q.x;
    case LTH_P_KL_LOG: return v_exp(q.t) * (q.t - q.x + 1.f);
    default: return -pair_slope(kind, q, f);
    }
}
#define QUAD(i, left) \
    {v_at(x + (i), left), v_at(t + (i), left), w ? v_at(w + (i), left) : v_set(1.f), p ? v_at(p + (i), left) : v_set(1.f)}
INLINE double values_of(int kind, int64_t n, const float *x, const float *t, const float *w, const float *p, vec f, float *y) {
    double total = 0;
    for (int64_t start = 0; start < n; start += BLOCK) {
        const int64_t end = n - start < BLOCK ? n : start + BLOCK;
        vec s = {0};
        for (int64_t i = start; i < end; i += VL) {
            const int64_t left = end - i;
            const quad q = QUAD(i, left);
            const vec v = pair_value(kind, q, f);
            s += left < VL ? v_keep(v_first((int)left), v) : v;
            if (y) {
                v_put(y + i, v, left);
            }
        }
        total += (double)v_sum(s);
    }
    return total;
}
INLINE void slopes_of(int kind, bool target, int64_t n, const float *x, const float *t, const float *w, const float *p, vec f, const float *g, vec scale,
                      float *d, bool add) {
    for (int64_t i = 0; i < n; i += VL) {
        const int64_t left = n - i;
        const quad q = QUAD(i, left);
        vec v = (target ? pair_slope_t(kind, q, f) : pair_slope(kind, q, f)) * (g ? v_at(g + i, left) * scale : scale);
        v_put(d + i, add ? v_at(d + i, left) + v : v, left);
    }
}
#define EACH_KIND(X) X(LTH_P_L1) X(LTH_P_SMOOTH) X(LTH_P_HUBER) X(LTH_P_BCE) X(LTH_P_LOGITS) X(LTH_P_KL) X(LTH_P_KL_LOG)
static double pair_loss32(lth_pair_kind kind, int64_t n, const void *x, const void *t, const void *w, const void *p, double f, void *y) {
    switch (kind) {
#define CASE(K) case K: return values_of(K, n, x, t, w, p, v_set((float)f), y);
        EACH_KIND(CASE)
#undef CASE
    }
    return 0;
}
static void pair_back32(lth_pair_kind kind, bool target, int64_t n, const void *x, const void *t, const void *w, const void *p, double f, const void *g,
                        double scale, void *d, bool add) {
    switch (kind) {
#define CASE(K) \
    case K: \
        if (target) { \
            slopes_of(K, true, n, x, t, w, p, v_set((float)f), g, v_set((float)scale), d, add); \
        } else { \
            slopes_of(K, false, n, x, t, w, p, v_set((float)f), g, v_set((float)scale), d, add); \
        } \
        return;
        EACH_KIND(CASE)
#undef CASE
    }
}

/* ---- pairs, f64 ---- */
static double value64(lth_pair_kind kind, double x, double t, double w, double p, double f) {
    const double z = fabs(x - t);
    switch (kind) {
    case LTH_P_L1: return z;
    case LTH_P_SMOOTH: return z < f ? 0.5 * z * z / f : z - 0.5 * f;
    case LTH_P_HUBER: return z <= f ? 0.5 * z * z : f * (z - 0.5 * f);
    case LTH_P_BCE: return w * ((t - 1) * fmax(log1p(-x), -100) - t * fmax(log(x), -100));
    case LTH_P_LOGITS: return w * ((1 - t) * x + (1 + (p - 1) * t) * softminus64(x));
    case LTH_P_KL: return (t == 0 ? 0 : t * log(t)) - t * x;
    default: return exp(t) * (t - x);
    }
}
static double slope64(lth_pair_kind kind, bool target, double x, double t, double w, double p, double f) {
    const double d = x - t, sign = d > 0 ? 1 : d < 0 ? -1 : d;
    double slope;
    switch (kind) {
    case LTH_P_L1: slope = sign; break;
    case LTH_P_SMOOTH: slope = fabs(d) < f ? d / f : sign; break;
    case LTH_P_HUBER: slope = fabs(d) <= f ? d : f * sign; break;
    case LTH_P_BCE: return w * (target ? fmax(log1p(-x), -100) - fmax(log(x), -100) : d / fmax((1 - x) * x, 1e-12));
    case LTH_P_LOGITS: return w * (target ? -x + (p - 1) * softminus64(x) : 1 - t - (1 + (p - 1) * t) / (1 + exp(x)));
    case LTH_P_KL: return target ? log(t) + t / t - x : -t;
    default: return target ? exp(t) * (t - x + 1) : -exp(t);
    }
    return target ? -slope : slope;
}
static double pair_loss64(lth_pair_kind kind, int64_t n, const void *x, const void *t, const void *w, const void *p, double f, void *y) {
    double total = 0;
    for (int64_t i = 0; i < n; i++) {
        const double v = value64(kind, ((const double *)x)[i], ((const double *)t)[i], w ? ((const double *)w)[i] : 1, p ? ((const double *)p)[i] : 1, f);
        total += v;
        if (y) {
            ((double *)y)[i] = v;
        }
    }
    return total;
}
static void pair_back64(lth_pair_kind kind, bool target, int64_t n, const void *x, const void *t, const void *w, const void *p, double f, const void *g,
                        double scale, void *to, bool add) {
    double *d = to;
    for (int64_t i = 0; i < n; i++) {
        const double v = slope64(kind, target, ((const double *)x)[i], ((const double *)t)[i], w ? ((const double *)w)[i] : 1,
                                 p ? ((const double *)p)[i] : 1, f) * (g ? ((const double *)g)[i] * scale : scale);
        d[i] = add ? d[i] + v : v;
    }
}

/* ---- classes: element (class k, row p) of a block lies at k stride + p; stride 1 means one row of classes ---- */
static void log_sum32(const lth_classes *c, const void *from, void *to) {
    const float *x = from;
    float *out = to;
    if (c->stride == 1) {
        vec m = v_set(-INFINITY), s = {0};
        for (int64_t k = 0; k < c->classes; k += VL) {
            const int64_t left = c->classes - k;
            const vec v = v_at(x + k, left);
            m = v_max(m, left < VL ? v_sel(v_first((int)left), v, m) : v);
        }
        const float top = v_top(m);
        for (int64_t k = 0; k < c->classes; k += VL) {
            const int64_t left = c->classes - k;
            const vec e = v_exp(v_at(x + k, left) - top);
            s += left < VL ? v_keep(v_first((int)left), e) : e;
        }
        out[0] = top + logf(v_sum(s));
        return;
    }
    for (int64_t p = 0; p < c->rows; p += VL) {
        const int64_t left = c->rows - p;
        vec m = v_set(-INFINITY), s = {0};
        for (int64_t k = 0; k < c->classes; k++) {
            m = v_max(m, v_at(x + k * c->stride + p, left));
        }
        for (int64_t k = 0; k < c->classes; k++) {
            s += v_exp(v_at(x + k * c->stride + p, left) - m);
        }
        v_put(out + p, m + v_log(s), left);
    }
}
static void log_sum64(const lth_classes *c, const void *from, void *to) {
    const double *x = from;
    double *out = to;
    for (int64_t p = 0; p < c->rows; p++) {
        double top = -INFINITY, s = 0;
        for (int64_t k = 0; k < c->classes; k++) {
            const double v = x[k * c->stride + p];
            top = v > top || v != v ? v : top;
        }
        for (int64_t k = 0; k < c->classes; k++) {
            s += exp(x[k * c->stride + p] - top);
        }
        out[p] = top + log(s);
    }
}
/* loss[p] += sum_k w[k] (even + kept t) (log_sum - x) */
#define SHARES(T) \
    const T *x = from, *t = target, *ls = log_sum, *w = c->weight; \
    if (c->stride == 1) { \
        for (int64_t k = 0; k < c->classes; k++) { \
            loss[0] += (double)((w ? w[k] : 1) * ((T)even + (t ? (T)kept * t[k] : 0)) * (ls[0] - x[k])); \
        } \
        return; \
    } \
    for (int64_t k = 0; k < c->classes; k++) { \
        const T wk = w ? w[k] : 1; \
        for (int64_t p = 0; p < c->rows; p++) { \
            const int64_t at = k * c->stride + p; \
            loss[p] += (double)(wk * ((T)even + (t ? (T)kept * t[at] : 0)) * (ls[p] - x[at])); \
        } \
    }
static void shares32(const lth_classes *c, const void *from, const void *target, const void *log_sum, double even, double kept, double *loss) { SHARES(float) }
static void shares64(const lth_classes *c, const void *from, const void *target, const void *log_sum, double even, double kept, double *loss) { SHARES(double) }

/* d (+)= whole[p] exp(x - log_sum) - w[k] (even[p] + kept[p] t), or with `to_target` d (+)= w[k] kept[p] (log_sum - x). */
static void class_slopes32(const lth_classes *c, const void *from, const void *target, const void *log_sum, const lth_class_shares *s, void *to, bool add) {
    const float *x = from, *t = target, *ls = log_sum, *w = c->weight, *whole = s->whole, *even = s->even, *kept = s->kept;
    float *d = to;
    const bool row = c->stride == 1;
    const int64_t outer = row ? 1 : c->classes, inner = row ? c->classes : c->rows;
    for (int64_t k = 0; k < outer; k++) {
        for (int64_t i = 0; i < inner; i += VL) {
            const int64_t at = k * c->stride + i, left = inner - i;
            const vec wk = !w ? v_set(1.f) : row ? v_at(w + i, left) : v_set(w[k]), lse = row ? v_set(ls[0]) : v_at(ls + i, left);
            const vec keep = row ? v_set(kept[0]) : v_at(kept + i, left), all = row ? v_set(whole[0]) : v_at(whole + i, left);
            const vec v = v_at(x + at, left), base = row ? v_set(even[0]) : v_at(even + i, left);
            vec slope = s->to_target ? wk * keep * (lse - v) : -wk * (t ? v_fma(keep, v_at(t + at, left), base) : base);
            if (s->logits && !s->to_target) {
                slope += all * v_exp(v - lse);
            }
            v_put(d + at, add ? v_at(d + at, left) + slope : slope, left);
        }
    }
}
static void class_slopes64(const lth_classes *c, const void *from, const void *target, const void *log_sum, const lth_class_shares *s, void *to, bool add) {
    const double *x = from, *t = target, *ls = log_sum, *w = c->weight, *whole = s->whole, *even = s->even, *kept = s->kept;
    double *d = to;
    for (int64_t k = 0; k < c->classes; k++) {
        const double wk = w ? w[k] : 1;
        for (int64_t p = 0; p < c->rows; p++) {
            const int64_t at = k * c->stride + p;
            double slope = s->to_target ? wk * kept[p] * (ls[p] - x[at]) : -wk * (even[p] + (t ? kept[p] * t[at] : 0));
            if (s->logits && !s->to_target) {
                slope += whole[p] * exp(x[at] - ls[p]);
            }
            d[at] = add ? d[at] + slope : slope;
        }
    }
}

void LTH_NAME(lth_fill_losses)(lth_cpu_isa *t) {
    t->pair_loss[0] = pair_loss32, t->pair_loss[1] = pair_loss64;
    t->pair_back[0] = pair_back32, t->pair_back[1] = pair_back64;
    t->log_sum[0] = log_sum32, t->log_sum[1] = log_sum64;
    t->shares[0] = shares32, t->shares[1] = shares64;
    t->class_slopes[0] = class_slopes32, t->class_slopes[1] = class_slopes64;
}
