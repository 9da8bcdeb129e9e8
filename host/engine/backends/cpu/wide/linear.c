/* backends/cpu/wide/linear.c - LINEAR and MATMUL in f64 on gemm.c, which packs from any strides, so that no operand is ever copied.
 * LINEAR refuses strided arrays and activations other than those of lt_linear's first six; nothing of MATMUL is refused but other dtypes. */
#include "engine/backends/cpu/wide/gemm.h"
#include "engine/backends/cpu/wide/wide.h"
#include <math.h>

/* C (M, N) of each batch: items and depths of A and B as they lie; C's rows lie together. */
typedef struct product {
    const double *a, *b;
    int64_t a_item, a_depth, b_item, b_depth;
    int ndim;                       /* batch dimensions, with the three arrays' strides along them */
    int64_t shape[LT_MAX_DIMS], a_batch[LT_MAX_DIMS], b_batch[LT_MAX_DIMS], c_batch[LT_MAX_DIMS];
    double *c, *z;                  /* z: before the activation; NULL: not kept */
    int64_t c_row, c_col;
    const double *bias;
    int act;
    bool add;
} product;

static int64_t offset(const product *p, const int64_t *strides, int64_t batch) {
    int64_t at = 0;
    for (int d = p->ndim - 1; d >= 0; d--) {
        at += batch % p->shape[d] * strides[d];
        batch /= p->shape[d];
    }
    return at;
}
static void pack_a(const lth_gemm *g, int64_t batch, int64_t first, int64_t count, int64_t at, int64_t depth, void *to, int width) {
    const product *p = g->arg;
    lth_pack_f64(p->a + offset(p, p->a_batch, batch) + first * p->a_item + at * p->a_depth, p->a_item, p->a_depth, count, depth, to, width);
}
static void pack_b(const lth_gemm *g, int64_t batch, int64_t first, int64_t count, int64_t at, int64_t depth, void *to, int width) {
    const product *p = g->arg;
    lth_pack_f64(p->b + offset(p, p->b_batch, batch) + first * p->b_item + at * p->b_depth, p->b_item, p->b_depth, count, depth, to, width);
}

/* ---- activations: value, and slope by z and y ---- */
static double gelu(double z) { return 0.5 * z * (1 + erf(z * M_SQRT1_2)); }
static double inner(double z) { return 0.5 * M_2_SQRTPI * M_SQRT2 * (z + 0.044715 * z * z * z); }
static double activated(int act, double z) {
    switch (act) {
    case LT_ACT_RELU: return z < 0 ? 0 : z;
    case LT_ACT_TANH: return tanh(z);
    case LT_ACT_SIGMOID: return 1 / (1 + exp(-z));
    case LT_ACT_GELU: return gelu(z);
    case LT_ACT_GELU_TANH: return 0.5 * z * (1 + tanh(inner(z)));
    default: return z;
    }
}
static double slope(int act, double z, double y) {
    double t;
    switch (act) {
    case LT_ACT_RELU: return !(y <= 0); /* a NaN stays */
    case LT_ACT_TANH: return 1 - y * y;
    case LT_ACT_SIGMOID: return y * (1 - y);
    case LT_ACT_GELU: return 0.5 * (1 + erf(z * M_SQRT1_2)) + z * exp(-0.5 * z * z) * (0.5 * M_2_SQRTPI * M_SQRT1_2);
    case LT_ACT_GELU_TANH:
        t = tanh(inner(z));
        return 0.5 * (1 + t) + 0.5 * z * (1 - t * t) * (0.5 * M_2_SQRTPI * M_SQRT2) * (1 + 3 * 0.044715 * z * z);
    default: return 1;
    }
}

static void store(const lth_gemm *g, int64_t batch, int64_t row, int64_t rows, int64_t col, int64_t cols, const void *tile_, int64_t tile_at) {
    const product *p = g->arg;
    const double *tile = tile_;
    const int64_t base = offset(p, p->c_batch, batch) + row * p->c_row + col * p->c_col;
    for (int64_t i = 0; i < rows; i++) {
        double *c = p->c + base + i * p->c_row, *z = p->z ? p->z + base + i * p->c_row : NULL;
        for (int64_t j = 0; j < cols; j++) {
            const double value = tile[i * tile_at + j] + (p->bias ? p->bias[col + j] : 0);
            if (z) {
                z[j * p->c_col] = value;
            }
            c[j * p->c_col] = (p->add ? c[j * p->c_col] : 0) + (p->act ? activated(p->act, value) : value);
        }
    }
}
static lt_status multiply(lth_device *d, const product *p, int64_t batch, int64_t M, int64_t N, int64_t K, lth_error *err) {
    lth_gemm g = {.dtype = LT_F64, .batch = batch, .M = M, .N = N, .K = K, .arg = (void *)(uintptr_t)p, .pack_a = pack_a, .pack_b = pack_b,
                  .store = store};
    return lth_cpu_gemm(d, &g, err);
}
lt_status lth_multiply_f64(lth_device *d, const lth_matrices *m, lth_error *err) {
    const product p = {.a = m->a, .b = m->b, .a_item = m->a_item, .a_depth = m->a_depth, .b_item = m->b_item, .b_depth = m->b_depth, .c = m->c,
                       .c_row = m->c_row, .c_col = 1, .bias = m->bias, .add = m->add};
    return multiply(d, &p, 1, m->M, m->N, m->K, err);
}

/* ---- linear ---- */
static const lth_array *bias_of(const lth_call *call) { return call->n_in > 2 ? call->in[2] : NULL; }
static bool plain64(const lth_array *a) { return a->dtype == LT_F64 && lth_plain(a); }
static bool keeps_z(const lth_call *call) { return call->save && call->attrs->i[0] >= LT_ACT_GELU; }
static bool linear_plan(lth_device *d, lth_call *call) {
    const int64_t act = call->attrs->i[0];
    (void)d;
    if (!plain64(call->in[0]) || !plain64(call->in[1]) || (bias_of(call) && !plain64(bias_of(call))) || act < LT_ACT_NONE || act > LT_ACT_GELU_TANH) {
        return false;
    }
    call->workspace_bytes = keeps_z(call) ? (size_t)lth_count(call->out[0]) * sizeof(double) : 0;
    return true;
}
static lt_status linear_forward(lth_device *d, const lth_call *call, lth_error *err) {
    const int64_t I = call->in[1]->shape[1], O = call->in[1]->shape[0], rows = I ? lth_count(call->in[0]) / I : lth_count(call->out[0]) / (O ? O : 1);
    product p = {.a = call->in[0]->data, .b = call->in[1]->data, .a_item = I, .a_depth = 1, .b_item = I, .b_depth = 1, .c = call->out[0]->data,
                 .c_row = O, .c_col = 1, .bias = bias_of(call) ? bias_of(call)->data : NULL, .act = (int)call->attrs->i[0],
                 .z = keeps_z(call) ? call->workspace : NULL};
    return multiply(d, &p, 1, rows, O, I, err);
}

typedef struct back { const double *dy, *y, *z; double *dz, *db; int64_t rows, O; int act; bool add; } back;
enum { STEP = 4096 };
static void slope_chunk(void *arg, int64_t chunk, int thread) {
    const back *b = arg;
    const int64_t from = chunk * STEP, to = lth_min64(from + STEP, b->rows * b->O);
    (void)thread;
    for (int64_t i = from; i < to; i++) {
        const double s = slope(b->act, b->z ? b->z[i] : 0, b->y[i]);
        b->dz[i] = s == 0 ? 0 : b->dy[i] * s;
    }
}
static void bias_chunk(void *arg, int64_t chunk, int thread) { /* 64 columns, row after row */
    const back *b = arg;
    const int64_t from = chunk * 64, width = lth_min64(64, b->O - from);
    double sum[64] = {0};
    (void)thread;
    for (int64_t row = 0; row < b->rows; row++) {
        const double *x = b->dy + row * b->O + from;
        for (int64_t j = 0; j < width; j++) {
            sum[j] += x[j];
        }
    }
    for (int64_t j = 0; j < width; j++) {
        b->db[from + j] = (b->add ? b->db[from + j] : 0) + sum[j];
    }
}
static lt_status linear_backward(lth_device *d, const lth_call *call, lth_error *err) {
    if (lth_cpu_no_gradient(d, call)) {
        return LT_OK;
    }
    const int64_t I = call->in[1]->shape[1], O = call->in[1]->shape[0], rows = O ? lth_count(call->out[0]) / O : 0;
    back b = {.dy = call->grad_out[0]->data, .y = call->out[0]->data, .z = keeps_z(call) ? call->workspace : NULL, .rows = rows, .O = O,
              .act = (int)call->attrs->i[0]};
    if (b.act) {
        b.dz = lth_cpu_scratch(d, (size_t)(rows * O + 1) * sizeof(double), err);
        if (!b.dz) {
            return LT_ENOMEM;
        }
        lth_cpu_run(d, lth_div_up(rows * O, STEP), (double)(rows * O) * 1e-2, slope_chunk, &b);
        b.dy = b.dz;
    }
    lt_status status = LT_OK;
    if (call->need[0]) {
        product p = {.a = b.dy, .b = call->in[1]->data, .a_item = O, .a_depth = 1, .b_item = 1, .b_depth = I, .c = call->grad_in[0]->data, .c_row = I,
                     .c_col = 1, .add = call->accumulate[0]};
        status = multiply(d, &p, 1, rows, I, O, err);
    }
    if (call->need[1] && status == LT_OK) {
        product p = {.a = b.dy, .b = call->in[0]->data, .a_item = 1, .a_depth = O, .b_item = 1, .b_depth = I, .c = call->grad_in[1]->data, .c_row = I,
                     .c_col = 1, .add = call->accumulate[1]};
        status = multiply(d, &p, 1, O, I, rows, err);
    }
    if (bias_of(call) && call->need[2]) {
        b.db = call->grad_in[2]->data, b.add = call->accumulate[2];
        lth_cpu_run(d, lth_div_up(O, 64), (double)(rows * O) * 5e-4, bias_chunk, &b);
    }
    return status;
}
const lth_kernel lth_wide_linear = {linear_plan, linear_forward, linear_backward};

/* ---- matmul ---- */
static bool strided64(const lth_array *a) { return a->dtype == LT_F64 && a->layout == LTH_STRIDED; }
static bool matmul_plan(lth_device *d, lth_call *call) {
    (void)d;
    return strided64(call->in[0]) && strided64(call->in[1]) && call->in[0]->ndim >= 2 && call->in[1]->ndim >= 2;
}
/* Strides along the batch dimensions of `whole`, 0 where a is spread. */
static void batch_strides(const lth_array *a, const lth_array *whole, int64_t *strides) {
    const int ndim = whole->ndim - 2, own = a->ndim - 2;
    for (int d = 0; d < ndim; d++) {
        const int k = d - (ndim - own);
        strides[d] = k < 0 || a->shape[k] == 1 ? 0 : a->strides[k];
    }
}
static int64_t batches(product *p, const lth_array *whole) {
    int64_t n = 1;
    p->ndim = whole->ndim - 2;
    for (int d = 0; d < p->ndim; d++) {
        p->shape[d] = whole->shape[d];
        n *= whole->shape[d];
    }
    return n;
}
static lt_status matmul_forward(lth_device *d, const lth_call *call, lth_error *err) {
    const lth_array *a = call->in[0], *b = call->in[1], *y = call->out[0];
    const int la = a->ndim - 1, lb = b->ndim - 1, ly = y->ndim - 1;
    product p = {.a = a->data, .b = b->data, .a_item = a->strides[la - 1], .a_depth = a->strides[la], .b_item = b->strides[lb],
                 .b_depth = b->strides[lb - 1], .c = y->data, .c_row = y->strides[ly - 1], .c_col = y->strides[ly]};
    const int64_t n = batches(&p, y);
    batch_strides(a, y, p.a_batch);
    batch_strides(b, y, p.b_batch);
    batch_strides(y, y, p.c_batch);
    return multiply(d, &p, n, y->shape[ly - 1], y->shape[ly], a->shape[la], err);
}
static bool spread(const product *p, const int64_t *strides) {
    for (int d = 0; d < p->ndim; d++) {
        if (!strides[d] && p->shape[d] > 1) {
            return true;
        }
    }
    return false;
}
/* Where a target is spread over batches, they are added to it one after the other; the first of each target writes. */
static lt_status into_target(lth_device *d, product *p, int64_t n, int64_t M, int64_t N, int64_t K, bool accumulate, lth_error *err) {
    p->add = accumulate;
    if (!spread(p, p->c_batch)) {
        return multiply(d, p, n, M, N, K, err);
    }
    lt_status status = LT_OK;
    for (int64_t batch = 0; batch < n && status == LT_OK; batch++) {
        bool first = true;
        int64_t rest = batch;
        for (int k = p->ndim - 1; k >= 0; k--) {
            first = first && (p->c_batch[k] || rest % p->shape[k] == 0 || p->shape[k] == 1);
            rest /= p->shape[k];
        }
        product one = *p;
        one.a += offset(p, p->a_batch, batch), one.b += offset(p, p->b_batch, batch), one.c += offset(p, p->c_batch, batch);
        one.ndim = 0;
        one.add = accumulate || !first;
        status = multiply(d, &one, 1, M, N, K, err);
    }
    return status;
}
static lt_status matmul_backward(lth_device *d, const lth_call *call, lth_error *err) {
    if (lth_cpu_no_gradient(d, call)) {
        return LT_OK;
    }
    const lth_array *a = call->in[0], *b = call->in[1], *g = call->grad_out[0];
    const int la = a->ndim - 1, lb = b->ndim - 1, lg = g->ndim - 1;
    const int64_t M = g->shape[lg - 1], N = g->shape[lg], K = a->shape[la];
    lt_status status = LT_OK;
    if (call->need[0]) { /* da (M, K) = g b^T */
        const lth_array *t = call->grad_in[0];
        product p = {.a = g->data, .b = b->data, .a_item = g->strides[lg - 1], .a_depth = g->strides[lg], .b_item = b->strides[lb - 1],
                     .b_depth = b->strides[lb], .c = t->data, .c_row = t->strides[la - 1], .c_col = t->strides[la]};
        const int64_t n = batches(&p, g);
        batch_strides(g, g, p.a_batch);
        batch_strides(b, g, p.b_batch);
        batch_strides(t, g, p.c_batch);
        status = into_target(d, &p, n, M, K, N, call->accumulate[0], err);
    }
    if (call->need[1] && status == LT_OK) { /* db (K, N) = a^T g */
        const lth_array *t = call->grad_in[1];
        product p = {.a = a->data, .b = g->data, .a_item = a->strides[la], .a_depth = a->strides[la - 1], .b_item = g->strides[lg],
                     .b_depth = g->strides[lg - 1], .c = t->data, .c_row = t->strides[lb - 1], .c_col = t->strides[lb]};
        const int64_t n = batches(&p, g);
        batch_strides(a, g, p.a_batch);
        batch_strides(g, g, p.b_batch);
        batch_strides(t, g, p.c_batch);
        status = into_target(d, &p, n, K, N, M, call->accumulate[1], err);
    }
    return status;
}
const lth_kernel lth_wide_matmul = {matmul_plan, matmul_forward, matmul_backward};
