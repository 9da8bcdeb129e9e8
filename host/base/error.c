/* base/error.c - keeps the first failure. Formats into the caller's storage: reporting "out of memory" needs none. */
#include "base/error.h"
#include <stdio.h>
#include <string.h>

/* A text too long for its buffer ends in "...", not inside a UTF-8 sequence. */
static void mark_cut(char *text, size_t size) {
    size_t at = size - 4;
    while (at > 0 && ((unsigned char)text[at] & 0xC0) == 0x80) {
        at--;
    }
    memcpy(text + at, "...", 4);
}

static lt_status keep(lth_error *err, lt_status code, const char *op, void *caller, const char *format, va_list args) {
    if (code == LT_OK) {
        code = LT_EINVAL;
    }
    if (!err || err->code != LT_OK) {
        return code;
    }
    err->code = code;
    err->caller = caller;
    snprintf(err->op, sizeof err->op, "%s", op ? op : "");
    int length = vsnprintf(err->text, sizeof err->text, format, args);
    if (length < 0) {
        snprintf(err->text, sizeof err->text, "%s (its text could not be formatted)", lth_status_text(code));
    } else if ((size_t)length >= sizeof err->text) {
        mark_cut(err->text, sizeof err->text);
    }
    return code;
}

lt_status lth_fail(lth_error *err, lt_status code, const char *format, ...) {
    va_list args;
    va_start(args, format);
    code = keep(err, code, NULL, NULL, format, args);
    va_end(args);
    return code;
}

lt_status lth_vfail(lth_error *err, lt_status code, const char *format, va_list args) { return keep(err, code, NULL, NULL, format, args); }

lt_status lth_fail_op(lth_error *err, lt_status code, const char *op, void *caller, const char *format, ...) {
    va_list args;
    va_start(args, format);
    code = keep(err, code, op, caller, format, args);
    va_end(args);
    return code;
}

void lth_error_clear(lth_error *err) {
    err->code = LT_OK;
    err->text[0] = 0;
    err->op[0] = 0;
    err->caller = NULL;
}

const char *lth_status_name(lt_status code) {
    switch (code) {
    case LT_OK: return "LT_OK";
    case LT_SKIP: return "LT_SKIP";
#define CASE(name, value, text) case LT_##name: return "LT_" #name;
        LT_STATUS_LIST(CASE)
#undef CASE
    default: return "?";
    }
}

const char *lth_status_text(lt_status code) {
    switch (code) {
    case LT_OK: return "success";
    case LT_SKIP: return "skip";
#define CASE(name, value, text) case LT_##name: return text;
        LT_STATUS_LIST(CASE)
#undef CASE
    default: return "?";
    }
}
