/* tests/plugins/test_text_file.c - TextFile under the mock host: characters, windows, parts, and what it refuses. Expected numbers are
 * what nanoGPT's data/shakespeare_char/prepare.py gives for the same texts. */
#include "../../plugins/text_file/text_file.h"
#include "data_test.h"

static void test_characters_are_nanogpts(void **state) {
    (void)state;
    /* chars = sorted(set(data)): "\n", " ", "a", "b", "é", "€", "𝄞" */
    const char *path = put_text("text", "ab €a\nb𝄞é");
    static const int64_t expected[] = {2, 3, 1, 5, 2, 0, 3, 6, 4};
    fixture f = open_data("TextFile");
    NEW_DATA(&f, "path", path, "block_size", "2", "windows", "sequential", "stride", "1", "train_fraction", "1");
    must_set_up(&f, LT_STAGE_FIT);
    const lt_loader *loader = f.data->train_dataloader(f.ctx, f.self);
    assert_int_equal(loader->dataset->length, 7);
    const lt_batch *batch = load(&f, loader, 0, 7);
    const int64_t *x = item_i64(batch, 0), *y = item_i64(batch, 1);
    assert_string_equal(batch->items[0].key, "x");
    assert_string_equal(batch->items[1].key, "y");
    for (int i = 0; i < 7; i++) {
        assert_true(x[2 * i] == expected[i] && x[2 * i + 1] == expected[i + 1]);
        assert_true(y[2 * i] == expected[i + 1] && y[2 * i + 1] == expected[i + 2]);
    }
    assert_null(f.data->val_dataloader(f.ctx, f.self)); /* nothing is left for it */
    close_data(&f);
}

/* A text of 1000 characters, the cut at 900, side by side windows of 100 in the rest. */
static void test_parts_and_windows(void **state) {
    (void)state;
    char text[1001] = "";
    for (int i = 0; i < 1000; i++) {
        text[i] = (char)('a' + i % 26);
    }
    const char *path = put_text("text", text);
    fixture f = open_data("TextFile");
    NEW_DATA(&f, "path", path, "block_size", "33", "samples_per_epoch", "200");
    must_set_up(&f, LT_STAGE_FIT);
    const lt_loader *train = f.data->train_dataloader(f.ctx, f.self), *val = f.data->val_dataloader(f.ctx, f.self);
    assert_int_equal(train->dataset->length, 200);
    assert_int_equal(val->dataset->length, 3); /* starts 0, 33 and 66 of 100 tokens */
    const lt_batch *batch = load(&f, val, 0, 3);
    const int64_t *x = item_i64(batch, 0), *y = item_i64(batch, 1);
    for (int i = 0; i < 99; i++) {
        assert_int_equal(x[i], (900 + i) % 26);
        assert_int_equal(y[i], (901 + i) % 26);
    }
    batch = load(&f, train, 0, 200);
    x = item_i64(batch, 0), y = item_i64(batch, 1);
    int64_t starts = 0;
    for (int i = 0; i < 200; i++) {
        for (int t = 0; t < 33; t++) {
            assert_int_equal(x[33 * i + t], (x[33 * i] + t) % 26);
            assert_int_equal(y[33 * i + t], (x[33 * i] + t + 1) % 26);
        }
        starts |= (int64_t)1 << x[33 * i];
    }
    assert_true(__builtin_popcountll((uint64_t)starts) > 20); /* of 26 */
    close_data(&f);
}

static void test_refusals(void **state) {
    (void)state;
    const char *path = put_text("text", "abc\ndef");
    fixture f = open_data("TextFile");
    NEW_DATA(&f, "path", path, "block_size", "8", "train_fraction", "1");
    must_refuse(&f, LT_STAGE_FIT, LT_ECONFIG, "has 7 tokens: block_size 8 needs at least 9");
    close_data(&f);
    f = open_data("TextFile");
    NEW_DATA(&f, "path", in_dir("absent"));
    must_refuse(&f, LT_STAGE_FIT, LT_EABSENT, "absent");
    close_data(&f);
    f = open_data("TextFile");
    NEW_DATA(&f, "path", put_text("text", ""));
    must_refuse(&f, LT_STAGE_FIT, LT_EFORMAT, "is empty");
    close_data(&f);
    static const char *const bad[] = {"\xff", "\xc3", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82 ", "\x80"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[32];
        snprintf(text, sizeof text, "ab\ncd%s", bad[i]);
        f = open_data("TextFile");
        NEW_DATA(&f, "path", put_text("text", text));
        must_refuse(&f, LT_STAGE_FIT, LT_EFORMAT, "text:2: byte 5");
        close_data(&f);
    }
}

/* The model knows tokens by number: another text is encoded with the vocabulary of the checkpoint. */
static void test_the_vocabulary_goes_with_the_checkpoint(void **state) {
    (void)state;
    fixture f = open_data("TextFile");
    NEW_DATA(&f, "path", put_text("text", "abcdefgh"), "block_size", "1", "train_fraction", "0");
    must_set_up(&f, LT_STAGE_FIT);
    lt_state_writer *out = lt_mock_writer(f.mock);
    assert_int_equal(f.data->save(f.ctx, f.self, out), LT_OK);
    const lt_state_reader *in = lt_mock_reader(f.mock, out, 0);

    void *first = f.self, *other = NEW_DATA(&f, "path", put_text("other", "hfhf"), "block_size", "3", "train_fraction", "0");
    must_set_up(&f, LT_STAGE_PREDICT);
    assert_int_equal(f.data->load(f.ctx, f.self, in), LT_OK);
    const int64_t *x = item_i64(load(&f, f.data->predict_dataloader(f.ctx, f.self), 0, 1), 0);
    assert_true(x[0] == 7 && x[1] == 5 && x[2] == 7);

    f.self = NULL;
    NEW_DATA(&f, "path", put_text("third", "ab\n!abc"), "block_size", "3", "train_fraction", "0");
    must_set_up(&f, LT_STAGE_PREDICT);
    assert_int_equal(f.data->load(f.ctx, f.self, in), LT_EFORMAT);
    assert_non_null(strstr(f.mock->error, "third:1: character U+000A is not in the vocabulary of the checkpoint (8 characters)"));
    f.data->release(f.ctx, first);
    f.data->release(f.ctx, other);
    close_data(&f);
}

static void test_utf8_there_and_back(void **state) {
    (void)state;
    for (uint32_t point = 0; point < CODE_POINTS; point++) {
        uint8_t bytes[4];
        uint32_t back = 0;
        int length = utf8_put(bytes, point);
        bool surrogate = point >= 0xd800 && point < 0xe000;
        assert_int_equal(utf8_next(bytes, bytes + length, &back), surrogate ? 0 : length);
        assert_true(surrogate || back == point);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_characters_are_nanogpts),
        cmocka_unit_test(test_parts_and_windows),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_the_vocabulary_goes_with_the_checkpoint),
        cmocka_unit_test(test_utf8_there_and_back),
    };
    return cmocka_run_group_tests_name("text_file", tests, make_dir, remove_dir);
}
