/* backends/cpu/conv_small.c - CONV2D on small maps (LTH_HWNC) as matrix products over the taps that lie inside the map: images are rows,
 * so that padding costs nothing and no pixel is half a vector. The first layer of few channels goes through patches: its input as rows of
 * C kH kW values, convolved by 1x1. Any kernel, stride, padding, dilation. Refuses groups, fused pools, activations other than ReLU.
 * Gives LTH_HWNC; takes it, LTH_C16 and plain NCHW, which are copied. Every sum lies within one chunk: no partial sums. */
#include "engine/backends/cpu/conv.h"
#include "engine/backends/cpu/layout.h"

enum { MOST_TAPS = 128, INPUTS = 64, IMAGES = 64, PATCH_CHANNELS = 8, PATCH_VALUES = 256, PATCH_MAP = 1024, SMALL_MAP = 100, FEW_IMAGES = 6 };

typedef struct small {
    lth_device *d;
    const lth_conv *c;
    int64_t N, H, W, OH, OW, I, O, in_at, Op, KH, KW, stride[2], padding[2], dilation[2]; /* in_at: floats between rows of x */
    int64_t taps;                   /* live ones */
    int16_t live[MOST_TAPS];
    bool patches, add_data;
    int panel;
    const float *x, *bias, *dz, *y, *dy;
    float *out, *dx, *packed, *turned, *sums, *parts, *masked, *framed; /* sums, framed: per thread */
    float *dw;
    int64_t sums_each;
    bool add_weights;
} small;

/* ---- which calls ---- */
static bool patches(const lth_conv *c) { return c->C < PATCH_CHANNELS && lth_plain(c->x); }
bool lth_conv_small_fits(const lth_conv *c) {
    const int layout = c->x->layout;
    const int64_t out = c->OH * c->OW, in = c->H * c->W;
    if (c->groups != 1 || c->pool[0] || (c->act != LT_ACT_NONE && c->act != LT_ACT_RELU) || c->KH * c->KW > MOST_TAPS || c->N < FEW_IMAGES || c->O < 16) {
        return false;
    }
    if (patches(c)) {
        return c->O >= 32 && c->C * c->KH * c->KW <= PATCH_VALUES && out <= PATCH_MAP / 4;
    }
    if (c->C < 16 || (layout != LTH_HWNC && layout != LTH_C16 && !lth_plain(c->x))) {
        return false;
    }
    return out <= SMALL_MAP && in <= (layout == LTH_HWNC ? 4 * SMALL_MAP : SMALL_MAP);
}

/* ---- taps ---- */
static bool source(int64_t out, int64_t tap, int64_t stride, int64_t padding, int64_t dilation, int64_t size, int64_t *in) {
    *in = out * stride - padding + tap * dilation;
    return *in >= 0 && *in < size;
}
static bool target(int64_t in, int64_t tap, int64_t stride, int64_t padding, int64_t dilation, int64_t size, int64_t *out) {
    const int64_t at = in + padding - tap * dilation;
    *out = at / stride;
    return at >= 0 && at % stride == 0 && *out < size;
}
static bool alive(int64_t outs, int64_t tap, int64_t stride, int64_t padding, int64_t dilation, int64_t size) {
    int64_t in;
    for (int64_t o = 0; o < outs; o++) {
        if (source(o, tap, stride, padding, dilation, size, &in)) {
            return true;
        }
    }
    return false;
}
static small small_of(lth_device *d, const lth_conv *c) {
    small s = {.d = d, .c = c, .N = c->N, .H = c->H, .W = c->W, .OH = c->OH, .OW = c->OW, .I = c->C, .O = c->O, .Op = lth_div_up(c->O, 16) * 16, .KH = c->KH,
               .KW = c->KW, .patches = patches(c), .panel = d->isa.panel};
    memcpy(s.stride, c->stride, sizeof s.stride);
    memcpy(s.padding, c->padding, sizeof s.padding);
    memcpy(s.dilation, c->dilation, sizeof s.dilation);
    s.in_at = lth_div_up(s.I, 16) * 16;
    if (s.patches) { /* a 1x1 convolution of what im2col made */
        s.I = s.in_at = c->C * c->KH * c->KW;
        s.H = s.OH, s.W = s.OW, s.KH = s.KW = 1;
        s.stride[0] = s.stride[1] = s.dilation[0] = s.dilation[1] = 1;
        s.padding[0] = s.padding[1] = 0;
    }
    for (int64_t t = 0; t < s.KH * s.KW; t++) {
        const bool in = alive(s.OH, t / s.KW, s.stride[0], s.padding[0], s.dilation[0], s.H) &&
                        alive(s.OW, t % s.KW, s.stride[1], s.padding[1], s.dilation[1], s.W);
        s.live[t] = in ? (int16_t)s.taps++ : -1;
    }
    return s;
}
static size_t packed_bytes(const small *s) { return lth_floats((size_t)(s->taps * s->I * s->Op)); }
static size_t copied_bytes(const small *s) {
    return s->c->x->layout == LTH_HWNC ? 0 : lth_floats((size_t)(s->H * s->W * s->N * s->in_at));
}
static double cost_us(const small *s) { return (double)(s->N * s->OH * s->OW) * (double)(s->O * s->I * s->taps) * 1e-5; }
static int64_t panels(const small *s) { return lth_div_up(s->Op, s->panel); }
static int width_at(const small *s, int64_t channels, int64_t at) { return channels - at > 16 ? s->panel : 16; }

bool lth_conv_small_plan(lth_device *d, const lth_conv *c, lth_call *call) {
    const small s = small_of(d, c);
    call->out[0]->layout = LTH_HWNC;
    call->workspace_bytes = call->save ? packed_bytes(&s) + copied_bytes(&s) : 0;
    return true;
}

/* ---- the input as rows ---- */
static void copy_lanes(const small *s, int64_t n, const float *from, float *to, bool back, bool add) { /* one image of LTH_C16 */
    const int64_t groups = s->in_at / 16, plane = s->H * s->W;
    for (int64_t g = 0; g < groups; g++) {
        for (int64_t p = 0; p < plane; p++) {
            const int64_t a = ((n * groups + g) * plane + p) * 16, b = (p * s->N + n) * s->in_at + g * 16;
            if (!back) {
                memcpy(to + b, from + a, 64);
            } else if (!add) {
                memcpy(to + a, from + b, 64);
            } else {
                s->d->isa.scaled(16, to + a, from + b, 1.f, true);
            }
        }
    }
}
/* Adds the gradients of one image's patches to the image's. */
static void patch_gradients(const small *s, int64_t n, const float *rows, int64_t rows_at, float *image) {
    const lth_conv *c = s->c;
    for (int64_t o = 0; o < s->OH * s->OW; o++) {
        const float *row = rows + (o * s->N + n) * rows_at;
        for (int64_t k = 0; k < c->C * c->KH; k++, row += c->KW) {
            int64_t iy, ix;
            const bool inside = source(o / s->OW, k % c->KH, c->stride[0], c->padding[0], c->dilation[0], c->H, &iy);
            float *line = image + (k / c->KH * c->H + iy) * c->W;
            for (int64_t kx = 0; inside && kx < c->KW; kx++) {
                if (source(o % s->OW, kx, c->stride[1], c->padding[1], c->dilation[1], c->W, &ix)) {
                    line[ix] += row[kx];
                }
            }
        }
    }
}
static lth_patch patch_of(const small *s) {
    const lth_conv *c = s->c;
    return (lth_patch){.C = c->C, .HP = c->H + 2 * c->padding[0], .WP = c->W + 2 * c->padding[1], .KH = c->KH, .KW = c->KW, .SH = c->stride[0],
                       .SW = c->stride[1], .DH = c->dilation[0], .DW = c->dilation[1], .OH = s->OH, .OW = s->OW, .at = s->N * s->in_at};
}
static size_t framed_bytes(const small *s) {
    const lth_patch p = patch_of(s);
    return s->patches ? lth_floats((size_t)(p.C * p.HP * p.WP)) : 0;
}
static void take_patches(const small *s, int64_t n, const float *image, float *framed, float *rows) {
    const lth_conv *c = s->c;
    const lth_patch p = patch_of(s);
    memset(framed, 0, framed_bytes(s));
    for (int64_t k = 0; k < c->C * c->H; k++) {
        float *to = framed + (k / c->H * p.HP + k % c->H + c->padding[0]) * p.WP + c->padding[1];
        memcpy(to, image + k * c->W, (size_t)c->W * sizeof *to);
    }
    s->d->isa.patches(&p, framed, rows + n * s->in_at);
}
static void take_image(void *arg, int64_t n, int thread) {
    small *s = arg;
    const lth_conv *c = s->c;
    float *to = (float *)(uintptr_t)s->x, *from = c->x->data;
    if (s->patches) {
        take_patches(s, n, from + n * c->C * c->H * c->W, s->framed + (size_t)thread * framed_bytes(s) / sizeof *from, to);
    } else if (c->x->layout == LTH_C16) {
        copy_lanes(s, n, from, to, false, false);
    } else {
        lth_layout_block(&s->d->isa, c->x->shape, LTH_HWNC, from, to, n, n + 1);
    }
}

/* ---- forward ---- */
static lth_panel panel_of(const small *s, int64_t o) {
    return (lth_panel){.O = s->O, .I = s->I, .T = s->KH * s->KW, .o = o, .width = width_at(s, s->Op, o), .live = s->live};
}
static void pack_panel(void *arg, int64_t i, int thread) {
    const small *s = arg;
    const lth_panel p = panel_of(s, i * s->panel);
    (void)thread;
    s->d->isa.panel_from(&p, s->c->w->data, s->packed + p.o * s->I * s->taps);
}
/* One row of the map, one panel of outputs. */
static void forward_chunk(void *arg, int64_t i, int thread) {
    const small *s = arg;
    const int64_t o = i / s->OH * s->panel, oy = i % s->OH;
    const int width = width_at(s, s->Op, o);
    const float *panel = s->packed + o * s->I * s->taps;
    lth_term terms[MOST_TAPS];
    (void)thread;
    for (int64_t ox = 0; ox < s->OW; ox++) {
        int n = 0;
        for (int64_t t = 0; t < s->KH * s->KW; t++) {
            int64_t iy, ix;
            if (s->live[t] >= 0 && source(oy, t / s->KW, s->stride[0], s->padding[0], s->dilation[0], s->H, &iy) &&
                source(ox, t % s->KW, s->stride[1], s->padding[1], s->dilation[1], s->W, &ix)) {
                terms[n++] = (lth_term){s->x + (iy * s->W + ix) * s->N * s->in_at, panel + s->live[t] * s->I * width};
            }
        }
        const lth_product p = {.terms = terms, .n = n, .width = width, .k = s->I, .rows = s->N, .a_at = s->in_at, .c_at = s->Op,
                               .bias = s->bias ? s->bias + o : NULL, .c = s->out + (oy * s->OW + ox) * s->N * s->Op + o, .relu = s->c->act == LT_ACT_RELU};
        s->d->isa.product_rows(&p);
    }
}
lt_status lth_conv_small_forward(lth_device *d, const lth_conv *c, const lth_call *call, lth_error *err) {
    small s = small_of(d, c);
    const size_t packed = packed_bytes(&s), copied = copied_bytes(&s), bias = lth_floats((size_t)s.Op);
    const double copy_us = (double)(copied / sizeof(float)) * 5e-4;
    const size_t framed = framed_bytes(&s) * (size_t)lth_cpu_team(d, s.N, copy_us);
    char *scratch = lth_cpu_scratch(d, bias + framed + (call->save ? 0 : packed + copied), err);
    if (!scratch) {
        return LT_ENOMEM;
    }
    s.framed = (float *)(void *)(scratch + bias);
    char *memory = call->save ? call->workspace : scratch + bias + framed;
    s.packed = (float *)(void *)memory;
    s.x = copied ? (float *)(void *)(memory + packed) : c->x->data;
    s.out = call->out[0]->data;
    if (c->b) {
        memset(scratch, 0, bias);
        memcpy(scratch, c->b->data, (size_t)s.O * sizeof(float));
        s.bias = (float *)(void *)scratch;
    }
    lth_cpu_run(d, panels(&s), (double)(s.O * s.I * s.KH * s.KW) * 4e-4, pack_panel, &s);
    if (copied) {
        lth_cpu_run(d, s.N, copy_us, take_image, &s);
    }
    lth_cpu_run(d, panels(&s) * s.OH, cost_us(&s), forward_chunk, &s);
    return LT_OK;
}

/* ---- backward ---- */
/* dy times ReLU's slope, and the bias's share, for one row of the map. */
static void slope_chunk(void *arg, int64_t oy, int thread) {
    const small *s = arg;
    const int64_t rows = s->OW * s->N, at = oy * rows * s->Op;
    float *db = s->parts + oy * s->Op;
    (void)thread;
    memset(db, 0, (size_t)s->Op * sizeof *db);
    s->d->isa.act_back(s->c->act, rows, s->Op, s->dy + at, s->y + at, NULL, s->masked ? s->masked + at : NULL, db);
}
static int64_t input_blocks(const small *s) { return lth_div_up(s->I, INPUTS); }
static void weights_chunk(void *arg, int64_t i, int thread) {
    const small *s = arg;
    const int64_t blocks = input_blocks(s), o = i / blocks * s->panel, i0 = i % blocks * INPUTS, i1 = lth_min64(s->I, i0 + INPUTS);
    const int width = width_at(s, s->Op, o);
    float *sums = s->sums + thread * s->sums_each;
    memset(sums, 0, (size_t)(s->taps * (i1 - i0) * width) * sizeof *sums);
    for (int64_t t = 0; t < s->KH * s->KW; t++) {
        for (int64_t op = 0; s->live[t] >= 0 && op < s->OH * s->OW; op++) {
            int64_t iy, ix;
            if (!source(op / s->OW, t / s->KW, s->stride[0], s->padding[0], s->dilation[0], s->H, &iy) ||
                !source(op % s->OW, t % s->KW, s->stride[1], s->padding[1], s->dilation[1], s->W, &ix)) {
                continue;
            }
            for (int64_t n = 0; n < s->N; n += IMAGES) {
                const lth_term term = {s->x + ((iy * s->W + ix) * s->N + n) * s->in_at + i0, s->dz + (op * s->N + n) * s->Op + o};
                const lth_product p = {.terms = &term, .n = 1, .width = width, .k = lth_min64(IMAGES, s->N - n), .rows = i1 - i0, .a_at = s->in_at,
                                       .b_at = s->Op, .c = sums + s->live[t] * (i1 - i0) * width, .c_at = width, .add = true};
                s->d->isa.product_taps(&p);
            }
        }
    }
    const lth_panel p = panel_of(s, o);
    s->d->isa.panel_to(&p, sums, i0, i1, s->dw, s->add_weights);
}
static void turn_chunk(void *arg, int64_t i, int thread) {
    const small *s = arg;
    const int64_t at = i * s->panel;
    const lth_panel p = {.O = s->I, .I = s->O, .o = at, .width = width_at(s, lth_div_up(s->I, 16) * 16, at)};
    (void)thread;
    s->d->isa.panel_turn(&p, s->taps, s->packed, s->turned + at * s->O * s->taps);
}
static void data_chunk(void *arg, int64_t i, int thread) {
    const small *s = arg;
    const int64_t at = i / s->H * s->panel, iy = i % s->H, row = lth_div_up(s->I, 16) * 16;
    const int width = width_at(s, row, at);
    const float *panel = s->turned + at * s->O * s->taps;
    lth_term terms[MOST_TAPS];
    (void)thread;
    for (int64_t ix = 0; ix < s->W; ix++) {
        int n = 0;
        for (int64_t t = 0; t < s->KH * s->KW; t++) {
            int64_t oy, ox;
            if (s->live[t] >= 0 && target(iy, t / s->KW, s->stride[0], s->padding[0], s->dilation[0], s->OH, &oy) &&
                target(ix, t % s->KW, s->stride[1], s->padding[1], s->dilation[1], s->OW, &ox)) {
                terms[n++] = (lth_term){s->dz + (oy * s->OW + ox) * s->N * s->Op, panel + s->live[t] * s->O * width};
            }
        }
        if (n == 0 && s->add_data) {
            continue;
        }
        const lth_product p = {.terms = terms, .n = n, .width = width, .k = s->O, .rows = s->N, .a_at = s->Op, .c_at = row,
                               .c = s->dx + (iy * s->W + ix) * s->N * row + at, .add = s->add_data};
        s->d->isa.product_rows(&p);
    }
}
typedef struct give { small *s; const lth_array *to; bool add; } give;
/* The gradient of one image from rows to the input's own layout. */
static void give_image(void *arg, int64_t n, int thread) {
    const give *g = arg;
    const small *s = g->s;
    const lth_conv *c = s->c;
    (void)thread;
    if (s->patches) {
        float *image = (float *)g->to->data + n * c->C * c->H * c->W;
        if (!g->add) {
            memset(image, 0, (size_t)(c->C * c->H * c->W) * sizeof *image);
        }
        patch_gradients(s, n, s->dx, lth_div_up(s->I, 16) * 16, image);
    } else if (g->to->layout == LTH_C16) {
        copy_lanes(s, n, s->dx, g->to->data, true, g->add);
    } else {
        lth_layout_unblock(&s->d->isa, c->x->shape, LTH_HWNC, s->dx, g->to->data, g->add, n, n + 1);
    }
}
static lt_status data_gradient(small *s, const lth_call *call, bool converts) {
    const int64_t row = lth_div_up(s->I, 16) * 16;
    s->add_data = call->accumulate[0] && !converts;
    lth_cpu_run(s->d, lth_div_up(row, s->panel), (double)(s->taps * s->I * s->O) * 4e-4, turn_chunk, s);
    lth_cpu_run(s->d, lth_div_up(row, s->panel) * s->H, cost_us(s), data_chunk, s);
    if (converts) {
        give g = {s, call->grad_in[0], call->accumulate[0]};
        lth_cpu_run(s->d, s->N, (double)lth_count(s->c->x) * 5e-4, give_image, &g);
    }
    return LT_OK;
}
static void bias_gradient(const small *s, const lth_call *call) {
    for (int64_t oy = 0; oy < s->OH; oy++) {
        s->d->isa.scaled(s->O, call->grad_in[2]->data, s->parts + oy * s->Op, 1.f, call->accumulate[2] || oy > 0);
    }
}
lt_status lth_conv_small_backward(lth_device *d, const lth_conv *c, const lth_call *call, lth_error *err) {
    small s = small_of(d, c);
    const bool slope = c->act != LT_ACT_NONE, wants_bias = c->b && call->need[2], converts = c->x->layout != LTH_HWNC;
    const int64_t blocks = panels(&s) * input_blocks(&s), row = lth_div_up(s.I, 16) * 16, chunks = call->need[1] ? blocks : 0;
    const int team = chunks ? lth_cpu_team(d, chunks, cost_us(&s)) : 0;
    s.sums_each = (s.taps ? s.taps : 1) * INPUTS * s.panel; /* where only padding is seen, there is no tap */
    const int64_t floats[] = {slope ? s.OH * s.OW * s.N * s.Op : 0, slope || wants_bias ? s.OH * s.Op : 0, team * s.sums_each,
                              call->need[0] ? s.taps * s.O * row : 0, call->need[0] && converts ? s.H * s.W * s.N * row : 0};
    float **to[] = {&s.masked, &s.parts, &s.sums, &s.turned, &s.dx};
    size_t bytes = 0;
    for (int k = 0; k < 5; k++) {
        bytes += lth_floats((size_t)floats[k]);
    }
    char *scratch = lth_cpu_scratch(d, bytes, err);
    if (!scratch) {
        return LT_ENOMEM;
    }
    for (int k = 0; k < 5; k++) {
        *to[k] = floats[k] ? (float *)(void *)scratch : NULL;
        scratch += lth_floats((size_t)floats[k]);
    }
    s.packed = call->workspace;
    s.x = converts ? (float *)(void *)((char *)call->workspace + packed_bytes(&s)) : c->x->data;
    s.dy = call->grad_out[0]->data, s.y = call->out[0]->data;
    s.dz = slope ? s.masked : s.dy;
    if (s.parts) {
        lth_cpu_run(d, s.OH, (double)(s.OH * s.OW * s.N * s.Op) * 4e-4, slope_chunk, &s);
    }
    if (wants_bias) {
        bias_gradient(&s, call);
    }
    if (chunks) {
        s.dw = call->grad_in[1]->data, s.add_weights = call->accumulate[1];
        lth_cpu_run(d, chunks, cost_us(&s), weights_chunk, &s);
    }
    if (!call->need[0]) {
        return LT_OK;
    }
    s.dx = converts ? s.dx : call->grad_in[0]->data;
    return data_gradient(&s, call, converts);
}
