/* trainer/records.h - records on their way to the loggers: a ring filled by the trainer thread without locks or system calls, emptied by
 * the logger thread, which alone calls the loggers' hooks. A logger that fails is reported once and left out; the run goes on.
 * Full ring: the trainer waits (nothing is ever dropped silently). */
#ifndef LTH_RECORDS_H
#define LTH_RECORDS_H
#include "base/ctx.h"
#include "base/snapshot.h"
#include "registry/registry.h"
#include <lt/logger.h>

typedef struct lth_records lth_records;

/* Opens the loggers on the logger thread; run_dir must exist. resume_step -1: a new run. A logger that cannot open is an error. */
lt_status lth_records_open(lth_records **out, lth_instance *const *loggers, size_t count, const char *run_dir, int64_t resume_step,
                           lth_error *err);
/* names: interned by the caller, valid until close. */
void lth_records_scalars(lth_records *r, int64_t step, int64_t epoch, uint32_t count, const char *const *names, const double *values);
void lth_records_text(lth_records *r, int64_t step, const char *name, const char *text);
void lth_records_hparams(lth_records *r, uint32_t count, const char *const *names, const char *const *values); /* copied */
/* Waits until everything sent is written and flushed (before a checkpoint, so that offsets are true). */
void lth_records_drain(lth_records *r);
/* States of the loggers, and the length of each file they append to. The thread is idle: call after drain. */
lt_status lth_records_save(lth_records *r, lth_snapshot *out, const char *prefix, lth_error *err);
/* Before open of a resumed run: cuts the files of run_dir back to the saved lengths. */
lt_status lth_records_cut(const char *run_dir, const lth_snapshot *in, const char *prefix, lth_error *err);
/* After open: gives loggers their states back. */
lt_status lth_records_load(lth_records *r, const lth_snapshot *in, const char *prefix, lth_error *err);
/* Drains, closes the loggers ("success", "failed", "interrupted"), joins the thread. NULL is fine. */
void lth_records_close(lth_records *r, const char *status);
#endif
