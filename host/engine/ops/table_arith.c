/* engine/ops/table_arith.c - slots of lt.tensor/1: comparisons, choices, functions of elements, reductions beyond the first ones (those are
 * in table.c). Checks of arguments in front of lth_apply; shapes and dtypes are the shape rules' to judge. */
#include "engine/ops/table.h"
#include "engine/ops/shapes.h"

#define ENTER(op) LTH_ENTER(ctx, LTH_TRAINER_THREAD, op, NULL)
#define GIVEN(x, position, op) do { if (!lth_given(ctx, x, position, op, LTH_CALLER)) { return NULL; } } while (0)

#define UNARY(name, OP) \
    lt_tensor *lth_api_##name(lt_ctx *ctx, lt_tensor *x) { \
        ENTER("lt_" #name); \
        GIVEN(x, 2, "lt_" #name); \
        return lth_apply(ctx, LTH_OP_##OP, &x, 1, NULL, LTH_CALLER); \
    }
#define BINARY(name, OP) \
    lt_tensor *lth_api_##name(lt_ctx *ctx, lt_tensor *a, lt_tensor *b) { \
        ENTER("lt_" #name); \
        GIVEN(a, 2, "lt_" #name); \
        GIVEN(b, 3, "lt_" #name); \
        lt_tensor *in[2] = {a, b}; \
        return lth_apply(ctx, LTH_OP_##OP, in, 2, NULL, LTH_CALLER); \
    }
#define NUMBER(name, OP) \
    lt_tensor *lth_api_##name(lt_ctx *ctx, lt_tensor *x, double first) { \
        ENTER("lt_" #name); \
        GIVEN(x, 2, "lt_" #name); \
        lth_attrs attrs = {.f = {first}}; \
        return lth_apply(ctx, LTH_OP_##OP, &x, 1, &attrs, LTH_CALLER); \
    }
#define NUMBERS(name, OP) \
    lt_tensor *lth_api_##name(lt_ctx *ctx, lt_tensor *x, double first, double second) { \
        ENTER("lt_" #name); \
        GIVEN(x, 2, "lt_" #name); \
        lth_attrs attrs = {.f = {first, second}}; \
        return lth_apply(ctx, LTH_OP_##OP, &x, 1, &attrs, LTH_CALLER); \
    }
LTH_ARITH_UNARY(UNARY)
LTH_ARITH_BINARY(BINARY)
LTH_ARITH_NUMBER(NUMBER)
LTH_ARITH_NUMBERS(NUMBERS)

lt_tensor *lth_api_where(lt_ctx *ctx, lt_tensor *condition, lt_tensor *a, lt_tensor *b) {
    ENTER("lt_where");
    GIVEN(condition, 2, "lt_where");
    GIVEN(a, 3, "lt_where");
    GIVEN(b, 4, "lt_where");
    lt_tensor *in[3] = {condition, a, b};
    return lth_apply(ctx, LTH_OP_WHERE, in, 3, NULL, LTH_CALLER);
}

/* ---- reductions ---- */

#define REDUCE(name, OP) \
    lt_tensor *lth_api_##name(lt_ctx *ctx, lt_tensor *x, const int32_t *dims, int32_t ndims, bool keepdim) { \
        ENTER("lt_" #name); \
        GIVEN(x, 2, "lt_" #name); \
        if (ndims) { \
            GIVEN(dims, 3, "lt_" #name); \
        } \
        lth_attrs attrs; \
        bool good = lth_reduced_dims(ctx, LTH_OP_##OP, x, dims, ndims, keepdim, &attrs, LTH_CALLER); \
        return good ? lth_apply(ctx, LTH_OP_##OP, &x, 1, &attrs, LTH_CALLER) : NULL; \
    }
#define SPREAD(name, OP) \
    lt_tensor *lth_api_##name(lt_ctx *ctx, lt_tensor *x, const int32_t *dims, int32_t ndims, bool keepdim, double correction) { \
        ENTER("lt_" #name); \
        GIVEN(x, 2, "lt_" #name); \
        if (ndims) { \
            GIVEN(dims, 3, "lt_" #name); \
        } \
        lth_attrs attrs; \
        bool good = lth_reduced_dims(ctx, LTH_OP_##OP, x, dims, ndims, keepdim, &attrs, LTH_CALLER); \
        attrs.f[0] = correction; \
        return good ? lth_apply(ctx, LTH_OP_##OP, &x, 1, &attrs, LTH_CALLER) : NULL; \
    }
#define ALONG(name, OP) \
    lt_tensor *lth_api_##name(lt_ctx *ctx, lt_tensor *x, int32_t dim, bool keepdim, lt_tensor **indices) { \
        ENTER("lt_" #name); \
        GIVEN(x, 2, "lt_" #name); \
        lth_attrs attrs; \
        lt_tensor *out[LTH_MAX_OUT]; \
        if (!lth_reduced_dims(ctx, LTH_OP_##OP, x, &dim, 1, keepdim, &attrs, LTH_CALLER) || \
            !lth_apply_all(ctx, LTH_OP_##OP, &x, 1, &attrs, LTH_CALLER, out)) { \
            return NULL; \
        } \
        if (indices) { \
            *indices = out[1]; \
        } \
        return out[0]; \
    }
LTH_ARITH_REDUCE(REDUCE)
LTH_ARITH_SPREAD(SPREAD)
LTH_ARITH_ALONG(ALONG)

lt_tensor *lth_api_argmin(lt_ctx *ctx, lt_tensor *x, int32_t dim, bool keepdim) {
    ENTER("lt_argmin");
    GIVEN(x, 2, "lt_argmin");
    lth_attrs attrs;
    bool good = lth_reduced_dims(ctx, LTH_OP_ARGMIN, x, &dim, 1, keepdim, &attrs, LTH_CALLER);
    return good ? lth_apply(ctx, LTH_OP_ARGMIN, &x, 1, &attrs, LTH_CALLER) : NULL;
}

lt_tensor *lth_api_cumsum(lt_ctx *ctx, lt_tensor *x, int32_t dim) {
    ENTER("lt_cumsum");
    GIVEN(x, 2, "lt_cumsum");
    int d = lth_real_dim(ctx, x, dim, "cumsum", LTH_CALLER);
    lth_attrs attrs = {.i = {d}};
    return d < 0 ? NULL : lth_apply(ctx, LTH_OP_CUMSUM, &x, 1, &attrs, LTH_CALLER);
}
