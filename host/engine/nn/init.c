/* engine/nn/init.c - lt_nn_init: initial distributions that a model chooses. They are noted in `configure` and drawn at the seal, after all
 * defaults and in the order of the calls, so that the generator gives what torch.nn.init gives in a model's __init__. Draws f32 only. */
#include "engine/nn/layer.h"
#include <math.h>

/* As torch.nn.init refuses. b of the last four is a flag. */
static bool good_numbers(lt_ctx *ctx, const char *op, const char *name, lt_init how, double a, double b, void *caller) {
    if (how == LT_INIT_UNIFORM && !(a <= b && isfinite(a) && isfinite(b))) {
        lth_fail_op(&ctx->error, LT_EINVAL, op, caller, "%s: '%s' between %g and %g: a must be at most b, both finite", op, name, a, b);
        return false;
    }
    if (how == LT_INIT_NORMAL && !(b >= 0 && isfinite(a) && isfinite(b))) {
        lth_fail_op(&ctx->error, LT_EINVAL, op, caller, "%s: '%s' with mean %g and deviation %g: the deviation must be at least 0, both finite", op,
                    name, a, b);
        return false;
    }
    if (how >= LT_INIT_KAIMING_UNIFORM && !(a >= 0 && isfinite(a))) {
        lth_fail_op(&ctx->error, LT_EINVAL, op, caller, "%s: '%s' with gain %g: it must be at least 0 and finite", op, name, a);
        return false;
    }
    return true;
}

lt_status lth_make_init(lt_ctx *ctx, lt_module *module, const char *name, lt_init how, double a, double b) {
    static const char op[] = "lt_nn_init";
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, op, ctx->error.code ? ctx->error.code : LT_ESTATE);
    lth_modules *m = lth_open_tree(ctx, op, LTH_CALLER);
    if (!m) {
        return ctx->error.code;
    }
    if (!module || !name) {
        return lth_fail_op(&ctx->error, LT_EINVAL, op, LTH_CALLER, "%s: the %s is NULL, and no earlier call failed", op, module ? "name" : "module");
    }
    lt_module *holder = NULL;
    const lth_place *place = lth_find_place(module, name, &holder);
    if (!place) {
        return lth_fail_op(&ctx->error, LT_EABSENT, op, LTH_CALLER, "%s: %s has no parameter '%s'", op, module->type, name);
    }
    lth_param *p = place->param;
    if (how < LT_INIT_CONSTANT || how > LT_INIT_XAVIER_NORMAL) {
        return lth_fail_op(&ctx->error, LT_EINVAL, op, LTH_CALLER, "%s: no distribution has the number %d; use LT_INIT_*", op, how);
    }
    if (how >= LT_INIT_KAIMING_UNIFORM && p->value->a.ndim < 2) {
        return lth_fail_op(&ctx->error, LT_EINVAL, op, LTH_CALLER, "%s: '%s' has %d dimensions, but fan_in and fan_out need two or more", op, name,
                           p->value->a.ndim);
    }
    if (!good_numbers(ctx, op, name, how, a, b, LTH_CALLER)) {
        return ctx->error.code;
    }
    lth_redraw *r = lth_arena_alloc(&m->arena, sizeof *r);
    if (!r) {
        return lth_fail_op(&ctx->error, LT_ENOMEM, op, LTH_CALLER, "%s: out of memory", op);
    }
    *r = (lth_redraw){.param = p, .how = how, .a = a, .b = b};
    *(m->redraws ? &m->last_redraw->next : &m->redraws) = r;
    m->last_redraw = r;
    return LT_OK;
}

/* torch/nn/init.py: the same products in the same order, in double. */
static double deviation(const lth_redraw *r) {
    const lth_array *w = &r->param->value->a;
    double field = 1;
    for (int d = 2; d < w->ndim; d++) {
        field *= (double)w->shape[d];
    }
    const double in = (double)w->shape[1] * field, out = (double)w->shape[0] * field;
    if (r->how >= LT_INIT_XAVIER_UNIFORM) {
        return (r->a != 0 ? r->a : 1) * sqrt(2.0 / (in + out));
    }
    return (r->a != 0 ? r->a : sqrt(2.0)) / sqrt(r->b != 0 ? out : in);
}

void lth_redraw_values(lth_generator *g, const lth_redraw *r, float *out) {
    const int64_t n = r->param->n;
    switch (r->how) {
    case LT_INIT_UNIFORM: lth_uniform_f32(g, out, n, r->a, r->b); break;
    case LT_INIT_NORMAL: lth_normal_f32(g, out, n, r->a, r->b); break;
    case LT_INIT_KAIMING_UNIFORM: case LT_INIT_XAVIER_UNIFORM: {
        const double bound = sqrt(3.0) * deviation(r);
        lth_uniform_f32(g, out, n, -bound, bound);
        break;
    }
    case LT_INIT_KAIMING_NORMAL: case LT_INIT_XAVIER_NORMAL: lth_normal_f32(g, out, n, 0, deviation(r)); break;
    default:
        for (int64_t i = 0; i < n; i++) {
            out[i] = (float)r->a;
        }
    }
}
