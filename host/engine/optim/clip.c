/* engine/optim/clip.c - PyTorch's clip_grad_norm_ and clip_grad_value_ on the gradients of this window.
 * The norm of per-parameter norms, each rounded to their dtype, as torch's; the coefficient is always multiplied in. */
#include "engine/optim/optim.h"
#include <math.h>

typedef lt_status on_run(const lth_backend *b, lth_device *d, lt_dtype dtype, void *grads, int64_t n, double low, double high, lth_error *err);

/* Calls f on every stretch of parameters that got a gradient. Padding between neighbours goes along: it is zero, and NaN
 * after a norm that is; none but element-wise updates see it. */
static lt_status each_run(lth_modules *m, on_run *f, double low, double high, lth_error *err) {
    lth_engine *e = m->engine;
    for (int64_t k = 0, end; k < m->n_params; k = end) {
        end = k + 1;
        if (lth_param_fresh(m->params[k])) {
            continue;
        }
        while (end < m->n_params && !lth_param_fresh(m->params[end])) {
            end++;
        }
        const lth_param *first = m->params[k], *last = m->params[end - 1];
        lt_status status = f(e->backend, e->device, m->dtype, lth_flat_at(m, m->grads, first->offset), last->offset + last->n - first->offset, low,
                             high, err);
        if (status != LT_OK) {
            return status;
        }
    }
    return LT_OK;
}

static lt_status scale_run(const lth_backend *b, lth_device *d, lt_dtype dtype, void *grads, int64_t n, double factor, double unused,
                           lth_error *err) {
    (void)unused;
    return b->scale(d, dtype, grads, n, factor, err);
}

static lt_status clamp_run(const lth_backend *b, lth_device *d, lt_dtype dtype, void *grads, int64_t n, double low, double high, lth_error *err) {
    return b->clamp(d, dtype, grads, n, low, high, err);
}

/* PyTorch rounds each norm, their norm and the coefficient to the gradients' dtype. */
static double rounded(const lth_modules *m, double x) {
    uint16_t low;
    if (m->dtype == LT_BF16) {
        lth_element_set(LT_BF16, &low, 0, (double)(float)x);
        return lth_element_get(LT_BF16, &low, 0);
    }
    return m->dtype == LT_F64 ? x : (double)(float)x;
}

static lt_status total_norm(lth_modules *m, double *out, lth_error *err) {
    lth_engine *e = m->engine;
    double total = 0;
    for (int64_t k = 0; k < m->n_params; k++) {
        const lth_param *p = m->params[k];
        double squares = 0;
        if (lth_param_fresh(p)) {
            continue;
        }
        lt_status status = e->backend->sum_squares(e->device, m->dtype, lth_flat_at(m, m->grads, p->offset), p->n, &squares, err);
        if (status != LT_OK) {
            return status;
        }
        double norm = rounded(m, sqrt(squares));
        total += norm * norm;
    }
    *out = rounded(m, sqrt(total));
    return LT_OK;
}

lt_status lth_clip_norm(lth_modules *m, double max_norm, double *norm, lth_error *err) {
    double total, coefficient;
    lt_status status = total_norm(m, &total, err);
    if (status != LT_OK) {
        return status;
    }
    if (norm) {
        *norm = total;
    }
    if (m->dtype == LT_BF16) {
        coefficient = rounded(m, rounded(m, 1 / rounded(m, total + 1e-6)) * max_norm);
    } else if (m->dtype == LT_F64) {
        coefficient = 1.0 / (total + 1e-6) * max_norm; /* max_norm / tensor is reciprocal, then product */
    } else {
        coefficient = 1.0f / ((float)total + 1e-6f) * (float)max_norm;
    }
    coefficient = coefficient > 1 ? 1 : coefficient; /* NaN stays NaN, as torch.clamp */
    return each_run(m, scale_run, coefficient, 0, err);
}

lt_status lth_clip_value(lth_modules *m, double limit, lth_error *err) { return each_run(m, clamp_run, -limit, limit, err); }
