/* engine/backends/reference/reduce.c - sum, mean, argmax, argmin, softmax, log-softmax. Sums are kept in double (integers in int64). */
#include "engine/backends/reference/reference.h"

/* Bits of the dimensions a SUM, MEAN or ARGMAX runs over; none given: all. */
unsigned ref_reduced_dims(const lth_call *call) {
    const int64_t *i = call->attrs->i;
    int ndim = call->in[0]->ndim;
    unsigned mask = 0;
    for (int64_t k = 0; k < i[0]; k++) {
        mask |= i[1 + k] < ndim ? 1u << i[1 + k] : 0;
    }
    return i[0] ? mask : (1u << ndim) - 1;
}

/* Adds `small` (an output, with or without the reduced dimensions) to a walk over the input. */
int ref_add_reduced(ref_walk *w, const lth_array *small, unsigned mask) {
    lth_array spread = {.ndim = (uint8_t)w->ndim};
    for (int d = 0, own = 0; d < w->ndim; d++) {
        bool reduced = mask >> d & 1;
        spread.shape[d] = reduced ? 1 : w->shape[d];
        spread.strides[d] = reduced ? 0 : small->strides[own];
        own += !reduced || small->ndim == w->ndim;
    }
    return ref_walk_add(w, &spread);
}

int64_t ref_reduced_count(const lth_call *call, unsigned mask) {
    int64_t n = 1;
    for (int d = 0; d < call->in[0]->ndim; d++) {
        n *= mask >> d & 1 ? call->in[0]->shape[d] : 1;
    }
    return n;
}

static lt_status sum_forward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    const lth_array *x = call->in[0], *y = call->out[0];
    unsigned mask = ref_reduced_dims(call);
    bool exact = !ref_is_float(x->dtype) && !ref_is_float(y->dtype);
    double count = call->op == LTH_OP_MEAN ? (double)ref_reduced_count(call, mask) : 1;
    ref_walk w, kept, summed;
    ref_walk_init(&w, x->ndim, x->shape);
    int ix = ref_walk_add(&w, x), iy = ref_add_reduced(&w, y, mask);
    ref_walk_part(&kept, &w, ~mask);
    ref_walk_part(&summed, &w, mask);
    REF_EACH(&kept) {
        double sum = 0;
        uint64_t whole = 0; /* unsigned: wrapping is defined */
        ref_walk_enter(&summed, &kept);
        REF_EACH(&summed) {
            if (exact) {
                whole += (uint64_t)ref_load_int(x->data, x->dtype, summed.at[ix]);
            } else {
                sum += ref_get(x, summed.at[ix]);
            }
        }
        if (exact) {
            ref_store_int(y->data, y->dtype, kept.at[iy], (int64_t)whole);
        } else {
            ref_set(y, kept.at[iy], sum / count);
        }
    }
    return LT_OK;
}

static lt_status sum_backward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    if (!call->need[0]) {
        return LT_OK;
    }
    const lth_array *g = call->grad_out[0], *d = call->grad_in[0];
    unsigned mask = ref_reduced_dims(call);
    double count = call->op == LTH_OP_MEAN ? (double)ref_reduced_count(call, mask) : 1;
    ref_walk w;
    ref_walk_init(&w, d->ndim, d->shape);
    int id = ref_walk_add(&w, d), ig = g ? ref_add_reduced(&w, g, mask) : 0;
    REF_EACH(&w) {
        ref_give(d, w.at[id], g ? ref_get(g, w.at[ig]) / count : 0, call->accumulate[0]);
    }
    return LT_OK;
}

const lth_kernel ref_sum = {ref_plan, sum_forward, sum_backward}, ref_mean = {ref_plan, sum_forward, sum_backward};

/* The first of equals; a NaN is larger than everything, as in PyTorch. */
static lt_status argmax_forward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device;
    const lth_array *x = call->in[0], *y = call->out[0];
    unsigned mask = ref_reduced_dims(call);
    if (ref_numel(y) && ref_reduced_count(call, mask) == 0) {
        return lth_fail(err, LT_ESHAPE, "argmax, argmin: the dimension to search is empty");
    }
    ref_walk w, kept, searched;
    ref_walk_init(&w, x->ndim, x->shape);
    int ix = ref_walk_add(&w, x), iy = ref_add_reduced(&w, y, mask);
    ref_walk_part(&kept, &w, ~mask);
    ref_walk_part(&searched, &w, mask);
    bool exact = !ref_is_float(x->dtype);
    REF_EACH(&kept) {
        int64_t best = 0, position = 0, first = 0;
        double top = 0;
        ref_walk_enter(&searched, &kept);
        REF_EACH(&searched) {
            double value = ref_get(x, searched.at[ix]);
            int64_t whole = exact ? ref_load_int(x->data, x->dtype, searched.at[ix]) : 0;
            if (call->op == LTH_OP_ARGMIN) { /* the largest of what is turned around; ~ keeps the lowest integer one */
                value = -value;
                whole = ~whole;
            }
            bool better = exact ? whole > first : value > top || (isnan(value) && !isnan(top));
            if (position == 0 || better) {
                best = position, top = value, first = whole;
            }
            position++;
        }
        ref_store_int(y->data, y->dtype, kept.at[iy], best);
    }
    return LT_OK;
}

const lth_kernel ref_argmax = {ref_plan, argmax_forward, NULL};

/* ---- softmax and log-softmax along one dimension ---- */
/* The walk over everything but `dim` (in part[0]) and along it (in part[1]). */
static void split_walk(const ref_walk *w, const lth_call *call, ref_walk *outer, ref_walk *along) {
    unsigned mask = w->ndim ? 1u << call->attrs->i[0] : 0;
    ref_walk_part(outer, w, ~mask);
    ref_walk_part(along, w, mask);
}

static lt_status softmax_forward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    const lth_array *x = call->in[0], *y = call->out[0];
    ref_walk w, outer, along;
    ref_walk_init(&w, x->ndim, x->shape);
    int ix = ref_walk_add(&w, x), iy = ref_walk_add(&w, y);
    split_walk(&w, call, &outer, &along);
    REF_EACH(&outer) {
        double top = -INFINITY, sum = 0;
        ref_walk_enter(&along, &outer);
        REF_EACH(&along) {
            double value = ref_get(x, along.at[ix]);
            top = value > top || isnan(value) ? value : top;
        }
        REF_EACH(&along) {
            sum += exp(ref_get(x, along.at[ix]) - top);
        }
        REF_EACH(&along) {
            double shifted = ref_get(x, along.at[ix]) - top;
            ref_set(y, along.at[iy], call->op == LTH_OP_SOFTMAX ? exp(shifted) / sum : shifted - log(sum));
        }
    }
    return LT_OK;
}

/* softmax: y (g - sum(g y)); log-softmax: g - exp(y) sum(g) */
static lt_status softmax_backward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    if (!call->need[0]) {
        return LT_OK;
    }
    const lth_array *y = call->out[0], *g = call->grad_out[0], *d = call->grad_in[0];
    bool logs = call->op == LTH_OP_LOG_SOFTMAX;
    ref_walk w, outer, along;
    ref_walk_init(&w, y->ndim, y->shape);
    int iy = ref_walk_add(&w, y), id = ref_walk_add(&w, d), ig = g ? ref_walk_add(&w, g) : 0;
    split_walk(&w, call, &outer, &along);
    REF_EACH(&outer) {
        double sum = 0;
        ref_walk_enter(&along, &outer);
        REF_EACH(&along) {
            sum += g ? ref_get(g, along.at[ig]) * (logs ? 1 : ref_get(y, along.at[iy])) : 0;
        }
        REF_EACH(&along) {
            double up = g ? ref_get(g, along.at[ig]) : 0, value = ref_get(y, along.at[iy]);
            ref_give(d, along.at[id], logs ? up - exp(value) * sum : value * (up - sum), call->accumulate[0]);
        }
    }
    return LT_OK;
}

const lth_kernel ref_softmax = {ref_plan, softmax_forward, softmax_backward},
                 ref_log_softmax = {ref_plan, softmax_forward, softmax_backward};
