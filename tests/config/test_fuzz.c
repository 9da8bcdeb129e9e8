/* tests/config/test_fuzz.c - mutated documents and overrides through loader, binder and printer. The seed is fixed, so that a failure
 * comes back; LTHOST_FUZZ_ROUNDS makes it longer. What loads must print and load again to the same tree. */
#include "bench.h"

static uint64_t random_state = 20260731;
static uint32_t rnd(uint32_t below) {
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % below;
}

static const char *const documents[] = {
    "model:\n  class_path: LeNet\n  init_args: {hidden: 5, widths: [1, 2]}\ntrainer:\n  max_epochs: 3\n  callbacks+:\n    - X\n",
    "a: &x {k: 1, m: [2]}\nmodel: *x\ntrainer: {<<: *x, limit_val_batches: 0.5}\n",
    "trainer:\n  callbacks:\n    - class_path: Y\n      init_args:\n        text: \"\\u00e9\\n\"\n  logger: false\n",
    "seed_everything: true\noptimizer: Adam\nlr_scheduler: {class_path: S, interval: step}\nplugins: [a.so, 'b c']\n",
    "data: {class_path: D, init_args: {t: |\n    block\n    text\n  , q: 'it''s'}}\n--- \n",
    "trainer: {max_epochs: -1, devices: auto, precision: 32-true, fast_dev_run: 2, num_threads: 1e1, default_root_dir: ~/x}\n",
};
static const char *const pieces[] = {
    ": ",
    "- ",
    "\n",
    "  ",
    "\t",
    "[",
    "]",
    "{",
    "}",
    ",",
    "&a ",
    "*a",
    "<<: *a",
    "null",
    "~",
    "true",
    "\"",
    "'",
    "|",
    ">",
    "#",
    "---\n",
    "...\n",
    "!!str ",
    "? ",
    "+:",
    "class_path: ",
    "init_args: ",
    "trainer:\n",
    "callbacks",
    "logger",
    "1e999",
    "-0",
    ".nan",
    "\\",
    "\xc3\xa9",
    "\xff",
    "%",
    "@",
    "99999999999999999999",
};
static const char *const keys[] = {
    "trainer.max_epochs",
    "trainer.callbacks",
    "trainer.callbacks.patience",
    "trainer.callbacks.0.x",
    "trainer.logger",
    "model",
    "model.x.y",
    "data.init_args",
    "lr_scheduler.interval",
    "plugins",
    "seed_everything",
    "trainer",
    "model.init_args.widths.1",
    "a.b",
    "",
    ".",
    "trainer.logger.1.class_path",
    "model.class_path",
};
static const char *const values[] = {
    "1", "X", "null", "[1, {a: 2}]", "{class_path: Z, init_args: {b: 1}}", "", "false", "\"q\"", "[", "a: b", "0.5", "\xc3\xa9", "[[1]]"};
#define PICK(list) list[rnd(sizeof list / sizeof *list)]
enum { ROOM = 2048 };

static size_t mutate(char *text, size_t size) {
    for (uint32_t changes = rnd(6); changes; changes--) {
        size_t at = size ? rnd((uint32_t)size) : 0;
        const char *piece = PICK(pieces);
        size_t length = strlen(piece), cut = size - at < 8 ? size - at : 1 + rnd(8);
        switch (rnd(4)) {
        case 0: /* insert */
            if (size + length < ROOM) {
                memmove(text + at + length, text + at, size - at);
                memcpy(text + at, piece, length);
                size += length;
            }
            break;
        case 1: /* cut out */
            memmove(text + at, text + at + cut, size - at - cut);
            size -= cut;
            break;
        case 2: /* a byte of any kind */
            if (size) {
                text[at] = (char)rnd(256);
            }
            break;
        default: /* repeat */
            if (size + cut < ROOM) {
                memmove(text + at + cut, text + at, size - at);
                size += cut;
            }
        }
    }
    return size;
}

/* Reading what was printed gives the same tree, whatever the document was. */
static void check_tree(const lth_node *tree, lth_arena *arena) {
    lth_buf out = {0};
    lth_diags diags = {0};
    lth_yaml_print(tree, rnd(2), &out);
    const lth_node *again = lth_yaml_parse(lth_buf_text(&out), out.size, "printed", arena, &diags);
    if (!again || !lth_node_equal(tree, again)) {
        lth_diags_print(&diags, stderr);
        fail_msg("not the same when read back:\n%s", lth_buf_text(&out));
    }
    lth_diags_release(&diags);
    lth_buf_release(&out);
}

/* The resolved configuration, saved and loaded, is a configuration without errors. */
static void check_resolved(const lth_config *config) {
    lth_buf out = {0};
    lth_diags diags = {0};
    lth_config *again = NULL;
    lth_yaml_print(config->root, false, &out);
    lth_config_source source = {.text = lth_buf_text(&out), .text_name = "saved"};
    if (lth_config_load(&source, &diags, &again) != LT_OK || again->n_callbacks != config->n_callbacks ||
        again->n_loggers != config->n_loggers) {
        lth_diags_print(&diags, stderr);
        fail_msg("not the same when loaded again:\n%s", lth_buf_text(&out));
    }
    lth_config_free(again);
    lth_diags_release(&diags);
    lth_buf_release(&out);
}

static void one_round(const char *text, size_t size, size_t *trees, size_t *configs) {
    lth_arena arena = {0};
    lth_diags diags = {0};
    char whole[ROOM + 1];
    lth_config_override overrides[3];
    size_t n_overrides = rnd(4);
    for (size_t i = 0; i < n_overrides; i++) {
        overrides[i] = (lth_config_override){PICK(keys), PICK(values), rnd(4) == 0};
    }
    const lth_node *tree = lth_yaml_parse(text, size, "a.yaml", &arena, &diags);
    assert_true(!tree == (diags.count > 0));
    if (tree) {
        check_tree(tree, &arena);
        ++*trees;
    }
    lth_diags_release(&diags);
    memcpy(whole, text, size);
    whole[size] = 0;
    lth_config_source source = {.text = whole, .overrides = overrides, .n_overrides = n_overrides, .keep_errors = rnd(2)};
    lth_config *config = NULL;
    lt_status status = lth_config_load(&source, &diags, &config);
    assert_true((status == LT_OK) == (diags.count == 0));
    if (status == LT_OK) {
        check_resolved(config);
        ++*configs;
    } else {
        FILE *null = fopen("/dev/null", "w");
        lth_diags_print(&diags, null);
        fclose(null);
    }
    lth_config_free(config);
    lth_diags_release(&diags);
    lth_arena_release(&arena);
}

static void mutations(void **state) {
    (void)state;
    const char *more = getenv("LTHOST_FUZZ_ROUNDS");
    size_t trees = 0, configs = 0;
    for (long rounds = more ? strtol(more, NULL, 10) : 5000; rounds > 0; rounds--) {
        char text[ROOM];
        const char *document = PICK(documents);
        size_t size = strlen(document);
        memcpy(text, document, size);
        size = mutate(text, size);
        one_round(text, size, &trees, &configs);
    }
    assert_true(trees > 100 && configs > 10); /* it does get past the parser */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_start, bench_end)
int main(void) {
    const struct CMUnitTest tests[] = {TEST(mutations)};
    return cmocka_run_group_tests_name("config.fuzz", tests, NULL, NULL);
}
