/* engine/ops/table.h - the slots of lt.tensor/1 that run no operation (facts.c), for the table in table.c. */
#ifndef LTH_TENSOR_TABLE_H
#define LTH_TENSOR_TABLE_H
#include "engine/ops/ops.h"

int32_t lth_api_ndim(lt_ctx *ctx, const lt_tensor *x);
int64_t lth_api_size(lt_ctx *ctx, const lt_tensor *x, int32_t dim);
int64_t lth_api_numel(lt_ctx *ctx, const lt_tensor *x);
lt_dtype lth_api_dtype(lt_ctx *ctx, const lt_tensor *x);
const double *lth_api_doubles(lt_ctx *ctx, lt_tensor *x);
double lth_api_item(lt_ctx *ctx, lt_tensor *x);
lt_status lth_api_raw(lt_ctx *ctx, lt_tensor *x, int32_t access, lt_view *out);
lt_tensor *lth_api_retain(lt_ctx *ctx, lt_tensor *x);
void lth_api_release(lt_ctx *ctx, lt_tensor *x);
lt_tensor *lth_api_full(lt_ctx *ctx, lt_dtype dtype, int32_t ndim, const int64_t *shape, double value);
lt_tensor *lth_api_from_data(lt_ctx *ctx, lt_dtype dtype, int32_t ndim, const int64_t *shape, const void *data);
lt_tensor *lth_api_arange(lt_ctx *ctx, lt_dtype dtype, double start, double end, double step);
lt_tensor *lth_api_rand(lt_ctx *ctx, int32_t ndim, const int64_t *shape);
lt_tensor *lth_api_randn(lt_ctx *ctx, int32_t ndim, const int64_t *shape);
#endif
