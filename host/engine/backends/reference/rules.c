/* engine/backends/reference/rules.c - the update rules of rules.h, one element after another on one thread; f32 and f64, and bf16 by updates.c. */
#include "engine/backends/reference/reference.h"
#include "base/str.h"
#include "engine/backends/rules/rules.h"

#define T float
#define T_NAME(f) f##_f32
#define T_SQRT sqrtf
#include "engine/backends/rules/body.h"

#define T double
#define T_NAME(f) f##_f64
#define T_SQRT sqrt
#include "engine/backends/rules/body.h"

lt_status ref_rule(lth_device *device, const lt_span *span, const lth_rule *rule, lth_error *err) {
    (void)device;
    float *small[LTH_RULE_SLOTS] = {span->slot[0], span->slot[1], span->slot[2]};
    double *large[LTH_RULE_SLOTS] = {span->slot[0], span->slot[1], span->slot[2]};
    switch (span->dtype) {
    case LT_F32: rule_f32(rule, span->n, span->param, span->grad, small); return LT_OK;
    case LT_F64: rule_f64(rule, span->n, span->param, span->grad, large); return LT_OK;
    case LT_BF16: return ref_rule_low(span, rule);
    default:
        return lth_fail(err, LT_EUNSUPPORTED, "the reference backend updates f32, f64 and bf16 parameters; those of \"%s\" are %s",
                        span->name ? span->name : "", lth_dtype_name(span->dtype));
    }
}
