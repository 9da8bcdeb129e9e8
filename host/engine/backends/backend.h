/* engine/backends/backend.h - the contract of a device: memory, kernels, fused updates. The engine above speaks only to this.
 *
 * A backend is one lth_backend: a vtable with a kernel per row of ops/ops.def. A missing kernel, or one whose `plan` declines a call,
 * falls back to `fallback` (cpu -> reference; cuda has none: it copies through the host and says so once in the log).
 * Kernels never allocate, never print, never keep what they are given. One call at a time per device instance.
 *
 * Written for what comes later too: out-of-order devices (stream), reduced precision (dtypes per array), blocked layouts
 * (lth_layout), operations with saved byte workspaces (attention, dropout, pooling), in-place updates (out aliases in). */
#ifndef LTH_BACKEND_H
#define LTH_BACKEND_H
#include "base/error.h"
#include <stdbool.h>
#include <string.h>

/* How the elements of an array lie. STRIDED is what plugins see; kernels may ask for others between themselves. */
typedef enum {
    LTH_STRIDED = 0,
    LTH_N16C = 1,   /* (N, C, H, W) f32 as [ceil(N/16)][C][H][W][16 n]: a vector is one pixel of 16 images; lanes beyond N are zero */
    LTH_C16 = 2,    /* (N, C, H, W) as [N][ceil(C/16)][H][W][16 c]: oneDNN's nChw16c; channels beyond C are zero */
    LTH_HWNC = 3,   /* (N, C, H, W) as [H][W][N][16 ceil(C/16)]: rows are the images of a pixel; channels beyond C are zero */
} lth_layout;

typedef struct lth_array {
    void *data;
    lt_dtype dtype;
    uint8_t ndim, layout, reserved[2];
    int64_t shape[LT_MAX_DIMS];
    int64_t strides[LT_MAX_DIMS]; /* in elements; meaningless unless LTH_STRIDED */
} lth_array;
static inline bool lth_same_shape(const lth_array *a, const lth_array *b) {
    return a->ndim == b->ndim && memcmp(a->shape, b->shape, (size_t)a->ndim * sizeof *a->shape) == 0;
}

typedef enum {
#define LTH_OP(NAME, ...) LTH_OP_##NAME,
#include "engine/ops/ops.def"
#undef LTH_OP
    LTH_OP_COUNT
} lth_op;

enum { LTH_MAX_IN = 8, LTH_MAX_OUT = 4, LTH_MAX_ATTRS = 16 };
typedef struct lth_attrs { int64_t i[LTH_MAX_ATTRS]; double f[4]; } lth_attrs; /* meaning per op: ops.def */

/* One call of one op, forward or backward. Arrays are the engine's; absent optional inputs are NULL. */
typedef struct lth_call {
    lth_op op;
    uint8_t n_in, n_out;
    bool save;                          /* a backward will follow: keep what it needs in workspace */
    bool need[LTH_MAX_IN];              /* backward: this input's gradient is wanted */
    bool accumulate[LTH_MAX_IN];        /* backward: add to grad_in instead of writing it */
    const lth_attrs *attrs;
    const lth_array *in[LTH_MAX_IN];
    lth_array *out[LTH_MAX_OUT];        /* forward: to be written; backward: as forward left them */
    const lth_array *grad_out[LTH_MAX_OUT]; /* backward; layout as out; NULL: none arrives, counts as zeros */
    lth_array *grad_in[LTH_MAX_IN];     /* backward; layout as in; written only where need[] */
    void *workspace;                    /* lives from forward to backward */
    size_t workspace_bytes;
    uint64_t (*random)(void *state);    /* dropout and the like: 64 bits of the run's generator */
    void (*random_many)(void *state, uint64_t *out, int64_t n); /* n such draws; may be NULL */
    void *random_state;
} lth_call;

typedef struct lth_device lth_device; /* a backend's instance: thread team, primitive cache, stream */

typedef struct lth_kernel {
    /* Can this call be done here? May then set out[]->layout (shape and dtype are set already; LTH_STRIDED stands) and
     * workspace_bytes. Called before memory exists. NULL: yes for calls whose arrays are all contiguous LTH_STRIDED of one float dtype f32.
     * Inputs in a layout it does not take: return false; the engine then asks again with inputs made LTH_STRIDED and contiguous. */
    bool (*plan)(lth_device *device, lth_call *call);
    lt_status (*forward)(lth_device *device, const lth_call *call, lth_error *err);
    lt_status (*backward)(lth_device *device, const lth_call *call, lth_error *err); /* NULL for ops without a gradient */
} lth_kernel;

/* Arguments of the fused updates: lt/optim.h. Pointers are device memory. */
struct lt_span; struct lt_sgd_args; struct lt_adam_args; struct lth_rule;

typedef struct lth_device_opts { int32_t threads; const char *isa; /* NULL: the best there is */ bool benchmark; } lth_device_opts;

typedef struct lth_backend {
    uint32_t struct_size;
    int32_t device_type;            /* 1 CPU, 2 CUDA (DLPack's numbers) */
    const char *name;
    const struct lth_backend *fallback;
    lt_status (*open)(lth_device **out, const lth_device_opts *opts, lth_error *err);
    void (*close)(lth_device *device);
    const char *(*describe)(lth_device *device); /* "AVX-512, 2 threads, oneDNN 2.6.3" */
    /* -- memory: 64-byte aligned, zeroed; large blocks in huge pages. NULL: none left -- */
    void *(*alloc)(lth_device *device, size_t bytes);
    void (*free)(lth_device *device, void *memory, size_t bytes);
    lt_status (*copy)(lth_device *device, void *to, const void *from, size_t bytes, int32_t kind, lth_error *err);
    /* kind: 0 within, 1 host->device, 2 device->host */
    lt_status (*synchronize)(lth_device *device, lth_error *err);
    void *(*stream)(lth_device *device);
    /* bytes an array of this layout takes, with its padding */
    size_t (*array_bytes)(const lth_array *array);
    /* -- kernels: one per op, NULL where the fallback does it -- */
    const lth_kernel *kernels[LTH_OP_COUNT];
    const lth_kernel *wide[LTH_OP_COUNT]; /* asked where those decline: kernels for f64 */
    const lth_kernel *low[LTH_OP_COUNT];  /* and then: kernels for bf16. What none of them takes is done in f32 and rounded */
    /* -- fused passes over flat memory of f32, f64 or bf16; other dtypes are refused; a fixed order of summation whatever the number of threads -- */
    lt_status (*sgd)(lth_device *device, const struct lt_span *span, const struct lt_sgd_args *args, lth_error *err);
    lt_status (*adam)(lth_device *device, const struct lt_span *span, const struct lt_adam_args *args, lth_error *err);
    lt_status (*rule)(lth_device *device, const struct lt_span *span, const struct lth_rule *rule, lth_error *err); /* rules.h */
    lt_status (*sum_squares)(lth_device *device, lt_dtype dtype, const void *x, int64_t n, double *out, lth_error *err);
    lt_status (*scale)(lth_device *device, lt_dtype dtype, void *x, int64_t n, double factor, lth_error *err);
    lt_status (*clamp)(lth_device *device, lt_dtype dtype, void *x, int64_t n, double low, double high, lth_error *err);
    lt_status (*zero)(lth_device *device, void *memory, size_t bytes, lth_error *err);
} lth_backend;

extern const lth_backend lth_backend_reference; /* naive loops, the oracle; every op, every dtype of its row; no threads */
extern const lth_backend lth_backend_cpu;       /* oneDNN + own kernels per instruction set + OpenMP */

/* Contiguous row-major and LTH_STRIDED. */
bool lth_array_contiguous(const lth_array *array);
int64_t lth_array_numel(const lth_array *array);
#endif
