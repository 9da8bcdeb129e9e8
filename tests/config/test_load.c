/* tests/config/test_load.c - from files to options: defaults, which callbacks and loggers run, checks, messages with their lines. */
#include "bench.h"

static bool has_callback(const lth_config *c, const char *name) {
    for (size_t i = 0; i < c->n_callbacks; i++) {
        if (!strcmp(c->callbacks[i].class_path, name)) {
            return true;
        }
    }
    return false;
}

static lth_config *load_text(bench *b, const char *yaml) {
    bench_clear(b);
    add_file(b, yaml);
    return load_good(b);
}

static void defaults(void **state) {
    bench *b = *state;
    lth_config *c = load_text(b, "");
    assert_int_equal(c->seed, 0);
    assert_false(c->seed_given || c->seed_random || c->callbacks_given || c->loggers_given);
    assert_int_equal(c->n_callbacks, 3);
    assert_true(has_callback(c, "ModelCheckpoint") && has_callback(c, "ProgressBar") && has_callback(c, "ModelSummary"));
    assert_int_equal(c->n_loggers, 2);
    assert_string_equal(c->loggers[0].class_path, "CSVLogger");
    assert_string_equal(c->loggers[1].class_path, "TensorBoardLogger");
    assert_null(c->model.class_path);
    assert_int_equal(c->trainer.log_every_n_steps, 50);
    assert_string_equal(text_at(c, "trainer.precision"), "32-true");
    assert_string_equal(text_at(c, "seed_everything"), "0");
}

static void given_callbacks_are_added(void **state) {
    bench *b = *state;
    lth_config *c = load_text(b, "trainer: {callbacks: [EarlyStopping]}\n");
    assert_int_equal(c->n_callbacks, 4);
    assert_string_equal(c->callbacks[0].class_path, "EarlyStopping");
    assert_true(c->callbacks_given);
    c = load_text(b, "trainer: {callbacks: [{class_path: lightning.pytorch.callbacks.ModelCheckpoint, init_args: {save_top_k: 3}}]}\n");
    assert_int_equal(c->n_callbacks, 3);
    assert_false(has_callback(c, "ModelCheckpoint"));
    c = load_text(b, "trainer: {enable_progress_bar: false, callbacks: X}\n");
    assert_int_equal(c->n_callbacks, 3);
    assert_false(has_callback(c, "ProgressBar"));
    assert_int_equal(load_text(b, "trainer: {callbacks: []}\n")->n_callbacks, 3);
    assert_int_equal(load_text(b, "trainer: {callbacks: true}\n")->n_callbacks, 3);
    c = load_text(b, "trainer: {callbacks: false}\n");
    assert_int_equal(c->n_callbacks, 0);
    assert_string_equal(text_at(c, "trainer.callbacks"), "false");
    one_error(b, "trainer:\n  enable_checkpointing: false\n  callbacks:\n    - ModelCheckpoint\n", 4, "enable_checkpointing is false");
}

static void loggers(void **state) {
    bench *b = *state;
    assert_int_equal(load_text(b, "trainer: {logger: false}\n")->n_loggers, 0);
    assert_int_equal(load_text(b, "trainer: {logger: true}\n")->n_loggers, 2);
    assert_int_equal(load_text(b, "trainer: {logger: null}\n")->n_loggers, 2);
    assert_int_equal(load_text(b, "trainer: {logger: CSVLogger}\n")->n_loggers, 1);
    lth_config *c = load_text(b, "trainer: {logger: {class_path: A, init_args: {save_dir: x}}}\n");
    assert_int_equal(c->n_loggers, 1);
    assert_string_equal(text_at(c, "trainer.logger.0.init_args.save_dir"), "x");
    assert_true(c->loggers_given);
}

static void seeds(void **state) {
    bench *b = *state;
    lth_config *c = load_text(b, "seed_everything: 42\n");
    assert_int_equal(c->seed, 42);
    assert_true(c->seed_given);
    c = load_text(b, "seed_everything: true\n");
    assert_int_equal(c->seed, 0);
    assert_true(c->seed_given);
    c = load_text(b, "seed_everything: false\n");
    assert_true(c->seed_random && c->seed >= 0 && c->seed <= UINT32_MAX);
    assert_true(strtoll(text_at(c, "seed_everything"), NULL, 10) == c->seed);
}

static void paths(void **state) {
    bench *b = *state;
    char sub[128], cwd[4096], expected[8192];
    lth_config *c = load_text(b, "model: sub/m.so:Net\nplugins: [p, /abs/q.so]\nckpt_path: x.h5\ntrainer: {default_root_dir: runs}\n");
    snprintf(sub, sizeof sub, "%s/sub/m.so:Net", b->dir);
    assert_string_equal(c->model.class_path, sub);
    assert_string_equal(text_at(c, "model.class_path"), sub);
    snprintf(sub, sizeof sub, "%s/p", b->dir);
    assert_string_equal(c->plugins[0], sub);
    assert_string_equal(c->plugins[1], "/abs/q.so");
    snprintf(sub, sizeof sub, "%s/x.h5", b->dir);
    assert_string_equal(c->ckpt_path, sub);
    snprintf(sub, sizeof sub, "%s/runs", b->dir);
    assert_string_equal(c->trainer.default_root_dir, sub);
    assert_string_equal(load_text(b, "ckpt_path: best\n")->ckpt_path, "best");
    bench_clear(b);
    add_override(b, "model=m.so:Net");
    assert_non_null(getcwd(cwd, sizeof cwd));
    snprintf(expected, sizeof expected, "%s/m.so:Net", cwd);
    assert_string_equal(load_good(b)->model.class_path, expected);
}

/* What is printed, read again, is the same configuration: that is what lies in run folders and checkpoints. */
static void resolved_is_stable(void **state) {
    bench *b = *state;
    static const char *const files[] = {
        "",
        "trainer: {callbacks: false, logger: false}\n",
        "trainer: {callbacks: [X, ModelSummary], enable_progress_bar: false}\n",
        "model: a.so:M\ndata: {class_path: D, init_args: {x: [1, 'a', \"\\n\"]}}\noptimizer: Adam\n"
        "lr_scheduler: {class_path: S, interval: step, name: n}\nplugins: p\nckpt_path: last\n",
        "trainer: {barebones: true}\n",
        "trainer: {max_epochs: -1, devices: 1, limit_val_batches: 3, check_val_every_n_epoch: null, val_check_interval: 10}\n",
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        lth_buf first = {0}, second = {0};
        lth_config *c = load_text(b, files[i]);
        lth_yaml_print(c->root, false, &first);
        size_t callbacks = c->n_callbacks, n_loggers = c->n_loggers;
        c = load_text(b, lth_buf_text(&first));
        lth_yaml_print(c->root, false, &second);
        assert_string_equal(lth_buf_text(&first), lth_buf_text(&second));
        assert_int_equal(c->n_callbacks, callbacks);
        assert_int_equal(c->n_loggers, n_loggers);
        lth_buf_release(&first);
        lth_buf_release(&second);
    }
}

static void text_of_a_checkpoint(void **state) {
    bench *b = *state;
    lth_config_override override = {"model.hidden", "3", false};
    lth_config_source source = {
        .text = "model: LeNet\ndata: MNIST\n", .text_name = "x.h5", .overrides = &override, .n_overrides = 1, .need_model = true};
    assert_int_equal(lth_config_load(&source, &b->diags, &b->config), LT_OK);
    assert_string_equal(text_at(b->config, "model.init_args.hidden"), "3");
    assert_int_equal(lth_node_at(b->config->root, "data.class_path")->origin, LTH_FROM_CHECKPOINT);
}

/* ---- what is wrong ---- */

static void files_that_cannot_be_read(void **state) {
    bench *b = *state;
    const char *names[] = {"/nowhere/a.yaml", "/tmp"};
    lth_config_source source = {.files = names, .n_files = 2};
    assert_int_equal(lth_config_load(&source, &b->diags, &b->config), LT_ECONFIG);
    assert_null(b->config);
    expect_error(&b->diags, 0, "cannot open /nowhere/a.yaml: No such file");
    expect_error(&b->diags, 0, "it is a folder");
    one_error(b, "- 1\n", 1, "a list is no configuration");
    one_error(b, "just text\n", 1, "\"just text\" is no configuration");
    one_error(b, "trainer: {max_epochs: 1\n", 2, "not valid YAML");
}

static void model_is_needed(void **state) {
    bench *b = *state;
    assert_int_equal(load(b, true), LT_ECONFIG);
    assert_non_null(strstr(expect_error(&b->diags, 0, "no model is given")->hint, "-c FILE"));
    expect_error(&b->diags, 0, "no data is given");
    add_file(b, "");
    assert_int_equal(load(b, true), LT_ECONFIG);
    assert_non_null(strstr(expect_error(&b->diags, 0, "no model is given")->hint, "--model NAME"));
    bench_clear(b);
    add_file(b, "model: M\ndata: D\n");
    assert_int_equal(load(b, true), LT_OK);
}

static void one_mistake_each(void **state) {
    bench *b = *state;
    one_error(b, "modle: X\n", 1, "unknown key \"modle\"; did you mean \"model\"?");
    one_error(b, "defaults: {seed: 1}\n", 1, "unknown key \"defaults\"");
    assert_non_null(strstr(one_error(b, "\nmax_epochs: 3\n", 2, "unknown key \"max_epochs\"")->hint, "trainer.max_epochs"));
    one_error(b, "trainer:\n  max_epoch: 3\n", 2, "unknown key \"max_epoch\" of trainer; did you mean \"max_epochs\"?");
    one_error(b, "trainer:\n  calbacks: 3\n", 2, "did you mean \"callbacks\"?");
    one_error(b, "trainer:\n  max_epochs: three\n", 2, "max_epochs of trainer must be an integer");
    one_error(b, "trainer:\n  max_epochs: -2\n", 2, "max_epochs of trainer must be at least -1");
    one_error(b, "trainer: 3\n", 1, "trainer must be a map");
    one_error(b, "trainer:\n  limit_val_batches: 1.5\n", 2, "trainer.limit_val_batches must be");
    one_error(b, "trainer:\n  limit_train_batches: x\n", 2, "trainer.limit_train_batches must be");
    one_error(b, "trainer:\n  overfit_batches: -1\n", 2, "trainer.overfit_batches must be");
    one_error(b, "trainer:\n  val_check_interval: 0\n", 2, "trainer.val_check_interval must be");
    one_error(b, "trainer:\n  val_check_interval: 0.5\n  check_val_every_n_epoch: null\n", 2, "where check_val_every_n_epoch is null");
    one_error(b, "trainer:\n  fast_dev_run: maybe\n", 2, "trainer.fast_dev_run must be");
    one_error(b, "trainer:\n  devices: 4\n", 2, "training in several processes comes in a later version");
    one_error(b, "trainer:\n  strategy: ddp\n", 2, "comes in a later version");
    one_error(b, "trainer:\n  precision: 16-mixed\n", 2, "\"16-mixed\" is not supported by this build");
    one_error(b, "trainer:\n  accelerator: cuda\n", 2, "no backend for \"cuda\"");
    one_error(b, "trainer:\n  accelerator: quantum\n", 2, "is no accelerator");
    one_error(b, "trainer:\n  barebones: true\n  callbacks: [ProgressBar]\n", 3, "ProgressBar is given, but barebones is true");
    one_error(b, "trainer:\n  profiler: simple\n", 2, "not supported by this build");
    one_error(b, "trainer:\n  barebones: true\n  enable_progress_bar: true\n", 3, "cannot be set together with barebones");
    one_error(b, "trainer:\n  barebones: true\n  logger: CSVLogger\n", 3, "cannot be set together with barebones");
    one_error(b, "seed_everything: -1\n", 1, "seed_everything must be");
    one_error(b, "seed_everything: [1]\n", 1, "seed_everything must be");
    one_error(b, "ckpt_path: [1]\n", 1, "ckpt_path must be");
    one_error(b, "plugins:\n  - x\n  - {a: 1}\n", 3, "is no path");
}

static void wrong_components(void **state) {
    bench *b = *state;
    one_error(b, "model:\n  init_args: {x: 1}\n", 2, "model: class_path is missing");
    one_error(b, "model:\n  class_path: [x]\n", 2, "a list is no class path");
    one_error(b, "model:\n  class_path: x.so\n", 2, "names no class");
    one_error(b, "model: ''\n", 1, "is no class path");
    one_error(b, "model: true\n", 1, "is no class path");
    one_error(b, "model: [X]\n", 1, "is no class path");
    one_error(b, "model:\n  class_path: X\n  init_args: 3\n", 3, "model.init_args must be a map");
    one_error(b, "model:\n  class_path: X\n  init_arg: {}\n", 3, "did you mean \"init_args\"?");
    assert_non_null(
        strstr(one_error(b, "model:\n  class_path: X\n  hidden: 3\n", 3, "unknown key \"hidden\" of model")->hint, "init_args"));
    one_error(b, "trainer:\n  callbacks:\n    - X\n    - {class_path: null}\n", 4, "trainer.callbacks.1: class_path is missing");
    one_error(b, "lr_scheduler: S\n", 1, "lr_scheduler needs an optimizer");
    one_error(b, "optimizer: A\nlr_scheduler:\n  class_path: S\n  interval: hour\n", 4, "must be epoch or step");
    one_error(b, "optimizer: A\nlr_scheduler:\n  class_path: S\n  frequency: 0\n", 4, "integer >= 1");
    one_error(b, "optimizer: A\nlr_scheduler:\n  class_path: S\n  strict: 5\n", 4, "true or false");
    one_error(b, "optimizer: A\nlr_scheduler:\n  class_path: S\n  monitor: [x]\n", 4, "lr_scheduler.monitor must be text");
    one_error(b, "optimizer: {class_path: A, interval: step}\n", 1, "unknown key \"interval\" of optimizer");
}

static void all_at_once(void **state) {
    bench *b = *state;
    add_file(b, "seed_everything: x\nmodle: 1\nmodel:\n  class: LeNet\ntrainer:\n  max_epoch: 1\n  devices: 2\n  callbacks: [[1]]\n");
    add_file(b, "trainer:\n  precision: 8\n  enable_progress_bar: 3\n");
    add_override(b, "trainer.max_stepz=3");
    assert_int_equal(load(b, true), LT_ECONFIG);
    expect_error(&b->diags, 1, "seed_everything");
    expect_error(&b->diags, 2, "modle");
    expect_error(&b->diags, 4, "\"class\"");
    expect_error(&b->diags, 6, "max_epoch");
    expect_error(&b->diags, 7, "devices");
    expect_error(&b->diags, 8, "trainer.callbacks.0");
    expect_error(&b->diags, 2, "precision");
    expect_error(&b->diags, 3, "enable_progress_bar");
    expect_error(&b->diags, 0, "max_steps");
    expect_error(&b->diags, 0, "no data is given");
}

static void keep_errors(void **state) {
    bench *b = *state;
    lth_config_source source = {.text = "model: {class_path: M, init_args: {x: 1}}\ndata: []\ntrainer: {max_epoch: 1}\n",
                                .keep_errors = true};
    assert_int_equal(lth_config_load(&source, &b->diags, &b->config), LT_ECONFIG);
    assert_non_null(b->config);
    assert_string_equal(b->config->model.class_path, "M");
    assert_null(b->config->data.class_path);
}

static void files_of_lightning(void **state) {
    bench *b = *state;
    lth_config *c = load_text(
        b,
        "seed_everything: true\ntrainer:\n  accelerator: auto\n  strategy: auto\n  devices: auto\n  num_nodes: 1\n  precision: null\n"
        "  logger: null\n  callbacks: null\n  fast_dev_run: false\n  max_epochs: null\n  max_time: null\n  limit_train_batches: null\n"
        "  val_check_interval: null\n  log_every_n_steps: null\n  enable_checkpointing: null\n  profiler: null\n  gradient_clip_val: null\n"
        "  sync_batchnorm: false\n  plugins: null\n  use_distributed_sampler: true\n  num_sanity_val_steps: null\n  default_root_dir: "
        "null\n");
    assert_int_equal(c->trainer.log_every_n_steps, 50);
    assert_true(c->trainer.enable_checkpointing);
    assert_int_equal(c->n_callbacks, 3);
}

static void schema_text(void **state) {
    (void)state;
    lth_buf out = {0};
    lth_config_schema(&out);
    assert_non_null(strstr(lth_buf_text(&out), "max_epochs"));
    for (const char *const *key = lth_config_keys; *key; key++) {
        assert_non_null(strstr(lth_buf_text(&out), *key));
    }
    lth_buf_release(&out);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_start, bench_end)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(defaults),
        TEST(given_callbacks_are_added),
        TEST(loggers),
        TEST(seeds),
        TEST(paths),
        TEST(resolved_is_stable),
        TEST(text_of_a_checkpoint),
        TEST(files_that_cannot_be_read),
        TEST(model_is_needed),
        TEST(one_mistake_each),
        TEST(wrong_components),
        TEST(all_at_once),
        TEST(keep_errors),
        TEST(files_of_lightning),
        TEST(schema_text),
    };
    return cmocka_run_group_tests_name("config.load", tests, NULL, NULL);
}
