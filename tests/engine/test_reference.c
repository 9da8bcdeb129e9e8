/* tests/engine/test_reference.c - the oracle's kernels, called directly: against PyTorch (tests/golden/ops_*.bin), by hand-checked values
 * where the rules are fine print, and their gradients against finite differences in f64. Also strided inputs and accumulation,
 * which every case goes through. The fast backends are tested against this one elsewhere. */
#include "../golden/golden.h"
#include "base/mem.h"
#include "engine/backends/backend.h"
#include <lt/optim.h>
#include <lt/tensor.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct { const char *text; lth_op op; } op_names[] = {
#define LTH_OP(NAME, text, ...) {text, LTH_OP_##NAME},
#include "engine/ops/ops.def"
#undef LTH_OP
};

static lth_device *device;
static const lth_backend *const backend = &lth_backend_reference;

static size_t dtype_bytes(lt_dtype dtype) { return gold_dtype_size(dtype); }

/* ---- arrays ---- */
static void describe(lth_array *a, lt_dtype dtype, int ndim, const int64_t *shape) {
    *a = (lth_array){.dtype = dtype, .ndim = (uint8_t)ndim};
    int64_t stride = 1;
    for (int d = ndim - 1; d >= 0; d--) {
        a->shape[d] = shape[d];
        a->strides[d] = stride;
        stride *= shape[d] ? shape[d] : 1;
    }
}

static lth_array make(lt_dtype dtype, int ndim, const int64_t *shape) {
    lth_array a;
    describe(&a, dtype, ndim, shape);
    a.data = calloc((size_t)lth_array_numel(&a) + 1, 8);
    assert_non_null(a.data);
    return a;
}

static lth_array like(const lth_array *a) { return make(a->dtype, a->ndim, a->shape); }

static int64_t place(const lth_array *a, int64_t i) {
    int64_t at = 0;
    for (int d = a->ndim - 1; d >= 0; d--) {
        at += i % a->shape[d] * a->strides[d];
        i /= a->shape[d];
    }
    return at;
}

/* Element i in row-major order, whatever the strides. Only dtypes that tests look into. */
static double get(const lth_array *a, int64_t i) {
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

static void put(const lth_array *a, int64_t i, double value) {
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
static lth_array scattered(const lth_array *a) {
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

static lth_array from_record(const gold_record *r) {
    lth_array a = make(r->dtype, r->ndim, r->shape);
    memcpy(a.data, r->data, (size_t)r->numel * dtype_bytes(r->dtype));
    return a;
}

static lth_array values(lt_dtype dtype, int ndim, const int64_t *shape, const double *v) {
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
    lth_array in[LTH_MAX_IN], out, gout, gin[LTH_MAX_IN];
    bool has_gout;
} run;

static uint64_t counting(void *state) { /* draws 0, 1/4, 2/4, 3/4 of the 53-bit range, over and over */
    return (*(uint64_t *)state)++ % 4 << 51;
}

static uint64_t draws;

static void plan(run *r) {
    const lth_kernel *k = backend->kernels[r->call.op];
    assert_non_null(k);
    r->call.attrs = &r->attrs;
    r->call.n_out = 1;
    r->call.out[0] = &r->out;
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

static lt_status forward(run *r, lth_error *err) {
    plan(r);
    return backend->kernels[r->call.op]->forward(device, &r->call, err);
}

static void forward_good(run *r) {
    lth_error err = {0};
    if (forward(r, &err) != LT_OK) {
        fail_msg("%s", err.text);
    }
}

static bool differentiable(lt_dtype dtype) { return dtype <= LT_BF16; }

static void backward_good(run *r, bool accumulate) {
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

static void release(run *r) {
    free(r->call.workspace);
    free(r->out.data);
    free(r->gout.data);
    for (int k = 0; k < LTH_MAX_IN; k++) {
        free(r->in[k].data);
        free(r->gin[k].data);
    }
}

static void take(run *r, int k, lth_array a) {
    r->in[k] = a;
    r->call.in[k] = &r->in[k];
    r->call.n_in = (uint8_t)(k + 1 > r->call.n_in ? k + 1 : r->call.n_in);
}

/* ---- golden cases ---- */
typedef struct bound { double relative, absolute; } bound;

static bound bound_of(lt_dtype dtype) { return dtype == LT_F64 ? (bound){1e-10, 1e-11} : dtype == LT_F32 ? (bound){3e-5, 3e-5} : (bound){0, 0}; }

/* The f32 bound grows with the largest value: torch's sums are of such values. */
static void same(const char *name, const char *what, const lth_array *got, const lth_array *want) {
    bound b = bound_of(want->dtype);
    double top = 0;
    int64_t n = lth_array_numel(want);
    for (int64_t i = 0; i < n; i++) {
        double v = fabs(get(want, i));
        top = isfinite(v) && v > top ? v : top;
    }
    for (int64_t i = 0; i < n; i++) {
        double g = get(got, i), w = get(want, i);
        bool equal = g == w || (isnan(g) && isnan(w)) || fabs(g - w) <= b.relative * fabs(w) + b.absolute * (1 + 0.1 * top);
        if (!equal) {
            fail_msg("%s %s: element %lld is %.17g, torch has %.17g", name, what, (long long)i, g, w);
        }
    }
}

static lth_op op_of(const gold_record *r) {
    for (size_t k = 0; k < sizeof op_names / sizeof op_names[0]; k++) {
        if ((int64_t)strlen(op_names[k].text) == r->numel && !memcmp(op_names[k].text, r->data, (size_t)r->numel)) {
            return op_names[k].op;
        }
    }
    fail_msg("%s: not in ops.def", r->name);
    return LTH_OP_COPY;
}

static void load_case(const gold_file *g, const char *name, bool scatter, run *r) {
    *r = (run){.call.op = op_of(gold_find(g, "%s/op", name))};
    memcpy(r->attrs.i, gold_find(g, "%s/attrs", name)->data, sizeof r->attrs.i);
    memcpy(r->attrs.f, gold_find(g, "%s/fattrs", name)->data, sizeof r->attrs.f);
    const gold_record *out = gold_find(g, "%s/out0", name), *gout = gold_find(g, "%s/gout0", name);
    for (int k = 0; k < LTH_MAX_IN; k++) {
        const gold_record *in = gold_find(g, "%s/in%d", name, k), *gin = gold_find(g, "%s/gin%d", name, k);
        if (!in) {
            continue;
        }
        lth_array plain = from_record(in);
        take(r, k, scatter ? scattered(&plain) : plain);
        if (gin) {
            r->gin[k] = like(&plain);
        }
        if (scatter) {
            free(plain.data);
        }
    }
    r->out = make(out->dtype, out->ndim, out->shape);
    r->has_gout = gout != NULL;
    r->call.save = gout != NULL;
    if (gout) {
        lth_array plain = from_record(gout);
        r->gout = scatter ? scattered(&plain) : plain;
        if (scatter) {
            free(plain.data);
        }
    }
}

static void check_gradients(const gold_file *g, const char *name, run *r, double offset) {
    for (int k = 0; k < LTH_MAX_IN; k++) {
        const gold_record *gin = gold_find(g, "%s/gin%d", name, k);
        if (!gin) {
            continue;
        }
        lth_array want = from_record(gin);
        char what[16];
        snprintf(what, sizeof what, "gin%d", k);
        for (int64_t i = 0; i < lth_array_numel(&want); i++) {
            put(&want, i, get(&want, i) + offset);
        }
        same(name, what, &r->gin[k], &want);
        free(want.data);
    }
}

static void check_changed(const gold_file *g, const char *name, const run *r) {
    for (int k = 0; k < LTH_MAX_IN; k++) {
        const gold_record *after = gold_find(g, "%s/after%d", name, k);
        if (after) {
            lth_array want = from_record(after);
            same(name, "after", &r->in[k], &want);
            free(want.data);
        }
    }
}

static void run_case(const gold_file *g, const char *name, bool scatter) {
    run r;
    load_case(g, name, scatter, &r);
    if (backend->kernels[r.call.op]) { /* views have none */
        const gold_record *out = gold_find(g, "%s/out0", name);
        lth_array want = from_record(out);
        forward_good(&r);
        same(name, scatter ? "out0 (strided)" : "out0", &r.out, &want);
        check_changed(g, name, &r);
        free(want.data);
        if (r.has_gout) {
            backward_good(&r, false);
            check_gradients(g, name, &r, 0);
            for (int k = 0; k < r.call.n_in; k++) { /* adding: 3 stands there already */
                for (int64_t i = 0; r.gin[k].data && i < lth_array_numel(&r.gin[k]); i++) {
                    put(&r.gin[k], i, 3);
                }
            }
            backward_good(&r, true);
            check_gradients(g, name, &r, 3);
        }
    }
    release(&r);
}

static void golden(void **state) {
    gold_file g;
    char path[512];
    int cases = 0;
    snprintf(path, sizeof path, "%s/golden/ops_%s.bin", TEST_DATA_DIR, (const char *)*state);
    if (gold_open(&g, path)) {
        print_message("skipped: %s\n", g.error);
        skip();
    }
    const char *name;
    for (size_t at = 0; (name = gold_next_case(&g, "", &at)); cases++) {
        char kept[GOLD_MAX_NAME];
        snprintf(kept, sizeof kept, "%s", name);
        run_case(&g, kept, false);
        run_case(&g, kept, true);
    }
    assert_true(cases > 0);
    gold_close(&g);
}

/* ---- finite differences in f64 ---- */
static double noise(int64_t i) { return sin(12.9898 * (double)i + 1) * 1.7; } /* no two alike, no ties */

typedef struct shape { int ndim; int64_t d[4]; } shape;
typedef struct gradient_case { const char *name; lth_op op; shape in[4], out; lth_attrs attrs; double add; int skip; } gradient_case;

static double weighted_sum(run *r) {
    double sum = 0;
    lth_error err = {0};
    draws = 0;
    if (forward(r, &err) != LT_OK) {
        fail_msg("%s", err.text);
    }
    for (int64_t i = 0; i < lth_array_numel(&r->out); i++) {
        sum += get(&r->out, i) * get(&r->gout, i);
    }
    return sum;
}

static void check_gradient_case(const gradient_case *c) {
    run r = {.call.op = c->op, .call.save = true, .attrs = c->attrs, .has_gout = true};
    for (int k = 0; k < 4 && (k == 0 || c->in[k].ndim); k++) {
        take(&r, k, make(LT_F64, c->in[k].ndim, c->in[k].d));
        r.gin[k] = like(&r.in[k]);
        for (int64_t i = 0; i < lth_array_numel(&r.in[k]); i++) {
            put(&r.in[k], i, noise(i + 100 * k) + c->add);
        }
    }
    r.out = make(LT_F64, c->out.ndim, c->out.d);
    r.gout = like(&r.out);
    for (int64_t i = 0; i < lth_array_numel(&r.gout); i++) {
        put(&r.gout, i, noise(i + 7000));
    }
    weighted_sum(&r);
    backward_good(&r, false);
    for (int k = 0; k < r.call.n_in; k++) {
        for (int64_t i = 0; !(c->skip >> k & 1) && i < lth_array_numel(&r.in[k]); i++) {
            double x = get(&r.in[k], i), h = 1e-6, up, down;
            put(&r.in[k], i, x + h);
            up = weighted_sum(&r);
            put(&r.in[k], i, x - h);
            down = weighted_sum(&r);
            put(&r.in[k], i, x);
            double numeric = (up - down) / (2 * h), analytic = get(&r.gin[k], i);
            if (!(fabs(numeric - analytic) <= 2e-7 * (1 + fabs(numeric)) * 10)) {
                fail_msg("%s: d/d(in%d[%lld]) is %.12g, finite differences give %.12g", c->name, k, (long long)i, analytic, numeric);
            }
        }
    }
    release(&r);
}

static void gradients(void **state) {
    (void)state;
    static const gradient_case cases[] = {
        {.name = "copy", .op = LTH_OP_COPY, .in = {{2, {3, 4}}}, .out = {2, {3, 4}}},
        {.name = "add", .op = LTH_OP_ADD, .in = {{3, {2, 1, 3}}, {2, {4, 1}}}, .out = {3, {2, 4, 3}}},
        {.name = "sub", .op = LTH_OP_SUB, .in = {{1, {3}}, {3, {2, 4, 3}}}, .out = {3, {2, 4, 3}}},
        {.name = "mul", .op = LTH_OP_MUL, .in = {{3, {2, 1, 3}}, {2, {4, 1}}}, .out = {3, {2, 4, 3}}},
        {.name = "div", .op = LTH_OP_DIV, .in = {{2, {4, 3}}, {1, {3}}}, .out = {2, {4, 3}}, .add = 3},
        {.name = "exp", .op = LTH_OP_EXP, .in = {{1, {7}}}, .out = {1, {7}}},
        {.name = "log", .op = LTH_OP_LOG, .in = {{1, {7}}}, .out = {1, {7}}, .add = 3},
        {.name = "sqrt", .op = LTH_OP_SQRT, .in = {{1, {7}}}, .out = {1, {7}}, .add = 3},
        {.name = "abs", .op = LTH_OP_ABS, .in = {{1, {7}}}, .out = {1, {7}}},
        {.name = "tanh", .op = LTH_OP_TANH, .in = {{1, {7}}}, .out = {1, {7}}},
        {.name = "sigmoid", .op = LTH_OP_SIGMOID, .in = {{1, {7}}}, .out = {1, {7}}},
        {.name = "gelu", .op = LTH_OP_GELU, .in = {{1, {7}}}, .out = {1, {7}}},
        {.name = "gelu tanh", .op = LTH_OP_GELU, .in = {{1, {7}}}, .out = {1, {7}}, .attrs.i = {1}},
        {.name = "dropout", .op = LTH_OP_DROPOUT, .in = {{2, {3, 5}}}, .out = {2, {3, 5}}, .attrs.f = {0.5}},
        {.name = "sum", .op = LTH_OP_SUM, .in = {{3, {2, 3, 4}}}, .out = {2, {2, 4}}, .attrs.i = {1, 1}},
        {.name = "mean keepdim", .op = LTH_OP_MEAN, .in = {{3, {2, 3, 4}}}, .out = {3, {1, 3, 1}}, .attrs.i = {2, 0, 2, [9] = 1}},
        {.name = "softmax", .op = LTH_OP_SOFTMAX, .in = {{3, {2, 5, 3}}}, .out = {3, {2, 5, 3}}, .attrs.i = {1}},
        {.name = "log_softmax", .op = LTH_OP_LOG_SOFTMAX, .in = {{2, {4, 5}}}, .out = {2, {4, 5}}, .attrs.i = {1}},
        {.name = "cat", .op = LTH_OP_CAT, .in = {{2, {2, 3}}, {2, {2, 1}}, {2, {2, 2}}}, .out = {2, {2, 6}}, .attrs.i = {1}},
        {.name = "matmul", .op = LTH_OP_MATMUL, .in = {{3, {2, 3, 4}}, {2, {4, 5}}}, .out = {3, {2, 3, 5}}},
        {.name = "matmul broadcast", .op = LTH_OP_MATMUL, .in = {{4, {2, 1, 3, 2}}, {3, {3, 2, 2}}}, .out = {4, {2, 3, 3, 2}}},
        {.name = "linear", .op = LTH_OP_LINEAR, .in = {{3, {2, 2, 4}}, {2, {3, 4}}, {1, {3}}}, .out = {3, {2, 2, 3}}},
        {.name = "linear tanh", .op = LTH_OP_LINEAR, .in = {{2, {3, 4}}, {2, {3, 4}}, {1, {3}}}, .out = {2, {3, 3}}, .attrs.i = {LT_ACT_TANH}},
        {.name = "linear gelu", .op = LTH_OP_LINEAR, .in = {{2, {3, 4}}, {2, {3, 4}}}, .out = {2, {3, 3}}, .attrs.i = {LT_ACT_GELU}},
        {.name = "conv2d", .op = LTH_OP_CONV2D, .in = {{4, {2, 4, 5, 6}}, {4, {6, 2, 3, 2}}, {1, {6}}}, .out = {4, {2, 6, 3, 5}},
         .attrs.i = {2, 1, 1, 0, 1, 1, 2}},
        {.name = "conv2d dilated", .op = LTH_OP_CONV2D, .in = {{4, {1, 2, 6, 6}}, {4, {3, 2, 3, 3}}}, .out = {4, {1, 3, 4, 2}},
         .attrs.i = {1, 1, 1, 0, 2, 2, 1}},
        {.name = "conv2d relu pool", .op = LTH_OP_CONV2D, .in = {{4, {2, 2, 6, 6}}, {4, {3, 2, 3, 3}}, {1, {3}}}, .out = {4, {2, 3, 3, 3}},
         .attrs.i = {1, 1, 1, 1, 1, 1, 1, LT_ACT_RELU, 2, 2, 2, 2}},
        {.name = "conv2d pool overlapping", .op = LTH_OP_CONV2D, .in = {{4, {1, 1, 6, 6}}, {4, {2, 1, 2, 2}}, {1, {2}}}, .out = {4, {1, 2, 2, 2}},
         .attrs.i = {1, 1, 0, 0, 1, 1, 1, LT_ACT_TANH, 3, 3, 2, 2}},
        {.name = "max_pool2d", .op = LTH_OP_MAX_POOL2D, .in = {{4, {2, 2, 5, 6}}}, .out = {4, {2, 2, 3, 3}}, .attrs.i = {3, 3, 2, 2, 1, 1}},
        {.name = "avg_pool2d", .op = LTH_OP_AVG_POOL2D, .in = {{4, {2, 2, 5, 6}}}, .out = {4, {2, 2, 3, 3}}, .attrs.i = {3, 3, 2, 2, 1, 1, 0, 1}},
        {.name = "batch_norm", .op = LTH_OP_BATCH_NORM, .in = {{3, {4, 3, 2}}, {1, {3}}, {1, {3}}}, .out = {3, {4, 3, 2}}, .attrs = {{1}, {1e-5, 0.1}}},
        {.name = "batch_norm eval", .op = LTH_OP_BATCH_NORM, .in = {{2, {4, 3}}, {1, {3}}, {1, {3}}, {1, {3}}}, .out = {2, {4, 3}},
         .attrs = {{0, LT_ACT_TANH}, {1e-5, 0.1}}, .skip = 8},
        {.name = "mse_loss", .op = LTH_OP_MSE_LOSS, .in = {{2, {3, 4}}, {2, {3, 4}}}, .out = {0}},
        {.name = "mse_loss none", .op = LTH_OP_MSE_LOSS, .in = {{2, {3, 4}}, {2, {3, 4}}}, .out = {2, {3, 4}}, .attrs.i = {LT_NONE}},
        {.name = "layer_norm", .op = LTH_OP_LAYER_NORM, .in = {{3, {2, 3, 5}}, {1, {5}}, {1, {5}}}, .out = {3, {2, 3, 5}}, .attrs.f = {1e-5}},
        {.name = "attention", .op = LTH_OP_ATTENTION, .in = {{4, {1, 2, 3, 4}}, {4, {1, 2, 5, 4}}, {4, {1, 2, 5, 3}}, {2, {3, 5}}},
         .out = {4, {1, 2, 3, 3}}},
        {.name = "attention causal", .op = LTH_OP_ATTENTION, .in = {{4, {2, 1, 4, 3}}, {4, {2, 1, 4, 3}}, {4, {2, 1, 4, 3}}},
         .out = {4, {2, 1, 4, 3}}, .attrs = {{1}, {0.4}}},
    };
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        check_gradient_case(&cases[k]);
    }
}

/* ---- fine print, by hand ---- */
static void check(const lth_array *a, const double *want) {
    for (int64_t i = 0; i < lth_array_numel(a); i++) {
        if (!(get(a, i) == want[i] || (isnan(get(a, i)) && isnan(want[i])))) {
            fail_msg("element %lld is %.17g instead of %.17g", (long long)i, get(a, i), want[i]);
        }
    }
}

static void whole_numbers(void **state) {
    (void)state;
    int64_t n = 4;
    run r = {.call.op = LTH_OP_MUL};
    take(&r, 0, values(LT_I64, 1, &n, (double[]){3, -3, 0, 5}));
    take(&r, 1, values(LT_I64, 1, &n, (double[]){2, 2, 2, 0}));
    ((int64_t *)r.in[0].data)[3] = (1ll << 53) + 1; /* beyond what a double holds */
    ((int64_t *)r.in[1].data)[3] = 1;
    r.out = make(LT_I64, 1, &n);
    forward_good(&r);
    assert_int_equal(((int64_t *)r.out.data)[3], (1ll << 53) + 1);
    assert_int_equal(((int64_t *)r.out.data)[1], -6);
    release(&r);

    r = (run){.call.op = LTH_OP_ADD}; /* u8 wraps */
    take(&r, 0, values(LT_U8, 1, &n, (double[]){250, 1, 2, 3}));
    take(&r, 1, values(LT_U8, 1, &n, (double[]){10, 1, 2, 3}));
    r.out = make(LT_U8, 1, &n);
    forward_good(&r);
    check(&r.out, (double[]){4, 2, 4, 6});
    release(&r);
}

static void not_a_number(void **state) {
    (void)state;
    int64_t n = 4, none[1] = {0};
    run r = {.call.op = LTH_OP_RELU};
    take(&r, 0, values(LT_F32, 1, &n, (double[]){NAN, -1, 0, 2}));
    r.out = make(LT_F32, 1, &n);
    forward_good(&r);
    check(&r.out, (double[]){NAN, 0, 0, 2});
    r.call.op = LTH_OP_ARGMAX; /* a NaN is the largest */
    put(&r.in[0], 0, 5), put(&r.in[0], 2, NAN);
    free(r.out.data);
    r.out = make(LT_I64, 0, none);
    r.attrs.i[0] = 1;
    forward_good(&r);
    check(&r.out, (double[]){2});
    release(&r);

    int64_t image[4] = {1, 1, 1, 4}, pooled[4] = {1, 1, 1, 1};
    r = (run){.call.op = LTH_OP_MAX_POOL2D, .call.save = true, .attrs.i = {1, 4, 1, 4}, .has_gout = true};
    take(&r, 0, values(LT_F32, 4, image, (double[]){9, NAN, 1, NAN}));
    r.out = make(LT_F32, 4, pooled);
    r.gout = values(LT_F32, 4, pooled, (double[]){1});
    r.gin[0] = make(LT_F32, 4, image);
    forward_good(&r);
    check(&r.out, (double[]){NAN});
    backward_good(&r, false);
    check(&r.gin[0], (double[]){0, 0, 0, 1});
    release(&r);
}

/* Dropout draws one number per element, keeps where it is below 1 - p, and scales; p of 0 and 1 draw nothing. */
static void dropout(void **state) {
    (void)state;
    int64_t n = 8;
    const double ps[] = {0.5, 0, 1}, wants[3][8] = {{2, 4, 0, 0, 10, 12, 0, 0}, {1, 2, 3, 4, 5, 6, 7, 8}, {0}};
    for (int k = 0; k < 3; k++) {
        run r = {.call.op = LTH_OP_DROPOUT, .attrs.f = {ps[k]}};
        take(&r, 0, values(LT_F32, 1, &n, (double[]){1, 2, 3, 4, 5, 6, 7, 8}));
        r.out = make(LT_F32, 1, &n);
        draws = 0;
        forward_good(&r);
        check(&r.out, wants[k]);
        assert_int_equal(draws, k == 0 ? 8 : 0);
        release(&r);
    }
}

static void label_errors(void **state) {
    (void)state;
    int64_t logits[2] = {3, 4}, n = 3, none[1] = {0};
    lth_error err = {0};
    run r = {.call.op = LTH_OP_CROSS_ENTROPY};
    take(&r, 0, make(LT_F32, 2, logits));
    take(&r, 1, values(LT_I64, 1, &n, (double[]){0, 3, 4}));
    r.out = make(LT_F32, 0, none);
    assert_int_equal(forward(&r, &err), LT_EINDEX);
    assert_string_equal(err.text, "cross_entropy: label 4 in row 2 is outside 0..3 (C = 4)");
    r.attrs.i[1] = 1, r.attrs.i[2] = 4;
    forward_good(&r);
    assert_true(fabs(get(&r.out, 0) - log(4)) < 1e-6);
    for (int64_t i = 0; i < 3; i++) { /* all ignored: 0 / 0 */
        put(&r.in[1], i, 4);
    }
    forward_good(&r);
    assert_true(isnan(get(&r.out, 0)));
    release(&r);
}

static void index_errors(void **state) {
    (void)state;
    int64_t weight[2] = {5, 2}, index[2] = {2, 2}, out[3] = {2, 2, 2};
    lth_error err = {0};
    run r = {.call.op = LTH_OP_EMBEDDING};
    take(&r, 0, values(LT_I64, 2, index, (double[]){0, 4, -1, 2}));
    take(&r, 1, make(LT_F32, 2, weight));
    r.out = make(LT_F32, 3, out);
    assert_int_equal(forward(&r, &err), LT_EINDEX);
    assert_string_equal(err.text, "embedding: index -1 at place 2 is outside 0..4 (5 rows)");
    release(&r);
}

/* No gradient arrives at an output that has others: counts as zeros, and accumulation leaves what stands there. */
static void absent_gradient(void **state) {
    (void)state;
    int64_t n = 3;
    for (int accumulate = 0; accumulate < 2; accumulate++) {
        run r = {.call.op = LTH_OP_MUL, .call.save = true};
        take(&r, 0, values(LT_F32, 1, &n, (double[]){1, 2, 3}));
        take(&r, 1, values(LT_F32, 1, &n, (double[]){1, 2, 3}));
        r.out = make(LT_F32, 1, &n);
        r.gin[0] = values(LT_F32, 1, &n, (double[]){7, 7, 7});
        r.gin[1] = values(LT_F32, 1, &n, (double[]){7, 7, 7});
        forward_good(&r);
        backward_good(&r, accumulate);
        check(&r.gin[0], accumulate ? (double[]){7, 7, 7} : (double[]){0, 0, 0});
        release(&r);
    }
}

/* bf16: 1 + 2^-8 is halfway between 1 and the next number; ties go to even. Sums are not rounded on the way. */
static void low_precision(void **state) {
    (void)state;
    int64_t n = 4, none[1] = {0};
    run r = {.call.op = LTH_OP_CAST};
    take(&r, 0, values(LT_F32, 1, &n, (double[]){1.00390625, 1.01171875, -2.5, NAN}));
    r.out = make(LT_BF16, 1, &n);
    forward_good(&r);
    assert_int_equal((int)get(&r.out, 0), 0x3f80);
    assert_int_equal((int)get(&r.out, 1), 0x3f82);
    assert_int_equal((int)get(&r.out, 2), 0xc020);
    assert_int_equal((int)get(&r.out, 3) & 0x7fc0, 0x7fc0);
    release(&r);

    r = (run){.call.op = LTH_OP_SUM}; /* 256 + 1 + 1 + 1 = 259 -> 260 in bf16; step by step it would stay 256 */
    take(&r, 0, values(LT_BF16, 1, &n, (double[]){0x4380, 0x3f80, 0x3f80, 0x3f80}));
    r.out = make(LT_BF16, 0, none);
    forward_good(&r);
    assert_int_equal((int)get(&r.out, 0), 0x4382);
    release(&r);

    r = (run){.call.op = LTH_OP_CAST}; /* f16: largest, overflow, smallest subnormal, half of it */
    take(&r, 0, values(LT_F32, 1, &n, (double[]){65519, 65520, 0x1p-24, 0x1p-25}));
    r.out = make(LT_F16, 1, &n);
    forward_good(&r);
    check(&r.out, (double[]){0x7bff, 0x7c00, 1, 0});
    release(&r);
}

/* To a blocked layout and back, with a number of images and channels that fills no block. */
static void layouts(void **state) {
    (void)state;
    static const lth_layout blocked[] = {LTH_N16C, LTH_C16};
    int64_t dims[4] = {19, 3, 4, 5};
    for (int k = 0; k < 2; k++) {
        run there = {.call.op = LTH_OP_COPY}, back = {.call.op = LTH_OP_COPY, .call.save = true, .has_gout = true};
        take(&there, 0, make(LT_F32, 4, dims));
        for (int64_t i = 0; i < lth_array_numel(&there.in[0]); i++) {
            put(&there.in[0], i, (double)i + 1);
        }
        describe(&there.out, LT_F32, 4, dims);
        there.out.layout = blocked[k];
        size_t bytes = backend->array_bytes(&there.out);
        assert_int_equal(bytes, (k ? 19 * 16 : 32 * 3) * 4 * 5 * 4);
        there.out.data = malloc(bytes);
        memset(there.out.data, 0xff, bytes);
        forward_good(&there);
        double sum = 0;
        for (size_t i = 0; i < bytes / sizeof(float); i++) {
            sum += ((float *)there.out.data)[i];
        }
        assert_true(sum == 1140.0 * 1141 / 2); /* padding is zero */
        if (k == 0) { /* image 17, channel 2, row 1, column 3 */
            assert_true(((float *)there.out.data)[((((1 * 3 + 2) * 4 + 1) * 5) + 3) * 16 + 1] == (float)(((17 * 3 + 2) * 4 + 1) * 5 + 3 + 1));
        }
        back.in[0] = there.out;
        back.call.in[0] = &back.in[0];
        back.call.n_in = 1;
        back.out = make(LT_F32, 4, dims);
        forward_good(&back);
        assert_memory_equal(back.out.data, there.in[0].data, 1140 * sizeof(float));

        back.gin[0] = there.out; /* and the gradient goes into the blocked array: twice the values */
        back.gout = there.in[0];
        backward_good(&back, true);
        assert_true(((float *)there.out.data)[0] == 2);
        free(back.out.data);
        free(there.out.data);
        free(there.in[0].data);
    }
}

static void contiguous_arrays(void **state) {
    (void)state;
    lth_array a;
    describe(&a, LT_F32, 3, (int64_t[]){2, 1, 3});
    assert_true(lth_array_contiguous(&a));
    a.strides[1] = 77; /* never stepped along */
    assert_true(lth_array_contiguous(&a));
    a.strides[0] = 4;
    assert_false(lth_array_contiguous(&a));
    a.shape[2] = 0;
    assert_true(lth_array_contiguous(&a));
    assert_int_equal(lth_array_numel(&a), 0);
    a.layout = LTH_C16;
    assert_false(lth_array_contiguous(&a));
}

/* ---- updates ---- */
static void update_errors(void **state) {
    (void)state;
    float x[4] = {1, 2, 3, 4}, g[4] = {0};
    lth_error err = {0};
    lt_span span = {.struct_size = sizeof span, .n = 4, .param = x, .grad = g, .step = 1};
    lt_adam_args adam = {.struct_size = sizeof adam, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .lr = 0.1};
    assert_int_equal(backend->adam(device, &span, &adam, &err), LT_EINVAL);
    assert_string_equal(err.text, "adam: needs 2 slots, got 0");
    double sum = 0;
    backend->sum_squares(device, x, 4, &sum, &err);
    assert_true(sum == 30);
    backend->scale(device, x, 4, 0.5f, &err);
    backend->clamp(device, x, 4, 1, 1.5f, &err);
    assert_true(x[0] == 1 && x[1] == 1 && x[2] == 1.5f && x[3] == 1.5f);
    backend->zero(device, x, sizeof x, &err);
    assert_true(x[0] == 0 && x[3] == 0);
}

static void run_update(const gold_file *g, const char *name, const float *grads, const float *start, bool adam) {
    float p[37], slots[3][37] = {{0}};
    const int64_t *flags = gold_find(g, "%s/attrs", name)->data;
    const double *numbers = gold_find(g, "%s/fattrs", name)->data;
    const float *want = gold_data(gold_find(g, "%s/param", name), GOLD_F32);
    lth_error err = {0};
    memcpy(p, start, sizeof p);
    for (int64_t step = 0; step < 100; step++) {
        float grad[37];
        memcpy(grad, grads + step * 37, sizeof grad);
        lt_span span = {.struct_size = sizeof span, .n_slots = 3, .n = 37, .param = p, .grad = grad, .slot = {slots[0], slots[1], slots[2]}, .step = step + 1};
        lt_sgd_args s = {sizeof s, flags[0] != 0, flags[1] != 0, {0}, numbers[0], numbers[1], numbers[2], numbers[3]};
        if (adam) {
            lt_adam_args a = {sizeof a, flags[0] != 0, flags[1] != 0, flags[2] != 0, 0, numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]};
            assert_int_equal(backend->adam(device, &span, &a, &err), LT_OK);
        } else {
            assert_int_equal(backend->sgd(device, &span, &s, &err), LT_OK);
        }
        for (int i = 0; i < 37; i++) {
            double w = want[step * 37 + i];
            if (!(fabs(p[i] - w) <= 2e-6 * fabs(w) + 1e-6)) {
                fail_msg("%s: element %d after step %lld is %.9g, torch has %.9g", name, i, (long long)step + 1, p[i], w);
            }
            assert_true(grad[i] == grads[step * 37 + i]); /* gradients are only read */
        }
    }
}

static void golden_updates(void **state) {
    (void)state;
    gold_file g;
    if (gold_open(&g, TEST_DATA_DIR "/golden/optim.bin")) {
        print_message("skipped: %s\n", g.error);
        skip();
    }
    const float *grads = gold_data(gold_find(&g, "grads"), GOLD_F32), *start = gold_data(gold_find(&g, "start"), GOLD_F32);
    const char *name;
    for (size_t at = 0; (name = gold_next_case(&g, "", &at));) {
        const gold_record *op = gold_find(&g, "%s/op", name);
        char kept[GOLD_MAX_NAME];
        snprintf(kept, sizeof kept, "%s", name);
        run_update(&g, kept, grads, start, op->numel == 4);
    }
    gold_close(&g);
}

static int open_backend(void **state) {
    (void)state;
    lth_error err = {0};
    return backend->open(&device, &(lth_device_opts){0}, &err);
}

static int close_backend(void **state) {
    (void)state;
    backend->close(device);
    return lth_alloc_live() != 0;
}

#define GOLDEN(group) {"golden " group, golden, NULL, NULL, (void *)(uintptr_t)group}
int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contiguous_arrays), cmocka_unit_test(whole_numbers), cmocka_unit_test(not_a_number), cmocka_unit_test(dropout),
        cmocka_unit_test(label_errors), cmocka_unit_test(index_errors), cmocka_unit_test(absent_gradient), cmocka_unit_test(low_precision),
        cmocka_unit_test(layouts), cmocka_unit_test(update_errors), cmocka_unit_test(gradients), cmocka_unit_test(golden_updates),
        GOLDEN("elementwise"), GOLDEN("shape"), GOLDEN("linear"), GOLDEN("conv"), GOLDEN("pool"), GOLDEN("norm"), GOLDEN("loss"),
        GOLDEN("transformer"),
    };
    return cmocka_run_group_tests(tests, open_backend, close_backend);
}
