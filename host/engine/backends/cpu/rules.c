/* backends/cpu/rules.c - the update rules of rules.h over a span: chunks of 64 KiB, the same for any number of threads. */
#include "engine/backends/cpu/cpu.h"
#include "base/str.h"
#include "engine/backends/rules/rules.h"

enum { CHUNK_BYTES = 65536 };
typedef struct pass {
    lth_device *d;
    const lt_span *span;
    const lth_rule *rule;
    int64_t chunk; /* elements */
} pass;

static void rule_chunk(void *arg, int64_t c, int thread) {
    const pass *f = arg;
    const lt_span *s = f->span;
    int64_t at = c * f->chunk, n = lth_min64(f->chunk, s->n - at);
    (void)thread;
    if (s->dtype == LT_F64) {
        double *slot[LTH_RULE_SLOTS] = {0};
        for (int k = 0; k < f->rule->n_slots; k++) {
            slot[k] = (double *)s->slot[k] + at;
        }
        f->d->isa.rule64(f->rule, n, (double *)s->param + at, (const double *)s->grad + at, slot);
    } else {
        float *slot[LTH_RULE_SLOTS] = {0};
        for (int k = 0; k < f->rule->n_slots; k++) {
            slot[k] = (float *)s->slot[k] + at;
        }
        f->d->isa.rule(f->rule, n, (float *)s->param + at, (const float *)s->grad + at, slot);
    }
}

lt_status lth_cpu_rule(lth_device *d, const lt_span *span, const lth_rule *rule, lth_error *err) {
    if (span->dtype == LT_BF16) {
        lth_cpu_update_low(d, span, &(lth_low){.kind = LTH_LOW_RULE, .rule = rule});
        return LT_OK;
    }
    if (span->dtype != LT_F32 && span->dtype != LT_F64) {
        return lth_fail(err, LT_EUNSUPPORTED, "the cpu backend updates f32, f64 and bf16 parameters; those of \"%s\" are %s", span->name ? span->name : "",
                        lth_dtype_name(span->dtype));
    }
    pass f = {.d = d, .span = span, .rule = rule, .chunk = CHUNK_BYTES / (span->dtype == LT_F64 ? 8 : 4)};
    lth_cpu_run(d, lth_div_up(span->n, f.chunk), (double)span->n * (span->dtype == LT_F64 ? 2e-3 : 1e-3), rule_chunk, &f);
    return LT_OK;
}
