/* backends/cpu/whole.h - whole numbers, element by element, in i64: whole.c. Results wrap, as PyTorch's. */
#ifndef LTH_CPU_WHOLE_H
#define LTH_CPU_WHOLE_H
#include "engine/backends/cpu/isa.h"

void lth_whole_map(lth_map op, int64_t n, const void *x, void *y);
void lth_whole_pair(lth_pair op, int64_t n, const void *a, const void *b, bool a_one, bool b_one, void *y);
void lth_whole_compare(lth_compare op, int64_t n, const void *a, const void *b, bool a_one, bool b_one, uint8_t *y);
void lth_whole_choose(int64_t n, const uint8_t *c, const void *a, const void *b, bool c_one, bool a_one, bool b_one, void *y);
#endif
