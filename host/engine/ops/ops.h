/* engine/ops/ops.h - running an operation: shape rule, kernel choice, memory, record for backward. One body for all rows of ops.def. */
#ifndef LTH_OPS_H
#define LTH_OPS_H
#include "engine/tensor/tensor.h"

typedef struct lth_op_info {
    const char *name;
    uint8_t min_in, max_in, n_out;
    lt_status (*shape)(lth_call *call, lth_error *err);
    enum { LTH_GRAD_KERNEL, LTH_GRAD_VIEW, LTH_GRAD_NONE } gradient;
    enum { LTH_CAST_INPUTS, LTH_CAST_LOW, LTH_CAST_F32 } autocast;
} lth_op_info;
extern const lth_op_info lth_ops[LTH_OP_COUNT];

/* Runs op on inputs (NULL for absent optional ones); returns its first output, or NULL with the failure in ctx->error, named with the
 * op, its argument and shapes. caller: for messages; NULL from inside the host. */
lt_tensor *lth_apply(lt_ctx *ctx, lth_op op, lt_tensor *const *inputs, int n, const lth_attrs *attrs, void *caller);
/* The same for an operation of several outputs: out[] has LTH_MAX_OUT places, filled with as many as ops.def says. False: as NULL above. */
bool lth_apply_all(lt_ctx *ctx, lth_op op, lt_tensor *const *inputs, int n, const lth_attrs *attrs, void *caller, lt_tensor **out);
/* The same for an operation of one output whose calls fill parts of it, for more inputs than a call takes: `part` is NULL for the first
 * call, then what the first returned. Backward visits all of them. */
lt_tensor *lth_apply_part(lt_ctx *ctx, lth_op op, lt_tensor *const *inputs, int n, const lth_attrs *attrs, void *caller, lt_tensor *part);
/* Inputs of which dtype become which where both meet in an op of this engine; false: nowhere, they must be equal. */
bool lth_promotes(const lth_engine *e, lth_op op, lt_dtype *from, lt_dtype *to);
/* The same memory as row-major strided contiguous (itself, if it is that already). */
lt_tensor *lth_contiguous(lt_ctx *ctx, lt_tensor *x);
/* The kernel that takes this call, following fallbacks; sets *device. Used by forward and backward alike. */
const lth_kernel *lth_find_kernel(lth_engine *e, lth_call *call, lth_device **device);

/* Convenience used by nn and tests; NULL in -> NULL out. */
lt_tensor *lth_linear(lt_ctx *ctx, lt_tensor *x, lt_tensor *w, lt_tensor *b, lt_activation act);
lt_tensor *lth_reshape(lt_ctx *ctx, lt_tensor *x, int ndim, const int64_t *shape);
lt_tensor *lth_flatten(lt_ctx *ctx, lt_tensor *x, int start_dim);

/* ---- for autograd ---- */
/* What ops ask of whoever records (autograd/tape.c): told of every op a gradient can flow through, after it ran; `ran` NULL for views.
 * False: out of memory. */
typedef struct lth_ran { const lth_kernel *kernel; lth_device *device; lth_step_block *workspace; } lth_ran;
bool lth_record(lth_engine *e, const lth_call *call, lt_tensor *const *in, lt_tensor *const *out, const lth_ran *ran);
/* x was changed in place and holds what y, just made, holds: x takes y's place on the tape, and what it was before lives on as a tensor that
 * only the tape knows. False: out of memory. (autograd/tape.c) */
bool lth_rewrite_history(lth_engine *e, lt_tensor *x, lt_tensor *y);
/* x moves to y's memory, which holds the same: x takes y's place on the tape, and what it was lives on where it lay. False: out of memory. */
bool lth_move_history(lth_engine *e, lt_tensor *x, lt_tensor *y);
/* x, in a kernel's blocked layout, moves to row-major memory for good. False without a failure where it cannot: it outlives the step, collects a
 * gradient itself, or backward is on its way. (views.c) */
bool lth_make_strided(lt_ctx *ctx, lt_tensor *x);
/* Memory and strides of a view of `in`; out has its shape already. Used by forward on values and by backward on gradients. */
void lth_view_array(lth_op op, const lth_attrs *attrs, const lth_array *in, lth_array *out);
/* Runs one kernel on arrays that exist, without tape; for what the engine itself computes. */
lt_status lth_run(lth_engine *e, lth_op op, const lth_attrs *attrs, const lth_array *const *in, int n_in, lth_array *out, lth_error *err);
/* to = from, or to += from: equal shapes and dtypes, strides and layouts of their own. */
lt_status lth_copy_into(lth_engine *e, lth_array *to, const lth_array *from, bool accumulate, lth_error *err);
/* x, or a cast of it, as autocast wants the inputs of such an op (LTH_CAST_*). */
lt_tensor *lth_autocast(lt_ctx *ctx, lt_tensor *x, int policy);
/* The table's first lines on a tensor argument: NULL without an earlier failure is one, named with its position (ctx is 1). */
bool lth_given(lt_ctx *ctx, const void *argument, int position, const char *op, void *caller);

extern const lt_tensor_api lth_tensor_table; /* lt.tensor/1 */
#endif
