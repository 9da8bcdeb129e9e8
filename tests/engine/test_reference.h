/* tests/engine/test_reference.h - what the two test files of the oracle share: arrays on the heap, and a call of a kernel with everything
 * it needs, forward and backward. Checks nothing but that kernels accept the call. */
#ifndef LTH_TEST_REFERENCE_H
#define LTH_TEST_REFERENCE_H
#include "../golden/golden.h"
#include "base/mem.h"
#include "engine/backends/backend.h"
#include "engine/ops/ops.h"
#include "instruction_sets.h"
#include <lt/optim.h>
#include <lt/tensor.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define UNUSED __attribute__((unused))

static lth_device *device;
static const lth_backend *const backend = &lth_backend_reference;

static UNUSED size_t dtype_bytes(lt_dtype dtype) { return gold_dtype_size(dtype); }

/* ---- arrays ---- */
static UNUSED void describe(lth_array *a, lt_dtype dtype, int ndim, const int64_t *shape) {
    *a = (lth_array){.dtype = dtype, .ndim = (uint8_t)ndim};
    int64_t stride = 1;
    for (int d = ndim - 1; d >= 0; d--) {
        a->shape[d] = shape[d];
        a->strides[d] = stride;
        stride *= shape[d] ? shape[d] : 1;
    }
}

static UNUSED lth_array make(lt_dtype dtype, int ndim, const int64_t *shape) {
    lth_array a;
    describe(&a, dtype, ndim, shape);
    a.data = calloc((size_t)lth_array_numel(&a) + 1, 8);
    assert_non_null(a.data);
    return a;
}

static UNUSED lth_array like(const lth_array *a) { return make(a->dtype, a->ndim, a->shape); }

static UNUSED int64_t place(const lth_array *a, int64_t i) {
    int64_t at = 0;
    for (int d = a->ndim - 1; d >= 0; d--) {
        at += i % a->shape[d] * a->strides[d];
        i /= a->shape[d];
    }
    return at;
}

/* Element i in row-major order, whatever the strides. Only dtypes that tests look into. */
static UNUSED double get(const lth_array *a, int64_t i) {
    int64_t at = place(a, i);
    switch (a->dtype) {
    case LT_F64: return ((double *)a->data)[at];
    case LT_F32: return ((float *)a->data)[at];
    case LT_I64: return (double)((int64_t *)a->data)[at];
    case LT_I32: return ((int32_t *)a->data)[at];
    case LT_U8: case LT_BOOL: return ((uint8_t *)a->data)[at];
    default: return ((uint16_t *)a->data)[at]; /* bits */
    }
}

static UNUSED void put(const lth_array *a, int64_t i, double value) {
    int64_t at = place(a, i);
    switch (a->dtype) {
    case LT_F64: ((double *)a->data)[at] = value; break;
    case LT_F32: ((float *)a->data)[at] = (float)value; break;
    case LT_I64: ((int64_t *)a->data)[at] = (int64_t)value; break;
    case LT_I32: ((int32_t *)a->data)[at] = (int32_t)value; break;
    case LT_U8: case LT_BOOL: ((uint8_t *)a->data)[at] = (uint8_t)value; break;
    default: ((uint16_t *)a->data)[at] = (uint16_t)value; break;
    }
}

/* The same values, dimensions laid out in reverse order with a hole behind each element. */
static UNUSED lth_array scattered(const lth_array *a) {
    lth_array s = *a;
    int64_t stride = 2;
    for (int d = 0; d < a->ndim; d++) {
        s.strides[d] = stride;
        stride *= a->shape[d] ? a->shape[d] : 1;
    }
    s.data = calloc((size_t)stride + 2, 8);
    for (int64_t i = 0; i < lth_array_numel(a); i++) {
        put(&s, i, get(a, i));
    }
    return s;
}

static UNUSED lth_array from_record(const gold_record *r) {
    lth_array a = make(r->dtype, r->ndim, r->shape);
    memcpy(a.data, r->data, (size_t)r->numel * dtype_bytes(r->dtype));
    return a;
}

static UNUSED lth_array values(lt_dtype dtype, int ndim, const int64_t *shape, const double *v) {
    lth_array a = make(dtype, ndim, shape);
    for (int64_t i = 0; i < lth_array_numel(&a); i++) {
        put(&a, i, v[i]);
    }
    return a;
}

/* ---- a call with everything it needs ---- */
typedef struct run {
    lth_call call;
    lth_attrs attrs;
    lth_array in[LTH_MAX_IN], out, more[LTH_MAX_OUT], gout, gin[LTH_MAX_IN];
    bool has_gout;
} run;

static UNUSED uint64_t counting(void *state) { /* draws 0, 1/4, 2/4, 3/4 of the 53-bit range, over and over */
    return (*(uint64_t *)state)++ % 4 << 51;
}

static uint64_t draws;

static UNUSED void more_outputs(run *r) {
    lth_error err = {0};
    lth_array first = r->out;
    for (int k = 1; k < r->call.n_out; k++) {
        free(r->more[k].data);
        r->call.out[k] = &r->more[k];
    }
    assert_int_equal(lth_ops[r->call.op].shape(&r->call, &err), LT_OK);
    r->out = first;
    for (int k = 1; k < r->call.n_out; k++) {
        r->more[k] = make(r->more[k].dtype, r->more[k].ndim, r->more[k].shape);
    }
}

static UNUSED void plan(run *r) {
    const lth_kernel *k = backend->kernels[r->call.op];
    assert_non_null(k);
    r->call.attrs = &r->attrs;
    r->call.n_out = lth_ops[r->call.op].n_out;
    r->call.out[0] = &r->out;
    if (r->call.n_out > 1) { /* the others, as the shape rule says */
        more_outputs(r);
    }
    r->call.random = counting;
    r->call.random_state = &draws;
    r->call.workspace_bytes = 0;
    assert_true(!k->plan || k->plan(device, &r->call));
    free(r->call.workspace);
    r->call.workspace = r->call.workspace_bytes ? malloc(r->call.workspace_bytes) : NULL;
    if (r->call.workspace) {
        memset(r->call.workspace, 0x5a, r->call.workspace_bytes);
    }
}

static UNUSED lt_status forward(run *r, lth_error *err) {
    plan(r);
    return backend->kernels[r->call.op]->forward(device, &r->call, err);
}

static UNUSED void forward_good(run *r) {
    lth_error err = {0};
    if (forward(r, &err) != LT_OK) {
        fail_msg("%s", err.text);
    }
}

static UNUSED bool differentiable(lt_dtype dtype) { return dtype <= LT_BF16; }

static UNUSED void backward_good(run *r, bool accumulate) {
    lth_error err = {0};
    for (int k = 0; k < r->call.n_in; k++) {
        r->call.need[k] = r->call.in[k] && differentiable(r->call.in[k]->dtype) && r->gin[k].data;
        r->call.accumulate[k] = accumulate;
        r->call.grad_in[k] = r->call.need[k] ? &r->gin[k] : NULL;
    }
    r->call.grad_out[0] = r->has_gout ? &r->gout : NULL;
    if (backend->kernels[r->call.op]->backward(device, &r->call, &err) != LT_OK) {
        fail_msg("%s", err.text);
    }
}

static UNUSED void release(run *r) {
    free(r->call.workspace);
    free(r->out.data);
    for (int k = 1; k < LTH_MAX_OUT; k++) {
        free(r->more[k].data);
    }
    free(r->gout.data);
    for (int k = 0; k < LTH_MAX_IN; k++) {
        free(r->in[k].data);
        free(r->gin[k].data);
    }
}

static UNUSED void take(run *r, int k, lth_array a) {
    r->in[k] = a;
    r->call.in[k] = &r->in[k];
    r->call.n_in = (uint8_t)(k + 1 > r->call.n_in ? k + 1 : r->call.n_in);
}

static UNUSED int open_backend(void **state) {
    (void)state;
    lth_error err = {0};
    return backend->open(&device, &(lth_device_opts){0}, &err);
}

static UNUSED int close_backend(void **state) {
    (void)state;
    backend->close(device);
    return lth_alloc_live() != 0;
}
#endif
