/* backends/cpu/matmul.c - products of matrices, and MATMUL (2d and batched, transposed views included); where batch dimensions broadcast or lie
 * apart, matrix by matrix. Refuses arrays without a stride of 1 in their matrices: the engine copies them. */
#include "engine/backends/cpu/matmul.h"

typedef struct product {
    lth_device *d;
    const lth_prim *whole, *tail;   /* tail: the last, smaller chunk */
    int64_t step, chunks;
    int along;                      /* 0 batch, 1 rows of c, 2 columns of c */
    bool gathers, scatters;         /* a's chunk, c's chunk: through a dense panel */
    bool add;
    float *panel;                   /* per thread */
    int64_t panel_floats;
    lth_mat a, b, c;
    const float *bias;
    lt_status status;
    lth_error *err;
} product;

static void copy_rows(float *to, int64_t to_at, const float *from, int64_t from_at, int64_t rows, int64_t cols) {
    for (int64_t r = 0; r < rows; r++) {
        memcpy(to + r * to_at, from + r * from_at, (size_t)cols * sizeof *to);
    }
}
static void product_chunk(void *arg, int64_t i, int thread) {
    product *p = arg;
    const int64_t at = i * p->step, n = lth_min64(p->step, (p->along == 0 ? p->c.batch : p->along == 1 ? p->c.rows : p->c.cols) - at);
    float *a = p->a.p, *b = p->b.p, *c = p->c.p, *panel = p->panel + thread * p->panel_floats;
    const float *bias = p->bias;
    switch (p->along) {
    case 0: a += at * p->a.batch_at, b += at * p->b.batch_at, c += at * p->c.batch_at; break;
    case 1: a += at * p->a.row_at, c += at * p->c.row_at; break;
    default: b += at * p->b.col_at, c += at * p->c.col_at, bias = bias ? bias + at : NULL;
    }
    float *to = p->scatters ? panel : c;
    if (p->gathers) {
        copy_rows(panel, n, a, p->a.col_at, p->a.cols, n);
        a = panel;
    }
    if (p->scatters && p->add) {
        copy_rows(panel, n, c, p->c.row_at, p->c.rows, n);
    }
    void *args[4] = {a, b, bias ? (void *)(uintptr_t)bias : to, to};
    const lt_status s = lth_onednn_run(&p->d->onednn, i == p->chunks - 1 ? p->tail : p->whole, thread, args, NULL);
    if (s < 0) {
        p->status = s; /* any of them: all say the same */
    }
    if (p->scatters) {
        copy_rows(c, p->c.row_at, panel, n, p->c.rows, n);
    }
}
/* How the work is cut: by what it costs, not by who does it; nothing below 4 MFLOP (20 us) or 32 wide. Every chunk is of dense matrices:
 * with others oneDNN leaves its brgemm for an older gemm whose first call takes 25 ms. Columns of a transposed b are dense, as are rows
 * of a; what is not passes through a panel. */
static void cut(product *p) {
    const double total = 2.0 * (double)p->c.batch * (double)p->c.rows * (double)p->c.cols * (double)p->a.cols;
    p->along = p->c.batch > 1 ? 0 : p->b.row_at == 1 && p->b.cols > 1 ? 2 : 1;
    const int64_t size = p->along == 0 ? p->c.batch : p->along == 1 ? p->c.rows : p->c.cols, grain = p->along == 0 ? 1 : 32;
    const int64_t parts = lth_min64(total < 4e6 ? 1 : total < 16e6 ? 2 : total < 64e6 ? 4 : 8, lth_div_up(size, grain));
    p->step = lth_min64(lth_div_up(lth_div_up(size, parts), grain) * grain, size);
    p->chunks = lth_div_up(size, p->step);
    p->gathers = p->along == 1 && p->chunks > 1 && p->a.col_at != 1;
    p->scatters = p->along == 2 && p->chunks > 1;
    p->panel_floats = ((p->gathers ? p->a.cols : p->scatters ? p->c.rows : 0) * p->step + 15) & ~(int64_t)15;
}
static const lth_prim *primitive(product *p, int64_t step, int act, bool add) {
    lth_prim_key key;
    memset(&key, 0, sizeof key);
    key.kind = LTH_PRIM_MATMUL;
    key.bias = p->bias != NULL;
    key.act = act;
    key.accumulate = add;
    key.mm.m = p->along == 1 ? step : p->c.rows;
    key.mm.n = p->along == 2 ? step : p->c.cols;
    key.mm.k = p->a.cols;
    if (p->c.batch > 1) {
        key.mm.batch = step;
        key.mm.a_batch = p->a.batch_at, key.mm.b_batch = p->b.batch_at, key.mm.c_batch = p->c.batch_at;
    }
    key.mm.a_m = p->a.row_at, key.mm.a_k = p->gathers ? step : p->a.col_at;
    key.mm.b_k = p->b.row_at, key.mm.b_n = p->b.col_at;
    key.mm.c_m = p->scatters ? step : p->c.row_at;
    return lth_onednn_get(&p->d->onednn, &key, p->err);
}
/* A product so small that asking oneDNN for it costs more: four sums at a time, always in this order. */
enum { TINY = 256 };
static bool is_tiny(const lth_mat *a, const lth_mat *c, int act) {
    return act == 0 && c->batch == 1 && c->rows <= TINY && c->cols <= TINY && a->cols <= TINY && c->rows * c->cols * a->cols <= TINY;
}
static void tiny_product(lth_mat a, lth_mat b, const float *bias, lth_mat c, bool add) {
    for (int64_t i = 0; i < c.rows; i++) {
        for (int64_t j = 0; j < c.cols; j++) {
            const float *x = a.p + i * a.row_at, *y = b.p + j * b.col_at;
            float *to = c.p + i * c.row_at + j * c.col_at, sum[4] = {0};
            int64_t k = 0;
            for (; k + 4 <= a.cols; k += 4) {
                for (int s = 0; s < 4; s++) {
                    sum[s] += x[(k + s) * a.col_at] * y[(k + s) * b.row_at];
                }
            }
            for (; k < a.cols; k++) {
                sum[0] += x[k * a.col_at] * y[k * b.row_at];
            }
            const float all = (sum[0] + sum[1]) + (sum[2] + sum[3]);
            *to = add ? *to + all : bias ? all + bias[j] : all;
        }
    }
}
/* Enough rows that packing b pays, and rows that need no turning: there our own tiles are ahead of oneDNN (docs/performance.md). */
static bool is_large(const lth_mat *a, const lth_mat *c) { return c->batch == 1 && a->col_at == 1 && c->rows >= 256 && c->cols >= 96 && a->cols >= 96; }
lt_status lth_cpu_product(lth_device *d, lth_mat a, lth_mat b, const float *bias, int act, lth_mat c, bool add, lth_error *err) {
    if (is_tiny(&a, &c, act)) {
        tiny_product(a, b, bias, c, add);
        return LT_OK;
    }
    if (c.col_at != 1) { /* oneDNN writes rows: the transposed product */
        const lth_mat t = lth_turned(a);
        a = lth_turned(b), b = t, c = lth_turned(c);
    }
    if (is_large(&a, &c)) {
        const lth_large g = {.M = c.rows, .N = c.cols, .K = a.cols, .a = a.p, .a_row = a.row_at, .a_col = a.col_at, .b = b.p, .b_row = b.row_at,
                            .b_col = b.col_at, .c = c.p, .c_row = c.row_at, .add = add, .bias = bias, .act = act};
        return lth_cpu_large(d, &g, err);
    }
    product p = {.d = d, .a = a, .b = b, .c = c, .bias = bias, .add = add, .err = err};
    cut(&p);
    const int64_t size = p.along == 0 ? c.batch : p.along == 1 ? c.rows : c.cols;
    p.whole = primitive(&p, p.step, act, add);
    p.tail = p.whole ? primitive(&p, size - (p.chunks - 1) * p.step, act, add) : NULL;
    if (!p.tail) {
        return lth_fail(err, LT_EUNSUPPORTED, "oneDNN %s has no fast product for (%lld, %lld) x (%lld, %lld)", lth_onednn_version(), (long long)a.rows,
                        (long long)a.cols, (long long)b.rows, (long long)b.cols);
    }
    const double cost = (double)c.batch * (double)c.rows * (double)c.cols * (double)a.cols * 2e-5;
    if (p.panel_floats) {
        p.panel = lth_cpu_panel(d, (size_t)(lth_cpu_team(d, p.chunks, cost) * p.panel_floats) * sizeof(float), err);
        if (!p.panel) {
            return LT_ENOMEM;
        }
    }
    lth_cpu_run(d, p.chunks, cost, product_chunk, &p);
    return p.status < 0 ? lth_fail(err, p.status, "a oneDNN product failed") : LT_OK;
}

/* ---- MATMUL ---- */
static bool matrix_of(const lth_array *a, lth_mat *m) {
    if (!a || a->dtype != LT_F32 || a->layout != LTH_STRIDED || a->ndim < 2 || lth_count(a) == 0) {
        return false;
    }
    const int n = a->ndim;
    *m = (lth_mat){a->data, 1, 0, a->shape[n - 2], a->shape[n - 1], a->strides[n - 2], a->strides[n - 1]};
    m->row_at = m->rows == 1 ? m->cols * m->col_at : m->row_at;
    m->col_at = m->cols == 1 ? (m->row_at == 1 ? m->rows : 1) : m->col_at;
    int64_t expect = 0;
    for (int i = n - 3; i >= 0; i--) {
        if (a->shape[i] == 1) {
            continue;
        }
        if (m->batch == 1) {
            m->batch_at = a->strides[i];
        } else if (a->strides[i] != expect) {
            return false;
        }
        m->batch *= a->shape[i];
        expect = a->strides[i] * a->shape[i];
    }
    if (m->batch > 1 && m->batch_at == 0) { /* one matrix for all, by lt_expand: oneDNN takes no such stride */
        return false;
    }
    if (m->col_at == 1) {
        return m->row_at >= m->cols;
    }
    return m->row_at == 1 && m->col_at >= m->rows;
}
static bool same_batch(const lth_array *a, const lth_array *b) {
    return a->ndim == b->ndim && memcmp(a->shape, b->shape, (size_t)(a->ndim - 2) * sizeof *a->shape) == 0;
}
/* (..., N, K) x (K, M): the batch is more rows. */
static bool fold(lth_mat *a) {
    if (a->batch > 1 && (a->col_at != 1 || a->batch_at != a->rows * a->row_at)) {
        return false;
    }
    a->rows *= a->batch;
    a->batch = 1;
    return true;
}
static bool operands(const lth_array *a, const lth_array *b, lth_mat *A, lth_mat *B) {
    if (!matrix_of(a, A) || !matrix_of(b, B)) {
        return false;
    }
    return b->ndim == 2 ? fold(A) : same_batch(a, b);
}
/* ---- one product after the other ---- */
static bool last_two(const lth_array *x, lth_mat *m) {
    if (x->ndim < 2 || lth_count(x) == 0) {
        return false;
    }
    lth_array matrix = *x;
    matrix.ndim = 2;
    for (int d = 0; d < 2; d++) {
        matrix.shape[d] = x->shape[x->ndim - 2 + d];
        matrix.strides[d] = x->strides[x->ndim - 2 + d];
    }
    return matrix_of(&matrix, m);
}
int64_t lth_matrix_at(const lth_array *x, const lth_array *batch, int64_t i, bool *first) {
    int64_t at = 0;
    *first = true;
    for (int k = batch->ndim - 3; k >= 0; k--) {
        const int own = k - (batch->ndim - x->ndim);
        const int64_t index = i % batch->shape[k];
        i /= batch->shape[k];
        if (own < 0 || x->shape[own] == 1) {
            *first = *first && index == 0;
        } else {
            at += index * x->strides[own];
        }
    }
    return at;
}
static float *part_of(const lth_array *x, const lth_array *batch, int64_t i, bool *first) { return lth_f32(x) + lth_matrix_at(x, batch, i, first); }
static lth_mat rows_of(const lth_array *out, int64_t i) {
    const int64_t rows = out->shape[out->ndim - 2], cols = out->shape[out->ndim - 1];
    return (lth_mat){lth_f32(out) + i * rows * cols, 1, 0, rows, cols, cols, 1};
}
static bool parts_fit(const lth_call *call) {
    lth_mat a, b;
    return last_two(call->in[0], &a) && last_two(call->in[1], &b) && lth_count(call->out[0]) > 0;
}
static lt_status parts_forward(lth_device *d, const lth_call *call, lth_error *err) {
    const lth_array *out = call->out[0];
    lt_status s = LT_OK;
    lth_mat a, b;
    bool first;
    last_two(call->in[0], &a), last_two(call->in[1], &b);
    for (int64_t i = 0; i < lth_matrices(out) && s >= 0; i++) {
        a.p = part_of(call->in[0], out, i, &first), b.p = part_of(call->in[1], out, i, &first);
        s = lth_cpu_product(d, a, b, NULL, 0, rows_of(out, i), false, err);
    }
    return s;
}
static lt_status parts_backward(lth_device *d, const lth_call *call, lth_error *err) {
    const lth_array *g = call->grad_out[0];
    lt_status s = LT_OK;
    for (int k = 0; k < 2 && s >= 0; k++) {
        lth_mat other, to;
        bool first;
        if (!call->need[k]) {
            continue;
        }
        if (!last_two(call->in[!k], &other) || !last_two(call->grad_in[k], &to)) {
            return lth_fail(err, LT_EINVAL, "matmul: a gradient with strides that the input does not have");
        }
        for (int64_t i = 0; i < lth_matrices(g) && s >= 0; i++) { /* shared matrices: in this order */
            other.p = part_of(call->in[!k], g, i, &first);
            to.p = part_of(call->grad_in[k], g, i, &first);
            const lth_mat dc = rows_of(g, i), turned = lth_turned(other);
            s = k == 0 ? lth_cpu_product(d, dc, turned, NULL, 0, to, call->accumulate[0] || !first, err)
                       : lth_cpu_product(d, turned, dc, NULL, 0, to, call->accumulate[1] || !first, err);
        }
    }
    return s;
}

static bool matmul_plan(lth_device *d, lth_call *call) {
    lth_mat a, b;
    (void)d;
    return call->out[0]->dtype == LT_F32 && (operands(call->in[0], call->in[1], &a, &b) || parts_fit(call));
}
static lth_mat out_of(const lth_array *out, lth_mat a, lth_mat b) {
    return (lth_mat){out->data, a.batch, a.rows * b.cols, a.rows, b.cols, b.cols, 1};
}
static lt_status matmul_forward(lth_device *d, const lth_call *call, lth_error *err) {
    lth_mat a, b;
    if (!operands(call->in[0], call->in[1], &a, &b)) {
        return parts_forward(d, call, err);
    }
    return lth_cpu_product(d, a, b, NULL, 0, out_of(call->out[0], a, b), false, err);
}
static lt_status matmul_backward(lth_device *d, const lth_call *call, lth_error *err) {
    lth_mat a, b, da, db;
    if (lth_cpu_no_gradient(d, call)) {
        return LT_OK;
    }
    const bool whole = operands(call->in[0], call->in[1], &a, &b) && (!call->need[1] || matrix_of(call->grad_in[1], &db)) &&
                       (!call->need[0] || (matrix_of(call->grad_in[0], &da) && (call->in[1]->ndim > 2 || fold(&da))));
    if (!whole) { /* a gradient need not lie as its input does */
        return parts_backward(d, call, err);
    }
    const lth_mat dc = out_of(call->grad_out[0], a, b);
    lt_status s = call->need[0] ? lth_cpu_product(d, dc, lth_turned(b), NULL, 0, da, call->accumulate[0], err) : LT_OK;
    if (s >= 0 && call->need[1]) {
        s = lth_cpu_product(d, lth_turned(a), dc, NULL, 0, db, call->accumulate[1], err);
    }
    return s;
}
const lth_kernel lth_cpu_matmul = {matmul_plan, matmul_forward, matmul_backward};
