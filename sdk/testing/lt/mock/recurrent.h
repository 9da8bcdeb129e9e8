/* lt/mock/recurrent.h - the mock host's LSTM and GRU (lt.nn/1): one layer, one direction, computed; more of either is LT_EUNSUPPORTED, and so
 * are multihead attention and encoder layers.
 * A part of lt/testing.h, which says what is promised; not to be included by itself. */
#ifndef LT_MOCK_RECURRENT_H
#define LT_MOCK_RECURRENT_H

LT_MOCK lt_module *lt_mock__nn_recurrent(lt_ctx *ctx, int32_t gates, int64_t in, int64_t hidden, const lt_nn_recurrent_opts *opts) {
    static const char *const names[4] = {"weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"};
    lt_module *m;
    if (opts && (opts->num_layers > 1 || opts->bidirectional)) {
        return (lt_module *)lt_mock__fail(ctx, LT_EUNSUPPORTED, "the mock host's recurrent layers have one layer and one direction");
    }
    m = lt_mock__module(ctx, LT_MOCK_RECURRENT);
    m->number = gates;
    m->batch_first = opts && opts->batch_first;
    for (int32_t k = 0; k < (opts && opts->no_bias ? 2 : 4); k++) {
        const int64_t shape[2] = {gates * hidden, k ? hidden : in};
        lt_mock__copy(m->own[k].name, sizeof m->own[k].name, names[k]);
        m->own[k].value = lt_mock__weight(ctx, k < 2 ? 2 : 1, shape, hidden);
        m->n_own++;
    }
    return m;
}
LT_MOCK lt_module *lt_mock__nn_lstm(lt_ctx *ctx, int64_t in, int64_t hidden, const lt_nn_recurrent_opts *opts) {
    return lt_mock__nn_recurrent(ctx, 4, in, hidden, opts);
}
LT_MOCK lt_module *lt_mock__nn_gru(lt_ctx *ctx, int64_t in, int64_t hidden, const lt_nn_recurrent_opts *opts) {
    return lt_mock__nn_recurrent(ctx, 3, in, hidden, opts);
}
/* Row `row` of W v + b; v has n elements from `at` on. */
LT_MOCK double lt_mock__part(const lt_module *m, int32_t k, int64_t row, const lt_tensor *v, int64_t at, int64_t n) {
    double sum = m->n_own > 2 ? lt_mock_get(m->own[2 + k].value, row) : 0;
    for (int64_t i = 0; v && i < n; i++) {
        sum += lt_mock_get(m->own[k].value, row * n + i) * lt_mock_get(v, at + i);
    }
    return sum;
}
LT_MOCK double lt_mock__sigmoid_of(double v) { return 1 / (1 + exp(-v)); }
/* One unit of one sequence: x from x_at on, the state in h and c (B, H), row b. Gives the next hidden value. */
LT_MOCK double lt_mock__unit(const lt_module *m, const lt_tensor *x, int64_t x_at, const lt_tensor *h, lt_tensor *c, int64_t b, int64_t j) {
    int64_t H = m->own[1].value->shape[1], I = m->own[0].value->shape[1];
    double z[4], w[4], cell;
    for (int32_t g = 0; g < m->number; g++) {
        z[g] = lt_mock__part(m, 0, g * H + j, x, x_at, I);
        w[g] = lt_mock__part(m, 1, g * H + j, h, b * H, H);
    }
    if (m->number == 3) {
        double u = lt_mock__sigmoid_of(z[1] + w[1]), n = tanh(z[2] + lt_mock__sigmoid_of(z[0] + w[0]) * w[2]);
        return (1 - u) * n + u * lt_mock_get(h, b * H + j);
    }
    cell = lt_mock__sigmoid_of(z[1] + w[1]) * lt_mock_get(c, b * H + j) + lt_mock__sigmoid_of(z[0] + w[0]) * tanh(z[2] + w[2]);
    lt_mock_put(c, b * H + j, cell);
    return lt_mock__sigmoid_of(z[3] + w[3]) * tanh(cell);
}
LT_MOCK lt_tensor *lt_mock__nn_recurrent_forward(lt_ctx *ctx, lt_module *m, lt_tensor *x, lt_recurrent_state *state) {
    int64_t H, B, T, I, shape[3];
    lt_tensor *y, *h, *c;
    if (!m || !x || m->layer != LT_MOCK_RECURRENT || x->ndim != 3 || x->shape[2] != m->own[0].value->shape[1]) {
        return (lt_tensor *)lt_mock__fail(ctx, LT_ESHAPE, "lt_recurrent_forward: a recurrent module and x of three dimensions are needed");
    }
    H = m->own[1].value->shape[1];
    I = x->shape[2];
    B = x->shape[m->batch_first ? 0 : 1];
    T = x->shape[m->batch_first ? 1 : 0];
    shape[0] = x->shape[0], shape[1] = x->shape[1], shape[2] = H;
    y = lt_mock__make(ctx, x->dtype, 3, shape);
    shape[0] = 1, shape[1] = B;
    h = state && state->h ? lt_mock__clone(ctx, state->h) : lt_mock__full(ctx, x->dtype, 3, shape, 0);
    c = state && state->c ? lt_mock__clone(ctx, state->c) : lt_mock__full(ctx, x->dtype, 3, shape, 0);
    for (int64_t t = 0; y && h && c && t < T; t++) {
        for (int64_t b = 0; b < B; b++) {
            int64_t row = m->batch_first ? b * T + t : t * B + b;
            for (int64_t j = 0; j < H; j++) {
                lt_mock_put(y, row * H + j, lt_mock__unit(m, x, row * I, h, c, b, j));
            }
            for (int64_t j = 0; j < H; j++) {
                lt_mock_put(h, b * H + j, lt_mock_get(y, row * H + j));
            }
        }
    }
    if (state) {
        state->h = h;
        state->c = m->number == 4 ? c : NULL;
    }
    return y;
}
LT_MOCK lt_module *lt_mock__nn_multihead(lt_ctx *ctx, int64_t embed_dim, int64_t num_heads, const lt_nn_multihead_opts *opts) {
    (void)embed_dim;
    (void)num_heads;
    (void)opts;
    return (lt_module *)lt_mock__fail(ctx, LT_EUNSUPPORTED, "the mock host has no multihead attention");
}
LT_MOCK lt_module *lt_mock__nn_encoder_layer(lt_ctx *ctx, int64_t d_model, int64_t num_heads, const lt_nn_encoder_layer_opts *opts) {
    (void)d_model;
    (void)num_heads;
    (void)opts;
    return (lt_module *)lt_mock__fail(ctx, LT_EUNSUPPORTED, "the mock host has no transformer layers");
}
LT_MOCK lt_tensor *lt_mock__nn_multihead_forward(lt_ctx *ctx, lt_module *m, lt_tensor *q, lt_tensor *k, lt_tensor *v, lt_multihead_opts *opts) {
    (void)m;
    (void)q;
    (void)k;
    (void)v;
    (void)opts;
    return (lt_tensor *)lt_mock__fail(ctx, LT_EUNSUPPORTED, "the mock host has no multihead attention");
}
#endif
