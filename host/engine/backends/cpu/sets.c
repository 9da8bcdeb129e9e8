/* backends/cpu/sets.c - the instruction sets that kernels are compiled for, and which one a device uses: the one asked for, or the best that the
 * machine has. That is a fixed rule over what the CPU says of itself, never a race: bits must not change from run to run. Refuses a set it does
 * not know or the machine does not have. */
#include "engine/backends/cpu/sets.h"
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#define FILL_FROM(set) \
    static void fill_##set(lth_cpu_isa *t) { \
        lth_fill_elements_##set(t); \
        lth_fill_gemm_##set(t); \
        lth_fill_rows_##set(t); \
        lth_fill_map32_##set(t); \
        lth_fill_map64_##set(t); \
        lth_fill_rules_##set(t); \
        lth_fill_updates_##set(t); \
        lth_fill_pixels_##set(t); \
        lth_fill_attention_##set(t); \
        lth_fill_large_##set(t); \
        lth_fill_conv_##set(t); \
        lth_fill_losses_##set(t); \
        lth_fill_recurrent_##set(t); \
        lth_fill_small_##set(t); \
        lth_fill_channels_##set(t); \
    }
FILL_FROM(baseline)
static bool always(void) { return true; }
#if defined(__x86_64__)
FILL_FROM(avx2)
FILL_FROM(avx512)
static void fill_avx512_bf16(lth_cpu_isa *t) {
    fill_avx512(t);
    lth_fill_large_avx512_bf16(t);
    lth_fill_narrow_avx512_bf16(t);
}
static bool has_avx2(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
static bool has_avx512(void) {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
}
static bool has_avx512_bf16(void) { return has_avx512() && __builtin_cpu_supports("avx512bf16"); }
static bool gains_by_bf16(void) {
    unsigned top, b, c, d, signature;
    char vendor[12];
    if (!__get_cpuid(0, &top, &b, &c, &d)) {
        return false;
    }
    memcpy(vendor, &b, 4), memcpy(vendor + 4, &d, 4), memcpy(vendor + 8, &c, 4);
    return __get_cpuid(1, &signature, &b, &c, &d) && lth_cpu_gains_by_bf16(vendor, signature);
}
#endif

bool lth_cpu_gains_by_bf16(const char vendor[12], unsigned signature) {
    const unsigned base = signature >> 8 & 15, family = base == 15 ? base + (signature >> 20 & 255) : base;
    return memcmp(vendor, "AuthenticAMD", 12) == 0 && family >= 0x19;
}

static const struct {
    const char *key, *name;
    bool (*has)(void), (*gains)(void); /* gains: worth having where nobody asks for it */
    void (*fill)(lth_cpu_isa *);
} sets[] = {
    /* best first */
#if defined(__x86_64__)
    {"avx512_bf16", "AVX512_BF16", has_avx512_bf16, gains_by_bf16, fill_avx512_bf16},
    {"avx512", "AVX-512", has_avx512, always, fill_avx512},
    {"avx2", "AVX2", has_avx2, always, fill_avx2},
#endif
    {"baseline", "baseline", always, always, fill_baseline},
};
enum { SETS = sizeof sets / sizeof *sets };
#define CHOICES "avx512_bf16, avx512, avx2, baseline"

lt_status lth_cpu_choose_set(lth_device *d, const char *wanted, lth_error *err) {
    for (int i = 0; i < SETS; i++) {
        if (wanted && strcmp(wanted, sets[i].key) != 0) {
            continue;
        }
        if (sets[i].has() && (wanted || sets[i].gains())) {
            sets[i].fill(&d->isa);
            d->isa.name = sets[i].name;
            d->onednn.isa = wanted ? sets[i].key : NULL;
            return LT_OK;
        }
        if (wanted) {
            return lth_fail(err, LT_EUNSUPPORTED, "instruction set \"%s\" (LTHOST_ISA): this machine does not have it; choose a lower one of " CHOICES,
                            wanted);
        }
    }
    return lth_fail(err, LT_EINVAL, "instruction set \"%s\" (LTHOST_ISA) is unknown; choose one of " CHOICES, wanted ? wanted : "");
}
