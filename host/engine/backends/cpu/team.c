/* backends/cpu/team.c - see team.h. A job is published by one atomic word, generation and next chunk together: a helper that wakes late
 * finds another generation and claims nothing. Helpers spin for a moment after a job, since the next one of a step follows within
 * microseconds, then sleep in the kernel. */
#include "engine/backends/cpu/team.h"
#include "base/mem.h"
#include "base/threads.h"
#include <limits.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>
#ifdef _OPENMP
#include <omp.h>
#endif

enum { SPIN_US = 100, MAX_HELPERS = 255 };
#define CLOSED UINT32_MAX /* chunk number of a job that is over */

typedef struct helper { struct lth_team *team; pthread_t thread; } helper;
struct lth_team {
    _Atomic uint64_t ticket;        /* generation << 32 | next chunk to claim */
    _Atomic int64_t done;           /* chunks finished */
    _Atomic int32_t places;         /* helpers that may still join this job */
    _Atomic uint32_t generation;    /* what sleepers wait on */
    _Atomic int32_t sleepers;
    lth_cpu_body body;              /* written while the ticket is closed */
    void *arg;
    _Atomic int64_t chunks;         /* a late helper may look at it any time; the ticket decides */
    _Atomic bool stop;
    int wanted, started;
    helper helpers[];
};

static inline void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static int64_t now_us(void) {
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* Claims and runs chunks of the given generation until there are none. */
static void work(lth_team *team, uint32_t generation, int thread) {
    for (;;) {
        uint64_t ticket = atomic_load_explicit(&team->ticket, memory_order_acquire);
        uint32_t chunk = (uint32_t)ticket;

        if (ticket >> 32 != generation || chunk >= atomic_load_explicit(&team->chunks, memory_order_relaxed)) {
            return;
        }
        if (!atomic_compare_exchange_weak_explicit(&team->ticket, &ticket, ticket + 1, memory_order_acq_rel, memory_order_relaxed)) {
            continue;
        }
        team->body(team->arg, chunk, thread);
        atomic_fetch_add_explicit(&team->done, 1, memory_order_release);
    }
}

static void sleep_until_job(lth_team *team, uint32_t seen) {
    atomic_fetch_add(&team->sleepers, 1);
    while (atomic_load(&team->generation) == seen && !atomic_load(&team->stop)) {
        syscall(SYS_futex, &team->generation, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
    }
    atomic_fetch_sub(&team->sleepers, 1);
}

static void *help(void *arg) {
    helper *self = arg;
    lth_team *team = self->team;
    uint32_t seen = 0;

    lth_flush_denormals();
#ifdef _OPENMP
    omp_set_num_threads(1); /* libdnnl must not make a team of its own inside a chunk */
#endif
    while (!atomic_load(&team->stop)) {
        int64_t until = now_us() + SPIN_US;
        uint32_t generation;

        for (int i = 1; (generation = atomic_load_explicit(&team->generation, memory_order_acquire)) == seen; i++) {
            relax();
            if (i % 64 == 0 && now_us() > until) {
                sleep_until_job(team, seen);
                break;
            }
        }
        generation = atomic_load_explicit(&team->generation, memory_order_acquire);
        seen = generation;
        const int place = atomic_fetch_sub(&team->places, 1); /* 1 .. most - 1: the thread number of this job, not of this helper: */
        if (place > 0) {                                      /* callers have scratch for `most` threads only */
            work(team, generation, place);
        }
    }
    return NULL;
}

lt_status lth_team_new(lth_team **out, int threads, lth_error *err) {
    int helpers = threads < 1 ? 0 : threads - 1 > MAX_HELPERS ? MAX_HELPERS : threads - 1;
    lth_team *team = lth_alloc(sizeof *team + (size_t)helpers * sizeof(helper));

    if (!team) {
        return lth_fail(err, LT_ENOMEM, "out of memory for %d compute threads", threads);
    }
#ifdef _OPENMP
    omp_set_num_threads(1);
#endif
    team->wanted = helpers;
    *out = team;
    return LT_OK;
}

/* A thread that the system refuses is done without: the caller can do every chunk itself. */
static void start_helpers(lth_team *team) {
    while (team->started < team->wanted) {
        helper *h = &team->helpers[team->started];
        lth_error ignored = {0};

        *h = (helper){.team = team};
        if (lth_thread_start(&h->thread, "lt-compute", help, h, &ignored)) {
            team->wanted = team->started;
            return;
        }
        team->started++;
    }
}

void lth_team_free(lth_team *team) {
    if (!team) {
        return;
    }
    atomic_store(&team->stop, true);
    atomic_fetch_add(&team->generation, 1);
    syscall(SYS_futex, &team->generation, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
    for (int i = 0; i < team->started; i++) {
        pthread_join(team->helpers[i].thread, NULL);
    }
    lth_free(team);
}

void lth_team_run(lth_team *team, int most, int64_t chunks, lth_cpu_body body, void *arg) {
    uint32_t generation;

    if (most > 1 && team->started < team->wanted) {
        start_helpers(team);
    }
    if (most < 2 || chunks < 2 || !team->started || chunks >= CLOSED) {
        for (int64_t i = 0; i < chunks; i++) {
            body(arg, i, 0);
        }
        return;
    }
    team->body = body; /* the ticket is closed: nobody claims while these change */
    team->arg = arg;
    atomic_store_explicit(&team->chunks, chunks, memory_order_relaxed);
    atomic_store_explicit(&team->done, 0, memory_order_relaxed);
    atomic_store_explicit(&team->places, most - 1, memory_order_relaxed);
    generation = atomic_load_explicit(&team->generation, memory_order_relaxed) + 1;
    atomic_store_explicit(&team->ticket, (uint64_t)generation << 32, memory_order_release);
    atomic_store(&team->generation, generation);
    if (atomic_load(&team->sleepers) > 0) {
        syscall(SYS_futex, &team->generation, FUTEX_WAKE_PRIVATE, most - 1, NULL, NULL, 0);
    }
    work(team, generation, 0);
    for (int i = 1; atomic_load_explicit(&team->done, memory_order_acquire) < chunks; i++) {
        relax();
        if (i % 4096 == 0) {
            sched_yield(); /* the helper that holds the last chunk may need this very core */
        }
    }
    atomic_store_explicit(&team->ticket, (uint64_t)generation << 32 | CLOSED, memory_order_release);
}
