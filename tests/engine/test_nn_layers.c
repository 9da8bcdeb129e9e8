/* tests/engine/test_nn_layers.c - the modules of lt/nn_layers.h and embedding against PyTorch (tests/golden/nn_layers.bin): names of parameters,
 * initial bits and the draws after them, outputs, gradients, on both backends; types and shapes in summaries; what they refuse, by name. */
#include "test_module.h"

#define O(type, ...) (&(type){.struct_size = sizeof(type), __VA_ARGS__})
typedef lt_nn_conv1d_opts c1;
typedef lt_nn_conv_transpose_opts ct;
typedef lt_pool1d_opts p1;
typedef lt_interpolate_opts up;
typedef lt_nn_layer_norm_opts ln;
typedef lt_nn_instance_norm_opts in2;
static const int64_t over[2] = {3, 5}, parts[3] = {2, -1, 2};

static lt_module *m_conv1d(lt_ctx *c) { return nn->conv1d(c, 4, 6, 3, NULL); }
static lt_module *m_conv1d_o(lt_ctx *c) { return nn->conv1d(c, 4, 6, 3, O(c1, .stride = 2, .padding = 2, .dilation = 2, .groups = 2, .no_bias = 1)); }
static lt_module *m_ct1(lt_ctx *c) { return nn->conv_transpose(c, 1, 4, 6, 3, NULL); }
static lt_module *m_ct1_o(lt_ctx *c) {
    return nn->conv_transpose(c, 1, 4, 6, 3, O(ct, .stride = 3, .padding = 1, .output_padding = 2, .groups = 2, .dilation = 2));
}
static lt_module *m_ct2(lt_ctx *c) { return nn->conv_transpose(c, 2, 4, 6, 3, O(ct, .stride = 2, .padding = 1, .output_padding = 1)); }
static lt_module *m_ct2_o(lt_ctx *c) {
    return nn->conv_transpose(c, 2, 4, 2, 3, O(ct, .kernel_w = 2, .stride = 2, .stride_w = 3, .padding = 1, .padding_w = 2, .output_padding = 1,
                                               .output_padding_w = 2, .dilation = 1, .dilation_w = 2, .groups = 2, .no_bias = 1));
}
static lt_module *m_max1(lt_ctx *c) { return nn->pool1d(c, true, O(p1, .kernel = 3, .stride = 2, .padding = 1, .ceil_mode = 1)); }
static lt_module *m_avg1(lt_ctx *c) { return nn->pool1d(c, false, O(p1, .kernel = 3)); }
static lt_module *m_avg1_o(lt_ctx *c) { return nn->pool1d(c, false, O(p1, .kernel = 3, .stride = 2, .padding = 1, .exclude_pad = 1)); }
static lt_module *m_aa1(lt_ctx *c) { return nn->adaptive_pool(c, 1, false, 1, 4); }
static lt_module *m_aa2(lt_ctx *c) { return nn->adaptive_pool(c, 2, false, 3, 2); }
static lt_module *m_am2(lt_ctx *c) { return nn->adaptive_pool(c, 2, true, 2, 3); }
static lt_module *m_up(lt_ctx *c) { return nn->upsample(c, O(up, .scale = {2})); }
static lt_module *m_up_b(lt_ctx *c) { return nn->upsample(c, O(up, .scale = {2, 1.5}, .mode = LT_BILINEAR)); }
static lt_module *m_up_a(lt_ctx *c) { return nn->upsample(c, O(up, .size = {7, 9}, .mode = LT_BILINEAR, .align_corners = 1)); }
static lt_module *m_gn(lt_ctx *c) { return nn->group_norm(c, 2, 6, NULL); }
static lt_module *m_gn_b(lt_ctx *c) { return nn->group_norm(c, 3, 6, O(ln, .eps = 1e-3, .no_affine = 1)); }
static lt_module *m_in(lt_ctx *c) { return nn->instance_norm(c, 4, NULL); }
static lt_module *m_in_a(lt_ctx *c) { return nn->instance_norm(c, 4, O(in2, .eps = 1e-3, .affine = 1)); }
static lt_module *m_rms(lt_ctx *c) { return nn->rms_norm(c, 9, NULL); }
static lt_module *m_rms_b(lt_ctx *c) { return nn->rms_norm(c, 9, O(ln, .eps = 1e-3, .no_affine = 1)); }
static lt_module *m_lno(lt_ctx *c) { return nn->layer_norm_over(c, 2, over, NULL); }
static lt_module *m_lno_n(lt_ctx *c) { return nn->layer_norm_over(c, 2, over, O(ln, .eps = 1e-3, .no_bias = 1)); }
static lt_module *m_emb(lt_ctx *c) { return nn->embedding(c, 7, 3, NULL); }
static lt_module *m_emb_p(lt_ctx *c) { return nn->embedding(c, 7, 3, O(lt_embedding_opts, .has_padding_idx = 1, .padding_idx = -2)); }
static lt_module *m_soft(lt_ctx *c) { return nn->softmax(c, -1, false); }
static lt_module *m_log(lt_ctx *c) { return nn->softmax(c, 1, true); }
static lt_module *m_unflatten(lt_ctx *c) { return nn->unflatten(c, 1, 3, parts); }

typedef struct layer_case { const char *name, *type; lt_module *(*make)(lt_ctx *c); } layer_case;
static const layer_case cases[] = {
    {"conv1d", "Conv1d", m_conv1d}, {"conv1d_options", "Conv1d", m_conv1d_o}, {"conv_transpose1d", "ConvTranspose1d", m_ct1},
    {"conv_transpose1d_options", "ConvTranspose1d", m_ct1_o}, {"conv_transpose2d", "ConvTranspose2d", m_ct2},
    {"conv_transpose2d_options", "ConvTranspose2d", m_ct2_o}, {"max_pool1d", "MaxPool1d", m_max1}, {"avg_pool1d", "AvgPool1d", m_avg1},
    {"avg_pool1d_options", "AvgPool1d", m_avg1_o}, {"adaptive_avg_pool1d", "AdaptiveAvgPool1d", m_aa1},
    {"adaptive_avg_pool2d", "AdaptiveAvgPool2d", m_aa2}, {"adaptive_max_pool2d", "AdaptiveMaxPool2d", m_am2}, {"upsample", "Upsample", m_up},
    {"upsample_bilinear", "Upsample", m_up_b}, {"upsample_aligned", "Upsample", m_up_a}, {"group_norm", "GroupNorm", m_gn},
    {"group_norm_bare", "GroupNorm", m_gn_b}, {"instance_norm2d", "InstanceNorm2d", m_in}, {"instance_norm2d_affine", "InstanceNorm2d", m_in_a},
    {"rms_norm", "RMSNorm", m_rms}, {"rms_norm_bare", "RMSNorm", m_rms_b}, {"layer_norm_over", "LayerNorm", m_lno},
    {"layer_norm_over_no_bias", "LayerNorm", m_lno_n}, {"embedding", "Embedding", m_emb}, {"embedding_padding", "Embedding", m_emb_p},
    {"softmax", "Softmax", m_soft}, {"log_softmax", "LogSoftmax", m_log}, {"unflatten", "Unflatten", m_unflatten},
};

static lt_tensor *input(model *t, const gold_record *r) {
    lt_tensor *x = lth_tensor_wrap(t->e, r->dtype, r->ndim, r->shape, (void *)(uintptr_t)r->data, &t->ctx.error);
    if (x && r->dtype == GOLD_F32) {
        x->requires_grad = x->is_leaf = 1;
    }
    return x;
}

static void run_case(const gold_file *g, const lth_backend *backend, const layer_case *k) {
    model t;
    open_model(&t, backend, 3);
    lt_module *l = nn->child(&t.ctx, "layer", k->make(&t.ctx));
    seal(&t);
    check_init(&t, g, k->name);
    float following[3];
    lth_uniform_f32(&t.e->generator, following, 3, 0, 1);
    assert_memory_equal(following, gold_find(g, "%s/following", k->name)->data, sizeof following);
    lt_tensor *x = input(&t, gold_find(g, "%s/x", k->name)), *y = nn->forward(&t.ctx, l, x);
    if (!y) {
        fail_msg("%s: %s", k->name, t.ctx.error.text);
    }
    same(k->name, "y", y, gold_find(g, "%s/y", k->name));
    if (lth_backward(&t.ctx, weighted(&t, y), NULL, 1) != LT_OK) {
        fail_msg("%s: %s", k->name, t.ctx.error.text);
    }
    const gold_record *gx = gold_find(g, "%s/gx", k->name);
    if (gx) {
        same(k->name, "gx", x->grad, gx);
    }
    check_gradients(&t, g, k->name);
    lt_module_info info = {.struct_size = sizeof info};
    assert_int_equal(nn->module_info(&t.ctx, 0, &info), LT_OK);
    assert_string_equal(info.type, k->type);
    assert_string_equal(info.name, "layer");
    close_model(&t);
}

static void golden(void **state) {
    gold_file g;
    (void)state;
    if (gold_open(&g, TEST_DATA_DIR "/golden/nn_layers.bin")) {
        fail_msg("%s", g.error);
    }
    for (size_t k = 0; k < 2 * sizeof cases / sizeof *cases; k++) {
        run_case(&g, k % 2 ? &lth_backend_cpu : &lth_backend_reference, &cases[k / 2]);
    }
    gold_close(&g);
}

static void refused(model *t, const void *result, lt_status code, const char *text) {
    assert_null(result);
    assert_int_equal(t->ctx.error.code, code);
    if (!strstr(t->ctx.error.text, text)) {
        fail_msg("'%s' is not in '%s'", text, t->ctx.error.text);
    }
    t->ctx.error = (lth_error){0};
}

static void refused_when_made(void **state) {
    model t;
    (void)state;
    open_model(&t, &lth_backend_reference, 1);
    lt_ctx *c = &t.ctx;
    refused(&t, nn->conv1d(c, 3, 4, 0, NULL), LT_EINVAL, "lt_nn_conv1d: kernel must be at least 1, got 0");
    refused(&t, nn->conv1d(c, 3, 4, 3, O(c1, .groups = 2)), LT_EINVAL, "lt_nn_conv1d: groups 2 must divide the channels, 3 in and 4 out");
    refused(&t, nn->conv1d(c, 3, 4, 3, O(c1, .padding = -1)), LT_EINVAL, "lt_nn_conv1d: padding must be at least 0, got -1");
    refused(&t, nn->conv_transpose(c, 1, 0, 4, 3, NULL), LT_EINVAL, "lt_nn_conv_transpose1d: in_channels must be at least 1");
    refused(&t, nn->conv_transpose(c, 3, 4, 4, 3, NULL), LT_EINVAL, "spatial_dims must be 1 or 2, got 3");
    refused(&t, nn->conv_transpose(c, 2, 4, 4, 3, O(ct, .stride = 2, .output_padding = 2)), LT_EINVAL,
            "lt_nn_conv_transpose2d: output_padding 2 must be smaller than stride 2 or dilation 1");
    refused(&t, nn->pool1d(c, true, O(p1, .kernel = 0)), LT_EINVAL, "lt_nn_max_pool1d: kernel must be at least 1, got 0");
    refused(&t, nn->pool1d(c, false, O(p1, .kernel = 3, .padding = 2)), LT_EINVAL, "lt_nn_avg_pool1d: padding 2 is more than half of kernel 3");
    refused(&t, nn->adaptive_pool(c, 2, false, 0, 3), LT_EINVAL, "lt_nn_adaptive_avg_pool2d: height must be at least 1, got 0");
    refused(&t, nn->adaptive_pool(c, 1, true, 1, 3), LT_EUNSUPPORTED, "maxima of 2 spatial dimensions");
    refused(&t, nn->upsample(c, O(up, .scale = {0})), LT_EINVAL, "lt_nn_upsample: give size or scale");
    refused(&t, nn->upsample(c, O(up, .size = {4, 0}, .scale = {2})), LT_EINVAL, "lt_nn_upsample: give size or scale");
    refused(&t, nn->upsample(c, O(up, .scale = {2}, .align_corners = 1)), LT_EINVAL, "align_corners needs mode LT_BILINEAR");
    refused(&t, nn->upsample(c, O(up, .scale = {2}, .mode = 7)), LT_EINVAL, "mode must be LT_NEAREST or LT_BILINEAR, got 7");
    refused(&t, nn->group_norm(c, 4, 6, NULL), LT_EINVAL, "lt_nn_group_norm: 4 groups must divide 6 channels");
    refused(&t, nn->rms_norm(c, 4, O(ln, .eps = -1)), LT_EINVAL, "lt_nn_rms_norm: eps must be a positive number, got -1");
    refused(&t, nn->layer_norm_over(c, 0, over, NULL), LT_EINVAL, "lt_nn_layer_norm_over: ndims must be 1..8");
    refused(&t, nn->layer_norm_over(c, 2, NULL, NULL), LT_EINVAL, "got 2 and NULL");
    refused(&t, nn->embedding(c, 7, 3, O(lt_embedding_opts, .has_padding_idx = 1, .padding_idx = 7)), LT_EINVAL, "padding_idx 7 is none of the 7 rows");
    refused(&t, nn->unflatten(c, 1, 2, (int64_t[]){-1, -1}), LT_EINVAL, "one of them may be -1");
    const int64_t huge[5] = {-1, 65536, 65536, 65536, 65536};
    refused(&t, nn->unflatten(c, 1, 5, huge), LT_EINVAL, "lt_nn_unflatten: sizes (-1, 65536, 65536, 65536, 65536) are more elements than there can be");
    close_model(&t);
    open_model(&t, &lth_backend_reference, 1);
    seal(&t);
    refused(&t, nn->softmax(&t.ctx, 1, false), LT_ESTATE, "lt_nn_softmax");
    close_model(&t);
}

/* Padding of height only: -1 says none beside it, where 0 says as the height's. */
static void padding_of_height_only(void **state) {
    model t;
    (void)state;
    open_model(&t, &lth_backend_reference, 1);
    lt_ctx *c = &t.ctx;
    lt_module *conv = nn->child(c, "conv", nn->conv2d(c, 1, 1, 3, O(lt_nn_conv2d_opts, .padding = 1, .padding_w = -1)));
    lt_module *both = nn->child(c, "both", nn->conv2d(c, 1, 1, 3, O(lt_nn_conv2d_opts, .padding = 1)));
    lt_module *up1 = nn->child(c, "up", nn->conv_transpose(c, 2, 1, 1, 3, O(ct, .stride = 2, .padding = 1, .padding_w = -1, .output_padding = 1,
                                                                            .output_padding_w = -1)));
    refused(&t, nn->conv2d(c, 1, 1, 3, O(lt_nn_conv2d_opts, .padding_w = -2)), LT_EINVAL, "padding_w must be at least -1, got -2");
    refused(&t, nn->conv_transpose(c, 2, 1, 1, 3, O(ct, .output_padding_w = -2)), LT_EINVAL, "output_padding_w must be at least -1, got -2");
    seal(&t);
    lt_tensor *x = op->full(c, LT_F32, 4, (int64_t[]){1, 1, 8, 8}, 1), *y[3] = {nn->forward(c, conv, x), nn->forward(c, both, x), nn->forward(c, up1, x)};
    const int64_t want[3][2] = {{8, 6}, {8, 8}, {16, 17}};
    for (int k = 0; k < 3; k++) {
        assert_non_null(y[k]);
        assert_int_equal(y[k]->a.shape[2], want[k][0]);
        assert_int_equal(y[k]->a.shape[3], want[k][1]);
    }
    close_model(&t);
}

static lt_tensor *zeros(model *t, int ndim, int64_t a, int64_t b, int64_t d, int64_t e) {
    return op->full(&t->ctx, LT_F32, ndim, (int64_t[]){a, b, d, e}, 0);
}

static void refused_by_name(void **state) {
    model t;
    (void)state;
    open_model(&t, &lth_backend_reference, 1);
    lt_ctx *c = &t.ctx;
    lt_module *items[] = {m_conv1d(c), m_max1(c)}, *net = nn->sequential(c, "net", items, 2);
    lt_module *up2 = nn->child(c, "grow", m_ct2(c)), *gn = nn->child(c, "gn", m_gn(c)), *rms = nn->child(c, "rms", m_rms(c));
    lt_module *wide = nn->child(c, "wide", m_lno(c)), *apart = nn->child(c, "apart", m_unflatten(c)), *soft = nn->child(c, "soft", m_log(c));
    lt_module *size = nn->child(c, "size", m_up(c)), *pool = nn->child(c, "pool", m_aa1(c));
    seal(&t);
    refused(&t, nn->forward(c, net, zeros(&t, 3, 2, 5, 9, 0)), LT_ESHAPE, "conv1d net.0 (4 -> 6, kernel 3) got (2, 5, 9)");
    refused(&t, nn->forward(c, net, zeros(&t, 2, 4, 9, 0, 0)), LT_ESHAPE, "conv1d net.0 (4 -> 6, kernel 3) got (4, 9); it takes (N, C, T)");
    refused(&t, nn->forward(c, net, zeros(&t, 3, 2, 4, 2, 0)), LT_ESHAPE, "conv1d net.0 (4 -> 6, kernel 3) got (2, 4, 2): ");
    refused(&t, nn->forward(c, up2, zeros(&t, 3, 2, 4, 2, 0)), LT_ESHAPE, "conv_transpose2d grow (4 -> 6, kernel 3x3) got (2, 4, 2); it takes (N, C, H, W)");
    refused(&t, nn->forward(c, gn, zeros(&t, 3, 2, 4, 2, 0)), LT_ESHAPE, "group_norm gn (2 groups of 6) got (2, 4, 2)");
    refused(&t, nn->forward(c, rms, zeros(&t, 2, 2, 8, 0, 0)), LT_ESHAPE, "rms_norm rms (9) got (2, 8)");
    refused(&t, nn->forward(c, wide, zeros(&t, 3, 2, 5, 3, 0)), LT_ESHAPE, "layer_norm wide ((3, 5)) got (2, 5, 3): its last dimensions must be (3, 5)");
    refused(&t, nn->forward(c, apart, zeros(&t, 2, 2, 6, 0, 0)), LT_ESHAPE, "unflatten apart ((2, -1, 2)) got (2, 6): the 6 of dimension 1");
    refused(&t, nn->forward(c, apart, zeros(&t, 1, 2, 0, 0, 0)), LT_ESHAPE, "it has no dimension 1 to take apart");
    refused(&t, nn->forward(c, soft, zeros(&t, 1, 2, 0, 0, 0)), LT_EINDEX, "log_softmax soft (dim 1) got (2): ");
    refused(&t, nn->forward(c, size, zeros(&t, 2, 2, 2, 0, 0)), LT_ESHAPE, "upsample size (nearest, by 2x2) got (2, 2); it takes (N, C, H, W)");
    refused(&t, nn->forward(c, pool, zeros(&t, 4, 1, 2, 2, 2)), LT_ESHAPE, "adaptive_avg_pool1d pool (to 4) got (1, 2, 2, 2); it takes (N, C, T)");
    close_model(&t);
}

/* Both sides of a residual must agree: a sum that broadcasts is no residual. */
static void residual_sides(void **state) {
    (void)state;
    for (int aside = 0; aside < 2; aside++) {
        model t;
        open_model(&t, &lth_backend_reference, 1);
        lt_ctx *c = &t.ctx;
        lt_module *shortcut = aside ? nn->linear(c, 64, 64, true) : NULL, *items[] = {nn->linear(c, 64, 1, true)};
        lt_module *block = nn->child(c, "block", nn->residual(c, shortcut, LT_ACT_RELU, items, 1));
        seal(&t);
        refused(&t, nn->forward(c, block, zeros(&t, 2, 5, 64, 0, 0)), LT_ESHAPE,
                "residual block: its items give (5, 1), and what is beside them is (5, 64)");
        close_model(&t);
    }
}

static lt_tensor *run_net(lt_ctx *c, void *self, lt_tensor *x) { return nn->forward(c, self, x); }

/* A convolution of sequences whose in_channels is left open has the bits of one that says it, and a summary its shapes. */
static void open_channels(void **state) {
    model t, said;
    (void)state;
    lt_module *net[2];
    for (int k = 0; k < 2; k++) {
        model *p = k ? &said : &t;
        open_model(p, &lth_backend_cpu, 9);
        lt_module *items[] = {nn->conv1d(&p->ctx, k ? 6 : 0, 4, 3, O(c1, .groups = 2)), nn->activation(&p->ctx, LT_ACT_RELU),
                              nn->conv_transpose(&p->ctx, 1, 4, 2, 2, O(ct, .stride = 2))};
        net[k] = nn->sequential(&p->ctx, "net", items, 3);
    }
    lt_tensor *x = lth_tensor_new(t.e, LT_F32, 3, (int64_t[]){2, 6, 5}, &t.ctx.error);
    memset(x->a.data, 0, 60 * sizeof(float));
    assert_true(lth_modules_open(t.m));
    t.ctx.in_configure = false;
    assert_int_equal(lth_modules_settle(&t.ctx, t.m, run_net, net[0], x), LT_OK);
    seal(&t);
    seal(&said);
    assert_int_equal(lth_state_count(t.m), lth_state_count(said.m));
    for (int64_t k = 0; k < lth_state_count(t.m); k++) {
        lth_state_entry a = lth_state_at(t.m, k), b = lth_state_at(said.m, k);
        assert_string_equal(a.name, b.name);
        assert_memory_equal(a.value->a.data, b.value->a.data, (size_t)lth_numel(b.value) * sizeof(float));
    }
    refused(&t, nn->forward(&t.ctx, net[0], zeros(&t, 3, 1, 2, 5, 0)), LT_ESHAPE, "conv1d net.0 (6 -> 4, kernel 3) got (1, 2, 5)");
    close_model(&t);
    close_model(&said);
}

static void summary(void **state) {
    static const struct { const char *type; int64_t parameters; int ndim; int64_t out[4]; } want[] = {
        {"ConvTranspose2d", 4 * 6 * 9 + 6, 4, {2, 6, 10, 12}}, {"GroupNorm", 12, 4, {2, 6, 10, 12}},
        {"Upsample", 0, 4, {2, 6, 20, 24}}, {"AdaptiveAvgPool2d", 0, 4, {2, 6, 3, 2}}, {"Unflatten", 0, 4, {2, 6, 6, 1}},
        {"Softmax", 0, 4, {2, 6, 6, 1}}, {"Flatten", 0, 3, {2, 6, 6}}, {"MaxPool1d", 0, 3, {2, 6, 4}},
    };
    model t;
    (void)state;
    open_model(&t, &lth_backend_cpu, 1);
    lt_ctx *c = &t.ctx;
    lt_module *items[] = {m_ct2(c), m_gn(c), m_up(c), m_aa2(c), nn->flatten(c, 2), nn->unflatten(c, -1, 2, (int64_t[]){6, 1}), m_soft(c)};
    lt_module *tail[] = {nn->flatten(c, 2), m_max1(c)};
    lt_module *net = nn->sequential(c, "net", (lt_module *const[]){nn->sequential(c, NULL, items, 7), nn->sequential(c, NULL, tail, 2)}, 2);
    seal(&t);
    assert_int_equal(lth_modules_record_shapes(c, t.m, run_net, net, zeros(&t, 4, 2, 4, 5, 6)), LT_OK);
    size_t seen = 0;
    for (int64_t k = 0; k < nn->module_count(c); k++) {
        lt_module_info info = {.struct_size = sizeof info};
        assert_int_equal(nn->module_info(c, k, &info), LT_OK);
        for (size_t w = 0; w < sizeof want / sizeof *want; w++) {
            if (strcmp(info.type, want[w].type) || (!strcmp(info.type, "Flatten") && info.in_shape[2] != 6)) {
                continue;
            }
            seen++;
            assert_int_equal(info.parameters, want[w].parameters);
            assert_int_equal(info.out_ndim, want[w].ndim);
            assert_memory_equal(info.out_shape, want[w].out, (size_t)want[w].ndim * sizeof(int64_t));
        }
    }
    assert_int_equal(seen, 8);
    close_model(&t);
}

/* The epsilon that PyTorch takes for a model in f64 is f64's. */
static void rms_in_f64(void **state) {
    (void)state;
    for (int dtype = 0; dtype < 2; dtype++) {
        model t = {0};
        const double small = 1e-4;
        lth_error err = {0};
        lth_ctx_init(&t.ctx, LTH_TRAINER_THREAD);
        lth_engine_opts opts = {.seed = 1, .threads = 1, .dtype = dtype ? LT_F64 : LT_F32};
        assert_int_equal(lth_engine_open(&t.e, &lth_backend_cpu, &opts, &err), LT_OK);
        t.m = lth_modules_new(t.e, &err);
        t.ctx.engine = t.e;
        t.ctx.modules = t.m;
        t.ctx.in_configure = true;
        lt_module *l = nn->child(&t.ctx, "rms", nn->rms_norm(&t.ctx, 1, NULL));
        seal(&t);
        lt_tensor *y = nn->forward(&t.ctx, l, op->full(&t.ctx, dtype ? LT_F64 : LT_F32, 1, (int64_t[]){1}, small));
        if (!y) {
            fail_msg("%s", t.ctx.error.text);
        }
        const double eps = dtype ? 2.220446049250313e-16 : 1.1920928955078125e-07;
        assert_true(fabs(op->item(&t.ctx, y) - small / sqrt(small * small + eps)) < (dtype ? 1e-14 : 1e-6));
        close_model(&t);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(golden), cmocka_unit_test(refused_when_made), cmocka_unit_test(refused_by_name),
                                       cmocka_unit_test(open_channels), cmocka_unit_test(summary), cmocka_unit_test(rms_in_f64),
                                       cmocka_unit_test(padding_of_height_only), cmocka_unit_test(residual_sides)};
    return cmocka_run_group_tests_name("engine.nn_layers", tests, NULL, NULL);
}
