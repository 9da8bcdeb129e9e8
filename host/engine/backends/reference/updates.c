/* engine/backends/reference/updates.c - optimizer updates and passes over flat f32 memory.
 * Every intermediate is an f32, in the order of PyTorch's single-tensor optimizers (torch/optim/{sgd,adam}.py of 2.x); bias
 * corrections and scalar factors are computed in double and rounded once. One element after another: no vectors, no fma. */
#include "engine/backends/reference/reference.h"
#include <lt/optim.h>

lt_status ref_sgd(lth_device *device, const lt_span *span, const lt_sgd_args *args, lth_error *err) {
    (void)device;
    if (args->momentum != 0 && (span->n_slots < 1 || !span->slot[0])) {
        return lth_fail(err, LT_EINVAL, "sgd: momentum %g needs slot 0 (momentum_buffer)", args->momentum);
    }
    float decay = (float)args->weight_decay, momentum = (float)args->momentum, fresh = (float)(1 - args->dampening);
    float minus_lr = (float)-args->lr;
    for (int64_t i = 0; i < span->n; i++) {
        float p = span->param[i], g = args->maximize ? -span->grad[i] : span->grad[i];
        if (args->weight_decay != 0) {
            g = g + decay * p;
        }
        if (args->momentum != 0) {
            float *buffer = &span->slot[0][i];
            *buffer = span->step <= 1 ? g : *buffer * momentum + fresh * g; /* the first step takes the gradient undamped */
            g = args->nesterov ? g + momentum * *buffer : *buffer;
        }
        span->param[i] = p + minus_lr * g;
    }
    return LT_OK;
}

/* torch.lerp: exact at both ends */
static float lerp(float a, float b, float weight) {
    return fabsf(weight) < 0.5f ? a + weight * (b - a) : b - (b - a) * (1 - weight);
}

lt_status ref_adam(lth_device *device, const lt_span *span, const lt_adam_args *args, lth_error *err) {
    (void)device;
    int needed = args->amsgrad ? 3 : 2;
    for (int k = 0; k < needed; k++) {
        if (span->n_slots <= k || !span->slot[k]) {
            return lth_fail(err, LT_EINVAL, "adam: needs %d slots, got %d", needed, (int)span->n_slots);
        }
    }
    double step = (double)span->step, correction1 = 1 - pow(args->beta1, step), correction2 = 1 - pow(args->beta2, step);
    float minus_size = (float)-(args->lr / correction1), root2 = (float)sqrt(correction2), eps = (float)args->eps;
    float keep = (float)(1 - args->lr * args->weight_decay), decay = (float)args->weight_decay;
    float weight1 = (float)(1 - args->beta1), beta2 = (float)args->beta2, weight2 = (float)(1 - args->beta2);
    float *m = span->slot[0], *v = span->slot[1], *top = args->amsgrad ? span->slot[2] : NULL;
    for (int64_t i = 0; i < span->n; i++) {
        float p = span->param[i], g = args->maximize ? -span->grad[i] : span->grad[i];
        if (args->weight_decay != 0 && args->decoupled) {
            p = p * keep;
        } else if (args->weight_decay != 0) {
            g = g + decay * p;
        }
        m[i] = lerp(m[i], g, weight1);
        v[i] = v[i] * beta2 + weight2 * g * g;
        float second = v[i];
        if (top) {
            top[i] = top[i] > second || isnan(top[i]) ? top[i] : second;
            second = top[i];
        }
        span->param[i] = p + minus_size * m[i] / (sqrtf(second) / root2 + eps);
    }
    return LT_OK;
}

lt_status ref_sum_squares(lth_device *device, const float *x, int64_t n, double *out, lth_error *err) {
    (void)device, (void)err;
    *out = 0;
    for (int64_t i = 0; i < n; i++) {
        *out += (double)x[i] * x[i];
    }
    return LT_OK;
}

lt_status ref_scale(lth_device *device, float *x, int64_t n, float factor, lth_error *err) {
    (void)device, (void)err;
    for (int64_t i = 0; i < n; i++) {
        x[i] *= factor;
    }
    return LT_OK;
}

/* NaN stays NaN, as torch.clamp */
lt_status ref_clamp(lth_device *device, float *x, int64_t n, float low, float high, lth_error *err) {
    (void)device, (void)err;
    for (int64_t i = 0; i < n; i++) {
        x[i] = x[i] < low ? low : x[i] > high ? high : x[i];
    }
    return LT_OK;
}

lt_status ref_zero(lth_device *device, void *memory, size_t bytes, lth_error *err) {
    (void)device, (void)err;
    memset(memory, 0, bytes);
    return LT_OK;
}
