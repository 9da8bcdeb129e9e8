/* base/str.h - growable text, nearest names, numbers as text. */
#ifndef LTH_STR_H
#define LTH_STR_H
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct lth_buf { char *data; size_t size, capacity; bool failed; } lth_buf; /* zeroes: empty; always NUL-terminated once written */

void lth_buf_add(lth_buf *buf, const char *text);
void lth_buf_add_bytes(lth_buf *buf, const void *data, size_t size);
void *lth_buf_extend(lth_buf *buf, size_t size);  /* room at the end, to be filled; NULL when out of memory (buf->failed) */
void lth_buf_printf(lth_buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
void lth_buf_add_shell(lth_buf *buf, const char *text); /* one word of a shell command, quoted where it must be */
void lth_buf_vprintf(lth_buf *buf, const char *format, va_list args);
const char *lth_buf_text(const lth_buf *buf);   /* "" when empty */
void lth_buf_clear(lth_buf *buf);               /* keeps the memory */
void lth_buf_release(lth_buf *buf);

/* The candidate nearest to `name` by edit distance, case ignored; NULL if none is within a third of its length (at least 2). */
const char *lth_nearest(const char *name, const char *const *candidates, size_t count);
/* Whole text as a number; false if it is none, is out of range or has trailing characters. Integers accept 1_000 and 1e3;
 * floats accept inf, nan, .5 and 1e-3. */
bool lth_parse_i64(const char *text, int64_t *out);
bool lth_parse_f64(const char *text, double *out);
/* true/false, yes/no, on/off in any case: what YAML 1.1 takes for a truth value. */
bool lth_parse_bool(const char *text, bool *out);
/* "null", "Null", "NULL" and "~": what YAML takes for null. */
bool lth_text_is_null(const char *text);
/* Shortest text that reads back as the same double: "0.001", "1e-08", "nan", "inf"; always told apart from an integer's text where
 * a float is meant is not its concern. */
void lth_format_f64(char *out, size_t size, double value);
const char *lth_with_commas(uint64_t number, char out[32]); /* 61440 as "61,440" */
/* "(64, 1, 28, 28)" */
void lth_format_shape(char *out, size_t size, const int64_t *shape, int ndim);
const char *lth_dtype_name(int32_t dtype);      /* "f32"; "?" */
size_t lth_dtype_size(int32_t dtype);           /* bytes; 0 for an unknown dtype */
#endif
