/* tests/engine/test_reference.c - the oracle's kernels, called directly: by hand-checked values where the rules are fine print, and
 * their gradients against finite differences in f64. Against PyTorch: test_reference_golden.c. */
#include "test_reference.h"

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
    assert_string_equal(err.text, "cross_entropy: target has label 4 in row 2, outside 0..3 (C = 4)");
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
    assert_string_equal(err.text, "embedding: index -1 at position 2 is outside 0..4");
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
    static const lth_layout blocked[] = {LTH_N16C, LTH_C16, LTH_HWNC};
    int64_t dims[4] = {19, 3, 4, 5};
    for (int k = 0; k < 3; k++) {
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
    lt_span span = {.struct_size = sizeof span, .dtype = LT_F32, .n = 4, .param = x, .grad = g, .step = 1};
    lt_adam_args adam = {.struct_size = sizeof adam, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .lr = 0.1};
    assert_int_equal(backend->adam(device, &span, &adam, &err), LT_EINVAL);
    assert_string_equal(err.text, "adam: needs 2 slots, got 0");
    double sum = 0;
    backend->sum_squares(device, LT_F32, x, 4, &sum, &err);
    assert_true(sum == 30);
    backend->scale(device, LT_F32, x, 4, 0.5f, &err);
    backend->clamp(device, LT_F32, x, 4, 1, 1.5f, &err);
    assert_true(x[0] == 1 && x[1] == 1 && x[2] == 1.5f && x[3] == 1.5f);
    backend->zero(device, x, sizeof x, &err);
    assert_true(x[0] == 0 && x[3] == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contiguous_arrays), cmocka_unit_test(whole_numbers), cmocka_unit_test(not_a_number), cmocka_unit_test(dropout),
        cmocka_unit_test(label_errors), cmocka_unit_test(index_errors), cmocka_unit_test(absent_gradient), cmocka_unit_test(low_precision),
        cmocka_unit_test(layouts), cmocka_unit_test(update_errors), cmocka_unit_test(gradients),
    };
    return cmocka_run_group_tests(tests, open_backend, close_backend);
}
