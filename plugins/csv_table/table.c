/* csv_table/table.c - see table.h. */
#include "table.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- categories ---- */

static uint32_t hash(const char *name) {
    uint32_t h = 2166136261u; /* FNV-1a */
    for (; *name; name++) {
        h = (h ^ (uint8_t)*name) * 16777619u;
    }
    return h;
}

int32_t category_find(const category_set *set, const char *name) {
    for (uint32_t i = hash(name); set->n_slots; i++) {
        int32_t index = set->slots[i % (uint32_t)set->n_slots] - 1;
        if (index < 0 || !strcmp(set->names[index], name)) {
            return index;
        }
    }
    return -1;
}

static void note_slot(category_set *set, int32_t index) {
    uint32_t i = hash(set->names[index]);
    while (set->slots[i % (uint32_t)set->n_slots]) {
        i++;
    }
    set->slots[i % (uint32_t)set->n_slots] = index + 1;
}

static void note_all(category_set *set) {
    memset(set->slots, 0, (size_t)set->n_slots * sizeof *set->slots);
    for (int32_t i = 0; i < set->count; i++) {
        note_slot(set, i);
    }
}

static bool grow(category_set *set) {
    int32_t room = set->room ? 2 * set->room : 16;
    char **names = realloc(set->names, (size_t)room * sizeof *names);
    set->names = names ? names : set->names;
    int32_t *slots = realloc(set->slots, (size_t)room * 2 * sizeof *slots);
    set->slots = slots ? slots : set->slots;
    if (!names || !slots) {
        return false;
    }
    set->room = room;
    set->n_slots = 2 * room;
    note_all(set);
    return true;
}

/* Index of the name, added if it is new; -1 without memory. */
static int32_t category_add(category_set *set, const char *name) {
    int32_t index = category_find(set, name);
    if (index >= 0) {
        return index;
    }
    if (set->count == set->room && !grow(set)) {
        return -1;
    }
    set->names[set->count] = strdup(name);
    if (!set->names[set->count]) {
        return -1;
    }
    note_slot(set, set->count);
    return set->count++;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* Numbers look better in their order than in that of their digits: "10" after "9". */
static int by_number(const void *a, const void *b) {
    double x = strtod(*(char *const *)a, NULL), y = strtod(*(char *const *)b, NULL);
    return x < y ? -1 : x > y ? 1 : by_name(a, b);
}

static bool all_numbers(const category_set *set) {
    for (int32_t i = 0; i < set->count; i++) {
        char *end;
        strtod(set->names[i], &end);
        if (end == set->names[i] || *end) {
            return false;
        }
    }
    return true;
}

/* Sorts the names that rows have and forgets the others, which stood in rows that were left out; map[old index] is the new one. False: no
 * memory. */
static bool category_sort(category_set *set, const bool *used, int32_t **map) {
    const int32_t count = set->count;
    char **old = malloc((size_t)(count ? count : 1) * sizeof *old);
    *map = malloc((size_t)(count ? count : 1) * sizeof **map);
    if (!old || !*map) {
        free(old);
        free(*map);
        *map = NULL;
        return false;
    }
    set->count = 0;
    for (int32_t i = 0; i < count; i++) {
        old[i] = set->names[i];
        if (used[i]) {
            set->names[set->count++] = old[i];
        }
    }
    if (set->count) {
        qsort(set->names, (size_t)set->count, sizeof *set->names, all_numbers(set) ? by_number : by_name);
    }
    if (count) {
        note_all(set);
    }
    for (int32_t i = 0; i < count; i++) {
        (*map)[i] = used[i] ? category_find(set, old[i]) : -1;
        if (!used[i]) {
            free(old[i]);
        }
    }
    free(old);
    return true;
}

static void category_free(category_set *set) {
    for (int32_t i = 0; i < set->count; i++) {
        free(set->names[i]);
    }
    free(set->names);
    free(set->slots);
    *set = (category_set){0};
}

/* ---- columns ---- */

static bool has(lt_texts list, const char *name) {
    for (int64_t i = 0; i < list.count; i++) {
        if (!strcmp(list.items[i], name)) {
            return true;
        }
    }
    return false;
}

static int64_t find_column(const table *t, const char *name) {
    for (int64_t i = 0; i < t->n_columns; i++) {
        if (!strcmp(t->columns[i].name, name)) {
            return i;
        }
    }
    return -1;
}

/* Every name that the options give must be a column's. */
static lt_status check_names(const table *t, lt_texts list, const char *what, const char *path, char why[FILE_WHY_MAX]) {
    for (int64_t i = 0; i < list.count; i++) {
        if (find_column(t, list.items[i]) < 0) {
            int used = snprintf(why, FILE_WHY_MAX, "%s has no column '%s' (%s); it has:", path, list.items[i], what);
            for (int64_t k = 0; k < t->n_columns && used < FILE_WHY_MAX - 64; k++) {
                used += snprintf(why + used, (size_t)(FILE_WHY_MAX - used), " %.40s", t->columns[k].name);
            }
            return LT_ECONFIG;
        }
    }
    return LT_OK;
}

static lt_status give_roles(table *t, const table_options *o, const char *path, char why[FILE_WHY_MAX]) {
    if (check_names(t, o->targets, "targets", path, why) || check_names(t, o->categories, "categories", path, why) ||
        check_names(t, o->ints, "ints", path, why) || check_names(t, o->ignore, "ignore", path, why)) {
        return LT_ECONFIG;
    }
    for (int64_t i = 0; i < t->n_columns; i++) {
        table_column *c = &t->columns[i];
        bool target = has(o->targets, c->name), category = has(o->categories, c->name);
        c->role = target                 ? (o->classes ? ROLE_CLASS : ROLE_TARGET)
                  : has(o->ignore, c->name) ? ROLE_IGNORE
                  : category             ? ROLE_CATEGORY
                  : has(o->ints, c->name) ? ROLE_INT
                                         : ROLE_FLOAT;
        c->slot = target ? t->n_targets++ : c->role == ROLE_CATEGORY ? t->n_categories++ : c->role == ROLE_IGNORE ? 0 : t->n_numbers++;
    }
    if (o->classes && t->n_targets > 1) {
        return file_fail(LT_ECONFIG, why, "%s: target_type category takes one target, not %d", path, t->n_targets);
    }
    t->sets = calloc((size_t)t->n_categories + 1, sizeof *t->sets);
    return t->sets ? LT_OK : file_fail(LT_ENOMEM, why, "no memory for the columns of %s", path);
}

/* Columns from the first row: names, or their number. */
static lt_status make_columns(table *t, const csv_reader *r, const table_options *o, const char *path, char why[FILE_WHY_MAX]) {
    t->columns = calloc((size_t)r->count, sizeof *t->columns);
    if (!t->columns) {
        return file_fail(LT_ENOMEM, why, "no memory for the columns of %s", path);
    }
    for (int64_t i = 0; i < r->count; i++) {
        char number[24];
        snprintf(number, sizeof number, "%lld", (long long)i);
        const char *name = o->header ? csv_field(r, i) : number;
        if (find_column(t, name) >= 0) {
            return file_fail(LT_EFORMAT, why, "%s:%lld: two columns are named '%s'", path, (long long)r->row_line, name);
        }
        t->columns[i].name = strdup(name);
        if (!t->columns[i].name) {
            return file_fail(LT_ENOMEM, why, "no memory for the columns of %s", path);
        }
        t->n_columns++;
    }
    return give_roles(t, o, path, why);
}

static lt_status check_same_columns(const table *t, const table *like, const char *path, char why[FILE_WHY_MAX]) {
    if (t->n_columns != like->n_columns) {
        return file_fail(LT_EFORMAT, why, "%s has %lld columns, the training file %lld", path, (long long)t->n_columns, (long long)like->n_columns);
    }
    for (int64_t i = 0; i < t->n_columns; i++) {
        if (strcmp(t->columns[i].name, like->columns[i].name)) {
            return file_fail(LT_EFORMAT, why, "%s: column %lld is '%s', in the training file '%s'", path, (long long)i + 1, t->columns[i].name,
                             like->columns[i].name);
        }
    }
    return LT_OK;
}

/* ---- cells ---- */

static bool is_missing(const char *text) {
    static const char *const words[] = {"", "NA", "N/A", "NaN", "nan", "NAN", "null", "NULL", "None", "?"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (!strcmp(text, words[i])) {
            return true;
        }
    }
    return false;
}

/* A finite decimal number and nothing else. */
static bool read_number(const char *text, bool integer, double *out) {
    char *end;
    if (strspn(text, " \t0123456789+-.eE") != strlen(text)) { /* no hex, no inf */
        return false;
    }
    *out = strtod(text, &end);
    end += strspn(end, " \t");
    return end != text && !*end && isfinite(*out) && strpbrk(text, "0123456789") && (!integer || (!strpbrk(text, ".eE") && fabs(*out) < 9007199254740992.0));
}

enum { CELL_OK, CELL_DROP, CELL_BAD, CELL_MEMORY };

typedef struct row_target { double *numbers, *targets; int32_t *codes; } row_target;

static int missing_cell(const table_column *c, const table_options *o, const row_target *to, char why[FILE_WHY_MAX]) {
    bool target = c->role == ROLE_TARGET || c->role == ROLE_CLASS;
    if (o->missing == MISSING_DROP) {
        return CELL_DROP;
    }
    if (o->missing == MISSING_ERROR || target) {
        snprintf(why, FILE_WHY_MAX, "%s is missing", target ? "the target" : "the value");
        return CELL_BAD;
    }
    if (c->role == ROLE_CATEGORY) {
        to->codes[c->slot] = -1;
    } else {
        to->numbers[c->slot] = o->missing == MISSING_ZERO ? 0 : (double)NAN;
    }
    return CELL_OK;
}

static int text_cell(table *t, const table_column *c, const char *text, const table *like, const row_target *to, char why[FILE_WHY_MAX]) {
    bool class = c->role == ROLE_CLASS;
    int32_t which = class ? t->n_categories : c->slot;
    int32_t code = like ? category_find(&like->sets[which], text) : category_add(&t->sets[which], text);
    if (code < 0 && !like) {
        return CELL_MEMORY;
    }
    if (class && code < 0) {
        snprintf(why, FILE_WHY_MAX, "'%.60s' is no class of the training file", text);
        return CELL_BAD;
    }
    if (class) {
        to->targets[c->slot] = code;
    } else {
        to->codes[c->slot] = code;
    }
    return CELL_OK;
}

static int read_cell(table *t, const table_column *c, const char *text, const table_options *o, const table *like, const row_target *to,
                     char why[FILE_WHY_MAX]) {
    double number;
    if (c->role == ROLE_IGNORE) {
        return CELL_OK;
    }
    if (is_missing(text)) {
        return missing_cell(c, o, to, why);
    }
    if (c->role == ROLE_CATEGORY || c->role == ROLE_CLASS) {
        return text_cell(t, c, text, like, to, why);
    }
    if (!read_number(text, c->role == ROLE_INT, &number)) {
        snprintf(why, FILE_WHY_MAX, "'%.60s' is no %s", text, c->role == ROLE_INT ? "integer" : "number");
        return CELL_BAD;
    }
    if (c->role == ROLE_TARGET) {
        to->targets[c->slot] = number;
    } else {
        to->numbers[c->slot] = number;
    }
    return CELL_OK;
}

/* ---- rows ---- */

static bool make_room(table *t) {
    if (t->rows < t->room) {
        return true;
    }
    int64_t room = t->room ? 2 * t->room : 256;
    double *numbers = realloc(t->numbers, (size_t)(room * t->n_numbers + 1) * sizeof *numbers);
    t->numbers = numbers ? numbers : t->numbers;
    double *targets = realloc(t->targets, (size_t)(room * t->n_targets + 1) * sizeof *targets);
    t->targets = targets ? targets : t->targets;
    int32_t *codes = realloc(t->codes, (size_t)(room * t->n_categories + 1) * sizeof *codes);
    t->codes = codes ? codes : t->codes;
    t->room = numbers && targets && codes ? room : t->room;
    return t->rows < t->room;
}

/* A row that cannot be used: an error, or counted and left out. */
static lt_status bad_row(table *t, const table_options *o, const char *path, int64_t line, const char *column, const char *what,
                         char why[FILE_WHY_MAX]) {
    char text[FILE_WHY_MAX];
    snprintf(text, sizeof text, "%.3000s:%lld:%s%.200s%s %.300s", path, (long long)line, column ? " column '" : "", column ? column : "",
             column ? "':" : "", what);
    if (!o->skip) {
        return file_fail(LT_EFORMAT, why, "%s; repair it, or set on_error: skip", text);
    }
    if (t->skipped < (int64_t)(sizeof t->note / sizeof *t->note)) {
        memcpy(t->note[t->skipped], text, sizeof text);
    }
    t->skipped++;
    return LT_OK;
}

static lt_status read_row(table *t, const csv_reader *r, const table_options *o, const table *like, const char *path, char why[FILE_WHY_MAX]) {
    char what[FILE_WHY_MAX];
    if (r->count != t->n_columns) {
        snprintf(what, sizeof what, "%lld fields, expected %lld", (long long)r->count, (long long)t->n_columns);
        return bad_row(t, o, path, r->row_line, NULL, what, why);
    }
    if (!make_room(t)) {
        return file_fail(LT_ENOMEM, why, "no memory for the rows of %s", path);
    }
    row_target to = {t->numbers + t->rows * t->n_numbers, t->targets + t->rows * t->n_targets, t->codes + t->rows * t->n_categories};
    for (int64_t i = 0; i < t->n_columns; i++) {
        int result = read_cell(t, &t->columns[i], csv_field(r, i), o, like, &to, what);
        if (result == CELL_BAD) {
            return bad_row(t, o, path, r->row_line, t->columns[i].name, what, why);
        }
        if (result == CELL_MEMORY) {
            return file_fail(LT_ENOMEM, why, "no memory for the categories of %s", path);
        }
        if (result == CELL_DROP) {
            t->dropped++;
            return LT_OK;
        }
    }
    t->rows++;
    return LT_OK;
}

/* Which names of set s stand in a row; NULL: no memory. */
static bool *used_names(const table *t, int32_t s) {
    bool *used = calloc((size_t)t->sets[s].count + 1, sizeof *used);
    for (int64_t row = 0; used && t->sets[s].count && row < t->rows; row++) {
        const int32_t code = s < t->n_categories ? t->codes[row * t->n_categories + s] : (int32_t)t->targets[row];
        if (code >= 0) {
            used[code] = true;
        }
    }
    return used;
}

/* The set's names in their order; map as category_sort's. */
static bool settle_names(table *t, int32_t s, int32_t **map) {
    bool *used = used_names(t, s);
    const bool good = used && category_sort(&t->sets[s], used, map);
    free(used);
    return good;
}

/* Categories in the order of their names; missing and unknown ones behind. */
static lt_status number_categories(table *t, const table *like, const char *path, char why[FILE_WHY_MAX]) {
    for (int32_t s = 0; s <= t->n_categories; s++) {
        int32_t *map = NULL;
        if (!like && !settle_names(t, s, &map)) {
            return file_fail(LT_ENOMEM, why, "no memory for the categories of %s", path);
        }
        const int32_t unknown = like ? like->sets[s].count : t->sets[s].count;
        for (int64_t row = 0; row < t->rows; row++) {
            if (s < t->n_categories) {
                int32_t *code = &t->codes[row * t->n_categories + s];
                *code = *code < 0 ? unknown : map ? map[*code] : *code;
            } else if (map && t->sets[s].count) {
                t->targets[row] = map[(int32_t)t->targets[row]];
            }
        }
        free(map);
    }
    return LT_OK;
}

static lt_status read_rows(table *t, csv_reader *r, const char *path, const table_options *o, const table *like, char why[FILE_WHY_MAX]) {
    lt_status status = LT_OK;
    for (int result; !status && (result = csv_next(r)) != CSV_END;) {
        if (result == CSV_NO_MEMORY) {
            status = file_fail(LT_ENOMEM, why, "no memory for a row of %s", path);
        } else if (result == CSV_MALFORMED) {
            status = t->columns ? bad_row(t, o, path, r->row_line, NULL, r->error, why)
                                : file_fail(LT_EFORMAT, why, "%s:%lld: %s", path, (long long)r->row_line, r->error);
        } else if (t->columns) {
            status = read_row(t, r, o, like, path, why);
        } else {
            status = make_columns(t, r, o, path, why);
            if (!status && like) {
                status = check_same_columns(t, like, path, why);
            }
            if (!status && !o->header) {
                status = read_row(t, r, o, like, path, why);
            }
        }
    }
    return status;
}

lt_status table_read(table *t, const char *path, const table_options *o, const table *like, char why[FILE_WHY_MAX]) {
    mapped_file file;
    csv_reader reader;
    table_free(t);
    lt_status status = file_map(&file, path, why);
    if (status) {
        return status;
    }
    csv_open(&reader, file.bytes, file.size, o->delimiter);
    status = read_rows(t, &reader, path, o, like, why);
    if (!status && !t->rows) {
        status = file_fail(LT_EFORMAT, why, "%s has no row that can be used (%lld were skipped, %lld dropped for missing values)", path,
                           (long long)t->skipped, (long long)t->dropped);
    }
    if (!status) {
        status = number_categories(t, like, path, why);
    }
    csv_close(&reader);
    file_unmap(&file);
    if (status) {
        table_free(t);
    }
    return status;
}

void table_free(table *t) {
    for (int64_t i = 0; i < t->n_columns; i++) {
        free(t->columns[i].name);
    }
    for (int32_t i = 0; t->sets && i <= t->n_categories; i++) {
        category_free(&t->sets[i]);
    }
    free(t->columns);
    free(t->sets);
    free(t->numbers);
    free(t->targets);
    free(t->codes);
    memset(t, 0, sizeof *t);
}
