/* tests/engine/test_loader_gather.c - gather_u8_f32 gives the bits of x.float().div(255).sub(mean).div(std), whatever mean and std. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/ctx.h"
#include "engine/data/loader.h"
#include "engine/random/generator.h"

enum { ROW = 783, ROWS = 40 }; /* not a multiple of any vector */

static void expect(float *out, const uint8_t *src, const int64_t *indices, int64_t count, double mean, double std) {
    const volatile float m = (float)mean, s = (float)std;
    for (int64_t i = 0; i < count; i++) {
        for (int64_t k = 0; k < ROW; k++) {
            float x = (float)src[indices[i] * ROW + k] / 255.0f;
            out[i * ROW + k] = mean == 0 && std == 1 ? x : (x - m) / s;
        }
    }
}

static void check(lt_ctx *ctx, const uint8_t *src, double mean, double std) {
    static float got[ROWS * ROW + 1], expected[ROWS * ROW];
    static const int64_t indices[] = {39, 0, 7, 7, 13, 1, 38};
    enum { COUNT = sizeof indices / sizeof *indices };
    got[COUNT * ROW] = 77;
    lth_data_table.gather_u8_f32(ctx, got, src, indices, COUNT, ROW, mean, std);
    expect(expected, src, indices, COUNT, mean, std);
    assert_int_equal(ctx->error.code, LT_OK);
    if (memcmp(got, expected, COUNT * ROW * sizeof *got)) {
        fail_msg("mean %.17g std %.17g: other bits", mean, std);
    }
    assert_true(got[COUNT * ROW] == 77);
}

static void fill(uint8_t *src) {
    for (int64_t i = 0; i < ROWS * ROW; i++) {
        src[i] = (uint8_t)i;
    }
}

static void test_known_normalizations(void **state) {
    (void)state;
    static uint8_t src[ROWS * ROW];
    lt_ctx ctx;
    lth_ctx_init(&ctx, LTH_LOADER_THREAD);
    fill(src);
    static const double pairs[][2] = {{0, 1},         {0.1307, 0.3081},  {0.2860, 0.3530}, {0.5, 0.5},  {0.485, 0.229},
                                      {0.456, 0.224}, {0.406, 0.225},    {0, 2},           {-3, 1e-30}, {0.1307, -0.3081},
                                      {1.0 / 255, 1}, {0, 0x1.fffffep0}, {1e30, 1e-30},    {0, 1e-44}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        check(&ctx, src, pairs[i][0], pairs[i][1]);
    }
}

static void test_random_normalizations(void **state) {
    (void)state;
    static uint8_t src[ROWS * ROW];
    lt_ctx ctx;
    lth_ctx_init(&ctx, LTH_LOADER_THREAD);
    fill(src);
    lth_generator g;
    lth_generator_seed(&g, 1);
    for (int i = 0; i < 2000; i++) {
        double mean = (double)lth_random32(&g) * 0x1p-32, std = (double)(lth_random32(&g) + 1.0) * 0x1p-32 * (i % 3 ? 1 : 100);
        check(&ctx, src, mean, std);
    }
}

static void test_refusals(void **state) {
    (void)state;
    lt_ctx ctx;
    lth_ctx_init(&ctx, LTH_LOADER_THREAD);
    float x;
    uint8_t y = 0;
    int64_t index = 0;
    lth_data_table.gather_u8_f32(&ctx, &x, &y, &index, 1, 1, 0, 0);
    assert_int_equal(ctx.error.code, LT_EINVAL);
    lth_error_clear(&ctx.error);
    lth_data_table.gather_u8_f32(&ctx, NULL, &y, &index, 1, 1, 0, 1);
    assert_int_equal(ctx.error.code, LT_EINVAL);
    lth_error_clear(&ctx.error);
    lth_data_table.gather_u8_f32(&ctx, NULL, NULL, NULL, 0, 784, 0, 1);
    assert_int_equal(ctx.error.code, LT_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_normalizations),
        cmocka_unit_test(test_random_normalizations),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests_name("loader_gather", tests, NULL, NULL);
}
