/* tests/plugins/test_idx_mnist.c - the real MNIST through the plugin's reader and the host's conversion: the pixels PyTorch sees, bit
 * for bit. Looks in $LTHOST_DATA/mnist and data/mnist; skipped (77) where neither is there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../../plugins/mnist/idx.c"
#include "../golden/golden.h"
#include "base/ctx.h"
#include "engine/data/loader.h"

static char folder[4000];

static bool find_data(void) {
    char path[4096];
    const char *shared = getenv("LTHOST_DATA");
    for (int i = 0; i < 2; i++) {
        snprintf(folder, sizeof folder, "%s/%s", i ? TEST_DATA_DIR "/../data" : shared ? shared : "", "mnist");
        snprintf(path, sizeof path, "%s/train-images-idx3-ubyte.gz", folder);
        if (!access(path, R_OK)) {
            return true;
        }
    }
    return false;
}

static void open_array(idx_array *a, const char *name) {
    char path[4096], why[5000];
    snprintf(path, sizeof path, "%s/%s.gz", folder, name);
    if (idx_open(a, path, why, sizeof why)) {
        fail_msg("%s", why);
    }
}

static void test_shapes_and_labels(void **state) {
    (void)state;
    static const uint8_t first[] = {5, 0, 4, 1, 9, 2, 1, 3, 1, 4};
    idx_array images, labels;
    open_array(&labels, "train-labels-idx1-ubyte");
    assert_int_equal(labels.shape[0], 60000);
    assert_memory_equal(labels.data, first, sizeof first);
    idx_close(&labels);
    open_array(&images, "t10k-images-idx3-ubyte");
    assert_true(images.ndim == 3 && images.shape[0] == 10000 && images.row == 784);
    idx_close(&images);
}

/* The first batch of the golden run: indices there, pixels and labels from here. */
static void test_first_batch_is_pytorchs(void **state) {
    (void)state;
    static float x[64 * 784];
    gold_file g;
    char *name = NULL;
    assert_true(asprintf(&name, "%s/golden/train_linear.bin", TEST_DATA_DIR) > 0);
    if (gold_open(&g, name)) {
        fail_msg("%s", g.error);
    }
    free(name);
    const int64_t *indices = gold_data(gold_find(&g, "batch0/index"), GOLD_I64),
                  *expected = gold_data(gold_find(&g, "batch0/label"), GOLD_I64);
    const int64_t *digest = gold_data(gold_find(&g, "batch0/x.fnv"), GOLD_I64);
    const float *x0 = gold_data(gold_find(&g, "batch0/x0"), GOLD_F32);
    assert_true(indices && expected && digest && x0);

    idx_array images, labels;
    open_array(&images, "train-images-idx3-ubyte");
    open_array(&labels, "train-labels-idx1-ubyte");
    lt_ctx ctx;
    lth_ctx_init(&ctx, LTH_LOADER_THREAD);
    lth_data_table.gather_u8_f32(&ctx, x, images.data, indices, 64, 784, 0.1307, 0.3081);
    assert_memory_equal(x, x0, 784 * sizeof *x);
    assert_true(gold_fnv1a(x, sizeof x) == *digest);
    for (int i = 0; i < 64; i++) {
        assert_int_equal(labels.data[indices[i]], expected[i]);
    }
    idx_close(&images);
    idx_close(&labels);
    gold_close(&g);
}

int main(void) {
    if (!find_data()) {
        fprintf(stderr, "skipped: no MNIST in $LTHOST_DATA/mnist or data/mnist\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes_and_labels),
        cmocka_unit_test(test_first_batch_is_pytorchs),
    };
    return cmocka_run_group_tests_name("idx_mnist", tests, NULL, NULL);
}
