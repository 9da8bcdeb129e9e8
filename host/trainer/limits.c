/* trainer/limits.c - see limits.h. The rules are Lightning's: 1 is one batch, 1.0 is all of them. */
#include "trainer/limits.h"
#include "base/log.h"
#include "base/str.h"
#include <lt/trainer.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static lt_status limit(const char *name, const char *text, int64_t length, int64_t *out, lth_error *err) {
    int64_t batches;
    double fraction;

    if (lth_parse_i64(text, &batches) && !strpbrk(text, ".eE")) {
        if (batches < 0) {
            return lth_fail(err, LT_ECONFIG, "trainer.%s is %s; give a number of batches, or a fraction between 0.0 and 1.0", name, text);
        }
        *out = batches < length ? batches : length;
        return LT_OK;
    }
    if (!lth_parse_f64(text, &fraction) || !(fraction >= 0)) {
        return lth_fail(err, LT_ECONFIG, "trainer.%s is \"%s\"; give a number of batches, or a fraction between 0.0 and 1.0", name, text);
    }
    if (fraction > 1) {
        if (fraction != floor(fraction)) {
            return lth_fail(err, LT_ECONFIG, "trainer.%s is %s: a fraction cannot exceed 1.0", name, text);
        }
        *out = fraction < (double)length ? (int64_t)fraction : length;
        return LT_OK;
    }
    if (length == LTH_UNKNOWN_BATCHES) {
        if (fraction > 0 && fraction < 1) {
            return lth_fail(err, LT_ECONFIG, "trainer.%s = %s is a share of an epoch whose length is not known (a stream); give a number of batches",
                            name, text);
        }
        *out = fraction > 0 ? length : 0;
        return LT_OK;
    }
    *out = (int64_t)(fraction * (double)length);
    if (!*out && fraction > 0 && length > 0) {
        return lth_fail(err, LT_ECONFIG, "trainer.%s = %s of %lld batches is less than one batch; give at least %g, or a whole number",
                        name, text, (long long)length, 1.0 / (double)length);
    }
    return LT_OK;
}

static lt_status validation(const lth_trainer_opts *opts, const lth_loader_lengths *lengths, lth_limits *out, lth_error *err) {
    int64_t every;

    out->val_every_epochs = opts->check_val_every_n_epoch.given ? opts->check_val_every_n_epoch.value : 0;
    out->val_across_epochs = !opts->check_val_every_n_epoch.given;
    if (!lth_parse_f64(opts->val_check_interval, &out->val_check_interval)) {
        return lth_fail(err, LT_ECONFIG, "trainer.val_check_interval is \"%s\"; give a number of batches or a fraction of the epoch",
                        opts->val_check_interval);
    }
    if (!out->val_batches || !out->train_batches) {
        return LT_OK;
    }
    if (lth_parse_i64(opts->val_check_interval, &every) && !strpbrk(opts->val_check_interval, ".eE")) {
        if (every < 1 || (every > out->train_batches && !out->val_across_epochs)) {
            return lth_fail(err, LT_ECONFIG,
                            "trainer.val_check_interval is %lld batches, but an epoch has %lld; lower it, or set "
                            "trainer.check_val_every_n_epoch to null to count across epochs",
                            (long long)every, (long long)out->train_batches);
        }
        out->val_every = every;
        return LT_OK;
    }
    if (out->val_across_epochs) {
        return lth_fail(err, LT_ECONFIG,
                        "trainer.val_check_interval = %s is a fraction of an epoch; with trainer.check_val_every_n_epoch null it must be a "
                        "number of batches",
                        opts->val_check_interval);
    }
    if (out->val_check_interval <= 0 || out->val_check_interval > 1) {
        return lth_fail(err, LT_ECONFIG, "trainer.val_check_interval = %s must lie above 0.0 and at most at 1.0", opts->val_check_interval);
    }
    if (out->train_batches == LTH_UNKNOWN_BATCHES && out->val_check_interval < 1) {
        return lth_fail(err, LT_ECONFIG, "trainer.val_check_interval = %s is a share of an epoch whose length is not known (a stream); give a number of "
                        "batches, or 1.0 for its end", opts->val_check_interval);
    }
    if (lengths->train == LTH_UNKNOWN_BATCHES && out->val_check_interval >= 1) { /* also with a limit: the stream may end before it */
        out->val_every = LTH_UNKNOWN_BATCHES;
        return LT_OK;
    }
    every = (int64_t)((double)out->train_batches * out->val_check_interval);
    out->val_every = every > 0 ? every : 1;
    return LT_OK;
}

static int64_t fast_dev_run(const char *text) {
    int64_t n;

    return !strcmp(text, "true") ? 1 : lth_parse_i64(text, &n) && n > 0 ? n : 0;
}

/* One batch of each stage, once, without anything that writes: a test of the code, not a run. */
static void apply_fast_dev_run(lth_limits *out, const lth_loader_lengths *lengths) {
    int64_t n = out->fast_dev_run;

    out->train_batches = n < lengths->train ? n : lengths->train;
    out->val_batches = n < lengths->val ? n : lengths->val;
    out->test_batches = n < lengths->test ? n : lengths->test;
    out->predict_batches = n < lengths->predict ? n : lengths->predict;
    out->sanity_batches = 0;
    out->max_steps = n;
    out->max_epochs = 1;
    out->val_every = lengths->train == LTH_UNKNOWN_BATCHES ? LTH_UNKNOWN_BATCHES : out->train_batches;
    out->val_every_epochs = 1;
    out->val_across_epochs = false;
    out->log_every = 1;
}

lt_status lth_limits_of_part(const lth_trainer_opts *opts, int32_t phase, int64_t length, int64_t *out, lth_error *err) {
    bool test = phase == LT_PHASE_TEST, predict = phase == LT_PHASE_PREDICT;
    const char *name = test ? "limit_test_batches" : predict ? "limit_predict_batches" : "limit_val_batches";
    const char *text = test ? opts->limit_test_batches : predict ? opts->limit_predict_batches : opts->limit_val_batches;
    int64_t n = fast_dev_run(opts->fast_dev_run), steps = opts->num_sanity_val_steps;
    double overfit = 0;

    if (n) {
        *out = n < length ? n : length;
        return LT_OK;
    }
    if (!test && !predict && lth_parse_f64(opts->overfit_batches, &overfit) && overfit > 0) {
        text = opts->overfit_batches;
    }
    if (limit(name, text, length, out, err)) {
        return err->code;
    }
    *out = phase == LT_PHASE_SANITY && steps >= 0 && steps < *out ? steps : *out;
    return LT_OK;
}

static void epochs_and_steps(const lth_trainer_opts *opts, lth_limits *out) {
    out->max_steps = opts->max_steps;
    out->min_steps = opts->min_steps.given ? opts->min_steps.value : -1;
    out->min_epochs = opts->min_epochs.given ? opts->min_epochs.value : out->min_steps > 0 ? 1 : 0;
    out->max_epochs = opts->max_epochs.given ? opts->max_epochs.value : out->max_steps >= 0 ? -1 : 1000;
}

lt_status lth_limits_resolve(const lth_trainer_opts *opts, const lth_loader_lengths *lengths, lth_limits *out, lth_error *err) {
    const char *train = opts->limit_train_batches, *val = opts->limit_val_batches;
    double overfit = 0;

    *out = (lth_limits){.accumulate = opts->accumulate_grad_batches, .log_every = opts->log_every_n_steps};
    out->fast_dev_run = fast_dev_run(opts->fast_dev_run);
    epochs_and_steps(opts, out);
    if (lth_parse_f64(opts->overfit_batches, &overfit) && overfit > 0) {
        train = val = opts->overfit_batches;
        out->overfit = true;
    }
    if (limit("limit_train_batches", train, lengths->train, &out->train_batches, err) ||
        limit("limit_val_batches", val, lengths->val, &out->val_batches, err) ||
        limit("limit_test_batches", opts->limit_test_batches, lengths->test, &out->test_batches, err) ||
        limit("limit_predict_batches", opts->limit_predict_batches, lengths->predict, &out->predict_batches, err)) {
        return err->code;
    }
    out->sanity_batches =
        opts->num_sanity_val_steps < 0 || opts->num_sanity_val_steps > out->val_batches ? out->val_batches : opts->num_sanity_val_steps;
    if (out->fast_dev_run) {
        apply_fast_dev_run(out, lengths);
        return LT_OK;
    }
    return validation(opts, lengths, out, err);
}
