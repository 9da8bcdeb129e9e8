/* tests/engine/test_reference_golden.c - the oracle's kernels and updates against PyTorch (tests/golden/{ops_*,optim}.bin). Every case
 * also with scattered strides, and with gradients added to what stands there. The fast backends are tested against the oracle. */
#include "test_reference.h"

static const struct { const char *text; lth_op op; } op_names[] = {
#define LTH_OP(NAME, text, ...) {text, LTH_OP_##NAME},
#include "engine/ops/ops.def"
#undef LTH_OP
};

/* ---- golden cases ---- */
typedef struct bound { double relative, absolute; } bound;

static bound bound_of(lt_dtype dtype) { return dtype == LT_F64 ? (bound){1e-10, 1e-11} : dtype == LT_F32 ? (bound){3e-5, 3e-5} : (bound){0, 0}; }

/* The f32 bound grows with the largest value: torch's sums are of such values. */
static void same(const char *name, const char *what, const lth_array *got, const lth_array *want) {
    bound b = bound_of(want->dtype);
    double top = 0;
    int64_t n = lth_array_numel(want);
    for (int64_t i = 0; i < n; i++) {
        double v = fabs(get(want, i));
        top = isfinite(v) && v > top ? v : top;
    }
    for (int64_t i = 0; i < n; i++) {
        double g = get(got, i), w = get(want, i);
        bool equal = g == w || (isnan(g) && isnan(w)) || fabs(g - w) <= b.relative * fabs(w) + b.absolute * (1 + 0.1 * top);
        if (!equal) {
            fail_msg("%s %s: element %lld is %.17g, torch has %.17g", name, what, (long long)i, g, w);
        }
    }
}

static lth_op op_of(const gold_record *r) {
    for (size_t k = 0; k < sizeof op_names / sizeof op_names[0]; k++) {
        if ((int64_t)strlen(op_names[k].text) == r->numel && !memcmp(op_names[k].text, r->data, (size_t)r->numel)) {
            return op_names[k].op;
        }
    }
    fail_msg("%s: not in ops.def", r->name);
    return LTH_OP_COPY;
}

static void load_case(const gold_file *g, const char *name, bool scatter, run *r) {
    *r = (run){.call.op = op_of(gold_find(g, "%s/op", name))};
    memcpy(r->attrs.i, gold_find(g, "%s/attrs", name)->data, sizeof r->attrs.i);
    memcpy(r->attrs.f, gold_find(g, "%s/fattrs", name)->data, sizeof r->attrs.f);
    const gold_record *out = gold_find(g, "%s/out0", name), *gout = gold_find(g, "%s/gout0", name);
    for (int k = 0; k < LTH_MAX_IN; k++) {
        const gold_record *in = gold_find(g, "%s/in%d", name, k), *gin = gold_find(g, "%s/gin%d", name, k);
        if (!in) {
            continue;
        }
        lth_array plain = from_record(in);
        take(r, k, scatter ? scattered(&plain) : plain);
        if (gin) {
            r->gin[k] = like(&plain);
        }
        if (scatter) {
            free(plain.data);
        }
    }
    r->out = make(out->dtype, out->ndim, out->shape);
    r->has_gout = gout != NULL;
    r->call.save = gout != NULL;
    if (gout) {
        lth_array plain = from_record(gout);
        r->gout = scatter ? scattered(&plain) : plain;
        if (scatter) {
            free(plain.data);
        }
    }
}

static void check_gradients(const gold_file *g, const char *name, run *r, double offset) {
    for (int k = 0; k < LTH_MAX_IN; k++) {
        const gold_record *gin = gold_find(g, "%s/gin%d", name, k);
        if (!gin) {
            continue;
        }
        lth_array want = from_record(gin);
        char what[16];
        snprintf(what, sizeof what, "gin%d", k);
        for (int64_t i = 0; i < lth_array_numel(&want); i++) {
            put(&want, i, get(&want, i) + offset);
        }
        same(name, what, &r->gin[k], &want);
        free(want.data);
    }
}

static void check_changed(const gold_file *g, const char *name, const run *r) {
    for (int k = 0; k < LTH_MAX_IN; k++) {
        const gold_record *after = gold_find(g, "%s/after%d", name, k);
        if (after) {
            lth_array want = from_record(after);
            same(name, "after", &r->in[k], &want);
            free(want.data);
        }
    }
}

static void run_case(const gold_file *g, const char *name, bool scatter) {
    run r;
    load_case(g, name, scatter, &r);
    if (backend->kernels[r.call.op]) { /* views have none */
        const gold_record *out = gold_find(g, "%s/out0", name);
        lth_array want = from_record(out);
        forward_good(&r);
        same(name, scatter ? "out0 (strided)" : "out0", &r.out, &want);
        check_changed(g, name, &r);
        free(want.data);
        if (r.has_gout) {
            backward_good(&r, false);
            check_gradients(g, name, &r, 0);
            for (int k = 0; k < r.call.n_in; k++) { /* adding: 3 stands there already */
                for (int64_t i = 0; r.gin[k].data && i < lth_array_numel(&r.gin[k]); i++) {
                    put(&r.gin[k], i, 3);
                }
            }
            backward_good(&r, true);
            check_gradients(g, name, &r, 3);
        }
    }
    release(&r);
}

static void golden(void **state) {
    gold_file g;
    char path[512];
    int cases = 0;
    snprintf(path, sizeof path, "%s/golden/ops_%s.bin", TEST_DATA_DIR, (const char *)*state);
    if (gold_open(&g, path)) {
        print_message("skipped: %s\n", g.error);
        skip();
    }
    const char *name;
    for (size_t at = 0; (name = gold_next_case(&g, "", &at)); cases++) {
        char kept[GOLD_MAX_NAME];
        snprintf(kept, sizeof kept, "%s", name);
        run_case(&g, kept, false);
        run_case(&g, kept, true);
    }
    assert_true(cases > 0);
    gold_close(&g);
}

/* ---- updates ---- */
static void run_update(const gold_file *g, const char *name, const float *grads, const float *start, bool adam) {
    float p[37], slots[3][37] = {{0}};
    const int64_t *flags = gold_find(g, "%s/attrs", name)->data;
    const double *numbers = gold_find(g, "%s/fattrs", name)->data;
    const float *want = gold_data(gold_find(g, "%s/param", name), GOLD_F32);
    lth_error err = {0};
    memcpy(p, start, sizeof p);
    for (int64_t step = 0; step < 100; step++) {
        float grad[37];
        memcpy(grad, grads + step * 37, sizeof grad);
        lt_span span = {.struct_size = sizeof span, .dtype = LT_F32, .n_slots = 3, .n = 37, .param = p, .grad = grad, .slot = {slots[0], slots[1], slots[2]},
                        .step = step + 1};
        lt_sgd_args s = {sizeof s, flags[0] != 0, flags[1] != 0, {0}, numbers[0], numbers[1], numbers[2], numbers[3]};
        if (adam) {
            lt_adam_args a = {sizeof a, flags[0] != 0, flags[1] != 0, flags[2] != 0, 0, numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]};
            assert_int_equal(backend->adam(device, &span, &a, &err), LT_OK);
        } else {
            assert_int_equal(backend->sgd(device, &span, &s, &err), LT_OK);
        }
        for (int i = 0; i < 37; i++) {
            double w = want[step * 37 + i];
            if (!(fabs(p[i] - w) <= 2e-6 * fabs(w) + 1e-6)) {
                fail_msg("%s: element %d after step %lld is %.9g, torch has %.9g", name, i, (long long)step + 1, p[i], w);
            }
            assert_true(grad[i] == grads[step * 37 + i]); /* gradients are only read */
        }
    }
}

static void golden_updates(void **state) {
    (void)state;
    gold_file g;
    if (gold_open(&g, TEST_DATA_DIR "/golden/optim.bin")) {
        print_message("skipped: %s\n", g.error);
        skip();
    }
    const float *grads = gold_data(gold_find(&g, "grads"), GOLD_F32), *start = gold_data(gold_find(&g, "start"), GOLD_F32);
    const char *name;
    for (size_t at = 0; (name = gold_next_case(&g, "", &at));) {
        const gold_record *op = gold_find(&g, "%s/op", name);
        char kept[GOLD_MAX_NAME];
        snprintf(kept, sizeof kept, "%s", name);
        run_update(&g, kept, grads, start, op->numel == 4);
    }
    gold_close(&g);
}

#define GOLDEN(group) {"golden " group, golden, NULL, NULL, (void *)(uintptr_t)group}
int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_updates),
        GOLDEN("elementwise"),
        GOLDEN("shape"),
        GOLDEN("linear"),
        GOLDEN("conv"),
        GOLDEN("pool"),
        GOLDEN("norm"),
        GOLDEN("loss"),
        GOLDEN("transformer"),
        GOLDEN("attention"),
        GOLDEN("arith"),
        GOLDEN("layers"), GOLDEN("fused"),
    };
    return cmocka_run_group_tests(tests, open_backend, close_backend);
}
