/* tests/base/base_test.h - what cmocka needs before it, and the few helpers that several of these files share. */
#ifndef BASE_TEST_H
#define BASE_TEST_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"

/* Setup and teardown: every block that a test allocated is freed again. */
static int64_t live_before;
static inline int count_blocks(void **state) {
    (void)state;
    live_before = lth_alloc_live();
    return 0;
}
static inline int no_block_lost(void **state) {
    (void)state;
    lth_alloc_budget(-1);
    return lth_alloc_live() == live_before ? 0 : -1;
}
#define TEST(function) cmocka_unit_test_setup_teardown(function, count_blocks, no_block_lost)

#define assert_contains(text, part) \
    do { \
        if (!strstr((text), (part))) { \
            fail_msg("\"%s\" does not contain \"%s\"", (text), (part)); \
        } \
    } while (0)
#endif
