/* engine/nn/forward.c - running modules. A sequential runs what its plan says: neighbours that one op can do together are one call.
 * Shapes that do not fit are refused here, with the module's name, before the op would refuse them without. */
#include "engine/nn/layer.h"
#include <stdio.h>
#include <string.h>

/* ---- names for people ---- */
static void describe_kernel(const lt_module *l, char *out, size_t size) {
    static const int64_t none[4];
    const int64_t *shape = l->weight ? l->weight->value->a.shape : none; /* there was no memory for it */
    snprintf(out, size, "%lld -> %lld, kernel %lldx%lld", (long long)l->in, (long long)l->out, (long long)shape[2], (long long)shape[3]);
}

void lth_module_describe(const lt_module *l, char *out, size_t size) {
    char what[80];
    const char *op = "module", *name = l->name ? l->name : l->given ? l->given : "";
    switch (l->kind) {
    case LTH_LAYER_NORM_LAYER: op = "layer_norm"; snprintf(what, sizeof what, "%lld", (long long)l->in); break;
    case LTH_EMBEDDING_LAYER: op = "embedding"; snprintf(what, sizeof what, "%lld, %lld", (long long)l->in, (long long)l->out); break;
    case LTH_LINEAR: op = "linear"; snprintf(what, sizeof what, "%lld -> %lld", (long long)l->in, (long long)l->out); break;
    case LTH_CONV2D_LAYER: op = "conv2d"; describe_kernel(l, what, sizeof what); break;
    case LTH_BATCH_NORM_LAYER: op = l->spatial == 1 ? "batch_norm1d" : "batch_norm2d"; snprintf(what, sizeof what, "%lld", (long long)l->in); break;
    case LTH_MAX_POOL_LAYER: case LTH_AVG_POOL_LAYER:
        op = l->kind == LTH_MAX_POOL_LAYER ? "max_pool2d" : "avg_pool2d";
        snprintf(what, sizeof what, "kernel %lldx%lld", (long long)l->attrs.i[0], (long long)l->attrs.i[1]);
        break;
    case LTH_LSTM_LAYER: case LTH_GRU_LAYER:
        op = l->kind == LTH_LSTM_LAYER ? "lstm" : "gru";
        snprintf(what, sizeof what, "%lld -> %lld", (long long)l->in, (long long)l->out);
        break;
    case LTH_CALL:
        op = l->call->op;
        if (l->call->sized == 1 && l->weight && l->weight->value->a.ndim > 2) { /* a convolution, whose input may have been open when it was made */
            snprintf(what, sizeof what, "%lld -> %lld, %s", (long long)l->in, (long long)l->out, l->about);
        } else {
            snprintf(what, sizeof what, "%s", l->about);
        }
        break;
    default: snprintf(what, sizeof what, "%s", l->type); break;
    }
    snprintf(out, size, "%s%s%s (%s)", op, *name ? " " : "", name, what);
}

/* "linear fc1 (784 -> 128) got (32, 756)", and what would have fitted. */
static bool refuse(lt_ctx *ctx, const lt_module *l, const lt_tensor *x, void *caller, const char *wanted) {
    char what[160], shape[128];
    lth_module_describe(l, what, sizeof what);
    lth_format_shape(shape, sizeof shape, x->a.shape, x->a.ndim);
    lth_fail_op(&ctx->error, LT_ESHAPE, "lt_forward", caller, "%s got %s%s", what, shape, wanted);
    return false;
}

static bool fits_call(lt_ctx *ctx, const lt_module *l, const lt_tensor *x, void *caller) {
    const lth_array *a = &x->a;
    char takes[80];
    snprintf(takes, sizeof takes, "; it takes %s", l->call->takes);
    if (a->ndim < l->call->least || a->ndim > l->call->most) {
        return refuse(ctx, l, x, caller, takes);
    }
    return !l->call->sized || a->shape[l->call->sized < 0 ? a->ndim - 1 : l->call->sized] == l->in || refuse(ctx, l, x, caller, "");
}

static bool fits(lt_ctx *ctx, lt_module *l, const lt_tensor *x, void *caller) {
    const lth_array *a = &x->a;
    if (l->open && !lth_layer_settle(ctx, l, x)) {
        return ctx->error.code ? false : refuse(ctx, l, x, caller, "; its input size was left open, and this tells none");
    }
    switch (l->kind) {
    case LTH_LAYER_NORM_LAYER: case LTH_LINEAR: return (a->ndim >= 1 && a->shape[a->ndim - 1] == l->in) || refuse(ctx, l, x, caller, "");
    case LTH_CONV2D_LAYER: return (a->ndim == 4 && a->shape[1] == l->in) || refuse(ctx, l, x, caller, a->ndim == 4 ? "" : "; it takes (N, C, H, W)");
    case LTH_BATCH_NORM_LAYER:
        if (l->spatial == 2) {
            return (a->ndim == 4 && a->shape[1] == l->in) || refuse(ctx, l, x, caller, a->ndim == 4 ? "" : "; it takes (N, C, H, W)");
        }
        return ((a->ndim == 2 || a->ndim == 3) && a->shape[1] == l->in) || refuse(ctx, l, x, caller, "; it takes (N, C) or (N, C, T)");
    case LTH_CALL: return fits_call(ctx, l, x, caller);
    case LTH_MAX_POOL_LAYER: case LTH_AVG_POOL_LAYER: return a->ndim == 4 || refuse(ctx, l, x, caller, "; it takes (N, C, H, W)");
    default: return true;
    }
}

/* ---- one layer, with what is fused into it ---- */
static lt_tensor *param_value(const lth_param *p) { return p ? p->value : NULL; }
static lt_tensor *buffer_value(const lth_buffer *b) { return b ? b->value : NULL; }

static lt_tensor *run_linear(lt_ctx *ctx, const lth_fused *f, lt_tensor *x, void *caller) {
    lt_tensor *in[3] = {x, f->module->weight->value, param_value(f->module->bias)};
    lth_attrs attrs = {.i = {f->act ? f->act->attrs.i[0] : LT_ACT_NONE}};
    return lth_apply(ctx, LTH_OP_LINEAR, in, f->module->bias ? 3 : 2, &attrs, caller);
}

static lt_tensor *run_conv(lt_ctx *ctx, const lth_fused *f, lt_tensor *x, void *caller) {
    lt_tensor *in[3] = {x, f->module->weight->value, param_value(f->module->bias)};
    lth_attrs attrs = f->module->attrs;
    attrs.i[7] = f->act ? f->act->attrs.i[0] : LT_ACT_NONE;
    for (int k = 0; f->pool && k < 4; k++) { /* kernel, stride */
        attrs.i[8 + k] = f->pool->attrs.i[k];
    }
    return lth_apply(ctx, LTH_OP_CONV2D, in, f->module->bias ? 3 : 2, &attrs, caller);
}

/* As PyTorch counts: every forward in training mode. */
static void count_batch(lt_ctx *ctx, const lt_module *l) {
    if (ctx->engine->backend->device_type == 1) {
        ++*(int64_t *)l->batches->value->a.data;
        return;
    }
    int64_t count = 0;
    if (lth_tensor_to_host(l->batches->value, &count, sizeof count, &ctx->error) == LT_OK) {
        count++;
        lth_tensor_from_host(l->batches->value, &count, sizeof count, &ctx->error);
    }
}

lt_tensor *lth_run_batch_norm(lt_ctx *ctx, lt_module *l, lt_tensor *x, lt_tensor *residual, int64_t act, void *caller) {
    lt_tensor *in[6] = {x, param_value(l->weight), param_value(l->bias), buffer_value(l->mean), buffer_value(l->var), residual};
    lth_attrs attrs = l->attrs;
    if (!fits(ctx, l, x, caller)) {
        return NULL;
    }
    attrs.i[0] = l->training || !l->mean;
    attrs.i[1] = act;
    lt_tensor *y = lth_apply(ctx, LTH_OP_BATCH_NORM, in, residual ? 6 : 5, &attrs, caller);
    if (y && l->training && l->batches) {
        count_batch(ctx, l);
    }
    return y;
}

lt_tensor *lth_run_activation(lt_ctx *ctx, const lt_module *l, lt_tensor *x, void *caller) {
    return lth_activate(ctx, x, (lt_activation)l->attrs.i[0], l->attrs.f[0], l->attrs.f[1], caller);
}

static lt_tensor *run_dropout(lt_ctx *ctx, const lt_module *l, lt_tensor *x, void *caller) {
    lth_attrs attrs = {.f = {l->p}};
    return l->training && l->p > 0 ? lth_apply(ctx, LTH_OP_DROPOUT, &x, 1, &attrs, caller) : x;
}

/* What the operation says does not name the layer. */
static lt_tensor *run_call(lt_ctx *ctx, const lt_module *l, lt_tensor *x, void *caller) {
    lt_tensor *y = l->call->run(ctx, l, x);
    if (!y && ctx->error.code) {
        char what[160], shape[128], why[sizeof ctx->error.text];
        const lt_status code = ctx->error.code;
        lth_module_describe(l, what, sizeof what);
        lth_format_shape(shape, sizeof shape, x->a.shape, x->a.ndim);
        memcpy(why, ctx->error.text, sizeof why);
        lth_error_clear(&ctx->error);
        lth_fail_op(&ctx->error, code, "lt_forward", caller, "%s got %s: %s", what, shape, why);
    }
    return y;
}

static lt_tensor *run_sequential(lt_ctx *ctx, const lt_module *l, lt_tensor *x, void *caller) {
    if (l->owner->recording) { /* one by one: a summary shows every module's shapes */
        for (lt_module *child = l->first; child && x; child = child->next) {
            x = lth_module_forward(ctx, child, x, caller);
        }
        return x;
    }
    for (int64_t k = 0; k < l->n_steps && x; k++) {
        x = lth_run_step(ctx, &l->steps[k], x, caller);
    }
    return x;
}

static lt_tensor *no_forward(lt_ctx *ctx, const lt_module *l, void *caller) {
    lth_fail_op(&ctx->error, LT_EUNSUPPORTED, "lt_forward", caller, "lt_forward: '%s' only holds modules and has no forward of its own; run the "
                "modules in it", l->name);
    return NULL;
}

lt_tensor *lth_run_step(lt_ctx *ctx, const lth_fused *f, lt_tensor *x, void *caller) {
    lt_module *l = f->module;
    if (!fits(ctx, l, x, caller)) {
        return NULL;
    }
    switch (l->kind) {
    case LTH_LINEAR: return run_linear(ctx, f, x, caller);
    case LTH_CONV2D_LAYER: return run_conv(ctx, f, x, caller);
    case LTH_BATCH_NORM_LAYER: return lth_run_batch_norm(ctx, l, x, NULL, f->act ? f->act->attrs.i[0] : LT_ACT_NONE, caller);
    case LTH_MAX_POOL_LAYER: return lth_apply(ctx, LTH_OP_MAX_POOL2D, &x, 1, &l->attrs, caller);
    case LTH_AVG_POOL_LAYER: return lth_apply(ctx, LTH_OP_AVG_POOL2D, &x, 1, &l->attrs, caller);
    case LTH_LAYER_NORM_LAYER: return lth_run_layer_norm(ctx, l, x, caller);
    case LTH_EMBEDDING_LAYER: return lth_run_embedding(ctx, l, x, caller);
    case LTH_CALL: return run_call(ctx, l, x, caller);
    case LTH_FLATTEN: return lth_flatten(ctx, x, (int)l->attrs.i[0]);
    case LTH_ACTIVATION: return lth_run_activation(ctx, l, x, caller);
    case LTH_DROPOUT_LAYER: return run_dropout(ctx, l, x, caller);
    case LTH_LSTM_LAYER: case LTH_GRU_LAYER: return lth_run_recurrent(ctx, l, x, NULL, caller);
    case LTH_MULTIHEAD: return lth_run_multihead(ctx, l, (lt_tensor *const[]){x, x, x}, NULL, caller);
    case LTH_ENCODER_LAYER: return lth_run_encoder_layer(ctx, l, x, NULL, caller);
    case LTH_SHARED: return lth_module_forward(ctx, l->target, x, caller);
    case LTH_GROUP: return no_forward(ctx, l, caller);
    case LTH_RESIDUAL: return lth_run_residual(ctx, l, x, caller);
    default: return run_sequential(ctx, l, x, caller);
    }
}

static void record(lt_module *l, const lt_tensor *x, const lt_tensor *y) {
    lth_shapes *s = l->number >= 0 && l->owner->summary ? (lth_shapes *)l->owner->summary + l->number : NULL;
    if (s) {
        s->in_ndim = x->a.ndim;
        s->out_ndim = y->a.ndim;
        memcpy(s->in, x->a.shape, sizeof s->in);
        memcpy(s->out, y->a.shape, sizeof s->out);
    }
}

void lth_record_run(lt_module *l, const lt_tensor *x, lt_tensor *y) {
    if (y && l->owner->recording) {
        record(l, x, y);
        if (l->owner->watched == l) {
            l->owner->seen = y;
        }
    }
}

bool lth_can_run(lt_ctx *ctx, const lt_module *module, const lt_tensor *x, const char *op, void *caller) {
    if (ctx->error.code) {
        return false;
    }
    if (!module || !x) {
        lth_fail_op(&ctx->error, LT_EINVAL, op, caller, "%s: the %s is NULL, and no earlier call failed", op, module ? "input" : "module");
        return false;
    }
    if (!module->owner->sealed) {
        lth_fail_op(&ctx->error, LT_ESTATE, op, caller, "%s: modules run only after configure has returned", op);
        return false;
    }
    return true;
}

lt_tensor *lth_module_forward(lt_ctx *ctx, lt_module *module, lt_tensor *x, void *caller) {
    if (!lth_can_run(ctx, module, x, "lt_forward", caller)) {
        return NULL;
    }
    lth_fused alone = {.module = module};
    lt_tensor *y = lth_run_step(ctx, &alone, x, caller);
    lth_record_run(module, x, y);
    return y;
}

/* ---- fusing: decided once, at the seal ---- */
/* A pool that the kernels of convolution take along: no padding, every window whole, none over another, and an index that fits a byte. */
static bool pool_fuses(const lt_module *l) {
    const int64_t *i = l->attrs.i;
    const bool apart = (!i[2] || i[2] == i[0]) && (!i[3] || i[3] == i[1]);
    return l->kind == LTH_MAX_POOL_LAYER && !i[4] && !i[5] && !i[6] && apart && i[0] <= 255 && i[1] <= 255 && i[0] * i[1] <= 255;
}

static bool act_fuses(const lt_module *l, const lt_module *act) {
    if (act->kind != LTH_ACTIVATION) {
        return false;
    }
    bool any = l->kind == LTH_LINEAR && act->attrs.i[0] <= LT_ACT_GELU_TANH, relu = l->kind == LTH_CONV2D_LAYER || l->kind == LTH_BATCH_NORM_LAYER;
    return any || (relu && act->attrs.i[0] == LT_ACT_RELU);
}

lt_status lth_sequential_plan(lt_module *sequential, lth_error *err) {
    int64_t count = 0;
    for (lt_module *l = sequential->first; l; l = l->next) {
        count++; /* a shortcut stands last: it is no step */
    }
    sequential->steps = lth_arena_alloc(&sequential->owner->arena, (size_t)(count + 1) * sizeof *sequential->steps);
    if (!sequential->steps) {
        return lth_fail(err, LT_ENOMEM, "out of memory: the plan of '%s'", sequential->name);
    }
    lt_module *next = NULL;
    for (lt_module *l = sequential->first; l && l != sequential->shortcut; l = next) {
        lth_fused *f = &sequential->steps[sequential->n_steps++];
        f->module = l;
        next = l->next;
        if (next && act_fuses(l, next)) {
            f->act = next;
            next = next->next;
        }
        if (next && l->kind == LTH_CONV2D_LAYER && pool_fuses(next)) {
            f->pool = next;
            next = next->next;
        }
    }
    return LT_OK;
}
