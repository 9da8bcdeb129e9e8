/* tests/trainer/optim_bench.h - the shipped optimizers and schedulers, made from YAML through the registry as a run makes them, on a model
 * of a few parameters. */
#ifndef OPTIM_BENCH_H
#define OPTIM_BENCH_H
#include "../golden/golden.h"
#include "config/config.h"
#include "engine/optim/optim.h"
#include "registry/registry.h"
#include <lt/plugin.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define UNUSED __attribute__((unused))

typedef struct bench {
    lth_registry *registry;
    lth_diags diags;
    lth_arena arena;
    lth_engine *e;
    lth_modules *m;
    lt_ctx ctx;
    lth_instance *made[16];
    int n_made;
} bench;

static const void *bench_table(const char *id) {
    return !strcmp(id, "lt.base/1") ? (const void *)&lth_base_table : !strcmp(id, "lt.optim/1") ? (const void *)&lth_optim_table : NULL;
}

static int bench_threads = 1;

/* Parameters "a", "b", ... of these sizes; zeros, the model's dtype. */
static UNUSED void bench_open(bench *b, const lth_backend *backend, const char *isa, lt_dtype dtype, int n, const int64_t *sizes) {
    static const char *const path = BUILD_DIR "/plugins/optim.so";
    lth_registry_opts opts = {.paths = &path, .n_paths = 1, .env = "", .no_builtin = true, .get_table = bench_table};
    memset(b, 0, sizeof *b);
    assert_int_equal(lth_registry_open(&opts, &b->diags, &b->registry), LT_OK);
    lth_ctx_init(&b->ctx, LTH_TRAINER_THREAD);
    lth_engine_opts engine = {.isa = isa, .threads = bench_threads, .dtype = dtype};
    assert_int_equal(lth_engine_open(&b->e, backend, &engine, &b->ctx.error), LT_OK);
    b->m = lth_modules_new(b->e, &b->ctx.error);
    b->ctx.engine = b->e;
    b->ctx.modules = b->m;
    b->ctx.in_configure = true;
    for (int k = 0; k < n; k++) {
        char name[2] = {(char)('a' + k), 0};
        lth_nn_table.parameter(&b->ctx, name, dtype, 1, &sizes[k], 0);
    }
    b->ctx.in_configure = false;
    assert_int_equal(lth_modules_seal(b->m, &b->ctx.error), LT_OK);
}

static UNUSED void bench_close(bench *b) {
    for (int k = 0; k < b->n_made; k++) {
        lth_instance_free(b->made[k]);
    }
    lth_modules_free(b->m);
    lth_engine_free(b->e);
    lth_registry_close(b->registry);
    lth_diags_release(&b->diags);
    lth_arena_release(&b->arena);
}

/* A component from flow-style YAML; NULL, with the reason in b->diags, if it is refused. */
static UNUSED lth_instance *bench_try(bench *b, lth_kind kind, const char *id, const char *yaml) {
    lth_node *args = *yaml ? lth_yaml_parse_flow(yaml, id, &b->arena, &b->diags) : NULL;
    lth_instance *instance = NULL;
    if (!b->diags.count && lth_instance_new(b->registry, kind, id, args, NULL, &b->diags, &instance) == LT_OK) {
        b->made[b->n_made++] = instance;
    }
    return instance;
}

static UNUSED lth_instance *bench_make(bench *b, lth_kind kind, const char *id, const char *yaml) {
    lth_instance *instance = bench_try(b, kind, id, yaml);
    if (!instance) {
        fail_msg("%s {%s}: %s", id, yaml, b->diags.items[0].text);
    }
    return instance;
}

static UNUSED lth_sched_part bench_part(bench *b, const lth_instance *instance) {
    lth_sched_part part = {.iface = instance->lr_scheduler, .self = instance->self};
    lth_sched_part *children = lth_arena_alloc(&b->arena, (instance->n_children + 1) * sizeof *children);
    for (size_t k = 0; k < instance->n_children; k++) {
        children[k] = bench_part(b, instance->children[k]);
    }
    part.children = children;
    part.n_children = (uint32_t)instance->n_children;
    return part;
}
#endif
