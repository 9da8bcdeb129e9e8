/* base/npy.c - see npy.h. */
#include "base/npy.h"
#include "base/str.h"
#include <string.h>

enum { MOST_HEADER = LTH_NPY_FRONT - 12 };

typedef struct npy {
    const char *path;
    const char *at, *end; /* the header's text, NUL-terminated */
    char descr[32];
    bool has_descr, has_order, has_shape, fortran;
    int32_t ndim;
    int64_t shape[LT_MAX_DIMS];
    lth_error *err;
} npy;

static bool malformed(npy *n, const char *what) {
    lth_fail(n->err, LT_EFORMAT, "%s is not a valid .npy file: %s", n->path, what);
    return false;
}

/* ---- the header: a Python dict of three entries ---- */

static void skip_blanks(npy *n) {
    while (*n->at == ' ' || *n->at == '\n' || *n->at == '\t') {
        n->at++;
    }
}

static bool take(npy *n, char c) {
    skip_blanks(n);
    if (*n->at != c) {
        return false;
    }
    n->at++;
    return true;
}

static bool take_word(npy *n, const char *word) {
    skip_blanks(n);
    size_t length = strlen(word);
    if (strncmp(n->at, word, length) != 0) {
        return false;
    }
    n->at += length;
    return true;
}

/* A quoted text without escapes. */
static bool take_text(npy *n, char *out, size_t size) {
    skip_blanks(n);
    char quote = *n->at;
    size_t length = quote == '\'' || quote == '"' ? strcspn(n->at + 1, "'\"\\\n") : size;
    if (length >= size || n->at[length + 1] != quote) {
        return malformed(n, "a text in its header is too long or not closed");
    }
    memcpy(out, n->at + 1, length);
    out[length] = 0;
    n->at += length + 2;
    return true;
}

static bool take_size(npy *n, int64_t *out) {
    skip_blanks(n);
    if (*n->at < '0' || *n->at > '9') {
        return malformed(n, "a dimension in its header is no number");
    }
    *out = 0;
    for (; *n->at >= '0' && *n->at <= '9'; n->at++) {
        if (__builtin_mul_overflow(*out, 10, out) || __builtin_add_overflow(*out, *n->at - '0', out)) {
            return malformed(n, "a dimension in its header is too large");
        }
    }
    n->at += *n->at == 'L'; /* Python 2 */
    return true;
}

static bool take_shape(npy *n) {
    if (!take(n, '(')) {
        return malformed(n, "the shape in its header is no tuple");
    }
    while (!take(n, ')')) {
        int64_t size = 0;
        if (!take_size(n, &size)) {
            return false;
        }
        if (n->ndim == LT_MAX_DIMS) {
            lth_fail(n->err, LT_EFORMAT, "%s has more than %d dimensions", n->path, LT_MAX_DIMS);
            return false;
        }
        n->shape[n->ndim++] = size;
        skip_blanks(n);
        if (!take(n, ',') && *n->at != ')') {
            return malformed(n, "the shape in its header is no tuple");
        }
    }
    return true;
}

static bool take_descr(npy *n) {
    skip_blanks(n);
    if (*n->at == '[') {
        lth_fail(n->err, LT_EDTYPE, "%s holds records; save one plain array: numpy.save(path, x[\"field\"])", n->path);
        return false;
    }
    return take_text(n, n->descr, sizeof n->descr);
}

static bool take_entry(npy *n) {
    char key[32];
    if (!take_text(n, key, sizeof key)) {
        return false;
    }
    bool *seen = !strcmp(key, "descr")           ? &n->has_descr
                 : !strcmp(key, "fortran_order") ? &n->has_order
                 : !strcmp(key, "shape")         ? &n->has_shape
                                                 : NULL;
    if (!seen || *seen || !take(n, ':')) {
        return malformed(n, seen && *seen ? "an entry of its header stands twice" : "its header has an unknown entry");
    }
    *seen = true;
    if (seen == &n->has_descr) {
        return take_descr(n);
    }
    if (seen == &n->has_shape) {
        return take_shape(n);
    }
    n->fortran = take_word(n, "True");
    return n->fortran || take_word(n, "False") || malformed(n, "fortran_order is neither True nor False");
}

static bool parse(npy *n) {
    if (!take(n, '{')) {
        return malformed(n, "its header is no dict");
    }
    while (!take(n, '}')) {
        if (!take_entry(n)) {
            return false;
        }
        skip_blanks(n);
        if (!take(n, ',') && *n->at != '}') {
            return malformed(n, "its header is no dict");
        }
    }
    skip_blanks(n);
    if (n->at != n->end) {
        return malformed(n, "something follows the dict in its header");
    }
    return (n->has_descr && n->has_order && n->has_shape) || malformed(n, "its header lacks descr, fortran_order or shape");
}

/* ---- what it means ---- */

static lt_dtype find_dtype(npy *n) {
    static const struct { const char *name; lt_dtype dtype; } known[] = {{"f8", LT_F64}, {"f4", LT_F32}, {"f2", LT_F16}, {"i8", LT_I64},
                                                                         {"i4", LT_I32}, {"u1", LT_U8}, {"b1", LT_BOOL}};
    char order = n->descr[0];
    const char *name = n->descr + (order == '<' || order == '|' || order == '>' || order == '=');
    lt_dtype found = 0;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        found = !strcmp(name, known[i].name) ? known[i].dtype : found;
    }
    if (!found) {
        bool object = name[0] == 'O';
        lth_fail(n->err, LT_EDTYPE, "%s holds %s \"%s\"; f8, f4, f2, i8, i4, u1 and b1 are read: convert with x.astype(\"float32\")",
                 n->path, object ? "Python objects," : "numbers of dtype", n->descr);
        return 0;
    }
    if (lth_dtype_size(found) > 1 && order != '<') {
        lth_fail(n->err, LT_EDTYPE, "%s holds %s numbers (dtype \"%s\"); convert with x.astype(\"<%s\")", n->path,
                 order == '>' ? "big-endian" : "not little-endian", n->descr, name);
        return 0;
    }
    return found;
}

static bool data_size(npy *n, lt_dtype dtype, uint64_t have, uint64_t *size) {
    char a[32], b[32], shape[256];
    uint64_t need = lth_dtype_size(dtype);
    bool empty = false, large = false;
    for (int i = 0; i < n->ndim; i++) {
        empty |= n->shape[i] == 0;
        large |= __builtin_mul_overflow(need, (uint64_t)n->shape[i], &need);
    }
    need = empty ? 0 : need;
    lth_format_shape(shape, sizeof shape, n->shape, n->ndim);
    if (large && !empty) {
        lth_fail(n->err, LT_EFORMAT, "%s claims the shape %s, larger than any file", n->path, shape);
    } else if (need > have) {
        lth_fail(n->err, LT_EFORMAT, "%s is truncated: %s of %s bytes of data for shape %s", n->path, lth_with_commas(have, a),
                 lth_with_commas(need, b), shape);
    } else if (need < have) {
        lth_fail(n->err, LT_EFORMAT, "%s holds %s bytes of data, shape %s needs %s", n->path, lth_with_commas(have, a), shape,
                 lth_with_commas(need, b));
    }
    *size = need;
    return need == have && (empty || !large);
}

/* ---- the bytes before it ---- */

/* The header's text into out (MOST_HEADER bytes); *data: where the array begins. */
static bool read_header(npy *n, const unsigned char *front, size_t have, uint64_t file_size, char *out, uint64_t *data) {
    if (have < 10 || memcmp(front, "\x93NUMPY", 6) != 0) {
        return malformed(n, "it does not begin as one; make it with numpy.save");
    }
    if (front[6] < 1 || front[6] > 3) {
        return malformed(n, "its format version is none of 1, 2 and 3");
    }
    uint64_t start = front[6] == 1 ? 10 : 12, length = front[8] | (uint64_t)front[9] << 8;
    if (front[6] != 1) {
        length |= have < 12 ? 0 : (uint64_t)front[10] << 16 | (uint64_t)front[11] << 24;
    }
    if (length >= MOST_HEADER || start + length > file_size || start + length > have) {
        return malformed(n, length >= MOST_HEADER ? "its header is too long" : "it ends inside its header");
    }
    memcpy(out, front + start, (size_t)length);
    out[length] = 0;
    n->at = out;
    n->end = out + length;
    *data = start + length;
    return !memchr(out, 0, (size_t)length) || malformed(n, "its header holds a zero byte");
}

lt_status lth_npy_parse(const char *path, const void *front, size_t have, uint64_t file_size, lt_npy_header *out, lth_error *err) {
    char header[MOST_HEADER];
    lth_error own = {0};
    npy n = {.path = path, .err = &own};
    uint64_t start = 0, size = 0;
    lt_dtype dtype = 0;
    bool good = read_header(&n, front, have, file_size, header, &start) && parse(&n) && (dtype = find_dtype(&n)) != 0;
    if (good && n.fortran && n.ndim > 1) {
        lth_fail(&own, LT_EFORMAT, "%s is in Fortran order; save it with numpy.save(path, numpy.ascontiguousarray(x))", path);
        good = false;
    }
    if (!good || !data_size(&n, dtype, file_size - start, &size)) {
        return lth_fail(err, own.code, "%s", own.text);
    }
    out->dtype = dtype;
    out->ndim = n.ndim;
    memcpy(out->shape, n.shape, sizeof out->shape);
    out->offset = (int64_t)start;
    out->size = (int64_t)size;
    return LT_OK;
}
