/* lt/losses.h - the losses but lt_mse_loss (table lt.tensor/1; a part of lt/tensor.h, which includes it and says how long tensors live).
 * All [trainer]; tensors given are borrowed; results are () in x's dtype unless the reduction is LT_NONE. Differentiable in x, and in a
 * float target; weights have no gradient. Formulas and order of operations are PyTorch's. LT_ESHAPE, LT_EDTYPE, LT_EINVAL.
 * Options by name: lt_huber_loss(ctx, x, target, .delta = 0.5, .reduction = LT_SUM); C++: lt::loss().delta(0.5). */
#ifndef LT_LOSSES_H
#define LT_LOSSES_H
#include <lt/tensor.h>

LT_BEGIN
/* logits (B, C), (B, C, ...) or (C); target without the C, i64 -> mean of -log_softmax(logits)[target]; a target outside 0..C-1 is
 * LT_EINDEX. Or target of logits' shape and dtype, probabilities: mean over rows of -sum_c target log_softmax. With class weights (C),
 * label smoothing (Szegedy et al. 2016, arXiv:1512.00567), ignore_index, another reduction. opts NULL: defaults. */
LT_INLINE lt_tensor *lt_cross_entropy_with(lt_ctx *ctx, lt_tensor *logits, lt_tensor *target, const lt_cross_entropy_opts *opts) {
    return lt__tensor->cross_entropy(ctx, logits, target, opts);
}
/* The same of log-probabilities x: mean of -x[target]; no smoothing, no probabilities as targets. */
LT_INLINE lt_tensor *lt_nll_loss_with(lt_ctx *ctx, lt_tensor *x, lt_tensor *target, const lt_cross_entropy_opts *opts) {
    return lt__tensor->nll_loss(ctx, x, target, opts);
}
/* ---- x and target of one shape ---- */
/* |x - target| */
LT_INLINE lt_tensor *lt_l1_loss_with(lt_ctx *ctx, lt_tensor *x, lt_tensor *target, const lt_loss_opts *opts) {
    return lt__tensor->l1_loss(ctx, x, target, opts);
}
/* d = |x - target|: d^2 / (2 beta) below beta, d - beta / 2 from there on (Girshick 2015, arXiv:1504.08083). */
LT_INLINE lt_tensor *lt_smooth_l1_loss_with(lt_ctx *ctx, lt_tensor *x, lt_tensor *target, const lt_loss_opts *opts) {
    return lt__tensor->smooth_l1_loss(ctx, x, target, opts);
}
/* d = |x - target|: d^2 / 2 up to delta, delta (d - delta / 2) beyond. */
LT_INLINE lt_tensor *lt_huber_loss_with(lt_ctx *ctx, lt_tensor *x, lt_tensor *target, const lt_loss_opts *opts) {
    return lt__tensor->huber_loss(ctx, x, target, opts);
}
/* -w (target log x + (1 - target) log(1 - x)), logarithms not below -100; an x outside 0..1 is LT_EINVAL. */
LT_INLINE lt_tensor *lt_bce_loss_with(lt_ctx *ctx, lt_tensor *x, lt_tensor *target, const lt_loss_opts *opts) {
    return lt__tensor->bce_loss(ctx, x, target, opts);
}
/* The same of sigmoid(x), computed without overflow; the target's part is multiplied by pos_weight. */
LT_INLINE lt_tensor *lt_bce_with_logits_with(lt_ctx *ctx, lt_tensor *x, lt_tensor *target, const lt_loss_opts *opts) {
    return lt__tensor->bce_with_logits(ctx, x, target, opts);
}
/* target (log target - x), x being log-probabilities; the mean is over all elements, as in PyTorch: LT_BATCHMEAN is the divergence. */
LT_INLINE lt_tensor *lt_kl_div_with(lt_ctx *ctx, lt_tensor *x, lt_tensor *target, const lt_loss_opts *opts) {
    return lt__tensor->kl_div(ctx, x, target, opts);
}
/* ---- cosines ---- */
/* a, b of one shape -> sum over dim of a b / (|a| |b|), norms taken as eps at least (PyTorch's eps: 1e-8). LT_EINDEX. */
LT_INLINE lt_tensor *lt_cosine_similarity(lt_ctx *ctx, lt_tensor *a, lt_tensor *b, int32_t dim, double eps) {
    return lt__tensor->cosine_similarity(ctx, a, b, dim, eps);
}
/* a, b (N, D) or (D), target (N) or () of a's dtype: 1 - cos(a, b) where it is 1, max(0, cos(a, b) - margin) where it is -1. */
LT_INLINE lt_tensor *lt_cosine_embedding_loss_with(lt_ctx *ctx, lt_tensor *a, lt_tensor *b, lt_tensor *target, const lt_loss_opts *opts) {
    return lt__tensor->cosine_embedding_loss(ctx, a, b, target, opts);
}
LT_END

#ifndef __cplusplus
#define lt_cross_entropy(ctx, logits, ...) \
    lt_cross_entropy_with(ctx, logits, LT__FIRST(__VA_ARGS__, 0), &LT__REST_AS(lt_cross_entropy_opts, __VA_ARGS__))
#define lt_nll_loss(ctx, x, ...) lt_nll_loss_with(ctx, x, LT__FIRST(__VA_ARGS__, 0), &LT__REST_AS(lt_cross_entropy_opts, __VA_ARGS__))
#define lt_l1_loss(ctx, x, ...) lt_l1_loss_with(ctx, x, LT__FIRST(__VA_ARGS__, 0), &LT__REST_AS(lt_loss_opts, __VA_ARGS__))
#define lt_smooth_l1_loss(ctx, x, ...) lt_smooth_l1_loss_with(ctx, x, LT__FIRST(__VA_ARGS__, 0), &LT__REST_AS(lt_loss_opts, __VA_ARGS__))
#define lt_huber_loss(ctx, x, ...) lt_huber_loss_with(ctx, x, LT__FIRST(__VA_ARGS__, 0), &LT__REST_AS(lt_loss_opts, __VA_ARGS__))
#define lt_bce_loss(ctx, x, ...) lt_bce_loss_with(ctx, x, LT__FIRST(__VA_ARGS__, 0), &LT__REST_AS(lt_loss_opts, __VA_ARGS__))
#define lt_bce_with_logits(ctx, x, ...) lt_bce_with_logits_with(ctx, x, LT__FIRST(__VA_ARGS__, 0), &LT__REST_AS(lt_loss_opts, __VA_ARGS__))
#define lt_kl_div(ctx, x, ...) lt_kl_div_with(ctx, x, LT__FIRST(__VA_ARGS__, 0), &LT__REST_AS(lt_loss_opts, __VA_ARGS__))
#define lt_cosine_embedding_loss(ctx, a, b, ...) \
    lt_cosine_embedding_loss_with(ctx, a, b, LT__FIRST(__VA_ARGS__, 0), &LT__REST_AS(lt_loss_opts, __VA_ARGS__))
#else
namespace lt {
struct cross_entropy : lt_cross_entropy_opts {
    cross_entropy() : lt_cross_entropy_opts() { struct_size = sizeof(lt_cross_entropy_opts); }
    LT__SET(cross_entropy, lt_cross_entropy_opts, lt_reduction, reduction)
    LT__SET(cross_entropy, lt_cross_entropy_opts, double, label_smoothing)
    LT__SET(cross_entropy, lt_cross_entropy_opts, lt_tensor *, weight)
    cross_entropy &ignore_index(int64_t value) {
        has_ignore_index = 1;
        lt_cross_entropy_opts::ignore_index = value;
        return *this;
    }
};
struct loss : lt_loss_opts {
    loss() : lt_loss_opts() { struct_size = sizeof(lt_loss_opts); }
    LT__SET(loss, lt_loss_opts, lt_reduction, reduction)
    LT__SET(loss, lt_loss_opts, double, beta)
    LT__SET(loss, lt_loss_opts, double, delta)
    LT__SET(loss, lt_loss_opts, double, margin)
    LT__SET(loss, lt_loss_opts, lt_tensor *, weight)
    LT__SET(loss, lt_loss_opts, lt_tensor *, pos_weight)
    LT__SET(loss, lt_loss_opts, bool, log_target)
};
} // namespace lt
#define LT__LOSS(name, opts_type, options) \
    inline lt_tensor *name(lt_ctx *ctx, lt_tensor *x, lt_tensor *target, const opts_type &opts = options()) { \
        return name##_with(ctx, x, target, &opts); \
    }
LT__LOSS(lt_cross_entropy, lt_cross_entropy_opts, lt::cross_entropy)
LT__LOSS(lt_nll_loss, lt_cross_entropy_opts, lt::cross_entropy)
LT__LOSS(lt_l1_loss, lt_loss_opts, lt::loss)
LT__LOSS(lt_smooth_l1_loss, lt_loss_opts, lt::loss)
LT__LOSS(lt_huber_loss, lt_loss_opts, lt::loss)
LT__LOSS(lt_bce_loss, lt_loss_opts, lt::loss)
LT__LOSS(lt_bce_with_logits, lt_loss_opts, lt::loss)
LT__LOSS(lt_kl_div, lt_loss_opts, lt::loss)
#undef LT__LOSS
inline lt_tensor *lt_cosine_embedding_loss(lt_ctx *ctx, lt_tensor *a, lt_tensor *b, lt_tensor *target, const lt_loss_opts &opts = lt::loss()) {
    return lt_cosine_embedding_loss_with(ctx, a, b, target, &opts);
}
#endif
#endif
