/* tests/engine/test_optim.c - spans, clipping, schedules and state on the reference backend, with the shipped bundle of optimizers
 * (plugins/optim.so, opened as the registry would) against PyTorch (tests/golden/optim.bin). */
#include "../golden/golden.h"
#include "base/mem.h"
#include "base/schema.h"
#include "engine/optim/internal.h"
#include "engine/optim/optim.h"
#include <dlfcn.h>
#include <lt/plugin.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static gold_file gold;
static const lt_plugin *bundle;
static const lt_nn_api *const nn = &lth_nn_table;

/* ---- a model of three parameters, 5, 16 and 3 elements: the second ends where the third begins ---- */
typedef struct model { lth_engine *e; lth_modules *m; lt_ctx ctx; lth_arena arena; } model;

static void open_model(model *t, int64_t first) {
    static const char *const names[] = {"a", "b", "c"};
    const int64_t sizes[] = {first, 16, 3};
    lth_error err = {0};
    *t = (model){0};
    lth_ctx_init(&t->ctx, LTH_TRAINER_THREAD);
    assert_int_equal(lth_engine_open(&t->e, &lth_backend_reference, &(lth_engine_opts){0}, &err), LT_OK);
    t->m = lth_modules_new(t->e, &err);
    t->ctx.engine = t->e;
    t->ctx.modules = t->m;
    t->ctx.in_configure = true;
    for (int k = 0; k < 3; k++) {
        nn->parameter(&t->ctx, names[k], LT_F32, 1, &sizes[k], 1 + k);
    }
    t->ctx.in_configure = false;
    assert_int_equal(lth_modules_seal(t->m, &t->ctx.error), LT_OK);
}

static void close_model(model *t) {
    lth_arena_release(&t->arena);
    lth_modules_free(t->m);
    lth_engine_free(t->e);
}

static float *grads(model *t, int k) { return t->m->params[k]->value->grad->a.data; }
static float *params(model *t, int k) { return t->m->params[k]->value->a.data; }

/* Gives gradients to the parameters whose bit is set in mask. */
static void give_gradients(model *t, unsigned mask, float value) {
    lth_modules_zero_grad(t->m);
    for (int k = 0; k < 3; k++) {
        if (mask >> k & 1) {
            lth_param_set_fresh(t->m->params[k], false);
            for (int64_t i = 0; i < t->m->params[k]->n; i++) {
                grads(t, k)[i] = value;
            }
        }
    }
}

/* ---- an optimizer that only looks ---- */
typedef struct watcher { char seen[256]; int calls; } watcher;

static double watch_lr(lt_ctx *ctx, void *self) {
    (void)ctx, (void)self;
    return 0.5;
}

static lt_status watch(lt_ctx *ctx, void *self, const lt_group *const *groups, uint32_t n_groups) {
    watcher *w = self;
    size_t used = 0;
    (void)ctx;
    assert_int_equal(n_groups, 1);
    w->calls++;
    w->seen[0] = 0;
    for (uint32_t k = 0; k < groups[0]->n_spans; k++) {
        const lt_span *s = groups[0]->spans[k];
        used += (size_t)snprintf(w->seen + used, sizeof w->seen - used, "%s:%lld@%lld ", s->name, (long long)s->n, (long long)s->step);
        assert_true(((const float *)s->slot[0])[0] == 7);
    }
    return LT_OK;
}

static const lt_slot seven = {"seven", 7};
static const lt_slot *const watch_slots[] = {&seven, NULL};
static const lt_optimizer watch_optimizer = {.base = {.struct_size = sizeof(lt_optimizer),
                                                      .kind = "lt.optimizer/1", .id = "Watcher", .flags = LT_OPTIM_ELEMENTWISE},
                                             .slots = watch_slots, .lr = watch_lr, .step = watch};

static void step_and_see(model *t, lth_optim *o, watcher *w, unsigned mask, const char *want) {
    give_gradients(t, mask, 1);
    assert_int_equal(lth_optim_step(o, &t->ctx), LT_OK);
    assert_string_equal(w->seen, want);
}

static void spans(void **state) {
    (void)state;
    model t;
    watcher w = {0};
    lth_optim *o;
    open_model(&t, 5);
    assert_int_equal(lth_optim_new(&o, t.m, &watch_optimizer, &w, &t.ctx), LT_OK);
    assert_true(lth_optim_lr(o, 0) == 0.5 && lth_optim_groups(o) == 1 && isnan(lth_optim_value(o, &t.ctx, 0, "momentum")));
    give_gradients(&t, 0, 0); /* nobody has a gradient: no call */
    assert_int_equal(lth_optim_step(o, &t.ctx), LT_OK);
    assert_int_equal(w.calls, 0);
    step_and_see(&t, o, &w, 7, "a..c:35@1 "); /* 5 and 11 of padding, 16, 3 */
    step_and_see(&t, o, &w, 7, "a..c:35@2 ");
    step_and_see(&t, o, &w, 5, "a:5@3 c:3@3 ");
    step_and_see(&t, o, &w, 7, "a:5@4 b:16@3 c:3@4 "); /* neighbours, but b is one step behind */
    step_and_see(&t, o, &w, 7, "a:5@5 b:16@4 c:3@5 ");
    step_and_see(&t, o, &w, 2, "b:16@5 ");
    step_and_see(&t, o, &w, 7, "a..c:35@6 ");
    nn->freeze(&t.ctx, NULL, true);
    step_and_see(&t, o, &w, 7, "a..c:35@6 "); /* frozen: not called, what was seen stays */
    nn->freeze(&t.ctx, NULL, false);
    give_gradients(&t, 7, 1);
    uint64_t before = lth_alloc_count();
    for (int k = 0; k < 10; k++) {
        lth_modules_zero_grad(t.m);
        give_gradients(&t, k % 2 ? 7 : 3, 1);
        assert_int_equal(lth_optim_step(o, &t.ctx), LT_OK);
    }
    assert_int_equal(lth_alloc_count(), before); /* changing spans allocates nothing either */
    lth_optim_free(o);
    close_model(&t);
}

/* ---- clipping ---- */
static void clipping(void **state) {
    (void)state;
    model t;
    double norm = 0;
    open_model(&t, 5);
    give_gradients(&t, 7, 0);
    grads(&t, 0)[1] = 3;
    grads(&t, 2)[2] = -4;
    assert_int_equal(lth_clip_norm(t.m, 1, &norm, &t.ctx.error), LT_OK);
    assert_true(norm == 5);
    float coefficient = 1.0f / (5.0f + 1e-6f);
    assert_true(grads(&t, 0)[1] == 3 * coefficient && grads(&t, 2)[2] == -4 * coefficient);
    assert_int_equal(lth_clip_norm(t.m, 10, &norm, &t.ctx.error), LT_OK); /* smaller: times 1 */
    assert_true(fabs(norm - 1) < 1e-6 && grads(&t, 0)[1] == 3 * coefficient);
    give_gradients(&t, 3, 2); /* c has no gradient: what lies there does not count */
    grads(&t, 2)[0] = 1000;
    assert_int_equal(lth_clip_norm(t.m, 1e9, &norm, &t.ctx.error), LT_OK);
    assert_true(fabs(norm - sqrt(21 * 4)) < 1e-5);
    grads(&t, 1)[3] = -9, grads(&t, 1)[4] = NAN;
    assert_int_equal(lth_clip_value(t.m, 1.5, &t.ctx.error), LT_OK);
    assert_true(grads(&t, 0)[0] == 1.5f && grads(&t, 1)[3] == -1.5f && isnan(grads(&t, 1)[4]) && grads(&t, 2)[0] == 1000);
    close_model(&t);
}

/* ---- the shipped components ---- */
static const void *table_of(const lt_host *host, const char *id) {
    static const lt_base_api *const base = &lth_base_table;
    (void)host;
    return !strcmp(id, "lt.base/1") ? (const void *)base : !strcmp(id, "lt.optim/1") ? (const void *)&lth_optim_table : NULL;
}

static const lt_component *component(const char *id) {
    for (int k = 0; bundle->components[k]; k++) {
        if (!strcmp(bundle->components[k]->id, id)) {
            return bundle->components[k];
        }
    }
    fail_msg("the bundle has no %s", id);
    return NULL;
}

static void need_bundle(void) {
    static const lt_host host = {sizeof host, LT_ABI_MAJOR, LT_ABI_MINOR, 0, "test", table_of};
    if (bundle) {
        return;
    }
    void *so = dlopen(BUILD_DIR "/plugins/optim.so", RTLD_NOW | RTLD_LOCAL);
    const lt_plugin *(*entry)(const lt_host *) = NULL;
    if (!so) {
        print_message("skipped: %s (build the target optim)\n", dlerror());
        skip();
    }
    *(void **)&entry = dlsym(so, LT_ENTRY_NAME);
    assert_non_null(entry);
    bundle = entry(&host);
    assert_non_null(bundle);
}

/* "0.9,0.99" is a list. */
static lth_node *value_node(lth_arena *arena, const char *text) {
    const char *comma = strchr(text, ',');
    if (!comma) {
        return lth_node_text(arena, text);
    }
    lth_node *list = lth_node_new(arena, LTH_NODE_LIST);
    lth_node_append(list, lth_node_text(arena, lth_arena_strndup(arena, text, (size_t)(comma - text))));
    lth_node_append(list, lth_node_text(arena, comma + 1));
    return list;
}

/* A bound instance of a component; parameters as "key", "value" pairs ending with NULL. */
static void *instance(model *t, const lt_component *c, const char *const *pairs) {
    lth_diags diags = {0};
    lth_node *map = lth_node_new(&t->arena, LTH_NODE_MAP);
    for (int k = 0; pairs[k]; k += 2) {
        lth_node_set(&t->arena, map, pairs[k], value_node(&t->arena, pairs[k + 1]));
    }
    void *self = lth_arena_alloc(&t->arena, c->params()->self_size);
    size_t errors = lth_schema_bind(c->params(), c->id, map, self, &t->arena, &diags);
    if (errors) {
        fail_msg("%s: %s", c->id, diags.items[0].text);
    }
    lth_diags_release(&diags);
    return self;
}

static lth_optim *optimizer(model *t, const char *id, const char *const *pairs) {
    const lt_optimizer *iface = (const lt_optimizer *)component(id);
    lth_optim *o;
    if (lth_optim_new(&o, t->m, iface, instance(t, &iface->base, pairs), &t->ctx) != LT_OK) {
        fail_msg("%s", t->ctx.error.text);
    }
    return o;
}

static void run_golden(const char *name, const char *id, const char *const *pairs) {
    model t;
    need_bundle();
    open_model(&t, 37);
    lth_optim *o = optimizer(&t, id, pairs);
    const float *all = gold_data(gold_find(&gold, "grads"), GOLD_F32), *want = gold_data(gold_find(&gold, "%s/param", name), GOLD_F32);
    assert_non_null(want);
    memcpy(params(&t, 0), gold_data(gold_find(&gold, "start"), GOLD_F32), 37 * sizeof(float));
    for (int step = 0; step < 100; step++) {
        give_gradients(&t, 1, 0);
        memcpy(grads(&t, 0), all + 37 * step, 37 * sizeof(float));
        if (lth_optim_step(o, &t.ctx) != LT_OK) {
            fail_msg("%s", t.ctx.error.text);
        }
        for (int i = 0; i < 37; i++) {
            double got = params(&t, 0)[i], right = want[37 * step + i];
            if (!(fabs(got - right) <= 2e-6 * fabs(right) + 1e-6)) {
                fail_msg("%s: element %d after step %d is %.9g, torch has %.9g", name, i, step + 1, got, right);
            }
        }
    }
    assert_true(params(&t, 1)[0] == 2); /* no gradient: untouched */
    lth_optim_free(o);
    close_model(&t);
}

#define PAIRS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define NO_PAIRS ((const char *const[]){NULL})

static void golden_optimizers(void **state) {
    (void)state;
    run_golden("adam.plain", "Adam", NO_PAIRS);
    run_golden("adam.wd", "Adam", PAIRS("weight_decay", "0.01"));
    run_golden("adam.amsgrad", "Adam", PAIRS("lr", "0.01", "betas", "0.9,0.99", "amsgrad", "true"));
    run_golden("adam.maximize", "Adam", PAIRS("weight_decay", "0.01", "maximize", "true"));
    run_golden("adamw.plain", "AdamW", NO_PAIRS);
    run_golden("adamw.amsgrad", "AdamW", PAIRS("amsgrad", "true"));
    run_golden("sgd.plain", "SGD", PAIRS("lr", "0.1"));
    run_golden("sgd.momentum", "SGD", PAIRS("lr", "0.05", "momentum", "0.9"));
    run_golden("sgd.dampening", "SGD", PAIRS("lr", "0.05", "momentum", "0.9", "dampening", "0.3"));
    run_golden("sgd.nesterov_wd", "SGD", PAIRS("lr", "0.02", "momentum", "0.8", "nesterov", "true", "weight_decay", "0.05"));
}

static void refused_parameters(void **state) {
    (void)state;
    model t;
    lth_optim *o;
    need_bundle();
    open_model(&t, 5);
    const lt_optimizer *sgd = (const lt_optimizer *)component("SGD");
    assert_int_equal(lth_optim_new(&o, t.m, sgd, instance(&t, &sgd->base, PAIRS("nesterov", "true")), &t.ctx), LT_ECONFIG);
    assert_string_equal(t.ctx.error.text, "nesterov needs momentum above 0 and dampening 0; got 0 and 0");
    assert_string_equal(t.ctx.where.component, "SGD");
    close_model(&t);
}

/* ---- schedules ---- */
static void run_schedule(const char *name, const char *id, const char *key) {
    model t;
    need_bundle();
    open_model(&t, 5);
    char values[3][32];
    const double *numbers = gold_data(gold_find(&gold, "%s/fattrs", name), GOLD_F64), *want = gold_data(gold_find(&gold, "%s/lr", name), GOLD_F64);
    snprintf(values[0], sizeof values[0], "%.17g", numbers[0]);
    snprintf(values[1], sizeof values[1], "%lld", (long long)*(const int64_t *)gold_data(gold_find(&gold, "%s/attrs", name), GOLD_I64));
    snprintf(values[2], sizeof values[2], "%.17g", numbers[1]);
    bool cosine = !strcmp(id, "CosineAnnealingLR");
    lth_optim *o = optimizer(&t, "SGD", PAIRS("lr", values[0]));
    const lt_lr_scheduler *iface = (const lt_lr_scheduler *)component(id);
    lth_sched *s;
    void *self = instance(&t, &iface->base, PAIRS(key, values[1], cosine ? "eta_min" : "gamma", values[2]));
    assert_int_equal(lth_sched_new(&s, o, &(lth_sched_part){.iface = iface, .self = self}, &t.ctx), LT_OK);
    for (int epoch = 0; epoch < 60; epoch++) {
        double lr = lth_optim_lr(o, 0);
        if (!(fabs(lr - want[epoch]) <= 1e-15 * want[epoch])) {
            fail_msg("%s: rate in epoch %d is %.17g, torch has %.17g", name, epoch, lr, want[epoch]);
        }
        assert_int_equal(lth_sched_step(s, &t.ctx, NAN), LT_OK);
    }
    lth_sched_free(s);
    lth_optim_free(o);
    close_model(&t);
}

static void schedules(void **state) {
    (void)state;
    for (size_t k = 0; k < gold.count; k++) {
        char name[GOLD_MAX_NAME];
        snprintf(name, sizeof name, "%s", gold.records[k].name);
        char *end = strstr(name, "/lr");
        if (end && !strcmp(end, "/lr")) {
            *end = 0;
            bool cosine = !strncmp(name, "cosine.", 7);
            run_schedule(name, cosine ? "CosineAnnealingLR" : "StepLR", cosine ? "T_max" : "step_size");
        }
    }
}

/* ---- state ---- */
static void train(model *t, lth_optim *o, lth_sched *s, int from, int to) {
    for (int k = from; k < to; k++) {
        give_gradients(t, k % 3 ? 3 : 7, (float)sin(k));
        assert_int_equal(lth_optim_step(o, &t->ctx), LT_OK);
        assert_int_equal(lth_sched_step(s, &t->ctx, NAN), LT_OK);
    }
}

static lth_sched *scheduler(model *t, lth_optim *o) {
    const lt_lr_scheduler *iface = (const lt_lr_scheduler *)component("CosineAnnealingLR");
    lth_sched *s;
    assert_int_equal(lth_sched_new(&s, o, &(lth_sched_part){.iface = iface, .self = instance(t, &iface->base, PAIRS("T_max", "10"))}, &t->ctx), LT_OK);
    return s;
}

/* Ten steps at one go, and five, saved, loaded into new ones, five more: the same bits. */
static void resume(void **state) {
    (void)state;
    model one, two;
    need_bundle();
    open_model(&one, 5);
    open_model(&two, 5);
    lth_optim *a = optimizer(&one, "Adam", NO_PAIRS), *b = optimizer(&two, "Adam", NO_PAIRS), *c = optimizer(&two, "Adam", NO_PAIRS);
    lth_sched *sa = scheduler(&one, a), *sb = scheduler(&two, b), *sc = scheduler(&two, c);
    train(&one, a, sa, 0, 10);
    train(&two, b, sb, 0, 5);
    lth_snapshot *s = lth_snapshot_new();
    lth_error err = {0};
    assert_int_equal(lth_optim_save(b, &two.ctx, s, "optimizer/0", &err), LT_OK);
    assert_int_equal(lth_sched_save(sb, &two.ctx, s, "lr_schedulers/0", &err), LT_OK);
    const lth_item *item = lth_snapshot_get(s, "optimizer/0/exp_avg/b");
    assert_true(item && item->ndim == 1 && item->shape[0] == 16 && item->dtype == LT_F32);
    assert_true(*(const float *)lth_snapshot_get(s, "optimizer/0/step/c")->data == 2);
    assert_null(lth_snapshot_get(s, "optimizer/0/max_exp_avg_sq/b")); /* no amsgrad, no slot */
    if (lth_optim_load(c, &two.ctx, s, "optimizer/0", &err) != LT_OK || lth_sched_load(sc, &two.ctx, s, "lr_schedulers/0", &err) != LT_OK) {
        fail_msg("%s", err.text);
    }
    train(&two, c, sc, 5, 10);
    assert_memory_equal(one.m->values, two.m->values, (size_t)one.m->n_flat * sizeof(float));
    assert_true(lth_optim_lr(a, 0) == lth_optim_lr(c, 0));
    lth_snapshot_free(s);
    lth_sched_free(sa), lth_sched_free(sb), lth_sched_free(sc);
    lth_optim_free(a), lth_optim_free(b), lth_optim_free(c);
    close_model(&one);
    close_model(&two);
}

static void expect_refusal(lth_optim *o, model *t, const lth_snapshot *s, const char *text) {
    lth_error err = {0};
    if (lth_optim_load(o, &t->ctx, s, "optimizer/0", &err) != LT_EFORMAT || !strstr(err.text, text)) {
        fail_msg("'%s' instead of '%s'", err.text, text);
    }
}

static void refused_state(void **state) {
    (void)state;
    model t, other;
    lth_error err = {0};
    need_bundle();
    open_model(&t, 5);
    open_model(&other, 6);
    lth_optim *adam = optimizer(&t, "Adam", NO_PAIRS), *wide = optimizer(&other, "Adam", NO_PAIRS), *sgd = optimizer(&t, "SGD", PAIRS("momentum", "0.9"));
    give_gradients(&t, 7, 1);
    assert_int_equal(lth_optim_step(adam, &t.ctx), LT_OK);
    lth_snapshot *s = lth_snapshot_new();
    expect_refusal(adam, &t, s, "the checkpoint has no 'optimizer/0/lr'");
    assert_int_equal(lth_optim_save(adam, &t.ctx, s, "optimizer/0", &err), LT_OK);
    expect_refusal(wide, &other, s, "'optimizer/0/exp_avg/a' in the checkpoint is f32 (5); the model's parameter is f32 (6)");
    expect_refusal(sgd, &t, s, "no 'optimizer/0/momentum_buffer/a'; it was written with another optimizer");
    assert_int_equal(lth_snapshot_add_i64(s, "optimizer/0/step/d", 3, &err), LT_OK);
    expect_refusal(adam, &t, s, "optimizer state for parameter 'd', which the model does not have");
    lth_snapshot_free(s);
    lth_optim_free(adam), lth_optim_free(wide), lth_optim_free(sgd);
    close_model(&t);
    close_model(&other);
}

static LT_PRINTF(4, 5) lt_status use_optimizer(lt_ctx *ctx, lt_optim_setup *setup, const char *id, const char *format, ...) {
    va_list args;
    va_start(args, format);
    lt_status status = lth_optim_table.vuse_optimizer(ctx, setup, id, format, args);
    va_end(args);
    return status;
}

static void passes_that_lack_something(void **state) {
    (void)state;
    model t;
    open_model(&t, 5);
    float x[4] = {1, 2, 3, 4}, g[4] = {0};
    lt_span span = {.struct_size = sizeof span, .dtype = LT_F32, .n = 4, .param = x, .grad = g, .step = 1};
    lt_sgd_args plain = {.struct_size = sizeof plain, .lr = 1}, heavy = {.struct_size = sizeof heavy, .lr = 1, .momentum = 0.9};
    lt_adam_args adam = {.struct_size = sizeof adam, .lr = 1, .beta1 = 0.9, .beta2 = 0.99, .eps = 1};
#define FAILS(call, message) \
    assert_int_equal(call, LT_EINVAL); \
    assert_string_equal(t.ctx.error.text, message); \
    lth_error_clear(&t.ctx.error)
    assert_int_equal(lth_optim_table.sgd(&t.ctx, &span, &plain), LT_OK);
    FAILS(lth_optim_table.sgd(&t.ctx, &span, &heavy), "lt_optim_sgd: these args need 1 slot; the component declares 0");
    FAILS(lth_optim_table.adam(&t.ctx, &span, &adam), "lt_optim_adam: these args need 2 slots; the component declares 0");
    FAILS(lth_optim_table.sgd(&t.ctx, NULL, &plain), "lt_optim_sgd: span is NULL");
    FAILS(lth_optim_table.adam(&t.ctx, &span, NULL), "lt_optim_adam: args is NULL");
    span.step = 0;
    FAILS(lth_optim_table.sgd(&t.ctx, &span, &plain), "lt_optim_sgd: 4 elements at step 0; steps count from 1");
    span.step = 1, span.grad = NULL;
    FAILS(lth_optim_table.sgd(&t.ctx, &span, &plain), "lt_optim_sgd: span->grad is NULL");
    close_model(&t);
}

static void choices_of_a_model(void **state) {
    (void)state;
    model t;
    open_model(&t, 5);
    lt_optim_setup setup = {.arena = &t.arena};
    lt_lr_scheduler_opts opts = {.struct_size = sizeof opts, .per_step = 1, .not_strict = 1, .monitor = "val_loss"};
    assert_int_equal(use_optimizer(&t.ctx, &setup, "Adam", "lr: %g, betas: [%.1f, 0.99]", 0.1, 0.8), LT_OK);
    assert_int_equal(lth_optim_table.use_lr_scheduler(&t.ctx, &setup, "StepLR", NULL, &opts), LT_OK);
    assert_string_equal(setup.optimizer, "Adam");
    assert_string_equal(setup.optimizer_params, "lr: 0.1, betas: [0.8, 0.99]");
    assert_string_equal(setup.scheduler_params, "");
    assert_string_equal(setup.monitor, "val_loss");
    assert_string_equal(setup.name, "StepLR");
    assert_true(setup.per_step && !setup.strict && setup.frequency == 1);
    assert_int_equal(use_optimizer(&t.ctx, &setup, "SGD", "lr: 1"), LT_EUNSUPPORTED);
    assert_string_equal(t.ctx.error.text, "lt_use_optimizer: Adam is chosen already; only one optimizer yet");
    close_model(&t);
}

/* A parameter with several names belongs to the group that matches any of them. */
static void groups_by_any_name(void **state) {
    (void)state;
    model t;
    watcher w = {0}, own = {0};
    lth_optim *o;
    open_model(&t, 5);
    lth_modules_free(t.m);
    t.ctx.modules = t.m = lth_modules_new(t.e, &t.ctx.error);
    t.ctx.in_configure = true;
    lt_module *wte = nn->child(&t.ctx, "wte", nn->linear(&t.ctx, 4, 6, true)), *head = nn->child(&t.ctx, "head", nn->linear(&t.ctx, 4, 6, false));
    assert_int_equal(nn->tie(&t.ctx, head, "weight", wte, "weight"), LT_OK);
    lt_module *again = nn->child(&t.ctx, "again", nn->share(&t.ctx, wte));
    t.ctx.in_configure = false;
    assert_int_equal(lth_modules_seal(t.m, &t.ctx.error), LT_OK);
    const struct { lth_group_spec spec; int32_t first, second; } cases[] = {
        {{.self = &own, .names = "head.weight"}, 1, 0}, {{.self = &own, .module = head}, 1, 0}, {{.self = &own, .names = "again.b*"}, 0, 1},
        {{.self = &own, .module = again}, 0, 0}, {{.self = &own, .names = "wte.bias"}, 0, 1}};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        if (lth_optim_new_groups(&o, t.m, &watch_optimizer, &w, &cases[k].spec, 1, &t.ctx) != LT_OK) {
            fail_msg("%s", t.ctx.error.text);
        }
        assert_int_equal(lth_optim_groups(o), k == 3 ? 1 : 2); /* all: nothing is left for the first */
        assert_int_equal(o->group_of[0], cases[k].first);
        assert_int_equal(o->group_of[1], cases[k].second);
        lth_optim_free(o);
    }
    const lth_group_spec none = {.self = &own, .names = "head.bias"};
    assert_int_equal(lth_optim_new_groups(&o, t.m, &watch_optimizer, &w, &none, 1, &t.ctx), LT_ECONFIG);
    assert_string_equal(t.ctx.error.text, "parameter group 1: no parameter matches head.bias; the model has wte.weight, wte.bias");
    close_model(&t);
}

static void one_name_for_two_slots(void **state) {
    (void)state;
    static const lt_slot again = {"seven", 8}, *const twice[] = {&seven, &again, NULL};
    model t;
    watcher w = {0};
    lth_optim *o = NULL;
    lt_optimizer bad = watch_optimizer;
    bad.slots = twice;
    open_model(&t, 5);
    assert_int_equal(lth_optim_new(&o, t.m, &bad, &w, &t.ctx), LT_EPLUGIN);
    assert_string_equal(t.ctx.error.text, "optimizer Watcher: slots 0 and 1 both have the name 'seven'; each needs one of its own");
    close_model(&t);
}

static void out_of_memory(void **state) {
    (void)state;
    model t;
    watcher w = {0};
    open_model(&t, 5);
    int64_t live = lth_alloc_live();
    for (int64_t calls = 0;; calls++) {
        lth_optim *o = NULL;
        lth_alloc_budget(calls);
        lt_status status = lth_optim_new(&o, t.m, &watch_optimizer, &w, &t.ctx);
        lth_alloc_budget(-1);
        lth_optim_free(o);
        assert_int_equal(lth_alloc_live(), live);
        if (status == LT_OK) {
            break;
        }
        assert_int_equal(status, LT_ENOMEM);
        lth_error_clear(&t.ctx.error);
        assert_true(calls < 100);
    }
    close_model(&t);
}

int main(void) {
    if (gold_open(&gold, TEST_DATA_DIR "/golden/optim.bin")) {
        fprintf(stderr, "%s\n", gold.error);
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spans), cmocka_unit_test(clipping), cmocka_unit_test(golden_optimizers), cmocka_unit_test(refused_parameters),
        cmocka_unit_test(schedules), cmocka_unit_test(resume), cmocka_unit_test(refused_state), cmocka_unit_test(passes_that_lack_something),
        cmocka_unit_test(choices_of_a_model), cmocka_unit_test(groups_by_any_name), cmocka_unit_test(one_name_for_two_slots),
        cmocka_unit_test(out_of_memory),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    gold_close(&gold);
    return failed;
}
