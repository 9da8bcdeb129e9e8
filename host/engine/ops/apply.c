/* engine/ops/apply.c - runs an operation: shape rule, autocast, kernel choice, memory, kernel, record for backward. One body for every
 * row of ops.def; views branch off to views.c. It knows operations by name only where half precision treats them apart: moves, LINEAR, norms. */
#include "base/str.h"
#include "engine/ops/apart.h"
#include "engine/ops/shapes.h"
#include "engine/ops/views.h"
#include <string.h>

static const lth_attrs no_attrs;

static uint64_t draw(void *state) { return lth_random64(state); }
static void draw_many(void *state, uint64_t *out, int64_t n) { lth_random64_many(state, out, n); }

/* ---- which kernel ---- */

static bool plain_f32(const lth_array *a) { return !a || (a->dtype == LT_F32 && lth_array_contiguous(a)); }

static bool accepts(const lth_kernel *kernel, lth_device *device, lth_call *call) {
    if (call->save && !kernel->backward) {
        return false;
    }
    bool good = true;
    if (kernel->plan) {
        good = kernel->plan(device, call);
    } else {
        for (int k = 0; good && k < call->n_in; k++) {
            good = plain_f32(call->in[k]);
        }
        for (int k = 0; good && k < call->n_out; k++) {
            good = plain_f32(call->out[k]);
        }
    }
    if (!good) { /* what it may have set before it declined */
        call->workspace_bytes = 0;
        for (int k = 0; k < call->n_out; k++) {
            call->out[k]->layout = LTH_STRIDED;
        }
    }
    return good;
}

/* Levels 0 to 2 are the backend's kernels, level 3 its fallback's. */
enum { FALLBACK = 3, LEVELS = 4 };

static const lth_kernel *kernel_at(lth_engine *e, int level, lth_op op, lth_device **device) {
    const lth_backend *backend = level == FALLBACK ? e->backend->fallback : e->backend;
    *device = level == FALLBACK ? e->reference : e->device;
    return !backend ? NULL : level == 1 ? backend->wide[op] : level == 2 ? backend->low[op] : backend->kernels[op];
}

const lth_kernel *lth_find_kernel(lth_engine *e, lth_call *call, lth_device **device) {
    for (int level = 0; level < LEVELS; level++) {
        const lth_kernel *kernel = kernel_at(e, level, call->op, device);
        if (kernel && accepts(kernel, *device, call)) {
            return kernel;
        }
    }
    return NULL;
}

typedef struct shadows { lth_array arrays[LTH_MAX_IN]; } shadows;

/* The call as it would be with every input contiguous; false if it is that already. */
static bool cast_shadows(lth_call *call, shadows *s) {
    bool any = false;
    for (int k = 0; k < call->n_in; k++) {
        if (call->in[k] && !lth_array_contiguous(call->in[k])) {
            s->arrays[k] = *call->in[k];
            lth_array_set_contiguous(&s->arrays[k]);
            call->in[k] = &s->arrays[k];
            any = true;
        }
    }
    return any;
}

static bool is_low(lt_dtype dtype) { return dtype == LT_BF16 || dtype == LT_F16; }

/* Is this a call of half precision that its backend has no kernel for? Then it is done in f32 and rounded: the fallback would do the same,
 * element by element. */
static bool rounds(const lth_engine *e, const lth_call *call) {
    bool low = false;
    for (int k = 0; k < call->n_in; k++) {
        low |= call->in[k] && is_low(call->in[k]->dtype);
    }
    const bool moves = call->op == LTH_OP_COPY || call->op == LTH_OP_CAST || call->op == LTH_OP_CAT; /* nothing to compute in f32 */
    return low && e->backend->fallback && !moves;
}

/* Is it one with an activation that its backend does not fuse? Then it is done in parts. In half precision that is better for LINEAR only, which
 * has kernels of its own there; convolutions and norms are done in f32, fused, and rounded. */
static bool parts(const lth_engine *e, const lth_call *call) {
    return lth_has_activation(call) && (call->op == LTH_OP_LINEAR || !rounds(e, call));
}

/* Asks each backend twice, with the inputs as they are and as they would be made contiguous: a copy and a fast kernel beat the
 * naive loops. Inputs are converted only once a kernel has agreed. */
static const lth_kernel *choose(lt_ctx *ctx, lth_call *call, lt_tensor **in, lth_device **device) {
    for (int level = 0; level < LEVELS; level++) {
        if (level == FALLBACK && (parts(ctx->engine, call) || rounds(ctx->engine, call))) {
            return NULL; /* without a failure */
        }
        const lth_kernel *kernel = kernel_at(ctx->engine, level, call->op, device);
        if (!kernel) {
            continue;
        }
        if (accepts(kernel, *device, call)) {
            return kernel;
        }
        shadows s;
        bool irregular = call->op != LTH_OP_COPY && cast_shadows(call, &s);
        bool good = irregular && accepts(kernel, *device, call);
        for (int k = 0; irregular && k < call->n_in; k++) {
            if (good && in[k]) {
                in[k] = lth_contiguous(ctx, in[k]);
                if (!in[k]) {
                    return NULL;
                }
            }
            call->in[k] = in[k] ? &in[k]->a : NULL;
        }
        if (good) {
            return kernel;
        }
    }
    lth_fail(&ctx->error, LT_EUNSUPPORTED, "%s: the %s backend has no kernel for these dtypes and shapes", lth_op_name(call->op),
             ctx->engine->backend->name);
    return NULL;
}

/* ---- the engine's own calls ---- */

lt_status lth_run(lth_engine *e, lth_op op, const lth_attrs *attrs, const lth_array *const *in, int n_in, lth_array *out, lth_error *err) {
    lth_call call = {.op = op, .n_in = (uint8_t)n_in, .n_out = 1, .attrs = attrs ? attrs : &no_attrs, .out = {out}};
    for (int k = 0; k < n_in; k++) {
        call.in[k] = in[k];
    }
    lth_device *device;
    uint8_t layout = out->layout;
    const lth_kernel *kernel = lth_find_kernel(e, &call, &device);
    if (!kernel || out->layout != layout) {
        return lth_fail(err, LT_EUNSUPPORTED, "%s: the %s backend has no kernel for these dtypes and shapes", lth_op_name(op), e->backend->name);
    }
    if (call.workspace_bytes) {
        call.workspace = lth_step_data(e, call.workspace_bytes);
        if (!call.workspace) {
            return lth_fail(err, LT_ENOMEM, "%s: out of memory: %zu bytes of workspace", lth_op_name(op), call.workspace_bytes);
        }
    }
    return kernel->forward(device, &call, err);
}

lt_status lth_copy_into(lth_engine *e, lth_array *to, const lth_array *from, bool accumulate, lth_error *err) {
    if (!accumulate && lth_array_contiguous(to) && lth_array_contiguous(from)) {
        size_t bytes = (size_t)lth_array_numel(to) * lth_dtype_size(to->dtype);
        return bytes ? e->backend->copy(e->device, to->data, from->data, bytes, 0, err) : LT_OK;
    }
    /* COPY's backward is "write or add, wherever it lies" */
    lth_array like = *from;
    lth_call call = {.op = LTH_OP_COPY, .n_in = 1, .n_out = 1, .save = true, .attrs = &no_attrs, .in = {to}, .out = {&like}};
    lth_device *device;
    const lth_kernel *kernel = lth_find_kernel(e, &call, &device);
    if (!kernel || like.layout != from->layout) {
        return lth_fail(err, LT_EUNSUPPORTED, "copy: the %s backend has no kernel for this layout", e->backend->name);
    }
    call.need[0] = true;
    call.accumulate[0] = accumulate;
    call.grad_out[0] = from;
    call.grad_in[0] = to;
    return kernel->backward(device, &call, err);
}

/* ---- autocast ---- */

lt_tensor *lth_autocast(lt_ctx *ctx, lt_tensor *x, int policy) {
    lt_dtype low = ctx->engine->autocast;
    if (!x || !low || policy == LTH_CAST_INPUTS) {
        return x;
    }
    bool is_low = x->a.dtype == LT_F16 || x->a.dtype == LT_BF16;
    lt_dtype wanted = policy == LTH_CAST_LOW && x->a.dtype == LT_F32 ? low : policy == LTH_CAST_F32 && is_low ? LT_F32 : x->a.dtype;
    if (wanted == x->a.dtype) {
        return x;
    }
    lth_attrs attrs = {.i = {wanted}};
    return lth_apply(ctx, LTH_OP_CAST, &x, 1, &attrs, NULL);
}

/* ---- one operation ---- */

/* A detached one takes the new values and no gradient, unless its base has left it behind in a blocked layout and was changed elsewhere. */
lt_status lth_need_fresh_view(const lt_ctx *ctx, const lt_tensor *x, const char *op, lth_error *err) {
    const lt_tensor *base = x->base;
    const bool records = ctx->engine->grad_enabled && !ctx->engine->inference, part = x->requires_grad || (base->requires_grad && !x->detached);
    const bool left = x->a.layout != LTH_STRIDED && x->a.data != base->a.data && x->version != base->version;
    if (!left && !(records && part && x->rewritten != base->rewritten)) {
        return LT_OK;
    }
    return lth_fail(err, LT_ESTATE, "%s: its input %s is a view of a tensor that was changed in place after the view was made; make the view again",
                    op, lth_shown(&x->a).text);
}

typedef struct job {
    lth_call call;
    lt_tensor *in[LTH_MAX_IN], *out[LTH_MAX_OUT];
    lth_step_block *workspace;
    bool grad;
} job;

/* A norm takes weights of f32 beside an x of half precision and gives what x is, as PyTorch's; unless a residual of f32 is added. */
static bool norm_of_low(const job *j, int n) {
    const lth_op op = j->call.op;
    const bool norm = op == LTH_OP_BATCH_NORM || op == LTH_OP_LAYER_NORM || op == LTH_OP_GROUP_NORM || op == LTH_OP_RMS_NORM;
    return norm && is_low(j->in[0]->a.dtype) && !(n > 5 && j->in[5] && j->in[5]->a.dtype == LT_F32);
}

/* What a model makes by hand (a mask, a constant) goes on working under every precision, as PyTorch promotes it: f32 beside f64 becomes f64
 * where parameters are f64; bf16 beside f32 becomes f32 under autocast; f32 beside bf16 becomes bf16 where parameters are bf16. */
bool lth_promotes(const lth_engine *e, lth_op op, lt_dtype *from, lt_dtype *to) {
    *to = e->dtype;
    *from = e->dtype == LT_F32 ? LT_BF16 : LT_F32;
    return e->dtype != LT_F32 || (e->autocast && lth_ops[op].autocast == LTH_CAST_INPUTS);
}

static lt_status promote(lt_ctx *ctx, job *j, int n) {
    lt_dtype from, wide;
    bool any = false;
    if (!lth_promotes(ctx->engine, j->call.op, &from, &wide)) {
        return LT_OK;
    }
    const lth_attrs attrs = {.i = {wide}};
    for (int k = 0; k < n; k++) {
        any |= j->in[k] && j->in[k]->a.dtype == wide;
    }
    if (wide != LT_F64 && norm_of_low(j, n)) {
        return LT_OK;
    }
    for (int k = 0; any && k < n; k++) {
        if (j->in[k] && j->in[k]->a.dtype == from) {
            j->in[k] = lth_apply(ctx, LTH_OP_CAST, &j->in[k], 1, &attrs, NULL);
            if (!j->in[k]) {
                return ctx->error.code;
            }
            j->call.in[k] = &j->in[k]->a;
        }
    }
    return LT_OK;
}

static lt_status take_inputs(lt_ctx *ctx, job *j, const lth_op_info *info, lt_tensor *const *inputs, int n) {
    if (n < info->min_in || n > info->max_in) {
        return lth_fail(&ctx->error, LT_EINVAL, "%s: %d inputs given; it takes %d to %d", info->name, n, info->min_in, info->max_in);
    }
    lth_engine *e = ctx->engine;
    for (int k = 0; k < n; k++) {
        lt_tensor *x = inputs[k];
        if (!x) {
            if (k < info->min_in) {
                return lth_fail(&ctx->error, LT_EINVAL, "%s: input %d is NULL, and no earlier call failed", info->name, k);
            }
            continue;
        }
        if (e->autocast && info->autocast != LTH_CAST_INPUTS) {
            x = lth_autocast(ctx, x, info->autocast);
            if (!x) {
                return ctx->error.code;
            }
        }
        if (x->base) {
            LTH_GOOD(lth_need_fresh_view(ctx, x, info->name, &ctx->error));
        }
        j->in[k] = x;
        j->call.in[k] = &x->a;
        j->grad |= x->requires_grad;
    }
    if (n > 1) {
        LTH_GOOD(promote(ctx, j, n));
    }
    j->grad = j->grad && e->grad_enabled && !e->inference && info->gradient != LTH_GRAD_NONE;
    return LT_OK;
}

/* An output that is there already is a part filled by an earlier call: lth_apply_part. */
static lt_status make_outputs(lt_ctx *ctx, job *j, const lth_op_info *info) {
    for (int k = 0; k < info->n_out; k++) {
        j->out[k] = j->out[k] ? j->out[k] : lth_tensor_blank(ctx->engine, &ctx->error);
        if (!j->out[k]) {
            return ctx->error.code;
        }
        j->call.out[k] = &j->out[k]->a;
    }
    LTH_GOOD(info->shape(&j->call, &ctx->error));
    bool any_float = false;
    for (int k = 0; k < info->n_out; k++) {
        LTH_GOOD(lth_tensor_described(j->out[k], &ctx->error));
        any_float |= lth_is_float(j->out[k]->a.dtype);
    }
    j->grad = j->grad && any_float; /* a cast to whole numbers ends the way of the gradient */
    return LT_OK;
}

static lt_status give_memory(lt_ctx *ctx, job *j) {
    for (int k = 0; k < j->call.n_out; k++) {
        if (!j->out[k]->a.data) {
            LTH_GOOD(lth_tensor_give_data(ctx->engine, j->out[k], &ctx->error));
        }
    }
    size_t bytes = j->call.workspace_bytes;
    if (bytes) {
        j->call.workspace = lth_step_workspace(ctx->engine, bytes, &j->workspace);
        if (!j->call.workspace) {
            return lth_fail(&ctx->error, LT_ENOMEM, "%s: out of memory: %zu bytes of workspace", lth_op_name(j->call.op), bytes);
        }
    }
    return LT_OK;
}

enum { OTHERWISE = 1 }; /* no status: run() made nothing; the call shall be done in parts, or rounded */

static lt_status run(lt_ctx *ctx, job *j, const lth_op_info *info) {
    lth_engine *e = ctx->engine;
    lth_device *device;
    j->call.save = j->grad;
    const lth_kernel *kernel = choose(ctx, &j->call, j->in, &device);
    if (!kernel) {
        return ctx->error.code ? ctx->error.code : OTHERWISE;
    }
    LTH_GOOD(give_memory(ctx, j));
    lt_status status = kernel->forward(device, &j->call, &ctx->error);
    if (status != LT_OK) {
        return lth_fail(&ctx->error, status, "%s: its kernel failed on the %s backend", info->name, e->backend->name);
    }
    if (!j->grad) {
        lth_step_give_back(e, j->workspace);
    } else if (!lth_record(e, &j->call, j->in, j->out, &(lth_ran){kernel, device, j->workspace})) {
        return lth_fail(&ctx->error, LT_ENOMEM, "%s: out of memory for the tape", info->name);
    }
    return LT_OK;
}

static lt_tensor *times(lt_ctx *ctx, lt_tensor *x, double factor) {
    const lth_attrs attrs = {.f = {factor}};
    return lth_apply(ctx, LTH_OP_MUL_SCALAR, &x, 1, &attrs, NULL);
}

static lt_tensor *as(lt_ctx *ctx, lt_tensor *x, lt_dtype dtype) {
    const lth_attrs attrs = {.i = {dtype}};
    return lth_apply(ctx, LTH_OP_CAST, &x, 1, &attrs, NULL);
}

/* Running statistics of half precision from those of this batch (f32), with PyTorch's roundings on the CPU: the momentum, what is kept of the
 * old ones, and the variance's sum of squares are rounded as well. */
static bool update_running(lt_ctx *ctx, const job *j, lt_tensor *running, lt_tensor *batch, bool variance) {
    const lt_dtype low = running->a.dtype;
    const double momentum = j->call.attrs->f[1], freedom = (double)(lth_array_numel(j->call.in[0]) / lth_array_numel(&running->a)) - 1;
    uint16_t rounded[2];
    lth_element_set(low, rounded, 0, momentum);
    lth_element_set(low, rounded, 1, 1 - momentum);
    if (variance && freedom > 0) {
        batch = times(ctx, as(ctx, times(ctx, batch, freedom), low), 1 / freedom);
    }
    lt_tensor *fresh = times(ctx, as(ctx, as(ctx, batch, low), variance ? LT_F32 : low), lth_element_get(low, rounded, 0));
    lt_tensor *kept = as(ctx, times(ctx, running, lth_element_get(low, rounded, 1)), variance ? LT_F32 : low);
    lt_tensor *now = as(ctx, lth_apply(ctx, LTH_OP_ADD, (lt_tensor *[]){kept, fresh}, 2, NULL, NULL), low);
    return now && lth_copy_into(ctx->engine, &running->a, &now->a, false, &ctx->error) == LT_OK;
}

/* The momentum of 1 that compute_rounded asked for left the batch's own statistics in the copies of f32. */
static bool round_state(lt_ctx *ctx, const job *j, lt_tensor *const *in) {
    bool good = true;
    for (int k = 3; good && k < j->call.n_in && k < 5; k++) {
        if (j->in[k] && in[k] != j->in[k]) {
            good = update_running(ctx, j, j->in[k], in[k], k == 4);
        }
    }
    return good;
}

/* The call with its half-precision inputs made f32, and its results rounded to what the shape rule said. Casts are recorded like any operation. */
static bool compute_rounded(lt_ctx *ctx, const job *j, lt_tensor **out) {
    static const lth_attrs to_f32 = {.i = {LT_F32}};
    lth_engine *e = ctx->engine;
    lt_tensor *in[LTH_MAX_IN] = {0};
    bool good = true;
    for (int k = 0; good && k < j->call.n_in; k++) {
        lt_tensor *x = j->in[k];
        in[k] = x && is_low(x->a.dtype) ? lth_apply(ctx, LTH_OP_CAST, &x, 1, &to_f32, NULL) : x;
        good = in[k] || !x;
    }
    lth_attrs attrs = *j->call.attrs;
    const bool updates = j->call.op == LTH_OP_BATCH_NORM && attrs.i[0] && j->call.n_in > 3 && j->in[3] && in[3] != j->in[3];
    attrs.f[1] = updates ? 1 : attrs.f[1];
    lt_dtype autocast = e->autocast;
    e->autocast = 0;
    good = good && lth_apply_all(ctx, j->call.op, in, j->call.n_in, &attrs, NULL, out) && (!updates || round_state(ctx, j, in));
    e->autocast = autocast;
    for (int k = 0; good && k < j->call.n_out; k++) {
        const lth_attrs back = {.i = {j->out[k]->a.dtype}};
        if (is_low(j->out[k]->a.dtype) && out[k]->a.dtype == LT_F32) {
            out[k] = lth_apply(ctx, LTH_OP_CAST, &out[k], 1, &back, NULL);
            good = out[k] != NULL;
        }
    }
    return good;
}

static bool apply_kernel(lt_ctx *ctx, lth_op op, lt_tensor *const *inputs, int n, const lth_attrs *attrs, lt_tensor *part, lt_tensor **out) {
    const lth_op_info *info = &lth_ops[op];
    job j = {.call = {.op = op, .n_in = (uint8_t)n, .n_out = info->n_out, .attrs = attrs ? attrs : &no_attrs}, .out = {part}};
    j.call.random = draw;
    j.call.random_many = draw_many;
    j.call.random_state = &ctx->engine->generator;
    bool good = take_inputs(ctx, &j, info, inputs, n) == LT_OK && make_outputs(ctx, &j, info) == LT_OK;
    const lt_status ran = good ? run(ctx, &j, info) : LT_OK;
    if (ran == OTHERWISE && parts(ctx->engine, &j.call)) {
        out[0] = lth_apply_apart(ctx, &j.call, j.in);
        return out[0] != NULL;
    }
    if (ran == OTHERWISE && !part) {
        return compute_rounded(ctx, &j, out);
    }
    if (ran == OTHERWISE) {
        lth_fail(&ctx->error, LT_EUNSUPPORTED, "%s: the %s backend has no kernel for these dtypes and shapes", info->name, ctx->engine->backend->name);
    }
    good = good && ran == LT_OK;
    for (int k = 0; good && k < info->n_out; k++) {
        out[k] = j.out[k];
    }
    return good;
}

bool lth_apply_all(lt_ctx *ctx, lth_op op, lt_tensor *const *inputs, int n, const lth_attrs *attrs, void *caller, lt_tensor **out) {
    const lth_op_info *info = &lth_ops[op];
    bool good = ctx->error.code == LT_OK;
    memset(out, 0, info->n_out * sizeof *out);
    if (good && info->gradient == LTH_GRAD_VIEW) {
        out[0] = lth_apply_view(ctx, op, inputs[0], attrs ? attrs : &no_attrs);
        good = out[0] != NULL;
    } else if (good) {
        good = apply_kernel(ctx, op, inputs, n, attrs, NULL, out);
    }
    if (!good && !ctx->error.caller) {
        ctx->error.caller = caller;
    }
    return good;
}

lt_tensor *lth_apply(lt_ctx *ctx, lth_op op, lt_tensor *const *inputs, int n, const lth_attrs *attrs, void *caller) {
    lt_tensor *out[LTH_MAX_OUT];
    return lth_apply_all(ctx, op, inputs, n, attrs, caller, out) ? out[0] : NULL;
}

lt_tensor *lth_apply_part(lt_ctx *ctx, lth_op op, lt_tensor *const *inputs, int n, const lth_attrs *attrs, void *caller, lt_tensor *part) {
    lt_tensor *out[LTH_MAX_OUT];
    bool good = ctx->error.code == LT_OK && apply_kernel(ctx, op, inputs, n, attrs, part, out);
    if (!good && !ctx->error.caller) {
        ctx->error.caller = caller;
    }
    return good ? out[0] : NULL;
}

lt_tensor *lth_contiguous(lt_ctx *ctx, lt_tensor *x) {
    if (!x || lth_array_contiguous(&x->a)) {
        return x;
    }
    return lth_apply(ctx, LTH_OP_COPY, &x, 1, NULL, NULL);
}

lt_tensor *lth_linear(lt_ctx *ctx, lt_tensor *x, lt_tensor *w, lt_tensor *b, lt_activation act) {
    if (!x || !w) {
        return NULL;
    }
    lt_tensor *in[3] = {x, w, b};
    lth_attrs attrs = {.i = {act}};
    return lth_apply(ctx, LTH_OP_LINEAR, in, b ? 3 : 2, &attrs, NULL);
}
