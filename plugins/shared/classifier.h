/* shared/classifier.h - the steps that every classifier here has in common: cross-entropy on batches (x, target), logged as train_loss, and loss
 * and accuracy on held-out data under the names of the stage. CLASSIFIER_STEPS(forward) defines training_step, validation_step and test_step
 * on a `forward` that gives logits (B, C). It makes no model and chooses no optimizer. */
#ifndef LTHOST_PLUGINS_CLASSIFIER_H
#define LTHOST_PLUGINS_CLASSIFIER_H
#include <lt/model.h>

static inline lt_status classifier_train(lt_ctx *ctx, lt_tensor *logits, const lt_batch *batch, lt_step_out *out) {
    lt_tensor *loss = lt_cross_entropy(ctx, logits, lt_batch_get(ctx, batch, 1)); /* () */

    lt_log(ctx, "train_loss", loss, LT_LOG_PROG_BAR);
    return lt_step_loss(ctx, out, loss);
}

static inline lt_status classifier_measure(lt_ctx *ctx, lt_tensor *logits, const lt_batch *batch, const char *loss_name, const char *acc_name) {
    lt_tensor *target = lt_batch_get(ctx, batch, 1);

    lt_log(ctx, loss_name, lt_cross_entropy(ctx, logits, target), LT_LOG_PROG_BAR);
    lt_log(ctx, acc_name, lt_accuracy(ctx, logits, target), LT_LOG_PROG_BAR);
    return lt_ctx_status(ctx);
}

#define CLASSIFIER_STEPS(forward) \
    static lt_status training_step(lt_ctx *ctx, void *self, const lt_batch *batch, lt_step_out *out) { \
        return classifier_train(ctx, forward(ctx, self, lt_batch_get(ctx, batch, 0)), batch, out); \
    } \
    static lt_status validation_step(lt_ctx *ctx, void *self, const lt_batch *batch, lt_step_out *out) { \
        (void)out; \
        return classifier_measure(ctx, forward(ctx, self, lt_batch_get(ctx, batch, 0)), batch, "val_loss", "val_acc"); \
    } \
    static lt_status test_step(lt_ctx *ctx, void *self, const lt_batch *batch, lt_step_out *out) { \
        (void)out; \
        return classifier_measure(ctx, forward(ctx, self, lt_batch_get(ctx, batch, 0)), batch, "test_loss", "test_acc"); \
    }
#endif
