/* engine/data/ring.c - workers fill batches ahead, the trainer takes them in order. It never waits for a batch nobody has begun: it
 * fills that one itself, so workers cannot make an epoch slower than none would, and with none the same code runs without a thread.
 * Batches that cost less to fill than to fetch from another core's cache are all filled by the trainer, and the workers sleep.
 *
 * Tickets and slots: parts.h. `claimed` only grows while an epoch is open, so a compare-and-swap that succeeds proves that what was read
 * before it (end, released) was of this epoch. No lock is taken unless a thread goes to sleep or wakes one. Makes no batch itself. */
#include "base/mem.h"
#include "base/threads.h"
#include "engine/data/parts.h"
#include <stdio.h>
#include <time.h>

typedef struct lth_worker {
    lth_ring *ring;
    pthread_t thread;
    lt_ctx ctx;
} lth_worker;

/* How long a thread looks before it sleeps: about what it costs to be woken. */
enum { TRAINER_SPIN_NS = 20000, WORKER_SPIN_NS = 5000, LOOKS_PER_CLOCK = 16 };
/* A batch of 200 KB costs about 10 us to hand over, waking included (64 images of 28x28 bytes: 7 us to fill). Two bounds, so that it
 * settles. */
enum { CHEAP_BELOW_NS = 15000, DEAR_ABOVE_NS = 30000 };

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000ll + now.tv_nsec;
}

static inline void relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb");
#endif
}

/* A stream is read in order, by one thread at a time. That it is over was set before the batch that ended it was published, so it is read after
 * that batch is seen to be done: otherwise a worker could look before the end came and find its turn after it. */
static bool its_turn(lth_ring *ring, int64_t ticket) {
    bool before_is_done = ticket <= atomic_load(&ring->from) || atomic_load(&ring->slots[(ticket - 1) % ring->slot_count].done) == ticket - 1;
    return before_is_done && !atomic_load(&ring->over);
}

/* May a worker fill it now? */
static bool is_claimable(lth_ring *ring, int64_t ticket) {
    return ticket < atomic_load(&ring->end) && ticket < atomic_load(&ring->released) + ring->slot_count && !atomic_load(&ring->cheap) &&
           (!ring->in_order || its_turn(ring, ticket));
}

/* The next batch to fill, now the caller's; -1: none is to be filled now. */
static int64_t claim(lth_ring *ring) {
    int64_t ticket = atomic_load(&ring->claimed);
    while (is_claimable(ring, ticket)) {
        if (atomic_compare_exchange_weak(&ring->claimed, &ticket, ticket + 1)) {
            return ticket;
        }
    }
    return -1;
}

/* One slow batch (a page fault, another process) must not look like a change: it counts four times the mean at most. */
static void learn_cost(lth_ring *ring, int64_t ns) {
    int64_t mean = atomic_load_explicit(&ring->fill_ns, memory_order_relaxed);
    int64_t now = !mean ? ns : mean + ((ns < 4 * mean ? ns : 4 * mean) - mean) / 8;
    atomic_store_explicit(&ring->fill_ns, now > 8 ? now : 8, memory_order_relaxed);
    bool cheap = atomic_load_explicit(&ring->cheap, memory_order_relaxed);
    if (cheap ? now > DEAR_ABOVE_NS : now < CHEAP_BELOW_NS) {
        atomic_store(&ring->cheap, !cheap);
    }
}

static void fill(lth_ring *ring, lt_batch_out *slot, int64_t ticket, lt_ctx *ctx) {
    int64_t start = ring->workers ? now_ns() : 0;
    lth_loader_fill(ring->loader, slot, ticket - ring->first, ctx);
    if (ring->workers) {
        learn_cost(ring, now_ns() - start);
    }
}

/* Says that the ticket is filled, and wakes a trainer that waits for it. */
static void publish(lth_ring *ring, int64_t ticket) {
    atomic_store(&ring->slots[ticket % ring->slot_count].done, ticket);
    if (atomic_load(&ring->trainer_sleeps)) {
        pthread_mutex_lock(&ring->lock);
        pthread_cond_signal(&ring->ready);
        pthread_mutex_unlock(&ring->lock);
    }
}

/* ---- workers ---- */

static bool work_is_near(lth_ring *ring) {
    if (!ring->may_spin || atomic_load(&ring->claimed) == LTH_RING_CLOSED) {
        return false;
    }
    for (int64_t until = now_ns() + WORKER_SPIN_NS; now_ns() < until;) {
        for (int i = 0; i < LOOKS_PER_CLOCK; i++) {
            if (is_claimable(ring, atomic_load(&ring->claimed))) {
                return true;
            }
            relax();
        }
    }
    return false;
}

/* Sleeps until there is a batch to fill; false: the loader goes away. */
static bool wait_for_work(lth_ring *ring) {
    if (work_is_near(ring)) {
        return true;
    }
    pthread_mutex_lock(&ring->lock);
    atomic_fetch_add(&ring->parked, 1); /* before the last look: a trainer that frees a slot after it sees someone to wake */
    while (!atomic_load(&ring->stop) && !is_claimable(ring, atomic_load(&ring->claimed))) {
        pthread_cond_wait(&ring->work, &ring->lock);
    }
    atomic_fetch_sub(&ring->parked, 1);
    pthread_mutex_unlock(&ring->lock);
    return !atomic_load(&ring->stop);
}

static void *work(void *arg) {
    lth_worker *worker = arg;
    lth_ctx_init(&worker->ctx, LTH_LOADER_THREAD);
    worker->ctx.where = worker->ring->loader->dataset->where;
    lth_flush_denormals(); /* as the trainer thread: the same bits whoever fills */
    while (!atomic_load(&worker->ring->stop)) {
        int64_t ticket = claim(worker->ring);
        if (ticket >= 0) {
            fill(worker->ring, &worker->ring->slots[ticket % worker->ring->slot_count], ticket, &worker->ctx);
            publish(worker->ring, ticket);
        } else if (!wait_for_work(worker->ring)) {
            break;
        }
    }
    return NULL;
}

static lt_status start_workers(lth_ring *ring, lth_error *err) {
    while (ring->started < ring->workers) {
        lth_worker *worker = &ring->threads[ring->started];
        worker->ring = ring;
        char name[16];
        snprintf(name, sizeof name, "lt-data-%d", (int)(ring->started % 1000));
        lt_status status = lth_thread_start(&worker->thread, name, work, worker, err);
        if (status) {
            return status;
        }
        ring->started++;
    }
    return LT_OK;
}

static void wake_workers(lth_ring *ring, bool all) {
    pthread_mutex_lock(&ring->lock);
    if (all) {
        pthread_cond_broadcast(&ring->work);
    } else {
        pthread_cond_signal(&ring->work);
    }
    pthread_mutex_unlock(&ring->lock);
}

/* ---- trainer ---- */

static bool is_done(const lt_batch_out *slot, int64_t ticket) { return atomic_load(&slot->done) == ticket; }

static void wait_until_done(lth_ring *ring, lt_batch_out *slot, int64_t ticket) {
    if (is_done(slot, ticket)) {
        return;
    }
    for (int64_t until = ring->may_spin ? now_ns() + TRAINER_SPIN_NS : 0; until && now_ns() < until;) {
        for (int i = 0; i < LOOKS_PER_CLOCK; i++) {
            if (is_done(slot, ticket)) {
                return;
            }
            relax();
        }
    }
    pthread_mutex_lock(&ring->lock);
    atomic_store(&ring->trainer_sleeps, true);
    while (!is_done(slot, ticket)) {
        pthread_cond_wait(&ring->ready, &ring->lock);
    }
    atomic_store(&ring->trainer_sleeps, false);
    pthread_mutex_unlock(&ring->lock);
}

/* A sleeping worker is woken when half of the ring is used up, not for every batch: waking costs the trainer a system call. */
static void wake_when_low(lth_ring *ring, int64_t ticket) {
    if (!atomic_load(&ring->parked) || atomic_load(&ring->cheap)) {
        return;
    }
    int64_t claimed = atomic_load(&ring->claimed);
    if (claimed - ticket <= ring->slot_count / 2 && claimed < atomic_load(&ring->end)) {
        wake_workers(ring, false);
    }
}

lt_batch_out *lth_ring_take(lth_ring *ring, int64_t number, lt_ctx *own) {
    int64_t ticket = ring->first + number, next = ticket;
    atomic_store(&ring->released, ticket - ring->keep);
    bool mine = atomic_compare_exchange_strong(&ring->claimed, &next, ticket + 1);
    wake_when_low(ring, ticket);
    lt_batch_out *slot = &ring->slots[mine ? ring->slot_count + (ticket & 1) : ticket % ring->slot_count];
    if (mine) {
        fill(ring, slot, ticket, own);
        atomic_store(&ring->slots[ticket % ring->slot_count].done, ticket); /* nobody waits for it later */
    } else {
        wait_until_done(ring, slot, ticket);
    }
    return slot;
}

lt_status lth_ring_open(lth_ring *ring, int64_t from, int64_t end, lth_error *err) {
    lt_status status = start_workers(ring, err);
    if (status) {
        return status;
    }
    if (ring->workers) {
        lth_slot_match(ring->slots, ring->slot_count + 2);
    }
    ring->first = ring->opened; /* beyond every ticket so far */
    ring->opened += end;
    atomic_store(&ring->from, ring->first + from);
    atomic_store(&ring->over, false);
    atomic_store(&ring->end, ring->first + end);
    atomic_store(&ring->released, ring->first + from - ring->keep);
    atomic_store(&ring->claimed, ring->first + from);
    if (atomic_load(&ring->parked)) {
        wake_workers(ring, true);
    }
    return LT_OK;
}

void lth_ring_close(lth_ring *ring) {
    int64_t claimed = atomic_exchange(&ring->claimed, LTH_RING_CLOSED);
    if (claimed == LTH_RING_CLOSED || !ring->workers) { /* what the trainer fills is complete */
        return;
    }
    int64_t ticket = atomic_load(&ring->released), from = atomic_load(&ring->from);
    for (ticket = ticket > from ? ticket : from; ticket < claimed; ticket++) {
        wait_until_done(ring, &ring->slots[ticket % ring->slot_count], ticket);
    }
}

lt_status lth_ring_init(lth_ring *ring, lt_loader *loader, int64_t workers, int64_t prefetch, lth_error *err) {
    ring->loader = loader;
    ring->workers = workers;
    ring->slot_count = workers ? workers * prefetch + 2 : 1;
    ring->slots = lth_alloc((size_t)(ring->slot_count + 2) * sizeof *ring->slots);
    ring->threads = lth_alloc((size_t)(workers ? workers : 1) * sizeof *ring->threads);
    if (!ring->slots || !ring->threads) {
        return lth_fail(err, LT_ENOMEM, "no memory for %lld batch slots", (long long)ring->slot_count);
    }
    for (int64_t i = 0; i < ring->slot_count; i++) {
        atomic_init(&ring->slots[i].done, -1);
    }
    atomic_init(&ring->claimed, LTH_RING_CLOSED);
    ring->may_spin = lth_cpu_count() > 1;
    pthread_mutex_init(&ring->lock, NULL);
    pthread_cond_init(&ring->work, NULL);
    pthread_cond_init(&ring->ready, NULL);
    return LT_OK;
}

void lth_ring_release(lth_ring *ring) {
    if (ring->slots && ring->threads) {
        lth_ring_close(ring);
        atomic_store(&ring->stop, true);
        wake_workers(ring, true);
        for (int64_t i = 0; i < ring->started; i++) {
            pthread_join(ring->threads[i].thread, NULL);
        }
        pthread_cond_destroy(&ring->ready);
        pthread_cond_destroy(&ring->work);
        pthread_mutex_destroy(&ring->lock);
    }
    for (int64_t i = 0; ring->slots && i <= ring->slot_count + 1; i++) {
        lth_slot_release(&ring->slots[i]);
    }
    lth_free(ring->slots);
    lth_free(ring->threads);
    ring->slots = NULL;
    ring->threads = NULL;
}
