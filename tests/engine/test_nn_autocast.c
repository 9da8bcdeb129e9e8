/* tests/engine/test_nn_autocast.c - every layer under bf16-mixed, on both backends: an input of f32 and one of bf16 run, forward and back, with
 * values near those of f32, gradients of f32 for the weights, and the dtypes that PyTorch's autocast gives on the CPU. */
#include "test_module.h"

#define O(type, ...) (&(type){.struct_size = sizeof(type), __VA_ARGS__})
#define ITEMS(...) (lt_module *const[]){__VA_ARGS__}, sizeof((lt_module *const[]){__VA_ARGS__}) / sizeof(lt_module *)
typedef lt_nn_layer_norm_opts ln;
typedef lt_nn_encoder_layer_opts enc;

static lt_module *m_linear(lt_ctx *c) { return nn->linear(c, 8, 6, true); }
static lt_module *m_conv2(lt_ctx *c) { return nn->conv2d(c, 4, 6, 3, NULL); }
static lt_module *m_conv1(lt_ctx *c) { return nn->conv1d(c, 4, 6, 3, NULL); }
static lt_module *m_up1(lt_ctx *c) { return nn->conv_transpose(c, 1, 4, 6, 3, NULL); }
static lt_module *m_up2(lt_ctx *c) { return nn->conv_transpose(c, 2, 4, 6, 3, NULL); }
static lt_module *m_bn1(lt_ctx *c) { return nn->batch_norm(c, 1, 4, NULL); }
static lt_module *m_bn2(lt_ctx *c) { return nn->batch_norm(c, 2, 4, NULL); }
static lt_module *m_ln(lt_ctx *c) { return nn->layer_norm(c, 8, NULL); }
static lt_module *m_ln_bare(lt_ctx *c) { return nn->layer_norm(c, 8, O(ln, .no_affine = 1)); }
static lt_module *m_lno(lt_ctx *c) { return nn->layer_norm_over(c, 2, (int64_t[]){4, 8}, NULL); }
static lt_module *m_gn(lt_ctx *c) { return nn->group_norm(c, 2, 4, NULL); }
static lt_module *m_in(lt_ctx *c) { return nn->instance_norm(c, 4, O(lt_nn_instance_norm_opts, .affine = 1)); }
static lt_module *m_rms(lt_ctx *c) { return nn->rms_norm(c, 8, NULL); }
static lt_module *m_max(lt_ctx *c) { return nn->max_pool2d(c, O(lt_pool2d_opts, .kernel = {2})); }
static lt_module *m_avg(lt_ctx *c) { return nn->avg_pool2d(c, O(lt_pool2d_opts, .kernel = {2})); }
static lt_module *m_max1(lt_ctx *c) { return nn->pool1d(c, true, O(lt_pool1d_opts, .kernel = 2)); }
static lt_module *m_adaptive(lt_ctx *c) { return nn->adaptive_pool(c, 2, false, 2, 3); }
static lt_module *m_upsample(lt_ctx *c) { return nn->upsample(c, O(lt_interpolate_opts, .scale = {2}, .mode = LT_BILINEAR)); }
static lt_module *m_softmax(lt_ctx *c) { return nn->softmax(c, -1, false); }
static lt_module *m_gelu(lt_ctx *c) { return nn->activation(c, LT_ACT_GELU); }
static lt_module *m_attn(lt_ctx *c) { return nn->multihead(c, 8, 2, O(lt_nn_multihead_opts, .batch_first = 1)); }
static lt_module *m_post(lt_ctx *c) { return nn->encoder_layer(c, 8, 2, O(enc, .batch_first = 1, .no_dropout = 1, .dim_feedforward = 12)); }
static lt_module *m_pre(lt_ctx *c) { return nn->encoder_layer(c, 8, 2, O(enc, .norm_first = 1, .no_dropout = 1, .dim_feedforward = 12)); }
static lt_module *m_lstm(lt_ctx *c) { return nn->lstm(c, 8, 5, O(lt_nn_recurrent_opts, .num_layers = 2, .bidirectional = 1)); }
static lt_module *m_gru(lt_ctx *c) { return nn->gru(c, 8, 5, NULL); }
static lt_module *m_block(lt_ctx *c) { /* as ResNet's */
    const lt_nn_conv2d_opts same = {.struct_size = sizeof same, .padding = 1};
    return nn->residual(c, NULL, LT_ACT_RELU, ITEMS(nn->conv2d(c, 4, 4, 3, &same), nn->batch_norm(c, 2, 4, NULL), nn->activation(c, LT_ACT_RELU),
                                                   nn->conv2d(c, 4, 4, 3, &same), nn->batch_norm(c, 2, 4, NULL)));
}
static lt_module *m_aside(lt_ctx *c) {
    lt_module *shortcut = nn->sequential(c, NULL, ITEMS(nn->linear(c, 8, 6, true), nn->layer_norm(c, 6, NULL)));
    return nn->residual(c, shortcut, LT_ACT_GELU, ITEMS(nn->linear(c, 8, 6, true), nn->layer_norm(c, 6, NULL)));
}

static const int64_t image[4] = {3, 4, 8, 8}, sequence[3] = {3, 4, 8};
enum { AS_X, LOW, WIDE }; /* what autocast gives: x's dtype, bf16, f32 */
static const struct { const char *name; lt_module *(*make)(lt_ctx *c); int ndim, gives; } cases[] = {
    {"linear", m_linear, 3, LOW}, {"conv2d", m_conv2, 4, LOW}, {"conv1d", m_conv1, 3, LOW}, {"conv_transpose1d", m_up1, 3, LOW},
    {"conv_transpose2d", m_up2, 4, LOW}, {"batch_norm1d", m_bn1, 3, AS_X}, {"batch_norm2d", m_bn2, 4, AS_X}, {"layer_norm", m_ln, 3, AS_X},
    {"layer_norm bare", m_ln_bare, 3, AS_X}, {"layer_norm_over", m_lno, 3, AS_X}, {"group_norm", m_gn, 4, AS_X}, {"instance_norm2d", m_in, 4, AS_X},
    {"rms_norm", m_rms, 3, AS_X}, {"max_pool2d", m_max, 4, AS_X}, {"avg_pool2d", m_avg, 4, -1}, {"max_pool1d", m_max1, 3, AS_X},
    {"adaptive_avg_pool2d", m_adaptive, 4, -1}, {"upsample", m_upsample, 4, -1}, {"softmax", m_softmax, 3, -1}, {"gelu", m_gelu, 3, AS_X},
    {"multihead", m_attn, 3, LOW}, {"encoder layer", m_post, 3, AS_X}, {"encoder layer, norm first", m_pre, 3, AS_X}, {"lstm", m_lstm, 3, -1},
    {"gru", m_gru, 3, -1}, {"residual block", m_block, 4, -1}, {"residual beside", m_aside, 3, LOW}};

static lt_tensor *input(model *t, int ndim, lt_dtype dtype) {
    lt_tensor *x = lth_tensor_new(t->e, LT_F32, ndim, ndim == 4 ? image : sequence, &t->ctx.error);
    for (int64_t i = 0; i < lth_numel(x); i++) {
        ((float *)x->a.data)[i] = sinf(0.7F * (float)i) + 0.01F * (float)(i % 7);
    }
    x = op->cast(&t->ctx, x, dtype);
    x->requires_grad = x->is_leaf = 1;
    return x;
}

static void run_case(const lth_backend *backend, size_t k, lt_dtype dtype) {
    double plain[4096], most = 0;
    for (int low = 0; low < 2; low++) {
        model t;
        open_model(&t, backend, 3);
        lt_module *l = nn->child(&t.ctx, "layer", cases[k].make(&t.ctx));
        seal(&t);
        t.e->autocast = low ? LT_BF16 : 0;
        lt_tensor *x = input(&t, cases[k].ndim, low ? dtype : LT_F32), *y = nn->forward(&t.ctx, l, x);
        if (!y) {
            fail_msg("%s of %s: %s", cases[k].name, lth_dtype_name(dtype), t.ctx.error.text);
        }
        assert_true(lth_numel(y) <= 4096);
        if (low && cases[k].gives >= 0) {
            assert_int_equal(y->a.dtype, cases[k].gives == AS_X ? dtype : cases[k].gives == LOW ? LT_BF16 : LT_F32);
        }
        for (int64_t i = 0; i < lth_numel(y); i++) {
            double v;
            assert_int_equal(lth_tensor_read(y, i, 1, &v, &t.ctx.error), LT_OK);
            plain[i] = low ? plain[i] : v;
            most = fabs(plain[i]) > most ? fabs(plain[i]) : most;
            if (low && !(fabs(v - plain[i]) <= 0.04 * most)) {
                fail_msg("%s of %s: element %lld is %g, %g in f32", cases[k].name, lth_dtype_name(dtype), (long long)i, v, plain[i]);
            }
        }
        if (lth_backward(&t.ctx, op->sum(&t.ctx, op->mul(&t.ctx, y, y), NULL, 0, false), NULL, 1) != LT_OK) {
            fail_msg("%s of %s: %s", cases[k].name, lth_dtype_name(dtype), t.ctx.error.text);
        }
        assert_int_equal(x->grad->a.dtype, x->a.dtype);
        for (int64_t p = 0; p < t.m->n_params; p++) {
            assert_int_equal(t.m->params[p]->value->grad->a.dtype, LT_F32);
            assert_false(lth_param_fresh(t.m->params[p]));
        }
        close_model(&t);
    }
}

static void every_layer(void **state) {
    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        for (int way = 0; way < 4; way++) {
            run_case(way % 2 ? &lth_backend_cpu : &lth_backend_reference, k, way / 2 ? LT_BF16 : LT_F32);
        }
    }
}

/* Masks of f32 and bool beside queries of either dtype, with the weights and without. */
static void masks(void **state) {
    (void)state;
    for (int way = 0; way < 16; way++) {
        model t;
        open_model(&t, way & 1 ? &lth_backend_cpu : &lth_backend_reference, 3);
        lt_module *l = nn->child(&t.ctx, "attn", m_attn(&t.ctx));
        seal(&t);
        t.e->autocast = LT_BF16;
        lt_tensor *x = input(&t, 3, way & 2 ? LT_BF16 : LT_F32);
        lt_multihead_opts o = {.struct_size = sizeof o, .need_weights = (way & 4) != 0};
        o.attn_mask = op->full(&t.ctx, way & 8 ? LT_BOOL : LT_F32, 2, (int64_t[]){4, 4}, 0);
        o.key_padding_mask = op->full(&t.ctx, LT_BOOL, 2, (int64_t[]){3, 4}, 0);
        lt_tensor *y = nn->multihead_forward(&t.ctx, l, x, x, x, &o);
        if (!y || lth_backward(&t.ctx, op->sum(&t.ctx, y, NULL, 0, false), NULL, 1) != LT_OK) {
            fail_msg("case %d: %s", way, t.ctx.error.text);
        }
        close_model(&t);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_layer), cmocka_unit_test(masks)};
    return cmocka_run_group_tests_name("engine.nn_autocast", tests, NULL, NULL);
}
