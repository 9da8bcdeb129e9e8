/* HDF5Dataset: rows of arrays in any HDF5 file as samples, read when they are asked for: the file may be larger than memory. Batches are a
 * list of the input (B, ...) and, if there is one, the target (B, ...). Chunked and compressed datasets are read through a chunk cache;
 * shuffled rows of large chunks are slow, whoever reads them. Does not write. */
#include "../shared/loaders.h"
#include "array.h"

enum { TRAIN, VAL, TEST, PARTS };

typedef struct part {
    h5_array input, target; /* target.id 0: none */
    lt_dtype input_dtype, target_dtype;
    double scale;
} part;

typedef struct {
    const char *path, *val_path, *test_path, *input, *target;
    enum { INPUT_F32, INPUT_F64, INPUT_I64, INPUT_U8 } input_dtype;
    enum { TARGET_AUTO, TARGET_F32, TARGET_I64 } target_dtype;
    double scale;
    int64_t val_size, split_seed, cache_mb;
    LOADER_FIELDS;
    part parts[PARTS];
    lt_dataset *datasets[PARTS];
} hdf5_dataset;

LT_PARAMS(hdf5_dataset,
    LT_PARAM(path, LT_REQUIRED, "HDF5 file of the training rows.", LT_PATH),
    LT_PARAM(val_path, "null", "HDF5 file of the validation rows; default: val_size rows of the training file.", LT_PATH),
    LT_PARAM(test_path, "null", "HDF5 file of the test rows; default: the validation rows.", LT_PATH),
    LT_PARAM(input, "x", "Dataset of the inputs, the first dimension being the samples: \"images\", \"group/x\"."),
    LT_PARAM(target, "y", "Dataset of the targets; null: none."),
    LT_CHOICE(input_dtype, "f32|f64|i64|u8", "f32", "What inputs are converted to."),
    LT_CHOICE(target_dtype, "auto|f32|i64", "auto", "What targets are converted to; auto: integers to i64, floats to f32. Fractions are refused for i64."),
    LT_PARAM(scale, "1", "Inputs that are f32 are multiplied by it: 0.00392156862745098 for bytes to 0..1."),
    LT_PARAM(val_size, "0", "Training rows set aside for validation, drawn at random.", LT_RANGE("0..")),
    LT_PARAM(split_seed, "42", "Seed of that draw: torch.utils.data.random_split with this generator seed."),
    LT_PARAM(cache_mb, "32", "Chunk cache of each dataset.", LT_RANGE("0..65536"), LT_UNIT("MiB")),
    LOADER_PARAMS("Rows"));

/* ---- batches ---- */

/* Memory for a batch of an array, read. */
static void *read_batch(lt_ctx *ctx, const h5_array *array, lt_dtype dtype, const int64_t *indices, int64_t count, lt_batch_out *out) {
    int64_t shape[LT_MAX_DIMS] = {count};
    char why[FILE_WHY_MAX];
    for (int32_t d = 1; d < array->ndim; d++) {
        shape[d] = array->shape[d];
    }
    void *to = lt_batch_tensor(ctx, out, NULL, dtype, array->ndim, shape);
    lt_status status = to ? h5_array_read(array, indices, count, dtype, to, why) : LT_OK;
    if (status) {
        lt_fail(ctx, status, "%s", why);
    }
    return lt_ctx_status(ctx) ? NULL : to;
}

static lt_status get_batch(lt_ctx *ctx, const void *data, const int64_t *indices, int64_t count, lt_batch_out *out) {
    const part *p = data;
    float *x = read_batch(ctx, &p->input, p->input_dtype, indices, count, out);
    if (x && p->input_dtype == LT_F32 && p->scale != 1) {
        for (int64_t i = 0; i < count * p->input.row; i++) {
            x[i] *= (float)p->scale;
        }
    }
    if (x && p->target.id > 0) {
        read_batch(ctx, &p->target, p->target_dtype, indices, count, out);
    }
    return lt_ctx_status(ctx);
}

/* ---- opening ---- */

static lt_status open_part(lt_ctx *ctx, hdf5_dataset *m, int id, const char *path) {
    static const char *const names[] = {"HDF5 train", "HDF5 val", "HDF5 test"};
    static const lt_dtype dtypes[] = {LT_F32, LT_F64, LT_I64, LT_U8};
    char why[FILE_WHY_MAX];
    part *p = &m->parts[id];
    bool has_target = m->target && *m->target;
    lt_status status = h5_array_open(&p->input, path, m->input, m->cache_mb << 20, why);
    if (!status && has_target) {
        status = h5_array_open(&p->target, path, m->target, m->cache_mb << 20, why);
    }
    if (status) {
        return lt_fail(ctx, status, "%s", why);
    }
    if (has_target && p->target.shape[0] != p->input.shape[0]) {
        return lt_fail(ctx, LT_EFORMAT, "%s: '%s' has %lld rows, '%s' %lld: they do not belong together", path, m->input,
                       (long long)p->input.shape[0], m->target, (long long)p->target.shape[0]);
    }
    p->input_dtype = dtypes[m->input_dtype];
    p->target_dtype = m->target_dtype == TARGET_I64 || (m->target_dtype == TARGET_AUTO && p->target.integer) ? LT_I64 : LT_F32;
    if (p->input_dtype == LT_U8 && !p->input.integer) {
        return lt_fail(ctx, LT_EDTYPE, "%s: '%s' holds floats, of which input_dtype u8 would leave whole numbers up to 255; set it to f32", path, m->input);
    }
    if (id != TRAIN && m->parts[TRAIN].target.id > 0 && p->target_dtype != m->parts[TRAIN].target_dtype) {
        return lt_fail(ctx, LT_EFORMAT, "%s: '%s' holds %s, that of the training file %s: set target_dtype to f32 or i64", path, m->target,
                       p->target.integer ? "integers" : "floats", p->target.integer ? "floats" : "integers");
    }
    p->scale = m->scale;
    lt_dataset_desc desc = {.struct_size = sizeof desc, .length = p->input.shape[0], .name = names[id], .get_batch = get_batch, .data = p};
    m->datasets[id] = lt_data_dataset(ctx, &desc);
    return lt_ctx_status(ctx);
}

static lt_status split(lt_ctx *ctx, hdf5_dataset *m) {
    int64_t all = m->parts[TRAIN].input.shape[0];
    lt_dataset *parts[2] = {NULL};
    if (m->val_size >= all) {
        return lt_fail(ctx, LT_ECONFIG, "val_size is %lld: %s has only %lld rows", (long long)m->val_size, m->path, (long long)all);
    }
    lt_data_random_split(ctx, m->datasets[TRAIN], (int64_t[]){all - m->val_size, m->val_size}, 2, m->split_seed, parts);
    m->datasets[TRAIN] = parts[0];
    m->datasets[VAL] = parts[1];
    return lt_ctx_status(ctx);
}

static lt_status setup(lt_ctx *ctx, void *self) {
    hdf5_dataset *m = self;
    lt_stage stage = lt_now(ctx)->stage;
    bool testing = stage == LT_STAGE_TEST || stage == LT_STAGE_PREDICT;
    if (testing && m->test_path) {
        return open_part(ctx, m, TEST, m->test_path);
    }
    if (open_part(ctx, m, TRAIN, m->path)) {
        return lt_ctx_status(ctx);
    }
    lt_status status = m->val_path ? open_part(ctx, m, VAL, m->val_path) : m->val_size ? split(ctx, m) : LT_OK;
    m->datasets[TEST] = m->datasets[VAL];
    return status;
}

static lt_loader *train_dataloader(lt_ctx *ctx, void *self) {
    hdf5_dataset *m = self;
    return TRAIN_LOADER(ctx, m, m->datasets[TRAIN]);
}

static lt_loader *val_dataloader(lt_ctx *ctx, void *self) {
    hdf5_dataset *m = self;
    return PLAIN_LOADER(ctx, m, m->datasets[VAL]);
}

static lt_loader *test_dataloader(lt_ctx *ctx, void *self) {
    hdf5_dataset *m = self;
    return PLAIN_LOADER(ctx, m, m->datasets[TEST]);
}

static void release(lt_ctx *ctx, void *self) {
    (void)ctx;
    hdf5_dataset *m = self;
    for (int i = 0; i < PARTS; i++) {
        h5_array_close(&m->parts[i].input);
        h5_array_close(&m->parts[i].target);
        m->datasets[i] = NULL;
    }
}

LT_DATAMODULE(HDF5Dataset, hdf5_dataset, "Rows of arrays in any HDF5 file, read as they are asked for.",
    .setup = setup,
    .train_dataloader = train_dataloader,
    .val_dataloader = val_dataloader,
    .test_dataloader = test_dataloader,
    .predict_dataloader = test_dataloader,
    .release = release);
LT_PLUGIN("org.lthost.hdf5-dataset", "0.1.0", datamodule(HDF5Dataset));
