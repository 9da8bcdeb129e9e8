/* engine/tensor/host_copy.c - moves a tensor's values to and from host memory, in row-major order whatever their layout.
 * Synchronizes the device. Only contiguous tensors are written: nobody sets a view from the host. */
#include "base/mem.h"
#include "base/str.h"
#include "engine/tensor/tensor.h"
#include <string.h>

/* Bytes from the first element of the array to the end of its last, padding of blocked layouts included. */
static size_t span_bytes(const lt_tensor *t) {
    if (t->a.layout != LTH_STRIDED) {
        return t->engine->backend->array_bytes(&t->a);
    }
    int64_t last = 0;
    for (int d = 0; d < t->a.ndim; d++) {
        if (t->a.shape[d] == 0) {
            return 0;
        }
        last += (t->a.shape[d] - 1) * t->a.strides[d];
    }
    return (size_t)(last + 1) * lth_dtype_size(t->a.dtype);
}

/* Where the element of row-major number i lies. */
static int64_t place(const lth_array *a, int64_t i) {
    int64_t index[LT_MAX_DIMS], at = 0;
    for (int d = a->ndim - 1; d >= 0; d--) {
        index[d] = i % a->shape[d];
        i /= a->shape[d];
        at += index[d] * a->strides[d];
    }
    if (a->layout == LTH_STRIDED) {
        return at;
    }
    int64_t C = a->shape[1], HW = a->shape[2] * a->shape[3], pixel = index[2] * a->shape[3] + index[3];
    if (a->layout == LTH_N16C) {
        return ((index[0] / 16 * C + index[1]) * HW + pixel) * 16 + index[0] % 16;
    }
    const int64_t groups = (C + 15) / 16;
    if (a->layout == LTH_HWNC) {
        return (pixel * a->shape[0] + index[0]) * groups * 16 + index[1];
    }
    return ((index[0] * groups + index[1] / 16) * HW + pixel) * 16 + index[1] % 16;
}

/* The array's memory as the host can read it: itself on the CPU, else a copy that *owned names. */
static const char *on_host(lt_tensor *t, void **owned, lth_error *err) {
    lth_engine *e = t->engine;
    *owned = NULL;
    if (e->backend->synchronize && e->backend->synchronize(e->device, err) != LT_OK) {
        return NULL;
    }
    if (e->backend->device_type == 1) {
        return t->a.data;
    }
    size_t bytes = span_bytes(t);
    *owned = lth_alloc(bytes);
    if (!*owned) {
        lth_fail(err, LT_ENOMEM, "out of memory: %zu bytes to read a tensor", bytes);
        return NULL;
    }
    if (e->backend->copy(e->device, *owned, t->a.data, bytes, 2, err) != LT_OK) {
        lth_free(*owned);
        return NULL;
    }
    return *owned;
}

lt_status lth_tensor_read(lt_tensor *t, int64_t offset, int64_t count, double *out, lth_error *err) {
    int64_t n = lth_numel(t);
    if (offset < 0 || count < 0 || offset > n || count > n - offset) {
        return lth_fail(err, LT_EINDEX, "elements %lld to %lld of a tensor of %lld", (long long)offset, (long long)(offset + count), (long long)n);
    }
    if (count == 0) {
        return LT_OK;
    }
    void *owned;
    const char *data = on_host(t, &owned, err);
    if (!data) {
        return err && err->code ? err->code : LT_ENOMEM;
    }
    bool plain = lth_array_contiguous(&t->a);
    for (int64_t i = 0; i < count; i++) {
        out[i] = lth_element_get(t->a.dtype, data, plain ? offset + i : place(&t->a, offset + i));
    }
    lth_free(owned);
    return LT_OK;
}

static lt_status check_bytes(const lt_tensor *t, size_t bytes, lth_error *err) {
    size_t needed = (size_t)lth_numel(t) * lth_dtype_size(t->a.dtype);
    if (bytes == needed) {
        return LT_OK;
    }
    char text[200];
    lth_format_shape(text, sizeof text, t->a.shape, t->a.ndim);
    return lth_fail(err, LT_ESHAPE, "%zu bytes given for a tensor %s of %s, which has %zu", bytes, text, lth_dtype_name(t->a.dtype), needed);
}

lt_status lth_tensor_to_host(lt_tensor *t, void *out, size_t bytes, lth_error *err) {
    lt_status status = check_bytes(t, bytes, err);
    if (status != LT_OK || bytes == 0) {
        return status;
    }
    void *owned;
    const char *data = on_host(t, &owned, err);
    if (!data) {
        return err && err->code ? err->code : LT_ENOMEM;
    }
    if (lth_array_contiguous(&t->a)) {
        memcpy(out, data, bytes);
    } else {
        size_t size = lth_dtype_size(t->a.dtype);
        int64_t n = lth_numel(t);
        for (int64_t i = 0; i < n; i++) {
            memcpy((char *)out + (size_t)i * size, data + (size_t)place(&t->a, i) * size, size);
        }
    }
    lth_free(owned);
    return LT_OK;
}

lt_status lth_tensor_from_host(lt_tensor *t, const void *data, size_t bytes, lth_error *err) {
    lt_status status = check_bytes(t, bytes, err);
    if (status != LT_OK) {
        return status;
    }
    if (!lth_array_contiguous(&t->a)) {
        return lth_fail(err, LT_EUNSUPPORTED, "values can be set only in a contiguous tensor");
    }
    lth_root(t)->version++;
    return bytes ? t->engine->backend->copy(t->engine->device, t->a.data, data, bytes, 1, err) : LT_OK;
}
