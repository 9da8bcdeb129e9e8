/* lt/mock/modules.h - the mock host's groups of modules, shared and tied parameters, buffers and modes (the rest of lt.nn/1). A part of
 * lt/testing.h, which says what is promised; not to be included by itself. */
#ifndef LT_MOCK_MODULES_H
#define LT_MOCK_MODULES_H

LT_MOCK lt_module *lt_mock__nn_module(lt_ctx *ctx, const char *name, const char *type) {
    lt_module *m = lt_mock__module(ctx, LT_MOCK_GROUP);
    (void)type;
    lt_mock__copy(m->name, sizeof m->name, name);
    return m;
}
LT_MOCK lt_module *lt_mock__nn_child_of(lt_ctx *ctx, lt_module *parent, const char *name, lt_module *module) {
    if (!parent || !module || parent->layer != LT_MOCK_GROUP || parent->count == LT_MOCK_ITEMS) {
        return (lt_module *)lt_mock__fail(ctx, LT_EINVAL, "lt_child_of: '%s' cannot be placed there", name ? name : "(its number)");
    }
    if (name) {
        lt_mock__copy(module->name, sizeof module->name, name);
    } else if (!*module->name) {
        snprintf(module->name, sizeof module->name, "%zu", parent->count);
    }
    parent->items[parent->count++] = module;
    return module;
}
LT_MOCK lt_module *lt_mock__nn_module_list(lt_ctx *ctx, const char *name, lt_module *const *items, size_t count) {
    lt_module *m = lt_mock__nn_module(ctx, name, NULL);
    for (size_t i = 0; i < count; i++) {
        if (!lt_mock__nn_child_of(ctx, m, NULL, items[i])) {
            return NULL;
        }
    }
    return m;
}
LT_MOCK lt_module *lt_mock__nn_share(lt_ctx *ctx, lt_module *module) {
    return module ? module : (lt_module *)lt_mock__fail(ctx, LT_EINVAL, "lt_nn_share: the module is NULL, and no earlier call failed");
}
LT_MOCK lt_tensor **lt_mock__own(lt_module *m, const char *name) {
    for (size_t i = 0; m && i < m->n_own; i++) {
        if (!strcmp(m->own[i].name, name)) {
            return &m->own[i].value;
        }
    }
    return !m ? NULL : !strcmp(name, "weight") && m->weight ? &m->weight : !strcmp(name, "bias") && m->bias ? &m->bias : NULL;
}
LT_MOCK lt_status lt_mock__nn_tie(lt_ctx *ctx, lt_module *module, const char *name, lt_module *source, const char *source_name) {
    lt_tensor **to = lt_mock__own(module, name), **from = lt_mock__own(source, source_name);
    if (!to || !from || (*to)->n != (*from)->n) {
        lt_mock__fail(ctx, to && from ? LT_ESHAPE : LT_EABSENT, "lt_nn_tie: '%s' and '%s' cannot be one", name, source_name);
        return to && from ? LT_ESHAPE : LT_EABSENT;
    }
    *to = *from;
    return LT_OK;
}
LT_MOCK lt_tensor *lt_mock__nn_buffer(lt_ctx *ctx, lt_module *m, const char *name, lt_dtype dtype, int32_t ndim, const int64_t *shape,
                                      double fill) {
    lt_tensor *x = lt_mock__full(ctx, dtype, ndim, shape, fill);
    if (x && m && m->n_own < sizeof m->own / sizeof *m->own) {
        lt_mock__copy(m->own[m->n_own].name, sizeof m->own->name, name);
        m->own[m->n_own++].value = x;
    }
    return x;
}
LT_MOCK lt_tensor *lt_mock__nn_parameter_of(lt_ctx *ctx, lt_module *m, const char *name, lt_dtype dtype, int32_t ndim, const int64_t *shape,
                                            double fill) {
    return lt_mock__nn_buffer(ctx, m, name, dtype, ndim, shape, fill);
}
/* The mock has no gradients: whole modules are marked, single parameters are only looked up. */
LT_MOCK void lt_mock__nn_freeze_parameter(lt_ctx *ctx, lt_module *m, const char *name, bool frozen) {
    (void)frozen;
    (void)lt_mock__nn_module_parameter(ctx, m, name);
}
LT_MOCK bool lt_mock__nn_requires_grad(lt_ctx *ctx, lt_module *m, const char *name) {
    return lt_mock__nn_module_parameter(ctx, m, name) && !m->frozen;
}
LT_MOCK void lt_mock__nn_train(lt_ctx *ctx, lt_module *m, bool training) {
    if (!m) {
        ctx->mock->training = training;
        return;
    }
    m->evaluates = !training;
    for (size_t i = 0; i < m->count; i++) {
        lt_mock__nn_train(ctx, m->items[i], training);
    }
}
LT_MOCK bool lt_mock__nn_module_training(lt_ctx *ctx, lt_module *m) { return m && m->evaluates ? false : ctx->mock->training; }
#endif
