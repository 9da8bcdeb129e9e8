/* backends/cpu/fold.c - lth_fold_run: sums, largest, smallest and products of what a work computes, over any dimensions of operands of any
 * dtype. Values meet in doubles, in tiles from the first to the last; how they are cut depends on the shape alone.
 * It stores contiguously and refuses nothing but a lack of memory. */
#include "engine/backends/cpu/walk.h"
#include <math.h>

enum { FEW = 16, PART = 65536 }; /* fewer results than FEW are made of several parts, each of about PART elements */
typedef struct axis { int64_t size, stride[LTH_OPERANDS]; } axis;
typedef struct plan {
    const lth_work *w;
    const lth_fold *f;
    axis kept[LT_MAX_DIMS], met[LT_MAX_DIMS];
    int n_kept, n_met;
    bool inner_met;
    int64_t inner, kept_count, met_count, blocks, steps, tiles, parts, results;
    double *partial;
} plan;

static axis axis_of(const lth_nest *nest, int d) {
    axis a = {.size = nest->shape[d]};
    for (int k = 0; k < nest->n; k++) {
        a.stride[k] = nest->op[k].stride[d];
    }
    return a;
}
static void plan_init(plan *p, const lth_work *w, const lth_fold *f) {
    const lth_nest *nest = &w->nest;
    const int last = nest->ndim - 1;
    *p = (plan){.w = w, .f = f, .inner = nest->shape[last], .inner_met = nest->op[w->out].stride[last] == 0, .kept_count = 1, .met_count = 1};
    for (int d = 0; d < last; d++) {
        if (nest->op[w->out].stride[d] == 0) {
            p->met[p->n_met++] = axis_of(nest, d);
            p->met_count *= nest->shape[d];
        } else {
            p->kept[p->n_kept++] = axis_of(nest, d);
            p->kept_count *= nest->shape[d];
        }
    }
    p->blocks = p->inner_met ? 1 : lth_div_up(p->inner, LTH_TILE);
    p->tiles = p->inner_met ? lth_div_up(p->inner, LTH_TILE) : 1;
    p->steps = p->met_count * p->tiles;
    p->results = p->inner_met ? p->kept_count : p->kept_count * p->inner;
    const int64_t units = p->kept_count * p->blocks, worth = p->steps * LTH_TILE / PART;
    p->parts = units >= FEW || worth < 2 ? 1 : lth_min64(worth, FEW);
}

static double start_of(lth_fold_how how) { return how == LTH_FOLD_SUM ? 0 : how == LTH_FOLD_PROD ? 1 : how == LTH_FOLD_MAX ? -INFINITY : INFINITY; }
static inline double meet(lth_fold_how how, double a, double v) {
    switch (how) {
    case LTH_FOLD_SUM: return a + v;
    case LTH_FOLD_PROD: return a * v;
    case LTH_FOLD_MAX: return v > a || isnan(v) ? v : a;
    default: return v < a || isnan(v) ? v : a;
    }
}
/* Two loops per way, so that each is one the compiler can turn into vectors. */
#define MEET_LOOPS(type) \
    const type *x = values; \
    if (p->inner_met) { \
        double s = sums[0]; \
        for (int64_t i = 0; i < n; i++) { \
            s = meet(how, s, (double)x[i]); \
        } \
        sums[0] = s; \
    } else { \
        for (int64_t i = 0; i < n; i++) { \
            sums[i] = meet(how, sums[i], (double)x[i]); \
        } \
    }
static void take_tile(const plan *p, const void *values, int64_t n, double *sums) {
    const lth_fold_how how = p->f->how;
    const lth_maps *m = p->w->by == LTH_BY_F64 ? &p->w->d->isa.f64 : &p->w->d->isa.f32;
    if (how == LTH_FOLD_SUM) {
        if (p->inner_met) {
            sums[0] += m->total(n, values);
        } else {
            m->add_to(n, values, sums);
        }
    } else if (p->w->by == LTH_BY_F64) {
        MEET_LOOPS(double)
    } else {
        MEET_LOOPS(float)
    }
}

static void seek_axes(const axis *a, int n, int64_t place, int64_t *index, int64_t *at, int operands) {
    for (int d = n - 1; d >= 0; d--) {
        index[d] = place % a[d].size;
        place /= a[d].size;
        for (int k = 0; k < operands; k++) {
            at[k] += index[d] * a[d].stride[k];
        }
    }
}
static void step_axes(const axis *a, int n, int64_t *index, int64_t *at, int operands) {
    for (int d = n - 1; d >= 0; d--) {
        const bool wraps = ++index[d] == a[d].size;
        for (int k = 0; k < operands; k++) {
            at[k] += wraps ? a[d].stride[k] * (1 - a[d].size) : a[d].stride[k];
        }
        if (!wraps) {
            return;
        }
        index[d] = 0;
    }
}

static void store(const plan *p, int64_t at, int64_t n, const double *sums) {
    const lth_fold *f = p->f;
    const lth_cpu_isa *isa = &p->w->d->isa;
    const lth_class by = lth_class_of(f->dtype);
    char *to = (char *)f->to + at * (int64_t)lth_dtype_size(f->dtype);
    double values[LTH_TILE], there[LTH_TILE];
    for (int64_t i = 0; i < n; i++) {
        double v = sums[i] * f->scale;
        v = f->end == LTH_END_INVERSE ? 1 / v : f->end == LTH_END_ROOT ? sqrt(v) : f->end == LTH_END_LOG ? log(v) + (f->base ? f->base[at + i] : 0) : v;
        if (by == LTH_BY_F32) {
            ((float *)values)[i] = (float)v;
        } else {
            values[i] = v;
        }
    }
    if (f->add) {
        lth_gather(isa, f->dtype, to, 1, n, by, there);
        (by == LTH_BY_F64 ? &isa->f64 : &isa->f32)->pair(LTH_P_ADD, n, values, there, false, false, values);
    }
    lth_scatter(isa, f->dtype, to, 1, n, by, values);
}

/* One part of one unit: a kept element (or a block of the innermost kept dimension), over a range of steps. */
static void fold_item(void *arg, int64_t item, int thread) {
    const plan *p = arg;
    (void)thread;
    const lth_nest *nest = &p->w->nest;
    const int64_t unit = item / p->parts, part = item % p->parts, block = unit % p->blocks, kept = unit / p->blocks;
    const int64_t from = p->steps * part / p->parts, to = p->steps * (part + 1) / p->parts;
    int64_t ignored[LT_MAX_DIMS];
    double sums[LTH_TILE];
    lth_tile t;
    t.nest = nest;
    t.isa = &p->w->d->isa;
    t.across = false;
    t.start = 0;
    memset(t.at, 0, sizeof t.at);
    seek_axes(p->kept, p->n_kept, kept, ignored, t.at, nest->n);
    seek_axes(p->met, p->n_met, from / p->tiles, t.index, t.at, nest->n);
    const int64_t width = p->inner_met ? 1 : lth_min64(LTH_TILE, p->inner - block * LTH_TILE);
    for (int64_t i = 0; i < width; i++) {
        sums[i] = start_of(p->f->how);
    }
    double values[LTH_TILE];
    for (int64_t s = from; s < to; s++) {
        const int64_t tile = p->inner_met ? s % p->tiles : block;
        t.col = tile * LTH_TILE;
        t.n = lth_min64(LTH_TILE, p->inner - t.col);
        const void *found = values;
        if (p->w->deed == LTH_DO_MAP && p->w->op == LTH_M_SAME) {
            found = lth_tile_get(&t, p->w->a, p->w->by, NULL);
        } else {
            lth_work_tile(p->w, &t, values);
        }
        take_tile(p, found, t.n, sums);
        if ((s + 1) % p->tiles == 0) {
            step_axes(p->met, p->n_met, t.index, t.at, nest->n);
        }
    }
    const int64_t at = p->inner_met ? kept : kept * p->inner + block * LTH_TILE;
    if (p->parts == 1) {
        store(p, at, width, sums);
    } else {
        memcpy(p->partial + part * p->results + at, sums, (size_t)width * sizeof *sums);
    }
}

lt_status lth_fold_run(lth_work *w, const lth_fold *f, double cost, lth_error *err) {
    plan p;
    plan_init(&p, w, f);
    if (p.parts > 1) {
        p.partial = lth_cpu_panel(w->d, (size_t)(p.parts * p.results) * sizeof(double), err);
        if (!p.partial) {
            return LT_ENOMEM;
        }
    }
    lth_cpu_run(w->d, p.kept_count * p.blocks * p.parts, (double)w->nest.count * cost, fold_item, &p);
    for (int64_t at = 0; p.parts > 1 && at < p.results; at += LTH_TILE) {
        const int64_t n = lth_min64(LTH_TILE, p.results - at);
        for (int64_t part = 1; part < p.parts; part++) {
            for (int64_t i = 0; i < n; i++) {
                p.partial[at + i] = meet(f->how, p.partial[at + i], p.partial[part * p.results + at + i]);
            }
        }
        store(&p, at, n, p.partial + at);
    }
    return LT_OK;
}
