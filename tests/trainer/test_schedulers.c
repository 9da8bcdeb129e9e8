/* tests/trainer/test_schedulers.c - every scheduler of the bundle against PyTorch (tests/golden/sched.bin) on two parameter groups, its
 * state across a save, and what is refused. */
#include "optim_bench.h"

static gold_file gold;
enum { STEPS = 100 };

static const char *text_of(bench *b, const char *name, const char *what) {
    const gold_record *r = gold_find(&gold, "%s/%s", name, what);
    const char *data = gold_data(r, GOLD_U8);
    return data ? lth_arena_strndup(&b->arena, data, (size_t)r->numel) : "";
}

static void open_two(bench *b) { bench_open(b, &lth_backend_reference, NULL, LT_F32, 2, (const int64_t[]){3, 5}); }

static lth_optim *two_groups(bench *b, bool adam) {
    const char *id = adam ? "Adam" : "SGD", *first = adam ? "lr: 0.1" : "lr: 0.1, momentum: 0.9", *second = adam ? "lr: 0.004" : "lr: 0.004, momentum: 0.9";
    const lth_instance *one = bench_make(b, LTH_KIND_optimizer, id, first), *two = bench_make(b, LTH_KIND_optimizer, id, second);
    lth_group_spec spec = {.self = two->self, .names = "b"};
    lth_optim *o;
    assert_int_equal(lth_optim_new_groups(&o, b->m, one->optimizer, one->self, &spec, 1, &b->ctx), LT_OK);
    assert_int_equal(lth_optim_groups(o), 2);
    return o;
}

static double decay(void *self, int64_t epoch, uint32_t group) {
    (void)self, (void)group;
    return pow(0.95, (double)epoch) + 0.1 * (double)(epoch % 3);
}
static double alternate(void *self, int64_t epoch, uint32_t group) {
    (void)self, (void)group;
    return 0.9 + 0.1 * (double)(epoch % 2);
}

static lth_sched *make(bench *b, lth_optim *o, const char *name, lth_lambda *lambda) {
    const char *id = text_of(b, name, "class");
    lth_sched_part part;
    lth_sched *s;
    *lambda = (lth_lambda){.f = strcmp(id, "LambdaLR") ? alternate : decay, .multiplicative = strcmp(id, "LambdaLR") != 0};
    if (!strcmp(id, "LambdaLR") || !strcmp(id, "MultiplicativeLR")) {
        part = (lth_sched_part){.iface = &lth_lambda_scheduler, .self = lambda};
    } else {
        part = bench_part(b, bench_make(b, LTH_KIND_lr_scheduler, id, text_of(b, name, "yaml")));
    }
    if (lth_sched_new(&s, o, &part, &b->ctx) != LT_OK) {
        fail_msg("%s: %s", name, b->ctx.error.text);
    }
    return s;
}

static void compare(const char *name, const char *what, int step, double got, double want) {
    if (!(fabs(got - want) <= 1e-12 * fabs(want) + 1e-18)) {
        fail_msg("%s: %s after step %d is %.17g, torch has %.17g", name, what, step, got, want);
    }
}

/* At step `cut` everything is saved and loaded into a new optimizer and scheduler, which go on. */
static void run_case(const char *name, int cut) {
    bench b;
    lth_lambda lambda[2];
    open_two(&b);
    lth_optim *o = two_groups(&b, gold_find(&gold, "%s/adam", name) != NULL);
    lth_sched *s = make(&b, o, name, &lambda[0]);
    const double *lr = gold_data(gold_find(&gold, "%s/lr", name), GOLD_F64), *momentum = gold_data(gold_find(&gold, "%s/momentum", name), GOLD_F64);
    const double *metric = gold_data(gold_find(&gold, "%s/metric", name), GOLD_F64);
    assert_non_null(lr);
    for (int step = 0; step <= STEPS; step++) {
        for (int g = 0; g < 2; g++) {
            compare(name, g ? "the second rate" : "the first rate", step, lth_optim_lr(o, g), lr[2 * step + g]);
            if (momentum) {
                compare(name, "momentum", step, lth_optim_value(o, &b.ctx, g, "momentum"), momentum[2 * step + g]);
            }
        }
        if (step == cut) {
            lth_snapshot *saved = lth_snapshot_new();
            assert_int_equal(lth_optim_save(o, &b.ctx, saved, "optimizer/0", &b.ctx.error), LT_OK);
            assert_int_equal(lth_sched_save(s, &b.ctx, saved, "lr_schedulers/0", &b.ctx.error), LT_OK);
            lth_sched_free(s);
            lth_optim_free(o);
            o = two_groups(&b, gold_find(&gold, "%s/adam", name) != NULL);
            s = make(&b, o, name, &lambda[1]);
            assert_int_equal(lth_optim_load(o, &b.ctx, saved, "optimizer/0", &b.ctx.error), LT_OK);
            assert_int_equal(lth_sched_load(s, &b.ctx, saved, "lr_schedulers/0", &b.ctx.error), LT_OK);
            lth_snapshot_free(saved);
        }
        if (step < STEPS && lth_sched_step(s, &b.ctx, metric ? metric[step] : NAN) != LT_OK) {
            fail_msg("%s: %s", name, b.ctx.error.text);
        }
    }
    lth_sched_free(s);
    lth_optim_free(o);
    bench_close(&b);
}

static void all_cases(int cut) {
    int cases = 0;
    for (size_t k = 0; k < gold.count; k++) {
        char name[GOLD_MAX_NAME];
        snprintf(name, sizeof name, "%s", gold.records[k].name);
        char *end = strstr(name, "/class");
        if (end) {
            *end = 0;
            run_case(name, cut);
            cases++;
        }
    }
    assert_true(cases >= 30);
}

static void golden(void **state) {
    (void)state;
    all_cases(-1);
}

static void resumed(void **state) {
    (void)state;
    all_cases(17);
    all_cases(60);
}

/* ---- refusals ---- */
static void refused(const char *id, const char *yaml, const char *text) {
    bench b;
    lth_sched *s;
    open_two(&b);
    lth_optim *o = two_groups(&b, false);
    const lth_instance *instance = bench_try(&b, LTH_KIND_lr_scheduler, id, yaml);
    const char *got = instance ? b.ctx.error.text : b.diags.items[0].text;
    if (instance) {
        lth_sched_part part = bench_part(&b, instance);
        assert_true(lth_sched_new(&s, o, &part, &b.ctx) < 0);
        assert_null(s);
    }
    if (!strstr(got, text)) {
        fail_msg("%s {%s}: '%s' instead of '%s'", id, yaml, got, text);
    }
    lth_optim_free(o);
    bench_close(&b);
}

static void refusals(void **state) {
    (void)state;
    refused("SequentialLR", "milestones: [3]", "0 schedulers and 1 milestones");
    refused("SequentialLR", "milestones: [3, 3], schedulers: [ConstantLR, ConstantLR, ConstantLR]", "milestones must rise, from 1 on; 3 comes after 3");
    refused("SequentialLR", "milestones: [3], schedulers: [{class_path: ConstantLR, gamma: 2}, ConstantLR]", "unknown key \"gamma\" of an item of schedulers");
    refused("SequentialLR", "milestones: [3], schedulers: [{init_args: {gamma: 2}}, ConstantLR]", "an item has no class_path");
    refused("SequentialLR", "milestones: [3], schedulers: [{class_path: ConstantLR, init_args: {factor: 2}}, ConstantLR]", "factor");
    refused("SequentialLR", "milestones: [3], schedulers: [ConstantL, ConstantLR]", "ConstantL");
    refused("SequentialLR", "milestones: [3], schedulers: ConstantLR", "must be a list");
    refused("ChainedScheduler", "schedulers: []", "at least one must be listed");
    refused("LinearWarmupLR", "warmup_steps: 3, schedulers: [ConstantLR, ConstantLR]", "only one can follow the warm-up, 2 are listed");
    refused("StepLR", "step_size: 3, schedulers: [ConstantLR]", "schedulers");
    refused("StepLR", "step_size: 0", "step_size");
    refused("OneCycleLR", "max_lr: 0.1, epochs: 3", "give total_steps, or epochs and steps_per_epoch");
    refused("OneCycleLR", "max_lr: [0.1, 0.2, 0.3], total_steps: 3", "max_lr has 3 values; give one, or one for each of the 2 parameter groups");
    refused("ReduceLROnPlateau", "min_lr: [0, 0, 0]", "min_lr has 3 values");
    refused("ReduceLROnPlateau", "factor: 1", "factor");
    refused("CyclicLR", "base_lr: 0.1, max_lr: [0.2, many]", "max_lr");
}

/* A run that goes on behind the first step of a child, with a configuration that was edited meanwhile. */
static void edited_before_a_resume(void **state) {
    (void)state;
    static const struct { const char *id, *good, *bad, *text; } cases[] = {
        {"OneCycleLR", "max_lr: 0.1, total_steps: 20", "max_lr: [], total_steps: 20", "max_lr has 0 values"},
        {"OneCycleLR", "max_lr: 0.1, total_steps: 20", "max_lr: 0.1", "give total_steps, or epochs and steps_per_epoch"},
        {"CyclicLR", "base_lr: 0.1, max_lr: 0.2", "base_lr: 0.1, max_lr: [0.1, 0.2, 0.3]", "max_lr has 3 values"},
        {"ReduceLROnPlateau", "min_lr: 0, patience: 0", "min_lr: [], patience: 0", "min_lr has 0 values"},
    };
    static const char *const parents[] = {"SequentialLR", "LinearWarmupLR"},
                      *const yaml[] = {"milestones: [3], schedulers: [ConstantLR, {class_path: %s, init_args: {%s}}]",
                                       "warmup_steps: 3, schedulers: [{class_path: %s, init_args: {%s}}]"};
    for (size_t k = 0; k < 2 * sizeof cases / sizeof *cases; k++) {
        const size_t parent = k % 2, c = k / 2;
        char good[200], bad[200];
        bench b;
        lth_sched *s;
        lth_sched_part part;
        open_two(&b);
        lth_optim *o = two_groups(&b, false);
        snprintf(good, sizeof good, yaml[parent], cases[c].id, cases[c].good);
        snprintf(bad, sizeof bad, yaml[parent], cases[c].id, cases[c].bad);
        part = bench_part(&b, bench_make(&b, LTH_KIND_lr_scheduler, parents[parent], good));
        assert_int_equal(lth_sched_new(&s, o, &part, &b.ctx), LT_OK);
        for (int step = 0; step < 5; step++) {
            assert_int_equal(lth_sched_step(s, &b.ctx, 1.0), LT_OK);
        }
        lth_snapshot *saved = lth_snapshot_new();
        assert_int_equal(lth_sched_save(s, &b.ctx, saved, "lr_schedulers/0", &b.ctx.error), LT_OK);
        lth_sched_free(s);
        part = bench_part(&b, bench_make(&b, LTH_KIND_lr_scheduler, parents[parent], bad));
        assert_int_equal(lth_sched_new(&s, o, &part, &b.ctx), LT_OK);
        assert_int_equal(lth_sched_load(s, &b.ctx, saved, "lr_schedulers/0", &b.ctx.error), LT_OK);
        assert_int_equal(lth_sched_step(s, &b.ctx, 2.0), LT_ECONFIG);
        assert_non_null(strstr(b.ctx.error.text, cases[c].text));
        lth_error_clear(&b.ctx.error);
        lth_sched_free(s);
        lth_snapshot_free(saved);
        lth_optim_free(o);
        bench_close(&b);
    }
}

/* A cycle that is over, a momentum that cannot be moved, a function that gives no number. */
static double not_a_number(void *self, int64_t epoch, uint32_t group) {
    (void)self, (void)group;
    return epoch > 1 ? NAN : 1;
}

static void steps_that_fail(void **state) {
    (void)state;
    bench b;
    lth_sched *s;
    lth_lambda lambda = {.f = not_a_number};
    open_two(&b);
    lth_optim *o = two_groups(&b, false);
    lth_sched_part part = bench_part(&b, bench_make(&b, LTH_KIND_lr_scheduler, "OneCycleLR", "max_lr: 0.1, total_steps: 2"));
    assert_int_equal(lth_sched_new(&s, o, &part, &b.ctx), LT_OK);
    assert_int_equal(lth_sched_step(s, &b.ctx, NAN), LT_OK);
    assert_int_equal(lth_sched_step(s, &b.ctx, NAN), LT_OK);
    assert_int_equal(lth_sched_step(s, &b.ctx, NAN), LT_ECONFIG);
    assert_non_null(strstr(b.ctx.error.text, "step 3 of a cycle of total_steps 2"));
    assert_string_equal(b.ctx.where.component, "OneCycleLR");
    lth_error_clear(&b.ctx.error);
    lth_sched_free(s);
    part = (lth_sched_part){.iface = &lth_lambda_scheduler, .self = &lambda};
    assert_int_equal(lth_sched_new(&s, o, &part, &b.ctx), LT_OK);
    assert_int_equal(lth_sched_step(s, &b.ctx, NAN), LT_OK);
    assert_int_equal(lth_sched_step(s, &b.ctx, NAN), LT_ENONFINITE);
    assert_non_null(strstr(b.ctx.error.text, "returned nan for group 0 at step 2"));
    lth_error_clear(&b.ctx.error);
    lth_sched_free(s);
    lth_optim_free(o);
    const lth_instance *plain = bench_make(&b, LTH_KIND_optimizer, "SGD", "lr: 0.1");
    assert_int_equal(lth_optim_new(&o, b.m, plain->optimizer, plain->self, &b.ctx), LT_OK);
    part = bench_part(&b, bench_make(&b, LTH_KIND_lr_scheduler, "OneCycleLR", "max_lr: 0.1, total_steps: 9"));
    assert_int_equal(lth_sched_new(&s, o, &part, &b.ctx), LT_ECONFIG);
    assert_non_null(strstr(b.ctx.error.text, "momentum"));
    lth_optim_free(o);
    bench_close(&b);
}

int main(void) {
    if (gold_open(&gold, TEST_DATA_DIR "/golden/sched.bin")) {
        fprintf(stderr, "%s\n", gold.error);
        return 1;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(golden), cmocka_unit_test(resumed), cmocka_unit_test(refusals),
                                       cmocka_unit_test(edited_before_a_resume), cmocka_unit_test(steps_that_fail)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    gold_close(&gold);
    return failed;
}
