/* backends/cpu/matmul_low.c - MATMUL in bf16, forward and both gradients: sums in f32, rounded once, those of a matrix that a batch shares
 * too. Rows of a batch that share one matrix are more rows of one product; of other batches small products go to one thread each, larger ones
 * are cut one after the other.
 * Refuses mixed dtypes, empty arrays, matrices of which neither stride is 1 (the engine copies them), and what is faster as casts to f32 and a
 * product there. */
#include "engine/backends/cpu/low.h"
#include "engine/backends/cpu/matmul.h"

typedef struct mat { void *p; int64_t rows, cols, row_at, col_at; } mat; /* strides in elements, one of them 1 */
static mat turned(mat a) { return (mat){a.p, a.cols, a.rows, a.col_at, a.row_at}; }

/* The last two dimensions. A single row or column lies as suits best. */
static bool matrix_of(const lth_array *x, mat *m) {
    if (!x || x->dtype != LT_BF16 || x->layout != LTH_STRIDED || x->ndim < 2 || lth_count(x) == 0) {
        return false;
    }
    const int n = x->ndim;
    *m = (mat){x->data, x->shape[n - 2], x->shape[n - 1], x->strides[n - 2], x->strides[n - 1]};
    if (m->rows == 1) {
        m->row_at = m->col_at == 1 ? m->cols : 1;
    }
    if (m->cols == 1) {
        m->col_at = m->row_at == 1 ? m->rows : 1;
    }
    return m->col_at == 1 ? m->row_at >= m->cols : m->row_at == 1 && m->col_at >= m->rows;
}
/* The batch as more rows: only of what lies row after row. */
static bool fold(const lth_array *x, mat *m) {
    int64_t expect = m->rows * m->row_at;
    for (int i = x->ndim - 3; i >= 0; i--) {
        if (x->shape[i] == 1) {
            continue;
        }
        if (m->rows == 1 && expect == m->row_at && x->strides[i] >= m->cols) { /* single rows may lie apart */
            expect = m->row_at = x->strides[i];
        }
        if (m->col_at != 1 || x->strides[i] != expect) {
            return false;
        }
        expect *= x->shape[i];
    }
    m->rows = lth_count(x) / m->cols;
    return true;
}
/* c = a b, or c += a b: all of one batch, or folded. */
typedef struct work {
    lth_device *d;
    const lth_array *batch, *of_a, *of_b, *of_c; /* batch: the output, or its gradient */
    mat a, b, c;
    bool add;
    int64_t n;
    float *memory, *sums;   /* sums: of_c in f32, dense, where matrices of a batch meet in one; else NULL */
    size_t floats;
} work;

static lth_large large_of(mat a, mat b, mat c) {
    if (c.col_at != 1) { /* rows are written: the transposed product */
        const mat t = turned(a);
        a = turned(b), b = t, c = turned(c);
    }
    return (lth_large){.M = c.rows, .N = c.cols, .K = a.cols, .a = a.p, .a_row = a.row_at, .a_col = a.col_at, .a_low = true, .b = b.p, .b_row = b.row_at,
                       .b_col = b.col_at, .b_low = true, .c = c.p, .c_row = c.row_at, .c_low = true};
}
static lth_array dense(const lth_array *x) {
    lth_array y = *x;
    int64_t stride = 1;
    for (int k = x->ndim - 1; k >= 0; k--) {
        y.strides[k] = stride;
        stride *= x->shape[k];
    }
    return y;
}
static lth_large part(const work *w, int64_t i) {
    mat a = w->a, b = w->b, c = w->c;
    bool first = true, ignored;
    if (w->n > 1) {
        a.p = (uint16_t *)a.p + lth_matrix_at(w->of_a, w->batch, i, &ignored);
        b.p = (uint16_t *)b.p + lth_matrix_at(w->of_b, w->batch, i, &ignored);
    }
    if (w->sums) {
        const lth_array sums = dense(w->of_c);
        c = (mat){w->sums + lth_matrix_at(&sums, w->batch, i, &first), c.rows, c.cols, c.cols, 1};
    } else if (w->n > 1) {
        c.p = (uint16_t *)c.p + lth_matrix_at(w->of_c, w->batch, i, &ignored);
    }
    lth_large g = large_of(a, b, c);
    g.c_low = !w->sums;
    g.add = w->sums ? !first : w->add;
    return g;
}
static void part_chunk(void *arg, int64_t i, int thread) {
    const work *w = arg;
    const lth_large g = part(w, i);
    lth_cpu_large_alone(w->d, &g, w->memory + (size_t)thread * w->floats);
}
static void give_chunk(void *arg, int64_t i, int thread) { /* row i of all of c's */
    const work *w = arg;
    const float *from = w->sums + i * w->c.cols;
    bool ignored;
    (void)thread;
    uint16_t *to = (uint16_t *)w->of_c->data + lth_matrix_at(w->of_c, w->of_c, i / w->c.rows, &ignored) + i % w->c.rows * w->c.row_at;
    for (int64_t k = 0; k < w->c.cols; k++) {
        const float sum = lth_f32_of_bf16(lth_bf16_of_f32(from[k]));
        to[k * w->c.col_at] = lth_bf16_of_f32(w->add ? lth_f32_of_bf16(to[k * w->c.col_at]) + sum : sum);
    }
}
static lt_status run_one_by_one(work *w, lth_error *err) { /* each cut by rows; those that meet, in this order */
    lt_status s = LT_OK;
    if (lth_matrices(w->of_c) < w->n) {
        w->sums = lth_cpu_scratch(w->d, lth_floats((size_t)lth_count(w->of_c)), err);
        s = w->sums ? LT_OK : LT_ENOMEM;
    }
    for (int64_t i = 0; i < w->n && s >= 0; i++) {
        const lth_large g = part(w, i);
        s = lth_cpu_large(w->d, &g, err);
    }
    if (s >= 0 && w->sums) {
        lth_cpu_run(w->d, lth_matrices(w->of_c) * w->c.rows, (double)lth_count(w->of_c) * 2e-3, give_chunk, w);
    }
    return s;
}
static lt_status run(work *w, lth_error *err) {
    const double us = (double)w->c.rows * (double)w->c.cols * (double)w->a.cols * 1e-5 + 2;
    if (w->n == 1 || us > 100 || lth_matrices(w->of_c) < w->n) {
        return run_one_by_one(w, err);
    }
    const lth_large one = part(w, 0);
    w->floats = lth_cpu_large_floats(w->d, &one);
    w->memory = lth_cpu_panel(w->d, (size_t)lth_cpu_team(w->d, w->n, us * (double)w->n) * w->floats * sizeof(float), err);
    if (!w->memory) {
        return LT_ENOMEM;
    }
    lth_cpu_run(w->d, w->n, us * (double)w->n, part_chunk, w);
    return LT_OK;
}

/* In f32 tiles packing pays for single large products only; measured (docs/performance.md). */
static bool pays(const lth_device *d, const mat *a, const mat *b, bool single) {
    return d->isa.pairs ? a->rows >= 32 && b->cols >= 32 && a->cols >= 32 : single && a->rows >= 256 && b->cols >= 96 && a->cols >= 96;
}
static bool matmul_plan(lth_device *d, lth_call *call) {
    const lth_array *x = call->in[0], *y = call->in[1];
    mat a, b;
    if (call->out[0]->dtype != LT_BF16 || lth_count(call->out[0]) == 0 || !matrix_of(x, &a) || !matrix_of(y, &b)) {
        return false;
    }
    mat rows = a;
    const bool single = y->ndim == 2 && fold(x, &rows);
    return pays(d, single ? &rows : &a, &b, single);
}
static lt_status matmul_forward(lth_device *d, const lth_call *call, lth_error *err) {
    const lth_array *x = call->in[0], *y = call->in[1], *out = call->out[0];
    work w = {.d = d, .batch = out, .of_a = x, .of_b = y, .of_c = out, .n = lth_matrices(out)};
    mat a, c;
    matrix_of(x, &w.a), matrix_of(y, &w.b), matrix_of(out, &w.c);
    a = w.a, c = w.c;
    if (y->ndim == 2 && fold(x, &a) && fold(out, &c)) {
        w.a = a, w.c = c, w.n = 1;
    }
    return run(&w, err);
}
/* Of the first operand: g y^T; of the second: x^T g. */
static lt_status matmul_backward(lth_device *d, const lth_call *call, lth_error *err) {
    const lth_array *x = call->in[0], *y = call->in[1], *g = call->grad_out[0];
    lt_status s = LT_OK;
    if (lth_cpu_no_gradient(d, call)) {
        return LT_OK;
    }
    for (int k = 0; k < 2 && s >= 0; k++) {
        const lth_array *to = call->grad_in[k];
        mat A, B, G, C;
        if (!call->need[k]) {
            continue;
        }
        if (!matrix_of(x, &A) || !matrix_of(y, &B) || !matrix_of(g, &G) || !matrix_of(to, &C)) {
            return lth_fail(err, LT_EINVAL, "matmul: a gradient with strides that the input does not have");
        }
        mat rows = A, of_g = G, of_c = C;
        work w = {.d = d, .batch = g, .of_c = to, .add = call->accumulate[k], .n = lth_matrices(g), .c = C};
        w.of_a = k == 0 ? g : x, w.of_b = k == 0 ? y : g;
        w.a = k == 0 ? G : turned(A), w.b = k == 0 ? turned(B) : G;
        if (y->ndim == 2 && fold(g, &of_g) && (k == 0 ? fold(to, &of_c) : fold(x, &rows))) {
            w.n = 1, w.c = of_c;
            w.a = k == 0 ? of_g : turned(rows), w.b = k == 0 ? w.b : of_g;
        }
        s = run(&w, err);
    }
    return s;
}
const lth_kernel lth_low_matmul = {matmul_plan, matmul_forward, matmul_backward};
