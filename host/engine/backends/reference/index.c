/* engine/backends/reference/index.c - gather, scatter_add, index_select, masked_fill; pad, roll, flip; tril, triu; one_hot; topk, sort.
 * Elements are moved as they are; what is added is added in the order of positions. Every index is checked before anything is written
 * through it. Sorting ranks each element against all others: slow, stable, and without memory of its own. */
#include "engine/backends/indices.h"
#include "engine/backends/reference/reference.h"

static void move(const lth_array *to, int64_t at, const lth_array *from, int64_t place) {
    size_t size = lth_dtype_size(to->dtype);
    memcpy((char *)to->data + at * (int64_t)size, (const char *)from->data + place * (int64_t)size, size);
}

static void add(const lth_array *to, int64_t at, const lth_array *from, int64_t place) {
    if (ref_is_float(to->dtype)) {
        ref_set(to, at, ref_get(to, at) + ref_get(from, place));
    } else { /* unsigned: wrapping is defined */
        uint64_t a = (uint64_t)ref_load_int(to->data, to->dtype, at), b = (uint64_t)ref_load_int(from->data, from->dtype, place);
        ref_store_int(to->data, to->dtype, at, (int64_t)(a + b));
    }
}

static void clear(const lth_array *a) {
    ref_walk w;
    ref_walk_init(&w, a->ndim, a->shape);
    int k = ref_walk_add(&w, a);
    REF_EACH(&w) {
        ref_store_int(a->data, a->dtype, w.at[k], 0);
    }
}

/* The gradient wanted of input k, zeroed unless it is added to; NULL: none is wanted. */
static const lth_array *begin_gradient(const lth_call *call, int k) {
    if (!call->need[k]) {
        return NULL;
    }
    if (!call->accumulate[k]) {
        clear(call->grad_in[k]);
    }
    return call->grad_in[k];
}

/* ---- gather and scatter_add: `wide` is indexed along dim, positions are those of the index ---- */
static int64_t place_along(const lth_array *wide, const int64_t *position, int dim, int64_t index) {
    int64_t at = index * wide->strides[dim];
    for (int d = 0; d < wide->ndim; d++) {
        at += d == dim ? 0 : position[d] * wide->strides[d];
    }
    return at;
}

static lt_status check_indices(const lth_call *call, const lth_array *index, int64_t size, lth_error *err) {
    int64_t number = 0;
    ref_walk w;
    ref_walk_init(&w, index->ndim, index->shape);
    int k = ref_walk_add(&w, index);
    REF_EACH(&w) {
        int64_t value = ref_load_int(index->data, index->dtype, w.at[k]);
        if (value < 0 || value >= size) {
            return lth_index_outside(lth_index_op(call->op), value, number, size, err);
        }
        number++;
    }
    return LT_OK;
}

/* For every position p: narrow[p] = wide[index[p]] (to_wide false, added or not), or wide[index[p]] += narrow[p]. */
static void each_index(const lth_array *index, const lth_array *wide, const lth_array *narrow, int dim, bool to_wide, bool adds) {
    ref_walk w;
    lth_array part = *narrow; /* the source of a scatter may be larger than its index */
    for (int d = 0; d < index->ndim; d++) {
        part.shape[d] = index->shape[d];
    }
    ref_walk_init(&w, index->ndim, index->shape);
    int ii = ref_walk_add(&w, index), ip = ref_walk_add(&w, &part);
    REF_EACH(&w) {
        int64_t at = place_along(wide, w.index, dim, ref_load_int(index->data, index->dtype, w.at[ii]));
        if (to_wide) {
            add(wide, at, narrow, w.at[ip]);
        } else if (adds) {
            add(narrow, w.at[ip], wide, at);
        } else {
            move(narrow, w.at[ip], wide, at);
        }
    }
}

static lt_status gather_forward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device;
    int dim = (int)call->attrs->i[0];
    lt_status status = check_indices(call, call->in[1], call->in[0]->shape[dim], err);
    if (status == LT_OK) {
        each_index(call->in[1], call->in[0], call->out[0], dim, false, false);
    }
    return status;
}

static lt_status gather_backward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    const lth_array *d = begin_gradient(call, 0), *g = call->grad_out[0];
    if (d && g) {
        each_index(call->in[1], d, g, (int)call->attrs->i[0], true, true);
    }
    return LT_OK;
}

const lth_kernel ref_gather = {ref_plan, gather_forward, gather_backward};

static void copy_all(const lth_array *to, const lth_array *from, bool adds) {
    ref_walk w;
    ref_walk_init(&w, to->ndim, to->shape);
    int it = ref_walk_add(&w, to), is = ref_walk_add(&w, from);
    REF_EACH(&w) {
        if (adds) {
            add(to, w.at[it], from, w.at[is]);
        } else {
            move(to, w.at[it], from, w.at[is]);
        }
    }
}

static lt_status scatter_add_forward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device;
    int dim = (int)call->attrs->i[0];
    lt_status status = check_indices(call, call->in[1], call->in[0]->shape[dim], err);
    if (status == LT_OK) {
        copy_all(call->out[0], call->in[0], false);
        each_index(call->in[1], call->out[0], call->in[2], dim, true, true);
    }
    return status;
}

static lt_status scatter_add_backward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    const lth_array *dx = begin_gradient(call, 0), *ds = begin_gradient(call, 2), *g = call->grad_out[0];
    if (dx && g) {
        copy_all(dx, g, true);
    }
    if (ds && g) {
        each_index(call->in[1], g, ds, (int)call->attrs->i[0], false, true);
    }
    return LT_OK;
}

const lth_kernel ref_scatter_add = {ref_plan, scatter_add_forward, scatter_add_backward};

/* ---- index_select ---- */
/* For every element of y: y = x[.., index, ..], or x's gradient += y's. */
static void each_selected(const lth_call *call, const lth_array *x, const lth_array *y, bool back) {
    int dim = (int)call->attrs->i[0];
    const lth_array *index = call->in[1];
    ref_walk w;
    ref_walk_init(&w, y->ndim, y->shape);
    int iy = ref_walk_add(&w, y);
    REF_EACH(&w) {
        int64_t at = place_along(x, w.index, dim, ref_load_int(index->data, index->dtype, w.index[dim] * index->strides[0]));
        if (back) {
            add(x, at, y, w.at[iy]);
        } else {
            move(y, w.at[iy], x, at);
        }
    }
}

static lt_status index_select_forward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device;
    lt_status status = check_indices(call, call->in[1], call->in[0]->shape[call->attrs->i[0]], err);
    if (status == LT_OK) {
        each_selected(call, call->in[0], call->out[0], false);
    }
    return status;
}

static lt_status index_select_backward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    const lth_array *d = begin_gradient(call, 0);
    if (d && call->grad_out[0]) {
        each_selected(call, d, call->grad_out[0], true);
    }
    return LT_OK;
}

const lth_kernel ref_index_select = {ref_plan, index_select_forward, index_select_backward};

/* ---- masked_fill ---- */
static lt_status masked_fill_forward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    const lth_array *x = call->in[0], *mask = call->in[1], *y = call->out[0];
    ref_walk w;
    ref_walk_init(&w, x->ndim, x->shape);
    int ix = ref_walk_add(&w, x), im = ref_walk_add(&w, mask), iy = ref_walk_add(&w, y);
    REF_EACH(&w) {
        if (ref_load_int(mask->data, mask->dtype, w.at[im])) {
            ref_set(y, w.at[iy], call->attrs->f[0]);
        } else {
            move(y, w.at[iy], x, w.at[ix]);
        }
    }
    return LT_OK;
}

static lt_status masked_fill_backward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    const lth_array *d = begin_gradient(call, 0), *g = call->grad_out[0], *mask = call->in[1];
    if (!d || !g) {
        return LT_OK;
    }
    ref_walk w;
    ref_walk_init(&w, d->ndim, d->shape);
    int id = ref_walk_add(&w, d), ig = ref_walk_add(&w, g), im = ref_walk_add(&w, mask);
    REF_EACH(&w) {
        if (!ref_load_int(mask->data, mask->dtype, w.at[im])) {
            add(d, w.at[id], g, w.at[ig]);
        }
    }
    return LT_OK;
}

const lth_kernel ref_masked_fill = {ref_plan, masked_fill_forward, masked_fill_backward};

/* ---- pad, roll, flip, tril, triu: each element of y comes from one of x, or from nowhere ---- */
static int64_t source_of(const lth_call *call, const lth_array *x, const int64_t *index) {
    int64_t at = 0;
    if (call->op == LTH_OP_TRIL || call->op == LTH_OP_TRIU) {
        int64_t off = index[x->ndim - 1] - index[x->ndim - 2];
        if (call->op == LTH_OP_TRIL ? off > call->attrs->i[0] : off < call->attrs->i[0]) {
            return -1;
        }
        for (int d = 0; d < x->ndim; d++) {
            at += index[d] * x->strides[d];
        }
        return at;
    }
    for (int d = 0; d < x->ndim; d++) {
        int64_t from = lth_run_at(call, d, x->shape[d], index[d]).from;
        if (from < 0) {
            return -1;
        }
        at += from * x->strides[d];
    }
    return at;
}

static lt_status remap_forward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    const lth_array *x = call->in[0], *y = call->out[0];
    double value = call->op == LTH_OP_PAD ? call->attrs->f[0] : 0;
    ref_walk w;
    ref_walk_init(&w, y->ndim, y->shape);
    int iy = ref_walk_add(&w, y);
    REF_EACH(&w) {
        int64_t at = source_of(call, x, w.index);
        if (at < 0) {
            ref_set(y, w.at[iy], value);
        } else {
            move(y, w.at[iy], x, at);
        }
    }
    return LT_OK;
}

static lt_status remap_backward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    const lth_array *d = begin_gradient(call, 0), *g = call->grad_out[0];
    if (!d || !g) {
        return LT_OK;
    }
    ref_walk w;
    ref_walk_init(&w, g->ndim, g->shape);
    int ig = ref_walk_add(&w, g);
    REF_EACH(&w) {
        int64_t at = source_of(call, d, w.index);
        if (at >= 0) {
            add(d, at, g, w.at[ig]);
        }
    }
    return LT_OK;
}

const lth_kernel ref_pad = {ref_plan, remap_forward, remap_backward}, ref_roll = {ref_plan, remap_forward, remap_backward},
                 ref_flip = {ref_plan, remap_forward, remap_backward}, ref_tril = {ref_plan, remap_forward, remap_backward},
                 ref_triu = {ref_plan, remap_forward, remap_backward};

/* ---- one_hot ---- */
static lt_status one_hot_forward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device;
    const lth_array *index = call->in[0], *y = call->out[0];
    lt_status status = check_indices(call, index, call->attrs->i[0], err);
    if (status < 0) {
        return status;
    }
    clear(y);
    ref_walk w;
    lth_array rows = *y;
    rows.ndim = index->ndim;
    ref_walk_init(&w, index->ndim, index->shape);
    int ii = ref_walk_add(&w, index), iy = ref_walk_add(&w, &rows);
    REF_EACH(&w) {
        ref_store_int(y->data, y->dtype, w.at[iy] + ref_load_int(index->data, index->dtype, w.at[ii]) * y->strides[y->ndim - 1], 1);
    }
    return LT_OK;
}

const lth_kernel ref_one_hot = {ref_plan, one_hot_forward, NULL};

/* ---- topk and sort ---- */
/* x[a] < x[b], a NaN being the largest of all and equal to another. */
static bool less(const lth_array *x, int64_t a, int64_t b) {
    if (!ref_is_float(x->dtype)) {
        return ref_load_int(x->data, x->dtype, a) < ref_load_int(x->data, x->dtype, b);
    }
    double p = ref_get(x, a), q = ref_get(x, b);
    return isnan(q) ? !isnan(p) : p < q;
}

/* How many elements of the line stand before element i: those that win against it, and its equals with a lower number. */
static int64_t rank_of(const lth_array *x, int64_t line, int64_t stride, int64_t n, int64_t i, bool descending) {
    int64_t rank = 0;
    for (int64_t k = 0; k < n; k++) {
        int64_t a = line + k * stride, b = line + i * stride;
        bool wins = descending ? less(x, b, a) : less(x, a, b), loses = descending ? less(x, a, b) : less(x, b, a);
        rank += wins || (!loses && k < i);
    }
    return rank;
}

static lt_status topk_forward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    const lth_array *x = call->in[0], *y = call->out[0], *index = call->out[1];
    int dim = (int)call->attrs->i[0];
    bool descending = call->op == LTH_OP_TOPK ? !call->attrs->i[1] : call->attrs->i[1] != 0;
    int64_t n = x->shape[dim], k = y->shape[dim];
    ref_walk w, lines;
    lth_array one_y = *y, one_index = *index;
    one_y.shape[dim] = one_index.shape[dim] = 1;
    ref_walk_init(&w, x->ndim, x->shape);
    int ix = ref_walk_add(&w, x), iy = ref_walk_add(&w, &one_y), ii = ref_walk_add(&w, &one_index);
    ref_walk_part(&lines, &w, ~(1u << dim));
    REF_EACH(&lines) {
        for (int64_t i = 0; i < n; i++) {
            int64_t rank = rank_of(x, lines.at[ix], x->strides[dim], n, i, descending);
            if (rank < k) {
                move(y, lines.at[iy] + rank * y->strides[dim], x, lines.at[ix] + i * x->strides[dim]);
                ref_store_int(index->data, index->dtype, lines.at[ii] + rank * index->strides[dim], i);
            }
        }
    }
    return LT_OK;
}

static lt_status topk_backward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    const lth_array *d = begin_gradient(call, 0), *g = call->grad_out[0];
    if (d && g) {
        each_index(call->out[1], d, g, (int)call->attrs->i[0], true, true);
    }
    return LT_OK;
}

const lth_kernel ref_topk = {ref_plan, topk_forward, topk_backward}, ref_sort = {ref_plan, topk_forward, topk_backward};
