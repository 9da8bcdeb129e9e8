/* tests/engine/test_cpu_check.h - running one case on every instruction set and team of the cpu backend, and comparing with the reference
 * backend: outputs and gradients within a tolerance, all teams bit for bit. Included once by each of test_cpu.c, test_ops_maps.c. */
#ifndef TEST_CPU_CHECK_H
#define TEST_CPU_CHECK_H
#include "base/mem.h"
#include "engine/backends/backend.h"
#include "instruction_sets.h"
#include <lt/optim.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static lth_device *cpu[TEST_N_SETS][4], *reference;
static const char *const names[TEST_N_SETS] = {TEST_SETS};
static uint64_t seed = 1;

static float uniform(void) { /* -1..1 */
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (float)(seed >> 40) / (float)(1 << 23) - 1.f;
}
static uint64_t draw(void *state) {
    uint64_t *s = state;
    return *s = *s * 6364136223846793005u + 1442695040888963407u, *s ^ *s >> 31;
}

/* One case: an op on inputs, with everything that is asked of it. */
typedef struct spec {
    lth_op op;
    int n_in;
    struct { int ndim; int64_t shape[4]; lt_dtype dtype; int layout; int64_t classes; bool positive; bool absent, turned; } in[6];
    struct { int ndim; int64_t shape[4]; lt_dtype dtype; } out;
    lth_attrs attrs;
    bool need[6], accumulate, no_gradient, may_decline;
    double tolerance; /* times (1 + the largest value); 0: 1e-5 */
} spec;
typedef struct result { bool declined; lt_status status; float *out, *grad[6]; int64_t n_out, n_grad[6]; float *state[6]; lth_error err; } result;

static lth_array plain(int ndim, const int64_t *shape, lt_dtype dtype, void *data) {
    lth_array a = {.data = data, .dtype = dtype, .ndim = (uint8_t)ndim};
    int64_t stride = 1;
    for (int k = ndim - 1; k >= 0; k--) {
        a.shape[k] = shape[k];
        a.strides[k] = stride;
        stride *= shape[k];
    }
    return a;
}
static int64_t count(int ndim, const int64_t *shape) {
    int64_t n = 1;
    for (int k = 0; k < ndim; k++) {
        n *= shape[k];
    }
    return n;
}
static void *take(size_t bytes) {
    void *p = lth_alloc(bytes ? bytes : 64);
    assert_non_null(p);
    return p;
}
/* COPY's backward turns a plain array into any layout, its forward turns it back. */
static void to_layout(const lth_backend *b, lth_device *d, const lth_array *from, lth_array *to) {
    lth_array out = *from;
    lth_call call = {.op = LTH_OP_COPY, .n_in = 1, .n_out = 1, .in = {to}, .out = {&out}, .grad_out = {from}, .grad_in = {to}, .need = {true}};
    static const lth_attrs none;
    call.attrs = &none;
    assert_true(b->kernels[LTH_OP_COPY]->plan(d, &call));
    assert_int_equal(b->kernels[LTH_OP_COPY]->backward(d, &call, NULL), LT_OK);
}
static void to_plain(const lth_backend *b, lth_device *d, const lth_array *from, lth_array *to) {
    static const lth_attrs none;
    lth_call call = {.op = LTH_OP_COPY, .n_in = 1, .n_out = 1, .in = {from}, .out = {to}, .attrs = &none};
    assert_true(b->kernels[LTH_OP_COPY]->plan(d, &call));
    assert_int_equal(b->kernels[LTH_OP_COPY]->forward(d, &call, NULL), LT_OK);
}
static lth_array with_layout(const lth_backend *b, lth_device *d, const lth_array *a, int layout) {
    lth_array x = *a;
    x.layout = (uint8_t)layout;
    if (layout != LTH_STRIDED) {
        x.data = take(b->array_bytes(&x));
        to_layout(b, d, a, &x);
    }
    return x;
}

static void keep_gradients(const lth_backend *b, lth_device *d, const spec *s, const lth_array *gin, const lth_call *call, result *r) {
    for (int k = 0; k < s->n_in; k++) {
        if (!call->grad_in[k]) {
            continue;
        }
        r->n_grad[k] = count(gin[k].ndim, gin[k].shape);
        lth_array p = plain(gin[k].ndim, gin[k].shape, LT_F32, take((size_t)r->n_grad[k] * 4));
        if (gin[k].layout) {
            to_plain(b, d, &gin[k], &p);
        } else {
            memcpy(p.data, gin[k].data, (size_t)r->n_grad[k] * 4);
        }
        lth_free(gin[k].data);
        r->grad[k] = p.data;
    }
}

static result execute(const lth_backend *b, lth_device *d, const spec *s, float *const *values, const float *grad) {
    result r = {0};
    lth_array in[6], gin[6], out, gout, gplain;
    const bool blocks = b == &lth_backend_cpu;
    uint64_t state = 42;
    lth_call call = {.op = s->op, .n_in = (uint8_t)s->n_in, .n_out = 1, .save = !s->no_gradient, .attrs = &s->attrs, .random = draw, .random_state = &state};
    for (int k = 0; k < s->n_in; k++) {
        if (s->in[k].absent) {
            continue;
        }
        const int64_t n = count(s->in[k].ndim, s->in[k].shape);
        const size_t bytes = (size_t)n * (s->in[k].dtype == LT_I64 ? 8 : 4);
        void *copy = take(bytes);
        memcpy(copy, values[k], bytes);
        const lth_array flat = plain(s->in[k].ndim, s->in[k].shape, s->in[k].dtype ? s->in[k].dtype : LT_F32, copy);
        in[k] = with_layout(b, d, &flat, blocks ? s->in[k].layout : 0);
        if (in[k].data != copy) {
            lth_free(copy);
        }
        r.state[k] = in[k].data;
        if (s->in[k].turned) { /* the same memory read as the transpose of its last two dimensions */
            const int last = in[k].ndim - 1;
            in[k].strides[last] = in[k].shape[last - 1];
            in[k].strides[last - 1] = 1;
        }
        call.in[k] = &in[k];
        call.need[k] = s->need[k];
        call.accumulate[k] = s->accumulate;
    }
    out = plain(s->out.ndim, s->out.shape, s->out.dtype ? s->out.dtype : LT_F32, NULL);
    call.out[0] = &out;
    const lth_kernel *kernel = b->kernels[s->op];
    if (!kernel || (kernel->plan && !kernel->plan(d, &call))) {
        r.declined = true;
        return r;
    }
    const size_t out_bytes = b->array_bytes(&out);
    out.data = take(out_bytes);
    memset(out.data, 0xff, out_bytes);
    call.workspace = call.workspace_bytes ? take(call.workspace_bytes) : NULL;
    if (call.workspace) {
        memset(call.workspace, 0xff, call.workspace_bytes);
    }
    r.status = kernel->forward(d, &call, &r.err);
    r.n_out = count(s->out.ndim, s->out.shape);
    lth_array out_plain = plain(s->out.ndim, s->out.shape, out.dtype, take((size_t)r.n_out * 8));
    if (r.status >= 0 && r.n_out) {
        if (out.layout) {
            to_plain(b, d, &out, &out_plain);
        } else {
            memcpy(out_plain.data, out.data, out_bytes);
        }
    }
    r.out = out_plain.data;
    if (r.status < 0 || s->no_gradient) {
        lth_free(out.data);
        lth_free(call.workspace);
        return r;
    }
    gplain = plain(s->out.ndim, s->out.shape, LT_F32, (void *)(uintptr_t)grad);
    gout = with_layout(b, d, &gplain, out.layout);
    call.grad_out[0] = &gout;
    for (int k = 0; k < s->n_in; k++) {
        if (!s->need[k] || !call.in[k]) {
            continue;
        }
        gin[k] = in[k];
        const int64_t n = count(in[k].ndim, in[k].shape);
        lth_array start = plain(in[k].ndim, in[k].shape, LT_F32, take((size_t)n * 4));
        for (int64_t i = 0; i < n; i++) {
            ((float *)start.data)[i] = s->accumulate ? (float)(i % 7) * .125f : NAN;
        }
        gin[k].data = start.data;
        if (in[k].layout) {
            const lth_array blocked = with_layout(b, d, &start, in[k].layout);
            gin[k].data = blocked.data;
            lth_free(start.data);
        }
        call.grad_in[k] = &gin[k];
    }
    r.status = kernel->backward(d, &call, &r.err);
    keep_gradients(b, d, s, gin, &call, &r);
    if (gout.data != gplain.data) {
        lth_free(gout.data);
    }
    lth_free(out.data);
    lth_free(call.workspace);
    return r;
}
static void drop(result *r) {
    lth_free(r->out);
    for (int k = 0; k < 6; k++) {
        lth_free(r->grad[k]);
        lth_free(r->state[k]);
    }
}
static char where[256];
static void compare(const float *a, const float *b, int64_t n, double tolerance, const char *what) {
    double top = 0, worst = 0;
    int64_t at = 0;
    for (int64_t i = 0; i < n; i++) {
        top = fabs((double)b[i]) > top ? fabs((double)b[i]) : top;
    }
    for (int64_t i = 0; i < n; i++) {
        const double off = fabs((double)a[i] - (double)b[i]);
        if (!(off <= worst)) {
            worst = off, at = i;
            if (isnan(off)) {
                break;
            }
        }
    }
    if (!(worst <= (tolerance > 0 ? tolerance : 1e-5) * (1 + top))) {
        fail_msg("%s: %s[%lld] is %.9g, reference %.9g (largest %.4g)", where, what, (long long)at, (double)a[at], (double)b[at], top);
    }
}
static void same_bits(const float *a, const float *b, int64_t n, const char *what) {
    for (int64_t i = 0; i < n; i++) {
        if (memcmp(a + i, b + i, 4) != 0) {
            fail_msg("%s: %s[%lld] depends on the number of threads: %.9g, %.9g", where, what, (long long)i, (double)a[i], (double)b[i]);
        }
    }
}
static void check(const spec *s, const char *name) {
    float *values[6] = {0};
    for (int k = 0; k < s->n_in; k++) {
        const int64_t n = count(s->in[k].ndim, s->in[k].shape);
        values[k] = take((size_t)n * 8);
        for (int64_t i = 0; i < n; i++) {
            if (s->in[k].dtype == LT_I64) {
                ((int64_t *)(void *)values[k])[i] = (int64_t)(fabsf(uniform()) * 1e6f) % s->in[k].classes;
            } else {
                values[k][i] = s->in[k].positive ? fabsf(uniform()) + .1f : 2 * uniform();
            }
        }
    }
    const int64_t n_out = count(s->out.ndim, s->out.shape);
    float *grad = take((size_t)n_out * 4);
    for (int64_t i = 0; i < n_out; i++) {
        grad[i] = uniform();
    }
    snprintf(where, sizeof where, "%s (reference)", name);
    result want = execute(&lth_backend_reference, reference, s, values, grad);
    assert_false(want.declined);
    if (want.status < 0) {
        fail_msg("%s: %s", where, want.err.text);
    }
    for (int set = 0; set < TEST_N_SETS; set++) {
        result first = {0};
        for (int t = 0; t < 4 && cpu[set][t]; t++) {
            snprintf(where, sizeof where, "%s, %s, %d threads", name, names[set], t + 1);
            result got = execute(&lth_backend_cpu, cpu[set][t], s, values, grad);
            if (got.declined) {
                drop(&got);
                if (!s->may_decline) {
                    fail_msg("%s: declined", where);
                }
                break;
            }
            if (got.status < 0) {
                fail_msg("%s: %s", where, got.err.text);
            }
            const lt_dtype dtype = s->out.dtype ? s->out.dtype : LT_F32;
            if (dtype == LT_F32) {
                compare(got.out, want.out, n_out, s->tolerance, "output");
            } else {
                assert_memory_equal(got.out, want.out, (size_t)n_out * 8);
            }
            for (int k = 0; k < s->n_in; k++) {
                char what[32];
                snprintf(what, sizeof what, "gradient %d", k);
                if (got.grad[k]) {
                    compare(got.grad[k], want.grad[k], got.n_grad[k], s->tolerance, what);
                }
                if (s->op == LTH_OP_BATCH_NORM && k > 2 && k < 5 && got.state[k]) {
                    compare(got.state[k], want.state[k], s->in[k].shape[0], 0, "running");
                }
                if (got.grad[k] && t > 0) {
                    same_bits(got.grad[k], first.grad[k], got.n_grad[k], what);
                }
            }
            if (t == 0) {
                first = got;
            } else {
                if (dtype == LT_F32) {
                    same_bits(got.out, first.out, n_out, "output");
                }
                drop(&got);
            }
        }
        drop(&first);
    }
    drop(&want);
    lth_free(grad);
    for (int k = 0; k < 6; k++) {
        lth_free(values[k]);
    }
}

static int open_all(void **state) {
    (void)state;
    lth_error err = {0};
    assert_int_equal(lth_backend_reference.open(&reference, &(lth_device_opts){.threads = 1}, &err), LT_OK);
    for (int set = 0; set < TEST_N_SETS; set++) {
        for (int t = 0; t < 4; t++) {
            const lth_device_opts opts = {.threads = t + 1, .isa = names[set]};
            err = (lth_error){0};
            if (lth_backend_cpu.open(&cpu[set][t], &opts, &err) < 0) {
                print_message("%s\n", err.text);
                break;
            }
        }
    }
    assert_non_null(cpu[TEST_BASELINE][3]);
    return 0;
}
static int close_all(void **state) {
    (void)state;
    for (int set = 0; set < TEST_N_SETS; set++) {
        for (int t = 0; t < 4; t++) {
            lth_backend_cpu.close(cpu[set][t]);
        }
    }
    lth_backend_reference.close(reference);
    assert_int_equal(lth_alloc_live(), 0);
    return 0;
}
#endif
