/* tests/trainer/test_optimizers.c - every optimizer of the bundle against PyTorch (tests/golden/optimizers.bin), in f32 and f64, on the
 * reference backend and on every instruction set, across a save too; parameter groups; what is refused. */
#include "optim_bench.h"

static gold_file gold;
enum { N = 41, STEPS = 100 };
static const struct { const lth_backend *backend; const char *isa; } places[] = {
    {&lth_backend_reference, NULL}, {&lth_backend_cpu, "baseline"}, {&lth_backend_cpu, "avx2"}, {&lth_backend_cpu, "avx512"},
    {&lth_backend_cpu, "avx512_bf16"}};

/* False: this machine lacks the instruction set. */
static bool have(int place) {
    lth_device *d = NULL;
    lth_error err = {0};
    if (places[place].backend->open(&d, &(lth_device_opts){.threads = 1, .isa = places[place].isa}, &err) == LT_OK) {
        places[place].backend->close(d);
        return true;
    }
    assert_int_equal(err.code, LT_EUNSUPPORTED);
    return false;
}

static const char *text_of(bench *b, const char *name, const char *what) {
    const gold_record *r = gold_find(&gold, "%s/%s", name, what);
    return lth_arena_strndup(&b->arena, gold_data(r, GOLD_U8), (size_t)r->numel);
}

static lth_optim *make(bench *b, const char *id, const char *yaml) {
    const lth_instance *instance = bench_make(b, LTH_KIND_optimizer, id, yaml);
    lth_optim *o;
    if (lth_optim_new(&o, b->m, instance->optimizer, instance->self, &b->ctx) != LT_OK) {
        fail_msg("%s {%s}: %s", id, yaml, b->ctx.error.text);
    }
    return o;
}

static void set(lt_dtype dtype, void *to, const float *from) {
    for (int i = 0; i < N; i++) {
        lth_element_set(dtype, to, i, (double)from[i]);
    }
}

/* Where in the file the state after that step is; -1: it is not kept. */
static int row_of(int step) {
    const gold_record *kept = gold_find(&gold, "kept");
    for (int64_t k = 0; k < kept->numel; k++) {
        if (((const int64_t *)kept->data)[k] == step) {
            return (int)k;
        }
    }
    return -1;
}

static void compare(const char *name, lt_dtype dtype, int place, int step, const void *got, const void *want) {
    int row = row_of(step);
    double rel = dtype == LT_F64 ? 1e-12 : 1e-6, abs = dtype == LT_F64 ? 1e-13 : 3e-7;
    for (int i = 0; i < N && row >= 0; i++) {
        double a = lth_element_get(dtype, got, i), b = lth_element_get(dtype, want, N * row + i);
        if (!(fabs(a - b) <= rel * fabs(b) + abs)) {
            fail_msg("%s %s %s: element %d after step %d is %.17g, torch has %.17g", name, lth_dtype_name(dtype), place ? places[place].isa : "reference",
                     i, step + 1, a, b);
        }
    }
}

/* After step `cut` the state goes through a snapshot into a new optimizer. */
static void run_case(const char *name, lt_dtype dtype, int place, int cut) {
    bench b;
    bench_open(&b, places[place].backend, places[place].isa, dtype, 2, (const int64_t[]){N, 7});
    const char *id = text_of(&b, name, "class"), *yaml = text_of(&b, name, "yaml");
    const float *grads = gold_data(gold_find(&gold, "grads"), GOLD_F32);
    const void *want = gold_data(gold_find(&gold, "%s/%s", name, dtype == LT_F64 ? "f64" : "f32"), dtype == LT_F64 ? GOLD_F64 : GOLD_F32);
    lth_optim *o = make(&b, id, yaml);
    lt_tensor *p = b.m->params[0]->value;
    assert_non_null(want);
    set(dtype, p->a.data, gold_data(gold_find(&gold, "start"), GOLD_F32));
    for (int step = 0; step < STEPS; step++) {
        lth_modules_zero_grad(b.m);
        set(dtype, p->grad->a.data, grads + N * step);
        lth_param_set_fresh(b.m->params[0], false);
        if (lth_optim_step(o, &b.ctx) != LT_OK) {
            fail_msg("%s: %s", name, b.ctx.error.text);
        }
        compare(name, dtype, place, step, p->a.data, want);
        if (step == cut) {
            lth_snapshot *s = lth_snapshot_new();
            assert_int_equal(lth_optim_save(o, &b.ctx, s, "optimizer/0", &b.ctx.error), LT_OK);
            lth_optim_free(o);
            o = make(&b, id, yaml);
            assert_int_equal(lth_optim_load(o, &b.ctx, s, "optimizer/0", &b.ctx.error), LT_OK);
            lth_snapshot_free(s);
        }
    }
    assert_true(lth_element_get(dtype, b.m->params[1]->value->a.data, 3) == 0); /* no gradient: untouched */
    lth_optim_free(o);
    bench_close(&b);
}

static void golden(void **state) {
    (void)state;
    int cases = 0;
    for (size_t k = 0; k < gold.count; k++) {
        char name[GOLD_MAX_NAME];
        snprintf(name, sizeof name, "%s", gold.records[k].name);
        char *end = strstr(name, "/f64");
        if (!end || !strncmp(name, "lbfgs.", 6)) {
            continue;
        }
        *end = 0;
        for (int place = 0; place < (int)(sizeof places / sizeof *places) && have(place); place++) {
            run_case(name, LT_F32, place, place == 1 ? 40 : -1);
            run_case(name, LT_F64, place, place == 2 ? 40 : -1);
        }
        cases++;
    }
    assert_int_equal(cases, 16);
}

/* Two threads, many chunks: the same bits as one, on a size with a tail. */
static void threads(void **state) {
    (void)state;
    static const char *const ids[] = {"NAdam", "RMSprop", "Adagrad", "Adadelta", "Lion"};
    const int64_t n = 100003;
    for (int k = 0; k < 10; k++) {
        bench b[2];
        for (int t = 0; t < 2; t++) {
            bench_threads = 1 + 2 * t;
            bench_open(&b[t], &lth_backend_cpu, NULL, k % 2 ? LT_F64 : LT_F32, 1, &n);
            lth_optim *o = make(&b[t], ids[k / 2], "");
            lt_tensor *p = b[t].m->params[0]->value;
            for (int step = 0; step < 3; step++) {
                for (int64_t i = 0; i < n; i++) {
                    lth_element_set(b[t].m->dtype, p->grad->a.data, i, sin((double)(i * (step + 1))));
                }
                lth_param_set_fresh(b[t].m->params[0], false);
                assert_int_equal(lth_optim_step(o, &b[t].ctx), LT_OK);
            }
            lth_optim_free(o);
        }
        assert_memory_equal(b[0].m->values, b[1].m->values, (size_t)n * lth_dtype_size(b[0].m->dtype));
        bench_close(&b[0]);
        bench_close(&b[1]);
    }
    bench_threads = 1;
}

/* ---- parameter groups ---- */
static void give(bench *b, unsigned mask, float value) {
    lth_modules_zero_grad(b->m);
    for (int k = 0; k < b->m->n_params; k++) {
        for (int64_t i = 0; mask >> k & 1 && i < b->m->params[k]->n; i++) {
            ((float *)b->m->params[k]->value->grad->a.data)[i] = value;
        }
        lth_param_set_fresh(b->m->params[k], !(mask >> k & 1));
    }
}

static float at(bench *b, int k) { return ((const float *)b->m->params[k]->value->a.data)[0]; }

static void groups(void **state) {
    (void)state;
    bench b;
    lth_optim *o;
    bench_open(&b, &lth_backend_cpu, NULL, LT_F32, 4, (const int64_t[]){3, 16, 5, 1});
    const lth_instance *one = bench_make(&b, LTH_KIND_optimizer, "SGD", "lr: 1"), *two = bench_make(&b, LTH_KIND_optimizer, "SGD", "lr: 0.25, momentum: 0.5"),
                       *three = bench_make(&b, LTH_KIND_optimizer, "SGD", "lr: 0.125, weight_decay: 1");
    lth_group_spec specs[] = {{.self = two->self, .names = "[bc]"}, {.self = three->self, .names = "nothing d, c"}};
    assert_int_equal(lth_optim_new_groups(&o, b.m, one->optimizer, one->self, specs, 2, &b.ctx), LT_OK);
    assert_int_equal(lth_optim_groups(o), 3);
    assert_true(lth_optim_lr(o, 0) == 1 && lth_optim_lr(o, 1) == 0.25 && lth_optim_lr(o, 2) == 0.125 && isnan(lth_optim_lr(o, 3)));
    assert_true(lth_optim_value(o, &b.ctx, 1, "momentum") == 0.5 && lth_optim_value(o, &b.ctx, 2, "weight_decay") == 1);
    give(&b, 15, 1);
    assert_int_equal(lth_optim_step(o, &b.ctx), LT_OK);
    assert_true(at(&b, 0) == -1 && at(&b, 1) == -0.25f && at(&b, 2) == -0.25f && at(&b, 3) == -0.125f);
    give(&b, 15, 1);
    assert_int_equal(lth_optim_step(o, &b.ctx), LT_OK);
    assert_true(at(&b, 0) == -2 && at(&b, 1) == -0.625f && at(&b, 3) == -0.125f - 0.125f * (1 - 0.125f));
    lth_nn_table.freeze(&b.ctx, NULL, true);
    give(&b, 15, 1);
    assert_int_equal(lth_optim_step(o, &b.ctx), LT_OK);
    assert_true(at(&b, 0) == -2); /* frozen */
    lth_snapshot *s = lth_snapshot_new();
    assert_int_equal(lth_optim_save(o, &b.ctx, s, "optimizer/0", &b.ctx.error), LT_OK);
    assert_non_null(lth_snapshot_get(s, "optimizer/0/momentum_buffer/b"));
    assert_null(lth_snapshot_get(s, "optimizer/0/momentum_buffer/a")); /* its group has no momentum */
    lth_optim *plain = make(&b, "SGD", "lr: 1");
    assert_int_equal(lth_optim_load(plain, &b.ctx, s, "optimizer/0", &b.ctx.error), LT_EFORMAT);
    assert_non_null(strstr(b.ctx.error.text, "no 'optimizer/0/lr' with 1 learning rate, one for each parameter group"));
    lth_error_clear(&b.ctx.error);
    lth_snapshot_free(s);
    lth_optim_free(plain);
    lth_optim_free(o);
    specs[0].names = "?"; /* all: nothing is left for the first group, nor for the third */
    assert_int_equal(lth_optim_new_groups(&o, b.m, one->optimizer, one->self, specs, 1, &b.ctx), LT_OK);
    assert_true(lth_optim_groups(o) == 1 && lth_optim_lr(o, 0) == 0.25);
    lth_optim_free(o);
    assert_int_equal(lth_optim_new_groups(&o, b.m, one->optimizer, one->self, specs, 2, &b.ctx), LT_ECONFIG);
    assert_string_equal(b.ctx.error.text, "parameter group 2 (nothing d, c): all its parameters belong to groups before it");
    lth_error_clear(&b.ctx.error);
    specs[0].names = "*.bias";
    assert_int_equal(lth_optim_new_groups(&o, b.m, one->optimizer, one->self, specs, 1, &b.ctx), LT_ECONFIG);
    assert_string_equal(b.ctx.error.text, "parameter group 1: no parameter matches *.bias; the model has a, b, c, d");
    bench_close(&b);
}

/* ---- refusals ---- */
static void refused(const char *id, const char *yaml, const char *text) {
    bench b;
    lth_optim *o;
    bench_open(&b, &lth_backend_reference, NULL, LT_F32, 1, (const int64_t[]){3});
    const lth_instance *instance = bench_try(&b, LTH_KIND_optimizer, id, yaml);
    if (instance) {
        assert_true(lth_optim_new(&o, b.m, instance->optimizer, instance->self, &b.ctx) < 0);
    }
    const char *got = instance ? b.ctx.error.text : b.diags.items[0].text;
    if (!strstr(got, text)) {
        fail_msg("%s {%s}: '%s' instead of '%s'", id, yaml, got, text);
    }
    bench_close(&b);
}

static void refusals(void **state) {
    (void)state;
    refused("RMSprop", "alpha: -1", "alpha");
    refused("Adadelta", "rho: 1.5", "rho");
    refused("Adagrad", "lr_decay: -0.1", "lr_decay");
    refused("NAdam", "betas: [0.9]", "betas must be two numbers");
    refused("NAdam", "betas: [0.9, 1]", "betas must lie in [0, 1); got [0.9, 1]");
    refused("Lion", "betas: [0.9, -1]", "betas must lie in [0, 1); got [0.9, -1]");
    refused("Lion", "lr: fast", "lr");
}

/* ---- LBFGS: Rosenbrock's function in 12 variables ---- */
enum { R = 12 };
typedef struct rosenbrock { bench *b; double sign; int64_t calls; double first; } rosenbrock;

static lt_status rosenbrock_loss(lt_ctx *ctx, void *arg, bool first, double *loss) {
    rosenbrock *f = arg;
    const double *x = f->b->m->params[0]->value->a.data;
    double *g = f->b->m->params[0]->value->grad->a.data, sum = 0;
    (void)ctx;
    memset(g, 0, R * sizeof *g);
    lth_param_set_fresh(f->b->m->params[0], false);
    for (int i = 0; i + 1 < R; i++) {
        double bend = x[i + 1] - x[i] * x[i], rest = 1 - x[i];
        sum += 100 * bend * bend + rest * rest;
        g[i] += f->sign * (-400 * x[i] * bend - 2 * rest);
        g[i + 1] += f->sign * 200 * bend;
    }
    *loss = f->sign * sum;
    f->first = first ? *loss : f->first;
    f->calls++;
    return LT_OK;
}

static void run_lbfgs(const char *name, int cut) {
    bench b;
    bench_open(&b, &lth_backend_cpu, NULL, LT_F64, 1, (const int64_t[]){R});
    const char *yaml = text_of(&b, name, "yaml");
    const double *want = gold_data(gold_find(&gold, "%s/f64", name), GOLD_F64), *loss = gold_data(gold_find(&gold, "%s/loss", name), GOLD_F64);
    const int64_t *calls = gold_data(gold_find(&gold, "%s/calls", name), GOLD_I64);
    rosenbrock f = {.b = &b, .sign = strstr(name, "maximize") ? -1 : 1};
    lth_optim *o = make(&b, "LBFGS", yaml);
    double *x = b.m->params[0]->value->a.data;
    assert_true(lth_optim_wants_loss(o) && want && loss && calls);
    memcpy(x, gold_data(gold_find(&gold, "lbfgs.start"), GOLD_F64), R * sizeof *x);
    for (int step = 0; step < 20; step++) {
        lth_param_set_fresh(b.m->params[0], false);
        if (lth_optim_step_loss(o, &b.ctx, rosenbrock_loss, &f) != LT_OK) {
            fail_msg("%s: %s", name, b.ctx.error.text);
        }
        double rel = step < 9 ? 1e-6 : 5e-3; /* orders of summation differ, and a search multiplies that: 1e-16 at first, 1e-3 in the worst case */
        for (int i = 0; i < R; i++) {
            if (!(fabs(x[i] - want[R * step + i]) <= rel * fabs(want[R * step + i]) + 1e-9)) {
                fail_msg("%s: element %d after step %d is %.17g, torch has %.17g", name, i, step + 1, x[i], want[R * step + i]);
            }
        }
        assert_true(fabs(f.first - loss[step]) <= 4 * rel * fabs(loss[step]) + 1e-6);
        assert_int_equal(f.calls, calls[step]);
        if (step == cut) {
            lth_snapshot *s = lth_snapshot_new();
            assert_int_equal(lth_optim_save(o, &b.ctx, s, "optimizer/0", &b.ctx.error), LT_OK);
            lth_optim_free(o);
            o = make(&b, "LBFGS", yaml);
            assert_int_equal(lth_optim_load(o, &b.ctx, s, "optimizer/0", &b.ctx.error), LT_OK);
            lth_snapshot_free(s);
        }
    }
    lth_optim_free(o);
    bench_close(&b);
}

static void lbfgs(void **state) {
    (void)state;
    static const char *const names[] = {"lbfgs.fixed", "lbfgs.wolfe", "lbfgs.wolfe.defaults", "lbfgs.wolfe.maximize"};
    for (int k = 0; k < 4; k++) {
        run_lbfgs(names[k], -1);
        run_lbfgs(names[k], 3);
    }
    refused("LBFGS", "line_search_fn: armijo", "line_search_fn must be strong_wolfe or null, not \"armijo\"");
    refused("LBFGS", "max_iter: 0", "max_iter");
    bench b;
    lth_optim *o;
    bench_open(&b, &lth_backend_cpu, NULL, LT_F64, 2, (const int64_t[]){R, 3});
    const lth_instance *one = bench_make(&b, LTH_KIND_optimizer, "LBFGS", ""), *two = bench_make(&b, LTH_KIND_optimizer, "LBFGS", "");
    lth_group_spec spec = {.self = two->self, .names = "b"};
    assert_int_equal(lth_optim_new_groups(&o, b.m, one->optimizer, one->self, &spec, 1, &b.ctx), LT_ECONFIG);
    assert_string_equal(b.ctx.error.text, "optimizer LBFGS takes one group of parameters, 2 are given");
    bench_close(&b);
}

/* A plugin's optimizer that asks for what there cannot be. */
static double half(lt_ctx *ctx, void *self) {
    (void)ctx, (void)self;
    return 0.5;
}
static lt_status nothing(lt_ctx *ctx, void *self, const lt_group *const *list, uint32_t n) {
    (void)ctx, (void)self, (void)list, (void)n;
    return LT_OK;
}
static lt_status too_few(lt_ctx *ctx, void *self, const lt_group *const *list, uint32_t n) {
    lt_rmsprop_args args = {.struct_size = sizeof args, .momentum = 0.5, .centered = 1};
    (void)self, (void)n;
    return lth_optim_table.rule(ctx, list[0]->spans[0], LT_RULE_RMSPROP, &args);
}
static lt_status no_such_rule(lt_ctx *ctx, void *self, const lt_group *const *list, uint32_t n) {
    (void)self, (void)n;
    return lth_optim_table.rule(ctx, list[0]->spans[0], 77, list);
}

static void hostile(void **state) {
    (void)state;
    static const lt_slot slash = {"a/b", 0}, step = {"step", 0}, none = {NULL, 0}, good[9] = {{"a", 0}, {"b", 0}, {"c", 0}, {"d", 0}, {"e", 0},
                                                                                             {"f", 0}, {"g", 0}, {"h", 0}, {"i", 0}};
    static const lt_slot *const lists[][10] = {{&slash, NULL}, {&step, NULL}, {&none, NULL},
        {&good[0], &good[1], &good[2], &good[3], &good[4], &good[5], &good[6], &good[7], &good[8], NULL}};
    static const char *const texts[] = {"slot 0 has the name 'a/b'", "slot 0 has the name 'step'", "slot 0 has the name '(null)'", "more than 8 slots"};
    bench b;
    lth_optim *o;
    bench_open(&b, &lth_backend_reference, NULL, LT_F32, 1, (const int64_t[]){3});
    lt_optimizer iface = {.base = {.struct_size = sizeof iface, .kind = "lt.optimizer/1", .id = "Bad"}, .lr = half, .step = nothing};
    for (int k = 0; k < 4; k++) {
        iface.slots = lists[k];
        assert_int_equal(lth_optim_new(&o, b.m, &iface, NULL, &b.ctx), LT_EPLUGIN);
        if (!strstr(b.ctx.error.text, texts[k])) {
            fail_msg("%s", b.ctx.error.text);
        }
        lth_error_clear(&b.ctx.error);
    }
    iface.slots = NULL;
    iface.step = too_few;
    assert_int_equal(lth_optim_new(&o, b.m, &iface, NULL, &b.ctx), LT_OK);
    give(&b, 1, 1);
    assert_int_equal(lth_optim_step(o, &b.ctx), LT_EINVAL);
    assert_string_equal(b.ctx.error.text, "lt_optim_rmsprop: these args need 3 slots; the component declares 0");
    assert_string_equal(b.ctx.where.component, "Bad");
    lth_error_clear(&b.ctx.error);
    lth_optim_free(o);
    iface.step = no_such_rule;
    assert_int_equal(lth_optim_new(&o, b.m, &iface, NULL, &b.ctx), LT_OK);
    assert_int_equal(lth_optim_step(o, &b.ctx), LT_EINVAL);
    assert_string_equal(b.ctx.error.text, "lt_optim_rule: there is no rule 77");
    lth_error_clear(&b.ctx.error);
    lth_optim_free(o);
    iface.step = NULL;
    assert_int_equal(lth_optim_new(&o, b.m, &iface, NULL, &b.ctx), LT_EPLUGIN);
    bench_close(&b);
}

int main(void) {
    if (gold_open(&gold, TEST_DATA_DIR "/golden/optimizers.bin")) {
        fprintf(stderr, "%s\n", gold.error);
        return 1;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(golden), cmocka_unit_test(threads), cmocka_unit_test(groups), cmocka_unit_test(refusals),
                                       cmocka_unit_test(lbfgs), cmocka_unit_test(hostile)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    gold_close(&gold);
    return failed;
}
