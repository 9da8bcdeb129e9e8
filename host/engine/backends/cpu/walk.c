/* backends/cpu/walk.c - walk.h: joining dimensions, fetching tiles, storing them, and the deeds that tiles are computed with.
 * Refuses nothing: callers have looked at layouts and dtypes. */
#include "engine/backends/cpu/walk.h"
#include "engine/backends/cpu/whole.h"

enum { SHORT_ROW = 48 }; /* shorter rows are met several at once */

lth_class lth_class_of(lt_dtype dtype) {
    return dtype == LT_F64 ? LTH_BY_F64 : dtype == LT_F32 || dtype == LT_F16 || dtype == LT_BF16 ? LTH_BY_F32 : LTH_BY_I64;
}
static int class_bytes(lth_class by) { return by == LTH_BY_F32 ? 4 : by == LTH_BY_BYTES ? 1 : 8; }
static bool native(lt_dtype dtype, lth_class by) {
    return by == LTH_BY_F32   ? dtype == LT_F32
           : by == LTH_BY_F64 ? dtype == LT_F64
           : by == LTH_BY_I64 ? dtype == LT_I64
                              : dtype == LT_BOOL || dtype == LT_U8;
}

/* ---- nests ---- */
void lth_nest_init(lth_nest *nest, int ndim, const int64_t *shape) {
    nest->ndim = ndim;
    nest->n = 0;
    nest->count = 1;
    for (int d = 0; d < ndim; d++) {
        nest->shape[d] = shape[d];
        nest->count *= shape[d];
    }
}
int lth_nest_add(lth_nest *nest, const lth_array *a) {
    lth_operand *o = &nest->op[nest->n];
    const int shift = nest->ndim - a->ndim;
    o->data = a->data;
    o->dtype = a->dtype;
    o->size = (int)lth_dtype_size(a->dtype);
    for (int d = 0; d < nest->ndim; d++) {
        const bool still = d < shift || (a->shape[d - shift] == 1 && nest->shape[d] != 1);
        o->stride[d] = still ? 0 : a->strides[d - shift];
    }
    return nest->n++;
}
static void move_dim(lth_nest *nest, int to, int from) {
    nest->shape[to] = nest->shape[from];
    for (int k = 0; k < nest->n; k++) {
        nest->op[k].stride[to] = nest->op[k].stride[from];
    }
}
static bool joins(const lth_nest *nest, int d, int next) {
    bool good = true;
    for (int k = 0; k < nest->n; k++) {
        good = good && nest->op[k].stride[d] == nest->op[k].stride[next] * nest->shape[next];
    }
    return good;
}
void lth_nest_join(lth_nest *nest) {
    int kept = 0;
    for (int d = 0; d < nest->ndim; d++) {
        if (nest->shape[d] == 1) {
            continue;
        }
        if (kept > 0 && joins(nest, kept - 1, d)) {
            const int64_t size = nest->shape[kept - 1] * nest->shape[d];
            move_dim(nest, kept - 1, d);
            nest->shape[kept - 1] = size;
        } else {
            move_dim(nest, kept++, d);
        }
    }
    if (kept == 0) {
        nest->shape[kept] = 1;
        for (int k = 0; k < nest->n; k++) {
            nest->op[k].stride[kept] = 0;
        }
        kept = 1;
    }
    nest->ndim = kept;
    for (int k = 0; k < nest->n; k++) {
        int64_t expect = 1;
        lth_operand *o = &nest->op[k];
        o->flat = o->single = true;
        for (int d = kept - 1; d >= 0; d--) {
            o->flat = o->flat && (o->stride[d] == expect || nest->shape[d] == 1);
            o->single = o->single && o->stride[d] == 0;
            expect *= nest->shape[d];
        }
    }
}
bool lth_nest_dense(const lth_nest *nest, int k) {
    const int64_t inner = nest->op[k].stride[nest->ndim - 1];
    return inner == 0 || inner == 1 || nest->shape[nest->ndim - 1] == 1;
}
/* ---- one dtype to another, at any stride ---- */
static float f32_at(const lth_cpu_isa *isa, lt_dtype dtype, const void *p) {
    float value;
    if (dtype == LT_F32) {
        return *(const float *)p;
    }
    isa->widen(dtype, 1, p, &value);
    return value;
}
static int64_t whole_at(lt_dtype dtype, const void *p) {
    switch (dtype) {
    case LT_I64: return *(const int64_t *)p;
    case LT_I32: return *(const int32_t *)p;
    case LT_BOOL: return *(const uint8_t *)p != 0;
    default: return *(const uint8_t *)p;
    }
}
#define EACH_AT(type, value) \
    for (int64_t i = 0; i < n; i++) { \
        ((type *)to)[i] = (value); \
    } \
    return
void lth_gather(const lth_cpu_isa *isa, lt_dtype dtype, const void *from, int64_t stride, int64_t n, lth_class by, void *to) {
    const char *p = from;
    const int64_t step = stride * (int64_t)lth_dtype_size(dtype);
    if (stride == 1 && native(dtype, by)) {
        memcpy(to, from, (size_t)(n * step));
        return;
    }
    switch (by) {
    case LTH_BY_F32:
        if (dtype == LT_F32) {
            EACH_AT(float, ((const float *)from)[i * stride]);
        }
        if (stride == 1) {
            isa->widen(dtype, n, from, to);
            return;
        }
        EACH_AT(float, f32_at(isa, dtype, p + i * step));
    case LTH_BY_F64: EACH_AT(double, ((const double *)from)[i * stride]);
    case LTH_BY_I64:
        switch (dtype) {
        case LT_I64: EACH_AT(int64_t, ((const int64_t *)from)[i * stride]);
        case LT_I32: EACH_AT(int64_t, ((const int32_t *)from)[i * stride]);
        default: EACH_AT(int64_t, whole_at(dtype, p + i * step));
        }
    default: EACH_AT(uint8_t, (uint8_t)(p[i * stride] != 0));
    }
}
void lth_scatter(const lth_cpu_isa *isa, lt_dtype dtype, void *to, int64_t stride, int64_t n, lth_class by, const void *from) {
    char *p = to;
    const int64_t step = stride * (int64_t)lth_dtype_size(dtype);
    const int64_t *whole = from;
    if (stride == 1 && native(dtype, by)) {
        memcpy(to, from, (size_t)(n * step));
        return;
    }
    switch (by) {
    case LTH_BY_F32:
        if (dtype != LT_F32 && stride == 1) {
            isa->narrow(dtype, n, from, to);
            return;
        }
        for (int64_t i = 0; i < n; i++) {
            if (dtype == LT_F32) {
                ((float *)to)[i * stride] = ((const float *)from)[i];
            } else {
                isa->narrow(dtype, 1, (const float *)from + i, (uint16_t *)(void *)(p + i * step));
            }
        }
        return;
    case LTH_BY_F64:
        for (int64_t i = 0; i < n; i++) {
            ((double *)to)[i * stride] = ((const double *)from)[i];
        }
        return;
    case LTH_BY_I64: /* wraps, as PyTorch */
        for (int64_t i = 0; i < n; i++) {
            switch (dtype) {
            case LT_I64: ((int64_t *)to)[i * stride] = whole[i]; break;
            case LT_I32: ((int32_t *)to)[i * stride] = (int32_t)whole[i]; break;
            case LT_BOOL: p[i * stride] = whole[i] != 0; break;
            default: p[i * stride] = (char)whole[i];
            }
        }
        return;
    default:
        for (int64_t i = 0; i < n; i++) {
            p[i * stride] = ((const char *)from)[i];
        }
    }
}

/* ---- tiles ---- */
static void spread_out(lth_class by, void *to, int64_t n) {
    switch (class_bytes(by)) {
    case 4: for (int64_t i = 1; i < n; i++) { ((float *)to)[i] = ((float *)to)[0]; } break;
    case 8: for (int64_t i = 1; i < n; i++) { ((int64_t *)to)[i] = ((int64_t *)to)[0]; } break;
    default: memset(to, *(uint8_t *)to, (size_t)n);
    }
}
/* Pieces of the rows that a tile touches, one after the other; the walk works on copies of the tile's place. */
static void gather_across(lth_tile *t, int k, lth_class by, char *to) {
    const lth_nest *nest = t->nest;
    const lth_operand *o = &nest->op[k];
    const int last = nest->ndim - 1;
    const int64_t inner = nest->shape[last], bytes = class_bytes(by);
    int64_t index[LT_MAX_DIMS], at = t->at[k], col = t->col;
    memcpy(index, t->index, sizeof index);
    for (int64_t left = t->n; left > 0;) {
        const int64_t n = lth_min64(left, inner - col);
        lth_gather(t->isa, o->dtype, o->data + (at + col * o->stride[last]) * o->size, o->stride[last], n, by, to);
        to += n * bytes;
        left -= n;
        col = 0;
        for (int d = last - 1; d >= 0; d--) {
            at += o->stride[d];
            if (++index[d] < nest->shape[d]) {
                break;
            }
            at -= o->stride[d] * nest->shape[d];
            index[d] = 0;
        }
    }
}
const void *lth_tile_get(lth_tile *t, int k, lth_class by, bool *one) {
    const lth_operand *o = &t->nest->op[k];
    const int last = t->nest->ndim - 1;
    void *memory = t->memory[k];
    const bool still = o->single || (!t->across && o->stride[last] == 0);
    if (one) {
        *one = still;
    }
    if (still) {
        lth_gather(t->isa, o->dtype, o->data + (o->single ? 0 : t->at[k] * o->size), 1, 1, by, memory);
        if (!one) {
            spread_out(by, memory, t->n);
        }
        return memory;
    }
    if (t->across && !o->flat) {
        gather_across(t, k, by, memory);
        return memory;
    }
    const char *from = o->data + (o->flat && t->across ? t->start : t->at[k] + t->col * o->stride[last]) * o->size;
    if (native(o->dtype, by) && o->stride[last] == 1) {
        return from;
    }
    lth_gather(t->isa, o->dtype, from, o->stride[last], t->n, by, memory);
    return memory;
}
static char *place_of(const lth_tile *t, int k) {
    const lth_operand *o = &t->nest->op[k];
    const int last = t->nest->ndim - 1;
    return o->data + (t->across ? t->start : t->at[k] + t->col * o->stride[last]) * o->size;
}
void *lth_tile_out(lth_tile *t, int k, lth_class by, bool add) {
    const lth_operand *o = &t->nest->op[k];
    const bool here = !add && native(o->dtype, by) && (o->flat || o->stride[t->nest->ndim - 1] == 1);
    return here ? (void *)place_of(t, k) : t->memory[k];
}
static void add_tile(const lth_cpu_isa *isa, lth_class by, int64_t n, const void *x, void *y) {
    if (by == LTH_BY_F32) {
        isa->f32.pair(LTH_P_ADD, n, y, x, false, false, y);
    } else if (by == LTH_BY_F64) {
        isa->f64.pair(LTH_P_ADD, n, y, x, false, false, y);
    } else {
        lth_whole_pair(LTH_P_ADD, n, y, x, false, false, y);
    }
}
void lth_tile_put(lth_tile *t, int k, lth_class by, const void *from, bool add) {
    const lth_operand *o = &t->nest->op[k];
    const int64_t stride = t->across ? 1 : o->stride[t->nest->ndim - 1];
    char *to = place_of(t, k);
    if (!add) {
        if (from != to) {
            lth_scatter(t->isa, o->dtype, to, stride, t->n, by, from);
        }
        return;
    }
    double there[LTH_TILE];
    for (int64_t i = 0; i < t->n; i += LTH_TILE) {
        const int64_t n = lth_min64(LTH_TILE, t->n - i);
        char *here = to + i * stride * o->size;
        lth_gather(t->isa, o->dtype, here, stride, n, by, there);
        add_tile(t->isa, by, n, (const char *)from + i * class_bytes(by), there);
        lth_scatter(t->isa, o->dtype, here, stride, n, by, there);
    }
}

static void seek(lth_tile *t, int64_t start) {
    const lth_nest *nest = t->nest;
    const int last = nest->ndim - 1;
    t->col = start % nest->shape[last];
    int64_t row = start / nest->shape[last];
    memset(t->at, 0, sizeof t->at);
    for (int d = last - 1; d >= 0; d--) {
        t->index[d] = row % nest->shape[d];
        row /= nest->shape[d];
        for (int k = 0; k < nest->n; k++) {
            t->at[k] += t->index[d] * nest->op[k].stride[d];
        }
    }
}
void lth_nest_run(const lth_nest *nest, const lth_cpu_isa *isa, int64_t from, int64_t to, bool direct, lth_tile_body *body, void *arg) {
    lth_tile t;
    t.nest = nest;
    t.isa = isa;
    const int last = nest->ndim - 1;
    const int64_t inner = nest->shape[last];
    t.across = nest->ndim > 1 && (direct || (inner < SHORT_ROW && nest->op[nest->n - 1].flat)); /* the last operand is what is written */
    for (int64_t at = from; at < to; at += t.n) {
        t.start = at;
        if (at == from || !direct) {
            seek(&t, at);
        }
        t.n = to - at;
        if (!direct) {
            t.n = lth_min64(t.n, LTH_TILE);
        }
        if (!t.across) {
            t.n = lth_min64(t.n, inner - t.col);
        }
        body(arg, &t);
    }
}

/* ---- deeds ---- */
void lth_work_tile(const lth_work *w, lth_tile *t, void *to) {
    const lth_maps *m = w->by == LTH_BY_F64 ? &t->isa->f64 : &t->isa->f32;
    const bool whole = w->by == LTH_BY_I64;
    bool a_one = false, b_one = false, g_one = false;
    const bool maps = w->deed == LTH_DO_MAP || w->deed == LTH_DO_MAP_BACK;
    const void *a = w->a >= 0 ? lth_tile_get(t, w->a, w->by, maps ? NULL : &a_one) : NULL;
    const void *b = w->b >= 0 ? lth_tile_get(t, w->b, w->by, maps ? NULL : &b_one) : NULL;
    const void *g = w->g >= 0 ? lth_tile_get(t, w->g, w->deed == LTH_DO_CHOOSE ? LTH_BY_BYTES : w->by, maps ? NULL : &g_one) : NULL;
    switch (w->deed) {
    case LTH_DO_MAP:
        if (whole) {
            lth_whole_map((lth_map)w->op, t->n, a, to);
        } else {
            m->map((lth_map)w->op, t->n, a, to, w->p);
        }
        break;
    case LTH_DO_MAP_BACK: m->map_back((lth_map)w->op, t->n, a, b, g, to, w->p); break;
    case LTH_DO_PAIR: (whole ? lth_whole_pair : m->pair)((lth_pair)w->op, t->n, a, b, a_one, b_one, to); break;
    case LTH_DO_BLEND: m->blend((lth_blend)w->op, t->n, a ? a : g, b ? b : g, g, a ? a_one : g_one, b ? b_one : g_one, g_one, to); break;
    case LTH_DO_CHOOSE: (whole ? lth_whole_choose : m->choose)(t->n, g, a, b, g_one, a_one, b_one, to); break;
    case LTH_DO_COMPARE: (whole ? lth_whole_compare : m->compare)((lth_compare)w->op, t->n, a, b, a_one, b_one, to); break;
    }
}
static void one_tile(void *arg, lth_tile *t) {
    const lth_work *w = arg;
    const lth_class by = w->deed == LTH_DO_COMPARE ? LTH_BY_BYTES : w->by;
    void *to = lth_tile_out(t, w->out, by, w->add);
    lth_work_tile(w, t, to);
    lth_tile_put(t, w->out, by, to, w->add);
}
static void one_chunk(void *arg, int64_t i, int thread) {
    lth_work *w = arg;
    (void)thread;
    lth_nest_run(&w->nest, &w->d->isa, i * LTH_CHUNK, lth_min64((i + 1) * LTH_CHUNK, w->nest.count), w->direct, one_tile, w);
}
/* Whether all operands can be met where they lie, whatever the length of a tile. */
static bool direct(const lth_work *w) {
    const bool maps = w->deed == LTH_DO_MAP || w->deed == LTH_DO_MAP_BACK;
    bool good = !w->add;
    for (int k = 0; good && k < w->nest.n; k++) {
        const lth_operand *o = &w->nest.op[k];
        const bool bytes = (w->deed == LTH_DO_COMPARE && k == w->out) || (w->deed == LTH_DO_CHOOSE && k == w->g);
        good = o->single && k != w->out ? !maps || w->nest.count == 1 : o->flat && native(o->dtype, bytes ? LTH_BY_BYTES : w->by);
    }
    return good;
}
void lth_work_run(lth_work *w, double cost) {
    w->direct = direct(w);
    lth_cpu_run(w->d, lth_div_up(w->nest.count, LTH_CHUNK), (double)w->nest.count * cost, one_chunk, w);
}
