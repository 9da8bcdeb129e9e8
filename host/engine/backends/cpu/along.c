/* backends/cpu/along.c - along one dimension: ARGMAX, ARGMIN, MAX_ALONG, MIN_ALONG, CUMSUM. Arrays are (outer, n, inner), contiguous; values come
 * in rows of `inner`, or of n where inner is 1. Refuses whole numbers, strides, and what is empty. */
#include "engine/backends/cpu/walk.h"
#include <math.h>

typedef struct line { lth_device *d; const lth_array *x, *y, *g; lth_array *index; lth_class by; int64_t outer, n, inner; bool min, add; } line;
static void line_shape(line *l, const lth_array *x, int64_t dim) {
    l->outer = l->inner = l->n = 1;
    for (int k = 0; k < x->ndim; k++) {
        *(k < dim ? &l->outer : k == dim ? &l->n : &l->inner) *= x->shape[k];
    }
}
static bool takes(const lth_array *x) { return lth_plain(x) && lth_count(x) > 0 && lth_class_of(x->dtype) != LTH_BY_I64; }
/* n values of a from element `at` on, as doubles: exact for every float dtype. */
static void values_at(const line *l, const lth_array *a, int64_t at, int64_t n, double *to) {
    const char *from = (const char *)a->data + at * (int64_t)lth_dtype_size(a->dtype);
    float single[LTH_TILE];
    if (l->by == LTH_BY_F64) {
        memcpy(to, from, (size_t)n * sizeof *to);
        return;
    }
    lth_gather(&l->d->isa, a->dtype, from, 1, n, l->by, single);
    for (int64_t i = 0; i < n; i++) {
        to[i] = (double)single[i];
    }
}
static void store_at(const line *l, const lth_array *a, int64_t at, int64_t n, const double *values, bool add) {
    char *to = (char *)a->data + at * (int64_t)lth_dtype_size(a->dtype);
    double there[LTH_TILE], sum[LTH_TILE];
    float single[LTH_TILE];
    if (add) {
        values_at(l, a, at, n, there);
        for (int64_t i = 0; i < n; i++) {
            sum[i] = values[i] + there[i];
        }
        values = sum;
    }
    for (int64_t i = 0; l->by == LTH_BY_F32 && i < n; i++) {
        single[i] = (float)values[i];
    }
    lth_scatter(&l->d->isa, a->dtype, to, 1, n, l->by, l->by == LTH_BY_F32 ? (const void *)single : values);
}

/* ---- the first of the best; a NaN is best ---- */
static inline bool better(bool min, double v, double top) { return (min ? v < top : v > top) || (isnan(v) && !isnan(top)); }
static void best_block(const line *l, int64_t o, int64_t from, int64_t width) {
    double top[LTH_TILE], v[LTH_TILE];
    int64_t place[LTH_TILE] = {0};
    values_at(l, l->x, o * l->n * l->inner + from, width, top);
    for (int64_t k = 1; k < l->n; k++) {
        values_at(l, l->x, (o * l->n + k) * l->inner + from, width, v);
        for (int64_t i = 0; i < width; i++) {
            const bool now = better(l->min, v[i], top[i]);
            top[i] = now ? v[i] : top[i];
            place[i] = now ? k : place[i];
        }
    }
    if (l->y) {
        store_at(l, l->y, o * l->inner + from, width, top, false);
    }
    memcpy((int64_t *)l->index->data + o * l->inner + from, place, (size_t)width * sizeof *place);
}
static void best_row(const line *l, int64_t o) {
    double top = 0, v[LTH_TILE];
    int64_t place = -1;
    if (l->by == LTH_BY_F32 && l->x->dtype == LT_F32 && !l->min) {
        const float *row = (const float *)l->x->data + o * l->n;
        place = l->d->isa.first_top(l->n, row);
        top = (double)row[place];
    }
    for (int64_t at = 0; place < 0 && at < l->n;) {
        const int64_t n = lth_min64(LTH_TILE, l->n - at);
        values_at(l, l->x, o * l->n + at, n, v);
        int64_t best = at == 0 ? 0 : -1;
        top = at == 0 ? v[0] : top;
        for (int64_t i = 0; i < n; i++) {
            if (better(l->min, v[i], top)) {
                top = v[i];
                best = at + i;
            }
        }
        ((int64_t *)l->index->data)[o] = best >= 0 ? best : ((int64_t *)l->index->data)[o];
        at += n;
    }
    if (place >= 0) {
        ((int64_t *)l->index->data)[o] = place;
    }
    if (l->y) {
        store_at(l, l->y, o, 1, &top, false);
    }
}
static int64_t blocks_of(const line *l) { return l->inner == 1 ? 1 : lth_div_up(l->inner, LTH_TILE); }
static void best_chunk(void *arg, int64_t i, int thread) {
    const line *l = arg;
    const int64_t blocks = blocks_of(l), from = i % blocks * LTH_TILE;
    (void)thread;
    if (l->inner == 1) {
        best_row(l, i);
    } else {
        best_block(l, i / blocks, from, lth_min64(LTH_TILE, l->inner - from));
    }
}
static bool along_plan(lth_device *d, lth_call *call) {
    (void)d;
    return call->attrs->i[0] == 1 && takes(call->in[0]);
}
static lt_status along_forward(lth_device *d, const lth_call *call, lth_error *err) {
    const lth_array *x = call->in[0];
    const bool both = call->n_out > 1;
    (void)err;
    line l = {.d = d, .x = x, .y = both ? call->out[0] : NULL, .index = call->out[both], .by = lth_class_of(x->dtype),
              .min = call->op == LTH_OP_ARGMIN || call->op == LTH_OP_MIN_ALONG};
    line_shape(&l, x, call->attrs->i[1]);
    lth_cpu_run(d, l.outer * blocks_of(&l), (double)lth_count(x) * 1e-3, best_chunk, &l);
    return LT_OK;
}
/* All of it to the one whose place was given. */
static lt_status along_backward(lth_device *d, const lth_call *call, lth_error *err) {
    if (lth_cpu_no_gradient(d, call) || !call->need[0] || call->n_out < 2) {
        return LT_OK;
    }
    const lth_array *dx = call->grad_in[0];
    line l = {.d = d, .by = lth_class_of(dx->dtype)};
    line_shape(&l, dx, call->attrs->i[1]);
    if (!call->accumulate[0]) {
        lth_cpu_zero(d, dx->data, lth_cpu_array_bytes(dx), err);
    }
    const int64_t *index = call->out[1]->data;
    for (int64_t r = 0; r < l.outer * l.inner; r++) {
        double g;
        values_at(&l, call->grad_out[0], r, 1, &g);
        store_at(&l, dx, (r / l.inner * l.n + index[r]) * l.inner + r % l.inner, 1, &g, true);
    }
    return LT_OK;
}
const lth_kernel lth_cpu_along = {along_plan, along_forward, along_backward};

/* ---- running sum: forward from the first, the gradient from the last ---- */
static void run_block(const line *l, int64_t o, int64_t from, int64_t width, const lth_array *x, const lth_array *y, bool back) {
    double sum[LTH_TILE] = {0}, v[LTH_TILE];
    for (int64_t k = 0; k < l->n; k++) {
        const int64_t at = (o * l->n + (back ? l->n - 1 - k : k)) * l->inner + from;
        values_at(l, x, at, width, v);
        for (int64_t i = 0; i < width; i++) {
            sum[i] += v[i];
        }
        store_at(l, y, at, width, sum, l->add);
    }
}
static void run_row(const line *l, int64_t o, const lth_array *x, const lth_array *y, bool back) {
    double sum = 0, v[LTH_TILE];
    for (int64_t done = 0; done < l->n;) {
        const int64_t n = lth_min64(LTH_TILE, l->n - done), at = o * l->n + (back ? l->n - done - n : done);
        values_at(l, x, at, n, v);
        for (int64_t i = 0; i < n; i++) {
            double *p = &v[back ? n - 1 - i : i];
            sum += *p;
            *p = sum;
        }
        store_at(l, y, at, n, v, l->add);
        done += n;
    }
}
static void run_chunk(void *arg, int64_t i, int thread) {
    const line *l = arg;
    const bool back = l->g != NULL;
    const lth_array *x = back ? l->g : l->x;
    const int64_t blocks = blocks_of(l), from = i % blocks * LTH_TILE;
    (void)thread;
    if (l->inner == 1) {
        run_row(l, i, x, l->y, back);
    } else {
        run_block(l, i / blocks, from, lth_min64(LTH_TILE, l->inner - from), x, l->y, back);
    }
}
static bool cumsum_plan(lth_device *d, lth_call *call) {
    (void)d;
    return takes(call->in[0]);
}
static lt_status cumsum_forward(lth_device *d, const lth_call *call, lth_error *err) {
    (void)err;
    line l = {.d = d, .x = call->in[0], .y = call->out[0], .by = lth_class_of(call->in[0]->dtype)};
    line_shape(&l, l.x, call->attrs->i[0]);
    lth_cpu_run(d, l.outer * blocks_of(&l), (double)lth_count(l.x) * 1e-3, run_chunk, &l);
    return LT_OK;
}
static lt_status cumsum_backward(lth_device *d, const lth_call *call, lth_error *err) {
    (void)err;
    if (lth_cpu_no_gradient(d, call) || !call->need[0]) {
        return LT_OK;
    }
    line l = {.d = d, .g = call->grad_out[0], .y = call->grad_in[0], .by = lth_class_of(call->in[0]->dtype), .add = call->accumulate[0]};
    line_shape(&l, l.g, call->attrs->i[0]);
    lth_cpu_run(d, l.outer * blocks_of(&l), (double)lth_count(l.g) * 1e-3, run_chunk, &l);
    return LT_OK;
}
const lth_kernel lth_cpu_cumsum = {cumsum_plan, cumsum_forward, cumsum_backward};
