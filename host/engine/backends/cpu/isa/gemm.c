/* backends/cpu/isa/gemm.c - the inner tile of the matrix product, for f32 and f64: packed panels in, a tile of accumulators out.
 * It knows no shape but its own; gemm.c cuts the work and packs. Written once with vectors of the compiler's. */
#include "engine/backends/cpu/isa.h"
#include "simd.h"

#if LTH_ISA == 2
#define ROWS 8
#define VECTORS 3
#define WIDE_FMA(a, b, c) ((wide)_mm512_fmadd_pd((__m512d)(a), (__m512d)(b), (__m512d)(c)))
#elif LTH_ISA == 1
#define ROWS 4
#define VECTORS 3
#define WIDE_FMA(a, b, c) ((wide)_mm256_fmadd_pd((__m256d)(a), (__m256d)(b), (__m256d)(c)))
#else
#define ROWS 4
#define VECTORS 2
#define WIDE_FMA(a, b, c) ((a) * (b) + (c))
#endif
typedef double wide __attribute__((vector_size(VL * 4)));
typedef double wide_any __attribute__((vector_size(VL * 4), aligned(8), may_alias));

/* c (ROWS, VECTORS vectors; rows c_at apart) = or += a (depth, ROWS) x b (depth, VECTORS vectors). */
static void tile_f64(int64_t depth, const void *a_panel, const void *b_panel, void *c_tile, int64_t c_at, bool add) {
    const double *a = a_panel, *b = b_panel;
    double *c = c_tile;
    enum { N = VL / 2 };
    wide sum[ROWS][VECTORS] = {0};
    for (int64_t k = 0; k < depth; k++, a += ROWS, b += VECTORS * N) {
        wide v[VECTORS];
        UNROLL for (int j = 0; j < VECTORS; j++) { v[j] = *(const wide_any *)(b + j * N); }
        UNROLL for (int i = 0; i < ROWS; i++) {
            const wide x = a[i] - (wide){0};
            UNROLL for (int j = 0; j < VECTORS; j++) { sum[i][j] = WIDE_FMA(x, v[j], sum[i][j]); }
        }
    }
    UNROLL for (int i = 0; i < ROWS; i++) {
        UNROLL for (int j = 0; j < VECTORS; j++) {
            wide_any *to = (wide_any *)(c + i * c_at + j * N);
            const wide old = *to;
            *to = add ? old + sum[i][j] : sum[i][j];
        }
    }
}

static void tile_f32(int64_t depth, const void *a_panel, const void *b_panel, void *c_tile, int64_t c_at, bool add) {
    const float *a = a_panel, *b = b_panel;
    float *c = c_tile;
    vec sum[ROWS][VECTORS] = {0};
    for (int64_t k = 0; k < depth; k++, a += ROWS, b += VECTORS * VL) {
        vec v[VECTORS];
        UNROLL for (int j = 0; j < VECTORS; j++) { v[j] = v_load(b + j * VL); }
        UNROLL for (int i = 0; i < ROWS; i++) {
            const vec x = v_set(a[i]);
            UNROLL for (int j = 0; j < VECTORS; j++) { sum[i][j] = v_fma(x, v[j], sum[i][j]); }
        }
    }
    UNROLL for (int i = 0; i < ROWS; i++) {
        UNROLL for (int j = 0; j < VECTORS; j++) {
            float *to = c + i * c_at + j * VL;
            v_store(to, add ? v_load(to) + sum[i][j] : sum[i][j]);
        }
    }
}

void LTH_NAME(lth_fill_gemm)(lth_cpu_isa *t) {
    t->gemm_rows = ROWS;
    t->gemm_cols32 = VECTORS * VL;
    t->gemm_cols64 = VECTORS * VL / 2;
    t->gemm_tile32 = tile_f32;
    t->gemm_tile64 = tile_f64;
}
