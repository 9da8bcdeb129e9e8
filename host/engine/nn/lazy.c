/* engine/nn/lazy.c - shapes that `configure` left open (in_features or in_channels 0): one forward of an example, before anything is drawn or
 * laid out, tells each such layer what it gets. Weights are zero meanwhile, modes and the generator stay as they were. The seal then draws in
 * tree order, so that a model has the values it would have with its shapes written out. Other layers' shapes are never left open. */
#include "base/str.h"
#include "engine/nn/layer.h"
#include <stdio.h>

static lt_module *first_open(const lth_modules *m) {
    lt_module *l = m->made;
    while (l && !l->open) {
        l = l->next_made;
    }
    return l;
}

bool lth_modules_open(const lth_modules *m) { return first_open(m) != NULL; }

lt_status lth_check_settled(const lth_modules *m, lth_error *err) {
    const lt_module *l = first_open(m);
    char what[160];
    if (!l) {
        return LT_OK;
    }
    lth_module_describe(l, what, sizeof what);
    return lth_fail(err, LT_ESTATE, "%s left its input open (0), but did not run in the forward that settles shapes; give its size, or let the model's "
                    "forward run it", what);
}

/* Zeroed memory of its own, which the seal takes back. One that was made empty, for the plugin to hold, gets a larger block. */
static bool give_memory(lt_ctx *ctx, lth_param *p) {
    lth_engine *e = p->value->engine;
    size_t bytes = (size_t)p->n * lth_dtype_size(p->value->a.dtype);
    if ((p->value->block && p->value->block_bytes >= bytes) || !bytes) {
        return true;
    }
    void *memory = e->backend->alloc(e->device, bytes);
    if (!memory) {
        lth_fail(&ctx->error, LT_ENOMEM, "out of memory: %lld parameters", (long long)p->n);
        return false;
    }
    if (p->value->block) {
        e->backend->free(e->device, p->value->block, p->value->block_bytes);
    }
    p->value->a.data = p->value->block = memory;
    p->value->block_bytes = bytes;
    return true;
}

static void widen(lth_param *p, int64_t width) {
    p->value->a.shape[1] = width;
    lth_array_set_contiguous(&p->value->a);
    p->n = lth_numel(p->value);
}

/* A weight that is tied was settled by the layer that ran first. */
static bool agrees(lt_ctx *ctx, const lt_module *l, const lt_tensor *x, int64_t width) {
    const lth_param *p = l->weight;
    char what[160], whose[160], got[128], has[128];
    if (!p->n || p->value->a.shape[1] == width) {
        return true;
    }
    lth_module_describe(l, what, sizeof what);
    if (p->module) {
        lth_module_describe(p->module, whose, sizeof whose);
    } else {
        snprintf(whose, sizeof whose, "the model");
    }
    lth_format_shape(got, sizeof got, x->a.shape, x->a.ndim);
    lth_format_shape(has, sizeof has, p->value->a.shape, p->value->a.ndim);
    lth_fail(&ctx->error, LT_ESHAPE, "%s got %s, but its weight is that of %s, which has %s", what, got, whose, has);
    return false;
}

/* The layer's input as x shows it; false where x fits no such layer at all, which the layer's own check then says. */
bool lth_layer_settle(lt_ctx *ctx, lt_module *l, const lt_tensor *x) {
    const lth_array *a = &x->a;
    const bool conv = l->kind != LTH_LINEAR; /* of images or, as LTH_CALL, of sequences */
    const int64_t groups = conv ? l->attrs.i[6] : 1, fits = conv ? l->weight->value->a.ndim : 0;
    const int64_t in = conv ? (a->ndim == fits ? a->shape[1] : 0) : a->ndim ? a->shape[a->ndim - 1] : 0;
    if (!l->owner->settling || in < 1 || in % groups) {
        return false;
    }
    if (!agrees(ctx, l, x, in / groups)) {
        return false;
    }
    const lth_array *w = &l->weight->value->a;
    int64_t fan_in = 1;
    widen(l->weight, in / groups);
    if (l->draws.first != l->weight) { /* tied: its own weight, made first, is drawn and forgotten */
        widen(l->draws.first, in / groups);
    }
    for (int d = 1; d < w->ndim; d++) {
        fan_in *= w->shape[d];
    }
    l->in = in;
    l->open = false;
    lth_init_default(l, fan_in);
    return give_memory(ctx, l->weight);
}

lt_status lth_modules_settle(lt_ctx *ctx, lth_modules *m, lt_tensor *(*forward)(lt_ctx *, void *, lt_tensor *), void *self, lt_tensor *x) {
    lth_engine *e = m->engine;
    const lth_generator generator = e->generator;
    const bool gradients = e->grad_enabled, training = m->training;
    lt_status status = lth_modules_name(m, &ctx->error);
    for (int64_t k = 0; k < m->n_params && status == LT_OK; k++) {
        status = give_memory(ctx, m->params[k]) ? LT_OK : ctx->error.code;
    }
    if (status != LT_OK) {
        return status;
    }
    lth_modules_train(m, false);
    e->grad_enabled = false;
    m->settling = m->sealed = true;
    forward(ctx, self, x);
    m->settling = m->sealed = false;
    e->grad_enabled = gradients;
    lth_modules_train(m, training);
    e->generator = generator;
    return ctx->error.code ? ctx->error.code : lth_check_settled(m, &ctx->error);
}
