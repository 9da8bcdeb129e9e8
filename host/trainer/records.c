/* trainer/records.c - see records.h. One producer (trainer thread), one consumer (logger thread), a ring of fixed records between. */
#include "trainer/records.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/threads.h"
#include "trainer/log_files.h"
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { RING = 256, VALUES = 64, ROWS = 64 };
enum { POLL_MS = 20, FLUSH_SECONDS = 2 };
typedef enum { SCALARS, TEXT, HPARAMS } record_kind;

typedef struct record {
    record_kind kind;
    lt_scalars row;
    const char *names[VALUES];
    double values[VALUES];
    void *wide; /* room for a row of more values; kept */
    uint32_t wide_count;
    char *name, *text; /* TEXT; owned */
    char **pairs;      /* HPARAMS: count names, then count values; owned */
} record;

struct lth_records {
    record *ring;
    _Atomic uint64_t head, tail; /* written by the trainer; read by the logger thread */
    pthread_t thread;
    bool started;
    pthread_mutex_t lock;
    pthread_cond_t wake, idle;
    uint64_t drains_wanted, drains_done;
    bool opened, stop;
    const char *close_status;
    lth_instance *const *loggers;
    bool *failed;
    size_t count;
    lt_ctx ctx; /* of the logger thread */
    lth_log_files *files;
    lth_error error; /* of opening */
};

static double wall_time(void) {
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- trainer side ---- */

static void pause_ms(long ms) { nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL); }

static record *reserve(lth_records *r) {
    uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed);

    while (head - atomic_load_explicit(&r->tail, memory_order_acquire) == RING) {
        pause_ms(1); /* the loggers are slower than the run: wait, lose nothing */
    }
    return &r->ring[head % RING];
}

static void publish(lth_records *r) { atomic_fetch_add_explicit(&r->head, 1, memory_order_release); }

/* Where the row goes: the record's own arrays, or wider ones, made when first needed. */
static bool room(record *to, uint32_t count, const char ***names, double **values) {
    *names = to->names;
    *values = to->values;
    if (count <= VALUES) {
        return true;
    }
    if (count > to->wide_count) {
        lth_free(to->wide);
        to->wide = lth_alloc(count * (sizeof **names + sizeof **values));
        to->wide_count = to->wide ? count : 0;
    }
    *values = to->wide;
    *names = to->wide ? (const char **)(*values + count) : NULL;
    return to->wide != NULL;
}

void lth_records_scalars(lth_records *r, int64_t step, int64_t epoch, uint32_t count, const char *const *names, const double *values) {
    const char **to_names;
    double *to_values;
    record *to;

    if (!r || !count) {
        return;
    }
    to = reserve(r);
    if (!room(to, count, &to_names, &to_values)) {
        lth_log(LTH_WARNING, "out of memory for %u metrics of step %lld: they are not logged", count, (long long)step);
        return;
    }
    to->kind = SCALARS;
    memcpy(to_names, names, count * sizeof *names);
    memcpy(to_values, values, count * sizeof *values);
    to->row = (lt_scalars){.struct_size = sizeof(lt_scalars),
                           .count = count,
                           .step = step,
                           .epoch = epoch,
                           .wall_time = wall_time(),
                           .names = to_names,
                           .values = to_values};
    publish(r);
}

void lth_records_text(lth_records *r, int64_t step, const char *name, const char *text) {
    record *to;

    if (!r) {
        return;
    }
    to = reserve(r);
    to->kind = TEXT;
    to->name = lth_strdup(name);
    to->text = lth_strdup(text);
    to->row = (lt_scalars){.step = step, .wall_time = wall_time()};
    publish(r);
}

void lth_records_hparams(lth_records *r, uint32_t count, const char *const *names, const char *const *values) {
    record *to;
    char **pairs;

    if (!r || !(pairs = lth_alloc((2 * (size_t)count + 1) * sizeof *pairs))) {
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        pairs[i] = lth_strdup(names[i]);
        pairs[count + i] = lth_strdup(values[i]);
    }
    to = reserve(r);
    to->kind = HPARAMS;
    to->pairs = pairs;
    to->row = (lt_scalars){.count = count};
    publish(r);
}

void lth_records_drain(lth_records *r) {
    uint64_t ticket;

    if (!r || !r->started) {
        return;
    }
    pthread_mutex_lock(&r->lock);
    ticket = ++r->drains_wanted;
    pthread_cond_signal(&r->wake);
    while (r->drains_done < ticket) {
        pthread_cond_wait(&r->idle, &r->lock);
    }
    pthread_mutex_unlock(&r->lock);
}

/* ---- logger side ---- */

static const lt_logger *iface(const lth_records *r, size_t i) { return r->loggers[i]->iface; }

/* Names the hook, and after it reports a failure and leaves that logger out from then on. */
static void enter(lth_records *r, size_t i, const char *hook) {
    lth_error_clear(&r->ctx.error);
    r->ctx.where = r->loggers[i]->where;
    r->ctx.where.hook = hook;
}

static void leave(lth_records *r, size_t i, lt_status status) {
    if (lth_hook_done(&r->ctx, status) < 0) {
        lth_buf text = {0};

        lth_ctx_report(&r->ctx, &text);
        lth_log(LTH_WARNING, "a logger failed and gets no more records; the run goes on\n%s", lth_buf_text(&text));
        lth_buf_release(&text);
        r->failed[i] = true;
    }
    lth_error_clear(&r->ctx.error);
    r->ctx.where = (lth_where){0};
}

static void send_scalars(lth_records *r, const lt_scalars *const *rows, uint32_t count) {
    for (size_t i = 0; i < r->count; i++) {
        if (!r->failed[i] && iface(r, i)->scalars) {
            enter(r, i, "scalars");
            leave(r, i, iface(r, i)->scalars(&r->ctx, r->loggers[i]->self, rows, count));
        }
    }
}

static void send_text(lth_records *r, record *from) {
    lt_text_record text = {sizeof text, 0, from->row.step, from->row.wall_time, from->name ? from->name : "", from->text ? from->text : ""};

    for (size_t i = 0; i < r->count; i++) {
        if (!r->failed[i] && iface(r, i)->text) {
            enter(r, i, "text");
            leave(r, i, iface(r, i)->text(&r->ctx, r->loggers[i]->self, &text));
        }
    }
    lth_free(from->name);
    lth_free(from->text);
    from->name = from->text = NULL;
}

static void send_hparams(lth_records *r, record *from) {
    lt_hparams hparams = {sizeof hparams, from->row.count, (const char *const *)from->pairs,
                          (const char *const *)from->pairs + from->row.count};

    for (size_t i = 0; i < r->count; i++) {
        if (!r->failed[i] && iface(r, i)->hparams) {
            enter(r, i, "hparams");
            leave(r, i, iface(r, i)->hparams(&r->ctx, r->loggers[i]->self, &hparams));
        }
    }
    for (uint32_t i = 0; i < 2 * from->row.count; i++) {
        lth_free(from->pairs[i]);
    }
    lth_free(from->pairs);
    from->pairs = NULL;
}

/* Everything sent so far, neighbouring rows of scalars together. Returns how many records there were. */
static uint64_t empty_ring(lth_records *r) {
    uint64_t head = atomic_load_explicit(&r->head, memory_order_acquire), tail = atomic_load_explicit(&r->tail, memory_order_relaxed),
             begin = tail;
    const lt_scalars *rows[ROWS];

    while (tail < head) {
        record *first = &r->ring[tail % RING];
        uint32_t count = 0;

        while (tail < head && count < ROWS && r->ring[tail % RING].kind == SCALARS) {
            rows[count++] = &r->ring[tail++ % RING].row;
        }
        if (count) {
            send_scalars(r, rows, count);
        } else {
            (first->kind == TEXT ? send_text : send_hparams)(r, first);
            tail++;
        }
        atomic_store_explicit(&r->tail, tail, memory_order_release);
    }
    return tail - begin;
}

static void flush_all(lth_records *r) {
    lth_error error = {0};

    for (size_t i = 0; i < r->count; i++) {
        if (!r->failed[i] && iface(r, i)->flush) {
            enter(r, i, "flush");
            leave(r, i, iface(r, i)->flush(&r->ctx, r->loggers[i]->self));
        }
    }
    if (lth_log_files_flush(r->files, &error)) {
        lth_log(LTH_WARNING, "%s; the run goes on without these lines", error.text);
    }
}

static void open_all(lth_records *r) {
    for (size_t i = 0; i < r->count && !r->error.code; i++) {
        if (iface(r, i)->open) {
            lt_status status;

            enter(r, i, "open");
            status = lth_hook_done(&r->ctx, iface(r, i)->open(&r->ctx, r->loggers[i]->self));
            if (status < 0) {
                lth_buf text = {0};

                lth_ctx_report(&r->ctx, &text);
                lth_fail(&r->error, status, "%s", lth_buf_text(&text));
                lth_buf_release(&text);
            }
        }
    }
    lth_error_clear(&r->ctx.error);
}

static void close_all(lth_records *r) {
    for (size_t i = 0; i < r->count; i++) {
        if (iface(r, i)->close) {
            enter(r, i, "close");
            leave(r, i, iface(r, i)->close(&r->ctx, r->loggers[i]->self, r->close_status));
        }
    }
}

static void wait_for_work(lth_records *r) {
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += POLL_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    pthread_mutex_lock(&r->lock);
    if (!r->stop && r->drains_wanted == r->drains_done) {
        pthread_cond_timedwait(&r->wake, &r->lock, &until);
    }
    pthread_mutex_unlock(&r->lock);
}

static void *body(void *arg) {
    lth_records *r = arg;
    double last_flush = wall_time();
    bool dirty = false, stop = false;

    lth_ctx_init(&r->ctx, LTH_LOGGER_THREAD);
    r->ctx.files = r->files;
    open_all(r);
    pthread_mutex_lock(&r->lock);
    r->opened = true;
    pthread_cond_signal(&r->idle);
    pthread_mutex_unlock(&r->lock);
    while (!stop && !r->error.code) {
        uint64_t wanted;

        pthread_mutex_lock(&r->lock);
        wanted = r->drains_wanted;
        stop = r->stop;
        pthread_mutex_unlock(&r->lock);
        dirty |= empty_ring(r) > 0;
        if (wanted > r->drains_done || stop || (dirty && wall_time() - last_flush > FLUSH_SECONDS)) {
            flush_all(r);
            dirty = false;
            last_flush = wall_time();
        }
        pthread_mutex_lock(&r->lock);
        r->drains_done = wanted;
        pthread_cond_signal(&r->idle);
        pthread_mutex_unlock(&r->lock);
        if (!stop) {
            wait_for_work(r);
        }
    }
    if (!r->error.code) {
        close_all(r);
        flush_all(r);
    }
    return NULL;
}

/* ---- life ---- */

static void free_records(lth_records *r) {
    lth_log_files_free(r->files);
    pthread_mutex_destroy(&r->lock);
    pthread_cond_destroy(&r->wake);
    pthread_cond_destroy(&r->idle);
    for (size_t i = 0; r->ring && i < RING; i++) {
        lth_free(r->ring[i].wide);
    }
    lth_free(r->failed);
    lth_free(r->ring);
    lth_free(r);
}

lt_status lth_records_open(lth_records **out, lth_instance *const *loggers, size_t count, const char *run_dir, int64_t resume_step,
                           lth_error *err) {
    lth_records *r = lth_alloc(sizeof *r);

    if (!r) {
        return lth_fail(err, LT_ENOMEM, "out of memory for the loggers");
    }
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->wake, NULL);
    pthread_cond_init(&r->idle, NULL);
    r->loggers = loggers;
    r->count = count;
    r->ring = lth_alloc(RING * sizeof *r->ring);
    r->failed = lth_alloc(count + 1);
    r->files = lth_log_files_new(run_dir, resume_step);
    if (!r->ring || !r->failed || !r->files) {
        free_records(r);
        return lth_fail(err, LT_ENOMEM, "out of memory for the loggers");
    }
    if (lth_thread_start(&r->thread, "lt-loggers", body, r, err)) {
        free_records(r);
        return err->code;
    }
    r->started = true;
    pthread_mutex_lock(&r->lock);
    while (!r->opened) {
        pthread_cond_wait(&r->idle, &r->lock);
    }
    pthread_mutex_unlock(&r->lock);
    if (r->error.code) {
        pthread_join(r->thread, NULL);
        *err = r->error;
        free_records(r);
        return err->code;
    }
    *out = r;
    return LT_OK;
}

void lth_records_close(lth_records *r, const char *status) {
    if (!r) {
        return;
    }
    pthread_mutex_lock(&r->lock);
    r->stop = true;
    r->close_status = status;
    pthread_cond_signal(&r->wake);
    pthread_mutex_unlock(&r->lock);
    pthread_join(r->thread, NULL);
    free_records(r);
}

/* ---- state ---- */

static void state_prefix(const lth_records *r, size_t i, const char *prefix, char *out, size_t size) {
    snprintf(out, size, "%s/%zu-%s", prefix, i, r->loggers[i]->where.component);
}

lt_status lth_records_save(lth_records *r, lth_snapshot *out, const char *prefix, lth_error *err) {
    char path[400];
    lt_ctx ctx;

    if (!r) {
        return LT_OK;
    }
    lth_ctx_init(&ctx, LTH_TRAINER_THREAD);
    for (size_t i = 0; i < r->count; i++) {
        state_prefix(r, i, prefix, path, sizeof path);
        if (!r->failed[i] && lth_instance_save(r->loggers[i], &ctx, out, path, err)) {
            return err->code;
        }
    }
    snprintf(path, sizeof path, "%s/files", prefix);
    return lth_log_files_save(r->files, out, path, err);
}

lt_status lth_records_cut(const char *run_dir, const lth_snapshot *in, const char *prefix, lth_error *err) {
    char path[400];

    snprintf(path, sizeof path, "%s/files", prefix);
    return lth_log_files_cut(run_dir, in, path, err);
}

lt_status lth_records_load(lth_records *r, const lth_snapshot *in, const char *prefix, lth_error *err) {
    char path[400];
    lt_ctx ctx;

    if (!r) {
        return LT_OK;
    }
    lth_ctx_init(&ctx, LTH_TRAINER_THREAD);
    for (size_t i = 0; i < r->count; i++) {
        state_prefix(r, i, prefix, path, sizeof path);
        if (lth_instance_load(r->loggers[i], &ctx, in, path, err)) {
            return err->code;
        }
    }
    return LT_OK;
}
