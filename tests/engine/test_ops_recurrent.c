/* tests/engine/test_ops_recurrent.c - LSTM and GRU against PyTorch (tests/golden/recurrent.bin) on both backends and each instruction set, from
 * plain and from turned memory; bits for any number of threads; finite differences; refusals. Bounds: torch.testing.assert_close. */
#include "engine/autograd/tape.h"
#include "test_reference.h"

enum { N_IN = 7 };
static lt_ctx ctx;
static const char *where;

static void open_engine(const lth_backend *which, const char *isa, int threads) {
    lth_ctx_init(&ctx, LTH_TRAINER_THREAD);
    if (lth_engine_open(&ctx.engine, which, &(lth_engine_opts){.threads = threads, .isa = isa}, &ctx.error) < 0) {
        print_message("%s\n", ctx.error.text);
        ctx.engine = NULL;
    }
    where = isa ? isa : "reference";
}

static void close_engine(void) {
    lth_engine_free(ctx.engine);
    ctx.engine = NULL;
}

/* ---- golden cases ---- */
static void same(const char *name, const char *what, lt_tensor *got, const gold_record *want, int times) {
    const double relative = want->dtype == GOLD_F64 ? 1e-7 : 1.3e-6, absolute = want->dtype == GOLD_F64 ? 1e-7 : 1e-5;
    if (!got) {
        fail_msg("%s on %s: no %s: %s", name, where, what, ctx.error.text);
    }
    assert_int_equal(got->a.dtype, want->dtype);
    assert_int_equal(lth_numel(got), want->numel);
    double *values = calloc((size_t)want->numel + 1, sizeof *values), top = 0;
    assert_int_equal(lth_tensor_read(got, 0, want->numel, values, &ctx.error), LT_OK);
    for (int64_t i = 0; i < want->numel; i++) {
        top = fmax(top, fabs(lth_element_get(want->dtype, want->data, i)));
    }
    for (int64_t i = 0; i < want->numel; i++) { /* sums of PyTorch are rounded too: the bound grows with the largest value */
        const double v = lth_element_get(want->dtype, want->data, i) * times;
        if (!(fabs(values[i] - v) <= relative * fabs(v) + absolute * (1 + 0.25 * top) * times)) {
            fail_msg("%s on %s, %s: element %lld is %.9g, torch has %.9g", name, where, what, (long long)i, values[i], v);
        }
    }
    free(values);
}

static lt_tensor *wrap(const gold_record *r) {
    return r ? lth_tensor_wrap(ctx.engine, r->dtype, r->ndim, r->shape, (void *)(uintptr_t)r->data, &ctx.error) : NULL;
}

static lth_op op_of(const gold_file *g, const char *name) { return ((const char *)gold_find(g, "%s/op", name)->data)[0] == 'l' ? LTH_OP_LSTM : LTH_OP_GRU; }

/* sum over the outputs of sum(out * arriving): backward then hands each output its gradient. */
static lt_tensor *loss_of(const gold_file *g, const char *name, lt_tensor **out, int n) {
    lt_tensor *loss = NULL;
    for (int k = 0; k < n; k++) {
        lt_tensor *gout = wrap(gold_find(g, "%s/gout%d", name, k));
        lt_tensor *part = gout ? lth_tensor_table.sum(&ctx, lth_tensor_table.mul(&ctx, out[k], gout), NULL, 0, false) : NULL;
        loss = loss && part ? lth_tensor_table.add(&ctx, loss, part) : part ? part : loss;
    }
    return loss;
}

static void run_case(const gold_file *g, const char *name, bool turned) {
    lt_tensor *in[N_IN] = {0}, *out[LTH_MAX_OUT], *leaf[N_IN] = {0};
    const lth_op op = op_of(g, name);
    const int n_in = op == LTH_OP_LSTM ? 7 : 6, n_out = op == LTH_OP_LSTM ? 3 : 2;
    char what[64];
    lth_attrs attrs = {.i = {*(const int64_t *)gold_find(g, "%s/attrs", name)->data}};
    for (int k = 0; k < n_in; k++) {
        in[k] = leaf[k] = wrap(gold_find(g, "%s/in%d", name, k));
        if (in[k]) {
            in[k]->requires_grad = in[k]->is_leaf = 1;
        }
    }
    if (turned) { /* x as a view of (B, T, I) memory, as batch_first gives it */
        in[0] = lth_tensor_table.transpose(&ctx, lth_tensor_table.clone(&ctx, lth_tensor_table.transpose(&ctx, in[0], 0, 1)), 0, 1);
    }
    for (int times = 1; times <= 2; times++) {
        if (!lth_apply_all(&ctx, op, in, n_in, &attrs, NULL, out)) {
            fail_msg("%s on %s: %s", name, where, ctx.error.text);
        }
        for (int k = 0; k < n_out; k++) {
            snprintf(what, sizeof what, "output %d", k);
            same(name, what, out[k], gold_find(g, "%s/out%d", name, k), 1);
        }
        if (lth_backward(&ctx, loss_of(g, name, out, n_out), NULL, 1) != LT_OK) {
            fail_msg("%s on %s: %s", name, where, ctx.error.text);
        }
        for (int k = 0; k < n_in; k++) {
            const gold_record *gin = gold_find(g, "%s/gin%d", name, k);
            if (gin) {
                snprintf(what, sizeof what, "gradient %d, %d times", k, times);
                same(name, what, leaf[k]->grad, gin, times);
            }
        }
    }
    lth_step_end(ctx.engine);
}

static void run_file(const gold_file *g) {
    const char *name;
    int cases = 0;
    for (size_t at = 0; (name = gold_next_case(g, "", &at)); cases++) {
        char kept[GOLD_MAX_NAME];
        snprintf(kept, sizeof kept, "%s", name);
        run_case(g, kept, false);
        run_case(g, kept, true);
    }
    assert_true(cases >= 40);
}

static void open_gold(gold_file *g) {
    if (gold_open(g, TEST_DATA_DIR "/golden/recurrent.bin")) {
        fail_msg("%s", g->error);
    }
}

static void golden_reference(void **state) {
    gold_file g;
    (void)state;
    open_gold(&g);
    open_engine(&lth_backend_reference, NULL, 1);
    run_file(&g);
    close_engine();
    gold_close(&g);
}

static void golden_cpu(void **state) {
    static const char *const sets[] = {TEST_SETS};
    gold_file g;
    int ran = 0;
    (void)state;
    open_gold(&g);
    for (int k = 0; k < TEST_N_SETS; k++) {
        open_engine(&lth_backend_cpu, sets[k], 2);
        if (ctx.engine) {
            run_file(&g);
            close_engine();
            ran++;
        }
    }
    assert_true(ran > 0);
    gold_close(&g);
}

/* ---- threads ---- */
static uint64_t hash_of(lt_tensor *t, uint64_t h) {
    const unsigned char *bytes = t->a.data;
    for (size_t i = 0; i < (size_t)lth_numel(t) * sizeof(float); i++) {
        h = (h ^ bytes[i]) * 0x100000001b3u;
    }
    return h;
}

static lt_tensor *wave(int ndim, const int64_t *shape, double phase) {
    lt_tensor *x = lth_tensor_new(ctx.engine, LT_F32, ndim, shape, &ctx.error);
    for (int64_t i = 0; i < lth_numel(x); i++) {
        ((float *)x->a.data)[i] = (float)(0.3 * sin(1.7 * (double)i + phase));
    }
    x->requires_grad = x->is_leaf = 1;
    return x;
}

static uint64_t bits_with(lth_op op, int threads) {
    enum { T = 6, B = 150, I = 21, H = 40 };
    const int64_t G = (op == LTH_OP_LSTM ? 4 : 3) * H;
    uint64_t h = 0xcbf29ce484222325u;
    lt_tensor *out[LTH_MAX_OUT];
    open_engine(&lth_backend_cpu, NULL, threads);
    lt_tensor *in[] = {wave(3, (int64_t[]){T, B, I}, 0), wave(2, (int64_t[]){G, I}, 1), wave(2, (int64_t[]){G, H}, 2), wave(1, &G, 3),
                       wave(1, &G, 4),                   wave(2, (int64_t[]){B, H}, 5), wave(2, (int64_t[]){B, H}, 6)};
    const int n = op == LTH_OP_LSTM ? 7 : 6;
    assert_true(lth_apply_all(&ctx, op, in, n, NULL, NULL, out));
    assert_ptr_equal(out[0]->node->kernel, lth_backend_cpu.kernels[op]); /* not the fallback */
    assert_int_equal(lth_backward(&ctx, lth_tensor_table.sum(&ctx, lth_tensor_table.mul(&ctx, out[0], out[0]), NULL, 0, false), NULL, 1), LT_OK);
    h = hash_of(out[0], h);
    for (int k = 0; k < n; k++) {
        h = hash_of(in[k]->grad, h);
    }
    close_engine();
    return h;
}

static void bits_for_any_threads(void **state) {
    (void)state;
    for (int gru = 0; gru < 2; gru++) {
        const lth_op op = gru ? LTH_OP_GRU : LTH_OP_LSTM;
        const uint64_t one = bits_with(op, 1);
        for (int threads = 2; threads <= 4; threads++) {
            assert_true(bits_with(op, threads) == one);
        }
    }
}

/* ---- finite differences ---- */
static lt_tensor *curved(lt_ctx *c, lt_tensor *const *in, int n, void *arg) {
    const lth_op op = *(const lth_op *)arg;
    lt_tensor *out[LTH_MAX_OUT], *all = NULL;
    lth_attrs attrs = {.i = {n == 7}};
    if (!lth_apply_all(c, op, in, n, &attrs, NULL, out)) {
        return NULL;
    }
    for (int k = 0; k < (op == LTH_OP_LSTM ? 3 : 2); k++) {
        lt_tensor *part = lth_tensor_table.sum(c, lth_tensor_table.mul(c, out[k], out[k]), NULL, 0, false);
        all = all ? lth_tensor_table.add(c, all, part) : part;
    }
    return all;
}

static lt_tensor *wave64(int ndim, const int64_t *shape, double phase) {
    lt_tensor *x = lth_tensor_new(ctx.engine, LT_F64, ndim, shape, &ctx.error);
    for (int64_t i = 0; i < lth_numel(x); i++) {
        ((double *)x->a.data)[i] = 0.7 * sin(2.3 * (double)i + phase);
    }
    x->requires_grad = x->is_leaf = 1;
    return x;
}

static void gradients_by_differences(void **state) {
    enum { T = 3, B = 2, I = 2, H = 3 };
    (void)state;
    for (int k = 0; k < 4; k++) {
        lth_op op = k & 1 ? LTH_OP_GRU : LTH_OP_LSTM;
        const int64_t G = (k & 1 ? 3 : 4) * H;
        open_engine(k & 2 ? &lth_backend_cpu : &lth_backend_reference, NULL, 1);
        lt_tensor *in[] = {wave64(3, (int64_t[]){T, B, I}, 0), wave64(2, (int64_t[]){G, I}, 1), wave64(2, (int64_t[]){G, H}, 2), wave64(1, &G, 3),
                           wave64(1, &G, 4),                   wave64(2, (int64_t[]){B, H}, 5), wave64(2, (int64_t[]){B, H}, 6)};
        const double worst = lth_gradcheck(&ctx, curved, in, k & 1 ? 6 : 7, &op, 1e-5);
        if (!(worst < 1e-7)) {
            fail_msg("%s: %g: %s", k & 1 ? "gru" : "lstm", worst, ctx.error.text);
        }
        close_engine();
    }
}

/* ---- edges ---- */
static void refused(lth_op op, lt_tensor **in, int n, lt_status code, const char *text) {
    lt_tensor *out[LTH_MAX_OUT];
    assert_false(lth_apply_all(&ctx, op, in, n, NULL, NULL, out));
    assert_int_equal(ctx.error.code, code);
    if (!strstr(ctx.error.text, text)) {
        fail_msg("'%s' is not in '%s'", text, ctx.error.text);
    }
    ctx.error = (lth_error){0};
}

static void bad_shapes(void **state) {
    (void)state;
    open_engine(&lth_backend_cpu, NULL, 1);
    lt_tensor *x = wave(3, (int64_t[]){2, 3, 4}, 0), *wi = wave(2, (int64_t[]){20, 4}, 0), *wh = wave(2, (int64_t[]){20, 5}, 0);
    lt_tensor *flat = wave(2, (int64_t[]){2, 3}, 0), *none = wave(3, (int64_t[]){0, 3, 4}, 0);
    refused(LTH_OP_LSTM, (lt_tensor *[]){flat, wi, wh}, 3, LT_ESHAPE, "lstm: x (2, 3) must have three dimensions");
    refused(LTH_OP_LSTM, (lt_tensor *[]){none, wi, wh}, 3, LT_ESHAPE, "T of 1 or more");
    refused(LTH_OP_LSTM, (lt_tensor *[]){x, wh, wh}, 3, LT_ESHAPE, "w_ih (20, 5) does not fit x (2, 3, 4)");
    refused(LTH_OP_GRU, (lt_tensor *[]){x, wi, wh}, 3, LT_ESHAPE, "gru: w_hh (20, 5) must be (3H, H)");
    refused(LTH_OP_LSTM, (lt_tensor *[]){x, wi, wh, flat}, 4, LT_ESHAPE, "b_ih (2, 3)");
    refused(LTH_OP_LSTM, (lt_tensor *[]){x, wi, wh, NULL, NULL, flat}, 6, LT_ESHAPE, "h0 (2, 3)");
    refused(LTH_OP_LSTM, (lt_tensor *[]){x, wi, wh, NULL, NULL, NULL, wave64(2, (int64_t[]){3, 5}, 0)}, 7, LT_EDTYPE, "c0 is f64");
    refused(LTH_OP_LSTM, (lt_tensor *[]){x, wi}, 2, LT_EINVAL, "lstm: 2 inputs given");
    close_engine();
}

static void empty_batch(void **state) {
    (void)state;
    for (int k = 0; k < 2; k++) {
        lt_tensor *out[LTH_MAX_OUT];
        open_engine(k ? &lth_backend_cpu : &lth_backend_reference, NULL, 1);
        lt_tensor *in[] = {wave(3, (int64_t[]){2, 0, 4}, 0), wave(2, (int64_t[]){20, 4}, 0), wave(2, (int64_t[]){20, 5}, 0)};
        assert_true(lth_apply_all(&ctx, LTH_OP_LSTM, in, 3, NULL, NULL, out));
        assert_int_equal(out[0]->a.shape[2], 5);
        assert_int_equal(lth_backward(&ctx, lth_tensor_table.sum(&ctx, out[0], NULL, 0, false), NULL, 1), LT_OK);
        assert_float_equal(((float *)in[2]->grad->a.data)[99], 0, 0);
        close_engine();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_reference), cmocka_unit_test(golden_cpu), cmocka_unit_test(bits_for_any_threads),
        cmocka_unit_test(gradients_by_differences), cmocka_unit_test(bad_shapes), cmocka_unit_test(empty_batch),
    };
    return cmocka_run_group_tests_name("engine.ops_recurrent", tests, NULL, NULL);
}
