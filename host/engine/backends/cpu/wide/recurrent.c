/* backends/cpu/wide/recurrent.c - LSTM and GRU in f64: one layer, one direction. All products go through gemm.c; what lies between them is
 * done row by row of the batch. Workspace: gates (T, B, 4 H) after their activations (GRU: r, z, n and the hidden part of n), then cells
 * (T, B, H). Refuses other dtypes and arrays with gaps: choose() copies those. */
#include "engine/backends/cpu/wide/gemm.h"
#include "engine/backends/cpu/wide/wide.h"

enum { X, W_IH, W_HH, B_IH, B_HH, H0, C0 }; /* inputs */

typedef struct rnn {
    lth_device *d;
    const lth_call *call;
    bool gru;
    int64_t T, B, I, H, G;      /* G: gates with weights, 4 or 3 */
    int64_t step;
    double *gates, *cells;      /* workspace */
    double *from_x, *from_h;    /* forward: what x and h give the gates, (T, B, G H) and (B, G H); backward: gradients, both (T, B, G H) */
    double *before, *dh, *dc;   /* h before each step (T, B, H); gradients of the state (B, H) */
} rnn;

static const lth_array *input(const lth_call *call, int k) { return k < call->n_in ? call->in[k] : NULL; }
static const double *data_of(const lth_call *call, int k) { return input(call, k) ? input(call, k)->data : NULL; }
static int64_t time_of(const rnn *r, int64_t step) { return r->call->attrs->i[0] ? r->T - 1 - step : step; }

static rnn rnn_of(lth_device *d, const lth_call *call) {
    const lth_array *x = call->in[X];
    rnn r = {.d = d, .call = call, .gru = call->op == LTH_OP_GRU, .T = x->shape[0], .B = x->shape[1], .I = x->shape[2], .H = call->in[W_HH]->shape[1]};
    r.G = r.gru ? 3 : 4;
    r.gates = call->workspace;
    r.cells = r.gates ? r.gates + r.T * r.B * 4 * r.H : NULL;
    return r;
}
static bool rnn_plan(lth_device *d, lth_call *call) {
    for (int k = 0; k < call->n_in; k++) {
        if (call->in[k] && (call->in[k]->dtype != LT_F64 || !lth_plain(call->in[k]))) {
            return false;
        }
    }
    const rnn r = rnn_of(d, call);
    if (lth_count(call->in[X]) == 0) {
        return false;
    }
    call->workspace_bytes = (size_t)(r.T * r.B * 5 * r.H) * sizeof(double);
    return true;
}
/* Scratch, cut into parts of whole cache lines; a part of NULL size is none. */
static bool cut(rnn *r, double **const *to, const int64_t *sizes, int n, lth_error *err) {
    size_t bytes = 0;
    for (int k = 0; k < n; k++) {
        bytes += lth_floats((size_t)(2 * sizes[k]));
    }
    char *memory = lth_cpu_scratch(r->d, bytes, err);
    for (int k = 0; memory && k < n; k++) {
        *to[k] = (double *)(void *)memory;
        memory += lth_floats((size_t)(2 * sizes[k]));
    }
    return memory != NULL;
}

/* ---- forward ---- */
static const double *hidden_before(const rnn *r, int64_t step) { /* NULL: zeros */
    return step ? (const double *)r->call->out[0]->data + time_of(r, step - 1) * r->B * r->H : data_of(r->call, H0);
}
static void map(const rnn *r, lth_map op, double *x, int64_t n) {
    static const double none[2];
    r->d->isa.f64.map(op, n, x, x, none);
}
static void lstm_row(const rnn *r, int64_t b) {
    const int64_t H = r->H, at = (time_of(r, r->step) * r->B + b) * H;
    const double *x = r->from_x + 4 * at, *h = r->from_h + b * 4 * H, *c0 = data_of(r->call, C0);
    const double *c = r->step ? r->cells + (time_of(r, r->step - 1) * r->B + b) * H : c0 ? c0 + b * H : NULL;
    double *gate = r->gates + 4 * at, *cell = r->cells + at, *y = (double *)r->call->out[0]->data + at;
    for (int64_t j = 0; j < 4 * H; j++) {
        gate[j] = x[j] + h[j];
    }
    map(r, LTH_M_SIGMOID, gate, 2 * H);
    map(r, LTH_M_TANH, gate + 2 * H, H);
    map(r, LTH_M_SIGMOID, gate + 3 * H, H);
    for (int64_t j = 0; j < H; j++) {
        y[j] = cell[j] = gate[H + j] * (c ? c[j] : 0) + gate[j] * gate[2 * H + j];
    }
    map(r, LTH_M_TANH, y, H);
    for (int64_t j = 0; j < H; j++) {
        y[j] *= gate[3 * H + j];
    }
}
static void gru_row(const rnn *r, int64_t b) {
    const int64_t H = r->H, row = time_of(r, r->step) * r->B + b;
    const double *x = r->from_x + row * 3 * H, *h = r->from_h + b * 3 * H, *before = hidden_before(r, r->step);
    double *gate = r->gates + row * 4 * H, *y = (double *)r->call->out[0]->data + row * H;
    for (int64_t j = 0; j < 2 * H; j++) {
        gate[j] = x[j] + h[j];
    }
    map(r, LTH_M_SIGMOID, gate, 2 * H);
    for (int64_t j = 0; j < H; j++) {
        gate[3 * H + j] = h[2 * H + j];
        gate[2 * H + j] = x[2 * H + j] + gate[j] * h[2 * H + j];
    }
    map(r, LTH_M_TANH, gate + 2 * H, H);
    for (int64_t j = 0; j < H; j++) {
        y[j] = (1 - gate[H + j]) * gate[2 * H + j] + gate[H + j] * (before ? before[b * H + j] : 0);
    }
}
static void forward_row(void *arg, int64_t b, int thread) {
    const rnn *r = arg;
    (void)thread;
    (r->gru ? gru_row : lstm_row)(r, b);
}
static lt_status rnn_forward(lth_device *d, const lth_call *call, lth_error *err) {
    rnn r = rnn_of(d, call);
    const int64_t width = r.G * r.H, state = r.B * r.H, last = time_of(&r, r.T - 1) * state;
    if (!cut(&r, (double **const[]){&r.from_x, &r.from_h}, (const int64_t[]){r.T * r.B * width, r.B * width}, 2, err)) {
        return LT_ENOMEM;
    }
    lt_status status = lth_multiply_f64(d, &(lth_matrices){.M = r.T * r.B, .N = width, .K = r.I, .a = data_of(call, X), .a_item = r.I, .a_depth = 1,
                                        .b = data_of(call, W_IH), .b_item = r.I, .b_depth = 1, .c = r.from_x, .c_row = width, .bias = data_of(call, B_IH)},
                                        err);
    for (r.step = 0; r.step < r.T && status == LT_OK; r.step++) {
        const double *h = hidden_before(&r, r.step);
        status = lth_multiply_f64(d, &(lth_matrices){.M = r.B, .N = width, .K = h ? r.H : 0, .a = h, .a_item = r.H, .a_depth = 1, .b = data_of(call, W_HH),
                                  .b_item = r.H, .b_depth = 1, .c = r.from_h, .c_row = width, .bias = data_of(call, B_HH)}, err);
        if (status == LT_OK) {
            lth_cpu_run(d, r.B, (double)(r.B * width) * 2e-3, forward_row, &r);
        }
    }
    if (status == LT_OK) {
        memcpy(call->out[1]->data, (double *)call->out[0]->data + last, (size_t)state * sizeof(double));
        if (!r.gru) {
            memcpy(call->out[2]->data, r.cells + last, (size_t)state * sizeof(double));
        }
    }
    return status;
}

/* ---- backward ---- */
static void lstm_back_row(const rnn *r, int64_t b, const double *dh) {
    const int64_t H = r->H, at = (time_of(r, r->step) * r->B + b) * H;
    const double *gate = r->gates + 4 * at, *c0 = data_of(r->call, C0);
    const double *c = r->step ? r->cells + (time_of(r, r->step - 1) * r->B + b) * H : c0 ? c0 + b * H : NULL;
    double *to = r->from_x + 4 * at, *dc = r->dc + b * H;
    for (int64_t j = 0; j < H; j++) {
        to[j] = r->cells[at + j];
    }
    map(r, LTH_M_TANH, to, H);
    for (int64_t j = 0; j < H; j++) {
        const double i = gate[j], f = gate[H + j], g = gate[2 * H + j], o = gate[3 * H + j], t = to[j], d = dc[j] + dh[j] * o * (1 - t * t);
        to[j] = d * g * i * (1 - i);
        to[H + j] = d * (c ? c[j] : 0) * f * (1 - f);
        to[2 * H + j] = d * i * (1 - g * g);
        to[3 * H + j] = dh[j] * t * o * (1 - o);
        dc[j] = d * f;
    }
}
/* dh becomes its part that does not go through W_hh. */
static void gru_back_row(const rnn *r, int64_t b, double *dh) {
    const int64_t H = r->H, row = time_of(r, r->step) * r->B + b;
    const double *gate = r->gates + row * 4 * H, *h = r->before + row * H;
    double *x = r->from_x + row * 3 * H, *from_h = r->from_h + row * 3 * H;
    for (int64_t j = 0; j < H; j++) {
        const double reset = gate[j], z = gate[H + j], n = gate[2 * H + j], dn = dh[j] * (1 - z) * (1 - n * n);
        x[j] = from_h[j] = dn * gate[3 * H + j] * reset * (1 - reset);
        x[H + j] = from_h[H + j] = dh[j] * (h[j] - n) * z * (1 - z);
        x[2 * H + j] = dn;
        from_h[2 * H + j] = dn * reset;
        dh[j] *= z;
    }
}
static void backward_row(void *arg, int64_t b, int thread) {
    const rnn *r = arg;
    const lth_array *dy = r->call->grad_out[0];
    double *dh = r->dh + b * r->H;
    const double *from = dy ? (const double *)dy->data + (time_of(r, r->step) * r->B + b) * r->H : NULL;
    (void)thread;
    for (int64_t j = 0; from && j < r->H; j++) {
        dh[j] += from[j];
    }
    if (r->gru) {
        gru_back_row(r, b, dh);
    } else {
        lstm_back_row(r, b, dh);
    }
}
static void begin(double *to, const lth_array *gradient, int64_t n) {
    if (gradient) {
        memcpy(to, gradient->data, (size_t)n * sizeof *to);
    } else {
        memset(to, 0, (size_t)n * sizeof *to);
    }
}
static void add_up(const rnn *r, int k, const double *from, int64_t rows, int64_t cols) { /* the sum of rows into gradient k */
    if (!input(r->call, k) || !r->call->need[k]) {
        return;
    }
    double *to = r->call->grad_in[k]->data;
    for (int64_t j = 0; j < cols; j++) {
        double sum = 0;
        for (int64_t i = 0; i < rows; i++) {
            sum += from[i * cols + j];
        }
        to[j] = sum + (r->call->accumulate[k] ? to[j] : 0);
    }
}
/* Gradients of weights (G H, n) = from^T (G H, T B) what (T B, n). */
static lt_status weight(const rnn *r, int k, const double *from, const double *what, int64_t n, lth_error *err) {
    if (!r->call->need[k]) {
        return LT_OK;
    }
    return lth_multiply_f64(r->d, &(lth_matrices){.M = r->G * r->H, .N = n, .K = r->T * r->B, .a = from, .a_item = 1, .a_depth = r->G * r->H, .b = what,
                            .b_item = 1, .b_depth = n, .c = r->call->grad_in[k]->data, .c_row = n, .add = r->call->accumulate[k]}, err);
}
static lt_status steps_back(rnn *r, lth_error *err) {
    const int64_t width = r->G * r->H;
    lt_status status = LT_OK;
    for (r->step = r->T - 1; r->step >= 0 && status == LT_OK; r->step--) {
        lth_cpu_run(r->d, r->B, (double)(r->B * width) * 2e-3, backward_row, r);
        status = lth_multiply_f64(r->d, &(lth_matrices){.M = r->B, .N = r->H, .K = width, .a = r->from_h + time_of(r, r->step) * r->B * width, .a_item = width,
                                  .a_depth = 1, .b = data_of(r->call, W_HH), .b_item = 1, .b_depth = r->H, .c = r->dh, .c_row = r->H, .add = r->gru}, err);
    }
    return status;
}
static lt_status rnn_backward(lth_device *d, const lth_call *call, lth_error *err) {
    rnn r = rnn_of(d, call);
    const int64_t width = r.G * r.H, n = r.T * r.B, state = r.B * r.H;
    const int64_t sizes[] = {n * width, r.gru ? n * width : 0, n * r.H, state, state};
    if (!cut(&r, (double **const[]){&r.from_x, &r.from_h, &r.before, &r.dh, &r.dc}, sizes, 5, err)) {
        return LT_ENOMEM;
    }
    r.from_h = r.gru ? r.from_h : r.from_x;
    begin(r.dh, call->grad_out[1], state);
    begin(r.dc, r.gru ? NULL : call->grad_out[2], state);
    for (int64_t step = 0; step < r.T; step++) {
        const double *h = hidden_before(&r, step);
        double *to = r.before + time_of(&r, step) * state;
        for (int64_t i = 0; i < state; i++) {
            to[i] = h ? h[i] : 0;
        }
    }
    lt_status status = steps_back(&r, err);
    status = status == LT_OK ? weight(&r, W_IH, r.from_x, data_of(call, X), r.I, err) : status;
    status = status == LT_OK ? weight(&r, W_HH, r.from_h, r.before, r.H, err) : status;
    if (status == LT_OK && call->need[X]) {
        status = lth_multiply_f64(d, &(lth_matrices){.M = n, .N = r.I, .K = width, .a = r.from_x, .a_item = width, .a_depth = 1, .b = data_of(call, W_IH),
                                  .b_item = 1, .b_depth = r.I, .c = call->grad_in[X]->data, .c_row = r.I, .add = call->accumulate[X]}, err);
    }
    add_up(&r, B_IH, r.from_x, n, width);
    add_up(&r, B_HH, r.from_h, n, width);
    add_up(&r, H0, r.dh, 1, state);
    if (!r.gru) {
        add_up(&r, C0, r.dc, 1, state);
    }
    return status;
}
const lth_kernel lth_wide_recurrent = {rnn_plan, rnn_forward, rnn_backward};
