/* Text: buffers, nearest names, numbers there and back. */
#include "base_test.h"
#include "base/str.h"
#include <lt/base.h>
#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>

static void buffer_grows_and_keeps_its_end(void **state) {
    (void)state;
    lth_buf buf = {0};
    assert_string_equal(lth_buf_text(&buf), "");
    for (int i = 0; i < 1000; i++) {
        lth_buf_printf(&buf, "%d,", i);
    }
    assert_int_equal(buf.size, 3890);
    assert_int_equal(strlen(lth_buf_text(&buf)), buf.size);
    assert_string_equal(buf.data + buf.size - 8, "998,999,");
    size_t capacity = buf.capacity;
    lth_buf_clear(&buf);
    assert_string_equal(lth_buf_text(&buf), "");
    assert_int_equal(buf.capacity, capacity);
    lth_buf_add_bytes(&buf, "a\0b", 3);
    assert_int_equal(buf.size, 3);
    lth_buf_release(&buf);
    assert_null(buf.data);
}

static void buffer_remembers_a_failure(void **state) {
    (void)state;
    lth_buf buf = {0};
    lth_buf_add(&buf, "kept");
    lth_alloc_budget(0);
    for (int i = 0; i < 200; i++) {
        lth_buf_add(&buf, "x");
    }
    lth_alloc_budget(-1);
    assert_true(buf.failed);
    lth_buf_add(&buf, "dropped: a text with a hole in it would be worse");
    assert_null(strstr(lth_buf_text(&buf), "dropped"));
    lth_buf_release(&buf);
}

static void nearest_name(void **state) {
    (void)state;
    static const char *const names[] = {"hidden", "dropout", "lr", "max_epochs", NULL, ""};
    assert_string_equal(lth_nearest("hiden", names, 6), "hidden");
    assert_string_equal(lth_nearest("HIDDEN", names, 6), "hidden");
    assert_string_equal(lth_nearest("max_ecpohs", names, 6), "max_epochs");
    assert_string_equal(lth_nearest("rl", names, 6), "lr");
    assert_null(lth_nearest("xy", names, 6));
    assert_null(lth_nearest("", names, 6));
    assert_null(lth_nearest("weight_decay", names, 6));
    assert_null(lth_nearest("hidden", names, 0));
    char giant[500];
    memset(giant, 'h', sizeof giant - 1);
    giant[sizeof giant - 1] = 0;
    assert_null(lth_nearest(giant, names, 6));
}

static void integers(void **state) {
    (void)state;
    static const struct { const char *text; int64_t value; } good[] = {
        {"0", 0}, {"-0", 0}, {"+7", 7}, {"007", 7}, {"1_000_000", 1000000}, {"1e3", 1000}, {"1E+3", 1000}, {"1.5e3", 1500}, {"2500e-2", 25},
        {"9223372036854775807", INT64_MAX}, {"-9223372036854775808", INT64_MIN}, {"9007199254740993e0", 9007199254740993},
        {"0e99999", 0}, {"1000000000000000000", 1000000000000000000}, {"1e18", 1000000000000000000},
    };
    static const char *const bad[] = {"",
                                      " 1",
                                      "1 ",
                                      "1.0",
                                      "1.",
                                      ".5",
                                      "1e",
                                      "1e+",
                                      "1.5e0",
                                      "1e-1",
                                      "--1",
                                      "0x10",
                                      "1__0",
                                      "_1",
                                      "1_",
                                      "nan",
                                      "inf",
                                      "9223372036854775808",
                                      "-9223372036854775809",
                                      "1e19",
                                      "99999999999999999999",
                                      "1e99999999999999999999",
                                      "12a",
                                      "e3"};
    int64_t value;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        value = -12345;
        assert_true(lth_parse_i64(good[i].text, &value));
        assert_int_equal(value, good[i].value);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (lth_parse_i64(bad[i], &value)) {
            fail_msg("\"%s\" was read as the integer %lld", bad[i], (long long)value);
        }
    }
    assert_false(lth_parse_i64(NULL, &value));
}

static void floats(void **state) {
    (void)state;
    static const struct { const char *text; double value;
    } good[] = {
        {"0", 0},
        {"1", 1},
        {".5", 0.5},
        {"-.5", -0.5},
        {"5.", 5},
        {"1e-3", 1e-3},
        {"1_000.25", 1000.25},
        {"1e-400", 0},
        {"5e-324", 5e-324},
        {"1.7976931348623157e308", DBL_MAX},
        {"inf", INFINITY},
        {"-INF", -INFINITY},
        {".inf", INFINITY},
        {"-.Inf", -INFINITY},
        {"infinity", INFINITY},
    };
    static const char *const bad[] = {"",   ".",  "e1",        "1e999", "0x1p3", "nan(1)", "1,5", " 1",
                                      "1 ", "1f", ".infinity", "..inf", "1._5",  "+-1",    "-"};
    double value;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        value = 12345;
        if (!lth_parse_f64(good[i].text, &value) || value != good[i].value) {
            fail_msg("\"%s\" was read as %g", good[i].text, value);
        }
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (lth_parse_f64(bad[i], &value)) {
            fail_msg("\"%s\" was read as the number %g", bad[i], value);
        }
    }
    assert_true(lth_parse_f64("nan", &value) && isnan(value));
    assert_true(lth_parse_f64(".NaN", &value) && isnan(value));
}

static void truth_and_null_words(void **state) {
    (void)state;
    bool value;
    assert_true(lth_parse_bool("true", &value) && value);
    assert_true(lth_parse_bool("On", &value) && value);
    assert_true(lth_parse_bool("NO", &value) && !value);
    assert_false(lth_parse_bool("1", &value));
    assert_false(lth_parse_bool("", &value));
    assert_true(lth_text_is_null("~") && lth_text_is_null("null") && lth_text_is_null("Null"));
    assert_false(lth_text_is_null("") || lth_text_is_null("None") || lth_text_is_null("nUll"));
}

static void assert_formats(double value, const char *text) {
    char out[64];
    lth_format_f64(out, sizeof out, value);
    assert_string_equal(out, text);
}

static void floats_read_back(void **state) {
    (void)state;
    assert_formats(0.001, "0.001");
    assert_formats(1e-8, "1e-08");
    assert_formats(0.1 + 0.2, "0.30000000000000004");
    assert_formats(100000.0, "100000");
    assert_formats(5e-324, "5e-324");
    assert_formats(-0.0, "-0");
    assert_formats(NAN, "nan");
    assert_formats(-NAN, "nan");
    assert_formats(-INFINITY, "-inf");
    uint64_t bits = 88172645463325252u;
    for (int i = 0; i < 20000; i++) {
        double value, again;
        char out[64];
        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value)) {
            continue;
        }
        lth_format_f64(out, sizeof out, value);
        assert_true(lth_parse_f64(out, &again));
        assert_memory_equal(&again, &value, sizeof value);
    }
}

static void a_comma_locale_changes_nothing(void **state) {
    (void)state;
    if (!setlocale(LC_NUMERIC, "de_DE.UTF-8") && !setlocale(LC_NUMERIC, "fr_FR.UTF-8")) {
        skip();
    }
    double value;
    assert_true(lth_parse_f64("0.5", &value) && value == 0.5);
    assert_formats(0.5, "0.5");
    setlocale(LC_NUMERIC, "C");
}

static void shapes_and_dtypes(void **state) {
    (void)state;
    char out[32], tiny[8];
    lth_format_shape(out, sizeof out, (const int64_t[]){64, 1, 28, 28}, 4);
    assert_string_equal(out, "(64, 1, 28, 28)");
    lth_format_shape(out, sizeof out, NULL, 0);
    assert_string_equal(out, "()");
    lth_format_shape(out, sizeof out, (const int64_t[]){5}, 1);
    assert_string_equal(out, "(5)");
    lth_format_shape(tiny, sizeof tiny, (const int64_t[]){1000, 1000, 1000}, 3);
    assert_string_equal(tiny, "(1000, ");
    assert_string_equal(lth_dtype_name(LT_BF16), "bf16");
    assert_string_equal(lth_dtype_name(0), "?");
    assert_string_equal(lth_dtype_name(9), "?");
    assert_int_equal(lth_dtype_size(LT_F64), 8);
    assert_int_equal(lth_dtype_size(LT_BOOL), 1);
    assert_int_equal(lth_dtype_size(-1), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(buffer_grows_and_keeps_its_end), TEST(buffer_remembers_a_failure), TEST(nearest_name), TEST(integers), TEST(floats),
        TEST(truth_and_null_words), TEST(floats_read_back), TEST(a_comma_locale_changes_nothing), TEST(shapes_and_dtypes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
