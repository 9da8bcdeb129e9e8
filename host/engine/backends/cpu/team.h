/* backends/cpu/team.h - the threads that compute: a caller and its helpers share the chunks of one job at a time.
 * Chunks are claimed one by one, so a helper that the system has taken off its core delays nothing but a chunk it already holds (a
 * barrier of fixed shares waits a whole time slice for it). Who does a chunk never changes its result: that is the callers' promise. */
#ifndef LTH_TEAM_H
#define LTH_TEAM_H
#include "base/error.h"

typedef struct lth_team lth_team;
typedef void (*lth_cpu_body)(void *arg, int64_t chunk, int thread);

/* threads counts the caller; 1 makes no helper. Helpers start at the first job that wants them. */
lt_status lth_team_new(lth_team **out, int threads, lth_error *err);
void lth_team_free(lth_team *team); /* NULL is fine */
/* Runs body(arg, chunk, thread) for every chunk on at most `most` threads; returns when all are done. */
void lth_team_run(lth_team *team, int most, int64_t chunks, lth_cpu_body body, void *arg);
#endif
