/* engine/backends/reference/reduce_more.c - max, min, their places, variance, product, log-sum-exp, running sum. Plain loops in double;
 * integers stay integers. Sum, mean, argmax and softmax are in reduce.c. */
#include "engine/backends/reference/reference.h"

/* A walk over x split into what is kept and what meets, with the arrays at hand. */
typedef struct split { ref_walk whole, kept, met; int x, y, g, d; unsigned mask; int64_t count; } split;

static void split_init(split *s, const lth_call *call, const lth_array *d) {
    const lth_array *x = call->in[0];
    s->mask = ref_reduced_dims(call);
    s->count = ref_reduced_count(call, s->mask);
    ref_walk_init(&s->whole, x->ndim, x->shape);
    s->x = ref_walk_add(&s->whole, x);
    s->y = ref_add_reduced(&s->whole, call->out[0], s->mask);
    s->g = call->grad_out[0] ? ref_add_reduced(&s->whole, call->grad_out[0], s->mask) : s->y;
    s->d = d ? ref_walk_add(&s->whole, d) : 0;
    ref_walk_part(&s->kept, &s->whole, ~s->mask);
    ref_walk_part(&s->met, &s->whole, s->mask);
}

/* ---- the largest and the smallest ---- */
static bool looks_for_max(const lth_call *call) { return call->op == LTH_OP_MAX || call->op == LTH_OP_MAX_ALONG; }

/* Place of the first of the best, in the order of the walk; *at: its place in x. A NaN is better than everything. */
static int64_t best_of(const lth_call *call, split *s, int64_t *at) {
    const lth_array *x = call->in[0];
    const bool exact = !ref_is_float(x->dtype), max = looks_for_max(call);
    int64_t best = -1, place = 0, top_int = 0;
    double top = 0;
    ref_walk_enter(&s->met, &s->kept);
    REF_EACH(&s->met) {
        const double v = ref_get(x, s->met.at[s->x]);
        const int64_t i = exact ? ref_load_int(x->data, x->dtype, s->met.at[s->x]) : 0;
        const bool better = exact ? (max ? i > top_int : i < top_int) : (max ? v > top : v < top) || (isnan(v) && !isnan(top));
        if (best < 0 || better) {
            best = place, top = v, top_int = i, *at = s->met.at[s->x];
        }
        place++;
    }
    return best;
}

static lt_status extreme_forward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    const lth_array *x = call->in[0], *y = call->out[0], *index = call->n_out > 1 ? call->out[1] : NULL;
    split s;
    split_init(&s, call, NULL);
    int64_t i = 0;
    REF_EACH(&s.kept) {
        int64_t at = 0, best = best_of(call, &s, &at);
        if (ref_is_float(x->dtype)) {
            ref_set(y, s.kept.at[s.y], ref_get(x, at));
        } else {
            ref_store_int(y->data, y->dtype, s.kept.at[s.y], ref_load_int(x->data, x->dtype, at));
        }
        if (index) { /* contiguous, as all outputs are */
            ref_store_int(index->data, index->dtype, i++, best);
        }
    }
    return LT_OK;
}

static bool is_top(double v, double y) { return v == y || (isnan(v) && isnan(y)); }

/* Of equals each gets its share. */
static lt_status extreme_backward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    if (!call->need[0]) {
        return LT_OK;
    }
    const lth_array *x = call->in[0], *y = call->out[0], *g = call->grad_out[0], *d = call->grad_in[0];
    split s;
    split_init(&s, call, d);
    REF_EACH(&s.kept) {
        const double top = ref_get(y, s.kept.at[s.y]), up = g ? ref_get(g, s.kept.at[s.g]) : 0;
        int64_t equals = 0;
        ref_walk_enter(&s.met, &s.kept);
        REF_EACH(&s.met) {
            equals += is_top(ref_get(x, s.met.at[s.x]), top);
        }
        REF_EACH(&s.met) {
            ref_give(d, s.met.at[s.d], is_top(ref_get(x, s.met.at[s.x]), top) ? up / (double)equals : 0, call->accumulate[0]);
        }
    }
    return LT_OK;
}

const lth_kernel ref_extreme = {ref_plan, extreme_forward, extreme_backward};

/* All of it to the one whose place was given. */
static lt_status along_backward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    if (!call->need[0]) {
        return LT_OK;
    }
    const lth_array *g = call->grad_out[0], *d = call->grad_in[0], *index = call->out[1];
    split s;
    split_init(&s, call, d);
    int64_t i = 0;
    REF_EACH(&s.kept) {
        const int64_t best = ref_load_int(index->data, index->dtype, i++);
        int64_t place = 0;
        ref_walk_enter(&s.met, &s.kept);
        REF_EACH(&s.met) {
            ref_give(d, s.met.at[s.d], g && place == best ? ref_get(g, s.kept.at[s.g]) : 0, call->accumulate[0]);
            place++;
        }
    }
    return LT_OK;
}

const lth_kernel ref_extreme_along = {ref_plan, extreme_forward, along_backward};

/* ---- variance and standard deviation: sum (x - mean)^2 / (n - correction), and its root ---- */
static double mean_of(const lth_array *x, split *s) {
    double sum = 0;
    ref_walk_enter(&s->met, &s->kept);
    REF_EACH(&s->met) {
        sum += ref_get(x, s->met.at[s->x]);
    }
    return sum / (double)s->count;
}

/* Never below 0, as PyTorch: then the result is inf or NaN. */
static double freedom(const lth_call *call, const split *s) { return fmax(0, (double)s->count - call->attrs->f[0]); }

static lt_status moments_forward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    const lth_array *x = call->in[0], *y = call->out[0];
    split s;
    split_init(&s, call, NULL);
    REF_EACH(&s.kept) {
        const double mean = mean_of(x, &s);
        double squares = 0;
        ref_walk_enter(&s.met, &s.kept);
        REF_EACH(&s.met) {
            const double off = ref_get(x, s.met.at[s.x]) - mean;
            squares += off * off;
        }
        const double var = squares / freedom(call, &s);
        ref_set(y, s.kept.at[s.y], call->op == LTH_OP_STD ? sqrt(var) : var);
    }
    return LT_OK;
}

static lt_status moments_backward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    if (!call->need[0]) {
        return LT_OK;
    }
    const lth_array *x = call->in[0], *y = call->out[0], *g = call->grad_out[0], *d = call->grad_in[0];
    split s;
    split_init(&s, call, d);
    REF_EACH(&s.kept) {
        const double mean = mean_of(x, &s), up = g ? ref_get(g, s.kept.at[s.g]) : 0, value = ref_get(y, s.kept.at[s.y]);
        double factor = 2 * up / freedom(call, &s);
        if (call->op == LTH_OP_STD) { /* no slope at 0, as in PyTorch */
            factor = value == 0 ? 0 : factor / (2 * value);
        }
        ref_walk_enter(&s.met, &s.kept);
        REF_EACH(&s.met) {
            ref_give(d, s.met.at[s.d], factor * (ref_get(x, s.met.at[s.x]) - mean), call->accumulate[0]);
        }
    }
    return LT_OK;
}

const lth_kernel ref_moments = {ref_plan, moments_forward, moments_backward};

/* ---- product ---- */
static lt_status prod_forward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    const lth_array *x = call->in[0], *y = call->out[0];
    const bool exact = !ref_is_float(x->dtype);
    split s;
    split_init(&s, call, NULL);
    REF_EACH(&s.kept) {
        double product = 1;
        uint64_t whole = 1; /* unsigned: wrapping is defined */
        ref_walk_enter(&s.met, &s.kept);
        REF_EACH(&s.met) {
            product *= exact ? 1 : ref_get(x, s.met.at[s.x]);
            whole *= exact ? (uint64_t)ref_load_int(x->data, x->dtype, s.met.at[s.x]) : 1;
        }
        if (exact) {
            ref_store_int(y->data, y->dtype, s.kept.at[s.y], (int64_t)whole);
        } else {
            ref_set(y, s.kept.at[s.y], product);
        }
    }
    return LT_OK;
}

/* The product of the others: with one zero among them only that one has any. */
static lt_status prod_backward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    if (!call->need[0]) {
        return LT_OK;
    }
    const lth_array *x = call->in[0], *g = call->grad_out[0], *d = call->grad_in[0];
    split s;
    split_init(&s, call, d);
    REF_EACH(&s.kept) {
        const double up = g ? ref_get(g, s.kept.at[s.g]) : 0;
        double rest = 1;
        int64_t zeros = 0;
        ref_walk_enter(&s.met, &s.kept);
        REF_EACH(&s.met) {
            const double v = ref_get(x, s.met.at[s.x]);
            rest *= v == 0 ? 1 : v;
            zeros += v == 0;
        }
        REF_EACH(&s.met) {
            const double v = ref_get(x, s.met.at[s.x]), others = v == 0 ? (zeros == 1 ? rest : 0) : zeros ? 0 : rest / v;
            ref_give(d, s.met.at[s.d], up * others, call->accumulate[0]);
        }
    }
    return LT_OK;
}

const lth_kernel ref_prod = {ref_plan, prod_forward, prod_backward};

/* ---- log sum exp ---- */
static lt_status logsumexp_forward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    const lth_array *x = call->in[0], *y = call->out[0];
    split s;
    split_init(&s, call, NULL);
    REF_EACH(&s.kept) {
        double top = -INFINITY, sum = 0;
        ref_walk_enter(&s.met, &s.kept);
        REF_EACH(&s.met) {
            const double v = ref_get(x, s.met.at[s.x]);
            top = v > top || isnan(v) ? v : top;
        }
        const double shift = isinf(top) ? 0 : top;
        REF_EACH(&s.met) {
            sum += exp(ref_get(x, s.met.at[s.x]) - shift);
        }
        ref_set(y, s.kept.at[s.y], log(sum) + shift);
    }
    return LT_OK;
}

static lt_status logsumexp_backward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    if (!call->need[0]) {
        return LT_OK;
    }
    const lth_array *x = call->in[0], *y = call->out[0], *g = call->grad_out[0], *d = call->grad_in[0];
    split s;
    split_init(&s, call, d);
    REF_EACH(&s.kept) {
        const double value = ref_get(y, s.kept.at[s.y]), up = g ? ref_get(g, s.kept.at[s.g]) : 0;
        ref_walk_enter(&s.met, &s.kept);
        REF_EACH(&s.met) {
            ref_give(d, s.met.at[s.d], up * exp(ref_get(x, s.met.at[s.x]) - value), call->accumulate[0]);
        }
    }
    return LT_OK;
}

const lth_kernel ref_logsumexp = {ref_plan, logsumexp_forward, logsumexp_backward};

/* ---- running sum along one dimension ---- */
static lt_status cumsum_forward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    const lth_array *x = call->in[0], *y = call->out[0];
    const bool exact = !ref_is_float(x->dtype);
    ref_walk w, outer, along;
    ref_walk_init(&w, x->ndim, x->shape);
    const int ix = ref_walk_add(&w, x), iy = ref_walk_add(&w, y);
    const unsigned mask = w.ndim ? 1u << call->attrs->i[0] : 0;
    ref_walk_part(&outer, &w, ~mask);
    ref_walk_part(&along, &w, mask);
    REF_EACH(&outer) {
        double sum = 0;
        uint64_t whole = 0;
        ref_walk_enter(&along, &outer);
        REF_EACH(&along) {
            if (exact) {
                whole += (uint64_t)ref_load_int(x->data, x->dtype, along.at[ix]);
                ref_store_int(y->data, y->dtype, along.at[iy], (int64_t)whole);
            } else {
                sum += ref_get(x, along.at[ix]);
                ref_set(y, along.at[iy], sum);
            }
        }
    }
    return LT_OK;
}

/* Each element is in all later sums: the total less what came before it. */
static lt_status cumsum_backward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    if (!call->need[0]) {
        return LT_OK;
    }
    const lth_array *g = call->grad_out[0], *d = call->grad_in[0];
    const int dim = (int)call->attrs->i[0];
    ref_walk w, outer;
    ref_walk_init(&w, d->ndim, d->shape);
    const int id = ref_walk_add(&w, d), ig = g ? ref_walk_add(&w, g) : 0;
    ref_walk_part(&outer, &w, w.ndim ? ~(1u << dim) : 0);
    const int64_t n = w.ndim ? w.shape[dim] : 1;
    REF_EACH(&outer) {
        double sum = 0;
        for (int64_t k = n - 1; k >= 0; k--) {
            sum += g ? ref_get(g, outer.at[ig] + (w.ndim ? k * w.stride[ig][dim] : 0)) : 0;
            ref_give(d, outer.at[id] + (w.ndim ? k * w.stride[id][dim] : 0), sum, call->accumulate[0]);
        }
    }
    return LT_OK;
}

const lth_kernel ref_cumsum = {ref_plan, cumsum_forward, cumsum_backward};
