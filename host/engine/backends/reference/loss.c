/* engine/backends/reference/loss.c - mean squared error and accuracy. The other losses: losses.c, entropy.c. */
#include "engine/backends/reference/reference.h"

/* ---- mean squared error ---- */
static lt_status mse_forward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    const lth_array *x = call->in[0], *t = call->in[1], *y = call->out[0];
    bool each = call->attrs->i[0] == LT_NONE;
    double sum = 0, count = 0;
    ref_walk w;
    ref_walk_init(&w, x->ndim, x->shape);
    int ix = ref_walk_add(&w, x), it = ref_walk_add(&w, t), iy = each ? ref_walk_add(&w, y) : 0;
    REF_EACH(&w) {
        double off = ref_get(x, w.at[ix]) - ref_get(t, w.at[it]);
        if (each) {
            ref_set(y, w.at[iy], off * off);
        }
        sum += off * off;
        count++;
    }
    if (!each) {
        ref_set(y, 0, call->attrs->i[0] == LT_MEAN ? sum / count : sum);
    }
    return LT_OK;
}

static lt_status mse_backward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    const lth_array *x = call->in[0], *t = call->in[1], *g = call->grad_out[0];
    bool each = call->attrs->i[0] == LT_NONE;
    double scale = call->attrs->i[0] == LT_MEAN ? 2 / (double)ref_numel(x) : 2;
    for (int k = 0; k < 2; k++) {
        if (!call->need[k]) {
            continue;
        }
        const lth_array *d = call->grad_in[k];
        ref_walk w;
        ref_walk_init(&w, x->ndim, x->shape);
        int ix = ref_walk_add(&w, x), it = ref_walk_add(&w, t), id = ref_walk_add(&w, d), ig = g && each ? ref_walk_add(&w, g) : 0;
        REF_EACH(&w) {
            double up = !g ? 0 : ref_get(g, each ? w.at[ig] : 0);
            double value = scale * (ref_get(x, w.at[ix]) - ref_get(t, w.at[it])) * up;
            ref_give(d, w.at[id], k ? -value : value, call->accumulate[k]);
        }
    }
    return LT_OK;
}

const lth_kernel ref_mse_loss = {ref_plan, mse_forward, mse_backward};

/* ---- accuracy: the first maximum of a row; a NaN is the maximum, as in argmax ---- */
static lt_status accuracy_forward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device;
    const lth_array *x = call->in[0], *t = call->in[1];
    int64_t hits = 0, n = x->shape[0];
    for (int64_t row = 0; row < n; row++) {
        int64_t best = 0;
        double top = 0;
        for (int64_t k = 0; k < x->shape[1]; k++) {
            double value = ref_get(x, row * x->strides[0] + k * x->strides[1]);
            if (k == 0 || value > top || (isnan(value) && !isnan(top))) {
                best = k, top = value;
            }
        }
        const int64_t label = ref_load_int(t->data, t->dtype, row * t->strides[0]);
        if (label < 0 || label >= x->shape[1]) {
            return lth_fail(err, LT_EINDEX, "accuracy: target has label %lld in row %lld, outside 0..%lld (C = %lld)", (long long)label, (long long)row,
                            (long long)(x->shape[1] - 1), (long long)x->shape[1]);
        }
        hits += best == label;
    }
    ref_set(call->out[0], 0, (double)hits / (double)n);
    return LT_OK;
}

const lth_kernel ref_accuracy = {ref_plan, accuracy_forward, NULL};
