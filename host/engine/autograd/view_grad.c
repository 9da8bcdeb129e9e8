/* engine/autograd/view_grad.c - gradients of views: the view that was made of the value is made of its gradient, and the gradient that
 * arrives is written or added there. Only what expand repeats has to be summed. */
#include "base/str.h"
#include "engine/autograd/gradient.h"
#include "engine/ops/shapes.h"

/* The sum of g over what expand repeated, in the shape of x. */
static lt_status sum_repeated(lt_ctx *ctx, const lth_array *x, const lth_array *g, lth_array *summed, lth_step_block **home) {
    lth_attrs attrs = {.i = {[9] = 1}};
    int added = g->ndim - x->ndim;
    *summed = *g;
    for (int d = 0; d < g->ndim; d++) {
        if (d < added || (x->shape[d - added] == 1 && g->shape[d] != 1)) {
            attrs.i[1 + attrs.i[0]++] = d;
            summed->shape[d] = 1;
        }
    }
    if (attrs.i[0] > 0) {
        lth_array_set_contiguous(summed);
        summed->data = lth_step_workspace(ctx->engine, (size_t)lth_array_numel(summed) * lth_dtype_size(summed->dtype), home);
        if (!summed->data) {
            return lth_fail(&ctx->error, LT_ENOMEM, "backward of expand: out of memory");
        }
        LTH_GOOD(lth_run(ctx->engine, LTH_OP_SUM, &attrs, &g, 1, summed, &ctx->error));
    }
    summed->ndim = x->ndim;
    for (int d = 0; d < x->ndim; d++) {
        summed->shape[d] = x->shape[d];
    }
    lth_array_set_contiguous(summed);
    return LT_OK;
}

lt_status lth_rename_gradient(lt_ctx *ctx, lt_tensor *x, lt_tensor *g) {
    lt_tensor *renamed = lth_tensor_alias(ctx->engine, g, &ctx->error);
    if (!renamed) {
        return ctx->error.code;
    }
    void *data = g->a.data;
    renamed->a = x->a;
    renamed->a.data = data;
    if (x->a.layout == LTH_STRIDED) {
        lth_array_set_contiguous(&renamed->a);
    }
    lth_step_share(g->data_home);
    x->grad = renamed;
    return LT_OK;
}

lt_status lth_view_backward(lt_ctx *ctx, lth_tape_node *node) {
    lth_engine *e = ctx->engine;
    lt_tensor *x = node->in[0], *g = node->out[0]->grad;
    lth_op op = node->call.op;
    if (!x->requires_grad) {
        return LT_OK;
    }
    if (op == LTH_OP_RESHAPE && !x->is_leaf && !x->grad) {
        return lth_rename_gradient(ctx, x, g);
    }
    bool accumulate;
    lth_array *target = lth_grad_target(ctx, x, &accumulate);
    if (!target) {
        return ctx->error.code;
    }
    if (op == LTH_OP_EXPAND) {
        lth_array summed;
        lth_step_block *home = NULL;
        LTH_GOOD(sum_repeated(ctx, &x->a, &g->a, &summed, &home));
        lt_status status = lth_copy_into(e, target, &summed, accumulate, &ctx->error);
        lth_step_give_back(e, home);
        return status;
    }
    if (op == LTH_OP_SLICE && !accumulate) { /* what the slice leaves out gets nothing */
        LTH_GOOD(e->backend->zero(e->device, target->data, (size_t)lth_array_numel(target) * lth_dtype_size(target->dtype), &ctx->error));
    }
    lth_array window = g->a;
    lth_view_array(op, node->call.attrs, target, &window);
    return lth_copy_into(e, &window, &g->a, accumulate, &ctx->error);
}
