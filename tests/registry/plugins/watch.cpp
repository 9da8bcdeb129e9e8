// A component in C++: constructor, defaults of its own, virtual functions, an exception.
#include <lt/callback.h>
#include <stdexcept>

static int alive;
struct jumps : lt::callback {
    enum { state_version = 3 };
    double limit;
    int64_t seen;
    int64_t *counter;
    double last = -1.5;
    jumps() { alive++; }
    ~jumps() { alive--; }
    lt_status on_fit_start(lt_ctx *) override { return last == -1.5 && limit == 10 ? LT_OK : LT_EPLUGIN; }
    lt_status on_fit_end(lt_ctx *) override { throw std::runtime_error("thrown in on_fit_end"); }
    const void *get_interface(const char *) override { return &alive; }
};
LT_PARAMS(jumps, LT_PARAM(limit, "10", "Factor.", LT_RANGE(">1"), LT_LIVE), LT_SAVED(seen, "5"));
LT_CALLBACK(Jumps, jumps, "Warns when the loss jumps.", LT_CALLBACK_LAST);
LT_PLUGIN("org.lthost.test-watch", "1.0.0", callback(Jumps));
