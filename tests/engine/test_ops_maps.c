/* tests/engine/test_ops_maps.c - what convolutional networks do on the cpu backend against the reference backend: convolutions on small maps
 * and of patches, batch norm with a residual, pools and sums in every layout; odd sizes, strides, dilation, unused taps, accumulation. */
#include "test_cpu_check.h"

typedef struct shape { int64_t N, C, H, W, O, KH, KW, SH, SW, PH, PW, DH, DW; } shape;

static void conv(const shape *c, int act, int layout, int variant) {
    char name[160];
    const int64_t OH = (c->H + 2 * c->PH - c->DH * (c->KH - 1) - 1) / c->SH + 1, OW = (c->W + 2 * c->PW - c->DW * (c->KW - 1) - 1) / c->SW + 1;
    snprintf(name, sizeof name, "conv2d %lldx%lldx%lldx%lld -> %lldx%lldx%lld, %lldx%lld act %d layout %d variant %d", (long long)c->N, (long long)c->C,
             (long long)c->H, (long long)c->W, (long long)c->O, (long long)OH, (long long)OW, (long long)c->KH, (long long)c->KW, act, layout, variant);
    spec s = {.op = LTH_OP_CONV2D, .n_in = 3, .in = {{4, {c->N, c->C, c->H, c->W}, .layout = layout}, {4, {c->O, c->C, c->KH, c->KW}},
              {1, {c->O}, .absent = variant == 2}}, .out = {4, {c->N, c->O, OH, OW}}, .need = {variant != 1, variant != 4, variant != 5},
              .accumulate = variant == 3, .tolerance = 3e-5, .attrs = {.i = {c->SH, c->SW, c->PH, c->PW, c->DH, c->DW, 1, act}}};
    check(&s, name);
}
static void small_maps(void **state) {
    static const shape shapes[] = {
        {64, 64, 7, 7, 64, 3, 3, 1, 1, 1, 1, 1, 1},  {13, 32, 4, 4, 48, 3, 3, 2, 2, 1, 1, 1, 1}, {8, 64, 2, 2, 33, 3, 3, 1, 1, 1, 1, 1, 1},
        {9, 80, 1, 1, 40, 3, 3, 1, 1, 1, 1, 1, 1},   {7, 16, 5, 3, 16, 1, 1, 2, 2, 0, 0, 1, 1},  {25, 19, 6, 5, 50, 2, 5, 1, 2, 0, 3, 1, 1},
        {12, 70, 8, 7, 32, 3, 3, 1, 1, 2, 2, 2, 2},  {6, 100, 3, 3, 17, 3, 1, 3, 1, 0, 0, 1, 1}, {70, 24, 4, 6, 24, 4, 4, 2, 1, 3, 2, 1, 2},
    };
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        for (int variant = 0; variant < 6; variant++) {
            const int layout = (variant + (int)i) % 3 == 0 ? LTH_HWNC : (variant + (int)i) % 3 == 1 ? LTH_C16 : LTH_STRIDED;
            conv(&shapes[i], variant % 2 ? LT_ACT_RELU : LT_ACT_NONE, layout, variant);
        }
    }
}
static void patches(void **state) {
    static const shape shapes[] = {
        {64, 1, 28, 28, 64, 7, 7, 2, 2, 3, 3, 1, 1}, {9, 3, 13, 11, 32, 5, 3, 1, 2, 2, 0, 1, 1}, {7, 2, 6, 6, 40, 3, 3, 1, 1, 1, 1, 2, 2},
        {17, 7, 9, 4, 35, 1, 4, 3, 1, 1, 2, 1, 1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        for (int variant = 0; variant < (i ? 6 : 1); variant++) {
            conv(&shapes[i], variant % 2 ? LT_ACT_RELU : LT_ACT_NONE, LTH_STRIDED, variant);
        }
    }
}
static void grouped(void **state) { /* some way of the cpu backend's own takes them: none of these goes by the naive loops */
    static const struct { int64_t N, C, H, O, K, stride, padding, dilation, groups; } cases[] = {
        {5, 32, 9, 32, 3, 1, 1, 1, 32}, {4, 12, 8, 24, 3, 2, 1, 1, 4}, {3, 6, 7, 6, 3, 1, 2, 2, 6}, {64, 32, 6, 64, 3, 1, 1, 1, 2},
        {9, 8, 5, 16, 5, 1, 2, 1, 8},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const int64_t out = (cases[i].H + 2 * cases[i].padding - cases[i].dilation * (cases[i].K - 1) - 1) / cases[i].stride + 1;
        spec s = {.op = LTH_OP_CONV2D, .n_in = 3, .in = {{4, {cases[i].N, cases[i].C, cases[i].H, cases[i].H}},
                  {4, {cases[i].O, cases[i].C / cases[i].groups, cases[i].K, cases[i].K}}, {1, {cases[i].O}}}, .out = {4, {cases[i].N, cases[i].O, out, out}},
                  .need = {true, true, true}, .tolerance = 3e-5, .attrs = {.i = {cases[i].stride, cases[i].stride, cases[i].padding, cases[i].padding,
                  cases[i].dilation, cases[i].dilation, cases[i].groups, LT_ACT_RELU}}};
        char name[64];
        snprintf(name, sizeof name, "grouped convolution, case %zu", i);
        check(&s, name);
    }
}
static void norms(void **state) {
    static const int64_t shapes[][4] = {{64, 64, 2, 2}, {5, 37, 3, 5}, {33, 7, 4, 3}, {17, 16, 1, 1}, {3, 96, 7, 7}, {16, 1, 2, 3}, {2, 20, 14, 14}};
    (void)state;
    for (int i = 0; i < 7; i++) {
        for (int k = 0; k < 24; k++) { /* layout, activation, mode; a residual in two of three */
            const int64_t *n = shapes[i], C = n[1];
            const int layout = k % 4, act = k / 4 % 2 ? LT_ACT_RELU : LT_ACT_NONE;
            const bool with = k % 3 > 0, training = k < 16;
            spec s = {.op = LTH_OP_BATCH_NORM, .n_in = with ? 6 : 5, .in = {{4, {n[0], C, n[2], n[3]}, .layout = layout}, {1, {C}, .absent = k == 13},
                      {1, {C}, .absent = k == 13}, {1, {C}}, {1, {C}, .positive = true}, {4, {n[0], C, n[2], n[3]}, .layout = layout}},
                      .out = {4, {n[0], C, n[2], n[3]}}, .need = {k != 7, true, true, false, false, k != 10}, .accumulate = k % 5 == 1,
                      .attrs = {.i = {training, act}, .f = {1e-5, 0.1}}, .tolerance = 3e-5};
            char name[96];
            snprintf(name, sizeof name, "batch_norm %lldx%lldx%lldx%lld, case %d", (long long)n[0], (long long)C, (long long)n[2], (long long)n[3], k);
            check(&s, name);
        }
    }
}
static void pools(void **state) {
    static const int64_t shapes[][4] = {{64, 64, 14, 14}, {5, 37, 7, 9}, {33, 7, 5, 3}};
    (void)state;
    for (int i = 0; i < 3; i++) {
        for (int k = 0; k < 16; k++) { /* 3x3 stride 2 padding 1, or 2x3 stride as the kernel */
            const int64_t *n = shapes[i];
            const bool wide = k / 4 % 2;
            const int64_t H = wide ? n[2] / 2 : (n[2] + 2 - 3) / 2 + 1, W = wide ? n[3] / 3 : (n[3] + 2 - 3) / 2 + 1;
            spec s = {.op = k < 8 ? LTH_OP_MAX_POOL2D : LTH_OP_AVG_POOL2D, .n_in = 1, .in = {{4, {n[0], n[1], n[2], n[3]}, .layout = k % 4}},
                      .out = {4, {n[0], n[1], H, W}}, .need = {true}, .accumulate = i == 1,
                      .attrs = {.i = {wide ? 2 : 3, 3, 2, wide ? 3 : 2, !wide, !wide, 0, k % 3 == 0}}};
            check(&s, "pool");
        }
    }
}
static void in_layouts(void **state) {
    (void)state;
    for (int layout = 0; layout < 4; layout++) {
        for (int i = 0; i < 2; i++) {
            const int64_t n[4] = {i ? 19 : 3, i ? 21 : 32, i ? 5 : 1, i ? 3 : 1};
            spec add = {.op = LTH_OP_ADD, .n_in = 2, .in = {{4, {n[0], n[1], n[2], n[3]}, .layout = layout}, {4, {n[0], n[1], n[2], n[3]}, .layout = layout}},
                        .out = {4, {n[0], n[1], n[2], n[3]}}, .need = {true, true}, .accumulate = i};
            check(&add, "add in a layout");
            spec relu = {.op = LTH_OP_RELU, .n_in = 1, .in = {{4, {n[0], n[1], n[2], n[3]}, .layout = layout}}, .out = {4, {n[0], n[1], n[2], n[3]}},
                         .need = {true}, .accumulate = i};
            check(&relu, "relu in a layout");
            spec copy = relu;
            copy.op = LTH_OP_COPY;
            check(&copy, "copy from a layout");
        }
    }
}

/* The cases above test nothing if another way is chosen. */
static void ways(void **state) {
    static const struct { int64_t x[4], w[4], stride, padding, out[4]; int layout, chosen; } cases[] = {
        {{64, 64, 7, 7}, {64, 64, 3, 3}, 1, 1, {64, 64, 7, 7}, LTH_HWNC, LTH_HWNC},
        {{64, 64, 7, 7}, {64, 64, 3, 3}, 1, 1, {64, 64, 7, 7}, LTH_C16, LTH_HWNC},
        {{64, 1, 28, 28}, {64, 1, 7, 7}, 2, 3, {64, 64, 14, 14}, LTH_STRIDED, LTH_HWNC},
        {{64, 1, 28, 28}, {6, 1, 5, 5}, 1, 2, {64, 6, 28, 28}, LTH_STRIDED, LTH_N16C},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int set = 0; set < TEST_N_SETS; set++) {
            lth_array x = plain(4, cases[i].x, LT_F32, NULL), w = plain(4, cases[i].w, LT_F32, NULL), out = plain(4, cases[i].out, LT_F32, NULL);
            const lth_attrs attrs = {.i = {cases[i].stride, cases[i].stride, cases[i].padding, cases[i].padding, 1, 1, 1}};
            lth_call call = {.op = LTH_OP_CONV2D, .n_in = 2, .n_out = 1, .save = true, .attrs = &attrs, .in = {&x, &w}, .out = {&out}};
            x.layout = (uint8_t)cases[i].layout;
            assert_true(!cpu[set][0] || lth_backend_cpu.kernels[LTH_OP_CONV2D]->plan(cpu[set][0], &call));
            assert_true(!cpu[set][0] || out.layout == cases[i].chosen);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(small_maps), cmocka_unit_test(patches), cmocka_unit_test(grouped), cmocka_unit_test(norms),
                                       cmocka_unit_test(pools),
                                       cmocka_unit_test(in_layouts), cmocka_unit_test(ways)};
    return cmocka_run_group_tests_name("engine.ops_maps", tests, open_all, close_all);
}
