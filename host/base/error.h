/* base/error.h - one failure, kept once: code, text, and where it happened.
 * The first failure wins; later ones are dropped, since they follow from it. Nothing here prints or exits. */
#ifndef LTH_ERROR_H
#define LTH_ERROR_H
#include <lt/base.h>

typedef struct lth_error {
    lt_status code;     /* LT_OK: no failure */
    char text[1024];    /* what, and how to fix it; may hold several lines */
    char op[64];        /* the SDK function or engine op that failed; "" if none */
    void *caller;       /* return address in the plugin; NULL if not known */
} lth_error;

/* Keeps the failure unless one is kept already. Returns code (LT_EINVAL for 0). err NULL: only returns. */
lt_status lth_fail(lth_error *err, lt_status code, const char *format, ...) __attribute__((format(printf, 3, 4)));
lt_status lth_vfail(lth_error *err, lt_status code, const char *format, va_list args);
/* The same, with the name of the op and the caller in the plugin. */
lt_status lth_fail_op(lth_error *err, lt_status code, const char *op, void *caller, const char *format, ...) __attribute__((format(printf, 5, 6)));
void lth_error_clear(lth_error *err);
/* "LT_ESHAPE" and "shapes do not fit"; "?" for an unknown code. */
const char *lth_status_name(lt_status code);
const char *lth_status_text(lt_status code);
#endif
