/* Value trees: lookup, replacement, dotted paths, copies, equality of values as YAML means them. */
#include "base_test.h"
#include "base/node.h"
#include <stdio.h>

static lth_node *text(lth_arena *arena, const char *value) { return lth_node_text(arena, value); }

/* {trainer: {max_epochs: 3, callbacks: [{class_path: A}, {class_path: B}]}, a.b: 1} */
static lth_node *sample(lth_arena *arena) {
    lth_node *root = lth_node_new(arena, LTH_NODE_MAP), *trainer = lth_node_new(arena, LTH_NODE_MAP),
             *list = lth_node_new(arena, LTH_NODE_LIST);
    for (const char *name = "AB"; *name; name++) {
        lth_node *item = lth_node_new(arena, LTH_NODE_MAP);
        lth_node_set(arena, item, "class_path", text(arena, (char[]){*name, 0}));
        lth_node_append(list, item);
    }
    lth_node_set(arena, trainer, "max_epochs", text(arena, "3"));
    lth_node_set(arena, trainer, "callbacks", list);
    lth_node_set(arena, root, "trainer", trainer);
    lth_node_set(arena, root, "a.b", text(arena, "1"));
    return root;
}

static void get_set_and_count(void **state) {
    (void)state;
    lth_arena arena = {0};
    lth_node *map = lth_node_new(&arena, LTH_NODE_MAP);
    lth_node_set(&arena, map, "x", text(&arena, "1"));
    lth_node_set(&arena, map, "y", text(&arena, "2"));
    lth_node_set(&arena, map, "z", text(&arena, "3"));
    lth_node_set(&arena, map, "y", text(&arena, "new"));
    assert_int_equal(lth_node_count(map), 3);
    assert_string_equal(lth_node_get(map, "y")->text, "new");
    assert_string_equal(map->first->next->key, "y"); /* in its old place */
    assert_string_equal(map->first->next->next->key, "z");
    lth_node *same = lth_node_get(map, "y");
    lth_node_set(&arena, map, "y", same);
    assert_int_equal(lth_node_count(map), 3);
    assert_null(lth_node_get(map, "w"));
    assert_null(lth_node_get(NULL, "x"));
    assert_null(lth_node_get(same, "x"));
    assert_int_equal(lth_node_count(NULL), 0);
    lth_arena_release(&arena);
}

static void dotted_paths(void **state) {
    (void)state;
    lth_arena arena = {0};
    lth_node *root = sample(&arena);
    assert_string_equal(lth_node_at(root, "trainer.max_epochs")->text, "3");
    assert_string_equal(lth_node_at(root, "trainer.callbacks.1.class_path")->text, "B");
    assert_string_equal(lth_node_at(root, "a.b")->text, "1");
    assert_ptr_equal(lth_node_at(root, ""), root);
    static const char *const absent[] = {"trainer.",
                                         ".trainer",
                                         "trainer..max_epochs",
                                         "trainer.max",
                                         "trainer.max_epochs.x",
                                         "trainer.callbacks.2",
                                         "trainer.callbacks.x",
                                         "trainer.callbacks.-1",
                                         "trainer.callbacks.99999999999999999999",
                                         "a",
                                         "b",
                                         "trainer.callbacks.1x"};
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++) {
        if (lth_node_at(root, absent[i])) {
            fail_msg("\"%s\" found something", absent[i]);
        }
    }
    assert_null(lth_node_at(NULL, "x"));
    lth_arena_release(&arena);
}

static void copies_stand_alone(void **state) {
    (void)state;
    lth_arena arena = {0}, other = {0};
    char file[] = "a.yaml";
    lth_node *root = sample(&arena);
    lth_node *epochs = lth_node_at(root, "trainer.max_epochs");
    epochs->file = file;
    epochs->line = 7;
    epochs->origin = LTH_FROM_FILE;
    lth_node *copy = lth_node_copy(&other, root);
    assert_true(lth_node_equal(copy, root));
    memset(file, 'z', 6);
    lth_arena_release(&arena);
    epochs = lth_node_at(copy, "trainer.max_epochs");
    assert_string_equal(epochs->text, "3");
    assert_string_equal(epochs->file, "a.yaml");
    assert_int_equal(epochs->line, 7);
    assert_int_equal(epochs->origin, LTH_FROM_FILE);
    assert_null(lth_node_copy(&other, NULL));
    lth_arena_release(&other);
}

static bool equal(const char *a, bool a_quoted, const char *b, bool b_quoted) {
    lth_node x = {.kind = LTH_NODE_SCALAR, .text = a, .quoted = a_quoted}, y = {.kind = LTH_NODE_SCALAR, .text = b, .quoted = b_quoted};
    return lth_node_equal(&x, &y) && lth_node_equal(&y, &x);
}

static void equal_values(void **state) {
    (void)state;
    assert_true(equal("abc", false, "abc", true));
    assert_true(equal("1000", false, "1e3", false));
    assert_true(equal("0.001", false, "1e-3", false));
    assert_true(equal("nan", false, ".NaN", false));
    assert_true(equal("true", false, "YES", false));
    assert_true(equal("null", false, "~", false));
    assert_true(equal("1", true, "1", true));
    assert_false(equal("1", false, "1.0", false)); /* one batch, all batches */
    assert_false(equal("1", false, "1", true));
    assert_false(equal("true", false, "true", true));
    assert_false(equal("null", false, "null", true));
    assert_false(equal("abc", false, "ABC", false));
    assert_false(equal("true", false, "1", false));
    assert_false(equal("9007199254740993", false, "9007199254740992", false));
}

static void equal_trees(void **state) {
    (void)state;
    lth_arena arena = {0};
    lth_node *a = sample(&arena), *b = lth_node_copy(&arena, a);
    lth_node *first = b->first; /* the order of keys is no value */
    b->first = first->next;
    first->next = NULL;
    b->first->next = first;
    assert_true(lth_node_equal(a, b));
    lth_node *list = lth_node_at(b, "trainer.callbacks"), *item = list->first;
    list->first = item->next; /* the order of items is */
    item->next = NULL;
    list->first->next = item;
    assert_false(lth_node_equal(a, b));
    lth_node *null = lth_node_new(&arena, LTH_NODE_NULL), *map = lth_node_new(&arena, LTH_NODE_MAP),
             *empty = lth_node_new(&arena, LTH_NODE_LIST);
    assert_true(lth_node_equal(NULL, null));
    assert_false(lth_node_equal(null, map));
    assert_false(lth_node_equal(map, empty));
    lth_node_set(&arena, map, "k", null);
    assert_false(lth_node_equal(map, lth_node_new(&arena, LTH_NODE_MAP)));
    lth_arena_release(&arena);
}

static void deep_nesting(void **state) {
    (void)state;
    enum { DEPTH = 10000 };
    lth_arena arena = {0};
    lth_node *root = lth_node_new(&arena, LTH_NODE_LIST), *at = root;
    for (int i = 0; i < DEPTH; i++) {
        lth_node *inner = lth_node_new(&arena, LTH_NODE_LIST);
        lth_node_append(at, inner);
        at = inner;
    }
    lth_node *copy = lth_node_copy(&arena, root);
    assert_true(lth_node_equal(root, copy));
    char *path = lth_arena_alloc(&arena, 2 * DEPTH);
    for (int i = 0; i < DEPTH; i++) {
        memcpy(path + 2 * i, i + 1 < DEPTH ? "0." : "0", i + 1 < DEPTH ? 2 : 1);
    }
    assert_ptr_equal(lth_node_at(root, path), at);
    lth_arena_release(&arena);
}

static void descriptions(void **state) {
    (void)state;
    char out[16];
    lth_node node = {.kind = LTH_NODE_SCALAR, .text = "abc"};
    assert_string_equal(lth_node_describe(&node, out, sizeof out), "\"abc\"");
    node.text = "a text too long for it";
    assert_string_equal(lth_node_describe(&node, out, sizeof out), "\"a text too...\"");
    node.text = "null";
    assert_string_equal(lth_node_describe(&node, out, sizeof out), "null");
    node.quoted = true;
    assert_string_equal(lth_node_describe(&node, out, sizeof out), "\"null\"");
    node.kind = LTH_NODE_LIST;
    assert_string_equal(lth_node_describe(&node, out, sizeof out), "a list");
    assert_string_equal(lth_node_describe(NULL, out, sizeof out), "null");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(get_set_and_count), TEST(dotted_paths), TEST(copies_stand_alone), TEST(equal_values),
        TEST(equal_trees),       TEST(deep_nesting), TEST(descriptions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
