/* lt/autograd.h - gradients and custom operations (table lt.autograd/1).
 * The trainer runs backward; a model needs this header only for scopes without gradients and for operations of its own. */
#ifndef LT_AUTOGRAD_H
#define LT_AUTOGRAD_H
#include <lt/tensor.h>

LT_BEGIN
enum { LT_AUTOCAST_INPUTS = 0, LT_AUTOCAST_F32 = 1, LT_AUTOCAST_LOW = 2 }; /* keep the inputs' dtype; f32; the low precision */
/* What shape, forward and backward of a custom operation work on. The struct, its arrays and all tensors in them are the host's; tensors live as
 * long as those of any operation of the step, gradients excepted. */
typedef struct lt_custom_call {
    uint32_t struct_size;
    int32_t n_inputs, n_outputs, n_saved;
    lt_tensor *const *inputs;       /* as given, in the dtype that autocast says, row-major; to be read only */
    lt_tensor *const *outputs;      /* in shape: of NULL; forward: of the shape and dtype that shape said, to be written; backward: as forward left them */
    lt_tensor *const *saved;        /* backward only: what forward kept with lt_save_for_backward, unchanged (else LT_ESTATE before the call) */
    /* backward only: of the outputs' shapes and dtypes; NULL where none arrives. To be read only, and valid during the call only: their memory is
     * used for other gradients afterwards. lt_clone makes a copy that stays; they may be handed on as they are, as grad_inputs. */
    lt_tensor *const *grad_outputs;
    /* backward only, all NULL: one for each input whose gradient is not zero, of that input's shape and dtype (LT_ESHAPE); made in the call or one of
     * grad_outputs. The host adds them up when the call returns. Those of inputs that require none are ignored. */
    lt_tensor **grad_inputs;
    const void *context;            /* a copy of the bytes given to lt_custom_apply, aligned to 16; the same memory in forward and backward */
    size_t context_size;
} lt_custom_call;
/* An operation of a plugin; static. Its functions run on the trainer's thread with gradients off: what they compute is not recorded. One that fails
 * says why with lt_fail. */
typedef struct lt_custom_op {
    uint32_t struct_size;
    int32_t autocast;  /* LT_AUTOCAST_* */
    const char *name;  /* for messages */
    /* Sets dtype, ndim and shape of each output from the inputs. [trainer] */
    lt_status (*shape)(lt_ctx *ctx, const lt_custom_call *call, lt_dtype *dtypes, int32_t *ndims, int64_t (*shapes)[LT_MAX_DIMS]);
    /* Fills the outputs (lt_raw with LT_WRITE, or lt_copy_), and saves what backward needs. [trainer] */
    lt_status (*forward)(lt_ctx *ctx, const lt_custom_call *call);
    /* Sets grad_inputs; once for each forward that is gone back through. NULL: no gradient flows through. [trainer] */
    lt_status (*backward)(lt_ctx *ctx, const lt_custom_call *call);
    /* Gives up what the context's bytes point to: once for each copy, after forward where nothing was recorded, else when the step ends, whatever
     * failed. NULL: nothing to give up. [trainer] */
    void (*destroy_context)(void *context, size_t size);
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
 * other steps. Works after a failure, too. [trainer] */
LT_INLINE void lt_set_grad_enabled(lt_ctx *ctx, bool enabled, bool *before) { lt__autograd->set_grad_enabled(ctx, enabled, before); }
/* A scope without gradients:
 *     bool before = lt_no_grad_begin(ctx);
 *     lt_mul_scalar_(ctx, weight, 0.5);
 *     lt_no_grad_end(ctx, before);
 * Scopes may be nested; the end puts back what the begin found and was told here, also after a failure. [trainer] */
LT_INLINE bool lt_no_grad_begin(lt_ctx *ctx) {
    bool before = true;
    lt__autograd->set_grad_enabled(ctx, false, &before);
    return before;
}
/* Ends a scope; before: what its lt_no_grad_begin returned. [trainer] */
LT_INLINE void lt_no_grad_end(lt_ctx *ctx, bool before) { lt__autograd->set_grad_enabled(ctx, before, NULL); }
/* Turns inference on or off: no operation is recorded, whatever lt_set_grad_enabled says; *before (or NULL) gets what it was.
 * Works after a failure, too. [trainer] */
LT_INLINE void lt_set_inference(lt_ctx *ctx, bool inference, bool *before) { lt__autograd->set_inference(ctx, inference, before); }
/* x without its history, of its shape and dtype; shares its memory, and lives as long as tensors made in the step. LT_ENOMEM. [trainer] */
LT_INLINE lt_tensor *lt_detach(lt_ctx *ctx, lt_tensor *x) { return lt__autograd->detach(ctx, x); }
/* Makes x, a leaf of a float dtype, collect a gradient (or not); returns x. LT_ESTATE for a result of an operation, LT_EDTYPE for integers
 * and bool. [trainer] */
LT_INLINE lt_tensor *lt_set_requires_grad(lt_ctx *ctx, lt_tensor *x, bool requires_grad) {
    return lt__autograd->set_requires_grad(ctx, x, requires_grad);
}
/* Adds d loss / d leaf to the gradient of every leaf; grad has loss's shape, NULL: ones, for a loss of one element. The graph is used up.
 * Not for the training loss: the trainer runs that. grad is borrowed. LT_ESTATE without a graph, or after an earlier one used it up, or where
 * a value it needs was changed in place; LT_ESHAPE, LT_EDTYPE for grad; LT_ENOMEM; what a custom op's backward returns. [trainer] */
LT_INLINE lt_status lt_backward(lt_ctx *ctx, lt_tensor *loss, lt_tensor *grad) { return lt__autograd->backward(ctx, loss, grad); }
/* The gradient of a leaf, of its shape and dtype: the host's, of a parameter until it is cleared (values change with each backward), of another
 * leaf as long as the step. NULL, no error, where there is none. [trainer] */
LT_INLINE lt_tensor *lt_grad(lt_ctx *ctx, const lt_tensor *x) { return lt__autograd->grad(ctx, x); }
/* Runs an operation of the plugin's own and records it; returns its output, of which there is one. op is static; inputs are borrowed, 1 to 8 of
 * them; the context bytes (at most 128 KiB) are copied, and destroyed with destroy_context. LT_EINVAL, LT_ENOMEM, and what op's functions
 * return. [trainer] */
LT_INLINE lt_tensor *lt_custom_apply(lt_ctx *ctx, const lt_custom_op *op, lt_tensor *const *inputs, int32_t n_inputs,
                                     const void *context, size_t context_size) {
    return lt__autograd->custom_apply(ctx, op, inputs, n_inputs, context, context_size);
}
/* In a custom op's forward: keeps x (an input, the output, or anything made there) for its backward, as call->saved[i] in the order of the calls; at
 * most 8. No copy: changed in place afterwards, backward fails with LT_ESTATE. LT_EINVAL; LT_ESTATE elsewhere. [trainer] */
LT_INLINE void lt_save_for_backward(lt_ctx *ctx, const lt_custom_call *call, lt_tensor *x) {
    lt__autograd->save_for_backward(ctx, call, x);
}
LT_END
#endif
