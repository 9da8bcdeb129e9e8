/* backends/cpu/large.c - large products on our own kernel (isa/large.c): b packed once by all threads, then blocks of rows of a.
 * It judges no sizes: matmul.c chooses between this and oneDNN. Refuses nothing but a lack of memory. */
#include "engine/backends/cpu/matmul.h"

typedef struct job { lth_device *d; const lth_large *g; int64_t step, panels; float *packed, *scratch; size_t floats; } job;
enum { PACK = 4 }; /* panels in a chunk */

static void pack_chunk(void *arg, int64_t i, int thread) {
    const job *j = arg;
    (void)thread;
    j->d->isa.large_pack(j->g, i * PACK, lth_min64(PACK, j->panels - i * PACK), j->packed);
}
static void rows_chunk(void *arg, int64_t i, int thread) {
    const job *j = arg;
    const int64_t row = i * j->step;
    j->d->isa.large_rows(j->g, row, lth_min64(j->step, j->g->M - row), j->packed, j->scratch + (size_t)thread * j->floats);
}
/* About eight chunks: each panel of b that comes from L3 should serve many rows. A multiple of every register tile's height. */
static int64_t rows_of_a_chunk(int64_t M) {
    const int64_t step = lth_div_up(lth_div_up(M, 8), 24) * 24;
    return lth_min64(LTH_LARGE_ROWS, step < 48 ? 48 : step);
}
static size_t packed_floats(const lth_device *d, const lth_large *g) { /* of b */
    const int64_t columns = d->isa.large_columns;
    return ((size_t)(lth_div_up(g->N, columns) * columns * g->K) + 15) & ~(size_t)15;
}
static size_t scratch_floats(const lth_device *d, const lth_large *g) { return (d->isa.large_scratch(g) + 15) & ~(size_t)15; }
size_t lth_cpu_large_floats(const lth_device *d, const lth_large *g) { return packed_floats(d, g) + scratch_floats(d, g); }
void lth_cpu_large_alone(const lth_device *d, const lth_large *g, float *memory) {
    d->isa.large_pack(g, 0, lth_div_up(g->N, d->isa.large_columns), memory);
    for (int64_t row = 0; row < g->M; row += LTH_LARGE_ROWS) {
        d->isa.large_rows(g, row, lth_min64(LTH_LARGE_ROWS, g->M - row), memory, memory + packed_floats(d, g));
    }
}
lt_status lth_cpu_large(lth_device *d, const lth_large *g, lth_error *err) {
    const int64_t panels = lth_div_up(g->N, d->isa.large_columns);
    const double us = (double)g->M * (double)g->N * (double)g->K * 1e-5, pack_us = (double)g->N * (double)g->K * 3e-4;
    job j = {.d = d, .g = g, .panels = panels, .step = rows_of_a_chunk(g->M), .floats = scratch_floats(d, g)};
    const int64_t chunks = lth_div_up(g->M, j.step);
    const size_t packed = packed_floats(d, g);
    j.packed = lth_cpu_panel(d, (packed + (size_t)lth_cpu_team(d, chunks, us) * j.floats) * sizeof(float), err);
    if (!j.packed) {
        return LT_ENOMEM;
    }
    j.scratch = j.packed + packed;
    lth_cpu_run(d, lth_div_up(panels, PACK), pack_us, pack_chunk, &j);
    lth_cpu_run(d, chunks, us, rows_chunk, &j);
    return LT_OK;
}
