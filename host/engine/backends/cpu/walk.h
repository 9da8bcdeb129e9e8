/* backends/cpu/walk.h - operands of any dtype and strides met in tiles: dimensions that lie in one row in all operands are joined, values come
 * in the precision they are computed in (half precision in f32, whole numbers in i64), single values stay single.
 * Nothing is allocated; what needs no conversion is not copied. */
#ifndef LTH_CPU_WALK_H
#define LTH_CPU_WALK_H
#include "base/str.h"
#include "engine/backends/cpu/cpu.h"

typedef enum { LTH_BY_F32, LTH_BY_F64, LTH_BY_I64, LTH_BY_BYTES } lth_class; /* what tiles hold */
lth_class lth_class_of(lt_dtype dtype);

enum { LTH_TILE = 512, LTH_OPERANDS = 5, LTH_CHUNK = 16384 };
typedef struct lth_operand { char *data; lt_dtype dtype; int size; bool flat, single; int64_t stride[LT_MAX_DIMS]; } lth_operand;
typedef struct lth_nest { int ndim, n; int64_t shape[LT_MAX_DIMS], count; lth_operand op[LTH_OPERANDS]; } lth_nest;

void lth_nest_init(lth_nest *nest, int ndim, const int64_t *shape);
int lth_nest_add(lth_nest *nest, const lth_array *a);   /* strided; broadcast, aligned at the last dimension; returns its number */
void lth_nest_join(lth_nest *nest);                     /* after the last add, which is of what is to be written */
/* Whether operand k (>= 0) can be met without going element by element: values side by side, or one for all, in the last dimension. */
bool lth_nest_dense(const lth_nest *nest, int k);

/* n elements from column `col` of the row at index[]; or, where rows are short, across rows. */
typedef struct lth_tile {
    const lth_nest *nest;
    const lth_cpu_isa *isa;
    int64_t n, start, col;
    bool across;
    int64_t index[LT_MAX_DIMS], at[LTH_OPERANDS];
    double memory[LTH_OPERANDS][LTH_TILE];
} lth_tile;
/* The operand's elements; *one: a single value for all (NULL: they are always spread out). */
const void *lth_tile_get(lth_tile *t, int k, lth_class by, bool *one);
/* Where results for operand k go, and putting them there: in its dtype; add: to what is there. */
void *lth_tile_out(lth_tile *t, int k, lth_class by, bool add);
void lth_tile_put(lth_tile *t, int k, lth_class by, const void *from, bool add);

/* Runs body for tiles that cover all elements from `from` to `to`. direct: no tile needs memory of its own, so they may be large. */
typedef void lth_tile_body(void *arg, lth_tile *t);
void lth_nest_run(const lth_nest *nest, const lth_cpu_isa *isa, int64_t from, int64_t to, bool direct, lth_tile_body *body, void *arg);

/* n elements of any dtype at any stride <-> a tile. */
void lth_gather(const lth_cpu_isa *isa, lt_dtype dtype, const void *from, int64_t stride, int64_t n, lth_class by, void *to);
void lth_scatter(const lth_cpu_isa *isa, lt_dtype dtype, void *to, int64_t stride, int64_t n, lth_class by, const void *from);

/* ---- computing tiles ---- */
typedef enum { LTH_DO_MAP, LTH_DO_MAP_BACK, LTH_DO_PAIR, LTH_DO_BLEND, LTH_DO_CHOOSE, LTH_DO_COMPARE } lth_deed;
typedef struct lth_work {
    lth_device *d;
    lth_nest nest;
    lth_class by;
    lth_deed deed;
    int op;                 /* lth_map, lth_pair, lth_blend or lth_compare */
    double p[2];
    int a, b, g, out;       /* operands; -1: none. CHOOSE: g is the condition, a and b what is chosen from */
    bool add, direct;
} lth_work;
/* The values of a tile into `to` (lth_class `by`; bytes for COMPARE). */
void lth_work_tile(const lth_work *w, lth_tile *t, void *to);
/* All of them to operand `out`. cost: microseconds per element on one thread. */
void lth_work_run(lth_work *w, double cost);

/* Whether an op on in[] that broadcast to out[0] can go by tiles: strided, not empty, dense in the last dimension; whole numbers only where
 * no gradient is wanted. */
bool lth_tiles_take(const lth_call *call);
/* The work's values become the gradient of input k: as they are, or summed over what the input was spread over. */
lt_status lth_give_gradient(lth_work *w, const lth_call *call, int k, double cost, lth_error *err);

/* ---- reductions (fold.c) ---- */
typedef enum { LTH_FOLD_SUM, LTH_FOLD_MAX, LTH_FOLD_MIN, LTH_FOLD_PROD } lth_fold_how;
typedef enum { LTH_END_SCALE, LTH_END_ROOT, LTH_END_LOG, LTH_END_INVERSE } lth_fold_end; /* times scale; of that the root, the log plus `base`, 1 over it */
typedef struct lth_fold {
    lth_fold_how how;
    lth_fold_end end;
    double scale;
    lt_dtype dtype;         /* of what is made */
    void *to;               /* contiguous */
    const double *base;
    bool add;
} lth_fold;
/* The work's values, met in what operand w->out spans (stride 0: reduced), in a fixed order whatever the number of threads. */
lt_status lth_fold_run(lth_work *w, const lth_fold *f, double cost, lth_error *err);

/* ---- reductions of a call's input 0 (reduce_more.c) ---- */
unsigned lth_reduced_mask(const lth_call *call);        /* bits of the dimensions in attrs [i0 number, i1..]; none given: all */
bool lth_dense(const lth_array *x);                     /* lth_nest_dense of x alone */
bool lth_folds_take(const lth_call *call);              /* float, strided, dense, not empty */
/* `small`, the result of reducing x over the dimensions in mask, as an array that broadcasts to x. */
lth_array lth_reduced_as(const lth_array *x, unsigned mask, const lth_array *small);
/* A work over x (operand a), which reduces over mask; more operands may be added. Then into `small`: */
lth_work lth_fold_work(lth_device *d, const lth_array *x, unsigned mask, lth_deed deed, int op);
lt_status lth_fold_into(lth_work *w, unsigned mask, const lth_array *x, const lth_array *small, const lth_fold *f, lth_error *err);
/* Two arrays in scratch, in the precision x is computed in, that broadcast to x: one place per result. */
bool lth_two_small(lth_device *d, const lth_array *x, unsigned mask, lth_array *first, lth_array *second, lth_error *err);
#endif
