/* trainer/batches.c - the batches of a pass that nothing is resumed from: validation, test, prediction. Loaders that follow each other are gone
 * through one by one, each with its own limit, as Lightning does. What is done with a batch is its caller's; training has a loop of its own. */
#include "trainer/session.h"

/* Such a pass ends at once; a validation inside fit is finished, so that the run can go on after it. */
bool lth_session_told_to_stop(lth_session *s, int32_t phase) {
    s->stopped_by_signal |= s->job->stage != LT_STAGE_FIT && lth_signals_pending();
    return s->stopped_by_signal || (phase == LT_PHASE_SANITY && lth_signals_pending());
}

static lt_status from_part(lth_session *s, int32_t phase, lt_loader *loader, int64_t count, lth_batch_fn *fn, void *arg, int64_t *done) {
    bool may_end = lth_loader_length(loader) == LTH_UNKNOWN_LENGTH; /* a stream: also before a limit */

    if (lth_loader_begin(loader, 0, count, &s->ctx.error)) {
        return s->ctx.error.code;
    }
    for (int64_t i = 0; i < count && !s->ctx.error.code && !lth_session_told_to_stop(s, phase); i++) {
        const lt_batch *batch = lth_loader_next(loader, &s->ctx);

        if (!batch && may_end && !s->ctx.error.code) {
            break;
        }
        if (!batch) { /* the first error stays */
            lth_fail(&s->ctx.error, LT_EFORMAT, "the loader of dataset %s ended after %lld of %lld batches: its length is not honest",
                     lth_loader_dataset_name(loader), (long long)i, (long long)count);
            break;
        }
        fn(s, arg, i, count, batch);
        s->run.moment.samples += batch->size;
        ++*done;
    }
    lth_loader_end(loader);
    return s->ctx.error.code;
}

lt_status lth_session_batches(lth_session *s, int32_t phase, lt_loader *loader, int64_t count, lth_batch_fn *fn, void *arg, int64_t *done) {
    int32_t parts = lth_loader_parts(loader);

    *done = 0;
    for (int32_t i = 0; i < parts && !s->ctx.error.code && !s->stopped_by_signal; i++) {
        lt_loader *part = lth_loader_part(loader, i);
        int64_t limit = count;

        if (parts > 1 && lth_limits_of_part(s->opts, phase, lth_loader_length(part), &limit, &s->ctx.error)) {
            break;
        }
        from_part(s, phase, part, limit, fn, arg, done);
    }
    return s->ctx.error.code;
}
