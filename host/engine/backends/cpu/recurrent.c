/* backends/cpu/recurrent.c - LSTM and GRU: one layer, one direction, f32. Each chunk of the batch runs through all of time alone, so that
 * threads never wait for one another within a sequence; weights are packed once per call.
 * Rows a = [x | h before | 1 | 0..] are kept: one product of the gates' gradients with them gives all weight and bias gradients at once.
 * Refuses other dtypes, x without dense rows, and weights that are not contiguous: the fallback does them. */
#include "engine/backends/cpu/cpu.h"

enum { X, W_IH, W_HH, B_IH, B_HH, H0, C0 }; /* inputs */
enum { CHUNK_ROWS = 32, GROUP_ROWS = 256 };

typedef struct rnn {
    lth_device *d;
    const lth_call *call;
    bool gru, reverse;
    int64_t T, B, I, H, K, a_row;   /* K: I + H; a_row: with the 1, whole cache lines */
    int64_t d_row;                  /* of dgates: 4 H and a line, so that rows do not meet in the same sets of the cache */
    int64_t rows, chunks;           /* of the batch */
    float *a, *gates, *cells, *tanhs; /* workspace: (T, B, a_row), (T, B, 4H), (T + 1, B, H) by step, (T, B, H) */
    float *weights, *bias, *weights_x; /* packed; scratch, as what follows */
    float *dgates, *dh, *dc, *dw;
    int64_t group;                /* backward: most steps in a group; of the one at hand: its steps, its first row in x and a, its rows in dgates */
    int64_t from, to, first_row, group_rows;
} rnn;

static const lth_array *input(const lth_call *call, int k) { return k < call->n_in ? call->in[k] : NULL; }
static int64_t time_of(const rnn *r, int64_t step) { return r->reverse ? r->T - 1 - step : step; }

static rnn rnn_of(lth_device *d, const lth_call *call) {
    const lth_array *x = call->in[X];
    rnn r = {.d = d, .call = call, .gru = call->op == LTH_OP_GRU, .reverse = call->attrs->i[0] != 0, .T = x->shape[0], .B = x->shape[1], .I = x->shape[2],
             .H = call->in[W_HH]->shape[1]};
    r.K = r.I + r.H;
    r.a_row = (r.K + 16) & ~(int64_t)15;
    r.d_row = (4 * r.H + 31) & ~(int64_t)15;
    r.chunks = lth_div_up(r.B, CHUNK_ROWS);
    r.rows = r.chunks ? lth_div_up(r.B, r.chunks) : 0;
    const int64_t n = r.T * r.B;
    r.a = call->workspace;
    r.cells = r.a ? r.a + n * r.a_row : NULL;
    if (call->save && r.a) {
        r.gates = r.cells + (r.gru ? 0 : (r.T + 1) * r.B * r.H);
        r.tanhs = r.gates + 4 * n * r.H;
    }
    return r;
}

static bool rnn_plan(lth_device *d, lth_call *call) {
    const lth_array *x = call->in[X];
    bool good = x && x->dtype == LT_F32 && x->layout == LTH_STRIDED && lth_count(x) > 0 && (x->strides[2] == 1 || x->shape[2] == 1);
    for (int k = W_IH; good && k < call->n_in; k++) {
        good = !call->in[k] || lth_plain_f32(call->in[k]);
    }
    if (!good) {
        return false;
    }
    const rnn r = rnn_of(d, call);
    const int64_t states = r.gru ? 0 : (call->save ? r.T + 1 : 1) * r.B * r.H, kept = call->save ? (r.gru ? 4 : 5) * r.T * r.B * r.H : 0;
    call->workspace_bytes = lth_floats((size_t)(r.T * r.B * r.a_row + states + kept));
    return true;
}

/* Cuts the next `floats` from scratch memory. */
static float *take(char **memory, int64_t floats) {
    float *p = (float *)(void *)*memory;
    *memory += lth_floats((size_t)floats);
    return p;
}

static double cost_us(const rnn *r, double products) { return products * 2e-5 * (double)(r->T * r->B) * 4 * (double)r->H * (double)r->K; }

/* ---- forward ---- */
static void fill_rows(const rnn *r, int64_t b0, int64_t rows) {
    const lth_array *x = r->call->in[X], *h0 = input(r->call, H0);
    const float *from = x->data;
    for (int64_t t = 0; t < r->T; t++) {
        for (int64_t b = b0; b < b0 + rows; b++) {
            float *to = r->a + (t * r->B + b) * r->a_row;
            memcpy(to, from + t * x->strides[0] + b * x->strides[1], (size_t)r->I * sizeof *to);
            to[r->K] = 1;
            for (int64_t k = r->K + 1; k < r->a_row; k++) {
                to[k] = 0;
            }
        }
    }
    for (int64_t b = b0; b < b0 + rows; b++) {
        float *to = r->a + (time_of(r, 0) * r->B + b) * r->a_row + r->I;
        if (h0) {
            memcpy(to, lth_f32(h0) + b * r->H, (size_t)r->H * sizeof *to);
        } else {
            memset(to, 0, (size_t)r->H * sizeof *to);
        }
    }
}

static void forward_chunk(void *arg, int64_t chunk, int thread) {
    const rnn *r = arg;
    const int64_t b0 = chunk * r->rows, rows = lth_min64(r->rows, r->B - b0), H = r->H;
    const lth_array *h0 = input(r->call, H0), *c0 = r->gru ? NULL : input(r->call, C0);
    const size_t state = (size_t)(rows * H) * sizeof(float);
    (void)thread;
    if (rows <= 0) {
        return;
    }
    fill_rows(r, b0, rows);
    if (!r->gru) {
        if (c0) {
            memcpy(r->cells + b0 * H, lth_f32(c0) + b0 * H, state);
        } else {
            memset(r->cells + b0 * H, 0, state);
        }
    }
    lth_rnn_step s = {.rows = rows, .I = r->I, .H = H, .a_row = r->a_row, .weights = r->weights, .bias = r->bias};
    for (int64_t step = 0; step < r->T; step++) {
        const int64_t t = time_of(r, step), row = t * r->B + b0;
        s.K = step || h0 ? r->K : r->I;
        s.a = r->a + row * r->a_row;
        s.gates = r->gates ? r->gates + row * 4 * H : NULL;
        s.y = lth_f32(r->call->out[0]) + row * H;
        s.next = step + 1 < r->T ? r->a + (time_of(r, step + 1) * r->B + b0) * r->a_row + r->I : NULL;
        if (!r->gru) {
            s.cell = r->cells + ((r->gates ? step : 0) * r->B + b0) * H;
            s.cell_next = r->cells + ((r->gates ? step + 1 : 0) * r->B + b0) * H;
            s.cell_tanh = r->tanhs ? r->tanhs + row * H : NULL;
        }
        (r->gru ? r->d->isa.gru_step : r->d->isa.lstm_step)(&s);
    }
    memcpy(lth_f32(r->call->out[1]) + b0 * H, s.y, state);
    if (!r->gru) {
        memcpy(lth_f32(r->call->out[2]) + b0 * H, s.cell_next, state);
    }
}

static lt_status rnn_forward(lth_device *d, const lth_call *call, lth_error *err) {
    rnn r = rnn_of(d, call);
    const int gates = r.gru ? 3 : 4;
    const lth_array *bi = input(call, B_IH), *bh = input(call, B_HH);
    const int64_t packed = (int64_t)d->isa.cell_floats(gates, r.H, r.K), biases = (int64_t)d->isa.cell_floats(4, r.H, 1);
    char *memory = lth_cpu_scratch(d, lth_floats((size_t)packed) + lth_floats((size_t)biases), err);
    if (!memory) {
        return LT_ENOMEM;
    }
    r.weights = take(&memory, packed);
    r.bias = take(&memory, biases);
    d->isa.cell_pack(gates, r.H, r.K, 0, r.I, call->in[W_IH]->data, r.weights);
    d->isa.cell_pack(gates, r.H, r.K, r.I, r.H, call->in[W_HH]->data, r.weights);
    d->isa.cell_bias(r.gru, r.H, bi ? bi->data : NULL, bh ? bh->data : NULL, r.bias);
    lth_cpu_run(d, r.chunks, cost_us(&r, 1), forward_chunk, &r);
    return LT_OK;
}

/* ---- backward ---- */
static void begin_state(float *to, const lth_array *gradient, int64_t at, int64_t n) {
    if (gradient) {
        memcpy(to, lth_f32(gradient) + at, (size_t)n * sizeof *to);
    } else {
        memset(to, 0, (size_t)n * sizeof *to);
    }
}

static void backward_chunk(void *arg, int64_t chunk, int thread) {
    const rnn *r = arg;
    const int64_t b0 = chunk * r->rows, rows = lth_min64(r->rows, r->B - b0), H = r->H;
    const lth_array *dy = r->call->grad_out[0];
    const bool first = input(r->call, H0) && r->call->need[H0];
    (void)thread;
    if (rows <= 0) {
        return;
    }
    lth_rnn_back s = {.rows = rows, .I = r->I, .H = H, .a_row = r->a_row, .d_row = r->d_row, .dh = r->dh + b0 * H, .dc = r->dc + b0 * H};
    if (r->to == r->T) {
        begin_state(s.dh, r->call->grad_out[1], b0 * H, rows * H);
        begin_state(s.dc, r->gru ? NULL : r->call->grad_out[2], b0 * H, rows * H);
    }
    for (int64_t step = r->to - 1; step >= r->from; step--) {
        const int64_t row = time_of(r, step) * r->B + b0;
        s.a = r->a + row * r->a_row;
        s.gates = r->gates + row * 4 * H;
        s.dgates = r->dgates + (row - r->first_row) * r->d_row;
        s.dy = dy ? lth_f32(dy) + row * H : NULL;
        if (r->gru) {
            r->d->isa.gru_back(&s);
        } else {
            s.cell = r->cells + (step * r->B + b0) * H;
            s.cell_tanh = r->tanhs + row * H;
            r->d->isa.lstm_back(&s);
        }
        if (step || first) { /* GRU: r, z and the hidden part of n stand in the last 3 H */
            r->d->isa.panel_product(rows, H, r->gru ? 3 * H : 4 * H, s.dgates + (r->gru ? H : 0), r->d_row, r->weights, s.dh, H, r->gru);
        }
    }
}

enum { OUT_ROWS = 54, X_ROWS = 96 };
static void weights_chunk(void *arg, int64_t chunk, int thread) {
    const rnn *r = arg;
    const int64_t m = chunk * OUT_ROWS;
    (void)thread;
    r->d->isa.outer_product(r->group_rows, lth_min64(OUT_ROWS, 4 * r->H - m), r->a_row, r->dgates + m, r->d_row, r->a + r->first_row * r->a_row, r->a_row,
                            r->dw + m * r->a_row, r->a_row, r->to < r->T);
}

/* Rows of one gate from dw to the gradients of W, columns from `at` on, and of its bias. */
static void hand_out(const rnn *r, int w, int64_t gate_from, int64_t gate_to, int64_t at, int64_t n) {
    const int bias = w == W_IH ? B_IH : B_HH;
    for (int64_t j = 0; j < r->H; j++) {
        const float *from = r->dw + (gate_from * r->H + j) * r->a_row;
        const int64_t to = gate_to * r->H + j;
        if (r->call->need[w]) {
            r->d->isa.scaled(n, lth_f32(r->call->grad_in[w]) + to * n, from + at, 1.f, r->call->accumulate[w]);
        }
        if (input(r->call, bias) && r->call->need[bias]) {
            float *db = lth_f32(r->call->grad_in[bias]) + to;
            *db = r->call->accumulate[bias] ? *db + from[r->K] : from[r->K];
        }
    }
}

static bool wants_weights(const rnn *r) {
    bool any = false;
    for (int k = W_IH; k <= B_HH; k++) {
        any |= input(r->call, k) && r->call->need[k];
    }
    return any;
}

static void hand_out_weights(const rnn *r) {
    static const int8_t lstm[4] = {0, 1, 2, 3}, gru_x[3] = {1, 2, 0}, gru_h[3] = {1, 2, 3}; /* gates where dgates have them */
    for (int64_t gate = 0; gate < (r->gru ? 3 : 4); gate++) {
        hand_out(r, W_IH, r->gru ? gru_x[gate] : lstm[gate], gate, 0, r->I);
        hand_out(r, W_HH, r->gru ? gru_h[gate] : lstm[gate], gate, r->I, r->H);
    }
}

static void x_chunk(void *arg, int64_t chunk, int thread) {
    const rnn *r = arg;
    const int64_t m = chunk * X_ROWS;
    (void)thread;
    r->d->isa.panel_product(lth_min64(X_ROWS, r->group_rows - m), r->I, (r->gru ? 3 : 4) * r->H, r->dgates + m * r->d_row, r->d_row, r->weights_x,
                            lth_f32(r->call->grad_in[X]) + (r->first_row + m) * r->I, r->I, r->call->accumulate[X]);
}

/* W_ih as the gradient of x takes it; GRU's in rows as dgates have them: n, r, z. */
static void pack_for_x(const rnn *r, float *turned) {
    const float *w = r->call->in[W_IH]->data;
    const int64_t part = r->H * r->I;
    if (r->gru) {
        memcpy(turned, w + 2 * part, (size_t)part * sizeof *w);
        memcpy(turned + part, w, (size_t)(2 * part) * sizeof *w);
        w = turned;
    }
    r->d->isa.panel_pack((r->gru ? 3 : 4) * r->H, r->I, w, r->weights_x);
}

/* Through time, last step first, a group of steps at once: what a group leaves for the products over all rows is still in the cache. */
static void backward_groups(rnn *r) {
    const bool weights = wants_weights(r);
    for (r->to = r->T; r->to > 0; r->to = r->from) {
        r->from = r->to > r->group ? r->to - r->group : 0;
        r->first_row = (r->reverse ? time_of(r, r->to - 1) : r->from) * r->B;
        r->group_rows = (r->to - r->from) * r->B;
        const double share = (double)(r->to - r->from) / (double)r->T;
        lth_cpu_run(r->d, r->chunks, cost_us(r, share), backward_chunk, r);
        if (weights) {
            lth_cpu_run(r->d, lth_div_up(4 * r->H, OUT_ROWS), cost_us(r, share), weights_chunk, r);
        }
        if (r->call->need[X]) {
            lth_cpu_run(r->d, lth_div_up(r->group_rows, X_ROWS), cost_us(r, share * (double)r->I / (double)r->K), x_chunk, r);
        }
    }
    if (weights) {
        hand_out_weights(r);
    }
}

static void add_state(const rnn *r, int k, const float *from) {
    if (input(r->call, k) && r->call->need[k]) {
        r->d->isa.scaled(r->B * r->H, r->call->grad_in[k]->data, from, 1.f, r->call->accumulate[k]);
    }
}

static lt_status rnn_backward(lth_device *d, const lth_call *call, lth_error *err) {
    rnn r = rnn_of(d, call);
    const int gates = r.gru ? 3 : 4;
    r.group = lth_min64(r.T, lth_div_up(GROUP_ROWS, r.B));
    const int64_t packed = (int64_t)d->isa.panel_floats(gates * r.H, r.H), state = r.B * r.H, group = r.group * r.B * r.d_row;
    const int64_t for_x = call->need[X] ? (int64_t)d->isa.panel_floats(gates * r.H, r.I) : 0, turned = for_x && r.gru ? 3 * r.H * r.I : 0;
    const int64_t sizes[] = {packed, for_x, turned, group, state, state, 4 * r.H * r.a_row};
    size_t bytes = 0;
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        bytes += lth_floats((size_t)sizes[k]);
    }
    char *memory = lth_cpu_scratch(d, bytes, err);
    if (!memory) {
        return LT_ENOMEM;
    }
    r.weights = take(&memory, packed);
    r.weights_x = take(&memory, for_x);
    float *rows = take(&memory, turned);
    r.dgates = take(&memory, group);
    r.dh = take(&memory, state);
    r.dc = take(&memory, state);
    r.dw = take(&memory, 4 * r.H * r.a_row);
    d->isa.panel_pack(gates * r.H, r.H, call->in[W_HH]->data, r.weights);
    if (call->need[X]) {
        pack_for_x(&r, rows);
    }
    backward_groups(&r);
    add_state(&r, H0, r.dh);
    if (!r.gru) {
        add_state(&r, C0, r.dc);
    }
    return LT_OK;
}

const lth_kernel lth_cpu_lstm = {rnn_plan, rnn_forward, rnn_backward};
const lth_kernel lth_cpu_gru = {rnn_plan, rnn_forward, rnn_backward};
