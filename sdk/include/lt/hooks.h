/* lt/hooks.h - every hook of the run, in the order in which the trainer calls them. The host's dispatch and docs/hooks.md
 * are made from this table. X(name, components, text): components M model, C callback, D datamodule. All have one signature:
 *     lt_status hook(lt_ctx *ctx, void *self);
 * Where the run is comes from lt_now(ctx). Callbacks run before the model, datamodules before callbacks, except that at
 * on_train_epoch_end a callback with LT_CALLBACK_LAST (checkpoints, early stopping) runs after the model.
 * Since the table also lays out the hook structs, new hooks are appended at its end with the ABI minor they came in. */
#ifndef LT_HOOKS_H
#define LT_HOOKS_H
#include <lt/base.h>

LT_BEGIN
typedef lt_status lt_hook(lt_ctx *ctx, void *self);
LT_END

#define LT_HOOKS(X) \
    X(prepare_data, "DM", "Download or convert data; once, before setup; must not set state.") \
    X(setup, "DCM", "A stage begins (lt_now: stage). Make datasets here.") \
    X(on_fit_start, "CM", "fit begins; weights and, on resume, states are in place.") \
    X(on_sanity_check_start, "C", "Before the validation batches run ahead of training.") \
    X(on_sanity_check_end, "C", "After them; their metrics are dropped.") \
    X(on_train_start, "CM", "Before the first epoch.") \
    X(on_train_epoch_start, "CM", "An epoch begins; not called again when a run resumes inside it.") \
    X(on_before_batch_transfer, "DM", "A batch came from the loader, on the host.") \
    X(on_after_batch_transfer, "DM", "The batch is on the device.") \
    X(on_train_batch_start, "CM", "Before training_step; returning LT_SKIP ends the epoch.") \
    X(on_before_zero_grad, "CM", "Before gradients are cleared; first batch of an accumulation window, after the forward pass.") \
    X(on_before_backward, "CM", "The loss is known, before backward.") \
    X(on_after_backward, "CM", "Gradients of this batch are known, before clipping.") \
    X(on_before_optimizer_step, "CM", "Gradients of the window are complete, before clipping.") \
    X(configure_gradient_clipping, "M", "Replaces the trainer's clipping.") \
    X(on_train_batch_end, "CM", "After the update; outputs of the step can be read.") \
    X(on_validation_model_zero_grad, "M", "Validation inside fit is about to begin.") \
    X(on_validation_model_eval, "M", "The model is about to be put into eval mode for validation.") \
    X(on_validation_start, "CM", "Validation begins.") \
    X(on_validation_epoch_start, "CM", "Validation begins, after on_validation_start.") \
    X(on_validation_batch_start, "CM", "Before validation_step.") \
    X(on_validation_batch_end, "CM", "After validation_step; outputs can be read.") \
    X(on_validation_epoch_end, "CM", "All batches are done; epoch means are not yet computed.") \
    X(on_validation_end, "CM", "Epoch metrics are known.") \
    X(on_validation_model_train, "M", "The modes from before validation are about to be restored.") \
    X(on_train_epoch_end, "CM", "The epoch's batches are done.") \
    X(on_train_end, "CM", "After the last epoch.") \
    X(on_fit_end, "CM", "fit is over.") \
    X(on_test_model_eval, "M", "The model is about to be put into eval mode for test.") \
    X(on_test_start, "CM", "test begins.") \
    X(on_test_epoch_start, "CM", "test begins, after on_test_start.") \
    X(on_test_batch_start, "CM", "Before test_step.") \
    X(on_test_batch_end, "CM", "After test_step; outputs can be read.") \
    X(on_test_epoch_end, "CM", "All batches are done; epoch means are not yet computed.") \
    X(on_test_end, "CM", "Epoch metrics are known.") \
    X(on_test_model_train, "M", "The modes from before test are about to be restored.") \
    X(on_predict_model_eval, "M", "The model is about to be put into eval mode for predict.") \
    X(on_predict_start, "CM", "predict begins.") \
    X(on_predict_epoch_start, "CM", "predict begins, after on_predict_start.") \
    X(on_predict_batch_start, "CM", "Before predict_step.") \
    X(on_predict_batch_end, "CM", "After predict_step; outputs can be read.") \
    X(on_predict_epoch_end, "CM", "All batches are done.") \
    X(on_predict_end, "CM", "predict is over.") \
    X(on_predict_model_train, "M", "The modes from before predict are about to be restored.") \
    X(on_exception, "DCM", "The run failed or was interrupted; the reason is in lt_now.") \
    X(teardown, "DCM", "A stage ends; always called, also after a failure.")

#endif
