/* backends/cpu/elements.c - element-by-element ops: one input, two inputs (same shape, a single value, or a trailing row), FULL, DROPOUT.
 * Blocked layouts pass through where zero maps to zero (their padding stays zero). Refuses other broadcasts and strided inputs. */
#include "engine/backends/cpu/cpu.h"
#include <math.h>

enum { CHUNK = 16384 };
typedef struct job { lth_device *d; int op; int64_t n, width; const float *a, *b, *y, *g; float *to, f; bool add, a_one, b_one, a_row, b_row; } job;
static int64_t left_of(const job *j, int64_t i) { return lth_min64(CHUNK, j->n - i * CHUNK); }

/* ---- one input ---- */
static lth_unary unary_of(const lth_call *call) {
    switch (call->op) {
    case LTH_OP_NEG: return LTH_U_NEG;
    case LTH_OP_EXP: return LTH_U_EXP;
    case LTH_OP_LOG: return LTH_U_LOG;
    case LTH_OP_SQRT: return LTH_U_SQRT;
    case LTH_OP_ABS: return LTH_U_ABS;
    case LTH_OP_RELU: return LTH_U_RELU;
    case LTH_OP_TANH: return LTH_U_TANH;
    case LTH_OP_SIGMOID: return LTH_U_SIGMOID;
    case LTH_OP_ADD_SCALAR: return LTH_U_ADD_SCALAR;
    case LTH_OP_MUL_SCALAR: return LTH_U_MUL_SCALAR;
    default: return call->attrs->i[0] ? LTH_U_GELU_TANH : LTH_U_GELU;
    }
}
static bool zero_stays(lth_unary op) {
    return op != LTH_U_EXP && op != LTH_U_LOG && op != LTH_U_SIGMOID && op != LTH_U_ADD_SCALAR;
}
static double cost_us(lth_unary op, int64_t n) {
    const bool heavy = op == LTH_U_EXP || op == LTH_U_TANH || op == LTH_U_SIGMOID || op == LTH_U_GELU || op == LTH_U_GELU_TANH;
    return (double)n * (op == LTH_U_LOG ? 5e-3 : heavy ? 8e-4 : 2e-4);
}
static bool unary_plan(lth_device *d, lth_call *call) {
    const lth_array *x = call->in[0];
    (void)d;
    if (x->dtype != LT_F32) {
        return false;
    }
    if (x->layout == LTH_STRIDED) {
        return lth_plain(x);
    }
    if (!zero_stays(unary_of(call)) && lth_stored(x) != lth_count(x)) {
        return false;
    }
    call->out[0]->layout = x->layout;
    return true;
}
static void unary_chunk(void *arg, int64_t i, int thread) {
    const job *j = arg;
    (void)thread;
    j->d->isa.unary((lth_unary)j->op, left_of(j, i), j->a + i * CHUNK, j->to + i * CHUNK, j->f);
}
static float factor_of(const lth_call *call) { return call->op == LTH_OP_ADD_SCALAR || call->op == LTH_OP_MUL_SCALAR ? (float)call->attrs->f[0] : 0.f; }
static lt_status unary_forward(lth_device *d, const lth_call *call, lth_error *err) {
    (void)err;
    job j = {.d = d, .op = (int)unary_of(call), .n = lth_stored(call->in[0]), .a = call->in[0]->data, .to = call->out[0]->data, .f = factor_of(call)};
    lth_cpu_run(d, lth_div_up(j.n, CHUNK), cost_us((lth_unary)j.op, j.n), unary_chunk, &j);
    return LT_OK;
}
static void unary_back_chunk(void *arg, int64_t i, int thread) {
    const job *j = arg;
    (void)thread;
    j->d->isa.unary_back((lth_unary)j->op, left_of(j, i), j->a + i * CHUNK, j->y + i * CHUNK, j->g + i * CHUNK, j->to + i * CHUNK, j->add, j->f);
}
static lt_status unary_backward(lth_device *d, const lth_call *call, lth_error *err) {
    (void)err;
    if (lth_cpu_no_gradient(d, call) || !call->need[0]) {
        return LT_OK;
    }
    job j = {.d = d, .op = (int)unary_of(call), .n = lth_stored(call->in[0]), .a = call->in[0]->data, .y = call->out[0]->data, .g = call->grad_out[0]->data,
             .to = call->grad_in[0]->data, .add = call->accumulate[0], .f = factor_of(call)};
    lth_cpu_run(d, lth_div_up(j.n, CHUNK), 2 * cost_us((lth_unary)j.op, j.n), unary_back_chunk, &j);
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
static bool binary_plan(lth_device *d, lth_call *call) {
    const lth_array *a = call->in[0], *b = call->in[1];
    (void)d;
    if (a->dtype != LT_F32 || b->dtype != LT_F32 || call->out[0]->dtype != LT_F32 || lth_count(call->out[0]) == 0) {
        return false;
    }
    if (a->layout != LTH_STRIDED || b->layout != LTH_STRIDED) {
        if (a->layout != b->layout || !lth_same_shape(a, b) || (call->op == LTH_OP_DIV && lth_stored(a) != lth_count(a))) {
            return false;
        }
        call->out[0]->layout = a->layout;
        return true;
    }
    const spread sa = spread_of(a, call->out[0]), sb = spread_of(b, call->out[0]);
    return sa != OTHER && sb != OTHER && (sa == FULL_SIZE || sb == FULL_SIZE);
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
    default: { /* g / b, -g a / b^2 */
        for (int64_t i = 0; i < n; i++) {
            const float bi = j->b_one ? *b : b[i], ai = j->a_one ? *a : a[i], s = which ? -g[i] * ai / (bi * bi) : g[i] / bi;
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
    job j = binary_job(d, call);
    j.g = call->grad_out[0]->data;
    lt_status s = LT_OK;
    for (int k = 0; k < 2 && s >= 0 && j.n > 0; k++) {
        s = call->need[k] ? binary_grad(&j, k, call->grad_in[k]->data, call->accumulate[k], err) : LT_OK;
    }
    return s;
}
const lth_kernel lth_cpu_binary = {binary_plan, binary_forward, binary_backward};

/* ---- FULL ---- */
static bool full_plan(lth_device *d, lth_call *call) {
    (void)d;
    return lth_plain_f32(call->out[0]);
}
static lt_status full_forward(lth_device *d, const lth_call *call, lth_error *err) {
    (void)err;
    d->isa.fill(lth_count(call->out[0]), call->out[0]->data, (float)call->attrs->f[0]);
    return LT_OK;
}
const lth_kernel lth_cpu_full = {full_plan, full_forward, NULL};

/* ---- DROPOUT: the draws are serial by nature; the workspace keeps the factor of every element ---- */
static bool dropout_plan(lth_device *d, lth_call *call) {
    (void)d;
    if (!lth_plain_f32(call->in[0])) {
        return false;
    }
    call->workspace_bytes = lth_floats((size_t)lth_count(call->in[0]));
    return true;
}
static lt_status dropout_forward(lth_device *d, const lth_call *call, lth_error *err) {
    const int64_t n = lth_count(call->in[0]);
    const double p = call->attrs->f[0], keep = 1 - p;
    const bool drawn = p > 0 && p < 1; /* else nothing is drawn, as in PyTorch: the generator stays where it is */
    float *mask = call->workspace;
    if (drawn && !call->random) {
        return lth_fail(err, LT_EINVAL, "dropout: the call brings no random generator");
    }
    const float factor = p < 1 ? 1.f / (float)keep : 0.f; /* in f32, as PyTorch's noise.div_(1 - p) */
    for (int64_t i = 0; !drawn && i < n; i++) {
        mask[i] = factor;
    }
    for (int64_t i = 0; drawn && i < n; i++) {
        const double u = (double)(call->random(call->random_state) & 0x1fffffffffffffu) * 0x1p-53;
        mask[i] = u < keep ? factor : 0.f;
    }
    d->isa.product(n, call->out[0]->data, call->in[0]->data, mask, 1.f, false);
    return LT_OK;
}
static lt_status dropout_backward(lth_device *d, const lth_call *call, lth_error *err) {
    (void)err;
    if (!lth_cpu_no_gradient(d, call) && call->need[0]) {
        d->isa.product(lth_count(call->in[0]), call->grad_in[0]->data, call->grad_out[0]->data, call->workspace, 1.f, call->accumulate[0]);
    }
    return LT_OK;
}
const lth_kernel lth_cpu_dropout = {dropout_plan, dropout_forward, dropout_backward};
