/* backends/cpu/choose.c - comparisons, logical operations, WHERE, FULL and ARANGE, of any dtype; and what operations that broadcast share:
 * whether tiles take a call, and giving a gradient to an input that was spread. Refuses blocked layouts. */
#include "engine/backends/cpu/walk.h"
#include <math.h>

bool lth_tiles_take(const lth_call *call) {
    const lth_array *out = call->out[0];
    lth_nest nest;
    if (lth_count(out) == 0) {
        return false;
    }
    lth_nest_init(&nest, out->ndim, out->shape);
    for (int k = 0; k < call->n_in; k++) {
        const lth_array *x = call->in[k];
        if (x->layout != LTH_STRIDED || (call->save && lth_class_of(x->dtype) == LTH_BY_I64 && !(call->op == LTH_OP_WHERE && k == 0))) {
            return false;
        }
        lth_nest_add(&nest, x);
    }
    lth_nest_join(&nest);
    bool dense = true;
    for (int k = 0; k < nest.n; k++) {
        dense = dense && lth_nest_dense(&nest, k);
    }
    return dense;
}

lt_status lth_give_gradient(lth_work *w, const lth_call *call, int k, double cost, lth_error *err) {
    const lth_array *d = call->grad_in[k];
    w->out = lth_nest_add(&w->nest, d);
    lth_nest_join(&w->nest);
    if (lth_count(d) == w->nest.count) {
        w->add = call->accumulate[k];
        lth_work_run(w, cost);
        return LT_OK;
    }
    const lth_fold f = {.how = LTH_FOLD_SUM, .scale = 1, .dtype = d->dtype, .to = d->data, .add = call->accumulate[k]};
    return lth_fold_run(w, &f, cost, err);
}

/* ---- comparisons ---- */
static lth_compare compare_of(lth_op op) {
    switch (op) {
    case LTH_OP_EQ: case LTH_OP_LOGICAL_NOT: return LTH_C_EQ;
    case LTH_OP_NE: return LTH_C_NE;
    case LTH_OP_LT: return LTH_C_LT;
    case LTH_OP_LE: return LTH_C_LE;
    case LTH_OP_GT: return LTH_C_GT;
    case LTH_OP_GE: return LTH_C_GE;
    case LTH_OP_LOGICAL_AND: return LTH_C_AND;
    default: return LTH_C_OR;
    }
}
static bool compare_plan(lth_device *d, lth_call *call) {
    (void)d;
    return lth_tiles_take(call);
}
static lt_status compare_forward(lth_device *d, const lth_call *call, lth_error *err) {
    static const uint64_t zero = 0; /* of any dtype: what logical_not compares with */
    const lth_array nothing = {.data = (void *)(uintptr_t)&zero, .dtype = call->in[0]->dtype};
    (void)err;
    lth_work w = {.d = d, .by = lth_class_of(call->in[0]->dtype), .deed = LTH_DO_COMPARE, .op = (int)compare_of(call->op), .g = -1};
    lth_nest_init(&w.nest, call->out[0]->ndim, call->out[0]->shape);
    w.a = lth_nest_add(&w.nest, call->in[0]);
    w.b = lth_nest_add(&w.nest, call->n_in > 1 ? call->in[1] : &nothing);
    w.out = lth_nest_add(&w.nest, call->out[0]);
    lth_nest_join(&w.nest);
    lth_work_run(&w, 3e-4);
    return LT_OK;
}
const lth_kernel lth_cpu_compare = {compare_plan, compare_forward, NULL};

/* ---- where ---- */
static lt_status where_forward(lth_device *d, const lth_call *call, lth_error *err) {
    (void)err;
    lth_work w = {.d = d, .by = lth_class_of(call->out[0]->dtype), .deed = LTH_DO_CHOOSE};
    lth_nest_init(&w.nest, call->out[0]->ndim, call->out[0]->shape);
    w.g = lth_nest_add(&w.nest, call->in[0]);
    w.a = lth_nest_add(&w.nest, call->in[1]);
    w.b = lth_nest_add(&w.nest, call->in[2]);
    w.out = lth_nest_add(&w.nest, call->out[0]);
    lth_nest_join(&w.nest);
    lth_work_run(&w, 3e-4);
    return LT_OK;
}
/* The gradient where the operand was chosen, else 0. */
static lt_status where_backward(lth_device *d, const lth_call *call, lth_error *err) {
    static const uint64_t zero = 0;
    if (lth_cpu_no_gradient(d, call)) {
        return LT_OK;
    }
    const lth_array *g = call->grad_out[0], nothing = {.data = (void *)(uintptr_t)&zero, .dtype = g->dtype};
    lt_status status = LT_OK;
    for (int k = 1; k < 3 && status == LT_OK; k++) {
        if (!call->need[k]) {
            continue;
        }
        lth_work w = {.d = d, .by = lth_class_of(g->dtype), .deed = LTH_DO_CHOOSE};
        lth_nest_init(&w.nest, g->ndim, g->shape);
        w.g = lth_nest_add(&w.nest, call->in[0]);
        w.a = lth_nest_add(&w.nest, k == 1 ? g : &nothing);
        w.b = lth_nest_add(&w.nest, k == 1 ? &nothing : g);
        status = lth_give_gradient(&w, call, k, 3e-4, err);
    }
    return status;
}
const lth_kernel lth_cpu_where = {compare_plan, where_forward, where_backward};

/* ---- made from nothing ---- */
typedef struct making { lth_device *d; const lth_array *y; double first, step; int64_t n; } making;
static bool made_plan(lth_device *d, lth_call *call) {
    (void)d;
    return lth_plain(call->out[0]);
}
static void made_chunk(void *arg, int64_t i, int thread) {
    const making *m = arg;
    (void)thread;
    const lth_class by = lth_class_of(m->y->dtype);
    const int64_t size = (int64_t)lth_dtype_size(m->y->dtype), end = lth_min64((i + 1) * LTH_CHUNK, m->n);
    for (int64_t at = i * LTH_CHUNK; at < end; at += LTH_TILE) {
        const int64_t n = lth_min64(LTH_TILE, end - at);
        double values[LTH_TILE];
        for (int64_t k = 0; k < n; k++) {
            const double v = m->first + (double)(at + k) * m->step;
            if (by == LTH_BY_F32) {
                ((float *)values)[k] = (float)v;
            } else if (by == LTH_BY_F64) {
                values[k] = v;
            } else { /* towards zero; what does not fit as x86 converts it; a bool is what is not 0 */
                const int64_t whole = v >= -0x1p63 && v < 0x1p63 ? (int64_t)v : INT64_MIN;
                ((int64_t *)values)[k] = m->y->dtype == LT_BOOL ? v != 0 : whole;
            }
        }
        lth_scatter(&m->d->isa, m->y->dtype, (char *)m->y->data + at * size, 1, n, by, values);
    }
}
static lt_status full_forward(lth_device *d, const lth_call *call, lth_error *err) {
    const lth_array *y = call->out[0];
    (void)err;
    if (y->dtype == LT_F32) {
        d->isa.fill(lth_count(y), y->data, (float)call->attrs->f[0]);
        return LT_OK;
    }
    making m = {.d = d, .y = y, .first = call->attrs->f[0], .n = lth_count(y)};
    lth_cpu_run(d, lth_div_up(m.n, LTH_CHUNK), (double)m.n * 1e-3, made_chunk, &m);
    return LT_OK;
}
static lt_status arange_forward(lth_device *d, const lth_call *call, lth_error *err) {
    (void)err;
    making m = {.d = d, .y = call->out[0], .first = call->attrs->f[0], .step = call->attrs->f[1], .n = lth_count(call->out[0])};
    lth_cpu_run(d, lth_div_up(m.n, LTH_CHUNK), (double)m.n * 1e-3, made_chunk, &m);
    return LT_OK;
}
const lth_kernel lth_cpu_full = {made_plan, full_forward, NULL}, lth_cpu_arange = {made_plan, arange_forward, NULL};
