/* Unit test of metric.c: two batches, each with states of its own. */
#include <lt/testing.h>

int main(void) {
    lt_mock *mock = lt_mock_open(lt_plugin_entry_v1);
    lt_ctx *ctx = lt_mock_ctx(mock);
    const lt_metric_component *metric = lt_mock_component(mock, "lt.metric/1", "WithinTolerance");
    void *self = lt_mock_new(mock, &metric->base, "tolerance", "0.5", NULL);
    const float p[] = {0, 1, 2, 3}, t[] = {0.25f, 1, 4, 3};
    const int64_t four = 4, three = 3;
    double out[2];

    lt_mock_check(mock, metric->setup(ctx, self) == LT_OK);
    lt_mock_metric_begin(ctx);
    lt_mock_check(mock, metric->update(ctx, self, lt_from_data(ctx, LT_F32, 1, &four, p), lt_from_data(ctx, LT_F32, 1, &four, t)) == LT_OK);
    lt_mock_check(mock, metric->compute(ctx, self, out) == LT_OK && out[0] == 0.75 && out[1] == 2);
    lt_mock_metric_begin(ctx);
    lt_mock_check(mock, metric->update(ctx, self, lt_from_data(ctx, LT_F32, 1, &three, p), lt_from_data(ctx, LT_F32, 1, &four, t)) == LT_ESHAPE);
    return lt_mock_close(mock);
}
