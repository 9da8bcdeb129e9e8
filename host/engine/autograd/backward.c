/* engine/autograd/backward.c - walks the tape from the loss back: newest node first, which is a topological order, since a node's inputs
 * were made before it. Nodes that no gradient reaches are passed over. A gradient met for the first time is written, later ones add.
 * It does not judge the loss (finite or not) and keeps no gradient but those of leaves. */
#include "base/str.h"
#include "engine/autograd/gradient.h"
#include "engine/ops/shapes.h"

/* ---- where gradients go ---- */

lt_tensor *lth_grad_like(lt_ctx *ctx, const lt_tensor *x) {
    lt_tensor *g = lth_tensor_blank(ctx->engine, &ctx->error);
    if (!g) {
        return NULL;
    }
    g->a = x->a;
    g->a.data = NULL;
    if (g->a.layout == LTH_STRIDED) {
        lth_array_set_contiguous(&g->a);
    }
    return lth_tensor_give_data(ctx->engine, g, &ctx->error) == LT_OK ? g : NULL;
}

lth_array *lth_grad_target(lt_ctx *ctx, lt_tensor *x, bool *accumulate) {
    bool made = !x->grad;
    if (made) { /* a lasting leaf's gradient outlives the step as it does */
        x->grad = x->lasting ? lth_tensor_lasting(ctx->engine, x->a.dtype, x->a.ndim, x->a.shape, NULL, &ctx->error) : lth_grad_like(ctx, x);
        if (!x->grad) {
            return NULL;
        }
    }
    *accumulate = !made && !x->grad->grad_fresh;
    x->grad->grad_fresh = 0;
    return &x->grad->a;
}

/* ---- values that backward needs must be as forward left them ---- */

/* Backward of these looks at no value of inputs or outputs. */
static bool reads_values(const lth_tape_node *node) {
    if (node->custom) {
        return true;
    }
    switch (node->call.op) {
    case LTH_OP_COPY:
    case LTH_OP_CAST:
    case LTH_OP_ADD:
    case LTH_OP_SUB:
    case LTH_OP_ADD_SCALAR:
    case LTH_OP_MUL_SCALAR:
    case LTH_OP_NEG:
    case LTH_OP_SUM:
    case LTH_OP_MEAN:
    case LTH_OP_CAT:
    case LTH_OP_PAD:
    case LTH_OP_ROLL:
    case LTH_OP_FLIP:
    case LTH_OP_TRIL:
    case LTH_OP_TRIU:
    case LTH_OP_AVG_POOL2D:
    case LTH_OP_DROPOUT: return false;
    default: return lth_ops[node->call.op].gradient == LTH_GRAD_KERNEL;
    }
}

/* Which of its values backward of a node reads, where it reads any; what is not named here reads all. */
static bool reads_outputs(const lth_tape_node *node) {
    const int64_t *i = node->attrs.i;
    switch (node->call.op) {
    case LTH_OP_MUL: case LTH_OP_DIV: case LTH_OP_LOG: case LTH_OP_ABS: case LTH_OP_GELU: case LTH_OP_POW_SCALAR: case LTH_OP_CLAMP: case LTH_OP_SIN:
    case LTH_OP_COS: case LTH_OP_ERF: case LTH_OP_SQUARE: case LTH_OP_LEAKY_RELU: case LTH_OP_ELU: case LTH_OP_SILU: case LTH_OP_SOFTPLUS:
    case LTH_OP_HARDSWISH: case LTH_OP_MAXIMUM: case LTH_OP_MINIMUM: case LTH_OP_POW: case LTH_OP_WHERE: case LTH_OP_VAR: case LTH_OP_MATMUL:
    case LTH_OP_MSE_LOSS: return false;
    case LTH_OP_LINEAR: return i[0] != LT_ACT_NONE;
    case LTH_OP_CONV2D: return i[7] != LT_ACT_NONE || i[8] != 0;
    case LTH_OP_BATCH_NORM: return i[1] != LT_ACT_NONE;
    default: return true;
    }
}

static bool reads_input(const lth_tape_node *node, int k) {
    switch (node->call.op) {
    case LTH_OP_EXP: case LTH_OP_SQRT: case LTH_OP_RELU: case LTH_OP_TANH: case LTH_OP_SIGMOID: case LTH_OP_RSQRT: case LTH_OP_RECIPROCAL:
    case LTH_OP_SOFTMAX: case LTH_OP_LOG_SOFTMAX: case LTH_OP_SIGN: case LTH_OP_FLOOR: case LTH_OP_CEIL: case LTH_OP_ROUND:
    case LTH_OP_CUMSUM: return false;
    case LTH_OP_MUL: case LTH_OP_MATMUL: return node->in[!k]->requires_grad; /* as the other's slope */
    case LTH_OP_DIV: return k == 1 || node->in[1]->requires_grad;
    case LTH_OP_LINEAR: case LTH_OP_CONV2D: case LTH_OP_CONV_TRANSPOSE2D: return k < 2 && node->in[!k]->requires_grad; /* a bias never */
    case LTH_OP_WHERE: return k == 0;
    default: return true;
    }
}

static lt_status changed(const lth_tape_node *node, const char *what, int k, lth_error *err) {
    const char *name = node->custom ? node->custom->name : lth_op_name(node->call.op);
    return lth_fail(err, LT_ESTATE, "backward of %s: its %s %d was changed in place after forward (by lt_raw with LT_WRITE, or an lt_..._ function?), and "
                    "its gradient needs the old values; change a copy made by lt_clone", name, what, k);
}

static lt_status check_versions(const lth_tape_node *node, lth_error *err) {
    for (int k = 0; k < node->call.n_in; k++) {
        if (node->in[k] && lth_root(node->in[k])->version != node->in_version[k] && reads_input(node, k)) {
            return changed(node, "input", k, err);
        }
    }
    for (int k = 0; k < node->call.n_out && reads_outputs(node); k++) {
        if (lth_root(node->out[k])->version != node->out_version[k]) {
            return changed(node, "output", k, err);
        }
    }
    for (int k = 0; k < node->n_saved; k++) {
        if (lth_root(node->saved[k])->version != node->saved_version[k]) {
            return changed(node, "saved tensor", k, err);
        }
    }
    return LT_OK;
}

/* ---- one node ---- */

static bool seen_before(const lth_tape_node *node, int k) {
    for (int i = 0; i < k; i++) {
        if (node->in[i] == node->in[k]) {
            return true;
        }
    }
    return false;
}

/* Operations whose first input's gradient is the arriving one, value by value. */
static bool passes_gradient(const lth_tape_node *node) {
    switch (node->call.op) {
    case LTH_OP_ADD:
    case LTH_OP_SUB:
    case LTH_OP_ADD_SCALAR: return true;
    default: return false;
    }
}

/* Then it need not be copied: whoever comes after this node finds the same memory under the input's name. */
static bool can_rename(const lth_tape_node *node, int k) {
    const lt_tensor *x = node->in[k], *y = node->out[0];
    bool same = k == 0 && passes_gradient(node) && y->grad && !x->is_leaf && !x->grad && x->a.layout == y->grad->a.layout &&
                x->a.dtype == y->a.dtype && x->a.ndim == y->a.ndim;
    for (int d = 0; same && d < x->a.ndim; d++) {
        same = x->a.shape[d] == y->a.shape[d];
    }
    return same;
}

/* An input given twice (x * x): kernels may not write one gradient through two names, so the second goes to memory of its own first. */
static lt_status kernel_backward(lt_ctx *ctx, lth_tape_node *node) {
    lth_call *call = &node->call;
    lt_tensor *twice[LTH_MAX_IN] = {0};
    bool any_twice = false;
    for (int k = 0; k < call->n_in; k++) {
        lt_tensor *x = node->in[k];
        call->need[k] = x && x->requires_grad;
        call->accumulate[k] = false;
        call->grad_in[k] = NULL;
        if (!call->need[k]) {
            continue;
        }
        if (can_rename(node, k)) {
            LTH_GOOD(lth_rename_gradient(ctx, x, node->out[0]->grad));
            call->need[k] = false;
            continue;
        }
        if (seen_before(node, k)) {
            twice[k] = lth_grad_like(ctx, x);
            call->grad_in[k] = twice[k] ? &twice[k]->a : NULL;
            any_twice = true;
        } else {
            call->grad_in[k] = lth_grad_target(ctx, x, &call->accumulate[k]);
        }
        if (!call->grad_in[k]) {
            return ctx->error.code;
        }
    }
    for (int k = 0; k < call->n_out; k++) {
        call->grad_out[k] = node->out[k]->grad ? &node->out[k]->grad->a : NULL;
    }
    bool any = false;
    for (int k = 0; k < call->n_in; k++) {
        any |= call->need[k];
    }
    lt_status status = any ? node->kernel->backward(node->device, call, &ctx->error) : LT_OK;
    if (status != LT_OK) {
        return lth_fail(&ctx->error, status, "backward of %s: its kernel failed", lth_op_name(call->op));
    }
    for (int k = 0; any_twice && k < call->n_in; k++) {
        if (twice[k]) {
            LTH_GOOD(lth_copy_into(ctx->engine, &node->in[k]->grad->a, &twice[k]->a, true, &ctx->error));
            lth_step_give_back(ctx->engine, twice[k]->data_home);
        }
    }
    return LT_OK;
}

static bool reached(const lth_tape_node *node) {
    for (int k = 0; k < node->call.n_out; k++) {
        if (node->out[k]->grad) {
            return true;
        }
    }
    return false;
}

static lt_status node_backward(lt_ctx *ctx, lth_tape_node *node) {
    if (node->used_up) {
        return lth_fail(&ctx->error, LT_ESTATE, "backward of %s: an earlier backward of this step used this part of the graph up; add the losses "
                        "and go back once, or compute it again", node->custom ? node->custom->name : lth_op_name(node->call.op));
    }
    node->used_up = reads_values(node) || node->call.workspace; /* as PyTorch, which gives up what was saved */
    if (reads_values(node)) {
        LTH_GOOD(check_versions(node, &ctx->error));
    }
    if (node->custom) {
        return lth_custom_backward(ctx, node);
    }
    return node->kernel ? kernel_backward(ctx, node) : lth_view_backward(ctx, node);
}

/* Its gradients have been handed on, and no kernel of this step comes back to them or to its workspace. */
static void done_with(lth_engine *e, lth_tape_node *node) {
    for (int k = 0; !node->partial && k < node->call.n_out; k++) {
        lt_tensor *y = node->out[k];
        if (y->grad) {
            lth_step_give_back(e, y->grad->data_home);
            y->grad = NULL;
        }
    }
    lth_step_give_back(e, node->workspace);
    node->workspace = NULL;
}

/* After a failure the rest of the tape only loses its half-made gradients. */
static lt_status walk(lt_ctx *ctx, lth_tape_node *from) {
    lt_status status = LT_OK;
    for (lth_tape_node *node = from; node; node = node->previous) {
        if (!reached(node)) {
            continue;
        }
        if (status == LT_OK) {
            status = node_backward(ctx, node);
        }
        done_with(ctx->engine, node);
    }
    return status;
}

/* ---- the loss ---- */

static lt_status check_loss(const lt_tensor *loss, const lt_tensor *grad, lth_error *err) {
    if (!loss->requires_grad) {
        return lth_fail(err, LT_ESTATE, "backward: loss does not depend on any tensor that requires a gradient (all frozen, detached, or "
                        "computed while gradients were disabled?)");
    }
    if (!grad) {
        return lth_numel(loss) == 1 ? LT_OK : lth_fail(err, LT_ESHAPE, "backward: loss %s must have one element, or a gradient must be given; "
                                                       "use lt_mean or lt_sum", lth_shown(&loss->a).text);
    }
    if (!lth_same_shape(&loss->a, &grad->a)) {
        return lth_fail(err, LT_ESHAPE, "backward: grad %s must have the shape of loss %s", lth_shown(&grad->a).text, lth_shown(&loss->a).text);
    }
    if (loss->a.dtype != grad->a.dtype) {
        return lth_fail(err, LT_EDTYPE, "backward: grad is %s and loss is %s, but they must be the same", lth_dtype_name(grad->a.dtype),
                        lth_dtype_name(loss->a.dtype));
    }
    return LT_OK;
}

/* The gradient that arrives at the loss, in memory of our own: what is reached through views of it may be added to. */
static lt_status seed(lt_ctx *ctx, lt_tensor *loss, lt_tensor *grad, double scale) {
    lt_tensor *start;
    if (grad) {
        lth_attrs attrs = {.f = {scale}};
        start = lth_apply(ctx, LTH_OP_MUL_SCALAR, &grad, 1, &attrs, NULL);
    } else {
        lth_attrs attrs = {.i = {loss->a.dtype, loss->a.ndim}, .f = {scale}};
        for (int d = 0; d < loss->a.ndim; d++) {
            attrs.i[2 + d] = 1;
        }
        start = lth_apply(ctx, LTH_OP_FULL, NULL, 0, &attrs, NULL);
    }
    start = lth_contiguous(ctx, start);
    if (!start) {
        return ctx->error.code;
    }
    if (!loss->is_leaf && loss->a.layout == LTH_STRIDED) {
        loss->grad = start;
        return LT_OK;
    }
    bool accumulate;
    lth_array *target = lth_grad_target(ctx, loss, &accumulate);
    return target ? lth_copy_into(ctx->engine, target, &start->a, accumulate, &ctx->error) : ctx->error.code;
}

lt_status lth_backward(lt_ctx *ctx, lt_tensor *loss, lt_tensor *grad, double scale) {
    if (ctx->error.code != LT_OK) {
        return ctx->error.code;
    }
    LTH_GOOD(check_loss(loss, grad, &ctx->error));
    lth_engine *e = ctx->engine;
    bool enabled = e->grad_enabled;
    const bool outer = e->walking;
    e->grad_enabled = false;
    e->walking = true;
    lt_status status = seed(ctx, loss, grad, scale);
    if (status == LT_OK && loss->node) {
        status = walk(ctx, loss->node);
    }
    e->walking = outer;
    e->grad_enabled = enabled;
    return status;
}
