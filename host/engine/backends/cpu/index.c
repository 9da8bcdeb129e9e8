/* backends/cpu/index.c - GATHER, SCATTER_ADD, INDEX_SELECT, EMBEDDING, ONE_HOT, MASKED_FILL: what moves elements by index or mask. Plain
 * arrays of every dtype; sums (gradients, scatter_add) of all but f16 and bool, which the fallback does.
 * Every index is checked before the first element moves. Work is cut so that no two chunks add to one element, and within a chunk sums
 * go in the order of positions: their bits do not depend on threads. */
#include "engine/backends/cpu/dtypes.h"
#include "engine/backends/indices.h"

enum { CHUNK = 16384, COLUMNS = 64 };

static lt_status check_indices(lth_op op, const lth_array *index, int64_t size, lth_error *err) {
    const int64_t n = lth_count(index), *at = index->data;
    uint64_t bad = 0;
    for (int64_t i = 0; i < n; i++) {
        bad |= (uint64_t)at[i] >= (uint64_t)size;
    }
    for (int64_t i = 0; bad && i < n; i++) {
        if (at[i] < 0 || at[i] >= size) {
            return lth_index_outside(lth_index_op(op), at[i], i, size, err);
        }
    }
    return LT_OK;
}

/* ---- gather and scatter_add: `wide` is looked into along dim, `narrow` has an element per position of the index ---- */
typedef enum { TO_NARROW, ADD_NARROW, ADD_WIDE } direction; /* narrow = wide, narrow += wide, wide += narrow */
typedef struct lanes {
    lth_device *d;
    const int64_t *index;
    char *wide, *narrow;
    lt_dtype dtype;
    direction way;
    int ndim;                                                /* of the index without its last dimension: rows */
    int64_t shape[LT_MAX_DIMS], wide_at[LT_MAX_DIMS], narrow_at[LT_MAX_DIMS];
    int64_t length, step, column;                            /* of a row; of wide along dim; of wide along the row */
    int64_t rows, unit, units, per_chunk, blocks;            /* rows that must stay together; such units; of a chunk; blocks of columns */
} lanes;

#define ROW_OF(T, statement) \
    do { \
        T *w = (T *)(void *)j->wide + wide, *n = (T *)(void *)j->narrow + narrow; \
        for (int64_t i = from; i < to; i++) { \
            const int64_t at = index[i] * j->step + i * j->column; \
            statement; \
        } \
    } while (0)
static void lane_move(const lanes *j, const int64_t *index, int64_t wide, int64_t narrow, int64_t from, int64_t to) {
    switch (lth_cpu_element(j->dtype)) {
    case 1: ROW_OF(uint8_t, n[i] = w[at]); break;
    case 2: ROW_OF(uint16_t, n[i] = w[at]); break;
    case 4: ROW_OF(uint32_t, n[i] = w[at]); break;
    default: ROW_OF(uint64_t, n[i] = w[at]); break;
    }
}
#define ADD_OF(T) \
    do { \
        if (j->way == ADD_WIDE) { \
            ROW_OF(T, w[at] = (T)(w[at] + n[i])); \
        } else { \
            ROW_OF(T, n[i] = (T)(n[i] + w[at])); \
        } \
    } while (0)
static void lane_add(const lanes *j, const int64_t *index, int64_t wide, int64_t narrow, int64_t from, int64_t to) {
    switch (j->dtype) {
    case LT_F32: ADD_OF(float); break;
    case LT_F64: ADD_OF(double); break;
    case LT_I64: ADD_OF(uint64_t); break;
    case LT_I32: ADD_OF(uint32_t); break;
    case LT_U8: ADD_OF(uint8_t); break;
    default:
        if (j->way == ADD_WIDE) {
            ROW_OF(uint16_t, w[at] = lth_bf16_of_f32(lth_f32_of_bf16(w[at]) + lth_f32_of_bf16(n[i])));
        } else {
            ROW_OF(uint16_t, n[i] = lth_bf16_of_f32(lth_f32_of_bf16(n[i]) + lth_f32_of_bf16(w[at])));
        }
    }
}
static void lanes_chunk(void *arg, int64_t chunk, int thread) {
    const lanes *j = arg;
    const int64_t block = chunk % j->blocks, first = chunk / j->blocks * j->per_chunk * j->unit,
                  last = lth_min64(j->rows, first + j->per_chunk * j->unit), from = j->length * block / j->blocks,
                  to = j->length * (block + 1) / j->blocks;
    int64_t place[LT_MAX_DIMS] = {0}, wide = 0, narrow = 0;
    (void)thread;
    for (int64_t k = j->ndim - 1, rest = first; k >= 0; rest /= j->shape[k], k--) {
        place[k] = rest % j->shape[k];
        wide += place[k] * j->wide_at[k];
        narrow += place[k] * j->narrow_at[k];
    }
    for (int64_t r = first; r < last; r++) {
        (j->way == TO_NARROW ? lane_move : lane_add)(j, j->index + r * j->length, wide, narrow, from, to);
        for (int k = j->ndim - 1; k >= 0; k--) {
            wide += j->wide_at[k], narrow += j->narrow_at[k];
            if (++place[k] < j->shape[k]) {
                break;
            }
            wide -= place[k] * j->wide_at[k], narrow -= place[k] * j->narrow_at[k];
            place[k] = 0;
        }
    }
}
static int64_t plain_stride(const lth_array *a, int dim) {
    int64_t stride = 1;
    for (int d = dim + 1; d < a->ndim; d++) {
        stride *= a->shape[d];
    }
    return stride;
}
static void run_lanes(lth_device *d, const lth_array *index, const lth_array *wide, const lth_array *narrow, int dim, direction way) {
    const int last = index->ndim - 1;
    lanes j = {.d = d, .index = index->data, .wide = wide->data, .narrow = narrow->data, .dtype = wide->dtype, .way = way, .ndim = last,
               .length = index->shape[last], .step = plain_stride(wide, dim), .column = dim != last, .rows = 1, .unit = 1, .blocks = 1};
    for (int k = 0; k < last; k++) {
        j.shape[k] = index->shape[k];
        j.wide_at[k] = k == dim ? 0 : plain_stride(wide, k);
        j.narrow_at[k] = plain_stride(narrow, k);
        j.rows *= index->shape[k];
        j.unit *= way == ADD_WIDE && k >= dim ? index->shape[k] : 1; /* rows along dim add to the same elements */
    }
    if (j.rows * j.length == 0) {
        return;
    }
    j.units = j.rows / j.unit;
    j.per_chunk = lth_div_up(CHUNK, j.unit * j.length);
    if (way == ADD_WIDE && dim != last && j.unit * j.length > CHUNK) {
        j.blocks = lth_div_up(j.length, COLUMNS);
    }
    lth_cpu_run(d, lth_div_up(j.units, j.per_chunk) * j.blocks, (double)(j.rows * j.length) * 1e-3, lanes_chunk, &j);
}

static bool index_plan(lth_device *d, lth_call *call) {
    (void)d;
    return lth_cpu_all_plain(call) && (call->op != LTH_OP_SCATTER_ADD || lth_cpu_adds(call->out[0]->dtype));
}
static lt_status gather_forward(lth_device *d, const lth_call *call, lth_error *err) {
    const int dim = (int)call->attrs->i[0];
    const lt_status status = check_indices(call->op, call->in[1], call->in[0]->shape[dim], err);
    if (status == LT_OK) {
        run_lanes(d, call->in[1], call->in[0], call->out[0], dim, TO_NARROW);
    }
    return status;
}
static lt_status gather_backward(lth_device *d, const lth_call *call, lth_error *err) {
    (void)err;
    if (lth_cpu_begin_gradient(d, call, 0)) {
        run_lanes(d, call->in[1], call->grad_in[0], call->grad_out[0], (int)call->attrs->i[0], ADD_WIDE);
    }
    return LT_OK;
}
const lth_kernel lth_cpu_gather = {index_plan, gather_forward, gather_backward};

static lt_status scatter_forward(lth_device *d, const lth_call *call, lth_error *err) {
    const int dim = (int)call->attrs->i[0];
    const lt_status status = check_indices(call->op, call->in[1], call->in[0]->shape[dim], err);
    if (status == LT_OK) {
        memmove(call->out[0]->data, call->in[0]->data, lth_cpu_array_bytes(call->in[0]));
        run_lanes(d, call->in[1], call->out[0], call->in[2], dim, ADD_WIDE);
    }
    return status;
}
static lt_status scatter_backward(lth_device *d, const lth_call *call, lth_error *err) {
    (void)err;
    const lth_array *g = call->grad_out[0];
    if (lth_cpu_begin_gradient(d, call, 0)) {
        lth_cpu_add(d, g->dtype, lth_count(g), call->grad_in[0]->data, g->data);
    }
    if (lth_cpu_begin_gradient(d, call, 2)) {
        run_lanes(d, call->in[1], g, call->grad_in[2], (int)call->attrs->i[0], ADD_NARROW);
    }
    return LT_OK;
}
const lth_kernel lth_cpu_scatter_add = {index_plan, scatter_forward, scatter_backward};

/* ---- index_select and embedding: (outer, V, inner) and the places (N) -> (outer, N, inner) ---- */
typedef struct rows {
    lth_device *d;
    const int64_t *index;
    int64_t outer, V, N, inner, per_chunk, blocks, spared; /* spared: a row that gets no gradient, or -1 */
    char *x, *y;
    lt_dtype dtype;
    size_t bytes;                                           /* of an element */
} rows;

static rows rows_of(lth_device *d, const lth_call *call) {
    const bool table = call->op == LTH_OP_EMBEDDING;
    const lth_array *x = call->in[table], *index = call->in[!table];
    const int dim = table ? 0 : (int)call->attrs->i[0];
    rows r = {.d = d, .index = index->data, .outer = 1, .V = x->shape[dim], .N = lth_count(index), .inner = plain_stride(x, dim), .dtype = x->dtype,
              .bytes = lth_cpu_element(x->dtype), .spared = table && call->attrs->i[0] ? call->attrs->i[1] : -1};
    for (int k = 0; k < dim; k++) {
        r.outer *= x->shape[k];
    }
    return r;
}
#define PICK(T) \
    do { \
        const T *x = (const T *)(const void *)r->x; \
        T *y = (T *)(void *)r->y; \
        for (int64_t i = first; i < last; i++) { \
            y[i] = x[i / r->N * r->V + r->index[i % r->N]]; \
        } \
    } while (0)
static void select_chunk(void *arg, int64_t chunk, int thread) {
    const rows *r = arg;
    const int64_t first = chunk * r->per_chunk, last = lth_min64(r->outer * r->N, first + r->per_chunk), width = r->inner * (int64_t)r->bytes;
    (void)thread;
    switch (r->inner == 1 ? r->bytes : 0) {
    case 1: PICK(uint8_t); return;
    case 2: PICK(uint16_t); return;
    case 4: PICK(uint32_t); return;
    case 8: PICK(uint64_t); return;
    default: break;
    }
    for (int64_t i = first, o = first / r->N, p = first % r->N; i < last; i++) {
        memcpy(r->y + i * width, r->x + (o * r->V + r->index[p]) * width, (size_t)width);
        if (++p == r->N) {
            p = 0, o++;
        }
    }
}
static lt_status select_forward(lth_device *d, const lth_call *call, lth_error *err) {
    rows r = rows_of(d, call);
    const bool table = call->op == LTH_OP_EMBEDDING;
    const lt_status status = check_indices(call->op, call->in[!table], r.V, err);
    if (status < 0 || r.outer * r.N * r.inner == 0) {
        return status;
    }
    r.x = call->in[table]->data, r.y = call->out[0]->data;
    r.per_chunk = lth_div_up(CHUNK, r.inner);
    lth_cpu_run(d, lth_div_up(r.outer * r.N, r.per_chunk), (double)(r.outer * r.N * r.inner) * 2e-4, select_chunk, &r);
    return LT_OK;
}
/* Columns of one outer part: every position in turn. */
static void select_back_chunk(void *arg, int64_t chunk, int thread) {
    const rows *r = arg;
    const int64_t o = chunk / r->blocks, block = chunk % r->blocks, from = r->inner * block / r->blocks, to = r->inner * (block + 1) / r->blocks;
    (void)thread;
    for (int64_t p = 0; p < r->N; p++) {
        if (r->index[p] != r->spared) {
            lth_cpu_add(r->d, r->dtype, to - from, r->x + ((o * r->V + r->index[p]) * r->inner + from) * (int64_t)r->bytes,
                        r->y + ((o * r->N + p) * r->inner + from) * (int64_t)r->bytes);
        }
    }
}
static lt_status select_backward(lth_device *d, const lth_call *call, lth_error *err) {
    (void)err;
    rows r = rows_of(d, call);
    r.x = lth_cpu_begin_gradient(d, call, call->op == LTH_OP_EMBEDDING);
    if (r.x && r.outer * r.N * r.inner > 0) {
        r.y = call->grad_out[0]->data;
        r.blocks = lth_div_up(r.inner, COLUMNS);
        lth_cpu_run(d, r.outer * r.blocks, (double)(r.outer * r.N * r.inner) * 3e-4, select_back_chunk, &r);
    }
    return LT_OK;
}
const lth_kernel lth_cpu_index_select = {index_plan, select_forward, select_backward};
const lth_kernel lth_cpu_embedding = {index_plan, select_forward, select_backward};

/* ---- one_hot ---- */
static lt_status one_hot_forward(lth_device *d, const lth_call *call, lth_error *err) {
    const int64_t classes = call->attrs->i[0], n = lth_count(call->in[0]), *index = call->in[0]->data;
    int64_t *y = call->out[0]->data;
    const lt_status status = check_indices(call->op, call->in[0], classes, err);
    if (status < 0) {
        return status;
    }
    lth_cpu_zero(d, y, lth_cpu_array_bytes(call->out[0]), err);
    for (int64_t i = 0; i < n; i++) {
        y[i * classes + index[i]] = 1;
    }
    return LT_OK;
}
const lth_kernel lth_cpu_one_hot = {index_plan, one_hot_forward, NULL};

/* ---- masked_fill: the mask may lie anyhow, repeated along any dimension ---- */
typedef struct masked {
    const lth_call *call;
    lth_device *d;
    const uint8_t *mask;
    const char *x;
    char *y;
    int ndim;                                   /* of rows; 0 with one row: mask and x lie alike */
    int64_t length, rows, per_chunk, shape[LT_MAX_DIMS], mask_at[LT_MAX_DIMS], mask_step;
    lt_dtype dtype;
    bool adds;
    union { uint8_t u8; uint16_t u16; uint32_t u32; uint64_t u64; } value;
} masked;

#define FILL_OF(T, filled) \
    do { \
        const T *x = (const T *)(const void *)j->x + at; \
        T *y = (T *)(void *)j->y + at; \
        const T value = (T)(filled); \
        if (step == 1) { /* known: a choice without branches */ \
            for (int64_t i = 0; i < n; i++) { \
                const T other = x[i]; \
                y[i] = m[i] ? value : other; \
            } \
        } else { \
            for (int64_t i = 0; i < n; i++) { \
                y[i] = m[i * step] ? value : x[i]; \
            } \
        } \
    } while (0)
static void fill_row(const masked *j, const uint8_t *m, int64_t at, int64_t n, int64_t step) {
    switch (lth_cpu_element(j->dtype)) {
    case 1: FILL_OF(uint8_t, j->value.u8); break;
    case 2: FILL_OF(uint16_t, j->value.u16); break;
    case 4: FILL_OF(uint32_t, j->value.u32); break;
    default: FILL_OF(uint64_t, j->value.u64); break;
    }
}
#define KEEP_OF(T) \
    do { \
        const T *x = (const T *)(const void *)j->x + at; \
        T *y = (T *)(void *)j->y + at; \
        if (step == 1) { \
            for (int64_t i = 0; i < n; i++) { \
                const T given = x[i]; \
                y[i] += m[i] ? (T)0 : given; \
            } \
        } else { \
            for (int64_t i = 0; i < n; i++) { \
                y[i] += m[i * step] ? (T)0 : x[i]; \
            } \
        } \
    } while (0)
static void keep_row(const masked *j, const uint8_t *m, int64_t at, int64_t n, int64_t step) {
    if (j->dtype == LT_F32) {
        KEEP_OF(float);
    } else if (j->dtype == LT_F64) {
        KEEP_OF(double);
    } else {
        for (int64_t i = 0; i < n; i++) {
            if (!m[i * step]) {
                lth_cpu_add(j->d, j->dtype, 1, j->y + (at + i) * 2, j->x + (at + i) * 2);
            }
        }
    }
}
static void masked_chunk(void *arg, int64_t chunk, int thread) {
    const masked *j = arg;
    const int64_t first = chunk * j->per_chunk, last = lth_min64(j->rows, first + j->per_chunk);
    (void)thread;
    for (int64_t r = first; r < last; r++) {
        const uint8_t *m = j->mask;
        for (int64_t k = j->ndim - 1, rest = r; k >= 0; rest /= j->shape[k], k--) {
            m += rest % j->shape[k] * j->mask_at[k];
        }
        (j->adds ? keep_row : fill_row)(j, m, r * j->length, j->length, j->mask_step);
    }
}
static void run_masked(lth_device *d, const lth_call *call, const void *x, void *y, bool adds, uint64_t value) {
    const lth_array *mask = call->in[1], *like = call->in[0];
    masked j = {.call = call, .d = d, .mask = mask->data, .x = x, .y = y, .rows = 1, .dtype = like->dtype, .adds = adds, .value.u64 = value};
    if (lth_count(like) == 0) {
        return;
    }
    if (lth_plain(mask) && lth_count(mask) == lth_count(like)) { /* one after the other: rows of any length */
        j.ndim = 1, j.length = lth_min64(CHUNK, lth_count(like)), j.rows = lth_count(like) / j.length, j.mask_step = 1;
        j.shape[0] = j.rows, j.mask_at[0] = j.length, j.per_chunk = 1;
        lth_cpu_run(d, j.rows, (double)lth_count(like) * 2e-4, masked_chunk, &j);
        const int64_t done = j.rows * j.length, rest = lth_count(like) - done;
        (adds ? keep_row : fill_row)(&j, j.mask + done, done, rest, 1);
        return;
    }
    const int added = like->ndim - mask->ndim;
    j.ndim = like->ndim - 1;
    j.length = like->ndim ? like->shape[j.ndim] : 1;
    for (int k = 0; k < like->ndim; k++) {
        const int64_t at = k < added || mask->shape[k - added] == 1 ? 0 : mask->strides[k - added];
        j.shape[k] = like->shape[k];
        if (k < j.ndim) {
            j.mask_at[k] = at, j.rows *= like->shape[k];
        } else {
            j.mask_step = at;
        }
    }
    j.per_chunk = lth_div_up(CHUNK, j.length);
    lth_cpu_run(d, lth_div_up(j.rows, j.per_chunk), (double)lth_count(like) * 3e-4, masked_chunk, &j);
}
static bool masked_plan(lth_device *d, lth_call *call) {
    (void)d;
    return lth_plain(call->in[0]) && call->in[1]->layout == LTH_STRIDED && call->in[0]->dtype != LT_F16 &&
           (!call->save || lth_cpu_adds(call->in[0]->dtype));
}
static lt_status masked_forward(lth_device *d, const lth_call *call, lth_error *err) {
    (void)err;
    run_masked(d, call, call->in[0]->data, call->out[0]->data, false, lth_cpu_bits(call->in[0]->dtype, call->attrs->f[0]));
    return LT_OK;
}
static lt_status masked_backward(lth_device *d, const lth_call *call, lth_error *err) {
    (void)err;
    char *dx = lth_cpu_begin_gradient(d, call, 0);
    if (dx) {
        run_masked(d, call, call->grad_out[0]->data, dx, true, 0);
    }
    return LT_OK;
}
const lth_kernel lth_cpu_masked_fill = {masked_plan, masked_forward, masked_backward};
