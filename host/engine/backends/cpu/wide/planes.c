/* backends/cpu/wide/planes.c - ADAPTIVE_AVG_POOL2D, ADAPTIVE_MAX_POOL2D, INTERPOLATE (a plane a chunk), GROUP_NORM (a group of an image)
 * and RMS_NORM (some rows), in f32 and f64. Refuses strided and empty arrays. Sums in double, in an order of the shape's. */
#include "engine/backends/cpu/wide/wide.h"
#include "engine/backends/cpu/cpu.h"
#include <math.h>

typedef struct bounds { int64_t h0, h1, w0, w1; } bounds;
typedef struct place { int64_t low, high; double share; } place; /* what a row or column of the output reads; share: of `high` */
typedef struct planes {
    int64_t H, W, OH, OW;
    bool max, linear, add, wide;
    const void *x, *dy;
    void *y, *dx;
    const place *places;
} planes;
typedef struct rows {
    int64_t groups, per, rest, count, step; /* rest: elements of a channel, or of a row */
    const void *x, *w, *b, *dy;
    void *y, *dx;
    double *saved, *parts, eps;
    bool add, wide;
} rows;

static bounds bounds_of(const planes *p, int64_t o) {
    const int64_t oh = o / p->OW, ow = o % p->OW;
    return (bounds){oh * p->H / p->OH, ((oh + 1) * p->H + p->OH - 1) / p->OH, ow * p->W / p->OW, ((ow + 1) * p->W + p->OW - 1) / p->OW};
}
#define T float
#define F(name) name##_f32
#include "engine/backends/cpu/wide/planes_body.h"
#define T double
#define F(name) name##_f64
#include "engine/backends/cpu/wide/planes_body.h"

static const lth_array *optional(const lth_call *call, int k) { return k < call->n_in ? call->in[k] : NULL; }
static bool all_plain(const lth_call *call) {
    const lt_dtype dtype = call->in[0]->dtype;
    bool good = (dtype == LT_F32 || dtype == LT_F64) && lth_count(call->out[0]) > 0;
    for (int k = 0; k < call->n_in; k++) {
        good = good && (!call->in[k] || (call->in[k]->dtype == dtype && lth_plain(call->in[k]) && lth_count(call->in[k])));
    }
    return good;
}

/* ---- planes ---- */
static planes planes_of(const lth_call *call) {
    const lth_array *x = call->in[0], *y = call->out[0];
    return (planes){.H = x->shape[2], .W = x->shape[3], .OH = y->shape[2], .OW = y->shape[3], .max = call->op == LTH_OP_ADAPTIVE_MAX_POOL2D,
                    .linear = call->attrs->i[0] == 1, .wide = x->dtype == LT_F64, .x = x->data, .y = y->data, .places = call->workspace};
}
static void plane_grads(planes *p, const lth_call *call) {
    p->dy = call->grad_out[0]->data, p->dx = call->grad_in[0]->data, p->add = call->accumulate[0];
}
static double plane_cost(const lth_call *call) { return (double)(lth_count(call->in[0]) + lth_count(call->out[0])) * 1.5e-3; }
static bool adaptive_plan(lth_device *d, lth_call *call) {
    (void)d;
    return all_plain(call);
}
static void adaptive_chunk(void *arg, int64_t plane, int thread) {
    const planes *p = arg;
    (void)thread;
    (p->wide ? adaptive_plane_f64 : adaptive_plane_f32)(p, plane);
}
static void adaptive_back_chunk(void *arg, int64_t plane, int thread) {
    const planes *p = arg;
    (void)thread;
    (p->wide ? adaptive_back_plane_f64 : adaptive_back_plane_f32)(p, plane);
}
static lt_status adaptive_forward(lth_device *d, const lth_call *call, lth_error *err) {
    planes p = planes_of(call);
    (void)err;
    lth_cpu_run(d, call->in[0]->shape[0] * call->in[0]->shape[1], plane_cost(call), adaptive_chunk, &p);
    return LT_OK;
}
static lt_status adaptive_backward(lth_device *d, const lth_call *call, lth_error *err) {
    planes p = planes_of(call);
    (void)err;
    if (lth_cpu_no_gradient(d, call) || !call->need[0]) {
        return LT_OK;
    }
    plane_grads(&p, call);
    lth_cpu_run(d, call->in[0]->shape[0] * call->in[0]->shape[1], plane_cost(call), adaptive_back_chunk, &p);
    return LT_OK;
}
const lth_kernel lth_wide_adaptive_pool2d = {adaptive_plan, adaptive_forward, adaptive_backward};

static bool interpolate_plan(lth_device *d, lth_call *call) {
    (void)d;
    call->workspace_bytes = (size_t)(call->out[0]->shape[2] + call->out[0]->shape[3]) * sizeof(place);
    return all_plain(call);
}
static void interpolate_chunk(void *arg, int64_t plane, int thread) {
    const planes *p = arg;
    (void)thread;
    (p->wide ? interpolate_plane_f64 : interpolate_plane_f32)(p, plane);
}
static void interpolate_back_chunk(void *arg, int64_t plane, int thread) {
    const planes *p = arg;
    (void)thread;
    (p->wide ? interpolate_back_plane_f64 : interpolate_back_plane_f32)(p, plane);
}
static lt_status interpolate_forward(lth_device *d, const lth_call *call, lth_error *err) {
    planes p = planes_of(call);
    place *places = call->workspace;
    (void)err;
    for (int64_t o = 0; o < p.OH; o++) {
        places[o] = (p.wide ? place_of_f64 : place_of_f32)(call->attrs, 0, o, p.H, p.OH);
    }
    for (int64_t o = 0; o < p.OW; o++) {
        places[p.OH + o] = (p.wide ? place_of_f64 : place_of_f32)(call->attrs, 1, o, p.W, p.OW);
    }
    lth_cpu_run(d, call->in[0]->shape[0] * call->in[0]->shape[1], plane_cost(call), interpolate_chunk, &p);
    return LT_OK;
}
static lt_status interpolate_backward(lth_device *d, const lth_call *call, lth_error *err) {
    planes p = planes_of(call);
    (void)err;
    if (lth_cpu_no_gradient(d, call) || !call->need[0]) {
        return LT_OK;
    }
    plane_grads(&p, call);
    lth_cpu_run(d, call->in[0]->shape[0] * call->in[0]->shape[1], plane_cost(call), interpolate_back_chunk, &p);
    return LT_OK;
}
const lth_kernel lth_wide_interpolate = {interpolate_plan, interpolate_forward, interpolate_backward};

/* ---- norms ---- */
static rows rows_of(const lth_call *call) {
    const lth_array *x = call->in[0], *w = optional(call, 1), *b = optional(call, 2);
    rows r = {.x = x->data, .w = w ? w->data : NULL, .b = b ? b->data : NULL, .y = call->out[0]->data, .saved = call->workspace,
              .eps = call->attrs->f[0], .wide = x->dtype == LT_F64};
    if (call->op == LTH_OP_RMS_NORM) {
        r.rest = x->shape[x->ndim - 1];
        r.count = lth_count(x) / r.rest;
        r.step = lth_div_up(r.count, 8);
        r.step = r.step * r.rest < 4096 ? lth_div_up(4096, r.rest) : r.step;
        return r;
    }
    r.groups = call->attrs->i[0];
    r.per = x->shape[1] / r.groups;
    r.count = x->shape[0] * r.groups;
    r.rest = lth_count(x) / (r.count * r.per);
    return r;
}
static bool group_plan(lth_device *d, lth_call *call) {
    (void)d;
    call->workspace_bytes = (size_t)(2 * call->in[0]->shape[0] * call->attrs->i[0]) * sizeof(double);
    return all_plain(call);
}
static void group_chunk(void *arg, int64_t at, int thread) {
    const rows *r = arg;
    (void)thread;
    (r->wide ? group_forward_f64 : group_forward_f32)(r, at);
}
static void group_back_chunk(void *arg, int64_t at, int thread) {
    const rows *r = arg;
    (void)thread;
    (r->wide ? group_backward_f64 : group_backward_f32)(r, at);
}
static lt_status group_forward(lth_device *d, const lth_call *call, lth_error *err) {
    rows r = rows_of(call);
    (void)err;
    lth_cpu_run(d, r.count, (double)lth_count(call->in[0]) * 1.5e-3, group_chunk, &r);
    return LT_OK;
}
static lt_status group_backward(lth_device *d, const lth_call *call, lth_error *err) {
    rows r = rows_of(call);
    if (lth_cpu_no_gradient(d, call)) {
        return LT_OK;
    }
    const int64_t C = call->in[0]->shape[1];
    r.dy = call->grad_out[0]->data, r.dx = call->need[0] ? call->grad_in[0]->data : NULL, r.add = call->accumulate[0];
    r.parts = lth_cpu_scratch(d, (size_t)(2 * r.count * r.per) * sizeof(double), err);
    if (!r.parts) {
        return LT_ENOMEM;
    }
    lth_cpu_run(d, r.count, (double)lth_count(call->in[0]) * 2.5e-3, group_back_chunk, &r);
    for (int k = 1; k < 3; k++) { /* parts: (N, C, 2) */
        if (optional(call, k) && call->need[k]) {
            (r.wide ? put_sums_f64 : put_sums_f32)(call->grad_in[k]->data, r.parts + k - 1, C, call->in[0]->shape[0], 2 * C, 2, call->accumulate[k]);
        }
    }
    return LT_OK;
}
const lth_kernel lth_wide_group_norm = {group_plan, group_forward, group_backward};

static bool rms_plan(lth_device *d, lth_call *call) {
    const lth_array *x = call->in[0];
    (void)d;
    if (!all_plain(call)) {
        return false;
    }
    call->workspace_bytes = (size_t)(lth_count(x) / x->shape[x->ndim - 1]) * sizeof(double);
    return true;
}
static void rms_chunk(void *arg, int64_t chunk, int thread) {
    const rows *r = arg;
    (void)thread;
    (r->wide ? rms_forward_f64 : rms_forward_f32)(r, chunk * r->step, lth_min64((chunk + 1) * r->step, r->count));
}
static void rms_back_chunk(void *arg, int64_t chunk, int thread) {
    const rows *r = arg;
    (void)thread;
    (r->wide ? rms_backward_f64 : rms_backward_f32)(r, chunk * r->step, lth_min64((chunk + 1) * r->step, r->count), r->parts + chunk * r->rest);
}
static lt_status rms_forward(lth_device *d, const lth_call *call, lth_error *err) {
    rows r = rows_of(call);
    (void)err;
    lth_cpu_run(d, lth_div_up(r.count, r.step), (double)lth_count(call->in[0]) * 1e-3, rms_chunk, &r);
    return LT_OK;
}
static lt_status rms_backward(lth_device *d, const lth_call *call, lth_error *err) {
    rows r = rows_of(call);
    if (lth_cpu_no_gradient(d, call)) {
        return LT_OK;
    }
    const int64_t chunks = lth_div_up(r.count, r.step);
    r.dy = call->grad_out[0]->data, r.dx = call->need[0] ? call->grad_in[0]->data : NULL, r.add = call->accumulate[0];
    r.parts = lth_cpu_scratch(d, (size_t)(chunks * r.rest) * sizeof(double), err);
    if (!r.parts) {
        return LT_ENOMEM;
    }
    lth_cpu_run(d, chunks, (double)lth_count(call->in[0]) * 2e-3, rms_back_chunk, &r);
    if (optional(call, 1) && call->need[1]) {
        (r.wide ? put_sums_f64 : put_sums_f32)(call->grad_in[1]->data, r.parts, r.rest, chunks, r.rest, 1, call->accumulate[1]);
    }
    return LT_OK;
}
const lth_kernel lth_wide_rms_norm = {rms_plan, rms_forward, rms_backward};
