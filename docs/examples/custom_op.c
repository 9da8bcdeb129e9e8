/* cube(x) = scale x^3, an operation of a plugin's own, and a callback that compares its gradient with finite differences in f64. */
#include <lt/autograd.h>
#include <lt/callback.h>
#include <math.h>

static lt_status shape(lt_ctx *ctx, const lt_custom_call *call, lt_dtype *dtypes, int32_t *ndims, int64_t (*shapes)[LT_MAX_DIMS]) {
    dtypes[0] = lt_dtype_of(ctx, call->inputs[0]);
    ndims[0] = lt_ndim(ctx, call->inputs[0]);
    for (int32_t d = 0; d < ndims[0]; d++) {
        shapes[0][d] = lt_size(ctx, call->inputs[0], d);
    }
    return lt_ctx_status(ctx);
}
/* On raw memory: inputs are row-major here, and so is a fresh output. f32 and f64. */
static lt_status forward(lt_ctx *ctx, const lt_custom_call *call) {
    lt_view x = {.struct_size = sizeof x}, y = {.struct_size = sizeof y};
    double scale = *(const double *)call->context;
    lt_raw(ctx, call->inputs[0], LT_READ, &x);
    lt_raw(ctx, call->outputs[0], LT_WRITE, &y);
    const char *from = (const char *)x.data + x.byte_offset;
    char *to = (char *)y.data + y.byte_offset;
    for (int64_t i = 0, n = lt_numel(ctx, call->inputs[0]); i < n; i++) { /* n is 0 after a failure */
        if (x.dtype.bits == 64) {
            ((double *)to)[i] = scale * pow(((const double *)from)[i], 3);
        } else {
            ((float *)to)[i] = (float)(scale * pow(((const float *)from)[i], 3));
        }
    }
    return lt_ctx_status(ctx);
}
/* With the tensor functions: 3 scale x^2 grad. Nothing done here is recorded. */
static lt_status backward(lt_ctx *ctx, const lt_custom_call *call) {
    lt_tensor *x = call->inputs[0], *slope = lt_mul_scalar(ctx, lt_mul(ctx, x, x), 3 * *(const double *)call->context);
    call->grad_inputs[0] = lt_mul(ctx, slope, call->grad_outputs[0]);
    return lt_ctx_status(ctx);
}
static const lt_custom_op op = {.struct_size = sizeof op, .name = "cube", .shape = shape, .forward = forward, .backward = backward};
static lt_tensor *cube(lt_ctx *ctx, lt_tensor *x, double scale) { return lt_custom_apply(ctx, &op, &x, 1, &scale, sizeof scale); }

static double value(lt_ctx *ctx, double x) { return lt_item(ctx, cube(ctx, lt_scalar(ctx, LT_F64, x), 0.5)); }
static lt_status on_fit_start(lt_ctx *ctx, void *self) {
    const double points[] = {-1.5, -0.1, 0.0, 0.7, 2.0}, h = 1e-5;
    const int64_t n = 5;
    bool before;
    (void)self;
    lt_set_grad_enabled(ctx, true, &before);
    lt_tensor *x = lt_set_requires_grad(ctx, lt_from_data(ctx, LT_F64, 1, &n, points), true);
    lt_backward(ctx, lt_sum_all(ctx, cube(ctx, x, 0.5)), NULL);
    lt_set_grad_enabled(ctx, before, NULL);
    for (int32_t i = 0; i < n; i++) {
        double wanted = (value(ctx, points[i] + h) - value(ctx, points[i] - h)) / (2 * h);
        double got = lt_item(ctx, lt_slice(ctx, lt_grad(ctx, x), 0, i, i + 1));
        if (!(fabs(got - wanted) < 1e-8)) {
            return lt_fail(ctx, LT_EINVAL, "cube: gradient %g at %g, finite difference %g", got, points[i], wanted);
        }
    }
    lt_print(ctx, "cube: the gradient is right");
    return lt_ctx_status(ctx);
}
LT_CALLBACK(CheckCube, lt_nothing, "Compares a custom operation's gradient with finite differences.", .on_fit_start = on_fit_start);
LT_PLUGIN("org.example.cube", "1.0.0", callback(CheckCube));
