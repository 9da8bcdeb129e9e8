/* tests/engine/test_cpu.c - every kernel of the cpu backend against the reference backend: odd sizes, tails, blocked layouts, accumulation;
 * for each instruction set this machine has; and the same bits for 1, 2, 3 and 4 threads. */
#include "test_cpu_check.h"

/* ---- the cases ---- */
static void test_open(void **state) {
    (void)state;
    lth_device *d = NULL;
    lth_error err = {0};
    assert_int_equal(lth_backend_cpu.open(&d, &(lth_device_opts){.threads = 1, .isa = "sse9"}, &err), LT_EINVAL);
    assert_non_null(strstr(err.text, "avx512_bf16, avx512, avx2, baseline"));
    assert_null(d);
    for (int set = 0; set < TEST_N_SETS; set++) {
        if (cpu[set][1]) {
            assert_non_null(strstr(lth_backend_cpu.describe(cpu[set][1]), "2 threads, oneDNN "));
        }
    }
}
static void test_memory(void **state) {
    (void)state;
    lth_device *d = cpu[TEST_BASELINE][0];
    const size_t sizes[] = {1, 4096, 5 << 20, 9 << 20};
    for (int i = 0; i < 4; i++) {
        unsigned char *p = lth_backend_cpu.alloc(d, sizes[i]);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 64, 0);
        assert_int_equal(p[0] | p[sizes[i] - 1], 0);
        memset(p, 1, sizes[i]);
        lth_backend_cpu.free(d, p, sizes[i]);
        unsigned char *again = lth_backend_cpu.alloc(d, sizes[i]);
        assert_int_equal(again[0] | again[sizes[i] - 1], 0);
        lth_backend_cpu.free(d, again, sizes[i]);
    }
}
static void test_unary(void **state) {
    (void)state;
    const lth_op ops[] = {LTH_OP_NEG, LTH_OP_EXP, LTH_OP_LOG, LTH_OP_SQRT, LTH_OP_ABS, LTH_OP_RELU, LTH_OP_TANH, LTH_OP_SIGMOID, LTH_OP_GELU,
                          LTH_OP_ADD_SCALAR, LTH_OP_MUL_SCALAR, LTH_OP_DROPOUT};
    const int64_t sizes[] = {1, 5, 16, 33, 16384, 50001};
    for (size_t o = 0; o < sizeof ops / sizeof *ops; o++) {
        for (int i = 0; i < 12; i++) {
            const bool positive = ops[o] == LTH_OP_LOG || ops[o] == LTH_OP_SQRT;
            spec s = {.op = ops[o], .n_in = 1, .in = {{1, {sizes[i / 2]}, .positive = positive}}, .out = {1, {sizes[i / 2]}}, .need = {true},
                      .accumulate = i % 2, .attrs = {.i = {i % 2}, .f = {0.3}}, .tolerance = 2e-6};
            check(&s, "unary");
        }
    }
    for (int layout = 1; layout <= LTH_HWNC; layout++) {
        spec s = {.op = LTH_OP_RELU, .n_in = 1, .in = {{4, {17, 5, 3, 7}, .layout = layout}}, .out = {4, {17, 5, 3, 7}}, .need = {true}};
        check(&s, "relu, blocked");
    }
}
static void test_dropout(void **state) { /* the bits and the draws of the oracle, which are PyTorch's; at p 1 nothing is drawn */
    (void)state;
    const double ps[] = {0, .1, .15, .2, .3, .45, .5, .6, .7, .9, .99, 1};
    for (size_t k = 0; k < sizeof ps / sizeof *ps; k++) {
        float x[100], y[2][100];
        _Alignas(64) char work[2][512];
        uint64_t states[2] = {7, 7};
        for (int i = 0; i < 100; i++) {
            x[i] = uniform();
        }
        for (int b = 0; b < 2; b++) {
            const lth_backend *backend = b ? &lth_backend_cpu : &lth_backend_reference;
            lth_device *d = b ? cpu[TEST_BASELINE][1] : reference;
            lth_array in = plain(1, (int64_t[]){100}, LT_F32, x), out = plain(1, (int64_t[]){100}, LT_F32, y[b]);
            const lth_attrs attrs = {.f = {ps[k]}};
            lth_call call = {.op = LTH_OP_DROPOUT, .n_in = 1, .n_out = 1, .in = {&in}, .out = {&out}, .attrs = &attrs, .random = draw,
                             .random_state = &states[b], .save = true};
            assert_true(backend->kernels[call.op]->plan(d, &call) && call.workspace_bytes <= sizeof work[b]);
            call.workspace = work[b];
            assert_int_equal(backend->kernels[call.op]->forward(d, &call, NULL), LT_OK);
        }
        assert_memory_equal(y[0], y[1], sizeof y[0]);
        assert_true(states[0] == states[1] && (states[0] == 7) == (ps[k] == 0 || ps[k] == 1));
    }
}
static void test_wide_range(void **state) { /* where approximations break: large, small, infinite, NaN */
    (void)state;
    const float x[] = {0, -0.f, 1e-30f, 1e-6f, .3f, .624f, .626f, .92f, .93f, 2, 4.1f, 9, 20, 87, 88.7f, 89, 200, INFINITY, NAN,
                       -.3f, -.93f, -2, -5.5f, -9, -20, -87, -88, -104, -INFINITY};
    enum { N = sizeof x / sizeof *x };
    const lth_op ops[] = {LTH_OP_EXP, LTH_OP_TANH, LTH_OP_SIGMOID, LTH_OP_RELU, LTH_OP_GELU};
    for (int set = 0; set < TEST_N_SETS; set++) {
        for (int o = 0; o < 5 && cpu[set][0]; o++) {
            float y[N], v[N];
            memcpy(v, x, sizeof x);
            lth_array in = plain(1, (int64_t[]){N}, LT_F32, v), out = plain(1, (int64_t[]){N}, LT_F32, y);
            const lth_attrs attrs = {0};
            lth_call call = {.op = ops[o], .n_in = 1, .n_out = 1, .in = {&in}, .out = {&out}, .attrs = &attrs};
            assert_int_equal(lth_backend_cpu.kernels[ops[o]]->forward(cpu[set][0], &call, NULL), LT_OK);
            for (int i = 0; i < N; i++) {
                const double e = (double)x[i], want = o == 0 ? exp(e) : o == 1 ? tanh(e) : o == 2 ? 1 / (1 + exp(-e)) : o == 3 ? (e < 0 ? 0 : e)
                    : .5 * e * (1 + erf(e / sqrt(2)));
                const double off = fabs((double)y[i] - want), allowed = 1e-37 + 4e-7 * fabs(want) + (o == 4 ? 1e-7 : 0);
                if ((o == 4 && isinf(e)) || (isnan(want) && isnan(y[i])) || (double)y[i] == (double)(float)want || off <= allowed) {
                    continue;
                }
                fail_msg("%s op %d of %g: %.9g, want %.9g", names[set], o, e, (double)y[i], want);
            }
        }
    }
}
static void test_binary(void **state) {
    (void)state;
    const lth_op ops[] = {LTH_OP_ADD, LTH_OP_SUB, LTH_OP_MUL, LTH_OP_DIV};
    for (int o = 0; o < 4; o++) {
        for (int i = 0; i < 8; i++) {
            spec s = {.op = ops[o], .n_in = 2, .in = {{3, {7, 5, 33}, .positive = true}, {3, {7, 5, 33}, .positive = true}}, .out = {3, {7, 5, 33}},
                      .need = {true, true}, .accumulate = i % 2, .tolerance = 3e-5};
            if (i / 2 == 1) {
                s.in[1].ndim = 1, s.in[1].shape[0] = 1;
            } else if (i / 2 == 2) {
                s.in[1].ndim = 2, s.in[1].shape[0] = 5, s.in[1].shape[1] = 33;
            } else if (i / 2 == 3) {
                s.in[0].ndim = 0, s.in[0].shape[0] = 0;
            }
            check(&s, "binary");
        }
        spec large = {.op = ops[o], .n_in = 2, .in = {{1, {40000}, .positive = true}, {1, {40000}, .positive = true}}, .out = {1, {40000}},
                      .need = {true, true}};
        check(&large, "binary, large");
    }
}
static void test_linear(void **state) {
    (void)state;
    const int64_t shapes[][3] = {{64, 784, 128}, {64, 128, 10}, {1, 3, 5}, {17, 33, 65}, {200, 70, 300}, {5, 1, 1}, {64, 400, 120}};
    for (int i = 0; i < 7; i++) {
        for (int act = 0; act <= LT_ACT_GELU_TANH; act++) {
            const int64_t N = shapes[i][0], I = shapes[i][1], O = shapes[i][2];
            spec s = {.op = LTH_OP_LINEAR, .n_in = 3, .in = {{2, {N, I}}, {2, {O, I}}, {1, {O}, .absent = act == 1 && i % 2}}, .out = {2, {N, O}},
                      .need = {i % 3 != 1, true, true}, .accumulate = (act + i) % 2, .attrs = {.i = {act}}, .tolerance = 1e-4};
            check(&s, "linear");
        }
    }
}
static void test_matmul(void **state) {
    (void)state;
    const int64_t shapes[][3] = {{3, 4, 5}, {65, 33, 17}, {1, 7, 1}, {130, 140, 150}};
    for (int i = 0; i < 4; i++) {
        const int64_t N = shapes[i][0], K = shapes[i][1], M = shapes[i][2];
        for (int k = 0; k < 4; k++) {
            spec s = {.op = LTH_OP_MATMUL, .n_in = 2, .in = {{2, {N, K}, .turned = k == 1}, {2, {K, M}, .turned = k == 2}}, .out = {2, {N, M}},
                      .need = {true, true}, .accumulate = k == 3};
            check(&s, "matmul");
        }
        spec batched = {.op = LTH_OP_MATMUL, .n_in = 2, .in = {{3, {6, N, K}}, {3, {6, K, M}}}, .out = {3, {6, N, M}}, .need = {true, true}};
        check(&batched, "matmul, batched");
        spec folded = {.op = LTH_OP_MATMUL, .n_in = 2, .in = {{3, {6, N, K}}, {2, {K, M}}}, .out = {3, {6, N, M}}, .need = {true, true}};
        check(&folded, "matmul, 2d second");
    }
}
static void conv_case(int64_t N, int64_t C, int64_t H, int64_t W, int64_t O, int64_t K, int64_t KW, int64_t stride, int64_t pad, int64_t dilation,
                      int64_t groups, int act, int64_t pool, int layout, int variant) {
    char name[128];
    const int64_t OH = (H + 2 * pad - dilation * (K - 1) - 1) / stride + 1, OW = (W + 2 * pad - dilation * (KW - 1) - 1) / stride + 1;
    const int64_t PH = pool ? OH / pool : OH, PW = pool ? OW / pool : OW;
    snprintf(name, sizeof name, "conv2d %lldx%lldx%lldx%lld -> %lld, %lldx%lld s%lld p%lld d%lld g%lld act %d pool %lld layout %d", (long long)N, (long long)C,
             (long long)H, (long long)W, (long long)O, (long long)K, (long long)KW, (long long)stride, (long long)pad, (long long)dilation,
             (long long)groups, act, (long long)pool, layout);
    spec s = {.op = LTH_OP_CONV2D, .n_in = 3, .in = {{4, {N, C, H, W}, .layout = layout}, {4, {O, C / groups, K, KW}}, {1, {O}, .absent = variant == 2}},
              .out = {4, {N, O, PH, PW}}, .need = {variant != 1, true, true}, .accumulate = variant == 3, .tolerance = 2e-5,
              .attrs = {.i = {stride, stride, pad, pad, dilation, dilation, groups, act, pool, pool, pool, pool}}};
    check(&s, name);
}
static void test_conv_own(void **state) {
    (void)state;
    conv_case(64, 1, 28, 28, 6, 5, 5, 1, 2, 1, 1, LT_ACT_RELU, 2, 0, 1);
    conv_case(64, 6, 14, 14, 16, 5, 5, 1, 0, 1, 1, LT_ACT_RELU, 2, LTH_N16C, 0);
    for (int variant = 0; variant < 4; variant++) {
        conv_case(17, 3, 9, 11, 5, 3, 3, 1, 1, 1, 1, LT_ACT_TANH, 0, 0, variant);
        conv_case(33, 2, 8, 8, 7, 4, 2, 2, 1, 1, 1, LT_ACT_NONE, 3, variant % 2 ? LTH_N16C : 0, variant);
        conv_case(16, 8, 7, 5, 1, 1, 1, 1, 0, 1, 1, LT_ACT_SIGMOID, 2, LTH_N16C, variant);
        conv_case(20, 5, 20, 13, 9, 7, 7, 2, 3, 1, 1, LT_ACT_RELU, 0, 0, variant);
        conv_case(9, 4, 6, 19, 23, 3, 5, 1, 2, 1, 1, LT_ACT_RELU, 0, LTH_N16C, variant);
    }
}
static void test_conv_onednn(void **state) {
    (void)state;
    conv_case(5, 1, 28, 28, 32, 3, 3, 1, 0, 1, 1, LT_ACT_RELU, 0, 0, 1);
    for (int variant = 0; variant < 4; variant++) {
        conv_case(6, 32, 10, 9, 64, 3, 3, 1, 1, 1, 1, LT_ACT_RELU, 0, variant % 2 ? LTH_C16 : 0, variant);
        conv_case(7, 16, 12, 12, 32, 3, 3, 1, 0, 1, 1, LT_ACT_RELU, 2, LTH_C16, variant);
        conv_case(3, 3, 11, 11, 40, 3, 3, 2, 1, 1, 1, LT_ACT_TANH, 0, 0, variant);
        conv_case(4, 20, 8, 8, 12, 3, 3, 1, 1, 2, 1, LT_ACT_NONE, 2, 0, variant);
        conv_case(2, 16, 6, 6, 32, 1, 1, 2, 0, 1, 1, LT_ACT_NONE, 0, LTH_C16, variant);
        conv_case(2, 32, 6, 6, 32, 3, 3, 1, 1, 1, 2, LT_ACT_NONE, 0, 0, variant);
    }
}
static void test_pool(void **state) {
    (void)state;
    for (int op = 0; op < 2; op++) {
        for (int layout = 0; layout < 3; layout++) {
            for (int i = 0; i < 4; i++) {
                const int64_t k = i < 2 ? 2 : 3, stride = i == 3 ? 1 : 2, pad = i == 2 ? 1 : 0, H = 9, W = 12;
                spec s = {.op = op ? LTH_OP_AVG_POOL2D : LTH_OP_MAX_POOL2D, .n_in = 1, .in = {{4, {18, 5, H, W}, .layout = layout}},
                          .out = {4, {18, 5, (H + 2 * pad - k) / stride + 1, (W + 2 * pad - k) / stride + 1}}, .need = {true}, .accumulate = i == 1,
                          .attrs = {.i = {k, k, stride, stride, pad, pad, 0, i % 2}}};
                check(&s, "pool2d");
            }
        }
    }
}
static void test_losses(void **state) {
    (void)state;
    const int64_t shapes[][2] = {{64, 10}, {1, 1}, {7, 3}, {130, 65}, {33, 1000}, {5, 16}};
    for (int i = 0; i < 6; i++) {
        const int64_t N = shapes[i][0], C = shapes[i][1];
        for (int reduction = 0; reduction < 3; reduction++) {
            for (int ignore = 0; ignore < 2; ignore++) {
                spec s = {.op = LTH_OP_CROSS_ENTROPY, .n_in = 2, .in = {{2, {N, C}}, {1, {N}, LT_I64, .classes = C}}, .out = {reduction == LT_NONE, {N}},
                          .need = {true}, .accumulate = ignore, .attrs = {.i = {reduction, ignore && C > 1, 1}, .f = {reduction == 1 ? 0.1 : 0}}};
                check(&s, "cross_entropy");
            }
            spec m = {.op = LTH_OP_MSE_LOSS, .n_in = 2, .in = {{2, {N * 40, C}}, {2, {N * 40, C}}}, .out = {reduction == LT_NONE ? 2 : 0, {N * 40, C}},
                      .need = {true, i % 2 == 0}, .accumulate = i % 2, .attrs = {.i = {reduction}}};
            check(&m, "mse_loss");
        }
        spec a = {.op = LTH_OP_ACCURACY, .n_in = 2, .in = {{2, {N, C}}, {1, {N}, LT_I64, .classes = C}}, .no_gradient = true};
        check(&a, "accuracy");
        spec g = {.op = LTH_OP_ARGMAX, .n_in = 1, .in = {{2, {N, C}}}, .out = {1, {N}, LT_I64}, .attrs = {.i = {1, 1}}, .no_gradient = true};
        check(&g, "argmax");
        for (int log = 0; log < 2; log++) {
            spec f = {.op = log ? LTH_OP_LOG_SOFTMAX : LTH_OP_SOFTMAX, .n_in = 1, .in = {{2, {N, C}}}, .out = {2, {N, C}}, .attrs = {.i = {1}}, .need = {true},
                      .accumulate = i % 2};
            check(&f, "softmax");
        }
    }
}
static void test_labels(void **state) {
    (void)state;
    float x[12] = {0}, loss, work[64];
    int64_t target[4] = {0, 2, 3, 1};
    lth_array in = plain(2, (int64_t[]){4, 3}, LT_F32, x), t = plain(1, (int64_t[]){4}, LT_I64, target), out = plain(0, NULL, LT_F32, &loss);
    const lth_attrs attrs = {0};
    lth_error err = {0};
    lth_call call = {.op = LTH_OP_CROSS_ENTROPY, .n_in = 2, .n_out = 1, .in = {&in, &t}, .out = {&out}, .attrs = &attrs, .workspace = work,
                     .workspace_bytes = sizeof work};
    assert_int_equal(lth_backend_cpu.kernels[LTH_OP_CROSS_ENTROPY]->forward(cpu[TEST_BASELINE][0], &call, &err), LT_EINDEX);
    assert_non_null(strstr(err.text, "target has label 3 in row 2, outside 0..2 (C = 3)"));
}
static void test_reduce(void **state) {
    (void)state;
    for (int op = 0; op < 2; op++) {
        for (int i = 0; i < 4; i++) {
            spec s = {.op = op ? LTH_OP_MEAN : LTH_OP_SUM, .n_in = 1, .in = {{3, {31, 40, 50}}}, .need = {true}, .accumulate = i % 2};
            if (i == 1) {
                s.attrs.i[0] = 2, s.attrs.i[1] = 1, s.attrs.i[2] = 2, s.out.ndim = 1, s.out.shape[0] = 31;
            } else if (i == 2) {
                s.attrs.i[0] = 1, s.attrs.i[1] = 0, s.out.ndim = 2, s.out.shape[0] = 40, s.out.shape[1] = 50;
            } else if (i == 3) {
                s.attrs.i[0] = 1, s.attrs.i[1] = 2, s.out.ndim = 2, s.out.shape[0] = 31, s.out.shape[1] = 40;
            }
            check(&s, "reduce");
        }
    }
}
static void test_copy(void **state) {
    (void)state;
    for (int layout = 0; layout <= LTH_HWNC; layout++) {
        for (int i = 0; i < 4; i++) {
            spec s = {.op = LTH_OP_COPY, .n_in = 1, .in = {{4, {19, 18, 3, 7}, .layout = layout, .turned = layout == 0 && i > 1}},
                      .out = {4, {19, 18, 3, 7}}, .need = {true},
                      .accumulate = i % 2};
            check(&s, "copy");
        }
    }
}
static void test_copy_of_others(void **state) { /* all dtypes, at any stride; gradients of floats */
    (void)state;
    const lth_kernel *k = lth_backend_cpu.kernels[LTH_OP_COPY];
    const lth_attrs none = {0};
    double x[6] = {1, -2, 3, 4e300, 5, -6}, y[6] = {0};
    for (lt_dtype dtype = LT_F64; dtype <= LT_BOOL; dtype++) {
        lth_array in = plain(2, (int64_t[]){2, 3}, dtype, x), out = plain(2, (int64_t[]){2, 3}, dtype, y);
        lth_call call = {.op = LTH_OP_COPY, .n_in = 1, .n_out = 1, .in = {&in}, .out = {&out}, .attrs = &none};
        assert_true(k->plan(cpu[TEST_BASELINE][0], &call));
        call.save = true;
        assert_true(k->plan(cpu[TEST_BASELINE][0], &call) == (dtype <= LT_BF16));
        in.strides[0] = 1, in.strides[1] = 2, call.save = false;
        assert_true(k->plan(cpu[TEST_BASELINE][0], &call));
    }
    lth_array in = plain(1, (int64_t[]){6}, LT_F64, x), out = plain(1, (int64_t[]){6}, LT_F64, y);
    const lth_call call = {.op = LTH_OP_COPY, .n_in = 1, .n_out = 1, .in = {&in}, .out = {&out}, .attrs = &none};
    assert_int_equal(k->forward(cpu[TEST_BASELINE][0], &call, NULL), LT_OK);
    assert_memory_equal(x, y, sizeof x);
}
static void test_norms(void **state) {
    (void)state;
    for (int i = 0; i < 12; i++) {
        spec s = {.op = LTH_OP_BATCH_NORM, .n_in = 5, .in = {{4, {9, 5, 6, 7}}, {1, {5}}, {1, {5}}, {1, {5}}, {1, {5}, .positive = true}},
                  .out = {4, {9, 5, 6, 7}},
                  .need = {true, true, true}, .accumulate = i % 2, .attrs = {.i = {i % 3 != 0, i / 6}, .f = {1e-5, 0.1}}, .tolerance = 3e-5};
        if (i % 4 == 3) {
            s.in[0].ndim = 2, s.out.ndim = 2;
        }
        check(&s, "batch_norm");
        spec l = {.op = LTH_OP_LAYER_NORM, .n_in = 3, .in = {{3, {13, 7, 1 + 12 * i}}, {1, {1 + 12 * i}}, {1, {1 + 12 * i}, .absent = i == 2}},
                  .out = {3, {13, 7, 1 + 12 * i}},
                  .need = {true, true, true}, .accumulate = i % 2, .attrs = {.f = {1e-5}}, .tolerance = 3e-5};
        check(&l, "layer_norm");
    }
    spec e = {.op = LTH_OP_EMBEDDING, .n_in = 2, .in = {{2, {8, 9}, LT_I64, .classes = 11}, {2, {11, 5}}}, .out = {3, {8, 9, 5}}, .need = {false, true}};
    check(&e, "embedding");
    spec f = {.op = LTH_OP_FULL, .out = {2, {3, 37}}, .attrs = {.i = {LT_F32, 2, 3, 37}, .f = {1.5}}, .no_gradient = true};
    check(&f, "full");
}

static void test_empty(void **state) { /* taken or left to the fallback, never touched out of bounds */
    (void)state;
    spec add = {.op = LTH_OP_ADD, .n_in = 2, .in = {{2, {0, 5}}, {2, {0, 5}}}, .out = {2, {0, 5}}, .need = {true, true}, .may_decline = true};
    check(&add, "add, empty");
    spec relu = {.op = LTH_OP_RELU, .n_in = 1, .in = {{1, {0}}}, .out = {1, {0}}, .need = {true}, .may_decline = true};
    check(&relu, "relu, empty");
    spec linear = {.op = LTH_OP_LINEAR, .n_in = 3, .in = {{2, {0, 5}}, {2, {3, 5}}, {1, {3}}}, .out = {2, {0, 3}}, .need = {true, true, true},
                   .may_decline = true};
    check(&linear, "linear, empty");
    spec copy = {.op = LTH_OP_COPY, .n_in = 1, .in = {{2, {3, 0}}}, .out = {2, {3, 0}}, .need = {true}, .may_decline = true};
    check(&copy, "copy, empty");
}

/* ---- flat passes ---- */
enum { FLAT = 40003 };
typedef struct flat { float p[FLAT], g[FLAT], s[3][FLAT]; double squares; } flat;
static void flat_pass(const lth_backend *b, lth_device *d, flat *f, int variant) {
    for (int step = 1; step <= 3; step++) {
        lt_span span = {.struct_size = sizeof span, .dtype = LT_F32, .n_slots = 3, .n = FLAT, .param = f->p, .grad = f->g, .slot = {f->s[0], f->s[1], f->s[2]},
                        .step = step};
        const lt_sgd_args sgd = {.struct_size = sizeof sgd, .nesterov = variant == 2, .maximize = variant == 1, .lr = .1, .momentum = variant ? .9 : 0,
                                 .dampening = variant == 1 ? .1 : 0, .weight_decay = variant == 2 ? .01 : 0};
        const lt_adam_args adam = {.struct_size = sizeof adam, .decoupled = variant == 4, .amsgrad = variant == 5, .maximize = variant == 6, .lr = 1e-2,
                                   .beta1 = variant == 6 ? .3 : .9, .beta2 = .999, .eps = 1e-8, .weight_decay = variant > 3 ? .01 : 0};
        assert_int_equal(variant < 3 ? b->sgd(d, &span, &sgd, NULL) : b->adam(d, &span, &adam, NULL), LT_OK);
    }
    assert_int_equal(b->sum_squares(d, LT_F32, f->g, FLAT, &f->squares, NULL), LT_OK);
    assert_int_equal(b->scale(d, LT_F32, f->g, FLAT, 1.5f, NULL), LT_OK);
    assert_int_equal(b->clamp(d, LT_F32, f->g, FLAT, -.5f, .75f, NULL), LT_OK);
    assert_int_equal(b->zero(d, f->s[2], 4001, NULL), LT_OK);
}
static void test_flat(void **state) {
    (void)state;
    flat *start = take(sizeof *start), *want = take(sizeof *want), *got = take(sizeof *got), *first = take(sizeof *first);
    for (int i = 0; i < FLAT; i++) {
        start->p[i] = uniform(), start->g[i] = i % 13 ? uniform() : 0;
    }
    for (int variant = 0; variant < 7; variant++) {
        memcpy(want, start, sizeof *want);
        flat_pass(&lth_backend_reference, reference, want, variant);
        for (int set = 0; set < TEST_N_SETS; set++) {
            for (int t = 0; t < 4 && cpu[set][t]; t++) {
                snprintf(where, sizeof where, "flat %d, %s, %d threads", variant, names[set], t + 1);
                memcpy(got, start, sizeof *got);
                flat_pass(&lth_backend_cpu, cpu[set][t], got, variant);
                compare(got->p, want->p, FLAT, 1e-6, "parameter");
                compare(got->g, want->g, FLAT, 1e-7, "scaled and clamped");
                compare(got->s[0], want->s[0], 3 * FLAT, 1e-6, "state");
                assert_true(fabs(got->squares / want->squares - 1) < 1e-12);
                if (t == 0) {
                    memcpy(first, got, sizeof *first);
                }
                assert_memory_equal(got, first, sizeof *got);
            }
        }
    }
    lth_free(start), lth_free(want), lth_free(got), lth_free(first);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open),   cmocka_unit_test(test_memory),   cmocka_unit_test(test_unary),    cmocka_unit_test(test_wide_range),
        cmocka_unit_test(test_binary), cmocka_unit_test(test_linear),   cmocka_unit_test(test_matmul),   cmocka_unit_test(test_conv_own),
        cmocka_unit_test(test_pool),   cmocka_unit_test(test_losses),   cmocka_unit_test(test_labels),   cmocka_unit_test(test_conv_onednn),
        cmocka_unit_test(test_reduce), cmocka_unit_test(test_copy),     cmocka_unit_test(test_norms),    cmocka_unit_test(test_flat),
        cmocka_unit_test(test_empty),  cmocka_unit_test(test_copy_of_others), cmocka_unit_test(test_dropout),
    };
    return cmocka_run_group_tests_name("engine.cpu", tests, open_all, close_all);
}
