/* engine/autograd/gradient.h - inside of autograd: where gradients go. */
#ifndef LTH_GRADIENT_H
#define LTH_GRADIENT_H
#include "engine/autograd/tape.h"

/* The array that x's gradient is to be written to, or added to if *accumulate; made if there is none yet. NULL: out of memory. */
lth_array *lth_grad_target(lt_ctx *ctx, lt_tensor *x, bool *accumulate);
/* An uninitialized tensor of x's shape and layout; contiguous if x is strided. */
lt_tensor *lth_grad_like(lt_ctx *ctx, const lt_tensor *x);
/* Makes g, under x's shape and strides, x's first gradient; x is no leaf, and nobody else will write to g's memory. */
lt_status lth_rename_gradient(lt_ctx *ctx, lt_tensor *x, lt_tensor *g);
lt_status lth_view_backward(lt_ctx *ctx, lth_tape_node *node);
lt_status lth_custom_backward(lt_ctx *ctx, lth_tape_node *node);
lt_tensor *lth_custom_apply(lt_ctx *ctx, const lt_custom_op *op, lt_tensor *const *inputs, int32_t n, const void *context, size_t context_size, void *caller);
void lth_custom_save(lt_ctx *ctx, const lt_custom_call *call, lt_tensor *x, void *caller);
/* Keeps the node's context until the tape is cleared. */
void lth_tape_keep_context(lth_engine *e, lth_tape_node *node);
#endif
