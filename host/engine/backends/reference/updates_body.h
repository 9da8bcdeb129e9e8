/* engine/backends/reference/updates_body.h - the optimizers' updates for one type of element: T, and its functions T_NAME(f), T_ABS, T_SQRT.
 * Included once per type by updates.c; it has no guard for that reason. */
static void T_NAME(sgd)(const lt_span *span, const lt_sgd_args *args) {
    T decay = (T)args->weight_decay, momentum = (T)args->momentum, fresh = (T)(1 - args->dampening);
    T minus_lr = (T)-args->lr, *param = span->param, *slot = span->slot[0];
    const T *grad = span->grad;
    for (int64_t i = 0; i < span->n; i++) {
        T p = param[i], g = args->maximize ? -grad[i] : grad[i];
        if (args->weight_decay != 0) {
            g = g + decay * p;
        }
        if (args->momentum != 0) {
            T *buffer = &slot[i];
            *buffer = span->step <= 1 ? g : *buffer * momentum + fresh * g; /* the first step takes the gradient undamped */
            g = args->nesterov ? g + momentum * *buffer : *buffer;
        }
        param[i] = p + minus_lr * g;
    }
}

/* torch.lerp: exact at both ends */
static T T_NAME(lerp)(T a, T b, T weight) { return T_ABS(weight) < (T)0.5 ? a + weight * (b - a) : b - (b - a) * (1 - weight); }

static void T_NAME(adam)(const lt_span *span, const lt_adam_args *args) {
    double step = (double)span->step, correction1 = 1 - pow(args->beta1, step), correction2 = 1 - pow(args->beta2, step);
    T minus_size = (T)-(args->lr / correction1), root2 = (T)sqrt(correction2), eps = (T)args->eps;
    T keep = (T)(1 - args->lr * args->weight_decay), decay = (T)args->weight_decay;
    T weight1 = (T)(1 - args->beta1), beta2 = (T)args->beta2, weight2 = (T)(1 - args->beta2);
    T *m = span->slot[0], *v = span->slot[1], *top = args->amsgrad ? span->slot[2] : NULL, *param = span->param;
    const T *grad = span->grad;
    for (int64_t i = 0; i < span->n; i++) {
        T p = param[i], g = args->maximize ? -grad[i] : grad[i];
        if (args->weight_decay != 0 && args->decoupled) {
            p = p * keep;
        } else if (args->weight_decay != 0) {
            g = g + decay * p;
        }
        m[i] = T_NAME(lerp)(m[i], g, weight1);
        v[i] = v[i] * beta2 + weight2 * g * g;
        T second = v[i];
        if (top) {
            top[i] = top[i] > second || isnan(top[i]) ? top[i] : second;
            second = top[i];
        }
        param[i] = p + minus_size * m[i] / (T_SQRT(second) / root2 + eps);
    }
}

static double T_NAME(squares)(const T *x, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += (double)x[i] * (double)x[i];
    }
    return sum;
}

static void T_NAME(scale)(T *x, int64_t n, T factor) {
    for (int64_t i = 0; i < n; i++) {
        x[i] *= factor;
    }
}

/* NaN stays NaN, as torch.clamp */
static void T_NAME(clamp)(T *x, int64_t n, T low, T high) {
    for (int64_t i = 0; i < n; i++) {
        x[i] = x[i] < low ? low : x[i] > high ? high : x[i];
    }
}
#undef T
#undef T_NAME
#undef T_ABS
#undef T_SQRT
