/* tests/config/test_yaml.c - reading YAML: values, places, anchors, and every way a file can be wrong. */
#include "bench.h"

static lth_node *parse(bench *b, lth_arena *arena, const char *text) {
    lth_diags_release(&b->diags);
    return lth_yaml_parse(text, strlen(text), "a.yaml", arena, &b->diags);
}

static void values_and_places(void **state) {
    bench *b = *state;
    lth_arena arena = {0};
    const lth_node *root = parse(b, &arena, "a: 1\nb:\n  - x\n  - 'y'\nc: {d: null, e: ~, f: , g: \"null\"}\n");
    assert_non_null(root);
    const lth_node *y = lth_node_at(root, "b.1");
    assert_string_equal(y->text, "y");
    assert_true(y->quoted);
    assert_int_equal(y->line, 4);
    assert_int_equal(y->column, 5);
    assert_string_equal(y->file, "a.yaml");
    assert_int_equal(y->origin, LTH_FROM_FILE);
    assert_int_equal(lth_node_at(root, "b")->key_line, 2);
    assert_false(lth_node_at(root, "a")->quoted);
    assert_int_equal(lth_node_at(root, "c.d")->kind, LTH_NODE_NULL);
    assert_int_equal(lth_node_at(root, "c.e")->kind, LTH_NODE_NULL);
    assert_int_equal(lth_node_at(root, "c.f")->kind, LTH_NODE_NULL);
    assert_string_equal(lth_node_at(root, "c.g")->text, "null");
    lth_arena_release(&arena);
}

static void empty_files(void **state) {
    bench *b = *state;
    lth_arena arena = {0};
    static const char *const texts[] = {"", "\n\n", "# only a comment\n", "\xef\xbb\xbf"};
    for (size_t i = 0; i < 4; i++) {
        const lth_node *root = parse(b, &arena, texts[i]);
        assert_non_null(root);
        assert_int_equal(root->kind, LTH_NODE_MAP);
        assert_null(root->first);
    }
    assert_int_equal(parse(b, &arena, "---\n...\n")->kind, LTH_NODE_NULL);
    lth_arena_release(&arena);
}

static void anchors(void **state) {
    bench *b = *state;
    lth_arena arena = {0};
    const lth_node *root = parse(b, &arena, "a: &x {k: 1, m: [2]}\nb: *x\nc: &s text\nd: *s\n");
    assert_non_null(root);
    assert_true(lth_node_equal(lth_node_get(root, "a"), lth_node_get(root, "b")));
    assert_string_equal(lth_node_get(root, "d")->text, "text");
    assert_string_equal(lth_node_get(root, "b")->key, "b");
    root = parse(b, &arena, "one: &one {a: 1, b: 2}\ntwo: &two {b: 3, c: 4}\nx: {<<: [*one, *two], a: 9}\ny:\n  z: 0\n  <<: *two\n");
    assert_non_null(root);
    assert_string_equal(lth_node_at(root, "x.a")->text, "9");
    assert_string_equal(lth_node_at(root, "x.b")->text, "2");
    assert_string_equal(lth_node_at(root, "x.c")->text, "4");
    assert_int_equal(lth_node_count(lth_node_get(root, "y")), 3);
    lth_arena_release(&arena);
}

static void wrong(bench *b, const char *text, int line, const char *message) {
    lth_arena arena = {0};
    lth_node *root = parse(b, &arena, text);
    if (root) {
        fail_msg("accepted: %s", text);
    }
    expect_error(&b->diags, line, message);
    assert_int_equal(b->diags.items[0].code, LT_ECONFIG);
    assert_string_equal(b->diags.items[0].file, "a.yaml");
    lth_arena_release(&arena);
}

static void malformed(void **state) {
    bench *b = *state;
    wrong(b, "a: [1, 2\nb: 3\n", 2, "not valid YAML");
    wrong(b, "a: 'text\n", 2, "not valid YAML");
    wrong(b, "a: 1\n b: 2\n", 2, "not valid YAML");
    wrong(b, "a: b: c\n", 1, "not valid YAML at column 5");
    wrong(b, "a: 1\nb: \xff\xfe\n", 2, "not valid YAML");
    wrong(b, "a: \"\\0\"\n", 1, "\\0");
    wrong(b, "a: 1\na: 2\n", 2, "the key \"a\" stands twice in this map; first on line 1");
    wrong(b, "x:\n  b: 1\n  c: 1\n  b: 1\n", 4, "first on line 2");
    wrong(b, "a: 1\n---\na: 2\n", 2, "more than one document");
    wrong(b, "a: *nothing\n", 1, "no anchor");
    wrong(b, "a: &a [*a]\n", 1, "no anchor");
    wrong(b, "a: !python/object x\n", 1, "tag");
    wrong(b, "[1, 2]: x\n", 1, "a key must be text");
    wrong(b, "a: {<<: 3}\n", 1, "`<<` takes maps");
    wrong(b, "@: 1\n", 1, "not valid YAML");
}

static void tabs_are_named(void **state) {
    bench *b = *state;
    wrong(b, "trainer:\n\tmax_epochs: 3\n", 2, "not valid YAML");
    assert_non_null(strstr(b->diags.items[0].hint, "tab"));
    wrong(b, "trainer:\n  a: 1\n\tb: 3\n", 3, "not valid YAML");
    assert_non_null(strstr(b->diags.items[0].hint, "tab"));
}

static void all_duplicates_at_once(void **state) {
    bench *b = *state;
    wrong(b, "a: 1\na: 2\nb: {c: 1, c: 2}\n", 2, "\"a\" stands twice");
    expect_error(&b->diags, 3, "\"c\" stands twice");
    assert_int_equal(b->diags.count, 2);
}

static void deep_nesting(void **state) {
    bench *b = *state;
    char text[300000];
    memset(text, '[', 100000);
    memset(text + 100000, ']', 100000);
    text[200000] = 0;
    wrong(b, text, 1, "nested deeper than 64");
    lth_arena arena = {0};
    memset(text, '[', 64);
    memset(text + 64, ']', 64);
    text[128] = 0;
    assert_non_null(parse(b, &arena, text));
    lth_arena_release(&arena);
}

/* Each line doubles, or multiplies by ten, the one before: 2^30 values, levels or bytes from a small file. */
static void alias_expansion(void **state) {
    bench *b = *state;
    lth_buf text = {0};
    lth_buf_add(&text, "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for (int i = 1; i < 10; i++) {
        lth_buf_printf(&text, "a%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d]\n", i, i, i - 1, i - 1, i - 1, i - 1, i - 1,
                       i - 1, i - 1, i - 1);
    }
    wrong(b, lth_buf_text(&text), 6, "makes the file too large");
    lth_buf_clear(&text);
    lth_buf_add(&text, "a0: &a0 [x]\n");
    for (int i = 1; i < 100; i++) {
        lth_buf_printf(&text, "a%d: &a%d [*a%d]\n", i, i, i - 1);
    }
    wrong(b, lth_buf_text(&text), 64, "makes the file too large");
    lth_buf_clear(&text);
    lth_buf_add(&text, "a: &a ");
    for (int i = 0; i < 100000; i++) {
        lth_buf_add(&text, "0123456789");
    }
    lth_buf_add(&text, "\nb: [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a, *a, *a, *a, *a, *a, *a, *a, *a, *a, *a]\n");
    wrong(b, lth_buf_text(&text), 2, "makes the file too large");
    lth_buf_release(&text);
}

static void too_many(void **state) {
    bench *b = *state;
    lth_buf text = {0};
    for (int i = 0; i < 1100; i++) {
        lth_buf_printf(&text, "k%d: 1\n", i);
    }
    wrong(b, lth_buf_text(&text), 1025, "more than 1024 keys");
    lth_buf_clear(&text);
    for (int i = 0; i < 200001; i++) {
        lth_buf_add(&text, "- 1\n");
    }
    wrong(b, lth_buf_text(&text), 200000, "more than 200000 values");
    lth_buf_release(&text);
}

static void flow_text(void **state) {
    bench *b = *state;
    lth_arena arena = {0};
    const lth_node *map = lth_yaml_parse_flow("lr: 0.001, betas: [0.9, 0.99] # as usual", "parameters", &arena, &b->diags);
    assert_non_null(map);
    assert_string_equal(lth_node_at(map, "betas.1")->text, "0.99");
    assert_null(lth_yaml_parse_flow("", "parameters", &arena, &b->diags)->first);
    assert_null(lth_yaml_parse_flow("lr: [", "parameters", &arena, &b->diags));
    assert_null(lth_yaml_parse_flow("a: 1}, {b: 2", "parameters", &arena, &b->diags));
    assert_int_equal(b->diags.count, 2);
    lth_arena_release(&arena);
}

/* ---- printing ---- */

static void check_round_trip(bench *b, const char *yaml) {
    lth_arena arena = {0};
    for (int origins = 0; origins < 2; origins++) {
        lth_buf text = {0}, again = {0};
        const lth_node *first = parse(b, &arena, yaml);
        assert_non_null(first);
        lth_yaml_print(first, origins, &text);
        const lth_node *second = parse(b, &arena, lth_buf_text(&text));
        if (!second || !lth_node_equal(first, second)) {
            lth_diags_print(&b->diags, stderr);
            fail_msg("not the same when read back:\n%s", lth_buf_text(&text));
        }
        lth_yaml_print(second, false, &again);
        lth_buf_clear(&text);
        lth_yaml_print(first, false, &text);
        assert_string_equal(lth_buf_text(&text), lth_buf_text(&again));
        lth_buf_release(&text);
        lth_buf_release(&again);
    }
    lth_arena_release(&arena);
}

static void round_trips(void **state) {
    bench *b = *state;
    static const char *const documents[] = {
        "",
        "{}",
        "[]",
        "null",
        "text",
        "'1'",
        "a: 1\nb: [1, [2, 3], {c: d, e: [f]}, []]\n",
        "a: '1'\nb: \"true\"\nc: 'null'\nd: '~'\ne: 1e3\nf: .5\ng: ''\n",
        "a: '- x'\nb: ' x'\nc: 'x: y'\nd: 'x #y'\ne: '#'\nf: 'a:'\ng: '---'\nh: '%x'\ni: '@x'\nj: -x\nk: '?'\n",
        "a: \"line\\nline\"\nb: |\n  two\n  lines\nc: >\n  folded\n  text\nd: plain\n  over lines\ne: \"tab\\there\"\n",
        "a: \"\\u2028\\u0085\\ufeff\\x07\\x7f\\U0001F600\"\nb: \xc3\xa9\n",
        "'a b': 1\n'c: d': 2\n'': 3\n'<<': 4\n'#': 5\n'- x': 6\n? long\n: 7\n'null': 8\n\"n\\nl\": 9\n",
        "- - - a\n    - b\n  - c\n- - d\n",
        "- a: 1\n  b:\n    c: 2\n- d:\n  - e\n- {}\n",
        "a: '2026-01-31'\nb: '12:30'\nc: 2026-01-31\nd: 0x10\ne: '0x10'\n",
    };
    for (size_t i = 0; i < sizeof documents / sizeof *documents; i++) {
        check_round_trip(b, documents[i]);
    }
}

static void block_style(void **state) {
    bench *b = *state;
    lth_arena arena = {0};
    lth_buf out = {0};
    const char *text =
        "model:\n  class_path: LeNet\n  init_args:\n    betas:\n      - 0.9\n      - \"0.99\"\nlist:\n  - a: 1\n    b: 2\n  - null\n";
    lth_yaml_print(parse(b, &arena, text), false, &out);
    assert_string_equal(lth_buf_text(&out), text);
    lth_buf_clear(&out);
    lth_yaml_print(parse(b, &arena, "a:\n  b: 1\n"), true, &out);
    assert_string_equal(lth_buf_text(&out), "a:\n  b: 1  # a.yaml:2\n");
    lth_buf_release(&out);
    lth_arena_release(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(values_and_places, bench_start, bench_end),
        cmocka_unit_test_setup_teardown(empty_files, bench_start, bench_end),
        cmocka_unit_test_setup_teardown(anchors, bench_start, bench_end),
        cmocka_unit_test_setup_teardown(malformed, bench_start, bench_end),
        cmocka_unit_test_setup_teardown(tabs_are_named, bench_start, bench_end),
        cmocka_unit_test_setup_teardown(all_duplicates_at_once, bench_start, bench_end),
        cmocka_unit_test_setup_teardown(deep_nesting, bench_start, bench_end),
        cmocka_unit_test_setup_teardown(alias_expansion, bench_start, bench_end),
        cmocka_unit_test_setup_teardown(too_many, bench_start, bench_end),
        cmocka_unit_test_setup_teardown(flow_text, bench_start, bench_end),
        cmocka_unit_test_setup_teardown(round_trips, bench_start, bench_end),
        cmocka_unit_test_setup_teardown(block_style, bench_start, bench_end),
    };
    return cmocka_run_group_tests_name("config.yaml", tests, NULL, NULL);
}
