/* backends/cpu/updates_low.c - the fused passes over flat memory of bf16 (rules/low.h), for precision bf16-true. Chunks of 16384 elements, the
 * same for any number of threads; spans were checked by updates.c. */
#include "engine/backends/cpu/cpu.h"
#include "engine/backends/rules/rules.h"

enum { CHUNK = 16384 };
typedef struct flat {
    lth_device *d;
    const lth_low *update;
    int64_t n;
    uint16_t *p, *slot[LTH_RULE_SLOTS];
    const uint16_t *g;
    double *parts;
} flat;
static int64_t width(const flat *f, int64_t chunk) { return lth_min64(CHUNK, f->n - chunk * CHUNK); }

static void update_chunk(void *arg, int64_t c, int thread) {
    flat *f = arg;
    uint16_t *slot[LTH_RULE_SLOTS];
    (void)thread;
    for (int k = 0; k < LTH_RULE_SLOTS; k++) {
        slot[k] = f->slot[k] ? f->slot[k] + c * CHUNK : NULL;
    }
    f->d->isa.update_low(f->update, width(f, c), f->p + c * CHUNK, f->g ? f->g + c * CHUNK : NULL, slot);
}
void lth_cpu_update_low(lth_device *d, const lt_span *span, const lth_low *update) {
    flat f = {.d = d, .update = update, .n = span->n, .p = span->param, .g = span->grad, .slot = {span->slot[0], span->slot[1], span->slot[2]}};
    lth_cpu_run(d, lth_div_up(f.n, CHUNK), (double)f.n * 2e-3, update_chunk, &f);
}
static void squares_chunk(void *arg, int64_t c, int thread) {
    flat *f = arg;
    (void)thread;
    f->parts[c] = f->d->isa.squares_low(width(f, c), f->g + c * CHUNK);
}
lt_status lth_cpu_sum_squares_low(lth_device *d, const uint16_t *x, int64_t n, double *out, lth_error *err) {
    flat f = {.d = d, .n = n, .g = x};
    const int64_t chunks = lth_div_up(n, CHUNK);
    *out = 0;
    f.parts = lth_cpu_scratch(d, (size_t)(chunks + 1) * sizeof(double), err);
    if (!f.parts) {
        return LT_ENOMEM;
    }
    lth_cpu_run(d, chunks, (double)n * 1e-3, squares_chunk, &f);
    for (int64_t c = 0; c < chunks; c++) {
        *out += f.parts[c];
    }
    return LT_OK;
}
