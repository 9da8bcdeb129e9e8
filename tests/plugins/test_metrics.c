/* tests/plugins/test_metrics.c - the bundle of metrics against torchmetrics (golden/metrics.bin): values of every batch and of the epoch, on
 * the real engine and the real plugin; states through a snapshot in the middle of an epoch; and what metrics refuse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../golden/golden.h"
#include "base/schema.h"
#include "config/config.h"
#include "engine/metrics/metrics.h"
#include "engine/ops/ops.h"
#include <dlfcn.h>
#include <math.h>

enum { BATCHES = 3 };
static gold_file gold;
static const lt_plugin *bundle;
static lt_ctx ctx;
static lth_arena arena; /* instances */

/* ---- the host of this test: base, tensor, and the part of lt.metric that components call ---- */

static const lt_metric_api metric_table = {.struct_size = sizeof(lt_metric_api), .state = lth_api_metric_state, .list = lth_api_metric_list,
                                           .append = lth_api_metric_append, .items = lth_api_metric_items};

static const void *table_of(const lt_host *host, const char *id) {
    (void)host;
    return !strcmp(id, "lt.base/1")     ? (const void *)&lth_base_table
           : !strcmp(id, "lt.tensor/1") ? (const void *)&lth_tensor_table
           : !strcmp(id, "lt.metric/1") ? (const void *)&metric_table
                                        : NULL;
}

static lt_status make(void *arg, const char *id, const char *params, const lt_metric_component **iface, void **self, lth_where *where, lth_error *err) {
    (void)arg;
    lth_diags diags = {0};
    for (int k = 0; bundle->components[k]; k++) {
        const lt_component *c = bundle->components[k];
        if (strcmp(c->id, id) != 0) {
            continue;
        }
        lth_node *map = lth_yaml_parse_flow(params, id, &arena, &diags);
        *self = lth_arena_alloc(&arena, c->params()->self_size);
        if (diags.count || lth_schema_bind(c->params(), id, map, *self, &arena, &diags)) {
            lt_status status = lth_fail(err, LT_ECONFIG, "%s: %s", id, diags.items[0].text);
            lth_diags_release(&diags);
            return status;
        }
        *iface = (const lt_metric_component *)c;
        *where = (lth_where){.kind = "metric", .component = c->id};
        lth_diags_release(&diags);
        return LT_OK;
    }
    return lth_fail(err, LT_EABSENT, "no metric %s", id);
}

static int open_all(void **state) {
    (void)state;
    static const lt_host host = {sizeof host, LT_ABI_MAJOR, LT_ABI_MINOR, 0, "test", table_of};
    const lt_plugin *(*entry)(const lt_host *) = NULL;
    void *so = dlopen(BUILD_DIR "/plugins/metrics.so", RTLD_NOW | RTLD_LOCAL);
    if (!so || gold_open(&gold, TEST_DATA_DIR "/golden/metrics.bin")) {
        print_message("%s\n", so ? gold.error : dlerror());
        return -1;
    }
    *(void **)&entry = dlsym(so, LT_ENTRY_NAME);
    bundle = entry(&host);
    lth_ctx_init(&ctx, LTH_TRAINER_THREAD);
    return lth_engine_new(&ctx.engine, &(lth_engine_opts){.threads = 1}, &ctx.error);
}

static int close_all(void **state) {
    (void)state;
    lth_engine_free(ctx.engine);
    lth_arena_release(&arena);
    gold_close(&gold);
    return 0;
}

static void fresh(void) {
    lth_metrics_free(ctx.metrics);
    ctx.error = (lth_error){0};
    ctx.metrics = lth_metrics_new(&(lth_metric_maker){make, NULL});
    assert_non_null(ctx.metrics);
}

static void text_of(const char *name, const char *what, char *out, size_t size) {
    const gold_record *r = gold_find(&gold, "%s/%s", name, what);
    assert_non_null(r);
    assert_true((size_t)r->numel < size);
    memcpy(out, r->data, (size_t)r->numel);
    out[r->numel] = 0;
}

static lt_tensor *tensor_of(const char *name, const char *what, int batch) {
    const gold_record *r = gold_find(&gold, "%s/%s%d", name, what, batch);
    return r ? lth_tensor_wrap(ctx.engine, r->dtype, r->ndim, r->shape, (void *)(uintptr_t)r->data, &ctx.error) : NULL;
}

static lt_metric_handle *metric_of(const char *name) {
    char id[80], params[160];
    text_of(name, "id", id, sizeof id);
    text_of(name, "params", params, sizeof params);
    lt_metric_handle *metric = lth_metric_make(&ctx, ctx.metrics, id, params);
    if (!metric) {
        fail_msg("%s: %s", name, ctx.error.text);
    }
    return metric;
}

static void check(const char *name, lt_metric_handle *metric, int phase, bool of_batch, const char *what) {
    const gold_record *r = gold_find(&gold, "%s/%s", name, what);
    const double *got, *want = gold_data(r, GOLD_F64);
    assert_non_null(want);
    if (lth_metric_compute(&ctx, metric, phase, of_batch, &got)) {
        fail_msg("%s: %s", name, ctx.error.text);
    }
    assert_int_equal(lth_metric_count(metric), r->numel);
    for (int64_t i = 0; i < r->numel; i++) {
        if (!(fabs(got[i] - want[i]) <= 1.3e-6 * fabs(want[i]) + 1e-5 * 0.1) && !(isnan(got[i]) && isnan(want[i]))) {
            fail_msg("%s/%s[%d]: %.9g, torchmetrics has %.9g", name, what, (int)i, got[i], want[i]);
        }
    }
}

static void update(const char *name, lt_metric_handle *metric, int phase, int batch) {
    if (lth_metric_update(&ctx, metric, phase, tensor_of(name, "preds", batch), tensor_of(name, "target", batch))) {
        fail_msg("%s: %s", name, ctx.error.text);
    }
}

/* ---- tests ---- */

typedef void visit(const char *name);
static int each_case(visit *body) {
    int count = 0;
    for (size_t i = 0; i < gold.count; i++) {
        char name[GOLD_MAX_NAME];
        char *end;
        snprintf(name, sizeof name, "%s", gold.records[i].name);
        end = strstr(name, "/id");
        if (end) {
            *end = 0;
            fresh();
            body(name);
            lth_step_end(ctx.engine);
            count++;
        }
    }
    return count;
}

static void batches_and_epoch(const char *name) {
    static const char *const batch_names[BATCHES] = {"batch0", "batch1", "batch2"};
    lt_metric_handle *metric = metric_of(name);
    for (int epoch = 0; epoch < 2; epoch++) {
        for (int k = 0; k < BATCHES; k++) {
            update(name, metric, LTH_METRIC_TRAIN, k);
            check(name, metric, LTH_METRIC_TRAIN, true, batch_names[k]);
            update(name, metric, LTH_METRIC_TEST, 2 - k); /* other phases have states of their own */
        }
        check(name, metric, LTH_METRIC_TRAIN, false, "epoch");
        check(name, metric, LTH_METRIC_TRAIN, true, "batch2");
        check(name, metric, LTH_METRIC_TEST, false, "epoch");
        lth_metrics_reset(ctx.metrics, LTH_METRIC_TRAIN);
        lth_metrics_reset(ctx.metrics, LTH_METRIC_TEST);
        const double *nothing;
        assert_int_equal(lth_metric_compute(&ctx, metric, LTH_METRIC_TRAIN, false, &nothing), LT_OK);
        assert_true(isnan(nothing[0]));
    }
}

static void through_a_snapshot(const char *name) {
    lth_error err = {0};
    lth_snapshot *saved = lth_snapshot_new();
    lt_metric_handle *metric = metric_of(name);
    update(name, metric, LTH_METRIC_VALIDATE, 0);
    update(name, metric, LTH_METRIC_VALIDATE, 1);
    assert_int_equal(lth_metrics_save(ctx.metrics, saved, "metrics/states", &err), LT_OK);
    fresh();
    metric = metric_of(name);
    assert_int_equal(lth_metrics_load(ctx.metrics, saved, "metrics/states", &err), LT_OK);
    update(name, metric, LTH_METRIC_VALIDATE, 2);
    check(name, metric, LTH_METRIC_VALIDATE, false, "epoch");
    lth_snapshot_free(saved);
}

static void test_against_torchmetrics(void **state) {
    (void)state;
    assert_true(each_case(batches_and_epoch) > 60);
}

static void test_states_survive_a_checkpoint(void **state) {
    (void)state;
    assert_true(each_case(through_a_snapshot) > 60);
}

/* Sums of another size beside a count that fits: none is taken, or the value would be neither's. */
static void test_states_of_other_parameters_are_left(void **state) {
    (void)state;
    lth_error err = {0};
    lth_snapshot *saved = lth_snapshot_new();
    fresh();
    lt_metric_handle *metric = lth_metric_make(&ctx, ctx.metrics, "R2Score", "num_outputs: 2");
    lt_tensor *two = lth_tensor_table.full(&ctx, LT_F32, 2, (int64_t[]){5, 2}, 3);
    assert_int_equal(lth_metric_update(&ctx, metric, LTH_METRIC_VALIDATE, two, two), LT_OK);
    assert_int_equal(lth_metrics_save(ctx.metrics, saved, "metrics/states", &err), LT_OK);
    fresh();
    metric = lth_metric_make(&ctx, ctx.metrics, "R2Score", "");
    assert_non_null(metric);
    assert_int_equal(lth_metrics_load(ctx.metrics, saved, "metrics/states", &err), LT_OK);
    static const float preds[3] = {1, 2, 4}, target[3] = {1, 2, 3};
    lt_tensor *p = lth_tensor_table.from_data(&ctx, LT_F32, 1, (int64_t[]){3}, preds);
    lt_tensor *t = lth_tensor_table.from_data(&ctx, LT_F32, 1, (int64_t[]){3}, target);
    const double *value;
    assert_int_equal(lth_metric_update(&ctx, metric, LTH_METRIC_VALIDATE, p, t), LT_OK);
    assert_int_equal(lth_metric_compute(&ctx, metric, LTH_METRIC_VALIDATE, false, &value), LT_OK);
    assert_float_equal(value[0], 0.5, 1e-12);
    lth_snapshot_free(saved);
}

static void refuses_to_be_made(const char *id, const char *params, lt_status code, const char *text) {
    fresh();
    assert_null(lth_metric_make(&ctx, ctx.metrics, id, params));
    assert_int_equal(ctx.error.code, code);
    if (!strstr(ctx.error.text, text)) {
        fail_msg("%s {%s}: \"%s\" does not say \"%s\"", id, params, ctx.error.text, text);
    }
}

static lt_tensor *filled(lt_dtype dtype, int ndim, const int64_t *shape, double value) {
    return lth_tensor_table.full(&ctx, dtype, ndim, shape, value);
}

static void refuses_batch(const char *id, const char *params, lt_tensor *preds, lt_tensor *target, lt_status code, const char *text) {
    lt_metric_handle *metric = lth_metric_make(&ctx, ctx.metrics, id, params);
    assert_non_null(metric);
    assert_int_equal(lth_metric_update(&ctx, metric, LTH_METRIC_TRAIN, preds, target), code);
    if (!strstr(ctx.error.text, text)) {
        fail_msg("%s: \"%s\" does not say \"%s\"", id, ctx.error.text, text);
    }
    assert_string_equal(ctx.where.component, id); /* the report names the metric, not the model that called it */
    const double *values;
    ctx.error = (lth_error){0};
    assert_int_equal(lth_metric_compute(&ctx, metric, LTH_METRIC_TRAIN, false, &values), LT_OK);
    assert_true(isnan(values[0])); /* a refused batch is in no sum */
}

#define S(...) (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (const int64_t[]){__VA_ARGS__}

static void test_bad_input(void **state) {
    (void)state;
    refuses_to_be_made("Accuracy", " ", LT_ECONFIG, "num_classes must be 2 or more");
    refuses_to_be_made("Accuracy", "num_classes: 3, top_k: 4", LT_ECONFIG, "top_k must not be above num_classes (3)");
    refuses_to_be_made("Recall", "num_classes: 3, average: median", LT_ECONFIG, "average");
    refuses_to_be_made("AUROC", "num_classes: 3, average: micro", LT_ECONFIG, "average macro, weighted or none");
    fresh();
    refuses_batch("Accuracy", "num_classes: 3", filled(LT_F32, S(4, 2), 0), filled(LT_I64, S(4), 0), LT_ESHAPE, "preds (4, 2) and target (4) do not fit");
    refuses_batch("Accuracy", "num_classes: 3", filled(LT_F32, S(4, 3), 0), filled(LT_I64, S(4), 3), LT_EINDEX, "target of sample 0 is 3; labels are 0 to 2");
    refuses_batch("F1Score", "num_classes: 3", filled(LT_I64, S(4), -1), filled(LT_I64, S(4), 1), LT_EINDEX, "preds of sample 0 is -1");
    refuses_batch("AUROC", "task: binary", filled(LT_I64, S(4), 1), filled(LT_I64, S(4), 1), LT_EDTYPE, "must be scores");
    refuses_batch("AUROC", "task: binary", filled(LT_F32, S(4), NAN), filled(LT_I64, S(4), 1), LT_ENONFINITE, "sample 0 for class 1 is not a number");
    refuses_batch("AveragePrecision", "num_classes: 3", filled(LT_F32, S(4, 3), NAN), filled(LT_I64, S(4), 1), LT_ENONFINITE, "is not a number");
    refuses_batch("MeanSquaredError", " ", filled(LT_F32, S(4), 1), filled(LT_F32, S(2, 2), 1), LT_ESHAPE, "must have one shape");
    refuses_batch("R2Score", "num_outputs: 2", filled(LT_F32, S(4), 1), filled(LT_F32, S(4), 1), LT_ESHAPE, "num_outputs 2");
    refuses_batch("Perplexity", " ", filled(LT_F32, S(4, 5), 1), filled(LT_I64, S(4), 5), LT_EINDEX, "target 0 is 5; tokens are 0 to 4");
    refuses_batch("Perplexity", " ", filled(LT_F32, S(4, 5), 1), filled(LT_F32, S(4), 1.5), LT_EINDEX, "target 0 is 1.5");
    refuses_batch("Perplexity", " ", filled(LT_F32, S(2, 3, 5), 1), filled(LT_I64, S(3, 2), 1), LT_ESHAPE, "preds (2, 3, 5) and target (3, 2) do not fit");
    refuses_batch("Perplexity", " ", filled(LT_F32, S(2, 3, 5), 1), filled(LT_I64, S(6), 1), LT_ESHAPE, "logits (..., V) go with tokens (...)");
    refuses_batch("MeanMetric", "nan_strategy: error", filled(LT_F32, S(4), NAN), NULL, LT_EINVAL, "value 0 is not a number");
    refuses_batch("MeanMetric", " ", filled(LT_F32, S(4), 1), filled(LT_F32, S(3), 1), LT_ESHAPE, "3 weights for 4 values");
    assert_null(lth_api_metric_state(&ctx, "late", 1, LT_MERGE_SUM));
    assert_int_equal(ctx.error.code, LT_ESTATE);
    lth_metrics_free(ctx.metrics);
    ctx.metrics = NULL;
    ctx.error = (lth_error){0};
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_torchmetrics),
        cmocka_unit_test(test_states_survive_a_checkpoint),
        cmocka_unit_test(test_states_of_other_parameters_are_left),
        cmocka_unit_test(test_bad_input),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
