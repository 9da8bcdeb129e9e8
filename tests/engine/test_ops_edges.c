/* tests/engine/test_ops_edges.c - every operation in every dtype, with drawn shapes (tests/golden/gold_edges.py): sizes of 0 and 1, odd ones,
 * broadcast operands; on both backends and every instruction set, from plain and scattered memory. What f64 cases have of gradients must be
 * what finite differences say, and the bits must not depend on the number of threads.
 * LTH_EDGES=FILE runs another file of draws and goes on after a failure. */
#include "test_golden_run.h"
#include <stdio.h>

static gold_file gold;

static int open_file(void **state) {
    (void)state;
    char path[512];
    const char *given = getenv("LTH_EDGES");
    keep_going = given != NULL;
    snprintf(path, sizeof path, "%s/golden/ops_edges.bin", TEST_DATA_DIR);
    if (gold_open(&gold, given ? given : path)) {
        print_message("%s\n", gold.error);
        return -1;
    }
    return 0;
}

static int close_file(void **state) {
    (void)state;
    gold_close(&gold);
    return wrong != 0;
}

static void as_pytorch(void **state) {
    const int which = (int)(intptr_t)*state;
    if (!open_on(which)) {
        assert_true(which && which != TEST_BASELINE + 1); /* these two every machine has */
        skip();
    }
    assert_true(run_golden_file(&gold) > 0);
    lth_engine_free(ctx.engine);
    assert_int_equal(lth_alloc_live(), 0);
}

/* ---- finite differences ---- */
enum { MOST = 600 }; /* elements to differentiate by: each takes two calls, whose memory stays until the step ends */
typedef struct summed { const golden_case *c; int given[LTH_MAX_IN]; } summed;

static bool all_finite(const gold_record *r) {
    for (int64_t i = 0; i < r->numel; i++) {
        if (!isfinite(lth_element_get(r->dtype, r->data, i))) {
            return false;
        }
    }
    return true;
}

/* The sum of all outputs times what arrives at them. */
static lt_tensor *arriving_sum(lt_ctx *c, lt_tensor *const *in, int n, void *arg) {
    const summed *s = arg;
    lt_tensor *out[LTH_MAX_OUT], *all[LTH_MAX_IN] = {0}, *total = NULL;
    memcpy(all, s->c->in, sizeof s->c->in);
    for (int k = 0; k < n; k++) {
        all[s->given[k]] = in[k];
    }
    if (!lth_apply_all(c, s->c->op, all, s->c->n_in, &s->c->attrs, NULL, out)) {
        return NULL;
    }
    for (int k = 0; k < lth_ops[s->c->op].n_out; k++) {
        const gold_record *g = gold_find(&gold, "%s/gout%d", s->c->name, k);
        if (g) {
            lt_tensor *pair[2] = {out[k], lth_tensor_wrap(c->engine, g->dtype, g->ndim, g->shape, (void *)(uintptr_t)g->data, &c->error)};
            lt_tensor *part = lth_apply(c, LTH_OP_MUL, pair, 2, NULL, NULL);
            part = lth_apply(c, LTH_OP_SUM, &part, 1, NULL, NULL);
            pair[0] = total, pair[1] = part;
            total = total ? lth_apply(c, LTH_OP_ADD, pair, 2, NULL, NULL) : part;
        }
    }
    return total;
}

/* False: nothing to compare (no gradient, or values that no difference can be taken of). */
static bool differs(const char *name) {
    golden_case c;
    summed s = {.c = &c};
    lt_tensor *in[LTH_MAX_IN];
    int n = 0;
    int64_t elements = 0;
    load_golden(&c, &gold, name, false);
    bool good = !gold_find(&gold, "%s/edge", name);
    for (int k = 0; k < LTH_MAX_OUT; k++) {
        const gold_record *out = gold_find(&gold, "%s/out%d", name, k);
        good = good && (!out || all_finite(out));
    }
    for (int k = 0; k < c.n_in; k++) {
        const gold_record *gin = gold_find(&gold, "%s/gin%d", name, k);
        if (gin) {
            good = good && all_finite(gin) && all_finite(gold_find(&gold, "%s/in%d", name, k));
            elements += gin->numel;
            s.given[n] = k;
            in[n++] = c.in[k];
        }
    }
    good = good && n && elements <= MOST;
    if (good) {
        const double off = lth_gradcheck(&ctx, arriving_sum, in, n, &s, 1e-6);
        if (!(off < 1e-6)) {
            WRONG("%s: gradients differ from finite differences by %g %s", name, off, ctx.error.text);
        }
    }
    lth_step_end(ctx.engine);
    for (int k = 0; k < c.n_in; k++) {
        free(c.kept[k].data);
    }
    return good;
}

static void finite_differences(void **state) {
    const int which = (int)(intptr_t)*state;
    const char *name;
    int compared = 0;
    assert_true(open_on(which));
    for (size_t at = 0; (name = gold_next_case(&gold, "", &at));) {
        char kept[GOLD_MAX_NAME];
        snprintf(kept, sizeof kept, "%s", name);
        const size_t n = strlen(kept);
        if (n > 4 && !strcmp(kept + n - 4, ".f64")) {
            compared += differs(kept);
        }
    }
    print_message("%d cases by finite differences\n", compared);
    assert_true(compared > 50);
    lth_engine_free(ctx.engine);
    assert_int_equal(lth_alloc_live(), 0);
}

/* ---- threads ---- */
typedef struct bits { unsigned char *data; size_t size; } bits;

static void keep_bits(bits *b, const lt_tensor *t) {
    if (!t) {
        return;
    }
    double *v = calloc((size_t)lth_numel(t) + 1, sizeof *v);
    assert_int_equal(lth_tensor_read((lt_tensor *)(uintptr_t)t, 0, lth_numel(t), v, &ctx.error), LT_OK);
    const size_t n = (size_t)lth_numel(t) * sizeof *v;
    b->data = realloc(b->data, b->size + n + 1);
    memcpy(b->data + b->size, v, n);
    b->size += n;
    free(v);
}

static bits bits_with(const char *name, int threads) {
    golden_case c;
    bits b = {0};
    lt_tensor *out[LTH_MAX_OUT] = {0};
    const lth_engine_opts opts = {.threads = threads};
    lth_ctx_init(&ctx, LTH_TRAINER_THREAD);
    assert_int_equal(lth_engine_open(&ctx.engine, &lth_backend_cpu, &opts, &ctx.error), LT_OK);
    load_golden(&c, &gold, name, false);
    if (lth_apply_all(&ctx, c.op, c.in, c.n_in, &c.attrs, NULL, out)) {
        if (gold_find(&gold, "%s/gout0", name)) {
            back_from_all(&gold, &c, out);
        }
        for (int k = 0; k < lth_ops[c.op].n_out; k++) {
            keep_bits(&b, out[k]);
        }
        for (int k = 0; k < c.n_in; k++) {
            keep_bits(&b, c.in[k] ? c.in[k]->grad : NULL);
        }
    }
    lth_engine_free(ctx.engine);
    for (int k = 0; k < c.n_in; k++) {
        free(c.kept[k].data);
    }
    return b;
}

static void threads_do_not_show(void **state) {
    (void)state;
    const char *name;
    for (size_t at = 0; (name = gold_next_case(&gold, "", &at));) {
        char kept[GOLD_MAX_NAME];
        snprintf(kept, sizeof kept, "%s", name);
        bits one = bits_with(kept, 1), three = bits_with(kept, 3);
        if (one.size != three.size || (one.size && memcmp(one.data, three.data, one.size))) {
            WRONG("%s: other bits with 3 threads than with 1", kept);
        }
        free(one.data);
        free(three.data);
    }
}

#define ON(text, test, which) {text, test, NULL, NULL, (void *)(intptr_t)(which)}
_Static_assert(TEST_N_SETS == 4, "a row for each set");
int main(void) {
    const struct CMUnitTest tests[] = {
        ON("reference as PyTorch", as_pytorch, 0), ON("set 1 as PyTorch", as_pytorch, 1), ON("set 2 as PyTorch", as_pytorch, 2),
        ON("set 3 as PyTorch", as_pytorch, 3), ON("set 4 as PyTorch", as_pytorch, 4), ON("finite differences of reference", finite_differences, 0),
        ON("finite differences of cpu", finite_differences, TEST_BASELINE + 1), cmocka_unit_test(threads_do_not_show),
    };
    return cmocka_run_group_tests_name("engine.ops_edges", tests, open_file, close_file);
}
