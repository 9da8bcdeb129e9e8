/* backends/cpu/isa/pixels.c - transposes between rows and 16-lane pixels, and pooling on such pixels (LTH_N16C and LTH_C16 alike). */
#include "engine/backends/cpu/isa.h"
#include "simd.h"

static void rows_to_lanes(int64_t count, int64_t n_rows, const float *rows, int64_t rows_at, float *pixels) {
    for (int64_t i = 0; i < count; i += 16) {
        transpose_to(pixels + i * 16, 16, rows + i, rows_at, (int)n_rows, count - i < 16 ? (int)(count - i) : 16);
    }
}
static void lanes_to_rows(int64_t count, int64_t n_rows, const float *pixels, float *rows, int64_t rows_at, bool add) {
    for (int64_t i = 0; i < count; i += 16) {
        transpose_from(rows + i, rows_at, (int)n_rows, count - i < 16 ? (int)(count - i) : 16, pixels + i * 16, 16, add);
    }
}

/* The part of a window inside the map, and how many elements an average divides by. */
typedef struct window { int y0, y1, x0, x1, top, left, size; } window;
INLINE window window_at(const lth_pool *p, int oy, int ox) {
    window w = {.top = oy * p->SH - p->PH, .left = ox * p->SW - p->PW};
    const int bottom = w.top + p->KH, right = w.left + p->KW;
    w.y0 = w.top < 0 ? 0 : w.top;
    w.x0 = w.left < 0 ? 0 : w.left;
    w.y1 = bottom > p->H ? p->H : bottom;
    w.x1 = right > p->W ? p->W : right;
    if (p->count_pad) { /* padding counts, what ceil mode adds beyond it does not */
        const int b = bottom < p->H + p->PH ? bottom : p->H + p->PH, r = right < p->W + p->PW ? right : p->W + p->PW;
        w.size = (b - w.top) * (r - w.left);
    } else {
        w.size = (w.y1 - w.y0) * (w.x1 - w.x0);
    }
    return w;
}
#define EACH_OUT(p) \
    for (int64_t plane = 0; plane < (p)->planes; plane++) \
        for (int oy = 0; oy < (p)->OH; oy++) \
            for (int ox = 0; ox < (p)->OW; ox++)
#define OUT_AT(p) (((plane * (p)->OH + oy) * (p)->OW + ox) * pixel)
#define IN_AT(p, y, x) (((plane * (p)->H + (y)) * (p)->W + (x)) * pixel)
#define SIZES(p) const int64_t pixel = (p)->pixel ? (p)->pixel : 16, lanes = (p)->lanes ? (p)->lanes : 16

static void max_pool16(const lth_pool *p, const float *x, float *y, uint8_t *index) {
    SIZES(p);
    EACH_OUT(p) {
        const window w = window_at(p, oy, ox);
        for (int64_t v = 0; v < lanes; v += VL) {
            vec best = v_load(x + IN_AT(p, w.y0, w.x0) + v);
            ivec at = v_iset((w.y0 - w.top) * p->KW + w.x0 - w.left);
            for (int iy = w.y0; iy < w.y1; iy++) {
                for (int ix = w.x0; ix < w.x1; ix++) {
                    vec a = v_load(x + IN_AT(p, iy, ix) + v);
                    vmask more = v_gt(a, best);
                    best = v_sel(more, a, best);
                    at = v_isel(more, v_iset((iy - w.top) * p->KW + ix - w.left), at);
                }
            }
            v_store(y + OUT_AT(p) + v, best);
            if (index) {
                v_bytes_store(index + OUT_AT(p) + v, at);
            }
        }
    }
}
/* dx: added to. */
static void max_pool16_back(const lth_pool *p, const uint8_t *index, const float *dy, float *dx) {
    SIZES(p);
    EACH_OUT(p) {
        const window w = window_at(p, oy, ox);
        for (int64_t v = 0; v < lanes; v += VL) {
            const vec g = v_load(dy + OUT_AT(p) + v);
            const ivec at = v_bytes_load(index + OUT_AT(p) + v);
            for (int iy = w.y0; iy < w.y1; iy++) {
                for (int ix = w.x0; ix < w.x1; ix++) {
                    float *to = dx + IN_AT(p, iy, ix) + v;
                    v_store(to, v_load(to) + v_keep(v_ieq(at, v_iset((iy - w.top) * p->KW + ix - w.left)), g));
                }
            }
        }
    }
}
static void avg_pool16(const lth_pool *p, const float *x, float *y) {
    SIZES(p);
    EACH_OUT(p) {
        const window w = window_at(p, oy, ox);
        for (int64_t v = 0; v < lanes; v += VL) {
            vec s = {0};
            for (int iy = w.y0; iy < w.y1; iy++) {
                for (int ix = w.x0; ix < w.x1; ix++) {
                    s += v_load(x + IN_AT(p, iy, ix) + v);
                }
            }
            v_store(y + OUT_AT(p) + v, s / (float)w.size);
        }
    }
}
static void avg_pool16_back(const lth_pool *p, const float *dy, float *dx) {
    SIZES(p);
    EACH_OUT(p) {
        const window w = window_at(p, oy, ox);
        for (int64_t v = 0; v < lanes; v += VL) {
            const vec g = v_load(dy + OUT_AT(p) + v) / (float)w.size;
            for (int iy = w.y0; iy < w.y1; iy++) {
                for (int ix = w.x0; ix < w.x1; ix++) {
                    float *to = dx + IN_AT(p, iy, ix) + v;
                    v_store(to, v_load(to) + g);
                }
            }
        }
    }
}

void LTH_NAME(lth_fill_pixels)(lth_cpu_isa *t) {
    t->rows_to_lanes = rows_to_lanes;
    t->lanes_to_rows = lanes_to_rows;
    t->max_pool16 = max_pool16;
    t->max_pool16_back = max_pool16_back;
    t->avg_pool16 = avg_pool16;
    t->avg_pool16_back = avg_pool16_back;
}
