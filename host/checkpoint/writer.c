/* checkpoint/writer.c - a thread that saves and removes in the order given. At most two snapshots are alive in it: the third save waits.
 * A failed save is told once, by the next call; after it nothing is removed any more, since what was to replace it is not on disk. */
#include "base/log.h"
#include "base/mem.h"
#include "base/threads.h"
#include "checkpoint/internal.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { MOST_SAVES = 2 };

typedef struct task {
    struct task *next;
    char *path;
    lth_snapshot *snapshot; /* NULL: remove path */
    lth_ckpt_facts facts;
} task;

struct lth_ckpt_writer {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t given, done;
    task *first, **last; /* the first one is being worked on */
    int saves;           /* in the list */
    bool stopping, save_failed;
    lth_error error; /* not yet told */
};

static void free_task(task *t) {
    if (t) {
        lth_snapshot_free(t->snapshot);
        lth_free(t->path);
        lth_free(t);
    }
}

/* Without the lock: it takes seconds. */
static void work(task *t, bool may_remove, lth_error *err) {
    if (t->snapshot) {
        lth_ckpt_write(t->path, t->snapshot, &t->facts, err);
    } else if (may_remove && unlink(t->path) != 0 && errno != ENOENT) {
        lth_log(LTH_WARNING, "cannot remove %s: %s", t->path, strerror(errno)); /* costs room, loses nothing */
    }
}

static void *run(void *arg) {
    lth_ckpt_writer *w = arg;
    pthread_mutex_lock(&w->lock);
    for (;;) {
        while (!w->first && !w->stopping) {
            pthread_cond_wait(&w->given, &w->lock);
        }
        task *t = w->first;
        if (!t) {
            break;
        }
        bool may_remove = !w->save_failed;
        lth_error err = {0};
        pthread_mutex_unlock(&w->lock);
        work(t, may_remove, &err);
        pthread_mutex_lock(&w->lock);
        if (err.code) {
            w->save_failed = true;
            lth_fail(&w->error, err.code, "%s", err.text);
        }
        w->saves -= t->snapshot != NULL;
        w->first = t->next;
        w->last = w->first ? w->last : &w->first;
        free_task(t);
        pthread_cond_broadcast(&w->done);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

lt_status lth_ckpt_writer_new(lth_ckpt_writer **out, lth_error *err) {
    lth_ckpt_writer *w = *out = NULL;
    w = lth_alloc(sizeof *w);
    if (!w) {
        return lth_fail(err, LT_ENOMEM, "out of memory for the checkpoint writer");
    }
    w->last = &w->first;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->given, NULL);
    pthread_cond_init(&w->done, NULL);
    lt_status status = lth_thread_start(&w->thread, "lthost-ckpt", run, w, err);
    if (status != LT_OK) {
        lth_free(w);
        return status;
    }
    *out = w;
    return LT_OK;
}

/* Tells the failure that waits, once. With the lock held. */
static lt_status told(lth_ckpt_writer *w, lth_error *err) {
    lt_status status = w->error.code ? lth_fail(err, w->error.code, "%s", w->error.text) : LT_OK;
    lth_error_clear(&w->error);
    return status;
}

static lt_status submit(lth_ckpt_writer *w, const char *path, lth_snapshot *snapshot, const lth_ckpt_facts *facts, lth_error *err) {
    task *t = lth_alloc(sizeof *t);
    if (t) {
        *t = (task){.path = lth_strdup(path), .snapshot = snapshot};
        t->facts = facts ? *facts : (lth_ckpt_facts){0};
    } else {
        lth_snapshot_free(snapshot);
    }
    if (!t || !t->path) {
        free_task(t);
        return lth_fail(err, LT_ENOMEM, "out of memory to save %s", path);
    }
    pthread_mutex_lock(&w->lock);
    while (snapshot && w->saves >= MOST_SAVES) {
        pthread_cond_wait(&w->done, &w->lock);
    }
    lt_status status = told(w, err);
    if (status == LT_OK) {
        *w->last = t;
        w->last = &t->next;
        w->saves += snapshot != NULL;
        pthread_cond_signal(&w->given);
    }
    pthread_mutex_unlock(&w->lock);
    if (status != LT_OK) {
        free_task(t);
    }
    return status;
}

lt_status lth_ckpt_writer_save(lth_ckpt_writer *w, const char *path, lth_snapshot *snapshot, const lth_ckpt_facts *facts, lth_error *err) {
    return snapshot ? submit(w, path, snapshot, facts, err) : lth_fail(err, LT_EINVAL, "no snapshot to save as %s", path);
}

lt_status lth_ckpt_writer_remove(lth_ckpt_writer *w, const char *path, lth_error *err) { return submit(w, path, NULL, NULL, err); }

lt_status lth_ckpt_writer_drain(lth_ckpt_writer *w, lth_error *err) {
    pthread_mutex_lock(&w->lock);
    while (w->first) {
        pthread_cond_wait(&w->done, &w->lock);
    }
    lt_status status = told(w, err);
    pthread_mutex_unlock(&w->lock);
    return status;
}

lt_status lth_ckpt_writer_free(lth_ckpt_writer *w, lth_error *err) {
    if (!w) {
        return LT_OK;
    }
    pthread_mutex_lock(&w->lock);
    w->stopping = true;
    pthread_cond_signal(&w->given);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL); /* it ends when the list is empty */
    lt_status status = told(w, err);
    pthread_cond_destroy(&w->given);
    pthread_cond_destroy(&w->done);
    pthread_mutex_destroy(&w->lock);
    lth_free(w);
    return status;
}
