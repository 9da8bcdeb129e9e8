/* engine/backends/reference/copy.c - moving elements: copies between layouts and dtypes, filling, joining.
 * COPY reads and writes every lth_layout, so that any backend's blocked arrays can be brought back; nothing else here does. */
#include "engine/backends/reference/reference.h"

/* ---- layouts ---- */
static int64_t round16(int64_t n) { return (n + 15) / 16 * 16; }

size_t ref_array_bytes(const lth_array *a) {
    int64_t n = 1;
    for (int d = 0; d < a->ndim; d++) {
        bool padded = (a->layout == LTH_N16C && d == 0) || ((a->layout == LTH_C16 || a->layout == LTH_HWNC) && d == 1);
        n *= padded ? round16(a->shape[d]) : a->shape[d];
    }
    return (size_t)n * lth_dtype_size(a->dtype);
}

/* Element offset of index[] in an array of any layout. */
static int64_t place_of(const lth_array *a, const int64_t *index) {
    const int64_t *s = a->shape, *i = index;
    switch (a->layout) {
    case LTH_N16C: return ((((i[0] / 16) * s[1] + i[1]) * s[2] + i[2]) * s[3] + i[3]) * 16 + i[0] % 16;
    case LTH_C16: return (((i[0] * (round16(s[1]) / 16) + i[1] / 16) * s[2] + i[2]) * s[3] + i[3]) * 16 + i[1] % 16;
    case LTH_HWNC: return ((i[2] * s[3] + i[3]) * s[0] + i[0]) * round16(s[1]) + i[1];
    default: break;
    }
    int64_t at = 0;
    for (int d = 0; d < a->ndim; d++) {
        at += index[d] * a->strides[d];
    }
    return at;
}

/* to = from, or to += from; dtypes and layouts of their own. Lanes beyond a blocked array's shape become zero. */
static void move_elements(const lth_array *to, const lth_array *from, bool accumulate) {
    if (to->layout != LTH_STRIDED && !accumulate) {
        memset(to->data, 0, ref_array_bytes(to));
    }
    bool exact = !ref_is_float(from->dtype) && !ref_is_float(to->dtype);
    ref_walk w;
    ref_walk_init(&w, to->ndim, to->shape);
    REF_EACH(&w) {
        int64_t source = place_of(from, w.index), target = place_of(to, w.index);
        if (exact) {
            ref_store_int(to->data, to->dtype, target, ref_load_int(from->data, from->dtype, source));
        } else {
            ref_give(to, target, ref_get(from, source), accumulate);
        }
    }
}

static void fill_zero(const lth_array *to) {
    ref_walk w;
    ref_walk_init(&w, to->ndim, to->shape);
    REF_EACH(&w) {
        ref_set(to, place_of(to, w.index), 0);
    }
}

static bool any_layout(lth_device *device, lth_call *call) {
    (void)device;
    for (int k = 0; k < call->n_in; k++) {
        if (call->in[k]->layout != LTH_STRIDED && call->in[k]->ndim != 4) {
            return false;
        }
    }
    return true;
}

static lt_status copy_forward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    move_elements(call->out[0], call->in[0], false);
    return LT_OK;
}

static lt_status copy_backward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    if (!call->need[0]) {
        return LT_OK;
    }
    if (call->grad_out[0]) {
        move_elements(call->grad_in[0], call->grad_out[0], call->accumulate[0]);
    } else if (!call->accumulate[0]) {
        fill_zero(call->grad_in[0]);
    }
    return LT_OK;
}

const lth_kernel ref_copy = {any_layout, copy_forward, copy_backward}, ref_cast = {any_layout, copy_forward, copy_backward};

/* ---- filling ---- */
static lt_status full_forward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    const lth_array *y = call->out[0];
    ref_walk w;
    ref_walk_init(&w, y->ndim, y->shape);
    int iy = ref_walk_add(&w, y);
    REF_EACH(&w) {
        ref_set(y, w.at[iy], call->attrs->f[0]);
    }
    return LT_OK;
}

static lt_status arange_forward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    const lth_array *y = call->out[0];
    for (int64_t i = 0; i < y->shape[0]; i++) {
        ref_set(y, i * y->strides[0], call->attrs->f[0] + (double)i * call->attrs->f[1]);
    }
    return LT_OK;
}

const lth_kernel ref_full = {ref_plan, full_forward, NULL}, ref_arange = {ref_plan, arange_forward, NULL};

/* ---- joining ---- */
/* The part of `whole` that input k of a CAT fills; false for an empty input, which fills nothing. */
static bool cat_part(const lth_call *call, const lth_array *whole, int k, lth_array *part) {
    int dim = (int)call->attrs->i[0];
    int64_t start = call->attrs->i[1];
    if (ref_numel(call->in[k]) == 0) {
        return false;
    }
    for (int j = 0; j < k; j++) {
        start += ref_numel(call->in[j]) ? call->in[j]->shape[dim] : 0;
    }
    *part = *whole;
    part->shape[dim] = call->in[k]->shape[dim];
    part->data = (char *)whole->data + start * whole->strides[dim] * (int64_t)lth_dtype_size(whole->dtype);
    return true;
}

static lt_status cat_forward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    lth_array part;
    for (int k = 0; k < call->n_in; k++) {
        if (cat_part(call, call->out[0], k, &part)) {
            move_elements(&part, call->in[k], false);
        }
    }
    return LT_OK;
}

static lt_status cat_backward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    lth_array part;
    for (int k = 0; k < call->n_in; k++) {
        if (!call->need[k]) {
            continue;
        }
        if (call->grad_out[0] && cat_part(call, call->grad_out[0], k, &part)) {
            move_elements(call->grad_in[k], &part, call->accumulate[k]);
        } else if (!call->accumulate[k]) {
            fill_zero(call->grad_in[k]);
        }
    }
    return LT_OK;
}

const lth_kernel ref_cat = {ref_plan, cat_forward, cat_backward};
