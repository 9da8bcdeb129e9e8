/* lt/optim.h - optimizers and learning-rate schedulers as components, and how a model names them (table lt.optim/1).
 * Parameters, gradients and state live in flat host-made spans; an optimizer sees spans, not modules, so one pass updates
 * everything and only element-wise optimizers can be sharded. Gradients are already reduced over processes. All: [trainer]. */
#ifndef LT_OPTIM_H
#define LT_OPTIM_H
#include <lt/component.h>
#include <lt/tensor.h>

#pragma GCC diagnostic ignored "-Wformat-zero-length" /* lt_use_optimizer(ctx, setup, "Adam", "") says: no parameters */
LT_BEGIN
enum { LT_MAX_SLOTS = 8 };
/* base.flags. ELEMENTWISE: each element's update depends on that element alone. ANY_DTYPE: step looks at span->dtype; without it the host
 * refuses to run the optimizer on other parameters than f32. */
enum { LT_OPTIM_ELEMENTWISE = 1, LT_OPTIM_ANY_DTYPE = 2 };
enum { LT_LR_NEEDS_MONITOR = 1 };  /* base.flags of a scheduler: refused where the configuration names no monitor */

typedef struct lt_slot { /* one state value per parameter element, saved as optimizer/<i>/<name> */
    const char *name;
    double initial;
} lt_slot;
typedef struct lt_span { /* n elements that lie together, all with gradients */
    uint32_t struct_size;
    int32_t n_slots;
    int64_t n;
    void *param, *grad;             /* n elements of dtype each; device memory where the run is on a device */
    void *slot[LT_MAX_SLOTS];       /* the same */
    int64_t step;                   /* updates of these elements so far, this one included: 1 at the first */
    const char *name;               /* of the parameter, or "a..b" for several together */
    lt_dtype dtype;                 /* LT_F32, or what trainer.precision says: LT_F64, LT_BF16 */
    uint32_t reserved;
} lt_span;
typedef struct lt_group { /* a parameter group; lr is changed by schedulers */
    uint32_t struct_size;
    uint32_t n_spans;
    double lr;
    const lt_span *const *spans;
} lt_group;
/* get_interface("lt.optimizer.slots/1") of an optimizer whose slots depend on its parameters (SGD without momentum has none): an array
 * like lt_optimizer.slots, asked for once, after the parameters are bound, and used instead of that one. Static. */
#define LT_OPTIMIZER_SLOTS "lt.optimizer.slots/1"

/* The loss as a function of the parameters: the trainer's forward and backward on the batch of this step. */
typedef struct lt_closure lt_closure;

/* Parameter groups: each has a self of its own, bound to the optimizer's parameters with the group's laid over them, and step is called
 * once per group with that self. An author need not think of groups. */
typedef struct lt_optimizer {
    lt_component base;
    const lt_slot *const *slots;    /* NULL at the end; NULL: none. Where LT_OPTIMIZER_SLOTS answers: all it may answer with */
    double (*lr)(lt_ctx *ctx, void *self); /* the initial learning rate */
    /* For LearningRateMonitor and schedulers: "momentum", "weight_decay"; NAN if there is no such value. NULL: none. */
    double (*value)(lt_ctx *ctx, void *self, const char *key);
    lt_status (*step)(lt_ctx *ctx, void *self, const lt_group *const *groups, uint32_t n_groups);
    lt_status (*save)(lt_ctx *ctx, void *self, lt_state_writer *out);
    lt_status (*load)(lt_ctx *ctx, void *self, const lt_state_reader *in);
    /* Sets what `value` tells, for schedulers: "momentum". LT_SKIP: there is no such value. NULL: none can be set. */
    lt_status (*set_value)(lt_ctx *ctx, void *self, const char *key, double value);
    /* Instead of step, for an optimizer that evaluates the loss several times a step (LBFGS): lt_closure_loss. One group only. */
    lt_status (*step_closure)(lt_ctx *ctx, void *self, const lt_group *const *groups, uint32_t n_groups, lt_closure *closure);
} lt_optimizer;

typedef struct lt_lr_state {
    uint32_t struct_size;
    uint32_t n_groups;
    int64_t last_epoch;             /* number of scheduler steps so far; 0 at the start */
    const double *base_lr;          /* (n_groups) initial rates */
    double *lr;                     /* (n_groups) current, to be set */
    double metric;                  /* of the scheduler's monitor; NAN if it has none */
    double *momentum;               /* (n_groups) current, may be set (Adam: the first beta); NAN: the optimizer has none */
} lt_lr_state;
typedef struct lt_lr_scheduler {
    lt_component base;
    /* Once at last_epoch 0, then after every step of the schedule, as PyTorch's chainable get_lr. */
    lt_status (*step)(lt_ctx *ctx, void *self, lt_lr_state *state);
    lt_status (*save)(lt_ctx *ctx, void *self, lt_state_writer *out);
    lt_status (*load)(lt_ctx *ctx, void *self, const lt_state_reader *in);
} lt_lr_scheduler;

/* A scheduler made of others: get_interface(LT_LR_CHILDREN) answers with this struct (static), and the host makes the components that
 * the configuration lists as `schedulers:` (each a class_path with init_args), hands them over before the first step, and saves their
 * state. They are called through their `step`, with an lt_lr_state of the caller's making. */
#define LT_LR_CHILDREN "lt.lr_scheduler.children/1"
typedef struct lt_lr_child {
    uint32_t struct_size;
    uint32_t reserved;
    const lt_lr_scheduler *iface;
    void *self;
} lt_lr_child;
typedef struct lt_lr_children {
    uint32_t struct_size;
    uint32_t reserved;
    /* The array and what it points to live as long as self. Returning a failure (lt_fail) refuses them. */
    lt_status (*take)(lt_ctx *ctx, void *self, const lt_lr_child *const *children, uint32_t n_children);
} lt_lr_children;
/* A factor for the rate of a group after `epoch` steps of the schedule. self: what was given with the function. */
typedef double lt_lr_lambda(void *self, int64_t epoch, uint32_t group);

typedef struct lt_optim_setup lt_optim_setup;
typedef struct lt_lr_scheduler_opts { /* 0 means the default in brackets */
    uint32_t struct_size;
    uint8_t per_step, not_strict, reserved[2]; /* interval [epoch]; a missing monitor is [an error] */
    int64_t frequency;                         /* [1] */
    const char *monitor, *name;                /* [none], [the component's id] */
} lt_lr_scheduler_opts;

/* Arguments of the fused element-wise updates, in PyTorch's order of operations. */
typedef struct lt_sgd_args { uint32_t struct_size; uint8_t nesterov, maximize, reserved[2]; double lr, momentum, dampening, weight_decay; } lt_sgd_args;
typedef struct lt_adam_args { uint32_t struct_size; uint8_t decoupled, amsgrad, maximize, reserved; double lr, beta1, beta2, eps, weight_decay; } lt_adam_args;

/* Rules for lt_optim_rmsprop and the others below. */
enum { LT_RULE_RMSPROP = 1, LT_RULE_ADAGRAD = 2, LT_RULE_ADADELTA = 3, LT_RULE_LION = 4, LT_RULE_NADAM = 5 };
typedef struct lt_rmsprop_args {
    uint32_t struct_size;
    uint8_t centered, maximize, reserved[2];
    double lr, alpha, eps, weight_decay, momentum;
} lt_rmsprop_args;
typedef struct lt_adagrad_args { uint32_t struct_size; uint8_t maximize, reserved[3]; double lr, lr_decay, eps, weight_decay; } lt_adagrad_args;
typedef struct lt_adadelta_args { uint32_t struct_size; uint8_t maximize, reserved[3]; double lr, rho, eps, weight_decay; } lt_adadelta_args;
typedef struct lt_lion_args { uint32_t struct_size; uint8_t maximize, reserved[3]; double lr, beta1, beta2, weight_decay; } lt_lion_args;
typedef struct lt_nadam_args { /* mu, mu_next: momentum of this step and the next; mu_product: of all up to this one, included */
    uint32_t struct_size;
    uint8_t decoupled, maximize, reserved[2];
    double lr, beta1, beta2, eps, weight_decay, mu, mu_next, mu_product;
} lt_nadam_args;

typedef struct lt_optim_api {
    uint32_t struct_size;
    uint32_t reserved;
    /* In configure_optimizers. format makes the component's parameters as YAML. Only one optimizer yet. */
    lt_status (*vuse_optimizer)(lt_ctx *ctx, lt_optim_setup *setup, const char *id, const char *format, va_list args);
    lt_status (*use_lr_scheduler)(lt_ctx *ctx, lt_optim_setup *setup, const char *id, const char *params, const lt_lr_scheduler_opts *opts);
    /* One pass over a span; run by the device's own kernels. slot 0: momentum. */
    lt_status (*sgd)(lt_ctx *ctx, const lt_span *span, const lt_sgd_args *args);
    /* slots 0, 1: exp_avg, exp_avg_sq (2: max_exp_avg_sq with amsgrad). */
    lt_status (*adam)(lt_ctx *ctx, const lt_span *span, const lt_adam_args *args);
    /* In configure_optimizers, after vuse_optimizer. */
    lt_status (*vparam_group)(lt_ctx *ctx, lt_optim_setup *setup, const lt_module *module, const char *names, const char *format, va_list args);
    lt_status (*use_lr_lambda)(lt_ctx *ctx, lt_optim_setup *setup, lt_lr_lambda *f, void *self, int32_t multiplicative, const lt_lr_scheduler_opts *opts);
    lt_status (*closure_loss)(lt_ctx *ctx, lt_closure *closure, double *loss);
    lt_status (*rule)(lt_ctx *ctx, const lt_span *span, int32_t rule, const void *args); /* LT_RULE_*, and its struct of arguments */
} lt_optim_api;
extern LT_HIDDEN const struct lt_optim_api *lt__optim LT__NEEDS_PLUGIN("lt__optim");

/* Names the optimizer, in configure_optimizers: id of a component, and its parameters as YAML in the way of printf ("" for none):
 *     lt_use_optimizer(ctx, setup, "Adam", "lr: %g, betas: [0.9, 0.99]", m->lr);
 * %g keeps six digits, %.17g all. The result is copied. Beaten by `optimizer:` of the config. LT_EUNSUPPORTED for a second one. [setup] */
static inline LT_PRINTF(4, 5) lt_status lt_use_optimizer(lt_ctx *ctx, lt_optim_setup *setup, const char *id, const char *format, ...) {
    va_list args;
    va_start(args, format);
    lt_status status = lt__optim->vuse_optimizer(ctx, setup, id, format, args);
    va_end(args);
    return status;
}
/* A parameter group of its own for the parameters that `names` matches: state_dict names ("head.weight") or patterns ("*.bias",
 * "blocks.?.norm*"; `*` any text, `?` any character), separated by spaces or commas. format makes what differs from the optimizer's
 * parameters, as in lt_use_optimizer: lt_param_group(ctx, setup, "*.bias *norm*", "weight_decay: 0"). A parameter belongs to the first group
 * that matches it, by any of its names where it has several; what is in none makes up the first group, before those that are made here.
 * Beaten by `optimizer:` of the config.
 * LT_ECONFIG, when the optimizer is made, for a group that matches nothing. [setup] */
static inline LT_PRINTF(4, 5) lt_status lt_param_group(lt_ctx *ctx, lt_optim_setup *setup, const char *names, const char *format, ...) {
    va_list args;
    va_start(args, format);
    lt_status status = lt__optim->vparam_group(ctx, setup, NULL, names, format, args);
    va_end(args);
    return status;
}
/* The same for all parameters of a module and of what is in it. [setup] */
static inline LT_PRINTF(4, 5) lt_status lt_param_group_module(lt_ctx *ctx, lt_optim_setup *setup, const lt_module *module, const char *format, ...) {
    va_list args;
    va_start(args, format);
    lt_status status = lt__optim->vparam_group(ctx, setup, module, NULL, format, args);
    va_end(args);
    return status;
}
/* A schedule that the model computes: every rate is the initial one times f(self, steps of the schedule so far, group), as PyTorch's
 * LambdaLR. self: the model's, or anything that lives as long; opts NULL: stepped once an epoch. [setup] */
LT_INLINE lt_status lt_use_lambda_lr(lt_ctx *ctx, lt_optim_setup *setup, lt_lr_lambda *f, void *self, const lt_lr_scheduler_opts *opts) {
    return lt__optim->use_lr_lambda(ctx, setup, f, self, 0, opts);
}
/* The same with factors for the rate that stands, as PyTorch's MultiplicativeLR; f is first called for step 1. [setup] */
LT_INLINE lt_status lt_use_multiplicative_lr(lt_ctx *ctx, lt_optim_setup *setup, lt_lr_lambda *f, void *self, const lt_lr_scheduler_opts *opts) {
    return lt__optim->use_lr_lambda(ctx, setup, f, self, 1, opts);
}
/* Names the learning-rate scheduler as lt_use_optimizer does the optimizer, with its parameters as they are; opts NULL: stepped once an epoch. [setup] */
LT_INLINE lt_status lt_use_lr_scheduler_with(lt_ctx *ctx, lt_optim_setup *setup, const char *id, const char *params,
                                             const lt_lr_scheduler_opts *opts) {
    return lt__optim->use_lr_scheduler(ctx, setup, id, params, opts);
}
/* In step_closure: the loss where the parameters are now, into *loss; the spans then hold its gradients. The first call of a step costs
 * nothing: that loss is there already. Each other one runs the model's training_step and backward on the same batch again, with its hooks,
 * as Lightning does; what training_step makes stays in memory until the step is over. [trainer] */
LT_INLINE lt_status lt_closure_loss(lt_ctx *ctx, lt_closure *closure, double *loss) { return lt__optim->closure_loss(ctx, closure, loss); }
/* In an optimizer's step: g = grad + weight_decay p; v = momentum v + (1 - dampening) g (v = g at the first step); p -= lr v, or with
 * nesterov lr (g + momentum v). slot 0: v; none needed without momentum. Sutskever et al. 2013, in PyTorch's form and order. [trainer] */
LT_INLINE lt_status lt_optim_sgd(lt_ctx *ctx, const lt_span *span, const lt_sgd_args *args) { return lt__optim->sgd(ctx, span, args); }
/* m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2; p -= lr / (1 - beta1^t) m / (sqrt(v) / sqrt(1 - beta2^t) + eps), t = span->step.
 * slots 0, 1: m, v; 2: the largest v, with amsgrad. Kingma and Ba 2014, arXiv:1412.6980; decoupled decay (AdamW): Loshchilov and Hutter
 * 2017, arXiv:1711.05101; PyTorch's order. [trainer] */
LT_INLINE lt_status lt_optim_adam(lt_ctx *ctx, const lt_span *span, const lt_adam_args *args) { return lt__optim->adam(ctx, span, args); }
/* The same for other optimizers; all: g = grad + weight_decay p, f32 and f64, PyTorch's order, t = span->step. [trainer]
 * s = alpha s + (1 - alpha) g^2; a = sqrt(s) + eps, or centered sqrt(s - mean^2) + eps, mean = alpha mean + (1 - alpha) g; p -= lr g / a, or
 * b = momentum b + g / a; p -= lr b. slots: s, then b where momentum is above 0, then mean where centered. Tieleman and Hinton 2012;
 * centered: Graves 2013, arXiv:1308.0850. */
LT_INLINE lt_status lt_optim_rmsprop(lt_ctx *ctx, const lt_span *span, const lt_rmsprop_args *args) {
    return lt__optim->rule(ctx, span, LT_RULE_RMSPROP, args);
}
/* s += g^2; p -= lr / (1 + (t - 1) lr_decay) g / (sqrt(s) + eps). slot 0: s. Duchi et al. 2011, JMLR 12. [trainer] */
LT_INLINE lt_status lt_optim_adagrad(lt_ctx *ctx, const lt_span *span, const lt_adagrad_args *args) {
    return lt__optim->rule(ctx, span, LT_RULE_ADAGRAD, args);
}
/* s = rho s + (1 - rho) g^2; d = sqrt(a + eps) / sqrt(s + eps) g; a = rho a + (1 - rho) d^2; p -= lr d. slots 0, 1: s, a. Zeiler 2012,
 * arXiv:1212.5701. [trainer] */
LT_INLINE lt_status lt_optim_adadelta(lt_ctx *ctx, const lt_span *span, const lt_adadelta_args *args) {
    return lt__optim->rule(ctx, span, LT_RULE_ADADELTA, args);
}
/* g = grad; p = (1 - lr weight_decay) p - lr sign(beta1 m + (1 - beta1) g); m = beta2 m + (1 - beta2) g. slot 0: m. Chen et al. 2023,
 * arXiv:2302.06675. [trainer] */
LT_INLINE lt_status lt_optim_lion(lt_ctx *ctx, const lt_span *span, const lt_lion_args *args) { return lt__optim->rule(ctx, span, LT_RULE_LION, args); }
/* m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2; r = sqrt(v / (1 - beta2^t)) + eps; p -= lr (1 - mu) / (1 - mu_product) g / r +
 * lr mu_next / (1 - mu_product mu_next) m / r; decoupled: p shrinks by lr weight_decay instead. slots 0, 1: m, v. Dozat 2016. [trainer] */
LT_INLINE lt_status lt_optim_nadam(lt_ctx *ctx, const lt_span *span, const lt_nadam_args *args) {
    return lt__optim->rule(ctx, span, LT_RULE_NADAM, args);
}
LT_END

/* Options by name: lt_use_lr_scheduler(ctx, setup, "StepLR", "step_size: 30", .per_step = 1).
 * C++: lt_use_lr_scheduler(ctx, setup, "StepLR", "step_size: 30", lt::lr_scheduler_opts().per_step(true)). */
#ifndef __cplusplus
#define lt_use_lr_scheduler(ctx, setup, id, ...) \
    lt_use_lr_scheduler_with(ctx, setup, id, LT__FIRST(__VA_ARGS__, 0), &LT__REST_AS(lt_lr_scheduler_opts, __VA_ARGS__))
#else
namespace lt {
struct lr_scheduler_opts : lt_lr_scheduler_opts {
    lr_scheduler_opts() : lt_lr_scheduler_opts() { struct_size = sizeof(lt_lr_scheduler_opts); }
    LT__SET(lr_scheduler_opts, lt_lr_scheduler_opts, bool, per_step)
    LT__SET(lr_scheduler_opts, lt_lr_scheduler_opts, bool, not_strict)
    LT__SET(lr_scheduler_opts, lt_lr_scheduler_opts, int64_t, frequency)
    LT__SET(lr_scheduler_opts, lt_lr_scheduler_opts, const char *, monitor)
    LT__SET(lr_scheduler_opts, lt_lr_scheduler_opts, const char *, name)
};
} // namespace lt
inline lt_status lt_use_lr_scheduler(lt_ctx *ctx, lt_optim_setup *setup, const char *id, const char *params,
                                     const lt_lr_scheduler_opts &opts = lt::lr_scheduler_opts()) {
    return lt_use_lr_scheduler_with(ctx, setup, id, params, &opts);
}
#endif
#ifndef __cplusplus
#define LT_OPTIMIZER(id_, type_, doc_, ...) LT__COMPONENT(lt_optimizer, "lt.optimizer/1", id_, type_, doc_, __VA_ARGS__)
#define LT_LR_SCHEDULER(id_, type_, doc_, ...) LT__COMPONENT(lt_lr_scheduler, "lt.lr_scheduler/1", id_, type_, doc_, __VA_ARGS__)
#endif
#endif
