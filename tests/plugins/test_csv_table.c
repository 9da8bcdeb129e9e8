/* tests/plugins/test_csv_table.c - CSVTable: the parser on RFC 4180's corners and on damaged text, types, missing values, standardizing,
 * splits, the checkpoint, and messages that name file, line and column. */
#include "../../plugins/csv_table/csv.h"
#include "data_test.h"

/* Rows as "a|b;c|d;", malformed ones as "!;". */
static const char *parse(const char *text, size_t size) {
    static char out[4096];
    csv_reader r;
    size_t used = 0;
    int result;
    csv_open(&r, (const uint8_t *)text, (int64_t)size, ',');
    while ((result = csv_next(&r)) != CSV_END) {
        assert_int_not_equal(result, CSV_NO_MEMORY);
        if (result == CSV_MALFORMED) {
            assert_non_null(r.error);
            used += (size_t)snprintf(out + used, sizeof out - used, "!;");
            continue;
        }
        for (int64_t i = 0; i < r.count; i++) {
            used += (size_t)snprintf(out + used, sizeof out - used, "%s%s", csv_field(&r, i), i + 1 < r.count ? "|" : ";");
        }
    }
    csv_close(&r);
    out[used] = 0;
    return out;
}

static void test_parser(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"", ""},
        {"a,b\nc,d\n", "a|b;c|d;"},
        {"a,b\r\nc,d", "a|b;c|d;"},
        {"\xef\xbb\xbf" "a,b\n", "a|b;"},
        {"\n\r\na,\n\n,b\n\n", "a|;|b;"},
        {"\"a,\"\"b\"\"\nc\",d\n", "a,\"b\"\nc|d;"},
        {"\"\",\"\"\n", "|;"},
        {"a\rb,c\n", "a\rb|c;"},
        {"a,\"b\"x\nc,d\n", "!;c|d;"},
        {"a\"b,c\nd,e\n", "!;d|e;"},
        {"a,\"b\nc,d\n", "!;c|d;"}, /* never closed: only its line is lost */
        {"\"", "!;"},
        {",", "|;"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_string_equal(parse(cases[i][0], strlen(cases[i][0])), cases[i][1]);
    }
    assert_string_equal(parse("a\0b\nc\n", 6), "!;c;");
}

static uint32_t next(uint32_t *seed) { return (*seed = *seed * 1664525u + 1013904223u) >> 8; }

/* Any bytes: it ends, names lines that exist, and every field is a text within the row. */
static void test_parser_on_noise(void **state) {
    (void)state;
    static const char letters[] = "ab1,,\"\"\"\n\n\r\r\n;\0x";
    uint32_t seed = 7, rows = 0, bad = 0;
    for (int round = 0; round < 20000; round++) {
        size_t size = next(&seed) % 60;
        uint8_t *bytes = malloc(size + 1); /* exactly that much: a read beyond is seen */
        uint8_t *exact = size ? realloc(bytes, size) : bytes;
        int64_t lines = 1;
        for (size_t i = 0; i < size; i++) {
            exact[i] = (uint8_t)letters[next(&seed) % (sizeof letters - 1)];
            lines += exact[i] == '\n';
        }
        csv_reader r;
        csv_open(&r, exact, (int64_t)size, ',');
        int64_t line = 0;
        for (int result; (result = csv_next(&r)) != CSV_END;) {
            assert_true(r.row_line > line && r.row_line <= lines);
            line = r.row_line;
            rows += result == CSV_ROW;
            bad += result == CSV_MALFORMED;
            for (int64_t i = 0; result == CSV_ROW && i < r.count; i++) {
                assert_true(r.starts[i] + strlen(csv_field(&r, i)) < r.used);
            }
        }
        csv_close(&r);
        free(exact);
    }
    assert_true(rows > 10000 && bad > 5000);
}

/* ---- the datamodule. Lists of texts are set by hand: the mock host does not bind them. ---- */

static const char *const houses = "id,size,rooms,city,price\n"
                                  "1,50.5,2,Bern,100\n"
                                  "2,70,3,\"Basel, old\",150\n"
                                  "3,,4,Bern,200\n"
                                  "4,90.5,3,Zug,250\n";

static void set_texts(fixture *f, const char *key, const char *const *items, int64_t count) {
    const lt_params *schema = f->data->base.params();
    for (uint32_t i = 0; i < schema->count; i++) {
        if (!strcmp(schema->items[i].key, key)) {
            *(lt_texts *)(void *)((char *)f->self + schema->items[i].offset) = (lt_texts){items, count};
            return;
        }
    }
    fail_msg("no parameter %s", key);
}

static void new_houses(fixture *f, const char *path, const char *key, const char *value, const char *key2, const char *value2) {
    static const char *const price[] = {"price"}, *const city[] = {"city"}, *const rooms[] = {"rooms"}, *const id[] = {"id"};
    NEW_DATA(f, "path", path, "val_fraction", "0", "test_fraction", "0", key, value, key2, value2);
    set_texts(f, "targets", price, 1);
    set_texts(f, "categories", city, 1);
    set_texts(f, "ints", rooms, 1);
    set_texts(f, "ignore", id, 1);
}

/* The row whose target is `price`, wherever the split has put it. */
static const float *row_of(const lt_batch *batch, float price) {
    const lt_tensor *x = batch->items[0].tensor;
    for (int64_t i = 0; i < x->shape[0]; i++) {
        if (item_f32(batch, 1)[i] == price) {
            return item_f32(batch, 0) + i * x->shape[1];
        }
    }
    fail_msg("no row with target %g", (double)price);
    return NULL;
}

static void test_columns(void **state) {
    (void)state;
    fixture f = open_data("CSVTable");
    new_houses(&f, put_text("houses.csv", houses), "missing", "mean", "standardize", "true");
    must_set_up(&f, LT_STAGE_FIT);
    const lt_batch *batch = load(&f, f.data->train_dataloader(f.ctx, f.self), 0, 4);
    const lt_tensor *x = batch->items[0].tensor, *y = batch->items[1].tensor;
    assert_true(x->shape[0] == 4 && x->shape[1] == 2 + 3 && y->ndim == 2 && y->shape[1] == 1);
    /* size: mean 70.3333, population std 16.3316; rooms: mean 3, std sqrt(0.5); cities Basel, Bern, Zug */
    const float *first = row_of(batch, 100), *filled = row_of(batch, 200), *second = row_of(batch, 150);
    assert_true(fabsf(first[0] + 1.21437f) < 1e-4f && fabsf(first[1] + 1.41421f) < 1e-4f);
    assert_true(first[2] == 0 && first[3] == 1 && first[4] == 0);
    assert_true(second[2] == 1 && second[3] == 0 && second[4] == 0);
    assert_true(filled[0] == 0 && fabsf(filled[1] - 1.41421f) < 1e-4f);
    close_data(&f);

    f = open_data("CSVTable");
    new_houses(&f, in_dir("houses.csv"), "missing", "zero", "standardize", "false");
    must_set_up(&f, LT_STAGE_FIT);
    batch = load(&f, f.data->train_dataloader(f.ctx, f.self), 0, 4);
    assert_true(row_of(batch, 200)[0] == 0 && row_of(batch, 100)[0] == 50.5f && row_of(batch, 100)[1] == 2);
    close_data(&f);

    f = open_data("CSVTable");
    new_houses(&f, in_dir("houses.csv"), "missing", "drop", "one_hot", "false");
    must_set_up(&f, LT_STAGE_FIT);
    assert_non_null(strstr(f.mock->printed, "3 rows used, 0 malformed ones skipped, 1 dropped"));
    batch = load(&f, f.data->train_dataloader(f.ctx, f.self), 0, 3);
    assert_true(batch->count == 3 && batch->items[0].tensor->shape[1] == 2 && batch->items[2].tensor->shape[1] == 1);
    const int64_t *codes = item_i64(batch, 2);
    assert_true(codes[0] + codes[1] + codes[2] == 0 + 1 + 2);
    close_data(&f);
}

static void test_bad_cells_are_named(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"id,size,rooms,city,price\n1,2,3,a,4\n1,2,3,a\n", "t.csv:3: 4 fields, expected 5"},
        {"id,size,rooms,city,price\n1,2,3,a,4\n1,2x,3,a,4\n", "t.csv:3: column 'size': '2x' is no number"},
        {"id,size,rooms,city,price\n1,2,3.5,a,4\n", "t.csv:2: column 'rooms': '3.5' is no integer"},
        {"id,size,rooms,city,price\n\"1\n\",2,3,a,4\n1,0x10,3,a,4\n", "t.csv:4: column 'size': '0x10' is no number"},
        {"id,size,rooms,city,price\n1,inf,3,a,4\n", "t.csv:2: column 'size': 'inf' is no number"},
        {"id,size,rooms,city,price\n1,1e999,3,a,4\n", "t.csv:2: column 'size': '1e999' is no number"},
        {"id,size,rooms,city,price\n1,,3,a,4\n", "t.csv:2: column 'size': the value is missing"},
        {"id,size,rooms,city,price\n1,2,3,a,\n", "t.csv:2: column 'price': the target is missing"},
        {"id,size,rooms,city,price\n1,2,3,a\"b,4\n", "t.csv:2: there is a quote inside"},
        {"id,size,rooms,city,size\n", "t.csv:1: two columns are named 'size'"},
        {"id,size,rooms,city,price\n", "has no row that can be used"},
        {"", "has no row that can be used"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fixture f = open_data("CSVTable");
        new_houses(&f, put_text("t.csv", cases[i][0]), "missing", "error", "standardize", "true");
        must_refuse(&f, LT_STAGE_FIT, LT_EFORMAT, cases[i][1]);
        close_data(&f);
    }
    fixture f = open_data("CSVTable");
    new_houses(&f, put_text("t.csv", "id,size,rooms,town,price\n1,2,3,a,4\n"), "missing", "error", "standardize", "true");
    must_refuse(&f, LT_STAGE_FIT, LT_ECONFIG, "has no column 'city' (categories); it has: id size rooms town price");
    close_data(&f);
    f = open_data("CSVTable");
    new_houses(&f, put_text("t.csv", "id,size,rooms,city,price\n1,2,3,a,4\n1,b,3,a,4\n1,2,3,a,5\n1,2\n"), "on_error", "skip", "missing", "error");
    must_set_up(&f, LT_STAGE_FIT);
    assert_non_null(strstr(f.mock->printed, "t.csv:3: column 'size': 'b' is no number"));
    assert_non_null(strstr(f.mock->printed, "2 rows used, 2 malformed ones skipped"));
    assert_int_equal(f.data->train_dataloader(f.ctx, f.self)->dataset->length, 2);
    close_data(&f);
}

static void test_classes_splits_and_checkpoint(void **state) {
    (void)state;
    static const char *const target[] = {"1"};
    char text[4000] = "";
    size_t used = 0;
    for (int i = 0; i < 100; i++) {
        used += (size_t)snprintf(text + used, sizeof text - used, "%d;%s\n", i, i % 3 ? "9" : "10");
    }
    fixture f = open_data("CSVTable");
    NEW_DATA(&f, "path", put_text("c.csv", text), "header", "false", "delimiter", ";", "target_type", "category", "standardize", "false");
    set_texts(&f, "targets", target, 1);
    must_set_up(&f, LT_STAGE_FIT);
    const lt_loader *loaders[3] = {f.data->train_dataloader(f.ctx, f.self), f.data->val_dataloader(f.ctx, f.self),
                                   f.data->test_dataloader(f.ctx, f.self)};
    bool seen[100] = {false};
    for (int i = 0; i < 3; i++) {
        int64_t n = loaders[i]->dataset->length;
        assert_int_equal(n, i ? 10 : 80);
        const lt_batch *batch = load(&f, loaders[i], 0, n);
        for (int64_t k = 0; k < n; k++) {
            int row = (int)item_f32(batch, 0)[k];
            assert_false(seen[row]);
            seen[row] = true;
            assert_int_equal(item_i64(batch, 1)[k], row % 3 ? 0 : 1); /* "9" before "10" */
        }
    }
    lt_state_writer *out = lt_mock_writer(f.mock);
    assert_int_equal(f.data->save(f.ctx, f.self, out), LT_OK);
    const lt_state_reader *in = lt_mock_reader(f.mock, out, 0);
    f.data->release(f.ctx, f.self);
    NEW_DATA(&f, "path", put_text("d.csv", "5;9\n6;10\n7;10\n"), "header", "false", "delimiter", ";", "target_type", "category", "val_fraction", "0",
             "test_fraction", "0.4");
    set_texts(&f, "targets", target, 1);
    must_set_up(&f, LT_STAGE_TEST);
    assert_int_equal(f.data->load(f.ctx, f.self, in), LT_OK);
    float x = item_f32(load(&f, f.data->test_dataloader(f.ctx, f.self), 0, 1), 0)[0];
    assert_true(x == 5 || x == 6 || x == 7); /* the checkpoint's statistics: not standardized */
    f.data->release(f.ctx, f.self);
    NEW_DATA(&f, "path", put_text("e.csv", "5;9\n6;11\n"), "header", "false", "delimiter", ";", "target_type", "category");
    set_texts(&f, "targets", target, 1);
    must_set_up(&f, LT_STAGE_TEST);
    assert_int_equal(f.data->load(f.ctx, f.self, in), LT_ECONFIG);
    close_data(&f);
}

/* Numbers are kept by place: with two columns exchanged, the model would take one for the other. */
static void test_exchanged_columns(void **state) {
    (void)state;
    static const char *const target[] = {"price"}, *const categories[] = {"city", "kind"};
    static const char *const texts[] = {
        "area,age,city,kind,price\n1,20,a,a,3\n2,30,b,b,4\n",
        "age,area,city,kind,price\n20,1,a,a,3\n30,2,b,b,4\n",
        "area,age,kind,city,price\n1,20,a,a,3\n2,30,b,b,4\n",
        "area,price,age,city,kind\n1,3,20,a,a\n2,4,30,b,b\n", /* these places do not change */
    };
    static const char *const says[] = {NULL, "swapped.csv: of the columns of numbers, 'age' stands where the checkpoint has 'area'",
                                       "of the columns of categories, 'kind' stands where the checkpoint has 'city'", NULL};
    fixture f = open_data("CSVTable");
    const lt_state_reader *in = NULL;
    for (int i = 0; i < 4; i++) {
        NEW_DATA(&f, "path", put_text(i ? "swapped.csv" : "plain.csv", texts[i]), "val_fraction", "0", "test_fraction", "0");
        set_texts(&f, "targets", target, 1);
        set_texts(&f, "categories", categories, 2);
        must_set_up(&f, LT_STAGE_FIT);
        lt_state_writer *out = lt_mock_writer(f.mock);
        assert_int_equal(f.data->save(f.ctx, f.self, out), LT_OK);
        in = i ? in : lt_mock_reader(f.mock, out, 0);
        assert_int_equal(f.data->load(f.ctx, f.self, in), says[i] ? LT_ECONFIG : LT_OK);
        if (says[i] && !strstr(f.mock->error, says[i])) {
            fail_msg("%s", f.mock->error);
        }
        lt_mock_clear(f.mock);
        f.data->release(f.ctx, f.self);
    }
    close_data(&f);
}

/* A name that stands only in rows that are left out is no category and no class: there would be a column, or an output, that never is. */
static void test_categories_of_rows_left_out(void **state) {
    (void)state;
    static const char *const text = "id,size,rooms,city,price\n1,2,3,b,4\n1,2,3,10,oops\n1,2,3,a,5\n1,2,3,9\n1,2,3,Zug,\n1,2,3,b,6\n";
    for (int drop = 0; drop < 2; drop++) {
        fixture f = open_data("CSVTable");
        new_houses(&f, put_text("t.csv", text), "on_error", "skip", "missing", drop ? "drop" : "error");
        must_set_up(&f, LT_STAGE_FIT);
        const lt_batch *batch = load(&f, f.data->train_dataloader(f.ctx, f.self), 0, 3);
        assert_int_equal(batch->items[0].tensor->shape[1], 2 + 2); /* a, b */
        assert_true(row_of(batch, 4)[2] == 0 && row_of(batch, 4)[3] == 1 && row_of(batch, 5)[2] == 1 && row_of(batch, 6)[3] == 1);
        close_data(&f);
    }
    static const char *const target[] = {"0"}; /* a class before the cell that is bad; without "cat" the others are numbers, in their order */
    fixture f = open_data("CSVTable");
    NEW_DATA(&f, "path", put_text("c.csv", "10,1\ncat,x\n9,2\n10,3\n"), "header", "false", "target_type", "category", "on_error", "skip",
             "standardize", "false", "val_fraction", "0", "test_fraction", "0");
    set_texts(&f, "targets", target, 1);
    must_set_up(&f, LT_STAGE_FIT);
    const lt_batch *batch = load(&f, f.data->train_dataloader(f.ctx, f.self), 0, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(item_i64(batch, 1)[i], item_f32(batch, 0)[i] == 2 ? 0 : 1);
    }
    close_data(&f);
}

/* Test rows have other categories: unknown, all zeros; other classes are refused. */
static void test_other_files(void **state) {
    (void)state;
    fixture f = open_data("CSVTable");
    put_text("test.csv", "id,size,rooms,city,price\n9,60,2,Paris,1\n");
    new_houses(&f, put_text("houses.csv", houses), "missing", "mean", "test_path", in_dir("test.csv"));
    must_set_up(&f, LT_STAGE_TEST);
    const float *x = item_f32(load(&f, f.data->test_dataloader(f.ctx, f.self), 0, 1), 0);
    assert_true(x[2] == 0 && x[3] == 0 && x[4] == 0);
    close_data(&f);
    f = open_data("CSVTable");
    put_text("test.csv", "id,size,rooms,town,price\n9,60,2,Paris,1\n");
    new_houses(&f, in_dir("houses.csv"), "missing", "mean", "test_path", in_dir("test.csv"));
    must_refuse(&f, LT_STAGE_TEST, LT_ECONFIG, "no column 'city'");
    close_data(&f);
}

/* A table with a thousand small damages: setup succeeds or names the file. */
static void test_damaged_tables(void **state) {
    (void)state;
    uint32_t seed = 3, good = 0;
    size_t size = strlen(houses);
    for (int round = 0; round < 1500; round++) {
        char bytes[256];
        memcpy(bytes, houses, size);
        for (uint32_t n = next(&seed) % 3 + 1; n; n--) {
            bytes[next(&seed) % size] = "\",\n\r\0x9"[next(&seed) % 7];
        }
        fixture f = open_data("CSVTable");
        new_houses(&f, put_file("houses.csv", bytes, size - next(&seed) % 20), "missing", "mean", "on_error", round % 2 ? "skip" : "error");
        lt_status status = set_up(&f, LT_STAGE_FIT);
        assert_true(!status || status == LT_EFORMAT || status == LT_ECONFIG);
        assert_true(!status || strstr(f.mock->error, "houses.csv"));
        good += !status;
        if (!status) {
            const lt_loader *l = f.data->train_dataloader(f.ctx, f.self);
            load(&f, l, 0, l->dataset->length);
        }
        close_data(&f);
    }
    assert_in_range(good, 200, 1300);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parser),
        cmocka_unit_test(test_parser_on_noise),
        cmocka_unit_test(test_columns),
        cmocka_unit_test(test_bad_cells_are_named),
        cmocka_unit_test(test_classes_splits_and_checkpoint),
        cmocka_unit_test(test_exchanged_columns),
        cmocka_unit_test(test_categories_of_rows_left_out),
        cmocka_unit_test(test_other_files),
        cmocka_unit_test(test_damaged_tables),
    };
    return cmocka_run_group_tests_name("csv_table", tests, make_dir, remove_dir);
}
