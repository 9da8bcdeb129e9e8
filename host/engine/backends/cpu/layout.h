/* backends/cpu/layout.h - images between row-major and the blocked layouts. */
#ifndef LTH_CPU_LAYOUT_H
#define LTH_CPU_LAYOUT_H
#include "engine/backends/cpu/cpu.h"

/* One unit of the blocked layouts: 16 images (N16C) or one image (C16, HWNC). shape: N, C, H, W, of the whole array. */
int64_t lth_layout_units(const int64_t *shape, int layout);
/* Units [from, to): plain NCHW -> blocked, and back (add: to what is there). */
void lth_layout_block(const lth_cpu_isa *t, const int64_t *shape, int layout, const float *plain, float *blocked, int64_t from, int64_t to);
void lth_layout_unblock(const lth_cpu_isa *t, const int64_t *shape, int layout, const float *blocked, float *plain, bool add, int64_t from, int64_t to);
#endif
