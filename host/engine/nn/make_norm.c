/* engine/nn/make_norm.c - norms of groups, of instances, of rows by their root mean square and over several dimensions; softmax; a dimension
 * taken apart. Option checks, parameters; how they run. Only makes in `configure`; batch norm and layer norm of rows stand elsewhere. */
#include "base/str.h"
#include "engine/nn/layer.h"
#include "engine/ops/table.h"
#include <float.h>
#include <stdio.h>


lt_module *lth_with_affine(lt_ctx *ctx, lt_module *module, bool weight, bool bias, int ndim, const int64_t *shape) {
    if (!module || !weight) {
        return module;
    }
    module->weight = lth_layer_param(ctx, module, "weight", ndim, shape);
    module->bias = module->weight && bias ? lth_layer_param(ctx, module, "bias", ndim, shape) : NULL;
    if (!module->weight || (bias && !module->bias)) {
        return NULL;
    }
    module->weight->fill = 1;
    return module;
}

/* ---- norms ---- */
static lt_tensor *run_group_norm(lt_ctx *ctx, const lt_module *l, lt_tensor *x) {
    return lth_api_group_norm(ctx, x, l->attrs.i[0], lth_param_value(l->weight), lth_param_value(l->bias), l->attrs.f[0]);
}
static const lth_layer_call group_norm = {"group_norm", "(N, C, ...)", 2, LT_MAX_DIMS, 1, run_group_norm};
static const lth_layer_call instance_norm = {"instance_norm2d", "(N, C, H, W)", 4, 4, 1, run_group_norm}; /* each channel is a group */

static lt_module *finish_groups(lt_module *module, int64_t groups, int64_t channels, double eps) {
    if (module) {
        module->in = module->out = channels;
        module->attrs.i[0] = groups;
        module->attrs.f[0] = eps != 0 ? eps : 1e-5;
    }
    return module;
}

lt_module *lth_make_group_norm(lt_ctx *ctx, int64_t groups, int64_t channels, const lt_nn_layer_norm_opts *opts) {
    static const char op[] = "lt_nn_group_norm";
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, op, NULL);
    lth_modules *m = lth_open_tree(ctx, op, LTH_CALLER);
    lt_nn_layer_norm_opts o;
    if (!lth_read_opts(ctx, &o, sizeof o, opts, op, LTH_CALLER)) {
        return NULL;
    }
    if (!m || !lth_in_range(ctx, op, "groups", groups, 1) || !lth_in_range(ctx, op, "channels", channels, 1) ||
        !lth_good_eps(ctx, op, "eps", o.eps, LTH_CALLER)) {
        return NULL;
    }
    if (channels % groups) {
        lth_fail_op(&ctx->error, LT_EINVAL, op, LTH_CALLER, "%s: %lld groups must divide %lld channels", op, (long long)groups, (long long)channels);
        return NULL;
    }
    lt_module *module = lth_call_new(ctx, m, &group_norm, "GroupNorm", NULL, 0, "%lld groups of %lld", (long long)groups, (long long)channels);
    return finish_groups(lth_with_affine(ctx, module, !o.no_affine, !o.no_bias, 1, &channels), groups, channels, o.eps);
}

lt_module *lth_make_instance_norm(lt_ctx *ctx, int64_t channels, const lt_nn_instance_norm_opts *opts) {
    static const char op[] = "lt_nn_instance_norm2d";
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, op, NULL);
    lth_modules *m = lth_open_tree(ctx, op, LTH_CALLER);
    lt_nn_instance_norm_opts o;
    if (!lth_read_opts(ctx, &o, sizeof o, opts, op, LTH_CALLER)) {
        return NULL;
    }
    if (!m || !lth_in_range(ctx, op, "channels", channels, 1) || !lth_good_eps(ctx, op, "eps", o.eps, LTH_CALLER)) {
        return NULL;
    }
    lt_module *module = lth_call_new(ctx, m, &instance_norm, "InstanceNorm2d", NULL, 0, "%lld", (long long)channels);
    return finish_groups(lth_with_affine(ctx, module, o.affine, true, 1, &channels), channels, channels, o.eps);
}

static lt_tensor *run_rms_norm(lt_ctx *ctx, const lt_module *l, lt_tensor *x) { return lth_api_rms_norm(ctx, x, lth_param_value(l->weight), l->attrs.f[0]); }
static const lth_layer_call rms_norm = {"rms_norm", "(..., D)", 1, LT_MAX_DIMS, -1, run_rms_norm};

lt_module *lth_make_rms_norm(lt_ctx *ctx, int64_t width, const lt_nn_layer_norm_opts *opts) {
    static const char op[] = "lt_nn_rms_norm";
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, op, NULL);
    lth_modules *m = lth_open_tree(ctx, op, LTH_CALLER);
    lt_nn_layer_norm_opts o;
    if (!lth_read_opts(ctx, &o, sizeof o, opts, op, LTH_CALLER)) {
        return NULL;
    }
    if (!m || !lth_in_range(ctx, op, "width", width, 1) || !lth_good_eps(ctx, op, "eps", o.eps, LTH_CALLER)) {
        return NULL;
    }
    lt_module *module = lth_call_new(ctx, m, &rms_norm, "RMSNorm", NULL, 0, "%lld", (long long)width);
    module = lth_with_affine(ctx, module, !o.no_affine, false, 1, &width);
    if (module) {
        module->in = module->out = width;
        module->attrs.f[0] = o.eps != 0 ? o.eps : m->dtype == LT_F64 ? DBL_EPSILON : (double)FLT_EPSILON;
    }
    return module;
}

typedef struct trailing { int32_t ndims; int64_t shape[LT_MAX_DIMS]; } trailing;

static lt_tensor *run_layer_norm_over(lt_ctx *ctx, const lt_module *l, lt_tensor *x) {
    const trailing *t = l->opts;
    bool fits = x->a.ndim >= t->ndims;
    for (int d = 0; fits && d < t->ndims; d++) {
        fits = x->a.shape[x->a.ndim - t->ndims + d] == t->shape[d];
    }
    if (!fits) {
        lth_fail(&ctx->error, LT_ESHAPE, "its last dimensions must be %s", l->about);
        return NULL;
    }
    return lth_api_layer_norm_over(ctx, x, t->ndims, lth_param_value(l->weight), lth_param_value(l->bias), l->attrs.f[0]);
}
static const lth_layer_call layer_norm_over = {"layer_norm", "(..., D)", 1, LT_MAX_DIMS, 0, run_layer_norm_over};

lt_module *lth_make_layer_norm_over(lt_ctx *ctx, int32_t ndims, const int64_t *shape, const lt_nn_layer_norm_opts *opts) {
    static const char op[] = "lt_nn_layer_norm_over";
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, op, NULL);
    lth_modules *m = lth_open_tree(ctx, op, LTH_CALLER);
    lt_nn_layer_norm_opts o;
    if (!lth_read_opts(ctx, &o, sizeof o, opts, op, LTH_CALLER)) {
        return NULL;
    }
    if (!m || !lth_good_eps(ctx, op, "eps", o.eps, LTH_CALLER)) {
        return NULL;
    }
    if (ndims < 1 || ndims > LT_MAX_DIMS || !shape) {
        lth_fail_op(&ctx->error, LT_EINVAL, op, LTH_CALLER, "%s: ndims must be 1..%d and shape that many sizes, got %d and %s", op, LT_MAX_DIMS, ndims,
                    shape ? "some" : "NULL");
        return NULL;
    }
    trailing t = {.ndims = ndims};
    char shown[80];
    for (int d = 0; d < ndims; d++) {
        t.shape[d] = shape[d];
        if (!lth_in_range(ctx, op, "every size", shape[d], 1)) {
            return NULL;
        }
    }
    lth_format_shape(shown, sizeof shown, shape, ndims);
    lt_module *module = lth_call_new(ctx, m, &layer_norm_over, "LayerNorm", &t, sizeof t, "%s", shown);
    module = lth_with_affine(ctx, module, !o.no_affine, !o.no_bias, ndims, shape);
    if (module) {
        module->in = module->out = shape[ndims - 1];
        module->attrs.f[0] = o.eps != 0 ? o.eps : 1e-5;
    }
    return module;
}

/* ---- without parameters ---- */
static lt_tensor *run_softmax(lt_ctx *ctx, const lt_module *l, lt_tensor *x) { return lth_tensor_table.softmax(ctx, x, (int32_t)l->attrs.i[0]); }
static lt_tensor *run_log_softmax(lt_ctx *ctx, const lt_module *l, lt_tensor *x) { return lth_tensor_table.log_softmax(ctx, x, (int32_t)l->attrs.i[0]); }
static const lth_layer_call softmax = {"softmax", "any shape", 0, LT_MAX_DIMS, 0, run_softmax};
static const lth_layer_call log_softmax = {"log_softmax", "any shape", 0, LT_MAX_DIMS, 0, run_log_softmax};

lt_module *lth_make_softmax(lt_ctx *ctx, int32_t dim, bool log) {
    const char *op = log ? "lt_nn_log_softmax" : "lt_nn_softmax";
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, op, NULL);
    lth_modules *m = lth_open_tree(ctx, op, LTH_CALLER);
    lt_module *module = m ? lth_call_new(ctx, m, log ? &log_softmax : &softmax, log ? "LogSoftmax" : "Softmax", NULL, 0, "dim %d", dim) : NULL;
    if (module) {
        module->attrs.i[0] = dim;
    }
    return module;
}

/* attrs: dim; opts: the sizes, one of which may be -1 */
static lt_tensor *run_unflatten(lt_ctx *ctx, const lt_module *l, lt_tensor *x) {
    const trailing *t = l->opts;
    const int ndim = x->a.ndim + t->ndims - 1, dim = (int)l->attrs.i[0] < 0 ? (int)l->attrs.i[0] + x->a.ndim : (int)l->attrs.i[0];
    int64_t shape[LT_MAX_DIMS], known = 1, open = -1;
    if (dim < 0 || dim >= x->a.ndim || ndim > LT_MAX_DIMS) {
        lth_fail(&ctx->error, LT_ESHAPE, "it has no dimension %lld to take apart, or more than %d would come of it", (long long)l->attrs.i[0], LT_MAX_DIMS);
        return NULL;
    }
    for (int d = 0; d < ndim; d++) {
        const bool new = d >= dim && d < dim + t->ndims;
        shape[d] = d < dim ? x->a.shape[d] : new ? t->shape[d - dim] : x->a.shape[d - t->ndims + 1];
        open = new && shape[d] < 0 ? d : open;
        known *= new && shape[d] > 0 ? shape[d] : 1;
    }
    if (open >= 0 ? x->a.shape[dim] % known != 0 : x->a.shape[dim] != known) {
        lth_fail(&ctx->error, LT_ESHAPE, "the %lld of dimension %d do not make %s", (long long)x->a.shape[dim], dim, l->about);
        return NULL;
    }
    if (open >= 0) {
        shape[open] = x->a.shape[dim] / known;
    }
    lt_tensor *y = lth_contiguous(ctx, x);
    return y ? lth_reshape(ctx, y, ndim, shape) : NULL;
}
static const lth_layer_call unflatten = {"unflatten", "one dimension or more", 1, LT_MAX_DIMS, 0, run_unflatten};

lt_module *lth_make_unflatten(lt_ctx *ctx, int32_t dim, int32_t ndims, const int64_t *sizes) {
    static const char op[] = "lt_nn_unflatten";
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, op, NULL);
    lth_modules *m = lth_open_tree(ctx, op, LTH_CALLER);
    trailing t = {.ndims = ndims};
    int open = 0;
    int64_t known = 1;
    bool good = ndims >= 1 && ndims <= LT_MAX_DIMS && sizes, whole = true;
    for (int d = 0; m && good && d < ndims; d++) {
        t.shape[d] = sizes[d];
        open += sizes[d] == -1;
        whole = whole && (sizes[d] < 1 || !__builtin_mul_overflow(known, sizes[d], &known));
        good = (sizes[d] >= 1 && sizes[d] <= INT32_MAX) || sizes[d] == -1;
    }
    if (!m) {
        return NULL;
    }
    if (!good || open > 1) {
        lth_fail_op(&ctx->error, LT_EINVAL, op, LTH_CALLER, "%s: sizes must be 1..%d numbers of at least 1, one of them may be -1", op, LT_MAX_DIMS);
        return NULL;
    }
    char shown[80];
    lth_format_shape(shown, sizeof shown, sizes, ndims);
    if (!whole) {
        lth_fail_op(&ctx->error, LT_EINVAL, op, LTH_CALLER, "%s: sizes %s are more elements than there can be", op, shown);
        return NULL;
    }
    lt_module *module = lth_call_new(ctx, m, &unflatten, "Unflatten", &t, sizeof t, "%s", shown);
    if (module) {
        module->attrs.i[0] = dim;
    }
    return module;
}
