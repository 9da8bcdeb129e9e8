/* engine/nn/state.c - looking at a sealed model: state_dict entries, modes, lines of a summary; and the lt.nn/1 table.
 * Changes nothing but training modes and which parameters are frozen. */
#include "engine/nn/layer.h"
#include <string.h>

int64_t lth_state_count(const lth_modules *m) { return m->n_states; }
lth_state_entry lth_state_at(const lth_modules *m, int64_t index) { return m->states[index]; }
int64_t lth_modules_count(const lth_modules *m) { return m->n_order; }

lt_module *lth_modules_find(const lth_modules *m, const char *name) {
    for (int64_t k = 0; k < m->n_order; k++) {
        if (!strcmp(m->order[k]->name, name)) {
            return m->order[k];
        }
    }
    return NULL;
}

lt_module *lth_modules_single_root(const lth_modules *m) { return m->roots && !m->roots->next ? m->roots : NULL; }

/* ---- modes ---- */
void lth_modules_train(lth_modules *m, bool training) {
    m->training = training;
    for (lt_module *l = m->made; l; l = l->next_made) {
        l->training = training;
    }
}

int64_t lth_modules_made(const lth_modules *m) {
    int64_t n = 0;
    for (const lt_module *l = m->made; l; l = l->next_made) {
        n++;
    }
    return n;
}

/* All that were made: a nameless sequential at the top has a mode too. */
void lth_modules_modes_save(lth_modules *m, uint8_t *modes, int64_t capacity) {
    int64_t k = 0;
    for (const lt_module *l = m->made; l && k < capacity; l = l->next_made) {
        modes[k++] = l->training;
    }
}

void lth_modules_modes_restore(lth_modules *m, const uint8_t *modes, int64_t count) {
    int64_t k = 0;
    m->training = false;
    for (lt_module *l = m->made; l && k < count; l = l->next_made) {
        l->training = modes[k++];
        m->training |= l->training;
    }
}

/* ---- frozen parameters ---- */
void lth_param_freeze(lth_param *p, bool frozen) {
    if (p) {
        p->frozen = frozen;
        p->value->requires_grad = !frozen;
    }
}

static void freeze_places(const lth_places *places, bool frozen) {
    for (int32_t k = 0; k < places->count; k++) {
        lth_param_freeze(places->at[k].param, frozen);
    }
}

static void freeze_tree(lt_module *module, bool frozen) {
    lt_module *l = lth_target(module);
    l->frozen = frozen;
    freeze_places(&l->places, frozen);
    for (lt_module *child = l->first; child; child = child->next) {
        freeze_tree(child, frozen);
    }
}

/* NULL: the whole model, its own parameters too. */
static void freeze(lt_ctx *ctx, lt_module *module, bool frozen) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_freeze", );
    if (module) {
        freeze_tree(module, frozen);
        return;
    }
    if (ctx->modules) {
        freeze_places(&ctx->modules->own, frozen);
        for (lt_module *l = ctx->modules->made; l; l = l->next_made) {
            l->frozen = frozen;
            freeze_places(&l->places, frozen);
        }
    }
}

/* ---- summaries ---- */
lt_status lth_modules_record_shapes(lt_ctx *ctx, lth_modules *m, lt_tensor *(*forward)(lt_ctx *, void *, lt_tensor *), void *self, lt_tensor *x) {
    const size_t modules = (size_t)m->n_order + 1;
    const int64_t made = lth_modules_made(m);
    uint8_t *modes = lth_arena_alloc(&m->arena, (size_t)made + 1);
    lth_shapes *shapes = m->summary ? m->summary : lth_arena_alloc(&m->arena, modules * sizeof *shapes);
    if (!modes || !shapes) {
        return lth_fail(&ctx->error, LT_ENOMEM, "out of memory: shapes for the summary");
    }
    for (size_t k = 0; k < modules; k++) {
        shapes[k].in_ndim = shapes[k].out_ndim = -1;
    }
    bool gradients = m->engine->grad_enabled, training = m->training;
    m->summary = shapes;
    lth_modules_modes_save(m, modes, made);
    lth_modules_train(m, false); /* running statistics and the generator stay as they are */
    m->engine->grad_enabled = false;
    m->recording = true;
    forward(ctx, self, x);
    m->recording = false;
    m->engine->grad_enabled = gradients;
    lth_modules_modes_restore(m, modes, made);
    m->training = training;
    return ctx->error.code;
}

static void count_parameter(const lth_modules *m, const lth_param *p, lt_module_info *info) {
    info->parameters += p->n;
    info->trainable += p->frozen ? 0 : p->n;
    info->parameter_bytes += p->n * (int64_t)lth_dtype_size(m->dtype);
}

/* A parameter that has several places below counts once. */
static void count_tree(lt_module *module, uint32_t stamp, lt_module_info *info) {
    lt_module *l = lth_target(module);
    for (int32_t k = 0; k < l->places.count; k++) {
        lth_param *p = l->places.at[k].param;
        if (p->stamp != stamp) {
            count_parameter(module->owner, p, info);
        }
        p->stamp = stamp;
    }
    for (const lth_buffer *b = l->buffers; b; b = b->next) {
        info->buffers += lth_numel(b->value);
    }
    for (lt_module *child = l->first; child; child = child->next) {
        count_tree(child, stamp, info);
    }
}

static void fill_info(lt_module *l, lt_module_info *info) {
    const lth_shapes *shapes = l->owner->summary;
    info->depth = l->depth;
    info->name = l->name;
    info->type = l->type;
    info->training = l->training;
    info->in_ndim = info->out_ndim = -1;
    count_tree(l, ++l->owner->stamp, info);
    if (shapes) {
        shapes += l->number;
        info->in_ndim = shapes->in_ndim;
        info->out_ndim = shapes->out_ndim;
        memcpy(info->in_shape, shapes->in, sizeof info->in_shape);
        memcpy(info->out_shape, shapes->out, sizeof info->out_shape);
    }
}

/* All that the model has, its own parameters and buffers included; each once. */
static void fill_whole(const lth_modules *m, lt_module_info *info) {
    info->depth = info->in_ndim = info->out_ndim = -1;
    info->name = info->type = "";
    info->training = m->training;
    for (int64_t k = 0; k < m->n_params; k++) {
        count_parameter(m, m->params[k], info);
    }
    for (int64_t k = 0; k < m->n_buffers; k++) {
        info->buffers += lth_numel(m->buffers[k]->value);
    }
}

/* ---- the table ---- */
static lt_status module_info(lt_ctx *ctx, int64_t index, lt_module_info *out) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_module_info_at", ctx->error.code ? ctx->error.code : LT_ESTATE);
    if (!out) {
        return lth_fail_op(&ctx->error, LT_EINVAL, "lt_module_info_at", LTH_CALLER, "lt_module_info_at: argument 3 is NULL");
    }
    if (!ctx->modules || index < -1 || index >= ctx->modules->n_order) {
        return lth_fail_op(&ctx->error, LT_EINDEX, "lt_module_info_at", LTH_CALLER, "lt_module_info_at: no module has the number %lld; there are %lld",
                           (long long)index, (long long)(ctx->modules ? ctx->modules->n_order : 0));
    }
    lt_module_info info = {.struct_size = out->struct_size};
    if (index < 0) {
        fill_whole(ctx->modules, &info);
    } else {
        fill_info(ctx->modules->order[index], &info);
    }
    size_t known = out->struct_size && out->struct_size < sizeof info ? out->struct_size : sizeof info;
    memcpy(out, &info, known);
    return LT_OK;
}

static int64_t module_count(lt_ctx *ctx) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_module_count", 0);
    return ctx->modules ? ctx->modules->n_order : 0;
}

static bool training(lt_ctx *ctx) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_is_training", false);
    return ctx->modules && ctx->modules->training;
}

static lt_tensor *forward(lt_ctx *ctx, lt_module *module, lt_tensor *x) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_forward", NULL);
    return lth_module_forward(ctx, module, x, LTH_CALLER);
}

/* The parameter or buffer with this name within the module; NULL with the failure in ctx. */
static const lth_state_entry *find_state(lt_ctx *ctx, const lt_module *module, const char *name, const char *op, void *caller) {
    const lth_modules *m = ctx->modules;
    if (!name) {
        lth_fail_op(&ctx->error, LT_EINVAL, op, caller, "%s: argument 3, the name, is NULL", op);
        return NULL;
    }
    if (!m || !m->sealed) {
        lth_fail_op(&ctx->error, LT_ESTATE, op, caller, "%s: parameters have their values after configure", op);
        return NULL;
    }
    const char *prefix = module ? module->name : "";
    size_t length = strlen(prefix);
    for (int64_t k = 0; k < m->n_states; k++) {
        const char *full = m->states[k].name;
        if (!length ? !strcmp(full, name) : !strncmp(full, prefix, length) && full[length] == '.' && !strcmp(full + length + 1, name)) {
            return &m->states[k];
        }
    }
    lth_fail_op(&ctx->error, LT_EABSENT, op, caller, "%s: %s%s has no parameter or buffer '%s'", op, length ? "module " : "the model", prefix, name);
    return NULL;
}

/* "weight", or the path of a parameter below: "0.weight". module NULL: of the whole model. */
static lt_tensor *module_parameter(lt_ctx *ctx, lt_module *module, const char *name) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_module_parameter", NULL);
    const lth_state_entry *entry = find_state(ctx, module, name, "lt_module_parameter", LTH_CALLER);
    return entry ? entry->value : NULL;
}

static lth_param *param_of(const lth_modules *m, const lt_tensor *value) {
    for (int64_t k = 0; k < m->n_params; k++) {
        if (m->params[k]->value == value) {
            return m->params[k];
        }
    }
    return NULL;
}

static void freeze_parameter(lt_ctx *ctx, lt_module *module, const char *name, bool frozen) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_freeze_parameter", );
    const lth_state_entry *entry = find_state(ctx, module, name, "lt_freeze_parameter", LTH_CALLER);
    if (entry && entry->is_buffer) {
        lth_fail_op(&ctx->error, LT_EINVAL, "lt_freeze_parameter", LTH_CALLER, "lt_freeze_parameter: '%s' is a buffer; only parameters train",
                    entry->name);
    } else if (entry) {
        lth_param_freeze(param_of(ctx->modules, entry->value), frozen);
    }
}

static bool requires_grad(lt_ctx *ctx, lt_module *module, const char *name) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_requires_grad", false);
    const lth_state_entry *entry = find_state(ctx, module, name, "lt_requires_grad", LTH_CALLER);
    return entry && !entry->is_buffer && !param_of(ctx->modules, entry->value)->frozen;
}

static void train_tree(lt_module *module, bool training) {
    lt_module *l = lth_target(module);
    l->training = module->training = training;
    for (lt_module *child = l->first; child; child = child->next) {
        train_tree(child, training);
    }
}

static void train(lt_ctx *ctx, lt_module *module, bool training) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_train", );
    if (module) {
        train_tree(module, training);
    } else if (ctx->modules) {
        lth_modules_train(ctx->modules, training);
    }
}

static bool module_training(lt_ctx *ctx, lt_module *module) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_module_training", false);
    return module ? lth_target(module)->training : ctx->modules && ctx->modules->training;
}

const lt_nn_api lth_nn_table = {
    .struct_size = sizeof(lt_nn_api),
    .linear = lth_make_linear,
    .conv2d = lth_make_conv2d,
    .batch_norm = lth_make_batch_norm,
    .max_pool2d = lth_make_max_pool2d,
    .avg_pool2d = lth_make_avg_pool2d,
    .flatten = lth_make_flatten,
    .activation = lth_make_activation,
    .dropout = lth_make_dropout,
    .sequential = lth_make_sequential,
    .child = lth_make_child,
    .forward = forward,
    .parameter = lth_make_parameter,
    .module_parameter = module_parameter,
    .freeze = freeze,
    .training = training,
    .module_count = module_count,
    .module_info = module_info,
    .module = lth_make_group,
    .module_list = lth_make_list,
    .child_of = lth_make_child_of,
    .share = lth_make_share,
    .tie = lth_make_tie,
    .parameter_of = lth_make_parameter_of,
    .buffer = lth_make_buffer,
    .freeze_parameter = freeze_parameter,
    .requires_grad = requires_grad,
    .train = train,
    .module_training = module_training,
    .lstm = lth_make_lstm,
    .gru = lth_make_gru,
    .recurrent_forward = lth_recurrent_forward,
    .multihead = lth_make_multihead,
    .encoder_layer = lth_make_encoder_layer,
    .multihead_forward = lth_multihead_forward,
    .residual = lth_make_residual,
    .init = lth_make_init,
    .layer_norm = lth_make_layer_norm,
    .embedding = lth_make_embedding,
    .activation_with = lth_make_activation_with,
    .conv1d = lth_make_conv1d,
    .conv_transpose = lth_make_conv_transpose,
    .pool1d = lth_make_pool1d,
    .adaptive_pool = lth_make_adaptive_pool,
    .upsample = lth_make_upsample,
    .group_norm = lth_make_group_norm,
    .instance_norm = lth_make_instance_norm,
    .rms_norm = lth_make_rms_norm,
    .layer_norm_over = lth_make_layer_norm_over,
    .softmax = lth_make_softmax,
    .unflatten = lth_make_unflatten,
};
