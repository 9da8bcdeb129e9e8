/* tests/config/test_merge.c - several files and the command line on top of each other. */
#include "bench.h"

static const char base_yaml[] =
    "model:\n  class_path: LeNet\n  init_args: {hidden: 5, widths: [1, 2]}\n"
    "data: {class_path: MNIST, init_args: {data_dir: d}}\n"
    "trainer:\n  max_epochs: 3\n  callbacks:\n    - class_path: EarlyStopping\n      init_args: {patience: 1}\n";

static void later_files_win(void **state) {
    bench *b = *state;
    add_file(b, base_yaml);
    add_file(b, "model: {init_args: {hidden: 7, widths: [3]}}\ntrainer: {max_steps: 10}\n");
    lth_config *c = load_good(b);
    assert_string_equal(c->model.class_path, "LeNet");
    assert_string_equal(text_at(c, "model.init_args.hidden"), "7");
    assert_int_equal(lth_node_count(lth_node_at(c->root, "model.init_args.widths")), 1);
    assert_int_equal(c->trainer.max_epochs.value, 3);
    assert_int_equal(c->trainer.max_steps, 10);
    assert_string_equal(lth_node_at(c->root, "trainer.max_steps")->file, b->files[1]);
}

static void another_class_drops_arguments(void **state) {
    bench *b = *state;
    add_file(b, base_yaml);
    add_file(b, "model: {class_path: other.Net, init_args: {depth: 1}}\n");
    lth_config *c = load_good(b);
    assert_string_equal(text_at(c, "model.init_args.depth"), "1");
    assert_int_equal(lth_node_count(c->model.init_args), 1);
    bench_clear(b);
    add_file(b, base_yaml);
    add_file(b, "model: Net\n");
    c = load_good(b);
    assert_string_equal(c->model.class_path, "Net");
    assert_null(c->model.init_args);
    bench_clear(b);
    add_file(b, base_yaml); /* the same class by a longer name keeps them */
    add_file(b, "model: my.LeNet\n");
    c = load_good(b);
    assert_string_equal(c->model.class_path, "my.LeNet");
    assert_string_equal(text_at(c, "model.init_args.hidden"), "5");
    bench_clear(b);
    add_file(b, "model: LeNet\n");
    add_file(b, "model: {init_args: {hidden: 1}}\n");
    c = load_good(b);
    assert_string_equal(c->model.class_path, "LeNet");
    assert_string_equal(text_at(c, "model.init_args.hidden"), "1");
}

static void append_and_clear(void **state) {
    bench *b = *state;
    add_file(b, base_yaml);
    add_file(b, "trainer: {callbacks+: LearningRateMonitor}\nmodel: {init_args: {widths+: [8, 9]}}\n");
    add_file(b, "trainer: {callbacks+: [{class_path: X}, Y], logger+: Z}\nmodel: {init_args: {hidden: null}}\n");
    lth_config *c = load_good(b);
    assert_string_equal(text_at(c, "trainer.callbacks.0.class_path"), "EarlyStopping");
    assert_string_equal(text_at(c, "trainer.callbacks.1.class_path"), "LearningRateMonitor");
    assert_string_equal(text_at(c, "trainer.callbacks.2.class_path"), "X");
    assert_string_equal(text_at(c, "trainer.callbacks.3.class_path"), "Y");
    assert_string_equal(text_at(c, "model.init_args.widths.3"), "9");
    assert_int_equal(lth_node_at(c->root, "model.init_args.hidden")->kind, LTH_NODE_NULL);
    assert_int_equal(c->n_loggers, 3); /* the default ones and Z */
    bench_clear(b);
    add_file(b, base_yaml);
    add_file(b, "trainer: {callbacks: null}\nmodel: null\n");
    c = load_good(b);
    assert_null(c->model.class_path);
    assert_false(c->callbacks_given);
    assert_int_equal(c->n_callbacks, 3);
}

static void dotted_keys(void **state) {
    bench *b = *state;
    add_file(b, base_yaml);
    add_override(b, "trainer.max_epochs=9");
    add_override(b, "data.data_dir=/x");
    add_override(b, "data.init_args.val_size=3");
    add_override(b, "model.widths=[7, 8]");
    add_override(b, "model.widths.1=9");
    add_override(b, "model.widths+=10");
    add_override(b, "trainer.callbacks.0.init_args.patience=2");
    add_override(b, "trainer.callbacks.0.monitor=val_loss");
    add_override(b, "seed_everything=5");
    lth_config *c = load_good(b);
    assert_int_equal(c->trainer.max_epochs.value, 9);
    assert_string_equal(text_at(c, "data.init_args.data_dir"), "/x");
    assert_string_equal(text_at(c, "data.init_args.val_size"), "3");
    assert_string_equal(text_at(c, "model.init_args.widths.0"), "7");
    assert_string_equal(text_at(c, "model.init_args.widths.1"), "9");
    assert_string_equal(text_at(c, "model.init_args.widths.2"), "10");
    assert_string_equal(text_at(c, "trainer.callbacks.0.init_args.patience"), "2");
    assert_string_equal(text_at(c, "trainer.callbacks.0.init_args.monitor"), "val_loss");
    assert_int_equal(c->seed, 5);
    assert_int_equal(lth_node_at(c->root, "trainer.max_epochs")->origin, LTH_FROM_COMMAND_LINE);
}

static void short_forms(void **state) {
    bench *b = *state;
    add_override(b, "model=LeNet");
    add_override(b, "model.hidden=3");
    add_override(b, "data=MNIST");
    add_override(b, "optimizer=torch.optim.Adam");
    add_override(b, "optimizer.lr=0.1");
    add_override(b, "lr_scheduler=StepLR");
    add_override(b, "lr_scheduler.step_size=2");
    add_override(b, "lr_scheduler.interval=step");
    add_override(b, "lr_scheduler.monitor=val_loss");
    add_override(b, "trainer.callbacks+=EarlyStopping");
    add_override(b, "trainer.callbacks.patience=5");
    add_override(b, "trainer.callbacks+={class_path: Y, init_args: {z: 1}}");
    add_override(b, "trainer.callbacks.z=2");
    add_override(b, "trainer.logger=CSVLogger");
    add_override(b, "trainer.logger.save_dir=s");
    lth_config *c = load_good(b);
    assert_string_equal(text_at(c, "model.init_args.hidden"), "3");
    assert_string_equal(c->optimizer.class_path, "torch.optim.Adam");
    assert_string_equal(text_at(c, "optimizer.init_args.lr"), "0.1");
    assert_string_equal(text_at(c, "lr_scheduler.init_args.step_size"), "2");
    assert_true(c->lr_scheduler_opts.each_step);
    assert_string_equal(c->lr_scheduler_opts.monitor, "val_loss");
    assert_string_equal(text_at(c, "lr_scheduler.interval"), "step");
    assert_string_equal(text_at(c, "trainer.callbacks.0.init_args.patience"), "5");
    assert_string_equal(text_at(c, "trainer.callbacks.1.init_args.z"), "2");
    assert_int_equal(c->n_loggers, 1);
    assert_string_equal(text_at(c, "trainer.logger.0.init_args.save_dir"), "s");
}

/* They stand beside init_args, not in it; a single group's value, and one more group, too. */
static void parameter_groups(void **state) {
    bench *b = *state;
    add_file(b, base_yaml);
    add_override(b, "optimizer=AdamW");
    add_override(b, "optimizer.lr=0.1");
    add_override(b, "optimizer.param_groups=[{params: '*.bias', weight_decay: 0}, {params: [a.weight, b.weight], lr: 0.5}]");
    add_override(b, "optimizer.param_groups.1.lr=0.25");
    add_override(b, "optimizer.param_groups+=[{params: '*norm*'}]");
    lth_config *c = load_good(b);
    assert_string_equal(text_at(c, "optimizer.init_args.lr"), "0.1");
    assert_null(lth_node_at(c->root, "optimizer.init_args.param_groups"));
    assert_int_equal(lth_node_count(lth_node_at(c->root, "optimizer.param_groups")), 3);
    assert_string_equal(text_at(c, "optimizer.param_groups.0.params"), "*.bias");
    assert_string_equal(text_at(c, "optimizer.param_groups.0.weight_decay"), "0");
    assert_string_equal(text_at(c, "optimizer.param_groups.1.params.1"), "b.weight");
    assert_string_equal(text_at(c, "optimizer.param_groups.1.lr"), "0.25");
    assert_string_equal(text_at(c, "optimizer.param_groups.2.params"), "*norm*");
}

static void override_values(void **state) {
    bench *b = *state;
    add_override(b, "model=N");
    add_override(b, "model.a=x: y #z");
    add_override(b, "model.b=*.so");
    add_override(b, "model.c=");
    add_override(b, "model.d=null");
    add_override(b, "model.e={k: [1, '2']}");
    add_override(b, "model.f='5'");
    add_override(b, "model.g=-1");
    add_override(b, "model.e.k.0=4");
    lth_config *c = load_good(b);
    assert_string_equal(text_at(c, "model.init_args.a"), "x: y #z");
    assert_string_equal(text_at(c, "model.init_args.b"), "*.so");
    assert_string_equal(text_at(c, "model.init_args.c"), "");
    assert_int_equal(lth_node_at(c->root, "model.init_args.d")->kind, LTH_NODE_NULL);
    assert_string_equal(text_at(c, "model.init_args.e.k.0"), "4");
    assert_true(lth_node_at(c->root, "model.init_args.f")->quoted);
    assert_string_equal(text_at(c, "model.init_args.g"), "-1");
}

static void wrong_override(bench *b, const char *text, const char *message) {
    bench_clear(b);
    add_file(b, base_yaml);
    add_override(b, text);
    assert_int_equal(load(b, false), LT_ECONFIG);
    expect_error(&b->diags, 0, message);
}

static void wrong_overrides(void **state) {
    bench *b = *state;
    wrong_override(b, "trainer.callbacks.3.patience=1", "index 3 is out of range; the list has 1 element");
    wrong_override(b, "trainer.max_epochs.x=1", "cannot be set in what is a single value");
    wrong_override(b, "model.widths.x=1", "is no index of a list of 2");
    wrong_override(b, "trainer.logger.5.x=1", "index 5 is out of range");
    wrong_override(b, "optimizer.lr=1", "class_path is missing");
    wrong_override(b, "optimizer={class_path: A, param_groups: 3}", "optimizer.param_groups must be a list of maps");
    wrong_override(b, "model.a={b", "not valid YAML");
    wrong_override(b, "model.a=\xff", "not UTF-8");
    wrong_override(b, "model..a=1", "not a dotted key");
    wrong_override(b, "trainer.=1", "not a dotted key");
    wrong_override(b, "model.widths.0+=1", "cannot be appended to");
    wrong_override(b, "trainer.max_epoch=1", "did you mean \"max_epochs\"?");
    wrong_override(b, "trainer=5", "trainer must be a map");
    bench_clear(b);
    add_override(b, "trainer.callbacks.patience=5");
    assert_int_equal(load(b, false), LT_ECONFIG);
    expect_error(&b->diags, 0, "there is no element yet");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_start, bench_end)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(later_files_win),  TEST(another_class_drops_arguments),
        TEST(append_and_clear), TEST(dotted_keys),
        TEST(short_forms),      TEST(override_values),
        TEST(parameter_groups), TEST(wrong_overrides),
    };
    return cmocka_run_group_tests_name("config.merge", tests, NULL, NULL);
}
