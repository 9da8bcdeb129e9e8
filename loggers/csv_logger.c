/* CSVLogger: metrics.csv with one row per logged step and a column per metric, and hparams.yaml. Lightning's logger of that name.
 * A new metric makes a new column: the file is rewritten once, atomically. A resumed run keeps the rows its checkpoint knew. */
#include <inttypes.h>
#include <lt/logger.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS = 1024 };
typedef struct {
    const char *save_dir, *name, *prefix;
    lt_opt_int version;
    lt_file *file;
    char *columns[COLUMNS]; /* after epoch and step, in order of appearance */
    int count;
    int64_t rows, keep;     /* keep: rows to leave of a resumed run's file; -1 all */
    bool torn;              /* the file's last line was cut off */
} csv;

LT_PARAMS(csv,
    LT_PARAM(save_dir, "", "Folder of the runs; empty: the trainer's default_root_dir.", LT_PATH),
    LT_PARAM(name, "lthost_logs", "Folder of this experiment, below save_dir."),
    LT_PARAM(version, "null", "Number of the run; null: the next free one.", LT_RANGE("0..")),
    LT_PARAM(prefix, "", "Put before each metric's name, with a \"-\" between."));

static void construct(void *self) { ((csv *)self)->keep = -1; }

static void destroy(void *self) {
    csv *c = self;

    for (int i = 0; i < c->count; i++) {
        free(c->columns[i]);
    }
}

static lt_status location(lt_ctx *ctx, void *self, lt_log_location *out) {
    csv *c = self;

    (void)ctx;
    out->save_dir = c->save_dir;
    out->name = c->name;
    out->version = c->version.given ? c->version.value : -1;
    return LT_OK;
}

/* ---- columns ---- */

/* Names are written as they are; only what would break a line is replaced. */
static char *clean(const char *prefix, const char *name) {
    size_t size = strlen(prefix) + strlen(name) + 2;
    char *text = malloc(size);

    if (text) {
        snprintf(text, size, *prefix ? "%s-%s" : "%s%s", prefix, name);
        for (char *p = text; *p; p++) {
            *p = *p == ',' || *p == '"' || *p == '\n' || *p == '\r' ? '_' : *p;
        }
    }
    return text;
}

static int find(const csv *c, const char *column) {
    for (int i = 0; i < c->count; i++) {
        if (!strcmp(c->columns[i], column)) {
            return i;
        }
    }
    return -1;
}

/* Takes text over. */
static bool add_column(lt_ctx *ctx, csv *c, char *text) {
    if (!text || c->count == COLUMNS) {
        free(text);
        lt_fail(ctx, LT_ENOMEM, "more than %d metrics, or out of memory", COLUMNS);
        return false;
    }
    c->columns[c->count++] = text;
    return true;
}

/* What stands in the first line of an existing file. */
static void read_header(lt_ctx *ctx, csv *c, const char *text, size_t size) {
    const char *end = memchr(text, '\n', size);
    const char *at = end ? memchr(text, ',', (size_t)(end - text)) : NULL; /* after "epoch" */

    at = at ? memchr(at + 1, ',', (size_t)(end - at - 1)) : NULL; /* after "step" */
    while (at) {
        const char *next = memchr(at + 1, ',', (size_t)(end - at - 1)), *stop = next ? next : end;

        if (!add_column(ctx, c, strndup(at + 1, (size_t)(stop - at - 1)))) {
            return;
        }
        at = next;
    }
    for (const char *p = end; p && p < text + size; p = memchr(p + 1, '\n', (size_t)(text + size - p - 1))) {
        c->rows++;
    }
    c->rows -= end != NULL;
    c->torn = text[size - 1] != '\n';
}

/* ---- rewriting: a wider header, or fewer rows ---- */

typedef struct lines { char *data; size_t size, room; bool failed; } lines;

static void put(lines *t, const char *data, size_t size) {
    if (t->size + size > t->room) {
        size_t room = 2 * (t->size + size) + 4096;
        char *grown = realloc(t->data, room);

        if (!grown) {
            t->failed = true;
            return;
        }
        t->data = grown;
        t->room = room;
    }
    memcpy(t->data + t->size, data, size);
    t->size += size;
}

static void put_header(lines *t, const csv *c) {
    put(t, "epoch,step", 10);
    for (int i = 0; i < c->count; i++) {
        put(t, ",", 1);
        put(t, c->columns[i], strlen(c->columns[i]));
    }
    put(t, "\n", 1);
}

/* Old rows, padded to the columns there are now. */
static void put_rows(lines *t, const csv *c, const char *data, size_t size, int64_t limit) {
    const char *line = memchr(data, '\n', size), *end = data + size;

    for (int64_t row = 0; line && line + 1 < end && (limit < 0 || row < limit); row++) {
        const char *begin = line + 1, *stop = memchr(begin, '\n', (size_t)(end - begin));
        int commas = 0;

        if (!stop) {
            return; /* a torn last line */
        }
        for (const char *p = begin; p < stop; p++) {
            commas += *p == ',';
        }
        put(t, begin, (size_t)(stop - begin));
        for (; commas < c->count + 1; commas++) {
            put(t, ",", 1);
        }
        put(t, "\n", 1);
        line = stop;
    }
}

static lt_status rewrite(lt_ctx *ctx, csv *c, int64_t limit) {
    size_t size = 0;
    const char *old = lt_file_content(ctx, c->file, &size);
    lines t = {0};

    if (!old) {
        return lt_ctx_status(ctx);
    }
    put_header(&t, c);
    put_rows(&t, c, old, size, limit);
    if (t.failed) {
        lt_fail(ctx, LT_ENOMEM, "out of memory rewriting metrics.csv");
    } else {
        lt_file_rewrite(ctx, c->file, t.data, t.size);
    }
    free(t.data);
    return lt_ctx_status(ctx);
}

/* ---- hooks ---- */

static lt_status open_file(lt_ctx *ctx, void *self) {
    csv *c = self;
    size_t size = 0;
    const char *text;

    c->file = lt_file_append(ctx, "metrics.csv");
    text = lt_file_content(ctx, c->file, &size);
    if (text && size) {
        read_header(ctx, c, text, size);
    }
    return lt_ctx_status(ctx);
}

static lt_status add_columns(lt_ctx *ctx, csv *c, const lt_scalars *const *rows, uint32_t count, bool *added) {
    for (uint32_t r = 0; r < count; r++) {
        for (uint32_t i = 0; i < rows[r]->count; i++) {
            char *column = clean(c->prefix, rows[r]->names[i]);

            if (column && find(c, column) >= 0) {
                free(column);
            } else if (!add_column(ctx, c, column)) {
                return lt_ctx_status(ctx);
            } else {
                *added = true;
            }
        }
    }
    return LT_OK;
}

/* The shortest text that reads back as the same number: 0.1, not 0.10000000000000001. */
static void print_number(lt_ctx *ctx, csv *c, double value) {
    char out[40];

    for (int digits = 6; digits <= 17; digits++) {
        snprintf(out, sizeof out, "%.*g", digits, value);
        if (strtod(out, NULL) == value) {
            break;
        }
    }
    lt_file_print(ctx, c->file, ",%s", out);
}

static void print_row(lt_ctx *ctx, csv *c, const lt_scalars *row) {
    double values[COLUMNS];
    bool there[COLUMNS];

    memset(there, 0, sizeof there);
    for (uint32_t i = 0; i < row->count; i++) {
        char *column = clean(c->prefix, row->names[i]);
        int at = column ? find(c, column) : -1;

        free(column);
        if (at >= 0) {
            values[at] = row->values[i];
            there[at] = true;
        }
    }
    lt_file_print(ctx, c->file, "%" PRId64 ",%" PRId64, row->epoch, row->step);
    for (int i = 0; i < c->count; i++) {
        if (there[i]) {
            print_number(ctx, c, values[i]);
        } else {
            lt_file_write(ctx, c->file, ",", 1);
        }
    }
    lt_file_write(ctx, c->file, "\n", 1);
    c->rows++;
}

static lt_status scalars(lt_ctx *ctx, void *self, const lt_scalars *const *rows, uint32_t count) {
    csv *c = self;
    bool added = false;

    if (add_columns(ctx, c, rows, count, &added)) {
        return lt_ctx_status(ctx);
    }
    if (added || c->torn || (c->keep >= 0 && c->keep < c->rows)) {
        if (rewrite(ctx, c, c->keep)) {
            return lt_ctx_status(ctx);
        }
        c->rows = c->keep >= 0 && c->keep < c->rows ? c->keep : c->rows;
    }
    c->keep = -1;
    c->torn = false;
    for (uint32_t r = 0; r < count; r++) {
        print_row(ctx, c, rows[r]);
    }
    return lt_ctx_status(ctx);
}

/* "model/hidden" -> "model/hidden: 128", one line each: a flat YAML map. */
static lt_status hparams(lt_ctx *ctx, void *self, const lt_hparams *h) {
    lt_file *file = lt_file_append(ctx, "hparams.yaml");
    lines t = {0};

    (void)self;
    for (uint32_t i = 0; i < h->count; i++) {
        put(&t, h->names[i], strlen(h->names[i]));
        put(&t, ": ", 2);
        put(&t, h->values[i], strlen(h->values[i]));
        put(&t, "\n", 1);
    }
    if (!t.failed && t.data) {
        lt_file_rewrite(ctx, file, t.data, t.size);
    }
    free(t.data);
    return lt_ctx_status(ctx);
}

static lt_status save(lt_ctx *ctx, void *self, lt_state_writer *out) {
    lt_state_put_i64(ctx, out, "rows", ((csv *)self)->rows);
    return lt_ctx_status(ctx);
}

static lt_status load(lt_ctx *ctx, void *self, const lt_state_reader *in) {
    ((csv *)self)->keep = lt_state_get_i64(ctx, in, "rows", -1);
    return lt_ctx_status(ctx);
}

LT_LOGGER(CSVLogger, csv, "Metrics as a CSV file, hyper-parameters as YAML.",
    .base.construct = construct,
    .base.destroy = destroy,
    .location = location,
    .open = open_file,
    .scalars = scalars,
    .hparams = hparams,
    .save = save,
    .load = load);
LT_PLUGIN("org.lthost.csv-logger", "0.1.0", logger(CSVLogger));
