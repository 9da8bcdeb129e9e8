/* lt/autograd.h - gradients and custom operations (table lt.autograd/1).
 * The trainer runs backward; a model needs this header only for scopes without gradients and for operations of its own. */
#ifndef LT_AUTOGRAD_H
#define LT_AUTOGRAD_H
#include <lt/tensor.h>

LT_BEGIN
enum { LT_AUTOCAST_INPUTS = 0, LT_AUTOCAST_F32 = 1, LT_AUTOCAST_LOW = 2 }; /* keep the inputs' dtype; f32; the low precision */
typedef struct lt_custom_call {
    uint32_t struct_size;
    int32_t n_inputs, n_outputs, n_saved;
    lt_tensor *const *inputs;
    lt_tensor *const *outputs;      /* forward: written; backward: as forward left them */
    lt_tensor *const *saved;        /* what forward kept with lt_save_for_backward */
    lt_tensor *const *grad_outputs; /* backward only; NULL where none arrives */
    lt_tensor **grad_inputs;        /* backward only: set those wanted, leave the others NULL */
    const void *context;            /* the bytes given to lt_custom_apply */
    size_t context_size;
} lt_custom_call;
typedef struct lt_custom_op {
    uint32_t struct_size;
    int32_t autocast;
    const char *name;
    /* Sets dtype, ndim and shape of each output from the inputs. */
    lt_status (*shape)(lt_ctx *ctx, const lt_custom_call *call, lt_dtype *dtypes, int32_t *ndims, int64_t (*shapes)[LT_MAX_DIMS]);
    lt_status (*forward)(lt_ctx *ctx, const lt_custom_call *call);
    lt_status (*backward)(lt_ctx *ctx, const lt_custom_call *call);
    void (*destroy_context)(void *context, size_t size); /* or NULL */
} lt_custom_op;

typedef struct lt_autograd_api {
    uint32_t struct_size;
    uint32_t reserved;
    void (*set_grad_enabled)(lt_ctx *ctx, bool enabled, bool *before);
    lt_tensor *(*detach)(lt_ctx *ctx, lt_tensor *x);
    lt_tensor *(*set_requires_grad)(lt_ctx *ctx, lt_tensor *x, bool requires_grad);
    lt_status (*backward)(lt_ctx *ctx, lt_tensor *loss, lt_tensor *grad); /* grad NULL: ones; loss must then be one element */
    lt_tensor *(*grad)(lt_ctx *ctx, const lt_tensor *x); /* of a leaf; NULL without error where there is none */
    lt_tensor *(*custom_apply)(lt_ctx *ctx, const lt_custom_op *op, lt_tensor *const *inputs, int32_t n_inputs, const void *context, size_t context_size);
    void (*save_for_backward)(lt_ctx *ctx, const lt_custom_call *call, lt_tensor *x);
} lt_autograd_api;
extern LT_HIDDEN const struct lt_autograd_api *lt__autograd LT__NEEDS_PLUGIN("lt__autograd");
/* WRAPPERS */
LT_END
#endif
