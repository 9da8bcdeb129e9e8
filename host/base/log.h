/* base/log.h - lines to the terminal (stderr; results: stdout): one funnel, so that a progress bar below them survives. [any thread] */
#ifndef LTH_LOG_H
#define LTH_LOG_H
#include <stdarg.h>
#include <stdbool.h>

typedef enum { LTH_INFO, LTH_WARNING, LTH_ERROR, LTH_RESULT } lth_level; /* LTH_RESULT: what the verb was run for, for pipes */
void lth_log(lth_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
void lth_vlog(lth_level level, const char *prefix, const char *format, va_list args);
/* The status line (progress bar): redrawn below whatever is printed; NULL removes it. Ignored when stderr is no terminal. */
void lth_log_status(const char *line);
int lth_log_width(void);    /* columns of the terminal on stderr; 0 when it is none (or NO_TTY is set) */
#endif
