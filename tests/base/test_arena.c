/* Arenas: alignment, zeroes, large things, failure. */
#include "base_test.h"
#include "base/arena.h"

static void memory_is_zeroed_aligned_and_apart(void **state) {
    (void)state;
    lth_arena arena = {0};
    unsigned char *last = NULL;
    for (size_t size = 0; size < 300; size++) {
        unsigned char *memory = lth_arena_alloc(&arena, size);
        assert_non_null(memory);
        assert_int_equal((uintptr_t)memory % 16, 0);
        assert_ptr_not_equal(memory, last);
        for (size_t i = 0; i < size; i++) {
            assert_int_equal(memory[i], 0);
        }
        memset(memory, 0xff, size);
        last = memory;
    }
    lth_arena_release(&arena);
    assert_null(arena.blocks);
}

static void a_large_thing_wastes_no_block(void **state) {
    (void)state;
    lth_arena arena = {0};
    char *first = lth_arena_alloc(&arena, 16);
    uint64_t calls = lth_alloc_count();
    char *large = lth_arena_alloc(&arena, 10 << 20);
    char *second = lth_arena_alloc(&arena, 16);
    assert_non_null(large);
    assert_ptr_equal(second, first + 16);
    assert_int_equal(lth_alloc_count() - calls, 1);
    large[(10 << 20) - 1] = 1;
    lth_arena_release(&arena);
}

static void texts(void **state) {
    (void)state;
    lth_arena arena = {0};
    assert_string_equal(lth_arena_strdup(&arena, "abc"), "abc");
    assert_string_equal(lth_arena_strndup(&arena, "abc", 2), "ab");
    assert_string_equal(lth_arena_strndup(&arena, "abc", 99), "abc");
    assert_string_equal(lth_arena_strdup(&arena, ""), "");
    assert_null(lth_arena_strdup(&arena, NULL));
    assert_string_equal(lth_arena_printf(&arena, "%s-%d", "x", 42), "x-42");
    char *padded = lth_arena_printf(&arena, "%9000d", 1);
    assert_int_equal(strlen(padded), 9000);
    assert_false(arena.failed);
    lth_arena_release(&arena);
}

static void failure_is_told_and_kept(void **state) {
    (void)state;
    lth_arena arena = {0};
    assert_null(lth_arena_alloc(&arena, SIZE_MAX));
    assert_true(arena.failed);
    lth_arena_release(&arena);
    assert_false(arena.failed);
    lth_alloc_budget(0);
    assert_null(lth_arena_strdup(&arena, "x"));
    lth_alloc_budget(-1);
    assert_true(arena.failed);
    assert_string_equal(lth_arena_strdup(&arena, "works again"), "works again");
    assert_true(arena.failed);
    lth_arena_release(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(memory_is_zeroed_aligned_and_apart), TEST(a_large_thing_wastes_no_block), TEST(texts), TEST(failure_is_told_and_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
