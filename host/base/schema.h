/* base/schema.h - parameter schemas (lt_params): binding a tree of values into a struct, with every error named; help text; values
 * back as a tree. Used by config for the trainer's arguments and by the registry for components. Knows no component. */
#ifndef LTH_SCHEMA_H
#define LTH_SCHEMA_H
#include "base/diag.h"
#include "base/node.h"
#include "base/str.h"
#include <lt/params.h>

/* Binds `map` (NULL: nothing given) into self, zeroed, of schema->self_size bytes: defaults first, then what is given.
 * `what` is for messages ("Net", "trainer"). Unknown keys (with the nearest), wrong types, values out of range, missing required
 * ones, all with file:line. LT_PATH fields are made absolute: relative to their file's folder, or to the working directory from the
 * command line; ~ is expanded. Texts and lists live in arena. Returns the number of errors added. */
size_t lth_schema_bind(const lt_params *schema, const char *what, const lth_node *map, void *self, lth_arena *arena, lth_diags *diags);
/* What a plugin got wrong in its schema: fields outside of self, keys twice, ranges and defaults that cannot be read. Returns the number
 * of errors added (LT_EPLUGIN). bind reports these too, as far as it meets them. */
size_t lth_schema_check(const lt_params *schema, const char *what, lth_diags *diags);
/* Sets one LT_LIVE parameter of a bound struct; used by live control. */
lt_status lth_schema_set(const lt_params *schema, const char *what, void *self, const char *key, const lth_node *value, lth_arena *arena, lth_error *err);
/* What stands for a LT_SECRET value wherever values are shown or saved; as a value it is refused. */
#define LTH_SECRET_TEXT "***"
/* All settable parameters with their present values, as a map; LT_SECRET ones as "***" unless reveal. */
lth_node *lth_schema_values(const lt_params *schema, const void *self, lth_arena *arena, bool reveal);
/* "  hidden (int) = 64          Width of the hidden layers. [1..]" lines; prefix before each key ("--model."). */
void lth_schema_help(const lt_params *schema, const char *prefix, lth_buf *out);
/* The parameter with this key or alias, saved fields included; NULL: none. */
const lt_param *lth_schema_find(const lt_params *schema, const char *key);
const lt_param *lth_schema_param(const lt_params *schema, uint32_t index); /* honours the plugin's stride */
const char *lth_schema_type_name(const lt_param *param);
/* The saved fields (LT_SAVED) as typed values, and back. */
struct lth_snapshot;
lt_status lth_schema_save(const lt_params *schema, const void *self, struct lth_snapshot *out, const char *prefix, lth_error *err);
lt_status lth_schema_load(const lt_params *schema, void *self, const struct lth_snapshot *in, const char *prefix, lth_arena *arena, lth_error *err);
#endif
