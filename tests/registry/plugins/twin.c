/* Has a callback whose id another plugin has too. */
#include <lt/callback.h>
static lt_status idle(lt_ctx *ctx, void *self) {
    (void)self;
    return lt_ctx_status(ctx);
}
LT_CALLBACK(Plain, lt_nothing, "Does nothing either.", .on_fit_end = idle);
LT_PLUGIN("org.lthost.test-twin", "1.0.0", callback(Plain));
