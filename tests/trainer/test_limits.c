/* tests/trainer/test_limits.c - the trainer's arguments as numbers of batches: Lightning's rules, refusals by name. */
#include "trainer/limits.h"
#include <lt/trainer.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static lth_trainer_opts defaults(void) {
    return (lth_trainer_opts){.fast_dev_run = "false",
                              .max_steps = -1,
                              .limit_train_batches = "1.0",
                              .limit_val_batches = "1.0",
                              .limit_test_batches = "1.0",
                              .limit_predict_batches = "1.0",
                              .overfit_batches = "0.0",
                              .val_check_interval = "1.0",
                              .check_val_every_n_epoch = {1, true},
                              .num_sanity_val_steps = 2,
                              .log_every_n_steps = 50,
                              .accumulate_grad_batches = 1};
}

static const lth_loader_lengths lengths = {.train = 100, .val = 10, .test = 7, .predict = 3};

static lth_limits resolved(lth_trainer_opts opts) {
    lth_error err = {0};
    lth_limits out;

    assert_int_equal(lth_limits_resolve(&opts, &lengths, &out, &err), LT_OK);
    return out;
}

static void refused(lth_trainer_opts opts, const char *part) {
    lth_error err = {0};
    lth_limits out;

    assert_int_equal(lth_limits_resolve(&opts, &lengths, &out, &err), LT_ECONFIG);
    assert_non_null(strstr(err.text, part));
}

static void test_defaults(void **state) {
    lth_limits l = resolved(defaults());

    (void)state;
    assert_int_equal(l.max_epochs, 1000);
    assert_int_equal(l.min_epochs, 0);
    assert_int_equal(l.train_batches, 100);
    assert_int_equal(l.val_batches, 10);
    assert_int_equal(l.val_every, 100);
    assert_int_equal(l.sanity_batches, 2);
}

/* 1 is one batch, 1.0 all of them; 3e0 and 0.5 are fractions or counts as they are written. */
static void test_limits(void **state) {
    static const struct {
        const char *text;
        int64_t batches;
    } cases[] = {{"1", 1}, {"1.0", 100}, {"0", 0}, {"0.0", 0}, {"0.5", 50}, {"0.019", 1}, {"7", 7}, {"500", 100}, {"3.0", 3}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lth_trainer_opts opts = defaults();

        opts.limit_train_batches = cases[i].text;
        assert_int_equal(resolved(opts).train_batches, cases[i].batches);
    }
}

static void test_refusals(void **state) {
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"-1", "limit_train_batches"}, {"1.5", "cannot exceed 1.0"}, {"0.001", "less than one batch"}, {"x", "\"x\""}, {"nan", "nan"}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lth_trainer_opts opts = defaults();

        opts.limit_train_batches = cases[i].text;
        refused(opts, cases[i].part);
    }
}

static void test_validation(void **state) {
    lth_trainer_opts opts = defaults();

    (void)state;
    opts.val_check_interval = "0.25";
    assert_int_equal(resolved(opts).val_every, 25);
    opts.val_check_interval = "0.001"; /* at least every batch */
    assert_int_equal(resolved(opts).val_every, 1);
    opts.val_check_interval = "30";
    assert_int_equal(resolved(opts).val_every, 30);
    opts.val_check_interval = "101";
    refused(opts, "an epoch has 100");
    opts.check_val_every_n_epoch = (lt_opt_int){0, false}; /* across epochs it may be more than one has */
    assert_int_equal(resolved(opts).val_every, 101);
    opts.val_check_interval = "0.5";
    refused(opts, "must be a number of batches");
    opts = defaults();
    opts.val_check_interval = "1.5";
    refused(opts, "at most at 1.0");
}

static void test_epochs_and_steps(void **state) {
    lth_trainer_opts opts = defaults();

    (void)state;
    opts.max_steps = 5;
    assert_int_equal(resolved(opts).max_epochs, -1); /* steps alone decide */
    opts.max_epochs = (lt_opt_int){3, true};
    assert_int_equal(resolved(opts).max_epochs, 3);
    opts = defaults();
    opts.min_steps = (lt_opt_int){10, true};
    assert_int_equal(resolved(opts).min_epochs, 1);
}

static void test_fast_dev_run(void **state) {
    lth_trainer_opts opts = defaults();
    lth_limits l;

    (void)state;
    opts.fast_dev_run = "true";
    opts.max_epochs = (lt_opt_int){9, true};
    l = resolved(opts);
    assert_int_equal(l.train_batches, 1);
    assert_int_equal(l.val_batches, 1);
    assert_int_equal(l.max_epochs, 1);
    assert_int_equal(l.max_steps, 1);
    assert_int_equal(l.sanity_batches, 0);
    assert_int_equal(l.log_every, 1);
    opts.fast_dev_run = "4";
    assert_int_equal(resolved(opts).predict_batches, 3); /* never more than there are */
}

static void test_sanity_and_overfit(void **state) {
    lth_trainer_opts opts = defaults();

    (void)state;
    opts.num_sanity_val_steps = -1;
    assert_int_equal(resolved(opts).sanity_batches, 10);
    opts.overfit_batches = "5";
    assert_int_equal(resolved(opts).train_batches, 5);
    assert_int_equal(resolved(opts).val_batches, 5);
}

/* A stream ends where it ends: also before a limit, so that validation waits for its end. */
static void test_streams(void **state) {
    lth_loader_lengths unknown = {.train = LTH_UNKNOWN_BATCHES, .val = LTH_UNKNOWN_BATCHES};
    lth_trainer_opts opts = defaults();
    lth_error err = {0};
    lth_limits l;

    (void)state;
    for (int k = 0; k < 3; k++) {
        opts.limit_train_batches = k ? "100" : "1.0";
        opts.fast_dev_run = k == 2 ? "5" : "false";
        assert_int_equal(lth_limits_resolve(&opts, &unknown, &l, &err), LT_OK);
        assert_true(l.val_every == LTH_UNKNOWN_BATCHES);
        assert_true(l.train_batches == (k == 0 ? LTH_UNKNOWN_BATCHES : k == 1 ? 100 : 5));
    }
    opts.fast_dev_run = "false";
    opts.val_check_interval = "0.5";
    assert_int_equal(lth_limits_resolve(&opts, &unknown, &l, &err), LT_OK);
    assert_int_equal(l.val_every, 50);
}

static void test_parts(void **state) {
    lth_trainer_opts opts = defaults();
    lth_error err = {0};
    int64_t n = -1;

    (void)state;
    opts.limit_val_batches = "0.1";
    opts.limit_predict_batches = "4";
    assert_int_equal(lth_limits_of_part(&opts, LT_PHASE_VALIDATE, 100, &n, &err), LT_OK);
    assert_int_equal(n, 10);
    assert_int_equal(lth_limits_of_part(&opts, LT_PHASE_SANITY, 100, &n, &err), LT_OK);
    assert_int_equal(n, 2);
    assert_int_equal(lth_limits_of_part(&opts, LT_PHASE_TEST, 100, &n, &err), LT_OK);
    assert_int_equal(n, 100);
    assert_int_equal(lth_limits_of_part(&opts, LT_PHASE_PREDICT, 100, &n, &err), LT_OK);
    assert_int_equal(n, 4);
    assert_int_equal(lth_limits_of_part(&opts, LT_PHASE_VALIDATE, 5, &n, &err), LT_ECONFIG);
    assert_non_null(strstr(err.text, "trainer.limit_val_batches = 0.1 of 5 batches"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),           cmocka_unit_test(test_limits),           cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_validation),         cmocka_unit_test(test_epochs_and_steps), cmocka_unit_test(test_fast_dev_run),
        cmocka_unit_test(test_sanity_and_overfit), cmocka_unit_test(test_streams),         cmocka_unit_test(test_parts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
