/* tests/trainer/test_logged.c - what lt_log keeps: weighted means, forks of names, tables, state of a broken-off epoch. */
#include "trainer/logged.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void batch(lth_logged *l, int32_t phase, double weight) {
    lth_logged_scope(l, &(lth_log_scope){.phase = phase, .batch_hook = true, .allowed = true, .weight = weight, .n_dataloaders = 1});
}

static void epoch(lth_logged *l, int32_t phase) {
    lth_logged_scope(l, &(lth_log_scope){.phase = phase, .allowed = true, .weight = 1, .n_dataloaders = 1});
}

static void add(lth_logged *l, const char *name, double value, uint32_t flags) {
    lth_error err = {0};

    assert_int_equal(lth_logged_add(l, name, NULL, value, flags, &err), LT_OK);
}

static void end_batch(lth_logged *l) {
    lth_error err = {0};

    assert_int_equal(lth_logged_batch_end(l, NULL, false, 0, 0, &err), LT_OK);
}

static void end_epoch(lth_logged *l, int32_t phase) {
    lth_error err = {0};

    assert_int_equal(lth_logged_epoch_end(l, phase, NULL, 0, 0, &err), LT_OK);
}

/* The last batch of a validation is smaller: it counts for less. */
static void test_mean_is_weighted(void **state) {
    lth_logged *l = lth_logged_new();

    (void)state;
    batch(l, LT_PHASE_VALIDATE, 64);
    add(l, "val_loss", 1, 0);
    end_batch(l);
    batch(l, LT_PHASE_VALIDATE, 16);
    add(l, "val_loss", 6, 0);
    end_batch(l);
    assert_false(lth_logged_has(l, "val_loss")); /* an epoch value is not there before the epoch's end */
    end_epoch(l, LT_PHASE_VALIDATE);
    assert_float_equal(lth_logged_value(l, "val_loss"), 2, 1e-12);
    batch(l, LT_PHASE_VALIDATE, 64);
    add(l, "val_loss", 10, 0);
    end_batch(l);
    end_epoch(l, LT_PHASE_VALIDATE);
    assert_float_equal(lth_logged_value(l, "val_loss"), 10, 1e-12); /* a new epoch begins from nothing */
    lth_logged_free(l);
}

static void test_reductions(void **state) {
    static const struct {
        uint32_t how;
        double expected;
    } cases[] = {{LT_LOG_MIN, 1}, {LT_LOG_MAX, 5}, {LT_LOG_SUM, 9}, {LT_LOG_MEAN, 3}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lth_logged *l = lth_logged_new();

        for (int k = 0; k < 3; k++) {
            batch(l, LT_PHASE_TEST, 1);
            add(l, "x", (double[]){3, 1, 5}[k], cases[i].how);
            end_batch(l);
        }
        end_epoch(l, LT_PHASE_TEST);
        assert_float_equal(lth_logged_value(l, "x"), cases[i].expected, 1e-12);
        lth_logged_free(l);
    }
}

static void test_forked_names(void **state) {
    lth_logged *l = lth_logged_new();

    (void)state;
    for (int k = 0; k < 2; k++) {
        batch(l, LT_PHASE_TRAIN, 1);
        add(l, "loss", k, LT_LOG_STEP | LT_LOG_EPOCH | LT_LOG_PROG_BAR);
        assert_float_equal(lth_logged_value(l, "loss_step"), k, 0); /* visible at once, before the flush */
        end_batch(l);
    }
    end_epoch(l, LT_PHASE_TRAIN);
    assert_float_equal(lth_logged_value(l, "loss_epoch"), 0.5, 0);
    assert_float_equal(lth_logged_value(l, "loss"), 0.5, 0);
    assert_int_equal(lth_logged_count(l, LT_METRICS_PROG_BAR), 3);
    assert_true(isnan(lth_logged_value(l, "absent")));
    lth_logged_free(l);
}

static void test_refusals(void **state) {
    lth_logged *l = lth_logged_new();
    lth_error err = {0};

    (void)state;
    lth_logged_scope(l, &(lth_log_scope){.phase = LT_PHASE_PREDICT});
    assert_int_equal(lth_logged_add(l, "x", NULL, 1, 0, &err), LT_ESTATE);
    lth_error_clear(&err);
    epoch(l, LT_PHASE_TRAIN);
    assert_int_equal(lth_logged_add(l, "x", NULL, 1, LT_LOG_STEP, &err), LT_ESTATE);
    assert_non_null(strstr(err.text, "LT_LOG_STEP"));
    lth_error_clear(&err);
    batch(l, LT_PHASE_TRAIN, 1);
    add(l, "y", 1, 0);
    assert_int_equal(lth_logged_add(l, "y", NULL, 1, LT_LOG_EPOCH, &err), LT_EINVAL);
    lth_logged_free(l);
}

/* Half an epoch, saved, restored elsewhere and finished, gives the mean of the whole. */
static void test_state(void **state) {
    lth_logged *l = lth_logged_new(), *resumed = lth_logged_new();
    lth_snapshot *snapshot = lth_snapshot_new();
    lth_error err = {0};

    (void)state;
    batch(l, LT_PHASE_TRAIN, 2);
    add(l, "a/b %c", 1, LT_LOG_EPOCH);
    add(l, "step", 7, 0);
    end_batch(l);
    assert_int_equal(lth_logged_save(l, snapshot, "metrics", &err), LT_OK);
    assert_int_equal(lth_logged_load(resumed, snapshot, "metrics", &err), LT_OK);
    assert_float_equal(lth_logged_value(resumed, "step"), 7, 0);
    batch(resumed, LT_PHASE_TRAIN, 1);
    add(resumed, "a/b %c", 4, LT_LOG_EPOCH);
    end_batch(resumed);
    end_epoch(resumed, LT_PHASE_TRAIN);
    assert_float_equal(lth_logged_value(resumed, "a/b %c"), 2, 1e-12);
    lth_snapshot_free(snapshot);
    lth_logged_free(resumed);
    lth_logged_free(l);
}

static void test_many_names(void **state) {
    lth_logged *l = lth_logged_new();
    char name[40];

    (void)state;
    for (int round = 0; round < 2; round++) {
        batch(l, LT_PHASE_TRAIN, 1);
        for (int i = 0; i < 500; i++) {
            snprintf(name, sizeof name, "metric_%d", i); /* the name's memory is the caller's: it must be copied */
            add(l, name, i + round, 0);
        }
        end_batch(l);
    }
    assert_int_equal(lth_logged_count(l, LT_METRICS_CALLBACK), 500);
    assert_float_equal(lth_logged_value(l, "metric_321"), 322, 0);
    lth_logged_drop(l, LT_PHASE_TRAIN);
    assert_int_equal(lth_logged_count(l, LT_METRICS_CALLBACK), 0);
    lth_logged_free(l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mean_is_weighted), cmocka_unit_test(test_reductions), cmocka_unit_test(test_forked_names),
        cmocka_unit_test(test_refusals),         cmocka_unit_test(test_state),      cmocka_unit_test(test_many_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
