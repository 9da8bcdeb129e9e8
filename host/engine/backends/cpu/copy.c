/* backends/cpu/copy.c - COPY: from any layout or strides to row-major contiguous f32, and its gradient back; within a layout. Other dtypes are copied when
 * they lie contiguous and no gradient is wanted; other arrays of other dtypes than f32 are refused. */
#include "engine/backends/cpu/layout.h"

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
static void gather(float *strided, int64_t stride, float *plain, int64_t n, bool add) {
    (void)add;
    for (int64_t i = 0; i < n; i++) {
        plain[i] = strided[i * stride];
    }
}
static void scatter(float *strided, int64_t stride, float *plain, int64_t n, bool add) {
    for (int64_t i = 0; i < n; i++) {
        strided[i * stride] = plain[i] + (add ? strided[i * stride] : 0.f);
    }
}

static bool blocked(const lth_array *a) { return a->layout != LTH_STRIDED; }
static bool copy_plan(lth_device *d, lth_call *call) {
    const lth_array *x = call->in[0];
    (void)d;
    if (blocked(x) && call->out[0]->layout == x->layout) { /* asked for by lth_copy_into */
        return x->dtype == LT_F32;
    }
    if (!lth_plain(call->out[0]) || x->dtype != call->out[0]->dtype || lth_count(x) == 0) {
        return false;
    }
    return x->dtype == LT_F32 ? !blocked(x) || x->ndim == 4 : !call->save && lth_plain(x); /* gradients of f32 only */
}
static lt_status copy_forward(lth_device *d, const lth_call *call, lth_error *err) {
    const lth_array *x = call->in[0];
    (void)err;
    if (blocked(x) && call->out[0]->layout == x->layout) {
        memmove(call->out[0]->data, x->data, lth_cpu_array_bytes(x));
    } else if (blocked(x)) {
        move m = {d, x->shape, x->layout, x->data, call->out[0]->data, false};
        lth_cpu_run(d, lth_layout_units(x->shape, x->layout), (double)lth_count(x) * 4e-4, unblock_unit, &m);
    } else if (lth_plain(x)) {
        memmove(call->out[0]->data, x->data, lth_cpu_array_bytes(x));
    } else {
        walk(x, call->out[0]->data, false, gather);
    }
    return LT_OK;
}
static lt_status copy_backward(lth_device *d, const lth_call *call, lth_error *err) {
    if (lth_cpu_no_gradient(d, call) || !call->need[0]) {
        return LT_OK;
    }
    const lth_array *g = call->grad_out[0], *dx = call->grad_in[0];
    if (!blocked(dx)) {
        if (lth_plain(dx)) {
            lth_cpu_scaled(d, lth_count(dx), dx->data, g->data, 1.f, call->accumulate[0]);
        } else {
            walk(dx, g->data, call->accumulate[0], scatter);
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
