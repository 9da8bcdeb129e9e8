/* tests/engine/instruction_sets.h - the instruction sets of the cpu backend, by their names in LTHOST_ISA: best first; the last one is on every
 * machine. A test that loops over them says which ones the machine has not, and goes on. */
#ifndef TEST_INSTRUCTION_SETS_H
#define TEST_INSTRUCTION_SETS_H
#define TEST_SETS "avx512_bf16", "avx512", "avx2", "baseline"
enum { TEST_N_SETS = 4, TEST_BASELINE = 3 };
#endif
