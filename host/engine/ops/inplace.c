/* engine/ops/inplace.c - operations that change their first argument: what it held becomes an older tensor that only the tape knows, and the
 * argument stands for the result from then on. PyTorch's rules: a leaf that requires a gradient is refused while gradients are recorded,
 * the version of the memory goes up, backward refuses what needed the old values; what the operation's own gradient needs of them is copied.
 * It refuses to rewrite the history of views (their base would keep its own), of lasting and of retained tensors. */
#include "base/str.h"
#include "engine/ops/shapes.h"
#include "engine/ops/table.h"
#include <math.h>
#include <string.h>

#define ENTER(op) LTH_ENTER(ctx, LTH_TRAINER_THREAD, op, NULL)
#define GIVEN(x, position, op) do { if (!lth_given(ctx, x, position, op, LTH_CALLER)) { return NULL; } } while (0)

typedef struct change {
    lt_ctx *ctx;
    const char *name;
    void *caller;
    lth_op op;
    lt_tensor *x, *in[LTH_MAX_IN];
    int n;
    const lth_attrs *attrs;
    bool widens; /* an operand's dtype is wider than x's */
} change;

static lt_tensor *refuse(const change *c, lt_status code, const char *why) {
    lth_fail_op(&c->ctx->error, code, c->name, c->caller, "x %s %s", lth_shown(&c->x->a).text, why);
    return NULL;
}
static bool recording(const change *c) {
    const lth_engine *e = c->ctx->engine;
    bool any = c->x->requires_grad;
    for (int k = 0; k < c->n; k++) {
        any = any || c->in[k]->requires_grad;
    }
    return any && e->grad_enabled && !e->inference;
}
static bool allowed(const change *c) {
    const lt_tensor *x = c->x;
    if (x->is_leaf && x->requires_grad) {
        refuse(c, LT_ESTATE, "is a leaf that requires a gradient: change it only while gradients are off (lt_no_grad_begin)");
    } else if (x->base) {
        refuse(c, LT_ESTATE, "is a view: its memory has a history of its own; use the operation that returns its result, or change a clone");
    } else if (x->lasting || x->retained || x->kept) {
        refuse(c, LT_ESTATE, "outlives the step and cannot become part of its graph: change it while gradients are off, or change a clone");
    }
    return c->ctx->error.code == LT_OK;
}
static bool alike(const lth_array *a, const lth_array *b) { return a->dtype == b->dtype && lth_same_shape(a, b); }
/* Is each element of x one of the tensor's that it was made of, and no two of them the same? A fill may write one twice. */
static bool writable(const change *c) {
    const lth_array *x = &c->x->a;
    if (c->x->copied) {
        refuse(c, LT_ESTATE, "is a copy, not a view: what it was made of is not row-major; change a clone");
    }
    for (int d = 0; c->n && lth_array_numel(x) && x->layout == LTH_STRIDED && d < x->ndim; d++) {
        if (x->shape[d] > 1 && x->strides[d] == 0) {
            refuse(c, LT_ESTATE, "is expanded: several of its elements are one in memory; change lt_clone(x)");
            break;
        }
    }
    return c->ctx->error.code == LT_OK;
}
/* Operands of two dtypes, where the engine promotes: to x's, or the sum is of the wider one and rounded to x's. */
static bool promoted(change *c) {
    lt_dtype from, to;
    if (c->n < 2 || c->in[1]->a.dtype == c->x->a.dtype || !lth_promotes(c->ctx->engine, c->op, &from, &to)) {
        return true;
    }
    const lth_attrs attrs = {.i = {to}};
    if (c->in[1]->a.dtype == from && c->x->a.dtype == to) {
        c->in[1] = lth_apply(c->ctx, LTH_OP_CAST, &c->in[1], 1, &attrs, c->caller);
    }
    c->widens = c->in[1] && c->in[1]->a.dtype == to && c->x->a.dtype == from;
    return c->in[1] != NULL;
}
/* The result in memory of its own, of x's dtype. */
static lt_tensor *beside(const change *c) {
    const lth_attrs attrs = {.i = {c->x->a.dtype}};
    lt_tensor *y = lth_apply(c->ctx, c->op, c->in, c->n, c->attrs, c->caller);
    return y && c->widens ? lth_apply(c->ctx, LTH_OP_CAST, &y, 1, &attrs, c->caller) : y;
}
/* The result's shape and dtype by the op's own rule; they must be x's. */
static bool fits(const change *c) {
    lth_array out = {0};
    lth_array in[LTH_MAX_IN];
    lth_call call = {.op = c->op, .n_in = (uint8_t)c->n, .n_out = 1, .attrs = c->attrs, .out = {&out}};
    for (int k = 0; k < c->n; k++) {
        in[k] = c->in[k]->a;
        in[k].dtype = c->widens ? c->x->a.dtype : in[k].dtype;
        call.in[k] = &in[k];
    }
    if (lth_ops[c->op].shape(&call, &c->ctx->error) != LT_OK) {
        return false;
    }
    if (!alike(&out, &c->x->a)) {
        lth_fail_op(&c->ctx->error, out.dtype == c->x->a.dtype ? LT_ESHAPE : LT_EDTYPE, c->name, c->caller, "the result is %s %s and does not fit x %s %s",
                    lth_dtype_name(out.dtype), lth_shown(&out).text, lth_dtype_name(c->x->a.dtype), lth_shown(&c->x->a).text);
        return false;
    }
    return true;
}
static bool overlap(const lth_engine *e, const lth_array *a, const lth_array *b) {
    const lth_array *arrays[2] = {a, b};
    uintptr_t from[2], to[2];
    for (int k = 0; k < 2; k++) {
        size_t bytes = arrays[k]->layout == LTH_STRIDED ? lth_dtype_size(arrays[k]->dtype) : e->backend->array_bytes(arrays[k]);
        for (int d = 0; arrays[k]->layout == LTH_STRIDED && d < arrays[k]->ndim; d++) {
            bytes += (size_t)((arrays[k]->shape[d] - 1) * arrays[k]->strides[d]) * lth_dtype_size(arrays[k]->dtype);
        }
        from[k] = (uintptr_t)arrays[k]->data;
        to[k] = from[k] + (lth_array_numel(arrays[k]) ? bytes : 0);
    }
    return from[0] < to[1] && from[1] < to[0];
}
/* An operand that shares x's memory but is not laid out as x would be read after it was written. */
static bool separate(change *c) {
    for (int k = 0; k < c->n; k++) {
        lt_tensor *y = c->in[k];
        const bool same = y == c->x || (y->a.data == c->x->a.data && alike(&y->a, &c->x->a) && y->a.layout == c->x->a.layout &&
                                        !memcmp(y->a.strides, c->x->a.strides, sizeof y->a.strides));
        if (!same && overlap(c->ctx->engine, &y->a, &c->x->a)) {
            c->in[k] = lth_apply(c->ctx, LTH_OP_COPY, &y, 1, NULL, c->caller);
            if (!c->in[k]) {
                return false;
            }
        }
    }
    return true;
}
/* May a kernel write straight into x's memory? With a blocked operand it would want to choose the result's layout. */
static bool plain(const change *c) {
    bool good = lth_array_contiguous(&c->x->a) && !c->widens;
    for (int k = 0; k < c->n; k++) {
        good = good && c->in[k]->a.layout == LTH_STRIDED;
    }
    return good;
}
/* Straight into x's memory: no graph is to know of it. */
static bool overwrite(const change *c) {
    lth_engine *e = c->ctx->engine;
    const lth_array *in[LTH_MAX_IN];
    for (int k = 0; k < c->n; k++) {
        in[k] = &c->in[k]->a;
    }
    if (lth_array_numel(&c->x->a) == 0) {
        return true;
    }
    if (plain(c)) {
        return lth_run(e, c->op, c->attrs, in, c->n, &c->x->a, &c->ctx->error) == LT_OK;
    }
    const bool enabled = e->grad_enabled;
    e->grad_enabled = false;
    lt_tensor *y = beside(c);
    e->grad_enabled = enabled;
    return y && lth_copy_into(e, &c->x->a, &y->a, false, &c->ctx->error) == LT_OK;
}
/* The result as a tensor that the tape knows, its values in x's memory. Half precision is computed beside it: its kernels may be those of f32
 * with roundings around them, which choose their own memory. */
static lt_tensor *recorded(const change *c) {
    lt_ctx *ctx = c->ctx;
    const lt_tensor *x = c->x;
    if (plain(c) && (x->a.dtype == LT_F32 || x->a.dtype == LT_F64) && lth_array_numel(&x->a) > 0) {
        lt_tensor *y = lth_tensor_blank(ctx->engine, &ctx->error);
        if (y) {
            y->a = x->a;
            y->data_home = x->data_home;
        }
        return y ? lth_apply_part(ctx, c->op, c->in, c->n, c->attrs, c->caller, y) : NULL;
    }
    lt_tensor *y = beside(c);
    if (x->a.layout == LTH_STRIDED) {
        y = lth_contiguous(ctx, y);
    } else if (y && x->a.layout != y->a.layout) {
        return y; /* x moves to its memory: a gradient must lie as what its kernel made */
    }
    return y && (lth_array_numel(&y->a) == 0 || lth_copy_into(ctx->engine, &c->x->a, &y->a, false, &ctx->error) == LT_OK) ? y : NULL;
}
/* What the gradient needs of x as it was is kept, as PyTorch does. */
static bool keep_old(change *c) {
    const bool slope = (c->op == LTH_OP_MUL || c->op == LTH_OP_DIV) && c->in[1]->requires_grad;
    if (!slope && c->op != LTH_OP_CLAMP) {
        return true;
    }
    lt_tensor *old = lth_apply(c->ctx, LTH_OP_COPY, &c->x, 1, NULL, c->caller);
    for (int k = 0; k < c->n; k++) {
        c->in[k] = c->in[k] == c->x ? old : c->in[k];
    }
    return old != NULL;
}
static lt_tensor *apply(change *c) {
    lt_ctx *ctx = c->ctx;
    lth_engine *e = ctx->engine;
    const bool record = recording(c);
    if ((record && !allowed(c)) || !writable(c) || !promoted(c) || !fits(c) || !separate(c) || (record && !keep_old(c))) {
        if (!ctx->error.caller) {
            ctx->error.caller = c->caller;
        }
        return NULL;
    }
    if (!record) {
        lth_root(c->x)->version++;
        return overwrite(c) ? c->x : NULL;
    }
    lt_tensor *y = recorded(c);
    if (!y) {
        return NULL;
    }
    if (!lth_rewrite_history(e, c->x, y)) {
        lth_fail_op(&ctx->error, LT_ENOMEM, c->name, c->caller, "out of memory for the tape");
        return NULL;
    }
    return c->x;
}

/* ---- slots ---- */

#define CHANGE_PAIR(name, OP) \
    lt_tensor *lth_api_##name(lt_ctx *ctx, lt_tensor *x, lt_tensor *other) { \
        ENTER("lt_" #name); \
        GIVEN(x, 2, "lt_" #name); \
        GIVEN(other, 3, "lt_" #name); \
        const lth_attrs attrs = {0}; \
        return apply(&(change){ctx, "lt_" #name, LTH_CALLER, LTH_OP_##OP, x, {x, other}, 2, &attrs, false}); \
    }
#define CHANGE_NUMBERS(name, OP, arguments, ...) \
    lt_tensor *lth_api_##name arguments { \
        ENTER("lt_" #name); \
        GIVEN(x, 2, "lt_" #name); \
        const lth_attrs attrs = {.f = {__VA_ARGS__}}; \
        return apply(&(change){ctx, "lt_" #name, LTH_CALLER, LTH_OP_##OP, x, {x}, 1, &attrs, false}); \
    }
CHANGE_PAIR(add_, ADD)
CHANGE_PAIR(sub_, SUB)
CHANGE_PAIR(mul_, MUL)
CHANGE_PAIR(div_, DIV)
CHANGE_NUMBERS(add_scalar_, ADD_SCALAR, (lt_ctx *ctx, lt_tensor *x, double value), value)
CHANGE_NUMBERS(mul_scalar_, MUL_SCALAR, (lt_ctx *ctx, lt_tensor *x, double value), value)
CHANGE_NUMBERS(relu_, RELU, (lt_ctx *ctx, lt_tensor *x), 0)
CHANGE_NUMBERS(clamp_, CLAMP, (lt_ctx *ctx, lt_tensor *x, double low, double high), low, high)

/* The source spread to x's shape, in x's dtype. */
lt_tensor *lth_api_copy_(lt_ctx *ctx, lt_tensor *x, lt_tensor *source) {
    ENTER("lt_copy_");
    GIVEN(x, 2, "lt_copy_");
    GIVEN(source, 3, "lt_copy_");
    lth_attrs attrs = {.i = {x->a.dtype, x->a.ndim}};
    for (int d = 0; d < x->a.ndim; d++) {
        attrs.i[2 + d] = x->a.shape[d];
    }
    if (source->a.dtype != x->a.dtype) {
        source = lth_apply(ctx, LTH_OP_CAST, &source, 1, &attrs, LTH_CALLER);
    }
    if (source && !alike(&source->a, &x->a)) {
        source = lth_apply(ctx, LTH_OP_EXPAND, &source, 1, &attrs, LTH_CALLER);
    }
    const lth_attrs none = {0};
    return source ? apply(&(change){ctx, "lt_copy_", LTH_CALLER, LTH_OP_COPY, x, {source}, 1, &none, false}) : NULL;
}
lt_tensor *lth_api_fill_(lt_ctx *ctx, lt_tensor *x, double value) {
    ENTER("lt_fill_");
    GIVEN(x, 2, "lt_fill_");
    lth_attrs attrs = {.i = {x->a.dtype, x->a.ndim}, .f = {value}};
    for (int d = 0; d < x->a.ndim; d++) {
        attrs.i[2 + d] = x->a.shape[d];
    }
    return apply(&(change){ctx, "lt_fill_", LTH_CALLER, LTH_OP_FULL, x, {NULL}, 0, &attrs, false});
}
