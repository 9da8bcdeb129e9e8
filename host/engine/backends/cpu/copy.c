/* backends/cpu/copy.c - COPY: from any layout or strides to row-major contiguous, and its gradient back; CAST: between all dtypes.
 * Blocked layouts are f32. Refuses empty arrays. */
#include "engine/backends/cpu/layout.h"
#include "engine/backends/cpu/walk.h"

int64_t lth_layout_units(const int64_t *shape, int layout) { return layout == LTH_N16C ? lth_div_up(shape[0], 16) : shape[0]; }
/* An image in HWNC: pixels of ceil(C/16) groups, N rows apart. */
static void hwnc_image(const lth_cpu_isa *t, const int64_t *shape, float *plain, float *blocked, int64_t n, bool back, bool add) {
    const int64_t C = shape[1], plane = shape[2] * shape[3], row = lth_div_up(C, 16) * 16, at = shape[0] * row;
    float *image = plain + n * C * plane, *pixels = blocked + n * row;
    if (plane == 1) { /* rows already */
        if (back) {
            t->scaled(C, image, pixels, 1.f, add);
        } else {
            memcpy(pixels, image, (size_t)C * sizeof *image);
            memset(pixels + C, 0, (size_t)(row - C) * sizeof *image);
        }
        return;
    }
    for (int64_t c = 0; c < C; c += 16) {
        if (back) {
            t->pixels_to_rows(plane, lth_min64(16, C - c), pixels + c, at, image + c * plane, plane, add);
        } else {
            t->rows_to_pixels(plane, lth_min64(16, C - c), image + c * plane, plane, pixels + c, at);
        }
    }
}
/* In N16C the rows of a transpose are images and its columns a whole image; in C16 rows are channels, columns a plane. */
void lth_layout_block(const lth_cpu_isa *t, const int64_t *shape, int layout, const float *plain, float *blocked, int64_t from, int64_t to) {
    const int64_t C = shape[1], plane = shape[2] * shape[3], image = C * plane, groups = lth_div_up(C, 16);
    for (int64_t u = from; u < to; u++) {
        if (layout == LTH_HWNC) {
            hwnc_image(t, shape, (float *)(uintptr_t)plain, blocked, u, false, false);
            continue;
        }
        if (layout == LTH_N16C) {
            t->rows_to_lanes(image, lth_min64(16, shape[0] - u * 16), plain + u * 16 * image, image, blocked + u * 16 * image);
            continue;
        }
        for (int64_t g = 0; g < groups; g++) {
            t->rows_to_lanes(plane, lth_min64(16, C - g * 16), plain + u * image + g * 16 * plane, plane, blocked + (u * groups + g) * 16 * plane);
        }
    }
}
void lth_layout_unblock(const lth_cpu_isa *t, const int64_t *shape, int layout, const float *blocked, float *plain, bool add, int64_t from, int64_t to) {
    const int64_t C = shape[1], plane = shape[2] * shape[3], image = C * plane, groups = lth_div_up(C, 16);
    for (int64_t u = from; u < to; u++) {
        if (layout == LTH_HWNC) {
            hwnc_image(t, shape, plain, (float *)(uintptr_t)blocked, u, true, add);
            continue;
        }
        if (layout == LTH_N16C) {
            t->lanes_to_rows(image, lth_min64(16, shape[0] - u * 16), blocked + u * 16 * image, plain + u * 16 * image, image, add);
            continue;
        }
        for (int64_t g = 0; g < groups; g++) {
            t->lanes_to_rows(plane, lth_min64(16, C - g * 16), blocked + (u * groups + g) * 16 * plane, plain + u * image + g * 16 * plane, plane, add);
        }
    }
}

typedef struct move { lth_device *d; const int64_t *shape; int layout; const float *from; float *to; bool add; } move;
static void unblock_unit(void *arg, int64_t i, int thread) {
    const move *m = arg;
    (void)thread;
    lth_layout_unblock(&m->d->isa, m->shape, m->layout, m->from, m->to, m->add, i, i + 1);
}
static void block_unit(void *arg, int64_t i, int thread) {
    const move *m = arg;
    (void)thread;
    lth_layout_block(&m->d->isa, m->shape, m->layout, m->from, m->to, i, i + 1);
}

/* Walks the rows of a strided array; the last dimension is the inner loop. */
typedef void row_fn(float *strided, int64_t stride, float *plain, int64_t n, bool add);
static void walk(const lth_array *a, float *plain, bool add, row_fn *row) {
    int64_t index[LT_MAX_DIMS] = {0};
    const int last = a->ndim - 1;
    const int64_t inner = a->ndim ? a->shape[last] : 1, rows = inner ? lth_count(a) / inner : 0;
    float *at = a->data;
    for (int64_t r = 0; r < rows; r++, plain += inner) {
        row(at, a->ndim ? a->strides[last] : 1, plain, inner, add);
        for (int k = last - 1; k >= 0; k--) {
            at += a->strides[k];
            if (++index[k] < a->shape[k]) {
                break;
            }
            at -= a->strides[k] * a->shape[k];
            index[k] = 0;
        }
    }
}
static void scatter(float *strided, int64_t stride, float *plain, int64_t n, bool add) {
    for (int64_t i = 0; i < n; i++) {
        strided[i * stride] = plain[i] + (add ? strided[i * stride] : 0.f);
    }
}

/* ---- strided copies of any dtype: elements are so many bytes ---- */
typedef struct strided { const lth_nest *nest; int outer[LT_MAX_DIMS], n_outer, turned; int64_t pieces, rows; } strided;
enum { BLOCK = 32 };
/* rows x cols elements: source (1, s), target (d, 1) apart; in blocks, so that lines are used up while they are near. */
#define TURN(type) \
    for (int64_t r = 0; r < rows; r += BLOCK) { \
        for (int64_t c = 0; c < cols; c += BLOCK) { \
            for (int64_t i = r; i < lth_min64(rows, r + BLOCK); i++) { \
                for (int64_t j = c; j < lth_min64(cols, c + BLOCK); j++) { \
                    ((type *)to)[i * d + j] = ((const type *)from)[i + j * s]; \
                } \
            } \
        } \
    } \
    break
static void turn(int size, void *to, int64_t d, const void *from, int64_t s, int64_t rows, int64_t cols) {
    switch (size) {
    case 1: TURN(uint8_t);
    case 2: TURN(uint16_t);
    case 4: TURN(uint32_t);
    default: TURN(uint64_t);
    }
}
#define PICK(type) \
    for (int64_t i = 0; i < n; i++) { \
        ((type *)to)[i] = ((const type *)from)[i * stride]; \
    } \
    break
static void pick(int size, void *to, const void *from, int64_t stride, int64_t n) {
    switch (size) {
    case 1: PICK(uint8_t);
    case 2: PICK(uint16_t);
    case 4: PICK(uint32_t);
    default: PICK(uint64_t);
    }
}
/* Operand 0 is the source, operand 1 the target. Either planes (turned >= 0: the dimension whose source elements lie side by side) or rows. */
static void strided_piece(void *arg, int64_t piece, int thread) {
    const strided *p = arg;
    const lth_nest *nest = p->nest;
    const lth_operand *x = &nest->op[0], *y = &nest->op[1];
    const int last = nest->ndim - 1;
    const int64_t cols = nest->shape[last], each = lth_div_up(p->rows, p->pieces);
    (void)thread;
    for (int64_t r = piece * each; r < lth_min64(p->rows, (piece + 1) * each); r++) {
        int64_t rest = r, from = 0, to = 0;
        for (int k = p->n_outer - 1; k >= 0; k--) {
            const int d = p->outer[k];
            from += rest % nest->shape[d] * x->stride[d];
            to += rest % nest->shape[d] * y->stride[d];
            rest /= nest->shape[d];
        }
        if (p->turned >= 0) {
            turn(x->size, y->data + to * x->size, y->stride[p->turned], x->data + from * x->size, x->stride[last], nest->shape[p->turned], cols);
        } else if (x->stride[last] == 1) {
            memcpy(y->data + to * x->size, x->data + from * x->size, (size_t)(cols * x->size));
        } else {
            pick(x->size, y->data + to * x->size, x->data + from * x->size, x->stride[last], cols);
        }
    }
}
static void copy_strided(lth_device *d, const lth_array *x, const lth_array *y) {
    lth_nest nest;
    lth_nest_init(&nest, y->ndim, y->shape);
    lth_nest_add(&nest, x);
    lth_nest_add(&nest, y);
    lth_nest_join(&nest);
    const int last = nest.ndim - 1;
    strided p = {.nest = &nest, .turned = -1, .rows = 1};
    for (int k = 0; k < last && nest.op[0].stride[last] != 1; k++) {
        p.turned = nest.op[0].stride[k] == 1 ? k : p.turned;
    }
    for (int k = 0; k < last; k++) {
        if (k != p.turned) {
            p.outer[p.n_outer++] = k;
            p.rows *= nest.shape[k];
        }
    }
    p.pieces = lth_min64(p.rows, lth_div_up(nest.count, LTH_CHUNK));
    lth_cpu_run(d, p.pieces, (double)nest.count * 5e-4, strided_piece, &p);
}

/* ---- by tiles: dtypes that differ, gradients that are added ---- */
typedef struct carry { lth_device *d; lth_nest nest; lth_class from, to; bool add; } carry;
static void convert(lth_class from, lth_class to, bool truth, int64_t n, const void *values, void *out) {
    for (int64_t i = 0; i < n; i++) {
        const double v = from == LTH_BY_F32 ? (double)((const float *)values)[i] : from == LTH_BY_F64 ? ((const double *)values)[i] : 0;
        const int64_t whole = from == LTH_BY_I64 ? ((const int64_t *)values)[i] : v >= -0x1p63 && v < 0x1p63 ? (int64_t)v : INT64_MIN;
        switch (to) {
        case LTH_BY_F32: ((float *)out)[i] = from == LTH_BY_I64 ? (float)whole : (float)v; break;
        case LTH_BY_F64: ((double *)out)[i] = from == LTH_BY_I64 ? (double)whole : v; break;
        default: ((int64_t *)out)[i] = truth ? (from == LTH_BY_I64 ? whole != 0 : v != 0) : whole;
        }
    }
}
static void carry_tile(void *arg, lth_tile *t) {
    const carry *c = arg;
    const void *values = lth_tile_get(t, 0, c->from, NULL);
    double converted[LTH_TILE];
    if (c->from != c->to || t->nest->op[1].dtype == LT_BOOL) {
        convert(c->from, c->to, t->nest->op[1].dtype == LT_BOOL, t->n, values, converted);
        values = converted;
    }
    lth_tile_put(t, 1, c->to, values, c->add);
}
static void carry_chunk(void *arg, int64_t i, int thread) {
    carry *c = arg;
    (void)thread;
    lth_nest_run(&c->nest, &c->d->isa, i * LTH_CHUNK, lth_min64((i + 1) * LTH_CHUNK, c->nest.count), false, carry_tile, c);
}
/* to = from, or to += from. Tiles that go across short rows write flat memory: other targets are met row by row. */
static void carry_over(lth_device *d, const lth_array *from, const lth_array *to, bool add) {
    carry c = {.d = d, .from = lth_class_of(from->dtype), .to = lth_class_of(to->dtype), .add = add};
    lth_nest_init(&c.nest, to->ndim, to->shape);
    lth_nest_add(&c.nest, from);
    lth_nest_add(&c.nest, to);
    lth_nest_join(&c.nest);
    lth_cpu_run(d, lth_div_up(c.nest.count, LTH_CHUNK), (double)c.nest.count * 6e-4, carry_chunk, &c);
}

static bool blocked(const lth_array *a) { return a->layout != LTH_STRIDED; }
static bool copy_plan(lth_device *d, lth_call *call) {
    const lth_array *x = call->in[0], *y = call->out[0];
    (void)d;
    if (blocked(x) && y->layout == x->layout) { /* asked for by lth_copy_into: where two gradients of a blocked array meet */
        return x->dtype == LT_F32 && x->ndim == 4;
    }
    if (blocked(y) || x->dtype != y->dtype || lth_count(x) == 0 || (call->save && lth_class_of(x->dtype) == LTH_BY_I64)) {
        return false;
    }
    return !blocked(x) || (x->ndim == 4 && x->dtype == LT_F32 && lth_plain(y));
}
static lt_status copy_forward(lth_device *d, const lth_call *call, lth_error *err) {
    const lth_array *x = call->in[0], *y = call->out[0];
    (void)err;
    if (blocked(x) && y->layout == x->layout) {
        memmove(y->data, x->data, lth_cpu_array_bytes(x));
    } else if (blocked(x)) {
        move m = {d, x->shape, x->layout, x->data, y->data, false};
        lth_cpu_run(d, lth_layout_units(x->shape, x->layout), (double)lth_count(x) * 4e-4, unblock_unit, &m);
    } else if (lth_plain(x) && lth_plain(y)) {
        memmove(y->data, x->data, lth_cpu_array_bytes(x));
    } else {
        copy_strided(d, x, y);
    }
    return LT_OK;
}
static lt_status copy_backward(lth_device *d, const lth_call *call, lth_error *err) {
    if (lth_cpu_no_gradient(d, call) || !call->need[0]) {
        return LT_OK;
    }
    const lth_array *g = call->grad_out[0], *dx = call->grad_in[0];
    if (!blocked(dx)) {
        if (dx->dtype == LT_F32 && lth_plain(dx) && lth_plain(g)) {
            lth_cpu_scaled(d, lth_count(dx), dx->data, g->data, 1.f, call->accumulate[0]);
        } else if (dx->dtype == LT_F32 && lth_plain(g)) {
            walk(dx, g->data, call->accumulate[0], scatter);
        } else {
            carry_over(d, g, dx, call->accumulate[0]);
        }
        return LT_OK;
    }
    if (g->layout == dx->layout) {
        lth_cpu_scaled(d, lth_stored(dx), dx->data, g->data, 1.f, call->accumulate[0]);
        return LT_OK;
    }
    move m = {d, dx->shape, dx->layout, g->data, dx->data, false};
    if (call->accumulate[0]) {
        m.to = lth_cpu_scratch(d, (size_t)lth_stored(dx) * sizeof(float), err);
        if (!m.to) {
            return LT_ENOMEM;
        }
    }
    lth_cpu_run(d, lth_layout_units(dx->shape, dx->layout), (double)lth_count(dx) * 4e-4, block_unit, &m);
    if (call->accumulate[0]) {
        lth_cpu_scaled(d, lth_stored(dx), dx->data, m.to, 1.f, true);
    }
    return LT_OK;
}
const lth_kernel lth_cpu_copy = {copy_plan, copy_forward, copy_backward};

/* ---- CAST ---- */
static bool cast_plan(lth_device *d, lth_call *call) {
    (void)d;
    return !blocked(call->in[0]) && lth_count(call->in[0]) > 0;
}
static lt_status cast_forward(lth_device *d, const lth_call *call, lth_error *err) {
    (void)err;
    carry_over(d, call->in[0], call->out[0], false);
    return LT_OK;
}
static lt_status cast_backward(lth_device *d, const lth_call *call, lth_error *err) {
    (void)err;
    if (!lth_cpu_no_gradient(d, call) && call->need[0]) {
        carry_over(d, call->grad_out[0], call->grad_in[0], call->accumulate[0]);
    }
    return LT_OK;
}
const lth_kernel lth_cpu_cast = {cast_plan, cast_forward, cast_backward};
