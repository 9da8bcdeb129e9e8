/* engine/nn/recurrent.c - LSTM and GRU modules: several layers, both directions, dropout between layers; parameters named and drawn as
 * PyTorch's. Each layer and direction is one operation. Refuses projections (proj_size), and inputs without a batch dimension. */
#include "base/str.h"
#include "engine/nn/layer.h"
#include "engine/ops/table.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- making ---- */
static bool add_direction(lt_ctx *ctx, lt_module *l, int64_t in, int32_t layer, bool back) {
    static const char *const names[] = {"weight_ih", "weight_hh", "bias_ih", "bias_hh"};
    const int64_t G = (l->kind == LTH_LSTM_LAYER ? 4 : 3) * l->out, shapes[4][2] = {{G, in}, {G, l->out}, {G, 0}, {G, 0}};
    for (int k = 0; k < (l->rnn.bias ? 4 : 2); k++) {
        char name[40];
        snprintf(name, sizeof name, "%s_l%d%s", names[k], layer, back ? "_reverse" : "");
        lth_param *p = lth_layer_param(ctx, l, name, k < 2 ? 2 : 1, shapes[k]);
        if (!p) {
            return false;
        }
        p->init = LTH_INIT_UNIFORM;
        p->bound = 1 / sqrt((double)l->out);
    }
    return true;
}

enum { MAX_STATES = 64 }; /* layers x directions */

static bool check(lt_ctx *ctx, const char *op, int64_t in, int64_t hidden, const lt_nn_recurrent_opts *o) {
    const int64_t layers = o->num_layers ? o->num_layers : 1, directions = o->bidirectional ? 2 : 1;
    if (!lth_in_range(ctx, op, "input_size", in, 1) || !lth_in_range(ctx, op, "hidden_size", hidden, 1) ||
        !lth_in_range(ctx, op, "num_layers", layers, 1)) {
        return false;
    }
    if (!(o->dropout >= 0 && o->dropout <= 1)) {
        lth_fail_op(&ctx->error, LT_EINVAL, op, NULL, "%s: dropout must lie between 0 and 1, got %g", op, o->dropout);
        return false;
    }
    if (o->dropout > 0 && o->num_layers <= 1) {
        lth_fail_op(&ctx->error, LT_EINVAL, op, NULL, "%s: dropout %g acts between layers, but there is one; set num_layers, or use lt_nn_dropout", op,
                    o->dropout);
        return false;
    }
    if (layers * directions > MAX_STATES) {
        lth_fail_op(&ctx->error, LT_EUNSUPPORTED, op, NULL, "%s: %lld layers in %lld direction%s are %lld; at most %d can be run", op, (long long)layers,
                    (long long)directions, directions > 1 ? "s" : "", (long long)(layers * directions), MAX_STATES);
        return false;
    }
    return true;
}

static lt_module *make(lt_ctx *ctx, lth_layer_kind kind, const char *type, const char *op, int64_t in, int64_t hidden, const lt_nn_recurrent_opts *opts,
                       void *caller) {
    lth_modules *m = lth_open_tree(ctx, op, caller);
    lt_nn_recurrent_opts o;
    if (!lth_read_opts(ctx, &o, sizeof o, opts, op, caller)) {
        return NULL;
    }
    lt_module *l = m && check(ctx, op, in, hidden, &o) ? lth_module_new(ctx, m, kind, type, op) : NULL;
    if (!l) {
        return NULL;
    }
    l->in = in;
    l->out = hidden;
    l->p = o.dropout;
    l->rnn.layers = o.num_layers ? o.num_layers : 1;
    l->rnn.directions = o.bidirectional ? 2 : 1;
    l->rnn.bias = !o.no_bias;
    l->rnn.batch_first = o.batch_first != 0;
    for (int32_t layer = 0; layer < l->rnn.layers; layer++) {
        for (int back = 0; back < l->rnn.directions; back++) {
            if (!add_direction(ctx, l, layer ? hidden * l->rnn.directions : in, layer, back)) {
                return NULL;
            }
        }
    }
    return l;
}

lt_module *lth_make_lstm(lt_ctx *ctx, int64_t in, int64_t hidden, const lt_nn_recurrent_opts *opts) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_nn_lstm", NULL);
    return make(ctx, LTH_LSTM_LAYER, "LSTM", "lt_nn_lstm", in, hidden, opts, LTH_CALLER);
}

lt_module *lth_make_gru(lt_ctx *ctx, int64_t in, int64_t hidden, const lt_nn_recurrent_opts *opts) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_nn_gru", NULL);
    return make(ctx, LTH_GRU_LAYER, "GRU", "lt_nn_gru", in, hidden, opts, LTH_CALLER);
}

/* ---- running ---- */
/* One run: the states of every layer and direction, as far as somebody wants them. */
typedef struct run {
    lt_ctx *ctx;
    lt_module *l;
    void *caller;
    lt_tensor *h0, *c0;             /* (layers x directions, B, H) or NULL */
    lt_tensor *h[MAX_STATES], *c[MAX_STATES];
} run;

/* (layers x directions, B, H) -> (B, H) of one. */
static lt_tensor *state_at(run *r, lt_tensor *all, int64_t at) {
    lt_tensor *one = all ? lth_tensor_table.slice(r->ctx, all, 0, at, at + 1) : NULL;
    return one ? lth_tensor_table.reshape(r->ctx, one, 2, &all->a.shape[1]) : NULL;
}

static lt_tensor *direction(run *r, lt_tensor *x, int64_t at, bool back) {
    const lt_module *l = r->l;
    const int per = l->rnn.bias ? 4 : 2;
    lt_tensor *in[7] = {x}, *out[LTH_MAX_OUT];
    for (int k = 0; k < per; k++) {
        in[1 + k] = l->places.at[at * per + k].param->value;
    }
    in[5] = state_at(r, r->h0, at);
    in[6] = state_at(r, r->c0, at);
    lth_attrs attrs = {.i = {back}};
    const bool lstm = l->kind == LTH_LSTM_LAYER;
    if (r->ctx->error.code || !lth_apply_all(r->ctx, lstm ? LTH_OP_LSTM : LTH_OP_GRU, in, lstm ? 7 : 6, &attrs, r->caller, out)) {
        return NULL;
    }
    r->h[at] = out[1];
    r->c[at] = lstm ? out[2] : NULL;
    return out[0];
}

static lt_tensor *run_layers(run *r, lt_tensor *x) {
    const lt_module *l = r->l;
    for (int32_t layer = 0; layer < l->rnn.layers && x; layer++) {
        lt_tensor *both[2] = {0};
        for (int back = 0; back < l->rnn.directions; back++) {
            both[back] = direction(r, x, (int64_t)layer * l->rnn.directions + back, back);
            if (!both[back]) {
                return NULL;
            }
        }
        x = l->rnn.directions == 2 ? lth_tensor_table.cat(r->ctx, both, 2, 2) : both[0];
        if (x && layer + 1 < l->rnn.layers && l->training && l->p > 0) {
            lth_attrs attrs = {.f = {l->p}};
            x = lth_apply(r->ctx, LTH_OP_DROPOUT, &x, 1, &attrs, r->caller);
        }
    }
    return x;
}

/* (B, H) each -> (n, B, H) */
static lt_tensor *stack(lt_ctx *ctx, lt_tensor **items, int32_t n) {
    for (int32_t k = 0; k < n; k++) {
        const int64_t shape[3] = {1, items[k]->a.shape[0], items[k]->a.shape[1]};
        items[k] = lth_tensor_table.reshape(ctx, items[k], 3, shape);
        if (!items[k]) {
            return NULL;
        }
    }
    return n == 1 ? items[0] : lth_tensor_table.cat(ctx, items, n, 0);
}

static bool check_state(run *r, const lt_tensor *x, const lt_tensor *state, const char *name) {
    const int64_t n = (int64_t)r->l->rnn.layers * r->l->rnn.directions, B = x->a.shape[1];
    if (!state || (state->a.ndim == 3 && state->a.shape[0] == n && state->a.shape[1] == B && state->a.shape[2] == r->l->out)) {
        return true;
    }
    char shown[128], what[160];
    lth_format_shape(shown, sizeof shown, state->a.shape, state->a.ndim);
    lth_module_describe(r->l, what, sizeof what);
    lth_fail_op(&r->ctx->error, LT_ESHAPE, "lt_recurrent_forward", r->caller, "%s got a state %s %s; it must be (%lld, %lld, %lld): layers x directions, "
                "batch, hidden", what, name, shown, (long long)n, (long long)B, (long long)r->l->out);
    return false;
}

static bool check_input(run *r, const lt_tensor *x) {
    if (x->a.ndim == 3 && x->a.shape[2] == r->l->in) {
        return true;
    }
    char shown[128], what[160];
    lth_format_shape(shown, sizeof shown, x->a.shape, x->a.ndim);
    lth_module_describe(r->l, what, sizeof what);
    lth_fail_op(&r->ctx->error, LT_ESHAPE, "lt_recurrent_forward", r->caller, "%s got %s; it takes (%s, %lld)", what, shown,
                r->l->rnn.batch_first ? "B, T" : "T, B", (long long)r->l->in);
    return false;
}

lt_tensor *lth_run_recurrent(lt_ctx *ctx, lt_module *l, lt_tensor *x, lt_recurrent_state *state, void *caller) {
    run r = {.ctx = ctx, .l = l, .caller = caller, .h0 = state ? state->h : NULL, .c0 = state && l->kind == LTH_LSTM_LAYER ? state->c : NULL};
    const int32_t n = l->rnn.layers * l->rnn.directions;
    if (!check_input(&r, x)) {
        return NULL;
    }
    lt_tensor *y = l->rnn.batch_first ? lth_tensor_table.transpose(ctx, x, 0, 1) : x;
    if (!y || !check_state(&r, y, r.h0, "h") || !check_state(&r, y, r.c0, "c")) {
        return NULL;
    }
    y = run_layers(&r, y);
    if (y && state) {
        state->h = stack(ctx, r.h, n);
        state->c = l->kind == LTH_LSTM_LAYER ? stack(ctx, r.c, n) : NULL;
    }
    return y && l->rnn.batch_first ? lth_tensor_table.transpose(ctx, y, 0, 1) : y;
}

lt_tensor *lth_recurrent_forward(lt_ctx *ctx, lt_module *module, lt_tensor *x, lt_recurrent_state *state) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_recurrent_forward", NULL);
    if (!lth_can_run(ctx, module, x, "lt_recurrent_forward", LTH_CALLER)) {
        return NULL;
    }
    lt_module *l = lth_target(module);
    if (l->kind != LTH_LSTM_LAYER && l->kind != LTH_GRU_LAYER) {
        lth_fail_op(&ctx->error, LT_EINVAL, "lt_recurrent_forward", LTH_CALLER, "lt_recurrent_forward: '%s' is a %s, but must be an LSTM or a GRU",
                    l->name, l->type);
        return NULL;
    }
    lt_tensor *y = lth_run_recurrent(ctx, l, x, state, LTH_CALLER);
    lth_record_run(l, x, y);
    return y;
}
