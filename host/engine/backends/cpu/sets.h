/* backends/cpu/sets.h - which instruction set's kernels a device uses. */
#ifndef LTH_CPU_SETS_H
#define LTH_CPU_SETS_H
#include "engine/backends/cpu/cpu.h"

/* Fills d->isa. wanted: avx512_bf16, avx512, avx2 or baseline; NULL: the best for this machine. */
lt_status lth_cpu_choose_set(lth_device *d, const char *wanted, lth_error *err);
/* Does a CPU that has vdpbf16ps run it faster than it runs FMA over as many numbers? AMD's Zen 4 and later do, Intel's do not (docs/performance.md).
 * vendor, signature: CPUID's leaf 0 (ebx, edx, ecx), and eax of leaf 1. */
bool lth_cpu_gains_by_bf16(const char vendor[12], unsigned signature);
#endif
