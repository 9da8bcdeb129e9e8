/* tests/engine/test_ops_matrix.c - holds the tests of operations to ops.def: every row must have PyTorch's values in every dtype that its shape
 * rule takes, gradients where it has one, an empty case, operands of two shapes where it broadcasts; and every row must refuse what does not
 * fit, with its name and the shapes or dtypes, and indices outside with argument, position and value. Computes no values itself. */
#include "test_golden_run.h"
#include <glob.h>

typedef struct seen { int cases, gradients, differenced; } seen;
typedef struct row { seen by[LT_BOOL + 1]; bool empty, two_shapes; int telling; char sample[GOLD_MAX_NAME]; const gold_file *file; } row;
static row rows[LTH_OP_COUNT];
static gold_file files[64];
static int n_files;

/* ---- what the golden files have ---- */
static lt_dtype dtype_of_case(const gold_file *g, const char *name, lth_op op) {
    const gold_record *in[4];
    for (int k = 0; k < 4; k++) {
        in[k] = gold_find(g, "%s/in%d", name, k);
    }
    const int own = op == LTH_OP_WHERE || op == LTH_OP_EMBEDDING ? 1 : 0; /* the first is a condition, indices */
    return in[own] ? in[own]->dtype : gold_find(g, "%s/out0", name)->dtype;
}

static void note_case(const gold_file *g, const char *name) {
    const lth_op op = op_called(gold_find(g, "%s/op", name));
    const lt_dtype dtype = dtype_of_case(g, name, op);
    row *r = &rows[op];
    const gold_record *first = NULL;
    bool gradient = false, empty = false;
    for (int k = 0; k < LTH_MAX_IN; k++) {
        const gold_record *in = gold_find(g, "%s/in%d", name, k);
        gradient |= gold_find(g, "%s/gin%d", name, k) != NULL;
        empty |= in && !in->numel;
        if (in && in->dtype != LT_BOOL && in->dtype != LT_I64) {
            r->two_shapes |= first && (first->ndim != in->ndim || memcmp(first->shape, in->shape, (size_t)in->ndim * sizeof *in->shape));
            first = first ? first : in;
        }
    }
    const gold_record *out = gold_find(g, "%s/out0", name);
    r->empty |= empty || !out->numel;
    r->by[dtype].cases++;
    r->by[dtype].gradients += gradient;
    r->by[dtype].differenced += gradient && dtype == LT_F64 && strstr(name, ".edge") && !gold_find(g, "%s/edge", name);
    const gold_record *x = gold_find(g, "%s/in0", name);
    int telling = x && x->ndim && x->shape[x->ndim - 1] > 1; /* a size of 1 would fit everything; the more inputs, the more there is to spoil */
    for (int k = 1; telling && k < LTH_MAX_IN; k++) {
        telling += gold_find(g, "%s/in%d", name, k) != NULL;
    }
    if ((!r->file || r->telling < telling) && !empty && out->numel && (dtype == LT_F32 || op == LTH_OP_ONE_HOT)) {
        r->telling = telling;
        snprintf(r->sample, sizeof r->sample, "%s", name);
        r->file = g;
    }
}

static int read_all(void **state) {
    (void)state;
    glob_t found;
    char pattern[512];
    snprintf(pattern, sizeof pattern, "%s/golden/*.bin", TEST_DATA_DIR);
    if (glob(pattern, 0, NULL, &found)) {
        return -1;
    }
    for (size_t k = 0; k < found.gl_pathc; k++) {
        const char *base = strrchr(found.gl_pathv[k], '/') + 1;
        if (strncmp(base, "ops_", 4) && strcmp(base, "recurrent.bin")) {
            continue;
        }
        gold_file *g = &files[n_files++];
        assert_int_equal(gold_open(g, found.gl_pathv[k]), 0);
        const char *name;
        for (size_t at = 0; (name = gold_next_case(g, "", &at));) {
            char kept[GOLD_MAX_NAME];
            snprintf(kept, sizeof kept, "%s", name);
            note_case(g, kept);
        }
    }
    globfree(&found);
    return n_files < 10;
}

static int close_all(void **state) {
    (void)state;
    for (int k = 0; k < n_files; k++) {
        gold_close(&files[k]);
    }
    return 0;
}

/* ---- a call of the sample case that can be spoilt ---- */
typedef struct sample_call { lth_attrs attrs; lt_tensor *in[LTH_MAX_IN]; int n; const char *name; } sample_call;

static lt_tensor *tensor_like(const gold_record *r, lt_dtype dtype, int ndim, const int64_t *shape) {
    lt_tensor *t = lth_tensor_table.full(&ctx, dtype, ndim, shape, 0);
    if (t && r->dtype == dtype && lth_numel(t) == r->numel) {
        memcpy(t->a.data, r->data, (size_t)r->numel * gold_dtype_size(dtype));
    }
    return t;
}

static sample_call sample_of(lth_op op) {
    const row *r = &rows[op];
    sample_call c = {.name = r->sample};
    const gold_record *whole = gold_find(r->file, "%s/attrs", c.name), *real = gold_find(r->file, "%s/fattrs", c.name); /* recurrent.bin has fewer */
    memcpy(c.attrs.i, whole->data, (size_t)whole->numel * sizeof *c.attrs.i);
    memcpy(c.attrs.f, real ? real->data : c.attrs.f, real ? sizeof c.attrs.f : 0);
    for (int k = 0; k < LTH_MAX_IN; k++) {
        const gold_record *in = gold_find(r->file, "%s/in%d", c.name, k);
        if (in) {
            c.in[k] = tensor_like(in, in->dtype, in->ndim, in->shape);
            c.n = k + 1;
        }
    }
    return c;
}

/* Does the shape rule take the sample with its f32 inputs made `dtype`? */
static bool rule_takes(lth_op op, lt_dtype dtype) {
    sample_call c = sample_of(op);
    for (int k = 0; k < c.n; k++) {
        if (c.in[k] && c.in[k]->a.dtype == LT_F32) {
            c.in[k] = lth_tensor_table.full(&ctx, dtype, c.in[k]->a.ndim, c.in[k]->a.shape, 0);
        }
    }
    if (op == LTH_OP_FULL || op == LTH_OP_ARANGE) {
        c.attrs.i[0] = dtype;
    }
    lth_array out[LTH_MAX_OUT] = {{0}};
    lth_call call = {.op = op, .n_in = (uint8_t)c.n, .n_out = lth_ops[op].n_out, .attrs = &c.attrs};
    for (int k = 0; k < LTH_MAX_OUT; k++) {
        call.out[k] = &out[k];
    }
    for (int k = 0; k < c.n; k++) {
        call.in[k] = c.in[k] ? &c.in[k]->a : NULL;
    }
    const bool good = lth_ops[op].shape(&call, &ctx.error) == LT_OK;
    lth_error_clear(&ctx.error);
    return good;
}

/* What rules take and PyTorch has no word on, with the reason. */
static const struct { lth_op op; lt_dtype dtype; const char *why; } no_word[] = {
    {LTH_OP_ARANGE, LT_BOOL, "torch.arange has no bool"},
};

static bool excused(lth_op op, lt_dtype dtype) {
    for (size_t k = 0; k < sizeof no_word / sizeof *no_word; k++) {
        if (no_word[k].op == op && no_word[k].dtype == dtype) {
            return true;
        }
    }
    return false;
}

static void every_row_has_its_cases(void **state) {
    (void)state;
    int missing = 0;
    assert_true(open_on(0));
    for (int op = 0; op < LTH_OP_COUNT; op++) {
        const row *r = &rows[op];
        const char *name = lth_ops[op].name;
        if (!r->file) {
            print_message("%s: no case\n", name), missing++;
            continue;
        }
        for (lt_dtype dtype = LT_F64; dtype <= LT_BOOL; dtype++) {
            const bool takes = op == LTH_OP_ONE_HOT ? dtype == LT_I64 : rule_takes((lth_op)op, dtype);
            if (takes && !r->by[dtype].cases && !excused((lth_op)op, dtype)) {
                print_message("%s takes %s, but there is no case of it\n", name, lth_dtype_name(dtype)), missing++;
            }
            if (takes && dtype <= LT_BF16 && lth_ops[op].gradient != LTH_GRAD_NONE && !r->by[dtype].gradients) {
                print_message("%s: no gradient in %s\n", name, lth_dtype_name(dtype)), missing++;
            }
        }
        if (lth_ops[op].gradient != LTH_GRAD_NONE && op != LTH_OP_CAST && !r->by[LT_F64].differenced) {
            print_message("%s: its gradient is not compared with finite differences\n", name), missing++;
        }
        if (!r->empty) {
            print_message("%s: no empty case\n", name), missing++;
        }
        const bool spreads = lth_ops[op].shape == lth_ops[LTH_OP_ADD].shape || lth_ops[op].shape == lth_ops[LTH_OP_EQ].shape ||
                             op == LTH_OP_WHERE || op == LTH_OP_MATMUL;
        if (spreads && !r->two_shapes) {
            print_message("%s: no case that broadcasts\n", name), missing++;
        }
        lth_step_end(ctx.engine);
    }
    lth_engine_free(ctx.engine);
    assert_int_equal(missing, 0);
}

/* ---- refusals ---- */
static bool refused(lth_op op, sample_call *c, lt_status status, const char *told, const char *also) {
    lt_tensor *out[LTH_MAX_OUT] = {0};
    const bool good = lth_apply_all(&ctx, op, c->in, c->n, &c->attrs, NULL, out);
    if (!good) {
        const bool fits = ctx.error.code == status && strstr(ctx.error.text, lth_ops[op].name) && strstr(ctx.error.text, told) &&
                          (!also || strstr(ctx.error.text, also));
        if (!fits) {
            fail_msg("%s on %s: expected status %d, its name, '%s' and '%s' in: %d, %s", lth_ops[op].name, set, (int)status, told, also ? also : "",
                     (int)ctx.error.code, ctx.error.text);
        }
    }
    lth_error_clear(&ctx.error);
    return !good;
}

/* A dimension more, a larger last one: refused naming the shape it has, or taken (an operation of any shape). */
static int spoil_shapes(lth_op op) {
    int count = 0;
    for (int how = 0; how < 2; how++) {
        sample_call whole = sample_of(op);
        for (int k = 0; k < whole.n; k++) { /* indices that every shape has */
            if (whole.in[k] && whole.in[k]->a.dtype == LT_I64) {
                memset(whole.in[k]->a.data, 0, (size_t)lth_numel(whole.in[k]) * sizeof(int64_t));
            }
        }
        for (int k = 0; k < whole.n; k++) {
            sample_call c = whole;
            lt_tensor *t = c.in[k];
            if (!t || t->a.ndim + 1 > LT_MAX_DIMS) {
                continue;
            }
            int64_t shape[LT_MAX_DIMS + 1] = {3};
            const int more = how == 0;
            memcpy(shape + more, t->a.shape, t->a.ndim * sizeof *shape);
            if (!more && t->a.ndim) {
                shape[t->a.ndim - 1] += 3;
            }
            c.in[k] = lth_tensor_table.full(&ctx, t->a.dtype, t->a.ndim + more, shape, 0);
            char text[200];
            lth_format_shape(text, sizeof text, shape, t->a.ndim + more);
            count += refused(op, &c, LT_ESHAPE, text, NULL);
        }
    }
    return count;
}

/* One input of another dtype: refused naming it. */
static int spoil_dtypes(lth_op op) {
    int count = 0;
    for (lt_dtype dtype = LT_F64; dtype <= LT_BOOL; dtype++) {
        sample_call whole = sample_of(op);
        for (int k = 0; k < whole.n; k++) {
            sample_call c = whole;
            if (!c.in[k] || c.in[k]->a.dtype == dtype || (op == LTH_OP_CROSS_ENTROPY && k == 1 && dtype <= LT_BF16)) { /* a target of floats: probabilities */
                continue;
            }
            c.in[k] = lth_tensor_table.full(&ctx, dtype, c.in[k]->a.ndim, c.in[k]->a.shape, 0);
            count += refused(op, &c, LT_EDTYPE, lth_dtype_name(dtype), "must be");
        }
    }
    return count;
}

/* Rows that take any shape, or any dtype: nothing of the kind can be wrong. */
static bool any_shape(lth_op op) {
    const lth_op_info *i = &lth_ops[op];
    return i->max_in == 0 || i->shape == lth_ops[LTH_OP_COPY].shape || i->shape == lth_ops[LTH_OP_CAST].shape || op == LTH_OP_LOGICAL_NOT ||
           i->shape == lth_ops[LTH_OP_SUM].shape || i->shape == lth_ops[LTH_OP_MAX].shape || i->shape == lth_ops[LTH_OP_ARGMAX].shape ||
           i->shape == lth_ops[LTH_OP_MAX_ALONG].shape || op == LTH_OP_CUMSUM || op == LTH_OP_PERMUTE || op == LTH_OP_SLICE || op == LTH_OP_CAT ||
           i->shape == lth_ops[LTH_OP_ROLL].shape || op == LTH_OP_PAD || op == LTH_OP_ONE_HOT || i->shape == lth_ops[LTH_OP_TOPK].shape;
}

static bool any_dtype(lth_op op) {
    const lth_op_info *i = &lth_ops[op];
    return i->max_in < 2 && op != LTH_OP_ONE_HOT && rule_takes(op, LT_BOOL);
}

static void every_row_refuses(void **state) {
    const int which = (int)(intptr_t)*state;
    int missing = 0;
    if (!open_on(which)) {
        assert_true(which && which != TEST_BASELINE + 1); /* these two every machine has */
        skip();
    }
    for (int op = 0; op < LTH_OP_COUNT; op++) {
        if (!any_shape((lth_op)op) && !spoil_shapes((lth_op)op)) {
            print_message("%s takes every shape\n", lth_ops[op].name), missing++;
        }
        if (lth_ops[op].max_in && !any_dtype((lth_op)op) && !spoil_dtypes((lth_op)op)) {
            print_message("%s takes every dtype\n", lth_ops[op].name), missing++;
        }
        lth_step_end(ctx.engine);
    }
    lth_engine_free(ctx.engine);
    assert_int_equal(missing, 0);
}

/* ---- indices outside ---- */
static const struct { lth_op op; int input; const char *argument; } indexed[] = {
    {LTH_OP_GATHER, 1, "index"}, {LTH_OP_SCATTER_ADD, 1, "index"}, {LTH_OP_INDEX_SELECT, 1, "index"}, {LTH_OP_ONE_HOT, 0, "index"},
    {LTH_OP_EMBEDDING, 0, "ind"}, {LTH_OP_CROSS_ENTROPY, 1, "target"}, {LTH_OP_NLL_LOSS, 1, "target"}, {LTH_OP_ACCURACY, 1, "target"},
};

static void indices_outside(void **state) {
    const int which = (int)(intptr_t)*state;
    if (!open_on(which)) {
        assert_true(which && which != TEST_BASELINE + 1); /* these two every machine has */
        skip();
    }
    static const int64_t bad[] = {-1, 1000, INT64_MAX, INT64_MIN, -100};
    for (size_t k = 0; k < sizeof indexed / sizeof *indexed; k++) {
        const lth_op op = indexed[k].op;
        for (size_t b = 0; b < sizeof bad / sizeof *bad; b++) {
            for (int last = 0; last < 2; last++) { /* the first one, the last one */
                sample_call c = sample_of(op);
                lt_tensor *index = c.in[indexed[k].input];
                char value[32];
                assert_int_equal(index->a.dtype, LT_I64);
                ((int64_t *)index->a.data)[last ? lth_numel(index) - 1 : 0] = bad[b];
                snprintf(value, sizeof value, "%lld", (long long)bad[b]);
                if (!refused(op, &c, LT_EINDEX, indexed[k].argument, value)) {
                    fail_msg("%s on %s took index %s", lth_ops[op].name, set, value);
                }
            }
        }
        lth_step_end(ctx.engine);
    }
    lth_engine_free(ctx.engine);
}

#define ON(text, test, which) {text, test, NULL, NULL, (void *)(intptr_t)(which)}
_Static_assert(TEST_N_SETS == 4, "a row for each set");
int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_has_its_cases),
        ON("refusals of reference", every_row_refuses, 0), ON("refusals of cpu", every_row_refuses, TEST_BASELINE + 1),
        ON("indices outside: reference", indices_outside, 0), ON("indices outside: set 1", indices_outside, 1),
        ON("indices outside: set 2", indices_outside, 2), ON("indices outside: set 3", indices_outside, 3), ON("indices outside: set 4", indices_outside, 4),
    };
    return cmocka_run_group_tests_name("engine.ops_matrix", tests, read_all, close_all);
}
