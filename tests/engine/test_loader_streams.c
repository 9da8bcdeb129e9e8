/* tests/engine/test_loader_streams.c - streams (samples without numbers) and several loaders as one: the same batches for any number of workers,
 * the last batch known as such, positions in snapshots, the four ways of combining, and what is refused. */
#include "test_loader_fixture.h"

/* ---- a stream of whole numbers ---- */

typedef struct numbers {
    int64_t length, at, fail_at; /* what it gives, and next; -1: never fails */
    bool says_position;
    uint64_t seed;
    int64_t epoch, starts, reads;
    bool over; /* it has said its end, or failed: next is not called again before start */
} numbers;

static lt_status start(lt_ctx *ctx, void *data, const lt_stream_start *at) {
    numbers *n = data;
    if (at->position && at->position_size != sizeof n->at) {
        return lth_fail(&ctx->error, LT_EFORMAT, "a position of %d bytes", (int)at->position_size);
    }
    n->at = 0;
    if (at->position) {
        memcpy(&n->at, at->position, sizeof n->at);
    }
    n->over = false;
    n->seed = at->seed;
    n->epoch = at->epoch;
    n->starts++;
    return LT_OK;
}

static lt_status next(lt_ctx *ctx, void *data, int64_t count, lt_batch_out *out) {
    numbers *n = data;
    int64_t left = n->length - n->at, size = left < count ? left : count;
    n->reads++;
    if (n->over) {
        return lth_fail(&ctx->error, LT_ESTATE, "asked for a batch after the end");
    }
    if (size <= 0) {
        n->over = true;
        return LT_OK;
    }
    if (n->fail_at >= n->at && n->fail_at < n->at + size) {
        n->over = true;
        return lth_fail(&ctx->error, LT_EIO, "number %d cannot be read", (int)n->fail_at);
    }
    int64_t *y = lth_data_table.batch_tensor(ctx, out, NULL, LT_I64, 1, &size);
    for (int64_t i = 0; y && i < size; i++) {
        y[i] = n->at + i;
    }
    n->at += size;
    if (n->says_position) {
        lth_data_table.stream_position(ctx, out, &n->at, sizeof n->at);
    }
    return ctx->error.code;
}

static lt_loader *stream_loader(fixture *f, numbers *n, int64_t length, int64_t batch_size, int64_t workers) {
    lt_stream_desc desc = {.struct_size = sizeof desc, .length = length, .name = "numbers", .start = start, .next = next, .data = n};
    lt_dataset *dataset = lth_data_table.stream(&f->ctx, &desc);
    assert_non_null(dataset);
    return make_loader(f, dataset, batch_size, workers, false);
}

/* Reads `most` batches (-1: to the end); the numbers must go on from `first`. Returns the number after the last. */
static int64_t read_on(fixture *f, lt_loader *l, int64_t first, int64_t most, int64_t end) {
    const lt_batch *batch;
    for (int64_t i = 0; i != most && (batch = lth_loader_next(l, &f->ctx)); i++) {
        const int64_t *y = batch->items[0].tensor->a.data;
        for (int64_t k = 0; k < batch->size; k++) {
            assert_int_equal(y[k], first++);
        }
        assert_int_equal(batch->last, first == end);
        assert_int_equal(lth_loader_at_end(l), first == end);
        lth_step_end(f->engine);
    }
    assert_int_equal(f->ctx.error.code, LT_OK);
    return first;
}

static void test_streams_in_order(void **state) {
    fixture *f = *state;
    for (int64_t workers = 0; workers < 4; workers++) {
        for (int64_t length = 1; length < 40; length += 6) {
            numbers n = {.length = length, .fail_at = -1};
            lt_loader *l = stream_loader(f, &n, -1, 4, workers);
            assert_true(lth_loader_length(l) == LTH_UNKNOWN_LENGTH);
            uint64_t seeds[2];
            for (int epoch = 0; epoch < 2; epoch++) {
                begin(f, l, 0, -1);
                assert_int_equal(read_on(f, l, 0, -1, length), length);
                assert_null(lth_loader_next(l, &f->ctx));
                assert_int_equal(n.epoch, epoch);
                seeds[epoch] = n.seed;
            }
            assert_true(seeds[0] != seeds[1]);
            begin(f, l, 0, 2); /* a limit */
            int64_t end = length < 8 ? length : 8;
            assert_int_equal(read_on(f, l, 0, -1, end), end);
            begin(f, l, 0, -1); /* broken off, begun anew */
            read_on(f, l, 0, 1, length);
            lth_loader_end(l);
        }
    }
}

static void test_known_length(void **state) {
    fixture *f = *state;
    numbers n = {.length = 10, .fail_at = -1};
    assert_int_equal(lth_loader_length(stream_loader(f, &n, 10, 4, 0)), 3);
    numbers none = {.length = 0, .fail_at = -1};
    lt_loader *l = stream_loader(f, &none, -1, 4, 1);
    begin(f, l, 0, -1);
    assert_true(lth_loader_at_end(l));
    assert_null(lth_loader_next(l, &f->ctx));
}

static void resumed_at(fixture *f, int64_t batches, bool says_position, int64_t workers) {
    lth_snapshot *saved = lth_snapshot_new();
    numbers a = {.length = 30, .fail_at = -1, .says_position = says_position}, b = a;
    lt_loader *l = stream_loader(f, &a, -1, 4, workers), *other = stream_loader(f, &b, -1, 4, 3 - workers);
    begin(f, l, 0, -1); /* an epoch before */
    read_on(f, l, 0, -1, 30);
    begin(f, l, 0, -1);
    read_on(f, l, 0, batches, 30);
    assert_int_equal(lth_loader_save(l, saved, "data/train", &f->ctx.error), LT_OK);
    assert_int_equal(lth_loader_load(other, saved, "data/train", &f->ctx.error), LT_OK);
    begin(f, other, batches, -1);
    assert_int_equal(read_on(f, other, batches * 4, -1, 30), 30);
    assert_int_equal(b.epoch, 1);
    assert_true(b.seed == a.seed);
    assert_int_equal(b.starts, 1);
    if (says_position && batches && workers == 3) {
        assert_int_equal(b.reads, 8 - batches + 1); /* what was used is not read again */
    }
    lth_loader_end(l);
    lth_snapshot_free(saved);
}

/* Another batch size goes on at the sample after those that were used, whether the stream says where it is or is read anew. */
static void test_resume_with_another_batch_size(void **state) {
    fixture *f = *state;
    for (int k = 0; k < 12; k++) {
        const int64_t batches = k % 3 + 1, size = k < 6 ? 3 : 9;
        lth_snapshot *saved = lth_snapshot_new();
        numbers a = {.length = 40, .fail_at = -1, .says_position = k % 2}, b = a;
        lt_loader *l = stream_loader(f, &a, -1, 4, 0), *other = stream_loader(f, &b, -1, size, k % 4);
        begin(f, l, 0, -1);
        read_on(f, l, 0, batches, 40);
        assert_int_equal(lth_loader_save(l, saved, "data/train", &f->ctx.error), LT_OK);
        assert_int_equal(lth_loader_load(other, saved, "data/train", &f->ctx.error), LT_OK);
        begin(f, other, batches, -1);
        assert_int_equal(read_on(f, other, batches * 4, 2, 40), batches * 4 + 2 * size);
        assert_int_equal(read_on(f, other, batches * 4 + 2 * size, -1, 40), 40);
        lth_snapshot_free(saved);
    }
}

static void test_resume(void **state) {
    for (int64_t batches = 0; batches < 8; batches++) {
        for (int64_t workers = 0; workers <= 3; workers += 3) {
            resumed_at(*state, batches, true, workers);
            resumed_at(*state, batches, false, workers);
        }
    }
}

static void test_failures_of_streams(void **state) {
    fixture *f = *state;
    for (int64_t workers = 0; workers < 2; workers++) {
        numbers n = {.length = 40, .fail_at = 9};
        lt_loader *l = stream_loader(f, &n, -1, 4, workers);
        begin(f, l, 0, -1);
        for (int i = 0; i < 2; i++) {
            const lt_batch *batch = lth_loader_next(l, &f->ctx);
            assert_true(batch && !batch->last);
        }
        assert_null(lth_loader_next(l, &f->ctx));
        assert_int_equal(f->ctx.error.code, LT_EIO);
        assert_non_null(strstr(f->ctx.error.text, "dataset 'numbers', batch 2"));
        assert_non_null(strstr(f->ctx.error.text, "number 9 cannot be read"));
        f->ctx.error = (lth_error){0};
        lth_loader_end(l);
    }
    numbers n = {.length = 4, .fail_at = -1};
    lt_stream_desc desc = {.struct_size = sizeof desc, .length = -1, .start = start, .next = next, .data = &n};
    lt_dataset *dataset = lth_data_table.stream(&f->ctx, &desc);
    lt_loader_opts opts = {.struct_size = sizeof opts, .shuffle = 1};
    assert_null(lth_data_table.loader(&f->ctx, dataset, &opts));
    assert_non_null(strstr(f->ctx.error.text, "is a stream and cannot be shuffled"));
    f->ctx.error = (lth_error){0};
    assert_null(lth_data_table.subset(&f->ctx, dataset, 0, 1));
    assert_non_null(strstr(f->ctx.error.text, "its samples have no numbers"));
    f->ctx.error = (lth_error){0};
    desc.next = NULL;
    assert_null(lth_data_table.stream(&f->ctx, &desc));
    f->ctx.error = (lth_error){0};
}

/* ---- several loaders ---- */

enum { A_BATCHES = 3, B_BATCHES = 5 };

static lt_loader *combined(fixture *f, lt_combine mode, bool shuffle, int64_t workers) {
    static const char *const keys[] = {"a", "b"};
    lt_loader *parts[] = {make_loader(f, make_dataset(f, &plain, 11), 4, workers, shuffle), make_loader(f, make_dataset(f, &plain, 10), 2, 0, shuffle)};
    lt_loader *l = lth_data_table.combine(&f->ctx, parts, keys, 2, mode);
    assert_non_null(l);
    return l;
}

static uint64_t mix(uint64_t sum, const lt_batch *batch) {
    for (int64_t i = 0; batch && i < batch->size; i++) {
        assert_int_equal(((const int64_t *)batch->items[1].tensor->a.data)[i], batch->indices[i] * 7 + 1);
        sum = (sum ^ (uint64_t)(batch->indices[i] + 1)) * 0x100000001B3u;
    }
    return batch ? sum : sum * 31;
}

/* What one batch holds; a combined one: of its parts. */
static uint64_t look(const lt_batch *batch) {
    uint64_t sum = 7;
    if (!batch->items[0].is_part) {
        return mix(sum + (uint64_t)batch->loader, batch);
    }
    assert_string_equal(batch->items[1].key, "b");
    for (int32_t i = 0; i < batch->count; i++) {
        sum = mix(sum, batch->items[i].part);
    }
    return sum;
}

static int64_t epoch(fixture *f, lt_loader *l, int64_t skip, uint64_t *out, int64_t from) {
    const lt_batch *batch;
    int64_t n = from;
    begin(f, l, skip, -1);
    while ((batch = lth_loader_next(l, &f->ctx))) {
        out[n++] = look(batch);
        assert_int_equal(batch->last, lth_loader_at_end(l));
        lth_step_end(f->engine);
    }
    assert_int_equal(f->ctx.error.code, LT_OK);
    return n;
}

static void test_modes(void **state) {
    fixture *f = *state;
    static const struct { lt_combine mode; int64_t length; } modes[] = {
        {LT_COMBINE_SEQUENTIAL, A_BATCHES + B_BATCHES}, {LT_COMBINE_MAX_SIZE_CYCLE, B_BATCHES}, {LT_COMBINE_MIN_SIZE, A_BATCHES},
        {LT_COMBINE_MAX_SIZE, B_BATCHES}};
    for (int m = 0; m < 4; m++) {
        uint64_t seen[16];
        lt_loader *l = combined(f, modes[m].mode, false, 0);
        assert_int_equal(lth_loader_length(l), modes[m].length);
        for (int again = 0; again < 2; again++) {
            assert_int_equal(epoch(f, l, 0, seen, 0), modes[m].length);
        }
        assert_int_equal(lth_loader_parts(l), modes[m].mode == LT_COMBINE_SEQUENTIAL ? 2 : 1);
        begin(f, l, 0, -1);
        for (int64_t i = 0; i < modes[m].length; i++) {
            const lt_batch *batch = lth_loader_next(l, &f->ctx);
            if (modes[m].mode == LT_COMBINE_SEQUENTIAL) {
                assert_int_equal(batch->loader, i >= A_BATCHES);
                assert_int_equal(batch->n_loaders, 2);
                assert_int_equal(batch->indices[0], i < A_BATCHES ? 4 * i : 2 * (i - A_BATCHES));
                continue;
            }
            const lt_batch *a = batch->items[0].part, *b = batch->items[1].part;
            assert_int_equal(b->indices[0], 2 * i);
            if (i < A_BATCHES) {
                assert_int_equal(a->indices[0], 4 * i);
            } else if (modes[m].mode == LT_COMBINE_MAX_SIZE) {
                assert_null(a);
                assert_int_equal(batch->size, b->size);
            } else {
                assert_int_equal(a->indices[0], 4 * (i - A_BATCHES)); /* begun again */
            }
        }
        assert_true(lth_loader_at_end(l));
        begin(f, l, 0, 2);
        assert_non_null(lth_loader_next(l, &f->ctx));
        assert_true(lth_loader_next(l, &f->ctx)->last);
        assert_null(lth_loader_next(l, &f->ctx));
    }
}

/* Saved after every batch of the second epoch, and gone on with by other loaders: what comes is what would have come, in the third epoch too. */
static void test_combined_resume(void **state) {
    fixture *f = *state;
    for (lt_combine mode = LT_COMBINE_SEQUENTIAL; mode <= LT_COMBINE_MAX_SIZE; mode++) {
        uint64_t whole[32], parts[32];
        lt_loader *l = combined(f, mode, true, 0);
        lth_generator_seed(&f->engine->generator, 3);
        epoch(f, l, 0, parts, 0);
        int64_t length = epoch(f, l, 0, whole, 0);
        assert_int_equal(epoch(f, l, 0, whole, length), 2 * length);
        for (int64_t at = 0; at <= length; at++) {
            lth_snapshot *saved = lth_snapshot_new();
            lt_loader *first = combined(f, mode, true, 2), *second = combined(f, mode, true, 1);
            lth_generator_seed(&f->engine->generator, 3);
            epoch(f, first, 0, parts, 0);
            begin(f, first, 0, -1);
            for (int64_t i = 0; i < at; i++) {
                parts[i] = look(lth_loader_next(first, &f->ctx));
                lth_step_end(f->engine);
            }
            lth_generator then = f->engine->generator;
            assert_int_equal(lth_loader_save(first, saved, "data/train", &f->ctx.error), LT_OK);
            lth_loader_end(first);
            f->engine->generator = then;
            assert_int_equal(lth_loader_load(second, saved, "data/train", &f->ctx.error), LT_OK);
            assert_int_equal(epoch(f, second, at, parts, at), length);
            assert_int_equal(epoch(f, second, 0, parts, length), 2 * length); /* a part that was through begins anew with the others */
            assert_memory_equal(parts, whole, (size_t)(2 * length) * sizeof *whole);
            lth_snapshot_free(saved);
        }
    }
}

/* A stream that ends before a part of known length ends the epoch of the shortest; how long that is nobody knows beforehand. */
static void test_shortest_with_a_stream(void **state) {
    fixture *f = *state;
    for (int first = 0; first < 2; first++) {
        numbers n = {.length = 10, .fail_at = -1};
        lt_loader *known = make_loader(f, make_dataset(f, &plain, 40), 4, 0, false), *stream = stream_loader(f, &n, -1, 4, 1);
        lt_loader *parts[] = {first ? stream : known, first ? known : stream};
        lt_loader *l = lth_data_table.combine(&f->ctx, parts, NULL, 2, LT_COMBINE_MIN_SIZE);
        assert_true(lth_loader_length(l) == LTH_UNKNOWN_LENGTH);
        begin(f, l, 0, -1);
        for (int i = 0; i < 3; i++) {
            const lt_batch *batch = lth_loader_next(l, &f->ctx);
            assert_int_equal(batch->last, i == 2);
            lth_step_end(f->engine);
        }
        assert_null(lth_loader_next(l, &f->ctx));
        assert_int_equal(f->ctx.error.code, LT_OK);
    }
}

/* What shows a model its input: of a part of a dataset its own first sample, of several loaders the first's, of a stream nothing. */
static void test_examples(void **state) {
    fixture *f = *state;
    lt_dataset *all = make_dataset(f, &plain, 20), *halves[2], *empty = make_dataset(f, &plain, 0);
    assert_int_equal(lth_data_table.random_split(&f->ctx, all, (int64_t[]){10, 10}, 2, 42, halves), LT_OK);
    for (int part = 0; part < 4; part++) {
        lt_dataset *data = part == 0 ? all : part == 1 ? lth_data_table.subset(&f->ctx, all, 7, 9) : halves[part - 2];
        lt_loader *l = make_loader(f, data, 4, 0, false);
        begin(f, l, 0, -1);
        const int64_t first = lth_loader_next(l, &f->ctx)->indices[0];
        lth_loader_end(l);
        for (int several = 0; several < 2; several++) {
            lt_loader *both[] = {make_loader(f, empty, 4, 0, false), l};
            l = several ? lth_data_table.combine(&f->ctx, both, NULL, 2, LT_COMBINE_MAX_SIZE) : l;
            lt_tensor *x = lth_loader_example(l, &f->ctx);
            assert_non_null(x);
            assert_int_equal(((const float *)x->a.data)[0], first * 3);
            lth_step_end(f->engine);
        }
    }
    numbers n = {.length = 10, .fail_at = -1};
    assert_null(lth_loader_example(stream_loader(f, &n, 10, 4, 1), &f->ctx));
    lt_loader *none[] = {make_loader(f, empty, 4, 0, false), stream_loader(f, &n, -1, 4, 0)};
    assert_null(lth_loader_example(lth_data_table.combine(&f->ctx, none, NULL, 2, LT_COMBINE_SEQUENTIAL), &f->ctx));
    assert_int_equal(f->ctx.error.code, LT_OK);
    assert_int_equal(n.starts, 0);
}

static void refuses_keys(fixture *f, lt_loader *const *loaders, const char *a, const char *b, const char *text) {
    const char *const keys[] = {a, b};
    assert_null(lth_data_table.combine(&f->ctx, loaders, keys, 2, LT_COMBINE_MIN_SIZE));
    assert_int_equal(f->ctx.error.code, LT_EINVAL);
    assert_non_null(strstr(f->ctx.error.text, text));
    f->ctx.error = (lth_error){0};
}

static void refuses(fixture *f, lt_loader *const *loaders, int32_t count, lt_combine mode, const char *text) {
    assert_null(lth_data_table.combine(&f->ctx, loaders, NULL, count, mode));
    assert_int_equal(f->ctx.error.code, LT_EINVAL);
    assert_non_null(strstr(f->ctx.error.text, text));
    f->ctx.error = (lth_error){0};
}

static void test_combining_refuses(void **state) {
    fixture *f = *state;
    lt_loader *l = make_loader(f, make_dataset(f, &plain, 4), 4, 0, false), *both[] = {l, l}, *hole[] = {l, NULL}, *one[] = {l};
    lt_loader *two[] = {l, make_loader(f, make_dataset(f, &plain, 4), 4, 0, false)};
    refuses_keys(f, two, "x", "x", "loaders 0 and 1 of 2 have the same key 'x'");
    refuses_keys(f, two, "x", "", "key 1 of 2, '', must have 1 to 47 characters");
    refuses_keys(f, two, "a name that is far longer than anybody would write", "x", "must have 1 to 47 characters");
    refuses_keys(f, two, "x", NULL, "key 1 of 2 is NULL");
    refuses_keys(f, two, NULL, "x", "key 0 of 2 is NULL");
    refuses(f, both, 2, LT_COMBINE_MIN_SIZE, "is part of a combined one already");
    refuses(f, hole, 2, LT_COMBINE_MIN_SIZE, "loader 1 of 2 is NULL");
    refuses(f, one, 0, LT_COMBINE_MIN_SIZE, "0 loaders");
    refuses(f, one, 1, 9, "mode 9");
    assert_non_null(lth_data_table.combine(&f->ctx, one, NULL, 1, LT_COMBINE_SEQUENTIAL));
    refuses(f, one, 1, LT_COMBINE_MIN_SIZE, "is part of a combined one already");
    lt_loader *empty[] = {make_loader(f, make_dataset(f, &plain, 0), 4, 0, false), make_loader(f, make_dataset(f, &plain, 4), 4, 0, false)};
    lt_loader *never = lth_data_table.combine(&f->ctx, empty, NULL, 2, LT_COMBINE_MAX_SIZE_CYCLE);
    begin(f, never, 0, -1);
    assert_null(lth_loader_next(never, &f->ctx));
    assert_non_null(strstr(f->ctx.error.text, "gives no batches"));
    f->ctx.error = (lth_error){0};
}

int main(void) {
    const struct CMUnitTest tests[] = {WITH_STAGE(test_streams_in_order), WITH_STAGE(test_known_length), WITH_STAGE(test_resume),
        WITH_STAGE(test_resume_with_another_batch_size),
                                       WITH_STAGE(test_failures_of_streams), WITH_STAGE(test_modes), WITH_STAGE(test_combined_resume),
                                       WITH_STAGE(test_shortest_with_a_stream), WITH_STAGE(test_examples),
                                       WITH_STAGE(test_combining_refuses)};
    return cmocka_run_group_tests_name("loader_streams", tests, NULL, NULL);
}
