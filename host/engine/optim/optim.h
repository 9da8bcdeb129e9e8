/* engine/optim/optim.h - what stands between a model's gradients and an optimizer component: flat slots, spans, groups, clipping.
 * The component's struct and self are handed in; this layer knows no component by name. */
#ifndef LTH_OPTIM_H
#define LTH_OPTIM_H
#include "base/snapshot.h"
#include "engine/nn/module.h"
#include <lt/optim.h>

typedef struct lth_optim lth_optim;
typedef struct lth_sched lth_sched;

/* A parameter group beside the first: the component's struct bound to its values, and which parameters: those of a module, or names and
 * patterns separated by spaces or commas. */
typedef struct lth_group_spec { void *self; const lt_module *module; const char *names; } lth_group_spec;
/* self is that of the first group, which has the parameters that no other takes; where none is left the group is not there. */
lt_status lth_optim_new(lth_optim **out, lth_modules *modules, const lt_optimizer *iface, void *self, lt_ctx *ctx);
lt_status lth_optim_new_groups(lth_optim **out, lth_modules *modules, const lt_optimizer *iface, void *self, const lth_group_spec *specs,
                               int32_t n_specs, lt_ctx *ctx);
void lth_optim_free(lth_optim *o);
/* Parameters that got a gradient in this window: neighbours with equal step counts meet in one span. No allocation. */
lt_status lth_optim_step(lth_optim *o, lt_ctx *ctx);
/* The loss for an optimizer with step_closure: first, the one whose gradients stand already; then each time anew. */
typedef lt_status lth_loss(lt_ctx *ctx, void *arg, bool first, double *loss);
bool lth_optim_wants_loss(const lth_optim *o);
lt_status lth_optim_step_loss(lth_optim *o, lt_ctx *ctx, lth_loss *loss, void *arg);
/* PyTorch's clip_grad_norm_ / clip_grad_value_; *norm: the norm before (NULL: not wanted). */
lt_status lth_clip_norm(lth_modules *m, double max_norm, double *norm, lth_error *err);
lt_status lth_clip_value(lth_modules *m, double limit, lth_error *err);
int32_t lth_optim_groups(const lth_optim *o);
double lth_optim_lr(const lth_optim *o, int32_t group);
void lth_optim_set_lr(lth_optim *o, int32_t group, double lr);
double lth_optim_value(lth_optim *o, lt_ctx *ctx, int32_t group, const char *key);
/* "momentum": LT_ECONFIG if the optimizer has none that can be set. */
lt_status lth_optim_set_value(lth_optim *o, lt_ctx *ctx, int32_t group, const char *key, double value);
/* prefix/<slot>/<parameter>, prefix/step/<parameter> (f32 scalar, as PyTorch's) of parameters that were updated, prefix/lr (groups),
 * prefix/component/... (what the component saves); load refuses unknown names and shapes by name. */
lt_status lth_optim_save(const lth_optim *o, lt_ctx *ctx, lth_snapshot *out, const char *prefix, lth_error *err);
lt_status lth_optim_load(lth_optim *o, lt_ctx *ctx, const lth_snapshot *in, const char *prefix, lth_error *err);

/* A scheduler, with those that it is made of (none: a plain one). */
typedef struct lth_sched_part {
    const lt_lr_scheduler *iface;
    void *self;
    const struct lth_sched_part *children;
    uint32_t n_children;
} lth_sched_part;
bool lth_sched_needs_monitor(const lth_sched_part *part);
lt_status lth_sched_new(lth_sched **out, lth_optim *optim, const lth_sched_part *part, lt_ctx *ctx); /* makes step 0 */
void lth_sched_free(lth_sched *s);
lt_status lth_sched_step(lth_sched *s, lt_ctx *ctx, double metric);
lt_status lth_sched_save(const lth_sched *s, lt_ctx *ctx, lth_snapshot *out, const char *prefix, lth_error *err);
lt_status lth_sched_load(lth_sched *s, lt_ctx *ctx, const lth_snapshot *in, const char *prefix, lth_error *err);

/* The scheduler behind lt_use_lambda_lr and lt_use_multiplicative_lr; its self is an lth_lambda. */
typedef struct lth_lambda { lt_lr_lambda *f; void *self; bool multiplicative; } lth_lambda;
extern const lt_lr_scheduler lth_lambda_scheduler;

/* A parameter group of the model's choice: which parameters, and the optimizer's parameters for them as YAML. */
typedef struct lth_group_choice { const lt_module *module; const char *names, *params; struct lth_group_choice *next; } lth_group_choice;

/* What lt_use_optimizer and lt_use_lr_scheduler fill; the trainer makes the components. Texts live in arena. */
struct lt_optim_setup {
    lth_arena *arena;
    const char *optimizer, *optimizer_params;
    lth_group_choice *groups, *last_group;
    const char *scheduler, *scheduler_params, *monitor, *name;
    lth_lambda lambda;              /* f set: the scheduler, and `scheduler` is what it is called */
    bool per_step, strict;
    int64_t frequency;
};
extern const lt_optim_api lth_optim_table; /* lt.optim/1 */
#endif
