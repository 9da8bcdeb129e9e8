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

/* A stream: samples that come one after the other and cannot be asked for by number (files read from front to back, sockets, generators). */
typedef struct lt_stream_start {
    uint32_t struct_size;
    uint32_t reserved;
    uint64_t seed;          /* of this epoch, drawn from the run's generator: for shuffling buffers and augmentation */
    int64_t epoch;          /* 0, 1, ...: times that the stream was begun, also before a resume */
    const void *position;   /* what lt_stream_position said with the last batch that was used, aligned to 16; or NULL: begin at the front */
    size_t position_size;
} lt_stream_start;
typedef struct lt_stream_desc {
    uint32_t struct_size;
    uint32_t reserved;
    int64_t length;         /* samples of an epoch, or -1: not known */
    const char *name;
    /* Begins an epoch, or goes on in the middle of one. No other hook of this stream runs meanwhile. [loader] */
    lt_status (*start)(lt_ctx *ctx, void *data, const lt_stream_start *at);
    /* Fills one batch of at most `count` samples (what is put decides how many); nothing put is the end of the epoch: it is not called
     * again before start then, nor after it failed. One call at a time, on any thread. [loader] */
    lt_status (*next)(lt_ctx *ctx, void *data, int64_t count, lt_batch_out *out);
    void *data;             /* the plugin's; it frees it in release or destroy */
} lt_stream_desc;

/* How the batches of several loaders meet. SEQUENTIAL: one loader after the other, batches as they are, lt_now()->dataloader_idx says whose; limits
 * count for each loader. The others: one batch with a part of each loader, until the longest is through, the shorter ones beginning again
 * (MAX_SIZE_CYCLE), until the shortest is (MIN_SIZE), or until the longest is, the parts of shorter ones absent then (MAX_SIZE). */
typedef int32_t lt_combine;
enum { LT_COMBINE_SEQUENTIAL = 0, LT_COMBINE_MAX_SIZE_CYCLE = 1, LT_COMBINE_MIN_SIZE = 2, LT_COMBINE_MAX_SIZE = 3 };

/* What the header of a .npy file says. */
typedef struct lt_npy_header {
    uint32_t struct_size;
    lt_dtype dtype;
    int32_t ndim, reserved;
    int64_t shape[LT_MAX_DIMS];
    int64_t offset, size; /* of the data in the file, in bytes */
} lt_npy_header;

typedef struct lt_data_api {
    uint32_t struct_size;
    uint32_t reserved;
    /* -- datasets and loaders: in setup and the *_dataloader hooks -- */
    lt_dataset *(*dataset)(lt_ctx *ctx, const lt_dataset_desc *desc);
    /* Shuffled by randperm of a generator with that seed. */
    lt_status (*random_split)(lt_ctx *ctx, lt_dataset *all, const int64_t *lengths, int32_t count, int64_t seed, lt_dataset **out);
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
    /* -- in get_batch [loader] -- */
    uint64_t (*sample_seed)(lt_ctx *ctx, const lt_batch_out *out, int64_t sample); /* of this epoch and this place in its order */
    /* -- streams, several loaders -- */
    lt_dataset *(*stream)(lt_ctx *ctx, const lt_stream_desc *desc);
    void (*stream_position)(lt_ctx *ctx, lt_batch_out *out, const void *position, size_t size);
    lt_loader *(*combine)(lt_ctx *ctx, lt_loader *const *loaders, const char *const *keys, int32_t count, lt_combine mode);
    /* -- files -- */
    lt_status (*npy_header)(lt_ctx *ctx, const char *path, const void *bytes, size_t size, int64_t file_size, lt_npy_header *out);
} lt_data_api;
extern LT_HIDDEN const struct lt_data_api *lt__data LT__NEEDS_PLUGIN("lt__data");

/* ---- datasets and loaders: in setup and the *_dataloader hooks [setup] ----
 * Results are the host's, until teardown of the stage. */
/* A dataset as described; desc (its struct_size set) is copied, desc->data stays the plugin's. LT_EINVAL. */
LT_INLINE lt_dataset *lt_data_dataset(lt_ctx *ctx, const lt_dataset_desc *desc) { return lt__data->dataset(ctx, desc); }
/* Splits into count parts, out[0..count), whose lengths add up to that of all; as torch's random_split with a generator of that seed. */
LT_INLINE lt_status lt_data_random_split(lt_ctx *ctx, lt_dataset *all, const int64_t *lengths, int32_t count, int64_t seed,
                                         lt_dataset **out) {
    return lt__data->random_split(ctx, all, lengths, count, seed, out);
}
/* Samples start..end-1. LT_EINDEX. */
LT_INLINE lt_dataset *lt_data_subset(lt_ctx *ctx, lt_dataset *all, int64_t start, int64_t end) {
    return lt__data->subset(ctx, all, start, end);
}
/* A stream as described; desc (its struct_size set) is copied, desc->data stays the plugin's. A loader over it reads in order: workers only read
 * ahead, and shuffle is refused. LT_EINVAL. */
LT_INLINE lt_dataset *lt_data_stream(lt_ctx *ctx, const lt_stream_desc *desc) { return lt__data->stream(ctx, desc); }
/* Several loaders as one, in the order given; keys (borrowed; NULL: none) name the parts, as of a dict: each 1 to 47 bytes, no two
 * alike. The loaders are then the new one's. 1 to 16; LT_COMBINE_*: Lightning's default is MAX_SIZE_CYCLE for training and SEQUENTIAL elsewhere.
 * Read parts with lt_batch_part. LT_EINVAL. */
LT_INLINE lt_loader *lt_data_combine(lt_ctx *ctx, lt_loader *const *loaders, const char *const *keys, int32_t count, lt_combine mode) {
    return lt__data->combine(ctx, loaders, keys, count, mode);
}
/* A loader over a dataset; opts NULL: defaults. LT_EINVAL. */
LT_INLINE lt_loader *lt_data_loader_with(lt_ctx *ctx, lt_dataset *dataset, const lt_loader_opts *opts) {
    return lt__data->loader(ctx, dataset, opts);
}
/* Samples in a dataset. */
LT_INLINE int64_t lt_data_dataset_length(lt_ctx *ctx, const lt_dataset *dataset) { return lt__data->dataset_length(ctx, dataset); }

/* ---- in get_batch [loader] ---- */
/* Memory for one tensor of the batch, row-major, of that shape, to be filled: key NULL makes a list in the order of the calls, keys a dict.
 * 64-byte aligned, host memory, reused from batch to batch, not zeroed. At most 16 items; keys of at most 47 bytes. LT_EINVAL, LT_ENOMEM. */
LT_INLINE void *lt_batch_tensor(lt_ctx *ctx, lt_batch_out *out, const char *key, lt_dtype dtype, int32_t ndim, const int64_t *shape) {
    return lt__data->batch_tensor(ctx, out, key, dtype, ndim, shape);
}
/* The same for size plain bytes. */
LT_INLINE void *lt_batch_put_bytes(lt_ctx *ctx, lt_batch_out *out, const char *key, size_t size) {
    return lt__data->batch_bytes_out(ctx, out, key, size);
}
/* dst (count, row) f32 = (src (.., row) u8 [indices] / 255 - mean) / std, the bits of torchvision's ToTensor and Normalize. */
LT_INLINE void lt_gather_u8_f32(lt_ctx *ctx, float *dst, const uint8_t *src, const int64_t *indices, int64_t count, int64_t row,
                                double mean, double std) {
    lt__data->gather_u8_f32(ctx, dst, src, indices, count, row, mean, std);
}

/* In a stream's next: where the stream stands after this batch, 1 to 255 bytes, copied. A checkpoint keeps that of the last batch that was
 * used; a stream without positions is read again from the front when a run is resumed. LT_EINVAL. */
LT_INLINE void lt_stream_position(lt_ctx *ctx, lt_batch_out *out, const void *position, size_t size) {
    lt__data->stream_position(ctx, out, position, size);
}

/* ---- random draws of a sample: augmentation, random windows [loader] ----
 * One generator for each sample of a batch, seeded by the epoch's seed (drawn from the run's) and the sample's place in the epoch: the
 * same draws for any number of workers and after a resume, others in the next epoch. SplitMix64 (Steele, Lea, Flood 2014). */
typedef struct lt_sample_rng { uint64_t state; } lt_sample_rng;
/* Generator of sample 0..count-1 of the batch that get_batch fills. LT_EINDEX. */
LT_INLINE lt_sample_rng lt_sample_random(lt_ctx *ctx, const lt_batch_out *out, int64_t sample) {
    lt_sample_rng rng;
    rng.state = lt__data->sample_seed(ctx, out, sample);
    return rng;
}
/* The next 64 random bits. [any] */
LT_INLINE uint64_t lt_draw_bits(lt_sample_rng *rng) {
    uint64_t z = rng->state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}
/* Uniform in [low, high), in steps of 2^-53 of the range. [any] */
LT_INLINE double lt_draw_uniform(lt_sample_rng *rng, double low, double high) {
    return low + (high - low) * ((double)(lt_draw_bits(rng) >> 11) * (1.0 / 9007199254740992.0));
}
/* 0..n-1, each as likely as the others to within n / 2^53; n from 1 to 2^53. [any] */
LT_INLINE int64_t lt_draw_below(lt_sample_rng *rng, int64_t n) {
    return (int64_t)((double)(lt_draw_bits(rng) >> 11) * (1.0 / 9007199254740992.0) * (double)n);
}

/* ---- files [trainer] ---- */
/* In prepare_data: makes path exist with this SHA-256 (64 hex digits; NULL: any), downloading from the first of count urls that serves it.
 * LT_EIO names every url's failure; LT_ENOSPC; LT_EUNSUPPORTED where a download is needed and there is no libcurl. */
LT_INLINE lt_status lt_fetch(lt_ctx *ctx, const char *path, const char *sha256, const char *const *urls, int32_t count) {
    return lt__data->fetch(ctx, path, sha256, urls, count);
}
/* What the header of a .npy file says (versions 1 to 3, little endian, C order), checked against the file's length: bytes are its first
 * `size`, 66000 of them or all, borrowed; path is for messages; out->struct_size set by the caller. LT_EFORMAT, LT_EDTYPE. [any] */
LT_INLINE lt_status lt_npy_parse(lt_ctx *ctx, const char *path, const void *bytes, size_t size, int64_t file_size, lt_npy_header *out) {
    return lt__data->npy_header(ctx, path, bytes, size, file_size, out);
}
/* dir/name; the host's, as long as the component. */
LT_INLINE const char *lt_format_path(lt_ctx *ctx, const char *dir, const char *name) { return lt__data->format_path(ctx, dir, name); }
LT_END

/* Options by name: lt_data_loader(ctx, dataset, .batch_size = 64, .shuffle = 1).
 * C++: lt_data_loader(ctx, dataset, lt::loader_opts().batch_size(64).shuffle(true)). */
#ifndef __cplusplus
#define lt_data_loader(ctx, ...) lt_data_loader_with(ctx, LT__FIRST(__VA_ARGS__, 0), &LT__REST_AS(lt_loader_opts, __VA_ARGS__))
#else
namespace lt {
struct loader_opts : lt_loader_opts {
    loader_opts() : lt_loader_opts() { struct_size = sizeof(lt_loader_opts); }
    LT__SET(loader_opts, lt_loader_opts, bool, shuffle)
    LT__SET(loader_opts, lt_loader_opts, bool, drop_last)
    LT__SET(loader_opts, lt_loader_opts, bool, pin_memory)
    LT__SET(loader_opts, lt_loader_opts, int64_t, batch_size)
    LT__SET(loader_opts, lt_loader_opts, int64_t, num_workers)
    LT__SET(loader_opts, lt_loader_opts, int64_t, prefetch)
};
} // namespace lt
inline lt_loader *lt_data_loader(lt_ctx *ctx, lt_dataset *dataset, const lt_loader_opts &opts = lt::loader_opts()) {
    return lt_data_loader_with(ctx, dataset, &opts);
}
#endif

LT_BEGIN

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
#else
namespace lt {
/* As lt::model. */
struct datamodule {
    enum { state_version = 0 };
    virtual const void *get_interface(const char *) { return nullptr; }
    virtual lt_loader *train_dataloader(lt_ctx *) { return nullptr; }
    virtual lt_loader *val_dataloader(lt_ctx *) { return nullptr; }
    virtual lt_loader *test_dataloader(lt_ctx *) { return nullptr; }
    virtual lt_loader *predict_dataloader(lt_ctx *) { return nullptr; }
    virtual lt_status save(lt_ctx *, lt_state_writer *) { return LT_OK; }
    virtual lt_status load(lt_ctx *, const lt_state_reader *) { return LT_OK; }
    virtual void release(lt_ctx *) {}
#define LT__X(name, kinds, text) \
    virtual lt_status name(lt_ctx *) { return LT_OK; }
    LT_HOOKS(LT__X)
#undef LT__X
protected:
    ~datamodule() = default;
};
template <> struct is_kind<datamodule> { enum { value = 1 }; };
template <class T>
constexpr lt_datamodule make_datamodule(const char *id, const lt_params *(*params)(void), const char *doc, uint32_t flags = 0) {
#define LT__X(name, kinds, text) , LT__HOOK(name)
    return lt_datamodule{base<T>(sizeof(lt_datamodule), "lt.datamodule/1", id, params, doc, flags), LT__HOOK(train_dataloader),
        LT__HOOK(val_dataloader), LT__HOOK(test_dataloader), LT__HOOK(predict_dataloader), LT__HOOK(save), LT__HOOK(load),
        LT__HOOK(release)
        LT_HOOKS(LT__X)};
#undef LT__X
}
} // namespace lt
/* LT_DATAMODULE(Id, type, "doc") or LT_DATAMODULE(Id, type, "doc", flags) */
#define LT_DATAMODULE(id_, type_, ...) LT__COMPONENT(lt_datamodule, id_, (::lt::make_datamodule<type_>(#id_, type_##_params, __VA_ARGS__)))
#endif
#endif
