/* engine/backends/reference/matmul.c - batched matrix products and linear layers, three loops each.
 * Also bf16 and f16: converted when read, summed in double, rounded once. */
#include "engine/backends/reference/reference.h"

/* ---- matmul: batch dimensions broadcast; 1-d operands are a row on the left, a column on the right ---- */
typedef struct product { ref_walk batch; int ia, ib, iy; bool a_vector, b_vector; } product;

/* The batch part of an array: what stands before its last `matrix` dimensions. */
static lth_array batch_dims(const lth_array *a, int matrix) {
    lth_array head = *a;
    head.ndim = (uint8_t)(a->ndim > matrix ? a->ndim - matrix : 0);
    return head;
}

static product product_of(const lth_call *call, const lth_array *a, const lth_array *b, const lth_array *y) {
    product p = {.a_vector = call->in[0]->ndim == 1, .b_vector = call->in[1]->ndim == 1};
    lth_array ha = batch_dims(a, 2), hb = batch_dims(b, 2), hy = batch_dims(y, 2 - p.a_vector - p.b_vector);
    ref_walk_init(&p.batch, hy.ndim, hy.shape);
    p.ia = ref_walk_add(&p.batch, &ha);
    p.ib = ref_walk_add(&p.batch, &hb);
    p.iy = ref_walk_add(&p.batch, &hy);
    return p;
}

static ref_mat matrix_at(const lth_array *a, int64_t at, bool row_vector, bool column_vector) {
    ref_mat m = {.data = a->data, .dtype = a->dtype, .at = at, .rows = 1, .cols = 1};
    int last = a->ndim - 1;
    if (!column_vector) {
        m.cols = a->shape[last];
        m.col_stride = a->strides[last];
        last--;
    }
    if (!row_vector) {
        m.rows = a->shape[last];
        m.row_stride = a->strides[last];
    }
    return m;
}

static lt_status matmul_forward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    const lth_array *a = call->in[0], *b = call->in[1], *y = call->out[0];
    product p = product_of(call, a, b, y);
    REF_EACH(&p.batch) {
        ref_mat ma = matrix_at(a, p.batch.at[p.ia], p.a_vector, false), mb = matrix_at(b, p.batch.at[p.ib], false, p.b_vector);
        ref_mat my = matrix_at(y, p.batch.at[p.iy], p.a_vector, p.b_vector);
        for (int64_t i = 0; i < my.rows; i++) {
            for (int64_t j = 0; j < my.cols; j++) {
                double sum = 0;
                for (int64_t k = 0; k < ma.cols; k++) {
                    sum += ref_mat_get(&ma, i, k) * ref_mat_get(&mb, k, j);
                }
                ref_mat_give(&my, i, j, sum, false);
            }
        }
    }
    return LT_OK;
}

/* One element of d(a) = g b^T (side 0) or d(b) = a^T g (side 1), at one batch. */
static double matmul_gradient(int side, const ref_mat *other, const ref_mat *g, int64_t i, int64_t j) {
    double sum = 0;
    if (side == 0) {
        for (int64_t k = 0; k < g->cols; k++) {
            sum += ref_mat_get(g, i, k) * ref_mat_get(other, j, k);
        }
    } else {
        for (int64_t k = 0; k < g->rows; k++) {
            sum += ref_mat_get(other, k, i) * ref_mat_get(g, k, j);
        }
    }
    return sum;
}

static void matmul_backward_side(const lth_call *call, int side) {
    const lth_array *d = call->grad_in[side], *other = call->in[1 - side], *g = call->grad_out[0];
    bool accumulate = call->accumulate[side];
    product p = product_of(call, side ? other : d, side ? d : other, g ? g : call->out[0]);
    int id = side ? p.ib : p.ia, io = side ? p.ia : p.ib;
    unsigned mask = 0; /* batch dimensions along which d was spread */
    for (int k = 0; k < p.batch.ndim; k++) {
        int own = k - (p.batch.ndim - (d->ndim > 2 ? d->ndim - 2 : 0));
        mask |= own < 0 || (d->shape[own] == 1 && p.batch.shape[k] != 1) ? 1u << k : 0;
    }
    ref_walk kept, summed;
    ref_walk_part(&kept, &p.batch, ~mask);
    ref_walk_part(&summed, &p.batch, mask);
    REF_EACH(&kept) {
        ref_mat md = matrix_at(d, kept.at[id], side == 0 && p.a_vector, side == 1 && p.b_vector);
        for (int64_t i = 0; i < md.rows; i++) {
            for (int64_t j = 0; j < md.cols; j++) {
                double sum = 0;
                ref_walk_enter(&summed, &kept);
                if (g) {
                    REF_EACH(&summed) {
                        ref_mat mo = matrix_at(other, summed.at[io], side == 1 && p.a_vector, side == 0 && p.b_vector);
                        ref_mat mg = matrix_at(g, summed.at[p.iy], p.a_vector, p.b_vector);
                        sum += matmul_gradient(side, &mo, &mg, i, j);
                    }
                }
                ref_mat_give(&md, i, j, sum, accumulate);
            }
        }
    }
}

static lt_status matmul_backward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    for (int side = 0; side < 2; side++) {
        if (call->need[side]) {
            matmul_backward_side(call, side);
        }
    }
    return LT_OK;
}

const lth_kernel ref_matmul = {ref_plan, matmul_forward, matmul_backward};

/* ---- linear: y = act(x w^T + b). Workspace, when an activation will be differentiated: (rows, O) values before it ---- */
static int64_t linear_rows(const lth_call *call) {
    const lth_array *x = call->in[0];
    int64_t rows = 1;
    for (int d = 0; d < x->ndim - 1; d++) {
        rows *= x->shape[d];
    }
    return rows;
}

static bool linear_plan(lth_device *device, lth_call *call) {
    (void)device;
    bool keep = call->save && call->attrs && call->attrs->i[0] != LT_ACT_NONE;
    return ref_plan_with(call, keep ? linear_rows(call) * call->in[1]->shape[0] * (int64_t)sizeof(double) : 0);
}

static lt_status linear_forward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    const lth_array *x = call->in[0], *w = call->in[1], *b = call->n_in > 2 ? call->in[2] : NULL, *y = call->out[0];
    int64_t act = call->attrs->i[0], n = linear_rows(call), outs = w->shape[0], ins = w->shape[1];
    int64_t sx = x->strides[x->ndim - 1], sy = y->strides[y->ndim - 1];
    double *before = call->save && act ? call->workspace : NULL;
    for (int64_t r = 0; r < n; r++) {
        int64_t rx = ref_row_at(x, r), ry = ref_row_at(y, r);
        for (int64_t o = 0; o < outs; o++) {
            double sum = 0;
            for (int64_t i = 0; i < ins; i++) {
                sum += ref_get(x, rx + i * sx) * ref_get(w, o * w->strides[0] + i * w->strides[1]);
            }
            sum = ref_round(y->dtype, sum + (b ? ref_get(b, o * b->strides[0]) : 0));
            if (before) {
                before[r * outs + o] = sum;
            }
            ref_set(y, ry + o * sy, ref_activate(act, sum));
        }
    }
    return LT_OK;
}

/* Gradient before the activation at (row, o). */
static double linear_up(const lth_call *call, int64_t row, int64_t o) {
    const lth_array *g = call->grad_out[0];
    int64_t act = call->attrs->i[0], outs = call->in[1]->shape[0];
    if (!g) {
        return 0;
    }
    double up = ref_get(g, ref_row_at(g, row) + o * g->strides[g->ndim - 1]);
    if (act == LT_ACT_NONE) {
        return up;
    }
    double slope = ref_activate_slope(act, ((const double *)call->workspace)[row * outs + o]);
    return slope == 0 ? 0 : up * slope;
}

static void linear_backward_x(const lth_call *call, int64_t n) {
    const lth_array *w = call->in[1], *d = call->grad_in[0];
    for (int64_t r = 0; r < n; r++) {
        int64_t rd = ref_row_at(d, r);
        for (int64_t i = 0; i < w->shape[1]; i++) {
            double sum = 0;
            for (int64_t o = 0; o < w->shape[0]; o++) {
                sum += linear_up(call, r, o) * ref_get(w, o * w->strides[0] + i * w->strides[1]);
            }
            ref_give(d, rd + i * d->strides[d->ndim - 1], sum, call->accumulate[0]);
        }
    }
}

static void linear_backward_w(const lth_call *call, int64_t n) {
    const lth_array *x = call->in[0], *d = call->grad_in[1];
    for (int64_t o = 0; o < d->shape[0]; o++) {
        for (int64_t i = 0; i < d->shape[1]; i++) {
            double sum = 0;
            for (int64_t r = 0; r < n; r++) {
                sum += linear_up(call, r, o) * ref_get(x, ref_row_at(x, r) + i * x->strides[x->ndim - 1]);
            }
            ref_give(d, o * d->strides[0] + i * d->strides[1], sum, call->accumulate[1]);
        }
    }
}

static lt_status linear_backward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    int64_t n = linear_rows(call);
    if (call->need[0]) {
        linear_backward_x(call, n);
    }
    if (call->need[1]) {
        linear_backward_w(call, n);
    }
    if (call->n_in > 2 && call->need[2]) {
        const lth_array *d = call->grad_in[2];
        for (int64_t o = 0; o < d->shape[0]; o++) {
            double sum = 0;
            for (int64_t r = 0; r < n; r++) {
                sum += linear_up(call, r, o);
            }
            ref_give(d, o * d->strides[0], sum, call->accumulate[2]);
        }
    }
    return LT_OK;
}

const lth_kernel ref_linear = {linear_plan, linear_forward, linear_backward};
