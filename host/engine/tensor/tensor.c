/* engine/tensor/tensor.c - makes, keeps and drops tensors. A header and its data may lie apart; a view has no data of its own.
 * It computes nothing and records nothing. What is retained stays where it is: its blocks leave the arena until it is released. */
#include "base/mem.h"
#include "base/str.h"
#include "engine/tensor/arena.h"
#include <string.h>

/* States of lt_tensor.kept. A release takes effect at the end of the step: the tape may still read the memory. */
enum { NOT_KEPT = 0, KEPT_THIS_STEP = 1, KEPT = 2, DROPPED = 3 };

int64_t lth_numel(const lt_tensor *t) { return lth_array_numel(&t->a); }

void lth_array_set_contiguous(lth_array *a) {
    int64_t stride = 1;
    a->layout = LTH_STRIDED;
    for (int d = a->ndim - 1; d >= 0; d--) {
        a->strides[d] = stride;
        stride *= a->shape[d];
    }
}

/* Refuses what no memory could hold, so that no later product of sizes overflows. */
static lt_status check_shape(lt_dtype dtype, int ndim, const int64_t *shape, lth_error *err) {
    if (!lth_dtype_size(dtype)) {
        return lth_fail(err, LT_EDTYPE, "%d is no dtype; use LT_F32, LT_I64, ...", (int)dtype);
    }
    if (ndim < 0 || ndim > LT_MAX_DIMS) {
        return lth_fail(err, LT_ESHAPE, "%d dimensions; a tensor has 0 to %d", ndim, LT_MAX_DIMS);
    }
    int64_t n = (int64_t)lth_dtype_size(dtype);
    char text[200];
    for (int d = 0; d < ndim; d++) {
        if (shape[d] < 0) {
            lth_format_shape(text, sizeof text, shape, ndim);
            return lth_fail(err, LT_ESHAPE, "shape %s: a size may not be negative", text);
        }
        if (__builtin_mul_overflow(n, shape[d] ? shape[d] : 1, &n) || n > INT64_MAX / 64) {
            lth_format_shape(text, sizeof text, shape, ndim);
            return lth_fail(err, LT_ESHAPE, "shape %s: too many elements", text);
        }
    }
    return LT_OK;
}

static void describe(lt_tensor *t, lth_engine *e, lt_dtype dtype, int ndim, const int64_t *shape) {
    t->engine = e;
    t->is_leaf = 1;
    t->a.dtype = dtype;
    t->a.ndim = (uint8_t)ndim;
    for (int d = 0; d < ndim; d++) {
        t->a.shape[d] = shape[d];
    }
    lth_array_set_contiguous(&t->a);
}

static lt_status out_of_memory(const lth_array *a, size_t bytes, lth_error *err) {
    char text[200];
    lth_format_shape(text, sizeof text, a->shape, a->ndim);
    return lth_fail(err, LT_ENOMEM, "out of memory: %zu bytes for a tensor %s of %s", bytes, text, lth_dtype_name(a->dtype));
}

static size_t array_bytes(lth_engine *e, const lth_array *a) {
    return a->layout == LTH_STRIDED ? (size_t)lth_array_numel(a) * lth_dtype_size(a->dtype) : e->backend->array_bytes(a);
}

lt_tensor *lth_tensor_blank(lth_engine *e, lth_error *err) {
    lth_step_block *home;
    lt_tensor *t = lth_step_take_struct(e, sizeof *t, &home);
    if (!t) {
        lth_fail(err, LT_ENOMEM, "out of memory: a tensor's header");
        return NULL;
    }
    t->struct_home = home;
    t->engine = e;
    t->is_leaf = 1;
    return t;
}

lt_status lth_tensor_described(lt_tensor *t, lth_error *err) {
    lt_status status = check_shape(t->a.dtype, t->a.ndim, t->a.shape, err);
    if (status == LT_OK) { /* only then do strides not overflow */
        lth_array_set_contiguous(&t->a);
    }
    return status;
}

lt_tensor *lth_tensor_header(lth_engine *e, lt_dtype dtype, int ndim, const int64_t *shape, lth_error *err) {
    if (check_shape(dtype, ndim, shape, err) != LT_OK) {
        return NULL;
    }
    lt_tensor *t = lth_tensor_blank(e, err);
    if (t) {
        describe(t, e, dtype, ndim, shape);
    }
    return t;
}

lt_status lth_tensor_give_data(lth_engine *e, lt_tensor *t, lth_error *err) {
    size_t bytes = array_bytes(e, &t->a);
    t->a.data = lth_step_take_data(e, bytes, &t->data_home);
    return t->a.data ? LT_OK : out_of_memory(&t->a, bytes, err);
}

lt_tensor *lth_tensor_new(lth_engine *e, lt_dtype dtype, int ndim, const int64_t *shape, lth_error *err) {
    lt_tensor *t = lth_tensor_header(e, dtype, ndim, shape, err);
    return t && lth_tensor_give_data(e, t, err) == LT_OK ? t : NULL;
}

lt_tensor *lth_tensor_wrap(lth_engine *e, lt_dtype dtype, int ndim, const int64_t *shape, void *data, lth_error *err) {
    lt_tensor *t = lth_tensor_header(e, dtype, ndim, shape, err);
    if (!t) {
        return NULL;
    }
    if (e->backend->device_type == 1) {
        t->a.data = data;
        return t;
    }
    size_t bytes = array_bytes(e, &t->a);
    bool good = lth_tensor_give_data(e, t, err) == LT_OK && e->backend->copy(e->device, t->a.data, data, bytes, 1, err) == LT_OK;
    return good ? t : NULL;
}

lt_tensor *lth_tensor_alias(lth_engine *e, lt_tensor *t, lth_error *err) {
    lt_tensor *alias = lth_tensor_blank(e, err);
    if (!alias) {
        return NULL;
    }
    alias->a = t->a;
    alias->base = lth_root(t);
    alias->rewritten = alias->base->rewritten;
    alias->version = alias->base->version;
    alias->detached = t->detached;
    alias->copied = t->copied;
    alias->data_home = t->data_home;
    return alias;
}

/* ---- lasting ---- */

static void link_into(lt_tensor **list, lt_tensor *t) {
    t->next = *list;
    t->previous = NULL;
    if (*list) {
        (*list)->previous = t;
    }
    *list = t;
}

static void unlink_from(lt_tensor **list, lt_tensor *t) {
    if (t->previous) {
        t->previous->next = t->next;
    } else {
        *list = t->next;
    }
    if (t->next) {
        t->next->previous = t->previous;
    }
}

lt_tensor *lth_tensor_lasting(lth_engine *e, lt_dtype dtype, int ndim, const int64_t *shape, void *data, lth_error *err) {
    if (check_shape(dtype, ndim, shape, err) != LT_OK) {
        return NULL;
    }
    lt_tensor *t = lth_alloc(sizeof *t);
    if (!t) {
        lth_fail(err, LT_ENOMEM, "out of memory: a tensor's header");
        return NULL;
    }
    describe(t, e, dtype, ndim, shape);
    t->lasting = 1;
    t->a.data = data;
    if (!data) {
        t->block_bytes = array_bytes(e, &t->a);
        t->block_bytes = t->block_bytes ? t->block_bytes : 1;
        t->block = e->backend->alloc(e->device, t->block_bytes);
        if (!t->block) {
            out_of_memory(&t->a, t->block_bytes, err);
            lth_free(t);
            return NULL;
        }
        t->a.data = t->block;
    }
    lt_tensor *first = e->lasting;
    link_into(&first, t);
    e->lasting = first;
    return t;
}

void lth_tensor_free(lt_tensor *t) {
    if (!t || !t->lasting) {
        return;
    }
    lth_engine *e = t->engine;
    lt_tensor *first = e->lasting;
    unlink_from(&first, t);
    e->lasting = first;
    if (t->block) {
        e->backend->free(e->device, t->block, t->block_bytes);
    }
    lth_free(t);
}

/* ---- retained ---- */

/* Memory that is neither the arena's nor lasting (a batch in the loader's ring) is about to be used again by its owner: the
 * tensor gets a copy in step memory, once, now. Nothing of the arena's ever moves. */
static bool own_data(lt_tensor *t) {
    if (t->data_home || lth_root(t)->lasting || lth_numel(t) == 0) {
        return true;
    }
    lth_engine *e = t->engine;
    int64_t span = 1;
    for (int d = 0; d < t->a.ndim; d++) {
        span += (t->a.shape[d] - 1) * t->a.strides[d];
    }
    size_t bytes = (size_t)span * lth_dtype_size(t->a.dtype);
    void *copy = lth_step_take_data(e, bytes, &t->data_home);
    if (!copy || e->backend->copy(e->device, copy, t->a.data, bytes, 0, NULL) != LT_OK) {
        return false;
    }
    t->a.data = copy;
    return true;
}

lt_tensor *lth_tensor_retain(lt_tensor *t) {
    if (!t) {
        return NULL;
    }
    if (t->lasting || t->retained++ > 0) {
        return t;
    }
    if (t->kept != NOT_KEPT) { /* released earlier in this step, and wanted again */
        return t;
    }
    if (!own_data(t)) {
        t->retained = 0;
        return NULL;
    }
    lth_step_pin(t->engine, t->struct_home);
    lth_step_pin(t->engine, t->data_home);
    link_into(&t->engine->retained, t);
    t->kept = KEPT_THIS_STEP;
    return t;
}

void lth_tensor_release(lt_tensor *t) {
    if (!t || t->lasting || t->retained == 0 || --t->retained > 0) {
        return;
    }
    if (t->kept == KEPT) {
        link_into(&t->engine->released, t);
        t->kept = DROPPED;
    }
}

static void drop(lt_tensor *t) {
    lth_step_block *data = t->data_home, *own = t->struct_home;
    t->kept = NOT_KEPT;
    lth_step_unpin(t->engine, data);
    lth_step_unpin(t->engine, own);
}

/* Does the base of a retained view stay as well? Then the view holds on to it: whoever changes either must find out. Memory that only one of them
 * has taken along is shared no more. */
static bool base_stays(const lt_tensor *t) {
    const lt_tensor *base = t->base;
    return base && (base->lasting || (base->retained > 0 && base->data_home && base->data_home == t->data_home));
}

/* What a retained tensor pointed to dies with the step: it goes on as a leaf without gradient. */
static void cut_loose(lt_tensor *t) {
    t->kept = KEPT;
    t->node = NULL;
    t->base = base_stays(t) ? t->base : NULL;
    if (t->base) {
        t->base->retained += !t->base->lasting;
        t->rewritten = t->base->rewritten;
    }
    t->grad = NULL;
    t->requires_grad = t->requires_grad && t->is_leaf;
    t->is_leaf = 1;
}

void lth_step_settle_retained(lth_engine *e) {
    for (lt_tensor *t = e->retained, *next; t; t = next) {
        next = t->next;
        t->next = t->previous = NULL;
        if (t->retained) {
            cut_loose(t);
        } else {
            drop(t);
        }
    }
    e->retained = NULL;
    for (lt_tensor *t; (t = e->released);) {
        e->released = t->next;
        t->next = t->previous = NULL;
        if (t->retained) {
            t->kept = KEPT;
        } else {
            lth_tensor_release(t->base); /* what cut_loose held; it may join this list */
            t->base = NULL;
            drop(t);
        }
    }
}
