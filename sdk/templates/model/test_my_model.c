/* Unit test of the plugin on the SDK's mock host: does it configure, step and log as meant? Gradients and training are lthost's. */
#include <lt/testing.h>

int main(void) {
    lt_mock *mock = lt_mock_open(lt_plugin_entry_v1);
    lt_ctx *ctx = lt_mock_ctx(mock);
    const lt_model *model = lt_mock_component(mock, "lt.model/1", "MyModel");
    const lt_datamodule *data = lt_mock_component(mock, "lt.datamodule/1", "MyData");
    void *net = lt_mock_new(mock, &model->base, "hidden", "8", NULL), *points = lt_mock_new(mock, &data->base, "samples", "100", NULL);
    const lt_batch *batch;
    lt_tensor *logits;

    lt_mock_check(mock, data->setup(ctx, points) == LT_OK);
    batch = lt_mock_load(mock, data->train_dataloader(ctx, points), 0, 12);
    lt_mock_check(mock, batch && lt_batch_size(ctx, batch) == 12);

    lt_mock_check(mock, model->configure(ctx, net) == LT_OK);
    lt_mock_check(mock, model->configure_optimizers(ctx, net, &mock->optim) == LT_OK && !strcmp(mock->optim.optimizer, "Adam"));
    logits = model->forward(ctx, net, lt_batch_get(ctx, batch, 0));
    lt_mock_check(mock, lt_size(ctx, logits, 0) == 12 && lt_size(ctx, logits, 1) == 3);
    lt_mock_check(mock, model->training_step(ctx, net, batch, &mock->out) == LT_OK);
    lt_mock_check(mock, mock->loss > 0 && fabs(mock->loss - lt_mock_metric(mock, "train_loss")) < 1e-12);
    lt_mock_check(mock, model->validation_step(ctx, net, batch, &mock->out) == LT_OK);
    lt_mock_check(mock, lt_mock_metric(mock, "val_acc") >= 0 && lt_mock_metric(mock, "val_acc") <= 1);
    return lt_mock_close(mock);
}
