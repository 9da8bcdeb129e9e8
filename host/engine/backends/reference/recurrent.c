/* engine/backends/reference/recurrent.c - one layer of LSTM or GRU in one direction, step after step; every dtype.
 * Workspace in doubles: gates (T, B, 4, H) after their activations (GRU: r, z, n and the hidden part of n), cells (T, B, H), then what
 * backward makes: gradients before the activations, seen from x and seen from h, and of the state. Saved values are never overwritten. */
#include "engine/backends/reference/reference.h"

enum { X, W_IH, W_HH, B_IH, B_HH, H0, C0 }; /* inputs */

typedef struct rnn {
    const lth_call *call;
    bool gru;
    int64_t T, B, I, H, G;          /* G: gates with weights, 4 or 3 */
    double *gates, *cells, *from_x, *from_h, *dh, *dc;
} rnn;

static const lth_array *input(const rnn *r, int k) { return k < r->call->n_in ? r->call->in[k] : NULL; }

static rnn rnn_of(const lth_call *call) {
    const lth_array *x = call->in[X], *w = call->in[W_HH];
    rnn r = {.call = call, .gru = call->op == LTH_OP_GRU, .T = x->shape[0], .B = x->shape[1], .I = x->shape[2], .H = w->shape[1]};
    r.G = r.gru ? 3 : 4;
    int64_t n = r.T * r.B * r.H;
    r.gates = call->workspace;
    r.cells = r.gates + 4 * n;
    r.from_x = r.cells + n;
    r.from_h = r.from_x + 4 * n;
    r.dh = r.from_h + 4 * n;
    r.dc = r.dh + r.B * r.H;
    return r;
}

static bool rnn_plan(lth_device *device, lth_call *call) {
    (void)device;
    const lth_array *x = call->in[X];
    int64_t H = call->in[W_HH]->shape[1], n = x->shape[0] * x->shape[1] * H;
    return ref_plan_with(call, (13 * n + 2 * x->shape[1] * H) * (int64_t)sizeof(double));
}

/* ---- elements ---- */
static double get3(const lth_array *a, int64_t i, int64_t j, int64_t k) { return ref_get(a, i * a->strides[0] + j * a->strides[1] + k * a->strides[2]); }
static double get2(const lth_array *a, int64_t i, int64_t j) { return a ? ref_get(a, i * a->strides[0] + j * a->strides[1]) : 0; }
static double get1(const lth_array *a, int64_t i) { return a ? ref_get(a, i * a->strides[0]) : 0; }
static double sigmoid(double v) { return 1 / (1 + exp(-v)); }

/* The time of step s, and the state before it (step 0: the initial one). */
static int64_t time_of(const rnn *r, int64_t s) { return r->call->attrs->i[0] ? r->T - 1 - s : s; }
static double hidden_before(const rnn *r, int64_t s, int64_t b, int64_t j) {
    return s ? get3(r->call->out[0], time_of(r, s - 1), b, j) : get2(input(r, H0), b, j);
}
static double cell_before(const rnn *r, int64_t s, int64_t b, int64_t j) {
    return s ? r->cells[(time_of(r, s - 1) * r->B + b) * r->H + j] : get2(input(r, C0), b, j);
}

/* ---- forward ---- */
static double part_of_x(const rnn *r, int64_t t, int64_t b, int64_t row) {
    double sum = get1(input(r, B_IH), row);
    for (int64_t i = 0; i < r->I; i++) {
        sum += get3(input(r, X), t, b, i) * get2(input(r, W_IH), row, i);
    }
    return sum;
}

static double part_of_h(const rnn *r, int64_t s, int64_t b, int64_t row) {
    double sum = get1(input(r, B_HH), row);
    for (int64_t j = 0; j < r->H; j++) {
        sum += hidden_before(r, s, b, j) * get2(input(r, W_HH), row, j);
    }
    return sum;
}

/* One unit's next hidden value. */
static double lstm_unit(const rnn *r, int64_t s, int64_t b, int64_t j) {
    int64_t t = time_of(r, s), at = (t * r->B + b) * r->H;
    double *gate = r->gates + 4 * at + j;
    for (int64_t g = 0; g < 4; g++) {
        double v = part_of_x(r, t, b, g * r->H + j) + part_of_h(r, s, b, g * r->H + j);
        gate[g * r->H] = g == 2 ? tanh(v) : sigmoid(v);
    }
    double c = gate[r->H] * cell_before(r, s, b, j) + gate[0] * gate[2 * r->H];
    r->cells[at + j] = c;
    return gate[3 * r->H] * tanh(c);
}

static double gru_unit(const rnn *r, int64_t s, int64_t b, int64_t j) {
    int64_t t = time_of(r, s), H = r->H;
    double *gate = r->gates + 4 * (t * r->B + b) * H + j;
    for (int64_t g = 0; g < 2; g++) {
        gate[g * H] = sigmoid(part_of_x(r, t, b, g * H + j) + part_of_h(r, s, b, g * H + j));
    }
    gate[3 * H] = part_of_h(r, s, b, 2 * H + j);
    gate[2 * H] = tanh(part_of_x(r, t, b, 2 * H + j) + gate[0] * gate[3 * H]);
    return (1 - gate[H]) * gate[2 * H] + gate[H] * hidden_before(r, s, b, j);
}

static lt_status rnn_forward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    rnn r = rnn_of(call);
    const lth_array *y = call->out[0], *h = call->out[1], *c = r.gru ? NULL : call->out[2];
    for (int64_t s = 0; s < r.T; s++) {
        int64_t t = time_of(&r, s);
        for (int64_t b = 0; b < r.B; b++) {
            for (int64_t j = 0; j < r.H; j++) {
                double v = r.gru ? gru_unit(&r, s, b, j) : lstm_unit(&r, s, b, j);
                ref_set(y, t * y->strides[0] + b * y->strides[1] + j * y->strides[2], v);
                if (s == r.T - 1) {
                    ref_set(h, b * h->strides[0] + j * h->strides[1], v);
                    if (c) {
                        ref_set(c, b * c->strides[0] + j * c->strides[1], r.cells[(t * r.B + b) * r.H + j]);
                    }
                }
            }
        }
    }
    return LT_OK;
}

/* ---- backward ---- */
/* Gradients before the activations of one unit; its part of dh and dc that does not go through W_hh. */
static void lstm_unit_back(const rnn *r, int64_t s, int64_t b, int64_t j, double dh) {
    int64_t H = r->H, at = (time_of(r, s) * r->B + b) * H;
    const double *gate = r->gates + 4 * at + j;
    double i = gate[0], f = gate[H], g = gate[2 * H], o = gate[3 * H], tc = tanh(r->cells[at + j]), *to = r->from_x + 4 * at + j;
    double *dc = &r->dc[b * H + j], d = *dc + dh * o * (1 - tc * tc);
    to[0] = d * g * i * (1 - i);
    to[H] = d * cell_before(r, s, b, j) * f * (1 - f);
    to[2 * H] = d * i * (1 - g * g);
    to[3 * H] = dh * tc * o * (1 - o);
    *dc = d * f;
    for (int k = 0; k < 4; k++) {
        r->from_h[4 * at + k * H + j] = to[k * H];
    }
    r->dh[b * H + j] = 0;
}

static void gru_unit_back(const rnn *r, int64_t s, int64_t b, int64_t j, double dh) {
    int64_t H = r->H, at = (time_of(r, s) * r->B + b) * H;
    const double *gate = r->gates + 4 * at + j;
    double reset = gate[0], z = gate[H], n = gate[2 * H], hn = gate[3 * H], *to = r->from_x + 4 * at + j, *to_h = r->from_h + 4 * at + j;
    to[2 * H] = dh * (1 - z) * (1 - n * n);
    to[H] = to_h[H] = dh * (hidden_before(r, s, b, j) - n) * z * (1 - z);
    to[0] = to_h[0] = to[2 * H] * hn * reset * (1 - reset);
    to_h[2 * H] = to[2 * H] * reset;
    r->dh[b * H + j] = dh * z;
}

static void through_time(const rnn *r) {
    const lth_call *call = r->call;
    const lth_array *gy = call->grad_out[0], *gh = call->grad_out[1], *gc = r->gru ? NULL : call->grad_out[2];
    for (int64_t b = 0; b < r->B; b++) {
        for (int64_t j = 0; j < r->H; j++) {
            r->dh[b * r->H + j] = get2(gh, b, j);
            r->dc[b * r->H + j] = get2(gc, b, j);
        }
    }
    for (int64_t s = r->T - 1; s >= 0; s--) {
        int64_t t = time_of(r, s);
        for (int64_t b = 0; b < r->B; b++) {
            for (int64_t j = 0; j < r->H; j++) {
                double dh = r->dh[b * r->H + j] + (gy ? get3(gy, t, b, j) : 0);
                (r->gru ? gru_unit_back : lstm_unit_back)(r, s, b, j, dh);
            }
            for (int64_t j = 0; j < r->H; j++) {
                for (int64_t row = 0; row < r->G * r->H; row++) {
                    r->dh[b * r->H + j] += r->from_h[4 * (t * r->B + b) * r->H + row] * get2(input(r, W_HH), row, j);
                }
            }
        }
    }
}

/* Weight and bias gradients of one side: x's, or h's. */
static void weight_gradients(const rnn *r, bool hidden) {
    const lth_call *call = r->call;
    int w = hidden ? W_HH : W_IH, bias = hidden ? B_HH : B_IH;
    const double *g = hidden ? r->from_h : r->from_x;
    for (int64_t row = 0; row < r->G * r->H; row++) {
        double all = 0;
        for (int64_t i = 0; call->need[w] && i < (hidden ? r->H : r->I); i++) {
            double sum = 0;
            for (int64_t s = 0; s < r->T; s++) {
                int64_t t = time_of(r, s);
                for (int64_t b = 0; b < r->B; b++) {
                    sum += g[4 * (t * r->B + b) * r->H + row] * (hidden ? hidden_before(r, s, b, i) : get3(input(r, X), t, b, i));
                }
            }
            const lth_array *d = call->grad_in[w];
            ref_give(d, row * d->strides[0] + i * d->strides[1], sum, call->accumulate[w]);
        }
        for (int64_t n = 0; n < r->T * r->B; n++) {
            all += g[4 * n * r->H + row];
        }
        if (input(r, bias) && call->need[bias]) {
            ref_give(call->grad_in[bias], row * call->grad_in[bias]->strides[0], all, call->accumulate[bias]);
        }
    }
}

static void x_gradient(const rnn *r) {
    const lth_array *d = r->call->grad_in[X];
    for (int64_t t = 0; t < r->T; t++) {
        for (int64_t b = 0; b < r->B; b++) {
            for (int64_t i = 0; i < r->I; i++) {
                double sum = 0;
                for (int64_t row = 0; row < r->G * r->H; row++) {
                    sum += r->from_x[4 * (t * r->B + b) * r->H + row] * get2(input(r, W_IH), row, i);
                }
                ref_give(d, t * d->strides[0] + b * d->strides[1] + i * d->strides[2], sum, r->call->accumulate[X]);
            }
        }
    }
}

static lt_status rnn_backward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    rnn r = rnn_of(call);
    through_time(&r);
    weight_gradients(&r, false);
    weight_gradients(&r, true);
    if (call->need[X]) {
        x_gradient(&r);
    }
    for (int k = H0; k <= C0; k++) { /* what is left of the state's gradients */
        const lth_array *d = input(&r, k) && call->need[k] ? call->grad_in[k] : NULL;
        for (int64_t n = 0; d && n < r.B * r.H; n++) {
            ref_give(d, n / r.H * d->strides[0] + n % r.H * d->strides[1], (k == H0 ? r.dh : r.dc)[n], call->accumulate[k]);
        }
    }
    return LT_OK;
}

const lth_kernel ref_lstm = {rnn_plan, rnn_forward, rnn_backward};
const lth_kernel ref_gru = {rnn_plan, rnn_forward, rnn_backward};
