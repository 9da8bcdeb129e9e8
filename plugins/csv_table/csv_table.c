/* CSVTable: rows of CSV files as samples. Batches are a list of x (B, features) f32, the target y, and, with one_hot: false, the categories
 * (B, columns) i64. y is (B, targets) f32, or (B) i64 classes. The table is read once and kept in memory; missing numbers are filled and
 * columns standardized with what the training rows say, and that goes into the checkpoint. Does not write and guesses no column's type. */
#include "../shared/loaders.h"
#include "../shared/split.h"
#include "table.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { TRAIN, VAL, TEST, PARTS };

/* What the training rows say of a column; number = (raw - mean) / std. */
typedef struct column_stats { double mean, std, fill; } column_stats;

typedef struct part {
    const table *table;
    int64_t *rows; /* of the table */
    int64_t count;
    const struct csv_table *owner;
} part;

typedef struct csv_table {
    const char *path, *val_path, *test_path, *delimiter;
    bool header, standardize, standardize_target, one_hot;
    lt_texts targets, categories, ints, ignore;
    enum { TARGET_FLOAT, TARGET_CLASS } target_type;
    enum missing_policy missing;
    enum { ERRORS, SKIP } on_error;
    double val_fraction, test_fraction;
    int64_t split_seed;
    LOADER_FIELDS;
    table tables[PARTS];
    part parts[PARTS];
    column_stats *numbers, *target_stats; /* per column */
    int64_t width;                        /* of x */
    lt_dataset *datasets[PARTS];
} csv_table;

LT_PARAMS(csv_table,
    LT_PARAM(path, LT_REQUIRED, "CSV file of the training rows.", LT_PATH),
    LT_PARAM(val_path, "null", "CSV file of the validation rows; default: val_fraction of the training file.", LT_PATH),
    LT_PARAM(test_path, "null", "CSV file of the test rows; default: test_fraction of the training file.", LT_PATH),
    LT_PARAM(delimiter, ",", "One character between fields."),
    LT_PARAM(header, "true", "The first row holds the columns' names; else they are named 0, 1, 2, ..."),
    LT_PARAM(targets, LT_REQUIRED, "Columns to predict."),
    LT_CHOICE(target_type, "float|category", "float", "Numbers, or one column of classes, numbered in the order of their names."),
    LT_PARAM(categories, "[]", "Columns of categories."),
    LT_PARAM(ints, "[]", "Columns of integers: a fraction there is an error. All others are numbers."),
    LT_PARAM(ignore, "[]", "Columns to leave out."),
    LT_PARAM(one_hot, "true", "Categories as columns of 0 and 1 in x, an unknown one as none; else as numbers in a tensor of their own."),
    LT_CHOICE(missing, "mean|zero|error|drop", "error",
              "A missing value (empty, NA, NaN, null, ?): the training mean, 0, an error, or the row is left out. Missing categories are a category."),
    LT_PARAM(standardize, "true", "Numbers minus the training mean, divided by the training standard deviation."),
    LT_PARAM(standardize_target, "false", "Targets, too."),
    LT_PARAM(val_fraction, "0.1", "Share of the rows for validation, where there is no val_path.", LT_RANGE("0..1")),
    LT_PARAM(test_fraction, "0.1", "Share of the rows for the test, where there is no test_path.", LT_RANGE("0..1")),
    LT_PARAM(split_seed, "42", "Seed of the draw of these rows."),
    LT_CHOICE(on_error, "error|skip", "error", "A malformed row (fields, quotes, no number) ends the run, or is left out, counted and named."),
    LOADER_PARAMS("Rows"));

/* ---- batches ---- */

static double filled(const column_stats *s, double raw) { return ((isnan(raw) ? s->fill : raw) - s->mean) / s->std; }

static void put_features(const csv_table *m, const table *t, int64_t row, float *x, int64_t *codes) {
    const double *numbers = t->numbers + row * t->n_numbers;
    const int32_t *in = t->codes + row * t->n_categories;
    for (int32_t i = 0; i < t->n_numbers; i++) {
        *x++ = (float)filled(&m->numbers[i], numbers[i]);
    }
    for (int32_t i = 0; i < t->n_categories; i++) {
        int32_t count = m->tables[TRAIN].sets[i].count;
        if (codes) {
            codes[i] = in[i];
            continue;
        }
        memset(x, 0, (size_t)count * sizeof *x);
        if (in[i] < count) {
            x[in[i]] = 1;
        }
        x += count;
    }
}

static lt_status get_batch(lt_ctx *ctx, const void *data, const int64_t *indices, int64_t count, lt_batch_out *out) {
    const part *p = data;
    const csv_table *m = p->owner;
    const table *t = p->table;
    bool classes = m->target_type == TARGET_CLASS, separate = !m->one_hot && t->n_categories;
    int64_t shape[2] = {count, m->width}, targets[2] = {count, t->n_targets}, categories[2] = {count, t->n_categories};
    float *x = lt_batch_tensor(ctx, out, NULL, LT_F32, 2, shape);
    void *y = lt_batch_tensor(ctx, out, NULL, classes ? LT_I64 : LT_F32, classes ? 1 : 2, targets);
    int64_t *codes = separate ? lt_batch_tensor(ctx, out, NULL, LT_I64, 2, categories) : NULL;
    for (int64_t i = 0; !lt_ctx_status(ctx) && i < count; i++) {
        int64_t row = p->rows[indices[i]];
        const double *in = t->targets + row * t->n_targets;
        put_features(m, t, row, x + i * m->width, codes ? codes + i * t->n_categories : NULL);
        for (int32_t k = 0; k < t->n_targets; k++) {
            if (classes) {
                ((int64_t *)y)[i] = (int64_t)in[0];
            } else {
                ((float *)y)[i * t->n_targets + k] = (float)filled(&m->target_stats[k], in[k]);
            }
        }
    }
    return lt_ctx_status(ctx);
}

/* ---- statistics ---- */

/* Mean and standard deviation (of the population) of one column over the training rows, two passes; a constant column is only shifted. */
static column_stats measure(const part *train, const double *values, int32_t stride, bool standardize) {
    double sum = 0, squares = 0, n = 0;
    for (int64_t i = 0; i < train->count; i++) {
        double v = values[train->rows[i] * stride];
        sum += isnan(v) ? 0 : v;
        n += !isnan(v);
    }
    double mean = n > 0 ? sum / n : 0;
    for (int64_t i = 0; i < train->count; i++) {
        double v = values[train->rows[i] * stride];
        squares += isnan(v) ? 0 : (v - mean) * (v - mean);
    }
    double std = n > 0 ? sqrt(squares / n) : 0;
    return standardize ? (column_stats){mean, std > 0 ? std : 1, mean} : (column_stats){0, 1, mean};
}

static lt_status measure_all(lt_ctx *ctx, csv_table *m) {
    const table *t = &m->tables[TRAIN];
    free(m->numbers);
    free(m->target_stats);
    m->numbers = calloc((size_t)t->n_numbers + 1, sizeof *m->numbers);
    m->target_stats = calloc((size_t)t->n_targets + 1, sizeof *m->target_stats);
    if (!m->numbers || !m->target_stats) {
        return lt_fail(ctx, LT_ENOMEM, "no memory for the statistics of %s", m->path);
    }
    m->width = t->n_numbers;
    for (int32_t i = 0; i < t->n_numbers; i++) {
        m->numbers[i] = measure(&m->parts[TRAIN], t->numbers + i, t->n_numbers, m->standardize);
    }
    for (int32_t i = 0; i < t->n_targets; i++) {
        m->target_stats[i] = measure(&m->parts[TRAIN], t->targets + i, t->n_targets, m->standardize_target);
    }
    for (int32_t i = 0; m->one_hot && i < t->n_categories; i++) {
        m->width += t->sets[i].count;
    }
    return m->width ? LT_OK : lt_fail(ctx, LT_ECONFIG, "%s: no column is left to predict from", m->path);
}

/* ---- opening ---- */

static lt_status read_table(lt_ctx *ctx, csv_table *m, int id, const char *path) {
    char why[FILE_WHY_MAX];
    table *t = &m->tables[id];
    table_options o = {m->delimiter[0], m->header, m->on_error == SKIP, m->missing, m->targets, m->categories, m->ints, m->ignore,
                       m->target_type == TARGET_CLASS};
    if (strlen(m->delimiter) != 1 || strchr("\"\r\n", m->delimiter[0])) {
        return lt_fail(ctx, LT_ECONFIG, "delimiter must be one character, and no quote");
    }
    if (!m->targets.count) {
        return lt_fail(ctx, LT_ECONFIG, "targets names no column");
    }
    lt_status status = table_read(t, path, &o, id == TRAIN ? NULL : &m->tables[TRAIN], why);
    if (status) {
        return lt_fail(ctx, status, "%s", why);
    }
    for (int64_t i = 0; i < t->skipped && i < (int64_t)(sizeof t->note / sizeof *t->note); i++) {
        lt_warn(ctx, "skipped %s", t->note[i]);
    }
    if (t->skipped || t->dropped) {
        lt_warn(ctx, "%s: %lld rows used, %lld malformed ones skipped, %lld dropped for missing values", path, (long long)t->rows,
                (long long)t->skipped, (long long)t->dropped);
    }
    return LT_OK;
}

/* Rows rows[0..count) of a table as a part; takes no memory over. */
static lt_status make_part(lt_ctx *ctx, csv_table *m, int id, const table *t, const int64_t *rows, int64_t count) {
    static const char *const names[] = {"CSV train", "CSV val", "CSV test"};
    part *p = &m->parts[id];
    free(p->rows);
    *p = (part){t, malloc((size_t)(count + 1) * sizeof *rows), count, m};
    if (!p->rows) {
        return lt_fail(ctx, LT_ENOMEM, "no memory for %lld rows", (long long)count);
    }
    for (int64_t i = 0; i < count; i++) {
        p->rows[i] = rows ? rows[i] : i;
    }
    m->datasets[id] = NULL;
    if (count) {
        lt_dataset_desc desc = {.struct_size = sizeof desc, .length = count, .name = names[id], .get_batch = get_batch, .data = p};
        m->datasets[id] = lt_data_dataset(ctx, &desc);
    }
    return lt_ctx_status(ctx);
}

/* Test rows first, so that they stay the same whatever val_fraction is. */
static lt_status split(lt_ctx *ctx, csv_table *m) {
    const table *t = &m->tables[TRAIN];
    int64_t n_test = m->test_path ? 0 : (int64_t)((double)t->rows * m->test_fraction);
    int64_t n_val = m->val_path ? 0 : (int64_t)((double)t->rows * m->val_fraction), n_train = t->rows - n_test - n_val;
    int64_t *order = split_shuffle(t->rows, m->split_seed);
    if (!order) {
        return lt_fail(ctx, LT_ENOMEM, "no memory for %lld rows", (long long)t->rows);
    }
    if (n_train < 1) {
        free(order);
        return lt_fail(ctx, LT_ECONFIG, "%s has %lld rows: val_fraction and test_fraction leave none to train on", m->path, (long long)t->rows);
    }
    if (!make_part(ctx, m, TEST, t, order, n_test) && !make_part(ctx, m, VAL, t, order + n_test, n_val)) {
        make_part(ctx, m, TRAIN, t, order + n_test + n_val, n_train);
    }
    free(order);
    return lt_ctx_status(ctx);
}

static lt_status setup(lt_ctx *ctx, void *self) {
    csv_table *m = self;
    if (read_table(ctx, m, TRAIN, m->path) || split(ctx, m) || measure_all(ctx, m)) {
        return lt_ctx_status(ctx);
    }
    lt_stage stage = lt_now(ctx)->stage;
    bool testing = stage == LT_STAGE_TEST || stage == LT_STAGE_PREDICT;
    if (!testing && m->val_path && !read_table(ctx, m, VAL, m->val_path)) {
        make_part(ctx, m, VAL, &m->tables[VAL], NULL, m->tables[VAL].rows);
    }
    if (testing && m->test_path && !read_table(ctx, m, TEST, m->test_path)) {
        make_part(ctx, m, TEST, &m->tables[TEST], NULL, m->tables[TEST].rows);
    }
    return lt_ctx_status(ctx);
}

static lt_loader *train_dataloader(lt_ctx *ctx, void *self) {
    csv_table *m = self;
    return TRAIN_LOADER(ctx, m, m->datasets[TRAIN]);
}

static lt_loader *val_dataloader(lt_ctx *ctx, void *self) {
    csv_table *m = self;
    return PLAIN_LOADER(ctx, m, m->datasets[VAL]);
}

static lt_loader *test_dataloader(lt_ctx *ctx, void *self) {
    csv_table *m = self;
    return PLAIN_LOADER(ctx, m, m->datasets[TEST]);
}

static void release(lt_ctx *ctx, void *self) {
    (void)ctx;
    csv_table *m = self;
    for (int i = 0; i < PARTS; i++) {
        free(m->parts[i].rows);
        m->parts[i] = (part){0};
        m->datasets[i] = NULL;
        table_free(&m->tables[i]);
    }
    free(m->numbers);
    free(m->target_stats);
    m->numbers = m->target_stats = NULL;
}

/* ---- the checkpoint: what a number and a category mean to the model ---- */

/* The names with a line feed behind each; NULL without memory. The caller frees it. */
static char *list_names(char *const *names, int32_t count) {
    size_t size = 1, at = 0;
    for (int32_t i = 0; i < count; i++) {
        size += strlen(names[i]) + 1;
    }
    char *text = malloc(size);
    for (int32_t i = 0; text && i < count; i++) {
        size_t length = strlen(names[i]);
        memcpy(text + at, names[i], length);
        at += length;
        text[at++] = '\n';
    }
    if (text) {
        text[at] = 0;
    }
    return text;
}

enum kind { NUMBERS, TARGETS, CATEGORIES, KINDS };
static const char *const kind_names[KINDS] = {"numbers", "targets", "categories"};

static bool is_of(const table_column *c, enum kind kind) {
    return kind == NUMBERS   ? c->role == ROLE_FLOAT || c->role == ROLE_INT
           : kind == TARGETS ? c->role == ROLE_TARGET || c->role == ROLE_CLASS
                             : c->role == ROLE_CATEGORY;
}

/* Names of the columns of a kind, in the order of their places; as list_names. */
static char *list_columns(const table *t, enum kind kind) {
    char **names = calloc((size_t)t->n_columns + 1, sizeof *names), *text;
    int32_t count = 0;
    for (int64_t i = 0; names && i < t->n_columns; i++) {
        if (is_of(&t->columns[i], kind)) {
            names[t->columns[i].slot] = t->columns[i].name;
            count++;
        }
    }
    text = names ? list_names(names, count) : NULL;
    free(names);
    return text;
}

static const char *set_key(const table *t, int32_t set, char out[32]) {
    snprintf(out, 32, set < t->n_categories ? "categories%d" : "classes", set);
    return out;
}

static const char *column_key(enum kind kind, char out[32]) {
    snprintf(out, 32, "columns.%s", kind_names[kind]);
    return out;
}

static lt_status put_names(lt_ctx *ctx, lt_state_writer *out, const char *key, char *names) {
    lt_status status = names ? LT_OK : lt_fail(ctx, LT_ENOMEM, "no memory for the names of columns and categories");
    if (names) {
        lt_state_put_text(ctx, out, key, names);
    }
    free(names);
    return status ? status : lt_ctx_status(ctx);
}

static lt_status save(lt_ctx *ctx, void *self, lt_state_writer *out) {
    const csv_table *m = self;
    const table *t = &m->tables[TRAIN];
    char key[32];
    lt_state_put_bytes(ctx, out, "numbers", m->numbers, (size_t)t->n_numbers * sizeof *m->numbers);
    lt_state_put_bytes(ctx, out, "targets", m->target_stats, (size_t)t->n_targets * sizeof *m->target_stats);
    for (enum kind kind = 0; kind < KINDS; kind++) {
        put_names(ctx, out, column_key(kind, key), list_columns(t, kind));
    }
    for (int32_t i = 0; i <= t->n_categories; i++) {
        put_names(ctx, out, set_key(t, i, key), list_names(t->sets[i].names, t->sets[i].count));
    }
    return lt_ctx_status(ctx);
}

static lt_status load_stats(lt_ctx *ctx, const lt_state_reader *in, const char *key, column_stats *to, int32_t count) {
    size_t size = 0;
    const column_stats *saved = lt_state_get_bytes(ctx, in, key, &size);
    if (saved && size != (size_t)count * sizeof *saved) {
        return lt_fail(ctx, LT_ECONFIG, "the table has %d columns of %s, the checkpoint %zu", count, key, size / sizeof *saved);
    }
    if (saved && count) {
        memcpy(to, saved, size);
    }
    return lt_ctx_status(ctx);
}

/* Statistics and weights are kept by place: what stands there must be the same column. */
static lt_status check_columns(lt_ctx *ctx, const csv_table *m, const lt_state_reader *in, enum kind kind) {
    char key[32], *names = list_columns(&m->tables[TRAIN], kind);
    const char *saved = lt_state_get_text(ctx, in, column_key(kind, key), NULL);
    size_t line = 0, at = 0;
    for (; names && saved && names[at] && names[at] == saved[at]; at++) {
        line = names[at] == '\n' ? at + 1 : line;
    }
    if (!names) {
        return lt_fail(ctx, LT_ENOMEM, "no memory for the names of columns");
    }
    if (saved && strcmp(names, saved) != 0) {
        lt_fail(ctx, LT_ECONFIG, "%s: of the columns of %s, '%.*s' stands where the checkpoint has '%.*s', so the model would take one for the other", m->path,
                kind_names[kind], (int)strcspn(names + line, "\n"), names + line, (int)strcspn(saved + line, "\n"), saved + line);
    }
    free(names);
    return lt_ctx_status(ctx);
}

static lt_status load(lt_ctx *ctx, void *self, const lt_state_reader *in) {
    csv_table *m = self;
    const table *t = &m->tables[TRAIN];
    char key[32];
    for (int32_t i = 0; i <= t->n_categories; i++) {
        char *names = list_names(t->sets[i].names, t->sets[i].count);
        const char *saved = lt_state_get_text(ctx, in, set_key(t, i, key), NULL);
        bool same = names && (!saved || !strcmp(saved, names));
        free(names);
        if (!same) {
            return lt_fail(ctx, LT_ECONFIG, "%s: the names of %s are not those of the checkpoint, so the model would take one for another", m->path,
                           i < t->n_categories ? "a category" : "the classes");
        }
    }
    if (load_stats(ctx, in, "numbers", m->numbers, t->n_numbers) || load_stats(ctx, in, "targets", m->target_stats, t->n_targets)) {
        return lt_ctx_status(ctx);
    }
    for (enum kind kind = 0; kind < KINDS && !lt_ctx_status(ctx); kind++) {
        check_columns(ctx, m, in, kind);
    }
    return lt_ctx_status(ctx);
}

LT_DATAMODULE(CSVTable, csv_table, "Rows of CSV files: typed columns, missing values, standardized with the training rows.",
    .setup = setup,
    .train_dataloader = train_dataloader,
    .val_dataloader = val_dataloader,
    .test_dataloader = test_dataloader,
    .predict_dataloader = test_dataloader,
    .save = save,
    .load = load,
    .release = release);
LT_PLUGIN("org.lthost.csv-table", "0.1.0", datamodule(CSVTable));
