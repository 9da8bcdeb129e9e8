/* tests/engine/test_ops_resnet.c - the ResNet plugin on the engine against PyTorch (tests/golden/resnet_gradients.bin): initial weights bit
 * for bit, the first loss and all gradients of a batch of 8; on each instruction set this machine has, the bits for 1 to 4 threads equal.
 * And residual blocks: fused against the same layers one by one. The plugin is compiled in: plugins export nothing. */
#include "../golden/golden.h"
#include "base/mem.h"
#include "engine/nn/module.h"
#include "instruction_sets.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../../plugins/resnet/resnet.c"

static const char *const sets[] = {TEST_SETS};
typedef struct net { lt_ctx ctx; resnet model; } net;

static bool open_net(net *n, const lth_backend *backend, const char *set, int threads) {
    *n = (net){.model = {.in_channels = 1, .num_classes = 10}};
    lt__nn = &lth_nn_table;
    lt__tensor = &lth_tensor_table;
    lt__base = &lth_base_table;
    lth_ctx_init(&n->ctx, LTH_TRAINER_THREAD);
    lth_engine_opts opts = {.threads = threads, .isa = set, .seed = 42};
    if (lth_engine_open(&n->ctx.engine, backend, &opts, &n->ctx.error) < 0) {
        print_message("%s\n", n->ctx.error.text);
        return false;
    }
    n->ctx.modules = lth_modules_new(n->ctx.engine, &n->ctx.error);
    n->ctx.in_configure = true;
    return true;
}

static void close_net(net *n) {
    lth_modules_free(n->ctx.modules);
    lth_engine_free(n->ctx.engine);
}

static void good(const net *n) {
    if (n->ctx.error.code) {
        fail_msg("%s", n->ctx.error.text);
    }
}

static void seal(net *n) {
    n->ctx.in_configure = false;
    good(n);
    lth_modules_seal(n->ctx.modules, &n->ctx.error);
    good(n);
}

static int64_t fnv_of(const lt_tensor *t) {
    const int size = t->a.dtype == LT_I64 ? 8 : 4;
    return (int64_t)gold_fnv1a(t->a.data, (size_t)(lth_numel(t) * size));
}

static void same_beginning(const net *n, const gold_file *g) {
    const lth_modules *m = n->ctx.modules;
    int64_t found = 0;
    for (int64_t k = 0; k < lth_state_count(m); k++) {
        const lth_state_entry e = lth_state_at(m, k);
        const gold_record *r = gold_find(g, "init/%s.fnv", e.name);
        if (!r || *(const int64_t *)gold_data(r, GOLD_I64) != fnv_of(e.value)) {
            fail_msg("%s: %s", e.name, r ? "other bits than PyTorch's" : "PyTorch has none");
        }
        found++;
    }
    for (size_t k = 0; k < g->count; k++) {
        found -= strncmp(g->records[k].name, "init/", 5) == 0;
    }
    assert_int_equal(found, 0);
}

/* assert_close's bounds for f32. A gradient is a sum of many products: its absolute bound grows with the largest of its tensor, as in
 * test_cpu_golden.c; PyTorch's own f32 gradients are off from its f64 ones by three times the bare bound. */
static void close_to(const char *name, const char *set, const gold_record *want, const float *got, int64_t step) {
    const float *v = gold_data(want, GOLD_F32);
    double top = 0;
    for (int64_t i = 0; i < want->numel; i++) {
        top = fabs((double)v[i]) > top ? fabs((double)v[i]) : top;
    }
    for (int64_t i = 0; i < want->numel; i++) {
        const double off = fabs((double)got[i * step] - (double)v[i]), allowed = 1.3e-6 * fabs((double)v[i]) + 1e-5 * (1 + 0.25 * top);
        if (!(off <= 5 * allowed)) {
            fail_msg("%s on %s: gradient %lld is %.9g, torch has %.9g", name, set, (long long)(i * step), (double)got[i * step], (double)v[i]);
        }
    }
}

static void same_gradients(const net *n, const gold_file *g, const char *set) {
    const lth_modules *m = n->ctx.modules;
    for (int64_t k = 0; k < m->n_params; k++) {
        const lth_param *p = m->params[k];
        const float *grad = p->value->grad->a.data;
        const double *facts = gold_data(gold_find(g, "grad/%s", p->name), GOLD_F64);
        assert_non_null(facts);
        double absolutes = 0, squares = 0;
        for (int64_t i = 0; i < p->n; i++) {
            absolutes += fabs((double)grad[i]);
            squares += (double)grad[i] * (double)grad[i];
        }
        if (fabs(absolutes - facts[1]) > 1e-4 * facts[1] || fabs(squares - facts[2]) > 1e-4 * facts[2]) {
            fail_msg("%s on %s: sum of absolutes %.9g, of squares %.9g; torch %.9g and %.9g", p->name, set, absolutes, squares, facts[1], facts[2]);
        }
        close_to(p->name, set, gold_find(g, "slice/%s", p->name), grad, p->n > 512 ? p->n / 512 : 1);
    }
}

/* Loss and gradients of the golden batch; returns a hash of all gradients' bits. */
static int64_t one_step(net *n, const gold_file *g, double *loss) {
    lt_ctx *c = &n->ctx;
    assert_int_equal(configure(c, &n->model), LT_OK);
    seal(n);
    const gold_record *x = gold_find(g, "x"), *y = gold_find(g, "y");
    lt_tensor *images = lt_from_data(c, LT_F32, 4, x->shape, gold_data(x, GOLD_F32)), *labels = lt_from_data(c, LT_I64, 1, y->shape, gold_data(y, GOLD_I64));
    lt_tensor *out = lt_cross_entropy(c, forward(c, &n->model, images), labels);
    good(n);
    *loss = lt_item(c, out);
    lth_backward(c, out, NULL, 1);
    good(n);
    return (int64_t)gold_fnv1a(c->modules->grads, (size_t)c->modules->n_flat * sizeof(float));
}

static void first_step(void **state) {
    (void)state;
    gold_file g;
    int ran = 0;
    if (gold_open(&g, TEST_DATA_DIR "/golden/resnet_gradients.bin")) {
        fail_msg("%s", g.error);
    }
    const double loss = (double)*(const float *)gold_data(gold_find(&g, "loss"), GOLD_F32);
    for (int k = 0; k < TEST_N_SETS; k++) {
        int64_t bits = 0;
        for (int threads = 1; threads <= (k == 0 ? 4 : 2); threads++) {
            net n;
            double found;
            if (!open_net(&n, &lth_backend_cpu, sets[k], threads)) {
                break;
            }
            const int64_t now = one_step(&n, &g, &found);
            if (fabs(found - loss) > 1e-5 + 1.3e-6 * loss) {
                fail_msg("%s: loss %.9g, torch has %.9g", sets[k], found, loss);
            }
            if (threads == 1) {
                net fresh;
                assert_true(open_net(&fresh, &lth_backend_cpu, sets[k], 1));
                configure(&fresh.ctx, &fresh.model);
                seal(&fresh);
                same_beginning(&fresh, &g);
                close_net(&fresh);
                same_gradients(&n, &g, sets[k]);
                bits = now;
            }
            assert_true(now == bits);
            close_net(&n);
            ran++;
        }
    }
    assert_true(ran > 0);
    gold_close(&g);
    assert_int_equal(lth_alloc_live(), 0);
}

/* ---- a block, fused and by hand ---- */
typedef struct parts { lt_module *block, *first, *norm1, *second, *norm2, *beside; } parts;

static parts make_parts(lt_ctx *c, bool project, lt_activation act) {
    parts p = {.first = conv(c, "conv1", 16, 32, 3, project ? 2 : 1), .second = conv(c, "conv2", 32, project ? 32 : 16, 3, 1)};
    p.norm1 = lt_child(c, "bn1", lt_nn_batch_norm2d(c, 32));
    p.norm2 = lt_child(c, "bn2", lt_nn_batch_norm2d(c, project ? 32 : 16));
    p.beside = project ? conv(c, "downsample", 16, 32, 1, 2) : NULL;
    lt_nn_init(c, p.norm2, "weight", LT_INIT_CONSTANT, 0.75, 0);
    lt_nn_init(c, p.norm1, "bias", LT_INIT_UNIFORM, -0.5, 0.5);
    p.block = lt_child(c, "block", lt_nn_residual(c, p.beside, act, p.first, p.norm1, lt_nn_relu(c), p.second, p.norm2));
    return p;
}

static lt_tensor *by_hand(lt_ctx *c, const parts *p, lt_tensor *x, lt_activation act) {
    lt_tensor *y = lt_forward(c, p->norm2, lt_forward(c, p->second, lt_relu(c, lt_forward(c, p->norm1, lt_forward(c, p->first, x)))));
    y = lt_add(c, y, p->beside ? lt_forward(c, p->beside, x) : x);
    return act == LT_ACT_RELU ? lt_relu(c, y) : act == LT_ACT_TANH ? lt_tanh(c, y) : y;
}

static void run_block(const lth_backend *backend, const char *set, bool project, lt_activation act, bool fused, float **grads, lt_tensor **gx) {
    net n;
    const int64_t shape[] = {3, 16, 5, 6};
    if (!open_net(&n, backend, set, 2)) {
        *grads = NULL;
        return;
    }
    parts p = make_parts(&n.ctx, project, act);
    seal(&n);
    lt_tensor *x = lth_tensor_lasting(n.ctx.engine, LT_F32, 4, shape, NULL, &n.ctx.error);
    for (int64_t i = 0; i < lth_numel(x); i++) {
        ((float *)x->a.data)[i] = sinf(12.9898f * (float)i + 1);
    }
    x->requires_grad = x->is_leaf = 1;
    lt_tensor *y = fused ? lt_forward(&n.ctx, p.block, x) : by_hand(&n.ctx, &p, x, act);
    lt_tensor *loss = lt_mean_all(&n.ctx, lt_mul(&n.ctx, y, y));
    lth_backward(&n.ctx, loss, NULL, 1);
    good(&n);
    const int64_t flat = n.ctx.modules->n_flat, count = flat + lth_numel(x) + 1;
    *grads = calloc((size_t)count + 1, sizeof **grads);
    (*grads)[0] = (float)count;
    memcpy(*grads + 1, n.ctx.modules->grads, (size_t)flat * sizeof(float));
    memcpy(*grads + 1 + flat, x->grad->a.data, (size_t)lth_numel(x) * sizeof(float));
    (*grads)[count] = (float)lt_item(&n.ctx, loss);
    (void)gx;
    lth_tensor_free(x->grad);
    lth_tensor_free(x);
    close_net(&n);
}

static void blocks(void **state) {
    static const lt_activation acts[] = {LT_ACT_RELU, LT_ACT_NONE, LT_ACT_TANH};
    (void)state;
    for (int k = 0; k < 12; k++) {
        const bool project = k % 2;
        const lt_activation act = acts[k / 2 % 3];
        float *want, *got;
        run_block(&lth_backend_reference, NULL, project, act, false, &want, NULL);
        for (int s = -1; s < TEST_N_SETS; s++) {
            run_block(s < 0 ? &lth_backend_reference : &lth_backend_cpu, s < 0 ? NULL : sets[s], project, act, k / 6 == 0, &got, NULL);
            for (int i = 1; got && i <= (int)want[0]; i++) {
                if (!(fabsf(got[i] - want[i]) <= 2e-6f + 1e-4f * fabsf(want[i]))) {
                    fail_msg("block %d on %s: number %d is %.9g, one by one %.9g", k, s < 0 ? "reference" : sets[s], i, (double)got[i], (double)want[i]);
                }
            }
            free(got);
        }
        free(want);
    }
    assert_int_equal(lth_alloc_live(), 0);
}

static void refusals(void **state) {
    (void)state;
    net n;
    assert_true(open_net(&n, &lth_backend_reference, NULL, 1));
    lt_ctx *c = &n.ctx;
    lt_module *line = lt_child(c, "line", lt_nn_linear(c, 3, 4)), *norm = lt_child(c, "norm", lt_nn_batch_norm1d(c, 4));
    assert_int_equal(lt_nn_init(c, line, "wait", LT_INIT_NORMAL, 0, 1), LT_EABSENT);
    assert_non_null(strstr(c->error.text, "wait"));
    c->error = (lth_error){0};
    assert_int_equal(lt_nn_init(c, norm, "weight", LT_INIT_KAIMING_NORMAL, 0, 0), LT_EINVAL);
    assert_non_null(strstr(c->error.text, "dimensions"));
    c->error = (lth_error){0};
    assert_int_equal(lt_nn_init(c, line, "weight", 99, 0, 0), LT_EINVAL);
    c->error = (lth_error){0};
    assert_null(lt_nn_residual(c, NULL, 77, line));
    c->error = (lth_error){0};
    assert_null(lt_nn_residual(c, NULL, LT_ACT_RELU, line, NULL));
    assert_non_null(strstr(c->error.text, "item 1 of 2"));
    close_net(&n);
    assert_int_equal(lth_alloc_live(), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(first_step), cmocka_unit_test(blocks), cmocka_unit_test(refusals)};
    return cmocka_run_group_tests_name("engine.ops_resnet", tests, NULL, NULL);
}
