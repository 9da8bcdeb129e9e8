/* tests/engine/test_bf16_true.c - precision bf16-true: every optimizer's update bit for bit PyTorch's, on both backends and every instruction
 * set; two networks train as there (losses, norms of gradients, running statistics); parameters, gradients, buffers and state are bf16; one
 * thread and two give the same bits. Golden data: tests/golden/bf16_true.bin. */
#include "../golden/golden.h"
#include "base/mem.h"
#include "engine/data/loader.h"
#include "engine/ops/ops.h"
#include "engine/optim/optim.h"
#include "instruction_sets.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { STEPS = 20, BATCH = 8, PIXELS = 28 * 28, N = 64 };
static const lt_nn_api *const nn = &lth_nn_table;
static const char *const sets[] = {TEST_SETS, NULL}; /* NULL: the reference backend */
static gold_file gold;

#define SEQ(ctx, ...) nn->sequential(ctx, "", (lt_module *const[]){__VA_ARGS__}, sizeof((lt_module *const[]){__VA_ARGS__}) / sizeof(lt_module *))

static bool open_engine(lt_ctx *c, const char *set, int threads) {
    lth_ctx_init(c, LTH_TRAINER_THREAD);
    const lth_engine_opts opts = {.seed = 42, .threads = threads, .isa = set, .dtype = LT_BF16};
    if (lth_engine_open(&c->engine, set ? &lth_backend_cpu : &lth_backend_reference, &opts, &c->error) < 0) {
        print_message("%s\n", c->error.text);
        return false;
    }
    return true;
}

static int open_golden(void **state) {
    (void)state;
    return gold_open(&gold, TEST_DATA_DIR "/golden/bf16_true.bin");
}
static int close_golden(void **state) {
    (void)state;
    gold_close(&gold);
    return 0;
}
static const float *floats(const char *name, const char *what) { return gold_data(gold_find(&gold, "%s%s", name, what), GOLD_F32); }
static const double *doubles(const char *name, const char *what) { return gold_data(gold_find(&gold, "%s%s", name, what), GOLD_F64); }

/* ---- the optimizers, one parameter each ---- */
static lt_status nadam(lt_ctx *c, const lt_span *span) {
    static double product;
    lt_nadam_args a = {.struct_size = sizeof a, .lr = 1e-2, .beta1 = 0.8, .beta2 = 0.97, .eps = 1e-8, .weight_decay = 0.1};
    a.mu = 0.8 * (1 - 0.5 * pow(0.96, (double)span->step * 4e-3));
    a.mu_next = 0.8 * (1 - 0.5 * pow(0.96, (double)(span->step + 1) * 4e-3));
    product = (double)(float)((span->step == 1 ? 1 : product) * a.mu);
    a.mu_product = product;
    return lth_optim_table.rule(c, span, LT_RULE_NADAM, &a);
}

#define SGD(name, ...) \
    static lt_status name(lt_ctx *c, const lt_span *span) { \
        return lth_optim_table.sgd(c, span, &(lt_sgd_args){.struct_size = sizeof(lt_sgd_args), __VA_ARGS__}); \
    }
#define ADAM(name, ...) \
    static lt_status name(lt_ctx *c, const lt_span *span) { \
        return lth_optim_table.adam(c, span, &(lt_adam_args){.struct_size = sizeof(lt_adam_args), __VA_ARGS__}); \
    }
#define RULE(name, kind, type, ...) \
    static lt_status name(lt_ctx *c, const lt_span *span) { \
        return lth_optim_table.rule(c, span, kind, &(type){.struct_size = sizeof(type), __VA_ARGS__}); \
    }
SGD(sgd, .lr = 0.05)
SGD(sgd_all, .lr = 0.05, .momentum = 0.9, .nesterov = 1, .weight_decay = 0.01)
SGD(sgd_dampening, .lr = 0.03, .momentum = 0.8, .dampening = 0.3, .maximize = 1)
ADAM(adam, .lr = 1e-2, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8)
ADAM(adam_amsgrad, .lr = 1e-2, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.02, .amsgrad = 1)
ADAM(adamw, .lr = 3e-2, .beta1 = 0.8, .beta2 = 0.95, .eps = 1e-8, .weight_decay = 0.1, .decoupled = 1)
RULE(rmsprop, LT_RULE_RMSPROP, lt_rmsprop_args, .lr = 1e-2, .alpha = 0.99, .eps = 1e-8, .weight_decay = 0.05)
RULE(rmsprop_all, LT_RULE_RMSPROP, lt_rmsprop_args, .lr = 2e-3, .alpha = 0.95, .momentum = 0.7, .centered = 1, .eps = 1e-3)
RULE(adagrad, LT_RULE_ADAGRAD, lt_adagrad_args, .lr = 0.1, .lr_decay = 0.02, .weight_decay = 0.1, .eps = 1e-10)
RULE(adadelta, LT_RULE_ADADELTA, lt_adadelta_args, .lr = 0.7, .rho = 0.95, .eps = 1e-4, .weight_decay = 0.05)
RULE(lion, LT_RULE_LION, lt_lion_args, .lr = 3e-3, .beta1 = 0.95, .beta2 = 0.98, .weight_decay = 0.2)
static const struct rule { const char *name; lt_status (*step)(lt_ctx *, const lt_span *); } rules[] = {
    {"sgd", sgd}, {"sgd.all", sgd_all}, {"sgd.dampening", sgd_dampening}, {"adam", adam}, {"adam.amsgrad", adam_amsgrad}, {"adamw", adamw},
    {"nadam", nadam}, {"rmsprop", rmsprop}, {"rmsprop.all", rmsprop_all}, {"adagrad", adagrad}, {"adadelta", adadelta}, {"lion", lion}};

static void one_rule(lt_ctx *c, const struct rule *rule, const char *set) {
    uint16_t p[N], g[N], slot[3][N] = {{0}};
    const float *grads = floats("grads", ""), *want = floats(rule->name, "/param");
    lth_elements_convert(LT_BF16, p, LT_F32, floats("start", ""), N);
    for (int step = 0; step < STEPS; step++) {
        lth_elements_convert(LT_BF16, g, LT_F32, grads + step * N, N);
        const lt_span span = {.struct_size = sizeof span, .n_slots = 3, .n = N, .param = p, .grad = g, .slot = {slot[0], slot[1], slot[2]},
                              .step = step + 1, .name = "p", .dtype = LT_BF16};
        assert_int_equal(rule->step(c, &span), LT_OK);
        for (int i = 0; i < N; i++) {
            const double found = lth_element_get(LT_BF16, p, i), wanted = (double)want[step * N + i];
            if (!(found == wanted)) {
                fail_msg("%s on %s, step %d, element %d: %.9g, torch has %.9g", rule->name, set ? set : "reference", step + 1, i, found, wanted);
            }
        }
    }
}

static void optimizers(void **state) {
    (void)state;
    for (int k = 0; k <= TEST_N_SETS; k++) {
        lt_ctx c;
        if (open_engine(&c, sets[k], 1)) {
            for (size_t r = 0; r < sizeof rules / sizeof *rules; r++) {
                one_rule(&c, &rules[r], sets[k]);
            }
            lth_engine_free(c.engine);
        }
    }
}

/* Longer than a chunk and not a multiple of one: threads and sets agree, and so does the sum of squares. */
static void long_spans(void **state) {
    (void)state;
    enum { LONG = 50001 };
    uint16_t *memory = lth_alloc(6 * LONG * sizeof *memory), *first = memory + 5 * LONG;
    assert_non_null(memory);
    double squares = 0;
    for (int run = 0; run < 5; run++) {
        lt_ctx c;
        double sum = 0;
        if (!open_engine(&c, run < 2 ? "baseline" : run == 2 ? "avx2" : run == 3 ? "avx512_bf16" : NULL, run + 1)) {
            continue;
        }
        for (int i = 0; i < 5 * LONG; i++) {
            lth_element_set(LT_BF16, memory, i, i < 2 * LONG ? sin(0.1 * i) : 0);
        }
        const lt_span span = {.struct_size = sizeof span, .n_slots = 3, .n = LONG, .param = memory, .grad = memory + LONG,
                              .slot = {memory + 2 * LONG, memory + 3 * LONG, memory + 4 * LONG}, .step = 1, .name = "p", .dtype = LT_BF16};
        assert_int_equal(adamw(&c, &span), LT_OK);
        assert_int_equal(rmsprop_all(&c, &span), LT_OK);
        const lth_backend *b = c.engine->backend;
        assert_int_equal(b->sum_squares(c.engine->device, LT_BF16, span.grad, LONG, &sum, &c.error), LT_OK);
        assert_int_equal(b->clamp(c.engine->device, LT_BF16, span.param, LONG, -0.5, 0.5, &c.error), LT_OK);
        assert_int_equal(b->scale(c.engine->device, LT_BF16, span.param, LONG, 0.75, &c.error), LT_OK);
        assert_true(fabs(lth_element_get(LT_BF16, memory, 15)) == 0.375);
        if (run == 0) {
            memcpy(first, memory, LONG * sizeof *first);
            squares = sum;
            assert_true(fabs(sum - 0.5 * LONG) < 0.01 * LONG);
        }
        assert_memory_equal(first, memory, LONG * sizeof *first);
        assert_true(fabs(sum - squares) <= 1e-9 * squares);
        lth_engine_free(c.engine);
    }
    lth_free(memory);
}

/* ---- two networks ---- */
typedef struct net { lt_ctx ctx; lt_module *root; lth_optim *optim; double rate; bool lenet; } net;
static const lt_slot first_slot = {"exp_avg", 0}, second_slot = {"exp_avg_sq", 0};
static const lt_slot *const slots[] = {&first_slot, &second_slot, NULL};
static double rate(lt_ctx *ctx, void *self) {
    (void)ctx;
    return ((const net *)self)->rate;
}
static lt_status step_of(lt_ctx *c, void *self, const lt_group *const *groups, uint32_t n_groups) {
    (void)n_groups;
    for (uint32_t k = 0; k < groups[0]->n_spans; k++) {
        const lt_span *span = groups[0]->spans[k];
        assert_int_equal(span->dtype, LT_BF16);
        if (((const net *)self)->lenet) {
            lth_optim_table.adam(c, span, &(lt_adam_args){.struct_size = sizeof(lt_adam_args), .lr = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8});
        } else {
            lth_optim_table.sgd(c, span, &(lt_sgd_args){.struct_size = sizeof(lt_sgd_args), .lr = 0.05, .momentum = 0.9});
        }
    }
    return c->error.code;
}
static const lt_optimizer optimizer = {.base = {.struct_size = sizeof(lt_optimizer), .kind = "lt.optimizer/1", .id = "Own", .flags = LT_OPTIM_ANY_DTYPE},
                                       .slots = slots, .lr = rate, .step = step_of};

static lt_module *build(lt_ctx *c, bool lenet) {
    lt_nn_conv2d_opts one = {.struct_size = sizeof one, .padding = 1}, two = {.struct_size = sizeof two, .padding = 2};
    lt_pool2d_opts half = {.struct_size = sizeof half, .kernel = {2, 2}}, quarter = {.struct_size = sizeof quarter, .kernel = {4, 4}};
    lt_module *m[12];
    if (!lenet) {
        m[0] = nn->conv2d(c, 1, 6, 3, &one), m[1] = nn->batch_norm(c, 2, 6, NULL), m[2] = nn->linear(c, 294, 32, true), m[3] = nn->linear(c, 32, 10, true);
        return SEQ(c, m[0], m[1], nn->activation(c, LT_ACT_RELU), nn->max_pool2d(c, &quarter), nn->flatten(c, 1), m[2], nn->activation(c, LT_ACT_TANH), m[3]);
    }
    m[0] = nn->conv2d(c, 1, 6, 5, &two), m[1] = nn->conv2d(c, 6, 16, 5, NULL);
    m[2] = nn->linear(c, 400, 120, true), m[3] = nn->linear(c, 120, 84, true), m[4] = nn->linear(c, 84, 10, true);
    for (int k = 0; k < 4; k++) {
        m[5 + k] = nn->activation(c, LT_ACT_RELU);
    }
    return SEQ(c, m[0], m[5], nn->max_pool2d(c, &half), m[1], m[6], nn->max_pool2d(c, &half), nn->flatten(c, 1), m[2], m[7], m[3], m[8], m[4]);
}

static bool open_net(net *n, const char *set, int threads, bool lenet) {
    *n = (net){.lenet = lenet, .rate = lenet ? 1e-3 : 0.05};
    if (!open_engine(&n->ctx, set, threads)) {
        return false;
    }
    n->ctx.modules = lth_modules_new(n->ctx.engine, &n->ctx.error);
    n->ctx.in_configure = true;
    n->root = build(&n->ctx, lenet);
    n->ctx.in_configure = false;
    assert_int_equal(lth_modules_seal(n->ctx.modules, &n->ctx.error), LT_OK);
    assert_int_equal(lth_optim_new(&n->optim, n->ctx.modules, &optimizer, n, &n->ctx), LT_OK);
    return true;
}

static void close_net(net *n) {
    lth_optim_free(n->optim);
    lth_modules_free(n->ctx.modules);
    lth_engine_free(n->ctx.engine);
}

static double train_step(net *n, int step, double *norm) {
    lt_ctx *c = &n->ctx;
    const uint8_t *pixels = gold_data(gold_find(&gold, "pixels"), GOLD_U8);
    const int64_t *labels = gold_data(gold_find(&gold, "labels"), GOLD_I64);
    lt_tensor *x = lth_tensor_table.full(c, LT_F32, 4, (const int64_t[]){BATCH, 1, 28, 28}, 0);
    lt_tensor *y = lth_tensor_table.from_data(c, LT_I64, 1, (const int64_t[]){BATCH}, labels + step * BATCH);
    for (int64_t i = 0; i < (int64_t)BATCH * PIXELS; i++) {
        ((float *)x->a.data)[i] = (float)pixels[step * BATCH * PIXELS + i] / 255.f;
    }
    lth_batch_item item = {.tensor = x};
    lt_batch batch = {.count = 1, .size = BATCH, .items = {item}};
    assert_int_equal(lth_batch_convert(&batch, c), LT_OK);
    assert_int_equal(batch.items[0].tensor->a.dtype, LT_BF16);
    lt_tensor *in[2] = {lth_module_forward(c, n->root, batch.items[0].tensor, NULL), y};
    lt_tensor *loss = lth_apply(c, LTH_OP_CROSS_ENTROPY, in, 2, NULL, NULL);
    if (!loss) {
        fail_msg("%s", c->error.text);
    }
    assert_int_equal(loss->a.dtype, LT_BF16);
    const double value = lth_element_get(LT_BF16, loss->a.data, 0);
    lth_modules_zero_grad(c->modules);
    assert_int_equal(lth_backward(c, loss, NULL, 1), LT_OK);
    assert_int_equal(lth_clip_norm(c->modules, 1.0, norm, &c->error), LT_OK);
    assert_int_equal(lth_optim_step(n->optim, c), LT_OK);
    lth_step_end(c->engine);
    return value;
}

static void near(const char *set, const char *what, int at, double found, double want, double limit, double *worst) {
    const double off = fabs(found - want) / fmax(fabs(want), 0.0625);
    *worst = off > *worst ? off : *worst;
    if (!(off <= limit)) {
        fail_msg("%s on %s, %d: %.9g, torch has %.9g: %.2g apart", what, set ? set : "reference", at, found, want, off);
    }
}

static void check_state(net *n, const char *set) {
    double worst = 0;
    for (int64_t k = 0; k < lth_state_count(n->ctx.modules); k++) {
        lt_tensor *value = lth_state_at(n->ctx.modules, k).value;
        const char *name = lth_state_at(n->ctx.modules, k).name, *dot = strrchr(name, '.');
        assert_true(value->a.dtype == LT_BF16 || value->a.dtype == LT_I64);
        assert_true(!value->grad || value->grad->a.dtype == LT_BF16);
        const float *want = dot && !strcmp(dot, ".running_mean")  ? floats("normed/mean", "")
                            : dot && !strcmp(dot, ".running_var") ? floats("normed/var", "")
                                                                  : NULL;
        for (int64_t i = 0; want && i < 6; i++) {
            near(set, name, (int)i, lth_element_get(LT_BF16, value->a.data, i), (double)want[i], 1.6e-2, &worst);
        }
    }
}

static void training(void **state) {
    (void)state;
    for (int lenet = 0; lenet < 2; lenet++) {
        const char *name = lenet ? "lenet" : "normed";
        const double *want = doubles(name, "/loss"), *norms = doubles(name, "/norm");
        for (int k = 0; k <= TEST_N_SETS; k++) {
            net n;
            double worst = 0, worst_norm = 0, norm; /* what is left of the gradient differs more as the weights drift apart */
            if (!open_net(&n, sets[k], 2, lenet)) {
                continue;
            }
            const int steps = sets[k] ? STEPS : lenet ? 2 : 4; /* the reference backend is slow */
            for (int step = 0; step < steps; step++) {
                near(sets[k], name, step, train_step(&n, step, &norm), want[step], 1.6e-2, &worst);
                near(sets[k], "norm of the gradient", step, norm, norms[step], step < 10 ? 1.6e-2 : 6e-2, &worst_norm);
            }
            if (steps == STEPS && !lenet) {
                check_state(&n, sets[k]);
            }
            print_message("%s on %s: losses at most %.2g from torch, norms %.2g\n", name, sets[k] ? sets[k] : "reference", worst, worst_norm);
            close_net(&n);
        }
    }
}

static void threads(void **state) {
    (void)state;
    net one, two;
    double norm_one, norm_two;
    assert_true(open_net(&one, "baseline", 1, true) && open_net(&two, "baseline", 2, true));
    for (int step = 0; step < 5; step++) {
        assert_true(train_step(&one, step, &norm_one) == train_step(&two, step, &norm_two));
        assert_true(norm_one == norm_two);
    }
    assert_memory_equal(one.ctx.modules->values, two.ctx.modules->values, (size_t)one.ctx.modules->n_flat * sizeof(uint16_t));
    close_net(&one);
    close_net(&two);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(optimizers), cmocka_unit_test(long_spans), cmocka_unit_test(training), cmocka_unit_test(threads)};
    return cmocka_run_group_tests(tests, open_golden, close_golden);
}
