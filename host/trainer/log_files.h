/* trainer/log_files.h - the files of loggers: opened below the run folder, buffered, flushed together, their lengths known, so that a
 * resumed run can cut them back to what its checkpoint knew. Used on the logger thread (and while it is idle). */
#ifndef LTH_LOG_FILES_H
#define LTH_LOG_FILES_H
#include "base/ctx.h"
#include "base/snapshot.h"
#include <lt/logger.h>

typedef struct lth_log_files lth_log_files;
lth_log_files *lth_log_files_new(const char *run_dir, int64_t resume_step);
void lth_log_files_free(lth_log_files *files); /* flushes and closes */
lt_status lth_log_files_flush(lth_log_files *files, lth_error *err);
lt_status lth_log_files_save(lth_log_files *files, lth_snapshot *out, const char *prefix, lth_error *err);
lt_status lth_log_files_cut(const char *run_dir, const lth_snapshot *in, const char *prefix, lth_error *err);
extern const lt_logger_api lth_logger_table; /* lt.logger/1 */
#endif
