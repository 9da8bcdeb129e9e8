/* tests/engine/test_team.c - the compute threads: every chunk exactly once, thread numbers in range, jobs never mixed, clean ends. */
#include "engine/backends/cpu/team.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { CHUNKS = 300 };
typedef struct job { int done[CHUNKS]; int most; int wrong_thread; int64_t tag; } job;

static void body(void *arg, int64_t chunk, int thread) {
    job *j = arg;

    j->done[chunk]++;
    if (thread < 0 || thread >= j->most) {
        j->wrong_thread = 1;
    }
}

static lth_team *open_team(int threads) {
    lth_error err = {0};
    lth_team *team = NULL;

    assert_int_equal(lth_team_new(&team, threads, &err), LT_OK);
    return team;
}

static void run(lth_team *team, int most, int64_t chunks) {
    job j = {.most = most < 1 ? 1 : most};

    lth_team_run(team, most, chunks, body, &j);
    for (int64_t i = 0; i < CHUNKS; i++) {
        assert_int_equal(j.done[i], i < chunks);
    }
    assert_false(j.wrong_thread);
}

static void test_every_chunk_once(void **state) {
    (void)state;
    for (int threads = 1; threads <= 5; threads++) {
        lth_team *team = open_team(threads);

        for (int round = 0; round < 400; round++) {
            run(team, 1 + round % threads, round % CHUNKS);
        }
        lth_team_free(team);
    }
}

/* Helpers that went to sleep must wake for the next job. */
static void test_wakes_sleepers(void **state) {
    lth_team *team = open_team(4);

    (void)state;
    for (int round = 0; round < 20; round++) {
        usleep(3000);
        run(team, 4, 64);
    }
    lth_team_free(team);
}

static void test_fewer_chunks_than_threads(void **state) {
    lth_team *team = open_team(8);

    (void)state;
    for (int64_t chunks = 0; chunks < 10; chunks++) {
        run(team, 8, chunks);
    }
    lth_team_free(team);
}

static void test_ends_unused_and_twice(void **state) {
    lth_team *a = open_team(3), *b = open_team(3);

    (void)state;
    run(a, 3, 100); /* b never starts a thread */
    lth_team_free(b);
    lth_team_free(a);
    lth_team_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_chunk_once),
        cmocka_unit_test(test_wakes_sleepers),
        cmocka_unit_test(test_fewer_chunks_than_threads),
        cmocka_unit_test(test_ends_unused_and_twice),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
