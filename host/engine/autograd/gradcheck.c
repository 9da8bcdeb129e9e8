/* engine/autograd/gradcheck.c - analytic gradients against central differences, in f64. A tool of tests: it evaluates the function twice
 * per element and keeps all of it in step memory. It resets no step: the inputs may lie in it. */
#include "base/mem.h"
#include "base/str.h"
#include "engine/autograd/gradient.h"
#include <math.h>

static double fail(lt_ctx *ctx, lt_status code, const char *text) {
    lth_fail(&ctx->error, code, "gradcheck: %s", text);
    return NAN;
}

static double value_of(lt_ctx *ctx, lth_scalar_fn *f, lt_tensor *const *inputs, int n, void *arg) {
    lt_tensor *y = f(ctx, inputs, n, arg);
    double value = NAN;
    if (!y) {
        return fail(ctx, LT_EINVAL, "the function returned NULL");
    }
    if (lth_numel(y) != 1) {
        return fail(ctx, LT_ESHAPE, "the function must return one element");
    }
    return lth_tensor_read(y, 0, 1, &value, &ctx->error) == LT_OK ? value : NAN;
}

static bool set_all(lt_ctx *ctx, lt_tensor *x, const double *values) {
    return lth_tensor_from_host(x, values, (size_t)lth_numel(x) * sizeof *values, &ctx->error) == LT_OK;
}

/* The largest difference over one input; scratch: twice its elements, first its values, then its analytic gradient. */
static double check_input(lt_ctx *ctx, lth_scalar_fn *f, lt_tensor *const *inputs, int n, void *arg, double step, lt_tensor *x, double *scratch) {
    int64_t count = lth_numel(x);
    double *values = scratch, *analytic = scratch + count, worst = 0;
    lt_status status = lth_tensor_read(x, 0, count, values, &ctx->error);
    if (status == LT_OK && x->grad && !x->grad->grad_fresh) {
        status = lth_tensor_read(x->grad, 0, count, analytic, &ctx->error);
    }
    for (int64_t i = 0; status == LT_OK && i < count; i++) {
        double kept = values[i], both[2];
        for (int side = 0; side < 2; side++) {
            values[i] = kept + (side ? step : -step);
            if (!set_all(ctx, x, values)) {
                return NAN;
            }
            both[side] = value_of(ctx, f, inputs, n, arg);
        }
        values[i] = kept;
        double numeric = (both[1] - both[0]) / (2 * step), difference = fabs(analytic[i] - numeric) / (1 + fabs(numeric));
        if (isnan(difference)) {
            return NAN;
        }
        worst = difference > worst ? difference : worst;
    }
    return status == LT_OK && set_all(ctx, x, values) ? worst : NAN;
}

static bool analytic_gradients(lt_ctx *ctx, lth_scalar_fn *f, lt_tensor *const *inputs, int n, void *arg) {
    for (int k = 0; k < n; k++) {
        if (inputs[k]->grad) { /* gradients of an earlier check are not added to */
            inputs[k]->grad->grad_fresh = 1;
        }
    }
    lt_tensor *y = f(ctx, inputs, n, arg);
    if (!y) {
        fail(ctx, LT_EINVAL, "the function returned NULL");
        return false;
    }
    return lth_backward(ctx, y, NULL, 1.0) == LT_OK;
}

double lth_gradcheck(lt_ctx *ctx, lth_scalar_fn *f, lt_tensor *const *inputs, int n, void *arg, double step) {
    lth_engine *e = ctx->engine;
    if (ctx->error.code != LT_OK) {
        return NAN;
    }
    int64_t most = 0;
    for (int k = 0; k < n; k++) {
        lt_tensor *x = inputs[k];
        bool fits = x && (!x->requires_grad || (x->a.dtype == LT_F64 && x->is_leaf && lth_array_contiguous(&x->a)));
        if (!fits) {
            return fail(ctx, LT_EDTYPE, "inputs that require a gradient must be contiguous f64 leaves");
        }
        most = lth_numel(x) > most ? lth_numel(x) : most;
    }
    bool enabled = e->grad_enabled;
    e->grad_enabled = true;
    bool good = analytic_gradients(ctx, f, inputs, n, arg);
    e->grad_enabled = false;
    double worst = good ? 0 : NAN;
    for (int k = 0; good && k < n && !isnan(worst); k++) {
        if (!inputs[k]->requires_grad) {
            continue;
        }
        double *scratch = lth_alloc((size_t)(2 * most + 1) * sizeof *scratch);
        if (!scratch) {
            worst = fail(ctx, LT_ENOMEM, "out of memory");
            break;
        }
        double here = check_input(ctx, f, inputs, n, arg, step, inputs[k], scratch);
        worst = isnan(here) || here > worst ? here : worst;
        lth_free(scratch);
    }
    e->grad_enabled = enabled;
    return worst;
}
