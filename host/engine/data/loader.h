/* engine/data/loader.h - datasets, samplers, loaders: indices in PyTorch's order, batches filled by the plugin into recycled memory.
 * The batch sequence depends on the seed only, never on the number of workers. A worker fills whole batches; the trainer takes them in
 * order from a ring. Owns batch memory; a batch is valid until the next lth_loader_next. No Python, no processes, no copies. */
#ifndef LTH_LOADER_H
#define LTH_LOADER_H
#include "base/snapshot.h"
#include "engine/tensor/tensor.h"
#include <lt/data.h>

/* A batch: a list or dict of items, each a tensor or bytes; a combined one has the batches of its loaders as items. */
enum { LTH_BATCH_MAX = 16 };
typedef struct lth_batch_item { const char *key; lt_tensor *tensor; const void *bytes; size_t size; const lt_batch *part; bool is_part; } lth_batch_item;
struct lt_batch {
    int32_t count;
    int64_t size;                       /* samples */
    int64_t index;                      /* number of the batch in its epoch */
    const int64_t *indices;             /* dataset indices of the samples (predictions keep them); NULL: a stream's, a combined one */
    int32_t loader, n_loaders;          /* which of several loaders gave it (sequential); 0 of 1 */
    bool last;                          /* of its epoch, or of its loader where several follow each other */
    lth_batch_item items[LTH_BATCH_MAX];
};

typedef struct lth_loaders lth_loaders; /* all datasets and loaders of a stage; in ctx->loaders */
lth_loaders *lth_loaders_new(lth_engine *e, lth_error *err);
void lth_loaders_free(lth_loaders *all); /* stops the workers, then frees everything */

/* Begins an epoch: draws base seed and sampler seed from the engine's generator, in torch's order. skip: batches to leave out (resume).
 * limit: batches to deliver at most, skipped ones included; -1 all. */
lt_status lth_loader_begin(lt_loader *l, int64_t skip, int64_t limit, lth_error *err);
/* The next batch, wrapped as tensors of the engine; NULL at the end (err untouched) or on failure. Worker errors name the dataset and indices. */
const lt_batch *lth_loader_next(lt_loader *l, lt_ctx *ctx);
/* Float tensors of a batch in the dtype of trainer.precision (32-true leaves them as they are). lth_loader_next has done it. */
lt_status lth_batch_convert(lt_batch *batch, lt_ctx *ctx);
/* The first tensor of a batch of the dataset's first sample, in step memory; outside any epoch, drawing nothing. Of several loaders: of
 * the first that has samples. NULL: there is none (a stream is not begun for it), or ctx has the failure. */
lt_tensor *lth_loader_example(lt_loader *l, lt_ctx *ctx);
void lth_loader_end(lt_loader *l);      /* early stop: workers drop what they prefetched */
/* Nothing more will come in this epoch: true after its last batch was delivered, and of an empty one after begin. */
bool lth_loader_at_end(const lt_loader *l);
int64_t lth_loader_length(const lt_loader *l); /* batches per epoch; LTH_UNKNOWN_LENGTH: only reading on will tell */
enum { LTH_COMBINE_MOST = LTH_BATCH_MAX };
#define LTH_UNKNOWN_LENGTH INT64_MAX
/* Loaders that follow each other (LT_COMBINE_SEQUENTIAL), each with a length of its own; 1 for any other. */
int32_t lth_loader_parts(const lt_loader *l);
lt_loader *lth_loader_part(lt_loader *l, int32_t index); /* itself, where it has no parts */
int64_t lth_loader_batch_size(const lt_loader *l);
int64_t lth_loader_samples(const lt_loader *l);
int64_t lth_loader_workers(const lt_loader *l);
const char *lth_loader_dataset_name(const lt_loader *l);
void lth_loader_keep_order(lt_loader *l); /* overfit_batches: the same samples every epoch; before the first begin */
bool lth_loader_shuffles(const lt_loader *l);
/* Sampler seed and position of the running epoch; load makes the next lth_loader_begin continue there: it then draws nothing from the
 * generator (which was saved after this epoch's draws) and, with skip 0, begins at the saved position. Saved between epochs: it begins anew.
 * A batch delivered counts as done. Another length of the dataset is refused in mid-epoch; another batch size continues, with a
 * warning, at the first sample that was not seen; refused (by begin) where too few are left for the limit. */
lt_status lth_loader_save(const lt_loader *l, lth_snapshot *out, const char *prefix, lth_error *err);
lt_status lth_loader_load(lt_loader *l, const lth_snapshot *in, const char *prefix, lth_error *err);
extern const lt_data_api lth_data_table; /* lt.data/1 */
#endif
