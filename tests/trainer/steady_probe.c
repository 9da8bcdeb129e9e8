/* SteadyProbe: from batch `from` on, prints how many allocations happened on the trainer thread up to batch `to`. Test only. */
#include <dlfcn.h>
#include <lt/callback.h>
#include <stdlib.h>

typedef struct { int64_t from, to; uint64_t begin; } probe;
LT_PARAMS(probe,
    LT_PARAM(from, "60", "First batch watched."),
    LT_PARAM(to, "400", "Last batch watched."));

static lt_status on_train_batch_start(lt_ctx *ctx, void *self) {
    static uint64_t (*counter)(void **);
    probe *p = self;
    int64_t batch = lt_now(ctx)->batch_idx;
    void *caller = NULL;
    uint64_t now;
    Dl_info info = {0};

    if (!counter) {
        *(void **)&counter = dlsym(RTLD_DEFAULT, "steady_count");
    }
    if (!counter || (batch != p->from && batch != p->to)) {
        return LT_OK;
    }
    now = counter(&caller);
    if (batch == p->from) { /* a counter that does not count would pass everything: it must see this one */
        void *volatile one = malloc(1);

        free(one);
        p->begin = counter(&caller);
        return p->begin == now + 1 ? LT_OK : lt_fail(ctx, LT_EPLUGIN, "the counting malloc is not in place");
    }
    if (caller) {
        dladdr(caller, &info);
    }
    lt_print(ctx, "steady allocations: %lld in %lld batches%s%s+0x%llx", (long long)(now - p->begin), (long long)(p->to - p->from),
             caller ? "; last by " : "; none",
             caller && info.dli_fname ? info.dli_fname : "", (unsigned long long)((char *)caller - (char *)info.dli_fbase));
    return LT_OK;
}

LT_CALLBACK(SteadyProbe, probe, "Counts allocations of the steady step.", .on_train_batch_start = on_train_batch_start);
LT_PLUGIN("org.lthost.test.steady-probe", "0.0.1", callback(SteadyProbe));
