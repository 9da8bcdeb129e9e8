/* lt/data.h - the component kind lt.datamodule/1: datasets and loaders (table lt.data/1).
 * A dataset hands out whole batches: one crossing per batch. Order, shuffling, workers and prefetch are the host's, so a batch
 * is the same for any number of workers. */
#ifndef LT_DATA_H
#define LT_DATA_H
#include <lt/component.h>
#include <lt/hooks.h>
#include <lt/plugin.h>
#include <lt/trainer.h>

LT_BEGIN
typedef struct lt_dataset lt_dataset; /* host; lives until teardown of the stage */
typedef struct lt_loader lt_loader;
typedef struct lt_batch_out lt_batch_out;

typedef struct lt_dataset_desc {
    uint32_t struct_size;
    uint32_t reserved;
    int64_t length;
    const char *name;
    /* Fills one batch of samples indices[0..count). Several calls may run at once: `data` is read only. [loader] */
    lt_status (*get_batch)(lt_ctx *ctx, const void *data, const int64_t *indices, int64_t count, lt_batch_out *out);
    const void *data; /* the plugin's; it frees it in teardown or destroy */
} lt_dataset_desc;

typedef struct lt_loader_opts { /* 0 means the default in brackets */
    uint32_t struct_size;
    uint8_t shuffle, drop_last, pin_memory, reserved;
    int64_t batch_size;  /* [1] */
    int64_t num_workers; /* [0]: the trainer thread itself */
    int64_t prefetch;    /* batches ahead per worker [2] */
} lt_loader_opts;

typedef struct lt_data_api {
    uint32_t struct_size;
    uint32_t reserved;
    /* -- datasets and loaders: in setup and the *_dataloader hooks -- */
    lt_dataset *(*dataset)(lt_ctx *ctx, const lt_dataset_desc *desc);
    lt_status (*random_split)(lt_ctx *ctx, lt_dataset *all, const int64_t *lengths, int32_t count, int64_t seed, lt_dataset **out); /* randperm of a generator with that seed */
    lt_dataset *(*subset)(lt_ctx *ctx, lt_dataset *all, int64_t start, int64_t end);
    lt_loader *(*loader)(lt_ctx *ctx, lt_dataset *dataset, const lt_loader_opts *opts);
    int64_t (*dataset_length)(lt_ctx *ctx, const lt_dataset *dataset);
    /* -- in get_batch [loader]: memory to fill, host-owned, reused from batch to batch, 64-byte aligned -- */
    void *(*batch_tensor)(lt_ctx *ctx, lt_batch_out *out, const char *key, lt_dtype dtype, int32_t ndim, const int64_t *shape); /* key NULL: next of a list */
    void *(*batch_bytes_out)(lt_ctx *ctx, lt_batch_out *out, const char *key, size_t size);
    /* dst[i, :] = (src[indices[i], :] * scale - mean) / std as torchvision's ToTensor and Normalize; scale 1/255 gives ToTensor's bits. */
    void (*gather_u8_f32)(lt_ctx *ctx, float *dst, const uint8_t *src, const int64_t *indices, int64_t count, int64_t row, double mean, double std);
    /* -- in prepare_data -- */
    /* Makes `path` exist with this SHA-256 (64 hex digits; NULL: any): kept if it is there and right, else downloaded from the first url that
     * serves it, resumed where broken off, written to a temporary file and renamed. Names every mirror's failure. */
    lt_status (*fetch)(lt_ctx *ctx, const char *path, const char *sha256, const char *const *urls, int32_t count);
    /* Text allocated for the component, freed by the host with it: `~` and the YAML file's folder are resolved at binding for LT_PATH fields. */
    const char *(*format_path)(lt_ctx *ctx, const char *dir, const char *name);
} lt_data_api;
extern LT_HIDDEN const struct lt_data_api *lt__data LT__NEEDS_PLUGIN("lt__data");
/* WRAPPERS */

typedef struct lt_datamodule {
    lt_component base;
    /* After setup of the stage. Each makes and returns a loader; NULL hook: the stage has none. [setup] */
    lt_loader *(*train_dataloader)(lt_ctx *ctx, void *self);
    lt_loader *(*val_dataloader)(lt_ctx *ctx, void *self);
    lt_loader *(*test_dataloader)(lt_ctx *ctx, void *self);
    lt_loader *(*predict_dataloader)(lt_ctx *ctx, void *self);
    lt_status (*save)(lt_ctx *ctx, void *self, lt_state_writer *out);
    lt_status (*load)(lt_ctx *ctx, void *self, const lt_state_reader *in);
    /* Frees what the plugin allocated; after the host's workers are gone. NULL: nothing to free. */
    void (*release)(lt_ctx *ctx, void *self);
#define LT__X(name, kinds, text) lt_hook *name;
    LT_HOOKS(LT__X)
#undef LT__X
} lt_datamodule;
LT_END
#ifndef __cplusplus
#define LT_DATAMODULE(id_, type_, doc_, ...) LT__COMPONENT(lt_datamodule, "lt.datamodule/1", id_, type_, doc_, __VA_ARGS__)
#endif
#endif
