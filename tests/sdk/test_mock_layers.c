/* tests/sdk/test_mock_layers.c - the modules of lt/nn_layers.h on the mock host: what it has gives the numbers its formulas say, the rest is
 * refused by name. It is a plugin itself, as a plugin author's unit test is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <lt/model.h>
#include <lt/testing.h>

typedef struct net { int64_t unused; } net;
LT_PARAMS(net, LT_PARAM(unused, "0", "Nothing."));
static lt_status training_step(lt_ctx *ctx, void *self, const lt_batch *batch, lt_step_out *out) {
    (void)self;
    return lt_step_loss(ctx, out, lt_batch_get(ctx, batch, 0));
}
LT_MODEL(Net, net, "Holds the place of a model.", .training_step = training_step);
LT_PLUGIN("org.example.mock_layers", "1.0.0", model(Net));

static void is(lt_ctx *ctx, lt_tensor *x, int32_t ndim, const int64_t *shape, const double *values) {
    if (!x) {
        fail_msg("%s", ctx->mock->error);
    }
    assert_int_equal(lt_ndim(ctx, x), ndim);
    for (int32_t d = 0; d < ndim; d++) {
        assert_int_equal(lt_size(ctx, x, d), shape[d]);
    }
    for (int64_t i = 0; i < lt_numel(ctx, x); i++) {
        assert_float_equal(lt_mock_get(x, i), values[i], 1e-6);
    }
}

static void numbers(void **state) {
    lt_mock *mock = lt_mock_open(lt_plugin_entry_v1);
    lt_ctx *ctx = lt_mock_ctx(mock);
    static const float data[6] = {1, 2, 3, 4, 5, 9};
    lt_tensor *x = lt_from_data(ctx, LT_F32, 3, (int64_t[]){1, 2, 3}, data), *y;
    lt_module *conv = lt_nn_conv1d(ctx, 2, 1, 2, .no_bias = 1), *embedding = lt_nn_embedding(ctx, 3, 2, .has_padding_idx = 1, .padding_idx = -1);
    (void)state;
    assert_int_equal(lt_nn_init(ctx, conv, "weight", LT_INIT_CONSTANT, 1, 0), LT_OK);
    is(ctx, lt_forward(ctx, conv, x), 3, (int64_t[]){1, 1, 2}, (double[]){12, 19});
    is(ctx, lt_forward(ctx, lt_nn_max_pool1d(ctx, 2, .stride = 1), x), 3, (int64_t[]){1, 2, 2}, (double[]){2, 3, 5, 9});
    is(ctx, lt_forward(ctx, lt_nn_avg_pool1d(ctx, 3), x), 3, (int64_t[]){1, 2, 1}, (double[]){2, 6});
    y = lt_forward(ctx, lt_nn_rms_norm(ctx, 3, .eps = 1e-12), x);
    is(ctx, y, 3, (int64_t[]){1, 2, 3}, (double[]){1 / sqrt(14. / 3), 2 / sqrt(14. / 3), 3 / sqrt(14. / 3), 4 / sqrt(122. / 3), 5 / sqrt(122. / 3),
                                                   9 / sqrt(122. / 3)});
    y = lt_forward(ctx, lt_nn_softmax(ctx, 1), x);
    is(ctx, y, 3, (int64_t[]){1, 2, 3}, (double[]){1 / (1 + exp(3)), 1 / (1 + exp(3)), 1 / (1 + exp(6)), 1 / (1 + exp(-3)), 1 / (1 + exp(-3)),
                                                   1 / (1 + exp(-6))});
    y = lt_forward(ctx, lt_nn_log_softmax(ctx, 1), x);
    assert_float_equal(lt_mock_get(y, 5), -log(1 + exp(-6)), 1e-6);
    is(ctx, lt_forward(ctx, lt_nn_unflatten(ctx, -1, 2, (int64_t[]){-1, 1}), x), 4, (int64_t[]){1, 2, 3, 1}, (double[]){1, 2, 3, 4, 5, 9});
    y = lt_forward(ctx, embedding, lt_from_data(ctx, LT_I64, 1, (int64_t[]){1}, (int64_t[]){2}));
    is(ctx, y, 2, (int64_t[]){1, 2}, (double[]){0, 0});
    assert_int_equal(lt_mock_close(mock), 0);
}

static void refused(lt_ctx *ctx, const void *result, lt_status code, const char *text) {
    assert_null(result);
    assert_int_equal(ctx->mock->code, code);
    if (!strstr(ctx->mock->error, text)) {
        fail_msg("'%s' is not in '%s'", text, ctx->mock->error);
    }
    lt_mock_clear(ctx->mock);
}

static void refusals(void **state) {
    lt_mock *mock = lt_mock_open(lt_plugin_entry_v1);
    lt_ctx *ctx = lt_mock_ctx(mock);
    const int64_t shape[1] = {4};
    (void)state;
    refused(ctx, lt_nn_conv_transpose2d(ctx, 1, 2, 3), LT_EUNSUPPORTED, "the mock host has no lt_nn_conv_transpose1d and lt_nn_conv_transpose2d");
    refused(ctx, lt_nn_adaptive_avg_pool1d(ctx, 1), LT_EUNSUPPORTED, "adaptive pools");
    refused(ctx, lt_nn_upsample(ctx, 2), LT_EUNSUPPORTED, "lt_nn_upsample");
    refused(ctx, lt_nn_group_norm(ctx, 1, 2), LT_EUNSUPPORTED, "lt_nn_group_norm");
    refused(ctx, lt_nn_instance_norm2d(ctx, 2), LT_EUNSUPPORTED, "lt_nn_instance_norm2d");
    refused(ctx, lt_nn_layer_norm_over(ctx, 1, shape, NULL), LT_EUNSUPPORTED, "lt_nn_layer_norm_over");
    refused(ctx, lt_nn_embedding(ctx, 3, 2, .has_padding_idx = 1, .padding_idx = 3), LT_EINVAL, "padding_idx 3 is none of the 3 rows");
    refused(ctx, lt_forward(ctx, lt_nn_unflatten(ctx, 0, 1, shape), lt_zeros(ctx, LT_F32, 1, (int64_t[]){3})), LT_ESHAPE, "3 elements do not make");
    lt_tensor *x = lt_zeros(ctx, LT_F32, 2, (int64_t[]){4, 2}), *wide = lt_zeros(ctx, LT_I64, 2, (int64_t[]){4, 3});
    refused(ctx, lt_gather(ctx, x, 0, wide), LT_ESHAPE, "index has 3 along dimension 1, x 2");
    refused(ctx, lt_cumsum(ctx, x, 2), LT_EINDEX, "no dimension 2 among 2");
    refused(ctx, lt_narrow(ctx, x, 0, 0, -1), LT_EINDEX, "lt_narrow: -1 elements from 0 on, but dimension 0 has 4");
    refused(ctx, lt_narrow(ctx, x, 0, -3, 5), LT_EINDEX, "lt_narrow: 5 elements from -3 on");
    refused(ctx, lt_narrow(ctx, x, 0, 1, INT64_MAX), LT_EINDEX, "lt_narrow");
    assert_int_equal(lt_size(ctx, lt_narrow(ctx, x, 0, -3, 3), 0), 3);
    lt_mock_close(mock);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(numbers), cmocka_unit_test(refusals)};
    return cmocka_run_group_tests_name("sdk.mock_layers", tests, NULL, NULL);
}
