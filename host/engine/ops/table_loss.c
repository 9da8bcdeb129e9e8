/* engine/ops/table_loss.c - the slots of lt.tensor/1 that lt/losses.h wraps: options as attributes. Shapes, dtypes and the range of the
 * options are the shape rules' to judge (shapes_loss.c). */
#include "base/str.h"
#include "engine/ops/shapes.h"
#include "engine/ops/table.h"

#define ENTER(op) LTH_ENTER(ctx, LTH_TRAINER_THREAD, op, NULL)
#define GIVEN(x, position, op) do { if (!lth_given(ctx, x, position, op, LTH_CALLER)) { return NULL; } } while (0)

static double otherwise(double value, double fallback) { return value == 0 ? fallback : value; } /* NaN is refused later */

static lt_tensor *pair_loss(lt_ctx *ctx, lth_op op, lt_tensor *x, lt_tensor *target, const lt_loss_opts *o, void *caller) {
    lt_tensor *in[4] = {x, target, o->weight, o->pos_weight};
    int n = op == LTH_OP_BCE_WITH_LOGITS ? (o->pos_weight ? 4 : o->weight ? 3 : 2) : op == LTH_OP_BCE_LOSS && o->weight ? 3 : 2;
    lth_attrs attrs = {.i = {o->reduction, o->log_target != 0}};
    attrs.f[0] = op == LTH_OP_SMOOTH_L1_LOSS ? otherwise(o->beta, 1) : op == LTH_OP_HUBER_LOSS ? otherwise(o->delta, 1) : 0;
    return lth_apply(ctx, op, in, n, &attrs, caller);
}

#define PAIR_LOSS(name, OP) \
    lt_tensor *lth_api_##name(lt_ctx *ctx, lt_tensor *x, lt_tensor *target, const lt_loss_opts *opts) { \
        lt_loss_opts o; \
        ENTER("lt_" #name); \
        GIVEN(x, 2, "lt_" #name); \
        GIVEN(target, 3, "lt_" #name); \
        return lth_read_opts(ctx, &o, sizeof o, opts, "lt_" #name, LTH_CALLER) ? pair_loss(ctx, LTH_OP_##OP, x, target, &o, LTH_CALLER) : NULL; \
    }
PAIR_LOSS(l1_loss, L1_LOSS)
PAIR_LOSS(smooth_l1_loss, SMOOTH_L1_LOSS)
PAIR_LOSS(huber_loss, HUBER_LOSS)
PAIR_LOSS(bce_loss, BCE_LOSS)
PAIR_LOSS(bce_with_logits, BCE_WITH_LOGITS)
PAIR_LOSS(kl_div, KL_DIV)

#define ENTROPY(name, OP, smoothing) \
    lt_tensor *lth_api_##name(lt_ctx *ctx, lt_tensor *x, lt_tensor *target, const lt_cross_entropy_opts *opts) { \
        lt_cross_entropy_opts o; \
        ENTER("lt_" #name); \
        GIVEN(x, 2, "lt_" #name); \
        GIVEN(target, 3, "lt_" #name); \
        if (!lth_read_opts(ctx, &o, sizeof o, opts, "lt_" #name, LTH_CALLER)) { \
            return NULL; \
        } \
        lt_tensor *in[3] = {x, target, o.weight}; \
        lth_attrs attrs = {.i = {o.reduction, o.has_ignore_index, o.ignore_index}, .f = {smoothing}}; \
        return lth_apply(ctx, LTH_OP_##OP, in, o.weight ? 3 : 2, &attrs, LTH_CALLER); \
    }
ENTROPY(cross_entropy, CROSS_ENTROPY, o.label_smoothing)
ENTROPY(nll_loss, NLL_LOSS, 0)

/* ---- cosines ---- */

static lt_tensor *to_last(lt_ctx *ctx, lt_tensor *x, int dim, void *caller) {
    lth_attrs attrs = {0};
    for (int d = 0, own = 0; d < x->a.ndim; d++) {
        if (d != dim) {
            attrs.i[own++] = d;
        }
    }
    attrs.i[x->a.ndim - 1] = dim;
    return lth_apply(ctx, LTH_OP_PERMUTE, &x, 1, &attrs, caller);
}

lt_tensor *lth_api_cosine_similarity(lt_ctx *ctx, lt_tensor *a, lt_tensor *b, int32_t dim, double eps) {
    ENTER("lt_cosine_similarity");
    GIVEN(a, 2, "lt_cosine_similarity");
    GIVEN(b, 3, "lt_cosine_similarity");
    int d = lth_real_dim(ctx, a, dim, "cosine_similarity", LTH_CALLER);
    if (d < 0) {
        return NULL;
    }
    lt_tensor *in[2] = {a, b};
    for (int k = 0; k < 2 && d < a->a.ndim - 1 && a->a.ndim == b->a.ndim; k++) {
        in[k] = to_last(ctx, in[k], d, LTH_CALLER);
        if (!in[k]) {
            return NULL;
        }
    }
    lth_attrs attrs = {.f = {eps}};
    return lth_apply(ctx, LTH_OP_COSINE_SIMILARITY, in, 2, &attrs, LTH_CALLER);
}

lt_tensor *lth_api_cosine_embedding_loss(lt_ctx *ctx, lt_tensor *a, lt_tensor *b, lt_tensor *target, const lt_loss_opts *opts) {
    lt_loss_opts o;
    ENTER("lt_cosine_embedding_loss");
    GIVEN(a, 2, "lt_cosine_embedding_loss");
    GIVEN(b, 3, "lt_cosine_embedding_loss");
    GIVEN(target, 4, "lt_cosine_embedding_loss");
    if (!lth_read_opts(ctx, &o, sizeof o, opts, "lt_cosine_embedding_loss", LTH_CALLER)) {
        return NULL;
    }
    lt_tensor *in[3] = {a, b, target};
    lth_attrs attrs = {.i = {o.reduction}, .f = {o.margin}};
    return lth_apply(ctx, LTH_OP_COSINE_EMBEDDING, in, 3, &attrs, LTH_CALLER);
}
