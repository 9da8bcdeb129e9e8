/* tests/engine/test_loader.c - datasets and loaders: PyTorch's order, the same batches for any number of workers, resume, failures,
 * memory. Needs no data files. What a batch may hold, downloads, the gather kernel: the other test_loader_*.c. */
#include "test_loader_fixture.h"

#include "../golden/golden.h"

/* Checks a batch against its indices, and mixes both into a digest of the whole sequence. */
static uint64_t digest(uint64_t sum, const lt_batch *batch) {
    assert_int_equal(batch->count, 2);
    const float *x = batch->items[0].tensor->a.data;
    const int64_t *y = batch->items[1].tensor->a.data;
    assert_int_equal(batch->items[0].tensor->a.shape[0], batch->size);
    assert_int_equal((uintptr_t)x % 64, 0);
    for (int64_t i = 0; i < batch->size; i++) {
        assert_true(y[i] == batch->indices[i] * 7 + 1 && x[3 * i + 2] == (float)(batch->indices[i] * 3 + 2));
        sum = (sum ^ (uint64_t)y[i]) * 0x100000001B3u;
    }
    return sum;
}

/* Runs the epoch that was begun to its end. */
static uint64_t drain(fixture *f, lt_loader *l, int64_t *batches) {
    uint64_t sum = 1;
    const lt_batch *batch;
    for (*batches = 0; (batch = lth_loader_next(l, &f->ctx)); ++*batches) {
        sum = digest(sum, batch);
        lth_step_end(f->engine);
    }
    assert_int_equal(f->ctx.error.code, LT_OK);
    return sum;
}

/* ---- order ---- */

static void open_golden(gold_file *g, const char *name) {
    lth_buf path = {0};
    lth_buf_printf(&path, "%s/golden/%s", TEST_DATA_DIR, name);
    if (gold_open(g, path.data)) {
        fail_msg("%s", g->error);
    }
    lth_buf_release(&path);
}

static int64_t expected_i64(const gold_file *g, const char *name) {
    const int64_t *value = gold_data(gold_find(g, "%s", name), GOLD_I64);
    assert_non_null(value);
    return *value;
}

/* Reads all indices of an unshuffled pass over the dataset. */
static void indices_of(fixture *f, lt_dataset *dataset, int64_t *out, int64_t length) {
    lt_loader *l = make_loader(f, dataset, length, 0, false);
    begin(f, l, 0, -1);
    const lt_batch *batch = lth_loader_next(l, &f->ctx);
    assert_non_null(batch);
    assert_int_equal(batch->size, length);
    memcpy(out, batch->indices, (size_t)length * sizeof *out);
    lth_loader_end(l);
}

static void check_split(fixture *f, const gold_file *g, const char *part, lt_dataset *dataset, int64_t length) {
    int64_t *indices = calloc((size_t)length, sizeof *indices);
    indices_of(f, dataset, indices, length);
    const int64_t *first = gold_data(gold_find(g, "split/%s.first", part), GOLD_I64);
    assert_non_null(first);
    assert_memory_equal(indices, first, 64 * sizeof *first);
    char name[40];
    snprintf(name, sizeof name, "split/%s.fnv", part);
    assert_true(gold_fnv1a(indices, (size_t)length * sizeof *indices) == expected_i64(g, name));
    free(indices);
}

static void check_batches(fixture *f, const gold_file *g, lt_loader *l) {
    static int64_t all[100][64];
    for (int i = 0; i < 100; i++) {
        const lt_batch *batch = lth_loader_next(l, &f->ctx);
        assert_non_null(batch);
        assert_int_equal(batch->index, i);
        memcpy(all[i], batch->indices, sizeof all[i]);
        const int64_t *expected = gold_data(gold_find(g, "batch%d/index", i), GOLD_I64);
        if (expected) {
            assert_memory_equal(expected, all[i], sizeof all[i]);
        }
    }
    assert_true(gold_fnv1a(all, sizeof all) == expected_i64(g, "all_index.fnv"));
}

/* The run of gold_train.py: split of MNIST's 60000, LinearClassifier's weights drawn, then a shuffled loader. */
static void test_order_is_pytorchs(void **state) {
    fixture *f = *state;
    gold_file g;
    open_golden(&g, "train_linear.bin");
    lt_dataset *parts[2], *all = make_dataset(f, &plain, 60000);
    assert_int_equal(lth_data_table.random_split(&f->ctx, all, (int64_t[]){55000, 5000}, 2, 42, parts), LT_OK);
    check_split(f, &g, "train", parts[0], 55000);
    check_split(f, &g, "val", parts[1], 5000);

    lth_generator_seed(&f->engine->generator, 42);
    float *weights = calloc(784 * 128, sizeof *weights);
    const int64_t drawn[] = {784 * 128, 128, 128 * 10, 10};
    for (int i = 0; i < 4; i++) {
        lth_uniform_f32(&f->engine->generator, weights, drawn[i], -1, 1);
    }
    free(weights);
    lth_generator before = f->engine->generator;
    for (int workers = 0; workers <= 2; workers += 2) {
        f->engine->generator = before;
        lt_loader *l = make_loader(f, parts[0], 64, workers, true);
        assert_int_equal(lth_loader_length(l), 860);
        begin(f, l, 0, -1);
        check_batches(f, &g, l);
        lth_loader_end(l);
    }
    gold_close(&g);
}

static void test_unshuffled_draws_base_seed_only(void **state) {
    fixture *f = *state;
    lth_generator expected = f->engine->generator;
    lth_random_int63(&expected);
    lt_loader *l = make_loader(f, make_dataset(f, &plain, 10), 4, 0, false);
    begin(f, l, 0, -1);
    for (int64_t b = 0; b < 3; b++) {
        const lt_batch *batch = lth_loader_next(l, &f->ctx);
        assert_int_equal(batch->size, b == 2 ? 2 : 4);
        for (int64_t i = 0; i < batch->size; i++) {
            assert_int_equal(batch->indices[i], 4 * b + i);
        }
    }
    assert_null(lth_loader_next(l, &f->ctx));
    assert_memory_equal(&expected, &f->engine->generator, sizeof expected);
}

static void test_subset_of_split_maps_to_the_whole(void **state) {
    fixture *f = *state;
    lt_dataset *parts[2], *all = make_dataset(f, &plain, 100), *upper = lth_data_table.subset(&f->ctx, all, 50, 100);
    int64_t split[30], part[10];
    assert_int_equal(lth_data_table.random_split(&f->ctx, upper, (int64_t[]){30, 20}, 2, 7, parts), LT_OK);
    indices_of(f, parts[0], split, 30);
    for (int i = 0; i < 30; i++) {
        assert_in_range(split[i], 50, 99);
    }
    lt_dataset *middle = lth_data_table.subset(&f->ctx, parts[0], 10, 20);
    indices_of(f, middle, part, 10);
    assert_memory_equal(part, split + 10, sizeof part);
    indices_of(f, upper, split, 30);
    assert_int_equal(split[0], 50);
}

static void test_drop_last_limit_skip(void **state) {
    fixture *f = *state;
    lt_dataset *dataset = make_dataset(f, &plain, 103);
    lt_loader_opts opts = {.struct_size = sizeof opts, .batch_size = 10, .drop_last = 1, .num_workers = 2};
    lt_loader *dropping = lth_data_table.loader(&f->ctx, dataset, &opts), *l = make_loader(f, dataset, 10, 2, false);
    int64_t batches;
    assert_int_equal(lth_loader_length(dropping), 10);
    assert_int_equal(lth_loader_length(l), 11);
    begin(f, dropping, 0, -1);
    drain(f, dropping, &batches);
    assert_int_equal(batches, 10);
    begin(f, l, 4, 7);
    const lt_batch *batch = lth_loader_next(l, &f->ctx);
    assert_int_equal(batch->index, 4);
    assert_int_equal(batch->indices[0], 40);
    drain(f, l, &batches);
    assert_int_equal(batches, 2);
    begin(f, l, 0, 0);
    assert_null(lth_loader_next(l, &f->ctx));
    lt_loader *none = make_loader(f, make_dataset(f, &plain, 0), 10, 1, true);
    begin(f, none, 0, -1);
    assert_null(lth_loader_next(none, &f->ctx));
    assert_int_equal(f->ctx.error.code, LT_OK);
}

/* ---- workers ---- */

static void test_same_batches_for_any_workers(void **state) {
    fixture *f = *state;
    static const samples slow = {.fail_at = -1, .wait_us = 300};
    static const int workers[] = {0, 1, 2, 4, 7};
    uint64_t expected[2] = {0};
    lth_generator before = f->engine->generator, after = before;
    for (size_t w = 0; w < sizeof workers / sizeof *workers; w++) {
        for (int kind = 0; kind < 2; kind++) { /* quick batches and ones that end out of order */
            f->engine->generator = before;
            lt_loader *l = make_loader(f, make_dataset(f, kind ? &slow : &plain, 1000), 16, workers[w], true);
            for (int epoch = 0; epoch < 2; epoch++) {
                int64_t batches;
                begin(f, l, 0, -1);
                uint64_t sum = drain(f, l, &batches);
                assert_int_equal(batches, 63);
                if (!w && !kind) {
                    expected[epoch] = sum;
                }
                assert_true(sum == expected[epoch]);
            }
            if (!w && !kind) {
                after = f->engine->generator;
            }
            assert_memory_equal(&after, &f->engine->generator, sizeof after);
        }
    }
    assert_true(expected[0] != expected[1]);
}

static void test_early_end(void **state) {
    fixture *f = *state;
    static const samples slow = {.fail_at = -1, .wait_us = 200};
    lt_loader *l = make_loader(f, make_dataset(f, &slow, 4000), 8, 3, true);
    for (int epoch = 0; epoch < 60; epoch++) {
        begin(f, l, 0, -1);
        uint64_t sum = 1;
        for (int i = 0; i < epoch % 7; i++) {
            sum = digest(sum, lth_loader_next(l, &f->ctx));
        }
        if (epoch % 3) {
            lth_loader_end(l);
        } /* else: begin ends the epoch itself */
        if (epoch % 3 == 1) {
            assert_null(lth_loader_next(l, &f->ctx));
        }
    }
}

static void test_worker_failure_comes_in_order(void **state) {
    fixture *f = *state;
    static const samples broken = {.fail_at = 47, .wait_us = 100};
    for (int workers = 0; workers <= 4; workers += 2) {
        lt_loader *l = make_loader(f, make_dataset(f, &broken, 100), 8, workers, false);
        begin(f, l, 0, -1);
        for (int i = 0; i < 5; i++) {
            digest(1, lth_loader_next(l, &f->ctx));
        }
        assert_null(lth_loader_next(l, &f->ctx));
        assert_int_equal(f->ctx.error.code, LT_EFORMAT);
        assert_string_equal(f->ctx.error.text, "dataset 'numbers', batch 5 (8 samples, first index 40): sample 47 is broken");
        assert_string_equal(f->ctx.where.hook, "get_batch");
        assert_null(lth_loader_next(l, &f->ctx));
        lth_error_clear(&f->ctx.error);
        lth_loader_end(l);
    }
}

/* ---- resume ---- */

static void test_resume_in_mid_epoch(void **state) {
    fixture *f = *state;
    lt_dataset *dataset = make_dataset(f, &plain, 500);
    for (int workers = 0; workers <= 2; workers++) {
        lt_loader *l = make_loader(f, dataset, 8, workers, true);
        int64_t batches, again;
        begin(f, l, 0, -1);
        drain(f, l, &batches);
        begin(f, l, 0, -1);
        for (int i = 0; i < 20; i++) {
            lth_loader_next(l, &f->ctx);
        }
        lth_snapshot *saved = lth_snapshot_new();
        assert_int_equal(lth_loader_save(l, saved, "data/train", &f->ctx.error), LT_OK);
        lth_generator generator = f->engine->generator;
        uint64_t rest = drain(f, l, &batches);
        begin(f, l, 0, -1);
        uint64_t following = drain(f, l, &again);

        lth_generator_seed(&f->engine->generator, 999);
        lt_loader *resumed = make_loader(f, dataset, 8, 2 - workers, true);
        assert_int_equal(lth_loader_load(resumed, saved, "data/train", &f->ctx.error), LT_OK);
        f->engine->generator = generator;
        begin(f, resumed, 0, -1);
        assert_memory_equal(&generator, &f->engine->generator, sizeof generator); /* the epoch's draws were made before the save */
        assert_true(drain(f, resumed, &again) == rest);
        assert_int_equal(again, batches);
        begin(f, resumed, 0, -1);
        assert_true(drain(f, resumed, &again) == following);
        lth_snapshot_free(saved);
    }
}

static void test_resume_between_epochs_and_at_the_end(void **state) {
    fixture *f = *state;
    lt_dataset *dataset = make_dataset(f, &plain, 64);
    lt_loader *l = make_loader(f, dataset, 8, 1, true), *resumed = make_loader(f, dataset, 8, 1, true);
    lth_snapshot *end = lth_snapshot_new(), *between = lth_snapshot_new();
    int64_t batches;
    begin(f, l, 0, -1);
    for (int i = 0; i < 8; i++) {
        lth_loader_next(l, &f->ctx);
    }
    assert_int_equal(lth_loader_save(l, end, "x", &f->ctx.error), LT_OK); /* in on_train_batch_end of the last batch */
    assert_null(lth_loader_next(l, &f->ctx));
    assert_int_equal(lth_loader_save(l, between, "x", &f->ctx.error), LT_OK);
    lth_generator generator = f->engine->generator;
    begin(f, l, 0, -1);
    uint64_t next = drain(f, l, &batches);

    f->engine->generator = generator;
    assert_int_equal(lth_loader_load(resumed, end, "x", &f->ctx.error), LT_OK);
    begin(f, resumed, 0, -1);
    assert_null(lth_loader_next(resumed, &f->ctx));
    begin(f, resumed, 0, -1);
    assert_true(drain(f, resumed, &batches) == next);

    f->engine->generator = generator;
    assert_int_equal(lth_loader_load(resumed, between, "x", &f->ctx.error), LT_OK);
    begin(f, resumed, 0, -1);
    assert_true(drain(f, resumed, &batches) == next);
    lth_snapshot_free(end);
    lth_snapshot_free(between);
}

/* Takes n batches (all: -1), and appends their samples to out. */
static int64_t take(fixture *f, lt_loader *l, int64_t n, int64_t *out, int64_t at) {
    const lt_batch *batch;
    for (; n-- && (batch = lth_loader_next(l, &f->ctx));) {
        digest(1, batch);
        memcpy(out + at, batch->indices, (size_t)batch->size * sizeof *out);
        at += batch->size;
        lth_step_end(f->engine);
    }
    assert_int_equal(f->ctx.error.code, LT_OK);
    return at;
}

static lt_loader *resume(fixture *f, const lt_loader *from, lt_dataset *dataset, int64_t batch_size, int64_t skip, int64_t limit) {
    lth_snapshot *saved = lth_snapshot_new();
    assert_int_equal(lth_loader_save(from, saved, "x", &f->ctx.error), LT_OK);
    lt_loader *l = make_loader(f, dataset, batch_size, skip % 3, true);
    assert_int_equal(lth_loader_load(l, saved, "x", &f->ctx.error), LT_OK);
    begin(f, l, skip, limit);
    lth_snapshot_free(saved);
    return l;
}

/* Whatever the batch sizes before and after, each sample comes once and in its place; limit_train_batches or not; twice in one epoch; with the
 * loop's count of batches (skip) or the loader's own. */
static void test_resume_with_another_batch_size(void **state) {
    fixture *f = *state;
    enum { N = 103 };
    lt_dataset *dataset = make_dataset(f, &plain, N);
    int64_t order[N], got[2 * N], at;
    lt_loader *whole = make_loader(f, dataset, 8, 0, true);
    const lth_generator generator = f->engine->generator;
    begin(f, whole, 0, -1);
    assert_int_equal(take(f, whole, -1, order, 0), N);
    const int64_t sizes[] = {1, 4, 8, 9, 30, 200};
    for (int a = 0; a < 36; a++) {
        const int64_t first = sizes[a / 6], second = sizes[a % 6], done = first < 30 ? 3 : 1;
        for (int skips = 0; skips < 2; skips++) {
            f->engine->generator = generator;
            lt_loader *l = make_loader(f, dataset, first, 1, true);
            begin(f, l, 0, -1);
            at = take(f, l, done, got, 0);
            l = resume(f, l, dataset, second, skips ? done : 0, -1);
            if (at < N) { /* asked at its end, an epoch is over */
                at = take(f, l, 1, got, at);
                l = resume(f, l, dataset, first, skips ? done + 1 : 0, -1);
            }
            at = take(f, l, -1, got, at);
            assert_int_equal(at, N);
            assert_memory_equal(got, order, sizeof order);
            begin(f, l, 0, -1); /* the next epoch is a whole one again */
            assert_int_equal(take(f, l, -1, got, 0), N);
        }
    }
    f->engine->generator = generator;
    lt_loader *l = make_loader(f, dataset, 4, 0, true);
    begin(f, l, 0, 10);
    take(f, l, 6, got, 0);
    lt_loader *limited = resume(f, l, dataset, 8, 6, 10); /* limit_train_batches: 10 */
    assert_int_equal(take(f, limited, -1, got, 24), 24 + 4 * 8);
    assert_memory_equal(got, order, (24 + 4 * 8) * sizeof *got);
}

static void test_resume_refuses_where_samples_run_out(void **state) {
    fixture *f = *state;
    lt_dataset *dataset = make_dataset(f, &plain, 64);
    lt_loader *l = make_loader(f, dataset, 4, 0, true), *big = make_loader(f, dataset, 32, 0, true);
    lth_snapshot *saved = lth_snapshot_new();
    begin(f, l, 0, 2);
    lth_loader_next(l, &f->ctx);
    assert_int_equal(lth_loader_save(l, saved, "x", &f->ctx.error), LT_OK);
    assert_int_equal(lth_loader_load(big, saved, "x", &f->ctx.error), LT_OK);
    assert_int_equal(lth_loader_begin(big, 1, 2, &f->ctx.error), LT_OK);
    lth_loader_end(big);
    lt_loader *many = make_loader(f, dataset, 8, 0, true);
    begin(f, l, 0, 8);
    for (int i = 0; i < 2; i++) {
        lth_loader_next(l, &f->ctx);
    }
    lth_snapshot_free(saved);
    saved = lth_snapshot_new();
    lt_loader *small = make_loader(f, dataset, 16, 0, true);
    begin(f, small, 0, 4);
    lth_loader_next(small, &f->ctx);
    lth_loader_next(small, &f->ctx);
    lth_loader_next(small, &f->ctx);
    assert_int_equal(lth_loader_save(small, saved, "x", &f->ctx.error), LT_OK);
    assert_int_equal(lth_loader_load(many, saved, "x", &f->ctx.error), LT_OK);
    assert_int_equal(lth_loader_begin(many, 3, 8, &f->ctx.error), LT_EFORMAT); /* 16 samples are left, for 2 batches of 5 */
    assert_non_null(strstr(f->ctx.error.text, "the samples left make 2 of 5 more: resume with its batch_size"));
    lth_error_clear(&f->ctx.error);
    lth_snapshot_free(saved);
}

static void test_load_refuses_what_does_not_fit(void **state) {
    fixture *f = *state;
    lt_loader *l = make_loader(f, make_dataset(f, &plain, 64), 8, 0, true),
              *other = make_loader(f, make_dataset(f, &plain, 65), 8, 0, true);
    lth_snapshot *saved = lth_snapshot_new(), *empty = lth_snapshot_new();
    begin(f, l, 0, -1);
    lth_loader_next(l, &f->ctx);
    assert_int_equal(lth_loader_save(l, saved, "x", &f->ctx.error), LT_OK);
    assert_int_equal(lth_loader_load(other, saved, "x", &f->ctx.error), LT_EFORMAT);
    assert_non_null(strstr(f->ctx.error.text, "has 65 samples, the checkpoint was saved in mid-epoch with 64"));
    lth_error_clear(&f->ctx.error);
    assert_int_equal(lth_loader_load(other, empty, "x", &f->ctx.error), LT_EFORMAT);
    lth_error_clear(&f->ctx.error);
    lth_snapshot_free(saved);
    lth_snapshot_free(empty);
}

/* ---- memory ---- */

static void test_steady_state_does_not_allocate(void **state) {
    fixture *f = *state;
    for (int workers = 0; workers <= 2; workers++) {
        lt_loader *l = make_loader(f, make_dataset(f, &plain, 6400), 16, workers, true);
        int64_t batches;
        begin(f, l, 0, -1);
        drain(f, l, &batches);
        begin(f, l, 0, -1);
        uint64_t before = lth_alloc_count();
        drain(f, l, &batches);
        assert_int_equal(lth_alloc_count(), before);
    }
}

/* Every allocation fails once: a clean failure each time, and nothing left behind. */
static void test_out_of_memory(void **state) {
    (void)state;
    for (int64_t allowed = 0, finished = 0; !finished; allowed++) {
        assert_true(allowed < 200);
        int64_t live = lth_alloc_live();
        void *own = NULL;
        set_up(&own);
        fixture *f = own;
        lth_alloc_budget(allowed);
        lt_dataset_desc desc = {.struct_size = sizeof desc, .length = 40, .name = "numbers", .get_batch = get_batch, .data = &plain};
        lt_loader_opts opts = {.struct_size = sizeof opts, .batch_size = 4, .shuffle = 1};
        lt_dataset *parts[2] = {NULL}, *all = lth_data_table.dataset(&f->ctx, &desc);
        lth_data_table.random_split(&f->ctx, all, (int64_t[]){30, 10}, 2, 1, parts);
        lt_loader *l = f->ctx.error.code ? NULL : lth_data_table.loader(&f->ctx, parts[1], &opts);
        int64_t batches = 0;
        if (l && !lth_loader_begin(l, 0, -1, &f->ctx.error)) {
            while (lth_loader_next(l, &f->ctx)) {
                batches++;
            }
        }
        lth_alloc_budget(-1);
        finished = !f->ctx.error.code;
        assert_true(finished ? batches == 3 : f->ctx.error.code == LT_ENOMEM);
        tear_down(&own);
        assert_int_equal(lth_alloc_live(), live);
    }
}

static void test_nothing_leaks(void **state) {
    (void)state;
    int64_t before = lth_alloc_live();
    void *own = NULL;
    set_up(&own);
    fixture *f = own;
    lt_loader *l = make_loader(f, make_dataset(f, &plain, 640), 16, 3, true);
    begin(f, l, 0, -1);
    lth_loader_next(l, &f->ctx);
    assert_non_null(lth_data_table.format_path(&f->ctx, "a", "b"));
    tear_down(&own); /* in mid-epoch, workers running */
    assert_int_equal(lth_alloc_live(), before);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_STAGE(test_order_is_pytorchs),
        WITH_STAGE(test_unshuffled_draws_base_seed_only),
        WITH_STAGE(test_subset_of_split_maps_to_the_whole),
        WITH_STAGE(test_drop_last_limit_skip),
        WITH_STAGE(test_same_batches_for_any_workers),
        WITH_STAGE(test_early_end),
        WITH_STAGE(test_worker_failure_comes_in_order),
        WITH_STAGE(test_resume_in_mid_epoch),
        WITH_STAGE(test_resume_between_epochs_and_at_the_end),
        WITH_STAGE(test_resume_with_another_batch_size), WITH_STAGE(test_resume_refuses_where_samples_run_out),
        WITH_STAGE(test_load_refuses_what_does_not_fit),
        WITH_STAGE(test_steady_state_does_not_allocate),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_nothing_leaks),
    };
    return cmocka_run_group_tests_name("loader", tests, NULL, NULL);
}
