/* backends/cpu/conv_own.c - CONV2D on pixels of 16 images (LTH_N16C): packing, blocks of images as chunks, partial sums of the weight
 * gradient by block, added from the first to the last. Takes plain NCHW or LTH_N16C, gives LTH_N16C. */
#include "engine/backends/cpu/conv.h"

/* Sizes in floats of what one block of 16 images takes. */
typedef struct sizes { int64_t blocks, in, padded, out, map, index, taps, scratch; bool copies, whole_lanes; } sizes;

static lth_nconv kernel_shape(const lth_conv *c, int64_t block) {
    const int64_t left = c->N - block * 16;
    return (lth_nconv){.C = (int)c->C, .H = (int)c->H, .W = (int)c->W, .O = (int)c->O, .KH = (int)c->KH, .KW = (int)c->KW, .OH = (int)c->OH, .OW = (int)c->OW,
                       .SH = (int)c->stride[0], .SW = (int)c->stride[1], .HP = (int)(c->H + 2 * c->padding[0]), .WP = (int)(c->W + 2 * c->padding[1]),
                       .PH = (int)c->PH, .PW = (int)c->PW, .pool_h = (int)c->pool[0], .pool_w = (int)c->pool[1], .act = c->act,
                       .lanes = left < 16 ? (int)left : 16};
}
static sizes sizes_of(const lth_device *d, const lth_conv *c) {
    const lth_nconv k = kernel_shape(c, 0);
    sizes s = {.blocks = lth_div_up(c->N, 16), .in = c->C * c->H * c->W * 16, .padded = c->C * k.HP * k.WP * 16, .out = c->O * c->PH * c->PW * 16,
               .map = c->O * c->OH * c->OW * 16, .taps = c->C * c->KH * c->KW};
    s.copies = c->x->layout != LTH_N16C || c->padding[0] || c->padding[1];
    s.index = c->pool[0] ? s.out : 0; /* bytes */
    s.scratch = (int64_t)(lth_floats(d->isa.nconv_scratch(&k)) / sizeof(float));
    return s;
}
static size_t padded_bytes(const sizes *s) { return s->copies ? (size_t)(s->blocks * s->padded) * sizeof(float) : 0; }
bool lth_conv_own_plan(lth_device *d, const lth_conv *c, lth_call *call) {
    const sizes s = sizes_of(d, c);
    call->out[0]->layout = LTH_N16C;
    call->workspace_bytes = call->save ? padded_bytes(&s) + (size_t)(s.blocks * s.index) : 0;
    return true;
}

typedef struct work {
    lth_device *d;
    const lth_conv *c;
    sizes s;
    const float *x, *bias, *dy, *y;
    float *out, *padded, *packed, *scratch, *dz, *dw, *db, *dxp, *dx; /* scratch, dz, dxp: per thread */
    uint8_t *index;
    bool keep, data, weights, add_data;
} work;
static double cost_us(const work *w) {
    return (double)w->c->N * (double)(w->c->O * w->c->OH * w->c->OW) * (double)w->s.taps * 2e-5;
}
static void forward_block(void *arg, int64_t i, int thread) {
    const work *w = arg;
    const sizes *s = &w->s;
    const lth_nconv k = kernel_shape(w->c, i);
    const bool lanes = w->c->x->layout == LTH_N16C;
    const float *x = w->x + i * s->in;
    if (s->copies) {
        float *to = w->padded + (w->keep ? i : thread) * s->padded;
        w->d->isa.nconv_pad(&k, x, s->in / 16, lanes, to);
        x = to;
    }
    w->d->isa.nconv_forward(&k, x, w->packed, w->bias, w->out + i * s->out, w->index ? w->index + i * s->index : NULL, w->scratch + thread * s->scratch);
}
lt_status lth_conv_own_forward(lth_device *d, const lth_conv *c, const lth_call *call, lth_error *err) {
    work w = {.d = d, .c = c, .s = sizes_of(d, c), .x = c->x->data, .bias = c->b ? c->b->data : NULL, .out = call->out[0]->data, .keep = call->save};
    const int team = lth_cpu_team(d, w.s.blocks, cost_us(&w));
    const size_t packed = lth_floats((size_t)(c->O * w.s.taps));
    const size_t spare = w.keep || !w.s.copies ? 0 : (size_t)(team * w.s.padded) * sizeof(float);
    char *scratch = lth_cpu_scratch(d, packed + spare + (size_t)(team * w.s.scratch) * sizeof(float), err);
    if (!scratch) {
        return LT_ENOMEM;
    }
    w.packed = (float *)(void *)scratch;
    w.padded = w.keep ? call->workspace : (float *)(void *)(scratch + packed);
    w.scratch = (float *)(void *)(scratch + packed + spare);
    w.index = w.keep && w.s.index ? (uint8_t *)call->workspace + padded_bytes(&w.s) : NULL;
    const lth_nconv k = kernel_shape(c, 0);
    d->isa.nconv_pack(&k, c->w->data, w.packed, NULL);
    lth_cpu_run(d, w.s.blocks, cost_us(&w), forward_block, &w);
    return LT_OK;
}

static void backward_block(void *arg, int64_t i, int thread) {
    const work *w = arg;
    const sizes *s = &w->s;
    const lth_nconv k = kernel_shape(w->c, i);
    const lth_cpu_isa *t = &w->d->isa;
    float *dz = w->dz + thread * s->map;
    t->nconv_unpool(&k, w->y + i * s->out, w->dy + i * s->out, w->index ? w->index + i * s->index : NULL, dz, w->db + i * w->c->O);
    if (w->weights) {
        const float *x = s->copies ? w->padded + i * s->padded : w->x + i * s->in;
        t->nconv_weights(&k, x, dz, w->dw + i * w->c->O * s->taps, w->scratch + thread * s->scratch);
    }
    if (!w->data) {
        return;
    }
    const bool lanes = w->c->x->layout == LTH_N16C;
    if (lanes && s->padded == s->in && !w->add_data) {
        t->nconv_data(&k, dz, w->packed, w->dx + i * s->in);
        return;
    }
    float *dxp = w->dxp + thread * s->padded;
    t->nconv_data(&k, dz, w->packed, dxp);
    t->nconv_crop(&k, (int)w->c->padding[0], (int)w->c->padding[1], dxp, w->dx + i * s->in, s->in / 16, lanes, w->add_data);
}
static void add_blocks(lth_device *d, int64_t n, int64_t blocks, const float *parts, float *to, bool add) {
    for (int64_t i = 0; i < blocks; i++) {
        d->isa.scaled(n, to, parts + i * n, 1.f, add || i > 0);
    }
}
lt_status lth_conv_own_backward(lth_device *d, const lth_conv *c, const lth_call *call, lth_error *err) {
    work w = {.d = d, .c = c, .s = sizes_of(d, c), .x = c->x->data, .dy = call->grad_out[0]->data, .y = call->out[0]->data, .padded = call->workspace,
              .data = call->need[0], .weights = call->need[1], .add_data = call->accumulate[0]};
    const int team = lth_cpu_team(d, w.s.blocks, 2 * cost_us(&w));
    const int64_t weights = c->O * w.s.taps;
    const int64_t parts[] = {weights, w.s.blocks * weights, w.s.blocks * c->O, team * w.s.scratch, team * w.s.map, w.data ? team * w.s.padded : 0};
    float **to[] = {&w.packed, &w.dw, &w.db, &w.scratch, &w.dz, &w.dxp};
    size_t bytes = 0;
    for (int i = 0; i < 6; i++) {
        bytes += lth_floats((size_t)parts[i]);
    }
    char *scratch = lth_cpu_scratch(d, bytes, err);
    if (!scratch) {
        return LT_ENOMEM;
    }
    for (int i = 0; i < 6; i++) {
        *to[i] = (float *)(void *)scratch;
        scratch += lth_floats((size_t)parts[i]);
    }
    w.index = w.s.index ? (uint8_t *)call->workspace + padded_bytes(&w.s) : NULL;
    w.dx = w.data ? call->grad_in[0]->data : NULL;
    const lth_nconv k = kernel_shape(c, 0);
    if (w.data) {
        d->isa.nconv_pack(&k, c->w->data, NULL, w.packed);
    }
    lth_cpu_run(d, w.s.blocks, 2 * cost_us(&w), backward_block, &w);
    if (w.weights) {
        add_blocks(d, weights, w.s.blocks, w.dw, call->grad_in[1]->data, call->accumulate[1]);
    }
    if (c->b && call->need[2]) {
        add_blocks(d, c->O, w.s.blocks, w.db, call->grad_in[2]->data, call->accumulate[2]);
    }
    return LT_OK;
}
