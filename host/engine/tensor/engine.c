/* engine/tensor/engine.c - opens and closes the engine: one backend, its fallback, the generator, empty memory.
 * LTHOST_BACKEND=reference (or cpu) overrides the accelerator: the oracle runs whatever the fast one runs. It trains nothing. */
#include "base/mem.h"
#include "engine/tensor/arena.h"
#include <stdlib.h>
#include <string.h>

static const lth_backend *pick(const char *accelerator, lth_error *err) {
    const char *forced = getenv("LTHOST_BACKEND");
    if (forced && *forced) {
        if (!strcmp(forced, "reference")) {
            return &lth_backend_reference;
        }
        if (!strcmp(forced, "cpu")) {
            return &lth_backend_cpu;
        }
        lth_fail(err, LT_EINVAL, "LTHOST_BACKEND is \"%s\": only \"cpu\" and \"reference\" exist", forced);
        return NULL;
    }
    if (!accelerator || !strcmp(accelerator, "auto") || !strcmp(accelerator, "cpu")) {
        return &lth_backend_cpu;
    }
    if (!strcmp(accelerator, "cuda") || !strcmp(accelerator, "gpu")) {
        lth_fail(err, LT_EUNSUPPORTED, "accelerator \"%s\": this host has no CUDA backend; use \"cpu\" or \"auto\"", accelerator);
    } else {
        lth_fail(err, LT_EINVAL, "accelerator \"%s\" is not known; use \"auto\" or \"cpu\"", accelerator);
    }
    return NULL;
}

lt_status lth_engine_new(lth_engine **out, const lth_engine_opts *opts, lth_error *err) {
    *out = NULL;
    const lth_backend *backend = pick(opts ? opts->accelerator : NULL, err);
    return backend ? lth_engine_open(out, backend, opts, err) : err && err->code ? err->code : LT_EINVAL;
}

lt_status lth_engine_open(lth_engine **out, const lth_backend *backend, const lth_engine_opts *opts, lth_error *err) {
    *out = NULL;
    lth_engine *e = lth_alloc(sizeof *e);
    if (!e) {
        return lth_fail(err, LT_ENOMEM, "out of memory: opening the engine");
    }
    lth_device_opts device_opts = {.threads = opts ? opts->threads : 0, .isa = opts ? opts->isa : NULL, .benchmark = opts && opts->benchmark};
    e->backend = backend;
    e->grad_enabled = true;
    e->dtype = opts && opts->dtype ? opts->dtype : LT_F32;
    e->autocast = opts ? opts->autocast : 0;
    lth_generator_seed(&e->generator, opts ? opts->seed : 0);
    lt_status status = backend->open(&e->device, &device_opts, err);
    if (status == LT_OK && backend->fallback) {
        status = backend->fallback->open(&e->reference, &device_opts, err);
        if (status != LT_OK) {
            backend->close(e->device);
        }
    }
    if (status != LT_OK) {
        lth_free(e);
        return status;
    }
    *out = e;
    return LT_OK;
}

void lth_engine_free(lth_engine *e) {
    if (!e) {
        return;
    }
    lth_step_end(e);
    if (e->tape_end) {
        e->tape_end(e, true);
    }
    while (e->lasting) {
        lth_tensor_free(e->lasting);
    }
    lth_step_free_all(e);
    if (e->backend->fallback) {
        e->backend->fallback->close(e->reference);
    }
    e->backend->close(e->device);
    lth_free(e);
}
