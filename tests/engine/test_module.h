/* tests/engine/test_module.h - what tests of modules against PyTorch (tests/golden/modules.bin) share: a model being made, comparison of tensors,
 * of initial bits and of gradients. Checks nothing of its own accord. */
#ifndef LTH_TEST_MODULE_H
#define LTH_TEST_MODULE_H
#include "../golden/golden.h"
#include "engine/nn/module.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct model { lth_engine *e; lth_modules *m; lt_ctx ctx; } model;
static const lt_nn_api *const nn = &lth_nn_table;
static const lt_tensor_api *const op = &lth_tensor_table;

static inline void open_model(model *t, const lth_backend *backend, uint64_t seed) {
    lth_error err = {0};
    *t = (model){0};
    lth_ctx_init(&t->ctx, LTH_TRAINER_THREAD);
    lth_engine_opts opts = {.seed = seed, .threads = 1};
    assert_int_equal(lth_engine_open(&t->e, backend, &opts, &err), LT_OK);
    t->m = lth_modules_new(t->e, &err);
    assert_non_null(t->m);
    t->ctx.engine = t->e;
    t->ctx.modules = t->m;
    t->ctx.in_configure = true;
}

static inline void seal(model *t) {
    t->ctx.in_configure = false;
    if (t->ctx.error.code || lth_modules_seal(t->m, &t->ctx.error) != LT_OK) {
        fail_msg("%s", t->ctx.error.text);
    }
}

static inline void close_model(model *t) {
    lth_modules_free(t->m);
    lth_engine_free(t->e);
}

static inline void same(const char *name, const char *what, const lt_tensor *got, const gold_record *want) {
    if (!got || !want) {
        fail_msg("%s: no %s", name, what);
    }
    assert_int_equal(lth_numel(got), want->numel);
    assert_int_equal(got->a.ndim, want->ndim);
    double *values = calloc((size_t)want->numel + 1, sizeof *values);
    lth_error err = {0};
    assert_int_equal(lth_tensor_read((lt_tensor *)(uintptr_t)got, 0, want->numel, values, &err), LT_OK);
    for (int64_t i = 0; i < want->numel; i++) {
        const double v = ((const float *)want->data)[i];
        if (!(fabs(values[i] - v) <= 1.3e-6 * fabs(v) + 1e-5)) {
            fail_msg("%s, %s: element %lld is %.9g, torch has %.9g", name, what, (long long)i, values[i], v);
        }
    }
    free(values);
}

static inline lt_tensor *wrap(model *t, const gold_record *r) {
    return r ? lth_tensor_wrap(t->e, LT_F32, r->ndim, r->shape, (void *)(uintptr_t)r->data, &t->ctx.error) : NULL;
}

static inline lt_tensor *weighted(model *t, lt_tensor *y) {
    lt_tensor *w = lth_tensor_new(t->e, LT_F32, y->a.ndim, y->a.shape, &t->ctx.error);
    for (int64_t i = 0; i < lth_numel(w); i++) {
        ((float *)w->a.data)[i] = cosf((float)i);
    }
    return op->sum(&t->ctx, op->mul(&t->ctx, y, w), NULL, 0, false);
}

static inline void check_init(model *t, const gold_file *g, const char *name) {
    int64_t count = 0;
    for (size_t k = 0; k < g->count; k++) {
        char prefix[64];
        const int length = snprintf(prefix, sizeof prefix, "%s/init/", name);
        if (!strncmp(g->records[k].name, prefix, (size_t)length)) {
            const lth_state_entry s = lth_state_at(t->m, count++);
            assert_string_equal(strchr(s.name, '.') + 1, g->records[k].name + length); /* after the module's name */
            if (memcmp(s.value->a.data, g->records[k].data, (size_t)g->records[k].numel * sizeof(float))) {
            fail_msg("%s: initial bits of %s differ", name, s.name);
        }
        }
    }
    assert_int_equal(count, lth_state_count(t->m));
}

static inline void check_gradients(model *t, const gold_file *g, const char *name) {
    for (int64_t k = 0; k < t->m->n_params; k++) {
        const lth_param *p = t->m->params[k];
        same(name, p->name, p->value->grad, gold_find(g, "%s/grad/%s", name, strchr(p->name, '.') + 1));
    }
}
#endif
