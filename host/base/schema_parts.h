/* base/schema_parts.h - what the schema_*.c files share and nobody else includes. */
#ifndef LTH_SCHEMA_PARTS_H
#define LTH_SCHEMA_PARTS_H
#include "base/schema.h"

/* The value of any parameter, as it lies in its field. */
typedef union lth_value {
    int64_t integer;
    double number;
    bool truth;
    const char *text;
    int32_t choice;
    lt_opt_int opt_int;
    lt_opt_float opt_float;
    lt_ints ints;
    lt_floats floats;
    lt_texts texts;
    struct { const void *items; int64_t count; } records;
} lth_value;

size_t lth_field_size(int32_t type); /* 0: unknown type */
lth_value lth_field_get(const lt_param *param, const void *self);

/* "1..", "0..1", ">0", "<1", ">0..1", "..10". */
typedef struct lth_range { double low, high; bool has_low, has_high, low_open, high_open; } lth_range;
bool lth_range_parse(const char *text, lth_range *out);
bool lth_range_holds(const lth_range *range, long double value);        /* NaN: never */
void lth_range_text(const lth_range *range, char *out, size_t size);    /* "at least 1", "above 0 and at most 1" */

/* "min|max": the index of a word or -1; the word of an index (not NUL-terminated) or NULL. */
int32_t lth_choice_index(const char *choices, const char *word);
const char *lth_choice_word(const char *choices, int32_t index, size_t *length);

/* A default's text as the tree that YAML would give; NULL: malformed or out of memory. */
lth_node *lth_initial_node(lth_arena *arena, const lt_param *param);
#endif
