/* Calls a function that nobody has. */
#include <lt/callback.h>
lt_status lthost_no_such_function(lt_ctx *ctx, void *self);
LT_CALLBACK(Undefined, lt_nothing, "Cannot load.", .on_fit_end = lthost_no_such_function);
LT_PLUGIN("org.lthost.test-undefined", "1.0.0", callback(Undefined));
