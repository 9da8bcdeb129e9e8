/* backends/cpu/linear.c - LINEAR: y = act(x w^T + b). Bias and activation ride on the product; backward makes dz and the bias gradient in
 * one pass, then the two products, adding in place where asked. GELU keeps z in the workspace.
 * Refuses what is not plain f32, and empty arrays. */
#include "engine/backends/cpu/matmul.h"

typedef struct layer { int64_t rows, in, out; int act; bool gelu; } layer;

static layer layer_of(const lth_call *call) {
    const lth_array *x = call->in[0], *w = call->in[1];
    layer l = {.rows = 1, .in = w->shape[1], .out = w->shape[0], .act = (int)call->attrs->i[0]};
    for (int i = 0; i < x->ndim - 1; i++) {
        l.rows *= x->shape[i];
    }
    l.gelu = l.act == LT_ACT_GELU || l.act == LT_ACT_GELU_TANH;
    return l;
}
static bool linear_plan(lth_device *d, lth_call *call) {
    (void)d;
    const lth_array *b = call->n_in > 2 ? call->in[2] : NULL;
    if (!lth_plain_f32(call->in[0]) || !lth_plain_f32(call->in[1]) || (b && !lth_plain_f32(b)) || call->in[0]->ndim < 1 || call->in[1]->ndim != 2) {
        return false;
    }
    const layer l = layer_of(call);
    if (l.rows == 0 || l.in == 0 || l.out == 0 || l.act < 0 || l.act > LT_ACT_GELU_TANH) {
        return false;
    }
    call->workspace_bytes = l.gelu && call->save ? lth_floats((size_t)(l.rows * l.out)) : 0;
    return true;
}

enum { CHUNK = 32768 };
typedef struct pass { lth_device *d; layer l; int64_t step; const float *x, *dy, *y, *z; float *dz, *db, *to; } pass;
static int64_t rows_in(const pass *p, int64_t i) { return lth_min64(p->step, p->l.rows - i * p->step); }
static int64_t row_step(const layer *l) {
    const int64_t step = CHUNK / l->out;
    return step < 1 ? 1 : step;
}
static void activate_chunk(void *arg, int64_t i, int thread) {
    const pass *p = arg;
    const int64_t at = i * p->step * p->l.out;
    (void)thread;
    p->d->isa.bias_act(p->l.act == LT_ACT_GELU ? LTH_U_GELU : LTH_U_GELU_TANH, rows_in(p, i), p->l.out, p->x + at, p->to + at);
}
static lt_status linear_forward(lth_device *d, const lth_call *call, lth_error *err) {
    const layer l = layer_of(call);
    const lth_array *b = call->n_in > 2 ? call->in[2] : NULL;
    float *y = call->out[0]->data, *z = l.gelu && call->save ? call->workspace : y;
    const lt_status s = lth_cpu_product(d, lth_rows(call->in[0]->data, l.rows, l.in), lth_turned(lth_rows(call->in[1]->data, l.out, l.in)), b ? b->data : NULL,
                                        l.gelu ? 0 : l.act, lth_rows(z, l.rows, l.out), false, err);
    if (s >= 0 && l.gelu) {
        pass p = {.d = d, .l = l, .step = row_step(&l), .x = z, .to = y};
        lth_cpu_run(d, lth_div_up(l.rows, p.step), (double)(l.rows * l.out) * 1e-3, activate_chunk, &p);
    }
    return s;
}

static void gradient_chunk(void *arg, int64_t i, int thread) {
    const pass *p = arg;
    const int64_t at = i * p->step * p->l.out;
    (void)thread;
    float *db = p->db ? p->db + i * p->l.out : NULL;
    if (db) {
        memset(db, 0, (size_t)p->l.out * sizeof *db);
    }
    p->d->isa.act_back(p->l.act, rows_in(p, i), p->l.out, p->dy + at, p->y + at, p->z ? p->z + at : NULL, p->dz ? p->dz + at : NULL, db);
}
/* dz (dy itself where there is no activation) and the bias gradient: partial sums by chunk, added from the first to the last. */
static lt_status pre_gradient(lth_device *d, const lth_call *call, const layer *l, const float **dz, lth_error *err) {
    lth_array *db = call->n_in > 2 && call->need[2] ? call->grad_in[2] : NULL;
    *dz = call->grad_out[0]->data;
    if (l->act == LT_ACT_NONE && !db) {
        return LT_OK;
    }
    pass p = {.d = d, .l = *l, .step = row_step(l), .dy = call->grad_out[0]->data, .y = call->out[0]->data, .z = l->gelu ? call->workspace : NULL};
    const int64_t chunks = lth_div_up(l->rows, p.step);
    const size_t dz_bytes = l->act == LT_ACT_NONE ? 0 : lth_floats((size_t)(l->rows * l->out)), db_bytes = lth_floats((size_t)(chunks * l->out));
    char *scratch = lth_cpu_scratch(d, dz_bytes + db_bytes, err);
    if (!scratch) {
        return LT_ENOMEM;
    }
    p.dz = dz_bytes ? (float *)(void *)scratch : NULL;
    p.db = db ? (float *)(void *)(scratch + dz_bytes) : NULL;
    lth_cpu_run(d, chunks, (double)(l->rows * l->out) * (l->gelu ? 2e-3 : 3e-4), gradient_chunk, &p);
    for (int64_t i = 0; db && i < chunks; i++) {
        d->isa.scaled(l->out, db->data, p.db + i * l->out, 1.f, i > 0 || call->accumulate[2]);
    }
    *dz = p.dz ? p.dz : *dz;
    return LT_OK;
}
static lt_status linear_backward(lth_device *d, const lth_call *call, lth_error *err) {
    const layer l = layer_of(call);
    const float *dz = NULL;
    if (lth_cpu_no_gradient(d, call)) {
        return LT_OK;
    }
    lt_status s = pre_gradient(d, call, &l, &dz, err);
    const lth_mat g = lth_rows(dz, l.rows, l.out);
    if (s >= 0 && call->need[1]) {
        s = lth_cpu_product(d, lth_turned(g), lth_rows(call->in[0]->data, l.rows, l.in), NULL, 0, lth_rows(call->grad_in[1]->data, l.out, l.in),
                            call->accumulate[1], err);
    }
    if (s >= 0 && call->need[0]) {
        s = lth_cpu_product(d, g, lth_rows(call->in[1]->data, l.out, l.in), NULL, 0, lth_rows(call->grad_in[0]->data, l.rows, l.in), call->accumulate[0], err);
    }
    return s;
}
const lth_kernel lth_cpu_linear = {linear_plan, linear_forward, linear_backward};
