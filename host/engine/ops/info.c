/* engine/ops/info.c - the table of operations, made from ops.def. Nothing is decided here. */
#include "engine/ops/shapes.h"

const lth_op_info lth_ops[LTH_OP_COUNT] = {
#define LTH_OP(NAME, text, least, most, outputs, rule, grad, cast) \
    [LTH_OP_##NAME] = {text, least, most, outputs, lth_shape_##rule, LTH_GRAD_##grad, LTH_CAST_##cast},
#include "engine/ops/ops.def"
#undef LTH_OP
};

const char *lth_op_name(lth_op op) { return lth_ops[op].name; }
