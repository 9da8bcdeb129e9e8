/* backends/cpu/elements.c - element-by-element ops: one input, two inputs. What is plain f32 goes straight to the kernels of
 * the instruction set; other dtypes, broadcasts and strides go by tiles (walk.h). Blocked layouts pass through where zero maps to zero (their
 * padding stays zero). Refuses inputs whose values do not lie side by side in the last dimension: the engine copies those first. */
#include "engine/backends/cpu/walk.h"
#include <math.h>

enum { CHUNK = 16384 };
typedef struct job { lth_device *d; int op; int64_t n, width; const float *a, *b, *y, *g; float *to; double p[2]; bool add, a_one, b_one, a_row, b_row; } job;
static int64_t left_of(const job *j, int64_t i) { return lth_min64(CHUNK, j->n - i * CHUNK); }

/* ---- one input ---- */
static lth_map map_of(const lth_call *call) {
    static const uint8_t maps[LTH_OP_COUNT] = {
        [LTH_OP_NEG] = LTH_M_NEG, [LTH_OP_EXP] = LTH_M_EXP, [LTH_OP_LOG] = LTH_M_LOG, [LTH_OP_SQRT] = LTH_M_SQRT, [LTH_OP_ABS] = LTH_M_ABS,
        [LTH_OP_RELU] = LTH_M_RELU, [LTH_OP_TANH] = LTH_M_TANH, [LTH_OP_SIGMOID] = LTH_M_SIGMOID, [LTH_OP_GELU] = LTH_M_GELU,
        [LTH_OP_ADD_SCALAR] = LTH_M_ADD_SCALAR, [LTH_OP_MUL_SCALAR] = LTH_M_MUL_SCALAR, [LTH_OP_POW_SCALAR] = LTH_M_POW_SCALAR,
        [LTH_OP_CLAMP] = LTH_M_CLAMP, [LTH_OP_RSQRT] = LTH_M_RSQRT, [LTH_OP_SIN] = LTH_M_SIN, [LTH_OP_COS] = LTH_M_COS, [LTH_OP_ERF] = LTH_M_ERF,
        [LTH_OP_SQUARE] = LTH_M_SQUARE, [LTH_OP_RECIPROCAL] = LTH_M_RECIPROCAL, [LTH_OP_SIGN] = LTH_M_SIGN, [LTH_OP_FLOOR] = LTH_M_FLOOR,
        [LTH_OP_CEIL] = LTH_M_CEIL, [LTH_OP_ROUND] = LTH_M_ROUND, [LTH_OP_LEAKY_RELU] = LTH_M_LEAKY_RELU, [LTH_OP_ELU] = LTH_M_ELU,
        [LTH_OP_SILU] = LTH_M_SILU, [LTH_OP_SOFTPLUS] = LTH_M_SOFTPLUS, [LTH_OP_HARDSWISH] = LTH_M_HARDSWISH,
    };
    return call->op == LTH_OP_GELU && call->attrs->i[0] ? LTH_M_GELU_TANH : (lth_map)maps[call->op];
}
/* Of the value and of the gradient: the padding of blocked arrays. */
static bool zero_stays(lth_map op, const double *p) {
    switch (op) {
    case LTH_M_EXP: case LTH_M_LOG: case LTH_M_SQRT: case LTH_M_SIGMOID: case LTH_M_ADD_SCALAR: case LTH_M_POW_SCALAR: case LTH_M_RSQRT: case LTH_M_COS:
    case LTH_M_RECIPROCAL: case LTH_M_SOFTPLUS: return false;
    case LTH_M_CLAMP: return p[0] <= 0 && p[1] >= 0;
    default: return true;
    }
}
static double cost_us(lth_map op) {
    switch (op) {
    case LTH_M_EXP: case LTH_M_LOG: case LTH_M_TANH: case LTH_M_SIGMOID: case LTH_M_GELU: case LTH_M_GELU_TANH: case LTH_M_SIN: case LTH_M_COS:
    case LTH_M_ERF: case LTH_M_ELU: case LTH_M_SILU: case LTH_M_SOFTPLUS: return 8e-4;
    case LTH_M_POW_SCALAR: return 5e-3;
    default: return 2e-4;
    }
}
static bool whole_map(lth_map op) { return op == LTH_M_NEG || op == LTH_M_ABS || op == LTH_M_RELU || op == LTH_M_SQUARE || op == LTH_M_SIGN; }
static bool plain_unary(const lth_call *call) {
    const lth_array *x = call->in[0];
    return x->dtype == LT_F32 && (x->layout != LTH_STRIDED || lth_plain(x));
}
static bool unary_plan(lth_device *d, lth_call *call) {
    const lth_array *x = call->in[0];
    (void)d;
    const lth_map op = map_of(call);
    if (plain_unary(call)) {
        if (x->layout != LTH_STRIDED && !zero_stays(op, call->attrs->f) && lth_stored(x) != lth_count(x)) {
            return false;
        }
        call->out[0]->layout = x->layout;
        return true;
    }
    if (x->layout != LTH_STRIDED || lth_count(x) == 0 || (lth_class_of(x->dtype) == LTH_BY_I64 && !whole_map(op))) {
        return false;
    }
    lth_nest nest;
    lth_nest_init(&nest, x->ndim, x->shape);
    lth_nest_add(&nest, x);
    lth_nest_join(&nest);
    return lth_nest_dense(&nest, 0);
}
static void unary_chunk(void *arg, int64_t i, int thread) {
    const job *j = arg;
    (void)thread;
    j->d->isa.f32.map((lth_map)j->op, left_of(j, i), j->a + i * CHUNK, j->to + i * CHUNK, j->p);
}
static lth_work unary_work(lth_device *d, const lth_call *call) {
    lth_work w = {.d = d, .by = lth_class_of(call->in[0]->dtype), .deed = LTH_DO_MAP, .op = (int)map_of(call), .p = {call->attrs->f[0], call->attrs->f[1]},
                  .b = -1, .g = -1};
    lth_nest_init(&w.nest, call->out[0]->ndim, call->out[0]->shape);
    w.a = lth_nest_add(&w.nest, call->in[0]);
    return w;
}
static lt_status unary_forward(lth_device *d, const lth_call *call, lth_error *err) {
    (void)err;
    const lth_map op = map_of(call);
    if (!plain_unary(call)) {
        lth_work w = unary_work(d, call);
        w.out = lth_nest_add(&w.nest, call->out[0]);
        lth_nest_join(&w.nest);
        lth_work_run(&w, 2 * cost_us(op));
        return LT_OK;
    }
    job j = {.d = d, .op = (int)op, .n = lth_stored(call->in[0]), .a = call->in[0]->data, .to = call->out[0]->data,
             .p = {call->attrs->f[0], call->attrs->f[1]}};
    lth_cpu_run(d, lth_div_up(j.n, CHUNK), (double)j.n * cost_us(op), unary_chunk, &j);
    return LT_OK;
}
static void unary_back_chunk(void *arg, int64_t i, int thread) {
    const job *j = arg;
    (void)thread;
    const int64_t n = left_of(j, i), at = i * CHUNK;
    const lth_maps *m = &j->d->isa.f32;
    if (!j->add) {
        m->map_back((lth_map)j->op, n, j->a + at, j->y + at, j->g + at, j->to + at, j->p);
        return;
    }
    float slope[LTH_TILE];
    for (int64_t k = at; k < at + n; k += LTH_TILE) {
        const int64_t part = lth_min64(LTH_TILE, at + n - k);
        m->map_back((lth_map)j->op, part, j->a + k, j->y + k, j->g + k, slope, j->p);
        m->pair(LTH_P_ADD, part, j->to + k, slope, false, false, j->to + k);
    }
}
static lt_status unary_backward(lth_device *d, const lth_call *call, lth_error *err) {
    (void)err;
    if (lth_cpu_no_gradient(d, call) || !call->need[0]) {
        return LT_OK;
    }
    const lth_map op = map_of(call);
    if (!plain_unary(call)) {
        lth_work w = unary_work(d, call);
        w.deed = LTH_DO_MAP_BACK;
        w.b = lth_nest_add(&w.nest, call->out[0]);
        w.g = lth_nest_add(&w.nest, call->grad_out[0]);
        w.out = lth_nest_add(&w.nest, call->grad_in[0]);
        w.add = call->accumulate[0];
        lth_nest_join(&w.nest);
        lth_work_run(&w, 4 * cost_us(op));
        return LT_OK;
    }
    job j = {.d = d, .op = (int)op, .n = lth_stored(call->in[0]), .a = call->in[0]->data, .y = call->out[0]->data, .g = call->grad_out[0]->data,
             .to = call->grad_in[0]->data, .add = call->accumulate[0], .p = {call->attrs->f[0], call->attrs->f[1]}};
    lth_cpu_run(d, lth_div_up(j.n, CHUNK), 2 * (double)j.n * cost_us(op), unary_back_chunk, &j);
    return LT_OK;
}
const lth_kernel lth_cpu_unary = {unary_plan, unary_forward, unary_backward};

/* ---- two inputs ---- */
static lth_binary binary_of(const lth_call *call) {
    return call->op == LTH_OP_ADD ? LTH_B_ADD : call->op == LTH_OP_SUB ? LTH_B_SUB : call->op == LTH_OP_MUL ? LTH_B_MUL : LTH_B_DIV;
}
typedef enum { FULL_SIZE, ONE_VALUE, ROW, OTHER } spread;
/* How x is spread over the output: whole, a single value, or the output's last dimensions. */
static spread spread_of(const lth_array *x, const lth_array *out) {
    const int64_t n = lth_count(x);
    if (n == lth_count(out) && lth_plain(x)) {
        return FULL_SIZE;
    }
    if (!lth_plain(x) || n == 0) {
        return OTHER;
    }
    if (n == 1) {
        return ONE_VALUE;
    }
    int64_t seen = 1;
    for (int k = 1; k <= x->ndim && seen < n; k++) {
        if (x->shape[x->ndim - k] != out->shape[out->ndim - k]) {
            return OTHER;
        }
        seen *= x->shape[x->ndim - k];
    }
    return seen == n ? ROW : OTHER;
}
/* f32 that the kernels take as it lies. */
static bool plain_binary(const lth_call *call) {
    const lth_array *a = call->in[0], *b = call->in[1];
    const bool first_four = call->op == LTH_OP_ADD || call->op == LTH_OP_SUB || call->op == LTH_OP_MUL || call->op == LTH_OP_DIV;
    if (!first_four || a->dtype != LT_F32 || b->dtype != LT_F32 || call->out[0]->dtype != LT_F32 || lth_count(call->out[0]) == 0) {
        return false;
    }
    if (a->layout != LTH_STRIDED || b->layout != LTH_STRIDED) {
        if (a->layout != b->layout || !lth_same_shape(a, b) || (call->op == LTH_OP_DIV && lth_stored(a) != lth_count(a))) {
            return false;
        }
        return true;
    }
    const spread sa = spread_of(a, call->out[0]), sb = spread_of(b, call->out[0]);
    return sa != OTHER && sb != OTHER && (sa == FULL_SIZE || sb == FULL_SIZE);
}
static bool binary_plan(lth_device *d, lth_call *call) {
    (void)d;
    if (plain_binary(call)) {
        call->out[0]->layout = call->in[0]->layout;
        return true;
    }
    return lth_tiles_take(call) && !(call->op == LTH_OP_POW && lth_class_of(call->in[0]->dtype) == LTH_BY_I64);
}
/* The value, and the gradient of each operand. */
static const struct { lth_pair pair; lth_blend blend[2]; double cost; } pairs[LTH_OP_COUNT] = {
    [LTH_OP_ADD] = {LTH_P_ADD, {LTH_B_PASS, LTH_B_PASS}, 3e-4},
    [LTH_OP_SUB] = {LTH_P_SUB, {LTH_B_PASS, LTH_B_MINUS}, 3e-4},
    [LTH_OP_MUL] = {LTH_P_MUL, {LTH_B_TIMES_B, LTH_B_TIMES_A}, 3e-4},
    [LTH_OP_DIV] = {LTH_P_DIV, {LTH_B_OVER_B, LTH_B_RATIO}, 4e-4},
    [LTH_OP_MAXIMUM] = {LTH_P_MAX, {LTH_B_MAX_A, LTH_B_MAX_B}, 3e-4},
    [LTH_OP_MINIMUM] = {LTH_P_MIN, {LTH_B_MIN_A, LTH_B_MIN_B}, 3e-4},
    [LTH_OP_POW] = {LTH_P_POW, {LTH_B_POW_A, LTH_B_POW_B}, 1e-2},
};
static lth_work pair_work(lth_device *d, const lth_call *call) {
    lth_work w = {.d = d, .by = lth_class_of(call->in[0]->dtype), .deed = LTH_DO_PAIR, .op = (int)pairs[call->op].pair, .g = -1};
    lth_nest_init(&w.nest, call->out[0]->ndim, call->out[0]->shape);
    w.a = lth_nest_add(&w.nest, call->in[0]);
    w.b = lth_nest_add(&w.nest, call->in[1]);
    return w;
}
static job binary_job(lth_device *d, const lth_call *call) {
    const lth_array *a = call->in[0], *b = call->in[1], *out = call->out[0];
    job j = {.d = d, .op = (int)binary_of(call), .n = lth_stored(out), .a = a->data, .b = b->data, .to = out->data};
    if (out->layout == LTH_STRIDED) {
        const spread sa = spread_of(a, out), sb = spread_of(b, out);
        j.a_one = sa == ONE_VALUE, j.b_one = sb == ONE_VALUE, j.a_row = sa == ROW, j.b_row = sb == ROW;
        j.width = j.a_row ? lth_count(a) : j.b_row ? lth_count(b) : 0;
    }
    return j;
}
static int64_t rows_step(const job *j) { return lth_div_up(CHUNK, j->width); }
static void binary_chunk(void *arg, int64_t i, int thread) {
    const job *j = arg;
    (void)thread;
    const int64_t at = i * CHUNK;
    j->d->isa.binary((lth_binary)j->op, left_of(j, i), j->a_one ? j->a : j->a + at, j->b_one ? j->b : j->b + at, j->a_one, j->b_one, j->to + at);
}
static void row_chunk(void *arg, int64_t i, int thread) {
    const job *j = arg;
    (void)thread;
    const int64_t step = rows_step(j), rows = j->n / j->width;
    for (int64_t r = i * step; r < lth_min64(rows, (i + 1) * step); r++) {
        const int64_t at = r * j->width;
        j->d->isa.binary((lth_binary)j->op, j->width, j->a_row ? j->a : j->a + at, j->b_row ? j->b : j->b + at, false, false, j->to + at);
    }
}
static lt_status binary_forward(lth_device *d, const lth_call *call, lth_error *err) {
    (void)err;
    if (!plain_binary(call)) {
        lth_work w = pair_work(d, call);
        w.out = lth_nest_add(&w.nest, call->out[0]);
        lth_nest_join(&w.nest);
        lth_work_run(&w, pairs[call->op].cost);
        return LT_OK;
    }
    job j = binary_job(d, call);
    if (j.n == 0) {
        return LT_OK;
    }
    if (j.width) {
        lth_cpu_run(d, lth_div_up(j.n / j.width, rows_step(&j)), (double)j.n * 3e-4, row_chunk, &j);
    } else {
        lth_cpu_run(d, lth_div_up(j.n, CHUNK), (double)j.n * 3e-4, binary_chunk, &j);
    }
    return LT_OK;
}
/* The full-size gradient of one operand: sign * g * (other, or nothing), for chunk i. */
static void slope_into(const job *j, int which, int64_t n, const float *a, const float *b, const float *g, float *to, bool add) {
    const lth_cpu_isa *t = &j->d->isa;
    switch (j->op) {
    case LTH_B_ADD: t->scaled(n, to, g, 1.f, add); return;
    case LTH_B_SUB: t->scaled(n, to, g, which ? -1.f : 1.f, add); return;
    case LTH_B_MUL:
        if (which ? j->a_one : j->b_one) {
            t->scaled(n, to, g, which ? *a : *b, add);
        } else {
            t->product(n, to, g, which ? a : b, 1.f, add);
        }
        return;
    default: { /* g / b, -g (a / b) / b: b^2 may be out of range */
        for (int64_t i = 0; i < n; i++) {
            const float bi = j->b_one ? *b : b[i], ai = j->a_one ? *a : a[i], s = which ? -g[i] * (ai / bi / bi) : g[i] / bi;
            to[i] = add ? to[i] + s : s;
        }
    }
    }
}
/* width: the row's, or all elements. Row operands are summed over rows from the first to the last, single values by a fixed tree. */
static lt_status binary_grad(const job *j, int which, float *to, bool add, lth_error *err) {
    const bool one = which ? j->b_one : j->a_one, row = which ? j->b_row : j->a_row;
    const int64_t width = j->width ? j->width : j->n, rows = j->n / width;
    float *spare = NULL;
    if (one) {
        spare = lth_cpu_scratch(j->d, lth_floats((size_t)j->n), err);
        if (!spare) {
            return LT_ENOMEM;
        }
    }
    for (int64_t r = 0; r < rows; r++) {
        const int64_t at = r * width;
        const float *a = j->a_one || j->a_row ? j->a : j->a + at, *b = j->b_one || j->b_row ? j->b : j->b + at;
        slope_into(j, which, width, a, b, j->g + at, one ? spare + at : row ? to : to + at, !one && (add || (row && r > 0)));
    }
    if (one) {
        const double sum = j->d->isa.sum(j->n, spare);
        *to = (float)(sum + (add ? (double)*to : 0.0));
    }
    return LT_OK;
}
static lt_status binary_backward(lth_device *d, const lth_call *call, lth_error *err) {
    if (lth_cpu_no_gradient(d, call)) {
        return LT_OK;
    }
    if (!plain_binary(call)) {
        lt_status status = LT_OK;
        for (int k = 0; k < 2 && status == LT_OK; k++) {
            lth_work w = pair_work(d, call);
            w.deed = LTH_DO_BLEND;
            w.op = (int)pairs[call->op].blend[k];
            w.g = lth_nest_add(&w.nest, call->grad_out[0]);
            status = call->need[k] ? lth_give_gradient(&w, call, k, pairs[call->op].cost, err) : LT_OK;
        }
        return status;
    }
    job j = binary_job(d, call);
    j.g = call->grad_out[0]->data;
    lt_status s = LT_OK;
    for (int k = 0; k < 2 && s >= 0 && j.n > 0; k++) {
        s = call->need[k] ? binary_grad(&j, k, call->grad_in[k]->data, call->accumulate[k], err) : LT_OK;
    }
    return s;
}
const lth_kernel lth_cpu_binary = {binary_plan, binary_forward, binary_backward};
