/* engine/nn/tree.c - the tree of modules: roots, names, and the seal that lays parameters out flat and draws their initial values.
 * It refuses two things of one name, and modules without a place. It runs no module. */
#include "base/mem.h"
#include "engine/nn/layer.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

lth_modules *lth_modules_new(lth_engine *e, lth_error *err) {
    lth_modules *m = lth_alloc(sizeof *m);
    if (!m) {
        lth_fail(err, LT_ENOMEM, "out of memory: the model's modules");
        return NULL;
    }
    m->engine = e;
    m->dtype = e->dtype;
    m->training = true;
    return m;
}

void lth_modules_free(lth_modules *m) {
    if (!m) {
        return;
    }
    for (lth_param *p = m->made_params; p; p = p->next_made) {
        lth_tensor_free(p->value->grad);
        lth_tensor_free(p->value);
    }
    for (lth_buffer *b = m->made_buffers; b; b = b->next_made) {
        lth_tensor_free(b->value);
    }
    size_t bytes = (size_t)m->n_flat * lth_dtype_size(m->dtype);
    if (m->values) {
        m->engine->backend->free(m->engine->device, m->values, bytes);
    }
    if (m->grads) {
        m->engine->backend->free(m->engine->device, m->grads, bytes);
    }
    lth_arena_release(&m->arena);
    lth_free(m);
}

/* ---- roots and names ---- */
void lth_root_add(lth_modules *m, lt_module *module) {
    module->is_root = true;
    module->next = NULL;
    *(m->roots ? &m->last_root->next : &m->roots) = module;
    m->last_root = module;
}

void lth_root_remove(lth_modules *m, lt_module *module) {
    if (!module->is_root) {
        return;
    }
    lt_module *before = NULL;
    for (lt_module *r = m->roots; r != module; r = r->next) {
        before = r;
    }
    *(before ? &before->next : &m->roots) = module->next;
    m->last_root = m->last_root == module ? before : m->last_root;
    module->is_root = false;
    module->next = NULL;
}

/* "prefix.own", or own alone where there is no prefix. */
static const char *join(lth_modules *m, const char *prefix, const char *own) {
    return prefix && *prefix ? lth_arena_printf(&m->arena, "%s.%s", prefix, own) : lth_arena_strdup(&m->arena, own);
}

static bool name_tree(lth_modules *m, lt_module *module, const char *prefix, int32_t depth) {
    char number[16];
    snprintf(number, sizeof number, "%d", module->index);
    bool nameless = !module->given && !module->parent; /* a sequential that stands at the top */
    module->name = nameless ? "" : join(m, prefix, module->given ? module->given : number);
    module->depth = depth;
    if (!module->name) {
        return false;
    }
    if (!nameless && module->kind != LTH_SHARED) { /* a module counts once, as in PyTorch's named_modules */
        module->number = m->n_order++;
    }
    for (lt_module *child = module->first; child; child = child->next) {
        if (!name_tree(m, child, module->name, nameless ? depth : depth + 1)) {
            return false;
        }
    }
    return true;
}

static lt_status check_placed(lth_modules *m, lth_error *err) {
    char what[160];
    for (lt_module *module = m->made; module; module = module->next_made) {
        if (!module->name) {
            lth_module_describe(module, what, sizeof what);
            return lth_fail(err, LT_EINVAL, "%s was made in configure but has no place in the model: name it with lt_child or lt_child_of, "
                            "or make it an item of a sequential", what);
        }
    }
    return LT_OK;
}

static lt_status name_all(lth_modules *m, lth_error *err) {
    for (lt_module *root = m->roots; root; root = root->next) {
        if (!name_tree(m, root, "", 0)) {
            return lth_fail(err, LT_ENOMEM, "out of memory: names of modules");
        }
    }
    lt_status status = check_placed(m, err);
    m->order = lth_arena_alloc(&m->arena, (size_t)(m->n_order + 1) * sizeof *m->order);
    if (!m->order) {
        return lth_fail(err, LT_ENOMEM, "out of memory: names of modules");
    }
    for (lt_module *module = m->made; module && status == LT_OK; module = module->next_made) {
        if (module->number >= 0) {
            m->order[module->number] = module;
        }
    }
    return status;
}

/* ---- lists in state_dict order ---- */
enum { DEEPEST = 64 };

/* How many names there will be; -1: modules that share each other without end. */
static int64_t count_states(lt_module *module, int depth) {
    const lt_module *l = lth_target(module);
    int64_t n = l->places.count;
    for (const lth_buffer *b = l->buffers; b; b = b->next) {
        n++;
    }
    for (lt_module *child = l->first; child && n >= 0; child = child->next) {
        int64_t below = depth < DEEPEST ? count_states(child, depth + 1) : -1;
        n = below < 0 ? -1 : n + below;
    }
    return n;
}

static bool add_params(lth_modules *m, const char *prefix, const lth_places *places) {
    for (int32_t k = 0; k < places->count; k++) {
        lth_param *p = places->at[k].param;
        const char *name = join(m, prefix, places->at[k].own);
        if (!name) {
            return false;
        }
        m->states[m->n_states++] = (lth_state_entry){.name = name, .value = p->value};
        if (!p->listed) {
            p->listed = true;
            p->name = name;
            m->params[m->n_params++] = p;
        }
    }
    return true;
}

static bool add_buffers(lth_modules *m, const char *prefix, lth_buffer *first) {
    for (lth_buffer *b = first; b; b = b->next) {
        const char *name = join(m, prefix, b->own);
        if (!name) {
            return false;
        }
        m->states[m->n_states++] = (lth_state_entry){.name = name, .value = b->value, .is_buffer = true};
        if (!b->listed) {
            b->listed = true;
            b->name = name;
            m->buffers[m->n_buffers++] = b;
        }
    }
    return true;
}

/* A shared module is met once under each of its names. */
static bool list_tree(lth_modules *m, lt_module *module, const char *name) {
    const lt_module *l = lth_target(module);
    bool good = add_params(m, name, &l->places) && add_buffers(m, name, l->buffers);
    for (lt_module *child = l->first; child && good; child = child->next) {
        char number[16];
        snprintf(number, sizeof number, "%d", child->index);
        const char *full = name == child->parent->name ? child->name : join(m, name, child->given ? child->given : number);
        good = full && list_tree(m, child, full);
    }
    return good;
}

/* The model's own parameters come first, as in PyTorch. */
static lt_status list_all(lth_modules *m, lth_error *err) {
    int64_t n = m->own.count + 1;
    for (const lth_buffer *b = m->own_buffers; b; b = b->next) {
        n++;
    }
    for (lt_module *root = m->roots; root; root = root->next) {
        int64_t below = count_states(root, 0);
        if (below < 0) {
            return lth_fail(err, LT_EINVAL, "module '%s' contains itself (lt_nn_share), or more than %d modules lie one in the other", root->name,
                            DEEPEST);
        }
        n += below;
    }
    m->params = lth_arena_alloc(&m->arena, (size_t)n * sizeof *m->params);
    m->buffers = lth_arena_alloc(&m->arena, (size_t)n * sizeof *m->buffers);
    m->states = lth_arena_alloc(&m->arena, (size_t)n * sizeof *m->states);
    bool good = m->params && m->buffers && m->states && add_params(m, "", &m->own) && add_buffers(m, "", m->own_buffers);
    for (lt_module *root = m->roots; root && good; root = root->next) {
        good = list_tree(m, root, root->name);
    }
    return good ? LT_OK : lth_fail(err, LT_ENOMEM, "out of memory: names of parameters");
}

/* ---- collisions: sort all names, look at neighbours ---- */
enum { NAME_MAX_BYTES = 380 }; /* with what stands before it in a checkpoint, it fits every buffer for a path */

typedef struct claim { const char *name, *what; } claim;

static int by_name(const void *a, const void *b) { return strcmp(((const claim *)a)->name, ((const claim *)b)->name); }

static lt_status check_names(lth_modules *m, lth_error *err) {
    int64_t n = 0;
    claim *claims = lth_alloc((size_t)(m->n_order + m->n_states + 1) * sizeof *claims);
    if (!claims) {
        return lth_fail(err, LT_ENOMEM, "out of memory: names of modules");
    }
    for (int64_t k = 0; k < m->n_order; k++) {
        claims[n++] = (claim){m->order[k]->name, m->order[k]->type};
    }
    for (int64_t k = 0; k < m->n_states; k++) {
        claims[n++] = (claim){m->states[k].name, m->states[k].is_buffer ? "a buffer" : "a parameter"};
    }
    qsort(claims, (size_t)n, sizeof *claims, by_name);
    lt_status status = LT_OK;
    for (int64_t k = 0; k < n && status == LT_OK; k++) {
        if (strlen(claims[k].name) > NAME_MAX_BYTES) {
            status = lth_fail(err, LT_EINVAL, "the name '%.60s...' (%s) is too long: %zu bytes, at most %d", claims[k].name, claims[k].what,
                              strlen(claims[k].name), NAME_MAX_BYTES);
        }
    }
    for (int64_t k = 1; k < n && status == LT_OK; k++) {
        if (!strcmp(claims[k].name, claims[k - 1].name)) {
            status = lth_fail(err, LT_EINVAL, "two parts of the model have the name '%s' (%s and %s)", claims[k].name, claims[k - 1].what,
                              claims[k].what);
        }
    }
    lth_free(claims);
    return status;
}

/* ---- flat memory and initial values ---- */
enum { ALIGNED = 64 }; /* bytes */

static void *flat_memory(lth_modules *m, lth_error *err) {
    lth_engine *e = m->engine;
    void *memory = e->backend->alloc(e->device, (size_t)m->n_flat * lth_dtype_size(m->dtype));
    if (!memory) {
        lth_fail(err, LT_ENOMEM, "out of memory: %lld parameters", (long long)m->n_flat);
    }
    return memory;
}

static lt_status give_windows(lth_modules *m, lth_error *err) {
    lth_engine *e = m->engine;
    for (int64_t k = 0; k < m->n_params; k++) {
        lth_param *p = m->params[k];
        lt_tensor *t = p->value;
        if (t->block) { /* the plugin's own parameter moves in */
            e->backend->free(e->device, t->block, t->block_bytes);
            t->block = NULL;
            t->block_bytes = 0;
        }
        t->a.data = lth_flat_at(m, m->values, p->offset);
        t->grad = lth_tensor_lasting(e, m->dtype, t->a.ndim, t->a.shape, lth_flat_at(m, m->grads, p->offset), err);
        if (!t->grad) {
            return err->code;
        }
    }
    lth_modules_zero_grad(m);
    return LT_OK;
}

/* A parameter without a place is drawn too, and forgotten: PyTorch drew it when its layer was made. */
static void draw_params(lth_modules *m, const lth_draws *draws, float *drawn, float *forgotten) {
    for (const lth_param *p = draws->first; p; p = p->next) {
        float *out = p->listed ? drawn + p->offset : forgotten;
        if (p->init == LTH_INIT_UNIFORM) {
            lth_uniform_f32(&m->engine->generator, out, p->n, -p->bound, p->bound);
        }
        if (p->init == LTH_INIT_NORMAL) {
            lth_normal_f32(&m->engine->generator, out, p->n, 0, 1);
        }
        if (p->init == LTH_INIT_CONSTANT || p->burn) {
            for (int64_t i = 0; i < p->n; i++) {
                out[i] = (float)p->fill;
            }
        }
        for (int64_t i = 0; i < p->n_zero; i++) {
            out[p->zero + i] = 0;
        }
    }
}

/* f32 as drawn -> the model's dtype, as PyTorch's module.to(dtype) of a model that was made in f32. */
static lt_status put_values(lth_modules *m, const float *drawn, lth_error *err) {
    lth_engine *e = m->engine;
    size_t bytes = (size_t)m->n_flat * lth_dtype_size(m->dtype);
    if (m->dtype == LT_F32) {
        return e->backend->copy(e->device, m->values, drawn, bytes, 1, err);
    }
    void *values = lth_alloc(bytes);
    if (!values) {
        return lth_fail(err, LT_ENOMEM, "out of memory: initial values of %lld parameters", (long long)m->n_flat);
    }
    lth_elements_convert(m->dtype, values, LT_F32, drawn, m->n_flat);
    lt_status status = e->backend->copy(e->device, m->values, values, bytes, 1, err);
    lth_free(values);
    return status;
}

/* Drawn on the host, in order, whatever the device, always in f32: Lightning makes a model before its precision is known, too. */
static lt_status draw_values(lth_modules *m, lth_error *err) {
    int64_t most = 0;
    for (const lth_param *p = m->made_params; p; p = p->next_made) {
        most = !p->listed && p->n > most ? p->n : most;
    }
    float *drawn = lth_alloc((size_t)(m->n_flat + most) * sizeof(float));
    if (!drawn) {
        return lth_fail(err, LT_ENOMEM, "out of memory: initial values of %lld parameters", (long long)m->n_flat);
    }
    draw_params(m, &m->draws, drawn, drawn + m->n_flat);
    for (int64_t k = 0; k < m->n_order; k++) {
        draw_params(m, &m->order[k]->draws, drawn, drawn + m->n_flat);
    }
    for (const lth_redraw *r = m->redraws; r; r = r->next) {
        lth_redraw_values(&m->engine->generator, r, drawn + (r->param->listed ? r->param->offset : m->n_flat));
    }
    lt_status status = put_values(m, drawn, err);
    lth_free(drawn);
    return status;
}

static lt_status lay_out(lth_modules *m, lth_error *err) {
    int64_t aligned = ALIGNED / (int64_t)lth_dtype_size(m->dtype);
    for (int64_t k = 0; k < m->n_params; k++) {
        lth_param *p = m->params[k];
        p->offset = m->n_flat;
        m->n_flat += (p->n + aligned - 1) / aligned * aligned;
    }
    m->n_flat = m->n_flat ? m->n_flat : aligned; /* a model without parameters is still a model */
    m->values = flat_memory(m, err);
    m->grads = m->values ? flat_memory(m, err) : NULL;
    return m->grads ? LT_OK : err->code;
}

lt_status lth_modules_name(lth_modules *m, lth_error *err) {
    lt_status status = name_all(m, err);
    status = status == LT_OK ? list_all(m, err) : status;
    status = status == LT_OK ? check_names(m, err) : status;
    for (lt_module *module = m->made; module && status == LT_OK; module = module->next_made) {
        if (module->kind == LTH_SEQUENTIAL || module->kind == LTH_RESIDUAL) {
            status = lth_sequential_plan(module, err);
        }
    }
    m->named = status == LT_OK;
    return status;
}

lt_status lth_modules_seal(lth_modules *m, lth_error *err) {
    if (m->sealed) {
        return lth_fail(err, LT_ESTATE, "the model's modules are sealed already");
    }
    lt_status status = m->named ? LT_OK : lth_modules_name(m, err);
    status = status == LT_OK ? lth_check_settled(m, err) : status;
    status = status == LT_OK ? lay_out(m, err) : status;
    status = status == LT_OK ? give_windows(m, err) : status;
    status = status == LT_OK ? draw_values(m, err) : status;
    m->sealed = status == LT_OK;
    return status;
}

void lth_modules_zero_grad(lth_modules *m) {
    for (int64_t k = 0; k < m->n_params; k++) {
        lth_param_set_fresh(m->params[k], true);
    }
}
