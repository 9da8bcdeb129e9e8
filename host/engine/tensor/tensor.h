/* engine/tensor/tensor.h - lt_tensor, its memory, and the engine that owns both: a device, the step arena, the run's generator.
 * Two lifetimes: step memory (bump arena, reset by lth_step_end) and lasting memory (parameters, buffers, retained tensors).
 * This layer knows no operation and no gradient rule; it carries autograd's links as opaque pointers. */
#ifndef LTH_TENSOR_H
#define LTH_TENSOR_H
#include "base/ctx.h"
#include "engine/backends/backend.h"
#include "engine/random/generator.h"
#include <lt/tensor.h>

struct lth_tape_node;
typedef struct lth_step_block lth_step_block;

struct lt_tensor {
    lth_array a;                    /* first: a tensor is an array */
    struct lth_engine *engine;
    struct lt_tensor *base;         /* view: the tensor whose memory this is; else NULL */
    struct lth_tape_node *node;     /* what made it, when a gradient can flow; NULL for leaves */
    struct lt_tensor *grad;         /* of a leaf, or while backward runs */
    uint32_t version;               /* counts in-place changes of the memory; of a view: its base's when it was made */
    uint32_t retained;              /* lt_retain calls open */
    uint32_t rewritten;             /* in-place changes that gradients know of; of a view: its base's when it was made */
    uint8_t requires_grad, is_leaf, lasting, grad_fresh; /* grad_fresh: of a gradient: it holds nothing yet; the first write need not add */
    uint8_t out_index;              /* which output of node */
    void *block;                    /* lasting memory of its own; NULL otherwise */
    size_t block_bytes;
    lth_step_block *data_home, *struct_home; /* where data and this struct lie in step memory; NULL: elsewhere */
    struct lt_tensor *next, *previous;       /* the engine's list of lasting, retained or released tensors */
    uint8_t kept;                   /* retaining: tensor.c */
    uint8_t detached;               /* an alias without history, or a view of one: what happens to its base's history is nothing to it */
    uint8_t copied;                 /* a view that had to be made of a copy: writing to it would not reach the tensor it was made of */
};

typedef struct lth_step_list { lth_step_block *first, *last; } lth_step_list;
typedef struct lth_step_pool { lth_step_list used, free; int32_t pinned; } lth_step_pool; /* pinned: blocks in `used` that a retained tensor needs */
enum { LTH_STEP_STRUCT, LTH_STEP_DATA, LTH_STEP_LARGE, LTH_STEP_HOST, LTH_STEP_KINDS };

typedef struct lth_engine {
    const lth_backend *backend;
    lth_device *device;
    lth_device *reference;          /* of the fallback chain */
    lth_generator generator;        /* the default generator: init, dropout, shuffles draw from it */
    struct lth_tape *tape;          /* autograd's */
    bool grad_enabled, inference;
    bool walking;                   /* backward is on its way: the tape must stay as it is */
    lt_dtype dtype;                 /* of parameters and float buffers: f32, or what trainer.precision says; lt_rand gives it where it is f64, else f32 */
    lt_dtype autocast;              /* 0: off; else the low precision */
    lth_step_block *blocks;         /* step arena: device memory, and host memory for structs; every block there is */
    lth_step_pool step[LTH_STEP_KINDS];
    void *lasting;                  /* list of lasting tensors */
    lt_tensor *retained, *released; /* retained in this step; kept from earlier ones and released in this */
    size_t step_bytes, peak_bytes;  /* device memory handed out since the step began; the most of any step */
    const void *custom_call;        /* the forward of a custom operation that is running; autograd's */
    void (*tape_end)(struct lth_engine *e, bool closing); /* autograd's: the nodes are about to go */
} lth_engine;

typedef struct lth_engine_opts {
    const char *accelerator;
    int32_t threads;
    const char *isa;
    bool deterministic, benchmark;
    uint64_t seed;
    lt_dtype dtype, autocast;       /* of the engine; 0: f32, off */
} lth_engine_opts;
lt_status lth_engine_new(lth_engine **out, const lth_engine_opts *opts, lth_error *err);
/* The same on a backend of the caller's choice (tests, accelerators that were loaded). */
lt_status lth_engine_open(lth_engine **out, const lth_backend *backend, const lth_engine_opts *opts, lth_error *err);
void lth_engine_free(lth_engine *engine);

/* Step memory. After the first steps no call here allocates. */
void *lth_step_struct(lth_engine *e, size_t bytes);             /* host memory, zeroed; NULL: out of memory */
void *lth_step_data(lth_engine *e, size_t bytes);               /* device memory, 64-byte aligned, not zeroed */
void *lth_step_host(lth_engine *e, size_t bytes);               /* host memory of any size, not zeroed */
/* The same, and where it lies, for who may be done with it before the step is: large blocks have a count of users, and the memory is
 * used again within the step once the last has given it back. Only for memory that no plugin can see. NULL home is fine. */
void *lth_step_workspace(lth_engine *e, size_t bytes, lth_step_block **home);
void lth_step_share(lth_step_block *home);                      /* one user more */
void lth_step_give_back(lth_engine *e, lth_step_block *home);   /* one fewer */
void lth_step_end(lth_engine *e);                               /* everything made since the last call is gone, retained storage excepted */

/* Tensors. On failure NULL, and the failure in err. */
lt_tensor *lth_tensor_new(lth_engine *e, lt_dtype dtype, int ndim, const int64_t *shape, lth_error *err);        /* step memory, contiguous */
lt_tensor *lth_tensor_header(lth_engine *e, lt_dtype dtype, int ndim, const int64_t *shape, lth_error *err);     /* no data yet; kernels plan first */
lt_status lth_tensor_give_data(lth_engine *e, lt_tensor *t, lth_error *err);                                     /* by its layout */
/* Host data that outlives the step (batches). */
lt_tensor *lth_tensor_wrap(lth_engine *e, lt_dtype dtype, int ndim, const int64_t *shape, void *data, lth_error *err);
/* data NULL: zeroed memory of its own; else a window into lasting memory. */
lt_tensor *lth_tensor_lasting(lth_engine *e, lt_dtype dtype, int ndim, const int64_t *shape, void *data, lth_error *err);
void lth_tensor_free(lt_tensor *t);                             /* lasting ones only; NULL is fine */
lt_tensor *lth_tensor_retain(lt_tensor *t);                     /* keeps its storage in place beyond the step, as a leaf; NULL: out of memory */
void lth_tensor_release(lt_tensor *t);                          /* its memory is used again from the next step on */
lt_status lth_tensor_read(lt_tensor *t, int64_t offset, int64_t count, double *out, lth_error *err); /* elements as double; synchronizes the device */
lt_status lth_tensor_to_host(lt_tensor *t, void *out, size_t bytes, lth_error *err);                  /* contiguous copy */
lt_status lth_tensor_from_host(lt_tensor *t, const void *data, size_t bytes, lth_error *err);
int64_t lth_numel(const lt_tensor *t);

/* ---- for ops and autograd ---- */
bool lth_is_float(lt_dtype dtype);
/* Row-major strides for the array's shape. */
void lth_array_set_contiguous(lth_array *a);
/* The tensor whose memory and version a view shares; itself if it is no view. */
static inline lt_tensor *lth_root(lt_tensor *t) { return t->base ? t->base : t; }
/* A zeroed header in step memory that only knows its engine; whoever describes a.dtype, ndim, shape then calls lth_tensor_described,
 * which refuses shapes that no memory could hold and sets contiguous strides. */
lt_tensor *lth_tensor_blank(lth_engine *e, lth_error *err);
lt_status lth_tensor_described(lt_tensor *t, lth_error *err);
/* Another header on t's memory: same array, no autograd links. */
lt_tensor *lth_tensor_alias(lth_engine *e, lt_tensor *t, lth_error *err);
/* Element i of host memory of any dtype, as a double. */
double lth_element_get(lt_dtype dtype, const void *data, int64_t index);
void lth_element_set(lt_dtype dtype, void *data, int64_t index, double value);
void lth_elements_convert(lt_dtype to, void *out, lt_dtype from, const void *in, int64_t n);
#endif
