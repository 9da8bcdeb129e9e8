/* tests/engine/test_tensor.c - tensors and step memory: what is refused, what stays in place, what is allocated when. No operations here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "engine/tensor/tensor.h"
#include <math.h>

static lth_error err;

static lth_engine *open_engine(void) {
    lth_engine *e = NULL;
    lth_error_clear(&err);
    assert_int_equal(lth_engine_open(&e, &lth_backend_reference, NULL, &err), LT_OK);
    return e;
}

static lt_tensor *counting(lth_engine *e, int ndim, const int64_t *shape) {
    lt_tensor *t = lth_tensor_new(e, LT_F32, ndim, shape, &err);
    assert_non_null(t);
    for (int64_t i = 0; i < lth_numel(t); i++) {
        ((float *)t->a.data)[i] = (float)i;
    }
    return t;
}

#define FAILS(expression, status, part) do { \
        lth_error_clear(&err); \
        assert_null(expression); \
        assert_int_equal(err.code, status); \
        assert_non_null(strstr(err.text, part)); \
    } while (0)

static void test_refused_shapes(void **state) {
    (void)state;
    lth_engine *e = open_engine();
    FAILS(lth_tensor_new(e, LT_F32, 2, (int64_t[]){3, -1}, &err), LT_ESHAPE, "(3, -1)");
    FAILS(lth_tensor_new(e, LT_F32, 9, (int64_t[9]){0}, &err), LT_ESHAPE, "9 dimensions");
    FAILS(lth_tensor_new(e, LT_F32, 2, (int64_t[]){INT64_MAX / 2, 8}, &err), LT_ESHAPE, "too many");
    FAILS(lth_tensor_new(e, 77, 1, (int64_t[]){3}, &err), LT_EDTYPE, "77");
    FAILS(lth_tensor_lasting(e, LT_F32, -1, NULL, NULL, &err), LT_ESHAPE, "-1 dimensions");
    lth_engine_free(e);
}

static void test_refused_engines(void **state) {
    (void)state;
    lth_engine *e;
    lth_error_clear(&err);
    unsetenv("LTHOST_BACKEND");
    assert_int_equal(lth_engine_new(&e, &(lth_engine_opts){.accelerator = "tpu"}, &err), LT_EINVAL);
    assert_non_null(strstr(err.text, "tpu"));
    lth_error_clear(&err);
    assert_int_equal(lth_engine_new(&e, &(lth_engine_opts){.accelerator = "cuda"}, &err), LT_EUNSUPPORTED);
    lth_error_clear(&err);
    setenv("LTHOST_BACKEND", "abacus", 1);
    assert_int_equal(lth_engine_new(&e, NULL, &err), LT_EINVAL);
    setenv("LTHOST_BACKEND", "reference", 1);
    lth_error_clear(&err);
    assert_int_equal(lth_engine_new(&e, NULL, &err), LT_OK);
    assert_ptr_equal(e->backend, &lth_backend_reference);
    lth_engine_free(e);
    unsetenv("LTHOST_BACKEND");
}

static void test_values_in_and_out(void **state) {
    (void)state;
    lth_engine *e = open_engine();
    lt_tensor *t = counting(e, 2, (int64_t[]){3, 4});
    double value[12];
    assert_int_equal(lth_tensor_read(t, 5, 3, value, &err), LT_OK);
    assert_true(value[0] == 5 && value[2] == 7);
    lt_tensor *turned = lth_tensor_alias(e, t, &err);
    turned->a.shape[0] = 4, turned->a.shape[1] = 3;
    turned->a.strides[0] = 1, turned->a.strides[1] = 4;
    assert_int_equal(lth_tensor_read(turned, 0, 12, value, &err), LT_OK);
    assert_true(value[1] == 4 && value[3] == 1);
    float out[12];
    assert_int_equal(lth_tensor_to_host(turned, out, sizeof out, &err), LT_OK);
    assert_true(out[1] == 4 && out[11] == 11);
    assert_int_equal(lth_tensor_read(t, 10, 3, value, &err), LT_EINDEX);
    lth_error_clear(&err);
    assert_int_equal(lth_tensor_to_host(t, out, 4, &err), LT_ESHAPE);
    lth_error_clear(&err);
    assert_int_equal(lth_tensor_from_host(turned, out, sizeof out, &err), LT_EUNSUPPORTED);
    uint32_t before = t->version;
    lth_error_clear(&err);
    assert_int_equal(lth_tensor_from_host(t, out, sizeof out, &err), LT_OK);
    assert_int_equal(t->version, before + 1);
    lth_engine_free(e);
}

static void test_blocked_layouts_are_read(void **state) {
    (void)state;
    lth_engine *e = open_engine();
    const int64_t shape[] = {18, 19, 2, 2};
    const lth_layout layouts[] = {LTH_N16C, LTH_C16, LTH_HWNC};
    lt_tensor *plain = counting(e, 4, shape);
    for (int k = 0; k < 3; k++) {
        lt_tensor *t = lth_tensor_header(e, LT_F32, 4, shape, &err);
        t->a.layout = (uint8_t)layouts[k];
        assert_int_equal(lth_tensor_give_data(e, t, &err), LT_OK);
        /* the reference's COPY knows the layouts on its own: its backward writes any of them */
        lth_call call = {.op = LTH_OP_COPY, .n_in = 1, .n_out = 1, .in = {&t->a}, .out = {&plain->a}, .grad_out = {&plain->a}, .grad_in = {&t->a}};
        call.need[0] = true;
        assert_int_equal(lth_backend_reference.kernels[LTH_OP_COPY]->backward(e->device, &call, &err), LT_OK);
        float out[18 * 76];
        assert_int_equal(lth_tensor_to_host(t, out, sizeof out, &err), LT_OK);
        assert_memory_equal(out, plain->a.data, sizeof out);
        double value[2];
        assert_int_equal(lth_tensor_read(t, 17 * 76 + 70, 2, value, &err), LT_OK);
        assert_true(value[0] == (double)out[17 * 76 + 70] && value[1] == (double)out[17 * 76 + 71]);
    }
    lth_engine_free(e);
}

static void test_half_precision(void **state) {
    (void)state;
    uint16_t h;
    for (uint32_t bits = 0; bits < 65536; bits++) {
        uint16_t in = (uint16_t)bits;
        double value = lth_element_get(LT_F16, &in, 0);
        if (!isnan(value)) {
            lth_element_set(LT_F16, &h, 0, value);
            assert_int_equal(h, in);
        }
        value = lth_element_get(LT_BF16, &in, 0);
        if (!isnan(value)) {
            lth_element_set(LT_BF16, &h, 0, value);
            assert_int_equal(h, in);
        }
    }
    lth_element_set(LT_F16, &h, 0, 65519.0);
    assert_int_equal(h, 0x7bff);
    lth_element_set(LT_F16, &h, 0, 65520.0);
    assert_int_equal(h, 0x7c00);
    lth_element_set(LT_F16, &h, 0, 1 + 0x1p-11); /* halfway: to even */
    assert_int_equal(h, 0x3c00);
    lth_element_set(LT_F16, &h, 0, NAN);
    assert_true(isnan(lth_element_get(LT_F16, &h, 0)));
    int32_t i;
    lth_element_set(LT_I32, &i, 0, 1e30);
    assert_int_equal(i, INT32_MAX);
}

/* Sizes of a step that varies as steps do: a smaller batch at the end. */
static void one_step(lth_engine *e, int64_t batch) {
    for (int k = 0; k < 40; k++) {
        counting(e, 2, (int64_t[]){batch, 100 + 37 * k});
    }
    counting(e, 2, (int64_t[]){batch, 9000}); /* a block of its own */
    counting(e, 2, (int64_t[]){batch, 20000});
    lth_step_end(e);
}

static void test_no_allocation_after_warm_up(void **state) {
    (void)state;
    lth_engine *e = open_engine();
    one_step(e, 64);
    one_step(e, 33);
    one_step(e, 64);
    uint64_t before = lth_alloc_count();
    for (int k = 0; k < 20; k++) {
        one_step(e, k % 5 ? 64 : 33);
    }
    assert_int_equal(lth_alloc_count(), before);
    lth_engine_free(e);
}

static void test_steps_reuse_memory(void **state) {
    (void)state;
    lth_engine *e = open_engine();
    void *small = counting(e, 1, (int64_t[]){10})->a.data, *large = counting(e, 1, (int64_t[]){1000000})->a.data;
    lth_step_end(e);
    assert_ptr_equal(counting(e, 1, (int64_t[]){10})->a.data, small);
    assert_ptr_equal(counting(e, 1, (int64_t[]){1000000})->a.data, large);
    assert_true(e->peak_bytes >= 4000040);
    lth_engine_free(e);
}

static void test_retained_stay_in_place(void **state) {
    (void)state;
    lth_engine *e = open_engine();
    lt_tensor *kept = counting(e, 1, (int64_t[]){1000}), *big = counting(e, 1, (int64_t[]){500000});
    void *where = kept->a.data, *where_big = big->a.data;
    assert_ptr_equal(lth_tensor_retain(kept), kept);
    lth_tensor_retain(big);
    lth_tensor_retain(big);
    for (int k = 0; k < 3; k++) {
        lth_step_end(e);
        one_step(e, 64);
        assert_ptr_equal(kept->a.data, where);
        assert_ptr_equal(big->a.data, where_big);
        assert_true(((float *)where)[999] == 999 && ((float *)where_big)[499999] == 499999);
    }
    lth_tensor_release(big);
    lth_step_end(e);
    assert_int_equal(big->retained, 1);
    lth_tensor_release(big);
    lth_tensor_release(kept);
    assert_true(((float *)where)[999] == 999); /* the step may still use it */
    counting(e, 1, (int64_t[]){1000});
    assert_true(((float *)where)[999] == 999);
    lth_step_end(e);
    assert_int_equal(e->step[LTH_STEP_DATA].pinned + e->step[LTH_STEP_STRUCT].pinned + e->step[LTH_STEP_LARGE].pinned, 0);
    lth_engine_free(e);
}

/* The pattern of a running value: this step's is kept, the last one's is given up. */
static void test_retaining_every_step_settles(void **state) {
    (void)state;
    lth_engine *e = open_engine();
    lt_tensor *last = NULL;
    uint64_t before = 0;
    for (int k = 0; k < 30; k++) {
        if (k == 5) {
            before = lth_alloc_count();
        }
        lt_tensor *now = counting(e, 1, (int64_t[]){7});
        counting(e, 1, (int64_t[]){400000});
        lth_tensor_retain(now);
        if (last) {
            assert_true(((float *)last->a.data)[6] == 6);
            lth_tensor_release(last);
        }
        last = now;
        lth_step_end(e);
    }
    assert_int_equal(lth_alloc_count(), before);
    lth_engine_free(e);
}

static void test_released_and_wanted_again(void **state) {
    (void)state;
    lth_engine *e = open_engine();
    lt_tensor *t = counting(e, 1, (int64_t[]){5});
    lth_tensor_retain(t);
    lth_tensor_release(t);
    lth_tensor_retain(t);
    lth_step_end(e);
    lth_tensor_release(t);
    lth_tensor_retain(t);
    lth_step_end(e);
    counting(e, 1, (int64_t[]){5});
    assert_true(((float *)t->a.data)[4] == 4);
    lth_tensor_release(t);
    lth_tensor_release(t); /* once too often: nothing happens */
    lth_step_end(e);
    lth_engine_free(e);
}

static void test_retained_batch_gets_memory_of_its_own(void **state) {
    (void)state;
    lth_engine *e = open_engine();
    float ring[6] = {0, 1, 2, 3, 4, 5};
    lt_tensor *batch = lth_tensor_wrap(e, LT_F32, 2, (int64_t[]){2, 3}, ring, &err), *view = lth_tensor_alias(e, batch, &err);
    assert_ptr_equal(batch->a.data, ring);
    lth_tensor_retain(view);
    lth_step_end(e);
    memset(ring, 0, sizeof ring); /* the loader fills the slot again */
    assert_true(((float *)view->a.data)[5] == 5);
    assert_null(view->base);
    lth_tensor_release(view);
    lth_engine_free(e);
}

static void test_lasting(void **state) {
    (void)state;
    lth_engine *e = open_engine();
    lt_tensor *own = lth_tensor_lasting(e, LT_F32, 1, (int64_t[]){100}, NULL, &err);
    float flat[8] = {[3] = 3};
    lt_tensor *window = lth_tensor_lasting(e, LT_F32, 1, (int64_t[]){4}, flat + 2, &err);
    assert_true(((float *)own->a.data)[99] == 0 && ((float *)window->a.data)[1] == 3);
    lth_step_end(e);
    assert_ptr_equal(lth_tensor_retain(own), own);
    lth_tensor_release(own);
    lth_tensor_free(own);
    lth_tensor_free(NULL);
    lth_engine_free(e); /* frees window */
}

static void some_work(lth_engine *e) {
    lt_tensor *a = lth_tensor_new(e, LT_F32, 1, (int64_t[]){1000}, &err), *b = lth_tensor_new(e, LT_F32, 1, (int64_t[]){1000000}, &err);
    lth_tensor_lasting(e, LT_F32, 1, (int64_t[]){10}, NULL, &err);
    float ring[3] = {1, 2, 3};
    lth_tensor_retain(lth_tensor_wrap(e, LT_F32, 1, (int64_t[]){3}, ring, &err));
    lth_tensor_retain(a);
    lth_tensor_retain(b);
    lth_step_end(e);
    lth_tensor_new(e, LT_F32, 1, (int64_t[]){1000}, &err);
}

static void test_every_allocation_may_fail(void **state) {
    (void)state;
    int64_t live = lth_alloc_live();
    bool finished = false;
    for (int budget = 0; budget < 200 && !finished; budget++) {
        lth_engine *e = NULL;
        lth_error_clear(&err);
        lth_alloc_budget(budget);
        if (lth_engine_open(&e, &lth_backend_reference, NULL, &err) == LT_OK) {
            some_work(e);
            finished = err.code == LT_OK;
        }
        lth_alloc_budget(-1);
        assert_true(finished || err.code == LT_ENOMEM);
        lth_engine_free(e);
        assert_int_equal(lth_alloc_live(), live);
    }
    assert_true(finished);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused_shapes),
        cmocka_unit_test(test_refused_engines),
        cmocka_unit_test(test_values_in_and_out),
        cmocka_unit_test(test_blocked_layouts_are_read),
        cmocka_unit_test(test_half_precision),
        cmocka_unit_test(test_no_allocation_after_warm_up),
        cmocka_unit_test(test_steps_reuse_memory),
        cmocka_unit_test(test_retained_stay_in_place),
        cmocka_unit_test(test_retaining_every_step_settles),
        cmocka_unit_test(test_released_and_wanted_again),
        cmocka_unit_test(test_retained_batch_gets_memory_of_its_own),
        cmocka_unit_test(test_lasting),
        cmocka_unit_test(test_every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
