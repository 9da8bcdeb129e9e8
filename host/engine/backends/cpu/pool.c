/* backends/cpu/pool.c - MAX_POOL2D and AVG_POOL2D on 16-lane pixels: the blocked layouts as they are, plain NCHW through a conversion of
 * 16 planes at a time. Refuses windows of more than 255 elements (their index is a byte), and what is not f32. */
#include "engine/backends/cpu/cpu.h"

enum { STRIP = 1024 }; /* LTH_HWNC: floats of every pixel that a chunk does */

typedef struct pools {
    lth_device *d;
    lth_pool p;
    int64_t planes, units;
    bool plain, wide, max, add; /* wide: LTH_HWNC */
    const float *x, *dy;
    float *y, *dx, *spare;
    uint8_t *index;
} pools;

static pools pools_of(lth_device *d, const lth_call *call) {
    const lth_array *x = call->in[0], *y = call->out[0];
    const int64_t *i = call->attrs->i;
    pools p = {.d = d, .plain = x->layout == LTH_STRIDED, .wide = x->layout == LTH_HWNC, .max = call->op == LTH_OP_MAX_POOL2D};
    p.p = (lth_pool){.planes = 1,
                     .H = (int)x->shape[2],
                     .W = (int)x->shape[3],
                     .OH = (int)y->shape[2],
                     .OW = (int)y->shape[3],
                     .KH = (int)i[0],
                     .KW = (int)i[1],
                     .SH = (int)(i[2] ? i[2] : i[0]),
                     .SW = (int)(i[3] ? i[3] : i[1]),
                     .PH = (int)i[4],
                     .PW = (int)i[5],
                     .count_pad = i[7] != 0};
    p.planes = x->shape[0] * x->shape[1];
    if (p.wide) {
        p.p.pixel = x->shape[0] * lth_div_up(x->shape[1], 16) * 16;
        p.units = lth_div_up(p.p.pixel, STRIP);
        return p;
    }
    p.units = p.plain                 ? lth_div_up(p.planes, 16)
              : x->layout == LTH_N16C ? lth_div_up(x->shape[0], 16) * x->shape[1]
                                      : x->shape[0] * lth_div_up(x->shape[1], 16);
    return p;
}
static int64_t in_floats(const pools *p) { return (int64_t)p->p.H * p->p.W * 16; }
static int64_t out_floats(const pools *p) { return (int64_t)p->p.OH * p->p.OW * 16; }
static bool pool_plan(lth_device *d, lth_call *call) {
    const lth_array *x = call->in[0];
    const int64_t *i = call->attrs->i;
    if (x->dtype != LT_F32 || x->ndim != 4 || (x->layout == LTH_STRIDED && !lth_plain(x)) || i[0] * i[1] > 255 || lth_count(x) == 0 ||
        lth_count(call->out[0]) == 0) {
        return false;
    }
    if (2 * i[4] > i[0] || 2 * i[5] > i[1]) {
        return false;
    }
    call->out[0]->layout = x->layout;
    const pools p = pools_of(d, call);
    call->workspace_bytes = !p.max || !call->save ? 0 : p.wide ? (size_t)(p.p.pixel * p.p.OH * p.p.OW) : (size_t)(p.units * out_floats(&p));
    return true;
}
static double cost_us(const pools *p) {
    return (double)(p->wide ? p->p.pixel * p->p.H * p->p.W : p->units * in_floats(p)) * 4e-4;
}
static lth_pool strip_of(const pools *p, int64_t u) {
    lth_pool strip = p->p;
    strip.lanes = lth_min64(STRIP, p->p.pixel - u * STRIP);
    return strip;
}
static bool give_spare(pools *p, lth_error *err) {
    const int team = lth_cpu_team(p->d, p->units, cost_us(p));
    p->spare = p->plain ? lth_cpu_scratch(p->d, (size_t)(team * (in_floats(p) + out_floats(p))) * sizeof(float), err) : NULL;
    return !p->plain || p->spare;
}
static void forward_unit(void *arg, int64_t u, int thread) {
    const pools *p = arg;
    const lth_cpu_isa *t = &p->d->isa;
    if (p->wide) {
        const lth_pool strip = strip_of(p, u);
        const int64_t at = u * STRIP;
        if (p->max) {
            t->max_pool16(&strip, p->x + at, p->y + at, p->index ? p->index + at : NULL);
        } else {
            t->avg_pool16(&strip, p->x + at, p->y + at);
        }
        return;
    }
    const int64_t in = in_floats(p), out = out_floats(p), planes = lth_min64(16, p->planes - u * 16);
    const float *x = p->x + u * in;
    float *y = p->y + u * out;
    if (p->plain) {
        float *spare = p->spare + thread * (in + out);
        t->rows_to_lanes(in / 16, planes, x, in / 16, spare);
        x = spare, y = spare + in;
    }
    if (p->max) {
        t->max_pool16(&p->p, x, y, p->index ? p->index + u * out : NULL);
    } else {
        t->avg_pool16(&p->p, x, y);
    }
    if (p->plain) {
        t->lanes_to_rows(out / 16, planes, y, p->y + u * out, out / 16, false);
    }
}
static lt_status pool_forward(lth_device *d, const lth_call *call, lth_error *err) {
    pools p = pools_of(d, call);
    p.x = call->in[0]->data, p.y = call->out[0]->data, p.index = p.max && call->save ? call->workspace : NULL;
    if (!give_spare(&p, err)) {
        return LT_ENOMEM;
    }
    lth_cpu_run(d, p.units, cost_us(&p), forward_unit, &p);
    return LT_OK;
}
static void backward_strip(const pools *p, int64_t u) {
    const lth_pool strip = strip_of(p, u);
    const int64_t at = u * STRIP, pixels = p->add ? 0 : (int64_t)p->p.H * p->p.W;
    for (int64_t i = 0; i < pixels; i++) {
        memset(p->dx + at + i * p->p.pixel, 0, (size_t)strip.lanes * sizeof *p->dx);
    }
    if (p->max) {
        p->d->isa.max_pool16_back(&strip, p->index + at, p->dy + at, p->dx + at);
    } else {
        p->d->isa.avg_pool16_back(&strip, p->dy + at, p->dx + at);
    }
}
static void backward_unit(void *arg, int64_t u, int thread) {
    const pools *p = arg;
    const lth_cpu_isa *t = &p->d->isa;
    if (p->wide) {
        backward_strip(p, u);
        return;
    }
    const int64_t in = in_floats(p), out = out_floats(p), planes = lth_min64(16, p->planes - u * 16);
    const float *dy = p->dy + u * out;
    float *dx = p->dx + u * in;
    if (p->plain) {
        float *spare = p->spare + thread * (in + out);
        t->rows_to_lanes(out / 16, planes, dy, out / 16, spare + in);
        dy = spare + in, dx = spare;
    }
    if (p->plain || !p->add) {
        memset(dx, 0, (size_t)in * sizeof *dx);
    }
    if (p->max) {
        t->max_pool16_back(&p->p, p->index + u * out, dy, dx);
    } else {
        t->avg_pool16_back(&p->p, dy, dx);
    }
    if (p->plain) {
        t->lanes_to_rows(in / 16, planes, dx, p->dx + u * in, in / 16, p->add);
    }
}
static lt_status pool_backward(lth_device *d, const lth_call *call, lth_error *err) {
    if (lth_cpu_no_gradient(d, call) || !call->need[0]) {
        return LT_OK;
    }
    pools p = pools_of(d, call);
    p.dy = call->grad_out[0]->data, p.dx = call->grad_in[0]->data, p.index = call->workspace, p.add = call->accumulate[0];
    if (!give_spare(&p, err)) {
        return LT_ENOMEM;
    }
    lth_cpu_run(d, p.units, cost_us(&p), backward_unit, &p);
    return LT_OK;
}
const lth_kernel lth_cpu_pool2d = {pool_plan, pool_forward, pool_backward};
