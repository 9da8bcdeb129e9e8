/* Components at the edge of what is allowed: Chatty logs many metrics, with long or odd names, in the hook that is named; LongNames is a
 * model whose parameters have names as long as asked for. */
#include <lt/callback.h>
#include <lt/model.h>
#include <stdio.h>
#include <string.h>

/* ---- Chatty ---- */

typedef struct { const char *hook, *name; int64_t count, length; bool tensor, save; } chatty;
LT_PARAMS(chatty,
    LT_PARAM(hook, "", "Hook to log in."),
    LT_PARAM(name, "m", "Begin of the names."),
    LT_PARAM(count, "1", "Metrics to log.", LT_RANGE("1..1000")),
    LT_PARAM(length, "0", "Bytes to fill a name up to.", LT_RANGE("0..900")),
    LT_PARAM(tensor, "false", "Log the sum of the batch instead of epoch + number."),
    LT_PARAM(save, "false", "Ask for a checkpoint instead of logging."));

static lt_status speak(lt_ctx *ctx, void *self, const char *hook) {
    const chatty *c = self;
    const lt_moment *now = lt_now(ctx);

    if (strcmp(c->hook, hook)) {
        return LT_OK;
    }
    if (c->save) {
        return lt_save_checkpoint(ctx, "asked.h5", LT_SAVE_FULL);
    }
    for (int64_t i = 0; i < c->count; i++) {
        char name[1024];
        size_t used = (size_t)snprintf(name, sizeof name, "%s", c->name);

        for (; used < (size_t)c->length; used++) {
            name[used] = 'x';
        }
        snprintf(name + used, sizeof name - used, c->count > 1 ? "%lld" : "", (long long)i);
        if (c->tensor) {
            lt_log(ctx, name, lt_sum(ctx, lt_batch_get(ctx, now->batch, 0), NULL, 0, false), 0);
        } else {
            lt_log_value(ctx, name, (double)(now->epoch + i), 0);
        }
    }
    return lt_ctx_status(ctx);
}

#define X(name, kinds, text) static lt_status s_##name(lt_ctx *ctx, void *self) { return speak(ctx, self, #name); }
LT_HOOKS(X)
#undef X
#define X(name, kinds, text) .name = s_##name,
LT_CALLBACK(Chatty, chatty, "Logs much, anywhere.", LT_HOOKS(X));
#undef X

/* ---- LongNames ---- */

typedef struct { int64_t length; lt_module *layer; } longnames;
LT_PARAMS(longnames,
    LT_PARAM(length, "300", "Bytes of the layer's name.", LT_RANGE("1..900")));

static lt_status configure(lt_ctx *ctx, void *self) {
    longnames *m = self;
    char name[1024];

    memset(name, 'n', (size_t)m->length);
    name[m->length] = 0;
    m->layer = lt_child(ctx, name, lt_nn_linear(ctx, 32, 2));
    return lt_ctx_status(ctx);
}

static lt_status configure_optimizers(lt_ctx *ctx, void *self, lt_optim_setup *setup) {
    (void)self;
    return lt_use_optimizer(ctx, setup, "Adam", "lr: 0.01");
}

static lt_status training_step(lt_ctx *ctx, void *self, const lt_batch *batch, lt_step_out *out) {
    longnames *m = self;

    return lt_step_loss(ctx, out, lt_mse_loss(ctx, lt_forward(ctx, m->layer, lt_batch_get(ctx, batch, 0)), lt_batch_get(ctx, batch, 1)));
}

LT_MODEL(LongNames, longnames, "Linear(32, 2) under a long name.",
    .configure = configure, .configure_optimizers = configure_optimizers, .training_step = training_step);
LT_PLUGIN("org.lthost.test.hostile", "0.1.0", callback(Chatty), model(LongNames));
