/* engine/autograd/table.c - the functions of lt.autograd/1: checks of arguments in front of backward.c and custom.c. */
#include "base/str.h"
#include "engine/autograd/gradient.h"

static void set_grad_enabled(lt_ctx *ctx, bool enabled, bool *before) {
    if (before) {
        *before = ctx->engine->grad_enabled;
    }
    if (ctx->error.code == LT_OK) { /* a scope that a failure ends must still be closed */
        LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_set_grad_enabled", );
    }
    ctx->engine->grad_enabled = enabled;
}

static void set_inference(lt_ctx *ctx, bool inference, bool *before) {
    if (before) {
        *before = ctx->engine->inference;
    }
    if (ctx->error.code == LT_OK) { /* a scope that a failure ends must still be closed */
        LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_set_inference", );
    }
    ctx->engine->inference = inference;
}

static lt_tensor *detach(lt_ctx *ctx, lt_tensor *x) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_detach", NULL);
    if (!lth_given(ctx, x, 2, "lt_detach", LTH_CALLER)) {
        return NULL;
    }
    lt_tensor *y = lth_tensor_alias(ctx->engine, x, &ctx->error);
    if (y) {
        y->detached = 1;
    }
    return y;
}

static lt_tensor *set_requires_grad(lt_ctx *ctx, lt_tensor *x, bool requires_grad) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_set_requires_grad", NULL);
    if (!lth_given(ctx, x, 2, "lt_set_requires_grad", LTH_CALLER)) {
        return NULL;
    }
    if (requires_grad && !lth_is_float(x->a.dtype)) {
        lth_fail_op(&ctx->error, LT_EDTYPE, "lt_set_requires_grad", LTH_CALLER, "x is %s; only floats have gradients", lth_dtype_name(x->a.dtype));
        return NULL;
    }
    if (!x->is_leaf) {
        lth_fail_op(&ctx->error, LT_ESTATE, "lt_set_requires_grad", LTH_CALLER, "x is the result of an operation; use lt_detach(x)");
        return NULL;
    }
    x->requires_grad = requires_grad;
    return x;
}

static lt_status backward(lt_ctx *ctx, lt_tensor *loss, lt_tensor *grad) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_backward", ctx->error.code);
    if (!lth_given(ctx, loss, 2, "lt_backward", LTH_CALLER)) {
        return ctx->error.code;
    }
    lt_status status = lth_backward(ctx, loss, grad, 1.0);
    if (status != LT_OK && !ctx->error.caller) {
        ctx->error.caller = LTH_CALLER;
    }
    return status;
}

static lt_tensor *grad_of(lt_ctx *ctx, const lt_tensor *x) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_grad", NULL);
    if (!lth_given(ctx, x, 2, "lt_grad", LTH_CALLER)) {
        return NULL;
    }
    return x->is_leaf && x->grad && !x->grad->grad_fresh ? x->grad : NULL;
}

static lt_tensor *custom_apply(lt_ctx *ctx, const lt_custom_op *op, lt_tensor *const *inputs, int32_t n_inputs, const void *context,
                               size_t context_size) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_custom_apply", NULL);
    if (!lth_given(ctx, op, 2, "lt_custom_apply", LTH_CALLER) || !lth_given(ctx, inputs, 3, "lt_custom_apply", LTH_CALLER)) {
        return NULL;
    }
    if (context_size && !lth_given(ctx, context, 5, "lt_custom_apply", LTH_CALLER)) {
        return NULL;
    }
    return lth_custom_apply(ctx, op, inputs, n_inputs, context, context_size, LTH_CALLER);
}

static void save_for_backward(lt_ctx *ctx, const lt_custom_call *call, lt_tensor *x) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_save_for_backward", );
    if (lth_given(ctx, call, 2, "lt_save_for_backward", LTH_CALLER) && lth_given(ctx, x, 3, "lt_save_for_backward", LTH_CALLER)) {
        lth_custom_save(ctx, call, x, LTH_CALLER);
    }
}

const lt_autograd_api lth_autograd_table = {
    .struct_size = sizeof(lt_autograd_api),
    .set_grad_enabled = set_grad_enabled,
    .detach = detach,
    .set_requires_grad = set_requires_grad,
    .backward = backward,
    .grad = grad_of,
    .custom_apply = custom_apply,
    .save_for_backward = save_for_backward,
    .set_inference = set_inference,
};
