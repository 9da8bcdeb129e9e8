/* base/threads.h - starting a thread as the host does (signals blocked, named), and a CPU count that honours affinity. */
#ifndef LTH_THREADS_H
#define LTH_THREADS_H
#include "base/error.h"
#include <pthread.h>

lt_status lth_thread_start(pthread_t *thread, const char *name, void *(*body)(void *), void *arg, lth_error *err);
int lth_cpu_count(void);
/* Denormals to zero on this thread; every thread that computes calls it. */
void lth_flush_denormals(void);
#endif
