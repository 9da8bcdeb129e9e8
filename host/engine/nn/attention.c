/* engine/nn/attention.c - MultiheadAttention and TransformerEncoderLayer: parameters named, drawn and used as PyTorch's. The fused attention
 * operations run wherever no weights are asked for and no dropout acts on them. Refuses keys and values of another width than the queries. */
#include "base/str.h"
#include "engine/nn/layer.h"
#include "engine/ops/table.h"
#include <math.h>
#include <stdio.h>

static const lt_tensor_api *const op = &lth_tensor_table;

/* ---- making ---- */
static lt_module *named_child(lt_ctx *ctx, lt_module *parent, const char *name, lt_module *child, const char *made_by) {
    if (child) {
        child->given = name;
        if (!lth_take_item(ctx, made_by, parent, child, (size_t)parent->n_children, (size_t)parent->n_children + 1)) {
            return NULL;
        }
    }
    return child;
}

/* PyTorch makes out_proj first, then draws in_proj_weight anew (xavier_uniform) and sets both biases to zero. */
static bool add_projections(lt_ctx *ctx, lt_module *l, int64_t E, bool bias, const char *made_by) {
    lt_module *out = named_child(ctx, l, "out_proj", lth_make_linear(ctx, E, E, bias), made_by);
    if (!out) {
        return false;
    }
    out->type = "NonDynamicallyQuantizableLinear";
    l->draws = out->draws;
    out->draws = (lth_draws){0};
    const int64_t shape[2] = {3 * E, E};
    l->weight = lth_layer_param(ctx, l, "in_proj_weight", 2, shape);
    l->bias = l->weight && bias ? lth_layer_param(ctx, l, "in_proj_bias", 1, shape) : NULL;
    if (!l->weight || (bias && !l->bias)) {
        return false;
    }
    l->weight->init = LTH_INIT_UNIFORM;
    l->weight->bound = sqrt(3.0) * (1.0 * sqrt(2.0 / (double)(E + 3 * E)));
    if (bias) {
        out->bias->burn = true;
        out->bias->fill = 0;
    }
    return true;
}

static bool good_dropout(lt_ctx *ctx, const char *made_by, double p, void *caller) {
    if (!(p >= 0 && p <= 1)) {
        lth_fail_op(&ctx->error, LT_EINVAL, made_by, caller, "%s: dropout must lie between 0 and 1, got %g", made_by, p);
        return false;
    }
    return true;
}

lt_module *lth_make_multihead(lt_ctx *ctx, int64_t embed_dim, int64_t heads, const lt_nn_multihead_opts *opts) {
    static const char name[] = "lt_nn_multihead_attention";
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, name, NULL);
    lth_modules *m = lth_open_tree(ctx, name, LTH_CALLER);
    lt_nn_multihead_opts o;
    if (!lth_read_opts(ctx, &o, sizeof o, opts, name, LTH_CALLER)) {
        return NULL;
    }
    if (!m || !lth_in_range(ctx, name, "embed_dim", embed_dim, 1) || !lth_in_range(ctx, name, "num_heads", heads, 1)) {
        return NULL;
    }
    if (embed_dim % heads) {
        lth_fail_op(&ctx->error, LT_EINVAL, name, LTH_CALLER, "%s: num_heads %lld must divide embed_dim %lld", name, (long long)heads,
                    (long long)embed_dim);
        return NULL;
    }
    if (!good_dropout(ctx, name, o.dropout, LTH_CALLER)) {
        return NULL;
    }
    lt_module *l = lth_module_new(ctx, m, LTH_MULTIHEAD, "MultiheadAttention", name);
    if (!l || !add_projections(ctx, l, embed_dim, !o.no_bias, name)) {
        return NULL;
    }
    l->in = l->out = embed_dim;
    l->heads = heads;
    l->p = o.dropout;
    l->rnn.batch_first = o.batch_first != 0;
    return l;
}

lt_module *lth_make_encoder_layer(lt_ctx *ctx, int64_t d_model, int64_t heads, const lt_nn_encoder_layer_opts *opts) {
    static const char name[] = "lt_nn_transformer_encoder_layer";
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, name, NULL);
    lth_modules *m = lth_open_tree(ctx, name, LTH_CALLER);
    lt_nn_encoder_layer_opts o;
    if (!lth_read_opts(ctx, &o, sizeof o, opts, name, LTH_CALLER)) {
        return NULL;
    }
    const int64_t wide = o.dim_feedforward ? o.dim_feedforward : 2048;
    const double p = o.no_dropout ? 0 : o.dropout != 0 ? o.dropout : 0.1;
    const lt_nn_multihead_opts attn = {.struct_size = sizeof attn, .no_bias = o.no_bias, .batch_first = o.batch_first, .dropout = p};
    const lt_nn_layer_norm_opts norm = {.struct_size = sizeof norm, .no_bias = o.no_bias, .eps = o.layer_norm_eps};
    if (!m || !lth_in_range(ctx, name, "d_model", d_model, 1) || !lth_in_range(ctx, name, "num_heads", heads, 1) ||
        !lth_in_range(ctx, name, "dim_feedforward", wide, 1) || !good_dropout(ctx, name, o.dropout, LTH_CALLER) ||
        !lth_good_eps(ctx, name, "layer_norm_eps", o.layer_norm_eps, LTH_CALLER)) {
        return NULL;
    }
    lt_module *l = lth_module_new(ctx, m, LTH_ENCODER_LAYER, "TransformerEncoderLayer", name);
    if (!l) {
        return NULL;
    }
    if (o.activation < LT_ACT_NONE || o.activation > LT_ACT_HARDSWISH) {
        lth_fail_op(&ctx->error, LT_EINVAL, name, LTH_CALLER, "%s: no activation has the number %d", name, o.activation);
        return NULL;
    }
    l->in = l->out = d_model;
    l->attrs.i[0] = o.activation ? o.activation : LT_ACT_RELU;
    lth_activation_defaults((lt_activation)l->attrs.i[0], &l->attrs.f[0], &l->attrs.f[1]);
    l->attrs.i[1] = o.norm_first;
    bool good = named_child(ctx, l, "self_attn", lth_make_multihead(ctx, d_model, heads, &attn), name) &&
                named_child(ctx, l, "linear1", lth_make_linear(ctx, d_model, wide, !o.no_bias), name) &&
                named_child(ctx, l, "dropout", lth_make_dropout(ctx, p), name) &&
                named_child(ctx, l, "linear2", lth_make_linear(ctx, wide, d_model, !o.no_bias), name) &&
                named_child(ctx, l, "norm1", lth_make_layer_norm(ctx, d_model, &norm), name) &&
                named_child(ctx, l, "norm2", lth_make_layer_norm(ctx, d_model, &norm), name) &&
                named_child(ctx, l, "dropout1", lth_make_dropout(ctx, p), name) && named_child(ctx, l, "dropout2", lth_make_dropout(ctx, p), name);
    return good ? l : NULL;
}

/* ---- masks ---- */
static lt_tensor *number(lt_ctx *ctx, lt_dtype dtype, double value) { return op->full(ctx, dtype, 0, NULL, value); }

/* PyTorch's boolean masks say what is hidden; the operation's say what may be seen. Float ones are added to the scores. */
static lt_tensor *seen_or_added(lt_ctx *ctx, lt_tensor *mask, const int64_t shape[4]) {
    mask = mask && mask->a.dtype == LT_BOOL ? op->logical_not(ctx, mask) : mask;
    return mask ? op->reshape(ctx, mask, 4, shape) : NULL;
}

static lt_tensor *as_added(lt_ctx *ctx, lt_tensor *mask, lt_dtype dtype) {
    return mask && mask->a.dtype == LT_BOOL ? op->where(ctx, mask, number(ctx, dtype, 0), number(ctx, dtype, -INFINITY)) : mask;
}

typedef struct sizes { int64_t B, T, S, heads, D; bool batch_first; } sizes;

static bool has_shape(const lt_tensor *x, int ndim, const int64_t *shape) {
    bool same = x->a.ndim == ndim;
    for (int d = 0; same && d < ndim; d++) {
        same = x->a.shape[d] == shape[d];
    }
    return same;
}

static lt_tensor *bad_mask(lt_ctx *ctx, const lt_tensor *mask, const char *what, const char *wanted, void *caller) {
    char shown[128];
    lth_format_shape(shown, sizeof shown, mask->a.shape, mask->a.ndim);
    lth_fail_op(&ctx->error, LT_ESHAPE, "lt_multihead_attention", caller, "lt_multihead_attention: %s %s must be %s", what, shown, wanted);
    return NULL;
}

/* One mask of both, for scores (B, heads, T, S); NULL without error: none. */
static lt_tensor *combined_mask(lt_ctx *ctx, const lt_multihead_opts *o, const sizes *z, lt_dtype dtype, void *caller) {
    lt_tensor *a = o ? o->attn_mask : NULL, *k = o ? o->key_padding_mask : NULL;
    const bool many = a && a->a.ndim == 3;
    const int64_t a_shape[4] = {many ? z->B : 1, many ? z->heads : 1, z->T, z->S}, k_shape[4] = {z->B, 1, 1, z->S};
    const int64_t each[3] = {z->B * z->heads, z->T, z->S}, of_batch[2] = {z->B, z->S};
    if (a && !(many ? has_shape(a, 3, each) : has_shape(a, 2, each + 1))) {
        char one[64], all[96], wanted[240];
        lth_format_shape(one, sizeof one, each + 1, 2);
        lth_format_shape(all, sizeof all, each, 3);
        snprintf(wanted, sizeof wanted, "(T, S) or (B heads, T, S), which is %s or %s", one, all);
        return bad_mask(ctx, a, "attn_mask", wanted, caller);
    }
    if (k && !has_shape(k, 2, of_batch)) {
        return bad_mask(ctx, k, "key_padding_mask", "(B, S)", caller);
    }
    a = seen_or_added(ctx, a, a_shape);
    k = seen_or_added(ctx, k, k_shape);
    if (!a || !k) {
        return a ? a : k;
    }
    if (a->a.dtype == LT_BOOL && k->a.dtype == LT_BOOL) {
        return op->logical_and(ctx, a, k);
    }
    a = as_added(ctx, a, dtype);
    k = as_added(ctx, k, dtype);
    return a && k ? op->add(ctx, a, k) : NULL;
}

/* ---- running ---- */
/* x W_part^T + b_part, part 0, 1, 2 of in_proj: q, k, v -> (B, heads, T, D) */
static lt_tensor *project(lt_ctx *ctx, const lt_module *l, lt_tensor *x, int part, const sizes *z) {
    static const int32_t from_batch[4] = {0, 2, 1, 3}, from_time[4] = {1, 2, 0, 3};
    const int64_t E = l->in, shape[4] = {x->a.shape[0], x->a.shape[1], z->heads, z->D};
    lt_tensor *w = op->slice(ctx, l->weight->value, 0, part * E, (part + 1) * E);
    lt_tensor *b = l->bias ? op->slice(ctx, l->bias->value, 0, part * E, (part + 1) * E) : NULL;
    lt_tensor *y = w ? op->linear(ctx, x, w, b, LT_ACT_NONE) : NULL;
    y = y ? op->reshape(ctx, y, 4, shape) : NULL;
    return y ? op->permute(ctx, y, z->batch_first ? from_batch : from_time) : NULL;
}

/* Row i sees keys 0..i: (T, S) bool. */
static lt_tensor *causal_mask(lt_ctx *ctx, const sizes *z) {
    const int64_t column[2] = {z->T, 1};
    lt_tensor *rows = op->arange(ctx, LT_I64, 0, (double)z->T, 1), *keys = op->arange(ctx, LT_I64, 0, (double)z->S, 1);
    rows = rows ? op->reshape(ctx, rows, 2, column) : NULL;
    return rows && keys ? op->ge(ctx, rows, keys) : NULL;
}

/* softmax over keys; a row that may look at nothing gives zeros, forward and back, where softmax itself gives NaN. */
static lt_tensor *softmax_or_zero(lt_ctx *ctx, lt_tensor *s) {
    lt_tensor *most = op->max(ctx, lth_autograd_table.detach(ctx, s), (const int32_t[]){3}, 1, true);
    lt_tensor *blind = op->eq(ctx, most, number(ctx, s->a.dtype, -INFINITY)), *zero = number(ctx, s->a.dtype, 0);
    s = op->softmax(ctx, op->where(ctx, blind, zero, s), 3);
    return op->where(ctx, blind, zero, s);
}

/* softmax(q k^T / sqrt D + mask) in memory: where its values are wanted, or dropped out. */
static lt_tensor *weights_of(lt_ctx *ctx, const lt_module *l, lt_tensor *q, lt_tensor *k, lt_tensor *mask, bool causal, const sizes *z) {
    lt_tensor *s = op->matmul(ctx, op->mul_scalar(ctx, q, sqrt(1.0 / (double)z->D)), op->transpose(ctx, k, 2, 3));
    lt_tensor *hidden = s ? number(ctx, s->a.dtype, -INFINITY) : NULL;
    if (s && mask) {
        s = mask->a.dtype == LT_BOOL ? op->where(ctx, mask, s, hidden) : op->add(ctx, s, mask);
    }
    s = s && causal ? op->where(ctx, causal_mask(ctx, z), s, hidden) : s;
    if (s) {
        s = mask && z->S ? softmax_or_zero(ctx, s) : op->softmax(ctx, s, 3);
    }
    return s ? op->dropout(ctx, s, l->p, l->training) : NULL;
}

static lt_tensor *attend(lt_ctx *ctx, const lt_module *l, lt_tensor *const x[3], lt_multihead_opts *o, const sizes *z, void *caller) {
    static const int32_t to_batch[4] = {0, 2, 1, 3}, to_time[4] = {2, 0, 1, 3};
    const bool causal = o && o->causal, whole = (o && o->need_weights) || (l->training && l->p > 0);
    lt_tensor *part[3], *mask = combined_mask(ctx, o, z, x[0]->a.dtype, caller), *y;
    for (int k = 0; k < 3; k++) {
        part[k] = ctx->error.code ? NULL : project(ctx, l, x[k], k, z);
    }
    if (ctx->error.code) {
        return NULL;
    }
    if (whole) {
        lt_tensor *w = weights_of(ctx, l, part[0], part[1], mask, causal, z);
        y = w ? op->matmul(ctx, w, part[2]) : NULL;
        if (y && o && o->need_weights) {
            o->weights = o->per_head ? w : op->mean(ctx, w, (const int32_t[]){1}, 1, false);
        }
    } else {
        const lt_attention_opts how = {.struct_size = sizeof how, .causal = causal, .mask = mask};
        y = op->attention(ctx, part[0], part[1], part[2], &how);
    }
    y = y ? op->permute(ctx, y, z->batch_first ? to_batch : to_time) : NULL;
    const int64_t shape[3] = {x[0]->a.shape[0], x[0]->a.shape[1], l->in};
    return y ? op->reshape(ctx, y, 3, shape) : NULL;
}

/* One projection and no copy: q, k, v are the same, lie batch first, and nobody wants the weights. */
static lt_tensor *attend_self(lt_ctx *ctx, const lt_module *l, lt_tensor *x, const lt_multihead_opts *o, const sizes *z, void *caller) {
    lt_tensor *mask = combined_mask(ctx, o, z, x->a.dtype, caller);
    lt_tensor *qkv = ctx->error.code ? NULL : op->linear(ctx, x, l->weight->value, l->bias ? l->bias->value : NULL, LT_ACT_NONE);
    const lt_attention_opts how = {.struct_size = sizeof how, .causal = o && o->causal, .mask = mask};
    return qkv ? op->self_attention(ctx, qkv, z->heads, &how) : NULL;
}

static bool check_inputs(lt_ctx *ctx, const lt_module *l, lt_tensor *const x[3], sizes *z, void *caller) {
    const int batch = l->rnn.batch_first ? 0 : 1;
    bool good = true;
    for (int k = 0; good && k < 3; k++) {
        good = x[k]->a.ndim == 3 && x[k]->a.shape[2] == l->in && x[k]->a.shape[batch] == x[0]->a.shape[batch];
    }
    if (!good || x[1]->a.shape[1 - batch] != x[2]->a.shape[1 - batch]) {
        char q[128], k[128], v[128];
        lth_format_shape(q, sizeof q, x[0]->a.shape, x[0]->a.ndim);
        lth_format_shape(k, sizeof k, x[1]->a.shape, x[1]->a.ndim);
        lth_format_shape(v, sizeof v, x[2]->a.shape, x[2]->a.ndim);
        lth_fail_op(&ctx->error, LT_ESHAPE, "lt_multihead_attention", caller, "multihead attention %s got q %s, k %s, v %s; they must be (%s, %lld), with "
                    "equal batch, and equal length of k and v", l->name, q, k, v, l->rnn.batch_first ? "B, T" : "T, B", (long long)l->in);
        return false;
    }
    *z = (sizes){.B = x[0]->a.shape[batch], .T = x[0]->a.shape[1 - batch], .S = x[1]->a.shape[1 - batch], .heads = l->heads, .D = l->in / l->heads,
                 .batch_first = l->rnn.batch_first};
    return true;
}

lt_tensor *lth_run_multihead(lt_ctx *ctx, lt_module *l, lt_tensor *const x[3], lt_multihead_opts *o, void *caller) {
    sizes z;
    if (!check_inputs(ctx, l, x, &z, caller)) {
        return NULL;
    }
    const bool whole = (o && o->need_weights) || (l->training && l->p > 0), same = x[0] == x[1] && x[1] == x[2];
    lt_tensor *y = same && z.batch_first && !whole ? attend_self(ctx, l, x[0], o, &z, caller) : attend(ctx, l, x, o, &z, caller);
    return y ? lth_module_forward(ctx, l->first, y, caller) : NULL;
}

/* linear2(dropout(act(linear1(x)))) */
static lt_tensor *feed_forward(lt_ctx *ctx, lt_module *l, lt_module *const part[8], lt_tensor *x, void *caller) {
    lt_tensor *y = lth_module_forward(ctx, part[1], x, caller);
    y = y ? lth_run_activation(ctx, l, y, caller) : NULL;
    y = y ? lth_module_forward(ctx, part[2], y, caller) : NULL;
    return y ? lth_module_forward(ctx, part[3], y, caller) : NULL;
}

/* PyTorch's attention computes time first, also where the batch is: there its dropout draws in that order. */
static lt_tensor *drop(lt_ctx *ctx, lt_module *dropout, lt_tensor *y, bool by_time, void *caller) {
    if (!by_time || !dropout->training || dropout->p == 0) {
        return lth_module_forward(ctx, dropout, y, caller);
    }
    y = lth_contiguous(ctx, op->transpose(ctx, y, 0, 1));
    y = y ? lth_module_forward(ctx, dropout, y, caller) : NULL;
    return y ? op->transpose(ctx, y, 0, 1) : NULL;
}

lt_tensor *lth_run_encoder_layer(lt_ctx *ctx, lt_module *l, lt_tensor *x, lt_multihead_opts *o, void *caller) {
    lt_module *part[8], *child = l->first; /* self_attn, linear1, dropout, linear2, norm1, norm2, dropout1, dropout2 */
    for (int k = 0; k < 8; k++, child = child->next) {
        part[k] = child;
    }
    const bool first = l->attrs.i[1];
    for (int half = 0; half < 2 && x; half++) {
        lt_tensor *y = first ? lth_module_forward(ctx, part[4 + half], x, caller) : x;
        if (y && half == 0) {
            y = lth_run_multihead(ctx, part[0], (lt_tensor *const[]){y, y, y}, o, caller);
            lth_record_run(part[0], x, y);
        } else if (y) {
            y = feed_forward(ctx, l, part, y, caller);
        }
        y = y ? drop(ctx, part[6 + half], y, half == 0 && part[0]->rnn.batch_first, caller) : NULL;
        x = y ? op->add(ctx, x, y) : NULL;
        x = x && !first ? lth_module_forward(ctx, part[4 + half], x, caller) : x;
    }
    return x;
}

lt_tensor *lth_multihead_forward(lt_ctx *ctx, lt_module *module, lt_tensor *q, lt_tensor *k, lt_tensor *v, lt_multihead_opts *opts) {
    static const char name[] = "lt_multihead_attention";
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, name, NULL);
    if (!lth_can_run(ctx, module, k && v ? q : NULL, name, LTH_CALLER)) {
        return NULL;
    }
    lt_module *l = lth_target(module);
    lt_tensor *y = NULL;
    if (l->kind == LTH_MULTIHEAD) {
        y = lth_run_multihead(ctx, l, (lt_tensor *const[]){q, k, v}, opts, LTH_CALLER);
    } else if (l->kind == LTH_ENCODER_LAYER && q == k && k == v) {
        y = lth_run_encoder_layer(ctx, l, q, opts, LTH_CALLER);
    } else {
        lth_fail_op(&ctx->error, LT_EINVAL, name, LTH_CALLER, "%s: '%s' is a %s, but must be a MultiheadAttention, or a TransformerEncoderLayer with "
                    "q, k and v the same", name, l->name, l->type);
    }
    lth_record_run(l, q, y);
    return y;
}
