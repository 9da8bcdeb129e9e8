/* base/threads.c - threads of the host take no signals: those are the trainer thread's, which looks at them between steps. */
#include "base/threads.h"
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

/* All but those that a fault raises on the thread itself: blocked, they would kill without a trace. */
static void blocked_signals(sigset_t *set) {
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS, SIGPROF};
    sigfillset(set);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        sigdelset(set, faults[i]);
    }
}

lt_status lth_thread_start(pthread_t *thread, const char *name, void *(*body)(void *), void *arg, lth_error *err) {
    sigset_t blocked, before;
    blocked_signals(&blocked);
    pthread_sigmask(SIG_BLOCK, &blocked, &before); /* inherited by the new thread from its first instruction */
    int number = pthread_create(thread, NULL, body, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (number == EAGAIN) {
        return lth_fail(err, LT_ENOMEM, "cannot start the thread %s: %s; raise the limit on processes (ulimit -u) or use fewer workers",
                        name, strerror(number));
    }
    if (number) {
        return lth_fail(err, LT_EIO, "cannot start the thread %s: %s", name, strerror(number));
    }
    char kept[16]; /* the kernel's limit */
    snprintf(kept, sizeof kept, "%s", name);
    pthread_setname_np(*thread, kept); /* for top and gdb only: a failure changes nothing */
    return LT_OK;
}

int lth_cpu_count(void) {
    for (int cpus = 1024; cpus <= 1 << 18; cpus *= 4) { /* the kernel refuses a set smaller than its own */
        cpu_set_t *set = CPU_ALLOC((size_t)cpus);
        if (!set) {
            break;
        }
        size_t size = CPU_ALLOC_SIZE((size_t)cpus);
        int count = sched_getaffinity(0, size, set) == 0 ? CPU_COUNT_S(size, set) : 0;
        CPU_FREE(set);
        if (count > 0) {
            return count;
        }
    }
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (int)online : 1;
}

void lth_flush_denormals(void) {
#if defined(__x86_64__)
    _mm_setcsr(_mm_getcsr() | 0x8040); /* flush to zero, denormals are zero */
#elif defined(__aarch64__)
    uint64_t control;
    __asm__ volatile("mrs %0, fpcr" : "=r"(control));
    __asm__ volatile("msr fpcr, %0" : : "r"(control | (uint64_t)1 << 24));
#endif
}
