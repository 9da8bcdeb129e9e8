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
    lt_status (*forward)(lt_ctx *ctx, const lt_custom_call *call);  /* fills the outputs; inputs are row-major */
    lt_status (*backward)(lt_ctx *ctx, const lt_custom_call *call); /* sets grad_inputs; NULL: no gradient flows through */
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
    void (*set_inference)(lt_ctx *ctx, bool inference, bool *before);
} lt_autograd_api;
extern LT_HIDDEN const struct lt_autograd_api *lt__autograd LT__NEEDS_PLUGIN("lt__autograd");

/* Turns the recording of gradients on or off; *before (or NULL) gets what it was, to be put back. On in training_step, off in the
 * other steps. [trainer] */
LT_INLINE void lt_set_grad_enabled(lt_ctx *ctx, bool enabled, bool *before) { lt__autograd->set_grad_enabled(ctx, enabled, before); }
/* A scope without gradients:
 *     bool before = lt_no_grad_begin(ctx);
 *     lt_mul_scalar_(ctx, weight, 0.5);
 *     lt_no_grad_end(ctx, before);
 * Scopes may be nested; the end puts back what the begin found, also after a failure. [trainer] */
LT_INLINE bool lt_no_grad_begin(lt_ctx *ctx) {
    bool before = true;
    lt__autograd->set_grad_enabled(ctx, false, &before);
    return before;
}
LT_INLINE void lt_no_grad_end(lt_ctx *ctx, bool before) { lt__autograd->set_grad_enabled(ctx, before, NULL); }
/* Turns inference on or off: no operation is recorded, whatever lt_set_grad_enabled says; *before (or NULL) gets what it was. [trainer] */
LT_INLINE void lt_set_inference(lt_ctx *ctx, bool inference, bool *before) { lt__autograd->set_inference(ctx, inference, before); }
/* x without its history; shares its memory. [trainer] */
LT_INLINE lt_tensor *lt_detach(lt_ctx *ctx, lt_tensor *x) { return lt__autograd->detach(ctx, x); }
/* Makes x, a leaf of a float dtype, collect a gradient (or not); returns x. LT_ESTATE for a result of an operation. [trainer] */
LT_INLINE lt_tensor *lt_set_requires_grad(lt_ctx *ctx, lt_tensor *x, bool requires_grad) {
    return lt__autograd->set_requires_grad(ctx, x, requires_grad);
}
/* Adds d loss / d leaf to the gradient of every leaf; grad has loss's shape, NULL: ones, for a loss of one element. The graph is used up.
 * Not for the training loss: the trainer runs that. LT_ESTATE without a graph. [trainer] */
LT_INLINE lt_status lt_backward(lt_ctx *ctx, lt_tensor *loss, lt_tensor *grad) { return lt__autograd->backward(ctx, loss, grad); }
/* The gradient of a leaf, of its shape; the host's, until it is cleared. NULL, no error, where there is none. [trainer] */
LT_INLINE lt_tensor *lt_grad(lt_ctx *ctx, const lt_tensor *x) { return lt__autograd->grad(ctx, x); }
/* Runs an operation of the plugin's own and records it; returns its output. op is static; inputs are borrowed, 1 to 8 of them; the context
 * bytes (at most 128 KiB) are copied, and destroyed with destroy_context when the graph is. LT_EINVAL, LT_ENOMEM, and what op's functions
 * return. Since 0.1 an operation has one output. [trainer] */
LT_INLINE lt_tensor *lt_custom_apply(lt_ctx *ctx, const lt_custom_op *op, lt_tensor *const *inputs, int32_t n_inputs,
                                     const void *context, size_t context_size) {
    return lt__autograd->custom_apply(ctx, op, inputs, n_inputs, context, context_size);
}
/* In a custom op's forward: keeps x for its backward, as call->saved[i] in the order of the calls; at most 8.
 * LT_EINVAL; LT_ESTATE elsewhere. [trainer] */
LT_INLINE void lt_save_for_backward(lt_ctx *ctx, const lt_custom_call *call, lt_tensor *x) {
    lt__autograd->save_for_backward(ctx, call, x);
}
LT_END
#endif
