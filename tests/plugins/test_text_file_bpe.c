/* tests/plugins/test_text_file_bpe.c - byte pairs against Hugging Face's tokenizers (tests/golden/bpe.bin): texts there and back, TextFile
 * with them, and vocabulary files damaged by the thousand. */
#include "../../plugins/text_file/text_file.h"
#include "../golden/golden.h"
#include "data_test.h"

static gold_file gold;

static void put_record(const char *name) {
    const gold_record *r = gold_find(&gold, "%s", name);
    put_file(name, r->data, (size_t)r->numel);
}

static int open_all(void **state) {
    if (gold_open(&gold, TEST_DATA_DIR "/golden/bpe.bin") || make_dir(state)) {
        fprintf(stderr, "%s\n", gold.error);
        return -1;
    }
    put_record("vocab");
    put_record("merges");
    return 0;
}

static int close_all(void **state) {
    gold_close(&gold);
    return remove_dir(state);
}

static void test_tokens_are_those_of_tokenizers(void **state) {
    (void)state;
    bpe b = {0};
    char why[FILE_WHY_MAX];
    int texts = 0;
    if (bpe_open(&b, in_dir("vocab"), in_dir("merges"), why)) {
        fail_msg("%s", why);
    }
    for (const gold_record *text; (text = gold_find(&gold, "text/%d", texts)) != NULL; texts++) {
        const gold_record *ids = gold_find(&gold, "ids/%d", texts);
        token_array tokens = {0};
        assert_int_equal(tokens_open(&tokens, text->numel, b.vocabulary, why), LT_OK);
        assert_int_equal(bpe_encode(&b, text->data, text->numel, &tokens, why), LT_OK);
        int64_t *got = calloc((size_t)tokens.count + 1, sizeof *got), at = 0;
        tokens_read(&tokens, 0, tokens.count, got);
        if (tokens.count != ids->numel || memcmp(got, ids->data, (size_t)ids->numel * sizeof *got)) {
            fail_msg("text %d '%.*s': %lld tokens, expected %lld, or others", texts, (int)text->numel, (const char *)text->data,
                     (long long)tokens.count, (long long)ids->numel);
        }
        for (int64_t i = 0; i < tokens.count; i++) { /* and back */
            int32_t length;
            const uint8_t *bytes = bpe_bytes(&b, got[i], &length);
            assert_non_null(bytes);
            assert_memory_equal(bytes, (const uint8_t *)text->data + at, (size_t)length);
            at += length;
        }
        assert_int_equal(at, text->numel);
        free(got);
        tokens_free(&tokens);
    }
    assert_int_equal(texts, 67);
    int32_t length;
    assert_null(bpe_bytes(&b, -1, &length));
    assert_null(bpe_bytes(&b, b.vocabulary, &length));
    bpe_close(&b);
}

static void test_text_file_with_pairs(void **state) {
    (void)state;
    const gold_record *text = gold_find(&gold, "text/26");
    const int64_t *ids = gold_data(gold_find(&gold, "ids/26"), GOLD_I64);
    const char *path = put_file("text", text->data, (size_t)text->numel), *vocab = in_dir("vocab"), *merges = in_dir("merges");
    fixture f = open_data("TextFile");
    NEW_DATA(&f, "path", path, "level", "bpe", "vocab", vocab, "merges", merges, "block_size", "10", "train_fraction", "0");
    must_set_up(&f, LT_STAGE_FIT);
    const lt_batch *batch = load(&f, f.data->val_dataloader(f.ctx, f.self), 1, 2);
    assert_memory_equal(item_i64(batch, 0), ids + 10, 20 * sizeof *ids);
    assert_memory_equal(item_i64(batch, 1), ids + 11, 20 * sizeof *ids);
    lt_state_writer *out = lt_mock_writer(f.mock);
    assert_int_equal(f.data->save(f.ctx, f.self, out), LT_OK);
    assert_int_equal(f.data->load(f.ctx, f.self, lt_mock_reader(f.mock, out, 0)), LT_OK);
    close_data(&f);
    f = open_data("TextFile");
    NEW_DATA(&f, "path", path, "level", "bpe");
    must_refuse(&f, LT_STAGE_FIT, LT_ECONFIG, "level bpe needs vocab and merges");
    close_data(&f);
}

/* A word of half a megabyte: not quadratic. */
static void test_long_words(void **state) {
    (void)state;
    enum { SIZE = 1 << 19 };
    bpe b = {0};
    char why[FILE_WHY_MAX];
    token_array tokens = {0};
    uint8_t *text = malloc(SIZE);
    assert_int_equal(bpe_open(&b, in_dir("vocab"), in_dir("merges"), why), LT_OK);
    for (int i = 0; i < SIZE; i++) {
        text[i] = (uint8_t)"theand"[i * 7 % 6];
    }
    assert_int_equal(bpe_word_length(text, text + SIZE), SIZE);
    assert_int_equal(tokens_open(&tokens, SIZE, b.vocabulary, why), LT_OK);
    assert_int_equal(bpe_encode(&b, text, SIZE, &tokens, why), LT_OK);
    assert_in_range(tokens.count, SIZE / 8, SIZE);
    tokens_free(&tokens);
    bpe_close(&b);
    free(text);
}

static void test_damaged_vocabularies(void **state) {
    (void)state;
    static uint8_t bytes[2][1 << 16];
    size_t sizes[2];
    static const char *const names[] = {"vocab", "merges"};
    char why[FILE_WHY_MAX];
    uint32_t seed = 1, good = 0;
    for (int i = 0; i < 2; i++) {
        const gold_record *r = gold_find(&gold, "%s", names[i]);
        sizes[i] = (size_t)r->numel;
        assert_true(sizes[i] <= sizeof bytes[i]);
    }
    for (int round = 0; round < 1500; round++) {
        int which = round % 2;
        size_t size = sizes[which];
        memcpy(bytes[which], gold_find(&gold, "%s", names[which])->data, size);
        for (int n = 0; n <= round % 3; n++) {
            seed = seed * 1664525u + 1013904223u;
            size_t at = (seed >> 8) % size;
            if (seed >> 29 == 0) {
                size = at + 1;
            } else {
                bytes[which][at] = seed >> 29 < 4 ? (uint8_t)"\"\\,:{} \n\xc4\x00u9"[(seed >> 3) % 12] : (uint8_t)(bytes[which][at] ^ (1 << (seed & 7)));
            }
        }
        const char *paths[2] = {in_dir("vocab"), in_dir("merges")};
        paths[which] = put_file("damaged", bytes[which], size);
        bpe b = {0};
        why[0] = 0;
        lt_status status = bpe_open(&b, paths[0], paths[1], why);
        assert_true(status == LT_OK || (status == LT_EFORMAT && strstr(why, test_dir)));
        if (!status) {
            const gold_record *text = gold_find(&gold, "text/11");
            token_array tokens = {0};
            assert_int_equal(tokens_open(&tokens, text->numel, b.vocabulary, why), LT_OK);
            assert_int_equal(bpe_encode(&b, text->data, text->numel, &tokens, why), LT_OK);
            tokens_free(&tokens);
            good++;
        }
        bpe_close(&b);
    }
    assert_in_range(good, 20, 1400);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tokens_are_those_of_tokenizers),
        cmocka_unit_test(test_text_file_with_pairs),
        cmocka_unit_test(test_long_words),
        cmocka_unit_test(test_damaged_vocabularies),
    };
    return cmocka_run_group_tests_name("text_file_bpe", tests, open_all, close_all);
}
