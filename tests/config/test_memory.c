/* tests/config/test_memory.c - loading with the n-th allocation failing, for every n: an error each time, no crash, no leak. */
#include "bench.h"

static const char yaml[] = "seed_everything: 3\n"
                           "model: {class_path: plugins/m.so:LeNet, init_args: {hidden: &h 5, other: *h, text: \"a: b\"}}\n"
                           "data: MNIST\noptimizer: {class_path: Adam, init_args: {lr: 0.1}}\n"
                           "lr_scheduler: {class_path: StepLR, interval: step, monitor: m}\n"
                           "trainer: {max_epochs: 3, default_root_dir: runs, callbacks+: [EarlyStopping], logger+: X}\n"
                           "plugins: [a, b]\nckpt_path: x.h5\n";

static void nth_allocation(void **state) {
    bench *b = *state;
    add_file(b, yaml);
    add_override(b, "trainer.callbacks.patience=5");
    add_override(b, "model.sizes=[1, 2]");
    lt_status status = LT_ENOMEM;
    int n = 0;
    for (; status != LT_OK; n++) {
        lth_alloc_budget(n);
        const char *files[] = {b->files[0]};
        lth_config_source source = {
            .files = files, .n_files = 1, .overrides = b->overrides, .n_overrides = b->n_overrides, .need_model = true};
        lth_diags diags = {0};
        lth_config *config = NULL;
        status = lth_config_load(&source, &diags, &config);
        lth_alloc_budget(-1);
        assert_int_equal(status == LT_OK, diags.count == 0);
        assert_int_equal(status == LT_OK, config != NULL);
        assert_true(n < 5000);
        lth_config_free(config);
        lth_diags_release(&diags);
        assert_int_equal(lth_alloc_live(), b->live);
    }
    assert_true(n > 10);
}

static void mistakes_without_memory(void **state) {
    bench *b = *state;
    for (int n = 0; n < 200; n++) {
        lth_alloc_budget(n);
        lth_config_source source = {.text = "modle: 1\na: 2\na: 3\ntrainer: {max_epoch: 3, devices: 4}\nmodel: {x: 1}\n",
                                    .need_model = true};
        lth_diags diags = {0};
        lth_config *config = NULL;
        assert_int_not_equal(lth_config_load(&source, &diags, &config), LT_OK);
        lth_alloc_budget(-1);
        assert_true(diags.count > 0);
        assert_null(config);
        lth_diags_release(&diags);
        assert_int_equal(lth_alloc_live(), b->live);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_start, bench_end)
int main(void) {
    const struct CMUnitTest tests[] = {TEST(nth_allocation), TEST(mistakes_without_memory)};
    return cmocka_run_group_tests_name("config.memory", tests, NULL, NULL);
}
