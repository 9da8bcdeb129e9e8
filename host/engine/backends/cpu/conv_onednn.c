/* backends/cpu/conv_onednn.c - CONV2D through oneDNN's direct convolution: in LTH_C16 where 16 channels fill a vector, else in plain NCHW
 * (few input channels, lesser instruction sets). A chunk is a fixed share of the images; max-pooling runs on the chunk while it is warm.
 * Partial weight gradients (at most four) are added from the first to the last. Refuses what oneDNN has only as ref:*. */
#include "engine/backends/cpu/conv.h"
#include "engine/backends/cpu/layout.h"

enum { PARTS = 4 };
typedef struct way {
    const lth_prim *whole, *tail;
    bool src_c16, dst_c16;
} way; /* one pass: forward, data or weights */

static int64_t step_of(const lth_conv *c) { return lth_div_up(c->N, PARTS); }
static int64_t chunks_of(const lth_conv *c) { return lth_div_up(c->N, step_of(c)); }

static const lth_prim *primitive(lth_device *d, const lth_conv *c, lth_prim_kind kind, int64_t images, bool src_c16, bool dst_c16,
                                 lth_error *err) {
    lth_prim_key key;
    memset(&key, 0, sizeof key);
    key.kind = kind;
    key.bias = kind == LTH_PRIM_CONV && c->b;
    key.act = kind == LTH_PRIM_CONV ? c->act : 0;
    key.conv.N = images, key.conv.C = c->C, key.conv.H = c->H, key.conv.W = c->W;
    key.conv.O = c->O, key.conv.KH = c->KH, key.conv.KW = c->KW, key.conv.OH = c->OH, key.conv.OW = c->OW;
    memcpy(key.conv.stride, c->stride, sizeof key.conv.stride);
    memcpy(key.conv.padding, c->padding, sizeof key.conv.padding);
    memcpy(key.conv.dilation, c->dilation, sizeof key.conv.dilation);
    key.conv.groups = c->groups, key.conv.src_c16 = src_c16, key.conv.dst_c16 = dst_c16;
    return lth_onednn_get(&d->onednn, &key, err);
}
/* The formats in which oneDNN has a fast implementation: blocked if it can, else plain. */
static bool find_way(lth_device *d, const lth_conv *c, lth_prim_kind kind, way *w, lth_error *err) {
    const int64_t step = step_of(c), last = c->N - (chunks_of(c) - 1) * step;
    const bool wide = strcmp(d->isa.name, "AVX-512") == 0, grouped = c->groups > 1;
    const bool src = wide && c->C % 16 == 0 && (!grouped || c->C / c->groups % 16 == 0),
               dst = wide && c->O % 16 == 0 && (!grouped || c->O / c->groups % 16 == 0);
    for (int plain = !(src || dst); plain < 2; plain++) {
        *w = (way){.src_c16 = src && !plain, .dst_c16 = dst && !plain};
        w->whole = primitive(d, c, kind, step, w->src_c16, w->dst_c16, err);
        w->tail = w->whole ? primitive(d, c, kind, last, w->src_c16, w->dst_c16, err) : NULL;
        if (w->tail) {
            return true;
        }
    }
    return false;
}
static int out_layout(const lth_conv *c, const way *forward) { return c->pool[0] || forward->dst_c16 ? LTH_C16 : LTH_STRIDED; }
static int64_t image_floats(int64_t channels, int64_t plane, bool c16) { return (c16 ? lth_div_up(channels, 16) * 16 : channels) * plane; }

bool lth_conv_onednn_plan(lth_device *d, const lth_conv *c, lth_call *call) {
    way forward, back;
    if (!find_way(d, c, LTH_PRIM_CONV, &forward, NULL)) {
        return false;
    }
    if (call->save && !forward.dst_c16 &&
        (!find_way(d, c, LTH_PRIM_CONV_WEIGHTS, &back, NULL) || !find_way(d, c, LTH_PRIM_CONV_DATA, &back, NULL))) {
        return false; /* odd shapes only: the usual ones make their backward primitives when backward comes */
    }
    call->out[0]->layout = (uint8_t)out_layout(c, &forward);
    call->workspace_bytes = call->save && c->pool[0] ? (size_t)(c->N * image_floats(c->O, c->PH * c->PW, true)) : 0;
    return true;
}

typedef struct work {
    lth_device *d;
    const lth_conv *c;
    way way, data; /* way: forward or weights */
    int out_layout;
    bool wants_data, wants_weights, wants_bias, add_data;
    int64_t x_image, out_image; /* floats of an image in the caller's layouts */
    const float *x, *bias, *y, *dy;
    float *out, *dx;
    uint8_t *index;
    float *weights[2], *data_weights[2], *dw, *db; /* [1]: the tail's format */
    float *spare[4];                               /* per thread, see each pass */
    int64_t spare_floats[4];
    lt_status status;
} work;
static lth_pool pool_of(const lth_conv *c, int64_t images) {
    return (lth_pool){.planes = images * lth_div_up(c->O, 16),
                      .H = (int)c->OH,
                      .W = (int)c->OW,
                      .OH = (int)c->PH,
                      .OW = (int)c->PW,
                      .KH = (int)c->pool[0],
                      .KW = (int)c->pool[1],
                      .SH = (int)c->pool[0],
                      .SW = (int)c->pool[1]};
}
static float *spare(const work *w, int which, int thread) { return w->spare[which] + thread * w->spare_floats[which]; }
/* The caller's images [at, at + n) in the format the primitive wants: in place, or converted into `to`. */
static const float *as(const work *w, const float *from, int64_t channels, int64_t rows, int64_t cols, int layout, bool c16, int64_t n,
                       float *to) {
    const int64_t shape[4] = {n, channels, rows, cols};
    if ((layout == LTH_C16) == c16) {
        return from;
    }
    if (c16) {
        lth_layout_block(&w->d->isa, shape, LTH_C16, from, to, 0, n);
    } else {
        lth_layout_unblock(&w->d->isa, shape, LTH_C16, from, to, false, 0, n);
    }
    return to;
}
static void run(work *w, const lth_prim *p, int thread, const void *a, const void *b, const void *e, const void *f) {
    void *args[4] = {(void *)(uintptr_t)a, (void *)(uintptr_t)b, (void *)(uintptr_t)e, (void *)(uintptr_t)f};
    const lt_status s = lth_onednn_run(&w->d->onednn, p, thread, args, NULL);
    if (s < 0) {
        w->status = s;
    }
}

/* spare 0: source in the primitive's format, 1: destination in it, 2: destination in C16 before pooling. */
static void forward_chunk(void *arg, int64_t i, int thread) {
    work *w = arg;
    const lth_conv *c = w->c;
    const int64_t at = i * step_of(c), n = lth_min64(step_of(c), c->N - at);
    const bool tail = i == chunks_of(c) - 1, direct = !c->pool[0];
    const float *x = as(w, w->x + at * w->x_image, c->C, c->H, c->W, c->x->layout, w->way.src_c16, n, spare(w, 0, thread));
    float *out = w->out + at * w->out_image, *z = direct ? out : spare(w, 1, thread);
    const lth_prim *p = tail ? w->way.tail : w->way.whole;
    const float *weights = w->weights[tail && w->way.tail != w->way.whole];
    if (c->b) {
        run(w, p, thread, x, weights, w->bias, z);
    } else {
        run(w, p, thread, x, weights, z, NULL);
    }
    if (!direct) {
        const float *blocked = as(w, z, c->O, c->OH, c->OW, w->way.dst_c16 ? LTH_C16 : LTH_STRIDED, true, n, spare(w, 2, thread));
        const lth_pool pool = pool_of(c, n);
        w->d->isa.max_pool16(&pool, blocked, out, w->index ? w->index + at * w->out_image : NULL);
    }
}
/* Weights in the format of a pass; the tail's own where it differs. */
static lt_status give_weights(work *w, const way *p, float **to, lth_error *err) {
    void *from = w->c->w->data;
    lt_status s = lth_onednn_weights(&w->d->onednn, p->whole, from, to[0], err);
    if (s >= 0 && p->tail != p->whole) {
        s = lth_onednn_weights(&w->d->onednn, p->tail, from, to[1], err);
    }
    return s;
}
static size_t weight_floats(const way *p) {
    const size_t a = lth_onednn_weight_bytes(p->whole), b = lth_onednn_weight_bytes(p->tail);
    return (a > b ? a : b) / sizeof(float) + 16;
}
/* Cuts the scratch: per-thread spares first, then what else is listed. */
typedef struct slice {
    float **to;
    size_t floats;
} slice;
static lt_status give_scratch(work *w, int team, const slice *more, int n, lth_error *err) {
    size_t bytes = 0;
    for (int i = 0; i < 4; i++) {
        w->spare_floats[i] = (w->spare_floats[i] + 15) & ~(int64_t)15;
        bytes += lth_floats((size_t)(team * w->spare_floats[i]));
    }
    for (int i = 0; i < n; i++) {
        bytes += lth_floats(more[i].floats);
    }
    char *at = lth_cpu_scratch(w->d, bytes, err);
    if (!at) {
        return LT_ENOMEM;
    }
    for (int i = 0; i < 4; i++) {
        w->spare[i] = (float *)(void *)at;
        at += lth_floats((size_t)(team * w->spare_floats[i]));
    }
    for (int i = 0; i < n; i++) {
        *more[i].to = (float *)(void *)at;
        at += lth_floats(more[i].floats);
    }
    return LT_OK;
}
static double cost_us(const lth_conv *c) {
    return (double)c->N * (double)(c->O * c->OH * c->OW) * (double)(c->C / c->groups * c->KH * c->KW) * 2e-5;
}
static work work_of(lth_device *d, const lth_conv *c) {
    return (work){.d = d,
                  .c = c,
                  .x = c->x->data,
                  .bias = c->b ? c->b->data : NULL,
                  .x_image = image_floats(c->C, c->H * c->W, c->x->layout == LTH_C16)};
}
lt_status lth_conv_onednn_forward(lth_device *d, const lth_conv *c, const lth_call *call, lth_error *err) {
    work w = work_of(d, c);
    if (!find_way(d, c, LTH_PRIM_CONV, &w.way, err)) {
        return lth_fail(err, LT_EUNSUPPORTED, "conv2d: oneDNN lost the primitive it had when the call was planned");
    }
    w.out = call->out[0]->data;
    w.out_layout = out_layout(c, &w.way);
    w.out_image = image_floats(c->O, c->PH * c->PW, w.out_layout == LTH_C16);
    w.index = call->save && c->pool[0] ? call->workspace : NULL;
    const int64_t n = step_of(c), map = image_floats(c->O, c->OH * c->OW, true);
    w.spare_floats[0] = (c->x->layout == LTH_C16) == w.way.src_c16 ? 0 : n * image_floats(c->C, c->H * c->W, true);
    w.spare_floats[1] = c->pool[0] ? n * map : 0;
    w.spare_floats[2] = c->pool[0] && !w.way.dst_c16 ? n * map : 0;
    const slice more[] = {{&w.weights[0], weight_floats(&w.way)}, {&w.weights[1], weight_floats(&w.way)}};
    lt_status s = give_scratch(&w, lth_cpu_team(d, chunks_of(c), cost_us(c)), more, 2, err);
    s = s >= 0 ? give_weights(&w, &w.way, w.weights, err) : s;
    if (s >= 0) {
        lth_cpu_run(d, chunks_of(c), cost_us(c), forward_chunk, &w);
        s = w.status < 0 ? lth_fail(err, w.status, "conv2d: a oneDNN convolution failed") : s;
    }
    return s;
}

/* ---- backward ---- */
/* dz in the layout of the output before pooling, from dy; and the chunk's bias gradient. Returns dy itself where nothing is to be done. */
static const float *pre_gradient(const work *w, int64_t i, int64_t at, int64_t n, float *masked, float *dz) {
    const lth_conv *c = w->c;
    const lth_cpu_isa *t = &w->d->isa;
    const int64_t plane = c->PH * c->PW, groups = lth_div_up(c->O, 16), padded = groups * 16;
    const float *dy = w->dy + at * w->out_image, *y = w->y + at * w->out_image;
    float *db = w->db + i * padded;
    const bool act = c->act != LT_ACT_NONE;
    memset(db, 0, (size_t)padded * sizeof *db);
    for (int64_t k = 0; (act || w->wants_bias) && k < n; k++) {
        const int64_t channels = w->out_layout == LTH_C16 ? groups : c->O, each = w->out_layout == LTH_C16 ? 16 * plane : plane;
        for (int64_t o = 0; o < channels; o++) {
            const int64_t from = k * w->out_image + o * each;
            if (w->out_layout == LTH_C16) { /* 16 columns */
                t->act_back(c->act, plane, 16, dy + from, y + from, NULL, act ? masked + from : NULL, db + o * 16);
                continue;
            }
            if (act) {
                t->unary_back(c->act == LT_ACT_RELU   ? LTH_U_RELU
                              : c->act == LT_ACT_TANH ? LTH_U_TANH
                                                      : LTH_U_SIGMOID,
                              plane, NULL, y + from, dy + from, masked + from, false, 0);
            }
            db[o] += (float)t->sum(plane, (act ? masked : dy) + from);
        }
    }
    dy = act ? masked : dy;
    if (!c->pool[0]) {
        return dy;
    }
    const lth_pool pool = pool_of(c, n);
    memset(dz, 0, (size_t)(n * image_floats(c->O, c->OH * c->OW, true)) * sizeof *dz);
    t->max_pool16_back(&pool, w->index + at * w->out_image, dy, dz);
    return dz;
}
/* spare 0: source or its gradient, converted; 1: dy times the activation's slope; 2: dz before pooling; 3: dz, converted. */
static void backward_chunk(void *arg, int64_t i, int thread) {
    work *w = arg;
    const lth_conv *c = w->c;
    const int64_t at = i * step_of(c), n = lth_min64(step_of(c), c->N - at), x_shape[4] = {n, c->C, c->H, c->W};
    const bool tail = i == chunks_of(c) - 1;
    const float *dz = pre_gradient(w, i, at, n, spare(w, 1, thread), spare(w, 2, thread));
    if (w->wants_weights) {
        const float *x = as(w, w->x + at * w->x_image, c->C, c->H, c->W, c->x->layout, w->way.src_c16, n, spare(w, 0, thread));
        const float *g = as(w, dz, c->O, c->OH, c->OW, w->out_layout, w->way.dst_c16, n, spare(w, 3, thread));
        run(w, tail ? w->way.tail : w->way.whole, thread, x, g, w->dw + (size_t)i * weight_floats(&w->way), NULL);
    }
    if (!w->wants_data) {
        return;
    }
    const float *g = as(w, dz, c->O, c->OH, c->OW, w->out_layout, w->data.dst_c16, n, spare(w, 3, thread));
    const bool direct = (c->x->layout == LTH_C16) == w->data.src_c16 && !w->add_data;
    float *dx = w->dx + at * w->x_image, *to = direct ? dx : spare(w, 0, thread);
    run(w, tail ? w->data.tail : w->data.whole, thread, g, w->data_weights[tail && w->data.tail != w->data.whole], to, NULL);
    if (direct) {
        return;
    }
    if ((c->x->layout == LTH_C16) == w->data.src_c16) {
        w->d->isa.scaled(n * w->x_image, dx, to, 1.f, true);
    } else if (w->data.src_c16) {
        lth_layout_unblock(&w->d->isa, x_shape, LTH_C16, to, dx, w->add_data, 0, n);
    } else { /* plain gradient of a C16 input */
        float *blocked = spare(w, 3, thread);
        lth_layout_block(&w->d->isa, x_shape, LTH_C16, to, blocked, 0, n);
        w->d->isa.scaled(n * w->x_image, dx, blocked, 1.f, w->add_data);
    }
}
static lt_status add_weights(work *w, float *plain, float *to, bool add, lth_error *err) {
    const int64_t n = lth_count(w->c->w), chunks = chunks_of(w->c);
    const size_t each = weight_floats(&w->way);
    lt_status s = LT_OK;
    const bool same = w->way.tail == w->way.whole;
    for (int64_t i = 1; same && i < chunks; i++) { /* one format: add there, convert once */
        lth_cpu_scaled(w->d, (int64_t)(lth_onednn_weight_bytes(w->way.whole) / sizeof(float)), w->dw, w->dw + (size_t)i * each, 1.f, true);
    }
    for (int64_t i = 0; s >= 0 && i < (same ? 1 : chunks); i++) {
        s = lth_onednn_weights(&w->d->onednn, i == chunks - 1 ? w->way.tail : w->way.whole, w->dw + (size_t)i * each, plain, err);
        lth_cpu_scaled(w->d, n, to, plain, 1.f, add || i > 0);
    }
    return s;
}
static lt_status backward_ways(work *w, const lth_call *call, lth_error *err) {
    way forward;
    w->wants_data = call->need[0], w->wants_weights = call->need[1], w->wants_bias = w->c->b && call->need[2];
    w->add_data = call->accumulate[0];
    if (!find_way(w->d, w->c, LTH_PRIM_CONV, &forward, err) ||
        (w->wants_weights && !find_way(w->d, w->c, LTH_PRIM_CONV_WEIGHTS, &w->way, err)) ||
        (w->wants_data && !find_way(w->d, w->c, LTH_PRIM_CONV_DATA, &w->data, err))) {
        return lth_fail(err, LT_EUNSUPPORTED, "conv2d: oneDNN %s has no fast backward pass for this shape", lth_onednn_version());
    }
    w->out_layout = out_layout(w->c, &forward);
    w->out_image = image_floats(w->c->O, w->c->PH * w->c->PW, w->out_layout == LTH_C16);
    return LT_OK;
}
lt_status lth_conv_onednn_backward(lth_device *d, const lth_conv *c, const lth_call *call, lth_error *err) {
    work w = work_of(d, c);
    lt_status s = backward_ways(&w, call, err);
    if (s < 0) {
        return s;
    }
    w.y = call->out[0]->data, w.dy = call->grad_out[0]->data, w.dx = w.wants_data ? call->grad_in[0]->data : NULL,
    w.index = call->workspace;
    const int64_t n = step_of(c), padded = lth_div_up(c->O, 16) * 16, map = padded * c->OH * c->OW,
                  in = image_floats(c->C, c->H * c->W, true);
    w.spare_floats[0] = n * in;
    w.spare_floats[1] = c->act ? n * w.out_image : 0;
    w.spare_floats[2] = c->pool[0] ? n * map : 0;
    w.spare_floats[3] = n * (map > in ? map : in);
    float *plain = NULL;
    const size_t dw = w.wants_weights ? weight_floats(&w.way) : 0, wd = w.wants_data ? weight_floats(&w.data) : 0;
    const slice more[] = {{&w.data_weights[0], wd},
                          {&w.data_weights[1], wd},
                          {&w.dw, dw * PARTS},
                          {&w.db, (size_t)(padded * PARTS)},
                          {&plain, (size_t)lth_count(c->w)}};
    s = give_scratch(&w, lth_cpu_team(d, chunks_of(c), 2 * cost_us(c)), more, 5, err);
    s = s >= 0 && w.wants_data ? give_weights(&w, &w.data, w.data_weights, err) : s;
    if (s < 0) {
        return s;
    }
    lth_cpu_run(d, chunks_of(c), 2 * cost_us(c), backward_chunk, &w);
    if (w.status < 0) {
        return lth_fail(err, w.status, "conv2d: a oneDNN convolution failed");
    }
    for (int64_t i = 0; w.wants_bias && i < chunks_of(c); i++) {
        d->isa.scaled(c->O, call->grad_in[2]->data, w.db + i * padded, 1.f, call->accumulate[2] || i > 0);
    }
    return w.wants_weights ? add_weights(&w, plain, call->grad_in[1]->data, call->accumulate[1], err) : LT_OK;
}
