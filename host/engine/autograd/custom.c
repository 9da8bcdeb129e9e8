/* engine/autograd/custom.c - operations of plugins: their shape rule, forward and backward run like a kernel's, with gradients off, so
 * that what they compute is not recorded itself. The context's bytes are copied and destroyed exactly once, whatever fails.
 * It trusts nothing that comes back: shapes, dtypes and missing gradients are checked. */
#include "base/mem.h"
#include "base/str.h"
#include "engine/autograd/gradient.h"
#include "engine/ops/shapes.h"
#include <string.h>

/* The call as a plugin sees it, and behind it what lt_save_for_backward fills. */
typedef struct custom_run {
    lt_custom_call call; /* first: save gets only this */
    int32_t n_saved;
    lt_tensor *saved[LTH_MAX_IN], *in[LTH_MAX_IN], *out[1];
} custom_run;

typedef lt_status callback(lt_ctx *ctx, const lt_custom_call *call);

static lt_status blame(lt_ctx *ctx, const lt_custom_op *op, const char *part, lt_status returned) {
    if (ctx->error.code != LT_OK) {
        return ctx->error.code;
    }
    if (returned == LT_OK) {
        return LT_OK;
    }
    return lth_fail(&ctx->error, returned < 0 ? returned : LT_EPLUGIN, "%s: its %s returned %s without a reason; give one with lt_fail", op->name,
                    part, lth_status_name(returned));
}

static lt_status call_quietly(lt_ctx *ctx, const lt_custom_op *op, const char *part, callback *body, const lt_custom_call *call) {
    lth_engine *e = ctx->engine;
    bool enabled = e->grad_enabled;
    e->grad_enabled = false;
    lt_status status = blame(ctx, op, part, body(ctx, call));
    e->grad_enabled = enabled;
    return status;
}

static lt_status check_op(lt_ctx *ctx, const lt_custom_op *op, lt_tensor *const *inputs, int32_t n, lth_error *err) {
    (void)ctx;
    if (op->struct_size < sizeof *op || !op->name || !op->shape || !op->forward || op->autocast < 0 || op->autocast > LT_AUTOCAST_LOW) {
        return lth_fail(err, LT_EINVAL, "lt_custom_op: struct_size, name, shape and forward must be set, and autocast must be one of LT_AUTOCAST_*");
    }
    if (n < 1 || n > LTH_MAX_IN || !inputs) {
        return lth_fail(err, LT_EINVAL, "%s: %d inputs; a custom operation takes 1 to %d", op->name, (int)n, LTH_MAX_IN);
    }
    for (int32_t k = 0; k < n; k++) {
        if (!inputs[k]) {
            return lth_fail(err, LT_EINVAL, "%s: input %d is NULL, and no earlier call failed", op->name, (int)k);
        }
    }
    return LT_OK;
}

/* Plugins see strided memory only. */
static lt_status take_inputs(lt_ctx *ctx, const lt_custom_op *op, lt_tensor *const *inputs, custom_run *run, bool *grad) {
    static const int policies[] = {LTH_CAST_INPUTS, LTH_CAST_F32, LTH_CAST_LOW};
    for (int32_t k = 0; k < run->call.n_inputs; k++) {
        if (inputs[k]->base) {
            LTH_GOOD(lth_need_fresh_view(ctx, inputs[k], op->name, &ctx->error));
        }
        run->in[k] = lth_contiguous(ctx, lth_autocast(ctx, inputs[k], policies[op->autocast]));
        if (!run->in[k]) {
            return ctx->error.code;
        }
        *grad |= run->in[k]->requires_grad;
    }
    return LT_OK;
}

static lt_status make_output(lt_ctx *ctx, const lt_custom_op *op, custom_run *run) {
    lt_dtype dtype = 0;
    int32_t ndim = -1;
    int64_t shape[1][LT_MAX_DIMS] = {{0}};
    LTH_GOOD(blame(ctx, op, "shape", op->shape(ctx, &run->call, &dtype, &ndim, shape)));
    if (ndim < 0) {
        return lth_fail(&ctx->error, LT_EPLUGIN, "%s: its shape function did not set the output's number of dimensions", op->name);
    }
    run->out[0] = lth_tensor_new(ctx->engine, dtype, ndim, shape[0], &ctx->error);
    return run->out[0] ? LT_OK : ctx->error.code;
}

static lt_status record(lt_ctx *ctx, const lt_custom_op *op, const custom_run *run) {
    lth_call call = {.n_in = (uint8_t)run->call.n_inputs, .n_out = 1, .out = {&run->out[0]->a}};
    for (int k = 0; k < call.n_in; k++) {
        call.in[k] = &run->in[k]->a;
    }
    lth_tape_node *node = lth_tape_record(ctx->engine, &call, run->in, run->out);
    if (!node) {
        return lth_fail(&ctx->error, LT_ENOMEM, "%s: out of memory for the tape", op->name);
    }
    node->custom = op;
    node->n_saved = run->n_saved;
    for (int k = 0; k < run->n_saved; k++) {
        node->saved[k] = run->saved[k];
        node->saved_version[k] = lth_root(run->saved[k])->version;
    }
    node->context = (void *)run->call.context;
    node->context_size = run->call.context_size;
    return LT_OK;
}

/* *kept: the tape has the context now and will destroy it. */
static lt_tensor *apply(lt_ctx *ctx, const lt_custom_op *op, lt_tensor *const *inputs, custom_run *run, bool *kept) {
    bool grad = false;
    if (take_inputs(ctx, op, inputs, run, &grad) != LT_OK || make_output(ctx, op, run) != LT_OK) {
        return NULL;
    }
    const void *outer = ctx->engine->custom_call;
    ctx->engine->custom_call = &run->call;
    lt_status status = call_quietly(ctx, op, "forward", op->forward, &run->call);
    ctx->engine->custom_call = outer;
    if (status != LT_OK) {
        return NULL;
    }
    grad = grad && op->backward && ctx->engine->grad_enabled && !ctx->engine->inference && lth_is_float(run->out[0]->a.dtype);
    if (grad) {
        if (record(ctx, op, run) != LT_OK) {
            return NULL;
        }
        if (op->destroy_context && run->call.context) {
            lth_tape_keep_context(ctx->engine, run->out[0]->node);
            *kept = true;
        }
    }
    return run->out[0];
}

lt_tensor *lth_custom_apply(lt_ctx *ctx, const lt_custom_op *op, lt_tensor *const *inputs, int32_t n, const void *context, size_t context_size,
                            void *caller) {
    lt_tensor *result = NULL;
    bool kept = false;
    custom_run run = {.call = {.struct_size = sizeof run.call, .n_inputs = n, .n_outputs = 1, .inputs = run.in, .outputs = run.out}};
    if (check_op(ctx, op, inputs, n, &ctx->error) != LT_OK) {
        return NULL;
    }
    if (context_size) {
        run.call.context = lth_step_struct(ctx->engine, context_size);
        run.call.context_size = context_size;
        if (!run.call.context) {
            lth_fail(&ctx->error, LT_ENOMEM, "%s: no memory for a context of %zu bytes (the most is 128 KiB)", op->name, context_size);
            return NULL;
        }
        memcpy((void *)run.call.context, context, context_size);
    }
    result = apply(ctx, op, inputs, &run, &kept);
    if (!kept && op->destroy_context && run.call.context) {
        op->destroy_context((void *)run.call.context, context_size);
    }
    if (!result && !ctx->error.caller) {
        ctx->error.caller = caller;
    }
    return result;
}

void lth_custom_save(lt_ctx *ctx, const lt_custom_call *call, lt_tensor *x, void *caller) {
    if (call != ctx->engine->custom_call) {
        lth_fail_op(&ctx->error, LT_ESTATE, "lt_save_for_backward", caller, "may be called only in the forward of a custom operation, with its call");
        return;
    }
    custom_run *run = (custom_run *)(uintptr_t)call;
    if (run->n_saved == LTH_MAX_IN) {
        lth_fail_op(&ctx->error, LT_EINVAL, "lt_save_for_backward", caller, "more than %d tensors", LTH_MAX_IN);
    } else {
        run->saved[run->n_saved++] = x;
    }
}

static lt_status take_gradient(lt_ctx *ctx, const lt_custom_op *op, lt_tensor *x, int k, lt_tensor *g) {
    if (g->a.dtype != x->a.dtype || !lth_same_shape(&g->a, &x->a)) {
        return lth_fail(&ctx->error, LT_ESHAPE, "%s: its backward set grad_inputs[%d] to a tensor %s of %s; the input is %s of %s", op->name, k,
                        lth_shown(&g->a).text, lth_dtype_name(g->a.dtype), lth_shown(&x->a).text, lth_dtype_name(x->a.dtype));
    }
    bool accumulate;
    lth_array *target = lth_grad_target(ctx, x, &accumulate);
    g = lth_contiguous(ctx, g);
    return target && g ? lth_copy_into(ctx->engine, target, &g->a, accumulate, &ctx->error) : ctx->error.code;
}

lt_status lth_custom_backward(lt_ctx *ctx, lth_tape_node *node) {
    const lt_custom_op *op = node->custom;
    lt_tensor *wanted[LTH_MAX_IN] = {0}, *arriving[1] = {node->out[0]->grad};
    custom_run run = {.call = {.struct_size = sizeof run.call, .n_inputs = node->call.n_in, .n_outputs = 1, .n_saved = node->n_saved,
                               .inputs = node->in, .outputs = node->out, .saved = node->saved, .grad_outputs = arriving, .grad_inputs = wanted,
                               .context = node->context, .context_size = node->context_size}};
    LTH_GOOD(call_quietly(ctx, op, "backward", op->backward, &run.call));
    for (int k = 0; k < node->call.n_in; k++) {
        lt_tensor *x = node->in[k];
        if (!x->requires_grad) {
            continue;
        }
        if (wanted[k]) {
            LTH_GOOD(take_gradient(ctx, op, x, k, wanted[k]));
        }
    }
    return LT_OK;
}
