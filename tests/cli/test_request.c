/* tests/cli/test_request.c - argv -> request: verbs, options, overrides, and messages with the nearest word. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h> /* wants those above first */

#include "base/mem.h"
#include "cli/words.h"
#include "config/config.h"
#include <stdio.h>
#include <string.h>

typedef struct bench {
    lth_request request;
    lth_diags diags;
    int64_t live;
} bench;

static int start(void **state) {
    static bench b;
    b = (bench){.live = lth_alloc_live()};
    *state = &b;
    return 0;
}

static void clear(bench *b) {
    lth_request_release(&b->request);
    lth_diags_release(&b->diags);
}

static int end(void **state) {
    bench *b = *state;
    clear(b);
    return lth_alloc_live() == b->live ? 0 : -1;
}

/* Words apart by one space; the program's name is added. */
static void parse(bench *b, const char *line) {
    static char text[1024];
    char *argv[64] = {(char *)"lthost"}, *rest = text, *word;
    int argc = 1;
    clear(b);
    snprintf(text, sizeof text, "%s", line);
    while ((word = strsep(&rest, " "))) {
        if (*word) {
            argv[argc++] = word;
        }
    }
    lth_request_parse(&b->request, argc, argv, &b->diags);
}

static const lth_request *good(bench *b, const char *line) {
    parse(b, line);
    if (b->diags.count) {
        lth_diags_print(&b->diags, stderr);
        fail_msg("refused: %s", line);
    }
    return &b->request;
}

static void bad(bench *b, const char *line, const char *text, const char *hint) {
    parse(b, line);
    for (size_t i = 0; i < b->diags.count; i++) {
        const lth_diag *d = &b->diags.items[i];
        if (strstr(d->text, text) && (!hint || (d->hint && strstr(d->hint, hint)))) {
            return;
        }
    }
    lth_diags_print(&b->diags, stderr);
    fail_msg("no message \"%s\" (%s) for: %s", text, hint ? hint : "", line);
}

static void verbs(void **state) {
    bench *b = *state;
    assert_int_equal(good(b, "")->verb, LTH_VERB_NONE);
    assert_int_equal(good(b, "fit")->verb, LTH_VERB_FIT);
    assert_int_equal(good(b, "validate")->verb, LTH_VERB_VALIDATE);
    assert_int_equal(good(b, "test")->verb, LTH_VERB_TEST);
    assert_int_equal(good(b, "predict")->verb, LTH_VERB_PREDICT);
    assert_int_equal(good(b, "config print")->verb, LTH_VERB_CONFIG_PRINT);
    assert_int_equal(good(b, "config check")->verb, LTH_VERB_CONFIG_CHECK);
    assert_int_equal(good(b, "config schema")->verb, LTH_VERB_CONFIG_SCHEMA);
    assert_int_equal(good(b, "plugin list")->verb, LTH_VERB_PLUGIN_LIST);
    assert_int_equal(good(b, "ckpt verify x.h5")->verb, LTH_VERB_CKPT_VERIFY);
    const lth_request *r = good(b, "plugin info LeNet");
    assert_int_equal(r->verb, LTH_VERB_PLUGIN_INFO);
    assert_string_equal(r->args[0], "LeNet");
    assert_string_equal(good(b, "ckpt info -- -odd.h5")->args[0], "-odd.h5");
    assert_int_equal(good(b, "--version")->verb, LTH_VERB_VERSION);
    assert_string_equal(lth_verb_name(LTH_VERB_PLUGIN_INFO), "plugin info");
}

static void help(void **state) {
    bench *b = *state;
    assert_true(good(b, "--help")->help);
    assert_true(good(b, "-h")->help);
    assert_true(good(b, "help fit")->help);
    assert_int_equal(good(b, "help fit")->verb, LTH_VERB_FIT);
    assert_int_equal(good(b, "fit --help")->verb, LTH_VERB_FIT);
    assert_true(good(b, "config --help")->help);
    assert_true(good(b, "plugin info --help")->help);
    size_t count;
    const lth_verb_words *table = lth_verbs(&count);
    for (size_t i = 0; i < count; i++) {
        char usage[64];
        snprintf(usage, sizeof usage, "usage: lthost %s", lth_verb_name(table[i].verb));
        assert_int_equal(strncmp(lth_request_help(table[i].verb), usage, strlen(usage)), 0);
        assert_non_null(strstr(lth_request_help(LTH_VERB_NONE), table[i].first));
    }
}

static void options(void **state) {
    bench *b = *state;
    const lth_request *r =
        good(b, "fit -c a.yaml --config b.yaml --config=c.yaml -cd.yaml -c=e.yaml --ckpt_path last --plugins p --plugins=q");
    static const char *const files[] = {"a.yaml", "b.yaml", "c.yaml", "d.yaml", "e.yaml"};
    assert_int_equal(r->n_configs, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_string_equal(r->configs[i], files[i]);
    }
    assert_string_equal(r->ckpt_path, "last");
    assert_int_equal(r->n_plugins, 2);
    assert_string_equal(r->plugins[1], "q");
    r = good(b, "-c a.yaml predict --input x.npy --module encoder");
    assert_int_equal(r->verb, LTH_VERB_PREDICT);
    assert_string_equal(r->input, "x.npy");
    assert_string_equal(r->module, "encoder");
}

static void overrides(void **state) {
    bench *b = *state;
    const lth_request *r =
        good(b, "fit --trainer.max_epochs=3 --trainer.max_steps -1 --model LeNet --trainer.callbacks+=X --trainer.callbacks+ Y "
                "--trainer.fast_dev_run -c a.yaml --data.x== --seed_everything 5 --trainer.deterministic");
    static const lth_override expected[] = {
        {"trainer.max_epochs", "3", false},
        {"trainer.max_steps", "-1", false},
        {"model", "LeNet", false},
        {"trainer.callbacks", "X", true},
        {"trainer.callbacks", "Y", true},
        {"trainer.fast_dev_run", "true", false},
        {"data.x", "=", false},
        {"seed_everything", "5", false},
        {"trainer.deterministic", "true", false},
    };
    assert_int_equal(r->n_overrides, sizeof expected / sizeof *expected);
    for (size_t i = 0; i < r->n_overrides; i++) {
        assert_string_equal(r->overrides[i].key, expected[i].key);
        assert_string_equal(r->overrides[i].value, expected[i].value);
        assert_int_equal(r->overrides[i].append, expected[i].append);
    }
    assert_int_equal(r->n_configs, 1);
    assert_string_equal(good(b, "fit --model.x=")->overrides[0].value, "");
}

static void mistakes(void **state) {
    bench *b = *state;
    bad(b, "fti", "unknown verb \"fti\"; did you mean \"fit\"?", NULL);
    bad(b, "zzzzzzzz", "there are fit, validate, test, predict, config, plugin, ckpt", NULL);
    bad(b, "config pint", "unknown verb \"config pint\"; did you mean \"config print\"?", NULL);
    bad(b, "config", "config needs a verb: print, check, schema", NULL);
    bad(b, "-c a.yaml", "lthost needs a verb", NULL);
    bad(b, "fit --confg a.yaml", "unknown option --confg", "--config?");
    bad(b, "fit --trainr.max_epochs=3", "unknown option --trainr.max_epochs", "--trainer.max_epochs?");
    bad(b, "fit --max_epochs 3", "unknown option --max_epochs", "--trainer.max_epochs?");
    bad(b, "fit --ckpt-path x", "unknown option --ckpt-path", "--ckpt_path?");
    bad(b, "fit --zzzzzzzzzzz", "unknown option --zzzzzzzzzzz", "--help");
    bad(b, "fit -x", "unknown option -x", NULL);
    bad(b, "fit -c", "--config needs a value", NULL);
    bad(b, "fit -c --trainer.max_epochs=3", "--config needs a value", NULL);
    bad(b, "fit --ckpt_path=", "--ckpt_path needs a value", NULL);
    bad(b, "fit --ckpt_path a --ckpt_path b", "given twice", NULL);
    bad(b, "fit a.yaml", "unexpected word \"a.yaml\" behind fit", "-c a.yaml");
    bad(b, "fit --input x.npy", "fit takes no --input", "predict");
    bad(b, "ckpt info", "ckpt info needs a FILE", NULL);
    bad(b, "ckpt info a b", "unexpected word \"b\"", NULL);
    bad(b, "ckpt info a --trainer.x=1", "takes no --trainer.x", NULL);
    bad(b, "plugin info", "plugin info needs a NAME", NULL);
    bad(b, "fti --confg x --input", "unknown option --confg", NULL);
    assert_int_equal(b->diags.count, 3); /* all of them at once */
}

static void same_keys_as_config(void **state) {
    (void)state;
    size_t i = 0;
    for (; lth_config_keys[i]; i++) {
        assert_non_null(lth_request_config_keys[i]);
        assert_string_equal(lth_request_config_keys[i], lth_config_keys[i]);
    }
    assert_null(lth_request_config_keys[i]);
}

static void nth_allocation(void **state) {
    bench *b = *state;
    const char *const argv[] = {"lthost", "fit", "-c", "a.yaml", "--trainer.max_epochs=3", "--plugins", "p", "--nonsense"};
    for (int n = 0; n < 20; n++) {
        lth_alloc_budget(n);
        lth_request_parse(&b->request, 8, (char *const *)argv, &b->diags);
        lth_alloc_budget(-1);
        assert_true(b->diags.count > 0);
        clear(b);
        assert_int_equal(lth_alloc_live(), b->live);
    }
}

/* ---- random command lines ---- */

static uint64_t random_state = 7;
static uint32_t rnd(uint32_t below) {
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % below;
}

static void random_argv(void **state) {
    bench *b = *state;
    static const char *const words[] = {
        "fit",
        "config",
        "print",
        "plugin",
        "info",
        "ckpt",
        "x.yaml",
        "-c",
        "--config",
        "--config=",
        "-c=",
        "--",
        "-",
        "",
        "--help",
        "-h",
        "--version",
        "--input",
        "--module=m",
        "--trainer.max_epochs",
        "--trainer.callbacks+=X",
        "--model",
        "--=",
        "--+",
        "--+=",
        "--.",
        "--trainer.",
        "-1",
        "---",
        "help",
        "--plugins",
        "--ckpt_path",
        "\xff\xfe",
        "=",
        "+",
    };
    for (int round = 0; round < 5000; round++) {
        char made[12][16], *argv[13];
        int argc = (int)rnd(13);
        for (int i = 0; i < argc; i++) {
            if (rnd(4)) {
                argv[i] = (char *)words[rnd(sizeof words / sizeof *words)];
                continue;
            }
            argv[i] = made[i];
            size_t length = rnd(15), dashes = rnd(3);
            for (size_t at = 0; at < length; at++) {
                made[i][at] = at < dashes ? '-' : (char)(1 + rnd(255));
            }
            made[i][length] = 0;
        }
        lth_request_parse(&b->request, argc, argv, &b->diags);
        assert_true(b->request.verb <= LTH_VERB_VERSION);
        assert_non_null(lth_request_help(b->request.verb));
        for (size_t i = 0; i < b->request.n_overrides; i++) {
            assert_true(strlen(b->request.overrides[i].key) && b->request.overrides[i].value);
        }
        clear(b);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(verbs),          TEST(help),        TEST(options), TEST(overrides), TEST(mistakes), TEST(same_keys_as_config),
        TEST(nth_allocation), TEST(random_argv),
    };
    return cmocka_run_group_tests_name("cli.request", tests, NULL, NULL);
}
