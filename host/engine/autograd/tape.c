/* engine/autograd/tape.c - recording and forgetting. Nodes lie in step memory and are forgotten by setting one pointer; only contexts of
 * custom operations have anything to clean up. It walks nothing: backward.c. */
#include "base/mem.h"
#include "engine/autograd/gradient.h"

static void tape_end(lth_engine *e, bool closing) {
    lth_tape_clear(e);
    if (closing) {
        lth_free(e->tape);
        e->tape = NULL;
    }
}

/* Made with the first node of a run; later steps find it. */
static lth_tape *tape_of(lth_engine *e) {
    if (!e->tape) {
        e->tape = lth_alloc(sizeof *e->tape);
        e->tape_end = tape_end;
    }
    return e->tape;
}

lth_tape_node *lth_tape_record(lth_engine *e, const lth_call *call, lt_tensor *const *in, lt_tensor *const *out) {
    lth_tape *tape = tape_of(e);
    lth_tape_node *node = tape ? lth_step_struct(e, sizeof *node) : NULL;
    if (!node) {
        return NULL;
    }
    node->call = *call;
    if (call->attrs) {
        node->attrs = *call->attrs;
    }
    node->call.attrs = &node->attrs;
    for (int k = 0; k < call->n_in; k++) {
        node->in[k] = in[k];
        node->in_version[k] = in[k] ? lth_root(in[k])->version : 0;
    }
    for (int k = 0; k < call->n_out; k++) {
        lt_tensor *y = out[k];
        node->out[k] = y;
        node->out_version[k] = lth_root(y)->version;
        node->partial |= y->node != NULL;
        y->node = node;
        y->out_index = (uint8_t)k;
        y->is_leaf = 0;
        y->requires_grad = lth_is_float(y->a.dtype);
    }
    node->previous = tape->last;
    tape->last = node;
    tape->count++;
    return node;
}

bool lth_record(lth_engine *e, const lth_call *call, lt_tensor *const *in, lt_tensor *const *out, const lth_ran *ran) {
    lth_tape_node *node = lth_tape_record(e, call, in, out);
    if (!node) {
        return false;
    }
    if (ran) {
        node->kernel = ran->kernel;
        node->device = ran->device;
        node->workspace = ran->workspace;
    }
    return true;
}

/* Whoever had x as it was, has it under the new name. Nodes older than the one that made x cannot. */
static void hand_over(lth_tape *tape, const lth_tape_node *maker, lt_tensor *x, lt_tensor *old) {
    for (lth_tape_node *node = tape->last; node && node != maker; node = node->previous) {
        for (int k = 0; k < node->call.n_in; k++) {
            if (node->in[k] == x) {
                node->in[k] = old;
                node->call.in[k] = &old->a;
            }
        }
        for (int k = 0; k < node->n_saved; k++) {
            node->saved[k] = node->saved[k] == x ? old : node->saved[k];
        }
    }
}

/* The node that made x, and the older ones that filled other parts of it: their output is what x was. */
static void rename_outputs(lth_tape_node *maker, const lt_tensor *x, lt_tensor *old) {
    bool more = maker != NULL;
    for (lth_tape_node *node = maker; node && more; node = node->previous) {
        for (int k = 0; k < node->call.n_out; k++) {
            if (node->out[k] == x) {
                node->out[k] = old;
                node->call.out[k] = &old->a;
                more = node->partial;
            }
        }
    }
}

/* x takes y's place, and what it was goes on as the tensor returned. NULL: out of memory. */
static lt_tensor *take_place(lth_engine *e, lt_tensor *x, lt_tensor *y) {
    lt_tensor *old = lth_tensor_alias(e, x, NULL);
    lth_tape *tape = tape_of(e);
    if (!old || !tape) {
        return NULL;
    }
    old->node = x->node;
    old->out_index = x->out_index;
    old->is_leaf = x->is_leaf;
    old->requires_grad = x->requires_grad;
    rename_outputs(old->node, x, old);
    hand_over(tape, old->node, x, old);
    x->node = y->node;
    x->out_index = y->out_index;
    x->is_leaf = y->is_leaf;
    x->requires_grad = y->requires_grad;
    if (x->node) { /* the kernel's backward reads y's memory, which holds the same */
        x->node->out[x->out_index] = x;
        x->node->out_version[x->out_index] = lth_root(x)->version;
    }
    return old;
}

bool lth_rewrite_history(lth_engine *e, lt_tensor *x, lt_tensor *y) {
    x->version++; /* before its place is taken: the result's version is the new one */
    x->rewritten++;
    lt_tensor *old = take_place(e, x, y);
    if (!old) {
        return false;
    }
    old->rewritten--;
    if (x->a.layout != y->a.layout) { /* then its gradient must lie as y's does, and nobody else sees x's memory */
        x->a = y->a;
        x->data_home = y->data_home;
    }
    return true;
}

bool lth_move_history(lth_engine *e, lt_tensor *x, lt_tensor *y) {
    lt_tensor *old = take_place(e, x, y);
    if (!old) {
        return false;
    }
    old->version = lth_root(x)->version; /* its memory is its own now: no change of x reaches it */
    old->base = NULL;
    x->a = y->a;
    x->data_home = y->data_home;
    return true;
}

void lth_tape_keep_context(lth_engine *e, lth_tape_node *node) {
    node->next_context = e->tape->contexts;
    e->tape->contexts = node;
}

void lth_tape_clear(lth_engine *e) {
    lth_tape *tape = e->tape;
    if (!tape) {
        return;
    }
    for (lth_tape_node *node = tape->contexts; node; node = node->next_context) {
        node->custom->destroy_context(node->context, node->context_size);
    }
    *tape = (lth_tape){0};
}
