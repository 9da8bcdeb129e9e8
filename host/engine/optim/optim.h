/* engine/optim/optim.h - what stands between a model's gradients and an optimizer component: flat slots, spans, groups, clipping.
 * The component's struct and self are handed in; this layer knows no component by name. */
#ifndef LTH_OPTIM_H
#define LTH_OPTIM_H
#include "base/snapshot.h"
#include "engine/nn/module.h"
#include <lt/optim.h>

typedef struct lth_optim lth_optim;
typedef struct lth_sched lth_sched;

lt_status lth_optim_new(lth_optim **out, lth_modules *modules, const lt_optimizer *iface, void *self, lt_ctx *ctx);
void lth_optim_free(lth_optim *o);
/* Parameters that got a gradient in this window: neighbours with equal step counts meet in one span. No allocation. */
lt_status lth_optim_step(lth_optim *o, lt_ctx *ctx);
/* PyTorch's clip_grad_norm_ / clip_grad_value_; *norm: the norm before (NULL: not wanted). */
lt_status lth_clip_norm(lth_modules *m, double max_norm, double *norm, lth_error *err);
lt_status lth_clip_value(lth_modules *m, double limit, lth_error *err);
int32_t lth_optim_groups(const lth_optim *o);
double lth_optim_lr(const lth_optim *o, int32_t group);
void lth_optim_set_lr(lth_optim *o, int32_t group, double lr);
double lth_optim_value(lth_optim *o, lt_ctx *ctx, int32_t group, const char *key);
/* prefix/<slot>/<parameter>, prefix/step/<parameter> (f32 scalar, as PyTorch's) of parameters that were updated, prefix/lr (groups),
 * prefix/component/... (what the component saves); load refuses unknown names and shapes by name. */
lt_status lth_optim_save(const lth_optim *o, lt_ctx *ctx, lth_snapshot *out, const char *prefix, lth_error *err);
lt_status lth_optim_load(lth_optim *o, lt_ctx *ctx, const lth_snapshot *in, const char *prefix, lth_error *err);

lt_status lth_sched_new(lth_sched **out, lth_optim *optim, const lt_lr_scheduler *iface, void *self, lt_ctx *ctx); /* makes step 0 */
void lth_sched_free(lth_sched *s);
lt_status lth_sched_step(lth_sched *s, lt_ctx *ctx, double metric);
lt_status lth_sched_save(const lth_sched *s, lt_ctx *ctx, lth_snapshot *out, const char *prefix, lth_error *err);
lt_status lth_sched_load(lth_sched *s, lt_ctx *ctx, const lth_snapshot *in, const char *prefix, lth_error *err);

/* What lt_use_optimizer and lt_use_lr_scheduler fill; the trainer makes the components. Texts live in arena. */
struct lt_optim_setup {
    lth_arena *arena;
    const char *optimizer, *optimizer_params;
    const char *scheduler, *scheduler_params, *monitor, *name;
    bool per_step, strict;
    int64_t frequency;
};
extern const lt_optim_api lth_optim_table; /* lt.optim/1 */
#endif
