/* engine/backends/rules/body.h - the update rules for one type of element: T, and its functions T_NAME(f), T_SQRT. In the order of PyTorch's
 * single-tensor optimizers, every intermediate a T, every scalar computed in double and rounded once; plain loops, which become vectors
 * where the compiler may make them. Included once per type by reference/rules.c and per instruction set by cpu/isa/rules.c; no guard. */
static inline T T_NAME(lerp_to)(T a, T b, double weight) { /* torch.lerp: exact at both ends */
    return weight < 0.5 ? a + (T)weight * (b - a) : b - (b - a) * (T)(1 - weight);
}

static inline __attribute__((always_inline)) void T_NAME(rmsprop_pass)(const lth_rule *r, int64_t n, T *restrict p, const T *restrict g, T *restrict square,
                                                                       T *restrict buffer, T *restrict mean, const bool momentum,
                                                                       const bool centered) {
    const T sign = (T)r->sign, decay = (T)r->weight_decay, alpha = (T)r->a, fresh = (T)(1 - r->a), eps = (T)r->eps, keep = (T)r->b, lr = (T)-r->lr;
    const double weight = 1 - r->a;
    for (int64_t i = 0; i < n; i++) {
        T G = sign * g[i] + decay * p[i], S = square[i] * alpha + fresh * G * G, average;
        square[i] = S;
        if (centered) {
            T M = T_NAME(lerp_to)(mean[i], G, weight);
            mean[i] = M;
            average = T_SQRT(S - M * M) + eps;
        } else {
            average = T_SQRT(S) + eps;
        }
        if (momentum) {
            T B = buffer[i] * keep + G / average;
            buffer[i] = B;
            p[i] = p[i] + lr * B;
        } else {
            p[i] = p[i] + lr * G / average;
        }
    }
}

static void T_NAME(rmsprop)(const lth_rule *r, int64_t n, T *p, const T *g, T *const *slot) {
    if (r->momentum) {
        if (r->centered) {
            T_NAME(rmsprop_pass)(r, n, p, g, slot[0], slot[1], slot[2], true, true);
        } else {
            T_NAME(rmsprop_pass)(r, n, p, g, slot[0], slot[1], NULL, true, false);
        }
    } else if (r->centered) {
        T_NAME(rmsprop_pass)(r, n, p, g, slot[0], NULL, slot[1], false, true);
    } else {
        T_NAME(rmsprop_pass)(r, n, p, g, slot[0], NULL, NULL, false, false);
    }
}

static void T_NAME(adagrad)(const lth_rule *r, int64_t n, T *restrict p, const T *restrict g, T *restrict sum) {
    const T sign = (T)r->sign, decay = (T)r->weight_decay, eps = (T)r->eps, lr = (T)-r->lr;
    for (int64_t i = 0; i < n; i++) {
        T G = sign * g[i] + decay * p[i], S = sum[i] + G * G;
        sum[i] = S;
        p[i] = p[i] + lr * G / (T_SQRT(S) + eps);
    }
}

static void T_NAME(adadelta)(const lth_rule *r, int64_t n, T *restrict p, const T *restrict g, T *restrict square, T *restrict acc) {
    const T sign = (T)r->sign, decay = (T)r->weight_decay, eps = (T)r->eps, lr = (T)-r->lr, rho = (T)r->a, fresh = (T)(1 - r->a);
    for (int64_t i = 0; i < n; i++) {
        T G = sign * g[i] + decay * p[i], S = square[i] * rho + fresh * G * G;
        T delta = T_SQRT(acc[i] + eps) / T_SQRT(S + eps) * G;
        square[i] = S;
        acc[i] = acc[i] * rho + fresh * delta * delta;
        p[i] = p[i] + lr * delta;
    }
}

static void T_NAME(lion)(const lth_rule *r, int64_t n, T *restrict p, const T *restrict g, T *restrict mean) {
    const T sign = (T)r->sign, decay = (T)r->decay, lr = (T)-r->lr, b1 = (T)r->a, f1 = (T)(1 - r->a), b2 = (T)r->b, f2 = (T)(1 - r->b);
    for (int64_t i = 0; i < n; i++) {
        T G = sign * g[i], way = mean[i] * b1 + f1 * G;
        T unit = way > 0 ? (T)1 : way < 0 ? (T)-1 : way; /* 0 and NaN stay, as torch.sign */
        p[i] = p[i] * decay + lr * unit;
        mean[i] = mean[i] * b2 + f2 * G;
    }
}

static void T_NAME(nadam)(const lth_rule *r, int64_t n, T *restrict p, const T *restrict g, T *restrict mean, T *restrict square) {
    const T sign = (T)r->sign, keep = (T)r->decay, decay = (T)r->weight_decay, eps = (T)r->eps, correction = (T)r->lr;
    const T b2 = (T)r->b, f2 = (T)(1 - r->b), of_gradient = (T)r->c, of_mean = (T)r->d;
    const double weight = 1 - r->a;
    for (int64_t i = 0; i < n; i++) {
        T P = p[i] * keep, G = sign * g[i] + decay * P, M = T_NAME(lerp_to)(mean[i], G, weight), S = square[i] * b2 + f2 * G * G;
        T root = T_SQRT(S / correction) + eps;
        mean[i] = M;
        square[i] = S;
        P = P + of_gradient * G / root;
        p[i] = P + of_mean * M / root;
    }
}

static void T_NAME(rule)(const lth_rule *r, int64_t n, T *p, const T *g, T *const *slot) {
    switch (r->kind) {
    case LT_RULE_RMSPROP: T_NAME(rmsprop)(r, n, p, g, slot); break;
    case LT_RULE_ADAGRAD: T_NAME(adagrad)(r, n, p, g, slot[0]); break;
    case LT_RULE_ADADELTA: T_NAME(adadelta)(r, n, p, g, slot[0], slot[1]); break;
    case LT_RULE_LION: T_NAME(lion)(r, n, p, g, slot[0]); break;
    default: T_NAME(nadam)(r, n, p, g, slot[0], slot[1]); break;
    }
}
#undef T
#undef T_NAME
#undef T_SQRT
