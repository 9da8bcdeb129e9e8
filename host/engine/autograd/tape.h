/* engine/autograd/tape.h - the tape: what forward recorded, walked backwards. Lives in step memory; a step leaves nothing behind but
 * the gradients of leaves. Gradients of parameters are written straight into their flat memory: the first write of a window
 * replaces (no zeroing pass), later ones add. */
#ifndef LTH_TAPE_H
#define LTH_TAPE_H
#include "engine/ops/ops.h"
#include <lt/autograd.h>

typedef struct lth_tape_node {
    struct lth_tape_node *previous;     /* made before this one */
    const lth_kernel *kernel;           /* the one that ran forward; NULL for views and custom ops */
    lth_device *device;
    lth_step_block *workspace;          /* where call.workspace lies */
    bool used_up;                       /* backward was here */
    const lt_custom_op *custom;
    lth_call call;                      /* arrays point into the tensors below */
    lth_attrs attrs;
    lt_tensor *in[LTH_MAX_IN];
    lt_tensor *out[LTH_MAX_OUT];
    uint32_t in_version[LTH_MAX_IN];    /* a saved input that changed since is an error */
    lt_tensor *saved[LTH_MAX_IN];       /* custom ops */
    int32_t n_saved;
    uint32_t out_version[LTH_MAX_OUT], saved_version[LTH_MAX_IN];
    void *context;                      /* custom ops: the bytes given to lt_custom_apply; destroy_context runs when the tape is cleared */
    size_t context_size;
    bool partial;                       /* an older node fills another part of the same output, and needs its gradient too */
    struct lth_tape_node *next_context;
} lth_tape_node;
typedef struct lth_tape { lth_tape_node *last, *contexts; int64_t count; } lth_tape;

/* For every op that a gradient can flow through; lth_apply comes here by lth_record (ops.h). */
lth_tape_node *lth_tape_record(lth_engine *e, const lth_call *call, lt_tensor *const *in, lt_tensor *const *out);
/* d(loss)/d(leaf) for every leaf reached; scale multiplies (1/accumulation). loss: one element unless grad is given. */
lt_status lth_backward(lt_ctx *ctx, lt_tensor *loss, lt_tensor *grad, double scale);
void lth_tape_clear(lth_engine *e); /* lth_step_end calls it */
/* Largest difference of analytic and central-difference gradients of f (f64 inputs), relative to 1 + |value|; tests and plugins' custom ops. */
typedef lt_tensor *lth_scalar_fn(lt_ctx *ctx, lt_tensor *const *inputs, int n, void *arg);
double lth_gradcheck(lt_ctx *ctx, lth_scalar_fn *f, lt_tensor *const *inputs, int n, void *arg, double step);
extern const lt_autograd_api lth_autograd_table; /* lt.autograd/1 */
#endif
