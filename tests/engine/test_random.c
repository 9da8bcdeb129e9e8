/* tests/engine/test_random.c - the generator against PyTorch's, bit for bit (tests/golden/rng.bin, written by torch). */
#include "engine/random/generator.h"
#include "../golden/golden.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const uint64_t seeds[] = {0, 42, 2147483653u, 1099511627783u};
static gold_file gold;

#define EACH_SEED(s) for (size_t s = 0; s < sizeof seeds / sizeof seeds[0]; s++)

static const void *record(uint64_t seed, const char *what, int32_t dtype, int64_t n) {
    const gold_record *r = gold_find(&gold, "seed%llu/%s", (unsigned long long)seed, what);
    assert_non_null(r);
    assert_int_equal(r->numel, n);
    assert_non_null(gold_data(r, dtype));
    return r->data;
}

static void same_floats(const char *what, const float *got, const float *want, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        if (memcmp(&got[i], &want[i], sizeof *got) != 0) {
            fail_msg("%s: element %lld of %lld is %.9g, torch has %.9g", what, (long long)i, (long long)n, got[i], want[i]);
        }
    }
}

static lth_generator seeded(uint64_t seed) {
    lth_generator g;
    lth_generator_seed(&g, seed);
    return g;
}

static void uniforms(void **state) {
    (void)state;
    EACH_SEED(s) {
        float f[64];
        double d[64];
        lth_generator g = seeded(seeds[s]);
        lth_uniform_f32(&g, f, 64, 0, 1);
        same_floats("rand_f32", f, record(seeds[s], "rand_f32", GOLD_F32, 64), 64);
        g = seeded(seeds[s]);
        lth_uniform_f32(&g, f, 64, -0.3, 0.7);
        same_floats("uniform_f32", f, record(seeds[s], "uniform_f32", GOLD_F32, 64), 64);
        g = seeded(seeds[s]);
        lth_uniform_f64(&g, d, 64, 0, 1);
        assert_memory_equal(d, record(seeds[s], "rand_f64", GOLD_F64, 64), sizeof d);
    }
}

static void integers(void **state) {
    (void)state;
    EACH_SEED(s) {
        int64_t x[32];
        lth_generator g = seeded(seeds[s]);
        for (int i = 0; i < 32; i++) {
            x[i] = lth_random_int63(&g);
        }
        assert_memory_equal(x, record(seeds[s], "random_i64", GOLD_I64, 32), sizeof x);
    }
}

static void normals(void **state) {
    (void)state;
    float x[1000];
    char name[32];
    EACH_SEED(s) {
        for (int64_t n = 1; n <= 41; n++) {
            int64_t size = n == 41 ? 1000 : n;
            snprintf(name, sizeof name, "randn_%lld", (long long)size);
            lth_generator g = seeded(seeds[s]);
            lth_normal_f32(&g, x, size, 0, 1);
            same_floats(name, x, record(seeds[s], name, GOLD_F32, size), size);
        }
        for (int64_t n = 10; n <= 40; n += 30) {
            snprintf(name, sizeof name, "normal_%lld", (long long)n);
            lth_generator g = seeded(seeds[s]);
            lth_normal_f32(&g, x, n, 1.5, 0.25);
            same_floats(name, x, record(seeds[s], name, GOLD_F32, n), n);
        }
    }
}

static void permutations(void **state) {
    (void)state;
    static const int64_t sizes[] = {1, 2, 10, 1000};
    static int64_t p[55000];
    char name[32];
    EACH_SEED(s) {
        for (int k = 0; k < 4; k++) {
            snprintf(name, sizeof name, "randperm_%lld", (long long)sizes[k]);
            lth_generator g = seeded(seeds[s]);
            lth_randperm(&g, p, sizes[k]);
            assert_memory_equal(p, record(seeds[s], name, GOLD_I64, sizes[k]), (size_t)sizes[k] * sizeof *p);
        }
        lth_generator g = seeded(seeds[s]);
        lth_randperm(&g, p, 55000);
        assert_int_equal(gold_fnv1a(p, sizeof p), *(const int64_t *)record(seeds[s], "randperm_55000.fnv", GOLD_I64, 1));
    }
}

/* Draws of different kinds from one generator: the kept half of a Box-Muller pair outlives the uniforms between. */
static void mixed(void **state) {
    (void)state;
    EACH_SEED(s) {
        float x[32];
        int64_t p[5];
        lth_generator g = seeded(seeds[s]);
        lth_normal_f32(&g, x, 3, 0, 1);
        lth_uniform_f32(&g, x + 3, 2, 0, 1);
        lth_normal_f32(&g, x + 5, 1, 0, 1);
        lth_randperm(&g, p, 5);
        for (int i = 0; i < 5; i++) {
            x[6 + i] = (float)p[i];
        }
        lth_normal_f32(&g, x + 11, 17, 0, 1);
        lth_normal_f32(&g, x + 28, 2, 0, 1);
        lth_uniform_f32(&g, x + 30, 1, 0, 1);
        lth_normal_f32(&g, x + 31, 1, 0, 1);
        same_floats("mixed", x, record(seeds[s], "mixed", GOLD_F32, 32), 32);
    }
}

static void bernoulli_bits(void **state) {
    (void)state;
    static const double ps[] = {0.5, 0.9};
    EACH_SEED(s) {
        for (int k = 0; k < 2; k++) {
            char name[32];
            snprintf(name, sizeof name, "bernoulli53_%.1f", ps[k]);
            const uint8_t *want = record(seeds[s], name, GOLD_BOOL, 100);
            lth_generator g = seeded(seeds[s]);
            for (int i = 0; i < 100; i++) {
                double x = (double)(lth_random64(&g) & ((1ull << 53) - 1)) * 0x1p-53;
                assert_int_equal(x < ps[k], want[i]);
            }
        }
    }
}

/* Many at once are the same draws as one by one, from any place of the state on. */
static void many(void **state) {
    (void)state;
    static uint64_t got[2000];
    for (int first = 0; first < 5; first++) {
        lth_generator one = seeded(42), all = seeded(42);
        for (int i = 0; i < first; i++) {
            assert_int_equal(lth_random32(&one), lth_random32(&all));
        }
        for (int n = 1; n < 2000; n = 2 * n + first) {
            lth_random64_many(&all, got, n);
            for (int i = 0; i < n; i++) {
                assert_true(got[i] == lth_random64(&one));
            }
        }
        assert_memory_equal(&one, &all, sizeof one);
    }
}

/* A copy of the struct is a saved state. */
static void copies(void **state) {
    (void)state;
    float a[20], b[20];
    lth_generator g = seeded(7);
    lth_normal_f32(&g, a, 3, 0, 1);
    lth_generator saved = g;
    lth_normal_f32(&g, a, 20, 0, 1);
    lth_normal_f32(&saved, b, 20, 0, 1);
    assert_memory_equal(a, b, sizeof a);
    lth_normal_f32(&g, a, 3, 0, 1);
    lth_normal_f32(&saved, b, 3, 0, 1);
    assert_memory_equal(a, b, 3 * sizeof *a);
}

int main(void) {
    if (gold_open(&gold, TEST_DATA_DIR "/golden/rng.bin")) {
        fprintf(stderr, "%s\n", gold.error);
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(uniforms), cmocka_unit_test(integers), cmocka_unit_test(normals), cmocka_unit_test(permutations),
        cmocka_unit_test(mixed), cmocka_unit_test(bernoulli_bits), cmocka_unit_test(many), cmocka_unit_test(copies),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    gold_close(&gold);
    return failed;
}
