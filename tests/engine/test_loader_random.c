/* tests/engine/test_loader_random.c - what a sample draws: the same for any number of workers and any batch size, others in the next epoch
 * and in the next sample, the same again after a resume. */
#include "test_loader_fixture.h"

const struct lt_data_api *lt__data = &lth_data_table; /* for the inline functions of lt/data.h */

static lt_status put_draws(lt_ctx *ctx, const int64_t *indices, int64_t count, lt_batch_out *out) {
    (void)indices;
    double *x = lth_data_table.batch_tensor(ctx, out, NULL, LT_F64, 1, &count);
    for (int64_t i = 0; x && i < count; i++) {
        lt_sample_rng rng = lt_sample_random(ctx, out, i);
        lt_draw_bits(&rng);
        x[i] = lt_draw_uniform(&rng, 0, 1);
    }
    return ctx->error.code;
}
static const samples draws = {.fail_at = -1, .put = put_draws, .wait_us = 50};

enum { SAMPLES = 100 };
static void run_epoch(fixture *f, lt_loader *l, int64_t skip, double out[SAMPLES]) {
    const lt_batch *batch;
    int64_t at = skip * lth_loader_batch_size(l);
    begin(f, l, skip, -1);
    while ((batch = lth_loader_next(l, &f->ctx)) != NULL) {
        memcpy(out + at, batch->items[0].tensor->a.data, (size_t)batch->size * sizeof *out);
        at += batch->size;
    }
    assert_int_equal(f->ctx.error.code, LT_OK);
    assert_int_equal(at, SAMPLES);
}

static void test_draws_depend_on_seed_and_place_only(void **state) {
    fixture *f = *state;
    static double first[2][SAMPLES], other[SAMPLES];
    static const int64_t sizes[] = {7, 1, 32, 7}, workers[] = {0, 1, 4, 2};
    lt_dataset *dataset = make_dataset(f, &draws, SAMPLES);
    for (int i = 0; i < 4; i++) {
        lt_loader *l = make_loader(f, dataset, sizes[i], workers[i], i == 3);
        lth_generator_seed(&f->engine->generator, 7);
        run_epoch(f, l, 0, i ? other : first[0]);
        if (i && i < 3) { /* shuffling draws from the run's generator, too */
            assert_memory_equal(other, first[0], sizeof other);
        }
        run_epoch(f, l, 0, i ? other : first[1]);
        if (i && i < 3) {
            assert_memory_equal(other, first[1], sizeof other);
        }
    }
    double sum = 0;
    for (int e = 0; e < 2; e++) {
        for (int a = 0; a < SAMPLES; a++) {
            assert_true(first[e][a] >= 0 && first[e][a] < 1);
            sum += first[e][a];
            for (int b = 0; b < 2 * SAMPLES; b++) {
                assert_true(b == e * SAMPLES + a || first[b / SAMPLES][b % SAMPLES] != first[e][a]);
            }
        }
    }
    assert_true(sum > 80 && sum < 120); /* 100 +- 4.9 standard deviations of 200 uniform draws */
}

static void test_draws_after_a_resume(void **state) {
    fixture *f = *state;
    static double whole[SAMPLES], rest[SAMPLES];
    lt_dataset *dataset = make_dataset(f, &draws, SAMPLES);
    lt_loader *l = make_loader(f, dataset, 10, 0, true);
    lth_generator_seed(&f->engine->generator, 3);
    run_epoch(f, l, 0, whole);
    lth_generator_seed(&f->engine->generator, 3);
    begin(f, l, 0, -1);
    for (int i = 0; i < 4; i++) {
        assert_non_null(lth_loader_next(l, &f->ctx));
    }
    lth_snapshot *saved = lth_snapshot_new();
    assert_int_equal(lth_loader_save(l, saved, "data", &f->ctx.error), LT_OK);
    lt_loader *again = make_loader(f, dataset, 10, 2, true);
    assert_int_equal(lth_loader_load(again, saved, "data", &f->ctx.error), LT_OK);
    begin(f, again, 0, -1);
    for (int i = 4; i < 10; i++) {
        const lt_batch *batch = lth_loader_next(again, &f->ctx);
        assert_non_null(batch);
        memcpy(rest + 10 * i, batch->items[0].tensor->a.data, 10 * sizeof *rest);
    }
    assert_memory_equal(rest + 40, whole + 40, 60 * sizeof *rest);
    lth_snapshot_free(saved);
}

static lt_status put_beyond(lt_ctx *ctx, const int64_t *indices, int64_t count, lt_batch_out *out) {
    put_pair(ctx, indices, count, out);
    lt_sample_random(ctx, out, count);
    return ctx->error.code;
}

static void test_a_sample_that_is_not_there(void **state) {
    fixture *f = *state;
    static const samples beyond = {.fail_at = -1, .put = put_beyond};
    lt_loader *l = make_loader(f, make_dataset(f, &beyond, 10), 5, 0, false);
    begin(f, l, 0, -1);
    assert_null(lth_loader_next(l, &f->ctx));
    assert_int_equal(f->ctx.error.code, LT_EINDEX);
    assert_non_null(strstr(f->ctx.error.text, "there is no sample 5: the batch has 5"));
}

static void test_draws_below(void **state) {
    (void)state;
    lt_sample_rng rng = {1};
    int64_t counts[7] = {0};
    for (int i = 0; i < 70000; i++) {
        int64_t n = lt_draw_below(&rng, 7);
        assert_true(n >= 0 && n < 7);
        counts[n]++;
    }
    for (int i = 0; i < 7; i++) {
        assert_in_range(counts[i], 9500, 10500);
    }
    rng.state = 0x123;
    uint64_t first = lt_draw_bits(&rng);
    rng.state = 0x123;
    assert_true(lt_draw_bits(&rng) == first && lt_draw_bits(&rng) != first);
    rng.state = 0; /* SplitMix64's published first output for seed 0 */
    assert_true(lt_draw_bits(&rng) == 0xe220a8397b1dcdafu);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_STAGE(test_draws_depend_on_seed_and_place_only),
        WITH_STAGE(test_draws_after_a_resume),
        WITH_STAGE(test_a_sample_that_is_not_there),
        cmocka_unit_test(test_draws_below),
    };
    return cmocka_run_group_tests_name("loader_random", tests, NULL, NULL);
}
