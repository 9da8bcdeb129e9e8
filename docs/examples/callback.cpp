// Pace: logs the samples per second of every epoch. C++11; the same ABI, so it may stand beside C files in one plugin.
#include <lt/callback.h>

struct pace : lt::callback {
    bool prog_bar;
    double began = 0;
    int64_t samples = 0;

    lt_status on_train_epoch_start(lt_ctx *ctx) override {
        began = lt_seconds(ctx);
        samples = lt_now(ctx)->samples;
        return LT_OK;
    }
    lt_status on_train_epoch_end(lt_ctx *ctx) override {
        double rate = static_cast<double>(lt_now(ctx)->samples - samples) / (lt_seconds(ctx) - began);
        lt_log_value(ctx, "samples_per_second", rate, prog_bar ? LT_LOG_PROG_BAR : 0);
        return lt_ctx_status(ctx);
    }
};

LT_PARAMS(pace, LT_PARAM(prog_bar, "true", "Show it in the progress bar too."));
LT_CALLBACK(Pace, pace, "Logs the samples per second of an epoch.");
LT_PLUGIN("org.example.pace", "1.0.0", callback(Pace));
