/* bench/first_step.c - a callback that says when the first training step is done, so that bench/run.py stops its clock there, as it does
 * for the peers. Built by run.py with one cc line. */
#include <lt/callback.h>

static lt_status on_train_batch_end(lt_ctx *ctx, void *self) {
    (void)self;
    if (lt_now(ctx)->global_step == 1) {
        lt_print(ctx, "first step done");
    }
    return LT_OK;
}

LT_CALLBACK(FirstStep, lt_nothing, "Says when the first step is done.", .on_train_batch_end = on_train_batch_end);
LT_PLUGIN("org.lthost.bench.first-step", "0.1.0", callback(FirstStep));
