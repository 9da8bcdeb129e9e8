/* Unit test of model.c on the SDK's mock host. */
#include <lt/testing.h>

int main(void) {
    lt_mock *mock = lt_mock_open(lt_plugin_entry_v1);
    lt_ctx *ctx = lt_mock_ctx(mock);
    const lt_model *model = lt_mock_component(mock, "lt.model/1", "Perceptron");
    void *self = lt_mock_new(mock, &model->base, "features", "2", "hidden", "8", NULL);
    const float x[] = {0.0f, 0.5f, 1.0f, -1.0f};
    const int64_t y[] = {0, 1}, shape[] = {2, 2};
    lt_tensor *items[2];

    items[0] = lt_from_data(ctx, LT_F32, 2, shape, x);
    items[1] = lt_from_data(ctx, LT_I64, 1, shape, y);
    lt_mock_check(mock, model->configure(ctx, self) == LT_OK);
    lt_mock_check(mock, model->training_step(ctx, self, lt_mock_batch(mock, items, 2), &mock->out) == LT_OK);
    lt_mock_check(mock, mock->loss > 0 && mock->loss == lt_mock_metric(mock, "train_loss"));

    items[0] = lt_full(ctx, LT_F32, 2, shape, 0);
    items[1] = lt_scalar(ctx, LT_I64, 1); /* a target without a batch dimension: the step must fail, and say why */
    lt_mock_check(mock, model->training_step(ctx, self, lt_mock_batch(mock, items, 2), &mock->out) == LT_ESHAPE);
    return lt_mock_close(mock);
}
