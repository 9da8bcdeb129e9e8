/* Blocks: reads a sample as a sequence of numbers with a GRU, then refines what it read in blocks that share one name. A model of groups and
 * lists, whose parameters are called reader.weight_ih_l0, blocks.0.norm.weight, blocks.0.up.weight, ..., out.weight. */
#include <lt/model.h>

enum { MOST = 8 };

typedef struct {
    int64_t hidden, blocks, classes;
    lt_module *reader, *norm[MOST], *up[MOST], *down[MOST], *out;
} model;

LT_PARAMS(model,
    LT_PARAM(hidden, "32", "Width of the state.", LT_RANGE("1..")),
    LT_PARAM(blocks, "2", "Number of blocks.", LT_RANGE("0..8")),
    LT_PARAM(classes, "2", "Number of classes.", LT_RANGE("2..")));

static lt_status configure(lt_ctx *ctx, void *self) {
    model *m = self;
    lt_module *list;

    m->reader = lt_child(ctx, "reader", lt_nn_gru(ctx, 1, m->hidden, .batch_first = 1));
    list = lt_nn_module_list_of(ctx, "blocks", NULL, 0);
    for (int64_t k = 0; k < m->blocks; k++) {
        lt_module *block = lt_child_of(ctx, list, NULL, lt_nn_module_as(ctx, NULL, "Block"));

        m->norm[k] = lt_child_of(ctx, block, "norm", lt_nn_layer_norm(ctx, m->hidden));
        m->up[k] = lt_child_of(ctx, block, "up", lt_nn_linear(ctx, 0, 2 * m->hidden)); /* 0: as wide as what comes */
        m->down[k] = lt_child_of(ctx, block, "down", lt_nn_linear(ctx, 0, m->hidden));
    }
    m->out = lt_child(ctx, "out", lt_nn_linear(ctx, m->hidden, m->classes));
    return lt_ctx_status(ctx);
}

static lt_status configure_optimizers(lt_ctx *ctx, void *self, lt_optim_setup *setup) {
    (void)self;
    return lt_use_optimizer(ctx, setup, "Adam", "lr: 0.01");
}

static lt_tensor *forward(lt_ctx *ctx, void *self, lt_tensor *x) {
    model *m = self;
    int64_t sequence[3] = {lt_size(ctx, x, 0), -1, 1}, state_shape[2] = {0, -1};
    lt_recurrent_state state = {.struct_size = sizeof state};
    lt_tensor *h;

    state_shape[0] = sequence[0];
    lt_recurrent_forward(ctx, m->reader, lt_reshape(ctx, x, 3, sequence), &state); /* state.h (1, B, hidden) */
    h = lt_reshape(ctx, state.h, 2, state_shape);
    for (int64_t k = 0; k < m->blocks; k++) {
        lt_tensor *wide = lt_relu(ctx, lt_forward(ctx, m->up[k], lt_forward(ctx, m->norm[k], h)));

        h = lt_add(ctx, h, lt_forward(ctx, m->down[k], wide));
    }
    return lt_forward(ctx, m->out, h);
}

static lt_status training_step(lt_ctx *ctx, void *self, const lt_batch *batch, lt_step_out *out) {
    lt_tensor *logits = forward(ctx, self, lt_batch_get(ctx, batch, 0));

    return lt_step_loss(ctx, out, lt_cross_entropy(ctx, logits, lt_batch_get(ctx, batch, 1)));
}

static lt_status validation_step(lt_ctx *ctx, void *self, const lt_batch *batch, lt_step_out *out) {
    lt_tensor *logits = forward(ctx, self, lt_batch_get(ctx, batch, 0));

    (void)out;
    lt_log(ctx, "val_acc", lt_accuracy(ctx, logits, lt_batch_get(ctx, batch, 1)), LT_LOG_PROG_BAR);
    return lt_ctx_status(ctx);
}

LT_MODEL(Blocks, model, "A GRU and a list of blocks.",
    .configure = configure,
    .configure_optimizers = configure_optimizers,
    .forward = forward,
    .training_step = training_step,
    .validation_step = validation_step);
LT_PLUGIN("org.example.blocks", "1.0.0", model(Blocks));
