/* The allocator: counts, alignment, budgets; and a walk that fails every single allocation of a bind and of a snapshot. */
#include "base_test.h"
#include "base/schema.h"
#include "base/snapshot.h"
#include <pthread.h>
#include <stdio.h>

static void blocks_are_counted_zeroed_and_aligned(void **state) {
    (void)state;
    uint64_t calls = lth_alloc_count();
    int64_t live = lth_alloc_live();
    static const size_t sizes[] = {0, 1, 63, 64, 65, 100000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unsigned char *memory = lth_alloc(sizes[i]);
        assert_non_null(memory);
        assert_int_equal((uintptr_t)memory % 64, 0);
        for (size_t j = 0; j < sizes[i]; j++) {
            assert_int_equal(memory[j], 0);
        }
        assert_int_equal(lth_alloc_live(), live + 1);
        lth_free(memory);
    }
    assert_int_equal(lth_alloc_count() - calls, sizeof sizes / sizeof *sizes);
    assert_int_equal(lth_alloc_live(), live);
    lth_free(NULL);
    assert_int_equal(lth_alloc_live(), live);
    assert_null(lth_alloc(SIZE_MAX));
    assert_null(lth_alloc(SIZE_MAX / 2 + 1));
}

static void realloc_keeps_and_zeroes(void **state) {
    (void)state;
    unsigned char *memory = lth_realloc(NULL, 0, 10);
    memset(memory, 7, 10);
    memory = lth_realloc(memory, 10, 1000);
    assert_int_equal((uintptr_t)memory % 64, 0);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(memory[i], i < 10 ? 7 : 0);
    }
    lth_alloc_budget(0);
    assert_null(lth_realloc(memory, 1000, 2000));
    lth_alloc_budget(-1);
    assert_int_equal(memory[9], 7);
    memory = lth_realloc(memory, 1000, 5);
    assert_int_equal(memory[4], 7);
    lth_free(memory);
}

static void texts(void **state) {
    (void)state;
    assert_null(lth_strdup(NULL));
    assert_null(lth_strndup(NULL, 3));
    char *text = lth_strndup("abcdef", 3), *whole = lth_strdup("");
    assert_string_equal(text, "abc");
    assert_string_equal(whole, "");
    lth_free(text);
    lth_free(whole);
}

static void a_budget_fails_the_calls_after_it(void **state) {
    (void)state;
    lth_alloc_budget(2);
    void *a = lth_alloc(1), *b = lth_alloc(1);
    assert_non_null(a);
    assert_non_null(b);
    assert_null(lth_alloc(1));
    assert_null(lth_strdup("x"));
    lth_alloc_budget(-1);
    void *c = lth_alloc(1);
    assert_non_null(c);
    lth_free(a);
    lth_free(b);
    lth_free(c);
}

static void *churn(void *arg) {
    (void)arg;
    for (int i = 0; i < 10000; i++) {
        lth_free(lth_alloc((size_t)i % 200));
    }
    return NULL;
}

static void counts_hold_with_several_threads(void **state) {
    (void)state;
    uint64_t calls = lth_alloc_count();
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, churn, NULL), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(lth_alloc_count() - calls, 40000);
}

/* ---- the walk ---- */

typedef struct { int64_t kernel; const char *name; } layer;
LT_PARAMS(layer, LT_PARAM(kernel, "3", "Size.", LT_RANGE("1..")), LT_PARAM(name, LT_REQUIRED, "Name."));
typedef struct {
    const char *folder;
    lt_ints sizes;
    lt_texts words;
    LT_LIST(layer) layers;
    lt_ints seen;
    const char *note;
} net;
LT_PARAMS(net,
    LT_PARAM(folder, "runs", "Where.", LT_PATH),
    LT_PARAM(sizes, "[1, 2, 3]", "Sizes."),
    LT_PARAM(words, "[a, b]", "Words."),
    LT_RECORD_LIST(layers, layer, "[{kernel: 5, name: first}, {name: second}]", "Layers."),
    LT_SAVED(seen, "[4, 5]"),
    LT_SAVED(note, "none"));

static void bind_survives_every_failure(void **state) {
    (void)state;
    for (int64_t budget = 0;; budget++) {
        assert_true(budget < 200);
        lth_arena arena = {0}, input = {0};
        lth_diags diags = {0};
        net self;
        lth_node *map = lth_node_new(&input, LTH_NODE_MAP), *folder = lth_node_text(&input, "data");
        folder->origin = LTH_FROM_FILE;
        folder->file = "conf/a.yaml";
        lth_node_set(&input, map, "folder", folder);
        lth_alloc_budget(budget);
        size_t errors = lth_schema_bind(net_params(), "net", map, &self, &arena, &diags);
        lth_alloc_budget(-1);
        if (errors) {
            assert_true(diags.count > 0);
            assert_non_null(diags.items[0].text);
        } else {
            assert_int_equal(self.layers.count, 2);
            assert_int_equal(self.layers.items[0].kernel, 5);
            assert_int_equal(self.layers.items[1].kernel, 3);
            assert_string_equal(self.layers.items[1].name, "second");
            assert_int_equal(self.sizes.items[2], 3);
            assert_contains(self.folder, "/conf/data");
        }
        lth_diags_release(&diags);
        lth_arena_release(&arena);
        lth_arena_release(&input);
        if (!errors) {
            assert_true(budget > 3);
            break;
        }
    }
}

static lt_status fill(lth_snapshot *s, const net *self, lth_error *err) {
    lt_status status = lth_schema_save(net_params(), self, s, "callbacks/net", err);
    for (int i = 0; i < 40 && status == LT_OK; i++) {
        char path[64];
        int64_t shape[2] = {i, 8};
        snprintf(path, sizeof path, "state_dict/layer%d/weight", i);
        status = lth_snapshot_reserve(s, path, LT_F32, 2, shape, err) ? LT_OK : err->code;
    }
    return status;
}

static void snapshot_survives_every_failure(void **state) {
    (void)state;
    lth_arena arena = {0};
    lth_diags diags = {0};
    net self;
    assert_int_equal(lth_schema_bind(net_params(), "net", NULL, &self, &arena, &diags), 0);
    bool whole = false;
    for (int64_t budget = 0; !whole; budget++) {
        assert_true(budget < 300);
        lth_error err = {0};
        lth_alloc_budget(budget);
        lth_snapshot *s = lth_snapshot_new();
        lt_status status = s ? fill(s, &self, &err) : LT_ENOMEM;
        whole = status == LT_OK;
        lth_alloc_budget(-1);
        if (!whole && s) {
            assert_int_equal(status, LT_ENOMEM);
            assert_int_equal(err.code, LT_ENOMEM);
            size_t count = lth_snapshot_count(s); /* what failed is not there, and may be tried again */
            assert_int_equal(lth_snapshot_add_i64(s, "state_dict/again", 1, NULL), LT_OK);
            assert_int_equal(lth_snapshot_count(s), count + 1);
        }
        lth_snapshot_free(s);
    }
    lth_arena_release(&arena);
    lth_diags_release(&diags);
}

static void load_survives_every_failure(void **state) {
    (void)state;
    lth_arena arena = {0};
    lth_diags diags = {0};
    lth_error err = {0};
    net self;
    lth_snapshot *s = lth_snapshot_new();
    assert_int_equal(lth_schema_bind(net_params(), "net", NULL, &self, &arena, &diags), 0);
    assert_int_equal(lth_schema_save(net_params(), &self, s, "x", &err), LT_OK);
    lth_arena empty = {0};
    lth_alloc_budget(0);
    assert_int_equal(lth_schema_load(net_params(), &self, s, "x", &empty, &err), LT_ENOMEM);
    lth_alloc_budget(-1);
    assert_int_equal(err.code, LT_ENOMEM);
    lth_arena_release(&empty);
    lth_arena_release(&arena);
    lth_diags_release(&diags);
    lth_snapshot_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(blocks_are_counted_zeroed_and_aligned), TEST(realloc_keeps_and_zeroes),         TEST(texts),
        TEST(a_budget_fails_the_calls_after_it),     TEST(counts_hold_with_several_threads), TEST(bind_survives_every_failure),
        TEST(snapshot_survives_every_failure),       TEST(load_survives_every_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
