/* A sound plugin with one component of most kinds. */
#include <lt/callback.h>
#include <lt/logger.h>
#include <lt/model.h>

enum mode { MIN, MAX };
typedef struct {
    int64_t patience, waited;
    enum mode mode;
    const char *monitor;
    double best;
    int64_t loads;
} watcher;

LT_PARAMS(watcher, LT_PARAM(patience, "3", "How long.", LT_RANGE("0.."), LT_LIVE), LT_CHOICE(mode, "min|max", "min", "Which way."),
          LT_PARAM(monitor, LT_REQUIRED, "What to watch."), LT_SAVED(best, "nan"), LT_SAVED(waited, "7"));

static lt_status save(lt_ctx *ctx, void *self, lt_state_writer *out) {
    watcher *w = self;
    lt_state_put_i64(ctx, out, "loads", w->loads + 1);
    return lt_ctx_status(ctx);
}
static lt_status load(lt_ctx *ctx, void *self, const lt_state_reader *in) {
    watcher *w = self;
    w->loads = lt_state_get_i64(ctx, in, "loads", -1) + 100 * (int64_t)lt_state_version(ctx, in);
    return lt_ctx_status(ctx);
}
static const void *offers(void *self, const char *id) {
    static const lt_checkpointing nothing = {.struct_size = sizeof(lt_checkpointing)};
    (void)self;
    return id[3] == 'c' ? &nothing : NULL;
}
static lt_status idle(lt_ctx *ctx, void *self) {
    (void)self;
    return lt_ctx_status(ctx);
}
LT_CALLBACK(Watcher, watcher, "Watches.", .on_fit_end = idle, .save = save, .load = load, .base.flags = LT_CALLBACK_LAST,
            .base.state_version = 4, .base.get_interface = offers);
LT_CALLBACK(Plain, lt_nothing, "Does nothing.", .on_fit_end = idle);
LT_MODEL(Net, lt_nothing, "A model.", .configure = idle);
LT_LOGGER(Lines, lt_nothing, "A logger.", .open = idle);
LT_PLUGIN("org.lthost.test-good", "1.2.3", callback(Watcher), callback(Plain), model(Net), logger(Lines));
