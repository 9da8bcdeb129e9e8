/* bench/step_clock.c - a callback that notes when each training batch begins, and at the end prints microseconds per step of seven chunks of
 * equal length, the first fifth of the steps left out: what bench/peers.py does with Lightning's steps. */
#include <lt/callback.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { MOST = 1 << 20, CHUNKS = 7 };
typedef struct { int64_t count; double *stamps; } step_clock;
LT_PARAMS(step_clock, LT_SAVED(count, "0"));

static lt_status on_train_batch_start(lt_ctx *ctx, void *self) {
    step_clock *c = self;
    struct timespec now;
    (void)ctx;
    if (!c->stamps) {
        c->stamps = malloc(MOST * sizeof *c->stamps);
    }
    if (c->stamps && c->count < MOST) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        c->stamps[c->count++] = (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
    }
    return LT_OK;
}

static lt_status on_fit_end(lt_ctx *ctx, void *self) {
    step_clock *c = self;
    int64_t from = c->count / 5, size = (c->count - from - 1) / CHUNKS;
    char text[CHUNKS * 32 + 1];
    int used = 0;
    for (int k = 0; k < CHUNKS && size > 0; k++) {
        const double *at = c->stamps + from + k * size;
        used += snprintf(text + used, sizeof text - (size_t)used, "%s%.3f", k ? ", " : "", (at[size] - at[0]) / (double)size);
    }
    lt_print(ctx, "{\"us_per_step\": [%s]}", used ? text : "");
    free(c->stamps);
    c->stamps = NULL;
    return LT_OK;
}

LT_CALLBACK(StepClock, step_clock, "Measures steps.", .on_train_batch_start = on_train_batch_start, .on_fit_end = on_fit_end);
LT_PLUGIN("org.lthost.bench.step-clock", "0.1.0", callback(StepClock));
