/* lt/model.h - the component kind lt.model/1: modules, steps, and how to optimize them. */
#ifndef LT_MODEL_H
#define LT_MODEL_H
#include <lt/autograd.h>
#include <lt/component.h>
#include <lt/hooks.h>
#include <lt/optim.h>
#include <lt/plugin.h>
#include <lt/trainer.h>

LT_BEGIN
enum { LT_MODEL_CAPTURABLE = 1 }; /* training_step does the same work every time: may be captured as a graph */

typedef struct lt_model {
    lt_component base;
    /* Makes the modules. Once, before anything else. [setup] */
    lt_status (*configure)(lt_ctx *ctx, void *self);
    /* Names optimizer and scheduler with lt_use_optimizer, lt_use_lr_scheduler; the config's own beat it. [setup] */
    lt_status (*configure_optimizers)(lt_ctx *ctx, void *self, lt_optim_setup *setup);
    /* x -> output, for predict and summaries. NULL: the root modules, if there is just one. */
    lt_tensor *(*forward)(lt_ctx *ctx, void *self, lt_tensor *x);
    /* Reports the loss with lt_step_loss; LT_OK without a loss skips the batch. */
    lt_status (*training_step)(lt_ctx *ctx, void *self, const lt_batch *batch, lt_step_out *out);
    lt_status (*validation_step)(lt_ctx *ctx, void *self, const lt_batch *batch, lt_step_out *out);
    lt_status (*test_step)(lt_ctx *ctx, void *self, const lt_batch *batch, lt_step_out *out);
    /* Reports outputs with lt_step_output. NULL: forward of the batch's first tensor, as output "predictions". */
    lt_status (*predict_step)(lt_ctx *ctx, void *self, const lt_batch *batch, lt_step_out *out);
    /* A batch of one for summaries and lazy shapes; NULL: none. [setup] */
    lt_tensor *(*example_input)(lt_ctx *ctx, void *self);
    /* State beyond LT_SAVED fields and parameters. */
    lt_status (*save)(lt_ctx *ctx, void *self, lt_state_writer *out);
    lt_status (*load)(lt_ctx *ctx, void *self, const lt_state_reader *in);
#define LT__X(name, kinds, text) lt_hook *name;
    LT_HOOKS(LT__X)
#undef LT__X
} lt_model;
LT_END
#ifndef __cplusplus
#define LT_MODEL(id_, type_, doc_, ...) LT__COMPONENT(lt_model, "lt.model/1", id_, type_, doc_, __VA_ARGS__)
#endif
#endif
