/* backends/cpu/linear_low.c - LINEAR in bf16: y = act(x w^T + b), sums in f32, each result rounded where PyTorch's separate operations
 * round: before the activation, and after it. Backward rounds the gradient before the activation, then makes the products of it.
 * Refuses mixed dtypes, strided arrays and activations beyond lt_linear's first six. */
#include "engine/backends/cpu/low.h"
#include "engine/backends/cpu/matmul.h"

typedef struct layer { int64_t rows, in, out; int act; bool gelu; } layer;

static layer layer_of(const lth_call *call) {
    const lth_array *x = call->in[0], *w = call->in[1];
    layer l = {.in = w->shape[1], .out = w->shape[0], .act = (int)call->attrs->i[0]};
    l.rows = l.in ? lth_count(x) / l.in : 0;
    l.gelu = l.act == LT_ACT_GELU || l.act == LT_ACT_GELU_TANH;
    return l;
}
static bool plain_low(const lth_array *a) { return a && a->dtype == LT_BF16 && lth_plain(a); }
static const lth_array *bias_of(const lth_call *call) { return call->n_in > 2 ? call->in[2] : NULL; }

static bool linear_plan(lth_device *d, lth_call *call) {
    const lth_array *b = bias_of(call);
    (void)d;
    if (!plain_low(call->in[0]) || !plain_low(call->in[1]) || (b && !plain_low(b)) || call->in[0]->ndim < 1 || call->in[1]->ndim != 2) {
        return false;
    }
    const layer l = layer_of(call);
    if (l.rows == 0 || l.in == 0 || l.out == 0 || l.act < 0 || l.act > LT_ACT_GELU_TANH) {
        return false;
    }
    call->workspace_bytes = l.gelu && call->save ? lth_floats((size_t)(l.rows * l.out + 1) / 2) : 0;
    return true;
}
static lt_status linear_forward(lth_device *d, const lth_call *call, lth_error *err) {
    const layer l = layer_of(call);
    const lth_large g = {.M = l.rows, .N = l.out, .K = l.in, .a = call->in[0]->data, .a_row = l.in, .a_col = 1, .a_low = true,
                         .b = call->in[1]->data, .b_row = 1, .b_col = l.in, .b_low = true, .bias = bias_of(call) ? bias_of(call)->data : NULL,
                         .bias_low = true, .c = call->out[0]->data, .c_row = l.out, .c_low = true, .act = l.act,
                         .z = l.gelu && call->save ? call->workspace : NULL};
    return lth_cpu_large(d, &g, err);
}

/* ---- backward ---- */
enum { CHUNK = 16384 };
typedef struct pass { lth_device *d; layer l; int64_t step; const uint16_t *dy, *y, *z; uint16_t *dz; float *db, *rows; } pass;

static int64_t chunk_rows(const layer *l) {
    const int64_t step = CHUNK / l->out;
    return step < 1 ? 1 : step;
}
/* A chunk of dz, rounded, and the columns' sums of what was rounded. */
static void gradient_chunk(void *arg, int64_t i, int thread) {
    const pass *p = arg;
    const int64_t at = i * p->step * p->l.out, rows = lth_min64(p->step, p->l.rows - i * p->step), n = rows * p->l.out;
    float *dy = p->rows + (size_t)thread * (size_t)(3 * p->step * p->l.out), *y = dy + p->step * p->l.out, *dz = y + p->step * p->l.out;
    const lth_cpu_isa *isa = &p->d->isa;
    isa->widen(LT_BF16, n, p->dy + at, dy);
    if (p->dz) {
        isa->widen(LT_BF16, n, (p->z ? p->z : p->y) + at, y);
        isa->act_back(p->l.act, rows, p->l.out, dy, y, y, dz, NULL);
        isa->narrow(LT_BF16, n, dz, p->dz + at);
        isa->widen(LT_BF16, n, p->dz + at, dy);
    }
    if (p->db) {
        float *db = p->db + i * p->l.out;
        memset(db, 0, (size_t)p->l.out * sizeof *db);
        isa->act_back(LT_ACT_NONE, rows, p->l.out, dy, dy, NULL, NULL, db);
    }
}
static void give_bias(const pass *p, int64_t chunks, const lth_array *to, bool add) {
    for (int64_t i = 1; i < chunks; i++) {
        p->d->isa.scaled(p->l.out, p->db, p->db + i * p->l.out, 1.f, true);
    }
    uint16_t *db = to->data;
    for (int64_t c = 0; c < p->l.out; c++) {
        const float sum = lth_f32_of_bf16(lth_bf16_of_f32(p->db[c])); /* PyTorch rounds the sum, then adds */
        db[c] = lth_bf16_of_f32(add ? lth_f32_of_bf16(db[c]) + sum : sum);
    }
}
/* dz (dy itself where there is no activation) and the bias gradient: partial sums by chunk, added from the first to the last. */
static lt_status pre_gradient(lth_device *d, const lth_call *call, const layer *l, const uint16_t **dz, lth_error *err) {
    const lth_array *db = call->n_in > 2 && call->need[2] ? call->grad_in[2] : NULL;
    *dz = call->grad_out[0]->data;
    if (l->act == LT_ACT_NONE && !db) {
        return LT_OK;
    }
    pass p = {.d = d, .l = *l, .step = chunk_rows(l), .dy = call->grad_out[0]->data, .y = call->out[0]->data, .z = l->gelu ? call->workspace : NULL};
    const int64_t chunks = lth_div_up(l->rows, p.step);
    const double us = (double)(l->rows * l->out) * (l->gelu ? 3e-3 : 1e-3);
    const size_t dz_bytes = l->act == LT_ACT_NONE ? 0 : lth_floats((size_t)(l->rows * l->out + 1) / 2), db_bytes = lth_floats((size_t)(chunks * l->out));
    const size_t rows_bytes = (size_t)lth_cpu_team(d, chunks, us) * (size_t)(3 * p.step * l->out) * sizeof(float);
    char *scratch = lth_cpu_scratch(d, dz_bytes + db_bytes + rows_bytes, err);
    if (!scratch) {
        return LT_ENOMEM;
    }
    p.dz = dz_bytes ? (uint16_t *)(void *)scratch : NULL;
    p.db = db ? (float *)(void *)(scratch + dz_bytes) : NULL;
    p.rows = (float *)(void *)(scratch + dz_bytes + db_bytes);
    lth_cpu_run(d, chunks, us, gradient_chunk, &p);
    if (db) {
        give_bias(&p, chunks, db, call->accumulate[2]);
    }
    *dz = p.dz ? p.dz : *dz;
    return LT_OK;
}
static lt_status linear_backward(lth_device *d, const lth_call *call, lth_error *err) {
    const layer l = layer_of(call);
    const uint16_t *dz = NULL;
    if (lth_cpu_no_gradient(d, call)) {
        return LT_OK;
    }
    lt_status s = pre_gradient(d, call, &l, &dz, err);
    if (s >= 0 && call->need[1]) { /* dw = dz^T x */
        const lth_large g = {.M = l.out, .N = l.in, .K = l.rows, .a = dz, .a_row = 1, .a_col = l.out, .a_low = true, .b = call->in[0]->data,
                             .b_row = l.in, .b_col = 1, .b_low = true, .c = call->grad_in[1]->data, .c_row = l.in, .c_low = true,
                             .add = call->accumulate[1]};
        s = lth_cpu_large(d, &g, err);
    }
    if (s >= 0 && call->need[0]) { /* dx = dz w */
        const lth_large g = {.M = l.rows, .N = l.in, .K = l.out, .a = dz, .a_row = l.out, .a_col = 1, .a_low = true, .b = call->in[1]->data,
                             .b_row = l.in, .b_col = 1, .b_low = true, .c = call->grad_in[0]->data, .c_row = l.in, .c_low = true,
                             .add = call->accumulate[0]};
        s = lth_cpu_large(d, &g, err);
    }
    return s;
}
const lth_kernel lth_low_linear = {linear_plan, linear_forward, linear_backward};
