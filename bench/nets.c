/* bench/nets.c - milliseconds of a training step (forward, backward, Adam) of ResNet, CNN and LeNet, batch 64 of random 28x28 images, and
 * where they go: every kernel of the cpu backend is timed. No trainer, no loader. The median of many steps.
 * A target for each model, whose plugin is compiled in: bench_nets_resnet, bench_nets_cnn, bench_nets_lenet.
 * Usage: bench_nets_resnet [steps] [threads] [batch]; LTHOST_ISA chooses the instruction set. No test: it prints. */
#include "engine/nn/module.h"
#include <lt/optim.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include NET

static bool wall; /* else the time of this thread alone, whoever else uses the machine */
static double now_us(void) {
    struct timespec t;
    clock_gettime(wall ? CLOCK_MONOTONIC : CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

/* ---- timed kernels, told apart by op, pass and the shape of their first input or output ---- */
typedef struct line { char what[96]; double us, least; int64_t calls; } line;
static line lines[512];
static int n_lines;
static bool watching;

static void note(const lth_call *call, const char *pass, double us) {
    static const char *const names[] = {
#define LTH_OP(NAME, text, ...) text,
#include "engine/ops/ops.def"
#undef LTH_OP
    };
    char what[96];
    const lth_array *a = call->n_in ? call->in[0] : call->out[0], *b = call->out[0];
    if (!watching) {
        return;
    }
    int n = snprintf(what, sizeof what, "%s %s", names[call->op], pass);
    for (int k = 0; k < a->ndim && n < 60; k++) {
        n += snprintf(what + n, sizeof what - (size_t)n, "%c%lld", k ? 'x' : ' ', (long long)a->shape[k]);
    }
    for (int k = 1; k < b->ndim && n < 80; k++) {
        n += snprintf(what + n, sizeof what - (size_t)n, "%s%lld", k > 1 ? "x" : " -> ", (long long)b->shape[k]);
    }
    snprintf(what + n, sizeof what - (size_t)n, " L%d%d", a->layout, b->layout);
    int i = 0;
    while (i < n_lines && strcmp(lines[i].what, what) != 0) {
        i++;
    }
    if (i == n_lines && n_lines < 511) {
        memcpy(lines[n_lines++].what, what, sizeof what);
    }
    lines[i].least = lines[i].calls == 0 || us < lines[i].least ? us : lines[i].least;
    lines[i].us += us;
    lines[i].calls++;
}
#define LTH_OP(NAME, ...)                                                                                  \
    static lt_status forward_##NAME(lth_device *d, const lth_call *call, lth_error *err) {                 \
        const double t = now_us();                                                                         \
        const lt_status s = lth_backend_cpu.kernels[LTH_OP_##NAME]->forward(d, call, err);                 \
        note(call, "forward", now_us() - t);                                                               \
        return s;                                                                                          \
    }                                                                                                      \
    static lt_status backward_##NAME(lth_device *d, const lth_call *call, lth_error *err) {                \
        const double t = now_us();                                                                         \
        const lt_status s = lth_backend_cpu.kernels[LTH_OP_##NAME]->backward(d, call, err);                \
        note(call, "backward", now_us() - t);                                                              \
        return s;                                                                                          \
    }
#include "engine/ops/ops.def"
#undef LTH_OP
static lth_kernel timed[LTH_OP_COUNT];
static lth_backend backend;

static void wrap(void) {
    backend = lth_backend_cpu;
#define LTH_OP(NAME, ...)                                                                                                         \
    if (lth_backend_cpu.kernels[LTH_OP_##NAME]) {                                                                                 \
        const lth_kernel *k = lth_backend_cpu.kernels[LTH_OP_##NAME];                                                             \
        timed[LTH_OP_##NAME] = (lth_kernel){k->plan, forward_##NAME, k->backward ? backward_##NAME : NULL};                       \
        backend.kernels[LTH_OP_##NAME] = &timed[LTH_OP_##NAME];                                                                   \
    }
#include "engine/ops/ops.def"
#undef LTH_OP
}

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}
static int by_time(const void *a, const void *b) {
    const double x = ((const line *)a)->us, y = ((const line *)b)->us;
    return (x < y) - (x > y);
}

typedef struct net { lt_ctx ctx; void *self; lt_tensor *x, *y; float *m, *v; } net;

static void die(const net *n, const char *what) {
    if (n->ctx.error.code) {
        fprintf(stderr, "%s: %s\n", what, n->ctx.error.text);
        exit(1);
    }
}

static double update_us;
static double step(net *n, int64_t number) {
    lt_ctx *c = &n->ctx;
    const lth_modules *m = c->modules;
    lth_modules_zero_grad(c->modules);
    lt_tensor *loss = lt_cross_entropy(c, forward(c, n->self, n->x), n->y);
    die(n, "forward");
    const double value = lt_item(c, loss);
    lth_backward(c, loss, NULL, 1);
    die(n, "backward");
    lt_span span = {.struct_size = sizeof span, .dtype = LT_F32, .n_slots = 2, .n = m->n_flat,
                    .param = m->values, .grad = m->grads, .slot = {n->m, n->v}, .step = number};
    const lt_adam_args adam = {.struct_size = sizeof adam, .lr = 1e-3, .beta1 = .9, .beta2 = .999, .eps = 1e-8};
    const double t = now_us();
    backend.adam(c->engine->device, &span, &adam, &c->error);
    update_us += watching ? now_us() - t : 0;
    die(n, "adam");
    lth_step_end(c->engine);
    return value;
}

int main(int argc, char **argv) {
    static SELF model = {.in_channels = 1, .num_classes = 10};
    const int steps = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 20, threads = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 1;
    const int64_t batch = argc > 3 ? strtol(argv[3], NULL, 10) : 64, shape[] = {batch, 1, 28, 28};
    net n = {.self = &model};
    wall = threads > 1;
    wrap();
    lt__nn = &lth_nn_table, lt__tensor = &lth_tensor_table, lt__base = &lth_base_table;
    lth_ctx_init(&n.ctx, LTH_TRAINER_THREAD);
    lth_engine_open(&n.ctx.engine, &backend, &(lth_engine_opts){.threads = threads, .seed = 42}, &n.ctx.error);
    die(&n, "engine");
    n.ctx.modules = lth_modules_new(n.ctx.engine, &n.ctx.error);
    n.ctx.in_configure = true;
    configure(&n.ctx, &model);
    n.ctx.in_configure = false;
    die(&n, "configure");
    lth_modules_seal(n.ctx.modules, &n.ctx.error);
    die(&n, "seal");
    const size_t bytes = (size_t)n.ctx.modules->n_flat * sizeof(float);
    n.m = backend.alloc(n.ctx.engine->device, bytes), n.v = backend.alloc(n.ctx.engine->device, bytes);
    n.x = lth_tensor_lasting(n.ctx.engine, LT_F32, 4, shape, NULL, &n.ctx.error);
    n.y = lth_tensor_lasting(n.ctx.engine, LT_I64, 1, shape, NULL, &n.ctx.error);
    lth_normal_f32(&n.ctx.engine->generator, n.x->a.data, lth_numel(n.x), 0, 1);
    for (int64_t i = 0; i < batch; i++) {
        ((int64_t *)n.y->a.data)[i] = i % 10;
    }
    double *times = malloc((size_t)steps * sizeof *times), loss = 0;
    for (int i = 0; i < steps + 5; i++) {
        watching = i >= 5;
        const double t = now_us();
        loss = step(&n, i + 1);
        if (watching) {
            times[i - 5] = now_us() - t;
        }
    }
    qsort(times, (size_t)steps, sizeof *times, by_value);
    qsort(lines, (size_t)n_lines, sizeof *lines, by_time);
    printf("batch %lld, %s: step median %.2f ms, least %.2f; loss %.6f; Adam %.2f ms\n", (long long)batch,
           backend.describe(n.ctx.engine->device), times[steps / 2] * 1e-3, times[0] * 1e-3, loss, update_us / steps * 1e-3);
    double sum = 0;
    for (int i = 0; i < n_lines; i++) {
        sum += lines[i].us / steps;
        if (i < 60 && lines[i].us / steps > 2) {
            printf("%9.1f us, each least %8.1f  %4.1f x  %s\n", lines[i].us / steps, lines[i].least, (double)lines[i].calls / steps, lines[i].what);
        }
    }
    printf("%9.1f us in kernels\n", sum);
    return 0;
}
