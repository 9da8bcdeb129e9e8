/* tests/engine/test_ops_losses.c - the losses: PyTorch's values and gradients on every backend; finite differences; refusals; the same
 * bits for any number of threads. */
#include "test_golden_run.h"

static const lt_tensor_api *const T = &lth_tensor_table;
#define SHAPE(...) (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[]){__VA_ARGS__}

static int open_engine(void **state) {
    (void)state;
    return !open_on(1) && !open_on(3);
}

static int close_engine(void **state) {
    (void)state;
    lth_engine_free(ctx.engine);
    return lth_alloc_live() != 0;
}

static lt_tensor *of(lt_dtype dtype, int ndim, const int64_t *shape, const double *values) {
    return T->cast(&ctx, T->from_data(&ctx, LT_F64, ndim, shape, values), dtype);
}

/* ---- refusals ---- */
#define REFUSES(call, status, words) \
    do { \
        assert_null(call); \
        assert_int_equal(ctx.error.code, status); \
        if (!strstr(ctx.error.text, words)) { \
            fail_msg("says \"%s\", not \"%s\"", ctx.error.text, words); \
        } \
        lth_error_clear(&ctx.error); \
    } while (0)

static void test_refusals(void **state) {
    (void)state;
    const lt_loss_opts batch = {.struct_size = sizeof batch, .reduction = LT_BATCHMEAN}, low = {.struct_size = sizeof low, .delta = -1};
    lt_tensor *x = of(LT_F32, SHAPE(2, 3), (double[]){0.1, 0.2, 0.3, 0.4, 1.5, 0.6}), *half = T->full(&ctx, LT_F32, SHAPE(2, 3), 0.5);
    lt_tensor *labels = T->from_data(&ctx, LT_I64, SHAPE(2), (int64_t[]){0, 3}), *narrow = T->full(&ctx, LT_F32, SHAPE(2), 1);
    const lt_loss_opts weight = {.struct_size = sizeof weight, .weight = narrow};
    const lt_cross_entropy_opts classes = {.struct_size = sizeof classes, .weight = narrow}, skips = {.struct_size = sizeof skips, .has_ignore_index = 1};
    REFUSES(T->l1_loss(&ctx, x, narrow, NULL), LT_ESHAPE, "l1_loss: x (2, 3) and target (2) must have the same shape");
    REFUSES(T->l1_loss(&ctx, x, labels, NULL), LT_EDTYPE, "l1_loss: x is f32 and target is i64");
    REFUSES(T->l1_loss(&ctx, x, x, &batch), LT_EINVAL, "l1_loss: reduction 3");
    REFUSES(T->huber_loss(&ctx, x, x, &low), LT_EINVAL, "huber_loss: delta is -1");
    REFUSES(T->bce_loss(&ctx, x, half, NULL), LT_EINVAL, "bce_loss: x is 1.5 at position 4");
    REFUSES(T->bce_with_logits(&ctx, x, half, &weight), LT_ESHAPE, "bce_with_logits: weight (2) does not broadcast to x (2, 3)");
    REFUSES(T->cross_entropy(&ctx, x, labels, &classes), LT_ESHAPE, "cross_entropy: weight (2) does not fit");
    REFUSES(T->cross_entropy(&ctx, x, labels, NULL), LT_EINDEX, "label");
    REFUSES(T->nll_loss(&ctx, x, labels, NULL), LT_EINDEX, "nll_loss: target has label 3 in row 1, outside 0..2 (C = 3)");
    REFUSES(T->nll_loss(&ctx, x, half, NULL), LT_EDTYPE, "nll_loss: target is f32, but must be i64");
    REFUSES(T->cross_entropy(&ctx, x, half, &skips), LT_EINVAL, "ignore_index is for labels");
    REFUSES(T->cross_entropy(&ctx, x, narrow, NULL), LT_ESHAPE, "cross_entropy: target (2) does not fit logits (2, 3): target must be (2, 3)");
    REFUSES(T->cosine_embedding_loss(&ctx, x, x, half, NULL), LT_ESHAPE, "cosine_embedding_loss: target (2, 3) does not fit a (2, 3): it must be (2)");
    REFUSES(T->cosine_similarity(&ctx, x, x, 2, 1e-8), LT_EINDEX, "cosine_similarity: x (2, 3) has no dimension 2");
    half->requires_grad = 1;
    const lt_loss_opts learned = {.struct_size = sizeof learned, .weight = half};
    lt_tensor *loss = T->bce_with_logits(&ctx, x, T->full(&ctx, LT_F32, SHAPE(2, 3), 1), &learned);
    assert_non_null(loss);
    assert_int_equal(lth_backward(&ctx, loss, NULL, 1), LT_EUNSUPPORTED);
    lth_error_clear(&ctx.error);
}

static void test_defaults(void **state) { /* beta and delta 1, the mean; a similarity along any dimension */
    (void)state;
    double value[3];
    lt_tensor *x = of(LT_F32, SHAPE(2, 2), (double[]){0, 3, 1, 0.5}), *t = T->full(&ctx, LT_F32, SHAPE(2, 2), 0);
    lt_tensor *cosine = T->cosine_similarity(&ctx, x, T->full(&ctx, LT_F32, SHAPE(2, 2), 2), 0, 1e-8);
    value[0] = T->item(&ctx, T->smooth_l1_loss(&ctx, x, t, NULL)), value[1] = T->item(&ctx, T->huber_loss(&ctx, x, t, NULL));
    assert_true(fabs(value[0] - 3.125 / 4) < 1e-6 && fabs(value[1] - 3.125 / 4) < 1e-6);
    assert_int_equal(lth_tensor_read(cosine, 0, 2, value, &ctx.error), LT_OK);
    assert_true(fabs(value[0] - 1 / sqrt(2)) < 1e-6 && fabs(value[1] - 3.5 / sqrt(2 * 9.25)) < 1e-6);
}

/* ---- finite differences ---- */
static lt_tensor *many_losses(lt_ctx *c, lt_tensor *const *in, int n, void *arg) {
    (void)n, (void)arg;
    const lt_loss_opts half = {.struct_size = sizeof half, .beta = 0.5, .delta = 0.5, .margin = 0.1, .weight = in[3], .pos_weight = in[3]};
    const lt_loss_opts batch = {.struct_size = sizeof batch, .reduction = LT_BATCHMEAN}, logs = {.struct_size = sizeof logs, .log_target = 1};
    const lt_cross_entropy_opts weighted = {.struct_size = sizeof weighted, .weight = in[3], .label_smoothing = 0.2, .reduction = LT_SUM};
    lt_tensor *x = in[0], *y = in[1], *p = T->sigmoid(c, x), *q = T->sigmoid(c, y);
    lt_tensor *parts[] = {T->l1_loss(c, x, y, NULL), T->smooth_l1_loss(c, x, y, &half), T->huber_loss(c, x, y, &half), T->bce_loss(c, p, q, &half),
                          T->bce_with_logits(c, x, q, &half), T->kl_div(c, x, q, &batch), T->kl_div(c, x, y, &logs),
                          T->cross_entropy(c, x, in[2], &weighted), T->cross_entropy(c, x, T->softmax(c, y, 1), &weighted),
                          T->nll_loss(c, T->log_softmax(c, y, 1), in[2], NULL), T->cosine_embedding_loss(c, x, y, in[4], &half),
                          T->sum(c, T->cosine_similarity(c, x, y, 0, 1e-8), NULL, 0, false)};
    lt_tensor *sum = parts[0];
    for (size_t k = 1; k < sizeof parts / sizeof *parts; k++) {
        sum = T->add(c, sum, parts[k]);
    }
    return sum;
}

static void test_finite_differences(void **state) {
    (void)state;
    const double a[12] = {0.3, -1.2, 2.1, 0.7, 1.9, -0.4, -2.2, 1.1, 0.05, 0.6, -0.9, 1.4},
                 b[12] = {1.3, -0.2, 0.1, 2.7, -1.5, 0.6, -0.8, 0.9, 0.45, -1.1, 0.25, 0.8};
    lt_tensor *in[5] = {T->from_data(&ctx, LT_F64, SHAPE(4, 3), a), T->from_data(&ctx, LT_F64, SHAPE(4, 3), b),
                        T->from_data(&ctx, LT_I64, SHAPE(4), (int64_t[]){2, 0, 1, 1}), T->from_data(&ctx, LT_F64, SHAPE(3), (double[]){0.5, 2, 1.3}),
                        T->from_data(&ctx, LT_F64, SHAPE(4), (double[]){1, -1, -1, 1})};
    in[0]->requires_grad = in[1]->requires_grad = 1;
    const double worst = lth_gradcheck(&ctx, many_losses, in, 5, NULL, 1e-5);
    if (!(worst < 1e-6)) {
        fail_msg("off by %g: %s", worst, ctx.error.text);
    }
}

/* ---- bits: one thread and four ---- */
enum { ROWS = 70, CLASSES = 90, PIXELS = 9, N = ROWS * CLASSES * PIXELS };

static void losses_of(int threads, float *out, float *grad) {
    float *x = calloc(N, sizeof *x);
    int64_t *labels = calloc(ROWS * PIXELS, sizeof *labels);
    lth_ctx_init(&ctx, LTH_TRAINER_THREAD);
    assert_int_equal(lth_engine_open(&ctx.engine, &lth_backend_cpu, &(lth_engine_opts){.threads = threads}, &ctx.error), LT_OK);
    for (int i = 0; i < N; i++) {
        x[i] = (float)((i * 7919 + 13) % 4001) / 1000 - 2;
    }
    for (int i = 0; i < ROWS * PIXELS; i++) {
        labels[i] = i * 31 % CLASSES;
    }
    lt_tensor *a = T->from_data(&ctx, LT_F32, SHAPE(ROWS, CLASSES, PIXELS), x), *b = T->full(&ctx, LT_F32, SHAPE(ROWS, CLASSES, PIXELS), 0.25);
    lt_tensor *t = T->from_data(&ctx, LT_I64, SHAPE(ROWS, PIXELS), labels);
    a->requires_grad = 1;
    lt_tensor *sum = T->cross_entropy(&ctx, a, t, NULL);
    sum = T->add(&ctx, sum, T->cross_entropy(&ctx, a, T->softmax(&ctx, b, 1), NULL));
    sum = T->add(&ctx, sum, T->bce_with_logits(&ctx, a, b, NULL));
    sum = T->add(&ctx, sum, T->huber_loss(&ctx, a, b, NULL));
    assert_int_equal(lth_backward(&ctx, sum, NULL, 1), LT_OK);
    *out = (float)T->item(&ctx, sum);
    memcpy(grad, a->grad->a.data, N * sizeof *grad);
    lth_engine_free(ctx.engine);
    free(x);
    free(labels);
}

static void test_threads(void **state) {
    (void)state;
    float *grads = calloc(2 * N, sizeof *grads), sums[2];
    losses_of(1, &sums[0], grads);
    losses_of(4, &sums[1], grads + N);
    assert_memory_equal(&sums[0], &sums[1], sizeof sums[0]);
    assert_memory_equal(grads, grads + N, N * sizeof *grads);
    free(grads);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_engine, close_engine)
int main(void) {
    const struct CMUnitTest tests[] = {TEST(test_refusals), TEST(test_defaults), TEST(test_finite_differences), cmocka_unit_test(test_threads),
                                       {"golden losses", golden_everywhere, NULL, NULL, (void *)(uintptr_t)"losses"}};
    return cmocka_run_group_tests_name("engine.ops_losses", tests, NULL, NULL);
}
