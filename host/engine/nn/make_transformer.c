/* engine/nn/make_transformer.c - layer norm and embedding: parameters, initial values, how they run. Only makes in `configure`. */
#include "engine/nn/layer.h"
#include "engine/ops/table.h"

lt_module *lth_make_layer_norm(lt_ctx *ctx, int64_t width, const lt_nn_layer_norm_opts *opts) {
    static const char op[] = "lt_nn_layer_norm";
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, op, NULL);
    lth_modules *m = lth_open_tree(ctx, op, LTH_CALLER);
    lt_nn_layer_norm_opts o;
    if (!lth_read_opts(ctx, &o, sizeof o, opts, op, LTH_CALLER)) {
        return NULL;
    }
    if (!m || !lth_in_range(ctx, op, "width", width, 1) || !lth_good_eps(ctx, op, "eps", o.eps, LTH_CALLER)) {
        return NULL;
    }
    lt_module *module = lth_module_new(ctx, m, LTH_LAYER_NORM_LAYER, "LayerNorm", op);
    module = lth_with_affine(ctx, module, !o.no_affine, !o.no_bias, 1, &width);
    if (module) {
        module->in = module->out = width;
        module->attrs.f[0] = o.eps != 0 ? o.eps : 1e-5;
    }
    return module;
}

lt_module *lth_make_embedding(lt_ctx *ctx, int64_t count, int64_t width, const lt_embedding_opts *opts) {
    static const char op[] = "lt_nn_embedding";
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, op, NULL);
    lth_modules *m = lth_open_tree(ctx, op, LTH_CALLER);
    lt_embedding_opts o;
    if (!lth_read_opts(ctx, &o, sizeof o, opts, op, LTH_CALLER)) {
        return NULL;
    }
    if (!m || !lth_in_range(ctx, op, "count", count, 1) || !lth_in_range(ctx, op, "width", width, 1)) {
        return NULL;
    }
    const int64_t padding = o.padding_idx < 0 ? o.padding_idx + count : o.padding_idx;
    if (o.has_padding_idx && (padding < 0 || padding >= count)) {
        lth_fail_op(&ctx->error, LT_EINVAL, op, LTH_CALLER, "%s: padding_idx %lld is none of the %lld rows", op, (long long)o.padding_idx, (long long)count);
        return NULL;
    }
    lt_module *module = lth_module_new(ctx, m, LTH_EMBEDDING_LAYER, "Embedding", op);
    const int64_t shape[2] = {count, width};
    if (!module) {
        return NULL;
    }
    module->weight = lth_layer_param(ctx, module, "weight", 2, shape);
    if (!module->weight) {
        return NULL;
    }
    module->weight->init = LTH_INIT_NORMAL;
    if (o.has_padding_idx) {
        module->weight->zero = padding * width;
        module->weight->n_zero = width;
        module->attrs.i[0] = 1;
        module->attrs.i[1] = padding;
    }
    module->in = count;
    module->out = width;
    return module;
}

lt_tensor *lth_run_layer_norm(lt_ctx *ctx, const lt_module *l, lt_tensor *x, void *caller) {
    lt_tensor *in[3] = {x, l->weight ? l->weight->value : NULL, l->bias ? l->bias->value : NULL};
    return lth_apply(ctx, LTH_OP_LAYER_NORM, in, l->bias ? 3 : l->weight ? 2 : 1, &l->attrs, caller);
}

lt_tensor *lth_run_embedding(lt_ctx *ctx, const lt_module *l, lt_tensor *x, void *caller) {
    lt_tensor *in[2] = {x, l->weight->value};
    return lth_apply(ctx, LTH_OP_EMBEDDING, in, 2, &l->attrs, caller);
}
