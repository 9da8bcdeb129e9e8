/* base/str.c - growable text, nearest names, numbers as text. Numbers are read and written in the C locale whatever a plugin has set. */
#include "base/str.h"
#include "base/mem.h"
#include <ctype.h>
#include <locale.h>
#include <lt/base.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- growable text ---- */

static bool reserve(lth_buf *buf, size_t more) {
    if (buf->failed || more > SIZE_MAX / 4 - buf->size) {
        buf->failed = true;
        return false;
    }
    size_t needed = buf->size + more + 1;
    if (needed <= buf->capacity) {
        return true;
    }
    size_t capacity = buf->capacity ? buf->capacity * 2 : 128;
    if (capacity < needed) {
        capacity = needed;
    }
    char *data = lth_realloc(buf->data, buf->capacity, capacity);
    if (!data) {
        buf->failed = true;
        return false;
    }
    buf->data = data;
    buf->capacity = capacity;
    return true;
}

void lth_buf_add(lth_buf *buf, const char *text) { lth_buf_add_bytes(buf, text, strlen(text)); }

void *lth_buf_extend(lth_buf *buf, size_t size) {
    if (!reserve(buf, size)) {
        return NULL;
    }
    buf->size += size;
    buf->data[buf->size] = 0;
    return buf->data + buf->size - size;
}

void lth_buf_add_bytes(lth_buf *buf, const void *data, size_t size) {
    if (!reserve(buf, size)) {
        return;
    }
    if (size) {
        memcpy(buf->data + buf->size, data, size);
    }
    buf->size += size;
    buf->data[buf->size] = 0;
}

void lth_buf_printf(lth_buf *buf, const char *format, ...) {
    va_list args;
    va_start(args, format);
    lth_buf_vprintf(buf, format, args);
    va_end(args);
}

void lth_buf_add_shell(lth_buf *buf, const char *text) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:,@%";

    if (*text && text[strspn(text, plain)] == 0) {
        lth_buf_add(buf, text);
        return;
    }
    lth_buf_add(buf, "'");
    for (const char *quote; (quote = strchr(text, '\'')); text = quote + 1) {
        lth_buf_add_bytes(buf, text, (size_t)(quote - text));
        lth_buf_add(buf, "'\\''");
    }
    lth_buf_add(buf, text);
    lth_buf_add(buf, "'");
}

void lth_buf_vprintf(lth_buf *buf, const char *format, va_list args) {
    va_list again;
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    if (length < 0) {
        buf->failed = true;
    } else if (reserve(buf, (size_t)length)) {
        vsnprintf(buf->data + buf->size, (size_t)length + 1, format, again);
        buf->size += (size_t)length;
    }
    va_end(again);
}

const char *lth_buf_text(const lth_buf *buf) { return buf->data ? buf->data : ""; }

void lth_buf_clear(lth_buf *buf) {
    buf->size = 0;
    buf->failed = false;
    if (buf->data) {
        buf->data[0] = 0;
    }
}

void lth_buf_release(lth_buf *buf) {
    lth_free(buf->data);
    *buf = (lth_buf){0};
}

/* ---- nearest name ---- */

enum { LONGEST_NAME = 95 };

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/* Edits to turn a into b: insert, delete, replace, swap neighbours; case ignored. Both at most LONGEST_NAME long. */
static size_t edit_distance(const char *a, size_t a_length, const char *b, size_t b_length) {
    size_t rows[3][LONGEST_NAME + 1];
    size_t *before = rows[0], *last = rows[1], *row = rows[2];
    for (size_t j = 0; j <= b_length; j++) {
        last[j] = j;
    }
    for (size_t i = 1; i <= a_length; i++) {
        row[0] = i;
        int c = tolower((unsigned char)a[i - 1]);
        for (size_t j = 1; j <= b_length; j++) {
            int d = tolower((unsigned char)b[j - 1]);
            row[j] = smaller(smaller(last[j], row[j - 1]) + 1, last[j - 1] + (c != d));
            if (i > 1 && j > 1 && c == tolower((unsigned char)b[j - 2]) && d == tolower((unsigned char)a[i - 2])) {
                row[j] = smaller(row[j], before[j - 2] + 1);
            }
        }
        size_t *spare = before;
        before = last;
        last = row;
        row = spare;
    }
    return last[b_length];
}

const char *lth_nearest(const char *name, const char *const *candidates, size_t count) {
    size_t length = strlen(name), best_distance = length / 3 > 2 ? length / 3 + 1 : 3;
    const char *best = NULL;
    if (length > LONGEST_NAME) {
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        size_t other = candidates[i] ? strlen(candidates[i]) : 0;
        if (other == 0 || other > LONGEST_NAME) {
            continue;
        }
        size_t distance = edit_distance(name, length, candidates[i], other);
        size_t longer = length > other ? length : other;
        if (distance < best_distance && distance < longer) { /* all letters replaced is not near: "lr" is not "ab" */
            best_distance = distance;
            best = candidates[i];
        }
    }
    return best;
}

/* ---- numbers ---- */

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* A decimal number taken apart: digits * 10^exponent. Exact, so that no integer passes through a double. */
typedef struct decimal {
    bool negative, overflow;
    bool is_plain; /* digits only: neither point nor exponent */
    bool has_exponent;
    uint64_t digits;
    int64_t exponent;
} decimal;

/* Zeros are held back until another digit follows, so that "1000" is 1 * 10^3 and "2.50" is 25 * 10^-1. */
static void take_digit(decimal *d, unsigned digit, int64_t *zeros) {
    if (digit == 0) {
        *zeros += d->digits != 0;
        return;
    }
    for (; *zeros >= 0; (*zeros)--) {
        unsigned last = *zeros == 0 ? digit : 0;
        if (__builtin_mul_overflow(d->digits, (uint64_t)10, &d->digits) || __builtin_add_overflow(d->digits, (uint64_t)last, &d->digits)) {
            d->overflow = true;
        }
    }
    *zeros = 0;
}

/* Decimal places with single '_' between them; returns how many digits, -1 for a misplaced '_'. */
static int take_digits(const char **at, decimal *d, int64_t *zeros) {
    int count = 0;
    for (const char *c = *at;; c++) {
        if (is_digit(*c)) {
            take_digit(d, (unsigned)(*c - '0'), zeros);
            count++;
        } else if (*c != '_' || count == 0 || !is_digit(c[1])) {
            *at = c;
            return *c == '_' ? -1 : count;
        }
    }
}

static bool take_exponent(const char **at, decimal *d) {
    const char *c = *at + 1;
    bool negative = *c == '-';
    c += *c == '-' || *c == '+';
    if (!is_digit(*c)) {
        return false;
    }
    int64_t value = 0;
    for (; is_digit(*c); c++) {
        value = value < 100000 ? value * 10 + (*c - '0') : value;
    }
    d->exponent += negative ? -value : value;
    d->has_exponent = true;
    *at = c;
    return true;
}

/* False: not a decimal number. */
static bool take_decimal(const char *text, decimal *d) {
    *d = (decimal){.negative = *text == '-', .is_plain = true};
    const char *at = text + (*text == '-' || *text == '+');
    int64_t zeros = 0;
    int whole = take_digits(&at, d, &zeros), fraction = 0;
    if (whole < 0) {
        return false;
    }
    if (*at == '.') {
        d->is_plain = false;
        at++;
        fraction = take_digits(&at, d, &zeros);
    }
    if (fraction < 0 || whole + fraction == 0) {
        return false;
    }
    d->exponent = zeros - fraction;
    if (*at == 'e' || *at == 'E') {
        d->is_plain = false;
        if (!take_exponent(&at, d)) {
            return false;
        }
    }
    return *at == 0;
}

bool lth_parse_i64(const char *text, int64_t *out) {
    decimal d;
    if (!text || !take_decimal(text, &d) || !(d.is_plain || d.has_exponent)) {
        return false;
    }
    if (d.digits == 0 && !d.overflow) {
        *out = 0;
        return true;
    }
    if (d.overflow || d.exponent < 0 || d.exponent > 18) {
        return false;
    }
    uint64_t value = d.digits, limit = (uint64_t)INT64_MAX + d.negative;
    for (int64_t i = 0; i < d.exponent; i++) {
        if (value > limit / 10) {
            return false;
        }
        value *= 10;
    }
    if (value > limit) {
        return false;
    }
    *out = d.negative ? (int64_t)(0 - value) : (int64_t)value;
    return true;
}

/* inf, nan and YAML's .inf, .nan, signed, in any case. */
static bool parse_special(const char *text, double *out) {
    double sign = *text == '-' ? -1.0 : 1.0;
    const char *word = text + (*text == '-' || *text == '+');
    bool dotted = *word == '.';
    word += dotted;
    if (!strcasecmp(word, "inf") || (!dotted && !strcasecmp(word, "infinity"))) {
        *out = sign * INFINITY;
        return true;
    }
    if (!strcasecmp(word, "nan")) {
        *out = NAN;
        return true;
    }
    return false;
}

/* glibc hands out its static C locale: no memory, nothing to free. */
static locale_t c_locale(void) { return newlocale(LC_ALL_MASK, "C", (locale_t)0); }

bool lth_parse_f64(const char *text, double *out) {
    decimal d;
    if (!text) {
        return false;
    }
    if (!take_decimal(text, &d)) {
        return parse_special(text, out);
    }
    char plain[512]; /* without the underscores */
    size_t size = 0;
    for (const char *c = text; *c; c++) {
        if (*c != '_') {
            if (size + 1 == sizeof plain) {
                return false;
            }
            plain[size++] = *c;
        }
    }
    plain[size] = 0;
    double value = strtod_l(plain, NULL, c_locale());
    if (isinf(value)) {
        return false; /* 1e999; who means infinity writes inf */
    }
    *out = value;
    return true;
}

bool lth_parse_bool(const char *text, bool *out) {
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on"};
    for (size_t i = 0; text && i < sizeof words / sizeof *words; i++) {
        if (!strcasecmp(text, words[i])) {
            *out = i % 2;
            return true;
        }
    }
    return false;
}

bool lth_text_is_null(const char *text) {
    return !strcmp(text, "null") || !strcmp(text, "~") || !strcmp(text, "Null") || !strcmp(text, "NULL");
}

void lth_format_f64(char *out, size_t size, double value) {
    if (isnan(value) || isinf(value)) {
        snprintf(out, size, "%s", isnan(value) ? "nan" : value < 0 ? "-inf" : "inf");
        return;
    }
    char text[40];
    locale_t before = uselocale(c_locale());
    /* 15 digits always survive, 17 always suffice; below the normal numbers fewer than 15 may do. */
    for (int precision = fabs(value) < 2.3e-308 ? 1 : 15; precision <= 17; precision++) {
        snprintf(text, sizeof text, "%.*g", precision, value);
        if (strtod(text, NULL) == value) {
            break;
        }
    }
    uselocale(before);
    snprintf(out, size, "%s", text);
}

void lth_format_shape(char *out, size_t size, const int64_t *shape, int ndim) {
    size_t used = 0;
    if (size == 0) {
        return;
    }
    out[0] = 0;
    for (int i = 0; i < ndim && used < size; i++) {
        int length = snprintf(out + used, size - used, "%s%lld", i ? ", " : "(", (long long)shape[i]);
        used += length > 0 ? (size_t)length : 0;
    }
    if (used < size) {
        snprintf(out + used, size - used, "%s", ndim > 0 ? ")" : "()");
    }
}

/* ---- dtypes ---- */

const char *lth_dtype_name(int32_t dtype) {
    static const char *const names[] = {"?", "f64", "f32", "f16", "bf16", "i64", "i32", "u8", "bool"};
    return dtype >= LT_F64 && dtype <= LT_BOOL ? names[dtype] : names[0];
}

size_t lth_dtype_size(int32_t dtype) {
    static const uint8_t sizes[] = {0, 8, 4, 2, 2, 8, 4, 1, 1};
    return dtype >= LT_F64 && dtype <= LT_BOOL ? sizes[dtype] : 0;
}

const char *lth_with_commas(uint64_t number, char out[32]) {
    char digits[32];
    int length = snprintf(digits, sizeof digits, "%llu", (unsigned long long)number), used = 0;
    for (int i = 0; i < length; i++) {
        if (i && (length - i) % 3 == 0) {
            out[used++] = ',';
        }
        out[used++] = digits[i];
    }
    out[used] = 0;
    return out;
}
