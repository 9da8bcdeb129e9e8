/* engine/data/parts.h - what the files of this folder share: datasets, batch slots, the ring between workers and trainer.
 * Nobody outside engine/data includes it. */
#ifndef LTH_DATA_PARTS_H
#define LTH_DATA_PARTS_H
#include "base/arena.h"
#include "engine/data/loader.h"
#include <pthread.h>
#include <stdatomic.h>

typedef lt_status lth_get_batch(lt_ctx *ctx, const void *data, const int64_t *indices, int64_t count, lt_batch_out *out);

struct lt_dataset {
    lt_dataset *next;
    lth_loaders *all;
    char *name;
    int64_t length;
    int64_t start;      /* without a map: index i is sample start + i */
    const int64_t *map; /* index i is sample map[i]; NULL: no map */
    int64_t *own_map;   /* the memory of a random_split, held by its first part */
    lth_get_batch *get_batch;
    const void *data;
    const lt_stream_desc *stream; /* NULL: samples have numbers; length is -1 where a stream does not know it */
    lt_stream_desc own_stream;
    lth_where where; /* who made it: named when get_batch fails */
};

/* ---- slots: memory of one batch, filled by one thread at a time ---- */
enum { LTH_KEY_MAX = 48, LTH_POSITION_MAX = 255 };
typedef struct lth_slot_item {
    void *data;
    size_t capacity, size;
    lt_dtype dtype; /* 0: bytes */
    int32_t ndim;
    int64_t shape[LT_MAX_DIMS];
    char key[LTH_KEY_MAX];
    bool has_key;
} lth_slot_item;

struct lt_batch_out {
    _Alignas(64) _Atomic int64_t done; /* ticket of the batch it holds, complete or failed */
    lt_batch batch;
    uint64_t seed; /* of the epoch */
    int64_t first; /* place of the first sample in the epoch */
    int32_t count;
    bool at_end; /* of a stream: there was no batch */
    uint8_t position_size;
    _Alignas(16) uint8_t position[LTH_POSITION_MAX]; /* of a stream, after this batch; size 0: it did not say */
    lth_slot_item items[LTH_BATCH_MAX];
    lth_error error;
};

/* Calls get_batch and checks what it put; a failure ends up in slot->error, naming dataset and samples. */
void lth_slot_fill(lt_batch_out *slot, const lt_dataset *dataset, const int64_t *indices, int64_t count, int64_t number, lt_ctx *ctx);
void lth_slot_fill_stream(lt_batch_out *slot, const lt_dataset *dataset, int64_t count, int64_t number, lt_ctx *ctx);
lt_status lth_slot_deliver(lt_batch_out *slot, lth_engine *engine, lth_error *err); /* makes the batch's tensors */
void lth_slot_match(lt_batch_out *slots, int64_t count); /* each gets the room that the largest has; without memory: later */
void lth_slot_release(lt_batch_out *slot);
void *lth_batch_tensor(lt_ctx *ctx, lt_batch_out *out, const char *key, lt_dtype dtype, int32_t ndim, const int64_t *shape);
uint64_t lth_sample_seed(lt_ctx *ctx, const lt_batch_out *out, int64_t sample);
void *lth_batch_bytes_out(lt_ctx *ctx, lt_batch_out *out, const char *key, size_t size);

/* ---- the ring: tickets are batches, numbered on and on over all epochs, so that one is never mistaken for an older one.
 * Ticket t lives in slot t % slots. Who increments `claimed` from t fills t; `released` says which slots may be used again. ---- */
#define LTH_RING_CLOSED INT64_MAX
typedef struct lth_ring {
    lt_loader *loader;
    lt_batch_out *slots; /* slot_count of the ring, then two for what the trainer thread fills: they stay in its cache */
    int64_t slot_count, workers, started;
    int64_t keep;  /* 1: the batch before the one that is taken stays valid (streams look one ahead) */
    bool in_order; /* a batch may be filled only when the one before it is complete (streams) */
    int64_t opened; /* tickets given out over all epochs */
    _Atomic int64_t from; /* ticket of the first batch since open */
    int64_t first; /* ticket of the epoch's batch 0; changes only while closed and idle */
    struct lth_worker *threads;
    bool may_spin;                         /* more than one CPU */
    atomic_bool over;                      /* a stream has ended: nothing is filled any more */
    _Alignas(64) _Atomic int64_t claimed;  /* next ticket to be filled; CLOSED between epochs */
    _Alignas(64) _Atomic int64_t released; /* tickets below are done with */
    _Atomic int64_t end;                   /* first ticket beyond the epoch */
    _Atomic int64_t fill_ns;               /* what a batch costs, a running mean */
    atomic_bool cheap;                     /* so little that handing it over would cost more: workers sleep */
    _Alignas(64) atomic_int parked;        /* workers asleep */
    atomic_bool trainer_sleeps, stop;
    pthread_mutex_t lock; /* of the two sleeps only */
    pthread_cond_t work, ready;
} lth_ring;

lt_status lth_ring_init(lth_ring *ring, lt_loader *loader, int64_t workers, int64_t prefetch, lth_error *err);
void lth_ring_release(lth_ring *ring); /* joins the workers */
lt_status lth_ring_open(lth_ring *ring, int64_t from, int64_t end,
                        lth_error *err);                                  /* batches from..end of a new epoch; starts the workers */
lt_batch_out *lth_ring_take(lth_ring *ring, int64_t number, lt_ctx *own); /* the batch; the one before it is given back */
void lth_ring_close(lth_ring *ring);                                      /* returns when no worker is filling */

struct lt_loader {
    lth_ring ring;
    lt_loader *next;
    lth_loaders *all;
    lt_dataset *dataset;
    bool shuffle, drop_last, pin_memory;
    int64_t batch_size, length; /* length: batches per epoch */
    int64_t *order;             /* the epoch's samples */
    lt_ctx own;                 /* for batches that the trainer thread fills */
    bool running;
    int64_t base_seed, sampler_seed;
    int64_t position, end; /* next batch to deliver; where the epoch ends */
    bool loaded;           /* the next begin continues a saved epoch */
    int64_t loaded_position, loaded_batch_size, loaded_offset;
    int64_t offset;        /* batch i begins at sample i * batch_size + offset: not 0 after a resume with another batch size */
    int64_t epoch;         /* epochs begun */
    lt_batch_out *ahead;   /* of a stream: the batch after the one that was delivered; NULL: the limit is reached */
    uint8_t stream_position_size;
    _Alignas(16) uint8_t stream_position[LTH_POSITION_MAX]; /* after the last batch delivered */
    int32_t place, siblings; /* among loaders that follow each other; 0 of 1 otherwise */
    struct lth_combined *combined; /* several loaders; then nothing above but all, next and running counts */
};
lt_batch *lth_loader_take(lt_loader *l, lt_ctx *ctx); /* lth_loader_next, for those who may still write in the batch */
void lth_loader_forget(lt_loader *l); /* of a part: it has no more batches in the epoch that was loaded; its next begin is of a new one */
/* combined.c: what the functions of loader.h do for several loaders */
lt_loader *lth_combine(lt_ctx *ctx, lt_loader *const *loaders, const char *const *keys, int32_t count, lt_combine mode);
void lth_combined_free(struct lth_combined *c);
lt_status lth_combined_begin(lt_loader *l, int64_t skip, int64_t limit, lth_error *err);
lt_batch *lth_combined_next(lt_loader *l, lt_ctx *ctx);
void lth_combined_end(lt_loader *l);
bool lth_combined_at_end(const lt_loader *l);
int64_t lth_combined_length(const lt_loader *l);
lt_status lth_combined_save(const lt_loader *l, lth_snapshot *out, const char *prefix, lth_error *err);
lt_status lth_combined_load(lt_loader *l, const lth_snapshot *in, const char *prefix, lth_error *err);
int32_t lth_combined_count(const lt_loader *l);
lt_loader *lth_combined_part(const lt_loader *l, int32_t index);
bool lth_combined_sequential(const lt_loader *l);
void lth_loader_fill(lt_loader *l, lt_batch_out *slot, int64_t number, lt_ctx *ctx); /* any thread; number: within the epoch */

struct lth_loaders {
    lth_engine *engine;
    lt_dataset *datasets;
    lt_loader *loaders;
    lth_arena texts; /* format_path */
};

lt_dataset *lth_stream_new(lt_ctx *ctx, const lt_stream_desc *desc);
void lth_stream_position(lt_ctx *ctx, lt_batch_out *out, const void *position, size_t size);
lt_dataset *lth_dataset_new(lt_ctx *ctx, const lt_dataset_desc *desc);
lt_status lth_random_split(lt_ctx *ctx, lt_dataset *all, const int64_t *lengths, int32_t count, int64_t seed, lt_dataset **out);
lt_dataset *lth_dataset_subset(lt_ctx *ctx, lt_dataset *all, int64_t start, int64_t end);
int64_t lth_dataset_length(lt_ctx *ctx, const lt_dataset *dataset);
void lth_datasets_free(lt_dataset *first);
lt_loader *lth_loader_new(lt_ctx *ctx, lt_dataset *dataset, const lt_loader_opts *opts);
void lth_loader_free(lt_loader *l);

void lth_gather_u8_f32(float *dst, const uint8_t *src, const int64_t *indices, int64_t count, int64_t row, double mean, double std);
lt_status lth_fetch(const char *path, const char *sha256, const char *const *urls, int32_t count, lth_error *err);
#endif
