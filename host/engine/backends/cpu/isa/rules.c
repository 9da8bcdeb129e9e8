/* backends/cpu/isa/rules.c - the update rules of rules.h as loops that the compiler makes vectors of, for f32, f64 and bf16. They read and write
 * memory once; that is what their time is. */
#include "engine/backends/cpu/isa.h"
#include "engine/backends/rules/low.h"
#include "simd.h"

#define T float
#define T_NAME(f) f##_f32
#define T_SQRT sqrtf
#include "engine/backends/rules/body.h"

#define T double
#define T_NAME(f) f##_f64
#define T_SQRT sqrt
#include "engine/backends/rules/body.h"

void LTH_NAME(lth_fill_rules)(lth_cpu_isa *t) {
    t->rule = rule_f32;
    t->rule64 = rule_f64;
    t->update_low = low_update;
    t->squares_low = low_squares;
}
