/* csv_table/table.h - a CSV file as typed columns: numbers (NAN where missing), categories numbered in the order of their names, targets.
 * Knows nothing of the host: errors are texts that name file, line and column. */
#ifndef CSV_TABLE_TABLE_H
#define CSV_TABLE_TABLE_H
#include "csv.h"
#include <lt/params.h>

enum missing_policy { MISSING_MEAN, MISSING_ZERO, MISSING_ERROR, MISSING_DROP };
enum column_role { ROLE_FLOAT, ROLE_INT, ROLE_CATEGORY, ROLE_TARGET, ROLE_CLASS, ROLE_IGNORE };

typedef struct table_column {
    char *name;
    enum column_role role;
    int32_t slot; /* its place among those of its kind: numbers, categories, targets */
} table_column;

/* Distinct texts, sorted once complete. */
typedef struct category_set {
    char **names;
    int32_t count, room;
    int32_t *slots; /* hash -> index + 1 */
    int32_t n_slots;
} category_set;

typedef struct table_options {
    char delimiter;
    bool header, skip; /* skip: rows that are malformed are left out and counted */
    enum missing_policy missing;
    lt_texts targets, categories, ints, ignore;
    bool classes; /* the target is a category */
} table_options;

typedef struct table {
    table_column *columns;
    int64_t n_columns;
    int32_t n_numbers, n_categories, n_targets;
    int64_t rows, room, skipped, dropped;
    double *numbers;      /* (rows, n_numbers) */
    int32_t *codes;       /* (rows, n_categories); the set's count: missing or unknown */
    double *targets;      /* (rows, n_targets); of classes their number */
    category_set *sets;   /* n_categories, then one of the classes */
    char note[5][FILE_WHY_MAX]; /* the first rows that were skipped */
} table;

/* Reads a file. `like` NULL: columns and categories are what is found; else they must be those of that table, other categories become
 * unknown, other classes are errors. On failure it is empty. LT_EFORMAT, LT_ENOMEM, LT_ECONFIG and what file_map says. */
lt_status table_read(table *t, const char *path, const table_options *options, const table *like, char why[FILE_WHY_MAX]);
void table_free(table *t);
int32_t category_find(const category_set *set, const char *name); /* -1: not in it */
#endif
