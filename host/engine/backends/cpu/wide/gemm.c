/* backends/cpu/wide/gemm.c - cuts products into chunks of at most 256 x 192 results, packs, and runs the tiles of the instruction set.
 * A chunk's panels and results stay in the cache of its core. */
#include "engine/backends/cpu/wide/gemm.h"

enum { ROWS = 256, PACKED_ROWS = 64, COLS = 192, DEPTH = 192 };

typedef struct job {
    lth_device *d;
    const lth_gemm *g;
    int64_t down, across;       /* chunks in a product */
    int mr, nr;
    size_t element, a_bytes, b_bytes, c_bytes;
    char *memory;
} job;

static int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

static void run_tiles(const job *j, const char *a, const char *b, char *c, int64_t rows, int64_t cols, int64_t depth, int64_t c_at, bool add) {
    for (int64_t col = 0; col < cols; col += j->nr) {
        const char *b_panel = b + (size_t)(col * depth) * j->element;
        for (int64_t row = 0; row < rows; row += j->mr) {
            (j->element == 8 ? j->d->isa.gemm_tile64 : j->d->isa.gemm_tile32)(depth, a + (size_t)(row * depth) * j->element, b_panel,
                                                                            c + (size_t)(row * c_at + col) * j->element, c_at, add);
        }
    }
}

static void run_chunk(void *arg, int64_t chunk, int thread) {
    const job *j = arg;
    const lth_gemm *g = j->g;
    const int64_t batch = chunk / (j->down * j->across), row = chunk / j->across % j->down * ROWS, col = chunk % j->across * COLS;
    const int64_t rows = lth_min64(ROWS, g->M - row), cols = lth_min64(COLS, g->N - col), c_at = round_up(cols, j->nr);
    char *a = j->memory + (size_t)thread * (j->a_bytes + j->b_bytes + j->c_bytes), *b = a + j->a_bytes, *c = b + j->b_bytes;
    if (!g->K) {
        memset(c, 0, j->c_bytes);
    }
    for (int64_t at = 0; at < g->K; at += DEPTH) {
        const int64_t depth = lth_min64(DEPTH, g->K - at);
        g->pack_b(g, batch, col, cols, at, depth, b, j->nr);
        for (int64_t i = 0; i < rows; i += PACKED_ROWS) {
            const int64_t part = lth_min64(PACKED_ROWS, rows - i);
            g->pack_a(g, batch, row + i, part, at, depth, a, j->mr);
            run_tiles(j, a, b, c + (size_t)(i * c_at) * j->element, part, cols, depth, c_at, at > 0);
        }
    }
    g->store(g, batch, row, rows, col, cols, c, c_at);
}

lt_status lth_cpu_gemm(lth_device *d, const lth_gemm *g, lth_error *err) {
    const bool wide = g->dtype == LT_F64;
    job j = {.d = d, .g = g, .down = lth_div_up(g->M, ROWS), .across = lth_div_up(g->N, COLS), .mr = d->isa.gemm_rows,
             .nr = wide ? d->isa.gemm_cols64 : d->isa.gemm_cols32, .element = wide ? 8 : 4};
    const int64_t chunks = g->batch * j.down * j.across;
    if (chunks == 0) {
        return LT_OK;
    }
    const int64_t rows = round_up(lth_min64(g->M, ROWS), j.mr), cols = round_up(lth_min64(g->N, COLS), j.nr), depth = lth_min64(g->K, DEPTH);
    j.a_bytes = lth_floats((size_t)(lth_min64(rows, PACKED_ROWS) * depth) * j.element / 4);
    j.b_bytes = lth_floats((size_t)(cols * depth) * j.element / 4);
    j.c_bytes = lth_floats((size_t)(rows * cols) * j.element / 4);
    const double us = (double)g->batch * (double)g->M * (double)g->N * (double)g->K * (wide ? 4e-5 : 2e-5) + (double)chunks;
    const int team = lth_cpu_team(d, chunks, us);
    j.memory = lth_cpu_panel(d, (size_t)team * (j.a_bytes + j.b_bytes + j.c_bytes), err);
    if (!j.memory) {
        return LT_ENOMEM;
    }
    lth_cpu_run(d, chunks, us, run_chunk, &j);
    return LT_OK;
}

#define PACK(NAME, T) \
    void NAME(const T *from, int64_t item_at, int64_t depth_at, int64_t count, int64_t depth, T *to, int width) { \
        for (int64_t first = 0; first < count; first += width, to += depth * width) { \
            const int64_t here = lth_min64(width, count - first); \
            const T *x = from + first * item_at; \
            if (here < width) { \
                memset(to, 0, (size_t)(depth * width) * sizeof *to); \
            } \
            if (item_at == 1) { \
                for (int64_t k = 0; k < depth; k++) { \
                    memcpy(to + k * width, x + k * depth_at, (size_t)here * sizeof *to); \
                } \
                continue; \
            } \
            for (int64_t i = 0; i < here; i++) { \
                for (int64_t k = 0; k < depth; k++) { \
                    to[k * width + i] = x[i * item_at + k * depth_at]; \
                } \
            } \
        } \
    }
PACK(lth_pack_f32, float)
PACK(lth_pack_f64, double)
