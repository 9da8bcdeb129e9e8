/* Errors and diagnostics: the first one stays, long texts are cut whole, no memory is no excuse. */
#include "base_test.h"
#include "base/diag.h"
#include "base/error.h"
#include <stdio.h>

static void the_first_failure_stays(void **state) {
    (void)state;
    lth_error err = {0};
    int here = 0;
    assert_int_equal(lth_fail_op(&err, LT_ESHAPE, "lt_add", &here, "shapes %s differ", "(1) and (2)"), LT_ESHAPE);
    assert_int_equal(lth_fail(&err, LT_EIO, "later"), LT_EIO);
    assert_int_equal(err.code, LT_ESHAPE);
    assert_string_equal(err.text, "shapes (1) and (2) differ");
    assert_string_equal(err.op, "lt_add");
    assert_ptr_equal(err.caller, &here);
    lth_error_clear(&err);
    assert_int_equal(err.code, LT_OK);
    assert_string_equal(err.text, "");
    assert_null(err.caller);
}

static void zero_is_no_failure_code(void **state) {
    (void)state;
    lth_error err = {0};
    assert_int_equal(lth_fail(&err, LT_OK, "x"), LT_EINVAL);
    assert_int_equal(err.code, LT_EINVAL);
    assert_int_equal(lth_fail(NULL, LT_EIO, "nowhere to keep it"), LT_EIO);
}

static void a_long_text_is_cut_between_characters(void **state) {
    (void)state;
    lth_error err = {0};
    char text[3000];
    for (size_t i = 0; i + 1 < sizeof text; i += 2) {
        memcpy(text + i, "\xc3\xa4", 2);
    }
    for (int shift = 0; shift < 2; shift++) {
        text[sizeof text - 2] = 0;
        lth_error_clear(&err);
        lth_fail(&err, LT_EIO, "%s%s", shift ? "x" : "", text);
        size_t length = strlen(err.text);
        assert_in_range(length, sizeof err.text - 4, sizeof err.text - 1);
        assert_string_equal(err.text + length - 3, "...");
        assert_int_equal((unsigned char)err.text[length - 4], 0xa4);
    }
}

static void every_code_has_a_name(void **state) {
    (void)state;
    for (lt_status code = -16; code <= 1; code++) {
        assert_string_not_equal(lth_status_name(code), "?");
        assert_string_not_equal(lth_status_text(code), "?");
    }
    assert_string_equal(lth_status_name(LT_ESHAPE), "LT_ESHAPE");
    assert_string_equal(lth_status_text(LT_ESHAPE), "shapes do not fit");
    assert_string_equal(lth_status_name(-17), "?");
    assert_string_equal(lth_status_text(2), "?");
}

static void diagnostics_print_with_their_places(void **state) {
    (void)state;
    lth_diags diags = {0};
    char file[] = "a.yaml";
    lth_diag_add(&diags, LT_ECONFIG, file, 12, "known: x", "bad %s", "key");
    lth_diag_add(&diags, LT_ECONFIG, "command line", 0, "", "worse");
    lth_diag_add(&diags, LT_EABSENT, NULL, 0, NULL, "worst");
    memset(file, 'z', 6); /* texts are copied */
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    lth_diags_print(&diags, out);
    fclose(out);
    assert_string_equal(text, "error: a.yaml:12: bad key (known: x)\nerror: command line: worse\nerror: worst\n");
    free(text);
    assert_int_equal(diags.items[2].code, LT_EABSENT);
    lth_diags_release(&diags);
    assert_int_equal(diags.count, 0);
}

static void hundreds_of_diagnostics(void **state) {
    (void)state;
    lth_diags diags = {0};
    for (int i = 0; i < 500; i++) {
        lth_diag_add(&diags, LT_ECONFIG, "f", i, NULL, "number %d", i);
    }
    assert_int_equal(diags.count, 500);
    assert_string_equal(diags.items[499].text, "number 499");
    assert_int_equal(diags.items[499].line, 499);
    lth_diags_release(&diags);
}

static void without_memory_the_count_is_not_zero(void **state) {
    (void)state;
    for (int64_t budget = 0; budget < 6; budget++) {
        lth_diags diags = {0};
        lth_alloc_budget(budget);
        lth_diag_add(&diags, LT_ECONFIG, "file", 1, "hint", "text");
        lth_alloc_budget(-1);
        assert_int_equal(diags.count, 1);
        assert_non_null(diags.items[0].text);
        lth_diag_add(&diags, LT_ECONFIG, "file", 2, NULL, "second");
        assert_int_equal(diags.count, 2);
        assert_string_equal(diags.items[1].text, "second");
        lth_diags_release(&diags);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(the_first_failure_stays),
        TEST(zero_is_no_failure_code),
        TEST(a_long_text_is_cut_between_characters),
        TEST(every_code_has_a_name),
        TEST(diagnostics_print_with_their_places),
        TEST(hundreds_of_diagnostics),
        TEST(without_memory_the_count_is_not_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
