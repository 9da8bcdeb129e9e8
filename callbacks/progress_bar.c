/* ProgressBar: a live bar on a terminal, a plain line per epoch elsewhere: progress, rate, time left, prog_bar metrics.
 * Writes no carriage returns into log files; looks at the clock, not the terminal, in the steady step. */
#include <lt/callback.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct {
    int64_t refresh_rate;
    bool leave;
    double epoch_began, pass_began, last_draw;
    int64_t first_batch, first_sample; /* of this epoch in this process: a resumed epoch begins in its middle */
} bar;

LT_PARAMS(bar,
    LT_PARAM(refresh_rate, "1", "Batches between two updates; 0 switches the bar off.", LT_RANGE("0.."), LT_LIVE),
    LT_PARAM(leave, "true", "Keep a line for every epoch."));

enum { LINE = 512, CELLS = 20, FEWEST_CELLS = 5, NARROW = 72 };
static const double REDRAW = 0.05; /* seconds: a terminal needs no more, and drawing costs system calls */

static void clock_text(char *out, size_t size, double seconds) {
    long long s = seconds >= 0 && seconds < 1e9 ? (long long)seconds : 0;

    if (s >= 3600) {
        snprintf(out, size, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
    } else {
        snprintf(out, size, "%02lld:%02lld", s / 60, s % 60);
    }
}

/* "1.2 s", "01:23", "1:02:03" */
static void duration_text(char *out, size_t size, double seconds) {
    if (seconds >= 0 && seconds < 59.95) {
        snprintf(out, size, "%.1f s", seconds);
    } else {
        clock_text(out, size, seconds);
    }
}

/* Four digits that say something, never an exponent: "0.52", "45.1", "171", "33,770" */
static void rate_text(char *out, size_t size, double rate) {
    if (!(rate >= 0 && rate < 1e15)) {
        snprintf(out, size, "?");
        return;
    }
    snprintf(out, size, "%.*f", rate < 10 ? 2 : rate < 100 ? 1 : 0, rate);
    for (size_t digits = strcspn(out, "."), length = strlen(out); digits > 3 && length + 1 < size; length++) {
        digits -= 3;
        memmove(out + digits + 1, out + digits, length - digits + 1);
        out[digits] = ',';
    }
}

/* As many whole metrics as fit: half a number would be a wrong one. */
static void metrics_text(lt_ctx *ctx, char *out, size_t room) {
    size_t used = 0;

    for (int32_t i = 0; i < lt_metric_count(ctx, LT_METRICS_PROG_BAR); i++) {
        double value = NAN;
        char one[64];
        const char *name = lt_metric_at(ctx, LT_METRICS_PROG_BAR, i, &value);
        size_t length = name ? (size_t)snprintf(one, sizeof one, ", %.40s=%.4g", name, value) : room;

        if (used + length < room) {
            memcpy(out + used, one, length);
            used += length;
        }
    }
    out[used] = 0;
}

static void cells(char *out, int count, double share) {
    int full = (int)(share * count);
    size_t used = 0;

    out[0] = 0;
    for (int i = 0; i < count; i++) {
        const char *cell = i < full ? "\xe2\x96\x88" : "\xc2\xb7";

        memcpy(out + used, cell, strlen(cell) + 1);
        used += strlen(cell);
    }
}

/* "387/860", or "387" of a stream whose end nobody knows. */
static void count_text(char *out, size_t size, int64_t done, int64_t total) {
    if (total < 0) {
        snprintf(out, size, "%lld", (long long)done);
    } else {
        snprintf(out, size, "%lld/%lld", (long long)done, (long long)total);
    }
}

/* "Epoch 0  45% ████████············ 387/860 [00:02<00:03, 171 it/s, train_loss=0.1234]". Where the terminal is narrow, first the bar
 * gives way to the numbers, then the times, then the last metrics. */
static void draw(lt_ctx *ctx, bar *b, const char *what, int64_t done, int64_t total, int64_t first, double began) {
    char line[2 * LINE], numbers[200], blocks[CELLS * 4], count[48], passed[32], left[32], speed[40], metrics[LINE / 2];
    double seconds = lt_seconds(ctx) - began, share = total > 0 ? (double)done / (double)total : 0;
    double rate = seconds > 0 ? (double)(done - first) / seconds : 0;

    b->last_draw = lt_seconds(ctx);
    clock_text(passed, sizeof passed, seconds);
    clock_text(left, sizeof left, rate > 0 && total > done ? (double)(total - done) / rate : 0);
    count_text(count, sizeof count, done, total);
    rate_text(speed, sizeof speed, rate);
    if (lt_terminal_width(ctx) < NARROW) {
        snprintf(numbers, sizeof numbers, "%s [%s it/s", count, speed);
    } else if (total < 0) {
        snprintf(numbers, sizeof numbers, "%s [%s, %s it/s", count, passed, speed);
    } else {
        snprintf(numbers, sizeof numbers, "%s [%s<%s, %s it/s", count, passed, left, speed);
    }
    int room = lt_terminal_width(ctx) - (int)(strlen(what) + strlen(" 100% ]") + strlen(numbers)); /* the last column stays free */
    metrics_text(ctx, metrics, room < 1 ? 1 : room < (int)sizeof metrics ? (size_t)room : sizeof metrics);
    room -= (int)strlen(metrics) + 2;
    cells(blocks, room > CELLS ? CELLS : room < FEWEST_CELLS ? 0 : room, share);
    if (total < 0) {
        snprintf(line, sizeof line, "%s %s%s]", what, numbers, metrics);
    } else {
        snprintf(line, sizeof line, "%s %3.0f%% %s%s%s%s]", what, 100 * share, blocks, *blocks ? " " : "", numbers, metrics);
    }
    lt_terminal_status(ctx, line);
}

static bool due(lt_ctx *ctx, const bar *b, int64_t done, int64_t total) {
    if (!b->refresh_rate || lt_terminal_width(ctx) == 0 || (done % b->refresh_rate && done != total)) {
        return false;
    }
    return lt_seconds(ctx) - b->last_draw >= REDRAW;
}

static lt_status on_train_epoch_start(lt_ctx *ctx, void *self) {
    bar *b = self;

    b->epoch_began = lt_seconds(ctx);
    b->first_batch = lt_now(ctx)->batch_idx;
    b->first_sample = lt_now(ctx)->samples;
    return LT_OK;
}

static lt_status on_train_batch_end(lt_ctx *ctx, void *self) {
    bar *b = self;
    const lt_moment *now = lt_now(ctx);
    char what[64];

    if (b->epoch_began == 0) { /* resumed inside an epoch: its start hook is not called again */
        b->epoch_began = lt_seconds(ctx);
        b->first_batch = now->batch_idx;
        b->first_sample = now->samples;
    }
    if (due(ctx, b, now->batch_idx + 1, now->num_batches)) {
        snprintf(what, sizeof what, "Epoch %lld", (long long)now->epoch);
        draw(ctx, b, what, now->batch_idx + 1, now->num_batches, b->first_batch, b->epoch_began);
    }
    return LT_OK;
}

static lt_status on_train_epoch_end(lt_ctx *ctx, void *self) {
    bar *b = self;
    const lt_moment *now = lt_now(ctx);
    char metrics[LINE / 2], count[48], passed[32], speed[40];
    double seconds = lt_seconds(ctx) - b->epoch_began;

    lt_terminal_status(ctx, NULL);
    if (!b->refresh_rate || !b->leave) {
        return LT_OK;
    }
    metrics_text(ctx, metrics, sizeof metrics);
    duration_text(passed, sizeof passed, seconds);
    rate_text(speed, sizeof speed, seconds > 0 ? (double)(now->samples - b->first_sample) / seconds : 0);
    count_text(count, sizeof count, now->batch_idx, now->num_batches);
    lt_print(ctx, "Epoch %lld: %s batches in %s, %s samples/s%s", (long long)now->epoch, count, passed, speed, metrics);
    return LT_OK;
}

static lt_status pass_start(lt_ctx *ctx, void *self) {
    bar *b = self;

    b->pass_began = lt_seconds(ctx);
    return LT_OK;
}

static lt_status pass_batch(lt_ctx *ctx, void *self) {
    static const char *const names[] = {"", "Sanity check", "", "Validation", "Test", "Predict"};
    bar *b = self;
    const lt_moment *now = lt_now(ctx);

    if (due(ctx, b, now->batch_idx + 1, now->num_batches)) {
        draw(ctx, b, names[now->phase], now->batch_idx + 1, now->num_batches, 0, b->pass_began);
    }
    return LT_OK;
}

static lt_status clear(lt_ctx *ctx, void *self) {
    (void)self;
    lt_terminal_status(ctx, NULL);
    return LT_OK;
}

LT_CALLBACK(ProgressBar, bar, "Shows progress, rate and metrics.",
    .on_train_epoch_start = on_train_epoch_start,
    .on_train_batch_end = on_train_batch_end,
    .on_train_epoch_end = on_train_epoch_end,
    .on_validation_start = pass_start,
    .on_validation_batch_end = pass_batch,
    .on_test_start = pass_start,
    .on_test_batch_end = pass_batch,
    .on_test_end = clear,
    .on_predict_start = pass_start,
    .on_predict_batch_end = pass_batch,
    .on_predict_end = clear,
    .on_train_end = clear,
    .on_exception = clear,
    .teardown = clear);
LT_PLUGIN("org.lthost.progress-bar", "0.1.0", callback(ProgressBar));
