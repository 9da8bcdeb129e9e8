/* LSTMClassifier: reads an image row by row with an LSTM and classifies from the last hidden state. */
#include "../shared/classifier.h"

typedef struct {
    int64_t input_size, hidden, num_layers, num_classes;
    double dropout, lr;
    lt_module *lstm, *fc;
} classifier;

LT_PARAMS(classifier,
    LT_PARAM(input_size, "28", "Values in a row of the image.", LT_RANGE("1..")),
    LT_PARAM(hidden, "128", "Width of the hidden state.", LT_RANGE("1..")),
    LT_PARAM(num_layers, "1", "LSTM layers, one upon the other.", LT_RANGE("1..32")),
    LT_PARAM(num_classes, "10", "Number of classes.", LT_RANGE("2..")),
    LT_PARAM(dropout, "0", "Dropout between layers.", LT_RANGE("0..1")),
    LT_PARAM(lr, "0.001", "Learning rate of Adam.", LT_RANGE(">0")));

static lt_status configure(lt_ctx *ctx, void *self) {
    classifier *m = self;

    m->lstm = lt_child(ctx, "lstm", lt_nn_lstm(ctx, m->input_size, m->hidden, .num_layers = (int32_t)m->num_layers, .batch_first = true,
                                               .dropout = m->dropout));
    m->fc = lt_child(ctx, "fc", lt_nn_linear(ctx, m->hidden, m->num_classes));
    return lt_ctx_status(ctx);
}

static lt_status configure_optimizers(lt_ctx *ctx, void *self, lt_optim_setup *setup) {
    classifier *m = self;

    return lt_use_optimizer(ctx, setup, "Adam", "lr: %.17g", m->lr);
}

/* (B, ..., W) -> rows in the order they lie -> (B, C) */
static lt_tensor *forward(lt_ctx *ctx, void *self, lt_tensor *x) {
    classifier *m = self;
    int64_t rows[3] = {lt_size(ctx, x, 0), -1, m->input_size}, last[2] = {rows[0], m->hidden};
    lt_recurrent_state state = {.struct_size = sizeof state};

    lt_recurrent_forward(ctx, m->lstm, lt_reshape(ctx, x, 3, rows), &state);
    return lt_forward(ctx, m->fc, lt_reshape(ctx, lt_slice(ctx, state.h, 0, m->num_layers - 1, m->num_layers), 2, last));
}

CLASSIFIER_STEPS(forward)

static lt_tensor *example_input(lt_ctx *ctx, void *self) {
    const int64_t shape[] = {1, 1, 28, ((classifier *)self)->input_size};

    return lt_zeros(ctx, LT_F32, 4, shape);
}

LT_MODEL(LSTMClassifier, classifier, "LSTM that reads an image row by row.",
    .configure = configure,
    .configure_optimizers = configure_optimizers,
    .forward = forward,
    .training_step = training_step,
    .validation_step = validation_step,
    .test_step = test_step,
    .example_input = example_input,
    .base.flags = LT_MODEL_CAPTURABLE);
LT_PLUGIN("org.lthost.lstm-classifier", "0.1.0", model(LSTMClassifier));
