/* engine/nn/module.h - the module tree of a model: layers, parameters in one flat block, names as PyTorch's state_dict.
 * Made in `configure`, then sealed: initial weights are drawn in tree order and parameters, gradients get their flat memory.
 * Sequential fuses what stands next to each other: linear+activation, conv+activation+pool, batch norm+relu. */
#ifndef LTH_MODULE_H
#define LTH_MODULE_H
#include "base/arena.h"
#include "engine/autograd/tape.h"
#include <lt/nn.h>

enum { LTH_INIT_CONSTANT, LTH_INIT_UNIFORM, LTH_INIT_NORMAL }; /* lth_param.init: fill; U(-bound, bound); N(0, 1) */
typedef struct lth_param {
    const char *name;               /* "conv1.weight": where it is met first, should it have several places */
    lt_module *module;              /* that it was made for; NULL: the model's own */
    lt_tensor *value;               /* window into lth_modules.values; value->grad into .grads */
    int64_t offset, n;              /* elements; offsets are multiples of 64 bytes */
    int64_t zero, n_zero;           /* these elements of it become 0 once drawn: an embedding's padding */
    uint8_t init;                   /* lth_init kind */
    double fill, bound;             /* constant; uniform bound */
    bool frozen, listed;            /* listed: has a place (a tied layer's own parameter has none) */
    bool burn;                      /* drawn as `bound` says, then constant: PyTorch's makers set some biases to 0 afterwards */
    uint32_t stamp;                 /* counted already */
    struct lth_param *next;         /* drawn after it, of the same module */
    struct lth_param *next_made;
} lth_param;
typedef struct lth_place { const char *own; lth_param *param; } lth_place; /* a name within a module, and the parameter that stands there */
typedef struct lth_places { lth_place *at; int32_t count, room; } lth_places;
typedef struct lth_draws { lth_param *first, *last; } lth_draws;
/* No gradient arrived since the last lth_modules_zero_grad: PyTorch's `grad is None`. The flag stands on the gradient. */
static inline bool lth_param_fresh(const lth_param *p) { return p->value->grad->grad_fresh; }
/* Once sealed; false: p->value->grad was filled by hand. */
static inline void lth_param_set_fresh(lth_param *p, bool fresh) { p->value->grad->grad_fresh = fresh; }
typedef struct lth_buffer { /* running_mean, num_batches_tracked (i64 scalar) */
    const char *own, *name;         /* within its module; in the model, where it is met first */
    lt_module *module;              /* NULL: the model's own */
    lt_tensor *value;
    bool listed;
    struct lth_buffer *next, *next_made; /* of the same module */
} lth_buffer;

typedef struct lth_state_entry { const char *name; lt_tensor *value; bool is_buffer; } lth_state_entry;

typedef struct lth_modules {
    lth_engine *engine;
    lth_arena arena;
    lt_module *roots, *last_root;   /* modules that are nobody's child, in the order of lt_child / naming */
    lth_param **params; int64_t n_params;       /* state_dict order */
    lth_buffer **buffers; int64_t n_buffers;
    lt_dtype dtype;                 /* of every parameter: the engine's */
    void *values, *grads; int64_t n_flat;       /* flat memory of that dtype, padded; n_flat elements */
    bool named, sealed, training;
    bool settling;                  /* a forward that tells open layers their input is running */
    void *summary;                  /* recorded in/out shapes, one lth_shapes per module; NULL: none yet */
    bool recording;                 /* a summary is being made, or a module is watched: nothing is fused, shapes are kept */
    const lt_module *watched; lt_tensor *seen; /* what it gave last while recording; until the step's end */
    lt_module *made, *last_made;    /* every module, in the order they were made */
    lth_param *made_params;         /* all that were made, listed or not */
    lth_buffer *made_buffers;
    lth_places own; lth_draws draws; lth_buffer *own_buffers; /* of the model itself (lt_parameter, lt_buffer) */
    uint32_t stamp;
    struct lth_redraw *redraws, *last_redraw; /* lt_nn_init */
    lt_module **order; int64_t n_order;     /* tree order, a nameless top sequential left out */
    lth_state_entry *states; int64_t n_states;
} lth_modules;

/* Element `offset` of flat memory: of values, grads, or an optimizer's slot. */
static inline void *lth_flat_at(const lth_modules *m, void *flat, int64_t offset) { return (char *)flat + (size_t)offset * lth_dtype_size(m->dtype); }

lth_modules *lth_modules_new(lth_engine *e, lth_error *err);
void lth_modules_free(lth_modules *m);
/* After `configure`: names everything, lays parameters out flat, draws initial values from the engine's generator in tree order. */
lt_status lth_modules_seal(lth_modules *m, lth_error *err);
/* Whether configure left a shape open; the forward of an example that settles it, between configure and the seal. */
bool lth_modules_open(const lth_modules *m);
lt_status lth_modules_settle(lt_ctx *ctx, lth_modules *m, lt_tensor *(*forward)(lt_ctx *, void *, lt_tensor *), void *self, lt_tensor *x);
void lth_modules_train(lth_modules *m, bool training);          /* whole model */
void lth_modules_modes_save(lth_modules *m, uint8_t *modes, int64_t capacity); /* per module, and back */
void lth_modules_modes_restore(lth_modules *m, const uint8_t *modes, int64_t count);
int64_t lth_modules_count(const lth_modules *m);                /* lines of a summary */
int64_t lth_modules_made(const lth_modules *m);                 /* all that have a mode */
void lth_modules_zero_grad(lth_modules *m);                     /* marks every gradient fresh; touches no memory */
/* state_dict entries, parameters and buffers, in PyTorch's order (module by module: parameters, then buffers). */
int64_t lth_state_count(const lth_modules *m);
lth_state_entry lth_state_at(const lth_modules *m, int64_t index);
lt_module *lth_modules_find(const lth_modules *m, const char *name); /* "encoder", "encoder.0"; NULL if absent */
lt_module *lth_modules_single_root(const lth_modules *m);       /* the one root, or a nameless sequential; NULL if there are several */
lt_tensor *lth_module_forward(lt_ctx *ctx, lt_module *module, lt_tensor *x, void *caller);
/* Runs forward on x while recording in and out shapes of every module, without gradients and without fusing; for summaries. */
lt_status lth_modules_record_shapes(lt_ctx *ctx, lth_modules *m, lt_tensor *(*forward)(lt_ctx *, void *, lt_tensor *), void *self, lt_tensor *x);
extern const lt_nn_api lth_nn_table; /* lt.nn/1 */
#endif
