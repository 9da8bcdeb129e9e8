/* backends/cpu/moves.c - CAT (parts of it too), PAD, ROLL, FLIP, TRIL, TRIU: whole lines moved at memory speed, plain arrays of every
 * dtype; their gradients where the dtype can be added (dtypes.h). Elements of equal size are moved by the same code.
 * Refuses strided and blocked inputs: the engine makes them plain. */
#include "engine/backends/cpu/dtypes.h"
#include "engine/backends/indices.h"

enum { CHUNK = 16384 };

static bool moves_plan(lth_device *d, lth_call *call) {
    (void)d;
    return lth_cpu_all_plain(call);
}

/* ---- CAT: (outer, items' sizes, inner) ---- */
typedef struct joint {
    lth_device *d;
    const lth_call *call;
    int64_t outer, width, start, per_chunk; /* elements of an output line, and before the first item in it */
    int64_t part[LTH_MAX_IN];               /* elements of an item's line */
    size_t bytes;
    bool back;
} joint;

static joint joint_of(lth_device *d, const lth_call *call) {
    const lth_array *y = call->out[0];
    const int dim = (int)call->attrs->i[0];
    int64_t inner = 1;
    joint j = {.d = d, .call = call, .outer = 1, .bytes = lth_cpu_element(y->dtype)};
    for (int k = 0; k < y->ndim; k++) {
        if (k < dim) {
            j.outer *= y->shape[k];
        } else if (k > dim) {
            inner *= y->shape[k];
        }
    }
    for (int k = 0; k < call->n_in; k++) {
        j.part[k] = call->in[k]->shape[dim] * inner;
    }
    j.width = y->shape[dim] * inner;
    j.start = call->attrs->i[1] * inner;
    j.per_chunk = lth_div_up(CHUNK, j.width ? j.width : 1);
    return j;
}
static void join_line(const joint *j, int64_t line, int64_t from, int64_t to) {
    const lth_call *call = j->call;
    int64_t at = j->start;
    for (int k = 0; k < call->n_in; at += j->part[k], k++) {
        const int64_t first = from > at ? from : at, last = lth_min64(to, at + j->part[k]), place = line * j->part[k] + first - at;
        if (first >= last || (j->back && !call->need[k])) {
            continue;
        }
        const size_t bytes = (size_t)(last - first) * j->bytes;
        if (!j->back) {
            memcpy((char *)call->out[0]->data + (line * j->width + first) * (int64_t)j->bytes,
                   (const char *)call->in[k]->data + place * (int64_t)j->bytes, bytes);
            continue;
        }
        const char *g = (const char *)call->grad_out[0]->data + (line * j->width + first) * (int64_t)j->bytes;
        char *d = (char *)call->grad_in[k]->data + place * (int64_t)j->bytes;
        if (call->accumulate[k]) {
            lth_cpu_add(j->d, call->out[0]->dtype, last - first, d, g);
        } else {
            memcpy(d, g, bytes);
        }
    }
}
/* One line is cut too where there are few. */
static void join_chunk(void *arg, int64_t chunk, int thread) {
    const joint *j = arg;
    (void)thread;
    if (j->width > CHUNK) {
        const int64_t pieces = lth_div_up(j->width, CHUNK), from = chunk % pieces * CHUNK;
        join_line(j, chunk / pieces, from, lth_min64(j->width, from + CHUNK));
        return;
    }
    for (int64_t line = chunk * j->per_chunk; line < lth_min64(j->outer, (chunk + 1) * j->per_chunk); line++) {
        join_line(j, line, 0, j->width);
    }
}
static void run_joint(joint *j) {
    if (j->outer * j->width > 0) {
        const int64_t chunks = j->width > CHUNK ? j->outer * lth_div_up(j->width, CHUNK) : lth_div_up(j->outer, j->per_chunk);
        lth_cpu_run(j->d, chunks, (double)(j->outer * j->width) * 2e-4, join_chunk, j);
    }
}
static lt_status cat_forward(lth_device *d, const lth_call *call, lth_error *err) {
    (void)err;
    joint j = joint_of(d, call);
    run_joint(&j);
    return LT_OK;
}
static lt_status cat_backward(lth_device *d, const lth_call *call, lth_error *err) {
    (void)err;
    if (!call->grad_out[0]) {
        for (int k = 0; k < call->n_in; k++) {
            lth_cpu_begin_gradient(d, call, k);
        }
        return LT_OK;
    }
    joint j = joint_of(d, call);
    j.back = true;
    run_joint(&j);
    return LT_OK;
}
const lth_kernel lth_cpu_cat = {moves_plan, cat_forward, cat_backward};

/* ---- PAD, ROLL, FLIP: lines of the output from lines of x ---- */
typedef struct remap {
    lth_device *d;
    const lth_call *call;
    const lth_array *x, *y;                 /* y: the output or its gradient; x: the input or its gradient */
    int whole;                              /* leading dimensions that are the same in both */
    int64_t outer, inner, per_chunk;        /* their elements; lines of the output below them */
    uint64_t value;
    size_t bytes;
    bool back;
} remap;

#define RUN_OF(T) \
    do { \
        T *to = (T *)(void *)y; \
        const T *from = (const T *)(const void *)x; \
        for (int64_t i = 0; i < n; i++) { \
            to[i] = from[i * step]; \
        } \
    } while (0)
#define FILL_RUN(T) \
    do { \
        T *to = (T *)(void *)y; \
        for (int64_t i = 0; i < n; i++) { \
            to[i] = (T)value; \
        } \
    } while (0)
static void fill_run(size_t bytes, char *y, int64_t n, uint64_t value) {
    switch (bytes) {
    case 1: FILL_RUN(uint8_t); break;
    case 2: FILL_RUN(uint16_t); break;
    case 4: FILL_RUN(uint32_t); break;
    default: FILL_RUN(uint64_t); break;
    }
}
static void move_run(size_t bytes, char *y, const char *x, int64_t step, int64_t n) {
    if (step == 1) {
        memcpy(y, x, (size_t)n * bytes);
        return;
    }
    switch (bytes) {
    case 1: RUN_OF(uint8_t); break;
    case 2: RUN_OF(uint16_t); break;
    case 4: RUN_OF(uint32_t); break;
    default: RUN_OF(uint64_t); break;
    }
}
/* x's gradient += the line's; in the order of the line. */
static void add_run(const remap *j, char *x, const char *y, int64_t step, int64_t n) {
    const lt_dtype dtype = j->x->dtype;
    if (step == 1) {
        lth_cpu_add(j->d, dtype, n, x, y);
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        lth_cpu_add(j->d, dtype, 1, x + i * step * (int64_t)j->bytes, y + i * (int64_t)j->bytes);
    }
}
/* x: the line of x it comes from, NULL from nowhere. */
static void remap_line(const remap *j, char *y, char *x) {
    const int last = j->y->ndim - 1;
    const int64_t width = j->y->shape[last], n = j->x->shape[last], size = (int64_t)j->bytes;
    for (int64_t at = 0; at < width;) {
        const lth_run run = lth_run_at(j->call, last, n, at);
        if (run.from < 0 || !x) {
            if (!j->back) {
                fill_run(j->bytes, y + at * size, x ? run.length : width - at, j->value);
            }
        } else if (j->back) {
            add_run(j, x + run.from * size, y + at * size, run.step, run.length);
        } else {
            move_run(j->bytes, y + at * size, x + run.from * size, run.step, run.length);
        }
        at += x ? run.length : width - at;
    }
}
/* The line of x (below the leading dimensions) that line `line` of y comes from; -1: nowhere. */
static int64_t source_line(const remap *j, int64_t line) {
    int64_t at = 0, stride = 1;
    for (int d = j->y->ndim - 2; d >= j->whole; d--) {
        const int64_t from = lth_run_at(j->call, d, j->x->shape[d], line % j->y->shape[d]).from;
        if (from < 0) {
            return -1;
        }
        at += from * stride;
        stride *= j->x->shape[d];
        line /= j->y->shape[d];
    }
    return at;
}
static void remap_chunk(void *arg, int64_t chunk, int thread) {
    const remap *j = arg;
    const int last = j->y->ndim - 1;
    const int64_t width = j->y->shape[last] * (int64_t)j->bytes, from_width = j->x->shape[last] * (int64_t)j->bytes;
    int64_t x_lines = 1;
    (void)thread;
    for (int d = j->whole; d < last; d++) {
        x_lines *= j->x->shape[d];
    }
    /* backward: lines of one outer part may add to the same line, so a chunk is whole parts */
    const int64_t first = chunk * j->per_chunk, end = lth_min64(j->outer * j->inner, first + j->per_chunk);
    for (int64_t line = first; line < end; line++) {
        const int64_t from = source_line(j, line % j->inner);
        remap_line(j, (char *)j->y->data + line * width, from < 0 ? NULL : (char *)j->x->data + (line / j->inner * x_lines + from) * from_width);
    }
}
static void run_remap(lth_device *d, const lth_call *call, const lth_array *x, const lth_array *y, bool back) {
    static const lth_array one = {.ndim = 1, .shape = {1}, .strides = {1}};
    remap j = {.d = d, .call = call, .x = x, .y = y, .back = back, .outer = 1, .inner = 1, .bytes = lth_cpu_element(x->dtype)};
    j.value = call->op == LTH_OP_PAD ? lth_cpu_bits(x->dtype, call->attrs->f[0]) : 0;
    if (lth_count(y) == 0) {
        return;
    }
    lth_array scalar_x = one, scalar_y = one; /* a scalar is a line of one */
    if (y->ndim == 0) {
        scalar_x.data = x->data, scalar_y.data = y->data, scalar_x.dtype = scalar_y.dtype = x->dtype;
        j.x = &scalar_x, j.y = &scalar_y;
    }
    const int last = j.y->ndim - 1;
    while (j.whole < last && lth_run_whole(call, j.whole)) {
        j.outer *= j.y->shape[j.whole++];
    }
    for (int k = j.whole; k < last; k++) {
        j.inner *= j.y->shape[k];
    }
    const int64_t lines = lth_div_up(CHUNK, j.y->shape[last]);
    j.per_chunk = back ? lth_div_up(lines, j.inner) * j.inner : lines;
    lth_cpu_run(d, lth_div_up(j.outer * j.inner, j.per_chunk), (double)lth_count(j.y) * 3e-4, remap_chunk, &j);
}
static bool remap_plan(lth_device *d, lth_call *call) {
    (void)d;
    return lth_cpu_all_plain(call) && (call->op != LTH_OP_PAD || call->in[0]->dtype != LT_F16);
}
static lt_status remap_forward(lth_device *d, const lth_call *call, lth_error *err) {
    (void)err;
    run_remap(d, call, call->in[0], call->out[0], false);
    return LT_OK;
}
static lt_status remap_backward(lth_device *d, const lth_call *call, lth_error *err) {
    (void)err;
    if (lth_cpu_begin_gradient(d, call, 0)) {
        run_remap(d, call, call->grad_in[0], call->grad_out[0], true);
    }
    return LT_OK;
}
const lth_kernel lth_cpu_remap = {remap_plan, remap_forward, remap_backward};

/* ---- TRIL, TRIU: of each line a first or last part stays ---- */
typedef struct triangle {
    lth_device *d;
    const char *x;
    char *y;
    int64_t height, width, diagonal, lines, per_chunk;
    lt_dtype dtype;
    bool lower, adds;
} triangle;
static void triangle_chunk(void *arg, int64_t chunk, int thread) {
    const triangle *t = arg;
    const int64_t size = (int64_t)lth_cpu_element(t->dtype), end = lth_min64(t->lines, (chunk + 1) * t->per_chunk);
    (void)thread;
    for (int64_t line = chunk * t->per_chunk; line < end; line++) {
        const int64_t row = line % t->height;
        int64_t edge = t->diagonal > t->width ? t->width : t->diagonal < -t->height ? -t->height : t->diagonal; /* no overflow below */
        edge += row + t->lower; /* tril keeps columns before it, triu from it on */
        edge = edge < 0 ? 0 : edge > t->width ? t->width : edge;
        const int64_t from = t->lower ? 0 : edge, n = t->lower ? edge : t->width - edge;
        char *y = t->y + line * t->width * size;
        const char *x = t->x + line * t->width * size;
        if (t->adds) {
            lth_cpu_add(t->d, t->dtype, n, y + from * size, x + from * size);
            continue;
        }
        memcpy(y + from * size, x + from * size, (size_t)(n * size));
        memset(y + (t->lower ? edge : 0) * size, 0, (size_t)((t->width - n) * size));
    }
}
static void run_triangle(lth_device *d, const lth_call *call, const void *x, void *y, bool adds) {
    const lth_array *a = call->in[0];
    if (lth_count(a) == 0) {
        return;
    }
    triangle t = {.d = d, .x = x, .y = y, .height = a->shape[a->ndim - 2], .width = a->shape[a->ndim - 1], .diagonal = call->attrs->i[0],
                  .dtype = a->dtype, .lower = call->op == LTH_OP_TRIL, .adds = adds};
    t.lines = lth_count(a) / t.width;
    t.per_chunk = lth_div_up(CHUNK, t.width);
    lth_cpu_run(d, lth_div_up(t.lines, t.per_chunk), (double)lth_count(a) * 2e-4, triangle_chunk, &t);
}
static lt_status triangle_forward(lth_device *d, const lth_call *call, lth_error *err) {
    (void)err;
    run_triangle(d, call, call->in[0]->data, call->out[0]->data, false);
    return LT_OK;
}
static lt_status triangle_backward(lth_device *d, const lth_call *call, lth_error *err) {
    (void)err;
    char *dx = lth_cpu_begin_gradient(d, call, 0);
    if (dx) {
        run_triangle(d, call, call->grad_out[0]->data, dx, true);
    }
    return LT_OK;
}
const lth_kernel lth_cpu_triangle = {moves_plan, triangle_forward, triangle_backward};
