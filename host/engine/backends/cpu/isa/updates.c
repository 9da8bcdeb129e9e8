/* backends/cpu/isa/updates.c - the optimizers' fused passes over flat memory, in PyTorch's order of operations; of f32, and of f64
 * as plain loops that the compiler makes vectors of. */
#include "engine/backends/cpu/isa.h"
#include "simd.h"

static void sgd(int64_t n, float *p, const float *g, float *m, const lth_sgd_values *a) {
    const lth_sgd_values v = *a;
    for (int64_t i = 0; i < n; i += VL) {
        const int64_t left = n - i;
        vec P = v_at(p + i, left), G = v_at(g + i, left);
        G = v.maximize ? -G : G;
        G = v.weight_decay != 0 ? v_fma(P, v_set(v.weight_decay), G) : G;
        if (m) {
            vec M = v.first ? G : v_fma(G, v_set(v.one_less_dampening), v_at(m + i, left) * v.momentum);
            v_put(m + i, M, left);
            G = v.nesterov ? v_fma(M, v_set(v.momentum), G) : M;
        }
        v_put(p + i, v_fma(G, v_set(-v.lr), P), left);
    }
}
/* x / d for 0 < d. Where square roots and divisions share one slow unit, the division goes through the multipliers: a 14-bit reciprocal,
 * one Newton step, one correction by the remainder; within one unit in the last place of the exact quotient, usually equal to it. */
INLINE vec quotient(vec x, vec d) {
#if LTH_ISA == 2
    d = v_min(d, v_set(3e38f)); /* an overflowed second moment gives no step, as dividing by infinity would */
    vec r = (vec)_mm512_rcp14_ps((__m512)d);
    r = r * v_fnma(d, r, v_set(2.f));
    const vec q = x * r;
    return v_fma(v_fnma(d, q, x), r, q);
#else
    return x / d;
#endif
}
/* The division by sqrt(1 - beta2^t) is a product with its reciprocal: one rounding beside PyTorch's, a third less time. */
INLINE void adam_body(int64_t n, float *p, const float *g, float *m, float *v, float *top, const lth_adam_values a, const int plain) {
    for (int64_t i = 0; i < n; i += VL) {
        const int64_t left = n - i;
        vec P = v_at(p + i, left), G = v_at(g + i, left), M = v_at(m + i, left), S = v_at(v + i, left);
        if (!plain) {
            G = a.maximize ? -G : G;
            P = a.decay != 1.f ? P * a.decay : P;
            G = a.weight_decay != 0 ? v_fma(P, v_set(a.weight_decay), G) : G;
        }
        M = a.lerp1 < 0.5f ? v_fma(G - M, v_set(a.lerp1), M) : v_fnma(G - M, v_set(1.f - a.lerp1), G);
        S = v_fma(G * a.one_less_beta2, G, S * a.beta2);
        v_put(m + i, M, left);
        v_put(v + i, S, left);
        if (!plain && top) {
            S = v_max(S, v_at(top + i, left));
            v_put(top + i, S, left);
        }
        vec d = v_fma(v_sqrt(S), v_set(a.inv_root_correction2), v_set(a.eps));
        v_put(p + i, P - quotient(M * a.step, d), left);
    }
}
static void adam(int64_t n, float *p, const float *g, float *m, float *v, float *top, const lth_adam_values *a) {
    if (!a->maximize && a->decay == 1.f && a->weight_decay == 0 && !top) {
        adam_body(n, p, g, m, v, top, *a, 1);
    } else {
        adam_body(n, p, g, m, v, top, *a, 0);
    }
}

/* ---- f64 ---- */
static void sgd64(int64_t n, double *restrict p, const double *restrict g, double *restrict m, const lth_sgd64_values *a) {
    const lth_sgd64_values v = *a;
    const double sign = v.maximize ? -1 : 1, keep = v.first ? 0 : v.momentum, fresh = v.first ? 1 : v.one_less_dampening;
    if (!m) {
        for (int64_t i = 0; i < n; i++) {
            p[i] = p[i] - v.lr * (sign * g[i] + v.weight_decay * p[i]);
        }
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        const double G = sign * g[i] + v.weight_decay * p[i], M = (v.first ? 0 : m[i] * keep) + fresh * G;
        m[i] = M;
        p[i] = p[i] - v.lr * (v.nesterov ? G + v.momentum * M : M);
    }
}
INLINE void adam64_body(int64_t n, double *restrict p, const double *restrict g, double *restrict m, double *restrict v, double *restrict top,
                        const lth_adam64_values a, const int amsgrad) {
    const double sign = a.maximize ? -1 : 1;
    const int early = fabs(a.lerp1) < 0.5; /* torch.lerp: exact at both ends */
    for (int64_t i = 0; i < n; i++) {
        const double P = p[i] * a.decay, G = sign * g[i] + a.weight_decay * P;
        const double M = early ? m[i] + a.lerp1 * (G - m[i]) : G - (G - m[i]) * (1 - a.lerp1);
        double S = v[i] * a.beta2 + a.one_less_beta2 * G * G;
        m[i] = M;
        v[i] = S;
        if (amsgrad) {
            S = top[i] > S || isnan(top[i]) ? top[i] : S;
            top[i] = S;
        }
        p[i] = P + a.minus_step * M / (sqrt(S) / a.root_correction2 + a.eps);
    }
}
static void adam64(int64_t n, double *p, const double *g, double *m, double *v, double *top, const lth_adam64_values *a) {
    if (top) {
        adam64_body(n, p, g, m, v, top, *a, 1);
    } else {
        adam64_body(n, p, g, m, v, NULL, *a, 0);
    }
}
static double sum_squares64(int64_t n, const double *x) {
    double part[16] = {0}, sum = 0;
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) {
        for (int k = 0; k < 16; k++) {
            part[k] += x[i + k] * x[i + k];
        }
    }
    for (int k = 0; i < n; i++, k++) {
        part[k] += x[i] * x[i];
    }
    for (int k = 0; k < 16; k++) {
        sum += part[k];
    }
    return sum;
}
static void scale64(int64_t n, double *x, double factor) {
    for (int64_t i = 0; i < n; i++) {
        x[i] *= factor;
    }
}
static void clamp64(int64_t n, double *x, double low, double high) {
    for (int64_t i = 0; i < n; i++) {
        x[i] = x[i] < low ? low : x[i] > high ? high : x[i];
    }
}

void LTH_NAME(lth_fill_updates)(lth_cpu_isa *t) {
    t->sgd64 = sgd64;
    t->adam64 = adam64;
    t->sum_squares64 = sum_squares64;
    t->scale64 = scale64;
    t->clamp64 = clamp64;
    t->sgd = sgd;
    t->adam = adam;
}
