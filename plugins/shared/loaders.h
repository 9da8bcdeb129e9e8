/* shared/loaders.h - the parameters that every datamodule's loaders take, and the loaders made from them. Fields and entries of LT_PARAMS
 * as macros, so that they lie in the component's own struct. Holds no state. */
#ifndef SHARED_LOADERS_H
#define SHARED_LOADERS_H
#include <lt/data.h>

#define LOADER_FIELDS                \
    int64_t batch_size, num_workers; \
    bool shuffle, drop_last, pin_memory

#define LOADER_PARAMS(things)                                                                                        \
    LT_PARAM(batch_size, "1", things " in a batch.", LT_RANGE("1..")),                                               \
    LT_PARAM(num_workers, "0", "Threads that prepare batches; 0: the training thread itself.", LT_RANGE("0..1024")), \
    LT_PARAM(shuffle, "true", "Shuffle the training samples, anew each epoch."),                                     \
    LT_PARAM(drop_last, "false", "Leave out a last, smaller training batch."),                                       \
    LT_PARAM(pin_memory, "false", "Keep batches in memory that an accelerator copies from faster.")

/* Loaders of a component `m` with LOADER_FIELDS: shuffled as configured, or in order. A dataset that is NULL has none. */
#define TRAIN_LOADER(ctx, m, dataset)                                                                                           \
    ((dataset) ? lt_data_loader(ctx, dataset, .batch_size = (m)->batch_size, .num_workers = (m)->num_workers,                   \
                                .shuffle = (m)->shuffle, .drop_last = (m)->drop_last, .pin_memory = (m)->pin_memory)            \
               : NULL)
#define PLAIN_LOADER(ctx, m, dataset)                                                                                           \
    ((dataset) ? lt_data_loader(ctx, dataset, .batch_size = (m)->batch_size, .num_workers = (m)->num_workers,                   \
                                .pin_memory = (m)->pin_memory)                                                                  \
               : NULL)
#endif
