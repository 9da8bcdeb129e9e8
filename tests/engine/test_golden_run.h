/* tests/engine/test_golden_run.h - runs every case of a golden file through the engine, as a model meets it: on the reference backend and
 * on the cpu backend of each instruction set this machine has; from plain and from scattered memory; operations of several outputs too;
 * gradients written once and added to. Bounds: those of torch.testing.assert_close, wider where sums are long (see same_values). */
#ifndef LTH_TEST_GOLDEN_RUN_H
#define LTH_TEST_GOLDEN_RUN_H
#include "engine/autograd/tape.h"
#include "test_reference.h"

static const struct { const char *text; lth_op op; } op_names[] = {
#define LTH_OP(NAME, text, ...) {text, LTH_OP_##NAME},
#include "engine/ops/ops.def"
#undef LTH_OP
};
static lt_ctx ctx;
static const char *set; /* the backend and instruction set under test */

/* torch.testing.assert_close's; half precision: what rounding a sum's terms and its result takes. */
static struct { double relative, absolute; } bounds[9] = {
    [LT_F64] = {1e-7, 1e-7}, [LT_F32] = {1.3e-6, 1e-5}, [LT_F16] = {1e-3, 2e-3}, [LT_BF16] = {1.6e-2, 1.6e-2}};
static int wrong;         /* how many cases failed, where the run goes on */
static bool keep_going;   /* print, do not fail */
#define WRONG(...) do { \
        if (!keep_going) { \
            fail_msg(__VA_ARGS__); \
        } \
        print_message(__VA_ARGS__); \
        print_message("\n"); \
        wrong++; \
        lth_error_clear(&ctx.error); \
    } while (0)

/* `times` PyTorch's value: 2 where a gradient was added to itself. The absolute bound grows with the largest value: PyTorch's f32 sums
 * are rounded too. */
static void same_values(const char *name, const char *what, lt_tensor *got, const gold_record *want, int times) {
    const double relative = bounds[want->dtype].relative, absolute = bounds[want->dtype].absolute;
    double top = 0;
    if (!got) {
        WRONG("%s on %s: no %s: %s", name, set, what, ctx.error.text);
        return;
    }
    if (got->a.dtype != want->dtype || got->a.ndim != want->ndim || memcmp(got->a.shape, want->shape, (size_t)want->ndim * sizeof *want->shape)) {
        WRONG("%s on %s, %s: another dtype or shape", name, set, what);
        return;
    }
    double *values = calloc((size_t)want->numel + 1, sizeof *values);
    assert_int_equal(lth_tensor_read(got, 0, want->numel, values, &ctx.error), LT_OK);
    for (int64_t i = 0; i < want->numel; i++) {
        const double v = fabs(lth_element_get(want->dtype, want->data, i));
        top = isfinite(v) && v > top ? v : top;
    }
    for (int64_t i = 0; i < want->numel; i++) {
        const double v = lth_element_get(want->dtype, want->data, i) * times;
        const double allowed = isfinite(v) ? relative * fabs(v) + absolute * (1 + 0.25 * fmin(top, 1e6)) * times : 0;
        if (!(values[i] == v || (isnan(values[i]) && isnan(v)) || fabs(values[i] - v) <= allowed)) {
            WRONG("%s on %s, %s: element %lld is %.9g, torch has %.9g", name, set, what, (long long)i, values[i], v);
            break;
        }
    }
    free(values);
}

typedef struct golden_case { const char *name; lth_op op; lth_attrs attrs; int n_in; lth_array kept[LTH_MAX_IN]; lt_tensor *in[LTH_MAX_IN]; } golden_case;

static lth_op op_called(const gold_record *r) {
    for (size_t k = 0; k < sizeof op_names / sizeof op_names[0]; k++) {
        if ((int64_t)strlen(op_names[k].text) == r->numel && !memcmp(op_names[k].text, r->data, (size_t)r->numel)) {
            return op_names[k].op;
        }
    }
    fail_msg("%s: not in ops.def", r->name);
    return LTH_OP_COPY;
}

static void load_golden(golden_case *c, const gold_file *g, const char *name, bool scatter) {
    *c = (golden_case){.name = name, .op = op_called(gold_find(g, "%s/op", name))};
    memcpy(c->attrs.i, gold_find(g, "%s/attrs", name)->data, sizeof c->attrs.i);
    memcpy(c->attrs.f, gold_find(g, "%s/fattrs", name)->data, sizeof c->attrs.f);
    for (int k = 0; k < LTH_MAX_IN; k++) {
        const gold_record *in = gold_find(g, "%s/in%d", name, k);
        if (!in) {
            continue;
        }
        lth_array plain = from_record(in);
        const bool apart = scatter && !gold_find(g, "%s/after%d", name, k); /* state that is written is a module's buffer, never scattered */
        c->kept[k] = apart ? scattered(&plain) : plain;
        c->in[k] = lth_tensor_wrap(ctx.engine, in->dtype, in->ndim, in->shape, c->kept[k].data, &ctx.error);
        assert_non_null(c->in[k]);
        memcpy(c->in[k]->a.strides, c->kept[k].strides, sizeof plain.strides);
        c->in[k]->requires_grad = gold_find(g, "%s/gin%d", name, k) != NULL;
        c->n_in = k + 1;
        if (apart) {
            free(plain.data);
        }
    }
}

/* Sum of the outputs times their arriving gradients: one backward for all of them. */
static void back_from_all(const gold_file *g, const golden_case *c, lt_tensor *const *out) {
    lt_tensor *total = NULL;
    for (int k = 0; k < lth_ops[c->op].n_out; k++) {
        const gold_record *gout = gold_find(g, "%s/gout%d", c->name, k);
        if (!gout) {
            continue;
        }
        lt_tensor *gy = lth_tensor_wrap(ctx.engine, gout->dtype, gout->ndim, gout->shape, (void *)(uintptr_t)gout->data, &ctx.error);
        if (lth_ops[c->op].n_out == 1) {
            if (lth_backward(&ctx, out[k], gy, 1) != LT_OK) {
                WRONG("%s on %s: %s", c->name, set, ctx.error.text);
            }
            return;
        }
        lt_tensor *in[2] = {out[k], gy}, *part = lth_apply(&ctx, LTH_OP_MUL, in, 2, NULL, NULL);
        part = lth_apply(&ctx, LTH_OP_SUM, &part, 1, NULL, NULL);
        in[0] = total, in[1] = part;
        total = total ? lth_apply(&ctx, LTH_OP_ADD, in, 2, NULL, NULL) : part;
    }
    if (!total || lth_backward(&ctx, total, NULL, 1) != LT_OK) {
        WRONG("%s on %s: %s", c->name, set, ctx.error.text);
    }
}

static void forward_and_back(const gold_file *g, golden_case *c, int times) {
    lt_tensor *out[LTH_MAX_OUT] = {0};
    char what[48];
    bool any = false;
    if (!lth_apply_all(&ctx, c->op, c->in, c->n_in, &c->attrs, NULL, out)) {
        WRONG("%s on %s: %s", c->name, set, ctx.error.text);
        return;
    }
    for (int k = 0; times == 1 && k < c->n_in; k++) {
        const gold_record *after = gold_find(g, "%s/after%d", c->name, k);
        if (after) {
            snprintf(what, sizeof what, "state %d", k);
            same_values(c->name, what, c->in[k], after, 1);
        }
    }
    for (int k = 0; k < lth_ops[c->op].n_out; k++) {
        snprintf(what, sizeof what, "output %d", k);
        const gold_record *want = gold_find(g, "%s/out%d", c->name, k);
        if (want || k == 0) { /* an output beside the first that PyTorch does not have is nobody's to compare */
            same_values(c->name, what, out[k], want, 1);
        }
        any |= gold_find(g, "%s/gout%d", c->name, k) != NULL;
    }
    if (!any) {
        return;
    }
    back_from_all(g, c, out);
    for (int k = 0; k < c->n_in; k++) {
        const gold_record *gin = gold_find(g, "%s/gin%d", c->name, k);
        if (gin) {
            snprintf(what, sizeof what, "gradient %d, %d times", k, times);
            same_values(c->name, what, c->in[k]->grad, gin, times);
        }
    }
}

static void run_golden_case(const gold_file *g, const char *name, bool scatter) {
    golden_case c;
    load_golden(&c, g, name, scatter);
    if (!scatter || c.op != LTH_OP_RESHAPE) { /* which is of contiguous arrays only */
        forward_and_back(g, &c, 1);
        forward_and_back(g, &c, 2);
    }
    lth_step_end(ctx.engine);
    for (int k = 0; k < c.n_in; k++) {
        free(c.kept[k].data);
    }
}

static int run_golden_file(const gold_file *g) {
    const char *name;
    int cases = 0;
    for (size_t at = 0; (name = gold_next_case(g, "", &at)); cases++) {
        char kept[GOLD_MAX_NAME];
        snprintf(kept, sizeof kept, "%s", name);
        run_golden_case(g, kept, false);
        run_golden_case(g, kept, true);
    }
    return cases;
}

/* Opens the engine on backend number `which`: 0 the reference, 1.. the cpu's instruction sets. False: this machine has it not. */
static bool open_on(int which) {
    static const char *const sets[] = {"reference", TEST_SETS};
    set = sets[which];
    lth_ctx_init(&ctx, LTH_TRAINER_THREAD);
    const lth_engine_opts opts = {.threads = 2, .isa = which ? set : NULL};
    if (lth_engine_open(&ctx.engine, which ? &lth_backend_cpu : &lth_backend_reference, &opts, &ctx.error) == LT_OK) {
        return true;
    }
    print_message("%s\n", ctx.error.text);
    return false;
}

static void golden_from(int first, void **state) {
    gold_file g;
    char path[512];
    int ran = 0;
    snprintf(path, sizeof path, "%s/golden/ops_%s.bin", TEST_DATA_DIR, (const char *)*state);
    if (gold_open(&g, path)) {
        fail_msg("%s", g.error);
    }
    for (int which = first; which <= TEST_N_SETS; which++) {
        if (open_on(which)) {
            assert_true(run_golden_file(&g) > 0);
            lth_engine_free(ctx.engine);
            ran++;
        }
    }
    assert_true(ran > 1);
    assert_int_equal(lth_alloc_live(), 0);
    gold_close(&g);
}
static UNUSED void golden_everywhere(void **state) { golden_from(0, state); }
#endif
