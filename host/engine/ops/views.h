/* engine/ops/views.h - what apply.c asks of views.c. */
#ifndef LTH_VIEWS_H
#define LTH_VIEWS_H
#include "engine/ops/ops.h"

lt_tensor *lth_apply_view(lt_ctx *ctx, lth_op op, lt_tensor *x, const lth_attrs *attrs);
#endif
