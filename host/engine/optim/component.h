/* engine/optim/component.h - calling an optimizer's or scheduler's hooks with its name in ctx, and keeping its state.
 * Private to optim/. */
#ifndef LTH_OPTIM_COMPONENT_H
#define LTH_OPTIM_COMPONENT_H
#include "engine/optim/optim.h"

/* Names the component in ctx->where; hand what it returns to lth_component_leave, which leaves the name there on failure. */
lth_where lth_component_enter(lt_ctx *ctx, const lt_component *base, const char *hook);
lt_status lth_component_leave(lt_ctx *ctx, lth_where before, lt_status returned);
/* The table's lt_closure_loss. */
lt_status lth_closure_loss(lt_ctx *ctx, lt_closure *closure, double *loss);

typedef lt_status lth_save_hook(lt_ctx *ctx, void *self, lt_state_writer *out);
typedef lt_status lth_load_hook(lt_ctx *ctx, void *self, const lt_state_reader *in);
/* Its LT_SAVED fields, then its hook (NULL: none), below prefix/component. */
lt_status lth_component_save(const lt_component *base, void *self, lth_save_hook *hook, lt_ctx *ctx, lth_snapshot *out, const char *prefix,
                             lth_error *err);
lt_status lth_component_load(const lt_component *base, void *self, lth_load_hook *hook, lt_ctx *ctx, const lth_snapshot *in, const char *prefix,
                             lth_error *err);
#endif
