/* engine/ops/apart.h - what apply.c asks of apart.c, and activations by their number. */
#ifndef LTH_APART_H
#define LTH_APART_H
#include "engine/ops/ops.h"

/* Does this call compute an activation besides what its operation is named after? */
bool lth_has_activation(const lth_call *call);
/* Such a call as several: the operation alone, its activation, its pool. in: its inputs as they are after autocast. NULL: failed, in ctx. */
lt_tensor *lth_apply_apart(lt_ctx *ctx, const lth_call *call, lt_tensor *const *in);
/* act(x) by its LT_ACT_* number; itself for LT_ACT_NONE. first, second: slope, alpha, or beta and threshold, where act has any. */
lt_tensor *lth_activate(lt_ctx *ctx, lt_tensor *x, lt_activation act, double first, double second, void *caller);
/* PyTorch's numbers where an activation has any. */
void lth_activation_defaults(lt_activation act, double *first, double *second);
#endif
