/* tests/engine/test_loader_fixture.h - a stage without a trainer, and a dataset whose samples tell their index. For the loader tests. */
#ifndef TEST_LOADER_FIXTURE_H
#define TEST_LOADER_FIXTURE_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"
#include "engine/data/loader.h"

typedef struct fixture {
    lth_engine *engine;
    lt_ctx ctx;
} fixture;

static inline int set_up(void **state) {
    fixture *f = calloc(1, sizeof *f);
    lth_error err = {0};
    assert_int_equal(lth_engine_new(&f->engine, &(lth_engine_opts){.accelerator = "cpu", .threads = 1, .seed = 42}, &err), LT_OK);
    lth_generator_seed(&f->engine->generator, 42);
    lth_ctx_init(&f->ctx, LTH_TRAINER_THREAD);
    f->ctx.engine = f->engine;
    f->ctx.loaders = lth_loaders_new(f->engine, &f->ctx.error);
    assert_non_null(f->ctx.loaders);
    *state = f;
    return 0;
}

static inline int tear_down(void **state) {
    fixture *f = *state;
    lth_loaders_free(f->ctx.loaders);
    lth_engine_free(f->engine);
    free(f);
    return 0;
}

typedef struct samples {
    int64_t fail_at;                                                                         /* sample at which get_batch fails; -1 never */
    int64_t wait_us;                                                                         /* longest wait; differs from batch to batch */
    lt_status (*put)(lt_ctx *ctx, const int64_t *indices, int64_t count, lt_batch_out *out); /* NULL: put_pair */
} samples;

/* x (B, 3) f32 and y (B) i64, both functions of the index. */
static inline lt_status put_pair(lt_ctx *ctx, const int64_t *indices, int64_t count, lt_batch_out *out) {
    float *x = lth_data_table.batch_tensor(ctx, out, NULL, LT_F32, 2, (int64_t[]){count, 3});
    int64_t *y = lth_data_table.batch_tensor(ctx, out, NULL, LT_I64, 1, &count);
    for (int64_t i = 0; x && y && i < count; i++) {
        y[i] = indices[i] * 7 + 1;
        for (int k = 0; k < 3; k++) {
            x[3 * i + k] = (float)(indices[i] * 3 + k);
        }
    }
    return ctx->error.code;
}

static inline lt_status get_batch(lt_ctx *ctx, const void *data, const int64_t *indices, int64_t count, lt_batch_out *out) {
    const samples *s = data;
    if (s->wait_us) {
        usleep((useconds_t)((uint64_t)indices[0] * 2654435761u % (uint64_t)s->wait_us));
    }
    for (int64_t i = 0; i < count; i++) {
        if (indices[i] == s->fail_at) {
            return lth_fail(&ctx->error, LT_EFORMAT, "sample %d is broken", (int)indices[i]);
        }
    }
    return (s->put ? s->put : put_pair)(ctx, indices, count, out);
}

static inline lt_dataset *make_dataset(fixture *f, const samples *s, int64_t length) {
    lt_dataset_desc desc = {.struct_size = sizeof desc, .length = length, .name = "numbers", .get_batch = get_batch, .data = s};
    lt_dataset *dataset = lth_data_table.dataset(&f->ctx, &desc);
    assert_non_null(dataset);
    return dataset;
}

static inline lt_loader *make_loader(fixture *f, lt_dataset *dataset, int64_t batch_size, int64_t workers, bool shuffle) {
    lt_loader_opts opts = {.struct_size = sizeof opts, .batch_size = batch_size, .num_workers = workers, .shuffle = shuffle};
    lt_loader *l = lth_data_table.loader(&f->ctx, dataset, &opts);
    assert_non_null(l);
    return l;
}

static const samples plain = {.fail_at = -1};

static inline void begin(fixture *f, lt_loader *l, int64_t skip, int64_t limit) {
    assert_int_equal(lth_loader_begin(l, skip, limit, &f->ctx.error), LT_OK);
}

#define WITH_STAGE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#endif
