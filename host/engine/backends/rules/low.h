/* engine/backends/rules/low.h - the optimizers' passes over flat memory of bf16, for precision bf16-true. In the order of PyTorch's
 * single-tensor optimizers, computed in f32 and rounded to bf16 after each of its operations, as its CPU kernels do: the scalars of `add`
 * (alpha, eps) are bf16 themselves, those of mul, div, lerp, addcmul and addcdiv are f32. Included by the reference backend and once per
 * instruction set by the cpu backend. It allocates nothing and checks nothing. */
#ifndef LTH_RULES_LOW_H
#define LTH_RULES_LOW_H
#include "base/bf16.h"
#include "engine/backends/rules/rules.h"
#include <math.h>
#include <string.h>

static inline float low_round(float x) { return lth_f32_of_bf16(lth_bf16_of_f32(x)); }
static inline float low_factor(double x) { return low_round((float)x); }
static inline float low_lerp(float a, float b, double weight) {
    return low_round(weight < 0.5 ? a + (float)weight * (b - a) : b - (b - a) * (float)(1 - weight));
}

/* s <- keep s + fresh g^2: mul_ and addcmul_ */
static inline float low_average(float s, float keep, float fresh, float g) { return low_round(low_round(s * keep) + fresh * g * g); }

static inline void low_sgd(const lth_low *u, int64_t n, uint16_t *restrict p, const uint16_t *restrict g, uint16_t *restrict buffer) {
    const lt_sgd_args *a = u->sgd;
    const float sign = a->maximize ? -1.f : 1.f, decay = low_factor(a->weight_decay), lr = low_factor(-a->lr), keep = (float)a->momentum;
    const float fresh = low_factor(1 - a->dampening), ahead = low_factor(a->momentum);
    const bool momentum = a->momentum != 0, nesterov = a->nesterov, first = u->step <= 1;
    for (int64_t i = 0; i < n; i++) {
        float P = lth_f32_of_bf16(p[i]), G = low_round(sign * lth_f32_of_bf16(g[i]) + decay * P);
        if (momentum) {
            const float B = first ? G : low_round(low_round(lth_f32_of_bf16(buffer[i]) * keep) + fresh * G);
            buffer[i] = lth_bf16_of_f32(B);
            G = nesterov ? low_round(G + ahead * B) : B;
        }
        p[i] = lth_bf16_of_f32(P + lr * G);
    }
}

static inline void low_adam(const lth_low *u, int64_t n, uint16_t *restrict p, const uint16_t *restrict g, uint16_t *restrict mean,
                            uint16_t *restrict square, uint16_t *restrict top) {
    const lt_adam_args *a = u->adam;
    const double step = (double)(u->step < 1 ? 1 : u->step);
    const float sign = a->maximize ? -1.f : 1.f, size = (float)-(a->lr / (1 - pow(a->beta1, step))), eps = low_factor(a->eps);
    const float root = (float)sqrt(1 - pow(a->beta2, step)), beta2 = (float)a->beta2, fresh = (float)(1 - a->beta2);
    const float keep = a->decoupled ? (float)(1 - a->lr * a->weight_decay) : 1.f, decay = a->decoupled ? 0.f : low_factor(a->weight_decay);
    const double weight = 1 - a->beta1;
    for (int64_t i = 0; i < n; i++) {
        const float P = low_round(lth_f32_of_bf16(p[i]) * keep), G = low_round(sign * lth_f32_of_bf16(g[i]) + decay * P);
        const float M = low_lerp(lth_f32_of_bf16(mean[i]), G, weight);
        float S = low_average(lth_f32_of_bf16(square[i]), beta2, fresh, G);
        mean[i] = lth_bf16_of_f32(M);
        square[i] = lth_bf16_of_f32(S);
        if (top) {
            const float T = lth_f32_of_bf16(top[i]);
            S = T > S || isnan(T) ? T : S;
            top[i] = lth_bf16_of_f32(S);
        }
        p[i] = lth_bf16_of_f32(P + size * M / low_round(low_round(low_round(sqrtf(S)) / root) + eps));
    }
}

static inline void low_rmsprop(const lth_rule *r, int64_t n, uint16_t *restrict p, const uint16_t *restrict g, uint16_t *restrict square,
                               uint16_t *restrict buffer, uint16_t *restrict mean) {
    const float sign = (float)r->sign, decay = low_factor(r->weight_decay), alpha = (float)r->a, fresh = (float)(1 - r->a), eps = low_factor(r->eps);
    const float keep = (float)r->b, lr = (float)-r->lr, low_lr = low_factor(-r->lr);
    for (int64_t i = 0; i < n; i++) {
        const float P = lth_f32_of_bf16(p[i]), G = low_round(sign * lth_f32_of_bf16(g[i]) + decay * P);
        const float S = low_average(lth_f32_of_bf16(square[i]), alpha, fresh, G);
        float about = S;
        square[i] = lth_bf16_of_f32(S);
        if (mean) {
            const float M = low_lerp(lth_f32_of_bf16(mean[i]), G, 1 - r->a);
            mean[i] = lth_bf16_of_f32(M);
            about = low_round(S - M * M);
        }
        const float average = low_round(low_round(sqrtf(about)) + eps);
        if (buffer) {
            const float B = low_round(low_round(lth_f32_of_bf16(buffer[i]) * keep) + G / average);
            buffer[i] = lth_bf16_of_f32(B);
            p[i] = lth_bf16_of_f32(P + low_lr * B);
        } else {
            p[i] = lth_bf16_of_f32(P + lr * G / average);
        }
    }
}

static inline void low_adagrad(const lth_rule *r, int64_t n, uint16_t *restrict p, const uint16_t *restrict g, uint16_t *restrict sum) {
    const float sign = (float)r->sign, decay = low_factor(r->weight_decay), eps = low_factor(r->eps), lr = (float)-r->lr;
    for (int64_t i = 0; i < n; i++) {
        const float P = lth_f32_of_bf16(p[i]), G = low_round(sign * lth_f32_of_bf16(g[i]) + decay * P), S = low_round(lth_f32_of_bf16(sum[i]) + G * G);
        sum[i] = lth_bf16_of_f32(S);
        p[i] = lth_bf16_of_f32(P + lr * G / low_round(low_round(sqrtf(S)) + eps));
    }
}

static inline void low_adadelta(const lth_rule *r, int64_t n, uint16_t *restrict p, const uint16_t *restrict g, uint16_t *restrict square,
                                uint16_t *restrict acc) {
    const float sign = (float)r->sign, decay = low_factor(r->weight_decay), eps = low_factor(r->eps), lr = low_factor(-r->lr), rho = (float)r->a;
    const float fresh = (float)(1 - r->a);
    for (int64_t i = 0; i < n; i++) {
        const float P = lth_f32_of_bf16(p[i]), A = lth_f32_of_bf16(acc[i]), G = low_round(sign * lth_f32_of_bf16(g[i]) + decay * P);
        const float S = low_average(lth_f32_of_bf16(square[i]), rho, fresh, G), root = low_round(sqrtf(low_round(S + eps)));
        const float delta = low_round(low_round(low_round(sqrtf(low_round(A + eps))) / root) * G);
        square[i] = lth_bf16_of_f32(S);
        acc[i] = lth_bf16_of_f32(low_average(A, rho, fresh, delta));
        p[i] = lth_bf16_of_f32(P + lr * delta);
    }
}

static inline void low_lion(const lth_rule *r, int64_t n, uint16_t *restrict p, const uint16_t *restrict g, uint16_t *restrict mean) {
    const float sign = (float)r->sign, decay = (float)r->decay, lr = low_factor(-r->lr), b1 = (float)r->a, b2 = (float)r->b;
    const float f1 = (float)(1 - r->a), f2 = low_factor(1 - r->b);
    for (int64_t i = 0; i < n; i++) {
        const float G = sign * lth_f32_of_bf16(g[i]), M = lth_f32_of_bf16(mean[i]), way = low_round(low_round(M * b1) + low_round(f1 * G));
        const float unit = way > 0 ? 1.f : way < 0 ? -1.f : way; /* 0 and NaN stay, as torch.sign */
        p[i] = lth_bf16_of_f32(low_round(lth_f32_of_bf16(p[i]) * decay) + lr * unit);
        mean[i] = lth_bf16_of_f32(low_round(M * b2) + f2 * G);
    }
}

static inline void low_nadam(const lth_rule *r, int64_t n, uint16_t *restrict p, const uint16_t *restrict g, uint16_t *restrict mean,
                             uint16_t *restrict square) {
    const float sign = (float)r->sign, keep = (float)r->decay, decay = low_factor(r->weight_decay), eps = low_factor(r->eps);
    const float correction = (float)r->lr, b2 = (float)r->b, f2 = (float)(1 - r->b), of_gradient = (float)r->c, of_mean = (float)r->d;
    for (int64_t i = 0; i < n; i++) {
        const float P = low_round(lth_f32_of_bf16(p[i]) * keep), G = low_round(sign * lth_f32_of_bf16(g[i]) + decay * P);
        const float M = low_lerp(lth_f32_of_bf16(mean[i]), G, 1 - r->a), S = low_average(lth_f32_of_bf16(square[i]), b2, f2, G);
        const float root = low_round(low_round(sqrtf(low_round(S / correction))) + eps);
        mean[i] = lth_bf16_of_f32(M);
        square[i] = lth_bf16_of_f32(S);
        p[i] = lth_bf16_of_f32(low_round(P + of_gradient * G / root) + of_mean * M / root);
    }
}

static void low_rule(const lth_rule *r, int64_t n, uint16_t *p, const uint16_t *g, uint16_t *const *slot) {
    switch (r->kind) {
    case LT_RULE_RMSPROP: /* the momentum's slot comes before the mean's */
        low_rmsprop(r, n, p, g, slot[0], r->momentum ? slot[1] : NULL, r->centered ? slot[r->momentum ? 2 : 1] : NULL);
        break;
    case LT_RULE_ADAGRAD: low_adagrad(r, n, p, g, slot[0]); break;
    case LT_RULE_ADADELTA: low_adadelta(r, n, p, g, slot[0], slot[1]); break;
    case LT_RULE_LION: low_lion(r, n, p, g, slot[0]); break;
    default: low_nadam(r, n, p, g, slot[0], slot[1]); break;
    }
}

/* slot: LTH_RULE_SLOTS of them, NULL for what is not there. Scaling and clamping change p and have no gradient. */
static void low_update(const lth_low *u, int64_t n, uint16_t *p, const uint16_t *g, uint16_t *const *slot) {
    switch (u->kind) {
    case LTH_LOW_SGD: low_sgd(u, n, p, g, slot[0]); break;
    case LTH_LOW_ADAM: low_adam(u, n, p, g, slot[0], slot[1], u->adam->amsgrad ? slot[2] : NULL); break;
    case LTH_LOW_RULE: low_rule(u->rule, n, p, g, slot); break;
    case LTH_LOW_SCALE:
        for (int64_t i = 0; i < n; i++) {
            p[i] = lth_bf16_of_f32(lth_f32_of_bf16(p[i]) * (float)u->low);
        }
        break;
    default: { /* LTH_LOW_CLAMP. NaN stays NaN, as torch.clamp */
        const float low = low_factor(u->low), high = low_factor(u->high);
        for (int64_t i = 0; i < n; i++) {
            const float x = lth_f32_of_bf16(p[i]);
            p[i] = lth_bf16_of_f32(x < low ? low : x > high ? high : x);
        }
    }
    }
}

static double low_squares(int64_t n, const uint16_t *x) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += (double)lth_f32_of_bf16(x[i]) * (double)lth_f32_of_bf16(x[i]);
    }
    return sum;
}
#endif
