/* The writer thread: order, bounded memory, failures told once, removals held back. Run under ThreadSanitizer too. */
#include "ckpt_test.h"

static lt_status save(lth_ckpt_writer *w, const char *name, int64_t step, lth_error *err) {
    lth_ckpt_facts facts = {.global_step = step};
    return lth_ckpt_writer_save(w, in_folder(name), small_snapshot(step), &facts, err);
}

static int64_t step_of(const char *name) {
    lth_snapshot *s = NULL;
    lth_ckpt_facts facts = {0};
    assert_good(lth_ckpt_read(in_folder(name), &s, &facts, e));
    int64_t step = lth_snapshot_i64(s, "loops/fit/global_step", -1);
    assert_int_equal(facts.global_step, step);
    lth_snapshot_free(s);
    return step;
}

static void saves_in_order(void **state) {
    (void)state;
    lth_ckpt_writer *w = NULL;
    assert_good(lth_ckpt_writer_new(&w, e));
    for (int i = 0; i < 20; i++) {
        assert_good(save(w, "last.h5", i, e));
    }
    assert_good(lth_ckpt_writer_drain(w, e));
    assert_int_equal(step_of("last.h5"), 19);
    assert_good(save(w, "last.h5", 20, e));
    assert_good(lth_ckpt_writer_free(w, e)); /* drains */
    assert_int_equal(step_of("last.h5"), 20);
}

static void removes_after_saving(void **state) {
    (void)state;
    lth_ckpt_writer *w = NULL;
    assert_good(lth_ckpt_writer_new(&w, e));
    assert_good(save(w, "0.h5", 0, e));
    for (int i = 1; i < 6; i++) {
        char now[16], before[16];
        snprintf(now, sizeof now, "%d.h5", i);
        snprintf(before, sizeof before, "%d.h5", i - 1);
        assert_good(save(w, now, i, e));
        assert_good(lth_ckpt_writer_remove(w, in_folder(before), e));
    }
    assert_good(lth_ckpt_writer_remove(w, in_folder("never was.h5"), e));
    assert_good(lth_ckpt_writer_free(w, e));
    assert_int_equal(count_files(folder, false), 1);
    assert_int_equal(step_of("5.h5"), 5);
}

static void failure_is_told_and_keeps_the_old(void **state) {
    (void)state;
    lth_ckpt_writer *w = NULL;
    lth_error err = {0}, after = {0};
    assert_good(lth_ckpt_writer_new(&w, e));
    assert_good(save(w, "old.h5", 1, e));
    assert_good(lth_ckpt_writer_drain(w, e));
    assert_good(save(w, "no/such/folder/new.h5", 2, e));
    lt_status removal = lth_ckpt_writer_remove(w, in_folder("old.h5"), &err); /* told here, or later if the save has not begun */
    lt_status drain = lth_ckpt_writer_drain(w, &err);
    assert_true(removal == LT_EIO || drain == LT_EIO);
    assert_contains(err.text, "no/such/folder/new.h5: No such file or directory");
    assert_int_equal(lth_ckpt_writer_drain(w, &after), LT_OK); /* once */
    assert_good(lth_ckpt_writer_remove(w, in_folder("old.h5"), e));
    assert_good(save(w, "new.h5", 3, e)); /* later saves are tried */
    assert_good(lth_ckpt_writer_free(w, e));
    assert_int_equal(step_of("old.h5"), 1);
    assert_int_equal(step_of("new.h5"), 3);
}

static void failure_is_returned_by_the_next_save(void **state) {
    (void)state;
    lth_ckpt_writer *w = NULL;
    lth_error err = {0};
    int failures = 0;
    assert_good(lth_ckpt_writer_new(&w, e));
    assert_good(save(w, "no/a.h5", 1, e));
    for (int i = 0; i < 6; i++) { /* at the third at the latest it waits for the first */
        failures += save(w, "b.h5", i, &err) != LT_OK;
    }
    assert_int_equal(failures, 1);
    assert_contains(err.text, "no/a.h5");
    assert_good(lth_ckpt_writer_free(w, e));
    assert_int_equal(step_of("b.h5"), 5);
}

static void failure_is_returned_by_free(void **state) {
    (void)state;
    lth_ckpt_writer *w = NULL;
    lth_error err = {0};
    assert_good(lth_ckpt_writer_new(&w, e));
    assert_good(save(w, "no/a.h5", 1, e));
    assert_int_equal(lth_ckpt_writer_free(w, &err), LT_EIO);
    assert_contains(err.text, "no/a.h5");
    assert_int_equal(lth_ckpt_writer_free(NULL, NULL), LT_OK);
}

/* Each snapshot owns a thousand blocks: were three alive behind the submit, the count would show it. */
static void memory_is_bounded(void **state) {
    (void)state;
    enum { ITEMS = 1000, SLACK = 300 };
    lth_ckpt_writer *w = NULL;
    assert_good(lth_ckpt_writer_new(&w, e));
    for (int i = 0; i < 8; i++) {
        lth_snapshot *s = lth_snapshot_new();
        char path[64];
        for (int k = 0; k < ITEMS; k++) {
            snprintf(path, sizeof path, "state_dict/p.%d", k);
            add_noise(s, path, LT_U8, 1, (int64_t[]){100});
        }
        assert_good(lth_ckpt_writer_save(w, in_folder("last.h5"), s, NULL, e));
        assert_true(lth_alloc_live() - live_before < 2 * ITEMS + SLACK);
    }
    assert_good(lth_ckpt_writer_free(w, e));
}

static void reading_while_writing(void **state) {
    (void)state;
    lth_ckpt_writer *w = NULL;
    int64_t last = 0;
    assert_good(lth_ckpt_writer_new(&w, e));
    assert_good(save(w, "last.h5", 0, e));
    assert_good(lth_ckpt_writer_drain(w, e));
    for (int i = 1; i < 20; i++) {
        assert_good(save(w, "last.h5", i, e));
        int64_t now = step_of("last.h5"); /* whole, old or new, and never going back */
        assert_true(now >= last);
        last = now;
    }
    assert_good(lth_ckpt_writer_free(w, e));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(saves_in_order),       TEST(removes_after_saving), TEST(failure_is_told_and_keeps_the_old), TEST(failure_is_returned_by_the_next_save),
        TEST(failure_is_returned_by_free), TEST(memory_is_bounded), TEST(reading_while_writing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
