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
#else
namespace lt {
/* Derive from it and mark hooks `override`; those that are not overridden are absent for the host. */
struct model {
    enum { state_version = 0 };
    virtual const void *get_interface(const char *) { return nullptr; }
    virtual lt_status configure(lt_ctx *) { return LT_OK; }
    virtual lt_status configure_optimizers(lt_ctx *, lt_optim_setup *) { return LT_OK; }
    virtual lt_tensor *forward(lt_ctx *, lt_tensor *) { return nullptr; }
    virtual lt_status training_step(lt_ctx *, const lt_batch *, lt_step_out *) { return LT_OK; }
    virtual lt_status validation_step(lt_ctx *, const lt_batch *, lt_step_out *) { return LT_OK; }
    virtual lt_status test_step(lt_ctx *, const lt_batch *, lt_step_out *) { return LT_OK; }
    virtual lt_status predict_step(lt_ctx *, const lt_batch *, lt_step_out *) { return LT_OK; }
    virtual lt_tensor *example_input(lt_ctx *) { return nullptr; }
    virtual lt_status save(lt_ctx *, lt_state_writer *) { return LT_OK; }
    virtual lt_status load(lt_ctx *, const lt_state_reader *) { return LT_OK; }
#define LT__X(name, kinds, text) \
    virtual lt_status name(lt_ctx *) { return LT_OK; }
    LT_HOOKS(LT__X)
#undef LT__X
protected:
    ~model() = default;
};
template <> struct is_kind<model> { enum { value = 1 }; };
template <class T>
constexpr lt_model make_model(const char *id, const lt_params *(*params)(void), const char *doc, uint32_t flags = 0) {
#define LT__X(name, kinds, text) , LT__HOOK(name)
    return lt_model{base<T>(sizeof(lt_model), "lt.model/1", id, params, doc, flags), LT__HOOK(configure), LT__HOOK(configure_optimizers),
        LT__HOOK(forward), LT__HOOK(training_step), LT__HOOK(validation_step), LT__HOOK(test_step), LT__HOOK(predict_step),
        LT__HOOK(example_input), LT__HOOK(save), LT__HOOK(load)
        LT_HOOKS(LT__X)};
#undef LT__X
}
} // namespace lt
/* LT_MODEL(Id, type, "doc") or LT_MODEL(Id, type, "doc", flags) */
#define LT_MODEL(id_, type_, ...) LT__COMPONENT(lt_model, id_, (::lt::make_model<type_>(#id_, type_##_params, __VA_ARGS__)))
#endif
#endif
