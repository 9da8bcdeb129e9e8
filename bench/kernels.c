/* bench/kernels.c - microseconds and GFLOP/s of the cpu backend's kernels at the shapes of the example models' steps (batch 64), next to
 * the core's FMA peak measured in the same run. The least of 60 windows of 1 ms: what the code can do, whoever else uses the machine.
 * Usage: bench_kernels [threads] [isa] [gpt]. No test: it prints. */
#include "base/mem.h"
#include "engine/backends/backend.h"
#include <lt/optim.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static lth_device *device;
static const lth_backend *const cpu = &lth_backend_cpu;
static double total;
static lt_dtype dtype_used = LT_F32; /* of linear and self_attention */

static clockid_t clock_used = CLOCK_MONOTONIC;
static double now_us(void) {
    struct timespec t;
    clock_gettime(clock_used, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}
static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}
typedef void (*body)(void *arg);
static double least_us(body run, void *arg) {
    enum { WINDOWS = 60 };
    double times[WINDOWS];
    run(arg);
    run(arg);
    const double start = now_us();
    run(arg);
    const double one = now_us() - start;
    const int n = one > 1000 ? 1 : (int)(1000 / (one + .01)) + 1;
    for (int w = 0; w < WINDOWS; w++) {
        const double t = now_us();
        for (int i = 0; i < n; i++) {
            run(arg);
        }
        times[w] = (now_us() - t) / n;
    }
    qsort(times, WINDOWS, sizeof *times, by_value);
    return times[0];
}
#if defined(__x86_64__)
#define FMA(r) "vfmadd213ps %%zmm30, %%zmm31, %%zmm" #r "\n"
__attribute__((target("avx512f"))) static void peak_body(void *arg) {
    (void)arg;
    for (int k = 0; k < 10000; k++) { /* 16 independent chains; the values do not matter, only that none is denormal */
        __asm__ volatile(FMA(0) FMA(1) FMA(2) FMA(3) FMA(4) FMA(5) FMA(6) FMA(7) FMA(8) FMA(9) FMA(10) FMA(11) FMA(12) FMA(13) FMA(14)
                             FMA(15)::
                                 : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",
                                   "xmm12", "xmm13", "xmm14", "xmm15");
    }
}
#define PAIRS(r) "vdpbf16ps %%zmm30, %%zmm31, %%zmm" #r "\n"
__attribute__((target("avx512f"))) static void pairs_body(void *arg) {
    (void)arg;
    for (int k = 0; k < 10000; k++) {
        __asm__ volatile(PAIRS(0) PAIRS(1) PAIRS(2) PAIRS(3) PAIRS(4) PAIRS(5) PAIRS(6) PAIRS(7) PAIRS(8) PAIRS(9) PAIRS(10) PAIRS(11) PAIRS(12) PAIRS(13)
                             PAIRS(14) PAIRS(15)::
                                 : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",
                                   "xmm12", "xmm13", "xmm14", "xmm15");
    }
}
__attribute__((target("avx512f"))) static void peak(void) {
    if (__builtin_cpu_supports("avx512f")) {
        __asm__ volatile("vpxord %%zmm30, %%zmm30, %%zmm30\nvpxord %%zmm31, %%zmm31, %%zmm31" ::: "xmm30", "xmm31");
        printf("FMA peak of one core (AVX-512): %.0f GFLOP/s\n", 10000 * 16 * 32 / least_us(peak_body, NULL) * 1e-3);
        if (__builtin_cpu_supports("avx512bf16")) {
            printf("vdpbf16ps peak of one core: %.0f GFLOP/s\n", 10000 * 16 * 64 / least_us(pairs_body, NULL) * 1e-3);
        }
    }
}
#else
static void peak(void) {}
#endif

/* ---- one op, forward and backward ---- */
typedef struct job {
    const lth_kernel *kernel;
    lth_call call;
    lth_array in[5], out, gout, gin[5], state[2];
    lth_attrs attrs;
} job;
static void *some(size_t bytes) {
    float *p = cpu->alloc(device, bytes);
    for (size_t i = 0; i < bytes / 4; i++) {
        p[i] = (float)((i * 2654435761u >> 16) % 1000) * 1e-3f - .5f;
    }
    return p;
}
static lth_array array(int ndim, const int64_t *shape, lt_dtype dtype, int layout) {
    lth_array a = {.dtype = dtype, .ndim = (uint8_t)ndim, .layout = (uint8_t)layout};
    int64_t stride = 1;
    for (int k = ndim - 1; k >= 0; k--) {
        a.shape[k] = shape[k];
        a.strides[k] = stride;
        stride *= shape[k];
    }
    return a;
}
static void forward(void *arg) {
    job *j = arg;
    j->kernel->forward(device, &j->call, NULL);
}
static void backward(void *arg) {
    job *j = arg;
    j->kernel->backward(device, &j->call, NULL);
}
static void plan(void *arg) {
    job *j = arg;
    j->kernel->plan(device, &j->call);
}
static void measure(job *j, const char *name, lth_op op, int n_in, const char *need, double mflop) {
    j->call.op = op;
    j->call.n_in = (uint8_t)n_in;
    j->call.n_out = op == LTH_OP_LSTM ? 3 : op == LTH_OP_GRU ? 2 : 1;
    for (int k = 1; k < j->call.n_out; k++) {
        j->state[k - 1].data = some(cpu->array_bytes(&j->state[k - 1]));
        j->call.out[k] = &j->state[k - 1];
    }
    j->call.save = true;
    j->call.attrs = &j->attrs;
    j->kernel = dtype_used == LT_BF16 && cpu->low[op] ? cpu->low[op] : cpu->kernels[op];
    int passes = 0;
    for (int k = 0; k < n_in; k++) {
        if (!j->in[k].data) {
            j->in[k].data = some(cpu->array_bytes(&j->in[k]));
        }
        j->call.in[k] = &j->in[k];
        j->call.need[k] = need[k] == '1';
        j->gin[k] = j->in[k];
        j->gin[k].data = some(cpu->array_bytes(&j->in[k]));
        j->call.grad_in[k] = &j->gin[k];
        passes += k < 2 && need[k] == '1';
    }
    j->call.out[0] = &j->out;
    if (!j->kernel->plan(device, &j->call)) {
        printf("%-46s declined\n", name);
        return;
    }
    j->out.data = some(cpu->array_bytes(&j->out));
    j->gout = j->out;
    j->gout.data = some(cpu->array_bytes(&j->out));
    j->call.grad_out[0] = &j->gout;
    j->call.workspace = some(j->call.workspace_bytes + 64);
    const double p = least_us(plan, j), f = least_us(forward, j), b = passes ? least_us(backward, j) : 0;
    printf("%-46s plan %5.2f  forward %8.1f us %6.0f GFLOP/s  backward %8.1f us %6.0f GFLOP/s\n", name, p, f, mflop / f * 1e3, b,
           b > 0 ? mflop * passes / b * 1e3 : 0);
    total += p + f + b;
}
static void linear(int64_t N, int64_t I, int64_t O, int act, const char *need) {
    const lt_dtype t = dtype_used;
    job j = {.in = {array(2, (int64_t[]){N, I}, t, 0), array(2, (int64_t[]){O, I}, t, 0), array(1, (int64_t[]){O}, t, 0)},
             .out = array(2, (int64_t[]){N, O}, t, 0),
             .attrs = {.i = {act}}};
    char name[64];
    snprintf(name, sizeof name, "linear %lldx%lld -> %lld%s", (long long)N, (long long)I, (long long)O, act == LT_ACT_RELU ? " relu" : act ? " gelu" : "");
    measure(&j, name, LTH_OP_LINEAR, 3, need, 2e-6 * (double)(N * I * O));
}
static void conv(int64_t N, int64_t C, int64_t H, int64_t O, int64_t K, int64_t pad, int act, int pool, int layout, const char *need) {
    const int64_t OH = H + 2 * pad - K + 1, PH = pool ? OH / pool : OH;
    job j = {.in = {array(4, (int64_t[]){N, C, H, H}, LT_F32, layout), array(4, (int64_t[]){O, C, K, K}, LT_F32, 0),
                    array(1, (int64_t[]){O}, LT_F32, 0)},
             .out = array(4, (int64_t[]){N, O, PH, PH}, LT_F32, 0),
             .attrs = {.i = {1, 1, pad, pad, 1, 1, 1, act, pool, pool, pool, pool}}};
    char name[64];
    snprintf(name, sizeof name, "conv %lldx%lldx%lldx%lld -> %lld k%lld%s%s", (long long)N, (long long)C, (long long)H, (long long)H,
             (long long)O, (long long)K, act ? " relu" : "", pool ? " pool" : "");
    measure(&j, name, LTH_OP_CONV2D, 3, need, 2e-6 * (double)(N * O * OH * OH * C * K * K));
}
static void entropy(int64_t N, int64_t C) {
    job j = {.in = {array(2, (int64_t[]){N, C}, LT_F32, 0), array(1, (int64_t[]){N}, LT_I64, 0)}, .out = array(0, NULL, LT_F32, 0)};
    int64_t *labels = cpu->alloc(device, (size_t)N * 8);
    for (int64_t i = 0; i < N; i++) {
        labels[i] = i % C;
    }
    j.in[1].data = labels;
    measure(&j, "cross_entropy", LTH_OP_CROSS_ENTROPY, 2, "10", 0);
}
static void self_attention(int64_t B, int64_t T, int64_t heads, int64_t D, int causal) {
    job j = {.in = {array(3, (int64_t[]){B, T, 3 * heads * D}, dtype_used, 0)}, .out = array(3, (int64_t[]){B, T, heads * D}, dtype_used, 0),
             .attrs = {.i = {causal, heads}}};
    char name[64];
    snprintf(name, sizeof name, "self_attention %lldx%lld, %lld heads of %lld%s", (long long)B, (long long)T, (long long)heads, (long long)D,
             causal ? ", causal" : "");
    measure(&j, name, LTH_OP_SELF_ATTENTION, 1, "1", 4e-6 * (double)(B * heads * T * T * D) * (causal ? .5 : 1));
}
static void layer_norm(int64_t N, int64_t C) {
    job j = {.in = {array(2, (int64_t[]){N, C}, LT_F32, 0), array(1, &C, LT_F32, 0), array(1, &C, LT_F32, 0)},
             .out = array(2, (int64_t[]){N, C}, LT_F32, 0), .attrs = {.f = {1e-5}}};
    char name[64];
    snprintf(name, sizeof name, "layer_norm %lldx%lld", (long long)N, (long long)C);
    measure(&j, name, LTH_OP_LAYER_NORM, 3, "111", 0);
}
static void cast(int64_t N, int64_t C) { /* f32 to bf16; the gradient comes back the other way */
    job j = {.in = {array(2, (int64_t[]){N, C}, LT_F32, 0)}, .out = array(2, (int64_t[]){N, C}, LT_BF16, 0), .attrs = {.i = {LT_BF16}}};
    char name[64];
    snprintf(name, sizeof name, "cast %lldx%lld f32 to bf16", (long long)N, (long long)C);
    measure(&j, name, LTH_OP_CAST, 1, "1", 0);
}
static void recurrent(lth_op op, int64_t T, int64_t B, int64_t I, int64_t H, const char *need) {
    const int64_t G = (op == LTH_OP_GRU ? 3 : 4) * H;
    job j = {.in = {array(3, (int64_t[]){T, B, I}, LT_F32, 0), array(2, (int64_t[]){G, I}, LT_F32, 0), array(2, (int64_t[]){G, H}, LT_F32, 0),
                    array(1, &G, LT_F32, 0), array(1, &G, LT_F32, 0)},
             .out = array(3, (int64_t[]){T, B, H}, LT_F32, 0),
             .state = {array(2, (int64_t[]){B, H}, LT_F32, 0), array(2, (int64_t[]){B, H}, LT_F32, 0)}};
    char name[64];
    snprintf(name, sizeof name, "%s %lldx%lldx%lld -> %lld", op == LTH_OP_GRU ? "gru" : "lstm", (long long)T, (long long)B, (long long)I, (long long)H);
    measure(&j, name, op, 5, need, 2e-6 * (double)(T * B * G * (I + H)));
}
static void mse(int64_t N, int64_t C) {
    job j = {.in = {array(2, (int64_t[]){N, C}, LT_F32, 0), array(2, (int64_t[]){N, C}, LT_F32, 0)}, .out = array(0, NULL, LT_F32, 0)};
    measure(&j, "mse_loss", LTH_OP_MSE_LOSS, 2, "10", 0);
}
static void copy_from(int64_t N, int64_t C, int64_t H, int layout, const char *name) {
    job j = {.in = {array(4, (int64_t[]){N, C, H, H}, LT_F32, layout)}, .out = array(4, (int64_t[]){N, C, H, H}, LT_F32, 0)};
    measure(&j, name, LTH_OP_COPY, 1, "1", 0);
}
static lt_span span;
static void adam_body(void *arg) {
    const lt_adam_args args = {.struct_size = sizeof args, .lr = 1e-3, .beta1 = .9, .beta2 = .999, .eps = 1e-8};
    (void)arg;
    cpu->adam(device, &span, &args, NULL);
}
static void adam(int64_t n) {
    float *p = some((size_t)n * 4), *g = some((size_t)n * 4), *m = some((size_t)n * 4), *v = cpu->alloc(device, (size_t)n * 4);
    span = (lt_span){.struct_size = sizeof span, .n_slots = 2, .n = n, .param = p, .grad = g, .slot = {m, v}, .step = 10};
    const double t = least_us(adam_body, NULL);
    printf("adam %-41lld %8.1f us %6.1f GB/s\n", (long long)n, t, (double)n * 28e-3 / t);
    total += t;
}
static void begin(const char *name) {
    printf("\n%s\n", name);
    total = 0;
}
static void end(void) { printf("%-46s %8.1f us\n", "sum of the kernels", total); }

/* One layer of 384, 8 x 256 tokens, and the head. */
static void gpt(void) {
    static const struct { lt_dtype dtype; const char *name; } types[] = {{LT_F32, "GPT, f32"}, {LT_BF16, "GPT, bf16"}};
    for (int t = 0; t < 2; t++) {
        dtype_used = types[t].dtype;
        begin(types[t].name);
        linear(2048, 384, 1152, 0, "111");
        self_attention(8, 256, 6, 64, 1);
        linear(2048, 384, 384, 0, "111");
        linear(2048, 384, 1536, 0, "111");
        linear(2048, 384, 1536, LT_ACT_GELU, "111");
        linear(2048, 1536, 384, 0, "111");
        linear(2048, 384, 65, 0, "111");
        end();
    }
    dtype_used = LT_F32;
    layer_norm(2048, 384);
    entropy(2048, 65);
    cast(1536, 384);
    cast(2048, 384);
}

int main(int argc, char **argv) {
    lth_error err = {0};
    const lth_device_opts opts = {.threads = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 1, .isa = argc > 2 ? argv[2] : NULL};
    if (cpu->open(&device, &opts, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    clock_used = opts.threads == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC; /* one thread: what others take is left out */
    printf("%s\n", cpu->describe(device));
    peak();
    if (argc > 3 && !strcmp(argv[3], "gpt")) {
        gpt();
        cpu->close(device);
        return 0;
    }
    begin("LinearClassifier 784-128-10, batch 64");
    linear(64, 784, 128, LT_ACT_RELU, "011");
    linear(64, 128, 10, 0, "111");
    entropy(64, 10);
    adam(101770);
    end();
    begin("LitAutoEncoder 784-64-3-64-784, batch 64");
    linear(64, 784, 64, LT_ACT_RELU, "011");
    linear(64, 64, 3, 0, "111");
    linear(64, 3, 64, LT_ACT_RELU, "111");
    linear(64, 64, 784, 0, "111");
    mse(64, 784);
    adam(101651);
    end();
    begin("LeNet, batch 64");
    conv(64, 1, 28, 6, 5, 2, LT_ACT_RELU, 2, 0, "011");
    conv(64, 6, 14, 16, 5, 0, LT_ACT_RELU, 2, LTH_N16C, "111");
    copy_from(64, 16, 5, LTH_N16C, "flatten 64x16x5x5 from N16C");
    linear(64, 400, 120, LT_ACT_RELU, "111");
    linear(64, 120, 84, LT_ACT_RELU, "111");
    linear(64, 84, 10, 0, "111");
    entropy(64, 10);
    adam(61706);
    end();
    begin("Example CNN, batch 64");
    conv(64, 1, 28, 32, 3, 0, LT_ACT_RELU, 0, 0, "011");
    conv(64, 32, 26, 64, 3, 0, LT_ACT_RELU, 2, LTH_C16, "111");
    copy_from(64, 64, 12, LTH_C16, "flatten 64x64x12x12 from C16");
    linear(64, 9216, 128, LT_ACT_RELU, "111");
    linear(64, 128, 10, 0, "111");
    adam(1199882);
    end();
    gpt();
    begin("LSTM classifier, 28 steps of 28, batch 64");
    recurrent(LTH_OP_LSTM, 28, 64, 28, 128, "01111");
    linear(64, 128, 10, 0, "111");
    entropy(64, 10);
    adam(82186);
    end();
    begin("GRU of the same sizes, all gradients");
    recurrent(LTH_OP_GRU, 28, 64, 28, 128, "11111");
    end();
    cpu->close(device);
    return 0;
}
