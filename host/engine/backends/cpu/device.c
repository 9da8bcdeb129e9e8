/* backends/cpu/device.c - opening the CPU: how many threads; running chunks on the team;
 * the vtable. Nothing of oneDNN is touched before the first primitive. */
#include "base/threads.h"
#include "engine/backends/cpu/sets.h"
#include "engine/backends/cpu/wide/wide.h"
#include <stdio.h>
#include <stdlib.h>
#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

static void cpu_close(lth_device *d) {
    if (!d) {
        return;
    }
    lth_team_free(d->team);
    lth_onednn_close(&d->onednn);
    lth_cpu_free(d, d->scratch.memory, d->scratch.bytes);
    lth_cpu_free(d, d->panel.memory, d->panel.bytes);
    lth_cpu_release_blocks(d);
    lth_free(d);
}
static lt_status cpu_open(lth_device **out, const lth_device_opts *opts, lth_error *err) {
    *out = NULL;
    if (opts && opts->threads > LTH_ONEDNN_MAX_THREADS) {
        return lth_fail(err, LT_ECONFIG, "the cpu backend computes on %d threads at most, and %d are wanted: lower trainer.num_threads, or "
                        "OMP_NUM_THREADS where it decides", LTH_ONEDNN_MAX_THREADS, (int)opts->threads);
    }
    lth_device *d = lth_alloc(sizeof *d);
    if (!d) {
        return lth_fail(err, LT_ENOMEM, "no memory for the CPU device");
    }
    const char *wanted = opts && opts->isa ? opts->isa : getenv("LTHOST_ISA");
    const lt_status status = lth_cpu_choose_set(d, wanted && *wanted ? wanted : NULL, err);
    if (status < 0) {
        lth_free(d);
        return status;
    }
    d->threads = opts && opts->threads > 0 ? opts->threads : (int)lth_min64(lth_cpu_count(), LTH_ONEDNN_MAX_THREADS);
    d->threads = d->threads < 1 ? 1 : d->threads;
    d->onednn.threads = d->threads;
    if (lth_team_new(&d->team, d->threads, err)) {
        lth_free(d);
        return err->code;
    }
    snprintf(d->description, sizeof d->description, "%s, %d thread%s, oneDNN %s", d->isa.name, d->threads, d->threads == 1 ? "" : "s",
             lth_onednn_version());
    *out = d;
    return LT_OK;
}
static const char *cpu_describe(lth_device *d) { return d->description; }

/* Denormals to zero, on whatever thread computes: the moments of dead units would double the cost of an optimizer. */
static inline void flush_denormals(void) {
#if defined(__SSE2__)
    const unsigned now = _mm_getcsr();
    if ((now & 0x8040) != 0x8040) {
        _mm_setcsr(now | 0x8040);
    }
#else
    lth_flush_denormals();
#endif
}
int lth_cpu_team(const lth_device *d, int64_t chunks, double serial_us) {
    if (serial_us < 10 || chunks < 2) { /* a parallel region costs 2 us */
        return 1;
    }
    const int64_t worth = (int64_t)(serial_us / 4), most = lth_min64(d->threads, lth_min64(chunks, worth));
    return most < 1 ? 1 : (int)most;
}
void lth_cpu_run(lth_device *d, int64_t chunks, double serial_us, lth_cpu_body body, void *arg) {
    flush_denormals();
    lth_team_run(d->team, lth_cpu_team(d, chunks, serial_us), chunks, body, arg);
}
static void *grow(lth_device *d, void **memory, size_t *have, size_t bytes, lth_error *err) {
    if (bytes <= *have) {
        return *memory;
    }
    lth_cpu_free(d, *memory, *have);
    *memory = lth_cpu_alloc(d, bytes);
    *have = *memory ? bytes : 0;
    if (!*memory) {
        lth_fail(err, LT_ENOMEM, "no memory for %zu bytes of scratch; a smaller batch needs less", bytes);
    }
    return *memory;
}
void *lth_cpu_scratch(lth_device *d, size_t bytes, lth_error *err) {
    return grow(d, &d->scratch.memory, &d->scratch.bytes, bytes ? bytes : 64, err);
}
void *lth_cpu_panel(lth_device *d, size_t bytes, lth_error *err) { return grow(d, &d->panel.memory, &d->panel.bytes, bytes, err); }

static lt_status cpu_copy(lth_device *d, void *to, const void *from, size_t bytes, int32_t kind, lth_error *err) {
    (void)d, (void)kind, (void)err;
    memmove(to, from, bytes);
    return LT_OK;
}
static lt_status cpu_synchronize(lth_device *d, lth_error *err) {
    (void)d, (void)err;
    return LT_OK;
}
static void *cpu_stream(lth_device *d) {
    (void)d;
    return NULL;
}
int64_t lth_stored(const lth_array *a) {
    if (a->layout == LTH_N16C) {
        return lth_div_up(a->shape[0], 16) * 16 * a->shape[1] * a->shape[2] * a->shape[3];
    }
    if (a->layout == LTH_C16) {
        return a->shape[0] * lth_div_up(a->shape[1], 16) * 16 * a->shape[2] * a->shape[3];
    }
    if (a->layout == LTH_HWNC) {
        return a->shape[2] * a->shape[3] * a->shape[0] * lth_div_up(a->shape[1], 16) * 16;
    }
    return lth_count(a);
}
static size_t dtype_bytes(lt_dtype dtype) {
    static const uint8_t bytes[] = {0, 8, 4, 2, 2, 8, 4, 1, 1};
    return dtype >= 0 && dtype < (lt_dtype)sizeof bytes ? bytes[dtype] : 0;
}
size_t lth_cpu_array_bytes(const lth_array *a) { return (size_t)lth_stored(a) * dtype_bytes(a->dtype); }

const lth_backend lth_backend_cpu = {
    .struct_size = sizeof(lth_backend),
    .device_type = 1,
    .name = "cpu",
    .fallback = &lth_backend_reference,
    .open = cpu_open,
    .close = cpu_close,
    .describe = cpu_describe,
    .alloc = lth_cpu_alloc,
    .free = lth_cpu_free,
    .copy = cpu_copy,
    .synchronize = cpu_synchronize,
    .stream = cpu_stream,
    .array_bytes = lth_cpu_array_bytes,
    .kernels =
        {
#define LTH_X(op, name) [LTH_OP_##op] = &lth_cpu_##name,
            LTH_CPU_KERNELS(LTH_X)
#undef LTH_X
        },
    .low = {[LTH_OP_LINEAR] = &lth_low_linear, [LTH_OP_MATMUL] = &lth_low_matmul},
    .wide =
        {
#define LTH_X(op, name) [LTH_OP_##op] = &lth_wide_##name,
            LTH_WIDE_KERNELS(LTH_X)
#undef LTH_X
        },
    .sgd = lth_cpu_sgd,
    .adam = lth_cpu_adam,
    .rule = lth_cpu_rule,
    .sum_squares = lth_cpu_sum_squares,
    .scale = lth_cpu_scale,
    .clamp = lth_cpu_clamp,
    .zero = lth_cpu_zero,
};
