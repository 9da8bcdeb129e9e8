/* tests/engine/test_cpu_golden.c - every operation of PyTorch's golden cases (tests/golden/ops_*.bin) on the cpu backend as a model meets it:
 * through the engine, with blocked layouts, fallbacks and copies where they come up; on each instruction set this machine has; from plain
 * and from scattered memory; gradients written and added to. Bounds: those of torch.testing.assert_close. */
#include "test_golden_run.h"

static void golden(void **state) { golden_from(1, state); }

#define GOLDEN(group) {"cpu golden " group, golden, NULL, NULL, (void *)(uintptr_t)group}
int main(void) {
    const struct CMUnitTest tests[] = {
        GOLDEN("elementwise"),
        GOLDEN("shape"),
        GOLDEN("linear"),
        GOLDEN("conv"),
        GOLDEN("pool"),
        GOLDEN("norm"),
        GOLDEN("loss"),
        GOLDEN("transformer"),
        GOLDEN("attention"), GOLDEN("low"),
        GOLDEN("arith"),
        GOLDEN("layers"), GOLDEN("fused"),
    };
    bounds[LT_BF16].absolute = 8e-3; /* PyTorch's attention rounds probabilities inside, ours does not */
    return cmocka_run_group_tests_name("engine.cpu_golden", tests, NULL, NULL);
}
